//! The language of `_filter` (R4 search_filter.html).
//!
//! `and` and `or` are taken from the left to the right, neither before the other; `not` stands before parentheses. A path
//! is a chain as in names of parameters, and a reference in it may have a filter in brackets, which what is referred to
//! has to pass: `subject[gender eq female].name co "pet"`. Of the values of other parameters none can be chosen so. The
//! operator `ne` on what has no order means that there is a value, and none that is equal.

use std::str::FromStr;

use keepwell_fhir::ResourceType;

use crate::parameter::{Parameter, ParameterKind};

use super::build::{Builder, Question, clause};
use super::limits::MAX_FILTER_DEPTH;
use super::modifier::Modifier;
use super::value::{ValueProblem, number, quantity, uri};
use super::{Criterion, Matching, Prefix, QueryError, SearchValue, StringMatch, UriMatch};

/// Reads a filter on resources of these types.
pub(super) fn parse(
    builder: &mut Builder<'_>,
    types: &[ResourceType],
    text: &str,
) -> Result<Criterion, QueryError> {
    let depth = builder.filter_depth;
    if depth > MAX_FILTER_DEPTH {
        return Err(QueryError::TooLarge { what: "brackets", limit: MAX_FILTER_DEPTH });
    }
    let mut parser = Parser { builder, types, rest: text.trim(), depth };
    let criterion = parser.chain()?;
    if parser.rest.is_empty() { Ok(criterion) } else { Err(parser.malformed("and, or, or the end")) }
}

struct Parser<'p, 'b, 't> {
    builder: &'p mut Builder<'b>,
    types: &'t [ResourceType],
    rest: &'t str,
    depth: usize,
}

impl<'t> Parser<'_, '_, 't> {
    /// Filters with `and` and `or` between them.
    fn chain(&mut self) -> Result<Criterion, QueryError> {
        let mut left = self.one()?;
        loop {
            left = if self.word("and") {
                match (left, self.one()?) {
                    (Criterion::All(mut all), right) => {
                        all.push(right);
                        Criterion::All(all)
                    }
                    (left, right) => Criterion::All(vec![left, right]),
                }
            } else if self.word("or") {
                match (left, self.one()?) {
                    (Criterion::Any(mut any), right) => {
                        any.push(right);
                        Criterion::Any(any)
                    }
                    (left, right) => Criterion::Any(vec![left, right]),
                }
            } else {
                return Ok(left);
            };
        }
    }

    fn one(&mut self) -> Result<Criterion, QueryError> {
        if self.rest.starts_with('(') {
            return self.parenthesis();
        }
        let before = self.rest;
        if self.word("not") {
            if self.rest.starts_with('(') {
                return Ok(Criterion::Not(Box::new(self.parenthesis()?)));
            }
            // A parameter may have that name.
            self.rest = before;
        }
        self.comparison()
    }

    fn parenthesis(&mut self) -> Result<Criterion, QueryError> {
        self.depth += 1;
        if self.depth > MAX_FILTER_DEPTH {
            return Err(QueryError::TooLarge { what: "parentheses", limit: MAX_FILTER_DEPTH });
        }
        self.rest = self.rest[1..].trim_start();
        let criterion = self.chain()?;
        self.rest =
            self.rest.strip_prefix(')').ok_or_else(|| self.malformed("a closing parenthesis"))?.trim_start();
        self.depth -= 1;
        Ok(criterion)
    }

    /// `path operator value`
    fn comparison(&mut self) -> Result<Criterion, QueryError> {
        let path = self.path()?;
        let operator = self.token();
        let operator = operator.parse().map_err(|()| self.malformed("a path, an operator and a value"))?;
        let value = self.value()?;
        if path.is_empty() || value.is_empty() {
            return Err(self.malformed("a path, an operator and a value"));
        }
        self.builder.name(path);
        let types = self.types;
        let before = std::mem::replace(&mut self.builder.filter_depth, self.depth + 1);
        let criterion = self.builder.of_types(types, path, Comparison { operator, value: &value });
        self.builder.filter_depth = before;
        self.builder.name("_filter");
        criterion
    }

    /// Moves behind a word, if it is the next one.
    fn word(&mut self, word: &str) -> bool {
        let Some(rest) = self.rest.strip_prefix(word) else { return false };
        let ends = rest.starts_with(|c: char| c == '(' || c.is_whitespace());
        if ends {
            self.rest = rest.trim_start();
        }
        ends
    }

    /// A path, with the filters in its brackets.
    fn path(&mut self) -> Result<&'t str, QueryError> {
        let (mut depth, mut is_quoted, mut is_escaped) = (0_usize, false, false);
        let end = self.rest.find(|c: char| {
            match c {
                _ if is_escaped => {}
                '"' if depth > 0 => is_quoted = !is_quoted,
                '[' if !is_quoted => depth += 1,
                ']' if !is_quoted => depth = depth.saturating_sub(1),
                _ => {}
            }
            is_escaped = is_quoted && c == '\\' && !is_escaped;
            depth == 0 && (c == ')' || c.is_whitespace())
        });
        let (path, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest.trim_start();
        if depth > 0 { Err(self.malformed("a closing bracket")) } else { Ok(path) }
    }

