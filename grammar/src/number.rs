//! Integer literals: the text of one to its value.
//!
//! In: a word that starts with a digit. Out: 64 bits, or why not. Decimal, octal (`017`), hexadecimal, `_` between digits,
//! exponents (`5e9`), the suffixes of C and durations, which become nanoseconds. No sign, no fraction, no binary.
//! Wider than bpftrace in three ways, listed in docs/differences-from-bpftrace.md: suffixes may be upper case, `u` reaches
//! 64 bits like `ul`, and an exponent may follow any coefficient.

/// Why a number cannot be read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Problem {
    /// Larger than the largest value that its suffix allows.
    TooLarge {
        /// That largest value.
        max: u64,
    },
    /// Text behind the digits that is no suffix.
    Tail(String),
    /// A digit that the number's base does not have.
    Digit {
        /// The digit.
        digit: char,
        /// `octal` or `hexadecimal`.
        base: &'static str,
    },
    /// `0x` and nothing behind it.
    NoDigits,
    /// `$0`: parameters count from 1.
    ParameterZero,
}

/// The value of an integer literal.
pub(crate) fn read(text: &str) -> Result<u64, Problem> {
    if let Some(rest) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return in_base(rest, 16);
    }
    match text.strip_prefix('0') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_digit() || c == '_') => {
            in_base(rest, 8)
        }
        _ => decimal(text),
    }
}

/// The number of a positional parameter, `$` included in the text.
pub(crate) fn positional(text: &str) -> Result<u32, Problem> {
    match text.trim_start_matches('$').parse::<u32>() {
        Ok(0) => Err(Problem::ParameterZero),
        Ok(n) => Ok(n),
        Err(_) => Err(Problem::TooLarge {
            max: u64::from(u32::MAX),
        }),
    }
}

/// Octal or hexadecimal digits with an optional suffix of C.
fn in_base(text: &str, base: u32) -> Result<u64, Problem> {
    let is_digit = |c: char| c.is_digit(base) || c == '_';
    let (digits, tail) = split(text, is_digit);
    if base == 8
        && let Some(digit) = tail.chars().next().filter(char::is_ascii_digit)
    {
        return Err(Problem::Digit {
            digit,
            base: "octal",
        });
    }
    if digits.bytes().all(|b| b == b'_') {
        return Err(Problem::NoDigits);
    }
    if digits.ends_with('_') {
        return Err(Problem::Tail(format!("_{tail}")));
    }
    let Some(Suffix { factor: 1, max }) = suffix(tail) else {
        return Err(Problem::Tail(tail.to_string()));
    };
    bounded(value_of(digits, base), max)
}

fn decimal(text: &str) -> Result<u64, Problem> {
    let (digits, rest) = split(text, |c| c.is_ascii_digit() || c == '_');
    let (exponent, tail) = match rest.strip_prefix(['e', 'E']) {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_digit()) => {
            let (exponent, tail) = split(rest, |c| c.is_ascii_digit());
            (exponent.parse::<u32>().unwrap_or(u32::MAX), tail)
        }
        _ => (0, rest),
    };
    if digits.ends_with('_') {
        return Err(Problem::Tail(format!("_{tail}")));
    }
    let Some(Suffix { factor, max }) = suffix(tail) else {
        return Err(Problem::Tail(tail.to_string()));
    };
    let value = value_of(digits, 10).and_then(|value| scaled(value, exponent));
    bounded(value.and_then(|value| value.checked_mul(factor)), max)
}

/// `value` times ten to the `exponent`.
fn scaled(value: u64, exponent: u32) -> Option<u64> {
    if value == 0 {
        return Some(0);
    }
    value.checked_mul(10u64.checked_pow(exponent)?)
}

fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|c| !belongs(c)).unwrap_or(text.len());
    text.split_at(end)
}

fn value_of(digits: &str, base: u32) -> Option<u64> {
    digits
        .chars()
        .filter_map(|c| c.to_digit(base))
        .try_fold(0u64, |value, digit| {
            value
                .checked_mul(u64::from(base))?
                .checked_add(u64::from(digit))
        })
}

fn bounded(value: Option<u64>, max: u64) -> Result<u64, Problem> {
    value
        .filter(|&value| value <= max)
        .ok_or(Problem::TooLarge { max })
}

/// What a suffix does: durations multiply, C's suffixes bound.
struct Suffix {
    factor: u64,
    max: u64,
}

fn suffix(text: &str) -> Option<Suffix> {
    let factor = match text {
        "ns" => 1,
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60 * 1_000_000_000,
        "h" => 3_600 * 1_000_000_000,
        "d" => 86_400 * 1_000_000_000,
        _ => 1,
    };
    let max = match text.to_ascii_lowercase().as_str() {
        "l" | "ll" => i64::MAX as u64,
        "" | "u" | "ul" | "ull" | "lu" | "llu" => u64::MAX,
        _ if factor > 1 || text == "ns" => u64::MAX,
        _ => return None,
    };
    Some(Suffix { factor, max })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_a_number() {
        for (text, value) in [
            ("0", 0),
            ("42", 42),
            ("1_000_000", 1_000_000),
            ("0x1f", 31),
            ("0X1F", 31),
            ("0x020011ac", 0x0200_11ac),
            ("0xffffffffffffffff", u64::MAX),
            ("017", 15),
            ("0_7", 7),
            ("5e9", 5_000_000_000),
            ("5E9", 5_000_000_000),
            ("10e3", 10_000),
            ("18446744073709551615", u64::MAX),
            ("7u", 7),
            ("7UL", 7),
            ("4294967296u", 1 << 32),
            ("7ull", 7),
            ("0xffULL", 255),
            ("3ns", 3),
            ("3us", 3_000),
            ("3ms", 3_000_000),
            ("3s", 3_000_000_000),
            ("3m", 180_000_000_000),
            ("1h", 3_600_000_000_000),
            ("1d", 86_400_000_000_000),
        ] {
            assert_eq!(read(text), Ok(value), "{text}");
        }
    }

    #[test]
    fn numbers_that_are_none() {
        let tail = |text: &str| Err(Problem::Tail(text.to_string()));
        assert_eq!(read("12abc"), tail("abc"));
        assert_eq!(read("1_"), tail("_"));
        assert_eq!(read("0xf_"), tail("_"));
        assert_eq!(read("0x1fg"), tail("g"));
        assert_eq!(read("0b101"), tail("b101"));
        assert_eq!(read("5e"), tail("e"));
        assert_eq!(read("0x"), Err(Problem::NoDigits));
        let octal = |digit| {
            Err(Problem::Digit {
                digit,
                base: "octal",
            })
        };
        assert_eq!(read("08"), octal('8'));
        assert_eq!(read("0179"), octal('9'));
    }

    #[test]
    fn a_number_must_fit_what_its_suffix_allows() {
        let too_large = |max| Err(Problem::TooLarge { max });
        assert_eq!(read("18446744073709551616"), too_large(u64::MAX));
        assert_eq!(read("0x1ffffffffffffffff"), too_large(u64::MAX));
        assert_eq!(read("9223372036854775808l"), too_large(i64::MAX as u64));
        assert_eq!(read("300000000d"), too_large(u64::MAX));
        assert_eq!(read("9e99999999999999999999"), too_large(u64::MAX));
    }

    #[test]
    fn parameters_count_from_one() {
        assert_eq!(positional("$7"), Ok(7));
        assert_eq!(positional("$0"), Err(Problem::ParameterZero));
        assert!(positional("$99999999999").is_err());
    }
}
