//! `tiergate simulate`: what a config would have refused, by logs whose answer is known.

mod hostile;
mod logs;
mod orders;
mod replayed;

use crate::{Ran, file, tiergate, tiergate_reads};
use serde_json::{Value, json};

/// 2026-01-01T00:00:00Z, in milliseconds.
const NEW_YEAR: u64 = 1_767_225_600_000;

/// A config with one tier more than its limits name: "free" with these limits, "paid" without any.
fn config(name: &str, limits: Value, more: Value) -> String {
    let all = |limits: Value| {
        let mut all = json!({"concurrency": "unlimited", "rpm": "unlimited", "tpm": "unlimited",
            "tpd": "unlimited"});
        for (name, limit) in limits.as_object().unwrap() {
            all[name] = limit.clone();
        }
        all
    };
    let mut config = json!({"tiers": [
        {"name": "free", "limits": all(limits)},
        {"name": "paid", "limits": all(json!({}))},
    ]});
    for (name, value) in more.as_object().unwrap() {
        config[name] = value.clone();
    }
    file(&format!("simulate-{name}.json"), config.to_string())
}

/// A moment after New Year, as Envoy prints it.
fn start(ms: u64) -> String {
    let (minutes, rest) = (ms / 60_000, ms % 60_000);
    format!(
        "2026-01-01T00:{minutes:02}:{:02}.{:03}Z",
        rest / 1000,
        rest % 1000
    )
}

/// A line of our text format: an admitted request that lasts 10 ms and uses its reserve.
fn ours(account: &str, tier: &str, ms: u64) -> String {
    let at = NEW_YEAR + ms;
    format!(
        "{} POST /v1/chat/completions 200 9 DownstreamEnd tier={tier} outcome=admitted \
         account={account} at={at} reserved=1000 input=600 cached=0 cache_write=0 output=400 \
         estimated=false\n",
        start(ms)
    )
}

/// A line of Envoy's default format.
fn envoy(authority: &str, ms: u64) -> String {
    format!(
        "[{}] \"POST /v1/chat/completions HTTP/1.1\" 200 - 400 678 9 8 \"-\" \"a client/8.0\" \"id\" \
         \"{authority}\" \"10.0.0.1:80\"\n",
        start(ms)
    )
}

fn simulate(log: impl AsRef<[u8]>, options: &[&str]) -> Ran {
    tiergate_reads(&[&["simulate", "-"], options].concat(), log.as_ref())
}

/// The same of a file, whose length is known.
fn simulate_file(name: &str, log: &str, options: &[&str]) -> Ran {
    let log = file(name, log);
    tiergate(&[&["simulate", &log], options].concat())
}

fn as_json(log: impl AsRef<[u8]>, options: &[&str]) -> Value {
    let ran = simulate(log, &[options, &["--json"]].concat());
    assert_eq!(ran.code, 0, "{}", ran.err);
    serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{}", ran.out))
}

/// Three requests in a second, of which two fit, and one of another account.
fn four() -> String {
    [
        ours("acme", "free", 0),
        ours("acme", "free", 400),
        ours("acme", "free", 800),
        ours("bolt", "paid", 900),
    ]
    .concat()
}

#[test]
fn tables_say_who_would_be_refused_when_and_why() {
    let config = config("table", json!({"rpm": 2}), json!({}));
    let ran = simulate(four(), &["--config", &config]);
    let text = "\
from 2026-01-01T00:00:00.000Z to 2026-01-01T00:00:00.900Z

TIER  MODE     ACCOUNTS  OF THEM REFUSED  REQUESTS  ADMITTED  WAITED  REFUSED  SHADOWED
free  enforce         1                1         3         2       0        1         0
paid  enforce         1                0         1         1       0        0         0

TIER  ACCOUNT  MODEL  LIMIT  MODE     REQUESTS  REFUSED  SIZE  REMAINING  RETRY AFTER  FIRST                     LAST
free  acme     -      rpm    enforce         3        1     2          0     59.601 s  2026-01-01T00:00:00.800Z  2026-01-01T00:00:00.800Z

of 4 requests with a decision in the log: refused then and now 0, then alone 0, now alone 1

What the log does not say:
- windows, days and months begin empty with the log
- clients that are refused try again, or not: the log has what they did then
- tokens of a stream beyond its reserve count at its end, and not while it runs
";
    let err = "tiergate: lines: 4, replayed: 4, broken: 0\n";
    assert_eq!(
        (ran.code, ran.out.as_str(), ran.err.as_str()),
        (0, text, err)
    );
}

