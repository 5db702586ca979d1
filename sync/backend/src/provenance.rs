//! Provenance: which edits a version was joined from, by whom and by which rules. docs/adr/0014-provenance.md tells why it
//! is a resource of the server's alone.
//!
//! Invariants: a mutation that says how it was joined has one as soon as it is applied, in the same transaction, and no
//! other does; user and device are those of the connection; no device reads it, writes it or makes one of its name.

use keepwell_fhir::{ResourceType, Walker};
use keepwell_protocol::{Body, Hash, Id, Merge, Mutation, MutationId, Operation, ResourceKey, Version};
use serde_json::{Value, json};

use crate::defect::Defect;
use crate::device::Device;
use crate::error::Result;
use crate::feed;
use crate::tenant::{Head, Tenant};

/// Begins the ids that are the server's own.
const ID_PREFIX: &str = "sync-";

const LIFECYCLE: &str = "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle";
const OPERATION: &str = "http://terminology.hl7.org/CodeSystem/v3-DataOperation";
const PARTICIPANT: &str = "http://terminology.hl7.org/CodeSystem/provenance-participant-type";

/// The Provenance of what a mutation made, if it was joined from several edits.
#[must_use]
pub fn provenance_of(mutation: &MutationId) -> ResourceKey {
    let hash = Hash::of(mutation.to_string().as_bytes());
    let digits: String = hash.as_bytes()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    let id = format!("{ID_PREFIX}{digits}").parse().expect("letters, a dash and digits are an id");
    ResourceKey { kind: ResourceType::parse("Provenance").expect("a type of R4"), id }
}

/// Whether a resource is one that only the server writes.
pub(crate) fn is_own(key: &ResourceKey) -> bool {
    key.kind.name() == "Provenance" && key.id.as_str().starts_with(ID_PREFIX)
}

/// Writes down how the version `made` was joined, if the mutation says so.
pub(crate) fn record(
    tenant: &mut dyn Tenant,
    walker: &mut Walker,
    device: &Device,
    mutation: &Mutation,
    name: &MutationId,
    made: &Head,
) -> Result<()> {
    let Some(merge) = mutation.merge.as_ref().filter(|_| !tenant.has(Defect::NoProvenance)) else {
        return Ok(());
    };
    let key = provenance_of(name);
    let body = body(&key.id, device, mutation, merge, made);
    let head = tenant.write(&key, Some(&body), made.at)?;
    feed::changed_elsewhere(tenant, walker, &key, head, Some(&body))
}

fn body(id: &Id, device: &Device, mutation: &Mutation, merge: &Merge, made: &Head) -> Body {
    let version =
        |version: Version| json!({ "reference": format!("{}/_history/{}", mutation.key, version.get()) });
    let user = json!({ "reference": format!("Practitioner/{}", device.user) });
    let operation = match mutation.operation {
        Operation::Create | Operation::Recreate => "CREATE",
        Operation::Update => "UPDATE",
        Operation::Delete => "DELETE",
    };
    let own = identified("urn:keepwell:content", &merge.mine.to_string(), "the content before it was joined");
    let paths: Vec<Value> = merge
        .paths
        .iter()
        // What a device sends need not be a string of FHIR.
        .filter(|path| !path.trim().is_empty() && !path.contains(char::is_control))
        .map(|path| json!({ "url": "urn:keepwell:joined-path", "valueString": path }))
        .collect();
    let mut provenance = json!({
        "resourceType": "Provenance",
        "id": id,
        "target": [version(made.version)],
        "recorded": made.at.to_string(),
        "policy": [format!("urn:keepwell:merge-rules:{}", merge.rule)],
        "activity": { "coding": [
            coded(LIFECYCLE, "merge", "Merge Record Lifecycle Event"),
            { "system": OPERATION, "code": operation },
        ] },
        "agent": [
            { "type": { "coding": [coded(PARTICIPANT, "author", "Author")] }, "who": user },
            {
                "type": { "coding": [coded(PARTICIPANT, "assembler", "Assembler")] },
                "who": {
                    "type": "Device",
                    "identifier": {
                        "system": "urn:ietf:rfc:3986",
                        "value": format!("urn:keepwell:device:{}", device.id),
                    },
                },
                "onBehalfOf": user,
            },
        ],
        "entity": [{ "role": "source", "what": own }],
    });
    if mutation.base != Version::ZERO {
        let entities = provenance["entity"].as_array_mut().expect("it was made an array");
        entities.insert(0, json!({ "role": "revision", "what": version(mutation.base) }));
    }
    if !paths.is_empty() {
        provenance["extension"] = paths.into();
    }
    Body::new(provenance.to_string()).expect("it is a JSON object")
}

