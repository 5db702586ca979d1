//! What stands behind the colon of a parameter's name (R4 search.html#modifiers).

use keepwell_fhir::ResourceType;

use crate::parameter::{Parameter, ParameterKind, ParameterNumber};

use super::{StringMatch, UriMatch};

/// A modifier.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Modifier {
    None,
    Missing,
    Exact,
    Contains,
    Not,
    Text,
    In,
    NotIn,
    Below,
    Above,
    OfType,
    Identifier,
    Type(ResourceType),
}

impl Modifier {
    /// The modifier, if the parameter takes it.
    pub(super) fn parse(parameter: &Parameter, text: Option<&str>) -> Option<Self> {
        let modifier = match text {
            None => return Some(Self::None),
            Some("missing") => Self::Missing,
            Some("exact") => Self::Exact,
            Some("contains") => Self::Contains,
            Some("not") => Self::Not,
            Some("text") => Self::Text,
            Some("in") => Self::In,
            Some("not-in") => Self::NotIn,
            Some("below") => Self::Below,
            Some("above") => Self::Above,
            Some("of-type") => Self::OfType,
            Some("identifier") => Self::Identifier,
            Some(name) => Self::Type(ResourceType::parse(name)?),
        };
        modifier.fits(parameter).then_some(modifier)
    }

    fn fits(self, parameter: &Parameter) -> bool {
        use ParameterKind::{Reference, String, Token, Uri};
        let kind = parameter.kind;
        // What every resource has, or no resource has, has no use for it; nor has full text for others.
        let is_of_all = parameter.number.0 <= ParameterNumber::TYPE.0;
        let has_values = [
            ParameterNumber::TAG,
            ParameterNumber::PROFILE,
            ParameterNumber::SECURITY,
            ParameterNumber::SOURCE,
        ]
        .contains(&parameter.number);
        if is_of_all && !has_values {
            return self == Self::Not && parameter.number == ParameterNumber::ID;
        }
        match self {
            Self::None | Self::Missing => true,
            Self::Exact | Self::Contains => kind == String,
            Self::Not | Self::Text | Self::In | Self::NotIn | Self::OfType => kind == Token,
            Self::Above => kind == Token || kind == Uri,
            Self::Below => kind == Token || kind == Uri || kind == Reference,
            Self::Identifier => kind == Reference,
            Self::Type(wanted) => {
                kind == Reference && (parameter.targets.is_empty() || parameter.targets.contains(&wanted))
            }
        }
    }

    /// Whether what matches is what is not wanted.
    pub(super) const fn negates(self) -> bool {
        matches!(self, Self::Not | Self::NotIn)
    }

    pub(super) const fn string(self) -> StringMatch {
        match self {
            Self::Exact => StringMatch::Exact,
            Self::Contains => StringMatch::Contains,
            _ => StringMatch::StartsWith,
        }
    }

    pub(super) const fn uri(self) -> UriMatch {
        match self {
            Self::Above => UriMatch::Above,
            Self::Below => UriMatch::Below,
            _ => UriMatch::Exact,
        }
    }
}
