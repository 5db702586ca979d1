//! Some resources in memory with the simplest index there is: a sorted map from terms to resources.
//!
//! It answers a query in two ways: by its plan, with candidates checked, and by asking `matches` about each resource.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use keepwell_fhir::ResourceType;
use keepwell_search::{
    Context, Extractor, Library, LocalTerminology, ParameterNumber, Parameters, Plan, Query, QueryError,
    Resource, Term, Terminology, Terms, Values, Visit, add_words, matches, plan, read_reference, successor,
};

/// A resource with its values.
pub(crate) struct Document {
    pub(crate) resource_type: ResourceType,
    pub(crate) id: String,
    pub(crate) json: Vec<u8>,
    values: Values,
    last_updated_ms: i64,
}

/// Resources by their place in a list.
type Set = BTreeSet<usize>;

pub(crate) struct Corpus {
    pub(crate) parameters: Parameters,
    pub(crate) documents: Vec<Document>,
    index: BTreeMap<Vec<u8>, Set>,
    terminology: LocalTerminology<Shelf>,
}

/// What a plan finds: those that surely belong to it, and those that may.
struct Found {
    sure: Set,
    may: Set,
}

impl Corpus {
    /// The resources, each last changed a minute after the one before, from `start_ms` on.
    pub(crate) fn new(
        parameters: Parameters,
        resources: impl IntoIterator<Item = Vec<u8>>,
        start_ms: i64,
    ) -> Self {
        let mut extractor = Extractor::new(parameters.clone());
        let (mut documents, mut index) = (Vec::new(), BTreeMap::<Vec<u8>, Set>::new());
        let mut found = Terms::new();
        for json in resources {
            let extracted = extractor.extract(&json).expect("the resource is JSON");
            let resource_type = extracted.walk.resource_type;
            let id = extracted.walk.id.expect("the resource has an id").text(&json).into_owned();
            let values = extracted.values.clone();
            extractor.terms(&json, &id, &mut found).expect("it was JSON before");
            add_words(&json, &mut found);
            for term in found.iter() {
                index.entry(term.to_vec()).or_default().insert(documents.len());
            }
            let last_updated_ms = start_ms + 60_000 * i64::try_from(documents.len()).expect("a short list");
            documents.push(Document { resource_type, id, json, values, last_updated_ms });
        }
        let terminology = LocalTerminology::new(Shelf::new(&documents));
        Self { parameters, documents, index, terminology }
    }

    /// The ids of what matches, by asking about each resource.
    pub(crate) fn matching(&self, query: &Query) -> Vec<&str> {
        let found = self.documents.iter().filter(|document| matches(query, &document.resource(), self));
        found.map(|document| document.id.as_str()).collect()
    }

    /// The ids of what matches, by plan and index.
    pub(crate) fn planned(&self, query: &Query) -> Result<Vec<&str>, QueryError> {
        let plan = plan(query, &self.terminology)?;
        let found = self.find(&plan);
        assert!(found.sure.is_subset(&found.may), "what is sure may be: {plan:?}");
        assert!(!plan.is_exact() || found.sure == found.may, "an exact plan is sure: {plan:?}");
        let is_match = |place: &usize| {
            found.sure.contains(place) || matches(query, &self.documents[*place].resource(), self)
        };
        Ok(found
            .may
            .iter()
            .filter(|place| is_match(place))
            .map(|&place| self.documents[place].id.as_str())
            .collect())
    }

