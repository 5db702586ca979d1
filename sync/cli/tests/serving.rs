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
    let made = desk.json(["serve", "token", "dashboard", "--config", config, "--read-only"]);
    assert!(made["token"].as_str().unwrap().starts_with("keepwell_"));
    let kept = std::fs::read_to_string(desk.path("data/tokens.json")).unwrap();
    assert!(kept.contains("fhir-read"), "{kept}");

    let root = desk.path("data/offline/pin-root.seed");
    let steps = ["--root", &root, "--config", config];
    let key = |step: &'static str| [&["serve", "key", step], &steps[..]].concat();
    desk.fails(4, 494, key("switch"));
    assert_eq!(desk.json(key("next"))["number"], 2);
    assert_eq!(desk.json(key("switch"))["number"], 3);
    assert!(desk.ok(["serve", "key", "show", "--config", config]).contains("number 3\n"));
    assert_eq!(serve(&desk, config).stop().0, "", "with the key that it has now");
}

#[test]
fn a_first_run_that_cannot_listen_shows_its_token_and_the_next_one_invites() {
    let desk = Desk::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let config = configured(&desk, "127.0.0.1");
    let failed = desk.run(["serve", "--json", "--config", config, "--listen", &listen]);
    assert_eq!(failed.status.code(), Some(4));
    let welcome: Value = serde_json::from_slice(&failed.stdout).unwrap();
    assert!(welcome["operator_token"].is_string() && welcome["invitation"].is_null(), "{welcome}");

    let (printed, _) = serve(&desk, config).stop();
    let invited: Value = serde_json::from_str(&printed).unwrap();
    assert!(invited["invitation"].as_str().unwrap().starts_with("KEEPWELL:"));
    assert_eq!(serve(&desk, config).stop().0, "", "somebody was invited");
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
        let pem = server.ok(["serve", "authority", "--config", &server.path("server.toml")]);
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

#[test]
fn an_operator_beside_the_server_invites_lists_locks_out_and_wipes() {
    let server = Desk::new();
    let (running, _, _) = serve_first(&server);
    let config = server.path("server.toml");
    let operate = |arguments: &[&str]| server.json([&["serve"], arguments, &["--config", &config]].concat());
    let refused = |code: u16, arguments: &[&str]| {
        server.fails(4, code, [&["serve"], arguments, &["--config", &config]].concat());
    };

    let invited = operate(&["invite", "dr.jones", "--hours", "2"]);
    let taken_back = operate(&["invite", "dr.smith"]);
    assert_eq!(operate(&["invite", "dr.smith", "--withdraw"])["withdrawn"], 1);
    let shown = server.ok(["serve", "invite", "dr.smith", "--config", &config]);
    assert!(shown.contains("KEEPWELL:") && shown.contains('\u{2588}'), "{shown}");
    for wrong in [&["invite", "dr.jones", "--hours", "169"][..], &["invite", "dr jones"]] {
        let output = server.run([&["serve"], wrong, &["--config", &config]].concat());
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
    }

    let enrol = |desk: &Desk, invited: &Value| {
        let file = desk.write("invitation.txt", invited["invitation"].as_str().unwrap());
        desk.run(["enrol", "--invitation", file, "--name", "tablet"])
    };
    let desk = Desk::initialised();
    assert_eq!(enrol(&desk, &taken_back).status.code(), Some(4), "it was taken back");
    assert!(enrol(&desk, &invited).status.success());
    let devices = operate(&["devices"]);
    let id = devices[0]["id"].as_str().unwrap();
    assert_eq!((&devices[0]["user"], &devices[0]["name"]), (&"dr.jones".into(), &"tablet".into()));
    let table = server.ok(["serve", "devices", "--config", &config]);
    assert!(table.contains(id) && table.contains("active"), "{table}");

    operate(&["grant", "dr.jones", "Patient/p1", "--write"]);
    let held = operate(&["grants", "dr.jones"]);
    let held = |scope: &str| {
        held.as_array().unwrap().iter().any(|grant| grant["scope"] == scope && grant["access"] == "write")
    };
    assert!(held("Patient/p1") && held("user/dr.jones"));
    desk.ok(["put", desk.write("patient.json", r#"{"resourceType":"Patient","id":"p1","active":true}"#)]);
    assert_eq!(desk.json(["sync"])["applied"], 1);
    operate(&["grant", "dr.jones", "Patient/p1", "--revoke"]);
    desk.ok(["put", desk.write("patient.json", r#"{"resourceType":"Patient","id":"p1","active":false}"#)]);
    desk.run(["sync"]);
    let kept = operate(&["archive"]);
    assert_eq!((&kept[0]["resource"], &kept[0]["user"]), (&"Patient/p1".into(), &"dr.jones".into()));
    let number = kept[0]["number"].to_string();
    assert_eq!(operate(&["archive", "--after", &number]).as_array().map(Vec::len), Some(0));

    operate(&["revoke", id]);
    desk.fails(4, 424, ["sync"]);
    operate(&["admit", id]);
    desk.ok(["unlock"]);
    desk.ok(["sync"]);
    operate(&["wipe", id]);
    desk.fails(4, 423, ["sync"]);
    refused(423, &["admit", id]);
    let wiped = server.ok(["serve", "devices", "--config", &config]);
    assert!(wiped.contains("wiped"), "its receipt stays: {wiped}");

    // What was shown is an invitation as it is.
    let phone = Desk::initialised();
    let shown = phone.write("invitation.txt", &shown);
    phone.ok(["enrol", "--invitation", shown, "--name", "phone"]);
    refused(436, &["revoke", "nobody"]);
    running.stop();
    refused(469, &["devices"]);
    let wrong = server.run(["serve", "grant", "dr.jones", "everything", "--config", &config]);
    assert_eq!(wrong.status.code(), Some(2));
}

#[test]
fn a_store_that_syncs_and_that_of_a_server_are_archived_restored_and_recovered_as_any_other() {
    let server = Desk::new();
    let (running, listens, welcome) = serve_first(&server);
    let invitation = server.write("invitation.txt", welcome["invitation"].as_str().unwrap());
    let mut desk = Desk::filled(1);
    desk.ok(["enrol", "--invitation", invitation, "--name", "tablet"]);
    assert_eq!(desk.json(["sync"])["problem"], Value::Null);
    let config = server.path("server.toml");
    let again = || {
        Running::start(&mut server.command(["serve", "--json", "--config", &config, "--listen", &listens]))
    };
    let save = |desk: &Desk, gender: &str| {
        let text = format!(r#"{{"resourceType":"Patient","id":"{}","gender":"{gender}"}}"#, desk.patient());
        desk.ok(["put", desk.write("patient.json", &text)]);
        let report = desk.json(["sync"]);
        assert_eq!((&report["problem"], &report["pending"]), (&Value::Null, &Value::Null), "{report}");
    };
    running.stop();

    // A server's: what a device sent after the archive was made is not lost with it.
    let keychain = format!("file:{}", server.path("server-keys"));
    let tenant = server.path("data/tenant");
    let at_tenant = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keepwell"));
        command.args(["--store", &tenant, "--keychain", &keychain]).args(arguments);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let phrase = server.write("phrase", "the passphrase of the archive");
    let archive = server.path("tenant.keepwell");
    at_tenant(&["archive", &archive, "--passphrase-file", phrase]);
    let running = again();
    save(&desk, "other");
    running.stop();
    std::fs::remove_dir_all(&tenant).unwrap();
    at_tenant(&["restore", &archive, "--passphrase-file", phrase]);
    let running = again();
    assert_eq!(desk.json(["sync"])["lost"], 1);
    let kept = server.json(["serve", "archive", "--config", &config]);
    let resource = format!("Patient/{}", desk.patient());
    assert_eq!((&kept[0]["resource"], &kept[0]["kind"]), (&resource.into(), &"gone".into()));
    save(&desk, "female");
    running.stop();

    // A device's.
    let phrase = desk.write("phrase", "the passphrase of the archive");
    desk.ok(["unlock"]);
    desk.ok(["recover", "set", "--passphrase-file", phrase]);
    desk.ok(["recover", "use", "--passphrase-file", phrase]);
    let archive = desk.path("all.keepwell");
    desk.ok(["archive", &archive, "--passphrase-file", phrase]);
    let resources = desk.json(["stats"])["resources"].clone();
    desk.use_store("restored");
    desk.ok(["restore", &archive, "--passphrase-file", phrase]);
    assert_eq!(desk.json(["stats"])["resources"], resources);
}

/// Two stores that edited the same flags apart from each other: the first one's edits lost.
fn in_conflict(desk: &Desk, other: &Desk, ids: &[&str]) {
    let flag = |id: &str, text: &str| {
        format!(
            r#"{{"resourceType":"Flag","id":"{id}","status":"active","code":{{"text":"{text}"}},"subject":{{"display":"p1"}}}}"#
        )
    };
    let save = |desk: &Desk, text: &str| {
        let lines: Vec<String> = ids.iter().map(|id| flag(id, text)).collect();
        desk.ok(["import", desk.write(&format!("{text}.ndjson"), &lines.join("\n"))]);
    };
    save(desk, "old");
    first_sync(desk);
    other.ok(["sync"]);
    save(other, "cat");
    other.ok(["sync"]);
    save(desk, "dog");
    desk.ok(["sync"]);
}

#[test]
fn conflicts_are_listed_shown_and_decided() {
    let server = Desk::new();
    let (running, listens, _) = serve_first(&server);
    let plain = Plain::of(&server, &listens);
    let (desk, other) = (Desk::initialised(), Desk::initialised());
    plain.enrol(&desk, "Flag", &[]);
    plain.enrol(&other, "Flag", &[]);
    in_conflict(&desk, &other, &["f1", "f2", "f3", "f4"]);

    let listed = desk.json(["conflicts", "list"]);
    let id_of = |resource: &str| {
        let found = listed.as_array().unwrap().iter().find(|conflict| conflict["resource"] == resource);
        found.unwrap()["id"].as_str().unwrap().to_owned()
    };
    assert_eq!(listed.as_array().map(Vec::len), Some(4));
    let table = desk.ok(["conflicts", "list"]);
    let ids = ["f1", "f2", "f3", "f4"].map(|id| id_of(&format!("Flag/{id}")));
    assert!(ids.iter().all(|id| table.contains(id.as_str())) && table.contains("Flag/f3"), "{table}");
    let advice = listed[0]["advice"].as_str().unwrap();
    assert!(table.ends_with(&format!("\nconflict: {advice}\n")), "what to do is said once: {table}");

    // The beginning of an id is enough, if it is that of one alone.
    let mut begins = (1..=ids[0].len()).map(|end| &ids[0][..end]);
    let short = begins.find(|begin| ids.iter().filter(|id| id.starts_with(begin)).count() == 1).unwrap();
    let shown = desk.json(["conflicts", "show", short]);
    let text = |side: &str| shown[side]["code"]["text"].as_str().unwrap();
    assert_eq!((text("base"), text("mine"), text("theirs")), ("old", "dog", "cat"));
    assert_eq!((&shown["resource"], &shown["kind"]), (&"Flag/f1".into(), &"conflict".into()));
    assert!(desk.ok(["conflicts", "show", short]).contains("\nmine\n{"));
    for wrong in [
        &["conflicts", "show", ""][..],
        &["conflicts", "show", "none"],
        &["conflicts", "resolve", short],
        &["conflicts", "resolve", short, "--take-mine", "--delete"],
    ] {
        assert_eq!(desk.run(wrong).status.code(), Some(2), "{wrong:?}");
    }

    let mut edited: Value = shown["mine"].clone();
    edited["id"] = "f3".into();
    edited["code"]["text"] = "both".into();
    let edited = desk.write("edited.json", &edited.to_string());
    desk.ok(["conflicts", "resolve", short, "--keep-theirs"]);
    desk.ok(["conflicts", "resolve", &ids[1], "--take-mine"]);
    desk.ok(["conflicts", "resolve", &ids[2], "--with", edited]);
    desk.ok(["conflicts", "resolve", &ids[3], "--delete"]);
    assert_eq!(
        desk.run(["conflicts", "resolve", &ids[3], "--delete"]).status.code(),
        Some(2),
        "it is decided"
    );
    assert_eq!(desk.json(["sync"])["conflicts"], 0);
    assert_eq!(desk.json(["conflicts", "list"]).as_array().map(Vec::len), Some(0));

    // What was decided is what everybody sees.
    let third = Desk::initialised();
    plain.enrol(&third, "Flag", &[]);
    third.ok(["sync"]);
    for (desk, id, text) in
        [(&desk, "f1", "cat"), (&third, "f1", "cat"), (&third, "f2", "dog"), (&third, "f3", "both")]
    {
        assert_eq!(desk.json(["get", &format!("Flag/{id}")])["code"]["text"], text, "{id}");
    }
    for desk in [&desk, &third] {
        assert_eq!(desk.run(["get", "Flag/f4"]).status.code(), Some(1));
    }
    running.stop();
}
