//! Allergies and how they show.

use crate::element::{Code, snomed};

/// An allergy.
#[derive(Debug)]
pub(crate) struct Allergy {
    pub(crate) code: Code,
    /// AllergyIntolerance.category.
    pub(crate) category: &'static str,
    pub(crate) reactions: &'static [Code],
}

const HIVES: Code = snomed("247472004", "Wheal (finding)");
const SNEEZING: Code = snomed("76067001", "Sneezing (finding)");
const ITCHING: Code = snomed("418290006", "Itching (finding)");
const CONGESTION: Code = snomed("68235000", "Nasal congestion (finding)");
const SWELLING: Code = snomed("41291007", "Angioedema (disorder)");
const ANAPHYLAXIS: Code = snomed("39579001", "Anaphylaxis (disorder)");
const RASH: Code = snomed("271807003", "Eruption of skin (disorder)");
const DIARRHEA: Code = snomed("62315008", "Diarrhea (finding)");

const fn allergy(code: Code, category: &'static str, reactions: &'static [Code]) -> Allergy {
    Allergy { code, category, reactions }
}

/// All allergies.
pub(crate) const ALLERGIES: &[Allergy] = &[
    allergy(snomed("419263009", "Allergy to tree pollen"), "environment", &[SNEEZING, CONGESTION]),
    allergy(snomed("418689008", "Allergy to grass pollen"), "environment", &[SNEEZING, ITCHING]),
    allergy(snomed("419474003", "Allergy to mould"), "environment", &[SNEEZING, CONGESTION]),
    allergy(snomed("232350006", "House dust mite allergy"), "environment", &[SNEEZING, ITCHING]),
    allergy(snomed("232347008", "Dander (animal) allergy"), "environment", &[SNEEZING, HIVES]),
    allergy(snomed("424213003", "Allergy to bee venom"), "environment", &[SWELLING, ANAPHYLAXIS]),
    allergy(snomed("300916003", "Latex allergy"), "environment", &[RASH, ITCHING]),
    allergy(snomed("91934008", "Allergy to nut"), "food", &[ANAPHYLAXIS, HIVES]),
    allergy(snomed("91935009", "Allergy to peanuts"), "food", &[ANAPHYLAXIS, SWELLING]),
    allergy(snomed("91930004", "Allergy to eggs"), "food", &[HIVES, DIARRHEA]),
    allergy(snomed("425525006", "Allergy to dairy product"), "food", &[DIARRHEA, RASH]),
    allergy(snomed("417532002", "Allergy to fish"), "food", &[HIVES, SWELLING]),
    allergy(snomed("300913006", "Shellfish allergy"), "food", &[HIVES, ANAPHYLAXIS]),
    allergy(snomed("420174000", "Allergy to wheat"), "food", &[DIARRHEA]),
    allergy(snomed("91936005", "Allergy to penicillin"), "medication", &[RASH, HIVES]),
    allergy(snomed("293586001", "Allergy to aspirin"), "medication", &[HIVES, SWELLING]),
    allergy(snomed("387406002", "Sulfonamide (substance)"), "medication", &[RASH]),
];
