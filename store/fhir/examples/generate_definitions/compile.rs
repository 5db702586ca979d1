//! From StructureDefinitions to the tables of `src/definitions/r4.rs`.
//!
//! The output depends on the input alone: running twice gives the same bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use keepwell_fhir::ResourceType;
use serde_json::Value;

#[path = "../../src/definitions/layout.rs"]
#[expect(dead_code, reason = "the generator needs the numbers and hashes, not the tables' types")]
mod layout;

use layout::{
    COMPARTMENTS, FIRST_CONTEXT, FREE, Hash, Key, MANY_SYSTEMS, MODIFIER, PLAIN, PRIMITIVES, REPEATS,
    RESOURCE, ROLES, SUMMARY,
};

/// The Rust source of the compiled definitions.
pub(crate) fn definitions(folder: &Path) -> String {
    let mut tables = Tables::read(folder);
    tables.compile();
    tables.print()
}

/// An element of a snapshot, as far as it matters here.
struct Definition {
    path: String,
    types: Vec<Value>,
    min: u64,
    repeats: bool,
    /// XML attributes have no extensions.
    attribute: bool,
    summary: bool,
    modifier: bool,
    content_reference: Option<String>,
}

struct Element {
    name: u16,
    kind: u16,
    flags: u8,
    role: u8,
    compartments: u8,
    targets: u8,
    binding: u8,
}

struct Context {
    path: String,
    elements: usize,
    rules: usize,
    rule_count: usize,
    hash: Hash,
}

#[derive(Default)]
struct Tables {
    /// Snapshots of all specialisations, by name.
    structures: BTreeMap<String, Vec<Definition>>,
    /// Value set by the path of the element that is bound to it.
    bindings: BTreeMap<String, String>,
    /// Codes by system, by value set.
    expansions: BTreeMap<String, Vec<(String, Vec<String>)>>,
    /// Elements by path, for each compartment and resource type; and the names of the search parameters.
    compartment_paths: BTreeMap<String, u8>,
    compartment_parameters: BTreeMap<(usize, String), Vec<String>>,

    names: Vec<String>,
    name_numbers: BTreeMap<String, u16>,
    contexts: Vec<Context>,
    elements: Vec<Element>,
    rules: Vec<(u8, u8, bool, u16)>,
    slots: Vec<u16>,
    targets: Vec<[u64; 3]>,
    value_sets: Vec<(u16, u16, Hash)>,
    value_set_numbers: BTreeMap<String, u8>,
    codes: Vec<u16>,
    /// The names of the resource types.
    types: Hash,
}

impl Tables {
    fn read(folder: &Path) -> Self {
        let mut tables = Self::default();
        for file in ["profiles-types.json.gz", "profiles-resources.json.gz"] {
            for structure in resources(&read_json(&folder.join(file)), "StructureDefinition") {
                tables.structures.insert(text(structure, "name").to_owned(), snapshot(structure));
            }
        }
        tables.read_bindings(&read_json(&folder.join("required-bindings.json")));
        let parameters = read_json(&folder.join("search-parameters.json.gz"));
        tables.read_compartments(&read_json(&folder.join("compartments.json")), &parameters);
        tables
    }

    fn read_bindings(&mut self, bindings: &Value) {
        for binding in list(bindings, "bindings") {
            self.bindings.insert(text(binding, "path").to_owned(), text(binding, "valueSet").to_owned());
        }
        for (value_set, systems) in bindings["expansions"].as_object().expect("expansions are an object") {
            let systems = systems.as_object().expect("an expansion is an object");
            let codes = |codes: &Value| codes.as_array().into_iter().flatten().map(string).collect();
            let systems = systems.iter().map(|(system, list)| (system.clone(), codes(list))).collect();
            self.expansions.insert(value_set.clone(), systems);
        }
    }

