//! Two backends are given the same random script, and must give the same answers.

use keepwell_fhir::Instant;
use keepwell_protocol::{
    Body, Epoch, Frozen, Hydration, Incarnation, Operation, Outcome, Payload, PullRequest, Row, RowState,
    ScopeSet,
};

use super::kit::*;
use crate::Retention;
use crate::access::Access;
use crate::backend::Backend;

/// Drives both backends, which are empty tenants called `clinic` of the same epoch, through `steps` random steps, and
/// compares all they say; but for times, since a store has its own clock.
///
/// # Panics
/// At the first step after which they differ, which it names.
pub fn same_answers(one: &dyn Backend, other: &dyn Backend, seed: u64, steps: u32) {
    let mut random = Random(seed);
    let mut sides = [Side::new(one), Side::new(other)];
    for step in 0..steps {
        let draw = random;
        let told = sides.each_mut().map(|side| {
            random = draw;
            side.step(&mut random)
        });
        assert_eq!(told[0], told[1], "seed {seed}, step {step}");
    }
}

/// SplitMix64: the same script for the same seed.
#[derive(Clone, Copy)]
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

const DEVICES: [(&str, &str); 3] = [("d1", "u1"), ("d2", "u1"), ("d3", "u2")];

struct Side<'b> {
    backend: &'b dyn Backend,
    tablets: Vec<Tablet<'b>>,
    /// How far each device has read.
    cursors: Vec<u64>,
}

impl<'b> Side<'b> {
    fn new(backend: &'b dyn Backend) -> Self {
        let tablets = DEVICES.map(|(device, user)| tablet(backend, device, user, &["Patient/1"]));
        Self { backend, tablets: tablets.into(), cursors: vec![0; DEVICES.len()] }
    }

    fn step(&mut self, random: &mut Random) -> String {
        match random.below(20) {
            0..7 => self.push(random),
            7..12 => self.pull(random),
            12..15 => {
                let body = content(random);
                format!("{:?}", self.backend.put(&body, NOON))
            }
            15 => {
                let key = key(&format!("Flag/f{}", random.below(6)));
                format!("{:?}", self.backend.delete(&key, NOON))
            }
            16 | 17 => self.access(random),
            18 => {
                let far = Instant::from_ms(i64::MAX / 2);
                let retention = Retention { made_before: far, seen_since: far };
                format!("{:?}", self.backend.collect(&retention, NOON))
            }
            _ if random.below(4) == 0 => {
                format!("{:?}", self.backend.new_epoch(Epoch::new(random.below(1_000))))
            }
            _ => {
                let archived = self.backend.archived(0).expect("the archive").into_iter();
                let brief =
                    |record: crate::Archived| (record.cid, record.kind, record.mine.map(Body::into_bytes));
                format!("{:?} {:?}", archived.map(brief).collect::<Vec<_>>(), self.backend.horizon())
            }
        }
    }

    fn push(&mut self, random: &mut Random) -> String {
        let place = usize::try_from(random.below(DEVICES.len() as u64)).expect("it fits");
        let tablet = &mut self.tablets[place];
        let before = tablet.next;
        let count = 1 + random.below(3);
        let group = (random.below(3) == 0).then_some(1);
        let mutations: Vec<Frozen> = (0..count).map(|_| mutation(tablet, group, random)).collect();
        let pushed = tablet.try_push(random.below(before), &mutations);
        if random.below(5) == 0 {
            // The answer is lost: the same comes again.
            return format!("{} {}", told(&pushed), told(&tablet.try_push(0, &mutations)));
        }
        told(&pushed)
    }

