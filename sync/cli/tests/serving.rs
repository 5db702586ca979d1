//! `keepwell serve`, from its first run to its end.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use common::Desk;
use serde_json::Value;

/// A configuration in the desk's folder, and where it is.
fn configured(desk: &Desk, address: &str) -> &'static str {
    let text = format!(
        "tenant = 'clinic'\ndata = '{}'\nkeychain = 'file:{}'\nlisten = '127.0.0.1:0'\naddress = '{address}'\n",
        desk.path("data"),
        desk.path("server-keys")
    );
    desk.write("server.toml", &text)
}

/// A server of its own process, which ends with the test, also with one that fails.
struct Running {
    child: Child,
    log: BufReader<ChildStderr>,
}

impl Running {
    /// Starts it and waits until it listens.
    fn start(command: &mut Command) -> Self {
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let mut running = Self { child, log };
        let mut line = String::new();
        while !line.contains("\"listening\"") {
            line.clear();
            assert_ne!(running.log.read_line(&mut line).unwrap(), 0, "it ended");
        }
        running
    }

    /// Stops it as a service manager does, and gives what it printed and logged.
    fn stop(mut self) -> (String, String) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        let (mut printed, mut logged) = (String::new(), String::new());
        self.child.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
        self.log.read_to_string(&mut logged).unwrap();
        assert!(self.child.wait().unwrap().success(), "{logged}");
        (printed, logged)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Nothing happens to one that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serve(desk: &Desk, config: &str) -> Running {
    Running::start(&mut desk.command(["serve", "--json", "--config", config]))
}

#[test]
fn the_first_run_shows_token_and_invitation_once_and_sigterm_ends_it() {
    let desk = Desk::new();
    let config = configured(&desk, "127.0.0.1");
    let (printed, logged) = serve(&desk, config).stop();
    let welcome: Value = serde_json::from_str(&printed).unwrap();
    let token = welcome["operator_token"].as_str().unwrap();
    assert!(
        token.starts_with("keepwell_") && welcome["invitation"].as_str().unwrap().starts_with("KEEPWELL:")
    );
    assert!(logged.contains("\"stopped\"") && !logged.contains(token), "{logged}");

    assert_eq!(serve(&desk, config).stop().0, "", "it is no first run");

    let made = desk.json(["serve", "token", "dr.jones", "--config", config]);
    assert!(made["token"].as_str().unwrap().starts_with("keepwell_"));
    assert_eq!(desk.json(["serve", "token", "dr.jones", "--config", config, "--revoke"])["revoked"], 1);
    desk.fails(4, 497, ["serve", "token", "dr.jones", "--config", config, "--revoke"]);
}

#[test]
fn what_is_unsafe_is_said_and_nothing_is_started() {
    let desk = Desk::new();
    let config = configured(&desk, "sync.example.org");
    desk.fails(4, 490, ["serve", "--config", config, "--check"]);
    desk.fails(4, 490, ["serve", "--config", config]);
    assert!(!std::path::Path::new(&desk.path("data")).exists());
    let sound = configured(&desk, "127.0.0.1");
    assert!(desk.ok(["serve", "--config", sound, "--check"]).contains("tenant clinic"));
    let broken = desk.write("broken.toml", "tenant = 'clinic'\nlisten 1\n");
    assert!(desk.fails(4, 484, ["serve", "--config", broken, "--check"]).contains("line 2"));
}

/// A server as those know it who know only FHIR.
#[derive(Clone)]
struct Plain {
    address: String,
    authority: &'static str,
    token: &'static str,
}

impl Plain {
    /// Of the server on a desk, which runs.
    fn of(server: &Desk, listens: &str) -> Self {
        let made = server.json(["serve", "token", "ward", "--config", &server.path("server.toml")]);
        let identity = std::fs::read_to_string(server.path("data/identity.json")).unwrap();
        let identity: Value = serde_json::from_str(&identity).unwrap();
        let authority = identity["servers"].as_str().unwrap();
        let pem = format!("-----BEGIN CERTIFICATE-----\n{authority}\n-----END CERTIFICATE-----\n");
        Self {
            address: format!("https://{listens}/fhir"),
            authority: server.write("ca.pem", &pem),
            token: server.write("token.txt", &format!("{}\n", made["token"].as_str().unwrap())),
        }
    }

    fn arguments<'p>(&'p self, search: &'p str) -> Vec<&'p str> {
        vec!["enrol", "--fhir", &self.address, "--authority", self.authority, "--search", search]
    }

