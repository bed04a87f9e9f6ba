//! The table of probe kinds: one row per kind.
//!
//! A row says how the kind is written, what its context holds and how its program section is named. Parsing of attach points,
//! listing, help and the compiler read the same row.

/// The kernel's struct that describes a packet.
pub const PACKET: &str = "sk_buff";

/// The kernel's struct that describes where a netfilter hook is called.
pub const HOOK_STATE: &str = "nf_hook_state";

/// The register in which a netfilter hook gets the packet; the state is in the next one.
pub const HOOK_PACKET: u8 = 1;

/// What a program of this kind gets as its context.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ContextKind {
    /// Nothing of use.
    None,
    /// `struct pt_regs` at a function's entry.
    Entry,
    /// `struct pt_regs` at the entry of a function that takes a packet, in a register that the attach cookie tells.
    Packet,
    /// `struct pt_regs` at a function's return.
    Return,
    /// `u64[]`: the arguments of the traced function (fentry).
    Args,
    /// `u64[]`: the arguments and the result (fexit).
    ArgsAndResult,
    /// `u64[]`: the arguments of the trace event (raw tracepoint).
    EventArgs,
    /// The event's record as the format file describes it (tracepoint).
    Record,
}

/// A row.
#[derive(Debug)]
pub struct ProbeKind {
    /// `kprobe`
    pub name: &'static str,
    /// Short and old names: `k`.
    pub aliases: &'static [&'static str],
    /// How it is written: `kprobe:[MODULE:]FUNCTION[+OFFSET]`.
    pub usage: &'static str,
    /// One sentence for help and manual.
    pub doc: &'static str,
    /// What the program gets.
    pub context: ContextKind,
    /// Prefix of the ELF section: `kprobe/`.
    pub section: &'static str,
}

impl ProbeKind {
    /// Whether its targets are netfilter hooks.
    pub fn is_hook(&self) -> bool {
        matches!(self.name, "hook" | "hookret")
    }
}

/// All kinds.
pub static KINDS: &[ProbeKind] = &[
    ProbeKind {
        name: "begin",
        aliases: &[],
        usage: "begin",
        doc: "Runs once, before any other probe attaches.",
        context: ContextKind::None,
        section: "raw_tp/",
    },
    ProbeKind {
        name: "end",
        aliases: &[],
        usage: "end",
        doc: "Runs once, after all other probes have detached.",
        context: ContextKind::None,
        section: "raw_tp/",
    },
    ProbeKind {
        name: "interval",
        aliases: &["i"],
        usage: "interval:UNIT:N",
        doc: "Runs regularly on one CPU; the unit is hz, s, ms or us.",
        context: ContextKind::None,
        section: "raw_tp/",
    },
    ProbeKind {
        name: "kprobe",
        aliases: &["k"],
        usage: "kprobe:[MODULE:]FUNCTION[+OFFSET]",
        doc: "Entry of a kernel function, or an instruction in it.",
        context: ContextKind::Entry,
        section: "kprobe/",
    },
    ProbeKind {
        name: "kretprobe",
        aliases: &["kr"],
        usage: "kretprobe:[MODULE:]FUNCTION",
        doc: "Return of a kernel function; has the entry's arguments too, where BTF describes the function.",
        context: ContextKind::Return,
        section: "kretprobe/",
    },
    ProbeKind {
        name: "skb",
        aliases: &[],
        usage: "skb:[MODULE:]PATTERN",
        doc: "Entry of every kernel function that takes a packet; `skb` is the packet.",
        context: ContextKind::Packet,
        section: "kprobe/",
    },
    ProbeKind {
        name: "hook",
        aliases: &[],
        usage: "hook:[MODULE:]PATTERN",
        doc: "Entry of every netfilter hook function; its arguments are `arg0` (private), `arg1` (packet), `arg2` (struct nf_hook_state *).",
        context: ContextKind::Entry,
        section: "kprobe/",
    },
    ProbeKind {
        name: "hookret",
        aliases: &[],
        usage: "hookret:[MODULE:]PATTERN",
        doc: "Return of every netfilter hook function; `retval` is the verdict.",
        context: ContextKind::Return,
        section: "kretprobe/",
    },
    ProbeKind {
        name: "tracepoint",
        aliases: &["t"],
        usage: "tracepoint:CATEGORY:EVENT",
        doc: "A static event of the kernel with named fields.",
        context: ContextKind::Record,
        section: "tracepoint/",
    },
    ProbeKind {
        name: "rawtracepoint",
        aliases: &["rt"],
        usage: "rawtracepoint:[MODULE:]EVENT",
        doc: "The same events with their raw arguments; cheaper.",
        context: ContextKind::EventArgs,
        section: "raw_tp/",
    },
    ProbeKind {
        name: "fentry",
        aliases: &["f", "kfunc"],
        usage: "fentry:[MODULE:]FUNCTION",
        doc: "Entry of a kernel function, with typed arguments; cheaper than kprobe.",
        context: ContextKind::Args,
        section: "fentry/",
    },
    ProbeKind {
        name: "fexit",
        aliases: &["fr", "kretfunc"],
        usage: "fexit:[MODULE:]FUNCTION",
        doc: "Return of a kernel function, with its arguments and result.",
        context: ContextKind::ArgsAndResult,
        section: "fexit/",
    },
];

/// What a probe at a function's return runs as when its body uses the arguments: registers are gone by then, but the kernel keeps the
/// arguments for programs of this kind.
pub(crate) fn with_arguments(kind: &'static ProbeKind) -> &'static ProbeKind {
    match kind.context {
        ContextKind::Return => find("fexit").unwrap_or(kind),
        _ => kind,
    }
}

/// The kind with this name or alias; upper and lower case are the same.
pub fn find(name: &str) -> Option<&'static ProbeKind> {
    KINDS.iter().find(|k| {
        k.name.eq_ignore_ascii_case(name) || k.aliases.iter().any(|a| a.eq_ignore_ascii_case(name))
    })
}
