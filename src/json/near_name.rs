//! "did you mean": the known name nearest to an unknown one.

/// The maximum length of a name that is compared.
const LONGEST: usize = 64;
/// The beginnings of serde's messages for an unknown field and for an unknown word.
const UNKNOWN: [&str; 2] = ["unknown field `", "unknown variant `"];

/// Adds the nearest known name to serde's message for an unknown field or word.
pub(super) fn suggested(message: String) -> String {
    let found = UNKNOWN.into_iter().find_map(|unknown| {
        let rest = message.strip_prefix(unknown)?;
        let (name, known) = rest.split_once("`, expected ")?;
        let names = known.split('`').skip(1).step_by(2);
        Some((unknown, name, known, nearest(name, names)?))
    });
    match found {
        Some((unknown, name, known, near)) => {
            format!("{unknown}{name}` (did you mean `{near}`?), expected {known}")
        }
        None => message,
    }
}

/// Returns the known name nearest to `name`, if its distance is less than half of `name`.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > LONGEST {
        return None;
    }
    let names = known.into_iter();
    let distances = names.map(|known| (distance(name, known), known));
    let (distance, known) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance.saturating_mul(2) < name.chars().count()).then_some(known)
}

/// Returns the number of characters to insert, remove, replace or exchange with the next between two
/// names: the optimal string alignment distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    let mut last = None;
    for (i, x) in a.chars().enumerate() {
        let mut next = vec![i.saturating_add(1)];
        for (j, y) in b.iter().enumerate() {
            let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX);
            let replaced = at(&row, j).saturating_add(usize::from(x != *y));
            let removed = at(&row, j.saturating_add(1)).saturating_add(1);
            let inserted = at(&next, j).saturating_add(1);
            let mut least = replaced.min(removed).min(inserted);
            let y_before = j.checked_sub(1).and_then(|j| Some((j, b.get(j)?)));
            if let Some((j, y_before)) = y_before
                && last == Some(*y)
                && x == *y_before
            {
                least = least.min(at(&before, j).saturating_add(1));
            }
            next.push(least);
        }
        before = std::mem::replace(&mut row, next);
        last = Some(x);
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_counts_single_characters() {
        for (a, b, n) in [
            ("", "", 0),
            ("", "abc", 3),
            ("tiers", "tiers", 0),
            ("teirs", "tiers", 1),
            ("nmae", "name", 1),
            ("namespce", "namespace", 1),
            ("tier", "tiers", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!((distance(a, b), distance(b, a)), (n, n), "{a} {b}");
        }
    }

    #[test]
    fn only_near_names_are_suggested() {
        let known = "expected one of `rpm`, `tiers`";
        for (name, near) in [
            ("teirs", Some("tiers")),
            ("rpn", Some("rpm")),
            ("mode", None),
            ("", None),
        ] {
            let message = format!("unknown field `{name}`, {known}");
            let wanted = match near {
                Some(near) => format!("unknown field `{name}` (did you mean `{near}`?), {known}"),
                None => message.clone(),
            };
            let of_word = |text: &str| text.replace("field", "variant");
            assert_eq!(suggested(of_word(&message)), of_word(&wanted));
            assert_eq!(suggested(message), wanted);
        }
        let other = "missing field `name`".to_owned();
        assert_eq!(suggested(other.clone()), other);
    }
}
