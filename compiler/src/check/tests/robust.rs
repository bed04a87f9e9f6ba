//! Scripts that nobody would write: truncated, shuffled, random. Nothing panics, every failure has a message, and whatever is
//! correct compiles to an object without a complaint about nettrace itself.

use nettrace_grammar::diag::Severity;
use nettrace_grammar::{Sink, SourceMap, codes, parse};

use crate::check::{Options, check, print};
use crate::kernel::fixture::{FixtureKernel, kernels};
use crate::pipeline;
use crate::unit::{NoImports, Unit};

/// Checks and, if there is no mistake, compiles. Whether there was none.
fn run(script: &str, kernel: &FixtureKernel) -> bool {
    let mut map = SourceMap::new();
    let file = map.add("random.nt", script);
    let parsed = parse(&map, file);
    let broken = !parsed.diags.is_empty();
    let mut sink = Sink::new();
    sink.extend(parsed.diags);
    let expanded = crate::macros::expand(&parsed.script, &[], &[], &mut sink);
    let program = check(&expanded, kernel, &Options::default(), &mut sink);
    let errors = sink
        .diagnostics()
        .iter()
        .any(|d| d.severity == Severity::Error);
    let bug = sink.diagnostics().iter().any(|d| d.code == codes::INTERNAL);
    assert!(
        program.is_ok() != errors && !bug,
        "without a message: {script}"
    );
    let Ok(program) = program else {
        return false;
    };
    assert!(broken || !print(&program, kernel).is_empty());
    let unit = Unit::read(&mut map, file, &NoImports);
    let compiled = pipeline::compile(&map, &unit, kernel, &Options::default());
    for diag in &compiled.diagnostics {
        assert_ne!(diag.code, codes::INTERNAL, "{diag:?}\n{script}");
    }
    true
}

/// xorshift: the same scripts on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    fn expr(&mut self, depth: usize) -> String {
        if depth == 0 || self.below(5) == 0 {
            let leaves = [
                "0",
                "1",
                "255",
                "-1",
                "0x80000000",
                "18446744073709551615",
                "\"abc\"",
                "\"\"",
                "true",
                "pid",
                "nsecs",
                "comm",
                "curtask",
                "$a",
                "$b",
                "$c",
                "@s",
                "@k[1]",
                "@n",
                "arg0",
                "arg2",
                "args.skb",
                "kstack",
                "func",
                "probe",
                "AF_INET",
                "rand",
                "cpu",
                "IPPROTO_TCP",
                "retval",
                "ctx",
                "$1",
                "elapsed",
                "@agg",
            ];
            return self.pick(&leaves).to_string();
        }
        let sub = |r: &mut Random| r.expr(depth - 1);
        match self.below(14) {
            0..=3 => {
                let op = self.pick(&[
                    "+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>", "<", ">", "<=", ">=", "==",
                    "!=", "&&", "||",
                ]);
                format!("({} {op} {})", sub(self), sub(self))
            }
            4 => format!("{}{}", self.pick(&["-", "!", "~", "*"]), sub(self)),
            5 => format!("({} ? {} : {})", sub(self), sub(self), sub(self)),
            6 => {
                let ty = self.pick(&[
                    "uint8",
                    "int16",
                    "uint32",
                    "int64",
                    "bool",
                    "struct sk_buff *",
                    "struct iphdr *",
                    "int8[4]",
                    "uint8[8]",
                    "string[16]",
                    "char *",
                    "void *",
                    "struct nf_conn *",
                    "enum ip_conntrack_info",
                ]);
                format!("({ty}){}", sub(self))
            }
            7 => {
                let name = self.pick(&[
                    "str", "ntop", "ksym", "bswap", "usym", "kaddr", "strlen", "len",
                ]);
                format!("{name}({})", sub(self))
            }
            8 => format!("buf({}, {})", sub(self), sub(self)),
            9 => {
                let field = self.pick(&[
                    "len",
                    "dev",
                    "head",
                    "name",
                    "saddr",
                    "ihl",
                    "mark",
                    "tuplehash",
                    "tuple",
                    "src",
                    "u3",
                    "ip",
                    "comm",
                    "0",
                    "1",
                    "nope",
                ]);
                format!("{}.{field}", sub(self))
            }
            10 => format!("{}[{}]", sub(self), sub(self)),
            11 => format!("({}, {})", sub(self), sub(self)),
            12 => format!("({} ?: {})", sub(self), sub(self)),
            _ => self
                .pick(&[
                    "$a++",
                    "--$b",
                    "@n++",
                    "sizeof($a)",
                    "sizeof(struct sk_buff)",
                    "offsetof(struct iphdr, saddr)",
                ])
                .to_string(),
        }
    }

    fn stmt(&mut self, depth: usize) -> String {
        match self.below(14) {
            0..=2 => format!(
                "{} = {};",
                self.pick(&["$a", "$b", "$c", "@s", "@n"]),
                self.expr(depth)
            ),
            3 => format!("@k[{}] = {};", self.expr(depth), self.expr(depth)),
            4 => format!(
                "{} {} {};",
                self.pick(&["$a", "@n", "@k[1]"]),
                self.pick(&["+=", "-=", "*=", "|=", ">>="]),
                self.expr(depth)
            ),
            5 => format!(
                "@agg = {}({});",
                self.pick(&["sum", "avg", "min", "hist"]),
                self.expr(depth)
            ),
            6 => format!("@hits[{}] = count();", self.expr(depth)),
            7 => format!(
                "printf(\"{}\\n\", {});",
                self.pick(&["%d", "%s", "%x", "%r", "%p", "%5c"]),
                self.expr(depth)
            ),
            8 => format!("print({});", self.expr(depth)),
            9 => format!(
                "if ({}) {{ {} }} else {{ {} }}",
                self.expr(depth),
                self.stmt(depth),
                self.stmt(depth)
            ),
            10 => format!(
                "let ${}: {} = {};",
                self.pick(&["x", "y"]),
                self.pick(&["uint8", "int64", "string[8]"]),
                self.expr(depth)
            ),
            11 => self
                .pick(&[
                    "clear(@k);",
                    "zero(@hits);",
                    "delete(@k, 1);",
                    "exit();",
                    "print(@hits, 3);",
                    "return;",
                ])
                .to_string(),
            12 => format!("_ = {};", self.expr(depth)),
            _ => format!("{};", self.expr(depth)),
        }
    }

    fn script(&mut self, statements: usize, depth: usize) -> String {
        let probe = self.pick(&[
            "begin",
            "kprobe:ip_output",
            "kretprobe:tcp_sendmsg",
            "fentry:ip_output",
            "fexit:tcp_sendmsg",
            "kprobe:nf_ct_de*",
            "tracepoint:net:netif_receive_skb",
            "rawtracepoint:netif_receive_skb",
            "interval:s:1",
            "kprobe:ip_output, fentry:nf_hook_slow",
        ]);
        let mut body = String::from("$a = 1; $b = pid; ");
        for _ in 0..statements {
            body.push_str(&self.stmt(depth));
            body.push(' ');
        }
        format!("{probe} {{ {body}}}")
    }
}

