//! What the compiler hands to the runtime: one ELF object that carries everything.
//!
//! [`Plan`] is stored as JSON in the object's `.nettrace` section, so that a file written by `nettrace build` needs no
//! compiler to run. It holds no addresses, file descriptors or paths of the machine. [`Layout`] is the only description of
//! the bytes that programs write and the runtime decodes.

use serde::{Deserialize, Serialize};

use crate::define_id;
use crate::index::IndexVec;

define_id!(
    /// A kernel map of the object.
    MapId, "m"
);
define_id!(
    /// A kind of event: its number is the first field of the record.
    EventId, "e"
);
define_id!(
    /// A program of the object; also the index of its loss counter.
    ProgramId, "p"
);

/// The ELF section that holds the plan.
pub const PLAN_SECTION: &str = ".nettrace";
/// Raised whenever [`Plan`] or the wire changes its meaning; the runtime refuses other versions.
pub const PLAN_VERSION: u32 = 1;

/// A finished compilation.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// The object: programs, maps, BTF, lines, and the plan itself.
    pub elf: Vec<u8>,
    /// The same plan as in the object.
    pub plan: Plan,
}

/// Everything the runtime must know beside the programs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// [`PLAN_VERSION`].
    pub version: u32,
    /// Programs in script order.
    pub programs: IndexVec<ProgramId, Program>,
    /// All kernel maps, the script's own and nettrace's.
    pub maps: IndexVec<MapId, Map>,
    /// What programs send through the ring buffer.
    pub events: IndexVec<EventId, Event>,
    /// The ring buffer; absent when no program sends anything.
    pub ring: Option<MapId>,
    /// The control map: one value holding [`CONTROL_ENABLED`], a loss counter per program, and one per map ([`control_full`]).
    pub control: Option<MapId>,
    /// Run-time settings of the config block.
    pub settings: Settings,
    /// The number of the entry in an interactive session, 0 outside of one; see [`event_number`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub entry: u32,
    /// The scripts, so that messages about an object file can quote them: name and text.
    pub sources: Vec<(String, String)>,
}

/// The first word of a record: the event of an entry. Entries of a session share a ring buffer.
pub fn event_number(entry: u32, event: EventId) -> u64 {
    u64::from(entry) << 32 | u64::from(event.0)
}

/// Of events in objects that do not say.
fn first_program() -> ProgramId {
    ProgramId(0)
}

#[allow(clippy::trivially_copy_pass_by_ref)] // As serde calls it.
fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// Offset in the control map's value of the `u64` that is 1 while programs may record.
pub const CONTROL_ENABLED: u32 = 0;

/// Bytes of the format string in [`Layout::KFormat`].
pub const KFORMAT_TEXT: u32 = 128;

/// Arguments in [`Layout::KFormat`].
pub const KFORMAT_ARGS: u32 = 4;

/// Bytes of what an argument may point to in [`Layout::KFormat`].
pub const KFORMAT_STRING: u32 = 64;

/// Bytes of [`Layout::Flow`].
pub const FLOW_SIZE: u32 = 40;

/// Bytes of a chain's name in [`Layout::Rule`].
pub const RULE_CHAIN: u32 = 32;

/// Bytes of [`Layout::Rule`].
pub const RULE_SIZE: u32 = 32 + RULE_CHAIN;

/// The last byte of a string that did not fit where a program put it. UTF-8 text never holds this byte.
pub const STRING_CUT: u8 = 0xff;

/// Offset in the control map's value of the `u64` that `elapsed` counts from, nanoseconds of `CLOCK_BOOTTIME`; while it is 0 the
/// first program that asks sets it.
pub const CONTROL_START: u32 = 8;

/// Offset in the control map's value of a program's `u64` counter of lost events.
pub fn control_lost(program: ProgramId) -> u32 {
    16 + 8 * program.0
}

/// Offset in the control map's value of the `u64` counter of entries that a map had no room for, behind those of the programs. A map
/// that nothing is put into has none: then the value ends before.
pub fn control_full(programs: usize, map: MapId) -> u32 {
    control_size(programs).saturating_add(map.0.saturating_mul(8))
}

