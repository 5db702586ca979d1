//! Whether a value is one that a search names.

use crate::date_range::{DateRange, TICKS_PER_SECOND};
use crate::fold::folded;
use crate::near::distance_m;
use crate::number::Number;
use crate::parameter::{Parameter, ParameterNumber};
use crate::query::{Prefix, SearchValue, StringMatch, SystemMatch, UnitMatch, UriMatch};
use crate::ucum::canonical_unit;
use crate::value::{System, UCUM, Unit, Value};
use crate::words::words_of;

use super::{Context, Resource};

/// Whether the resource has the value.
pub(super) fn is_there(
    parameter: &Parameter,
    wanted: &SearchValue,
    resource: &Resource<'_>,
    context: &dyn Context,
) -> bool {
    match (parameter.number, wanted) {
        (ParameterNumber::ID, SearchValue::Token { system, code }) => {
            !matches!(system, SystemMatch::Uri(_)) && code.as_deref() == Some(resource.id)
        }
        (ParameterNumber::LAST_UPDATED, SearchValue::Date { prefix, range }) => {
            let low = resource.last_updated_ms * (TICKS_PER_SECOND / 1_000);
            date(*prefix, DateRange { low, high: low + 1 }, *range)
        }
        (number @ (ParameterNumber::TEXT | ParameterNumber::CONTENT), SearchValue::Words(words)) => {
            let there = words_of(resource.json, number);
            words.iter().all(|word| match word.strip_suffix('*') {
                Some(beginning) => there.iter().any(|word| word.starts_with(beginning)),
                None => there.contains(word),
            })
        }
        (number, SearchValue::Composite(wanted)) => {
            let entries = resource.values.entries().filter(|entry| entry.number == number);
            entries.map(|entry| resource.values.tuple(entry)).any(|parts| {
                parts.zip(wanted).all(|(alternatives, wanted)| {
                    alternatives.iter().any(|value| equals(parameter, wanted, value, context))
                })
            })
        }
        (number, wanted) => {
            resource.values.of_number(number).any(|value| equals(parameter, wanted, value, context))
        }
    }
}

/// Whether one value is what is wanted.
fn equals(parameter: &Parameter, wanted: &SearchValue, value: &Value, terminology: &dyn Context) -> bool {
    match (wanted, value) {
        (SearchValue::String { how, text: wanted }, Value::String(text)) => string(*how, wanted, text),
        (SearchValue::Display(wanted), Value::Display(text)) => string(StringMatch::StartsWith, wanted, text),
        (SearchValue::Token { .. }, Value::Token { code, .. }) if code.is_empty() => is_from(wanted, value),
        (SearchValue::Token { system: wanted, code: wanted_code }, Value::Token { system, code }) => {
            let is_from = match (wanted, system) {
                (SystemMatch::Any, _) => true,
                (SystemMatch::None, system) => matches!(system, System::None | System::Implicit),
                (SystemMatch::Uri(wanted), System::Uri(system)) => wanted == system,
                // Without a code, a system is asked for, and there is none.
                (SystemMatch::Uri(_), System::Implicit) => wanted_code.is_some(),
                (SystemMatch::Uri(_), System::None) => false,
            };
            is_from && wanted_code.as_ref().is_none_or(|wanted| is_same_code(wanted, code))
        }
        (SearchValue::Logical { system: wanted, code: wanted_code }, Value::Logical { system, code }) => {
            let is_from = match (wanted, system) {
                (SystemMatch::Any, _) => true,
                (SystemMatch::None, system) => *system == System::None,
                (SystemMatch::Uri(wanted), System::Uri(system)) => wanted == system,
                (SystemMatch::Uri(_), _) => false,
            };
            is_from && wanted_code.as_ref().is_none_or(|wanted| is_same_code(wanted, code))
        }
        (
            SearchValue::TypedIdentifier { system: wanted, code: wanted_code, value: wanted_value },
            Value::TypedIdentifier { system, code, value },
        ) => wanted == system && is_same_code(wanted_code, code) && is_same_code(wanted_value, value),
        (SearchValue::InValueSet(url), Value::Token { system, code }) => {
            terminology.value_set(url).is_some_and(|set| set.contains(system, code))
        }
        (SearchValue::Below { system: wanted, code: top }, Value::Token { system, code }) => {
            is_one_of(terminology.below(wanted, top), wanted, system, code)
        }
        (SearchValue::Above { system: wanted, code: bottom }, Value::Token { system, code }) => {
            is_one_of(terminology.above(wanted, bottom), wanted, system, code)
        }
        (
            SearchValue::Reference { resource_type: wanted, id: wanted_id, version: wanted_version },
            Value::Reference { resource_type, id, version },
        ) => {
            let is_of_type = match (wanted, resource_type) {
                (None, _) => true,
                (Some(wanted), Some(resource_type)) => wanted == resource_type,
                // A bare id means the one type that the parameter may refer to.
                (Some(wanted), None) => parameter.targets.len() == 1 && parameter.targets[0] == *wanted,
            };
            is_of_type && wanted_id == id && (wanted_version.is_none() || wanted_version == version)
        }
        (SearchValue::Url { how, url: wanted, version: wanted_version }, Value::Url { url, version })
        | (SearchValue::Uri { how, url: wanted, version: wanted_version }, Value::Uri { url, version }) => {
            uri(*how, wanted, wanted_version.as_deref(), url, version.as_deref())
        }
        (SearchValue::Date { prefix, range: wanted }, Value::Date(range)) => date(*prefix, *range, *wanted),
        (SearchValue::Number { prefix, value, range }, Value::Number { low, high }) => {
            number(*prefix, (*low, *high), *value, *range)
        }
        (
            SearchValue::Quantity { prefix, value, range, unit: wanted },
            Value::Quantity { low, high, unit },
        ) => quantity(*prefix, (*low, *high), unit, *value, *range, wanted),
        (
            SearchValue::Near { latitude, longitude, distance_m: most },
            Value::Position { latitude: north, longitude: east },
        ) => distance_m((*north, *east), (*latitude, *longitude)) <= *most,
        _ => false,
    }
}

