//! The written note of a visit, as a document and as a report.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Chart, Visit};
use crate::element::{loinc, period, reference};
use crate::person::Gender;

/// What was found and done at one visit.
#[derive(Default, Debug)]
pub(super) struct Findings {
    pub(super) problems: Vec<&'static str>,
    pub(super) procedures: Vec<&'static str>,
    pub(super) orders: Vec<&'static str>,
    pub(super) vaccines: Vec<&'static str>,
    pub(super) tests: Vec<&'static str>,
}

/// What stays true between visits.
#[derive(Default, Debug)]
pub(super) struct History {
    pub(super) problems: Vec<&'static str>,
    pub(super) drugs: Vec<&'static str>,
    pub(super) allergies: Vec<&'static str>,
    pub(super) plans: Vec<&'static str>,
}

impl Chart<'_> {
    /// Writes the note of a visit as DiagnosticReport and DocumentReference.
    pub(super) fn note(&mut self, visit: &Visit) {
        let data = STANDARD.encode(self.text(visit));
        let attachment = json!({"contentType": "text/plain; charset=utf-8", "data": data});
        let kinds = json!([
            loinc("34117-2", "History and physical note").coding(),
            loinc("51847-2", "Evaluation+Plan note").coding(),
        ]);
        let issued = visit.start.instant(self.random.between(0, 999));
        self.note_report(visit, &kinds, &attachment, &issued);
        self.note_document(visit, &kinds, &attachment, &issued);
    }

    fn note_report(&mut self, visit: &Visit, kinds: &Value, attachment: &Value, issued: &str) {
        let id = self.random.uuid();
        let report = json!({
            "status": "final",
            "category": [{"coding": kinds}],
            "code": {"coding": kinds},
            "subject": self.subject(),
            "encounter": reference(&visit.reference()),
            "effectiveDateTime": visit.start.to_string(),
            "issued": issued,
            "performer": [self.practitioner(visit)],
            "presentedForm": [attachment],
        });
        self.put("DiagnosticReport", &id, Some("us-core-diagnosticreport-note"), report);
    }

    fn note_document(&mut self, visit: &Visit, kinds: &Value, attachment: &Value, date: &str) {
        let id = self.random.uuid();
        let document = json!({
            "identifier": [{"system": "urn:ietf:rfc:3986", "value": format!("urn:uuid:{}", self.random.uuid())}],
            "status": "current",
            "type": {"coding": kinds},
            "category": [{"coding": [{
                "system": "http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category",
                "code": "clinical-note",
                "display": "Clinical Note",
            }]}],
            "subject": self.subject(),
            "date": date,
            "author": [self.practitioner(visit)],
            "custodian": self.organization(visit),
            "content": [{
                "attachment": attachment,
                "format": {
                    "system": "http://ihe.net/fhir/ValueSet/IHE.FormatCode.codesystem",
                    "code": "urn:ihe:iti:xds:2017:mimeTypeSufficient",
                    "display": "mimeType Sufficient",
                },
            }],
            "context": {
                "encounter": [reference(&visit.reference())],
                "period": period(visit.start, visit.end()),
            },
        });
        self.put("DocumentReference", &id, Some("us-core-documentreference"), document);
    }

    fn text(&self, visit: &Visit) -> String {
        let (person, findings, history) = (&self.person, &visit.findings, &self.history);
        let sex = match person.gender {
            Gender::Female => "female",
            Gender::Male => "male",
        };
        let complaint = visit.reason.as_ref().map_or("No complaints.", |reason| reason.code.display);
        let mut text = format!("\n{}\n\n# Chief Complaint\n{complaint}\n", visit.start.day());
        text += &format!(
            "\n# History of Present Illness\n{} is a {} year-old {} {sex}. Known problems: {}.\n",
            person.given[0],
            person.age(visit.start.day()),
            person.race.1.to_lowercase(),
            list(&history.problems, "none"),
        );
        text += &format!(
            "\n# Social History\nMarital status: {}. {} Insurance: {}.\n",
            person.marital.1.to_lowercase(),
            if person.smoker { "Smokes daily." } else { "Does not smoke." },
            person.payer,
        );
        text += &section("# Allergies", &history.allergies, "No Known Allergies.");
        text += &section("# Medications", &history.drugs, "No Active Medications.");
        text += &section("# Assessment and Plan", &findings.problems, "No new findings.");
        for (title, lines) in [
            ("## Tests", &findings.tests),
            ("## Procedures", &findings.procedures),
            ("## Immunizations", &findings.vaccines),
            ("## Prescriptions", &findings.orders),
            ("## Care Plans", &history.plans),
        ] {
            if !lines.is_empty() {
                text += &section(title, lines, "");
            }
        }
        text
    }
}

fn list(items: &[&str], none: &str) -> String {
    if items.is_empty() { none.to_owned() } else { items.join(", ").to_lowercase() }
}

fn section(title: &str, lines: &[&str], none: &str) -> String {
    let body =
        if lines.is_empty() { none.to_owned() } else { format!("- {}", lines.join("\n- ").to_lowercase()) };
    format!("\n{title}\n{body}\n")
}
