//! The store at work, told step by step, with figures of this machine. Every step checks what it says.
//!
//! Nothing is left behind: the store lies in a temporary folder, and what is put into the system's keychain is taken
//! out again, also when a step fails.

mod data;
mod stage;
mod sync;

use std::time::{Duration, Instant};

use keepwell_fhir::ResourceType;
use keepwell_fhir::patch::PatchFormat;
use keepwell_store::audit::AuditQuery;
use keepwell_store::{Error, HistoryQuery, Operation, Precondition, Resource, Session, Store, VerifyOptions};
use keepwell_vault::{Error as VaultError, Passcode, Suspicion, Vault};

use self::data::Loaded;
use self::stage::Stage;
use crate::args::DemoArgs;
use crate::exit::{Failure, Result};
use crate::output::{grouped, size};

/// Resources that are read for the figure.
const READS: usize = 1_000;
/// An attachment larger than what stays in its resource.
const ATTACHMENT_BYTES: usize = 1 << 20;
/// Digits of no importance: the store goes away at the end.
const PASSCODE: &str = "2580-4711";

/// `demo`.
pub(crate) fn run(args: &DemoArgs) -> Result<()> {
    let started = Instant::now();
    let mut stage = Stage::new()?;
    let store = stage.create()?;
    let session = stage.session(&store)?;
    let loaded = load(&mut stage, &session, args)?;
    let example = example(&store, &session)?;
    read(&mut stage, &store, &session)?;
    edit(&mut stage, &session, &example)?;
    transact(&mut stage, &session)?;
    attach(&mut stage, &session)?;
    audit(&mut stage, &session, &example)?;
    rotate(&mut stage, &session)?;
    session.close()?;
    lock(&mut stage, &store)?;
    let session = stage.session(&store)?;
    look_at_the_disk(&mut stage, &session, &example, &loaded)?;
    verify(&mut stage, &session)?;
    purge(&mut stage, &session, &example)?;
    session.close()?;
    erase(&mut stage, store)?;
    sync::run(&mut stage)?;
    stage.end(&format!("Done in {:.1} s; every step held.", started.elapsed().as_secs_f64()))
}

/// Fails the demo unless `holds`.
fn check(holds: bool, what: &'static str) -> Result<()> {
    if holds { Ok(()) } else { Err(Failure::NotHeld(what)) }
}

fn resource_type(name: &'static str) -> ResourceType {
    ResourceType::parse(name).expect("the demo names types of R4")
}

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

fn load(stage: &mut Stage, session: &Session, args: &DemoArgs) -> Result<Loaded> {
    stage.step("Import")?;
    let loaded = match &args.folder {
        Some(folder) => data::import_folder(session, folder)?,
        None => data::import_sample(session, args.patients)?,
    };
    check(loaded.resources > 0, "there was something to import")?;
    stage.say(&format!(
        "{} resources in {:.1} s: {:.0} a second, each validated, versioned, encrypted and in the audit trail.",
        grouped(loaded.resources),
        loaded.elapsed.as_secs_f64(),
        loaded.resources as f64 / loaded.elapsed.as_secs_f64()
    ))?;
    if loaded.refused > 0 {
        stage.say(&format!("{} records were no valid R4 and were refused.", grouped(loaded.refused)))?;
    }
    Ok(loaded)
}

/// A patient of the store, to work with.
fn example(store: &Store, session: &Session) -> Result<Resource> {
    let patient = resource_type("Patient");
    let mut after = 0;
    loop {
        let page = store.changes_after(after, keepwell_store::CHANGES_PAGE_MAX)?;
        let last = page.last().ok_or(Failure::NotHeld("there is a patient among the data"))?;
        if let Some(change) = page.iter().find(|change| change.resource_type == patient) {
            return Ok(session.read(patient, &change.id())?);
        }
        after = last.sequence;
    }
}

