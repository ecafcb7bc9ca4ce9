//! The fleet's service with a real Redis.
#![allow(missing_docs, clippy::restriction)]

mod adversary;
mod deployment;
mod edge;
mod holes;
mod mutants;
mod redis_server;
mod script;
mod service;
#[allow(dead_code)]
#[path = "../../src/bin/tiergate/fleet/step.rs"]
mod step;
