//! Records as FHIR R4 AuditEvent, in the shape of IHE Basic Audit Log Patterns (BALP 1.1).
//!
//! A record that wrote several resources becomes an event for each of them and one for the whole; `XrequestId`
//! holds them together. The ids are stable: the sequence, and the sequence with the number of the change. An event
//! claims a BALP profile only when it has all that the profile asks for.

use std::io::{self, Write};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use keepwell_fhir::ResourceType;
use rusqlite::{Connection, named_params};
use serde_json::{Map, Value, json};

use super::action::{Coding, OTHER_SUBTYPE, OTHER_TYPE};
use super::query::{AuditQuery, AuditRecord, AuditedResource, query};
use super::{Action, Outcome};
use crate::id_key::IdKey;

const BALP: &str = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.";
const BALP_ENTITY: &str = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType";
const ACT_REASON: &str = "http://terminology.hl7.org/CodeSystem/v3-ActReason";
const ENTITY_TYPE: &str = "http://terminology.hl7.org/CodeSystem/audit-entity-type";
const OBJECT_ROLE: &str = "http://terminology.hl7.org/CodeSystem/object-role";
const SOURCE_TYPE: &str = "http://terminology.hl7.org/CodeSystem/security-source-type";

/// The store itself, as the agent that serves.
const SERVER: &str = "Keepwell store";
/// `network.type` of a machine's name: app and store are on the same device.
const MACHINE_NAME: &str = "1";

const APPLICATION: Coding = dicom("110150", "Application");
const DESTINATION: Coding = dicom("110152", "Destination Role ID");
const SOURCE: Coding = dicom("110153", "Source Role ID");
const CUSTODIAN: Coding = Coding {
    system: "http://terminology.hl7.org/CodeSystem/provenance-participant-type",
    code: "custodian",
    display: "Custodian",
};
const AUTHOR: Coding = participation("AUT", "author (originator)");
const RECIPIENT: Coding = participation("IRCP", "information recipient");

const fn dicom(code: &'static str, display: &'static str) -> Coding {
    Coding { system: "http://dicom.nema.org/resources/ontology/DCM", code, display }
}
const fn participation(code: &'static str, display: &'static str) -> Coding {
    Coding { system: "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", code, display }
}

/// Why an export stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ExportError {
    /// The database failed.
    #[error("while reading the audit trail")]
    Storage(#[from] rusqlite::Error),
    /// The file could not be written.
    #[error("while writing audit events")]
    Output(#[from] io::Error),
}

/// Writes every record that answers `question` as NDJSON of AuditEvents; returns how many events that were. The
/// question's cursor and limit do not count; `row` is that of the resource that it asks for.
///
/// # Errors
/// Those of the database and of `out`.
pub(crate) fn export(
    connection: &Connection,
    question: &AuditQuery,
    row: Option<i64>,
    out: &mut dyn Write,
) -> Result<u64, ExportError> {
    let mut question = AuditQuery { after: None, limit: None, ..question.clone() };
    let mut count = 0;
    loop {
        let page = query(connection, &question, row)?;
        for record in &page.records {
            for_each_event(connection, record, |event| {
                serde_json::to_writer(&mut *out, &event).map_err(io::Error::from)?;
                out.write_all(b"\n")?;
                count += 1;
                Ok(())
            })?;
        }
        if page.next.is_none() {
            return Ok(count);
        }
        question.after = page.next;
    }
}

const CHANGES: &str = "
    -- audit::render
    SELECT c.type, r.id, c.version, c.operation, p.id
    FROM change_log c JOIN resource r ON r.key = c.resource LEFT JOIN patient p ON p.key = r.patient
    WHERE c.sequence BETWEEN :first AND :last ORDER BY c.sequence";

/// Gives `visit` the event of `record` and, when it wrote more than the one resource that it names, one for each
/// change. They come one by one: an import may have written a hundred thousand.
///
/// # Errors
/// Those of the database and of `visit`.
fn for_each_event(
    connection: &Connection,
    record: &AuditRecord,
    mut visit: impl FnMut(Value) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    visit(record.to_fhir())?;
    let Some((first, last)) = record.changes.filter(|_| record.resource.is_none()) else { return Ok(()) };
    let mut statement = connection.prepare_cached(CHANGES)?;
    let mut rows = statement.query(named_params! {":first": first, ":last": last})?;
    let mut number = 0;
    while let Some(row) = rows.next()? {
        number += 1;
        let Some(resource_type) = ResourceType::from_code(row.get(0)?) else { continue };
        let id = row.get::<_, IdKey>(1)?.to_string();
        let part = AuditRecord {
            action: operation(row.get(3)?),
            resource: Some(AuditedResource { resource_type, id, version: row.get(2)? }),
            patient: row.get::<_, Option<IdKey>>(4)?.map(|id| id.to_string()),
            ..record.clone()
        };
        visit(Rendering::new(&part).event(format!("{}.{number}", record.sequence)))?;
    }
    Ok(())
}

/// The action that a change log row tells of.
fn operation(code: i64) -> Option<Action> {
    match code {
        1 => Some(Action::Create),
        2 => Some(Action::Update),
        3 => Some(Action::Delete),
        4 => Some(Action::Purge),
        _ => None,
    }
}

impl AuditRecord {
    /// The record as a FHIR R4 AuditEvent; of a record that wrote several resources, the event of the whole.
    #[must_use]
    pub fn to_fhir(&self) -> Value {
        Rendering::new(self).event(self.sequence.to_string())
    }
}

/// A record with its detail taken apart.
struct Rendering<'a> {
    record: &'a AuditRecord,
    detail: Map<String, Value>,
}

