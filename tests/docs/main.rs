//! The JSON examples of README.md and docs/: each is what a reader would copy.
//!
//! A block that is marked `json` is a whole config, and the config parser must accept it. A block
//! of any other JSON has a second word, such as `json reply`, and must be JSON. JSON that stands
//! in a block of another kind, at the start of a line or as the body of a curl, must be JSON too.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects
)]

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// A code block, and where its fence is: `docs/load.md:28`.
struct Block {
    place: String,
    info: String,
    text: String,
}

/// The table of docs/operations.md has each metric, and no other.
#[test]
fn the_docs_list_each_metric() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("docs/operations.md")).unwrap();
    let row = |line: &str| {
        let (name, rest) = line.strip_prefix("| `tiergate_")?.split_once("` | ")?;
        Some(format!("tiergate_{name}: {}", rest.split(" | ").next()?))
    };
    let mut listed: Vec<_> = text.lines().filter_map(row).collect();
    let rows = tiergate::metrics::names::TABLE.map(|metric| {
        let labels = ["namespace"].iter().chain(metric.labels);
        let labels: Vec<_> = labels.map(|label| label.trim_matches(['[', ']'])).collect();
        format!("{}: {}", metric.family.full_name(), labels.join(", "))
    });
    let mut rows = rows.to_vec();
    listed.sort();
    rows.sort();
    assert_eq!(listed, rows);
}

/// The site has each page: SUMMARY.md, its table of contents, names them all.
#[test]
fn the_summary_names_each_page() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let summary = fs::read_to_string(root.join("docs/SUMMARY.md")).unwrap();
    for path in documents() {
        let page = match path.strip_prefix(root.join("docs")) {
            Ok(page) if page == Path::new("SUMMARY.md") => continue,
            Ok(page) => page.to_string_lossy().into_owned(),
            Err(_) => "../README.md".to_owned(),
        };
        let listed = summary.matches(&format!("]({page})")).count();
        assert_eq!(listed, 1, "docs/SUMMARY.md lists {page} {listed} times");
    }
}

#[test]
fn each_json_example_is_what_it_is_shown_as() {
    let (mut configs, mut others, mut wrong) = (0, 0, Vec::new());
    for block in documents().iter().flat_map(|path| blocks(path)) {
        let problem = match block.info.as_str() {
            "json" => {
                configs += 1;
                config_problem(&block.text)
            }
            info if info.starts_with("json ") => {
                others += 1;
                json_problem(&block.text)
            }
            _ => values_within(&block.text).into_iter().find_map(|text| {
                others += 1;
                first_value_problem(text)
            }),
        };
        wrong.extend(problem.map(|problem| format!("{}: {problem}", block.place)));
    }
    assert!(wrong.is_empty(), "wrong examples:\n{}", wrong.join("\n"));
    assert!(configs > 0 && others > 0, "the examples were not found");
}

#[test]
fn a_wrong_example_would_be_seen() {
    let read = |text: &str| blocks_of("x.md", text);
    let block = |text: &str| read(text).pop().expect("a block");

    let config = block("text\n\n```json\n{\"mode\": \"enforced\"}\n```\n");
    assert_eq!(
        (config.place.as_str(), config.info.as_str()),
        ("x.md:3", "json")
    );
    assert!(config_problem(&config.text).is_some_and(|problem| problem.contains("mode")));
    assert!(config_problem("{} {}").is_some());

    let reply = block("- an item\n\n  ```json reply\n  {\"a\": 1,}\n  ```\n");
    assert_eq!(reply.info, "json reply");
    assert!(json_problem(&reply.text).is_some());

    let console = block("```\n$ curl -d '{\"a\" 1}' x\n{\"b\": 2\n}\nend\n```\n");
    let seen: Vec<_> = values_within(&console.text)
        .into_iter()
        .map(first_value_problem)
        .collect();
    assert!(matches!(seen.as_slice(), [Some(_), None]), "{seen:?}");
}

fn config_problem(text: &str) -> Option<String> {
    tiergate::config::parse(text.as_bytes())
        .err()
        .map(|error| error.to_string())
}

fn json_problem(text: &str) -> Option<String> {
    serde_json::from_str::<Value>(text)
        .err()
        .map(|error| error.to_string())
}

/// What is wrong with the JSON value that `text` begins with; what follows it does not matter.
fn first_value_problem(text: &str) -> Option<String> {
    match serde_json::Deserializer::from_str(text)
        .into_iter::<Value>()
        .next()
    {
        Some(Ok(_)) => None,
        Some(Err(error)) => Some(error.to_string()),
        None => Some("no JSON value".to_owned()),
    }
}

/// Where JSON begins in a block of another kind: the rest of the block from each such place.
fn values_within(block: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = block;
    while let Some((line, after)) = rest.split_once('\n') {
        if line.starts_with('{') {
            found.push(rest);
        }
        found.extend(line.split("-d '").skip(1));
        rest = after;
    }
    found
}

/// README.md and the documents under docs/.
fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = vec![root.join("README.md")];
    let mut folders = vec![root.join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            match path.extension() {
                _ if path.is_dir() => folders.push(path),
                Some(extension) if extension == "md" => found.push(path),
                _ => {}
            }
        }
    }
    found
}

fn blocks(path: &Path) -> Vec<Block> {
    let text = fs::read_to_string(path).expect("a document");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    blocks_of(
        &path.strip_prefix(root).unwrap_or(path).to_string_lossy(),
        &text,
    )
}

fn blocks_of(name: &str, document: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (event, range) in Parser::new(document).into_offset_iter() {
        match (event, &mut open) {
            (Event::Start(Tag::CodeBlock(kind)), _) => {
                let line = document
                    .bytes()
                    .take(range.start)
                    .filter(|byte| *byte == b'\n')
                    .count();
                open = Some(Block {
                    place: format!("{name}:{}", line + 1),
                    info: match kind {
                        CodeBlockKind::Fenced(info) => info.trim().to_owned(),
                        CodeBlockKind::Indented => String::new(),
                    },
                    text: String::new(),
                });
            }
            (Event::Text(text), Some(block)) => block.text.push_str(&text),
            (Event::End(TagEnd::CodeBlock), _) => blocks.extend(open.take()),
            _ => {}
        }
    }
    blocks
}
