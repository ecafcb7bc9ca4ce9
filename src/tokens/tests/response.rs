//! Responses by their status, headers, first byte and end.

use crate::tokens::consumed::{Streamed, Used};
use crate::tokens::response::{ReadOptions, UsageReader};

fn response(status: &str, lines: &[(&str, &str)], end: bool, body: &[&str]) -> Used {
    let options = ReadOptions {
        headers: vec!["x-tokens".to_owned()],
        ..ReadOptions::default()
    };
    let mut all = vec![(":status", status)];
    all.extend_from_slice(lines);
    let lines = all.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes()));
    let mut response = UsageReader::begin(lines, end, &options);
    for piece in body {
        response.feed(piece.as_bytes());
    }
    response
        .used(true, || panic!("the headers told the status"))
        .used
}

/// The tokens of a response that is read without its headers, and whether the status is asked.
fn unread(code: Option<u64>, end: bool, body: &[u8]) -> (Used, bool) {
    let mut response = UsageReader::without_headers(end, &ReadOptions::default());
    response.feed(body);
    let mut asked = false;
    let used = response.used(true, || {
        asked = true;
        code
    });
    (used.used, asked)
}

#[test]
fn without_headers_the_status_is_asked_for_only_in_doubt() {
    let usage = br#"{"usage":{"total_tokens":5}}"#;
    let error = br#"{"error":{},"usage":{"total_tokens":5}}"#;
    let stream = b"data: {\"usage\":{\"total_tokens\":5}}\n\n";
    for code in [None, Some(200), Some(500), Some(101)] {
        assert_eq!(unread(code, false, usage), (Used::Tokens(5), false));
        assert_eq!(unread(code, true, b""), (Used::Tokens(0), false));
    }
    for (code, said) in [
        (None, Used::Tokens(5)),
        (Some(299), Used::Tokens(5)),
        (Some(300), Used::Tokens(0)),
        (Some(101), Used::Unknown),
    ] {
        assert_eq!(unread(code, false, error), (said, true), "{code:?}");
        assert_eq!(unread(code, false, stream), (said, true), "{code:?}");
    }
    assert_eq!(unread(None, false, b""), (Used::Tokens(0), false));
    for body in [&b"{}"[..], b"\x1f\x8b", b"d\x01\x02", b"\0\0\0\x20ftyp"] {
        assert_eq!(unread(Some(200), false, body), (Used::Unknown, true));
        assert_eq!(unread(Some(404), false, body), (Used::Tokens(0), true));
    }
}

#[test]
fn the_first_byte_tells_the_shape() {
    let json = r#"{"usage":{"total_tokens":5}}"#;
    assert_eq!(response("200", &[], false, &[" \n", json]), Used::Tokens(5));
    let event = "data: {\"usage\":{\"total_tokens\":5}}\n\n";
    for start in [
        "",
        ": hi\n\n",
        "event: x\n",
        "id: 1\n",
        "\u{feff}",
        "\u{feff}\n",
        "\n \u{feff}",
        "\n\n",
    ] {
        assert_eq!(
            response("200", &[], false, &[start, event]),
            Used::Tokens(5),
            "{start:?}"
        );
    }
    assert_eq!(response("200", &[], false, &["<html>"]), Used::Unknown);
    assert_eq!(
        response("200", &[], false, &["\u{1f}\u{8b}..."]),
        Used::Unknown
    );
}

#[test]
fn what_is_no_success_or_has_no_body_used_nothing() {
    let json = r#"{"usage":{"total_tokens":5}}"#;
    for status in ["302", "400", "429", "503"] {
        assert_eq!(
            response(status, &[], false, &[json]),
            Used::Tokens(0),
            "{status}"
        );
    }
    assert_eq!(response("204", &[], true, &[]), Used::Tokens(0));
    assert_eq!(
        response("101", &[], false, &["data: "]),
        Used::Unknown,
        "a tunnel"
    );
}

#[test]
fn a_header_goes_before_the_body_and_encoded_bodies_are_not_read() {
    let json = r#"{"usage":{"total_tokens":5}}"#;
    let said = [("x-tokens", "7")];
    assert_eq!(response("200", &said, false, &[json]), Used::Tokens(7));
    let nonsense = [("x-tokens", "-7")];
    assert_eq!(response("200", &nonsense, false, &[json]), Used::Tokens(5));
    for plain in ["", " ", "none", "None", "utf-8", "identity", "Identity"] {
        let encoding = [("content-encoding", plain)];
        let used = response("200", &encoding, false, &[json]);
        assert_eq!(used, Used::Tokens(5), "{plain:?}");
    }
    let gzip = [("content-encoding", "gzip")];
    assert_eq!(response("200", &gzip, false, &[json]), Used::Unknown);
}

#[test]
fn a_stream_that_is_cut_tells_what_it_can() {
    let mut cut = UsageReader::begin(std::iter::empty(), false, &ReadOptions::default());
    cut.feed(b"data: {\"message\":{\"usage\":{\"input_tokens\":70,\"output_tokens\":1}}}\n\n");
    cut.feed(b"data: {}\n\ndata: {}\n\ndata: {\"half\":");
    let told = Streamed {
        prompt: Some(70),
        said: 71,
        events: 3,
        is_whole: false,
    };
    let used = cut.used(false, || Some(200));
    assert_eq!(used.used, Used::Streamed(told));
}