    /// Lets the store of a desk sync with it.
    fn enrol(&self, desk: &Desk, search: &str, more: &[&str]) -> String {
        desk.ok([&self.arguments(search)[..], &["--token", self.token], more].concat())
    }
}

/// Syncs with a token that was just made: a running server hears of it within a second.
fn first_sync(desk: &Desk) -> Value {
    let began = Instant::now();
    loop {
        let output = desk.run(["sync", "--json"]);
        if output.status.success() {
            return serde_json::from_slice(&output.stdout).unwrap();
        }
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("425") && began.elapsed() < Duration::from_secs(60), "{said}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// A server in its first run, where it listens, and what it printed.
fn serve_first(server: &Desk) -> (Running, String, Value) {
    // An invitation names the port, so it has to be known before.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let config = configured(server, &free);
    let mut running =
        Running::start(&mut server.command(["serve", "--json", "--config", config, "--listen", &free]));
    let printed = running.child.stdout.as_mut().unwrap();
    let welcome = serde_json::Deserializer::from_reader(printed).into_iter::<Value>().next();
    (running, free, welcome.unwrap().unwrap())
}

#[test]
fn a_store_syncs_with_a_server_of_which_it_knows_address_authority_and_token() {
    let server = Desk::new();
    let (running, listens, welcome) = serve_first(&server);
    let invitation = server.write("invitation.txt", welcome["invitation"].as_str().unwrap());
    let plain = Plain::of(&server, &listens);
    let desk = Desk::initialised();
    desk.ok(["put", desk.write("patient.json", r#"{"resourceType":"Patient","id":"p1","gender":"female"}"#)]);
    let refused = desk.run(["enrol", "--fhir", &plain.address, "--search", "Patient"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--authority"));
    let unsorted = desk.run(plain.arguments("Patient?_sort=name"));
    assert_eq!(unsorted.status.code(), Some(2));

    // One that only reads sends nothing; one without a token is refused, and says so.
    plain.enrol(&desk, "Patient", &["--writes", "never"]);
    assert_eq!(first_sync(&desk)["applied"], 0);
    let status = desk.json(["sync-status"]);
    assert_eq!((&status["fhir"], &status["pending"]), (&plain.address.as_str().into(), &1.into()));
    desk.ok(plain.arguments("Patient"));
    let output = desk.run(["sync"]);
    assert_eq!(output.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&output.stderr).contains("error 425: "));

    plain.enrol(&desk, "Patient", &["--tls12", "--writes", "consented"]);
    assert_eq!(desk.json(["sync"])["applied"], 1);
    assert!(plain.enrol(&desk, "Patient", &[]).contains(&plain.address));
    assert_eq!(desk.json(["sync"])["problem"], Value::Null);
    assert!(desk.ok(["sync-status"]).contains("0 edits wait"));
    let elsewhere = Plain { address: "https://elsewhere.example.org/fhir".to_owned(), ..plain.clone() };
    desk.fails(4, 418, elsewhere.arguments("Patient"));
    desk.fails(4, 418, ["enrol", "--invitation", invitation, "--name", "tablet"]);

    // Another store has it from there.
    let other = Desk::initialised();
    plain.enrol(&other, "Patient", &[]);
    other.ok(["sync"]);
    assert_eq!(other.json(["get", "Patient/p1"])["gender"], "female");
    running.stop();
}

#[test]
fn a_store_enrols_with_the_invitation_and_what_is_in_it_is_sent() {
    let server = Desk::new();
    let (running, _, welcome) = serve_first(&server);
    let invitation = server.write("invitation.txt", welcome["invitation"].as_str().unwrap());

    let desk = Desk::filled(2);
    desk.fails(4, 417, ["sync"]);
    let enrolled = desk.json(["enrol", "--invitation", invitation, "--name", "tablet"]);
    assert_eq!(enrolled["tenant"], "clinic");
    let waiting = desk.json(["sync-status"])["pending"].as_u64().unwrap();
    assert!(waiting > 100, "{waiting}");
    let report = desk.json(["sync"]);
    assert_eq!(report["problem"], Value::Null);
    assert_eq!(report["applied"], waiting);
    let status = desk.json(["sync-status"]);
    assert_eq!((status["pending"].as_u64(), status["conflicts"].as_u64()), (Some(0), Some(0)));
    assert_eq!(desk.json(["conflicts", "list"]).as_array().map(Vec::len), Some(0));

    // An invitation counts once.
    let other = Desk::initialised();
    other.fails(4, 434, ["enrol", "--invitation", invitation, "--name", "copy"]);
    running.stop();
}
