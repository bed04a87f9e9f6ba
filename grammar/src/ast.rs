//! The syntax tree: what the script says, before any name has a meaning.
//!
//! Produced by the parser, printed by [`crate::print`], read by the compiler's resolve and check. Holds no types.
//! `Error` nodes stand where the parser recovered; the mistake has been reported, later passes stay silent about them.

use crate::source::Span;

/// A name with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ident {
    /// The name as written, without `$` or `@`.
    pub name: String,
    /// Where it stands.
    pub span: Span,
}

/// A whole script.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// Lines that start with `#`, in order.
    pub directives: Vec<Directive>,
    /// `config = { … }`, at most one.
    pub config: Option<Config>,
    /// `import "path";`, in order.
    pub imports: Vec<Import>,
    /// `let @m = hash(N);`, in order.
    pub map_decls: Vec<MapDecl>,
    /// `macro name(…) { … }`, in order.
    pub macros: Vec<Macro>,
    /// Probes in script order.
    pub probes: Vec<Probe>,
}

/// A preprocessor line.
#[derive(Clone, Debug)]
pub struct Directive {
    /// What it says.
    pub kind: DirectiveKind,
    /// The whole line.
    pub span: Span,
}

/// The preprocessor lines that the language knows.
#[derive(Clone, Debug)]
pub enum DirectiveKind {
    /// `#include <path>` or `#include "path"`.
    Include {
        /// The path between the brackets or quotes.
        path: String,
    },
    /// `#!…` on the first line.
    Shebang,
    /// Anything else, already reported.
    Error,
}

/// The `config` block.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its entries in order.
    pub entries: Vec<ConfigEntry>,
    /// The whole block.
    pub span: Span,
}

/// `key = value` of the config block.
#[derive(Clone, Debug)]
pub struct ConfigEntry {
    /// The option's name.
    pub key: Ident,
    /// The value as text: a word, a number or a string's contents.
    pub value: Ident,
}

/// `import "path";`
#[derive(Clone, Debug)]
pub struct Import {
    /// The string between the quotes, and where it stands.
    pub path: Ident,
    /// The whole item.
    pub span: Span,
}

/// `let @m = hash(N);`
#[derive(Clone, Debug)]
pub struct MapDecl {
    /// The map, without `@`.
    pub map: Ident,
    /// `hash`, `lruhash`, …
    pub kind: Ident,
    /// How many keys it holds; a map of one value has none.
    pub size: Option<Expr>,
    /// The whole item.
    pub span: Span,
}

/// `macro name(a, $v, @m) { statements; value }`.
#[derive(Clone, Debug)]
pub struct Macro {
    /// What it is called by.
    pub name: Ident,
    /// Its parameters in order.
    pub params: Vec<MacroParam>,
    /// What stands in place of a call.
    pub body: ValueBlock,
    /// The whole macro.
    pub span: Span,
}

/// A parameter of a macro.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MacroParam {
    /// What may be passed.
    pub kind: MacroParamKind,
    /// Without `$` or `@`.
    pub name: Ident,
}

/// What may be passed for a parameter of a macro.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MacroParamKind {
    /// `a`: an expression, evaluated wherever the body names it; or a type.
    Value,
    /// `$v`: a variable of the caller, which the body may assign.
    Var,
    /// `@m`: a map.
    Map,
}

/// `attach points /predicate/ { body }`.
#[derive(Clone, Debug)]
pub struct Probe {
    /// One or more.
    pub attach_points: Vec<AttachPoint>,
    /// The condition between the slashes.
    pub predicate: Option<Expr>,
    /// The action.
    pub body: Block,
    /// The whole probe.
    pub span: Span,
}

/// The raw text of an attach point; `compiler::probes` gives it a meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachPoint {
    /// As written, without surrounding blanks: `kprobe:nf_conntrack:nf_ct_*`.
    pub text: String,
    /// Where it stands.
    pub span: Span,
}

/// `{ statements }`.
#[derive(Clone, Debug, Default)]
pub struct Block {
    /// In order.
    pub stmts: Vec<Stmt>,
    /// From `{` to `}`.
    pub span: Span,
}

/// `{ statements; value }` where a value is wanted: the value is the last expression, without a `;` behind it.
#[derive(Clone, Debug, Default)]
pub struct ValueBlock {
    /// What runs first, in order.
    pub stmts: Vec<Stmt>,
    /// The value; none is the value of a block that is used for its effect.
    pub value: Option<Box<Expr>>,
    /// The use of a macro that the block stands for; the parser makes none.
    pub expands: Option<Ident>,
    /// From `{` to `}`.
    pub span: Span,
}

