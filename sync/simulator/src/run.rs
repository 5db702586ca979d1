//! Runs: a seed, played to its end.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::fault::Fault;
use crate::store_defect::StoreDefect;
use crate::violation::{Step, Violation};
use crate::world::World;

/// Steps of a run, if not told otherwise.
pub const STEPS: usize = 260;

/// Steps of a run over real stores, if not told otherwise: each is some milliseconds.
pub const STORE_STEPS: usize = 120;

/// What is played.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// Everything follows from it.
    pub seed: u64,
    /// Steps before nothing goes wrong any more.
    pub steps: usize,
    /// Faults that are left out.
    pub without: BTreeSet<Fault>,
    /// Whether what is in memory is also in real stores, which must say the same.
    pub stores: bool,
    /// A rule of the device that is left out.
    pub device_defect: Option<keepwell_engine::Defect>,
    /// A rule of the server that is left out.
    pub server_defect: Option<keepwell_backend::Defect>,
    /// A mistake that is made with real stores.
    pub store_defect: Option<StoreDefect>,
}

/// A run that held all invariants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Played {
    /// Is the same whenever the plan is.
    pub trace: u64,
    /// How often what went wrong.
    pub faults: BTreeMap<Fault, u64>,
}

impl Plan {
    /// The usual run of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            steps: STEPS,
            without: BTreeSet::new(),
            stores: false,
            device_defect: None,
            server_defect: None,
            store_defect: None,
        }
    }

    /// The usual run of a seed over real stores.
    #[must_use]
    pub fn with_stores(seed: u64) -> Self {
        let without = Fault::ALL.iter().copied().filter(|fault| fault.needs_memory()).collect();
        Self { steps: STORE_STEPS, stores: true, without, ..Self::new(seed) }
    }

    /// Plays it.
    ///
    /// # Errors
    /// The invariant that does not hold.
    pub fn play(&self) -> Step<Played> {
        keepwell_engine::Defect::set(self.device_defect);
        let played = catch_unwind(AssertUnwindSafe(|| self.run()));
        keepwell_engine::Defect::set(None);
        played.unwrap_or_else(|panic| Err(Violation::new("panic", said(panic.as_ref()))))
    }

    fn run(&self) -> Step<Played> {
        let mut world = World::new(self)?;
        for _ in 0..self.steps {
            world.step()?;
        }
        world.drain()?;
        Ok(Played { trace: world.trace, faults: world.faults })
    }

    /// A smaller plan that still fails: fewer steps, fewer kinds of faults.
    #[must_use]
    pub fn shrink(&self) -> Self {
        let mut plan = self.clone();
        let mut cut = plan.steps / 2;
        while cut > 0 {
            let shorter = Self { steps: plan.steps.saturating_sub(cut), ..plan.clone() };
            if shorter.steps < plan.steps && shorter.play().is_err() {
                plan = shorter;
            } else {
                cut /= 2;
            }
        }
        for fault in Fault::ALL {
            let mut fewer = plan.clone();
            if fewer.without.insert(*fault) && fewer.play().is_err() {
                plan = fewer;
            }
        }
        plan
    }

    /// The command that repeats it.
    #[must_use]
    pub fn command(&self) -> String {
        let mut command = format!(
            "cargo run --release -p keepwell-simulator -- --seed {} --steps {}",
            self.seed, self.steps
        );
        if self.stores {
            command.push_str(" --on stores");
        }
        for fault in &self.without {
            write!(command, " --without {}", fault.word()).expect("a text can be written to");
        }
        if let Some(defect) = self.device_defect {
            write!(command, " --device-defect {defect:?}").expect("a text can be written to");
        }
        if let Some(defect) = self.server_defect {
            write!(command, " --server-defect {defect:?}").expect("a text can be written to");
        }
        if let Some(defect) = self.store_defect {
            write!(command, " --store-defect {defect:?}").expect("a text can be written to");
        }
        command
    }
}

/// What was said in a panic.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    text.unwrap_or_default()
}
