//! `tiergate preset`: a config with the dimensions that a vendor of an LLM API publishes.

use crate::output::Output;
use clap::{Args, ValueEnum};
use std::io;

/// The text that stands for a number which the operator fills in.
const FILL: &str = "\"FILL\"";

#[derive(Args)]
pub struct PresetArgs {
    /// The vendor whose limits the config has
    vendor: Vendor,
}

#[derive(Clone, Copy, ValueEnum)]
enum Vendor {
    /// Kimi: concurrency, RPM, TPM and TPD; the published table
    Kimi,
    /// OpenAI: RPM, RPD and TPM
    Openai,
    /// Anthropic: RPM, input tokens without those of the cache, and output tokens per minute
    Anthropic,
    /// Gemini: RPM, RPD of the Pacific day, and input tokens per minute
    Gemini,
    /// Groq: RPM, RPD, TPM and TPD, without tokens of the cache
    Groq,
}

impl Vendor {
    const fn config(self) -> &'static str {
        match self {
            Self::Kimi => include_str!("preset/kimi.json"),
            Self::Openai => include_str!("preset/openai.json"),
            Self::Anthropic => include_str!("preset/anthropic.json"),
            Self::Gemini => include_str!("preset/gemini.json"),
            Self::Groq => include_str!("preset/groq.json"),
        }
    }
}

/// Prints the vendor's config, and says how many numbers it lacks.
pub fn run(args: &PresetArgs) -> io::Result<()> {
    let config = args.vendor.config();
    Output::print(config)?;
    let missing = config.matches(FILL).count();
    if missing > 0 {
        crate::say(&format!(
            "{missing} numbers are {FILL}: replace them with yours; the filter refuses the config until then"
        ));
    }
    Ok(())
}
