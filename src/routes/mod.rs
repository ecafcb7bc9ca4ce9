//! Rules by path, method, header or Envoy route: what counts for a request, or that nothing does.
//!
//! The first rule that matches decides. Two rules are built in: a CORS preflight is exempt, and a
//! request that generates nothing costs no tokens.

pub mod config;

use crate::host::{Header, Request};
use crate::http::path::{has_one_reading, without_query};

/// The Envoy attribute with the name of the request's route.
const ROUTE_NAME: [&str; 2] = ["xds", "route_name"];

/// The rules of a config, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Routes {
    rules: Vec<RouteRule>,
    /// The lists of limits that rules name, each once.
    lists: Vec<NamedLimits>,
}

/// The limits that a rule names.
#[derive(Clone, Debug, PartialEq)]
struct NamedLimits {
    names: Vec<String>,
    /// True when one of them is on tokens or money: the rule says that tokens count.
    consumed: bool,
}

/// One rule.
#[derive(Clone, Debug, PartialEq)]
struct RouteRule {
    matches: Match,
    applies: Applies,
}

/// The fields of a request that a rule matches; all of them must hold.
#[derive(Clone, Debug, Default, PartialEq)]
struct Match {
    path: Option<String>,
    path_prefix: Option<String>,
    path_suffix: Option<String>,
    method: Option<String>,
    /// A header's lower-case name, and its value; without one the header must only be there.
    header: Option<(String, Option<String>)>,
    /// The name of Envoy's route.
    route_name: Option<String>,
}

/// The way in which the limits apply to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applies {
    /// It passes uncounted, without an account.
    Not,
    /// It counts.
    As(Charge),
}

/// The amounts that a request counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    /// The limits that count; `None` for all.
    pub limits: Option<LimitList>,
    /// The tokens.
    pub tokens: TokenCharge,
    /// The number of requests, from 0 to 1,000.
    pub requests: u64,
}

impl Default for Charge {
    fn default() -> Self {
        Self {
            limits: None,
            tokens: TokenCharge::Generated,
            requests: 1,
        }
    }
}

/// The tokens that a request counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenCharge {
    /// A reserve, and then what its response says.
    Generated,
    /// Nothing is reserved; a stream of events counts what it says, as it may generate.
    Fetched,
    /// None, whatever its response says.
    None,
}

/// The position of a list in [`Routes`], from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LimitList(u8);

impl Routes {
    /// Returns how the limits apply to a request.
    pub fn find(&self, request: &dyn Request) -> Applies {
        let mut rule = None;
        if !self.rules.is_empty() {
            let path = Path::of(request);
            rule = self.rules.iter().find(|rule| rule.matches(request, path));
        }
        if is_preflight(request) && !self.counts_preflight(request, rule) {
            return Applies::Not;
        }
        let charge = match rule.map_or(Applies::As(Charge::default()), |rule| rule.applies) {
            Applies::Not => return Applies::Not,
            Applies::As(charge) => charge,
        };
        let is_fetch = charge.tokens == TokenCharge::Generated
            && !self.list(charge.limits).is_some_and(|list| list.consumed)
            && generates_nothing(request);
        Applies::As(Charge {
            tokens: if is_fetch {
                TokenCharge::Fetched
            } else {
                charge.tokens
            },
            ..charge
        })
    }

    /// True when a rule counts a preflight: the one that matches, or one that some upstream may read
    /// its path as.
    fn counts_preflight(&self, request: &dyn Request, rule: Option<&RouteRule>) -> bool {
        let says_options = |rule: &RouteRule| rule.matches.method.as_deref() == Some("OPTIONS");
        rule.is_some_and(says_options)
            || (self.rules.iter().any(says_options) && !Path::of(request).has_one_reading())
    }

    /// Returns the names of the limits of a list.
    pub fn names(&self, list: LimitList) -> &[String] {
        let list = self.list(Some(list));
        list.map_or(&[], |list| list.names.as_slice())
    }

    fn list(&self, list: Option<LimitList>) -> Option<&NamedLimits> {
        self.lists.get(usize::from(list?.0))
    }
}

impl RouteRule {
    fn matches(&self, request: &dyn Request, path: Path<'_>) -> bool {
        self.matches.holds(request, path) && (!self.applies.exempts() || path.has_one_reading())
    }
}

impl Applies {
    /// True when something counts less than without the rule. Such a rule matches only a path that
    /// every upstream reads in one way.
    fn exempts(self) -> bool {
        match self {
            Self::Not => true,
            Self::As(charge) => {
                charge.limits.is_some()
                    || charge.tokens == TokenCharge::None
                    || charge.requests == 0
            }
        }
    }
}

impl Match {
    fn holds(&self, request: &dyn Request, path: Path<'_>) -> bool {
        let text = path.text.unwrap_or_default();
        let is_in = |wanted: &Option<String>, holds: fn(&[u8], &[u8]) -> bool| {
            let wanted = wanted.as_deref();
            wanted.is_none_or(|wanted| holds(text, wanted.as_bytes()))
        };
        is_in(&self.path, |text, wanted| text == wanted)
            && is_in(&self.path_prefix, <[u8]>::starts_with)
            && is_in(&self.path_suffix, <[u8]>::ends_with)
            && self.has_method(request)
            && self.has_header(request)
            && self.has_route(request)
    }

    fn has_method(&self, request: &dyn Request) -> bool {
        let wanted = self.method.as_deref();
        wanted.is_none_or(|wanted| request.header(":method") == Header::Once(wanted.as_bytes()))
    }

    /// A header that comes more than once has no value: two readers may take different ones.
    fn has_header(&self, request: &dyn Request) -> bool {
        match &self.header {
            None => true,
            Some((name, None)) => request.header(name) != Header::Absent,
            Some((name, Some(value))) => request.header(name) == Header::Once(value.as_bytes()),
        }
    }

    fn has_route(&self, request: &dyn Request) -> bool {
        let wanted = self.route_name.as_deref();
        wanted.is_none_or(|wanted| {
            let name = request.property(&ROUTE_NAME.map(str::to_owned));
            name.as_deref() == Some(wanted.as_bytes())
        })
    }
}

/// The path of a request, without its query; `None` for a request without one.
#[derive(Clone, Copy)]
struct Path<'a> {
    text: Option<&'a [u8]>,
    has_fragment: bool,
}

impl<'a> Path<'a> {
    fn of(request: &'a dyn Request) -> Self {
        let Header::Once(path) = request.header(":path") else {
            return Self {
                text: None,
                has_fragment: false,
            };
        };
        let text = without_query(path);
        Self {
            text: Some(text),
            has_fragment: path.get(text.len()) == Some(&b'#'),
        }
    }

    fn has_one_reading(self) -> bool {
        !self.has_fragment && self.text.is_some_and(has_one_reading)
    }
}

/// True for a CORS preflight: an OPTIONS that its headers end, of a script that asks what it may
/// send. A browser sends no account with it.
fn is_preflight(request: &dyn Request) -> bool {
    request.header(":method") == Header::Once(b"OPTIONS")
        && request.header("access-control-request-method") != Header::Absent
        && request.header("origin") != Header::Absent
        && generates_nothing(request)
}

/// True for a request that generates nothing, and so costs no tokens: a GET, HEAD, DELETE or OPTIONS
/// that its headers end and that asks for no upgrade.
fn generates_nothing(request: &dyn Request) -> bool {
    let method = request.header(":method");
    let reads = [&b"GET"[..], b"HEAD", b"DELETE", b"OPTIONS"];
    !request.has_body()
        && reads.iter().any(|name| method == Header::Once(name))
        && request.header("upgrade") == Header::Absent
}
