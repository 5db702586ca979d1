//! Search strings, good and bad.

use keepwell_fhir::{IssueType, ResourceType};
use keepwell_search::{
    Criterion, Handling, MAX_CHAIN_DEPTH, MAX_FILTER_DEPTH, MAX_INCLUDES, MAX_QUERY_BYTES, MAX_TERMS,
    MAX_VALUES, NoTerminology, Parameters, Query, QueryError, Scope, Summary, Total, plan,
};
use proptest::prelude::*;

use crate::corpus::Corpus;
use crate::generate::{Random, resources};

fn parse(name: &str, text: &str) -> Result<Query, QueryError> {
    let scope = Scope { resource_type: ResourceType::parse(name), ..Scope::default() };
    Query::parse(&Parameters::r4(), &scope, text, Handling::Strict).map(|(query, _)| query)
}

/// The code of the error, or 0.
fn code(name: &str, text: &str) -> u16 {
    parse(name, text).err().map_or(0, |error| error.code())
}

#[test]
fn what_r4_knows_is_understood() {
    for (name, text) in [
        ("Patient", ""),
        ("Patient", "&&"),
        ("Patient", "name=peter&name:exact=Peter&name:contains=ete&name:missing=true"),
        (
            "Patient",
            "birthdate=ge2000&birthdate=lt2010-05-01T10:00:00%2B02:00&birthdate=2000-01-01T10:00:00+02:00",
        ),
        ("Patient", "gender:not=male,female&identifier:of-type=http://t|MR|7&_id=1,2&_id:not=3"),
        ("Patient", "general-practitioner:Practitioner.name=x&organization.partof.partof.name=y"),
        (
            "Patient",
            "_has:Observation:patient:code=1234-5&_has:Observation:subject:_has:AuditEvent:entity:agent=x",
        ),
        ("Patient", "_has:Observation:patient:encounter.class=IMP"),
        ("Patient", "_list=42&_tag=a|b&_security=c&_profile=http://p&_source=http://s&_lastUpdated=gt2020"),
        ("Patient", "_text=broken leg&_content=x*,y"),
        (
            "Observation",
            "subject:identifier=http://s|7&subject=Patient/7&subject=http://x/Patient/7&subject:Patient=7",
        ),
        ("Observation", "code:in=http://v&code:below=http://s|c&code:text=head&code:not-in=ValueSet/7"),
        ("Observation", "value-quantity=5.4|http://unitsofmeasure.org|mg&value-quantity=ap5||mg"),
        ("Observation", "code-value-quantity=http://s|c$gt5.4|http://unitsofmeasure.org|mg"),
        ("Observation", "_filter=code eq a|b and (value-quantity ge 5 or not (subject.name co \"pet\"))"),
        (
            "Observation",
            "_sort=-date,_id,-_lastUpdated&_count=20&_total=accurate&_summary=count&_elements=id,code",
        ),
        (
            "Observation",
            "_include=Observation:subject&_include:iterate=Patient:organization:Organization&_include=*",
        ),
        (
            "Observation",
            "_revinclude=Provenance:target&_revinclude:iterate=*:*&_contained=false&_containedType=contained",
        ),
        ("Location", "near=42.25|-83.5|10|km&near=1|2"),
        ("ValueSet", "url:below=http://x/&url:above=http://x/y/z&_format=json&_pretty=true"),
        ("", "_type=Patient,Observation&_id=7&_lastUpdated=2020"),
        ("", "_type=Patient,Practitioner&family=x"),
    ] {
        assert_eq!(code(name, text), 0, "{name}?{text}: {:?}", parse(name, text).err());
    }
}

#[test]
fn results_are_asked_for() {
    let query =
        parse("Observation", "_sort=-date,code&_count=7&_total=estimate&_summary=text&_elements=id,,x");
    let query = query.expect("a query");
    assert_eq!((query.count, query.total, query.summary), (Some(7), Some(Total::Estimate), Summary::Text));
    assert_eq!(query.sort.iter().map(|key| key.descending).collect::<Vec<_>>(), [true, false]);
    assert_eq!(query.criterion, Criterion::All(Vec::new()));
    let query = parse("", "_type=Patient,Observation&_type=Observation,Group").expect("a query");
    assert_eq!(query.types.iter().map(|kind| kind.name()).collect::<Vec<_>>(), ["Observation"]);
}