impl<'a> Rendering<'a> {
    fn new(record: &'a AuditRecord) -> Self {
        let detail = record.detail.as_deref().and_then(|detail| serde_json::from_str(detail).ok());
        Self { record, detail: detail.unwrap_or_default() }
    }

    fn event(self, id: String) -> Value {
        let record = self.record;
        let (event_type, subtype, letter) = match record.action {
            Some(action) => (action.event_type(), action.subtype(), action.letter()),
            None => (OTHER_TYPE, OTHER_SUBTYPE, "E"),
        };
        let mut event = json!({ "resourceType": "AuditEvent", "id": id });
        if let Some(profile) = self.profile() {
            event["meta"] = json!({ "profile": [format!("{BALP}{profile}")] });
        }
        event["type"] = coding(event_type);
        event["subtype"] = json!([coding(subtype)]);
        event["action"] = letter.into();
        event["recorded"] = record.recorded.to_string().into();
        if let Some(outcome) = record.outcome {
            event["outcome"] = outcome.code().to_string().into();
        }
        if let Some(reason) = self.text("reason").filter(|_| record.outcome != Some(Outcome::Success)) {
            event["outcomeDesc"] = reason.into();
        }
        event["agent"] = self.agents();
        event["source"] = json!({
            "observer": { "display": shown(record.actor.device()) },
            "type": [{ "system": SOURCE_TYPE, "code": "1", "display": "User Device" }],
        });
        let entities = self.entities();
        if !entities.is_empty() {
            event["entity"] = entities.into();
        }
        event
    }

    /// The BALP profile that the event conforms to. BALP has none for failures and none for history.
    fn profile(&self) -> Option<String> {
        let record = self.record;
        let name = match record.action? {
            Action::Create => "Create",
            Action::Read | Action::Vread => "Read",
            Action::Update | Action::Patch => "Update",
            Action::Delete => "Delete",
            Action::Search => "Query",
            _ => return None,
        };
        let is_complete =
            if name == "Query" { self.text("query").is_some() } else { record.resource.is_some() };
        let patient = if record.patient.is_some() { "Patient" } else { "" };
        (is_complete && record.outcome == Some(Outcome::Success)).then(|| format!("{patient}{name}"))
    }

    fn agents(&self) -> Value {
        let actor = &self.record.actor;
        let (client, server, user) = self.roles();
        let network = json!({ "address": shown(actor.device()), "type": MACHINE_NAME });
        let mut person = json!({
            "type": { "coding": [coding(user)] },
            "who": { "identifier": { "value": shown(actor.user()) } },
            "requestor": true,
        });
        if !actor.purpose().is_empty() {
            person["purposeOfUse"] =
                json!([{ "coding": [{ "system": ACT_REASON, "code": actor.purpose() }] }]);
        }
        json!([
            {
                "type": { "coding": [coding(client)] },
                "who": { "display": shown(actor.app()) },
                "requestor": false,
                "network": network,
            },
            {
                "type": { "coding": [coding(server)] },
                "who": { "display": SERVER },
                "requestor": false,
                "network": network,
            },
            person,
        ])
    }

