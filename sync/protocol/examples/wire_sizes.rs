//! How many bytes resources take on the wire, initially and after an edit.
//!
//! ```text
//! cargo run --release -p keepwell-protocol --example wire_sizes -- FILE..
//! ```
//!
//! Each FILE is NDJSON, plain or zstd, of Bundles or of resources. Bundles are taken apart and their resources written
//! without blanks, as clients do. Each page is read back, with the time that takes.
#![allow(clippy::print_stdout, reason = "an example talks to its user")]

use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::time::{Duration, Instant};

use keepwell_protocol::{
    Body, Delta, Dictionary, Encoding, Epoch, Frozen, Incarnation, Mutation, Operation, Part, Payload,
    Position, PullEnd, PullHead, PullItem, PullReply, PushEnd, PushHead, PushRequest, Reader, RequestId, Row,
    RowState, Scope, Sequence, Version, Writer,
};
use serde_json::Value;

/// What a socket gives at once.
const CHUNK_BYTES: usize = 16 << 10;

fn main() -> Result<(), Box<dyn Error>> {
    let mut bodies = Vec::new();
    for path in std::env::args().skip(1) {
        let file = File::open(&path)?;
        let plain: Box<dyn Read> =
            if path.ends_with(".zst") { Box::new(zstd::Decoder::new(file)?) } else { Box::new(file) };
        for line in BufReader::new(plain).lines() {
            collect(serde_json::from_str(&line?)?, &mut bodies);
        }
    }
    let bytes: usize = bodies.iter().map(|body| body.as_bytes().len()).sum();
    println!("{} resources, {} bytes each", bodies.len(), bytes / bodies.len().max(1));
    let encodings = [("plain", Encoding::Zstd), ("dictionary", Encoding::Dictionary(Dictionary::built_in()))];
    for rows in [1, 50, 500, 2_000, 5_000] {
        for (name, encoding) in &encodings {
            let (size, time) = pages(&bodies, rows, encoding)?;
            let per = |number: f64| number / bodies.len() as f64;
            println!(
                "page of {rows:>5}, {name:>10}: {:>6.1} bytes a resource down, read in {:>5.1} us",
                per(size as f64),
                per(time.as_micros() as f64),
            );
        }
    }
    edits(&bodies, &encodings[1].1)
}

fn collect(mut value: Value, bodies: &mut Vec<Body>) {
    if let Some(entries) = value.get_mut("entry").and_then(Value::as_array_mut) {
        for entry in entries {
            collect(entry["resource"].take(), bodies);
        }
    } else if let Ok(body) = Body::new(value.to_string()) {
        // What travels has an id.
        if body.key().is_ok() {
            bodies.push(body);
        }
    }
}

fn row(number: usize, body: &Body) -> Result<PullItem, Box<dyn Error>> {
    Ok(PullItem::Row(Row {
        position: Position::new(184_000 + number as u64).ok_or("too many")?,
        scope: scope(body)?,
        key: body.key()?,
        version: Version::new(1).ok_or("small")?,
        at: None,
        state: RowState::In(body.clone()),
    }))
}

/// The compartment of the patient that the body refers to, or a made-up one.
fn scope(body: &Body) -> Result<Scope, Box<dyn Error>> {
    let text = std::str::from_utf8(body.as_bytes())?;
    let patient =
        ["\"subject\":{\"reference\":\"", "\"patient\":{\"reference\":\""].iter().find_map(|mark| {
            let target = text.split(mark).nth(1)?.split('"').next()?;
            target.strip_prefix("Patient/").or_else(|| target.strip_prefix("urn:uuid:"))
        });
    Ok(Scope::patient(&patient.unwrap_or("69176529-fd1f-3b3f-abce-a0a3626769eb").parse()?))
}

fn page(encoding: &Encoding, items: &[PullItem]) -> Vec<u8> {
    let head = PullHead {
        req: RequestId::new(1),
        epoch: Epoch::new(2),
        clock: Position::ZERO,
        last_seq: Sequence::ZERO,
        grants: None,
    };
    let mut writer = Writer::<PullReply>::new(encoding, &head);
    items.iter().for_each(|item| writer.item(item));
    let n = items.len() as u64;
    writer.finish(PullEnd { n, upto: Position::ZERO, more: false, digests: Vec::new(), next_ms: 30_000 })
}

fn pages(bodies: &[Body], rows: usize, encoding: &Encoding) -> Result<(usize, Duration), Box<dyn Error>> {
    let (mut size, mut time) = (0, Duration::ZERO);
    for (number, bodies) in bodies.chunks(rows).enumerate() {
        let items: Vec<_> =
            bodies.iter().zip(number * rows..).map(|(body, at)| row(at, body)).collect::<Result<_, _>>()?;
        let bytes = page(encoding, &items);
        size += bytes.len();
        let start = Instant::now();
        let mut reader = Reader::<PullReply>::new(encoding);
        let mut read = 0;
        for mut piece in bytes.chunks(CHUNK_BYTES) {
            while let Some(part) = reader.next(&mut piece)? {
                read += usize::from(matches!(part, Part::Item(_)));
            }
        }
        reader.finish()?;
        time += start.elapsed();
        assert_eq!(read, bodies.len());
    }
    Ok((size, time))
}

/// One field of each hundredth resource is edited, pushed alone as a delta, and pulled alone.
fn edits(bodies: &[Body], encoding: &Encoding) -> Result<(), Box<dyn Error>> {
    let (mut up, mut down, mut edits) = (0, 0, 0);
    for (number, body) in bodies.iter().step_by(100).enumerate() {
        let mut value: Value = serde_json::from_slice(body.as_bytes())?;
        value["language"] = "de-AT".into();
        let edited = Body::new(value.to_string())?;
        let mutation = Mutation {
            sequence: Sequence::new(number as u64 + 1).ok_or("too many")?,
            operation: Operation::Update,
            key: body.key()?,
            base: Version::new(7).ok_or("small")?,
            at: keepwell_fhir::Instant::parse("2026-11-22T12:00:00.123Z"),
            why: None,
            group: None,
            payload: Payload::Delta(Delta::new(body.as_bytes(), edited.as_bytes())),
            merge: None,
        };
        let head = PushHead { v: 1, incarnation: Incarnation::new(5), epoch: None, ack: Sequence::ZERO };
        let mut writer = Writer::<PushRequest>::new(encoding, &head);
        writer.item(&Frozen::freeze(mutation)?);
        up += writer.finish(PushEnd { n: 1 }).len();
        down += page(encoding, &[row(number, &edited)?]).len();
        edits += 1;
    }
    println!("one edited field: {} bytes up as a delta, {} bytes down", up / edits, down / edits);
    Ok(())
}
