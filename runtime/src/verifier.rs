//! The verifier's log as a message about the script's line.
//!
//! In: the log of a refused program, its line records. Out: one diagnostic: the guilty place, what the kernel said, what that means in
//! plain words, what to do. Two forms of log are understood: the old one, whose last line before the statistics is the reason, and the
//! one with sections (`Reason:`, `At:`, `Suggestion:`) of Linux 7.3.

use nettrace_grammar::{Diagnostic, SourceMap, codes};

use crate::code::Code;

/// What the log says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Verdict<'a> {
    /// The verifier's own words.
    reason: &'a str,
    /// The kernel's longer words, where it has them.
    explained: Option<String>,
    /// The kernel's advice, where it has one.
    advice: Option<String>,
    /// The instruction it is about.
    insn: Option<u32>,
}

/// Makes the message. With `whole_log` the log is added as a note.
pub(crate) fn explain(log: &str, code: &Code, sources: &SourceMap, whole_log: bool) -> Diagnostic {
    let verdict = parse(log);
    let meaning = meaning(verdict.reason);
    let span = verdict.insn.map_or(code.span, |insn| code.span_of(insn));
    let text = format!(
        "the kernel's verifier refused the program: {}",
        meaning.what
    );
    let mut diag = Diagnostic::error(codes::VERIFIER, span, text).label("here");
    if sources.text(code.span) != sources.text(span) && span != code.span {
        diag = diag.also(code.span, "in this probe");
    }
    if !verdict.reason.is_empty() {
        let at = verdict
            .insn
            .map_or(String::new(), |insn| format!(" (at instruction {insn})"));
        diag = diag.note(format!("the verifier says: {}{at}", verdict.reason));
    }
    if let Some(text) = verdict.explained {
        diag = diag.note(text);
    }
    if let Some(text) = verdict.advice {
        diag = diag.note(format!("the kernel suggests: {text}"));
    }
    if whole_log {
        diag = diag.note(format!("the verifier's log:\n{}", log.trim_end()));
    } else {
        let lines = log.lines().count();
        diag = diag.note(format!("`-v` shows the whole log ({lines} lines)"));
    }
    diag.help(meaning.advice)
}

/// A known reason in plain words.
struct Meaning {
    what: &'static str,
    advice: &'static str,
}

/// Pieces of verifier messages (all of them are stable for years), and what they mean for a script. The first that fits counts.
const KNOWN: &[(&[&str], Meaning)] = &[
    (
        &[
            "unknown func",
            "cannot use helper",
            "helper call is not allowed",
            "calling kernel function",
            "invalid func ",
        ],
        Meaning {
            what: "a function it uses does not exist here",
            advice: "this kernel, or this kind of probe, does not offer it: try another kind of probe or a newer kernel",
        },
    ),
    (
        &[
            "combined stack size",
            "stack depth",
            "invalid write to stack",
            "invalid stack",
        ],
        Meaning {
            what: "its values do not fit into the stack",
            advice: "use shorter strings and smaller keys, or fewer variables at once",
        },
    ),
    (
        &["invalid bpf_context access"],
        Meaning {
            what: "it reads something this probe does not have",
            advice: "compare with `nettrace -lv PROBE`, which lists the arguments",
        },
    ),
    (
        &["infinite loop detected", "back-edge", "loop is not bounded"],
        Meaning {
            what: "a loop may not end",
            advice: "give the loop a constant bound",
        },
    ),
    (
        &[
            "BPF program is too large",
            "too complex",
            "program too large",
            "too many states",
        ],
        Meaning {
            what: "it is too large or branches too often",
            advice: "split the probe, shorten loops and strings",
        },
    ),
    (
        &[
            "unbounded memory access",
            "outside of the allowed memory range",
            "invalid access to map value",
            "invalid access to memory",
            "min value is negative",
            "unbounded min value",
        ],
        Meaning {
            what: "an index or length may be out of range",
            advice: "check the index or limit the length before it is used",
        },
    ),
    (
        &[
            "invalid mem access",
            "invalid read from stack",
            "!read_ok",
            "R0 leaks addr",
        ],
        Meaning {
            what: "it uses a value as a pointer that may be none",
            advice: "check pointers before they are used; if the script does nothing of the kind, this is a bug of nettrace: please report it with the output of `-v`",
        },
    ),
];

