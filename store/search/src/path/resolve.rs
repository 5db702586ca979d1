//! From trees to ways through the definitions and programs over what they end at.

use std::borrow::Cow;

use keepwell_fhir::schema::{Context, Kind};
use keepwell_fhir::{ElementNumber, ResourceType};

use super::Refusal;
use super::expression::{Expression, Literal, Path, Step};
use super::parser::{Call, CallKind, Node, Operator, Root, parse};
use crate::data_type::{DataType, is_a};

/// The most ways that an expression may have: each choice on a path multiplies them, and an extension has fifty.
const MAX_WAYS: usize = 1024;

const TOO_MANY_WAYS: Refusal = Refusal { at: 0, what: "an expression with too many ways through choices" };

/// A way through the definitions, from a resource down to an element.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Way {
    pub(crate) elements: Vec<ElementNumber>,
    pub(crate) data_type: DataType,
    /// The references that do not point at this type are left out.
    pub(crate) target: Option<ResourceType>,
    /// Whether there may be several values.
    pub(crate) repeats: bool,
    /// The name of the element, which the types of a choice share.
    name: &'static str,
}

impl Way {
    /// What the types of a choice have in common, of which a resource has at most one.
    pub(crate) fn place(&self) -> (&[ElementNumber], &'static str) {
        (self.elements.split_last().map_or(&[], |(_, parents)| parents), self.name)
    }
}

/// What ways alone cannot say.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Program {
    /// The collections it starts from: each is what some ways end at.
    pub(crate) operands: Vec<Vec<Way>>,
    pub(crate) expression: Expression,
}

/// What an expression means for one type.
#[derive(Clone, PartialEq, Default, Debug)]
pub(crate) struct Compiled {
    pub(crate) ways: Vec<Way>,
    pub(crate) programs: Vec<Program>,
}

/// The elements that the tuples of a composite parameter come from.
pub(crate) struct Group {
    calls: Vec<Call>,
    pub(crate) ways: Vec<Way>,
}

/// Where a part of a composite parameter is looked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Scope {
    /// In the element of the tuple.
    Group,
    /// Anywhere in the resource.
    Resource,
}

/// Compiles an expression for one type; branches about other types are left out.
pub(crate) fn compile(base: ResourceType, text: &str) -> Result<Compiled, Refusal> {
    let node = parse(text)?;
    let mut compiled = Compiled::default();
    for branch in branches(&node) {
        let mut compiler = Compiler { base, operands: Vec::new() };
        let Some(chains) = chains(branch) else {
            if is_about(branch, base) {
                let expression = compiler.condition(None, branch)?;
                compiled.programs.push(Program { operands: compiler.operands, expression });
            }
            continue;
        };
        for chain in chains.iter().filter_map(|chain| own_calls(base, chain)) {
            let end = compiler.walk(vec![Spot::root(base)], &chain, true)?;
            let mut end = end.into_extensions();
            if end.steps.is_empty() {
                compiled.ways.extend(end.start.iter().map(|spot| spot.way(end.target)));
            } else {
                let ways = end.start.iter().map(|spot| spot.way(None)).collect();
                let steps = Cow::Owned(std::mem::take(&mut end.steps));
                let expression = Expression::Path(Path { operand: Some(0), steps });
                compiled.programs.push(Program { operands: vec![ways], expression });
            }
        }
    }
    if compiled.ways.len() > MAX_WAYS {
        return Err(TOO_MANY_WAYS);
    }
    Ok(compiled)
}

/// Compiles the expression of a composite parameter for one type.
pub(crate) fn compile_group(base: ResourceType, text: &str) -> Result<Vec<Group>, Refusal> {
    let node = parse(text)?;
    let mut groups = Vec::new();
    for branch in branches(&node) {
        let chains = chains(branch).ok_or(NO_PATH)?;
        for calls in chains.iter().filter_map(|chain| own_calls(base, chain)) {
            let ways = plain_ways(base, &calls)?;
            groups.push(Group { calls, ways });
        }
    }
    Ok(groups)
}

/// Compiles the expression of one part of a composite parameter.
pub(crate) fn compile_component(
    base: ResourceType,
    group: &Group,
    text: &str,
) -> Result<Vec<(Scope, Way)>, Refusal> {
    let node = parse(text)?;
    let mut found = Vec::new();
    for branch in branches(&node) {
        for chain in chains(branch).ok_or(NO_PATH)? {
            let (scope, calls) = match chain.root {
                Start::Focus => (Scope::Group, [&group.calls[..], &chain.calls].concat()),
                Start::Resource => (Scope::Resource, chain.calls),
            };
            found.extend(plain_ways(base, &calls)?.into_iter().map(|way| (scope, way)));
        }
    }
    Ok(found)
}

