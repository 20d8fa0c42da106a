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
    /// MONITOR: every command that runs. It has one name, which is empty.
    Monitor,
}

/// How many kinds there are.
pub const KINDS: usize = 5;

impl Kind {
    /// All kinds.
    pub const ALL: [Self; KINDS] =
        [Self::Channel, Self::Pattern, Self::ShardChannel, Self::Prefix, Self::Monitor];

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
            Self::Prefix | Self::Monitor => unreachable!("they have commands of their own"),
        }
    }

    /// The first word of the reply to the end of a subscription.
    pub fn unsubscribed(self) -> &'static [u8] {
        match self {
            Self::Channel => b"unsubscribe",
            Self::Pattern => b"punsubscribe",
            Self::ShardChannel => b"sunsubscribe",
            Self::Prefix | Self::Monitor => unreachable!("they have commands of their own"),
        }
    }
}
