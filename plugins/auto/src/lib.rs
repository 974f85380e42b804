//! A preconditioner chosen by what a matrix looks like.
//!
//! | to … | read |
//! |---|---|
//! | see what a matrix looks like to the classifier | [`features`] |
//! | see how it votes, and how it is fitted | [`forest`] |
//! | see what a run costs | [`cost`] |
//! | see what a model file holds | [`model`] |
//! | see how one is trained | [`train`] |
#![deny(missing_docs)]

pub mod auto;
pub mod cost;
pub mod features;
pub mod forest;
pub mod model;
pub mod train;

use precondor_sdk::prelude::*;

export_plugin!(; trainable: auto::Auto);
