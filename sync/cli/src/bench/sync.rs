//! Speed of sync: a server and devices over TLS on loopback, encrypted on all sides, with search and digests on.
//!
//! The first fetch runs in a process of its own, so that its memory is that of a device alone; so does the server whose
//! idle connections are weighed.

mod idle;
mod line;
mod patient;
mod pushes;

use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use keepwell_client::{Cancel, Client, ClientOptions, Report, SyncExtension};
use keepwell_fhir::ResourceType;
use keepwell_merge::{Merger, Outcome};
use keepwell_protocol::Body;
use keepwell_sample::Sample;
use keepwell_store::{Actor, Precondition, Session, Store, StoreOptions};
use keepwell_tls::Invitation;
use keepwell_vault::FileKeychain;
use serde_json::{Value, json};

pub(crate) use self::idle::{hold, idle_alone};

use super::{bodies, median, peak_kib, rounded};
use crate::args::{BenchPullArgs, BenchSyncArgs};
use crate::exit::{Failure, Result, io as io_failure};
use crate::files;
use crate::local_server::LocalServer;
use crate::output::{Output, Table};
use crate::progress;

/// The user of both devices.
const USER: &str = "bench";
/// Rounds without news.
const NOOPS: usize = 20;
/// Changes that the other device waits for.
const CHANGES: usize = 50;
/// Edits that wait when a round begins.
const EDITS: usize = 2_000;
/// Resources that both devices edit.
const MERGES: usize = 200;
/// How often each merge is repeated, for how long a merge alone takes.
const MERGE_ROUNDS: usize = 50;
/// Bytes of the resources that are merged alone.
const MERGE_BYTES: RangeInclusive<usize> = 1_400..=1_600;
/// Connections that wait for a change of the patient they hold.
const FAN_OUT: usize = 1_000;
/// How long a change may take at the most.
const PATIENCE: Duration = Duration::from_secs(30);

struct World {
    server: LocalServer,
}

/// Bytes both ways.
struct Bytes {
    /// Of messages.
    bodies: f64,
    /// And of the heads of HTTP.
    with_heads: f64,
}

/// A round without news.
struct Noop {
    bytes: Bytes,
    ms: f64,
}

struct Device {
    store: Store,
    client: Client,
}

/// `bench sync`.
pub(crate) fn sync(out: Output, args: &BenchSyncArgs) -> Result<()> {
    let failed = io_failure("making a folder to measure in");
    let parent = args.directory.clone().unwrap_or_else(std::env::temp_dir);
    let place = tempfile::Builder::new().prefix("keepwell-bench-").tempdir_in(parent).map_err(&failed)?;
    let figures = measure(args, place.path())?;
    out.show(
        || figures.clone(),
        |out| {
            let mut table = Table::new(&["", ""]);
            for (name, value) in figures.as_object().into_iter().flatten() {
                table.row([name.clone(), value.to_string()]);
            }
            table.write(out)
        },
    )
}

