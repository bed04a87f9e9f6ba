//! What one compilation reads: the script, the files it imports, and the library files whose macros it uses.
//!
//! In: a script's file, an [`Importer`] that knows the others. Out: [`Unit`], one tree for all of them. Imports are followed once each,
//! also in circles. A library file is read when an expression of what has been read so far has the name of one of its macros, so that a
//! script that uses none costs nothing.

use std::collections::HashSet;

use crate::macros::{GIVEN_VALUES, MATCHES};
use nettrace_grammar::ast::{self, BinaryOp, Expr, ExprKind, Macro};
use nettrace_grammar::{Diagnostic, FileId, Parsed, SourceMap, Span, codes, parse, visit};

/// A text with the name that messages show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// A path, or what stands for one.
    pub name: String,
    /// The whole text.
    pub text: String,
}

/// Where imports come from.
pub trait Importer {
    /// The files that `import "path"` in the file `from` means.
    ///
    /// # Errors
    /// Half a sentence that says why there are none.
    fn import(&self, path: &str, from: &str) -> Result<Vec<Text>, String>;

    /// The library file that defines a macro of this name.
    fn library(&self, name: &str) -> Option<Text>;
}

/// Knows no files.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoImports;

impl Importer for NoImports {
    fn import(&self, _: &str, _: &str) -> Result<Vec<Text>, String> {
        Err("there are no files to import from here".to_string())
    }

    fn library(&self, _: &str) -> Option<Text> {
        None
    }
}

/// A script with all that belongs to it.
#[derive(Clone, Debug, Default)]
pub struct Unit {
    /// The script; probes and map declarations of imported files are behind its own.
    pub script: ast::Script,
    /// Macros of all other files; those of imports come before those of the library.
    pub library: Vec<Macro>,
    /// Mistakes in the texts, and imports that were not found.
    pub diags: Vec<Diagnostic>,
    /// The options that the script takes on its command line, in the order of the text.
    pub options: Vec<ScriptOption>,
    /// Which parameters the script uses.
    pub parameters: Parameters,
}

/// How a script uses its positional parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    /// The largest `$N`; 0 for none.
    pub highest: u32,
    /// It asks how many there are, `$#`: any number makes sense.
    pub counted: bool,
}

/// An option of a script: a use of `getopt`.
#[derive(Clone, Debug, PartialEq)]
pub struct ScriptOption {
    /// Without the dashes.
    pub name: String,
    /// Its value when it is not given.
    pub default: OptionValue,
    /// For `--help`; empty when the script says nothing.
    pub help: String,
    /// Its text holds expressions, with commas between: `getvalues` names it.
    pub expressions: bool,
    /// The texts that it may be; empty when any will do.
    pub allowed: Vec<String>,
    /// The use.
    pub span: Span,
}

/// The value of a script's option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionValue {
    /// Given or not.
    Flag(bool),
    /// A number.
    Number(i64),
    /// Text.
    Text(String),
}

impl Unit {
    /// Reads a script and everything it needs; adds their texts to the sources.
    pub fn read(sources: &mut SourceMap, file: FileId, importer: &dyn Importer) -> Unit {
        let parsed = parse(sources, file);
        Unit::of(parsed, sources, file, importer)
    }

    /// The same for a file that has been parsed already, as something else than a script perhaps.
    pub fn of(
        parsed: Parsed,
        sources: &mut SourceMap,
        file: FileId,
        importer: &dyn Importer,
    ) -> Unit {
        let mut reader = Reader {
            sources,
            importer,
            seen: HashSet::new(),
            names: HashSet::new(),
            unit: Unit {
                script: parsed.script,
                diags: parsed.diags,
                ..Unit::default()
            },
        };
        let name = reader.sources.file(file).name.clone();
        reader.seen.insert(name.clone());
        visit::script(&reader.unit.script, &mut |e| {
            Reader::note_name(&mut reader.names, e);
        });
        let imports = reader.unit.script.imports.clone();
        reader.imports(&imports, &name);
        reader.libraries();
        let mut unit = reader.unit;
        unit.find_options();
        unit.find_parameters();
        unit
    }

