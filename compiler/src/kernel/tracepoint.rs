//! Reads a tracepoint's `format` file.
//!
//! In: the text of `/sys/kernel/tracing/events/CATEGORY/EVENT/format`. Out: its fields without the `common_*` ones. Lines that are
//! not fields are passed over, so the text after the fields (`print fmt`) does not matter.

use super::{Tracepoint, TracepointField};

/// The tracepoint that a format file describes.
pub fn parse_format(category: &str, event: &str, text: &str) -> Tracepoint {
    Tracepoint {
        category: category.to_string(),
        event: event.to_string(),
        fields: text
            .lines()
            .filter_map(field)
            .filter(|f| !f.name.starts_with("common_"))
            .collect(),
    }
}

/// `field:const char name[16];  offset:8;  size:16;  signed:0;`
fn field(line: &str) -> Option<TracepointField> {
    let line = line.trim();
    let mut parts = line.strip_prefix("field:")?.split(';').map(str::trim);
    let declaration = parts.next()?;
    let (mut offset, mut size, mut signed) = (None, None, false);
    for part in parts {
        match part.split_once(':') {
            Some(("offset", n)) => offset = n.trim().parse().ok(),
            Some(("size", n)) => size = n.trim().parse().ok(),
            Some(("signed", n)) => signed = n.trim() != "0",
            _ => {}
        }
    }
    let (c_type, name) = declarator(declaration)?;
    Some(TracepointField {
        name,
        c_type,
        offset: offset?,
        size: size?,
        signed,
    })
}

/// Splits `type name[N]` into `type[N]` and `name`. `__data_loc char[] name` has its brackets at the type already.
fn declarator(text: &str) -> Option<(String, String)> {
    let (text, suffix) = match text.find('[') {
        Some(at) if text.ends_with(']') => text.split_at(at),
        _ => (text, ""),
    };
    let text = text.trim_end();
    let split = text.rfind(|c: char| !(c.is_alphanumeric() || c == '_'))? + 1;
    let (c_type, name) = text.split_at_checked(split)?;
    if name.is_empty() {
        return None;
    }
    Some((format!("{}{suffix}", c_type.trim_end()), name.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMAT: &str = "\
name: sched_switch
ID: 316
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

\tfield:char prev_comm[16];\toffset:8;\tsize:16;\tsigned:0;
\tfield:pid_t prev_pid;\toffset:24;\tsize:4;\tsigned:1;
\tfield:const struct sk_buff *skb;\toffset:32;\tsize:8;\tsigned:0;
\tfield:__data_loc char[] name;\toffset:40;\tsize:4;\tsigned:0;
\tfield:const char * const * argv;\toffset:48;\tsize:8;\tsigned:0;

print fmt: \"prev_comm=%s\", REC->prev_comm
";

    #[test]
    fn fields_of_a_format_file() {
        let event = parse_format("sched", "sched_switch", FORMAT);
        let fields: Vec<String> = event
            .fields
            .iter()
            .map(|f| {
                format!(
                    "{} {} +{} {} {}",
                    f.c_type, f.name, f.offset, f.size, f.signed
                )
            })
            .collect();
        assert_eq!(
            fields,
            [
                "char[16] prev_comm +8 16 false",
                "pid_t prev_pid +24 4 true",
                "const struct sk_buff * skb +32 8 false",
                "__data_loc char[] name +40 4 false",
                "const char * const * argv +48 8 false",
            ]
        );
    }

    #[test]
    fn broken_lines_are_no_fields() {
        for text in [
            "field:",
            "field:;offset:1;size:2;",
            "field:int x;offset:-1;size:4;",
            "field:é;",
            "field:int [3];offset:0;size:4",
        ] {
            assert!(parse_format("a", "b", text).fields.is_empty(), "{text}");
        }
    }
}
