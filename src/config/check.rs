//! From what is written to a config that can be used, or the first thing that is wrong with it.

use super::admin;
use super::error::ConfigError;
use super::feed;
use super::overload;
use super::schema::{self, Root};
use super::sources::{
    account_source, default_account, default_tier, header_name, identity_headers, indexed,
    tier_source,
};
use super::value::{Count, Duration};
use super::{Config, Mode, OnFault, Settle, Tokens};
use crate::account::recharge::VoucherRule;
use crate::account::{Cents, Tier, TierId, TierTable};
use crate::digest::sha256_hex;
use crate::json::{self, Object};
use crate::limit::day::DayRule;
use crate::limit::record::Windows;
use crate::reply::headers::HeaderStyle;
use crate::time::Span;
use crate::usage::{Estimate, ReadOptions};

/// The tier label of requests whose tier is not known; no tier can have it.
const NO_TIER: &str = crate::metrics::NO_TIER;
const SHORTEST_WINDOW_MS: u64 = 60;
const LONGEST_MINUTE_MS: u64 = 3_600_000;
const MOST_ACCOUNTS: u64 = 4_194_304;
const MOST_TIERS: usize = 64;
const LONGEST_WAIT: Span = Span::from_secs(60);
const MOST_TOKENS: u64 = 1_000_000_000;
/// Bodies are held in memory, by Envoy and once more by the VM.
const LONGEST_BODY: u64 = 16_777_216;

type Checked<T> = Result<T, ConfigError>;

/// Reads and checks a config; nothing at all, or `{}`, is the default config.
///
/// # Errors
/// The first thing that is wrong, with its JSON path and what is allowed.
pub fn parse(json: &[u8]) -> Checked<Config> {
    let json = json.trim_ascii();
    let Object(root): Object<Root> = match json {
        [] => Object::default(),
        _ => json::read(json).map_err(|wrong| ConfigError::new(wrong.path, wrong.problem))?,
    };
    refuse_parts_to_come(&root)?;
    let tiers = tiers(root.tiers)?;
    let account = match root.account {
        None => default_account(),
        Some(sources) => indexed("account", sources, account_source)?,
    };
    if account.is_empty() {
        return Err(ConfigError::new("account", "no source: name at least one"));
    }
    let tier = match root.tier {
        None => default_tier(),
        Some(entries) => indexed("tier", entries, tier_source)?,
    };
    let mut strip = if root.strip_headers.unwrap_or(true) {
        identity_headers(&account, &tier)
    } else {
        Vec::new()
    };
    let identity = root.tokens.0.identity.unwrap_or(true);
    let tokens = tokens(root.tokens.0)?;
    // Encoded bodies can't be read, so none is asked for.
    if (tokens.settle == Settle::Usage || tokens.include_usage) && identity {
        strip.push("accept-encoding".to_owned());
    }
    Ok(Config {
        digest: sha256_hex(json),
        namespace: namespace(root.namespace)?,
        mode: root.mode.unwrap_or(Mode::Enforce),
        on_fault: root.on_fault.unwrap_or(OnFault::Allow),
        overload: root.load.map(|l| overload::check(l, &tiers)).transpose()?,
        usage_path: root.usage_path.map(usage_path).transpose()?,
        unknown_tier: tier_or_refuse("unknown_tier", root.unknown_tier, &tiers)?,
        not_ready: tier_or_refuse("not_ready", root.not_ready, &tiers)?,
        tiers,
        account,
        tier,
        strip,
        windows: windows(&root.windows.0)?,
        tokens,
        headers: headers(root.headers)?,
        concurrency_retry_after: root
            .concurrency_retry_after
            .map_or(Span::from_secs(1), |d| d.0),
        accounts: capacity("capacity.accounts", root.capacity.0.accounts)?,
        directory_accounts: capacity("capacity.directory", root.capacity.0.directory)?,
        voucher: voucher(root.voucher)?,
        admin: root.admin.map(|Object(a)| admin::check(a)).transpose()?,
        feed: root.directory.map(feed::check).transpose()?,
    })
}

