//! Random resources and random searches for them, from few words, so that many of them meet.
//!
//! The same seed gives the same: a failing case is repeated by its seed.

use keepwell_fhir::ResourceType;
use keepwell_search::{Base, Parameter, ParameterKind, ParameterNumber, Parameters};
use serde_json::{Map, Value, json};

/// A small generator of random numbers (SplitMix64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).expect("below a usize")
    }

    fn one_in(&mut self, limit: usize) -> bool {
        self.below(limit) == 0
    }

    fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }

    fn text(&mut self, list: &[&str]) -> String {
        (*self.pick(list)).to_owned()
    }
}

const NAMES: &[&str] = &[
    "Müller",
    "muller",
    "MULLER",
    "Mu\u{308}ller-Lüdenscheidt",
    "Smith",
    "Smithson",
    "Anna",
    "Ann",
    "Straße",
    "strasse",
    "O'Brien",
    "de la Cruz",
    "100%",
    "a_b",
    "a,b",
    "a|b",
    "a$b",
    "back\\slash",
    "王",
    " ",
    "Ünal",
    "İz",
    "A name that is so long that no index keeps all of it, but only where it begins",
    "A name that is so long that no index keeps all of it, but only where it begins, or another",
    "A name that is so long that no index keeps all of it and more",
];
const CODES: &[&str] =
    &["a", "A", "ab", "b", "final", "8480-6", "x y", "8480-60", "true", "a|b", "deep", "root", "leaf"];
const SYSTEMS: &[&str] = &["http://loinc.org", "http://s", "urn:oid:1.2.3", "http://tree"];
const UNITS: &[&str] =
    &["mg", "g", "kg", "Cel", "[degF]", "mmol/L", "mol/L", "{score}", "nonsense", "mm[Hg]"];
const NUMBERS: &[&str] = &[
    "0",
    "1",
    "5",
    "5.0",
    "5.4",
    "5.40",
    "5.35",
    "5.45",
    "5.449",
    "-3",
    "100",
    "99.5",
    "100.5",
    "1e2",
    "1000",
    "0.001",
    "37",
    "98.6",
    "5400",
    "5.4e-3",
    "0.0054",
    "310.15",
    "1e-40",
    "123456789012345678901234567890",
    "95",
    "105",
];
const DATES: &[&str] = &[
    "2020",
    "2020-02",
    "2020-02-29",
    "2020-02-28",
    "2020-03",
    "2019",
    "2021-01-01",
    "2020-02-29T12:00:00Z",
    "2020-02-29T12:00:00+02:00",
    "2020-02-29T12:00:00.5Z",
    "2020-02-29T12:00:00.50Z",
    "2020-02-29T23:59:59Z",
    "0001",
    "9999",
    "9999-12-31",
    "2020-01-01T00:00:00Z",
    "2020-12-31T23:59:59.999Z",
    "1980-05-11",
    "2016-12-31T23:59:60Z",
];
const URLS: &[&str] = &[
    "http://example.org/a",
    "http://example.org/a/b",
    "http://example.org/a/",
    "http://example.org",
    "urn:oid:1.2",
    "urn:oid:1.2.3",
    "http://example.org/q",
    "http://example.org/ab",
    "relative",
    "http://example.org/a/very/long/path/to/something/that/is/cut/somewhere/one",
    "http://example.org/a/very/long/path/to/something/that/is/cut/somewhere/two",
];
const VERSIONS: &[&str] = &["1", "1.0", "10", "2"];
const IDS: &[&str] = &[
    "1",
    "2",
    "a-b.c",
    "7",
    "x",
    "Y",
    "0b0b0b0b-1111-4222-8333-444444444444",
    "0B0B0B0B-1111-4222-8333-444444444444",
];

/// The types that resources are made of.
const TYPES: &[&str] = &[
    "Patient",
    "Organization",
    "Observation",
    "Encounter",
    "Condition",
    "RiskAssessment",
    "Location",
    "Questionnaire",
    "QuestionnaireResponse",
    "List",
    "DocumentReference",
    "Practitioner",
    "ValueSet",
    "CodeSystem",
];

