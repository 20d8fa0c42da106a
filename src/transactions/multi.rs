//! Commands between MULTI and EXEC, and what EXEC makes of them.

use shards::base::hash::slot_of_hash;
use shards::base::slot::Slot;
use shards::commands::spec::Flag;
use shards::keyspace::watch::Seen;
use shards::resp::error::Error;
use shards::resp::parser::Range;

use crate::cluster::redirect::{Keys, Outcome};
use crate::pubsub::interest::Changes;
use crate::routing::admission::Guards;
use crate::routing::call::{Call, KeyShape};
use crate::routing::redirection::{key_shape, places};
use crate::routing::request::{Parsed, Route, with_args};

/// Bytes of small commands that share a block. A longer command has a block of its own, of just
/// its length: what is queued never moves.
const BLOCK_BYTES: usize = 16 << 10;
/// The same of the first block: most transactions have a few short commands.
const FIRST_BLOCK_BYTES: usize = 256;

/// Commands queued after MULTI.
#[derive(Debug, Default)]
pub struct Multi {
    blocks: Vec<Block>,
    /// Each command with its block.
    commands: Vec<(usize, Parsed)>,
    bytes: usize,
    /// The reasons to look closer at any of them.
    pub guards: Guards,
    /// One of them needs memory.
    pub denies_oom: bool,
    /// One of them was refused, so EXEC will be.
    pub refused: bool,
    /// What becomes of the commands that do not run here, in a cluster: as the client's home sees
    /// it when EXEC comes. `None`: they run.
    pub outcome: Option<Outcome>,
}

/// Arguments of some commands.
#[derive(Debug)]
struct Block {
    input: Vec<u8>,
    ranges: Vec<Range>,
}

/// A transaction that EXEC began.
#[derive(Debug)]
pub struct Exec {
    /// The queued commands.
    pub multi: Box<Multi>,
    /// The command that is next.
    pub next: usize,
    /// Keys that must be unchanged.
    pub watched: Vec<Watch>,
    /// The shard that has all it touches, if its commands need nothing but that shard.
    pub place: Option<u16>,
    /// A watched key has changed.
    pub aborted: bool,
    /// What is answered instead if none has: the commands do not run here, in a cluster.
    pub redirection: Option<Error>,
    /// What has become of the client's subscriptions, if a command was about them.
    pub changes: Option<Changes>,
}

/// A key a client watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    /// The database.
    pub db: usize,
    /// The key's hash.
    pub hash: u64,
    /// What was to be seen of the key.
    pub seen: Seen,
}

impl Multi {
    /// Queues a command with its route and the place and hash of its first key.
    pub fn push(
        &mut self,
        call: &'static Call,
        args: &[&[u8]],
        route: Route,
        first_key: (u32, u64),
    ) {
        let bytes: usize = args.iter().map(|arg| arg.len()).sum();
        let fits = |block: &Block| {
            block.input.capacity() - block.input.len() >= bytes
                && block.ranges.len() + args.len() <= BLOCK_BYTES
        };
        if !self.blocks.last().is_some_and(fits) {
            let least = if self.blocks.is_empty() { FIRST_BLOCK_BYTES } else { BLOCK_BYTES };
            let input = Vec::with_capacity(bytes.max(least));
            self.bytes += input.capacity();
            self.blocks.push(Block { input, ranges: Vec::with_capacity(args.len()) });
        }
        let at = self.blocks.len() - 1;
        let Block { input, ranges } = &mut self.blocks[at];
        let small = |number: usize| u32::try_from(number).expect("a request is below 4 GiB");
        let first = small(ranges.len());
        for arg in args {
            ranges.push(Range { start: small(input.len()), len: small(arg.len()) });
            input.extend_from_slice(arg);
        }
        let (count, end) = (small(args.len()), small(input.len()));
        let parsed = Parsed { call: Some(call), first, count, end, route, first_key };
        self.commands.push((at, parsed));
        self.bytes += size_of::<(usize, Parsed)>() + args.len() * size_of::<Range>();
        self.denies_oom |= call.spec.flags.has(Flag::DenyOom);
        // PING is refused like a write when it is sent, but not as a part of EXEC.
        let writes = call.spec.flags.has(Flag::Write);
        let guards = if writes { call.guards } else { call.guards.without(Guards::MISCONF) };
        self.guards = self.guards.and(guards);
    }

    /// How many commands there are.
    pub fn len(&self) -> usize {
        self.commands.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The command at a place.
    pub fn command(&self, at: usize) -> Option<&Parsed> {
        self.commands.get(at).map(|(_, parsed)| parsed)
    }

    /// All commands.
    pub fn commands(&self) -> impl Iterator<Item = &Parsed> {
        self.commands.iter().map(|(_, parsed)| parsed)
    }

    /// Where the keys of all commands are, together. For most of them their hashes say it.
    pub fn keys(&self) -> Keys {
        let mut found = Keys::None;
        let mut add = |slot: Slot| match found {
            Keys::None => found = Keys::In(slot),
            Keys::In(other) if other == slot => {}
            Keys::In(_) | Keys::Apart => found = Keys::Apart,
        };
        for (at, (_, parsed)) in self.commands.iter().enumerate() {
            let call = parsed.call.expect("only known commands are queued");
            match (key_shape(call), parsed.first_key) {
                (KeyShape::None, _) => {}
                // All keys of a command that was queued are of one slot.
                (_, (1.., hash)) => add(slot_of_hash(hash)),
                (_, (0, _)) => self.with(at, |_, args| {
                    let keys = places(call, args).into_iter().filter_map(|at| args.get(at));
                    keys.for_each(|key| add(Slot::of(key)));
                }),
            }
        }
        found
    }

    /// Does something with the command at a place and its arguments.
    ///
    /// # Panics
    /// If there is none.
    pub fn with<R>(&self, at: usize, run: impl FnOnce(&Parsed, &[&[u8]]) -> R) -> R {
        let (block, parsed) = &self.commands[at];
        let Block { input, ranges } = &self.blocks[*block];
        with_args(input, ranges, parsed, |args| run(parsed, args))
    }
}

#[cfg(test)]
mod tests {
    use shards::commands::spec::Spec;

    use super::*;
    use crate::routing::call::{Listed, Run, Table};

    static SET: Spec = Spec { name: "set", ..Spec::EMPTY };

    fn call() -> &'static Call {
        let listed = vec![Listed { spec: &SET, run: Run::Container, subcommands: Vec::new() }];
        let table = Table::new(listed, &[]).expect("nothing is renamed");
        &Box::leak(Box::new(table)).calls[0]
    }

    #[test]
    fn commands_come_back_as_they_were_queued() {
        let (call, mut multi) = (call(), Multi::default());
        let value = |number: usize| vec![b'x'; number * number % 50_000];
        for number in 0..300 {
            multi.push(call, &[b"SET", &value(number)], Route::Anywhere, (0, 0));
        }
        assert_eq!(multi.len(), 300);
        for number in 0..300 {
            let arg = multi.with(number, |_, args| (args.len(), args[1].to_vec()));
            assert_eq!(arg, (2, value(number)));
        }
    }

    #[test]
    fn a_queue_takes_little_more_than_its_commands() {
        let (call, mut multi) = (call(), Multi::default());
        multi.push(call, &[b"a"], Route::Anywhere, (0, 0));
        assert!(multi.bytes() < 512);
        let value = vec![0; 1 << 20];
        (0..64).for_each(|_| multi.push(call, &[&value], Route::Anywhere, (0, 0)));
        assert!(multi.bytes() < (64 << 20) + (64 << 10));
    }
}
