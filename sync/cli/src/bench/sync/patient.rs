//! One patient among many devices: how soon a device that is given a patient has them, and how soon many that hold the
//! same one know of a change.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use keepwell_client::Error;
use keepwell_protocol::{
    Cursor, DICTIONARY, Dictionary, Encoding, Endpoint, Grant, Hydration, Incarnation, Part, Position,
    PullEnd, PullHead, PullItem, PullReply, PullRequest, Reader, RequestId, ScopeSet, Sequence, VERSION_MAX,
    limits::{PULL_BYTES, PULL_ROWS},
    to_bytes,
};
use keepwell_store::Precondition;
use serde_json::{Value, json};

use super::line::{Enrolled, Line};
use super::{Bytes, Device, PATIENCE, USER, kind, percentile};
use crate::exit::{Failure, Result};
use crate::local_server::LocalServer;

/// Resources of the patient, itself among them.
const RESOURCES: usize = 300;
/// The user who is given the patient while the device waits.
const GIVEN: &str = "given";
/// Enrolled devices behind the connections of a fan-out. What a connection costs does not depend on whose it is.
const DEVICES: usize = 10;
/// Stack of a thread that holds two connections, in bytes.
const STACK_BYTES: usize = 256 << 10;
/// How long connections get to stand still before the change.
const REST: Duration = Duration::from_secs(1);

/// What was measured of the patient.
pub(super) struct Told {
    /// From the grant until all resources can be searched on the device.
    pub(super) first_ms: f64,
    /// Bytes of that, both ways, without heads of HTTP.
    pub(super) first_bytes: f64,
    /// From a change until nineteen of twenty connections have its hint.
    pub(super) hint_p95_ms: f64,
    /// From a change until all of them have pulled it.
    pub(super) pulled_ms: f64,
}

/// A server with one patient, of whom what is known is like what `bodies` say of theirs.
pub(super) fn patient(place: &Path, bodies: &[Vec<u8>], connections: usize) -> Result<Told> {
    let place = place.join("patient");
    let server = LocalServer::start(&place.join("server"))?;
    let mut lines = vec![the_patient("1980-01-01")];
    lines.extend(bodies.iter().filter_map(|body| of_the_patient(body)).take(RESOURCES - 1));
    if lines.len() < RESOURCES {
        return Err(Failure::NotHeld("there are resources of patients among the data"));
    }
    server.fill(lines.join("\n").as_bytes())?;
    server.grant(USER, "Patient/one")?;
    let (first_ms, first_bytes) = first(&server, &place)?;
    let (hint_p95_ms, pulled_ms) = fan_out(&server, &place, connections)?;
    Ok(Told { first_ms, first_bytes, hint_p95_ms, pulled_ms })
}

fn the_patient(born: &str) -> String {
    json!({ "resourceType": "Patient", "id": "one", "birthDate": born }).to_string()
}

/// The same about the patient here; none if it is about nobody.
fn of_the_patient(body: &[u8]) -> Option<String> {
    let mut body: Value = serde_json::from_slice(body).ok()?;
    let subject = body.pointer_mut("/subject/reference")?;
    subject.as_str()?.starts_with("Patient/").then(|| *subject = json!("Patient/one"))?;
    Some(body.to_string())
}

/// A device that syncs by itself is given the patient.
fn first(server: &LocalServer, place: &Path) -> Result<(f64, f64)> {
    let device = Device::enrolled(&place.join("device"), &server.invite(GIVEN)?)?;
    device.sync()?;
    let syncing = device.client.start()?;
    std::thread::sleep(REST);
    let feed = device.store.observe();
    let before = syncing.report();
    let started = Instant::now();
    server.grant(GIVEN, "Patient/one")?;
    let mut seen = HashSet::new();
    while seen.len() < RESOURCES {
        let left = PATIENCE.saturating_sub(started.elapsed());
        let changes = feed.next(left)?.ok_or(Failure::NotHeld("a patient who is given comes"))?;
        seen.extend(changes.iter().map(|change| change.id().to_owned()));
    }
    let found = device.session()?.search("Observation?patient=Patient/one&_count=1")?.entries.len();
    let ms = started.elapsed().as_secs_f64() * 1e3;
    if found != 1 {
        return Err(Failure::NotHeld("what is known of a patient who is given can be searched"));
    }
    // Its last round ends a moment later.
    std::thread::sleep(REST);
    let bytes = Bytes::between(&before, &syncing.report()).bodies;
    syncing.stop()?;
    Ok((ms, bytes))
}

