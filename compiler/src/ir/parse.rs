//! Reads the text form of the IR back, so that tests and bug reports can be written as text.
//!
//! In: what [`super::print`] writes; `#` starts a comment. Out: a module, or the first line that cannot be read and why. Every
//! instruction's span is its own line in the text. Nothing is checked beyond the syntax: see [`super::verify`].

use std::collections::BTreeMap;

use nettrace_grammar::Span;

use super::{
    BinOp, Block, BlockId, Cond, Func, FuncId, FuncKind, Helper, Inst, Mem, Module, Op, SlotData,
    SlotId, Space, Target, Terminator, Value, ValueDef,
};
use crate::artifact::MapId;
use crate::index::{Id, IndexVec};

/// Why a text is no IR.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Counted from 1.
    pub line: usize,
    /// What was expected.
    pub message: String,
}

impl std::fmt::Display for ParseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

/// Reads a module.
pub fn parse(text: &str) -> Result<Module, ParseError> {
    let mut module = Module::default();
    let mut open: Option<OpenFunc> = None;
    let mut lo = 0;
    for (index, raw) in text.split_inclusive('\n').enumerate() {
        let line = raw.split('#').next().unwrap_or_default().trim();
        let start = lo + (raw.len() - raw.trim_start().len());
        let span = Span::new(start as u32, (start + line.len()) as u32);
        lo += raw.len();
        if line.is_empty() {
            continue;
        }
        let mut words = Words {
            tokens: tokenize(line),
            at: 0,
        };
        read_line(&mut words, span, &mut open, &mut module).map_err(|message| ParseError {
            line: index + 1,
            message,
        })?;
    }
    finish(open, &mut module).map_err(|message| ParseError {
        line: text.lines().count(),
        message,
    })?;
    Ok(module)
}

/// Reads a text that holds one function.
pub fn parse_func(text: &str) -> Result<Func, ParseError> {
    let mut module = parse(text)?;
    if module.funcs.len() != 1 {
        return Err(ParseError {
            line: 1,
            message: format!("expected one function, found {}", module.funcs.len()),
        });
    }
    let mut funcs = std::mem::take(&mut module.funcs);
    Ok(funcs[FuncId(0)].take())
}

impl Func {
    fn take(&mut self) -> Func {
        std::mem::replace(self, Func::empty(String::new(), self.kind, self.span))
    }

    fn empty(name: String, kind: FuncKind, span: Span) -> Func {
        Func {
            name,
            kind,
            blocks: IndexVec::new(),
            values: IndexVec::new(),
            slots: IndexVec::new(),
            span,
        }
    }
}

/// A function being read: blocks come in any order of numbers.
struct OpenFunc {
    func: Func,
    blocks: BTreeMap<u32, OpenBlock>,
    current: Option<u32>,
    defs: BTreeMap<u32, ValueDef>,
}

struct OpenBlock {
    params: Vec<Value>,
    insts: Vec<Inst>,
    term: Option<(Terminator, Span)>,
}

type Read<T> = Result<T, String>;

fn read_line(
    words: &mut Words,
    span: Span,
    open: &mut Option<OpenFunc>,
    module: &mut Module,
) -> Read<()> {
    let kind = match words.peek() {
        "program" => Some(FuncKind::Program),
        "subprogram" => Some(FuncKind::Subprogram),
        _ => None,
    };
    if let Some(kind) = kind {
        words.next();
        finish(open.take(), module)?;
        *open = Some(OpenFunc {
            func: Func::empty(words.string()?, kind, span),
            blocks: BTreeMap::new(),
            current: None,
            defs: BTreeMap::new(),
        });
        return words.end();
    }
    let open = open
        .as_mut()
        .ok_or("expected `program \"name\"` or `subprogram \"name\"` first")?;
    if words.is_id('s') {
        read_slot(words, span, open)?;
    } else if words.is_id('b') {
        read_label(words, open)?;
    } else {
        read_inst(words, span, open)?;
    }
    words.end()
}

