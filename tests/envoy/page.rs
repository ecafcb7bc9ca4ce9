//! The admin page and its list of refusals on a real Envoy with two workers.

use crate::harness::bootstrap::Setup;
use crate::harness::client::{Call, Reply};
use crate::harness::stack::{Stack, eventually, root};
use serde_json::Value;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

/// Tiers by header, so that an account needs nothing before it is refused; the token is "secret".
const CONFIG: &str = r#"{"capacity": {"accounts": 1024, "directory": 64},
    "admin": {"path": "/-/tiergate",
        "token_sha256": "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"}}"#;

fn get(stack: &Stack, path: &str) -> Reply {
    let call = Call::new().get(path);
    stack.send(call.header("authorization", "Basic YnJvd3NlcjpzZWNyZXQ="))
}

fn html(reply: &Reply) -> &str {
    std::str::from_utf8(&reply.body).unwrap()
}

#[test]
fn it_takes_the_token_and_works_without_scripts() {
    let stack = Stack::start(CONFIG);
    let shut = stack.send(Call::new().get("/-/tiergate/"));
    assert_eq!((shut.status, &*shut.code()), (401, "token_invalid"));
    assert!(shut.header("www-authenticate").unwrap().contains("Basic"));
    let page = get(&stack, "/-/tiergate/");
    assert_eq!(page.status, 200);
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    let policy = page.header("content-security-policy").unwrap();
    for part in [
        "default-src 'none'",
        "script-src 'sha256-",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    for part in [
        "<table",
        "tier5",
        "5,000,000",
        "Nothing was refused",
        "Base limits are effective.",
    ] {
        assert!(html(&page).contains(part), "{part}");
    }
    let moved = get(&stack, "/-/tiergate");
    assert_eq!(
        (moved.status, moved.header("location")),
        (308, Some("tiergate/"))
    );
    let unknown = get(&stack, "/-/tiergate/?account=nobody");
    assert_eq!(unknown.status, 200);
    assert!(html(&unknown).contains("The directory does not know this account"));
    let write = Call::new()
        .post("/-/tiergate/")
        .header("authorization", "Bearer secret");
    assert_eq!(stack.send(write).code(), "method_not_allowed");
}

#[test]
fn what_either_worker_refuses_is_on_the_page_of_both() {
    let stack = Stack::start(CONFIG);
    // Each request comes on a connection of its own, to one worker or the other.
    for _ in 0..33 {
        stack.send(Call::of("acme", "tier0"));
    }
    let seen = || {
        let status = get(&stack, "/-/tiergate/status").json();
        let rows = status["refusals"]["by_limit"].as_array().unwrap().clone();
        // A request that comes before the one before it is settled is over concurrency instead.
        assert!(rows.iter().all(|row| row["tier"] == "tier0"), "{rows:?}");
        let last_minute = rows.iter().filter_map(|row| row["last_minute"].as_u64());
        last_minute.sum::<u64>() == 30
    };
    eventually("both have written it down", seen);
    assert!((0..8).all(|_| seen()), "and both show it");
    let page = get(&stack, "/-/tiergate/");
    assert!(html(&page).contains("<a href=\"?account=acme\">acme</a>"));
    assert!(
        html(&get(&stack, "/-/tiergate/?account=acme")).contains("last refused in <b>tier0</b>")
    );
}

/// Where a Chromium is: `$CHROMIUM`, or one of the usual places.
pub fn chromium() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("CHROMIUM") {
        return Some(named.into());
    }
    let usual = [
        "/usr/bin/chromium",
        "/usr/bin/chromium-browser",
        "/usr/bin/google-chrome",
    ];
    usual
        .map(PathBuf::from)
        .into_iter()
        .find(|path| path.exists())
}

/// Screenshots go to `$PAGE_SHOTS`, if that is set.
#[test]
fn in_a_browser_it_is_readable_refreshes_in_place_and_runs_no_clients_script() {
    let Some(chromium) = chromium() else {
        // Past the harness, which would keep it to itself.
        let says = "the page in a browser: skipped, no Chromium; install one, or set CHROMIUM";
        writeln!(std::io::stderr(), "{says}").unwrap();
        return;
    };
    let stack = Stack::with(&Setup::new(CONFIG).bodies_while_headers_are_held());
    let output = Command::new(root().join(".tools/bin/python"))
        .arg(root().join("tests/envoy/page.py"))
        .arg(chromium)
        .args([stack.proxy.to_string(), stack.proxy.to_string()])
        .args(std::env::var_os("PAGE_SHOTS"))
        .output()
        .expect("make test installs the browser's driver");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(seen["refreshed"]["touched"], 0, "{seen}");
}
