//! What operators and clients see, on a real Envoy with two workers.
#![allow(missing_docs, clippy::restriction)]

#[path = "../harness/envoy.rs"]
mod harness;
// The bench prints more of it than is asserted here.
#[allow(dead_code)]
#[path = "../load/scenario/mod.rs"]
mod scenario;

mod admin;
mod affinity;
mod bad_input;
mod browser;
mod chargeback;
#[path = "../clients/cases.rs"]
#[allow(dead_code, reason = "make clients runs all cases")]
mod client_cases;
mod clients;
mod closed_loop;
mod corrupt_values;
mod dialects;
mod early_responses;
mod ecds;
mod ends;
mod exemptions;
mod feed;
mod first_steps;
mod fleet;
mod fleet_service;
#[path = "../harness/fleet.rs"]
#[allow(dead_code, reason = "the core's tests use all of it")]
mod fleet_store;
mod gateway;
mod header_styles;
mod identity;
mod in_force;
mod istio;
mod joined;
mod limit_kinds;
mod make_run;
#[path = "../platforms/manifests.rs"]
#[allow(dead_code, reason = "tests/platforms uses all of it")]
mod manifests;
mod models;
mod neighbours;
mod newer_layouts;
mod notices;
mod openai_client;
mod operators;
mod overload;
mod page;
#[path = "../harness/ports.rs"]
mod ports;
#[path = "../harness/promql.rs"]
mod promql;
mod race;
mod read_body;
#[cfg(feature = "fleet")]
mod real_fleet;
#[cfg(feature = "fleet")]
#[path = "../fleet/redis_server.rs"]
#[allow(dead_code, reason = "the fleet's tests use all of it")]
mod redis_server;
mod reloads;
mod replies;
mod reply_forms;
mod routes;
#[cfg(feature = "fleet")]
#[path = "../fleet/service.rs"]
#[allow(dead_code, reason = "the fleet's tests use all of it")]
mod service;
mod shapes;
#[cfg(feature = "cli")]
mod simulate;
#[cfg(feature = "cli")]
#[path = "../simulate_proof/run.rs"]
#[allow(dead_code, reason = "make simulate-proof prints more of it")]
mod simulate_run;
mod sources;
mod stalls;
mod streams;
mod struct_config;
mod tiers;
mod token_ends;
mod tokens;
#[path = "../harness/tools.rs"]
mod tools;
#[cfg(feature = "cli")]
mod top;
mod traps;
mod upgrades;
mod usage_path;
mod waits;
mod watching;
