//! Locks on one shard's keys, for commands that need more than one shard at a time.
//!
//! A batch that needs keys makes all its claims on this shard at once and gets a ticket. Claims on
//! a key queue in the order of their tickets. A ticket is granted when none of its claims stands
//! behind a conflicting one. Tickets of one shard therefore wait only for earlier ones, and
//! commands of several shards visit them in ascending order. So no command ever waits in a circle.
//!
//! A command that needs one shard only, and finds its keys unclaimed, runs without a ticket.

use std::collections::VecDeque;

use hashbrown::HashMap;
use shards::commands::spec::{Flag, Flags};

/// Keys for which room is kept while none is claimed: a transaction with more of them is rare.
const KEYS_ROOM_MAX: usize = 4096;

/// A key, by its hash: keys with the same hash, or the same key in several databases, share a
/// lock.
pub type LockId = u64;

/// Whether others may hold the same key meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Together with other readers.
    Shared,
    /// Alone.
    Exclusive,
}

/// In which mode a command with these flags claims its keys.
#[inline]
pub fn mode_of(flags: Flags) -> Mode {
    if flags.has(Flag::Write) { Mode::Exclusive } else { Mode::Shared }
}

/// A place in this shard's order: its number, and which it is of those that were put behind the
/// ticket of that number later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64, u64);

/// What a ticket asks for.
#[derive(Clone, Debug)]
pub enum Claims {
    /// These keys; none twice.
    Keys(Vec<(LockId, Mode)>),
    /// The whole shard.
    Whole(Mode),
}

#[derive(Debug)]
struct Holder {
    claims: Claims,
    /// How many earlier claims it still waits for.
    waits_for: usize,
}

#[derive(Debug, Default)]
struct Queue(VecDeque<(Ticket, Mode)>);

/// All tickets of one shard.
#[derive(Debug, Default)]
pub struct Locks {
    next: u64,
    next_behind: u64,
    tickets: HashMap<Ticket, Holder>,
    keys: HashMap<LockId, Queue>,
    /// Whole-shard tickets, in order.
    wholes: Vec<(Ticket, Mode)>,
}

impl Locks {
    /// Whether no ticket claims anything: the usual case, checked before each command.
    #[inline]
    pub fn idle(&self) -> bool {
        self.tickets.is_empty()
    }

    /// Whether a command that takes no ticket would have to wait for this key.
    pub fn blocks(&self, id: LockId, mode: Mode) -> bool {
        self.wholes.iter().any(|whole| conflict(whole.1, mode))
            || self
                .keys
                .get(&id)
                .is_some_and(|queue| queue.0.iter().any(|claim| conflict(claim.1, mode)))
    }

    /// Whether a ticket claims this key.
    pub fn claimed(&self, id: LockId) -> bool {
        self.blocks(id, Mode::Exclusive)
    }

    /// What a ticket claims.
    pub fn claims(&self, ticket: Ticket) -> &Claims {
        &self.tickets[&ticket].claims
    }

    /// Whether no ticket but `held`, which is granted, stands in the way of what is done with this
    /// key now. Tickets that wait for `held` do not stand in the way.
    pub fn lets(&self, held: Option<Ticket>, id: LockId) -> bool {
        if self.idle() {
            return true;
        }
        let on_key = self.keys.get(&id).into_iter().flat_map(|queue| &queue.0);
        let mut claims = on_key.chain(&self.wholes);
        let (mut alone, mut others) = (false, false);
        claims.by_ref().for_each(|&(ticket, mode)| match held == Some(ticket) {
            true => alone |= mode == Mode::Exclusive,
            false => others = true,
        });
        alone || !others
    }

