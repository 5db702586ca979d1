//! The record of one patient as it is written, visit by visit.
//!
//! A [`Chart`] turns what happens (a visit, a test, an order) into linked resources. What happens, and
//! when, is decided by [`crate::life`].
//!
//! Invariant: every reference names a resource of the same chart or of the [`World`].

mod billing;
mod care;
pub(crate) mod measure;
mod note;
mod patient;

use serde_json::{Value, json};

use crate::calendar::{Day, Moment};
use crate::element::{Code, hl7, named_reference, period, reference};
use crate::entry::Entry;
use crate::person::Person;
use crate::random::Random;
use crate::world::{IDENTIFIER_SYSTEM, World};

pub(crate) use care::Problem;
pub(crate) use measure as vitals;

/// Where a visit takes place, as a bill knows it.
#[derive(Debug)]
pub(crate) struct VisitKind {
    pub(crate) code: Code,
    /// Code of v3-ActCode.
    pub(crate) class: &'static str,
    pub(crate) minutes: i64,
    pub(crate) cents: i64,
}

/// A visit under way: what was done is collected for the note and the bill.
#[derive(Debug)]
pub(crate) struct Visit {
    id: String,
    kind: VisitKind,
    pub(crate) start: Moment,
    organization: usize,
    practitioner: usize,
    reason: Option<Problem>,
    lines: Vec<billing::Line>,
    findings: note::Findings,
}

impl Visit {
    fn reference(&self) -> String {
        format!("Encounter/{}", self.id)
    }

    fn end(&self) -> Moment {
        self.start.plus_minutes(self.kind.minutes)
    }
}

/// The record of one patient.
pub(crate) struct Chart<'w> {
    pub(crate) random: Random,
    pub(crate) person: Person,
    world: &'w World,
    today: Day,
    /// Whether the system that keeps this chart declares US Core profiles and writes names into references.
    us_core: bool,
    coverage: String,
    entries: Vec<Entry>,
    /// Names of what the patient has and takes, for the notes.
    history: note::History,
}

impl<'w> Chart<'w> {
    /// Opens the record of a new patient.
    pub(crate) fn new(mut random: Random, world: &'w World, today: Day) -> Self {
        let person = Person::new(&mut random, world, today);
        let us_core = random.chance(60);
        let coverage = random.uuid();
        let mut chart = Self {
            random,
            person,
            world,
            today,
            us_core,
            coverage,
            entries: Vec::new(),
            history: note::History::default(),
        };
        chart.register();
        chart.insure();
        chart
    }

    /// The last day of the record.
    pub(crate) fn last_day(&self) -> Day {
        self.person.death.unwrap_or(self.today)
    }

    /// A working hour of `day` on the clock of the home organization.
    pub(crate) fn hour(&mut self, day: Day) -> Moment {
        let place = self.world.organizations[self.person.home].place;
        // Plain systems keep their times in UTC.
        let offset = if self.us_core { place.offset_minutes } else { 0 };
        day.at(self.random.between(7 * 3600, 19 * 3600), offset)
    }

    /// Adds a resource; `profile` is the last part of its US Core profile, where it has one.
    fn put(&mut self, resource_type: &'static str, id: &str, profile: Option<&str>, elements: Value) {
        let entry = match profile.filter(|_| self.us_core) {
            Some(profile) => Entry::profiled(resource_type, id, profile, elements),
            None => Entry::plain(resource_type, id, elements),
        };
        self.entries.push(entry);
    }

    fn subject(&self) -> Value {
        reference(&format!("Patient/{}", self.person.id))
    }

    fn named_subject(&self) -> Value {
        self.named(&format!("Patient/{}", self.person.id), &self.person.name())
    }

    fn practitioner(&self, visit: &Visit) -> Value {
        let practitioner = &self.world.practitioners[visit.practitioner];
        self.named(&practitioner.reference(), &practitioner.name())
    }

    fn organization(&self, visit: &Visit) -> Value {
        let organization = &self.world.organizations[visit.organization];
        self.named(&organization.reference(), &organization.name)
    }

    fn location(&self, visit: &Visit) -> Value {
        let organization = &self.world.organizations[visit.organization];
        self.named(&organization.location(), &organization.name)
    }

    /// A reference, with the name of its target where the system writes names.
    fn named(&self, target: &str, display: &str) -> Value {
        if self.us_core { named_reference(target, display) } else { reference(target) }
    }

    /// Begins a visit at the home organization, or elsewhere now and then.
    pub(crate) fn open(&mut self, kind: VisitKind, start: Moment, reason: Option<&Problem>) -> Visit {
        let organization = if self.random.chance(85) {
            self.person.home
        } else {
            self.random.index(self.world.organizations.len())
        };
        Visit {
            id: self.random.uuid(),
            kind,
            start,
            organization,
            practitioner: self.world.practitioner_at(&mut self.random, organization),
            reason: reason.cloned(),
            lines: Vec::new(),
            findings: note::Findings::default(),
        }
    }

    /// Ends a visit: writes the encounter, its note and its bill.
    pub(crate) fn close(&mut self, visit: Visit) {
        self.encounter(&visit);
        if self.us_core {
            self.note(&visit);
        }
        self.bill(&visit);
    }

    fn encounter(&mut self, visit: &Visit) {
        let mut encounter = json!({});
        let when = period(visit.start, visit.end());
        if self.us_core {
            encounter["identifier"] =
                json!([{"use": "official", "system": IDENTIFIER_SYSTEM, "value": visit.id}]);
        }
        encounter["status"] = "finished".into();
        encounter["class"] = hl7("v3-ActCode", visit.kind.class)["coding"][0].take();
        encounter["type"] = json!([visit.kind.code.concept()]);
        encounter["subject"] = self.named_subject();
        let individual = self.practitioner(visit);
        encounter["participant"] = if self.us_core {
            json!([{
                "type": [{
                    "coding": [{
                        "system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType",
                        "code": "PPRF",
                        "display": "primary performer",
                    }],
                    "text": "primary performer",
                }],
                "period": when.clone(),
                "individual": individual,
            }])
        } else {
            json!([{"individual": individual}])
        };
        encounter["period"] = when;
        if let Some(reason) = &visit.reason {
            encounter["reasonCode"] = json!([{"coding": [reason.code.coding()]}]);
        }
        if visit.kind.class == "IMP" {
            encounter["hospitalization"] = json!({"dischargeDisposition": {"coding": [{
                "system": "http://www.nubc.org/patient-discharge", "code": "01", "display": "Discharged to home care or self care (routine discharge)",
            }], "text": "Discharged to home care or self care (routine discharge)"}});
        }
        if self.us_core {
            encounter["location"] = json!([{"location": self.location(visit)}]);
        }
        encounter["serviceProvider"] = self.organization(visit);
        self.put("Encounter", &visit.id, Some("us-core-encounter"), encounter);
    }

    /// Closes the record.
    pub(crate) fn finish(mut self) -> Vec<Entry> {
        self.provenance();
        self.entries
    }
}
