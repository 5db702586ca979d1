//! What the rules must know of a resource's content: its scopes, its blobs, and whether it is valid.
//!
//! | Content | Scopes |
//! |---|---|
//! | Organization, Practitioner, Location and the like ([`DIRECTORY`]) | `dir/main` |
//! | terminology, definitions, medications ([`LIBRARY`]) | `lib/main` |
//! | a Group, a CareTeam of a Group | none: they list patients of others |
//! | a Provenance of the server's own | none |
//! | a Patient | `Patient/<its id>` |
//! | anything in the compartment of a patient (R4 compartmentdefinition-patient), a Task for one | `Patient/<id>` of each |
//! | else anything in the compartment of a practitioner, a Task that one owns | `user/<id>` of each |
//! | else | none |
//!
//! What is in no scope stays on the server, or on the device that made it, and no device may write it.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use keepwell_fhir::{Compartment, Issue, IssueType, Reference, ResourceType, Severity, Walk, Walker};
use keepwell_protocol::limits::{BLOB_BYTES_MIN, LINE_BYTES_MAX, PULL_BYTES_MAX};
use keepwell_protocol::{Blob, BlobToken, Body, Id, ResourceKey, Scope};
use serde::Deserialize;

use crate::provenance::is_own;

/// Types of the directory.
pub const DIRECTORY: &[&str] = &[
    "Endpoint",
    "HealthcareService",
    "InsurancePlan",
    "Location",
    "Organization",
    "OrganizationAffiliation",
    "Practitioner",
    "PractitionerRole",
];

/// Types of the library.
pub const LIBRARY: &[&str] = &[
    "ActivityDefinition",
    "CapabilityStatement",
    "ChargeItemDefinition",
    "CodeSystem",
    "CompartmentDefinition",
    "ConceptMap",
    "DeviceDefinition",
    "EffectEvidenceSynthesis",
    "EventDefinition",
    "Evidence",
    "EvidenceVariable",
    "ExampleScenario",
    "GraphDefinition",
    "ImplementationGuide",
    "Library",
    "Measure",
    "Medication",
    "MedicationKnowledge",
    "MessageDefinition",
    "NamingSystem",
    "ObservationDefinition",
    "OperationDefinition",
    "PlanDefinition",
    "Questionnaire",
    "ResearchDefinition",
    "ResearchElementDefinition",
    "RiskEvidenceSynthesis",
    "SearchParameter",
    "SpecimenDefinition",
    "StructureDefinition",
    "StructureMap",
    "Substance",
    "TerminologyCapabilities",
    "TestScript",
    "ValueSet",
];

/// The name of the one directory and the one library of a tenant.
const MAIN: &str = "main";

/// Scopes that one resource may be in.
pub const SCOPES_OF_RESOURCE_MAX: usize = 64;

/// Bytes that the row of a resource has beside its body, at most.
const ENVELOPE_BYTES: usize = 4 << 10;

/// A resource as the rules see it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Content {
    /// Its scopes, by name.
    pub scopes: Vec<Scope>,
    /// The blobs that it refers to.
    pub blobs: Vec<Blob>,
    /// What is wrong with it; empty if it may be stored.
    pub issues: Vec<Issue>,
}

