//! Syntax tree to script text: the formatter.
//!
//! In: a tree, and the sources it came from if there are any. Out: text in the language's one style, which parses to the
//! same tree again. Parentheses stand where the operators need them and nowhere else. From the sources come the things that
//! the tree does not keep: how a number was written, and whether a member was reached by `->`. Comments are not in the
//! tree and get lost.

use crate::ast::*;
use crate::escape;
use crate::number;
use crate::source::{SourceMap, Span};
use crate::type_ahead;

/// Blanks per level.
const INDENT: usize = 4;

/// A whole script. `map` may be empty for a tree that was not parsed.
pub fn script(script: &Script, map: &SourceMap) -> String {
    let mut printer = Printer {
        map,
        out: String::new(),
        level: 0,
    };
    printer.script(script);
    printer.out
}

/// One expression.
pub fn expr(expr: &Expr, map: &SourceMap) -> String {
    let mut printer = Printer {
        map,
        out: String::new(),
        level: 0,
    };
    printer.expr(expr, TERNARY);
    printer.out
}

/// A type as it is written in a cast.
pub fn type_expr(ty: &TypeExpr) -> String {
    let tag = match ty.tag {
        Some(TypeTag::Struct) => "struct ",
        Some(TypeTag::Union) => "union ",
        Some(TypeTag::Enum) => "enum ",
        None => "",
    };
    let mut out = format!("{tag}{}", ty.name.name);
    let mut stars = false;
    for suffix in &ty.suffixes {
        match suffix {
            TypeSuffix::Pointer if stars => out.push('*'),
            TypeSuffix::Pointer => out.push_str(" *"),
            TypeSuffix::Array(Some(len)) => out.push_str(&format!("[{len}]")),
            TypeSuffix::Array(None) => out.push_str("[]"),
        }
        stars = *suffix == TypeSuffix::Pointer;
    }
    out
}

// How tightly an expression binds; operators of two operands lie between `TERNARY` and `PREFIX`.
const TERNARY: u8 = 0;
const PREFIX: u8 = 11;
const POSTFIX: u8 = 12;
const ATOM: u8 = 13;

fn binary_level(op: BinaryOp) -> u8 {
    use BinaryOp::*;
    match op {
        Or => 1,
        And => 2,
        BitOr => 3,
        BitXor => 4,
        BitAnd => 5,
        Eq | Ne | Match => 6,
        Lt | Gt | Le | Ge => 7,
        Shl | Shr => 8,
        Add | Sub => 9,
        Mul | Div | Mod => 10,
    }
}

fn level(expr: &Expr) -> u8 {
    match &expr.kind {
        ExprKind::Ternary { .. } | ExprKind::Block(_) => TERNARY,
        ExprKind::Binary(op, ..) => binary_level(*op),
        ExprKind::Unary(..) | ExprKind::Cast { .. } | ExprKind::IncDec { prefix: true, .. } => {
            PREFIX
        }
        ExprKind::IncDec { .. }
        | ExprKind::Field { .. }
        | ExprKind::TupleField { .. }
        | ExprKind::Index { .. } => POSTFIX,
        _ => ATOM,
    }
}

struct Printer<'a> {
    map: &'a SourceMap,
    out: String,
    level: usize,
}

