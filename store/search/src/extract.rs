//! From a resource to the values of all its search parameters.
//!
//! The walk that checks a resource notes the elements at which parameters end; afterwards these few slices are
//! converted, each once for each kind of parameter.
//!
//! Invariant: nothing from contained resources and Bundle entries gets among the values, since R4 search parameters do
//! not look into them.

use keepwell_fhir::schema::Kind;
use keepwell_fhir::{Compartment, ElementNumber, ResourceType, Span, SyntaxError, Visitor, Walk, Walker};

use crate::convert::convert;
use crate::data_type::DataType;
use crate::json;
use crate::parameter::{ParameterKind, ParameterNumber};
use crate::parameters::Parameters;
use crate::path::evaluate::{Evaluation, Item, Resolver};
use crate::path::expression::Expression;
use crate::terms::{Terms, add_contained, terms};
use crate::trie::{ANY_GROUP, Program, Tries, What};
use crate::value::Value;
use crate::values::{ValueRange, Values};

/// The most tuples of composite parameters that a resource is found by: those of ten thousand components, with room.
/// More are made of elements that repeat inside each other, and grow with the square of the document.
const MAX_TUPLES: usize = 100_000;

/// The most parts for tuples that are looked for in the whole resource (`%resource.x`), since each goes with every
/// element that has tuples.
const MAX_PARTS_OF_RESOURCE: usize = 64;

/// Takes resources apart, one after the other, and keeps its memory between them.
///
/// ```
/// use keepwell_search::{Extractor, Parameters, Value};
/// let mut extractor = Extractor::new(Parameters::r4());
/// let json = br#"{"resourceType":"Patient","id":"7","name":[{"family":"Chalmers"}]}"#;
/// let extracted = extractor.extract(json)?;
/// let name = Parameters::r4().get(extracted.walk.resource_type, "family").map(|family| family.number);
/// let entry = extracted.values.entries().find(|entry| Some(entry.number) == name).expect("there is a family name");
/// assert_eq!(extracted.values.of(entry), [Value::String("Chalmers".into())]);
/// # Ok::<(), keepwell_fhir::SyntaxError>(())
/// ```
pub struct Extractor {
    parameters: Parameters,
    walker: Walker,
    values: Values,
    found: Found,
    contained: Vec<Contained>,
}

/// What a resource can be found by.
#[derive(Debug)]
#[non_exhaustive]
pub struct Extracted<'e> {
    /// What the walk found, issues included.
    pub walk: Walk<'e>,
    /// The values of the resource itself. R4 parameters do not look into contained resources.
    pub values: &'e Values,
    /// The resources contained in it, for `_contained`: their spans can be extracted by themselves.
    pub contained: &'e [Contained],
}

/// A contained resource.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Contained {
    /// Its type.
    pub resource_type: ResourceType,
    /// Its JSON.
    pub span: Span,
}

impl Extractor {
    /// An extractor for these parameters.
    #[must_use]
    pub fn new(parameters: Parameters) -> Self {
        Self {
            parameters,
            walker: Walker::new(),
            values: Values::default(),
            found: Found::default(),
            contained: Vec::new(),
        }
    }

