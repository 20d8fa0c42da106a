//! The stages of the end, in their order, and the share that each has of the time for all.

/// A stage of the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// New connections are given no service, but that of ending and of looking at the server.
    Intake,
    /// What clients had sent before is done, and its replies delivered; new writes wait.
    Drain,
    /// All writes wait. None is under way any more.
    Pause,
    /// Replicas come up to what was written.
    Replicas,
    /// A process that writes a snapshot is ended, and seen gone.
    Child,
    /// The last snapshot is written.
    Save,
    /// Nothing is done any more; clients get what they still have to get, and are closed.
    Clients,
    /// Files that only mean something while the process is there are removed.
    Files,
    /// Shards let go of their rings and sockets.
    Shards,
}

impl Stage {
    /// All of them, in order.
    pub const ALL: [Self; 9] = [
        Self::Intake,
        Self::Drain,
        Self::Pause,
        Self::Replicas,
        Self::Child,
        Self::Save,
        Self::Clients,
        Self::Files,
        Self::Shards,
    ];

    /// As the log and INFO call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Intake => "intake",
            Self::Drain => "drain",
            Self::Pause => "pause",
            Self::Replicas => "replicas",
            Self::Child => "child",
            Self::Save => "save",
            Self::Clients => "clients",
            Self::Files => "files",
            Self::Shards => "shards",
        }
    }

    /// What it may take of the time for all, in percent. The last snapshot may also have what
    /// those before it left.
    pub const fn percent(self) -> u64 {
        match self {
            Self::Intake | Self::Files => 2,
            Self::Drain => 20,
            Self::Pause => 6,
            Self::Replicas => 40,
            Self::Child | Self::Shards => 4,
            Self::Save => 10,
            Self::Clients => 12,
        }
    }

    /// The next one, if there is one.
    pub fn next(self) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| self < *stage)
    }

    /// Whether all shards take part in it, and each says when it is done.
    pub const fn is_of_shards(self) -> bool {
        match self {
            Self::Intake | Self::Drain | Self::Pause | Self::Clients | Self::Shards => true,
            Self::Replicas | Self::Child | Self::Save | Self::Files => false,
        }
    }

    /// Whether the end can still be called off in it: until the last snapshot begins.
    pub fn can_abort(self) -> bool {
        self < Self::Save
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_share_all_of_the_time() {
        let percent: u64 = Stage::ALL.into_iter().map(Stage::percent).sum();
        assert_eq!(percent, 100);
        assert!(Stage::ALL.is_sorted());
        let followers: Vec<_> = Stage::ALL.into_iter().map_while(Stage::next).collect();
        assert_eq!(followers, Stage::ALL[1..]);
    }
}
