//! The filter's own answers, and the replies that they become for a client.

use super::WARNING;
use super::anthropic_body::AnthropicBody;
use super::api::CalledApi;
use super::client::{Client, GrpcWeb, ReplyForm};
use super::code::Spec;
use super::config::Replies;
use super::error_body::{ErrorBody, LimitBody};
use super::gemini_body::GeminiBody;
use super::headers::HeaderLine;
use super::refusal::Refusal;
use crate::limits::Limited;
use crate::time::Span;
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};

/// The status of a limiter that can't decide.
const UNAVAILABLE: u32 = 503;
/// The ASCII bytes that `grpc-message` escapes (gRPC over HTTP/2, "Responses").
const NOT_IN_GRPC_MESSAGES: AsciiSet = CONTROLS.add(b'%');
/// The parts of a window; an event leaves it up to one part late.
const PARTS: u64 = 60;

/// An answer of the filter, in place of the upstream's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The request is refused.
    Refused(Box<Refusal>),
    /// The report at `usage_path`: JSON.
    Usage(Vec<u8>),
}

/// A reply to send instead of a response of the upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The client's protocol.
    pub form: ReplyForm,
    /// HTTP status.
    pub status: u32,
    /// gRPC status, for gRPC requests.
    pub grpc_status: i32,
    /// `error.code`.
    pub code: &'static str,
    /// The headers, including content-type.
    pub headers: Vec<(&'static str, String)>,
    /// The sentence, for gRPC.
    pub message: String,
    /// The JSON body, for HTTP.
    pub body: Vec<u8>,
}

/// A refusal as the error bodies of all APIs tell it.
#[derive(Debug)]
pub(super) struct Told<'a> {
    pub spec: Spec,
    pub message: &'a str,
    /// The limit that refuses; `None` for other refusals.
    pub limited: Option<&'a Limited>,
    /// The wait that the client is told.
    pub wait: Span,
    pub request_id: Option<&'a str>,
}

impl Told<'_> {
    /// Returns the limit that refuses, as OpenAI's and Anthropic's bodies have it.
    pub fn limit(&self) -> Option<LimitBody> {
        let limited = self.limited?;
        let kind = limited.kind;
        Some(LimitBody {
            name: kind.as_str(),
            limit: kind.used(limited.limit),
            used: kind.used(limited.used),
            retry_after_ms: self.wait.as_millis(),
            model: kind.model(),
        })
    }

    /// Returns the body in the form of an API.
    fn body(&self, api: CalledApi) -> Vec<u8> {
        let Spec { kind, code, .. } = self.spec;
        let body = match api {
            CalledApi::OpenAi => {
                serde_json::to_vec(&ErrorBody::new(self.message, kind, code).limited(self.limit()))
            }
            CalledApi::Anthropic => serde_json::to_vec(&AnthropicBody::of(self)),
            CalledApi::Gemini => serde_json::to_vec(&GeminiBody::of(self)),
        };
        // Serialisation can't fail: the bodies have only strings and numbers.
        body.unwrap_or_default()
    }
}

impl Answer {
    /// Returns the reply to a client, with rate-limit headers in the configured styles on a 429.
    /// `minute` is the length of the minute window.
    pub fn reply(self, client: &Client, rules: &Replies, minute: Span) -> Reply {
        let mut reply = match self {
            Self::Refused(refusal) => refused(&refusal, client, rules, minute),
            Self::Usage(body) => usage(body),
        };
        if rules.cors.is_some() {
            allow_reading(&mut reply.headers, client.allowed_origin.as_deref());
        }
        reply
    }
}

fn usage(body: Vec<u8>) -> Reply {
    Reply {
        form: ReplyForm::Http,
        status: 200,
        grpc_status: 0,
        code: "usage",
        headers: vec![
            ("content-type", "application/json".to_owned()),
            ("cache-control", "no-store".to_owned()),
        ],
        message: String::new(),
        body,
    }
}

fn refused(refusal: &Refusal, client: &Client, rules: &Replies, minute: Span) -> Reply {
    let (limited, warning) = match refusal {
        Refusal::Limited {
            limited, warning, ..
        } => (Some(&**limited), warning.as_ref()),
        _ => (None, None),
    };
    let exact = limited.map_or(Span::ZERO, |limited| limited.wait);
    let wait = exact.plus(client.jitter);
    let spec = refusal.code().spec();
    let mut message = refusal.message(wait);
    if let Some(id) = &client.request_id {
        message = format!("{message} (request id: {id})");
    }
    let content_type = match client.form {
        ReplyForm::Http | ReplyForm::Grpc => "application/json",
        ReplyForm::GrpcWeb(kind) => kind.content_type(),
    };
    let mut lines = vec![("content-type", content_type.to_owned())];
    if let Some(limited) = limited {
        lines.extend(retry_headers(wait, minute));
        // A proxy in front that retries a 429 leaves one with this header alone.
        lines.push(("x-envoy-ratelimited", "true".to_owned()));
        if client.form.is_grpc() {
            lines.push(("grpc-retry-pushback-ms", wait.as_millis().to_string()));
        }
        if let Some(styles) = rules.styles.of(client.called) {
            lines.extend(set_only(styles.lines(&limited.snapshot.waiting(wait))));
        }
    }
    lines.extend(warning.map(|warning| (WARNING, warning.clone())));
    if spec.status == UNAVAILABLE {
        lines.push(("retry-after", "1".to_owned()));
    }
    let told = Told {
        spec,
        message: &message,
        limited,
        wait,
        request_id: client.request_id.as_deref(),
    };
    if let ReplyForm::GrpcWeb(kind) = client.form {
        return grpc_web(kind, &spec, &message, lines);
    }
    Reply {
        form: client.form,
        status: spec.status,
        grpc_status: spec.grpc_status,
        code: spec.code,
        headers: lines,
        body: told.body(client.api),
        message,
    }
}

