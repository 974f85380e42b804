//! Preconditioners that a neural network assembles, and the training that makes the networks.
//!
//! | method | what the network writes | file |
//! |---|---|---|
//! | `mlp-reference` | stencils around a reference solve; any size of a structured grid | [`reference`](mod@reference) |
//! | `mlp-dense` | the dense inverse; one size | [`dense`] |
//! | `ridge` | the same by linear regression: what a network has to beat | [`ridge`](mod@ridge) |
//! | `mlp-fsai` | corrections of FSAI's rows; any sparse SPD matrix | [`fsai`] |
//!
//! | to … | read |
//! |---|---|
//! | see the network, its derivative, its optimisers | [`net`], [`optim`] |
//! | see what a matrix looks like to the network | [`grid`], [`reference::pgp`], [`reference::stencil`] |
//! | see the loss and its derivative | [`reference::chain`], [`reference::train`], [`fsai::objective`] |
//! | see what a model file holds | [`model`] |
//! | see what an application sends and computes on several ranks | [`traffic`] |
#![deny(missing_docs)]

pub mod dense;
pub mod fsai;
pub mod grid;
pub mod model;
pub mod net;
pub mod number;
pub mod optim;
pub mod random;
pub mod reference;
pub mod ridge;
mod run;
pub mod traffic;

use precondor_sdk::prelude::*;

export_plugin!(
    ;
    trainable: reference::MlpReference, dense::MlpDense, ridge::RidgeInverse, fsai::MlpFsai
);
