//! Room for the primary's snapshot: beside the data, or in their place. What does not depend on
//! sockets, threads and letters is decided by `replication::link::room`.
//!
//! ```text
//! RDB: head that says `used-mem` \                    /--> intake, chunks
//! chunks: +SNAPSHOT name K bytes  }--decide: beside --
//!                                 }--decide: empty first --> control: all keys go --> freed --^
//!                                /---decide: refused --> link: the attempt ends, the data stay
//! ```
//! Until there is room no byte of keys is read, but connections for chunks are opened. Keys that go
//! are gone whatever becomes of the attempt, so none begins before that, and no history.

use super::Upstream;
use crate::log;
use crate::mail::mailbox::Mailbox;
use crate::mail::to_control::ToControl;
use crate::mail::to_relay::ToRelay;
use crate::mail::upstream::LinkWord;
use crate::reactor::allocator::used_memory;
use crate::reactor::system::available;
use crate::relay::intake::Intake;
use crate::relay::logs::retain_logs;
use crate::replication::handshake::SnapshotOffered;
use crate::replication::link::events::{Event, Generation, News};
use crate::replication::link::room::{Facts, Room, decide};
use shards::base::number::parse_u64;
use shards::rdb::reader::Reader;

/// Bytes at the beginning of an RDB in which it says what its writer used.
const HEAD_BYTES: usize = 512;

/// A snapshot that is not taken in yet.
#[derive(Debug)]
pub(super) struct Arriving {
    generation: Generation,
    form: Form,
    step: Step,
}

/// How it comes.
#[derive(Debug)]
enum Form {
    /// In the stream: what has come, and whether that is all.
    Stream(Vec<u8>, bool),
    /// By connections of its own.
    Connections(SnapshotOffered),
}

/// What it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// That its head is there.
    Head,
    /// That what this node has given up before is free.
    Deciding,
    /// That what has come of a stream before is applied.
    Applying,
    /// That all keys are gone.
    Emptying,
    /// That their memory is free.
    Freeing,
}

impl Upstream {
    /// A snapshot begins in the stream.
    pub(super) fn begin_staging(&mut self, generation: Generation) {
        let form = Form::Stream(Vec::new(), false);
        self.arriving = Some(Arriving { generation, form, step: Step::Head });
    }

    /// Takes its next bytes.
    pub(super) fn take_snapshot(&mut self, bytes: &[u8], mailbox: &mut Mailbox<ToRelay>) {
        let Some(Arriving { form: Form::Stream(head, _), step, .. }) = &mut self.arriving else {
            return self.intake.iter_mut().for_each(|intake| intake.give(bytes.to_vec()));
        };
        head.extend_from_slice(bytes);
        if *step == Step::Head && HEAD_BYTES <= head.len() {
            self.look_for_room(mailbox);
        }
    }

    /// There are no more.
    pub(super) fn end_snapshot(&mut self, mailbox: &mut Mailbox<ToRelay>) {
        let Some(Arriving { form: Form::Stream(_, has_ended), step, .. }) = &mut self.arriving
        else {
            return self.intake.iter_mut().for_each(Intake::end);
        };
        *has_ended = true;
        if *step == Step::Head {
            self.look_for_room(mailbox);
        }
    }

    /// A snapshot is to come by connections of its own.
    pub(super) fn await_connections(
        &mut self,
        generation: Generation,
        offered: SnapshotOffered,
        mailbox: &mut Mailbox<ToRelay>,
    ) {
        let form = Form::Connections(offered);
        self.arriving = Some(Arriving { generation, form, step: Step::Head });
        self.look_for_room(mailbox);
    }

    /// Whether there is no room yet, so that nothing is read.
    pub(super) fn awaits_room(&self) -> bool {
        self.arriving.as_ref().is_some_and(|arriving| arriving.step != Step::Head)
    }

