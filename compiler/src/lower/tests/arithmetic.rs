//! Numbers: operators, widths, conversions, conditions.

use super::{begin, shows};

#[test]
fn division_is_signed_where_the_types_are_and_by_zero_gives_one() {
    shows(
        &begin("$m = (int64)-7; $z = $m + 7; print(($m / 2, $m % 2, $m / $z, $m % $z));"),
        "print (-3, -1, 1, 1)",
    );
}

#[test]
fn shifts_keep_the_sign_of_signed_numbers() {
    shows(
        &begin("$m = (int64)-16; $u = (uint64)$m; print(($m >> 2, $u >> 60, $m << 1));"),
        "print (-4, 15, -32)",
    );
}

#[test]
fn casts_cut_off_and_extend() {
    shows(
        &begin(
            "$x = 0x12345678abcd; print(((uint8)$x, (int8)$x, (uint16)$x, (int32)$x, (bool)$x));",
        ),
        "print (205, -51, 43981, 1450748877, true)",
    );
}

#[test]
fn the_right_operand_of_and_and_or_is_only_evaluated_when_needed() {
    shows(
        &begin(
            "@n = 0; $z = pid == 0; if ($z && @n++ == 0) { } if (!$z || @n++ == 0) { } if (pid && @n++ == 0) { print(1); }",
        ),
        "print 1\n@n: 1",
    );
}

#[test]
fn a_ternary_gives_numbers_and_strings() {
    shows(
        &begin(r#"print((pid > 1 ? 10 : 20, pid > 1 ? "yes" : "no"));"#),
        r#"print (10, "yes")"#,
    );
}

#[test]
fn increments_give_the_old_or_the_new_value() {
    shows(
        &begin("$x = 5; $a = $x++; $b = ++$x; $c = $x--; print(($a, $b, $c, $x));"),
        "print (5, 7, 7, 6)",
    );
}
