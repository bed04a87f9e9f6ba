//! A kernel stack as what it means, by a table of functions and words that the script brings along.

use crate::decode::Stack;
use crate::output::Names;

/// The words of the first row whose functions are all in the stack; without one, `unknown:` and the stack itself.
pub(super) fn write(
    out: &mut Vec<u8>,
    stack: Stack<'_>,
    rows: &[(String, String)],
    names: &mut Names,
) {
    let mut functions: Vec<Vec<u8>> = Vec::new();
    for (depth, address) in stack.frames().enumerate() {
        // As for stacks that are printed: all but the innermost are return addresses.
        let back = u64::from(depth > 0);
        if let Some(symbol) = names.kernel.lookup(address.wrapping_sub(back)) {
            functions.push(symbol.name.to_vec());
        }
    }
    match rows.iter().find(|(wanted, _)| fits(wanted, &functions)) {
        Some((_, words)) => out.extend_from_slice(words.as_bytes()),
        None => {
            out.extend_from_slice(b"unknown:");
            super::write_stack(out, stack, names);
        }
    }
}

/// Whether all functions are there. What the compiler made of one (`f.isra.0`, `f.cold`) counts as the function.
fn fits(wanted: &str, functions: &[Vec<u8>]) -> bool {
    let is_there = |name: &str| {
        functions.iter().any(|function| {
            function
                .split(|byte| *byte == b'.')
                .next()
                .is_some_and(|base| base == name.as_bytes())
        })
    };
    wanted.split_ascii_whitespace().all(is_there)
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn all_functions_of_a_row_must_be_there() {
        let stack: Vec<Vec<u8>> = ["nf_ct_delete", "gc_worker.isra.0", "process_one_work"]
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        assert!(fits("gc_worker", &stack));
        assert!(fits("process_one_work nf_ct_delete", &stack));
        assert!(!fits("gc_worker ctnetlink_del_conntrack", &stack));
        assert!(!fits("worker", &stack));
    }
}