    /// Reads the library files of macros that further expressions name: those on the command line.
    pub fn add_macros_of<'e>(
        &mut self,
        sources: &mut SourceMap,
        expressions: impl Iterator<Item = &'e Expr>,
        importer: &dyn Importer,
    ) {
        let seen = sources.files().map(|(_, file)| file.name.clone());
        let mut reader = Reader {
            seen: seen.collect(),
            sources,
            importer,
            names: HashSet::new(),
            unit: std::mem::take(self),
        };
        for expression in expressions {
            visit::expr(expression, &mut |e| Reader::note_name(&mut reader.names, e));
        }
        reader.libraries();
        *self = reader.unit;
    }

    fn find_parameters(&mut self) {
        let mut found = Parameters::default();
        let mut note = |e: &Expr| match e.kind {
            ExprKind::Positional(n) => found.highest = found.highest.max(n),
            ExprKind::PositionalCount => found.counted = true,
            _ => {}
        };
        visit::script(&self.script, &mut note);
        let points = self.script.probes.iter().flat_map(|p| &p.attach_points);
        for point in points {
            for part in point.text.split('$').skip(1) {
                let digits = part.bytes().take_while(u8::is_ascii_digit).count();
                let n = part.get(..digits).and_then(|n| n.parse().ok());
                found.highest = found.highest.max(n.unwrap_or(0));
            }
        }
        self.parameters = found;
    }

    fn find_options(&mut self) {
        let mut found: Vec<ScriptOption> = Vec::new();
        let mut expressions: Vec<String> = Vec::new();
        let mut note = |e: &Expr| {
            expressions.extend(option_of_values(e));
            if let Some(option) = option(e)
                && !found.iter().any(|o| o.name == option.name)
            {
                found.push(option);
            }
        };
        visit::script(&self.script, &mut note);
        for definition in &self.library {
            visit::stmts(&definition.body.stmts, &mut note);
            if let Some(value) = &definition.body.value {
                visit::expr(value, &mut note);
            }
        }
        for option in &mut found {
            option.expressions = expressions.contains(&option.name);
        }
        found.sort_by_key(|o| o.span);
        self.options = found;
    }
}

/// The option whose expressions are printed: `getvalues("name", x)`.
fn option_of_values(e: &Expr) -> Option<String> {
    let ExprKind::Call { name, args } = &e.kind else {
        return None;
    };
    match args.first().map(|arg| &arg.kind) {
        Some(ExprKind::Str(option)) if name.name == GIVEN_VALUES => {
            Some(String::from_utf8_lossy(option).into_owned())
        }
        _ => None,
    }
}

/// The option that an expression asks for. A `getopt` that is not as it should be is the checker's to report.
fn option(e: &Expr) -> Option<ScriptOption> {
    let ExprKind::Call { name, args } = &e.kind else {
        return None;
    };
    if name.name != "getopt" {
        return None;
    }
    let text = |e: &Expr| match &e.kind {
        ExprKind::Str(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        _ => None,
    };
    Some(ScriptOption {
        name: text(args.first()?)?,
        default: match args.get(1) {
            None => OptionValue::Flag(false),
            Some(default) => default_value(default)?,
        },
        help: args.get(2).and_then(text).unwrap_or_default(),
        expressions: false,
        allowed: args
            .get(3)
            .and_then(text)
            .map(|words| words.split_whitespace().map(str::to_string).collect())
            .unwrap_or_default(),
        span: e.span,
    })
}

/// The constant that stands for an option that was not given.
pub(crate) fn default_value(e: &Expr) -> Option<OptionValue> {
    Some(match &e.kind {
        ExprKind::Bool(flag) => OptionValue::Flag(*flag),
        ExprKind::Int(n) => OptionValue::Number(i64::try_from(*n).ok()?),
        ExprKind::Unary(ast::UnaryOp::Neg, inner) => match inner.kind {
            ExprKind::Int(n) => OptionValue::Number(i64::try_from(n).ok()?.checked_neg()?),
            _ => return None,
        },
        ExprKind::Str(bytes) => OptionValue::Text(String::from_utf8_lossy(bytes).into_owned()),
        _ => return None,
    })
}

struct Reader<'a> {
    sources: &'a mut SourceMap,
    importer: &'a dyn Importer,
    /// Names of the files that have been read.
    seen: HashSet<String>,
    /// Names in the trees that no library file has been looked up for.
    names: HashSet<String>,
    unit: Unit,
}

