//! What happens seldom, beside the steps of a run: with a generator of its own, so that the steps stay as they are.

use std::collections::BTreeMap;

use keepwell_protocol::{Body, ResourceKey};

use crate::content::Content;
use crate::fault::Fault;
use crate::violation::Step;
use crate::world::World;

impl World<'_> {
    /// What happens beside the steps.
    pub(crate) fn seldom(&mut self) -> Step {
        let (which, device) = (self.random.rare.below(1_000), self.random.rare.below(self.devices.len()));
        match which {
            0..8 => self.edit_half(),
            8..38 => self.undo(device)?,
            38..42 => self.roll_back(device),
            _ => {}
        }
        Ok(())
    }

    /// Another system edits one of two resources that were saved as one.
    fn edit_half(&mut self) {
        let paired = self.paired();
        let resources = self.server.resources();
        let live: Vec<_> = resources
            .iter()
            .filter(|(key, head, _)| !head.deleted && paired.contains(key))
            .filter_map(|(key, _, versions)| Some((key, versions.last()?.as_ref()?)))
            .collect();
        let chosen = self.random.rare.pick(&live).map(|(key, body)| ((*key).clone(), Content::of(body)));
        let Some((key, mut content)) = chosen.filter(|_| self.happens(Fault::HalfEdit, true)) else { return };
        content.fields.insert("h".to_owned(), self.next_value());
        self.server.put(&content.to_body(&key), self.at());
    }

    /// A person puts back what was there before.
    fn undo(&mut self, device: usize) -> Step {
        let (own, paired) = (&self.devices[device], self.paired());
        let shown: BTreeMap<_, _> = own.replica.contents().collect();
        let edited: Vec<(ResourceKey, Body)> = own
            .replica
            .bases()
            .filter_map(|(key, base)| Some((key, base.content.as_ref()?)))
            .filter(|(key, base)| !paired.contains(key) && shown.get(key).is_some_and(|body| body != base))
            .map(|(key, base)| (key.clone(), base.clone()))
            .collect();
        let chosen = self.random.rare.pick(&edited).cloned();
        let Some((key, base)) = chosen.filter(|_| self.happens(Fault::Undo, true)) else { return Ok(()) };
        if self.keep(device, &[(key.clone(), Some(base))])? {
            self.excuse(device, &key);
        }
        Ok(())
    }

    /// The database of a device goes back, and its key store with it: nothing says so.
    fn roll_back(&mut self, device: usize) {
        let Some(backup) = self.devices[device].backup.clone() else { return };
        if self.devices[device].is_wiped || !self.happens(Fault::Rollback, true) {
            return;
        }
        self.excuse_since(device, &backup);
        self.devices[device].replace(backup);
    }
}
