//! The places and people that treat patients.
//!
//! A [`World`] is the same for all patients of a seed, so that their records share organizations.

use serde_json::{Value, json};

use crate::element::{Code, Decimal, hl7_named};
use crate::entry::Entry;
use crate::person::{self, Gender};
use crate::random::Random;

/// A town.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) city: &'static str,
    pub(crate) state: &'static str,
    pub(crate) state_name: &'static str,
    pub(crate) postal_code: &'static str,
    pub(crate) country: &'static str,
    pub(crate) offset_minutes: i64,
    /// Latitude and longitude in units of 1e-6 degree.
    pub(crate) position: (i64, i64),
}

const fn place(
    city: &'static str,
    state: (&'static str, &'static str),
    postal_code: &'static str,
    country: &'static str,
    offset_minutes: i64,
    position: (i64, i64),
) -> Place {
    Place { city, state: state.0, state_name: state.1, postal_code, country, offset_minutes, position }
}

const MASSACHUSETTS: (&str, &str) = ("MA", "Massachusetts");
const OREGON: (&str, &str) = ("OR", "Oregon");

const PLACES: &[Place] = &[
    place("Boston", MASSACHUSETTS, "02118", "US", -300, (42_336_100, -71_072_900)),
    place("Worcester", MASSACHUSETTS, "01604", "US", -300, (42_254_700, -71_774_600)),
    place("Springfield", MASSACHUSETTS, "01109", "US", -300, (42_114_300, -72_553_900)),
    place("Lowell", MASSACHUSETTS, "01851", "US", -300, (42_631_500, -71_332_800)),
    place("Portland", OREGON, "97209", "US", -480, (45_531_000, -122_683_000)),
    place("Salem", OREGON, "97301", "US", -480, (44_939_400, -123_024_900)),
    place("Austin", ("TX", "Texas"), "78702", "US", -360, (30_263_200, -97_713_100)),
    place("Madison", ("WI", "Wisconsin"), "53703", "US", -360, (43_077_700, -89_383_200)),
    place("Albuquerque", ("NM", "New Mexico"), "87102", "US", -420, (35_081_900, -106_648_100)),
    place("Göttingen", ("NI", "Niedersachsen"), "37073", "DE", 60, (51_533_700, 9_935_500)),
    place("Zürich", ("ZH", "Zürich"), "8001", "CH", 60, (47_372_100, 8_542_200)),
    place("Leeds", ("YSW", "West Yorkshire"), "LS1 3AB", "GB", 0, (53_797_400, -1_546_100)),
    place("Québec", ("QC", "Québec"), "G1R 4P5", "CA", -300, (46_813_900, -71_208_200)),
];

const NAME_HEADS: &[&str] =
    &["North", "Saint Mary's", "Riverside", "Lakeview", "Holy Cross", "Mercy", "Hillcrest", "Unity"];
const NAME_TAILS: &[&str] = &[
    "General Hospital",
    "Medical Center",
    "Family Practice",
    "Primary Care, LLC",
    "Health Clinic",
    "Urgent Care Center",
];

const GENERAL_PRACTICE: Code = taxonomy("208D00000X", "General Practice");
const SPECIALTIES: &[Code] = &[
    GENERAL_PRACTICE,
    taxonomy("207Q00000X", "Family Medicine Physician"),
    taxonomy("207R00000X", "Internal Medicine Physician"),
    taxonomy("208000000X", "Pediatrics Physician"),
    taxonomy("207RC0000X", "Cardiovascular Disease Physician"),
];

const fn taxonomy(code: &'static str, display: &'static str) -> Code {
    Code { system: "http://nucc.org/provider-taxonomy", code, display }
}

const ORGANIZATIONS: usize = 26;
const PRACTITIONERS_EACH: usize = 4;

/// A hospital or practice with its one location.
#[derive(Debug)]
pub(crate) struct Organization {
    pub(crate) id: String,
    pub(crate) location_id: String,
    pub(crate) name: String,
    pub(crate) place: &'static Place,
    street: String,
    phone: String,
}

impl Organization {
    pub(crate) fn reference(&self) -> String {
        format!("Organization/{}", self.id)
    }

    pub(crate) fn location(&self) -> String {
        format!("Location/{}", self.location_id)
    }
}

/// Somebody who works at one organization.
#[derive(Debug)]
pub(crate) struct Practitioner {
    id: String,
    role_id: String,
    npi: String,
    given: String,
    family: String,
    gender: Gender,
    specialty: Code,
    organization: usize,
}

impl Practitioner {
    pub(crate) fn reference(&self) -> String {
        format!("Practitioner/{}", self.id)
    }

    pub(crate) fn name(&self) -> String {
        format!("Dr. {} {}", self.given, self.family)
    }
}

