//! Where Redis is, as `--redis` says it, and the connections to it.

use redis::aio::MultiplexedConnection;
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr};
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, IntoConnectionInfo as _, ProtocolVersion,
    RedisConnectionInfo, RedisError, RedisResult, TlsCertificates, TlsMode, Value,
};
use std::time::Duration;

/// The longest time in which a connection is made.
const CONNECTS: Duration = Duration::from_secs(2);

/// Where Redis is, and the certificates of connections with TLS.
#[derive(Clone, Debug)]
pub struct RedisTarget {
    place: RedisPlace,
    certificates: Option<TlsCertificates>,
}

/// Where Redis is.
#[derive(Clone, Debug)]
enum RedisPlace {
    /// One server, by its URL.
    Single(String),
    Sentinel(SentinelPlace),
    /// A cluster, by the URLs of some of its nodes.
    Cluster(Vec<String>),
}

/// The master of a name, as Sentinels have it.
#[derive(Clone, Debug)]
struct SentinelPlace {
    sentinels: Vec<String>,
    name: String,
    tls: bool,
    login: RedisConnectionInfo,
}

/// The reason why a text is no address of Redis.
#[derive(Debug, thiserror::Error)]
#[error(
    "--redis: {0}; the forms are redis://host:6379, redis+sentinel://host:26379,host2:26379/name \
     and redis+cluster://host:6379,host2:6379, each with rediss for TLS and user:password@ before \
     the first host"
)]
pub struct TargetError(String);

impl RedisTarget {
    /// Reads the address; `password` stands in place of one in the address. Without `certificates`
    /// the machine's own CAs count, and the service shows none.
    pub fn parse(
        text: &str,
        password: Option<&str>,
        certificates: Option<TlsCertificates>,
    ) -> Result<Self, TargetError> {
        let place = RedisPlace::parse(text, password)?;
        if certificates.is_some() && !text.starts_with("rediss") {
            let problem = "certificates are of TLS, which rediss stands for";
            return Err(TargetError(problem.to_owned()));
        }
        Ok(Self {
            place,
            certificates,
        })
    }

    /// True for a cluster.
    pub const fn is_cluster(&self) -> bool {
        matches!(self.place, RedisPlace::Cluster(_))
    }

    /// Returns the mode in words.
    pub const fn mode(&self) -> &'static str {
        match &self.place {
            RedisPlace::Single(_) => "single",
            RedisPlace::Sentinel(_) => "sentinel",
            RedisPlace::Cluster(_) => "cluster",
        }
    }

    /// Connects to the server, the present master, or the cluster.
    pub async fn connect(&self) -> RedisResult<Link> {
        let within = tokio::time::timeout(CONNECTS, self.connect_slowly());
        within
            .await
            .unwrap_or_else(|_| Err(late("no connection in time")))
    }

    async fn connect_slowly(&self) -> RedisResult<Link> {
        let certificates = self.certificates.clone();
        let client = match &self.place {
            RedisPlace::Single(url) => match certificates {
                Some(certificates) => Client::build_with_tls(url.as_str(), certificates)?,
                None => Client::open(url.as_str())?,
            },
            RedisPlace::Sentinel(place) => {
                let mut sentinels = place.client(certificates)?;
                sentinels.async_get_client().await?
            }
            RedisPlace::Cluster(urls) => {
                let mut builder = ClusterClient::builder(urls.iter().map(String::as_str))
                    .use_protocol(ProtocolVersion::RESP2)
                    .connection_timeout(CONNECTS)
                    .retries(1);
                if let Some(certificates) = certificates {
                    builder = builder.certs(certificates);
                }
                let link = builder.build()?.get_async_connection().await?;
                return Ok(Link::Cluster(link));
            }
        };
        // The service has time-outs of its own.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECTS))
            .set_response_timeout(None);
        let one = client.get_multiplexed_async_connection_with_config(&config);
        Ok(Link::One(one.await?))
    }
}

impl SentinelPlace {
    /// Returns the client of Sentinels.
    fn client(&self, certificates: Option<TlsCertificates>) -> RedisResult<SentinelClient> {
        let addresses = self.sentinels.iter().map(|url| {
            let info = url.as_str().into_connection_info()?;
            Ok(info.addr().clone())
        });
        let addresses = addresses.collect::<RedisResult<Vec<_>>>()?;
        let mut builder =
            SentinelClientBuilder::new(addresses, &self.name, SentinelServerType::Master)?;
        builder = builder.set_client_to_redis_db(self.login.db());
        if let Some(user) = self.login.username() {
            builder = builder.set_client_to_redis_username(user);
        }
        if let Some(password) = self.login.password() {
            builder = builder.set_client_to_redis_password(password);
        }
        if self.tls {
            builder = builder.set_client_to_redis_tls_mode(TlsMode::Secure);
        }
        if let Some(certificates) = certificates {
            builder = builder
                .set_client_to_redis_certificates(certificates.clone())
                .set_client_to_sentinel_certificates(certificates);
        }
        builder.build()
    }
}