fn coded(system: &str, code: &str, display: &str) -> Value {
    json!({ "system": system, "code": code, "display": display })
}

fn identified(system: &str, value: &str, display: &str) -> Value {
    json!({ "identifier": { "system": system, "value": value }, "display": display })
}

#[cfg(test)]
mod tests {
    use keepwell_fhir::Instant;
    use keepwell_protocol::{Payload, Position, Sequence};

    use super::*;
    use crate::content::Content;
    use crate::device::DeviceState;

    fn id(text: &str) -> Id {
        text.parse().expect("an id")
    }

    fn version(number: u64) -> Version {
        Version::new(number).expect("a small number")
    }

    #[test]
    fn it_is_a_valid_resource_that_names_the_connection_and_nobody_else() {
        let at = Instant::from_ms(1_800_000_000_000);
        let device = Device {
            id: id("tablet-3"),
            user: id("ada"),
            name: "tablet".to_owned(),
            key: Hash::of(b"key"),
            serial: "01".to_owned(),
            pins: 0,
            lease_key: None,
            state: DeviceState::Active,
            enrolled: at,
            seen: at,
            position: Position::ZERO,
        };
        let body = Body::new(r#"{"resourceType":"Patient","id":"p1"}"#).expect("an object");
        let mutation = Mutation {
            sequence: Sequence::new(7).expect("a small number"),
            operation: Operation::Update,
            key: body.key().expect("a key"),
            base: version(4),
            at: None,
            why: None,
            group: None,
            payload: Payload::Body(body),
            merge: Some(Merge {
                rule: 1,
                theirs: version(4),
                mine: Hash::of(b"mine"),
                paths: vec!["Patient.address".to_owned(), String::new(), "no\u{7}path".to_owned()],
            }),
        };
        let name = MutationId {
            device: device.id.clone(),
            incarnation: keepwell_protocol::Incarnation::new(1),
            sequence: mutation.sequence,
        };
        let key = provenance_of(&name);
        let merge = mutation.merge.as_ref().expect("it was given");
        let head = Head { version: version(5), position: Position::ZERO, at, deleted: false };
        let made = super::body(&key.id, &device, &mutation, merge, &head);
        let content = Content::of(&mut Walker::new(), &key, &made);
        assert_eq!((content.issues, content.scopes), (Vec::new(), Vec::new()));
        let mut made: Value = serde_json::from_slice(made.as_bytes()).expect("JSON");
        assert_eq!(made["id"], *key.id.as_str());
        made["activity"].take();
        let user = json!({ "reference": "Practitioner/ada" });
        let tablet = json!({
            "type": "Device",
            "identifier": { "system": "urn:ietf:rfc:3986", "value": "urn:keepwell:device:tablet-3" },
        });
        let role = |code, display| json!({ "coding": [coded(PARTICIPANT, code, display)] });
        assert_eq!(
            made,
            json!({
                "resourceType": "Provenance",
                "id": key.id,
                "extension": [{ "url": "urn:keepwell:joined-path", "valueString": "Patient.address" }],
                "target": [{ "reference": "Patient/p1/_history/5" }],
                "recorded": "2027-01-15T08:00:00.000Z",
                "policy": ["urn:keepwell:merge-rules:1"],
                "activity": null,
                "agent": [
                    { "type": role("author", "Author"), "who": user },
                    { "type": role("assembler", "Assembler"), "who": tablet, "onBehalfOf": user },
                ],
                "entity": [
                    { "role": "revision", "what": { "reference": "Patient/p1/_history/4" } },
                    { "role": "source", "what": {
                        "identifier": { "system": "urn:keepwell:content", "value": Hash::of(b"mine").to_string() },
                        "display": "the content before it was joined",
                    } },
                ],
            })
        );
    }
}
