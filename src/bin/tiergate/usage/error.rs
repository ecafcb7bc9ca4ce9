//! The reasons why a run over logs has no sums.

use super::log_line::WrappedLines;
use super::logs::LogError;
use super::named::UnknownName;
use std::io;
use tiergate::text::number;

#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("--by names {0} twice")]
    ColumnTwice(&'static str),
    #[error(
        "none of {} lines has the filter's states. Add them to the access log's format: \
         %FILTER_STATE(wasm.tiergate:PLAIN)% and %FILTER_STATE(wasm.tiergate.usage:PLAIN)%, in JSON \
         as fields of their own, in text in this order at the end of the line. And set \
         \"log_usage\": true and \"log_account\": true in the plugin config",
        number(*.0)
    )]
    NoStates(u64),
    #[error(
        "none of {} lines has the filter's states where they can be read: {} are {}",
        number(*lines), number(wrapped.lines), wrapped.by
    )]
    Wrapped { lines: u64, wrapped: WrappedLines },
    #[error(
        "none of {} admitted requests has a usage. Add %FILTER_STATE(wasm.tiergate.usage:PLAIN)% to \
         the access log's format, and \"log_usage\": true to the plugin config",
        number(*.0)
    )]
    NoUsage(u64),
    #[error(
        "none of {} requests with usage names its account. Set \"log_account\": true in the plugin \
         config, and do not set \"log_admitted\": false; or leave accounts out: --by model,day",
        number(*.0)
    )]
    NoAccounts(u64),
    #[error(transparent)]
    UnknownName(#[from] UnknownName),
    #[error("can't write the sums: {0}")]
    Unwritable(#[source] io::Error),
}
