//! The laws of merging, over random resources and over real ones, with random edits.
//!
//! A failure names the seed; `KEEPWELL_SEED=n` runs that one alone, and `KEEPWELL_ROUNDS=n` that many times the cases.

mod edits;
mod laws;
mod random;
mod resources;
mod shared;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
#[cfg(unix)]
use std::time::Duration;

use keepwell_merge::{Merger, Outcome};
use serde_json::{Value, json};

use crate::laws::{Case, Tally, bytes, parse};
use crate::random::Random;

/// Random resources that are tried, each with two random edits.
const SEEDS: u64 = 6_000;
/// Lists with an identity at the top of resources that are joined by element.
const LISTS: [&str; 14] = [
    "identifier",
    "telecom",
    "name",
    "address",
    "extension",
    "contact",
    "communication",
    "participant",
    "member",
    "entry",
    "target",
    "location",
    "note",
    "generalPractitioner",
];

/// Runs a law for each seed, or for the one that is asked for.
#[expect(clippy::print_stdout, reason = "a failure has to say how to repeat it")]
fn for_seeds(count: u64, law: impl Fn(u64)) {
    let asked = std::env::var("KEEPWELL_SEED").ok().and_then(|seed| seed.parse().ok());
    let rounds = std::env::var("KEEPWELL_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1);
    let seeds = asked.map_or(0..count * rounds, |seed: u64| seed..seed + 1);
    for seed in seeds {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| law(seed))) {
            println!("repeat with: KEEPWELL_SEED={seed} cargo test -p keepwell-merge --test laws");
            resume_unwind(panic);
        }
    }
}

/// A random resource and two edits of it, some of which agree.
fn random_case(random: &mut Random, kind: &str) -> Case {
    let base = resources::resource(random, kind);
    let mut versions = [base.clone(), base.clone()];
    if random.is(20) {
        let donor = resources::resource(random, kind);
        let mut shared = base.clone();
        edits::edit(random, &mut shared, &donor);
        versions = [shared.clone(), shared];
    }
    for version in &mut versions {
        let donor = resources::resource(random, kind);
        edits::edit(random, version, &donor);
    }
    Case::new(&base, &versions[0], &versions[1])
}

#[test]
fn random_resources_are_valid() {
    for_seeds(3_000, |seed| {
        let mut random = Random::new(seed);
        let kind = random.pick(&resources::TYPES);
        let resource = bytes(&resources::resource(&mut random, kind));
        let mut walker = keepwell_fhir::Walker::new();
        let walk = walker.walk(&resource).expect("JSON");
        assert_eq!(walk.issues, []);
    });
}

#[test]
fn laws_hold_for_random_resources() {
    let tally = std::cell::RefCell::new(Tally::default());
    for_seeds(SEEDS, |seed| {
        let mut random = Random::new(seed);
        let kind = random.pick(&resources::TYPES);
        random_case(&mut random, kind).check(&mut tally.borrow_mut());
    });
    let tally = tally.into_inner();
    println!("{tally:?}");
    if std::env::var_os("KEEPWELL_SEED").is_none() {
        assert!(tally.from_both > 500 && tally.conflicted > 500, "{tally:?}");
    }
}

#[test]
fn order_of_members_and_of_keyed_lists_does_not_matter() {
    for_seeds(SEEDS, |seed| {
        let mut random = Random::new(seed);
        let kind = random.pick(&resources::TYPES[..resources::JOINED]);
        let case = random_case(&mut random, kind);
        // Who takes part in an appointment is one value.
        case.order_does_not_matter(&mut random, if kind == "Appointment" { &[] } else { &LISTS });
        let kind = random.pick(&resources::TYPES);
        random_case(&mut random, kind).order_does_not_matter(&mut random, &[]);
    });
}

/// M12.
#[test]
fn two_real_edits_of_what_is_never_joined_are_a_conflict() {
    let count = std::cell::Cell::new(0);
    for_seeds(SEEDS, |seed| {
        let mut random = Random::new(seed);
        let kind = random.pick(&["MedicationRequest", "Condition"]);
        let case = random_case(&mut random, kind);
        let [base, mine, theirs] = [&case.base, &case.mine, &case.theirs].map(|json| without_notes(json));
        if mine != base && theirs != base && mine != theirs {
            count.set(count.get() + 1);
            assert!(matches!(case.merge(), Outcome::Conflicted(_)), "M12");
        }
    });
    println!("{} pairs of real edits", count.get());
}

/// A resource without what may be joined in any type, in whatever order.
fn without_notes(json: &[u8]) -> Value {
    let mut value = parse(json);
    let members = value.as_object_mut().expect("a resource");
    members.shift_remove("note");
    // An earlier merge may have dropped it.
    members.shift_remove("text");
    if let Some(Value::Object(meta)) = members.get_mut("meta") {
        meta.shift_remove("tag");
        meta.shift_remove("versionId");
    }
    members.retain(|_, member| member.as_object().is_none_or(|member| !member.is_empty()));
    for list in ["extension", "identifier", "category"] {
        if let Some(Value::Array(items)) = members.get_mut(list) {
            items.sort_by_key(Value::to_string);
        }
    }
    if let Some(Value::Object(meta)) = members.get_mut("meta") {
        for list in ["security", "profile"] {
            if let Some(Value::Array(items)) = meta.get_mut(list) {
                items.sort_by_key(Value::to_string);
            }
        }
    }
    value
}

