//! Symbol tables from small texts, and the running kernel's own where it may be seen.

use super::*;

const SMALL: &str = "\
0000000000000000 A fixed_percpu_data
ffffffff81000000 T _stext
ffffffff81000000 T _text
ffffffff81000100 T ip_output
ffffffff81000200 t nf_hook_slow
ffffffff81000400 D jiffies
ffffffff82000000 B _end
ffffffffc0a10000 t nf_ct_delete\t[nf_conntrack]
ffffffffc0a00010 t dup\t[nf_nat]
ffffffffc0a00000 t nf_nat_inet_fn\t[nf_nat]
ffffffffc0a10080 t dup\t[nf_conntrack]
";

fn small() -> Table {
    Table::read(SMALL.as_bytes()).expect("a table")
}

fn show(address: u64) -> String {
    match small().lookup(address) {
        None => "none".to_string(),
        Some(Symbol {
            name,
            offset,
            module,
        }) => {
            let name = String::from_utf8_lossy(name);
            format!("{name}+{offset} {}", module.unwrap_or("-"))
        }
    }
}

#[test]
fn an_address_belongs_to_the_nearest_symbol_below() {
    assert_eq!(show(0xffffffff81000100), "ip_output+0 -");
    assert_eq!(show(0xffffffff810001ff), "ip_output+255 -");
    assert_eq!(show(0xffffffff81000201), "nf_hook_slow+1 -");
    assert_eq!(show(0xffffffffc0a10001), "nf_ct_delete+1 nf_conntrack");
    assert_eq!(show(0xffffffffc0a00000), "nf_nat_inet_fn+0 nf_nat");
}

#[test]
fn of_aliases_the_first_of_the_file_wins() {
    assert_eq!(show(0xffffffff81000004), "_stext+4 -");
}

#[test]
fn addresses_outside_everything_have_no_symbol() {
    assert_eq!(show(0), "none");
    assert_eq!(show(0x7fff_0000_1234), "none");
    // Between the kernel image and the modules, and long after the last module's last symbol.
    assert_eq!(show(0xffffffff82000008), "_end+8 -");
    assert_eq!(show(0xffffffff82004000), "none");
    assert_eq!(show(0xffffffffc0a14080), "none");
    assert_eq!(show(u64::MAX), "none");
}

#[test]
fn a_name_may_have_several_places() {
    let table = small();
    let places: Vec<String> = table
        .places(b"dup")
        .iter()
        .map(|p| format!("{:x} {}", p.address, p.module.unwrap_or("-")))
        .collect();
    assert_eq!(
        places,
        ["ffffffffc0a00010 nf_nat", "ffffffffc0a10080 nf_conntrack"]
    );
    assert!(table.places(b"nf_ct").is_empty());
}

#[test]
fn zeros_are_a_problem_of_the_host_and_not_a_table() {
    let zeros = "0000000000000000 T _stext\n0000000000000000 T ip_output\n";
    assert_eq!(
        Table::read(zeros.as_bytes()).unwrap_err(),
        Unavailable::Hidden
    );
    let text = Unavailable::Hidden.diagnostic(KALLSYMS);
    assert!(
        text.message.contains("/proc/kallsyms has address 0"),
        "{text:?}"
    );
    assert!(text.help[0].contains("kptr_restrict"), "{text:?}");
}

#[test]
fn odd_lines_are_left_out() {
    let odd = "\n\nzz T bad\nffffffff81000000\nffffffff81000000 T\n\
               fffffffffffffffff T seventeen\nffffffff81000010 T good extra words";
    let table = Table::read(odd.as_bytes()).expect("a table");
    assert_eq!(table.len(), 1);
    let symbol = table.lookup(0xffffffff81000012).expect("a symbol");
    assert_eq!((symbol.name, symbol.offset), (&b"good"[..], 2));
}

