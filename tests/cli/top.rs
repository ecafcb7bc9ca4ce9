//! `tiergate top`: text, JSON, the live screen, and admin APIs that can't be read.

mod live;
mod server;
mod terminal;

use crate::{Ran, file};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use server::{Answer, STATUS, Server, TOKEN_INVALID};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::Arc;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, Stream as Tls};

/// The command, with no token of whoever runs the tests.
fn command(url: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tiergate"));
    command.args(["top", "--admin", url]).args(args);
    command.env_remove("TIERGATE_ADMIN_TOKEN");
    // It is asked directly, whatever proxy there is.
    command.env("http_proxy", "http://127.0.0.1:9");
    command
}

fn ran(command: &mut Command) -> Ran {
    let output = command.stdin(Stdio::null()).output().unwrap();
    Ran {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn status() -> Answer {
    Answer::Json(STATUS.to_owned())
}

#[test]
fn once_prints_all_there_is_as_text() {
    let server = Server::new(status());
    for url in [server.url.clone(), format!("{}/", server.url)] {
        let ran = ran(&mut command(&url, &["--once"]));
        assert_eq!((ran.code, ran.err.as_str()), (0, ""));
        assert_eq!(ran.out, include_str!("top/screen_80.txt"));
    }
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    for request in requests {
        let request = request.to_lowercase();
        assert!(request.starts_with("get /-/tiergate/status http/1.1\r\n"));
        assert!(!request.contains("authorization"), "{request}");
    }
    let piped = ran(&mut command(&server.url, &[]));
    assert_eq!(piped.out, include_str!("top/screen_80.txt"), "no terminal");
}

#[test]
fn json_is_what_came_on_one_line() {
    let server = Server::new(status());
    let ran = ran(&mut command(&server.url, &["--once", "--json"]));
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert_eq!(ran.out.lines().count(), 1);
    let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    assert_eq!(value(&ran.out), value(STATUS));
}

#[test]
fn json_without_once_is_a_line_each_interval_and_bridges_a_failure() {
    use std::io::{BufRead as _, BufReader};
    let server = Server::new(Answer::Json("{\"n\":\n1}".to_owned()));
    let mut command = command(&server.url, &["--json", "--interval", "500ms"]);
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut err = BufReader::new(child.stderr.take().unwrap()).lines();
    assert_eq!(out.next().unwrap().unwrap(), "{\"n\": 1}");
    server.answers(Answer::Status(503, ""));
    let said = err.next().unwrap().unwrap();
    assert!(said.contains("answered 503"), "{said}");
    server.answers(Answer::Json("2".to_owned()));
    assert!(out.any(|line| line.unwrap() == "2"));
    // Nobody reads on: it ends by itself, and all was well.
    drop(out);
    assert!(child.wait().unwrap().success());
}

#[test]
fn the_token_goes_as_a_bearer_and_is_never_shown() {
    let server = Server::new(Answer::Guarded);
    let token = file("token", "se-cret\n");
    let by_file = ran(&mut command(
        &server.url,
        &["--once", "--token-file", &token],
    ));
    let mut by_env = command(&server.url, &["--once"]);
    let by_env = ran(by_env.env("TIERGATE_ADMIN_TOKEN", "se-cret"));
    assert_eq!((by_file.code, by_env.code), (0, 0));
    let requests = server.requests();
    let with_token = |request: &String| request.contains("authorization: Bearer se-cret\r\n");
    let with_token: Vec<_> = requests.iter().map(with_token).collect();
    assert_eq!(with_token, [false, true, false, true], "{requests:?}");
    for (token, said) in [
        ("", "is empty"),
        ("se cret", "visible ASCII"),
        ("sé", "ASCII"),
    ] {
        let mut command = command(&server.url, &["--once"]);
        let ran = ran(command.env("TIERGATE_ADMIN_TOKEN", token));
        assert_eq!((ran.code, ran.out.as_str()), (2, ""));
        assert!(ran.err.contains(said), "{}", ran.err);
        assert!(ran.err.contains("TIERGATE_ADMIN_TOKEN"), "{}", ran.err);
        assert!(
            !ran.err.contains("cret") && !ran.err.contains('é'),
            "{}",
            ran.err
        );
    }
    let ran = ran(&mut command(&server.url, &["--token-file", "/nowhere"]));
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("can't read /nowhere"), "{}", ran.err);
}

/// Of the data path, say: the token of the admin API is not for it.
#[test]
fn a_place_that_is_no_admin_api_never_gets_the_token() {
    let tier_unknown = r#"{"error": {"message": "No tier.", "code": "tier_unknown"}}"#;
    let account_missing = r#"{"error": {"message": "No account.", "code": "account_missing"}}"#;
    let should_be = "the URL should be the admin path of the config (admin.path)";
    for (answer, said) in [
        (Answer::Status(403, tier_unknown), "403 (No tier.)"),
        (Answer::Status(401, account_missing), "401 (No account.)"),
        (Answer::Status(401, ""), "401"),
        (Answer::Status(429, ""), "429"),
        (Answer::Status(404, ""), "404"),
    ] {
        let server = Server::new(answer);
        let mut command = command(&server.url, &["--once"]);
        let ran = ran(command.env("TIERGATE_ADMIN_TOKEN", "se-cret"));
        assert_eq!(ran.code, 2);
        let said = format!("{said}: no admin API there; {should_be}");
        assert!(ran.err.contains(&said), "{said}: {}", ran.err);
        let requests = server.requests();
        assert_eq!(requests.len(), 1);
        assert!(!requests[0].contains("se-cret"), "{requests:?}");
    }
    for answer in [status(), Answer::Json("{}".to_owned())] {
        let server = Server::new(answer);
        let mut command = command(&server.url, &["--once"]);
        ran(command.env("TIERGATE_ADMIN_TOKEN", "se-cret"));
        assert!(
            !server.requests()[0].contains("se-cret"),
            "no token is asked for"
        );
    }
}

#[test]
fn an_admin_api_that_can_not_be_read_says_why() {
    let not_a_status = Answer::Json(r#"{"live_vms": 3}"#.to_owned());
    let said_so = r#"{"error": {"message": "the ledger\u001b[2J is full"}}"#;
    let of_the_proxy = r#"{"error": {"message": "…", "code": "account_missing"}}"#;
    let long = " ".repeat(5 << 20);
    for (answer, said) in [
        (Answer::Status(401, ""), "401: no admin API there"),
        (Answer::Status(401, TOKEN_INVALID), "TIERGATE_ADMIN_TOKEN"),
        (Answer::Guarded, "TIERGATE_ADMIN_TOKEN"),
        (
            Answer::Status(401, of_the_proxy),
            "401 (…): no admin API there",
        ),
        (Answer::Status(404, ""), "should be the admin path"),
        (Answer::Status(302, ""), "answered 302"),
        (Answer::Status(500, ""), "answered 500"),
        (
            Answer::Status(503, said_so),
            "503 Service Unavailable: the ledger\\u{1b}[2J is full",
        ),
        (Answer::Json("<html>".to_owned()), "not JSON"),
        (Answer::Json(String::new()), "not JSON"),
        (Answer::Json("{\"namespace\": \"n\"".to_owned()), "not JSON"),
        (
            Answer::Bytes(b"{\"namespace\": \"\xff\"}".to_vec()),
            "not JSON",
        ),
        (
            Answer::Json("[]".to_owned()),
            "not the status of a tiergate",
        ),
        (not_a_status, "missing field `namespace`"),
        (Answer::Json(long), "over 4194304 bytes"),
        (Answer::Hangup, "can't connect"),
    ] {
        let server = Server::new(answer);
        let ran = ran(&mut command(&server.url, &["--once"]));
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{said}");
        let (address, line) = (format!("{}/status: ", server.url), &ran.err);
        assert!(
            line.contains(&address) && line.contains(said),
            "{said}: {line}"
        );
        assert_eq!(line.lines().count(), 1, "{line}");
        assert!(!line.contains('\x1b'), "{line}");
        assert_eq!(server.requests().len(), 1, "asked once, and nowhere else");
    }
    let server = Server::new(Answer::Guarded);
    let mut wrong = command(&server.url, &["--once"]);
    let wrong = ran(wrong.env("TIERGATE_ADMIN_TOKEN", "wrong"));
    assert!(
        wrong.err.contains("not the one of this config"),
        "{}",
        wrong.err
    );
}

#[test]
fn an_address_where_nobody_listens_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    for (host, said) in [
        (format!("127.0.0.1:{port}"), "Connection refused"),
        ("tiergate.invalid".to_owned(), "can't connect"),
    ] {
        let url = format!("http://{host}/-/tiergate");
        let ran = ran(&mut command(&url, &["--once", "--json"]));
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{host}");
        assert!(ran.err.contains(said), "{}", ran.err);
    }
}

#[test]
fn an_answer_that_does_not_come_is_given_up() {
    let server = Server::new(Answer::Nothing);
    let ran = ran(&mut command(&server.url, &["--once"]));
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    assert!(ran.err.contains("no answer within 5 s"), "{}", ran.err);
}

#[test]
fn arguments_that_can_not_be_used_say_so() {
    for (args, said) in [
        (&["top"][..], "--admin"),
        (
            &["top", "--admin", "localhost:1"],
            "neither http:// nor https://",
        ),
        (&["top", "--admin", "http://:demo@h/a"], "others see it"),
        (
            &["top", "--admin", "http://h/a", "--interval", "499ms"],
            "from 500ms to 1h",
        ),
        (
            &["top", "--admin", "http://h/a", "--interval", "2"],
            "from 500ms to 1h",
        ),
        (
            &["top", "--admin", "http://h/a", "--interval", "61m"],
            "from 500ms to 1h",
        ),
        (
            &["top", "--admin", "http://h/a", "--token", "demo"],
            "--token",
        ),
    ] {
        let ran = crate::tiergate(args);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{args:?}");
        assert!(ran.err.contains(said), "{args:?}: {}", ran.err);
    }
}

#[test]
fn an_older_filter_is_shown_as_far_as_it_reports() {
    let old = json!({"namespace": "tiergate", "config": "0123456789abcdef", "layout": 1,
        "live_vms": 3, "ledger": {"pages": 8192, "looked_at": 512, "records": 1, "fullest": 1, "bytes": 99},
        "directory": {"pages": 8192, "looked_at": 512, "records": 0, "fullest": 0, "bytes": 0},
        "ready": false, "feed": null});
    let server = Server::new(Answer::Json(old.to_string()));
    let ran = ran(&mut command(&server.url, &["--once"]));
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let text = "\
tiergate   tiergate, 3 workers, config 01234567, NOT READY
directory  not ready: accounts that it does not hold get not_ready
load       not reported by this filter
refused    not reported by this filter

ledger     fewer than 200 accounts, counted on 512 of 8,192 pages, fullest page 1
directory  fewer than 100 accounts, counted on 512 of 8,192 pages, fullest page 0
";
    assert_eq!(ran.out, text);
}

/// Every text of a status, made to be as bad as can be.
pub fn hostile() -> String {
    let bad = "\x1b[2J\u{202e}\u{9b}31m\r\n\u{7}\u{200b}\u{2028}";
    json!({"namespace": bad, "config": bad, "mode": bad, "live_vms": 1,
    "tiers": [{"name": bad, "scale": 0.5}],
    "load": {"tiers": {bad: 0.5}, "auto": {"from": bad}},
    "refusals": {
        "by_limit": [{"tier": bad, "code": bad}],
        "accounts": [{"account": bad, "tier": bad, "code": bad, "count": 7}]
    }})
    .to_string()
}

#[test]
fn nothing_that_others_wrote_reaches_the_terminal_as_it_is() {
    // Raw in the JSON, where JSON allows it.
    let raw = hostile().replace("\\u009b", "\u{9b}");
    assert!(raw.contains('\u{202e}') && raw.contains('\u{9b}'));
    let server = Server::new(Answer::Json(raw.clone()));
    let text = ran(&mut command(&server.url, &["--once"]));
    let line = ran(&mut command(&server.url, &["--once", "--json"]));
    assert_eq!((text.code, line.code), (0, 0), "{}{}", text.err, line.err);
    assert!(
        text.out
            .contains("\\u{1b}[2J\\u{202e}\\u{9b}31m\\u{d}\\u{a}"),
        "{}",
        text.out
    );
    for out in [&text.out, &line.out] {
        let bad = |c: char| c.is_control() && c != '\n' || "\u{202e}\u{200b}\u{2028}".contains(c);
        assert!(!out.contains(bad), "{out:?}");
    }
    let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    assert_eq!(value(&line.out), value(&raw), "and the JSON is the same");
}

#[test]
fn https_is_checked_by_the_certificates_that_are_given() {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = certificate.self_signed(&key).unwrap();
    let ca = file("top-ca.pem", certificate.pem());
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let config = ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![certificate.der().clone()], key);
    let config = Arc::new(config.unwrap());
    let server = Server::over("https", status(), move |mut socket, serve| {
        let mut connection = ServerConnection::new(config.clone()).unwrap();
        serve(&mut Tls::new(&mut connection, &mut socket));
    });
    let trusted = ran(&mut command(&server.url, &["--once", "--ca-file", &ca]));
    assert_eq!((trusted.code, trusted.err.as_str()), (0, ""));
    assert_eq!(trusted.out, include_str!("top/screen_80.txt"));
    let unknown = ran(&mut command(&server.url, &["--once"]));
    assert_eq!((unknown.code, unknown.out.as_str()), (2, ""));
    assert!(unknown.err.contains("certificate"), "{}", unknown.err);
    let plain = Server::new(status());
    let url = plain.url.replace("http:", "https:");
    let plain = ran(&mut command(&url, &["--once"]));
    assert_eq!(plain.code, 2);
    assert!(
        plain.err.contains("a plain http:// listener"),
        "{}",
        plain.err
    );
    let empty = file("top-no-ca.pem", "");
    let none = ran(&mut command(&server.url, &["--ca-file", &empty]));
    assert_eq!(none.code, 2);
    assert!(
        none.err.contains("has no certificate in PEM"),
        "{}",
        none.err
    );
}
