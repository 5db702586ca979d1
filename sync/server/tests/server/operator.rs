//! The operator's calls, and the first run.

use hyper::Request;
use keepwell_server::{Console, Error, TokenUse, Tokens, authority_pem, prepare};
use keepwell_tls::{HttpClient, Invitation};
use serde_json::{Value, json};

use crate::world::{Reply, World, config};

struct Operator<'w> {
    world: &'w World,
    http: HttpClient,
    token: String,
}

impl<'w> Operator<'w> {
    fn new(world: &'w World) -> Self {
        let token = world.welcome.operator_token.to_string();
        Self { world, http: world.http(&world.stranger()), token }
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> Reply {
        let request = Request::builder().method(method).uri(format!("/admin/v1/{path}"));
        let request = request.header("authorization", format!("Bearer {}", self.token));
        self.world.ask(&self.http, request.body(body.to_string().into()).unwrap())
    }
}

#[test]
fn devices_are_invited_listed_locked_out_and_wiped() {
    let world = World::new();
    let operator = Operator::new(&world);
    let invited = operator.send("POST", "invitations", &json!({ "user": "ada", "hours": 2 })).json();
    let invitation: Invitation = invited["invitation"].as_str().unwrap().parse().unwrap();
    assert_eq!(invitation.code.text().as_str(), invited["code"].as_str().unwrap());
    assert!(keepwell_tls::qr_code(invited["invitation"].as_str().unwrap()).is_ok());

    let device = world.enrol("bea");
    let listed = operator.send("GET", "devices", &Value::Null).json();
    assert_eq!(
        (&listed[0]["id"], &listed[0]["user"], &listed[0]["state"]),
        (&json!(device.id), &json!("bea"), &json!("active"))
    );
    let path = |action: &str| format!("devices/{}/{action}", device.id);
    for (action, state) in [("revoke", json!("revoked")), ("admit", json!("active"))] {
        assert_eq!(operator.send("POST", &path(action), &Value::Null).status, 200);
        assert_eq!(operator.send("GET", "devices", &Value::Null).json()[0]["state"], state);
    }
    assert_eq!(operator.send("POST", &path("wipe"), &Value::Null).status, 200);
    assert_eq!(
        operator.send("GET", "devices", &Value::Null).json()[0]["state"]["wipe"]["device"],
        json!(device.id)
    );
    let unknown = operator.send("POST", "devices/nobody/revoke", &Value::Null);
    assert_eq!((unknown.status, &unknown.json()["error"]), (404, &json!(436)));
    let states: Vec<Value> =
        operator.send("GET", "invitations", &Value::Null).json().as_array().unwrap().clone();
    assert!(states.iter().any(|invite| invite["state"]["used"]["device"] == json!(device.id)), "{states:?}");
}

#[test]
fn grants_are_given_and_taken_back() {
    let world = World::new();
    let operator = Operator::new(&world);
    let path = "users/ada/grants/Patient/p1";
    assert_eq!(operator.send("PUT", path, &json!({ "access": "write" })).status, 200);
    let held = operator.send("GET", "users/ada/grants", &Value::Null).json();
    assert_eq!(held, json!([{ "scope": "Patient/p1", "generation": 1, "access": "write" }]));
    assert_eq!(operator.send("DELETE", path, &Value::Null).status, 200);
    assert_eq!(operator.send("GET", "users/ada/grants", &Value::Null).json(), json!([]));
    assert_eq!(operator.send("GET", "archive?after=0", &Value::Null).json(), json!([]));
    for (method, path, body, status) in [
        ("PUT", path, json!({ "access": "all" }), 400),
        ("PUT", "users/ada/grants/a b/p1", json!({ "access": "read" }), 400),
        ("PUT", "users/ada/grants/patient/p1", json!({ "access": "read" }), 400),
        ("POST", "invitations", json!({ "user": "ada", "hours": 100_000 }), 400),
        ("POST", "invitations", json!({ "user": "a_b" }), 400),
        ("GET", "nothing", Value::Null, 404),
    ] {
        let path = path.replace(' ', "%20");
        let answer = operator.send(method, &path, &body);
        assert_eq!(answer.status, status, "{method} {path}");
        assert!(answer.json()["message"].is_string(), "{method} {path} says why");
    }
}

#[test]
fn only_the_operator_makes_the_operators_calls() {
    let world = World::new();
    let fhir = world.token("dr.jones");
    for (token, status) in [(fhir.as_str(), 403), ("", 401), ("keepwell_guess", 401)] {
        let operator = Operator { token: token.to_owned(), ..Operator::new(&world) };
        assert_eq!(operator.send("GET", "devices", &Value::Null).status, status, "{token}");
    }
}

#[test]
fn a_console_is_the_operator_while_the_server_runs_and_nothing_else() {
    let world = World::new();
    let file = world.config.data.join("running.json");
    let running = std::fs::read_to_string(&file).unwrap();
    let console = Console::open(&world.config).unwrap();
    console.put("users/ada/grants/Patient/p1", &json!({ "access": "read" })).unwrap();
    assert_eq!(console.get("users/ada/grants").unwrap()[0]["scope"], "Patient/p1");
    console.delete("users/ada/grants/Patient/p1").unwrap();
    let invited = console.post("invitations", &json!({ "user": "ada" })).unwrap();
    assert!(invited["invitation"].as_str().unwrap().starts_with("KEEPWELL:"));
    let unknown = console.post("devices/nobody/revoke", &Value::Null);
    assert!(matches!(unknown, Err(Error::Answered { status: 404, code: Some(436), .. })), "{unknown:?}");

    // Its token reads no record.
    let token = serde_json::from_str::<Value>(&running).unwrap()["token"].as_str().unwrap().to_owned();
    let http = world.http(&world.stranger());
    let request = Request::get("/fhir/Patient").header("authorization", format!("Bearer {token}"));
    assert_eq!(world.ask(&http, request.body(Default::default()).unwrap()).status, 401);

    // That of another run opens nothing, and one that has ended leaves none.
    std::fs::write(&file, running.replace(&token, "keepwell_of_another_run")).unwrap();
    let other = Console::open(&world.config).unwrap();
    assert!(matches!(other.get("devices"), Err(Error::NotRunning)));
    let config = world.config.clone();
    world.server.stop_handle().stop();
    world.server.wait().unwrap();
    assert!(matches!(Console::open(&config).map(|_| ()), Err(Error::NotRunning)));
}

#[test]
fn the_authority_is_shown_as_clients_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder, "");
    assert!(matches!(authority_pem(&config.data), Err(Error::Io { .. })));
    prepare(&config).unwrap().unwrap();
    let pem = authority_pem(&config.data).unwrap();
    assert!(pem.lines().all(|line| line.len() <= 64));
    assert!(keepwell_tls::AuthoritySettings::from_pem(pem.as_bytes()).is_ok());
}

