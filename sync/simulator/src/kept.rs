//! What is in no scope, and so stays on the device that made it: with a generator of its own, beside the steps of a run.

use keepwell_protocol::{Body, ResourceKey};

use crate::content::Content;
use crate::fault::Fault;
use crate::violation::Step;
use crate::world::{World, key};

impl World<'_> {
    /// Sometimes somebody saves, or another system stores, what is in no scope or what was in none.
    pub(crate) fn stay_here(&mut self) -> Step {
        let (which, device) = (self.random.kept.below(1_000), self.random.kept.below(self.devices.len()));
        if which >= 90 || self.devices[device].is_wiped || !self.happens(Fault::NoScope, true) {
            return Ok(());
        }
        match which {
            0..25 => self.make_here(device)?,
            25..50 => self.edit_kept(device)?,
            50..58 => self.take_out(device)?,
            58..66 => self.make_half_here(device)?,
            66..74 => self.make_elsewhere(device),
            74..80 => self.take_out_elsewhere(),
            80..85 => self.delete_kept(device)?,
            _ => self.make_twice(device)?,
        }
        Ok(())
    }

    /// A person makes what is of no patient.
    fn make_here(&mut self, device: usize) -> Step {
        let edit = self.new_edit(String::new());
        self.save_here(device, vec![edit])
    }

    /// A person edits what is on this device alone, and perhaps says whom it is about.
    fn edit_kept(&mut self, device: usize) -> Step {
        let Some((key, mut content)) = self.kept_on(device) else { return Ok(()) };
        let patients = self.patients_of(device);
        if self.random.kept.per_mille(400) {
            content.patient = self.random.kept.pick(&patients).cloned().unwrap_or_default();
        }
        self.save_here(device, vec![(key, content)])
    }

    /// A person takes the patient out of what the server has, or is to have.
    fn take_out(&mut self, device: usize) -> Step {
        let paired = self.paired();
        let contents = self.devices[device].replica.contents();
        let live: Vec<_> = contents.filter(|(key, _)| !paired.contains(*key)).collect();
        let chosen = self.random.kept.pick(&live).map(|(key, body)| ((*key).clone(), Content::of(body)));
        let Some((key, content)) = chosen else { return Ok(()) };
        self.save_here(device, vec![(key, Content { patient: String::new(), ..content })])
    }

    /// A person saves two resources as one, of which one is in no scope.
    fn make_half_here(&mut self, device: usize) -> Step {
        let patients = self.patients_of(device);
        let Some(patient) = self.random.kept.pick(&patients).cloned() else { return Ok(()) };
        let edits = vec![self.new_edit(String::new()), self.new_edit(patient)];
        self.save_here(device, edits)
    }

    /// Another system makes a resource of the id of one that is on a device alone.
    fn make_elsewhere(&mut self, device: usize) {
        let Some((key, content)) = self.kept_on(device) else { return };
        let patient = format!("p{}", self.random.kept.below(3));
        if self.server.memory.resources().iter().all(|(own, ..)| *own != key) {
            // The bytes of what is attached are on the device alone.
            self.store_elsewhere(&key, Content { patient, file: None, ..content });
        }
    }

    /// Another system takes a resource out of all scopes, or puts it into one again.
    fn take_out_elsewhere(&mut self) {
        let paired = self.paired();
        let resources = self.server.resources();
        let live: Vec<_> = resources
            .iter()
            .filter(|(key, head, _)| !head.deleted && !paired.contains(key))
            .filter_map(|(key, _, versions)| Some((key, versions.last()?.as_ref()?)))
            .collect();
        let chosen = self.random.kept.pick(&live).map(|(key, body)| ((*key).clone(), Content::of(body)));
        let Some((key, content)) = chosen else { return };
        let patient = if content.patient.is_empty() { "p0".to_owned() } else { String::new() };
        self.store_elsewhere(&key, Content { patient, ..content });
    }

    fn store_elsewhere(&mut self, key: &ResourceKey, mut content: Content) {
        content.fields.insert("g".to_owned(), self.next_value());
        let at = self.at();
        self.server.put(&content.to_body(key), at);
    }

    fn delete_kept(&mut self, device: usize) -> Step {
        match self.kept_on(device) {
            Some((key, _)) => self.delete(device, &key),
            None => Ok(()),
        }
    }

    /// A person makes a resource of the id of one that is on another device alone.
    fn make_twice(&mut self, device: usize) -> Step {
        let other = self.random.kept.below(self.devices.len());
        let Some((key, content)) = self.kept_on(other) else { return Ok(()) };
        if self.devices[device].replica.contents().any(|(own, _)| *own == key) {
            return Ok(());
        }
        let patients = self.patients_of(device);
        let patient = self.random.kept.pick(&patients).cloned().unwrap_or_default();
        self.save_here(device, vec![(key, Content { patient, file: None, ..content })])
    }

    /// One of the resources that are on a device alone.
    fn kept_on(&mut self, device: usize) -> Option<(ResourceKey, Content)> {
        let kept: Vec<(&ResourceKey, &Body)> = self.devices[device].kept().collect();
        self.random.kept.pick(&kept).map(|(key, body)| ((*key).clone(), Content::of(body)))
    }

    fn new_edit(&mut self, patient: String) -> (ResourceKey, Content) {
        let kind = if self.random.kept.per_mille(300) { "Flag" } else { "Basic" };
        self.numbers += 1;
        let is_long = self.random.kept.per_mille(150);
        (key(kind, &format!("k{}", self.numbers)), Content { patient, is_long, ..Content::default() })
    }

    /// Saves these as one, each with a value of its own.
    fn save_here(&mut self, device: usize, mut contents: Vec<(ResourceKey, Content)>) -> Step {
        let field = format!("k{}", self.random.kept.below(3));
        let mut values = Vec::new();
        for (_, content) in &mut contents {
            let value = self.next_value();
            content.fields.insert(field.clone(), value.clone());
            self.attach(device, content);
            values.push(value);
        }
        let edits: Vec<(ResourceKey, Option<Body>)> =
            contents.iter().map(|(key, content)| (key.clone(), Some(content.to_body(key)))).collect();
        if self.keep(device, &edits)? {
            for ((key, _), value) in contents.iter().zip(values) {
                self.note_save(device, key, &field, value);
            }
        }
        Ok(())
    }
}
