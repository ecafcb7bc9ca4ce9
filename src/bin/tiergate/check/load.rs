//! The sound configs of a file, for commands that work on them.

use super::find::find;
use super::{Unread, documents, hint, is_json, read};
use std::path::Path;
use tiergate::config::{self, Config};

/// A config of a file.
pub struct LoadedConfig {
    /// The fields that the file writes; a missing config has no fields.
    pub written: serde_json::Value,
    pub config: Config,
}

/// Loads the configs of a file; `None` when one has errors.
///
/// # Errors
/// The reason why the file can't be read, in words.
pub fn load(path: &Path) -> Result<Option<Vec<LoadedConfig>>, String> {
    let source = read(path).map_err(|unread| unread.to_string())?;
    let is_json = is_json(&source);
    let Ok(documents) = documents(&source, is_json) else {
        return Ok(None);
    };
    let found = find(&source, &documents, is_json);
    if found.is_empty() {
        let hint = hint(&source, &documents);
        let name = source.name;
        return Err(Unread::NoConfig { name, hint }.to_string());
    }
    let loaded = found.iter().map(|one| {
        let json = one.written()?.json();
        let config = config::parse(json.as_bytes()).ok()?;
        let written = serde_json::from_str(&json).ok()?;
        Some(LoadedConfig { written, config })
    });
    Ok(loaded.collect())
}
