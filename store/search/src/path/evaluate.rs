//! Expressions over the elements that a walk found.
//!
//! Conditions have three values, as in FHIRPath: `None` stands for the empty collection. What is no FHIR is seen as
//! far as it goes: unknown members are no children of anything.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::HashMap;

use keepwell_fhir::schema::Kind;
use keepwell_fhir::{Decimal, Reference, ResourceType};

use super::expression::{Expression, Literal, Path, Step};
use crate::data_type::is_a;
use crate::extract::Contained;
use crate::json;

/// An element with its type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item<'a> {
    pub(crate) json: &'a [u8],
    pub(crate) kind: Kind,
}

/// What expressions are evaluated over.
pub(crate) struct Evaluation<'a, 'o> {
    /// The collections that the walk found, by the number of the operand.
    pub(crate) operands: &'o [Vec<Item<'a>>],
    pub(crate) resolver: &'o Resolver<'a, 'o>,
}

/// Knows of which type a reference's target is, as far as the resource itself tells.
pub(crate) struct Resolver<'a, 'o> {
    document: &'a [u8],
    resource_type: ResourceType,
    contained: &'o [Contained],
    /// The types of contained resources by id, once they were asked for.
    by_id: OnceCell<HashMap<Cow<'a, str>, ResourceType>>,
}

impl<'a, 'o> Resolver<'a, 'o> {
    pub(crate) const fn new(
        document: &'a [u8],
        resource_type: ResourceType,
        contained: &'o [Contained],
    ) -> Self {
        Self { document, resource_type, contained, by_id: OnceCell::new() }
    }

    /// The type of what a Reference, a uri or a canonical points at: by the text of the reference, by
    /// `Reference.type`, or by the contained resource.
    pub(crate) fn target(&self, json: &[u8]) -> Option<ResourceType> {
        if json.first() == Some(&b'"') {
            return self.by_text(&json::text(json)?);
        }
        let by_text =
            json::member(json, "reference").and_then(json::text).and_then(|text| self.by_text(&text));
        by_text.or_else(|| ResourceType::parse(&json::text(json::member(json, "type")?)?))
    }

    fn by_text(&self, text: &str) -> Option<ResourceType> {
        match Reference::parse(text) {
            Reference::Contained("") => Some(self.resource_type),
            Reference::Contained(id) => self.contained_of(id),
            reference => reference.resource_type(),
        }
    }

    fn contained_of(&self, id: &str) -> Option<ResourceType> {
        let by_id = self.by_id.get_or_init(|| {
            let id_of = |contained: &Contained| {
                let id = json::text(json::member(contained.span.bytes(self.document), "id")?)?;
                Some((id, contained.resource_type))
            };
            self.contained.iter().filter_map(id_of).collect()
        });
        by_id.get(id).copied()
    }
}

