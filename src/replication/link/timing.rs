//! What time does to a link: limits that pass, and what is sent each second.

use super::bytes::acknowledge;
use super::events::Action;
use super::report::Line;
use super::{Link, Receiving, State};
use crate::replication::failure::{Failure, Limit};
use crate::replication::limits::Limits;
use crate::replication::moment::Moment;

impl Link {
    /// When to [`super::events::Event::Tick`] at the latest.
    pub fn deadline(&self) -> Option<Moment> {
        match &self.state {
            State::Waiting { until } => Some(*until),
            State::Following(following) => {
                let ack = following.id.map(|_| following.ack);
                [ack, self.limit().map(|(at, _)| at)].into_iter().flatten().min()
            }
            State::Staging(arrived) | State::Committing(arrived) => {
                arrived.lost.is_none().then_some(arrived.beat)
            }
            State::Idle | State::Connecting | State::Greeting { .. } | State::Receiving(_) => {
                self.limit().map(|(at, _)| at)
            }
        }
    }

    pub(super) fn tick(&mut self, now: Moment, actions: &mut Vec<Action<'_>>) {
        if let Some((at, limit)) = self.limit()
            && at <= now
        {
            let is_slow = match &self.state {
                State::Receiving(receiving) => !receiving.has_got_on(&self.limits),
                _ => true,
            };
            if is_slow {
                return self.fail(now, Failure::TimedOut(limit), actions);
            }
        }
        match &mut self.state {
            State::Waiting { until } if *until <= now => {
                self.connect(now, Line::Reconnecting, actions);
            }
            State::Receiving(receiving) => {
                if let Some(body) = &mut receiving.body
                    && body.since.after(self.limits.progress_ms) <= now
                {
                    (body.since, body.fresh) = (now, 0);
                }
            }
            State::Staging(arrived) | State::Committing(arrived)
                if arrived.lost.is_none() && arrived.beat <= now =>
            {
                arrived.beat = now.after(self.limits.ack_ms);
                actions.push(Action::Send(b"\n".to_vec()));
            }
            State::Following(following) if following.id.is_some() && following.ack <= now => {
                acknowledge(following, now, self.applied, (&self.hello, &self.limits), actions);
            }
            State::Idle
            | State::Connecting
            | State::Greeting { .. }
            | State::Staging(_)
            | State::Committing(_)
            | State::Following(_)
            | State::Waiting { .. } => {}
        }
    }

    /// The limit that passes next, and when; `None` if only this node is waited for.
    fn limit(&self) -> Option<(Moment, Limit)> {
        let limits = &self.limits;
        let last_io = self.last_io.unwrap_or(self.since);
        let before_snapshot = |asked: Moment| {
            let silence = (last_io.after(limits.silence_ms), Limit::Silence);
            let first_byte = (asked.after(limits.first_byte_ms), Limit::FirstByte);
            if silence.0 < first_byte.0 { silence } else { first_byte }
        };
        match &self.state {
            State::Connecting => Some((self.since.after(limits.connect_ms), Limit::Connect)),
            _ if self.is_full => None,
            State::Greeting { asked: Some(asked), .. } => Some(before_snapshot(*asked)),
            State::Greeting { handshake, step, .. } => {
                let name = handshake.step().name();
                Some((step.after(limits.step_ms), Limit::Step(name)))
            }
            State::Receiving(receiving) => Some(match &receiving.body {
                None => before_snapshot(receiving.asked),
                Some(body) => (body.since.after(limits.progress_ms), Limit::Progress),
            }),
            State::Following(following) => {
                let silence_ms = if following.has_flows {
                    limits.beat_ms.min(limits.idle_ms)
                } else {
                    limits.idle_ms
                };
                Some((following.progress.after(silence_ms), Limit::Idle))
            }
            State::Idle | State::Staging(_) | State::Committing(_) | State::Waiting { .. } => None,
        }
    }
}

impl Receiving {
    /// Whether enough came since progress was last looked at.
    fn has_got_on(&self, limits: &Limits) -> bool {
        self.body.is_some_and(|body| limits.progress_bytes <= body.fresh)
    }
}
