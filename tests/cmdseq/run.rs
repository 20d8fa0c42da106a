//! Plays a sequence: its connections in one thread, which never waits for a single one of them.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crate::checks::{Check, Rules, Violation};
use crate::client::{Client, Reply};
use crate::inspect::Left;
use crate::link::{Ending, Link, Mood};
use crate::plan::{Act, Request, SLOTS, flood};
use crate::requests::Outcome;
use crate::session::{Around, Effect, counter_key, pair_keys};

/// How long CLIENT PAUSE holds in a probe.
const PROBE_MS: u64 = 80;
/// How long the others go on between the two looks of a probe.
const PROBE_GAP: Duration = Duration::from_millis(6);
/// How long replies are waited for that are known not to come.
const KNOWN: Duration = Duration::from_millis(300);
/// A pause when nothing moves.
const REST: Duration = Duration::from_micros(200);

/// What a sequence is played on.
#[derive(Clone, Copy, Debug)]
pub struct Stage<'a> {
    /// Where the sequence's connections go.
    pub address: &'a str,
    pub rules: &'a Rules,
    /// How long a reply may take.
    pub patience: Duration,
    /// Memory in use when there are no keys.
    pub used_bytes: u64,
    /// The number of the first connection: no other sequence on this server has it.
    pub first: usize,
}

/// A sequence at work.
struct World<'a> {
    stage: Stage<'a>,
    links: [Option<Link>; SLOTS],
    /// Connections that are to be closed by the server.
    leaving: Vec<Link>,
    mood: Mood,
    left: Left,
    opened: usize,
}

/// Plays a sequence, waits for what is to come, closes everything. Gives what there must be then.
pub fn play(acts: &[Act], stage: Stage<'_>) -> Result<Left, Violation> {
    let mut world = World {
        stage,
        links: [const { None }; SLOTS],
        leaving: Vec::new(),
        mood: Mood::default(),
        left: Left::default(),
        opened: stage.first,
    };
    for act in acts {
        world.act(act)?;
        world.pump()?;
    }
    world.settle()?;
    world.close_all();
    Ok(world.left)
}

/// The time. Only tests look at servers from outside.
#[expect(clippy::disallowed_methods, reason = "tests look at servers from outside")]
pub fn now() -> Instant {
    Instant::now()
}

