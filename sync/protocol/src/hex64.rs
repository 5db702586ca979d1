//! Random names of 64 bits, written as 16 lower-case hexadecimal digits.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;
use crate::text::as_text;

macro_rules! hex64 {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            /// From 64 random bits, which the caller draws.
            #[must_use]
            pub const fn new(bits: u64) -> Self {
                Self(bits)
            }

            /// The bits.
            #[must_use]
            pub const fn bits(self) -> u64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:016x}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                let digits = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
                if text.len() != 16 || !digits {
                    return Err(Error::MALFORMED);
                }
                u64::from_str_radix(text, 16).map(Self).map_err(|_| Error::MALFORMED)
            }
        }

        as_text!($name);
    };
}

hex64! {
    /// A server's history of a tenant. Drawn anew whenever that history may have run backwards: after a restore from
    /// a backup, after an import. A cursor of another epoch is void.
    Epoch
}
hex64! {
    /// A life of a device's database. Drawn when the database is made or found to be restored or cloned, so that no
    /// sequence number is ever used for two mutations.
    Incarnation
}
hex64! {
    /// One pull, so that its answer is not taken for that of another.
    RequestId
}
