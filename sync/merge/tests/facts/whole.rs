//! Resource classes, and what keeps a resource from being joined at all.

use keepwell_merge::{Outcome, Reason, Side};

use crate::{conflicts, joins, outcome, patient};

fn order(status: &str, dose: &str, rest: &str) -> String {
    format!(
        "{{'resourceType':'MedicationRequest','status':'{status}','intent':'order','medicationCodeableConcept':{{'text':'m'}},\
         'subject':{{'reference':'Patient/1'}},'dosageInstruction':[{{'text':'{dose}'}}]{rest}}}"
    )
}

#[test]
fn a_stopped_order_and_its_raised_dose_are_never_joined() {
    let base = order("active", "1", "");
    conflicts(
        &base,
        &order("stopped", "1", ""),
        &order("active", "2", ""),
        Reason::NeverJoined,
        "MedicationRequest",
    );
    for kind in ["AllergyIntolerance", "Condition", "ServiceRequest", "Consent", "Bundle", "CodeSystem"] {
        let with = |one: &str, two: &str| {
            format!("{{'resourceType':'{kind}','language':'{one}','implicitRules':'{two}'}}")
        };
        conflicts(&with("en", "a"), &with("de", "a"), &with("en", "b"), Reason::NeverJoined, kind);
    }
}

#[test]
fn a_note_or_a_tag_joins_any_edit_of_an_order() {
    let note = ",'note':[{'text':'n'}]";
    joins(
        &order("active", "1", ""),
        &order("active", "1", note),
        &order("active", "2", ""),
        &order("active", "2", note),
    );
    // But not a note that was edited.
    let edited = ",'note':[{'text':'x'}]";
    conflicts(
        &order("active", "1", note),
        &order("active", "1", edited),
        &order("active", "2", note),
        Reason::NeverJoined,
        "MedicationRequest",
    );
}

#[test]
fn results_are_joined_until_they_are_final() {
    let result = |status: &str, rest: &str| {
        format!("{{'resourceType':'Observation','status':'{status}','code':{{'text':'c'}}{rest}}}")
    };
    let (issued, category) = (",'issued':'2020-01-01T00:00:00Z'", ",'category':[{'text':'x'}]");
    joins(
        &result("preliminary", ""),
        &result("preliminary", category),
        &result("preliminary", issued),
        &result("preliminary", &format!("{category}{issued}")),
    );
    conflicts(
        &result("final", ""),
        &result("final", issued),
        &result("final", category),
        Reason::Final,
        "Observation",
    );
    conflicts(
        &result("preliminary", ""),
        &result("final", ""),
        &result("preliminary", category),
        Reason::Final,
        "Observation",
    );
    let identifier = ",'identifier':[{'value':'1'}]";
    joins(
        &result("final", ""),
        &result("final", identifier),
        &result("final", issued),
        &result("final", &format!("{identifier}{issued}")),
    );
    conflicts(
        &result("preliminary", ",'valueString':'a'"),
        &result("preliminary", ",'valueString':'b'"),
        &result("preliminary", ",'valueString':'a','method':{'text':'m'}"),
        Reason::Group,
        "Observation",
    );
}

#[test]
fn forms_are_joined_until_they_are_handed_in() {
    let form = |status: &str, rest: &str| {
        format!("{{'resourceType':'QuestionnaireResponse','status':'{status}'{rest}}}")
    };
    let (one, two) = (",'item':[{'linkId':'1'}]", ",'item':[{'linkId':'2'}]");
    joins(
        &form("in-progress", ""),
        &form("in-progress", two),
        &form("in-progress", one),
        &form("in-progress", ",'item':[{'linkId':'2'},{'linkId':'1'}]"),
    );
    conflicts(
        &form("completed", ""),
        &form("completed", one),
        &form("completed", two),
        Reason::Final,
        "QuestionnaireResponse",
    );
}

#[test]
fn of_an_encounter_only_who_and_where_are_joined() {
    let encounter = |rest: &str| {
        format!("{{'resourceType':'Encounter','status':'planned','class':{{'code':'AMB'}}{rest}}}")
    };
    let participant = ",'participant':[{'individual':{'reference':'Practitioner/1'}}]";
    let (length, priority) = (",'length':{'value':1}", ",'priority':{'text':'x'}");
    joins(
        &encounter(""),
        &encounter(participant),
        &encounter(length),
        &encounter(&format!("{participant}{length}")),
    );
    conflicts(&encounter(""), &encounter(length), &encounter(priority), Reason::Group, "Encounter");
}

#[test]
fn provenance_and_audit_never_change() {
    let with = |recorded: &str, policy: &str| {
        format!("{{'resourceType':'Provenance','recorded':'{recorded}','policy':['{policy}']}}")
    };
    let base = with("2020-01-01T00:00:00Z", "a");
    conflicts(
        &base,
        &with("2021-01-01T00:00:00Z", "a"),
        &with("2020-01-01T00:00:00Z", "b"),
        Reason::Immutable,
        "Provenance",
    );
}

