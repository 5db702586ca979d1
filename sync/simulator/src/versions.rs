//! Versions of the protocol: in some runs, the programs of the server and of the devices are updated at different times.

use keepwell_engine::{Answer, Request};
use keepwell_protocol::{Error, Refusal};

use crate::fault::Fault;
use crate::network::cut_off;
use crate::random::Random;
use crate::world::{DEVICES, World};

/// The updates of a run come within this time, in milliseconds.
const UPDATES_MS: usize = 400_000;

/// The oldest and the newest version that a program speaks.
type Spoken = (u32, u32);

/// What every program speaks before its update.
const OLD: Spoken = (1, 1);

/// An update of a program.
struct Update {
    at_ms: u64,
    /// It still speaks the old version, or only the new one.
    spoken: Spoken,
}

impl Update {
    fn draw(random: &mut Random) -> Self {
        Self { at_ms: random.below(UPDATES_MS) as u64, spoken: (1 + u32::from(random.per_mille(500)), 2) }
    }
}

/// Who is updated when.
pub(crate) struct Versions {
    server: Update,
    devices: Vec<Update>,
    updated_ms: u64,
}

impl Versions {
    /// The update of a device; a clone runs the same program.
    fn of(&self, device: usize) -> &Update {
        &self.devices[device % self.devices.len()]
    }
}

impl World<'_> {
    pub(crate) fn draw_versions(&mut self) {
        let random = &mut self.random.versions;
        let (is_hit, server) = (random.per_mille(100), Update::draw(random));
        let devices = (0..DEVICES).map(|_| Update::draw(random)).collect();
        if self.happens(Fault::Versions, is_hit) {
            self.versions = Some(Versions { server, devices, updated_ms: 0 });
        }
    }

    /// Programs that are updated now begin anew.
    pub(crate) fn update_programs(&mut self) {
        let Some(versions) = &mut self.versions else { return };
        for device in 0..self.devices.len() {
            let at_ms = versions.of(device).at_ms;
            if (versions.updated_ms + 1..=self.now_ms).contains(&at_ms) {
                self.devices[device].restart();
            }
        }
        versions.updated_ms = self.now_ms;
    }

    /// What the server speaks, and what the device does. In the end all are updated, and old versions are given up by none.
    fn spoken(&self, device: usize) -> (Spoken, Spoken) {
        let Some(versions) = self.versions.as_ref().filter(|_| !self.is_calm) else { return (OLD, OLD) };
        let spoken = |update: &Update| if update.at_ms <= self.now_ms { update.spoken } else { OLD };
        (spoken(&versions.server), spoken(versions.of(device)))
    }

    /// What the server says that it speaks, to an engine for which its own version is the first one.
    pub(crate) fn told_versions(&self, device: usize) -> Spoken {
        let (server, own) = self.spoken(device);
        if server.0 > own.1 {
            (2, 2)
        } else if server.1 < own.0 {
            (0, 0)
        } else {
            OLD
        }
    }

    /// Everything but hello is refused in a version that the server does not speak.
    pub(crate) fn refuse_version(&self, device: usize, request: &Request) -> Option<Refusal> {
        let (min, max) = self.told_versions(device);
        (*request != Request::Hello && (min, max) != OLD).then_some(Refusal::Upgrade { min, max })
    }

    /// A newer server may say what an older device does not know.
    pub(crate) fn in_new_words(&mut self, device: usize, answer: Answer) -> Answer {
        let (server, own) = self.spoken(device);
        let has_words = match &answer {
            Answer::Push { settlements, .. } => !settlements.is_empty(),
            Answer::Pull { items, .. } => !items.is_empty(),
            _ => false,
        };
        if server.1 <= own.1 || !has_words {
            return answer;
        }
        let (is_hit, dice) = (self.random.versions.per_mille(200), self.random.versions.below(1_000));
        if self.happens(Fault::NewWord, is_hit) {
            cut_off(answer, dice, [Error::UnknownOutcome, Error::UnknownRowState])
        } else {
            answer
        }
    }
}
