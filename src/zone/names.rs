//! The table of IANA names: one line for each rule, with all names that have it.
//!
//! A config is read once in the life of a VM, so a look-up may read the whole table.

use std::iter;

const TABLE: &str = include_str!("tzdata.txt");
const MOST_NEAR: usize = 3;
const LONGEST_NAME: usize = 40;

/// Returns the release of tzdata that the table was written from.
pub fn tzdata_version() -> &'static str {
    let head = TABLE.split_once('\n').map_or("", |(line, _)| line);
    head.strip_prefix("# tzdata ").unwrap_or_default()
}

/// Returns a zone's name, and its rule; that of an irregular zone is no rule.
pub fn find(name: &str) -> Option<(&'static str, &'static str)> {
    let mut found = None;
    for_each(&mut |rule, known| {
        if known == name {
            found = Some((known, rule));
        }
    });
    found
}

/// Returns the names that look most like `text`. A city alone is enough.
pub fn near(text: &str) -> Vec<&'static str> {
    let mut near = Vec::new();
    if text.len() > LONGEST_NAME {
        return near;
    }
    let text = text.to_ascii_lowercase().replace(' ', "_");
    let mut least = text.len().div_euclid(4);
    for_each(&mut |_, name| {
        let known = name.to_ascii_lowercase();
        let city = known.rsplit_once('/').map(|(_, city)| city);
        for known in iter::once(known.as_str()).chain(city) {
            if known.len().abs_diff(text.len()) > least {
                continue;
            }
            let edits = edits(&text, known);
            if edits < least {
                near.clear();
            }
            let is_new = near.len() < MOST_NEAR && near.last() != Some(&name);
            if edits <= least && is_new {
                least = edits;
                near.push(name);
            }
        }
    });
    near
}

/// Calls `f` with each name, after its rule.
fn for_each(f: &mut dyn FnMut(&'static str, &'static str)) {
    for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
        if let Some((rule, names)) = line.split_once(' ') {
            for name in names.split(' ') {
                f(rule, name);
            }
        }
    }
}

/// All names, those of irregular zones too.
#[cfg(test)]
pub fn all() -> Vec<&'static str> {
    let mut all = Vec::new();
    for_each(&mut |_, name| all.push(name));
    all
}

/// The number of letters to insert, take off or replace (Levenshtein's distance).
fn edits(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, a) in from.bytes().enumerate() {
        let mut corner = index;
        let mut left = index.saturating_add(1);
        let mut cells = row.iter_mut();
        if let Some(first) = cells.next() {
            *first = left;
        }
        for (cell, b) in cells.zip(to.bytes()) {
            let replaced = corner.saturating_add(usize::from(a != b));
            let edited = left.min(*cell).saturating_add(1);
            corner = *cell;
            left = replaced.min(edited);
            *cell = left;
        }
    }
    row.last().copied().unwrap_or_default()
}
