//! Lists: items with an identity, sets, order, extensions, contained resources.

use keepwell_merge::{Action, Outcome, Reason};

use crate::{conflicts, joins, outcome, patient};

/// M13: android-fhir issue 1096, where a patch by index put a phone number into the wrong entry.
#[test]
fn an_edited_phone_number_is_found_behind_a_new_entry() {
    joins(
        &patient("'telecom':[{'system':'phone','use':'home','value':'1'}]"),
        &patient("'telecom':[{'system':'phone','use':'home','value':'2'}]"),
        &patient(
            "'telecom':[{'system':'email','value':'a@example.org'},{'system':'phone','use':'home','value':'1'}]",
        ),
        &patient(
            "'telecom':[{'system':'email','value':'a@example.org'},{'system':'phone','use':'home','value':'2'}]",
        ),
    );
}

#[test]
fn additions_of_both_sides_are_kept_and_removals_done() {
    joins(
        &patient("'telecom':[{'system':'phone','value':'1'},{'system':'phone','value':'2'}]"),
        &patient(
            "'telecom':[{'system':'phone','value':'1'},{'system':'fax','value':'3'},{'system':'phone','value':'2'}]",
        ),
        &patient("'telecom':[{'system':'phone','value':'2'},{'system':'sms','value':'4'}]"),
        &patient(
            "'telecom':[{'system':'fax','value':'3'},{'system':'phone','value':'2'},{'system':'sms','value':'4'}]",
        ),
    );
}

#[test]
fn an_item_that_one_side_removed_and_the_other_changed_is_a_conflict() {
    let with = |items: &str| {
        patient(&format!("'language':'en','telecom':[{{'system':'email','value':'e'}}{items}]"))
    };
    let base = with(",{'system':'phone','use':'home','value':'1'}");
    conflicts(
        &base,
        &with(",{'system':'phone','use':'home','value':'2'}"),
        &with(""),
        Reason::RemovedAndChanged,
        "Patient.telecom[1]",
    );
}

#[test]
fn an_item_that_both_sides_changed_is_joined_by_child_or_a_conflict() {
    let contact = |gender: &str, phone: &str| {
        patient(&format!(
            "'contact':[{{'relationship':[{{'text':'wife'}}],'gender':'{gender}','telecom':[{{'system':'phone','value':'{phone}'}}]}}]"
        ))
    };
    joins(&contact("female", "1"), &contact("other", "1"), &contact("female", "2"), &contact("other", "2"));
    let phone =
        |value: &str| patient(&format!("'telecom':[{{'system':'phone','use':'home','value':'{value}'}}]"));
    conflicts(&phone("1"), &phone("2"), &phone("3"), Reason::BothChanged, "Patient.telecom[0]");
}

#[test]
fn the_same_key_added_by_both_with_other_content_is_a_conflict() {
    let team = |participants: &str| format!("{{'resourceType':'CareTeam','name':'n'{participants}}}");
    let member = |period: &str| {
        team(&format!(
            ",'participant':[{{'member':{{'reference':'Practitioner/1'}},'period':{{'start':'{period}'}}}}]"
        ))
    };
    conflicts(&team(""), &member("2020"), &member("2021"), Reason::AddedTwice, "CareTeam.participant[0]");
    // Two new phone numbers are two phone numbers.
    joins(
        &patient("'language':'en'"),
        &patient("'language':'en','telecom':[{'system':'phone','use':'home','value':'1'}]"),
        &patient("'language':'en','telecom':[{'system':'phone','use':'home','value':'2'}]"),
        &patient(
            "'language':'en','telecom':[{'system':'phone','use':'home','value':'1'},{'system':'phone','use':'home','value':'2'}]",
        ),
    );
}

#[test]
fn two_items_that_come_to_have_one_key_are_a_conflict() {
    let with = |items: &str| patient(&format!("'telecom':[{items}]"));
    let base = with("{'system':'phone','use':'home','value':'1','rank':1}");
    let mine = with("{'system':'phone','use':'home','value':'2','rank':1}");
    let theirs = with(
        "{'system':'phone','use':'home','value':'1','rank':1},{'system':'phone','use':'home','value':'2','rank':2}",
    );
    conflicts(&base, &mine, &theirs, Reason::DuplicateKey, "Patient.telecom");
}

#[test]
fn items_that_cannot_be_told_apart_are_a_conflict() {
    let with = |one: &str, two: &str| {
        patient(&format!("'address':[{{'use':'home','city':'{one}'}},{{'use':'home','city':'{two}'}}]"))
    };
    conflicts(&with("a", "b"), &with("c", "d"), &with("a", "e"), Reason::Ambiguous, "Patient.address");
}

#[test]
fn an_element_id_tells_items_apart() {
    let with = |one: &str, two: &str| {
        patient(&format!(
            "'address':[{{'id':'1','use':'home','city':'{one}'}},{{'id':'2','use':'home','city':'{two}'}}]"
        ))
    };
    joins(&with("a", "b"), &with("c", "b"), &with("a", "e"), &with("c", "e"));
}

#[test]
fn lists_whose_order_matters_and_unlisted_ones_change_as_a_whole() {
    let with =
        |given: &str| patient(&format!("'name':[{{'use':'official','family':'F','given':[{given}]}}]"));
    conflicts(&with("'a'"), &with("'a','b'"), &with("'a','c'"), Reason::BothChanged, "Patient.name[0].given");
    let location = |alias: &str| format!("{{'resourceType':'Location','alias':[{alias}]}}");
    conflicts(
        &location("'a'"),
        &location("'a','b'"),
        &location("'a','c'"),
        Reason::BothChanged,
        "Location.alias",
    );
}