    /// Where the data flows from and to, as BALP codes it: the client, the store, the person.
    fn roles(&self) -> (Coding, Coding, Coding) {
        match self.record.action {
            Some(Action::Create | Action::Update | Action::Patch | Action::Transaction | Action::Batch) => {
                (SOURCE, DESTINATION, AUTHOR)
            }
            Some(Action::Read | Action::Vread | Action::History | Action::AttachmentRead) => {
                (DESTINATION, SOURCE, RECIPIENT)
            }
            Some(Action::Search) => (SOURCE, DESTINATION, RECIPIENT),
            _ => (APPLICATION, CUSTODIAN, AUTHOR),
        }
    }

    fn entities(&self) -> Vec<Value> {
        let record = self.record;
        let is_search = record.action == Some(Action::Search);
        let mut entities = Vec::new();
        if let Some(AuditedResource { resource_type, id, version }) = &record.resource {
            let version = version.map(|version| format!("/_history/{version}")).unwrap_or_default();
            entities.push(json!({
                "what": { "reference": format!("{resource_type}/{id}{version}") },
                "type": entity_type("2", "System Object"),
                "role": { "system": OBJECT_ROLE, "code": "4", "display": "Domain Resource" },
            }));
        }
        if let Some(query) = self.text("query").filter(|_| is_search) {
            entities.push(json!({
                "type": entity_type("2", "System Object"),
                "role": { "system": OBJECT_ROLE, "code": "24", "display": "Query" },
                "query": STANDARD.encode(query),
            }));
        }
        if let Some(patient) = &record.patient {
            entities.push(json!({
                "what": { "reference": format!("Patient/{patient}") },
                "type": entity_type("1", "Person"),
                "role": { "system": OBJECT_ROLE, "code": "1", "display": "Patient" },
            }));
        }
        if let Some(request) = self.request() {
            entities.push(json!({
                "what": { "identifier": { "value": request } },
                "type": { "system": BALP_ENTITY, "code": "XrequestId" },
            }));
        }
        let details = self.details(is_search);
        if !details.is_empty() {
            entities.push(json!({ "type": entity_type("4", "Other"), "detail": details }));
        }
        entities
    }

    /// The request id; the events of several changes share at least their record.
    fn request(&self) -> Option<String> {
        let range = self.record.changes.filter(|(first, last)| first < last);
        self.text("request").or_else(|| range.map(|_| self.record.sequence.to_string()))
    }

    /// What has no element of its own.
    fn details(&self, is_search: bool) -> Vec<Value> {
        let mut details = Vec::new();
        for name in self.detail.keys() {
            let is_shown = match name.as_str() {
                "request" => true,
                "query" => is_search,
                "reason" => self.record.outcome != Some(Outcome::Success),
                _ => false,
            };
            if let Some(text) = self.text(name).filter(|_| !is_shown && !name.trim().is_empty()) {
                details.push(json!({ "type": name, "valueString": text }));
            }
        }
        if let Some(skew) = self.record.skew_ms {
            details.push(json!({ "type": "clock-skew-ms", "valueString": skew.to_string() }));
        }
        if let Some((first, last)) = self.record.changes.filter(|_| self.record.resource.is_none()) {
            details.push(json!({ "type": "changes", "valueString": format!("{first}-{last}") }));
        }
        details
    }

    /// A member of the detail as text; `None` when it is absent or blank, which FHIR does not allow.
    fn text(&self, name: &str) -> Option<String> {
        let text = match self.detail.get(name)? {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        (!text.trim().is_empty()).then_some(text)
    }
}

fn coding(Coding { system, code, display }: Coding) -> Value {
    json!({ "system": system, "code": code, "display": display })
}

fn entity_type(code: &str, display: &str) -> Value {
    json!({ "system": ENTITY_TYPE, "code": code, "display": display })
}

/// A text of the actor; a damaged trail may have lost it.
fn shown(text: &str) -> &str {
    if text.trim().is_empty() { "unknown" } else { text }
}
