//! Plans for contained resources, whose terms are among those of what contains them.
//!
//! The terms do not say which of several contained resources has them, so such a plan finds candidates.

use keepwell_fhir::ResourceType;

use crate::parameter::ParameterNumber;
use crate::term::{Facet, HEAD_BYTES, Term};

use super::Plan;

/// What contains a resource of one of these types, of any if there are none, that the plan finds.
pub(super) fn containing(types: &[ResourceType], plan: &Plan) -> Plan {
    let of_types = if types.is_empty() {
        let head = Term::head(ParameterNumber::TYPE, Facet::Reference);
        Plan::Prefix(nested(head.bytes()))
    } else {
        Plan::or(types.iter().map(|&kind| Plan::Term(nested(Term::of_type(kind).bytes()))))
    };
    Plan::candidates(Plan::and([of_types, around(plan)]))
}

/// At least all that contains what a plan finds.
fn around(plan: &Plan) -> Plan {
    // Words are not told apart by what contains them.
    let is_word = |term: &[u8]| term.get(HEAD_BYTES - 1) == Some(&(Facet::Word as u8));
    match plan {
        Plan::Term(term) | Plan::Prefix(term) if is_word(term) => Plan::All,
        Plan::Term(term) => Plan::Term(nested(term)),
        Plan::Prefix(prefix) => Plan::Prefix(nested(prefix)),
        Plan::Range { from, to } | Plan::Scan { from, to, .. } => {
            Plan::Range { from: nested(from), to: nested(to) }
        }
        Plan::Units(units) => Plan::Prefix(nested(units.head())),
        Plan::And(plans) => Plan::and(plans.iter().map(around)),
        Plan::Or(plans) => Plan::or(plans.iter().map(around)),
        Plan::Candidates(plan) => around(plan),
        Plan::None => Plan::None,
        Plan::All | Plan::LastUpdated { .. } | Plan::Not(_) | Plan::Chain { .. } | Plan::Has { .. } => {
            Plan::All
        }
    }
}

fn nested(term: &[u8]) -> Vec<u8> {
    Term::contained(term).into_bytes()
}