    /// The parameters whose values are extracted.
    #[must_use]
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Walks over one resource as [`Walker::walk`] does, and converts what its parameters name.
    ///
    /// # Errors
    /// Those of [`Walker::walk`].
    pub fn extract<'e>(&'e mut self, json: &[u8]) -> Result<Extracted<'e>, SyntaxError> {
        self.extract_with(json, None)
    }

    /// Extracts one resource and replaces `out` by all its terms, those of contained resources included; without words.
    ///
    /// # Errors
    /// Those of [`Walker::walk`].
    pub fn terms(&mut self, json: &[u8], id: &str, out: &mut Terms) -> Result<(), SyntaxError> {
        let extracted = self.extract(json)?;
        terms(extracted.walk.resource_type, id, extracted.values, out);
        let contained = extracted.contained.to_vec();
        self.add_contained(json, &contained, out);
        Ok(())
    }

    /// Adds the terms of contained resources to those of the resource that contains them.
    pub fn add_contained(&mut self, json: &[u8], contained: &[Contained], out: &mut Terms) {
        for inner in contained {
            let inner = inner.span.bytes(json);
            // What is walked a second time is what was walked before.
            let Ok(extracted) = self.extract(inner) else { continue };
            let id = extracted.walk.id.map(|id| id.text(inner)).unwrap_or_default();
            add_contained(extracted.walk.resource_type, &id, extracted.values, out);
        }
        if !contained.is_empty() {
            out.sort();
        }
    }

    /// The elements that the values come from, as JSON: for whoever asks why something is found. A tuple has one for
    /// each of its parts; what no expression names as it is (`Patient.deceased`) is the result of the expression.
    ///
    /// # Errors
    /// Those of [`Walker::walk`].
    pub fn elements(&mut self, json: &[u8]) -> Result<Vec<(ParameterNumber, Vec<String>)>, SyntaxError> {
        let mut elements = Vec::new();
        self.extract_with(json, Some(&mut elements))?;
        Ok(elements)
    }

    fn extract_with<'e>(
        &'e mut self,
        json: &[u8],
        trace: Option<&mut Trace>,
    ) -> Result<Extracted<'e>, SyntaxError> {
        let Self { parameters, walker, values, found, contained } = self;
        let tries = parameters.tries();
        values.clear();
        found.clear();
        contained.clear();
        let walk = walker.walk_with(json, &mut Follower { tries, found, contained, dead: 0 })?;
        let whole = Span { start: 0, end: u32::try_from(json.len()).unwrap_or(u32::MAX) };
        found.hits.push(Hit { node: tries.root(walk.resource_type), span: whole });
        let resolver = Resolver::new(json, walk.resource_type, contained);
        Conversion { json, tries, values, found, trace, resolver, tuples: 0 }.run();
        add_own_compartments(&walk, json, values);
        Ok(Extracted { walk, values, contained })
    }
}

/// Parameters with the elements that are their values, or the parts of one.
type Trace = Vec<(ParameterNumber, Vec<String>)>;

/// What a walk found, and what was made of it: memory that is kept.
#[derive(Default)]
struct Found {
    /// The nodes from the root of the tree to the current one.
    stack: Vec<u16>,
    /// Inner elements before those around them, the resource itself last.
    hits: Vec<Hit>,
    /// What programs start from: the program, its operand, the element, its type.
    operands: Vec<(u16, u8, Span, ElementNumber)>,
    groups: Vec<Group>,
    parts: Vec<Part>,
    /// Parts that belong to every group.
    any_parts: Vec<Part>,
}

impl Found {
    fn clear(&mut self) {
        self.stack.clear();
        self.hits.clear();
        self.operands.clear();
        self.groups.clear();
        self.parts.clear();
        self.any_parts.clear();
    }
}

/// An element at which parameters end.
#[derive(Clone, Copy)]
struct Hit {
    node: u16,
    span: Span,
}

/// An element that tuples come from.
#[derive(Clone, Copy)]
struct Group {
    number: ParameterNumber,
    group: u8,
    parts: u8,
    /// The parts found in it, in the list of all parts.
    range: (usize, usize),
}

/// What an element has for one part of a composite parameter.
struct Part {
    number: ParameterNumber,
    group: u8,
    part: u8,
    span: Span,
    range: ValueRange,
}

/// Follows a walk through the tree of the type.
struct Follower<'t, 'f> {
    tries: &'t Tries,
    found: &'f mut Found,
    contained: &'f mut Vec<Contained>,
    /// How many elements deep the walk is beside the tree.
    dead: u32,
}

impl Visitor for Follower<'_, '_> {
    fn begin(&mut self, resource_type: ResourceType) {
        self.found.stack.push(self.tries.root(resource_type));
    }

    #[inline(always)]
    fn enter(&mut self, element: ElementNumber) {
        if self.dead > 0 {
            self.dead += 1;
            return;
        }
        let node = self.found.stack.last().copied().and_then(|node| self.tries.child(node, element));
        match node {
            Some(node) => self.found.stack.push(node),
            None => self.dead = 1,
        }
    }

