//! What a client can subscribe to.

/// A kind of subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// SUBSCRIBE: a channel.
    Channel,
    /// PSUBSCRIBE: all channels that match a pattern.
    Pattern,
    /// SSUBSCRIBE: a channel that belongs to a slot, as keys do.
    ShardChannel,
    /// CLIENT TRACKING ON BCAST: changes of all keys that begin with a prefix.
    Prefix,
}

/// How many kinds there are.
pub const KINDS: usize = 4;

impl Kind {
    /// All kinds.
    pub const ALL: [Self; KINDS] = [Self::Channel, Self::Pattern, Self::ShardChannel, Self::Prefix];

    /// A small dense number.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The first word of the reply to a subscription.
    pub fn subscribed(self) -> &'static [u8] {
        match self {
            Self::Channel => b"subscribe",
            Self::Pattern => b"psubscribe",
            Self::ShardChannel => b"ssubscribe",
            Self::Prefix => unreachable!("prefixes have a command of their own"),
        }
    }

    /// The first word of the reply to the end of a subscription.
    pub fn unsubscribed(self) -> &'static [u8] {
        match self {
            Self::Channel => b"unsubscribe",
            Self::Pattern => b"punsubscribe",
            Self::ShardChannel => b"sunsubscribe",
            Self::Prefix => unreachable!("prefixes have a command of their own"),
        }
    }
}
