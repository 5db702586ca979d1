//! What searches mean: transcribed cases, and plans against `matches`.

#[path = "../common/corpus.rs"]
mod corpus;
mod microsoft;
#[path = "../parameters/shared.rs"]
mod shared;
mod ucum;
