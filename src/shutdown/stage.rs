//! The stages of the end, in their order, and the share that each has of the time for all.

/// A stage of the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Before a replica takes over: all writes wait, and none is under way any more.
    Hold,
    /// A replica takes over.
    Handover,
    /// Clients are told who has taken over: this node is not asked any more in the end.
    Linger,
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
    pub const ALL: [Self; 12] = [
        Self::Hold,
        Self::Handover,
        Self::Linger,
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
            Self::Hold => "hold",
            Self::Handover => "handover",
            Self::Linger => "linger",
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
    /// those before it left. If a replica is to take over, that has most of the time that replicas
    /// have otherwise.
    pub const fn percent(self, hands_over: bool) -> u64 {
        match self {
            Self::Hold | Self::Handover | Self::Linger if !hands_over => 0,
            Self::Hold => 3,
            Self::Handover => 17,
            Self::Linger => 10,
            Self::Intake | Self::Files => 2,
            Self::Drain => 20,
            Self::Pause => 6,
            Self::Replicas if hands_over => 10,
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
            Self::Hold
            | Self::Linger
            | Self::Intake
            | Self::Drain
            | Self::Pause
            | Self::Clients
            | Self::Shards => true,
            Self::Handover | Self::Replicas | Self::Child | Self::Save | Self::Files => false,
        }
    }

    /// Whether new writes wait in it.
    pub fn holds_writes(self) -> bool {
        matches!(self, Self::Hold | Self::Handover) || Self::Drain <= self
    }

    /// Whether no write may be under way when it is over: none waits for another server then.
    pub fn needs_rest(self) -> bool {
        self.holds_writes() && self != Self::Drain
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
        for hands_over in [false, true] {
            let percent = Stage::ALL.into_iter().map(|stage| stage.percent(hands_over));
            assert_eq!(percent.sum::<u64>(), 100, "{hands_over}");
        }
        assert!(Stage::ALL.is_sorted());
        let followers: Vec<_> = Stage::ALL.into_iter().map_while(Stage::next).collect();
        assert_eq!(followers, Stage::ALL[1..]);
    }
}