/// Both ask for the same.
fn same(name: &str, one: &str, other: &str) {
    let criterion = |text: &str| parse(name, text).map(|query| query.criterion);
    assert_eq!(criterion(one), criterion(other), "{name}?{one} and {other}");
    assert!(criterion(one).is_ok(), "{one}");
}

#[test]
fn filters_ask_for_what_parameters_ask_for() {
    for (filter, parameters) in [
        ("code eq http://s|c", "code=http://s|c"),
        ("code eq a and status eq final", "code=a&status=final"),
        ("(code eq a and (status eq final))", "code=a&status=final"),
        ("date ge 2020-01", "date=ge2020-01"),
        (
            "value-quantity lt 5.4|http://unitsofmeasure.org|mg",
            "value-quantity=lt5.4|http://unitsofmeasure.org|mg",
        ),
        ("subject:Patient.family sw \"x y\"", "subject:Patient.family=x y"),
        ("subject re Patient/7", "subject=Patient/7"),
        ("code in http://v", "code:in=http://v"),
        ("code ni http://v", "code:not-in=http://v"),
        ("code sb http://s|c", "code:below=http://s|c"),
        ("code ss http://s|c", "code:above=http://s|c"),
        ("date pr true", "date:missing=false"),
        ("not (status eq final)", "status:not=final"),
        ("_has:Provenance:target:recorded gt 2020", "_has:Provenance:target:recorded=gt2020"),
        (
            "subject:Patient[gender eq male].family sw x",
            "_filter=subject:Patient[(gender eq male)].family sw x",
        ),
    ] {
        same("Observation", &format!("_filter={filter}"), parameters);
    }
    let all = parse("Observation", "_filter=code eq a or code eq b and not (code eq c)").expect("a query");
    let Criterion::All(all) = all.criterion else { panic!("from the left to the right") };
    assert!(matches!(&all[..], [Criterion::Any(any), Criterion::Not(_)] if any.len() == 2));
    let filter =
        "_filter=subject:Patient[gender eq male and name co \"x] y\"].organization[active eq true].name eq z";
    let Criterion::Chain(chain) = parse("Observation", filter).expect("a query").criterion else {
        panic!("a chain");
    };
    let [(_, Criterion::All(both))] = &chain.targets[..] else { panic!("a filter and the rest") };
    assert!(matches!(&both[..], [Criterion::All(all), Criterion::Chain(_)] if all.len() == 2));
}

