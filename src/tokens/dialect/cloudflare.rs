//! Cloudflare's Workers AI: OpenAI's usage inside its result.
//!
//! Source: <https://developers.cloudflare.com/workers-ai/get-started/rest-api/>.

use super::openai::OPENAI;
use super::{Dialect, RequestShape};

/// The dialect.
pub static CLOUDFLARE: Dialect = Dialect {
    name: "cloudflare",
    usage: &["/result/usage"],
    fields: OPENAI.fields,
    request: RequestShape {
        completion: &[],
        choices: &[],
        completes: &[],
    },
    end_of_stream: None,
};
