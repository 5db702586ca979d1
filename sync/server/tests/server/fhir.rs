//! FHIR REST, as ordinary clients use it.

use bytes::Bytes;
use hyper::Request;
use keepwell_server::TokenUse;
use keepwell_tls::HttpClient;
use serde_json::{Value, json};

use crate::world::{Reply, World};

const FHIR: &str = "application/fhir+json";

/// A client with a token.
struct Client<'w> {
    world: &'w World,
    http: HttpClient,
    token: String,
}

impl<'w> Client<'w> {
    fn new(world: &'w World) -> Self {
        Self { world, http: world.http(&world.stranger()), token: world.token("dr.jones") }
    }

    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Reply {
        let mut request = Request::builder().method(method).uri(format!("/fhir{path}"));
        request = request.header("authorization", format!("Bearer {}", self.token));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.world.ask(&self.http, request.body(body.into()).unwrap())
    }

    fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], "")
    }

    fn write(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Reply {
        let mut all = vec![("content-type", FHIR)];
        all.extend_from_slice(headers);
        self.send(method, path, &all, body.to_string())
    }

    fn create(&self, body: &Value) -> String {
        let reply = self.write("POST", &format!("/{}", body["resourceType"].as_str().unwrap()), &[], body);
        assert_eq!(reply.status, 201, "{reply:?}");
        reply.json()["id"].as_str().unwrap().to_owned()
    }
}

fn patient(family: &str) -> Value {
    json!({ "resourceType": "Patient", "name": [{ "family": family }] })
}

/// The code of the first issue of an OperationOutcome.
fn issue(reply: &Reply) -> String {
    let outcome = reply.json();
    assert_eq!(outcome["resourceType"], "OperationOutcome");
    outcome["issue"][0]["code"].as_str().unwrap().to_owned()
}