/// The size of the control map's value without counters of maps.
pub fn control_size(programs: usize) -> u32 {
    16 + 8 * programs as u32
}

/// Settings that act at run time (the rest of `config` acts while compiling).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// What happens to a target that does not exist.
    pub missing_probes: MissingProbes,
    /// Print all maps at the end.
    pub print_maps_on_exit: bool,
    /// Appended to strings that were cut off.
    pub str_trunc_trailer: String,
    /// How stacks are printed unless the script says so.
    pub stack_mode: StackMode,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            missing_probes: MissingProbes::Error,
            print_maps_on_exit: true,
            str_trunc_trailer: "..".to_string(),
            stack_mode: StackMode::Bpftrace,
        }
    }
}

/// `config = { missing_probes = … }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)] // As the option's values.
pub enum MissingProbes {
    Error,
    Warn,
    Ignore,
}

/// How a stack is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StackMode {
    /// Eight spaces, symbol, offset.
    Bpftrace,
    /// A tab, hexadecimal address, symbol, offset.
    Perf,
    /// Bare hexadecimal addresses.
    Raw,
}

/// A program: one compiled body and where it goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Program {
    /// ELF symbol of the program.
    pub symbol: String,
    /// Where it attaches. All targets are of one [`AttachKind`].
    pub targets: Vec<Target>,
    /// The script's probe: byte range in the sources' common offset space.
    pub span: (u32, u32),
    /// Whether the body reads the attach cookie (then the runtime must set it).
    pub uses_cookie: bool,
}

/// One place a program attaches to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// What to attach to.
    pub attach: Attach,
    /// The full name, as builtin `probe` gives it: `kprobe:nf_ct_delete`.
    pub probe: String,
    /// The index of this target in the plan, counted over all programs, and in a session over all entries; the low half of the
    /// attach cookie.
    pub cookie: u64,
    /// In an `skb` probe the argument register that holds the packet, counted from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packet: Option<u8>,
    /// Where the script names it.
    pub span: (u32, u32),
}

/// How far the number of the packet's register is shifted up in an attach cookie.
pub const COOKIE_PACKET_SHIFT: u32 = 32;

impl Target {
    /// The value that the program reads as its attach cookie.
    pub fn attach_cookie(&self) -> u64 {
        self.cookie | u64::from(self.packet.unwrap_or(0)) << COOKIE_PACKET_SHIFT
    }
}

/// What to attach to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Attach {
    /// Run once before everything else attaches.
    Begin,
    /// Run once after everything else has detached.
    End,
    /// Run by a timer, on one CPU.
    Interval {
        /// Nanoseconds.
        period: u64,
    },
    /// Entry of (or an instruction in) a kernel function.
    Kprobe {
        /// The function.
        symbol: String,
        /// Its module; `None` is vmlinux or unspecified.
        module: Option<String>,
        /// Bytes into it.
        offset: u64,
    },
    /// Return of a kernel function.
    Kretprobe {
        /// The function.
        symbol: String,
        /// Its module.
        module: Option<String>,
    },
    /// A tracepoint of tracefs.
    Tracepoint {
        /// `net`
        category: String,
        /// `netif_rx`
        event: String,
    },
    /// A raw tracepoint.
    RawTracepoint {
        /// `netif_rx`
        event: String,
        /// The module that defines it.
        module: Option<String>,
    },
    /// Entry of a kernel function through a BPF trampoline.
    Fentry {
        /// The function.
        symbol: String,
        /// The module whose BTF describes it.
        module: Option<String>,
    },
    /// Return of a kernel function through a BPF trampoline.
    Fexit {
        /// The function.
        symbol: String,
        /// The module whose BTF describes it.
        module: Option<String>,
    },
}

impl Attach {
    /// The kernel function it is about, if it is about one.
    pub fn function(&self) -> Option<&str> {
        match self {
            Attach::Kprobe { symbol, .. }
            | Attach::Kretprobe { symbol, .. }
            | Attach::Fentry { symbol, .. }
            | Attach::Fexit { symbol, .. } => Some(symbol),
            Attach::Begin
            | Attach::End
            | Attach::Interval { .. }
            | Attach::Tracepoint { .. }
            | Attach::RawTracepoint { .. } => None,
        }
    }
}