/// The parameters that the resources have values for: most searches use them.
const FILLED: &[&str] = &[
    "_id",
    "_lastUpdated",
    "_tag",
    "_profile",
    "_source",
    "_text",
    "_content",
    "identifier",
    "name",
    "family",
    "given",
    "birthdate",
    "gender",
    "active",
    "telecom",
    "address",
    "address-city",
    "organization",
    "general-practitioner",
    "deceased",
    "partof",
    "part-of",
    "type",
    "status",
    "category",
    "code",
    "subject",
    "patient",
    "encounter",
    "derived-from",
    "focus",
    "date",
    "value-concept",
    "value-string",
    "value-quantity",
    "combo-code",
    "combo-value-quantity",
    "component-code",
    "component-value-quantity",
    "code-value-quantity",
    "code-value-concept",
    "combo-code-value-quantity",
    "component-code-value-quantity",
    "code-value-string",
    "class",
    "service-provider",
    "length",
    "onset-date",
    "onset-age",
    "recorded-date",
    "probability",
    "near",
    "url",
    "version",
    "title",
    "context-type-quantity",
    "context-type-value",
    "context-quantity",
    "questionnaire",
    "authored",
    "item",
    "relatesto",
    "relation",
    "relationship",
];

/// Some resources, no two of the same type with the same id; a code system and value sets among them.
pub(crate) fn resources(random: &mut Random, count: usize) -> Vec<Vec<u8>> {
    let mut made: Vec<Value> = vec![
        json!({"resourceType":"CodeSystem","id":"tree","url":"http://tree","status":"active","content":"complete",
            "concept":[{"code":"root","concept":[{"code":"deep","concept":[{"code":"leaf"}]}]},{"code":"a"}]}),
        json!({"resourceType":"ValueSet","id":"vs","url":"http://example.org/vs","status":"active","compose":{"include":[
            {"system":"http://tree","filter":[{"property":"concept","op":"is-a","value":"deep"}]},
            {"system":"http://s","concept":[{"code":"ab"}]}]}}),
        json!({"resourceType":"ValueSet","id":"whole","url":"http://example.org/whole","status":"active",
            "compose":{"include":[{"system":"http://s"}],"exclude":[{"system":"http://s","concept":[{"code":"b"}]}]}}),
    ];
    while made.len() < count {
        let resource = resource(random);
        let is_new = |other: &&Value| {
            other["resourceType"] == resource["resourceType"] && other["id"] == resource["id"]
        };
        if made.iter().find(is_new).is_none() {
            made.push(resource);
        }
    }
    made.iter().map(|resource| serde_json::to_vec(resource).expect("JSON")).collect()
}

fn resource(random: &mut Random) -> Value {
    let mut resource = plain_resource(random);
    if random.one_in(3) {
        let contained: Vec<Value> = (0..=random.below(2)).map(|_| plain_resource(random)).collect();
        resource["contained"] = json!(contained);
    }
    resource
}

