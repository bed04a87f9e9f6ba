//! What the parser does with what it has recognised: builds the tree, and keeps it shallow.
//!
//! In: parts of the tree, from `grammar.lalrpop`. Out: larger parts. Every part carries its height ([`Deep`]), because
//! a tree as deep as `1+1+1…` is long would overflow the stack of whoever walks or drops it; past [`MAX_HEIGHT`] an error
//! node takes its place. Mistakes that the grammar lets through on purpose, to name them better, are reported here.

mod expression;
mod statement;

use crate::ast::*;
use crate::codes;
use crate::diag::Diagnostic;
use crate::source::Span;
use crate::syntax_error::SyntaxError;
use crate::token::Tok;
use lalrpop_util::ErrorRecovery;
use std::cell::Cell;
use std::convert::Infallible;

/// Levels of statements and expressions together that a tree may have.
const MAX_HEIGHT: u32 = 200;

/// `*` and `[N]` behind a type, and operators before an operand, at most.
const MAX_LIST: usize = MAX_HEIGHT as usize;

/// What the grammar's `!` stands for.
pub(crate) type Recovered<'s> = ErrorRecovery<u32, Tok<'s>, Infallible>;

/// The attach points of one probe.
pub(crate) type AttachPoints = Vec<AttachPoint>;

/// A part of the tree with the number of levels in it.
#[derive(Debug)]
pub(crate) struct Deep<T> {
    node: T,
    height: u32,
}

impl<T> Deep<T> {
    pub(crate) fn leaf(node: T) -> Deep<T> {
        Deep { node, height: 0 }
    }

    pub(crate) fn map<U>(self, f: impl FnOnce(T) -> U) -> Deep<U> {
        Deep {
            node: f(self.node),
            height: self.height,
        }
    }
}

impl<T> Deep<Vec<T>> {
    /// Appends a part.
    pub(crate) fn and(mut self, part: Option<Deep<T>>) -> Deep<Vec<T>> {
        if let Some(part) = part {
            self.height = self.height.max(part.height);
            self.node.push(part.node);
        }
        self
    }
}

/// An operator before an operand.
#[derive(Debug)]
pub(crate) enum PrefixOp {
    Unary(UnaryOp),
    /// `++` or `--`.
    Step(BinaryOp),
    Cast(TypeExpr),
    /// A cast whose type could not be read.
    Hole,
}

/// The state of one parse.
pub(crate) struct Context<'c> {
    text: &'c str,
    base: u32,
    errors: &'c Cell<usize>,
    too_deep: bool,
    pub(crate) script: Script,
    pub(crate) diags: Vec<Diagnostic>,
    pub(crate) syntax: Vec<SyntaxError>,
}

