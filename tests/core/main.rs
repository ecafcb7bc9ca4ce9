//! The core against a fake host: the promises of docs/design.md, for any trace and interleaving.
#![allow(missing_docs, clippy::restriction)]

#[path = "../harness/core.rs"]
mod harness;
#[path = "../fuzz/usage_holds.rs"]
mod usage_holds;

mod clocks;
mod config;
mod directory;
mod faults;
mod feed;
mod identity;
mod in_flight;
mod leases;
mod load;
mod load_edges;
mod load_loop;
mod load_pace;
mod lost_vms;
mod never_over;
mod newer_layouts;
mod page;
mod pages;
mod queue;
mod refusals;
mod replies;
mod stored_bytes;
mod tokens;
mod usage;
mod windows;
