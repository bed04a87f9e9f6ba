//! The kernel's symbols: `/proc/kallsyms` as a sorted table.
//!
//! In: the file's text, read in one pass when the first symbol is needed. Out: address to symbol, name to addresses. Each
//! symbol takes 16 bytes and its name, all names lie in one arena: 122 000 symbols take 5.3 MB and 45 ms, most of it the kernel's.
//! The table is read again when the set of loaded modules changes, and, ever more rarely, when an address is unknown.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::coarse::Coarse;

use nettrace_grammar::{Diagnostic, codes};

use super::Symbol;
use super::recent::Recent;

/// Where the kernel shows its symbols.
pub const KALLSYMS: &str = "/proc/kallsyms";

/// kallsyms gives no sizes. An address this far behind the nearest symbol belongs to something unnamed.
const MAX_OFFSET: u64 = 1 << 20;
/// The same behind the last symbol of the kernel or a module, where another module may follow without a gap.
const MAX_OFFSET_LAST: u64 = 16 << 10;
/// Where addresses of the kernel begin: a symbol below is an offset.
const FIRST_ADDRESS: u64 = 1 << 63;
/// Room for modules' per-CPU variables behind the kernel's own (`PERCPU_MODULE_RESERVE` is 8 KiB); some to spare.
const MODULES_RESERVE: u64 = 64 << 10;
/// How often the number of modules is looked at.
const MODULES_INTERVAL: Duration = Duration::from_millis(100);
/// Wait after the first reload that did not explain an unknown address; doubled each time.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LAST_BACKOFF: Duration = Duration::from_secs(64);

/// One symbol of the table.
#[derive(Clone, Copy, Debug)]
struct Entry {
    address: u64,
    /// Where its name starts in the arena; a NUL ends it.
    name: u32,
    /// Index of the module's name plus one; 0 is the kernel itself.
    module: u16,
}

/// A symbol's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// Its address.
    pub address: u64,
    /// The module that has it.
    pub module: Option<&'a str>,
}

/// Why there is no table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// All addresses read as zero: kernel.kptr_restrict, or missing privilege.
    Hidden,
    /// The file cannot be read.
    Unreadable(String),
}

impl Unavailable {
    /// As a problem of the host.
    pub fn diagnostic(&self, path: &str) -> Diagnostic {
        match self {
            Unavailable::Hidden => Diagnostic::host(
                codes::NO_PRIVILEGE,
                format!("the kernel hides its addresses: every symbol in {path} has address 0"),
            )
            .note("addresses are printed without names")
            .help("run as root with `sysctl kernel.kptr_restrict=0` (or 1 with CAP_SYSLOG)"),
            Unavailable::Unreadable(why) => {
                Diagnostic::host(codes::FILE_ERROR, format!("cannot read {path}: {why}"))
                    .note("addresses are printed without names")
                    .help("mount /proc, and use a kernel with CONFIG_KALLSYMS=y")
            }
        }
    }
}

/// More symbols than most kernels have, modules included.
const USUAL_SYMBOLS: usize = 256 << 10;
/// Bytes of so many names.
const USUAL_NAMES: usize = 8 << 20;

/// A table of symbols, sorted by address.
#[derive(Debug, Default)]
pub struct Table {
    entries: Vec<Entry>,
    /// Absolute values, which are no addresses: before 6.15 the offsets of the kernel's own per-CPU variables.
    absolute: Vec<Entry>,
    names: Vec<u8>,
    modules: Vec<Box<str>>,
}

