//! Routes that the config check refuses: without a limit, without a match, or in contradiction.

use crate::routes::config;
use serde_json::{Value, json};
use tiergate::config::parse;

#[test]
fn a_list_that_limits_nobody_is_refused() {
    let problem = |limits: Value| {
        let routes = json!([{"match": {"path": "/x"}, "limits": limits}]);
        let config = config(routes).to_string();
        parse(config.as_bytes())
            .err()
            .map(|error| error.to_string())
    };
    for limits in [json!(["itpm"]), json!(["concurrency", "rps"])] {
        let problem = problem(limits).unwrap_or_default();
        let starts = problem.starts_with("routes[0].limits: counts nothing: ");
        assert!(starts && problem.contains("\"none\" lets"), "{problem}");
    }
    // Accounts may have an itpm of their own, and what a tier has counts in any case.
    assert_eq!(problem(json!(["itpm", "rpm"])), None);
    let family = json!([{"name": "k2", "match": ["k2*"]}]);
    let mut config: Value = serde_json::from_str(
        &config(json!([{"match": {"path": "/x"}, "limits": ["itpm"]}]))
            .with(json!({"models": family, "model": [{"header": "x-model"}]}))
            .to_string(),
    )
    .unwrap();
    config["tiers"][0]["models"] = json!({"k2": {"itpm": 5}});
    assert!(parse(config.to_string().as_bytes()).is_ok(), "a family's");
}

#[test]
fn a_match_that_no_request_holds_is_refused() {
    let problem = |matches: &Value| {
        let config = config(json!([{"match": matches, "limits": "none"}])).to_string();
        parse(config.as_bytes())
            .err()
            .map(|error| error.to_string())
    };
    let value = |value: &str| json!({"header": {"name": "x-a", "value": value}});
    for matches in [
        value("a b"),
        value("a\tb"),
        value(""),
        value("caf\u{e9}"),
        json!({"path_prefix": "/."}),
        json!({"path_prefix": "/a%2"}),
        json!({"path_suffix": "."}),
        json!({"path_suffix": "./x"}),
        json!({"path_suffix": "20x"}),
        json!({"path_suffix": "/x"}),
    ] {
        assert_eq!(problem(&matches), None, "{matches}");
    }
    for (matches, path, says) in [
        (value(" a"), "match.header.value", "leave them out"),
        (value("a\t"), "match.header.value", "leave them out"),
        (value("a\r\nb"), "match.header.value", "line end"),
        (value("a\u{0}"), "match.header.value", "control character"),
        (value("a\u{7f}"), "match.header.value", "control character"),
        (
            json!({"header": {"name": "Host"}}),
            "match.header.name",
            "route_name",
        ),
        (json!({"path_suffix": "//x"}), "", "different ways"),
        (json!({"path_suffix": "/..;"}), "", "different ways"),
        (json!({"path_suffix": "%2f"}), "", "different ways"),
        (json!({"path_suffix": "/./x"}), "", "different ways"),
        (json!({"path_prefix": "/a//"}), "", "different ways"),
        (
            json!({"path_prefix": "/a", "path_suffix": "%2Fx"}),
            "",
            "different ways",
        ),
    ] {
        let problem = problem(&matches).unwrap_or_default();
        let start = ["routes[0]", path].join(if path.is_empty() { "" } else { "." });
        let starts = problem.starts_with(&format!("{start}: "));
        assert!(starts && problem.contains(says), "{matches}: {problem}");
    }
    // A rule that exempts nothing may match any text.
    let config = config(json!([{"match": {"path_suffix": "//x"}, "cost": 2}])).to_string();
    assert!(parse(config.as_bytes()).is_ok());
}

#[test]
fn a_rule_that_contradicts_itself_or_never_matches_is_refused() {
    let text = "x".repeat(257);
    let rows = [
        (json!([{"match": {}}]), "routes[0].match", "at least one"),
        (
            json!([{"limits": "none"}]),
            "routes[0]",
            "missing field `match`",
        ),
        (
            json!([{"match": {"path": "healthz"}}]),
            "routes[0].match.path",
            "/healthz",
        ),
        (
            json!([{"match": {"path": "/a?b=c"}}]),
            "routes[0].match.path",
            "/healthz",
        ),
        (
            json!([{"match": {"path_suffix": text}}]),
            "routes[0].match.path_suffix",
            "such as",
        ),
        (
            json!([{"match": {"method": "get"}}]),
            "routes[0].match.method",
            "GET",
        ),
        (
            json!([{"match": {"header": {"name": ":path"}}}]),
            "routes[0].match.header.name",
            "header",
        ),
        (
            json!([{"match": {"header": {}}}]),
            "routes[0].match.header",
            "missing field `name`",
        ),
        (
            json!([{"match": {"paths": "/a"}}]),
            "routes[0].match.paths",
            "did you mean",
        ),
        (
            json!([{"match": {"path": "/a"}, "limits": []}]),
            "routes[0].limits",
            "write \"none\"",
        ),
        (
            json!([{"match": {"path": "/a"}, "limits": "some"}]),
            "routes[0].limits",
            "\"none\"",
        ),
        (
            json!([{"match": {"path": "/a"}, "limits": ["rpx"]}]),
            "routes[0].limits[0]",
            "rpm",
        ),
        (
            json!([{"match": {"path": "/a"}, "limits": ["rpm", "rpm"]}]),
            "routes[0].limits[1]",
            "twice",
        ),
        (
            json!([{"match": {"path": "/a"}, "limits": "none", "cost": 2}]),
            "routes[0]",
            "nothing counts",
        ),
        (
            json!([{"match": {"path": "/a"}, "limits": ["tpm"], "tokens": "none"}]),
            "routes[0].tokens",
            "contradicts",
        ),
        (
            json!([{"match": {"path": "/a"}, "tokens": "all"}]),
            "routes[0].tokens",
            "none",
        ),
        (
            json!([{"match": {"path": "/a"}, "cost": 1001}]),
            "routes[0].cost",
            "0 to 1000",
        ),
        (
            json!([{"match": {"path": "/a", "path_prefix": "/b"}}]),
            "routes[0]",
            "can never match",
        ),
        (
            json!([{"match": {"path": "/a", "path_suffix": "/b"}}]),
            "routes[0]",
            "can never match",
        ),
        (
            json!([{"match": {"path": "/a//b"}, "limits": "none"}]),
            "routes[0]",
            "different ways",
        ),
        (
            json!([{"match": {"path_prefix": "/a"}}, {"match": {"path": "/a/b"}, "cost": 2}]),
            "routes[1]",
            "routes[0] takes all",
        ),
        (
            json!([{"match": {"header": {"name": "x"}}},
            {"match": {"header": {"name": "x", "value": "1"}, "method": "GET"}}]),
            "routes[1]",
            "routes[0] takes all",
        ),
        (
            json!(vec![json!({"match": {"path": "/a"}}); 65]),
            "routes",
            "at most 64",
        ),
    ];
    for (routes, path, says) in rows {
        let refused = parse(json!({"routes": routes}).to_string().as_bytes()).unwrap_err();
        let refused = refused.to_string();
        let starts = refused.starts_with(&format!("{path}: "));
        assert!(starts && refused.contains(says), "{routes}: {refused}");
    }
    // An exempting rule leaves a path with two readings to the rule behind it.
    let kept = json!([
        {"match": {"path_prefix": "/a"}, "limits": "none"},
        {"match": {"path_prefix": "/a"}, "cost": 5},
    ]);
    config(kept);
}
