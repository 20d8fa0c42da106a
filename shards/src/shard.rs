//! One shard: a keyspace and the place where commands run on it.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::base::hash::HashSeed;
use crate::base::number::{DIGITS_MAX, format_u64};
use crate::base::random::Random;
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Command, Flag};
use crate::effects::{Effects, Logged, Note};
use crate::keyspace::chores::{self, Chore, Progress};
use crate::keyspace::db::Keyspace;
use crate::keyspace::evict;
use crate::keyspace::evict::Locked;
use crate::keyspace::selected::Selected;
use crate::keyspace::settings::OnExpiry;
use crate::keyspace::staging::Staging;
use crate::rdb::dump;
use crate::rdb::writer::Compression;
use crate::resp::error::Error;
use crate::resp::reply::{Protocol, Replies};

/// A request to run on a shard.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Name and arguments.
    pub args: &'a [&'a [u8]],
    /// The bytes of the request as they came. Empty if arguments are not those that came.
    pub came: &'a [u8],
    /// The client's database.
    pub db: usize,
    /// The client's protocol.
    pub protocol: Protocol,
    /// Whether lookups leave LRU and LFU as they are.
    pub no_touch: bool,
    /// Where it comes from.
    pub origin: Origin,
    /// Bytes that the output may have, with what is in it already.
    pub reply_max: usize,
    /// Which argument is the first key, 0 if there is none, and its hash.
    pub first_key: (usize, u64),
}

/// Where a request comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// A client, for whom time passes.
    #[default]
    Client,
    /// An import source. It sees what is due as if it had no time.
    Importer,
    /// The primary that is followed. So does it, and what it has accepted is not refused.
    Primary,
}

impl<'a> Request<'a> {
    /// A request as a client sends it that has set nothing for itself: to database 0, by RESP2, its
    /// first key not hashed yet.
    pub const fn of(args: &'a [&'a [u8]]) -> Self {
        Self {
            args,
            came: &[],
            db: 0,
            protocol: Protocol::Resp2,
            no_touch: false,
            origin: Origin::Client,
            reply_max: usize::MAX,
            first_key: (0, 0),
        }
    }
}

/// A shard. Everything that changes its data passes through its methods, so that the log and the
/// dirty count miss nothing.
#[derive(Debug)]
pub struct Shard {
    /// The keys.
    pub keyspace: Keyspace,
    /// What commands left behind and the shard's thread has not collected yet.
    pub effects: Effects,
    /// What a snapshot has brought so far that is to take the place of the keyspace's databases.
    /// `None`: there is no such snapshot.
    pub staging: Option<Box<Staging>>,
}

impl Shard {
    /// An empty shard with `databases` databases.
    pub fn new(databases: usize, seed: HashSeed, random: Random) -> Self {
        let keyspace = Keyspace::new(databases, seed, random);
        Self { keyspace, effects: Effects::default(), staging: None }
    }

