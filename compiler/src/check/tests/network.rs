//! Addresses as constants, and numbers in network byte order.

use super::{body, messages};

/// The messages of statements in a probe with `$ip` and `$sk`.
fn said(text: &str) -> Vec<String> {
    messages(&format!(
        "kprobe:nf_ct_delete {{ $ip = (struct iphdr *)arg0; $sk = (struct sock *)arg0; {text} }}"
    ))
}

#[test]
fn pton_is_a_constant() {
    assert_eq!(
        body(r#"$a = pton("10.0.0.1");"#),
        "$a = bytes [10, 0, 0, 1]"
    );
    assert_eq!(body(r#"$a = sizeof(pton("::1"));"#), "$a = 16");
    assert_eq!(
        messages(r#"begin { print(pton("10.0.0")); }"#),
        ["error[NT2003]: `10.0.0` is no IP address"]
    );
    assert_eq!(
        messages(r#"begin { print(pton(comm)); }"#),
        ["error[NT2003]: the address of pton() must be a string constant"]
    );
}

#[test]
fn addresses_are_compared_with_constants_of_their_size() {
    assert_eq!(said(r#"print($ip->saddr == pton("10.0.0.1"));"#), [""; 0]);
    assert_eq!(said(r#"print(pton("10.0.0.1") != $ip->saddr);"#), [""; 0]);
    assert_eq!(
        said(r#"print($ip->saddr == pton("::1"));"#),
        ["error[NT2001]: `==` cannot compare a number (uint32) with `uint8[16]`"]
    );
}

#[test]
fn network_order_beside_a_constant_is_a_warning() {
    let port = "$sk->__sk_common.skc_dport";
    let warning = "warning[NT5011]: this number is in network byte order (__be16); 443 is not";
    for compared in [
        format!("print({port} == 443);"),
        format!("print(443 != {port});"),
        format!("$port = {port}; print($port == 443);"),
        format!("if ({port} < 443) {{ }}"),
    ] {
        assert_eq!(said(&compared), [warning], "{compared}");
    }
    assert_eq!(
        said("print($ip->saddr == 0x7f0001);"),
        ["warning[NT5011]: this number is in network byte order (__be32); 8323073 is not"]
    );
}

#[test]
fn what_is_right_in_both_orders_is_silent() {
    let port = "$sk->__sk_common.skc_dport";
    for silent in [
        format!("print({port} == 0);"),
        format!("print({port} == 0xffff);"),
        format!("print({port} == 2570);"),
        format!("print(bswap({port}) == 443);"),
        format!("print({port} == bswap((uint16)443));"),
        format!("print((uint16){port} == 47873);"),
        format!("print({port} == $ip->id);"),
        format!("$p = {port}; $p = bswap($p); print($p == 443);"),
        format!("printf(\"%x %s\", {port}, ntop($ip->saddr));"),
        "print($sk->__sk_common.skc_num == 443);".to_string(),
        "print($ip->saddr == 0x0100007f);".to_string(),
    ] {
        assert_eq!(said(&silent), [""; 0], "{silent}");
    }
}

#[test]
fn network_order_printed_as_a_decimal_number_is_a_warning() {
    assert_eq!(
        said("printf(\"%5d\", $sk->__sk_common.skc_dport);"),
        [
            "warning[NT5011]: `%5d` prints this number as if it were in the machine's byte order; it is in network byte order (__be16)"
        ]
    );
}
