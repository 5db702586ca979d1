//! The committed table of R4, written: what `examples/generate_parameters` puts into `src/r4.rs`.

use std::fmt::Write as _;

use keepwell_fhir::{Compartment, ResourceType};

pub use crate::draft::Definition;
use crate::draft::{Draft, Unsupported};
use crate::parameter::{Base, Parameter};
use crate::path::expression::{Expression, Literal, Path, Step};
use crate::trie::{Tries, What};

/// The Rust source of the table, and the URLs of the definitions that do not compile with their reasons.
///
/// # Panics
/// If the definitions are more than tables can hold, or a compartment is not made of plain paths.
#[must_use]
pub fn source(definitions: &[Definition]) -> (String, Vec<(String, String)>) {
    let mut draft = Draft::new(Tries::empty());
    let (mut parameters, mut refused) = (Vec::new(), Vec::new());
    for definition in definitions {
        match draft.add(definition) {
            Ok(parameter) => parameters.push(parameter),
            Err(Unsupported { refusal, .. }) => {
                refused.push((definition.url.clone(), refusal.issue("").diagnostics.into_owned()));
            }
        }
    }
    for compartment in Compartment::ALL {
        for resource_type in ResourceType::all() {
            for code in compartment.parameters(resource_type) {
                let is_it = |definition: &&Definition| {
                    definition.base == Base::One(resource_type) && definition.code == *code
                };
                for definition in definitions.iter().filter(is_it) {
                    let added = draft.add_to_compartment(resource_type, compartment, &definition.expression);
                    added.expect("compartments are made of plain paths");
                }
            }
        }
    }
    parameters.sort_by(|a, b| (a.base, &a.code).cmp(&(b.base, &b.code)));
    let tries = draft.finish().expect("r4 fits into tables");
    (print(&parameters, &tries), refused)
}

fn print(parameters: &[Parameter], tries: &Tries) -> String {
    let mut out = String::from(
        "//! The search parameters of FHIR R4 4.0.1: written by examples/generate_parameters, not by hand.\n\n\
         use std::borrow::Cow;\n\n\
         use keepwell_fhir::ResourceType;\n\n\
         use crate::data_type::DataType as D;\n\
         use crate::parameter::{Base, Component, Parameter, ParameterKind as K, ParameterNumber};\n\
         use crate::path::expression::{Expression as E, Literal as L, Path, Step as S};\n\
         use crate::trie::{Action, Edge, Node, Program, Tries, What as W, edge as e, node as n};\n\n\
         const fn t(code: u8) -> ResourceType {\n\
         \x20   ResourceType::from_code(code).expect(\"the generator knows the types\")\n\
         }\n\n\
         const fn c(number: u16, kind: K) -> Component {\n\
         \x20   Component { number: ParameterNumber(number), kind }\n\
         }\n\n\
         #[expect(clippy::too_many_arguments, reason = \"a row has as many columns\")]\n\
         const fn p(number: u16, base: u8, code: &'static str, url: &'static str, kind: K, targets: &'static [ResourceType], components: &'static [Component], repeats: bool) -> Parameter {\n\
         \x20   let base = if base == 0 { Base::All } else { Base::One(t(base)) };\n\
         \x20   Parameter { number: ParameterNumber(number), code: Cow::Borrowed(code), url: Cow::Borrowed(url), kind, base, targets: Cow::Borrowed(targets), components: Cow::Borrowed(components), repeats }\n\
         }\n\n\
         const fn a(number: u16, what: W) -> Action {\n\
         \x20   Action { number: ParameterNumber(number), what }\n\
         }\n\n\
         const fn g(number: u16, kind: K, operands: u8, expression: E) -> Program {\n\
         \x20   Program { number: ParameterNumber(number), kind, operands, expression }\n\
         }\n\n\
         pub(crate) const fn tries() -> Tries {\n\
         \x20   Tries { nodes: Cow::Borrowed(&NODES), edges: Cow::Borrowed(&EDGES), actions: Cow::Borrowed(&ACTIONS), programs: Cow::Borrowed(&PROGRAMS), roots: Cow::Borrowed(&ROOTS) }\n\
         }\n",
    );
    let mut target_lists: Vec<&[ResourceType]> =
        parameters.iter().map(|parameter| &*parameter.targets).collect();
    target_lists.sort_unstable();
    target_lists.dedup();
    target_lists.retain(|list| !list.is_empty());
    for (number, list) in target_lists.iter().enumerate() {
        let codes: Vec<String> = list.iter().map(|kind| format!("t({})", kind.code())).collect();
        let _ = writeln!(out, "static T{number}: [ResourceType; {}] = [{}];", list.len(), codes.join(","));
    }
    let rows = parameters.iter().map(|parameter| print_parameter(parameter, &target_lists));
    table(&mut out, "Every parameter, by base and code.", "PARAMETERS", "Parameter", rows);
    let nodes = tries.nodes.iter().map(|node| {
        format!("n({},{},{},{},{})", node.mask, node.edges, node.edge_count, node.actions, node.action_count)
    });
    table(&mut out, "The nodes of all trees.", "NODES", "Node", nodes);
    let edges = tries.edges.iter().map(|edge| format!("e({},{})", edge.element, edge.node));
    table(&mut out, "Their edges.", "EDGES", "Edge", edges);
    let actions =
        tries.actions.iter().map(|action| format!("a({},{})", action.number.0, print_what(action.what)));
    table(&mut out, "What parameters do at nodes.", "ACTIONS", "Action", actions);
    let programs = tries.programs.iter().map(|program| {
        let expression = print_expression(&program.expression);
        format!("g({},K::{:?},{},{expression})", program.number.0, program.kind, program.operands)
    });
    table(&mut out, "What ways alone cannot say.", "PROGRAMS", "Program", programs);
    table(&mut out, "The trees by type.", "ROOTS", "u16", tries.roots.iter().map(u16::to_string));
    out
}

