//! Elements of objects: sync of primitive values, choices, data types, groups, narrative, meta.

use keepwell_merge::{Action, Outcome, Reason};

use crate::{conflicts, joins, outcome, patient};

#[test]
fn changes_of_different_elements_are_joined_in_the_order_of_theirs() {
    joins(
        "{'resourceType':'Location','name':'a','description':'b','mode':'kind'}",
        "{'resourceType':'Location','name':'A','description':'b','alias':['x'],'mode':'kind'}",
        "{'resourceType':'Location', 'description':'B','name':'a'}",
        "{'resourceType':'Location','description':'B','alias':['x'],'name':'A'}",
    );
}

#[test]
fn the_same_change_on_both_sides_is_taken_once() {
    let (base, one) =
        ("{'resourceType':'Location','name':'a'}", "{'resourceType':'Location','name':'b','mode':'kind'}");
    joins(
        base,
        one,
        "{'resourceType':'Location','name':'b'}",
        "{'resourceType':'Location','name':'b','mode':'kind'}",
    );
}

#[test]
fn different_changes_of_one_element_are_a_conflict() {
    let location = |name: &str| format!("{{'resourceType':'Location'{name}}}");
    let (a, b, c) = (location(",'name':'a'"), location(",'name':'b'"), location(",'name':'c'"));
    conflicts(&a, &b, &c, Reason::BothChanged, "Location.name");
    conflicts(&a, &b, &location(""), Reason::BothChanged, "Location.name");
    conflicts(&location(""), &b, &c, Reason::BothChanged, "Location.name");
}

#[test]
fn numbers_keep_their_spelling_and_differ_by_it() {
    let group = |quantity: &str, name: &str| {
        format!(
            "{{'resourceType':'Group','type':'person','actual':true,'quantity':{quantity},'name':'{name}'}}"
        )
    };
    joins(&group("1.0", "a"), &group("1.00", "a"), &group("1.0", "b"), &group("1.00", "b"));
    conflicts(&group("1", "a"), &group("1.0", "a"), &group("1.00", "a"), Reason::Group, "Group");
}

#[test]
fn a_primitive_value_and_its_extensions_are_one_element() {
    let base = patient("'language':'en','maritalStatus':{'text':'m'},'multipleBirthInteger':1");
    let mine = patient(
        "'language':'en','maritalStatus':{'text':'m'},'multipleBirthInteger':1,'_multipleBirthInteger':{'id':'x'}",
    );
    let theirs = patient("'language':'en','maritalStatus':{'text':'m'},'multipleBirthInteger':2");
    conflicts(&base, &mine, &theirs, Reason::BothChanged, "Patient.multipleBirth");
    let theirs = patient("'language':'en','maritalStatus':{'text':'n'},'multipleBirthInteger':1");
    let both = patient(
        "'language':'en','maritalStatus':{'text':'n'},'multipleBirthInteger':1,'_multipleBirthInteger':{'id':'x'}",
    );
    joins(&base, &mine, &theirs, &both);
}

#[test]
fn all_types_of_a_choice_are_one_element() {
    let base = patient("'multipleBirthBoolean':true");
    let (mine, theirs) = (patient("'multipleBirthInteger':1"), patient("'multipleBirthBoolean':false"));
    conflicts(&base, &mine, &theirs, Reason::BothChanged, "Patient.multipleBirth");
}

#[test]
fn a_quantity_a_concept_or_a_period_changes_as_a_whole() {
    let base = patient("'maritalStatus':{'coding':[{'code':'M'}],'text':'married'}");
    let mine = patient("'maritalStatus':{'coding':[{'code':'D'}],'text':'married'}");
    let theirs = patient("'maritalStatus':{'coding':[{'code':'M'}],'text':'widowed'}");
    conflicts(&base, &mine, &theirs, Reason::BothChanged, "Patient.maritalStatus");
}

#[test]
fn elements_that_no_definition_knows_survive() {
    let base = patient("'unheard':{'of':[1]},'language':'en'");
    let mine = patient("'unheard':{'of':[1]},'language':'en','_odd':{'x':1.50}");
    let theirs = patient("'unheard':{'of':[1,2]},'language':'en'");
    joins(&base, &mine, &theirs, &patient("'unheard':{'of':[1,2]},'language':'en','_odd':{'x':1.50}"));
}

#[test]
fn two_spellings_of_one_target_are_no_conflict() {
    let role = |organization: &str| {
        format!("{{'resourceType':'Location','partOf':{{'reference':'{organization}'}}}}")
    };
    outcome(&role("Location/1"), &role("Location/2/_history/3"), &role("Location/2"), |outcome| {
        assert!(matches!(outcome, Outcome::Merged(_)));
    });
    conflicts(
        &role("Location/1"),
        &role("Location/2"),
        &role("Location/3"),
        Reason::BothChanged,
        "Location.partOf",
    );
}

