//! What the engine remembers beyond rows. Written with the rows that it belongs to, in one transaction.

use keepwell_protocol::Id;
use serde::{Deserialize, Serialize};

use crate::capability::Capability;
use crate::search::Search;

#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct State {
    /// What is known of the server, once that is all.
    pub(crate) capability: Option<Capability>,
    /// Where the look at the server is.
    pub(crate) probe: Option<Probe>,
    /// The number of the last walk.
    pub(crate) rounds: u64,
    /// Searches, also those that are no longer wanted: their numbers are not used again.
    pub(crate) searches: Vec<Held>,
    /// The walk under way.
    pub(crate) walk: Option<Walk>,
}

/// A search that is held.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Held {
    pub(crate) search: Search,
    /// The newest time seen, by the server's clock.
    pub(crate) cursor_ms: Option<i64>,
    /// When the ids were compared last, by this device's clock.
    pub(crate) reconciled_ms: Option<i64>,
    /// Something went wrong since.
    pub(crate) is_suspect: bool,
}

/// A search that is being read page by page.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Walk {
    /// Which one.
    pub(crate) search: u32,
    /// Ids and versions only, of everything.
    pub(crate) reconciles: bool,
    /// Everything is read.
    pub(crate) is_whole: bool,
    /// The next page.
    pub(crate) target: String,
    /// Names what is found.
    pub(crate) round: u64,
    /// The newest time on the pages so far.
    pub(crate) high_ms: Option<i64>,
    /// No row was older than the one before it.
    pub(crate) is_sorted: bool,
    /// Rows so far, without those that were included.
    pub(crate) rows: u64,
    pub(crate) pages: u64,
    /// How many there are, as the server said first.
    pub(crate) total: Option<u64>,
}

/// The look at what a server does, by means of a resource that is removed at the end.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Probe {
    /// What the server says of itself.
    pub(crate) capability: Capability,
    pub(crate) step: Step,
    /// The id of the resource, and the version that was overtaken.
    pub(crate) id: Id,
    pub(crate) stale: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Step {
    /// Make it.
    Make,
    /// Change it.
    Change,
    /// Change it as if it had not been changed.
    Overtake,
    /// Make it where it is.
    MakeAgain,
    /// Remove it.
    Remove,
}

impl State {
    /// Takes back what was written. What cannot be read is begun anew: everything is asked for again, and nothing is lost.
    pub(crate) fn read(bytes: Option<&[u8]>, searches: &[Search]) -> Self {
        let mut state: Self = bytes.and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or_default();
        for search in searches {
            if !state.searches.iter().any(|held| held.search == *search) {
                state.searches.push(Held {
                    search: search.clone(),
                    cursor_ms: None,
                    reconciled_ms: None,
                    is_suspect: false,
                });
            }
        }
        let is_wanted = |walk: &Walk| {
            state.searches.get(walk.search as usize).is_some_and(|held| searches.contains(&held.search))
        };
        if state.walk.as_ref().is_some_and(|walk| !is_wanted(walk)) {
            state.walk = None;
        }
        state
    }

    pub(crate) fn write(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers and texts are JSON")
    }
}
