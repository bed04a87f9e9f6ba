//! The text form of every layout, from bytes as a program would write them.

use nettrace_compiler::artifact::{Layout, StackMode};

use super::*;
use crate::decode::decode;
use crate::testing::{self, int, record, tuple, words};

fn show(layout: &Layout, bytes: &[u8]) -> String {
    let mut out = Vec::new();
    write_result(&mut out, &decode(layout, bytes), &mut testing::names());
    String::from_utf8(out).expect("text")
}

#[test]
fn integers_of_all_widths() {
    assert_eq!(show(&int(1, true), &[0xff]), "-1");
    assert_eq!(show(&int(1, false), &[0xff]), "255");
    assert_eq!(show(&int(2, true), &(-300i16).to_ne_bytes()), "-300");
    assert_eq!(show(&int(4, false), &u32::MAX.to_ne_bytes()), "4294967295");
    assert_eq!(
        show(&int(8, true), &i64::MIN.to_ne_bytes()),
        "-9223372036854775808"
    );
    assert_eq!(
        show(&int(8, false), &u64::MAX.to_ne_bytes()),
        "18446744073709551615"
    );
}

#[test]
fn network_order_is_read_as_what_it_means() {
    let net = |bytes| Layout::Net { bytes };
    assert_eq!(show(&net(2), &443u16.to_be_bytes()), "443");
    assert_eq!(show(&net(4), &0xfeed_beefu32.to_be_bytes()), "4276993775");
    assert_eq!(show(&net(8), &7u64.to_be_bytes()), "7");
}

#[test]
fn bit_fields() {
    let bits = |shift, width, signed| Layout::Bits {
        bytes: 2,
        shift,
        width,
        signed,
    };
    let word = 0b1011_0000_0000_0101u16.to_ne_bytes();
    assert_eq!(show(&bits(0, 3, false), &word), "5");
    assert_eq!(show(&bits(0, 3, true), &word), "-3");
    assert_eq!(show(&bits(12, 4, false), &word), "11");
    assert_eq!(show(&bits(15, 1, true), &word), "-1");
    assert_eq!(
        show(
            &Layout::Bits {
                bytes: 8,
                shift: 0,
                width: 64,
                signed: true
            },
            &[0xff; 8]
        ),
        "-1"
    );
}

#[test]
fn names_of_numbers() {
    let protocol = Layout::Enum {
        bytes: 1,
        signed: false,
        names: vec![
            (6, "IPPROTO_TCP".to_string()),
            (17, "IPPROTO_UDP".to_string()),
        ],
    };
    assert_eq!(show(&protocol, &[17]), "IPPROTO_UDP");
    assert_eq!(show(&protocol, &[200]), "200");
    let verdict = Layout::Enum {
        bytes: 4,
        signed: true,
        names: vec![(-1, "NF_NONE".to_string())],
    };
    assert_eq!(show(&verdict, &(-1i32).to_ne_bytes()), "NF_NONE");
    assert_eq!(show(&verdict, &(-2i32).to_ne_bytes()), "-2");
    assert_eq!(show(&Layout::Bool, &[1]), "true");
    assert_eq!(show(&Layout::Bool, &[0]), "false");
}

#[test]
fn strings_end_at_the_first_nul() {
    let string = Layout::Str { cap: 8 };
    assert_eq!(show(&string, b"eth0\0xyz"), "eth0");
    assert_eq!(show(&string, b"\0\0\0\0\0\0\0\0"), "");
    // An array may be full. What was cut off ends in a byte that text never has.
    assert_eq!(show(&string, b"enp0s31f"), "enp0s31f");
    assert_eq!(show(&string, b"enp0s31\xff"), "enp0s31..");
    assert_eq!(show(&string, b"enp0\xff\0\0\0"), "enp0..");
    assert_eq!(
        show(
            &Layout::Literal {
                text: "tcp".to_string()
            },
            &[]
        ),
        "tcp"
    );
}

