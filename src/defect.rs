//! Known defects, sown on purpose so that the checker of histories can show that it would find them. A build without the
//! feature `defects`, and so every build for use, has none of them.

/// What is done wrong, each in one line of the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defect {
    /// Revisions are drawn from a sequence, before the commit and without the lock.
    NaiveCursor,
    /// The log is read only when the doorbell rings.
    NotifyOnly,
    /// A watcher that hears too slowly goes on with what comes next.
    LaggedIgnored,
    /// What was looked up is remembered whatever was applied meanwhile.
    NoFillFence,
    /// A sidecar counts its lease from when the answer came.
    LeaseFromReceipt,
    /// A sidecar's lease is renewed by the last heartbeat there was.
    RenewalWithoutBeat,
    /// A heartbeat is committed without waiting for the disk and the standby.
    BeatNotReplicated,
    /// A cached token works on after its expiry.
    ExpiryIgnored,
    /// The cursor of a frame is that of the head, whatever was delivered.
    CursorBeforeEvents,
    /// A cursor whose successors were deleted continues at the head.
    ResumeAtHeadOnCompacted,
    /// A cursor of another history continues at the head.
    ResumeAtHeadOnForeign,
    /// A mutation is answered before it is committed.
    ReplyBeforeCommit,
    /// A commit that was not answered is told as undone.
    UnknownIsUndone,
    /// A replaced secret stays in the cache.
    ReplacedSecretKept,
    /// A stream that resumes sees every workspace.
    ResumeUnfiltered,
    /// A server acknowledges for sidecars that have not.
    GrantsIgnored,
    /// The fleet has confirmed as soon as it is asked.
    FleetNotAwaited,
    /// The cache answers without a lease.
    LeaseNotChecked,
    /// A lease counts before what it needs is applied.
    LeaseNeedsNothing,
    /// A sidecar acknowledges what it applies a little later.
    AcknowledgeBeforeApply,
    /// What was known in one history is believed in the next.
    HistoryKeepsEntries,
    /// What cannot be decided is told as inactive.
    UnavailableIsInactive,
    /// A server that goes is forgotten though leases of its sidecars live.
    LeavesWithGrants,
    /// A sidecar passes over edits of tokens.
    UpdatesIgnored,
    /// A server learns of its own changes as of others'.
    OwnChangesNotOvertaken,
    /// `min_revision` is not looked at.
    MinRevisionIgnored,
    /// A strong introspection is answered as any other.
    StrongIsLeased,
    /// A change of a principal leaves what is known of its tokens.
    PrincipalFloorIgnored,
    /// A change of a workspace leaves what is known of its tokens.
    WorkspaceFloorIgnored,
    /// A bulk revocation that names no tokens leaves what is known of them.
    BulkFloorIgnored,
    /// Secrets of an epoch that is over are found alive.
    EpochIgnored,
    /// What a principal may do is looked at when a token is created, and never again.
    EffectiveScopesAtCreation,
    /// What was looked up is remembered as of when it is, whatever floor was raised meanwhile.
    FloorsPassedInFlight,
    /// A report of uses that is repeated is written again.
    ReportsCountedTwice,
    /// A secret that was replaced works on in caches after its overlap has ended by itself.
    OverlapNeverEnds,
    /// A secret that was replaced stays in the cache when its overlap is ended.
    EndOverlapIgnored,
    /// A suspended token stays in the cache.
    SuspensionIgnored,
    /// What was done once is not noted by the id of its request.
    RequestNotEntered,
    /// What is already so is told as done, though the standby may not know it yet.
    ReadUnconfirmed,
}

/// Whether this process is to have a defect: the one that the environment variable `SEEDED_DEFECT` names.
#[cfg(feature = "defects")]
#[must_use]
pub fn seeded(defect: Defect) -> bool {
    use std::sync::LazyLock;
    static NAMED: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("SEEDED_DEFECT").ok());
    NAMED.as_ref().is_some_and(|name| *name == format!("{defect:?}"))
}

/// Never.
#[cfg(not(feature = "defects"))]
#[must_use]
pub const fn seeded(_: Defect) -> bool {
    false
}
