//! Perturbed Poisson problems: −∇·(c ∇u) = f on a unit square whose inner nodes are shifted.
//!
//! Linear finite elements on the mesh of [`Mesh`], zero boundary values, unknowns numbered row
//! after row: n = m² unknowns, 7 entries a row. With shift 0.25, right-hand side `ones` and the
//! stopping rule ‖x − x*‖₂ < 10⁻⁵ these are the systems of Table 1 of the paper that the neural
//! methods start from.
//!
//! Where the coefficient varies, the system carries it as auxiliary data `coefficient`: one number a row,
//! the mean of c over the triangles around the node.
//!
//! Cost: about 6 triangles of 30 flops a row and as many values of c; communication only for the halo of the matrix (and,
//! for shifts above 0.34, a few gathers of the nodes that are drawn again).
use super::coefficient::{Coefficient, Field};
use super::mesh::Mesh;
use super::p1;
use crate::comm::Comm;
use crate::kernel::random::{Purpose, Stream};
use crate::matrix::Space;
use crate::system::System;
use crate::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a perturbed Poisson problem is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Poisson {
    /// Level of refinement: 2^level − 1 inner nodes a side. 5 unless `nodes` is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 14))]
    pub level: Option<u32>,
    /// Inner nodes a side, in place of `level`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16383))]
    pub nodes: Option<usize>,
    /// Radius, in grid steps, of the disc that each inner node is shifted in.
    #[schemars(extend("minimum" = 0.0, "exclusiveMaximum" = 0.5))]
    pub shift: f64,
    /// Seed of the shifts and of a random right-hand side.
    pub seed: u64,
    /// Right-hand side.
    pub rhs: Rhs,
    /// Coefficient c.
    pub coefficient: Coefficient,
    /// Value of a coefficient with jumps where it is not 1.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub contrast: f64,
    /// Correlation length of a log-normal coefficient, in sides of the unit square.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub correlation: f64,
}

/// A right-hand side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Rhs {
    /// All entries are 1.
    Ones,
    /// The finite element load of f = 1.
    Load,
    /// Independent normal numbers with mean 0 and variance 1.
    Random,
}

impl Default for Poisson {
    fn default() -> Self {
        Poisson {
            level: None,
            nodes: None,
            shift: 0.25,
            seed: 0,
            rhs: Rhs::Ones,
            coefficient: Coefficient::Constant,
            contrast: 10.0,
            correlation: 0.3,
        }
    }
}

impl Poisson {
    /// The problem of level `level`, all else at its default.
    pub fn at_level(level: u32) -> Self {
        Poisson { level: Some(level), ..Poisson::default() }
    }

    /// Inner nodes a side, after checking all parameters.
    ///
    /// # Errors
    /// [`Error::Parameter`] naming the parameter that is out of its range.
    pub fn m(&self) -> Result<usize> {
        let out = |name: &str, why: String| Err(Error::Parameter(format!("'{name}': {why}")));
        if !(0.0..0.5).contains(&self.shift) {
            return out("shift", format!("{} is not at least 0 and less than 0.5", self.shift));
        }
        if !(self.contrast > 0.0 && self.contrast.is_finite()) {
            return out("contrast", format!("{} is not greater than 0", self.contrast));
        }
        if !(self.correlation > 0.0 && self.correlation.is_finite()) {
            return out("correlation", format!("{} is not greater than 0", self.correlation));
        }
        super::side(self.level, self.nodes, 5)
    }

    /// The matrix with auxiliary data `coordinates`, `grid-index` and, where it varies,
    /// `coefficient`, and the right-hand side, of system `index` for `purpose`. Collective.
    ///
    /// # Errors
    /// As [`m`](Poisson::m); what the communicator reports.
    pub fn make(&self, comm: &Comm, purpose: Purpose, index: u64) -> Result<(System, Vec<f64>)> {
        let m = self.m()?;
        let stream = |tag| Stream::new(purpose, self.seed, index, &[m as u64, tag]);
        let space = Space::even(comm.clone(), (m * m) as u64);
        let rows = space.start()..space.start() + space.n_own() as u64;
        comm.scope(|| {
            let mesh = Mesh::new(comm, m, self.shift, stream(0), rows.clone())?;
            let field = Field::new(self.coefficient, self.contrast, self.correlation, stream(2));
            let a = p1::assemble(&mesh, &space, |place| field.at(place))?;
            let rhs = match self.rhs {
                Rhs::Ones => vec![1.0; space.n_own()],
                Rhs::Load => p1::load(&mesh, |_| 1.0),
                Rhs::Random => rows.clone().map(|row| stream(1).normal(row)).collect(),
            };
            let nodes = || rows.clone().map(|row| mesh.node(row));
            let coordinates = nodes().flat_map(|node| mesh.place(node)).collect();
            let index = nodes().flat_map(|[i, j]| [(i - 1) as f64, (j - 1) as f64]).collect();
            let mut system = System::new(a).with_aux("coordinates", 2, coordinates)?;
            if self.coefficient != Coefficient::Constant {
                let means = p1::means(&mesh, |place| field.at(place));
                system = system.with_aux("coefficient", 1, means)?;
            }
            Ok((system.with_aux("grid-index", 2, index)?, rhs))
        })
    }
}