fn plain_resource(random: &mut Random) -> Value {
    let name = *random.pick(&TYPES[..12]);
    let mut body = Body { random, members: Map::new() };
    body.members.insert("resourceType".into(), json!(name));
    let id = body.random.text(IDS);
    body.members.insert("id".into(), json!(id));
    body.some("identifier", |random| json!([identifier(random)]));
    body.some(
        "meta",
        |random| json!({"tag":[coding(random)],"profile":[canonical(random)],"source":random.text(URLS)}),
    );
    body.some("text", |random| {
        let word = random.text(NAMES).replace(['&', '<'], " ");
        json!({"status":"generated","div":format!("<div xmlns=\"http://www.w3.org/1999/xhtml\"><b>{word}</b> text</div>")})
    });
    match name {
        "Patient" => {
            body.some("name", |random| json!([human_name(random), human_name(random)]));
            body.some("birthDate", |random| date_of_len(random, 10));
            body.some("gender", |random| json!(random.pick(&["male", "female"])));
            body.some("active", |random| json!(random.one_in(2)));
            body.some("telecom", |random| json!([{"system":"phone","value":random.text(CODES)}]));
            body.some("address", |random| json!([{"city":random.text(NAMES),"line":[random.text(NAMES)]}]));
            body.some("managingOrganization", |random| reference(random, "Organization"));
            body.some("generalPractitioner", |random| {
                json!([reference(random, "Practitioner"), reference(random, "Organization")])
            });
            body.some("deceasedBoolean", |random| json!(random.one_in(2)));
        }
        "Practitioner" => body.some("name", |random| json!([human_name(random)])),
        "Organization" => {
            body.some("name", |random| json!(random.text(NAMES)));
            body.some("alias", |random| json!([random.text(NAMES)]));
            body.some("partOf", |random| reference(random, "Organization"));
            body.some("type", |random| json!([concept(random)]));
        }
        "Observation" => body.observation(),
        "Encounter" => {
            body.some("status", |random| json!(random.text(CODES)));
            body.some("class", coding);
            body.some("subject", |random| reference(random, "Patient"));
            body.some("period", period);
            body.some("serviceProvider", |random| reference(random, "Organization"));
            body.some("partOf", |random| reference(random, "Encounter"));
            body.some("length", quantity);
        }
        "Condition" => {
            body.some("code", concept);
            body.some("subject", |random| reference(random, "Patient"));
            body.some("encounter", |random| reference(random, "Encounter"));
            match body.random.below(4) {
                0 => body.some("onsetDateTime", date),
                1 => body.some("onsetRange", range),
                2 => body.some("onsetAge", quantity),
                _ => body.some("onsetPeriod", period),
            }
            body.some("recordedDate", date);
        }
        "RiskAssessment" => {
            body.some("subject", |random| reference(random, "Patient"));
            body.some("prediction", |random| match random.one_in(2) {
                true => json!([{"probabilityDecimal":number(random)}, {"probabilityDecimal":number(random)}]),
                false => json!([{"probabilityRange":range(random)}]),
            });
        }
        "Location" => {
            body.some("name", |random| json!(random.text(NAMES)));
            body.some("position", |random| {
                json!({"latitude":42.0 + f64::from(u8::try_from(random.below(100)).expect("small")) / 100.0,
                    "longitude":-83.5 + f64::from(u8::try_from(random.below(100)).expect("small")) / 100.0})
            });
            body.some("partOf", |random| reference(random, "Location"));
        }
        "Questionnaire" => {
            body.some("url", |random| json!(random.text(URLS)));
            body.some("version", |random| json!(random.text(VERSIONS)));
            body.some("title", |random| json!(random.text(NAMES)));
            body.some("useContext", |random| {
                json!([{"code":coding(random),"valueQuantity":quantity(random)},
                    {"code":coding(random),"valueCodeableConcept":concept(random)}])
            });
        }
        "QuestionnaireResponse" => {
            body.some("questionnaire", canonical);
            body.some("subject", |random| reference(random, "Patient"));
            body.some("authored", date);
        }
        "List" => {
            body.some(
                "entry",
                |random| json!([{"item":any_reference(random)}, {"item":any_reference(random)}]),
            );
            body.some("code", concept);
            body.some("title", |random| json!(random.text(NAMES)));
        }
        _ => {
            body.some("type", concept);
            body.some("subject", |random| reference(random, "Patient"));
            body.some(
                "relatesTo",
                |random| json!([{"code":random.text(CODES),"target":reference(random, "DocumentReference")}]),
            );
            body.some("date", date);
        }
    }
    Value::Object(body.members)
}

/// A resource being made: each element is there in two of three cases.
struct Body<'r> {
    random: &'r mut Random,
    members: Map<String, Value>,
}

