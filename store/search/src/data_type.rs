//! The data types of R4 that search tells apart.

macro_rules! data_types {
    ($($name:ident $code:literal;)*) => {
        /// The type of an element, as far as search treats it in a way of its own.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[non_exhaustive]
        pub enum DataType {
            $(#[doc = concat!("`", $code, "`")] $name,)*
            /// A resource: `Bundle.entry.resource`, or a whole resource for `_content`.
            Resource,
            /// A backbone element or a data type that no parameter converts.
            Other,
        }

        impl DataType {
            /// The type with this FHIR name; [`Self::Other`] if search knows none of that name.
            #[must_use]
            pub fn of_name(name: &str) -> Self {
                match name {
                    $($code => Self::$name,)*
                    "SimpleQuantity" | "MoneyQuantity" | "Count" | "Distance" => Self::Quantity,
                    _ => Self::Other,
                }
            }
        }
    };
}

data_types! {
    Boolean "boolean";
    Integer "integer";
    PositiveInt "positiveInt";
    UnsignedInt "unsignedInt";
    Decimal "decimal";
    String "string";
    Code "code";
    Id "id";
    Oid "oid";
    Uuid "uuid";
    Uri "uri";
    Url "url";
    Canonical "canonical";
    Markdown "markdown";
    Base64Binary "base64Binary";
    Instant "instant";
    Date "date";
    DateTime "dateTime";
    Time "time";
    Xhtml "xhtml";
    Address "Address";
    Age "Age";
    Annotation "Annotation";
    Attachment "Attachment";
    CodeableConcept "CodeableConcept";
    Coding "Coding";
    ContactPoint "ContactPoint";
    Duration "Duration";
    HumanName "HumanName";
    Identifier "Identifier";
    Money "Money";
    Narrative "Narrative";
    Period "Period";
    Position "Location.position";
    Quantity "Quantity";
    Range "Range";
    Ratio "Ratio";
    Reference "Reference";
    SampledData "SampledData";
    Signature "Signature";
    Timing "Timing";
    UsageContext "UsageContext";
}

/// Whether the data type of a name is another one or a kind of it. `DateTime` and the like are taken for what they
/// stand for, since R4 itself writes them so (`value.as(DateTime)`).
pub(crate) fn is_a(own: &str, wanted: &str) -> bool {
    let parent = match own {
        "Age" | "Count" | "Distance" | "Duration" | "SimpleQuantity" | "MoneyQuantity" => "Quantity",
        "code" | "id" | "markdown" => "string",
        "url" | "canonical" | "oid" | "uuid" => "uri",
        "positiveInt" | "unsignedInt" => "integer",
        _ => own,
    };
    own == wanted
        || parent == wanted
        || (parent.eq_ignore_ascii_case(wanted) && own.starts_with(char::is_lowercase))
}
