//! What must hold in each state.

use crate::message::Packet;
use crate::world::World;
use crate::{Amounts, METERS, Setup};

impl World {
    fn sum_admitted(&self, meter: usize) -> u8 {
        let admitted = self.admitted[meter].iter();
        admitted.map(|(_, amount)| *amount).sum()
    }

    fn in_process(&self) -> u8 {
        self.edges.iter().map(|edge| edge.in_process).sum()
    }

    pub fn is_within(&self, setup: &Setup) -> bool {
        let (sum, leases) = (|m| self.sum_admitted(m), self.in_process());
        setup.meters().all(|m| sum(m) <= setup.limits[m])
            && (setup.leases == 0 || leases <= setup.leases)
    }

    pub fn uses_all(&self, setup: &Setup) -> bool {
        let (sum, leases) = (|m| self.sum_admitted(m), self.in_process());
        setup.meters().all(|m| sum(m) == setup.limits[m]) && leases == setup.leases
    }

    pub fn grants_are_whole(&self, setup: &Setup) -> bool {
        self.network.iter().all(|packet| match packet {
            Packet::Answer(answer) => {
                let granted = |m: usize| answer.grant[m] > 0;
                setup.meters().all(granted) || !setup.meters().any(granted)
            }
            Packet::Ask(_) => true,
        })
    }

    /// Without further faults, and once what is on its way has arrived or is lost, an edge is
    /// granted the whole limit in the end.
    pub fn recovers(&self, setup: &Setup) -> bool {
        // What is on its way arrives or is too late: a state for itself, which is checked.
        if !self.network.is_empty() {
            return true;
        }
        let mut world = self.clone();
        for packet in std::mem::take(&mut world.network) {
            if matches!(packet, Packet::Ask(_)) {
                world.arrive(&packet, setup);
            }
        }
        for edge in 0..2 {
            while !world.edges[edge].open.is_empty() {
                world.edges[edge].settle(0, world.now, setup);
            }
            while world.edges[edge].in_process > 0 {
                world.edges[edge].end();
            }
        }
        let wait = setup.period.map_or(setup.window, |length| length);
        let until = world.now + wait + setup.closing() + setup.timeout + 2;
        while world.now < until {
            world.now += 1;
            for edge in 0..2 {
                world.edges[edge].advance(world.now, setup);
                if world.edges[edge].pending.is_some() {
                    continue;
                }
                world.edges[edge].restates = false;
                let gives_back = world.edges[edge].holds();
                world.exchange(edge, [0; METERS], 0, gives_back, setup);
            }
        }
        let granted = world.exchange(0, setup.limits, setup.leases, false, setup);
        granted == Some((setup.limits, setup.leases))
    }

    /// Sends a message whose answer comes at once; what it grants.
    fn exchange(
        &mut self,
        edge: usize,
        need: Amounts,
        lease: u8,
        gives_back: bool,
        setup: &Setup,
    ) -> Option<(Amounts, u8)> {
        self.network.clear();
        self.send(edge, need, lease, gives_back, setup);
        let ask = self.network.pop()?;
        self.arrive(&ask, setup);
        let answer = self.network.pop()?;
        self.arrive(&answer, setup);
        match answer {
            Packet::Answer(answer) => Some((answer.grant, answer.lease)),
            Packet::Ask(_) => None,
        }
    }
}
