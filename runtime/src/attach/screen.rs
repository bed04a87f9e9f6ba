//! Which of many functions cannot be attached, known before the kernel is asked.
//!
//! In: targets that are functions. Out: the good ones, and the others with their reasons. The kernel's list of functions that ftrace
//! knows is read once, 20 ms: it takes all or none into a kprobe-multi link and does not say which one it dislikes, and one refusal
//! for a single probe costs as much as an attached probe.

use std::collections::{HashMap, HashSet};

use nettrace_compiler::artifact::Target;

use super::KernelFunctions;
use super::kprobe::place;
use super::report::Problem;

/// Where the functions of each name are: a module, or `None` for vmlinux, one entry per function.
pub type Homes = HashMap<String, Vec<Option<String>>>;

/// Targets, sorted.
pub(super) struct Screened<'a> {
    pub(super) good: Vec<&'a Target>,
    pub(super) bad: Vec<(&'a Target, Problem)>,
}

/// Sorts targets. All are good when the list cannot be read: then the kernel has the word.
pub(super) fn screen<'a>(targets: &'a [Target], functions: &dyn KernelFunctions) -> Screened<'a> {
    let names: HashSet<&str> = targets
        .iter()
        .filter_map(|t| place(t).map(|p| p.symbol))
        .collect();
    let mut screened = Screened {
        good: Vec::new(),
        bad: Vec::new(),
    };
    let Some(homes) = functions.traceable(&names) else {
        screened.good.extend(targets);
        return screened;
    };
    for target in targets {
        match judge(target, &homes) {
            None => screened.good.push(target),
            Some(problem) => screened.bad.push((target, problem)),
        }
    }
    screened
}

fn judge(target: &Target, homes: &Homes) -> Option<Problem> {
    let place = place(target)?;
    let none = Vec::new();
    let homes = homes.get(place.symbol).unwrap_or(&none);
    match homes.as_slice() {
        [home] if home.as_deref() == place.module => None,
        [] | [_] => Some(Problem::NotTraceable(
            "ftrace does not know it: it is marked `notrace`, inlined everywhere, or was renamed by the compiler"
                .to_owned(),
        )),
        several => {
            let count = several.len();
            Some(Problem::Ambiguous(Some(format!(
                "a name that {count} functions share"
            ))))
        }
    }
}

#[cfg(test)]
mod tests {
    use nettrace_compiler::artifact::Attach;

    use super::*;
    use crate::attach::BtfFunction;

    /// Knows these lines of `available_filter_functions`.
    struct Listed(&'static [(&'static str, Option<&'static str>)]);

    impl KernelFunctions for Listed {
        fn btf_function(&self, _: &str, _: Option<&str>) -> Option<BtfFunction> {
            None
        }
        fn module_loaded(&self, _: &str) -> bool {
            true
        }
        fn untraceable(&self, _: &str, _: Option<&str>) -> Option<String> {
            None
        }
        fn similar(&self, _: &str) -> Vec<String> {
            Vec::new()
        }
        fn traceable(&self, names: &HashSet<&str>) -> Option<Homes> {
            let mut homes = Homes::new();
            for (name, module) in self.0.iter().filter(|(name, _)| names.contains(name)) {
                let module = module.map(str::to_owned);
                homes.entry((*name).to_owned()).or_default().push(module);
            }
            (!self.0.is_empty()).then_some(homes)
        }
    }

    fn targets() -> Vec<Target> {
        let target = |(symbol, module): (&str, Option<&str>)| Target {
            attach: Attach::Kprobe {
                symbol: symbol.to_owned(),
                module: module.map(str::to_owned),
                offset: 0,
            },
            probe: format!("skb:{symbol}"),
            cookie: 0,
            packet: Some(0),
            span: (0, 0),
        };
        let all = [
            ("ip_rcv", None),
            ("nla_put", None),
            ("reg_vif_xmit", None),
            ("nf_confirm", Some("nf_conntrack")),
            ("helper", Some("nf_nat")),
        ];
        all.into_iter().map(target).collect()
    }

    #[test]
    fn what_ftrace_does_not_know_or_knows_twice_is_left_out() {
        let kernel = Listed(&[
            ("ip_rcv", None),
            ("reg_vif_xmit", None),
            ("reg_vif_xmit", None),
            ("nf_confirm", Some("nf_conntrack")),
            // Another function of the same name.
            ("helper", Some("nf_tables")),
        ]);
        let targets = targets();
        let screened = screen(&targets, &kernel);
        let good: Vec<&str> = screened.good.iter().map(|t| t.probe.as_str()).collect();
        assert_eq!(good, ["skb:ip_rcv", "skb:nf_confirm"]);
        let bad: Vec<(&str, bool)> = screened
            .bad
            .iter()
            .map(|(t, p)| (t.probe.as_str(), matches!(p, Problem::Ambiguous(_))))
            .collect();
        assert_eq!(
            bad,
            [
                ("skb:nla_put", false),
                ("skb:reg_vif_xmit", true),
                ("skb:helper", false)
            ]
        );
    }

    #[test]
    fn without_a_list_the_kernel_decides() {
        let targets = targets();
        let screened = screen(&targets, &Listed(&[]));
        assert_eq!((screened.good.len(), screened.bad.len()), (5, 0));
    }
}
