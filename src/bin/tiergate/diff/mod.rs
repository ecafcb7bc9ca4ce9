//! `tiergate diff`: the limits and settings that a new config changes, and what becomes of counters.

mod effects;
mod limits;
mod needed;
mod settings;
mod vm;

use crate::Ending;
use crate::check::load::{ConfigLoadError, LoadedConfig, load};
use crate::check::name;
use crate::output::Output;
use crate::standard_input;
use crate::visible::{columns, visible, visible_json};
use clap::Args;
use limits::TierChange;
use needed::ConfigStep;
use serde::Serialize;
use settings::SettingChange;
use std::io;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub struct DiffArgs {
    /// The config in force; - for standard input
    old: PathBuf,
    /// The config to come; - for standard input
    new: PathBuf,
    /// JSON in place of the list
    #[arg(long)]
    json: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    #[error(transparent)]
    Unread(ConfigLoadError),
    #[error("OLD and NEW are both standard input, which can be read once")]
    BothFromInput,
    #[error("{name} has a config with errors: see tiergate check {path}")]
    Refused { name: String, path: String },
    #[error("{old} has {olds} configs and {new} has {news}: they can't be compared one by one")]
    Unequal {
        old: String,
        olds: usize,
        new: String,
        news: usize,
    },
    #[error("can't write the changes: {0}")]
    Unwritable(#[from] io::Error),
}

/// The changes from one config to another.
#[derive(Serialize)]
struct ConfigChanges {
    tiers: Vec<TierChange>,
    settings: Vec<SettingChange>,
}

pub fn run(args: &DiffArgs) -> Result<Ending, DiffError> {
    if standard_input::is_there_twice([args.old.as_path(), &args.new]) {
        return Err(DiffError::BothFromInput);
    }
    let old = configs(&args.old)?;
    let new = configs(&args.new)?;
    if old.len() != new.len() {
        return Err(DiffError::Unequal {
            old: name(&args.old),
            olds: old.len(),
            new: name(&args.new),
            news: new.len(),
        });
    }
    let pairs = old.iter().zip(&new);
    let changes: Vec<ConfigChanges> = pairs
        .map(|(old, new)| ConfigChanges::between(old, new))
        .collect();
    let text = match args.json {
        true => {
            let json = serde_json::to_string(&changes).map_err(io::Error::from)?;
            format!("{}\n", visible_json(&json))
        }
        false => in_words(&changes),
    };
    Output::print(&text)?;
    match changes.iter().all(ConfigChanges::is_empty) {
        true => Ok(Ending::Clean),
        false => Ok(Ending::Different),
    }
}

fn configs(path: &Path) -> Result<Vec<LoadedConfig>, DiffError> {
    load(path).map_err(|error| match error {
        ConfigLoadError::Refused { .. } | ConfigLoadError::Broken { .. } => DiffError::Refused {
            name: name(path),
            path: path.display().to_string(),
        },
        other => DiffError::Unread(other),
    })
}

impl ConfigChanges {
    fn between(old: &LoadedConfig, new: &LoadedConfig) -> Self {
        let in_fleet = old.config.fleet.is_some() && new.config.fleet.is_some();
        let vm = vm::change(old, new, in_fleet).into_iter();
        let tiers = limits::changes(&old.config.tiers, &new.config.tiers);
        let step = ConfigStep {
            old: &old.written,
            new: &new.written,
            tiers_are_shown: !tiers.is_empty(),
        };
        let admin = settings::change_of_admin(&old.config, &new.config);
        let settings = settings::changes(&step, in_fleet);
        Self {
            tiers,
            settings: vm.chain(admin).chain(settings).collect(),
        }
    }

    fn is_empty(&self) -> bool {
        self.tiers.is_empty() && self.settings.is_empty()
    }
}

/// One line of the list: what changes, how, and what becomes of counters.
struct DiffRow {
    what: String,
    change: String,
    counters: Option<String>,
}

fn in_words(changes: &[ConfigChanges]) -> String {
    let mut text = String::new();
    for (i, one) in changes.iter().enumerate() {
        if changes.len() > 1 {
            text.push_str(&format!("config {}\n", i.saturating_add(1)));
        }
        if one.is_empty() {
            text.push_str("no change\n");
        }
        for tier in &one.tiers {
            text.push_str(&visible(&tier.headline()));
            text.push('\n');
            push_rows(&mut text, &tier.rows());
        }
        if !one.settings.is_empty() {
            text.push_str("settings\n");
            let rows: Vec<DiffRow> = one.settings.iter().map(SettingChange::row).collect();
            push_rows(&mut text, &rows);
        }
    }
    text
}

fn push_rows(text: &mut String, rows: &[DiffRow]) {
    let width = rows.iter().map(|row| columns(&visible(&row.what))).max();
    for row in rows {
        let what = visible(&row.what);
        let space = width.unwrap_or(0).saturating_sub(columns(&what));
        let indent = " ".repeat(space);
        text.push_str(&format!("  {what}{indent}  {}\n", visible(&row.change)));
        if let Some(counters) = &row.counters {
            let indent = " ".repeat(width.unwrap_or(0).saturating_add(6));
            text.push_str(&format!("{indent}{counters}\n"));
        }
    }
}
