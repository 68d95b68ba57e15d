//! Ways to get the protocol wrong, each of which the model must find.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Defect {
    /// A lease counts from when it was received.
    LeaseFromReceipt,
    /// A lease counts before what it needs is applied.
    UsableBeforeApplied,
    /// A sidecar's lease is answered first and recorded later.
    GrantAfterReply,
    /// What a granter has applied is read before the grant is recorded, and so may be older than what it acknowledges.
    NeedsBeforeGrant,
    /// A renewal is answered from a heartbeat that began before it arrived.
    EvidenceBeforeArrival,
    /// A server acknowledges what it has read before it is applied.
    AcknowledgeBeforeApply,
    /// A server acknowledges what it has applied, whatever its sidecars have.
    AcknowledgeIgnoresGrants,
    /// The first change on another timeline goes on with the history of the old one.
    CommitWithoutRenewal,
    /// Whoever waits for the fleet reads who is in it before the commit.
    FleetReadBeforeCommit,
    /// Whoever waits for the fleet waits half a lease at most.
    FleetWaitsTooShort,
    /// Reading is enough of a heartbeat.
    HeartbeatReadOnly,
    /// A heartbeat counts though the server is not in the table.
    MissingRowIgnored,
    /// A server that leaves takes its row along though its sidecars hold leases.
    DrainDespiteGrants,
    /// A row is removed after half a lease without a heartbeat.
    RemovedTooEarly,
    /// What is found is remembered whatever happened meanwhile.
    NoFence,
    /// A sidecar does not say what its server must have applied.
    FillWithoutMinimum,
    /// A cold answer needs no lease.
    ColdWithoutLease,
    /// The lease is looked at as of a second before the request arrived.
    LeaseCheckedBeforeArrival,
    /// The history that a row was read in is not compared.
    RowOfAnyHistory,
    /// A token is called inactive by what a database says that confirmed nothing.
    InactiveWithoutBeat,
    /// The same, of revoked tokens only.
    RevokedWithoutBeat,
    /// What was known is still believed where the log is followed anew.
    FollowKeepsEntries,
    /// A sidecar that moves gives its lease up and answers by it.
    ReleasedButUsed,
}

impl Defect {
    pub(crate) const ALL: [Self; 23] = [
        Self::LeaseFromReceipt,
        Self::UsableBeforeApplied,
        Self::GrantAfterReply,
        Self::NeedsBeforeGrant,
        Self::EvidenceBeforeArrival,
        Self::AcknowledgeBeforeApply,
        Self::AcknowledgeIgnoresGrants,
        Self::CommitWithoutRenewal,
        Self::FleetReadBeforeCommit,
        Self::FleetWaitsTooShort,
        Self::HeartbeatReadOnly,
        Self::MissingRowIgnored,
        Self::DrainDespiteGrants,
        Self::RemovedTooEarly,
        Self::NoFence,
        Self::FillWithoutMinimum,
        Self::ColdWithoutLease,
        Self::LeaseCheckedBeforeArrival,
        Self::RowOfAnyHistory,
        Self::InactiveWithoutBeat,
        Self::RevokedWithoutBeat,
        Self::FollowKeepsEntries,
        Self::ReleasedButUsed,
    ];
}
