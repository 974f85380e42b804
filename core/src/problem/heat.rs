//! Heat that flows while its conductivity changes: u_t − ∇·(c(t) ∇u) = f on the unit square, u = 0 on its boundary, c = 1
//! but for a hot spot that goes round in a circle, once in a unit of time.
//!
//! System k is the step of the backward Euler method from time k·step to (k + 1)·step: A = h² I + step·K(c), with five-point
//! differences on m × m inner points of a grid, c in the middle between two points, times h². The right-hand side is that of a
//! known solution u(x, t) = sin πx sin πy (1 + ½ sin 2πt) + ¼ sin 2πx sin 3πy cos 2πt, so that any system may be made by
//! itself, and the solution of one is a good start for the next. All systems have one pattern.
//!
//! Reference: R. J. LeVeque, *Finite Difference Methods for Ordinary and Partial Differential Equations*, SIAM 2007, §9.
use super::check;
use crate::comm::Comm;
use crate::kernel::random::{Purpose, Stream};
use crate::matrix::{DistCsr, Space};
use crate::system::System;
use crate::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// What a sequence of time steps is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Heat {
    /// Inner nodes a side.
    #[schemars(range(min = 1, max = 16383))]
    pub nodes: usize,
    /// Length of a time step.
    #[schemars(extend("exclusiveMinimum" = 0.0, "maximum" = 1e6))]
    pub step: f64,
    /// c in the middle of the hot spot.
    #[schemars(extend("exclusiveMinimum" = 0.0, "maximum" = 1e12))]
    pub contrast: f64,
    /// Radius of the hot spot, where c has fallen to the square root of the contrast.
    #[schemars(extend("exclusiveMinimum" = 0.0, "maximum" = 1.0))]
    pub radius: f64,
    /// Seed of where the hot spot begins.
    pub seed: u64,
}

impl Default for Heat {
    fn default() -> Self {
        Heat { nodes: 15, step: 0.01, contrast: 10.0, radius: 0.2, seed: 0 }
    }
}

/// How far the middle of the hot spot is from that of the square.
const ORBIT: f64 = 0.25;

impl Heat {
    /// Inner nodes a side, after checking all parameters.
    ///
    /// # Errors
    /// [`Error::Parameter`] naming the parameter that is out of its range.
    pub fn m(&self) -> Result<usize> {
        let within = |value: f64, most: f64| value > 0.0 && value <= most;
        check("step", self.step, within(self.step, 1e6), "greater than 0 and at most 1e6")?;
        let contrast = self.contrast;
        check("contrast", contrast, within(contrast, 1e12), "greater than 0 and at most 1e12")?;
        check("radius", self.radius, within(self.radius, 1.0), "greater than 0 and at most 1")?;
        match self.nodes {
            m @ 1..=16383 => Ok(m),
            m => Err(Error::Parameter(format!("'nodes': {m} is not within 1..16383"))),
        }
    }

    /// The matrix with auxiliary data `coordinates` and `grid-index`, and the right-hand side, of time step `index` for
    /// `purpose`. Collective.
    ///
    /// # Errors
    /// As [`m`](Heat::m); what the communicator reports.
    pub fn make(&self, comm: &Comm, purpose: Purpose, index: u64) -> Result<(System, Vec<f64>)> {
        let m = self.m()?;
        let begin = Stream::new(purpose, self.seed, 0, &[m as u64, 3]).signed(0, 0);
        let time = (index + 1) as f64 * self.step;
        let (h, turn) = (1.0 / (m + 1) as f64, PI * (2.0 * time + begin));
        let middle = [0.5 + ORBIT * turn.cos(), 0.5 + ORBIT * turn.sin()];
        // Between two points, whose places in half steps add up to `twice`.
        let coefficient = |twice: [usize; 2]| {
            let [x, y] = twice.map(|k| 0.5 * k as f64 * h);
            let square = (x - middle[0]).powi(2) + (y - middle[1]).powi(2);
            (0.5 * self.contrast.ln() * (1.0 - square / self.radius.powi(2)).max(-1.0)).exp()
                * self.contrast.sqrt()
        };
        let solution = |[i, j]: [usize; 2]| {
            let [x, y] = [i as f64 * h, j as f64 * h];
            let (sin, cos) = (2.0 * PI * time).sin_cos();
            (PI * x).sin() * (PI * y).sin() * (1.0 + 0.5 * sin)
                + 0.25 * (2.0 * PI * x).sin() * (3.0 * PI * y).sin() * cos
        };
        let space = Space::even(comm.clone(), (m * m) as u64);
        let rows = space.start()..space.start() + space.n_own() as u64;
        let node = |row: u64| [row as usize % m + 1, row as usize / m + 1];
        let (mut row_ptr, mut cols, mut values) = (vec![0u32], Vec::new(), Vec::new());
        let mut rhs = Vec::with_capacity(space.n_own());
        for row in rows.clone() {
            let [i, j] = node(row);
            let (mut diagonal, mut b, mut at) = (h * h, 0.0, 0);
            for [di, dj] in [[0, -1i64], [-1, 0], [0, 0], [1, 0], [0, 1]] {
                if [di, dj] == [0, 0] {
                    at = cols.len();
                    cols.push(row);
                    values.push(0.0);
                    continue;
                }
                let other =
                    [i.wrapping_add_signed(di as isize), j.wrapping_add_signed(dj as isize)];
                let coupling = self.step * coefficient([i + other[0], j + other[1]]);
                diagonal += coupling;
                if other.iter().all(|k| (1..=m).contains(k)) {
                    cols.push(row.wrapping_add_signed(di + dj * m as i64));
                    values.push(-coupling);
                    b -= coupling * solution(other);
                }
            }
            values[at] = diagonal;
            rhs.push(b + diagonal * solution([i, j]));
            row_ptr.push(cols.len() as u32);
        }
        comm.scope(|| {
            let a = DistCsr::from_rows(&space, &row_ptr, &cols, &values)?;
            let place = |row| node(row).map(|k| k as f64 * h);
            let places = rows.clone().flat_map(place).collect();
            let index = rows.clone().flat_map(|row| node(row).map(|k| (k - 1) as f64)).collect();
            let system = System::new(a).with_aux("coordinates", 2, places)?;
            Ok((system.with_aux("grid-index", 2, index)?, rhs))
        })
    }
}