#[test]
fn buffers_keep_what_is_printable() {
    let mut bytes = 5u32.to_ne_bytes().to_vec();
    bytes.extend(b"ab\0\xffz   ");
    assert_eq!(show(&Layout::Buf { cap: 8 }, &bytes), r"ab\x00\xffz");
    assert_eq!(
        show(&Layout::Buf { cap: 4 }, &bytes),
        "!{a length of 5 in a value of at most 4}"
    );
}

#[test]
fn network_addresses() {
    let v4 = Layout::Inet { v6: false };
    assert_eq!(show(&v4, &[172, 17, 0, 2]), "172.17.0.2");
    let mut v6 = [0; 16];
    v6[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
    v6[15] = 1;
    assert_eq!(show(&Layout::Inet { v6: true }, &v6), "2001:db8::1");

    let any = |family: u64, address: &[u8]| {
        let mut bytes = words(&[family]);
        bytes.extend(address);
        bytes.resize(24, 0);
        show(&Layout::InetAny, &bytes)
    };
    assert_eq!(any(2, &[10, 0, 0, 1]), "10.0.0.1");
    assert_eq!(any(10, &v6), "2001:db8::1");
    assert_eq!(any(7, &[]), "!{unknown address family 7}");
    assert_eq!(
        show(&Layout::Mac, &[2, 0xab, 0, 0, 0, 0x0f]),
        "02:AB:00:00:00:0F"
    );
}

#[test]
fn addresses_with_and_without_names() {
    assert_eq!(
        show(&Layout::Pointer, &words(&[0xffff888000001000])),
        "0xffff888000001000"
    );
    assert_eq!(
        show(&Layout::KSym, &words(&[0xffffffffc0a10001])),
        "nf_ct_delete"
    );
    assert_eq!(show(&Layout::KSym, &words(&[0x1000])), "0x1000");
    // No process has this id.
    assert_eq!(
        show(&Layout::USym, &words(&[1 << 30, 0x400000])),
        "0x400000"
    );
    assert_eq!(
        show(&Layout::ProbeName, &words(&[0])),
        "kprobe:nf_ct_delete"
    );
    assert_eq!(
        show(&Layout::ProbeName, &words(&[9])),
        "!{no probe has cookie 9}"
    );
}

#[test]
fn times_devices_and_namespaces() {
    let time = Layout::Time {
        format: "%%%f".to_string(),
    };
    let shown = show(&time, &words(&[1]));
    assert_eq!((shown.len(), shown.starts_with('%')), (7, true), "{shown}");
    // Device 1 of nettrace's own namespace, no device, one that nobody has, a namespace that nobody has.
    let device = |netns: u64, index: u64| show(&Layout::Device, &words(&[netns << 32 | index]));
    assert_eq!(device(0, 1), "lo");
    assert_eq!(device(0, 0), "-");
    assert_eq!(device(0, 0xffff_fffe), "#4294967294");
    assert_eq!(device(5, 1), "#1");
    assert_eq!(show(&Layout::NetNs, &words(&[5])), "5");
    assert_eq!(show(&Layout::NetNs, &words(&[0])), "-");
}

#[test]
fn compound_values() {
    let pair = tuple(&[int(4, false), Layout::Str { cap: 4 }]);
    assert_eq!(show(&pair, b"\x01\0\0\0abc\0"), "(1, abc)");
    assert_eq!(show(&tuple(&[]), &[]), "()");
    let nested = record(&[("port", int(2, false)), ("pair", pair.clone())]);
    assert_eq!(
        show(&nested, b"\x50\0\0\0\x01\0\0\0abc\0"),
        "{ .port = 80, .pair = (1, abc) }"
    );
    assert_eq!(show(&record(&[]), &[]), "{}");
    let array = Layout::Array {
        elem: Box::new(int(2, true)),
        len: 3,
    };
    assert_eq!(show(&array, &[1, 0, 2, 0, 0xff, 0xff]), "[1,2,-1]");

    let mut key = Vec::new();
    write_key(
        &mut key,
        &decode(&pair, b"\x01\0\0\0abc\0"),
        &mut testing::names(),
    );
    assert_eq!(key, b"1, abc");
}

fn stack(mode: StackMode) -> Layout {
    Layout::Stack {
        user: false,
        frames: 4,
        mode,
    }
}

fn frames(addresses: &[u64]) -> Vec<u8> {
    let mut bytes = words(&[addresses.len() as u64 * 8]);
    bytes.extend(words(addresses));
    bytes.resize(8 + 4 * 8, 0xee);
    bytes
}

#[test]
fn a_stack_starts_on_a_new_line() {
    let bytes = frames(&[0xffffffffc0a10001, 0xffffffff81000242, 0x10]);
    assert_eq!(
        show(&stack(StackMode::Bpftrace), &bytes),
        "\n        nf_ct_delete+1 [nf_conntrack]\n        nf_hook_slow+66\n        0x10\n"
    );
    assert_eq!(
        show(&stack(StackMode::Perf), &bytes),
        "\n\tffffffffc0a10001 nf_ct_delete+1 [nf_conntrack]\n\tffffffff81000242 nf_hook_slow+66\n\t10 0x10\n"
    );
    assert_eq!(
        show(&stack(StackMode::Raw), &bytes),
        "\nffffffffc0a10001\nffffffff81000242\n10\n"
    );
}

/// `do_exit` ends with a call that does not return: the return address is the next function's first byte.
#[test]
fn a_return_address_belongs_to_its_caller() {
    let bytes = frames(&[0xffffffff81000400, 0xffffffff81000400]);
    assert_eq!(
        show(&stack(StackMode::Bpftrace), &bytes),
        "\n        after_exit+0\n        do_exit+256\n"
    );
}

#[test]
fn a_stack_that_could_not_be_taken_is_empty() {
    assert_eq!(
        show(&stack(StackMode::Bpftrace), &words(&[0, 0, 0, 0, 0])),
        "\n"
    );
    let refused = words(&[(-14i64) as u64, 0, 0, 0, 0]);
    assert_eq!(show(&stack(StackMode::Bpftrace), &refused), "\n");
    let too_long = words(&[4096, 0, 0, 0, 0]);
    assert_eq!(
        show(&stack(StackMode::Bpftrace), &too_long),
        "!{a length of 4096 in a value of at most 32}"
    );
}

#[test]
fn a_user_stack_of_a_process_that_is_gone_stays_numbers() {
    let layout = Layout::Stack {
        user: true,
        frames: 2,
        mode: StackMode::Bpftrace,
    };
    let bytes = words(&[1 << 30, 16, 0x401000, 0x402000]);
    assert_eq!(
        show(&layout, &bytes),
        "\n        0x401000\n        0x402000\n"
    );
}

/// Every layout on every length that is too short: an answer, never a panic.
#[test]
fn short_bytes_are_told_and_nothing_else_happens() {
    let layouts = [
        int(8, true),
        Layout::Bool,
        Layout::Pointer,
        Layout::Str { cap: 16 },
        Layout::Buf { cap: 12 },
        stack(StackMode::Bpftrace),
        Layout::Stack {
            user: true,
            frames: 2,
            mode: StackMode::Perf,
        },
        Layout::USym,
        Layout::Device,
        Layout::NetNs,
        Layout::Time {
            format: "%H".to_string(),
        },
        Layout::InetAny,
        Layout::Inet { v6: true },
        Layout::Mac,
        tuple(&[int(8, false), Layout::Mac]),
        Layout::Array {
            elem: Box::new(int(4, false)),
            len: 3,
        },
        int(3, false),
    ];
    for layout in &layouts {
        for length in 0..layout.size() as usize {
            let text = show(layout, &vec![0x41; length]);
            // A stack needs only the frames it says it has.
            assert!(
                text.starts_with("!{"),
                "{layout:?} of {length} bytes: {text}"
            );
        }
    }
}
