//! Attachments: what is saved with one, and its bytes on their way.

use keepwell_backend::UPLOAD_AGE_MS;
use keepwell_fhir::Instant;
use keepwell_protocol::limits::CHUNK_BYTES_MAX;
use keepwell_protocol::{Blob, Hash};

use crate::content::{Content, file};
use crate::fault::Fault;
use crate::world::World;

impl World<'_> {
    pub(crate) fn draw_files(&mut self) {
        self.has_files = self.random.files.per_mille(150) && !self.plan.without.contains(&Fault::Attachment);
    }

    /// A person attaches something to what is about to be saved, new or from another resource, or takes it away.
    pub(crate) fn attach(&mut self, device: usize, content: &mut Content) {
        if !self.has_files {
            return;
        }
        let (which, is_large) = (self.random.files.below(1_000), self.random.files.per_mille(30));
        match which {
            0..250 => {
                // Each is another one; a large one goes in two chunks.
                let size = if is_large { CHUNK_BYTES_MAX + 100 } else { 40 };
                let number = self.random.files.next().to_be_bytes();
                let bytes: Vec<u8> = number.into_iter().cycle().take(size).collect();
                self.devices[device].replica.attach(&bytes);
                content.file = Some(Blob { sha256: Hash::of(&bytes), size: size as u64 });
                self.happens(Fault::Attachment, true);
            }
            250..300 => {
                let own = &self.devices[device];
                let here: Vec<Blob> = own.replica.contents().filter_map(|(_, body)| file(body)).collect();
                let here: Vec<Blob> = here.into_iter().filter(|blob| own.bytes(blob).is_some()).collect();
                content.file = self.random.files.pick(&here).copied().or(content.file);
            }
            300..340 => content.file = None,
            _ => {}
        }
    }

    /// The bytes of a chunk that a device sends; none if they are no longer there.
    pub(crate) fn chunk(&mut self, device: usize, blob: &Blob, offset: u64, length: u64) -> Option<Vec<u8>> {
        let bytes = self.devices[device].bytes(blob)?;
        let from = usize::try_from(offset).ok()?;
        let chunk = bytes.get(from..from.checked_add(usize::try_from(length).ok()?)?)?.to_vec();
        Some(self.damage(chunk))
    }

    /// A chunk as it arrives.
    pub(crate) fn damage(&mut self, mut chunk: Vec<u8>) -> Vec<u8> {
        let is_hit = self.random.files.per_mille(20);
        if self.happens(Fault::Damage, is_hit)
            && let Some(byte) = chunk.first_mut()
        {
            *byte ^= 1;
        }
        chunk
    }

    /// When uploads are thrown away that rested too long: sometimes all that are under way, and what was sent and is not
    /// named yet.
    pub(crate) fn rest_of_uploads(&mut self, now: Instant) -> Instant {
        let is_late = self.has_files && self.random.files.per_mille(500);
        if is_late { Instant::from_ms(now.ms() + UPLOAD_AGE_MS + 1) } else { now }
    }
}
