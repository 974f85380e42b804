//! −∇·(c ∇u) = f on the unit cube by finite volumes, u = 0 on the boundary: 7 entries a row.
//!
//! m inner nodes a side, numbered along x, then y, then z. The flux between two nodes takes the
//! harmonic mean of their coefficients; entries are multiplied by h², so that c = 1 gives the
//! stencil (−1, …, 6, …, −1). c = e^(σ g) with an independent normal number g at every node,
//! boundary included. An M-matrix for any c.
//!
//! Cost: 7 coefficients a row; communication for the halo of the matrix only. The same bits on any
//! number of ranks.
//!
//! Reference: R. Eymard, T. Gallouët, R. Herbin, *Finite volume methods*, Handbook of Numerical
//! Analysis VII (2000), §2 and §3.1.
use super::Rhs;
use crate::comm::Comm;
use crate::kernel::random::{Purpose, Stream};
use crate::matrix::{DistCsr, Space};
use crate::system::System;
use crate::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a problem on the cube is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cube {
    /// Inner nodes a side.
    #[schemars(range(min = 1, max = 1000))]
    pub nodes: usize,
    /// Standard deviation of ln c; 0 for c = 1.
    #[schemars(range(min = 0.0, max = 10.0))]
    pub deviation: f64,
    /// Coupling in z as part of that in x and y.
    #[schemars(extend("exclusiveMinimum" = 0.0, "maximum" = 1.0))]
    pub anisotropy: f64,
    /// Seed of the coefficient and of a random right-hand side.
    pub seed: u64,
    /// Right-hand side; the load of f = 1 is h².
    pub rhs: Rhs,
}

impl Default for Cube {
    fn default() -> Self {
        Cube { nodes: 6, deviation: 0.0, anisotropy: 1.0, seed: 0, rhs: Rhs::Ones }
    }
}

impl Cube {
    /// Inner nodes a side, after checking all parameters.
    ///
    /// # Errors
    /// [`Error::Parameter`] naming the parameter that is out of its range.
    pub fn m(&self) -> Result<usize> {
        let out = |name: &str, why: String| Err(Error::Parameter(format!("'{name}': {why}")));
        if !(0.0..=10.0).contains(&self.deviation) {
            return out("deviation", format!("{} is not within 0..10", self.deviation));
        }
        if !(self.anisotropy > 0.0 && self.anisotropy <= 1.0) {
            let why = format!("{} is not greater than 0 and at most 1", self.anisotropy);
            return out("anisotropy", why);
        }
        match self.nodes {
            m @ 1..=1000 => Ok(m),
            m => out("nodes", format!("{m} is not within 1..1000")),
        }
    }

    /// The matrix with auxiliary data `coordinates` (3 numbers a row) and, where it is not constant,
    /// `coefficient`, and the right-hand side, of system `index` for `purpose`. Collective.
    ///
    /// # Errors
    /// As [`m`](Cube::m); what the communicator reports.
    pub fn make(&self, comm: &Comm, purpose: Purpose, index: u64) -> Result<(System, Vec<f64>)> {
        let m = self.m()?;
        let stream = |tag| Stream::new(purpose, self.seed, index, &[m as u64, tag]);
        let space = Space::even(comm.clone(), (m * m * m) as u64);
        let rows = space.start()..space.start() + space.n_own() as u64;
        let node = |row: u64| {
            let row = row as usize;
            [row % m + 1, row / m % m + 1, row / (m * m) + 1]
        };
        let field = stream(0);
        let c = |[i, j, k]: [usize; 3]| match self.deviation {
            0.0 => 1.0,
            sigma => (sigma * field.normal(((k * (m + 2) + j) * (m + 2) + i) as u64)).exp(),
        };
        let (mut row_ptr, mut cols, mut values) = (vec![0u32], Vec::new(), Vec::new());
        for row in rows.clone() {
            let (here, mut diagonal, mut place) = (node(row), 0.0, 0);
            // Neighbours in the order of unknowns.
            let directions = [(2, false), (1, false), (0, false), (0, true), (1, true), (2, true)];
            for (axis, up) in directions {
                if (axis, up) == (0, true) {
                    place = cols.len();
                    cols.push(row);
                    values.push(0.0);
                }
                let mut there = here;
                there[axis] = if up { here[axis] + 1 } else { here[axis] - 1 };
                let scale = if axis == 2 { self.anisotropy } else { 1.0 };
                let flux = scale * (2.0 / (1.0 / c(here) + 1.0 / c(there)));
                diagonal += flux;
                if (1..=m).contains(&there[axis]) {
                    let step = (m as u64).pow(axis as u32);
                    cols.push(if up { row + step } else { row - step });
                    values.push(-flux);
                }
            }
            values[place] = diagonal;
            row_ptr.push(cols.len() as u32);
        }
        let h = 1.0 / (m + 1) as f64;
        comm.scope(|| {
            let a = DistCsr::from_rows(&space, &row_ptr, &cols, &values)?;
            let rhs = match self.rhs {
                Rhs::Ones => vec![1.0; space.n_own()],
                Rhs::Load => vec![h * h; space.n_own()],
                Rhs::Random => rows.clone().map(|row| stream(1).normal(row)).collect(),
            };
            let places = rows.clone().flat_map(|row| node(row).map(|i| i as f64 * h)).collect();
            let system = System::new(a).with_aux("coordinates", 3, places)?;
            if self.deviation == 0.0 {
                return Ok((system, rhs));
            }
            let nodal = rows.clone().map(|row| c(node(row))).collect();
            Ok((system.with_aux("coefficient", 1, nodal)?, rhs))
        })
    }
}