#[test]
fn laws_hold_for_public_records_and_examples() {
    let Some(documents) = shared::resources() else { return };
    let tally = std::cell::RefCell::new(Tally::default());
    for_seeds(2_000, |seed| {
        let mut random = Random::new(seed);
        let base = &documents[random.below(documents.len())];
        let donor = &documents[random.below(documents.len())];
        let (mut mine, mut theirs) = (base.clone(), base.clone());
        // What is taken from elsewhere is of the same type, or not known here.
        edits::edit(&mut random, &mut mine, donor);
        edits::edit(&mut random, &mut theirs, base);
        Case::new(base, &mine, &theirs).check(&mut tally.borrow_mut());
    });
    println!("{:?} of {} documents", tally.into_inner(), documents.len());
}

#[test]
fn damaged_versions_never_panic() {
    for_seeds(SEEDS * 2, |seed| {
        let mut random = Random::new(seed);
        let kind = random.pick(&resources::TYPES);
        let case = random_case(&mut random, kind);
        let mut versions = [case.base, case.mine, case.theirs];
        for _ in 0..1 + random.below(3) {
            let version = &mut versions[random.below(3)];
            let at = random.below(version.len());
            match random.below(5) {
                0 => version[at] = b"\"\\{}[],:0en"[random.below(11)],
                1 => version[at] ^= 1 << random.below(8),
                2 => drop(version.remove(at)),
                3 => version.truncate(at.max(1)),
                _ => {
                    let other = random.below(version.len());
                    version.swap(at, other);
                }
            }
        }
        let [base, mine, theirs] = versions.each_ref().map(|version| (!random.is(5)).then_some(&version[..]));
        drop(Merger::new().merge(base, mine, theirs));
    });
}

/// What this thread has computed: a test must not fail since others compute too.
#[cfg(unix)]
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("it does not run backwards")
}

/// M10. The bounds are far above what it takes, and far below what quadratic time would.
#[cfg(unix)]
#[test]
fn long_lists_and_large_bundles_take_no_quadratic_time() {
    let entries = |count: usize, first: usize| -> Vec<Value> {
        (first..first + count).map(|n| json!({ "item": { "reference": format!("Condition/{n}") } })).collect()
    };
    let list = |entry: Vec<Value>| json!({ "resourceType": "List", "status": "current", "mode": "working", "entry": entry });
    let base = entries(20_000, 0);
    let (mut mine, mut theirs) = (base.clone(), base.clone());
    mine.extend(entries(1_000, 30_000));
    theirs.splice(0..0, entries(1_000, 50_000));
    let case = Case::new(&list(base), &list(mine), &list(theirs));
    let start = cpu_time();
    let Outcome::Merged(merged) = case.merge() else { panic!("a conflict") };
    let result = parse(merged.bytes.as_deref().expect("a resource"));
    assert_eq!(result["entry"].as_array().map(Vec::len), Some(22_000));
    let took = cpu_time() - start;
    assert!(took.as_secs() < 10, "a list: {took:?}");

    let unknown = |salt: usize| {
        let members = (0..40_000).map(|n| (format!("x{n}"), json!(n % (salt + 2))));
        let mut resource = json!({ "resourceType": "Basic" });
        resource.as_object_mut().expect("an object").extend(members);
        resource
    };
    let case = Case::new(&unknown(0), &unknown(1), &unknown(2));
    let start = cpu_time();
    drop(case.merge());
    let took = cpu_time() - start;
    assert!(took.as_secs() < 10, "unknown members: {took:?}");
}

/// M10 for depth: the deepest extensions that a document may have, changed at the bottom by both sides.
#[test]
fn the_deepest_documents_are_joined() {
    let nested = |one: &str, two: &str| {
        let depth = (keepwell_fhir::MAX_DEPTH - 4) / 2;
        let leaf = format!(r#"{{"url":"a","valueString":"{one}"}},{{"url":"b","valueString":"{two}"}}"#);
        let (open, close) = (r#"{"url":"u","extension":["#.repeat(depth), "]}".repeat(depth));
        format!(r#"{{"resourceType":"Patient","extension":[{open}{leaf}{close}]}}"#).into_bytes()
    };
    let case = Case { base: nested("1", "1"), mine: nested("2", "1"), theirs: nested("1", "2") };
    let Outcome::Merged(merged) = case.merge() else { panic!("a conflict") };
    assert_eq!(merged.bytes.as_deref(), Some(&nested("2", "2")[..]));
}

/// M10 for size: a Bundle is never joined, so it is compared and no more.
#[test]
fn a_large_bundle_takes_milliseconds() {
    let bundle = |last: &str| {
        let entry = r#"{"resource":{"resourceType":"Basic","code":{"text":"some text of a code"}}}"#;
        let entries = vec![entry; 12_000].join(",");
        format!(r#"{{"resourceType":"Bundle","type":"{last}","entry":[{entries}]}}"#).into_bytes()
    };
    let case = Case { base: bundle("batch"), mine: bundle("collection"), theirs: bundle("document") };
    let start = std::time::Instant::now();
    assert!(matches!(case.merge(), Outcome::Conflicted(_)));
    println!("{} bytes in {:?}", case.base.len(), start.elapsed());
    assert!(start.elapsed().as_secs() < 5);
}
