//! The traffic of a row, by wrk, and the route that answers it.

use serde_json::{Value, json};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The words of a stream, an event each.
pub const WORDS: u32 = 100;
/// The words of a body of 64 KiB.
pub const BODY_WORDS: u32 = 13_100;
/// The events of a stream: the words, the end of the answer and `[DONE]`; one more where the filter
/// asks for the usage, to hide it.
pub const EVENTS: f64 = 102.0;
/// The time between the events of a stream. With [`Traffic::connections`] it keeps a worker busy:
/// the wake-ups of an idle one cost more than the filter.
pub const EVERY_MS: u32 = 3;

/// A kind of traffic; each has a script for wrk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// Requests of 1,000 accounts in turn.
    ManyAccounts,
    /// Requests of one account.
    OneAccount,
    /// Streams of one account.
    Streams,
    /// JSON bodies of 64 KiB for one account.
    Bodies,
}

impl Traffic {
    const fn script(self) -> &'static str {
        match self {
            Self::ManyAccounts => "many_accounts.lua",
            Self::OneAccount => "one_account.lua",
            Self::Streams => "streams.lua",
            Self::Bodies => "bodies.lua",
        }
    }

    const fn connections(self) -> u32 {
        match self {
            Self::ManyAccounts | Self::OneAccount => 32,
            Self::Bodies => 8,
            Self::Streams => 80,
        }
    }

    /// The route: Envoy answers plain requests by itself; streams and long bodies come from the
    /// demo upstream.
    pub fn route(self) -> Value {
        match self {
            Self::ManyAccounts | Self::OneAccount => answers(),
            Self::Streams | Self::Bodies => json!({"route": {"cluster": "llm"}}),
        }
    }

    /// Starts the traffic. It ends when it is dropped, or after `most`.
    pub fn start(self, proxy: SocketAddr, most: Duration) -> Running {
        let script = format!("tests/bench/price/{}", self.script());
        let words = match self {
            Self::Bodies => BODY_WORDS,
            _ => WORDS,
        };
        let settings = [("EVERY_MS", EVERY_MS), ("WORDS", words)];
        wrk(proxy, self.connections(), &script, &settings, most)
    }
}

/// Starts wrk with a script, and settings that the script reads. It ends when it is dropped, or
/// after `most`.
pub fn wrk(
    proxy: SocketAddr,
    connections: u32,
    script: &str,
    settings: &[(&str, u32)],
    most: Duration,
) -> Running {
    let settings = settings.iter().map(|(name, n)| (name, n.to_string()));
    let wrk = Command::new("wrk")
        .arg("-t1")
        .arg(format!("-c{connections}"))
        .arg(format!("-d{}s", most.as_secs()))
        .args(["-s", script])
        .arg(format!("http://{proxy}/v1/chat/completions"))
        .stdout(Stdio::null())
        .envs(settings)
        .spawn();
    Running(wrk.expect("wrk runs"))
}

/// Traffic that runs.
pub struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Envoy's own answer, as an upstream would give it.
pub fn answers() -> Value {
    let answer = r#"{"usage":{"prompt_tokens":15,"completion_tokens":16,"total_tokens":31}}"#;
    json!({
        "direct_response": {"status": 200, "body": {"inline_string": answer}},
        "response_headers_to_add": [{
            "header": {"key": "content-type", "value": "application/json"},
            "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"
        }]
    })
}
