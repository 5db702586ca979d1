//! Whether a resource is what a query asks for, by its values alone.
//!
//! This is the meaning of a query, written down apart from plans and indexes: what an index answers is compared with it,
//! candidates are checked with it, and it tells observers which changes concern them.

mod contained;
mod value;

pub use self::contained::matching_contained;

use keepwell_fhir::ResourceType;

use crate::parameter::{Base, ParameterNumber};
use crate::parameters::Parameters;
use crate::query::{Chain, Clause, ContainedSearch, Criterion, Has, Matching, Query};
use crate::terminology::Terminology;
use crate::value::Value;
use crate::values::Values;

/// A resource with its values.
#[derive(Clone, Copy, Debug)]
pub struct Resource<'a> {
    /// Its type.
    pub resource_type: ResourceType,
    /// Its id.
    pub id: &'a str,
    /// When it was last changed, in ms since 1970.
    pub last_updated_ms: i64,
    /// What its parameters are.
    pub values: &'a Values,
    /// Its JSON, for full text.
    pub json: &'a [u8],
    /// The JSON of the resource that contains it, for one that is contained.
    pub container: Option<&'a [u8]>,
}

/// Visits a resource; returns whether it is enough.
pub type Visit<'v> = dyn FnMut(&Resource<'_>) -> bool + 'v;

/// The other resources of a store. Each function stops when a visit returns true, and returns whether one did.
pub trait Context: Terminology {
    /// The parameters by which values were extracted.
    fn parameters(&self) -> &Parameters;

    /// Visits the resource with an id, if it is there.
    fn read(&self, resource_type: ResourceType, id: &str, visit: &mut Visit<'_>) -> bool;

    /// Visits the resources of a type that may have this `url`.
    fn with_url(&self, resource_type: ResourceType, url: &str, visit: &mut Visit<'_>) -> bool;

    /// Visits the resources of a type that may refer to a resource by a parameter; more of them than do is well.
    fn referring(
        &self,
        source: ResourceType,
        parameter: ParameterNumber,
        to: &Resource<'_>,
        visit: &mut Visit<'_>,
    ) -> bool;
}

/// Whether a resource is what a query asks for, or contains what it asks for. A value set or code system that is not known has no codes; to be told of
/// it, make a plan.
#[must_use]
pub fn matches(query: &Query, resource: &Resource<'_>, context: &dyn Context) -> bool {
    let is_itself = || {
        query.contained != ContainedSearch::Only
            && is_of_type(query, resource)
            && fulfils(&query.criterion, resource, context)
    };
    is_within(query, resource) && (is_itself() || matching_contained(query, resource, context, &mut |_| true))
}

fn is_of_type(query: &Query, resource: &Resource<'_>) -> bool {
    query.types.is_empty() || query.types.contains(&resource.resource_type)
}

fn is_within(query: &Query, resource: &Resource<'_>) -> bool {
    query.compartment.as_ref().is_none_or(|(compartment, id)| {
        let number = ParameterNumber::compartment(*compartment);
        resource.values.of_number(number).any(|value| {
            matches!(value, Value::Reference { resource_type: Some(resource_type), id: other, .. }
                if resource_type.name() == compartment.code() && other == id)
        })
    })
}

/// Whether a resource fulfils a criterion.
#[must_use]
pub fn fulfils(criterion: &Criterion, resource: &Resource<'_>, context: &dyn Context) -> bool {
    match criterion {
        Criterion::All(all) => all.iter().all(|criterion| fulfils(criterion, resource, context)),
        Criterion::Any(any) => any.iter().any(|criterion| fulfils(criterion, resource, context)),
        Criterion::Not(criterion) => !fulfils(criterion, resource, context),
        Criterion::Type(resource_type) => resource.resource_type == *resource_type,
        Criterion::Clause(clause) => clause_fulfils(clause, resource, context),
        Criterion::Chain(chain) => chain_fulfils(chain, resource, context),
        Criterion::Has(has) => has_fulfils(has, resource, context),
    }
}

fn clause_fulfils(clause: &Clause, resource: &Resource<'_>, context: &dyn Context) -> bool {
    match &clause.matching {
        Matching::Missing(is_missing) => {
            let is_there = resource.values.entries().any(|entry| entry.number == clause.parameter.number);
            is_there != *is_missing
        }
        Matching::AnyOf(values) => {
            values.iter().any(|wanted| value::is_there(&clause.parameter, wanted, resource, context))
        }
    }
}

fn chain_fulfils(chain: &Chain, resource: &Resource<'_>, context: &dyn Context) -> bool {
    resource.values.of_number(chain.parameter.number).any(|value| {
        chain.targets.iter().any(|(target, criterion)| {
            let visit = &mut |resource: &Resource<'_>| fulfils(criterion, resource, context);
            match value {
                Value::Reference { resource_type: Some(resource_type), id, .. } => {
                    resource_type == target && context.read(*target, id, visit)
                }
                Value::Url { url, .. } => context.with_url(*target, url, &mut |resource| {
                    has_url(resource, url, context.parameters()) && visit(resource)
                }),
                Value::Contained(id) => contained::visit(resource, context, &mut |inner| {
                    inner.id == &**id && inner.resource_type == *target && visit(inner)
                }),
                _ => false,
            }
        })
    })
}

fn has_fulfils(has: &Has, resource: &Resource<'_>, context: &dyn Context) -> bool {
    // From outside nothing refers to what is contained.
    if resource.container.is_some() {
        return false;
    }
    let refers = |value: &Value| match value {
        Value::Reference { resource_type, id, .. } => {
            *resource_type == Some(resource.resource_type) && **id == *resource.id
        }
        Value::Url { url, .. } => has_url(resource, url, context.parameters()),
        _ => false,
    };
    context.referring(has.source, has.parameter.number, resource, &mut |source| {
        source.values.of_number(has.parameter.number).any(refers) && fulfils(&has.criterion, source, context)
    })
}

/// Whether the resource is known by a canonical URL.
fn has_url(resource: &Resource<'_>, wanted: &str, parameters: &Parameters) -> bool {
    let Some(parameter) = parameters.get(resource.resource_type, "url") else { return false };
    let is_own = parameter.base == Base::One(resource.resource_type) && !parameter.number.is_custom();
    is_own
        && resource
            .values
            .of_number(parameter.number)
            .any(|value| matches!(value, Value::Uri { url, .. } if **url == *wanted))
}