/// Returns a reply of gRPC-web. Envoy does not take the request for gRPC, and a status other than 200
/// would become `UNAVAILABLE`.
fn grpc_web(
    kind: GrpcWeb,
    spec: &Spec,
    message: &str,
    mut lines: Vec<(&'static str, String)>,
) -> Reply {
    let message = percent_encode(message.as_bytes(), &NOT_IN_GRPC_MESSAGES).to_string();
    if kind == GrpcWeb::Translated {
        lines.push(("grpc-status", spec.grpc_status.to_string()));
        lines.push(("grpc-message", message.clone()));
    }
    Reply {
        form: ReplyForm::GrpcWeb(kind),
        status: 200,
        grpc_status: spec.grpc_status,
        code: spec.code,
        headers: lines,
        body: kind.body(spec.grpc_status, &message),
        message,
    }
}

/// Returns the headers that tell a wait. A client should not retry by itself after more than a minute
/// window and one part of it: clients do not wait that long, and come back by their own back-off.
fn retry_headers(wait: Span, minute: Span) -> Vec<(&'static str, String)> {
    let minute = minute.as_millis();
    let worth_retrying = minute.saturating_add(minute.div_euclid(PARTS));
    let mut lines = vec![
        ("retry-after", wait.as_secs_ceil().max(1).to_string()),
        ("retry-after-ms", wait.as_millis().to_string()),
    ];
    if wait.as_millis() > worth_retrying {
        lines.push(("x-should-retry", "false".to_owned()));
    }
    lines
}

fn set_only(lines: Vec<HeaderLine>) -> impl Iterator<Item = (&'static str, String)> {
    lines.into_iter().filter_map(|(name, v)| Some((name, v?)))
}

/// Lets scripts of the client's origin read a reply. A cache must know that the reply depends on the
/// origin, even where this one may not read it.
fn allow_reading(lines: &mut Vec<(&'static str, String)>, origin: Option<&str>) {
    if let Some(origin) = origin {
        // A script may read these two in any case.
        let safe = ["content-type", "cache-control"];
        let names = lines.iter().map(|(name, _)| *name);
        let exposed: Vec<_> = names.filter(|name| !safe.contains(name)).collect();
        if !exposed.is_empty() {
            lines.push(("access-control-expose-headers", exposed.join(", ")));
        }
        lines.push(("access-control-allow-origin", origin.to_owned()));
    }
    lines.push(("vary", "origin".to_owned()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Account;
    use crate::limits::{LimitKind, Snapshot};

    fn limited(id: &[u8], wait: Span) -> Answer {
        let refusal = Refusal::Limited {
            account: Account {
                id: id.to_vec(),
                is_hidden: false,
            },
            tier: "tier0".to_owned(),
            limited: Box::new(Limited {
                kind: LimitKind::known("rpm").unwrap(),
                limit: 3,
                used: 3,
                wait,
                last: LimitKind::known("rpm").unwrap(),
                overloaded: false,
                snapshot: Snapshot::default(),
            }),
            warning: None,
        };
        Answer::Refused(refusal.into())
    }

    fn told(answer: Answer, minute: Span) -> Reply {
        let rules = Replies::default();
        answer.reply(&Client::default(), &rules, minute)
    }

    #[test]
    fn a_429_says_which_limit_how_full_and_when() {
        let reply = told(
            limited(b"acme", Span::from_millis(12_345)),
            Span::from_secs(60),
        );
        assert_eq!((reply.status, reply.grpc_status), (429, 8));
        let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(
            body,
            serde_json::json!({"error": {
                "message": "Rate limit reached for account acme in tier0 on requests per minute \
                            (rpm): used 3 of 3. Please try again in 12.345s.",
                "type": "rate_limit_reached_error",
                "code": "rpm",
                "param": null,
                "limit": {"name": "rpm", "limit": 3, "used": 3, "retry_after_ms": 12345}
            }})
        );
        assert!(reply.headers.contains(&("retry-after", "13".to_owned())));
        assert!(
            reply
                .headers
                .contains(&("retry-after-ms", "12345".to_owned()))
        );
        assert!(
            !reply
                .headers
                .iter()
                .any(|(name, _)| *name == "x-should-retry")
        );
    }

    #[test]
    fn a_wait_over_a_minute_and_a_part_is_not_worth_retrying() {
        for (wait, minute, is_worth) in [
            (61_000, 60, true),
            (61_001, 60, false),
            (5_000, 4, false),
            (4_001, 4, true),
        ] {
            let limited = limited(b"acme", Span::from_millis(wait));
            let reply = told(limited, Span::from_secs(minute));
            let line = ("x-should-retry", "false".to_owned());
            assert_eq!(
                !reply.headers.contains(&line),
                is_worth,
                "{wait} of {minute}"
            );
        }
    }

    #[test]
    fn a_503_says_when_to_come_again() {
        let reply = told(
            Answer::Refused(Refusal::Unavailable.into()),
            Span::from_secs(60),
        );
        assert!(reply.headers.contains(&("retry-after", "1".to_owned())));
    }

    #[test]
    fn awkward_ids_make_valid_json() {
        for id in [&b"\"\\\n<script>"[..], &[0xff, 0xfe, 0], &[b'x'; 60_000]] {
            let reply = told(limited(id, Span::from_secs(1)), Span::from_secs(60));
            assert!(serde_json::from_slice::<serde_json::Value>(&reply.body).is_ok());
            assert!(reply.body.len() < 1000);
        }
    }
}
