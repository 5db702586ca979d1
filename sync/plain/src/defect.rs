//! Known defects of sync with plain servers, to prove that the simulation finds them.
//!
//! Promise: without the feature `defects`, which only tests switch on, none is ever on.

/// A rule that is left out.
#[cfg_attr(not(feature = "defects"), expect(unreachable_pub, reason = "the tests alone name it"))]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Defect {
    /// `gt` instead of `ge`, without an overlap: what has the time of the last row is passed over.
    AsksForLater,
    /// No overlap: what commits late with an old time is never seen but by reconciliations, which are left out too.
    NoOverlap,
    /// A write without an answer is sent again without reading back.
    SendsAgain,
    /// A resource that cannot be read is deleted on the server too.
    DeletesUnavailable,
    /// What is missing once from one list is taken for gone.
    HidesAtOnce,
    /// Writes name no version, and none is compared.
    WritesBlindly,
    /// The server's state takes the place of an edit that waits.
    TakesTheirs,
    /// A row that is older than what is known is taken.
    TakesStaleRows,
}

impl Defect {
    /// All of them.
    #[cfg(feature = "defects")]
    pub const ALL: &[Self] = &[
        Self::AsksForLater,
        Self::NoOverlap,
        Self::SendsAgain,
        Self::DeletesUnavailable,
        Self::HidesAtOnce,
        Self::WritesBlindly,
        Self::TakesTheirs,
        Self::TakesStaleRows,
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
