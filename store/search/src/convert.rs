//! From the JSON of an element to values.

use crate::data_type::DataType;
use crate::parameter::ParameterKind;
use crate::values::Values;

/// Appends the values that an element has for parameters of a kind. `json` is the element's value in a resource that
/// was walked, so its syntax is right; whether its structure is, is not known.
pub fn convert(_kind: ParameterKind, _data_type: DataType, _json: &[u8], _out: &mut Values) {}
