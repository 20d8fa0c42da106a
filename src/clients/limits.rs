//! How much may come from a client and how much may wait for it: when its socket is read, when its
//! requests run, when it is cut, and when it is through.

use crate::clients::client::{Client, Finishing, Life, State};
use crate::clients::totals::Counted;
use crate::config::client_memory::ClientMemory;
use crate::config::output_limits::{OutputLimit, OutputLimits};
use crate::config::table::Config;
use crate::reactor::clock::Monotonic;

/// Bytes that a client may send ahead of what runs before its socket is read no longer, unless it
/// waits for something that may never happen.
const AHEAD_BYTES_MAX: usize = 1 << 20;
/// Bytes that may come from a client that has not authenticated, all its requests together.
const UNAUTHENTICATED_QUERY_BYTES_MAX: usize = 16 << 10;
/// Bytes of replies that wait for a client before no more of its requests run.
const OUT_PAUSE: u64 = 1 << 20;
/// The same for a client that goes on sending all the same: it may be one that writes all its
/// requests before it reads the first reply.
const OUT_PAUSE_AHEAD: u64 = 256 << 20;
/// The same for a client that has not authenticated.
const UNAUTHENTICATED_OUT_PAUSE: usize = 1 << 10;
/// Positions in a request are 32 bits wide, so no setting lets a client send more ahead.
const QUERY_BYTES_MAX: usize = u32::MAX as usize - (1 << 20);

/// Bytes of replies that need no look at any limit, unless a limit is lower.
const CALM_BYTES: u64 = 16 << 10;

/// How many bytes of replies may wait for an authenticated client without a look at limits.
pub fn calm_bytes(config: &Config) -> usize {
    let OutputLimits { normal, pubsub, .. } = config.client_output_buffer_limit;
    let limits = [normal, pubsub].map(|limit| limit.hard_max().min(limit.soft_max()));
    let lowest = limits[0].min(limits[1]);
    let is_counted = config.maxmemory_clients != ClientMemory::UNLIMITED;
    if is_counted { 0 } else { usize::try_from(lowest.min(CALM_BYTES)).unwrap_or(usize::MAX) }
}

impl Client {
    /// Whether its socket is to be read: the one function that says so.
    pub fn wants_input(&self, config: &Config) -> bool {
        match self.life {
            // What it still sends is thrown away: a socket that is closed unread is reset, and
            // its replies are lost.
            Life::InputEnded | Life::Lost | Life::Closing | Life::Gone => true,
            // The next owner of its socket reads what it still sends.
            Life::Leaving => false,
            Life::Open | Life::HungUp => {
                // A request that is not complete cannot run before the rest is read.
                let needs_more = self.state == State::Home && self.awaited != 0;
                // The end of a client that waits is seen behind all that it sends, and its query
                // limit bounds that.
                self.finishing == Finishing::No
                    && self.unsent() <= self.out_pause(config, true)
                    && (needs_more || self.waits() || !self.is_ahead())
            }
        }
    }

    /// Whether its requests may run, should there be some.
    #[inline]
    pub fn may_run(&self, config: &Config) -> bool {
        self.state == State::Home
            && !self.is_ending()
            && self.life != Life::Leaving
            && self.unsent() <= self.out_pause(config, self.is_ahead())
    }

    /// Whether nothing is to be looked at but whether replies are to be sent: the usual case. Its
    /// replies are so few bytes that no limit concerns them.
    #[inline]
    pub fn is_calm(&self, bytes_max: usize) -> bool {
        self.life == Life::Open
            && self.finishing == Finishing::No
            && self.is_read
            && self.query.is_empty()
            && self.session.authenticated
            && self.over_soft_limit.is_none()
            && !self.is_broken_off
            && self.counted == Counted::default()
            && self.unsent() <= bytes_max
    }

    /// Whether it has sent more than its socket is read for while nothing runs.
    #[inline]
    pub fn is_ahead(&self) -> bool {
        AHEAD_BYTES_MAX < self.query.len()
    }

    /// Whether it has sent requests that are neither done nor under way.
    pub fn has_requests(&self) -> bool {
        self.state == State::Home && !self.query.is_empty() && self.awaited == 0
    }

    /// Whether something of it can go on only when its replies are gone.
    pub fn waits_for_replies(&self) -> bool {
        let has_more = self.has_requests();
        self.sending != 0 && (self.life != Life::Open || has_more || !self.is_read)
    }

