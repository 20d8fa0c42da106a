//! SCAN: on the shard of its cursor, and on to the next one for as long as its COUNT lasts.

use shards::commands::scanning::{join, rest_args};
use shards::effects::ScanRest;

use crate::batches::batch::{At, Batch, Scan};
use crate::reactor::crash::at_work;
use crate::routing::call::Run;
use crate::routing::request::with_args;
use crate::shard::core::Core;

impl Core {
    /// Carries a SCAN on: to the shard of its cursor, at work there, or to its end.
    pub(crate) fn scan(&mut self, batch: Box<Batch>) -> Option<Box<Batch>> {
        let owner = usize::from(self.scan_owner(&batch));
        if owner != self.me() {
            return self.hop(owner, batch);
        }
        let mut batch = self.wait_for_others(batch)?;
        self.scan_here(&mut batch);
        self.end_claims(batch.ticket.take());
        Some(batch)
    }

    /// The shard on which it is at work next.
    fn scan_owner(&self, batch: &Batch) -> u16 {
        if let At::Scan(Scan { rest, .. }) = batch.at {
            return self.slot_owner(rest.cursor);
        }
        let parsed = batch.request().expect("the caller looked");
        with_args(&batch.input, &batch.ranges, parsed, |args| self.cursor_owner(args))
    }

    /// Does this shard's part.
    fn scan_here(&mut self, batch: &mut Batch) {
        let Batch { at, next, replies, passport, input, ranges, requests, .. } = batch;
        let (rest, reply, before) = match std::mem::take(at) {
            At::Scan(Scan { rest, reply, cycles }) => (Some(rest), reply, cycles),
            _ => (None, replies.len(), 0),
        };
        let parsed = &requests[*next];
        let call = parsed.call.expect("only known commands are routed");
        let Run::Engine(command) = call.run else { unreachable!("others have no cursor") };
        with_args(input, ranges, parsed, |args| {
            let part = replies.len();
            let work = at_work(call.spec.name, args);
            let result = with_rest(args, rest, |args| {
                let request = Self::engine_request(args, passport, (0, 0));
                self.shard.execute(command, request, replies)
            });
            drop(work);
            let cycles = before + self.lap();
            let is_whole = result.is_ok() && replies.len() <= passport.reply_max;
            if rest.is_some() && is_whole {
                join(replies, reply, part);
            }
            if let Some(rest) = self.shard.effects.scan_rest.take()
                && is_whole
            {
                *at = At::Scan(Scan { rest, reply, cycles });
                return;
            }
            if let Err(error) = &result {
                self.counters.erred(error);
            }
            self.counters.ran(call.id, cycles, result.is_err());
            self.observe(call, args, cycles, replies.len() - reply);
            *next += 1;
        });
    }
}

/// Does something with the arguments of a SCAN, or those with which it goes on.
pub(crate) fn with_rest<R>(
    args: &[&[u8]],
    rest: Option<ScanRest>,
    run: impl FnOnce(&[&[u8]]) -> R,
) -> R {
    let Some(rest) = rest else { return run(args) };
    let args = rest_args(args, rest);
    let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
    run(&args)
}
