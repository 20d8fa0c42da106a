//! Pass 3: the requests of one client run, as far as they can here and now; the others set out.

use shards::resp::error::Error;
use shards::shard::Request;

use crate::batches::batch::{Batch, Passport};
use crate::clients::client::{Client, ReplyMode, State};
use crate::clients::memory::UnderWay;
use crate::reactor::buffers::Buffers;
use crate::routing::call::Run;
use crate::routing::request::{Parsed, Route, with_args};
use crate::shard::core::Core;
use crate::shard::requests::home::{AtHome, Needs, mute};
use crate::shard::requests::pipeline::{Pipeline, Share};
use crate::shard::room::Memory;
use crate::stats::notable::Serving;

/// Requests, and bytes of them, that set out together: enough to pay for the way, not so many that
/// the first reply waits for long.
const SETS_OUT_MAX: (usize, usize) = (512, 64 << 10);

/// Where running a share's requests ended.
#[derive(Debug)]
enum Stop {
    /// All ran.
    End,
    /// None did: all are to be looked at anew.
    Ahead,
    /// The input behind this request is to be looked at anew.
    Behind(usize),
    /// The request with this number sets out, and those behind it with it.
    SetsOut(usize, Needs),
}

/// What became of a request in its turn.
enum Turn {
    /// It is answered.
    Done,
    /// It is answered, and what follows is to be looked at anew.
    Changed,
    /// It cannot be answered here and now.
    Needs(Needs),
}

impl Pipeline {
    /// Pass 3 for one client.
    pub(super) fn execute(&mut self, core: &mut Core, buffers: &Buffers, mut share: Share) {
        let Some(mut client) = core.take_client(share.token) else {
            return share.source.give_back(buffers);
        };
        let mut out = std::mem::take(&mut client.out);
        if out.capacity() == 0 {
            out = core.spare_buffer();
        }
        let stop = if self.fence_changes == core.fence.changes {
            self.run_requests(core, buffers, &mut client, &share, &mut out)
        } else {
            Stop::Ahead
        };
        client.out = out;
        if let Some(last) = share.requests.clone().last()
            && !matches!(stop, Stop::Ahead)
            && let Some(call) = self.requests[last].call
        {
            client.figures.last_command = call.spec.name;
        }
        let sets_out = match stop {
            Stop::End => {
                if let Some(error) = share.failed.take() {
                    core.counters.erred_code("ERR");
                    if client.session.reply == ReplyMode::On {
                        error.write(&mut client.out);
                    }
                    client.end();
                }
                None
            }
            Stop::Ahead => {
                (share.consumed, share.failed, share.more) = (0, None, true);
                client.parser = Default::default();
                client.awaited = 0;
                None
            }
            Stop::Behind(at) => {
                if share.inline.is_none() {
                    share.consumed = self.requests[at].end as usize;
                    client.parser = Default::default();
                    client.awaited = 0;
                }
                share.more = true;
                None
            }
            Stop::SetsOut(at, needs) => {
                Some((self.pack(core, buffers, &mut client, &mut share, at, &needs), needs))
            }
        };
        self.keep_rest(core, buffers, &mut client, share);
        core.clients.mark_dirty(&mut client);
        let going_on = match sets_out {
            None => None,
            Some((batch, Needs::Key)) => {
                client.under_way = UnderWay::of(&batch, None);
                core.put_client(client);
                core.wait_here(batch);
                return core.end_claims(None);
            }
            Some((batch, needs)) => core.see_to(&mut client, batch, needs),
        };
        core.put_client(client);
        core.sign_waiting();
        going_on.into_iter().for_each(|batch| core.advance(batch));
    }

    fn run_requests(
        &self,
        core: &mut Core,
        buffers: &Buffers,
        client: &mut Client,
        share: &Share,
        out: &mut Vec<u8>,
    ) -> Stop {
        let input = share.bytes(buffers);
        let passport = client.passport(&core.node.config);
        core.run_for(Serving::of_client(client, core.me()), client.id, passport.reads);
        for at in share.requests.clone() {
            let parsed = &self.requests[at];
            let turn = with_args(input, &self.ranges, parsed, |args| match parsed.route {
                Route::Home => request_at_home(core, client, parsed, args, out),
                route => {
                    let came = core.came(input, &self.ranges, parsed);
                    request_here(core, &passport, (parsed, route), (args, came), out)
                }
            });
            // A request that sets out or waits is counted when its batch is home.
            client.figures.commands += u64::from(!matches!(turn, Turn::Needs(_)));
            match turn {
                Turn::Done if !client.is_ending() && out.len() <= passport.reply_pause => {}
                Turn::Done | Turn::Changed => {
                    client.is_broken_off |= passport.reply_max < out.len();
                    return Stop::Behind(at);
                }
                Turn::Needs(needs) => return Stop::SetsOut(at, needs),
            }
        }
        Stop::End
    }

