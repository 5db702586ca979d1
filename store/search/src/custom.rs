//! A SearchParameter resource as a definition.

use std::borrow::Cow;

use keepwell_fhir::{Issue, IssueType, ResourceType, Severity, Walker};

use crate::draft::{Definition, Unsupported};
use crate::json;
use crate::parameter::{Base, Component, ParameterKind, ParameterNumber};
use crate::parameters::Parameters;

/// The definitions that a SearchParameter makes, one for each type it is about.
pub(crate) fn definitions(
    known: &Parameters,
    resource: &[u8],
    mut number_for: impl FnMut(ResourceType, &str) -> ParameterNumber,
) -> Result<Vec<Definition>, Vec<Issue>> {
    let mut walker = Walker::new();
    let walk = walker.walk(resource).map_err(|_| {
        vec![error(IssueType::Structure, "", "the resource is not valid JSON of a FHIR type")]
    })?;
    if walk.resource_type.name() != "SearchParameter" {
        return Err(vec![error(IssueType::Invalid, "", "the resource is no SearchParameter")]);
    }
    if !walk.issues.is_empty() {
        return Err(walk.issues.to_vec());
    }
    read(known, resource, &mut number_for).map_err(|issue| vec![issue])
}

fn read(
    known: &Parameters,
    resource: &[u8],
    number_for: &mut dyn FnMut(ResourceType, &str) -> ParameterNumber,
) -> Result<Vec<Definition>, Issue> {
    let required = |key: &str| text(resource, key).ok_or_else(|| missing(key));
    let (code, url, expression) = (required("code")?, required("url")?, required("expression")?);
    let kind = ParameterKind::parse(&required("type")?).ok_or_else(|| missing("type"))?;
    if kind == ParameterKind::Special {
        return Err(error(
            IssueType::NotSupported,
            "SearchParameter.type",
            "special parameters have logic of their own",
        ));
    }
    if code.starts_with('_') {
        let text = "names with an underscore belong to the specification";
        return Err(error(IssueType::BusinessRule, "SearchParameter.code", text));
    }
    let targets = texts(resource, "target").filter_map(|name| ResourceType::parse(&name)).collect::<Vec<_>>();
    let mut definitions = Vec::new();
    for base in bases(resource) {
        if known.get(base, &code).is_some() {
            let text = "a type has a parameter of this name already";
            return Err(error(IssueType::Duplicate, "SearchParameter.code", text));
        }
        let components =
            if kind == ParameterKind::Composite { components(known, base, resource)? } else { Vec::new() };
        definitions.push(Definition {
            number: number_for(base, &code),
            code: code.clone(),
            url: url.clone(),
            kind,
            base: Base::One(base),
            targets: targets.clone(),
            expression: expression.clone(),
            components,
        });
    }
    Ok(definitions)
}

/// The types that a SearchParameter is about, each once.
fn bases(resource: &[u8]) -> Vec<ResourceType> {
    let mut bases: Vec<ResourceType> = Vec::new();
    for name in texts(resource, "base") {
        match name.as_str() {
            "Resource" | "DomainResource" => bases.extend(ResourceType::all()),
            name => bases.extend(ResourceType::parse(name)),
        }
    }
    bases.sort_unstable();
    bases.dedup();
    bases
}

fn components(
    known: &Parameters,
    base: ResourceType,
    resource: &[u8],
) -> Result<Vec<(Component, String)>, Issue> {
    let list = json::member(resource, "component").ok_or_else(|| missing("component"))?;
    let mut components = Vec::new();
    for (place, component) in json::items(list).enumerate() {
        let url = text(component, "definition").unwrap_or_default();
        let url = url.split('|').next().unwrap_or_default();
        let parameter = known.of(base).find(|parameter| parameter.url == url).ok_or_else(|| {
            let place = format!("SearchParameter.component[{place}].definition");
            error(IssueType::NotFound, &place, "no parameter of the type has this URL")
        })?;
        let expression = text(component, "expression").unwrap_or_default();
        components.push((Component { number: parameter.number, kind: parameter.kind }, expression));
    }
    Ok(components)
}

fn text(object: &[u8], key: &str) -> Option<String> {
    json::member(object, key).and_then(json::text).map(Cow::into_owned)
}

fn texts<'a>(object: &'a [u8], key: &str) -> impl Iterator<Item = String> + use<'a> {
    let list = json::member(object, key).map(json::items);
    list.into_iter().flatten().filter_map(json::text).map(Cow::into_owned)
}

fn missing(key: &str) -> Issue {
    error(
        IssueType::Required,
        &format!("SearchParameter.{key}"),
        "the element is needed to search by the parameter",
    )
}

fn error(code: IssueType, expression: &str, diagnostics: &'static str) -> Issue {
    Issue {
        severity: Severity::Error,
        code,
        expression: expression.to_owned(),
        diagnostics: diagnostics.into(),
    }
}

/// What an expression has that is not supported.
pub(crate) fn issue(unsupported: Unsupported) -> Issue {
    match unsupported.component {
        Some(place) => unsupported.refusal.issue(&format!("SearchParameter.component[{place}].expression")),
        None => unsupported.refusal.issue("SearchParameter.expression"),
    }
}

/// The tables are full.
pub(crate) fn too_many() -> Issue {
    error(IssueType::TooCostly, "SearchParameter", "there are too many parameters")
}
