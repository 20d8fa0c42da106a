//! What a replica is told of groups: it has neither our clock nor reads with us.

use crate::base::number::{DIGITS_MAX, format_i64, format_u64};
use crate::effects::Effects;
use crate::journal::units::Commands;
use crate::types::stream::group::{Group, Pending};
use crate::types::stream::id::{ID_BYTES_MAX, StreamId};

/// Commands to be logged in place of the one that is running. While a stream is in use the
/// effects are out of reach, so they are collected here.
pub(super) struct Propagation<'a> {
    key: &'a [u8],
    group: &'a [u8],
    /// A consumer that the command made, unless a claim makes it as well.
    created: Option<&'a [u8]>,
    /// `None` if the server keeps no log.
    commands: Option<Commands>,
}

impl<'a> Propagation<'a> {
    /// Nothing yet, about a group of a key.
    pub fn new(effects: &Effects, key: &'a [u8], group: &'a [u8]) -> Self {
        Self { key, group, created: None, commands: effects.keeps_log.then(Commands::default) }
    }

    /// Tells that an entry is pending; or, if it is not in the stream any more, that it is not.
    pub fn claim(&mut self, group: &Group, id: StreamId, pending: &Pending) {
        let consumer = &*group.consumer(pending.consumer).name;
        self.created = self.created.filter(|name| *name != consumer);
        let (mut entry, mut last) = ([0; ID_BYTES_MAX], [0; ID_BYTES_MAX]);
        let (mut time, mut count) = ([0; DIGITS_MAX], [0; DIGITS_MAX]);
        self.push(&[
            b"XCLAIM",
            self.key,
            self.group,
            consumer,
            b"0",
            id.format(&mut entry),
            b"TIME",
            format_u64(&mut time, pending.delivered.0),
            b"RETRYCOUNT",
            format_i64(&mut count, pending.deliveries.cast_signed()),
            b"FORCE",
            b"JUSTID",
            b"LASTID",
            group.last_id.format(&mut last),
        ]);
    }

    /// Tells how far the group has read.
    pub fn group_id(&mut self, group: &Group) {
        let (mut last, mut read) = ([0; ID_BYTES_MAX], [0; DIGITS_MAX]);
        self.push(&[
            b"XGROUP",
            b"SETID",
            self.key,
            self.group,
            group.last_id.format(&mut last),
            b"ENTRIESREAD",
            format_i64(&mut read, group.entries_read.unwrap_or(-1)),
        ]);
    }

    /// Tells that there is a new consumer.
    pub fn consumer(&mut self, name: &'a [u8]) {
        self.created = Some(name);
    }

    fn push(&mut self, args: &[&[u8]]) {
        if let Some(commands) = &mut self.commands {
            commands.push(args);
        }
    }

    /// Hands them over.
    pub fn log(self, effects: &mut Effects) {
        let Some(mut commands) = self.commands else { return };
        if let Some(name) = self.created {
            effects.log_instead(&[b"XGROUP", b"CREATECONSUMER", self.key, self.group, name]);
        }
        effects.log_all_instead(&mut commands);
    }
}