impl Body<'_> {
    fn some(&mut self, name: &str, make: impl FnOnce(&mut Random) -> Value) {
        if !self.random.one_in(3) {
            self.members.insert(name.into(), make(self.random));
        }
    }

    fn observation(&mut self) {
        self.some("status", |random| json!(random.text(CODES)));
        self.some("category", |random| json!([concept(random), concept(random)]));
        self.some("code", concept);
        self.some("subject", |random| reference(random, "Patient"));
        self.some("encounter", |random| reference(random, "Encounter"));
        self.some("derivedFrom", |random| json!([reference(random, "Observation")]));
        self.some("focus", |random| json!([any_reference(random)]));
        match self.random.below(4) {
            0 => self.some("effectivePeriod", period),
            1 => self.some("effectiveTiming", |random| json!({"event":[date(random), date(random)]})),
            _ => self.some("effectiveDateTime", date),
        }
        match self.random.below(5) {
            0 => self.some("valueCodeableConcept", concept),
            1 => self.some("valueString", |random| json!(random.text(NAMES))),
            2 => self.some("valueSampledData", |random| {
                json!({"origin":quantity(random),"period":1,"dimensions":1,"data":format!("{} {}", number(random), number(random))})
            }),
            _ => self.some("valueQuantity", quantity),
        }
        self.some("component", |random| {
            json!([{"code":concept(random),"valueQuantity":quantity(random)},
                {"code":concept(random),"valueQuantity":quantity(random)}])
        });
    }
}

fn coding(random: &mut Random) -> Value {
    let mut coding = json!({"code":random.text(CODES)});
    if !random.one_in(4) {
        coding["system"] = json!(random.text(SYSTEMS));
    }
    if random.one_in(2) {
        coding["display"] = json!(random.text(NAMES));
    }
    if random.one_in(12) {
        coding.as_object_mut().expect("an object").remove("code");
    }
    coding
}

fn concept(random: &mut Random) -> Value {
    match random.below(4) {
        0 => json!({"text":random.text(NAMES)}),
        1 => json!({"coding":[coding(random), coding(random)],"text":random.text(NAMES)}),
        _ => json!({"coding":[coding(random)]}),
    }
}

fn identifier(random: &mut Random) -> Value {
    match random.below(3) {
        0 => json!({"value":random.text(CODES)}),
        1 => json!({"system":random.text(SYSTEMS),"value":random.text(CODES)}),
        _ => json!({"system":random.text(SYSTEMS),"value":random.text(CODES),"type":concept(random)}),
    }
}

fn human_name(random: &mut Random) -> Value {
    json!({"family":random.text(NAMES),"given":[random.text(NAMES), random.text(NAMES)]})
}

fn reference(random: &mut Random, name: &str) -> Value {
    let id = random.text(IDS);
    match random.below(14) {
        12 | 13 => json!({"reference":format!("#{id}")}),
        0 => json!({"identifier":identifier(random)}),
        1 => json!({"reference":format!("http://elsewhere.org/fhir/{name}/{id}")}),
        2 => json!({"reference":format!("{name}/{id}/_history/{}", random.pick(&["1", "2"]))}),
        3 => json!({"reference":id}),
        4 => json!({"reference":format!("urn:uuid:{id}"),"identifier":identifier(random)}),
        5 => json!({"display":"somebody"}),
        _ => json!({"reference":format!("{name}/{id}")}),
    }
}

fn any_reference(random: &mut Random) -> Value {
    let name = *random.pick(TYPES);
    reference(random, name)
}

fn canonical(random: &mut Random) -> Value {
    let url = random.text(URLS);
    if random.one_in(2) { json!(url) } else { json!(format!("{url}|{}", random.pick(VERSIONS))) }
}

fn number(random: &mut Random) -> Value {
    serde_json::from_str(&random.text(NUMBERS)).expect("a number")
}

fn quantity(random: &mut Random) -> Value {
    let mut quantity = json!({"value":number(random)});
    match random.below(5) {
        0 => {}
        1 => quantity["unit"] = json!(random.text(UNITS)),
        2 => {
            quantity["system"] = json!(random.text(SYSTEMS));
            quantity["code"] = json!(random.text(UNITS));
        }
        _ => {
            quantity["system"] = json!("http://unitsofmeasure.org");
            quantity["code"] = json!(random.text(UNITS));
            quantity["unit"] = json!(random.text(UNITS));
        }
    }
    if random.one_in(8) {
        quantity["comparator"] = json!(random.pick(&["<", "<=", ">", ">="]));
    }
    quantity
}

fn range(random: &mut Random) -> Value {
    match random.below(4) {
        0 => json!({"low":quantity(random)}),
        1 => json!({"high":quantity(random)}),
        _ => json!({"low":quantity(random),"high":quantity(random)}),
    }
}

