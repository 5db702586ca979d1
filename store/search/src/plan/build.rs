//! From a query to a plan.

use std::cell::Cell;

use keepwell_fhir::ResourceType;

use crate::parameter::{Parameter, ParameterKind, ParameterNumber};
use crate::query::{
    Chain, Clause, ContainedSearch, Criterion, Matching, Query, QueryError, SearchValue, SystemMatch,
    UnitMatch,
};
use crate::term::{Facet, Term, system_hash, write_code, write_degrees, write_reference, write_token};
use crate::terminology::{CodeSet, Terminology};
use crate::value::System;

use super::scan::{Comparison, Test, UnitScan};
use super::{Plan, contained, date, text};

/// How far a degree of latitude is, at least, in metres.
const DEGREE_M: f64 = 110_000.0;

/// How many terms a plan may have: an id without a type is one for each type.
pub const MAX_TERMS: usize = 200_000;

/// What an index has to be asked for the matches of a query. Value sets and hierarchies are looked up here, so the plan
/// holds for as long as they do not change.
///
/// # Errors
/// If a value set or code system is not known, or if the plan would have more than [`MAX_TERMS`].
pub fn plan(query: &Query, terminology: &dyn Terminology) -> Result<Plan, QueryError> {
    let planner = Planner { terminology, terms: Cell::new(MAX_TERMS) };
    let criterion = planner.criterion(&query.criterion, &query.types)?;
    let compartment = query.compartment.as_ref().map(|(compartment, id)| {
        let number = ParameterNumber::compartment(*compartment);
        // A compartment is named as the type that it is about.
        let resource_type = ResourceType::parse(compartment.code());
        resource_type.map_or(Plan::None, |resource_type| {
            Plan::Term(Term::reference(number, resource_type, id).into_bytes())
        })
    });
    let compartment = compartment.unwrap_or(Plan::All);
    let inside = match query.contained {
        ContainedSearch::Never => Plan::None,
        _ => Plan::and([compartment.clone(), contained::containing(&query.types, &criterion)]),
    };
    if query.contained == ContainedSearch::Only {
        return Ok(inside);
    }
    let types = Plan::or(query.types.iter().map(|&resource_type| of_type(resource_type)));
    let is_of_type = query.types.is_empty() || (query.types.len() == 1 && criterion.is_of_one_type());
    let types = if is_of_type { Plan::All } else { types };
    Ok(Plan::or([Plan::and([types, compartment, criterion]), inside]))
}

fn of_type(resource_type: ResourceType) -> Plan {
    Plan::Term(Term::of_type(resource_type).into_bytes())
}

struct Planner<'t> {
    terminology: &'t dyn Terminology,
    /// How many terms are left to ask for.
    terms: Cell<usize>,
}

