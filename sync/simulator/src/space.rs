//! Room on disks, which may be full for a while.

use crate::fault::Fault;
use crate::world::World;

/// How long a disk is full, in milliseconds, at most.
const FULL_MS: usize = 40_000;

/// Until when the server's disk is full.
#[derive(Default)]
pub(crate) struct Space {
    server_ms: u64,
}

impl World<'_> {
    /// Disks become full, and have room again.
    pub(crate) fn fill_disks(&mut self) {
        let random = &mut self.random.space;
        let (which, device) = (random.below(1_000), random.below(self.devices.len()));
        let until_ms = self.now_ms + random.below(FULL_MS) as u64;
        match which {
            0..3 if !self.plan.without.contains(&Fault::DiskFull) => {
                self.devices[device].full_until_ms = until_ms;
            }
            3 if !self.plan.without.contains(&Fault::ServerDiskFull) => self.space.server_ms = until_ms,
            _ => {}
        }
        for device in 0..self.devices.len() {
            let own = &mut self.devices[device];
            own.set_full(own.full_until_ms > self.now_ms);
            let was_full = own.was_full();
            self.happens(Fault::DiskFull, was_full);
        }
        self.server.is_full = self.space.server_ms > self.now_ms;
    }

    /// There is room everywhere.
    pub(crate) fn free_disks(&mut self) {
        self.devices.iter_mut().for_each(|device| device.set_full(false));
        self.server.is_full = false;
    }
}
