//! The values of one parameter, by its kind.

use crate::date_range::{DateRange, TICKS_PER_SECOND};
use crate::number::Number;
use crate::parameter::{Parameter, ParameterKind, ParameterNumber};
use crate::parameters::Parameters;
use crate::ucum::canonical_unit;
use crate::words::query_words;
use keepwell_fhir::{Reference, ResourceType};

use super::modifier::Modifier;
use super::text::{split, unescaped};
use super::{Prefix, SearchValue, SystemMatch, UnitMatch, UriMatch};

/// How far `near` looks if the search does not say.
const DEFAULT_DISTANCE_M: f64 = 50_000.0;

/// What is wrong with a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ValueProblem {
    Prefix,
    Format(&'static str),
    NotSupported(&'static str),
}

type Parsed<T> = Result<T, ValueProblem>;

const fn expected<T>(what: &'static str) -> Parsed<T> {
    Err(ValueProblem::Format(what))
}

/// Reads values; knows the time, which `ap` measures from.
#[derive(Clone, Copy)]
pub(super) struct ValueParser<'p> {
    pub(super) parameters: &'p Parameters,
    pub(super) now_ms: i64,
}

impl ValueParser<'_> {
    /// One value, with its escapes.
    pub(super) fn parse(self, parameter: &Parameter, modifier: Modifier, text: &str) -> Parsed<SearchValue> {
        if [ParameterNumber::TEXT, ParameterNumber::CONTENT].contains(&parameter.number) {
            return words(text);
        }
        if parameter.number == ParameterNumber::LIST {
            return token(modifier, text);
        }
        match parameter.kind {
            ParameterKind::String => {
                Ok(SearchValue::String { how: modifier.string(), text: unescaped(text) })
            }
            ParameterKind::Token => token(modifier, text),
            ParameterKind::Reference => reference(modifier, text),
            ParameterKind::Uri => Ok(uri(modifier.uri(), &unescaped(text))),
            ParameterKind::Date => {
                let (prefix, rest) = prefix(text)?;
                self.date(prefix, rest)
            }
            ParameterKind::Number => {
                let (prefix, rest) = prefix(text)?;
                let (value, range) = number(prefix, rest)?;
                Ok(SearchValue::Number { prefix, value, range })
            }
            ParameterKind::Quantity => {
                let (prefix, rest) = prefix(text)?;
                quantity(prefix, rest)
            }
            ParameterKind::Composite => self.composite(parameter, text),
            ParameterKind::Special => near(text),
        }
    }

    pub(super) fn date(self, prefix: Prefix, text: &str) -> Parsed<SearchValue> {
        // A plus sign that was not encoded has become a space.
        let Some(range) = DateRange::parse(&text.replace(' ', "+")) else { return expected("a date") };
        let range = match prefix {
            // A tenth of the time between the date and now.
            Prefix::Ap => {
                let now = self.now_ms.saturating_mul(TICKS_PER_SECOND / 1_000);
                let distance = now.saturating_sub(range.high).max(range.low.saturating_sub(now)).max(0);
                range.widened(distance / 10)
            }
            _ => range,
        };
        Ok(SearchValue::Date { prefix, range })
    }

    fn composite(self, parameter: &Parameter, text: &str) -> Parsed<SearchValue> {
        let parts: Vec<&str> = split(text, '$').collect();
        if parts.len() != parameter.components.len() || parts.len() < 2 {
            return expected("one value for each part, with $ between them");
        }
        let mut values = Vec::with_capacity(parts.len());
        for (component, part) in parameter.components.iter().zip(parts) {
            let definition = self.parameters.number(component.number);
            let definition = definition.filter(|definition| definition.kind != ParameterKind::Composite);
            let Some(definition) = definition else {
                return Err(ValueProblem::NotSupported("one of its parts is not known"));
            };
            if part.is_empty() {
                return expected("a value for each part");
            }
            values.push(self.parse(definition, Modifier::None, part)?);
        }
        Ok(SearchValue::Composite(values))
    }
}