fn measure(args: &BenchSyncArgs, place: &Path) -> Result<Value> {
    let bar = progress::bar("measuring", Some(9));
    let step = |name: &'static str| {
        bar.set_message(name);
        bar.inc(1);
    };
    step("server");
    let bodies = load(args)?;
    let world = World::new(place, &bodies)?;
    let patients = ids(&bodies, "Patient");

    step("first fetch");
    let pulled = world.pull_elsewhere(place)?;
    let one = world.device(&place.join("one"))?;
    one.sync()?;
    let noops = (0..NOOPS).map(|_| one.timed()).collect::<Result<Vec<_>>>()?;

    step("changes");
    let two = world.device(&place.join("two"))?;
    two.sync()?;
    let (visible, per_change) = changes(&one, &two, &patients)?;

    step("edits");
    let session = one.session()?;
    for number in 0..EDITS {
        let id = format!("bench-{number}");
        let body = flag(&id, &patients[number % patients.len()], "edit");
        session.update(kind("Flag")?, &id, body.as_bytes(), Precondition::None)?;
    }
    let before = one.client.report()?;
    let started = Instant::now();
    let after = one.sync()?;
    let edits_per_s = (after.applied - before.applied) as f64 / started.elapsed().as_secs_f64();

    step("merges");
    let merges_per_s = merges_alone(&bodies)?;
    let joined_per_s = merges(&one, &two, &patients)?;

    step("pushes");
    let mutations_per_s = pushes::pushes(&world, place, &bodies)?;
    drop(world);

    step("one patient");
    let patient = patient::patient(place, &bodies, FAN_OUT)?;

    step("connections");
    let idle_connection_kib = idle::idle(place, args.connections)?;
    bar.finish_and_clear();
    let noop = |figure: fn(&Noop) -> f64| median(noops.iter().map(figure).collect());
    Ok(json!({
        "initial_per_s": pulled["per_s"],
        "wire_bytes_per_resource": pulled["bytes_per_resource"],
        "wire_bytes_per_change": rounded(per_change.bodies),
        "wire_bytes_per_change_all": rounded(per_change.with_heads),
        "change_visible_p50_ms": rounded(percentile(&visible, 50)),
        "change_visible_p95_ms": rounded(percentile(&visible, 95)),
        "noop_bytes": noop(|noop| noop.bytes.bodies),
        "noop_bytes_with_heads": noop(|noop| noop.bytes.with_heads),
        "noop_ms": rounded(noop(|noop| noop.ms)),
        "pull_peak_mib": pulled["peak_mib"],
        "mutations_per_s": mutations_per_s.round(),
        "edits_per_s": edits_per_s.round(),
        "merges_per_s": merges_per_s.round(),
        "joined_per_s": joined_per_s.round(),
        "first_patient_ms": rounded(patient.first_ms),
        "first_patient_bytes": patient.first_bytes,
        "fan_out_hint_p95_ms": rounded(patient.hint_p95_ms),
        "fan_out_pulled_ms": rounded(patient.pulled_ms),
        "idle_connections": args.connections,
        "idle_connection_kib": idle_connection_kib,
        "resources": pulled["resources"],
    }))
}

/// What is synced: given data, or made-up patients, with what refers to none that is left out.
fn load(args: &BenchSyncArgs) -> Result<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    if args.data.is_empty() {
        let sample = Sample::new(1, (2026, 11, 22));
        found.extend(sample.resources(u64::MAX).take(args.resources).map(String::into_bytes));
    }
    for file in files::listed(&args.data)? {
        if found.len() >= args.resources {
            break;
        }
        found.extend(bodies::of_file(&file)?.into_iter().map(|body| body.json));
    }
    found.truncate(args.resources);
    Ok(found)
}

fn ids(bodies: &[Vec<u8>], of: &str) -> Vec<String> {
    let keys = bodies.iter().filter_map(|body| Body::new(body.clone()).ok()?.key().ok());
    keys.filter(|key| key.kind.name() == of).map(|key| key.id.to_string()).collect()
}

fn kind(name: &'static str) -> Result<ResourceType> {
    ResourceType::parse(name).ok_or(Failure::NotHeld("a type of R4"))
}

fn flag(id: &str, patient: &str, text: &str) -> String {
    json!({
        "resourceType": "Flag", "id": id, "status": "active", "code": { "text": text },
        "subject": { "reference": format!("Patient/{patient}") },
    })
    .to_string()
}

fn actor() -> Result<Actor> {
    Actor::new("bench", "bench", "this machine").map_err(|_| Failure::NotHeld("the bench has a name"))
}

fn options(place: &Path, sync: &SyncExtension) -> StoreOptions {
    let keychain = FileKeychain::new(place.join("keys"));
    let mut options = StoreOptions::new("bench", "this machine", Some(Arc::new(keychain)));
    options.memory_security = false;
    options.extensions = vec![Arc::new(sync.clone())];
    options
}

impl World {
    fn new(place: &Path, bodies: &[Vec<u8>]) -> Result<Self> {
        let server = LocalServer::start(&place.join("server"))?;
        server.fill(&bodies.join(&b'\n'))?;
        for patient in ids(bodies, "Patient") {
            server.grant(USER, &format!("Patient/{patient}"))?;
        }
        Ok(Self { server })
    }

