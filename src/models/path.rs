//! A model's place in the path of a request: `/v1beta/models/{model}:*`.

use crate::http::path::is_plain_path;
use crate::tokens::request::ModelName;
use percent_encoding::percent_decode_str;

/// The place of the model, in a template.
const MODEL: &str = "{model}";

/// The path of an API with a place for the model, which is one segment of the path or its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathTemplate {
    /// The segments before that of the model.
    before: Vec<String>,
    /// The text after the model in its segment; `*` at its end is any text.
    suffix: String,
    /// The segments after it; `*` as the last one is any number of segments.
    after: Vec<String>,
}

impl PathTemplate {
    /// Reads a template. `None`: the text is not a template.
    pub fn parse(text: &str) -> Option<Self> {
        let segments = text.strip_prefix('/')?;
        let (before, after) = segments.split_once(MODEL)?;
        let is_plain = |text: &str| !text.contains(['{', '}', '?', '#', '\\', '%']);
        let is_whole = before.is_empty() || before.ends_with('/');
        if !is_whole || !is_plain(before) || !is_plain(after) || !is_plain_path(text) {
            return None;
        }
        let mut after = after.split('/').map(str::to_owned);
        let suffix = after.next().unwrap_or_default();
        let template = Self {
            before: before.split_terminator('/').map(str::to_owned).collect(),
            suffix,
            after: after.collect(),
        };
        template.has_stars_at_ends().then_some(template)
    }

    fn has_stars_at_ends(&self) -> bool {
        let (last, others) = match self.after.split_last() {
            Some((last, others)) => (last.as_str(), others),
            None => ("", &[][..]),
        };
        let whole = self.before.iter().chain(others);
        let suffix = self.suffix.strip_suffix('*').unwrap_or(&self.suffix);
        let is_whole = |segment: &str| segment == "*" || !segment.contains('*');
        !suffix.contains('*') && is_whole(last) && whole.map(String::as_str).all(is_whole)
    }

    /// Reads the model in a path without its query, decoded once.
    ///
    /// The model ends at the last place that the template allows, as the verb of an API does. A path
    /// that an upstream may take for one that fits is unreadable: another source, which the client
    /// may write, must not name a model in its place.
    pub fn read(&self, path: &str) -> ModelName {
        if !is_plain_path(path) {
            return ModelName::Unreadable;
        }
        if let Some(segment) = self.segment(path) {
            return decoded(segment).map_or(ModelName::Unreadable, ModelName::Model);
        }
        let other = percent_decode_str(path).decode_utf8_lossy();
        match self.segment(other.trim_end_matches('/')) {
            Some(_) => ModelName::Unreadable,
            None => ModelName::Nothing,
        }
    }

    /// Returns the model's part of a path; `None` where the template does not fit.
    fn segment<'a>(&self, path: &'a str) -> Option<&'a str> {
        let mut segments = path.strip_prefix('/')?.split('/');
        for wanted in &self.before {
            let segment = segments.next()?;
            if wanted != "*" && wanted != segment {
                return None;
            }
        }
        let model = self.without_suffix(segments.next()?)?;
        for (at, wanted) in self.after.iter().enumerate() {
            let is_last = at.saturating_add(1) == self.after.len();
            match segments.next() {
                Some(_) if wanted == "*" && is_last => return Some(model),
                Some(segment) if wanted == "*" || wanted == segment => {}
                _ => return None,
            }
        }
        match segments.next() {
            None => Some(model),
            Some(_) => None,
        }
    }

    fn without_suffix<'a>(&self, segment: &'a str) -> Option<&'a str> {
        match self.suffix.strip_suffix('*') {
            None => segment.strip_suffix(self.suffix.as_str()),
            Some("") => Some(segment),
            Some(start) => segment.rsplit_once(start).map(|(model, _)| model),
        }
    }
}

/// Decodes a segment once; `None` for an empty one, and for bytes that are no text.
fn decoded(segment: &str) -> Option<String> {
    let text = percent_decode_str(segment).decode_utf8().ok()?;
    (!text.is_empty()).then(|| text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(template: &str, path: &str) -> ModelName {
        PathTemplate::parse(template).unwrap().read(path)
    }

    #[test]
    fn a_model_is_one_segment_decoded_once() {
        let gemini = "/v1beta/models/{model}:*";
        for (template, path, wanted) in [
            (
                gemini,
                "/v1beta/models/gemini-2:generateContent",
                Some("gemini-2"),
            ),
            (gemini, "/v1beta/models/a:b:countTokens", Some("a:b")),
            (gemini, "/v1beta/models/a%3Ab:x", Some("a:b")),
            (gemini, "/v1beta/models/a%2525:x", Some("a%25")),
            (gemini, "/v1beta/models/gemini-2", None),
            (gemini, "/v1beta/models/a/b:x", None),
            (gemini, "/v1/models/a:x", None),
            (
                "/openai/deployments/{model}/*",
                "/openai/deployments/g/chat/completions",
                Some("g"),
            ),
            (
                "/openai/deployments/{model}/*",
                "/openai/deployments/g",
                None,
            ),
            (
                "/model/{model}/invoke",
                "/model/claude/invoke",
                Some("claude"),
            ),
            ("/model/{model}/invoke", "/model/claude/invoke/x", None),
            ("/*/m/{model}", "/acme/m/x", Some("x")),
            ("/{model}", "/x", Some("x")),
        ] {
            let wanted =
                wanted.map_or(ModelName::Nothing, |name| ModelName::Model(name.to_owned()));
            assert_eq!(read(template, path), wanted, "{template} {path}");
        }
    }

    #[test]
    fn a_path_with_two_readings_is_unreadable() {
        let gemini = "/v1beta/models/{model}:*";
        for path in [
            "/v1beta/models/k2%3Ax",
            "/v1beta/models/k2:x/",
            "/v1beta/models/:x",
        ] {
            assert_eq!(read(gemini, path), ModelName::Unreadable, "{path}");
        }
        let template = "/d/{model}/*";
        for path in [
            "/d/cheap/../dear/chat",
            "/d/cheap/./x",
            "/d//cheap/x",
            "/d/cheap\\..\\dear/x",
            "/d/cheap/%2e%2e/dear/x",
            "/d/cheap/..%2Fdear/x",
            "/d/cheap%5C/x",
            "/%64/cheap/x",
            "/d%2Fcheap/x",
            "/d/cheap%ff/x",
            "/d//x",
        ] {
            assert_eq!(read(template, path), ModelName::Unreadable, "{path}");
        }
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for text in [
            "",
            "{model}",
            "/models",
            "/a/x-{model}",
            "/{model}/{model}",
            "/a*b/{model}",
            "/{model}*x",
            "/{model}/a*",
            "/{model}?q",
            "/a%20/{model}",
            "//{model}",
            "/a/../{model}",
        ] {
            assert_eq!(PathTemplate::parse(text), None, "{text}");
        }
    }
}
