//! Compiles the definitions of R4 and the reviewed file into the table of rules.
//!
//! Each name of the file has to be one of the definitions and each line has to be of use, so that a typing mistake does
//! not switch a rule off in silence.

use std::collections::{BTreeMap, BTreeSet};

use keepwell_fhir::ResourceType;
use keepwell_fhir::schema::{Context, Element, Kind};

use super::source::{GroupLine, KeyLine, Source};
use super::{Class, ElementRule, ItemRule, ListKind, ListRule, Rule, Rules, TypeRule};
use crate::key::{By, Component, Key, Step};

/// The elements that every resource or backbone has: they are in no `all-but` group.
const COMMON: [&str; 9] = [
    "resourceType",
    "id",
    "meta",
    "implicitRules",
    "language",
    "text",
    "contained",
    "extension",
    "modifierExtension",
];

/// # Errors
/// What in the file does not fit the definitions.
pub(super) fn compile(text: &'static str) -> Result<Rules, String> {
    let source = Source::read(text)?;
    let mut compiler = Compiler::new(&source);
    for kind in ResourceType::all() {
        compiler.visit(Context::of(kind), kind.name(), true)?;
    }
    compiler.finish()
}

struct Compiler<'s> {
    source: &'s Source,
    rules: Rules,
    /// The contexts seen so far, and their names: the path of a backbone, otherwise the name of the type.
    visited: BTreeMap<Context, String>,
    /// The names that a line was found for.
    used: BTreeSet<&'static str>,
    lists: BTreeMap<String, u8>,
}

impl<'s> Compiler<'s> {
    fn new(source: &'s Source) -> Self {
        let rules = Rules {
            elements: Vec::new(),
            lists: Vec::new(),
            groups: Vec::new(),
            types: vec![TypeRule { class: Class::Never, open: Vec::new() }; usize::from(u8::MAX) + 1],
            anchors: source.anchors.clone(),
            errors: source.errors.clone(),
            signed: source.signed.clone(),
        };
        Self { source, rules, visited: BTreeMap::new(), used: BTreeSet::new(), lists: BTreeMap::new() }
    }

    /// A context and those of its elements.
    fn visit(&mut self, context: Context, name: &str, is_resource: bool) -> Result<(), String> {
        if self.visited.contains_key(&context) {
            return Ok(());
        }
        self.visited.insert(context, name.to_owned());
        for element in context.all() {
            let path = match element.kind() {
                // An item of an item of a questionnaire has the rules of an item.
                Kind::Object(child) if child.data_type().is_none() => self.visited.get(&child).cloned(),
                _ => None,
            };
            let path = path.unwrap_or_else(|| format!("{name}.{}", element.name()));
            let rule = self.rule(element, &path, is_resource)?;
            let rule = ElementRule { name: element.name(), rule, group: None, is_head: false };
            let number = usize::from(element.number().as_u16());
            if self.rules.elements.len() <= number {
                let unknown = ElementRule { name: "", rule: Rule::Whole, group: None, is_head: false };
                self.rules.elements.resize(number + 1, unknown);
            }
            self.rules.elements[number] = rule;
            if let Kind::Object(child) = element.kind() {
                self.visit(child, child.data_type().unwrap_or(&path), false)?;
            }
        }
        let groups = self.source.groups.iter().filter(|group| group.name == name);
        for group in groups {
            self.group(context, group)?;
        }
        Ok(())
    }

    fn rule(&mut self, element: Element, path: &str, is_resource: bool) -> Result<Rule, String> {
        let (name, kind) = (element.name(), element.kind().type_name());
        if self.is_named(&self.source.theirs, path) {
            return Ok(Rule::Theirs);
        }
        Ok(match (name, element.kind()) {
            ("meta", Kind::Object(context)) if is_resource => Rule::Meta(context),
            ("implicitRules" | "language", _) if is_resource => Rule::Frame,
            ("modifierExtension", _) => Rule::Modifier,
            (_, Kind::Object(_)) if kind == Some("Narrative") => Rule::Narrative,
            (_, Kind::Object(_)) if element.repeats() => self.list(element, path)?,
            (_, Kind::Primitive(_)) if element.repeats() => self.list(element, path)?,
            ("contained", Kind::Resource) if is_resource => self.contained(),
            (_, Kind::Object(_)) if kind == Some("Reference") => Rule::Reference,
            (_, Kind::Object(context)) if self.has_children(context, path) => Rule::Children(context),
            _ => Rule::Whole,
        })
    }

