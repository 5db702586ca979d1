//! The cases of the HL7 validator that need nothing but R4.
//!
//! The validator knows invariants, terminologies, profiles and rules across resources; the walker checks the
//! structure. So it finds fewer mistakes; each case where the verdicts differ has its reason here.

use std::collections::BTreeMap;

use keepwell_fhir::{Severity, Walker};
use serde_json::Value;

use crate::shared;

/// A rule between elements or entries: an invariant, Bundle rules, references that have to resolve.
const RULE: &str = "a rule across elements";
/// Codes and displays of external code systems.
const TERMINOLOGY: &str = "terminology";
/// The definition of an extension or profile.
const PROFILE: &str = "profiles and extension definitions";
/// A check of text that no format of R4 demands.
const TEXT: &str = "conventions about texts";
/// The case runs the same file with an option that forgives the mistake.
const FORGIVEN: &str = "an option of the validator forgives it";

const DIFFERENT: [(&str, &str); 31] = [
    ("attachment-with-wrong-size", RULE),
    ("bundle-document-versioned-references-bad", RULE),
    ("capstmt", RULE),
    ("questionnaire-enableWhen-dw", RULE),
    ("mr-covid-bnd1", TEXT),
    ("q-enablewhen-me-wrong", RULE),
    ("sp-diff-type", RULE),
    ("sp-diff-base", RULE),
    ("obs-temp-bad", PROFILE),
    ("parameters-reference-bad", RULE),
    ("bundle-duplicate-id", RULE),
    ("mni-patientOverview-bundle-example1", TERMINOLOGY),
    ("bundle-duplicate-ids-not", TERMINOLOGY),
    ("pat-dob-ext", PROFILE),
    ("bundle-id-2", RULE),
    ("bundle-id-3", RULE),
    ("bundle-id-4", RULE),
    ("bundle-id-5", TERMINOLOGY),
    ("pat-example-extensions", PROFILE),
    ("bundle-with-contained", TERMINOLOGY),
    ("risk-assessment-probability-range", RULE),
    ("uk-msg", TERMINOLOGY),
    ("contained-resource-bad-id-ignore", FORGIVEN),
    ("nested-questionnaire-nested-valueset", PROFILE),
    ("bad-markdown-no-html", TEXT),
    ("json-comments-1-yes", FORGIVEN),
    ("json-comments-2-yes", FORGIVEN),
    ("ext-ccuk", RULE),
    ("maiden-name-extension", PROFILE),
    ("obs-mz", PROFILE),
    ("sp-composite", RULE),
];

#[test]
fn verdicts_agree_with_the_hl7_validator_but_for_known_reasons() {
    let Some(folder) = shared::folder("data/cases/validator") else { return };
    let manifest: Value = serde_json::from_slice(&shared::read(&folder.join("manifest.json"))).expect("JSON");
    let cases = manifest["cases"].as_array().expect("a list of cases");
    let mut walker = Walker::new();
    let (mut agreed, mut unknown, mut different) = (0, 0, Vec::new());
    for case in cases {
        let name = case["name"].as_str().expect("a name");
        let bytes = shared::read(&folder.join(case["file"].as_str().expect("a file")));
        let has_error = walker
            .walk(&bytes)
            .map_or(true, |walk| walk.issues.iter().any(|issue| issue.severity <= Severity::Error));
        match case["errors"].as_u64() {
            None => {
                assert!(!has_error, "{name} has no recorded outcome and is well structured");
                unknown += 1;
            }
            Some(errors) if (errors > 0) == has_error => agreed += 1,
            Some(_) => different.push(name),
        }
    }
    let mut reasons = BTreeMap::new();
    for (_, reason) in DIFFERENT {
        *reasons.entry(reason).or_insert(0) += 1;
    }
    println!(
        "{} cases: {agreed} agree, {unknown} have no recorded outcome, the others: {reasons:?}",
        cases.len()
    );
    assert_eq!(different, DIFFERENT.map(|(name, _)| name));
}