    fn device(&self, place: &Path) -> Result<Device> {
        Device::enrolled(place, &self.server.invite(USER)?)
    }

    /// The first fetch of a device in a process of its own.
    fn pull_elsewhere(&self, place: &Path) -> Result<Value> {
        let failed = io_failure("running a device in another process");
        let invitation = place.join("invitation");
        let text = self.server.invite(USER)?.text().map_err(keepwell_client::Error::from)?;
        fs::write(&invitation, text.as_bytes()).map_err(&failed)?;
        let mut command = Command::new(std::env::current_exe().map_err(&failed)?);
        command
            .args(["bench", "pull", "--directory"])
            .arg(place.join("pull"))
            .arg("--invitation")
            .arg(&invitation);
        let done = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().map_err(&failed)?;
        let told = serde_json::from_slice(&done.stdout).ok().filter(|_| done.status.success());
        told.ok_or(Failure::NotHeld("a device in another process syncs"))
    }
}

/// `bench pull`: the first fetch of a device, and its peak of memory.
pub(crate) fn pull_alone(args: &BenchPullArgs) -> Result<()> {
    let text = fs::read_to_string(&args.invitation).map_err(io_failure("reading the invitation"))?;
    let invitation = text.parse().map_err(|_| Failure::Usage("the file holds no invitation"))?;
    let device = Device::enrolled(&args.directory, &invitation)?;
    let before = peak_kib();
    let started = Instant::now();
    let report = device.sync()?;
    let elapsed = started.elapsed().as_secs_f64();
    let peak = peak_kib().zip(before).map(|(after, before)| rounded((after - before) as f64 / 1024.0));
    let bytes = report.received_bytes + report.sent_bytes;
    let told = json!({
        "per_s": (report.stored as f64 / elapsed).round(),
        "bytes_per_resource": rounded(bytes as f64 / report.stored.max(1) as f64),
        "peak_mib": peak,
        "resources": report.stored,
    });
    Output::new(true).show(|| told, |_| Ok(()))
}

impl Device {
    fn enrolled(place: &Path, invitation: &Invitation) -> Result<Self> {
        fs::create_dir_all(place).map_err(io_failure("making a folder for a device"))?;
        let sync = SyncExtension::new();
        let store = Store::create(&place.join("store"), options(place, &sync), None)?;
        let client = Client::new(store.clone(), sync, ClientOptions::new(actor()?));
        client.enrol(invitation, "bench")?;
        Ok(Self { store, client })
    }

    fn session(&self) -> Result<Session> {
        Ok(self.store.session(actor()?)?)
    }

    fn sync(&self) -> Result<Report> {
        let report = self.client.sync(&Cancel::default(), &mut |_| ())?;
        report.last_problem.map_or(Ok(report), |code| Err(Failure::Unmet(code)))
    }

    /// What a round costs.
    fn timed(&self) -> Result<Noop> {
        let before = self.client.report()?;
        let started = Instant::now();
        let after = self.sync()?;
        let ms = started.elapsed().as_secs_f64() * 1e3;
        Ok(Noop { bytes: Bytes::between(&before, &after), ms })
    }
}

impl Bytes {
    fn between(before: &Report, after: &Report) -> Self {
        let all = |report: &Report| report.sent_bytes + report.received_bytes;
        let (bytes, heads) = (all(after) - all(before), after.head_bytes - before.head_bytes);
        Self { bodies: (bytes - heads) as f64, with_heads: bytes as f64 }
    }
}

