//! What there is to record: laboratory tests, drugs, procedures, vaccines and disorders.
//!
//! Codes and names are those of the code systems (LOINC, SNOMED CT, RxNorm, CVX); which belongs to
//! which disorder, and the ranges that values are drawn from, are a simplification of common practice.

mod allergies;
mod disorders;
mod drugs;
mod labs;
mod procedures;
mod vaccines;

pub(crate) use allergies::{ALLERGIES, Allergy};
pub(crate) use disorders::{Course, DISORDERS, Disorder, PREGNANCY};
pub(crate) use drugs::Drug;
pub(crate) use labs::{
    BASIC_PANEL, BLOOD_COUNT, DIFFERENTIAL, GAD7, HBA1C, KIDNEY, LIPIDS, Lab, Panel, SURVEYS, Survey,
    URINALYSIS, UrineTest,
};
pub(crate) use procedures::{IMAGING, Imaging, PROCEDURES};
pub(crate) use vaccines::{VACCINES, Vaccine};