impl Table {
    /// Reads the text of a kallsyms file.
    pub fn read(mut source: impl Read) -> Result<Table, Unavailable> {
        let mut builder = Builder::default();
        // Room that is not used is never touched and costs nothing; growing would copy everything several times.
        builder.table.entries.reserve_exact(USUAL_SYMBOLS);
        builder.table.names.reserve_exact(USUAL_NAMES);
        let mut buffer = vec![0u8; 64 << 10];
        let mut filled = 0;
        loop {
            let room = buffer.get_mut(filled..).unwrap_or_default();
            let read = match source.read(room) {
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Unavailable::Unreadable(error.to_string())),
            };
            let end = filled + read;
            let text = &buffer[..end];
            // Whole lines now; the rest waits for its end. A line that fills the buffer is none of ours.
            let whole = match text.iter().rposition(|&b| b == b'\n') {
                Some(newline) => newline + 1,
                None if read == 0 || end == buffer.len() => end,
                None => 0,
            };
            text[..whole]
                .split(|&b| b == b'\n')
                .for_each(|line| builder.line(line));
            if read == 0 {
                return builder.finish();
            }
            buffer.copy_within(whole..end, 0);
            filled = end - whole;
        }
    }

    /// How many symbols there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The symbol an address belongs to. Of several at one address the first in the file, as the kernel does it.
    pub fn lookup(&self, address: u64) -> Option<Symbol<'_>> {
        self.symbol(self.index(address)?, address)
    }

    fn index(&self, address: u64) -> Option<usize> {
        let after = self.entries.partition_point(|e| e.address <= address);
        let (below, above) = self.entries.split_at_checked(after)?;
        let nearest = below.last()?;
        let aliases = below
            .iter()
            .rev()
            .take_while(|e| e.address == nearest.address);
        let index = after - aliases.count();
        let entry = self.entries.get(index)?;
        let offset = address - entry.address;
        let is_last = above.first().is_none_or(|next| next.module != entry.module);
        let limit = if is_last { MAX_OFFSET_LAST } else { MAX_OFFSET };
        (offset < limit).then_some(index)
    }

    fn symbol(&self, index: usize, address: u64) -> Option<Symbol<'_>> {
        let entry = self.entries.get(index)?;
        Some(Symbol {
            name: self.name(entry),
            offset: address.saturating_sub(entry.address),
            module: self.module(entry),
        })
    }

    /// All places of a name, ascending. A walk over all entries.
    pub fn places(&self, name: &[u8]) -> Vec<Place<'_>> {
        self.entries
            .iter()
            .filter(|entry| self.is_named(entry, name))
            .map(|entry| Place {
                address: entry.address,
                module: self.module(entry),
            })
            .collect()
    }

    /// Places of a per-CPU variable, to which a CPU's entry of `__per_cpu_offset` is added.
    pub fn percpu(&self, name: &[u8]) -> Vec<u64> {
        let named = |entry: &&Entry| self.is_named(entry, name);
        let offsets: Vec<u64> = self
            .absolute
            .iter()
            .filter(named)
            .map(|e| e.address)
            .collect();
        if !offsets.is_empty() {
            return offsets;
        }
        let first = |name: &[u8]| self.places(name).first().map(|place| place.address);
        let section = first(b"__per_cpu_start").zip(first(b"__per_cpu_end"));
        let percpu = |entry: &&Entry| match section {
            Some((start, end)) if entry.module == 0 => (start..end).contains(&entry.address),
            // Modules' variables follow the kernel's own.
            Some((start, end)) => (start..end + MODULES_RESERVE).contains(&entry.address),
            None => entry.address < FIRST_ADDRESS,
        };
        let entries = self.entries.iter();
        entries
            .filter(named)
            .filter(percpu)
            .map(|e| e.address)
            .collect()
    }

    fn name(&self, entry: &Entry) -> &[u8] {
        let rest = self.names.get(entry.name as usize..).unwrap_or_default();
        let end = rest.iter().position(|&b| b == 0).unwrap_or(rest.len());
        &rest[..end]
    }

    /// Whether this is an entry's name, without looking for the end of it.
    fn is_named(&self, entry: &Entry, name: &[u8]) -> bool {
        let rest = self.names.get(entry.name as usize..).unwrap_or_default();
        rest.starts_with(name) && rest.get(name.len()) == Some(&0)
    }

    fn module(&self, entry: &Entry) -> Option<&str> {
        let index = usize::from(entry.module).checked_sub(1)?;
        self.modules.get(index).map(|name| &**name)
    }
}

