//! The direction of imports in `src`: each module uses modules of lower rank only, so there is no
//! circle, and no feature knows the limiter that is put together from it. And the names of types:
//! each stands once.
#![allow(missing_docs, clippy::restriction)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The rooms of `src`, lowest first. A module may use the ones before it.
const RANKS: [&str; 30] = [
    // kernel
    "version",
    "time",
    "order",
    "zone",
    "host",
    "json",
    "http",
    "text",
    "shared",
    "claims",
    "limits",
    // features
    "tokens",
    "models",
    "tiers",
    "routes",
    "scheduler",
    "fleet",
    "ledger",
    "metrics",
    "directory",
    "overload",
    "identity",
    "reply",
    "refusals",
    "notices",
    // assembly
    "config",
    "limiter",
    "admin",
    // shell
    "plugin",
    "lib",
];

/// Modules that each room names, by `crate::` paths outside of comments.
fn imports() -> BTreeMap<String, BTreeSet<(String, String)>> {
    let mut all = BTreeMap::new();
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    visit(&src, &mut |path, text| {
        let inside = path.strip_prefix(&src).unwrap();
        if inside.starts_with("bin") {
            return;
        }
        let room = inside.iter().next().unwrap().to_str().unwrap();
        let room = room.trim_end_matches(".rs").to_owned();
        let used: &mut BTreeSet<_> = all.entry(room).or_default();
        let file = inside.display().to_string();
        used.extend(modules_in(text).map(|module| (module, file.clone())));
    });
    all
}

fn visit(dir: &Path, f: &mut impl FnMut(&Path, &str)) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            visit(&path, f);
        } else if path.extension().is_some_and(|e| e == "rs") {
            f(&path, &fs::read_to_string(&path).unwrap());
        }
    }
}

/// The first segments of the `crate::` paths in a text; a group names several.
fn modules_in(text: &str) -> impl Iterator<Item = String> {
    let code = text
        .lines()
        .map(str::trim_start)
        .filter(|line| !line.starts_with("//"));
    let code = code.collect::<Vec<_>>().join("\n");
    let name = |text: &str| {
        let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        text[..end.unwrap_or(text.len())].to_owned()
    };
    let mut found = Vec::new();
    for (at, path) in code.match_indices("crate::") {
        let rest = &code[at + path.len()..];
        assert!(
            !rest.starts_with('{'),
            "`use crate::{{` hides modules from this test: name each by itself"
        );
        found.push(name(rest));
    }
    found.into_iter()
}

/// Imports that point up or sideways, in words.
fn upward(imports: &BTreeMap<String, BTreeSet<(String, String)>>) -> Vec<String> {
    let rank = |room: &str| {
        let found = RANKS.iter().position(|r| *r == room);
        found.unwrap_or_else(|| panic!("{room} has no rank: add it to RANKS"))
    };
    let mut wrong = Vec::new();
    for (room, used) in imports {
        for (module, file) in used.iter().filter(|(module, _)| module != room) {
            if rank(module) >= rank(room) {
                wrong.push(format!(
                    "src/{file} uses {module}, which is not below {room}"
                ));
            }
        }
    }
    wrong
}

#[test]
fn imports_point_down() {
    let imports = imports();
    assert!(
        imports["limiter"]
            .iter()
            .any(|(module, _)| module == "ledger")
    );
    let wrong = upward(&imports);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_feature_that_uses_the_limiter_is_found() {
    let mut imports = imports();
    let used = modules_in("use crate::limiter::Limiter;\n// crate::admin").map(|m| (m, "x".into()));
    imports.get_mut("tokens").unwrap().extend(used);
    assert_eq!(
        upward(&imports),
        ["src/x uses limiter, which is not below tokens"]
    );
}

/// The name of the type that a line at the left margin defines.
fn type_in(line: &str) -> Option<&str> {
    let line = line
        .strip_prefix("pub(crate) ")
        .or_else(|| line.strip_prefix("pub "))
        .unwrap_or(line);
    let name = ["struct ", "enum ", "trait ", "type "]
        .iter()
        .find_map(|keyword| line.strip_prefix(keyword))?;
    name.split(|c: char| !c.is_ascii_alphanumeric()).next()
}

#[test]
fn each_type_name_stands_once() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files: BTreeMap<String, Vec<String>> = BTreeMap::new();
    visit(&src, &mut |path, text| {
        let inside = path.strip_prefix(&src).unwrap().display().to_string();
        if inside.contains("/tests/") {
            return;
        }
        for name in text.lines().filter_map(type_in) {
            files.entry(name.into()).or_default().push(inside.clone());
        }
    });
    assert!(files.len() > 200, "{} types found", files.len());
    files.retain(|_, files| files.len() > 1);
    assert!(files.is_empty(), "types of one name: {files:#?}");
}
