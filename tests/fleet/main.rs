//! The fleet's service with a real Redis.
#![allow(missing_docs, clippy::restriction)]

mod adversary;
mod bench;
mod clocks;
mod deployment;
mod directory;
mod edge;
mod holes;
mod holes_of_losses;
mod mutants;
mod operators;
#[path = "../harness/ports.rs"]
mod ports;
mod redis_faults;
mod redis_server;
mod resets;
mod script;
mod service;
mod size;
#[allow(dead_code)]
#[path = "../../src/bin/tiergate/fleet/step.rs"]
mod step;
mod topologies;
