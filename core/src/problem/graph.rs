//! The Laplacian of a random geometric graph: points in the unit square, joined where they are near.
//!
//! Two of n random points are joined within a distance that gives a point eight neighbours in the mean, with
//! weights e^(σN), N normal; the largest connected part is kept. A = D − W + shift · mean(D), with D the sums
//! of the weights: somewhat fewer than n unknowns, in random order.
//!
//! Reference: M. Penrose, *Random Geometric Graphs*, Oxford 2003.
use super::{Rhs, check, of_rows};
use crate::comm::Comm;
use crate::kernel::random::{Purpose, Stream};
use crate::matrix::Space;
use crate::system::System;
use crate::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a graph's Laplacian is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Graph {
    /// Points.
    #[schemars(range(min = 2, max = 20_000_000))]
    pub nodes: usize,
    /// Standard deviation σ of the logarithms of the weights.
    #[schemars(range(min = 0.0, max = 10.0))]
    pub deviation: f64,
    /// What is added to the diagonal, in parts of its mean.
    #[schemars(extend("exclusiveMinimum" = 0.0, "maximum" = 1.0))]
    pub shift: f64,
    /// Seed of everything random.
    pub seed: u64,
    /// Right-hand side; the load is that of ones.
    pub rhs: Rhs,
}

impl Default for Graph {
    fn default() -> Self {
        Graph { nodes: 400, deviation: 1.0, shift: 1e-5, seed: 0, rhs: Rhs::Ones }
    }
}

/// Neighbours of a point in the mean.
const DEGREE: f64 = 8.0;

impl Graph {
    /// Points, after checking all parameters.
    ///
    /// # Errors
    /// [`Error::Parameter`] naming the parameter that is out of its range.
    pub fn m(&self) -> Result<usize> {
        let [d, s] = [self.deviation, self.shift];
        check("deviation", d, (0.0..=10.0).contains(&d), "within 0..10")?;
        check("shift", s, s > 0.0 && s <= 1.0, "greater than 0 and at most 1")?;
        match self.nodes {
            n @ 2..=20_000_000 => Ok(n),
            n => Err(Error::Parameter(format!("'nodes': {n} is not within 2..20000000"))),
        }
    }

    /// The matrix with auxiliary data `coordinates`, and the right-hand side, of system `index` for
    /// `purpose`. Collective.
    ///
    /// # Errors
    /// As [`m`](Graph::m); what the communicator reports.
    pub fn make(&self, comm: &Comm, purpose: Purpose, index: u64) -> Result<(System, Vec<f64>)> {
        let n = self.m()?;
        let stream = |tag| Stream::new(purpose, self.seed, index, &[n as u64, tag]);
        let points = stream(0);
        let unit = |p: usize, d: u64| 0.5 * (points.signed(p as u64, d) + 1.0);
        let places: Vec<[f64; 2]> = (0..n).map(|p| [unit(p, 0), unit(p, 1)]).collect();
        let near = Near::new(&places, (DEGREE / (std::f64::consts::PI * n as f64)).sqrt());
        let (weights, sigma) = (stream(2), self.deviation);
        let weight = |p: usize, q: usize| {
            let place = p.min(q) as u64 * n as u64 + p.max(q) as u64;
            (sigma * weights.normal(place)).exp()
        };
        let kept = largest_part(&near);
        let mut number = vec![u64::MAX; n];
        kept.iter().enumerate().for_each(|(k, &p)| number[p] = k as u64);
        let degree = |p: usize| near.of(p).map(|q| weight(p, q)).sum::<f64>();
        // The shift is the same on all ranks: each adds up all rows.
        let mean = kept.iter().map(|&p| degree(p)).sum::<f64>() / kept.len() as f64;
        let space = Space::even(comm.clone(), kept.len() as u64);
        let own = space.start()..space.start() + space.n_own() as u64;
        let row = |k: u64| {
            let p = kept[k as usize];
            let mut row = vec![(k, degree(p) + self.shift * mean)];
            row.extend(near.of(p).map(|q| (number[q], -weight(p, q))));
            row.sort_by_key(|&(col, _)| col);
            row
        };
        comm.scope(|| {
            let a = of_rows(&space, row)?;
            let rhs = self.rhs.of_rows(own.clone(), stream(1), |_| 1.0);
            let places = own.clone().flat_map(|k| places[kept[k as usize]]).collect();
            Ok((System::new(a).with_aux("coordinates", 2, places)?, rhs))
        })
    }
}

/// Who is within a distance of whom: points sorted into squares as wide as the distance.
struct Near<'a> {
    places: &'a [[f64; 2]],
    distance: f64,
    side: usize,
    first: Vec<u32>,
    points: Vec<u32>,
}

impl<'a> Near<'a> {
    fn new(places: &'a [[f64; 2]], distance: f64) -> Self {
        let side = ((1.0 / distance) as usize).max(1);
        let square = |p: &[f64; 2]| {
            let [i, j] = p.map(|x| ((x * side as f64) as usize).min(side - 1));
            j * side + i
        };
        let mut first = vec![0u32; side * side + 2];
        places.iter().for_each(|p| first[square(p) + 2] += 1);
        for s in 2..first.len() {
            first[s] += first[s - 1];
        }
        let mut points = vec![0; places.len()];
        for (k, p) in places.iter().enumerate() {
            let at = &mut first[square(p) + 1];
            points[*at as usize] = k as u32;
            *at += 1;
        }
        first.truncate(side * side + 1);
        Near { places, distance, side, first, points }
    }

    /// The points near point `p`, in a fixed order.
    fn of(&self, p: usize) -> impl Iterator<Item = usize> + '_ {
        let [x, y] = self.places[p];
        let [i, j] = [x, y].map(|x| ((x * self.side as f64) as usize).min(self.side - 1));
        let around = move |k: usize| k.saturating_sub(1)..=(k + 1).min(self.side - 1);
        let squares = around(j).flat_map(move |j| around(i).map(move |i| j * self.side + i));
        let in_square = |s: usize| self.first[s] as usize..self.first[s + 1] as usize;
        squares.flat_map(move |s| self.points[in_square(s)].iter().map(|&q| q as usize)).filter(
            move |&q| {
                let [u, v] = self.places[q];
                let square = (u - x) * (u - x) + (v - y) * (v - y);
                q != p && square <= self.distance * self.distance
            },
        )
    }
}

/// The points of the largest connected part, in increasing order.
fn largest_part(near: &Near<'_>) -> Vec<usize> {
    let n = near.places.len();
    let mut met = vec![false; n];
    let mut largest = Vec::new();
    for first in 0..n {
        if std::mem::replace(&mut met[first], true) {
            continue;
        }
        let (mut part, mut next) = (vec![first], 0);
        while let Some(&p) = part.get(next) {
            next += 1;
            for q in near.of(p) {
                if !std::mem::replace(&mut met[q], true) {
                    part.push(q);
                }
            }
        }
        if part.len() > largest.len() {
            largest = part;
        }
    }
    largest.sort_unstable();
    largest
}
