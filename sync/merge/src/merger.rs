//! The merge of three versions of a resource.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use keepwell_fhir::{Issue, Severity, SyntaxError, SyntaxErrorKind, Walker};

use crate::align::same;
use crate::conflict::{Choice, Conflict, Reason, Resolution};
use crate::contained::Contained;
use crate::error::{MergeError, ResolveError};
use crate::json::Json;
use crate::outcome::{Conflicted, Decision, Merged, Outcome};
use crate::pass::{BadAnswer, Pass, Plan};
use crate::resource::{is_touched, kind};
use crate::rules::Rules;
use crate::sides::{Side, Sides};

/// How often a merge is done again since its result turned out not to hold together.
const MAX_ROUNDS: usize = 8;

/// Merges versions of resources, one after the other, and keeps its memory between them.
///
/// ```
/// use keepwell_merge::{Merger, Outcome};
/// let base = br#"{"resourceType":"Patient","telecom":[{"system":"phone","use":"home","value":"1"}]}"#;
/// let mine = br#"{"resourceType":"Patient","telecom":[{"system":"phone","use":"home","value":"2"}]}"#;
/// let theirs = br#"{"resourceType":"Patient","telecom":[
///     {"system":"email","value":"a@example.org"},{"system":"phone","use":"home","value":"1"}]}"#;
/// let mut merger = Merger::new();
/// let Outcome::Merged(merged) = merger.merge(Some(base), Some(mine), Some(theirs))? else { panic!("a conflict") };
/// let expected = concat!(r#"{"resourceType":"Patient","telecom":["#,
///     r#"{"system":"email","value":"a@example.org"},{"system":"phone","use":"home","value":"2"}]}"#);
/// assert_eq!(merged.bytes.as_deref(), Some(expected.as_bytes()));
/// # Ok::<(), keepwell_merge::MergeError>(())
/// ```
#[derive(Default)]
pub struct Merger {
    walker: Walker,
    server: Option<String>,
}

/// The versions, read.
struct Versions<'a> {
    json: Sides<Option<Json<'a>>>,
    is_valid: Sides<bool>,
}

/// What came of one run over the versions.
struct Run<'a> {
    out: String,
    conflicts: Vec<Conflict<'a>>,
    decisions: Vec<Decision>,
    shown: Side,
    bad_answers: BTreeMap<usize, BadAnswer>,
    is_joined: bool,
    has_joined_list: bool,
    /// The side that says the same.
    version: Option<Side>,
    /// The sides were valid, and the result is not.
    is_broken: bool,
}

impl Merger {
    /// A merger without any memory yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes absolute references to this address (without the slash at its end) for the same as relative ones.
    #[must_use]
    pub fn with_server(mut self, address: impl Into<String>) -> Self {
        self.server = Some(address.into());
        self
    }

