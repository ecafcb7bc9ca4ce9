//! The version and the build of this module.

/// The version of the crate.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The git commit of the module, which `make wasm` sets in `TIERGATE_BUILD`; "unknown" for other
/// builds.
pub const BUILD: &str = match option_env!("TIERGATE_BUILD") {
    Some(build) => build,
    None => "unknown",
};
