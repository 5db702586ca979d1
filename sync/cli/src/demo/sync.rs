//! Two devices and a server in this process: edits made offline meet again, and a lost device is wiped.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use keepwell_client::{
    Cancel, Client, ClientOptions, Error as ClientError, Report, Resolution, SyncExtension,
};
use keepwell_sample::Sample;
use keepwell_store::{ImportOptions, ImportSource, Precondition, Store, StoreOptions};
use keepwell_vault::MemoryKeychain;
use serde_json::{Value, json};

use super::stage::{APP, Stage, actor};
use super::{check, resource_type};
use crate::exit::{Failure, Result};
use crate::local_server::LocalServer;
use crate::output::{grouped, size};

/// Patients whose records both devices hold.
const PATIENTS: u64 = 20;
const NURSE: &str = "nurse.demo";
const DOCTOR: &str = "dr.demo";

struct Device {
    store: Store,
    client: Client,
}

/// Plays it.
pub(super) fn run(stage: &mut Stage) -> Result<()> {
    let place = stage.folder("sync");
    let server = LocalServer::start(&place.join("server"))?;
    let (nurse, doctor, patient) = enrol(stage, &server, &place)?;
    merge(stage, &nurse, &doctor, &patient)?;
    conflict(stage, &nurse, &doctor, &patient)?;
    wipe(stage, &server, nurse, &place)
}

fn enrol(stage: &mut Stage, server: &LocalServer, place: &Path) -> Result<(Device, Device, String)> {
    stage.step("Sync: a server, two devices")?;
    let nurse = Device::new(&place.join("nurse"))?;
    let bodies: Vec<String> = Sample::new(7, (2026, 11, 22)).resources(PATIENTS).collect();
    let lines = bodies.join("\n");
    let session = nurse.store.session(actor()?)?;
    session.import(
        ImportSource::reader("sample", lines.as_bytes()),
        &ImportOptions::default(),
        &mut |_| (),
    )?;
    let patients: Vec<String> = bodies.iter().filter_map(|body| patient_id(body)).collect();
    for user in [NURSE, DOCTOR] {
        let scopes = patients.iter().map(|id| format!("Patient/{id}"));
        scopes
            .chain(["dir/main".to_owned(), "lib/main".to_owned()])
            .try_for_each(|scope| server.grant(user, &scope))?;
    }
    nurse.client.enrol(&server.invite(NURSE)?, "tablet of the nurse")?;
    let started = Instant::now();
    let sent = nurse.sync()?;
    stage.say(&format!(
        "A server in this process, TLS 1.3 with pinned keys. The nurse's tablet had {} resources; invited and enrolled \
         with a certificate of its own, it sent them in {:.1} s with {} requests and {}.",
        grouped(bodies.len() as u64),
        started.elapsed().as_secs_f64(),
        sent.requests,
        size(sent.sent_bytes)
    ))?;
    check(
        sent.applied > 0 && nurse.client.status()?.pending == 0,
        "what was there before the enrolment was sent",
    )?;
    let doctor = Device::new(&place.join("doctor"))?;
    doctor.client.enrol(&server.invite(DOCTOR)?, "tablet of the doctor")?;
    let fetched = doctor.sync()?;
    stage.say(&format!(
        "The doctor's tablet fetched {} resources in {}.",
        grouped(fetched.stored),
        size(fetched.received_bytes)
    ))?;
    check(fetched.stored == sent.applied, "the second device has what the first sent")?;
    let patient = patients.into_iter().next().ok_or(Failure::NotHeld("the sample has a patient"))?;
    Ok((nurse, doctor, patient))
}

fn merge(stage: &mut Stage, nurse: &Device, doctor: &Device, patient: &str) -> Result<()> {
    stage.step("Sync: edits made offline are merged")?;
    nurse.edit(patient, "communication", json!([{ "language": { "text": "Welsh" } }]))?;
    doctor.edit(patient, "photo", json!([{ "title": "taken today" }]))?;
    nurse.sync()?;
    let report = doctor.sync()?;
    nurse.sync()?;
    let (one, two) = (nurse.read(patient)?, doctor.read(patient)?);
    check(
        one["photo"] == two["photo"] && one["communication"] == two["communication"],
        "both devices are the same",
    )?;
    check(
        two["photo"].is_array() && two["communication"].is_array() && report.merged == 1,
        "both edits are there",
    )?;
    stage.say("Offline, the nurse noted a language and the doctor added a photo of the same patient. Both edits are on both devices now: one was sent, the other merged with it.")
}

