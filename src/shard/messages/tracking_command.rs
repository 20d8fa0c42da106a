//! CLIENT TRACKING as a command: its client's home carries it out.

use shards::resp::error::Error;
use shards::resp::reply::Replies;

use crate::clients::client::{Client, ReplyMode};
use crate::clients::tracker::{Caching, Redirect, Tracker};
use crate::pubsub::interest::Changes;
use crate::pubsub::kind::Kind;
use crate::pubsub::registry::Subscriber;
use crate::pubsub::tracking::options::{Mode, Wish, parse};
use crate::routing::call::Call;
use crate::shard::core::Core;
use crate::shard::messages::subscribing::Announcement;
use crate::shard::requests::home::{AtHome, Needs};

const NO_SUCH_CLIENT: Error = Error::Text("ERR The client ID you want redirect to does not exist");

impl Core {
    /// CLIENT TRACKING for a client that is at home, outside of EXEC.
    pub(crate) fn track(
        &mut self,
        client: &mut Client,
        call: &'static Call,
        args: &[&[u8]],
        out: &mut Vec<u8>,
    ) -> AtHome {
        let found = client.found.take();
        let wish = parse(&args[2..]);
        if let Ok(Wish { redirect: Some(id), .. }) = wish
            && found.is_none_or(|found| found.id != id)
            && self.find_here(client, id).is_none()
            && self.node.slots.shards() != 1
        {
            return AtHome::Needs(Needs::Client(id));
        }
        let mut announcement = Announcement::default();
        let outcome = wish.and_then(|wish| {
            let redirect = wish.redirect.map(|id| {
                let elsewhere = found.filter(|found| found.id == id);
                self.find_here(client, id).or(elsewhere.and_then(|found| found.client))
            });
            self.set_tracking(client, &wish, redirect, &mut announcement.changes)
        });
        let took = self.count(call, outcome.is_err());
        self.observe(call, args, took, 0);
        if let Err(error) = outcome {
            self.refuse(&error, out);
            return AtHome::Done;
        }
        if client.session.reply == ReplyMode::On {
            Replies::new(&mut announcement.reply, client.session.protocol).ok();
        }
        AtHome::Needs(Needs::Known(announcement))
    }

    /// CLIENT TRACKING in an EXEC, where no other shard can be asked: who is told in place of the
    /// client must be connected to this one.
    pub(crate) fn track_in_exec(
        &mut self,
        client: &mut Client,
        call: &Call,
        args: &[&[u8]],
        changes: &mut Changes,
        out: &mut Vec<u8>,
    ) {
        let outcome = parse(&args[2..]).and_then(|wish| {
            let redirect = wish.redirect.map(|id| self.find_here(client, id));
            self.set_tracking(client, &wish, redirect, changes)
        });
        let took = self.count(call, outcome.is_err());
        self.observe(call, args, took, 0);
        match outcome {
            Ok(()) => Replies::new(out, client.session.protocol).ok(),
            Err(error) => self.refuse(&error, out),
        }
    }

    fn set_tracking(
        &mut self,
        client: &mut Client,
        wish: &Wish,
        redirect: Option<Option<Redirect>>,
        changes: &mut Changes,
    ) -> Result<(), Error> {
        let redirect = match redirect {
            Some(None) => return Err(NO_SUCH_CLIENT),
            Some(found) => found,
            None => None,
        };
        if !wish.on {
            self.end_tracking(client, changes);
            return Ok(());
        }
        let before = client.tracker.as_ref().map(|tracker| &tracker.mode);
        let mode = wish.mode(before)?;
        if let Mode::Broadcast(prefixes) = &mode {
            let known = |prefix| match before {
                Some(Mode::Broadcast(known)) => known.contains(prefix),
                Some(Mode::Read | Mode::OptIn | Mode::OptOut) | None => false,
            };
            for prefix in prefixes.iter().filter(|prefix| !known(*prefix)) {
                let subscriber = Subscriber(client.token.bits());
                self.pubsub.registry.add(Kind::Prefix, prefix.clone(), subscriber);
                changes.push((Kind::Prefix, (&**prefix).into()));
                self.note_own_interest(Kind::Prefix, prefix);
            }
        }
        self.copies.trackers += usize::from(client.tracker.is_none());
        let caching = Caching::Not;
        let prefix_bytes = mode.prefix_bytes();
        let (no_loop, broken) = (wish.no_loop, false);
        let tracker = Tracker { mode, prefix_bytes, no_loop, redirect, broken, caching };
        client.tracker = Some(Box::new(tracker));
        self.choose_notes();
        Ok(())
    }

    /// Tells a client of stale copies no longer.
    pub(crate) fn end_tracking(&mut self, client: &mut Client, changes: &mut Changes) {
        let Some(tracker) = client.tracker.take() else { return };
        self.copies.trackers -= 1;
        if let Mode::Broadcast(prefixes) = tracker.mode {
            for prefix in prefixes {
                let subscriber = Subscriber(client.token.bits());
                self.pubsub.registry.remove(Kind::Prefix, &prefix, subscriber);
                changes.push((Kind::Prefix, (&*prefix).into()));
                self.note_own_interest(Kind::Prefix, &prefix);
            }
        }
        self.choose_notes();
    }

    fn find_here(&self, asks: &Client, id: i64) -> Option<Redirect> {
        let id = u64::try_from(id).ok()?;
        let token = if id == asks.id { Some(asks.token) } else { self.clients.find(id) };
        token.map(|token| Redirect { id, home: self.me(), token })
    }
}
