//! Header maps in the host's serialised form.
//!
//! Source: proxy-wasm/spec, abi-versions/v0.2.1, "proxy_get_header_map_pairs". The form is a count,
//! the sizes of each name and value, then each name and value with a NUL behind it. Numbers are 32
//! bits, little endian.

use std::ops::Range;

/// A header map as the host serialised it.
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
        let lines = lines(&bytes);
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

fn lines(bytes: &[u8]) -> Vec<HeaderRange> {
    let (count, mut sizes) = take_u32(bytes).unwrap_or((0, &[]));
    let count = usize::try_from(count).unwrap_or(0);
    let mut at = count.saturating_mul(8).saturating_add(4);
    if at > bytes.len() {
        return Vec::new();
    }
    let mut lines = Vec::with_capacity(count);
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
    lines
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
    fn a_cut_map_ends_early() {
        let whole = serialise(&[("a", "1".to_owned()), ("b", "2".to_owned())]);
        for end in 0..whole.len() {
            let map = HeaderMap::from_bytes(whole.get(..end).unwrap().to_vec());
            assert!(map.iter().count() <= 2);
        }
    }
}
