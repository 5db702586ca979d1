//! From SearchParameter resources to definitions with numbers.
//!
//! The output depends on the input alone: running twice gives the same bytes. Numbers follow the order of types and
//! codes of R4, which changes no more; what the specification defines elsewhere comes behind.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use keepwell_fhir::ResourceType;
use keepwell_search::table::{self, Definition};
use keepwell_search::{Base, Component, ParameterKind, ParameterNumber};
use serde_json::Value;

/// The parameters of all types, with their numbers. Those behind the first three lines have no definition in R4 or
/// none that is searched by: `_list` and `_type` (R4 search.html#standard).
const OF_ALL_TYPES: [(&str, ParameterNumber); 8] = [
    ("_id", ParameterNumber::ID),
    ("_lastUpdated", ParameterNumber::LAST_UPDATED),
    ("_tag", ParameterNumber::TAG),
    ("_profile", ParameterNumber::PROFILE),
    ("_security", ParameterNumber::SECURITY),
    ("_source", ParameterNumber::SOURCE),
    ("_text", ParameterNumber::TEXT),
    ("_content", ParameterNumber::CONTENT),
];

/// R4 gives the expression `code` to the reference `relatesto`, and `target` to the token `relation`. Only the other way
/// round does it find anything, and so it is corrected in R5.
const SWAPPED: &str = "http://hl7.org/fhir/SearchParameter/DocumentReference-relationship";

/// The Rust source of the table, and what is not in it, by URL, with the reason.
pub(crate) fn source(folder: &Path) -> (String, Vec<(String, String)>) {
    let mut source = Source { definitions: Vec::new(), taken: BTreeMap::new(), left_out: Vec::new() };
    for (code, number) in [("_list", ParameterNumber::LIST), ("_type", ParameterNumber::TYPE)] {
        source.definitions.push(Definition {
            number,
            code: code.to_owned(),
            url: String::new(),
            kind: ParameterKind::Special,
            base: Base::All,
            targets: Vec::new(),
            expression: String::new(),
            components: Vec::new(),
        });
    }
    let bundle = serde_json::from_slice(&unpacked(&folder.join("search-parameters.json.gz"))).expect("JSON");
    let Value::Object(bundle) = bundle else { panic!("a Bundle") };
    let entries = bundle["entry"].as_array().expect("entries").iter().map(|entry| &entry["resource"]);
    let resources: Vec<&Value> = entries.collect();
    source.add(&resources);
    let lines = unpacked(&folder.join("core-extra.ndjson.gz"));
    let extra = lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let extra: Vec<Value> = extra.map(|line| serde_json::from_slice(line).expect("JSON")).collect();
    source.add(
        &extra.iter().filter(|resource| resource["resourceType"] == "SearchParameter").collect::<Vec<_>>(),
    );
    let (text, refused) = table::source(&source.definitions);
    source.left_out.extend(refused);
    (text, source.left_out)
}

struct Source {
    definitions: Vec<Definition>,
    /// The number and kind of each type's parameters by their URL.
    taken: BTreeMap<(Base, String), (ParameterNumber, ParameterKind)>,
    left_out: Vec<(String, String)>,
}

impl Source {
    /// Adds the parameters of one file: numbers first, since composite parameters refer to others.
    fn add(&mut self, resources: &[&Value]) {
        let mut sorted = BTreeMap::new();
        for resource in resources {
            let url = text(resource, "url").to_owned();
            let bases: BTreeSet<Base> = list(resource, "base").filter_map(base).collect();
            let code = text(resource, "code").to_owned();
            if bases.is_empty() {
                self.left_out.push((url.clone(), "it has no base".to_owned()));
            } else if resource["expression"].is_null() && !code.starts_with('_') {
                self.left_out.push((url.clone(), "it has no expression".to_owned()));
                continue;
            } else if matches!(code.as_str(), "_query" | "_filter") {
                self.left_out.push((url.clone(), "it is a part of queries, not of resources".to_owned()));
                continue;
            }
            for base in bases {
                let is_known = self.definitions.iter().any(|known| known.base == base && known.code == code);
                if is_known || sorted.insert((base, code.clone()), *resource).is_some() {
                    self.left_out.push((url.clone(), format!("{base:?} has a parameter {code} already")));
                }
            }
        }
        let own = self.definitions.iter().map(|definition| definition.number.0);
        let next = own.max().unwrap_or_default().max(ParameterNumber::FIRST_OF_TYPE.0 - 1) + 1;
        let of_types = sorted.keys().filter(|(base, _)| *base != Base::All);
        let mut numbers: BTreeMap<_, _> = of_types.cloned().zip((next..).map(ParameterNumber)).collect();
        numbers.extend(OF_ALL_TYPES.map(|(code, number)| ((Base::All, code.to_owned()), number)));
        for (key, resource) in &sorted {
            let kind = ParameterKind::parse(text(resource, "type")).expect("a known kind");
            self.taken.insert((key.0, text(resource, "url").to_owned()), (numbers[key], kind));
        }
        for (key, resource) in sorted {
            self.definitions.push(self.definition(key.0, resource, numbers[&key]));
        }
    }

    fn definition(&self, base: Base, resource: &Value, number: ParameterNumber) -> Definition {
        let component = |component: &Value| {
            let url = text(component, "definition").to_owned();
            let (number, kind) = self.taken[&(base, url)];
            (Component { number, kind }, text(component, "expression").to_owned())
        };
        let mut components: Vec<_> =
            resource["component"].as_array().into_iter().flatten().map(component).collect();
        if text(resource, "url") == SWAPPED
            && let [(_, first), (_, second)] = components.as_mut_slice()
        {
            std::mem::swap(first, second);
        }
        Definition {
            number,
            code: text(resource, "code").to_owned(),
            url: text(resource, "url").to_owned(),
            kind: ParameterKind::parse(text(resource, "type")).expect("a known kind"),
            base,
            targets: list(resource, "target").filter_map(ResourceType::parse).collect(),
            expression: resource["expression"].as_str().unwrap_or_default().to_owned(),
            components,
        }
    }
}

fn base(name: &str) -> Option<Base> {
    match name {
        "Resource" | "DomainResource" => Some(Base::All),
        name => ResourceType::parse(name).map(Base::One),
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} is a string"))
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a str> {
    value[key].as_array().into_iter().flatten().filter_map(Value::as_str)
}

fn unpacked(path: &Path) -> Vec<u8> {
    let file = File::open(path).unwrap_or_else(|_| panic!("{} cannot be opened", path.display()));
    let mut bytes = Vec::new();
    GzDecoder::new(file)
        .read_to_end(&mut bytes)
        .unwrap_or_else(|_| panic!("{} cannot be read", path.display()));
    bytes
}
