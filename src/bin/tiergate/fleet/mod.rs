//! `tiergate fleet`: the service that keeps one limit across many Envoys.
//!
//! It is stateless: all state is in Redis, and any number of services work side by side. A request
//! of an edge becomes a heartbeat and one run of `step.lua` for each account.

mod batch;
mod check;
mod directory;
mod http;
mod in_time;
pub mod metrics;
mod node;
mod operator;
mod operator_http;
mod orders;
mod step;
mod store;
mod target;

use crate::Ending;
use batch::{Batches, Rules};
use clap::{Args, Subcommand, ValueEnum};
use http::{MOST_IN_WORK, Service};
use metrics::Metrics;
use operator_http::OperatorAccess;
use redis::{ClientTlsConfig, TlsCertificates};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use store::Store;
use target::{RedisTarget, TargetError};
use tiergate::fleet::message::{LIFE_MS, LossRule};
use tiergate::fleet::meter_name::MeterTime;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// The time from the signal to end in which `/readyz` says so and requests still come.
const DRAINS: Duration = Duration::from_millis(500);
/// The longest time in which requests in work end.
const ENDS_WITHIN: Duration = Duration::from_secs(5);

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct FleetArgs {
    #[command(subcommand)]
    command: Option<FleetCommand>,
    /// Redis or Valkey from 7.0: redis://HOST:PORT, redis+sentinel://HOST:PORT,.../NAME or
    /// redis+cluster://HOST:PORT,...; rediss for TLS
    #[arg(long, value_name = "URL", required = true)]
    redis: Option<String>,
    /// A file with the password of Redis, in place of one in the URL
    #[arg(long, value_name = "FILE")]
    redis_password_file: Option<PathBuf>,
    /// A file with the CA's certificate of Redis and Sentinel, in place of the machine's own CAs
    #[arg(long, value_name = "FILE")]
    redis_ca_file: Option<PathBuf>,
    /// A file with the certificate that the service shows to Redis and Sentinel
    #[arg(long, value_name = "FILE", requires = "redis_key_file")]
    redis_cert_file: Option<PathBuf>,
    /// A file with that certificate's key
    #[arg(long, value_name = "FILE", requires = "redis_cert_file")]
    redis_key_file: Option<PathBuf>,
    /// The longest time of a command of Redis; shorter than the edges' timeout
    #[arg(long, value_name = "TIME", default_value = "30ms", value_parser = duration)]
    redis_timeout: Duration,
    /// The address to listen on
    #[arg(long, value_name = "ADDRESS", required = true)]
    listen: Option<SocketAddr>,
    /// A file with the bearer token that edges send
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The plugin config of the edges, as JSON: operators' calls need its tiers, namespace and key
    #[arg(long, value_name = "FILE", requires = "admin_token_file")]
    config: Option<PathBuf>,
    /// A file with the bearer token of operators
    #[arg(long, value_name = "FILE", requires = "config")]
    admin_token_file: Option<PathBuf>,
    /// A JSON file with the largest limit by meter: {"requests/60000/-": 5000}
    #[arg(long, value_name = "FILE")]
    max_limits: Option<PathBuf>,
    /// The rule for accounts after Redis lost writes, where an edge does not say
    #[arg(long, value_name = "RULE", default_value = "close")]
    after_loss: AfterLossFlag,
    /// The time for which an allowance is good; at least that of the edges
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    life: Duration,
}

#[derive(Subcommand)]
enum FleetCommand {
    /// Tests a deployment: readiness, a grant and a give-back, the settings of Redis, the clocks
    Check(check::CheckArgs),
}

#[derive(Clone, Copy, ValueEnum)]
enum AfterLossFlag {
    Close,
    Strict,
}

