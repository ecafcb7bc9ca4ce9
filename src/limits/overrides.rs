//! An account's own limits: on all of its requests, and on families of models.

use super::kinds::{Counted, LimitKind};
use super::own::{MOST, OwnLimit, at_most, limit_at};
use super::per_limit::Limits;
use crate::json::{Invalid, Named};
use serde::de::{Deserialize, Deserializer};

/// The maximum number of own limits of an account, those on families included.
const MOST_IN_ALL: usize = 32;

/// Own limits by name, on all requests or on one family. A plain number keeps the meaning of the
/// tier's limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides(pub Vec<(String, OwnLimit)>);

impl<'de> Deserialize<'de> for Overrides {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Named::deserialize(deserializer).map(|Named(all)| Self(all))
    }
}

impl Overrides {
    /// Checks the names, and the meanings that limits have by themselves. A plain number of another
    /// name takes its meaning from a tier.
    fn check(&self, path: &str, model: Option<&str>) -> Result<(), Invalid> {
        at_most(path, self.0.len())?;
        for (name, own) in &self.0 {
            let is_known = own.counted.is_some() || LimitKind::known(name).is_some();
            if is_known || !LimitKind::is_name(name) {
                limit_at(path, name, own, model)?;
            }
        }
        Ok(())
    }

    /// Checks that each limit has a meaning in the tier, or one of its own.
    fn check_in(&self, path: &str, tier: &Limits, model: Option<&str>) -> Result<(), Invalid> {
        for (name, own) in &self.0 {
            match of_name(tier, name, model).filter(|_| own.counted.is_none()) {
                Some(kind) => {
                    let named = |problem| Invalid::new(format!("{path}.{name}"), problem);
                    own.limit(kind).map_err(named)?;
                }
                None => _ = limit_at(path, name, own, model)?,
            }
        }
        Ok(())
    }

    /// Replaces limits by own ones. A number that has no meaning in the tier is left out.
    fn replace(&self, limits: &mut Limits, model: Option<&str>) {
        for (name, own) in &self.0 {
            let tiers = of_name(limits, name, model)
                .filter(|kind| own.counted.is_none_or(|counted| counted == kind.counted()));
            let meant = || {
                let kind = own.kind(name).ok()?;
                model.map_or(Some(kind), |model| kind.of_model(model))
            };
            let kind = tiers.or_else(meant);
            if let Some((kind, limit)) = kind.and_then(|kind| Some((kind, own.limit(kind).ok()?))) {
                limits.remove_name(name, model);
                limits.set(kind, limit);
            }
        }
    }
}

fn of_name(limits: &Limits, name: &str, model: Option<&str>) -> Option<LimitKind> {
    let mut kinds = limits.iter().map(|(kind, _)| kind);
    kinds.find(|kind| kind.as_str() == name && kind.model() == model)
}

/// All own limits of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnLimits {
    /// The limits on all requests.
    pub account: Overrides,
    /// The limits on families of models, by the family's name.
    pub models: Vec<(String, Overrides)>,
}

impl OwnLimits {
    /// True when the account has none.
    pub fn is_empty(&self) -> bool {
        self.scopes().all(|(_, own)| own.0.is_empty())
    }

    /// Returns the limits on all requests, then those on each family.
    pub fn scopes(&self) -> impl Iterator<Item = (Option<&str>, &Overrides)> {
        let models = self.models.iter();
        let models = models.map(|(model, own)| (Some(model.as_str()), own));
        std::iter::once((None, &self.account)).chain(models)
    }

    /// True when a limit is on money.
    pub fn count_money(&self) -> bool {
        let own = self.scopes().flat_map(|(_, own)| &own.0);
        own.filter_map(|(_, own)| own.counted)
            .any(Counted::is_money)
    }

    /// Checks the names and the meanings of all limits, and their number.
    ///
    /// # Errors
    /// [`Invalid`] at `limits` or `models`.
    pub fn check(&self) -> Result<(), Invalid> {
        for (model, own) in self.scopes() {
            own.check(&path(model), model)?;
        }
        let in_all = self.scopes().map(|(_, own)| own.0.len());
        let in_all = in_all.fold(0, usize::saturating_add);
        if in_all > MOST_IN_ALL {
            let problem = format!("{in_all} limits of one account: at most {MOST_IN_ALL}");
            return Err(Invalid::new("models", problem));
        }
        Ok(())
    }

    /// Checks the limits beside those of a tier for a request of one family, or of none: each has a
    /// meaning there, or one of its own, and they are at most 12 together.
    ///
    /// # Errors
    /// [`Invalid`] at `limits` or `models`.
    pub fn check_in(&self, tier: &Limits, model: Option<&str>) -> Result<(), Invalid> {
        for (scope, own) in self.of_request(model) {
            own.check_in(&path(scope), tier, scope)?;
        }
        let together = self.over(tier, model).iter().count();
        if together > MOST {
            let problem = format!("{together} limits with those of the tier: at most {MOST}");
            return Err(Invalid::new(path(model), problem));
        }
        Ok(())
    }

    /// Returns a tier's limits for a request of one family, or of none, replaced where the account has
    /// its own.
    pub fn over(&self, tier: &Limits, model: Option<&str>) -> Limits {
        let mut limits = tier.clone();
        for (scope, own) in self.of_request(model) {
            own.replace(&mut limits, scope);
        }
        limits
    }

    /// Returns all limits of a tier, replaced where the account has its own.
    pub fn over_all(&self, tier: &Limits) -> Limits {
        let mut limits = tier.clone();
        for (scope, own) in self.scopes() {
            own.replace(&mut limits, scope);
        }
        limits
    }

    /// Returns the own limits that a request of this family meets.
    fn of_request<'a>(
        &'a self,
        model: Option<&'a str>,
    ) -> impl Iterator<Item = (Option<&'a str>, &'a Overrides)> {
        let met = move |scope: &(Option<&str>, _)| scope.0.is_none() || scope.0 == model;
        self.scopes().filter(met)
    }
}

fn path(model: Option<&str>) -> String {
    model.map_or_else(|| "limits".to_owned(), |model| format!("models.{model}"))
}
