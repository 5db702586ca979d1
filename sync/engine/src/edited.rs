//! What a save on the device does to the outbox.
//!
//! The outbox holds no edits: a resource waits if it has a base, and what is sent follows from base and content. So a
//! save only has to copy the base when there is none, unite groups that now share a resource, and forget the base
//! when the content is the base again. Content that was edited twice is sent once: that is all of squashing.
//!
//! Call [`edited`] in the transaction of each change that a person or a program makes, and of no other.

use std::collections::BTreeSet;

use keepwell_fhir::ResourceType;
use keepwell_protocol::{Body, Operation, ResourceKey, Version};

use crate::replica::{Base, Replica};

/// One change of one resource.
#[derive(Clone, Copy, Debug)]
pub struct Edited<'a> {
    /// Which resource.
    pub key: &'a ResourceKey,
    /// Its content before; none if it was deleted or not there.
    pub before: Option<&'a Body>,
    /// Its content after; none if it is deleted.
    pub after: Option<&'a Body>,
    /// Rises with every change of this store, from 1.
    pub order: u64,
    /// Changes of one transaction of several resources have the same number, and no others: the order of one of
    /// its changes serves.
    pub transaction: Option<u64>,
}

/// Notes a change, in its transaction.
///
/// `local` are the types that never leave the device.
///
/// # Errors
/// Those of the replica.
pub fn edited<R: Replica>(
    replica: &mut R,
    change: &Edited<'_>,
    local: &BTreeSet<ResourceType>,
) -> Result<(), R::Error> {
    if local.contains(&change.key.kind) {
        return Ok(());
    }
    let Some(mut base) = replica.base(change.key)? else {
        if change.before == change.after {
            return Ok(());
        }
        // What the server never had is made by its edit, whatever was here before.
        let is_known = replica.known(change.key)?.is_some();
        let base = Base {
            content: change.before.filter(|_| is_known).cloned(),
            order: change.order,
            group: change.transaction,
            merge: None,
        };
        return replica.set_base(change.key, Some(&base));
    };
    // What may have left the device settles on its own; and an own resource that goes again is for the engine to purge.
    let is_settled = base.content.is_some() && base.content.as_ref() == change.after;
    if is_settled && replica.mutation_of(change.key)?.is_none() {
        return replica.set_base(change.key, None);
    }
    match (base.group, change.transaction) {
        (Some(old), Some(new)) if old != new => replica.unite(old, new),
        (None, Some(new)) => {
            base.group = Some(new);
            replica.set_base(change.key, Some(&base))
        }
        _ => Ok(()),
    }
}

/// What is to be sent for a dirty resource without a mutation in flight.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Waiting {
    /// This, on that version.
    Send(Operation, Version),
    /// Nothing: it is as the server has it.
    Nothing,
    /// Nothing: it was made and deleted here, and the server never saw it.
    Vanished,
}

/// What is to be sent: the squash table of the protocol, from its ends.
///
/// ```
/// use keepwell_engine::{Waiting, waiting};
/// use keepwell_protocol::{Body, Operation, Version};
/// let body = Body::new(r#"{"resourceType":"Patient","id":"1"}"#)?;
/// let zero = Version::ZERO;
/// assert_eq!(waiting(None, zero, Some(&body)), Waiting::Send(Operation::Create, zero));
/// assert_eq!(waiting(None, zero, None), Waiting::Vanished);
/// # Ok::<(), keepwell_protocol::Error>(())
/// ```
#[must_use]
pub fn waiting(base: Option<&Body>, version: Version, content: Option<&Body>) -> Waiting {
    match (base, content) {
        (None, Some(_)) if version == Version::ZERO => Waiting::Send(Operation::Create, version),
        (None, Some(_)) => Waiting::Send(Operation::Recreate, version),
        (None, None) if version == Version::ZERO => Waiting::Vanished,
        (None, None) => Waiting::Nothing,
        (Some(_), None) => Waiting::Send(Operation::Delete, version),
        (Some(base), Some(content)) if base == content => Waiting::Nothing,
        (Some(_), Some(_)) => Waiting::Send(Operation::Update, version),
    }
}