    /// What is before the next space or closing parenthesis.
    fn token(&mut self) -> &'t str {
        let end = self.rest.find(|c: char| c == ')' || c.is_whitespace()).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(end);
        self.rest = rest.trim_start();
        token
    }

    /// A word, or a string in quotes with the escapes of JSON.
    fn value(&mut self) -> Result<String, QueryError> {
        let Some(inner) = self.rest.strip_prefix('"') else { return Ok(self.token().to_owned()) };
        let mut text = String::new();
        let mut chars = inner.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.rest = inner[at + 1..].trim_start();
                    return Ok(text);
                }
                '\\' => match chars.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 't')) => text.push('\t'),
                    Some((_, c @ ('"' | '\\' | '/'))) => text.push(c),
                    _ => return Err(self.malformed("a known escape")),
                },
                c => text.push(c),
            }
        }
        Err(self.malformed("a closing quote"))
    }

    fn malformed(&self, reason: &'static str) -> QueryError {
        QueryError::Malformed { parameter: "_filter".to_owned(), position: 1, reason }
    }
}

/// What two sides of a comparison have to do with each other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operator {
    Ordered(Prefix),
    Contains,
    StartsWith,
    EndsWith,
    Present,
    Overlaps,
    Subsumes,
    SubsumedBy,
    In,
    NotIn,
    References,
}

impl FromStr for Operator {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Ok(match text {
            "co" => Self::Contains,
            "sw" => Self::StartsWith,
            "ew" => Self::EndsWith,
            "pr" => Self::Present,
            "po" => Self::Overlaps,
            "ss" => Self::Subsumes,
            "sb" => Self::SubsumedBy,
            "in" => Self::In,
            "ni" => Self::NotIn,
            "re" => Self::References,
            _ => Self::Ordered(Prefix::parse(text).ok_or(())?),
        })
    }
}

/// An operator and the value behind it.
#[derive(Clone, Copy)]
struct Comparison<'v> {
    operator: Operator,
    value: &'v str,
}

impl Question for Comparison<'_> {
    const HAS_FILTERS: bool = true;

    fn ask(
        self,
        builder: &mut Builder<'_>,
        parameter: &Parameter,
        modifier: Option<&str>,
    ) -> Result<Criterion, QueryError> {
        builder.budget.take_clause()?;
        builder.budget.take_value()?;
        if modifier.is_some() {
            return Err(builder.unknown_modifier());
        }
        if self.operator == Operator::Present {
            return match self.value {
                "true" => Ok(clause(parameter, Matching::Missing(false))),
                "false" => Ok(clause(parameter, Matching::Missing(true))),
                _ => Err(builder.malformed(1, "true or false")),
            };
        }
        let value = self.search_value(builder, parameter).map_err(|problem| builder.problem(1, problem))?;
        let criterion = clause(parameter, Matching::AnyOf(vec![value]));
        let is_ordered =
            matches!(parameter.kind, ParameterKind::Number | ParameterKind::Date | ParameterKind::Quantity);
        Ok(match self.operator {
            Operator::NotIn => Criterion::Not(Box::new(criterion)),
            Operator::Ordered(Prefix::Ne) if !is_ordered => {
                let present = clause(parameter, Matching::Missing(false));
                Criterion::All(vec![present, Criterion::Not(Box::new(criterion))])
            }
            _ => criterion,
        })
    }
}

impl Comparison<'_> {
    fn search_value(self, builder: &Builder<'_>, parameter: &Parameter) -> Result<SearchValue, ValueProblem> {
        use Operator::{
            Contains, EndsWith, In, NotIn, Ordered, Overlaps, References, StartsWith, SubsumedBy, Subsumes,
        };
        let parse = |modifier| builder.values.parse(parameter, modifier, self.value);
        let string = |how| Ok(SearchValue::String { how, text: self.value.into() });
        match (parameter.kind, self.operator) {
            (ParameterKind::String, Ordered(Prefix::Eq | Prefix::Ne)) => string(StringMatch::Equals),
            (ParameterKind::String, Contains) => string(StringMatch::Contains),
            (ParameterKind::String, StartsWith) => string(StringMatch::StartsWith),
            (ParameterKind::String, EndsWith) => string(StringMatch::EndsWith),
            (ParameterKind::Token, Ordered(Prefix::Eq | Prefix::Ne)) => parse(Modifier::None),
            (ParameterKind::Token, In | NotIn) => parse(Modifier::In),
            (ParameterKind::Token, Subsumes) => parse(Modifier::Above),
            (ParameterKind::Token, SubsumedBy) => parse(Modifier::Below),
            (ParameterKind::Reference, Ordered(Prefix::Eq | Prefix::Ne) | References) => {
                parse(Modifier::None)
            }
            (ParameterKind::Uri, Ordered(Prefix::Eq | Prefix::Ne)) => Ok(uri(UriMatch::Exact, self.value)),
            (ParameterKind::Uri, StartsWith | SubsumedBy) => Ok(uri(UriMatch::Below, self.value)),
            (ParameterKind::Uri, Subsumes) => Ok(uri(UriMatch::Above, self.value)),
            (ParameterKind::Uri, Contains) => Ok(uri(UriMatch::Contains, self.value)),
            (ParameterKind::Date, Ordered(prefix)) => builder.values.date(prefix, self.value),
            // `ap` without any tolerance: the two have an instant in common.
            (ParameterKind::Date, Overlaps) => match builder.values.date(Prefix::Eq, self.value)? {
                SearchValue::Date { range, .. } => Ok(SearchValue::Date { prefix: Prefix::Ap, range }),
                other => Ok(other),
            },
            (ParameterKind::Number, Ordered(prefix)) => {
                let (value, range) = number(prefix, self.value)?;
                Ok(SearchValue::Number { prefix, value, range })
            }
            (ParameterKind::Quantity, Ordered(prefix)) => quantity(prefix, self.value),
            _ => Err(ValueProblem::NotSupported("its kind does not have this operator")),
        }
    }
}
