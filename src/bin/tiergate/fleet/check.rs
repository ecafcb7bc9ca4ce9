//! `tiergate fleet check`: a test of a deployment, over HTTP as edges speak to it.

use crate::Ending;
use clap::Args;
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tiergate::fleet::hex::{AccountId, EdgeId, Incarnation};
use tiergate::fleet::message::{LeaseAsk, MeterAsk, StepAnswer, StepItem, StepRequest, VERSION};
use ureq::Agent;

const TIMEOUT: Duration = Duration::from_secs(5);
/// The namespace of checks, in which no edge of the fleet is.
const NAMESPACE: &str = "tiergate-check";
const LONGEST: u64 = 1024 * 1024;

#[derive(Args)]
pub struct CheckArgs {
    /// The address of the service, or of the listener before it
    #[arg(long, value_name = "URL")]
    url: String,
    /// A file with the bearer token
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Writes the results as JSON
    #[arg(long)]
    json: bool,
}

/// The reason why a check could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    #[error("can't read {path}: {source}")]
    File {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("no random bits: {0}")]
    Random(getrandom::Error),
    #[error("the deployment is not fit: {0}")]
    Unfit(String),
}

/// One check, with what was found.
struct Finding {
    name: &'static str,
    result: Result<String, String>,
}

struct CheckClient {
    agent: Agent,
    url: String,
    token: Option<String>,
}

/// Makes all checks. The error is the first that failed; each is written.
pub fn run(args: &CheckArgs) -> Result<Ending, CheckError> {
    let token = args.token_file.as_ref().map(|path| {
        let read = std::fs::read_to_string(path);
        let read = read.map_err(|source| CheckError::File {
            path: path.clone(),
            source,
        })?;
        Ok(read.trim().to_owned())
    });
    let config = Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .http_status_as_error(false);
    let client = CheckClient {
        agent: config.build().into(),
        url: args.url.trim_end_matches('/').to_owned(),
        token: token.transpose()?,
    };
    let mut bits = [0; 32];
    getrandom::fill(&mut bits).map_err(CheckError::Random)?;
    let findings = client.findings(&bits);
    let mut out = std::io::stdout().lock();
    // A closed standard output is no failure of the deployment.
    let _ = match args.json {
        true => writeln!(out, "{}", as_json(&findings)),
        false => findings.iter().try_for_each(|one| match &one.result {
            Ok(found) => writeln!(out, "ok    {}: {found}", one.name),
            Err(why) => writeln!(out, "FAIL  {}: {why}", one.name),
        }),
    };
    let failed = findings
        .into_iter()
        .find_map(|one| Some((one.name, one.result.err()?)));
    match failed {
        None => Ok(Ending::Clean),
        Some((name, why)) => Err(CheckError::Unfit(format!("{name}: {why}"))),
    }
}

fn as_json(findings: &[Finding]) -> Value {
    let checks = findings.iter().map(|one| {
        let (ok, text) = match &one.result {
            Ok(found) => (true, found),
            Err(why) => (false, why),
        };
        json!({"check": one.name, "ok": ok, "text": text})
    });
    json!({
        "ok": findings.iter().all(|one| one.result.is_ok()),
        "checks": checks.collect::<Vec<_>>(),
    })
}

impl CheckClient {
    fn findings(&self, bits: &[u8; 32]) -> Vec<Finding> {
        let mut all = Vec::new();
        let mut add = |name, result| all.push(Finding { name, result });
        match self.get("/readyz") {
            Err(why) => add("reachable", Err(why)),
            Ok((status, body)) => {
                add("reachable", Ok(format!("{status}")));
                for (name, result) in readiness(status, &body) {
                    add(name, result);
                }
            }
        }
        for (name, result) in self.steps(bits) {
            add(name, result);
        }
        all
    }

    fn get(&self, path: &str) -> Result<(u16, Value), String> {
        let answer = self.agent.get(format!("{}{path}", self.url)).call();
        let mut answer = answer.map_err(|error| error.to_string())?;
        let text = text_of(&mut answer)?;
        let body = serde_json::from_str(&text).map_err(|_| {
            format!(
                "{} and no JSON: is a service of the fleet there?",
                answer.status()
            )
        })?;
        Ok((answer.status().as_u16(), body))
    }