fn read(stage: &mut Stage, store: &Store, session: &Session) -> Result<()> {
    stage.step("Read")?;
    let changes = store.changes_after(0, keepwell_store::CHANGES_PAGE_MAX)?;
    let stride = (changes.len() / READS).max(1);
    let mut times = Vec::with_capacity(READS);
    for change in changes.iter().step_by(stride).take(READS) {
        let started = Instant::now();
        let found = session.read(change.resource_type, &change.id())?;
        times.push(started.elapsed());
        check(found.version >= change.version, "a resource that was imported is read")?;
    }
    times.sort();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    stage.say(&format!(
        "{} resources one by one, {:.0} µs each in the median.",
        grouped(times.len() as u64),
        median.as_secs_f64() * 1e6
    ))
}

fn edit(stage: &mut Stage, session: &Session, example: &Resource) -> Result<()> {
    stage.step("Edit, undo, conflict")?;
    let Resource { resource_type, id, version, body, .. } = example;
    let patch = br#"{"contact":[{"name":{"text":"a contact that the demo has added"}}]}"#;
    let precondition = Precondition::Match(*version);
    let patched = session.patch(*resource_type, id, PatchFormat::MergePatch, patch, precondition)?;
    check(patched.version == version + 1, "a patch makes the next version")?;
    stage.say(&format!("A merge patch of one patient made version {}.", patched.version))?;
    let undone = session.update(*resource_type, id, body, Precondition::Match(patched.version))?;
    let old = session.vread(*resource_type, id, *version)?;
    check(old.body == *body, "an old version is read as it was, byte for byte")?;
    let entries = session.history(*resource_type, id, &HistoryQuery::default())?.entries;
    check(entries.len() as u64 == undone.version, "history holds every version")?;
    stage.say(&format!(
        "Undone by writing version {version} again; history holds {} versions, the old ones unchanged.",
        entries.len()
    ))?;
    let late = session.patch(*resource_type, id, PatchFormat::MergePatch, patch, precondition);
    check(matches!(late, Err(Error::VersionConflict { .. })), "an edit of an old version is refused")?;
    stage.say("Somebody who still looked at the old version (If-Match) was told: error 103.")
}

fn transact(stage: &mut Stage, session: &Session) -> Result<()> {
    stage.step("Transaction")?;
    let uuid = "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0";
    let bundle = |status: &str| {
        serde_json::json!({
            "resourceType": "Bundle",
            "type": "transaction",
            "entry": [
                {
                    "fullUrl": uuid,
                    "resource": { "resourceType": "Patient", "active": true },
                    "request": { "method": "POST", "url": "Patient" },
                },
                {
                    "resource": {
                        "resourceType": "Observation",
                        "status": status,
                        "code": { "text": "pulse" },
                        "subject": { "reference": uuid },
                    },
                    "request": { "method": "POST", "url": "Observation" },
                },
            ],
        })
        .to_string()
    };
    let feed = session.store().observe();
    let refused = session.bundle(bundle("no such status").as_bytes());
    check(matches!(refused, Err(Error::Entry { .. })), "a transaction with a wrong entry is refused")?;
    check(feed.next(Duration::ZERO)?.is_none(), "nothing of a refused transaction is stored")?;
    session.bundle(bundle("final").as_bytes())?;
    let changes = feed.next(Duration::ZERO)?;
    check(changes.is_some_and(|changes| changes.len() == 2), "an observer hears of all entries at once")?;
    let observations = session.history_type(resource_type("Observation"), &HistoryQuery::default())?;
    let newest = observations.entries.first().and_then(|entry| entry.body.as_deref()).unwrap_or_default();
    let is_linked = !contains(newest, uuid.as_bytes()) && contains(newest, b"\"Patient/");
    check(is_linked, "a link between entries leads to the stored patient")?;
    stage.say(
        "A patient and an observation that names it by urn:uuid went in together, linked, and an \
         observer in the process heard of both at once. With one wrong entry neither did.",
    )
}