/// Connections that wait for hints, each with another one to pull on, while one resource is changed.
fn fan_out(server: &LocalServer, place: &Path, connections: usize) -> Result<(f64, f64)> {
    let devices = (0..DEVICES)
        .map(|number| Enrolled::new(&place.join(format!("listener-{number}")), &server.invite(USER)?))
        .collect::<Result<Vec<_>>>()?;
    let device = Device::enrolled(&place.join("writer"), &server.invite(USER)?)?;
    device.sync()?;
    let known = &Known::ask(&devices[0])?;
    let listeners = (0..connections).map(|number| Listener::open(&devices[number % DEVICES], known));
    let listeners = listeners.collect::<Result<Vec<_>>>()?;
    let ready = &Barrier::new(connections + 1);
    std::thread::scope(|scope| {
        let mut threads = Vec::with_capacity(connections);
        for mut listener in listeners {
            let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
            let thread = thread.spawn_scoped(scope, move || {
                ready.wait();
                listener.hear(known)
            });
            threads.push(thread.expect("a process may have a thread for each connection"));
        }
        std::thread::sleep(REST);
        ready.wait();
        let session = device.session()?;
        session.update(kind("Patient")?, "one", the_patient("1981-01-01").as_bytes(), Precondition::None)?;
        let started = Instant::now();
        device.sync()?;
        let (mut hints, mut pulled) = (Vec::with_capacity(connections), 0.0_f64);
        for thread in threads {
            let heard = thread.join().expect("a thread that listens does not panic")?;
            let ms = |at: Instant| at.duration_since(started).as_secs_f64() * 1e3;
            hints.push(ms(heard.hint));
            pulled = pulled.max(ms(heard.pulled));
        }
        Ok((percentile(&hints, 95), pulled))
    })
}

/// What all listeners know before the change.
struct Known {
    grants: Vec<Grant>,
    cursor: Cursor,
}

impl Known {
    /// How many rows are new.
    fn pull(&self, line: &mut Line) -> Result<usize> {
        let (_, rows, _) = pull(line, Some(self.cursor), ScopeSet::of(&self.grants), Vec::new())?;
        Ok(rows)
    }

    /// Fetches the patient as a new device would: what is granted, then all of it.
    fn ask(device: &Enrolled) -> Result<Self> {
        let mut line = device.connect()?;
        let (head, ..) = pull(&mut line, None, ScopeSet::of([]), Vec::new())?;
        let grants = head.grants.ok_or(Failure::NotHeld("a device hears what it is granted"))?;
        let from_the_start = |grant: &Grant| Hydration(grant.0.clone(), grant.1, Position::ZERO);
        let hydrating = grants.iter().map(from_the_start).collect();
        let (head, rows, end) = pull(&mut line, None, ScopeSet::of([]), hydrating)?;
        if rows != RESOURCES || end.more {
            return Err(Failure::NotHeld("a page holds the patient"));
        }
        Ok(Self { grants, cursor: Cursor::new(head.epoch, end.upto) })
    }
}

/// A connection that waits for hints, and another one to pull on.
struct Listener {
    hints: Line,
    pulls: Line,
}

/// When a listener had what.
struct Heard {
    hint: Instant,
    pulled: Instant,
}

impl Listener {
    fn open(device: &Enrolled, known: &Known) -> Result<Self> {
        let (mut hints, mut pulls) = (device.connect()?, device.connect()?);
        hints.listen()?;
        known.pull(&mut pulls)?;
        Ok(Self { hints, pulls })
    }

    fn hear(&mut self, known: &Known) -> Result<Heard> {
        while self.hints.hint()?.clock <= known.cursor.position() {}
        let hint = Instant::now();
        match known.pull(&mut self.pulls)? {
            1 => Ok(Heard { hint, pulled: Instant::now() }),
            _ => Err(Failure::NotHeld("a hint comes when what it is about can be pulled")),
        }
    }
}

/// Asks for a page: its head, how many rows it has, its end.
fn pull(
    line: &mut Line,
    cursor: Option<Cursor>,
    scopes: ScopeSet,
    hydrating: Vec<Hydration>,
) -> Result<(PullHead, usize, PullEnd)> {
    let request = PullRequest {
        v: VERSION_MAX,
        incarnation: Incarnation::new(1),
        req: RequestId::new(1),
        cursor,
        scopes,
        hydrating,
        rows: PULL_ROWS,
        bytes: PULL_BYTES,
        wait_ms: 0,
        ack: Sequence::ZERO,
        whole: false,
    };
    let dictionary = Dictionary::built_in();
    let headers = format!("{DICTIONARY}: {}\r\n", dictionary.id());
    let answer = line.post(&Endpoint::Pull, &headers, &to_bytes(&request))?;
    let mut reader = Reader::<PullReply>::new(&Encoding::Dictionary(dictionary));
    let (mut head, mut rows, mut end, mut input) = (None, 0, None, &answer[..]);
    while let Some(part) = reader.next(&mut input).map_err(Error::from)? {
        match part {
            Part::Head(told) => head = Some(told),
            Part::Item(PullItem::Row(_) | PullItem::Delta(_)) => rows += 1,
            Part::Item(PullItem::Outcome(_)) => {}
            Part::End(told) => end = Some(told),
        }
    }
    let (head, end) = head.zip(end).ok_or(Failure::NotHeld("a page has a head and an end"))?;
    Ok((head, rows, end))
}
