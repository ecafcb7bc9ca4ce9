//! Request bodies that are read: longer ones, late ones, and responses that do not wait for them.

use super::*;

/// Bodies up to 4,000 bytes are read; the prompt of an unknown length is 50 tokens.
fn reading() -> Config {
    let tokens = json!({"read_body": true, "body_limit": 4_000, "prompt": 50, "completion": 10,
        "bytes_per_token": 4});
    let tier = Config::tier("t").concurrency(2).tpm(1_000_000);
    tier.with(json!({"tokens": tokens}))
}

fn reserved(root: &Root) -> i64 {
    proxy_on_tick(root.id);
    host(|host| host.metric("tiergate_tokens.namespace.tiergate.tier.t.kind.reserved"))
}

/// Starts a request whose length is not known, and gives it that body in one piece.
fn chunked(root: &Root, body: &[u8], end: bool) {
    chat("t");
    host(|host| {
        host.request.retain(|(name, _)| name != "content-length");
        host.request_body = body.to_vec();
    });
    let id = root.new_stream();
    assert_eq!(proxy_on_request_headers(id, 3, false), 1, "it waits");
    assert_eq!(proxy_on_request_body(id, body.len(), end), 0, "it goes on");
    ends(id);
}

/// The reserve of a chunked request with that body.
fn reserve_of(config: Config, body: &'static [u8], end: bool) -> i64 {
    // A VM for each: a VM defines its metrics once.
    let vm = std::thread::spawn(move || {
        let root = Root::start(&config);
        chunked(&root, body, end);
        reserved(&root)
    });
    vm.join().unwrap()
}

#[test]
fn a_body_of_unknown_length_reserves_at_least_the_bytes_that_came() {
    let long: &[u8] = &[b' '; 8_000];
    assert_eq!(reserve_of(reading(), long, false), 8_000 / 4 + 10);
    let models = json!({"model": [{"body": "model"}], "models": [{"name": "m", "match": ["m"]}]});
    assert_eq!(reserve_of(reading().with(models), long, false), 2_010);
    assert_eq!(reserve_of(reading(), &long[..3_999], true), 3_999 / 4 + 10);
    assert_eq!(reserve_of(reading(), b"no JSON", true), 60, "a short one");
}

/// The time after which a body is taken not to come, in milliseconds.
const PATIENCE_MS: u64 = 1_000;

fn waiting() -> Config {
    let tier = Config::tier("t").concurrency(2).rpm(1_000).wait("3s");
    tier.with(json!({"tokens": {"read_body": true}}))
}

impl Root {
    /// Two requests whose bodies do not come for as long as the filter waits.
    fn two_without_bodies(&self) -> [u32; 2] {
        let both = [(); 2].map(|()| self.arrives("t"));
        assert!(both.iter().all(|(_, passes)| !passes), "they wait");
        self.clock.pass_ms(PATIENCE_MS);
        proxy_on_tick(self.id);
        both.map(|(id, _)| id)
    }

    /// Lets the worker find out that the host keeps bodies back: they come once headers went on.
    pub fn finds_out(&self) {
        for id in self.two_without_bodies() {
            assert_eq!(proxy_on_request_body(id, 60, true), 0);
            ends(id);
        }
    }

    fn admitted_so_far(&self) -> i64 {
        proxy_on_tick(self.id);
        let name = "tiergate_requests.namespace.tiergate.tier.t.outcome.admitted";
        host(|host| host.metric(name))
    }
}

fn taken_reply() -> Option<u32> {
    host(|host| host.reply.take()).map(|(status, _)| status)
}

#[test]
fn a_host_that_keeps_bodies_back_is_found_out_by_two_requests() {
    let root = Root::start(&reading());
    root.finds_out();
    assert!(root.arrives("t").1, "its headers go on at once");
}

#[test]
fn clients_with_late_bodies_do_not_choose_how_requests_wait() {
    let root = Root::start(&reading());
    for pass_ms in [100, 1_000] {
        for id in root.two_without_bodies() {
            root.clock.pass_ms(pass_ms);
            assert_eq!(proxy_on_request_body(id, 60, true), 0);
            ends(id);
        }
    }
    for id in root.two_without_bodies() {
        ends(id);
    }
    assert!(!root.arrives("t").1, "it waits for its body");
}

#[test]
fn a_response_that_comes_before_the_body_counts_its_request() {
    let root = Root::start(&waiting());
    root.finds_out();
    let before = root.admitted_so_far();
    let (early, passes) = root.arrives("t");
    assert!(passes, "its headers are upstream");
    assert_eq!(proxy_on_request_body(early, 20, false), 1);
    assert_eq!(root.admitted_so_far(), before);
    assert_eq!(proxy_on_response_headers(early, 2, false), 0);
    assert_eq!(root.admitted_so_far(), before + 1);
    assert_eq!(proxy_on_request_body(early, 60, true), 0, "the rest passes");
    proxy_on_response_body(early, host(|host| host.body.len()), true);
    ends(early);
    let used = "tiergate_tokens.namespace.tiergate.tier.t.kind.used";
    assert_eq!(root.admitted_so_far(), before + 1, "once");
    assert_eq!(host(|host| host.metric(used)), 31);
}

#[test]
fn a_response_that_comes_before_the_body_is_refused_over_a_limit() {
    let root = Root::start(&waiting());
    root.finds_out();
    let [runs, other] = [(); 2].map(|()| {
        let (id, _) = root.arrives("t");
        assert_eq!(proxy_on_request_body(id, 60, true), 0);
        id
    });
    let (early, _) = root.arrives("t");
    assert_eq!(proxy_on_response_headers(early, 2, false), 1);
    assert_eq!(taken_reply(), Some(429));
    // The reply passes through the filter, and so does what is left of both.
    assert_eq!(proxy_on_response_headers(early, 2, false), 0);
    let (queued, _) = root.arrives("t");
    assert_eq!(proxy_on_request_body(queued, 60, true), 1, "it is queued");
    assert_eq!(taken_reply(), None);
    assert_eq!(proxy_on_response_headers(queued, 2, false), 1);
    assert_eq!(taken_reply(), Some(429));
    for id in [early, queued] {
        ends(id);
    }
    let (queued, _) = root.arrives("t");
    assert_eq!(proxy_on_request_body(queued, 60, true), 1, "it is queued");
    ends(runs);
    host(|host| host.calls.clear());
    assert_eq!(proxy_on_response_headers(queued, 2, false), 0);
    let resumed = host(|host| host.calls.get("continue_stream").copied());
    assert_eq!(
        (taken_reply(), resumed),
        (None, Some(1)),
        "it has the lease"
    );
    proxy_on_tick(root.id);
    ends(queued);
    ends(other);
    let gauge = "tiergate_in_flight.namespace.tiergate.tier.t";
    proxy_on_tick(root.id);
    assert_eq!(host(|host| host.metric(gauge)), 0);
}