    fn read_compartments(&mut self, compartments: &Value, parameters: &Value) {
        let mut expressions = BTreeMap::new();
        for parameter in resources(parameters, "SearchParameter") {
            for base in list(parameter, "base").iter().map(string) {
                let expression = parameter["expression"].as_str().unwrap_or_default().to_owned();
                expressions.insert((base, text(parameter, "code").to_owned()), expression);
            }
        }
        for definition in resources(compartments, "CompartmentDefinition") {
            let code = text(definition, "code");
            let bit = COMPARTMENTS.iter().position(|name| *name == code).expect("a known compartment");
            for resource in list(definition, "resource") {
                let kind = text(resource, "code").to_owned();
                for parameter in resource["param"].as_array().into_iter().flatten().map(string) {
                    // `{def}` stands for the resource itself.
                    let expression = expressions.get(&(kind.clone(), parameter.clone()));
                    for path in expression.iter().flat_map(|expression| paths(expression, &kind)) {
                        *self.compartment_paths.entry(path).or_default() |= 1 << bit;
                    }
                    self.compartment_parameters.entry((bit, kind.clone())).or_default().push(parameter);
                }
            }
        }
    }

    fn compile(&mut self) {
        // Resource types come first, in the order of their codes, then all other contexts by path.
        let mut paths: Vec<String> = ResourceType::all().map(|kind| kind.name().to_owned()).collect();
        let known: BTreeSet<&str> = paths.iter().map(String::as_str).collect();
        let mut others = BTreeSet::new();
        for (name, definitions) in &self.structures {
            if PRIMITIVES.contains(&name.as_str()) {
                continue;
            }
            let parents =
                definitions.iter().filter_map(|d| d.path.rsplit_once('.')).map(|(parent, _)| parent);
            let root = definitions[0].path.as_str();
            others.extend(parents.map(|parent| parent.replacen(root, name, 1)));
        }
        others.retain(|path| !known.contains(path.as_str()));
        paths.extend(others);
        self.targets.push([0; 3]);
        for path in paths {
            let context = Context { path, elements: 0, rules: 0, rule_count: 0, hash: Hash::default() };
            self.contexts.push(context);
        }
        let types: Vec<u16> = ResourceType::all().map(|kind| self.name(kind.name())).collect();
        self.types = self.hash(&types);
        self.compile_value_sets();
        for number in 0..self.contexts.len() {
            self.compile_context(number);
        }
    }

    fn compile_value_sets(&mut self) {
        let bound: BTreeSet<String> = self.bindings.values().cloned().collect();
        for value_set in bound {
            let Some(systems) = self.expansions.get(&value_set).cloned() else { continue };
            let distinct: BTreeSet<&String> = systems.iter().flat_map(|(_, codes)| codes).collect();
            let names: Vec<u16> = distinct.into_iter().map(|code| self.name(code)).collect();
            let system = if systems.len() == 1 { self.name(&systems[0].0) } else { MANY_SYSTEMS };
            let hash = self.hash(&names);
            self.value_sets.push((self.codes.len().try_into().expect("few codes"), system, hash));
            self.codes.extend(names);
            let number = self.value_sets.len().try_into().expect("few value sets");
            self.value_set_numbers.insert(value_set, number);
        }
    }

    fn compile_context(&mut self, number: usize) {
        let path = self.contexts[number].path.clone();
        let structure = path.split('.').next().expect("a path has a first step").to_owned();
        let definitions = self.structures.remove(&structure).expect("the structure is known");
        let prefix = path.replacen(&structure, root(&definitions), 1);
        let (elements, rules) = (self.elements.len(), self.rules.len());
        if self.is_resource(number) {
            let name = self.name("resourceType");
            let role = role("resourceType");
            let kind = primitive("code").expect("code is primitive");
            self.elements.push(Element {
                name,
                kind,
                flags: PLAIN,
                role,
                compartments: 0,
                targets: 0,
                binding: 0,
            });
        }
        for definition in &definitions {
            if definition.path.rsplit_once('.').is_some_and(|(parent, _)| parent == prefix) {
                self.compile_element(number, &structure, definition, elements);
            }
        }
        let names: Vec<u16> = self.elements[elements..].iter().map(|element| element.name).collect();
        let hash = self.hash(&names);
        let rule_count = self.rules.len() - rules;
        self.contexts[number] = Context { path, elements, rules, rule_count, hash };
        self.structures.insert(structure, definitions);
    }

