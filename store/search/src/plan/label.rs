//! Plans for people: one line for each node.

use crate::parameter::ParameterNumber;
use crate::parameters::Parameters;
use crate::term::{Facet, Term};

use super::Plan;

impl Plan {
    /// The nodes directly below this one.
    #[must_use]
    pub fn parts(&self) -> &[Self] {
        match self {
            Self::And(plans) | Self::Or(plans) => plans,
            Self::Not(plan) | Self::Chain { plan, .. } | Self::Has { plan, .. } | Self::Candidates(plan) => {
                std::slice::from_ref(plan)
            }
            _ => &[],
        }
    }

    /// What this node does, without the nodes below it and without any value.
    ///
    /// ```
    /// use keepwell_fhir::ResourceType;
    /// use keepwell_search::{Parameters, Plan, Term};
    /// let parameters = Parameters::r4();
    /// let patient = ResourceType::parse("Patient").expect("Patient is an R4 type");
    /// let gender = parameters.get(patient, "gender").expect("patients have a gender");
    /// let plan = Plan::complement(Plan::Term(Term::present(gender.number).into_bytes()));
    /// assert_eq!(plan.label(&parameters), "not");
    /// assert_eq!(plan.parts()[0].label(&parameters), "term of gender (present)");
    /// ```
    #[must_use]
    pub fn label(&self, parameters: &Parameters) -> String {
        let of = |term: &[u8]| subject(term, parameters);
        match self {
            Self::All => "all".to_owned(),
            Self::None => "none".to_owned(),
            Self::Term(term) => format!("term of {}", of(term)),
            Self::Prefix(term) => format!("terms by their beginning, of {}", of(term)),
            Self::Range { from, .. } => format!("range of {}", of(from)),
            Self::Scan { from, .. } => format!("scan of {}", of(from)),
            Self::Units(units) => format!("units of {}", of(units.head())),
            Self::LastUpdated { .. } => "range of _lastUpdated".to_owned(),
            Self::And(_) => "and".to_owned(),
            Self::Or(_) => "or".to_owned(),
            Self::Not(_) => "not".to_owned(),
            Self::Chain { parameter, target, .. } => {
                format!("{} refers to {}", parameter.code, target.name())
            }
            Self::Has { source, parameter, .. } => {
                format!("referred to by {} of {}", parameter.code, source.name())
            }
            Self::Candidates(_) => "candidates, each of which is checked".to_owned(),
        }
    }
}

/// The parameter and the facet of a term.
fn subject(term: &[u8], parameters: &Parameters) -> String {
    if let Some(inner) = term.strip_prefix(Term::contained(&[]).bytes()) {
        return format!("{} of contained resources", subject(inner, parameters));
    }
    let code = match Term::parameter(term) {
        ParameterNumber::TYPE => "_type",
        number => parameters.number(number).map_or("a compartment", |found| &found.code),
    };
    let facet = term.get(2).and_then(|&facet| Facet::ALL.into_iter().find(|other| *other as u8 == facet));
    let facet = facet.map_or("unknown", Facet::name);
    format!("{code} ({facet})")
}