/// A statement.
#[derive(Clone, Debug)]
pub struct Stmt {
    /// What kind.
    pub kind: StmtKind,
    /// Without the `;`.
    pub span: Span,
}

/// The kinds of statement.
#[derive(Clone, Debug)]
pub enum StmtKind {
    /// `e;`
    Expr(Expr),
    /// `target = e;` or `target op= e;` where `op` is given. The target is a `Var`, a `Map`, or (`_ = e`) a `Discard`.
    Assign {
        /// What is assigned.
        target: Expr,
        /// The operator of a compound assignment.
        op: Option<BinaryOp>,
        /// The value.
        value: Expr,
    },
    /// `let $v;`, `let $v: T;`, `let $v = e;`
    Let {
        /// The variable, without `$`.
        var: Ident,
        /// Its declared type.
        ty: Option<TypeExpr>,
        /// Its first value.
        value: Option<Expr>,
    },
    /// `if (c) { … } else …`; an `else if` is a block with one `If`.
    If {
        /// The condition.
        cond: Expr,
        /// Taken when it holds.
        then: Block,
        /// Taken otherwise.
        otherwise: Option<Block>,
    },
    /// `while (c) { … }`
    While {
        /// Looked at before each round.
        cond: Expr,
        /// One round.
        body: Block,
    },
    /// `for ($x : …) { … }`
    For {
        /// The variable, without `$`.
        var: Ident,
        /// What it goes through.
        over: ForOver,
        /// One round.
        body: Block,
    },
    /// `unroll (n) { … }`
    Unroll {
        /// How often; a constant.
        count: Expr,
        /// One round.
        body: Block,
    },
    /// `break;`
    Break,
    /// `continue;`
    Continue,
    /// `return;` or `return e;`
    Return(Option<Expr>),
    /// `{ … }`
    Block(Block),
    /// Recovered from; already reported.
    Error,
}

/// What a `for` goes through.
#[derive(Clone, Debug)]
pub enum ForOver {
    /// `@m`: the entries of a map, as tuples of key and value.
    Map(Expr),
    /// `a..b`: the numbers from `a` up to, without, `b`.
    Range(Expr, Expr),
}

/// An expression.
#[derive(Clone, Debug)]
pub struct Expr {
    /// What kind.
    pub kind: ExprKind,
    /// Where it stands; parentheses belong to it.
    pub span: Span,
}

/// The kinds of expression.
#[derive(Clone, Debug)]
pub enum ExprKind {
    /// A number; durations are already nanoseconds.
    Int(u64),
    /// `"…"` with its escapes resolved. Any bytes.
    Str(Vec<u8>),
    /// `true` or `false`.
    Bool(bool),
    /// A builtin variable, a constant of the kernel, a macro argument.
    Ident(String),
    /// `$name`
    Var(String),
    /// `@name`, `@name[k]`, `@name[a, b]`; the anonymous map has an empty name.
    Map {
        /// Without `@`.
        name: String,
        /// The keys between the brackets; more than one make a tuple.
        key: Option<Vec<Expr>>,
    },
    /// `$1`; `n` counts from 1.
    Positional(u32),
    /// `$#`
    PositionalCount,
    /// `-e`, `!e`, `~e`, `*e`, `&e`
    Unary(UnaryOp, Box<Expr>),
    /// `++e`, `e--`, …
    IncDec {
        /// `Add` or `Sub`.
        op: BinaryOp,
        /// Operator before the operand: the value is the new one.
        prefix: bool,
        /// A variable or map.
        target: Box<Expr>,
    },
    /// `a op b`
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    /// `c ? a : b`; without `a` it is `c ?: b`.
    Ternary {
        /// The condition.
        cond: Box<Expr>,
        /// Value when it holds; absent in `c ?: b`.
        then: Option<Box<Expr>>,
        /// Value otherwise.
        otherwise: Box<Expr>,
    },
    /// `f(a, b)`
    Call {
        /// The function.
        name: Ident,
        /// Its arguments.
        args: Vec<Expr>,
    },
    /// `e.f` or `e->f`; the two mean the same.
    Field {
        /// The struct, union or pointer to one.
        base: Box<Expr>,
        /// The member.
        field: Ident,
    },
    /// `e.0`
    TupleField {
        /// The tuple.
        base: Box<Expr>,
        /// Which element, from 0.
        index: u32,
    },
    /// `e[i]`
    Index {
        /// The array or pointer.
        base: Box<Expr>,
        /// Which element.
        index: Box<Expr>,
    },
    /// `(T)e`
    Cast {
        /// The type between the parentheses.
        ty: TypeExpr,
        /// The operand.
        expr: Box<Expr>,
    },
    /// `sizeof(T)` or `sizeof(e)`
    Sizeof(Box<TypeOrExpr>),
    /// `offsetof(T, a.b)` or `offsetof(e, a.b)`
    Offsetof {
        /// Whose members.
        of: Box<TypeOrExpr>,
        /// The path of members.
        path: Vec<Ident>,
    },
    /// `(a, b)`; `(a,)` and `()` are tuples too.
    Tuple(Vec<Expr>),
    /// `(a = 1, b = "x")`
    Record(Vec<(Ident, Expr)>),
    /// `{ statements; value }`; `if (c) { a } else { b }` as a value is a `Ternary` of two of these.
    Block(Box<ValueBlock>),
    /// `comptime (e)`: the value must be known while compiling.
    Comptime(Box<Expr>),
    /// A type as an argument of a macro: `container_of(p, struct sock, sk_node)`.
    Type(TypeExpr),
    /// The target of `_ = e`.
    Discard,
    /// Recovered from; already reported.
    Error,
}

