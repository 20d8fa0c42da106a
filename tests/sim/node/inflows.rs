//! Logs of the primary that a node follows, each by a connection of its own. This stands for
//! `relay::inflows`, which is bound to sockets; what shards do with logs is the real machine.

use keylane::flows::following::{Broken, News, Word};
use keylane::flows::incoming::Place;
use keylane::replication::handshake::LogsOffered;
use keylane::replication::history::{Fence, Offset, Scalar, Vector};
use keylane::replication::link::events::{self, Event, Generation};
use keylane::replication::link::report::Observed;
use keylane::replication::moment::Moment;
use keylane::replication::replid::ReplId;
use keylane::replication::split::Unit;

use crate::agenda::Env;
use crate::faults::Fault;
use crate::node::Node;
use crate::node::dial::Dial;
use crate::node::inchunks::Opening;
use crate::node::letters::{Follow, Letter};
use crate::node::upstream::{Renewal, Upstream};
use crate::setup::Setup;

const ANNOUNCEMENT: &[u8] = b"*5\r\n$7\r\nKEYLANE\r\n$5\r\nFLOWS\r\n";

/// What a primary says in place of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    pub name: ReplId,
    place: Scalar,
    scalar: Scalar,
    vector: Vector,
}

/// The logs of one attempt to follow.
#[derive(Debug)]
pub struct Inflows {
    generation: Generation,
    at: Announced,
    stores: bool,
    until: Moment,
    opening: Vec<Opening>,
    held: Option<(usize, Vec<(u16, Place)>)>,
}

impl Announced {
    /// What `KEYLANE FLOWS name scalar vector` says. `None` if it is another unit.
    pub fn of(unit: &Unit<'_>) -> Option<Self> {
        if !unit.raw.starts_with(ANNOUNCEMENT) {
            return None;
        }
        let args: Vec<&[u8]> = unit.commands().next()?.args().collect();
        let &[_, _, name, scalar, vector] = args.as_slice() else { return None };
        let scalar = std::str::from_utf8(scalar).ok()?.parse().ok().map(Scalar)?;
        let (name, place) = (ReplId::parse(name)?, unit.offset);
        Vector::parse(vector).map(|vector| Self { name, place, scalar, vector })
    }
}

impl Inflows {
    fn begin(
        generation: Generation,
        node: &Node,
        (at, stores): (Announced, bool),
        until: Moment,
        env: &mut Env,
        primary: &keylane::replication::address::Address,
    ) -> Self {
        let mut opening = Vec::new();
        for (flow, offset) in (0..).zip(at.vector.offsets()) {
            let (number, offset) = (u16::to_string(&flow), offset.to_string());
            let words: [&[u8]; 5] =
                [b"KEYLANE", b"FLOW", at.name.as_bytes(), number.as_bytes(), offset.as_bytes()];
            opening.push(Opening::begin((generation, flow), node, primary, &words, env));
        }
        Self { generation, at, stores, until, opening, held: None }
    }

    /// Connections that are not agreed on.
    pub fn dials(&mut self) -> impl Iterator<Item = &mut Dial> {
        self.opening.iter_mut().map(|opening| &mut opening.dial)
    }

    /// Goes on to connect.
    fn go_on(&mut self, node: &mut Node, env: &mut Env) -> Result<(), String> {
        if self.until < env.moment() && !self.opening.is_empty() {
            return Err("the connection for a log was not answered".to_owned());
        }
        let mut left = Vec::new();
        for mut opening in std::mem::take(&mut self.opening) {
            match opening.go_on(node.run.node, env) {
                Ok(Some(unread)) => {
                    let Opening { number: flow, dial, .. } = opening;
                    let offset: Offset = self.at.vector.offsets()[usize::from(flow)];
                    let (generation, conn) = (self.generation, dial.conn);
                    let stores = self.stores;
                    let follow = Follow { generation, flow, offset, stores, conn, unread };
                    let shard = usize::from(flow) % node.shards.len();
                    node.relay_tells(env, shard, Letter::Follow(Box::new(follow)));
                }
                Ok(None) => left.push(opening),
                Err(why) => {
                    node.close(env, opening.dial.conn);
                    return Err(why);
                }
            }
        }
        self.opening = left;
        Ok(())
    }

    /// What everything adds up to that is applied.
    pub fn applied(&self, node: &Node) -> Scalar {
        self.at.scalar.after(node.relay.boards.iter().sum())
    }

    /// Has all shards end what is under way, and say where they are.
    pub fn hold(&mut self, node: &mut Node, env: &mut Env) {
        if self.held.is_some() {
            return;
        }
        for opening in self.opening.drain(..) {
            node.close(env, opening.dial.conn);
        }
        for shard in 0..node.shards.len() {
            node.relay_tells(env, shard, Letter::Word(Word::Hold(self.generation)));
        }
        self.held = Some((node.shards.len(), Vec::new()));
    }

    fn hear_of_held(&mut self, places: Vec<(u16, Place)>) -> Option<(Scalar, Vector)> {
        let (missing, held) = self.held.as_mut()?;
        held.extend(places);
        *missing = missing.saturating_sub(1);
        if *missing != 0 {
            return None;
        }
        let Announced { mut scalar, mut vector, .. } = self.at.clone();
        for (flow, place) in held {
            scalar = scalar.after(place.weight);
            vector.offsets_mut()[usize::from(*flow)] = place.offset;
        }
        Some((scalar, vector))
    }
}

