//! Dense inverses of matrices on one grid, learned: what is learned from ([`data`], [`exact`]), in which terms
//! ([`frame`], [`components`]), the regression ([`linear`]), the model ([`weights`]) and what it gives ([`explicit`]).

pub mod components;
pub mod data;
pub mod exact;
pub mod explicit;
pub mod frame;
pub mod linear;
pub mod weights;
