//! Requests that pause for their body or for a lease, and every order in which they can end.

use super::*;

/// The time after which a body is taken not to come, in milliseconds.
const PATIENCE_MS: u64 = 1_000;

/// A concurrency of three, a queue for more, bodies that are read, and the admin API.
fn pausing() -> Config {
    let fields = json!({"tokens": {"read_body": true}, "capacity": {"directory": 64}});
    let tier = Config::tier("t").concurrency(3).rpm(1_000).wait("3s");
    tier.open_admin().with(fields)
}

fn calls(name: &'static str) -> u32 {
    host(|host| host.calls.get(name).copied().unwrap_or(0))
}

fn status() -> Option<u32> {
    host(|host| host.reply.take()).map(|(status, _)| status)
}

impl Root {
    /// Starts a request; true when it goes on at once. `end`: it has no body.
    fn begins(&self, end: bool) -> (u32, bool) {
        chat("t");
        let id = self.new_stream();
        (id, proxy_on_request_headers(id, 4, end) == 0)
    }

    /// Starts requests until one is queued; those that went on, and the queued one.
    fn fill(&self) -> (Vec<u32>, u32) {
        let mut passed = Vec::new();
        loop {
            match self.begins(true) {
                (id, true) => passed.push(id),
                (id, false) => return (passed, id),
            }
        }
    }

    fn ticks(&self, after_ms: u64) {
        self.clock.pass_ms(after_ms);
        proxy_on_tick(self.id);
    }
}

#[test]
fn a_queued_request_goes_on_once_when_a_lease_frees() {
    let root = Root::start(&pausing());
    let (passed, queued) = root.fill();
    assert_eq!(passed.len(), 3);
    root.ticks(10);
    assert_eq!(calls("continue_stream"), 0, "no lease is free");
    ends(passed[0]);
    for _ in 0..3 {
        root.ticks(10);
    }
    assert_eq!((calls("continue_stream"), status()), (1, None));
    for id in [passed[1], passed[2], queued] {
        ends(id);
    }
    assert_eq!(root.fill().0.len(), 3);
}

#[test]
fn the_first_to_be_queued_goes_on_first() {
    let root = Root::start(&pausing());
    let (passed, first) = root.fill();
    let (second, passes) = root.begins(true);
    assert!(!passes);
    ends(passed[0]);
    root.ticks(10);
    let headers_set = |id| {
        let before = calls("replace_header_map_value");
        proxy_on_response_headers(id, 2, true);
        calls("replace_header_map_value") > before
    };
    assert!(headers_set(first), "it is forwarded");
    assert!(!headers_set(second), "it is still queued");
}

#[test]
fn a_queued_request_is_refused_when_its_wait_is_over() {
    let root = Root::start(&pausing());
    let (passed, queued) = root.fill();
    for _ in 0..3 {
        root.ticks(1_000);
    }
    assert_eq!((calls("continue_stream"), status()), (0, Some(429)));
    ends(passed[0]);
    root.ticks(1_000);
    assert_eq!(calls("continue_stream"), 0, "it has been answered");
    ends(queued);
}

#[test]
fn ticks_are_fast_while_a_request_is_queued_and_not_while_it_awaits_its_body() {
    let root = Root::start(&pausing());
    let periods = || calls("set_tick_period_milliseconds");
    let usual = periods();
    let (awaiting, passes) = root.begins(false);
    assert!(!passes);
    root.ticks(500);
    assert_eq!(periods(), usual);
    let (_, queued) = root.fill();
    assert_eq!(periods(), usual + 1);
    ends(queued);
    root.ticks(10);
    assert_eq!(periods(), usual + 2);
    ends(awaiting);
}

#[test]
fn a_request_whose_body_does_not_come_is_queued_and_then_goes_on() {
    let root = Root::start(&pausing());
    let (passed, queued) = root.fill();
    ends(queued);
    root.ticks(10);
    let (waiter, passes) = root.begins(false);
    assert!(!passes);
    root.ticks(PATIENCE_MS);
    assert_eq!(calls("continue_stream"), 0, "it has moved to the queue");
    ends(passed[0]);
    for _ in 0..3 {
        root.ticks(10);
    }
    assert_eq!(calls("continue_stream"), 1);
    ends(waiter);
    ends(passed[1]);
    ends(passed[2]);
    assert_eq!(root.fill().0.len(), 3);
}

#[test]
fn a_request_whose_body_does_not_come_goes_on_without_it() {
    let root = Root::start(&pausing());
    let (waiter, _) = root.begins(false);
    root.ticks(PATIENCE_MS - 1);
    assert_eq!(calls("continue_stream"), 0, "the client has a second");
    for _ in 0..3 {
        root.ticks(500);
    }
    assert_eq!(calls("continue_stream"), 1);
    let late = proxy_on_request_body(waiter, 60, true);
    assert_eq!(late, 0, "a late body passes");
    ends(waiter);
    assert_eq!(root.fill().0.len(), 3);
}

#[test]
fn a_body_that_comes_lets_all_others_wait_for_theirs() {
    let root = Root::start(&pausing());
    let (first, _) = root.begins(false);
    let (second, _) = root.begins(false);
    assert_eq!(proxy_on_request_body(first, 60, true), 0);
    root.ticks(60_000);
    assert_eq!(calls("continue_stream"), 0);
    assert_eq!(proxy_on_request_body(second, 60, true), 0);
}

