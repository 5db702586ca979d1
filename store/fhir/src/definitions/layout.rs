//! The shape of the compiled definitions, and how a key finds its element.
//!
//! The generator includes this file as well, so both sides agree on numbers and hashes by construction.

/// A key or code, with its first and last eight bytes at hand for comparing and hashing.
pub(crate) struct Name {
    pub(crate) text: &'static str,
    pub(crate) key: Key,
}

/// The parts of a text that a lookup looks at first.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    /// The first eight bytes, or four, or two.
    pub(crate) head: u64,
    /// As many of the last bytes, so that up to sixteen bytes are told apart without reading the rest.
    pub(crate) tail: u64,
    pub(crate) length: usize,
}

impl Key {
    #[inline(always)]
    pub(crate) const fn of(text: &[u8]) -> Self {
        let length = text.len();
        let (head, tail) = match (text.first_chunk(), text.last_chunk()) {
            (Some(head), Some(tail)) => (u64::from_le_bytes(*head), u64::from_le_bytes(*tail)),
            _ => Self::of_short(text),
        };
        Self { head, tail, length }
    }

    #[inline(always)]
    const fn of_short(text: &[u8]) -> (u64, u64) {
        match (text.first_chunk(), text.last_chunk()) {
            (Some(head), Some(tail)) => (u32::from_le_bytes(*head) as u64, u32::from_le_bytes(*tail) as u64),
            _ if text.is_empty() => (0, 0),
            _ => (text[0] as u64 | (text[text.len() / 2] as u64) << 8, text[text.len() - 1] as u64),
        }
    }

    /// Where the search for this key starts in a table.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the shift leaves at most 16 bits")]
    pub(crate) const fn slot(self, hash: &Hash) -> usize {
        // Fibonacci hashing: the multiplier is 2^64 divided by the golden ratio.
        let mixed = (self.head ^ self.tail.rotate_left(29)).wrapping_add(self.length as u64);
        (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - hash.bits as u32)) as usize
    }
}

pub(crate) const fn name(text: &'static str) -> Name {
    Name { text, key: Key::of(text.as_bytes()) }
}

/// A hash table with linear probing: positions in a list of names.
#[derive(Clone, Copy, Default)]
pub(crate) struct Hash {
    /// The first slot in the array of all slots.
    pub(crate) slots: u32,
    /// The table has `2^bits` slots, at least one of them free.
    pub(crate) bits: u8,
}

/// A free slot.
pub(crate) const FREE: u16 = u16::MAX;

pub(crate) const fn hash(slots: u32, bits: u8) -> Hash {
    Hash { slots, bits }
}

/// What an object may hold: a data type, a resource type, or a backbone element at its path.
pub(crate) struct Context {
    /// The first of its elements; choice elements are one for each type.
    pub(crate) elements: u16,
    /// The first of its rules.
    pub(crate) rules: u16,
    pub(crate) rule_count: u8,
    pub(crate) hash: Hash,
}

pub(crate) const fn context(elements: u16, rules: u16, rule_count: u8, hash: Hash) -> Context {
    Context { elements, rules, rule_count, hash }
}

/// How often elements may or must occur in an object.
#[derive(Clone, Copy)]
pub(crate) struct Rule {
    /// The first element, counted inside the context.
    pub(crate) first: u8,
    /// The last element: another one than the first for the types of a choice.
    pub(crate) last: u8,
    pub(crate) required: bool,
    /// The name of the choice without `[x]`, or that of the element.
    pub(crate) name: u16,
}

impl Rule {
    /// Whether the rule is about the types of a choice, of which at most one may be there.
    pub(crate) const fn is_choice(&self) -> bool {
        self.first != self.last
    }

    pub(crate) const fn covers(&self, position: u16) -> bool {
        self.first as u16 <= position && position <= self.last as u16
    }
}

pub(crate) const fn rule(first: u8, last: u8, required: u8, name: u16) -> Rule {
    Rule { first, last, required: required != 0, name }
}

/// One key of an object.
pub(crate) struct Element {
    pub(crate) name: u16,
    /// A primitive type, [`RESOURCE`], or [`FIRST_CONTEXT`] plus a context.
    pub(crate) kind: u16,
    /// [`REPEATS`], [`PLAIN`], [`SUMMARY`] and [`MODIFIER`].
    pub(crate) flags: u8,
    pub(crate) role: u8,
    /// The compartments this reference puts the resource into, one bit each.
    pub(crate) compartments: u8,
    /// The set of types a reference may point at; 0 for any.
    pub(crate) targets: u8,
    /// The value set of a required binding; 0 for none.
    pub(crate) binding: u8,
}

pub(crate) const fn element(
    name: u16,
    kind: u16,
    flags: u8,
    role: u8,
    compartments: u8,
    targets: u8,
    binding: u8,
) -> Element {
    Element { name, kind, flags, role, compartments, targets, binding }
}

/// The element is an array.
pub(crate) const REPEATS: u8 = 1;
/// The element has no `_` twin for extensions.
pub(crate) const PLAIN: u8 = 2;
/// The element is part of a summary (R4 elementdefinition-definitions.html#ElementDefinition.isSummary).
pub(crate) const SUMMARY: u8 = 4;
/// The element may change what others mean: no subset leaves it out.
pub(crate) const MODIFIER: u8 = 8;

/// Codes that a required binding allows.
pub(crate) struct ValueSet {
    /// The first of its codes.
    pub(crate) codes: u16,
    /// The name of the only system its codes are from; [`MANY_SYSTEMS`] otherwise.
    pub(crate) system: u16,
    pub(crate) hash: Hash,
}

/// The codes of a value set are from several systems.
pub(crate) const MANY_SYSTEMS: u16 = u16::MAX;

pub(crate) const fn value_set(codes: u16, system: u16, hash: Hash) -> ValueSet {
    ValueSet { codes, system, hash }
}

/// The primitive types; their position is the number in [`Element::kind`].
pub(crate) const PRIMITIVES: [&str; 20] = [
    "boolean",
    "integer",
    "positiveInt",
    "unsignedInt",
    "decimal",
    "string",
    "code",
    "id",
    "oid",
    "uuid",
    "uri",
    "url",
    "canonical",
    "markdown",
    "base64Binary",
    "instant",
    "date",
    "dateTime",
    "time",
    "xhtml",
];

/// Any resource: `contained`, `Bundle.entry.resource`, `Parameters.parameter.resource`.
pub(crate) const RESOURCE: u16 = 30;
/// The kind of context 0.
pub(crate) const FIRST_CONTEXT: u16 = 32;

/// Elements the walker does more with than checking them; their position is the number in
/// [`Element::role`].
pub(crate) const ROLES: [&str; 15] = [
    "",
    "resourceType",
    "id",
    "meta",
    "identifier",
    "Meta.versionId",
    "Meta.lastUpdated",
    "Reference.reference",
    "Reference.type",
    "Identifier.system",
    "Identifier.value",
    "Coding.system",
    "Coding.code",
    "attachment",
    "contained",
];

/// The compartments; their position is the bit in [`Element::compartments`].
pub(crate) const COMPARTMENTS: [&str; 5] =
    ["Patient", "Encounter", "RelatedPerson", "Practitioner", "Device"];
