//! The state machine of a device.

use std::collections::BTreeSet;

use keepwell_fhir::ResourceType;

use crate::effect::Effect;
use crate::event::{Event, Now};
use crate::policy::Policy;
use crate::replica::Replica;
use crate::report::Report;

/// What does not change while an engine lives.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Settings {
    /// Types that never leave the device.
    pub local: BTreeSet<ResourceType>,
    /// The address of the server, without the slash at its end: absolute references to it are the same as relative ones.
    pub server: Option<String>,
}

/// Decides what is sent next and what an answer changes.
///
/// It holds what may be forgotten: which requests are under way, and until when it pauses.
#[derive(Debug)]
pub struct Engine {
    settings: Settings,
    policy: Policy,
    report: Report,
    wake_at_ms: Option<u64>,
}

impl Engine {
    /// An engine that has just begun.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings, policy: Policy::default(), report: Report::default(), wake_at_ms: None }
    }

    /// Takes note of an event, in the caller's transaction, and says what to do after its commit.
    ///
    /// # Errors
    /// Those of the replica: roll back, and go on with a new engine.
    pub fn handle<R: Replica>(
        &mut self,
        event: Event,
        now: Now,
        random: &mut dyn FnMut() -> u64,
        replica: &mut R,
    ) -> Result<Vec<Effect>, R::Error> {
        let _ = (now, random, replica);
        if let Event::Policy(policy) = event {
            self.policy = policy;
        }
        Ok(Vec::new())
    }

    /// When to come back with a tick at the latest, by the clock that only runs forward.
    #[must_use]
    pub fn wake_at_ms(&self) -> Option<u64> {
        self.wake_at_ms
    }

    /// What was done.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// What it was made with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}
