//! The nodal equations of an electrical network of resistors, and of gyrators if asked.
//!
//! Nodes are joined to a tree of long branches, a third of as many loops close it between nodes near each other,
//! and one node in ten hangs on one of the `rails`. Conductances are 10^(decades · U), U even in ±½; one node in
//! twenty is earthed. A = D − G with D the sums of a node's conductances: an irreducible M-matrix, definite, with
//! few entries a row, whose couplings lie `decades` apart. A share `gyrators` of the nodes p feeds a current g v_p into
//! another node q, which feeds −g v_q into p, g at most the conductance of p's branch: the symmetric part of A is as
//! without. In units spread over `units` decades A is SAS, S = diag(10^(units · U)).
//!
//! References: C.-W. Ho, A. Ruehli, P. Brennan, *The modified nodal approach to network analysis*, IEEE Trans.
//! Circuits and Systems 22 (1975); what the network looks like follows the power networks `494_bus` and
//! `1138_bus` (I. Duff, R. Grimes, J. Lewis, *Users' Guide for the Harwell–Boeing Collection*, 1992).
use super::{Rhs, check, of_rows};
use crate::comm::Comm;
use crate::kernel::random::{Purpose, Stream};
use crate::matrix::Space;
use crate::system::System;
use crate::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a network is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Circuit {
    /// Nodes, without the earth.
    #[schemars(range(min = 2, max = 20_000_000))]
    pub nodes: usize,
    /// Decades that conductances lie apart.
    #[schemars(range(min = 0.0, max = 16.0))]
    pub decades: f64,
    /// Nodes that one node in ten is joined to: rows as long.
    #[schemars(range(min = 0, max = 1000))]
    pub rails: usize,
    /// Share of the nodes that a gyrator joins to another, with which A is not symmetric.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub gyrators: f64,
    /// Decades that the units of the unknowns lie apart.
    #[schemars(range(min = 0.0, max = 16.0))]
    pub units: f64,
    /// Seed of everything random.
    pub seed: u64,
    /// Right-hand side; the load is a current of one into every node.
    pub rhs: Rhs,
}

impl Default for Circuit {
    fn default() -> Self {
        let (nodes, decades) = (400, 3.0);
        Circuit { nodes, decades, rails: 2, gyrators: 0.0, units: 0.0, seed: 0, rhs: Rhs::Ones }
    }
}

/// How far apart, in the order in which they were laid, nodes of a branch or a loop are.
const REACH: f64 = 40.0;
/// Loops beside the branches of the tree, in parts of the nodes.
const LOOPS: f64 = 1.0 / 3.0;
/// Nodes that hang on a rail, and nodes that are earthed, in parts of all.
const RAILED: f64 = 0.1;
const EARTHED: f64 = 0.05;

/// What a random number is for.
#[derive(Clone, Copy)]
enum Draw {
    Branch,
    Looped,
    Loop,
    Railed,
    Rail,
    Earthed,
    Gyrated,
    Other,
    Gyration,
    Number,
    Unit,
    Conductance,
}

/// Entries of A by row and column.
type Rows = Vec<BTreeMap<u64, f64>>;

impl Circuit {
    /// Nodes, after checking all parameters.
    ///
    /// # Errors
    /// [`Error::Parameter`] naming the parameter that is out of its range.
    pub fn m(&self) -> Result<usize> {
        for (name, value) in [("decades", self.decades), ("units", self.units)] {
            check(name, value, (0.0..=16.0).contains(&value), "within 0..16")?;
        }
        check("gyrators", self.gyrators, (0.0..=1.0).contains(&self.gyrators), "within 0..1")?;
        if self.rails > 1000 {
            return Err(Error::Parameter(format!("'rails': {} is not within 0..1000", self.rails)));
        }
        match self.nodes {
            n @ 2..=20_000_000 => Ok(n),
            n => Err(Error::Parameter(format!("'nodes': {n} is not within 2..20000000"))),
        }
    }

    /// The matrix and the right-hand side of system `index` for `purpose`. Collective.
    ///
    /// # Errors
    /// As [`m`](Circuit::m); what the communicator reports.
    pub fn make(&self, comm: &Comm, purpose: Purpose, index: u64) -> Result<(System, Vec<f64>)> {
        let n = self.m()?;
        let stream = |tag| Stream::new(purpose, self.seed, index, &[n as u64, tag]);
        let space = Space::even(comm.clone(), n as u64);
        let own = space.start()..space.start() + space.n_own() as u64;
        let rows = self.rows(n, stream(0));
        comm.scope(|| {
            let a = of_rows(&space, |row| {
                rows[row as usize].iter().map(|(&col, &value)| (col, value))
            })?;
            Ok((System::new(a), self.rhs.of_rows(own.clone(), stream(1), |_| 1.0)))
        })
    }

    /// All rows, on each rank: what a node is joined to depends on all that were laid before.
    fn rows(&self, n: usize, stream: Stream) -> Rows {
        let even = |k: usize, what: Draw| 0.5 * (stream.signed(k as u64, what as u64) + 1.0);
        let decades = |k: usize, what: Draw, d: f64| {
            10f64.powf(0.5 * d * stream.signed(k as u64, what as u64))
        };
        // A node is known by when it was laid; what row that is says chance.
        let mut number: Vec<usize> = (0..n).collect();
        number.sort_by(|&p, &q| even(p, Draw::Number).total_cmp(&even(q, Draw::Number)));
        let unit: Vec<f64> = (0..n).map(|p| decades(p, Draw::Unit, self.units)).collect();
        let mut rows: Rows = vec![BTreeMap::new(); n];
        let mut add = |p: usize, q: usize, value: f64| {
            let (row, col) = (number[p], number[q] as u64);
            *rows[row].entry(col).or_insert(0.0) += value * (unit[p] * unit[q]);
        };
        let mut drawn = 0;
        let mut conductance = || {
            drawn += 1;
            decades(drawn, Draw::Conductance, self.decades)
        };
        let back = |p: usize, what: Draw, power: i32| {
            let far = REACH.min(p as f64) * even(p, what).powi(power);
            p - 1 - (far as usize).min(p - 1)
        };
        for p in 0..n {
            let mut join = |q: usize| -> f64 {
                let g = conductance();
                for (i, j, v) in [(p, p, g), (q, q, g), (p, q, -g), (q, p, -g)] {
                    add(i, j, v);
                }
                g
            };
            let mut branch = 0.0;
            if p > 0 {
                // Mostly on from the last node, now and then from one before it.
                branch = join(back(p, Draw::Branch, 4));
                if even(p, Draw::Looped) < LOOPS {
                    join(back(p, Draw::Loop, 1));
                }
                let rails = self.rails.min(p);
                if rails > 0 && even(p, Draw::Railed) < RAILED {
                    join((even(p, Draw::Rail) * rails as f64) as usize);
                }
            }
            if p == 0 || even(p, Draw::Earthed) < EARTHED {
                add(p, p, conductance());
            }
            if p > 0 && even(p, Draw::Gyrated) < self.gyrators {
                let (g, q) = (branch * even(p, Draw::Gyration), back(p, Draw::Other, 1));
                add(q, p, -g);
                add(p, q, g);
            }
        }
        rows
    }
}