impl<'a> Evaluation<'a, '_> {
    /// The items at a path, in the order of the resource.
    pub(crate) fn items(&self, path: &Path, focus: Option<Item<'a>>) -> Vec<Item<'a>> {
        let mut items = match path.operand {
            Some(operand) => self.operands.get(usize::from(operand)).cloned().unwrap_or_default(),
            None => focus.into_iter().collect(),
        };
        for step in path.steps.iter() {
            items = self.step(step, items);
        }
        items
    }

    fn step(&self, step: &Step, mut items: Vec<Item<'a>>) -> Vec<Item<'a>> {
        match step {
            Step::Child(name) => items.iter().flat_map(|item| children(*item, name, false)).collect(),
            Step::Twin(name) => items.iter().flat_map(|item| children(*item, name, true)).collect(),
            Step::Where(conditions) => {
                let holds = |item| conditions.iter().all(|one| self.holds(one, Some(item)) == Some(true));
                items.retain(|item| holds(*item));
                items
            }
            Step::OfType(name) => {
                items.retain(|item| item.kind.type_name().is_some_and(|own| is_a(own, name)));
                items
            }
            Step::Index(index) => items.into_iter().skip(*index as usize).take(1).collect(),
            Step::Last => items.pop().into_iter().collect(),
        }
    }

    /// Whether a condition holds.
    pub(crate) fn holds(&self, expression: &Expression, focus: Option<Item<'a>>) -> Option<bool> {
        let holds = |expression| self.holds(expression, focus);
        match expression {
            Expression::Literal(Literal::Boolean(value)) => Some(*value),
            Expression::Literal(_) => Some(true),
            Expression::Path(path) => match self.items(path, focus)[..] {
                [Item { json: b"false", kind: Kind::Primitive("boolean") }] => Some(false),
                [_] => Some(true),
                _ => None,
            },
            Expression::And(pair) => all_are(true, pair.iter().map(holds)),
            Expression::Or(pair) => all_are(false, pair.iter().map(holds)),
            Expression::Not(one) => holds(one.first()?).map(|value| !value),
            Expression::Equal(pair) => self.equal(pair, focus),
            Expression::Unequal(pair) => self.equal(pair, focus).map(|value| !value),
            Expression::Exists(path) => Some(!self.items(path, focus).is_empty()),
            Expression::Is(path, name) => match self.items(path, focus)[..] {
                [item] => Some(item.kind.type_name().is_some_and(|own| is_a(own, name))),
                _ => None,
            },
            Expression::Targets(path, target) => match self.items(path, focus)[..] {
                [item] => self.resolver.target(item.json).map(|found| found == *target),
                _ => None,
            },
        }
    }

    /// Whether an item is a constant.
    fn equal(&self, pair: &[Expression], focus: Option<Item<'a>>) -> Option<bool> {
        let [left, right] = pair else { return None };
        match (left, right) {
            (Expression::Literal(left), Expression::Literal(right)) => Some(left == right),
            (Expression::Literal(literal), Expression::Path(path))
            | (Expression::Path(path), Expression::Literal(literal)) => match self.items(path, focus)[..] {
                [] => None,
                [item] => Some(is_literal(item.json, literal)),
                _ => Some(false),
            },
            (Expression::Literal(literal), other) | (other, Expression::Literal(literal)) => {
                self.holds(other, focus).map(|value| *literal == Literal::Boolean(value))
            }
            _ => None,
        }
    }
}

/// `and` for true, `or` for false: the opposite wins, then what is not known.
fn all_are(wanted: bool, values: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut result = Some(wanted);
    for value in values {
        match value {
            Some(value) if value != wanted => return Some(value),
            None => result = None,
            Some(_) => {}
        }
    }
    result
}

fn children<'a>(item: Item<'a>, name: &str, is_twin: bool) -> impl Iterator<Item = Item<'a>> {
    let context = match item.kind {
        Kind::Object(context) => Some(context),
        _ => None,
    };
    let found = json::members(item.json).filter_map(move |(key, value)| {
        let key = if is_twin { key.strip_prefix(b"_")? } else { &key };
        let element = context?.find(key).filter(|element| element.name() == name)?;
        let kind = match is_twin {
            true => element.extensions()?.0.kind(),
            false => element.kind(),
        };
        Some((value, kind))
    });
    found.flat_map(|(value, kind)| {
        let present = json::items(value).filter(|json| *json != b"null");
        present.map(move |json| Item { json, kind })
    })
}

fn is_literal(json: &[u8], literal: &Literal) -> bool {
    match literal {
        Literal::Boolean(value) => json == if *value { &b"true"[..] } else { b"false" },
        Literal::Text(text) => json::text(json).is_some_and(|own| own == *text),
        Literal::Number(text) => {
            let own = std::str::from_utf8(json).ok().and_then(Decimal::parse);
            own.zip(Decimal::parse(text)).is_some_and(|(own, other)| own.compare(other).is_eq())
        }
    }
}