    fn pull(&mut self, random: &mut Random) -> String {
        let place = usize::try_from(random.below(DEVICES.len() as u64)).expect("it fits");
        let (tablet, from) = (&self.tablets[place], self.cursors[place]);
        let rows = [1, 3, 5_000][usize::try_from(random.below(3)).expect("it fits")];
        let mut request = PullRequest { rows, ..tablet.request(from) };
        if random.below(4) == 0 {
            let mut grants = tablet.grants();
            let drawn = usize::try_from(random.below(grants.len() as u64)).expect("it fits");
            let grant = grants.remove(drawn);
            let own = position(random.below(from + 1));
            request = PullRequest {
                scopes: ScopeSet::of(&grants),
                hydrating: vec![Hydration(grant.0, grant.1, own)],
                ..request
            };
        }
        match tablet.try_pull(&request) {
            Ok(page) => {
                self.cursors[place] = page.end.upto.get();
                let rows: Vec<Row> = page.rows.into_iter().map(|row| Row { at: None, ..row }).collect();
                let bodies: Vec<_> = rows.iter().map(text).collect();
                let outcomes: Vec<_> = page.outcomes.iter().map(|told| brief(&told.outcome)).collect();
                format!("{:?} {outcomes:?} {rows:?} {bodies:?} {:?}", page.head, page.end)
            }
            Err(error) => {
                self.cursors[place] = 0;
                format!("{error:?}")
            }
        }
    }

    fn access(&mut self, random: &mut Random) -> String {
        let (user, patient) = (id(&format!("u{}", 1 + random.below(2))), random.below(4));
        let scope = scope(&format!("Patient/{patient}"));
        let done = match random.below(5) {
            0 => self.backend.revoke(&user, &scope),
            1 => self.backend.grant(&user, &scope, Access::Read),
            2 => self.backend.grant(&user, &scope, Access::Write),
            3 => {
                let subject =
                    if random.below(2) == 0 { format!("Patient/{patient}") } else { "Group/g".to_owned() };
                let team = body(&format!(
                    r#"{{"resourceType":"CareTeam","id":"t","status":"active","subject":{{"reference":"{subject}"}},"participant":[{{"member":{{"reference":"Practitioner/{user}"}}}}]}}"#
                ));
                self.backend.put(&team, NOON).map(|_| ())
            }
            _ => {
                let group = body(&format!(
                    r#"{{"resourceType":"Group","id":"g","type":"person","actual":true,"member":[{{"entity":{{"reference":"Patient/{patient}"}}}}]}}"#
                ));
                self.backend.put(&group, NOON).map(|_| ())
            }
        };
        format!("{done:?} {:?}", self.backend.grants(&user).expect("grants"))
    }
}

fn content(random: &mut Random) -> Body {
    let (name, patient, text) = (random.below(6), random.below(4), random.below(3));
    flag(&format!("f{name}"), &patient.to_string(), &format!("text {text}"))
}

fn mutation(tablet: &mut Tablet<'_>, group: Option<u64>, random: &mut Random) -> Frozen {
    let body = content(random);
    let key = body.key().expect("a key").to_string();
    let base = 1 + random.below(4);
    match random.below(8) {
        0 | 1 => tablet.freeze_in(group, Operation::Create, 0, Payload::Body(body), &key),
        2 => tablet.freeze_in(group, Operation::Delete, base, Payload::Nothing, &key),
        3 => tablet.freeze_in(group, Operation::Recreate, base, Payload::Body(body), &key),
        4 => {
            // Another life of the device.
            tablet.incarnation = Incarnation::new(tablet.incarnation.bits() + u64::from(group.is_none()));
            tablet.next = if group.is_none() { 1 } else { tablet.next };
            tablet.freeze_in(group, Operation::Update, base, Payload::Body(body), &key)
        }
        5 if group.is_none() => tablet.joined(base, &body),
        _ => tablet.freeze_in(group, Operation::Update, base, Payload::Body(body), &key),
    }
}

fn text(row: &Row) -> Option<Vec<u8>> {
    if let RowState::In(body) = &row.state { Some(body.as_bytes().to_vec()) } else { None }
}

fn told(pushed: &Result<crate::Pushed, crate::Error>) -> String {
    match pushed {
        Ok(pushed) => {
            let outcome = |outcome: &Outcome| {
                let position =
                    if let Outcome::Applied { position, .. } = outcome { position.get() } else { 0 };
                format!("{} {position}", brief(outcome))
            };
            let told: Vec<_> =
                pushed.settlements.iter().map(|told| (told.sequence, outcome(&told.outcome))).collect();
            format!("{:?} {told:?}", pushed.head)
        }
        Err(error) => format!("{error:?}"),
    }
}
