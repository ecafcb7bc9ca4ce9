//! Lines that are no events: each is reported with its number and reason, and costs nothing else.

use crate::tiergate_reads;

fn fold(input: &[u8], format: &str, flag: &str) -> crate::Ran {
    let args = [
        "accounts",
        "fold",
        "-",
        "--format",
        format,
        "--on-bad-line",
        flag,
    ];
    tiergate_reads(&args, input)
}

/// Each line between two good ones: left out and reported as line `number`, or stopped at.
fn each_is_bad(format: &str, before: &str, good: [&str; 2], number: u64, bad: &[(&[u8], &str)]) {
    for (line, said) in bad {
        let mut input = format!("{before}{}\n", good[0]).into_bytes();
        input.extend_from_slice(line);
        input.extend_from_slice(format!("\n{}\n", good[1]).as_bytes());
        let report = format!("tiergate: line {number}: ");

        let ran = fold(&input, format, "skip");
        assert_eq!(ran.code, 1, "{said}: {}", ran.err);
        let feed = "{\"accounts\":[\n{\"id\":\"a\",\"recharge\":\"3.00\"}\n]}\n";
        assert_eq!(ran.out, feed, "{said}");
        let (first, summary) = ran.err.split_once('\n').unwrap();
        assert!(
            first.starts_with(&report) && first.contains(said),
            "{said}: {first}"
        );
        assert!(first.len() < 300, "a line of any length is shown in short");
        assert!(
            summary.contains("events: 2, duplicates: 0, bad lines: 1, accounts: 1,"),
            "{summary}"
        );

        let ran = fold(&input, format, "stop");
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{said}");
        assert!(
            ran.err.starts_with(&report) && ran.err.contains(said),
            "{}",
            ran.err
        );
        assert!(
            ran.err.contains("stopped there, and wrote nothing"),
            "{}",
            ran.err
        );
    }
}

fn megabyte(before: &str, after: &str) -> Vec<u8> {
    format!("{before}{}{after}", "x".repeat(1 << 20)).into_bytes()
}

#[test]
fn in_csv() {
    let long_account = megabyte("9,", ",1,cash");
    let long_id = megabyte("\"", "\",a,1,cash");
    let longish = format!("9,a,{},cash", "9".repeat(60_000));
    let bad: &[(&[u8], &str)] = &[
        (b"9,a,1e3,cash", "amount \"1e3\" is not an amount in USD"),
        (b"9,a,-0.001,cash", "amount \"-0.001\""),
        (b"9,a,NaN,cash", "amount \"NaN\""),
        ("9,a,٣,cash".as_bytes(), "amount \"٣\""),
        (b"9,a,,cash", "amount \"\""),
        (b"9,a, 1,cash", "amount \" 1\""),
        (b"9,a,$1,cash", "amount \"$1\""),
        (b"9,a,--1,cash", "amount \"--1\""),
        (b"9,a,\"1,000\",cash", "amount \"1,000\""),
        (b"9,a,1000000000000.01,cash", "amount \"1000000000000.01\""),
        (
            b"9,a,1000000000000,cash",
            "cumulative recharge would be over",
        ),
        (longish.as_bytes(), "amount \"999"),
        (b"9,a,1,Cash", "kind \"Cash\" is neither cash nor voucher"),
        (b"9,a,1,", "kind \"\""),
        (b"9,a,1", "3 fields, and the header line has 4"),
        (b"9,a,1,cash,", "5 fields, and the header line has 4"),
        (b"9", "1 fields, and"),
        (b",a,1,cash", "id is empty"),
        (b"9,,1,cash", "account is empty"),
        (b"9, a,1,cash", "account \" a\" begins or ends with a space"),
        (b"9,a\xFF,1,cash", "not UTF-8 at byte 4"),
        (
            b"9,\"a,1,cash",
            "a quoted field that does not end on its line",
        ),
        (b"9,\"a\"b,1,cash", "a quote within a field"),
        (b"9,a\x00\x1b[31m\"b,1,cash", "a quote within a field"),
        (&long_account, "longer than 65536 bytes"),
        (&long_id, "longer than 65536 bytes"),
    ];
    let header = "id,account,amount,kind\n";
    each_is_bad("csv", header, ["1,a,1,cash", "2,a,2,cash"], 3, bad);
}

