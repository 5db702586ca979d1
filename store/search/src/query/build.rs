//! From names and values to criteria: modifiers, chains and `_has`.

use keepwell_fhir::ResourceType;

use crate::parameter::{Parameter, ParameterKind, ParameterNumber};
use crate::parameters::Parameters;

use super::limits::{Budget, MAX_CHAIN_DEPTH};
use super::modifier::Modifier;
use super::text::split;
use super::value::{ValueParser, ValueProblem};
use super::{Chain, Clause, Criterion, Has, Matching, QueryError, SearchValue};

/// Types, and what resources of them must be like.
type Kinds = &'static [(&'static str, &'static [(&'static str, &'static str)])];

const ACTIVE: (&str, &str) = ("clinical-status", "active,recurrence,relapse");
const NOT_REFUTED: (&str, &str) = ("verification-status:not", "refuted,entered-in-error");

/// The functional lists of R4 lifecycle.html#current.
const FUNCTIONAL_LISTS: [(&str, Kinds); 4] = [
    ("$current-problems", &[("Condition", &[ACTIVE, NOT_REFUTED])]),
    (
        "$current-medications",
        &[
            ("MedicationStatement", &[("status", "active,intended")]),
            ("MedicationRequest", &[("status", "active")]),
        ],
    ),
    ("$current-allergies", &[("AllergyIntolerance", &[("clinical-status", "active"), NOT_REFUTED])]),
    (
        "$current-drug-allergies",
        &[("AllergyIntolerance", &[("clinical-status", "active"), NOT_REFUTED, ("category", "medication")])],
    ),
];

/// Builds criteria. One is used for a whole search, whose limits it keeps.
pub(super) struct Builder<'p> {
    pub(super) parameters: &'p Parameters,
    pub(super) budget: Budget,
    pub(super) values: ValueParser<'p>,
    /// How deep the filter that is being read lies in others.
    pub(super) filter_depth: usize,
    /// The name of the parameter that is being read, for errors.
    name: String,
}

/// What follows the name of a parameter.
pub(super) trait Question: Copy {
    /// Whether references on the way to it may have filters in brackets.
    const HAS_FILTERS: bool = false;

    /// The criterion that a parameter with this modifier has to fulfil.
    fn ask(
        self,
        builder: &mut Builder<'_>,
        parameter: &Parameter,
        modifier: Option<&str>,
    ) -> Result<Criterion, QueryError>;
}

/// The text behind the equals sign.
impl Question for &str {
    fn ask(
        self,
        builder: &mut Builder<'_>,
        parameter: &Parameter,
        modifier: Option<&str>,
    ) -> Result<Criterion, QueryError> {
        let modifier = Modifier::parse(parameter, modifier).ok_or_else(|| builder.unknown_modifier())?;
        builder.clause(parameter, modifier, self)
    }
}

impl<'p> Builder<'p> {
    pub(super) fn new(parameters: &'p Parameters, now_ms: i64) -> Self {
        let values = ValueParser { parameters, now_ms };
        Self { parameters, budget: Budget::new(), values, filter_depth: 0, name: String::new() }
    }

    /// Names the parameter in the errors that follow.
    pub(super) fn name(&mut self, name: &str) {
        self.name = name.chars().take(super::MAX_NAME_CHARS).collect();
    }

    /// What a parameter asks of resources of these types; of all if there are none.
    pub(super) fn of_types<Q: Question>(
        &mut self,
        types: &[ResourceType],
        name: &str,
        question: Q,
    ) -> Result<Criterion, QueryError> {
        let code = name.split(['.', ':', '[']).next().unwrap_or_default();
        match types {
            [single] => self.of_type(Some(*single), name, question, 0),
            _ if types.is_empty() || code == "_has" || self.parameters.of_all_types(code).is_some() => {
                self.of_type(None, name, question, 0)
            }
            // Each type has a parameter of its own with this name, or the search does not know it.
            _ => {
                let mut any = Vec::with_capacity(types.len());
                for &resource_type in types {
                    let criterion = self.of_type(Some(resource_type), name, question, 0)?;
                    any.push(Criterion::All(vec![Criterion::Type(resource_type), criterion]));
                }
                Ok(Criterion::Any(any))
            }
        }
    }

