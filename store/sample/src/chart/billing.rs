//! Claim and ExplanationOfBenefit: what a visit or a prescription costs and who pays.
//!
//! The adjudication follows the line amounts of the CMS Blue Button variables, which public payers report.

use serde_json::{Value, json};

use super::{Chart, Visit};
use crate::catalogue::Drug;
use crate::element::{Code, hl7, hl7_named, money, period, reference};

/// What a line of a bill stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Item {
    Diagnosis,
    Procedure,
    Immunization,
}

/// A line of a bill.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) item: Item,
    pub(super) target: String,
    pub(super) code: Code,
    pub(super) cents: i64,
}

const BLUE_BUTTON: &str = "https://bluebutton.cms.gov/resources";
/// Percent of the charge that the patient pays.
const COINSURANCE_PERCENT: i64 = 20;

impl Chart<'_> {
    fn payer(&self) -> Value {
        if self.us_core {
            json!({"reference": format!("Coverage/{}", self.coverage), "display": self.person.payer})
        } else {
            json!({"display": self.person.payer})
        }
    }

    /// Bills a prescription.
    pub(super) fn bill_pharmacy(&mut self, visit: &Visit, prescription: &str, drug: &Drug) {
        let id = self.random.uuid();
        let claim = json!({
            "status": "active",
            "type": hl7("claim-type", "pharmacy"),
            "use": "claim",
            "patient": self.subject(),
            "billablePeriod": period(visit.start, visit.end()),
            "created": visit.end().to_string(),
            "provider": self.organization(visit),
            "priority": hl7("processpriority", "normal"),
            "prescription": reference(prescription),
            "insurance": [{"sequence": 1, "focal": true, "coverage": self.payer()}],
            "item": [{
                "sequence": 1,
                "productOrService": visit.kind.code.concept(),
                "encounter": [reference(&visit.reference())],
            }],
            "total": money(drug.cents),
        });
        self.put("Claim", &id, None, claim);
    }

    /// Bills a visit and settles the bill.
    pub(super) fn bill(&mut self, visit: &Visit) {
        let claim = self.claim(visit);
        self.benefit(visit, &claim);
    }

    /// Hospitals bill as institutions, practices as professionals.
    fn claim_type(&self, visit: &Visit) -> &'static str {
        let name = &self.world.organizations[visit.organization].name;
        let hospital = name.ends_with("Hospital") || name.ends_with("Medical Center");
        if hospital { "institutional" } else { "professional" }
    }

    fn claim(&mut self, visit: &Visit) -> String {
        let id = self.random.uuid();
        let mut claim = json!({
            "status": "active",
            "type": hl7("claim-type", self.claim_type(visit)),
            "use": "claim",
            "patient": self.named_subject(),
            "billablePeriod": period(visit.start, visit.end()),
            "created": visit.end().to_string(),
            "provider": self.organization(visit),
            "priority": hl7("processpriority", "normal"),
        });
        if self.us_core {
            claim["facility"] = self.location(visit);
        }
        if let Some(information) = supporting(visit) {
            claim["supportingInfo"] = information;
        }
        if let Some(diagnoses) = diagnoses(visit, false) {
            claim["diagnosis"] = diagnoses;
        }
        let procedures: Vec<_> = numbered(visit, Item::Procedure)
            .map(|(sequence, line)| json!({"sequence": sequence, "procedureReference": reference(&line.target)}))
            .collect();
        if !procedures.is_empty() {
            claim["procedure"] = procedures.into();
        }
        claim["insurance"] = json!([{"sequence": 1, "focal": true, "coverage": self.payer()}]);
        claim["item"] = items(visit, |item, line| {
            if line.item != Item::Diagnosis {
                item["net"] = money(line.cents);
            }
        });
        claim["total"] = money(charge(visit));
        self.put("Claim", &id, None, claim);
        id
    }

    fn benefit(&mut self, visit: &Visit, claim: &str) {
        let id = self.random.uuid();
        let patient = self.subject();
        let practitioner = reference(&self.world.practitioners[visit.practitioner].reference());
        let payer = self.person.payer;
        let place = match visit.kind.class {
            "AMB" => ("19", "Off Campus-Outpatient Hospital"),
            "EMER" => ("20", "Urgent Care Facility"),
            _ => ("21", "Inpatient Hospital"),
        };
        let end = visit.end();
        let mut benefit = json!({
            "contained": [
                {
                    "resourceType": "ServiceRequest", "id": "referral", "status": "completed", "intent": "order",
                    "subject": patient, "requester": practitioner, "performer": [practitioner],
                },
                {
                    "resourceType": "Coverage", "id": "coverage", "status": "active", "type": {"text": payer},
                    "beneficiary": patient, "payor": [{"display": payer}],
                },
            ],
            "identifier": [
                {"system": format!("{BLUE_BUTTON}/variables/clm_id"), "value": claim},
                {"system": format!("{BLUE_BUTTON}/identifier/claim-group"), "value": self.random.digits(11)},
            ],
            "status": "active",
            "type": hl7("claim-type", self.claim_type(visit)),
            "use": "claim",
            "patient": patient,
            "billablePeriod": period(end, end.plus_days(365)),
            "created": end.to_string(),
            "insurer": {"display": payer},
            "provider": practitioner,
            "referral": {"reference": "#referral"},
        });
        if self.us_core {
            benefit["facility"] = self.location(visit);
        }
        benefit["claim"] = reference(&format!("Claim/{claim}"));
        benefit["outcome"] = "complete".into();
        benefit["careTeam"] = json!([{
            "sequence": 1,
            "provider": practitioner,
            "role": hl7_named("claimcareteamrole", "primary", "Primary Care Practitioner"),
        }]);
        if let Some(diagnoses) = diagnoses(visit, true) {
            benefit["diagnosis"] = diagnoses;
        }
        benefit["insurance"] =
            json!([{"focal": true, "coverage": {"reference": "#coverage", "display": payer}}]);
        let mut paid = 0;
        benefit["item"] = items(visit, |item, line| {
            item["category"] = json!({"coding": [{
                "system": format!("{BLUE_BUTTON}/variables/line_cms_type_srvc_cd"), "code": "1", "display": "Medical care",
            }]});
            item["servicedPeriod"] = period(visit.start, end);
            item["locationCodeableConcept"] = hl7_named("ex-serviceplace", place.0, place.1);
            if line.cents > 0 {
                paid += line.cents - line.cents * COINSURANCE_PERCENT / 100;
                item["net"] = money(line.cents);
                item["adjudication"] = adjudication(line.cents);
            }
        });
        let mut submitted = hl7_named("adjudication", "submitted", "Submitted Amount");
        submitted["text"] = "Submitted Amount".into();
        benefit["total"] = json!([{"category": submitted, "amount": money(charge(visit))}]);
        benefit["payment"] = json!({"amount": money(paid)});
        self.put("ExplanationOfBenefit", &id, None, benefit);
    }
}

