//! What this server offers, as a CapabilityStatement: from the types and search parameters that are there.

use keepwell_fhir::{Compartment, Instant, ResourceType};
use keepwell_search::{Base, Parameter, Parameters};
use serde_json::{Value, json};

/// What every type has. A version is read by its number, and only one resource is deleted by a condition.
const INTERACTIONS: [&str; 9] = [
    "read",
    "vread",
    "update",
    "patch",
    "delete",
    "history-instance",
    "history-type",
    "create",
    "search-type",
];

/// The statement of a server at `base`.
pub(crate) fn statement(base: &str, date: jiff::Timestamp) -> Vec<u8> {
    let parameters = Parameters::r4();
    let resources: Vec<Value> = ResourceType::all().map(|of| resource(&parameters, of)).collect();
    let common = parameters.all().filter(|parameter| parameter.base == Base::All);
    let statement = json!({
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": Instant::from_ms(date.as_millisecond()).to_string(),
        "kind": "instance",
        "software": { "name": "Keepwell", "version": env!("CARGO_PKG_VERSION") },
        "implementation": { "description": "A tenant of Keepwell", "url": base },
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "patchFormat": [
            "application/json-patch+json", "application/merge-patch+json", "application/fhir+json",
        ],
        "rest": [{
            "mode": "server",
            "security": { "description": "TLS 1.3 and a bearer token of the operator" },
            "resource": resources,
            "interaction": [
                { "code": "transaction" }, { "code": "batch" }, { "code": "history-system" },
                { "code": "search-system" },
            ],
            "searchParam": common.filter_map(search_parameter).collect::<Vec<_>>(),
            "compartment": Compartment::ALL.map(|compartment| {
                format!("http://hl7.org/fhir/CompartmentDefinition/{}", compartment.code().to_lowercase())
            }),
        }],
    });
    statement.to_string().into_bytes()
}

fn resource(parameters: &Parameters, of: ResourceType) -> Value {
    let own = parameters.of(of).filter(|parameter| parameter.base != Base::All);
    let mut resource = json!({
        "type": of.name(),
        "profile": format!("http://hl7.org/fhir/StructureDefinition/{of}"),
        "interaction": INTERACTIONS.map(|code| json!({ "code": code })),
        "versioning": "versioned",
        "readHistory": true,
        "updateCreate": true,
        "conditionalCreate": true,
        "conditionalRead": "full-support",
        "conditionalUpdate": true,
        "conditionalDelete": "single",
    });
    let own: Vec<Value> = own.filter_map(search_parameter).collect();
    // R4 has no empty arrays.
    if !own.is_empty() {
        resource["searchParam"] = own.into();
    }
    if Compartment::ALL.iter().any(|compartment| compartment.code() == of.name()) {
        let definition = format!("http://hl7.org/fhir/OperationDefinition/{of}-everything");
        resource["operation"] = json!([{ "name": "everything", "definition": definition }]);
    }
    resource
}

/// Nothing for a parameter that only the index knows.
fn search_parameter(parameter: &Parameter) -> Option<Value> {
    let Parameter { code, url, kind, .. } = parameter;
    (!url.is_empty()).then(|| json!({ "name": code, "definition": url, "type": kind.code() }))
}