#[test]
fn a_resource_goes_through_its_life() {
    let world = World::new();
    let client = Client::new(&world);
    let created = client.write("POST", "/Patient", &[], &patient("Example"));
    assert_eq!((created.status, created.header("etag")), (201, "W/\"1\""));
    let id = created.json()["id"].as_str().unwrap().to_owned();
    let base = world.config.fhir_base();
    assert_eq!(created.header("location"), format!("{base}/Patient/{id}/_history/1"));
    assert_eq!(created.header("content-type"), "application/fhir+json; charset=utf-8");
    assert_eq!(created.header("cache-control"), "no-store");

    let read = client.get(&format!("/Patient/{id}"));
    assert_eq!((read.status, &read.json()["name"][0]["family"]), (200, &json!("Example")));
    assert!(read.header("last-modified").ends_with(" GMT"), "{}", read.header("last-modified"));
    let known = [("if-none-match", "W/\"1\"")];
    assert_eq!(client.send("GET", &format!("/Patient/{id}"), &known, "").status, 304);
    let since = [("if-modified-since", read.header("last-modified"))];
    assert_eq!(client.send("GET", &format!("/Patient/{id}"), &since, "").status, 304);

    let mut edited = patient("Other");
    edited["id"] = json!(id);
    let stale = client.write("PUT", &format!("/Patient/{id}"), &[("if-match", "W/\"7\"")], &edited);
    assert_eq!((stale.status, issue(&stale).as_str()), (412, "conflict"));
    let updated = client.write("PUT", &format!("/Patient/{id}"), &[("if-match", "W/\"1\"")], &edited);
    assert_eq!((updated.status, updated.header("etag")), (200, "W/\"2\""));

    for (format, patch) in [
        ("application/json-patch+json", r#"[{"op":"add","path":"/active","value":true}]"#),
        ("application/merge-patch+json", r#"{"gender":"other"}"#),
        (
            FHIR,
            r#"{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"replace"},{"name":"path","valueString":"Patient.active"},{"name":"value","valueBoolean":false}]}]}"#,
        ),
    ] {
        let patched = client.send("PATCH", &format!("/Patient/{id}"), &[("content-type", format)], patch);
        assert_eq!(patched.status, 200, "{format} {patched:?}");
    }
    let read = client.get(&format!("/Patient/{id}")).json();
    assert_eq!((&read["active"], &read["gender"]), (&json!(false), &json!("other")));
    let first = client.get(&format!("/Patient/{id}/_history/1"));
    assert_eq!(first.json()["name"][0]["family"], "Example");

    assert_eq!(client.send("DELETE", &format!("/Patient/{id}"), &[], "").status, 204);
    let gone = client.get(&format!("/Patient/{id}"));
    assert_eq!((gone.status, issue(&gone).as_str()), (410, "deleted"));
    let history = client.get(&format!("/Patient/{id}/_history?_count=2")).json();
    assert_eq!(history["entry"].as_array().unwrap().len(), 2);
    assert_eq!(history["entry"][0]["request"]["method"], "DELETE");
    let next = history["link"][1]["url"].as_str().unwrap().strip_prefix(&base).unwrap();
    assert_eq!(client.get(next).json()["entry"].as_array().unwrap().len(), 2);
}

#[test]
fn conditions_act_on_what_they_find() {
    let world = World::new();
    let client = Client::new(&world);
    let with = |value: &str, active: bool| json!({ "resourceType": "Patient", "identifier": [{ "system": "urn:x", "value": value }], "active": active });
    let none_exist = [("if-none-exist", "identifier=urn:x|1")];
    assert_eq!(client.write("POST", "/Patient", &none_exist, &with("1", true)).status, 201);
    assert_eq!(client.write("POST", "/Patient", &none_exist, &with("1", true)).status, 200);
    assert_eq!(client.write("PUT", "/Patient?identifier=urn:x%7C1", &[], &with("1", false)).status, 200);
    assert_eq!(client.write("PUT", "/Patient?identifier=urn:x%7C2", &[], &with("2", false)).status, 201);
    let both = client.write("PUT", "/Patient?active=false", &[], &with("2", false));
    assert_eq!((both.status, issue(&both).as_str()), (412, "multiple-matches"));
    let patch = [("content-type", "application/merge-patch+json")];
    let patched = client.send("PATCH", "/Patient?identifier=urn:x%7C2", &patch, r#"{"active":true}"#);
    assert_eq!(patched.status, 200);
    assert_eq!(client.send("DELETE", "/Patient?active=true", &[], "").status, 204);
    assert_eq!(client.get("/Patient?_summary=count").json()["total"], 1);
    let everybody = client.send("DELETE", "/Patient", &[], "");
    assert_eq!((everybody.status, issue(&everybody).as_str()), (400, "not-supported"));
}

#[test]
fn searches_are_asked_by_get_and_post_at_every_level() {
    let world = World::new();
    let client = Client::new(&world);
    let ids: Vec<String> =
        ["Ada", "Bea", "Cem"].iter().map(|family| client.create(&patient(family))).collect();
    let subject = format!("Patient/{}", ids[0]);
    let observation = json!({
        "resourceType": "Observation", "status": "final", "code": { "text": "pulse" }, "subject": { "reference": subject },
    });
    client.create(&observation);

    let page = client.get("/Patient?_sort=family&_count=2").json();
    assert_eq!((&page["total"], page["entry"].as_array().unwrap().len()), (&json!(3), 2));
    let base = world.config.fhir_base();
    assert_eq!(page["entry"][0]["fullUrl"], format!("{base}/Patient/{}", ids[0]));
    let next = page["link"][1]["url"].as_str().unwrap().strip_prefix(&base).unwrap();
    assert_eq!(client.get(next).json()["entry"][0]["resource"]["id"], *ids[2]);

    let form = [("content-type", "application/x-www-form-urlencoded")];
    let posted = client.send("POST", "/Patient/_search?_count=5", &form, "family=bea");
    assert_eq!(posted.json()["entry"][0]["resource"]["id"], *ids[1]);
    let system = client.send("POST", "/_search", &form, "_type=Patient,Observation");
    assert_eq!(system.json()["total"], 4);
    assert_eq!(client.get("/?_type=Observation").json()["total"], 1);
    let compartment = client.get(&format!("/{subject}/Observation")).json();
    assert_eq!(compartment["total"], 1);
    let everything = client.get(&format!("/{subject}/$everything")).json();
    assert_eq!(everything["entry"].as_array().unwrap().len(), 2);

    let strict = client.get("/Patient?colour=red");
    assert_eq!(strict.status, 400);
    let lenient = client.send("GET", "/Patient?colour=red", &[("prefer", "handling=lenient")], "").json();
    assert_eq!(lenient["total"], 3);
    assert!(lenient["entry"].as_array().unwrap().iter().any(|entry| entry["search"]["mode"] == "outcome"));
}

#[test]
fn bundles_are_transactions_and_batches() {
    let world = World::new();
    let client = Client::new(&world);
    let entry = |method: &str, url: &str, resource: Value| {
        json!({ "fullUrl": "urn:uuid:0b0b0b0b-0000-4000-8000-000000000001", "resource": resource,
                "request": { "method": method, "url": url } })
    };
    let bundle =
        |kind: &str, entries: Vec<Value>| json!({ "resourceType": "Bundle", "type": kind, "entry": entries });
    let good = bundle("transaction", vec![entry("POST", "Patient", patient("Ada"))]);
    let done = client.write("POST", "/", &[], &good).json();
    assert_eq!(done["type"], "transaction-response");
    assert!(done["entry"][0]["response"]["status"].as_str().unwrap().starts_with("201"));
    let wrong = json!({ "resourceType": "Patient", "active": "perhaps" });
    let bad = bundle("transaction", vec![entry("POST", "Patient", wrong.clone())]);
    let refused = client.write("POST", "", &[], &bad);
    assert_eq!(refused.status, 422);
    let batch = client.write("POST", "", &[], &bundle("batch", vec![entry("POST", "Patient", wrong)])).json();
    assert!(batch["entry"][0]["response"]["status"].as_str().unwrap().starts_with("422"));
    assert_eq!(client.get("/Patient?_summary=count").json()["total"], 1);
}

#[test]
fn what_a_client_prefers_is_what_it_gets() {
    let world = World::new();
    let client = Client::new(&world);
    let minimal = client.write("POST", "/Patient", &[("prefer", "return=minimal")], &patient("Ada"));
    assert_eq!((minimal.status, minimal.body.len()), (201, 0));
    let outcome = client.write("POST", "/Patient", &[("prefer", "return=OperationOutcome")], &patient("Ada"));
    assert_eq!((outcome.status, issue(&outcome).as_str()), (201, "informational"));

    for (path, accept, status) in [
        ("/Patient", "application/fhir+json", 200),
        ("/Patient", "text/html, */*;q=0.1", 200),
        ("/Patient", "application/fhir+xml", 406),
        ("/Patient?_format=json", "application/fhir+xml", 200),
        ("/Patient?_format=xml", "*/*", 406),
    ] {
        assert_eq!(client.send("GET", path, &[("accept", accept)], "").status, status, "{path} {accept}");
    }
    for (method, path, content_type) in [
        ("POST", "/Patient", "application/fhir+xml"),
        ("POST", "/Patient", ""),
        ("PATCH", "/Patient/1", "text/plain"),
        ("POST", "/Patient/_search", "application/json"),
    ] {
        let reply = client.send(method, path, &[("content-type", content_type)], "{}");
        assert_eq!((reply.status, issue(&reply).as_str()), (415, "not-supported"), "{method} {content_type}");
    }
    let zipped = client.write("POST", "/Patient", &[("content-encoding", "gzip")], &patient("Ada"));
    assert_eq!(zipped.status, 415);
}

#[test]
fn a_binary_is_its_content_unless_fhir_is_asked_for() {
    let world = World::new();
    let client = Client::new(&world);
    let content = vec![7; 100_000];
    let created = client.send("POST", "/Binary", &[("content-type", "image/png")], content.clone());
    assert_eq!(created.status, 201, "{created:?}");
    let place = created.header("location").to_owned();
    let place = place.strip_prefix(&world.config.fhir_base()).unwrap().split("/_history").next().unwrap();
    let raw = client.send("GET", place, &[("accept", "image/png")], "");
    assert_eq!((raw.header("content-type"), raw.body == content), ("image/png", true));
    assert_eq!(raw.header("content-disposition"), "attachment");
    let fhir = client.send("GET", place, &[("accept", FHIR)], "");
    assert_eq!(fhir.json()["contentType"], "image/png");
}

#[test]
fn nobody_reads_or_writes_without_a_token_of_their_own() {
    let world = World::new();
    let client = Client::new(&world);
    let ask = |token: Option<&str>, path: &str| {
        let mut request = Request::get(path);
        if let Some(token) = token {
            request = request.header("authorization", token);
        }
        world.ask(&client.http, request.body(Bytes::new()).unwrap())
    };
    let operator = format!("Bearer {}", world.welcome.operator_token.as_str());
    let own = format!("Bearer {}", client.token);
    let basic = format!("Basic {}", client.token);
    for (token, status) in [
        (None, 401),
        (Some("Bearer nobody"), 401),
        (Some("Bearer"), 401),
        (Some(basic.as_str()), 401),
        (Some(operator.as_str()), 403),
        (Some(own.as_str()), 200),
    ] {
        let reply = ask(token, "/fhir/Patient");
        assert_eq!(reply.status, status, "{token:?}");
        assert_eq!(reply.header("www-authenticate"), if status == 401 { "Bearer" } else { "" });
    }
    assert_eq!(ask(None, "/fhir/metadata").status, 200);
}

#[test]
fn a_token_that_only_reads_changes_nothing() {
    let world = World::new();
    let id = Client::new(&world).create(&patient("Ada"));
    let token = world.token_for("dashboard", TokenUse::FhirRead);
    let reader = Client { token, ..Client::new(&world) };
    for path in ["/Patient".to_owned(), format!("/Patient/{id}"), format!("/Patient/{id}/_history")] {
        assert_eq!(reader.get(&path).status, 200, "{path}");
    }
    let form = [("content-type", "application/x-www-form-urlencoded")];
    assert_eq!(reader.send("POST", "/Patient/_search", &form, "name=Ada").status, 200);
    let batch = json!({ "resourceType": "Bundle", "type": "batch", "entry": [] });
    let mut changed = patient("Eve");
    changed["id"] = json!(id);
    for (method, path, body) in [
        ("POST", "/Patient".to_owned(), &patient("Eve")),
        ("PUT", format!("/Patient/{id}"), &changed),
        ("DELETE", format!("/Patient/{id}"), &json!({})),
        ("POST", String::new(), &batch),
    ] {
        let refused = reader.write(method, &path, &[], body);
        assert_eq!((refused.status, issue(&refused).as_str()), (403, "forbidden"), "{method} {path}");
    }
    assert_eq!(reader.get(&format!("/Patient/{id}")).json()["meta"]["versionId"], "1");
}

#[test]
fn the_audit_trail_names_the_user_of_the_token() {
    let world = World::new();
    let client = Client::new(&world);
    client.create(&patient("Ada"));
    drop(client);
    let (config, folder) = (world.config.clone(), world.close());
    let store = {
        use keepwell_store::vault::FileKeychain;
        use keepwell_store::{Store, StoreOptions};
        let keys = folder.path().join("keys");
        let mut options =
            StoreOptions::new("test", "test", Some(std::sync::Arc::new(FileKeychain::new(keys))));
        options.extensions = vec![std::sync::Arc::new(keepwell_backend_sqlcipher::ServerExtension)];
        Store::open(&config.data.join("tenant"), options).unwrap()
    };
    store.unlock(None).unwrap();
    let session = store.session(keepwell_store::Actor::new("auditor", "test", "test").unwrap()).unwrap();
    let mut out = Vec::new();
    session.elevate(None).unwrap().audit_export(&Default::default(), &mut out).unwrap();
    let trail = String::from_utf8(out).unwrap();
    let created = trail.lines().find(|line| line.contains(r#""code":"create""#)).unwrap();
    assert!(created.contains("dr.jones") && created.contains("keepwell-server"), "{created}");
}

#[test]
fn the_capability_statement_is_valid_and_names_what_is_there() {
    let world = World::new();
    let client = Client::new(&world);
    let statement = client.get("/metadata").json();
    let mut walker = keepwell_fhir::Walker::new();
    let walk = walker.walk(statement.to_string().as_bytes()).unwrap();
    assert!(walk.issues.is_empty(), "{:?}", walk.issues);
    let resources = statement["rest"][0]["resource"].as_array().unwrap();
    let patient = resources.iter().find(|resource| resource["type"] == "Patient").unwrap();
    let parameters = patient["searchParam"].as_array().unwrap();
    assert!(
        parameters.iter().any(|parameter| parameter["name"] == "birthdate" && parameter["type"] == "date")
    );
    assert!(resources.iter().any(|resource| resource["type"] == "VisionPrescription"));
}

#[test]
fn errors_are_operation_outcomes_of_their_status() {
    let world = World::with("limits = { body_bytes = 65536 }");
    let client = Client::new(&world);
    let too_large = vec![b' '; world.config.limits.body_bytes as usize + 1];
    for (method, path, body, status, code) in [
        ("GET", "/Patient/nobody", Bytes::new(), 404, "not-found"),
        ("GET", "/Nothing/1", Bytes::new(), 404, "not-found"),
        ("PUT", "/metadata", Bytes::new(), 405, "not-supported"),
        ("POST", "/Patient", Bytes::from("{"), 400, "structure"),
        (
            "POST",
            "/Patient",
            Bytes::from(r#"{"resourceType":"Group","type":"person","actual":false}"#),
            400,
            "invalid",
        ),
        ("POST", "/Patient", Bytes::from(too_large), 413, "too-long"),
        ("GET", "/Patient/_history?_count=many", Bytes::new(), 400, "invalid"),
    ] {
        let reply = client.send(method, path, &[("content-type", FHIR)], body);
        assert_eq!(reply.status, status, "{method} {path} {:?}", String::from_utf8_lossy(&reply.body));
        let found = issue(&reply);
        assert!(found == code || code == "structure", "{method} {path}: {found}");
    }
}