/// The two letters before an ordered value.
fn prefix(text: &str) -> Parsed<(Prefix, &str)> {
    let (letters, rest) = text.split_at(text.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(text.len()));
    match Prefix::parse(letters) {
        Some(prefix) => Ok((prefix, rest)),
        None if letters.len() == 2 && rest.starts_with(|c: char| c.is_ascii_digit()) => {
            Err(ValueProblem::Prefix)
        }
        None => Ok((Prefix::Eq, text)),
    }
}

impl Prefix {
    pub(super) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "eq" => Self::Eq,
            "ne" => Self::Ne,
            "gt" => Self::Gt,
            "lt" => Self::Lt,
            "ge" => Self::Ge,
            "le" => Self::Le,
            "sa" => Self::Sa,
            "eb" => Self::Eb,
            "ap" => Self::Ap,
            _ => return None,
        })
    }
}

pub(super) fn number(prefix: Prefix, text: &str) -> Parsed<(Number, (Number, Number))> {
    let Some((value, range)) = Number::parse(text).zip(Number::implicit_range(text)) else {
        return expected("a number");
    };
    let range = match prefix {
        Prefix::Ap => {
            let tenth = value.magnitude().times(Number::new(1, -1));
            (value.plus(tenth.negated()).min(range.0), value.plus(tenth).max(range.1))
        }
        _ => range,
    };
    Ok((value, range))
}

pub(super) fn quantity(prefix: Prefix, text: &str) -> Parsed<SearchValue> {
    let mut parts = split(text, '|').map(unescaped);
    let (value, range) = number(prefix, &parts.next().unwrap_or_default())?;
    let (system, code) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if parts.next().is_some() {
        return expected("a number, a system and a code, with | between them");
    }
    let unit = match (system.is_empty(), code.is_empty()) {
        (true, true) => UnitMatch::Any,
        (true, false) => UnitMatch::Code(code),
        (false, true) => UnitMatch::System(system),
        (false, false) => UnitMatch::Exact { system, code },
    };
    Ok(SearchValue::Quantity { prefix, value, range, unit })
}

fn token(modifier: Modifier, text: &str) -> Parsed<SearchValue> {
    match modifier {
        Modifier::Text => Ok(SearchValue::Display(unescaped(text))),
        Modifier::In | Modifier::NotIn => Ok(SearchValue::InValueSet(unescaped(text))),
        Modifier::OfType => typed_identifier(text),
        Modifier::Above | Modifier::Below => {
            let (SystemMatch::Uri(system), Some(code)) = system_and_code(text)? else {
                return expected("a system and a code, with | between them");
            };
            Ok(match modifier {
                Modifier::Above => SearchValue::Above { system, code },
                _ => SearchValue::Below { system, code },
            })
        }
        _ => {
            let (system, code) = system_and_code(text)?;
            Ok(SearchValue::Token { system, code })
        }
    }
}

fn typed_identifier(text: &str) -> Parsed<SearchValue> {
    let parts: Vec<_> = split(text, '|').map(unescaped).collect();
    match <[Box<str>; 3]>::try_from(parts) {
        Ok([system, code, value]) if !system.is_empty() && !code.is_empty() && !value.is_empty() => {
            Ok(SearchValue::TypedIdentifier { system, code, value })
        }
        _ => expected("a system, a code and an identifier, with | between them"),
    }
}

/// `code`, `system|code`, `|code` or `system|`.
fn system_and_code(text: &str) -> Parsed<(SystemMatch, Option<Box<str>>)> {
    let mut parts = split(text, '|').map(unescaped);
    let first = parts.next().unwrap_or_default();
    let Some(code) = parts.next() else { return Ok((SystemMatch::Any, Some(first))) };
    match (first.is_empty(), code.is_empty(), parts.next()) {
        (false, _, None) => Ok((SystemMatch::Uri(first), Some(code).filter(|code| !code.is_empty()))),
        (true, false, None) => Ok((SystemMatch::None, Some(code))),
        _ => expected("a system and a code, with | between them"),
    }
}