#[test]
fn json_has_the_same_facts() {
    let config = config("json", json!({"rpm": 2}), json!({}));
    let said = as_json(four(), &["--config", &config, "--differences"]);
    let tier = |tier: &str, refused: u64, requests: u64| {
        json!({
            "tier": tier, "mode": "enforce", "accounts": 1, "accounts_refused": refused,
            "requests": requests, "admitted": requests - refused, "waited": 0, "refused": refused,
            "shadowed": 0,
        })
    };
    assert_eq!(
        said["tiers"],
        json!([tier("free", 1, 3), tier("paid", 0, 1)])
    );
    let at = "2026-01-01T00:00:00.800Z";
    let refusal = json!({
        "tier": "free", "account": "acme", "model": null, "limit": "rpm", "mode": "enforce",
        "requests": 3, "refused": 1, "first": at, "last": at, "size": 2, "remaining": 0,
        "retry_after_ms": 59_601,
    });
    assert_eq!(said["refusals"], json!([refusal]));
    let difference = json!({
        "file": "-", "line": 3, "at": NEW_YEAR + 800, "tier": "free", "account": "acme",
        "model": null, "logged": "admitted", "logged_limit": null, "simulated": "limited",
        "simulated_limit": "rpm", "retry_after_ms": 59_601,
    });
    assert_eq!(said["differences"], json!([difference]));
    let time = json!({
        "begins": "2026-01-01T00:00:00.000Z", "step_ms": 1000, "columns": ["admitted", "rpm"],
        "steps": [[3, 1]],
    });
    assert_eq!(said["over_time"], time);
    let compared = json!({
        "decided": 4, "refused_now_alone": 1, "refused_then_alone": 0, "refused_then_and_now": 0,
    });
    assert_eq!(said["compared"], compared);
    assert_eq!(
        (&said["lines"]["read"], &said["lines"]["broken"]),
        (&4.into(), &0.into())
    );
}

#[test]
fn a_concurrent_request_lives_from_its_start_to_its_end() {
    let config = config("leases", json!({"concurrency": 1}), json!({}));
    // Start and duration are cut to milliseconds, so a request of 9 ms ends after 10.
    for (second, refused) in [(9, 1), (10, 0)] {
        let log = [ours("acme", "free", 0), ours("acme", "free", second)].concat();
        let said = as_json(log, &["--config", &config]);
        assert_eq!(said["tiers"][0]["refused"], refused, "{second}");
    }
}

#[test]
fn a_tier_with_a_wait_holds_a_request_until_a_lease_is_there() {
    let tier = |wait: Value| {
        json!({"tiers": [{"name": "free", "wait": wait, "limits": {"concurrency": 1,
            "rpm": "unlimited", "tpm": "unlimited", "tpd": "unlimited"}}]})
    };
    let log: String = (0..4).map(|ms| ours("acme", "free", ms)).collect();
    // Each request holds the lease for 10 ms: with 15 ms of patience, the second is served.
    for (wait, waited, refused) in [("15ms", 1, 2), ("1s", 3, 0)] {
        let config = file("simulate-wait.json", tier(wait.into()).to_string());
        let said = as_json(&log, &["--config", &config]);
        let tier = &said["tiers"][0];
        assert_eq!(
            (&tier["waited"], &tier["refused"]),
            (&waited.into(), &refused.into()),
            "{said}"
        );
    }
}

