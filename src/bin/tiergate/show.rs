//! Numbers and amounts as text.

use tiergate::account::Cents;

/// A number with a comma between its thousands.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len().saturating_mul(2));
    for (i, digit) in digits.chars().enumerate() {
        let left = digits.len().saturating_sub(i);
        if i > 0 && left.is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// An amount as the config and the feed write it.
pub fn decimal(amount: Cents) -> String {
    let (dollars, cents) = (amount.get().div_euclid(100), amount.get().rem_euclid(100));
    format!("{dollars}.{cents:02}")
}
