//! The time of day as `strftime` prints it, in the local time zone.

use std::ffi::CString;
use std::mem::MaybeUninit;
use std::time::{SystemTime, UNIX_EPOCH};

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

    #[test]
    fn long_texts_fit() {
        let format = "x".repeat(5000) + "%S";
        assert_eq!(show(&format, 7), "x".repeat(5000) + "07");
    }
}
