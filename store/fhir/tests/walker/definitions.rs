//! The committed tables are what the generator makes of the official files.

use crate::shared;

#[path = "../../examples/generate_definitions/compile.rs"]
mod compile;

#[test]
fn committed_definitions_follow_from_the_official_files() {
    let Some(folder) = shared::folder("fhir/r4") else { return };
    let committed = include_str!("../../src/definitions/r4.rs");
    let compiled = compile::definitions(&folder);
    let hint = "run: cargo run -p keepwell-fhir --example generate_definitions -- ../shared/fhir/r4";
    assert!(committed == compiled, "{hint}");
}
