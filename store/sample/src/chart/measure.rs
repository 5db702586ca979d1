//! Observations: vital signs, laboratory results with their reports, survey scores, habits.

use serde_json::{Value, json};

use super::{Chart, Visit};
use crate::catalogue::{Lab, Panel, Survey, UrineTest};
use crate::element::{Code, Decimal, hl7_named, loinc, named_reference, quantity, reference, snomed};

/// Category of an observation; servers commonly repeat the code as its display.
type Category = &'static str;

const VITAL_SIGNS: Category = "vital-signs";
const LABORATORY: Category = "laboratory";
const SURVEY: Category = "survey";
const SOCIAL_HISTORY: Category = "social-history";

/// What a conversion of units appends to a number.
const CONVERSION: i64 = 1_000_000_000_000;

/// How far from healthy results are, from 0 to 100 percent of the width of the range.
pub(crate) type Strain = i64;

/// A measure that is no laboratory test: term, unit as shown, UCUM unit, US Core profile.
pub(crate) struct Vital {
    code: Code,
    unit: &'static str,
    ucum: &'static str,
    profile: &'static str,
}

const fn vital(code: Code, unit: &'static str, ucum: &'static str, profile: &'static str) -> Vital {
    Vital { code, unit, ucum, profile }
}

pub(crate) const HEIGHT: Vital = vital(loinc("8302-2", "Body Height"), "cm", "cm", "bodyheight");
pub(crate) const WEIGHT: Vital = vital(loinc("29463-7", "Body Weight"), "kg", "kg", "bodyweight");
pub(crate) const BMI: Vital = vital(loinc("39156-5", "Body Mass Index"), "kg/m2", "kg/m2", "bmi");
pub(crate) const HEART_RATE: Vital = vital(loinc("8867-4", "Heart rate"), "/min", "/min", "heartrate");
pub(crate) const BREATHS: Vital = vital(loinc("9279-1", "Respiratory rate"), "/min", "/min", "resprate");
pub(crate) const TEMPERATURE: Vital = vital(loinc("8310-5", "Body temperature"), "Cel", "Cel", "bodytemp");
pub(crate) const HEAD: Vital =
    vital(loinc("9843-4", "Head Occipital-frontal circumference"), "cm", "cm", "headcircum");
pub(crate) const BMI_PERCENTILE: Vital = vital(
    loinc("59576-9", "Body mass index (BMI) [Percentile] Per age and gender"),
    "%",
    "%",
    "pediatric-bmi-for-age",
);
pub(crate) const WEIGHT_FOR_LENGTH: Vital =
    vital(loinc("77606-2", "Weight-for-length Per age and sex"), "%", "%", "pediatric-weight-for-height");
pub(crate) const OXYGEN_SATURATION: Vital =
    vital(loinc("2708-6", "Oxygen saturation in Arterial blood"), "%", "%", "oxygensat");

