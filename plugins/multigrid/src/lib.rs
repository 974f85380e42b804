//! Geometric multigrid on structured grids.
//!
//! | file | what |
//! |---|---|
//! | `multigrid.rs` | the method [`Multigrid`]: levels and cycle |
//! | `stencil.rs` | matrices as stencils: products, residuals, sweeps |
//! | `transfer.rs` | restriction, interpolation, the Galerkin product |
//! | `smoother.rs` | what smooths on a level |
//! | `direct.rs` | the solve on the coarsest grid |
#![deny(missing_docs)]
mod direct;
mod multigrid;
mod smoother;
mod sweeps;
mod transfer;

pub use multigrid::{Cycle, Multigrid, Params};
pub use smoother::Kind;

precondor_sdk::export_plugin!(Multigrid);
