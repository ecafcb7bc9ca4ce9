//! VMs that trap, stall and come back, in any order: which leases are counted, and by whom.
//!
//! [`Process`] knows the truth: which requests are in process on which VM, and which VM was in time
//! with its heartbeats.

use crate::harness::{Admission, Config, FakeRequest, Metrics, Next, Worker, World};
use proptest::prelude::*;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use tiergate::host::MetricSink as _;

const VMS: usize = 3;

/// "one" is let in only when the account has no lease; its refusal says how many there are. A day
/// is limited too, so that the wall clock is read.
fn two_tiers() -> Config {
    Config::tier("one")
        .concurrency(1)
        .tpd(9_007_199_254_740_991)
        .and_tier("many")
        .concurrency(1_000)
        .tpd(9_007_199_254_740_991)
}

/// The silence after which others may take a VM for lost, as docs/concurrency.md states. They do so
/// only if they looked meanwhile.
const IN_TIME_MS: u64 = 4_000;
/// From what age on a request brings its own heartbeat.
const OVERDUE_MS: u64 = 2_000;

#[derive(Clone, Debug)]
enum Event {
    Acquire(usize),
    /// The second acquires between the read and the write of the first.
    Overtaken(usize, usize),
    Release(prop::sample::Index),
    /// The VM goes, and a new one comes in its place.
    Trap(usize),
    /// The worker's loop stalls: no ticks, until it wakes.
    Sleep(usize),
    Wake(usize),
    Pass(u64),
    WallBack(u64),
    WallAhead(u64),
}

fn event() -> impl Strategy<Value = Event> {
    let worker = || 0..VMS;
    prop_oneof![
        8 => worker().prop_map(Event::Acquire),
        2 => (worker(), worker()).prop_map(|(a, b)| Event::Overtaken(a, b)),
        6 => any::<prop::sample::Index>().prop_map(Event::Release),
        1 => worker().prop_map(Event::Trap),
        2 => worker().prop_map(Event::Sleep),
        2 => worker().prop_map(Event::Wake),
        6 => (0..1_500_u64).prop_map(Event::Pass),
        1 => (3_000..6_000_u64).prop_map(Event::Pass),
        1 => (0..100_000_000_u64).prop_map(Event::WallBack),
        1 => (0..100_000_000_u64).prop_map(Event::WallAhead),
    ]
}

/// A lease that a request in process has, or had.
struct Lease {
    admission: Admission,
    /// The VM's heartbeat failed for so long that others may have forgotten it.
    lost: bool,
}

/// One VM, and what is true of it.
struct Vm {
    worker: Rc<Worker>,
    awake: bool,
    /// The last heartbeat that is certain.
    last_beat: Option<u64>,
    /// The last request, which may have claimed a slot, with a heartbeat of its own.
    asked_at: u64,
    leases: Vec<Lease>,
}

impl Vm {
    fn new(world: &Arc<World>) -> Self {
        Self {
            worker: Rc::new(Worker::new(world, two_tiers())),
            awake: true,
            last_beat: None,
            asked_at: 0,
            leases: Vec::new(),
        }
    }

    fn is_in_time(&self, now: u64) -> bool {
        self.last_beat.is_some_and(|at| now < at + IN_TIME_MS)
    }

    fn beats(&mut self, now: u64) {
        if !self.is_in_time(now) {
            self.leases.iter_mut().for_each(|lease| lease.lost = true);
        }
        self.last_beat = Some(now);
    }

    /// A request comes: it brings a heartbeat when the last is old.
    fn is_asked(&mut self, now: u64) {
        let is_overdue = |at: u64| now >= at.max(self.asked_at) + OVERDUE_MS;
        if self.last_beat.is_none_or(is_overdue) {
            self.beats(now);
        }
        self.asked_at = now;
    }
}

/// The process: its VMs, those that are gone, and its gauge.
struct Process {
    world: Arc<World>,
    vms: Vec<Vm>,
    /// Leases of VMs that are gone.
    stranded: usize,
    gauge: Metrics,
}

impl Process {
    fn new() -> Self {
        let world = World::new();
        Self {
            vms: (0..VMS).map(|_| Vm::new(&world)).collect(),
            world,
            stranded: 0,
            gauge: Metrics::default(),
        }
    }

    fn now(&self) -> u64 {
        self.world.now_us() / 1000
    }

    fn acquire(&mut self, vm: usize) {
        let now = self.now();
        let vm = &mut self.vms[vm];
        vm.is_asked(now);
        let admission = vm.worker.admission(&FakeRequest::of("acme", "many", 0));
        vm.leases.push(Lease {
            admission,
            lost: false,
        });
    }