impl World<'_> {
    fn act(&mut self, act: &Act) -> Result<(), Violation> {
        match act {
            Act::Send { slot, requests, cut } => self.send(*slot, requests, *cut),
            Act::Flood { slot, count } => self.send(*slot, &flood(*count), None),
            Act::Close(slot) => {
                if let Some(mut link) = self.links[*slot].take() {
                    link.pump(self.stage.rules, &self.mood)?;
                    self.mood.stray_pause |= link.is_pausing();
                    link.close(&self.mood);
                    self.left.note(&link);
                }
                Ok(())
            }
            Act::Reset(slot) => {
                if let Some(mut link) = self.links[*slot].take() {
                    self.mood.stray_pause |= link.is_pausing();
                    link.reset(&self.mood);
                    self.left.note(&link);
                }
                Ok(())
            }
            Act::HalfClose(slot) => {
                if let Some(mut link) = self.links[*slot].take() {
                    link.half_close();
                    self.leaving.push(link);
                }
                Ok(())
            }
            Act::Deafen(slot) => {
                self.links[*slot].iter_mut().for_each(|link| link.deaf = true);
                Ok(())
            }
            Act::Listen(slot) => {
                self.links[*slot].iter_mut().for_each(|link| link.deaf = false);
                Ok(())
            }
            Act::WaitMs(ms) => self.go_on_for(Duration::from_millis(*ms)),
            Act::Probe => self.probe(),
            Act::Inspect => unreachable!("sequences are parted there"),
        }
    }

    fn send(
        &mut self,
        slot: usize,
        requests: &[Request],
        cut: Option<usize>,
    ) -> Result<(), Violation> {
        self.open(slot)?;
        let link = self.links[slot].as_mut().expect("it is open");
        link.release();
        let earlier = link.waiting();
        for request in requests {
            let around = Around {
                number: self.links[slot].as_ref().map_or(0, |link| link.number),
                ids: self.links.each_ref().map(|link| link.as_ref()?.id),
                used_bytes: self.stage.used_bytes,
            };
            let link = self.links[slot].as_mut().expect("it is open");
            let effect = link.add(request, &around);
            self.note(effect);
            if effect == Effect::Ends {
                break;
            }
        }
        let link = self.links[slot].as_mut().expect("it is open");
        match cut {
            Some(cut) if link.ending == Ending::Open => link.release_up_to(earlier, cut),
            _ => link.release(),
        }
        link.pump(self.stage.rules, &self.mood)?;
        if link.ending == Ending::Closing {
            self.leaving.extend(self.links[slot].take());
        }
        Ok(())
    }

    /// Opens a connection in this slot unless there is one.
    fn open(&mut self, slot: usize) -> Result<(), Violation> {
        if let Some(link) = self.links[slot].take_if(|link| link.is_gone) {
            self.left.note(&link);
        }
        if self.links[slot].is_some() {
            return Ok(());
        }
        let opened = Link::open(self.stage.address, self.opened, slot);
        self.opened += 1;
        self.links[slot] = Some(opened.map_err(|error| unreachable_server(&error))?);
        let end = now() + self.stage.patience;
        let known = |world: &Self| {
            world.links[slot].as_ref().is_none_or(|link| link.id.is_some() || link.is_gone)
        };
        while !known(self) && now() < end {
            if !self.pump()? {
                thread::park_timeout(REST);
            }
        }
        let complaint = || "a new client gets no answer to CLIENT ID".to_owned();
        self.stage.rules.expect(Check::Replies, known(self), complaint)
    }

    fn note(&mut self, effect: Effect) {
        match effect {
            Effect::None | Effect::Ends | Effect::WaitsForever => {}
            Effect::Pauses => {
                self.mood.pauses = true;
                self.left.doubt();
            }
            Effect::Flushes => self.mood.flushes = true,
            Effect::Limits(outcome) => match outcome {
                Outcome::Cuts => self.mood.cuts = true,
                Outcome::Refuses | Outcome::Evicts => {
                    self.mood.refuses = true;
                    self.mood.evicts |= outcome == Outcome::Evicts;
                    self.left.doubt();
                }
                Outcome::Nothing => {}
            },
            Effect::Kills(slot) => {
                self.links[slot].iter_mut().for_each(|link| link.may_be_cut = true);
            }
            Effect::KillsSubscribers => self.mood.kills_subscribers = true,
        }
    }

    fn all(&mut self, change: impl Fn(&mut Link)) {
        self.links.iter_mut().flatten().chain(&mut self.leaving).for_each(change);
    }

    /// Sends and receives what goes. Whether anything did.
    fn pump(&mut self) -> Result<bool, Violation> {
        let mut moved = false;
        for link in self.links.iter_mut().flatten().chain(&mut self.leaving) {
            moved |= link.pump(self.stage.rules, &self.mood)?;
        }
        for link in self.leaving.extract_if(.., |link| link.is_gone) {
            self.left.note(&link);
        }
        Ok(moved)
    }

    fn go_on_for(&mut self, time: Duration) -> Result<(), Violation> {
        let end = now() + time;
        while now() < end {
            if !self.pump()? {
                thread::park_timeout(REST);
            }
        }
        Ok(())
    }

    /// Waits until all replies are here and all that are to be closed are closed.
    fn settle(&mut self) -> Result<(), Violation> {
        self.all(|link| {
            link.deaf = false;
            if link.ending == Ending::Open {
                link.release();
            }
        });
        let begun = now();
        loop {
            let moved = self.pump()?;
            let links = self.links.iter().flatten().chain(&self.leaving);
            let late: Vec<&Link> = links.filter(|link| !link.is_quiet()).collect();
            let Some(first) = late.first() else { return Ok(()) };
            // What is known to fail is not waited for long.
            let rules = self.stage.rules;
            let worst = late.iter().find(|link| rules.is_on(check_of(link))).unwrap_or(first);
            let is_known = !rules.is_on(check_of(worst));
            let patience =
                if is_known { self.stage.patience.min(KNOWN) } else { self.stage.patience };
            if patience < begun.elapsed() {
                return rules.expect(check_of(worst), false, || worst.complaint());
            }
            if !moved {
                thread::park_timeout(REST);
            }
        }
    }

    fn close_all(&mut self) {
        let links = self.links.iter_mut().filter_map(Option::take);
        for mut link in links.chain(self.leaving.drain(..)) {
            link.close(&self.mood);
            self.left.note(&link);
        }
        self.left.mood = self.mood;
    }

    /// Whether CLIENT PAUSE holds the writes that are under way.
    fn probe(&mut self) -> Result<(), Violation> {
        let mut links = self.links.iter().flatten().chain(&self.leaving);
        let mood = self.mood;
        if mood.stray_pause || mood.evicts || mood.cuts || links.any(Link::is_pausing) {
            return Ok(());
        }
        // The pause may end what they wait for.
        if !self.leaving.is_empty() {
            return Ok(());
        }
        self.left.doubt();
        let keys = self.counter_keys();
        let asked = (|| {
            let mut client = Client::connect(self.stage.address)?;
            client.set_patience(self.stage.patience)?;
            let began = now();
            client.call(&["CLIENT", "PAUSE", &PROBE_MS.to_string(), "WRITE"])?;
            io::Result::Ok((began, look(&mut client, &keys)?, client))
        })();
        let (began, before, mut client) = asked.map_err(|error| unreachable_server(&error))?;
        self.go_on_for(PROBE_GAP)?;
        let after = look(&mut client, &keys).map_err(|error| unreachable_server(&error))?;
        let in_time = began.elapsed() < Duration::from_millis(PROBE_MS);
        let closed = client.call(&["CLIENT", "UNPAUSE"]);
        closed.map_err(|error| unreachable_server(&error))?;
        // Another client's pause may have replaced it meanwhile.
        let others = self.links.iter().flatten().chain(&self.leaving).any(Link::is_pausing);
        let held = before == after || !in_time || others;
        self.stage.rules.expect(Check::Pause, held, || {
            format!("behind +OK of CLIENT PAUSE: {}", differences(&keys, &before, &after))
        })
    }

    /// The keys of the counters of all connections that there are.
    fn counter_keys(&self) -> Vec<String> {
        let keys = |link: &Link| {
            let number = link.number;
            let counters = (0..link.counters.len()).map(move |at| counter_key(number, at));
            counters.chain(pair_keys(number))
        };
        self.links.iter().flatten().chain(&self.leaving).flat_map(keys).collect()
    }
}

/// What it fails when a connection does not come to rest.
fn check_of(link: &Link) -> Check {
    match link.ending {
        Ending::Open => Check::Replies,
        Ending::Closing => Check::Closes,
        Ending::HalfClosed => Check::HalfClose,
    }
}

fn look(client: &mut Client, keys: &[String]) -> io::Result<Vec<Reply>> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let words: Vec<&str> = std::iter::once("MGET").chain(keys.iter().map(String::as_str)).collect();
    match client.call(&words)? {
        Reply::Group(_, values) => Ok(values),
        other => Err(io::Error::other(format!("MGET gives {}", other.head()))),
    }
}

fn differences(keys: &[String], before: &[Reply], after: &[Reply]) -> String {
    let all = keys.iter().zip(before.iter().zip(after));
    let differ = all.filter(|(_, (before, after))| before != after);
    let line = |(key, (before, after)): (&String, (&Reply, &Reply))| {
        format!("{key} went from {} to {}", before.head(), after.head())
    };
    differ.map(line).collect::<Vec<_>>().join(", ")
}

/// What it means that the server does not answer.
pub fn unreachable_server(error: &io::Error) -> Violation {
    Violation { check: Check::Alive, text: format!("the server does not answer: {error}") }
}
