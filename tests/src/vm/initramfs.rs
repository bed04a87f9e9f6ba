//! Writing the initramfs: an uncompressed cpio archive in the kernel's "newc" form.
//!
//! In: directories and files with their contents. Out: the archive. Links and devices are not needed.

use std::io::{self, Write};

/// File type bits of a directory.
const DIRECTORY: u32 = 0o040_000;
/// File type bits of a regular file.
const REGULAR: u32 = 0o100_000;

/// An archive being written.
#[derive(Debug)]
pub struct Archive<W> {
    out: W,
    next_inode: u32,
    dirs: Vec<String>,
}

impl<W: Write> Archive<W> {
    /// Starts an archive.
    pub fn new(out: W) -> Self {
        Self {
            out,
            next_inode: 1,
            dirs: Vec::new(),
        }
    }

    /// Adds an executable file, and the directories above it.
    ///
    /// # Errors
    /// Those of the writer, and contents of 4 GB or more.
    pub fn file(&mut self, path: &str, contents: &[u8]) -> io::Result<()> {
        let path = path.trim_start_matches('/');
        for (at, _) in path.match_indices('/') {
            if let Some(dir) = path.get(..at) {
                self.directory(dir)?;
            }
        }
        self.entry(path, REGULAR | 0o755, contents)
    }

    /// Adds an empty directory; a second time does nothing.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn directory(&mut self, path: &str) -> io::Result<()> {
        let path = path.trim_start_matches('/');
        if self.dirs.iter().any(|dir| dir == path) {
            return Ok(());
        }
        self.dirs.push(path.to_owned());
        self.entry(path, DIRECTORY | 0o755, &[])
    }

    /// Ends the archive.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn finish(mut self) -> io::Result<W> {
        self.entry("TRAILER!!!", 0, &[])?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn entry(&mut self, path: &str, mode: u32, contents: &[u8]) -> io::Result<()> {
        let size = u32::try_from(contents.len()).map_err(io::Error::other)?;
        let name_size = u32::try_from(path.len() + 1).map_err(io::Error::other)?;
        let inode = self.next_inode;
        self.next_inode += 1;
        let links = 1;
        let fields = [inode, mode, 0, 0, links, 0, size, 0, 0, 0, 0, name_size, 0];
        let mut header = String::from("070701");
        for field in fields {
            header.push_str(&format!("{field:08X}"));
        }
        self.out.write_all(header.as_bytes())?;
        self.out.write_all(path.as_bytes())?;
        self.out.write_all(&[0])?;
        self.pad(header.len() + path.len() + 1)?;
        self.out.write_all(contents)?;
        self.pad(contents.len())
    }

    /// Pads to the next multiple of four after `written` bytes.
    fn pad(&mut self, written: usize) -> io::Result<()> {
        self.out
            .write_all(&[0; 3][..written.next_multiple_of(4) - written])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_aligned_and_directories_come_first_and_once() {
        let mut archive = Archive::new(Vec::new());
        archive.file("/a/b/c", b"hello").unwrap();
        archive.file("/a/b/d", b"").unwrap();
        let bytes = archive.finish().unwrap();
        let names: Vec<(usize, String)> = (0..bytes.len())
            .filter(|at| bytes[*at..].starts_with(b"070701"))
            .map(|at| {
                let name = &bytes[at + 110..];
                let end = name.iter().position(|b| *b == 0).unwrap();
                (at, String::from_utf8_lossy(&name[..end]).into_owned())
            })
            .collect();
        assert!(names.iter().all(|(at, _)| at % 4 == 0));
        let names: Vec<&str> = names.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(names, ["a", "a/b", "a/b/c", "a/b/d", "TRAILER!!!"]);
    }
}
