//! The bounds of a config that its parts have together: stored bytes, metrics, and prices.

use crate::fleet::allowances::most_bytes;
use crate::json::Invalid;
use crate::ledger::slots::SLOTS;
use crate::limits::notice::mark_bytes;
use crate::limits::record::{COMPLETION_BYTES, Windows};
use crate::limits::units::Unit;
use crate::limits::{Limits, Plan};
use crate::metrics::{SERIES_OF_FAMILY, SERIES_OF_TIER};
use crate::models::{Families, UnknownModel};
use crate::tiers::{Tier, TierTable};
use crate::tokens::rates::Weights;

/// The maximum size of an account's record, in bytes.
const MOST_BYTES: usize = 8_192;
/// The head of a stored record.
const HEAD: usize = 40;
/// The maximum number of series in Prometheus.
const MOST_SERIES: usize = 4_096;
/// The grains of a full log.
const GRAINS: usize = 61;
/// Bytes of an amount of less than 2^32, and of any other.
const NARROW: usize = 4;
const WIDE: usize = 8;

/// The bytes of a record beside windows and leases.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extras {
    /// The marks of notices.
    pub marks: bool,
    /// The smoothed completion length.
    pub completion: bool,
    /// The account's part in a fleet.
    pub fleet: bool,
}

impl Extras {
    fn bytes(self, limits: &Limits) -> usize {
        let marks = if self.marks { mark_bytes(limits) } else { 0 };
        let completion = if self.completion { COMPLETION_BYTES } else { 0 };
        let allowances = match self.fleet {
            true => most_bytes(limits.finite().count()),
            false => 0,
        };
        marks.saturating_add(completion).saturating_add(allowances)
    }
}

/// Checks that a record has at most 8 KiB: with full logs of all families, leases of all VMs, and its
/// extras.
pub(super) fn records_fit(
    tiers: &TierTable,
    windows: &Windows,
    width: usize,
    extras: Extras,
) -> Result<(), Invalid> {
    for (i, tier) in tiers.iter().enumerate() {
        let limits = tier.all_limits();
        let marks = extras.bytes(&limits);
        let bytes = largest_record(limits, windows, width).saturating_add(marks);
        if bytes > MOST_BYTES {
            let of_marks = match (extras.marks, extras.fleet) {
                (true, _) => ", or leave notices out",
                (false, true) => ", which a fleet needs more bytes for",
                (false, false) => "",
            };
            let problem = format!(
                "a full record would have {bytes} bytes, of at most {MOST_BYTES}: use fewer windows \
                 of different lengths, or limit fewer families{of_marks}"
            );
            return Err(Invalid::new(format!("tiers[{i}]"), problem));
        }
    }
    Ok(())
}

/// Returns the bytes of an amount of weighted tokens in a log: a weight over 1 makes them wide.
pub(super) fn width(models: &Families, weights: &Weights) -> usize {
    let own = models.iter().map(|family| family.weights);
    let largest = own.chain([*weights]).map(|weights| weights.largest()).max();
    match largest > Some(Weights::ONE.largest()) {
        true => WIDE,
        false => NARROW,
    }
}

fn largest_record(limits: Limits, windows: &Windows, width: usize) -> usize {
    let plan = Plan::new(limits, *windows);
    let is_narrow = |limit: u64| u32::try_from(limit).is_ok();
    let width = match plan.finite().iter().all(|one| is_narrow(one.limit)) {
        true => width,
        false => WIDE,
    };
    let leases = plan.finite().iter().filter(|one| one.kind.is_concurrency());
    let leases = leases.map(|one| {
        // At least one request for each VM that holds leases.
        let vms = usize::try_from(one.limit).unwrap_or(SLOTS).min(SLOTS);
        vms.saturating_mul(10).saturating_add(8)
    });
    let leases = leases.fold(0, usize::saturating_add);
    plan.record_bytes(GRAINS, width)
        .saturating_add(leases)
        .saturating_add(HEAD)
}

/// Checks that the metrics of all tiers and limits are at most 4,096 series.
pub(super) fn series_fit(tiers: &TierTable, models: &Families) -> Result<(), Invalid> {
    let of_models = models.iter().count().saturating_add(1);
    let of_models = of_models.saturating_mul(SERIES_OF_FAMILY);
    let of_tier = |tier: &Tier| {
        let limits = tier.all_limits().iter().count();
        let of_limits = limits.saturating_mul(2);
        of_limits
            .saturating_add(SERIES_OF_TIER)
            .saturating_add(of_models)
    };
    let series = tiers.iter().map(of_tier).fold(0, usize::saturating_add);
    if series <= MOST_SERIES {
        return Ok(());
    }
    let problem = format!(
        "these tiers and limits are {series} series of metrics, of at most {MOST_SERIES}: use fewer \
         tiers, or limit fewer families"
    );
    Err(Invalid::new("tiers", problem))
}

/// True when each request whose model can be read has a price.
pub(super) fn is_priced(models: &Families, unknown: UnknownModel) -> bool {
    let covers_all = match unknown {
        UnknownModel::Share => false,
        UnknownModel::Refuse | UnknownModel::Family(_) => true,
    };
    covers_all && models.iter().all(|family| family.prices.is_some())
}

/// Checks that what a limit on money counts has a price.
pub(super) fn money_has_prices(
    tiers: &TierTable,
    models: &Families,
    is_priced: bool,
) -> Result<(), Invalid> {
    let remedy = "or set \"unpriced\": \"free\", and such requests cost nothing";
    for (i, tier) in tiers.iter().enumerate() {
        let limits = tier.all_limits();
        for (kind, _) in limits.finite().filter(|(kind, _)| kind.counts(Unit::Usd)) {
            let problem = match kind.model() {
                None if is_priced => continue,
                None => format!(
                    "a model can come without a price: give each family in models a price, and let \
                     unknown_model be \"refuse\" or a family; {remedy}"
                ),
                Some(model) if has_price(models, model) => continue,
                Some(model) => format!("the family {model} has no price in models; {remedy}"),
            };
            return Err(Invalid::new(kind.path_in(&format!("tiers[{i}]")), problem));
        }
    }
    Ok(())
}

fn has_price(models: &Families, model: &str) -> bool {
    let family = models.by_name(model).and_then(|id| models.get(id));
    family.is_some_and(|family| family.prices.is_some())
}
