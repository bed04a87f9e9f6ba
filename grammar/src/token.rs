//! The tokens of probe bodies, predicates and the config block.
//!
//! In: text at the start of a token. Out: one [`Tok`], or a [`LexError`] that says what is wrong with it. Pure: nothing is
//! reported here, so that [`crate::lexer`] may look ahead as far as it likes. Attach points, comments and preprocessor
//! lines are not tokens of this kind; [`crate::header`] and [`crate::trivia`] read them.

use crate::{escape, number};
use logos::Logos;

/// Why text is not a token.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum LexError {
    /// No token starts like this.
    #[default]
    BadChar,
    /// A malformed or too large number.
    Number(number::Problem),
    /// A string with an escape that does not exist.
    Escape(escape::Problem),
    /// A string that its line does not end.
    OpenString,
}

/// One token. The names in `grammar.lalrpop` are the ones that error messages show.
#[derive(Logos, Clone, Debug, PartialEq)]
#[logos(error = LexError)]
pub(crate) enum Tok<'s> {
    // Words and values.
    #[regex("[A-Za-z_][A-Za-z0-9_]*")]
    Ident(&'s str),
    #[regex("[0-9][0-9A-Za-z_]*", |lex| number::read(lex.slice()).map_err(LexError::Number))]
    Int(u64),
    #[token("\"", string)]
    Str(Vec<u8>),
    #[regex(r"\$[A-Za-z_][A-Za-z0-9_]*", |lex| lex.slice().get(1..))]
    Var(&'s str),
    #[regex("@([A-Za-z_][A-Za-z0-9_]*)?", |lex| lex.slice().get(1..))]
    Map(&'s str),
    #[regex(r"\$[0-9]+", |lex| number::positional(lex.slice()).map_err(LexError::Number))]
    Positional(u32),
    #[token("$#")]
    PositionalCount,

    // Keywords. Builtins, functions, types and probe kinds are identifiers.
    #[token("if")]
    If,
    #[token("else")]
    Else,
    #[token("let")]
    Let,
    #[token("return")]
    Return,
    #[token("sizeof")]
    Sizeof,
    #[token("offsetof")]
    Offsetof,
    #[token("true")]
    True,
    #[token("false")]
    False,
    #[token("struct")]
    Struct,
    #[token("union")]
    Union,
    #[token("enum")]
    Enum,
    #[token("while")]
    While,
    #[token("for")]
    For,
    #[token("unroll")]
    Unroll,
    #[token("break")]
    Break,
    #[token("continue")]
    Continue,
    #[token("comptime")]
    Comptime,
    // Keywords of constructs that nettrace does not know yet; the parser never sees them.
    #[token("typeof")]
    Typeof,
    #[token("typeinfo")]
    Typeinfo,

    // Brackets and punctuation.
    #[token("{")]
    LBrace,
    #[token("}")]
    RBrace,
    #[token("(")]
    LParen,
    #[token(")")]
    RParen,
    #[token("[")]
    LBracket,
    #[token("]")]
    RBracket,
    #[token(";")]
    Semi,
    #[token(",")]
    Comma,
    #[token(":")]
    Colon,
    #[token("?")]
    Question,
    #[token("..")]
    DotDot,
    #[token(".")]
    Dot,
    #[token("->")]
    Arrow,

    // Assignment.
    #[token("=")]
    Assign,
    #[token("+=")]
    AddAssign,
    #[token("-=")]
    SubAssign,
    #[token("*=")]
    MulAssign,
    #[token("/=")]
    DivAssign,
    #[token("%=")]
    ModAssign,
    #[token("&=")]
    AndAssign,
    #[token("|=")]
    OrAssign,
    #[token("^=")]
    XorAssign,
    #[token("<<=")]
    ShlAssign,
    #[token(">>=")]
    ShrAssign,

    // Operators.
    #[token("||")]
    OrOr,
    #[token("&&")]
    AndAnd,
    #[token("|")]
    Pipe,
    #[token("^")]
    Caret,
    #[token("&")]
    Amp,
    #[token("==")]
    EqEq,
    #[token("!=")]
    NotEq,
    #[token("<")]
    Lt,
    #[token(">")]
    Gt,
    #[token("<=")]
    Le,
    #[token(">=")]
    Ge,
    #[token("<<")]
    Shl,
    #[token(">>")]
    Shr,
    #[token("+")]
    Plus,
    #[token("-")]
    Minus,
    #[token("*")]
    Star,
    #[token("/")]
    Slash,
    #[token("%")]
    Percent,
    #[token("!")]
    Not,
    #[token("~")]
    Tilde,
    #[token("++")]
    PlusPlus,
    #[token("--")]
    MinusMinus,

    // Made by the lexer, never by logos: what a token is depends on where it stands.
    /// The raw text of an attach point.
    AttachPoint(&'s str),
    /// `config` before `=`, outside of any probe.
    Config,
    /// `macro` that starts an item.
    Macro,
    /// `import` that starts an item.
    Import,
    /// A `{` where a value is due.
    ValueBrace,
    /// An `if` where a value is due.
    ValueIf,
    /// The slash before a predicate.
    PredicateStart,
    /// The slash behind a predicate.
    PredicateEnd,
    /// A `(` behind which stands a type.
    TypeParen,
    /// A type's name of several words: `unsigned long`.
    TypeWords(&'s str),
    /// A construct that was reported as not known yet and passed over, in place of an item of the script.
    SkippedItem,
    /// The same in place of an expression.
    SkippedExpr,
    /// The same in place of a type.
    SkippedType,
    /// Text that was reported as no token.
    Bad,
}

impl Tok<'_> {
    /// Whether a word stands here, keyword or not.
    pub(crate) fn is_word(&self) -> bool {
        use Tok::*;
        matches!(
            self,
            Ident(_)
                | If
                | Else
                | Let
                | Return
                | Sizeof
                | Offsetof
                | True
                | False
                | Struct
                | Union
                | Enum
        ) || matches!(
            self,
            While | For | Unroll | Break | Continue | Comptime | Typeof | Typeinfo
        )
    }

    /// The kind's name in `--emit tokens`.
    pub(crate) fn kind(&self) -> &'static str {
        use Tok::*;
        match self {
            Ident(_) => "identifier",
            Int(_) => "number",
            Str(_) => "string",
            Var(_) => "variable",
            Map(_) => "map",
            Positional(_) | PositionalCount => "parameter",
            AttachPoint(_) => "attach-point",
            PredicateStart | PredicateEnd => "predicate",
            TypeParen => "type-paren",
            TypeWords(_) => "type-name",
            SkippedItem | SkippedExpr | SkippedType => "skipped",
            Bad => "bad",
            Config | Macro | Import | ValueIf => "keyword",
            word if word.is_word() => "keyword",
            _ => "punctuation",
        }
    }
}

/// Reads on from the opening quote to the closing one and resolves escapes.
fn string<'s>(lex: &mut logos::Lexer<'s, Tok<'s>>) -> Result<Vec<u8>, LexError> {
    let rest = lex.remainder();
    let end = escape::closing_quote(rest);
    match end {
        Ok(end) => {
            lex.bump(end + 1);
            let inside = rest.get(..end).unwrap_or("");
            escape::resolve(inside).map_err(LexError::Escape)
        }
        Err(line_end) => {
            lex.bump(line_end);
            Err(LexError::OpenString)
        }
    }
}