fn date(random: &mut Random) -> Value {
    json!(random.text(DATES))
}

fn date_of_len(random: &mut Random, most: usize) -> Value {
    let dates: Vec<_> = DATES.iter().filter(|date| date.len() <= most).collect();
    json!(random.pick(&dates))
}

fn period(random: &mut Random) -> Value {
    match random.below(4) {
        0 => json!({"start":date(random)}),
        1 => json!({"end":date(random)}),
        _ => json!({"start":date(random),"end":date(random)}),
    }
}

/// A type and a search for resources of that type, or of all types.
pub(crate) fn search(random: &mut Random, parameters: &Parameters) -> (Option<ResourceType>, String) {
    let name = *random.pick(TYPES);
    let resource_type = (!random.one_in(15)).then(|| ResourceType::parse(name).expect("a type"));
    let count = [1, 1, 1, 2, 3][random.below(5)];
    let mut search = Search { random, parameters };
    let mut pairs: Vec<_> = (0..count).map(|_| search.pair(resource_type, 0)).collect();
    if resource_type.is_none() && search.random.one_in(2) {
        pairs.push(("_type".to_owned(), format!("{name},{}", search.random.pick(TYPES))));
    }
    if search.random.one_in(8) {
        pairs.push(("_contained".to_owned(), search.random.text(&["true", "both", "false"])));
    }
    (
        resource_type,
        pairs
            .iter()
            .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)))
            .collect::<Vec<_>>()
            .join("&"),
    )
}

/// The id of a patient in whose compartment is searched, sometimes.
pub(crate) fn compartment(random: &mut Random) -> Option<&'static str> {
    random.one_in(10).then(|| *random.pick(IDS))
}

/// A form-encoded text.
pub(crate) fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b':' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

struct Search<'r, 'p> {
    random: &'r mut Random,
    parameters: &'p Parameters,
}

impl Search<'_, '_> {
    /// A name and a value.
    fn pair(&mut self, resource_type: Option<ResourceType>, depth: usize) -> (String, String) {
        if depth < 3
            && self.random.one_in(6)
            && let Some(pair) = self.has(resource_type, depth)
        {
            return pair;
        }
        if depth == 0 && self.random.one_in(12) {
            return ("_filter".into(), self.filter(resource_type, 0));
        }
        let Some(parameter) = self.parameter(resource_type, |_| true) else {
            return ("_id".into(), self.random.text(IDS));
        };
        if parameter.kind == ParameterKind::Reference && depth < 3 && self.random.one_in(2) {
            let targets: Vec<_> = TYPES.iter().filter_map(|name| ResourceType::parse(name)).collect();
            let targets: Vec<_> =
                targets.into_iter().filter(|target| parameter.targets.contains(target)).collect();
            if !targets.is_empty() {
                let target = *self.random.pick(&targets);
                let (name, value) = self.pair(Some(target), depth + 1);
                let named = if self.random.one_in(2) { format!(":{}", target.name()) } else { String::new() };
                return (format!("{}{named}.{name}", parameter.code), value);
            }
        }
        self.plain(&parameter)
    }

    fn parameter(
        &mut self,
        resource_type: Option<ResourceType>,
        is_wanted: impl Fn(&Parameter) -> bool,
    ) -> Option<Parameter> {
        let any = ResourceType::parse("Basic").expect("a type");
        let is_for_all = |parameter: &&Parameter| resource_type.is_some() || parameter.base == Base::All;
        let is_real = |parameter: &&Parameter| {
            parameter.number.0 <= ParameterNumber::CONTENT.0
                || parameter.number >= ParameterNumber::FIRST_OF_TYPE
        };
        let known = self.parameters.of(resource_type.unwrap_or(any));
        let list: Vec<_> =
            known.filter(is_for_all).filter(is_real).filter(|parameter| is_wanted(parameter)).collect();
        let filled: Vec<_> =
            list.iter().copied().filter(|parameter| FILLED.contains(&&*parameter.code)).collect();
        let list = if filled.is_empty() || self.random.one_in(5) { list } else { filled };
        (!list.is_empty()).then(|| (*self.random.pick(&list)).clone())
    }

