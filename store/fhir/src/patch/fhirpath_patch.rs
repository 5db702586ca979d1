//! FHIRPath Patch (R4 fhirpatch.html): a Parameters resource with one `operation` after the other.

use std::borrow::Cow;

use super::element::{self, Hop};
use super::error::Failure;
use super::locate::{Place, locate};
use super::path::{Path, PathError, Step};
use super::shape::Shape;
use super::tree::Node;
use super::value::{self, Element};
use super::{PatchError, Patched};
use crate::MAX_DEPTH;

/// Applies a FHIRPath Patch: `add`, `insert`, `delete`, `replace`, `move`.
///
/// Paths are of the simple subset: element names, indices, `first()`, `last()`, `where(path = literal and
/// ...)`, `ofType(T)`, `as(T)` and `extension('url')`. To delete what is not there is no error; every other
/// operation needs its target (R4 fhirpatch.html).
///
/// # Errors
/// [`PatchError`], with the operation that failed; nothing is applied then.
///
/// # Example
/// ```
/// let body = br#"{"resourceType":"Patient","id":"1","birthDate":"1920-01-01"}"#;
/// let patch = br#"{"resourceType":"Parameters","parameter":[{"name":"operation","part":[
///     {"name":"type","valueCode":"replace"},
///     {"name":"path","valueString":"Patient.birthDate"},
///     {"name":"value","valueDate":"1930-01-01"}]}]}"#;
/// let patched = keepwell_fhir::patch::fhirpath_patch(body, patch)?;
/// assert_eq!(patched, br#"{"resourceType":"Patient","id":"1","birthDate":"1930-01-01"}"#);
/// # Ok::<(), keepwell_fhir::patch::PatchError>(())
/// ```
pub fn fhirpath_patch(body: &[u8], parameters: &[u8]) -> Result<Vec<u8>, PatchError> {
    let mut patched = Patched::parse(body)?;
    let parameters = super::parse_patch(parameters)?;
    if parameters.get("resourceType").and_then(Node::as_str).as_deref() != Some("Parameters") {
        return Err(PatchError::Document { reason: "not a Parameters resource" });
    }
    let operations = match parameters.get("parameter") {
        Some(list) => {
            list.as_array().ok_or(PatchError::Document { reason: "its parameter is not an array" })?
        }
        None => &[],
    };
    super::check_count(operations.len())?;
    for (number, parameter) in operations.iter().enumerate() {
        patched.step(number, |document| Operation::parse(parameter)?.apply(document))?;
    }
    Ok(patched.into_bytes())
}

impl From<PathError> for Failure {
    fn from(error: PathError) -> Self {
        match error {
            PathError::Syntax(reason) => Self::Malformed(reason),
            PathError::Unsupported(reason) => Self::Unsupported(reason),
        }
    }
}

/// The parts of one operation.
struct Operation<'n, 'a> {
    kind: Cow<'n, str>,
    path: Cow<'n, str>,
    name: Option<Cow<'n, str>>,
    /// The part, not only its value: the value's type is in the name of its member.
    value: Option<&'n Node<'a>>,
    index: Option<usize>,
    source: Option<usize>,
    destination: Option<usize>,
}

impl<'n, 'a> Operation<'n, 'a> {
    fn parse(parameter: &'n Node<'a>) -> Result<Self, Failure> {
        if value::name(parameter).as_deref() != Some("operation") {
            return Err(Failure::Malformed("the parameter is not named operation"));
        }
        let parts = parameter.get("part").and_then(Node::as_array).unwrap_or_default();
        let part = |name: &str| {
            let mut found = parts.iter().filter(|part| value::name(part).as_deref() == Some(name));
            match (found.next(), found.next()) {
                (_, Some(_)) => Err(Failure::Malformed("it has a part twice")),
                (part, None) => Ok(part),
            }
        };
        let text = |name| {
            let Some(part) = part(name)? else { return Ok(None) };
            value::scalar(part)
                .and_then(Node::as_str)
                .map(Some)
                .ok_or(Failure::Malformed("a part of it is not text"))
        };
        let number = |name| {
            let Some(part) = part(name)? else { return Ok(None) };
            let number = value::scalar(part).and_then(Node::as_token).and_then(|token| token.parse().ok());
            number.map(Some).ok_or(Failure::Malformed("a part of it is not a whole number from 0"))
        };
        let known = ["type", "path", "name", "value", "index", "source", "destination"];
        if !parts.iter().all(|part| value::name(part).is_some_and(|name| known.contains(&name.as_ref()))) {
            return Err(Failure::Malformed("it has an unknown part"));
        }
        Ok(Self {
            kind: text("type")?.ok_or(Failure::Malformed("it has no type"))?,
            path: text("path")?.ok_or(Failure::Malformed("it has no path"))?,
            name: text("name")?,
            value: part("value")?,
            index: number("index")?,
            source: number("source")?,
            destination: number("destination")?,
        })
    }