    fn compile_element(&mut self, number: usize, structure: &str, definition: &Definition, start: usize) {
        let (_, name) = definition.path.rsplit_once('.').expect("an element has a parent");
        let path = format!("{}.{name}", self.contexts[number].path);
        let first = self.elements.len();
        if let Some(base) = name.strip_suffix("[x]") {
            for kind in &definition.types {
                let mut code = text(kind, "code").to_owned();
                code[..1].make_ascii_uppercase();
                self.push_element(number, structure, definition, kind, &path, &format!("{base}{code}"));
            }
        } else {
            assert!(definition.types.len() <= 1, "{path} has several types");
            let none = Value::Null;
            let kind = definition.types.first().unwrap_or(&none);
            self.push_element(number, structure, definition, kind, &path, name);
        }
        let last = self.elements.len() - 1;
        if last > first || definition.min > 0 {
            let name = self.name(name.trim_end_matches("[x]"));
            let place = |index: usize| u8::try_from(index - start).expect("a context has few elements");
            self.rules.push((place(first), place(last), definition.min > 0, name));
        }
    }

    fn push_element(
        &mut self,
        number: usize,
        structure: &str,
        definition: &Definition,
        kind: &Value,
        path: &str,
        name: &str,
    ) {
        let binding = self.bindings.get(path).and_then(|value_set| self.value_set_numbers.get(value_set));
        let mut flags = if definition.repeats { REPEATS } else { 0 };
        let resource_id = self.is_resource(number) && name == "id";
        if definition.attribute && !resource_id {
            flags |= PLAIN;
        }
        if definition.summary {
            flags |= SUMMARY;
        }
        if definition.modifier {
            flags |= MODIFIER;
        }
        let code = if resource_id { "id" } else { type_code(kind) };
        let element = Element {
            binding: *binding.unwrap_or(&0),
            name: self.name(name),
            kind: self.kind(structure, definition, kind, path, code),
            flags,
            role: self.role_of(number, name, code, path),
            compartments: *self.compartment_paths.get(path).unwrap_or(&0),
            targets: self.targets_of(kind),
        };
        self.elements.push(element);
    }

    fn kind(&self, structure: &str, definition: &Definition, kind: &Value, path: &str, code: &str) -> u16 {
        if let Some(reference) = &definition.content_reference {
            return self.context_kind(reference.trim_start_matches('#'));
        }
        if let Some(primitive) = primitive(code) {
            return primitive;
        }
        match code {
            "Resource" => RESOURCE,
            "BackboneElement" | "Element" if self.contexts.iter().any(|context| context.path == path) => {
                self.context_kind(path)
            }
            _ => {
                // A profile such as SimpleQuantity narrows a type and has a context of its own.
                let profile = kind["profile"][0].as_str().and_then(|url| url.rsplit('/').next());
                let name = profile.unwrap_or(code);
                assert!(
                    self.structures.contains_key(name) || name == structure,
                    "{path} has an unknown type {name}"
                );
                self.context_kind(name)
            }
        }
    }

    fn context_kind(&self, path: &str) -> u16 {
        let number = self.contexts.iter().position(|context| context.path == path);
        let number = number.unwrap_or_else(|| panic!("{path} is no context"));
        FIRST_CONTEXT + u16::try_from(number).expect("few contexts")
    }

    fn role_of(&self, number: usize, name: &str, code: &str, path: &str) -> u8 {
        let special = match (name, code) {
            ("id" | "meta" | "contained", _) if self.is_resource(number) => name,
            ("identifier", "Identifier") if self.is_resource(number) => name,
            _ if matches!(path, "Attachment.data" | "Binary.data") => "attachment",
            _ if ROLES.contains(&path) => path,
            _ => "",
        };
        role(special)
    }

    fn targets_of(&mut self, kind: &Value) -> u8 {
        if kind["code"] != "Reference" {
            return 0;
        }
        let mut set = [0_u64; 3];
        for profile in kind["targetProfile"].as_array().into_iter().flatten().map(string) {
            let name = profile.rsplit('/').next().expect("a URL has a last part");
            if name == "Resource" {
                return 0;
            }
            // Not by `ResourceType::parse`, which searches the tables that are being made here.
            let target = ResourceType::all().find(|kind| kind.name() == name);
            let code = target.unwrap_or_else(|| panic!("{name} is no resource type")).code();
            set[usize::from(code) / 64] |= 1 << (code % 64);
        }
        if set == [0; 3] {
            return 0;
        }
        let known = self.targets.iter().position(|other| *other == set);
        let number = known.unwrap_or_else(|| {
            self.targets.push(set);
            self.targets.len() - 1
        });
        number.try_into().expect("few sets of targets")
    }