impl Content {
    /// Looks at a body.
    #[must_use]
    pub fn of(walker: &mut Walker, key: &ResourceKey, body: &Body) -> Self {
        let refused = |diagnostics: &'static str| Self {
            scopes: Vec::new(),
            blobs: Vec::new(),
            issues: vec![Issue {
                severity: Severity::Error,
                code: IssueType::Structure,
                expression: String::new(),
                diagnostics: diagnostics.into(),
            }],
        };
        let Some((plain, blobs)) = without_blobs(body.as_bytes()) else {
            return refused("a blob is not named as it should be");
        };
        let Ok(walk) = walker.walk(&plain) else { return refused("the content is no JSON of a resource") };
        let own = walk.id.map(|id| id.text(&plain));
        if walk.resource_type != key.kind || own.as_deref() != Some(key.id.as_str()) {
            return refused("the content is of another resource");
        }
        let mut issues: Vec<Issue> =
            walk.issues.iter().filter(|issue| issue.severity <= Severity::Error).cloned().collect();
        match walk.attachments.len().cmp(&blobs.len()) {
            Ordering::Less => issues.extend(refused("a blob stands where no attachment can").issues),
            Ordering::Greater => issues.extend(refused("a large attachment has to travel apart").issues),
            Ordering::Equal => {}
        }
        let scopes: Vec<Scope> = scopes(key, &plain, &walk).into_iter().collect();
        let travels = travelling_bytes(body) + ENVELOPE_BYTES;
        let immobile = if scopes.len() > SCOPES_OF_RESOURCE_MAX {
            Some("the resource is in too many scopes")
        } else if travels > LINE_BYTES_MAX || travels * scopes.len() > PULL_BYTES_MAX as usize {
            Some("the resource is too large for its scopes")
        } else {
            None
        };
        match immobile {
            // It can be in none: what another hand stored stays on the server.
            Some(reason) => {
                Self { scopes: Vec::new(), blobs, issues: [issues, refused(reason).issues].concat() }
            }
            None => Self { scopes, blobs, issues },
        }
    }
}

/// Bytes of a body in a line.
fn travelling_bytes(body: &Body) -> usize {
    let bytes = body.as_bytes();
    // Text that travels as a string grows by its escapes; only what may grow too large is looked at closely.
    let grown = || bytes.iter().map(|byte| if matches!(byte, b'"' | b'\\' | 0..0x20) { 2 } else { 1 }).sum();
    if bytes.len() * 2 < LINE_BYTES_MAX / SCOPES_OF_RESOURCE_MAX { bytes.len() } else { grown() }
}

/// The bytes with a text in the place of each blob, and the blobs.
fn without_blobs(bytes: &[u8]) -> Option<(std::borrow::Cow<'_, [u8]>, Vec<Blob>)> {
    let tokens = BlobToken::all(bytes)?;
    if tokens.is_empty() {
        return Some((bytes.into(), Vec::new()));
    }
    let (mut plain, mut blobs, mut copied) = (Vec::with_capacity(bytes.len()), Vec::new(), 0);
    for (place, token) in tokens {
        blobs.push(token.blob);
        plain.extend_from_slice(&bytes[copied..place.start]);
        // As long as what a walk lists as an attachment.
        plain.push(b'"');
        plain.resize(plain.len() + BLOB_BYTES_MIN + 4, b'A');
        plain.push(b'"');
        copied = place.end;
    }
    plain.extend_from_slice(&bytes[copied..]);
    Some((plain.into(), blobs))
}

fn scopes(key: &ResourceKey, bytes: &[u8], walk: &Walk<'_>) -> BTreeSet<Scope> {
    let main = |scope: fn(&Id) -> Scope| [scope(&MAIN.parse().expect("an id"))].into();
    match key.kind.name() {
        kind if DIRECTORY.binary_search(&kind).is_ok() => return main(Scope::directory),
        kind if LIBRARY.binary_search(&kind).is_ok() => return main(Scope::library),
        "Patient" => return [Scope::patient(&key.id)].into(),
        "Group" => return BTreeSet::new(),
        _ if is_own(key) => return BTreeSet::new(),
        "CareTeam" if read::<Team>(bytes).group().is_some() => return BTreeSet::new(),
        _ => {}
    }
    let task = if key.kind.name() == "Task" { read(bytes) } else { Task::default() };
    let patients = placed(bytes, walk, Compartment::Patient).chain(task.patient.id("Patient"));
    let patients: BTreeSet<Scope> = patients.map(|id| Scope::patient(&id)).collect();
    if !patients.is_empty() {
        return patients;
    }
    let people = placed(bytes, walk, Compartment::Practitioner).chain(task.owner.id("Practitioner"));
    people.map(|id| Scope::user(&id)).collect()
}

