//! The links between devices and server, which are cut in one order and healed in another.

use std::collections::{BTreeMap, VecDeque};

use crate::fault::Fault;
use crate::world::World;

/// Runs have this many cuts in 1,000 steps, about.
const SHARE: usize = 4;
/// Between one cut and the next, in milliseconds, at most.
const GAP_MS: usize = 10_000;
/// From the last cut to the first that is healed, in milliseconds, at most.
const REST_MS: usize = 90_000;

/// A way along a link.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// To the server.
    Up,
    /// To the device.
    Down,
}

/// What is cut, and what will be.
#[derive(Default)]
pub(crate) struct Links {
    cut: BTreeMap<usize, &'static [Way]>,
    /// When which device's link is cut along which ways; along none if it is healed.
    script: VecDeque<(u64, usize, &'static [Way])>,
}

impl Links {
    pub(crate) fn are_cut(&self, device: usize, way: Way) -> bool {
        self.cut.get(&device).is_some_and(|ways| ways.contains(&way))
    }
}

impl World<'_> {
    /// Cuts and heals what is due, and begins anew now and then.
    pub(crate) fn swizzle(&mut self) {
        let (now_ms, is_hit) = (self.now_ms, self.random.links.per_mille(SHARE));
        while self.links.script.front().is_some_and(|(at_ms, ..)| *at_ms <= now_ms) {
            if let Some((_, device, ways)) = self.links.script.pop_front() {
                self.links.cut.insert(device, ways);
            }
        }
        if !self.links.script.is_empty() || !self.happens(Fault::Partition, is_hit) {
            return;
        }
        let mut at_ms = now_ms;
        let mut devices: Vec<usize> = (0..self.devices.len()).collect();
        self.random.links.shuffle(&mut devices);
        devices.truncate(1 + self.random.links.below(devices.len()));
        for device in &devices {
            let ways: &[&[Way]] = &[&[Way::Up, Way::Down], &[Way::Up, Way::Down], &[Way::Up], &[Way::Down]];
            let ways = ways[self.random.links.below(ways.len())];
            at_ms += self.random.links.below(GAP_MS) as u64;
            self.links.script.push_back((at_ms, *device, ways));
        }
        at_ms += self.random.links.below(REST_MS) as u64;
        self.random.links.shuffle(&mut devices);
        for device in devices {
            at_ms += self.random.links.below(GAP_MS) as u64;
            self.links.script.push_back((at_ms, device, &[]));
        }
    }
}
