//! An access log, as a file or on standard input.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

/// The first bytes of gzip, zstd and xz.
const COMPRESSED: [&[u8]; 3] = [b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0"];

/// Opens a log, `-` for standard input; `None` for a compressed one.
///
/// # Errors
/// The log can't be read.
pub fn open_log(path: &Path) -> io::Result<Option<Box<dyn BufRead>>> {
    let mut reader: Box<dyn BufRead> = match path == Path::new("-") {
        true => Box::new(io::stdin().lock()),
        false => Box::new(BufReader::with_capacity(65_536, File::open(path)?)),
    };
    let is_plain = !is_compressed(reader.fill_buf()?);
    Ok(is_plain.then_some(reader))
}

/// True for the first bytes of a compressed log.
fn is_compressed(start: &[u8]) -> bool {
    let is_bzip2 = start.starts_with(b"BZh") && start.get(4..10) == Some(b"1AY&SY".as_slice());
    is_bzip2 || COMPRESSED.iter().any(|magic| start.starts_with(magic))
}
