//! The primary's snapshot on its way into the staging of all shards: in the stream, or as chunks by
//! connections of its own.

use super::Upstream;
use super::settings::{credentials, limits};
use crate::mail::mailbox::Mailbox;
use crate::mail::to_relay::ToRelay;
use crate::mail::upstream::Staged;
use crate::relay::inchunks::{Failed, Inchunks, Offer, Went};
use crate::relay::intake::{Intake, drop_staging};
use crate::replication::address::Address;
use crate::replication::handshake::SnapshotOffered;
use crate::replication::link::events::{Event, Generation, News};

impl Upstream {
    pub(super) fn begin_intake(&mut self, generation: Generation, mailbox: &mut Mailbox<ToRelay>) {
        let primary = self.link.observed().desired.primary.as_ref();
        let primary = primary.map(Address::to_string).unwrap_or_default();
        match Intake::begin(generation, &primary, &self.config, &self.routing, mailbox) {
            Ok(intake) => self.intake = Some(intake),
            Err(error) => {
                let why = crate::process::plain(&error);
                self.later.push_back(Event::Of(generation, News::StagingFailed(why)));
            }
        }
    }

    pub(super) fn go_on_staging(&mut self, mailbox: &mut Mailbox<ToRelay>) {
        let Some(intake) = &mut self.intake else { return };
        let generation = self.link.observed().generation;
        let news = match intake.go_on(mailbox) {
            Ok(None) => return,
            Ok(Some(brought)) => {
                self.brought = brought;
                News::Staged
            }
            Err(why) => News::StagingFailed(why),
        };
        self.intake = None;
        self.happens(Event::Of(generation, news), mailbox);
    }

    /// Opens connections for a snapshot. They are read when there is room for it.
    pub(super) fn open_connections(
        &mut self,
        generation: Generation,
        SnapshotOffered { name, connections, .. }: SnapshotOffered,
    ) {
        let Some(primary) = &self.link.observed().desired.primary else { return };
        let credentials = credentials(&self.config);
        let offer = Offer { primary, credentials: credentials.as_ref(), name, connections };
        let until = self.now.after(limits(&self.config).step_ms);
        let slots = self.routing.slots.clone();
        match Inchunks::begin(generation, &offer, slots, until) {
            Ok(chunks) => self.chunks = Some(chunks),
            Err(why) => self.later.push_back(Event::Of(generation, News::Closed(why))),
        }
    }

    /// Takes in what has come as chunks. True if there may be more to do at once.
    pub(super) fn go_on_with_chunks(&mut self, mailbox: &mut Mailbox<ToRelay>) -> bool {
        let Some(chunks) = &mut self.chunks else { return false };
        let generation = chunks.generation;
        let (news, more) = match chunks.go_on(self.now, &mut self.traffic, mailbox) {
            Ok(Went::On(0, more)) => return more,
            Ok(Went::On(bytes, more)) => (News::Moved(bytes), more),
            Ok(Went::Through { brought, at: (id, offset), behind }) => {
                self.end_chunks();
                self.brought = (*brought, behind);
                (News::Brought(id, offset), false)
            }
            Err(Failed::Lost(why)) => (News::Closed(why), false),
            Err(Failed::Wrong(why)) => (News::StagingFailed(why), false),
        };
        self.happens(Event::Of(generation, news), mailbox);
        more
    }

    /// Shuts the connections of a snapshot.
    pub(super) fn end_chunks(&mut self) {
        self.chunks.take().into_iter().for_each(Inchunks::end);
    }

    /// Drops what is staged.
    pub(super) fn drop_staging(&mut self, mailbox: &mut Mailbox<ToRelay>) {
        (self.arriving, self.intake) = (None, None);
        self.end_chunks();
        drop_staging(mailbox);
    }

    /// A shard has taken in keys of a snapshot.
    pub fn hear_of_staged(&mut self, staged: Staged) {
        match (&mut self.intake, &mut self.chunks) {
            (Some(intake), _) => intake.staged(staged),
            (None, Some(chunks)) => chunks.staged(staged),
            (None, None) => {}
        }
    }
}
