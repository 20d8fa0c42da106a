//! What of the configuration the engine needs, copied into each shard.

use alloc::boxed::Box;

use crate::base::spelling::Spelling;
use crate::base::trigonometry::Trigonometry;
use crate::types::limits::Limits;

/// Settings the engine obeys. The thread that runs a shard copies them in; nothing here is shared.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What to evict when memory is short.
    pub policy: Policy,
    /// Keys looked at per eviction, `maxmemory-samples`.
    pub samples: usize,
    /// `lfu-log-factor`: how slowly the counter of a busy key grows.
    pub lfu_log_factor: u32,
    /// `lfu-decay-time`: minutes after which a counter loses one; 0 never.
    pub lfu_decay_minutes: u32,
    /// `proto-max-bulk-len`: bytes a string may have.
    pub string_bytes_max: usize,
    /// `rdb-version-check relaxed`: whether RESTORE takes dumps of versions that are not known.
    pub takes_any_dump: bool,
    /// What becomes of keys and fields whose time has come.
    pub expiry: OnExpiry,
    /// Whether the server is a node of a cluster: no command may need keys of several slots.
    pub in_cluster: bool,
    /// In a cluster, behind which slots others follow that are at another place, ascending: the
    /// number of the first of these, and of all slots at the end. Empty if that is not known.
    pub slot_run_ends: Box<[u16]>,
    /// Whether the command that runs comes from a primary: what that has accepted is not refused.
    pub obeys: bool,
    /// Whether the node is a replica: its clients do not wait for replicas of it.
    pub is_replica: bool,
    /// Whether background expiry runs (`DEBUG SET-ACTIVE-EXPIRE`).
    pub active_expire: bool,
    /// Whether databases are freed in the background by FLUSHALL and FLUSHDB without an option.
    pub lazy_user_flush: bool,
    /// `lazyfree-lazy-user-del`: whether DEL frees large values in the background.
    pub lazy_user_del: bool,
    /// `lazyfree-lazy-expire`: so for values that expire.
    pub lazy_expire: bool,
    /// `lazyfree-lazy-eviction`: so for values that are evicted.
    pub lazy_eviction: bool,
    /// `lazyfree-lazy-server-del`: so for values that others take the place of.
    pub lazy_server_del: bool,
    /// Up to what size collections keep their compact encodings.
    pub limits: Limits,
    /// By which distances on earth are computed.
    pub trigonometry: Trigonometry,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            policy: Policy::NoEviction,
            samples: 5,
            lfu_log_factor: 10,
            lfu_decay_minutes: 1,
            string_bytes_max: 512 << 20,
            takes_any_dump: false,
            expiry: OnExpiry::Removes,
            in_cluster: false,
            slot_run_ends: Box::default(),
            obeys: false,
            is_replica: false,
            active_expire: true,
            lazy_user_flush: true,
            lazy_user_del: true,
            lazy_expire: true,
            lazy_eviction: true,
            lazy_server_del: true,
            limits: Limits::default(),
            trigonometry: Trigonometry::default(),
        }
    }
}

impl Settings {
    /// Which texts the command that runs may take as floats. A Redis has accepted some that a
    /// Valkey refuses, and tells its replicas of them as they came.
    #[inline]
    pub fn spelling(&self) -> Spelling {
        if self.obeys { Spelling::Redis } else { Spelling::Valkey }
    }
}

/// What becomes of keys and fields whose time has come. Only where they are removed are keys
/// evicted, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnExpiry {
    /// They are removed when a command looks them up or when their turn comes: on a primary.
    Removes,
    /// They stay, but no command sees them: for clients of a replica, whose primary says what
    /// goes, on a primary whose writes are paused, and in import mode, whose source says what
    /// goes. A command that writes all the same (a replica may be writable) removes what is in its
    /// way, as Valkey has it.
    Hides,
    /// They stay, and commands see them as if they had no time: what a replication link applies
    /// was true when its primary did it, and was judged by the primary's clock; so for the source
    /// of an import.
    Ignores,
}

/// `maxmemory-policy`: which keys may go, and which go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// None: writes fail.
    NoEviction,
    /// Any key, the longest unused first.
    AllKeysLru,
    /// Any key, the least often used first.
    AllKeysLfu,
    /// Any key, by chance.
    AllKeysRandom,
    /// Keys that expire, the longest unused first.
    VolatileLru,
    /// Keys that expire, the least often used first.
    VolatileLfu,
    /// Keys that expire, by chance.
    VolatileRandom,
    /// Keys that expire, the soonest first.
    VolatileTtl,
}

impl Policy {
    /// Whether the 24 access bits of an entry are an LFU counter rather than an LRU time.
    pub const fn is_lfu(self) -> bool {
        matches!(self, Self::AllKeysLfu | Self::VolatileLfu)
    }
}
