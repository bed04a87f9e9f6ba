//! The table of diagnostic codes: one row per kind of message.
//!
//! `NT0xxx` syntax, `NT1xxx` names, `NT2xxx` types, `NT3xxx` probes, `NT4xxx` limits of eBPF, `NT5xxx` warnings,
//! `NT6xxx` problems of the host, `NT9xxx` bugs of nettrace. Each code has a page under `docs/errors/`.

use std::fmt;

/// A diagnostic code: a row of this table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Code(pub u16);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NT{:04}", self.0)
    }
}

macro_rules! codes {
    ($($name:ident = $number:literal, $summary:literal;)*) => {
        $(#[doc = $summary] pub const $name: Code = Code($number);)*
        /// Every code with its one-line summary, in ascending order.
        pub const ALL: &[(Code, &str)] = &[$(($name, $summary)),*];
    };
}

codes! {
    // Syntax.
    BAD_TOKEN        = 1,    "Text that no token of the language starts with";
    UNTERMINATED     = 2,    "A string or comment without an end";
    BAD_NUMBER       = 3,    "A number that cannot be read or does not fit";
    BAD_ESCAPE       = 4,    "An unknown escape sequence in a string";
    NOT_UTF8         = 5,    "A script that is not UTF-8 text";
    UNEXPECTED_TOKEN = 10,   "A token where another was expected";
    TOO_DEEP         = 11,   "Nesting deeper than the compiler accepts";
    NOT_YET          = 12,   "A construct of bpftrace's language that nettrace does not know";
    BAD_CONFIG       = 13,   "An unknown option or value in the config block";
    TOO_LARGE        = 14,   "A script larger than the compiler accepts";
    BAD_FILTER       = 20,   "A packet filter that cannot be understood";
    // Names.
    UNKNOWN_NAME     = 1001, "An identifier that names nothing";
    UNKNOWN_FUNCTION = 1002, "A call of a function that the language does not have";
    UNKNOWN_TYPE     = 1003, "A type that neither the language nor the kernel has";
    UNKNOWN_FIELD    = 1004, "A field that a struct or union does not have";
    UNKNOWN_VARIABLE = 1005, "A variable that was never assigned";
    REDECLARED       = 1006, "A variable or a field of a record named twice";
    BAD_MACRO        = 1007, "A macro that cannot be used or defined so";
    NO_IMPORT        = 1008, "An imported file that does not exist or cannot be read";
    UNKNOWN_OPTION   = 1009, "An option that the script does not take, or a wrong value for one";
    // Types.
    TYPE_MISMATCH    = 2001, "An expression of the wrong type";
    BAD_OPERAND      = 2002, "An operator that cannot be used on such operands";
    BAD_ARGUMENT     = 2003, "An argument that a function cannot take";
    ARGUMENT_COUNT   = 2004, "Too many or too few arguments";
    BAD_FORMAT       = 2005, "A format string that does not fit its arguments";
    MAP_SHAPE        = 2006, "A map used in two ways";
    BAD_CAST         = 2007, "A cast between types that have no conversion";
    CONSTANT_FAULT   = 2008, "A constant expression without a value";
    NOT_A_VALUE      = 2009, "An expression used as a value that has none";
    BAD_ASSIGNMENT   = 2010, "An assignment to something that cannot hold the value";
    BAD_INDEX        = 2011, "An index outside its array";
    NOT_CONSTANT     = 2012, "A value that is not known while compiling where it has to be";
    // Probes.
    BAD_PROBE        = 3001, "A probe that cannot be read";
    UNKNOWN_PROBE    = 3002, "A probe kind that does not exist";
    NO_SUCH_TARGET   = 3003, "A function or tracepoint that the kernel does not have";
    NOT_TRACEABLE    = 3004, "A function that exists and cannot be traced";
    AMBIGUOUS_TARGET = 3005, "A function with several addresses";
    NOT_IN_PROBE     = 3006, "Something that this probe kind does not offer";
    NO_ARGUMENTS     = 3007, "Arguments of a function whose prototype is unknown";
    MODULE_NOT_LOADED = 3008, "A module that is not loaded";
    // Limits.
    STACK_TOO_LARGE  = 4001, "Values that do not fit into the 512 bytes of eBPF stack";
    VALUE_TOO_LARGE  = 4002, "A value larger than the kernel takes";
    VERIFIER         = 4003, "The kernel's verifier refused the program";
    PROGRAM_TOO_LONG = 4004, "A probe with more instructions than eBPF can jump over";
    // Warnings.
    MISSING_TARGET   = 5001, "A probe that was skipped because its target does not exist";
    NARROWING        = 5002, "An implicit conversion that may lose bits";
    DISCARDED_VALUE  = 5003, "A value that nobody uses";
    NEVER_ASSIGNED   = 5004, "A variable that is declared and never assigned";
    LENGTH_CUT       = 5005, "A length that is cut to the largest one allowed";
    IGNORED_OPTION   = 5006, "A config option that has no effect here";
    UNREACHABLE      = 5007, "Code after a statement that leaves the probe";
    DISTINCT_POINTERS = 5008, "A comparison of pointers to different types";
    MISSING_PARAMETER = 5010, "A positional parameter that was not given";
    NETWORK_ORDER    = 5011, "A number in network byte order used as if it were in the machine's";
    // Host.
    NO_PRIVILEGE     = 6001, "Missing privilege";
    NO_BTF           = 6002, "The kernel has no type information";
    NO_KPROBES       = 6003, "The kernel has no kprobes";
    NO_TRACEFS       = 6004, "The tracing file system cannot be read";
    KERNEL_REFUSED   = 6005, "A system call that the kernel refused";
    FILE_ERROR       = 6006, "A file that cannot be read or written";
    BAD_OBJECT       = 6007, "An object file that nettrace cannot run";
    NO_FEATURE       = 6008, "A feature that this kernel does not have";
    // Bugs.
    INTERNAL         = 9001, "A bug of nettrace";
}
