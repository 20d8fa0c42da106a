//! Input to requests to replies: a turn's input of all clients in batches of three passes.
//!
//! 1. Parse, hash, start loading the bucket of every key that lives here.
//! 2. Start loading the entries.
//! 3. Execute.
//!
//! With keys that miss the caches the passes are worth more than everything else together
//! (measured: 2 to 3 times): the misses of a batch overlap instead of following each other.
//!
//! Clients with more input than fits into a batch take turns, and a turn of the loop ends before
//! all is done if that takes long: so one client's long pipeline holds up others only a little.

use std::collections::VecDeque;

use shards::resp::error::ProtocolError;
use shards::resp::parser::{Limits, Parser, Range, Step};

use crate::batches::batch::Batch;
use crate::clients::client::{Client, Life, State};
use crate::clients::query::Query;
use crate::reactor::buffers::{BufferId, Buffers};
use crate::reactor::clock::cycles;
use crate::reactor::ring::Token;
use crate::routing::call::{Call, Table};
use crate::routing::request::{Parsed, Route, with_args};
use crate::shard::core::Core;

/// Requests in one batch of three passes: enough to overlap misses, few enough that what is
/// prefetched is still in the first-level cache when it is used.
pub(super) const BATCH: usize = 64;
/// Microseconds after which a turn takes no more input: others may have sent something meanwhile.
const TURN_MICROS: u64 = 300;

/// Input of one client that waits for its place in a batch.
#[derive(Debug)]
struct Input {
    token: Token,
    /// `None` stands for the client's query buffer: it stays with the client until its turn.
    source: Option<Source>,
}

/// Where input lies.
#[derive(Debug)]
pub(super) enum Source {
    /// In a receive buffer: its id, the part that is not used up.
    Lent(BufferId, std::ops::Range<usize>),
    /// In the client's query buffer, taken out of it while it is worked on.
    Own(Query),
}

/// One client's share of a batch.
#[derive(Debug)]
pub(super) struct Share {
    pub token: Token,
    pub source: Source,
    /// Its requests in the batch's list.
    pub requests: std::ops::Range<usize>,
    /// Bytes of the source that they take.
    pub consumed: usize,
    /// What comes after them makes no sense.
    pub failed: Option<ProtocolError>,
    /// More requests may follow in the source.
    pub more: bool,
    /// The one request of the share came inline: here it is as a RESP array.
    pub inline: Option<Vec<u8>>,
}

/// Arguments for which room is kept: one request may have millions.
const RANGES_KEPT_MAX: usize = 16 << 10;

/// What a batch needs while it is parsed and run; kept from turn to turn for its room.
#[derive(Debug, Default)]
pub struct Pipeline {
    pub(super) ranges: Vec<Range>,
    pub(super) requests: Vec<Parsed>,
    shares: Vec<Share>,
    recent: Recent,
    /// Input waiting for a place in a batch.
    waiting: VecDeque<Input>,
    /// How often the fence had changed when the batch was routed.
    pub(super) fence_changes: u64,
}

/// The command that was looked up last: the next request is likely to name it again, in the
/// same way.
#[derive(Debug, Default)]
struct Recent {
    name: [u8; RECENT_BYTES],
    len: usize,
    call: Option<&'static Call>,
}

/// Bytes of the longest name that is kept.
const RECENT_BYTES: usize = 16;

impl Recent {
    /// What a request calls, as [`Table::find`] says.
    #[inline]
    fn find(&mut self, table: &'static Table, args: &[&[u8]]) -> Option<&'static Call> {
        let name = *args.first()?;
        if self.call.is_some() && name == &self.name[..self.len] {
            return self.call;
        }
        let call = table.find(args)?;
        let has_subcommands = !call.subcommands.is_empty() || call.spec.name.contains('|');
        if name.len() <= RECENT_BYTES && !has_subcommands {
            self.name[..name.len()].copy_from_slice(name);
            (self.len, self.call) = (name.len(), Some(call));
        }
        Some(call)
    }
}

impl Pipeline {
    /// Takes in what a client sent. It waits for its place unless the client must wait itself.
    pub fn received(
        &mut self,
        core: &mut Core,
        buffers: &Buffers,
        token: Token,
        id: BufferId,
        len: usize,
    ) {
        let Core { counters, clients, node, .. } = core;
        counters.bytes_in += len as u64;
        counters.reads += 1;
        let Some(client) = clients.get(token) else { return buffers.recycle(id) };
        client.figures.bytes_in += len as u64;
        client.figures.active = node.now;
        if client.is_ending() {
            buffers.recycle(id);
        } else if client.query.is_empty()
            && client.state == State::Home
            && client.life != Life::Leaving
            && !client.listed
        {
            client.listed = true;
            let source = Some(Source::Lent(id, 0..len));
            return self.waiting.push_back(Input { token, source });
        } else {
            client.query.append(buffers.bytes(&id, len), client.awaited);
            buffers.recycle(id);
            if client.state == State::Home {
                clients.list_at(token);
            }
        }
        // Its socket may have to be left alone now.
        clients.mark_dirty_at(token);
    }