    fn has(&mut self, resource_type: Option<ResourceType>, depth: usize) -> Option<(String, String)> {
        let source = ResourceType::parse(&self.random.text(TYPES))?;
        let may_refer = |parameter: &Parameter| {
            parameter.kind == ParameterKind::Reference
                && resource_type.is_none_or(|target| parameter.targets.contains(&target))
        };
        let parameter = self.parameter(Some(source), may_refer)?;
        let (name, value) = self.pair(Some(source), depth + 1);
        Some((format!("_has:{}:{}:{name}", source.name(), parameter.code), value))
    }

    /// A parameter with a modifier that it takes, and one or several values.
    fn plain(&mut self, parameter: &Parameter) -> (String, String) {
        let is_of_all = parameter.number.0 <= ParameterNumber::LAST_UPDATED.0
            || parameter.number == ParameterNumber::TEXT
            || parameter.number == ParameterNumber::CONTENT;
        if !is_of_all && self.random.one_in(10) {
            return (format!("{}:missing", parameter.code), self.random.text(&["true", "false"]));
        }
        let modifiers: &[&str] = match parameter.kind {
            _ if is_of_all => &[""],
            ParameterKind::String => &["", "", ":exact", ":contains"],
            ParameterKind::Token => {
                &["", "", "", ":not", ":text", ":in", ":not-in", ":of-type", ":above", ":below"]
            }
            ParameterKind::Reference => &["", "", ":identifier", ":below", ":Patient", ":Organization"],
            ParameterKind::Uri => &["", ":above", ":below"],
            _ => &[""],
        };
        let modifier = *self.random.pick(modifiers);
        let is_refused = ResourceType::parse(modifier.trim_start_matches(':'))
            .is_some_and(|target| !parameter.targets.contains(&target));
        let modifier = if is_refused { "" } else { modifier };
        let count = if self.random.one_in(4) { 2 } else { 1 };
        let values: Vec<_> = (0..count).map(|_| self.value(parameter, modifier)).collect();
        (format!("{}{modifier}", parameter.code), values.join(","))
    }

    fn value(&mut self, parameter: &Parameter, modifier: &str) -> String {
        let random = &mut *self.random;
        if parameter.number == ParameterNumber::ID {
            return random.text(IDS);
        }
        if parameter.number == ParameterNumber::TEXT || parameter.number == ParameterNumber::CONTENT {
            return random.text(&["muller", "Smith", "smi*", "text", "obrien", "brien anna", "a", "http"]);
        }
        match (parameter.kind, modifier) {
            (ParameterKind::Token, ":text") | (ParameterKind::String, _) => {
                let name = random.text(NAMES);
                let from = if modifier == ":contains" { random.below(4) } else { 0 };
                let length = random.below(80) + 1;
                let part: String = name.chars().skip(from).take(length).collect();
                escaped(if part.is_empty() { &name } else { &part })
            }
            (ParameterKind::Token, ":in" | ":not-in") => {
                random.text(&["http://example.org/vs", "ValueSet/vs", "http://example.org/whole"])
            }
            (ParameterKind::Token, ":above" | ":below") => {
                format!("http://tree|{}", escaped(&random.text(CODES)))
            }
            (ParameterKind::Token, ":of-type") => {
                format!(
                    "{}|{}|{}",
                    random.pick(SYSTEMS),
                    escaped(&random.text(CODES)),
                    escaped(&random.text(CODES))
                )
            }
            (ParameterKind::Token, _) | (ParameterKind::Reference, ":identifier") => {
                let code = escaped(&random.text(CODES));
                match random.below(4) {
                    0 => format!("|{code}"),
                    1 => format!("{}|", random.pick(SYSTEMS)),
                    2 => format!("{}|{code}", random.pick(SYSTEMS)),
                    _ => code,
                }
            }
            (ParameterKind::Reference, "" | ":below") if random.one_in(4) => {
                let url = random.text(URLS);
                if random.one_in(2) { url } else { format!("{url}|{}", random.pick(VERSIONS)) }
            }
            (ParameterKind::Reference, ":below") => "http://example.org/q|1".into(),
            (ParameterKind::Reference, "") => {
                let (name, id) = (*random.pick(TYPES), random.text(IDS));
                match random.below(6) {
                    0 => id,
                    1 => format!("http://elsewhere.org/fhir/{name}/{id}"),
                    2 => format!("{name}/{id}/_history/1"),
                    3 => format!("urn:uuid:{id}"),
                    _ => format!("{name}/{id}"),
                }
            }
            (ParameterKind::Reference, _) => random.text(IDS),
            (ParameterKind::Uri, _) => {
                let url = random.text(URLS);
                let length = if modifier == ":below" { 1 + random.below(url.len()) } else { url.len() };
                let url: String = url.chars().take(length).collect();
                if random.one_in(3) { format!("{url}|{}", random.pick(VERSIONS)) } else { url }
            }
            (ParameterKind::Date, _) => format!("{}{}", prefix(random), random.pick(DATES)),
            (ParameterKind::Number, _) => format!("{}{}", prefix(random), random.pick(NUMBERS)),
            (ParameterKind::Quantity, _) => quantity_text(random),
            (ParameterKind::Composite, _) => {
                let parts: Vec<_> = parameter.components.iter().map(|part| self.part(part.number)).collect();
                parts.join("$")
            }
            (ParameterKind::Special, _) => {
                format!("42.{}|-83.{}|{}|km", random.below(100), random.below(100), random.below(60))
            }
        }
    }

