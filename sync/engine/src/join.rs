//! An edit of this device meets another version: what a machine may join, and what waits for a person.

use keepwell_merge::{Action, Merger, Outcome, Side};
use keepwell_protocol::{Body, limits};

use crate::tokens::Texts;

/// What became of an edit that met another version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Joined {
    /// All of it is in theirs, or it changed nothing.
    Theirs,
    /// It waits again, as it is: theirs is what was edited.
    Mine,
    /// It waits again, joined with theirs.
    Merged {
        /// The joined content; none if it is deleted.
        content: Option<Body>,
        /// The elements that were taken from the edit, as FHIRPath.
        paths: Vec<String>,
    },
    /// A person has to decide.
    Lost {
        /// The elements in conflict, as FHIRPath; none means the whole resource.
        paths: Vec<String>,
        /// Why, for each of them, as words of `keepwell_merge::Reason`.
        reasons: Vec<String>,
        /// What readers see until then is the edit, not theirs.
        shows_mine: bool,
    },
}

/// Joins an edit with another version of the same resource; both descend from `base`. A version is none where the
/// resource is deleted, or for the base was not there.
///
/// ```
/// use keepwell_engine::{Joined, join};
/// use keepwell_merge::Merger;
/// use keepwell_protocol::Body;
/// let body = |more| Body::new(format!(r#"{{"resourceType":"Patient","id":"1"{more}}}"#));
/// let (base, mine, theirs) = (body("")?, body(r#","language":"en""#)?, body(r#","active":true"#)?);
/// let joined = join(&mut Merger::new(), Some(&base), Some(&mine), Some(&theirs));
/// assert!(matches!(joined, Joined::Merged { paths, .. } if paths == ["Patient.language"]));
/// # Ok::<(), keepwell_protocol::Error>(())
/// ```
pub fn join(merger: &mut Merger, base: Option<&Body>, mine: Option<&Body>, theirs: Option<&Body>) -> Joined {
    if mine == theirs || mine == base {
        return Joined::Theirs;
    }
    if theirs == base {
        return Joined::Mine;
    }
    let mut texts = Texts::default();
    let mut bytes = |body: Option<&'_ Body>| body.map(|body| texts.put(body));
    let (b, m, t) = (bytes(base), bytes(mine), bytes(theirs));
    match merger.merge(b.as_deref(), m.as_deref(), t.as_deref()) {
        Ok(Outcome::Merged(merged)) => {
            if merged.bytes.as_deref() == t.as_deref() {
                return Joined::Theirs;
            }
            let taken = merged.decisions.iter().filter(|decision| decision.action == Action::TookMine);
            let paths = bounded(taken.map(|decision| decision.path.clone()));
            match merged.bytes.map(|bytes| Body::new(texts.take_back(bytes.into_owned()))).transpose() {
                Ok(content) => Joined::Merged { content, paths },
                // What cannot travel cannot be merged.
                Err(_) => Joined::Lost { paths: Vec::new(), reasons: Vec::new(), shows_mine: false },
            }
        }
        Ok(Outcome::Conflicted(conflicted)) => {
            let conflicts = &conflicted.conflicts;
            Joined::Lost {
                paths: bounded(conflicts.iter().map(|conflict| conflict.path.clone())),
                reasons: conflicts.iter().map(|conflict| conflict.reason.code().to_owned()).collect(),
                shows_mine: conflicted.shown == Side::Mine,
            }
        }
        // A version that is no resource by the rules of the merge: a person has to look at all of it.
        Err(_) => Joined::Lost { paths: Vec::new(), reasons: Vec::new(), shows_mine: false },
    }
}

/// Paths within the limits of the protocol.
fn bounded(paths: impl IntoIterator<Item = String>) -> Vec<String> {
    let fits = |path: &String| path.len() <= limits::NOTE_BYTES_MAX;
    paths.into_iter().filter(fits).take(limits::PATHS_MAX).collect()
}
