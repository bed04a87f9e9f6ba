//! The table of builtins: one row per name that a script can use without declaring it.
//!
//! A row says everything: name, form, signature, documentation, how it is checked and how it is lowered. Help, completion, the
//! manual and the compiler read the same row. Rows live in the files of this folder, one family per file; `sizeof` and
//! `offsetof` are not here, they are syntax.

use crate::check::{CallSite, Checker};
use crate::ir;
use crate::lower::{Lower, Place};
use crate::typed;

mod comptime;
mod context;
mod filter;
mod flow;
mod given;
mod group;
mod kformat;
mod known;
mod maps;
mod memory;
mod network;
mod output;
mod rules;
mod stack;
mod symbols;
mod task;
mod text;
mod time;

pub(crate) use context::register_number;
pub(crate) use group::is_group;
pub use known::{Elsewhere, elsewhere};

/// How a builtin is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// `pid`; `pid()` means the same.
    Variable,
    /// `printf(…)`
    Function,
    /// `kstack` and `kstack(3)`.
    Both,
}

/// Checks a use and gives the typed expression; `None` after reporting an error.
pub type Check = fn(&mut Checker<'_>, &CallSite<'_>) -> Option<typed::Expr>;

/// How a checked use becomes IR.
#[derive(Clone, Copy)]
pub enum Lowering {
    /// Nothing is left to do at run time: `check` gives a constant or another expression.
    Never,
    /// Gives a scalar.
    Value(fn(&mut Lower<'_>, &typed::Call) -> ir::Value),
    /// Writes a value in memory to where it is wanted.
    Into(fn(&mut Lower<'_>, &typed::Call, &Place)),
    /// Acts; has no value.
    Action(fn(&mut Lower<'_>, &typed::Call)),
}

/// A row.
pub struct Builtin {
    /// As written in scripts; `argN` stands for `arg0`, `arg1`, ….
    pub name: &'static str,
    /// With or without parentheses.
    pub form: Form,
    /// `uint32 pid`, `void printf(string fmt, …)`
    pub signature: &'static str,
    /// One or two sentences for help and manual.
    pub doc: &'static str,
    /// The check.
    pub check: Check,
    /// The lowering.
    pub lower: Lowering,
}

impl std::fmt::Debug for Builtin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// The families in the order of the manual: title and rows.
pub static FAMILIES: &[(&str, &[Builtin])] = &[
    ("Task and CPU", task::ROWS),
    ("Time", time::ROWS),
    ("Probe and its arguments", context::ROWS),
    ("Stacks", stack::ROWS),
    ("Symbols", symbols::ROWS),
    ("Memory, strings and addresses", memory::ROWS),
    ("Length and order", text::ROWS),
    ("Network", network::ROWS),
    ("Flows and meanings", flow::ROWS),
    ("Rules of packet filters", rules::ROWS),
    ("Packet filters", filter::ROWS),
    ("Messages of the kernel", kformat::ROWS),
    ("Output", output::ROWS),
    ("Output that belongs together", group::ROWS),
    ("Maps and aggregations", maps::ROWS),
    ("Options and questions about the kernel", comptime::ROWS),
    ("What options name", given::ROWS),
];

/// All rows.
pub fn all() -> impl Iterator<Item = &'static Builtin> {
    FAMILIES.iter().flat_map(|(_, rows)| rows.iter())
}

/// The row that a name in a script means.
pub fn find(name: &str) -> Option<&'static Builtin> {
    let name = if context::register_number(name).is_some() {
        "argN"
    } else {
        name
    };
    all().find(|row| row.name == name)
}