#[test]
fn coded_lists_are_sets_of_concepts() {
    let service = |codes: &[&str]| {
        let items: Vec<_> =
            codes.iter().map(|code| format!("{{'coding':[{{'system':'s','code':'{code}'}}]}}")).collect();
        format!("{{'resourceType':'HealthcareService','category':[{}]}}", items.join(","))
    };
    joins(&service(&["a", "b"]), &service(&["b", "a", "c"]), &service(&["b"]), &service(&["b", "c"]));
}

#[test]
fn the_order_of_a_keyed_list_alone_is_no_change() {
    let base = patient("'telecom':[{'value':'1'},{'value':'2'}],'identifier':[{'value':'1'},{'value':'2'}]");
    let mine = patient("'telecom':[{'value':'2'},{'value':'1'}],'identifier':[{'value':'2'},{'value':'1'}]");
    let theirs = patient(
        "'telecom':[{'value':'1'},{'value':'2'}],'identifier':[{'value':'1'},{'value':'3'},{'value':'2'}]",
    );
    joins(&base, &mine, &theirs, &theirs);
}

#[test]
fn entries_of_forms_are_joined_by_link_with_answers_as_a_whole() {
    let form = |one: &str, two: &str| {
        format!(
            "{{'resourceType':'QuestionnaireResponse','status':'in-progress','item':[{{'linkId':'g','item':[\
             {{'linkId':'1','answer':[{{'valueString':'{one}'}}]}},{{'linkId':'2','answer':[{{'valueString':'{two}'}}]}}]}}]}}"
        )
    };
    joins(&form("a", "b"), &form("x", "b"), &form("a", "y"), &form("x", "y"));
    conflicts(
        &form("a", "b"),
        &form("x", "b"),
        &form("z", "b"),
        Reason::BothChanged,
        "QuestionnaireResponse.item[0].item[0].answer",
    );
}

#[test]
fn extensions_are_joined_by_url_and_inside() {
    let extension = |one: &str, two: &str| {
        patient(&format!(
            "'extension':[{{'url':'u','extension':[{{'url':'1','valueString':'{one}'}},{{'url':'2','valueString':'{two}'}}]}}]"
        ))
    };
    joins(&extension("a", "b"), &extension("x", "b"), &extension("a", "y"), &extension("x", "y"));
    conflicts(
        &extension("a", "b"),
        &extension("x", "b"),
        &extension("z", "b"),
        Reason::BothChanged,
        "Patient.extension[0].extension[0].value",
    );
}

#[test]
fn extensions_of_primitive_items_move_with_them() {
    joins(
        "{'resourceType':'Location','meta':{'profile':['a','b'],'_profile':[null,{'id':'x'}]},'name':'n'}",
        "{'resourceType':'Location','meta':{'profile':['b','c'],'_profile':[{'id':'x'},{'id':'y'}]},'name':'n'}",
        "{'resourceType':'Location','meta':{'profile':['d','a','b'],'_profile':[null,null,{'id':'x'}]},'name':'n'}",
        "{'resourceType':'Location','meta':{'profile':['d','b','c'],'_profile':[null,{'id':'x'},{'id':'y'}]},'name':'n'}",
    );
}

const DOCTOR: &str = "{'resourceType':'Practitioner','id':'c1','gender':'male'}";

#[test]
fn contained_resources_are_joined_by_id() {
    let with = |doctor: &str, city: &str| {
        patient(&format!(
            "'contained':[{doctor}],'generalPractitioner':[{{'reference':'#c1'}}],'maritalStatus':{{'text':'{city}'}}"
        ))
    };
    let named = DOCTOR.replace("'gender'", "'name':[{'text':'n'}],'gender'");
    let active = DOCTOR.replace("'gender'", "'active':true,'gender'");
    let both = DOCTOR.replace("'gender'", "'active':true,'name':[{'text':'n'}],'gender'");
    joins(&with(DOCTOR, "a"), &with(&active, "a"), &with(&named, "a"), &with(&both, "a"));
    let (one, two) = (DOCTOR.replace("male", "female"), DOCTOR.replace("male", "other"));
    conflicts(&with(DOCTOR, "a"), &with(&one, "a"), &with(&two, "a"), Reason::Group, "Patient.contained[0]");
}

#[test]
fn a_contained_resource_stays_while_anything_refers_to_it() {
    let with = |contained: &str, doctors: &str, contact: &str| {
        patient(&format!(
            "{contained}'generalPractitioner':[{doctors}{{'reference':'Practitioner/2'}}]{contact}"
        ))
    };
    let contained = format!("'contained':[{DOCTOR}],");
    let doctor = "{'reference':'#c1'},";
    let contact = ",'extension':[{'url':'u','valueReference':{'reference':'#c1'}}]";
    let base = with(&contained, doctor, "");
    let (mine, theirs) = (with("", "", ""), with(&contained, doctor, contact));
    joins(&base, &mine, &theirs, &with(&contained, "", contact));
    outcome(&base, &mine, &theirs, |outcome| {
        let Outcome::Merged(merged) = outcome else { panic!("a conflict") };
        assert!(merged.decisions.iter().any(|decision| decision.action == Action::KeptContained));
    });
}

#[test]
fn a_contained_resource_that_lost_its_last_reference_on_different_sides_is_a_conflict() {
    let with = |doctor: &str, extension: &str| {
        patient(&format!(
            "'contained':[{DOCTOR}],'generalPractitioner':[{doctor}{{'reference':'Practitioner/2'}}]{extension}"
        ))
    };
    let (doctor, extension) =
        ("{'reference':'#c1'},", ",'extension':[{'url':'u','valueReference':{'reference':'#c1'}}]");
    conflicts(
        &with(doctor, extension),
        &with("", extension),
        &with(doctor, ""),
        Reason::Unreferenced,
        "Patient",
    );
}