    fn look_for_room(&mut self, mailbox: &mut Mailbox<ToRelay>) {
        let Some(arriving) = &mut self.arriving else { return };
        let primary_used = match &arriving.form {
            Form::Stream(head, _) => said_used(head),
            Form::Connections(offered) => offered.used_memory,
        };
        let keys: u64 = (0..mailbox.shards()).map(|shard| mailbox.board(shard).keys.get()).sum();
        let room = decide(&Facts {
            setting: self.config.repl_diskless_load,
            is_empty: keys == 0,
            is_freeing: is_freeing(mailbox),
            used: used_memory(),
            primary_used,
            maxmemory: self.config.maxmemory,
            available: available::bytes(),
        });
        let is_refused = matches!(room, Room::Refused(_));
        if let Form::Connections(offered) = &arriving.form
            && !is_refused
            && self.chunks.is_none()
        {
            let (generation, offered) = (arriving.generation, *offered);
            self.open_connections(generation, offered);
        }
        let Some(arriving) = &mut self.arriving else { return };
        match room {
            Room::Beside => self.take_in(mailbox),
            Room::Later => arriving.step = Step::Deciding,
            Room::EmptyFirst => {
                log::notice("PRIMARY <-> REPLICA sync: Flushing old data");
                arriving.step = Step::Applying;
                self.go_on_with_room(mailbox);
            }
            Room::Refused(lack) => {
                let generation = arriving.generation;
                self.arriving = None;
                self.later.push_back(Event::Of(generation, News::NoRoom(lack)));
            }
        }
    }

    /// Control has seen to it that all keys are gone; or not, since no primary is followed.
    pub(super) fn emptied(&mut self, are_gone: bool, mailbox: &mut Mailbox<ToRelay>) {
        self.is_emptying = false;
        if are_gone {
            self.forget_histories();
            self.happens(Event::Forget, mailbox);
            retain_logs(&[], mailbox);
            self.begin_stream();
        }
        let emptying = |arriving: &&mut Arriving| arriving.step == Step::Emptying;
        if let Some(arriving) = self.arriving.as_mut().filter(emptying) {
            arriving.step = Step::Freeing;
        }
        self.connect_after_logs();
    }

    /// Has control drop all keys when nothing changes them any more, and takes the snapshot in when
    /// what is gone is freed.
    pub(super) fn go_on_with_room(&mut self, mailbox: &mut Mailbox<ToRelay>) {
        let Some(arriving) = &mut self.arriving else { return };
        match arriving.step {
            Step::Head | Step::Emptying => {}
            Step::Deciding => {
                if !is_freeing(mailbox) {
                    self.look_for_room(mailbox);
                }
            }
            Step::Applying => {
                if self.dispatch.is_empty() {
                    (arriving.step, self.is_emptying) = (Step::Emptying, true);
                    mailbox.tell_control(ToControl::Link(LinkWord::Empty));
                }
            }
            Step::Freeing => {
                if !is_freeing(mailbox) {
                    self.take_in(mailbox);
                }
            }
        }
    }

    fn take_in(&mut self, mailbox: &mut Mailbox<ToRelay>) {
        let Some(Arriving { generation, form, .. }) = self.arriving.take() else { return };
        match form {
            Form::Connections(_) => {
                self.chunks.iter_mut().for_each(|chunks| chunks.take_in(mailbox));
            }
            Form::Stream(head, has_ended) => {
                self.begin_intake(generation, mailbox);
                let Some(intake) = &mut self.intake else { return };
                intake.give(head);
                if has_ended {
                    intake.end();
                }
            }
        }
    }
}

/// Whether shards still free what is gone.
fn is_freeing(mailbox: &Mailbox<ToRelay>) -> bool {
    (0..mailbox.shards()).any(|shard| 0 < mailbox.board(shard).garbage.get())
}

/// What the head of an RDB says that its writer used: the field `used-mem`.
fn said_used(head: &[u8]) -> Option<u64> {
    const FIELD: &[u8] = b"\xfa\x08used-mem";
    let at = head.windows(FIELD.len()).position(|window| window == FIELD)?;
    let digits = Reader::new(head.get(at + FIELD.len()..)?).text_in_place().ok()?;
    parse_u64(&digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_says_what_its_writer_used() {
        let heads: [(&[u8], Option<u64>); 8] = [
            (b"VALKEY080\xfa\x08used-mem\xc2\x40\x42\x0f\x00\xfa\x08", Some(1_000_000)),
            (b"REDIS0011\xfa\x08used-mem\xc1\x00\x10", Some(4096)),
            (b"REDIS0011\xfa\x08used-mem\xc0\x07", Some(7)),
            (
                b"REDIS0011\xfa\x05ctime\xc0\x07\xfa\x08used-mem\x0a5000000000\xff",
                Some(5_000_000_000),
            ),
            (b"REDIS0011\xfa\x08used-mem\x0a50000", None),
            (b"REDIS0011\xfa\x08used-mem\x02xy", None),
            (b"REDIS0011\xfa\x08used-mem", None),
            (b"REDIS0011\xff", None),
        ];
        for (head, expected) in heads {
            assert_eq!(said_used(head), expected, "{}", head.escape_ascii());
        }
    }
}
