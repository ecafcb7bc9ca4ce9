//! The config part `cors`: origins whose scripts may read the filter's own replies.

use crate::host::{Header, Request};
use crate::json::{Invalid, Object};
use serde::Deserialize;
use std::net::Ipv6Addr;

/// The part `cors`, unchecked.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CorsConfig {
    /// 1 to 64 origins such as `https://app.example.com`, or `*`.
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
            if origin != ANY {
                is_origin(origin).map_err(|problem| Invalid::new(path.clone(), problem))?;
            } else if origins.iter().any(|other| other != ANY) {
                let problem = "\"*\" is every origin: leave the others out, or leave it out";
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

/// Checks that a text is a scheme, a host, and perhaps a port, as browsers write them.
///
/// # Errors
/// The problem, for any other text: no request would have it as its `origin`.
fn is_origin(text: &str) -> Result<(), String> {
    let Some((scheme, host, port)) = parts(text) else {
        return Err(format!(
            "{text:?} is not an origin such as \"https://app.example.com\", in lower case and without \
             a path, nor \"*\""
        ));
    };
    let default = match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    };
    match port {
        Some(port) if Some(port) == default => Err(format!(
            "{text:?} can never match: browsers leave the port {port} of {scheme} out, so write \
             \"{scheme}://{host}\""
        )),
        _ => Ok(()),
    }
}

/// Splits an origin into scheme, host and port; `None` for a text that is none.
fn parts(text: &str) -> Option<(&str, &str, Option<u16>)> {
    let (scheme, authority) = text.split_once("://")?;
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme.bytes().all(|b| word(b) || b"+-.".contains(&b));
    // The colons of an IPv6 address stand in brackets.
    let address = match authority.strip_prefix('[') {
        Some(inner) => inner.find(']')?.saturating_add(2),
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at_checked(address)?;
    let is_host = match host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
    {
        Some(address) => is_ipv6(address),
        None => !host.is_empty() && host.bytes().all(|b| word(b) || b"-._".contains(&b)),
    };
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => None,
        None => return None,
        Some(port) => Some(port).filter(|port| is_port(port))?.parse().ok(),
    };
    (text.len() <= LONGEST && is_scheme && is_host).then_some((scheme, host, port))
}

/// True for an IPv6 address in its one short form; browsers write those with IPv4 in another one.
fn is_ipv6(text: &str) -> bool {
    let address = text.parse::<Ipv6Addr>();
    address.is_ok_and(|ip| ip.to_ipv4_mapped().is_some() || ip.to_string() == text)
}

/// True for a port as browsers write it: without zeros before it.
fn is_port(text: &str) -> bool {
    let port = text.parse::<u16>();
    port.is_ok_and(|port| port.to_string() == text)
}
