//! The search parameters that a store knows.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use keepwell_fhir::{Issue, ResourceType};

use crate::custom;
use crate::draft::Draft;
use crate::parameter::{Base, Parameter, ParameterNumber};
use crate::r4;
use crate::trie::Tries;

/// All parameters by type and code: those of R4, and custom ones. Cheap to clone, never changed.
///
/// ```
/// use keepwell_fhir::ResourceType;
/// use keepwell_search::{ParameterNumber, Parameters};
/// let patient = ResourceType::parse("Patient").expect("Patient is an R4 type");
/// let parameters = Parameters::r4();
/// assert_eq!(parameters.get(patient, "_id").map(|id| id.number), Some(ParameterNumber::ID));
///
/// let custom = br#"{"resourceType":"SearchParameter","status":"active","name":"race","code":"race",
///     "url":"http://example.org/race","description":"Race","base":["Patient"],"type":"token",
///     "expression":"Patient.extension('http://example.org/race').value"}"#;
/// let with_race = parameters.with_custom(custom, |_, _| ParameterNumber::FIRST_CUSTOM).expect("it is supported");
/// assert!(with_race.get(patient, "race").is_some_and(|race| race.number.is_custom()));
/// ```
#[derive(Clone, Debug)]
pub struct Parameters(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Sorted by base and code.
    list: Cow<'static, [Parameter]>,
    /// The places of the list by number.
    numbers: Vec<(ParameterNumber, u32)>,
    tries: Tries,
}

static R4: LazyLock<Parameters> =
    LazyLock::new(|| Parameters::new(Cow::Borrowed(&r4::PARAMETERS), r4::tries()));

impl Parameters {
    /// The parameters of R4 4.0.1: those of the specification that have an expression or need none.
    #[must_use]
    pub fn r4() -> Self {
        R4.clone()
    }

    fn new(list: Cow<'static, [Parameter]>, tries: Tries) -> Self {
        let mut numbers: Vec<_> = list.iter().map(|parameter| parameter.number).zip(0..).collect();
        numbers.sort_unstable();
        Self(Arc::new(Inner { list, numbers, tries }))
    }

    /// These parameters and one more, from a SearchParameter resource. `number_for` gives its number for each type it
    /// is about and its code, from [`ParameterNumber::FIRST_CUSTOM`] on; one for `Resource` is one for every type.
    ///
    /// # Errors
    /// What about the SearchParameter is wrong or not supported: the place, never its content.
    pub fn with_custom(
        &self,
        resource_json: &[u8],
        number_for: impl FnMut(ResourceType, &str) -> ParameterNumber,
    ) -> Result<Self, Vec<Issue>> {
        let definitions = custom::definitions(self, resource_json, number_for)?;
        let mut draft = Draft::new(self.0.tries.clone());
        let mut list = self.0.list.to_vec();
        for definition in &definitions {
            list.push(draft.add(definition).map_err(|unsupported| vec![custom::issue(unsupported)])?);
        }
        let tries = draft.finish().map_err(|_| vec![custom::too_many()])?;
        list.sort_by(|a, b| (a.base, &a.code).cmp(&(b.base, &b.code)));
        Ok(Self::new(list.into(), tries))
    }

    /// The parameter of a type with this code, also one of all types.
    #[must_use]
    pub fn get(&self, resource_type: ResourceType, code: &str) -> Option<&Parameter> {
        self.find(Base::One(resource_type), code).or_else(|| self.of_all_types(code))
    }

    /// The parameter of all types with this code: what a search over several types may name.
    #[must_use]
    pub fn of_all_types(&self, code: &str) -> Option<&Parameter> {
        self.find(Base::All, code)
    }

    fn find(&self, base: Base, code: &str) -> Option<&Parameter> {
        let list = &self.0.list;
        let place = list.binary_search_by(|parameter| (parameter.base, &*parameter.code).cmp(&(base, code)));
        place.ok().map(|place| &list[place])
    }

    /// The parameter with this number; none for the pseudo parameters of compartments.
    #[must_use]
    pub fn number(&self, number: ParameterNumber) -> Option<&Parameter> {
        let place = self.0.numbers.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        self.0.list.get(self.0.numbers[place].1 as usize)
    }

    /// Every parameter of a type, those of all types among them.
    pub fn of(&self, resource_type: ResourceType) -> impl Iterator<Item = &Parameter> {
        let own = |base: Base| {
            let list = &self.0.list;
            let start = list.partition_point(|parameter| parameter.base < base);
            let end = list.partition_point(|parameter| parameter.base <= base);
            &list[start..end]
        };
        own(Base::All).iter().chain(own(Base::One(resource_type)))
    }

    /// Every parameter of every type.
    pub fn all(&self) -> impl ExactSizeIterator<Item = &Parameter> {
        self.0.list.iter()
    }

    pub(crate) fn tries(&self) -> &Tries {
        &self.0.tries
    }
}
