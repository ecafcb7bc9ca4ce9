//! A client of the admin API, over HTTP.

use crate::visible::{cut, visible};
use serde::Deserialize;
use std::cell::Cell;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use ureq::Agent;
use ureq::http::{HeaderValue, StatusCode, Uri};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

/// The maximum time of one call.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The maximum size of one response, in bytes.
const LONGEST_ANSWER: u64 = 4 * 1024 * 1024;
/// The maximum width of an API error's message, in columns.
const LONGEST_REASON: usize = 300;
/// The error code of a call without the token.
const TOKEN_INVALID: &str = "token_invalid";
/// The environment variable with the token.
pub const TOKEN_ENV: &str = "TIERGATE_ADMIN_TOKEN";

/// The address of an admin API.
#[derive(Clone, Debug)]
pub struct AdminUrl(String);

#[derive(Debug, thiserror::Error)]
#[error("{0}; it is the address of the admin path, such as http://127.0.0.1:10001/-/tiergate")]
pub struct NotAnAdminUrl(&'static str);

impl AdminUrl {
    /// Parses an http or https URL with a host and a path; a slash at its end is optional.
    pub fn parse(text: &str) -> Result<Self, NotAnAdminUrl> {
        let uri: Uri = text.parse().map_err(|_| NotAnAdminUrl("not a URL"))?;
        let authority = match (uri.scheme_str(), uri.authority()) {
            (Some("http" | "https"), Some(authority)) => authority.as_str(),
            (Some("http" | "https"), None) => return Err(NotAnAdminUrl("without a host")),
            _ => return Err(NotAnAdminUrl("neither http:// nor https://")),
        };
        if authority.contains('@') {
            return Err(NotAnAdminUrl(
                "with a user, where others see it; the token goes into TIERGATE_ADMIN_TOKEN",
            ));
        }
        if text.contains(['?', '#']) {
            return Err(NotAnAdminUrl("with a query or a fragment"));
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }
}

/// The reason for the failure to set up a client.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error("can't read {path}: {source}")]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{0} has no certificate in PEM")]
    NoCertificate(PathBuf),
    #[error("the token of {0} is empty, or has other characters than visible ASCII")]
    NotAToken(String),
}

/// The reason for the failure of a call. Each text is shown after the address.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("no answer within {} s", TIMEOUT.as_secs())]
    Timeout,
    #[error("can't connect: {0}; is this the listener of the admin API, and is Envoy running?")]
    Unreachable(String),
    #[error("no TLS connection: {0}; is it a plain http:// listener, or does it need --ca-file?")]
    Tls(String),
    #[error("401: it takes a token; put it into {TOKEN_ENV}, or name its file by --token-file")]
    TokenMissing,
    #[error("401: the token is not the one of this config (admin.token_sha256)")]
    TokenRefused,
    #[error(
        "{}{}: no admin API there; the URL should be the admin path of the config (admin.path), on the \
        listener that has it",
        status.as_u16(), said.as_ref().map(|s| format!(" ({s})")).unwrap_or_default()
    )]
    NotTheAdminApi {
        status: StatusCode,
        said: Option<String>,
    },
    #[error("answered {status}{}", said.as_ref().map(|s| format!(": {s}")).unwrap_or_default())]
    Status {
        status: StatusCode,
        said: Option<String>,
    },
    #[error("the answer is over {LONGEST_ANSWER} bytes")]
    TooLong,
    #[error("the answer is not JSON ({0}); the URL should be the admin path of the config")]
    NotJson(String),
    #[error("the answer is JSON, but not the status of a tiergate: {0}")]
    NotAStatus(String),
}

/// A client of one admin API.
pub struct AdminClient {
    agent: Agent,
    status: String,
    authorization: Option<HeaderValue>,
    /// True after an admin API has asked for the token there.
    wants_token: Cell<bool>,
}

impl AdminClient {
    /// Reads the token and the certificates, and sends nothing.
    pub fn new(
        url: &AdminUrl,
        token_file: Option<&Path>,
        ca_file: Option<&Path>,
    ) -> Result<Self, SetupError> {
        let roots = match ca_file {
            None => RootCerts::WebPki,
            Some(path) => roots(path)?,
        };
        let config = Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            // The token goes to the given address only.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            // Each read opens a connection, so Envoy can hand it to any worker.
            .max_idle_connections(0)
            .user_agent(concat!("tiergate/", env!("CARGO_PKG_VERSION")))
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .build();
        Ok(Self {
            agent: config.new_agent(),
            status: format!("{}/status", url.0),
            authorization: token(token_file)?,
            wants_token: Cell::new(false),
        })
    }

    /// Returns the address of the status.
    pub fn address(&self) -> &str {
        &self.status
    }