    /// Claims a key for the next batch that waits for it: behind `held`, if any, and before all
    /// tickets that wait for `held`. [`Self::lets`] must have said yes.
    pub fn enter_behind(&mut self, held: Option<Ticket>, id: LockId) -> Ticket {
        let claims = Claims::Keys(vec![(id, Mode::Exclusive)]);
        let Some(held) = held.filter(|_| self.claimed(id)) else { return self.enter(claims).0 };
        self.next_behind += 1;
        let ticket = Ticket(held.0, self.next_behind);
        let queue = self.keys.entry(id).or_default();
        let at = queue.0.iter().take_while(|claim| claim.0 < ticket).count();
        let mut waits_for = usize::from(at != 0);
        let (mut ahead_shared, mut ahead_exclusive) = (false, false);
        for (place, (other, mode)) in queue.0.iter().enumerate() {
            // A ticket with no conflicting claim in front waits from now on.
            let waits = ahead_exclusive || (ahead_shared && *mode == Mode::Exclusive);
            if at <= place && !waits {
                self.tickets.get_mut(other).expect("a claim has a ticket").waits_for += 1;
            }
            match mode {
                Mode::Shared => ahead_shared = true,
                Mode::Exclusive => ahead_exclusive = true,
            }
        }
        queue.0.insert(at, (ticket, Mode::Exclusive));
        for (other, _) in &self.wholes {
            if *other < ticket {
                waits_for += 1;
            } else {
                self.tickets.get_mut(other).expect("a claim has a ticket").waits_for += 1;
            }
        }
        self.tickets.insert(ticket, Holder { claims, waits_for });
        ticket
    }

    /// Enters the order. Returns the ticket and whether it is granted at once.
    pub fn enter(&mut self, claims: Claims) -> (Ticket, bool) {
        self.next += 1;
        let ticket = Ticket(self.next, 0);
        let mut waits_for = 0;
        match &claims {
            Claims::Keys(keys) => {
                for &(id, mode) in keys {
                    let queue = self.keys.entry(id).or_default();
                    waits_for += usize::from(queue.0.iter().any(|c| conflict(c.1, mode)));
                    queue.0.push_back((ticket, mode));
                }
                let strongest = strongest(keys);
                waits_for += self.wholes.iter().filter(|w| conflict(w.1, strongest)).count();
            }
            Claims::Whole(mode) => {
                let earlier = self.tickets.values();
                waits_for += earlier.filter(|h| conflict(h.claims.mode(), *mode)).count();
                self.wholes.push((ticket, *mode));
            }
        }
        self.tickets.insert(ticket, Holder { claims, waits_for });
        (ticket, waits_for == 0)
    }

    /// Gives a ticket back, granted or not. Tickets that are granted thereby are appended to
    /// `granted`, in order.
    pub fn leave(&mut self, ticket: Ticket, granted: &mut Vec<Ticket>) {
        let holder = self.tickets.remove(&ticket).expect("a ticket is given back once");
        let mut freed = Vec::new();
        if let Claims::Keys(keys) = &holder.claims {
            for &(id, _) in keys {
                self.leave_queue(ticket, id, &mut freed);
            }
        } else {
            self.wholes.retain(|whole| whole.0 != ticket);
            let mode = holder.claims.mode();
            let later = self.tickets.iter().filter(|(t, _)| ticket < **t);
            let freed_by_it = later.filter(|(_, h)| conflict(mode, h.claims.mode()));
            freed.extend(freed_by_it.map(|(t, _)| *t));
        }
        if matches!(holder.claims, Claims::Keys(_)) {
            let mode = holder.claims.mode();
            let later = self.wholes.iter().filter(|whole| ticket < whole.0);
            freed.extend(later.filter(|whole| conflict(mode, whole.1)).map(|whole| whole.0));
        }
        if self.keys.is_empty() && KEYS_ROOM_MAX < self.keys.capacity() {
            self.keys = HashMap::new();
        }
        freed.sort_unstable();
        for ticket in freed {
            let holder = self.tickets.get_mut(&ticket).expect("a waiting ticket exists");
            holder.waits_for -= 1;
            if holder.waits_for == 0 {
                granted.push(ticket);
            }
        }
    }

