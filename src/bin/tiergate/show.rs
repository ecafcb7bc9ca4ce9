//! Times, shares and bytes in short forms for a terminal.
//!
//! [`tiergate::text`] writes the forms for a page: with spaces in times and decimals in KiB.

use std::time::Duration;
use tiergate::text::number;

/// Formats a time in its two largest units: "43s", "9m43s", "2h05m".
pub fn lasted(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours) = (seconds.div_euclid(60), seconds.div_euclid(3600));
    let (second, minute) = (seconds.rem_euclid(60), minutes.rem_euclid(60));
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{second:02}s"),
        _ => format!("{hours}h{minute:02}m"),
    }
}

/// Formats a factor with at most three decimals: "x0.2".
pub fn times(factor: f64) -> String {
    let digits = format!("{factor:.3}");
    format!("x{}", digits.trim_end_matches('0').trim_end_matches('.'))
}

/// Formats a share as a percentage: 0.03 is "3%".
pub fn share(share: f64) -> String {
    format!("{:.0}%", share * 100.0)
}

/// Formats bytes in MiB, or in full KiB below one: "12.1 MiB".
pub fn binary(bytes: u64) -> String {
    if bytes < 1024 * 1024 {
        return format!("{} KiB", bytes.div_ceil(1024));
    }
    let tenths = bytes.saturating_mul(10).div_euclid(1024 * 1024);
    let (whole, tenth) = (tenths.div_euclid(10), tenths.rem_euclid(10));
    format!("{}.{tenth} MiB", number(whole))
}
