//! Names that the machine gives to hosts, networks, services and protocols: the files of `/etc` that packet filters may refer to.
//!
//! In: `hosts`, `networks`, `services`, `protocols` and `ethers`, each read when a name is asked for. Out: [`Names`]; what the files do not
//! know is asked of [`BuiltIn`]. DNS is not asked: it would hold up the start of a script, and its answers change.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;

use nettrace_compiler::pcap::{BuiltIn, Names, Transport};

/// The files of a folder, normally `/etc`.
#[derive(Debug)]
pub(super) struct Databases {
    folder: PathBuf,
}

impl Default for Databases {
    fn default() -> Databases {
        Databases {
            folder: PathBuf::from("/etc"),
        }
    }
}

impl Databases {
    /// The fields of all lines of a file; none when it cannot be read.
    fn lines(&self, file: &str) -> Vec<Vec<String>> {
        let text = fs::read(self.folder.join(file)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines = text
            .lines()
            .map(|line| line.split('#').next().unwrap_or(""));
        lines
            .map(|line| line.split_whitespace().map(str::to_string).collect())
            .collect()
    }

    /// What belongs to a name in a file whose lines are `name value aliases…`.
    fn values(&self, file: &str, name: &str) -> Vec<String> {
        let lines = self.lines(file).into_iter();
        lines
            .filter_map(|line| {
                let (first, rest) = line.split_first()?;
                let (value, aliases) = rest.split_first()?;
                let named = first == name || aliases.iter().any(|alias| alias == name);
                named.then(|| value.clone())
            })
            .collect()
    }
}

impl Names for Databases {
    fn host(&self, name: &str) -> Vec<IpAddr> {
        let mut found: Vec<IpAddr> = Vec::new();
        for line in self.lines("hosts") {
            let Some((addr, names)) = line.split_first() else {
                continue;
            };
            let named = names.iter().any(|n| n.eq_ignore_ascii_case(name));
            if let (true, Ok(addr)) = (named, addr.parse())
                && !found.contains(&addr)
            {
                found.push(addr);
            }
        }
        match found.is_empty() {
            true => BuiltIn.host(name),
            false => found,
        }
    }

    fn net(&self, name: &str) -> Option<u32> {
        let values = self.values("networks", name);
        let own = values.first().and_then(|number| network(number));
        own.or_else(|| BuiltIn.net(name))
    }

    fn service(&self, name: &str) -> Vec<(u16, Transport)> {
        let values = self.values("services", name);
        let own: Vec<(u16, Transport)> = values.iter().filter_map(|value| service(value)).collect();
        match own.is_empty() {
            true => BuiltIn.service(name),
            false => own,
        }
    }

    fn proto(&self, name: &str) -> Option<u8> {
        let values = self.values("protocols", name);
        let own = values.first().and_then(|number| number.parse().ok());
        own.or_else(|| BuiltIn.proto(name))
    }

    fn ether(&self, name: &str) -> Option<[u8; 6]> {
        let lines = self.lines("ethers").into_iter();
        let mut found = lines.filter(|line| line.get(1).is_some_and(|n| n == name));
        found.next().and_then(|line| mac(line.first()?))
    }
}

/// `10`, `10.1`, `169.254.0.0`: octets from the left, not filled up.
fn network(text: &str) -> Option<u32> {
    let mut number = 0;
    for part in text.split('.') {
        number = number << 8 | u32::from(part.parse::<u8>().ok()?);
    }
    (text.split('.').count() <= 4).then_some(number)
}

/// `443/tcp`
fn service(text: &str) -> Option<(u16, Transport)> {
    let (port, over) = text.split_once('/')?;
    let all = [Transport::Tcp, Transport::Udp, Transport::Sctp];
    let over = all.into_iter().find(|transport| transport.word() == over)?;
    Some((port.parse().ok()?, over))
}

/// `0:1:2:a:b:c`
fn mac(text: &str) -> Option<[u8; 6]> {
    let mut bytes = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut bytes {
        *byte = u8::from_str_radix(parts.next()?, 16).ok()?;
    }
    parts.next().is_none().then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn databases(files: &[(&str, &str)]) -> (tempfile::TempDir, Databases) {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            fs::write(folder.path().join(name), text).expect(name);
        }
        let databases = Databases {
            folder: folder.path().to_path_buf(),
        };
        (folder, databases)
    }

    #[test]
    fn files_of_etc() {
        let (_folder, names) = databases(&[
            (
                "hosts",
                "10.0.0.2 sundown.example Sundown # the lab\nfe80::1 sundown\nnonsense sundown\n",
            ),
            ("networks", "lab 172.16 test\n"),
            (
                "services",
                "backdoor 4444/tcp back\nbackdoor 5555/udp\nodd 1/ddp\n",
            ),
            ("protocols", "sesame 200 SESAME\n"),
            ("ethers", "0:1:2:a:b:c sundown\n1:2:3 short\n"),
        ]);
        let addrs: Vec<String> = names
            .host("sundown")
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(addrs, ["10.0.0.2", "fe80::1"]);
        assert_eq!(names.net("test"), Some(0xac10));
        assert_eq!(
            names.service("backdoor"),
            [(4444, Transport::Tcp), (5555, Transport::Udp)]
        );
        assert_eq!(names.service("back"), [(4444, Transport::Tcp)]);
        assert_eq!(names.proto("SESAME"), Some(200));
        assert_eq!(names.ether("sundown"), Some([0, 1, 2, 10, 11, 12]));
        assert_eq!(names.ether("short"), None);
        assert!(names.service("odd").is_empty());
    }

    #[test]
    fn what_every_machine_knows_needs_no_files() {
        let (_folder, names) = databases(&[]);
        assert_eq!(names.service("ssh"), [(22, Transport::Tcp)]);
        assert_eq!(names.proto("tcp"), Some(6));
        assert_eq!(names.host("localhost").len(), 2);
        assert!(names.host("sundown").is_empty());
    }
}
