//! From the text of a search to a [`Query`].

use keepwell_fhir::{Issue, ResourceType, Severity};

use crate::parameter::{Parameter, ParameterKind, ParameterNumber};
use crate::parameters::Parameters;

use super::build::Builder;
use super::limits::{MAX_INCLUDES, MAX_QUERY_BYTES, MAX_SORT_KEYS};
use super::text::{pairs, split, unescaped};
use super::{
    ContainedSearch, ContainedType, Criterion, Direction, Handling, Include, Query, QueryError, Scope, Sort,
    SortKey, Summary, Total,
};

impl Query {
    /// Reads the part of a search URL behind the question mark. With [`Handling::Lenient`], what is not known is left out
    /// and named in the issues, which are warnings.
    ///
    /// ```
    /// use keepwell_fhir::ResourceType;
    /// use keepwell_search::{Handling, Parameters, Query, Scope};
    /// let scope = Scope { resource_type: ResourceType::parse("Patient"), ..Scope::default() };
    /// let parameters = Parameters::r4();
    /// let (query, issues) = Query::parse(&parameters, &scope, "_sort=-_lastUpdated&_count=20", Handling::Strict)?;
    /// assert_eq!((query.count, issues.len()), (Some(20), 0));
    /// # Ok::<(), keepwell_search::QueryError>(())
    /// ```
    ///
    /// # Errors
    /// The first thing that is wrong, by the parameter it is wrong with.
    pub fn parse(
        parameters: &Parameters,
        scope: &Scope<'_>,
        text: &str,
        handling: Handling,
    ) -> Result<(Self, Vec<Issue>), QueryError> {
        if text.len() > MAX_QUERY_BYTES {
            return Err(QueryError::TooLarge { what: "bytes", limit: MAX_QUERY_BYTES });
        }
        let mut parser = Parser::new(parameters, scope);
        let mut issues = Vec::new();
        // The types decide what the other parameters mean.
        let is_type = |name: &str| name == "_type" && scope.resource_type.is_none();
        let (types, others): (Vec<_>, Vec<_>) = pairs(text).partition(|(name, _)| is_type(name));
        for (name, value) in types.into_iter().chain(others) {
            parser.builder.name(&name);
            match parser.pair(&name, &value) {
                Err(error) if handling == Handling::Lenient && error.is_unknown() => {
                    issues.push(error.issue(Severity::Warning));
                }
                other => other?,
            }
        }
        parser.query.criterion = match parser.all.len() {
            1 => parser.all.swap_remove(0),
            _ => Criterion::All(parser.all),
        };
        Ok((parser.query, issues))
    }
}

struct Parser<'p> {
    builder: Builder<'p>,
    query: Query,
    all: Vec<Criterion>,
    /// The parameters of the result that were given, since each may be only once.
    seen: Vec<&'static str>,
    has_type_in_path: bool,
}

impl<'p> Parser<'p> {
    fn new(parameters: &'p Parameters, scope: &Scope<'_>) -> Self {
        let query = Query {
            types: scope.resource_type.into_iter().collect(),
            compartment: scope.compartment.map(|(compartment, id)| (compartment, id.into())),
            criterion: Criterion::All(Vec::new()),
            sort: Vec::new(),
            contained: ContainedSearch::Never,
            contained_type: ContainedType::Container,
            count: None,
            total: None,
            summary: Summary::False,
            elements: Vec::new(),
            includes: Vec::new(),
        };
        Self {
            builder: Builder::new(parameters, scope.now_ms),
            query,
            all: Vec::new(),
            seen: Vec::new(),
            has_type_in_path: scope.resource_type.is_some(),
        }
    }

    fn pair(&mut self, name: &str, value: &str) -> Result<(), QueryError> {
        match name {
            "_type" if !self.has_type_in_path => self.types(value),
            "_sort" => self.once("_sort", value).and_then(|value| self.sort(value)),
            "_count" => {
                let count = self.once("_count", value)?.parse();
                self.query.count = Some(count.map_err(|_| self.builder.malformed(1, "a whole number"))?);
                Ok(())
            }
            "_total" => self.choose("_total", value, &TOTALS).map(|total| self.query.total = Some(total)),
            "_summary" => {
                self.choose("_summary", value, &SUMMARIES).map(|summary| self.query.summary = summary)
            }
            "_contained" => {
                self.choose("_contained", value, &CONTAINED).map(|contained| self.query.contained = contained)
            }
            "_containedType" => self
                .choose("_containedType", value, &CONTAINED_TYPES)
                .map(|contained_type| self.query.contained_type = contained_type),
            "_elements" => {
                let names = self.once("_elements", value)?;
                self.query.elements = split(names, ',').map(|name| name.trim().into()).collect();
                Ok(())
            }
            "_filter" => {
                let criterion = super::filter::parse(&mut self.builder, &self.query.types, value)?;
                self.all.push(criterion);
                Ok(())
            }
            // How the answer is written is not the search's to say.
            "_format" | "_pretty" => Ok(()),
            "_query" => Err(QueryError::Unsupported {
                parameter: name.to_owned(),
                reason: "there are no named queries",
            }),
            _ => match name.split_once(':').unwrap_or((name, "")) {
                ("_include", modifier) => self.include(Direction::Forward, modifier, value),
                ("_revinclude", modifier) => self.include(Direction::Reverse, modifier, value),
                _ => {
                    let criterion = self.builder.of_types(&self.query.types, name, value)?;
                    self.all.push(criterion);
                    Ok(())
                }
            },
        }
    }

