//! Convection and diffusion: −ε Δu + w·∇u = f on [−1, 1]², u = 0 on its boundary, with a wind that goes round
//! and round: w = (2y(1 − x²), −2x(1 − y²)).
//!
//! Finite differences with first-order upwinding on m × m inner points of a grid: an M-matrix, unsymmetric,
//! whatever the Péclet number. ε = |w|max h/péclet with |w|max = 2: `peclet` is the largest one of a cell.
//!
//! Reference: H. Elman, D. Silvester, A. Wathen, *Finite Elements and Fast Iterative Solvers*, 2nd ed., Oxford
//! 2014, §6.1 (example 6.1.4: recirculating wind).
use super::{Rhs, check};
use crate::comm::Comm;
use crate::kernel::random::{Purpose, Stream};
use crate::matrix::{DistCsr, Space};
use crate::system::System;
use crate::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a problem of convection is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Convection {
    /// Inner nodes a side.
    #[schemars(range(min = 1, max = 16383))]
    pub nodes: usize,
    /// Largest Péclet number of a cell, |w| h/ε; 0 for no wind.
    #[schemars(range(min = 0.0, max = 1e12))]
    pub peclet: f64,
    /// Seed of a random right-hand side.
    pub seed: u64,
    /// Right-hand side; the load of f = 1 is h².
    pub rhs: Rhs,
}

impl Default for Convection {
    fn default() -> Self {
        Convection { nodes: 15, peclet: 10.0, seed: 0, rhs: Rhs::Ones }
    }
}

/// The largest component of the wind.
const FASTEST: f64 = 2.0;

impl Convection {
    /// Inner nodes a side, after checking all parameters.
    ///
    /// # Errors
    /// [`Error::Parameter`] naming the parameter that is out of its range.
    pub fn m(&self) -> Result<usize> {
        check("peclet", self.peclet, (0.0..=1e12).contains(&self.peclet), "within 0..1e12")?;
        match self.nodes {
            m @ 1..=16383 => Ok(m),
            m => Err(Error::Parameter(format!("'nodes': {m} is not within 1..16383"))),
        }
    }

    /// The matrix, times h², with auxiliary data `coordinates` and `grid-index`, and the right-hand side, of
    /// system `index` for `purpose`. Collective.
    ///
    /// # Errors
    /// As [`m`](Convection::m); what the communicator reports.
    pub fn make(&self, comm: &Comm, purpose: Purpose, index: u64) -> Result<(System, Vec<f64>)> {
        let m = self.m()?;
        let stream = Stream::new(purpose, self.seed, index, &[m as u64, 1]);
        let space = Space::even(comm.clone(), (m * m) as u64);
        let rows = space.start()..space.start() + space.n_own() as u64;
        let h = 2.0 / (m + 1) as f64;
        let node = |row: u64| [row as usize % m, row as usize / m];
        let place = |row: u64| node(row).map(|i| (i + 1) as f64 * h - 1.0);
        // The equation over the larger of ε/h² and |w|/h, so that both limits are plain numbers.
        let (diffusion, convection) = match self.peclet {
            p if p <= 1.0 => (1.0, p / FASTEST),
            p => (1.0 / p, 1.0 / FASTEST),
        };
        let (mut row_ptr, mut cols, mut values) = (vec![0u32], Vec::new(), Vec::new());
        for row in rows.clone() {
            let ([i, j], [x, y]) = (node(row), place(row));
            let wind = [2.0 * y * (1.0 - x * x), -2.0 * x * (1.0 - y * y)];
            let (mut diagonal, mut at) = (0.0, 0);
            for (axis, up) in [(1, false), (0, false), (0, true), (1, true)] {
                if (axis, up) == (0, true) {
                    at = cols.len();
                    cols.push(row);
                    values.push(0.0);
                }
                // What the wind brings comes from the side that it blows from.
                let towards = if up { -wind[axis] } else { wind[axis] };
                let coupling = diffusion + convection * towards.max(0.0);
                diagonal += coupling;
                let k = [i, j][axis];
                if if up { k + 1 < m } else { k > 0 } {
                    let step = (m as u64).pow(axis as u32);
                    cols.push(if up { row + step } else { row - step });
                    values.push(-coupling);
                }
            }
            values[at] = diagonal;
            row_ptr.push(cols.len() as u32);
        }
        comm.scope(|| {
            let a = DistCsr::from_rows(&space, &row_ptr, &cols, &values)?;
            let rhs = self.rhs.of_rows(rows.clone(), stream, |_| h * h);
            let places = rows.clone().flat_map(place).collect();
            let index = rows.clone().flat_map(|row| node(row).map(|i| i as f64)).collect();
            let system = System::new(a).with_aux("coordinates", 2, places)?;
            Ok((system.with_aux("grid-index", 2, index)?, rhs))
        })
    }
}
