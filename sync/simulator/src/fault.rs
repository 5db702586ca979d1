//! What may go wrong, and how often.

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident $word:literal;)*) => {
        /// A kind of fault, or of trouble that the world makes.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Fault { $($(#[$doc])* $name,)* }

        impl Fault {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// As a word for the command line.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => $word),* }
            }

            /// Whether it happens to real stores only.
            #[must_use]
            pub const fn needs_stores(self) -> bool {
                matches!(self, Self::PowerLoss | Self::ServerPowerLoss)
            }

            /// Whether it is not played over real stores: they take nothing that is invalid, and notice only when an edit would
            /// be sent that it was taken back.
            #[must_use]
            pub const fn needs_memory(self) -> bool {
                matches!(self, Self::Invalid | Self::Undo)
            }

            /// Whether it happens beside the steps of a run, which without it are as they were before there was such a fault.
            #[must_use]
            pub const fn is_seldom(self) -> bool {
                matches!(self, Self::HalfEdit | Self::Undo | Self::Rollback | Self::StrayRow)
            }

            /// The fault with this word.
            #[must_use]
            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|fault| fault.word() == word)
            }
        }
    };
}

faults! {
    /// A request does not arrive.
    LostRequest "lost-request";
    /// A reply does not arrive.
    LostReply "lost-reply";
    /// A request arrives twice.
    Duplicate "duplicate";
    /// A message arrives behind later ones.
    Delay "delay";
    /// A reply is cut off behind some lines.
    Cut "cut";
    /// A device's process dies, before or behind a commit, or between two effects.
    Crash "crash";
    /// A device's database is replaced by an older copy.
    Restore "restore";
    /// A device's database is copied to another device, which goes on as the same one.
    Clone "clone";
    /// The server is restored from a backup: it loses its end, and has another epoch.
    ServerRestore "server-restore";
    /// The server has another epoch and has lost nothing.
    NewEpoch "new-epoch";
    /// Access is given or taken.
    Access "access";
    /// A resource goes to another patient.
    Move "move";
    /// Tombstones are collected.
    Collect "collect";
    /// A device's time of day jumps.
    Clock "clock";
    /// A device is wiped.
    Wipe "wipe";
    /// Another system edits or deletes at the server.
    ServerEdit "server-edit";
    /// Two resources are edited as one.
    Group "group";
    /// An edit breaks the rules of its type.
    Invalid "invalid";
    /// An edit goes to a patient whom the device does not hold.
    Foreign "foreign";
    /// Another system edits one of two resources that were saved as one.
    HalfEdit "half-edit";
    /// A person puts back what was there before an edit that waits.
    Undo "undo";
    /// A device's database goes back to an earlier state, and nothing says so.
    Rollback "rollback";
    /// A page tells of a scope that was not asked for.
    StrayRow "stray-row";
    /// A device with a real store dies in the middle of a transaction: the power fails, or it is killed.
    PowerLoss "power-loss";
    /// A server with a real store does.
    ServerPowerLoss "server-power-loss";
}