/// A map of the object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Map {
    /// ELF symbol; for a script map `nt_` and its name (`nt_at` for the anonymous `@`).
    pub symbol: String,
    /// Kernel map type.
    pub kind: MapKind,
    /// Bytes.
    pub key_size: u32,
    /// Bytes (of one CPU for per-CPU maps, a multiple of 8 there).
    pub value_size: u32,
    /// Capacity; for the ring buffer its size in bytes.
    pub max_entries: u32,
    /// `BPF_F_*` of `BPF_MAP_CREATE`.
    pub flags: u32,
    /// What the script stores in it; `None` for nettrace's own maps.
    pub script: Option<ScriptMap>,
}

/// Kernel map types in use. Numbers: `enum bpf_map_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)] // As in the kernel.
pub enum MapKind {
    Hash = 1,
    Array = 2,
    PercpuHash = 5,
    PercpuArray = 6,
    LruHash = 9,
    LruPercpuHash = 10,
    Ringbuf = 27,
}

impl MapKind {
    /// One value per CPU.
    pub fn per_cpu(self) -> bool {
        matches!(
            self,
            MapKind::PercpuHash | MapKind::PercpuArray | MapKind::LruPercpuHash
        )
    }
}

/// A map as the script sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScriptMap {
    /// With `@`: `@sent`, `@`.
    pub name: String,
    /// The key, `None` for a scalar map (an array of one entry, key 0).
    pub key: Option<Layout>,
    /// The value.
    pub value: Stored,
}

/// What a map's value is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stored {
    /// The value itself.
    Plain(Layout),
    /// Per CPU, `u64`: events counted.
    Count,
    /// Per CPU, `u64`: sum. The flag is the signedness of the summands.
    Sum {
        /// Printed as a signed number.
        signed: bool,
    },
    /// Per CPU, `{ u64 total, u64 count }`, printed as total / count.
    Avg {
        /// The total is signed.
        signed: bool,
    },
    /// Per CPU, `{ u64 value, u64 is_set }`.
    Min {
        /// Compared as signed.
        signed: bool,
    },
    /// Per CPU, `{ u64 value, u64 is_set }`.
    Max {
        /// Compared as signed.
        signed: bool,
    },
    /// Per CPU, `{ u64 total, u64 count }`, printed as count, average, total.
    Stats {
        /// The total is signed.
        signed: bool,
    },
    /// Per CPU, an array of `u64` buckets; see [`hist_buckets`].
    Hist {
        /// Each power of two is divided into `2^bits` buckets.
        bits: u32,
    },
    /// Per CPU, an array of `u64` buckets: below `min`, `(max - min) / step` ones, from `max` on.
    Lhist {
        /// Lower bound of the first regular bucket.
        min: i64,
        /// Upper bound of the last regular bucket.
        max: i64,
        /// Width of a bucket.
        step: i64,
    },
}

/// How many buckets `hist(n, bits)` has. Bucket 0 holds negative numbers; `1 + v` the numbers `v < 2^bits`; beyond that, with
/// `l = floor(log2 v) - bits`, number `((l + 1) << bits) + ((v >> l) & (2^bits - 1)) + 1`.
pub fn hist_buckets(bits: u32) -> u32 {
    // The largest value is i64::MAX or, unsigned, u64::MAX: log2 is 63.
    ((64 - bits) << bits) + (1 << bits) + 1
}

/// How many buckets `lhist` has with these bounds.
pub fn lhist_buckets(min: i64, max: i64, step: i64) -> u32 {
    ((max - min + step - 1) / step) as u32 + 2
}

/// What one kind of ring record means. A record is a `u64` event id, then the fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// What the runtime does with it.
    pub action: Action,
    /// The values behind the id: offsets count from the record's start.
    pub fields: Vec<Field>,
    /// Bytes of the whole record, a multiple of 8.
    pub size: u32,
    /// The statement that sends it, in the sources' offset space.
    pub span: (u32, u32),
    /// The program that sends it.
    #[serde(default = "first_program")]
    pub program: ProgramId,
    /// When it happened, if it says so: events that do are printed in this order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<EventTime>,
    /// Bytes from the record's start to the `u64` number of the group with which it is printed; absent when it is printed at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<u32>,
}

