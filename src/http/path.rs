//! Paths of requests that an upstream may read in another way than the filter does.

/// Escapes that stand for a part of the path's own syntax, in lower case: `%`, `/`, `.`, `\`, `;`,
/// `?`, `#` and NUL.
const SYNTAX: [&[u8; 2]; 8] = [b"25", b"2f", b"2e", b"5c", b"3b", b"3f", b"23", b"00"];

/// False for a path that another reader may take for a different one: with `//`, `\`, a segment of
/// dots, or an escaped slash, backslash or dot.
pub fn is_plain_path(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let escaped = ["%2f", "%2e", "%5c"];
    !path.contains("//")
        && !path.contains('\\')
        && !path.split('/').any(|segment| matches!(segment, "." | ".."))
        && !escaped.iter().any(|escape| lower.contains(escape))
}

/// True for a path that has one reading, whatever normalizes it: visible ASCII without `//`, `\`,
/// `;`, `#`, `..` or a segment of one dot, in which each escape is well formed and stands for a
/// character that needs one (RFC 3986, 6.2.2.2). Stricter than [`is_plain_path`]: it decides what is
/// not counted.
pub fn has_one_reading(path: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(path) else {
        return false;
    };
    let is_visible = path.iter().all(u8::is_ascii_graphic);
    is_visible
        && is_plain_path(text)
        && !text.contains([';', '#'])
        && !text.contains("..")
        && text.split('%').skip(1).all(escapes_what_needs_it)
}

/// True when the text after a `%` begins with two hex digits of a byte that is neither syntax of a
/// path nor one that no client escapes.
fn escapes_what_needs_it(after: &str) -> bool {
    let Some(digits) = after.as_bytes().first_chunk::<2>() else {
        return false;
    };
    let lower = digits.map(|b| b.to_ascii_lowercase());
    let Ok(Ok(byte)) = str::from_utf8(&lower).map(|hex| u8::from_str_radix(hex, 16)) else {
        return false;
    };
    let is_unreserved = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let is_hex = lower.iter().all(u8::is_ascii_hexdigit);
    is_hex && !is_unreserved && !SYNTAX.contains(&&lower)
}

/// Returns a path without its query and its fragment.
pub fn without_query(path: &[u8]) -> &[u8] {
    let end = memchr::memchr2(b'?', b'#', path).unwrap_or(path.len());
    path.get(..end).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_another_reading_has_not_one() {
        for path in [
            "/",
            "/v1/files/a%20b",
            "/v1/files/%C3%A9",
            "/v1/models/a:b",
            "/v1/a@b/c,d=e",
            "/v1/files/a%3Ab",
        ] {
            assert!(has_one_reading(path.as_bytes()), "{path}");
        }
        for path in [
            "/v1/files/../chat",
            "/v1//files",
            "/v1/files/..;/chat",
            "/v1/files;a=b",
            "/v1/files\\..\\chat",
            "/v1/files/%2e%2E/chat",
            "/v1/files/..%2fchat",
            "/v1/%66iles",
            "/v1/files%3Bx",
            "/v1/files%252e",
            "/v1/files%00",
            "/v1/files%",
            "/v1/files%2",
            "/v1/files%+1",
            "/v1/files%zz",
            "/v1/./files",
            "/v1/files#x",
            "/v1/files%3F",
            "/v1/a..b",
            "/v1/files/\u{e9}",
            "/v1/fi les",
            "/v1/files%7Ex",
        ] {
            assert!(!has_one_reading(path.as_bytes()), "{path}");
        }
    }

    #[test]
    fn a_path_ends_at_its_query() {
        assert_eq!(without_query(b"/a?b=/c"), b"/a");
        assert_eq!(without_query(b"/a#b?c"), b"/a");
        assert_eq!(without_query(b"/a"), b"/a");
    }
}
