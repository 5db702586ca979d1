//! Patient, Coverage and Provenance: who the record is about, who pays, who wrote it.

use serde_json::{Value, json};

use super::Chart;
use crate::element::{Decimal, hl7_named, reference};
use crate::person::{Gender, phone, street};
use crate::world::IDENTIFIER_SYSTEM;

const US_CORE: &str = "http://hl7.org/fhir/us/core/StructureDefinition";
const CORE: &str = "http://hl7.org/fhir/StructureDefinition";

impl Chart<'_> {
    /// Writes the Patient.
    pub(super) fn register(&mut self) {
        let person = self.person.clone();
        let home = self.world.organizations[person.home].place;
        let line = street(&mut self.random);
        let degrees = |mantissa| Decimal { mantissa, scale: 6 }.json();
        let (latitude, longitude) = home.position;
        let shift = (self.random.between(-40_000, 40_000), self.random.between(-40_000, 40_000));
        let mut patient = json!({
            "extension": self.extensions(),
            "identifier": self.identifiers(),
            "active": true,
            "name": self.names(),
            "telecom": [{"system": "phone", "value": phone(&mut self.random), "use": "home"}],
            "gender": person.gender.code(),
            "birthDate": person.birth.to_string(),
        });
        if let Some(death) = person.death {
            patient["deceasedDateTime"] = self.hour(death).to_string().into();
        }
        patient["address"] = json!([{
            "extension": [{
                "url": format!("{CORE}/geolocation"),
                "extension": [
                    {"url": "latitude", "valueDecimal": degrees(latitude + shift.0)},
                    {"url": "longitude", "valueDecimal": degrees(longitude + shift.1)},
                ],
            }],
            "line": [line],
            "city": home.city,
            "state": home.state,
            "postalCode": home.postal_code,
            "country": home.country,
        }]);
        patient["maritalStatus"] = hl7_named("v3-MaritalStatus", person.marital.0, person.marital.1);
        patient["maritalStatus"]["text"] = person.marital.1.into();
        match self.random.between(0, 40) {
            0 => patient["multipleBirthInteger"] = self.random.between(1, 3).into(),
            _ => patient["multipleBirthBoolean"] = false.into(),
        }
        let (code, display) = person.language;
        patient["communication"] = json!([{"language": {
            "coding": [{"system": "urn:ietf:bcp:47", "code": code, "display": display}],
            "text": display,
        }}]);
        self.put("Patient", &person.id, Some("us-core-patient"), patient);
    }

    fn extensions(&self) -> Value {
        let person = &self.person;
        let home = self.world.organizations[person.home].place;
        let (ethnicity, ethnicity_text) = if person.hispanic {
            ("2135-2", "Hispanic or Latino")
        } else {
            ("2186-5", "Not Hispanic or Latino")
        };
        let category = |url: &str, code: &str, display: &str| {
            json!({
                "url": format!("{US_CORE}/{url}"),
                "extension": [
                    {"url": "ombCategory", "valueCoding": {
                        "system": "urn:oid:2.16.840.1.113883.6.238", "code": code, "display": display,
                    }},
                    {"url": "text", "valueString": display},
                ],
            })
        };
        json!([
            category("us-core-race", person.race.0, person.race.1),
            category("us-core-ethnicity", ethnicity, ethnicity_text),
            {"url": format!("{CORE}/patient-mothersMaidenName"), "valueString": person.mother},
            {"url": format!("{US_CORE}/us-core-birthsex"), "valueCode": match person.gender {
                Gender::Female => "F",
                Gender::Male => "M",
            }},
            {"url": format!("{CORE}/patient-birthPlace"), "valueAddress": {
                "city": home.city, "state": home.state_name, "country": home.country,
            }},
        ])
    }

    fn identifiers(&mut self) -> Value {
        let typed = |code: &str, display: &str, system: &str, value: String| {
            let mut kind = hl7_named("v2-0203", code, display);
            kind["text"] = display.into();
            json!({"type": kind, "system": system, "value": value})
        };
        let id = self.person.id.clone();
        let mut identifiers = vec![
            json!({"system": IDENTIFIER_SYSTEM, "value": id}),
            typed("MR", "Medical Record Number", "https://hospital.keepwell.example/mrn", id),
        ];
        let home = self.world.organizations[self.person.home].place;
        let age = self.person.age(self.today);
        if home.country == "US" {
            let number = format!("999-{}-{}", self.random.digits(2), self.random.digits(4));
            identifiers.push(typed("SS", "Social Security Number", "http://hl7.org/fhir/sid/us-ssn", number));
        }
        if age >= 16 {
            let number = format!("S999{}", self.random.digits(5));
            identifiers.push(typed(
                "DL",
                "Driver's license number",
                "urn:oid:2.16.840.1.113883.4.3.25",
                number,
            ));
        }
        if age >= 20 && self.random.chance(70) {
            let system = format!("http://hl7.org/fhir/sid/passport-{}", home.country);
            let number = format!("X{}X", self.random.digits(8));
            identifiers.push(typed("PPN", "Passport number", &system, number));
        }
        identifiers.into()
    }

    fn names(&self) -> Value {
        let person = &self.person;
        let mut official = json!({"use": "official", "family": person.family, "given": person.given});
        if let Some(prefix) = person.prefix(self.today) {
            official["prefix"] = json!([prefix]);
        }
        let maiden = person.maiden.as_ref().map(|maiden| {
            let mut name = official.clone();
            name["use"] = "maiden".into();
            name["family"] = maiden.as_str().into();
            name
        });
        [Some(official), maiden].into_iter().flatten().collect()
    }

    /// Writes the Coverage.
    pub(super) fn insure(&mut self) {
        let (id, subject) = (self.coverage.clone(), self.subject());
        let coverage = json!({
            "status": "active",
            "type": hl7_named("v3-ActCode", "HIP", "health insurance plan policy"),
            "subscriberId": self.random.digits(9),
            "beneficiary": subject,
            "relationship": hl7_named("subscriber-relationship", "self", "Self"),
            "period": {"start": self.person.birth.to_string()},
            "payor": [{"display": self.person.payer}],
        });
        self.put("Coverage", &id, None, coverage);
    }

    /// Writes the Provenance of everything recorded so far.
    pub(super) fn provenance(&mut self) {
        let targets: Vec<_> = self.entries.iter().map(|entry| reference(&entry.reference())).collect();
        let organization = &self.world.organizations[self.person.home];
        let practitioner = self.world.practitioner_at(&mut self.random, self.person.home);
        let practitioner = &self.world.practitioners[practitioner];
        let who = json!({"reference": practitioner.reference(), "display": practitioner.name()});
        let behalf = json!({"reference": organization.reference(), "display": organization.name});
        let agent = |system: &str, code: &str, display: &str| {
            json!({
                "type": {"coding": [{"system": system, "code": code, "display": display}], "text": display},
                "who": who,
                "onBehalfOf": behalf,
            })
        };
        let id = self.random.uuid();
        let recorded = self.hour(self.last_day());
        let provenance = json!({
            "target": targets,
            "recorded": recorded.instant(0),
            "agent": [
                agent("http://terminology.hl7.org/CodeSystem/provenance-participant-type", "author", "Author"),
                agent(
                    "http://hl7.org/fhir/us/core/CodeSystem/us-core-provenance-participant-type",
                    "transmitter",
                    "Transmitter",
                ),
            ],
        });
        self.put("Provenance", &id, Some("us-core-provenance"), provenance);
    }
}
