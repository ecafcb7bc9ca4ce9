//! The line for access logs: which requests get one, and what it says.

use super::*;

/// The line that was set since the last call.
fn line() -> Option<String> {
    let line = host(|host| host.filter_state.take());
    line.map(|line| String::from_utf8(line).unwrap())
}

/// The lines of an admitted request of each tier, and of one that is refused.
/// They share an account.
fn lines(config: &Config) -> [Option<String>; 3] {
    let root = Root::start(config);
    let admitted = |tier| {
        root.admitted(tier);
        line()
    };
    let (other, first) = (admitted("tier1"), admitted("tier0"));
    admitted("tier0");
    assert!(!root.arrives("tier0").1);
    [other, first, line()]
}

#[test]
fn every_request_has_a_line_by_default() {
    let wanted = [
        "tier=tier1 outcome=admitted",
        "tier=tier0 outcome=admitted",
        "tier=tier0 outcome=limited limit=rpm",
    ];
    let wanted = wanted.map(|line| Some(line.to_owned()));
    assert_eq!(lines(&no_headers()), wanted);
    let said = no_headers().with(json!({"log_admitted": true}));
    assert_eq!(lines(&said), wanted);
}

#[test]
fn without_log_admitted_only_the_others_have_one() {
    let config = no_headers().with(json!({"log_admitted": false}));
    let refused = "tier=tier0 outcome=limited limit=rpm".to_owned();
    assert_eq!(lines(&config), [None, None, Some(refused)]);
    let shadow = config.with(json!({"mode": "shadow"}));
    let shadowed = Root::start(&shadow);
    for _ in 0..3 {
        shadowed.admitted("tier0");
    }
    assert_eq!(line(), None);
    shadowed.admitted("tier0");
    let wanted = "tier=tier0 outcome=shadowed limit=rpm".to_owned();
    assert_eq!(line(), Some(wanted));
}

#[test]
fn without_log_admitted_an_admitted_request_costs_one_call_less() {
    let mut wanted = Root::start(&no_headers()).admitted("tier1");
    assert_eq!(wanted.remove("set_property"), Some(1));
    let config = no_headers().with(json!({"log_admitted": false}));
    assert_eq!(Root::start(&config).admitted("tier1"), wanted);
}

/// Regression: the usage was set when the response began. Envoy takes the response of an internal
/// redirect away before that, and a client can hang up.
#[test]
fn a_request_without_a_response_has_a_usage() {
    let root = Root::start(&no_headers().with(json!({"log_usage": true})));
    let (id, passes) = root.arrives("tier1");
    assert!(passes);
    let usage = line().unwrap();
    assert!(
        usage.starts_with("at=") && usage.ends_with("estimated=true"),
        "{usage}"
    );
    ends(id);
}
