//! Where a replica can be reached, as it said itself or as its socket shows.

use std::fmt::{Display, Formatter, Result};

/// A replica's host and port. INFO, ROLE and FAILOVER name replicas by it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// An IP address or the name that the replica announced.
    pub host: String,
    /// The port on which it listens; 0 if it has not said so.
    pub port: u16,
}

impl Address {
    /// Whether `host` and `port`, as a client wrote them, are this address.
    pub fn is(&self, host: &[u8], port: i64) -> bool {
        self.host.as_bytes() == host && i64::from(self.port) == port
    }
}

/// As logs name a replica: `host:port`, brackets around what has colons itself.
impl Display for Address {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Self { host, port } = self;
        if host.contains(':') {
            write!(f, "[{host}]:")?;
        } else {
            write!(f, "{host}:")?;
        }
        match port {
            0 => f.write_str("<unknown-replica-port>"),
            port => write!(f, "{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_name_replicas_as_valkey_does() {
        for (host, port, name) in [
            ("10.0.0.1", 6379, "10.0.0.1:6379"),
            ("::1", 7000, "[::1]:7000"),
            ("replica.example", 0, "replica.example:<unknown-replica-port>"),
        ] {
            assert_eq!(Address { host: host.to_string(), port }.to_string(), name);
        }
    }

    #[test]
    fn a_port_that_is_none_is_no_address() {
        let address = Address { host: "h".to_string(), port: 1 };
        assert!(address.is(b"h", 1));
        for (host, port) in [("g", 1), ("h", 2), ("h", 65_537), ("h", -65_535)] {
            assert!(!address.is(host.as_bytes(), port), "{host} {port}");
        }
    }
}
