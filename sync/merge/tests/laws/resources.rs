//! Random resources with what a merge has to get right: keyed lists, choices, extensions beside values, contained
//! resources, narratives, groups.

use serde_json::{Map, Value, json};

use crate::random::Random;

/// The types that are made, merged by element first.
pub(crate) const TYPES: [&str; 14] = [
    "Patient",
    "Practitioner",
    "CareTeam",
    "List",
    "Group",
    "Task",
    "Appointment",
    "Goal",
    "Encounter",
    "QuestionnaireResponse",
    "Observation",
    "MedicationRequest",
    "Condition",
    "Provenance",
];

/// Those that are joined by element under any status.
pub(crate) const JOINED: usize = 9;

type Members = Map<String, Value>;

/// A valid resource of a type.
pub(crate) fn resource(random: &mut Random, kind: &str) -> Value {
    let mut out = Members::new();
    out.insert("resourceType".to_owned(), json!(kind));
    out.insert("id".to_owned(), json!("r1"));
    common(random, &mut out);
    match kind {
        "Patient" => patient(random, &mut out),
        "Practitioner" => person(random, &mut out),
        "CareTeam" => {
            out.insert("status".to_owned(), json!(random.pick(&["proposed", "active", "inactive"])));
            list(random, &mut out, "category", concept);
            list(
                random,
                &mut out,
                "participant",
                |r| json!({ "role": [concept(r)], "member": reference(r, "Practitioner"), "period": period(r) }),
            );
            list(random, &mut out, "note", annotation);
            list(random, &mut out, "telecom", contact_point);
        }
        "List" => {
            out.insert("status".to_owned(), json!(random.pick(&["current", "retired"])));
            out.insert("mode".to_owned(), json!(random.pick(&["working", "changes"])));
            list(
                random,
                &mut out,
                "entry",
                |r| json!({ "item": reference(r, "Condition"), "date": date(r) }),
            );
            maybe(random, &mut out, "title", |r| json!(word(r)));
            list(random, &mut out, "note", annotation);
        }
        "Group" => {
            out.insert("type".to_owned(), json!("person"));
            out.insert("actual".to_owned(), json!(true));
            list(
                random,
                &mut out,
                "member",
                |r| json!({ "entity": reference(r, "Patient"), "inactive": r.is(50) }),
            );
            maybe(random, &mut out, "name", |r| json!(word(r)));
            maybe(random, &mut out, "quantity", |r| json!(r.below(9)));
        }
        "Task" => {
            out.insert("status".to_owned(), json!(random.pick(&["requested", "accepted", "in-progress"])));
            out.insert("intent".to_owned(), json!("order"));
            maybe(random, &mut out, "lastModified", |r| json!(format!("202{}-01-01T00:00:00Z", r.below(5))));
            maybe(random, &mut out, "owner", |r| reference(r, "Practitioner"));
            maybe(random, &mut out, "description", |r| json!(word(r)));
            maybe(random, &mut out, "priority", |r| json!(r.pick(&["routine", "urgent"])));
            list(random, &mut out, "note", annotation);
            list(random, &mut out, "input", |r| json!({ "type": concept(r), "valueString": word(r) }));
        }
        "Appointment" => {
            out.insert("status".to_owned(), json!(random.pick(&["booked", "pending"])));
            let actor = reference(random, "Practitioner");
            out.insert("participant".to_owned(), json!([{ "actor": actor, "status": "accepted" }]));
            maybe(random, &mut out, "comment", |r| json!(word(r)));
            maybe(random, &mut out, "description", |r| json!(word(r)));
            list(random, &mut out, "specialty", concept);
        }
        "Goal" => {
            out.insert("lifecycleStatus".to_owned(), json!(random.pick(&["active", "planned"])));
            out.insert("description".to_owned(), concept(random));
            out.insert("subject".to_owned(), json!({ "reference": "Patient/1" }));
            list(random, &mut out, "target", |r| json!({ "measure": concept(r), "dueDate": date(r) }));
            list(random, &mut out, "note", annotation);
        }
        "Encounter" => {
            out.insert("status".to_owned(), json!(random.pick(&["planned", "in-progress"])));
            out.insert("class".to_owned(), coding(random));
            list(
                random,
                &mut out,
                "participant",
                |r| json!({ "type": [concept(r)], "individual": reference(r, "Practitioner") }),
            );
            list(
                random,
                &mut out,
                "location",
                |r| json!({ "location": reference(r, "Location"), "period": period(r) }),
            );
            maybe(random, &mut out, "priority", concept);
        }
        "QuestionnaireResponse" => {
            out.insert("status".to_owned(), json!(random.pick(&["in-progress", "completed"])));
            out.remove("identifier");
            list(random, &mut out, "item", |r| {
                let inner = json!([{ "linkId": word(r), "answer": [{ "valueDecimal": number(r) }] }]);
                json!({ "linkId": word(r), "item": inner })
            });
        }
        "Observation" => {
            out.insert("status".to_owned(), json!(random.pick(&["preliminary", "final"])));
            out.insert("code".to_owned(), concept(random));
            if random.is(50) {
                out.insert(
                    "valueQuantity".to_owned(),
                    json!({ "value": number(random), "unit": word(random) }),
                );
            } else {
                out.insert("valueString".to_owned(), json!(word(random)));
            }
            list(random, &mut out, "note", annotation);
            list(random, &mut out, "category", concept);
            maybe(random, &mut out, "issued", |_| json!("2020-01-01T00:00:00Z"));
        }
        "MedicationRequest" => {
            out.insert("status".to_owned(), json!(random.pick(&["active", "stopped"])));
            out.insert("intent".to_owned(), json!("order"));
            out.insert("medicationCodeableConcept".to_owned(), concept(random));
            out.insert("subject".to_owned(), json!({ "reference": "Patient/1" }));
            list(random, &mut out, "note", annotation);
            list(random, &mut out, "dosageInstruction", |r| json!({ "text": word(r) }));
        }
        "Condition" => {
            out.insert("subject".to_owned(), json!({ "reference": "Patient/1" }));
            out.insert("code".to_owned(), concept(random));
            list(random, &mut out, "note", annotation);
            maybe(random, &mut out, "onsetDateTime", date);
        }
        _ => {
            out.remove("identifier");
            out.insert("target".to_owned(), json!([reference(random, "Patient")]));
            out.insert("recorded".to_owned(), json!("2020-01-01T00:00:00Z"));
            out.insert("agent".to_owned(), json!([{ "who": reference(random, "Practitioner") }]));
        }
    }
    Value::Object(out)
}