impl Node {
    /// A shard says something of the primary's logs.
    pub fn hear_of_following(&mut self, env: &mut Env, news: News) {
        self.with_upstream(env, |upstream, node, env| upstream.hear_of_flows(node, env, news));
        self.turn_at(env, env.agenda.now + 1);
    }
}

impl Upstream {
    fn hear_of_flows(&mut self, node: &mut Node, env: &mut Env, news: News) {
        let Some(flows) = &mut self.flows else { return self.hear_of_stored(node, env, news) };
        let (generation, is_ending) = (flows.generation, flows.held.is_some());
        match news {
            News::Broken(of, why) if of == generation && !is_ending => match why {
                Broken::Closed => self.happens(node, env, lost(of, "a log has ended")),
                Broken::Stream(why) | Broken::Unappliable(why) => panic!("a log is broken: {why}"),
            },
            News::GetAck(of) if of == generation => {
                self.note_applied(node, env, false);
                self.happens(node, env, Event::GetAck);
            }
            News::Held(of, places) if of == generation => {
                let Some((scalar, vector)) = flows.hear_of_held(places) else { return };
                self.flows = None;
                let track = node.track.take().expect("it has followed logs");
                env.checks.held(&track, scalar, &vector, &node.image.values);
                self.happens(node, env, Event::FlowsHeld(scalar, vector));
                self.connect_after_logs(node, env);
            }
            // Of an attempt that is over.
            _ => {}
        }
    }

    fn hear_of_stored(&mut self, node: &mut Node, env: &mut Env, news: News) {
        let Some(stored) = &mut self.stored else { return };
        match news {
            News::Broken(of, why) if of == stored.generation && stored.held.is_none() => {
                assert_eq!(why, Broken::Closed, "nothing is looked at that is stored");
                self.happens(node, env, lost(of, "a log has ended"));
            }
            News::Held(of, places) if of == stored.generation => {
                if let Some((_, vector)) = stored.hear_of_held(places) {
                    assert_eq!(vector, stored.at.vector, "nothing is applied that is stored");
                    self.stored = None;
                    self.connect_after_logs(node, env);
                }
            }
            // Of an attempt that is over.
            _ => {}
        }
    }

    fn connect_after_logs(&mut self, node: &mut Node, env: &mut Env) {
        if let Some((generation, primary)) = self.connects_to.take() {
            self.connect(node, env, generation, &primary);
        }
    }

    /// The primary offers its logs from where its snapshot is.
    pub fn store_logs(
        &mut self,
        node: &Node,
        env: &mut Env,
        generation: Generation,
        offered: LogsOffered,
    ) {
        let Some(primary) = self.link.observed().desired.primary.clone() else { return };
        assert!(self.stored.is_none(), "logs are offered once");
        let LogsOffered { name, history: _, at: Fence { scalar, vector } } = offered;
        let at = Announced { name, place: scalar, scalar, vector };
        let until = env.moment().after(env.setup.link_limits().step_ms);
        let logs = (at, !env.has(Fault::HastyStore));
        self.stored = Some(Inflows::begin(generation, node, logs, until, env, &primary));
    }

    pub fn go_on_with_flows(&mut self, node: &mut Node, env: &mut Env) {
        let Some(flows) = self.flows.as_mut().or(self.stored.as_mut()) else { return };
        let generation = flows.generation;
        if let Err(why) = flows.go_on(node, env) {
            self.happens(node, env, lost(generation, &why));
        }
    }

    /// The primary sends each log by a connection of its own.
    pub fn begin_flows(&mut self, node: &mut Node, env: &mut Env, announced: Announced) {
        let Observed { generation, desired, .. } = self.link.observed();
        let Some(primary) = desired.primary.clone() else { return };
        let is_awaited = env.setup.nodes[node.run.node].1 && self.flows.is_none();
        assert!(
            is_awaited && announced.place == announced.scalar,
            "logs come as they were asked for"
        );
        let Announced { scalar, vector, .. } = announced.clone();
        self.happens(node, env, Event::FlowsBegan(Fence { scalar, vector }));
        let until = env.moment().after(env.setup.link_limits().step_ms);
        let values = &node.image.values;
        node.track = Some(env.checks.follow_logs(announced.name, &announced.vector, values));
        assert!(Setup::node_at(&primary) != node.run.node, "no node follows itself");
        self.flows = Some(match self.stored.take() {
            Some(mut stored) => {
                assert_eq!(stored.at, announced, "logs go on from where they were offered");
                env.checks.counts.stored += 1;
                stored.stores = false;
                for shard in 0..node.shards.len() {
                    node.relay_tells(env, shard, Letter::Word(Word::Apply(generation)));
                }
                stored
            }
            None => Inflows::begin(generation, node, (announced, false), until, env, &primary),
        });
        self.renewal = Some(Renewal::Stream(None));
    }
}

fn lost(generation: Generation, why: &str) -> Event<'static> {
    Event::Of(generation, events::News::Closed(why.to_owned()))
}
