//! tiergate: a tiered rate limiter for LLM APIs, as a proxy-wasm filter for Envoy and Istio.
//!
//! The core is split by feature, on floors; imports point down this table (`tests/layers` checks
//! that).
//!
//! | floor | modules |
//! |---|---|
//! | shell | [`plugin`]: the only module that calls the host |
//! | assembly | [`admin`], [`limiter`], [`config`] |
//! | features | [`notices`], [`refusals`], [`reply`], [`scheduler`], [`identity`], [`overload`], [`directory`], [`metrics`], [`fleet`], [`ledger`], [`routes`], [`tiers`], [`tokens`] |
//! | kernel | [`limits`], [`text`], [`shared`], [`http`], [`json`], [`host`], [`zone`], [`time`], [`order`], [`version`] |
//!
//! `docs/architecture.md` describes each module and follows one request through them.

// Tests may panic, a worker must not.
#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        clippy::unwrap_used,
        clippy::indexing_slicing
    )
)]

pub mod admin;
pub mod claims;
pub mod config;
pub mod directory;
pub mod fleet;
pub mod host;
pub mod http;
pub mod identity;
pub mod json;
pub mod ledger;
pub mod limiter;
pub mod limits;
pub mod metrics;
pub mod models;
pub mod notices;
pub mod order;
pub mod overload;
pub mod plugin;
pub mod refusals;
pub mod reply;
pub mod routes;
pub mod scheduler;
pub mod shared;
pub mod text;
pub mod tiers;
pub mod time;
pub mod tokens;
pub mod version;
pub mod zone;
