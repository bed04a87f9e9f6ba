//! Debian packages of any release, without touching the machine's own apt configuration.
//!
//! In: a release's name. Out: an apt with its own sources, lists and package cache under the test bed's
//! cache. The mirror is the one the machine itself uses, asked from its apt each time; no address is
//! written down here. Versions are never pinned: names are resolved to the newest match.

use std::cmp::Ordering;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};

use super::cache::Cache;
use crate::command::{as_root, output};

/// Where Debian's keys are; a release newer than the machine is signed by keys its keyring already has.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// apt with a private configuration for one Debian release, its updates and its backports.
#[derive(Debug)]
pub struct Apt {
    release: String,
    sources: Vec<String>,
    options: Vec<String>,
}

impl Apt {
    /// The apt of `release` (a code name, or `sid`), with fresh package lists.
    ///
    /// # Errors
    /// When this is no Debian machine, its sources name no mirror, or the lists cannot be fetched.
    pub fn of(cache: &Cache, release: &str) -> Result<Self> {
        let dir = cache.scratch(&format!("apt-{release}"))?;
        let sources = sources(release)?;
        for sub in ["lists/partial", "archives/partial"] {
            fs::create_dir_all(dir.join(sub))?;
        }
        let list = dir.join("sources.list");
        fs::write(&list, sources.join("\n") + "\n")?;
        let apt = Self {
            release: release.to_owned(),
            sources,
            options: options(&dir, &list),
        };
        output(
            as_root("apt-get")
                .args(&apt.options)
                .args(["-qq", "update"]),
        )
        .with_context(|| format!("cannot fetch the package lists of {release}"))?;
        Ok(apt)
    }

    /// The release's lines for a `sources.list`.
    #[must_use]
    pub fn sources(&self) -> &[String] {
        &self.sources
    }

    /// The newest package whose name is `prefix`, a version, `suffix`.
    ///
    /// # Errors
    /// When there is none.
    pub fn newest(&self, prefix: &str, suffix: &str) -> Result<String> {
        let names = output(
            Command::new("apt-cache")
                .args(&self.options)
                .args(["pkgnames", prefix]),
        )?;
        names
            .lines()
            .filter(|name| {
                name.strip_prefix(prefix)
                    .and_then(|rest| rest.strip_suffix(suffix))
                    .is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit()))
            })
            .max_by(|a, b| compare_versions(a, b))
            .map(str::to_owned)
            .ok_or_else(|| anyhow!("{} has no package {prefix}*{suffix}", self.release))
    }

    /// The version that would be installed of `package`.
    ///
    /// # Errors
    /// When the release does not have it.
    pub fn version(&self, package: &str) -> Result<String> {
        let show = output(Command::new("apt-cache").args(&self.options).args([
            "show",
            "--no-all-versions",
            package,
        ]))?;
        show.lines()
            .find_map(|line| line.strip_prefix("Version: "))
            .map(str::to_owned)
            .ok_or_else(|| anyhow!("{} has no package {package}", self.release))
    }

    /// Downloads the newest `packages` and unpacks them into `root` without installing them.
    ///
    /// # Errors
    /// When a package is missing, cannot be fetched or cannot be unpacked.
    pub fn unpack(&self, packages: &[String], root: &Path) -> Result<()> {
        let debs = tempfile::tempdir()?;
        // As root apt would drop privileges to a user that cannot write here; sudo is not needed to download.
        output(
            Command::new("apt-get")
                .current_dir(debs.path())
                .args(&self.options)
                .args(["-qq", "-o", "APT::Sandbox::User=root", "download"])
                .args(packages),
        )?;
        for entry in fs::read_dir(debs.path())? {
            output(Command::new("dpkg").arg("-x").arg(entry?.path()).arg(root))?;
        }
        Ok(())
    }

    /// Installs `packages` on this machine, taking `target` (such as `bookworm-backports`) where it has one.
    ///
    /// # Errors
    /// When apt refuses, for instance because this is not root and there is no sudo.
    pub fn install(&self, packages: &[&str], target: Option<&str>) -> Result<()> {
        let mut command = as_root("apt-get");
        command
            .args(&self.options)
            .args(["-y", "-q", "--no-install-recommends"]);
        if let Some(target) = target {
            command.args(["-t", target]);
        }
        output(
            command
                .env("DEBIAN_FRONTEND", "noninteractive")
                .arg("install")
                .args(packages),
        )?;
        Ok(())
    }
}