/// What the contract names and this version does not have is refused, never silently ignored.
fn refuse_parts_to_come(root: &Root) -> Checked<()> {
    if root.routes.as_ref().is_none_or(Vec::is_empty) {
        return Ok(());
    }
    Err(ConfigError::new(
        "routes",
        "this version of tiergate does not have this part yet; leave it out",
    ))
}

/// A name that is safe in keys, metrics and logs.
fn plain_name(path: &str, name: &str) -> Checked<()> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if (1..=64).contains(&name.len()) && name.bytes().all(allowed) {
        return Ok(());
    }
    Err(ConfigError::new(
        path,
        format!("{name:?} is not a name: 1 to 64 of A-Z a-z 0-9 _ - are allowed"),
    ))
}

fn namespace(name: Option<String>) -> Checked<String> {
    let name = name.unwrap_or_else(|| "tiergate".to_owned());
    plain_name("namespace", &name)?;
    Ok(name)
}

fn tiers(tiers: Option<Vec<Object<schema::Tier>>>) -> Checked<TierTable> {
    let Some(tiers) = tiers else {
        return Ok(TierTable::default());
    };
    if tiers.len() > MOST_TIERS {
        let problem = format!("{} tiers: at most {MOST_TIERS} are allowed", tiers.len());
        return Err(ConfigError::new("tiers", problem));
    }
    let mut table: Vec<Tier> = Vec::with_capacity(tiers.len());
    for (i, Object(tier)) in tiers.into_iter().enumerate() {
        let path = format!("tiers[{i}].name");
        plain_name(&path, &tier.name)?;
        if tier.name == NO_TIER || tier.name == "refuse" {
            let problem = format!("{:?} has a meaning of its own: choose another", tier.name);
            return Err(ConfigError::new(path, problem));
        }
        if table.iter().any(|t| t.name == tier.name) {
            let problem = format!("there is a tier {:?} already", tier.name);
            return Err(ConfigError::new(path, problem));
        }
        if let Some(before) = table.last()
            && before.recharge >= tier.recharge.0
        {
            return Err(ConfigError::new(
                format!("tiers[{i}].recharge"),
                format!(
                    "{} is not over {} of the tier before: tiers ascend by recharge",
                    tier.recharge.0, before.recharge
                ),
            ));
        }
        let Object(limits) = tier.limits;
        table.push(Tier {
            name: tier.name,
            recharge: tier.recharge.0,
            limits,
            wait: wait(&format!("tiers[{i}].wait"), tier.wait)?,
        });
    }
    TierTable::new(table).ok_or_else(|| ConfigError::new("tiers", "no tier: name at least one"))
}

fn wait(path: &str, wait: Option<Duration>) -> Checked<Option<Span>> {
    match wait {
        Some(Duration(wait)) if wait > LONGEST_WAIT => Err(ConfigError::new(
            path,
            "out of range: \"1ms\" to \"1m\" is allowed, or nothing for no wait",
        )),
        wait => Ok(wait.map(|Duration(wait)| wait)),
    }
}

fn tier_or_refuse(path: &str, name: Option<String>, tiers: &TierTable) -> Checked<Option<TierId>> {
    match name.as_deref() {
        None | Some("refuse") => Ok(None),
        Some(name) => match tiers.by_name(name.as_bytes()) {
            Some(index) => Ok(Some(index)),
            None => Err(ConfigError::new(
                path,
                format!("{name:?} is neither \"refuse\" nor the name of a tier"),
            )),
        },
    }
}

fn windows(windows: &schema::Windows) -> Checked<Windows> {
    let minute = windows.minute.map_or(Span::from_secs(60), |d| d.0);
    if !(SHORTEST_WINDOW_MS..=LONGEST_MINUTE_MS).contains(&minute.as_millis()) {
        return Err(ConfigError::new(
            "windows.minute",
            "out of range: \"60ms\" to \"1h\" is allowed",
        ));
    }
    let day = match &windows.day {
        None => DayRule::Calendar { offset_minutes: 0 },
        Some(Object(schema::Day {
            calendar: Some(offset),
            rolling: None,
        })) => DayRule::Calendar {
            offset_minutes: offset.0,
        },
        Some(Object(schema::Day {
            calendar: None,
            rolling: Some(length),
        })) if length.0.as_millis() >= SHORTEST_WINDOW_MS => DayRule::Rolling(length.0),
        Some(_) => {
            return Err(ConfigError::new(
                "windows.day",
                "exactly one of {\"calendar\": \"+00:00\"} and {\"rolling\": \"24h\"} \
                 (at least \"60ms\")",
            ));
        }
    };
    Ok(Windows { minute, day })
}

