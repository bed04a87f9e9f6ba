//! The list of wanted names: one per line, `struct nf_conn`, `func nf_ct_delete`, `trace kfree_skb`; `#` begins a comment.

use nettrace_compiler::kernel::btf::raw::kind;

/// Something to keep with everything that it contains.
pub(crate) struct Wanted {
    /// `BTF_KIND_*`, any of them.
    pub(crate) kinds: &'static [u8],
    /// Its name.
    pub(crate) name: String,
    /// Told when the kernel does not have it.
    pub(crate) required: bool,
}

/// Reads the list.
pub(crate) fn parse(text: &str) -> Result<Vec<Wanted>, String> {
    let mut wanted = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line
            .split('#')
            .next()
            .unwrap_or("")
            .split_whitespace()
            .collect();
        let mut add = |kinds, name: String, required| {
            wanted.push(Wanted {
                kinds,
                name,
                required,
            })
        };
        match words[..] {
            [] => {}
            ["struct", name] => add(&[kind::STRUCT], name.to_string(), true),
            ["union", name] => add(&[kind::UNION], name.to_string(), true),
            ["enum", name] => add(&[kind::ENUM, kind::ENUM64], name.to_string(), true),
            ["typedef", name] => add(&[kind::TYPEDEF], name.to_string(), true),
            ["int", ref name @ ..] => add(&[kind::INT], name.join(" "), true),
            ["func", name] => add(&[kind::FUNC], name.to_string(), true),
            ["trace", name] => {
                add(&[kind::TYPEDEF], format!("btf_trace_{name}"), true);
                add(&[kind::FUNC], format!("__traceiter_{name}"), false);
                add(&[kind::FUNC], format!("__probestub_{name}"), false);
            }
            _ => return Err(format!("not understood: {line}")),
        }
    }
    Ok(wanted)
}
