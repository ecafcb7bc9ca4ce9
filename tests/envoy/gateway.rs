//! Envoy Gateway's shape on a real Envoy: the filter is disabled in the listener and enabled by
//! routes, its code comes over HTTP, and listeners buffer 32 KiB. `envoy/gateway` has the files.

use crate::harness::bootstrap::{Setup, module};
use crate::harness::client::Call;
use crate::harness::stack::{Stack, eventually};
use crate::manifests::of_kind;
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use tiergate::http::sha256::sha256_hex;

const TYPES: &str = "type.googleapis.com/envoy";

/// The name that Envoy Gateway gives the filter of `envoy/gateway/extension_policy.yaml`.
const POLICY: &str = "envoyextensionpolicy/default/tiergate/wasm/0";

fn filter_name() -> String {
    format!("envoy.filters.http.wasm/{POLICY}")
}

/// A module, and the server that Envoy Gateway would have for it.
pub struct Image {
    pub bytes: &'static [u8],
    pub at: SocketAddr,
}

impl Image {
    pub fn serve(file: &str) -> Self {
        let bytes: &'static [u8] =
            Box::leak(std::fs::read(module(file)).unwrap().into_boxed_slice());
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let at = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                // Envoy may hang up: then it asks again.
                let _ = answer(connection, bytes);
            }
        });
        Self { bytes, at }
    }
}

fn answer(mut connection: TcpStream, body: &[u8]) -> std::io::Result<()> {
    let mut seen = Vec::new();
    let mut piece = [0; 1024];
    while !seen.ends_with(b"\r\n\r\n") {
        let read = connection.read(&mut piece)?;
        if read == 0 {
            return Ok(());
        }
        seen.extend_from_slice(&piece[..read]);
    }
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    connection.write_all(head.as_bytes())?;
    connection.write_all(body)
}

/// The filter that Envoy Gateway makes of a policy, with the patches of `patch_policy.yaml` or not.
fn filter(image: &Image, cluster: &str, root_id: &str, config: &Value, patched: bool) -> Value {
    let mut of = json!({
        "name": POLICY,
        "root_id": root_id,
        "fail_open": false,
        "vm_config": {
            "vm_id": POLICY,
            "runtime": "envoy.wasm.runtime.v8",
            "code": {"remote": {
                "http_uri": {"uri": "http://modules/tiergate.wasm", "cluster": cluster, "timeout": "10s"},
                "sha256": sha256_hex(image.bytes)
            }}
        },
        "configuration": {
            "@type": "type.googleapis.com/google.protobuf.StringValue",
            "value": config.to_string()
        }
    });
    if patched {
        let patches = of_kind("envoy/gateway/patch_policy.yaml", "EnvoyPatchPolicy");
        for patch in patches["spec"]["jsonPatches"].as_array().unwrap() {
            let operation = &patch["operation"];
            of[operation["path"].as_str().unwrap()] = operation["value"].clone();
        }
    }
    json!({
        "name": filter_name(),
        "disabled": true,
        "typed_config": {
            "@type": format!("{TYPES}.extensions.filters.http.wasm.v3.Wasm"),
            "config": of
        }
    })
}

/// The routes of `routes.yaml`, and one that no policy is for.
fn routes() -> Value {
    let enabled = json!({filter_name(): {
        "@type": format!("{TYPES}.config.route.v3.FilterConfig"), "config": {}}});
    json!({"virtual_hosts": [{"name": "llm", "domains": ["*"], "routes": [
        {"match": {"path_separated_prefix": "/v1"}, "route": {"cluster": "llm"},
         "typed_per_filter_config": enabled},
        {"match": {"path_separated_prefix": "/-/tiergate"}, "direct_response": {"status": 404},
         "typed_per_filter_config": enabled},
        {"match": {"prefix": "/"}, "route": {"cluster": "llm"}}
    ]}]})
}

fn setup(image: &Image, filter: Value) -> Setup {
    let mut setup = Setup::new("").cluster("modules", image.at);
    setup.filters = vec![filter];
    setup.manager = json!({"route_config": routes()});
    setup
}

fn shipped(mode: &str) -> Value {
    let policy = of_kind(
        "envoy/gateway/extension_policy.yaml",
        "EnvoyExtensionPolicy",
    );
    let mut config = policy["spec"]["wasm"][0]["config"].clone();
    config["mode"] = json!(mode);
    config
}

