//! Types as people write them.
//!
//! In: a [`Ty`] or a kernel type. Out: text. Types of the language read as in scripts (`uint32`, `struct nf_conn *`, `string[16]`),
//! those of the kernel as in C; [`definition`] writes a whole struct, union or enum with unnamed parts nested as in the source.

use std::collections::HashSet;
use std::fmt::Write;
use std::rc::Rc;

use super::{Ty, Type, Types, members};
use crate::kernel::{Kernel, KernelType, KernelTypeId, Member, Prototype, Record};

/// Deepest nesting that is written; deeper parts are left out.
const MAX_DEPTH: usize = 32;
/// Most lines of a definition; broken BTF could demand any number.
const MAX_LINES: usize = 20_000;
/// Most types that one declaration mentions, for the same reason.
const MAX_MENTIONED: usize = 1000;
/// Where the comments of a definition stand.
const COMMENT_COLUMN: usize = 52;

/// A type of the language.
pub fn ty(types: &Types, kernel: &dyn Kernel, ty: Ty) -> String {
    written(types, kernel, ty, MAX_DEPTH)
}

fn written(types: &Types, kernel: &dyn Kernel, ty: Ty, depth: usize) -> String {
    let Some(depth) = depth.checked_sub(1) else {
        return "…".to_string();
    };
    match types.get(ty) {
        Type::Poison => "an unknown type".to_string(),
        Type::Void => "void".to_string(),
        Type::Bool => "bool".to_string(),
        Type::Int { bytes, signed } => {
            let sign = if *signed { "" } else { "u" };
            format!("{sign}int{}", 8 * u32::from(*bytes))
        }
        Type::Enum { id, .. } | Type::Record(id) => kernel_type(kernel, *id),
        Type::Pointer { to, .. } => {
            let to = written(types, kernel, *to, depth);
            let blank = if to.ends_with('*') { "" } else { " " };
            format!("{to}{blank}*")
        }
        Type::Array { elem, len } => format!("{}[{len}]", written(types, kernel, *elem, depth)),
        Type::Str { cap } => format!("string[{cap}]"),
        Type::Buf { cap } => format!("buffer[{cap}]"),
        Type::Tuple(items) => {
            let items: Vec<String> = items
                .iter()
                .map(|&item| written(types, kernel, item, depth))
                .collect();
            format!("({})", items.join(", "))
        }
        Type::NamedTuple(items) => {
            let items: Vec<String> = items
                .iter()
                .map(|(name, item)| format!("{name}={}", written(types, kernel, *item, depth)))
                .collect();
            format!("({})", items.join(", "))
        }
        Type::Stack { user: false, .. } => "kstack_t".to_string(),
        Type::Stack { user: true, .. } => "ustack_t".to_string(),
        Type::KSym => "ksym_t".to_string(),
        Type::KModule => "kmod_t".to_string(),
        Type::USym => "usym_t".to_string(),
        Type::Inet { .. } | Type::InetAny => "inet".to_string(),
        Type::Mac => "macaddr_t".to_string(),
        Type::Time { .. } => "timestamp_t".to_string(),
        Type::Device => "device_t".to_string(),
        Type::NetNs => "netns_t".to_string(),
        Type::Flow => "flow_t".to_string(),
        Type::Rule => "rule_t".to_string(),
        Type::KFormat => "kformat_t".to_string(),
        Type::Meaning { .. } => "meaning_t".to_string(),
        Type::Named(_) => "name_t".to_string(),
        Type::Flags { .. } => "flags_t".to_string(),
        // `probe` gives a string.
        Type::ProbeName => "string".to_string(),
    }
}

/// A kernel type in C, without a name: `struct nf_conn *`, `char[16]`, `int (*)(struct sk_buff *)`.
pub fn kernel_type(kernel: &dyn Kernel, id: KernelTypeId) -> String {
    declaration(kernel, id, "")
}

/// A kernel type in C as the declaration of a name: `struct nf_conn *ct`, `char comm[16]`, `int (*fn)(struct sk_buff *)`.
pub fn declaration(kernel: &dyn Kernel, id: KernelTypeId, name: &str) -> String {
    let (base, declarator) = declarator(kernel, id, name.to_string(), MAX_DEPTH, &mut {
        MAX_MENTIONED
    });
    join(&base, &declarator)
}