impl RedisPlace {
    fn parse(text: &str, password: Option<&str>) -> Result<Self, TargetError> {
        let (scheme, rest) = text
            .split_once("://")
            .ok_or_else(|| TargetError("no URL".to_owned()))?;
        let (tls, kind) = match scheme {
            "redis" => (false, ""),
            "rediss" => (true, ""),
            "redis+sentinel" => (false, "sentinel"),
            "rediss+sentinel" => (true, "sentinel"),
            "redis+cluster" => (false, "cluster"),
            "rediss+cluster" => (true, "cluster"),
            _ => return Err(TargetError("another scheme".to_owned())),
        };
        let (user, hosts) = rest.rsplit_once('@').unwrap_or(("", rest));
        let (hosts, path) = hosts.split_once('/').unwrap_or((hosts, ""));
        let plain = if tls { "rediss" } else { "redis" };
        let user = match password {
            None => user.to_owned(),
            Some(password) => {
                let name = user.split_once(':').map_or(user, |(name, _)| name);
                let code = percent_encoding::NON_ALPHANUMERIC;
                let password = percent_encoding::utf8_percent_encode(password, code);
                format!("{name}:{password}")
            }
        };
        let at = if user.is_empty() { "" } else { "@" };
        let urls: Vec<String> = hosts
            .split(',')
            .map(|host| format!("{plain}://{user}{at}{host}"))
            .collect();
        let mut login = RedisConnectionInfo::default();
        for url in &urls {
            let info = url.as_str().into_connection_info();
            let info = info.map_err(|_| TargetError("no host and port".to_owned()))?;
            login = info.redis_settings().clone();
        }
        match kind {
            "" => match urls.as_slice() {
                [url] => Ok(Self::Single(match path {
                    "" => url.clone(),
                    path => format!("{url}/{path}"),
                })),
                _ => Err(TargetError("several hosts of one server".to_owned())),
            },
            "sentinel" if path.is_empty() => Err(TargetError("no name of a master".to_owned())),
            "sentinel" => Ok(Self::Sentinel(SentinelPlace {
                sentinels: hosts
                    .split(',')
                    .map(|host| format!("{plain}://{host}"))
                    .collect(),
                name: path.to_owned(),
                tls,
                login,
            })),
            _ => Ok(Self::Cluster(urls)),
        }
    }
}

/// A connection that many commands use at once.
#[derive(Clone)]
pub enum Link {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Link {
    /// Runs a command at the node that has its key, within a time.
    pub async fn run(&self, command: &Cmd, within: Duration) -> RedisResult<Value> {
        let running = async {
            match self.clone() {
                Self::One(mut one) => one.send_packed_command(command).await,
                Self::Cluster(mut all) => {
                    redis::aio::ConnectionLike::req_packed_command(&mut all, command).await
                }
            }
        };
        let reply = tokio::time::timeout(within, running).await;
        // A reply can be an error by itself.
        reply
            .unwrap_or_else(|_| Err(late("no reply in time")))?
            .extract_error()
    }

    /// Runs a command at the master of a slot; of a single server, at that one.
    pub async fn run_at(
        &self,
        slot: Option<u16>,
        command: Cmd,
        within: Duration,
    ) -> RedisResult<Value> {
        let (Self::Cluster(all), Some(slot)) = (self, slot) else {
            return self.run(&command, within).await;
        };
        let node = SingleNodeRoutingInfo::SpecificNode(Route::new(slot, SlotAddr::Master));
        let mut all = all.clone();
        let running = all.route_command(command, RoutingInfo::SingleNode(node));
        let reply = tokio::time::timeout(within, running).await;
        reply
            .unwrap_or_else(|_| Err(late("no reply in time")))?
            .extract_error()
    }
}

/// The error of what took too long.
fn late(text: &'static str) -> RedisError {
    let late = std::io::Error::from(std::io::ErrorKind::TimedOut);
    let _ = text;
    RedisError::from(late)
}

/// The meaning of a failure of Redis for the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failing {
    Timeout,
    Connection,
    ReadOnly,
    OutOfMemory,
    Access,
    ForeignKey,
    Other,
}

impl Failing {
    pub const ALL: [Self; 7] = [
        Self::Timeout,
        Self::Connection,
        Self::ReadOnly,
        Self::OutOfMemory,
        Self::Access,
        Self::ForeignKey,
        Self::Other,
    ];

    /// Reads an error.
    pub fn of(error: &RedisError) -> Self {
        match error.code() {
            Some("READONLY" | "MASTERDOWN") => return Self::ReadOnly,
            Some("OOM") => return Self::OutOfMemory,
            Some("NOAUTH" | "WRONGPASS" | "NOPERM") => return Self::Access,
            Some("WRONGTYPE") => return Self::ForeignKey,
            Some("LOADING" | "CLUSTERDOWN") => return Self::Connection,
            _ => {}
        }
        match error.kind() {
            ErrorKind::AuthenticationFailed => Self::Access,
            _ if error.is_timeout() => Self::Timeout,
            ErrorKind::Io | ErrorKind::ClusterConnectionNotFound => Self::Connection,
            _ => Self::Other,
        }
    }

    /// True when it may befall one account alone.
    pub const fn is_of_one(self) -> bool {
        matches!(self, Self::ForeignKey | Self::Other)
    }

    /// Returns the word of metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Connection => "connection",
            Self::ReadOnly => "read_only",
            Self::OutOfMemory => "out_of_memory",
            Self::Access => "access",
            Self::ForeignKey => "foreign_key",
            Self::Other => "other",
        }
    }
}