/// Collects the lines of a kallsyms file.
#[derive(Default)]
struct Builder {
    table: Table,
    /// The module of the previous line: a module's symbols come together.
    module: u16,
    /// Lines whose address was 0.
    hidden: usize,
}

impl Builder {
    /// `ffffffffc0a01230 t nf_ct_delete\t[nf_conntrack]`; lines of another form are left out.
    fn line(&mut self, line: &[u8]) {
        let mut words = line
            .split(|&b| b == b' ' || b == b'\t')
            .filter(|word| !word.is_empty());
        let (Some(address), Some(kind), Some(name)) = (words.next(), words.next(), words.next())
        else {
            return;
        };
        let Some(address) = hex(address) else {
            return;
        };
        if address == 0 {
            self.hidden += 1;
            return;
        }
        // `a`: not an address but an absolute value, such as the offsets of per-CPU variables.
        let absolute = matches!(kind, b"a" | b"A");
        let Ok(start) = u32::try_from(self.table.names.len()) else {
            return;
        };
        let module = words.next().map_or(0, |word| self.module_id(word));
        self.table.names.extend_from_slice(name);
        self.table.names.push(0);
        let entry = Entry {
            address,
            name: start,
            module,
        };
        match absolute {
            true => self.table.absolute.push(entry),
            false => self.table.entries.push(entry),
        }
    }

    fn module_id(&mut self, word: &[u8]) -> u16 {
        let word = word.strip_prefix(b"[").unwrap_or(word);
        let word = word.strip_suffix(b"]").unwrap_or(word);
        let modules = &mut self.table.modules;
        let is = |index: u16| {
            usize::from(index)
                .checked_sub(1)
                .and_then(|i| modules.get(i))
                .is_some_and(|name| name.as_bytes() == word)
        };
        if is(self.module) {
            return self.module;
        }
        let known = modules.iter().position(|name| name.as_bytes() == word);
        let index = known.unwrap_or_else(|| {
            modules.push(String::from_utf8_lossy(word).into());
            modules.len() - 1
        });
        // More than 65 534 modules: their symbols count as the kernel's.
        self.module = u16::try_from(index + 1).unwrap_or(0);
        self.module
    }

    fn finish(mut self) -> Result<Table, Unavailable> {
        let table = &mut self.table;
        if table.entries.is_empty() {
            return Err(if self.hidden > 0 {
                Unavailable::Hidden
            } else {
                Unavailable::Unreadable("it has no symbols".to_string())
            });
        }
        // Stable: of several symbols at one address the first stays first. The file is nearly sorted.
        table.entries.sort_by_key(|entry| entry.address);
        table.entries.shrink_to_fit();
        table.absolute.shrink_to_fit();
        table.names.shrink_to_fit();
        Ok(self.table)
    }
}

fn hex(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    digits.iter().try_fold(0u64, |value, &digit| {
        let digit = char::from(digit).to_digit(16)?;
        Some(value << 4 | u64::from(digit))
    })
}

/// The running kernel's table, read when it is first needed and again when it has become old.
#[derive(Debug)]
pub struct KernelSymbols {
    path: PathBuf,
    state: State,
    /// Indexes into the table.
    recent: Recent,
    /// The problem of the last reading, until somebody takes it.
    problem: Option<Unavailable>,
}

#[derive(Debug)]
enum State {
    Unread,
    Unavailable,
    Ready {
        table: Table,
        /// Links of `/sys/module`: changes when modules come and go.
        modules: u64,
        modules_seen: Coarse,
        /// No reload for an unknown address before this.
        next_reload: Coarse,
        backoff: Duration,
    },
    /// A table that never changes.
    Fixed(Table),
}

impl Default for KernelSymbols {
    fn default() -> Self {
        KernelSymbols::at(KALLSYMS)
    }
}

