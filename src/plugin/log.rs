//! Lines in Envoy's log, each with the prefix `tiergate: `.
//!
//! Import these macros and write `warn!(…)`. A file that forgets the import does not compile, while
//! `log::warn!` would log without the prefix.

macro_rules! prefixed_error {
    ($($text:tt)+) => { ::log::error!("tiergate: {}", format_args!($($text)+)) };
}

macro_rules! prefixed_warn {
    ($($text:tt)+) => { ::log::warn!("tiergate: {}", format_args!($($text)+)) };
}

macro_rules! prefixed_info {
    ($($text:tt)+) => { ::log::info!("tiergate: {}", format_args!($($text)+)) };
}

pub(super) use {prefixed_error as error, prefixed_info as info, prefixed_warn as warn};