    fn post(&self, request: &StepRequest) -> Result<StepAnswer, String> {
        let body = serde_json::to_string(request).map_err(|error| error.to_string())?;
        let mut post = self.agent.post(format!("{}/v1/step", self.url));
        post = post.header("content-type", "application/json");
        if let Some(token) = &self.token {
            post = post.header("authorization", format!("Bearer {token}"));
        }
        let mut answer = post.send(body).map_err(|error| error.to_string())?;
        let text = text_of(&mut answer)?;
        if answer.status() != 200 {
            let shown: String = text.chars().filter(|c| !c.is_control()).take(300).collect();
            return Err(format!("{}: {shown}", answer.status().as_u16()));
        }
        serde_json::from_str(&text).map_err(|error| error.to_string())
    }

    /// A grant on a throw-away account, and its give-back.
    fn steps(&self, bits: &[u8; 32]) -> Vec<(&'static str, Result<String, String>)> {
        let (account, edge) = bits.split_at(16);
        let account = AccountId::parse(&hex(account)).unwrap_or_default();
        let edge = EdgeId::parse(&hex(edge.get(..8).unwrap_or_default())).unwrap_or_default();
        let incarnation = Incarnation::from(1);
        let request = |seq: u32, need: u64, in_process: u64| StepRequest {
            orders: 0,
            v: VERSION,
            ns: NAMESPACE.to_owned(),
            edge,
            name: "tiergate fleet check".to_owned(),
            meters: vec!["requests/1000/-".to_owned(), "leases/-/-".to_owned()],
            store: String::new(),
            after_loss: None,
            items: vec![StepItem {
                account,
                incarnation,
                seq,
                generation: 0,
                meters: vec![MeterAsk {
                    limit: 2,
                    need,
                    ..MeterAsk::default()
                }],
                leases: vec![LeaseAsk {
                    meter: 1,
                    limit: 2,
                    in_process,
                    need,
                    ..LeaseAsk::default()
                }],
            }],
        };
        let begun = Instant::now();
        let granted = self.post(&request(1, 1, 0)).and_then(|answer| {
            let item = answer.items.first().ok_or("an answer without the item")?;
            if let Some(fault) = &item.fault {
                return Err(fault.clone());
            }
            match item.meters.first() {
                Some(meter) if item.ok && meter.grant == 1 => {
                    Ok(format!("1 of 2 in {} ms", begun.elapsed().as_millis()))
                }
                _ => Err(format!("refused: {:?}", item.no)),
            }
        });
        let back = self.post(&request(2, 0, 0)).and_then(|answer| {
            let left = answer
                .items
                .first()
                .and_then(|item| Some((item.meters.first()?.left, item.leases.first()?.left)));
            match left {
                Some((2, 2)) => Ok("all of it is left again".to_owned()),
                other => Err(format!("left is {other:?}")),
            }
        });
        vec![("grant", granted), ("give back", back)]
    }
}

/// Reads the body of an answer.
fn text_of(answer: &mut ureq::http::Response<ureq::Body>) -> Result<String, String> {
    let body = answer.body_mut().with_config().limit(LONGEST);
    body.read_to_string().map_err(|error| error.to_string())
}

/// The answer of `/readyz`.
fn readiness(status: u16, body: &Value) -> Vec<(&'static str, Result<String, String>)> {
    let problems = body.get("problems").and_then(Value::as_array);
    let problems = problems.into_iter().flatten().filter_map(Value::as_str);
    let problems = problems.collect::<Vec<_>>().join("; ");
    let ready = match (status, problems.as_str()) {
        (200, _) => Ok("ready".to_owned()),
        (status, problems) => Err(format!("{status}: {problems}")),
    };
    let text = |value: Option<&Value>| {
        value
            .and_then(Value::as_str)
            .unwrap_or("unknown")
            .to_owned()
    };
    let version = Ok(text(body.get("version")));
    let mut all = vec![("ready", ready), ("version", version)];
    let nodes = body.pointer("/redis/nodes").and_then(Value::as_array);
    for node in nodes.into_iter().flatten() {
        let policy = text(node.get("policy"));
        all.push(("redis", Ok(text(node.get("version")))));
        all.push((
            "policy",
            if policy == "noeviction" {
                Ok(policy)
            } else {
                Err(policy)
            },
        ));
        let skew = node
            .get("skew_ms")
            .and_then(Value::as_i64)
            .unwrap_or(i64::MAX);
        let told = format!("Redis minus service: {skew} ms");
        let is_near = skew.unsigned_abs() <= super::node::MOST_SKEW_MS;
        all.push(("clocks", if is_near { Ok(told) } else { Err(told) }));
    }
    all
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
