//! Commands run here, on this shard's keys or on what visits it: timed, counted, told of.

use shards::commands::spec::Command;
use shards::effects::Reader;
use shards::resp::error::Error;
use shards::resp::parser::Range;
use shards::shard::{Request, Shard};

use crate::batches::batch::Passport;
use crate::reactor::clock::cycles;
use crate::reactor::crash::at_work;
use crate::routing::call::Call;
use crate::routing::request::{Parsed, as_it_came};
use crate::shard::core::Core;
use crate::shard::messages::tracking::note_reads;
use crate::stats::notable::Serving;
use crate::transactions::apart::log_apart;

impl Core {
    /// From now on commands run for this client.
    #[inline]
    pub(crate) fn run_for(&mut self, serving: Serving, id: u64, reads: bool) {
        let Serving { home, token, .. } = serving;
        self.serving = serving;
        self.shard.effects.author = id;
        self.visitors.effects.author = id;
        let home = u16::try_from(home).expect("shards are few");
        self.reading = reads.then(|| Reader { home, client: token.bits() });
    }

    /// A request as the engine takes it.
    #[inline]
    pub(crate) fn engine_request<'a>(
        args: &'a [&'a [u8]],
        passport: &Passport,
        first_key: (u32, u64),
    ) -> Request<'a> {
        Request {
            args,
            came: &[],
            db: passport.db,
            protocol: passport.protocol,
            no_touch: passport.no_touch,
            origin: passport.origin,
            reply_max: passport.reply_max,
            first_key: (first_key.0 as usize, first_key.1),
        }
    }

    /// Runs a command on this shard's keys. Whether there is memory for it was looked at before.
    /// True if requests that were routed before are to be routed anew.
    #[inline]
    pub(crate) fn run_engine(
        &mut self,
        call: &Call,
        command: &'static Command,
        request: Request<'_>,
        out: &mut Vec<u8>,
    ) -> bool {
        self.run_on(|core| &mut core.shard, call, command, request, out)
    }

    /// The bytes of a request as they came, if a log wants them; else none.
    #[inline]
    pub(crate) fn came<'a>(&self, input: &'a [u8], ranges: &[Range], parsed: &Parsed) -> &'a [u8] {
        if self.shard.effects.keeps_log { as_it_came(input, ranges, parsed) } else { &[] }
    }

    /// Runs a command on the visitors' keyspace.
    pub(crate) fn run_on_visitors(
        &mut self,
        call: &Call,
        command: &'static Command,
        request: Request<'_>,
        out: &mut Vec<u8>,
    ) {
        let touched = self.visitors.effects.touched.len();
        self.run_on(|core| &mut core.visitors, call, command, request, out);
        log_apart(&mut self.visitors, &self.node.slots, call, &request, touched);
    }

    #[inline(always)]
    fn run_on(
        &mut self,
        place: impl Fn(&mut Self) -> &mut Shard,
        call: &Call,
        command: &'static Command,
        request: Request<'_>,
        out: &mut Vec<u8>,
    ) -> bool {
        let written = out.len();
        let work = at_work(call.spec.name, request.args);
        let result = place(self).execute(command, request, out);
        drop(work);
        let effects = &place(self).effects;
        if effects.wait.is_some() || effects.consignment.is_some() {
            // It counts when it is answered.
            out.truncate(written);
            self.lap();
            self.observe_wait(call, request.args);
            return false;
        }
        if let Some(reader) = self.reading {
            note_reads(&mut place(self).effects, call, request.args, reader);
        }
        if let Err(error) = &result {
            self.counters.erred(error);
        }
        let took = self.count(call, result.is_err());
        self.observe(call, request.args, took, out.len() - written)
    }

    /// Answers an error.
    #[cold]
    pub(crate) fn refuse(&mut self, error: &Error, out: &mut Vec<u8>) {
        self.counters.erred(error);
        error.write(out);
    }

    /// Refuses a command before it runs.
    #[cold]
    pub(crate) fn reject(&mut self, call: &Call, error: &Error, out: &mut Vec<u8>) {
        self.counters.rejected(call.id);
        self.refuse(error, out);
    }

    /// Counts the error that a merged reply may be. True if it is one.
    pub(crate) fn note_error_reply(&mut self, reply: &[u8]) -> bool {
        let [b'-', text @ ..] = reply else { return false };
        let code = text.split(|byte| b" \r".contains(byte)).next().unwrap_or(text);
        self.counters.erred_code(&String::from_utf8_lossy(code));
        true
    }

    /// Counts a command that ran since the last lap; returns the cycles it took.
    #[inline]
    pub(crate) fn count(&mut self, call: &Call, failed: bool) -> u64 {
        let took = self.lap();
        self.counters.ran(call.id, took, failed);
        took
    }

    /// The cycles since the last lap.
    #[inline]
    pub(crate) fn lap(&mut self) -> u64 {
        let now = cycles();
        let took = now.wrapping_sub(self.lap_start);
        self.lap_start = now;
        took
    }
}
