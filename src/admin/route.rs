//! The routes of the admin API.

use super::Problem;
use crate::http::query;
use percent_encoding::percent_decode;

/// The maximum size of an account id, in bytes.
pub const LONGEST_ID: usize = 4096;

/// An admin call; an account is given by its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Shows an account.
    Get(Vec<u8>),
    /// Lists the directory.
    List {
        /// The place from which to go on.
        after: Option<Vec<u8>>,
        /// The maximum number of accounts.
        limit: Option<Vec<u8>>,
    },
    /// Lists the accounts with usage.
    Usage {
        /// The place from which to go on.
        after: Option<Vec<u8>>,
        /// The maximum number of accounts.
        limit: Option<Vec<u8>>,
    },
    /// Sets an account's recharge or tier.
    Put(Vec<u8>),
    /// Sets many accounts.
    PutMany,
    /// Marks the directory as complete.
    Ready,
    /// Deletes an account.
    Delete(Vec<u8>),
    /// Adds to an account's recharge.
    Recharge(Vec<u8>),
    /// Clears an account's usage.
    Reset(Vec<u8>),
    /// Shows the state of the filter.
    Status,
    /// Shows the lowering of limits.
    Overload,
    /// Sets a manual lowering.
    PutManual,
    /// Removes the manual lowering.
    DeleteManual,
    /// Shows the page, with a look-up of an account.
    Page(Option<Vec<u8>>),
    /// Redirects to the page, where its relative links work.
    PageWithoutSlash,
}

impl Call {
    /// True when the call has a body.
    pub const fn has_body(&self) -> bool {
        matches!(
            self,
            Self::Put(_) | Self::PutMany | Self::Recharge(_) | Self::PutManual
        )
    }

    /// Returns the maximum size of the call's body, in bytes.
    pub const fn longest_body(&self) -> usize {
        match self {
            Self::PutMany => 262_144,
            _ => 65_536,
        }
    }

    /// Adds the query's parameters: the page's look-up, and the place in a list.
    #[must_use]
    pub fn with_query(self, path: &[u8]) -> Self {
        match self {
            Self::Page(_) => {
                let account = query::values(path, "account").next();
                Self::Page(account.filter(|id| !id.is_empty()))
            }
            Self::Usage { .. } => Self::Usage {
                after: query::values(path, "after").next(),
                limit: query::values(path, "limit").next(),
            },
            Self::List { .. } => Self::List {
                after: query::values(path, "after").next(),
                limit: query::values(path, "limit").next(),
            },
            call => call,
        }
    }
}

/// Returns the part of a request's path below the admin prefix; `None` for other requests.
///
/// The path is matched as sent: a path that is an admin path only after decoding or normalising is
/// not one.
pub fn own_path<'a>(prefix: &str, path: &'a [u8]) -> Option<&'a [u8]> {
    let path = path.split(|b| *b == b'?').next().unwrap_or_default();
    let rest = path.strip_prefix(prefix.as_bytes())?;
    (rest.is_empty() || rest.starts_with(b"/")).then_some(rest)
}

/// Reads a call from its method and own path.
///
/// # Errors
/// [`Problem::NoSuchPath`], [`Problem::NoSuchMethod`] or [`Problem::BadId`].
pub fn read(method: &[u8], path: &[u8]) -> Result<Call, Problem> {
    let segments: Vec<&[u8]> = path.split(|b| *b == b'/').skip(1).collect();
    match segments.as_slice() {
        [b"status"] => get(method, Call::Status),
        [b"usage"] => get(
            method,
            Call::Usage {
                after: None,
                limit: None,
            },
        ),
        [b"ready"] => post(method, Call::Ready),
        [b"accounts"] => match method {
            b"GET" => Ok(Call::List {
                after: None,
                limit: None,
            }),
            b"PUT" => Ok(Call::PutMany),
            _ => Err(Problem::NoSuchMethod("GET and PUT")),
        },
        [b"load"] => match method {
            b"GET" => Ok(Call::Overload),
            b"PUT" => Ok(Call::PutManual),
            b"DELETE" => Ok(Call::DeleteManual),
            _ => Err(Problem::NoSuchMethod("GET, PUT and DELETE")),
        },
        [b""] => get(method, Call::Page(None)),
        [] => get(method, Call::PageWithoutSlash),
        [b"accounts", account] => {
            let id = id(account)?;
            match method {
                b"GET" => Ok(Call::Get(id)),
                b"PUT" => Ok(Call::Put(id)),
                b"DELETE" => Ok(Call::Delete(id)),
                _ => Err(Problem::NoSuchMethod("GET, PUT and DELETE")),
            }
        }
        [b"accounts", account, b"recharges"] => post(method, Call::Recharge(id(account)?)),
        [b"accounts", account, b"reset"] => post(method, Call::Reset(id(account)?)),
        _ => Err(Problem::NoSuchPath),
    }
}

