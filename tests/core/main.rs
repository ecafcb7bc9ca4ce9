//! The core against a fake host: the promises of docs/design.md, for any trace and interleaving.
#![allow(missing_docs, clippy::restriction)]

#[path = "../harness/core.rs"]
mod harness;
#[path = "../fuzz/usage_holds.rs"]
mod usage_holds;

mod accounts;
mod clocks;
mod config;
mod cors;
mod directory;
mod error_bodies;
mod families;
mod faults;
mod feed;
mod fleet;
mod fleet_adversary;
mod growth;
mod header_styles;
mod identity;
mod in_flight;
mod in_force;
mod joined;
mod leases;
mod limit_changes;
mod limit_kinds;
mod lost_vms;
mod model;
mod models;
mod models_by_body;
mod modes;
mod neighbours;
mod never_over;
mod newer_layouts;
mod notices;
mod notices_changes;
mod overload;
mod overload_cuts;
mod overload_edges;
mod overload_loop;
mod overload_pace;
mod page;
mod page_fill;
mod pages;
mod queue;
mod refusals;
mod replies;
mod routes;
mod small_domains;
mod stored_bytes;
mod streams;
mod tokens;
mod usage;
mod usage_list;
mod windows;
