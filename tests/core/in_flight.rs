//! The gauge of requests in process: the truth, also when VMs go.

use crate::harness::{Admission, Config, FakeRequest, Metrics, Worker, World};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use tiergate::host::MetricSink as _;

fn admission(worker: &Worker) -> Admission {
    worker.admission(&FakeRequest::acme(0))
}

/// The process's gauge, moved by whichever worker ticks.
#[derive(Default)]
struct Gauge(Metrics);

impl Gauge {
    fn tick(&mut self, workers: &[&Worker]) {
        for worker in workers {
            for (name, delta) in worker.tick().0 {
                self.0.gauge(&name, delta);
            }
        }
    }

    /// Time passes until a VM without a heartbeat is lost.
    fn until_lost(&mut self, world: &World, workers: &[&Worker]) {
        for _ in 0..9 {
            world.pass_ms(500);
            self.tick(workers);
        }
    }

    fn value(&self) -> i64 {
        self.0.get("in_flight", "tier.t")
    }
}

fn worker(world: &Arc<World>) -> Worker {
    Worker::new(world, Config::tier("t").concurrency(50))
}

/// A VM dies with a request in process, and another takes it out of the gauge.
fn dies_with_a_request(gauge: &mut Gauge, dies: Worker, lives: &Worker) {
    let world = Arc::clone(&dies.host.world);
    admission(&dies);
    gauge.tick(&[&dies, lives]);
    assert_eq!(gauge.value(), 1);
    drop(dies);
    gauge.until_lost(&world, &[lives]);
    assert_eq!(gauge.value(), 0);
}

#[test]
fn in_flight_goes_up_and_comes_back() {
    let world = World::new();
    let worker = worker(&world);
    let lease = admission(&worker);
    let gauge = |metrics: Metrics| metrics.get("in_flight", "tier.t");
    assert_eq!(gauge(worker.tick()), 1);
    assert_eq!(gauge(worker.tick()), 0, "nothing moved");
    worker.release(lease);
    assert_eq!(gauge(worker.tick()), -1);
}

#[test]
fn what_a_dead_vm_had_in_process_is_taken_out_of_the_gauge_once() {
    let world = World::new();
    let (dies, lives, also_lives) = (worker(&world), worker(&world), worker(&world));
    let mut gauge = Gauge::default();
    for _ in 0..3 {
        admission(&dies);
    }
    let kept = admission(&lives);
    admission(&also_lives);
    gauge.tick(&[&dies, &lives, &also_lives]);
    assert_eq!(gauge.value(), 5);
    drop(dies);
    for _ in 0..10 {
        world.pass_ms(500);
        gauge.tick(&[&lives, &also_lives]);
    }
    assert_eq!(gauge.value(), 2);
    // The next VM gets the dead one's slot, and counts from nothing.
    let next = worker(&world);
    admission(&next);
    lives.release(kept);
    gauge.tick(&[&next, &lives, &also_lives]);
    assert_eq!(gauge.value(), 2);
}

#[test]
fn a_vm_that_never_had_a_request_takes_a_dead_one_out_too() {
    let world = World::new();
    let (dies, main) = (worker(&world), worker(&world));
    dies_with_a_request(&mut Gauge::default(), dies, &main);
}

#[test]
fn a_vm_that_slept_is_in_the_gauge_again_when_it_wakes() {
    let world = World::new();
    let (sleeps, lives) = (worker(&world), worker(&world));
    let mut gauge = Gauge::default();
    let lease = admission(&sleeps);
    admission(&lives);
    gauge.tick(&[&sleeps, &lives]);
    for _ in 0..20 {
        world.pass_ms(500);
        gauge.tick(&[&lives]);
    }
    assert_eq!(gauge.value(), 1, "taken for dead");
    gauge.tick(&[&sleeps, &lives]);
    assert_eq!(gauge.value(), 2);
    sleeps.release(lease);
    gauge.tick(&[&sleeps, &lives]);
    assert_eq!(gauge.value(), 1);
}

#[test]
fn two_configs_of_one_vm_are_one_part_of_the_gauge() {
    let world = World::new();
    let old = worker(&world);
    let new = old.beside(Config::tier("t").concurrency(51));
    let mut gauge = Gauge::default();
    let (first, second) = (admission(&old), admission(&new));
    gauge.tick(&[&old, &new]);
    assert_eq!(gauge.value(), 2);
    old.release(first);
    for (name, delta) in old.close().0 {
        gauge.0.gauge(&name, delta);
    }
    drop(old);
    assert_eq!(gauge.value(), 1);
    new.release(second);
    gauge.tick(&[&new]);
    assert_eq!(gauge.value(), 0);
}

#[test]
fn tiers_without_limits_are_in_the_gauge() {
    let world = World::new();
    let (dies, lives) = (
        Worker::new(&world, Config::tier("t")),
        Worker::new(&world, Config::tier("t")),
    );
    let mut gauge = Gauge::default();
    dies_with_a_request(&mut gauge, dies, &lives);
}

#[test]
fn a_corrupt_gauge_value_is_counted_and_written_anew() {
    let world = World::new();
    let worker = worker(&world);
    admission(&worker);
    worker.tick();
    world.overwrite("tiergate/g0", b"\x01Fnonsense");
    let metrics = worker.tick();
    assert_eq!(metrics.get("damaged_values", ""), 1);
    assert_eq!(worker.tick().get("damaged_values", ""), 0);
}

#[test]
fn a_slot_whose_vms_die_one_after_the_other_is_mended_each_time() {
    let world = World::new();
    let lives = worker(&world);
    let mut gauge = Gauge::default();
    for _ in 0..3 {
        let dies = worker(&world);
        dies_with_a_request(&mut gauge, dies, &lives);
    }
}

#[test]
fn two_that_find_a_dead_vm_at_the_same_moment_take_it_out_once() {
    let world = World::new();
    let dies = worker(&world);
    let (finds, finds_too) = (worker(&world), worker(&world));
    let mut gauge = Gauge::default();
    admission(&dies);
    gauge.tick(&[&dies]);
    drop(dies);
    for _ in 0..7 {
        world.pass_ms(500);
        gauge.tick(&[&finds, &finds_too]);
    }
    assert_eq!(gauge.value(), 1, "not lost yet");
    world.pass_ms(1_000);
    let moved = Rc::new(RefCell::new(Gauge::default()));
    let moved_by_it = Rc::clone(&moved);
    let intrude = move || moved_by_it.borrow_mut().tick(&[&finds_too]);
    finds.host.intrude(intrude);
    gauge.tick(&[&finds]);
    gauge.tick(&[&finds]);
    assert_eq!(gauge.value() + moved.borrow().value(), 0);
}