    fn overtaken(&mut self, vm: usize, by: usize) {
        if vm == by {
            return;
        }
        let now = self.now();
        let taken = Rc::new(RefCell::new(None));
        let (rival, taken_by_it) = (Rc::clone(&self.vms[by].worker), Rc::clone(&taken));
        let intrude = move || {
            let admission = rival.admission(&FakeRequest::of("acme", "many", 0));
            *taken_by_it.borrow_mut() = Some(admission);
        };
        self.vms[vm].worker.host.intrude(intrude);
        self.vms[by].is_asked(now);
        self.acquire(vm);
        let admission = taken.borrow_mut().take().unwrap();
        self.vms[by].leases.push(Lease {
            admission,
            lost: false,
        });
    }

    fn release(&mut self, pick: impl FnOnce(usize) -> usize) {
        let all = self.vms.iter().map(|vm| vm.leases.len()).sum();
        if all == 0 {
            return;
        }
        let mut at = pick(all);
        for vm in &mut self.vms {
            if at < vm.leases.len() {
                vm.worker.release(vm.leases.swap_remove(at).admission);
                return;
            }
            at -= vm.leases.len();
        }
    }

    fn trap(&mut self, vm: usize) {
        let next = Vm::new(&self.world);
        let gone = std::mem::replace(&mut self.vms[vm], next);
        self.stranded += gone.leases.len();
    }

    /// Time passes, and who is awake ticks.
    fn pass(&mut self, mut ms: u64) {
        while ms > 0 {
            let step = ms.min(500);
            ms -= step;
            self.world.pass_ms(step);
            let now = self.now();
            for vm in self.vms.iter_mut().filter(|vm| vm.awake) {
                if vm.last_beat.is_some() {
                    vm.beats(now);
                }
                for (name, delta) in vm.worker.tick().0 {
                    self.gauge.gauge(&name, delta);
                }
            }
        }
    }

    /// How many leases of the account a worker counts.
    fn count_by(&mut self, vm: usize) -> usize {
        let now = self.now();
        let vm = &mut self.vms[vm];
        vm.is_asked(now);
        match vm.worker.check(&FakeRequest::of("acme", "one", 0)).next {
            Next::Forward(pass) => {
                vm.worker.release(pass.admission.unwrap());
                0
            }
            Next::Queue(_) => unreachable!("no tier waits"),
            Next::Reply(reply) => {
                let json: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
                usize::try_from(json["error"]["limit"]["used"].as_u64().unwrap()).unwrap()
            }
        }
    }

    /// Leases of VMs that live, were in time with their heartbeats, and are in time now.
    fn in_time(&self) -> usize {
        let now = self.now();
        let vms = self.vms.iter().filter(|vm| vm.is_in_time(now));
        let leases = vms.flat_map(|vm| &vm.leases);
        leases.filter(|lease| !lease.lost).count()
    }

    fn in_process(&self) -> usize {
        self.vms.iter().map(|vm| vm.leases.len()).sum()
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Acquire(vm) => self.acquire(vm),
            Event::Overtaken(vm, by) => self.overtaken(vm, by),
            Event::Release(which) => self.release(|all| which.index(all)),
            Event::Trap(vm) => self.trap(vm),
            Event::Sleep(vm) => self.vms[vm].awake = false,
            Event::Wake(vm) => self.vms[vm].awake = true,
            Event::Pass(ms) => self.pass(ms),
            Event::WallBack(ms) => self.world.set_wall_back_ms(ms),
            Event::WallAhead(ms) => self.world.set_wall_ahead_ms(ms),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever happens to VMs and clocks: a worker counts every lease of a VM that is in time with
    /// its heartbeats, and once all have ticked for five seconds it counts none of a VM that is gone.
    #[test]
    fn no_lease_of_a_vm_in_time_is_ever_missed_and_none_of_another_is_counted_for_long(
        events in prop::collection::vec((event(), 0..VMS), 1..80),
    ) {
        let mut process = Process::new();
        for (event, looks) in events {
            let what = format!("{event:?}");
            process.happens(event);
            let seen = process.count_by(looks);
            prop_assert!(seen >= process.in_time(), "missed after {}: {}", what, seen);
            prop_assert!(seen <= process.in_process() + process.stranded, "counted twice");
        }
        process.vms.iter_mut().for_each(|vm| vm.awake = true);
        process.pass(5_000);
        for vm in 0..VMS {
            let seen = process.count_by(vm);
            prop_assert!(seen >= process.in_time(), "missed");
            prop_assert!(seen <= process.in_process(), "of a VM that is gone");
        }
        process.pass(500);
        let gauge = process.gauge.get("in_flight", "");
        prop_assert_eq!(gauge, process.in_process() as i64, "the gauge");
        for _ in 0..process.in_process() {
            process.release(|_| 0);
        }
        prop_assert_eq!(process.count_by(0), 0);
    }
}
