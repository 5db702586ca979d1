//! Frozen mutations: bytes that no longer change, because they may have left the device.
//!
//! A mutation gets its sequence number and its bytes at the same moment, and both are on disk with a full sync before
//! the first byte is sent. It is sent again with the very same bytes, so a server that remembers their hash can tell
//! a repetition from a number that was used twice.
//!
//! Invariant: the bytes are one line and parse to the mutation.

use std::fmt;

use crate::error::{Error, Limit, Result};
use crate::hash::Hash;
use crate::hex64::Incarnation;
use crate::id::Id;
use crate::limits::LINE_BYTES_MAX;
use crate::mutation::Mutation;
use crate::number::Sequence;

/// Names a mutation for ever: at most one version of a resource is made of it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MutationId {
    /// The device, as its certificate names it.
    pub device: Id,
    /// The life of its database.
    pub incarnation: Incarnation,
    /// The number therein.
    pub sequence: Sequence,
}

/// `<device>-<incarnation>-<sequence>`, as it stands in identifiers.
impl fmt::Display for MutationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.device, self.incarnation, self.sequence.get())
    }
}

/// A mutation with its bytes.
///
/// ```
/// use keepwell_protocol::{Error, Frozen};
/// let line = br#"{"seq":1,"op":"delete","t":"Patient","i":"7","base":3,"later":true}"#;
/// let frozen = Frozen::thaw(line)?;
/// assert_eq!(frozen.line(), line);
/// assert_eq!(frozen.mutation().base.get(), 3);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Frozen {
    mutation: Mutation,
    line: Box<[u8]>,
    hash: Hash,
}

impl Frozen {
    /// Fixes the bytes of a mutation.
    ///
    /// # Errors
    /// Those of [`Mutation::check`]; [`Error::TooLarge`] when it does not fit a line: then it can never be sent.
    pub fn freeze(mutation: Mutation) -> Result<Self> {
        mutation.check()?;
        let mut line = Vec::new();
        mutation.write(&mut line);
        Self::with_line(mutation, line.into())
    }

    /// Reads bytes that were frozen before, here or by another program.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn thaw(line: &[u8]) -> Result<Self> {
        Self::with_line(Mutation::read(line)?, line.into())
    }

    fn with_line(mutation: Mutation, line: Box<[u8]>) -> Result<Self> {
        if line.len() > LINE_BYTES_MAX {
            return Err(Error::TooLarge(Limit::Line));
        }
        if line.contains(&b'\n') {
            return Err(Error::MALFORMED);
        }
        let hash = Hash::of(&line);
        Ok(Self { mutation, line, hash })
    }

    /// What it says.
    #[must_use]
    pub fn mutation(&self) -> &Mutation {
        &self.mutation
    }

    /// What it says, to keep.
    #[must_use]
    pub fn into_mutation(self) -> Mutation {
        self.mutation
    }

    /// Its bytes, without a line feed.
    #[must_use]
    pub fn line(&self) -> &[u8] {
        &self.line
    }

    /// The hash of its bytes: a server keeps it with the outcome.
    #[must_use]
    pub fn hash(&self) -> Hash {
        self.hash
    }
}

impl fmt::Debug for Frozen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frozen({:?}, {} bytes)", self.mutation.sequence, self.line.len())
    }
}
