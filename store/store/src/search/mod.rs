//! Search (R4 search.html): from the string that a server would take to a page of resources.
//!
//! keepwell-search knows what a string means, keepwell-index which terms are where; here the two meet the tables. A
//! query becomes a plan, the plan a set of versions, the set a page in its order, and what the index could not decide
//! is asked of the bodies.

mod address;
mod chain;
pub(crate) mod custom;
mod document;
mod error;
mod everything;
mod executor;
mod explain;
mod include;
mod last;
mod link;
mod live;
mod oracle;
mod order;
mod page;
mod probe;
mod record;
mod session;
mod set;
mod sort_key;
mod walk;

pub use chain::LINKS_FOLLOWED_MAX;
pub use custom::OwnParameter;
pub(crate) use document::{Documents, Tools};
pub use error::SearchError;
pub(crate) use executor::{Executor, Scope};
pub use explain::PlanStep;
pub use include::{INCLUDED_MAX, ITERATIONS_MAX};
pub use last::LASTN_MAX;
pub use link::LINK_AGE_MAX_MS;
pub use live::{LiveChange, LiveKind, LiveSearch};
pub use page::{SearchEntry, SearchPage};
pub(crate) use record::{Record, first_change_at};
pub(crate) use session::Search;
pub use session::{CHECKED_MAX, PAGE_DEFAULT, PAGE_MAX};