    fn of_type<Q: Question>(
        &mut self,
        resource_type: Option<ResourceType>,
        name: &str,
        question: Q,
        depth: usize,
    ) -> Result<Criterion, QueryError> {
        if depth > MAX_CHAIN_DEPTH {
            return Err(QueryError::TooLarge { what: "references in a chain", limit: MAX_CHAIN_DEPTH });
        }
        if let Some(rest) = name.strip_prefix("_has:") {
            return self.has(resource_type, rest, question, depth);
        }
        if let Some((head, rest)) = first_dot(name) {
            return self.chain(resource_type, head, rest, question, depth);
        }
        if Q::HAS_FILTERS && name.contains('[') {
            return Err(self.malformed(1, "a path behind the brackets"));
        }
        let (code, modifier) = match name.split_once(':') {
            Some((code, modifier)) => (code, Some(modifier)),
            None => (name, None),
        };
        let parameter = self.parameter(resource_type, code)?;
        question.ask(self, &parameter, modifier)
    }

    fn parameter(&self, resource_type: Option<ResourceType>, code: &str) -> Result<Parameter, QueryError> {
        let parameter = match resource_type {
            Some(resource_type) => self.parameters.get(resource_type, code),
            None => self.parameters.of_all_types(code),
        };
        // Pseudo parameters, such as those of compartments, cannot be named.
        let parameter = parameter.filter(|parameter| !is_pseudo(parameter.number));
        parameter.cloned().ok_or_else(|| self.unknown_parameter())
    }

    /// A reference parameter, of a type or of all types.
    fn reference(&self, resource_type: Option<ResourceType>, code: &str) -> Result<Parameter, QueryError> {
        let parameter = self.parameter(resource_type, code)?;
        if parameter.kind == ParameterKind::Reference { Ok(parameter) } else { Err(self.unknown_parameter()) }
    }

    /// `subject:Patient.name`: `head` is what is before the first dot.
    fn chain<Q: Question>(
        &mut self,
        resource_type: Option<ResourceType>,
        head: &str,
        rest: &str,
        question: Q,
        depth: usize,
    ) -> Result<Criterion, QueryError> {
        let (head, filter) = match head.split_once('[') {
            Some((head, filter)) if Q::HAS_FILTERS => (head, filter.strip_suffix(']')),
            _ => (head, None),
        };
        let (code, named) = match head.split_once(':') {
            Some((code, name)) => {
                (code, Some(ResourceType::parse(name).ok_or_else(|| self.unknown_modifier())?))
            }
            None => (head, None),
        };
        let parameter = self.reference(resource_type, code)?;
        let may_be = |target| parameter.targets.is_empty() || parameter.targets.contains(&target);
        let candidates: Vec<_> = match named {
            Some(named) if !may_be(named) => return Err(self.unknown_modifier()),
            Some(named) => vec![named],
            None => ResourceType::all().filter(|&target| may_be(target)).collect(),
        };
        let mut targets = Vec::new();
        let mut problem = None;
        for target in candidates {
            if filter.is_some() {
                self.budget.take_clause()?;
            }
            let filtered = filter.map(|filter| super::filter::parse(self, &[target], filter)).transpose();
            let found = filtered.and_then(|filter| {
                let criterion = self.of_type(Some(target), rest, question, depth + 1)?;
                Ok(match filter {
                    Some(filter) => Criterion::All(vec![filter, criterion]),
                    None => criterion,
                })
            });
            match found {
                Ok(criterion) => targets.push((target, criterion)),
                Err(error @ QueryError::TooLarge { .. }) => return Err(error),
                // A type that does not know the rest is not meant.
                Err(error) => problem = problem.or(Some(error)),
            }
        }
        if targets.is_empty() {
            return Err(problem.unwrap_or_else(|| self.unknown_parameter()));
        }
        Ok(Criterion::Chain(Chain { parameter, targets }))
    }

    /// `Observation:patient:code`, behind `_has:`.
    fn has<Q: Question>(
        &mut self,
        resource_type: Option<ResourceType>,
        rest: &str,
        question: Q,
        depth: usize,
    ) -> Result<Criterion, QueryError> {
        let mut parts = rest.splitn(3, ':');
        let (Some(source), Some(code), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(self.malformed(1, "_has:Type:reference:parameter"));
        };
        let source = ResourceType::parse(source).ok_or_else(|| self.unknown_parameter())?;
        let parameter = self.reference(Some(source), code)?;
        let may_be = |target| parameter.targets.is_empty() || parameter.targets.contains(&target);
        if resource_type.is_some_and(|resource_type| !may_be(resource_type)) {
            return Err(self.unknown_parameter());
        }
        let criterion = Box::new(self.of_type(Some(source), rest, question, depth + 1)?);
        Ok(Criterion::Has(Has { source, parameter, criterion }))
    }

