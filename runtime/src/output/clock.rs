//! Times of day as `strftime` prints them, in the local time zone.
//!
//! In: formats, and for [`WallClock`] the times that programs tell, which count from boot. Out: text. Beside strftime's own there are
//! the conversions `%f` (microseconds), `%k` (nanoseconds) and `%l` (milliseconds of the second), as bpftrace has them.

use std::ffi::CString;
use std::mem::MaybeUninit;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::coarse::Coarse;

use nix::time::{ClockId, clock_gettime};

/// No format makes a longer text than this; longer ones are left out.
const MAX_TEXT: usize = 64 << 10;

/// Appends the present time in a `strftime` format; nothing if the format contains a NUL.
pub fn write_now(out: &mut Vec<u8>, format: &str) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    write_time(out, format, now.map_or(0, |since| since.as_secs() as i64));
}

/// Appends a time, given in seconds since 1970, in a `strftime` format.
pub fn write_time(out: &mut Vec<u8>, format: &str, seconds: i64) {
    // A trailing mark tells an empty text, which is no error, from one that does not fit: both are reported as 0.
    let Ok(format) = CString::new(format!("{format}.")) else {
        return;
    };
    let mut broken_down = MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: both pointers are valid for the call; `localtime_r` writes the whole struct or returns null.
    let converted = unsafe { libc::localtime_r(&seconds, broken_down.as_mut_ptr()) };
    if converted.is_null() {
        return;
    }
    // SAFETY: `localtime_r` has succeeded; zeroed bytes are a valid `tm` in any case.
    let broken_down = unsafe { broken_down.assume_init() };
    let mut room = 128;
    while room <= MAX_TEXT {
        let mut text = vec![0u8; room];
        // SAFETY: `text` has `room` writable bytes, the format ends with a NUL, and `strftime` writes at most `room` bytes.
        let written = unsafe {
            libc::strftime(
                text.as_mut_ptr().cast(),
                room,
                format.as_ptr(),
                &broken_down,
            )
        };
        if written > 0 {
            // Without the mark.
            out.extend_from_slice(text.get(..written - 1).unwrap_or_default());
            return;
        }
        room *= 4;
    }
}

/// How often the distance of the clocks is measured.
const MEASURED: Duration = Duration::from_secs(1);
/// Both clocks are read one after the other; distances that differ by less are the same. Larger ones are a clock that was set.
const SAME: i128 = 1_000_000;
const SECOND: i128 = 1_000_000_000;
/// Formats that are remembered; a script has a few.
const MAX_FORMATS: usize = 64;

/// Prints times that count from boot.
#[derive(Debug, Default)]
pub struct WallClock {
    /// From boot to 1970, nanoseconds, and when that was measured.
    distance: Option<(i128, Coarse)>,
    formats: Vec<Format>,
}

impl WallClock {
    /// Appends the time `nsecs` nanoseconds after boot in a format.
    pub fn write(&mut self, out: &mut Vec<u8>, format: &str, nsecs: u64) {
        let since_1970 = self.distance() + i128::from(nsecs);
        let second = i64::try_from(since_1970.div_euclid(SECOND)).unwrap_or(i64::MAX);
        let fraction = since_1970.rem_euclid(SECOND) as u32;
        let known = self.formats.iter().position(|known| known.text == format);
        let index = known.unwrap_or_else(|| {
            if self.formats.len() >= MAX_FORMATS {
                self.formats.clear();
            }
            self.formats.push(Format::new(format));
            self.formats.len() - 1
        });
        if let Some(format) = self.formats.get_mut(index) {
            format.write(out, second, fraction);
        }
    }

    /// The time `nsecs` nanoseconds after boot in nanoseconds since 1970.
    pub fn since_1970(&mut self, nsecs: u64) -> u64 {
        u64::try_from(self.distance() + i128::from(nsecs)).unwrap_or(0)
    }

    fn distance(&mut self) -> i128 {
        match self.distance {
            Some((distance, measured)) if measured.elapsed() < MEASURED => distance,
            before => {
                let now = measure_distance();
                let distance = match before {
                    Some((before, _)) if (before - now).abs() < SAME => before,
                    _ => now,
                };
                self.distance = Some((distance, Coarse::now()));
                distance
            }
        }
    }
}

/// What must be added to a time since boot to get one since 1970.
fn measure_distance() -> i128 {
    let read = |clock| clock_gettime(clock).map_or(0, |t| Duration::from(t).as_nanos() as i128);
    read(ClockId::CLOCK_REALTIME) - read(ClockId::CLOCK_BOOTTIME)
}

