//! The text form of a typed program, for `--emit typed` and for tests.
//!
//! In: a program and the kernel that names its types. Out: maps, then probes; a statement per line, conversions written out.

use std::fmt::Write;

use crate::artifact::Piece;
use crate::ir::{BinOp, Cond};
use crate::kernel::Kernel;
use crate::typed::{
    Aggregate, Call, Context, Expr, ExprKind, Extra, Loop, Map, MapValue, Probe, Program,
    ScriptMapId, Stmt, StmtKind,
};
use crate::types::{Ty, Type, print as types};

/// The program as text.
pub fn print(program: &Program, kernel: &dyn Kernel) -> String {
    let mut p = Printer {
        program,
        kernel,
        probe: None,
        out: String::new(),
    };
    for map in program.maps.iter() {
        p.map(map);
    }
    for (number, probe) in program.probes.iter().enumerate() {
        p.probe = Some(probe);
        p.probe(number, probe);
    }
    p.out
}

struct Printer<'a> {
    program: &'a Program,
    kernel: &'a dyn Kernel,
    probe: Option<&'a Probe>,
    out: String,
}

impl Printer<'_> {
    fn ty(&self, ty: Ty) -> String {
        types::ty(&self.program.types, self.kernel, ty)
    }

    fn line(&mut self, depth: usize, text: &str) {
        // Writing into a String cannot fail.
        let _ = writeln!(self.out, "{:1$}{text}", "", 2 * depth);
    }

    fn map(&mut self, map: &Map) {
        let key = map
            .key
            .map_or(String::new(), |k| format!("[{}]", self.ty(k)));
        let value = match map.value {
            MapValue::Plain(ty) => self.ty(ty),
            MapValue::Aggregate(kind) => format!("{} per-cpu", aggregate(kind)),
        };
        let text = format!("map @{}{key}: {value}", map.name);
        self.line(0, &text);
    }

    fn probe(&mut self, number: usize, probe: &Probe) {
        let targets: Vec<&str> = probe.targets.iter().map(|t| t.probe.as_str()).collect();
        self.line(0, &format!("p{number} {} {{", targets.join(", ")));
        for var in probe.vars.iter() {
            let text = format!("let ${}: {}", var.name, self.ty(var.ty));
            self.line(1, &text);
        }
        if let Some(predicate) = &probe.predicate {
            let text = format!("unless {} return", self.expr(predicate));
            self.line(1, &text);
        }
        self.stmts(1, &probe.body);
        self.line(0, "}");
    }

    fn stmts(&mut self, depth: usize, stmts: &[Stmt]) {
        for stmt in stmts {
            self.stmt(depth, stmt);
        }
    }

    fn stmt(&mut self, depth: usize, stmt: &Stmt) {
        let text = match &stmt.kind {
            StmtKind::Assign(var, value) => format!("{} = {}", self.var(*var), self.expr(value)),
            StmtKind::AssignMap(map, key, value) => {
                format!("{} = {}", self.place(*map, key.as_ref()), self.expr(value))
            }
            StmtKind::AddMap(map, key, value) => {
                format!("{} += {}", self.place(*map, key.as_ref()), self.expr(value))
            }
            StmtKind::Aggregate(map, key, value) => {
                let number = value.as_ref().map_or(String::new(), |v| self.expr(v));
                let kind = match self.program.maps.get(*map).map(|m| m.value) {
                    Some(MapValue::Aggregate(kind)) => aggregate(kind),
                    _ => String::new(),
                };
                format!("{} = {kind}({number})", self.place(*map, key.as_ref()))
            }
            StmtKind::Expr(e) => self.expr(e),
            StmtKind::Return(None) => "return".to_string(),
            StmtKind::Return(Some(e)) => format!("return {}", self.expr(e)),
            StmtKind::Break => "break".to_string(),
            StmtKind::Continue => "continue".to_string(),
            StmtKind::Loop(kind, body) => {
                let text = match kind {
                    Loop::While(cond) => format!("while {} {{", self.expr(cond)),
                    Loop::Range(var, from, to) => format!(
                        "for {} in {}..{} {{",
                        self.var(*var),
                        self.expr(from),
                        self.expr(to)
                    ),
                    Loop::Entries(var, map) => {
                        format!("for {} in {} {{", self.var(*var), self.place(*map, None))
                    }
                };
                self.line(depth, &text);
                self.stmts(depth + 1, body);
                self.line(depth, "}");
                return;
            }
            StmtKind::If(cond, then, otherwise) => {
                let text = format!("if {} {{", self.expr(cond));
                self.line(depth, &text);
                self.stmts(depth + 1, then);
                if !otherwise.is_empty() {
                    self.line(depth, "} else {");
                    self.stmts(depth + 1, otherwise);
                }
                self.line(depth, "}");
                return;
            }
        };
        self.line(depth, &text);
    }

    fn var(&self, id: crate::typed::VarId) -> String {
        let name = self
            .probe
            .and_then(|p| p.vars.get(id))
            .map(|v| v.name.as_str());
        format!("${}", name.unwrap_or("?"))
    }

    fn place(&self, id: ScriptMapId, key: Option<&Expr>) -> String {
        let name = self.program.maps.get(id).map_or("?", |m| m.name.as_str());
        match key {
            None => format!("@{name}"),
            Some(key) => format!("@{name}[{}]", self.expr(key)),
        }
    }

    /// Every operand in parentheses of its own where it has operands itself: no precedence to remember.
    fn expr(&self, e: &Expr) -> String {
        let ty = || self.ty(e.ty);
        match &e.kind {
            // Of the constants only pointers show their type: the others have that of what they meet.
            ExprKind::Int(n) => match self.ty(e.ty).as_str() {
                "bool" => format!("{}", *n != 0),
                t if t.starts_with("uint") => format!("{}", *n as u64),
                t if t.starts_with("int") => format!("{n}"),
                t => format!("({t}){n}"),
            },
            ExprKind::Bytes(bytes) => format!("bytes {bytes:?}"),
            ExprKind::Str(text) => format!("{:?}", String::from_utf8_lossy(text)),
            ExprKind::Var(id) => self.var(*id),
            ExprKind::Map(id, key) => self.place(*id, key.as_deref()),
            ExprKind::MapTotal(id, key) => {
                format!("total({}):{}", self.place(*id, key.as_deref()), ty())
            }
            ExprKind::Binary(op, a, b) => {
                format!(
                    "({} {} {}):{}",
                    self.expr(a),
                    operator(*op),
                    self.expr(b),
                    ty()
                )
            }
            ExprKind::Divide(op, a, b) => {
                format!(
                    "({} {} {}):{}",
                    self.expr(a),
                    operator(*op),
                    self.expr(b),
                    ty()
                )
            }
            ExprKind::Compare(cond, a, b) => {
                format!("({} {} {})", self.expr(a), condition(*cond), self.expr(b))
            }
            ExprKind::CompareMemory(equal, a, b) => {
                let op = if *equal { "==" } else { "!=" };
                format!("({} {op} {})", self.expr(a), self.expr(b))
            }
            ExprKind::And(a, b) => format!("({} && {})", self.expr(a), self.expr(b)),
            ExprKind::Or(a, b) => format!("({} || {})", self.expr(a), self.expr(b)),
            ExprKind::Not(a) => format!("!{}", self.expr(a)),
            ExprKind::Ternary(c, a, b) => {
                format!("({} ? {} : {})", self.expr(c), self.expr(a), self.expr(b))
            }
            ExprKind::Either(a, b) => format!("({} ?: {})", self.expr(a), self.expr(b)),
            ExprKind::Cast(a) => format!("({}){}", ty(), self.expr(a)),
            ExprKind::IncDec {
                target,
                delta,
                prefix,
            } => {
                let when = if *prefix { "then" } else { "after" };
                format!("({} += {delta} {when})", self.expr(target))
            }
            ExprKind::Deref(a) => format!("*{}", self.expr(a)),
            ExprKind::AddressOf(a) => format!("&{}", self.expr(a)),
            ExprKind::Member { .. } | ExprKind::Element(..) => format!("{}:{}", self.path(e), ty()),
            ExprKind::TupleElement(a, i) => format!("{}.{i}", self.expr(a)),
            ExprKind::Tuple(items) => {
                let name = |i: usize| match self.program.types.get(e.ty) {
                    Type::NamedTuple(names) => format!("{}=", names[i].0),
                    _ => String::new(),
                };
                let items = items.iter().enumerate();
                let items: Vec<String> =
                    items.map(|(i, item)| name(i) + &self.expr(item)).collect();
                format!("({})", items.join(", "))
            }
            ExprKind::Context(context) => format!("{}:{}", context_name(*context), ty()),
            ExprKind::Call(call) => self.call(call, e.ty),
            ExprKind::Block(stmts, value) => {
                let mut inner = Printer {
                    program: self.program,
                    kernel: self.kernel,
                    probe: self.probe,
                    out: String::new(),
                };
                inner.stmts(0, stmts);
                let stmts: Vec<&str> = inner.out.lines().map(str::trim).collect();
                format!("{{ {}; {} }}", stmts.join("; "), self.expr(value))
            }
        }
    }

    /// A place in memory; only the whole of a path shows its type.
    fn path(&self, e: &Expr) -> String {
        match &e.kind {
            ExprKind::Member { base, offset, bits } => {
                let bits = bits.map_or(String::new(), |b| format!(":{}+{}", b.shift, b.width));
                match &base.kind {
                    ExprKind::Deref(pointer) => format!("{}->{offset}{bits}", self.expr(pointer)),
                    _ => format!("{}.{offset}{bits}", self.path(base)),
                }
            }
            ExprKind::Element(a, i) => format!("{}[{}]", self.path(a), self.expr(i)),
            _ => self.expr(e),
        }
    }

    fn call(&self, call: &Call, ty: Ty) -> String {
        let mut parts: Vec<String> = Vec::new();
        match &call.extra {
            Extra::None => {}
            Extra::Format(pieces) => parts.push(format!("{:?}", format_text(pieces))),
            Extra::Map(map, key) => parts.push(self.place(*map, key.as_deref())),
            Extra::PrintMap(map, top, div) => {
                parts.push(format!("{}, top {top}, div {div}", self.place(*map, None)))
            }
            Extra::Text(text) => parts.push(format!("{text:?}")),
            Extra::Number(n) => parts.push(format!("#{n}")),
            Extra::Filter(_) => parts.push("filter".to_string()),
            Extra::Aggregate(kind) => parts.push(aggregate(*kind)),
        }
        parts.extend(call.args.iter().map(|a| self.expr(a)));
        let result = match self.ty(ty).as_str() {
            "void" => String::new(),
            t => format!(":{t}"),
        };
        format!("{}({}){result}", call.builtin.name, parts.join(", "))
    }
}

