//! Responses: what the filter asks of the host to learn the tokens of each, and what it counts.

use super::*;

const USAGE: &str = r#"{"usage":{"total_tokens":31}}"#;

/// The reserve of a request of [`config`].
const RESERVE: i64 = 100;

fn config() -> Config {
    let tokens = json!({"bytes_per_token": 1_000_000, "completion": RESERVE});
    let tier = Config::tier("t").tpm(1_000_000);
    tier.with(json!({"headers": [], "tokens": tokens}))
}

/// A response as the host has it.
#[derive(Clone)]
struct Response {
    status: &'static str,
    headers: Vec<(&'static str, &'static str)>,
    /// `None`: the response ends with its headers.
    pieces: Option<Vec<&'static str>>,
    /// True when the body has an end.
    ends: bool,
}

fn answer(status: &'static str, body: &'static str) -> Response {
    Response {
        status,
        headers: Vec::new(),
        pieces: Some(vec![body]),
        ends: true,
    }
}

impl Response {
    fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    fn without_body(mut self) -> Self {
        self.pieces = None;
        self
    }

    fn cut(mut self) -> Self {
        self.ends = false;
        self
    }
}

impl Root {
    /// The tokens counted for a request with that response, and the gets that the response cost.
    fn counts(&self, response: &Response) -> (i64, Vec<&'static str>) {
        self.counts_of(&[], response)
    }

    fn counts_of(&self, request: &[(&str, &str)], response: &Response) -> (i64, Vec<&'static str>) {
        let before = counted(self);
        let line = |(name, value): &(&str, &str)| ((*name).to_owned(), value.as_bytes().to_vec());
        chat("t");
        host(|host| host.request.extend(request.iter().map(line)));
        let id = self.new_stream();
        assert_eq!(proxy_on_request_headers(id, 4, true), 0);
        host(|host| {
            host.calls.clear();
            host.response = vec![line(&(":status", response.status))];
            host.response.extend(response.headers.iter().map(line));
        });
        let pieces = response.pieces.as_deref();
        proxy_on_response_headers(id, 2, pieces.is_none());
        for (at, piece) in pieces.unwrap_or_default().iter().enumerate() {
            host(|host| host.body = piece.as_bytes().to_vec());
            let last = at + 1 == pieces.unwrap_or_default().len();
            proxy_on_response_body(id, piece.len(), last && response.ends);
        }
        ends(id);
        let gets = host(|host| host.calls.keys().copied().collect::<Vec<_>>());
        let gets = gets.into_iter().filter(|name| name.starts_with("get_"));
        let gets = gets.filter(|name| *name != "get_shared_data").collect();
        (counted(self) - before, gets)
    }
}

/// All tokens that were counted so far, by a usage or by the reserve.
fn counted(root: &Root) -> i64 {
    proxy_on_tick(root.id);
    let kind = |kind: &str| {
        let name = format!("tiergate_tokens.namespace.tiergate.tier.t.kind.{kind}");
        host(|host| host.metric(&name))
    };
    kind("used") + kind("estimated")
}

const BODY: &str = "get_buffer_bytes";
const CODE: &str = "get_property";
const HEADERS: &str = "get_header_map_pairs";

