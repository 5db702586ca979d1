//! All index terms of one resource.

use keepwell_fhir::ResourceType;

use crate::date_range::DateRange;
use crate::number::Number;
use crate::parameter::ParameterNumber;
use crate::term::{
    Facet, SHORT_TICKS, system_hash, write_date, write_degrees, write_folded, write_late, write_reference,
    write_token, write_unit, write_uri,
};
use crate::value::{System, Unit, Value};
use crate::values::Values;

/// A list of terms, kept in one piece of memory from resource to resource.
///
/// Invariant: after [`Self::sort`] they are sorted and each is there once.
#[derive(Default, Debug)]
pub struct Terms {
    bytes: Vec<u8>,
    spans: Vec<TermSpan>,
    folded: String,
    /// The parameters that have values.
    present: Vec<ParameterNumber>,
    /// Whether the terms that are added are those of a contained resource.
    is_contained: bool,
}

/// Where a term is.
#[derive(Clone, Copy, Debug)]
struct TermSpan {
    /// The first bytes, filled up with zeros: they decide most comparisons without a look at the term.
    head: u128,
    start: u32,
    end: u32,
}

impl Terms {
    /// No terms.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets all terms, not the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
        self.present.clear();
    }

    /// The terms.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.spans.iter().map(|span| &self.bytes[span.start as usize..span.end as usize])
    }

    /// How many terms there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The terms, without the memory that this list keeps for the next resource.
    #[must_use]
    pub fn pack(&self) -> TermList {
        let bytes = self.iter().map(|term| 2 + term.len()).sum();
        let mut packed = Vec::with_capacity(bytes);
        for term in self.iter() {
            let length =
                u16::try_from(term.len()).expect("texts in terms are cut to 64 bytes, ids are as short");
            packed.extend(length.to_le_bytes());
            packed.extend_from_slice(term);
        }
        TermList(packed.into_boxed_slice())
    }

    /// Adds a term: its parameter and facet, and what `write` appends. Scratch memory is passed to it.
    pub(crate) fn add(
        &mut self,
        number: ParameterNumber,
        facet: Facet,
        write: impl FnOnce(&mut Vec<u8>, &mut String),
    ) {
        let start = self.bytes.len();
        if self.is_contained {
            self.bytes.extend(ParameterNumber::CONTAINED.0.to_be_bytes());
            self.bytes.push(Facet::Contained as u8);
        }
        self.bytes.extend(number.0.to_be_bytes());
        self.bytes.push(facet as u8);
        write(&mut self.bytes, &mut self.folded);
        let offset = |at: usize| u32::try_from(at).expect("a resource has less than 4 GiB of terms");
        let term = &self.bytes[start..];
        let mut head = [0; 16];
        let length = term.len().min(head.len());
        head[..length].copy_from_slice(&term[..length]);
        let (head, end) = (u128::from_be_bytes(head), start + term.len());
        self.spans.push(TermSpan { head, start: offset(start), end: offset(end) });
    }

    /// Sorts the terms and drops repeated ones.
    pub(crate) fn sort(&mut self) {
        let bytes = &self.bytes;
        let term = |span: &TermSpan| &bytes[span.start as usize..span.end as usize];
        self.spans.sort_unstable_by(|a, b| a.head.cmp(&b.head).then_with(|| term(a).cmp(term(b))));
        self.spans.dedup_by(|a, b| a.head == b.head && term(a) == term(b));
    }
}

/// The terms of a resource in the least memory: for those that wait to be written.
#[derive(Clone, Debug, Default)]
pub struct TermList(Box<[u8]>);

impl TermList {
    /// The terms, in the order in which they were packed.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &*self.0;
        std::iter::from_fn(move || {
            let (length, terms) = rest.split_first_chunk()?;
            let (term, others) = terms.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
            rest = others;
            Some(term)
        })
    }
}

/// Replaces `out` by the index terms of a resource, sorted, each once; without words for
/// full text, and without those of contained resources.
pub fn terms(resource_type: ResourceType, id: &str, values: &Values, out: &mut Terms) {
    out.clear();
    add_resource(resource_type, id, values, out);
    out.sort();
}

