//! Parameters on their way into the tables: compiled, folded into the trees of their types.

use std::collections::{BTreeMap, BTreeSet};

use keepwell_fhir::{Compartment, ResourceType};

use crate::data_type::DataType;
use crate::parameter::{Base, Component, Parameter, ParameterKind, ParameterNumber};
use crate::path::{self, Refusal, Scope, Way};
use crate::trie::{ANY_GROUP, Action, Builder, Known, Program, TooMany, Tries, What};

/// A search parameter of one type, or of all types, as its definition has it.
#[derive(Clone, Debug)]
pub struct Definition {
    /// Its number.
    pub number: ParameterNumber,
    /// `SearchParameter.code`
    pub code: String,
    /// `SearchParameter.url`
    pub url: String,
    /// `SearchParameter.type`
    pub kind: ParameterKind,
    /// One of `SearchParameter.base`.
    pub base: Base,
    /// `SearchParameter.target`
    pub targets: Vec<ResourceType>,
    /// `SearchParameter.expression`; empty if the resource itself has no values.
    pub expression: String,
    /// `SearchParameter.component`: the parameter that defines the part, and its expression.
    pub components: Vec<(Component, String)>,
}

/// Tables that grow.
pub(crate) struct Draft {
    tries: Tries,
    trees: BTreeMap<ResourceType, Builder>,
}

/// Why a definition cannot be used: its part, and what is not supported there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Unsupported {
    /// The place of the component; none for the expression of the parameter itself.
    pub(crate) component: Option<usize>,
    pub(crate) refusal: Refusal,
}

impl Draft {
    pub(crate) const fn new(tries: Tries) -> Self {
        Self { tries, trees: BTreeMap::new() }
    }

    /// The finished tables.
    pub(crate) fn finish(mut self) -> Result<Tries, TooMany> {
        let mut known = Known::of(&self.tries);
        for (resource_type, tree) in &self.trees {
            tree.store(&mut self.tries, &mut known, *resource_type)?;
        }
        Ok(self.tries)
    }

    /// Compiles a definition and adds it to the trees of its types.
    pub(crate) fn add(&mut self, definition: &Definition) -> Result<Parameter, Unsupported> {
        let repeats = match definition.base {
            Base::One(resource_type) => self.add_to(resource_type, definition)?,
            Base::All => {
                // Some types have no narrative: what they lack, the others have nevertheless.
                let found = ResourceType::all().map(|resource_type| self.add_to(resource_type, definition));
                let (fine, refused): (Vec<_>, Vec<_>) = found.partition(Result::is_ok);
                match refused.into_iter().next() {
                    Some(refusal) if fine.is_empty() => refusal?,
                    _ => fine.contains(&Ok(true)),
                }
            }
        };
        Ok(Parameter {
            number: definition.number,
            code: definition.code.clone().into(),
            url: definition.url.clone().into(),
            kind: definition.kind,
            base: definition.base,
            targets: definition.targets.clone().into(),
            components: definition.components.iter().map(|(component, _)| *component).collect(),
            repeats,
        })
    }

    /// Adds a definition to the tree of a type; whether there may be several values.
    fn add_to(&mut self, base: ResourceType, definition: &Definition) -> Result<bool, Unsupported> {
        if definition.expression.is_empty() {
            return Ok(false);
        }
        if definition.kind == ParameterKind::Composite {
            return self.add_composite(base, definition);
        }
        let refused = |refusal| Unsupported { component: None, refusal };
        let compiled = path::compile(base, &definition.expression).map_err(refused)?;
        if compiled.ways.is_empty() && compiled.programs.is_empty() {
            return Err(refused(Refusal { at: 0, what: "an expression that says nothing about the type" }));
        }
        let places: BTreeSet<_> = compiled.ways.iter().map(Way::place).collect();
        let mut repeats = places.len() + compiled.programs.len() > 1;
        repeats |= compiled.ways.iter().any(|way| way.repeats);
        for way in &compiled.ways {
            let kind = definition.kind;
            let data_type = data_type(kind, way.data_type);
            let what = match way.target {
                Some(target) => What::Target { kind, data_type, target },
                None => What::Value { kind, data_type },
            };
            self.tree(base).add(&way.elements, Action { number: definition.number, what });
        }
        for program in compiled.programs {
            repeats |= program.operands.iter().flatten().any(|way| way.repeats);
            self.add_program(base, definition, program).map_err(refused)?;
        }
        Ok(repeats)
    }