/// Where an event says when it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventTime {
    /// Bytes from the record's start to a `u64`, nanoseconds of the clock.
    pub offset: u32,
    /// What they count from.
    pub clock: Clock,
}

/// Clocks that events can be ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    /// `CLOCK_BOOTTIME`: `nsecs`.
    Boot,
    /// The same since [`CONTROL_START`]: `elapsed`.
    Elapsed,
}

/// What the runtime does with an event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Formats the fields.
    Printf {
        /// The parsed format.
        format: Vec<Piece>,
    },
    /// Prints one value and a line break.
    PrintValue,
    /// Prints a whole map. `top` 0 means all; values are divided by `div`.
    PrintMap {
        /// Which.
        map: MapId,
        /// At most this many entries.
        top: u32,
        /// Divisor of values.
        div: u32,
    },
    /// Removes all entries.
    Clear {
        /// Which.
        map: MapId,
    },
    /// Sets all values to zero.
    Zero {
        /// Which.
        map: MapId,
    },
    /// Prints the time of day in this `strftime` format.
    Time {
        /// The format.
        format: String,
    },
    /// Prints strings with a separator and a line break. Fields: a `u64` count, then the strings.
    Join {
        /// Between two strings.
        separator: String,
    },
    /// Ends the run. Field: `i64` exit code.
    Exit,
    /// Prints what was held back for a group. Field: its `u64` number.
    Release,
    /// Appends a packet to a pcapng file. Fields: `u64` time in nanoseconds since boot, `u64` whether it has an Ethernet header, `u64`
    /// length of the whole packet, device, namespace, its bytes, comment.
    Packet {
        /// The file.
        file: String,
    },
}

/// A piece of a printf format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Piece {
    /// Printed as it is.
    Text(String),
    /// The next field is the width of the next value; negative: its amount, and the value stands on the left.
    Width,
    /// The next field is the precision of the next value; negative: none.
    Precision,
    /// The next field.
    Value(Spec),
}

impl Piece {
    /// Whether it takes a field.
    pub fn takes_field(&self) -> bool {
        !matches!(self, Piece::Text(_))
    }
}

/// A conversion of a printf format (`man 3 printf`; what bpftrace adds is listed in docs/language.md).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// `-`
    pub left: bool,
    /// `+`
    pub plus: bool,
    /// A blank.
    pub space: bool,
    /// `#`
    pub alternate: bool,
    /// `0`
    pub zero: bool,
    /// At least this many characters.
    pub width: u32,
    /// `.n`
    pub precision: Option<u32>,
    /// Bytes of an integer after the length modifier: 1, 2, 4, 8. 0 without one: 4 bytes of a number that a signed integer of
    /// 4 bytes holds, else 8.
    pub bytes: u8,
    /// Which conversion.
    pub conversion: Conversion,
}

/// The conversions of printf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Conversion {
    /// `d`, `i`
    Signed,
    /// `u`
    Unsigned,
    /// `o`
    Octal,
    /// `x`
    Hex,
    /// `X`
    HexUpper,
    /// `c`
    Char,
    /// `p`
    Pointer,
    /// `s`: the value's own text form.
    Text,
    /// `r`: a buffer, printable bytes kept, others as `\xNN`.
    Buffer,
    /// `rx`: a buffer, every byte as `\xNN`.
    BufferHex,
    /// `rh`: a buffer as `NN NN`.
    BufferPlain,
}

/// A value inside a record, key or struct.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Field {
    /// Name of a struct member; empty in tuples and records.
    pub name: String,
    /// Bytes from the start of what it is a field of.
    pub offset: u32,
    /// What it is.
    pub layout: Layout,
}