/// Readers may return any number of bytes at a time.
#[test]
fn lines_may_arrive_in_pieces() {
    struct Piecemeal<'a>(&'a [u8]);
    impl Read for Piecemeal<'_> {
        fn read(&mut self, room: &mut [u8]) -> std::io::Result<usize> {
            let n = room.len().min(7).min(self.0.len());
            room[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }
    let pieces = Table::read(Piecemeal(SMALL.as_bytes())).expect("a table");
    assert_eq!(pieces.len(), small().len());
    assert_eq!(pieces.places(b"_end"), small().places(b"_end"));
}

#[test]
fn a_missing_file_is_told_once() {
    let mut symbols = KernelSymbols::at("/nonexistent/kallsyms");
    assert_eq!(symbols.lookup(0xffffffff81000000), None);
    let problem = symbols.take_problem().expect("a problem");
    assert!(
        problem
            .message
            .starts_with("cannot read /nonexistent/kallsyms"),
        "{problem:?}"
    );
    assert_eq!(symbols.lookup(0xffffffff81000000), None);
    assert!(symbols.take_problem().is_none());
}

#[test]
fn the_table_stays_small() {
    assert_eq!(size_of::<Entry>(), 16);
}

/// The running kernel, where its symbols may be seen.
#[test]
fn the_running_kernel_has_symbols() {
    let table = match File::open(KALLSYMS).map(Table::read) {
        Ok(Ok(table)) => table,
        hidden => return eprintln!("skipped: {KALLSYMS} shows no addresses: {hidden:?}"),
    };
    let [place] = table.places(b"__x64_sys_openat")[..] else {
        return eprintln!("skipped: not an x86-64 kernel");
    };
    let symbol = table.lookup(place.address + 1).expect("a symbol");
    assert_eq!(symbol.offset, 1);
    assert_eq!(table.lookup(place.address + 1), Some(symbol));
}

proptest::proptest! {
    /// Any text and any address: an answer, never a panic.
    #[test]
    fn any_text_is_read(
        text in "([0-9a-f]{0,17}[ \t]?[tTaA]?[ \t]?[a-z_.]{0,6}[ \t]?(\\[[a-z]{0,3}\\])?\n?){0,8}",
        address: u64,
    ) {
        if let Ok(table) = Table::read(text.as_bytes()) {
            proptest::prop_assert!(!table.is_empty());
            for near in [address, address >> 40, table.entries[0].address] {
                if let Some(symbol) = table.lookup(near) {
                    let places = table.places(symbol.name);
                    proptest::prop_assert!(places.iter().any(|p| p.address + symbol.offset == near));
                }
            }
        }
    }
}

/// Offsets that are absolute values, or small numbers in modules, before 6.15; addresses in a section since.
#[test]
fn per_cpu_variables() {
    let before = "\
0000000000000000 A fixed_percpu_data
0000000000036bc0 A softnet_data
ffffffff81000000 T _text
ffffffff82000000 D init_net
0000000000041020 d xt_recseq\t[x_tables]
ffffffffc0a00000 t xt_find\t[x_tables]
";
    let since = "\
ffffffff81000000 T _text
ffffffff82000000 D init_net
ffffffff83000000 D __per_cpu_start
ffffffff83000040 D softnet_data
ffffffff83036000 D __per_cpu_end
ffffffff83036100 d xt_recseq\t[x_tables]
ffffffffc0a00000 t xt_find\t[x_tables]
";
    let names = ["softnet_data", "xt_recseq", "init_net", "xt_find", "_text"];
    let places = |text: &str| {
        let table = Table::read(text.as_bytes()).expect("a table");
        names.map(|name| table.percpu(name.as_bytes()))
    };
    assert_eq!(
        places(before),
        [vec![0x36bc0], vec![0x41020], vec![], vec![], vec![]]
    );
    assert_eq!(
        places(since),
        [
            vec![0xffffffff83000040],
            vec![0xffffffff83036100],
            vec![],
            vec![],
            vec![]
        ]
    );
    // An offset is no address: nothing is looked up by it.
    let table = Table::read(before.as_bytes()).expect("a table");
    assert!(table.lookup(0x36bc8).is_none());
    assert!(table.places(b"softnet_data").is_empty());
}
