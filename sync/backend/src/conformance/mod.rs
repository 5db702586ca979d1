//! The suite that every backend runs: each rule of docs/sync-protocol.md, "The server", as a case with a name.
//!
//! A backend passes if [`conformance`] returns. Each case gets an empty tenant.

mod access;
mod devices;
mod hostile;
mod kit;
mod pulling;
mod pushing;
mod random;

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::backend::Backend;
pub use random::same_answers;

/// A rule, and what checks it.
type Case = (&'static str, fn(&dyn Backend));

/// Checks every rule, each on a tenant of its own, which `make` makes: it is called `clinic` and empty.
///
/// # Panics
/// With the names of the rules that are broken, after all have been checked.
pub fn conformance<B: Backend>(make: impl Fn() -> B) {
    let suites = [pushing::CASES, pulling::CASES, access::CASES, devices::CASES, hostile::CASES];
    let broken: Vec<&str> = suites
        .into_iter()
        .flatten()
        .filter(|(_, check)| {
            let backend = make();
            catch_unwind(AssertUnwindSafe(|| check(&backend))).is_err()
        })
        .map(|(name, _)| *name)
        .collect();
    assert!(broken.is_empty(), "broken rules: {broken:#?}");
}

/// Names a case after the function that checks it.
macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        pub(super) const CASES: &[super::Case] = &[$((stringify!($name), $name)),*];
    };
}
use cases;