    /// Takes `ticket` out of the queue of `id`. Those behind it which waited for this queue and
    /// wait no longer are appended to `freed`.
    fn leave_queue(&mut self, ticket: Ticket, id: LockId, freed: &mut Vec<Ticket>) {
        let queue = self.keys.get_mut(&id).expect("a claim stands in its queue");
        let at = queue.0.iter().position(|c| c.0 == ticket).expect("a claim stands in its queue");
        let (_, left) = queue.0.remove(at).expect("the position was just found");
        // Of those behind, these waited because of the one that left alone.
        let mut ahead_shared = queue.0.iter().take(at).any(|c| c.1 == Mode::Shared);
        let mut ahead_exclusive = queue.0.iter().take(at).any(|c| c.1 == Mode::Exclusive);
        for &(behind, mode) in queue.0.iter().skip(at) {
            let waits = ahead_exclusive || (ahead_shared && mode == Mode::Exclusive);
            if !waits && conflict(left, mode) {
                freed.push(behind);
            }
            match mode {
                Mode::Shared => ahead_shared = true,
                Mode::Exclusive => ahead_exclusive = true,
            }
        }
        if queue.0.is_empty() {
            self.keys.remove(&id);
        }
    }
}

impl Claims {
    /// Claims on these keys, each of them once, in its strongest mode.
    pub fn of_keys(mut keys: Vec<(LockId, Mode)>) -> Self {
        // Exclusive first within a key, so that `dedup` keeps it.
        keys.sort_unstable_by_key(|&(id, mode)| (id, mode == Mode::Shared));
        keys.dedup_by_key(|key| key.0);
        Self::Keys(keys)
    }

    /// The strongest mode among the claims.
    fn mode(&self) -> Mode {
        match self {
            Self::Keys(keys) => strongest(keys),
            Self::Whole(mode) => *mode,
        }
    }
}

fn strongest(keys: &[(LockId, Mode)]) -> Mode {
    let exclusive = keys.iter().any(|key| key.1 == Mode::Exclusive);
    if exclusive { Mode::Exclusive } else { Mode::Shared }
}

const fn conflict(a: Mode, b: Mode) -> bool {
    matches!(a, Mode::Exclusive) || matches!(b, Mode::Exclusive)
}

#[cfg(test)]
mod tests {
    use shards::base::random::Random;

    use super::*;

    fn keys(ids: &[u64], mode: Mode) -> Claims {
        Claims::Keys(ids.iter().map(|&id| (id, mode)).collect())
    }

    #[test]
    fn a_later_claim_waits_and_is_granted_in_order() {
        let mut locks = Locks::default();
        let (first, granted) = locks.enter(keys(&[1, 2], Mode::Exclusive));
        assert!(granted);
        let (second, granted) = locks.enter(keys(&[2, 3], Mode::Exclusive));
        assert!(!granted);
        let (third, granted) = locks.enter(keys(&[3], Mode::Shared));
        assert!(!granted, "the second is ahead on key 3");
        let mut now = Vec::new();
        locks.leave(first, &mut now);
        assert_eq!(now, [second]);
        now.clear();
        locks.leave(second, &mut now);
        assert_eq!(now, [third]);
        locks.leave(third, &mut now);
        assert!(locks.idle());
    }

    #[test]
    fn who_is_put_behind_a_holder_comes_before_those_who_wait_for_it() {
        for whole in [false, true] {
            let claims =
                if whole { Claims::Whole(Mode::Exclusive) } else { keys(&[1], Mode::Exclusive) };
            let mut locks = Locks::default();
            let (holder, _) = locks.enter(claims);
            let (late, granted) = locks.enter(keys(&[1], Mode::Shared));
            let (all, _) = locks.enter(Claims::Whole(Mode::Shared));
            assert!(!granted && locks.lets(Some(holder), 1) && !locks.lets(Some(late), 1));
            let behind = locks.enter_behind(Some(holder), 1);
            let mut now = Vec::new();
            locks.leave(holder, &mut now);
            assert_eq!(now, [behind]);
            now.clear();
            locks.leave(behind, &mut now);
            assert_eq!(now, [late, all]);
            now.clear();
            locks.leave(late, &mut now);
            locks.leave(all, &mut now);
            assert!(now.is_empty() && locks.idle());
        }
    }