#[test]
fn the_policy_limits_the_routes_that_enable_it_and_writes_over_the_admin_route() {
    let image = Image::serve("tiergate.wasm");
    let filter = filter(&image, "modules", "tiergate", &shipped("enforce"), true);
    let stack = Stack::with(&setup(&image, filter));
    let statuses = |path: &str| -> Vec<_> {
        let call = || stack.send(Call::of("acme", "free").method("POST", path));
        (0..4).map(|_| call().status).collect()
    };
    assert_eq!(statuses("/other"), [200; 4], "not enabled there");
    assert_eq!(statuses("/v1/chat/completions"), [200, 200, 200, 429]);
    let put = Call::new()
        .method("PUT", "/-/tiergate/accounts/new")
        .header("authorization", "Bearer demo")
        .body(r#"{"tier": "paid"}"#);
    assert_eq!(stack.send(put).json()["tier"], "paid");
    let reply = stack.send(Call::new().header("x-account-id", "new"));
    assert_eq!(reply.header("x-ratelimit-limit-requests"), Some("200"));
}

#[test]
fn the_unpatched_policy_takes_the_body_of_a_write_in_a_header() {
    let image = Image::serve("tiergate.wasm");
    let filter = filter(&image, "modules", "tiergate", &shipped("enforce"), false);
    let stack = Stack::with(&setup(&image, filter));
    let put = || {
        let call = Call::new().method("PUT", "/-/tiergate/accounts/acme");
        call.header("authorization", "Bearer demo")
    };
    let body = r#"{"tier": "paid"}"#;
    assert_eq!(stack.send(put().body(body)).code(), "body_unavailable");
    let written = stack.send(put().body("").header("x-tiergate-body", body));
    assert_eq!(written.json()["tier"], "paid");
}

/// Whether the module is the one with a trap: its worker then answers 503.
fn traps(stack: &Stack) -> bool {
    let call = Call::of("acme", "paid").header("x-tiergate-trap", "now");
    stack.send(call).status == 503
}

/// Envoy finds the VM of the old code, whose bytes it does not compare. The day on which this test
/// fails, docs/envoy-gateway.md can lose a section.
#[test]
fn after_a_new_image_the_old_module_goes_on_until_the_root_id_changes() {
    let old = Image::serve("tiergate_trap.wasm");
    let new = Image::serve("tiergate.wasm");
    let base = |filter: Value| setup(&old, filter).cluster("newer", new.at);
    let config = |mode: &str| shipped(mode);
    let stack = Stack::with(&base(filter(
        &old,
        "modules",
        "tiergate",
        &config("enforce"),
        true,
    )));
    assert!(traps(&stack));
    let next = |root_id: &str| filter(&new, "newer", root_id, &config("shadow"), true);
    stack.reconfigure(&base(next("tiergate")), true);
    eventually("the new config is in force", || {
        let calls = (0..5).map(|_| stack.send(Call::of("acme", "free")).status);
        calls.collect::<Vec<_>>() == [200; 5]
    });
    assert!(traps(&stack), "the old module, with the new config");
    stack.reconfigure(&base(next("tiergate-2")), true);
    eventually("the new module runs", || !traps(&stack));
}

#[test]
fn a_listener_of_32_kib_refuses_the_bodies_that_read_body_waits_for() {
    let image = Image::serve("tiergate.wasm");
    let mut config = shipped("enforce");
    config["tokens"] = json!({"read_body": true});
    let of = |patched: bool, buffer: u64| {
        let filter = filter(&image, "modules", "tiergate", &config, patched);
        let mut setup = setup(&image, filter);
        setup.listener = json!({"per_connection_buffer_limit_bytes": buffer});
        Stack::with(&setup)
    };
    let status = |stack: &Stack, bytes: usize| {
        let content = "x".repeat(bytes);
        let body = format!(r#"{{"messages":[{{"content":"{content}"}}]}}"#);
        let call = Call::of("acme", "paid").header("content-type", "application/json");
        stack.send(call.body(body)).status
    };
    let narrow = of(true, 32 << 10);
    assert_eq!(
        [status(&narrow, 1_000), status(&narrow, 60_000)],
        [200, 413]
    );
    let traffic = of_kind("envoy/gateway/client_traffic.yaml", "ClientTrafficPolicy");
    assert_eq!(traffic["spec"]["connection"]["bufferLimit"], "1Mi");
    let wide = of(true, 1 << 20);
    assert_eq!([status(&wide, 1_000), status(&wide, 60_000)], [200, 200]);
}
