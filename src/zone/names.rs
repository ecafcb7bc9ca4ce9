//! The table of IANA names: one line for each rule, with all names that have it.
//!
//! A config is read once in the life of a VM, so a look-up may read the whole table.

const TABLE: &str = include_str!("tzdata.txt");
/// Stands in place of the rule of an irregular zone.
const IRREGULAR: &str = "-";
const MOST_NEAR: usize = 3;
const LONGEST_NAME: usize = 40;

/// Returns the release of tzdata that the table was written from.
pub fn tzdata_version() -> &'static str {
    let head = TABLE.split_once('\n').map_or("", |(line, _)| line);
    head.strip_prefix("# tzdata ").unwrap_or_default()
}

/// Returns the rule of a zone; that of an irregular zone is no rule.
pub fn find(name: &str) -> Option<&'static str> {
    let (rule, _) = entries().find(|(_, known)| *known == name)?;
    Some(rule)
}

/// Returns names that look like `text`, the nearest first. A city alone is enough.
pub fn near(text: &str) -> Vec<&'static str> {
    if text.len() > LONGEST_NAME {
        return Vec::new();
    }
    let text = text.to_ascii_lowercase().replace(' ', "_");
    let most_edits = text.len().div_euclid(4);
    let edits = |known: &str| {
        let could = known.len().abs_diff(text.len()) <= most_edits;
        could
            .then(|| edits(&text, known))
            .filter(|edits| *edits <= most_edits)
    };
    let mut near: Vec<_> = entries()
        .filter_map(|(_, name)| {
            let known = name.to_ascii_lowercase();
            let city = known.rsplit('/').next().and_then(edits);
            Some((edits(&known).into_iter().chain(city).min()?, name))
        })
        .collect();
    near.sort_unstable();
    let least = near.first().map_or(0, |(edits, _)| *edits);
    near.into_iter()
        .take_while(|(edits, _)| *edits == least)
        .take(MOST_NEAR)
        .map(|(_, name)| name)
        .collect()
}

/// Rules with each of their names.
fn entries() -> impl Iterator<Item = (&'static str, &'static str)> {
    TABLE
        .lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(|line| {
            let (rule, names) = line.split_once(' ').unwrap_or((IRREGULAR, ""));
            names.split(' ').map(move |name| (rule, name))
        })
        .filter(|(_, name)| !name.is_empty())
}

/// All names, those of irregular zones too.
#[cfg(test)]
pub fn all() -> impl Iterator<Item = &'static str> {
    entries().map(|(_, name)| name)
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
