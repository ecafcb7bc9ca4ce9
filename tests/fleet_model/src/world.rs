//! The world of a check: edges, store and network, and what may happen next.

use crate::action::Action;
use crate::edge::Edge;
use crate::message::{Id, Packet};
use crate::store::{Key, Service};
use crate::{Amounts, METERS, Rule, Setup, Time};
use stateright::{Model, Property};

/// Not a promise, but without it a check would say nothing.
pub const USES_ALL: &str = "all of the limit is used";

/// Everything at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub now: Time,
    pub(crate) edges: [Edge; 2],
    key: Option<Key>,
    /// The store's incarnation, and when it began.
    store: u8,
    since: Time,
    /// The key as it was in the last tick, which a rollback brings back.
    before: Option<Option<Key>>,
    pub(crate) network: Vec<Packet>,
    /// What was admitted, by time: the truth.
    pub(crate) admitted: [Vec<(Time, u8)>; METERS],
    admissions: u8,
    duplicates: u8,
    restarts: u8,
    /// Ended processes, and when they ended.
    ended: Vec<(Id, Time)>,
}

impl Model for Setup {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            now: 0,
            edges: [0, 1].map(|edge| Edge::new((edge, 1), 0)),
            key: None,
            store: 1,
            since: 0,
            before: self.rollback.then_some(None),
            network: Vec::new(),
            admitted: Default::default(),
            admissions: 0,
            duplicates: 0,
            restarts: 0,
            ended: Vec::new(),
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        if world.now < self.horizon && world.may_tick(self) {
            actions.push(Action::Tick);
        }
        for edge in 0..2 {
            world.edge_actions(edge, self, actions);
        }
        for (i, packet) in world.network.iter().enumerate() {
            if world.network[..i].contains(packet) {
                continue;
            }
            let packet = packet.clone();
            if world.duplicates < self.duplicates {
                actions.push(Action::Arrive {
                    packet: packet.clone(),
                    stays: true,
                });
            }
            actions.push(Action::Arrive {
                packet,
                stays: false,
            });
        }
        if world.before.as_ref().is_some_and(|key| *key != world.key) {
            actions.push(Action::Rollback);
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        next.act(action, self);
        next.tidy(self);
        (next != *world).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("never over", |setup: &Self, world: &World| {
                world.is_within(setup)
            }),
            Property::always("all or nothing", |setup: &Self, world: &World| {
                world.grants_are_whole(setup)
            }),
            Property::always("nothing is lost for ever", |setup: &Self, world: &World| {
                world.recovers(setup)
            }),
            Property::sometimes(USES_ALL, |setup: &Self, world: &World| {
                world.uses_all(setup)
            }),
        ]
    }
}

impl World {
    fn edge_actions(&self, index: usize, setup: &Setup, actions: &mut Vec<Action>) {
        let edge = &self.edges[index];
        let in_network = |p: &&Packet| matches!(p, Packet::Ask(ask) if ask.id.0 == edge.id.0);
        // Edges are alike, so the first one asks first.
        let begins = index == 0 || self.edges[0].number > 0 || self.edges[0].id.1 > 1;
        let sends = begins
            && edge.pending.is_none()
            && edge.number < setup.messages
            && self.network.iter().filter(in_network).count() < setup.in_network;
        let lease = u8::from(setup.leases > 0);
        let mut asked = Vec::new();
        for (reserved, used) in &setup.requests {
            let (reserved, used) = (*reserved, *used);
            let admits = edge.may_admit(self.now, &reserved, lease);
            if admits && self.admissions < setup.admissions {
                actions.push(Action::Admit {
                    edge: index,
                    reserved,
                    used,
                });
            }
            if !admits && sends && !asked.contains(&reserved) {
                asked.push(reserved);
                actions.push(Action::Ask {
                    edge: index,
                    need: reserved,
                });
            }
        }
        if sends && edge.is_dirty() {
            actions.push(Action::Report { edge: index });
        }
        if sends && edge.holds() {
            actions.push(Action::GiveBack { edge: index });
        }
        for (admission, open) in edge.open.iter().enumerate() {
            if !edge.open[..admission].contains(open) {
                actions.push(Action::Settle {
                    edge: index,
                    admission,
                });
            }
        }
        if edge.in_process > 0 {
            actions.push(Action::End { edge: index });
        }
        if self.restarts < setup.restarts && edge.number > 0 {
            actions.push(Action::Restart { edge: index });
        }
    }

    /// A sync is shorter than a life: an edge restates before the account is open again.
    fn may_tick(&self, setup: &Setup) -> bool {
        !(setup.keeps(Rule::RestateAtOnce) && self.store > 1)
            || self.edges.iter().all(|edge| {
                let must = edge.restates || edge.store != self.store && edge.has_used();
                !must || self.now + 1 < self.since + setup.life
            })
    }

