//! Script text to syntax tree.
//!
//! In: the text of a script. Out: [`Parsed`], a tree *and* diagnostics, always both. This crate owns the
//! words that every other crate uses to talk about a script: source files, spans and diagnostics.
//! It knows nothing about kernels, types or eBPF, and performs no I/O.

pub mod ast;
pub mod codes;
pub mod diag;
pub mod dump;
pub mod print;
pub mod render;
pub mod source;
pub mod visit;
pub mod words;

mod actions;
mod condition;
mod define;
mod directive;
mod escape;
mod header;
mod lex_error;
mod lexer;
mod not_yet;
mod number;
mod parser;
mod syntax_error;
mod token;
mod trivia;
mod type_ahead;

pub use diag::{Diagnostic, Reported, Sink};
pub use parser::{Parsed, parse, parse_body};
pub use source::{FileId, SourceMap, Span};
