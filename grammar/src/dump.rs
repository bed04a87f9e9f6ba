//! The stages of this crate as text, for `--emit tokens` and `--emit ast` and for tests.
//!
//! In: a file, or a tree. Out: one line per token or node. Nothing in it depends on the machine; the tree's dump holds
//! no positions, so that two scripts that mean the same have the same dump.

use crate::ast::*;
use crate::escape;
use crate::lexer::Lexer;
use crate::print::type_expr;
use crate::source::{FileId, SourceMap, Span};
use std::cell::Cell;
use std::fmt::Write;

/// Every token of a file: position, kind, text.
pub fn tokens(map: &SourceMap, file: FileId) -> String {
    let file = map.file(file);
    let errors = Cell::new(0);
    let mut out = String::new();
    for token in Lexer::new(&file.text, file.base, &errors) {
        let Ok((lo, tok, hi)) = token;
        let at = map
            .position(lo)
            .map_or(String::new(), |(_, at)| format!("{}:{}", at.line, at.col));
        let text = map.text(Span::new(lo, hi));
        let text: Vec<&str> = text.split_whitespace().collect();
        _ = writeln!(out, "{at:<8} {:<12} {}", tok.kind(), text.join(" "));
    }
    out
}

/// A script's tree, two blanks per level.
pub fn ast(script: &Script) -> String {
    let mut dump = Dump {
        out: String::new(),
        level: 0,
    };
    dump.script(script);
    dump.out
}

struct Dump {
    out: String,
    level: usize,
}

impl Dump {
    fn line(&mut self, text: &str) {
        _ = writeln!(self.out, "{:indent$}{text}", "", indent = self.level * 2);
    }

    /// A line with others below it.
    fn node(&mut self, text: &str, below: impl FnOnce(&mut Dump)) {
        self.line(text);
        self.level += 1;
        below(self);
        self.level -= 1;
    }

    fn script(&mut self, script: &Script) {
        for directive in &script.directives {
            match &directive.kind {
                DirectiveKind::Include { path } => self.line(&format!("include {path}")),
                DirectiveKind::Shebang => self.line("shebang"),
                DirectiveKind::Error => self.line("error"),
            }
        }
        if let Some(config) = &script.config {
            self.node("config", |dump| {
                for entry in &config.entries {
                    dump.line(&format!("{} = {}", entry.key.name, entry.value.name));
                }
            });
        }
        for import in &script.imports {
            self.line(&format!("import {}", import.path.name));
        }
        for decl in &script.map_decls {
            self.node(
                &format!("declare @{} {}", decl.map.name, decl.kind.name),
                |dump| decl.size.iter().for_each(|size| dump.expr(size)),
            );
        }
        for definition in &script.macros {
            self.macro_definition(definition);
        }
        for probe in &script.probes {
            self.probe(probe);
        }
    }

    fn macro_definition(&mut self, definition: &Macro) {
        self.node(&format!("macro {}", definition.name.name), |dump| {
            for param in &definition.params {
                let kind = match param.kind {
                    MacroParamKind::Value => "value ",
                    MacroParamKind::Var => "variable $",
                    MacroParamKind::Map => "map @",
                };
                dump.line(&format!("parameter {kind}{}", param.name.name));
            }
            dump.value_block(&definition.body);
        });
    }

    fn value_block(&mut self, block: &ValueBlock) {
        self.node("value block", |dump| {
            block.stmts.iter().for_each(|stmt| dump.stmt(stmt));
            if let Some(value) = &block.value {
                dump.node("value", |dump| dump.expr(value));
            }
        });
    }

    fn probe(&mut self, probe: &Probe) {
        let points: Vec<&str> = probe
            .attach_points
            .iter()
            .map(|point| point.text.as_str())
            .collect();
        self.node(&format!("probe {}", points.join(", ")), |dump| {
            if let Some(predicate) = &probe.predicate {
                dump.node("predicate", |dump| dump.expr(predicate));
            }
            dump.block("body", &probe.body);
        });
    }