const NO_PATH: Refusal = Refusal { at: 0, what: "a composite parameter with something else than paths" };

fn plain_ways(base: ResourceType, calls: &[Call]) -> Result<Vec<Way>, Refusal> {
    let mut compiler = Compiler { base, operands: Vec::new() };
    let end = compiler.walk(vec![Spot::root(base)], calls, true)?;
    if !end.steps.is_empty() || end.target.is_some() {
        return Err(NO_PATH);
    }
    Ok(end.start.iter().map(|spot| spot.way(None)).collect())
}

/// A path without unions.
struct Chain {
    root: Start,
    calls: Vec<Call>,
}

#[derive(Clone, Copy)]
enum Start {
    Focus,
    Resource,
}

/// The branches of the outermost unions.
fn branches(node: &Node) -> Vec<&Node> {
    match node {
        Node::Binary(Operator::Union, sides, _) => [branches(&sides[0]), branches(&sides[1])].concat(),
        Node::Chain(Root::Group(inner), calls) if calls.is_empty() => branches(inner),
        _ => vec![node],
    }
}

/// A tree as paths, with casts as calls; none if it is a condition.
fn chains(node: &Node) -> Option<Vec<Chain>> {
    match node {
        Node::Chain(_, calls) if calls.last().is_some_and(is_test) => None,
        Node::Chain(Root::Focus, calls) => Some(vec![Chain { root: Start::Focus, calls: calls.clone() }]),
        Node::Chain(Root::Variable(name), calls) if matches!(name.as_str(), "resource" | "context") => {
            Some(vec![Chain { root: Start::Resource, calls: calls.clone() }])
        }
        Node::Chain(Root::Variable(_), _) | Node::Literal(_) => None,
        Node::Chain(Root::Group(inner), calls) => {
            let mut found = chains(inner)?;
            found.iter_mut().for_each(|chain| chain.calls.extend_from_slice(calls));
            Some(found)
        }
        Node::Typed(inner, true, name, at) => {
            let argument =
                Node::Chain(Root::Focus, vec![Call { at: *at, kind: CallKind::Name(name.clone()) }]);
            let call = Call { at: *at, kind: CallKind::Function("ofType".to_owned(), vec![argument]) };
            let mut found = chains(inner)?;
            found.iter_mut().for_each(|chain| chain.calls.push(call.clone()));
            Some(found)
        }
        Node::Binary(Operator::Union, sides, _) => {
            let mut found = chains(&sides[0])?;
            found.extend(chains(&sides[1])?);
            Some(found)
        }
        Node::Typed(_, false, ..) | Node::Binary(..) => None,
    }
}

/// Whether a call yields a condition.
fn is_test(call: &Call) -> bool {
    let CallKind::Function(name, _) = &call.kind else { return false };
    matches!(name.as_str(), "exists" | "empty" | "not" | "is" | "hasExtension")
}

/// The calls of a path from a resource of the type; none if it starts at another type.
fn own_calls(base: ResourceType, chain: &Chain) -> Option<Vec<Call>> {
    if matches!(chain.root, Start::Resource) {
        return Some(chain.calls.clone());
    }
    match chain.calls.first().map(|call| &call.kind) {
        Some(CallKind::Name(name)) if is_type_of(name, base) => Some(chain.calls[1..].to_vec()),
        Some(CallKind::Name(name)) if ResourceType::parse(name).is_some() => None,
        _ => Some(chain.calls.clone()),
    }
}

fn is_type_of(name: &str, base: ResourceType) -> bool {
    name == base.name() || matches!(name, "Resource" | "DomainResource")
}

/// Whether a condition speaks of this type, judged by its first path.
fn is_about(node: &Node, base: ResourceType) -> bool {
    match node {
        Node::Chain(Root::Focus, calls) => match calls.first().map(|call| &call.kind) {
            Some(CallKind::Name(name)) => is_type_of(name, base) || ResourceType::parse(name).is_none(),
            _ => true,
        },
        Node::Chain(Root::Group(inner), _) | Node::Typed(inner, ..) => is_about(inner, base),
        Node::Binary(_, sides, _) => is_about(&sides[0], base),
        _ => true,
    }
}

