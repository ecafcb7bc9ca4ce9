//! Makes foreign text safe for a terminal: clients choose account ids.
//!
//! `tiergate::http::visible` does this for bytes on a page. Here the rule is the width of a
//! character, so that columns add up; the wasm module does not contain the table of widths.

use std::fmt::Write as _;
use unicode_width::UnicodeWidthChar as _;

/// Escapes as `\u{..}` each character that controls a terminal, changes the direction of text or is
/// invisible. The filter has already escaped ids and doubled their backslashes, so backslashes
/// stay.
pub fn visible(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if is_plain(c) {
            safe.push(c);
        } else {
            // Writing to a String can't fail.
            let _ = write!(safe, "\\u{{{:x}}}", u32::from(c));
        }
    }
    safe
}

/// Puts JSON on one line, with the same characters escaped in JSON's form: the same value.
///
/// In JSON these characters occur only in strings, and line ends only between tokens.
pub fn visible_json(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        if matches!(c, '\n' | '\r' | '\t') {
            safe.push(' ');
        } else if is_plain(c) {
            safe.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(safe, "\\u{unit:04x}");
            }
        }
    }
    safe
}

/// True when a character takes columns on a terminal and has no other effect.
///
/// Characters without a width are control characters, direction marks, joiners and combining marks.
fn is_plain(c: char) -> bool {
    !matches!(c, '\u{ad}' | '\u{2028}' | '\u{2029}' | '\u{fffd}')
        && c.width().is_some_and(|n| n > 0)
}

/// Returns the character to draw for one of a file: itself, or one that does nothing.
pub fn drawn(c: char) -> char {
    if is_plain(c) { c } else { '?' }
}

/// Returns the columns of a character that [`visible`] lets through.
pub fn columns_of(c: char) -> usize {
    c.width().unwrap_or(0)
}

/// Returns the columns of a text.
pub fn columns(text: &str) -> usize {
    text.chars().map(columns_of).fold(0, usize::saturating_add)
}

/// Cuts a text to a number of columns; a cut text ends with "…".
pub fn cut(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    let mut left = width.saturating_sub(1);
    let mut short = String::new();
    for c in text.chars() {
        match left.checked_sub(columns_of(c)) {
            Some(less) => left = less,
            None => break,
        }
        short.push(c);
    }
    if width > 0 {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_a_terminal_is_shown_and_not_done() {
        for (text, safe) in [
            ("acme", "acme"),
            ("\x1b[2J", "\\u{1b}[2J"),
            ("\u{9b}2J", "\\u{9b}2J"),
            ("a\u{202e}b", "a\\u{202e}b"),
            ("\u{2066}\u{200f}\u{61c}", "\\u{2066}\\u{200f}\\u{61c}"),
            ("a\r\nb\t\0\x7f", "a\\u{d}\\u{a}b\\u{9}\\u{0}\\u{7f}"),
            ("\u{200b}\u{feff}\u{ad}", "\\u{200b}\\u{feff}\\u{ad}"),
            ("\u{2028}\u{2029}", "\\u{2028}\\u{2029}"),
            ("e\u{301}", "e\\u{301}"),
            ("\u{e0041}", "\\u{e0041}"),
            ("\u{fffd}", "\\u{fffd}"),
            (r"\u{1b}", r"\u{1b}"),
            ("客户😀", "客户😀"),
        ] {
            assert_eq!(visible(text), safe, "{text:?}");
        }
    }

    #[test]
    fn no_character_at_all_gets_through_that_has_no_room_of_its_own() {
        for c in (0..=0x0010_ffff).filter_map(char::from_u32) {
            for safe in [visible(&c.to_string()), visible_json(&c.to_string())] {
                assert!(!safe.chars().any(char::is_control), "{c:?}");
                assert!(safe.chars().all(|c| columns_of(c) > 0), "{c:?}");
            }
        }
    }

    #[test]
    fn json_stays_the_same_value_on_one_line() {
        let json = "{\"a\":\n \"\u{202e}\u{9b}\u{e0041}\\u001b x\",\r\n\t\"b\": 1}";
        let safe = visible_json(json);
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(&safe), value(json));
        assert!(safe.is_ascii() && !safe.contains('\n'), "{safe}");
    }

    #[test]
    fn a_cut_text_fits_whatever_its_characters_take() {
        assert_eq!(cut("acme", 4), "acme");
        assert_eq!(cut("acme-1", 4), "acm…");
        assert_eq!(cut("客户客户", 6), "客户…");
        assert_eq!(cut("客户客户", 5), "客户…");
        assert_eq!(cut("acme", 0), "");
    }
}
