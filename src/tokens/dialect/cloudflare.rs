//! Cloudflare's Workers AI: OpenAI's usage inside its result.
//!
//! Source: <https://developers.cloudflare.com/workers-ai/get-started/rest-api/>.

use super::openai::COUNTS;
use super::{Dialect, UsageShape};

/// The dialect.
pub static CLOUDFLARE: Dialect = Dialect {
    usage: &[UsageShape::new(&["/result/usage"], COUNTS)],
    ..Dialect::new("cloudflare")
};
