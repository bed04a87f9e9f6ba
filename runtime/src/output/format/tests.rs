//! printf as C programmers know it. Each line: a conversion, a number, what comes out.

use nettrace_compiler::artifact::{Conversion, Layout, Piece, Spec};

use super::*;
use crate::decode::decode;
use crate::testing;

/// Reads `%-08.3lx` the way the compiler's format parser does, as far as these tests need it.
fn spec(text: &str) -> Spec {
    let mut spec = testing::spec(0, Conversion::Signed);
    let mut rest = text.strip_prefix('%').expect("a conversion");
    while let Some(flag) = rest.chars().next().filter(|c| "-+ #0".contains(*c)) {
        match flag {
            '-' => spec.left = true,
            '+' => spec.plus = true,
            ' ' => spec.space = true,
            '#' => spec.alternate = true,
            _ => spec.zero = true,
        }
        rest = &rest[1..];
    }
    let digits = |rest: &mut &str| {
        let end = rest.find(|c: char| !c.is_ascii_digit()).expect("a letter");
        let (number, tail) = rest.split_at(end);
        *rest = tail;
        number.parse().unwrap_or(0)
    };
    spec.width = digits(&mut rest);
    if let Some(tail) = rest.strip_prefix('.') {
        rest = tail;
        spec.precision = Some(digits(&mut rest));
    }
    for (length, bytes) in [("hh", 1), ("h", 2), ("l", 8)] {
        if let Some(tail) = rest.strip_prefix(length) {
            rest = tail;
            spec.bytes = bytes;
            break;
        }
    }
    spec.conversion = match rest {
        "d" => Conversion::Signed,
        "u" => Conversion::Unsigned,
        "o" => Conversion::Octal,
        "x" => Conversion::Hex,
        "X" => Conversion::HexUpper,
        "c" => Conversion::Char,
        "p" => Conversion::Pointer,
        "s" => Conversion::Text,
        "r" => Conversion::Buffer,
        "rx" => Conversion::BufferHex,
        "rh" => Conversion::BufferPlain,
        other => panic!("no conversion {other}"),
    };
    spec
}

fn show(conversion: &str, value: Value<'_>) -> String {
    let mut out = Vec::new();
    write_spec(&mut out, &spec(conversion), &value, &mut testing::names());
    String::from_utf8(out).expect("text")
}

fn check(cases: &[(&str, i64, &str)]) {
    for (conversion, number, expected) in cases {
        let shown = show(conversion, Value::Signed(*number));
        assert_eq!(&shown, expected, "{conversion} of {number}");
    }
}

#[test]
fn signs() {
    check(&[
        ("%d", 0, "0"),
        ("%d", -3, "-3"),
        ("%+d", 3, "+3"),
        ("%+d", -3, "-3"),
        ("% d", 3, " 3"),
        ("% d", -3, "-3"),
        ("%+ d", 3, "+3"),
        ("%ld", i64::MIN, "-9223372036854775808"),
    ]);
}

#[test]
fn zeros_stand_between_sign_and_digits() {
    check(&[
        ("%05d", -3, "-0003"),
        ("%05d", 3, "00003"),
        ("%+05d", 3, "+0003"),
        ("%#08x", 255, "0x0000ff"),
        ("%08p", 255, "0x0000ff"),
    ]);
}

#[test]
fn a_minus_fills_with_blanks_on_the_right() {
    check(
        &[
            ("%-5d|", 3, "3    |"),
            ("%-05d|", -3, "-3   |"),
            ("%-8x|", 255, "ff      |"),
            ("%5d|", -3, "   -3|"),
        ]
        .map(|(conversion, number, expected)| {
            (
                conversion.trim_end_matches('|'),
                number,
                expected.trim_end_matches('|'),
            )
        }),
    );
}

#[test]
fn precision_is_the_least_number_of_digits() {
    check(&[
        ("%.3d", 7, "007"),
        ("%.3d", -7, "-007"),
        ("%6.3d", 7, "   007"),
        ("%06.3d", 7, "   007"),
        ("%.0d", 0, ""),
        ("%.0d", 5, "5"),
        ("%3.0d", 0, "   "),
        ("%.4x", 255, "00ff"),
        ("%#.4x", 255, "0x00ff"),
    ]);
}

#[test]
fn lengths_cut_as_c_does() {
    check(&[
        // Only an explicit length cuts.
        ("%d", 0x1_0000_0001, "4294967297"),
        ("%d", 0xffff_ffff, "4294967295"),
        ("%x", -0x1_0000_0000, "ffffffff00000000"),
        ("%ld", 0xffff_ffff, "4294967295"),
        ("%u", -1, "4294967295"),
        ("%lu", -1, "18446744073709551615"),
        ("%hhd", 0x1ff, "-1"),
        ("%hhu", 0x1ff, "255"),
        ("%hx", -1, "ffff"),
        ("%x", -1, "ffffffff"),
        ("%p", -1, "0xffffffffffffffff"),
    ]);
}

#[test]
fn the_other_bases() {
    check(&[
        ("%o", 8, "10"),
        ("%#o", 8, "010"),
        ("%#o", 0, "0"),
        ("%#.0o", 0, "0"),
        ("%#.4o", 8, "0010"),
        ("%x", 0xbeef, "beef"),
        ("%X", 0xbeef, "BEEF"),
        ("%#X", 0xbeef, "0XBEEF"),
        ("%#x", 0, "0"),
        ("%p", 0, "0x0"),
    ]);
}