/// The bytes of a value and how it is printed. All numbers are in the machine's byte order but those of [`Layout::Net`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// 1, 2, 4 or 8 bytes.
    Int {
        /// Width.
        bytes: u8,
        /// Sign.
        signed: bool,
    },
    /// 2, 4 or 8 bytes in network byte order (`__be16` and its relatives), printed as the number that they mean; only inside structs.
    Net {
        /// Width.
        bytes: u8,
    },
    /// A bit-field inside the bytes of an integer; only inside structs.
    Bits {
        /// Bytes that hold it.
        bytes: u8,
        /// Position of its lowest bit.
        shift: u8,
        /// Number of bits.
        width: u8,
        /// Sign.
        signed: bool,
    },
    /// One byte, `true` or `false`.
    Bool,
    /// An integer whose values have names.
    Enum {
        /// Width.
        bytes: u8,
        /// Sign.
        signed: bool,
        /// Value and name.
        names: Vec<(i64, String)>,
    },
    /// 8 bytes, printed as `0x…`.
    Pointer,
    /// `cap` bytes, ends at the first NUL.
    Str {
        /// Capacity including the NUL.
        cap: u32,
    },
    /// A `u32` length, then `cap` bytes of which the length are meant.
    Buf {
        /// Capacity.
        cap: u32,
    },
    /// A constant the program never sends: a string literal argument of printf.
    Literal {
        /// Its text.
        text: String,
    },
    /// `i64` length in bytes as `bpf_get_stack` returns it (negative: no stack), then `frames` addresses; those beyond are undefined in
    /// events and zero in keys. A user stack has a `u64` process id (tgid) in front of the length.
    Stack {
        /// User addresses of the process in front.
        user: bool,
        /// How many addresses fit.
        frames: u32,
        /// How it is printed.
        mode: StackMode,
    },
    /// 8 bytes: a kernel address, printed as its symbol.
    KSym,
    /// 8 bytes: a kernel address, printed as the name of its module, `kernel` for none.
    KModule,
    /// A `u64` process id, then an 8-byte user address, printed as its symbol.
    USym,
    /// 4 or 16 bytes of an IP address in network order.
    Inet {
        /// 16 bytes rather than 4.
        v6: bool,
    },
    /// A `u64` address family (2 or 10), then 16 bytes of address.
    InetAny,
    /// 6 bytes of a link-layer address.
    Mac,
    /// 8 bytes: nanoseconds of `CLOCK_BOOTTIME`, printed as a date and time of day in the local time zone.
    Time {
        /// As `strftime` has it, and `%f` microseconds, `%k` nanoseconds, `%l` milliseconds of the second.
        format: String,
    },
    /// 8 bytes: the index of a network device in the low half, the inode number of its network namespace (0: nettrace's own) in
    /// the high half; printed as the device's name.
    Device,
    /// 8 bytes: the inode number of a network namespace, printed as its name.
    NetNs,
    /// [`FLOW_SIZE`] bytes: `u8` address family (2, 10, or 0 for none), `u8` protocol of the IP header, 2 zero bytes, source and
    /// destination port (2 bytes each, network order; of ICMP the identifier, and type and code), source and destination address
    /// (16 bytes each; of IPv4 the first 4, the rest zero).
    Flow,
    /// [`RULE_SIZE`] bytes: a rule of a packet filter, printed as its text. `u32` 0 for nf_tables, the address family (2, 10) for
    /// iptables-legacy; `u32` inode number of the network namespace; `u32` generation of the rule set, which changes whenever the rule
    /// set does; `u32` 0; `u64` handle of the table, or the first 8 bytes of its name; `u64` handle of the rule, or its number in its
    /// chain from 1; [`RULE_CHAIN`] bytes of the chain's name, empty for nf_tables. A chain of iptables-legacy that belongs to a hook has
    /// no name either: the rule's upper half is its hook point, from 1.
    Rule,
    /// A message of the kernel: [`KFORMAT_TEXT`] bytes of format string, [`KFORMAT_ARGS`] arguments of 8 bytes, and of each
    /// [`KFORMAT_STRING`] bytes of the string that it points to, empty if it points to none.
    KFormat,
    /// A kernel stack as in `Stack`, printed as what it means.
    Meaning {
        /// How many addresses fit.
        frames: u32,
        /// Functions, separated by blanks, which must all be in the stack, and the words for it; the first row that fits counts.
        rows: Vec<(String, String)>,
    },
    /// 8 bytes: a number printed as the names of its bits, lowest first.
    Flags {
        /// Bits and names.
        names: Vec<(u64, String)>,
        /// Between two names.
        separator: String,
    },
    /// 8 bytes: the attach cookie, printed as the name of that target.
    ProbeName,
    /// Values in a row, printed `(a, b)`; as a map key without the parentheses.
    Tuple {
        /// In order; offsets from the tuple's start.
        fields: Vec<Field>,
        /// Bytes including padding, which is zero.
        size: u32,
    },
    /// A struct or union, printed `{ .a = 1, .b = 2 }`.
    Record {
        /// Members; offsets from the record's start.
        fields: Vec<Field>,
        /// Bytes including padding.
        size: u32,
    },
    /// Equal values in a row, printed `[1,2]`.
    Array {
        /// What each is.
        elem: Box<Layout>,
        /// How many.
        len: u32,
    },
}

