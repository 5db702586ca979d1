//! Leases: in some runs, a device that was not at the server for long is locked until it is.

use keepwell_backend::LeasePolicy;
use keepwell_engine::Event;

use crate::fault::Fault;
use crate::violation::Step;
use crate::world::World;

impl World<'_> {
    pub(crate) fn draw_lease(&mut self) {
        let (is_hit, valid_ms) =
            (self.random.leases.per_mille(300), 30_000 + self.random.leases.below(200_000));
        if is_hit && !self.plan.without.contains(&Fault::Lease) {
            let valid_ms = i64::try_from(valid_ms).unwrap_or(i64::MAX);
            self.lease = Some(LeasePolicy { renew_ms: valid_ms / 2, valid_ms });
        }
    }

    /// The lease that comes with an enrolment.
    pub(crate) fn give_lease(&mut self, device: usize) -> Step {
        let Some(policy) = self.lease else { return Ok(()) };
        let lease = self.server.lease(&self.devices[device].id, &policy, self.at());
        let event = Event::Lease(lease.expect("it was enrolled"));
        let (effects, _) = self.devices[device].handle(event, self.now_ms, true)?;
        self.follow(device, effects)
    }
}
