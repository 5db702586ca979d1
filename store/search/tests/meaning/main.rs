//! What searches mean: transcribed cases, and plans against `matches`.

#[path = "../common/corpus.rs"]
mod corpus;
#[path = "../common/generate.rs"]
mod generate;
mod microsoft;
mod plans;
mod queries;
#[expect(dead_code, reason = "other tests use all of it")]
#[path = "../parameters/shared.rs"]
mod shared;
mod ucum;
