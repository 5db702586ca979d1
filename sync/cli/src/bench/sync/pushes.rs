//! How many mutations a second the server takes: two devices that push at once, each a batch when the answer to the last
//! one is here.

use std::path::Path;
use std::time::Instant;

use keepwell_client::Error;
use keepwell_protocol::{
    Body, DICTIONARY, Dictionary, Encoding, Endpoint, Frozen, Incarnation, Mutation, Operation, Outcome,
    Part, Payload, PushEnd, PushHead, PushReply, PushRequest, Reader, Sequence, VERSION_MAX, Version, Writer,
};
use serde_json::{Value, json};

use super::line::{Enrolled, Line};
use super::{USER, World};
use crate::exit::{Failure, Result};

/// Devices that push at once.
const DEVICES: usize = 2;
/// Pushes of each.
const PUSHES: usize = 150;
/// Mutations of a push.
const BATCH: usize = 20;

/// Creates observations like those among `bodies`.
pub(super) fn pushes(world: &World, place: &Path, bodies: &[Vec<u8>]) -> Result<f64> {
    let likes: Vec<Value> = bodies
        .iter()
        .filter_map(|body| serde_json::from_slice(body).ok())
        .filter(|body: &Value| body["resourceType"] == "Observation")
        .take(BATCH * PUSHES)
        .collect();
    if likes.is_empty() {
        return Err(Failure::NotHeld("there are observations among the data"));
    }
    let mut devices = Vec::new();
    for device in 0..DEVICES {
        let folder = place.join(format!("pusher-{device}"));
        let line = Enrolled::new(&folder, &world.server.invite(USER)?)?.connect()?;
        devices.push((line, requests(&likes, device)?));
    }
    let started = Instant::now();
    let done: Result<Vec<()>> = std::thread::scope(|scope| {
        let threads: Vec<_> = devices
            .iter_mut()
            .map(|(line, requests)| scope.spawn(|| requests.iter().try_for_each(|bytes| push(line, bytes))))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("a thread that pushes does not panic"))
            .collect()
    });
    done?;
    Ok((DEVICES * PUSHES * BATCH) as f64 / started.elapsed().as_secs_f64())
}

/// The pushes of a device, ready to be sent.
fn requests(likes: &[Value], device: usize) -> Result<Vec<Vec<u8>>> {
    let encoding = Encoding::Dictionary(Dictionary::built_in());
    let mut requests = Vec::with_capacity(PUSHES);
    for push in 0..PUSHES {
        let before = number((push * BATCH) as u64)?;
        let head = PushHead { v: VERSION_MAX, incarnation: Incarnation::new(1), epoch: None, ack: before };
        let mut writer = Writer::<PushRequest>::new(&encoding, &head);
        for place in push * BATCH..(push + 1) * BATCH {
            let mut body = likes[place % likes.len()].clone();
            body["id"] = json!(format!("pushed-{device}-{place}"));
            let body = Body::new(body.to_string()).map_err(Error::from)?;
            let mutation = Mutation {
                sequence: number(place as u64 + 1)?,
                operation: Operation::Create,
                key: body.key().map_err(Error::from)?,
                base: Version::ZERO,
                at: None,
                why: None,
                group: None,
                payload: Payload::Body(body),
                merge: None,
            };
            writer.item(&Frozen::freeze(mutation).map_err(Error::from)?);
        }
        requests.push(writer.finish(PushEnd { n: BATCH as u64 }));
    }
    Ok(requests)
}

fn number(number: u64) -> Result<Sequence> {
    Sequence::new(number).ok_or(Failure::NotHeld("numbers of a bench are small"))
}

fn push(line: &mut Line, request: &[u8]) -> Result<()> {
    let dictionary = Dictionary::built_in();
    let headers = format!("content-encoding: zstd\r\n{DICTIONARY}: {}\r\n", dictionary.id());
    let answer = line.post(&Endpoint::Push, &headers, request)?;
    let mut reader = Reader::<PushReply>::new(&Encoding::Dictionary(dictionary));
    let (mut applied, mut input) = (0, &answer[..]);
    while let Some(part) = reader.next(&mut input).map_err(Error::from)? {
        if let Part::Item(settlement) = part {
            applied += usize::from(matches!(settlement.outcome, Outcome::Applied { .. }));
        }
    }
    if applied == BATCH { Ok(()) } else { Err(Failure::NotHeld("the server applies what is pushed")) }
}
