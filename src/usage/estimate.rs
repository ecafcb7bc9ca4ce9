//! How many tokens to reserve for a request whose body is not read.

/// The rule of the reserve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// Bytes of a request body that are taken for one token, at least 1.
    pub bytes_per_token: u64,
    /// The most tokens that a body is taken for: what the model's context holds.
    pub context: u64,
    /// Prompt tokens of a request that does not say how long it is.
    pub prompt: u64,
    /// Completion tokens.
    pub completion: u64,
}

impl Estimate {
    /// Tokens to reserve: min(content-length / bytes_per_token, context) + completion.
    ///
    /// A content-length that is absent or no number counts as `prompt`. One past `u64` is longer
    /// than any context.
    pub fn reserve(&self, content_length: Option<&[u8]>) -> u64 {
        let prompt = match content_length.map(str::from_utf8) {
            Some(Ok(text)) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
                let bytes = text.parse::<u64>().unwrap_or(u64::MAX);
                let tokens = bytes.checked_div(self.bytes_per_token).unwrap_or(bytes);
                tokens.min(self.context)
            }
            _ => self.prompt,
        };
        prompt.saturating_add(self.completion)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_follows_the_length_up_to_the_context() {
        let estimate = Estimate {
            bytes_per_token: 4,
            context: 1000,
            prompt: 50,
            completion: 10,
        };
        for (length, reserve) in [
            (Some("400"), 110),
            (Some("0"), 10),
            (Some("999999999"), 1010),
            (Some("99999999999999999999999"), 1010),
            (Some("-4"), 60),
            (Some("4e3"), 60),
            (Some(""), 60),
            (None, 60),
        ] {
            let got = estimate.reserve(length.map(str::as_bytes));
            assert_eq!(got, reserve, "{length:?}");
        }
    }
}
