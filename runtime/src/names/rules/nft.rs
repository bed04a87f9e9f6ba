//! What `nft -a list ruleset` prints, taken apart.
//!
//! In: its output. Out: every rule with the handles of its table and of itself, its place and its text as it stands there. The output
//! is read line by line: a rule ends with `# handle N`; one with long sets, or with a chain in braces, takes several lines.

/// A rule of nf_tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// Handle of its table, unique in a namespace.
    pub(super) table: u64,
    /// Its handle, unique in its table.
    pub(super) handle: u64,
    /// `ip`, `inet`, …
    pub(super) family: String,
    /// Name of its table.
    pub(super) table_name: String,
    /// Name of its chain.
    pub(super) chain: String,
    /// Its number in its chain, from 0.
    pub(super) index: usize,
    /// Its text without the handle.
    pub(super) text: String,
}

/// What stands in a table at the moment.
enum Block {
    /// Nothing is open.
    None,
    /// A chain with its name and the number of rules so far.
    Chain(String, usize),
    /// A set, map, flow table, counter or the like.
    Other,
}

#[derive(Default)]
struct Table {
    handle: u64,
    family: String,
    name: String,
}

/// All rules of an output, in order.
pub(super) fn rules(output: &str) -> Vec<Rule> {
    let mut rules = Vec::new();
    let mut table = Table::default();
    let mut block = Block::None;
    // Beginnings of rules whose ends are still to come; more than one inside braces.
    let mut open: Vec<String> = Vec::new();
    for line in output.lines() {
        let (text, handle) = split_handle(line.trim());
        let depth = line.bytes().take_while(|b| *b == b'\t').count();
        match (&mut block, depth) {
            (_, 0) => {
                if let (Some(start), Some(handle)) = (text.strip_prefix("table "), handle) {
                    table = Table::of(start, handle);
                }
                block = Block::None;
            }
            (_, 1) => {
                open.clear();
                block = match text
                    .strip_prefix("chain ")
                    .and_then(|t| t.strip_suffix(" {"))
                {
                    Some(name) => Block::Chain(name.to_owned(), 0),
                    None => Block::Other,
                };
            }
            (Block::Chain(chain, count), _) => {
                if let Some(text) = rule_line(&mut open, text, handle.is_some())
                    && let Some(handle) = handle
                {
                    rules.push(Rule {
                        table: table.handle,
                        handle,
                        family: table.family.clone(),
                        table_name: table.name.clone(),
                        chain: chain.clone(),
                        index: *count,
                        text,
                    });
                    *count += 1;
                }
            }
            (Block::None | Block::Other, _) => {}
        }
    }
    rules
}

impl Table {
    /// Of `inet filter {`.
    fn of(text: &str, handle: u64) -> Table {
        let mut words = text.split(' ');
        let mut word = || words.next().unwrap_or_default().to_owned();
        Table {
            handle,
            family: word(),
            name: word(),
        }
    }
}

/// One line of a chain: a whole rule's text when the line ends one.
fn rule_line(open: &mut Vec<String>, text: &str, ends: bool) -> Option<String> {
    if ends {
        // A rule inside braces does not end the one that has the braces.
        let begun = open.pop_if(|start| text == "}" || !start.ends_with('…'));
        return Some(match begun {
            Some(start) => format!("{start} {text}"),
            None => text.to_owned(),
        });
    }
    // `type filter hook input priority filter; policy accept;` and the chain's comment.
    let of_chain =
        text.starts_with("type ") && text.ends_with(';') || text.starts_with("comment \"");
    match open.last_mut() {
        None if of_chain => {}
        // Rules in braces follow.
        _ if text.ends_with("jump {") || text.ends_with("goto {") => open.push(format!("{text} …")),
        Some(start) if !start.ends_with('…') => {
            start.push(' ');
            start.push_str(text);
        }
        _ => open.push(text.to_owned()),
    }
    None
}

/// `accept # handle 5` to its text and number.
fn split_handle(line: &str) -> (&str, Option<u64>) {
    let parts = line.rsplit_once("# handle ");
    match parts.and_then(|(text, number)| Some((text, number.parse().ok()?))) {
        Some((text, number)) => (text.trim_end(), Some(number)),
        None => (line, None),
    }
}

/// Tables that iptables-nft made, by family: `nft` says so above each.
pub(super) fn of_iptables(output: &str) -> Vec<(String, String)> {
    let tables = output.lines().filter_map(|line| {
        let rest = line.strip_prefix("# Warning: table ")?;
        let (name, _) = rest.split_once(" is managed by iptables-nft")?;
        let (family, table) = name.split_once(' ')?;
        Some((family.to_owned(), table.to_owned()))
    });
    tables.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(output: &str) -> Vec<String> {
        let line = |r: &Rule| {
            format!(
                "{}/{} {} {} {}[{}]: {}",
                r.table, r.handle, r.family, r.table_name, r.chain, r.index, r.text
            )
        };
        rules(output).iter().map(line).collect()
    }

    #[test]
    fn rules_of_chains_with_their_handles() {
        let output = "\
table inet filter { # handle 4
	set bad { # handle 9
		type ipv4_addr
		elements = { 10.0.0.7 }
	}

	chain input { # handle 1
		comment \"what comes in\"
		type filter hook input priority filter; policy accept;
		tcp dport 22 accept # handle 5
		ip saddr @bad counter drop comment \"not # handle 3\" # handle 6
	}

	chain svc { # handle 2
		jump more # handle 7
	}
}
table ip nat { # handle 5
	chain post { # handle 1
		type nat hook postrouting priority srcnat; policy accept;
		oifname \"wan\" masquerade # handle 2
	}
}
";
        assert_eq!(
            show(output),
            [
                "4/5 inet filter input[0]: tcp dport 22 accept",
                "4/6 inet filter input[1]: ip saddr @bad counter drop comment \"not # handle 3\"",
                "4/7 inet filter svc[0]: jump more",
                "5/2 ip nat post[0]: oifname \"wan\" masquerade",
            ]
        );
    }

    #[test]
    fn rules_on_several_lines_and_chains_in_braces() {
        let output = "\
table ip t { # handle 1
	chain c { # handle 1
		ip saddr { 10.0.0.1, 10.0.0.2,
			 10.0.0.3 } drop # handle 3
		tcp dport 80 jump {
			ip saddr 10.0.0.9 accept # handle 6
		} # handle 7
		accept # handle 8
	}
}
";
        assert_eq!(
            show(output),
            [
                "1/3 ip t c[0]: ip saddr { 10.0.0.1, 10.0.0.2, 10.0.0.3 } drop",
                "1/6 ip t c[1]: ip saddr 10.0.0.9 accept",
                "1/7 ip t c[2]: tcp dport 80 jump { … }",
                "1/8 ip t c[3]: accept",
            ]
        );
    }

    #[test]
    fn tables_of_iptables_are_told() {
        let output = "# Warning: table ip filter is managed by iptables-nft, do not touch!\ntable ip filter { # handle 1\n}\n";
        assert_eq!(
            of_iptables(output),
            [("ip".to_string(), "filter".to_string())]
        );
        assert_eq!(of_iptables("table ip filter { # handle 1\n}\n"), []);
    }

    #[test]
    fn what_is_no_output_of_nft_has_no_rules() {
        for text in ["", "}", "\t}\n\t\t# handle", "table\n\tchain {\n\t\taccept"] {
            assert_eq!(show(text), Vec::<String>::new(), "{text:?}");
        }
    }
}
