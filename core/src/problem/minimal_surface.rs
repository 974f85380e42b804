//! Minimal surfaces by Newton's method: ∇·(∇u / √(1 + |∇u|²)) = 0 on the unit square, u given on its boundary.
//!
//! Linear finite elements on a grid of m × m inner nodes whose cells are split along their diagonals. System k is
//! J(uₖ) d = −F(uₖ), the Jacobian of the residual at the iterate that k steps of Newton's method lead to from a plane,
//! halved as often as the area of the surface asks for. After `steps` of them the boundary is raised by one more part
//! (load stepping), and the iteration goes on from there. J is symmetric and positive definite, and all systems have one pattern.
//!
//! Every rank finds the iterates by itself, so that they are the same bit for bit on any number: m² unknowns are whole on
//! each. The last one is kept, as one system after the other is asked for.
//!
//! Reference: D. Braess, *Finite Elements*, 3rd ed., Cambridge 2007, §II.7 (the minimal surface); P. Deuflhard, *Newton
//! Methods for Nonlinear Problems*, Springer 2011, §3 (damping).
use super::check;
use super::p1::Triangle;
use crate::comm::Comm;
use crate::kernel::random::{Purpose, Stream};
use crate::matrix::{Csr, DistCsr, Space};
use crate::precond::Diagonal;
use crate::solver::{Algorithm, Criterion, Stop, solve};
use crate::system::System;
use crate::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;
use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};

/// What a sequence of Newton's systems is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MinimalSurface {
    /// Inner nodes a side.
    #[schemars(range(min = 1, max = 1000))]
    pub nodes: usize,
    /// How high the boundary is raised in each part.
    #[schemars(extend("exclusiveMinimum" = 0.0, "maximum" = 100.0))]
    pub height: f64,
    /// Steps of Newton's method for each part.
    #[schemars(range(min = 1, max = 100))]
    pub steps: u32,
    /// Seed of the boundary's shape.
    pub seed: u64,
}

impl Default for MinimalSurface {
    fn default() -> Self {
        MinimalSurface { nodes: 15, height: 0.5, steps: 4, seed: 0 }
    }
}

/// The last iterate that was asked for: of which problem, after how many steps.
static LAST: Mutex<Option<(String, u64, Vec<f64>)>> = Mutex::new(None);
/// The relative residual that iterates are solved for to.
const TOLERANCE: f64 = 1e-12;
/// Halvings of a step, at most.
const HALVINGS: usize = 30;

impl MinimalSurface {
    /// Inner nodes a side, after checking all parameters.
    ///
    /// # Errors
    /// [`Error::Parameter`] naming the parameter that is out of its range.
    pub fn m(&self) -> Result<usize> {
        let height = self.height;
        check("height", height, height > 0.0 && height <= 100.0, "greater than 0, at most 100")?;
        if !(1..=100).contains(&self.steps) {
            return Err(Error::Parameter(format!("'steps': {} is not within 1..100", self.steps)));
        }
        match self.nodes {
            m @ 1..=1000 => Ok(m),
            m => Err(Error::Parameter(format!("'nodes': {m} is not within 1..1000"))),
        }
    }

    /// The matrix with auxiliary data `coordinates` and `grid-index`, and the right-hand side, of Newton's system `index`
    /// for `purpose`. Collective.
    ///
    /// # Errors
    /// As [`m`](MinimalSurface::m); what the communicator reports.
    pub fn make(&self, comm: &Comm, purpose: Purpose, index: u64) -> Result<(System, Vec<f64>)> {
        let m = self.m()?;
        let stream = Stream::new(purpose, self.seed, 0, &[m as u64, 4]);
        let surface =
            Surface { m, height: self.height, phases: [0, 1].map(|k| PI * stream.signed(k, 0)) };
        let space = Space::even(comm.clone(), (m * m) as u64);
        comm.scope(|| {
            let u = self.iterate(&surface, purpose, index)?;
            let whole = surface.linearised(&u, self.part(index));
            let own = space.start() as usize..space.start() as usize + space.n_own();
            let from = whole.row_ptr[own.start];
            let row_ptr: Vec<u32> =
                whole.row_ptr[own.start..=own.end].iter().map(|p| p - from).collect();
            let entries = from as usize..whole.row_ptr[own.end] as usize;
            let cols: Vec<u64> = whole.cols[entries.clone()].iter().map(|&c| c.into()).collect();
            let a = DistCsr::from_rows(&space, &row_ptr, &cols, &whole.values[entries])?;
            let node = |k: usize| [k % m, k / m];
            let places = own.clone().flat_map(|k| node(k).map(|i| (i + 1) as f64 / (m + 1) as f64));
            let index = own.clone().flat_map(|k| node(k).map(|i| i as f64)).collect();
            let system = System::new(a).with_aux("coordinates", 2, places.collect())?;
            Ok((system.with_aux("grid-index", 2, index)?, whole.rhs[own].to_vec()))
        })
    }

