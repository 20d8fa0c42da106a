//! What can be wrong with a node on purpose: each must be found.

/// A fault that is planted into the model, or between it and a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A part of a transaction does not get into its log.
    DroppedPart,
    /// Two entries of a log are in the wrong order.
    SwappedOrder,
    /// What was sent to a replica counts as acknowledged.
    LostAck,
    /// A replica is sent the stream or a log from behind the next entry on.
    ResumesLate,
    /// A replica is sent the stream or a log from before the last entry on.
    ResumesEarly,
    /// A node that is promoted keeps the name of its primary's history.
    KeepsName,
    /// What has come is acknowledged before it is applied.
    AcksEarly,
    /// A backlog says that it has bytes which it has not.
    BacklogLies,
    /// Segments of some shards have the wrong moment.
    WrongStamps,
    /// A fence is written while transactions are half done.
    HastyFence,
    /// Transactions of several shards get their numbers from the shard where they end.
    NoOrder,
    /// A snapshot is taken before its place is known.
    EarlySnapshot,
    /// Replicas are not cut when the history gets another name.
    KeepsReplicas,
    /// What is on its way to shards of a replica is lost with the connection.
    LosesBatches,
    /// A node that has removed what it had goes on where that was.
    KeepsPlace,
    /// A node removes what it has while some of a stream is under way.
    HastyEmptying,
    /// A promoted node does not wait until what has come is applied.
    HastyPromotion,
    /// Logs of a primary are applied while some of its stream is under way.
    HastyFlows,
    /// Logs of a primary are applied while the snapshot is on its way that they go on from.
    HastyStore,
    /// A failover that is called off goes on with the history of before, whatever came since.
    MixedHistories,
    /// What was logged before a stream began counts as logged when it began.
    LateStamps,
    /// A stream goes on before all shards know that it has begun.
    HastyMerge,
}

impl Fault {
    pub const ALL: [Self; 22] = [
        Self::DroppedPart,
        Self::SwappedOrder,
        Self::LostAck,
        Self::ResumesLate,
        Self::ResumesEarly,
        Self::KeepsName,
        Self::AcksEarly,
        Self::BacklogLies,
        Self::WrongStamps,
        Self::HastyFence,
        Self::NoOrder,
        Self::EarlySnapshot,
        Self::KeepsReplicas,
        Self::LosesBatches,
        Self::KeepsPlace,
        Self::HastyEmptying,
        Self::HastyPromotion,
        Self::HastyFlows,
        Self::HastyStore,
        Self::MixedHistories,
        Self::LateStamps,
        Self::HastyMerge,
    ];
}