/// A format, and what it last gave: most times are of the same second as the one before.
#[derive(Debug)]
struct Format {
    text: String,
    pieces: Vec<Piece>,
    second: Option<i64>,
}

#[derive(Debug, PartialEq, Eq)]
enum Piece {
    /// What strftime knows, and its text for the second.
    Strftime(String, Vec<u8>),
    /// So many digits of the second's fraction.
    Fraction(usize),
}

impl Format {
    fn new(text: &str) -> Format {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            plain.push(c);
            if c != '%' {
                continue;
            }
            let Some(conversion) = chars.next() else {
                break;
            };
            let digits = match conversion {
                'l' => 3,
                'f' => 6,
                'k' => 9,
                other => {
                    plain.push(other);
                    continue;
                }
            };
            plain.pop();
            pieces.push(Piece::Strftime(std::mem::take(&mut plain), Vec::new()));
            pieces.push(Piece::Fraction(digits));
        }
        pieces.push(Piece::Strftime(plain, Vec::new()));
        Format {
            text: text.to_string(),
            pieces,
            second: None,
        }
    }

    fn write(&mut self, out: &mut Vec<u8>, second: i64, nanoseconds: u32) {
        let is_new = self.second.replace(second) != Some(second);
        for piece in &mut self.pieces {
            match piece {
                Piece::Strftime(format, text) => {
                    if is_new {
                        text.clear();
                        write_time(text, format, second);
                    }
                    out.extend_from_slice(text);
                }
                Piece::Fraction(digits) => {
                    let mut all = [b'0'; 9];
                    let mut rest = nanoseconds;
                    for digit in all.iter_mut().rev() {
                        *digit += (rest % 10) as u8;
                        rest /= 10;
                    }
                    out.extend_from_slice(all.get(..*digits).unwrap_or_default());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(format: &str, seconds: i64) -> String {
        let mut out = Vec::new();
        write_time(&mut out, format, seconds);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn formats() {
        // Minutes and seconds are the same in every time zone of whole hours; the epoch's second is so everywhere.
        assert_eq!(show("%S", 1_700_000_000), "20");
        assert_eq!(show("", 0), "");
        assert_eq!(show("no conversion", 0), "no conversion");
        assert_eq!(show("%%H", 0), "%H");
        assert_eq!(show("a\0b", 0), "");
    }

    fn fraction(format: &str, second: i64, nanoseconds: u32) -> String {
        let mut out = Vec::new();
        Format::new(format).write(&mut out, second, nanoseconds);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn fractions_of_the_second() {
        assert_eq!(fraction("%S.%f", 20, 1_234_567), "20.001234");
        assert_eq!(fraction("%l|%f|%k", 0, 987_654_321), "987|987654|987654321");
        assert_eq!(fraction("%%f %%%f%", 0, 5), "%f %000000%");
        assert_eq!(fraction("", 0, 5), "");
        // A text is kept as long as the second is the same.
        let mut format = Format::new("%S.%l ");
        let mut out = Vec::new();
        for (second, nanoseconds) in [(5, 0), (5, 999_999_999), (6, 0), (5, 1_000_000)] {
            format.write(&mut out, second, nanoseconds);
        }
        assert_eq!(out, b"05.000 05.999 06.000 05.001 ");
    }

    #[test]
    fn times_since_boot_are_those_of_the_clock_on_the_wall() {
        let mut clock = WallClock::default();
        let boot = clock_gettime(ClockId::CLOCK_BOOTTIME).expect("a clock");
        let boot = Duration::from(boot).as_nanos() as u64;
        let mut shown = |nsecs| {
            let mut out = Vec::new();
            clock.write(&mut out, "%s%k", nsecs);
            let text = String::from_utf8(out).expect("text");
            text.parse::<u128>().expect("a number")
        };
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).expect("now");
        let difference = shown(boot).abs_diff(wall.as_nanos());
        assert!(difference < 1_000_000_000, "{difference}");
        // Differences of times are exact.
        assert_eq!(shown(boot + 1), shown(boot) + 1);
        assert!(shown(u64::MAX) > shown(0));
    }

    #[test]
    fn a_script_may_have_many_formats() {
        let mut clock = WallClock::default();
        for i in 0..1000 {
            let mut out = Vec::new();
            clock.write(&mut out, &format!("{i} %%"), 0);
            assert_eq!(out, format!("{i} %").as_bytes());
        }
    }

    #[test]
    fn long_texts_fit() {
        let format = "x".repeat(5000) + "%S";
        assert_eq!(show(&format, 7), "x".repeat(5000) + "07");
    }
}