fn attach(stage: &mut Stage, session: &Session) -> Result<()> {
    stage.step("Attachment")?;
    let content: Vec<u8> = (0..=u8::MAX).cycle().take(ATTACHMENT_BYTES).collect();
    let started = Instant::now();
    let binary = session.create_binary("application/octet-stream", &mut &*content)?;
    let mut back = Vec::new();
    session.read_attachment(binary.resource_type, &binary.id, 0, &mut back)?;
    check(back == content, "an attachment comes out as it went in")?;
    stage.say(&format!(
        "{} streamed in and out in {}, in encrypted chunks beside the database.",
        size(ATTACHMENT_BYTES as u64),
        ms(started.elapsed())
    ))
}

fn audit(stage: &mut Stage, session: &Session, example: &Resource) -> Result<()> {
    stage.step("Audit trail")?;
    let query = AuditQuery { patient: Some(example.id.clone()), limit: Some(5), ..AuditQuery::default() };
    let page = session.audit_page(&query)?;
    check(!page.records.is_empty(), "the trail knows who worked with a patient")?;
    stage.say("Who did what with that patient, the newest first:")?;
    for record in &page.records {
        let action = record.action.map_or("unknown", |action| action.name());
        let outcome = record.outcome.map_or(-1, |outcome| outcome.code());
        stage.list(&format!(
            "{}  {:<12} {action:<12} outcome {outcome}",
            record.recorded,
            record.actor.user()
        ))?;
    }
    let started = Instant::now();
    let report = session.audit_verify()?;
    check(report.is_whole(), "the trail is whole")?;
    stage.say(&format!(
        "{} chained records verified in {}: none edited, deleted, moved or cut off.",
        grouped(report.records),
        ms(started.elapsed())
    ))
}

fn rotate(stage: &mut Stage, session: &Session) -> Result<()> {
    stage.step("Key rotation")?;
    let privileged = session.elevate(None)?;
    let started = Instant::now();
    privileged.rotate_kek()?;
    let wrapping = started.elapsed();
    let started = Instant::now();
    privileged.rotate_database_key()?;
    stage.say(&format!(
        "The wrapping key was replaced in {}, the database encrypted anew under another key in {}, with the \
         session going on.",
        ms(wrapping),
        ms(started.elapsed())
    ))
}

fn lock(stage: &mut Stage, store: &Store) -> Result<()> {
    stage.step("Lock and unlock")?;
    let passcode = Passcode::new(PASSCODE.to_owned())?;
    let session = stage.session(store)?;
    session.elevate(None)?.set_passcode(&passcode)?;
    store.lock()?;
    let locked = session.stats();
    check(matches!(locked, Err(Error::Vault(VaultError::Locked))), "a locked store answers nothing")?;
    let without = store.unlock(None);
    check(
        matches!(without, Err(Error::Vault(VaultError::PasscodeNeeded))),
        "the keychain alone is not enough",
    )?;
    let wrong = store.unlock(Some(&Passcode::new("0000".to_owned())?));
    check(
        matches!(wrong, Err(Error::Vault(VaultError::WrongPasscode { .. }))),
        "a wrong passcode is refused",
    )?;
    let started = Instant::now();
    store.unlock_with(Some(&passcode), Suspicion::Refuse)?;
    stage.say(&format!(
        "With a passcode set, the locked store answered nothing; the key in the keychain alone was not enough, a \
         wrong passcode was refused and counted, the right one opened it in {}.",
        ms(started.elapsed())
    ))
}