/// How long it takes until a change is seen on the other device, in ms, and what a change costs on the wire.
fn changes(one: &Device, two: &Device, patients: &[String]) -> Result<(Vec<f64>, Bytes)> {
    let (sends, receives) = (one.client.start()?, two.client.start()?);
    // Both have their stream of hints by then.
    std::thread::sleep(Duration::from_secs(1));
    let feed = two.store.observe();
    let session = one.session()?;
    let before = (sends.report(), receives.report());
    let mut visible = Vec::new();
    for number in 0..CHANGES {
        let id = &patients[number % patients.len()];
        let mut patient = read(&session, id)?;
        patient["birthDate"] = json!(format!("19{:02}-01-01", number % 100));
        let started = Instant::now();
        session.update(kind("Patient")?, id, patient.to_string().as_bytes(), Precondition::None)?;
        loop {
            let left = PATIENCE.saturating_sub(started.elapsed());
            let seen = feed.next(left)?.ok_or(Failure::NotHeld("a change is seen on the other device"))?;
            if seen.iter().any(|change| change.id() == *id) {
                break;
            }
        }
        visible.push(started.elapsed().as_secs_f64() * 1e3);
    }
    // What the last change has cost is counted when its rounds are over.
    std::thread::sleep(Duration::from_millis(500));
    let sent = Bytes::between(&before.0, &sends.report());
    let received = Bytes::between(&before.1, &receives.report());
    let pushed = (sends.report().push_bytes - before.0.push_bytes) as f64;
    let each = |one: f64, two: f64| (one + two) / CHANGES as f64;
    // The first device also hears of its own change: that is among what both had in all, and not of this change.
    let bodies = each(pushed, received.bodies);
    sends.stop()?;
    receives.stop()?;
    Ok((visible, Bytes { bodies, with_heads: each(sent.with_heads, received.with_heads) }))
}

/// How many resources the merge joins a second, without anything around it: those of about 1.5 KB, of all types.
fn merges_alone(bodies: &[Vec<u8>]) -> Result<f64> {
    let (mut merger, mut took, mut count) = (Merger::new(), Duration::ZERO, 0_u32);
    for body in bodies.iter().filter(|body| MERGE_BYTES.contains(&body.len())).take(MERGES) {
        let base: Value = serde_json::from_slice(body).map_err(|_| Failure::NotHeld("a resource is JSON"))?;
        let (mut mine, mut theirs) = (base.clone(), base.clone());
        mine["meta"]["tag"] = json!([{ "system": "http://example.org", "code": "edited" }]);
        theirs["language"] = json!("de");
        let [base, mine, theirs] = [base, mine, theirs].map(|body| body.to_string().into_bytes());
        let started = Instant::now();
        for _ in 0..MERGE_ROUNDS {
            let merged = merger.merge(Some(&base), Some(&mine), Some(&theirs));
            if !matches!(merged, Ok(Outcome::Merged(_))) {
                return Err(Failure::NotHeld("edits of different elements are merged"));
            }
            count += 1;
        }
        took += started.elapsed();
    }
    Ok(f64::from(count) / took.as_secs_f64())
}

/// Both devices change another element of the same patients; how many of them the second fetches, merges, stores and
/// sends a second.
fn merges(one: &Device, two: &Device, patients: &[String]) -> Result<f64> {
    one.sync()?;
    two.sync()?;
    for (device, name, value) in [(one, "language", json!("de")), (two, "multipleBirthInteger", json!(7))] {
        let session = device.session()?;
        for id in patients.iter().take(MERGES) {
            let mut patient = read(&session, id)?;
            if name == "multipleBirthInteger" {
                patient.as_object_mut().and_then(|members| members.remove("multipleBirthBoolean"));
            }
            patient[name] = value.clone();
            session.update(kind("Patient")?, id, patient.to_string().as_bytes(), Precondition::None)?;
        }
    }
    one.sync()?;
    let before = two.client.report()?;
    let started = Instant::now();
    let after = two.sync()?;
    Ok((after.merged - before.merged) as f64 / started.elapsed().as_secs_f64())
}

fn read(session: &Session, patient: &str) -> Result<Value> {
    let found = session.read(kind("Patient")?, patient)?;
    serde_json::from_slice(&found.body).map_err(|_| Failure::NotHeld("a resource is JSON"))
}

/// The value that so many of a hundred do not exceed.
fn percentile(values: &[f64], hundredths: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
        .get((sorted.len() * hundredths / 100).min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::NAN)
}