const UNKNOWN: Meaning = Meaning {
    what: "it cannot be proven safe",
    advice: "this is probably a bug of nettrace: please report it with the script and the output of `-v`",
};

/// What the verifier says about the function that a trampoline is for, if it did not come to look at the program.
pub(crate) fn refused_target(log: &str) -> Option<&str> {
    let verdict = parse(log);
    let looked = log.lines().any(|line| instruction(line).is_some());
    (!looked && !verdict.reason.is_empty()).then_some(verdict.reason)
}

fn meaning(reason: &str) -> &'static Meaning {
    KNOWN
        .iter()
        .find(|(pieces, _)| pieces.iter().any(|piece| reason.contains(piece)))
        .map_or(&UNKNOWN, |(_, meaning)| meaning)
}

fn parse(log: &str) -> Verdict<'_> {
    let lines: Vec<&str> = log.lines().map(str::trim_end).collect();
    let headline = lines
        .iter()
        .position(|line| line.starts_with("Verification failed:"));
    let mut verdict = old_verdict(lines.get(..headline.unwrap_or(lines.len())).unwrap_or(&[]));
    if let Some(at) = headline {
        let report = lines.get(at..).unwrap_or(&[]);
        if verdict.reason.is_empty() {
            verdict.reason = report
                .first()
                .and_then(|line| line.strip_prefix("Verification failed:"))
                .unwrap_or_default()
                .trim();
        }
        verdict.explained = section(report, "Reason:");
        verdict.advice = section(report, "Suggestion:");
        let at_insn = report.iter().find_map(|line| {
            let number = line.trim().strip_prefix("insn ")?;
            number
                .split(|c: char| !c.is_ascii_digit())
                .next()?
                .parse()
                .ok()
        });
        verdict.insn = at_insn.or(verdict.insn);
    }
    verdict
}

/// The indented text under a heading, as one line.
fn section(report: &[&str], heading: &str) -> Option<String> {
    let start = report.iter().position(|line| *line == heading)? + 1;
    let text: Vec<&str> = report
        .iter()
        .skip(start)
        .take_while(|line| line.starts_with(' '))
        .map(|line| line.trim())
        .collect();
    (!text.is_empty()).then(|| text.join(" "))
}

/// The last line that is neither code, state, source nor statistics, and the last instruction before it.
fn old_verdict<'a>(lines: &[&'a str]) -> Verdict<'a> {
    let mut verdict = Verdict::default();
    let mut last_insn = None;
    for line in lines {
        if let Some(insn) = instruction(line) {
            last_insn = Some(insn);
        } else if is_message(line) {
            verdict.reason = line.trim();
            verdict.insn = last_insn;
        }
    }
    verdict
}

/// `12: (85) call bpf_probe_read_kernel#113` is instruction 12.
fn instruction(line: &str) -> Option<u32> {
    let (number, rest) = line.split_once(':')?;
    let number = number.trim().parse().ok()?;
    rest.trim_start().starts_with('(').then_some(number)
}

fn is_message(line: &str) -> bool {
    let text = line.trim();
    let statistics = [
        "processed ",
        "verification time",
        "stack depth ",
        "max_states_per_insn",
        "insns processed",
        "Validating ",
        "Func#",
        "mark_precise",
        "regs=",
        "from ",
        "caller:",
        "callee:",
        "returning from callee",
        "to caller at",
        "frame",
        "func#",
        "arg#",
        "reg type unsupported",
        "0: R1=ctx",
        "last_idx",
        "parent ",
        "propagating",
        "BPF: ",
    ];
    // `3: R1=ctx() R10=fp0` and `R1_w=scalar() …` are states.
    let after_number = text.split_once(": ").map_or(text, |(number, rest)| {
        if number.bytes().all(|b| b.is_ascii_digit()) {
            rest
        } else {
            text
        }
    });
    !text.is_empty()
        && !text.starts_with(';')
        && !is_state(after_number)
        && !statistics.iter().any(|s| text.starts_with(s))
}

