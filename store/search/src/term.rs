//! Index terms: how values are written so that their bytes can be looked up, ranged over and sorted by.
//!
//! A term is `[parameter number, 2 bytes][facet, 1 byte][value]`. The order of the bytes is the order of the values.
//! A facet is one way to ask for a parameter:
//!
//! | facet | value | asked by |
//! |---|---|---|
//! | present | nothing | `:missing` |
//! | token | code without case, 0, hash of the system | codes, with, without and regardless of a system |
//! | system | hash of the system | `system\|` |
//! | display | folded text | `:text` |
//! | string | folded text | strings |
//! | reference | type, id | references in the store, `_id`, `_type`, compartments |
//! | logical | as token | `:identifier` |
//! | uri | URL, 0, version | uris, absolute and canonical references |
//! | date | low, length | dates by their beginning |
//! | late | high, low | dates longer than a day, by their end |
//! | number | number | numbers |
//! | span | lowest number, highest number | ranges of numbers |
//! | quantity | unit, number | quantities |
//! | quantity span | unit, lowest number, highest number | ranges of quantities |
//! | position | latitude, longitude | `near` |
//! | word | folded word | `_text`, `_content` |
//! | contained | the whole term of a contained resource | `_contained`, chains into contained resources |
//!
//! Texts longer than [`MAX_TEXT_BYTES`] are cut, and end in the byte 0xFF and a hash of the whole.
//!
//! Invariant: a written term is never changed in meaning; a change is a new facet.

use keepwell_fhir::ResourceType;

use crate::date_range::{DateRange, MAX, MIN, TICKS_PER_DAY, TICKS_PER_SECOND};
use crate::fold::{fold, fold_code};
use crate::parameter::ParameterNumber;
use crate::value::{System, Unit};

/// Texts are cut to this length: 95 in 100 names, addresses and URLs are shorter.
pub const MAX_TEXT_BYTES: usize = 64;

/// How long the beginning of a cut text is.
pub(crate) const CUT_TEXT_BYTES: usize = MAX_TEXT_BYTES - CUT_TAIL_BYTES;

/// The mark and the hash at the end of a cut text.
const CUT_TAIL_BYTES: usize = 9;
pub(crate) const CUT_MARK: u8 = 0xff;

/// The length of the parameter number and the facet.
pub const HEAD_BYTES: usize = 3;

/// Dates that are longer are also found by their end.
pub(crate) const SHORT_TICKS: i64 = TICKS_PER_DAY;

/// One way to ask for a parameter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Facet {
    /// The parameter has a value.
    Present = 1,
    /// Codes.
    Token,
    /// Systems of codes.
    System,
    /// Texts that go with codes.
    Display,
    /// Texts.
    String,
    /// References within the store.
    Reference,
    /// Identifiers of what is referred to.
    Logical,
    /// URIs.
    Uri,
    /// Dates by their beginning.
    Date,
    /// Long dates by their end.
    Late,
    /// Numbers.
    Number,
    /// Ranges of numbers.
    Span,
    /// Quantities.
    Quantity,
    /// Ranges of quantities.
    QuantitySpan,
    /// Places.
    Position,
    /// Words.
    Word,
    /// Terms of contained resources.
    Contained,
}

impl Facet {
    /// Every facet.
    pub const ALL: [Self; 17] = [
        Self::Present,
        Self::Token,
        Self::System,
        Self::Display,
        Self::String,
        Self::Reference,
        Self::Logical,
        Self::Uri,
        Self::Date,
        Self::Late,
        Self::Number,
        Self::Span,
        Self::Quantity,
        Self::QuantitySpan,
        Self::Position,
        Self::Word,
        Self::Contained,
    ];

    /// A name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Token => "token",
            Self::System => "system",
            Self::Display => "display",
            Self::String => "string",
            Self::Reference => "reference",
            Self::Logical => "logical",
            Self::Uri => "uri",
            Self::Date => "date",
            Self::Late => "late",
            Self::Number => "number",
            Self::Span => "span",
            Self::Quantity => "quantity",
            Self::QuantitySpan => "quantity span",
            Self::Position => "position",
            Self::Word => "word",
            Self::Contained => "contained",
        }
    }
}

