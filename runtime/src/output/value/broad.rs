//! Structs over several lines, for a person at a terminal.
//!
//! In: a decoded value and how wide a line may be. Out: the same text as [`super::write_value`] where it fits into the line; else a member
//! per line, indented, again and again, and members that are zero are only counted. Elements of an array that are all the same are
//! written once, and so are members of a union that read the same: `.u = { .all = 443, (6 more readings say the same) }`.

use super::{Keep, write_escaped, write_failure, write_result, write_value};
use crate::decode::{DecodeError, Fields, Items, Value};
use crate::output::Names;

/// Blanks of an indent.
const INDENT: usize = 2;
/// As deep as lines are broken; what is inside goes on in one line.
const MAX_DEPTH: usize = 16;

/// Appends a value's text form, broken into lines of at most `width` columns where it has places to break.
pub fn write_broad(
    out: &mut Vec<u8>,
    value: &Result<Value<'_>, DecodeError>,
    names: &mut Names,
    width: usize,
) {
    let mut page = Page { out, names, width };
    page.value(value, 0, 0);
}

/// The same behind something that takes `used` columns of the line.
pub fn write_broad_after(
    out: &mut Vec<u8>,
    value: &Value<'_>,
    names: &mut Names,
    width: usize,
    used: usize,
) {
    let mut page = Page { out, names, width };
    page.value(&Ok(*value), used, 0);
}

struct Page<'a> {
    out: &'a mut Vec<u8>,
    names: &'a mut Names,
    width: usize,
}