fn aggregate(kind: Aggregate) -> String {
    let typed =
        |name: &str, signed: bool| format!("{name}<{}>", if signed { "int64" } else { "uint64" });
    match kind {
        Aggregate::Count => "count".to_string(),
        Aggregate::Sum { signed } => typed("sum", signed),
        Aggregate::Avg { signed } => typed("avg", signed),
        Aggregate::Min { signed } => typed("min", signed),
        Aggregate::Max { signed } => typed("max", signed),
        Aggregate::Stats { signed } => typed("stats", signed),
        Aggregate::Hist { bits } => format!("hist<{bits}>"),
        Aggregate::Lhist { min, max, step } => format!("lhist<{min}, {max}, {step}>"),
    }
}

fn operator(op: BinOp) -> &'static str {
    match op {
        BinOp::Add => "+",
        BinOp::Sub => "-",
        BinOp::Mul => "*",
        BinOp::UDiv => "/u",
        BinOp::SDiv => "/s",
        BinOp::UMod => "%u",
        BinOp::SMod => "%s",
        BinOp::And => "&",
        BinOp::Or => "|",
        BinOp::Xor => "^",
        BinOp::Shl => "<<",
        BinOp::LShr => ">>u",
        BinOp::AShr => ">>s",
    }
}

fn condition(cond: Cond) -> &'static str {
    match cond {
        Cond::Eq => "==",
        Cond::Ne => "!=",
        Cond::ULt => "<u",
        Cond::ULe => "<=u",
        Cond::UGt => ">u",
        Cond::UGe => ">=u",
        Cond::SLt => "<s",
        Cond::SLe => "<=s",
        Cond::SGt => ">s",
        Cond::SGe => ">=s",
    }
}

fn context_name(context: Context) -> String {
    match context {
        Context::Register(n) => format!("reg{n}"),
        Context::Packet => "packet".to_string(),
        Context::ReturnRegister => "ret".to_string(),
        Context::Slot(n) => format!("slot{n}"),
        Context::Memory(offset) => format!("ctx+{offset}"),
        Context::DataLoc(offset) => format!("data_loc+{offset}"),
        Context::Address => "ctx".to_string(),
    }
}

/// The format with `{}` for each value.
fn format_text(pieces: &[Piece]) -> String {
    pieces
        .iter()
        .map(|p| match p {
            Piece::Text(text) => text.as_str(),
            Piece::Width | Piece::Precision => "{*}",
            Piece::Value(_) => "{}",
        })
        .collect()
}
