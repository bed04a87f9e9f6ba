//! Where downloads and images live between runs: `$XDG_CACHE_HOME/nettrace`, never the source tree.
//!
//! In: the name of a part (a kernel, the root image), its recipe as text, and a way to build it.
//! Out: a directory that is complete or absent. A part is built under a temporary name and moved into
//! place, so an interrupted set-up leaves nothing half-made; a small record beside it says which recipe
//! it was built from, and as long as that text is unchanged nothing is resolved or downloaded again.

use std::fs;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::command::{as_root, output};

/// The cache directory, locked against a second set-up while this value lives.
#[derive(Debug)]
pub struct Cache {
    root: PathBuf,
    _lock: fs::File,
}

/// What the cache remembers about one finished part.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    /// The text that determines the part; another text means: build it again.
    recipe: String,
    /// The part's directory, relative to the cache.
    dir: PathBuf,
}

/// A part being built: a private directory that becomes `<part>-<key>` when the builder returns `key`.
#[derive(Debug)]
pub struct Workspace {
    dir: tempfile::TempDir,
}

impl Workspace {
    /// The directory to build in.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

impl Cache {
    /// Opens (and creates) the cache; waits while another process is setting up.
    ///
    /// # Errors
    /// When there is neither `XDG_CACHE_HOME` nor `HOME`, or the directory cannot be written.
    pub fn open() -> Result<Self> {
        let root = match (std::env::var_os("XDG_CACHE_HOME"), std::env::var_os("HOME")) {
            (Some(cache), _) if !cache.is_empty() => PathBuf::from(cache),
            (_, Some(home)) => PathBuf::from(home).join(".cache"),
            _ => bail!("neither XDG_CACHE_HOME nor HOME is set: there is no place for the test bed's images"),
        }
        .join("nettrace");
        fs::create_dir_all(&root)
            .with_context(|| format!("cannot create the cache {}", root.display()))?;
        let lock = fs::File::create(root.join("lock"))
            .with_context(|| format!("cannot write to the cache {}", root.display()))?;
        // SAFETY: flock on a descriptor that this value owns.
        if unsafe { libc::flock(lock.as_raw_fd(), libc::LOCK_EX) } != 0 {
            return Err(std::io::Error::last_os_error()).context("cannot lock the cache");
        }
        let cache = Self { root, _lock: lock };
        cache.sweep()?;
        Ok(cache)
    }

    /// A directory of the cache that is not a part (package lists), created when absent.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn scratch(&self, name: &str) -> Result<PathBuf> {
        let dir = self.root.join(name);
        fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        Ok(dir)
    }

    /// The directory of `part` as built from `recipe`; `build` runs only when there is none yet. It fills
    /// the workspace and returns the content's key, which becomes part of the directory's name.
    ///
    /// # Errors
    /// Those of `build`, or of moving the result into place.
    pub fn part(
        &self,
        part: &str,
        recipe: &str,
        build: impl FnOnce(&Workspace) -> Result<String>,
    ) -> Result<PathBuf> {
        if let Some(dir) = self.finished(part, recipe) {
            return Ok(dir);
        }
        let work = Workspace {
            dir: tempfile::Builder::new()
                .prefix(&format!(".{part}-"))
                .tempdir_in(&self.root)
                .context("cannot create a directory in the cache")?,
        };
        let key = build(&work).with_context(|| format!("setting up {part} failed"))?;
        let dir = PathBuf::from(format!("{part}-{key}"));
        let place = self.root.join(&dir);
        let old = self.record(part);
        if place.exists() {
            fs::remove_dir_all(&place)
                .with_context(|| format!("cannot replace {}", place.display()))?;
        }
        fs::rename(work.dir.keep(), &place)
            .with_context(|| format!("cannot move {part} into place"))?;
        fs::set_permissions(&place, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        self.remember(
            part,
            &Record {
                recipe: recipe.to_owned(),
                dir: dir.clone(),
            },
        )?;
        if let Some(old) = old.filter(|old| old.dir != dir) {
            // Only the newest is ever used; an image that is still open stays readable until it is closed.
            let _ = fs::remove_dir_all(self.root.join(old.dir));
        }
        Ok(place)
    }

    /// Forgets how every part was built, so that the next set-up looks for newer packages.
    ///
    /// # Errors
    /// When a record cannot be removed.
    pub fn forget(&self) -> Result<()> {
        for entry in fs::read_dir(&self.root)? {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "part") {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }

    /// Removes what an interrupted set-up left.
    fn sweep(&self) -> Result<()> {
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            if entry.file_name().as_encoded_bytes().starts_with(b".") && entry.file_type()?.is_dir()
            {
                output(
                    as_root("rm")
                        .args(["-rf", "--one-file-system"])
                        .arg(entry.path()),
                )?;
            }
        }
        Ok(())
    }

    fn finished(&self, part: &str, recipe: &str) -> Option<PathBuf> {
        let record = self.record(part)?;
        let dir = self.root.join(record.dir);
        (record.recipe == recipe && dir.is_dir()).then_some(dir)
    }

    fn record(&self, part: &str) -> Option<Record> {
        serde_json::from_slice(&fs::read(self.record_path(part)).ok()?).ok()
    }

    fn remember(&self, part: &str, record: &Record) -> Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.root)?;
        serde_json::to_writer_pretty(&mut file, record)?;
        file.persist(self.record_path(part))
            .context("cannot write the cache's record")?;
        Ok(())
    }

    fn record_path(&self, part: &str) -> PathBuf {
        self.root.join(format!("{part}.part"))
    }
}
