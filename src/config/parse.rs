//! Parses the bytes of a config to a checked [`Config`], or to the first error.

use super::schema::{ConfigRoot, MOST_ACCOUNTS, StripHeaders, Unpriced};
use super::{Config, Mode, admin, bounds};
use crate::directory::feed::config::FeedSource;
use crate::fleet::Fleet;
use crate::http::names::{header_name, is_path};
use crate::http::sha256::sha256_hex;
use crate::identity::TierSource;
use crate::identity::config::{account_sources, identity_headers, tier_sources};
use crate::json::values::Count;
use crate::json::{self, Invalid, Object, in_range, plain_name, wire_struct};
use crate::limits::config::windows;
use crate::models::config::{families, sources, unknown_model};
use crate::notices::Notices;
use crate::overload::Policy;
use crate::reply::config::{Replies, RepliesConfig};
use crate::routes::config::routes;
use crate::scheduler::{self, Scheduler};
use crate::tiers::config::{tier_or_refuse, tiers, voucher};
use crate::time::Span;
use crate::tokens::config::{ReserveRule, Tokens};
use serde_json::{Map, Value};

/// The fields of a config that judges nothing by itself.
const BARE: [&str; 2] = ["admin", "namespace"];

/// The maximum number of headers in `strip_headers`.
const MOST_STRIPPED: usize = 32;

/// The maximum size of a config, in bytes.
const MOST_BYTES: usize = 1 << 20;

/// Checks the list of `strip_headers`.
fn listed(names: &[String]) -> Result<Vec<String>, Invalid> {
    if names.len() > MOST_STRIPPED {
        return Err(Invalid::new("strip_headers", "at most 32 headers"));
    }
    let checked = names.iter().map(|name| header_name("strip_headers", name));
    checked.collect()
}

/// Returns the JSON text of a Struct.
fn read_struct(config: &[u8]) -> Option<String> {
    // Its first member begins with this byte, which is white space in JSON.
    let starts = config.first() == Some(&b'\n');
    let read = starts.then(|| wire_struct::read(config)).flatten();
    read.map(|value| value.to_string())
}

/// Reads and checks a config: JSON, or a `google.protobuf.Struct` in its wire form. No bytes, or `{}`,
/// give the default config.
///
/// # Errors
/// The first error, with its JSON path and what is allowed.
pub fn parse(config: &[u8]) -> Result<Config, Invalid> {
    if config.len() > MOST_BYTES {
        let problem = format!("{} bytes: a config has at most 1 MiB", config.len());
        return Err(Invalid::new("$", problem));
    }
    let json = config.trim_ascii();
    let read = match json {
        [] => Ok(Object::default()),
        _ => json::read::<Object<ConfigRoot>>(json),
    };
    let (Object(root), text) = match (read, read_struct(config)) {
        (Ok(root), _) => (root, None),
        (Err(_), Some(text)) => (json::read(text.as_bytes())?, Some(text)),
        (Err(error), None) => return Err(error),
    };
    let (shareable, is_bare) = shared_form(text.as_deref().map_or(json, str::as_bytes));
    let mut tokens = Tokens::check(root.tokens.0)?;
    let models = families(root.models, &tokens.weights)?;
    let reads_body = tokens.read_body.is_some();
    let dialects = &mut tokens.options.dialects;
    let model = sources(root.model, &models, reads_body, dialects)?;
    let unknown_model = unknown_model(root.unknown_model.as_deref(), &models)?;
    let tiers = tiers(root.tiers, &models)?;
    let routes = routes(root.routes, &tiers)?;
    let account = account_sources(root.account)?;
    let tier = tier_sources(root.tier, tiers.follow_recharge())?;
    let namespace = namespace(root.namespace)?;
    templates_are_elsewhere(&tier, &namespace)?;
    let mut strip = match root.strip_headers.unwrap_or(StripHeaders::Switch(true)) {
        StripHeaders::Switch(true) => identity_headers(&account, &tier),
        StripHeaders::Switch(false) => Vec::new(),
        StripHeaders::Names(names) => listed(&names)?,
    };
    let scheduler = root.scheduler.map(|Object(s)| Scheduler::check(s, &tiers));
    let scheduler = scheduler.transpose()?;
    if scheduler.is_some() {
        strip.extend(scheduler::HEADERS.map(str::to_owned));
    }
    if tokens.needs_plain_responses() {
        strip.push("accept-encoding".to_owned());
    }
    let retry_after = root.concurrency_retry_after;
    let windows = windows(&root.windows.0)?;
    let width = bounds::width(&models, &tokens.weights);
    let notices = root
        .notices
        .map(|n| Notices::check(n, &tiers))
        .transpose()?;
    let extras = bounds::Extras {
        marks: notices.is_some(),
        completion: tokens.reserve == ReserveRule::Adaptive,
        fleet: root.fleet.is_some(),
    };
    bounds::records_fit(&tiers, &windows, width, extras)?;
    bounds::series_fit(&tiers, &models)?;
    let is_free = root.unpriced == Some(Unpriced::Free);
    let is_priced = is_free || bounds::is_priced(&models, unknown_model);
    if !is_free {
        bounds::money_has_prices(&tiers, &models, is_priced)?;
    }
    Ok(Config {
        digest: sha256_hex(json),
        shareable,
        is_bare,
        namespace,
        mode: root.mode.unwrap_or(Mode::Enforce),
        on_fault: root.on_fault.unwrap_or_default(),
        overload: root.load.map(|l| Policy::check(l, &tiers)).transpose()?,
        usage_path: root.usage_path.map(usage_path).transpose()?,
        log_account: root.log_account.unwrap_or(false),
        log_usage: root.log_usage.unwrap_or(false),
        scheduler,
        notices,
        fleet: root.fleet.map(Fleet::check).transpose()?,
        log_admitted: root.log_admitted.unwrap_or(true),
        usage_names: root.usage_names.unwrap_or(false),
        unknown_tier: tier_or_refuse("unknown_tier", root.unknown_tier, &tiers)?,
        not_ready: tier_or_refuse("not_ready", root.not_ready, &tiers)?,
        tiers,
        models,
        model,
        unknown_model,
        is_priced,
        account,
        tier,
        routes,
        strip,
        windows,
        tokens,
        replies: Replies::check(RepliesConfig {
            headers: root.headers,
            errors: root.errors,
            jitter: root.jitter,
            cors: root.cors,
        })?,
        concurrency_retry_after: retry_after.map_or(Span::from_secs(1), |d| d.0),
        accounts: capacity("capacity.accounts", root.capacity.0.accounts)?,
        directory_accounts: capacity("capacity.directory", root.capacity.0.directory)?,
        voucher: voucher(root.voucher)?,
        admin: root.admin.map(admin::check).transpose()?,
        feed: root.directory.map(FeedSource::check).transpose()?,
    })
}