/// Those in whose compartment the resource is.
fn placed<'a>(
    bytes: &'a [u8],
    walk: &'a Walk<'_>,
    compartment: Compartment,
) -> impl Iterator<Item = Id> + 'a {
    let placing = walk.references.iter().filter(move |reference| reference.places_in(compartment));
    placing.filter_map(move |reference| target(&reference.span.text(bytes), compartment.code()))
}

fn target(reference: &str, kind: &str) -> Option<Id> {
    match Reference::parse(reference) {
        Reference::Relative { resource_type, id, .. } if resource_type.name() == kind => id.parse().ok(),
        _ => None,
    }
}

/// A FHIR Reference.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Ref {
    reference: String,
}

impl Ref {
    fn id(&self, kind: &str) -> Option<Id> {
        target(&self.reference, kind)
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Task {
    #[serde(rename = "for")]
    patient: Ref,
    owner: Ref,
}

/// What a valid resource says; of one that is not, nothing.
fn read<T: for<'a> Deserialize<'a> + Default>(bytes: &[u8]) -> T {
    serde_json::from_slice(bytes).unwrap_or_default()
}

/// Those who care for a patient or a group: an active CareTeam.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct Team {
    status: String,
    subject: Ref,
    participant: Vec<Participant>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Participant {
    member: Ref,
}

impl Team {
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    pub(crate) fn group(&self) -> Option<Id> {
        self.subject.id("Group")
    }

    pub(crate) fn patient(&self) -> Option<Id> {
        self.subject.id("Patient")
    }

    /// The users who take part in it; none while it is not active.
    pub(crate) fn users(&self) -> impl Iterator<Item = Id> + '_ {
        let active = self.status == "active";
        let members = self.participant.iter().filter(move |_| active);
        members.filter_map(|participant| participant.member.id("Practitioner"))
    }
}

/// Patients that somebody cares for together.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct Cohort {
    active: Option<bool>,
    #[serde(rename = "managingEntity")]
    managing_entity: Ref,
    member: Vec<CohortMember>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct CohortMember {
    entity: Ref,
    inactive: bool,
}

impl Cohort {
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// The user who manages it.
    pub(crate) fn manager(&self) -> Option<Id> {
        self.managing_entity.id("Practitioner")
    }

    /// The patients that are in it; none while it is not active.
    pub(crate) fn patients(&self) -> impl Iterator<Item = Id> + '_ {
        let active = self.active != Some(false);
        let members = self.member.iter().filter(move |member| active && !member.inactive);
        members.filter_map(|member| member.entity.id("Patient"))
    }
}

