//! Mistakes that show only when a process with a real store dies.

/// A mistake that a simulated process makes on purpose with its store, to show that a simulation notices.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum StoreDefect {
    /// The server answers before its commit.
    AnswersEarly,
    /// A person is told that a save is there before its commit.
    SavesEarly,
    /// A commit does not sync the write-ahead log.
    LosesSyncs,
}

impl StoreDefect {
    /// All of them.
    pub const ALL: &[Self] = &[Self::AnswersEarly, Self::SavesEarly, Self::LosesSyncs];
}
