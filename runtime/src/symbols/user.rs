//! The symbols of processes, through blazesym.
//!
//! In: a process id and addresses in it. Out: symbol names, demangled. Names are asked for when they are printed, so the
//! process may be gone: what was learnt about it while it lived is used then, and what has no name stays a number.

use std::collections::HashMap;
use std::time::Duration;

use crate::coarse::Coarse;

use blazesym::symbolize::source::{Process, Source};
use blazesym::symbolize::{Input, Symbolized, Symbolizer};

/// How long names (and their absence) are believed: `execve` and `dlopen` change what addresses mean.
const FRESH: Duration = Duration::from_secs(1);
/// More processes than this are not remembered.
const MAX_PROCESSES: usize = 1024;

/// The name of a user address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserSymbol {
    /// Demangled.
    pub name: String,
    /// Bytes from the symbol's start.
    pub offset: u64,
}

/// What is known of one process.
#[derive(Default)]
struct Known {
    names: HashMap<u64, UserSymbol>,
    asked: Option<Coarse>,
    /// It could be read when it was asked.
    alive: bool,
}

/// Names addresses of processes; does nothing until the first one.
#[derive(Default)]
pub struct UserSymbols {
    symbolizer: Option<Symbolizer>,
    processes: HashMap<u32, Known>,
}

impl std::fmt::Debug for UserSymbols {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserSymbols")
            .field("processes", &self.processes.len())
            .finish_non_exhaustive()
    }
}

impl UserSymbols {
    /// Names for addresses of one process, in order; `None` where there is none.
    pub fn lookup(&mut self, pid: u64, addresses: &[u64]) -> Vec<Option<UserSymbol>> {
        // Process 0 is the idle task; blazesym would take it for ourselves.
        let Some(pid) = u32::try_from(pid).ok().filter(|pid| *pid != 0) else {
            return vec![None; addresses.len()];
        };
        if self.processes.len() >= MAX_PROCESSES && !self.processes.contains_key(&pid) {
            self.processes.clear();
        }
        let symbolizer = self.symbolizer.get_or_insert_with(|| {
            Symbolizer::builder()
                .enable_code_info(false)
                .enable_inlined_fns(false)
                .build()
        });
        let known = self.processes.entry(pid).or_default();
        known.learn(symbolizer, pid, addresses);
        addresses
            .iter()
            .map(|a| known.names.get(a).cloned())
            .collect()
    }
}

impl Known {
    fn learn(&mut self, symbolizer: &Symbolizer, pid: u32, addresses: &[u64]) {
        let fresh = self.asked.is_some_and(|asked| asked.elapsed() < FRESH);
        let complete = addresses.iter().all(|a| self.names.contains_key(a));
        if fresh && (complete || !self.alive) {
            return;
        }
        let source = Source::Process(Process::new(pid.into()));
        let symbols = symbolizer.symbolize(&source, Input::AbsAddr(addresses));
        self.alive = symbols.is_ok();
        if !fresh {
            self.asked = Some(Coarse::now());
        }
        let Ok(symbols) = symbols else {
            return;
        };
        if !fresh {
            self.names.clear();
        }
        let named = addresses.iter().zip(symbols);
        self.names
            .extend(named.filter_map(|(a, symbol)| Some((*a, name(symbol)?))));
    }
}

fn name(symbol: Symbolized<'_>) -> Option<UserSymbol> {
    let symbol = symbol.into_sym()?;
    Some(UserSymbol {
        name: symbol.name.into_owned(),
        offset: symbol.offset as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_gone_has_no_names() {
        let mut symbols = UserSymbols::default();
        // Larger than any pid_max.
        assert_eq!(symbols.lookup(1 << 30, &[0x1000, 0x2000]), [None, None]);
        assert_eq!(symbols.lookup(u64::MAX, &[0x1000]), [None]);
        assert_eq!(symbols.lookup(0, &[0x1000]), [None]);
    }

    #[test]
    fn names_functions_of_a_living_process() {
        #[unsafe(no_mangle)]
        extern "C" fn nettrace_known_function() -> u32 {
            7
        }
        let address = nettrace_known_function as *const () as u64;
        let mut symbols = UserSymbols::default();
        let found = symbols.lookup(std::process::id().into(), &[address, 1]);
        let function = UserSymbol {
            name: "nettrace_known_function".to_string(),
            offset: 0,
        };
        assert_eq!(found, [Some(function), None]);
    }
}
