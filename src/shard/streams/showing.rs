//! What commands have logged goes into the shard's log at the end of a turn, and is shown to the
//! relay before any letter or reply of the same turn (`flows::served`). So is what was applied of
//! logs that are kept.

use shards::journal::units::Unit;

use crate::cluster::machine::orders::Order;
use crate::flows::kept::Kept;
use crate::flows::served::{Fell, Served, limits};
use crate::journal::log::{Log, Shortened};
use crate::log;
use crate::mail::mailbox::Mailbox;
use crate::mail::replica::LogWord;
use crate::mail::to_relay::ToRelay;
use crate::mail::to_shard::ToShard;
use crate::reactor::clock::Monotonic;
use crate::replication::history::{LogId, Whose};
use crate::replication::merge::Stamp;
use crate::shard::core::Core;

/// Room that is kept for what the next turn logs.
const ROOM_MAX: usize = 256 << 10;

impl Core {
    /// Takes into the log what this turn has left, and shows it.
    #[inline]
    pub fn show_log(&mut self) {
        if self.shard.effects.keeps_log && !self.shard.effects.log.are_taken() {
            self.take_log();
        }
        if self.flows.kept().have_news() {
            self.show_kept();
        }
    }

    fn take_log(&mut self) {
        let number = self.shard_number();
        let (config, shards) = (&self.node.config, self.node.slots.shards());
        let own = &mut self.own_log;
        let mut took = Ok(());
        let mut ended = Vec::new();
        self.shard.effects.log.take(ROOM_MAX, |offset, entries| {
            // A history begins, or goes on behind a time without a log.
            if let Some(other) = own.take_if(|log| log.end().0 != offset) {
                ended.extend(other.end_all());
            }
            let begin = || Served::new(number, Log::new(offset, limits(config, shards)));
            took = own.get_or_insert_with(begin).append(entries);
        });
        if let Err(Shortened) = took {
            self.tell_of_shortage();
        }
        self.end_outgoing(ended);
        if self.shard.effects.log.take_awaited()
            && let Some(own) = &mut self.own_log
        {
            own.hurry();
            if own.is_shown() {
                self.mailbox.hurry_relay();
            }
        }
        let stamp = self.stamp();
        if let Some(own) = &mut self.own_log {
            let noted = own.note_turn(stamp);
            show(own, noted, &mut self.mailbox);
        }
    }

    /// Shows the relay what this turn has added to logs that are kept.
    fn show_kept(&mut self) {
        let stamp = self.stamp();
        for served in self.flows.kept_mut().iter_mut() {
            let noted = served.note_applied(stamp);
            show(served, noted, &mut self.mailbox);
        }
    }

    /// There is no memory for a log.
    pub(crate) fn tell_of_shortage(&self) {
        log::warning("There is no memory for the log of a shard: replicas may have to sync");
    }

    /// The moment as all threads count it.
    fn stamp(&self) -> Stamp {
        Stamp(Monotonic::now().nanos_since(self.node.started))
    }

    /// A log that this shard has, and who reads it.
    pub(crate) fn served(&mut self, id: LogId) -> Option<&mut Served> {
        find(&mut self.own_log, self.flows.kept_mut(), id)
    }

    /// The relay, or control, says something about this shard's log.
    pub(crate) fn hear_of_log(&mut self, word: LogWord) {
        match word {
            LogWord::Note(note) => self.shard.effects.log.push_note(note),
            LogWord::SetSlot(slot, request) => {
                let mut unit = Unit::default();
                unit.push(0, &Order::words(slot, request));
                self.shard.effects.log.push_unit(&unit);
            }
            LogWord::Close => {
                let own = self.own_log.take();
                self.end_outgoing(own.into_iter().flat_map(Served::end_all));
            }
            LogWord::Retire(history) => {
                let logs = self.node.slots.shards();
                if let Some(own) = self.own_log.take() {
                    self.flows.kept_mut().insert(history, logs, own);
                }
            }
            LogWord::Open(reading, id, offset, credit) => {
                let stamp = self.stamp();
                self.show_after(id, |served| served.open_to_relay(reading, offset, credit, stamp));
            }
            LogWord::Credit(id, bytes) => self.show_after(id, |served| {
                served.give_credit(bytes);
                Ok(())
            }),
        }
    }

    /// Shows the relay a log when something was done with it.
    fn show_after(&mut self, id: LogId, work: impl FnOnce(&mut Served) -> Result<(), Fell>) {
        self.show_log();
        let Self { own_log, flows, mailbox, .. } = self;
        if let Some(served) = find(own_log, flows.kept_mut(), id) {
            let done = work(served);
            show(served, done, mailbox);
        }
    }
}

fn find<'a>(own: &'a mut Option<Served>, kept: &'a mut Kept, id: LogId) -> Option<&'a mut Served> {
    match id.whose {
        Whose::Own => own.as_mut(),
        Whose::Kept(history) => kept.get_mut(history, id.number),
    }
}

/// Shows the relay what there is credit for; or tells it to begin anew, if it has fallen out.
fn show(served: &mut Served, noted: Result<(), Fell>, mailbox: &mut Mailbox<ToShard>) {
    let shown = noted.and_then(|()| {
        served.show(|reading, segment| {
            mailbox.tell_relay(ToRelay::Segment(reading, Box::new(segment)));
        })
    });
    if let Err(Fell(reading)) = shown {
        served.close_to_relay();
        mailbox.tell_relay(ToRelay::Fell(reading, served.number()));
    }
}
