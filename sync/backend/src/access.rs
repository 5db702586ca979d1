//! Access: which scopes a user holds, in which generation, and why.

use keepwell_protocol::{Generation, Id, Position, Scope};

/// What a user may do in a scope.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Access {
    /// Read.
    Read,
    /// Read and write.
    Write,
}

/// A scope that a user holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Held {
    /// The scope.
    pub scope: Scope,
    /// How often access was given.
    pub generation: Generation,
    /// What the user may do there.
    pub access: Access,
}

/// What is new since a position and a change of grants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct News {
    /// The newest position.
    pub clock: Position,
    /// Scopes with rows since; none when that is more than [`NEWS_POSITIONS_MAX`] ago.
    pub scopes: Option<Vec<Scope>>,
    /// How often grants have changed in all.
    pub grants: u64,
    /// Users whose grants have changed since, in order.
    pub users: Vec<Id>,
}

/// Positions that [`News`] looks back.
pub const NEWS_POSITIONS_MAX: u64 = 1_000;
