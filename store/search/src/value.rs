//! One value that a resource can be found by.

/// A value, taken from an element.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Value {
    /// A URI, exactly as written.
    Uri(String),
}