/// Whether resources of this type give access.
pub(crate) fn gives_access(kind: ResourceType) -> bool {
    matches!(kind.name(), "CareTeam" | "Group")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(json: &str) -> Content {
        let body = Body::new(json).expect("an object");
        Content::of(&mut Walker::new(), &body.key().expect("a key"), &body)
    }

    #[test]
    fn a_resource_is_in_the_scopes_that_its_content_says() {
        for (json, expected) in [
            (
                r#"{"resourceType":"Patient","id":"1","link":[{"other":{"reference":"Patient/2"},"type":"seealso"}]}"#,
                "Patient/1",
            ),
            (r#"{"resourceType":"Organization","id":"1"}"#, "dir/main"),
            (r#"{"resourceType":"ValueSet","id":"1","status":"active"}"#, "lib/main"),
            (
                r#"{"resourceType":"Appointment","id":"1","status":"booked","participant":[
                    {"status":"accepted","actor":{"reference":"Patient/2"}},
                    {"status":"accepted","actor":{"reference":"Practitioner/u"}},
                    {"status":"accepted","actor":{"reference":"Patient/1/_history/4"}}]}"#,
                "Patient/1 Patient/2",
            ),
            (r#"{"resourceType":"Schedule","id":"1","actor":[{"reference":"Practitioner/u"}]}"#, "user/u"),
            (
                r#"{"resourceType":"Task","id":"1","status":"draft","intent":"order","for":{"reference":"Patient/1"},"owner":{"reference":"Practitioner/u"}}"#,
                "Patient/1",
            ),
            (
                r#"{"resourceType":"Task","id":"1","status":"draft","intent":"order","owner":{"reference":"Practitioner/u"}}"#,
                "user/u",
            ),
            (
                r#"{"resourceType":"Group","id":"1","type":"person","actual":true,"member":[{"entity":{"reference":"Patient/1"}}]}"#,
                "",
            ),
            (
                r#"{"resourceType":"CareTeam","id":"1","subject":{"reference":"Group/1"},"participant":[{"member":{"reference":"Practitioner/u"}}]}"#,
                "",
            ),
            (r#"{"resourceType":"CareTeam","id":"1","subject":{"reference":"Patient/1"}}"#, "Patient/1"),
            (
                r#"{"resourceType":"AuditEvent","id":"1","type":{"code":"rest"},"recorded":"2026-01-01T00:00:00Z","agent":[{"requestor":true}],"source":{"observer":{"display":"s"}}}"#,
                "",
            ),
            (
                r#"{"resourceType":"Provenance","id":"1","target":[{"reference":"Patient/1/_history/2"}],"recorded":"2026-01-01T00:00:00Z","agent":[{"who":{"reference":"Practitioner/u"}}]}"#,
                "Patient/1",
            ),
            (
                r#"{"resourceType":"Provenance","id":"sync-1","target":[{"reference":"Patient/1/_history/2"}],"recorded":"2026-01-01T00:00:00Z","agent":[{"who":{"reference":"Practitioner/u"}}]}"#,
                "",
            ),
            (
                r##"{"resourceType":"Flag","id":"1","contained":[{"resourceType":"Flag","id":"c","status":"active","code":{"text":"x"},"subject":{"reference":"Patient/9"}}],"extension":[{"url":"u:x","valueReference":{"reference":"#c"}}],"status":"active","code":{"text":"x"},"subject":{"reference":"Patient/1"}}"##,
                "Patient/1",
            ),
        ] {
            let content = content(json);
            assert_eq!(content.issues, [], "{json}");
            let scopes: Vec<&str> = content.scopes.iter().map(Scope::as_str).collect();
            assert_eq!(scopes.join(" "), expected, "{json}");
        }
    }

    #[test]
    fn the_lists_of_types_are_sorted_and_of_r4() {
        for list in [DIRECTORY, LIBRARY] {
            assert!(list.is_sorted());
            assert!(list.iter().all(|name| ResourceType::parse(name).is_some()));
        }
    }

    #[test]
    fn a_blob_stands_only_where_an_attachment_can() {
        let token = r#"{"_blob":{"sha256":"gFSY1gQKJkotdVL-6JpHIC1QgpiWh09XTemXQ6hi5FI","size":20000}}"#;
        let photo = format!(r#"{{"resourceType":"Patient","id":"1","photo":[{{"data":{token}}}]}}"#);
        let found = content(&photo);
        assert_eq!((found.issues.len(), found.blobs.len()), (0, 1));
        for wrong in [
            format!(r#"{{"resourceType":"Patient","id":"1","name":[{{"family":{token}}}]}}"#),
            photo.replace("sha256", "sha255"),
            photo.replace("\"size\":20000", "\"size\":-1"),
            photo.replace("20000", "2000000000"),
        ] {
            assert_ne!(content(&wrong).issues, [], "{wrong}");
        }
    }

    #[test]
    fn what_cannot_travel_is_no_content() {
        let text = "x".repeat(LINE_BYTES_MAX);
        let large = format!(r#"{{"resourceType":"Basic","id":"1","code":{{"text":"{text}"}}}}"#);
        let body =
            Body::new(large.get(..LINE_BYTES_MAX - 4).map_or(String::new(), |cut| format!("{cut}\"}}}}")));
        let body = body.expect("within the limit of a line");
        assert_ne!(Content::of(&mut Walker::new(), &body.key().expect("a key"), &body).issues, []);
    }
}