impl Layout {
    /// Whether this is true of the layout or of a part of it.
    pub fn any(&self, test: &dyn Fn(&Layout) -> bool) -> bool {
        test(self)
            || match self {
                Layout::Tuple { fields, .. } | Layout::Record { fields, .. } => {
                    fields.iter().any(|field| field.layout.any(test))
                }
                Layout::Array { elem, .. } => elem.any(test),
                _ => false,
            }
    }

    /// Bytes of the value.
    pub fn size(&self) -> u32 {
        match self {
            Layout::Int { bytes, .. }
            | Layout::Net { bytes }
            | Layout::Bits { bytes, .. }
            | Layout::Enum { bytes, .. } => u32::from(*bytes),
            Layout::Bool => 1,
            Layout::Pointer
            | Layout::KSym
            | Layout::KModule
            | Layout::ProbeName
            | Layout::Time { .. }
            | Layout::Device
            | Layout::NetNs => 8,
            Layout::USym => 16,
            Layout::Str { cap } => *cap,
            Layout::Buf { cap } => 4 + *cap,
            Layout::Literal { .. } => 0,
            Layout::Stack { user, frames, .. } => 8 + 8 * *frames + if *user { 8 } else { 0 },
            Layout::Inet { v6 } => {
                if *v6 {
                    16
                } else {
                    4
                }
            }
            Layout::InetAny => 24,
            Layout::Mac => 6,
            Layout::Flow => FLOW_SIZE,
            Layout::Rule => RULE_SIZE,
            Layout::KFormat => KFORMAT_TEXT + KFORMAT_ARGS * (8 + KFORMAT_STRING),
            Layout::Meaning { frames, .. } => 8 + 8 * *frames,
            Layout::Flags { .. } => 8,
            Layout::Tuple { size, .. } | Layout::Record { size, .. } => *size,
            Layout::Array { elem, len } => elem.size().saturating_mul(*len),
        }
    }

    /// Alignment of the value: 1, 2, 4 or 8.
    pub fn align(&self) -> u32 {
        match self {
            Layout::Int { bytes, .. }
            | Layout::Net { bytes }
            | Layout::Bits { bytes, .. }
            | Layout::Enum { bytes, .. } => u32::from(*bytes),
            Layout::Bool | Layout::Str { .. } | Layout::Mac | Layout::Literal { .. } => 1,
            Layout::Buf { .. } | Layout::Inet { .. } | Layout::Flow => 4,
            Layout::Pointer
            | Layout::KSym
            | Layout::KModule
            | Layout::ProbeName
            | Layout::Time { .. }
            | Layout::Device
            | Layout::NetNs
            | Layout::USym
            | Layout::Stack { .. }
            | Layout::Meaning { .. }
            | Layout::KFormat
            | Layout::Rule
            | Layout::Flags { .. }
            | Layout::InetAny => 8,
            Layout::Tuple { fields, .. } | Layout::Record { fields, .. } => {
                fields.iter().map(|f| f.layout.align()).max().unwrap_or(1)
            }
            Layout::Array { elem, .. } => elem.align(),
        }
    }
}