fn print_parameter(parameter: &Parameter, target_lists: &[&[ResourceType]]) -> String {
    let base = match parameter.base {
        Base::All => 0,
        Base::One(resource_type) => resource_type.code(),
    };
    let targets = match target_lists.binary_search(&&*parameter.targets) {
        Ok(number) => format!("&T{number}"),
        Err(_) => "&[]".to_owned(),
    };
    let components = parameter.components.iter().map(|one| format!("c({},K::{:?})", one.number.0, one.kind));
    format!(
        "p({},{base},{:?},{:?},K::{:?},{targets},&[{}],{})",
        parameter.number.0,
        parameter.code,
        parameter.url,
        parameter.kind,
        components.collect::<Vec<_>>().join(","),
        parameter.repeats,
    )
}

fn print_what(what: What) -> String {
    match what {
        What::Value { kind, data_type } => format!("W::Value{{kind:K::{kind:?},data_type:D::{data_type:?}}}"),
        What::Target { kind, data_type, target } => {
            let target = target.code();
            format!("W::Target{{kind:K::{kind:?},data_type:D::{data_type:?},target:t({target})}}")
        }
        What::Operand { program, operand, element } => {
            format!("W::Operand{{program:{program},operand:{operand},element:{element}}}")
        }
        What::Run { program } => format!("W::Run{{program:{program}}}"),
        What::Group { group, parts } => format!("W::Group{{group:{group},parts:{parts}}}"),
        What::Part { group, part, kind, data_type } => {
            format!("W::Part{{group:{group},part:{part},kind:K::{kind:?},data_type:D::{data_type:?}}}")
        }
    }
}

fn print_expression(expression: &Expression) -> String {
    let list = |name: &str, list: &[Expression]| {
        let list: Vec<String> = list.iter().map(print_expression).collect();
        format!("E::{name}(Cow::Borrowed(&[{}]))", list.join(","))
    };
    match expression {
        Expression::Path(path) => format!("E::Path({})", print_path(path)),
        Expression::Literal(Literal::Text(text)) => format!("E::Literal(L::Text(Cow::Borrowed({text:?})))"),
        Expression::Literal(Literal::Number(text)) => {
            format!("E::Literal(L::Number(Cow::Borrowed({text:?})))")
        }
        Expression::Literal(Literal::Boolean(value)) => format!("E::Literal(L::Boolean({value}))"),
        Expression::And(pair) => list("And", pair),
        Expression::Or(pair) => list("Or", pair),
        Expression::Equal(pair) => list("Equal", pair),
        Expression::Unequal(pair) => list("Unequal", pair),
        Expression::Not(one) => list("Not", one),
        Expression::Exists(path) => format!("E::Exists({})", print_path(path)),
        Expression::Is(path, name) => format!("E::Is({},Cow::Borrowed({name:?}))", print_path(path)),
        Expression::Targets(path, target) => format!("E::Targets({},t({}))", print_path(path), target.code()),
    }
}

fn print_path(path: &Path) -> String {
    let steps: Vec<String> = path.steps.iter().map(print_step).collect();
    format!("Path{{operand:{:?},steps:Cow::Borrowed(&[{}])}}", path.operand, steps.join(","))
}

fn print_step(step: &Step) -> String {
    match step {
        Step::Child(name) => format!("S::Child(Cow::Borrowed({name:?}))"),
        Step::Twin(name) => format!("S::Twin(Cow::Borrowed({name:?}))"),
        Step::Where(conditions) => {
            let conditions: Vec<String> = conditions.iter().map(print_expression).collect();
            format!("S::Where(Cow::Borrowed(&[{}]))", conditions.join(","))
        }
        Step::OfType(name) => format!("S::OfType(Cow::Borrowed({name:?}))"),
        Step::Index(index) => format!("S::Index({index})"),
        Step::Last => "S::Last".to_owned(),
    }
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
