//! Declared first: the body follows.

/// The configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// requirepass
    pub requirepass: String,
    /// databases
    pub databases: usize,
    /// client-query-buffer-limit
    pub client_query_buffer_limit: u64,
    /// proto-max-bulk-len
    pub proto_max_bulk_len: u64,
    /// maxmemory
    pub maxmemory: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { requirepass: String::new(), databases: 16, client_query_buffer_limit: 1<<30, proto_max_bulk_len: 512<<20, maxmemory: 0 }
    }
}
