//! Known defects of sync engines, to prove that the simulator finds them.
//!
//! Promise: without the feature `defects`, which only the simulator switches on, none is ever on.

/// A rule that is left out.
#[cfg_attr(not(feature = "defects"), expect(unreachable_pub, reason = "the simulator alone names it"))]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Defect {
    /// Rows overwrite a resource whose mutation is in flight.
    AppliesOverInFlight,
    /// Losing a scope does not purge its resources.
    KeepsLostScopes,
    /// A write that settles into a scope that was lost meanwhile is not purged.
    KeepsSettledInLostScope,
    /// Members that a hydration did not name are not swept.
    DoesNotSweep,
    /// Rows for scopes that are not held are used.
    TakesUnheldRows,
    /// A scope that is granted again in another generation is taken for the same.
    IgnoresGenerations,
    /// An answer is used whatever cursor and scopes it was for.
    TakesStaleAnswers,
    /// A restored device goes on with its incarnation.
    KeepsIncarnation,
    /// A parked edit leaves the resource as it was before, instead of purging it.
    RevertsParked,
    /// Being told that a resource left a scope waits as long as its mutation is in flight.
    HoldsLeft,
    /// A row that was held back is forgotten when the device gets another incarnation.
    ForgetsHeld,
    /// A row that was held back is used whatever the version is.
    TakesOldHeld,
    /// A conflict's row is used even if no scope of it is held.
    TakesUnheldConflict,
    /// Rows become visible as they come.
    PublishesEarly,
    /// Versions of another epoch are compared with those of this one.
    IgnoresEpochs,
    /// A row gives a resource no membership while an edit waits there.
    EntersNotWhileEditsWait,
    /// A resource that is given up keeps its memberships.
    KeepsMembershipsOfGone,
    /// A row of what was sent from here and given up makes it a member again.
    EntersGivenUp,
    /// A group that is too large for the server is sent as one again and again.
    RepeatsTooLarge,
    /// A device that is locked goes on.
    WorksLocked,
    /// What is in no scope goes when the server has said so.
    ForgetsKept,
    /// What is on this device alone is overwritten by another resource of its id.
    OverwritesKept,
    /// Losing edits are not kept for the server's archive.
    ForgetsLosing,
    /// Outcomes in a page are settled behind its rows.
    SettlesLate,
    /// Outcomes in a page are used without looking whether they are of the lines that were sent.
    TrustsOutcomes,
    /// Members of an atomic group are sent as if they were none.
    BreaksGroups,
    /// A row whose body is told against one that is not here is left out, instead of being asked for whole.
    SkipsUnreadableRows,
}

impl Defect {
    /// All of them.
    #[cfg(feature = "defects")]
    pub const ALL: &[Self] = &[
        Self::AppliesOverInFlight,
        Self::KeepsLostScopes,
        Self::KeepsSettledInLostScope,
        Self::DoesNotSweep,
        Self::TakesUnheldRows,
        Self::IgnoresGenerations,
        Self::TakesStaleAnswers,
        Self::KeepsIncarnation,
        Self::RevertsParked,
        Self::HoldsLeft,
        Self::ForgetsHeld,
        Self::TakesOldHeld,
        Self::TakesUnheldConflict,
        Self::PublishesEarly,
        Self::IgnoresEpochs,
        Self::EntersNotWhileEditsWait,
        Self::KeepsMembershipsOfGone,
        Self::EntersGivenUp,
        Self::RepeatsTooLarge,
        Self::WorksLocked,
        Self::ForgetsKept,
        Self::OverwritesKept,
        Self::ForgetsLosing,
        Self::SettlesLate,
        Self::TrustsOutcomes,
        Self::BreaksGroups,
        Self::SkipsUnreadableRows,
    ];

    /// Switches one on for this thread, or all off.
    #[cfg(feature = "defects")]
    pub fn set(defect: Option<Self>) {
        ON.set(defect);
    }

    /// Whether it is on.
    #[cfg(feature = "defects")]
    pub(crate) fn is_on(self) -> bool {
        ON.get() == Some(self)
    }

    /// Whether it is on: never.
    #[cfg(not(feature = "defects"))]
    pub(crate) const fn is_on(self) -> bool {
        false
    }
}

#[cfg(feature = "defects")]
thread_local! {
    static ON: std::cell::Cell<Option<Defect>> = const { std::cell::Cell::new(None) };
}