/// A place in the definitions.
#[derive(Clone, PartialEq)]
struct Spot {
    elements: Vec<ElementNumber>,
    kind: Kind,
    repeats: bool,
    name: &'static str,
}

impl Spot {
    fn root(base: ResourceType) -> Self {
        let kind = Kind::Object(Context::of(base));
        Self { elements: Vec::new(), kind, repeats: false, name: "" }
    }

    fn children(&self, name: &str) -> Vec<Self> {
        let Kind::Object(context) = self.kind else { return Vec::new() };
        let children = context.elements(name).map(|element| {
            let elements = [&self.elements[..], &[element.number()]].concat();
            let repeats = self.repeats || element.repeats();
            Self { elements, kind: element.kind(), repeats, name: element.name() }
        });
        children.collect()
    }

    /// The objects with the extensions of primitive children.
    fn twins(&self, name: &str) -> Vec<Self> {
        let Kind::Object(context) = self.kind else { return Vec::new() };
        let twins = context.elements(name).filter_map(|element| {
            let (number, _) = element.extensions()?;
            let elements = [&self.elements[..], &[number]].concat();
            let repeats = self.repeats || element.repeats();
            Some(Self { elements, kind: number.kind(), repeats, name: element.name() })
        });
        twins.collect()
    }

    fn way(&self, target: Option<ResourceType>) -> Way {
        let data_type = match self.kind {
            Kind::Resource => DataType::Resource,
            kind => kind.type_name().map_or(DataType::Other, DataType::of_name),
        };
        Way { elements: self.elements.clone(), data_type, target, repeats: self.repeats, name: self.name }
    }
}

/// Where a path ends.
struct End {
    /// What the walk has to find.
    start: Vec<Spot>,
    /// What is done then.
    steps: Vec<Step>,
    /// Where that ends; the same as `start` without steps.
    spots: Vec<Spot>,
    target: Option<ResourceType>,
}

impl End {
    /// A path that ends at extensions means their values.
    fn into_extensions(mut self) -> Self {
        let is_extension = |spot: &Spot| spot.kind.type_name() == Some("Extension");
        if self.spots.is_empty() || !self.spots.iter().all(is_extension) {
            return self;
        }
        self.step_to("value");
        self
    }

    fn step_to(&mut self, name: &str) {
        self.spots = self.spots.iter().flat_map(|spot| spot.children(name)).collect();
        if self.steps.is_empty() {
            self.start.clone_from(&self.spots);
        } else {
            self.steps.push(Step::Child(name.to_owned().into()));
        }
    }
}

struct Compiler {
    base: ResourceType,
    operands: Vec<Vec<Way>>,
}

impl Compiler {
    /// Follows calls from some places. At the top, plain steps are left to the walk; in conditions none are.
    fn walk(&mut self, spots: Vec<Spot>, calls: &[Call], is_top: bool) -> Result<End, Refusal> {
        let start = if is_top { spots.clone() } else { Vec::new() };
        let mut end = End { start, steps: Vec::new(), spots, target: None };
        let mut is_plain = is_top;
        let mut calls = calls.iter().peekable();
        while let Some(call) = calls.next() {
            let refusal = |what| Refusal { at: call.at, what };
            if end.spots.len() > MAX_WAYS {
                return Err(TOO_MANY_WAYS);
            }
            if end.target.is_some() {
                return Err(refusal("steps behind a reference"));
            }
            let (name, arguments) = match &call.kind {
                CallKind::Name(name) => {
                    let is_extended = calls.peek().is_some_and(|next| is_extension_call(next));
                    step(&mut end, name, is_extended, is_plain)
                        .ok_or_else(|| refusal("an element that is not defined here"))?;
                    continue;
                }
                CallKind::Index(index) => {
                    end.steps.push(Step::Index(*index));
                    is_plain = false;
                    continue;
                }
                CallKind::Function(name, arguments) => (name.as_str(), arguments.as_slice()),
            };
            match (name, arguments) {
                ("extension", [Node::Literal(Literal::Text(url))]) => {
                    step(&mut end, "extension", false, is_plain)
                        .ok_or_else(|| refusal("an element that has no extensions"))?;
                    let has_url = [url_path(), Expression::Literal(Literal::Text(url.clone()))];
                    let condition = Expression::Equal(has_url.to_vec().into());
                    end.steps.push(Step::Where(vec![condition].into()));
                }
                ("where", [condition]) => {
                    let condition = self.condition(Some(&end.spots), condition)?;
                    match condition {
                        Expression::Targets(path, target)
                            if is_plain && path.steps.is_empty() && calls.peek().is_none() =>
                        {
                            end.target = Some(target);
                        }
                        condition => end.steps.push(Step::Where(vec![condition].into())),
                    }
                }
                ("ofType" | "as", [argument]) => {
                    let name = type_name(argument).ok_or_else(|| refusal("a type is missing"))?;
                    end.spots.retain(|spot| spot.kind.type_name().is_some_and(|own| is_a(own, name)));
                    if end.spots.is_empty() {
                        return Err(refusal("a type that the element cannot have"));
                    }
                    if is_plain {
                        end.start.clone_from(&end.spots);
                    } else {
                        end.steps.push(Step::OfType(name.to_owned().into()));
                    }
                }
                ("first", []) => end.steps.push(Step::Index(0)),
                ("last", []) => end.steps.push(Step::Last),
                ("resolve", []) => {
                    // Only the type of what is referred to is known here, not the rest of it.
                    let Some(next) = calls.next() else { break };
                    let target =
                        cast_target(next).ok_or(Refusal { at: next.at, what: "steps behind a reference" })?;
                    if is_plain && calls.peek().is_none() {
                        end.target = Some(target);
                    } else {
                        let condition = Expression::Targets(focus(Vec::new()), target);
                        end.steps.push(Step::Where(vec![condition].into()));
                    }
                }
                _ => return Err(refusal("a function that is not supported here")),
            }
            is_plain = is_plain && end.steps.is_empty();
        }
        let is_root = end.start.iter().any(|spot| spot.elements.is_empty());
        if is_root && !end.steps.is_empty() {
            return Err(Refusal { at: 0, what: "a condition on the resource itself" });
        }
        Ok(end)
    }