#[test]
fn an_admin_call_whose_body_does_not_come_is_answered() {
    let root = Root::start(&pausing());
    let call = || {
        chat("t");
        host(|host| {
            host.request[0].1 = b"PUT".to_vec();
            let path = b"/-/tiergate/accounts/acme".to_vec();
            host.request.push((":path".to_owned(), path));
        });
        let id = root.new_stream();
        assert_eq!(proxy_on_request_headers(id, 5, false), 1);
        id
    };
    let id = call();
    root.ticks(PATIENCE_MS);
    root.ticks(PATIENCE_MS);
    assert_eq!((status(), calls("send_local_response")), (Some(501), 1));
    ends(id);
    let id = call();
    assert_eq!(proxy_on_request_body(id, 20, false), 1);
    assert_eq!(status(), None, "more of it is to come");
    assert_eq!(proxy_on_request_trailers(id, 1), 1);
    assert_eq!((status(), calls("continue_stream")), (Some(400), 0));
}

#[test]
fn a_response_before_the_request_is_forwarded_is_left_alone() {
    let root = Root::start(&pausing());
    let (_, queued) = root.fill();
    let (awaiting, _) = root.begins(false);
    host(|host| host.calls.clear());
    for id in [queued, awaiting] {
        proxy_on_response_headers(id, 2, false);
        proxy_on_response_body(id, 20, true);
    }
    assert_eq!(host(|host| host.calls.clone()), BTreeMap::new());
}

const STREAMS: usize = 4;

/// A callback of one of the streams; a stream begins anew after its deletion.
#[derive(Clone, Copy, Debug)]
enum Event {
    Request { end: bool },
    RequestBody { size: usize, end: bool },
    RequestTrailers,
    ResponseHeaders,
    ResponseBody { end: bool },
    Log,
    Done,
    Delete,
    Tick { after_ms: u64 },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => any::<bool>().prop_map(|end| Event::Request { end }),
        3 => (0..70_usize, any::<bool>()).prop_map(|(size, end)| Event::RequestBody { size, end }),
        1 => Just(Event::RequestTrailers),
        2 => Just(Event::ResponseHeaders),
        2 => any::<bool>().prop_map(|end| Event::ResponseBody { end }),
        1 => Just(Event::Log),
        2 => Just(Event::Done),
        2 => Just(Event::Delete),
        3 => (0..1_500_u64).prop_map(|after_ms| Event::Tick { after_ms }),
    ]
}

fn deliver(root: &Root, id: u32, event: Event) {
    match event {
        // The host never repeats the headers; it must do no harm.
        Event::Request { end } => _ = proxy_on_request_headers(id, 4, end),
        Event::RequestBody { size, end } => _ = proxy_on_request_body(id, size, end),
        Event::RequestTrailers => _ = proxy_on_request_trailers(id, 1),
        Event::ResponseHeaders => _ = proxy_on_response_headers(id, 2, false),
        Event::ResponseBody { end } => _ = proxy_on_response_body(id, 20, end),
        Event::Log => proxy_on_log(id),
        Event::Done => _ = proxy_on_done(id),
        Event::Delete => proxy_on_delete(id),
        Event::Tick { after_ms } => root.ticks(after_ms),
    }
}

/// Runs the events beside a request that keeps its lease; the leases that are free at the end, and
/// the gauge of requests in flight after the root context has closed. `keeps_back`: the worker has
/// found out that the host keeps bodies back, so headers go on first.
fn run(events: Vec<(usize, Event)>, keeps_back: bool) -> (usize, i64) {
    let root = Root::start(&pausing());
    if keeps_back {
        root.finds_out();
    }
    let (witness, passes) = root.begins(true);
    assert!(passes);
    let mut streams: [Option<u32>; STREAMS] = [None; STREAMS];
    for (slot, event) in events {
        match (streams[slot], event) {
            (None, Event::Request { end }) => {
                streams[slot] = Some(root.begins(end).0);
            }
            (None, _) => {}
            (Some(id), event) => {
                deliver(&root, id, event);
                if matches!(event, Event::Delete) {
                    streams[slot] = None;
                }
            }
        }
    }
    for id in streams.into_iter().flatten() {
        proxy_on_delete(id);
    }
    root.ticks(10);
    let (passed, queued) = root.fill();
    let free = passed.len();
    for id in passed.into_iter().chain([witness, queued]) {
        ends(id);
    }
    drop(root);
    let gauge = "tiergate_in_flight.namespace.tiergate.tier.t";
    (free, host(|host| host.metric(gauge)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever of the events come, and in which order: no lease is kept, and none is given back
    /// twice, which would free the lease of the witness.
    #[test]
    fn every_admission_is_settled_once_in_any_order_of_callbacks(
        events in prop::collection::vec((0..STREAMS, event()), 0..60),
        keeps_back in any::<bool>(),
    ) {
        // A VM for each: a VM defines its metrics once.
        let vm = std::thread::spawn(move || run(events, keeps_back));
        prop_assert_eq!(vm.join().unwrap(), (2, 0));
    }
}
