//! The compiler of search expressions.
//!
//! It takes the FHIRPath of SearchParameters apart: paths of plain steps become ways through the definitions, which
//! the walk follows by itself; what is left (conditions, indexes, extensions by their URL) becomes a [`Program`] over
//! the few elements that such a way ends at. All 1,372 expressions of R4 compile, and with them what custom parameters
//! may use: `extension(url)`, `exists`, `empty`, `and`, `or`, `not`, `=`, `!=`, indexers, `first`, `last`, `ofType`,
//! `as`, `is`, `where` and `resolve() is`. The rest is refused, with the place and the construct.

pub(crate) mod evaluate;
pub(crate) mod expression;
mod parser;
mod resolve;
mod token;

use std::borrow::Cow;

use keepwell_fhir::{Issue, IssueType, Severity};

pub(crate) use resolve::{Program, Scope, Way, compile, compile_component, compile_group};

/// What the compiler does not support, and where.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Refusal {
    /// The place in the expression, in bytes from 0.
    pub(crate) at: usize,
    /// The construct.
    pub(crate) what: &'static str,
}

impl Refusal {
    /// The refusal for an OperationOutcome; `place` is the element that holds the expression.
    pub(crate) fn issue(self, place: &str) -> Issue {
        Issue {
            severity: Severity::Error,
            code: IssueType::NotSupported,
            expression: place.to_owned(),
            diagnostics: Cow::Owned(format!("at byte {}: {}", self.at, self.what)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keepwell_fhir::ResourceType;

    #[test]
    fn broken_expressions_are_refused_without_a_panic() {
        let sources = [
            "(Patient.deceased as dateTime) | Patient.deceased.exists() and Patient.deceased != false",
            "Patient.extension('http://a').extension('b').value.ofType(CodeableConcept).coding.code",
            "Patient.birthDate.extension('t').value as dateTime",
            "Patient.name.where(use = 'a' or (given[0] = 'b').not() and period.start.exists()).first().given[1]",
            "Patient.generalPractitioner.where(resolve() is Practitioner or $this.type.empty())",
            "Patient.generalPractitioner.resolve().ofType(Organization) | Patient.link.other.where(%resource.active)",
        ];
        let patient = ResourceType::parse("Patient").expect("Patient is an R4 type");
        let mut counts = [0, 0];
        let mut check = |text: &str| counts[usize::from(compile(patient, text).is_ok())] += 1;
        for source in sources {
            for at in 0..source.len() {
                check(&source[..at]);
                check(&source[at..]);
                check(&format!("{}{}", &source[..at], &source[at + 1..]));
                for other in ["(", ")", "'", ".", " or ", "|", "[", "é", "\0", "%", "is "] {
                    check(&format!("{}{other}{}", &source[..at], &source[at..]));
                }
            }
            check(source);
        }
        assert!(counts[0] > 2000 && counts[1] > 100, "{counts:?}");
    }
}