#[test]
fn characters() {
    check(&[
        ("%c", 65, "A"),
        ("%3c", 65, "  A"),
        ("%-3c", 65, "A  "),
        ("%.0c", 65, "A"),
    ]);
}

#[test]
fn text_of_anything() {
    let text = Value::Text {
        bytes: b"conntrack",
        cut: false,
    };
    assert_eq!(show("%s", text), "conntrack");
    assert_eq!(show("%12s", text), "   conntrack");
    assert_eq!(show("%-12s", text), "conntrack   ");
    assert_eq!(show("%.4s", text), "conn");
    assert_eq!(show("%-6.4s", text), "conn  ");
    assert_eq!(
        show(
            "%s",
            Value::Text {
                bytes: b"long",
                cut: true
            }
        ),
        "long.."
    );
    assert_eq!(show("%5s", Value::Bool(true)), " true");
    assert_eq!(show("%s", Value::Signed(-7)), "-7");
    assert_eq!(
        show(
            "%s",
            Value::Enum {
                number: 6,
                signed: false,
                name: Some("TCP")
            }
        ),
        "TCP"
    );
    assert_eq!(
        show(
            "%d",
            Value::Enum {
                number: 6,
                signed: false,
                name: Some("TCP")
            }
        ),
        "6"
    );
}

#[test]
fn buffers() {
    let buffer = Value::Buffer(b"GET \x00\x7f\xff\\");
    assert_eq!(show("%r", buffer), r"GET \x00\x7f\xff\");
    assert_eq!(show("%rx", buffer), r"\x47\x45\x54\x20\x00\x7f\xff\x5c");
    assert_eq!(show("%rh", buffer), "47 45 54 20 00 7f ff 5c");
    assert_eq!(show("%rh", Value::Buffer(b"")), "");
    assert_eq!(show("%s", buffer), r"GET \x00\x7f\xff\");
    let bytes = Layout::Array {
        elem: Box::new(testing::int(1, false)),
        len: 2,
    };
    assert_eq!(
        show("%rh", decode(&bytes, &[1, 2]).expect("an array")),
        "01 02"
    );
}

#[test]
fn what_cannot_be_printed_says_so_in_its_place() {
    assert_eq!(
        show(
            "%d",
            Value::Text {
                bytes: b"x",
                cut: false
            }
        ),
        "!{not a number}"
    );
    assert_eq!(show("%r", Value::Signed(1)), "!{not a buffer}");
}

#[test]
fn absurd_widths_are_cut() {
    assert_eq!(show("%999999999d", Value::Signed(1)).len(), MAX_WIDTH);
    assert_eq!(show("%.999999999d", Value::Signed(1)).len(), MAX_WIDTH);
    assert_eq!(show("%999999999s", Value::Bool(true)).len(), MAX_WIDTH);
}

#[test]
fn a_star_is_a_field() {
    let number = || ("", testing::int(8, true));
    let show = |conversion, width: i64, precision: i64, value: i64| {
        let (fields, _) = testing::fields(0, &[number(), number(), number()]);
        let record = testing::words(&[width as u64, precision as u64, value as u64]);
        let pieces = [
            Piece::Width,
            Piece::Precision,
            Piece::Value(spec(conversion)),
        ];
        let mut out = Vec::new();
        write_printf(&mut out, &pieces, &fields, &record, &mut testing::names());
        String::from_utf8(out).expect("text")
    };
    assert_eq!(show("%d", 6, -1, 42), "    42");
    assert_eq!(show("%d", -6, -1, 42), "42    ");
    assert_eq!(show("%d", 6, 4, 42), "  0042");
    assert_eq!(show("%d", i64::MAX, -1, 42).len(), MAX_WIDTH);
    assert_eq!(show("%d", 0, i64::MAX, 42).len(), MAX_WIDTH);
}

#[test]
fn a_record_fills_its_format() {
    let layouts = [
        ("", Layout::Inet { v6: false }),
        ("", testing::int(2, false)),
        (
            "",
            Layout::Literal {
                text: "tcp".to_string(),
            },
        ),
    ];
    let (fields, _) = testing::fields(8, &layouts);
    let mut record = testing::words(&[0]);
    record.extend([192, 0, 2, 1]);
    record.extend(8080u16.to_ne_bytes());
    let pieces = [
        Piece::Value(spec("%s")),
        Piece::Text(":".to_string()),
        Piece::Value(spec("%u")),
        Piece::Text(" ".to_string()),
        Piece::Value(spec("%s")),
        Piece::Text("\n".to_string()),
    ];
    let mut out = Vec::new();
    write_printf(&mut out, &pieces, &fields, &record, &mut testing::names());
    assert_eq!(out, b"192.0.2.1:8080 tcp\n");

    // A record that is too short spoils only the values it lacks.
    out.clear();
    write_printf(
        &mut out,
        &pieces,
        &fields,
        &record[..12],
        &mut testing::names(),
    );
    let text = String::from_utf8(out).expect("text");
    assert_eq!(text, "192.0.2.1:!{0 bytes where 2 are needed} tcp\n");
}
