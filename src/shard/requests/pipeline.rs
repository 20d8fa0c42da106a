//! Input to requests to replies: a turn's input of all clients in batches of three passes.
//!
//! 1. Parse, hash, start loading the bucket of every key that lives here.
//! 2. Start loading the entries.
//! 3. Execute.
//!
//! With keys that miss the caches the passes are worth more than everything else together
//! (measured: 2 to 3 times): the misses of a batch overlap instead of following each other.

use shards::resp::error::ProtocolError;
use shards::resp::parser::{Limits, Range, Step};

use crate::batches::batch::Batch;
use crate::clients::client::{Client, Finishing};
use crate::reactor::buffers::{BufferId, Buffers};
use crate::reactor::ring::Token;
use crate::routing::call::{Call, Run, Table};
use crate::routing::request::Parsed;
use crate::routing::request::Route;
use crate::routing::request::with_args;
use crate::shard::core::{Core, SocketRequest};
use crate::shard::requests::home::{AtHome, Departure};
use crate::stats::notable::Serving;

/// Requests in one batch of three passes: enough to overlap misses, few enough that what is
/// prefetched is still in the first-level cache when it is used.
const BATCH: usize = 64;
/// Bytes of input kept for a client that is away before its socket is paused.
const QUERY_PAUSE: usize = 1 << 20;

/// Input of one client.
#[derive(Debug)]
pub struct Input {
    /// The client.
    pub token: Token,
    /// Where it lies.
    pub source: Source,
}

/// Where input lies.
#[derive(Debug)]
pub enum Source {
    /// In a receive buffer: its id, the part that is not consumed.
    Lent(BufferId, std::ops::Range<usize>),
    /// In the client's query buffer, taken out of it; the part before is consumed.
    Own(Vec<u8>, usize),
}

/// One client's share of a batch.
#[derive(Debug)]
struct Share {
    input: Input,
    /// Its requests in the batch's list.
    requests: std::ops::Range<usize>,
    /// Bytes they take.
    consumed: usize,
    /// What comes after them makes no sense.
    failed: Option<ProtocolError>,
    /// More requests may follow in the input.
    more: bool,
    /// An inline command to run after the requests, as a RESP array.
    inline: Option<Vec<u8>>,
}

