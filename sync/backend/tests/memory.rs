//! The backend in memory keeps every rule.

use keepwell_backend::MemoryBackend;
use keepwell_backend::conformance::conformance;
use keepwell_protocol::Epoch;

fn clinic() -> MemoryBackend {
    MemoryBackend::new("clinic".parse().expect("an id"), Epoch::new(1))
}

#[test]
fn the_memory_backend_keeps_every_rule() {
    conformance(clinic);
}
