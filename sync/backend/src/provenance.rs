//! Provenance: which edits a version was joined from, by whom and by which rules, and which conflicts a person decided with
//! it. docs/adr/0014-provenance.md tells why it is a resource of the server's alone.
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
    let user = json!({ "reference": format!("Practitioner/{}", device.user) });
    let mut provenance = json!({
        "resourceType": "Provenance",
        "id": id,
        "target": [version(mutation, made.version)],
        "recorded": made.at.to_string(),
        "policy": [format!("urn:keepwell:merge-rules:{}", merge.rule)],
        "activity": activity(mutation.operation, merge),
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
    });
    let paths: Vec<Value> = merge
        .paths
        .iter()
        // What a device sends need not be a string of FHIR.
        .filter(|path| !path.trim().is_empty() && !path.contains(char::is_control))
        .map(|path| json!({ "url": "urn:keepwell:joined-path", "valueString": path }))
        .collect();
    for (name, values) in [("extension", paths), ("entity", entities(mutation, merge, &device.id))] {
        if !values.is_empty() {
            provenance[name] = values.into();
        }
    }
    Body::new(provenance.to_string()).expect("it is a JSON object")
}

fn activity(operation: Operation, merge: &Merge) -> Value {
    let operation = match operation {
        Operation::Create | Operation::Recreate => "CREATE",
        Operation::Update => "UPDATE",
        Operation::Delete => "DELETE",
    };
    let operation = json!({ "system": OPERATION, "code": operation });
    let coding = if merge.cids.is_empty() {
        json!([coded(LIFECYCLE, "merge", "Merge Record Lifecycle Event"), operation])
    } else {
        let decided = coded("urn:keepwell:activity", "conflict-decided", "A person decided a conflict");
        json!([coded(LIFECYCLE, "amend", "Amend (Update) Record Lifecycle Event"), operation, decided])
    };
    json!({ "coding": coding })
}

/// What the version was joined from: first the one that it went over, then what that and the device's own came from, then
/// the device's own and the conflicts.
fn entities(mutation: &Mutation, merge: &Merge, device: &Id) -> Vec<Value> {
    let entity = |role: &str, what: Value| json!({ "role": role, "what": what });
    let over = (mutation.base != Version::ZERO).then(|| entity("revision", version(mutation, mutation.base)));
    // There is none of a create, and none can be behind the version that it was merged with.
    let from = merge.from.filter(|from| *from != Version::ZERO && *from < mutation.base);
    let from = from.map(|from| entity("derivation", version(mutation, from)));
    let mine =
        merge.mine.map(|mine| identified("urn:keepwell:content", &mine.to_string(), "the content before"));
    let mine = mine.map(|what| entity("source", what));
    let conflicts = merge.cids.iter().map(|cid| {
        entity(
            "source",
            identified("urn:keepwell:conflict", &format!("{device}/{cid}"), "the edit that lost"),
        )
    });
    over.into_iter().chain(from).chain(mine).chain(conflicts).collect()
}

/// A version of the resource that was changed.
fn version(mutation: &Mutation, version: Version) -> Value {
    json!({ "reference": format!("{}/_history/{}", mutation.key, version.get()) })
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
    use keepwell_protocol::{Incarnation, Payload, Position, Sequence};

    use super::*;
    use crate::content::Content;
    use crate::device::DeviceState;

    fn id(text: &str) -> Id {
        text.parse().expect("an id")
    }

    fn of(number: u64) -> Version {
        Version::new(number).expect("a small number")
    }

    /// What is said of a mutation that went over version 4 and became version 5.
    fn made(operation: Operation, merge: Merge) -> Value {
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
        let sequence = Sequence::new(7).expect("a small number");
        let name = MutationId { device: device.id.clone(), incarnation: Incarnation::new(1), sequence };
        let mutation = Mutation {
            sequence,
            operation,
            key: ResourceKey { kind: ResourceType::parse("Patient").expect("a type of R4"), id: id("p1") },
            base: of(4),
            at: None,
            why: None,
            group: None,
            payload: Payload::Nothing,
            merge: None,
        };
        let key = provenance_of(&name);
        let head = Head { version: of(5), position: Position::ZERO, at, deleted: false };
        let body = body(&key.id, &device, &mutation, &merge, &head);
        let content = Content::of(&mut Walker::new(), &key, &body);
        assert_eq!((content.issues, content.scopes), (Vec::new(), Vec::new()));
        let made: Value = serde_json::from_slice(body.as_bytes()).expect("JSON");
        assert_eq!(made["id"], *key.id.as_str());
        made
    }

    fn merge() -> Merge {
        Merge {
            rule: 1,
            from: Some(of(2)),
            theirs: of(4),
            mine: Some(Hash::of(b"mine")),
            paths: vec!["Patient.address".to_owned(), String::new(), "no\u{7}path".to_owned()],
            cids: Vec::new(),
        }
    }

    #[test]
    fn it_is_a_valid_resource_that_names_the_connection_and_nobody_else() {
        let user = json!({ "reference": "Practitioner/ada" });
        let tablet = json!({
            "type": "Device",
            "identifier": { "system": "urn:ietf:rfc:3986", "value": "urn:keepwell:device:tablet-3" },
        });
        let role = |code, display| json!({ "coding": [coded(PARTICIPANT, code, display)] });
        let mut made = made(Operation::Update, merge());
        made["id"].take();
        assert_eq!(
            made,
            json!({
                "resourceType": "Provenance",
                "id": null,
                "extension": [{ "url": "urn:keepwell:joined-path", "valueString": "Patient.address" }],
                "target": [{ "reference": "Patient/p1/_history/5" }],
                "recorded": "2027-01-15T08:00:00.000Z",
                "policy": ["urn:keepwell:merge-rules:1"],
                "activity": { "coding": [
                    coded(LIFECYCLE, "merge", "Merge Record Lifecycle Event"),
                    { "system": OPERATION, "code": "UPDATE" },
                ] },
                "agent": [
                    { "type": role("author", "Author"), "who": user },
                    { "type": role("assembler", "Assembler"), "who": tablet, "onBehalfOf": user },
                ],
                "entity": [
                    { "role": "revision", "what": { "reference": "Patient/p1/_history/4" } },
                    { "role": "derivation", "what": { "reference": "Patient/p1/_history/2" } },
                    { "role": "source", "what": {
                        "identifier": { "system": "urn:keepwell:content", "value": Hash::of(b"mine").to_string() },
                        "display": "the content before",
                    } },
                ],
            })
        );
    }

    #[test]
    fn a_decision_names_its_conflicts_and_no_version_that_cannot_be() {
        let decided = Merge { from: Some(of(9)), mine: None, cids: vec![id("c1"), id("c2")], ..merge() };
        let made = made(Operation::Delete, decided);
        let codes: Vec<_> = made["activity"]["coding"]
            .as_array()
            .expect("codings")
            .iter()
            .map(|coding| &coding["code"])
            .collect();
        assert_eq!(codes, ["amend", "DELETE", "conflict-decided"]);
        let conflict =
            |cid: &str| identified("urn:keepwell:conflict", &format!("tablet-3/{cid}"), "the edit that lost");
        assert_eq!(
            made["entity"],
            json!([
                { "role": "revision", "what": { "reference": "Patient/p1/_history/4" } },
                { "role": "source", "what": conflict("c1") },
                { "role": "source", "what": conflict("c2") },
            ])
        );
    }
}