fn get(method: &[u8], call: Call) -> Result<Call, Problem> {
    match method {
        b"GET" => Ok(call),
        _ => Err(Problem::NoSuchMethod("GET")),
    }
}

fn post(method: &[u8], call: Call) -> Result<Call, Problem> {
    match method {
        b"POST" => Ok(call),
        _ => Err(Problem::NoSuchMethod("POST")),
    }
}

/// Decodes an id: one segment, percent-decoded once, so an id can have any bytes.
fn id(segment: &[u8]) -> Result<Vec<u8>, Problem> {
    match segment {
        b"" => return Err(Problem::BadId("is empty")),
        b"." | b".." => return Err(Problem::BadId("is a step in a path: encode it")),
        _ => {}
    }
    let malformed = segment.split(|b| *b == b'%').skip(1).any(|rest| {
        !rest
            .get(..2)
            .is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
    });
    if malformed {
        return Err(Problem::BadId("has a % without two hex digits behind it"));
    }
    let id: Vec<u8> = percent_decode(segment).collect();
    if id.len() > LONGEST_ID {
        return Err(Problem::BadId("is longer than 4096 bytes"));
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(method: &str, path: &str) -> Result<Call, Problem> {
        let own = own_path("/-/tiergate", path.as_bytes()).expect("an admin path");
        Ok(read(method.as_bytes(), own)?.with_query(path.as_bytes()))
    }

    #[test]
    fn each_call_of_the_contract_is_understood() {
        let acme = || b"acme".to_vec();
        for (method, path, wanted) in [
            ("GET", "/-/tiergate/accounts/acme", Call::Get(acme())),
            ("PUT", "/-/tiergate/accounts/acme?x=1", Call::Put(acme())),
            ("DELETE", "/-/tiergate/accounts/acme", Call::Delete(acme())),
            (
                "POST",
                "/-/tiergate/accounts/acme/recharges",
                Call::Recharge(acme()),
            ),
            (
                "POST",
                "/-/tiergate/accounts/acme/reset",
                Call::Reset(acme()),
            ),
            ("GET", "/-/tiergate/status", Call::Status),
            ("POST", "/-/tiergate/ready", Call::Ready),
            ("PUT", "/-/tiergate/accounts", Call::PutMany),
            (
                "GET",
                "/-/tiergate/accounts?after=1f-2&limit=5",
                Call::List {
                    after: Some(b"1f-2".to_vec()),
                    limit: Some(b"5".to_vec()),
                },
            ),
            ("GET", "/-/tiergate/load", Call::Overload),
            ("PUT", "/-/tiergate/load", Call::PutManual),
            ("DELETE", "/-/tiergate/load", Call::DeleteManual),
            ("GET", "/-/tiergate", Call::PageWithoutSlash),
            ("GET", "/-/tiergate/", Call::Page(None)),
            ("GET", "/-/tiergate/?account=", Call::Page(None)),
            (
                "GET",
                "/-/tiergate/?x=1&account=a%2Fb+%ff",
                Call::Page(Some(b"a/b \xff".to_vec())),
            ),
            (
                "GET",
                "/-/tiergate/accounts/a%2Fb%00%ff",
                Call::Get(b"a/b\0\xff".to_vec()),
            ),
        ] {
            assert_eq!(call(method, path), Ok(wanted), "{path}");
        }
    }

    #[test]
    fn tricks_with_paths_get_nowhere() {
        for path in [
            "/-/tiergate2/status",
            "/-/tiergat",
            "//-/tiergate/status",
            "/-%2Ftiergate/status",
            "/x/../-/tiergate/status",
        ] {
            assert_eq!(own_path("/-/tiergate", path.as_bytes()), None, "{path}");
        }
        for (path, wanted) in [
            ("/-/tiergate//status", Problem::NoSuchPath),
            ("/-/tiergate/accounts/a/b", Problem::NoSuchPath),
            ("/-/tiergate/accounts/a/recharges/", Problem::NoSuchPath),
            ("/-/tiergate/accounts/", Problem::BadId("is empty")),
            (
                "/-/tiergate/accounts/..",
                Problem::BadId("is a step in a path: encode it"),
            ),
            (
                "/-/tiergate/accounts/%2",
                Problem::BadId("has a % without two hex digits behind it"),
            ),
            (
                "/-/tiergate/accounts/%zz",
                Problem::BadId("has a % without two hex digits behind it"),
            ),
        ] {
            assert_eq!(call("GET", path), Err(wanted), "{path}");
        }
        let long = format!("/-/tiergate/accounts/{}", "x".repeat(5_000));
        assert_eq!(
            call("GET", &long),
            Err(Problem::BadId("is longer than 4096 bytes"))
        );
        assert_eq!(
            call("POST", "/-/tiergate/status"),
            Err(Problem::NoSuchMethod("GET"))
        );
    }
}