fn reference(modifier: Modifier, text: &str) -> Parsed<SearchValue> {
    match modifier {
        Modifier::Identifier => {
            let (system, code) = system_and_code(text)?;
            return Ok(SearchValue::Logical { system, code });
        }
        Modifier::Below => {
            let (url, version) = url_and_version(&unescaped(text));
            return Ok(SearchValue::Url { how: UriMatch::Below, url, version });
        }
        _ => {}
    }
    let text = unescaped(text);
    let value = match Reference::parse(&text) {
        Reference::Relative { resource_type, id, version } => SearchValue::Reference {
            resource_type: Some(resource_type),
            id: id.into(),
            version: version.map(Box::from),
        },
        Reference::Absolute { version: Some(version), .. } => {
            let url = text.strip_suffix(version).and_then(|url| url.strip_suffix("/_history/"));
            let url = url.unwrap_or(&text).into();
            SearchValue::Url { how: UriMatch::Exact, url, version: Some(version.into()) }
        }
        Reference::Other if keepwell_fhir::valid_id(&text) => {
            SearchValue::Reference { resource_type: None, id: text.clone(), version: None }
        }
        _ => {
            let (url, version) = url_and_version(&text);
            SearchValue::Url { how: UriMatch::Exact, url, version }
        }
    };
    match (modifier, value) {
        (Modifier::Type(wanted), SearchValue::Reference { resource_type, id, version }) => {
            of_type(wanted, resource_type, id, version)
        }
        (Modifier::Type(_), _) => expected("the id of a resource"),
        (_, value) => Ok(value),
    }
}

fn of_type(
    wanted: ResourceType,
    named: Option<ResourceType>,
    id: Box<str>,
    version: Option<Box<str>>,
) -> Parsed<SearchValue> {
    if named.is_some_and(|named| named != wanted) {
        return expected("a resource of the type of the modifier");
    }
    Ok(SearchValue::Reference { resource_type: Some(wanted), id, version })
}

pub(super) fn uri(how: UriMatch, text: &str) -> SearchValue {
    let (url, version) = url_and_version(text);
    SearchValue::Uri { how, url, version }
}

fn url_and_version(text: &str) -> (Box<str>, Option<Box<str>>) {
    match text.split_once('|') {
        Some((url, version)) => (url.into(), (!version.is_empty()).then(|| version.into())),
        None => (text.into(), None),
    }
}

/// `latitude|longitude|distance|unit`; the unit is a length of UCUM, kilometres if there is none.
fn near(text: &str) -> Parsed<SearchValue> {
    const FORMAT: &str = "a latitude, a longitude, a distance and its unit, with | between them";
    let parts: Vec<_> = split(text, '|').map(unescaped).collect();
    let part = |place: usize| parts.get(place).map(|part| &**part).filter(|part| !part.is_empty());
    let degrees = |place, most: f64| {
        let degrees = part(place)?.parse::<f64>().ok()?;
        (degrees.abs() <= most).then_some(degrees)
    };
    let (Some(latitude), Some(longitude)) = (degrees(0, 90.0), degrees(1, 180.0)) else {
        return expected(FORMAT);
    };
    let distance_m = match (part(2), part(3)) {
        (None, None) => Some(DEFAULT_DISTANCE_M),
        (Some(distance), unit) => metres(distance, unit.unwrap_or("km")),
        (None, Some(_)) => None,
    };
    match distance_m {
        Some(distance_m) if parts.len() <= 4 => Ok(SearchValue::Near { latitude, longitude, distance_m }),
        _ => expected(FORMAT),
    }
}

fn metres(distance: &str, unit: &str) -> Option<f64> {
    let unit = canonical_unit(unit).filter(|unit| &*unit.unit == "m")?;
    let metres = unit.convert(Number::parse(distance)?).to_f64();
    (metres >= 0.0).then_some(metres)
}

fn words(text: &str) -> Parsed<SearchValue> {
    match query_words(&unescaped(text)) {
        words if words.is_empty() => expected("words"),
        words => Ok(SearchValue::Words(words)),
    }
}
