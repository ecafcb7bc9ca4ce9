//! `tiergate schema`: the JSON Schema of the config, for editors.

use crate::output::Output;
use std::io;
use tiergate::config::json_schema::json_schema;

#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    #[error("can't write the schema: {0}")]
    Unwritable(#[from] io::Error),
}

pub fn run() -> Result<(), SchemaError> {
    let mut text = serde_json::to_string_pretty(&json_schema()).map_err(io::Error::from)?;
    text.push('\n');
    Output::print(&text)?;
    Ok(())
}