    fn block(&mut self, name: &str, block: &Block) {
        self.node(name, |dump| {
            for stmt in &block.stmts {
                dump.stmt(stmt);
            }
        });
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match &stmt.kind {
            StmtKind::Expr(expr) => self.node("expr", |dump| dump.expr(expr)),
            StmtKind::Assign { target, op, value } => {
                let name = format!("assign {}=", op.map_or("", BinaryOp::symbol));
                self.node(&name, |dump| {
                    dump.expr(target);
                    dump.expr(value);
                });
            }
            StmtKind::Let { var, ty, value } => {
                let ty = ty
                    .as_ref()
                    .map_or(String::new(), |ty| format!(": {}", type_expr(ty)));
                self.node(&format!("let ${}{ty}", var.name), |dump| {
                    if let Some(value) = value {
                        dump.expr(value);
                    }
                });
            }
            StmtKind::If {
                cond,
                then,
                otherwise,
            } => self.node("if", |dump| {
                dump.expr(cond);
                dump.block("then", then);
                if let Some(otherwise) = otherwise {
                    dump.block("else", otherwise);
                }
            }),
            StmtKind::While { cond, body } => self.node("while", |dump| {
                dump.expr(cond);
                dump.block("body", body);
            }),
            StmtKind::Unroll { count, body } => self.node("unroll", |dump| {
                dump.expr(count);
                dump.block("body", body);
            }),
            StmtKind::For { var, over, body } => self.node(&format!("for ${}", var.name), |dump| {
                match over {
                    ForOver::Map(map) => dump.expr(map),
                    ForOver::Range(from, to) => {
                        dump.expr(from);
                        dump.expr(to);
                    }
                }
                dump.block("body", body);
            }),
            StmtKind::Break => self.line("break"),
            StmtKind::Continue => self.line("continue"),
            StmtKind::Return(value) => self.node("return", |dump| {
                if let Some(value) = value {
                    dump.expr(value);
                }
            }),
            StmtKind::Block(block) => self.block("block", block),
            StmtKind::Error => self.line("error"),
        }
    }

    fn expr(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Int(value) => self.line(&format!("int {value}")),
            ExprKind::Str(bytes) => self.line(&format!("string {}", escape::quote(bytes))),
            ExprKind::Bool(value) => self.line(&format!("bool {value}")),
            ExprKind::Ident(name) => self.line(&format!("ident {name}")),
            ExprKind::Var(name) => self.line(&format!("var ${name}")),
            ExprKind::Map { name, key: None } => self.line(&format!("map @{name}")),
            ExprKind::Map {
                name,
                key: Some(key),
            } => self.list(&format!("map @{name}[]"), key),
            ExprKind::Positional(n) => self.line(&format!("parameter ${n}")),
            ExprKind::PositionalCount => self.line("parameter $#"),
            ExprKind::Discard => self.line("discard"),
            ExprKind::Error => self.line("error"),
            ExprKind::Call { name, args } => self.list(&format!("call {}", name.name), args),
            ExprKind::Tuple(elements) => self.list("tuple", elements),
            ExprKind::Record(fields) => self.node("record", |dump| {
                for (name, value) in fields {
                    dump.node(&format!("field {}", name.name), |dump| dump.expr(value));
                }
            }),
            ExprKind::Block(block) => self.value_block(block),
            ExprKind::Comptime(inner) => self.node("comptime", |dump| dump.expr(inner)),
            ExprKind::Type(ty) => self.line(&format!("type {}", type_expr(ty))),
            ExprKind::Sizeof(of) => self.type_or_expr("sizeof", of),
            ExprKind::Offsetof { of, path } => {
                let path: Vec<&str> = path.iter().map(|member| member.name.as_str()).collect();
                self.type_or_expr(&format!("offsetof {}", path.join(".")), of);
            }
            _ => self.operator(expr),
        }
    }

    /// Everything that is made of an operator and operands.
    fn operator(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Unary(op, operand) => {
                self.node(&format!("unary {}", op.symbol()), |dump| dump.expr(operand));
            }
            ExprKind::IncDec { op, prefix, target } => {
                let place = if *prefix { "prefix" } else { "postfix" };
                self.node(&format!("{place} {}", op.symbol().repeat(2)), |dump| {
                    dump.expr(target)
                });
            }
            ExprKind::Binary(op, left, right) => {
                self.node(&format!("binary {}", op.symbol()), |dump| {
                    dump.expr(left);
                    dump.expr(right);
                })
            }
            ExprKind::Ternary {
                cond,
                then,
                otherwise,
            } => self.node("ternary", |dump| {
                dump.expr(cond);
                if let Some(then) = then {
                    dump.expr(then);
                }
                dump.expr(otherwise);
            }),
            ExprKind::Field { base, field } => {
                self.node(&format!("field {}", field.name), |dump| dump.expr(base));
            }
            ExprKind::TupleField { base, index } => {
                self.node(&format!("element {index}"), |dump| dump.expr(base));
            }
            ExprKind::Index { base, index } => self.node("index", |dump| {
                dump.expr(base);
                dump.expr(index);
            }),
            ExprKind::Cast { ty, expr } => {
                self.node(&format!("cast {}", type_expr(ty)), |dump| dump.expr(expr));
            }
            _ => {}
        }
    }

    fn list(&mut self, name: &str, elements: &[Expr]) {
        self.node(name, |dump| {
            for element in elements {
                dump.expr(element);
            }
        });
    }

    fn type_or_expr(&mut self, name: &str, of: &TypeOrExpr) {
        match of {
            TypeOrExpr::Type(ty) => self.line(&format!("{name} type {}", type_expr(ty))),
            TypeOrExpr::Expr(expr) => self.node(name, |dump| dump.expr(expr)),
        }
    }
}