/// Adds the terms of a contained resource, in no order.
pub(crate) fn add_contained(resource_type: ResourceType, id: &str, values: &Values, out: &mut Terms) {
    out.is_contained = true;
    out.present.clear();
    add_resource(resource_type, id, values, out);
    out.is_contained = false;
}

fn add_resource(resource_type: ResourceType, id: &str, values: &Values, out: &mut Terms) {
    let is_contained = out.is_contained;
    // What is contained belongs to the compartments of what contains it.
    let is_kept =
        |number: ParameterNumber| !(is_of_the_store(number) || is_contained && number.is_compartment());
    out.add(ParameterNumber::TYPE, Facet::Reference, |bytes, _| bytes.push(resource_type.code() + 1));
    out.add(ParameterNumber::ID, Facet::Reference, |bytes, _| {
        write_reference(Some(resource_type), id, bytes)
    });
    for entry in values.entries().filter(|entry| is_kept(entry.number)) {
        if !out.present.contains(&entry.number) {
            out.present.push(entry.number);
            out.add(entry.number, Facet::Present, |_, _| ());
        }
        for value in values.of(entry) {
            add_value(entry.number, value, out);
        }
    }
}

/// Whether a store knows the values better than the body of the resource.
pub(crate) fn is_of_the_store(number: ParameterNumber) -> bool {
    [ParameterNumber::ID, ParameterNumber::TYPE, ParameterNumber::LAST_UPDATED].contains(&number)
}

fn add_value(number: ParameterNumber, value: &Value, out: &mut Terms) {
    match value {
        Value::Token { system, code } => add_token(number, system, code, out),
        Value::Display(text) => {
            out.add(number, Facet::Display, |bytes, folded| write_folded(text, folded, bytes))
        }
        Value::String(text) => {
            out.add(number, Facet::String, |bytes, folded| write_folded(text, folded, bytes))
        }
        Value::Reference { resource_type, id, .. } => {
            out.add(number, Facet::Reference, |bytes, _| write_reference(*resource_type, id, bytes));
        }
        Value::Logical { system, code } => {
            out.add(number, Facet::Logical, |bytes, _| write_token(system, code, bytes));
        }
        Value::Url { url, version } | Value::Uri { url, version } => {
            out.add(number, Facet::Uri, |bytes, _| write_uri(url, version.as_deref(), bytes));
        }
        Value::Date(range) => add_date(number, *range, out),
        Value::Number { low, high } => add_number(number, *low, *high, out),
        Value::Quantity { low, high, unit } => add_quantity(number, *low, *high, unit, out),
        Value::Position { latitude, longitude } => out.add(number, Facet::Position, |bytes, _| {
            write_degrees(*latitude, bytes);
            write_degrees(*longitude, bytes);
        }),
        // The value of an identifier is a token already, which narrows the search enough.
        Value::TypedIdentifier { .. } | Value::Contained(_) => {}
    }
}

fn add_token(number: ParameterNumber, system: &System, code: &str, out: &mut Terms) {
    if !code.is_empty() {
        out.add(number, Facet::Token, |bytes, _| write_token(system, code, bytes));
    }
    if let System::Uri(_) = system {
        out.add(number, Facet::System, |bytes, _| bytes.extend(system_hash(system)));
    }
}

fn add_date(number: ParameterNumber, range: DateRange, out: &mut Terms) {
    out.add(number, Facet::Date, |bytes, _| write_date(range, bytes));
    if range.high - range.low > SHORT_TICKS {
        out.add(number, Facet::Late, |bytes, _| write_late(range, bytes));
    }
}

fn add_number(number: ParameterNumber, low: Number, high: Number, out: &mut Terms) {
    if low == high {
        out.add(number, Facet::Number, |bytes, _| low.encode(bytes));
    } else {
        out.add(number, Facet::Span, |bytes, _| {
            low.encode(bytes);
            high.encode(bytes);
        });
    }
}

fn add_quantity(number: ParameterNumber, low: Number, high: Number, unit: &Unit, out: &mut Terms) {
    let facet = if low == high { Facet::Quantity } else { Facet::QuantitySpan };
    out.add(number, facet, |bytes, _| {
        write_unit(unit, bytes);
        low.encode(bytes);
        if low != high {
            high.encode(bytes);
        }
    });
}