fn tokens(tokens: schema::Tokens) -> Checked<Tokens> {
    let number = |name: &str, value: Option<Count>, default: u64, least: u64, most: u64| {
        let n = value.map_or(default, |c| c.0);
        if (least..=most).contains(&n) {
            return Ok(n);
        }
        Err(ConfigError::new(
            format!("tokens.{name}"),
            format!("{n} is out of range: {least} to {most} is allowed"),
        ))
    };
    let most = MOST_TOKENS;
    let body_limit = number("body_limit", tokens.body_limit, 262_144, 1, LONGEST_BODY)?;
    let read_body = tokens.read_body.unwrap_or(false);
    let include_usage = tokens.include_usage.unwrap_or(false);
    if include_usage && !read_body {
        let problem = "needs \"read_body\": true, since it changes the request's body";
        return Err(ConfigError::new("tokens.include_usage", problem));
    }
    let header = tokens.header.map(|name| header_name("tokens", &name));
    Ok(Tokens {
        settle: tokens.settle.unwrap_or(Settle::Usage),
        estimate: Estimate {
            bytes_per_token: number("bytes_per_token", tokens.bytes_per_token, 4, 1, most)?,
            context: number("context", tokens.context, 262_144, 1, most)?,
            prompt: number("prompt", tokens.prompt, 1024, 0, most)?,
            completion: number("completion", tokens.completion, 1024, 0, most)?,
        },
        read_body: read_body.then_some(body_limit),
        include_usage,
        options: ReadOptions {
            cached: tokens.cached.unwrap_or_default(),
            header: header.transpose()?,
        },
    })
}

fn headers(styles: Option<Vec<String>>) -> Checked<Vec<HeaderStyle>> {
    let Some(styles) = styles else {
        return Ok(vec![HeaderStyle::OpenAi]);
    };
    let mut checked = Vec::with_capacity(styles.len());
    for (i, style) in styles.iter().enumerate() {
        let path = format!("headers[{i}]");
        let style = match style.as_str() {
            "openai" => HeaderStyle::OpenAi,
            "ietf" => {
                let problem = "this version of tiergate does not have the ietf headers yet";
                return Err(ConfigError::new(path, problem));
            }
            other => {
                let problem = format!("{other:?} is no style: \"openai\" is allowed");
                return Err(ConfigError::new(path, problem));
            }
        };
        if checked.contains(&style) {
            return Err(ConfigError::new(path, "named twice"));
        }
        checked.push(style);
    }
    Ok(checked)
}

fn usage_path(path: String) -> Checked<String> {
    if feed::is_path(&path) && !path.contains(['?', '#']) {
        return Ok(path);
    }
    let problem = format!("{path:?} is not a path such as \"/v1/rate_limits\"");
    Err(ConfigError::new("usage_path", problem))
}

fn capacity(path: &str, count: Option<Count>) -> Checked<u32> {
    let n = count.map_or(65_536, |c| c.0);
    u32::try_from(n)
        .ok()
        .filter(|_| (1..=MOST_ACCOUNTS).contains(&n))
        .ok_or_else(|| {
            ConfigError::new(
                path,
                format!("{n} is out of range: 1 to {MOST_ACCOUNTS} is allowed"),
            )
        })
}

/// Nothing said: the published rule; null: no voucher.
fn voucher(voucher: Option<Option<Object<schema::Voucher>>>) -> Checked<Option<VoucherRule>> {
    match voucher {
        None => Ok(Some(VoucherRule::default())),
        Some(None) => Ok(None),
        Some(Some(Object(voucher))) if voucher.at.0 == Cents::default() => Err(ConfigError::new(
            "voucher.at",
            "must be over 0, or the voucher null",
        )),
        Some(Some(Object(voucher))) => Ok(Some(VoucherRule {
            at: voucher.at.0,
            amount: voucher.amount.0,
        })),
    }
}
