//! Who wants to know of a command that ended, besides those who count it: the command logs,
//! LATENCY, monitors, and the counters of slots and of hot keys.
//!
//! All of it hangs on the comparisons of [`Core::observe`], which say as a rule that no observer
//! does. If an observer wants to know of every command, it sets the limit of its time to nothing;
//! when it is told, it looks again at what it wants.

pub mod logging;

use crate::mail::to_control::ToControl;
use crate::stats::notable::Notable;

use shards::base::slot::Slot;

use crate::pubsub::kind::Kind;
use crate::reactor::clock::cycles;
use crate::routing::call::{Call, KeyShape};
use crate::routing::keys::key_places;
use crate::shard::core::Core;
use crate::shard::journeys::fencing::LONG_MICROS;
use crate::stats::command_log::request_bytes;
use crate::stats::latency_events::{Event, Occurrence};
use crate::stats::slot_stats::SlotCounters;

impl Core {
    /// Tells of a command that is done, if an observer wants to know. True if requests that were
    /// routed before are to be routed anew.
    #[inline]
    pub(crate) fn observe(
        &mut self,
        call: &Call,
        args: &[&[u8]],
        took: u64,
        reply_bytes: usize,
    ) -> bool {
        self.observers.notable.is_met(args, took, reply_bytes)
            && self.tell_observers(call, args, took, reply_bytes)
    }

    #[cold]
    fn tell_observers(
        &mut self,
        call: &Call,
        args: &[&[u8]],
        took: u64,
        reply_bytes: usize,
    ) -> bool {
        if !self.resumes {
            self.show(call, args);
        }
        if self.observers.slot_stats.is_on() || self.observers.hot_keys.is_on() {
            self.note_keys(call, args, took, reply_bytes);
        }
        if self.observers.loggable.is_met(args, took, reply_bytes) {
            self.log_command(call, args, took, reply_bytes);
            self.note_time(Event::of_command(call), took);
        }
        self.observers.late <= took && self.look_at_fence()
    }

    /// Notes which keys a command has used, and what their slot costs. Commands with keys of
    /// several slots are no slot's.
    fn note_keys(&mut self, call: &Call, args: &[&[u8]], took: u64, reply_bytes: usize) {
        let looks = self.observers.hot_keys.is_due();
        if !looks && !self.observers.slot_stats.is_on() {
            return;
        }
        let (one, several);
        let places = match call.keys {
            KeyShape::None => return,
            KeyShape::One(at) => {
                one = [at];
                &one[..]
            }
            KeyShape::Several => {
                several = key_places(call.spec.keys, args);
                &several
            }
        };
        let keys = || places.iter().filter_map(|&place| args.get(place));
        if looks && call.spec.names_keys() {
            keys().for_each(|key| self.observers.hot_keys.look(self.serving.db, key));
        }
        let slot = keys().next().map(|first| Slot::of(first));
        if let Some(slot) = slot.filter(|slot| keys().all(|key| Slot::of(key) == *slot)) {
            let (bytes_in, bytes_out) = (request_bytes(args) as u64, reply_bytes as u64);
            self.observers
                .slot_stats
                .count(slot, SlotCounters { cycles: took, bytes_in, bytes_out });
        }
    }

    /// Notes that something took so many cycles, if that is long.
    pub(crate) fn note_time(&mut self, event: Event, cycles: u64) {
        let micros = self.node.cycle_rate.micros(cycles);
        let time = self.shard.keyspace.now.seconds();
        if let Some(occurrence) = Occurrence::of(event, time, micros, &self.node.config) {
            self.mailbox.tell_control(ToControl::Occurrence(occurrence));
        }
    }

    /// Runs something and notes how long it took, if LATENCY wants to know.
    pub(crate) fn timed<R>(&mut self, event: Event, work: impl FnOnce(&mut Self) -> R) -> R {
        if self.node.config.latency_monitor_threshold == 0 {
            return work(self);
        }
        let before = cycles();
        let result = work(self);
        self.note_time(event, cycles().wrapping_sub(before));
        result
    }

    /// Tells of a command that begins to wait: monitors see it now and not when it ends.
    #[cold]
    pub(crate) fn observe_wait(&mut self, call: &Call, args: &[&[u8]]) {
        if !self.resumes {
            self.show(call, args);
        }
    }

    /// Chooses anew of which commands observers want to know.
    pub(crate) fn choose_notable(&mut self) {
        let config = &self.node.config;
        let cycles = |micros: i64| match u64::try_from(micros) {
            Ok(micros) => self.node.cycle_rate.cycles(micros),
            Err(_) => u64::MAX,
        };
        let bytes = |bytes: i64| usize::try_from(bytes).unwrap_or(usize::MAX);
        self.monitors.wanted = 0 < self.pubsub.interest.len(Kind::Monitor);
        let threshold = config.latency_monitor_threshold.saturating_mul(1000);
        let slow_event =
            if threshold == 0 { -1 } else { i64::try_from(threshold).unwrap_or(i64::MAX) };
        let long = cycles(config.commandlog_execution_slower_than).min(cycles(slow_event));
        let hot_keys_max = usize::try_from(config.hotkeys_max).unwrap_or(usize::MAX);
        self.observers.hot_keys.configure(config.hotkeys_sample_rate, hot_keys_max);
        self.observers.slot_stats.switch(config.cluster_slot_stats_enabled);
        let all = self.monitors.wanted
            || self.observers.slot_stats.is_on()
            || self.observers.hot_keys.is_on();
        let is_in_cluster = self.node.cluster.is_some();
        self.observers.late =
            if is_in_cluster { self.node.cycle_rate.cycles(LONG_MICROS) } else { u64::MAX };
        self.observers.loggable = Notable {
            cycles: long,
            request_bytes: bytes(config.commandlog_request_larger_than),
            reply_bytes: bytes(config.commandlog_reply_larger_than),
        };
        let shortest = long.min(self.observers.late);
        self.observers.notable =
            Notable { cycles: if all { 0 } else { shortest }, ..self.observers.loggable };
    }
}