fn read_slot(words: &mut Words, span: Span, open: &mut OpenFunc) -> Read<()> {
    let slot: SlotId = words.id('s')?;
    words.expect(":")?;
    let size = words.number()?;
    words.expect("bytes")?;
    words.expect(",")?;
    words.expect("align")?;
    let align = words.number()?;
    words.expect(",")?;
    let what = words.string()?;
    if slot.index() != open.func.slots.len() {
        return Err(format!("slots must be numbered in order; {slot} is not"));
    }
    open.func.slots.push(SlotData {
        size,
        align,
        what,
        span,
    });
    Ok(())
}

fn read_label(words: &mut Words, open: &mut OpenFunc) -> Read<()> {
    let block: BlockId = words.id('b')?;
    let params = if words.peek() == "(" {
        words.values()?
    } else {
        Vec::new()
    };
    words.expect(":")?;
    for (i, param) in params.iter().enumerate() {
        define(open, *param, ValueDef::Param(block, i as u32))?;
    }
    let fresh = OpenBlock {
        params,
        insts: Vec::new(),
        term: None,
    };
    if open.blocks.insert(block.0, fresh).is_some() {
        return Err(format!("{block} is there twice"));
    }
    open.current = Some(block.0);
    Ok(())
}

fn define(open: &mut OpenFunc, value: Value, def: ValueDef) -> Read<()> {
    match open.defs.insert(value.0, def) {
        Some(_) => Err(format!("{value} is defined twice")),
        None => Ok(()),
    }
}

fn read_inst(words: &mut Words, span: Span, open: &mut OpenFunc) -> Read<()> {
    let current = open
        .current
        .ok_or("expected a block label such as `b0(v0):`")?;
    let result = if words.is_id('v') {
        let value: Value = words.id('v')?;
        words.expect("=")?;
        define(open, value, ValueDef::Inst(BlockId(current)))?;
        Some(value)
    } else {
        None
    };
    let block = open.blocks.get_mut(&current).ok_or("no such block")?;
    if block.term.is_some() {
        return Err("instruction after the block's terminator".to_string());
    }
    if let Some(term) = read_terminator(words)? {
        block.term = Some((term, span));
        return Ok(());
    }
    let op = read_op(words)?;
    if op.has_result() && result.is_none() && !matches!(op, Op::AtomicAdd { .. }) {
        return Err(format!("`{op}` needs a result: `v1 = …`"));
    }
    if !op.has_result() && result.is_some() {
        return Err(format!("`{op}` has no result"));
    }
    block.insts.push(Inst { result, op, span });
    Ok(())
}

fn read_terminator(words: &mut Words) -> Read<Option<Terminator>> {
    let term = match words.peek() {
        "jump" => {
            words.next();
            Terminator::Jump(words.target()?)
        }
        "branch" => {
            words.next();
            let cond = words.value()?;
            words.expect(",")?;
            let then = words.target()?;
            words.expect(",")?;
            Terminator::Branch {
                cond,
                then,
                otherwise: words.target()?,
            }
        }
        "ret" => {
            words.next();
            Terminator::Return(words.value()?)
        }
        _ => return Ok(None),
    };
    Ok(Some(term))
}

