//! The refusals that client libraries meet, on one Envoy with short windows.

use crate::harness::bootstrap::Setup;
use crate::harness::client::Call;
use crate::harness::stack::{Pending, Stack, root};
use serde::Deserialize;
use serde_json::{Value, json};
use std::fmt;
use std::process::Command;

/// The client libraries, with their own settings for retries.
pub const LIBRARIES: [&str; 4] = [
    "openai",
    "anthropic",
    "google-genai",
    "google-genai, 3 attempts",
];

/// A refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    Rpm,
    Tpm,
    Concurrency,
    Tpd,
    Overload,
    NoAccount,
    NoTier,
    Unavailable,
}

impl Case {
    pub const ALL: [Self; 8] = [
        Self::Rpm,
        Self::Tpm,
        Self::Concurrency,
        Self::Tpd,
        Self::Overload,
        Self::NoAccount,
        Self::NoTier,
        Self::Unavailable,
    ];

    /// The tier that the case is refused in; `-` sends none.
    const fn tier(self) -> &'static str {
        match self {
            Self::Rpm => "rpm",
            Self::Tpm => "tpm",
            Self::Concurrency => "concurrency",
            Self::Tpd => "tpd",
            Self::Overload => "overload",
            Self::NoAccount => "rpm",
            Self::NoTier => "gold",
            Self::Unavailable => "-",
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rpm => "429 rpm",
            Self::Tpm => "429 tpm",
            Self::Concurrency => "429 concurrency",
            Self::Tpd => "429 tpd",
            Self::Overload => "429 overload",
            Self::NoAccount => "401 account_missing",
            Self::NoTier => "403 tier_unknown",
            Self::Unavailable => "503 limiter_unavailable",
        })
    }
}

/// What the user of a library sees.
#[derive(Clone, Debug, Deserialize)]
pub struct Cell {
    /// The exception; `None` where the library waited and was served.
    pub raises: Option<String>,
    pub status: Option<u16>,
    /// The `error` of the body, as the library hands it over.
    pub body: Value,
    pub text: String,
    /// How often the library asked in its last call.
    pub tries: usize,
    pub waits_ms: Vec<u64>,
    pub took_ms: u64,
}

/// The length of the minute window, in milliseconds.
pub const MINUTE_MS: u64 = 2_000;

/// One Envoy for all cases.
pub struct Cases(Stack);

impl Cases {
    pub fn start() -> Self {
        let tier = |(recharge, name): (usize, &str)| {
            let mut limits =
                json!({"concurrency": 50, "rpm": 1_000, "tpm": "unlimited", "tpd": "unlimited"});
            match name {
                "rpm" => limits["rpm"] = json!(1),
                "tpm" => limits["tpm"] = json!(100),
                "tpd" => limits["tpd"] = json!(100),
                "overload" => limits["rpm"] = json!(100),
                _ => limits["concurrency"] = json!(1),
            }
            json!({"name": name, "recharge": recharge, "limits": limits})
        };
        let names = ["rpm", "tpm", "concurrency", "tpd", "overload"];
        let tiers: Vec<Value> = names.into_iter().enumerate().map(tier).collect();
        let config = json!({
            "tiers": tiers, "tier": [{"header": "x-account-tier"}, "directory"], "errors": "auto",
            "admin": {"path": "/-/tiergate", "insecure": true}, "account": [{"header": "x-account-id"}],
            "windows": {"minute": format!("{MINUTE_MS}ms"), "day": {"rolling": "24h"}},
            "tokens": {"completion": 100, "prompt": 0, "bytes_per_token": 1_000_000},
        });
        let stack = Stack::with(&Setup::new(config).bodies_while_headers_are_held());
        let lower = json!({"tiers": {"overload": 0.01}, "ttl": "10m"}).to_string();
        let call = Call::new().method("PUT", "/-/tiergate/load").body(lower);
        assert_eq!(stack.send(call).status, 200);
        // In force in every worker within 2 s.
        std::thread::sleep(std::time::Duration::from_millis(2_100));
        Self(stack)
    }

    /// Runs a library into a case, as an account of its own.
    pub fn run(&self, library: &str, case: Case, streams: bool) -> Cell {
        let account = format!("{library} {case} {streams}");
        let account = account.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let busy = (case == Case::Concurrency).then(|| self.occupy(&account));
        let output = Command::new(root().join(".tools/bin/python"))
            .arg(root().join("tests/clients/cell.py"))
            .args([&format!("http://{}", self.0.proxy), library])
            .arg(if case == Case::NoAccount {
                "-"
            } else {
                &account
            })
            .args([case.tier(), if streams { "stream" } else { "whole" }])
            .output()
            .expect("make installs the clients' Python");
        if let Some(busy) = busy {
            self.0.hang_up(busy);
        }
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Holds the account's only lease.
    fn occupy(&self, account: &str) -> Pending {
        let call = Call::of(account, "concurrency").header("x-demo-latency-ms", "600000");
        let call = call.header("x-demo-count-as", account);
        let busy = self.0.begin(call);
        crate::harness::stack::eventually("the lease is taken", || {
            self.0.most_at_once(account) == 1
        });
        busy
    }
}
