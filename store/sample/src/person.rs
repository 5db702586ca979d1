//! Who the patient is: names of many languages, a home, and the identifiers people carry.

use crate::calendar::Day;
use crate::random::Random;
use crate::world::World;

/// Administrative gender; pregnancy and some screenings depend on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Gender {
    Female,
    Male,
}

impl Gender {
    /// As in `http://hl7.org/fhir/administrative-gender`.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Female => "female",
            Self::Male => "male",
        }
    }
}

/// Names of one language, and how its speakers tend to describe themselves to a census.
struct Culture {
    language: (&'static str, &'static str),
    race: (&'static str, &'static str),
    hispanic: bool,
    female: &'static [&'static str],
    male: &'static [&'static str],
    family: &'static [&'static str],
}

const WHITE: (&str, &str) = ("2106-3", "White");
const ASIAN: (&str, &str) = ("2028-9", "Asian");
const BLACK: (&str, &str) = ("2054-5", "Black or African American");
const NATIVE: (&str, &str) = ("1002-5", "American Indian or Alaska Native");
const ENGLISH: (&str, &str) = ("en-US", "English");

/// Weighted by repetition in [`CULTURE_WEIGHTS`].
const CULTURES: &[Culture] = &[
    Culture {
        language: ENGLISH,
        race: WHITE,
        hispanic: false,
        female: &[
            "Emma",
            "Olivia",
            "Charlotte",
            "Grace",
            "Hannah",
            "Ruth",
            "Dorothy",
            "Maureen",
            "Abigail",
            "Lucy",
        ],
        male: &[
            "James", "William", "Henry", "Samuel", "Thomas", "George", "Walter", "Owen", "Jack", "Arthur",
        ],
        family: &[
            "Smith", "Johnson", "Miller", "Davis", "Wilson", "Taylor", "Clark", "Walker", "O'Brien",
            "Carter", "Bennett", "Hughes", "Foster", "Murphy",
        ],
    },
    Culture {
        language: ENGLISH,
        race: BLACK,
        hispanic: false,
        female: &["Aaliyah", "Imani", "Keisha", "Ebony", "Nia", "Simone", "Monique"],
        male: &["Malik", "DeShawn", "Jamal", "Isaiah", "Marcus", "Andre", "Terrence"],
        family: &["Washington", "Jefferson", "Banks", "Booker", "Coleman", "Hayes", "Jackson", "Robinson"],
    },
    Culture {
        language: ("es", "Spanish"),
        race: WHITE,
        hispanic: true,
        female: &["María", "Lucía", "Sofía", "Inés", "Guadalupe", "Ximena", "Begoña"],
        male: &["José", "Andrés", "Raúl", "Íñigo", "Jesús", "Martín", "Óscar"],
        family: &["García", "Hernández", "López", "Núñez", "Peña", "Ramírez", "Muñoz", "Ibáñez"],
    },
    Culture {
        language: ("de", "German"),
        race: WHITE,
        hispanic: false,
        female: &["Gül", "Käthe", "Änne", "Friederike", "Sabine", "Lena", "Mechthild"],
        male: &["Jürgen", "Günther", "Björn", "Sönke", "Matthias", "Lukas", "Jörg"],
        family: &["Müller", "Schröder", "Weiß", "Krämer", "Groß", "Bäcker", "Vogel", "von der Heide"],
    },
    Culture {
        language: ("pl", "Polish"),
        race: WHITE,
        hispanic: false,
        female: &["Małgorzata", "Agnieszka", "Żaneta", "Zofia"],
        male: &["Paweł", "Łukasz", "Grzegorz", "Michał"],
        family: &["Wójcik", "Kowalczyk", "Dąbrowska", "Świątek", "Żukowski"],
    },
    Culture {
        language: ("zh", "Chinese"),
        race: ASIAN,
        hispanic: false,
        female: &["秀英", "Mei", "Xiu Ying", "丽娜"],
        male: &["伟", "Jun", "Wei", "建国"],
        family: &["王", "Li", "Zhang", "陈", "Liu"],
    },
    Culture {
        language: ("ja", "Japanese"),
        race: ASIAN,
        hispanic: false,
        female: &["さくら", "Yuki", "陽子", "Haruka"],
        male: &["健", "Takashi", "翔太", "Kenji"],
        family: &["佐藤", "Suzuki", "田中", "Watanabe"],
    },
    Culture {
        language: ("hi", "Hindi"),
        race: ASIAN,
        hispanic: false,
        female: &["Priya", "Ananya", "आशा", "Lakshmi"],
        male: &["Arjun", "Ravi", "विजय", "Sanjay"],
        family: &["Patel", "Sharma", "Iyer", "सिंह", "Reddy"],
    },
    Culture {
        language: ("ar", "Arabic"),
        race: WHITE,
        hispanic: false,
        female: &["فاطمة", "Layla", "Noor", "مريم"],
        male: &["محمد", "Omar", "Yūsuf", "خالد"],
        family: &["الأحمد", "Haddad", "Al-Masri", "Khoury"],
    },
    Culture {
        language: ("vi", "Vietnamese"),
        race: ASIAN,
        hispanic: false,
        female: &["Thị Hương", "Ngọc", "Thảo"],
        male: &["Văn Đức", "Quốc", "Hữu"],
        family: &["Nguyễn", "Trần", "Phạm", "Lê"],
    },
    Culture {
        language: ("fr", "French"),
        race: BLACK,
        hispanic: false,
        female: &["Aïssatou", "Chloé", "Zoé", "Adélaïde"],
        male: &["François", "Benoît", "Côme", "Moïse"],
        family: &["Lefèvre", "Traoré", "N'Diaye", "Béranger"],
    },
    Culture {
        language: ENGLISH,
        race: NATIVE,
        hispanic: false,
        female: &["Winona", "Aiyana", "Dyani"],
        male: &["Dakota", "Elu", "Mato"],
        family: &["Begay", "Yazzie", "Tsosie", "Redhorse"],
    },
];

