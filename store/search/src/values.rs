//! The values of all parameters of one resource.
//!
//! A value is converted once and kept once, however many parameters it belongs to: entries give each parameter the
//! ranges of its values. The memory is kept from resource to resource.

use std::ops::Range;

use crate::parameter::ParameterNumber;
use crate::value::Value;

/// A range in the list of all values.
pub type ValueRange = Range<u32>;

/// What one parameter has at one element.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The parameter.
    pub number: ParameterNumber,
    start: u32,
    end: u32,
    /// Whether the range is one of `parts`, that is, whether the parameter is composite.
    is_tuple: bool,
}

/// The values of all parameters of one resource.
#[derive(Clone, Default, Debug)]
pub struct Values {
    list: Vec<Value>,
    entries: Vec<Entry>,
    parts: Vec<(u32, u32)>,
}

impl Values {
    /// Forgets all values, not the memory.
    pub fn clear(&mut self) {
        self.list.clear();
        self.entries.clear();
        self.parts.clear();
    }

    /// Adds a value, which belongs to no parameter yet.
    pub fn push(&mut self, value: Value) {
        self.list.push(value);
    }

    /// All values, whichever parameter they belong to.
    #[must_use]
    pub fn all(&self) -> &[Value] {
        &self.list
    }

    /// How many values there are: the start of the range of those that come next.
    #[must_use]
    pub fn len(&self) -> u32 {
        u32::try_from(self.list.len()).unwrap_or(u32::MAX)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Gives the values of a range to a parameter.
    pub fn attach(&mut self, number: ParameterNumber, range: ValueRange) {
        self.entries.push(Entry { number, start: range.start, end: range.end, is_tuple: false });
    }

    /// Gives a composite parameter a tuple. Each part is a range of alternatives: every combination of them is in the
    /// resource.
    pub fn attach_tuple(&mut self, number: ParameterNumber, parts: impl Iterator<Item = ValueRange>) {
        let start = u32::try_from(self.parts.len()).unwrap_or(u32::MAX);
        self.parts.extend(parts.map(|part| (part.start, part.end)));
        let end = u32::try_from(self.parts.len()).unwrap_or(u32::MAX);
        self.entries.push(Entry { number, start, end, is_tuple: true });
    }

    /// What each parameter has, in order of appearance; composite parameters too.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// The values of an entry; none for that of a composite parameter.
    #[must_use]
    pub fn of(&self, entry: &Entry) -> &[Value] {
        if entry.is_tuple { &[] } else { &self.list[entry.start as usize..entry.end as usize] }
    }

    /// The values of a parameter that is not composite.
    pub fn of_number(&self, number: ParameterNumber) -> impl Iterator<Item = &Value> {
        self.entries().filter(move |entry| entry.number == number).flat_map(|entry| self.of(entry))
    }

    /// The parts of an entry of a composite parameter: each is a list of alternatives; none for other entries.
    pub fn tuple(&self, entry: &Entry) -> impl Iterator<Item = &[Value]> {
        let parts = if entry.is_tuple { entry.start as usize..entry.end as usize } else { 0..0 };
        self.parts[parts].iter().map(|(start, end)| &self.list[*start as usize..*end as usize])
    }
}

impl Extend<Value> for Values {
    fn extend<T: IntoIterator<Item = Value>>(&mut self, values: T) {
        self.list.extend(values);
    }
}