    fn apply(&self, document: &mut Node<'a>) -> Result<(), Failure> {
        let path = Path::parse(&self.path)?;
        let places = locate(document, &path).map_err(Failure::Target)?;
        match self.kind.as_ref() {
            "add" => self.add(document, only(&places)?),
            "insert" => self.insert(document, &List::of(document, &path, &places)?),
            "delete" if places.is_empty() => Ok(()),
            "delete" => Self::delete(document, only(&places)?),
            "replace" => self.replace(document, only(&places)?),
            "move" => self.shift(document, &List::of(document, &path, &places)?),
            _ => Err(Failure::Malformed("it has an unknown type")),
        }
    }

    /// Appends to a list, or sets what is not there yet.
    fn add(&self, document: &mut Node<'a>, parent: &Place<'_>) -> Result<(), Failure> {
        let name = self.name.as_deref().ok_or(Failure::Malformed("it has no name"))?;
        let new = self.value(parent.shape, name, &parent.hops)?;
        if parent.shape.is_primitive() {
            element::make_twin(document, &parent.hops);
        }
        let object = element::resolve_mut(document, &parent.object_hops()).ok_or(NOTHING)?;
        new.add_to(object, parent.shape, name).map_err(Failure::Target)
    }

    fn insert(&self, document: &mut Node<'a>, list: &List<'_>) -> Result<(), Failure> {
        let index = self.index.ok_or(Failure::Malformed("it has no index"))?;
        if index > list.len {
            return Err(Failure::Target("its index is beyond the end of the list"));
        }
        let new = self.value(list.parent, list.element, list.object)?;
        let object = element::resolve_mut(document, list.object).ok_or(NOTHING)?;
        element::insert_item(object, list.name, index, new.sides);
        Ok(())
    }

    fn replace(&self, document: &mut Node<'a>, place: &Place<'_>) -> Result<(), Failure> {
        let (parent, element) = place.slot.ok_or(WHOLE)?;
        let (object, old, at) = element::split(&place.hops).ok_or(WHOLE)?;
        let new = self.value(parent, element, object)?;
        let object = element::resolve_mut(document, object).ok_or(NOTHING)?;
        match at {
            Some(at) => element::set_item(object, old, at, new.sides),
            None => element::set(object, old, new.name, new.sides),
        }
        Ok(())
    }

    fn delete(document: &mut Node<'a>, place: &Place<'_>) -> Result<(), Failure> {
        element::split(&place.hops).ok_or(WHOLE)?;
        element::remove(document, &place.hops);
        Ok(())
    }

    fn shift(&self, document: &mut Node<'a>, list: &List<'_>) -> Result<(), Failure> {
        let source = self.source.ok_or(Failure::Malformed("it has no source"))?;
        let destination = self.destination.ok_or(Failure::Malformed("it has no destination"))?;
        if source.max(destination) >= list.len {
            return Err(Failure::Target("its source or destination is beyond the end of the list"));
        }
        let object = element::resolve_mut(document, list.object).ok_or(NOTHING)?;
        element::move_item(object, list.name, source, destination);
        Ok(())
    }

    /// The new element, for the object at these hops.
    fn value(&self, parent: Shape, name: &str, object: &[Hop]) -> Result<Element<'a>, Failure> {
        let part = self.value.ok_or(Failure::Malformed("it has no value"))?;
        let new = Element::build(part, parent, name).map_err(Failure::Value)?;
        // The member and, in a list, its item.
        if object.len() + 2 + new.sides.depth() > MAX_DEPTH {
            return Err(Failure::Limit("its result is nested deeper than the limit"));
        }
        Ok(new)
    }
}

const NOTHING: Failure = Failure::Target("its path leads to nothing");
const WHOLE: Failure = Failure::Target("its path leads to the whole resource");

/// The one place that a path leads to.
fn only<'s, 'p>(places: &'s [Place<'p>]) -> Result<&'s Place<'p>, Failure> {
    match places {
        [place] => Ok(place),
        [] => Err(NOTHING),
        _ => Err(Failure::Target("its path leads to more than one element")),
    }
}

/// A list that a path names as a whole.
struct List<'s> {
    /// Where its object is, and what that is.
    object: &'s [Hop],
    parent: Shape,
    /// The R4 name of its elements, and the name of its member.
    element: &'s str,
    name: &'s str,
    len: usize,
}

impl<'s> List<'s> {
    fn of(document: &Node<'_>, path: &Path<'_>, places: &'s [Place<'_>]) -> Result<Self, Failure> {
        if !matches!(path.steps.last(), Some(Step::Child(_))) {
            return Err(Failure::Malformed("its path does not end with the name of a list"));
        }
        let first = places.first().ok_or(NOTHING)?;
        let (parent, element) = first.slot.ok_or(WHOLE)?;
        let (object, name, at) = element::split(&first.hops).ok_or(WHOLE)?;
        at.ok_or(Failure::Target("its path leads to an element that does not repeat"))?;
        let len = element::resolve(document, object).and_then(|object| element::list_len(object, name));
        let len = len.ok_or(NOTHING)?;
        if places.len() > len {
            return Err(Failure::Target("its path leads to more than one list"));
        }
        Ok(Self { object, parent, element, name, len })
    }
}
