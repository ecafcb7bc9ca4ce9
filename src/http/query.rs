//! Parameters of a request's query, in the form of browsers and LLM SDKs:
//! application/x-www-form-urlencoded. So `+` is a space and `%41` an `A`, in names too.

use percent_encoding::percent_decode;

/// Returns the values of all parameters of this name in a `:path`, in order.
pub fn values<'a>(path: &'a [u8], name: &'a str) -> impl Iterator<Item = Vec<u8>> + 'a {
    let query = path.splitn(2, |b| *b == b'?').nth(1).unwrap_or_default();
    // The query ends at a fragment, which Envoy can be configured to accept.
    let query = query.split(|b| *b == b'#').next().unwrap_or_default();
    query.split(|b| *b == b'&').filter_map(move |pair| {
        let mut halves = pair.splitn(2, |b| *b == b'=');
        let is_it = decoded(halves.next()?) == name.as_bytes();
        is_it.then(|| decoded(halves.next().unwrap_or_default()))
    })
}

/// Decodes a name or a value; an invalid escape stays unchanged.
fn decoded(text: &[u8]) -> Vec<u8> {
    let spaced: Vec<u8> = text
        .iter()
        .map(|byte| if *byte == b'+' { b' ' } else { *byte })
        .collect();
    percent_decode(&spaced).collect()
}

#[cfg(test)]
mod tests {
    use super::values;

    fn of(path: &str) -> Vec<String> {
        let text = |value: Vec<u8>| String::from_utf8_lossy(&value).into_owned();
        values(path.as_bytes(), "key").map(text).collect()
    }

    #[test]
    fn a_parameter_is_found_wherever_it_stands() {
        for path in [
            "/?key=a",
            "/v1/x?key=a",
            "?key=a",
            "/?b=c&key=a",
            "/?&&key=a&b",
            "/?key=a#key=b",
            "/?k%65y=%61",
        ] {
            assert_eq!(of(path), ["a"], "{path}");
        }
        for path in [
            "",
            "/",
            "/?",
            "/key=a",
            "/?KEY=a",
            "/?akey=a",
            "/?b=key=a",
            "/#?x",
        ] {
            assert_eq!(of(path), [""; 0], "{path}");
        }
    }

    #[test]
    fn values_are_decoded_and_broken_escapes_stand() {
        for (written, meant) in [
            ("", ""),
            ("a+b", "a b"),
            ("a%2Bb%2bc", "a+b+c"),
            ("a%26key%3db", "a&key=b"),
            ("a=b?c=d", "a=b?c=d"),
            ("%E3%82%A2", "ア"),
            ("%", "%"),
            ("%4", "%4"),
            ("%+4", "% 4"),
            ("%zz%4%41", "%zz%4A"),
        ] {
            assert_eq!(of(&format!("/?key={written}")), [meant], "{written}");
        }
        let bytes: Vec<_> = values(b"/?key=%ff%00", "key").collect();
        assert_eq!(bytes, [[0xff, 0]]);
        assert_eq!(of("/?key"), [""]);
    }

    #[test]
    fn each_of_several_counts() {
        assert_eq!(of("/?key=a&key=b"), ["a", "b"]);
        assert_eq!(of("/?key=&k%65y=b&key"), ["", "b", ""]);
    }
}