    #[inline(always)]
    fn leave(&mut self, span: Span) {
        if self.dead > 0 {
            self.dead -= 1;
        } else if let Some(node) = self.found.stack.pop()
            && self.tries.has_actions(node)
        {
            self.found.hits.push(Hit { node, span });
        }
    }

    fn nested(&mut self, resource_type: ResourceType, is_contained: bool, span: Span) {
        // One element away from the root, in the tree or beside it: contained in the resource itself.
        if is_contained && self.found.stack.len() + self.dead as usize == 2 {
            self.contained.push(Contained { resource_type, span });
        }
    }
}

/// From the slices that a walk found to values.
struct Conversion<'a, 'x> {
    json: &'a [u8],
    tries: &'x Tries,
    values: &'x mut Values,
    found: &'x mut Found,
    trace: Option<&'x mut Trace>,
    resolver: Resolver<'a, 'x>,
    /// How many tuples there are so far.
    tuples: usize,
}

impl<'a> Conversion<'a, '_> {
    fn run(&mut self) {
        for place in 0..self.found.hits.len() {
            self.hit(self.found.hits[place]);
        }
        for place in 0..self.found.groups.len() {
            self.tuples(self.found.groups[place]);
        }
    }

    /// Does what all parameters do with an element.
    fn hit(&mut self, hit: Hit) {
        let tries = self.tries;
        let json = hit.span.bytes(self.json);
        // Parameters of one kind share the values of an element.
        let mut known: [Option<ValueRange>; ParameterKind::CODES.len()] = Default::default();
        let mut target = None;
        for action in tries.actions(hit.node) {
            let number = action.number;
            match action.what {
                What::Value { kind, data_type } => {
                    let range = self.convert(&mut known, kind, data_type, json);
                    self.attach(number, range, json);
                }
                What::Target { kind, data_type, target: wanted } => {
                    if *target.get_or_insert_with(|| self.resolver.target(json)) == Some(wanted) {
                        let range = self.convert(&mut known, kind, data_type, json);
                        self.attach(number, range, json);
                    }
                }
                What::Operand { program, operand, element } => {
                    let element = ElementNumber::from_u16(element);
                    self.found.operands.push((program, operand, hit.span, element));
                }
                What::Run { program } => self.run_program(program),
                What::Group { group, parts } => {
                    let end = self.found.parts.len();
                    let inner =
                        self.found.parts.iter().rev().take_while(|part| part.span.start >= hit.span.start);
                    let range = (end - inner.count(), end);
                    self.found.groups.push(Group { number, group, parts, range });
                }
                What::Part { group, part, kind, data_type } => {
                    let range = self.convert(&mut known, kind, data_type, json);
                    let found = Part { number, group, part, span: hit.span, range };
                    if group != ANY_GROUP {
                        self.found.parts.push(found);
                    } else if self.found.any_parts.len() < MAX_PARTS_OF_RESOURCE {
                        self.found.any_parts.push(found);
                    }
                }
            }
        }
    }

    fn attach(&mut self, number: ParameterNumber, range: ValueRange, json: &[u8]) {
        if let Some(trace) = &mut self.trace {
            trace.push((number, vec![String::from_utf8_lossy(json).into_owned()]));
        }
        if !range.is_empty() {
            self.values.attach(number, range);
        }
    }

    fn convert(
        &mut self,
        known: &mut [Option<ValueRange>],
        kind: ParameterKind,
        data_type: DataType,
        json: &[u8],
    ) -> ValueRange {
        if let Some(range) = &known[kind as usize] {
            return range.clone();
        }
        let start = self.values.len();
        convert(kind, data_type, json, self.values);
        let range = start..self.values.len();
        known[kind as usize] = Some(range.clone());
        range
    }

    /// Runs a program over what it starts from.
    fn run_program(&mut self, number: u16) {
        let Program { number: parameter, kind, operands, expression } =
            &self.tries.programs[usize::from(number)];
        let has_operand = self.found.operands.iter().any(|(program, ..)| *program == number);
        if !has_operand && matches!(expression, Expression::Path(_)) {
            return;
        }
        let mut collections = vec![Vec::new(); usize::from(*operands)];
        for (program, operand, span, element) in &self.found.operands {
            if *program == number {
                let item = Item { json: span.bytes(self.json), kind: element.kind() };
                collections[usize::from(*operand)].push(item);
            }
        }
        let evaluation = Evaluation { operands: &collections, resolver: &self.resolver };
        let items = match expression {
            Expression::Path(path) => evaluation.items(path, None),
            condition => {
                let holds = evaluation.holds(condition, None);
                let json = holds.map(|holds| if holds { &b"true"[..] } else { b"false" });
                json.map(|json| Item { json, kind: Kind::Primitive("boolean") }).into_iter().collect()
            }
        };
        for item in items {
            let start = self.values.len();
            self.convert_item(*kind, item);
            self.attach(*parameter, start..self.values.len(), item.json);
        }
    }

    fn convert_item(&mut self, kind: ParameterKind, item: Item<'_>) {
        match item.kind {
            // What lies in a Bundle is referred to by being there (`Bundle.entry[0].resource`).
            Kind::Resource if kind == ParameterKind::Reference => {
                let text = |key| json::member(item.json, key).and_then(json::text);
                let resource_type = text("resourceType").and_then(|name| ResourceType::parse(&name));
                if let (Some(resource_type), Some(id)) = (resource_type, text("id")) {
                    self.values.push(own_reference(resource_type, &id));
                }
            }
            other => {
                let data_type = other.type_name().map_or(DataType::Other, DataType::of_name);
                convert(kind, data_type, item.json, self.values);
            }
        }
    }

    /// Every combination of the parts that were found in an element.
    fn tuples(&mut self, group: Group) {
        let own = &self.found.parts[group.range.0..group.range.1];
        let own = own.iter().filter(|part| part.group == group.group).chain(&self.found.any_parts);
        let own = own.filter(|part| part.number == group.number && !part.range.is_empty());
        let mut choices: Vec<Vec<&Part>> = vec![Vec::new(); usize::from(group.parts)];
        own.for_each(|part| choices[usize::from(part.part)].push(part));
        let count = choices.iter().map(Vec::len).try_fold(1, usize::checked_mul).unwrap_or(MAX_TUPLES);
        let mut tuple = Vec::with_capacity(choices.len());
        let count = count.min(MAX_TUPLES - self.tuples);
        self.tuples += count;
        for mut place in 0..count {
            tuple.clear();
            for choice in &choices {
                tuple.push(choice[place % choice.len()]);
                place /= choice.len();
            }
            self.values.attach_tuple(group.number, tuple.iter().map(|part| part.range.clone()));
            if let Some(trace) = &mut self.trace {
                let json = |part: &&Part| String::from_utf8_lossy(part.span.bytes(self.json)).into_owned();
                trace.push((group.number, tuple.iter().map(json).collect()));
            }
        }
    }
}

/// Puts a resource in the middle of a compartment into it. For patients this is what the compartment is about, though
/// its definition only names `link`; for the others their definitions say `{def}`.
fn add_own_compartments(walk: &Walk<'_>, json: &[u8], values: &mut Values) {
    for compartment in Compartment::ALL {
        let parameters = compartment.parameters(walk.resource_type);
        let is_own = walk.resource_type.name() == compartment.code()
            && (compartment == Compartment::Patient || parameters.contains(&"{def}"));
        if let Some(id) = walk.id.filter(|_| is_own) {
            let start = values.len();
            values.push(own_reference(walk.resource_type, &id.text(json)));
            values.attach(ParameterNumber::compartment(compartment), start..values.len());
        }
    }
}

fn own_reference(resource_type: ResourceType, id: &str) -> Value {
    Value::Reference { resource_type: Some(resource_type), id: id.into(), version: None }
}
