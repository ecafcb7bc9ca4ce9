//! `tiergate accounts fold -o DIR`: pages below the filter's bound, and terms beside the recharge.

use crate::{file, tiergate};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use tiergate::directory::feed::page::{PAGE_BYTES, PageItem, PageReader};

/// The accounts of all pages from the first on, read as the filter reads them, and the pages' files.
fn read(dir: &Path) -> (Vec<String>, BTreeSet<String>) {
    let (mut ids, mut files, mut next) = (
        Vec::new(),
        BTreeSet::new(),
        Some("accounts.json".to_owned()),
    );
    while let Some(name) = next.take() {
        let body = fs::read(dir.join(&name)).unwrap();
        assert!(body.len() <= PAGE_BYTES, "{name}: {}", body.len());
        assert!(files.insert(name), "leads back");
        let mut page = PageReader::new(body);
        next = loop {
            match page.item().unwrap() {
                PageItem::Account(id, _) => ids.push(id),
                PageItem::Removed(id) => panic!("{id}"),
                PageItem::End(next) => break next,
            }
        };
        next = next.map(|path| path.strip_prefix("/feeds/").unwrap().to_owned());
    }
    (ids, files)
}

fn events(accounts: usize, amount: u32) -> String {
    let lines = (0..accounts).map(|i| format!("e{i},account-{i:06},{amount},cash\n"));
    format!("id,account,amount,kind\n{}", lines.collect::<String>())
}

#[test]
fn pages_are_below_the_bound_and_the_first_changes_with_any() {
    let dir = tempfile_dir("fold-pages");
    let (out, at) = (dir.to_str().unwrap(), "--served-at=/feeds/");
    let fold = |events: &str| {
        let events = file("fold-pages.csv", events.as_bytes());
        let ran = tiergate(&["accounts", "fold", &events, "-o", out, at]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert!(
            ran.err
                .contains(r#""path" of the feed: "/feeds/accounts.json""#),
            "{}",
            ran.err
        );
        fs::read(dir.join("accounts.json")).unwrap()
    };
    let first = fold(&events(60_000, 20));
    let (ids, files) = read(&dir);
    assert_eq!((ids.len(), files.len() > 2), (60_000, true));
    assert_eq!(
        fold(&events(60_000, 20)),
        first,
        "the same events give the same feed"
    );
    // One account on the last page: the first page, and so its ETag, changes.
    let mut changed = events(60_000, 20);
    changed.push_str("late,account-059999,1,cash\n");
    assert_ne!(fold(&changed), first);
    let kept: BTreeSet<String> = names(&dir);
    assert!(
        files.is_subset(&kept),
        "an import of the old feed can go on"
    );
    changed.push_str("later,account-059999,1,cash\n");
    fold(&changed);
    let (ids, now) = read(&dir);
    assert_eq!(ids.len(), 60_000);
    let kept = names(&dir);
    assert!(
        now.is_subset(&kept) && kept.is_disjoint(&(&files - &now)),
        "{kept:?}"
    );
}

fn names(dir: &Path) -> BTreeSet<String> {
    let files = fs::read_dir(dir).unwrap();
    files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect()
}

fn tempfile_dir(name: &str) -> std::path::PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    dir
}

#[test]
fn terms_go_into_the_feed_as_they_are() {
    let events = file("fold-terms.csv", events(2, 20).as_bytes());
    let terms = file(
        "fold-terms.jsonl",
        br#"{"id": "account-000000", "limits": {"rpm": 7}, "disabled": true}
{"id": "key", "account": "account-000001"}

{"id": "of-a-tier", "tier": "tier3", "since": "2026-01-31"}
{"id": "nothing-paid", "exempt": true}
"#,
    );
    let fold = |terms: &str| {
        let events = &events;
        tiergate(&["accounts", "fold", events, "--terms", terms])
    };
    let ran = fold(&terms);
    let feed: Value = serde_json::from_str(&ran.out).unwrap();
    let wanted = serde_json::json!({"accounts": [
        {"id": "account-000000", "recharge": "20.00", "limits": {"rpm": 7}, "disabled": true},
        {"id": "account-000001", "recharge": "20.00"},
        {"id": "key", "account": "account-000001"},
        {"id": "nothing-paid", "recharge": "0.00", "exempt": true},
        {"id": "of-a-tier", "tier": "tier3", "since": "2026-01-31"},
    ]});
    assert_eq!(feed, wanted);
    for (line, says) in [
        (r#"{"id": "a", "limits": {"rpm": 0}}"#, "limits.rpm"),
        (
            r#"{"id": "a", "recharge": 5}"#,
            "recharge: it comes from the events",
        ),
        (r#"{"limits": {"rpm": 1}}"#, "id: missing"),
        (r#"{"id": "a", "tier": "t", "account": "b"}"#, "exactly one"),
        (r#"{"id": "a", "off": true}"#, "unknown field"),
        ("{", "EOF"),
    ] {
        let ran = fold(&file(
            "fold-wrong.jsonl",
            format!("{{\"id\": \"ok\"}}\n{line}\n").as_bytes(),
        ));
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{line}");
        assert!(
            ran.err.contains("line 2: ") && ran.err.contains(says),
            "{}",
            ran.err
        );
    }
}
