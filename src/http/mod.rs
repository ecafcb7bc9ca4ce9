//! Text in HTTP: names, paths, queries, visible text, digests.

pub mod endpoint;
pub mod names;
pub mod path;
pub mod query;
pub mod sha256;
pub mod visible;
