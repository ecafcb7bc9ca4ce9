//! The messages as JSON.

use super::*;
use serde_json::json;

#[test]
fn a_request_is_this_json() {
    let text = json!({
        "v": 1, "ns": "tiergate", "edge": "00000000000000ff", "name": "gw-7",
        "meters": ["requests/60000/-", "leases/-/-"], "store": "", "after_loss": "strict",
        "items": [{
            "a": "000102030405060708090a0b0c0d0e0f", "i": "0000000000000007", "n": 3, "g": 1,
            "m": [[0, 60, 5, [10, 250, 12], [], [4], 9, 1, 8]],
            "l": [[1, 4, 2, 1, 1, 0, 3]],
        }],
    });
    let request: StepRequest = serde_json::from_value(text.clone()).unwrap();
    assert_eq!(request.after_loss, Some(LossRule::Strict));
    let item = &request.items[0];
    assert_eq!(
        (item.seq, item.meters[0].spent.clone()),
        (3, vec![10, 250, 12])
    );
    assert_eq!((item.meters[0].need, item.meters[0].want), (1, 8));
    assert_eq!((item.leases[0].in_process, item.leases[0].waiting), (2, 3));
    assert_eq!(serde_json::to_value(&request).unwrap(), text);
}

#[test]
fn a_heartbeat_needs_few_fields() {
    let text = r#"{"v": 1, "ns": "a", "edge": "00000000000000ff", "later": 1}"#;
    let request: StepRequest = serde_json::from_str(text).unwrap();
    assert!(request.items.is_empty() && request.after_loss.is_none());
}

#[test]
fn an_answer_is_this_json() {
    let ids = json!({"a": "000102030405060708090a0b0c0d0e0f", "i": "0000000000000007", "n": 3});
    let mut done = ids.clone();
    let rest = json!({
        "ok": false, "stale": false, "gen": 1, "m": [[0, 0, 60, 0, 1000]], "l": [[1, 0, 4]],
        "tight": true, "t": 7, "c": 8, "e": 2, "no": {"meter": 0, "wait_ms": 1000, "by": "used"},
    });
    let rest = rest.as_object().unwrap().clone();
    done.as_object_mut().unwrap().extend(rest);
    let mut failed = ids;
    failed["fault"] = json!("a foreign key");
    let text = json!({
        "v": 1, "store": "ab", "rank": 0, "edges": 2, "fenced": false, "items": [done, failed],
    });
    let answer: StepAnswer = serde_json::from_value(text.clone()).unwrap();
    assert_eq!(answer.items[0].meters[0].ends_ms, 1_000);
    assert_eq!(answer.items[0].no.unwrap().by, StepObstacle::Used);
    assert_eq!(answer.items[1].fault.as_deref(), Some("a foreign key"));
    assert_eq!(serde_json::to_value(&answer).unwrap(), text);
}

#[test]
fn negative_numbers_and_other_ids_are_no_messages() {
    let item = |m: &str| {
        format!(
            r#"{{"a": "000102030405060708090a0b0c0d0e0f", "i": "0000000000000007", "n": 1, "m": [{m}]}}"#
        )
    };
    let read = |m: &str| serde_json::from_str::<StepItem>(&item(m));
    assert!(read("[0, 1, 0, [], [], [], 0, 1, 0]").is_ok());
    assert!(read("[0, 1, -1, [], [], [], 0, 1, 0]").is_err());
    assert!(read("[0, 1, 0, [], [], [], 0, 1]").is_err());
    assert!(read("[0, 1, 0.5, [], [], [], 0, 1, 0]").is_err());
}
