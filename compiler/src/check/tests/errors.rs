//! Messages as people see them.

use super::{messages, typed};

/// The rendered messages of a script.
fn rendered(script: &str) -> String {
    typed(script)
}

#[test]
fn a_misspelt_function_of_the_kernel() {
    let expected = "\
error[NT3003]: the kernel has no function `nf_ct_delet`
  --> test.nt:1:8
  |
1 | kprobe:nf_ct_delet { }
  |        ^^^^^^^^^^^
  |
  = note: it may be inlined everywhere, or in a module that is not loaded
  = help: did you mean `nf_ct_delete`?
  = help: to go on without it: `config = { missing_probes = warn }`, or --missing-probes warn

";
    assert_eq!(rendered("kprobe:nf_ct_delet { }"), expected);
}

#[test]
fn a_misspelt_field() {
    let expected = "\
error[NT1004]: `struct nf_conn` has no field `marks`
  --> test.nt:1:54
  |
1 | kprobe:nf_ct_delete { $x = ((struct nf_conn *)arg0)->marks; }
  |                                                      ^^^^^
  |
  = help: did you mean `mark`?

";
    let script = "kprobe:nf_ct_delete { $x = ((struct nf_conn *)arg0)->marks; }";
    assert_eq!(rendered(script), expected);
}

#[test]
fn the_body_of_a_missing_function_is_checked_too() {
    let script =
        "kprobe:nf_ct_delet { $x = ((struct nf_conn *)arg0)->marks; print(args.anything); }";
    let text = rendered(script);
    assert!(
        text.contains("the kernel has no function `nf_ct_delet`"),
        "{text}"
    );
    assert!(
        text.contains("`struct nf_conn` has no field `marks`"),
        "{text}"
    );
    // Nothing is said about `args.anything`: what the arguments are is not known.
    assert_eq!(text.matches("error[").count(), 2, "{text}");
}

#[test]
fn a_map_used_in_two_ways() {
    let expected = "\
error[NT2006]: `@x` has keys and is used without one here
  --> test.nt:2:9
  |
1 | begin { @x[1] = 2; }
  |         ----- used the other way here
2 | end   { @x = 3; }
  |         ^^
  |
  = help: name an entry: `@map[key]`

";
    assert_eq!(
        rendered("begin { @x[1] = 2; }\nend   { @x = 3; }"),
        expected
    );
}

#[test]
fn a_variable_that_ended_with_its_block() {
    let expected = "\
error[NT1005]: the variable `$x` has not been assigned
  --> test.nt:2:16
  |
2 | begin { print($x); }
  |               ^^
";
    let script = "begin { if (pid) { $x = 1; }\n  print($x); }";
    let out = rendered(script);
    assert!(
        out.starts_with(expected.lines().next().unwrap_or("")),
        "{out}"
    );
    assert!(
        out.contains("assigned here, in a block that has ended"),
        "{out}"
    );
    assert!(
        out.contains("= help: declare it before the block: `let $x;`"),
        "{out}"
    );
}

#[test]
fn one_message_per_cause() {
    let rows: &[(&str, &[&str])] = &[
        // What depends on a mistake stays silent.
        (
            "begin { $x = nosuch; $y = $x + 1; @m[$y] = $x; print(@m); print($y); }",
            &["error[NT1001]: the name `nosuch` means nothing here"],
        ),
        // Independent mistakes are all told.
        (
            "begin { $x = nosuch; pritn(1); @a = count(2); }",
            &[
                "error[NT1001]: the name `nosuch` means nothing here",
                "error[NT1002]: there is no function `pritn`",
                "error[NT2004]: count() takes no arguments, not 1",
            ],
        ),
        // Both operands are looked at.
        (
            "begin { $x = nosuch1 + nosuch2; }",
            &[
                "error[NT1001]: the name `nosuch1` means nothing here",
                "error[NT1001]: the name `nosuch2` means nothing here",
            ],
        ),
        // Targets that share a mistake share the message.
        (
            "fentry:tcp_sendmsg, fentry:ip_output, kprobe:vfs_read { print(nosuch); print(args.sk); }",
            &[
                "error[NT1001]: the name `nosuch` means nothing here",
                "error[NT1004]: `kprobe:vfs_read` has no argument `sk`",
            ],
        ),
    ];
    for (script, expected) in rows {
        assert_eq!(messages(script), *expected, "{script}");
    }
}