fn common(random: &mut Random, out: &mut Members) {
    maybe(random, out, "meta", |r| {
        let mut meta = Members::new();
        meta.insert("versionId".to_owned(), json!("1"));
        list(r, &mut meta, "tag", coding);
        list(r, &mut meta, "security", coding);
        list(r, &mut meta, "profile", |r| json!(format!("http://example.org/{}", r.below(5))));
        Value::Object(meta)
    });
    if random.is(20) {
        let status = random.pick(&["generated", "generated", "additional"]);
        let div = format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{}</div>", random.below(9));
        out.insert("text".to_owned(), json!({ "status": status, "div": div }));
    }
    list(random, out, "extension", extension);
    if random.is(3) {
        out.insert("modifierExtension".to_owned(), json!([extension(random)]));
    }
    list(random, out, "identifier", identifier);
    if random.is(5) {
        out.insert("language".to_owned(), json!(random.pick(&["en", "de"])));
    }
}

fn patient(random: &mut Random, out: &mut Members) {
    person(random, out);
    maybe(random, out, "maritalStatus", concept);
    if random.is(20) {
        out.insert("deceasedBoolean".to_owned(), json!(random.is(50)));
    }
    list(random, out, "contact", |r| {
        let mut contact = Members::new();
        contact.insert("relationship".to_owned(), json!([concept(r)]));
        maybe(r, &mut contact, "name", name);
        list(r, &mut contact, "telecom", contact_point);
        Value::Object(contact)
    });
    list(random, out, "communication", |r| json!({ "language": concept(r), "preferred": r.is(50) }));
    list(random, out, "generalPractitioner", |r| reference(r, "Practitioner"));
    if random.is(30) {
        let ids = ["c1", "c2"];
        let count = 1 + random.below(2);
        let contained = ids[..count].iter().map(|id| {
            json!({ "resourceType": "Practitioner", "id": id, "name": [name(random)], "active": random.is(50) })
        });
        out.insert("contained".to_owned(), Value::Array(contained.collect()));
        let doctors = ids[..count].iter().map(|id| json!({ "reference": format!("#{id}") })).collect();
        out.insert("generalPractitioner".to_owned(), Value::Array(doctors));
    }
}