impl Planner<'_> {
    /// `types` are those that the resources may have; all if there are none.
    fn criterion(&self, criterion: &Criterion, types: &[ResourceType]) -> Result<Plan, QueryError> {
        let each = |criteria: &[Criterion]| {
            criteria.iter().map(|criterion| self.criterion(criterion, types)).collect::<Result<Vec<_>, _>>()
        };
        Ok(match criterion {
            Criterion::All(criteria) => Plan::and(each(criteria)?),
            Criterion::Any(criteria) => Plan::or(each(criteria)?),
            Criterion::Not(criterion) => Plan::complement(self.criterion(criterion, types)?),
            Criterion::Type(resource_type) => of_type(*resource_type),
            Criterion::Clause(clause) => self.clause(clause, types)?,
            Criterion::Chain(chain) => self.chain(chain)?,
            Criterion::Has(has) => {
                let plan = Box::new(self.criterion(&has.criterion, &[has.source])?);
                Plan::Has { source: has.source, parameter: has.parameter.clone(), plan }
            }
        })
    }

    fn chain(&self, chain: &Chain) -> Result<Plan, QueryError> {
        let (mut any, mut problem) = (Vec::with_capacity(chain.targets.len()), None);
        for (target, criterion) in &chain.targets {
            match self.criterion(criterion, &[*target]) {
                Ok(plan) => {
                    // A chain goes on in what is contained, too (R4 search.html#contained).
                    let refers = Plan::Term(Term::present(chain.parameter.number).into_bytes());
                    let inside = Plan::and([refers, contained::containing(&[*target], &plan)]);
                    let (parameter, target, plan) = (chain.parameter.clone(), *target, Box::new(plan));
                    any.push(Plan::Chain { parameter, target, plan });
                    any.push(inside);
                }
                // What is below a code for one type may be below a path for another: that one is meant.
                Err(error) => problem = Some(error),
            }
        }
        match problem {
            Some(problem) if any.is_empty() => Err(problem),
            _ => Ok(Plan::or(any)),
        }
    }

    fn clause(&self, clause: &Clause, types: &[ResourceType]) -> Result<Plan, QueryError> {
        match &clause.matching {
            Matching::Missing(is_missing) => {
                let present = Plan::Term(Term::present(clause.parameter.number).into_bytes());
                Ok(if *is_missing { Plan::complement(present) } else { present })
            }
            Matching::AnyOf(values) => {
                let mut any = Vec::with_capacity(values.len());
                for value in values {
                    any.push(self.value(&clause.parameter, value, types)?);
                }
                Ok(Plan::or(any))
            }
        }
    }

    fn value(
        &self,
        parameter: &Parameter,
        value: &SearchValue,
        types: &[ResourceType],
    ) -> Result<Plan, QueryError> {
        let number = parameter.number;
        self.take(match value {
            SearchValue::Token { .. } if number == ParameterNumber::ID => any_of(types),
            SearchValue::Reference { resource_type: None, .. } => any_of(&parameter.targets),
            _ => 1,
        })?;
        Ok(match value {
            SearchValue::Token { system, code } if number == ParameterNumber::ID => {
                ids(types, system, code.as_deref())
            }
            SearchValue::Token { system, code } => token(number, system, code.as_deref()),
            SearchValue::Logical { system, code } => logical(number, system, code.as_deref()),
            SearchValue::Display(text) => text::begins(number, Facet::Display, text),
            SearchValue::String { how, text } => text::string(number, *how, text),
            SearchValue::TypedIdentifier { value, .. } => {
                Plan::candidates(code_prefix(number, Facet::Token, value))
            }
            SearchValue::InValueSet(url) => {
                let unknown =
                    || QueryError::UnknownValueSet { parameter: parameter.code.clone().into_owned() };
                let set = self.terminology.value_set(url).ok_or_else(unknown)?;
                self.take(2 * set.codes().len())?;
                code_set(number, &set)
            }
            SearchValue::Below { system, code } => {
                self.hierarchy(parameter, system, self.terminology.below(system, code))?
            }
            SearchValue::Above { system, code } => {
                self.hierarchy(parameter, system, self.terminology.above(system, code))?
            }
            SearchValue::Reference { resource_type, id, version } => {
                let plan = reference(parameter, *resource_type, id);
                if version.is_some() { Plan::candidates(plan) } else { plan }
            }
            SearchValue::Url { how, url, version } | SearchValue::Uri { how, url, version } => {
                text::uri(number, *how, url, version.as_deref())
            }
            SearchValue::Date { prefix, range } if number == ParameterNumber::LAST_UPDATED => {
                date::last_updated(*prefix, *range)
            }
            SearchValue::Date { prefix, range } => date::plan(number, *prefix, *range),
            SearchValue::Number { prefix, value, range } => {
                numbers(number, Comparison { prefix: *prefix, value: *value, range: *range })
            }
            SearchValue::Quantity { prefix, value, range, unit } => {
                quantities(number, Comparison { prefix: *prefix, value: *value, range: *range }, unit)
            }
            SearchValue::Composite(values) => self.composite(parameter, values, types)?,
            SearchValue::Near { latitude, longitude, distance_m } => {
                near(number, *latitude, *longitude, *distance_m)
            }
            SearchValue::Words(words) => Plan::and(words.iter().map(|word| text::word(number, word))),
        })
    }

    fn hierarchy(
        &self,
        parameter: &Parameter,
        system: &str,
        codes: Option<Vec<Box<str>>>,
    ) -> Result<Plan, QueryError> {
        let unknown = || QueryError::UnknownCodeSystem { parameter: parameter.code.clone().into_owned() };
        let codes = codes.ok_or_else(unknown)?;
        self.take(2 * codes.len())?;
        Ok(Plan::or(codes.iter().map(|code| coded(parameter.number, system, code))))
    }

    fn take(&self, terms: usize) -> Result<(), QueryError> {
        let left = self.terms.get().checked_sub(terms);
        self.terms.set(left.ok_or(QueryError::TooLarge { what: "terms", limit: MAX_TERMS })?);
        Ok(())
    }

    /// What has a tuple has a value for each part of it; whether they belong together, the terms do not say.
    fn composite(
        &self,
        parameter: &Parameter,
        values: &[SearchValue],
        types: &[ResourceType],
    ) -> Result<Plan, QueryError> {
        let mut parts = vec![Plan::Term(Term::present(parameter.number).into_bytes())];
        // Parts of custom parameters may look at other elements than the parameters that define them.
        if !parameter.number.is_custom() {
            for (component, value) in parameter.components.iter().zip(values) {
                let part = Parameter { number: component.number, kind: component.kind, ..parameter.clone() };
                parts.push(self.value(&part, value, types)?);
            }
        }
        Ok(Plan::candidates(Plan::and(parts)))
    }
}