impl Printer<'_> {
    fn put(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn line(&mut self) {
        self.out.push('\n');
        self.out
            .extend(std::iter::repeat_n(' ', self.level * INDENT));
    }

    // Items.

    fn script(&mut self, script: &Script) {
        for directive in &script.directives {
            let line = match &directive.kind {
                DirectiveKind::Include { path } => format!("#include <{path}>\n"),
                DirectiveKind::Shebang => format!("{}\n", self.map.text(directive.span)),
                DirectiveKind::Error => continue,
            };
            self.put(&line);
        }
        if let Some(config) = &script.config {
            self.blank_line();
            self.config(config);
        }
        for import in &script.imports {
            let path = escape::quote(import.path.name.as_bytes());
            self.put(&format!("import {path};\n"));
        }
        for decl in &script.map_decls {
            self.put(&format!("let @{} = {}(", decl.map.name, decl.kind.name));
            if let Some(size) = &decl.size {
                self.expr(size, TERNARY);
            }
            self.put(");\n");
        }
        for definition in &script.macros {
            self.blank_line();
            self.macro_definition(definition);
        }
        for probe in &script.probes {
            self.blank_line();
            self.probe(probe);
        }
    }

    fn macro_definition(&mut self, definition: &Macro) {
        let params: Vec<String> = definition
            .params
            .iter()
            .map(|param| {
                let sigil = match param.kind {
                    MacroParamKind::Value => "",
                    MacroParamKind::Var => "$",
                    MacroParamKind::Map => "@",
                };
                format!("{sigil}{}", param.name.name)
            })
            .collect();
        self.put(&format!(
            "macro {}({})\n",
            definition.name.name,
            params.join(", ")
        ));
        self.value_block(&definition.body);
        self.put("\n");
    }

    fn blank_line(&mut self) {
        if !self.out.is_empty() {
            self.put("\n");
        }
    }

    fn config(&mut self, config: &Config) {
        self.put("config = {\n");
        for entry in &config.entries {
            let value = &entry.value.name;
            let bare = !value.is_empty()
                && value
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'_');
            let value = if bare && readable_bare(value) {
                value.clone()
            } else {
                escape::quote(value.as_bytes())
            };
            self.put(&format!("    {} = {value};\n", entry.key.name));
        }
        self.put("}\n");
    }

    fn probe(&mut self, probe: &Probe) {
        let points: Vec<&str> = probe
            .attach_points
            .iter()
            .map(|point| point.text.as_str())
            .collect();
        self.put(&points.join(",\n"));
        if let Some(predicate) = &probe.predicate {
            self.put("\n/");
            let start = self.out.len();
            self.expr(predicate, TERNARY);
            // `/*` would open a comment.
            if self
                .out
                .get(start..)
                .is_some_and(|text| text.starts_with('*'))
            {
                self.out.insert(start, ' ');
            }
            self.put("/");
        }
        self.put("\n");
        self.block(&probe.body);
        self.put("\n");
    }

    // Statements.

    fn block(&mut self, block: &Block) {
        self.put("{");
        self.level += 1;
        for stmt in &block.stmts {
            self.line();
            self.stmt(stmt);
        }
        self.level -= 1;
        self.line();
        self.put("}");
    }

    fn value_block(&mut self, block: &ValueBlock) {
        self.put("{");
        self.level += 1;
        for stmt in &block.stmts {
            self.line();
            self.stmt(stmt);
        }
        if let Some(value) = &block.value {
            self.line();
            self.expr(value, TERNARY);
        }
        self.level -= 1;
        self.line();
        self.put("}");
    }

    fn loop_stmt(&mut self, word: &str, head: impl FnOnce(&mut Self), body: &Block) {
        self.put(word);
        self.put(" (");
        head(self);
        self.put(") ");
        self.block(body);
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match &stmt.kind {
            StmtKind::While { cond, body } => {
                return self.loop_stmt("while", |p| p.expr(cond, TERNARY), body);
            }
            StmtKind::Unroll { count, body } => {
                return self.loop_stmt("unroll", |p| p.expr(count, TERNARY), body);
            }
            StmtKind::For { var, over, body } => {
                let head = |p: &mut Self| {
                    p.put(&format!("${} : ", var.name));
                    match over {
                        ForOver::Map(map) => p.expr(map, TERNARY),
                        ForOver::Range(from, to) => {
                            p.expr(from, PREFIX);
                            p.put("..");
                            p.expr(to, PREFIX);
                        }
                    }
                };
                return self.loop_stmt("for", head, body);
            }
            StmtKind::Break => self.put("break"),
            StmtKind::Continue => self.put("continue"),
            // In parentheses a block is a value, not a statement.
            StmtKind::Expr(expr) if matches!(expr.kind, ExprKind::Block(_)) => {
                self.expr(expr, TERNARY + 1);
            }
            StmtKind::Expr(expr) => self.expr(expr, TERNARY),
            StmtKind::Assign { target, op, value } => {
                self.expr(target, TERNARY);
                self.put(&format!(" {}= ", op.map_or("", BinaryOp::symbol)));
                self.expr(value, TERNARY);
            }
            StmtKind::Let { var, ty, value } => {
                self.put(&format!("let ${}", var.name));
                if let Some(ty) = ty {
                    self.put(&format!(": {}", type_expr(ty)));
                }
                if let Some(value) = value {
                    self.put(" = ");
                    self.expr(value, TERNARY);
                }
            }
            StmtKind::If {
                cond,
                then,
                otherwise,
            } => return self.if_stmt(cond, then, otherwise.as_ref()),
            StmtKind::Return(None) => self.put("return"),
            StmtKind::Return(Some(value)) => {
                self.put("return ");
                self.expr(value, TERNARY);
            }
            StmtKind::Block(block) => return self.block(block),
            StmtKind::Error => self.put("/* error */"),
        }
        self.put(";");
    }

    fn if_stmt(&mut self, cond: &Expr, then: &Block, otherwise: Option<&Block>) {
        self.put("if (");
        self.expr(cond, TERNARY);
        self.put(") ");
        self.block(then);
        let Some(otherwise) = otherwise else {
            return;
        };
        self.put(" else ");
        match otherwise.stmts.as_slice() {
            [
                Stmt {
                    kind:
                        StmtKind::If {
                            cond,
                            then,
                            otherwise,
                        },
                    ..
                },
            ] => self.if_stmt(cond, then, otherwise.as_ref()),
            _ => self.block(otherwise),
        }
    }

    // Expressions.

    /// Prints an expression where one that binds at least as tightly as `min` is due.
    fn expr(&mut self, expr: &Expr, min: u8) {
        if level(expr) < min {
            self.put("(");
            self.kind(expr);
            self.put(")");
        } else {
            self.kind(expr);
        }
    }

    fn kind(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Int(value) => {
                let text = self.number(*value, expr.span);
                self.put(&text);
            }
            ExprKind::Str(bytes) => self.put(&escape::quote(bytes)),
            ExprKind::Bool(value) => self.put(if *value { "true" } else { "false" }),
            ExprKind::Ident(name) => self.put(name),
            ExprKind::Var(name) => self.put(&format!("${name}")),
            ExprKind::Map { name, key } => {
                self.put(&format!("@{name}"));
                if let Some(key) = key {
                    self.list("[", key, "]");
                }
            }
            ExprKind::Positional(n) => self.put(&format!("${n}")),
            ExprKind::PositionalCount => self.put("$#"),
            ExprKind::Discard => self.put("_"),
            ExprKind::Error => self.put("/* error */"),
            ExprKind::Call { name, args } => {
                self.put(&name.name);
                self.list("(", args, ")");
            }
            ExprKind::Tuple(elements) => {
                let end = if elements.len() == 1 { ",)" } else { ")" };
                self.list("(", elements, end);
            }
            ExprKind::Record(fields) => {
                self.put("(");
                for (n, (name, value)) in fields.iter().enumerate() {
                    self.put(if n == 0 { "" } else { ", " });
                    self.put(&format!("{} = ", name.name));
                    self.expr(value, TERNARY);
                }
                self.put(")");
            }
            ExprKind::Block(block) => self.value_block(block),
            ExprKind::Comptime(inner) => {
                self.put("comptime (");
                self.expr(inner, TERNARY);
                self.put(")");
            }
            ExprKind::Type(ty) => self.put(&type_expr(ty)),
            ExprKind::Sizeof(of) => {
                self.put("sizeof(");
                self.type_or_expr(of);
                self.put(")");
            }
            ExprKind::Offsetof { of, path } => {
                self.put("offsetof(");
                self.type_or_expr(of);
                let path: Vec<&str> = path.iter().map(|member| member.name.as_str()).collect();
                self.put(&format!(", {})", path.join(".")));
            }
            _ => self.operator(expr),
        }
    }

    /// Everything that is made of an operator and operands.
    fn operator(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Ternary {
                cond,
                then,
                otherwise,
            } => {
                self.expr(cond, TERNARY + 1);
                match then {
                    Some(then) => {
                        self.put(" ? ");
                        self.expr(then, TERNARY);
                        self.put(" : ");
                    }
                    None => self.put(" ?: "),
                }
                self.expr(otherwise, TERNARY);
            }
            ExprKind::Binary(op, left, right) => {
                self.expr(left, binary_level(*op));
                self.put(&format!(" {} ", op.symbol()));
                self.expr(right, binary_level(*op) + 1);
            }
            ExprKind::Unary(op, operand) => {
                self.put(op.symbol());
                let start = self.out.len();
                self.expr(operand, PREFIX);
                // `- -x` must not become `--x`.
                if self
                    .out
                    .get(start..)
                    .is_some_and(|operand| operand.starts_with(op.symbol()))
                {
                    self.out.insert(start, ' ');
                }
            }
            ExprKind::Cast { ty, expr } => self.cast(ty, expr),
            ExprKind::IncDec { op, prefix, target } => {
                let step = op.symbol().repeat(2);
                if *prefix {
                    self.put(&step);
                    self.expr(target, POSTFIX);
                } else {
                    self.expr(target, POSTFIX);
                    self.put(&step);
                }
            }
            ExprKind::Field { base, field } => {
                self.base(base);
                let between = Span::new(base.span.hi, field.span.lo);
                let arrow = self.map.text(between).contains("->");
                self.put(if arrow { "->" } else { "." });
                self.put(&field.name);
            }
            ExprKind::TupleField { base, index } => {
                self.base(base);
                self.put(&format!(".{index}"));
            }
            ExprKind::Index { base, index } => {
                // Behind a bare map `[` would hold a key.
                if matches!(base.kind, ExprKind::Map { key: None, .. }) {
                    self.put("(");
                    self.kind(base);
                    self.put(")");
                } else {
                    self.base(base);
                }
                self.put("[");
                self.expr(index, TERNARY);
                self.put("]");
            }
            _ => {}
        }
    }

    /// What a `.` follows: a number there would look like a fraction.
    fn base(&mut self, base: &Expr) {
        let min = if matches!(base.kind, ExprKind::Int(_)) {
            u8::MAX
        } else {
            POSTFIX
        };
        self.expr(base, min);
    }

    fn cast(&mut self, ty: &TypeExpr, operand: &Expr) {
        self.put(&format!("({})", type_expr(ty)));
        let start = self.out.len();
        self.expr(operand, PREFIX);
        // Behind `(name)` such an operator would have two operands; see `type_ahead`.
        let first = self.out.get(start..).unwrap_or("");
        if !type_ahead::is_certain(ty) && first.starts_with(['-', '*', '&', '+']) {
            self.out.insert(start, '(');
            self.put(")");
        }
    }

    fn type_or_expr(&mut self, of: &TypeOrExpr) {
        match of {
            TypeOrExpr::Type(ty) => self.put(&type_expr(ty)),
            TypeOrExpr::Expr(expr) => self.expr(expr, TERNARY),
        }
    }

    fn list(&mut self, open: &str, elements: &[Expr], close: &str) {
        self.put(open);
        for (i, element) in elements.iter().enumerate() {
            if i > 0 {
                self.put(", ");
            }
            self.expr(element, TERNARY);
        }
        self.put(close);
    }

    /// The number as it was written, if that is known.
    fn number(&self, value: u64, span: Span) -> String {
        let written = self.map.text(span).trim_matches(['(', ')', ' ']);
        if number::read(written) == Ok(value) {
            written.to_string()
        } else {
            value.to_string()
        }
    }
}

/// Whether the config block reads the word back as one value.
fn readable_bare(word: &str) -> bool {
    let number = word.starts_with(|c: char| c.is_ascii_digit());
    if number {
        return number::read(word).is_ok();
    }
    !matches!(
        word,
        "if" | "else"
            | "let"
            | "return"
            | "sizeof"
            | "offsetof"
            | "struct"
            | "union"
            | "enum"
            | "while"
            | "for"
    ) && !matches!(
        word,
        "unroll" | "break" | "continue" | "comptime" | "typeof" | "typeinfo" | "const" | "volatile"
    )
}
