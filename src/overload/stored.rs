//! The overload state of a namespace in shared data (key `{namespace}/overload`). Only ticks and
//! admin calls read and write it.

use super::State;
use crate::shared::Layout;
use crate::shared::cell::{Content, SharedCell};
use crate::time::Mono;

/// The stored state of one namespace.
pub type StoredOverload = SharedCell<State>;

impl Content for State {
    const LAYOUT: Layout = Layout {
        name: "the overload state",
        version: 1,
        kind: b'O',
    };
    const KEY: &'static str = "overload";

    fn initial(_: Mono) -> Self {
        Self::default()
    }
}
