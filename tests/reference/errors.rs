//! docs/reference/errors.md, from the two tables of error codes. Their rows and the comments of
//! their variants are read from the source, so that the filter carries no text of this page.

use super::{assert_page, head, row};

const HEAD: &str = "\
# Error codes

`make reference` writes this page from the code's own tables. [Replies](../replies.md) has the
forms of the bodies, and [troubleshooting](../troubleshooting.md) begins at the symptom.
";

const REFUSALS: &str = "
## Refused requests

`error.code` and `error.type` of a refused request. Access logs have the code as `code=`, or as
`limit=` for a limit, and `%RESPONSE_CODE_DETAILS%` has it behind `tiergate_`. A gRPC client gets
the gRPC status. A code of *the limit* is its name in the config, such as `rpm`.

";

const ADMIN: &str = "
## The admin API

`error.code` of the [admin API](../directory.md#the-admin-api).

";

#[test]
fn the_error_codes_are_those_of_the_tables() {
    let mut page = HEAD.to_owned() + REFUSALS;
    page.push_str(&head(&["status", "gRPC", "type", "code", "meaning"]));
    for (meaning, cells) in rows(include_str!("../../src/reply/code.rs")) {
        let [status, grpc, kind, code] = cells.as_slice() else {
            panic!("{cells:?}");
        };
        page.push_str(&row(&[status, grpc, kind, code, &meaning]));
    }
    page.push_str(ADMIN);
    page.push_str(&head(&["status", "type", "code", "meaning"]));
    for (meaning, cells) in rows(include_str!("../../src/admin/mod.rs")) {
        let [status, kind, code] = cells.as_slice() else {
            panic!("{cells:?}");
        };
        page.push_str(&row(&[status, kind, code, &meaning]));
    }
    assert_page("errors.md", &page);
}

/// The rows of a table in a source, each with the comment of its variant.
fn rows(source: &str) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    for line in source.lines() {
        let Some((variant, values)) = line.trim().split_once(" => (") else {
            continue;
        };
        let variant = variant.trim_start_matches("Self::");
        let variant = variant.split('(').next().unwrap();
        let cells = values.trim_end_matches("),").split(", ").map(|value| {
            match (value, value.strip_prefix('"')) {
                ("limit.as_str()", _) => "*the limit*".to_owned(),
                (_, Some(text)) => format!("`{}`", text.trim_end_matches('"')),
                (number, None) => number.parse::<u32>().unwrap().to_string(),
            }
        });
        found.push((comment(source, variant), cells.collect()));
    }
    // A table whose form changed would show as rows that are missing.
    let matched = source.matches(" => (").count();
    assert!(matched > 5 && found.len() == matched, "{found:?}");
    found
}

/// The comment of a variant.
fn comment(source: &str, variant: &str) -> String {
    let mut comment = String::new();
    let mut in_attribute = false;
    for line in source.lines().map(str::trim) {
        let name = line.split(['(', ',', ' ', '{']).next().unwrap();
        if name == variant && !comment.is_empty() {
            return comment;
        }
        in_attribute = (in_attribute || line.starts_with("#[")) && !line.ends_with(']');
        match line.strip_prefix("/// ") {
            Some(text) if comment.is_empty() => comment = text.to_owned(),
            Some(text) => comment = format!("{comment} {text}"),
            None if in_attribute || line.ends_with(']') => {}
            None => comment.clear(),
        }
    }
    panic!("{variant} has no comment");
}