fn join(base: &str, declarator: &str) -> String {
    match declarator.chars().next() {
        None | Some('[') => format!("{base}{declarator}"),
        Some(_) => format!("{base} {declarator}"),
    }
}

/// Walks from the outside in, as C declarations are read: the base type, and what stands around the name.
fn declarator(
    kernel: &dyn Kernel,
    id: KernelTypeId,
    inner: String,
    depth: usize,
    left: &mut usize,
) -> (String, String) {
    let (Some(depth), Some(fewer)) = (depth.checked_sub(1), left.checked_sub(1)) else {
        return ("…".to_string(), inner);
    };
    *left = fewer;
    match &*kernel.ty(id) {
        KernelType::Pointer { to, .. } => {
            let inner = match &*kernel.ty(*to) {
                KernelType::Array { .. } | KernelType::Function(_) => format!("(*{inner})"),
                _ => format!("*{inner}"),
            };
            declarator(kernel, *to, inner, depth, left)
        }
        KernelType::Array { elem, len } => {
            let len = if *len == 0 {
                String::new()
            } else {
                len.to_string()
            };
            declarator(kernel, *elem, format!("{inner}[{len}]"), depth, left)
        }
        KernelType::Function(prototype) => {
            let params = parameters(kernel, prototype, depth, left);
            declarator(
                kernel,
                prototype.result,
                format!("{inner}({params})"),
                depth,
                left,
            )
        }
        other => (base_name(other), inner),
    }
}

fn parameters(
    kernel: &dyn Kernel,
    prototype: &Prototype,
    depth: usize,
    left: &mut usize,
) -> String {
    let mut params: Vec<String> = Vec::new();
    for (name, ty) in &prototype.params {
        let (base, inner) = declarator(kernel, *ty, name.clone(), depth, left);
        params.push(join(&base, &inner));
        if *left == 0 {
            break;
        }
    }
    if prototype.variadic {
        params.push("...".to_string());
    }
    match params.is_empty() {
        true => "void".to_string(),
        false => params.join(", "),
    }
}

/// What stands at the left of a declaration.
fn base_name(ty: &KernelType) -> String {
    let tagged = |tag: &str, name: &str| match name.is_empty() {
        true => tag.to_string(),
        false => format!("{tag} {name}"),
    };
    match ty {
        KernelType::Int { name, .. }
        | KernelType::Float { name, .. }
        | KernelType::Typedef { name, .. } => name.clone(),
        KernelType::Record(record) => tagged(word(record.union), &record.name),
        KernelType::Forward { name, union } => tagged(word(*union), name),
        KernelType::Enum(list) => tagged("enum", &list.name),
        _ => "void".to_string(),
    }
}

fn word(union: bool) -> &'static str {
    if union { "union" } else { "struct" }
}

/// The definition of a struct, union, enum or typedef, over several lines, with a line break at its end.
///
/// Structs and unions inside it are written out where they lie, so that every path to a field can be read off; one that occurs
/// several times is written out the first time. Comments give offset and size in bytes as `pahole` does, offsets from the start
/// of the whole; those of a bit-field give its first bit behind a colon.
pub fn definition(kernel: &dyn Kernel, id: KernelTypeId) -> String {
    let mut text = Text::default();
    match &*kernel.ty(id) {
        KernelType::Enum(list) => {
            text.line(
                0,
                &format!("{} {{", base_name(&KernelType::Enum(list.clone()))),
                "",
            );
            for (name, value) in &list.values {
                text.line(1, &format!("{name} = {value},"), "");
            }
            text.line(0, "};", &format!("size: {}", list.bytes));
        }
        KernelType::Typedef { name, to } => {
            text.line(
                0,
                &format!("typedef {};", declaration(kernel, *to, name)),
                "",
            );
        }
        other => match members::definition(kernel, id) {
            Some((_, record)) => {
                text.line(
                    0,
                    &format!("{} {{", base_name(&KernelType::Record(record.clone()))),
                    "",
                );
                text.members(kernel, &record, 0, 1);
                text.line(
                    0,
                    "};",
                    &format!("size: {}, members: {}", record.size, record.members.len()),
                );
            }
            None => text.line(0, &format!("{};", base_name(other)), "declared only"),
        },
    }
    text.out
}