#[test]
fn in_json_lines() {
    let long = megabyte(
        "{\"id\":\"",
        "\",\"account\":\"a\",\"amount\":1,\"kind\":\"cash\"}",
    );
    let deep = format!("{{\"id\":{}", "[".repeat(60_000));
    let bad: &[(&[u8], &str)] = &[
        (
            br#"{"id":"9","account":"a","amount":1e3,"kind":"cash"}"#,
            "amount \"1e3\"",
        ),
        (
            br#"{"id":"9","account":"a","amount":"1e3","kind":"cash"}"#,
            "amount \"1e3\"",
        ),
        (
            br#"{"id":"9","account":"a","amount":-0.001,"kind":"cash"}"#,
            "amount \"-0.001\"",
        ),
        (
            br#"{"id":"9","account":"a","amount":NaN,"kind":"cash"}"#,
            "not an event: ",
        ),
        (
            br#"{"id":"9","account":"a","amount":"NaN","kind":"cash"}"#,
            "amount \"NaN\"",
        ),
        (
            r#"{"id":"9","account":"a","amount":"٣","kind":"cash"}"#.as_bytes(),
            "amount \"٣\"",
        ),
        (
            br#"{"id":"9","account":"a","amount":null,"kind":"cash"}"#,
            "amount \"null\"",
        ),
        (
            br#"{"id":"9","account":"a","amount":[1],"kind":"cash"}"#,
            "amount \"[1]\"",
        ),
        (
            br#"{"id":"9","account":"a","kind":"cash"}"#,
            "missing field `amount`",
        ),
        (
            br#"{"id":"9","account":"a","amount":1,"amount":2,"kind":"cash"}"#,
            "duplicate field `amount`",
        ),
        (
            br#"{"id":"9","account":"a","amount":1,"ki"#,
            "not an event: EOF",
        ),
        (
            br#"{"id":"9","account":"a","amount":1,"kind":"cash"} x"#,
            "trailing characters",
        ),
        (
            br#"{"id":"9","account":"a","amount":1,"kind":"gift"}"#,
            "kind \"gift\"",
        ),
        (
            br#"{"id":"9","account":"a","amount":1,"kind":1}"#,
            "kind \"1\"",
        ),
        (
            br#"{"id":"9","account":null,"amount":1,"kind":"cash"}"#,
            "account \"null\" is neither text",
        ),
        (
            br#"{"id":1.5,"account":"a","amount":1,"kind":"cash"}"#,
            "id \"1.5\" is neither text",
        ),
        (
            br#"{"id":"","account":"a","amount":1,"kind":"cash"}"#,
            "id is empty",
        ),
        (
            br#"{"id":"9","account":"\ud800","amount":1,"kind":"cash"}"#,
            "not an event: ",
        ),
        (br#"["9","a","1","cash"]"#, "not an object such as"),
        (b"\"9\"", "not an object"),
        (b"{\"id\":\"\xFF\"}", "not UTF-8 at byte 8"),
        (&long, "longer than 65536 bytes"),
        (deep.as_bytes(), "not an event: "),
    ];
    let good =
        |id: u8| format!("{{\"id\":\"{id}\",\"account\":\"a\",\"amount\":{id},\"kind\":\"cash\"}}");
    each_is_bad("jsonl", "", [&good(1), &good(2)], 2, bad);
}

#[test]
fn what_is_not_an_export_at_all_ends() {
    let mut noise = vec![0_u8; 3 << 20];
    fastrand::Rng::with_seed(6).fill(&mut noise);
    assert_eq!(fold(&noise, "csv", "skip").code, 2, "no header line");
    let ran = fold(&noise, "jsonl", "skip");
    assert_eq!((ran.code, ran.out.as_str()), (1, "{\"accounts\":[\n]}\n"));
    let zeros = vec![0_u8; 3 << 20];
    let ran = fold(&zeros, "jsonl", "skip");
    assert!(
        ran.err
            .starts_with("tiergate: line 1: longer than 65536 bytes"),
        "{}",
        ran.err
    );
}

#[test]
fn an_event_of_a_bad_line_is_not_remembered() {
    let input = b"id,account,amount,kind\n1,a,1e3,cash\n1,a,5,cash\n";
    let ran = fold(input, "csv", "skip");
    assert!(
        ran.out.contains(r#"{"id":"a","recharge":"5.00"}"#),
        "{}",
        ran.out
    );
}
