//! Connections: bytes that take their time, ways that are cut in one direction, ends that close,
//! vanish or do not read.

use std::collections::{BTreeSet, VecDeque};

use shards::base::random::Random;

use crate::agenda::{Agenda, Event, Micros};

/// A connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnId(pub usize);

/// What came of an attempt to read or write.
#[derive(Debug)]
pub enum Tried<T> {
    Moved(T),
    Later,
    Over,
}

/// All of it.
#[derive(Debug)]
pub struct Network {
    conns: Vec<Conn>,
    /// From which node to which nothing gets.
    cuts: BTreeSet<(usize, usize)>,
    /// From which node to which everything is slow.
    slow: BTreeSet<(usize, usize)>,
    /// Bytes that may be on one way.
    room: usize,
    /// Bytes come in pieces of at most so many.
    piece: u64,
}

#[derive(Debug)]
struct Conn {
    /// The node that dialed, and the one that was dialed.
    ends: [usize; 2],
    /// From each of the ends.
    ways: [Way; 2],
    is_open: bool,
}

#[derive(Debug, Default)]
struct Way {
    flying: VecDeque<u8>,
    /// In the buffer of the receiver.
    arrived: VecDeque<u8>,
    /// The sender sends no more.
    is_shut: bool,
    /// The receiver can know it.
    is_over: bool,
    /// The receiver reads no more.
    is_deaf: bool,
    is_scheduled: bool,
    /// The sender is told when there is room again.
    wants_room: bool,
}

impl Network {
    pub fn new(random: &mut Random) -> Self {
        let rooms = [400, 4_000, 200_000];
        let room = rooms[usize::try_from(random.below(3)).expect("it is small")];
        let piece = [9, 60, 3_000][usize::try_from(random.below(3)).expect("it is small")];
        let (cuts, slow) = (BTreeSet::new(), BTreeSet::new());
        Self { conns: Vec::new(), cuts, slow, room, piece }
    }

    /// A connection that is not open yet.
    pub fn dial(&mut self, from: usize, to: usize) -> ConnId {
        let ways = [Way::default(), Way::default()];
        self.conns.push(Conn { ends: [from, to], ways, is_open: false });
        ConnId(self.conns.len() - 1)
    }

    pub fn open(&mut self, conn: ConnId) {
        self.conns[conn.0].is_open = true;
    }

    /// The nodes at its ends.
    pub fn ends(&self, conn: ConnId) -> [usize; 2] {
        self.conns[conn.0].ends
    }

    /// The node at one end.
    pub fn end(&self, conn: ConnId, side: usize) -> usize {
        self.conns[conn.0].ends[side]
    }

    /// Whether nothing gets from one node to another.
    pub fn is_cut(&self, from: usize, to: usize) -> bool {
        self.cuts.contains(&(from, to))
    }

    pub fn cut(&mut self, from: usize, to: usize) {
        self.cuts.insert((from, to));
    }

    pub fn slow(&mut self, from: usize, to: usize) {
        self.slow.insert((from, to));
    }

    /// Everything gets everywhere again, in time.
    pub fn heal(&mut self, agenda: &mut Agenda) {
        (self.cuts, self.slow) = (BTreeSet::new(), BTreeSet::new());
        for conn in 0..self.conns.len() {
            for way in 0..2 {
                self.schedule(ConnId(conn), way, 1, agenda);
            }
        }
    }

    fn side(&self, conn: ConnId, node: usize) -> usize {
        usize::from(self.conns[conn.0].ends[0] != node)
    }

    /// How long something takes from one node to another.
    pub fn latency(&self, from: usize, to: usize, random: &mut Random) -> Micros {
        let slow = self.slow.contains(&(from, to));
        let most = if slow { 900_000 } else { [200, 900, 9_000][pick(random, 3)] };
        30 + random.below(most)
    }

    /// Sends what there is room for.
    pub fn write(
        &mut self,
        (conn, node): (ConnId, usize),
        bytes: &[u8],
        random: &mut Random,
        agenda: &mut Agenda,
    ) -> Tried<usize> {
        let (side, room) = (self.side(conn, node), self.room);
        let [from, to] = self.direction(conn, side);
        let Conn { ways, is_open, .. } = &mut self.conns[conn.0];
        let is_refused = ways[side].is_deaf && ways[1 - side].is_over;
        if ways[side].is_shut || is_refused {
            return Tried::Over;
        }
        let way = &mut ways[side];
        let room = room.saturating_sub(way.flying.len() + way.arrived.len());
        way.wants_room = room < bytes.len();
        if !*is_open || room == 0 {
            return Tried::Later;
        }
        let count = room.min(bytes.len());
        way.flying.extend(&bytes[..count]);
        let delay = self.latency(from, to, random);
        self.schedule(conn, side, delay, agenda);
        Tried::Moved(count)
    }

    /// What has come, at most so many bytes.
    pub fn read(
        &mut self,
        (conn, node): (ConnId, usize),
        most: usize,
        agenda: &mut Agenda,
    ) -> Tried<Vec<u8>> {
        let side = self.side(conn, node);
        let way = &mut self.conns[conn.0].ways[1 - side];
        if way.is_deaf {
            return Tried::Over;
        }
        let count = most.min(way.arrived.len());
        if count != 0 {
            if std::mem::take(&mut way.wants_room) {
                agenda.add(20, Event::Room(conn, 1 - side));
            }
            let mut bytes = Vec::with_capacity(count);
            parts(&way.arrived, 0, count).for_each(|part| bytes.extend_from_slice(part));
            way.arrived.drain(..count);
            return Tried::Moved(bytes);
        }
        if way.is_over { Tried::Over } else { Tried::Later }
    }