#[test]
fn random_scripts() {
    let kernel = kernels::linux_6_12();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    // Long ones find combinations, short ones are often correct.
    let deep = (0..120).map(|_| random.script(3, 2)).collect::<Vec<_>>();
    let short = (0..200).map(|_| random.script(1, 1)).collect::<Vec<_>>();
    let correct = deep
        .iter()
        .chain(&short)
        .filter(|s| run(s, &kernel))
        .count();
    assert!(correct > 40, "only {correct} of the scripts were correct");
}

const WHOLE: &str = r#"#include <linux/socket.h>
config = { missing_probes = warn; max_strlen = 64 }
kprobe:nf_ct_delete, kprobe:ip_* / pid > 1 && comm != "x" / {
    let $x: uint64 = (uint64)arg0 * 3;
    $ct = (struct nf_conn *)arg0;
    if ($ct->tuplehash[0].tuple.src.l3num == AF_INET) { @a[pid, comm] = count(); } else { $y = $x ?: 5; @b += $y; }
    printf("%-5s %08llx %r\n", ntop($ct->tuplehash[0].tuple.src.u3.ip), $x, buf(arg0, 16));
}
tracepoint:net:netif_receive_skb { @[str(args.name), args->len] = hist(args.len, 2); }
end { print(@a, 5, 2); clear(@b); exit(3); }
"#;

#[test]
fn truncated_scripts() {
    let kernel = kernels::linux_6_12();
    assert!(run(WHOLE, &kernel));
    for end in (0..WHOLE.len()).step_by(3) {
        if WHOLE.is_char_boundary(end) {
            run(&WHOLE[..end], &kernel);
        }
    }
}

#[test]
fn shuffled_tokens() {
    let kernel = kernels::linux_6_12();
    let tokens: Vec<&str> = WHOLE
        .split_inclusive([' ', '(', ')', ';', '.', ','])
        .collect();
    let mut random = Random(7);
    for _ in 0..100 {
        let mut mixed = tokens.clone();
        for _ in 0..1 + random.below(6) {
            let (a, b) = (random.below(mixed.len()), random.below(mixed.len()));
            mixed.swap(a, b);
        }
        run(&mixed.concat(), &kernel);
    }
}

#[test]
fn many_maps_variables_and_mistakes_take_no_longer_than_their_number() {
    let kernel = kernels::linux_6_12();
    let good: String = (0..3000)
        .map(|i| format!("$v{i} = @m{i}; @m{i}[{i}] = {i}; ").replace("$v", "@q"))
        .collect();
    run(&format!("begin {{ {good} }}"), &kernel);
    let bad: String = (0..3000)
        .map(|i| format!("nosuch{i}(); $x{i} = y{i}; "))
        .collect();
    run(&format!("begin {{ {bad} }}"), &kernel);
}
