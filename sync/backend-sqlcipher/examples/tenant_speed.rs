//! How fast a tenant takes pushes and gives pages, encrypted, with search index, history and audit trail:
//! `cargo run --release -p keepwell-backend-sqlcipher --example tenant_speed -- [mutations]`

#![allow(clippy::print_stdout, reason = "it is a program that reports")]

use std::error::Error;
use std::sync::Arc;
use std::time::Instant as Watch;

use keepwell_backend::{Access, Backend, Redeemed};
use keepwell_backend_sqlcipher::SqlcipherBackend;
use keepwell_backend_sqlcipher::store::StoreOptions;
use keepwell_backend_sqlcipher::store::fhir::Instant;
use keepwell_backend_sqlcipher::store::vault::MemoryKeychain;
use keepwell_protocol::{
    Body, Cursor, Dictionary, Encoding, Epoch, Frozen, Grant, Hash, Id, Incarnation, Mutation, Operation,
    Part, Payload, PullReply, PullRequest, PushHead, RequestId, ScopeSet, Sequence, Version, Writer,
};

/// Mutations of a push, as the goals have it.
const BATCH: usize = 20;
/// Patients that the mutations are about.
const PATIENTS: usize = 50;

fn main() -> Result<(), Box<dyn Error>> {
    let mutations = std::env::args().nth(1).map_or(Ok(20_000), |text| text.parse::<usize>())?;
    let home = std::env::temp_dir().join(format!("keepwell-tenant-speed-{}", std::process::id()));
    let options = StoreOptions::new("server", "speed", Some(Arc::new(MemoryKeychain::new())));
    let clinic = SqlcipherBackend::create(&home, "clinic".parse()?, Epoch::new(1), options, None)?;
    let (device, user): (Id, Id) = ("d1".parse()?, "u1".parse()?);
    let now = Instant::from_ms(1_800_000_000_000);
    enrol(&clinic, &device, &user, now)?;
    for patient in 0..PATIENTS {
        clinic.grant(&user, &format!("Patient/{patient}").parse()?, Access::Write)?;
    }

    let lines: Vec<Frozen> = (0..mutations).map(observation).collect::<Result<_, _>>()?;
    let bytes: usize = lines.iter().map(|line| line.line().len()).sum();
    let watch = Watch::now();
    for batch in lines.chunks(BATCH) {
        let ack = Sequence::new(batch[0].mutation().sequence.get() - 1).ok_or("a small number")?;
        let head = PushHead { v: 1, incarnation: Incarnation::new(1), epoch: None, ack };
        let pushed = clinic.push(&device, &head, batch, now)?;
        assert_eq!(pushed.settlements.len(), batch.len());
    }
    let pushing = watch.elapsed().as_secs_f64();
    println!(
        "{{\"mutations\":{mutations},\"mean_bytes\":{},\"mutations_per_s\":{:.0}}}",
        bytes / mutations,
        mutations as f64 / pushing
    );

    for (name, encoding) in
        [("identity", Encoding::Identity), ("zstd", Encoding::Dictionary(Dictionary::built_in()))]
    {
        let watch = Watch::now();
        let (rows, bytes) = pull_all(&clinic, &device, &user, &encoding, now)?;
        let pulling = watch.elapsed().as_secs_f64();
        println!(
            "{{\"encoding\":\"{name}\",\"rows\":{rows},\"bytes_per_row\":{:.1},\"rows_per_s\":{:.0}}}",
            bytes as f64 / rows as f64,
            rows as f64 / pulling
        );
    }
    clinic.store().vault().erase()?;
    std::fs::remove_dir_all(&home)?;
    Ok(())
}

fn enrol(clinic: &SqlcipherBackend, device: &Id, user: &Id, now: Instant) -> Result<(), Box<dyn Error>> {
    let code = Hash::of(b"code");
    clinic.keep_invitation(&code, b"open")?;
    let mut redeem = |_: &[u8]| {
        Ok(Redeemed {
            record: Vec::new(),
            device: device.clone(),
            user: user.clone(),
            name: String::new(),
            key: Hash::of(b"key"),
            serial: String::new(),
            lease_key: None,
        })
    };
    clinic.enrol(&code, &mut redeem, now)?;
    Ok(())
}