#[test]
fn names() {
    let rows = [
        (
            "begin { print(pif); }",
            "error[NT1001]: the name `pif` means nothing here",
        ),
        (
            "begin { print(AF_INET66); }",
            "error[NT1001]: the name `AF_INET66` means nothing here",
        ),
        (
            "begin { print(strerror(1)); }",
            "error[NT0012]: nettrace has no `strerror` yet",
        ),
        (
            "begin { print(username); }",
            "error[NT0012]: nettrace has no `username` yet",
        ),
        ("begin { printf; }", "error[NT2009]: `printf` is a function"),
        (
            "begin { $x = (struct nosuch *)0; }",
            "error[NT1003]: there is no type `struct nosuch`",
        ),
        (
            "begin { $x = (iphdr *)0; }",
            "error[NT1003]: there is no type `iphdr`",
        ),
        (
            "begin { $x = (uint23)0; }",
            "error[NT1003]: there is no type `uint23`",
        ),
        (
            "begin { print(@m); }",
            "error[NT1005]: nothing is ever stored in `@m`",
        ),
        (
            "begin { let $x = 1; let $x = 2; }",
            "error[NT1006]: the variable `$x` is declared twice",
        ),
        (
            "begin { let $x; print($x); $y = 1; }",
            "error[NT1005]: `$x` is used and never assigned",
        ),
    ];
    for (script, expected) in rows {
        let errors: Vec<String> = messages(script)
            .into_iter()
            .filter(|m| m.starts_with("error"))
            .collect();
        assert_eq!(errors, [expected], "{script}");
    }
}

#[test]
fn arguments_of_functions() {
    let rows = [
        (
            "printf(\"%d\");",
            "NT2005]: too few arguments: the format takes 1 value, the call has 0 values",
        ),
        (
            "printf(\"%d\", 1, 2);",
            "NT2005]: too many arguments: the format takes 1 value, the call has 2 values",
        ),
        (
            "printf(\"%d\", \"x\");",
            "NT2005]: `%d` cannot print a string",
        ),
        (
            "printf(\"%r\", 5);",
            "NT2005]: `%r` cannot print a number (int8)",
        ),
        (
            "printf(\"%f\", 5);",
            "NT2005]: there is no conversion `%f`: the language has no floating point numbers",
        ),
        ("printf(\"%k\", 5);", "NT2005]: there is no conversion `%k`"),
        (
            "printf(\"100%\");",
            "NT2005]: the format ends in a single `%`",
        ),
        (
            "printf(\"%*d\", 5);",
            "NT2005]: too few arguments: the format takes 2 values, the call has 1 value",
        ),
        (
            "printf(pid);",
            "NT2003]: the format of printf() must be a string constant",
        ),
        (
            "ntop(\"x\");",
            "NT2003]: ntop() takes a 32-bit number, or 4 or 16 bytes of memory",
        ),
        (
            "macaddr(curtask);",
            "NT2003]: macaddr() takes 6 bytes of memory, or a pointer to bytes",
        ),
        (
            "macaddr(\"x\");",
            "NT2003]: macaddr() takes 6 bytes of memory, or a pointer to bytes",
        ),
        (
            "strftime(comm, nsecs);",
            "NT2003]: the format of strftime() must be a string constant",
        ),
        (
            "device_name(comm);",
            "NT2003]: the device's index must be a number",
        ),
        (
            "ntop(7, pid);",
            "NT2003]: 7 is no address family that ntop() knows",
        ),
        (
            "buf(curtask);",
            "NT2004]: buf() of a pointer needs a length",
        ),
        (
            "str(comm == \"x\" ? (1,2) : (3,4));",
            "NT2003]: str() takes an address: a pointer, a number or an array",
        ),
        (
            "join(pid);",
            "NT2003]: join() takes an array of strings: `char **`",
        ),
        ("kstack(foo);", "NT2003]: this is not a stack mode"),
        (
            "kstack(5000);",
            "NT2003]: the number of frames must be from 1 to 1024",
        ),
        ("nsecs(foo);", "NT2003]: this is not a clock"),
        ("bswap(\"a\");", "NT2003]: bswap() takes a number"),
        ("exit(\"a\");", "NT2003]: the exit code must be a number"),
        ("clear(5);", "NT2003]: clear() acts on a whole map"),
        ("delete(5);", "NT2003]: delete() takes a map"),
        (
            "kaddr(\"no_such\");",
            "NT1001]: the kernel has no symbol `no_such`",
        ),
        (
            "@ = lhist(1, 10, 0, 1);",
            "NT2003]: the upper bound of lhist(), 0, is not above the lower one, 10",
        ),
        (
            "@ = lhist(1, 0, 10, 0);",
            "NT2003]: the step of lhist() must be positive",
        ),
        (
            "@ = lhist(1, 0, 100000, 1);",
            "NT2003]: lhist() would have 100000 buckets; 1000 is the most",
        ),
        (
            "@ = hist(1, 6);",
            "NT2003]: the second argument of hist() must be from 0 to 5",
        ),
        (
            "$x = count();",
            "NT2009]: count() must be assigned directly to a map",
        ),
        (
            "@ = 1 + sum(5);",
            "NT2009]: sum() must be assigned directly to a map",
        ),
        ("$x = exit();", "NT2009]: exit() gives no value"),
    ];
    for (body, expected) in rows {
        let script = format!("begin {{ {body} }}");
        let errors: Vec<String> = messages(&script)
            .into_iter()
            .filter(|m| m.starts_with("error"))
            .collect();
        assert_eq!(errors, [format!("error[{expected}")], "{script}");
    }
}