/// What a batch needs while it is parsed and run; kept from turn to turn for its room.
#[derive(Debug, Default)]
pub struct Pipeline {
    ranges: Vec<Range>,
    requests: Vec<Parsed>,
    shares: Vec<Share>,
    recent: Recent,
    /// Input waiting for a place in a batch.
    pub waiting: std::collections::VecDeque<Input>,
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
        buffers: &mut Buffers,
        token: Token,
        id: BufferId,
        len: usize,
    ) {
        let now = core.node.now;
        let limit = core.node.config.client_query_buffer_limit;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        core.counters.bytes_in += len as u64;
        core.counters.reads += 1;
        let Some(client) = core.client(token) else { return buffers.recycle(id) };
        client.figures.bytes_in += len as u64;
        client.figures.active = now;
        if client.query.is_empty() && !client.away && !client.listed && !client.closing {
            client.listed = true;
            let source = Source::Lent(id, 0..len);
            return self.waiting.push_back(Input { token, source });
        }
        if client.closing {
            return buffers.recycle(id);
        }
        client.query.extend_from_slice(buffers.bytes(&id, len));
        buffers.recycle(id);
        if limit < client.query.len() {
            core.counters.query_limit_cuts += 1;
            core.note_query_cut(token);
            core.remove_client(token);
            return;
        }
        let list = !client.away && !client.listed;
        client.listed |= list;
        let pause = QUERY_PAUSE < client.query.len() && client.away && !client.paused;
        client.paused |= pause;
        if list {
            core.listed.push_back(token);
        }
        if pause {
            core.socket_requests.push(SocketRequest::Pause(token));
        }
    }

    /// Runs everything that waits, and what becomes runnable by it.
    pub fn run(&mut self, core: &mut Core, buffers: &mut Buffers) {
        loop {
            self.take_listed(core);
            if self.waiting.is_empty() {
                return;
            }
            self.parse(core, buffers);
            for share in &self.shares {
                let db = core.client(share.input.token).map_or(0, |client| client.session.db);
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
            core.settle();
        }
    }

    fn take_listed(&mut self, core: &mut Core) {
        while let Some(token) = core.listed.pop_front() {
            let out_pause = core.out_pause();
            let Some(client) = core.client(token) else { continue };
            let must_wait = client.away || out_pause < client.unsent();
            if must_wait || client.closing || client.query.is_empty() {
                client.listed = false; // Listed again when its batch is home or its replies gone.
                continue;
            }
            let source = Source::Own(std::mem::take(&mut client.query), 0);
            if client.finishing == Finishing::No && std::mem::take(&mut client.paused) {
                core.socket_requests.push(SocketRequest::Resume(token));
            }
            self.waiting.push_back(Input { token, source });
        }
    }

    /// Pass 1 over waiting input, up to a batch.
    fn parse(&mut self, core: &mut Core, buffers: &Buffers) {
        while self.requests.len() < BATCH
            && let Some(input) = self.waiting.pop_front()
        {
            let first = self.requests.len();
            let mut share = Share {
                input,
                requests: first..first,
                consumed: 0,
                failed: None,
                more: false,
                inline: None,
            };
            if let Some(mut client) = core.take_client(share.input.token) {
                let limit = if client.one_by_one() { 1 } else { BATCH - first };
                self.parse_share(core, &mut client, &mut share, buffers, limit);
                core.put_client(client);
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
        let input = share.input.source.bytes(buffers);
        let limits = Limits {
            bulk_bytes_max: core.node.config.proto_max_bulk_len,
            authenticated: client.session.authenticated,
        };
        let first = self.requests.len();
        let mut at = 0;
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
                Ok(Step::More { .. }) => break,
                Ok(Step::Inline { consumed, request }) => {
                    at += consumed;
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

    /// Routes a request that was just parsed, and starts loading its key's bucket.
    #[inline]
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

    /// Pass 3 for one client.
    fn execute(&mut self, core: &mut Core, buffers: &mut Buffers, mut share: Share) {
        let Some(mut client) = core.take_client(share.input.token) else {
            share.input.source.give_back(buffers);
            return;
        };
        let mut out = std::mem::take(&mut client.out);
        if out.capacity() == 0 {
            out = core.spare_buffer();
        }
        let stop = self.run_requests(core, buffers, &mut client, &share, &mut out);
        client.out = out;
        if let Some(last) = share.requests.clone().last()
            && let Some(call) = self.requests[last].call
        {
            client.figures.last_command = call.spec.name;
        }
        let departs = match stop {
            Stop::End => {
                if let Some(error) = share.failed.take() {
                    core.counters.erred_code("ERR");
                    error.write(&mut client.out);
                    client.closing = true;
                }
                None
            }
            Stop::At(consumed) => {
                share.consumed = consumed;
                share.more = true;
                share.inline = None;
                client.parser = Default::default();
                None
            }
            Stop::Departs(at, departure) => {
                let batch = self.pack(core, buffers, &client, &share, at);
                Some((batch, departure))
            }
        };
        if departs.is_some() && share.failed.is_some() {
            // Found again, and answered, when the batch is home.
            client.parser = Default::default();
        }
        client.away = departs.is_some();
        self.keep_rest(core, buffers, &mut client, share);
        core.mark_dirty(&mut client);
        core.put_client(client);
        core.sign_waiting();
        if let Some((batch, departure)) = departs
            && let Some(batch) = core.depart(batch, departure)
        {
            core.advance(batch);
        }
    }

    fn run_requests(
        &self,
        core: &mut Core,
        buffers: &Buffers,
        client: &mut Client,
        share: &Share,
        out: &mut Vec<u8>,
    ) -> Stop {
        let input = share.input.source.bytes(buffers);
        let here = Route::Shard(core.shard_number());
        let passport = client.passport();
        core.serve(Serving::of_client(client, core.me()), client.id, passport.reads);
        let pause = core.out_pause();
        for at in share.requests.clone() {
            let parsed = &self.requests[at];
            client.figures.commands += 1;
            let stop = with_args(input, &self.ranges, parsed, |args| match parsed.route {
                Route::Shard(owner) if parsed.route != here => {
                    Some(Stop::Departs(at, Departure::Shard(owner)))
                }
                Route::Shard(owner)
                    if !core.locks.idle() && core.blocking_claims(parsed, args).is_some() =>
                {
                    Some(Stop::Departs(at, Departure::Shard(owner)))
                }
                Route::Shard(_) | Route::Anywhere => {
                    let call = parsed.call.expect("only known commands are routed");
                    let Run::Engine(command) = call.run else { unreachable!("others stay home") };
                    let request = Core::engine_request(args, passport, parsed.first_key);
                    core.run_engine(call, command, request, out);
                    if core.shard.effects.wait.is_some() {
                        return Some(Stop::Departs(at, Departure::Waits));
                    }
                    core.end_turn(None);
                    None
                }
                Route::Home => match core.home_request(client, parsed.call, args, out) {
                    AtHome::Done => None,
                    AtHome::Changed => Some(Stop::At(parsed.end as usize)),
                    AtHome::Travels(departure) => Some(Stop::Departs(at, departure)),
                },
            });
            if let Some(stop) = stop {
                return stop;
            }
            if client.closing || pause < out.len() + client.sending {
                return Stop::At(parsed.end as usize);
            }
        }
        Stop::End
    }

    /// The requests of a share from number `at` on, as a batch that can travel.
    fn pack(
        &self,
        core: &mut Core,
        buffers: &Buffers,
        client: &Client,
        share: &Share,
        at: usize,
    ) -> Box<Batch> {
        let start = match at.checked_sub(1) {
            Some(before) if share.requests.start <= before => self.requests[before].end,
            _ => 0,
        };
        let first_range = self.requests[at].first;
        let requests = &self.requests[at..share.requests.end];
        let last = &requests[requests.len() - 1];
        let ranges = first_range as usize..(last.first + last.count) as usize;
        let mut batch = core.new_batch(client);
        let input = share.input.source.bytes(buffers);
        batch.prefetched_at(core.me());
        batch.input.extend_from_slice(&input[start as usize..last.end as usize]);
        let moved = |range: &Range| Range { start: range.start - start, len: range.len };
        batch.ranges.extend(self.ranges[ranges].iter().map(moved));
        batch.requests.extend(requests.iter().map(|parsed| Parsed {
            first: parsed.first - first_range,
            end: parsed.end - start,
            ..*parsed
        }));
        batch
    }

    /// Puts what a share has not consumed where it is found again.
    fn keep_rest(
        &mut self,
        core: &mut Core,
        buffers: &mut Buffers,
        client: &mut Client,
        share: Share,
    ) {
        let Share { input: Input { token, mut source }, consumed, more, inline, .. } = share;
        client.listed = false;
        if client.closing {
            return source.give_back(buffers);
        }
        source.consume(consumed);
        let more = more || inline.is_some();
        if let Some(mut request) = inline {
            // The inline command, now in the usual form, stands in front of what follows it.
            request.extend_from_slice(source.bytes(buffers));
            source.give_back(buffers);
            source = Source::Own(request, 0);
        }
        let waits = client.away || core.out_pause() < client.unsent();
        if more && !waits && !source.bytes(buffers).is_empty() {
            client.listed = true;
            return self.waiting.push_back(Input { token, source });
        }
        let more_came = !client.query.is_empty();
        match source {
            // The usual way of a long request that is still coming in: nothing is copied.
            Source::Own(mut bytes, start) if !more_came => {
                bytes.drain(..start);
                client.query = bytes;
            }
            source => {
                client.query.splice(0..0, source.bytes(buffers).iter().copied());
                source.give_back(buffers);
            }
        }
        if more_came && !waits {
            core.list(client);
        }
    }
}

/// Where running a share's requests ended.
#[derive(Debug)]
enum Stop {
    /// All ran.
    End,
    /// The input from this byte on is to be looked at anew.
    At(usize),
    /// The request with this number leaves, and those behind it with it.
    Departs(usize, Departure),
}

impl Source {
    fn bytes<'a>(&'a self, buffers: &'a Buffers) -> &'a [u8] {
        match self {
            Self::Lent(id, part) => &buffers.bytes(id, part.end)[part.start..],
            Self::Own(bytes, start) => &bytes[*start..],
        }
    }

    fn consume(&mut self, bytes: usize) {
        match self {
            Self::Lent(_, part) => part.start += bytes,
            Self::Own(_, start) => *start += bytes,
        }
    }

    fn give_back(self, buffers: &mut Buffers) {
        if let Self::Lent(id, _) = self {
            buffers.recycle(id);
        }
    }
}