/// A definition that is growing.
#[derive(Default)]
struct Text {
    out: String,
    lines: usize,
    /// Named structs and unions that have been written out.
    seen: HashSet<(bool, String)>,
}

impl Text {
    fn line(&mut self, indent: usize, text: &str, comment: &str) {
        self.lines += 1;
        let mut line = format!("{}{text}", "    ".repeat(indent));
        if !comment.is_empty() {
            let fill = COMMENT_COLUMN.saturating_sub(line.chars().count());
            let _ = write!(line, "{} /* {comment} */", " ".repeat(fill));
        }
        self.out.push_str(&line);
        self.out.push('\n');
    }

    /// The members of a record that lies `base` bits into the outermost one.
    fn members(&mut self, kernel: &dyn Kernel, record: &Record, base: u32, indent: usize) {
        for member in &record.members {
            if self.lines >= MAX_LINES || indent > MAX_DEPTH {
                self.line(indent, "…", "");
                return;
            }
            let offset = base.saturating_add(member.bit_offset);
            match self.nested(kernel, member) {
                Some((inner, around)) => {
                    self.line(
                        indent,
                        &format!("{} {{", base_name(&KernelType::Record(inner.clone()))),
                        "",
                    );
                    let base = if around.contains('*') { 0 } else { offset };
                    self.members(kernel, &inner, base, indent + 1);
                    let comment = place(offset, &size(kernel, member.ty));
                    self.line(indent, &format!("{};", join("}", &around)), &comment);
                }
                None => self.member(kernel, member, offset, indent),
            }
        }
    }

    fn member(&mut self, kernel: &dyn Kernel, member: &Member, offset: u32, indent: usize) {
        let text = declaration(kernel, member.ty, &member.name);
        match member.bit_width {
            Some(width) => {
                let comment = format!(
                    "{:5}:{:<2} {:>5}",
                    offset / 8,
                    offset % 8,
                    format!("{width}b")
                );
                self.line(indent, &format!("{text}:{width};"), &comment);
            }
            None => {
                let comment = place(offset, &size(kernel, member.ty));
                self.line(indent, &format!("{text};"), &comment);
            }
        }
    }

    /// The struct or union that a member is made of, if it is to be written out here, and what stands around the member's own
    /// name: `union { … } u3;`, `struct nf_conntrack_tuple_hash { … } tuplehash[2];`, `struct { … } *list;`. What is behind a
    /// pointer is not inside, but without a name it can be written nowhere else.
    fn nested(&mut self, kernel: &dyn Kernel, member: &Member) -> Option<(Rc<Record>, String)> {
        let mut id = member.ty;
        let mut around = member.name.clone();
        let mut inside = true;
        for _ in 0..MAX_DEPTH {
            match &*kernel.ty(id) {
                KernelType::Record(record) => {
                    let unnamed = record.name.is_empty();
                    let write = unnamed
                        || (inside && self.seen.insert((record.union, record.name.clone())));
                    return write.then(|| (record.clone(), around));
                }
                KernelType::Array { elem, len } => {
                    let len = if *len == 0 {
                        String::new()
                    } else {
                        len.to_string()
                    };
                    around = format!("{around}[{len}]");
                    id = *elem;
                }
                KernelType::Pointer { to, .. } => {
                    inside = false;
                    around = match &*kernel.ty(*to) {
                        KernelType::Array { .. } => format!("(*{around})"),
                        _ => format!("*{around}"),
                    };
                    id = *to;
                }
                _ => return None,
            }
        }
        None
    }
}

fn size(kernel: &dyn Kernel, id: KernelTypeId) -> String {
    super::layout::kernel_size(kernel, id).map_or("?".to_string(), |size| size.to_string())
}

fn place(bit_offset: u32, size: &str) -> String {
    format!("{:5}    {size:>5}", bit_offset / 8)
}

#[cfg(test)]
mod tests;
