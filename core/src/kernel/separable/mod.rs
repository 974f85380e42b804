//! Separable operators on structured grids, and the fast solve with them.
//!
//! A [`Separable`] operator is a sum over the axes of a grid: the stiffness of one axis times the masses of the
//! others, and a multiple of the product of all masses. Every axis is a chain of nodes ([`Axis`]) with any
//! spacings and any ends: walls (Dirichlet), free (Neumann), or closed to a ring (periodic). It is what finite
//! differences, linear elements and cell-centred finite volumes give on a tensor grid, and a model of what they
//! give on one that is shifted, stretched or bent ([`fit`]).
//!
//! [`Solver`] turns all axes but the last into modes and solves a tridiagonal system along the last for each mode:
//!
//! - Axes of equal spacings by fast transforms (Dirichlet, Neumann or periodic; nodes on the walls or half a spacing
//!   away), of any length; others by their eigenvectors, dense along the axis, some lines side by side.
//! - The last axis costs the same whatever its spacings and ends are.
//! - Singular operators (free or periodic along every axis, no multiple of the mass): constants get an eigenvalue of their
//!   own, so that what is computed is symmetric and positive definite all the same; on what is orthogonal to constants it is
//!   the inverse.
//! - Whatever the pivots are rounded to, what is computed is symmetric and positive definite up to the rounding of the sums.
//!
//! Cost, n nodes, layers of s nodes (a row in two dimensions, a plane in three): setup a division a node, and for axes of
//! m other than equally spaced nodes about 3 m³; one solve two transforms along every axis but the last, O(log m) a
//! node or 2 m multiplications, and six flops a node; no allocation after setup. Held: 2 numbers a node, 3 where the
//! last axis is a ring. Layers, and blocks of modes, are shared out to the threads of the host and to ranks: every number is
//! the same for any of them.
//!
//! Communication of one solve on p ranks, each rank to each other that has layers or modes: one message of
//! ⌈b·layers(r)·modes(q)/8⌉ words of 8 bytes from rank r to rank q, then one of ⌈b·around(q, halo)·modes(r)/8⌉ back (b = 4
//! bytes for `f32`, 8 for `f64`; [`slab`](super::slab)): 2(p − 1) messages sent a rank where all have both, and nearly 2b·n/p
//! bytes. Ranks beyond the layers have none to transform.
//!
//! Reference: R. Hockney, *A fast direct solution of Poisson's equation using Fourier analysis*, J. ACM 12 (1965);
//! R. Lynch, J. Rice, D. Thomas, *Direct solution of partial difference equations by tensor product methods*, Numer. Math. 6
//! (1964).
mod axis;
mod chain;
mod eigen;
pub mod fit;
mod line;
mod number;
mod operator;
mod solver;

pub use axis::Axis;
pub use fit::Fit;
pub use number::Number;
pub use operator::Separable;
pub use solver::Solver;

use super::lattice::Lattice;

/// Eigenvalue number `k` (from 1 to `m`) of the one-dimensional second difference `(−1, 2, −1)` on `m` inner nodes.
pub fn eigenvalue(m: usize, k: usize) -> f64 {
    let s = (std::f64::consts::FRAC_PI_2 * k as f64 / (m + 1) as f64).sin();
    4.0 * s * s
}

/// Nodes, at least, that one thread takes at a time: fewer are done before another has woken up.
const GRAIN: usize = 1 << 13;

#[cfg(test)]
mod tests;