    /// Runs what waits, and what becomes runnable by it. True if something is left for the next
    /// turn.
    pub fn run(&mut self, core: &mut Core, buffers: &Buffers) -> bool {
        let patience = core.node.cycle_rate.cycles(TURN_MICROS);
        let since = core.lap_start;
        loop {
            self.take_listed(core);
            if self.waiting.is_empty() {
                return false;
            }
            self.fence_changes = core.fence.changes;
            self.parse(core, buffers);
            for share in &self.shares {
                let db = core.client(share.token).map_or(0, |client| client.session.db);
                for parsed in &self.requests[share.requests.clone()] {
                    if parsed.route == Route::Shard(core.shard_number()) {
                        core.prefetch_record(db, parsed);
                    }
                }
            }
            let mut shares = std::mem::take(&mut self.shares);
            for share in shares.drain(..) {
                self.execute(core, buffers, share);
            }
            self.shares = shares;
            self.requests.clear();
            self.ranges.clear();
            if RANGES_KEPT_MAX < self.ranges.capacity() {
                self.ranges = Vec::new();
            }
            core.settle();
            if patience < cycles().wrapping_sub(since) {
                return !self.waiting.is_empty() || !core.clients.listed.is_empty();
            }
        }
    }

    fn take_listed(&mut self, core: &mut Core) {
        while let Some(token) = core.clients.listed.pop_front() {
            let config = &core.node.config;
            let Some(client) = core.clients.get(token) else { continue };
            if client.may_run(config) && !client.query.is_empty() {
                self.waiting.push_back(Input { token, source: None });
            } else {
                client.listed = false; // Listed again when its batch is home or its replies gone.
            }
        }
    }

    /// Pass 1 over waiting input, up to a batch.
    fn parse(&mut self, core: &mut Core, buffers: &Buffers) {
        while self.requests.len() < BATCH
            && let Some(Input { token, source }) = self.waiting.pop_front()
        {
            let first = self.requests.len();
            let client = core.take_client(token);
            let source = source.unwrap_or_else(|| Source::Own(Query::default()));
            let mut share = Share {
                token,
                source,
                requests: first..first,
                consumed: 0,
                failed: None,
                more: false,
                inline: None,
            };
            if let Some(mut client) = client {
                if let Source::Own(query) = &mut share.source {
                    *query = std::mem::take(&mut client.query);
                }
                self.parse_share(core, &mut client, &mut share, buffers, BATCH - first);
                core.clients.put(client);
            }
            self.shares.push(share);
        }
    }

    fn parse_share(
        &mut self,
        core: &Core,
        client: &mut Client,
        share: &mut Share,
        buffers: &Buffers,
        limit: usize,
    ) {
        let input = share.source.bytes(buffers);
        let limits = limits_of(core, client);
        let first = self.requests.len();
        let mut at = 0;
        client.awaited = 0;
        while at < input.len() {
            if limit <= self.requests.len() - first {
                share.more = true;
                break;
            }
            let first_range = self.ranges.len();
            match client.parser.step(&input[at..], &mut self.ranges, &limits) {
                Ok(Step::Request { consumed }) => {
                    self.take_request(core, client, input, first_range, at, at + consumed);
                    at += consumed;
                }
                Ok(Step::Nothing { consumed }) => at += consumed,
                Ok(Step::More { at_least }) => {
                    client.awaited = at_least;
                    break;
                }
                // It has a share of its own: its arguments do not lie in the input.
                Ok(Step::Inline { .. }) if first < self.requests.len() => {
                    share.more = true;
                    break;
                }
                Ok(Step::Inline { consumed, request }) => {
                    at += consumed;
                    share.more = true;
                    self.parse_inline(core, client, &request);
                    share.inline = Some(request);
                    break;
                }
                Err(error) => {
                    share.failed = Some(error);
                    break;
                }
            }
        }
        share.consumed = at;
        share.requests = first..self.requests.len();
    }

