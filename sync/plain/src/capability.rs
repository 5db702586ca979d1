//! What a server says of itself, and what it was seen to do.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::Problem;

/// What is known of a server.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Capability {
    /// A write on an old version was refused: `If-Match` is not ignored.
    pub guards_updates: bool,
    /// A write where there should be nothing was refused: `If-None-Match: *` is not ignored.
    pub guards_creates: bool,
    /// Types for which a client may choose the id.
    pub update_create: Vec<String>,
    /// Types for which `If-None-Exist` is said to count.
    pub conditional_create: Vec<String>,
    /// Types that can be created at all.
    pub create: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    resource_type: String,
    fhir_version: String,
    #[serde(default)]
    rest: Vec<Rest>,
}

#[derive(Deserialize)]
struct Rest {
    mode: String,
    #[serde(default)]
    resource: Vec<OfType>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfType {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    interaction: Vec<Interaction>,
    #[serde(default)]
    update_create: bool,
    #[serde(default)]
    conditional_create: bool,
}

#[derive(Deserialize)]
struct Interaction {
    code: String,
}

impl Capability {
    /// Reads a CapabilityStatement. What was seen is not in it.
    pub(crate) fn read(statement: &[u8]) -> Result<Self, Problem> {
        let statement: Statement = serde_json::from_slice(statement).map_err(|_| Problem::NotFhir)?;
        if statement.resource_type != "CapabilityStatement" || !statement.fhir_version.starts_with("4.0") {
            return Err(Problem::NotFhir);
        }
        let server = statement.rest.into_iter().find(|rest| rest.mode == "server").ok_or(Problem::NotFhir)?;
        let types: BTreeMap<String, OfType> =
            server.resource.into_iter().map(|of| (of.kind.clone(), of)).collect();
        let names = |has: fn(&OfType) -> bool| {
            types.values().filter(|of| has(of)).map(|of| of.kind.clone()).collect::<Vec<_>>()
        };
        Ok(Self {
            guards_updates: false,
            guards_creates: false,
            update_create: names(|of| of.update_create),
            conditional_create: names(|of| of.conditional_create),
            create: names(|of| of.interaction.iter().any(|interaction| interaction.code == "create")),
        })
    }

    pub(crate) fn takes_ids(&self, kind: &str) -> bool {
        self.update_create.iter().any(|of| of == kind)
    }

    pub(crate) fn takes_conditions(&self, kind: &str) -> bool {
        self.conditional_create.iter().any(|of| of == kind)
    }

    pub(crate) fn creates(&self, kind: &str) -> bool {
        self.create.iter().any(|of| of == kind) || self.takes_ids(kind)
    }
}
