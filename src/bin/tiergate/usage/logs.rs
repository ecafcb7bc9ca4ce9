//! The logs of one run, before they are read: each must be another one, or its tokens would be summed
//! twice.

use super::log_line::AmbiguousField;
use crate::log_file::{is_gzip, open_log};
use std::collections::HashSet;
use std::fs::{self, File, Metadata};
use std::io::{self, BufRead, Read as _};
use std::path::{Path, PathBuf};

/// The bytes at the beginning of a log by which a copy of it is known.
const HEAD_BYTES: u64 = 4_096;
/// The beginning of a usage, with the millisecond of its request: two logs never have the same ones.
const USAGE_MOMENT: &[u8] = b"at=1";
/// The forms of other moments with milliseconds, where `0` stands for a digit: RFC 3339, and the time
/// since 1970 in seconds and in milliseconds.
const MOMENTS: [&[u8]; 3] = [
    b"0000-00-00T00:00:00.000",
    b"0000000000.000",
    b"0000000000000",
];

/// The use that a command makes of logs, for its errors.
#[derive(Clone, Copy, Debug)]
pub enum LogUse {
    /// Sums their tokens.
    Sum,
    /// Replays their requests.
    Replay,
}

impl LogUse {
    const fn command(self) -> &'static str {
        match self {
            Self::Sum => "usage",
            Self::Replay => "simulate",
        }
    }

    const fn twice(self) -> &'static str {
        match self {
            Self::Sum => "its tokens would be summed twice",
            Self::Replay => "its requests would count twice",
        }
    }
}

/// The reason why a log can't be used.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("can't read {path}: {source}")]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{path} is named twice: {}", by.twice())]
    NamedTwice { path: PathBuf, by: LogUse },
    #[error(
        "{second} begins as {first} does, so one is a copy of the other: {}. Name one of them, the \
         longer one",
        by.twice()
    )]
    Copied {
        first: PathBuf,
        second: PathBuf,
        by: LogUse,
    },
    #[error(
        "{path} is compressed, and not by gzip: pipe it through zstd -dc, xz -dc or bzip2 -dc, into \
         tiergate {} -",
        by.command()
    )]
    Compressed { path: PathBuf, by: LogUse },
    #[error("{path}, line {line}: {source}")]
    Ambiguous {
        path: PathBuf,
        line: u64,
        source: AmbiguousField,
    },
}

impl LogError {
    /// Returns what makes an error of reading a log.
    pub fn unreadable(path: &Path) -> impl Fn(io::Error) -> Self + Copy {
        move |source| Self::Unreadable {
            path: path.to_owned(),
            source,
        }
    }

    /// Returns what makes an error of a line of a log.
    pub fn ambiguous(path: &Path, line: u64) -> impl Fn(AmbiguousField) -> Self {
        move |source| Self::Ambiguous {
            path: path.to_owned(),
            line,
            source,
        }
    }
}

/// Opens a log, `-` for standard input, and unpacks gzip.
///
/// # Errors
/// [`LogError`] for a log that can't be read, or has another compression.
pub fn open(path: &Path, by: LogUse) -> Result<Box<dyn BufRead>, LogError> {
    let opened = open_log(path).map_err(LogError::unreadable(path))?;
    opened.ok_or_else(|| LogError::Compressed {
        path: path.to_owned(),
        by,
    })
}

/// Checks that no log is there twice. Returns the length of their lines in bytes, or `None` where one
/// is a stream or packed.
///
/// # Errors
/// [`LogError`] for a log that can't be read, is another one by another name, or is its copy.
pub fn check(logs: &[PathBuf], by: LogUse) -> Result<Option<u64>, LogError> {
    let (mut length, mut seen) = (Some(0_u64), HashSet::new());
    let mut heads: Vec<(Vec<u8>, &PathBuf)> = Vec::new();
    for path in logs {
        let unreadable = LogError::unreadable(path);
        let metadata = metadata(path).map_err(unreadable)?;
        if !seen.insert(identity(path, &metadata).map_err(unreadable)?) {
            return Err(LogError::NamedTwice {
                path: path.clone(),
                by,
            });
        }
        let is_file = path != Path::new("-") && metadata.is_file();
        if is_file {
            let head = head(path).map_err(unreadable)?;
            let mut before = heads.iter();
            if let Some((_, first)) = before.find(|(other, _)| begin_alike(&head, other)) {
                return Err(LogError::Copied {
                    first: first.to_path_buf(),
                    second: path.clone(),
                    by,
                });
            }
            heads.push((head, path));
        }
        let is_plain = is_file && !is_gzip(path).map_err(unreadable)?;
        let bytes = is_plain.then_some(metadata.len());
        length = length.zip(bytes).map(|(sum, n)| sum.saturating_add(n));
    }
    Ok(length)
}

fn metadata(path: &Path) -> io::Result<Metadata> {
    match path == Path::new("-") {
        true => of_stdin(),
        false => fs::metadata(path),
    }
}

/// The identity of a log, whatever its names are: links to a file have its device and inode.
#[cfg(unix)]
#[allow(clippy::unnecessary_wraps, reason = "other systems look for the path")]
fn identity(_: &Path, metadata: &Metadata) -> io::Result<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    Ok((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identity(path: &Path, _: &Metadata) -> io::Result<PathBuf> {
    match path == Path::new("-") {
        true => Ok(path.to_owned()),
        false => fs::canonicalize(path),
    }
}

#[cfg(unix)]
fn of_stdin() -> io::Result<Metadata> {
    use std::os::fd::AsFd as _;
    let owned = io::stdin().as_fd().try_clone_to_owned()?;
    File::from(owned).metadata()
}

#[cfg(not(unix))]
fn of_stdin() -> io::Result<Metadata> {
    fs::metadata(".")
}

/// True for two names of one file; `-` is standard input.
pub fn is_same_file(one: &Path, other: &Path) -> bool {
    let id = |path: &Path| identity(path, &metadata(path).ok()?).ok();
    id(one)
        .zip(id(other))
        .is_some_and(|(one, other)| one == other)
}

/// True when one head is the beginning of the other, and has a moment with milliseconds.
fn begin_alike(one: &[u8], other: &[u8]) -> bool {
    let both = one.iter().zip(other);
    let length = both.take_while(|(a, b)| a == b).count();
    let alike = one.get(..length).unwrap_or_default();
    length == one.len().min(other.len()) && has_moment(alike)
}

fn has_moment(head: &[u8]) -> bool {
    let mut usages = head.windows(USAGE_MOMENT.len());
    usages.any(|bytes| bytes == USAGE_MOMENT)
        || MOMENTS.iter().any(|form| {
            let mut texts = head.windows(form.len());
            texts.any(|text| has_form(text, form))
        })
}

fn has_form(text: &[u8], form: &[u8]) -> bool {
    let mut bytes = text.iter().zip(form);
    bytes.all(|(byte, form)| match form {
        b'0' => byte.is_ascii_digit(),
        _ => byte == form,
    })
}

fn head(path: &Path) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    if let Some(reader) = open_log(path)? {
        reader.take(HEAD_BYTES).read_to_end(&mut head)?;
    }
    Ok(head)
}