impl Chart<'_> {
    fn observe(
        &mut self,
        visit: &Visit,
        category: Category,
        profile: &str,
        code: Code,
        value: Value,
    ) -> String {
        let id = self.random.uuid();
        let mut observation = json!({
            "status": "final",
            "category": [hl7_named("observation-category", category, category)],
            "code": code.concept(),
            "subject": self.subject(),
            "encounter": reference(&visit.reference()),
            "effectiveDateTime": visit.start.to_string(),
            "issued": visit.start.instant(self.random.between(0, 999)),
        });
        let Value::Object(value) = value else { unreachable!("the value is given as an object") };
        observation.as_object_mut().expect("built as an object").extend(value);
        self.put("Observation", &id, Some(profile), observation);
        id
    }

    /// Records a vital sign.
    pub(crate) fn measure(&mut self, visit: &Visit, vital: &Vital, value: Decimal) {
        let value = json!({"valueQuantity": quantity(value, vital.unit, vital.ucum)});
        self.observe(visit, VITAL_SIGNS, vital.profile, vital.code, value);
    }

    /// Records blood pressure with its two components, in mmHg.
    pub(crate) fn blood_pressure(&mut self, visit: &Visit, systolic: i64, diastolic: i64) {
        let component = |code: Code, mantissa| {
            let pressure = quantity(Decimal { mantissa, scale: 0 }, "mm[Hg]", "mm[Hg]");
            json!({"code": code.concept(), "valueQuantity": pressure})
        };
        let value = json!({"component": [
            component(loinc("8462-4", "Diastolic Blood Pressure"), diastolic),
            component(loinc("8480-6", "Systolic Blood Pressure"), systolic),
        ]});
        self.observe(visit, VITAL_SIGNS, "bp", loinc("85354-9", "Blood Pressure"), value);
    }

    /// Records a laboratory result; returns its id.
    pub(crate) fn test(&mut self, visit: &Visit, lab: &Lab, strain: Strain) -> String {
        let width = lab.high - lab.low;
        let drift = width * strain / 100;
        let mantissa = self.random.around(lab.low + drift - width / 20, lab.high + drift + width / 20).max(0);
        self.result(visit, lab, mantissa)
    }

    /// Records a given laboratory value, in the units of the lab's scale; returns the observation's id.
    pub(crate) fn result(&mut self, visit: &Visit, lab: &Lab, mantissa: i64) -> String {
        if !self.us_core {
            return self.converted_result(visit, lab, mantissa);
        }
        let amount = |mantissa| quantity(Decimal { mantissa, scale: lab.scale }, lab.unit, lab.unit);
        let mut value = json!({"valueQuantity": amount(mantissa)});
        if self.random.chance(25) {
            let (code, display) = match mantissa {
                low if low < lab.low => ("L", "Low"),
                high if high > lab.high => ("H", "High"),
                _ => ("N", "Normal"),
            };
            value["interpretation"] = json!([hl7_named("v3-ObservationInterpretation", code, display)]);
            value["referenceRange"] = json!([{"low": amount(lab.low), "high": amount(lab.high)}]);
        }
        self.observe(visit, LABORATORY, "us-core-observation-lab", lab.code, value)
    }

    /// A result of a system that shows its own short names and keeps every digit of its unit conversions.
    fn converted_result(&mut self, visit: &Visit, lab: &Lab, mantissa: i64) -> String {
        let digits = Decimal {
            mantissa: mantissa * CONVERSION + self.random.between(0, CONVERSION - 1),
            scale: lab.scale + CONVERSION.ilog10(),
        };
        let code = Code { display: lab.short, ..lab.code };
        let value = json!({"valueQuantity": quantity(digits, lab.unit, lab.unit)});
        self.observe(visit, LABORATORY, "us-core-observation-lab", code, value)
    }

    /// Records all tests of a panel and the report on them.
    pub(crate) fn panel(&mut self, visit: &mut Visit, panel: &Panel, strain: Strain) {
        let results = panel
            .labs
            .iter()
            .map(|lab| {
                let name = if self.us_core { lab.code.display } else { lab.short };
                named_reference(&format!("Observation/{}", self.test(visit, lab, strain)), name)
            })
            .collect();
        self.report(visit, panel.code, results);
        visit.findings.tests.push(panel.code.display);
    }

    /// Records a urinalysis and the report on it.
    pub(crate) fn urinalysis(&mut self, visit: &mut Visit, tests: &[UrineTest]) {
        let code = loinc("24356-8", "Urinalysis complete panel - Urine");
        let results = tests
            .iter()
            .map(|test| {
                let finding =
                    if self.random.chance(80) { &test.findings[0] } else { self.random.pick(test.findings) };
                let value = json!({"valueCodeableConcept": finding.concept()});
                let id = self.observe(visit, LABORATORY, "us-core-observation-lab", test.code, value);
                named_reference(&format!("Observation/{id}"), test.code.display)
            })
            .collect();
        self.report(visit, code, results);
        visit.findings.tests.push(code.display);
    }

    fn report(&mut self, visit: &Visit, code: Code, results: Vec<Value>) {
        let id = self.random.uuid();
        let mut report = json!({
            "status": "final",
            "category": [hl7_named("v2-0074", "LAB", "Laboratory")],
            "code": code.concept(),
            "subject": self.subject(),
            "encounter": reference(&visit.reference()),
            "effectiveDateTime": visit.start.to_string(),
            "issued": visit.start.instant(self.random.between(0, 999)),
        });
        if self.us_core {
            report["performer"] = json!([self.organization(visit)]);
        }
        report["result"] = results.into();
        self.put("DiagnosticReport", &id, Some("us-core-diagnosticreport-lab"), report);
    }

    /// Records the total score of a questionnaire.
    pub(crate) fn survey(&mut self, visit: &Visit, survey: &Survey) {
        let mantissa = self.random.between(0, survey.most).min(self.random.between(0, survey.most));
        let value = json!({"valueQuantity": quantity(Decimal { mantissa, scale: 0 }, "{score}", "{score}")});
        self.observe(visit, SURVEY, "us-core-observation-survey", survey.code, value);
    }

    /// Records pain from 0 to 10.
    pub(crate) fn pain(&mut self, visit: &Visit, score: i64) {
        let code = loinc("72514-3", "Pain severity - 0-10 verbal numeric rating [Score] - Reported");
        let value =
            json!({"valueQuantity": quantity(Decimal { mantissa: score, scale: 0 }, "{score}", "{score}")});
        self.observe(visit, VITAL_SIGNS, "vitalsigns", code, value);
    }

    /// Records whether the patient smokes.
    pub(crate) fn smoking(&mut self, visit: &Visit) {
        let status = match (self.person.smoker, self.person.id.as_bytes()[0] % 3) {
            (true, _) => snomed("449868002", "Smokes tobacco daily"),
            (false, 0) => snomed("8517006", "Former smoker"),
            (false, _) => snomed("266919005", "Never smoker"),
        };
        let value = json!({"valueCodeableConcept": status.concept()});
        let code = loinc("72166-2", "Tobacco smoking status NHIS");
        self.observe(visit, SOCIAL_HISTORY, "us-core-smokingstatus", code, value);
    }
}
