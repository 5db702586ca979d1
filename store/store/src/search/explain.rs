//! How a search is answered, for people.

use keepwell_search::Plan;

use super::executor::Executor;
use crate::error::Result;

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlanStep {
    /// How deep it lies in the plan; what is deeper belongs to what is above.
    pub depth: usize,
    /// What is done, without any value of the search.
    pub text: String,
    /// About how many versions it finds, from the counts of the index; `None` where they do not tell.
    pub estimate: Option<u64>,
}

/// The step above all others of a search whose page is found without the set of all matches.
pub(super) fn walk() -> PlanStep {
    let text = "in the order of the search, each one is asked until the page is full";
    PlanStep { depth: 0, text: text.to_owned(), estimate: None }
}

/// The steps of a plan, from the outside to the inside.
pub(super) fn steps(executor: &Executor<'_>, plan: &Plan) -> Result<Vec<PlanStep>> {
    let mut steps = Vec::new();
    let mut open = vec![(0, plan)];
    while let Some((depth, plan)) = open.pop() {
        let text = plan.label(&executor.documents.parameters);
        let estimate = Some(executor.estimate(plan)?).filter(|estimate| *estimate < u64::from(u32::MAX));
        steps.push(PlanStep { depth, text, estimate });
        open.extend(plan.parts().iter().rev().map(|part| (depth + 1, part)));
    }
    Ok(steps)
}
