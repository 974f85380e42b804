//! Linear elasticity: a body clamped at one end, −∇·σ(u) = f, σ = λ tr(ε) I + 2μ ε.
//!
//! Linear finite elements on a Delaunay triangulation of jittered points (2-D) or on shifted tetrahedra
//! (3-D) of [0, length] × [0, 1]ᵈ⁻¹; u = 0 at x = 0, the rest of the surface is free. d unknowns a node,
//! numbered node by node. Young's modulus E is 1, or takes a value of its own in each of 4 blocks a side;
//! λ = E ν/((1 + ν)(1 − 2ν)), μ = E/(2(1 + ν)). Comes with the rigid body modes.
//!
//! Reference: D. Braess, *Finite Elements*, 3rd ed., Cambridge 2007, §VI.3.
use super::simplices::{Simplices, delaunay, kuhn};
use super::{Place, Rhs, check};
use crate::comm::Comm;
use crate::kernel::random::{Purpose, Stream};
use crate::system::System;
use crate::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a problem of elasticity is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Elasticity {
    /// Dimensions: 2 or 3.
    #[schemars(range(min = 2, max = 3))]
    pub dimension: u32,
    /// Nodes along an edge of length 1, beside those of its ends.
    #[schemars(range(min = 1, max = 2000))]
    pub nodes: usize,
    /// Length of the body over its height: 1 for a square or cube, more for a beam.
    #[schemars(range(min = 1, max = 100))]
    pub length: u32,
    /// How far, in grid steps, each node is moved at most in each direction.
    #[schemars(extend("minimum" = 0.0, "exclusiveMaximum" = 0.5))]
    pub shift: f64,
    /// E takes values from 10^−decades to 10^decades in blocks of a quarter; 0 for E = 1.
    #[schemars(range(min = 0.0, max = 8.0))]
    pub decades: f64,
    /// Poisson's ratio ν.
    #[schemars(extend("minimum" = 0.0, "exclusiveMaximum" = 0.5))]
    pub poisson_ratio: f64,
    /// Seed of everything random.
    pub seed: u64,
    /// Right-hand side; the load is a weight in the last direction.
    pub rhs: Rhs,
}

impl Default for Elasticity {
    fn default() -> Self {
        Elasticity {
            dimension: 2,
            nodes: 8,
            length: 1,
            shift: 0.2,
            decades: 0.0,
            poisson_ratio: 0.3,
            seed: 0,
            rhs: Rhs::Ones,
        }
    }
}

/// Blocks of a coefficient a unit of length.
const BLOCKS: f64 = 4.0;

impl Elasticity {
    /// Nodes along an edge, after checking all parameters.
    ///
    /// # Errors
    /// [`Error::Parameter`] naming the parameter that is out of its range.
    pub fn m(&self) -> Result<usize> {
        let [s, k, nu] = [self.shift, self.decades, self.poisson_ratio];
        check("shift", s, (0.0..0.5).contains(&s), "at least 0, less than 0.5")?;
        check("decades", k, (0.0..=8.0).contains(&k), "within 0..8")?;
        check("poisson_ratio", nu, (0.0..0.5).contains(&nu), "at least 0, less than 0.5")?;
        let length = self.length;
        check("length", length.into(), (1..=100).contains(&length), "within 1..100")?;
        let most = if self.dimension == 2 { 2000 } else { 200 };
        match (self.dimension, self.nodes) {
            (2 | 3, m) if (1..=most).contains(&m) => Ok(m),
            (2 | 3, m) => Err(Error::Parameter(format!("'nodes': {m} is not within 1..{most}"))),
            (d, _) => Err(Error::Parameter(format!("'dimension': {d} is not 2 or 3"))),
        }
    }

