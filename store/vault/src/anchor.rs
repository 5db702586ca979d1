//! What the device remembers of the store outside of its directory.
//!
//! An [`Anchor`] is the head of the change chain, kept in the keychain: a database that is behind it has been
//! put back to an older state. A rollback that is shorter than the time between two updates is not seen.

use crate::crypto::{self, Label, MAC_BYTES};
use crate::error::{Error, Part};
use crate::key::Key;
use crate::store_id::StoreId;

const BODY_BYTES: usize = 8 + 8 + 32;

/// A point in the life of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// Rises with each enrolment and recovery; given by the server, 0 without one.
    pub epoch: u64,
    /// Sequence number of the last change.
    pub sequence: u64,
    /// Hash over all changes up to that one.
    pub head: [u8; 32],
}

impl Anchor {
    /// Whether a database that stands at `found` can have been at `self` before.
    ///
    /// A later head cannot be checked here; the store checks that its chain leads from one to the other.
    ///
    /// # Errors
    /// [`Error::RollbackSuspected`] if `found` is older, or another history of the same length.
    ///
    /// ```
    /// use keepwell_vault::Anchor;
    /// let seen = Anchor { epoch: 1, sequence: 10, head: [1; 32] };
    /// assert!(seen.admits(&Anchor { sequence: 11, ..seen }).is_ok());
    /// assert!(seen.admits(&Anchor { sequence: 9, ..seen }).is_err());
    /// assert!(seen.admits(&Anchor { head: [2; 32], ..seen }).is_err());
    /// ```
    pub fn admits(&self, found: &Self) -> Result<(), Error> {
        let forked = self.position() == found.position() && self.head != found.head;
        if found.position() < self.position() || forked { Err(Error::RollbackSuspected) } else { Ok(()) }
    }

    const fn position(&self) -> (u64, u64) {
        (self.epoch, self.sequence)
    }

    pub(crate) fn encode(&self, store: StoreId, key: &Key) -> [u8; BODY_BYTES + MAC_BYTES] {
        let mut bytes = [0; BODY_BYTES + MAC_BYTES];
        bytes[..8].copy_from_slice(&self.epoch.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[16..BODY_BYTES].copy_from_slice(&self.head);
        let tag = crypto::mac(Label::Anchor, store, key.expose(), &bytes[..BODY_BYTES]);
        bytes[BODY_BYTES..].copy_from_slice(&tag);
        bytes
    }

    pub(crate) fn decode(record: &[u8], store: StoreId, key: &Key) -> Result<Self, Error> {
        let read = || {
            let (body, tag) = record.split_at_checked(BODY_BYTES)?;
            let (epoch, rest) = body.split_first_chunk::<8>()?;
            let (sequence, head) = rest.split_first_chunk::<8>()?;
            crypto::mac_is_valid(Label::Anchor, store, key.expose(), body, tag).then_some(Self {
                epoch: u64::from_be_bytes(*epoch),
                sequence: u64::from_be_bytes(*sequence),
                head: head.try_into().ok()?,
            })
        };
        read().ok_or(Error::Corrupt(Part::Anchor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_altered_anchor_is_damage() {
        let store = StoreId::from_bytes([1; 16]);
        let key = Key::generate();
        let anchor = Anchor { epoch: 3, sequence: 77, head: [5; 32] };
        let record = anchor.encode(store, &key);
        assert_eq!(Anchor::decode(&record, store, &key).unwrap(), anchor);
        for bit in 0..record.len() * 8 {
            let mut altered = record;
            altered[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(Anchor::decode(&altered, store, &key), Err(Error::Corrupt(Part::Anchor))));
        }
        assert!(Anchor::decode(&record[..10], store, &key).is_err());
        assert!(Anchor::decode(&record, StoreId::from_bytes([2; 16]), &key).is_err());
    }

    #[test]
    fn an_older_epoch_is_a_rollback_whatever_its_sequence() {
        let seen = Anchor { epoch: 2, sequence: 1, head: [0; 32] };
        assert!(seen.admits(&Anchor { epoch: 1, sequence: 100, head: [0; 32] }).is_err());
        assert!(seen.admits(&Anchor { epoch: 3, sequence: 0, head: [9; 32] }).is_ok());
        assert!(seen.admits(&seen).is_ok());
    }
}