#[test]
fn names_are_joined_by_child_and_their_text_depends_on_the_rest() {
    let name = |name: &str| patient(&format!("'name':[{{{name}}}]"));
    let base = name("'use':'official','family':'A','given':['B'],'text':'B A'");
    joins(
        &base,
        &name("'use':'official','family':'C','given':['B'],'text':'B A'"),
        &name("'use':'official','family':'A','given':['B'],'prefix':['Dr'],'text':'B A'"),
        &name("'use':'official','family':'C','given':['B'],'prefix':['Dr'],'text':'B A'"),
    );
    let mine = name("'use':'official','family':'C','given':['B'],'text':'B C'");
    let theirs = name("'use':'official','family':'A','given':['B'],'prefix':['Dr'],'text':'B A'");
    conflicts(&base, &mine, &theirs, Reason::Group, "Patient.name[0]");
}

#[test]
fn elements_that_depend_on_each_other_are_decided_together() {
    for (base, mine, theirs, path) in [
        (
            "'gender':'male','birthDate':'1970'",
            "'gender':'female','birthDate':'1970'",
            "'gender':'male','birthDate':'1971'",
            "Patient",
        ),
        ("'active':true", "'active':false", "'active':true,'deceasedBoolean':true", "Patient"),
        (
            "'identifier':[{'value':'1'}]",
            "'identifier':[{'value':'1'},{'value':'2'}]",
            "'identifier':[{'value':'1'}],'birthDate':'1970'",
            "Patient",
        ),
        (
            "'address':[{'use':'home','line':['a'],'city':'b'}]",
            "'address':[{'use':'home','line':['x'],'city':'b'}]",
            "'address':[{'use':'home','line':['a'],'city':'y'}]",
            "Patient.address[0]",
        ),
    ] {
        conflicts(&patient(base), &patient(mine), &patient(theirs), Reason::Group, path);
    }
    let task = |status: &str, owner: &str| {
        format!(
            "{{'resourceType':'Task','intent':'order','status':'{status}','owner':{{'reference':'Practitioner/{owner}'}}}}"
        )
    };
    conflicts(
        &task("requested", "1"),
        &task("accepted", "1"),
        &task("requested", "2"),
        Reason::Group,
        "Task",
    );
    joins(
        "{'resourceType':'Task','intent':'order','status':'requested'}",
        "{'resourceType':'Task','intent':'order','status':'accepted'}",
        "{'resourceType':'Task','intent':'order','status':'requested','description':'a'}",
        "{'resourceType':'Task','intent':'order','status':'accepted','description':'a'}",
    );
}

#[test]
fn a_narrative_comes_from_the_side_that_the_data_comes_from_or_goes() {
    let text = |status: &str, text: &str| {
        format!(
            "'text':{{'status':'{status}','div':'<div xmlns=\\'http://www.w3.org/1999/xhtml\\'>{text}</div>'}},"
        )
    };
    let with = |text: &str, city: &str, phone: &str| {
        patient(&format!("{text}'maritalStatus':{{'text':'{city}'}},'multipleBirthInteger':{phone}"))
            .replace("\\'", "\\\"")
    };
    let (old, new) = (text("generated", "old"), text("generated", "new"));
    // Only meta changed on the other side.
    let tagged =
        with(&old, "a", "1").replace("'text':{'status'", "'meta':{'tag':[{'code':'t'}]},'text':{'status'");
    let both =
        with(&new, "b", "1").replace("'text':{'status'", "'meta':{'tag':[{'code':'t'}]},'text':{'status'");
    joins(&with(&old, "a", "1"), &with(&new, "b", "1"), &tagged, &both);
    joins(&with(&old, "a", "1"), &with(&new, "b", "1"), &with(&old, "a", "2"), &with("", "b", "2"));
    outcome(&with(&old, "a", "1"), &with(&new, "b", "1"), &with(&old, "a", "2"), |outcome| {
        let Outcome::Merged(merged) = outcome else { panic!("a conflict") };
        assert!(merged.decisions.iter().any(|decision| decision.action == Action::DroppedNarrative));
    });
    let own = text("additional", "by hand");
    conflicts(
        &with(&own, "a", "1"),
        &with(&new, "b", "1"),
        &with(&own, "a", "2"),
        Reason::Narrative,
        "Patient.text",
    );
}

#[test]
fn meta_is_joined_and_a_label_stays_if_anything_else_changed() {
    joins(
        "{'resourceType':'Location','meta':{'versionId':'1','profile':['a','b'],'security':[{'code':'R'}]},'name':'a'}",
        "{'resourceType':'Location','meta':{'versionId':'1','profile':['a','c','b']},'name':'a'}",
        "{'resourceType':'Location','meta':{'versionId':'2','profile':['b'],'security':[{'code':'R'}],'tag':[{'code':'t'}]},'name':'b'}",
        "{'resourceType':'Location','meta':{'versionId':'2','profile':['c','b'],'security':[{'code':'R'}],'tag':[{'code':'t'}]},'name':'b'}",
    );
    // Only what the server sets differs on the other side: the label goes.
    joins(
        "{'resourceType':'Location','meta':{'versionId':'1','security':[{'code':'R'}]},'name':'a'}",
        "{'resourceType':'Location','meta':{'versionId':'1'},'name':'b'}",
        "{'resourceType':'Location','meta':{'versionId':'2','security':[{'code':'R'}]},'name':'a'}",
        "{'resourceType':'Location','meta':{'versionId':'2'},'name':'b'}",
    );
}
