//! What a search returns: order, totals, parts, and resources that go with the matches.

use keepwell_fhir::ResourceType;

use crate::parameter::Parameter;

/// One key of `_sort`.
#[derive(Clone, PartialEq, Debug)]
pub struct SortKey {
    /// What is sorted by.
    pub by: Sort,
    /// Whether the largest comes first.
    pub descending: bool,
}

/// What a sort key sorts by.
#[derive(Clone, PartialEq, Debug)]
pub enum Sort {
    /// `_lastUpdated`
    LastUpdated,
    /// `_id`
    Id,
    /// The values of a parameter: ascending by the least value, descending by the largest.
    Parameter(Parameter),
}

/// `_total`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Total {
    /// No total.
    None,
    /// About how many.
    Estimate,
    /// Exactly how many.
    Accurate,
}

/// `_summary`
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Summary {
    /// Everything.
    #[default]
    False,
    /// The elements that the definitions mark as summary.
    True,
    /// `text`, `id`, `meta` and mandatory elements.
    Text,
    /// Everything but `text`.
    Data,
    /// Only how many matches there are.
    Count,
}

/// `_contained`: where matches may lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ContainedSearch {
    /// Only resources by themselves match.
    #[default]
    Never,
    /// Only contained resources match.
    Only,
    /// Both match.
    Both,
}

/// `_containedType`: what is returned where a contained resource matches.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ContainedType {
    /// The resource that contains it.
    #[default]
    Container,
    /// The contained resource alone.
    Contained,
}

/// Whether an inclusion follows references of the matches or references to them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// `_include`: what the matches refer to.
    Forward,
    /// `_revinclude`: what refers to the matches.
    Reverse,
}

/// `_include` or `_revinclude`.
#[derive(Clone, PartialEq, Debug)]
pub struct Include {
    /// Which way references are followed.
    pub direction: Direction,
    /// The type that has the references; none for all (`*`).
    pub source: Option<ResourceType>,
    /// The parameter whose references are followed; none for all (`*`).
    pub parameter: Option<Parameter>,
    /// The type that is referred to; none for all.
    pub target: Option<ResourceType>,
    /// Whether it is applied to what was included, too.
    pub iterate: bool,
}
