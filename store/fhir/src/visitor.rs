//! Who is told of the elements of a resource while it is walked.
//!
//! The calls nest as the elements do. What no definition knows is not told, nor is `null` in an array; a structure
//! that breaks the definitions is told all the same, so a visitor checks what kind of value it was given.

use crate::resource_type::ResourceType;
use crate::schema::ElementNumber;
use crate::span::Span;

/// Sees the elements of a resource as the walk goes through them.
///
/// ```
/// use keepwell_fhir::{ElementNumber, ResourceType, Span, Visitor, Walker};
///
/// #[derive(Default)]
/// struct Given(Vec<ElementNumber>, Vec<Span>);
/// impl Visitor for Given {
///     fn begin(&mut self, _: ResourceType) {}
///     fn enter(&mut self, element: ElementNumber) {
///         self.0.push(element);
///     }
///     fn leave(&mut self, value: Span) {
///         if self.0.pop().is_some_and(|element| element.name() == "given") {
///             self.1.push(value);
///         }
///     }
///     fn nested(&mut self, _: ResourceType, _: bool, _: Span) {}
/// }
///
/// let json = br#"{"resourceType":"Patient","name":[{"given":["Ada","Eve"]}]}"#;
/// let mut given = Given::default();
/// Walker::new().walk_with(json, &mut given)?;
/// assert_eq!(given.1[1].bytes(json), br#""Eve""#);
/// # Ok::<(), keepwell_fhir::SyntaxError>(())
/// ```
pub trait Visitor {
    /// The walk over a resource of this type starts.
    fn begin(&mut self, resource_type: ResourceType);

    /// A value of an element starts; each item of an array is a value of its own.
    fn enter(&mut self, element: ElementNumber);

    /// The value of the element that was entered last, and not left yet, ends.
    fn leave(&mut self, value: Span);

    /// The value that is about to be left is a resource: one that is contained, or one of a Bundle or of Parameters.
    fn nested(&mut self, resource_type: ResourceType, is_contained: bool, value: Span);
}

/// Is told and does nothing, at no cost.
pub(crate) struct Nobody;

impl Visitor for Nobody {
    #[inline(always)]
    fn begin(&mut self, _: ResourceType) {}

    #[inline(always)]
    fn enter(&mut self, _: ElementNumber) {}

    #[inline(always)]
    fn leave(&mut self, _: Span) {}

    #[inline(always)]
    fn nested(&mut self, _: ResourceType, _: bool, _: Span) {}
}
