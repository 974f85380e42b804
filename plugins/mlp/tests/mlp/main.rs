//! The library from outside: its methods on fresh systems, its training, its shipped models.
#![allow(clippy::unwrap_used)]

mod configurations;
mod dense;
mod fsai;
mod methods;
mod ranks;
mod support;
mod training;