/// A term, or the beginning of one, being written.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Term(Vec<u8>);

impl Term {
    /// The beginning that all terms of a facet share.
    #[must_use]
    pub fn head(number: ParameterNumber, facet: Facet) -> Self {
        let mut bytes = Vec::with_capacity(32);
        bytes.extend(number.0.to_be_bytes());
        bytes.push(facet as u8);
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, without a copy.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// The bytes to append to.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }

    /// The term of a resource of a type, and of a reference to one in any reference parameter: `_id` in its place
    /// finds the resource.
    #[must_use]
    pub fn reference(number: ParameterNumber, resource_type: ResourceType, id: &str) -> Self {
        let mut term = Self::head(number, Facet::Reference);
        write_reference(Some(resource_type), id, &mut term.0);
        term
    }

    /// The beginning of the terms of all references of a parameter to resources of a type.
    #[must_use]
    pub fn references_to(number: ParameterNumber, resource_type: ResourceType) -> Self {
        let mut term = Self::head(number, Facet::Reference);
        term.0.push(resource_type.code() + 1);
        term
    }

    /// The term of all resources of a type.
    #[must_use]
    pub fn of_type(resource_type: ResourceType) -> Self {
        let mut term = Self::head(ParameterNumber::TYPE, Facet::Reference);
        term.0.push(resource_type.code() + 1);
        term
    }

    /// The term by which what contains a resource is found, from a term of that resource or its beginning.
    #[must_use]
    pub fn contained(term: &[u8]) -> Self {
        let mut contained = Self::head(ParameterNumber::CONTAINED, Facet::Contained);
        contained.0.extend_from_slice(term);
        contained
    }

    /// The parameter that a term is of; for one of a contained resource, its parameter.
    #[must_use]
    pub fn parameter(term: &[u8]) -> ParameterNumber {
        let number =
            |term: &[u8]| ParameterNumber(term.first_chunk().map_or(0, |bytes| u16::from_be_bytes(*bytes)));
        match number(term) {
            ParameterNumber::CONTAINED => number(term.get(HEAD_BYTES..).unwrap_or_default()),
            own => own,
        }
    }

    /// The term of all resources whose parameter has a value.
    #[must_use]
    pub fn present(number: ParameterNumber) -> Self {
        Self::head(number, Facet::Present)
    }

    /// The term of a URL without version, or the beginning of those with any version; `number` is a uri parameter or
    /// a reference parameter. It ends in the zero byte that closes the URL.
    #[must_use]
    pub fn url(number: ParameterNumber, url: &str) -> Self {
        let mut term = Self::head(number, Facet::Uri);
        write_text(url.as_bytes(), &mut term.0);
        term.0.push(0);
        term
    }
}

/// The first byte string behind all that begin with this one; none if all bytes are 0xFF.
#[must_use]
pub fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let kept = prefix.iter().rposition(|&b| b != 0xff)?;
    let mut next = prefix[..=kept].to_vec();
    next[kept] += 1;
    Some(next)
}

/// What a term of [`Facet::Reference`] refers to; none for other terms and for references without a type.
#[must_use]
pub fn read_reference(term: &[u8]) -> Option<(ResourceType, String)> {
    let value = term.get(HEAD_BYTES..)?;
    let (&code, id) = value.split_first()?;
    let resource_type = ResourceType::from_code(code.checked_sub(1)?)?;
    let id = match id.split_first()? {
        (&ID_UUID, uuid) => write_uuid(uuid.try_into().ok()?),
        (&ID_TEXT, text) => String::from_utf8(text.to_vec()).ok()?,
        _ => return None,
    };
    Some((resource_type, id))
}

const ID_UUID: u8 = 1;
const ID_TEXT: u8 = 2;

pub(crate) fn write_reference(resource_type: Option<ResourceType>, id: &str, out: &mut Vec<u8>) {
    out.push(resource_type.map_or(0, |resource_type| resource_type.code() + 1));
    match read_uuid(id.as_bytes()) {
        Some(uuid) => {
            out.push(ID_UUID);
            out.extend(uuid);
        }
        None => {
            out.push(ID_TEXT);
            out.extend_from_slice(id.as_bytes());
        }
    }
}