fn read_op(words: &mut Words) -> Read<Op> {
    let word = words.next();
    if let Some(op) = BinOp::ALL.into_iter().find(|op| op.name() == word) {
        let (a, b) = words.pair()?;
        return Ok(Op::Binary(op, a, b));
    }
    if let Some(cond) = Cond::ALL.into_iter().find(|cond| cond.name() == word) {
        let (a, b) = words.pair()?;
        return Ok(Op::Compare(cond, a, b));
    }
    Ok(match word.as_str() {
        "const" => Op::Const(words.number()?),
        "ext" => Op::Extend(words.mem()?, words.value()?),
        "swap" => {
            words.expect(".")?;
            Op::SwapBytes(words.number()?, words.value()?)
        }
        "map" => Op::MapRef(words.id('m')?),
        "addr" if words.is_id('f') => Op::FuncRef(words.id('f')?),
        "addr" if words.is_id('m') => {
            let map: MapId = words.id('m')?;
            Op::MapValue(map, words.number()?)
        }
        "addr" => {
            let slot: SlotId = words.id('s')?;
            Op::SlotAddr(slot, words.number()?)
        }
        "load" => {
            let mem = words.mem()?;
            let (ptr, off) = words.address()?;
            Op::Load { mem, ptr, off }
        }
        "store" | "atomic_add" => {
            let mem = words.mem()?;
            let (ptr, off) = words.address()?;
            words.expect(",")?;
            let value = words.value()?;
            if word == "store" {
                Op::Store {
                    mem,
                    ptr,
                    off,
                    value,
                }
            } else {
                Op::AtomicAdd {
                    mem,
                    ptr,
                    off,
                    value,
                }
            }
        }
        "zero" => {
            let (ptr, off) = words.address()?;
            words.expect(",")?;
            Op::Zero {
                ptr,
                off,
                size: words.number()?,
            }
        }
        "copy" => read_copy(words)?,
        "read" => {
            let mem = words.mem()?;
            let space = words.space()?;
            let (base, off) = words.address()?;
            Op::KernelLoad {
                mem,
                base,
                off,
                space,
            }
        }
        "readcopy" => read_kernel_copy(words)?,
        "kfunc" => Op::Kfunc(words.number()?, words.values()?),
        "call" if words.is_id('f') => Op::CallFunc(words.id('f')?, words.values()?),
        "call" => {
            let name = words.next();
            let helper =
                Helper::by_name(&name).ok_or_else(|| format!("no helper is called `{name}`"))?;
            Op::Call(helper, words.values()?)
        }
        _ => return Err(format!("no instruction is called `{word}`")),
    })
}

fn read_copy(words: &mut Words) -> Read<Op> {
    let (dst, dst_off) = words.address()?;
    words.expect(",")?;
    let (src, src_off) = words.address()?;
    words.expect(",")?;
    let size = words.number()?;
    words.expect(",")?;
    words.expect("align")?;
    Ok(Op::Copy {
        dst,
        dst_off,
        src,
        src_off,
        size,
        align: words.number()?,
    })
}

fn read_kernel_copy(words: &mut Words) -> Read<Op> {
    let (dst, dst_off) = words.address()?;
    words.expect(",")?;
    let space = words.space()?;
    let (base, off) = words.address()?;
    words.expect(",")?;
    Ok(Op::KernelCopy {
        dst,
        dst_off,
        size: words.number()?,
        base,
        off,
        space,
    })
}

/// Turns what was read into a function: blocks and values dense from 0.
fn finish(open: Option<OpenFunc>, module: &mut Module) -> Read<()> {
    let Some(open) = open else { return Ok(()) };
    let mut func = open.func;
    for (expected, (number, block)) in open.blocks.into_iter().enumerate() {
        if number as usize != expected {
            return Err(format!("b{expected} is missing"));
        }
        let (term, term_span) = block
            .term
            .ok_or_else(|| format!("b{number} has no terminator"))?;
        func.blocks.push(Block {
            params: block.params,
            insts: block.insts,
            term,
            term_span,
        });
    }
    if func.blocks.is_empty() {
        return Err(format!("function {:?} has no block", func.name));
    }
    let last = open.defs.keys().next_back().copied();
    if last.is_some_and(|last| last >= 1 << 20) {
        return Err("value numbers must stay below 2^20".to_string());
    }
    let count = last.map_or(0, |last| last + 1);
    func.values = (0..count)
        .map(|n| open.defs.get(&n).copied().unwrap_or(ValueDef::Removed))
        .collect();
    module.funcs.push(func);
    Ok(())
}

