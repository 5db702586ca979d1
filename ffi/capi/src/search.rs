//! Search: the string that a FHIR server takes, and a Bundle of one page.

use keepwell_store::Session;
use keepwell_store::query::Handling;

use crate::boundary::boundary;
use crate::buffer::{self, KeepwellBuffer};
use crate::handle::{KeepwellError, KeepwellSession};
use crate::input::KeepwellText;
use crate::registry;

/// Searches, as `GET` on a FHIR server: "Observation?patient=p1&_sort=-date". Gives a Bundle of type searchset with one
/// page; its link "next" is the search for the page after. `lenient`: parameters that are not known are left out
/// and named in the Bundle, instead of an error.
///
/// # Safety
/// `url` is as it says, `bundle` points to memory for a buffer, `error` is null or points to memory for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_search(
    session: KeepwellSession,
    url: KeepwellText,
    lenient: bool,
    bundle: *mut KeepwellBuffer,
    error: *mut KeepwellError,
) -> i32 {
    boundary(error, || {
        let session = registry::get::<Session>(session.id)?;
        let handling = if lenient { Handling::Lenient } else { Handling::Strict };
        // SAFETY: by the contract above.
        let page = session.search_with(unsafe { url.text() }?, handling)?;
        // SAFETY: by the contract above.
        Ok(unsafe { buffer::give(page.to_bundle(), bundle) }?)
    })
}

/// How a search would be answered, step by step, as a JSON array.
///
/// # Safety
/// As `keepwell_search`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_explain_search(
    session: KeepwellSession,
    url: KeepwellText,
    steps: *mut KeepwellBuffer,
    error: *mut KeepwellError,
) -> i32 {
    boundary(error, || {
        let session = registry::get::<Session>(session.id)?;
        // SAFETY: by the contract above.
        let plan = session.explain_search(unsafe { url.text() }?)?;
        let plan: Vec<_> = plan
            .iter()
            .map(|step| serde_json::json!({ "depth": step.depth, "step": step.text, "estimate": step.estimate }))
            .collect();
        // SAFETY: by the contract above.
        Ok(unsafe { buffer::give(serde_json::Value::from(plan).to_string().into_bytes(), steps) }?)
    })
}

/// Registers a SearchParameter resource, active and with an expression that compiles; what is stored already is
/// indexed in the background.
///
/// # Safety
/// `definition` is as it says, `error` is null or points to memory for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keepwell_add_search_parameter(
    session: KeepwellSession,
    definition: KeepwellText,
    error: *mut KeepwellError,
) -> i32 {
    boundary(error, || {
        // SAFETY: by the contract above.
        let definition = unsafe { definition.bytes() }?;
        registry::get::<Session>(session.id)?.add_search_parameter(definition)?;
        Ok(())
    })
}