impl Reader<'_> {
    /// Notes what an expression names that may be a macro.
    fn note_name(names: &mut HashSet<String>, e: &Expr) {
        match &e.kind {
            ExprKind::Ident(name) => names.insert(name.clone()),
            ExprKind::Call { name, .. } => names.insert(name.name.clone()),
            // The operator's macro has a name that is not written.
            ExprKind::Binary(BinaryOp::Match, ..) => names.insert(MATCHES.to_string()),
            _ => false,
        };
    }

    fn imports(&mut self, imports: &[ast::Import], from: &str) {
        for import in imports {
            match self.importer.import(&import.path.name, from) {
                Ok(texts) => texts.into_iter().for_each(|text| self.file(text)),
                Err(why) => {
                    let message = format!("cannot import `{}`: {why}", import.path.name);
                    self.unit.diags.push(
                        Diagnostic::error(codes::NO_IMPORT, import.path.span, message).help(
                            "a path is looked up beside the script first, then among nettrace's own files (`nettrace list`)",
                        ),
                    );
                }
            }
        }
    }

    /// Reads one more file.
    fn file(&mut self, text: Text) {
        if !self.seen.insert(text.name.clone()) {
            return;
        }
        let file = self.sources.add(text.name.clone(), text.text);
        let mut parsed = parse(self.sources, file);
        visit::script(&parsed.script, &mut |e| {
            Reader::note_name(&mut self.names, e);
        });
        self.unit.diags.append(&mut parsed.diags);
        self.unit.library.append(&mut parsed.script.macros);
        self.unit.script.probes.append(&mut parsed.script.probes);
        self.unit
            .script
            .map_decls
            .append(&mut parsed.script.map_decls);
        if let Some(config) = &parsed.script.config {
            let message = "an imported file has no `config` block: only the script has";
            self.unit
                .diags
                .push(Diagnostic::error(codes::BAD_CONFIG, config.span, message));
        }
        self.imports(&parsed.script.imports, &text.name);
    }

    /// Reads the library files of macros that the texts so far may use.
    fn libraries(&mut self) {
        while !self.names.is_empty() {
            let mut names: Vec<String> = std::mem::take(&mut self.names).into_iter().collect();
            names.sort_unstable();
            for name in names {
                if let Some(text) = self.importer.library(&name) {
                    self.file(text);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files by name; those under `lib/` are the library.
    struct Files(&'static [(&'static str, &'static str)]);

    impl Files {
        fn text(&self, name: &str) -> Option<Text> {
            let (name, text) = self.0.iter().find(|(n, _)| *n == name)?;
            Some(Text {
                name: (*name).to_string(),
                text: (*text).to_string(),
            })
        }
    }

    impl Importer for Files {
        fn import(&self, path: &str, _: &str) -> Result<Vec<Text>, String> {
            Ok(vec![self.text(path).ok_or("no such file")?])
        }

        fn library(&self, name: &str) -> Option<Text> {
            let (file, _) = self.0.iter().find(|(file, text)| {
                file.starts_with("lib/") && text.contains(&format!("macro {name}("))
            })?;
            self.text(file)
        }
    }

    fn read(files: &'static [(&'static str, &'static str)]) -> (Unit, usize) {
        let files = Files(files);
        let mut sources = SourceMap::new();
        let script = files.text("script").expect("a script");
        let file = sources.add(script.name, script.text);
        let unit = Unit::read(&mut sources, file, &files);
        (unit, sources.files().count())
    }

    fn names(unit: &Unit) -> Vec<&str> {
        unit.library.iter().map(|m| m.name.name.as_str()).collect()
    }

    #[test]
    fn imports_are_followed_once_each() {
        let (unit, files) = read(&[
            ("script", "import \"a\"; begin { }"),
            ("a", "import \"b\"; macro fa() { 1 }"),
            ("b", "import \"a\"; macro fb() { 2 } end { }"),
        ]);
        assert_eq!(names(&unit), ["fa", "fb"]);
        assert_eq!((files, unit.script.probes.len()), (3, 2));
        assert!(unit.diags.is_empty(), "{:?}", unit.diags);
    }

    #[test]
    fn library_files_are_read_when_their_macros_are_named() {
        let library: &[_] = &[
            (
                "script",
                "/* other(1) */ begin { flow(1); $x.other; print(\"other\"); @other = 1; }",
            ),
            ("lib/flow", "macro flow(x) { port(x) }"),
            ("lib/port", "macro port(x) { x }"),
            ("lib/other", "macro other(x) { x }"),
        ];
        let (unit, files) = read(library);
        assert_eq!((names(&unit), files), (vec!["flow", "port"], 3));
    }

    #[test]
    fn what_cannot_be_imported_is_told_where_it_stands() {
        let (unit, _) = read(&[("script", "import \"nowhere\"; begin { }")]);
        let [diag] = unit.diags.as_slice() else {
            panic!("{:?}", unit.diags);
        };
        assert_eq!(diag.message, "cannot import `nowhere`: no such file");
        assert_eq!(diag.primary_span(), Some(Span::new(7, 16)));
    }

    #[test]
    fn parameters_are_counted() {
        let of = |text: &'static str| {
            let mut sources = SourceMap::new();
            let file = sources.add("script", text);
            Unit::read(&mut sources, file, &NoImports).parameters
        };
        let highest = |highest| Parameters {
            highest,
            counted: false,
        };
        assert_eq!(of("begin { print(1); } // $3"), highest(0));
        assert_eq!(of("macro a(x) { $2 } begin { print($1); }"), highest(2));
        assert_eq!(of("kprobe:$1+$12 { }"), highest(12));
        assert!(of("begin { print($#); }").counted);
    }

    #[test]
    fn options_are_found_with_their_defaults() {
        let (unit, _) = read(&[(
            "script",
            "begin { $a = getopt(\"stack\", false, \"show stacks\"); $b = getopt(\"limit\", -1); $c = getopt(\"dev\", \"eth0\"); }",
        )]);
        let found: Vec<_> = unit
            .options
            .iter()
            .map(|o| (o.name.as_str(), o.default.clone(), o.help.as_str()))
            .collect();
        assert_eq!(
            found,
            [
                ("stack", OptionValue::Flag(false), "show stacks"),
                ("limit", OptionValue::Number(-1), ""),
                ("dev", OptionValue::Text("eth0".to_string()), ""),
            ]
        );
    }
}
