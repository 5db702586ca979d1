//! Counters of the protocol, each a type of its own so that none is taken for another.
//!
//! Invariant: every number is at most 2^53 - 1, so that any JSON parser reads it exactly.

use serde::{Deserialize, Serialize};

const MAX: u64 = (1 << 53) - 1;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
        #[serde(into = "u64", try_from = "u64")]
        pub struct $name(u64);

        impl $name {
            /// Before the first.
            pub const ZERO: Self = Self(0);

            /// This number; none above 2^53 - 1.
            #[must_use]
            pub const fn new(number: u64) -> Option<Self> {
                if number <= MAX { Some(Self(number)) } else { None }
            }

            /// The number.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The one after it; none after the last.
            #[must_use]
            pub const fn next(self) -> Option<Self> {
                Self::new(self.0 + 1)
            }
        }

        impl From<$name> for u64 {
            fn from(number: $name) -> Self {
                number.0
            }
        }

        impl TryFrom<u64> for $name {
            type Error = &'static str;

            fn try_from(number: u64) -> Result<Self, Self::Error> {
                Self::new(number).ok_or("a number over 2^53 - 1")
            }
        }
    };
}

number! {
    /// A place in a tenant's history: dense, in the order of commits, from 1.
    Position
}
number! {
    /// A version of a resource, as in FHIR's `meta.versionId`; 0 is "never on the server".
    Version
}
number! {
    /// A mutation of one incarnation of one device, dense, from 1.
    Sequence
}
number! {
    /// How often access to a scope has been given; a higher one voids what was fetched under a lower one.
    Generation
}