fn person(random: &mut Random, out: &mut Members) {
    list(random, out, "name", name);
    list(random, out, "telecom", contact_point);
    list(
        random,
        out,
        "address",
        |r| json!({ "use": r.pick(&["home", "work", "old"]), "line": [word(r), word(r)], "city": word(r) }),
    );
    maybe(random, out, "gender", |r| json!(r.pick(&["male", "female", "other"])));
    maybe(random, out, "birthDate", date);
    if random.is(15) {
        out.insert("_birthDate".to_owned(), json!({ "extension": [extension(random)] }));
    }
    maybe(random, out, "active", |r| json!(r.is(80)));
}

/// One in two resources has the element.
fn maybe(random: &mut Random, out: &mut Members, name: &str, value: impl FnOnce(&mut Random) -> Value) {
    if random.is(50) {
        out.insert(name.to_owned(), value(random));
    }
}

fn list(random: &mut Random, out: &mut Members, name: &str, item: impl Fn(&mut Random) -> Value) {
    let count = random.below(4);
    let items: Vec<Value> = (0..count).map(|_| item(random)).collect();
    if !items.is_empty() {
        out.insert(name.to_owned(), Value::Array(items));
    }
}

/// Few words, so that chance makes equal items.
pub(crate) fn word(random: &mut Random) -> Value {
    json!(random.pick(&["alpha", "beta", "gamma", "delta", "caf\u{e9}", "\"quoted\" \\ text"]))
}

pub(crate) fn number(random: &mut Random) -> Value {
    let text = random.pick(&["1.0", "1.00", "1", "-0.10", "1e3", "0.12345678901234567890"]);
    serde_json::from_str(text).expect("a number")
}

pub(crate) fn date(random: &mut Random) -> Value {
    json!(random.pick(&["2020-01-01", "2021-02-03", "1999-12-31", "1970-05"]))
}

fn coding(random: &mut Random) -> Value {
    json!({ "system": random.pick(&["http://a.example", "http://b.example"]), "code": random.pick(&["a", "b", "c"]) })
}

fn concept(random: &mut Random) -> Value {
    match random.below(3) {
        0 => json!({ "text": word(random) }),
        1 => json!({ "coding": [coding(random)] }),
        _ => json!({ "coding": [coding(random)], "text": word(random) }),
    }
}

fn reference(random: &mut Random, kind: &str) -> Value {
    json!({ "reference": format!("{kind}/{}", 1 + random.below(4)) })
}

fn period(random: &mut Random) -> Value {
    json!({ "start": random.pick(&["2019-01-01", "2019-02-01"]) })
}

fn annotation(random: &mut Random) -> Value {
    json!({ "text": word(random), "time": date(random) })
}

fn extension(random: &mut Random) -> Value {
    let url = random.pick(&["http://x.example/1", "http://x.example/2", "http://x.example/3"]);
    if random.is(20) {
        return json!({ "url": url, "extension": [{ "url": "inner", "valueString": word(random) }] });
    }
    json!({ "url": url, "valueString": word(random) })
}

fn identifier(random: &mut Random) -> Value {
    json!({ "system": random.pick(&["http://mrn.example", "http://ssn.example"]), "value": word(random) })
}

fn contact_point(random: &mut Random) -> Value {
    let system = random.pick(&["phone", "email"]);
    json!({ "system": system, "use": random.pick(&["home", "work"]), "value": word(random) })
}

fn name(random: &mut Random) -> Value {
    let mut name = Members::new();
    maybe(random, &mut name, "use", |r| json!(r.pick(&["official", "maiden"])));
    name.insert("family".to_owned(), word(random));
    name.insert("given".to_owned(), json!([word(random), word(random)]));
    maybe(random, &mut name, "text", word);
    Value::Object(name)
}
