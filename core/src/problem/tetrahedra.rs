//! Diffusion on a box of tetrahedra: −∇·(c ∇u) = f on [0, 1]² × [0, 1/stretch], u = 0 on its boundary.
//!
//! Linear finite elements on Kuhn's division of a grid into tetrahedra, six a cube, whose inner nodes are
//! shifted; c is constant, or takes a value of its own in each of 4³ blocks. m³ unknowns, up to 15 entries a
//! row.
//!
//! Reference: H. Kuhn, *Some combinatorial lemmas in topology*, IBM J. Res. Dev. 4 (1960) (the division).
use super::simplices::{Simplices, kuhn};
use super::{Place, Rhs, check};
use crate::comm::Comm;
use crate::kernel::random::{Purpose, Stream};
use crate::system::System;
use crate::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a problem on tetrahedra is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Tetrahedra {
    /// Inner nodes a side.
    #[schemars(range(min = 1, max = 400))]
    pub nodes: usize,
    /// How far, in grid steps, each inner node is moved at most in each direction.
    #[schemars(extend("minimum" = 0.0, "exclusiveMaximum" = 0.5))]
    pub shift: f64,
    /// c takes values from 10^−decades to 10^decades in 4³ blocks; 0 for c = 1.
    #[schemars(range(min = 0.0, max = 8.0))]
    pub decades: f64,
    /// How many times thinner the box is in z than in x and y.
    #[schemars(extend("minimum" = 1.0, "maximum" = 1e4))]
    pub stretch: f64,
    /// Seed of everything random.
    pub seed: u64,
    /// Right-hand side.
    pub rhs: Rhs,
}

impl Default for Tetrahedra {
    fn default() -> Self {
        Tetrahedra { nodes: 6, shift: 0.25, decades: 0.0, stretch: 1.0, seed: 0, rhs: Rhs::Ones }
    }
}

/// Blocks of a coefficient a side.
const BLOCKS: f64 = 4.0;

impl Tetrahedra {
    /// Inner nodes a side, after checking all parameters.
    ///
    /// # Errors
    /// [`Error::Parameter`] naming the parameter that is out of its range.
    pub fn m(&self) -> Result<usize> {
        check("shift", self.shift, (0.0..0.5).contains(&self.shift), "at least 0, less than 0.5")?;
        check("decades", self.decades, (0.0..=8.0).contains(&self.decades), "within 0..8")?;
        check("stretch", self.stretch, (1.0..=1e4).contains(&self.stretch), "within 1..10000")?;
        match self.nodes {
            m @ 1..=400 => Ok(m),
            m => Err(Error::Parameter(format!("'nodes': {m} is not within 1..400"))),
        }
    }

    /// The matrix with auxiliary data `coordinates` (3 numbers a row), and the right-hand side, of system
    /// `index` for `purpose`. Collective.
    ///
    /// # Errors
    /// As [`m`](Tetrahedra::m); what the communicator reports.
    pub fn make(&self, comm: &Comm, purpose: Purpose, index: u64) -> Result<(System, Vec<f64>)> {
        let m = self.m()?;
        let stream = |tag| Stream::new(purpose, self.seed, index, &[m as u64, tag]);
        let thin = 1.0 / self.stretch;
        comm.scope(|| {
            let (places, cells) = kuhn([m; 3], [1.0, 1.0, thin], self.shift, stream(0));
            let inner = |node: usize| {
                let at = [node % (m + 2), node / (m + 2) % (m + 2), node / ((m + 2) * (m + 2))];
                at.iter().all(|i| (1..=m).contains(i))
            };
            let mesh = Simplices::new(places, cells, |node| !inner(node));
            let values = stream(2);
            let a = mesh.diffusion(comm, |cell| {
                let [x, y, z] = cell.centroid;
                let block = Place([x, y, z / thin]).block(BLOCKS);
                10f64.powf(self.decades * values.signed(block, 0))
            })?;
            let own = mesh.own(comm);
            let rhs = self.rhs.of_rows(own.clone(), stream(1), |k| mesh.volume(k) / 4.0);
            let places = own.flat_map(|k| mesh.place(k)).collect();
            Ok((System::new(a).with_aux("coordinates", 3, places)?, rhs))
        })
    }
}
