//! The Kubernetes files of `envoy/istio` and `envoy/gateway`, and each config of ours in `envoy/`.
//!
//! The CRDs are those of the releases, and are not part of the project. They stand in the folder
//! that `TIERGATE_CRDS` names, or in `../shared/crds` beside the project. Without them the
//! validation is skipped, and says so.
//!
//! The dashboard and the alerts of `envoy/watch`, the image of `make image`, and parts of `make release` are
//! checked here too.
#![allow(missing_docs, clippy::restriction)]

mod cel;
mod configs;
mod crds;
mod image;
mod manifests;
#[path = "../harness/promql.rs"]
#[allow(dead_code, reason = "tests/envoy uses all of it")]
mod promql;
mod references;
mod release;
#[path = "../harness/tools.rs"]
mod tools;
mod validation;
mod watching;
