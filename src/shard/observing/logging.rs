//! Entries for the command logs: how a shard makes them, and how they get their client's name.

use crate::clients::line;
use crate::mail::to_control::ToControl;
use crate::mail::to_shard::ToShard;
use crate::routing::call::Call;
use crate::shard::core::Core;
use crate::stats::command_log::Ended;
use crate::stats::command_log::SlowEntry;
use crate::stats::command_log::{request_bytes, shown};
use crate::stats::notable::Serving;
use shards::commands::spec::Flag;

impl Core {
    /// Reports a command that took long or was large.
    #[cold]
    pub(crate) fn log_command(
        &mut self,
        call: &Call,
        args: &[&[u8]],
        cycles: u64,
        reply_bytes: usize,
    ) {
        if call.spec.flags.has(Flag::SkipCommandLog) {
            return;
        }
        let micros = self.node.cycle_rate.micros(cycles);
        let request_bytes = request_bytes(args);
        let ended = Ended { micros, request_bytes, reply_bytes };
        let time = self.shard.keyspace.now.seconds();
        let Serving { home, token, peer, .. } = self.serving;
        for (kind, amount) in ended.logs(&self.node.config) {
            let entry = Box::new(SlowEntry {
                kind,
                time,
                amount,
                args: shown(call.spec, args),
                client: (home, token),
                addr: line::address(peer, &self.node.config),
                name: Vec::new(),
            });
            if home != self.me() {
                self.mailbox.send(home, ToShard::Logged(entry));
            } else if self.client(entry.client.1).is_some() {
                self.sign(entry);
            } else {
                self.observers.unsigned.push(entry);
            }
        }
    }

    /// Puts the client's name into an entry and passes it on to control. A client that is gone
    /// leaves none.
    pub(crate) fn sign(&mut self, mut entry: Box<SlowEntry>) {
        let token = entry.client.1;
        if let Some(client) = self.clients.peek(token) {
            entry.name.clone_from(&client.session.name);
        }
        self.mailbox.tell_control(ToControl::Logged(entry));
    }

    /// Signs entries of a client that was being worked on and is in its place again.
    #[inline]
    pub(crate) fn sign_waiting(&mut self) {
        while let Some(entry) = self.observers.unsigned.pop() {
            self.sign(entry);
        }
    }
}
