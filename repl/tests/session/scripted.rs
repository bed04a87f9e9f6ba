//! Sessions that are read from a file: entries in, output out.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use crate::screen::may_trace;

/// What a session prints to standard output and to standard error.
fn session(entries: &str) -> (String, String) {
    let (code, out, err) = ended(entries);
    assert_eq!(code, Some(0), "{err}");
    (out, err)
}

/// The same with the exit code.
fn ended(entries: impl AsRef<[u8]>) -> (Option<i32>, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_nettrace"))
        .arg("repl")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("nettrace starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let entries = entries.as_ref().to_vec();
    // It may answer more than a pipe holds before it has read everything, or leave early.
    let writer = std::thread::spawn(move || stdin.write_all(&entries));
    let output = child.wait_with_output().expect("it ends");
    let _ = writer.join();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn expressions_are_evaluated_without_prompts() {
    if !may_trace() {
        return;
    }
    let (out, _) =
        session("sizeof(struct list_head)\n1 + 2\n@x = 5\n@x += 1\n@x\n\"text\"\n@\n:quit\n99\n");
    assert_eq!(out, "16\n3\n@x: 6\ntext\n@x: 6\n");
}

#[test]
fn a_map_lives_on_and_keeps_its_type() {
    if !may_trace() {
        return;
    }
    let (out, err) = session(
        "interval:ms:20 { @ticks = count(); }\n:wait 0.3\nprint(@ticks > 3)\n@ticks = \"text\"\n:stop 1\n:clear\n@ticks = \"text\"\n@ticks\n",
    );
    assert_eq!(out, "true\n@ticks: text\n");
    assert!(
        err.contains("`@ticks` is count(): only that can be stored in it"),
        "{err}"
    );
    assert!(err.contains("--> entry 1:1:18"), "{err}");
}

#[test]
fn a_replaced_probe_records_until_the_new_one_does() {
    if !may_trace() {
        return;
    }
    let (out, err) = session(
        "rawtracepoint:sched_switch { @a = count(); }\n:edit 1 rawtracepoint:sched_switch { @b = count(); }\n\
         :wait 0.2\n:stop 1\n@a = count()\n:probes\nprint(@b > 0)\n",
    );
    assert!(
        out.starts_with("1: rawtracepoint:sched_switch  (stopped)\n"),
        "{out}"
    );
    assert!(out.ends_with("true\n"), "{out}{err}");
    assert_eq!(
        err.matches("1: rawtracepoint:sched_switch; attached in")
            .count(),
        2,
        "{err}"
    );
}

#[test]
fn exit_in_a_probe_ends_the_probe_and_not_the_session() {
    if !may_trace() {
        return;
    }
    let (out, err) = session("interval:ms:10 { exit(); }\n:wait 0.2\n:probes\n7\n");
    assert!(out.ends_with("7\n"), "{out}");
    assert!(
        err.contains("1: interval:ms:10 ended with exit(0)"),
        "{err}"
    );
}

#[test]
fn a_saved_session_is_a_script_that_does_the_same() {
    if !may_trace() {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let path = |name: &str| dir.path().join(name).display().to_string();
    let own = "#define TWO 2\nconfig = { max_map_keys = 7 }\nmacro double(x) { x * TWO }\n\
               begin { @limit = double(getopt(\"n\", 3)); }\ninterval:ms:5 { printf(\"own %d\\n\", @limit); }\n";
    std::fs::write(path("own.nt"), own).expect("a file");
    let entries = format!(
        "macro twice(x) {{ x * 2 }}\n:set max_strlen 100\nlet @m = lruhash(3);\n@m[1] = twice(21)\n\
         begin {{ @n = @m[1] + 1; }}\n@n++\ninterval:ms:5 {{ printf(\"typed %d\\n\", @n); }}\n\
         interval:s:8 {{ print(1); }}\n:stop 2\n:load {} --n 5\n:wait 0.2\n:save {}\n",
        path("own.nt"),
        path("saved.nt"),
    );
    let (out, err) = session(&entries);
    assert!(
        out.contains("own 10\n") && out.contains("typed 44\n"),
        "{out}{err}"
    );
    let told = format!("`nettrace {} --n 5` runs it", path("saved.nt"));
    assert!(err.contains(&told), "{err}");
    let text = std::fs::read_to_string(path("saved.nt")).expect("a script");
    assert!(text.contains("\n// stopped 2: interval:s:8"), "{text}");
    assert!(
        text.contains("max_map_keys = 7;\n    max_strlen = 100;"),
        "{text}"
    );
    let mut again = Command::new("timeout")
        .args(["120", env!("CARGO_BIN_EXE_nettrace")])
        .args([path("saved.nt").as_str(), "--n", "5"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("nettrace starts");
    let lines = BufReader::new(again.stdout.take().expect("a pipe")).lines();
    let (mut own, mut typed) = (false, false);
    for line in lines.map_while(Result::ok) {
        own |= line == "own 10";
        typed |= line == "typed 44";
        if own && typed {
            break;
        }
    }
    let process = nix::unistd::Pid::from_raw(again.id().cast_signed());
    let _ = nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGTERM);
    let _ = again.wait();
    assert!(own && typed, "own: {own}, typed: {typed}\n{text}");
}

#[test]
fn structs_of_maps_are_readable() {
    if !may_trace() {
        return;
    }
    // A struct of the kernel at an address that cannot be read is all zero.
    let (out, _) = session("@h = *(struct iphdr *)0\n@h\n@t = *curtask\n@t\n");
    let (short, long) = out
        .split_once("@t: {\n")
        .expect("a struct over several lines");
    assert!(short.starts_with("@h: {"), "{short}");
    assert!(long.contains("\n  .comm = tracer,\n"), "{long}");
}

#[test]
fn names_of_probes_in_maps_are_those_of_their_entries() {
    if !may_trace() {
        return;
    }
    let (out, err) = session(
        "interval:ms:10,interval:ms:11 { @f[probe] = count(); }\ninterval:ms:12 { @f[probe] = count(); }\n\
         :wait 0.3\n:stop all\nclear(@f)\n:start all\n:wait 0.3\n:stop all\n@f\n",
    );
    for name in ["interval:ms:10", "interval:ms:11", "interval:ms:12"] {
        assert!(out.contains(&format!("@f[{name}]: ")), "{out}{err}");
    }
    assert!(!out.contains("cookie"), "{out}");
}

#[test]
fn what_a_full_map_refuses_is_told() {
    if !may_trace() {
        return;
    }
    let (out, err) = session(
        "let @q = hash(2);\n@q[1] = 1; @q[2] = 2; @q[3] = 3\ninterval:ms:5 { @q[elapsed] = 1; }\n:wait 0.3\n:stats\n",
    );
    assert!(
        err.contains("WARNING: Entries that did not fit into full maps: 1\n    @q: 1\n"),
        "{err}"
    );
    assert!(out.contains("@q is full: "), "{out}");
}

#[test]
fn a_variable_of_an_earlier_entry_is_explained() {
    if !may_trace() {
        return;
    }
    let (_, err) = session("$a = 5\n$a\n");
    assert!(
        err.contains("variables do not outlive their entry"),
        "{err}"
    );
}

#[test]
fn the_exit_code_is_that_of_exit() {
    if !may_trace() {
        return;
    }
    let (code, out, _) = ended("1\nfoo\nexit(3)\n2\n");
    assert_eq!((code, out.as_str()), (Some(3), "1\n"));
}

#[test]
fn a_config_block_sets_options() {
    let (out, err) = session("config = { max_strlen = 100; nonsense = 1 }\n:set\n");
    assert!(out.starts_with("max_strlen = 100\noptions: "), "{out}");
    assert!(err.contains("there is no option `nonsense`"), "{err}");
}

#[test]
fn no_input_ends_a_session() {
    let mut garbage = String::new();
    for entry in [
        &"(".repeat(20_000),
        &"a".repeat(100_000),
        "\u{1}\u{1b}[2J\u{7f}",
        "\0",
        "\"",
        "/* open",
        "}",
        "99999999999999999999",
        ":",
        "::",
        ":stop 99",
        ":load /nonexistent",
        ":type struct sk_buff.nonsense",
        ":list nonsense:*",
        ":emit",
        ":edit",
        ":wait forever",
        "config = {",
    ] {
        // An empty line hands in what is open.
        garbage.push_str(&format!("{entry}\n\n"));
    }
    let (out, err) = session(&format!("{garbage}:help pid\n"));
    assert!(out.contains("uint32 pid"), "{err}");
    let mut bytes = b"\xff\xfe \"\xff\"\n".to_vec();
    bytes.extend_from_slice(b":help pid");
    let (_, out, _) = ended(bytes);
    assert!(out.contains("uint32 pid"), "{out}");
}

#[test]
fn an_entry_without_an_end_does_not_swallow_a_command() {
    let (out, err) = session("print((1 + 2)\n:help pid\nf(\n\n:help tid\n");
    assert!(err.contains("expected `)`"), "{err}");
    assert!(
        out.contains("uint32 pid") && out.contains("uint32 tid"),
        "{out}"
    );
}

#[test]
fn memory_stays_flat() {
    if !may_trace() {
        return;
    }
    let resident = |entries: usize| {
        let mut text = String::from("@n = 0\n");
        for number in 0..entries {
            let entry = match number % 10 {
                0 => "interval:s:600 { @m[comm] = count(); }\n:stop all\n:clear".to_string(),
                1 => "nonsense(".to_string(),
                2 => ":type struct list_head".to_string(),
                _ => format!("@n += {number}"),
            };
            text.push_str(&format!("{entry}\n"));
        }
        // It waits until it is killed.
        text.push_str("printf(\"%s\\n\", \"all done\")\n:wait 3600\n");
        let mut child = Command::new(env!("CARGO_BIN_EXE_nettrace"))
            .arg("repl")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("nettrace starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
        let out = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut lines = out.map_while(Result::ok);
        assert!(
            lines.any(|line| line == "all done"),
            "the session has ended early"
        );
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", child.id())).expect("it runs");
        let _ = child.kill();
        let _ = child.wait();
        let _ = writer.join();
        let kb = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kb = kb.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        kb.expect("a number")
    };
    let (few, many) = (resident(100), resident(1000));
    assert!(
        many < few + 3000,
        "{few} kB after 100 entries, {many} kB after 1000"
    );
}
