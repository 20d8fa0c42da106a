//! What the relay shows of itself.

use super::{Relay, VIEW_MILLIS, limits};
use crate::mail::replica::{RelayView, RelayWord};
use crate::mail::to_control::ToControl;
use crate::replication::session::Session;
use crate::replication::view::Replica;

impl Relay {
    /// Tells control what there is to show, if it may have changed.
    pub(super) fn tell_control(&mut self) {
        let now = self.now();
        if !self.is_changed && now.since(self.told_at) < VIEW_MILLIS {
            return;
        }
        (self.is_changed, self.told_at) = (false, now);
        let sessions = self.peers.iter().map(|peer| &peer.session).enumerate();
        let replica = |(number, session): (usize, &Session)| {
            let line = session.info_line(number, now)?;
            Some(Replica { line, role: session.role_entry() })
        };
        let backlog = self.stream.as_ref().map(|stream| &stream.backlog);
        let refused = self.backoff.refused(now, limits(&self.config).log_bytes_max());
        let view = RelayView {
            replicas: sessions.filter_map(replica).collect(),
            sessions: self.peers.iter().filter_map(|peer| peer.view(now, backlog)).collect(),
            refused: refused.map(|(address, shortage)| (address.clone(), shortage)).collect(),
            former: self.stream.as_ref().and_then(|stream| stream.former),
            backlog: self.kept(),
            memory_bytes: backlog.map_or(0, |backlog| backlog.memory_bytes() as u64),
            ..self.counts.clone()
        };
        self.mailbox.tell_control(ToControl::Relay(RelayWord::View(Box::new(view))));
    }
}
