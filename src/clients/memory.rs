//! The memory that a client holds: the one function that says so, and its parts.
//!
//! CLIENT LIST shows the parts, INFO and MEMORY STATS add them up over all clients, and limits
//! compare the total.

use crate::batches::batch::Batch;
use crate::clients::client::Client;
use crate::pubsub::kind::Kind;
use crate::pubsub::subscriptions::Name;
use crate::replication::greeting::Greeting;
use crate::transactions::multi::{Exec, Watch};

/// Bytes of waiting replies that CLIENT LIST shows as the reply buffer, as Valkey's clients have
/// one of this size. What a client holds beyond them is its reply list.
const BUFFER_BYTES: usize = 16 << 10;
/// Bytes that a tree takes for each of its names, the name itself not counted: nodes are at
/// least half full.
const NAME_BYTES: usize = 2 * size_of::<Name>();

/// Bytes that one client holds, by what they are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Input that is not used up.
    pub query: usize,
    /// Room in the query buffer that is not used.
    pub query_free: usize,
    /// Arguments of the request that is not complete, and of the batch that is under way.
    pub args: usize,
    /// Commands between MULTI and EXEC, or those of an EXEC that is under way.
    pub queued: usize,
    /// Watched keys.
    pub watched: usize,
    /// Subscriptions, and prefixes of client-side caching.
    pub names: usize,
    /// Replies and messages that its system has not taken.
    pub unsent: usize,
    /// The buffers that they are in.
    pub output: usize,
    /// The client itself, and the names that it set.
    pub base: usize,
}

/// Bytes that a batch under way holds for its client, as of when it left home.
#[derive(Clone, Copy, Debug, Default)]
pub struct UnderWay {
    args: usize,
    queued: usize,
    replies: usize,
}

impl Memory {
    /// All bytes that the client holds.
    pub fn total(&self) -> u64 {
        let Self { query, query_free, args, queued, watched, names, unsent: _, output, base } =
            *self;
        (query + query_free + args + queued + watched + names + output + base) as u64
    }

    /// Bytes of replies and messages, with the buffers that they are in.
    pub fn output(&self) -> u64 {
        self.output as u64
    }

    /// Bytes of the query buffer.
    pub fn input(&self) -> u64 {
        (self.query + self.query_free) as u64
    }

    /// Bytes of the reply buffer, as CLIENT LIST shows it, and how many of them are used.
    pub fn reply_buffer(&self) -> (usize, usize) {
        if self.unsent <= BUFFER_BYTES {
            (self.output, self.unsent)
        } else {
            (BUFFER_BYTES, BUFFER_BYTES)
        }
    }

    /// Bytes of the reply list, as CLIENT LIST shows it, and how many blocks those are.
    pub fn reply_list(&self) -> (usize, usize) {
        let used = self.unsent.saturating_sub(BUFFER_BYTES);
        (self.output - self.reply_buffer().0, used.div_ceil(BUFFER_BYTES))
    }
}

impl UnderWay {
    /// What a batch holds that is about to leave, or to wait, with the EXEC that it is at.
    pub fn of(batch: &Batch, exec: Option<&Exec>) -> Self {
        let args = batch.input.len() + size_of_val(&*batch.ranges) + size_of_val(&*batch.requests);
        let queued = exec.map_or(0, |exec| exec.multi.bytes() + size_of_val(&*exec.watched));
        Self { args, queued, replies: batch.replies.len() }
    }
}

impl Client {
    /// The memory that it holds: what its home knows of, so without the replies that a batch
    /// gathers on other shards. These have limits of their own (`Passport`).
    ///
    /// Takes the same short time however much that is.
    pub fn memory(&self) -> Memory {
        let session = &self.session;
        let pushes = &self.pushes;
        let under_way = if self.is_under_way() { self.under_way } else { UnderWay::default() };
        let kept = self.out.capacity() + pushes.held.capacity() + pushes.stale.capacity();
        let prefix_bytes = self.tracker.as_ref().map_or(0, |tracker| tracker.prefix_bytes);
        let subscribed: usize = Kind::ALL.iter().map(|kind| self.listens_to(*kind)).sum();
        let named = [&session.name, &session.lib_name, &session.lib_ver];
        Memory {
            query: self.query.len(),
            query_free: self.query.capacity() - self.query.len(),
            args: self.parser.memory() + under_way.args,
            queued: self.multi.as_ref().map_or(0, |multi| multi.bytes()) + under_way.queued,
            watched: self.watched.capacity() * size_of::<Watch>(),
            names: subscribed * NAME_BYTES + prefix_bytes,
            unsent: self.unsent() + under_way.replies,
            output: kept + self.sending_room.max(self.sending) + under_way.replies,
            base: size_of::<Self>()
                + named.iter().map(|name| name.capacity()).sum::<usize>()
                + self.greeting.as_ref().map_or(0, |_| size_of::<Greeting>()),
        }
    }
}
