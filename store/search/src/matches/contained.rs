//! Contained resources (R4 references.html#contained): part of another resource, found through it.

use crate::extract::Extractor;
use crate::json;
use crate::query::{ContainedSearch, Query};

use super::{Context, Resource, Visit, fulfils, is_of_type};

/// Visits the contained resources that a query with `_contained` asks for, in their order; returns whether a visit was
/// enough.
pub fn matching_contained(
    query: &Query,
    container: &Resource<'_>,
    context: &dyn Context,
    found: &mut Visit<'_>,
) -> bool {
    query.contained != ContainedSearch::Never
        && visit(container, context, &mut |inner| {
            is_of_type(query, inner) && fulfils(&query.criterion, inner, context) && found(inner)
        })
}

/// Visits what lies in the same container as a resource, or in the resource itself.
pub(super) fn visit(resource: &Resource<'_>, context: &dyn Context, visit: &mut Visit<'_>) -> bool {
    let container = resource.container.unwrap_or(resource.json);
    let Some(contained) = json::member(container, "contained") else { return false };
    let mut extractor = Extractor::new(context.parameters().clone());
    json::items(contained).any(|inner| {
        let Ok(extracted) = extractor.extract(inner) else { return false };
        let id = extracted.walk.id.map(|id| id.text(inner)).unwrap_or_default();
        visit(&Resource {
            resource_type: extracted.walk.resource_type,
            id: &id,
            last_updated_ms: resource.last_updated_ms,
            values: extracted.values,
            json: inner,
            container: Some(container),
        })
    })
}
