//! tiergate: a tiered rate limiter for LLM APIs, as a proxy-wasm filter for Envoy and Istio.
//!
//! Imports point one way. From the outside in:
//!
//! | module | what it is |
//! |---|---|
//! | [`plugin`] | the proxy-wasm shell: the only place that calls the host |
//! | [`limiter`] | one worker's gate: request in, verdict out, settled later |
//! | [`config`] | what operators write, checked |
//! | [`feed`] | the account directory pulled from elsewhere |
//! | [`account`] | identity, tiers, recharge |
//! | [`admin`] | the admin API: what is asked, by whom, JSON in and out, and the page |
//! | [`reply`] | refusals and client headers |
//! | [`usage`] | tokens: the reserve, and what a response says |
//! | [`store`] | pages, the compare-and-set, VM slots: records in shared data |
//! | [`overload`] | limits that follow the load: set by hand, or by what the upstream answers |
//! | [`limit`] | the rule: windows, leases, admit and settle |
//! | [`metrics`] | counts for operators |
//! | [`host`], [`time`], [`json`], [`digest`] | the host as the core sees it; time as types; strict JSON; SHA-256 |
//!
//! `docs/architecture.md` follows one request through them.

// Tests may stop where a worker must not.
#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        clippy::unwrap_used,
        clippy::indexing_slicing
    )
)]

pub mod admin;
pub mod config;
pub mod directory;
pub mod host;
pub mod http;
pub mod identity;
pub mod json;
pub mod ledger;
pub mod limiter;
pub mod limits;
pub mod metrics;
pub mod overload;
pub mod plugin;
pub mod refusals;
pub mod reply;
pub mod shared;
pub mod tiers;
pub mod time;
pub mod tokens;
pub mod version;