    /// Merges `mine` and `theirs`, which both descend from `base`. A version is `None` where the resource is deleted
    /// or, for the base, where there is none.
    ///
    /// The result depends on the versions alone. What differs only in the spelling of strings, in spaces or in the
    /// order of members counts as the same; numbers are the same if they are spelled alike. What is merged is written
    /// in the spelling of the version it comes from, in the order of theirs.
    ///
    /// # Errors
    /// If a version is no resource, or if they are not versions of one resource.
    pub fn merge<'a>(
        &mut self,
        base: Option<&'a [u8]>,
        mine: Option<&'a [u8]>,
        theirs: Option<&'a [u8]>,
    ) -> Result<Outcome<'a>, MergeError> {
        let raw = Sides { base, mine, theirs };
        let versions = self.read(raw)?;
        let (_, run) = self.settle(&versions, Plan::default(), &[]);
        let bytes = run.bytes(raw);
        let Run { conflicts, decisions, shown, .. } = run;
        Ok(if conflicts.is_empty() {
            Outcome::Merged(Merged { bytes, decisions })
        } else if run.is_broken {
            // What is proposed for each conflict does not fit together.
            let proposal = theirs.map(Cow::Borrowed);
            Outcome::Conflicted(Conflicted { conflicts, shown, proposal, decisions: Vec::new() })
        } else {
            Outcome::Conflicted(Conflicted { conflicts, shown, proposal: bytes, decisions })
        })
    }

    /// Merges the same versions again, with a choice for each conflict in the order in which they were reported.
    ///
    /// # Errors
    /// As [`Self::merge`]; also if the resolutions do not belong to the conflicts of these versions, cannot be applied,
    /// or make a resource that is not valid.
    pub fn resolve<'a>(
        &mut self,
        base: Option<&'a [u8]>,
        mine: Option<&'a [u8]>,
        theirs: Option<&'a [u8]>,
        resolutions: &[Resolution<'_>],
    ) -> Result<Merged<'a>, ResolveError> {
        let raw = Sides { base, mine, theirs };
        let versions = self.read(raw)?;
        self.check_answers(resolutions)?;
        let answers: Vec<Choice<'_>> = resolutions.iter().map(|resolution| resolution.choice).collect();
        let (plan, _) = self.settle(&versions, Plan::default(), &[]);
        let (_, run) = self.settle(&versions, plan, &answers);
        let paths = run.conflicts.iter().map(|conflict| conflict.path.as_str());
        if !paths.eq(resolutions.iter().map(|resolution| resolution.path)) {
            return Err(ResolveError::OtherConflicts);
        }
        if let Some((&position, bad)) = run.bad_answers.first_key_value() {
            return Err(match bad {
                BadAnswer::NotOffered => ResolveError::NotOffered { position },
                BadAnswer::BadValue => ResolveError::BadValue { position },
            });
        }
        let bytes = run.bytes(raw);
        let issues = bytes.as_deref().map_or_else(Vec::new, |bytes| errors(&mut self.walker, bytes));
        if !issues.is_empty() && versions.are_valid() {
            return Err(ResolveError::Invalid { issues });
        }
        Ok(Merged { bytes, decisions: run.decisions })
    }

    /// Values by hand are JSON under the limits of the walker, since nothing looks at them as closely again.
    fn check_answers(&mut self, resolutions: &[Resolution<'_>]) -> Result<(), ResolveError> {
        for (position, resolution) in resolutions.iter().enumerate() {
            if let Choice::Value(bytes) = resolution.choice {
                self.walker.check_syntax(bytes).map_err(|_| ResolveError::BadValue { position })?;
            }
        }
        Ok(())
    }

    fn read<'a>(&mut self, raw: Sides<Option<&'a [u8]>>) -> Result<Versions<'a>, MergeError> {
        let mut versions = Versions { json: Sides::default(), is_valid: Sides::default() };
        for side in [Side::Base, Side::Mine, Side::Theirs] {
            if let Some(bytes) = *raw.of(side) {
                let (json, is_valid) =
                    self.version(bytes).map_err(|source| MergeError::Syntax { side, source })?;
                *versions.json.of_mut(side) = Some(json);
                *versions.is_valid.of_mut(side) = is_valid;
            }
        }
        let Sides { base, mine, theirs } = &versions.json;
        let all: Vec<&Json<'_>> = [base, mine, theirs].into_iter().flatten().collect();
        let ids: BTreeSet<&str> = all.iter().filter_map(|version| version.get("id")?.text()).collect();
        let are_one = all.windows(2).all(|pair| kind(pair[0]) == kind(pair[1])) && ids.len() < 2;
        if are_one { Ok(versions) } else { Err(MergeError::OtherResource) }
    }

    fn version<'a>(&mut self, bytes: &'a [u8]) -> Result<(Json<'a>, bool), SyntaxError> {
        let walk = self.walker.walk(bytes)?;
        let is_valid = !walk.issues.iter().any(is_error);
        let broken = SyntaxError { offset: 0, kind: SyntaxErrorKind::UnexpectedByte };
        let text = std::str::from_utf8(bytes).map_err(|_| broken)?;
        Ok((Json::read(text).ok_or(broken)?, is_valid))
    }

    fn run<'a>(&self, versions: Sides<Option<&Json<'a>>>, plan: &Plan, answers: &[Choice<'_>]) -> Run<'a> {
        let mut pass = Pass::new(self.server.as_deref(), plan, answers);
        pass.document(versions);
        let Pass { out, conflicts, decisions, shown, bad_answers, is_joined, has_joined_list, .. } = pass;
        let (version, is_broken) = (None, false);
        Run { out, conflicts, decisions, shown, bad_answers, is_joined, has_joined_list, version, is_broken }
    }

    /// Merges until the result holds together: what only a result can tell goes into the plan, and it is done again.
    fn settle<'a>(
        &mut self,
        versions: &Versions<'a>,
        mut plan: Plan,
        answers: &[Choice<'_>],
    ) -> (Plan, Run<'a>) {
        for _ in 0..MAX_ROUNDS {
            let mut run = self.run(versions.all(), &plan, answers);
            let Some(result) = Json::read(&run.out) else { return (plan, run) };
            run.version = versions.find(&result);
            if !run.is_joined || run.version.is_some() {
                return (plan, run);
            }
            let contained = Contained::of(&versions.json, &result);
            let known = plan.kept.len();
            plan.kept.extend(contained.missing);
            if plan.kept.len() > known {
                continue;
            }
            run.is_broken = versions.are_valid() && !errors(&mut self.walker, run.out.as_bytes()).is_empty();
            if !run.conflicts.is_empty() {
                return (plan, run);
            }
            plan.forced = if contained.has_lost_reference {
                Some(Reason::Unreferenced)
            } else if run.is_broken {
                Some(Reason::Invalid)
            } else {
                match run.has_joined_list.then(|| self.unstable(versions, &plan, &result)).flatten() {
                    None => return (plan, run),
                    Some(lists) if lists.is_subset(&plan.contested) => Some(Reason::Ambiguous),
                    Some(lists) => {
                        plan.contested.extend(lists);
                        None
                    }
                }
            };
        }
        plan.forced = Some(Reason::Ambiguous);
        let mut run = self.run(versions.all(), &plan, answers);
        run.version = Json::read(&run.out).and_then(|result| versions.find(&result));
        (plan, run)
    }

    /// The lists that a merge of the result with either side would not leave as they are. A device that crashes behind
    /// a merge does it again, so one that has another outcome then must not be made by a machine: an item that one
    /// side added may look like the edit of an item that the other removed.
    fn unstable(&self, versions: &Versions<'_>, plan: &Plan, result: &Json<'_>) -> Option<BTreeSet<String>> {
        let Sides { base, mine, theirs } = versions.all();
        let mut lists = None;
        for (mine, theirs) in [(Some(result), theirs), (mine, Some(result))] {
            let again = self.run(Sides { base, mine, theirs }, plan, &[]);
            let is_same = Json::read(&again.out)
                .is_some_and(|again| !is_touched(Rules::get(), kind(result), result, &again));
            if !is_same || !again.conflicts.is_empty() {
                let paths = again.conflicts.iter().map(|conflict| list_of(&conflict.path).to_owned());
                lists.get_or_insert_with(BTreeSet::new).extend(paths);
            }
        }
        lists
    }
}

