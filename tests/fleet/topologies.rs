//! The service with Redis over TLS, with Sentinel, and with a cluster.

use crate::ports::free_port;
use crate::redis_server::RedisServer;
use crate::service::{Service, check, item, request, wait};
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use redis::{Connection, Value as RedisValue, cmd};
use serde_json::Value;
use std::path::Path;

/// The ids of accounts, which have slots on each node of a cluster.
const ACCOUNTS: std::ops::Range<u8> = 1..25;

/// Writes a CA, and a certificate of `localhost` with its key.
fn write_certificates(dir: &Path) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "CA");
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let server = server.signed_by(&key, &issuer).unwrap();
    std::fs::write(dir.join("ca.pem"), issuer.pem()).unwrap();
    std::fs::write(dir.join("server.pem"), server.pem()).unwrap();
    std::fs::write(dir.join("server.key"), key.serialize_pem()).unwrap();
}

#[test]
fn redis_over_tls_must_show_a_certificate_of_the_ca() {
    let dir = std::env::temp_dir().join(format!("tiergate-tls-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    write_certificates(&dir);
    let file = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let port = free_port().to_string();
    let (ca, certificate, key) = (file("ca.pem"), file("server.pem"), file("server.key"));
    let _redis = RedisServer::start_with(&[
        "--tls-port",
        &port,
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &ca,
    ]);
    let url = format!("rediss://localhost:{port}");
    // Redis asks for a certificate as well.
    let own = ["--redis-cert-file", &certificate, "--redis-key-file", &key];
    let whole = [&own[..], &["--redis-ca-file", &ca]].concat();
    let service = Service::start_with(&url, &whole).ready();
    assert!(service.ask(1, 1, 1, 1).ok);
    assert!(check(&service.url, &[]).status.success());
    for (args, problem) in [
        (&own[..], "certificate"),
        (&["--redis-ca-file", &ca][..], ""),
    ] {
        let stranger = Service::start_with(&url, args);
        wait("the other side has no certificate that is known", || {
            stranger.get("/readyz").is_some_and(|(status, body)| {
                let body = body.to_lowercase();
                status == 503 && !body.contains("not connected yet") && body.contains(problem)
            })
        });
    }
    std::fs::remove_dir_all(dir).unwrap();
}

/// Nodes of a cluster, each with a third of the slots.
fn cluster() -> Vec<RedisServer> {
    let node = |_| RedisServer::start_with(&["--cluster-enabled", "yes"]);
    let nodes: Vec<RedisServer> = (0..3).map(node).collect();
    let mut links: Vec<Connection> = nodes.iter().map(RedisServer::connect).collect();
    for (n, link) in links.iter_mut().enumerate() {
        let (first, last) = (n * 16_384 / 3, (n + 1) * 16_384 / 3 - 1);
        let mut add = cmd("CLUSTER");
        add.arg("ADDSLOTSRANGE").arg(first).arg(last);
        add.exec(link).unwrap();
    }
    for node in &nodes[1..] {
        let mut meet = cmd("CLUSTER");
        meet.arg("MEET").arg("127.0.0.1").arg(node.port);
        meet.exec(&mut links[0]).unwrap();
    }
    wait_for_nodes(&nodes);
    nodes
}

/// Waits until each node knows all the others and all slots.
fn wait_for_nodes(nodes: &[RedisServer]) {
    let known = format!("cluster_known_nodes:{}", nodes.len());
    for node in nodes {
        let mut link = node.connect();
        wait("the nodes know each other", || {
            let info: String = cmd("CLUSTER").arg("INFO").query(&mut link).unwrap();
            info.contains("cluster_state:ok") && info.contains(&known)
        });
    }
}

#[test]
fn a_cluster_has_each_account_on_the_node_of_its_slot() {
    let mut nodes = cluster();
    let url = format!(
        "redis+cluster://127.0.0.1:{},127.0.0.1:{}",
        nodes[0].port, nodes[1].port
    );
    let service = Service::start_with(&url, &[]).ready();
    let checked = check(&service.url, &[]);
    assert!(checked.status.success(), "{checked:?}");
    for account in ACCOUNTS {
        assert!(service.ask(1, account, 1, 1).ok, "{account}");
    }
    for node in &nodes {
        let keys: Vec<String> = cmd("KEYS")
            .arg("{tiergate:*}:tg1")
            .query(&mut node.connect())
            .unwrap();
        assert!(!keys.is_empty(), "a node has no account");
    }
    // Without one node, the accounts of the others are served.
    nodes[2].kill();
    wait("accounts of the living nodes are served", || {
        let answers = ACCOUNTS.map(|account| {
            let request = request(1, vec![item(account, 2, 0)]);
            let (status, body) = service.post(serde_json::to_string(&request).unwrap());
            status == 200 && body["items"][0]["ok"] == true
        });
        let answers: Vec<bool> = answers.collect();
        answers.contains(&true) && answers.contains(&false)
    });
}

/// Moves a slot with its keys to another node, as `redis-cli --cluster reshard` does.
fn move_slot(slot: u16, nodes: &[RedisServer], to: usize) {
    let mut links: Vec<Connection> = nodes.iter().map(RedisServer::connect).collect();
    let id = |link: &mut Connection| cmd("CLUSTER").arg("MYID").query::<String>(link).unwrap();
    let ids: Vec<String> = links.iter_mut().map(id).collect();
    let from = usize::from(slot) * 3 / 16_384;
    let mut set = |at: usize, state: &str, node: usize| {
        let mut set = cmd("CLUSTER");
        set.arg("SETSLOT").arg(slot).arg(state).arg(&ids[node]);
        set.exec(&mut links[at]).unwrap();
    };
    set(to, "IMPORTING", from);
    set(from, "MIGRATING", to);
    let mut link = nodes[from].connect();
    let mut keys = cmd("CLUSTER");
    let keys: Vec<String> = keys
        .arg("GETKEYSINSLOT")
        .arg(slot)
        .arg(100)
        .query(&mut link)
        .unwrap();
    for key in keys {
        let mut migrate = cmd("MIGRATE");
        migrate.arg("127.0.0.1").arg(nodes[to].port).arg(key);
        migrate.arg(0).arg(5_000).exec(&mut link).unwrap();
    }
    set(to, "NODE", to);
    for at in 0..nodes.len() {
        set(at, "NODE", to);
    }
}

#[test]
fn a_slot_that_moves_to_a_new_node_loses_nothing() {
    let mut nodes = cluster();
    let url = format!("redis+cluster://127.0.0.1:{}", nodes[0].port);
    let service = Service::start_with(&url, &[]).ready();
    // Its limit is ten.
    assert!(service.ask(1, 1, 1, 6).ok);
    nodes.push(RedisServer::start_with(&["--cluster-enabled", "yes"]));
    let mut link = nodes[0].connect();
    let mut meet = cmd("CLUSTER");
    meet.arg("MEET").arg("127.0.0.1").arg(nodes[3].port);
    meet.exec(&mut link).unwrap();
    wait_for_nodes(&nodes);
    let key = format!("{{tiergate:{:032x}}}:tg1", 1);
    let mut slot = cmd("CLUSTER");
    let slot = slot.arg("KEYSLOT").arg(key).query(&mut link).unwrap();
    move_slot(slot, &nodes, 3);
    // Until the service has seen the node, the account has a fault.
    let ask = |n: u32, need: u64| {
        let mut one = item(1, n, need);
        one.meters[0].spent = vec![0, 0, 6];
        let ask = serde_json::to_string(&request(1, vec![one])).unwrap();
        let mut answer = Value::Null;
        wait("the account is served", || {
            let (status, mut body) = service.post(ask.clone());
            answer = body["items"][0].take();
            status == 200 && answer["fault"].is_null()
        });
        answer
    };
    let fits = ask(2, 4);
    assert_eq!(fits["ok"], true, "{fits}");
    let over = ask(3, 5);
    assert_eq!(over["no"]["by"], "used", "{over}");
}

/// What a server says of its role; nothing while Sentinel ends its connections, as it does at a promotion.
fn role(server: &RedisServer) -> Vec<RedisValue> {
    let link = redis::Client::open(server.url()).and_then(|client| client.get_connection());
    let said = link.and_then(|mut link| cmd("ROLE").query(&mut link));
    said.unwrap_or_default()
}

#[test]
fn the_service_follows_sentinel_to_the_promoted_replica() {
    let mut master = RedisServer::start();
    let port = master.port.to_string();
    let replica = RedisServer::start_with(&["--replicaof", "127.0.0.1", &port]);
    wait("the replica is in step", || {
        let connected = RedisValue::BulkString(b"connected".to_vec());
        role(&replica).get(3) == Some(&connected)
    });
    let sentinel = RedisServer::start_sentinel("main", master.port);
    let url = format!("redis+sentinel://127.0.0.1:{}/main", sentinel.port);
    let service = Service::start_with(&url, &[]).ready();
    assert!(service.ask(1, 1, 1, 1).ok);
    master.kill();
    wait("the replica is the master", || {
        let master = RedisValue::BulkString(b"master".to_vec());
        role(&replica).first() == Some(&master)
    });
    let ask = serde_json::to_string(&request(1, vec![item(1, 2, 1)])).unwrap();
    let mut answer = Value::Null;
    wait("the promoted one answers", || {
        let (status, body) = service.post(ask.clone());
        answer = body;
        status == 200
    });
    // It may lack writes: the account is closed first.
    assert_eq!(answer["items"][0]["no"]["by"], "closed", "{answer}");
}
