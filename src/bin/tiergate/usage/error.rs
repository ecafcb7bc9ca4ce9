//! The reasons why a run over logs has no sums.

use super::log_line::{AmbiguousField, WrappedLines};
use super::named::UnknownName;
use std::io;
use std::path::PathBuf;
use tiergate::text::number;

#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    #[error("can't read {path}: {source}")]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{0} is named twice: its tokens would be summed twice")]
    NamedTwice(PathBuf),
    #[error(
        "{second} begins as {first} does, so one is a copy of the other: its tokens would be summed \
         twice. Name one of them, the longer one"
    )]
    Copied { first: PathBuf, second: PathBuf },
    #[error("--by names {0} twice")]
    ColumnTwice(&'static str),
    #[error(
        "{0} is compressed, and not by gzip: pipe it through zstd -dc, xz -dc or bzip2 -dc, into \
         tiergate usage -"
    )]
    Compressed(PathBuf),
    #[error("{path}, line {line}: {source}")]
    Ambiguous {
        path: PathBuf,
        line: u64,
        source: AmbiguousField,
    },
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