impl Page<'_> {
    /// `used` columns of the line are taken already.
    fn value(&mut self, value: &Result<Value<'_>, DecodeError>, used: usize, depth: usize) {
        let start = self.out.len();
        let items = match value {
            Ok(Value::Array(items)) => Some(*items),
            _ => None,
        };
        if let Some(items) = items
            && self.repeated(items)
        {
            return;
        }
        match value {
            Ok(Value::Text { bytes, .. }) if bytes.iter().any(u8::is_ascii_control) => {
                write_escaped(self.out, bytes, Keep::Printable);
            }
            _ => write_result(self.out, value, self.names),
        }
        let len = self.out.len() - start;
        // One column for the comma behind it.
        if used + len < self.width || depth >= MAX_DEPTH {
            return;
        }
        match value {
            Ok(Value::Record(fields)) if !fields.is_empty() => {
                self.out.truncate(start);
                self.record(*fields, used, depth);
            }
            Ok(Value::Array(items)) if holds_structs(*items) => {
                self.out.truncate(start);
                self.array(*items, depth);
            }
            _ => {}
        }
    }

    fn line(&mut self, depth: usize) {
        self.out.push(b'\n');
        let blanks = self.out.len() + depth * INDENT;
        self.out.resize(blanks, b' ');
    }

    /// `used` columns of the line are taken already.
    fn record(&mut self, fields: Fields<'_>, used: usize, depth: usize) {
        let (mut zeros, mut same) = (0, 0);
        let mut shown: Vec<(&str, Result<Value<'_>, DecodeError>)> = Vec::new();
        let mut readings: Vec<Vec<u8>> = Vec::new();
        let union = fields.overlap();
        for (name, value) in fields.iter() {
            if is_zero(&value, MAX_DEPTH) {
                zeros += 1;
                continue;
            }
            if union {
                let reading = self.reading(&value);
                if readings.contains(&reading) {
                    same += 1;
                    continue;
                }
                readings.push(reading);
            }
            shown.push((name, value));
        }
        let rest = left_out(same, zeros);
        if !self.in_one_line(&shown, &rest, used) {
            self.over_lines(&shown, &rest, depth);
        }
    }

    /// What a member of a union comes to: the value in the innermost of structs with one member each.
    fn reading(&mut self, value: &Result<Value<'_>, DecodeError>) -> Vec<u8> {
        let mut value = value.clone();
        for _ in 0..MAX_DEPTH {
            let Ok(Value::Record(fields)) = &value else {
                break;
            };
            let mut members = fields.iter();
            match (members.next(), members.next()) {
                (Some((_, only)), None) => value = only,
                _ => break,
            }
        }
        let mut text = Vec::new();
        write_result(&mut text, &value, self.names);
        text
    }

    /// `{ .mark = 7, (3 members are zero) }`, if that fits.
    fn in_one_line(
        &mut self,
        shown: &[(&str, Result<Value<'_>, DecodeError>)],
        rest: &str,
        used: usize,
    ) -> bool {
        let start = self.out.len();
        self.out.extend_from_slice(b"{ ");
        for (name, value) in shown {
            self.out.extend_from_slice(head(name).as_bytes());
            self.value(value, 0, MAX_DEPTH);
            self.out.extend_from_slice(b", ");
            if used + self.out.len() - start > self.width {
                self.out.truncate(start);
                return false;
            }
        }
        match rest.is_empty() {
            true => self.out.truncate(self.out.len() - 2),
            false => self.out.extend_from_slice(rest.as_bytes()),
        }
        self.out.extend_from_slice(b" }");
        let fits = used + self.out.len() - start < self.width || shown.is_empty();
        if !fits {
            self.out.truncate(start);
        }
        fits
    }

    fn over_lines(
        &mut self,
        shown: &[(&str, Result<Value<'_>, DecodeError>)],
        rest: &str,
        depth: usize,
    ) {
        self.out.push(b'{');
        for (name, value) in shown {
            self.line(depth + 1);
            let head = head(name);
            self.out.extend_from_slice(head.as_bytes());
            self.value(value, (depth + 1) * INDENT + head.len(), depth + 1);
            self.out.push(b',');
        }
        if !rest.is_empty() {
            self.line(depth + 1);
            self.out.extend_from_slice(rest.as_bytes());
        }
        self.line(depth);
        self.out.push(b'}');
    }

    fn array(&mut self, items: Items<'_>, depth: usize) {
        self.out.push(b'[');
        for (index, value) in items.iter().enumerate() {
            self.line(depth + 1);
            let head = format!("[{index}] = ");
            self.out.extend_from_slice(head.as_bytes());
            self.value(&value, (depth + 1) * INDENT + head.len(), depth + 1);
            self.out.push(b',');
        }
        self.line(depth);
        self.out.push(b']');
    }

    /// `[48 × 0]`, when there are more than a few elements and all are alike.
    fn repeated(&mut self, items: Items<'_>) -> bool {
        const FEW: usize = 4;
        let mut rest = items.iter();
        let count = rest.len();
        let (Some(Ok(first)), true) = (rest.next(), count > FEW) else {
            return false;
        };
        let (mut one, mut other) = (Vec::new(), Vec::new());
        write_value(&mut one, &first, self.names);
        for value in rest {
            other.clear();
            match value {
                Ok(value) => write_value(&mut other, &value, self.names),
                Err(error) => write_failure(&mut other, error),
            }
            if other != one {
                return false;
            }
        }
        self.out
            .extend_from_slice(format!("[{count} × ").as_bytes());
        self.out.extend_from_slice(&one);
        self.out.push(b']');
        true
    }
}

fn head(name: &str) -> String {
    match name.is_empty() {
        true => String::new(),
        false => format!(".{name} = "),
    }
}

/// `(2 more readings say the same, 3 members are zero)`
fn left_out(same: usize, zeros: usize) -> String {
    let same = match same {
        0 => None,
        1 => Some("1 more reading says the same".to_string()),
        n => Some(format!("{n} more readings say the same")),
    };
    let zeros = match zeros {
        0 => None,
        1 => Some("1 member is zero".to_string()),
        n => Some(format!("{n} members are zero")),
    };
    let parts: Vec<String> = same.into_iter().chain(zeros).collect();
    match parts.is_empty() {
        true => String::new(),
        false => format!("({})", parts.join(", ")),
    }
}

/// Whether there is nothing to see: numbers, addresses and texts that are zero, and structs of nothing else. Names of numbers are worth
/// seeing.
fn is_zero(value: &Result<Value<'_>, DecodeError>, depth: usize) -> bool {
    let Some(depth) = depth.checked_sub(1) else {
        return false;
    };
    match value {
        Ok(Value::Signed(0) | Value::Unsigned(0) | Value::Pointer(0) | Value::KernelSymbol(0)) => {
            true
        }
        Ok(Value::Bool(false)) => true,
        Ok(Value::Ip(ip)) => ip.is_unspecified(),
        Ok(Value::Text { bytes, cut }) => bytes.is_empty() && !cut,
        Ok(Value::Record(fields)) => fields.iter().all(|(_, value)| is_zero(&value, depth)),
        Ok(Value::Array(items)) => items.iter().all(|value| is_zero(&value, depth)),
        _ => false,
    }
}

fn holds_structs(items: Items<'_>) -> bool {
    matches!(
        items.iter().next(),
        Some(Ok(Value::Record(_) | Value::Array(_)))
    )
}

#[cfg(test)]
mod tests {
    use nettrace_compiler::artifact::{Field, Layout};

    use super::*;
    use crate::decode::decode;
    use crate::testing::{self, U64, words};

    fn record(fields: &[(&str, Layout)]) -> Layout {
        let mut offset = 0;
        let fields: Vec<Field> = fields
            .iter()
            .map(|(name, layout)| {
                let field = Field {
                    name: (*name).to_string(),
                    offset,
                    layout: layout.clone(),
                };
                offset += layout.size();
                field
            })
            .collect();
        Layout::Record {
            fields,
            size: offset,
        }
    }

    fn show(layout: &Layout, bytes: &[u8], width: usize) -> String {
        let mut out = Vec::new();
        write_broad(
            &mut out,
            &decode(layout, bytes),
            &mut testing::names(),
            width,
        );
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_struct_that_fits_stays_in_one_line() {
        let inner = record(&[("refs", U64)]);
        let outer = record(&[("use", inner), ("mark", U64), ("timeout", U64)]);
        let bytes = words(&[2, 7, 30]);
        assert_eq!(
            show(&outer, &bytes, 80),
            "{ .use = { .refs = 2 }, .mark = 7, .timeout = 30 }"
        );
        assert_eq!(
            show(&outer, &bytes, 30),
            "{\n  .use = { .refs = 2 },\n  .mark = 7,\n  .timeout = 30,\n}"
        );
        assert_eq!(
            show(&outer, &bytes, 10),
            "{\n  .use = {\n    .refs = 2,\n  },\n  .mark = 7,\n  .timeout = 30,\n}"
        );
    }

    #[test]
    fn members_that_are_zero_are_counted() {
        let inner = record(&[("next", Layout::Pointer), ("prev", Layout::Pointer)]);
        let outer = record(&[("list", inner), ("mark", U64), ("len", U64), ("hash", U64)]);
        assert_eq!(
            show(&outer, &words(&[0, 0, 7, 0, 0]), 20),
            "{\n  .mark = 7,\n  (3 members are zero)\n}"
        );
        let short = "{ .list = { .next = 0x0, .prev = 0x0 }, .mark = 7, .len = 0, .hash = 0 }";
        assert_eq!(show(&outer, &words(&[0, 0, 7, 0, 0]), 80), short);
        assert_eq!(
            show(&outer, &words(&[0; 5]), 20),
            "{ (4 members are zero) }"
        );
    }

    #[test]
    fn readings_of_a_union_that_say_the_same_are_counted() {
        let field = |name: &str, layout: Layout| Field {
            name: name.to_string(),
            offset: 0,
            layout,
        };
        let union = |fields| Layout::Record { fields, size: 8 };
        let ports = union(vec![
            field("all", U64),
            field("tcp", record(&[("port", U64)])),
            field("udp", record(&[("port", U64)])),
            field("icmp", testing::int(2, false)),
        ]);
        assert_eq!(
            show(&ports, &words(&[443]), 60),
            "{ .all = 443, (3 more readings say the same) }"
        );
        assert_eq!(
            show(&ports, &words(&[0x10001]), 60),
            "{ .all = 65537, .icmp = 1, (2 more readings say the same) }"
        );
    }

    #[test]
    fn texts_in_structs_cannot_move_the_cursor() {
        let outer = record(&[("cb", Layout::Str { cap: 8 }), ("len", U64)]);
        let mut bytes = b"a\x1b[2J\0\0\0".to_vec();
        bytes.extend(words(&[7]));
        assert_eq!(
            show(&outer, &bytes, 25),
            "{\n  .cb = a\\x1b[2J,\n  .len = 7,\n}"
        );
    }

    #[test]
    fn arrays_of_structs_are_numbered_and_equal_elements_counted() {
        let pair = record(&[("src", U64), ("dst", U64)]);
        let array = Layout::Array {
            elem: Box::new(pair),
            len: 2,
        };
        assert_eq!(
            show(&array, &words(&[1, 2, 3, 4]), 40),
            "[\n  [0] = { .src = 1, .dst = 2 },\n  [1] = { .src = 3, .dst = 4 },\n]"
        );
        let zeros = Layout::Array {
            elem: Box::new(U64),
            len: 6,
        };
        assert_eq!(show(&zeros, &words(&[0; 6]), 10), "[6 × 0]");
        assert_eq!(
            show(&zeros, &words(&[0, 0, 0, 0, 0, 1]), 5),
            "[0,0,0,0,0,1]"
        );
    }
}