/// `R1=ctx()`, `R0_w=scalar(…)`, `fp-8=mmmmmmmm`; but not `R1 invalid mem access`.
fn is_state(text: &str) -> bool {
    let Some(first) = text.split_whitespace().next() else {
        return false;
    };
    let Some((name, _)) = first.split_once('=') else {
        return false;
    };
    let register = name.trim_end_matches("_rw").trim_end_matches("_r");
    let register = register.trim_end_matches("_w").trim_end_matches("_D");
    let digits = register
        .strip_prefix('R')
        .or_else(|| register.strip_prefix("fp-"));
    digits.is_some_and(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Linux 6.12 writes it.
    const OLD: &str = "\
0: R1=ctx() R10=fp0
; $x = arg0; @ a.nt:2
0: (79) r1 = *(u64 *)(r1 +112)        ; R1_w=scalar()
; print(*$x); @ a.nt:3
1: (79) r0 = *(u64 *)(r1 +0)
R1 invalid mem access 'scalar'
processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
";

    /// As Linux 7.3 writes it.
    const SECTIONS: &str = "\
0: R1=ctx() R10=fp0
0: (95) exit
R0 !read_ok

Verification failed: Register Type Safety: Unreadable register

Reason:
  R0 has never been initialized on this path,
  so the verifier cannot use it as an input.

At:
  insn 7
        | ^-- error: R0 is not readable

Causal path:
  no retained diagnostic events on this path

Suggestion:
  Initialize R0 on every path before this instruction.

processed 1 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
";

    fn code() -> (Code, SourceMap) {
        let script = "kprobe:f {\n  $x = arg0;\n  print(*$x);\n}\n";
        let mut sources = SourceMap::new();
        sources.add("a.nt", script);
        let at = |text: &str| {
            let lo = script.find(text).expect("in the script") as u32;
            nettrace_grammar::Span::new(lo, lo + text.len() as u32)
        };
        let code = Code {
            symbol: "p".to_owned(),
            license: c"GPL".to_owned(),
            insns: Vec::new(),
            func_info: (Vec::new(), 0),
            line_info: (Vec::new(), 0),
            lines: vec![(0, at("$x = arg0;")), (1, at("print(*$x);"))],
            span: at("kprobe:f"),
        };
        (code, sources)
    }

    #[test]
    fn the_guilty_line_is_marked() {
        let (code, sources) = code();
        let diag = explain(OLD, &code, &sources, false);
        let span = diag.primary_span().expect("a place");
        assert_eq!(sources.text(span), "print(*$x);");
        assert_eq!(
            diag.message,
            "the kernel's verifier refused the program: it uses a value as a pointer that may be none"
        );
        assert_eq!(
            diag.notes,
            [
                "the verifier says: R1 invalid mem access 'scalar' (at instruction 1)",
                "`-v` shows the whole log (7 lines)"
            ]
        );
    }

    #[test]
    fn logs_with_sections_are_understood() {
        let verdict = parse(SECTIONS);
        assert_eq!(verdict.reason, "R0 !read_ok");
        assert_eq!(verdict.insn, Some(7));
        assert_eq!(
            verdict.explained.as_deref(),
            Some(
                "R0 has never been initialized on this path, so the verifier cannot use it as an input."
            )
        );
        assert_eq!(
            verdict.advice.as_deref(),
            Some("Initialize R0 on every path before this instruction.")
        );
    }

    #[test]
    fn the_whole_log_is_shown_on_request() {
        let (code, sources) = code();
        let diag = explain(OLD, &code, &sources, true);
        assert!(diag.notes.iter().any(|n| n.contains("R1_w=scalar()")));
    }

    #[test]
    fn messages_without_an_instruction_mark_the_probe() {
        let (code, sources) = code();
        let log = "BPF program is too large. Processed 1000001 insn\nprocessed 1000001 insns\n";
        let diag = explain(log, &code, &sources, false);
        let span = diag.primary_span().expect("a place");
        assert_eq!(sources.text(span), "kprobe:f");
        assert!(
            diag.message
                .ends_with("it is too large or branches too often")
        );
    }

    #[test]
    fn a_refused_function_is_told_from_a_refused_program() {
        let log = "The function _printk with variable args is unsupported.\nverification time 547 usec\nstack depth 0\n";
        let reason = "The function _printk with variable args is unsupported.";
        assert_eq!(refused_target(log), Some(reason));
        assert_eq!(refused_target(OLD), None);
        assert_eq!(refused_target(""), None);
    }

    #[test]
    fn any_text_is_taken() {
        let (code, sources) = code();
        for log in [
            "",
            "\n\n",
            "Verification failed:",
            "At:\n",
            "99999999999: (",
            ";",
            "ü: (",
        ] {
            explain(log, &code, &sources, false);
        }
    }
}
