//! Header maps in the host's serialised form.
//!
//! Source: proxy-wasm/spec, abi-versions/v0.2.1, "proxy_get_header_map_pairs". The form is a count,
//! the sizes of each name and value, then each name and value with a NUL behind it. Numbers are 32
//! bits, little endian.

use std::cell::Cell;
use std::mem::take;
use std::ops::Range;

/// The lines for which memory is kept from one map to the next: more are rare.
const LINES_KEPT: usize = 256;

thread_local! {
    /// The lines of an earlier map, without content. A VM is one thread.
    static SPARE: Cell<Vec<HeaderRange>> = const { Cell::new(Vec::new()) };
}

/// A header map as the host serialised it.
///
/// One pass finds all lines, in memory that the next map uses again.
#[derive(Debug, Default)]
pub struct HeaderMap {
    bytes: Vec<u8>,
    lines: Vec<HeaderRange>,
}

/// The byte ranges of a name and its value.
#[derive(Debug)]
struct HeaderRange {
    name: Range<usize>,
    value: Range<usize>,
}

impl HeaderMap {
    /// Reads a map from its serialised form; the module describes it.
    ///
    /// Reading ends early where the bytes are not a map.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        let mut lines = SPARE.try_with(Cell::take).unwrap_or_default();
        read_lines(&bytes, &mut lines);
        Self { bytes, lines }
    }

    /// Returns names and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let text = |range: &Range<usize>| self.bytes.get(range.clone()).unwrap_or_default();
        self.lines
            .iter()
            .map(move |line| (text(&line.name), text(&line.value)))
    }

    /// Returns the values of a header, in order; `name` is in lower case.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let lines = self.lines.iter();
        // Lengths rule out most names without reading the bytes.
        lines
            .filter(move |line| line.name.len() == name.len())
            .filter(move |line| self.bytes.get(line.name.clone()) == Some(name.as_bytes()))
            .map(|line| self.bytes.get(line.value.clone()).unwrap_or_default())
    }
}

impl Drop for HeaderMap {
    fn drop(&mut self) {
        let mut lines = take(&mut self.lines);
        if (1..=LINES_KEPT).contains(&lines.capacity()) {
            lines.clear();
            // It fails only at the end of the thread.
            let _ = SPARE.try_with(|spare| spare.set(lines));
        }
    }
}

fn read_lines(bytes: &[u8], lines: &mut Vec<HeaderRange>) {
    let (count, mut sizes) = take_u32(bytes).unwrap_or((0, &[]));
    let count = usize::try_from(count).unwrap_or(0);
    let mut at = count.saturating_mul(8).saturating_add(4);
    if at > bytes.len() {
        return;
    }
    lines.reserve(count);
    for _ in 0..count {
        let mut range = || {
            let (size, rest) = take_u32(sizes)?;
            sizes = rest;
            let end = at.checked_add(usize::try_from(size).ok()?)?;
            let range = at..end;
            // A NUL follows each name and value.
            at = end.checked_add(1)?;
            (end <= bytes.len()).then_some(range)
        };
        let (Some(name), Some(value)) = (range(), range()) else {
            break;
        };
        lines.push(HeaderRange { name, value });
    }
}

fn take_u32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_le_bytes(*number), rest))
}

/// Writes the form that [`HeaderMap`] reads.
pub fn serialise(headers: &[(&str, String)]) -> Vec<u8> {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes();
    let mut out = number(headers.len()).to_vec();
    for (name, value) in headers {
        out.extend_from_slice(&number(name.len()));
        out.extend_from_slice(&number(value.len()));
    }
    for text in headers.iter().flat_map(|(n, v)| [*n, v.as_str()]) {
        out.extend_from_slice(text.as_bytes());
        out.push(0);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_is_read_as_it_is_written() {
        let lines = [("retry-after", "3".to_owned()), ("x-empty", String::new())];
        let map = HeaderMap::from_bytes(serialise(&lines));
        let read: Vec<_> = map.iter().collect();
        let wanted = [(&b"retry-after"[..], &b"3"[..]), (b"x-empty", b"")];
        assert_eq!(read, wanted);
    }

    #[test]
    fn the_memory_of_lines_is_used_again_and_their_content_is_not() {
        let many: Vec<_> = (0..20).map(|n| ("x-many", n.to_string())).collect();
        let first = HeaderMap::from_bytes(serialise(&many));
        let place = first.lines.as_ptr();
        drop(first);
        let second = HeaderMap::from_bytes(serialise(&[("a", "1".to_owned())]));
        assert_eq!(second.lines.as_ptr(), place);
        assert_eq!(second.iter().collect::<Vec<_>>(), [(&b"a"[..], &b"1"[..])]);
        let beside = HeaderMap::from_bytes(serialise(&many));
        assert_eq!((beside.iter().count(), second.iter().count()), (20, 1));
    }

    #[test]
    fn a_map_of_more_lines_than_usual_is_forgotten() {
        let huge: Vec<_> = (0..=LINES_KEPT).map(|_| ("a", String::new())).collect();
        drop(HeaderMap::from_bytes(serialise(&huge)));
        let small = HeaderMap::from_bytes(serialise(&[("a", String::new())]));
        assert!(small.lines.capacity() <= LINES_KEPT);
    }

    #[test]
    fn a_cut_map_ends_early() {
        let whole = serialise(&[("a", "1".to_owned()), ("b", "2".to_owned())]);
        for end in 0..whole.len() {
            let map = HeaderMap::from_bytes(whole.get(..end).unwrap().to_vec());
            assert!(map.iter().count() <= 2);
        }
    }
}