    /// Fetches the status, unparsed.
    ///
    /// The token goes only to a place that has asked for it as an admin API does, since the address
    /// may be that of the data path, or of another program.
    pub fn status(&self) -> Result<String, FetchError> {
        let token = self.authorization.as_ref();
        let known = token.filter(|_| self.wants_token.get());
        let (sent, read) = match (self.read(known), token) {
            (Err(FetchError::TokenMissing), Some(_)) => (token, self.read(token)),
            (read, _) => (known, read),
        };
        self.wants_token.set(sent.is_some() && read.is_ok());
        read
    }

    fn read(&self, token: Option<&HeaderValue>) -> Result<String, FetchError> {
        let mut request = self.agent.get(&self.status);
        request = request.header("accept", "application/json");
        if let Some(token) = token {
            request = request.header("authorization", token);
        }
        let mut answer = request.call().map_err(unread)?;
        let body = answer.body_mut().with_config().limit(LONGEST_ANSWER);
        let body = body.read_to_vec().map_err(unread)?;
        match answer.status() {
            StatusCode::OK => {
                String::from_utf8(body).map_err(|_| FetchError::NotJson("not UTF-8".to_owned()))
            }
            status => Err(refused(status, &body, token.is_some())),
        }
    }
}

fn refused(status: StatusCode, body: &[u8], had_token: bool) -> FetchError {
    let error = AdminErrorText::of(body);
    let code = error.as_ref().and_then(|error| error.code.as_deref());
    let asks_for_token = status == StatusCode::UNAUTHORIZED && code == Some(TOKEN_INVALID);
    let said = error.map(|error| cut(&visible(&error.message), LONGEST_REASON));
    match status {
        _ if asks_for_token && had_token => FetchError::TokenRefused,
        _ if asks_for_token => FetchError::TokenMissing,
        // The status needs the token alone: any other refusal is one of a rate-limited request.
        _ if status.is_client_error() => FetchError::NotTheAdminApi { status, said },
        _ => FetchError::Status { status, said },
    }
}

fn unread(error: ureq::Error) -> FetchError {
    match error {
        ureq::Error::Timeout(_) => FetchError::Timeout,
        ureq::Error::BodyExceedsLimit(_) => FetchError::TooLong,
        ureq::Error::Tls(error) => FetchError::Tls(error.to_owned()),
        ureq::Error::Rustls(error) => FetchError::Tls(visible(&error.to_string())),
        // Rustls reports its errors while reading in this form.
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
            FetchError::Tls(visible(&error.to_string()))
        }
        ureq::Error::Io(error) => FetchError::Unreachable(visible(&error.to_string())),
        error => FetchError::Unreachable(visible(&error.to_string())),
    }
}

/// The fields of an admin API error.
#[derive(Deserialize)]
struct AdminErrorText {
    message: String,
    code: Option<String>,
}

impl AdminErrorText {
    fn of(body: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct AdminErrorBody {
            error: AdminErrorText,
        }
        let body: AdminErrorBody = serde_json::from_slice(body).ok()?;
        Some(body.error)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, SetupError> {
    std::fs::read(path).map_err(|source| SetupError::Unreadable {
        path: path.to_owned(),
        source,
    })
}

fn roots(path: &Path) -> Result<RootCerts, SetupError> {
    let pem = read(path)?;
    let certificates: Vec<_> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        return Err(SetupError::NoCertificate(path.to_owned()));
    }
    Ok(RootCerts::new_with_certs(&certificates))
}

/// Returns the header with the token, if there is one.
fn token(file: Option<&Path>) -> Result<Option<HeaderValue>, SetupError> {
    let (token, whence) = match file {
        Some(path) => (read(path)?, path.display().to_string()),
        None => match std::env::var_os(TOKEN_ENV) {
            Some(token) => (token.into_encoded_bytes(), TOKEN_ENV.to_owned()),
            None => return Ok(None),
        },
    };
    let token = token.trim_ascii();
    if token.is_empty() || !token.iter().all(u8::is_ascii_graphic) {
        return Err(SetupError::NotAToken(whence));
    }
    let mut value = HeaderValue::from_bytes(&[b"Bearer ", token].concat())
        .map_err(|_| SetupError::NotAToken(whence))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_with_or_without_a_slash() {
        for url in ["http://h:1/-/tiergate", "http://h:1/-/tiergate/"] {
            assert_eq!(AdminUrl::parse(url).unwrap().0, "http://h:1/-/tiergate");
        }
        assert!(AdminUrl::parse("https://[::1]:8443/a").is_ok());
        for (url, said) in [
            ("", "not a URL"),
            ("127.0.0.1:10001/-/tiergate", "not a URL"),
            ("127.0.0.1:10001", "neither http"),
            ("/-/tiergate", "neither http"),
            ("ftp://h/a", "neither http"),
            ("http:///a", "not a URL"),
            ("http://:demo@h/a", "with a user"),
            ("http://h/a?token=demo", "query"),
        ] {
            let problem = AdminUrl::parse(url).unwrap_err().to_string();
            assert!(problem.contains(said), "{url}: {problem}");
            assert!(!problem.contains("demo"), "{url}: {problem}");
        }
    }
}