#[test]
fn maps_and_their_types() {
    let rows = [
        (
            "@x = 1; @x[1] = 2;",
            "NT2006]: `@x` is used with a key here and without one elsewhere",
        ),
        (
            "@x = count(); @x = 2;",
            "NT2006]: `@x` is count(): only that can be stored in it",
        ),
        (
            "@x = count(); @x++;",
            "NT2006]: `@x` is count(): only that can be stored in it",
        ),
        (
            "@x = 2; @x = count();",
            "NT2006]: `@x` is a number (int8) and cannot be count() as well",
        ),
        (
            "@x = count(); @x = sum(1);",
            "NT2006]: `@x` is count() and cannot be sum() as well",
        ),
        (
            "@x = hist(1); @y = @x;",
            "NT2009]: `@x` is hist() and has no single value",
        ),
        (
            "@x[1] = 1; @x[\"a\"] = 2;",
            "NT2006]: the keys of `@x` are a number (int8); this one is a string",
        ),
        (
            "@x[1] = 1; @x[1, 2] = 2;",
            "NT2006]: the keys of `@x` are a number (int8); this one is a tuple (int8, int8)",
        ),
        (
            "@x = 1; @x = \"a\";",
            "NT2001]: `@x` holds a number (int8) and cannot be assigned a string",
        ),
        (
            "@x[clear(@y)] = 1; @y = 1;",
            "NT2009]: clear() gives no value",
        ),
    ];
    for (body, expected) in rows {
        let script = format!("begin {{ {body} }}");
        assert_eq!(messages(&script), [format!("error[{expected}")], "{script}");
    }
}

#[test]
fn operands() {
    let rows = [
        (
            "$x = curtask * 2;",
            "NT2002]: `*` cannot be used on `struct task_struct *` and a number (int8)",
        ),
        (
            "$x = 5 - curtask;",
            "NT2002]: `-` cannot be used on a number (int8) and `struct task_struct *`",
        ),
        (
            "$x = -curtask;",
            "NT2002]: `-` cannot be used on `struct task_struct *`",
        ),
        (
            "$x = *(void *)0;",
            "NT2002]: `*` cannot read through a `void *`",
        ),
        (
            "$x = ((void *)0)[1];",
            "NT2002]: a `void *` has no elements",
        ),
        (
            "$x = pid[1];",
            "NT2002]: `[…]` needs an array, a pointer or a map; this is a number (uint32)",
        ),
        (
            "$x = pid.y;",
            "NT1004]: `.y` needs a struct or union; this is a number (uint32)",
        ),
        (
            "$x = pid.0;",
            "NT1004]: `.0` needs a tuple; this is a number (uint32)",
        ),
        (
            "if (comm) { }",
            "NT2001]: a condition is a number, a pointer or a bool, not a string",
        ),
        (
            "return comm;",
            "NT2001]: a probe returns a number, not a string",
        ),
        (
            "$x = \"a\"; $x++;",
            "NT2002]: `++` and `--` need a number or a pointer, not a string",
        ),
    ];
    for (body, expected) in rows {
        let script = format!("begin {{ {body} }}");
        let errors: Vec<String> = messages(&script)
            .into_iter()
            .filter(|m| m.starts_with("error"))
            .collect();
        assert_eq!(
            errors.first().map(String::as_str),
            Some(format!("error[{expected}").as_str()),
            "{script}"
        );
    }
}

#[test]
fn warnings() {
    let rows = [
        ("pid;", "NT5003]: nothing uses this value"),
        ("let $x;", "NT5004]: the variable `$x` is never assigned"),
        (
            "$x = str(0, 5000);",
            "NT5005]: a length of 5000 is cut to 1023",
        ),
        ("exit(); print(1);", "NT5007]: this is never reached"),
        (
            "$x = curtask == (struct sock *)0;",
            "NT5008]: this compares pointers to different types: struct task_struct * and struct sock *",
        ),
        (
            "$x = $1;",
            "NT5010]: the parameter `$1` was not given; it is 0",
        ),
    ];
    for (body, expected) in rows {
        let script = format!("begin {{ {body} }}");
        assert_eq!(
            messages(&script),
            [format!("warning[{expected}")],
            "{script}"
        );
    }
}

#[test]
fn options() {
    let rows = [
        ("foo = 1", "error[NT0013]: there is no option `foo`"),
        (
            "max_strlen = x",
            "error[NT0013]: the option `max_strlen` cannot be `x`",
        ),
        (
            "max_strlen = 100000",
            "error[NT0013]: the option `max_strlen` cannot be `100000`",
        ),
        (
            "stack_mode = fast",
            "error[NT0013]: the option `stack_mode` cannot be `fast`",
        ),
        (
            "strlen = 5",
            "error[NT0013]: the option `strlen` is called `max_strlen` now",
        ),
        (
            "log_size = 5",
            "warning[NT5006]: the option `log_size` has no effect in nettrace",
        ),
    ];
    for (entry, expected) in rows {
        assert_eq!(
            messages(&format!("config = {{ {entry} }} begin {{ }}")),
            [expected],
            "{entry}"
        );
    }
    assert!(
        typed("config = { max_strlen = 64 } begin { @x = str(0); }")
            .starts_with("map @x: string[64]")
    );
}

#[test]
fn a_script_without_probes() {
    assert_eq!(messages(""), ["error[NT0010]: the script has no probe"]);
}
