//! Contained resources and the references to them, in a result that both sides contributed to.

use std::collections::BTreeSet;

use crate::json::{Json, Shape};
use crate::sides::Sides;

/// What became of the contained resources.
#[derive(Default)]
pub(crate) struct Contained {
    /// The ids of those that are gone from the result and still referred to.
    pub(crate) missing: BTreeSet<String>,
    /// Whether one is still there that both sides refer to and the result does not.
    pub(crate) has_lost_reference: bool,
}

impl Contained {
    pub(crate) fn of(versions: &Sides<Option<Json<'_>>>, result: &Json<'_>) -> Self {
        let Sides { base: Some(base), mine: Some(mine), theirs: Some(theirs) } = versions else {
            return Self::default();
        };
        let known = ids(base);
        let in_result = ids(result);
        if known.is_empty() && in_result.is_empty() {
            return Self::default();
        }
        let (of_result, of_mine, of_theirs) = (references(result), references(mine), references(theirs));
        // A reference that a side itself left without its resource is not for a merge to mend.
        let (in_mine, in_theirs) = (ids(mine), ids(theirs));
        let hangs = |id: &str| {
            (of_mine.contains(id) && !in_mine.contains(id))
                || (of_theirs.contains(id) && !in_theirs.contains(id))
        };
        let is_missing = |id: &&&str| known.contains(**id) && !in_result.contains(**id) && !hangs(id);
        let missing = of_result.iter().filter(is_missing);
        let is_lost = |id: &&str| of_mine.contains(id) && of_theirs.contains(id) && !of_result.contains(id);
        Self {
            missing: missing.map(|id| (*id).to_owned()).collect(),
            has_lost_reference: in_result.iter().any(is_lost),
        }
    }
}

fn ids<'j>(resource: &'j Json<'_>) -> BTreeSet<&'j str> {
    let contained = resource.get("contained").and_then(Json::items).unwrap_or_default();
    contained.iter().filter_map(|resource| resource.get("id")?.text()).collect()
}

/// The ids behind a `#`, of references and canonical urls alike. A text that begins with `#` counts too: at worst a
/// contained resource is kept that could go.
fn references<'j>(resource: &'j Json<'_>) -> BTreeSet<&'j str> {
    let mut found = BTreeSet::new();
    collect(resource, &mut found);
    found
}

fn collect<'j>(value: &'j Json<'_>, found: &mut BTreeSet<&'j str>) {
    match &value.shape {
        Shape::Text(text) => found.extend(text.strip_prefix('#')),
        Shape::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Shape::Object(members) => members.iter().for_each(|member| collect(&member.value, found)),
        Shape::Word => {}
    }
}
