//! The walker, the envelope and the definitions against public data and random input.

mod definitions;
mod envelope;
mod examples;
mod hostile_json;
mod nasty;
mod properties;
mod shared;
mod validator_cases;
mod visitor;
