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
}

/// How many kinds there are.
pub const KINDS: usize = 3;

impl Kind {
    /// All kinds.
    pub const ALL: [Self; KINDS] = [Self::Channel, Self::Pattern, Self::ShardChannel];

    /// A small dense number.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The first word of the reply to a subscription.
    pub const fn subscribed(self) -> &'static [u8] {
        match self {
            Self::Channel => b"subscribe",
            Self::Pattern => b"psubscribe",
            Self::ShardChannel => b"ssubscribe",
        }
    }

    /// The first word of the reply to the end of a subscription.
    pub const fn unsubscribed(self) -> &'static [u8] {
        match self {
            Self::Channel => b"unsubscribe",
            Self::Pattern => b"punsubscribe",
            Self::ShardChannel => b"sunsubscribe",
        }
    }
}
