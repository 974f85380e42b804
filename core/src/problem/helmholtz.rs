//! Standing waves: −Δu − k² u = f on the unit square, u = 0 on its boundary; symmetric, and not definite as soon
//! as half a wave fits into both directions.
//!
//! The five-point stencil on m × m inner points, times h²: 4 − (kh)² e^(σN) on the diagonal, N normal at each
//! point, −1 beside it. k = 2π · waves. Without `deviation` the eigenvalues are known:
//! 4 sin²(iπh/2) + 4 sin²(jπh/2) − (kh)², i, j = 1 … m.
//!
//! Reference: O. Ernst, M. Gander, *Why it is difficult to solve Helmholtz problems with classical iterative
//! methods*, Lecture Notes in Computational Science and Engineering 83, Springer 2012.
use super::{Rhs, check, of_rows};
use crate::comm::Comm;
use crate::kernel::random::{Purpose, Stream};
use crate::matrix::Space;
use crate::system::System;
use crate::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a problem of waves is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Helmholtz {
    /// Inner nodes a side.
    #[schemars(range(min = 1, max = 16383))]
    pub nodes: usize,
    /// Waves along a side, k/2π; two points a wave at least.
    #[schemars(range(min = 0.0))]
    pub waves: f64,
    /// Standard deviation σ of the logarithm of k².
    #[schemars(range(min = 0.0, max = 2.0))]
    pub deviation: f64,
    /// Seed of everything random.
    pub seed: u64,
    /// Right-hand side; the load of f = 1 is h².
    pub rhs: Rhs,
}

impl Default for Helmholtz {
    fn default() -> Self {
        Helmholtz { nodes: 31, waves: 1.5, deviation: 0.0, seed: 0, rhs: Rhs::Ones }
    }
}

impl Helmholtz {
    /// Inner nodes a side, after checking all parameters.
    ///
    /// # Errors
    /// [`Error::Parameter`] naming the parameter that is out of its range.
    pub fn m(&self) -> Result<usize> {
        let (m, s, waves) = (self.nodes, self.deviation, self.waves);
        check("deviation", s, (0.0..=2.0).contains(&s), "within 0..2")?;
        if !(1..=16383).contains(&m) {
            return Err(Error::Parameter(format!("'nodes': {m} is not within 1..16383")));
        }
        let most = 0.5 * (m + 1) as f64;
        let range = format!("within 0..{most}: two points a wave at least");
        check("waves", waves, (0.0..=most).contains(&waves), &range)?;
        Ok(m)
    }

    /// The matrix, times h², with auxiliary data `coordinates` and `grid-index`, and the right-hand side, of
    /// system `index` for `purpose`. Collective.
    ///
    /// # Errors
    /// As [`m`](Helmholtz::m); what the communicator reports.
    pub fn make(&self, comm: &Comm, purpose: Purpose, index: u64) -> Result<(System, Vec<f64>)> {
        let m = self.m()?;
        let stream = |tag| Stream::new(purpose, self.seed, index, &[m as u64, tag]);
        let (media, step) = (stream(0), m as u64);
        let space = Space::even(comm.clone(), step * step);
        let rows = space.start()..space.start() + space.n_own() as u64;
        let h = 1.0 / (m + 1) as f64;
        let square = (std::f64::consts::TAU * self.waves * h).powi(2);
        let entries = |row: u64| {
            let [i, j] = [row % step, row / step];
            let diagonal = 4.0 - square * (self.deviation * media.normal(row)).exp();
            let all = [
                (j > 0).then(|| (row - step, -1.0)),
                (i > 0).then(|| (row - 1, -1.0)),
                Some((row, diagonal)),
                (i + 1 < step).then(|| (row + 1, -1.0)),
                (j + 1 < step).then(|| (row + step, -1.0)),
            ];
            all.into_iter().flatten()
        };
        comm.scope(|| {
            let a = of_rows(&space, entries)?;
            let rhs = self.rhs.of_rows(rows.clone(), stream(1), |_| h * h);
            let node = |row: u64| [row % step, row / step];
            let places = rows.clone().flat_map(|r| node(r).map(|i| (i + 1) as f64 * h)).collect();
            let index = rows.clone().flat_map(|r| node(r).map(|i| i as f64)).collect();
            let system = System::new(a).with_aux("coordinates", 2, places)?;
            Ok((system.with_aux("grid-index", 2, index)?, rhs))
        })
    }
}