impl<'c> Context<'c> {
    pub(crate) fn new(text: &'c str, base: u32, errors: &'c Cell<usize>) -> Context<'c> {
        Context {
            text,
            base,
            errors,
            too_deep: false,
            script: Script::default(),
            diags: Vec::new(),
            syntax: Vec::new(),
        }
    }

    fn report(&mut self, diag: Diagnostic) {
        self.errors.set(self.errors.get() + 1);
        self.diags.push(diag);
    }

    /// Notes a mistake that the parser found its way out of.
    pub(crate) fn recovered(&mut self, recovered: Recovered<'_>) {
        self.errors.set(self.errors.get() + 1);
        let resumed = recovered.dropped_tokens.last().map(|dropped| dropped.2);
        self.syntax.push(SyntaxError::new(recovered.error, resumed));
    }

    // Depth.

    fn expr(&mut self, height: u32, span: Span, kind: ExprKind) -> Deep<Expr> {
        if height < MAX_HEIGHT {
            let height = height + 1;
            let node = Expr { kind, span };
            return Deep { node, height };
        }
        self.too_deep(span);
        Deep::leaf(Expr {
            kind: ExprKind::Error,
            span,
        })
    }

    fn too_deep(&mut self, span: Span) {
        if !std::mem::replace(&mut self.too_deep, true) {
            let diag = Diagnostic::error(codes::TOO_DEEP, span, "nesting too deep")
                .note(format!(
                    "the limit is {MAX_HEIGHT} levels; each operator of a chain is one"
                ))
                .help("assign parts of it to variables first");
            self.report(diag);
        }
    }

    // Items.

    pub(crate) fn add_probe(&mut self, probe: Probe) {
        self.script.probes.push(probe);
    }

    pub(crate) fn probe(
        &mut self,
        lo: u32,
        attach_points: AttachPoints,
        predicate: Option<Deep<Expr>>,
        body: Deep<Block>,
        hi: u32,
    ) -> Probe {
        Probe {
            attach_points,
            predicate: predicate.map(|predicate| predicate.node),
            body: body.node,
            span: Span::new(lo, hi),
        }
    }

    pub(crate) fn attach_points(
        &mut self,
        mut before: AttachPoints,
        lo: u32,
        text: &str,
        hi: u32,
    ) -> AttachPoints {
        before.push(AttachPoint {
            text: text.to_string(),
            span: Span::new(lo, hi),
        });
        before
    }

    pub(crate) fn add_config(
        &mut self,
        lo: u32,
        mut entries: Vec<ConfigEntry>,
        last: Option<ConfigEntry>,
        hi: u32,
    ) {
        let span = Span::new(lo, hi);
        entries.extend(last);
        if let Some(first) = &self.script.config {
            let diag = Diagnostic::error(codes::BAD_CONFIG, span, "a second config block")
                .also(first.span, "the first one")
                .help("put all options into one block");
            self.report(diag);
            return;
        }
        self.script.config = Some(Config { entries, span });
    }

    pub(crate) fn config_entry(
        &mut self,
        key: Ident,
        lo: u32,
        value: Option<Vec<u8>>,
        hi: u32,
    ) -> ConfigEntry {
        let span = Span::new(lo, hi);
        let name = match value {
            Some(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            None => self.source(span).to_string(),
        };
        ConfigEntry {
            key,
            value: Ident { name, span },
        }
    }

    pub(crate) fn string_ident(&mut self, lo: u32, bytes: Vec<u8>, hi: u32) -> Ident {
        Ident {
            name: String::from_utf8_lossy(&bytes).into_owned(),
            span: Span::new(lo, hi),
        }
    }

    pub(crate) fn add_import(&mut self, lo: u32, path: Ident, hi: u32) {
        let span = Span::new(lo, hi);
        self.script.imports.push(Import { path, span });
    }

    pub(crate) fn add_map_decl(
        &mut self,
        lo: u32,
        map: Ident,
        kind: Ident,
        size: Option<Deep<Expr>>,
        hi: u32,
    ) {
        self.script.map_decls.push(MapDecl {
            map,
            kind,
            size: size.map(|size| size.node),
            span: Span::new(lo, hi),
        });
    }

    pub(crate) fn add_macro(
        &mut self,
        lo: u32,
        name: Ident,
        mut params: Vec<MacroParam>,
        last: Option<MacroParam>,
        body: Deep<ValueBlock>,
        hi: u32,
    ) {
        params.extend(last);
        self.script.macros.push(Macro {
            name,
            params,
            body: body.node,
            span: Span::new(lo, hi),
        });
    }

    fn source(&self, span: Span) -> &str {
        let range =
            span.lo.saturating_sub(self.base) as usize..span.hi.saturating_sub(self.base) as usize;
        self.text.get(range).unwrap_or("")
    }

    // Types.

    pub(crate) fn type_expr(
        &mut self,
        lo: u32,
        tag: Option<TypeTag>,
        name: Ident,
        suffixes: Vec<TypeSuffix>,
        hi: u32,
    ) -> TypeExpr {
        TypeExpr {
            tag,
            name,
            suffixes,
            span: Span::new(lo, hi),
        }
    }

    /// A name of several words, blanks made one and qualifiers dropped: nothing here depends on `const`.
    pub(crate) fn type_words(&mut self, lo: u32, text: &str, hi: u32) -> Ident {
        let words: Vec<&str> = text
            .split_whitespace()
            .filter(|word| !matches!(*word, "const" | "volatile"))
            .collect();
        self.ident(lo, &words.join(" "), hi)
    }

    pub(crate) fn type_suffixes(
        &mut self,
        mut suffixes: Vec<TypeSuffix>,
        lo: u32,
        suffix: TypeSuffix,
        hi: u32,
    ) -> Vec<TypeSuffix> {
        if suffixes.len() < MAX_LIST {
            suffixes.push(suffix);
        } else {
            self.too_deep(Span::new(lo, hi));
        }
        suffixes
    }
}