    fn is_resource(&self, number: usize) -> bool {
        number < ResourceType::COUNT
    }

    /// The number of a name; the same text has one number.
    fn name(&mut self, text: &str) -> u16 {
        if let Some(number) = self.name_numbers.get(text) {
            return *number;
        }
        let number = self.names.len().try_into().expect("few names");
        self.names.push(text.to_owned());
        self.name_numbers.insert(text.to_owned(), number);
        number
    }

    /// A hash table that yields the position of a name in this list.
    fn hash(&mut self, names: &[u16]) -> Hash {
        // At most half of it is filled, so that most searches end at the first slot.
        let size = (names.len() * 2).next_power_of_two();
        let slots = self.slots.len();
        let bits = size.ilog2().try_into().expect("few bits");
        let hash = Hash { slots: slots.try_into().expect("few slots"), bits };
        self.slots.resize(slots + size, FREE);
        for (position, name) in (0..).zip(names) {
            let mut slot = Key::of(self.names[usize::from(*name)].as_bytes()).slot(&hash);
            while self.slots[slots + slot] != FREE {
                slot = (slot + 1) % size;
            }
            self.slots[slots + slot] = position;
        }
        hash
    }

    fn print(&self) -> String {
        let mut out = String::from(
            "//! The compiled definitions of FHIR R4 4.0.1: written by examples/generate_definitions, not by hand.\n\n\
             use super::layout::{Context, Element, FREE as F, Hash, Name, Rule, ValueSet, context as c, element as e, hash as h, name as n, rule as r, value_set as v};\n",
        );
        let quoted = self.names.iter().map(|name| format!("n({name:?})"));
        table(&mut out, "Every key and code.", "NAMES", "Name", quoted);
        let contexts = self.contexts.iter().map(|context| {
            let Context { elements, rules, rule_count, hash, .. } = context;
            format!("c({elements},{rules},{rule_count},{})", print_hash(*hash))
        });
        table(
            &mut out,
            "Resource types by code, then data types and backbone elements.",
            "CONTEXTS",
            "Context",
            contexts,
        );
        let elements = self.elements.iter().map(|element| {
            let Element { name, kind, flags, role, compartments, targets, binding } = element;
            format!("e({name},{kind},{flags},{role},{compartments},{targets},{binding})")
        });
        table(&mut out, "The elements of all contexts.", "ELEMENTS", "Element", elements);
        let rules = self
            .rules
            .iter()
            .map(|(first, last, required, name)| format!("r({first},{last},{},{name})", u8::from(*required)));
        table(&mut out, "The rules of all contexts.", "RULES", "Rule", rules);
        let value_sets = self
            .value_sets
            .iter()
            .map(|(codes, system, hash)| format!("v({codes},{system},{})", print_hash(*hash)));
        table(&mut out, "The value sets of required bindings.", "VALUE_SETS", "ValueSet", value_sets);
        table(
            &mut out,
            "The codes of all value sets, as names.",
            "CODES",
            "u16",
            self.codes.iter().map(u16::to_string),
        );
        table(&mut out, "The slots of all hashes.", "SLOTS", "u16", self.slots.iter().map(print_slot));
        let hash = print_hash(self.types);
        let _ = write!(
            out,
            "\n/// Where resource types are found; a position is the code minus one.\npub(crate) static TYPE_HASH: Hash = {hash};\n"
        );
        let targets = self.targets.iter().map(|[a, b, c]| format!("[{a},{b},{c}]"));
        table(&mut out, "Sets of resource types by code, for references.", "TARGETS", "[u64; 3]", targets);
        let parameters = (0..COMPARTMENTS.len()).map(|bit| self.print_parameters(bit));
        table(
            &mut out,
            "The search parameters of each compartment, by resource type.",
            "COMPARTMENT_PARAMETERS",
            "&[(u8, &[&str])]",
            parameters,
        );
        let numbered = self.contexts.iter().enumerate().skip(ResourceType::COUNT);
        let data_types = numbered
            .filter(|(_, context)| !context.path.contains('.'))
            .map(|(number, context)| format!("({number},{:?})", context.path));
        table(
            &mut out,
            "The contexts of data types with their names.",
            "DATA_TYPES",
            "(u16, &str)",
            data_types,
        );
        let element = self.context_kind("Element") - FIRST_CONTEXT;
        let _ = write!(
            out,
            "\n/// The context of extensions of primitive values.\npub(crate) const ELEMENT: u16 = {element};\n"
        );
        out
    }

