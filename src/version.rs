//! The version and the build of this module.

/// The version of the crate.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The git commit that the module was built from, as `make wasm` sets it in `TIERGATE_BUILD`;
/// "unknown" for other builds.
pub const BUILD: &str = match option_env!("TIERGATE_BUILD") {
    Some(build) => build,
    None => "unknown",
};