    /// Whether an object is joined by child.
    fn has_children(&mut self, context: Context, path: &str) -> bool {
        match context.data_type() {
            Some(name) => self.is_named(&self.source.children, name),
            None => !self.is_named(&self.source.whole, path),
        }
    }

    fn is_named(&mut self, names: &[&'static str], name: &str) -> bool {
        let found = names.iter().find(|other| **other == name);
        self.used.extend(found);
        found.is_some()
    }

    fn list(&mut self, element: Element, path: &str) -> Result<Rule, String> {
        let by = |name: &str| self.source.keys.iter().find(|line| line.name == name);
        let Some(line) = by(path).or_else(|| by(element.kind().type_name()?)) else { return Ok(Rule::Whole) };
        self.used.insert(line.name);
        let item = match element.kind() {
            Kind::Object(context) if self.has_children(context, path) => ItemRule::Children(context),
            _ => ItemRule::Whole,
        };
        let kind = if path == "Meta.security" { ListKind::Labels } else { ListKind::Plain };
        // Lists of one data type share their rule.
        let name = if kind == ListKind::Labels { path } else { line.name };
        if let Some(number) = self.lists.get(name) {
            return Ok(Rule::List(*number));
        }
        let KeyLine { identities, edits, .. } = line;
        let keys = |keys: &[Vec<&'static str>]| {
            keys.iter().map(|words| key(element, words)).collect::<Result<_, _>>()
        };
        let list = ListRule { identities: keys(identities)?, edits: keys(edits)?, item, kind };
        Ok(self.add_list(name, list))
    }

    fn contained(&mut self) -> Rule {
        if let Some(number) = self.lists.get("contained") {
            return Rule::List(*number);
        }
        let id = Component { steps: vec![Step::Members(vec![("id", By::Exact)])], by: By::Exact };
        let identities = vec![Key { components: vec![id] }];
        let list =
            ListRule { identities, edits: vec![], item: ItemRule::Resource, kind: ListKind::Contained };
        self.add_list("contained", list)
    }

    fn add_list(&mut self, name: &str, list: ListRule) -> Rule {
        let number = u8::try_from(self.rules.lists.len()).expect("the file has fewer than 256 keys");
        self.rules.lists.push(list);
        self.lists.insert(name.to_owned(), number);
        Rule::List(number)
    }

    fn group(&mut self, context: Context, line: &GroupLine) -> Result<(), String> {
        let GroupLine { name, is_all_but, members } = line;
        let number = u8::try_from(self.rules.groups.len()).map_err(|_| "too many groups")?;
        self.rules.groups.push(members.iter().any(|(_, is_head)| *is_head));
        for (member, _) in members {
            if context.elements(member).next().is_none() {
                return Err(format!("group {name}: there is no {member}"));
            }
        }
        for element in context.all() {
            let listed = members.iter().find(|(member, _)| *member == element.name());
            if listed.is_some() == *is_all_but || (*is_all_but && COMMON.contains(&element.name())) {
                continue;
            }
            let rule = &mut self.rules.elements[usize::from(element.number().as_u16())];
            if rule.group.is_some() {
                return Err(format!("{name}.{} is in two groups", element.name()));
            }
            rule.group = Some(number);
            rule.is_head = listed.is_some_and(|(_, is_head)| *is_head);
        }
        self.used.insert(name);
        Ok(())
    }

    fn finish(mut self) -> Result<Rules, String> {
        let source = self.source;
        for (name, class) in &source.classes {
            self.type_rule(name)?.class = match *class {
                "element" => Class::Element,
                "final" => Class::Final,
                "immutable" => Class::Immutable,
                _ => return Err(format!("there is no class {class}")),
            };
        }
        for (name, code) in &source.open {
            self.type_rule(name)?.open.push(code);
        }
        let paths = source.children.iter().chain(&source.whole).chain(&source.theirs);
        let names = paths.chain(source.keys.iter().map(|line| &line.name));
        let mut names = names.chain(source.groups.iter().map(|line| &line.name));
        match names.find(|name| !self.used.contains(**name)) {
            Some(name) => Err(format!("{name} is not in the definitions, or its line is of no use")),
            None => Ok(self.rules),
        }
    }

    fn type_rule(&mut self, name: &str) -> Result<&mut TypeRule, String> {
        let kind = ResourceType::parse(name).ok_or_else(|| format!("there is no type {name}"))?;
        Ok(&mut self.rules.types[usize::from(kind.code())])
    }
}

/// The key that these words name in the items of a list.
fn key(element: Element, words: &[&'static str]) -> Result<Key, String> {
    let components: Result<_, String> = words.iter().map(|word| component(element, word)).collect();
    Ok(Key { components: components? })
}

fn component(element: Element, word: &'static str) -> Result<Component, String> {
    if word == "*" {
        return Ok(Component { steps: Vec::new(), by: By::of(element.kind().type_name()) });
    }
    let Kind::Object(mut context) = element.kind() else { return Err(format!("{word} is in no object")) };
    let mut steps = Vec::new();
    for name in word.split('.') {
        if let Ok(index) = name.parse() {
            steps.push(Step::Item(index));
            continue;
        }
        let found: Vec<Element> = context.elements(name).collect();
        let first = found.first().ok_or_else(|| format!("there is no {word} in {}", element.key()))?;
        if let Kind::Object(child) = first.kind() {
            context = child;
        }
        steps.push(Step::Members(
            found.iter().map(|element| (element.key(), By::of(element.kind().type_name()))).collect(),
        ));
    }
    Ok(Component { steps, by: By::Exact })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reviewed_file_fits_the_definitions() {
        assert_eq!(compile(include_str!("rules.txt")).err(), None);
    }

    #[test]
    fn a_name_that_the_definitions_do_not_know_is_refused() {
        for (text, expected) in [
            ("klass element Patient", "line 1 is not understood"),
            ("class element Pasient", "there is no type Pasient"),
            ("class other Patient", "there is no class other"),
            ("group Patient gendre", "group Patient: there is no gendre"),
            ("group Patient gender\ngroup Patient gender", "Patient.gender is in two groups"),
            ("key ContactPoint : sistem", "there is no sistem in telecom"),
            ("whole Patient.cantact", "Patient.cantact is not in the definitions, or its line is of no use"),
            (
                "key Patient.birthDate : *",
                "Patient.birthDate is not in the definitions, or its line is of no use",
            ),
        ] {
            assert_eq!(compile(text).err().as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_listed_changes_as_a_whole_and_is_never_joined() {
        let rules = compile("class element Patient").unwrap();
        let patient = ResourceType::parse("Patient").unwrap();
        for key in ["name", "telecom", "maritalStatus", "birthDate", "contained"] {
            let rule = rules.element(Some(Context::of(patient)), key).unwrap().rule;
            assert_eq!(rule == Rule::Whole, key != "contained", "{key}");
        }
        let order = rules.of_type(ResourceType::parse("ServiceRequest").unwrap());
        assert_eq!(order.class, Class::Never);
        assert!(!order.is_open(Some("active")));
    }

    #[test]
    fn types_of_a_choice_share_a_name_and_a_group() {
        let rules = Rules::get();
        let patient = Some(Context::of(ResourceType::parse("Patient").unwrap()));
        let dead = rules.element(patient, "deceasedBoolean").unwrap();
        let died = rules.element(patient, "deceasedDateTime").unwrap();
        assert_eq!((dead.name, dead.group), ("deceased", died.group));
        assert_eq!(dead.group, rules.element(patient, "gender").unwrap().group);
        assert!(dead.group.is_some());
    }
}
