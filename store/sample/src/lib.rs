#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod calendar;
mod catalogue;
mod chart;
mod element;
mod entry;
mod life;
mod person;
mod random;
mod world;

use calendar::Day;
use entry::{Entry, transaction};
use world::World;

/// A set of synthetic records that is decided by a seed and a day.
#[derive(Debug)]
pub struct Sample {
    seed: u64,
    today: Day,
    world: World,
}

impl Sample {
    /// The records of `seed` as they stand on `today` (year, month 1-12, day 1-31): nothing in them is later.
    #[must_use]
    pub fn new(seed: u64, today: (u16, u8, u8)) -> Self {
        let today = Day::of(today.0.into(), today.1.into(), today.2.into());
        Self { seed, today, world: World::new(seed) }
    }

    /// The organizations, locations, practitioners and their roles, as one transaction Bundle.
    ///
    /// Patients refer to them; every patient of a seed shares them.
    #[must_use]
    pub fn providers(&self) -> String {
        transaction(self.world.entries())
    }

    /// `count` patients, each a transaction Bundle with the Patient first and a Provenance last.
    ///
    /// The record of a patient depends on the seed, the day and the patient's number alone, so a longer run
    /// begins with the patients of a shorter one. Records are made one by one, as they are asked for.
    pub fn patients(&self, count: u64) -> impl Iterator<Item = String> {
        (0..count).map(|index| transaction(self.record(index)))
    }

    /// All resources of [`providers`](Self::providers) and [`patients`](Self::patients), one compact JSON text
    /// each: the lines of an NDJSON file.
    pub fn resources(&self, count: u64) -> impl Iterator<Item = String> {
        let patients = (0..count).flat_map(|index| self.record(index));
        self.world.entries().into_iter().chain(patients).map(Entry::into_json)
    }

    fn record(&self, index: u64) -> Vec<Entry> {
        life::record(self.seed, index, &self.world, self.today)
    }
}
