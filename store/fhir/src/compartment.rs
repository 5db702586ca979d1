//! The five compartments of R4 (compartmentdefinition.html).
//!
//! A compartment collects what belongs to one patient, encounter, practitioner, related person or device. The
//! tables come from the CompartmentDefinitions; the walker uses them to find the patient of a resource.

use crate::definitions::{COMPARTMENT_PARAMETERS, COMPARTMENTS};
use crate::resource_type::ResourceType;

/// One of the five compartments.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Compartment {
    /// What belongs to a patient.
    Patient,
    /// What belongs to an encounter.
    Encounter,
    /// What belongs to a related person.
    RelatedPerson,
    /// What belongs to a practitioner.
    Practitioner,
    /// What belongs to a device.
    Device,
}

impl Compartment {
    /// Every compartment.
    pub const ALL: [Self; 5] =
        [Self::Patient, Self::Encounter, Self::RelatedPerson, Self::Practitioner, Self::Device];

    /// The code of the CompartmentDefinition, which is also the name of the type in its middle.
    #[must_use]
    pub const fn code(self) -> &'static str {
        COMPARTMENTS[self as usize]
    }

    /// The search parameters that put a resource of this type into the compartment; none if it never is.
    /// `{def}` stands for the resource in the middle itself.
    ///
    /// ```
    /// use keepwell_fhir::{Compartment, ResourceType};
    /// let observation = ResourceType::parse("Observation").expect("Observation is an R4 type");
    /// assert_eq!(Compartment::Patient.parameters(observation), ["subject", "performer"]);
    /// ```
    #[must_use]
    pub fn parameters(self, kind: ResourceType) -> &'static [&'static str] {
        let types = COMPARTMENT_PARAMETERS[self as usize];
        let found = types.binary_search_by_key(&kind.code(), |(code, _)| *code);
        found.map_or(&[], |index| types[index].1)
    }

    /// This compartment in the bit set of an element.
    pub(crate) const fn bit(self) -> u8 {
        1 << self as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_in_the_middle_belongs_to_its_own_compartment() {
        for compartment in Compartment::ALL {
            let kind = ResourceType::parse(compartment.code()).expect("compartments are named after types");
            let expected: &[&str] = match compartment {
                Compartment::Patient => &["link"],
                Compartment::Device => &[],
                _ => &["{def}"],
            };
            assert_eq!(compartment.parameters(kind), expected, "{}", compartment.code());
        }
    }

    #[test]
    fn types_outside_have_no_parameters() {
        let kind = ResourceType::parse("CodeSystem").expect("CodeSystem is an R4 type");
        assert!(Compartment::ALL.iter().all(|compartment| compartment.parameters(kind).is_empty()));
    }
}