    fn find(&self, plan: &Plan) -> Found {
        let exactly = |set: Set| Found { sure: set.clone(), may: set };
        match plan {
            Plan::All => exactly(self.all()),
            Plan::None => exactly(Set::new()),
            Plan::Term(term) => exactly(self.index.get(term).cloned().unwrap_or_default()),
            Plan::Prefix(prefix) => exactly(self.scan(prefix, &successor(prefix).expect("a head"), |_| true)),
            Plan::Range { from, to } => exactly(self.scan(from, to, |_| true)),
            Plan::Scan { from, to, test } => exactly(self.scan(from, to, |term| test.accepts(term))),
            Plan::Units(units) => {
                let mut found = Found { sure: Set::new(), may: Set::new() };
                let mut from = units.head().to_vec();
                while let Some((term, _)) = self.index.range(from.clone()..).next() {
                    let Some(group) = units.group(term) else { break };
                    found = found.or(self.find(&units.plan(group)));
                    from = successor(group).expect("a head");
                }
                found
            }
            Plan::LastUpdated { from, to } => exactly(
                (0..self.documents.len())
                    .filter(|&place| (*from..*to).contains(&(self.documents[place].last_updated_ms * 10_000)))
                    .collect(),
            ),
            Plan::And(plans) => plans.iter().fold(exactly(self.all()), |found, plan| {
                let other = self.find(plan);
                Found { sure: &found.sure & &other.sure, may: &found.may & &other.may }
            }),
            Plan::Or(plans) => {
                plans.iter().fold(exactly(Set::new()), |found, plan| found.or(self.find(plan)))
            }
            Plan::Not(plan) => {
                let other = self.find(plan);
                Found { sure: &self.all() - &other.may, may: &self.all() - &other.sure }
            }
            Plan::Chain { parameter, target, plan } => {
                let others = self.find(plan);
                let referring = |set: &Set| self.referring_to(parameter.number, *target, set);
                Found { sure: referring(&others.sure), may: referring(&others.may) }
            }
            Plan::Has { source, parameter, plan } => {
                let others = self.find(plan);
                let referred = |set: &Set| self.referred_from(parameter.number, *source, set);
                Found { sure: referred(&others.sure), may: referred(&others.may) }
            }
            Plan::Candidates(plan) => Found { sure: Set::new(), may: self.find(plan).may },
            other => panic!("an unknown plan: {other:?}"),
        }
    }

    fn all(&self) -> Set {
        (0..self.documents.len()).collect()
    }

    fn scan(&self, from: &[u8], to: &[u8], accepts: impl Fn(&[u8]) -> bool) -> Set {
        if from >= to {
            return Set::new();
        }
        let terms = self.index.range::<[u8], _>((Bound::Included(from), Bound::Excluded(to)));
        terms.filter(|(term, _)| accepts(term)).flat_map(|(_, set)| set.iter().copied()).collect()
    }

    /// The terms by which a parameter refers to a resource: by type and id, and by its canonical URL.
    fn references_to(&self, number: ParameterNumber, document: &Document) -> Vec<(Vec<u8>, Vec<u8>)> {
        let own = Term::reference(number, document.resource_type, &document.id).into_bytes();
        let mut ranges = vec![(own.clone(), [own, vec![0]].concat())];
        for url in document.urls(&self.parameters) {
            let prefix = Term::url(number, url).into_bytes();
            let end = successor(&prefix).expect("a head");
            ranges.push((prefix, end));
        }
        ranges
    }

    fn referring_to(&self, number: ParameterNumber, target: ResourceType, set: &Set) -> Set {
        let documents = set.iter().map(|&place| &self.documents[place]);
        let documents = documents.filter(|document| document.resource_type == target);
        let ranges = documents.flat_map(|document| self.references_to(number, document));
        ranges.flat_map(|(from, to)| self.scan(&from, &to, |_| true)).collect()
    }

    fn referred_from(&self, number: ParameterNumber, source: ResourceType, set: &Set) -> Set {
        let sources: Set =
            set.iter().copied().filter(|&place| self.documents[place].resource_type == source).collect();
        (0..self.documents.len())
            .filter(|&place| {
                let document = &self.documents[place];
                let ranges = self.references_to(number, document);
                let is_read_back =
                    read_reference(&ranges[0].0) == Some((document.resource_type, document.id.clone()));
                assert!(is_read_back, "a reference is read as it was written");
                ranges.iter().any(|(from, to)| !self.scan(from, to, |_| true).is_disjoint(&sources))
            })
            .collect()
    }
}