/// Index of [`CULTURES`], as often as drawn.
const CULTURE_WEIGHTS: &[usize] = &[0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 4, 5, 6, 7, 8, 9, 10, 11];

const STREETS: &[&str] =
    &["Maple", "Oak", "Harbor", "Mill", "Church", "Lake", "Hill", "Orchard", "Station", "Park", "River"];
const STREET_KINDS: &[&str] = &["Street", "Avenue", "Road", "Lane", "Way", "Court", "Drive"];

/// A given and a family name of one culture.
pub(crate) fn name(random: &mut Random, gender: Gender) -> (String, String) {
    let culture = &CULTURES[*random.pick(CULTURE_WEIGHTS)];
    (given_of(random, culture, gender), (*random.pick(culture.family)).to_owned())
}

fn given_of(random: &mut Random, culture: &Culture, gender: Gender) -> String {
    let names = match gender {
        Gender::Female => culture.female,
        Gender::Male => culture.male,
    };
    (*random.pick(names)).to_owned()
}

/// A street and number.
pub(crate) fn street(random: &mut Random) -> String {
    format!("{} {} {}", random.between(1, 999), random.pick(STREETS), random.pick(STREET_KINDS))
}

/// A telephone number of the range that is kept for fiction.
pub(crate) fn phone(random: &mut Random) -> String {
    format!("555-{}-{}", random.digits(3), random.digits(4))
}

/// A patient before anything has happened to them.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) given: Vec<String>,
    pub(crate) family: String,
    pub(crate) mother: String,
    pub(crate) maiden: Option<String>,
    pub(crate) gender: Gender,
    pub(crate) birth: Day,
    pub(crate) death: Option<Day>,
    pub(crate) language: (&'static str, &'static str),
    pub(crate) race: (&'static str, &'static str),
    pub(crate) hispanic: bool,
    /// Marital status code and name.
    pub(crate) marital: (&'static str, &'static str),
    /// Index of the organization of the general practitioner.
    pub(crate) home: usize,
    pub(crate) payer: &'static str,
    pub(crate) smoker: bool,
    /// Percent of the median height and weight.
    pub(crate) height_percent: i64,
    pub(crate) weight_percent: i64,
}

impl Person {
    /// Somebody between newborn and 95 years old on `today`.
    pub(crate) fn new(random: &mut Random, world: &World, today: Day) -> Self {
        let id = random.uuid();
        let culture = &CULTURES[*random.pick(CULTURE_WEIGHTS)];
        let gender = if random.chance(51) { Gender::Female } else { Gender::Male };
        let age_days =
            random.between(0, 82 * 365) + if random.chance(20) { random.between(0, 13 * 365) } else { 0 };
        let birth = today.plus(-age_days);
        let age = birth.years_until(today);
        let mut given = vec![given_of(random, culture, gender)];
        if random.chance(30) {
            given.push(given_of(random, culture, gender));
        }
        let married = age >= 20 && random.chance(55);
        let marital = match (married, age >= 30 && random.chance(20)) {
            (true, _) => ("M", "Married"),
            (false, true) if age >= 70 => ("W", "Widowed"),
            (false, true) => ("D", "Divorced"),
            (false, false) => ("S", "Never Married"),
        };
        Self {
            id,
            given,
            family: (*random.pick(culture.family)).to_owned(),
            mother: format!("{} {}", random.pick(culture.female), random.pick(culture.family)),
            maiden: (married && gender == Gender::Female).then(|| (*random.pick(culture.family)).to_owned()),
            gender,
            birth,
            death: (age >= 60 && random.chance(age - 55)).then(|| today.plus(-random.between(1, 1500))),
            language: culture.language,
            race: culture.race,
            hispanic: culture.hispanic,
            marital,
            home: random.index(world.organizations.len()),
            payer: if age >= 65 { "Medicare" } else { *random.pick(PAYERS) },
            smoker: age >= 16 && random.chance(16),
            height_percent: random.around(92, 108),
            weight_percent: random.around(80, 150),
        }
    }

    /// Given and family name.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.given[0], self.family)
    }

    /// The way a letter addresses them; children go without.
    pub(crate) fn prefix(&self, today: Day) -> Option<&'static str> {
        let adult = self.birth.years_until(today) >= 18;
        match (self.gender, self.marital.0) {
            _ if !adult => None,
            (Gender::Male, _) => Some("Mr."),
            (Gender::Female, "M") => Some("Mrs."),
            (Gender::Female, _) => Some("Ms."),
        }
    }

    /// Age in years on `day`.
    pub(crate) fn age(&self, day: Day) -> i64 {
        self.birth.years_until(day)
    }
}

const PAYERS: &[&str] = &[
    "Medicaid",
    "Blue Harbor Health",
    "Northwind Insurance",
    "Cedar Mutual",
    "Blue Harbor Health",
    "Self-pay",
    "Dual Eligible",
];
