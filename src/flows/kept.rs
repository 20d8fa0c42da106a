//! Logs that a shard keeps of histories that other nodes have written, byte for byte: those of the
//! primary that this node follows. Each ends at what is applied here, and is served like a log of
//! this node.

use crate::config::table::Config;
use crate::flows::served::{Ended, Served, limits};
use crate::flows::stored::Stored;
use crate::journal::log::{Log, Shortened};
use crate::replication::history::Offset;
use crate::replication::replid::ReplId;

/// Which log of which history a shard is to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Which {
    /// The name of the history.
    pub history: ReplId,
    /// How many logs it has.
    pub logs: u16,
    /// The log's number.
    pub number: u16,
}

/// Logs of other nodes.
#[derive(Debug, Default)]
pub struct Kept {
    logs: Vec<(Which, Served)>,
    /// What was stored for nothing, until it is freed.
    dropped: Vec<Stored>,
}

impl Kept {
    /// Keeps a log from this offset on. What is kept of it goes on if that ends there; else it
    /// begins anew, and those that it was sent to are to be told.
    pub fn begin(&mut self, which: Which, offset: Offset, config: &Config) -> Vec<Ended> {
        let is_same = |(other, served): &(Which, Served)| *other == which && served.end() == offset;
        if self.logs.iter().any(is_same) {
            return Vec::new();
        }
        let Which { history, logs, number } = which;
        let ended = self.remove(|other| (other.history, other.number) == (history, number));
        let log = Log::new(offset.0, limits(config, logs));
        self.logs.push((which, Served::new(number, log)));
        ended
    }

    /// Keeps a log that this node has written.
    pub fn insert(&mut self, history: ReplId, logs: u16, mut served: Served) {
        served.close_to_relay();
        self.logs.push((Which { history, logs, number: served.number() }, served));
    }

    /// Appends what was applied of a log.
    ///
    /// # Errors
    /// For want of memory less can be read than was promised.
    pub fn append(
        &mut self,
        history: ReplId,
        number: u16,
        entries: &[u8],
    ) -> Result<(), Shortened> {
        match self.get_mut(history, number) {
            Some(served) => served.append(entries),
            None => Ok(()),
        }
    }

    /// A log of a history, if it is kept.
    pub fn get_mut(&mut self, history: ReplId, number: u16) -> Option<&mut Served> {
        let mut logs = self.logs.iter_mut();
        let found = logs.find(|(which, _)| (which.history, which.number) == (history, number));
        found.map(|(_, served)| served)
    }

    /// All of them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Served> {
        self.logs.iter_mut().map(|(_, served)| served)
    }

    /// Whether the relay may be shown more of some than it was.
    #[inline]
    pub fn have_news(&self) -> bool {
        self.iter().any(Served::has_news)
    }

    /// Drops the logs of all other histories. Those that they were sent to.
    pub fn retain(&mut self, histories: &[ReplId]) -> Vec<Ended> {
        self.remove(|which| !histories.contains(&which.history))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Served> {
        self.logs.iter().map(|(_, served)| served)
    }

    /// Bytes of memory that they take, and what was dropped and is not freed.
    pub fn memory_bytes(&self) -> usize {
        let dropped = self.dropped.iter().map(Stored::memory_bytes);
        self.iter().map(Served::memory_bytes).chain(dropped).sum()
    }

    /// Frees what was stored for nothing, little by little: [`Self::trim`].
    pub fn drop_stored(&mut self, stored: Stored) {
        self.dropped.extend(Some(stored).filter(|stored| !stored.is_empty()));
    }

    /// Keeps what the configuration says from now on.
    pub fn resize(&mut self, config: &Config) {
        self.logs.iter_mut().for_each(|(which, served)| served.resize(limits(config, which.logs)));
    }

    /// Frees some of what was kept for readers, or stored for nothing. True if there is more of it.
    pub fn trim(&mut self) -> bool {
        self.dropped.pop_if(|stored| !stored.free_some());
        let has_more = !self.dropped.is_empty();
        self.iter_mut().fold(has_more, |more, served| served.trim() | more)
    }

    fn remove(&mut self, is_over: impl Fn(&Which) -> bool) -> Vec<Ended> {
        let over = self.logs.extract_if(.., |(which, _)| is_over(which));
        over.flat_map(|(_, served)| served.end_all()).collect()
    }
}
