//! Poisson's equation on an L-shaped domain, refined towards its reentrant corner: −Δu = f on [−1, 1]² without
//! its upper right quarter, u = 0 on its boundary.
//!
//! Linear finite elements on a Delaunay triangulation of jittered points that are drawn to the corner by
//! x ← x ‖x‖∞^(grading − 1), so that the mesh width falls from 1/m far away to about m^−grading at the corner.
//! Some 3 m² unknowns.
//!
//! Reference: D. Braess, *Finite Elements*, 3rd ed., Cambridge 2007, §III.7 (reentrant corners).
use super::simplices::{Simplices, delaunay};
use super::{Rhs, check};
use crate::comm::Comm;
use crate::kernel::random::{Purpose, Stream};
use crate::system::System;
use crate::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a problem on the L-shaped domain is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LShape {
    /// Points a unit of length before grading.
    #[schemars(range(min = 2, max = 4000))]
    pub nodes: usize,
    /// How strongly points are drawn to the corner; 1 for an even mesh.
    #[schemars(extend("minimum" = 1.0, "maximum" = 6.0))]
    pub grading: f64,
    /// Seed of everything random.
    pub seed: u64,
    /// Right-hand side.
    pub rhs: Rhs,
}

impl Default for LShape {
    fn default() -> Self {
        LShape { nodes: 8, grading: 2.5, seed: 0, rhs: Rhs::Ones }
    }
}

/// How far a point is moved within its square at most, in parts of the side.
const JITTER: f64 = 0.45;

impl LShape {
    /// Points a unit of length, after checking all parameters.
    ///
    /// # Errors
    /// [`Error::Parameter`] naming the parameter that is out of its range.
    pub fn m(&self) -> Result<usize> {
        let grading = self.grading;
        check("grading", grading, (1.0..=6.0).contains(&grading), "within 1..6")?;
        match self.nodes {
            m @ 2..=4000 => Ok(m),
            m => Err(Error::Parameter(format!("'nodes': {m} is not within 2..4000"))),
        }
    }

    /// The matrix with auxiliary data `coordinates`, and the right-hand side, of system `index` for
    /// `purpose`. Collective.
    ///
    /// # Errors
    /// As [`m`](LShape::m); what the communicator reports.
    pub fn make(&self, comm: &Comm, purpose: Purpose, index: u64) -> Result<(System, Vec<f64>)> {
        let m = self.m()?;
        let stream = |tag| Stream::new(purpose, self.seed, index, &[m as u64, tag]);
        comm.scope(|| {
            let (jitter, side) = (stream(0), m as f64);
            let mut places: Vec<[f64; 2]> = Vec::new();
            for j in 0..2 * m {
                for i in 0..2 * m {
                    if i < m || j < m {
                        let id = (j * 2 * m + i) as u64;
                        let at = |k: usize, d| k as f64 + 0.5 + JITTER * jitter.signed(id, d);
                        places.push([at(i, 0) / side - 1.0, at(j, 1) / side - 1.0]);
                    }
                }
            }
            let inner = places.len();
            // Once around, anticlockwise from the lower left corner.
            let corners: [[i64; 2]; 6] = [[-1, -1], [1, -1], [1, 0], [0, 0], [0, 1], [-1, 1]];
            for (k, from) in corners.iter().enumerate() {
                let to = corners[(k + 1) % corners.len()];
                let steps = m as i64 * (to[0] - from[0] + to[1] - from[1]).abs();
                let along = |d: usize, s: i64| {
                    from[d] as f64 + (to[d] - from[d]) as f64 * (s as f64 / steps as f64)
                };
                places.extend((0..steps).map(|s| [along(0, s), along(1, s)]));
            }
            for place in &mut places {
                let size = place[0].abs().max(place[1].abs());
                *place = place.map(|x| x * size.powf(self.grading - 1.0));
            }
            let cells = delaunay(&places, |[x, y]| x < 0.0 || y < 0.0);
            let mesh = Simplices::<2, 3>::new(places, cells, |node| node >= inner);
            let a = mesh.diffusion(comm, |_| 1.0)?;
            let own = mesh.own(comm);
            let rhs = self.rhs.of_rows(own.clone(), stream(1), |k| mesh.volume(k) / 3.0);
            let places = own.flat_map(|k| mesh.place(k)).collect();
            Ok((System::new(a).with_aux("coordinates", 2, places)?, rhs))
        })
    }
}
