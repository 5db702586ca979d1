//! What an index is asked, so that it answers a query.
//!
//! A [`Plan`] is a tree over sets of resources. Most leaves are exact; what an index cannot decide is a
//! [`Plan::Candidates`], whose resources still have to be checked with [`crate::matches()`]. To evaluate a plan, keep two
//! sets for each node: those that surely belong to it and those that may. An exact leaf has the same in both;
//! candidates are never sure; `Not` swaps the two sets and takes their complements; `And` and `Or` go set by set. What may
//! belong to the root but does not surely do so is checked. If [`Plan::is_exact`], nothing has to be.

mod build;
mod contained;
mod date;
mod label;
mod scan;
mod text;

pub use build::{MAX_TERMS, plan, sort_terms};
pub use scan::{Comparison, Test, UnitScan};

use keepwell_fhir::ResourceType;

use crate::parameter::Parameter;
use crate::term::successor;

/// A set of resources, as an index can find it.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Plan {
    /// All that there are.
    All,
    /// None.
    None,
    /// Those with this term.
    Term(Vec<u8>),
    /// Those with a term that begins so.
    Prefix(Vec<u8>),
    /// Those with a term from `from` to before `to`.
    Range {
        /// The first term, which may not be there.
        from: Vec<u8>,
        /// The term behind the last one.
        to: Vec<u8>,
    },
    /// Those with a term from `from` to before `to` that passes a test.
    Scan {
        /// The first term, which may not be there.
        from: Vec<u8>,
        /// The term behind the last one.
        to: Vec<u8>,
        /// Which of the terms count.
        test: Test,
    },
    /// Those with a quantity, unit by unit.
    Units(UnitScan),
    /// Those that were last changed from one tick to before another, in ticks of 100 ns since 1970.
    LastUpdated {
        /// The first tick.
        from: i64,
        /// The tick behind the last one.
        to: i64,
    },
    /// Those in all of these sets.
    And(Vec<Self>),
    /// Those in one of these sets.
    Or(Vec<Self>),
    /// Those not in this set.
    Not(Box<Self>),
    /// Those that refer by a parameter to a resource of a type and a set.
    ///
    /// For each resource of the set: [`crate::Term::reference`] with the number of the parameter, and if it has a
    /// `url`, what begins with [`crate::Term::url`].
    Chain {
        /// The reference parameter.
        parameter: Parameter,
        /// The type that is referred to.
        target: ResourceType,
        /// The set, among resources of the type.
        plan: Box<Self>,
    },
    /// Those that a resource of a type and a set refers to by a parameter.
    ///
    /// For each resource of the set, the resources its terms of the parameter name: see [`crate::read_reference`].
    Has {
        /// The type that refers.
        source: ResourceType,
        /// Its reference parameter.
        parameter: Parameter,
        /// The set, among resources of the type.
        plan: Box<Self>,
    },
    /// Some of these: which ones only the resources themselves tell.
    Candidates(Box<Self>),
}

impl Plan {
    /// Whether the plan finds exactly the resources that were asked for.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        match self {
            Self::Candidates(_) => false,
            Self::And(plans) | Self::Or(plans) => plans.iter().all(Self::is_exact),
            Self::Not(plan) | Self::Chain { plan, .. } | Self::Has { plan, .. } => plan.is_exact(),
            _ => true,
        }
    }

    /// Both.
    #[must_use]
    pub fn and(plans: impl IntoIterator<Item = Self>) -> Self {
        let mut parts = Vec::new();
        for plan in plans {
            match plan {
                Self::All => {}
                Self::None => return Self::None,
                Self::And(more) => parts.extend(more),
                other => parts.push(other),
            }
        }
        match parts.len() {
            0 => Self::All,
            1 => parts.swap_remove(0),
            _ => Self::And(parts),
        }
    }

    /// Either.
    #[must_use]
    pub fn or(plans: impl IntoIterator<Item = Self>) -> Self {
        let mut parts = Vec::new();
        for plan in plans {
            match plan {
                Self::None => {}
                Self::All => return Self::All,
                Self::Or(more) => parts.extend(more),
                other => parts.push(other),
            }
        }
        match parts.len() {
            0 => Self::None,
            1 => parts.swap_remove(0),
            _ => Self::Or(parts),
        }
    }

    /// All others.
    #[must_use]
    pub fn complement(plan: Self) -> Self {
        match plan {
            Self::All => Self::None,
            Self::None => Self::All,
            Self::Not(plan) => *plan,
            other => Self::Not(Box::new(other)),
        }
    }

    /// Only some of these.
    #[must_use]
    pub fn candidates(plan: Self) -> Self {
        match plan {
            Self::None => Self::None,
            plan => Self::Candidates(Box::new(plan)),
        }
    }
}

/// All terms that begin so and pass a test.
fn scan(head: Vec<u8>, test: Test) -> Plan {
    let to = successor(&head).unwrap_or_default();
    Plan::Scan { from: head, to, test }
}