    /// A condition on an item, or on the resource if there is none.
    fn condition(&mut self, item: Option<&[Spot]>, node: &Node) -> Result<Expression, Refusal> {
        match node {
            Node::Literal(literal) => Ok(Expression::Literal(literal.clone())),
            Node::Binary(operator, sides, at) => {
                let pair: Vec<_> =
                    sides.iter().map(|side| self.condition(item, side)).collect::<Result<_, _>>()?;
                let is_constant = |side: &Expression| matches!(side, Expression::Literal(_));
                let compares = matches!(operator, Operator::Equal | Operator::Unequal);
                if compares && !pair.iter().any(is_constant) {
                    return Err(Refusal {
                        at: *at,
                        what: "a comparison with something else than a constant",
                    });
                }
                let pair = Cow::Owned(pair);
                match operator {
                    Operator::And => Ok(Expression::And(pair)),
                    Operator::Or => Ok(Expression::Or(pair)),
                    Operator::Equal => Ok(Expression::Equal(pair)),
                    Operator::Unequal => Ok(Expression::Unequal(pair)),
                    Operator::Union => Err(Refusal { at: *at, what: "a union in a condition" }),
                }
            }
            Node::Typed(inner, false, name, at) => self.type_test(item, inner, name, *at),
            Node::Chain(Root::Group(inner), calls) if calls.is_empty() => self.condition(item, inner),
            Node::Chain(root, calls) => match calls.split_last() {
                Some((last, rest)) if is_test(last) => self.test(item, root, rest, last),
                _ => Ok(Expression::Path(self.path(item, node)?)),
            },
            Node::Typed(_, true, ..) => Ok(Expression::Path(self.path(item, node)?)),
        }
    }

    /// A call that yields a condition.
    fn test(
        &mut self,
        item: Option<&[Spot]>,
        root: &Root,
        rest: &[Call],
        call: &Call,
    ) -> Result<Expression, Refusal> {
        let CallKind::Function(name, arguments) = &call.kind else { return Err(NO_PATH) };
        let mut calls = rest.to_vec();
        let before = |calls| Node::Chain(root.clone(), calls);
        match (name.as_str(), arguments.as_slice()) {
            ("exists", [condition]) => {
                let kind = CallKind::Function("where".to_owned(), vec![condition.clone()]);
                calls.push(Call { at: call.at, kind });
                Ok(Expression::Exists(self.path(item, &before(calls))?))
            }
            ("exists", []) => Ok(Expression::Exists(self.path(item, &before(calls))?)),
            ("empty", []) => {
                let exists = Expression::Exists(self.path(item, &before(calls))?);
                Ok(Expression::Not(vec![exists].into()))
            }
            ("not", []) => Ok(Expression::Not(vec![self.condition(item, &before(calls))?].into())),
            ("hasExtension", [_]) => {
                let kind = CallKind::Function("extension".to_owned(), arguments.clone());
                calls.push(Call { at: call.at, kind });
                Ok(Expression::Exists(self.path(item, &before(calls))?))
            }
            ("is", [argument]) => {
                let name = type_name(argument).ok_or(Refusal { at: call.at, what: "a type is missing" })?;
                self.type_test(item, &before(calls), name, call.at)
            }
            _ => Err(Refusal { at: call.at, what: "a function with wrong arguments" }),
        }
    }