    fn act(&mut self, action: Action, setup: &Setup) {
        let now = self.now;
        match action {
            Action::Tick => {
                self.now += 1;
                if self.before.is_some() {
                    self.before = Some(self.key.clone());
                }
            }
            Action::Ask { edge, need } => {
                self.send(edge, need, u8::from(setup.leases > 0), false, setup)
            }
            Action::Report { edge } => self.send(edge, [0; METERS], 0, false, setup),
            Action::GiveBack { edge } => self.send(edge, [0; METERS], 0, true, setup),
            Action::Admit {
                edge,
                reserved,
                used,
            } => {
                let lease = u8::from(setup.leases > 0);
                self.edges[edge].admit(now, reserved, used, lease, setup);
                self.admissions += 1;
                for m in 0..METERS {
                    let real = reserved[m].min(used[m]);
                    if real > 0 {
                        self.admitted[m].push((now, real));
                        self.admitted[m].sort_unstable();
                    }
                }
            }
            Action::Settle { edge, admission } => self.edges[edge].settle(admission, now, setup),
            Action::End { edge } => self.edges[edge].end(),
            Action::Arrive { packet, stays } => {
                if stays {
                    self.duplicates += 1;
                } else {
                    let at = self.network.iter().position(|p| *p == packet);
                    self.network.remove(at.expect("it is in the network"));
                }
                self.arrive(&packet, setup);
            }
            Action::Restart { edge } => self.restart(edge, setup),
            Action::Rollback => {
                self.key = self.before.take().flatten();
                self.store += 1;
                self.since = now;
                // Heartbeats tell each edge that has used anything.
                if setup.keeps(Rule::RestateAtOnce) {
                    for edge in &mut self.edges {
                        edge.restates = edge.has_used();
                    }
                }
            }
        }
    }

    pub(crate) fn send(
        &mut self,
        edge: usize,
        need: Amounts,
        lease: u8,
        give_back: bool,
        setup: &Setup,
    ) {
        let ask = self.edges[edge].ask(self.now, need, lease, give_back, setup);
        self.network.push(Packet::Ask(ask));
    }

    pub(crate) fn arrive(&mut self, packet: &Packet, setup: &Setup) {
        match packet {
            Packet::Ask(ask) => {
                let dead: Vec<Id> = (self.ended.iter())
                    .filter(|(_, at)| self.now >= at + setup.life)
                    .map(|(id, _)| *id)
                    .collect();
                let service = Service {
                    now: self.now,
                    store: self.store,
                    since: self.since,
                    dead: &dead,
                };
                let answer = Key::step(&mut self.key, ask, &service, setup);
                self.network.extend(answer.map(Packet::Answer));
            }
            Packet::Answer(answer) => {
                let edge = &mut self.edges[usize::from(answer.id.0)];
                if edge.awaits(answer, setup) {
                    edge.take(answer, self.now, setup);
                }
            }
        }
    }

    /// An edge's process, or its record, begins anew.
    fn restart(&mut self, edge: usize, setup: &Setup) {
        self.restarts += 1;
        let old = &self.edges[edge];
        let mut id = old.id;
        if setup.keeps(Rule::OwnIdentity) {
            self.ended.push((id, self.now));
            id.1 += 1;
        }
        self.edges[edge] = Edge::new(id, 0);
    }

    /// One form for states that are alike: what can have no effect any more is gone.
    fn tidy(&mut self, setup: &Setup) {
        for edge in &mut self.edges {
            edge.advance(self.now, setup);
        }
        let start = setup
            .period
            .map_or((self.now + 1).saturating_sub(setup.window), |length| {
                self.now / length * length
            });
        for admitted in &mut self.admitted {
            admitted.retain(|(at, _)| *at >= start);
        }
        let may_repeat = setup.duplicates > 0 || setup.rollback || !setup.without.is_empty();
        if let Some(key) = &mut self.key {
            key.tidy(may_repeat);
        }
        let (edges, key) = (&self.edges, &self.key);
        let may_forget = self.before.is_some() || !setup.keeps(Rule::OlderIsStale);
        self.network.retain(|packet| match packet {
            Packet::Answer(answer) => edges[usize::from(answer.id.0)].awaits(answer, setup),
            Packet::Ask(ask) => {
                let waits = &edges[usize::from(ask.id.0)];
                let is_awaited =
                    waits.id == ask.id && waits.pending.is_some_and(|p| p.number == ask.number);
                let late = !setup.keeps(Rule::PendingAnswers);
                may_forget
                    || late
                    || is_awaited
                    || !key.as_ref().is_some_and(|key| key.has_seen(ask))
            }
        });
        self.network.sort_unstable();
    }
}