/// All organizations and practitioners of one seed.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) organizations: Vec<Organization>,
    pub(crate) practitioners: Vec<Practitioner>,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let organizations: Vec<_> =
            (0..ORGANIZATIONS).map(|index| organization(&mut random, index)).collect();
        let practitioners = (0..ORGANIZATIONS * PRACTITIONERS_EACH)
            .map(|index| practitioner(&mut random, index / PRACTITIONERS_EACH))
            .collect();
        Self { organizations, practitioners }
    }

    /// One of the practitioners of an organization.
    pub(crate) fn practitioner_at(&self, random: &mut Random, organization: usize) -> usize {
        organization * PRACTITIONERS_EACH + random.index(PRACTITIONERS_EACH)
    }

    /// Every organization, location, practitioner and role as a resource.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        let places = self
            .organizations
            .iter()
            .flat_map(|organization| [organization_resource(organization), location_resource(organization)]);
        let people = self.practitioners.iter().flat_map(|practitioner| {
            let organization = &self.organizations[practitioner.organization];
            [practitioner_resource(practitioner, organization), role_resource(practitioner, organization)]
        });
        places.chain(people).collect()
    }
}

fn organization(random: &mut Random, index: usize) -> Organization {
    let place = &PLACES[index % PLACES.len()];
    Organization {
        id: random.uuid(),
        location_id: random.uuid(),
        name: format!("{} {} {}", place.city, random.pick(NAME_HEADS), random.pick(NAME_TAILS)),
        place,
        street: person::street(random),
        phone: person::phone(random),
    }
}

fn practitioner(random: &mut Random, organization: usize) -> Practitioner {
    let gender = if random.chance(50) { Gender::Female } else { Gender::Male };
    let (given, family) = person::name(random, gender);
    Practitioner {
        id: random.uuid(),
        role_id: random.uuid(),
        npi: format!("9{}", random.digits(9)),
        given,
        family,
        gender,
        specialty: *random.pick(SPECIALTIES),
        organization,
    }
}

/// The system of identifiers that the sample itself gives out.
pub(crate) const IDENTIFIER_SYSTEM: &str = "https://keepwell.example/identifier";
const NPI: &str = "http://hl7.org/fhir/sid/us-npi";

fn organization_resource(organization: &Organization) -> Entry {
    let prov = hl7_named("organization-type", "prov", "Healthcare Provider");
    Entry::profiled(
        "Organization",
        &organization.id,
        "us-core-organization",
        json!({
            "identifier": [{"system": IDENTIFIER_SYSTEM, "value": organization.id}],
            "active": true,
            "type": [{"coding": prov["coding"], "text": "Healthcare Provider"}],
            "name": organization.name,
            "telecom": [{"system": "phone", "value": organization.phone}],
            "address": [address(&organization.street, organization.place)],
        }),
    )
}

fn location_resource(organization: &Organization) -> Entry {
    let (latitude, longitude) = organization.place.position;
    let degrees = |mantissa| Decimal { mantissa, scale: 6 }.json();
    Entry::profiled(
        "Location",
        &organization.location_id,
        "us-core-location",
        json!({
            "identifier": [{"system": IDENTIFIER_SYSTEM, "value": organization.location_id}],
            "status": "active",
            "name": organization.name,
            "telecom": [{"system": "phone", "value": organization.phone}],
            "address": address(&organization.street, organization.place),
            "position": {"longitude": degrees(longitude), "latitude": degrees(latitude)},
            "managingOrganization": {"reference": organization.reference(), "display": organization.name},
        }),
    )
}

fn practitioner_resource(practitioner: &Practitioner, organization: &Organization) -> Entry {
    Entry::profiled(
        "Practitioner",
        &practitioner.id,
        "us-core-practitioner",
        json!({
            "identifier": [{"system": NPI, "value": practitioner.npi}],
            "active": true,
            "name": [{"family": practitioner.family, "given": [practitioner.given], "prefix": ["Dr."]}],
            "telecom": [email(practitioner)],
            "address": [address(&organization.street, organization.place)],
            "gender": practitioner.gender.code(),
        }),
    )
}

fn role_resource(practitioner: &Practitioner, organization: &Organization) -> Entry {
    Entry::profiled(
        "PractitionerRole",
        &practitioner.role_id,
        "us-core-practitionerrole",
        json!({
            "active": true,
            "practitioner": {"reference": practitioner.reference(), "display": practitioner.name()},
            "organization": {"reference": organization.reference(), "display": organization.name},
            "code": [practitioner.specialty.concept()],
            "specialty": [practitioner.specialty.concept()],
            "location": [{"reference": organization.location(), "display": organization.name}],
            "telecom": [{"system": "phone", "value": organization.phone}, email(practitioner)],
        }),
    )
}

fn email(practitioner: &Practitioner) -> Value {
    json!({
        "extension": [{
            "url": "http://hl7.org/fhir/us/core/StructureDefinition/us-core-direct",
            "valueBoolean": true,
        }],
        "system": "email",
        "value": format!("dr{}@keepwell.example", practitioner.npi),
        "use": "work",
    })
}

fn address(street: &str, place: &Place) -> Value {
    json!({
        "line": [street],
        "city": place.city,
        "state": place.state,
        "postalCode": place.postal_code,
        "country": place.country,
    })
}
