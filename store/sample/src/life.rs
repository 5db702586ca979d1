//! What happens to a patient, and when.
//!
//! A life is a list of dated events (check-ups by age, illnesses by chance, a pregnancy) that are then
//! told to the [`Chart`] in the order of time.

use crate::calendar::Day;
use crate::catalogue::{
    ALLERGIES, BASIC_PANEL, BLOOD_COUNT, Course, DIFFERENTIAL, DISORDERS, Disorder, Drug, GAD7, HBA1C,
    IMAGING, KIDNEY, LIPIDS, PREGNANCY, PROCEDURES, SURVEYS, URINALYSIS, VACCINES,
};
use crate::chart::{Chart, Problem, Visit, VisitKind, vitals};
use crate::element::{Decimal, snomed};
use crate::entry::Entry;
use crate::person::Gender;
use crate::random::Random;
use crate::world::World;

/// Years before today from which routine visits are kept.
const KEPT_YEARS: i64 = 8;
/// Days of a pregnancy.
const PREGNANCY_DAYS: i64 = 280;

/// Something that happens on a day. The index names the disorder in the patient's own list.
#[derive(Clone, Copy, Debug)]
enum Event {
    CheckUp,
    Illness(&'static Disorder),
    Onset(usize),
    FollowUp(usize),
    Pregnancy,
    Prenatal(i64),
    Birth,
}

/// A chronic disorder of this patient.
struct Chronic {
    disorder: &'static Disorder,
    problem: Option<Problem>,
    follow_ups: usize,
}

const fn visit_kind(
    code: &'static str,
    display: &'static str,
    class: &'static str,
    minutes: i64,
    cents: i64,
) -> VisitKind {
    VisitKind { code: snomed(code, display), class, minutes, cents }
}

/// Writes the record of patient `index`.
pub(crate) fn record(seed: u64, index: u64, world: &World, today: Day) -> Vec<Entry> {
    let mut chart = Chart::new(Random::derive(seed, index), world, today);
    let mut chronic = chronic_disorders(&mut chart);
    let mut events = timeline(&mut chart, &chronic);
    events.sort_by_key(|(day, _)| *day);
    let last = chart.last_day();
    allergies(&mut chart);
    let mut pregnancy = None;
    for (day, event) in events.into_iter().filter(|(day, _)| *day <= last) {
        match event {
            Event::CheckUp => check_up(&mut chart, day, &chronic),
            Event::Illness(disorder) => illness(&mut chart, day, disorder),
            Event::Onset(index) => onset(&mut chart, day, &mut chronic[index]),
            Event::FollowUp(index) => follow_up(&mut chart, day, &mut chronic[index]),
            Event::Pregnancy => pregnancy = Some(conception(&mut chart, day)),
            Event::Prenatal(number) => prenatal(&mut chart, day, number, pregnancy.as_ref()),
            Event::Birth => birth(&mut chart, day, pregnancy.take().as_ref()),
        }
    }
    chart.finish()
}

/// Draws which long disorders the patient has by now.
fn chronic_disorders(chart: &mut Chart<'_>) -> Vec<Chronic> {
    let age = chart.person.age(chart.last_day());
    DISORDERS
        .iter()
        .filter(|disorder| {
            matches!(disorder.course, Course::Chronic(_))
                && age > disorder.ages.0
                && chart.random.chance(disorder.frequency)
                && fits(disorder, chart.person.gender)
        })
        .map(|disorder| Chronic { disorder, problem: None, follow_ups: 0 })
        .collect()
}

/// Breast cancer is told of women, a large prostate of men.
fn fits(disorder: &Disorder, gender: Gender) -> bool {
    match disorder.code.code {
        "254837009" => gender == Gender::Female,
        "266569009" => gender == Gender::Male,
        _ => true,
    }
}

fn timeline(chart: &mut Chart<'_>, chronic: &[Chronic]) -> Vec<(Day, Event)> {
    let (birth, last) = (chart.person.birth, chart.last_day());
    let first = birth.max(last.plus_years(-KEPT_YEARS));
    let mut events = check_ups(chart, birth, first, last);
    for year in 0..=first.years_until(last) {
        let start = first.plus_years(year);
        let age = birth.years_until(start);
        for disorder in DISORDERS {
            let likely = matches!(disorder.course, Course::Acute(..))
                && (disorder.ages.0..=disorder.ages.1).contains(&age)
                && chart.random.between(0, 9_999) < disorder.frequency / 2;
            if likely {
                events.push((start.plus(chart.random.between(0, 364)), Event::Illness(disorder)));
            }
        }
    }
    for (index, disorder) in chronic.iter().map(|chronic| chronic.disorder).enumerate() {
        let latest = birth.years_until(last).min(disorder.ages.1);
        let onset = birth
            .plus_years(chart.random.between(disorder.ages.0, latest))
            .plus(chart.random.between(0, 364));
        events.push((onset, Event::Onset(index)));
        let Course::Chronic(visits) = disorder.course else { continue };
        let interval = 365 / visits;
        let mut day = onset.plus(interval).max(first.plus(chart.random.between(0, interval)));
        while day <= last {
            events.push((day, Event::FollowUp(index)));
            day = day.plus(chart.random.around(interval * 7 / 10, interval * 13 / 10));
        }
    }
    pregnancies(chart, first, last, &mut events);
    events
}

/// Check-ups: seven in the first two years of life, then one a year or every other year.
fn check_ups(chart: &mut Chart<'_>, birth: Day, first: Day, last: Day) -> Vec<(Day, Event)> {
    let infant = [3, 30, 61, 122, 183, 274, 365, 457, 548, 730].map(|days| birth.plus(days));
    let mut days = infant.to_vec();
    let mut day = birth.plus(1096).max(first.plus(chart.random.between(0, 365)));
    while day <= last {
        days.push(day);
        let age = birth.years_until(day);
        day = day.plus(if (20..50).contains(&age) { 730 } else { 365 } + chart.random.between(-10, 20));
    }
    days.into_iter().filter(|day| *day >= first).map(|day| (day, Event::CheckUp)).collect()
}

fn pregnancies(chart: &mut Chart<'_>, first: Day, last: Day, events: &mut Vec<(Day, Event)>) {
    if chart.person.gender == Gender::Male {
        return;
    }
    let mut day = first.max(chart.person.birth.plus_years(21)).plus(chart.random.between(0, 700));
    while day.plus(PREGNANCY_DAYS) < last && chart.person.age(day) < 41 {
        if chart.random.chance(35) {
            events.push((day.plus(42), Event::Pregnancy));
            let prenatal = [70, 98, 126, 154, 182, 210, 238, 252, 266];
            events.extend(
                (0..).zip(prenatal).map(|(number, after)| (day.plus(after), Event::Prenatal(number))),
            );
            events.push((day.plus(PREGNANCY_DAYS), Event::Birth));
        }
        day = day.plus(chart.random.between(700, 1400));
    }
}

fn allergies(chart: &mut Chart<'_>) {
    if !chart.random.chance(18) {
        return;
    }
    let day = chart.person.birth.plus(chart.random.between(300, 1500)).min(chart.last_day());
    let since = chart.hour(day);
    for allergy in ALLERGIES {
        if chart.random.chance(25) {
            chart.allergy(since, allergy);
        }
    }
}

/// Height in cm and weight in units of 100 g of a median child, by year of age.
const GROWTH: [(i64, i64); 19] = [
    (50, 34),
    (76, 96),
    (87, 122),
    (96, 143),
    (103, 163),
    (110, 184),
    (116, 206),
    (122, 230),
    (128, 256),
    (133, 285),
    (138, 320),
    (143, 360),
    (149, 410),
    (156, 460),
    (163, 510),
    (166, 560),
    (169, 610),
    (170, 650),
    (171, 680),
];

/// Height in mm and weight in g on `day`.
fn size(chart: &Chart<'_>, day: Day) -> (i64, i64) {
    let person = &chart.person;
    let days = (day.0 - person.birth.0).max(0);
    let year = usize::try_from(days / 365).unwrap_or(18).min(18);
    let next = (year + 1).min(18);
    let part = if year == next { 0 } else { days % 365 };
    let blend = |from: i64, to: i64| from * 365 + (to - from) * part;
    let height = blend(GROWTH[year].0, GROWTH[next].0) * 10 / 365;
    let weight = blend(GROWTH[year].1, GROWTH[next].1) * 100 / 365;
    (height * person.height_percent / 100, weight * person.weight_percent / 100)
}

fn vital_signs(chart: &mut Chart<'_>, visit: &Visit, strain: i64) {
    let day = visit.start.day();
    let age = chart.person.age(day);
    let (height_mm, weight_g) = size(chart, day);
    chart.measure(visit, &vitals::HEIGHT, Decimal { mantissa: height_mm, scale: 1 });
    let score = chart.random.between(0, 4);
    chart.pain(visit, score);
    chart.measure(visit, &vitals::WEIGHT, Decimal { mantissa: weight_g / 100, scale: 1 });
    if age < 3 {
        let head = 345 + (day.0 - chart.person.birth.0).min(1095) * 150 / 1095;
        chart.measure(visit, &vitals::HEAD, Decimal { mantissa: head, scale: 1 });
        let percentile = chart.random.between(30, 990);
        chart.measure(visit, &vitals::WEIGHT_FOR_LENGTH, Decimal { mantissa: percentile, scale: 1 });
    } else {
        let bmi = weight_g * 100_000 / (height_mm * height_mm);
        chart.measure(visit, &vitals::BMI, Decimal { mantissa: bmi, scale: 2 });
        if age < 20 {
            let percentile = chart.random.between(300, 9900);
            chart.measure(visit, &vitals::BMI_PERCENTILE, Decimal { mantissa: percentile, scale: 2 });
        }
    }
    let systolic = chart.random.around(100, 126) + age / 8 + strain / 3;
    let diastolic = chart.random.around(64, 82) + strain / 6;
    chart.blood_pressure(visit, systolic, diastolic);
    let pulse = chart.random.around(58, 98);
    chart.measure(visit, &vitals::HEART_RATE, Decimal { mantissa: pulse, scale: 0 });
    let breaths = chart.random.around(12, 17);
    chart.measure(visit, &vitals::BREATHS, Decimal { mantissa: breaths, scale: 0 });
}

fn check_up(chart: &mut Chart<'_>, day: Day, chronic: &[Chronic]) {
    let age = chart.person.age(day);
    let kind = if age < 18 {
        visit_kind("410620009", "Well child visit (procedure)", "AMB", 30, 12_916)
    } else if chart.random.chance(60) {
        visit_kind("162673000", "General examination of patient (procedure)", "AMB", 30, 12_916)
    } else {
        visit_kind("185349003", "Encounter for check up (procedure)", "AMB", 15, 12_916)
    };
    let start = chart.hour(day);
    let mut visit = chart.open(kind, start, None);
    let strain = if chronic.iter().any(|chronic| chronic.problem.is_some()) { 40 } else { 5 };
    vital_signs(chart, &visit, strain);
    if age >= 12 {
        chart.smoking(&visit);
        screenings(chart, &visit);
    }
    if age >= 18 {
        adult_tests(chart, &mut visit, age, strain);
    }
    vaccinate(chart, &mut visit, day);
    for procedure in PROCEDURES {
        if chart.random.chance(22) {
            chart.procedure(&mut visit, *procedure, None);
        }
    }
    chart.close(visit);
}

fn screenings(chart: &mut Chart<'_>, visit: &Visit) {
    for survey in SURVEYS {
        if chart.random.chance(35) {
            chart.survey(visit, survey);
        }
    }
    if chart.random.chance(30) {
        chart.survey(visit, &GAD7);
    }
}

fn adult_tests(chart: &mut Chart<'_>, visit: &mut Visit, age: i64, strain: i64) {
    if chart.random.chance(45) {
        chart.panel(visit, &BASIC_PANEL, strain / 4);
    }
    if chart.random.chance(25) {
        chart.panel(visit, &BLOOD_COUNT, 0);
    }
    if chart.random.chance(6) {
        chart.panel(visit, &DIFFERENTIAL, 0);
    }
    if age >= 35 && chart.random.chance(40) {
        chart.panel(visit, &LIPIDS, strain);
    }
    if chart.random.chance(12) {
        chart.panel(visit, &KIDNEY, strain / 4);
    }
    if chart.random.chance(12) {
        chart.urinalysis(visit, URINALYSIS);
    }
}

fn vaccinate(chart: &mut Chart<'_>, visit: &mut Visit, day: Day) {
    let months = (day.0 - chart.person.birth.0) * 12 / 365;
    // A dose is due from its month until the next check-up would have passed.
    let window = if months < 24 { 1 } else { 12 };
    for vaccine in VACCINES {
        let due = vaccine.months.iter().any(|month| (*month..month + window).contains(&months))
            || (vaccine.yearly && months > 6 && chart.random.chance(75));
        if due {
            chart.immunize(visit, vaccine);
        }
    }
}

fn problem_visit(chart: &mut Chart<'_>, disorder: &Disorder) -> VisitKind {
    if disorder.emergency {
        return match chart.random.between(0, 3) {
            0 => visit_kind("183452005", "Encounter Inpatient", "IMP", 1440, 14_633),
            1 => visit_kind("702927004", "Urgent care clinic (procedure)", "AMB", 15, 14_247),
            2 => visit_kind("305408004", "Admission to surgical department", "IMP", 2880, 14_633),
            _ => visit_kind("50849002", "Emergency room admission (procedure)", "EMER", 60, 14_633),
        };
    }
    match chart.random.between(0, 3) {
        0 => visit_kind("185345009", "Encounter for symptom", "AMB", 15, 8_555),
        1 => visit_kind("371883000", "Outpatient procedure", "AMB", 30, 8_555),
        _ => visit_kind("185347001", "Encounter for problem (procedure)", "AMB", 15, 8_555),
    }
}

fn illness(chart: &mut Chart<'_>, day: Day, disorder: &'static Disorder) {
    let Course::Acute(shortest, longest) = disorder.course else { return };
    let kind = problem_visit(chart, disorder);
    let start = chart.hour(day);
    let mut visit = chart.open(kind, start, None);
    let end = start.plus_days(chart.random.between(shortest, longest));
    let problem = chart.condition(&mut visit, disorder.code, Some(end));
    if disorder.emergency {
        vital_signs(chart, &visit, 20);
        supplies(chart, &mut visit, disorder, &problem);
    } else {
        let temperature = chart.random.around(366, 392);
        chart.measure(&visit, &vitals::TEMPERATURE, Decimal { mantissa: temperature, scale: 1 });
    }
    treat(chart, &mut visit, disorder, &problem, false);
    if let Some(plan) = disorder.plan {
        chart.plan(&visit, plan, disorder.goals, &problem, Some(end));
    }
    chart.close(visit);
}

const SUPPLIES: &[(&str, &str)] = &[
    ("409534002", "Disposable air-purifying respirator (physical object)"),
    ("713779008", "Nitrile examination/treatment glove, non-powdered, sterile (physical object)"),
    ("469673003", "Isolation gown, single-use (physical object)"),
    ("419343004", "Disposable mouth mask (physical object)"),
    ("706724001", "Wet wipe (physical object)"),
    ("470618009", "Alcohol disinfectant (physical object)"),
];

fn supplies(chart: &mut Chart<'_>, visit: &mut Visit, disorder: &Disorder, problem: &Problem) {
    let saturation = chart.random.around(860, 990);
    chart.measure(visit, &vitals::OXYGEN_SATURATION, Decimal { mantissa: saturation, scale: 1 });
    for (code, display) in SUPPLIES {
        if chart.random.chance(40) {
            chart.supply(visit, snomed(code, display));
        }
    }
    if let Some(drug) = disorder.drugs.last().filter(|_| chart.random.chance(50)) {
        chart.administer(visit, drug, problem);
    }
}

/// Tests, images, drugs and procedures for a disorder.
fn treat(chart: &mut Chart<'_>, visit: &mut Visit, disorder: &Disorder, problem: &Problem, chronic: bool) {
    for panel in disorder.panels {
        if chart.random.chance(60) {
            chart.panel(visit, panel, 30);
        }
    }
    if let Some(imaging) = disorder.imaging.filter(|_| chart.random.chance(if chronic { 12 } else { 80 })) {
        chart.image(visit, &IMAGING[imaging], Some(problem));
    }
    let likely = if chronic { 30 } else { 70 };
    for procedure in disorder.procedures {
        if chart.random.chance(likely) {
            chart.procedure(visit, *procedure, Some(problem));
        }
    }
    if !chronic {
        for drug in disorder.drugs {
            if chart.random.chance(75) {
                chart.prescribe(visit, drug, Some(problem), false);
            }
        }
    }
}

fn onset(chart: &mut Chart<'_>, day: Day, chronic: &mut Chronic) {
    let kind = problem_visit(chart, chronic.disorder);
    let start = chart.hour(day);
    let mut visit = chart.open(kind, start, None);
    let problem = chart.condition(&mut visit, chronic.disorder.code, None);
    treat(chart, &mut visit, chronic.disorder, &problem, true);
    if let Some(drug) = chronic.disorder.drugs.first() {
        chart.prescribe(&mut visit, drug, Some(&problem), true);
    }
    if let Some(plan) = chronic.disorder.plan {
        chart.plan(&visit, plan, chronic.disorder.goals, &problem, None);
    }
    if matches!(chronic.disorder.code.code, "73430006" | "49436004") {
        let device = if chronic.disorder.code.code == "73430006" {
            snomed("702172008", "Home continuous positive airway pressure unit (physical object)")
        } else {
            snomed("706004007", "Implantable cardiac pacemaker (physical object)")
        };
        chart.device(&visit, device);
    }
    chronic.problem = Some(problem);
    chart.close(visit);
}

fn follow_up(chart: &mut Chart<'_>, day: Day, chronic: &mut Chronic) {
    let Some(problem) = chronic.problem.clone() else { return };
    let kind = if chart.random.chance(70) {
        visit_kind("390906007", "Follow-up encounter", "AMB", 15, 8_555)
    } else {
        visit_kind("185349003", "Encounter for check up (procedure)", "AMB", 15, 12_916)
    };
    let start = chart.hour(day);
    let mut visit = chart.open(kind, start, Some(&problem));
    let worse = i64::try_from(chronic.follow_ups).unwrap_or(0);
    match chronic.disorder.code.code {
        "44054006" | "714628002" => glucose(chart, &mut visit, worse),
        "59621000" => blood_pressure_series(chart, &visit, worse),
        _ => {}
    }
    treat(chart, &mut visit, chronic.disorder, &problem, true);
    renew(chart, &mut visit, chronic.disorder.drugs, chronic.follow_ups, &problem);
    chronic.follow_ups += 1;
    chart.close(visit);
}

/// HbA1c starts high, falls under treatment and creeps up again.
fn glucose(chart: &mut Chart<'_>, visit: &mut Visit, visits: i64) {
    let percent_e2 = if visits < 6 { 910 - visits * 40 } else { 670 + (visits - 6) * 7 };
    let percent_e2 = percent_e2.min(1100) + chart.random.around(-40, 40);
    chart.result(visit, &HBA1C, percent_e2);
    vital_signs(chart, visit, 40);
}

/// Blood pressure falls visit by visit to its goal.
fn blood_pressure_series(chart: &mut Chart<'_>, visit: &Visit, visits: i64) {
    let above = (28 - visits * 4).max(0);
    let (systolic, diastolic) =
        (chart.random.around(122, 142) + above, chart.random.around(74, 90) + above / 2);
    chart.blood_pressure(visit, systolic, diastolic);
}

/// One more drug every third visit, the others renewed now and then.
fn renew(chart: &mut Chart<'_>, visit: &mut Visit, drugs: &[Drug], visits: usize, problem: &Problem) {
    let known = (visits / 3 + 1).min(drugs.len());
    if let Some(drug) = drugs.get(visits / 3).filter(|_| visits.is_multiple_of(3) && visits > 0) {
        chart.prescribe(visit, drug, Some(problem), true);
    } else if known > 0 && chart.random.chance(55) {
        let drug = chart.random.index(known);
        let active = chart.random.chance(30);
        chart.prescribe(visit, &drugs[drug], Some(problem), active);
    }
}

fn conception(chart: &mut Chart<'_>, day: Day) -> Problem {
    let start = chart.hour(day);
    let mut visit = chart.open(
        VisitKind { code: PREGNANCY.visit, class: "AMB", minutes: 30, cents: 12_916 },
        start,
        None,
    );
    let problem = chart.condition(&mut visit, PREGNANCY.code, Some(start.plus_days(PREGNANCY_DAYS - 42)));
    chart.procedure(&mut visit, PREGNANCY.test, Some(&problem));
    for procedure in PREGNANCY.screens.iter().skip(3) {
        chart.procedure(&mut visit, *procedure, Some(&problem));
    }
    chart.urinalysis(&mut visit, URINALYSIS);
    chart.plan(&visit, PREGNANCY.plan, &[], &problem, Some(start.plus_days(PREGNANCY_DAYS - 42)));
    chart.close(visit);
    problem
}

fn prenatal(chart: &mut Chart<'_>, day: Day, number: i64, pregnancy: Option<&Problem>) {
    let kind = visit_kind("424619006", "Prenatal visit", "AMB", 30, 12_916);
    let start = chart.hour(day);
    let mut visit = chart.open(kind, start, pregnancy);
    for procedure in &PREGNANCY.screens[1..3] {
        chart.procedure(&mut visit, *procedure, pregnancy);
    }
    if number == 2 {
        chart.procedure(&mut visit, PREGNANCY.screens[0], pregnancy);
    }
    let (systolic, diastolic) = (chart.random.around(100, 128), chart.random.around(60, 84));
    chart.blood_pressure(&visit, systolic, diastolic);
    chart.close(visit);
}

fn birth(chart: &mut Chart<'_>, day: Day, pregnancy: Option<&Problem>) {
    let start = chart.hour(day);
    let kind = VisitKind { code: PREGNANCY.birth_visit, class: "EMER", minutes: 1440, cents: 14_633 };
    let mut visit = chart.open(kind, start, pregnancy);
    chart.procedure(&mut visit, PREGNANCY.delivery, pregnancy);
    if chart.random.chance(60) {
        chart.procedure(&mut visit, PREGNANCY.epidural, pregnancy);
    }
    chart.panel(&mut visit, &BLOOD_COUNT, 0);
    chart.close(visit);
}
