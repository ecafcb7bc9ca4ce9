//! The sound configs of a file, for commands that work on them.

use super::body::Body;
use super::find::{FoundConfig, find};
use super::source::SourceFile;
use super::vm::VmIdentity;
use super::{Unread, documents, hint, is_json, read};
use std::path::Path;
use tiergate::config::{self, Config};
use tiergate::json::Invalid;

/// The reason why a file has no sound config.
#[derive(Debug, thiserror::Error)]
pub enum ConfigLoadError {
    #[error(transparent)]
    Unread(#[from] Unread),
    #[error("{name}: config at {source}")]
    Refused { name: String, source: Invalid },
    #[error("{name}: config at $: {problem}")]
    Broken { name: String, problem: String },
    #[error("{name} has {count} configs: write the one that is meant into a file of its own")]
    Several { name: String, count: usize },
}

/// A config of a file.
pub struct LoadedConfig {
    /// The fields that the file writes; a missing config has no fields.
    pub written: serde_json::Value,
    pub config: Config,
    /// The VM of the filter, where the file says it.
    pub vm: Option<VmIdentity>,
}

/// Loads the configs of a file, `-` for standard input.
///
/// # Errors
/// [`ConfigLoadError`] for a file that can't be read, or has a config with errors.
pub fn load(path: &Path) -> Result<Vec<LoadedConfig>, ConfigLoadError> {
    let source = read(path)?;
    let is_json = is_json(&source);
    let documents = match documents(&source, is_json) {
        Ok(documents) => documents,
        Err(finding) => return Err(broken(source, is_json, finding.problem)),
    };
    let found = find(&source, &documents, is_json);
    if found.is_empty() {
        let hint = hint(&source, &documents);
        let name = source.name;
        return Err(Unread::NoConfig { name, hint }.into());
    }
    found.iter().map(|one| sound(one, &source.name)).collect()
}

/// Loads the one config of a file, `-` for standard input.
///
/// # Errors
/// Those of [`load`], and [`ConfigLoadError::Several`].
pub fn load_one(path: &Path) -> Result<Config, ConfigLoadError> {
    let mut all = load(path)?;
    match (all.pop(), all.len()) {
        (Some(one), 0) => Ok(one.config),
        (_, more) => Err(ConfigLoadError::Several {
            name: super::name(path),
            count: more.saturating_add(1),
        }),
    }
}

/// A text that can't be read on. The filter's own parser knows the place in JSON.
fn broken(source: SourceFile, is_json: bool, problem: String) -> ConfigLoadError {
    let name = source.name;
    let refused = config::parse(source.text.as_bytes()).err();
    match refused.filter(|_| is_json) {
        Some(source) => ConfigLoadError::Refused { name, source },
        None => ConfigLoadError::Broken { name, problem },
    }
}

fn sound(found: &FoundConfig<'_>, name: &str) -> Result<LoadedConfig, ConfigLoadError> {
    let broken = |problem: &str| ConfigLoadError::Broken {
        name: name.to_owned(),
        problem: problem.to_owned(),
    };
    let written = found.written().ok_or_else(|| match &found.body {
        Body::NotJson(error) => broken(&format!("not JSON: {}", error.problem)),
        Body::Misplaced(misplaced) => broken(&misplaced.problem),
        Body::Tree(_) | Body::Json(_) | Body::Absent => broken("nothing to read"),
    })?;
    let json = written.json();
    let config = config::parse(json.as_bytes()).map_err(|source| ConfigLoadError::Refused {
        name: name.to_owned(),
        source,
    })?;
    let written = serde_json::from_str(&json).map_err(|error| broken(&error.to_string()))?;
    Ok(LoadedConfig {
        written,
        config,
        vm: found.vm.clone(),
    })
}
