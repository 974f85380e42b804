//! Methods that put others together.
//!
//! | method | what |
//! |---|---|
//! | `composite` | several methods for the same matrix, added or one after the other |
//! | `fieldsplit` | a method for each field of unknowns, with or without what couples them |
#![deny(missing_docs)]
pub mod composite;
mod fields;
pub mod fieldsplit;
pub mod params;
mod part;
mod split;

pub use composite::Composite;
pub use fieldsplit::Fieldsplit;

precondor_sdk::export_plugin!(Composite, Fieldsplit);