/// The code name of the Debian release this machine runs.
///
/// # Errors
/// When `/etc/os-release` has none.
pub fn codename() -> Result<String> {
    let os = fs::read_to_string("/etc/os-release").context("cannot tell which system this is")?;
    os.lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .map(|name| name.trim_matches('"').to_owned())
        .ok_or_else(|| {
            anyhow!("/etc/os-release names no release: the set-up needs a Debian machine")
        })
}

fn options(dir: &Path, list: &Path) -> Vec<String> {
    [
        format!("Dir::Etc::SourceList={}", list.display()),
        "Dir::Etc::SourceParts=-".to_owned(),
        format!("Dir::State::Lists={}", dir.join("lists").display()),
        format!("Dir::Cache={}", dir.display()),
        "Acquire::Languages=none".to_owned(),
        // Metadata for graphical package managers is larger than all else together.
        "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
        // A mirror's snapshot may be older than the date its release file promises.
        "Acquire::Check-Valid-Until=false".to_owned(),
        "APT::Sandbox::User=root".to_owned(),
    ]
    .into_iter()
    .flat_map(|option| ["-o".to_owned(), option])
    .collect()
}

fn sources(release: &str) -> Result<Vec<String>> {
    let own = codename()?;
    let targets = output(Command::new("apt-get").args([
        "indextargets",
        "--format",
        "$(RELEASE) $(CREATED_BY) $(REPO_URI)",
    ]))?;
    let uri = |suite: &str| {
        targets.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some(suite) && words.next() == Some("Packages"))
                .then(|| words.next())?
        })
    };
    let Some(main) = uri(&own) else {
        bail!("this machine's apt sources name no mirror for {own}: see /etc/apt/sources.list");
    };
    let signed = if PathBuf::from(KEYRING).exists() {
        format!("[signed-by={KEYRING}] ")
    } else {
        String::new()
    };
    let mut lines = vec![format!("deb {signed}{main} {release} main")];
    if release != "sid" {
        lines.push(format!("deb {signed}{main} {release}-backports main"));
        if let Some(security) = uri(&format!("{own}-security")) {
            lines.push(format!("deb {signed}{security} {release}-security main"));
        }
    }
    Ok(lines)
}

/// Orders names by their runs of digits as numbers, so that `6.1.0-9` comes before `6.1.0-56`.
fn compare_versions(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let (text_a, number_a, rest_a) = next_run(a);
        let (text_b, number_b, rest_b) = next_run(b);
        let order = text_a.cmp(text_b).then(number_a.cmp(&number_b));
        if order != Ordering::Equal || (rest_a.is_empty() && rest_b.is_empty()) {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
}

/// The text up to the first digit, the number there, and what follows it.
fn next_run(text: &str) -> (&str, Option<u64>, &str) {
    let (before, rest) = text.split_at(
        text.find(|c: char| c.is_ascii_digit())
            .unwrap_or(text.len()),
    );
    let (digits, rest) = rest.split_at(
        rest.find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len()),
    );
    (before, digits.parse().ok(), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_package_names_count_as_numbers() {
        let mut names = [
            "linux-image-6.1.0-56-cloud",
            "linux-image-6.1.0-9-cloud",
            "linux-image-6.1.0-100-cloud",
        ];
        names.sort_by(|a, b| compare_versions(a, b));
        assert_eq!(
            names,
            [
                "linux-image-6.1.0-9-cloud",
                "linux-image-6.1.0-56-cloud",
                "linux-image-6.1.0-100-cloud"
            ]
        );
        assert_eq!(compare_versions("a-1.2", "a-1.2"), Ordering::Equal);
        assert_eq!(
            compare_versions("a-1.2+deb13", "a-1.2+deb13.1"),
            Ordering::Less
        );
    }
}
