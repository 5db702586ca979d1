//! Mistakes that a simulated server makes on purpose.

/// A rule that is broken on purpose, to show that a simulation notices. Only a
/// [`MemoryBackend`](crate::MemoryBackend) can be given one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum Defect {
    /// The base of a mutation is not compared with the current version.
    NoVersionCheck,
    /// A cursor from before the floor is taken.
    NoFloorCheck,
    /// A scope that is fetched from the start comes without its tombstones.
    HydrationSkipsTombstones,
    /// The heads of deleted resources go with their tombstones.
    HeadsCollected,
    /// A scope that is given again has its old generation.
    NoGrantGeneration,
    /// A page does not tell what became of mutations, nor how far they were decided.
    OutcomesNotInThePage,
    /// A mutation that met another version is told without that version.
    ConflictWithoutRow,
    /// A mutation that was parked is told without what its author may still read.
    ParkedWithoutRow,
    /// A mutation may name an attachment that is not here.
    NoBlobCheck,
    /// A mutation that comes again is decided again.
    NoDeduplication,
    /// The number of a mutation that was decided may come with other bytes.
    NoLineHash,
    /// Members of a group are decided one by one.
    NoGroups,
    /// Content of a mutation that was parked or rejected is thrown away.
    NoArchive,
    /// Writing asks for no access.
    NoAccessCheck,
    /// Current rows are given to those who may not read them.
    NoReadCheck,
    /// A resource that is moved to another scope stays in the old one.
    NoLeft,
    /// A page is cut within a position.
    TornPages,
    /// It is not written down how a version was joined.
    NoProvenance,
}

impl Defect {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::NoVersionCheck,
        Self::NoFloorCheck,
        Self::HydrationSkipsTombstones,
        Self::HeadsCollected,
        Self::NoGrantGeneration,
        Self::OutcomesNotInThePage,
        Self::ConflictWithoutRow,
        Self::ParkedWithoutRow,
        Self::NoBlobCheck,
        Self::NoDeduplication,
        Self::NoLineHash,
        Self::NoGroups,
        Self::NoArchive,
        Self::NoAccessCheck,
        Self::NoReadCheck,
        Self::NoLeft,
        Self::TornPages,
        Self::NoProvenance,
    ];
}