    /// The height of the boundary, in parts, that a system is of.
    fn part(&self, index: u64) -> f64 {
        (index / u64::from(self.steps) + 1) as f64
    }

    /// The iterate that a system is linearised at.
    fn iterate(&self, surface: &Surface, purpose: Purpose, index: u64) -> Result<Vec<f64>> {
        let key = format!("{self:?} {purpose:?}");
        let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
        let (steps, mut u) = match last.take() {
            Some((of, steps, u)) if of == key && steps <= index => (steps, u),
            _ => (0, vec![0.0; surface.m * surface.m]),
        };
        for k in steps..index {
            u = surface.step(&u, self.part(k))?;
        }
        *last = Some((key, index, u.clone()));
        Ok(u)
    }
}

/// The surface over the grid.
struct Surface {
    m: usize,
    height: f64,
    phases: [f64; 2],
}

/// J and −F, whole.
struct Linearised {
    row_ptr: Vec<u32>,
    cols: Vec<u32>,
    values: Vec<f64>,
    rhs: Vec<f64>,
}

impl Surface {
    /// The height at a node, the outer ones among them.
    fn at(&self, u: &[f64], [i, j]: [usize; 2], part: f64) -> f64 {
        let m = self.m;
        if (1..=m).contains(&i) && (1..=m).contains(&j) {
            return u[(j - 1) * m + i - 1];
        }
        let [x, y] = [i, j].map(|k| k as f64 / (m + 1) as f64);
        let [a, b] = self.phases;
        let shape = (PI * (x + 2.0 * y) + a).sin() + 0.5 * (PI * (2.0 * x - y) + b).cos();
        self.height * part * shape
    }

    /// Calls `f` for every triangle, with its nodes.
    fn triangles(&self, mut f: impl FnMut(Triangle, [[usize; 2]; 3])) {
        let h = 1.0 / (self.m + 1) as f64;
        for j in 0..=self.m {
            for i in 0..=self.m {
                for nodes in
                    [[[i, j], [i + 1, j], [i + 1, j + 1]], [[i, j], [i + 1, j + 1], [i, j + 1]]]
                {
                    f(Triangle::new(nodes.map(|node| node.map(|k| k as f64 * h))), nodes);
                }
            }
        }
    }

    /// ∇u on a triangle.
    fn slope(
        &self,
        gradients: &[[f64; 2]; 3],
        nodes: [[usize; 2]; 3],
        u: &[f64],
        part: f64,
    ) -> [f64; 2] {
        let mut slope = [0.0; 2];
        for (gradient, node) in gradients.iter().zip(nodes) {
            let height = self.at(u, node, part);
            slope[0] += height * gradient[0];
            slope[1] += height * gradient[1];
        }
        slope
    }

    /// The area of the surface.
    fn area(&self, u: &[f64], part: f64) -> f64 {
        let mut area = 0.0;
        self.triangles(|triangle, nodes| {
            let [x, y] = self.slope(&triangle.gradients(), nodes, u, part);
            area += triangle.area * (1.0 + x * x + y * y).sqrt();
        });
        area
    }

