//! The 146 resource types of FHIR R4.
//!
//! A [`ResourceType`] is one byte: the number under which stores write it to disk.
//!
//! Invariant: the list only grows at its end, so a number never changes its meaning.

use std::fmt;

use crate::definitions;

/// A concrete resource type of FHIR R4, such as `Patient`.
///
/// ```
/// use keepwell_fhir::ResourceType;
/// let patient = ResourceType::parse("Patient").expect("Patient is an R4 type");
/// assert_eq!(patient.name(), "Patient");
/// assert_eq!(ResourceType::from_code(patient.code()), Some(patient));
/// assert_eq!(ResourceType::parse("patient"), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceType(u8);

impl ResourceType {
    /// How many types there are.
    pub const COUNT: usize = NAMES.len();

    /// Every type, by rising code.
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        (1..=NAMES_LEN).map(Self)
    }

    /// The stable number of this type, from 1; safe to store.
    #[must_use]
    pub const fn code(self) -> u8 {
        self.0
    }

    /// The type with this number, if there is one.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        if code >= 1 && code <= NAMES_LEN { Some(Self(code)) } else { None }
    }

    pub(crate) fn from_bytes(name: &[u8]) -> Option<Self> {
        definitions::find_resource_type(name).and_then(Self::from_code)
    }

    /// The name as FHIR writes it, case included.
    #[must_use]
    pub const fn name(self) -> &'static str {
        NAMES[self.0 as usize - 1]
    }

    /// The type with exactly this name; abstract types and data types have none.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::from_bytes(name.as_bytes())
    }
}

impl fmt::Display for ResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for ResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for ResourceType {
    type Err = UnknownResourceType;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::parse(name).ok_or(UnknownResourceType)
    }
}

/// The name is not that of a concrete R4 resource type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a resource type of FHIR R4")]
pub struct UnknownResourceType;

#[expect(clippy::cast_possible_truncation, reason = "the list is shorter than 256")]
const NAMES_LEN: u8 = NAMES.len() as u8;

const NAMES: [&str; 146] = [
    "Account",
    "ActivityDefinition",
    "AdverseEvent",
    "AllergyIntolerance",
    "Appointment",
    "AppointmentResponse",
    "AuditEvent",
    "Basic",
    "Binary",
    "BiologicallyDerivedProduct",
    "BodyStructure",
    "Bundle",
    "CapabilityStatement",
    "CarePlan",
    "CareTeam",
    "CatalogEntry",
    "ChargeItem",
    "ChargeItemDefinition",
    "Claim",
    "ClaimResponse",
    "ClinicalImpression",
    "CodeSystem",
    "Communication",
    "CommunicationRequest",
    "CompartmentDefinition",
    "Composition",
    "ConceptMap",
    "Condition",
    "Consent",
    "Contract",
    "Coverage",
    "CoverageEligibilityRequest",
    "CoverageEligibilityResponse",
    "DetectedIssue",
    "Device",
    "DeviceDefinition",
    "DeviceMetric",
    "DeviceRequest",
    "DeviceUseStatement",
    "DiagnosticReport",
    "DocumentManifest",
    "DocumentReference",
    "EffectEvidenceSynthesis",
    "Encounter",
    "Endpoint",
    "EnrollmentRequest",
    "EnrollmentResponse",
    "EpisodeOfCare",
    "EventDefinition",
    "Evidence",
    "EvidenceVariable",
    "ExampleScenario",
    "ExplanationOfBenefit",
    "FamilyMemberHistory",
    "Flag",
    "Goal",
    "GraphDefinition",
    "Group",
    "GuidanceResponse",
    "HealthcareService",
    "ImagingStudy",
    "Immunization",
    "ImmunizationEvaluation",
    "ImmunizationRecommendation",
    "ImplementationGuide",
    "InsurancePlan",
    "Invoice",
    "Library",
    "Linkage",
    "List",
    "Location",
    "Measure",
    "MeasureReport",
    "Media",
    "Medication",
    "MedicationAdministration",
    "MedicationDispense",
    "MedicationKnowledge",
    "MedicationRequest",
    "MedicationStatement",
    "MedicinalProduct",
    "MedicinalProductAuthorization",
    "MedicinalProductContraindication",
    "MedicinalProductIndication",
    "MedicinalProductIngredient",
    "MedicinalProductInteraction",
    "MedicinalProductManufactured",
    "MedicinalProductPackaged",
    "MedicinalProductPharmaceutical",
    "MedicinalProductUndesirableEffect",
    "MessageDefinition",
    "MessageHeader",
    "MolecularSequence",
    "NamingSystem",
    "NutritionOrder",
    "Observation",
    "ObservationDefinition",
    "OperationDefinition",
    "OperationOutcome",
    "Organization",
    "OrganizationAffiliation",
    "Parameters",
    "Patient",
    "PaymentNotice",
    "PaymentReconciliation",
    "Person",
    "PlanDefinition",
    "Practitioner",
    "PractitionerRole",
    "Procedure",
    "Provenance",
    "Questionnaire",
    "QuestionnaireResponse",
    "RelatedPerson",
    "RequestGroup",
    "ResearchDefinition",
    "ResearchElementDefinition",
    "ResearchStudy",
    "ResearchSubject",
    "RiskAssessment",
    "RiskEvidenceSynthesis",
    "Schedule",
    "SearchParameter",
    "ServiceRequest",
    "Slot",
    "Specimen",
    "SpecimenDefinition",
    "StructureDefinition",
    "StructureMap",
    "Subscription",
    "Substance",
    "SubstanceNucleicAcid",
    "SubstancePolymer",
    "SubstanceProtein",
    "SubstanceReferenceInformation",
    "SubstanceSourceMaterial",
    "SubstanceSpecification",
    "SupplyDelivery",
    "SupplyRequest",
    "Task",
    "TerminologyCapabilities",
    "TestReport",
    "TestScript",
    "ValueSet",
    "VerificationResult",
    "VisionPrescription",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_and_name_leads_back_to_its_type() {
        assert_eq!(ResourceType::all().len(), 146);
        for kind in ResourceType::all() {
            assert_eq!(ResourceType::from_code(kind.code()), Some(kind));
            assert_eq!(ResourceType::parse(kind.name()), Some(kind));
        }
    }

    #[test]
    fn codes_on_disk_keep_their_meaning() {
        for (code, name) in
            [(1, "Account"), (96, "Observation"), (103, "Patient"), (146, "VisionPrescription")]
        {
            assert_eq!(ResourceType::from_code(code).map(ResourceType::name), Some(name));
        }
        assert_eq!(ResourceType::from_code(0), None);
        assert_eq!(ResourceType::from_code(147), None);
    }

    #[test]
    fn abstract_types_and_data_types_are_not_resource_types() {
        for name in ["Resource", "DomainResource", "HumanName", "patient", "", "constructor"] {
            assert_eq!(ResourceType::parse(name), None);
        }
    }
}
