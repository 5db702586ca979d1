//! The committed table is what the generator makes of the official files.

use crate::shared;

#[path = "../../examples/generate_parameters/definitions.rs"]
mod generator;

#[test]
fn committed_table_follows_from_the_official_files() {
    let Some(folder) = shared::folder("fhir/r4") else { return };
    let (compiled, left_out) = generator::source(&folder);
    let hint = "run: cargo run -p keepwell-search --example generate_parameters -- ../shared/fhir/r4";
    assert!(include_str!("../../src/r4.rs") == compiled, "{hint}");
    // Of search-parameters.json only `_query`, the rest are of the extra ones.
    assert_eq!(left_out.len(), 17, "{left_out:?}");
    let of_r4 = left_out.iter().filter(|(url, _)| url.ends_with("/Resource-query")).count();
    assert_eq!(of_r4, 1, "{left_out:?}");
}