    /// Whether nothing is left to do for it, and its connection is to be closed.
    pub fn is_through(&self) -> bool {
        match self.life {
            Life::Open | Life::HungUp | Life::Leaving => false,
            Life::InputEnded | Life::Lost => {
                self.state == State::Home && !self.listed && self.unsent() == 0
            }
            Life::Closing => self.state == State::Home && self.out.is_empty() && self.sending == 0,
            Life::Gone => self.state == State::Home,
        }
    }

    /// Nothing more of it is done.
    pub fn end(&mut self) {
        self.life = if self.takes_replies() { Life::Closing } else { Life::Gone };
    }

    /// It can be given nothing any more.
    pub fn lose(&mut self) {
        let is_over = self.is_ending() || self.life == Life::Leaving;
        self.life = if is_over { Life::Gone } else { Life::Lost };
        self.drop_output();
    }

    /// Whether nothing more of it is done.
    #[inline]
    pub fn is_ending(&self) -> bool {
        matches!(self.life, Life::Closing | Life::Gone)
    }

    /// Whether it can be given something.
    #[inline]
    pub fn takes_replies(&self) -> bool {
        !matches!(self.life, Life::Lost | Life::Gone)
    }

    /// Whether it may wait for a key, or for the end of a pause: what comes of it could not be
    /// told to a client that is gone, and would be lost with it.
    pub fn may_wait(&self) -> bool {
        self.life == Life::Open
    }

    /// Whether it has sent more than it may.
    pub fn exceeds_query_limit(&self, config: &Config) -> bool {
        if !self.session.authenticated && UNAUTHENTICATED_QUERY_BYTES_MAX < self.query.len() {
            return true;
        }
        let limit = usize::try_from(config.client_query_buffer_limit).unwrap_or(usize::MAX);
        let queued = self.multi.as_ref().map_or(0, |multi| multi.bytes());
        limit.min(QUERY_BYTES_MAX) < self.query.len().saturating_add(queued)
    }

    /// How many bytes of replies may wait for it before no more of its requests run: as many as
    /// its limits let it have, if there are any, so that it reaches them and is cut.
    #[inline]
    pub fn out_pause(&self, config: &Config, is_ahead: bool) -> usize {
        if !self.session.authenticated {
            return UNAUTHENTICATED_OUT_PAUSE;
        }
        let limits = self.output_limit(config);
        let pause = match limits.hard.max(limits.soft) {
            0 if is_ahead => OUT_PAUSE_AHEAD,
            limit => limit.max(OUT_PAUSE),
        };
        usize::try_from(pause).unwrap_or(usize::MAX)
    }

    /// How long its next replies may be before no more of its requests run, and before it is cut
    /// for them in any case.
    #[inline]
    pub fn reply_limits(&self, config: &Config) -> (usize, usize) {
        let unsent = self.unsent();
        let pause = self.out_pause(config, self.is_ahead());
        let hard = usize::try_from(self.output_limit(config).hard_max()).unwrap_or(usize::MAX);
        let max = hard.saturating_sub(unsent);
        (pause.saturating_sub(unsent).min(max), max)
    }

    /// Whether it may have so many bytes of replies waiting; notes when it exceeds its soft limit.
    pub fn within_output_limits(&mut self, config: &Config, now: Monotonic) -> bool {
        let limits = self.output_limit(config);
        let unsent = self.unsent() as u64;
        if self.is_broken_off || limits.hard_max() < unsent {
            return false;
        }
        if limits.soft_max() < unsent {
            let since = *self.over_soft_limit.get_or_insert(now);
            return now.millis_since(since) / 1000 <= u64::from(limits.soft_seconds);
        }
        self.over_soft_limit = None;
        true
    }

    /// Drops what it has not been given: it will never take it.
    pub fn drop_output(&mut self) {
        self.out.clear();
        (self.pushes.held, self.pushes.stale) = (Vec::new(), Vec::new());
        (self.sending, self.sending_room) = (0, 0);
    }

    /// Bytes of replies it has not been given.
    #[inline]
    pub fn unsent(&self) -> usize {
        self.out.len() + self.pushes.held.len() + self.pushes.stale.len() + self.sending
    }

    /// How much may wait for it.
    #[inline]
    fn output_limit(&self, config: &Config) -> OutputLimit {
        let limits = &config.client_output_buffer_limit;
        if self.subscriptions.is_some() { limits.pubsub } else { limits.normal }
    }
}
