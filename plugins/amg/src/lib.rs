//! Algebraic multigrid for any sparse matrix.
//!
//! | file | what |
//! |---|---|
//! | `amg.rs`, `params.rs`, `setup.rs` | the method [`Amg`], its parameters, how its levels are set up |
//! | `hierarchy.rs` | how levels follow from one another, and the cycle through them |
//! | `recipe.rs`, `scaling.rs`, `frame.rs` | which recipe; other units of the unknowns; what levels see of vectors |
//! | `coarsening.rs` | from one level to the next |
//! | `strength.rs` | which couplings are strong |
//! | `aggregates.rs`, `splitting.rs` | what the next level is made of: aggregates, or coarse unknowns |
//! | `interpolation.rs` | P: smoothed aggregation, extended+i |
//! | `modes.rs` | aggregates that keep given vectors |
//! | `galerkin.rs` | Pᵀ A P |
//! | `level.rs`, `half.rs`, `rows.rs` | one level: its steps, its triangles, its matrix |
//! | `smoother.rs`, `incomplete.rs` | what smooths; incomplete Cholesky |
//! | `coarsest.rs` | the direct solve |
//! | `parallel/` | levels that are spread over ranks and do not depend on them |
//! | `stripes.rs` | loops that write beyond their rows, on threads |
//! | `blocks.rs`, `order.rs`, `number.rs` | unknowns a node; another order; two precisions |
#![deny(missing_docs)]
mod aggregates;
mod amg;
mod blocks;
mod coarsening;
mod coarsest;
mod frame;
mod galerkin;
mod half;
mod hierarchy;
mod incomplete;
mod interpolation;
mod level;
mod modes;
mod number;
mod order;
mod parallel;
mod params;
mod recipe;
mod rows;
mod scaling;
mod setup;
mod smoother;
mod splitting;
mod strength;
mod stripes;

pub use amg::{Amg, Cycle};
pub use coarsening::Keep;
pub use modes::NearNullSpace;
pub use order::Ordering;
pub use params::{Params, Precision, Recipe, Scaling};
pub use smoother::Kind;

precondor_sdk::export_plugin!(Amg);