fn look_at_the_disk(stage: &mut Stage, session: &Session, example: &Resource, loaded: &Loaded) -> Result<()> {
    stage.step("What a thief sees")?;
    let words = words(&example.body);
    check(!words.is_empty(), "a patient has words to look for")?;
    // What was just written is in the log; it counts too.
    let found = session.read(example.resource_type, &example.id)?;
    check(words.iter().all(|word| contains(&found.body, word.as_bytes())), "the words are in the record")?;
    let mut bytes = 0;
    for (_, content) in stage.files()? {
        bytes += content.len() as u64;
        for word in &words {
            check(!contains(&content, word.as_bytes()), "no word of a patient is on the disk in clear")?;
        }
    }
    let marks = session.store().vault().apply_backup_marks()?;
    check(marks.is_complete(), "every backup mark that this platform knows is in place")?;
    stage.say(&format!(
        "{} of JSON have become {} on disk, attachment, history, audit trail and keys included: {:.0} %.",
        size(loaded.json_bytes),
        size(bytes),
        bytes as f64 * 100.0 / loaded.json_bytes as f64
    ))?;
    stage.say(&format!(
        "All of it was searched for {} names and numbers of that patient: none is there. The folder is marked to \
         stay out of backups.",
        words.len()
    ))
}

/// Names and numbers in a record that do not occur by chance.
fn words(body: &[u8]) -> Vec<String> {
    fn collect(value: &serde_json::Value, words: &mut Vec<String>) {
        match value {
            serde_json::Value::String(text) if text.len() >= 5 => words.push(text.clone()),
            serde_json::Value::Array(items) => items.iter().for_each(|item| collect(item, words)),
            serde_json::Value::Object(members) => members.values().for_each(|member| collect(member, words)),
            _ => {}
        }
    }
    let Ok(serde_json::Value::Object(patient)) = serde_json::from_slice(body) else { return Vec::new() };
    let mut words = Vec::new();
    for member in ["id", "name", "birthDate", "address", "identifier", "telecom"] {
        patient.get(member).into_iter().for_each(|value| collect(value, &mut words));
    }
    // As they are spelled in the record: a text with escapes would not be found anyway.
    words.retain(|word| contains(body, word.as_bytes()));
    words.sort();
    words.dedup();
    words
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(bytes, part).is_some()
}

fn verify(stage: &mut Stage, session: &Session) -> Result<()> {
    stage.step("Verify")?;
    let started = Instant::now();
    let report = session.verify(VerifyOptions::default(), &mut |_| {})?;
    check(report.is_sound(), "every page, version and attachment is sound")?;
    stage.say(&format!(
        "{} resources, {} changes and every page checked in {:.1} s.",
        grouped(report.resources),
        grouped(report.changes),
        started.elapsed().as_secs_f64()
    ))
}

fn purge(stage: &mut Stage, session: &Session, example: &Resource) -> Result<()> {
    stage.step("Purge")?;
    let wrong = session.elevate(None);
    check(wrong.is_err(), "destroying data asks for the passcode again")?;
    let privileged = session.elevate(Some(&Passcode::new(PASSCODE.to_owned())?))?;
    let purged = privileged.purge_patient(&example.id, "the patient asked for it in a demo")?;
    let gone = session.read(example.resource_type, &example.id);
    check(matches!(gone, Err(Error::NotFound(_) | Error::Gone { .. })), "a purged patient is gone")?;
    let history = session.history(example.resource_type, &example.id, &HistoryQuery::default());
    let is_empty = history.is_ok_and(|page| {
        page.entries.iter().all(|entry| entry.body.is_none() && entry.operation == Operation::Purge)
    });
    check(is_empty, "no version of a purged patient is left")?;
    stage.say(&format!(
        "That patient, {} resources with all their history, is gone for good; the trail keeps who did it and why.",
        grouped(purged)
    ))
}

fn erase(stage: &mut Stage, store: Store) -> Result<()> {
    stage.step("Erase")?;
    store.lock()?;
    let started = Instant::now();
    let erasure = store.vault().erase()?;
    let elapsed = started.elapsed();
    drop(store);
    check(erasure.key_file_destroyed && erasure.keychain_reached, "the keys are destroyed")?;
    let again = Vault::open(stage.directory(), stage.vault_config());
    check(matches!(again, Err(VaultError::Erased)), "an erased store cannot be opened")?;
    stage.say(&format!("The keys were destroyed in {}, and with them every copy of the data.", ms(elapsed)))
}