impl Plan {
    /// Whether what it finds is all of one type, since its terms are.
    fn is_of_one_type(&self) -> bool {
        let is_of_type = |number: ParameterNumber| number >= ParameterNumber::FIRST_OF_TYPE;
        let is_term_of_type = |term: &[u8]| {
            term.first_chunk().is_some_and(|number| is_of_type(ParameterNumber(u16::from_be_bytes(*number))))
        };
        match self {
            Self::Term(term) | Self::Prefix(term) => is_term_of_type(term),
            Self::Range { from, .. } | Self::Scan { from, .. } => is_term_of_type(from),
            Self::Units(units) => is_term_of_type(units.head()),
            Self::And(plans) => plans.iter().any(Self::is_of_one_type),
            Self::Or(plans) => plans.iter().all(Self::is_of_one_type),
            Self::Candidates(plan) => plan.is_of_one_type(),
            Self::Chain { parameter, .. } => is_of_type(parameter.number),
            Self::None => true,
            Self::All | Self::Not(_) | Self::Has { .. } | Self::LastUpdated { .. } => false,
        }
    }
}

/// How many types there are to ask for.
const fn any_of(types: &[ResourceType]) -> usize {
    if types.is_empty() { ResourceType::COUNT } else { types.len() }
}

fn ids(types: &[ResourceType], system: &SystemMatch, id: Option<&str>) -> Plan {
    let Some(id) = id.filter(|_| !matches!(system, SystemMatch::Uri(_))) else { return Plan::None };
    let term =
        |resource_type| Plan::Term(Term::reference(ParameterNumber::ID, resource_type, id).into_bytes());
    if types.is_empty() {
        Plan::or(ResourceType::all().map(term))
    } else {
        Plan::or(types.iter().copied().map(term))
    }
}

fn code_prefix(number: ParameterNumber, facet: Facet, code: &str) -> Plan {
    let mut term = Term::head(number, facet);
    write_code(code, term.buffer());
    Plan::Prefix(term.into_bytes())
}

fn code_term(number: ParameterNumber, facet: Facet, system: &System, code: &str) -> Plan {
    let mut term = Term::head(number, facet);
    write_token(system, code, term.buffer());
    Plan::Term(term.into_bytes())
}

fn system_term(number: ParameterNumber, system: &str) -> Plan {
    let mut term = Term::head(number, Facet::System);
    term.buffer().extend(system_hash(&System::Uri(system.into())));
    Plan::Term(term.into_bytes())
}

fn token(number: ParameterNumber, system: &SystemMatch, code: Option<&str>) -> Plan {
    match (system, code) {
        (SystemMatch::Any, Some(code)) => code_prefix(number, Facet::Token, code),
        (SystemMatch::None, Some(code)) => Plan::or(
            [System::None, System::Implicit].map(|system| code_term(number, Facet::Token, &system, code)),
        ),
        (SystemMatch::Uri(system), Some(code)) => coded(number, system, code),
        (SystemMatch::Uri(system), None) => system_term(number, system),
        (SystemMatch::Any | SystemMatch::None, None) => Plan::None,
    }
}

