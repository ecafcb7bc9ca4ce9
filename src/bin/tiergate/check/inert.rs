//! Warnings of settings that do nothing beside the others.

use super::tree::DocValue;
use super::warn::Warnings;
use tiergate::identity::{RequestField, TierSource};
use tiergate::time::Span;
use tiergate::tokens::config::Settle;

impl Warnings<'_> {
    /// Lists settings that nothing reads, or that another one hides.
    pub(super) fn inert(&mut self) {
        self.unread_tokens();
        self.unread_feed();
        self.hidden_usage_path();
        self.bare_credentials();
        self.windows_out_of_order();
    }

    fn writes(&self, names: &[&str]) -> bool {
        let node = self.written.get_in(names);
        node.is_some_and(|node| !matches!(node.value, DocValue::Null))
    }

    fn unread_tokens(&mut self) {
        if self.writes(&["tokens", "body_limit"]) && self.config.tokens.read_body.is_none() {
            let problem = "no body is read, so its limit has no effect";
            let remedy = "set \"read_body\": true, or leave it out";
            self.warn("tokens.body_limit", problem.to_owned(), remedy);
        }
        if self.config.tokens.settle == Settle::Usage {
            return;
        }
        for name in ["usage", "header"] {
            if self.writes(&["tokens", name]) {
                let problem = "\"settle\": \"reserve\" reads no usage, so this has no effect";
                let remedy = "leave one of both out";
                self.warn(&format!("tokens.{name}"), problem.to_owned(), remedy);
            }
        }
    }

    fn unread_feed(&mut self) {
        let reads = self.config.tier.contains(&TierSource::Directory);
        if self.config.feed.is_some() && !reads {
            let problem =
                "no source of tier in this config reads the directory that the feed fills";
            self.warn("directory", problem.to_owned(), "add \"directory\" to tier");
        }
    }

    fn hidden_usage_path(&mut self) {
        let (Some(usage), Some(admin)) = (&self.config.usage_path, &self.config.admin) else {
            return;
        };
        let below = usage.strip_prefix(&admin.path);
        if below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
            let problem = format!("the admin API answers all below {}", admin.path);
            self.warn("usage_path", problem, "choose a path outside of admin.path");
        }
    }

    fn bare_credentials(&mut self) {
        let is_bare = |field: &RequestField| matches!(field, RequestField::Header(name) if name == "authorization" || name.ends_with("api-key"));
        for (i, source) in self.config.account.iter().enumerate() {
            if is_bare(&source.field) && !source.digest {
                let problem =
                    "the credential itself is the account's id, in logs and in the admin API";
                let remedy = "add \"digest\": true, and the id is its SHA-256";
                self.warn(&format!("account[{i}]"), problem.to_owned(), remedy);
            }
        }
    }

    fn windows_out_of_order(&mut self) {
        let windows = self.config.windows;
        let lengths: [(&str, Span); 3] = [
            ("second", windows.second),
            ("minute", windows.minute),
            ("hour", windows.hour),
        ];
        for ((short, least), (long, most)) in lengths.iter().zip(lengths.iter().skip(1)) {
            if least >= most {
                let problem = format!("a {long} of {most} is not longer than a {short} of {least}");
                let remedy = "give both the lengths that their names say";
                self.warn(&format!("windows.{long}"), problem, remedy);
            }
        }
    }
}