/// The tokens of a line: words, numbers (with a sign), quoted strings (quotes kept), punctuation.
struct Words {
    tokens: Vec<String>,
    at: usize,
}

fn tokenize(line: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        let len = match first {
            '"' => quoted(rest),
            '+' | '-' => 1 + word(&rest[1..]),
            c if c.is_alphanumeric() || c == '_' => word(rest),
            c => c.len_utf8(),
        };
        tokens.push(rest[..len].to_string());
        rest = rest[len..].trim_start();
    }
    tokens
}

fn word(text: &str) -> usize {
    text.find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(text.len())
}

/// Bytes of a quoted string as `{:?}` writes it.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (i, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return i + 1,
            _ => {}
        }
    }
    text.len()
}

impl Words {
    fn peek(&self) -> &str {
        self.tokens.get(self.at).map_or("", String::as_str)
    }

    fn next(&mut self) -> String {
        let word = self.peek().to_string();
        self.at += 1;
        word
    }

    fn expect(&mut self, word: &str) -> Read<()> {
        match self.next() {
            found if found == word => Ok(()),
            found => Err(format!("expected `{word}`, found `{found}`")),
        }
    }

    fn end(&self) -> Read<()> {
        match self.peek() {
            "" => Ok(()),
            more => Err(format!("expected the end of the line, found `{more}`")),
        }
    }

    /// A prefix letter and a number.
    fn is_id(&self, prefix: char) -> bool {
        let digits = self.peek().strip_prefix(prefix).unwrap_or_default();
        !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
    }

    fn id<T: Id>(&mut self, prefix: char) -> Read<T> {
        let word = self.next();
        word.strip_prefix(prefix)
            .and_then(|digits| digits.parse::<u32>().ok())
            .map(|n| T::new(n as usize))
            .ok_or_else(|| format!("expected a name such as `{prefix}0`, found `{word}`"))
    }

    fn value(&mut self) -> Read<Value> {
        self.id('v')
    }

    fn number<T: std::str::FromStr>(&mut self) -> Read<T> {
        let word = self.next();
        word.parse()
            .map_err(|_| format!("expected a number, found `{word}`"))
    }

    /// As `{:?}` writes it; only the escapes of quotes and backslashes are undone.
    fn string(&mut self) -> Read<String> {
        let word = self.next();
        let inner = word
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
            .ok_or_else(|| format!("expected a quoted string, found `{word}`"))?;
        Ok(inner.replace("\\\"", "\"").replace("\\\\", "\\"))
    }

    fn pair(&mut self) -> Read<(Value, Value)> {
        let a = self.value()?;
        self.expect(",")?;
        Ok((a, self.value()?))
    }

    fn mem(&mut self) -> Read<Mem> {
        self.expect(".")?;
        let word = self.next();
        Mem::ALL
            .into_iter()
            .find(|mem| mem.name() == word)
            .ok_or_else(|| format!("expected a width such as `u32`, found `{word}`"))
    }

    fn space(&mut self) -> Read<Space> {
        let word = self.next();
        Space::ALL
            .into_iter()
            .find(|space| space.name() == word)
            .ok_or_else(|| format!("expected `typed`, `kernel` or `user`, found `{word}`"))
    }

    /// `v1+8`
    fn address(&mut self) -> Read<(Value, i32)> {
        Ok((self.value()?, self.number()?))
    }

    /// `(v1, v2)`
    fn values(&mut self) -> Read<Vec<Value>> {
        self.expect("(")?;
        let mut values = Vec::new();
        while self.peek() != ")" {
            if !values.is_empty() {
                self.expect(",")?;
            }
            values.push(self.value()?);
        }
        self.expect(")")?;
        Ok(values)
    }

    fn target(&mut self) -> Read<Target> {
        let block = self.id('b')?;
        let args = if self.peek() == "(" {
            self.values()?
        } else {
            Vec::new()
        };
        Ok(Target { block, args })
    }
}
