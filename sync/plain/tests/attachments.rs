//! Attachments with a plain server: inside resources there, apart from them here.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use keepwell_engine::{Now, Replica as _, Traffic};
use keepwell_fhir::{Instant, ResourceType};
use keepwell_plain::{
    Answer, Ask, Engine, Event, MemoryReplica, Method, Problem, Replica as _, Reply, Request, Settings,
    Writes,
};
use keepwell_protocol::{BlobToken, Body, ParkKind, ResourceKey};

/// A server that keeps what it is given, and guards nothing.
#[derive(Default)]
struct Server {
    patients: BTreeMap<String, (u64, String)>,
    /// What came, newest last.
    bodies: Vec<String>,
}

impl Server {
    fn put(&mut self, id: &str, body: &str) {
        let (version, content) = self.patients.entry(id.to_owned()).or_default();
        *version += 1;
        body.clone_into(content);
    }

    fn read(&self, id: &str) -> String {
        let (version, body) = &self.patients[id];
        body.replacen('{', &format!(r#"{{"meta":{{"versionId":"{version}"}},"#), 1)
    }

    fn answer(&mut self, request: &Request) -> Reply {
        let (path, _) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let (status, body) = match (request.method, path.split_once('/')) {
            (Method::Get, None) if path == "metadata" => (
                200,
                r#"{"resourceType":"CapabilityStatement","fhirVersion":"4.0.1","rest":[{"mode":"server","resource":[{"type":"Patient","updateCreate":true}]}]}"#
                    .to_owned(),
            ),
            (Method::Get, None) => {
                let entries: Vec<String> =
                    self.patients.keys().map(|id| format!(r#"{{"resource":{}}}"#, self.read(id))).collect();
                (200, format!(r#"{{"resourceType":"Bundle","entry":[{}]}}"#, entries.join(",")))
            }
            (Method::Get, Some((_, id))) if self.patients.contains_key(id) => (200, self.read(id)),
            (Method::Put, Some((_, id))) => {
                let body = String::from_utf8(request.body.clone().unwrap()).unwrap();
                self.put(id, &body);
                self.bodies.push(body);
                (200, self.read(id))
            }
            _ => (404, String::new()),
        };
        Reply { status, body: body.into_bytes(), ..Reply::default() }
    }
}

/// A round to its end; what stands in the way then.
fn sync(engine: &mut Engine, replica: &mut MemoryReplica, server: &mut Server) -> Option<u16> {
    let (mut event, now) = (Event::SyncNow, Now { ms: 0, wall: Instant::from_ms(0) });
    for _ in 0..100 {
        let Ok(ask) = engine.handle(event, now, &mut || 7, replica);
        let Some(Ask { ticket, request }) = ask else { return engine.report().last_problem };
        let answer = Answer::Reply(server.answer(&request));
        event = Event::Answer { ticket, answer, traffic: Traffic::default() };
    }
    panic!("a round without an end");
}

fn engine() -> Engine {
    let settings = Settings::new("https://host/fhir", vec!["Patient".parse().unwrap()]);
    Engine::new(Settings { writes: Writes::Consented, ..settings })
}

fn key() -> ResourceKey {
    key_of("1")
}

fn key_of(id: &str) -> ResourceKey {
    ResourceKey { kind: ResourceType::parse("Patient").unwrap(), id: id.parse().unwrap() }
}

/// A text that is long enough to be kept apart.
fn text(letter: &str) -> String {
    letter.repeat(20_000)
}

fn patient(data: &str, more: &str) -> String {
    format!(r#"{{"resourceType":"Patient","id":"1","photo":[{{"data":{data}}}]{more}}}"#)
}

fn whole(text: &str, more: &str) -> String {
    patient(&format!("\"{text}\""), more)
}

fn apart(text: &str, more: &str) -> Body {
    let (token, _) = BlobToken::of(text.as_bytes());
    Body::new(patient(&token.to_string(), more)).unwrap()
}

fn content(replica: &mut MemoryReplica) -> Option<Body> {
    let Ok(content) = replica.tables().content(&key());
    content
}

#[test]
fn a_content_is_compared_as_it_is_kept_and_sent_as_it_was() {
    // One text is spelled as base64 is, one with spaces.
    for text in [text("A"), text("AAA ")] {
        let (mut engine, mut replica, mut server) = (engine(), MemoryReplica::new(), Server::default());
        server.put("1", &whole(&text, ""));
        assert_eq!(sync(&mut engine, &mut replica, &mut server), None);
        assert_eq!(content(&mut replica), Some(apart(&text, "")));
        let stored = engine.report().stored;
        assert_eq!(sync(&mut engine, &mut replica, &mut server), None);
        assert_eq!(engine.report().stored, stored, "it is known");

        replica.save(&key(), Some(apart(&text, r#","active":true"#)));
        assert_eq!(sync(&mut engine, &mut replica, &mut server), None);
        assert_eq!(server.bodies, [whole(&text, r#","active":true"#)]);
        assert_eq!(content(&mut replica), Some(apart(&text, r#","active":true"#)));
        assert_eq!(replica.shared().bases().count(), 0);
    }
}

#[test]
fn an_edit_waits_for_an_attachment_that_is_nowhere_and_others_do_not() {
    let (mut engine, mut replica, mut server) = (engine(), MemoryReplica::new(), Server::default());
    server.put("1", &whole(&text("A"), ""));
    assert_eq!(sync(&mut engine, &mut replica, &mut server), None);
    let edit = apart(&text("B"), "");
    replica.save(&key(), Some(edit.clone()));
    replica.save(&key_of("2"), Some(Body::new(r#"{"resourceType":"Patient","id":"2"}"#).unwrap()));
    assert_eq!(sync(&mut engine, &mut replica, &mut server), Some(Problem::Attachment.code()));
    assert!(server.patients.contains_key("2"));
    assert_eq!((server.read("1").contains(&text("A")), server.bodies.len()), (true, 1));
    assert_eq!(content(&mut replica), Some(edit.clone()));

    // It comes, and so the edit goes.
    let text = text("B");
    let (token, bytes) = BlobToken::of(text.as_bytes());
    let Ok(()) = replica.keep_attachment(&token.blob, &bytes);
    assert_eq!(sync(&mut engine, &mut replica, &mut server), None);
    assert_eq!(server.bodies.last(), Some(&whole(&text, "")));
}

#[test]
fn an_attachment_that_the_server_still_has_is_read_before_an_edit_is_sent() {
    let (mut engine, mut replica, mut server) = (engine(), MemoryReplica::new(), Server::default());
    server.put("1", &whole(&text("A"), ""));
    assert_eq!(sync(&mut engine, &mut replica, &mut server), None);
    replica.forget_attachments();
    replica.save(&key(), Some(apart(&text("A"), r#","active":true"#)));
    assert_eq!(sync(&mut engine, &mut replica, &mut server), None);
    assert_eq!(server.bodies, [whole(&text("A"), r#","active":true"#)]);
}

#[test]
fn a_token_is_neither_sent_nor_believed() {
    let (mut engine, mut replica, mut server) = (engine(), MemoryReplica::new(), Server::default());
    // A server that knows the hash of an attachment does not get it named by a resource of its own.
    let (token, _) = BlobToken::of(text("A").as_bytes()).to_owned();
    server.put("1", &patient(&token.to_string(), ""));
    assert_eq!(sync(&mut engine, &mut replica, &mut server), None);
    assert_eq!(content(&mut replica), None);

    // Nor does an own content travel whose token is not written as it should be: a person has to look at it.
    let mut server = Server::default();
    let wrong = token.to_string().replace("\"size\":", "\"size\": ");
    replica.save(&key(), Some(Body::new(patient(&wrong, "")).unwrap()));
    sync(&mut engine, &mut replica, &mut server);
    assert_eq!(server.bodies, [""; 0]);
    let kinds: Vec<ParkKind> = replica.shared().conflicts().iter().map(|record| record.kind).collect();
    assert_eq!(kinds, [ParkKind::Rejected]);
}
