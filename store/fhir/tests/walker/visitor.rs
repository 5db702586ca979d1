//! What a visitor is told of the official examples.

use keepwell_fhir::{ElementNumber, ResourceType, Span, Visitor, Walker};
use serde_json::value::RawValue;

use crate::shared;

/// Counts values, and checks that they nest and are JSON.
#[derive(Default)]
struct Checks<'a> {
    document: &'a [u8],
    /// The open elements, each with the place where the last value inside it ended.
    open: Vec<(ElementNumber, u32)>,
    values: usize,
    resources: usize,
    problems: usize,
}

impl Visitor for Checks<'_> {
    fn begin(&mut self, _: ResourceType) {
        assert!(self.open.is_empty());
    }

    fn enter(&mut self, element: ElementNumber) {
        let at = self.open.last().map_or(0, |(_, at)| *at);
        self.open.push((element, at));
    }

    fn leave(&mut self, value: Span) {
        let (_, inner_end) = self.open.pop().expect("what is left was entered");
        let starts_before = self.open.last().is_none_or(|(_, at)| *at <= value.start);
        let is_json = serde_json::from_slice::<&RawValue>(value.bytes(self.document)).is_ok();
        self.problems += usize::from(!starts_before || inner_end > value.end || !is_json);
        if let Some((_, at)) = self.open.last_mut() {
            *at = value.end;
        }
        self.values += 1;
    }

    fn nested(&mut self, _: ResourceType, _: bool, value: Span) {
        let is_object = value.bytes(self.document).starts_with(b"{") && !self.open.is_empty();
        self.problems += usize::from(!is_object);
        self.resources += 1;
    }
}

#[test]
fn a_visitor_sees_values_that_nest_and_changes_nothing() {
    let Some(folder) = shared::folder("data/examples") else { return };
    let mut walker = Walker::new();
    let (mut values, mut resources) = (0, 0);
    // The definitions are most of the bytes and all alike.
    let files = shared::files(&folder);
    let files = files.iter().filter(|path| {
        !["StructureDefinition", "CodeSystem", "ValueSet"]
            .iter()
            .any(|name| shared::name(path).starts_with(name))
    });
    for path in files {
        for line in shared::lines(&shared::read(path)) {
            let issues = walker.walk(line).expect("the examples are JSON").issues.to_vec();
            let mut checks = Checks { document: line, ..Checks::default() };
            let walk = walker.walk_with(line, &mut checks).expect("the examples are JSON");
            assert_eq!(walk.issues, issues);
            assert_eq!((checks.open.len(), checks.problems), (0, 0));
            values += checks.values;
            resources += checks.resources;
        }
    }
    assert!(values > 100_000 && resources > 1_000, "{values} values, {resources} resources");
}