    /// Runs one command, appends its reply to `out`, and logs what it changed.
    ///
    /// # Errors
    /// The error is returned for statistics; it is already written to `out`.
    #[inline]
    pub fn execute(
        &mut self,
        command: &Command,
        request: Request<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Box<Error>> {
        run(&mut self.keyspace, &mut self.effects, command, request, out)
    }

    /// Does some work of one kind until `budget` is used up. Keys for which `locked` says yes are
    /// left alone. How much there is to do, [`Keyspace::backlog`] says.
    pub fn work(&mut self, chore: Chore, budget: usize, locked: Locked<'_>) -> Progress {
        chores::work(&mut self.keyspace, &mut self.effects, (chore, budget), locked)
    }

    /// Makes room for a snapshot. What an earlier one has brought goes.
    pub fn stage(&mut self) {
        self.unstage();
        self.staging = Some(Box::new(Staging::of(&self.keyspace)));
    }

    /// Puts what a snapshot has brought in the place of the keyspace's databases, between two
    /// commands and for all clients at once; those that keep copies of keys are to forget them.
    /// Nothing is logged and no change counted. False if no snapshot was begun.
    pub fn commit(&mut self) -> bool {
        let Some(staging) = self.staging.take() else { return false };
        self.keyspace.commit(*staging);
        if self.effects.keeps_notes {
            self.effects.notes.push(Note::Emptied);
        }
        true
    }

    /// Gives up what a snapshot has brought, if there is one. It is freed in slices.
    pub fn unstage(&mut self) {
        if let Some(staging) = self.staging.take() {
            self.keyspace.discard_staging(*staging);
        }
    }

    /// Evicts one key by the policy; false if there is none to evict.
    pub fn evict(&mut self, locked: Locked<'_>) -> bool {
        evict::evict_one(&mut self.keyspace, &mut self.effects, locked).is_some()
    }
}

impl Shard {
    /// Logs what a key is now, whatever it was: for commands whose keys are not all in one log.
    pub fn log_state(&mut self, db: usize, key: &[u8]) {
        let hash = self.keyspace.seed.key_hash(key);
        let Some(entry) = self.keyspace.dbs[db].find(hash, key) else {
            return self.effects.log.push(db, &[b"DEL", key]);
        };
        let payload = dump::dump_for_all(&entry.value(), Compression::Off);
        let mut text = [0; DIGITS_MAX];
        let until = format_u64(&mut text, entry.expire().map_or(0, |at| at.0));
        let restore = [b"RESTORE", key, until, &payload, b"REPLACE", b"ABSTTL"];
        self.effects.log.push(db, &restore);
    }
}

/// Runs one command on any keyspace: a shard's own, or one that is made up of entries on loan.
///
/// # Errors
/// The error is returned for statistics; it is already written to `out`.
#[inline]
pub fn run(
    keyspace: &mut Keyspace,
    effects: &mut Effects,
    command: &Command,
    request: Request<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Box<Error>> {
    let (dirty_before, written) = (effects.dirty, out.len());
    let settings = &mut keyspace.settings;
    let (expiry, string_bytes_max) = (settings.expiry, settings.string_bytes_max);
    if request.origin != Origin::Client {
        settings.expiry = OnExpiry::Ignores;
        if request.origin == Origin::Primary {
            (settings.obeys, settings.string_bytes_max) = (true, usize::MAX);
        }
    }
    let mut ctx = Ctx {
        args: request.args,
        db: Selected { keyspace, index: request.db, effects, no_touch: request.no_touch },
        replies: Replies { out, protocol: request.protocol, max: request.reply_max },
        first_key: request.first_key.0,
        first_key_hash: request.first_key.1,
    };
    let result = (command.run)(&mut ctx);
    if request.origin != Origin::Client {
        let settings = &mut ctx.db.keyspace.settings;
        settings.expiry = expiry;
        (settings.obeys, settings.string_bytes_max) = (false, string_bytes_max);
    }
    let effects = &mut *ctx.db.effects;
    if effects.keeps_log {
        log(effects, command, request, effects.dirty != dirty_before);
    }
    result.map_err(|error| {
        // Whatever a handler wrote before it failed is not part of the reply.
        out.truncate(written);
        error.write(out);
        Box::new(error)
    })
}

/// Logs what a command has changed, as it wants that.
#[inline(never)]
fn log(effects: &mut Effects, command: &Command, request: Request<'_>, changed: bool) {
    let db = request.db;
    let logged = match core::mem::take(&mut effects.logged) {
        Logged::AsItCame if !changed || !command.spec.flags.has(Flag::Write) => Logged::Nothing,
        Logged::Anyway => Logged::AsItCame,
        logged => logged,
    };
    if logged == Logged::AsItCame && effects.by_key && command.spec.may_have_several_keys() {
        // What is behind it is part of what the keys are now.
        effects.behind.clear();
        effects.falls_apart = true;
        return;
    }
    let is_more = !effects.behind.is_empty();
    // Within an EXEC all commands are of one unit.
    let is_a_unit = is_more && !effects.log.is_open();
    if is_a_unit {
        effects.log.begin();
    }
    match logged {
        Logged::AsItCame if request.came.is_empty() => effects.log.push(db, request.args),
        Logged::AsItCame => effects.log.push_as_it_came(db, request.came),
        Logged::Instead => effects.log.push_all(db, &effects.instead),
        Logged::Anyway | Logged::Nothing => {}
    }
    if is_more {
        effects.log.push_all(db, &effects.behind);
        effects.behind.clear();
    }
    if is_a_unit {
        effects.log.end();
    }
}

#[cfg(test)]
mod tests;
