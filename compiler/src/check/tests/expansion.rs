//! Macros, blocks as values, and what is decided while compiling.

use super::{body, messages, typed};

/// The statements of a `begin` probe behind these macros.
fn with(macros: &str, text: &str) -> String {
    let out = typed(&format!("{macros} begin {{ {text} }}"));
    let start = out.find("p0 begin").unwrap_or(0);
    let lines: Vec<&str> = out[start..]
        .lines()
        .skip(1)
        .map(str::trim)
        .filter(|l| !l.starts_with("let ") && *l != "}")
        .collect();
    lines.join("\n")
}

#[test]
fn a_macro_stands_for_its_value() {
    assert_eq!(
        with("macro one() { 1 }", "$x = one; $y = one();"),
        "$x = 1\n$y = 1"
    );
    assert_eq!(
        with("macro add(a, b) { a + b }", "$x = add(2, 3) * 2;"),
        "$x = 10"
    );
    assert_eq!(
        with("macro two(a) { $t = a; $t + $t }", "$x = two(pid);"),
        "$x = { $t = pid():uint32; ((uint64)$t + (uint64)$t):uint64 }"
    );
}

#[test]
fn its_variables_are_its_own_and_those_it_is_given_are_the_users() {
    assert_eq!(
        with(
            "macro bump($v, n) { $v += n; $t = 5; }",
            "$a = 1; $t = 2; bump($a, $t);"
        ),
        "$a = 1\n$t = 2\n$a = ($a + (int64)$t):int64\n$t = 5"
    );
    assert_eq!(
        with(
            "macro note(@m, k) { @m[k] = count(); }",
            "note(@hits, cpu);"
        ),
        "@hits[cpu():uint32] = count()"
    );
}

#[test]
fn the_number_and_kind_of_arguments_choose() {
    let macros = "macro f(a) { 1 } macro f($v) { 2 } macro f(@m) { 3 } macro f(a, b) { 4 }";
    assert_eq!(
        with(
            macros,
            "$x = 0; @m[1] = 1; $y = f(5); $y = f($x); $y = f(@m); $y = f(1, 2);"
        ),
        "$x = 0\n@m[1] = 1\n$y = 1\n$y = 2\n$y = 3\n$y = 4"
    );
}

#[test]
fn types_and_members_are_arguments_too() {
    let macros = "macro container(p, T, m) { (T *)((uint64)p - offsetof(T, m)) }";
    let out = typed(&format!(
        "{macros} kprobe:nf_hook_slow {{ $skb = container(arg0, struct sk_buff, head); print($skb->len); }}"
    ));
    assert!(!out.contains("error"), "{out}");
    assert!(out.contains("(struct sk_buff *)"), "{out}");
}

#[test]
fn blocks_and_if_have_values() {
    assert_eq!(
        body("$x = { let $a = pid; $a + 1 };"),
        "$x = { $a = pid():uint32; ((uint64)$a + 1):uint64 }"
    );
    assert_eq!(
        body("$x = if (pid == 1) { 1 } else if (pid == 2) { 2 } else { 3 };"),
        "$x = ((pid():uint32 == 1) ? 1 : ((pid():uint32 == 2) ? 2 : 3))"
    );
}

#[test]
fn comptime_leaves_out_what_makes_no_sense_here() {
    assert_eq!(
        body("if comptime (sizeof(uint64) == 8) { $x = 1; } else { $x = (struct nonsense *)0; }"),
        "$x = 1"
    );
    assert_eq!(body("$x = comptime (1 == 2) ? nonsense : 5;"), "$x = 5");
    assert_eq!(
        messages("begin { if comptime (pid) { } }"),
        ["error[NT2012]: this is not known while compiling"]
    );
}

#[test]
fn mistakes_in_macros_name_their_uses() {
    let out = typed(
        "macro inner(a) { a + nonsense } macro outer(a) { inner(a) }\nbegin { $x = outer(1); }",
    );
    assert!(
        out.contains("the name `nonsense` means nothing here"),
        "{out}"
    );
    assert!(out.contains("in this use of the macro `inner`"), "{out}");
    assert!(out.contains("in this use of the macro `outer`"), "{out}");
}

#[test]
fn what_is_wrong_with_macros() {
    let rows = [
        (
            "macro f(a) { f(a) } begin { f(1); }",
            "NT1007]: the macro `f` uses itself",
        ),
        (
            "macro f(a) { return; } begin { f(1); }",
            "NT1007]: `return` inside the macro `f`",
        ),
        (
            "macro f(a) { a } macro f(b) { b } begin { $x = f(1); }",
            "NT1006]: the macro `f` is defined twice",
        ),
        (
            "macro f($v) { $v = 1; } begin { f(1); }",
            "NT2004]: the macro `f` does not take these arguments",
        ),
        (
            "macro f() { $x = 1; } begin { $y = f(); }",
            "NT2009]: the macro `f` has no value",
        ),
        (
            "macro f() { $x } begin { $x = 1; $y = f(); }",
            "NT1005]: the variable `$x` has not been assigned",
        ),
    ];
    for (script, expected) in rows {
        assert_eq!(messages(script), [format!("error[{expected}")], "{script}");
    }
}

#[test]
fn macros_that_double_end_in_an_error() {
    let mut script = String::from("macro f0(a) { a + a }\n");
    for n in 1..40 {
        script += &format!("macro f{n}(a) {{ f{}(a + a) }}\n", n - 1);
    }
    let out = messages(&format!("{script} begin {{ $x = f39(1); }}"));
    assert_eq!(
        out,
        ["error[NT0014]: the macros of this script grow beyond all bounds"]
    );
}