/// The path of the list that an item is in, or the path itself.
fn list_of(path: &str) -> &str {
    match path.strip_suffix(']').and_then(|path| path.rsplit_once('[')) {
        Some((list, _)) => list,
        None => path,
    }
}

impl<'a> Versions<'a> {
    fn all(&self) -> Sides<Option<&Json<'a>>> {
        let Sides { base, mine, theirs } = &self.json;
        Sides { base: base.as_ref(), mine: mine.as_ref(), theirs: theirs.as_ref() }
    }

    /// The side that is spelled as the result, or else that says the same.
    fn find(&self, result: &Json<'_>) -> Option<Side> {
        let version = |side: &Side| self.json.of(*side).as_ref();
        let is_spelled_so = |side: &Side| version(side).is_some_and(|version| version.raw == result.raw);
        let sides = || [Side::Theirs, Side::Mine].into_iter();
        sides().find(is_spelled_so).or_else(|| sides().find(|side| same(version(side), Some(result))))
    }

    /// Whether both sides were valid, so that the result has to be.
    const fn are_valid(&self) -> bool {
        self.is_valid.mine && self.is_valid.theirs
    }
}

impl Run<'_> {
    /// The result, or the version that says the same; none if there is no resource.
    fn bytes<'a>(&self, raw: Sides<Option<&'a [u8]>>) -> Option<Cow<'a, [u8]>> {
        match self.version.and_then(|side| *raw.of(side)) {
            Some(bytes) => Some(Cow::Borrowed(bytes)),
            None if self.out.is_empty() => None,
            None => Some(Cow::Owned(self.out.as_bytes().to_vec())),
        }
    }
}

fn is_error(issue: &Issue) -> bool {
    matches!(issue.severity, Severity::Fatal | Severity::Error)
}

/// What is wrong with a result.
fn errors(walker: &mut Walker, bytes: &[u8]) -> Vec<Issue> {
    match walker.walk(bytes) {
        Ok(walk) => walk.issues.iter().filter(|issue| is_error(issue)).cloned().collect(),
        Err(error) => vec![Issue::from(&error)],
    }
}
