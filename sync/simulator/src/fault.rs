//! What may go wrong, and how often.

use std::collections::BTreeSet;

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

            /// Whether it is not played over real stores: they take nothing that is invalid, notice only when an edit would
            /// be sent that it was taken back, and keep attachments in files.
            #[must_use]
            pub const fn needs_memory(self) -> bool {
                matches!(self, Self::Invalid | Self::Undo | Self::Attachment | Self::Damage)
            }

            /// In which generation of this world it came. Each has generators of its own: a run without later faults is the
            /// run that it was before there were such.
            #[must_use]
            pub const fn generation(self) -> u8 {
                match self {
                    Self::HalfEdit | Self::Undo | Self::Rollback | Self::StrayRow => 2,
                    Self::SmallLimits | Self::SmallPage | Self::Busy => 3,
                    Self::Partition | Self::Versions | Self::NewWord | Self::Lease => 3,
                    Self::DiskFull | Self::ServerDiskFull => 3,
                    Self::Attachment | Self::Damage => 3,
                    Self::NoScope => 4,
                    _ => 1,
                }
            }

            /// Those that came later than this generation.
            #[must_use]
            pub fn later_than(generation: u8) -> BTreeSet<Self> {
                Self::ALL.iter().copied().filter(|fault| fault.generation() > generation).collect()
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
    /// The server takes little at once, and perhaps does not say so.
    SmallLimits "small-limits";
    /// A page is short, by its bytes.
    SmallPage "small-page";
    /// The server has no time.
    Busy "busy";
    /// Content is in no scope: made so, or it loses the one that it is in.
    NoScope "no-scope";
    /// Links of devices are cut one by one, some one way only, and healed in another order.
    Partition "partition";
    /// The programs of the server and of the devices are updated to another version of the protocol, at different times.
    Versions "versions";
    /// A newer server says something that an older device does not know.
    NewWord "new-word";
    /// A device was not at the server for so long that it locks.
    Lease "lease";
    /// A resource is saved with an attachment, some of which go in several chunks.
    Attachment "attachment";
    /// A chunk of an attachment is damaged on its way.
    Damage "damage";
    /// A device's disk is full for a while: no file of a store grows, tables in memory take nothing new.
    DiskFull "disk-full";
    /// The server's disk is.
    ServerDiskFull "server-disk-full";
    /// A device with a real store dies in the middle of a transaction: the power fails, or it is killed.
    PowerLoss "power-loss";
    /// A server with a real store does.
    ServerPowerLoss "server-power-loss";
}
