//! The Envoy config of a test, as JSON: a listener from a file, so that a test can change it
//! while traffic runs, and one upstream.

use serde_json::{Value, json};
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

const TYPES: &str = "type.googleapis.com/envoy";

/// What a test wants of the stack in front of the demo upstream.
#[derive(Clone, Debug)]
pub struct Setup {
    pub workers: usize,
    /// HTTP filters before the router.
    pub filters: Vec<Value>,
    /// The only route, but for its match.
    pub route: Value,
    /// A second listener, `second`, with these filters.
    pub second: Vec<Value>,
    /// More fields of the connection manager.
    pub manager: Value,
    /// More fields of the listeners.
    pub listener: Value,
    /// `stats_config` of the bootstrap, if it is not null.
    pub stats_config: Value,
    pub access_log: bool,
    pub http2_upstream: bool,
    /// Further clusters.
    pub clusters: Vec<Value>,
    /// More arguments of Envoy's command line.
    pub envoy_args: Vec<String>,
}

impl Setup {
    /// Two workers with tiergate alone, under that plugin config.
    pub fn new(config: impl Display) -> Self {
        Self {
            workers: 2,
            filters: vec![wasm_filter("tiergate", "tiergate.wasm", config)],
            second: Vec::new(),
            route: json!({"route": {"cluster": "llm", "timeout": "60s"}}),
            manager: json!({}),
            listener: json!({}),
            stats_config: Value::Null,
            access_log: true,
            http2_upstream: false,
            clusters: Vec::new(),
            envoy_args: Vec::new(),
        }
    }

    /// Envoy hands bodies over while a request is paused at its headers.
    pub fn bodies_while_headers_are_held(mut self) -> Self {
        for filter in &mut self.filters {
            filter["typed_config"]["config"]["allow_on_headers_stop_iteration"] = json!(true);
        }
        self
    }

    /// The upstream is spoken to in HTTP/2.
    pub fn http2_upstream(mut self) -> Self {
        self.http2_upstream = true;
        self
    }

    /// Another cluster.
    pub fn cluster(mut self, name: &str, at: SocketAddr) -> Self {
        self.clusters.push(cluster(name, at));
        self
    }

    /// Another cluster that is spoken to in HTTP/2.
    pub fn http2_cluster(mut self, name: &str, at: SocketAddr) -> Self {
        self.clusters.push(in_http2(cluster(name, at)));
        self
    }

    /// Another filter before tiergate.
    pub fn before(mut self, filter: Value) -> Self {
        self.filters.insert(0, filter);
        self
    }

    /// Another filter between tiergate and the router.
    pub fn after(mut self, filter: Value) -> Self {
        self.filters.push(filter);
        self
    }
}

/// A module of this repository in `dist/`.
pub fn module(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("dist")
        .join(name);
    assert!(
        path.exists(),
        "{} is missing: run `make modules`",
        path.display()
    );
    path
}

/// A wasm filter that runs a module of `dist/`, sharing data with every other of these.
pub fn wasm_filter(name: &str, file: &str, config: impl Display) -> Value {
    json!({
        "name": name,
        "typed_config": {
            "@type": format!("{TYPES}.extensions.filters.http.wasm.v3.Wasm"),
            "config": {
                "name": name,
                "root_id": name,
                "failure_policy": "FAIL_RELOAD",
                "vm_config": {
                    "vm_id": "tiergate",
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": {"local": {"filename": module(file)}}
                },
                "configuration": {
                    "@type": "type.googleapis.com/google.protobuf.StringValue",
                    "value": config.to_string()
                }
            }
        }
    })
}

/// A filter that answers by itself the requests that ask for it.
pub fn aborting_filter() -> Value {
    json!({
        "name": "envoy.filters.http.fault",
        "typed_config": {
            "@type": format!("{TYPES}.extensions.filters.http.fault.v3.HTTPFault"),
            "abort": {"header_abort": {}, "percentage": {"numerator": 100}}
        }
    })
}

/// The static part: admin, upstream, and where the listener is read from.
pub fn bootstrap(setup: &Setup, listeners: &Path, upstream: SocketAddr) -> Value {
    let mut llm = cluster("llm", upstream);
    if setup.http2_upstream {
        llm = in_http2(llm);
    }
    let others = setup.clusters.iter().cloned();
    let clusters: Vec<Value> = std::iter::once(llm).chain(others).collect();
    json!({
        "node": {"id": "test", "cluster": "test"},
        "stats_config": setup.stats_config,
        "admin": {"address": address("127.0.0.1", 0)},
        "dynamic_resources": {"lds_config": {
            "resource_api_version": "V3",
            "path_config_source": {"path": listeners}
        }},
        "static_resources": {"clusters": clusters}
    })
}

fn cluster(name: &str, at: SocketAddr) -> Value {
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "circuit_breakers": {"thresholds": [{
            "max_connections": 10000, "max_pending_requests": 10000, "max_requests": 10000
        }]},
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [
            {"endpoint": {"address": address("127.0.0.1", at.port())}}
        ]}]}
    })
}

fn in_http2(mut cluster: Value) -> Value {
    cluster["typed_extension_protocol_options"] = json!({
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": format!("{TYPES}.extensions.upstreams.http.v3.HttpProtocolOptions"),
            "explicit_http_config": {"http2_protocol_options": {}}
        }
    });
    cluster
}

/// The dynamic part: the listeners with their filters.
pub fn listeners(setup: &Setup, access_log: &Path) -> Value {
    let mut all = vec![listener(setup, "proxy", &setup.filters, access_log)];
    if !setup.second.is_empty() {
        all.push(listener(setup, "second", &setup.second, access_log));
    }
    json!({"resources": all})
}

fn listener(setup: &Setup, name: &str, filters: &[Value], access_log: &Path) -> Value {
    let mut filters = filters.to_vec();
    filters.push(json!({
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": format!("{TYPES}.extensions.filters.http.router.v3.Router")}
    }));
    let mut route = setup.route.clone();
    route["match"] = json!({"prefix": "/"});
    let mut manager = json!({
        "@type": format!("{TYPES}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "proxy",
        "http_protocol_options": {"accept_http_10": true},
        "route_config": {"virtual_hosts": [{"name": "llm", "domains": ["*"], "routes": [route]}]},
        "http_filters": filters
    });
    for (field, value) in setup.manager.as_object().unwrap() {
        manager[field] = value.clone();
    }
    if setup.access_log {
        manager["access_log"] = json!([{
            "name": "envoy.access_loggers.file",
            "typed_config": {
                "@type": format!("{TYPES}.extensions.access_loggers.file.v3.FileAccessLog"),
                "path": access_log,
                "log_format": {"text_format_source": {"inline_string":
                    "%RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %FILTER_STATE(wasm.tiergate:PLAIN)% %FILTER_STATE(wasm.tiergate.usage:PLAIN)%\n"}}
            }
        }]);
    }
    let mut listener = json!({
        "@type": format!("{TYPES}.config.listener.v3.Listener"),
        "name": name,
        "address": address("127.0.0.1", 0),
        "filter_chains": [{"filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": manager
        }]}]
    });
    for (field, value) in setup.listener.as_object().unwrap() {
        listener[field] = value.clone();
    }
    listener
}

fn address(ip: &str, port: u16) -> Value {
    json!({"socket_address": {"address": ip, "port_value": port}})
}