impl KernelSymbols {
    /// The symbols of this file; it is not read yet.
    pub fn at(path: impl Into<PathBuf>) -> KernelSymbols {
        KernelSymbols {
            path: path.into(),
            state: State::Unread,
            recent: Recent::default(),
            problem: None,
        }
    }

    /// Symbols that are known already and never read again.
    pub fn fixed(table: Table) -> KernelSymbols {
        KernelSymbols {
            path: PathBuf::new(),
            state: State::Fixed(table),
            recent: Recent::default(),
            problem: None,
        }
    }

    /// The symbol an address belongs to; reads the table if need be.
    pub fn lookup(&mut self, address: u64) -> Option<Symbol<'_>> {
        self.refresh();
        let index = match self.recent.get(address) {
            Some(index) => index,
            None => self.search(address)?,
        };
        self.table()?.symbol(index, address)
    }

    /// The place of an address in the table, which may be read again for it.
    fn search(&mut self, address: u64) -> Option<usize> {
        let mut index = self.table().and_then(|table| table.index(address));
        if index.is_none() {
            self.reload_for_miss(address);
            index = self.table().and_then(|table| table.index(address));
        }
        self.recent.put(address, index?);
        index
    }

    /// All places of a name; reads the table if need be.
    pub fn places(&mut self, name: &[u8]) -> Vec<Place<'_>> {
        self.refresh();
        self.table().map_or(Vec::new(), |table| table.places(name))
    }

    /// Places of a per-CPU variable; reads the table if need be.
    pub fn percpu(&mut self, name: &[u8]) -> Vec<u64> {
        self.refresh();
        self.table().map_or(Vec::new(), |table| table.percpu(name))
    }

    /// Why there are no symbols; told once.
    pub fn take_problem(&mut self) -> Option<Diagnostic> {
        let problem = self.problem.take()?;
        Some(problem.diagnostic(&self.path.display().to_string()))
    }

    fn table(&self) -> Option<&Table> {
        match &self.state {
            State::Ready { table, .. } | State::Fixed(table) => Some(table),
            State::Unread | State::Unavailable => None,
        }
    }

    /// Reads the table the first time and whenever modules have come or gone.
    fn refresh(&mut self) {
        match &mut self.state {
            State::Unread => self.load(FIRST_BACKOFF),
            State::Ready {
                modules,
                modules_seen,
                ..
            } => {
                if modules_seen.elapsed() < MODULES_INTERVAL {
                    return;
                }
                *modules_seen = Coarse::now();
                if module_links() != *modules {
                    self.load(FIRST_BACKOFF);
                }
            }
            State::Unavailable | State::Fixed(_) => {}
        }
    }

    /// Trampolines and BPF programs come without a module: look again, but not for every wrong address.
    fn reload_for_miss(&mut self, address: u64) {
        let State::Ready {
            next_reload,
            backoff,
            ..
        } = &self.state
        else {
            return;
        };
        // User addresses and small numbers are never in the table.
        let plausible = address >> (u64::BITS - 1) == 1;
        if plausible && Coarse::now() >= *next_reload {
            let backoff = (*backoff * 2).min(LAST_BACKOFF);
            self.load(backoff);
        }
    }

    fn load(&mut self, backoff: Duration) {
        let modules = module_links();
        let read = File::open(&self.path)
            .map_err(|error| Unavailable::Unreadable(error.to_string()))
            .and_then(Table::read);
        let now = Coarse::now();
        match read {
            Ok(table) => {
                self.recent.clear();
                self.state = State::Ready {
                    table,
                    modules,
                    modules_seen: now,
                    next_reload: now + backoff,
                    backoff,
                };
            }
            // An old table is better than none.
            Err(_) if self.table().is_some() => {}
            Err(problem) => {
                self.state = State::Unavailable;
                self.problem = Some(problem);
            }
        }
    }
}

/// A directory's link count is 2 and one for each directory in it.
fn module_links() -> u64 {
    std::fs::metadata("/sys/module").map_or(0, |meta| meta.nlink())
}

#[cfg(test)]
mod tests;