    /// Parses an inline request in its usual form.
    fn parse_inline(&mut self, core: &Core, client: &Client, request: &[u8]) {
        let first_range = self.ranges.len();
        let limits = Limits { authenticated: true, ..limits_of(core, client) };
        let step = Parser::default().step(request, &mut self.ranges, &limits);
        if let Ok(Step::Request { consumed }) = step {
            self.take_request(core, client, request, first_range, 0, consumed);
        }
    }

    /// Routes a request that was just parsed, and starts loading its key's bucket.
    #[inline(always)]
    fn take_request(
        &mut self,
        core: &Core,
        client: &Client,
        input: &[u8],
        first_range: usize,
        start: usize,
        end: usize,
    ) {
        let small = |number: usize| u32::try_from(number).expect("input is shorter than 4 GiB");
        for range in &mut self.ranges[first_range..] {
            range.start += small(start);
        }
        let (first, count) = (small(first_range), small(self.ranges.len() - first_range));
        let mut parsed = Parsed {
            call: None,
            first,
            count,
            end: small(end),
            route: Route::Home,
            first_key: (0, 0),
        };
        let unrouted = parsed;
        with_args(input, &self.ranges, &unrouted, |args| {
            parsed.call = self.recent.find(core.node.table, args);
            (parsed.route, parsed.first_key) = core.route(client, parsed.call, args);
        });
        if parsed.route == Route::Shard(core.shard_number()) {
            core.prefetch_bucket(client.session.db, &parsed);
        }
        self.requests.push(parsed);
    }

    /// Takes more requests of a client into a batch that leaves, up to a number: what follows goes
    /// along.
    pub(super) fn extend(
        &mut self,
        core: &Core,
        client: &mut Client,
        rest: &[u8],
        batch: &mut Batch,
        (requests_max, bytes_max): (usize, usize),
    ) -> usize {
        let limits = limits_of(core, client);
        let mut at = 0;
        while batch.requests.len() < requests_max && at < rest.len().min(bytes_max) {
            let first = self.ranges.len();
            let step = client.parser.step(&rest[at..], &mut self.ranges, &limits);
            let Ok(Step::Request { consumed }) = step else {
                if let Ok(Step::More { at_least }) = step {
                    client.awaited = at_least;
                } else {
                    // It is found again, and dealt with, when the batch is home.
                    client.parser = Parser::default();
                    self.ranges.truncate(first);
                }
                break;
            };
            self.take_request(core, client, rest, first, at, at + consumed);
            let parsed = self.requests.pop().expect("it was just taken");
            let start = u32::try_from(at).expect("input is shorter than 4 GiB");
            batch.append(&rest[at..at + consumed], start, &self.ranges[first..], parsed);
            self.ranges.truncate(first);
            at += consumed;
        }
        at
    }

    /// Puts what a share has not used up where it is found again.
    pub(super) fn keep_rest(
        &mut self,
        core: &mut Core,
        buffers: &Buffers,
        client: &mut Client,
        share: Share,
    ) {
        let Share { token, mut source, consumed, more, .. } = share;
        client.listed = false;
        if client.is_ending() {
            return source.give_back(buffers);
        }
        source.consume(consumed);
        let goes_on = more && client.may_run(&core.node.config);
        match source {
            Source::Lent(id, part) if goes_on && client.query.is_empty() && !part.is_empty() => {
                client.listed = true;
                self.waiting.push_back(Input { token, source: Some(Source::Lent(id, part)) });
                return;
            }
            Source::Lent(id, part) => {
                if !part.is_empty() {
                    client.query.put_back(&buffers.bytes(&id, part.end)[part.start..]);
                }
                buffers.recycle(id);
            }
            Source::Own(mut query) => {
                query.append(client.query.unused(), client.awaited);
                client.query = query;
            }
        }
        // What came meanwhile may be what was lacking.
        if goes_on || (client.state == State::Home && client.awaited <= client.query.len()) {
            core.clients.list(client);
        }
    }
}

fn limits_of(core: &Core, client: &Client) -> Limits {
    Limits {
        bulk_bytes_max: core.node.config.proto_max_bulk_len,
        authenticated: client.session.authenticated,
    }
}

impl Source {
    pub fn bytes<'a>(&'a self, buffers: &'a Buffers) -> &'a [u8] {
        match self {
            Self::Lent(id, part) => &buffers.bytes(id, part.end)[part.start..],
            Self::Own(query) => query.unused(),
        }
    }

    fn consume(&mut self, bytes: usize) {
        match self {
            Self::Lent(_, part) => part.start += bytes,
            Self::Own(query) => query.consume(bytes),
        }
    }

    pub fn give_back(self, buffers: &Buffers) {
        if let Self::Lent(id, _) = self {
            buffers.recycle(id);
        }
    }
}