    /// The requests of a share from number `at` on, as a batch that sets out. If it travels, more
    /// of what the client has sent goes along. Where replies are not wanted, each goes alone.
    fn pack(
        &mut self,
        core: &mut Core,
        buffers: &Buffers,
        client: &mut Client,
        share: &mut Share,
        at: usize,
        needs: &Needs,
    ) -> Box<Batch> {
        client.state = State::Away;
        let mut batch = core.new_batch(client);
        batch.prefetched_at(core.me());
        let input = share.bytes(buffers);
        let mut start = match at.checked_sub(1) {
            Some(before) if share.requests.start <= before => self.requests[before].end,
            _ => 0,
        };
        // The requests behind one with ASKING are looked at anew: they are without.
        let goes_alone = batch.is_muted || batch.passport.asker.asks;
        let end = if goes_alone { at + 1 } else { share.requests.end };
        for parsed in &self.requests[at..end] {
            let bytes = &input[start as usize..parsed.end as usize];
            let ranges = &self.ranges[parsed.first as usize..][..parsed.count as usize];
            batch.append(bytes, start, ranges, *parsed);
            start = parsed.end;
        }
        if goes_alone && share.inline.is_none() {
            share.consumed = start as usize;
            client.parser = Default::default();
            client.awaited = 0;
            return batch;
        }
        let is_whole = !goes_alone && share.failed.is_none() && client.awaited == 0;
        if matches!(needs, Needs::Shard(..) | Needs::Parts) && is_whole {
            let rest = &share.source.bytes(buffers)[share.consumed..];
            share.consumed += self.extend(core, client, rest, &mut batch, SETS_OUT_MAX);
        }
        if share.failed.is_some() {
            // Found again, and answered, when the batch is home.
            client.parser = Default::default();
        }
        batch
    }
}

impl Share {
    /// Where its requests lie.
    fn bytes<'a>(&'a self, buffers: &'a Buffers) -> &'a [u8] {
        match &self.inline {
            Some(request) => request,
            None => self.source.bytes(buffers),
        }
    }
}

/// A request that is looked at with all that is known of its client.
fn request_at_home(
    core: &mut Core,
    client: &mut Client,
    parsed: &Parsed,
    args: &[&[u8]],
    out: &mut Vec<u8>,
) -> Turn {
    client.note_asking();
    match core.home_request(client, parsed.call, args, out) {
        AtHome::Done => Turn::Done,
        AtHome::Changed => Turn::Changed,
        AtHome::Needs(needs) => Turn::Needs(needs),
        AtHome::Runs(route, first_key) => {
            // What is asked for may have changed since the share began.
            let passport = client.passport(&core.node.config);
            core.run_for(Serving::of_client(client, core.me()), client.id, passport.reads);
            let written = out.len();
            let parsed = Parsed { route, first_key, ..*parsed };
            let turn = match redirected_here(core, &passport, &parsed, args, out) {
                Some(turn) => turn,
                None => request_here(core, &passport, (&parsed, route), (args, &[]), out),
            };
            if matches!(turn, Turn::Done | Turn::Changed) {
                mute(client, parsed.call, out, written);
            }
            turn
        }
    }
}

/// Answers a request that home lets run here, in a cluster, if it does not after all. `None`: it
/// runs, or others claim its keys, and it is decided when they are through.
fn redirected_here(
    core: &mut Core,
    passport: &Passport,
    parsed: &Parsed,
    args: &[&[u8]],
    out: &mut Vec<u8>,
) -> Option<Turn> {
    let call = parsed.call.filter(|_| core.node.cluster.is_some())?;
    if parsed.route != Route::Shard(core.shard_number()) || core.is_claimed(parsed, args) {
        return None;
    }
    let error = core.redirection(passport, call, args, parsed.first_key)?;
    core.reject(call, &error, out);
    Some(Turn::Done)
}

/// A request that may run: here, if all its keys are here and unclaimed.
#[inline(always)]
fn request_here(
    core: &mut Core,
    passport: &Passport,
    (parsed, route): (&Parsed, Route),
    (args, came): (&[&[u8]], &[u8]),
    out: &mut Vec<u8>,
) -> Turn {
    match route {
        Route::Shard(owner) if owner != core.shard_number() => {
            return Turn::Needs(Needs::Shard(owner, parsed.first_key));
        }
        Route::Shard(owner) if core.is_claimed(parsed, args) => {
            return Turn::Needs(Needs::Shard(owner, parsed.first_key));
        }
        Route::Parts => return Turn::Needs(Needs::Parts),
        Route::Scan => return Turn::Needs(Needs::Scan),
        Route::Shard(_) | Route::Anywhere | Route::Home => {}
    }
    let call = parsed.call.expect("only known commands are routed");
    let Run::Engine(command) = call.run else { unreachable!("others are answered at home") };
    if core.room.is_short() && call.denies_oom() {
        match core.find_room(&|_| None) {
            Memory::Enough => {}
            Memory::Coming => return Turn::Needs(Needs::Memory),
            Memory::Refused => {
                core.reject(call, &Error::Oom, out);
                return Turn::Done;
            }
        }
    }
    let request = Request { came, ..Core::engine_request(args, passport, parsed.first_key) };
    let is_rerouted = core.run_engine(call, command, request, out);
    if core.shard.effects.wait.is_some() {
        return Turn::Needs(Needs::Key);
    }
    core.end_claims(None);
    if is_rerouted { Turn::Changed } else { Turn::Done }
}