    fn add_program(
        &mut self,
        base: ResourceType,
        definition: &Definition,
        program: path::Program,
    ) -> Result<(), Refusal> {
        let too_many = Refusal { at: 0, what: "more conditions than tables can hold" };
        let number = definition.number;
        let place = u16::try_from(self.tries.programs.len()).map_err(|_| too_many)?;
        for (operand, ways) in (0..).zip(&program.operands) {
            for way in ways {
                let element = way.elements.last().map_or(0, |element| element.as_u16());
                let what = What::Operand { program: place, operand, element };
                self.tree(base).add(&way.elements, Action { number, what });
            }
        }
        self.tree(base).add(&[], Action { number, what: What::Run { program: place } });
        let (kind, expression) = (definition.kind, program.expression);
        let operands = u8::try_from(program.operands.len()).map_err(|_| too_many)?;
        self.tries.programs.to_mut().push(Program { number, kind, operands, expression });
        Ok(())
    }

    fn add_composite(&mut self, base: ResourceType, definition: &Definition) -> Result<bool, Unsupported> {
        let refused = |refusal| Unsupported { component: None, refusal };
        let groups = path::compile_group(base, &definition.expression).map_err(refused)?;
        if groups.is_empty() {
            return Err(refused(Refusal { at: 0, what: "an expression that says nothing about the type" }));
        }
        let number = definition.number;
        let parts = u8::try_from(definition.components.len())
            .map_err(|_| refused(Refusal { at: 0, what: "too many components" }))?;
        let mut repeats = groups.len() > 1;
        for (group, source) in (0..ANY_GROUP).zip(&groups) {
            for way in &source.ways {
                repeats |= way.repeats;
                self.tree(base).add(&way.elements, Action { number, what: What::Group { group, parts } });
            }
            for (part, (component, expression)) in (0..).zip(&definition.components) {
                let place = usize::from(part);
                let refused = |refusal| Unsupported { component: Some(place), refusal };
                let ways = path::compile_component(base, source, expression).map_err(refused)?;
                for (scope, way) in ways {
                    let group = if scope == Scope::Resource { ANY_GROUP } else { group };
                    let kind = component.kind;
                    let what = What::Part { group, part, kind, data_type: way.data_type };
                    self.tree(base).add(&way.elements, Action { number, what });
                }
            }
        }
        Ok(repeats)
    }

    /// Puts resources of a type into a compartment by the references of one of its parameters.
    pub(crate) fn add_to_compartment(
        &mut self,
        base: ResourceType,
        compartment: Compartment,
        expression: &str,
    ) -> Result<(), Refusal> {
        let Some(target) = ResourceType::parse(compartment.code()) else { return Ok(()) };
        let compiled = path::compile(base, expression)?;
        if !compiled.programs.is_empty() {
            return Err(Refusal { at: 0, what: "a condition in a compartment" });
        }
        let number = ParameterNumber::compartment(compartment);
        for way in compiled.ways.iter().filter(|way| way.target.is_none_or(|other| other == target)) {
            let what = What::Target { kind: ParameterKind::Reference, data_type: way.data_type, target };
            self.tree(base).add(&way.elements, Action { number, what });
        }
        Ok(())
    }

    fn tree(&mut self, resource_type: ResourceType) -> &mut Builder {
        self.trees.entry(resource_type).or_insert_with(|| Builder::of(&self.tries, resource_type))
    }
}

/// A place on earth is a backbone element, so it has no name as a type.
fn data_type(kind: ParameterKind, data_type: DataType) -> DataType {
    if kind == ParameterKind::Special { DataType::Position } else { data_type }
}
