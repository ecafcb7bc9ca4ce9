//! An access log, as a file or on standard input, plain or packed by gzip.

use flate2::bufread::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

const BUFFER_BYTES: usize = 65_536;
/// The bytes by which a compression is known.
const START_BYTES: u64 = 10;
/// The first bytes of a gzip file (RFC 1952, 2.3): its mark, and deflate, its only method.
const GZIP: &[u8] = b"\x1f\x8b\x08";
/// The first bytes of zstd and xz.
const COMPRESSED: [&[u8]; 2] = [b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0"];

/// Opens a log, `-` for standard input, and unpacks gzip. `None` for any other compression.
///
/// # Errors
/// The log can't be read.
pub fn open_log(path: &Path) -> io::Result<Option<Box<dyn BufRead>>> {
    let mut reader: Box<dyn Read> = match path == Path::new("-") {
        true => Box::new(io::stdin().lock()),
        false => Box::new(File::open(path)?),
    };
    // A pipe may give a single byte at first.
    let mut start = Vec::new();
    reader.by_ref().take(START_BYTES).read_to_end(&mut start)?;
    let (is_gzip, is_plain) = (start.starts_with(GZIP), !is_compressed(&start));
    let whole = io::Cursor::new(start).chain(reader);
    let reader = Box::new(BufReader::with_capacity(BUFFER_BYTES, whole));
    if is_gzip {
        let unpacked = MultiGzDecoder::new(reader);
        return Ok(Some(Box::new(BufReader::with_capacity(
            BUFFER_BYTES,
            unpacked,
        ))));
    }
    Ok(is_plain.then_some(reader as Box<dyn BufRead>))
}

/// True for a file that [`open_log`] unpacks: its length is not that of its lines.
///
/// # Errors
/// The file can't be read.
pub fn is_gzip(path: &Path) -> io::Result<bool> {
    let mut start = Vec::new();
    let length = u64::try_from(GZIP.len()).unwrap_or(u64::MAX);
    File::open(path)?.take(length).read_to_end(&mut start)?;
    Ok(start == GZIP)
}

/// True for the first bytes of a log in a compression that is not unpacked here.
fn is_compressed(start: &[u8]) -> bool {
    let is_bzip2 = start.starts_with(b"BZh") && start.get(4..10) == Some(b"1AY&SY".as_slice());
    is_bzip2 || COMPRESSED.iter().any(|magic| start.starts_with(magic))
}
