//! Both directions of the plugin boundary, written once: core objects lent as C tables, and C
//! tables taken as core objects.
//!
//! | object | lend | take |
//! |---|---|---|
//! | communicator, exchange | [`comm`] | [`comm`] |
//! | row distribution, matrix | [`matrix`] | [`matrix`] |
//! | system | [`system`] | [`system`] |
//! | host services | [`host`] | [`host`] |
//! | preconditioner | [`instance`] | [`method`] |
//! | samples and watch of a training run | [`train`] | [`train`] |
//! | rows and systems of a family of problems | [`problem`] | [`problem`] |
//! | errors | [`status::answer`] | [`status::call`] |
//!
//! What comes from the other side is checked before it is used: sizes of tables, null functions,
//! lengths, indices. Panics are caught in both directions.
#![deny(missing_docs)]

pub mod comm;
pub mod host;
pub mod instance;
pub mod invariance;
pub mod matrix;
pub mod method;
pub mod problem;
pub mod raw;
pub mod shared;
pub mod status;
pub mod system;
pub mod thread;
pub mod train;