    #[test]
    fn readers_share_and_a_whole_shard_waits_for_writers() {
        let mut locks = Locks::default();
        let (reader, granted) = locks.enter(keys(&[1], Mode::Shared));
        assert!(granted);
        let (scan, granted) = locks.enter(Claims::Whole(Mode::Shared));
        assert!(granted);
        let (writer, granted) = locks.enter(keys(&[9], Mode::Exclusive));
        assert!(!granted);
        assert!(locks.blocks(9, Mode::Shared));
        assert!(!locks.blocks(1, Mode::Shared));
        let mut now = Vec::new();
        locks.leave(reader, &mut now);
        assert!(now.is_empty());
        locks.leave(scan, &mut now);
        assert_eq!(now, [writer]);
    }

    /// Random claims: what is granted at a time never conflicts, all are granted in the end, and
    /// conflicting tickets are granted in the order they came.
    #[test]
    fn random_claims_never_conflict_and_never_starve() {
        for seed in 0..200 {
            let mut random = Random::new(seed);
            let mut locks = Locks::default();
            let mut held: Vec<(Ticket, Claims)> = Vec::new();
            let mut waiting: Vec<(Ticket, Claims)> = Vec::new();
            for step in 0..400 {
                if step < 300 && random.below(2) == 0 {
                    let claims = random_claims(&mut random);
                    let (ticket, granted) = locks.enter(claims.clone());
                    let list = if granted { &mut held } else { &mut waiting };
                    list.push((ticket, claims));
                } else if !held.is_empty() && random.below(4) == 0 {
                    let at = usize::try_from(random.below(held.len() as u64)).expect("small");
                    let (holder, id) = (held[at].0, random.below(6));
                    if locks.lets(Some(holder), id) {
                        let ticket = locks.enter_behind(Some(holder), id);
                        let claims = keys(&[id], Mode::Exclusive);
                        let waits = !compatible(&held[at].1, &claims);
                        if waits { &mut waiting } else { &mut held }.push((ticket, claims));
                    }
                } else if !held.is_empty() {
                    let at = usize::try_from(random.below(held.len() as u64)).expect("small");
                    let mut granted = Vec::new();
                    locks.leave(held.swap_remove(at).0, &mut granted);
                    for ticket in granted {
                        let at = waiting.iter().position(|w| w.0 == ticket).expect("waited");
                        let claims = waiting.remove(at);
                        let earlier = waiting.iter().filter(|w| w.0 < ticket);
                        assert!(earlier.into_iter().all(|w| compatible(&w.1, &claims.1)));
                        held.push(claims);
                    }
                }
                for (at, one) in held.iter().enumerate() {
                    let others = held[..at].iter();
                    assert!(others.into_iter().all(|o| compatible(&o.1, &one.1)), "seed {seed}");
                }
            }
            while let Some((ticket, _)) = held.pop() {
                let mut granted = Vec::new();
                locks.leave(ticket, &mut granted);
                for ticket in granted {
                    let at = waiting.iter().position(|w| w.0 == ticket).expect("waited");
                    held.push(waiting.remove(at));
                }
            }
            assert!(waiting.is_empty() && locks.idle(), "seed {seed}");
        }
    }

    fn random_claims(random: &mut Random) -> Claims {
        let mode = |random: &mut Random| {
            if random.below(2) == 0 { Mode::Shared } else { Mode::Exclusive }
        };
        if random.below(8) == 0 {
            return Claims::Whole(mode(random));
        }
        let mut ids: Vec<u64> = (0..1 + random.below(4)).map(|_| random.below(6)).collect();
        ids.sort_unstable();
        ids.dedup();
        Claims::Keys(ids.into_iter().map(|id| (id, mode(random))).collect())
    }

    fn compatible(a: &Claims, b: &Claims) -> bool {
        match (a, b) {
            (Claims::Keys(a), Claims::Keys(b)) => {
                a.iter().all(|x| b.iter().all(|y| x.0 != y.0 || !conflict(x.1, y.1)))
            }
            (a, b) => !conflict(a.mode(), b.mode()),
        }
    }
}
