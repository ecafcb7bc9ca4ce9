//! The overload state of a namespace in shared data (key `{namespace}/overload-state`). Only ticks and
//! admin calls read and write it.

use super::State;
use crate::json::plain_name;
use crate::shared::Layout;
use crate::shared::cell::{Content, SharedCell};
use crate::tiers::config::MOST_TIERS;

/// The stored state of one namespace.
pub type StoredOverload = SharedCell<State>;

/// True for a list of tiers within the bounds of a config.
fn are_names<T>(tiers: &[(String, T)]) -> bool {
    let mut names = tiers.iter().map(|(name, _)| name);
    tiers.len() <= MOST_TIERS && names.all(|name| plain_name(name, name).is_ok())
}

impl Content for State {
    const LAYOUT: Layout = Layout {
        name: "the overload state",
        version: 2,
        kind: b'O',
    };
    const KEY: &'static str = "overload-state";

    fn is_valid(&self) -> bool {
        let manual = self.manual.iter().map(|manual| &manual.tiers);
        let mut all = manual.chain([&self.adaptive.tiers]);
        all.all(|tiers| are_names(tiers)) && are_names(&self.adaptive.reductions)
    }
}
