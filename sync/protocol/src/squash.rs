//! Squashing: edits that have not left the device become one.
//!
//! Promise: what is sent has the effect of all the edits in their order, and nothing that may have been sent is
//! touched.

use crate::mutation::Operation;

/// The youngest mutation of the resource that waits in the outbox.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Last {
    /// There is none.
    Nothing,
    /// It waits, and no byte of it has left.
    Pending(Operation),
    /// It is frozen: it may have arrived.
    Inflight,
    /// It waits as a part of a group of another transaction.
    Grouped,
}

/// What becomes of the outbox with a new edit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Squash {
    /// The edit waits in a mutation of its own, on the version that the resource descends from.
    Append,
    /// As [`Squash::Append`], on the result of the mutation before it.
    AppendBehind,
    /// The waiting mutation takes the new content and this operation.
    Replace(Operation),
    /// The waiting mutation goes, and the resource is as the server has it.
    Restore,
    /// The waiting mutation goes, and with it a resource that the server never saw.
    Vanish,
}

/// Decides what becomes of the outbox when `edit` is saved.
///
/// `is_base` tells that the content after the edit is that of the server's version which the resource descends from.
/// Where a policy wants every save as a version, it is not asked: then each edit is appended.
///
/// ```
/// use keepwell_protocol::{Last, Operation, Squash, squash};
/// assert_eq!(squash(Last::Pending(Operation::Create), Operation::Delete, false), Squash::Vanish);
/// assert_eq!(squash(Last::Inflight, Operation::Delete, false), Squash::AppendBehind);
/// ```
#[must_use]
pub fn squash(last: Last, edit: Operation, is_base: bool) -> Squash {
    use Operation::{Create, Delete, Recreate, Update};
    match (last, edit) {
        (Last::Nothing, _) => Squash::Append,
        (Last::Inflight | Last::Grouped, _) => Squash::AppendBehind,
        (Last::Pending(Create), Delete) => Squash::Vanish,
        // The tombstone stays what the server has.
        (Last::Pending(Recreate), Delete) => Squash::Restore,
        (Last::Pending(before @ (Create | Recreate)), Update | Create | Recreate) => Squash::Replace(before),
        (Last::Pending(Update | Delete), Delete) => Squash::Replace(Delete),
        // Deleted and made again before the server heard of either: it was edited.
        (Last::Pending(Update | Delete), _) if is_base => Squash::Restore,
        (Last::Pending(Update | Delete), _) => Squash::Replace(Update),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Operation::{Create, Delete, Recreate, Update};

    /// A resource as a server sees it: alive with a content, a tombstone, or never there.
    #[derive(Clone, Copy, PartialEq, Debug)]
    enum Seen {
        Never,
        Live(u32),
        Tombstone,
    }

    fn apply(seen: Seen, operation: Operation, content: u32) -> Option<Seen> {
        match (seen, operation) {
            (Seen::Never, Create) | (Seen::Live(_), Update) | (Seen::Tombstone, Recreate) => {
                Some(Seen::Live(content))
            }
            (Seen::Live(_), Delete) => Some(Seen::Tombstone),
            _ => None,
        }
    }

    /// What a person may do next: on a tombstone of the server's a recreate, on one of one's own a create.
    fn next_edits(seen: Seen) -> &'static [Operation] {
        match seen {
            Seen::Never => &[Create],
            Seen::Live(_) => &[Update, Delete],
            Seen::Tombstone => &[Recreate],
        }
    }

    #[test]
    fn squashed_edits_have_the_effect_of_all_of_them() {
        for start in [Seen::Never, Seen::Live(0), Seen::Tombstone] {
            explore(start, start, None, 0);
        }
    }

    fn explore(start: Seen, local: Seen, pending: Option<(Operation, u32)>, depth: u32) {
        let sent = pending.map_or(Some(start), |(operation, content)| apply(start, operation, content));
        // A resource that vanished leaves nothing; one that the server knows is what was sent.
        let expected = if start == Seen::Never && local == Seen::Tombstone { Seen::Never } else { local };
        assert_eq!(sent, Some(expected), "{start:?} {pending:?}");
        if depth == 5 {
            return;
        }
        for &edit in next_edits(expected) {
            for content in [0, depth + 1] {
                let after = apply(expected, edit, content).unwrap();
                let last = pending.map_or(Last::Nothing, |(operation, _)| Last::Pending(operation));
                let pending = match squash(last, edit, after == start) {
                    Squash::Append => Some((edit, content)),
                    Squash::Replace(operation) => Some((operation, content)),
                    Squash::Restore | Squash::Vanish => None,
                    Squash::AppendBehind => unreachable!("nothing is in flight"),
                };
                explore(start, after, pending, depth + 1);
            }
        }
    }

    #[test]
    fn what_may_have_left_is_never_touched() {
        for edit in [Create, Update, Delete, Recreate] {
            for last in [Last::Inflight, Last::Grouped] {
                assert_eq!(squash(last, edit, true), Squash::AppendBehind);
            }
        }
    }
}