    fn print_parameters(&self, bit: usize) -> String {
        let mut out = String::from("&[");
        for kind in ResourceType::all() {
            if let Some(parameters) = self.compartment_parameters.get(&(bit, kind.name().to_owned())) {
                let _ = write!(out, "({},&{parameters:?}),", kind.code());
            }
        }
        out + "]"
    }
}

/// The element paths of those branches of a search parameter that belong to a type.
fn paths(expression: &str, kind: &str) -> Vec<String> {
    let branches = expression.split('|').map(str::trim);
    let own = branches.filter(|branch| branch.split('.').next() == Some(kind));
    own.map(|branch| branch.split(".where(").next().unwrap_or(branch).to_owned()).collect()
}

fn snapshot(structure: &Value) -> Vec<Definition> {
    let elements = list(&structure["snapshot"], "element").iter();
    let definition = |element: &Value| Definition {
        path: text(element, "path").to_owned(),
        types: element["type"].as_array().cloned().unwrap_or_default(),
        min: element["min"].as_u64().expect("min is a number"),
        repeats: element["max"] == "*",
        attribute: element["representation"][0] == "xmlAttr",
        summary: element["isSummary"] == true,
        modifier: element["isModifier"] == true,
        content_reference: element["contentReference"].as_str().map(str::to_owned),
    };
    elements.filter(|element| element["max"] != "0").map(definition).collect()
}

fn root(definitions: &[Definition]) -> &str {
    &definitions[0].path
}

/// The FHIR type; the technical types behind `id` and `value` name theirs in an extension.
fn type_code(kind: &Value) -> &str {
    let code = kind["code"].as_str().unwrap_or_default();
    if !code.starts_with("http://hl7.org/fhirpath/") {
        return code;
    }
    let extensions = kind["extension"].as_array().into_iter().flatten();
    let mut urls = extensions.filter_map(|extension| extension["valueUrl"].as_str());
    urls.next().expect("a technical type names its FHIR type")
}

fn primitive(code: &str) -> Option<u16> {
    PRIMITIVES.iter().position(|name| *name == code).and_then(|number| number.try_into().ok())
}

fn role(name: &str) -> u8 {
    let number = ROLES.iter().position(|role| *role == name);
    number.and_then(|number| number.try_into().ok()).unwrap_or_else(|| panic!("{name} is no role"))
}

fn print_hash(hash: Hash) -> String {
    format!("h({},{})", hash.slots, hash.bits)
}

fn print_slot(slot: &u16) -> String {
    if *slot == FREE { String::from("F") } else { slot.to_string() }
}

fn table(out: &mut String, doc: &str, name: &str, kind: &str, entries: impl Iterator<Item = String>) {
    let entries: Vec<String> = entries.collect();
    let _ = write!(out, "\n/// {doc}\npub(crate) static {name}: [{kind}; {}] = [", entries.len());
    let mut width = usize::MAX;
    for entry in entries {
        if width > 110 {
            out.push('\n');
            width = 0;
        }
        width += entry.len() + 1;
        let _ = write!(out, "{entry},");
    }
    out.push_str("\n];\n");
}

fn read_json(path: &Path) -> Value {
    let mut bytes = Vec::new();
    let mut file = File::open(path).unwrap_or_else(|_| panic!("{} cannot be opened", path.display()));
    let packed = path.extension().is_some_and(|extension| extension == "gz");
    let read =
        if packed { GzDecoder::new(file).read_to_end(&mut bytes) } else { file.read_to_end(&mut bytes) };
    read.unwrap_or_else(|_| panic!("{} cannot be read", path.display()));
    serde_json::from_slice(&bytes).unwrap_or_else(|_| panic!("{} is not JSON", path.display()))
}

fn resources<'a>(bundle: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    let entries = list(bundle, "entry").iter().map(|entry| &entry["resource"]);
    entries.filter(move |resource| resource["resourceType"] == kind)
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().unwrap_or_else(|| panic!("{key} is an array"))
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} is a string"))
}

fn string(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}
