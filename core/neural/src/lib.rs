//! Networks for learned methods, and the one loop that trains them. Plugins that learn depend on this beside the
//! sdk.
//!
//! | to … | read |
//! |---|---|
//! | see the network and its derivative | [`net`] |
//! | see what moves its weights | [`optim`] |
//! | see how it is trained: steps, validation, patience, checkpoints | [`run`] |
//! | see who does what on several ranks | [`team`] |
//! | see what a model file holds | [`model`] |
#![deny(missing_docs)]
#![forbid(unsafe_code)]

pub mod check;
pub mod model;
pub mod net;
pub mod number;
pub mod optim;
pub mod random;
pub mod run;
pub mod team;
