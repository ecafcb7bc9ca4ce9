//! Families of models: the model of a request, and the family that its limits, weights and prices
//! come from.

pub mod config;
mod path;
mod source;

pub use crate::tokens::request::ModelName;
pub use path::PathTemplate;
pub use source::{ModelSource, find};

use crate::tokens::rates::{Prices, Weights};
use crate::tokens::request::LONGEST_MODEL;
use wildmatch::WildMatch;

/// A family of models.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// The name in configs, views, metrics and replies.
    pub name: String,
    /// Globs in lower case: `*` is any text, `?` any character.
    patterns: Vec<WildMatch>,
    /// The weights of its tokens in limits on tokens.
    pub weights: Weights,
    /// The prices of its tokens; `None` without any.
    pub prices: Option<Prices>,
    /// The completion tokens of a request that states none, if not those of `tokens.completion`.
    pub completion: Option<u64>,
}

/// A family's position in [`Families`], from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FamilyId(u8);

impl FamilyId {
    /// Returns the position as an index.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// The families of a config, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Families(Vec<Family>);

impl Families {
    /// Returns the families in order.
    pub fn iter(&self) -> impl Iterator<Item = &Family> {
        self.0.iter()
    }

    /// True without a family.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the family of an id; `None` for an id of a longer list.
    pub fn get(&self, id: FamilyId) -> Option<&Family> {
        self.0.get(id.index())
    }

    /// Finds a family by its name.
    pub fn by_name(&self, name: &str) -> Option<FamilyId> {
        self.position(|family| family.name == name)
    }

    /// Finds the first family that has a glob for a model, in any case.
    pub fn of_model(&self, model: &str) -> Option<FamilyId> {
        if model.len() > LONGEST_MODEL {
            return None;
        }
        let model = model.to_ascii_lowercase();
        self.position(|family| family.patterns.iter().any(|glob| glob.matches(&model)))
    }

    fn position(&self, is: impl Fn(&Family) -> bool) -> Option<FamilyId> {
        let at = self.0.iter().position(is)?;
        u8::try_from(at).ok().map(FamilyId)
    }
}

/// The rule for a request with a body whose model is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownModel {
    /// The account's limits alone hold.
    Share,
    /// It is refused with a 404.
    Refuse,
    /// It counts as one of this family.
    Family(FamilyId),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn family(name: &str, patterns: &[&str]) -> Family {
        Family {
            name: name.to_owned(),
            patterns: patterns.iter().map(|glob| WildMatch::new(glob)).collect(),
            weights: Weights::ONE,
            prices: None,
            completion: None,
        }
    }

    #[test]
    fn the_first_family_with_a_glob_counts_in_any_case() {
        let families = Families(vec![
            family("mini", &["gpt-?-mini", "*-mini-*"]),
            family("gpt", &["gpt-*"]),
        ]);
        for (model, name) in [
            ("gpt-5", Some("gpt")),
            ("GPT-5-Mini", Some("mini")),
            ("gpt-5-mini-2026", Some("mini")),
            ("gpt-51-mini", Some("gpt")),
            ("claude", None),
            ("", None),
        ] {
            let found = families.of_model(model).and_then(|id| families.get(id));
            assert_eq!(found.map(|f| f.name.as_str()), name, "{model}");
        }
        let long = format!("gpt-{}", "5".repeat(LONGEST_MODEL));
        assert_eq!(families.of_model(&long), None);
    }
}
