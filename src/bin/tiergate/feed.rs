//! Writes the feed file for the filter's directory.
//!
//! A file is replaced atomically: a web server that serves it meanwhile has the old one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use tiergate::tiers::Cents;

/// Writes the accounts to the file at `path`, or to standard output.
pub fn write(accounts: &[(&str, Cents)], path: Option<&Path>) -> io::Result<()> {
    let Some(path) = path else {
        return write_to(BufWriter::new(io::stdout().lock()), accounts).map(drop);
    };
    // A pipe or a device has no old content to keep.
    if fs::metadata(path).is_ok_and(|m| !m.is_file()) {
        let file = OpenOptions::new().write(true).open(path)?;
        return write_to(BufWriter::new(file), accounts).map(drop);
    }
    // The target of a symbolic link is replaced, not the link.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let beside = beside(&target);
    let written = replace(&target, &beside, accounts);
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

fn replace(target: &Path, beside: &Path, accounts: &[(&str, Cents)]) -> io::Result<()> {
    let file = write_to(BufWriter::new(File::create(beside)?), accounts)?;
    let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
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

/// Writes one account in each line, so that two feeds can be compared by line.
fn write_to<W: Write>(mut out: W, accounts: &[(&str, Cents)]) -> io::Result<W> {
    out.write_all(b"{\"accounts\":[")?;
    let mut before = "\n";
    for (id, recharge) in accounts {
        write!(out, "{before}{{\"id\":")?;
        serde_json::to_writer(&mut out, id)?;
        write!(out, ",\"recharge\":\"{}\"}}", recharge.decimal())?;
        before = ",\n";
    }
    out.write_all(b"\n]}\n")?;
    out.flush()?;
    Ok(out)
}