/// An Observation as records have them: codes, references, a quantity with components.
fn observation(number: usize) -> Result<Frozen, Box<dyn Error>> {
    let (patient, value) = (number % PATIENTS, number * 7_919 % 1_000);
    let body = Body::new(format!(
        r#"{{"resourceType":"Observation","id":"0190c3d2-7a4e-7000-8000-{number:012x}","meta":{{"profile":["http://hl7.org/fhir/StructureDefinition/bp"]}},"identifier":[{{"system":"urn:oid:2.16.840.1.113883","value":"obs-{number}"}}],"status":"final","category":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs","display":"Vital signs"}}]}}],"code":{{"coding":[{{"system":"http://loinc.org","code":"85354-9","display":"Blood pressure panel"}}],"text":"Blood pressure"}},"subject":{{"reference":"Patient/{patient}"}},"encounter":{{"reference":"Encounter/e{patient}"}},"effectiveDateTime":"2026-11-{:02}T08:{:02}:00Z","issued":"2026-11-22T08:00:00.000Z","performer":[{{"reference":"Practitioner/u1"}}],"component":[{{"code":{{"coding":[{{"system":"http://loinc.org","code":"8480-6","display":"Systolic"}}]}},"valueQuantity":{{"value":{}.{},"unit":"mm[Hg]","system":"http://unitsofmeasure.org","code":"mm[Hg]"}}}},{{"code":{{"coding":[{{"system":"http://loinc.org","code":"8462-4","display":"Diastolic"}}]}},"valueQuantity":{{"value":{},"unit":"mm[Hg]","system":"http://unitsofmeasure.org","code":"mm[Hg]"}}}}]}}"#,
        1 + number % 28,
        number % 60,
        100 + value % 60,
        value % 10,
        60 + value % 30,
    ))?;
    Ok(Frozen::freeze(Mutation {
        sequence: Sequence::new(number as u64 + 1).ok_or("a small number")?,
        operation: Operation::Create,
        key: body.key()?,
        base: Version::ZERO,
        at: None,
        why: None,
        group: None,
        payload: Payload::Body(body),
        merge: None,
    })?)
}

/// Pulls everything page by page, to encoded bytes: rows and bytes.
fn pull_all(
    clinic: &SqlcipherBackend,
    device: &Id,
    user: &Id,
    encoding: &Encoding,
    now: Instant,
) -> Result<(u64, usize), Box<dyn Error>> {
    let held = clinic.grants(user)?;
    let grants: Vec<Grant> = held.into_iter().map(|held| Grant(held.scope, held.generation)).collect();
    let (mut cursor, mut rows, mut bytes) = (None, 0, 0);
    loop {
        let request = PullRequest {
            v: 1,
            // Another device would get bodies too, not "own".
            incarnation: Incarnation::new(2),
            req: RequestId::new(1),
            cursor,
            scopes: ScopeSet::of(&grants),
            hydrating: Vec::new(),
            rows: 5_000,
            bytes: 8 << 20,
            wait_ms: 0,
            ack: Sequence::ZERO,
            whole: false,
        };
        let (mut writer, mut end, mut epoch) = (None, None, None);
        clinic.pull(device, &request, now, &mut |part| match part {
            Part::Head(head) => {
                epoch = Some(head.epoch);
                writer = Some(Writer::<PullReply>::new(encoding, &head));
            }
            Part::Item(item) => {
                if let Some(writer) = &mut writer {
                    writer.item(&item);
                }
            }
            Part::End(found) => end = Some(found),
        })?;
        let (writer, end, epoch) = (writer.ok_or("no head")?, end.ok_or("no end")?, epoch.ok_or("no head")?);
        rows += end.n;
        cursor = Some(Cursor::new(epoch, end.upto));
        let more = end.more;
        bytes += writer.finish(end).len();
        if !more {
            return Ok((rows, bytes));
        }
    }
}
