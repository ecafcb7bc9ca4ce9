//! Alibaba's DashScope, natively: `input_tokens` and `output_tokens` in a usage, which Anthropic's and
//! the Responses API's names cover.
//!
//! Source: <https://help.aliyun.com/zh/model-studio/qwen-api-reference> (in Chinese).

use super::{Dialect, RequestShape};

/// The dialect.
pub static DASHSCOPE: Dialect = Dialect {
    request: RequestShape {
        completion: &["/parameters/max_tokens"],
        choices: &["/parameters/n"],
        ..RequestShape::NONE
    },
    ..Dialect::new("dashscope")
};
