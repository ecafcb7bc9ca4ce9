//! Rate-limit headers in the styles of known APIs.
//!
//! A style is a table of names, limits and formats (`table`); only the one of the IETF lists every
//! limit in two headers (`ietf`).

mod ietf;
mod table;
#[cfg(test)]
mod tests;

use super::api::CalledApi;
use crate::host::Request;
use crate::json::{Invalid, nearest};
use crate::limits::Snapshot;
use crate::limits::snapshot::Tells;
use serde::Deserialize;
use table::HeaderField;

/// A style of rate-limit headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderStyle {
    /// `x-ratelimit-limit-requests` and similar headers, as the OpenAI API sends them.
    OpenAi,
    /// `anthropic-ratelimit-requests-limit` and similar headers, as the Anthropic API sends them.
    Anthropic,
    /// `ratelimit-policy` and `ratelimit` (draft-ietf-httpapi-ratelimit-headers-11).
    Ietf,
    /// OpenAI's names, whose requests are those of a day, as Groq sends them.
    Groq,
    /// `x-ratelimit-limit-req-minute` and similar headers, as the Mistral API sends them.
    Mistral,
}

/// The styles by name.
const STYLES: [(&str, HeaderStyle); 5] = [
    ("openai", HeaderStyle::OpenAi),
    ("anthropic", HeaderStyle::Anthropic),
    ("ietf", HeaderStyle::Ietf),
    ("groq", HeaderStyle::Groq),
    ("mistral", HeaderStyle::Mistral),
];

/// The styles as written in the config.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(untagged, expecting = "a list of styles, or \"auto\"")]
pub enum HeadersConfig {
    /// That of the API that a request calls.
    Auto(AutoHeaders),
    /// These.
    Styles(Vec<String>),
}

/// The only word in place of a list.
#[derive(Clone, Copy, Debug, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AutoHeaders {
    /// By the API that is called.
    Auto,
}

/// The styles of a config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Styles {
    /// The same for all requests.
    Fixed(StyleList),
    /// Those of the API that a request calls. Gemini's has no such headers.
    ByApi {
        /// For calls of OpenAI's API.
        openai: StyleList,
        /// For calls of Anthropic's API.
        anthropic: StyleList,
    },
}

/// Styles that one response has together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StyleList {
    styles: Vec<HeaderStyle>,
    tells: Tells,
}

impl Default for Styles {
    fn default() -> Self {
        Self::Fixed(StyleList::default())
    }
}

impl Styles {
    /// Checks the styles in the config at `path`; the default is OpenAI's.
    ///
    /// # Errors
    /// The errors of [`HeaderStyle::list`].
    pub fn check(path: &str, written: Option<HeadersConfig>) -> Result<Self, Invalid> {
        let fixed = |names| Ok(Self::Fixed(StyleList::of(HeaderStyle::list(path, names)?)));
        match written {
            None => fixed(None),
            Some(HeadersConfig::Styles(names)) => fixed(Some(names)),
            Some(HeadersConfig::Auto(AutoHeaders::Auto)) => Ok(Self::ByApi {
                openai: StyleList::of(vec![HeaderStyle::OpenAi]),
                anthropic: StyleList::of(vec![HeaderStyle::Anthropic]),
            }),
        }
    }

    /// Returns the API that a request calls, where it decides.
    pub fn called(&self, request: &dyn Request) -> CalledApi {
        match self {
            Self::Fixed(_) => CalledApi::default(),
            Self::ByApi { .. } => CalledApi::of(request),
        }
    }

    /// Returns the styles for a call of an API; `None` where its client is told nothing.
    pub fn of(&self, called: CalledApi) -> Option<&StyleList> {
        let list = match (self, called) {
            (Self::Fixed(list), _) => list,
            (Self::ByApi { openai, .. }, CalledApi::OpenAi) => openai,
            (Self::ByApi { anthropic, .. }, CalledApi::Anthropic) => anthropic,
            (Self::ByApi { .. }, CalledApi::Gemini) => return None,
        };
        (!list.styles.is_empty()).then_some(list)
    }
}

