//! Ids of clients as text for people, safe to show.
//!
//! The text has no invisible character, no line end, and no character that moves its neighbours. So
//! different ids do not look alike because of such characters. The text is not markup: HTML still
//! needs its quotes and brackets escaped.

/// Returns the text of an id, of at most `most` of its characters; `…` replaces the rest.
///
/// Bytes that are not UTF-8 show as `\xNN`. Invisible characters show as `\u{..}`: controls, marks
/// of direction and format, blanks other than a space, combining and unassigned characters. A
/// backslash shows as two, so that it is never read as an escape.
pub fn visible(id: &[u8], most: usize) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(id.len().min(most));
    let mut left = most;
    for chunk in id.utf8_chunks() {
        for c in chunk.valid().chars() {
            if !spend(&mut left, &mut text) {
                return text;
            }
            match c {
                '\\' => text.push_str("\\\\"),
                c if is_seen(c) => text.push(c),
                c => text.extend(c.escape_unicode()),
            }
        }
        for byte in chunk.invalid() {
            if !spend(&mut left, &mut text) {
                return text;
            }
            // Writing to a String can't fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// Takes one character from `left`. When none is left, adds `…` and returns false.
fn spend(left: &mut usize, text: &mut String) -> bool {
    match left.checked_sub(1) {
        Some(less) => {
            *left = less;
            true
        }
        None => {
            text.push('…');
            false
        }
    }
}

/// True when a character shows as itself.
fn is_seen(c: char) -> bool {
    match c {
        '"' | '\'' => true,
        // Blank letters and a blank symbol: Hangul fillers and the empty Braille pattern.
        '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' | '\u{2800}' => false,
        // The standard library escapes unprintable and combining characters.
        _ => c.escape_debug().len() == 1,
    }
}

/// Returns at most `most` bytes of an id, and true when bytes were cut off. No character is split.
pub fn cut(id: &[u8], most: usize) -> (&[u8], bool) {
    let Some((head, _)) = id
        .split_at_checked(most)
        .filter(|(_, rest)| !rest.is_empty())
    else {
        return (id, false);
    };
    let broken = match head.utf8_chunks().last().map(|chunk| chunk.invalid()) {
        // An incomplete character, not an invalid one.
        Some(end) if std::str::from_utf8(end).is_err_and(|e| e.error_len().is_none()) => end.len(),
        _ => 0,
    };
    let whole = head.len().saturating_sub(broken);
    (head.get(..whole).unwrap_or(head), true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_seen_stands_and_the_rest_is_spelt_out() {
        for (id, text) in [
            (&b"acme"[..], "acme"),
            (b"\"><script>'&", "\"><script>'&"),
            ("クライアント é ß".as_bytes(), "クライアント é ß"),
            (
                b"a\tb\nc\0\x1b[31m\x7f",
                "a\\u{9}b\\u{a}c\\u{0}\\u{1b}[31m\\u{7f}",
            ),
            (b"\xff\xc3(\xe3\x82", "\\xff\\xc3(\\xe3\\x82"),
            (
                "a\u{202e}b\u{200b}c\u{feff}\u{2028}\u{ad}".as_bytes(),
                "a\\u{202e}b\\u{200b}c\\u{feff}\\u{2028}\\u{ad}",
            ),
            (
                "\u{2066}\u{e0041}\u{3164}\u{2800}\u{fe0f}\u{a0}".as_bytes(),
                "\\u{2066}\\u{e0041}\\u{3164}\\u{2800}\\u{fe0f}\\u{a0}",
            ),
            ("e\u{301}\u{336}".as_bytes(), "e\\u{301}\\u{336}"),
            (br"\xff", r"\\xff"),
            (b"", ""),
        ] {
            assert_eq!(visible(id, 64), text);
        }
    }

    #[test]
    fn a_long_id_is_cut_and_says_so() {
        assert_eq!(visible(b"abcd", 4), "abcd");
        assert_eq!(visible(b"abcde", 4), "abcd…");
        assert_eq!(visible(b"\xff\xff\xff", 2), "\\xff\\xff…");
        assert_eq!(visible(b"abc", 0), "…");
        assert!(visible(&[0xe2; 60_000], 64).len() < 300);
    }

    #[test]
    fn a_cut_leaves_characters_whole() {
        assert_eq!(cut(b"abc", 3), (&b"abc"[..], false));
        assert_eq!(cut(b"abcd", 3), (&b"abc"[..], true));
        assert_eq!(cut("aé€x".as_bytes(), 2), (&b"a"[..], true));
        assert_eq!(cut("aé€x".as_bytes(), 5), ("aé".as_bytes(), true));
        assert_eq!(cut("aé€x".as_bytes(), 6), ("aé€".as_bytes(), true));
        assert_eq!(cut(b"\xff\xff\xff", 2), (&b"\xff\xff"[..], true));
    }
}