/// A system that stands without a code is found by a search for the system alone.
fn is_from(wanted: &SearchValue, value: &Value) -> bool {
    match (wanted, value) {
        (
            SearchValue::Token { system: SystemMatch::Uri(wanted), code: None },
            Value::Token { system, .. },
        ) => *system == System::Uri(wanted.clone()),
        _ => false,
    }
}

fn is_same_code(a: &str, b: &str) -> bool {
    a == b || a.to_lowercase() == b.to_lowercase()
}

fn is_one_of(codes: Option<Vec<Box<str>>>, wanted: &str, system: &System, code: &str) -> bool {
    let is_from = match system {
        System::Uri(system) => **system == *wanted,
        System::Implicit => true,
        System::None => false,
    };
    is_from && codes.is_some_and(|codes| codes.iter().any(|other| is_same_code(other, code)))
}

fn string(how: StringMatch, wanted: &str, text: &str) -> bool {
    match how {
        StringMatch::Exact => wanted == text,
        StringMatch::Equals => folded(text) == folded(wanted),
        StringMatch::StartsWith => folded(text).starts_with(&folded(wanted)),
        StringMatch::Contains => folded(text).contains(&folded(wanted)),
        StringMatch::EndsWith => folded(text).ends_with(&folded(wanted)),
    }
}

fn uri(how: UriMatch, wanted: &str, wanted_version: Option<&str>, url: &str, version: Option<&str>) -> bool {
    match how {
        UriMatch::Exact => {
            url == wanted && wanted_version.is_none_or(|wanted| version.unwrap_or("") == wanted)
        }
        UriMatch::Contains => url.contains(wanted),
        UriMatch::Above => url == wanted || is_path_above(url, wanted),
        UriMatch::Below => match wanted_version {
            None => url == wanted || (!url.starts_with("urn:") && url.starts_with(wanted)),
            // 1 stands for 1.0 and 1.2.3, too.
            Some(wanted_version) => {
                let rest = version.and_then(|version| version.strip_prefix(wanted_version));
                url == wanted && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            }
        },
    }
}

/// Whether one URL is a path that another one lies in.
fn is_path_above(path: &str, url: &str) -> bool {
    let Some((scheme, _)) = url.split_once("://") else { return false };
    match url.strip_prefix(path) {
        Some(rest) if path.len() > scheme.len() + 3 && !rest.is_empty() => {
            path.ends_with('/') || rest.starts_with('/')
        }
        _ => false,
    }
}

/// The table of R4 search.html#prefix, for stretches of time: `target` is the resource's.
fn date(prefix: Prefix, target: DateRange, search: DateRange) -> bool {
    // Is there an instant of the target above, or below, all of the search?
    let is_above = target.high > search.high;
    let is_below = target.low < search.low;
    match prefix {
        Prefix::Eq => search.contains(target),
        Prefix::Ne => !search.contains(target),
        Prefix::Gt => is_above,
        Prefix::Lt => is_below,
        Prefix::Ge => is_above || search.contains(target),
        Prefix::Le => is_below || search.contains(target),
        Prefix::Sa => target.low >= search.high,
        Prefix::Eb => target.high <= search.low,
        Prefix::Ap => search.overlaps(target),
    }
}

/// The same table for numbers, of which only equality and `ap` look at the precision that was written. The target is
/// from its first number to its last.
fn number(prefix: Prefix, target: (Number, Number), value: Number, range: (Number, Number)) -> bool {
    let (least, largest) = target;
    match prefix {
        Prefix::Eq => least >= range.0 && largest < range.1,
        Prefix::Ne => least < range.0 || largest >= range.1,
        Prefix::Gt => largest > value,
        Prefix::Lt => least < value,
        Prefix::Ge => largest >= value,
        Prefix::Le => least <= value,
        Prefix::Sa => least > value,
        Prefix::Eb => largest < value,
        Prefix::Ap => largest >= range.0 && least < range.1,
    }
}

fn quantity(
    prefix: Prefix,
    target: (Number, Number),
    unit: &Unit,
    value: Number,
    range: (Number, Number),
    wanted: &UnitMatch,
) -> bool {
    let is_same = match wanted {
        UnitMatch::Any => true,
        UnitMatch::System(system) => unit.system.as_ref() == Some(system),
        UnitMatch::Code(code) => unit.code.as_ref() == Some(code) || unit.text.as_ref() == Some(code),
        UnitMatch::Exact { system, code } => {
            unit.system.as_ref() == Some(system) && unit.code.as_ref() == Some(code)
        }
    };
    if is_same {
        return number(prefix, target, value, range);
    }
    let UnitMatch::Exact { system, code } = wanted else { return false };
    if unit.system.as_ref() != Some(system) || &**system != UCUM {
        return false;
    }
    let (from, to) = (unit.code.as_deref().and_then(canonical_unit), canonical_unit(code));
    from.zip(to).filter(|(from, to)| from.unit == to.unit).is_some_and(|(from, to)| {
        let target = (from.convert(target.0), from.convert(target.1));
        number(prefix, target, to.convert(value), (to.convert(range.0), to.convert(range.1)))
    })
}