/// A code of a system; codes without a place for their system may be from it.
fn coded(number: ParameterNumber, system: &str, code: &str) -> Plan {
    let term = |system| code_term(number, Facet::Token, &system, code);
    Plan::or([term(System::Uri(system.into())), term(System::Implicit)])
}

fn logical(number: ParameterNumber, system: &SystemMatch, code: Option<&str>) -> Plan {
    let term = |system, code| code_term(number, Facet::Logical, &system, code);
    match (system, code) {
        (SystemMatch::Any, Some(code)) => code_prefix(number, Facet::Logical, code),
        (SystemMatch::None, Some(code)) => term(System::None, code),
        (SystemMatch::Uri(system), Some(code)) => term(System::Uri(system.clone()), code),
        (_, None) => Plan::candidates(Plan::Prefix(Term::head(number, Facet::Logical).into_bytes())),
    }
}

fn code_set(number: ParameterNumber, set: &CodeSet) -> Plan {
    let codes = set.codes().map(|(system, code)| coded(number, system, code));
    let systems = set.systems().map(|(system, has_exceptions)| {
        let plan = system_term(number, system);
        if has_exceptions { Plan::candidates(plan) } else { plan }
    });
    Plan::or(codes.chain(systems))
}

/// A bare id in a resource may mean any type that the parameter may refer to, if that is only one.
fn reference(parameter: &Parameter, resource_type: Option<ResourceType>, id: &str) -> Plan {
    let term = |resource_type| {
        let mut term = Term::head(parameter.number, Facet::Reference);
        write_reference(resource_type, id, term.buffer());
        Plan::Term(term.into_bytes())
    };
    match (resource_type, &*parameter.targets) {
        (Some(resource_type), [single]) if *single == resource_type => {
            Plan::or([term(Some(resource_type)), term(None)])
        }
        (Some(resource_type), _) => term(Some(resource_type)),
        (None, []) => Plan::or(ResourceType::all().map(Some).chain([None]).map(term)),
        (None, targets) => Plan::or(targets.iter().copied().map(Some).chain([None]).map(term)),
    }
}

fn numbers(number: ParameterNumber, comparison: Comparison) -> Plan {
    let spans = Term::head(number, Facet::Span).into_bytes();
    let test = Test::Number { at: spans.len(), unit: None, comparison };
    let points = comparison.points(Term::head(number, Facet::Number).bytes());
    Plan::or([points, super::scan(spans, test)])
}

fn quantities(number: ParameterNumber, comparison: Comparison, unit: &UnitMatch) -> Plan {
    let scan = |facet, is_span| {
        let head = Term::head(number, facet).into_bytes();
        Plan::Units(UnitScan { head, unit: unit.clone(), comparison, is_span })
    };
    Plan::or([scan(Facet::Quantity, false), scan(Facet::QuantitySpan, true)])
}

fn near(number: ParameterNumber, latitude: f64, longitude: f64, distance_m: f64) -> Plan {
    let bound = |degrees: f64| {
        let mut term = Term::head(number, Facet::Position);
        write_degrees(degrees.clamp(-200.0, 200.0), term.buffer());
        term.into_bytes()
    };
    let degrees = distance_m / DEGREE_M + 1e-6;
    Plan::Scan {
        from: bound(latitude - degrees),
        to: bound(latitude + degrees),
        test: Test::Near { latitude, longitude, distance_m },
    }
}

/// The range of terms that a search sorted by the parameter goes through: dates by their beginning, references by type
/// and id, quantities by unit and value. Ranges of numbers are not among them. None if the parameter has no order.
#[must_use]
pub fn sort_terms(parameter: &Parameter) -> Option<std::ops::Range<Vec<u8>>> {
    let facet = match parameter.kind {
        ParameterKind::String => Facet::String,
        ParameterKind::Token => Facet::Token,
        ParameterKind::Date => Facet::Date,
        ParameterKind::Number => Facet::Number,
        ParameterKind::Quantity => Facet::Quantity,
        ParameterKind::Reference => Facet::Reference,
        ParameterKind::Uri => Facet::Uri,
        ParameterKind::Composite | ParameterKind::Special => return None,
    };
    let from = Term::head(parameter.number, facet).into_bytes();
    let to = crate::term::successor(&from)?;
    Some(from..to)
}