fn namespace(name: Option<String>) -> Result<String, Invalid> {
    let name = name.unwrap_or_else(|| "tiergate".to_owned());
    plain_name("namespace", &name)?;
    Ok(name)
}

/// Rejects a template of a shared-data key that could name the limiter's own values.
fn templates_are_elsewhere(tier: &[TierSource], namespace: &str) -> Result<(), Invalid> {
    for (i, source) in tier.iter().enumerate() {
        let TierSource::SharedData(template) = source else {
            continue;
        };
        let is_own = template.starts_with(&format!("{namespace}/"));
        if is_own || template == "{account}" {
            let problem = format!(
                "{template:?} may name this filter's own values: put a fixed part before {{account}} \
                 that does not begin with \"{namespace}/\""
            );
            return Err(Invalid::new(format!("tier[{i}].shared_data"), problem));
        }
    }
    Ok(())
}

fn usage_path(path: String) -> Result<String, Invalid> {
    if is_path(&path) && !path.contains(['?', '#']) {
        return Ok(path);
    }
    let problem = format!("{path:?} is not a path such as \"/v1/rate_limits\"");
    Err(Invalid::new("usage_path", problem))
}

fn capacity(path: &str, count: Option<Count>) -> Result<Option<u32>, Invalid> {
    let Some(Count(n)) = count else {
        return Ok(None);
    };
    let n = in_range(path, n, 1..=MOST_ACCOUNTS)?;
    Ok(Some(u32::try_from(n).unwrap_or(u32::MAX)))
}

/// Returns a config as other filters of the namespace may read it, and whether it is bare.
fn shared_form(json: &[u8]) -> (String, bool) {
    let mut all: Map<String, Value> = serde_json::from_slice(json).unwrap_or_default();
    let is_bare = all.contains_key("admin") && all.keys().all(|name| BARE.contains(&&**name));
    all.remove("admin");
    if let Some(Value::Object(feed)) = all.get_mut("directory") {
        feed.remove("token");
    }
    if let Some(Value::Object(to)) = all.get_mut("notices").and_then(|n| n.get_mut("to")) {
        to.remove("token");
    }
    if let Some(Value::Object(fleet)) = all.get_mut("fleet") {
        fleet.remove("token");
        fleet.remove("key");
    }
    if let Some(Value::Object(scheduler)) = all.get_mut("scheduler") {
        scheduler.remove("key");
    }
    (Value::Object(all).to_string(), is_bare)
}