impl StyleList {
    fn of(styles: Vec<HeaderStyle>) -> Self {
        Self {
            tells: tells(&styles),
            styles,
        }
    }

    /// Returns what a snapshot must have for these styles.
    pub const fn tells(&self) -> &Tells {
        &self.tells
    }

    /// Calls `set` with each header of the styles, for a snapshot of the limits; `None` removes it.
    /// The values of OpenAI's style stand on the stack: most responses have them.
    pub fn each(&self, snapshot: &Snapshot, mut set: impl FnMut(&'static str, Option<&str>)) {
        for style in &self.styles {
            if *style == HeaderStyle::Ietf {
                ietf::each(snapshot, &mut set);
            }
            for field in style.table() {
                field.tell(snapshot, &mut set);
            }
        }
    }

    /// Returns the headers of the styles for a snapshot of the limits.
    pub fn lines(&self, snapshot: &Snapshot) -> Vec<HeaderLine> {
        let mut lines = Vec::new();
        self.each(snapshot, |name, value| {
            lines.push((name, value.map(str::to_owned)));
        });
        lines
    }
}

/// A response header: `None` removes it, in case the upstream has set it.
pub type HeaderLine = (&'static str, Option<String>);

impl HeaderStyle {
    /// Checks the styles in the config at `path`; the default is OpenAI's.
    ///
    /// # Errors
    /// [`Invalid`] for a style that is unknown or repeated, or has names of another one.
    pub fn list(path: &str, names: Option<Vec<String>>) -> Result<Vec<Self>, Invalid> {
        let Some(names) = names else {
            return Ok(vec![Self::OpenAi]);
        };
        let mut styles: Vec<Self> = Vec::with_capacity(names.len());
        for (i, name) in names.iter().enumerate() {
            let path = format!("{path}[{i}]");
            let Some((_, style)) = STYLES.iter().find(|(known, _)| known == name) else {
                return Err(Invalid::new(path, unknown(name)));
            };
            if styles.contains(style) {
                return Err(Invalid::new(path, "named twice"));
            }
            if let Some(other) = styles.iter().find(|other| other.shares_names(*style)) {
                let other = STYLES.iter().find(|(_, style)| style == other);
                let other = other.map_or("another", |(name, _)| name);
                let problem =
                    format!("{name:?} uses the same names as {other:?}: choose one of them");
                return Err(Invalid::new(path, problem));
            }
            styles.push(*style);
        }
        Ok(styles)
    }

    /// Returns the headers of the style, in order; none for that of the IETF.
    const fn table(self) -> &'static [HeaderField] {
        match self {
            Self::OpenAi => &table::OPENAI,
            Self::Anthropic => &table::ANTHROPIC,
            Self::Groq => &table::GROQ,
            Self::Mistral => &table::MISTRAL,
            Self::Ietf => &[],
        }
    }

    fn shares_names(self, other: Self) -> bool {
        let mut own = self.table().iter();
        own.any(|field| other.table().iter().any(|other| other.name == field.name))
    }
}

/// Returns the problem with a name that no style has.
fn unknown(name: &str) -> String {
    let names = STYLES.map(|(known, _)| known);
    let near = nearest(&name.to_ascii_lowercase(), names);
    let near = near.map(|near| format!(" (did you mean {near:?}?)"));
    let near = near.unwrap_or_default();
    let known = names.map(|known| format!("{known:?}")).join(", ");
    format!("{name:?} is no style{near}: {known} are allowed")
}

/// Returns what a snapshot must have for these styles.
fn tells(styles: &[HeaderStyle]) -> Tells {
    let mut tells = Tells::default();
    for style in styles {
        if *style == HeaderStyle::Ietf {
            tells.all = true;
        }
        for field in style.table() {
            field.of.add_to(&mut tells);
            tells.wall |= field.says.needs_wall_clock();
        }
    }
    tells
}
