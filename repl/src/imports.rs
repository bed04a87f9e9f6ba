//! Files that scripts import, and the library that comes with nettrace.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nettrace_compiler::unit::{Importer, Text};
use nettrace_grammar::source::decode;

use crate::script::read_file;

/// Looks beside the script first, then among nettrace's own files.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Files;

impl Importer for Files {
    fn import(&self, path: &str, from: &str) -> Result<Vec<Text>, String> {
        let beside = Path::new(from).parent().unwrap_or(Path::new("")).join(path);
        match fs::metadata(&beside) {
            Ok(meta) if meta.is_dir() => directory(&beside),
            Ok(_) => Ok(vec![file(&beside)?]),
            Err(error) => own(path)
                .map(|text| vec![text])
                .ok_or_else(|| match error.kind() {
                    io::ErrorKind::NotFound => "there is no such file".to_string(),
                    _ => error.to_string(),
                }),
        }
    }

    fn library(&self, name: &str) -> Option<Text> {
        nettrace_stdlib::prelude(name).map(of_prelude)
    }
}

fn of_prelude(file: &nettrace_stdlib::Script) -> Text {
    Text {
        name: format!("prelude/{}.nt", file.name),
        text: file.text.to_string(),
    }
}

/// `prelude/NAME.nt` of the library.
fn own(path: &str) -> Option<Text> {
    let name = path.strip_prefix("prelude/")?;
    let name = name.strip_suffix(".nt").unwrap_or(name);
    let file = nettrace_stdlib::PRELUDE.iter().find(|f| f.name == name)?;
    Some(of_prelude(file))
}

/// All scripts of a directory in name order.
fn directory(path: &Path) -> Result<Vec<Text>, String> {
    let entries = fs::read_dir(path).map_err(|error| error.to_string())?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "nt" || e == "bt"))
        .collect();
    files.sort();
    files.iter().map(|path| file(path)).collect()
}

fn file(path: &Path) -> Result<Text, String> {
    if path
        .extension()
        .is_some_and(|e| e == "h" || e == "c" || e == "o")
    {
        return Err(
            "nettrace imports scripts, not C; types come from the kernel's BTF".to_string(),
        );
    }
    let bytes = read_file(path).map_err(|error| error.to_string())?;
    let (text, not_utf8) = decode(&bytes);
    match not_utf8 {
        None => Ok(Text {
            name: path.display().to_string(),
            text,
        }),
        Some(_) => Err("it is not UTF-8 text".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_beside_the_script_and_directories_are_found() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("a.nt"), "macro a() { 1 }").expect("write");
        fs::create_dir(dir.path().join("sub")).expect("mkdir");
        for name in ["y.bt", "x.nt", "readme"] {
            fs::write(dir.path().join("sub").join(name), name).expect("write");
        }
        let from = dir.path().join("script.nt").display().to_string();
        let import = |path: &str| Files.import(path, &from);
        assert_eq!(import("a.nt").map(|texts| texts.len()), Ok(1));
        let texts: Vec<String> = import("sub")
            .expect("a directory")
            .into_iter()
            .map(|t| t.text)
            .collect();
        assert_eq!(texts, ["x.nt", "y.bt"]);
        assert_eq!(import("b.nt"), Err("there is no such file".to_string()));
        assert!(import("prelude/byteorder.nt").is_ok());
    }
}
