//! Texts of numbers, bytes and times for people.

/// Returns a number in groups of three digits: "1,500,000".
pub fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len().saturating_mul(2));
    for (place, digit) in digits.chars().enumerate() {
        let left = digits.len().saturating_sub(place);
        if place > 0 && left.is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Returns an amount of dollars with its digits in groups: "$3,000.50" for "3000.50".
pub fn dollars(decimal: &str) -> String {
    let (whole, cents) = decimal.split_once('.').unwrap_or((decimal, ""));
    let whole = whole
        .parse()
        .map_or_else(|_| whole.to_owned(), |whole: u64| number(whole));
    match cents {
        "" | "00" => format!("${whole}"),
        cents => format!("${whole}.{cents}"),
    }
}

/// Returns a size in the largest fitting unit of 1024: "1.4 MiB".
pub fn bytes(n: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    let mut tenths = n.saturating_mul(10);
    let mut unit = "bytes";
    for larger in units {
        if tenths < 10_240 {
            break;
        }
        tenths = tenths.div_euclid(1024);
        unit = larger;
    }
    let (whole, tenth) = (tenths.div_euclid(10), tenths.rem_euclid(10));
    match unit {
        "bytes" => format!("{whole} {unit}"),
        _ => format!("{whole}.{tenth} {unit}"),
    }
}

/// Returns milliseconds in at most two units: "59 s", "4 min 12 s", "23 h 59 min". Below a minute
/// the seconds are rounded up, so that a rest is never 0; above, down.
pub fn time(ms: u64) -> String {
    let seconds = match ms {
        0..60_000 => ms.div_ceil(1000),
        _ => ms.div_euclid(1000),
    };
    let (minutes, hours) = (seconds.div_euclid(60), seconds.div_euclid(3600));
    match (hours, minutes) {
        (0, 0) => format!("{seconds} s"),
        (0, _) => format!("{minutes} min {} s", seconds.rem_euclid(60)),
        _ => format!("{hours} h {} min", minutes.rem_euclid(60)),
    }
}

/// Returns the share of `part` in `whole` in thousandths, at most 1000; at least 1 for a part above
/// 0.
pub fn per_mille(part: u64, whole: u64) -> u64 {
    let ratio = u128::from(part)
        .saturating_mul(1000)
        .checked_div(u128::from(whole))
        .unwrap_or(0);
    u64::try_from(ratio)
        .unwrap_or(1000)
        .clamp(u64::from(part > 0), 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        for (n, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_500_000, "1,500,000"),
        ] {
            assert_eq!(number(n), text);
        }
        for (decimal, text) in [
            ("0.00", "$0"),
            ("4.99", "$4.99"),
            ("3000.00", "$3,000"),
            ("1234567.05", "$1,234,567.05"),
        ] {
            assert_eq!(dollars(decimal), text);
        }
        for (n, text) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1024, "1.0 KiB"),
            (1_500_000, "1.4 MiB"),
            (134_217_728, "128.0 MiB"),
        ] {
            assert_eq!(bytes(n), text);
        }
        for (ms, text) in [
            (0, "0 s"),
            (1, "1 s"),
            (58_001, "59 s"),
            (59_001, "1 min 0 s"),
            (60_001, "1 min 0 s"),
            (86_399_000, "23 h 59 min"),
        ] {
            assert_eq!(time(ms), text);
        }
        assert_eq!(per_mille(1, 3), 333);
        assert_eq!(per_mille(u64::MAX, 1), 1000);
        assert_eq!(per_mille(1, 1_000_000), 1);
        assert_eq!(per_mille(0, 0), 0);
    }
}