#[test]
fn a_usage_in_the_body_is_all_that_is_asked_for() {
    let root = Root::start(&config());
    assert_eq!(root.counts(&answer("200", USAGE)), (31, vec![BODY]));
    // A response that names an error, but has none.
    let success = answer("200", r#"{"error" : null,"usage":{"total_tokens":31}}"#);
    assert_eq!(root.counts(&success), (31, vec![BODY]));
}

#[test]
fn where_no_usage_was_found_the_status_decides() {
    let root = Root::start(&config());
    for body in [
        r#"{"no":"usage"}"#,
        "<html>",
        "\u{1f}gzip",
        "\0\0\0\0\u{2}",
        "data: {}\n\n",
        // Bytes that begin like a stream and have no event.
        "d\u{1}\u{2}\u{3}",
    ] {
        for (status, tokens) in [("200", RESERVE), ("302", 0), ("400", 0), ("503", 0)] {
            let counted = root.counts(&answer(status, body));
            assert_eq!(counted, (tokens, vec![BODY, CODE]), "{status} {body:?}");
        }
    }
    let empty = Response {
        pieces: Some(Vec::new()),
        ..answer("200", "")
    };
    assert_eq!(root.counts(&empty), (RESERVE, vec![CODE]));
}

#[test]
fn a_failure_used_nothing_whatever_its_body_says() {
    let root = Root::start(&config());
    let json = r#"{"error":{"message":"no"},"usage":{"total_tokens":31}}"#;
    let stream = "data: {\"usage\":{\"total_tokens\":31}}\n\n";
    for body in [json, stream] {
        assert_eq!(root.counts(&answer("500", body)), (0, vec![BODY, CODE]));
        // A success may name an error too, such as a part of a batch.
        assert_eq!(root.counts(&answer("200", body)), (31, vec![BODY, CODE]));
    }
}

#[test]
fn a_response_that_ends_with_its_headers_used_nothing() {
    let root = Root::start(&config());
    for status in ["200", "204", "500"] {
        let response = answer(status, "").without_body();
        assert_eq!(root.counts(&response), (0, vec![]), "{status}");
    }
}

#[test]
fn a_body_that_is_cut_counts_what_it_said() {
    let root = Root::start(&config());
    assert_eq!(root.counts(&answer("200", USAGE).cut()), (31, vec![BODY]));
    let half = answer("200", r#"{"usage":{"total_"#).cut();
    assert_eq!(root.counts(&half), (RESERVE, vec![BODY, CODE]));
    let stream = answer("200", "data: {}\n\ndata: {}\n\ndata: {").cut();
    assert_eq!(root.counts(&stream), (2, vec![BODY, CODE]));
    let silent = answer("200", "d\u{1}\u{2}").cut();
    assert_eq!(root.counts(&silent), (RESERVE, vec![BODY, CODE]));
}

#[test]
fn a_host_that_does_not_tell_the_status_is_taken_for_a_success() {
    let root = Root::start(&config());
    let unknown = answer("", r#"{"no":"usage"}"#);
    assert_eq!(root.counts(&unknown), (RESERVE, vec![BODY, CODE]));
}

#[test]
fn a_tunnel_keeps_its_reserve_whatever_passes_through_it() {
    let root = Root::start(&config());
    let upgrade = [("upgrade", "websocket"), ("connection", "upgrade")];
    for body in [
        USAGE,
        "data: {\"usage\":{\"total_tokens\":31}}\n\n",
        "\u{1}",
    ] {
        let tunnel = answer("101", body);
        assert_eq!(root.counts_of(&upgrade, &tunnel), (RESERVE, vec![HEADERS]));
        let refused = answer("200", body);
        assert_ne!(root.counts_of(&upgrade, &refused).0, 0);
    }
}

#[test]
fn settings_that_need_the_headers_have_them_read() {
    for (fields, tokens) in [
        (json!({"tokens": {"header": "x-tokens"}}), 7),
        (json!({"load": {"from": "overload"}}), 31),
        (json!({"load": {"from": {"header": "x-load"}}}), 31),
        (json!({"tokens": {"identity": false}}), 31),
    ] {
        // A VM for each: a VM defines its metrics once.
        let config = config().with(fields.clone());
        let vm = std::thread::spawn(move || {
            let response = answer("200", USAGE).header("x-tokens", "7");
            Root::start(&config).counts(&response)
        });
        let (counted, gets) = vm.join().unwrap();
        assert_eq!(counted, tokens, "{fields}");
        assert!(gets.contains(&HEADERS) && !gets.contains(&CODE), "{fields}");
    }
}

#[test]
fn where_encoded_bodies_are_welcome_their_header_tells_them() {
    let root = Root::start(&config().with(json!({"tokens": {"identity": false}})));
    let encoded = answer("200", USAGE).header("content-encoding", "gzip");
    assert_eq!(root.counts(&encoded), (RESERVE, vec![HEADERS]));
}
