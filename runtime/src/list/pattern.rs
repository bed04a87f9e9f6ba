//! What to list: `kprobe:nf_ct_*`, `*:nf_*`, `tracepoint:net:*`, `*sleep*`, `struct iphdr`, several separated by commas.
//!
//! In: the text of `nettrace -l`. Out: for each part which probe kinds and names, or which types, it selects.

use nettrace_compiler::kernel::{TypeKind, glob};
use nettrace_compiler::probes::{ContextKind, ProbeKind};

/// One part of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    /// `struct nf_*`
    Types(TypeKind, String),
    /// `KIND:…`; the kind may be a pattern.
    Probes {
        /// As written.
        kind: String,
        /// What follows the kind, without its colons.
        parts: Vec<String>,
    },
    /// Without a colon: a kind, or a name among all kinds.
    Name(String),
}

/// What a pattern selects of one kind: the module or category, and the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Selector {
    /// `None`: any, and the pattern did not mention it.
    pub(super) group: Option<String>,
    /// A pattern.
    pub(super) name: String,
}

impl Selector {
    /// Whether it selects this.
    pub(super) fn takes(&self, group: Option<&str>, name: &str) -> bool {
        let group = group.unwrap_or("vmlinux");
        glob::matches(&self.name, name)
            && self
                .group
                .as_deref()
                .is_none_or(|g| glob::matches(g, group))
    }
}

/// Reads the text; an empty one means everything.
pub(super) fn parse(text: &str) -> Vec<Pattern> {
    let parts: Vec<&str> = text
        .split(',')
        .map(str::trim)
        .filter(|p| !p.is_empty())
        .collect();
    match parts.is_empty() {
        true => vec![Pattern::Name("*".to_string())],
        false => parts.into_iter().map(one).collect(),
    }
}

fn one(text: &str) -> Pattern {
    if let Some((word, name)) = text.split_once(char::is_whitespace) {
        let kind = match word {
            "struct" => Some(TypeKind::Struct),
            "union" => Some(TypeKind::Union),
            "enum" => Some(TypeKind::Enum),
            "typedef" => Some(TypeKind::Typedef),
            _ => None,
        };
        if let Some(kind) = kind {
            return Pattern::Types(kind, name.trim().to_string());
        }
    }
    let mut parts = text.split(':').map(str::to_string);
    match (parts.next(), parts.collect::<Vec<_>>()) {
        (Some(kind), parts) if !parts.is_empty() => Pattern::Probes { kind, parts },
        _ => Pattern::Name(text.to_string()),
    }
}

impl Pattern {
    /// What it selects of a kind.
    pub(super) fn select(&self, kind: &ProbeKind) -> Option<Selector> {
        let all = || Selector {
            group: None,
            name: "*".to_string(),
        };
        match self {
            Pattern::Types(..) => None,
            Pattern::Name(text) if is_kind(text, kind) => Some(all()),
            // `begin` and the like have no name but that of their kind.
            Pattern::Name(_) if kind.context == ContextKind::None => None,
            Pattern::Name(text) => Some(Selector {
                group: None,
                name: text.clone(),
            }),
            Pattern::Probes { kind: wanted, .. } if !is_kind(wanted, kind) => None,
            Pattern::Probes { parts, .. } => match &parts[..] {
                [one] if one.is_empty() => Some(all()),
                [category] if kind.context == ContextKind::Record => Some(Selector {
                    group: Some(category.clone()),
                    name: "*".to_string(),
                }),
                [name] => Some(Selector {
                    group: None,
                    name: name.clone(),
                }),
                [group, name] => Some(Selector {
                    group: Some(group.clone()),
                    name: name.clone(),
                }),
                _ => None,
            },
        }
    }

    /// Whether it names this kind, not just a pattern that includes it.
    pub(super) fn names(&self, kind: &ProbeKind) -> bool {
        match self {
            Pattern::Probes { kind: text, .. } | Pattern::Name(text) => {
                !glob::is_pattern(text) && is_kind(text, kind)
            }
            Pattern::Types(..) => false,
        }
    }
}

/// Whether a text is a name, alias or pattern of a kind; upper and lower case are the same.
fn is_kind(text: &str, kind: &ProbeKind) -> bool {
    let text = text.to_ascii_lowercase();
    glob::matches(&text, kind.name) || kind.aliases.contains(&text.as_str())
}