/// The bytes of a UUID in its canonical spelling: others are not told apart by their bytes alone.
fn read_uuid(text: &[u8]) -> Option<[u8; 16]> {
    if text.len() != 36 {
        return None;
    }
    let mut uuid = [0; 16];
    let mut digits = 0;
    for (place, &b) in text.iter().enumerate() {
        let digit = match b {
            b'-' if matches!(place, 8 | 13 | 18 | 23) => continue,
            b'0'..=b'9' => b - b'0',
            b'a'..=b'f' => b - b'a' + 10,
            _ => return None,
        };
        *uuid.get_mut(digits / 2)? |= if digits % 2 == 0 { digit << 4 } else { digit };
        digits += 1;
    }
    (digits == 32).then_some(uuid)
}

fn write_uuid(uuid: [u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (place, byte) in uuid.iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
    }
    text
}

/// Code, zero, hash of the system.
pub(crate) fn write_token(system: &System, code: &str, out: &mut Vec<u8>) {
    write_code(code, out);
    out.extend(system_hash(system));
}

/// The code and the zero byte that closes it.
pub(crate) fn write_code(code: &str, out: &mut Vec<u8>) {
    let start = out.len();
    fold_code(code, out);
    cut(start, out);
    out.push(0);
}

pub(crate) fn system_hash(system: &System) -> [u8; 8] {
    match system {
        System::None => [0; 8],
        System::Implicit => [0xff; 8],
        System::Uri(uri) => hash(uri.as_bytes()),
    }
}

/// The folded text, cut if it is long.
pub(crate) fn write_folded(text: &str, scratch: &mut String, out: &mut Vec<u8>) {
    scratch.clear();
    fold(text, scratch);
    write_text(scratch.as_bytes(), out);
}

pub(crate) fn write_text(text: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(text);
    cut(start, out);
}

/// Cuts the text from `start` on if it is long.
fn cut(start: usize, out: &mut Vec<u8>) {
    if out.len() - start > MAX_TEXT_BYTES {
        let hash = hash(&out[start..]);
        out.truncate(start + CUT_TEXT_BYTES);
        out.push(CUT_MARK);
        // No byte is zero: zero bytes end texts.
        out.extend(hash.map(|b| b | 1));
    }
}

/// Whether the text of a term was cut.
pub(crate) fn is_cut(text: &[u8]) -> bool {
    text.len() == MAX_TEXT_BYTES && text[CUT_TEXT_BYTES] == CUT_MARK
}

pub(crate) fn write_uri(url: &str, version: Option<&str>, out: &mut Vec<u8>) {
    write_text(url.as_bytes(), out);
    out.push(0);
    write_text(version.unwrap_or_default().as_bytes(), out);
}

/// The seconds since the year 1 in five bytes, then a byte below 0x80 that tells how long the stretch is, or 0x80 and
/// the ticks within the second in three bytes before it.
pub(crate) fn write_date(range: DateRange, out: &mut Vec<u8>) {
    write_instant(range.low, out);
    let length = range.high - range.low;
    match LENGTHS.iter().position(|&known| known == length) {
        Some(place) => out.push(u8::try_from(place + 1).unwrap_or(LENGTH_WRITTEN)),
        None => {
            out.push(LENGTH_WRITTEN);
            out.extend(length.to_be_bytes());
        }
    }
}

const LENGTH_WRITTEN: u8 = 0x7f;
const HAS_TICKS: u8 = 0x80;
const LENGTHS: [i64; 4] = [1, TICKS_PER_SECOND, 60 * TICKS_PER_SECOND, TICKS_PER_DAY];

/// The beginning of all dates that begin at this tick.
pub(crate) fn write_instant(tick: i64, out: &mut Vec<u8>) {
    let ticks = tick.clamp(MIN, MAX) - MIN;
    let (seconds, ticks) = (ticks / TICKS_PER_SECOND, ticks % TICKS_PER_SECOND);
    out.extend(&seconds.to_be_bytes()[3..]);
    if ticks > 0 {
        out.push(HAS_TICKS);
        out.extend(&ticks.to_be_bytes()[5..]);
    }
}

