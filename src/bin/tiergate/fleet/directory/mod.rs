//! The account directory of a fleet, in Redis: what operators write, and what edges follow.
//!
//! Each write files the account under the next version, in the same run of a script. An edge that names
//! the version it knows gets what changed since. Recharges of an account are a set of their ids, so each
//! counts once, whichever service takes it and however often it is sent.

mod account;
mod feed;
mod http;

pub use account::StoredAccount;
pub use http::routes;

use super::operator::{CallError, Operator};
use account::PutArgs;
use redis::Value;
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};
use tiergate::admin::{Problem, body, check_put};
use tiergate::directory::written::CheckedEntry;
use tiergate::tiers::recharge::RechargeKind;

/// The script.
pub const SCRIPT: &str = include_str!("directory.lua");
/// The longest id of an account, in bytes: the path of a page names one.
const ID_BYTES: usize = 512;

/// The reply of the script: the directory's state, and what was asked for.
#[derive(Debug)]
struct DirectoryReply {
    version: DirectoryVersion,
    rest: Vec<Value>,
}

/// A state of the directory: its name, which a directory that began anew has not, and its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryVersion {
    born: String,
    /// The incarnation of the store, which another one follows where writes may be lost.
    store: String,
    number: u64,
    /// The version up to which removed ids are forgotten.
    floor: u64,
    /// True when an operator said that it is whole.
    ready: bool,
}