    /// The matrix with auxiliary data `coordinates` (those of the node, in each of its rows), `block-size`
    /// and `near-nullspace` (the rigid body modes: 3 in 2-D, 6 in 3-D), and the right-hand side, of system
    /// `index` for `purpose`. Collective.
    ///
    /// # Errors
    /// As [`m`](Elasticity::m); what the communicator reports.
    pub fn make(&self, comm: &Comm, purpose: Purpose, index: u64) -> Result<(System, Vec<f64>)> {
        let m = self.m()?;
        let stream = |tag| Stream::new(purpose, self.seed, index, &[m as u64, tag]);
        let long = m * self.length as usize + self.length as usize - 1;
        comm.scope(|| {
            if self.dimension == 2 {
                let (places, cells) =
                    triangles([long, m], self.length.into(), self.shift, stream(0));
                let clamped: Vec<bool> = places.iter().map(|p| p[0] == 0.0).collect();
                self.on::<2, 3>(comm, Simplices::new(places, cells, |k| clamped[k]), stream)
            } else {
                let sides = [self.length.into(), 1.0, 1.0];
                let (places, cells) = kuhn([long, m, m], sides, self.shift, stream(0));
                let clamped: Vec<bool> = places.iter().map(|p| p[0] == 0.0).collect();
                self.on::<3, 4>(comm, Simplices::new(places, cells, |k| clamped[k]), stream)
            }
        })
    }

    fn on<const D: usize, const C: usize>(
        &self,
        comm: &Comm,
        mesh: Simplices<D, C>,
        stream: impl Fn(u64) -> Stream,
    ) -> Result<(System, Vec<f64>)> {
        let nu = self.poisson_ratio;
        let (lambda, mu) = (nu / ((1.0 + nu) * (1.0 - 2.0 * nu)), 0.5 / (1.0 + nu));
        let moduli = stream(2);
        let a = mesh.assemble::<D>(comm, |cell, a, b| {
            let [g, h] = [cell.gradients[a], cell.gradients[b]];
            let modulus =
                10f64.powf(self.decades * moduli.signed(Place(cell.centroid).block(BLOCKS), 0));
            let product: f64 = (0..D).map(|d| g[d] * h[d]).sum();
            let scale = modulus * cell.volume;
            std::array::from_fn(|i| {
                std::array::from_fn(|j| {
                    let twist = lambda * (g[i] * h[j]) + mu * (g[j] * h[i]);
                    let stretch = if i == j { mu * product } else { 0.0 };
                    scale * (twist + stretch)
                })
            })
        })?;
        let own = mesh.own(comm);
        let rows = D as u64 * own.start..D as u64 * own.end;
        let weight = |row: u64| match (row as usize % D == D - 1, row / D as u64) {
            (true, k) => mesh.volume(k) / C as f64,
            _ => 0.0,
        };
        let rhs = self.rhs.of_rows(rows.clone(), stream(1), weight);
        let place = |row: u64| mesh.place(row / D as u64);
        let places = rows.clone().flat_map(place).collect();
        let modes = if D == 2 { 3 } else { 6 };
        let rigid = rows.clone().flat_map(|row| rigid(place(row), row as usize % D));
        let system = System::new(a)
            .with_aux("coordinates", D, places)?
            .with_aux("block-size", 1, rows.clone().map(|_| D as f64).collect())?
            .with_aux("near-nullspace", modes, rigid.collect())?;
        Ok((system, rhs))
    }
}

/// Component `i`, at `x`, of the rigid body modes: translations, then rotations.
fn rigid<const D: usize>(x: [f64; D], i: usize) -> Vec<f64> {
    let mut modes: Vec<f64> = (0..D).map(|d| f64::from(u8::from(d == i))).collect();
    for a in 0..D {
        for b in a + 1..D {
            modes.push(if i == a {
                -x[b]
            } else if i == b {
                x[a]
            } else {
                0.0
            });
        }
    }
    modes
}

/// A triangulation of [0, length] × [0, 1]: the nodes of a grid, those within moved by up to `shift` steps.
fn triangles(
    counts: [usize; 2],
    length: f64,
    shift: f64,
    stream: Stream,
) -> (Vec<[f64; 2]>, Vec<[u32; 3]>) {
    let mut places = Vec::new();
    for j in 0..counts[1] + 2 {
        for i in 0..counts[0] + 2 {
            let (at, id) = ([i, j], places.len() as u64);
            let inner = (0..2).all(|d| (1..=counts[d]).contains(&at[d]));
            places.push(std::array::from_fn(|d| {
                let moved = if inner { shift * stream.signed(id, d as u64) } else { 0.0 };
                let side = if d == 0 { length } else { 1.0 };
                side * (at[d] as f64 + moved) / (counts[d] + 1) as f64
            }));
        }
    }
    let cells = delaunay(&places, |_| true);
    (places, cells)
}
