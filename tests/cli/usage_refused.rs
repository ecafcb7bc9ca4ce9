//! `tiergate usage` on logs that can't be summed: what it says of them.

use crate::usage::{NEW_YEAR, states, text_line, usage};
use crate::{file, tiergate};
use serde_json::json;

#[test]
fn a_log_without_the_states_is_told_what_to_add() {
    let envoys = "[2026-01-01T00:00:00.000Z] \"POST /v1/chat HTTP/1.1\" 200 - 10 20 5 4 \"-\" \
        \"curl/8.0\" \"1-2\" \"llm\" \"127.0.0.1:10010\"\n";
    let istios = "[2026-01-01T00:00:00.000Z] \"GET / HTTP/2\" 200 - via_upstream - \"-\" 0 0 1 1 \
        \"-\" \"at=noon tier=free\" \"1-2\" \"llm\" \"1.2.3.4:80\" inbound|| - - -\n";
    let json = "{\"path\": \"/\", \"code\": 200}\n";
    for log in [envoys, istios, json, &[envoys, json].concat()] {
        let ran = usage(log, &[]);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{log}");
        for part in [
            "%FILTER_STATE(wasm.tiergate:PLAIN)%",
            "%FILTER_STATE(wasm.tiergate.usage:PLAIN)%",
            "\"log_usage\": true",
            "\"log_account\": true",
        ] {
            assert!(ran.err.contains(part), "{log}: {}", ran.err);
        }
    }
}

#[test]
fn a_log_with_one_state_is_told_of_the_other() {
    let (state, usage_state) = states("acme", NEW_YEAR, 431);
    let ran = usage(format!("{}\n", json!({"tiergate": state})), &[]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    assert!(
        ran.err.contains("none of 1 admitted requests has a usage"),
        "{}",
        ran.err
    );
    let ran = usage(format!("GET / 200 5ms {state}\n"), &[]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    assert!(
        ran.err
            .contains("%FILTER_STATE(wasm.tiergate.usage:PLAIN)%"),
        "{}",
        ran.err
    );

    // The format is right, and the config is not.
    let ran = usage(text_line(&(state, "-".into())), &[]);
    assert_eq!((ran.code, ran.out.lines().count()), (0, 1));
    assert!(
        ran.err
            .contains("does the plugin config have \"log_usage\": true?"),
        "{}",
        ran.err
    );

    for state in ["tier=tier0 outcome=admitted", "-"] {
        let line = text_line(&(state.into(), usage_state.clone()));
        let ran = usage(&line, &[]);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""));
        assert!(ran.err.contains("\"log_account\": true"), "{}", ran.err);
        let ran = usage(&line, &["--by", "model,day", "--csv"]);
        assert_eq!(
            ran.out.lines().nth(1),
            Some("k2,2026-01-01,false,1,120,80,0,431")
        );
        // Beside others, it is a sum of its own.
        let both = text_line(&states("acme", NEW_YEAR, 1)) + &line;
        let ran = usage(both, &["--by", "account", "--csv"]);
        assert_eq!(ran.out.lines().nth(1), Some(",false,1,120,80,0,431"));
    }
}

#[test]
fn a_field_that_no_line_has_is_refused_with_those_that_lines_have() {
    let (state, usage_state) = states("acme", NEW_YEAR, 1);
    let log = format!("{}\n", json!({"f": {"state": state, "usage": usage_state}}));
    for (option, name, near) in [
        ("--state-field", "foo", ""),
        ("--state-field", "f.stat", " (did you mean \"f.state\"?)"),
        ("--usage-field", "foo", ""),
    ] {
        let ran = usage(&log, &[option, name]);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""));
        let said = format!(
            "tiergate: {option}: no line has the field {name:?}{near}: the JSON lines have \
             \"f.state\", \"f.usage\"\n"
        );
        assert_eq!(ran.err, said);
    }
    let ran = usage(
        text_line(&states("acme", NEW_YEAR, 1)),
        &["--state-field", "foo"],
    );
    assert!(ran.err.contains("no line is JSON"), "{}", ran.err);
    assert_eq!(usage("", &["--state-field", "foo"]).code, 0);
}

#[test]
fn what_can_not_be_read_says_so() {
    let log = file("fine.log", text_line(&states("acme", NEW_YEAR, 1)));
    let directory = env!("CARGO_TARGET_TMPDIR");
    let gzip = file("access.log.gz", b"\x1f\x8b\x08\x00");
    let xz = file("access.log.xz", b"\xfd7zXZ\x00\x00\x04");
    let bzip2 = file("access.log.bz2", b"BZh91AY&SY\x0a");
    for (args, said) in [
        (&["/nowhere.log"][..], "can't read /nowhere.log"),
        (&[&log, "/nowhere.log"], "can't read /nowhere.log"),
        (&[directory], "can't read"),
        (&[&gzip], "can't read"),
        (
            &[&xz],
            "access.log.xz is compressed, and not by gzip: pipe it through",
        ),
        (&[&bzip2], "bzip2 -dc"),
        (&["-", "-"], "named twice"),
        (&[&log, "--by", "tier"], "invalid value 'tier'"),
        (&[&log, "--by", "day,day"], "--by names day twice"),
        (&[&log, "--csv", "--json"], "cannot be used with"),
        (&[], "<LOG>"),
    ] {
        let ran = tiergate(&[&["usage"], args].concat());
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{args:?}");
        assert!(ran.err.contains(said), "{args:?}: {}", ran.err);
    }
}

/// Regression: only one path by two spellings was found out.
#[test]
fn a_log_that_is_there_twice_is_refused_whatever_its_names_are() {
    let text = [1, 2, 3]
        .map(|n| text_line(&states("acme", NEW_YEAR + n, n)))
        .concat();
    let log = file("twice.log", &text);
    let linked = format!("{log}.link");
    let _ = std::fs::remove_file(&linked);
    std::fs::hard_link(&log, &linked).unwrap();
    let copied = file("twice-copied.log", &text);
    // The log has grown since, in its first 4 KiB or behind them.
    let little = file(
        "little.log",
        format!("{text}{}", text_line(&states("b", NEW_YEAR, 9))),
    );
    let grown = text.repeat(60);
    let (long, longer) = (
        file("long.log", &grown),
        file("longer.log", format!("{grown}{text}")),
    );
    for (first, second, said) in [
        (&log, &linked, "is named twice"),
        (&log, &copied, "one is a copy of the other"),
        (&log, &little, "one is a copy of the other"),
        (&little, &log, "one is a copy of the other"),
        (&long, &longer, "one is a copy of the other"),
    ] {
        let ran = tiergate(&["usage", first, second]);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{second}");
        assert!(
            ran.err.contains(said) && ran.err.contains(second.as_str()),
            "{}",
            ran.err
        );
    }
    let standard = std::fs::File::open(&log).unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_tiergate"))
        .args(["usage", "-", &log])
        .stdin(standard)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
}

/// Health checks alone look the same in every log.
#[test]
fn logs_that_begin_alike_without_a_usage_are_no_copies() {
    let checks = "GET /healthz 200 0ms - -\n".repeat(400);
    let log = |name: &str, n: u64| {
        file(
            name,
            format!("{checks}{}", text_line(&states("acme", NEW_YEAR, n))),
        )
    };
    let ran = tiergate(&[
        "usage",
        "--csv",
        "--by",
        "account",
        &log("alike-1.log", 1),
        &log("alike-2.log", 2),
    ]);
    assert_eq!(
        ran.out.lines().nth(1),
        Some("acme,false,2,240,160,0,3"),
        "{}",
        ran.err
    );
}