fn conflict(stage: &mut Stage, nurse: &Device, doctor: &Device, patient: &str) -> Result<()> {
    stage.step("Sync: a conflict waits for a person")?;
    nurse.edit(patient, "birthDate", json!("1961-02-03"))?;
    doctor.edit(patient, "birthDate", json!("1962-03-04"))?;
    nurse.sync()?;
    doctor.sync()?;
    let found = doctor.client.conflicts()?;
    let conflict = found.first().ok_or(Failure::NotHeld("a conflict is recorded"))?;
    check(doctor.read(patient)?["birthDate"] == "1961-02-03", "what is seen is the server's")?;
    stage.say(&format!(
        "Both changed the birth date: no machine may decide that ({}). Everybody sees the first one; the doctor's is kept, \
         here and in the server's archive, with what both had edited.",
        conflict.paths.join(", ")
    ))?;
    doctor.client.resolve(conflict, &Resolution::TakeMine)?;
    doctor.sync()?;
    nurse.sync()?;
    check(nurse.read(patient)?["birthDate"] == "1962-03-04", "the decision reaches the other device")?;
    stage.say("The doctor decided for her own; the decision is an edit like any other, and the nurse's tablet has it.")
}

fn wipe(stage: &mut Stage, server: &LocalServer, nurse: Device, place: &Path) -> Result<()> {
    stage.step("Sync: a lost device is wiped")?;
    let device = nurse.client.status()?.device.ok_or(Failure::NotHeld("the device is enrolled"))?;
    server.operator().wipe(&device)?;
    let wiped = nurse.client.sync(&Cancel::default(), &mut |_| ());
    check(matches!(wiped, Err(ClientError::Wiped)), "the order is followed")?;
    check(!place.join("nurse/store.db").exists(), "the database is gone")?;
    let devices = server.operator().devices()?;
    let has_receipt = devices
        .iter()
        .any(|known| known.id == device && matches!(known.state, keepwell_backend::DeviceState::Wiped(_)));
    check(has_receipt, "the receipt has come")?;
    stage.say("The nurse's tablet was left on a bus. At its next contact it got a signed order, destroyed its keys and then its files, and sent a receipt signed with its own key.")
}

impl Device {
    fn new(place: &Path) -> Result<Self> {
        let sync = SyncExtension::new();
        let mut options = StoreOptions::new(APP, "a tablet", Some(Arc::new(MemoryKeychain::new())));
        options.extensions = vec![Arc::new(sync.clone())];
        let store = Store::create(place, options, None)?;
        let client = Client::new(store.clone(), sync, ClientOptions::new(actor()?));
        Ok(Self { store, client })
    }

    /// A round; what it did.
    fn sync(&self) -> Result<Report> {
        let before = self.client.report().map(|report| (report.applied, report.merged));
        let (applied, merged) = before.unwrap_or_default();
        let mut report = self.client.sync(&Cancel::default(), &mut |_| ())?;
        report.applied -= applied;
        report.merged -= merged;
        report.last_problem.map_or(Ok(report), |code| Err(Failure::Unmet(code)))
    }

    fn read(&self, patient: &str) -> Result<Value> {
        let found = self.store.session(actor()?)?.read(resource_type("Patient"), patient)?;
        serde_json::from_slice(&found.body).map_err(|_| Failure::NotHeld("a resource is JSON"))
    }

    fn edit(&self, patient: &str, name: &str, value: Value) -> Result<()> {
        let mut edited = self.read(patient)?;
        edited[name] = value;
        let (session, body) = (self.store.session(actor()?)?, edited.to_string());
        session.update(resource_type("Patient"), patient, body.as_bytes(), Precondition::None)?;
        Ok(())
    }
}

fn patient_id(body: &str) -> Option<String> {
    let body = keepwell_protocol::Body::new(body).ok()?.key().ok()?;
    (body.kind.name() == "Patient").then(|| body.id.to_string())
}