    /// Ends what a node has of a connection. What it has sent still arrives.
    pub fn close(
        &mut self,
        (conn, node): (ConnId, usize),
        random: &mut Random,
        agenda: &mut Agenda,
    ) {
        let side = self.side(conn, node);
        let [from, to] = self.direction(conn, side);
        let ways = &mut self.conns[conn.0].ways;
        ways[side].is_shut = true;
        ways[1 - side].is_deaf = true;
        ways[1 - side].arrived.clear();
        let delay = self.latency(from, to, random);
        self.schedule(conn, side, delay, agenda);
    }

    /// Breaks a connection: both ends find out, and what was on its way is lost.
    pub fn reset(&mut self, conn: ConnId, agenda: &mut Agenda) {
        for way in 0..2 {
            let Way { flying, is_shut, .. } = &mut self.conns[conn.0].ways[way];
            flying.clear();
            *is_shut = true;
            self.schedule(conn, way, 1, agenda);
        }
    }

    /// A node is gone. Its peers find out, or hear nothing any more.
    pub fn lose(&mut self, node: usize, silently: bool, agenda: &mut Agenda) {
        for conn in self.of(node) {
            let side = self.side(conn, node);
            let ways = &mut self.conns[conn.0].ways;
            ways[1 - side].is_deaf = true;
            ways[1 - side].flying.clear();
            ways[side].flying.clear();
            if !silently {
                ways[side].is_shut = true;
                self.schedule(conn, side, 50, agenda);
            }
        }
    }

    /// The machine is there again, and knows none of the connections that it had.
    pub fn forget(&mut self, node: usize, agenda: &mut Agenda) {
        for conn in self.of(node) {
            let side = self.side(conn, node);
            self.conns[conn.0].ways[side].is_shut = true;
            self.schedule(conn, side, 50, agenda);
        }
    }

    /// Connections that a node has an end of, and that are not over.
    pub fn of(&self, node: usize) -> Vec<ConnId> {
        let is_here = |conn: &(usize, &Conn)| {
            let (_, Conn { ends, ways, .. }) = conn;
            ends.contains(&node) && ways.iter().any(|way| !way.is_over)
        };
        let all = self.conns.iter().enumerate();
        all.filter(|conn| is_here(conn)).map(|(id, _)| ConnId(id)).collect()
    }

    /// Whether a node has ended it.
    pub fn is_closed(&self, conn: ConnId, node: usize) -> bool {
        self.conns[conn.0].ways[self.side(conn, node)].is_shut
    }

    /// Something gets from one node to another again.
    pub fn mend(&mut self, from: usize, to: usize, agenda: &mut Agenda) {
        self.cuts.remove(&(from, to));
        for conn in self.of(from) {
            let side = self.side(conn, from);
            self.schedule(conn, side, 1, agenda);
        }
    }

    /// From which node to which a way leads.
    fn direction(&self, conn: ConnId, side: usize) -> [usize; 2] {
        let ends = self.conns[conn.0].ends;
        [ends[side], ends[1 - side]]
    }

    fn schedule(&mut self, conn: ConnId, side: usize, delay: Micros, agenda: &mut Agenda) {
        let way = &mut self.conns[conn.0].ways[side];
        let has_news = !way.flying.is_empty() || (way.is_shut && !way.is_over);
        if has_news && !std::mem::replace(&mut way.is_scheduled, true) {
            agenda.add(delay, Event::Arrives(conn, side));
        }
    }

    /// Something of a way arrives, unless it is cut. The node that has news of it.
    pub fn arrive(
        &mut self,
        conn: ConnId,
        side: usize,
        random: &mut Random,
        agenda: &mut Agenda,
    ) -> Option<usize> {
        let [from, to] = self.direction(conn, side);
        let is_cut = self.is_cut(from, to);
        let piece = usize::try_from(1 + random.below(self.piece)).expect("it is small");
        let Conn { ways, .. } = &mut self.conns[conn.0];
        let way = &mut ways[side];
        way.is_scheduled = false;
        if is_cut {
            return None;
        }
        let count = piece.min(way.flying.len());
        if way.is_deaf {
            if std::mem::take(&mut way.wants_room) {
                agenda.add(20, Event::Room(conn, side));
            }
        } else {
            parts(&way.flying, 0, count).for_each(|part| way.arrived.extend(part));
        }
        way.flying.drain(..count);
        way.is_over |= way.flying.is_empty() && way.is_shut;
        let delay = 1 + random.below(200);
        self.schedule(conn, side, delay, agenda);
        Some(to)
    }
}

/// So many bytes from a place on, as they lie in memory.
pub fn parts(queue: &VecDeque<u8>, from: usize, count: usize) -> impl Iterator<Item = &[u8]> {
    let (first, second) = queue.as_slices();
    let to = from + count;
    let near = &first[from.min(first.len())..to.min(first.len())];
    let far = &second[from.saturating_sub(first.len())..to.saturating_sub(first.len())];
    [near, far].into_iter()
}

fn pick(random: &mut Random, count: u64) -> usize {
    usize::try_from(random.below(count)).expect("it is small")
}