#[test]
fn tokens_are_those_that_were_reserved_until_the_end_and_then_those_of_the_log() {
    // At the second request, the first runs still and holds its reserve of 1,000; at the third it has
    // ended, with 60 tokens.
    let config = config("tokens", json!({"tpm": 1500}), json!({}));
    let used = |line: String| {
        line.replace("input=600", "input=20")
            .replace("output=400", "output=40")
    };
    let log = [
        used(ours("acme", "free", 0)),
        used(ours("acme", "free", 5)),
        used(ours("acme", "free", 20)),
    ]
    .concat();
    let said = as_json(log, &["--config", &config, "--differences"]);
    let lines: Vec<_> = said["differences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["line"])
        .collect();
    assert_eq!(lines, [2]);
    assert_eq!(said["differences"][0]["simulated_limit"], "tpm");
}

#[test]
fn shadow_tiers_are_counted_apart() {
    let shadow = json!({"mode": "shadow"});
    let config = config("shadow", json!({"rpm": 2}), shadow);
    let said = as_json(four(), &["--config", &config]);
    let tier = &said["tiers"][0];
    assert_eq!(
        (&tier["refused"], &tier["shadowed"]),
        (&0.into(), &1.into())
    );
    assert_eq!(said["refusals"][0]["mode"], "shadow");
}

#[test]
fn families_and_routes_count_as_in_the_filter() {
    let more = json!({
        "models": [{"name": "k2", "match": ["kimi-k2*"]}],
        "model": [{"header": "x-model"}],
        "routes": [
            {"match": {"path_prefix": "/free"}, "limits": "none"},
            {"match": {"header": {"name": "x-batch"}}, "cost": 0},
        ],
        "tiers": [{"name": "free", "limits": {"concurrency": "unlimited", "rpm": "unlimited",
            "tpm": "unlimited", "tpd": "unlimited"}, "models": {"k2": {"rpm": 1}}}],
    });
    let config = config("families", json!({}), more);
    let of = |model: &str, ms| {
        ours("acme", "free", ms).replace("account=", &format!("model={model} account="))
    };
    let log = [
        of("k2", 0),
        of("kimi-k2-turbo", 1),
        of("other", 2),
        ours("acme", "free", 3).replace("/v1/chat", "/free"),
    ]
    .concat();
    let said = as_json(log, &["--config", &config]);
    let refusals = said["refusals"].as_array().unwrap();
    assert_eq!(refusals.len(), 1, "{said}");
    assert_eq!(
        (&refusals[0]["model"], &refusals[0]["limit"]),
        (&"k2".into(), &"k2/rpm".into())
    );
    assert_eq!(said["lines"]["exempt"], 1);
    let routes = said["notes"]
        .as_array()
        .unwrap()
        .iter()
        .find(|note| note["about"] == "routes");
    assert!(
        routes.unwrap()["says"]
            .as_str()
            .unwrap()
            .contains("ask for x-batch"),
        "{said}"
    );
}

#[test]
fn a_picture_has_a_colour_for_each_limit() {
    let config = config("picture", json!({"rpm": 2}), json!({}));
    let svg = file("simulate.svg", "");
    let ran = simulate(four(), &["--config", &config, "--svg", &svg]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let drawn = std::fs::read_to_string(&svg).unwrap();
    assert!(
        drawn.starts_with("<svg ") && drawn.trim_end().ends_with("</svg>"),
        "{drawn}"
    );
    for word in [
        "admitted",
        "over rpm",
        "requests a second",
        "2026-01-01T00:00:00.000Z",
    ] {
        assert!(drawn.contains(word), "{word}");
    }
    let ran = simulate(
        four(),
        &["--config", &config, "--svg", "/nowhere/at/all.svg"],
    );
    assert_eq!(ran.code, 2);
    assert_eq!(
        (ran.out.as_str(), ran.err.as_str()),
        (
            "",
            "tiergate: can't draw /nowhere/at/all.svg: No such file or directory (os error 2). Name a \
             file with --svg whose folder exists and can be written\n"
        )
    );
    if cfg!(target_os = "linux") {
        let ran = simulate(four(), &["--config", &config, "--svg", "/dev/full"]);
        assert_eq!(ran.code, 2);
        let err = "tiergate: lines: 4, replayed: 4, broken: 0\ntiergate: can't draw /dev/full: ";
        assert!(ran.err.starts_with(err), "{}", ran.err);
    }
    // A run without a result changes no file.
    let new = format!("{}/simulate-new.svg", env!("CARGO_TARGET_TMPDIR"));
    for path in [&new, &svg] {
        assert_eq!(simulate("", &["--svg", path]).code, 2);
    }
    assert!(!std::path::Path::new(&new).exists());
    assert_eq!(std::fs::read_to_string(&svg).unwrap(), drawn);
    let log = file("simulate-as-svg.log", four());
    for (log, path) in [(&log, &log), (&log, &config)] {
        let ran = tiergate(&["simulate", log, "--config", &config, "--svg", path]);
        assert!(
            ran.err.contains("the picture would replace it"),
            "{}",
            ran.err
        );
    }
}