/// The reason why the service does not run.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    #[error(transparent)]
    RedisTarget(#[from] TargetError),
    #[error("can't read {path}: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("{0} is empty")]
    Empty(PathBuf),
    #[error("{path}: {problem}")]
    Limits { path: PathBuf, problem: String },
    #[error("{path}: config at {problem}")]
    Config {
        path: PathBuf,
        problem: tiergate::json::Invalid,
    },
    #[error("{0}: the config has no fleet")]
    NoFleet(PathBuf),
    #[error("--life is under {} s, which edges count on", LIFE_MS / 1_000)]
    ShortLife,
    #[error("can't listen on {address}: {source}")]
    Listen {
        address: SocketAddr,
        source: io::Error,
    },
    #[error("the service failed: {0}")]
    Serve(io::Error),
    #[error(transparent)]
    Check(#[from] check::CheckError),
    #[error("--redis and --listen are needed")]
    Arguments,
}

fn duration(text: &str) -> Result<Duration, String> {
    let read = tiergate::json::values::Duration::parse(text);
    let read = read.ok_or("digits and one of ms, s, m, h, d, such as 10s")?;
    Ok(Duration::from_millis(read.0.as_millis()))
}

/// Runs the service until SIGTERM or SIGINT, or a check.
pub fn run(args: &FleetArgs) -> Result<Ending, FleetError> {
    if let Some(FleetCommand::Check(check)) = &args.command {
        return Ok(check::run(check)?);
    }
    let (Some(redis), Some(address)) = (&args.redis, args.listen) else {
        return Err(FleetError::Arguments);
    };
    if args.life < Duration::from_millis(LIFE_MS) {
        return Err(FleetError::ShortLife);
    }
    let password = args
        .redis_password_file
        .as_deref()
        .map(secret)
        .transpose()?;
    let target = RedisTarget::parse(redis, password.as_deref(), certificates(args)?)?;
    let token = args.token_file.as_deref().map(secret).transpose()?;
    let rules = Rules {
        life: args.life,
        after_loss: match args.after_loss {
            AfterLossFlag::Close => LossRule::Close,
            AfterLossFlag::Strict => LossRule::Strict,
        },
        most: args
            .max_limits
            .as_deref()
            .map(max_limits)
            .transpose()?
            .unwrap_or_default(),
    };
    let store = Arc::new(Store::new(target, args.redis_timeout));
    let service = Service {
        batches: Batches::new(store, Arc::new(Metrics::new()), rules),
        token: token.as_deref().map(digest),
        operator: operator(args)?,
        in_work: Semaphore::new(MOST_IN_WORK),
        ends: AtomicBool::new(false),
    };
    let runtime = tokio::runtime::Runtime::new().map_err(FleetError::Serve)?;
    runtime.block_on(serve(Arc::new(service), address))?;
    runtime.shutdown_timeout(Duration::ZERO);
    Ok(Ending::Clean)
}

/// Reads the certificates of connections to Redis, where a flag names one.
fn certificates(args: &FleetArgs) -> Result<Option<TlsCertificates>, FleetError> {
    let read = |path: &Option<PathBuf>| path.as_deref().map(bytes).transpose();
    let own = [read(&args.redis_cert_file)?, read(&args.redis_key_file)?];
    let [client_cert, client_key] = own;
    let client_tls = client_cert.zip(client_key);
    let client_tls = client_tls.map(|(client_cert, client_key)| ClientTlsConfig {
        client_cert,
        client_key,
    });
    let root_cert = read(&args.redis_ca_file)?;
    let is_any = root_cert.is_some() || client_tls.is_some();
    Ok(is_any.then_some(TlsCertificates {
        client_tls,
        root_cert,
    }))
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Reads what operators' calls need, where the flags name it.
fn operator(args: &FleetArgs) -> Result<Option<OperatorAccess>, FleetError> {
    let (Some(path), Some(token)) = (&args.config, &args.admin_token_file) else {
        return Ok(None);
    };
    let config = tiergate::config::parse(&bytes(path)?);
    let config = config.map_err(|problem| FleetError::Config {
        path: path.clone(),
        problem,
    })?;
    if config.fleet.is_none() {
        return Err(FleetError::NoFleet(path.clone()));
    }
    let token = digest(&secret(token)?);
    Ok(Some(OperatorAccess { config, token }))
}

fn bytes(path: &Path) -> Result<Vec<u8>, FleetError> {
    std::fs::read(path).map_err(|source| FleetError::File {
        path: path.to_owned(),
        source,
    })
}

/// Reads a file with one secret.
fn secret(path: &Path) -> Result<String, FleetError> {
    let text = std::fs::read_to_string(path).map_err(|source| FleetError::File {
        path: path.to_owned(),
        source,
    })?;
    match text.trim() {
        "" => Err(FleetError::Empty(path.to_owned())),
        text => Ok(text.to_owned()),
    }
}

fn max_limits(path: &Path) -> Result<BTreeMap<String, u64>, FleetError> {
    let text = bytes(path)?;
    let problem = |problem: String| FleetError::Limits {
        path: path.to_owned(),
        problem,
    };
    let limits: BTreeMap<String, u64> =
        tiergate::json::read(&text).map_err(|invalid| problem(invalid.to_string()))?;
    for name in limits.keys() {
        MeterTime::of(name).map_err(|wrong| problem(wrong.to_string()))?;
    }
    Ok(limits)
}

async fn serve(service: Arc<Service>, address: SocketAddr) -> Result<(), FleetError> {
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_writer(io::stderr)
        .with_env_filter(
            tracing_subscriber::EnvFilter::builder()
                .with_default_directive(tracing::Level::INFO.into())
                .parse_lossy(std::env::var("TIERGATE_LOG").unwrap_or_default()),
        )
        .init();
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(|source| FleetError::Listen { address, source })?;
    tracing::info!(
        address = address.to_string(),
        version = tiergate::version::VERSION,
        "listening"
    );
    let keeper = tokio::spawn(Arc::clone(&service.batches.store).keep());
    let ending = Arc::clone(&service);
    let (told, tells) = tokio::sync::oneshot::channel();
    let graceful = async move {
        signalled().await;
        tracing::info!("ending");
        ending.ends.store(true, Ordering::Relaxed);
        tokio::time::sleep(DRAINS).await;
        let _ = told.send(());
    };
    let serving = axum::serve(listener, http::routes(service)).with_graceful_shutdown(graceful);
    let late = async {
        let _ = tells.await;
        tokio::time::sleep(ENDS_WITHIN).await;
    };
    let ended = tokio::select! {
        ended = serving.into_future() => ended,
        () = late => Ok(()),
    };
    keeper.abort();
    ended.map_err(FleetError::Serve)
}

/// Waits for SIGTERM or SIGINT.
async fn signalled() {
    use tokio::signal::unix::{SignalKind, signal};
    let interrupted = tokio::signal::ctrl_c();
    match signal(SignalKind::terminate()) {
        Ok(mut terminated) => {
            tokio::select! {
                _ = interrupted => {}
                _ = terminated.recv() => {}
            }
        }
        Err(_) => {
            let _ = interrupted.await;
        }
    }
}
