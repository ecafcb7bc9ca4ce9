//! The number of tokens to reserve for a request.

use crate::tokens::request::Asked;

/// The parameters of a reserve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// The bytes of a request body that count as one token, at least 1.
    pub bytes_per_token: u64,
    /// The maximum number of tokens of a body: the size of the model's context.
    pub context: u64,
    /// The prompt tokens of a request whose length is unknown.
    pub prompt: u64,
    /// The completion tokens of a request that states none.
    pub completion: u64,
    /// The prompt tokens of a picture or a file inside a body, and of an upload of media.
    pub media: u64,
}

/// The tokens reserved for a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reserve {
    /// The prompt tokens.
    pub prompt: u64,
    /// The completion tokens.
    pub completion: u64,
    /// The part of `prompt` that the request says: its text.
    pub said_prompt: u64,
    /// The part of `completion` that the request says.
    pub said_completion: u64,
}

impl Reserve {
    /// Returns the sum of prompt and completion.
    pub const fn tokens(&self) -> u64 {
        self.prompt.saturating_add(self.completion)
    }
}

impl Estimate {
    /// Returns the reserve by length: min(content-length / bytes_per_token, context) for the
    /// prompt.
    ///
    /// A content-length that is absent or not a number counts as `prompt` tokens, or as the bytes
    /// that were `seen` of the body if these are more. One above `u64::MAX` counts as a full context.
    pub fn by_length(&self, content_length: Option<&[u8]>, seen: u64) -> Reserve {
        let prompt = match content_length.map(str::from_utf8) {
            Some(Ok(text)) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
                self.prompt_of(text.parse::<u64>().unwrap_or(u64::MAX))
            }
            _ => self.prompt.max(self.prompt_of(seen)),
        };
        self.assumed(prompt)
    }

    /// Returns the reserve for an upload of media: its length says nothing of its tokens.
    pub const fn by_media(&self) -> Reserve {
        self.assumed(self.media)
    }

    /// Returns the reserve for a request whose body was read: its text by length, each picture or
    /// file by its price, and the completion of each choice for each prompt.
    pub fn by_body(&self, asked: &Asked) -> Reserve {
        let text = self.prompt_of(asked.bytes.saturating_sub(asked.media.bytes));
        let media = self.media.saturating_mul(asked.media.count);
        let completions = asked.choices.saturating_mul(asked.prompts);
        let of = |tokens: u64| tokens.saturating_mul(completions);
        Reserve {
            prompt: text.saturating_add(media),
            completion: of(asked.completion.unwrap_or(self.completion)),
            said_prompt: text,
            said_completion: of(asked.completion.unwrap_or(0)),
        }
    }

    const fn assumed(&self, prompt: u64) -> Reserve {
        Reserve {
            prompt,
            completion: self.completion,
            said_prompt: 0,
            said_completion: 0,
        }
    }

    fn prompt_of(&self, bytes: u64) -> u64 {
        let tokens = bytes.checked_div(self.bytes_per_token).unwrap_or(bytes);
        tokens.min(self.context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::request::Media;

    const ESTIMATE: Estimate = Estimate {
        bytes_per_token: 4,
        context: 1000,
        prompt: 50,
        completion: 10,
        media: 70,
    };

    #[test]
    fn the_reserve_follows_the_length_up_to_the_context() {
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
            let got = ESTIMATE.by_length(length.map(str::as_bytes), 0).tokens();
            assert_eq!(got, reserve, "{length:?}");
        }
        for (length, seen, reserve) in [
            (None, 200, 60),
            (None, 240, 70),
            (None, 999_999, 1_010),
            (Some("nonsense"), 240, 70),
            (Some("400"), 999_999, 110),
        ] {
            let got = ESTIMATE.by_length(length.map(str::as_bytes), seen);
            assert_eq!(got.tokens(), reserve, "{length:?}, {seen}");
        }
        assert_eq!(ESTIMATE.by_media().tokens(), 80);
    }

    #[test]
    fn a_body_reserves_text_media_and_completions() {
        let asked = Asked {
            bytes: 5_400,
            completion: None,
            choices: 2,
            prompts: 3,
            media: Media {
                count: 2,
                bytes: 5_000,
            },
        };
        let reserve = Reserve {
            prompt: 100 + 140,
            completion: 60,
            said_prompt: 100,
            said_completion: 0,
        };
        assert_eq!(ESTIMATE.by_body(&asked), reserve);
        let long = Asked {
            bytes: u64::MAX,
            completion: Some(u64::MAX),
            ..asked
        };
        let reserve = Reserve {
            prompt: 1_000 + 140,
            completion: u64::MAX,
            said_prompt: 1_000,
            said_completion: u64::MAX,
        };
        assert_eq!(ESTIMATE.by_body(&long), reserve);
    }
}
