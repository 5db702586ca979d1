//! The index of ids: it leads to every row by the type and id that the row has, and to nothing else.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use super::changes::LatestChanges;
use super::{Defect, DefectKind, Verification};
use crate::error::Result;
use crate::head::Head;
use crate::id_key::IdKey;
use crate::index::Identities;

/// A hash of the type and id of each row that was read, by its key.
#[derive(Default)]
pub(super) struct Names(Vec<Option<u64>>);

impl Names {
    pub(super) fn add(&mut self, key: i64, type_code: i64, id: &IdKey) {
        let place = usize::try_from(key).unwrap_or_default();
        self.0.resize(place + 1, None);
        self.0[place] = Some(hash(type_code, id));
    }

    /// The place of a row that was read, if this is its type and id.
    fn place(&self, key: i64, type_code: i64, id: &IdKey) -> Option<usize> {
        let place = usize::try_from(key).ok()?;
        (*self.0.get(place)? == Some(hash(type_code, id))).then_some(place)
    }
}

fn hash(type_code: i64, id: &IdKey) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one((type_code, id))
}

/// A row by its key, with what is wrong with it.
type Nameless = (i64, DefectKind);

impl Verification<'_> {
    /// Compares the index with the rows that were read, and names those that were not, which are in the order of keys.
    pub(super) fn identities(
        &mut self,
        identities: Option<&Identities>,
        names: &Names,
        nameless: &[Nameless],
        latest: &LatestChanges,
    ) -> Result<()> {
        let mut found = vec![None; nameless.len()];
        let mut is_led_to = vec![false; names.0.len()];
        let mut wrong = Vec::new();
        let is_readable = self.readable(|reader| {
            let Some(identities) = identities else { return Ok(false) };
            identities.for_each(&reader.connection, |key, kind, id| {
                if let Ok(place) = nameless.binary_search_by_key(&key, |(key, _)| *key) {
                    found[place] = Some((kind, id.to_string()));
                } else if let Some(place) = names.place(key, i64::from(kind.code()), id) {
                    is_led_to[place] = true;
                } else {
                    wrong.push((Some(kind), id.to_string()));
                }
            })?;
            Ok(true)
        })?;
        for (&(key, kind), name) in nameless.iter().zip(found) {
            let (resource_type, id) = name.unzip();
            let version = Some(latest.of(key).version.unsigned_abs()).filter(|version| *version > 0);
            self.report.add(Defect { resource_type, id, version, kind });
        }
        if is_readable != Some(true) {
            self.report.add(Defect {
                resource_type: None,
                id: None,
                version: None,
                kind: DefectKind::Identity,
            });
            return Ok(());
        }
        let rows = (0..).zip(names.0.iter().zip(is_led_to));
        let missed: Vec<i64> =
            rows.filter(|(_, (name, is_led_to))| name.is_some() && !is_led_to).map(|(key, _)| key).collect();
        for key in missed {
            let row = self.readable(|reader| Head::of_row(&reader.connection, key))?.flatten();
            wrong.extend(row.map(|(kind, id, _)| (Some(kind), id.to_string())));
        }
        wrong.sort();
        wrong.dedup();
        for (resource_type, id) in wrong {
            let id = Some(id);
            self.report.add(Defect { resource_type, id, version: None, kind: DefectKind::Identity });
        }
        Ok(())
    }
}
