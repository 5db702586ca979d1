//! Dates, periods and schedules as stretches of time (R4 search.html#date).

use super::text_of;
use crate::data_type::DataType;
use crate::date_range::DateRange;
use crate::json::{items, member, text};
use crate::value::Value;
use crate::values::Values;

pub(super) fn convert(data_type: DataType, json: &[u8], out: &mut Values) {
    let range = match data_type {
        DataType::Period => period(json),
        DataType::Timing => timing(json),
        _ => text_of(json).and_then(|text| DateRange::parse(&text)),
    };
    out.extend(range.map(Value::Date));
}

fn date_at(json: &[u8], key: &str) -> Option<DateRange> {
    DateRange::parse(&text(member(json, key)?)?)
}

/// A missing end is open; a period with neither is no value.
fn period(json: &[u8]) -> Option<DateRange> {
    match (date_at(json, "start"), date_at(json, "end")) {
        (None, None) => None,
        (start, end) => Some(start.unwrap_or(DateRange::ALL).to(end.unwrap_or(DateRange::ALL))),
    }
}

/// Only the outer limits of a schedule count: from its first event to its last.
fn timing(json: &[u8]) -> Option<DateRange> {
    let events = member(json, "event").into_iter().flat_map(items);
    let events = events.filter_map(|event| DateRange::parse(&text(event)?));
    let bounds = member(json, "repeat").and_then(|repeat| member(repeat, "boundsPeriod")).and_then(period);
    events.chain(bounds).reduce(|a, b| DateRange { low: a.low.min(b.low), high: a.high.max(b.high) })
}