    /// `x is T`, or `x.resolve() is T`.
    fn type_test(
        &mut self,
        item: Option<&[Spot]>,
        node: &Node,
        name: &str,
        at: usize,
    ) -> Result<Expression, Refusal> {
        if let Node::Chain(root, calls) = node
            && let Some((last, rest)) = calls.split_last()
            && matches!(&last.kind, CallKind::Function(name, _) if name == "resolve")
        {
            let target =
                ResourceType::parse(name).ok_or(Refusal { at, what: "a resource type that is not known" })?;
            let path = self.path(item, &Node::Chain(root.clone(), rest.to_vec()))?;
            return Ok(Expression::Targets(path, target));
        }
        Ok(Expression::Is(self.path(item, node)?, name.to_owned().into()))
    }

    /// The path to what a condition is about.
    fn path(&mut self, item: Option<&[Spot]>, node: &Node) -> Result<Path, Refusal> {
        let found = chains(node).filter(|chains| chains.len() == 1);
        let chain = found
            .and_then(|mut chains| chains.pop())
            .ok_or(Refusal { at: 0, what: "a condition on something else than one path" })?;
        if let (Some(spots), Start::Focus) = (item, chain.root) {
            return Ok(focus(self.walk(spots.to_vec(), &chain.calls, false)?.steps));
        }
        let calls = own_calls(self.base, &chain).unwrap_or_default();
        let end = self.walk(vec![Spot::root(self.base)], &calls, true)?;
        let at = calls.first().map_or(0, |call| call.at);
        if end.target.is_some() || end.start.iter().any(|spot| spot.elements.is_empty()) {
            return Err(Refusal { at, what: "a condition on the resource itself" });
        }
        let operand = u8::try_from(self.operands.len())
            .map_err(|_| Refusal { at, what: "an expression with too many paths" })?;
        self.operands.push(end.start.iter().map(|spot| spot.way(None)).collect());
        Ok(Path { operand: Some(operand), steps: end.steps.into() })
    }
}

/// A path from the item of a condition.
fn focus(steps: Vec<Step>) -> Path {
    Path { operand: None, steps: steps.into() }
}

fn url_path() -> Expression {
    Expression::Path(focus(vec![Step::Child("url".into())]))
}

/// Goes to the children of a name, or to the extensions of primitive ones; none if there are no such children.
fn step(end: &mut End, name: &str, is_extended: bool, is_plain: bool) -> Option<()> {
    let children: Vec<Spot> = end.spots.iter().flat_map(|spot| spot.children(name)).collect();
    let is_primitive = |spot: &Spot| matches!(spot.kind, Kind::Primitive(_));
    let is_twin = is_extended && !children.is_empty() && children.iter().all(is_primitive);
    end.spots = if is_twin { end.spots.iter().flat_map(|spot| spot.twins(name)).collect() } else { children };
    if is_plain {
        end.start.clone_from(&end.spots);
    } else {
        let name = Cow::Owned(name.to_owned());
        end.steps.push(if is_twin { Step::Twin(name) } else { Step::Child(name) });
    }
    (!end.spots.is_empty()).then_some(())
}

fn is_extension_call(call: &Call) -> bool {
    matches!(&call.kind, CallKind::Function(name, _) if matches!(name.as_str(), "extension" | "hasExtension"))
}

/// The type that an argument names.
fn type_name(argument: &Node) -> Option<&str> {
    let Node::Chain(Root::Focus, calls) = argument else { return None };
    match &calls.last()?.kind {
        CallKind::Name(name) => Some(name),
        _ => None,
    }
}

/// The type in `ofType(T)` or `as(T)`.
fn cast_target(call: &Call) -> Option<ResourceType> {
    match &call.kind {
        CallKind::Function(name, arguments) if matches!(name.as_str(), "ofType" | "as") => {
            ResourceType::parse(type_name(arguments.first()?)?)
        }
        _ => None,
    }
}