    fn part(&mut self, number: ParameterNumber) -> String {
        let definition = self.parameters.number(number).expect("a part is defined").clone();
        self.value(&definition, "")
    }

    fn filter(&mut self, resource_type: Option<ResourceType>, depth: usize) -> String {
        if depth < 3 && self.random.one_in(2) {
            let (left, right) =
                (self.filter(resource_type, depth + 1), self.filter(resource_type, depth + 1));
            return match self.random.below(3) {
                0 => format!("({left}) and {right}"),
                1 => format!("{left} or {right}"),
                _ => format!("not ({left} or {right})"),
            };
        }
        let is_simple = |parameter: &Parameter| {
            matches!(
                parameter.kind,
                ParameterKind::String | ParameterKind::Date | ParameterKind::Token | ParameterKind::Uri
            ) && parameter.number.0 > ParameterNumber::LAST_UPDATED.0
                && ![ParameterNumber::TEXT, ParameterNumber::CONTENT].contains(&parameter.number)
        };
        let Some(parameter) = self.parameter(resource_type, is_simple) else { return "_id eq 1".into() };
        let random = &mut *self.random;
        let code = &parameter.code;
        if random.one_in(6) {
            return format!("{code} pr {}", random.one_in(2));
        }
        let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        match parameter.kind {
            ParameterKind::String => {
                format!(
                    "{code} {} {}",
                    random.pick(&["eq", "ne", "co", "sw", "ew"]),
                    quoted(&random.text(NAMES))
                )
            }
            ParameterKind::Date => {
                let operator = random.pick(&["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap", "po"]);
                format!("{code} {operator} {}", random.pick(DATES))
            }
            ParameterKind::Token => {
                format!("{code} {} {}", random.pick(&["eq", "ne"]), quoted(&escaped(&random.text(CODES))))
            }
            _ => format!(
                "{code} {} {}",
                random.pick(&["eq", "ne", "sw", "ss", "co"]),
                quoted(&random.text(URLS))
            ),
        }
    }
}

fn prefix(random: &mut Random) -> String {
    random.text(&["", "", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"])
}

fn quantity_text(random: &mut Random) -> String {
    let number = format!("{}{}", prefix(random), random.pick(NUMBERS));
    let unit = random.text(UNITS);
    match random.below(6) {
        0 => number,
        1 => format!("{number}||{unit}"),
        2 => format!("{number}|http://s"),
        3 => format!("{number}|{}|{unit}", random.pick(SYSTEMS)),
        _ => format!("{number}|http://unitsofmeasure.org|{unit}"),
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if ['\\', ',', '|', '$'].contains(&c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
