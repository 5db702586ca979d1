//! Conditions and what is done about them: procedures, orders, vaccines, plans, images, devices.

use serde_json::{Value, json};

use super::billing::{Item, Line};
use super::{Chart, Visit};
use crate::calendar::{Day, Moment};
use crate::catalogue::{Allergy, Drug, Imaging, Vaccine};
use crate::element::{
    Code, Decimal, bare_concept, hl7, hl7_named, named_reference, period, reference, snomed,
};

/// A condition that is on record.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    id: String,
    pub(crate) code: Code,
}

impl Problem {
    fn reference(&self) -> String {
        format!("Condition/{}", self.id)
    }
}

/// Minutes that a procedure takes.
const PROCEDURE_MINUTES: (i64, i64) = (15, 90);

impl Chart<'_> {
    /// Records a condition found at a visit; `end` is when it passed.
    pub(crate) fn condition(&mut self, visit: &mut Visit, code: Code, end: Option<Moment>) -> Problem {
        let end = end.filter(|end| end.day() <= self.last_day());
        let id = self.random.uuid();
        let mut condition = json!({
            "clinicalStatus": hl7("condition-clinical", if end.is_some() { "resolved" } else { "active" }),
            "verificationStatus": hl7("condition-ver-status", "confirmed"),
        });
        if self.us_core {
            condition["category"] =
                json!([hl7_named("condition-category", "encounter-diagnosis", "Encounter Diagnosis")]);
        }
        condition["code"] = code.concept();
        condition["subject"] = self.subject();
        condition["encounter"] = reference(&visit.reference());
        condition["onsetDateTime"] = visit.start.to_string().into();
        if let Some(end) = end {
            condition["abatementDateTime"] = end.to_string().into();
        }
        condition["recordedDate"] = visit.start.to_string().into();
        self.put("Condition", &id, Some("us-core-condition"), condition);
        let problem = Problem { id, code };
        visit.lines.push(Line { item: Item::Diagnosis, target: problem.reference(), code, cents: 0 });
        visit.findings.problems.push(code.display);
        if end.is_none() {
            self.history.problems.push(code.display);
        }
        problem
    }

    /// Records a procedure done at a visit.
    pub(crate) fn procedure(
        &mut self,
        visit: &mut Visit,
        (code, cents): (Code, i64),
        reason: Option<&Problem>,
    ) {
        let id = self.random.uuid();
        let minutes = self.random.between(PROCEDURE_MINUTES.0, PROCEDURE_MINUTES.1);
        let mut procedure = json!({
            "status": "completed",
            "code": code.concept(),
            "subject": self.subject(),
            "encounter": reference(&visit.reference()),
            "performedPeriod": period(visit.start, visit.start.plus_minutes(minutes)),
        });
        if self.us_core {
            procedure["location"] = self.location(visit);
        }
        if let Some(reason) = reason {
            procedure["reasonReference"] = json!([named_reference(&reason.reference(), reason.code.display)]);
        }
        self.put("Procedure", &id, Some("us-core-procedure"), procedure);
        let cents = cents * self.random.around(70, 130) / 100;
        visit.lines.push(Line { item: Item::Procedure, target: format!("Procedure/{id}"), code, cents });
        visit.findings.procedures.push(code.display);
    }

    /// Prescribes a drug; `active` if it is still taken.
    pub(crate) fn prescribe(
        &mut self,
        visit: &mut Visit,
        drug: &Drug,
        reason: Option<&Problem>,
        active: bool,
    ) {
        let id = self.random.uuid();
        let mut request = json!({
            "status": if active { "active" } else { "stopped" },
            "intent": "order",
            "medicationCodeableConcept": drug.code.concept(),
            "subject": self.subject(),
            "encounter": reference(&visit.reference()),
            "authoredOn": visit.start.to_string(),
            "requester": self.practitioner(visit),
        });
        if let Some(reason) = reason {
            request["reasonReference"] = json!([reference(&reason.reference())]);
        }
        request["dosageInstruction"] = json!([self.dosage(drug)]);
        self.put("MedicationRequest", &id, Some("us-core-medicationrequest"), request);
        visit.findings.orders.push(drug.code.display);
        if active {
            self.history.drugs.push(drug.code.display);
        }
        self.bill_pharmacy(visit, &format!("MedicationRequest/{id}"), drug);
    }

    fn dosage(&mut self, drug: &Drug) -> Value {
        if drug.daily == 0 {
            return json!({"sequence": 1, "text": "Take as needed.", "asNeededBoolean": true});
        }
        let mut dosage = json!({
            "sequence": 1,
            "timing": {"repeat": {
                "frequency": drug.daily, "period": Decimal { mantissa: 10, scale: 1 }.json(), "periodUnit": "d",
            }},
            "asNeededBoolean": false,
        });
        if self.random.chance(10) {
            dosage["additionalInstruction"] = json!([snomed("311504000", "With or after food").concept(),]);
        }
        dosage["doseAndRate"] = json!([{
            "type": hl7_named("dose-rate-type", "ordered", "Ordered"),
            "doseQuantity": {"value": Decimal { mantissa: 10, scale: 1 }.json()},
        }]);
        dosage
    }

    /// Records a drug given at the visit itself.
    pub(crate) fn administer(&mut self, visit: &mut Visit, drug: &Drug, reason: &Problem) {
        let medication = self.random.uuid();
        self.put(
            "Medication",
            &medication,
            Some("us-core-medication"),
            json!({"code": drug.code.concept(), "status": "active"}),
        );
        let id = self.random.uuid();
        let administration = json!({
            "status": "completed",
            "medicationCodeableConcept": drug.code.concept(),
            "subject": self.subject(),
            "context": reference(&visit.reference()),
            "effectiveDateTime": visit.start.to_string(),
            "reasonReference": [reference(&reason.reference())],
        });
        self.put("MedicationAdministration", &id, None, administration);
        visit.findings.orders.push(drug.code.display);
    }

    /// Records supplies that were used up.
    pub(crate) fn supply(&mut self, visit: &Visit, item: Code) {
        let id = self.random.uuid();
        let delivery = json!({
            "status": "completed",
            "patient": self.subject(),
            "type": hl7_named("supply-item-type", "device", "Device"),
            "suppliedItem": {
                "quantity": {"value": self.random.between(1, 24)},
                "itemCodeableConcept": item.concept(),
            },
            "occurrenceDateTime": visit.start.to_string(),
        });
        self.put("SupplyDelivery", &id, None, delivery);
    }

    /// Records a vaccination.
    pub(crate) fn immunize(&mut self, visit: &mut Visit, vaccine: &Vaccine) {
        let id = self.random.uuid();
        let mut immunization = json!({
            "status": "completed",
            "vaccineCode": vaccine.code.concept(),
            "patient": self.subject(),
            "encounter": reference(&visit.reference()),
            "occurrenceDateTime": visit.start.to_string(),
            "primarySource": true,
        });
        if self.us_core {
            immunization["location"] = self.location(visit);
        }
        self.put("Immunization", &id, Some("us-core-immunization"), immunization);
        visit.lines.push(Line {
            item: Item::Immunization,
            target: format!("Immunization/{id}"),
            code: vaccine.code,
            cents: vaccine.cents,
        });
        visit.findings.vaccines.push(vaccine.code.display);
    }

    /// Records an allergy known since `since`.
    pub(crate) fn allergy(&mut self, since: Moment, allergy: &Allergy) {
        let id = self.random.uuid();
        let reactions: Vec<_> = allergy
            .reactions
            .iter()
            .map(|reaction| {
                let severity = *self.random.pick(&["mild", "moderate", "severe"]);
                json!({"manifestation": [reaction.concept()], "severity": severity})
            })
            .collect();
        let mut record = json!({
            "clinicalStatus": hl7("allergyintolerance-clinical", "active"),
            "verificationStatus": hl7("allergyintolerance-verification", "confirmed"),
            "type": "allergy",
            "category": [allergy.category],
            "criticality": if self.random.chance(85) { "low" } else { "high" },
            "code": allergy.code.concept(),
            "patient": self.subject(),
            "recordedDate": since.to_string(),
        });
        if self.us_core && self.random.chance(60) {
            record["reaction"] = reactions.into();
        }
        self.put("AllergyIntolerance", &id, Some("us-core-allergyintolerance"), record);
        self.history.allergies.push(allergy.code.display);
    }

    /// Records a care plan with its team and goals; `end` is when it was fulfilled.
    pub(crate) fn plan(
        &mut self,
        visit: &Visit,
        (category, activities): &(Code, &[Code]),
        goals: &[&str],
        reason: &Problem,
        end: Option<Moment>,
    ) {
        let end = end.filter(|end| end.day() <= self.last_day());
        let duration = match end {
            Some(end) => period(visit.start, end),
            None => json!({"start": visit.start.to_string()}),
        };
        let team = self.team(visit, reason, &duration, end.is_none());
        let goals: Vec<_> = goals.iter().map(|goal| self.goal(goal, reason, visit.start.day())).collect();
        let id = self.random.uuid();
        let status = if end.is_some() { "completed" } else { "in-progress" };
        let activities: Vec<_> = activities
            .iter()
            .map(|activity| {
                let mut detail = json!({"code": activity.concept(), "status": status});
                if self.us_core {
                    let organization = &self.world.organizations[visit.organization];
                    detail["location"] = json!({"display": organization.name});
                }
                json!({"detail": detail})
            })
            .collect();
        let mut categories = vec![category.concept()];
        if self.us_core {
            let assess =
                bare_concept("http://hl7.org/fhir/us/core/CodeSystem/careplan-category", "assess-plan");
            categories.insert(0, assess);
        }
        let mut plan = json!({
            "status": if end.is_some() { "completed" } else { "active" },
            "intent": "order",
            "category": categories,
            "subject": self.subject(),
            "encounter": reference(&visit.reference()),
            "period": duration,
            "careTeam": [reference(&team)],
            "addresses": [reference(&reason.reference())],
        });
        if !goals.is_empty() {
            plan["goal"] = goals.into();
        }
        plan["activity"] = activities.into();
        self.put("CarePlan", &id, Some("us-core-careplan"), plan);
        if end.is_none() {
            self.history.plans.push(category.display);
        }
    }

    fn team(&mut self, visit: &Visit, reason: &Problem, duration: &Value, active: bool) -> String {
        let id = self.random.uuid();
        let participant = |role: Code, member: Value| json!({"role": [role.concept()], "member": member});
        let team = json!({
            "status": if active { "active" } else { "inactive" },
            "subject": self.subject(),
            "encounter": reference(&visit.reference()),
            "period": duration,
            "participant": [
                participant(snomed("116154003", "Patient"), self.named_subject()),
                participant(snomed("223366009", "Healthcare professional (occupation)"), self.practitioner(visit)),
                participant(snomed("224891009", "Healthcare services (qualifier value)"), self.organization(visit)),
            ],
            "reasonCode": [reason.code.concept()],
            "managingOrganization": [self.organization(visit)],
        });
        self.put("CareTeam", &id, Some("us-core-careteam"), team);
        format!("CareTeam/{id}")
    }

    fn goal(&mut self, text: &str, reason: &Problem, start: Day) -> Value {
        let id = self.random.uuid();
        let progress = *self.random.pick(&["in-progress", "in-progress", "achieved", "not-achieved"]);
        let goal = json!({
            "lifecycleStatus": "active",
            "achievementStatus": hl7("goal-achievement", progress),
            "description": {"text": text},
            "subject": self.subject(),
            "startDate": start.to_string(),
            "addresses": [reference(&reason.reference())],
        });
        self.put("Goal", &id, Some("us-core-goal"), goal);
        reference(&format!("Goal/{id}"))
    }

    /// Records an imaging study, the procedure that made it included.
    pub(crate) fn image(&mut self, visit: &mut Visit, imaging: &Imaging, reason: Option<&Problem>) {
        self.procedure(visit, imaging.procedure, reason);
        let id = self.random.uuid();
        let root = format!("1.2.826.0.1.3680043.10.{}", self.random.digits(9));
        let (code, display) = imaging.modality;
        let (sop_class, title) = imaging.images;
        let count = if code == "CT" { self.random.between(8, 24) } else { self.random.between(1, 2) };
        let instances: Vec<_> = (1..=count)
            .map(|number| {
                json!({
                    "uid": format!("{root}.1.{number}"),
                    "sopClass": {"system": "urn:ietf:rfc:3986", "code": format!("urn:oid:{sop_class}")},
                    "number": number,
                    "title": title,
                })
            })
            .collect();
        let mut study = json!({
            "identifier": [{"use": "official", "system": "urn:dicom:uid", "value": format!("urn:oid:{root}")}],
            "status": "available",
            "subject": self.subject(),
            "encounter": reference(&visit.reference()),
            "started": visit.start.to_string(),
            "numberOfSeries": 1,
            "numberOfInstances": count,
            "procedureCode": [imaging.procedure.0.concept()],
        });
        if self.us_core {
            study["location"] = self.location(visit);
        }
        study["series"] = json!([{
            "uid": format!("{root}.1"),
            "number": 1,
            "modality": {"system": "http://dicom.nema.org/resources/ontology/DCM", "code": code, "display": display},
            "numberOfInstances": count,
            "bodySite": imaging.body_site.coding(),
            "started": visit.start.to_string(),
            "instance": instances,
        }]);
        self.put("ImagingStudy", &id, None, study);
    }

    /// Records a device that stays with the patient.
    pub(crate) fn device(&mut self, visit: &Visit, kind: Code) {
        let id = self.random.uuid();
        let (item, lot, serial) = (self.random.digits(14), self.random.digits(17), self.random.digits(18));
        let made = visit.start.plus_days(-self.random.between(20, 400));
        let expires = made.plus_days(365 * 25);
        let compact = |moment: Moment| moment.day().to_string().replace('-', "")[2..].to_owned();
        let carrier = format!("(01){item}(11){}(17){}(10){lot}(21){serial}", compact(made), compact(expires));
        let device = json!({
            "udiCarrier": [{"deviceIdentifier": item, "carrierHRF": carrier}],
            "status": "active",
            "distinctIdentifier": item,
            "manufactureDate": made.to_string(),
            "expirationDate": expires.to_string(),
            "lotNumber": lot,
            "serialNumber": serial,
            "deviceName": [{"name": kind.display, "type": "user-friendly-name"}],
            "type": kind.concept(),
            "patient": self.subject(),
        });
        self.put("Device", &id, Some("us-core-implantable-device"), device);
    }
}
