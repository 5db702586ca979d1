//! To be written.

mod audit;