/// The operand of `sizeof` and `offsetof`. A bare identifier is an expression here: only the compiler knows
/// whether it is a typedef.
#[derive(Clone, Debug)]
pub enum TypeOrExpr {
    /// Certainly a type: `struct S`, `T *`, `uint8`.
    Type(TypeExpr),
    /// An expression, or the name of a typedef.
    Expr(Expr),
}

/// A type as written.
#[derive(Clone, Debug)]
pub struct TypeExpr {
    /// `struct`, `union`, `enum`, or nothing before the name.
    pub tag: Option<TypeTag>,
    /// The name: `sk_buff`, `uint8`, `string`.
    pub name: Ident,
    /// `*` and `[N]` behind it, from left to right; they wrap the type in that order.
    pub suffixes: Vec<TypeSuffix>,
    /// The whole type.
    pub span: Span,
}

/// The word before a type's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypeTag {
    /// `struct S`
    Struct,
    /// `union U`
    Union,
    /// `enum E`
    Enum,
}

/// What stands behind a type's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypeSuffix {
    /// `*`
    Pointer,
    /// `[N]`; `None` is `[]`.
    Array(Option<u64>),
}

/// Operators with one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnaryOp {
    /// `-`
    Neg,
    /// `!`
    Not,
    /// `~`
    BitNot,
    /// `*`
    Deref,
    /// `&`
    AddressOf,
}

/// Operators with two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // Each is named after what it is in C.
pub enum BinaryOp {
    Or,
    And,
    BitOr,
    BitXor,
    BitAnd,
    Eq,
    Ne,
    /// `skb ~ "tcp port 443"`
    Match,
    Lt,
    Gt,
    Le,
    Ge,
    Shl,
    Shr,
    Add,
    Sub,
    Mul,
    Div,
    Mod,
}

impl BinaryOp {
    /// As written in a script.
    pub fn symbol(self) -> &'static str {
        match self {
            BinaryOp::Or => "||",
            BinaryOp::And => "&&",
            BinaryOp::BitOr => "|",
            BinaryOp::BitXor => "^",
            BinaryOp::BitAnd => "&",
            BinaryOp::Eq => "==",
            BinaryOp::Ne => "!=",
            BinaryOp::Match => "~",
            BinaryOp::Lt => "<",
            BinaryOp::Gt => ">",
            BinaryOp::Le => "<=",
            BinaryOp::Ge => ">=",
            BinaryOp::Shl => "<<",
            BinaryOp::Shr => ">>",
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Mod => "%",
        }
    }
}

impl UnaryOp {
    /// As written in a script.
    pub fn symbol(self) -> &'static str {
        match self {
            UnaryOp::Neg => "-",
            UnaryOp::Not => "!",
            UnaryOp::BitNot => "~",
            UnaryOp::Deref => "*",
            UnaryOp::AddressOf => "&",
        }
    }
}