fn read_instant(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let mut eight = [0; 8];
    eight[3..].copy_from_slice(bytes.get(..5)?);
    let mut tick = MIN + i64::from_be_bytes(eight) * TICKS_PER_SECOND;
    let mut rest = &bytes[5..];
    if rest.first() == Some(&HAS_TICKS) {
        let mut eight = [0; 8];
        eight[5..].copy_from_slice(rest.get(1..4)?);
        tick += i64::from_be_bytes(eight);
        rest = &rest[4..];
    }
    Some((tick, rest))
}

/// Reads the value of a term of [`Facet::Date`].
pub(crate) fn read_date(value: &[u8]) -> Option<DateRange> {
    let (low, rest) = read_instant(value)?;
    let length = match rest.split_first()? {
        (&LENGTH_WRITTEN, rest) => i64::from_be_bytes(rest.try_into().ok()?),
        (&place, []) => *LENGTHS.get(usize::from(place).checked_sub(1)?)?,
        _ => return None,
    };
    Some(DateRange { low, high: low.checked_add(length)? })
}

/// The beginning of a date in a term of [`Facet::Late`].
pub(crate) fn read_late(value: &[u8]) -> Option<i64> {
    let (_, rest) = read_instant(value)?;
    read_instant(rest.strip_prefix(&[0])?).map(|(low, _)| low)
}

/// The end, then the beginning; so that equal ends share one stretch of terms.
pub(crate) fn write_late(range: DateRange, out: &mut Vec<u8>) {
    write_instant(range.high, out);
    // Below HAS_TICKS, so that an end without ticks sorts before one with them.
    out.push(0);
    write_instant(range.low, out);
}

/// What a unit is known by: texts with a zero byte behind each. Neighbours in the index share it.
pub(crate) fn write_unit(unit: &Unit, out: &mut Vec<u8>) {
    for part in [&unit.code, &unit.system, &unit.text] {
        match part {
            // The byte tells a missing text from an empty one.
            None => out.push(1),
            Some(text) => {
                out.push(2);
                write_text(text.as_bytes(), out);
            }
        }
        out.push(0);
    }
}

/// A unit as a term has it. Long texts are cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct UnitKey<'a> {
    pub(crate) code: Option<&'a [u8]>,
    pub(crate) system: Option<&'a [u8]>,
    pub(crate) text: Option<&'a [u8]>,
}

/// Reads what [`write_unit`] wrote, and returns how many bytes it is.
pub(crate) fn read_unit(value: &[u8]) -> Option<(UnitKey<'_>, usize)> {
    let mut at = 0;
    let mut part = || -> Option<Option<&[u8]>> {
        let length = value.get(at..)?.iter().position(|&b| b == 0)?;
        let (&kind, text) = value[at..at + length].split_first()?;
        at += length + 1;
        Some((kind != 1).then_some(text))
    };
    let unit = UnitKey { code: part()?, system: part()?, text: part()? };
    Some((unit, at))
}

/// A latitude or longitude in steps of 10^-7 degrees, about a centimetre.
pub(crate) fn write_degrees(degrees: f64, out: &mut Vec<u8>) {
    #[expect(clippy::cast_possible_truncation, reason = "a float is cut to the ends of the integers")]
    let steps = (degrees * 1e7).round() as i32;
    out.extend((steps ^ i32::MIN).to_be_bytes());
}

pub(crate) fn read_degrees(bytes: &[u8]) -> Option<f64> {
    let steps = i32::from_be_bytes(bytes.get(..4)?.try_into().ok()?) ^ i32::MIN;
    Some(f64::from(steps) / 1e7)
}

/// FNV-1a with a final mix; 0 and all ones are kept for other uses.
fn hash(bytes: &[u8]) -> [u8; 8] {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for &b in bytes {
        hash = (hash ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash ^= hash >> 32;
    hash = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^= hash >> 29;
    hash.clamp(1, u64::MAX - 1).to_be_bytes()
}
