//! What the values on a command line may be.

use std::path::PathBuf;
use std::str::FromStr;

use clap::ValueEnum;
use keepwell_fhir::patch::PatchFormat;
use keepwell_fhir::{Instant, ResourceType};
use keepwell_protocol::Id;
use keepwell_store::Compression;
use keepwell_store::audit::{Action, Outcome};

/// `--keychain`.
#[derive(Clone)]
pub(crate) enum KeychainChoice {
    System,
    File(PathBuf),
    None,
}

impl FromStr for KeychainChoice {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match (text, text.strip_prefix("file:")) {
            ("system", _) => Ok(Self::System),
            ("none", _) => Ok(Self::None),
            (_, Some(directory)) if !directory.is_empty() => Ok(Self::File(directory.into())),
            _ => Err("expected system, file:DIR or none"),
        }
    }
}

/// A day of the calendar.
#[derive(Clone, Copy)]
pub(crate) struct Day {
    pub(crate) year: u16,
    pub(crate) month: u8,
    pub(crate) day: u8,
}

impl FromStr for Day {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "expected a day as YYYY-MM-DD";
        // Through an instant, which knows how long months are.
        Instant::parse(&format!("{text}T00:00:00Z")).ok_or(wrong)?;
        let mut parts = text.split('-');
        let mut part = || parts.next().ok_or(wrong);
        let (year, month, day) = (part()?, part()?, part()?);
        Ok(Self {
            year: year.parse().map_err(|_| wrong)?,
            month: month.parse().map_err(|_| wrong)?,
            day: day.parse().map_err(|_| wrong)?,
        })
    }
}

#[derive(Clone, Copy, Default, ValueEnum)]
pub(crate) enum CompressChoice {
    #[default]
    None,
    Gzip,
    Zstd,
}

impl From<CompressChoice> for Compression {
    fn from(choice: CompressChoice) -> Self {
        match choice {
            CompressChoice::None => Self::Plain,
            CompressChoice::Gzip => Self::Gzip,
            CompressChoice::Zstd => Self::Zstd,
        }
    }
}

/// A resource: `Patient/42`.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) resource_type: ResourceType,
    pub(crate) id: String,
}

impl FromStr for Place {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "expected TYPE/ID, such as Patient/42";
        let (name, id) = text.split_once('/').ok_or(wrong)?;
        if !keepwell_fhir::valid_id(id) {
            return Err(wrong);
        }
        Ok(Self { resource_type: resource_type(name)?, id: id.to_owned() })
    }
}

pub(super) fn resource_type(name: &str) -> Result<ResourceType, &'static str> {
    ResourceType::parse(name).ok_or("no such resource type in R4")
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum FormatChoice {
    /// RFC 6902
    Json,
    /// RFC 7396
    Merge,
    /// a Parameters resource
    Fhirpath,
}

impl From<FormatChoice> for PatchFormat {
    fn from(choice: FormatChoice) -> Self {
        match choice {
            FormatChoice::Json => Self::JsonPatch,
            FormatChoice::Merge => Self::MergePatch,
            FormatChoice::Fhirpath => Self::FhirPath,
        }
    }
}

/// A type, or a resource: `Patient`, `Patient/42`.
#[derive(Clone)]
pub(crate) struct Scope {
    pub(crate) resource_type: ResourceType,
    pub(crate) id: Option<String>,
}

impl FromStr for Scope {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains('/') {
            let Place { resource_type, id } = text.parse()?;
            Ok(Self { resource_type, id: Some(id) })
        } else {
            Ok(Self { resource_type: resource_type(text)?, id: None })
        }
    }
}

pub(super) fn id(text: &str) -> Result<Id, &'static str> {
    text.parse().map_err(|_| "expected an id: 1 to 64 of A-Z a-z 0-9 - .")
}

/// A scope that a user can be given.
pub(super) fn granted(text: &str) -> Result<keepwell_protocol::Scope, &'static str> {
    let scope: Option<keepwell_protocol::Scope> = text.parse().ok();
    let known = scope.filter(|scope| matches!(scope.kind(), "Patient" | "dir" | "lib"));
    known.ok_or("expected Patient/ID, dir/main or lib/main")
}

pub(super) fn instant(text: &str) -> Result<Instant, &'static str> {
    Instant::parse(text).ok_or("expected an instant with its zone, such as 2026-11-22T12:00:00Z")
}

pub(super) fn action(name: &str) -> Result<Action, String> {
    Action::parse(name).ok_or_else(|| {
        let names: Vec<_> = Action::ALL.iter().map(|action| action.name()).collect();
        format!("expected one of {}", names.join(", "))
    })
}

pub(super) fn outcome(code: &str) -> Result<Outcome, &'static str> {
    code.parse().ok().and_then(Outcome::from_code).ok_or("expected 0, 4, 8 or 12")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_days_and_keychains_are_checked() {
        assert!("Patient/42".parse::<Place>().is_ok());
        for wrong in ["Patient", "Patient/", "patient/42", "Patient/4_2", "Patient/42/_history/1"] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
        assert!("2024-02-29".parse::<Day>().is_ok() && "2023-02-29".parse::<Day>().is_err());
        assert!(granted("Patient/42").is_ok() && granted("dir/main").is_ok());
        assert!(granted("patient/42").is_err() && granted("everything").is_err() && id("dr jones").is_err());
        assert!("file:".parse::<KeychainChoice>().is_err() && "File:/x".parse::<KeychainChoice>().is_err());
    }
}