fn charge(visit: &Visit) -> i64 {
    visit.kind.cents + visit.lines.iter().map(|line| line.cents).sum::<i64>()
}

/// The lines of one kind, numbered from 1 as a claim refers to them.
fn numbered(visit: &Visit, item: Item) -> impl Iterator<Item = (usize, &Line)> {
    visit
        .lines
        .iter()
        .filter(move |line| line.item == item)
        .enumerate()
        .map(|(index, line)| (index + 1, line))
}

fn supporting(visit: &Visit) -> Option<Value> {
    let category = json!({"coding": [{
        "system": "http://terminology.hl7.org/CodeSystem/claiminformationcategory", "code": "info",
    }]});
    let vaccines: Vec<_> = numbered(visit, Item::Immunization)
        .map(|(sequence, line)| {
            json!({"sequence": sequence, "category": category, "valueReference": reference(&line.target)})
        })
        .collect();
    (!vaccines.is_empty()).then(|| vaccines.into())
}

fn diagnoses(visit: &Visit, typed: bool) -> Option<Value> {
    let diagnoses: Vec<_> = numbered(visit, Item::Diagnosis)
        .map(|(sequence, line)| {
            let mut diagnosis = json!({"sequence": sequence, "diagnosisReference": reference(&line.target)});
            if typed {
                diagnosis["type"] = json!([hl7("ex-diagnosistype", "principal")]);
            }
            diagnosis
        })
        .collect();
    (!diagnoses.is_empty()).then(|| diagnoses.into())
}

/// The visit itself as the first item, then every line; `complete` adds what the kind of bill needs.
fn items(visit: &Visit, mut complete: impl FnMut(&mut Value, &Line)) -> Value {
    let visit_line = Line { item: Item::Diagnosis, target: String::new(), code: visit.kind.code, cents: 0 };
    let mut first = json!({"sequence": 1, "productOrService": visit.kind.code.concept()});
    complete(&mut first, &visit_line);
    first["encounter"] = json!([reference(&visit.reference())]);
    let mut items = vec![first];
    for kind in [Item::Immunization, Item::Diagnosis, Item::Procedure] {
        for (number, line) in numbered(visit, kind) {
            let link = match kind {
                Item::Immunization => "informationSequence",
                Item::Diagnosis => "diagnosisSequence",
                Item::Procedure => "procedureSequence",
            };
            let mut item = json!({"sequence": items.len() + 1});
            item[link] = json!([number]);
            item["productOrService"] = line.code.concept();
            complete(&mut item, line);
            items.push(item);
        }
    }
    items.into()
}

fn adjudication(cents: i64) -> Value {
    let coinsurance = cents * COINSURANCE_PERCENT / 100;
    let category = |variable: &str, display: &str| {
        json!({"coding": [{
            "system": format!("{BLUE_BUTTON}/codesystem/adjudication"),
            "code": format!("{BLUE_BUTTON}/variables/{variable}"),
            "display": display,
        }]})
    };
    let amount = |variable: &str, display: &str, cents| json!({"category": category(variable, display), "amount": money(cents)});
    json!([
        amount("line_coinsrnc_amt", "Line Beneficiary Coinsurance Amount", coinsurance),
        amount("line_prvdr_pmt_amt", "Line Provider Payment Amount", cents - coinsurance),
        amount("line_sbmtd_chrg_amt", "Line Submitted Charge Amount", cents),
        amount("line_alowd_chrg_amt", "Line Allowed Charge Amount", cents),
        amount("line_bene_ptb_ddctbl_amt", "Line Beneficiary Part B Deductible Amount", 0),
        {"category": category("line_prcsg_ind_cd", "Line Processing Indicator Code")},
    ])
}
