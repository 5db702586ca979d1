//! How a server ends, and whether it is well until then.

use std::io::Write;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::raw::{connect, rest, status};
use crate::world::{World, get};

#[test]
fn a_request_in_flight_is_finished_and_nothing_new_is_taken() {
    let world = World::new();
    let mut stream = connect(&world, &world.stranger());
    write!(stream, "POST /sync/v1/enrol HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{{").unwrap();
    stream.flush().unwrap();
    // The head has arrived when the server says that it is busy with it: it would answer to a second one only after.
    std::thread::sleep(Duration::from_millis(300));
    let address = world.server.address();
    world.server.stop_handle().stop();
    std::thread::sleep(Duration::from_millis(300));
    assert!(TcpStream::connect(address).is_err(), "it still listens");
    stream.write_all(b"}").unwrap();
    stream.flush().unwrap();
    let answer = rest(&mut stream);
    assert_eq!(status(&answer), 400, "{answer}");
    let began = Instant::now();
    world.close();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn idle_connections_and_streams_do_not_keep_a_server_from_stopping() {
    let world = World::new();
    let idle = connect(&world, &world.stranger());
    let device = world.enrol("ada");
    let mut events = connect(&world, &device.settings);
    write!(events, "GET /sync/v1/events HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    events.flush().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    drop(device);
    let began = Instant::now();
    world.close();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let answer = rest(&mut events);
    assert!(answer.contains("data: {\"epoch\":"), "{answer}");
    drop(idle);
}

#[test]
fn health_readiness_and_metrics_are_told() {
    let world = World::new();
    let http = world.http(&world.stranger());
    assert_eq!(world.ask(&http, get("/healthz")).status, 200);
    assert_eq!(world.ask(&http, get("/readyz")).status, 200);
    let metrics = world.ask(&http, get("/metrics"));
    let text = String::from_utf8(metrics.body).unwrap();
    assert!(text.contains("keepwell_requests_total{call=\"ready\",status=\"200\"} 1"), "{text}");
    assert!(text.contains("keepwell_connections 1"), "{text}");
}

/// Where the log of this process goes.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_log_and_the_metrics_of_a_server_name_nothing_of_a_request() {
    const CANARY: &str = "Canarybird";
    let log = Log::default();
    keepwell_server::log_to(log.clone(), keepwell_server::LogLevel::Debug);
    let world = World::new();
    let bearer = format!("Bearer {}", world.token("dr.jones"));
    let http = world.http(&world.stranger());
    let patient = format!(r#"{{"resourceType":"Patient","id":"{CANARY}","name":[{{"family":"{CANARY}"}}]}}"#);
    for (method, path, body) in [
        ("PUT", format!("/fhir/Patient/{CANARY}"), patient.as_str()),
        ("GET", format!("/fhir/Patient?family={CANARY}"), ""),
        ("GET", format!("/fhir/Patient/{CANARY}?{CANARY}={CANARY}"), ""),
        ("PUT", format!("/fhir/Patient/{CANARY}"), "{\"Canarybird\":"),
        ("GET", format!("/{CANARY}"), ""),
        ("POST", format!("/sync/v1/{CANARY}"), CANARY),
        ("GET", format!("/admin/v1/{CANARY}"), ""),
    ] {
        let request = hyper::Request::builder().method(method).uri(path).header("authorization", &bearer);
        let request = request.header("content-type", "application/fhir+json").header("x-canary", CANARY);
        world.ask(&http, request.body(body.to_owned().into()).unwrap());
    }
    let metrics = String::from_utf8(world.ask(&http, get("/metrics")).body).unwrap();
    world.close();
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("fhir.update") && metrics.contains("fhir.search"), "{log}");
    let token = bearer.strip_prefix("Bearer ").unwrap();
    for text in [&log, &metrics] {
        assert!(!text.contains(CANARY) && !text.contains(token), "{text}");
    }
}
