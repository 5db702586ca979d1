//! The parameters of R4, custom ones, and what they find in the official examples.

mod custom;
mod definitions;
mod examples;
mod hits;
mod shared;
