//! The config part `cors`: origins whose scripts may read the filter's own replies.

use crate::host::{Header, Request};
use crate::json::{Invalid, Object};
use serde::Deserialize;

/// The part `cors`, unchecked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorsConfig {
    origins: Vec<String>,
}

/// The origins that may read replies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    origins: Vec<String>,
}

/// The entry for every origin.
const ANY: &str = "*";
/// The maximum number of origins.
const MOST_ORIGINS: usize = 64;
/// The longest origin: a scheme, a host name of 253 bytes and a port.
const LONGEST: usize = 300;

impl Cors {
    /// Checks the part at `path`.
    ///
    /// # Errors
    /// [`Invalid`] for no origin or too many, for a text that is no origin, and for a repeated one.
    pub fn check(path: &str, Object(cors): Object<CorsConfig>) -> Result<Self, Invalid> {
        let path = format!("{path}.origins");
        let origins = cors.origins;
        if !(1..=MOST_ORIGINS).contains(&origins.len()) {
            let problem = format!("{} origins: 1 to {MOST_ORIGINS} are allowed", origins.len());
            return Err(Invalid::new(path, problem));
        }
        for (i, origin) in origins.iter().enumerate() {
            let path = format!("{path}[{i}]");
            if origin != ANY && !is_origin(origin) {
                let problem = format!(
                    "{origin:?} is not an origin such as \"https://app.example.com\", in lower case \
                     and without a path, nor \"*\""
                );
                return Err(Invalid::new(path, problem));
            }
            if origins.iter().take(i).any(|other| other == origin) {
                return Err(Invalid::new(path, "named twice"));
            }
        }
        Ok(Self { origins })
    }

    /// Returns the value of `access-control-allow-origin` for a request; `None` without an origin,
    /// or with one that may not read the reply.
    pub fn allowed(&self, request: &dyn Request) -> Option<String> {
        let Header::Once(origin) = request.header("origin") else {
            return None;
        };
        let mut origins = self.origins.iter();
        let allowed = origins.find(|own| *own == ANY || own.as_bytes() == origin);
        allowed.cloned()
    }
}

/// True for a scheme, a host, and perhaps a port, as browsers write them.
fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else {
        return false;
    };
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let in_scheme = |b: u8| word(b) || b"+-.".contains(&b);
    let in_host = |b: u8| word(b) || b"-._:[]".contains(&b);
    text.len() <= LONGEST
        && scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme.bytes().all(in_scheme)
        && !host.is_empty()
        && host.bytes().all(in_host)
}