impl Operator<'_> {
    /// Runs the script on the directory; `id` is that of the account that it is about.
    async fn directory(
        &self,
        op: &str,
        id: &str,
        args: &[&str],
    ) -> Result<DirectoryReply, CallError> {
        let live = self.live()?;
        let base = format!("{{{}}}:tg1:accounts", self.config.namespace);
        let parts = ["", ":order", ":log", ":gone", ":meta"];
        let mut keys: Vec<String> = parts.iter().map(|part| format!("{base}{part}")).collect();
        keys.push(format!("{base}:paid:{id}"));
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let mut all = vec![op, id];
        all.extend(args);
        let store = &self.batches.store;
        let reply = store.run_on(&live, &store.directory, &keys, &all).await;
        let reply = reply.map_err(|error| CallError::Store(error.to_string()))?;
        DirectoryReply::read(reply, &live.store)
            .ok_or_else(|| CallError::Store("the directory's reply is none".into()))
    }

    /// Returns an account of the directory; `None` for one that it does not have.
    pub async fn stored(&self, id: &str) -> Result<Option<StoredAccount>, CallError> {
        let reply = self.directory("look", checked(id)?, &[]).await?;
        Ok(reply.account(0))
    }

    /// Returns an account as the directory has it, and its use over all edges.
    pub async fn account(&self, id: &str) -> Result<Json, CallError> {
        let stored = self.stored(id).await?;
        let target = stored.as_ref().and_then(StoredAccount::target);
        let used = self.account_use(target.unwrap_or(id)).await?;
        if stored.is_none() && used.is_none() {
            return Err(Problem::UnknownAccount.into());
        }
        let mut view = stored
            .as_ref()
            .map(|one| one.view(id, self.config))
            .unwrap_or_default();
        view.entry("id").or_insert_with(|| id.into());
        if let Some(target) = target
            && let Some(target) = self.stored(target).await?
        {
            target.lend_to(&mut view, self.config);
        }
        if let Some(used) = used {
            view.insert("fleet".to_owned(), json!(used));
        }
        Ok(Json::Object(view))
    }

    /// Writes an account.
    pub async fn put_account(&self, id: &str, body: &[u8]) -> Result<Json, CallError> {
        let put = body::put(body)?;
        self.write(id, &put, body).await
    }

    async fn write(&self, id: &str, put: &CheckedEntry, body: &[u8]) -> Result<Json, CallError> {
        check_put(self.config, checked(id)?.as_bytes(), put)?;
        let args = PutArgs::new(put, body);
        let voucher = self.voucher_at();
        let args = [args.basis, &args.name, &args.since, &args.terms, &voucher];
        let reply = self.directory("put", id, &args).await?;
        self.written(id, &reply)
    }

    /// Writes many accounts, each by itself; returns the report.
    pub async fn put_accounts(&self, body: &[u8]) -> Result<Json, CallError> {
        let (mut accepted, mut refused) = (0_u32, Vec::new());
        for (item, text) in (1_u32..).zip(body::items(body)?) {
            let written = match body::item(text) {
                Ok((id, put)) => {
                    let written = self.write(&id, &put, text).await;
                    written.map_err(|error| (Some(id), error))
                }
                Err((id, problem)) => Err((id, problem.into())),
            };
            match written {
                Ok(_) => accepted = accepted.saturating_add(1),
                // Nothing of the rest could be written either.
                Err((_, error @ CallError::Store(_))) => return Err(error),
                Err((id, error)) => {
                    refused.push(json!({"item": item, "id": id, "message": error.to_string()}));
                }
            }
        }
        let ready = self.directory("look", "-", &[]).await?.version.ready;
        Ok(json!({"accepted": accepted, "refused": refused, "ready": ready}))
    }

    /// Adds a recharge, unless its id is known.
    pub async fn recharge(&self, id: &str, body: &[u8]) -> Result<Json, CallError> {
        let recharge = body::recharge(body)?;
        if !self.config.tiers.follow_recharge() {
            let problem = "the tiers of this config have no recharge: name a tier";
            return Err(Problem::body("$", problem).into());
        }
        let digest = Sha256::digest(recharge.id.as_bytes());
        let event: String = digest
            .iter()
            .take(16)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let kind = match recharge.kind {
            RechargeKind::Cash => "cash",
            RechargeKind::Voucher => "voucher",
        };
        let (amount, voucher) = (recharge.amount.get().to_string(), self.voucher_at());
        let args = [event.as_str(), kind, &amount, &voucher];
        let reply = self.directory("recharge", checked(id)?, &args).await?;
        match reply.text(0) == Some("alias") {
            true => Err(Problem::IsAlias.into()),
            false => self.written(id, &reply),
        }
    }

    /// Says that the directory is whole.
    pub async fn ready(&self) -> Result<Json, CallError> {
        self.directory("ready", "-", &[]).await?;
        Ok(json!({"ready": true}))
    }

    /// Forgets an account; its use begins anew on all edges.
    pub async fn delete_account(&self, id: &str) -> Result<Json, CallError> {
        let reply = self.directory("delete", checked(id)?, &[]).await?;
        let used = self.account_use(id).await?;
        if reply.number(0) != Some(1) && used.is_none() {
            return Err(Problem::UnknownAccount.into());
        }
        if used.is_some() {
            self.reset(id).await?;
        }
        Ok(json!({"id": id, "deleted": true}))
    }

    /// Lists accounts in the order of their ids, after one of them.
    pub async fn accounts(&self, after: &str, limit: usize) -> Result<Json, CallError> {
        let page = self.page(after, limit).await?;
        let all = page.accounts.iter();
        let views: Vec<_> = all.map(|(id, one)| one.view(id, self.config)).collect();
        let next = page.accounts.last().filter(|_| page.more).map(|(id, _)| id);
        let ready = page.version.ready;
        Ok(json!({"accounts": views, "next": next, "ready": ready}))
    }

    fn voucher_at(&self) -> String {
        let rule = self.config.voucher.as_ref();
        rule.map(|rule| rule.at.get().to_string())
            .unwrap_or_default()
    }

    fn written(&self, id: &str, reply: &DirectoryReply) -> Result<Json, CallError> {
        let account = reply.account(0);
        let account = account.ok_or_else(|| CallError::Store("no account was written".into()))?;
        let is = |at: usize| reply.number(at) == Some(1);
        let ready = reply.version.ready;
        Ok(account.written(id, self.config, (is(1), is(2), ready)))
    }
}

/// Returns an id that the directory can have.
fn checked(id: &str) -> Result<&str, Problem> {
    match id.len() {
        0 => Err(Problem::BadId("is empty")),
        n if n > ID_BYTES => Err(Problem::BadId("is over 512 bytes")),
        _ => Ok(id),
    }
}

impl DirectoryReply {
    fn read(reply: Value, store: &str) -> Option<Self> {
        let Value::Array(mut list) = reply else {
            return None;
        };
        let rest = list.split_off(4.min(list.len()));
        let [born, number, floor, ready] = list.as_slice() else {
            return None;
        };
        let version = DirectoryVersion {
            born: text(born)?.to_owned(),
            store: store.to_owned(),
            number: whole(number)?,
            floor: whole(floor)?,
            ready: whole(ready)? == 1,
        };
        Some(Self { version, rest })
    }

    fn text(&self, at: usize) -> Option<&str> {
        text(self.rest.get(at)?)
    }

    fn number(&self, at: usize) -> Option<u64> {
        whole(self.rest.get(at)?)
    }

    fn account(&self, at: usize) -> Option<StoredAccount> {
        StoredAccount::read(self.text(at)?)
    }
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

fn whole(value: &Value) -> Option<u64> {
    match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}