    /// A parameter of the result, which may be given only once and must have a value.
    fn once<'v>(&mut self, name: &'static str, value: &'v str) -> Result<&'v str, QueryError> {
        if value.is_empty() {
            return Err(QueryError::Empty { parameter: name.to_owned() });
        }
        if self.seen.contains(&name) {
            return Err(QueryError::Repeated { parameter: name.to_owned() });
        }
        self.seen.push(name);
        Ok(value)
    }

    fn choose<T: Copy>(
        &mut self,
        name: &'static str,
        value: &str,
        choices: &[(&str, T)],
    ) -> Result<T, QueryError> {
        let value = self.once(name, value)?;
        let choice = choices.iter().find(|(code, _)| *code == value);
        choice.map(|(_, choice)| *choice).ok_or_else(|| self.builder.malformed(1, "one of the codes of R4"))
    }

    /// Several `_type` parameters leave the types that all of them name.
    fn types(&mut self, value: &str) -> Result<(), QueryError> {
        let mut types = Vec::new();
        for (place, name) in split(value, ',').enumerate() {
            let resource_type = ResourceType::parse(name);
            types.push(resource_type.ok_or_else(|| self.builder.malformed(place + 1, "the name of a type"))?);
        }
        types.sort_unstable();
        types.dedup();
        if self.seen.contains(&"_type") {
            types.retain(|resource_type| self.query.types.contains(resource_type));
            if types.is_empty() {
                // No resource has two types. The types are left, so that the other parameters can be read.
                self.all.push(Criterion::Any(Vec::new()));
                return Ok(());
            }
        }
        self.seen.push("_type");
        self.query.types = types;
        Ok(())
    }

    fn sort(&mut self, value: &str) -> Result<(), QueryError> {
        for (place, key) in split(value, ',').enumerate() {
            if place == MAX_SORT_KEYS {
                return Err(QueryError::TooLarge { what: "sort keys", limit: MAX_SORT_KEYS });
            }
            let (code, descending) = key.strip_prefix('-').map_or((key, false), |code| (code, true));
            let by = match code.trim() {
                "_lastUpdated" => Sort::LastUpdated,
                "_id" => Sort::Id,
                code => Sort::Parameter(self.sort_parameter(code)?),
            };
            self.query.sort.push(SortKey { by, descending });
        }
        Ok(())
    }

    fn sort_parameter(&self, code: &str) -> Result<Parameter, QueryError> {
        let parameters = self.builder.parameters;
        let parameter = match self.query.types[..] {
            [resource_type] => parameters.get(resource_type, code),
            _ => parameters.of_all_types(code),
        };
        let has_order = |parameter: &&Parameter| {
            !matches!(parameter.kind, ParameterKind::Composite | ParameterKind::Special)
                && !NO_ORDER.contains(&parameter.number)
        };
        parameter.filter(has_order).cloned().ok_or_else(|| self.builder.unknown_parameter())
    }

    fn include(&mut self, direction: Direction, modifier: &str, value: &str) -> Result<(), QueryError> {
        if self.query.includes.len() == MAX_INCLUDES {
            return Err(QueryError::TooLarge { what: "inclusions", limit: MAX_INCLUDES });
        }
        let iterate = match modifier {
            "" => false,
            // The name of STU3 is still in use.
            "iterate" | "recurse" => true,
            _ => return Err(self.builder.unknown_modifier()),
        };
        let value = unescaped(value);
        if value.is_empty() {
            return Err(QueryError::Empty { parameter: "_include".to_owned() });
        }
        let mut parts = value.split(':');
        let source = parts.next().unwrap_or_default();
        let code = parts.next();
        let target = parts.next().filter(|target| !target.is_empty());
        if parts.next().is_some() || (source != "*" && code.is_none()) {
            return Err(self.builder.malformed(1, "Type:parameter or Type:parameter:TargetType"));
        }
        let target = target.map(|name| self.resource_type(name)).transpose()?;
        let source = (source != "*").then(|| self.resource_type(source)).transpose()?;
        let parameter = match code.filter(|code| *code != "*") {
            Some(code) => Some(self.include_parameter(source, code)?),
            None => None,
        };
        self.query.includes.push(Include { direction, source, parameter, target, iterate });
        Ok(())
    }

    fn resource_type(&self, name: &str) -> Result<ResourceType, QueryError> {
        ResourceType::parse(name).ok_or_else(|| self.builder.malformed(1, "the name of a type"))
    }

    fn include_parameter(&self, source: Option<ResourceType>, code: &str) -> Result<Parameter, QueryError> {
        let parameters = self.builder.parameters;
        let parameter = match source {
            Some(source) => parameters.get(source, code),
            None => parameters.of_all_types(code),
        };
        let parameter = parameter.filter(|parameter| parameter.kind == ParameterKind::Reference);
        parameter.cloned().ok_or_else(|| self.builder.unknown_parameter())
    }
}

const NO_ORDER: [ParameterNumber; 3] =
    [ParameterNumber::TEXT, ParameterNumber::CONTENT, ParameterNumber::LIST];

const TOTALS: [(&str, Total); 3] =
    [("none", Total::None), ("estimate", Total::Estimate), ("accurate", Total::Accurate)];

const CONTAINED: [(&str, ContainedSearch); 3] =
    [("false", ContainedSearch::Never), ("true", ContainedSearch::Only), ("both", ContainedSearch::Both)];

const CONTAINED_TYPES: [(&str, ContainedType); 2] =
    [("container", ContainedType::Container), ("contained", ContainedType::Contained)];

const SUMMARIES: [(&str, Summary); 5] = [
    ("false", Summary::False),
    ("true", Summary::True),
    ("text", Summary::Text),
    ("data", Summary::Data),
    ("count", Summary::Count),
];
