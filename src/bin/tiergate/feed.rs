//! Writes the feed for the filter's directory: one file, or a directory of pages.
//!
//! A file is replaced atomically: a web server that serves it meanwhile has the old one. Pages have the
//! digest of the whole feed in their names, and the first page names the second. So the first page
//! changes with every page, as the feed's ETag has to, and no import mixes two feeds.

use crate::terms::{TermsById, has_basis};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use tiergate::directory::feed::page::PAGE_BYTES;
use tiergate::tiers::Cents;

/// The name of the first page.
pub const FIRST_PAGE: &str = "accounts.json";
/// The bytes of a page that its end needs.
const END_BYTES: usize = 2_048;

/// The accounts of a feed, one JSON object each, in the byte order of their ids.
pub struct Feed(Vec<String>);

impl Feed {
    /// Lays the accounts out, with the terms that a file gives.
    pub fn new(recharges: &[(&str, Cents)], terms: &TermsById) -> io::Result<Self> {
        let mut all: BTreeMap<&str, Option<Cents>> =
            terms.keys().map(|id| (id.as_str(), None)).collect();
        all.extend(recharges.iter().map(|(id, paid)| (*id, Some(*paid))));
        let lines = all.into_iter();
        let lines = lines.map(|(id, paid)| account(id, paid, terms));
        Ok(Self(lines.collect::<io::Result<_>>()?))
    }

    /// Writes the feed to the file at `path`, to the directory at `path`, or to standard output.
    /// Returns the number of pages. `served` is the path of the directory on the web server.
    pub fn write(&self, path: Option<&Path>, served: &str) -> io::Result<usize> {
        let Some(path) = path else {
            let mut out = BufWriter::new(io::stdout().lock());
            return page(&mut out, &self.0, None).map(|()| 1);
        };
        if path.is_dir() {
            return self.write_pages(path, served);
        }
        // A pipe or a device has no old content to keep.
        if fs::metadata(path).is_ok_and(|m| !m.is_file()) {
            let mut out = BufWriter::new(OpenOptions::new().write(true).open(path)?);
            return page(&mut out, &self.0, None).map(|()| 1);
        }
        // The target of a symbolic link is replaced, not the link.
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        replace(&target, &self.0, None).map(|()| 1)
    }

    /// Writes the pages, the first one last, and removes those of older feeds but the one before.
    fn write_pages(&self, dir: &Path, served: &str) -> io::Result<usize> {
        let pages = self.pages();
        let version = self.version();
        let name = |number: usize| match number {
            0 => FIRST_PAGE.to_owned(),
            number => format!("accounts-{version}-{}.json", number.saturating_add(1)),
        };
        let before = named_in(&dir.join(FIRST_PAGE));
        for (number, accounts) in pages.iter().enumerate().rev() {
            let next = number.saturating_add(1);
            let next = (next < pages.len()).then(|| format!("{served}/{}", name(next)));
            replace(&dir.join(name(number)), accounts, next.as_deref())?;
        }
        remove_old(dir, &[Some(version), before])?;
        Ok(pages.len())
    }

    /// Splits the accounts into pages below the filter's bound.
    fn pages(&self) -> Vec<&[String]> {
        let most = PAGE_BYTES.saturating_sub(END_BYTES);
        let mut pages = Vec::new();
        let (mut from, mut bytes) = (0, 0_usize);
        for (at, account) in self.0.iter().enumerate() {
            let size = account.len().saturating_add(2);
            if at > from && bytes.saturating_add(size) > most {
                pages.push(self.0.get(from..at).unwrap_or_default());
                (from, bytes) = (at, 0);
            }
            bytes = bytes.saturating_add(size);
        }
        pages.push(self.0.get(from..).unwrap_or_default());
        pages
    }

    /// Returns the start of the feed's digest, in hex.
    fn version(&self) -> String {
        let mut digest = Sha256::new();
        for account in &self.0 {
            digest.update(account);
            digest.update(b"\n");
        }
        let digest = digest.finalize();
        let bytes = digest.iter().take(6);
        bytes.map(|byte| format!("{byte:02x}")).collect()
    }
}

fn account(id: &str, paid: Option<Cents>, terms: &TermsById) -> io::Result<String> {
    let terms = terms.get(id);
    let mut out = format!("{{\"id\":{}", serde_json::to_string(id)?);
    if !terms.is_some_and(has_basis) {
        let paid = paid.unwrap_or_default().decimal();
        out.push_str(&format!(",\"recharge\":\"{paid}\""));
    }
    for (name, value) in terms.into_iter().flatten() {
        out.push_str(&format!(",{}:{value}", serde_json::to_string(name)?));
    }
    out.push('}');
    Ok(out)
}

/// Writes one account in each line, so that two feeds can be compared by line.
fn page(out: &mut impl Write, accounts: &[String], next: Option<&str>) -> io::Result<()> {
    out.write_all(b"{\"accounts\":[")?;
    let mut before = "\n";
    for account in accounts {
        write!(out, "{before}{account}")?;
        before = ",\n";
    }
    out.write_all(b"\n]")?;
    if let Some(next) = next {
        write!(out, ",\"next\":{}", serde_json::to_string(next)?)?;
    }
    out.write_all(b"}\n")?;
    out.flush()
}

fn replace(target: &Path, accounts: &[String], next: Option<&str>) -> io::Result<()> {
    let beside = beside(target);
    let written = replace_by(target, &beside, accounts, next);
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

fn replace_by(
    target: &Path,
    beside: &Path,
    accounts: &[String],
    next: Option<&str>,
) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(beside)?);
    page(&mut out, accounts, next)?;
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    // Account ids may be private, so the file keeps its permissions.
    if let Ok(old) = fs::metadata(target) {
        file.set_permissions(old.permissions())?;
    }
    file.sync_all()?;
    fs::rename(beside, target)
}

fn beside(target: &Path) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    PathBuf::from(name)
}

/// Returns the version in a page's name.
fn version_of(name: &str) -> Option<&str> {
    let (version, number) = name
        .strip_prefix("accounts-")?
        .strip_suffix(".json")?
        .split_once('-')?;
    let is_ours = version.len() == 12 && number.bytes().all(|b| b.is_ascii_digit());
    is_ours.then_some(version)
}

/// Returns the version of the feed whose first page is at `path`.
fn named_in(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let (_, next) = text.rsplit_once("\"next\":\"")?;
    let name = next.split('"').next()?.rsplit('/').next()?;
    version_of(name).map(str::to_owned)
}

fn remove_old(dir: &Path, kept: &[Option<String>]) -> io::Result<()> {
    for file in fs::read_dir(dir)? {
        let file = file?;
        let name = file.file_name();
        let version = name.to_str().and_then(version_of);
        if version.is_some_and(|version| !kept.iter().flatten().any(|kept| kept == version)) {
            fs::remove_file(file.path())?;
        }
    }
    Ok(())
}
