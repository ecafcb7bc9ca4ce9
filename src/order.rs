//! The one sort of lists off the request path.
//!
//! The standard library's sort is compiled anew for each type, into 5 to 20 KB of the module. So here a
//! list of places is sorted, whatever the items are. For the same reason, such code fills a `BTreeMap`
//! by `extend`, which inserts, and not by `collect`, which sorts first.

use std::cmp::Ordering;

/// Returns the items in the order of a key; those of equal keys stay in their order.
pub fn in_order<T, K: Ord>(items: Vec<T>, key: impl Fn(&T) -> K) -> Vec<T> {
    let keys: Vec<K> = items.iter().map(key).collect();
    let places = places(keys.len(), &|a, b| keys.get(a).cmp(&keys.get(b)));
    let mut items: Vec<_> = items.into_iter().map(Some).collect();
    let taken = places.into_iter().map(|place| items.get_mut(place)?.take());
    taken.flatten().collect()
}

/// Returns the places of a list, sorted.
#[inline(never)]
fn places(length: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut places: Vec<_> = (0..length).collect();
    places.sort_unstable_by(|a, b| compare(*a, *b).then(a.cmp(b)));
    places
}

#[cfg(test)]
mod tests {
    use super::in_order;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_the_stable_sort(keys in prop::collection::vec(0..20_u8, 0..200)) {
            let items: Vec<_> = keys.into_iter().enumerate().collect();
            let mut sorted = items.clone();
            sorted.sort_by_key(|(_, key)| *key);
            prop_assert_eq!(in_order(items, |(_, key)| *key), sorted);
        }
    }
}