#[test]
fn a_first_run_makes_everything_once_and_keeps_secrets_out_of_the_data() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder, "");
    let welcome = prepare(&config).unwrap().unwrap();
    assert!(prepare(&config).unwrap().is_none());
    for name in ["pin-root.seed", "backup-key.p8"] {
        assert!(welcome.offline.join(name).exists(), "{name}");
    }
    let kept =
        ["identity.json", "tokens.json"].map(|name| std::fs::read_to_string(config.data.join(name)).unwrap());
    assert!(kept.iter().all(|text| !text.contains(welcome.operator_token.as_str())));
    let names =
        std::fs::read_dir(folder.path().join("keys")).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.filter(|name| name.to_string_lossy().starts_with("server.")).count(), 4);

    // Without its keys a server is not another one.
    std::fs::rename(folder.path().join("keys"), folder.path().join("away")).unwrap();
    let started = keepwell_server::Server::start(config.clone());
    assert!(matches!(started.map(|_| ()), Err(Error::Identity)));
    std::fs::remove_file(config.data.join("identity.json")).unwrap();
    assert!(matches!(prepare(&config).map(|_| ()), Err(Error::Incomplete)));
}

#[test]
fn an_unsafe_configuration_starts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut unsafe_one = config(&folder, "");
    unsafe_one.data = folder.path().join("Dropbox/data");
    assert!(matches!(prepare(&unsafe_one).map(|_| ()), Err(Error::Unsafe(_))));
    assert!(!unsafe_one.data.exists(), "nothing was made");
    let started = keepwell_server::Server::start(unsafe_one);
    assert!(matches!(started.map(|_| ()), Err(Error::Unsafe(_))));
}

#[test]
fn a_token_that_was_taken_back_opens_nothing_within_a_second() {
    let world = World::new();
    let token = world.token("dr.jones");
    let http = world.http(&world.stranger());
    let ask = || {
        let request = Request::get("/fhir/Patient").header("authorization", format!("Bearer {token}"));
        world.ask(&http, request.body(Default::default()).unwrap()).status
    };
    assert_eq!(ask(), 200);
    let tokens = Tokens::open(&world.config.data).unwrap();
    tokens.issue("dr.smith", TokenUse::Fhir).unwrap();
    tokens.revoke("dr.jones").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    assert_eq!(ask(), 401);
}