    /// A parameter with the values that are between commas.
    fn clause(
        &mut self,
        parameter: &Parameter,
        modifier: Modifier,
        text: &str,
    ) -> Result<Criterion, QueryError> {
        self.budget.take_clause()?;
        if text.is_empty() {
            return Err(QueryError::Empty { parameter: self.name.clone() });
        }
        if modifier == Modifier::Missing {
            let is_missing = match text {
                "true" => true,
                "false" => false,
                _ => return Err(self.malformed(1, "true or false")),
            };
            return Ok(clause(parameter, Matching::Missing(is_missing)));
        }
        let mut values = Vec::new();
        for (place, part) in split(text, ',').enumerate() {
            self.budget.take_value()?;
            if part.is_empty() {
                return Err(self.malformed(place + 1, "a value"));
            }
            let value = self.values.parse(parameter, modifier, part);
            values.push(value.map_err(|problem| self.problem(place + 1, problem))?);
        }
        if parameter.number == ParameterNumber::LIST {
            return self.in_list(values);
        }
        let criterion = clause(parameter, Matching::AnyOf(values));
        Ok(if modifier.negates() { Criterion::Not(Box::new(criterion)) } else { criterion })
    }

    /// `_list`: a List with one of these ids has the resource as an item.
    fn in_list(&mut self, values: Vec<SearchValue>) -> Result<Criterion, QueryError> {
        let name = |value: &SearchValue| match value {
            SearchValue::Token { code: Some(code), .. } if code.starts_with('$') => Some(code.clone()),
            _ => None,
        };
        let (named, values): (Vec<_>, Vec<_>) = values.into_iter().partition(|value| name(value).is_some());
        let mut any = Vec::new();
        for list in named.iter().filter_map(name) {
            any.push(self.functional_list(&list)?);
        }
        if values.is_empty() {
            return Ok(Criterion::Any(any));
        }
        let list = ResourceType::parse("List").ok_or_else(|| self.unknown_parameter())?;
        let parameter = self.reference(Some(list), "item")?;
        let id = self.parameter(Some(list), "_id")?;
        let criterion = Box::new(clause(&id, Matching::AnyOf(values)));
        any.push(Criterion::Has(Has { source: list, parameter, criterion }));
        Ok(if any.len() == 1 { any.swap_remove(0) } else { Criterion::Any(any) })
    }

    /// What is on a list that is known by what it is for (R4 lifecycle.html#current): nobody keeps it, so it is what
    /// the states of the resources say.
    fn functional_list(&mut self, name: &str) -> Result<Criterion, QueryError> {
        let parts = FUNCTIONAL_LISTS.iter().find(|(known, _)| *known == name).map(|(_, parts)| *parts);
        let parts = parts.ok_or_else(|| QueryError::Unsupported {
            parameter: self.name.clone(),
            reason: "the functional lists are $current-problems, $current-medications, $current-allergies and \
                     $current-drug-allergies",
        })?;
        let mut any = Vec::with_capacity(parts.len());
        for (kind, conditions) in parts {
            let kind = ResourceType::parse(kind).ok_or_else(|| self.unknown_parameter())?;
            let mut all = vec![Criterion::Type(kind)];
            for (name, value) in *conditions {
                all.push(self.of_type(Some(kind), name, *value, 0)?);
            }
            any.push(Criterion::All(all));
        }
        Ok(Criterion::Any(any))
    }

    pub(super) fn unknown_parameter(&self) -> QueryError {
        QueryError::UnknownParameter { parameter: self.name.clone() }
    }

    pub(super) fn unknown_modifier(&self) -> QueryError {
        QueryError::UnknownModifier { parameter: self.name.clone() }
    }

    pub(super) fn malformed(&self, position: usize, reason: &'static str) -> QueryError {
        QueryError::Malformed { parameter: self.name.clone(), position, reason }
    }

    pub(super) fn problem(&self, position: usize, problem: ValueProblem) -> QueryError {
        let parameter = self.name.clone();
        match problem {
            ValueProblem::Prefix => QueryError::UnknownPrefix { parameter, position },
            ValueProblem::Format(reason) => QueryError::Malformed { parameter, position, reason },
            ValueProblem::NotSupported(reason) => QueryError::Unsupported { parameter, reason },
        }
    }
}

pub(super) fn clause(parameter: &Parameter, matching: Matching) -> Criterion {
    Criterion::Clause(Clause { parameter: parameter.clone(), matching })
}

/// What is before and behind the first dot that is not in brackets.
fn first_dot(name: &str) -> Option<(&str, &str)> {
    let mut depth = 0_usize;
    let at = name.find(|c: char| {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == '.' && depth == 0
    })?;
    Some((&name[..at], &name[at + 1..]))
}

/// Whether the number is for indexes only.
const fn is_pseudo(number: ParameterNumber) -> bool {
    number.0 >= ParameterNumber::TYPE.0 && number.0 <= ParameterNumber::COMPARTMENT_DEVICE.0
}