#[test]
fn what_was_entered_in_error_is_shown_alone() {
    let list = |status: &str, title: &str| {
        format!("{{'resourceType':'List','status':'{status}','mode':'working','title':'{title}'}}")
    };
    let (base, error, edit) = (list("current", "a"), list("entered-in-error", "a"), list("current", "b"));
    conflicts(&base, &error, &edit, Reason::EnteredInError, "List");
    for (mine, theirs, expected) in [(&error, &edit, Side::Mine), (&edit, &error, Side::Theirs)] {
        outcome(&base, mine, theirs, |outcome| {
            let Outcome::Conflicted(conflicted) = outcome else { panic!("joined") };
            assert_eq!(conflicted.shown, expected);
            let proposal =
                String::from_utf8(conflicted.proposal.expect("a resource").into_owned()).expect("UTF-8");
            assert!(proposal.contains("entered-in-error"));
        });
    }
    let allergy = |code: &str, note: &str| {
        format!(
            "{{'resourceType':'AllergyIntolerance','verificationStatus':{{'coding':[{{'code':'{code}'}}]}},'patient':{{'reference':'Patient/1'}}{note}}}"
        )
    };
    let noted = allergy("confirmed", ",'note':[{'text':'n'}]");
    conflicts(
        &allergy("confirmed", ""),
        &allergy("entered-in-error", ""),
        &noted,
        Reason::EnteredInError,
        "AllergyIntolerance",
    );
}

#[test]
fn another_subject_joins_with_nothing() {
    let goal = |subject: &str, rest: &str| {
        format!(
            "{{'resourceType':'Goal','lifecycleStatus':'active','description':{{'text':'d'}},'subject':{{'reference':'{subject}'}}{rest}}}"
        )
    };
    let noted = ",'note':[{'text':'n'}]";
    conflicts(
        &goal("Patient/1", ""),
        &goal("Patient/2", ""),
        &goal("Patient/1", noted),
        Reason::Subject,
        "Goal",
    );
    // A version is no other subject.
    joins(
        &goal("Patient/1", ""),
        &goal("Patient/1/_history/3", ""),
        &goal("Patient/1", noted),
        &goal("Patient/1/_history/3", noted),
    );
}

#[test]
fn a_modifier_extension_is_joined_with_nothing_beside_it() {
    let modifier = "'modifierExtension':[{'url':'m','valueBoolean':true}]";
    conflicts(
        &patient("'language':'en'"),
        &patient(&format!("'language':'en',{modifier}")),
        &patient("'language':'en','name':[{'text':'n'}]"),
        Reason::Modifier,
        "Patient",
    );
    // However deep it is added: it may negate everything.
    let contact = |rest: &str| patient(&format!("'contact':[{{'gender':'male'{rest}}}]"));
    let theirs = patient("'contact':[{'gender':'male'}],'name':[{'text':'n'}]");
    conflicts(&contact(""), &contact(&format!(",{modifier}")), &theirs, Reason::Modifier, "Patient");
    // Gone again, with another change of the same parent.
    let with = |name: &str, rest: &str| patient(&format!("'contact':[{{'id':'c','gender':'{name}'{rest}}}]"));
    let base = with("male", &format!(",{modifier}"));
    conflicts(
        &base,
        &with("male", ""),
        &with("other", &format!(",{modifier}")),
        Reason::Modifier,
        "Patient.contact[0]",
    );
}

#[test]
fn implicit_rules_and_language_in_dispute_hold_the_resource_back() {
    for name in ["language", "implicitRules"] {
        let with = |value: &str| patient(&format!("'{name}':'{value}'"));
        conflicts(&with("a"), &with("b"), &with("c"), Reason::Frame, "Patient");
    }
}

#[test]
fn what_is_signed_is_joined_with_nothing() {
    let signed = "'extension':[{'url':'u','valueSignature':{'data':'AA=='}}]";
    let base = patient(&format!("{signed},'gender':'male'"));
    let mine = patient(&format!("{signed},'gender':'other'"));
    let theirs = patient(&format!("{signed},'gender':'male','name':[{{'text':'n'}}]"));
    conflicts(&base, &mine, &theirs, Reason::Signed, "Patient");
}

#[test]
fn changes_that_break_the_rules_together_are_a_conflict() {
    // A reference to a contained resource that is of another type by now.
    let with = |kind: &str, reference: &str| {
        patient(&format!(
            "'contained':[{{'resourceType':'{kind}','id':'c'}}],'generalPractitioner':[{{'reference':'#c'}}]{reference}"
        ))
    };
    let manager = ",'extension':[{'url':'u','valueReference':{'reference':'#c'}}],'contact':[{'organization':{'reference':'#c'}}]";
    let base = with("Organization", "");
    let (mine, theirs) = (with("Practitioner", ""), with("Organization", manager));
    conflicts(&base, &mine, &theirs, Reason::Invalid, "Patient");
}
