//! A model's place in the path of a request: `/v1beta/models/{model}:*`.

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
    /// Reads a template; `None` for a text that is none.
    pub fn parse(text: &str) -> Option<Self> {
        let segments = text.strip_prefix('/')?;
        let (before, after) = segments.split_once(MODEL)?;
        let is_plain = |text: &str| !text.contains(['{', '}', '?', '#', '\\', '%']);
        if !(before.is_empty() || before.ends_with('/')) || !is_plain(before) || !is_plain(after) {
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

    /// Returns the model in a path without its query, decoded once; `None` where the template does
    /// not fit.
    ///
    /// The model ends at the last place that the template allows, as the verb of an API does. The
    /// path must be one that every reader takes the same way.
    pub fn model(&self, path: &str) -> Option<String> {
        if !is_plain_path(path) {
            return None;
        }
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
                Some(_) if wanted == "*" && is_last => return decoded(model),
                Some(segment) if wanted == "*" || wanted == segment => {}
                _ => return None,
            }
        }
        match segments.next() {
            None => decoded(model),
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

/// False for a path that another reader may take for a different one: with `//`, `\`, a segment of
/// dots, or an escaped slash, backslash or dot.
pub fn is_plain_path(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let escaped = ["%2f", "%2e", "%5c"];
    !path.contains("//")
        && !path.contains('\\')
        && !path.split('/').any(|segment| matches!(segment, "." | ".."))
        && !escaped.iter().any(|escape| lower.contains(escape))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(template: &str, path: &str) -> Option<String> {
        PathTemplate::parse(template).unwrap().model(path)
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
            (gemini, "/v1beta/models/:x", None),
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
            assert_eq!(
                model(template, path).as_deref(),
                wanted,
                "{template} {path}"
            );
        }
    }

    #[test]
    fn a_path_with_two_readings_names_no_model() {
        let template = "/d/{model}/*";
        for path in [
            "/d/cheap/../dear/chat",
            "/d/cheap/./x",
            "/d//cheap/x",
            "/d/cheap\\..\\dear/x",
            "/d/cheap/%2e%2e/dear/x",
            "/d/cheap/..%2Fdear/x",
            "/d/cheap%5C/x",
        ] {
            assert_eq!(model(template, path), None, "{path}");
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
        ] {
            assert_eq!(PathTemplate::parse(text), None, "{text}");
        }
    }
}
