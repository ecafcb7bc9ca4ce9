//! `tiergate explain`: the tier and the limits that a config gives, by the filter's rules.

use crate::check::load::{ConfigLoadError, load_one};
use crate::output::Output;
use clap::Args;
use serde::Serialize;
use std::borrow::Cow;
use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;
use tiergate::config;
use tiergate::json::{Invalid, Named};
use tiergate::limits::{Limit, LimitKind, Limits, Shown};
use tiergate::tiers::money::NotAnAmount;
use tiergate::tiers::{Cents, Tier, TierTable};
use tiergate::time::Span;

#[derive(Args)]
pub struct ExplainArgs {
    /// The file with the plugin config, as tiergate check reads it; - for standard input; without it,
    /// the defaults
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    account: AccountArgs,
    /// JSON in place of the table
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct AccountArgs {
    /// The cumulative recharge of the account in USD, such as 20 or 4.99
    #[arg(long, value_name = "USD", value_parser = usd, allow_negative_numbers = true)]
    recharge: Option<Cents>,
    /// The tier that the account is put into
    #[arg(long, value_name = "NAME")]
    tier: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    #[error(transparent)]
    Config(#[from] ConfigLoadError),
    #[error("the defaults: config at {0}")]
    Defaults(Invalid),
    #[error("there is no tier {name:?}: the config has {known}")]
    NoSuchTier { name: String, known: String },
    #[error("the tiers of this config have no recharge: name one with --tier")]
    NamesAlone,
    #[error("can't write the answer: {0}")]
    Unwritable(#[from] io::Error),
}

/// A time since the first recharge that is long enough for any tier.
const AGES: Span = Span::from_millis(u64::MAX);

/// The explanation of one account.
struct Explained<'a> {
    recharge: Option<Cents>,
    tier: Option<&'a Tier>,
    next: Option<NextTier<'a>>,
}

struct NextTier<'a> {
    tier: &'a Tier,
    recharge: Cents,
    missing: Cents,
}

pub fn run(args: &ExplainArgs) -> Result<(), ExplainError> {
    let config = match &args.config {
        None => config::parse(b"").map_err(ExplainError::Defaults)?,
        Some(path) => load_one(path)?,
    };
    let tiers = config.tiers;
    let explained = explain(&args.account, &tiers)?;
    let mut text = if args.json {
        serde_json::to_string(&explained.json()).map_err(io::Error::from)?
    } else {
        explained.table()
    };
    text.push('\n');
    Output::print(&text)?;
    Ok(())
}

fn usd(text: &str) -> Result<Cents, NotAnAmount> {
    Cents::parse(text.as_bytes())
}

fn explain<'a>(account: &AccountArgs, tiers: &'a TierTable) -> Result<Explained<'a>, ExplainError> {
    let id = match &account.tier {
        Some(name) => Some(tiers.by_name(name.as_bytes()).ok_or_else(|| {
            let known: Vec<&str> = tiers.iter().map(|t| t.name.as_str()).collect();
            ExplainError::NoSuchTier {
                name: name.clone(),
                known: known.join(", "),
            }
        })?),
        None if !tiers.follow_recharge() => return Err(ExplainError::NamesAlone),
        // The account is old enough for any tier.
        None => tiers.by_recharge(account.recharge.unwrap_or_default(), AGES),
    };
    let tier = id.and_then(|id| tiers.get(id));
    // A tier by name does not say what was paid, so the difference counts from its threshold.
    let paid = account.recharge.or(tier.and_then(|t| t.recharge));
    let paid = paid.unwrap_or_default();
    let next = tiers.above(id).and_then(|tier| {
        let recharge = tier.recharge?;
        Some(NextTier {
            tier,
            recharge,
            missing: Cents::new(recharge.get().saturating_sub(paid.get())),
        })
    });
    Ok(Explained {
        recharge: account.recharge,
        tier,
        next,
    })
}

impl Explained<'_> {
    fn table(&self) -> String {
        let mut rows: Vec<(Cow<'_, str>, String)> = Vec::new();
        if let Some(recharge) = self.recharge {
            rows.push(("recharge".into(), recharge.to_string()));
        }
        match self.tier {
            None => rows.push((
                "tier".into(),
                "none: refused with recharge_required".to_owned(),
            )),
            Some(tier) => {
                let from = tier.recharge.map(|recharge| format!(", from {recharge}"));
                let from = from.unwrap_or_default();
                let after = match tier.after {
                    Span::ZERO => String::new(),
                    after => format!(", {after} after the first recharge"),
                };
                rows.push(("tier".into(), format!("{}{from}{after}", tier.name)));
                for (kind, limit) in tier.all_limits().iter() {
                    rows.push((heading(kind), in_words(kind, *limit)));
                }
                if let Some(wait) = tier.wait {
                    let held = format!("up to {} ms over its concurrency", wait.as_millis());
                    rows.push(("wait".into(), held));
                }
            }
        }
        let next = match &self.next {
            None if self.tier.is_some_and(|tier| tier.recharge.is_none()) => {
                "none: tiers of this config are names alone".to_owned()
            }
            None => "none: this is the last".to_owned(),
            Some(next) => {
                let NextTier {
                    recharge, missing, ..
                } = next;
                format!("{}, from {recharge}: {missing} missing", next.tier.name)
            }
        };
        rows.push(("next tier".into(), next));
        let longest = rows.iter().map(|(name, _)| name.chars().count()).max();
        let width = longest.map_or(0, |longest| longest.saturating_add(2));
        let mut text = String::new();
        for (name, value) in rows {
            // Writing to a String can't fail.
            let _ = writeln!(text, "{name:<width$}{value}");
        }
        text.truncate(text.trim_end().len());
        text
    }

    fn json(&self) -> Json<'_> {
        Json {
            recharge: self.recharge.map(Cents::decimal),
            tier: self.tier.map(|tier| JsonTier {
                name: &tier.name,
                recharge: tier.recharge.map(Cents::decimal),
                after: (tier.after > Span::ZERO).then(|| tier.after.to_string()),
                limits: &tier.limits,
                models: tier.models.shown().models(),
                wait: tier.wait.map(|wait| format!("{}ms", wait.as_millis())),
            }),
            next: self.next.as_ref().map(|next| JsonNext {
                name: &next.tier.name,
                recharge: next.recharge.decimal(),
                missing: next.missing.decimal(),
            }),
        }
    }
}

fn heading(kind: LimitKind) -> Cow<'static, str> {
    match kind.is_concurrency() {
        true => kind.as_str().into(),
        false => kind.heading(),
    }
}

fn in_words(name: LimitKind, limit: Limit) -> String {
    let shown = name.limit(limit);
    match shown {
        Shown::Unlimited | Shown::Cents(_) => shown.grouped(),
        Shown::Count(_) => format!("{} {}", shown.grouped(), name.in_words()),
    }
}

#[derive(Serialize)]
struct Json<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    recharge: Option<String>,
    tier: Option<JsonTier<'a>>,
    next: Option<JsonNext<'a>>,
}

#[derive(Serialize)]
struct JsonTier<'a> {
    name: &'a str,
    recharge: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    limits: &'a Limits,
    #[serde(skip_serializing_if = "Named::is_empty")]
    models: Named<Named<Shown>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wait: Option<String>,
}

#[derive(Serialize)]
struct JsonNext<'a> {
    name: &'a str,
    recharge: String,
    missing: String,
}