impl Found {
    fn or(self, other: Self) -> Self {
        Self { sure: &self.sure | &other.sure, may: &self.may | &other.may }
    }
}

impl Document {
    pub(crate) fn resource(&self) -> Resource<'_> {
        Resource {
            resource_type: self.resource_type,
            id: &self.id,
            last_updated_ms: self.last_updated_ms,
            values: &self.values,
            json: &self.json,
            container: None,
        }
    }

    fn urls(&self, parameters: &Parameters) -> Vec<&str> {
        let number = parameters.get(self.resource_type, "url").map(|parameter| parameter.number);
        let values = number.into_iter().flat_map(|number| self.values.of_number(number));
        values
            .filter_map(|value| match value {
                keepwell_search::Value::Uri { url, .. } => Some(&**url),
                _ => None,
            })
            .collect()
    }
}

impl Context for Corpus {
    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn read(&self, resource_type: ResourceType, id: &str, visit: &mut Visit<'_>) -> bool {
        let is_it = |document: &&Document| document.resource_type == resource_type && document.id == id;
        self.documents.iter().filter(is_it).any(|document| visit(&document.resource()))
    }

    fn with_url(&self, resource_type: ResourceType, _: &str, visit: &mut Visit<'_>) -> bool {
        self.of_type(resource_type).any(|document| visit(&document.resource()))
    }

    fn referring(
        &self,
        source: ResourceType,
        _: ParameterNumber,
        _: &Resource<'_>,
        visit: &mut Visit<'_>,
    ) -> bool {
        self.of_type(source).any(|document| visit(&document.resource()))
    }
}

impl Corpus {
    fn of_type(&self, resource_type: ResourceType) -> impl Iterator<Item = &Document> {
        self.documents.iter().filter(move |document| document.resource_type == resource_type)
    }
}

impl Terminology for Corpus {
    fn value_set(&self, url: &str) -> Option<std::sync::Arc<keepwell_search::CodeSet>> {
        self.terminology.value_set(url)
    }

    fn below(&self, system: &str, code: &str) -> Option<Vec<Box<str>>> {
        self.terminology.below(system, code)
    }

    fn above(&self, system: &str, code: &str) -> Option<Vec<Box<str>>> {
        self.terminology.above(system, code)
    }
}

/// The ValueSets and CodeSystems among the resources: type, id, url, JSON.
struct Shelf(Vec<(&'static str, String, String, Vec<u8>)>);

impl Shelf {
    fn new(documents: &[Document]) -> Self {
        let entry = |document: &Document| {
            let name = document.resource_type.name();
            let json: serde_json::Value = serde_json::from_slice(&document.json).expect("JSON");
            let url = json.get("url")?.as_str()?.to_owned();
            let is_kept = ["ValueSet", "CodeSystem"].contains(&name);
            is_kept.then(|| (name, document.id.clone(), url, document.json.clone()))
        };
        Self(documents.iter().filter_map(entry).collect())
    }

    fn find(&self, wanted: &str, is_it: impl Fn(&str, &str) -> bool) -> Option<Vec<u8>> {
        let found = self.0.iter().find(|(name, id, url, _)| *name == wanted && is_it(id, url));
        found.map(|(_, _, _, json)| json.clone())
    }
}

impl Library for Shelf {
    fn value_set(&self, wanted: &str, _: Option<&str>) -> Option<Vec<u8>> {
        self.find("ValueSet", |_, url| url == wanted)
    }

    fn value_set_with_id(&self, wanted: &str) -> Option<Vec<u8>> {
        self.find("ValueSet", |id, _| id == wanted)
    }

    fn code_system(&self, wanted: &str) -> Option<Vec<u8>> {
        self.find("CodeSystem", |_, url| url == wanted)
    }
}
