//! Up to what size collections keep their compact encodings: Valkey's settings of this kind.

/// `hash-max-listpack-*`.
#[derive(Clone, Copy, Debug)]
pub struct HashLimits {
    /// Fields in a listpack.
    pub listpack_entries: usize,
    /// Bytes of a field or a value in a listpack.
    pub listpack_value: usize,
}

/// `list-*`.
#[derive(Clone, Copy, Debug)]
pub struct ListLimits {
    /// Elements of a node, or if negative which of the sizes 4, 8, 16, 32 and 64 KB it may have.
    pub listpack_size: i32,
    /// Nodes at either end that Valkey does not compress; here none is, whatever it says.
    pub compress_depth: u32,
}

/// `set-max-*`.
#[derive(Clone, Copy, Debug)]
pub struct SetLimits {
    /// Integers in an intset.
    pub intset_entries: usize,
    /// Members in a listpack.
    pub listpack_entries: usize,
    /// Bytes of a member in a listpack.
    pub listpack_value: usize,
}

/// `zset-max-listpack-*`.
#[derive(Clone, Copy, Debug)]
pub struct SortedSetLimits {
    /// Members in a listpack.
    pub listpack_entries: usize,
    /// Bytes of a member in a listpack.
    pub listpack_value: usize,
}

/// `stream-node-max-*`.
#[derive(Clone, Copy, Debug)]
pub struct StreamLimits {
    /// Bytes of a node; 0 is no limit.
    pub node_bytes: usize,
    /// Entries of a node; 0 is no limit.
    pub node_entries: usize,
}

/// The limits of every type.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of hashes.
    pub hash: HashLimits,
    /// Of lists.
    pub list: ListLimits,
    /// Of sets.
    pub set: SetLimits,
    /// Of sorted sets.
    pub sorted_set: SortedSetLimits,
    /// Of streams.
    pub stream: StreamLimits,
    /// Bytes of a sparse HyperLogLog.
    pub hll_sparse_bytes: usize,
}

impl Limits {
    /// Those of the settings' defaults.
    pub const DEFAULT: Self = Self {
        hash: HashLimits { listpack_entries: 512, listpack_value: 64 },
        list: ListLimits { listpack_size: -2, compress_depth: 0 },
        set: SetLimits { intset_entries: 512, listpack_entries: 128, listpack_value: 64 },
        sorted_set: SortedSetLimits { listpack_entries: 128, listpack_value: 64 },
        stream: StreamLimits { node_bytes: 4096, node_entries: 100 },
        hll_sparse_bytes: 3000,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
