//! The parts of `make release` that take no build: notes, checksums, and the workflow that publishes.

use crate::tools::root;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tiergate::http::sha256::sha256_hex;

const CHANGELOG: &str = "\
# Changelog

## Unreleased

### Added

- Soon ([cli.md](cli.md#top), [site](https://example.com), [here](#unreleased)).

## 1.10.0 - 2026-11-25

### Fixed

- Ten.

## 1.1.0

- One.
";

/// An empty directory of that name.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn script(name: &str, arguments: &[&str]) -> Output {
    let script = root().join(".ci/release").join(name);
    let mut command = Command::new("sh");
    command.arg(script).args(arguments).output().unwrap()
}

/// The notes of a version, and what is said beside them.
fn notes(changelog: &Path, version: &str, base: &str) -> Result<(String, String), String> {
    let ran = script("notes.sh", &[changelog.to_str().unwrap(), version, base]);
    let [out, err] = [ran.stdout, ran.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    if ran.status.success() {
        Ok((out, err))
    } else {
        Err(err)
    }
}

#[test]
fn the_notes_are_the_section_of_the_version() {
    let changelog = folder("release_notes").join("CHANGELOG.md");
    fs::write(&changelog, CHANGELOG).unwrap();
    let of = |version| notes(&changelog, version, "").unwrap();
    assert_eq!(of("1.10.0").0, "### Fixed\n\n- Ten.\n");
    assert_eq!(of("1.1.0"), ("- One.\n".to_owned(), String::new()));
    let (unreleased, said) = of("2.0.0");
    assert!(
        unreleased.starts_with("### Added\n\n- Soon"),
        "{unreleased}"
    );
    assert!(said.contains("no section 2.0.0"), "{said}");
    fs::write(&changelog, "# Changelog\n").unwrap();
    let problem = notes(&changelog, "2.0.0", "").unwrap_err();
    assert!(
        problem.contains("neither 2.0.0 nor Unreleased"),
        "{problem}"
    );
}

#[test]
fn links_of_the_notes_lead_to_the_docs_of_the_version() {
    let changelog = folder("release_links").join("CHANGELOG.md");
    fs::write(&changelog, CHANGELOG).unwrap();
    let (text, _) = notes(&changelog, "Unreleased", "https://git.example/v2/docs/").unwrap();
    assert_eq!(
        text.lines().last().unwrap(),
        "- Soon ([cli.md](https://git.example/v2/docs/cli.md#top), [site](https://example.com), \
         [here](#unreleased))."
    );
}

#[test]
fn the_changelog_has_notes_of_this_version() {
    let changelog = root().join("docs/CHANGELOG.md");
    let (text, said) = notes(&changelog, env!("CARGO_PKG_VERSION"), "").unwrap();
    let is_released = !env!("CARGO_PKG_VERSION").ends_with("-dev");
    assert_eq!(said.is_empty(), is_released, "{said}");
    assert!(!text.contains("\n## ") && !text.starts_with('\n'), "{text}");
}

#[test]
fn the_checksums_are_those_of_all_other_files_by_name() {
    let folder = folder("release_sums");
    let files = ["tiergate.wasm", "LICENSE", "tiergate-linux-arm64"];
    for name in files {
        fs::write(folder.join(name), name).unwrap();
    }
    let sums = || {
        assert!(
            script("sums.sh", &[folder.to_str().unwrap()])
                .status
                .success()
        );
        fs::read_to_string(folder.join("SHA256SUMS")).unwrap()
    };
    let line = |name: &str| format!("{}  {name}\n", sha256_hex(name.as_bytes()));
    let expected = ["LICENSE", "tiergate-linux-arm64", "tiergate.wasm"].map(line);
    assert_eq!(sums(), expected.concat());
    assert_eq!(sums(), expected.concat(), "SHA256SUMS is none of them");
}

fn workflow() -> (String, Value) {
    let text = fs::read_to_string(root().join(".github/workflows/release.yml")).unwrap();
    let parsed = serde_norway::from_str(&text).unwrap();
    (text, parsed)
}

/// A tag of an action can be moved to other code, which would then have the right to publish.
#[test]
fn the_workflow_names_each_action_by_its_commit() {
    let (text, _) = workflow();
    let uses: Vec<_> = text
        .lines()
        .filter_map(|line| line.split_once("uses: "))
        .map(|(_, action)| action)
        .collect();
    assert!(!uses.is_empty());
    for action in uses {
        let (name, version) = action.split_once(" # v").expect(action);
        let commit = name.rsplit('@').next().unwrap();
        let is_commit = commit.len() == 40 && commit.bytes().all(|b| b.is_ascii_hexdigit());
        assert!(is_commit, "{action}");
        assert_eq!(version.split('.').count(), 3, "{action}");
    }
}

#[test]
fn the_job_that_builds_may_not_publish() {
    let (_, workflow) = workflow();
    assert_eq!(workflow["permissions"], serde_json::json!({}));
    let build = &workflow["jobs"]["build"];
    assert_eq!(
        build["permissions"],
        serde_json::json!({"contents": "read"})
    );
    let steps = build["steps"].to_string();
    assert!(steps.contains("make release"), "{steps}");
    assert!(steps.contains("RELEASE_STRICT"), "{steps}");
    assert_eq!(workflow["jobs"]["publish"]["needs"], "build");
}
