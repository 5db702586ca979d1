//! From a resource to the values of all its search parameters.

use keepwell_fhir::{ResourceType, Span, SyntaxError, Walk, Walker};

use crate::parameters::Parameters;
use crate::values::Values;

/// Takes resources apart, one after the other, and keeps its memory between them.
pub struct Extractor {
    parameters: Parameters,
    walker: Walker,
    values: Values,
    contained: Vec<Contained>,
}

/// What a resource can be found by.
#[derive(Debug)]
#[non_exhaustive]
pub struct Extracted<'e> {
    /// What the walk found, issues included.
    pub walk: Walk<'e>,
    /// The values of the resource itself. R4 parameters do not look into contained resources.
    pub values: &'e Values,
    /// The resources contained in it, for `_contained`: their spans can be extracted by themselves.
    pub contained: &'e [Contained],
}

/// A contained resource.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Contained {
    /// Its type.
    pub resource_type: ResourceType,
    /// Its JSON.
    pub span: Span,
}

impl Extractor {
    /// An extractor for these parameters.
    #[must_use]
    pub fn new(parameters: Parameters) -> Self {
        Self { parameters, walker: Walker::new(), values: Values::default(), contained: Vec::new() }
    }

    /// The parameters whose values are extracted.
    #[must_use]
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Walks over one resource as [`Walker::walk`] does, and converts what its parameters name.
    ///
    /// # Errors
    /// Those of [`Walker::walk`].
    pub fn extract<'e>(&'e mut self, json: &[u8]) -> Result<Extracted<'e>, SyntaxError> {
        self.values.clear();
        self.contained.clear();
        let walk = self.walker.walk(json)?;
        Ok(Extracted { walk, values: &self.values, contained: &self.contained })
    }
}