    /// J(u) and −F(u), row by row, each entry added up in the order of the triangles.
    fn linearised(&self, u: &[f64], part: f64) -> Linearised {
        let m = self.m;
        let unknown = |[i, j]: [usize; 2]| {
            let inner = (1..=m).contains(&i) && (1..=m).contains(&j);
            inner.then(|| (j - 1) * m + i - 1)
        };
        // The neighbours of a node, in the order of their numbers.
        const NEAR: [[i64; 2]; 7] = [[-1, -1], [0, -1], [-1, 0], [0, 0], [1, 0], [0, 1], [1, 1]];
        let mut of_rows = vec![[0.0; NEAR.len()]; m * m];
        let mut rhs = vec![0.0; m * m];
        self.triangles(|triangle, nodes| {
            let gradients = triangle.gradients();
            let slope = self.slope(&gradients, nodes, u, part);
            let steep = (1.0 + slope[0] * slope[0] + slope[1] * slope[1]).sqrt();
            let along = gradients.map(|g| g[0] * slope[0] + g[1] * slope[1]);
            for (a, node) in nodes.into_iter().enumerate() {
                let Some(row) = unknown(node) else { continue };
                rhs[row] -= triangle.area * along[a] / steep;
                for (b, other) in nodes.into_iter().enumerate() {
                    let way = [0, 1].map(|d| other[d] as i64 - node[d] as i64);
                    let Some(place) = NEAR.iter().position(|near| *near == way) else { continue };
                    let (g, k) = (gradients[a], gradients[b]);
                    of_rows[row][place] += triangle.area
                        * ((g[0] * k[0] + g[1] * k[1]) / steep
                            - along[a] * along[b] / steep.powi(3));
                }
            }
        });
        let mut all = Linearised { row_ptr: vec![0], cols: Vec::new(), values: Vec::new(), rhs };
        for (row, entries) in of_rows.iter().enumerate() {
            let node = [row % m + 1, row / m + 1];
            for (way, value) in NEAR.iter().zip(entries) {
                let other = [0, 1].map(|d| node[d].wrapping_add_signed(way[d] as isize));
                if let Some(column) = unknown(other) {
                    all.cols.push(column as u32);
                    all.values.push(*value);
                }
            }
            all.row_ptr.push(all.cols.len() as u32);
        }
        all
    }

    /// A step of Newton's method, halved until the area is less.
    fn step(&self, u: &[f64], part: f64) -> Result<Vec<f64>> {
        let Linearised { row_ptr, cols, values, rhs } = self.linearised(u, part);
        let a = DistCsr::solo(Csr::new(u.len(), row_ptr, cols, values)?)?;
        let m = Diagonal((0..u.len()).map(|i| 1.0 / a.diagonal(i)).collect());
        let stop = Stop {
            criterion: Criterion::RelativeResidual,
            tolerance: TOLERANCE,
            max_iterations: 20 * (self.m + 10),
            divergence: f64::INFINITY,
        };
        let mut d = vec![0.0; u.len()];
        solve(&Algorithm::Cg, &a, &m, &rhs, &mut d, &stop, &mut |_| ControlFlow::Continue(()))?;
        let before = self.area(u, part);
        let mut scale = 1.0;
        for _ in 0..HALVINGS {
            let next: Vec<f64> = u.iter().zip(&d).map(|(u, d)| u + scale * d).collect();
            if self.area(&next, part) <= before {
                return Ok(next);
            }
            scale *= 0.5;
        }
        // It is as small as rounding allows.
        Ok(u.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_jacobian_is_the_derivative_of_the_residual_which_newton_makes_vanish() {
        let surface = Surface { m: 5, height: 0.7, phases: [0.3, -0.4] };
        let u: Vec<f64> = (0..25).map(|k| (k as f64).sin()).collect();
        let at = |u: &[f64]| surface.linearised(u, 1.0);
        let of = at(&u);
        let eps = 1e-6;
        for column in 0..25 {
            let moved = |by: f64| {
                let mut u = u.clone();
                u[column] += by;
                at(&u).rhs
            };
            let (up, down) = (moved(eps), moved(-eps));
            for row in 0..25 {
                let difference = (down[row] - up[row]) / (2.0 * eps);
                let entries = of.row_ptr[row] as usize..of.row_ptr[row + 1] as usize;
                let entry = entries.clone().find(|&k| of.cols[k] as usize == column);
                let value = entry.map_or(0.0, |k| of.values[k]);
                assert!((difference - value).abs() < 1e-8, "{row} {column}: {difference} {value}");
            }
        }
        // It vanishes quadratically in the end.
        let norm = |u: &[f64]| at(u).rhs.iter().map(|f| f * f).sum::<f64>().sqrt();
        let (mut u, mut norms) = (vec![0.0; 25], Vec::new());
        for _ in 0..10 {
            norms.push(norm(&u));
            u = surface.step(&u, 1.0).expect("a step");
        }
        assert!(norms[9] < 1e-12 * norms[0], "{norms:?}");
        let fast = norms.windows(2).filter(|w| w[0] < 1e-2 * norms[0] && w[0] > 1e-7 * norms[0]);
        assert!(fast.clone().count() > 0 && fast.clone().all(|w| w[1] < 1e-2 * w[0]), "{norms:?}");
    }
}
