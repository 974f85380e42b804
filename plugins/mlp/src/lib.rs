//! Preconditioners that a neural network assembles, for matrices of any size.
//!
//! | method | what the network writes | file |
//! |---|---|---|
//! | `mlp-reference` | stencils around a reference solve; any size of a structured grid | [`reference`](mod@reference) |
//! | `mlp-fsai` | corrections of FSAI's rows; any sparse SPD matrix | [`fsai`] |
//!
//! The network, its optimisers, its training and its files are those of `precondor-neural`.
//!
//! | to … | read |
//! |---|---|
//! | see what a matrix looks like to the network | [`reference::pgp`], [`reference::stencil`], [`fsai::features`] |
//! | see the loss and its derivative | [`reference::chain`], [`reference::train`], [`fsai::objective`] |
//! | see what an application sends and computes on several ranks | [`traffic`] |
#![deny(missing_docs)]

pub mod fsai;
pub mod reference;
pub mod traffic;

use precondor_sdk::prelude::*;

export_plugin!(
    ;
    trainable: reference::MlpReference, fsai::MlpFsai
);