#[test]
fn encodings_and_escapes_are_undone() {
    same("Patient", "name=a%2Cb", "name=a,b");
    same("Patient", "name=a+b", "name=a%20b");
    same("Patient", "n%61me=x", "name=x");
    same("Patient", "birthdate=2000-01-01T10:00:00+02:00", "birthdate=2000-01-01T10:00:00%2B02:00");
    let values = |text: &str| match parse("Patient", text).expect("a query").criterion {
        Criterion::Clause(clause) => format!("{:?}", clause.matching),
        other => panic!("not one clause: {other:?}"),
    };
    assert_eq!(values(r"name=a\,b").matches("String {").count(), 1);
    assert_eq!(values(r"name=a\\,b").matches("String {").count(), 2);
    assert!(values(r"identifier=a\|b").contains(r#"Any, code: Some("a|b")"#));
}

#[test]
fn what_is_wrong_has_its_code() {
    for (name, text, expected) in [
        ("Patient", "nmae=peter", 301),
        ("Patient", "", 0),
        ("", "name=peter", 301),
        ("Patient", "_has:Observation:nowhere:code=x", 301),
        ("Patient", "_has:Observation:code:code=x", 301),
        ("Patient", "_has:Observation:specimen:code=x", 301),
        ("Patient", "name.family=x", 301),
        ("Patient", "_sort=nowhere", 301),
        ("Observation", "_sort=code-value-quantity", 301),
        ("Patient", "_include=Patient:name", 301),
        ("Patient", "name:upper=x", 302),
        ("Patient", "birthdate:exact=2000", 302),
        ("Patient", "organization:Patient=7", 302),
        ("Patient", "organization:Patient.name=7", 302),
        ("Patient", "_include:often=Patient:organization", 302),
        ("Patient", "birthdate=xx2000", 303),
        ("Patient", "birthdate=2000,le2001,zz2002", 303),
        ("Patient", "birthdate=ge", 304),
        ("Patient", "birthdate=***", 304),
        ("Patient", "name:missing=perhaps", 304),
        ("Patient", "identifier=a|b|c", 304),
        ("Patient", "identifier=|", 304),
        ("Patient", "identifier=a,,b", 304),
        ("Patient", "_has:Observation=x", 304),
        ("Patient", "_count=-1", 304),
        ("Patient", "_count=99999999999999999999", 304),
        ("Patient", "_total=exact", 304),
        ("Patient", "_include=Patient", 304),
        ("Patient", "_filter=name", 304),
        ("Patient", "_filter=(name eq x", 304),
        ("Patient", "_filter=name eq \"x", 304),
        ("Patient", "_filter=name eq x y", 304),
        ("Patient", "_filter=name is x", 304),
        ("Observation", "value-quantity=a", 304),
        ("Observation", "value-quantity=5|a|b|c", 304),
        ("Observation", "code-value-quantity=a", 304),
        ("Observation", "code-value-quantity=a$5$6", 304),
        ("Location", "near=x|y", 304),
        ("Location", "near=91|0", 304),
        ("Location", "near=1|1|5|mg", 304),
        ("", "_type=Patient,Nothing", 304),
        ("Patient", "name=", 305),
        ("Patient", "name", 305),
        ("Patient", "_count=1&_count=2", 306),
        ("Patient", "_query=x", 308),
        ("Patient", "family=x&_contained=maybe", 304),
        ("Patient", "family=x&_contained=true&_contained=both", 306),
        ("Condition", "_list=$current-wishes", 308),
        ("Patient", "_filter=name[a eq b].c eq d", 301),
        ("Patient", "_filter=organization[name eq x] eq d", 304),
        ("Patient", "_filter=organization[name eq x.name eq d", 304),
        ("Patient", "organization[name eq x].name=d", 301),
        ("Patient", "_filter=name gt x", 308),
    ] {
        assert_eq!(code(name, text), expected, "{name}?{text}");
    }
}

#[test]
fn limits_are_kept() {
    let many = |count: usize, text: &str| vec![text; count].join(",");
    assert_eq!(code("Patient", &format!("name={}", "x".repeat(MAX_QUERY_BYTES))), 307);
    assert_eq!(code("Patient", &format!("_id={}", many(MAX_VALUES + 1, "1"))), 307);
    assert_eq!(code("Patient", &format!("_id={}", many(MAX_VALUES, "1"))), 0);
    let chain = |depth| format!("{}name=x", "organization.".to_owned() + &"partof.".repeat(depth));
    assert_eq!(code("Patient", &chain(MAX_CHAIN_DEPTH - 1)), 0);
    assert_eq!(code("Patient", &chain(MAX_CHAIN_DEPTH)), 307);
    let include = "_include=Patient:organization&".repeat(MAX_INCLUDES + 1);
    assert_eq!(code("Patient", &include), 307);
    let filter = |depth| format!("_filter={}name eq x{}", "(".repeat(depth), ")".repeat(depth));
    assert_eq!(code("Patient", &filter(MAX_FILTER_DEPTH)), 0);
    assert_eq!(code("Patient", &filter(MAX_FILTER_DEPTH + 1)), 307);
    assert_eq!(code("Patient", &filter(100_000)), 307);
    // References to anything fan out over all types, again and again.
    assert_eq!(code("Composition", &format!("{}_id=x", "subject.".repeat(5))), 307);
    let query =
        parse("", &format!("_id={}", many(MAX_TERMS / ResourceType::COUNT + 1, "1"))).expect("a query");
    assert_eq!(plan(&query, &NoTerminology).err().map(|error| error.code()), Some(307));
    assert_eq!(code("Patient", "_sort=a,b,c,d,e,f,g,h,i"), 301);
}

#[test]
fn lenient_handling_leaves_out_what_is_not_known() {
    let scope = Scope { resource_type: ResourceType::parse("Patient"), ..Scope::default() };
    let text = "nmae=secret&name=peter&name:upper=x&gender=";
    let (query, issues) = Query::parse(&Parameters::r4(), &scope, text, Handling::Lenient).expect("a query");
    assert!(matches!(query.criterion, Criterion::Clause(_)));
    assert_eq!(issues.len(), 3);
    assert!(issues[0].diagnostics.contains("nmae") && !issues[0].diagnostics.contains("secret"));
    assert_eq!(issues[0].code, IssueType::NotSupported);
    assert!(Query::parse(&Parameters::r4(), &scope, "birthdate=x", Handling::Lenient).is_err());
}

#[test]
fn errors_name_the_parameter_and_never_the_value() {
    let error = parse("Patient", "birthdate=1970,Peter Chalmers").expect_err("no date");
    assert_eq!(
        error.to_string(),
        "the search parameter \"birthdate\" has a malformed value: alternative 2: a date"
    );
    let error = parse("Patient", &format!("{}=1", "x".repeat(1_000))).expect_err("no parameter");
    assert!(error.to_string().len() < 200);
    let query = parse("Patient", "identifier:in=http://secret").expect("a query");
    let error = plan(&query, &NoTerminology).expect_err("no value set");
    assert_eq!((error.code(), error.to_string().contains("secret")), (309, false));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_text_is_a_query_or_an_error(text in "[a-z_:.,|$\\\\%&=()\"'*+;0-9 \\x00é-]{0,200}", name in 0_usize..148) {
        let scope = Scope { resource_type: ResourceType::from_code(u8::try_from(name).expect("a code")), ..Scope::default() };
        let _ = Query::parse(&Parameters::r4(), &scope, &text, Handling::Strict);
        let _ = Query::parse(&Parameters::r4(), &scope, &text, Handling::Lenient);
    }

    #[test]
    fn any_value_is_searched_for_or_refused(
        value in "\\PC{0,60}|[%_'\"\\x00.*+?^$(){}|\\\\;-]{1,40}|.{0,10}",
        parameter in "name|name:exact|name:contains|identifier|birthdate|organization|_id|_text|_content|_filter|link|address",
    ) {
        let corpus = Corpus::new(Parameters::r4(), resources(&mut Random::new(7), 12), 0);
        let text = format!("{parameter}={}", crate::generate::encoded(&value));
        let scope = Scope { resource_type: ResourceType::parse("Patient"), ..Scope::default() };
        if let Ok((query, _)) = Query::parse(&corpus.parameters, &scope, &text, Handling::Strict) {
            prop_assert_eq!(corpus.planned(&query).expect("no terminology is asked"), corpus.matching(&query));
        }
    }
}

#[test]
fn ten_thousand_characters_are_searched_for() {
    let corpus = Corpus::new(Parameters::r4(), resources(&mut Random::new(7), 40), 0);
    for character in ["x", "%25", "_", "'", "%00", "\\\\", "*", "ü"] {
        for parameter in ["name", "name:contains", "name:exact", "identifier", "_content"] {
            let scope = Scope { resource_type: ResourceType::parse("Patient"), ..Scope::default() };
            let text = format!("{parameter}={}", character.repeat(10_000));
            if let Ok((query, _)) = Query::parse(&corpus.parameters, &scope, &text, Handling::Strict) {
                assert_eq!(corpus.planned(&query).expect("a plan"), corpus.matching(&query));
            }
        }
    }
}
