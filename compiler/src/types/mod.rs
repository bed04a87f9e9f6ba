//! The types of the language, interned.
//!
//! A [`Ty`] is a number in a [`Types`] table: equal types have equal numbers. Kernel structs, unions and enums stay what the
//! kernel's BTF says and are referred to by id. `Poison` is the type of what has been reported; it silences follow-up errors.

pub mod convert;
pub mod layout;
pub mod members;
pub mod print;

use std::collections::HashMap;
use std::rc::Rc;

use crate::artifact::StackMode;
use crate::kernel::KernelTypeId;

/// An interned type.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Ty(u32);

/// Whose memory a pointer leads to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Space {
    /// The kernel's.
    Kernel,
    /// The current task's.
    User,
    /// Memory of the program itself: its context record.
    Context,
}

/// The shape of a type.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Type {
    /// Reported already.
    Poison,
    /// No value.
    Void,
    /// `true` or `false`, one byte.
    Bool,
    /// 1, 2, 4 or 8 bytes.
    Int {
        /// Width.
        bytes: u8,
        /// Sign.
        signed: bool,
    },
    /// An enum of the kernel: an integer whose values have names.
    Enum {
        /// Which.
        id: KernelTypeId,
        /// Width.
        bytes: u8,
        /// Sign.
        signed: bool,
    },
    /// A pointer, 8 bytes.
    Pointer {
        /// What it points to.
        to: Ty,
        /// Whose memory.
        space: Space,
    },
    /// A struct or union of the kernel.
    Record(KernelTypeId),
    /// An array; `len` 0 is a flexible one.
    Array {
        /// What it holds.
        elem: Ty,
        /// How many.
        len: u32,
    },
    /// `cap` bytes with a NUL.
    Str {
        /// Capacity including the NUL.
        cap: u32,
    },
    /// Bytes with a length.
    Buf {
        /// Capacity.
        cap: u32,
    },
    /// A tuple with natural alignment; padding is zero.
    Tuple(Vec<Ty>),
    /// What scripts call a record: a tuple whose elements have names, each once. Two of them with the same names go together, whatever
    /// their order.
    NamedTuple(Vec<(String, Ty)>),
    /// A kernel or user stack.
    Stack {
        /// User addresses.
        user: bool,
        /// Capacity in addresses.
        frames: u32,
        /// How it is printed.
        mode: StackMode,
    },
    /// A kernel address printed as its symbol.
    KSym,
    /// A kernel address printed as the module it is in.
    KModule,
    /// A user address printed as its symbol.
    USym,
    /// 4 or 16 bytes of IP address.
    Inet {
        /// 16 bytes.
        v6: bool,
    },
    /// An address family and room for any address.
    InetAny,
    /// Link-layer address.
    Mac,
    /// Nanoseconds of `CLOCK_BOOTTIME`, printed as a date and time of day.
    Time {
        /// As `Layout::Time` has it.
        format: String,
    },
    /// A network device: namespace and index, named when printed.
    Device,
    /// A network namespace: its inode number, named when printed.
    NetNs,
    /// The two ends of a connection and its protocol.
    Flow,
    /// A rule of a packet filter, printed as its text.
    Rule,
    /// A message of the kernel with its arguments.
    KFormat,
    /// A kernel stack, printed as what it means: for each row functions of the kernel (all of them must be in the stack, in any order,
    /// separated by blanks) and the words for it. The first row that fits counts.
    Meaning {
        /// Capacity in addresses.
        frames: u32,
        /// Functions and words.
        rows: Rc<Vec<(String, String)>>,
    },
    /// A number printed as one of these names.
    Named(Rc<Vec<(i64, String)>>),
    /// A number printed as the names of its bits.
    Flags {
        /// Bits and names.
        names: Rc<Vec<(u64, String)>>,
        /// Between two names.
        separator: Rc<str>,
    },
    /// The name of the probe: the attach cookie, named when printed.
    ProbeName,
}

/// The table of all types of a compilation.
#[derive(Clone, Debug)]
pub struct Types {
    types: Vec<Type>,
    ids: HashMap<Type, Ty>,
}

impl Types {
    /// A table that holds the fixed types.
    pub fn new() -> Types {
        let mut types = Types {
            types: Vec::new(),
            ids: HashMap::new(),
        };
        for fixed in [Type::Poison, Type::Void, Type::Bool] {
            types.intern(fixed);
        }
        for bytes in [1, 2, 4, 8] {
            for signed in [false, true] {
                types.intern(Type::Int { bytes, signed });
            }
        }
        types
    }

    /// Reported already.
    pub const POISON: Ty = Ty(0);
    /// No value.
    pub const VOID: Ty = Ty(1);
    /// Bool.
    pub const BOOL: Ty = Ty(2);
    /// `uint8`
    pub const U8: Ty = Ty(3);
    /// `int8`
    pub const I8: Ty = Ty(4);
    /// `uint16`
    pub const U16: Ty = Ty(5);
    /// `int16`
    pub const I16: Ty = Ty(6);
    /// `uint32`
    pub const U32: Ty = Ty(7);
    /// `int32`
    pub const I32: Ty = Ty(8);
    /// `uint64`
    pub const U64: Ty = Ty(9);
    /// `int64`
    pub const I64: Ty = Ty(10);

    /// The number of a type.
    pub fn intern(&mut self, ty: Type) -> Ty {
        if let Some(&id) = self.ids.get(&ty) {
            return id;
        }
        let id = Ty(self.types.len() as u32);
        self.types.push(ty.clone());
        self.ids.insert(ty, id);
        id
    }

    /// The shape of a type.
    pub fn get(&self, ty: Ty) -> &Type {
        &self.types[ty.0 as usize]
    }

    /// The integer type of this width (1, 2, 4, 8; anything else gives 8) and sign.
    pub fn int(bytes: u8, signed: bool) -> Ty {
        let unsigned = match bytes {
            1 => Types::U8,
            2 => Types::U16,
            4 => Types::U32,
            _ => Types::U64,
        };
        Ty(unsigned.0 + u32::from(signed))
    }
}

impl Default for Types {
    fn default() -> Self {
        Types::new()
    }
}
