//! Model problems: the systems that experiments run on.
//!
//! A [`Problem`] is what the section `[problem]` of a config says, and makes any number of systems
//! by their index. [`Families`] make training systems out of the same sections. The two never
//! meet: what a system is made for is part of its random stream (see [`crate::kernel::random`]).
pub mod circuit;
pub mod coefficient;
pub mod convection;
pub mod cube;
pub mod delaunay;
pub mod diffusion;
pub mod elasticity;
mod family;
pub mod field;
pub mod graph;
pub mod grid;
pub mod heat;
pub mod helmholtz;
pub mod l_shape;
pub mod mesh;
pub mod minimal_surface;
pub mod p1;
pub mod poisson;
mod simplices;
pub mod tetrahedra;

pub use circuit::Circuit;
pub use coefficient::Coefficient;
pub use convection::Convection;
pub use cube::Cube;
pub use diffusion::{Diffusion, MeshKind};
pub use elasticity::Elasticity;
pub use family::{
    Assembly, DynFamily, Family, Kinds, NativeFamily, OfFamily, RESERVED, Rows, Shipped,
    taken_name, with_seed,
};
pub use field::Field;
pub use graph::Graph;
pub use grid::Grid;
pub use heat::Heat;
pub use helmholtz::Helmholtz;
pub use l_shape::LShape;
pub use minimal_surface::MinimalSurface;
pub use poisson::{Poisson, Rhs};
pub use tetrahedra::Tetrahedra;

use crate::comm::Comm;
use crate::kernel::random::{Purpose, Stream};
use crate::matrix::{DistCsr, Space};
use crate::registry::parameters;
use crate::system::System;
use crate::train::Samples;
use crate::{Error, Result, schema};
use serde_json::Value;
use std::ops::Range;
use std::sync::Arc;

/// The kinds of problems: their variants, their names, and what each does alike.
macro_rules! kinds {
    ($($kind:ident $name:literal)+) => {
        /// A model problem: `kind` and the parameters of that kind.
        #[derive(Clone, Debug, PartialEq)]
        #[non_exhaustive]
        pub enum Problem {
            $(#[doc = concat!("`", $name, "`.")] $kind($kind),)+
            /// Of a family that a plugin or a program brings along.
            OfFamily(OfFamily),
        }

        impl Problem {
            /// The kinds that are shipped.
            pub const KINDS: &[&str] = &[$($name),+];

            /// JSON schema of the parameters of a shipped `kind` (without `kind` itself).
            ///
            /// # Errors
            /// [`Error::Parameter`] for a kind that is not there.
            pub fn schema(kind: &str) -> Result<Value> {
                Self::schema_among(kind, &Shipped)
            }

            /// As [`schema`](Problem::schema), of one of the shipped kinds or of `kinds`.
            ///
            /// # Errors
            /// As [`schema`](Problem::schema).
            pub fn schema_among(kind: &str, kinds: &dyn Kinds) -> Result<Value> {
                match kind {
                    $($name => Ok(schema::of::<$kind>().as_ref().clone()),)+
                    _ => match kinds.family(kind) {
                        Some(family) => Ok(with_seed(&family.schema())),
                        None => Err(no_such_kind(kind, kinds)),
                    },
                }
            }

            fn from_parameters(kind: &str, parameters_of: &Value, kinds: &dyn Kinds) -> Result<Self> {
                match kind {
                    $($name => {
                        let problem: $kind = parameters(parameters_of)?;
                        problem.m()?;
                        Ok(Problem::$kind(problem))
                    })+
                    _ => match kinds.family(kind) {
                        Some(family) => Ok(Problem::OfFamily(OfFamily::new(family, parameters_of)?)),
                        None => Err(no_such_kind(kind, kinds)),
                    },
                }
            }

            /// The object that [`from_json`](Problem::from_json) reads, with all defaults spelt out.
            pub fn to_json(&self) -> Value {
                let (kind, fields) = match self {
                    $(Problem::$kind(problem) => ($name, serde_json::to_value(problem)),)+
                    Problem::OfFamily(problem) => return problem.to_json(),
                };
                let mut doc = fields.unwrap_or_default();
                doc["kind"] = kind.into();
                doc
            }

            fn make(&self, comm: &Comm, purpose: Purpose, index: u64) -> Result<(System, Vec<f64>)> {
                match self {
                    $(Problem::$kind(problem) => problem.make(comm, purpose, index),)+
                    Problem::OfFamily(problem) => problem.make(comm, purpose, index),
                }
            }

            /// The same problem with other random numbers.
            fn seeded(&self, seed: u64) -> Self {
                match self.clone() {
                    $(Problem::$kind(problem) => Problem::$kind($kind { seed, ..problem }),)+
                    Problem::OfFamily(problem) => Problem::OfFamily(problem.seeded(seed)),
                }
            }
        }
    };
}

kinds! {
    Poisson "poisson"
    Diffusion "diffusion"
    LShape "l-shape"
    Convection "convection"
    Cube "cube"
    Tetrahedra "tetrahedra"
    Elasticity "elasticity"
    Graph "graph"
    Circuit "circuit"
    Helmholtz "helmholtz"
    Heat "heat"
    MinimalSurface "minimal-surface"
    Grid "grid"
}

impl Problem {
    /// From an object that holds `kind`, one of those that are shipped, and the parameters of that kind.
    ///
    /// # Errors
    /// [`Error::Parameter`] naming the key.
    pub fn from_json(doc: &Value) -> Result<Self> {
        Self::among(doc, &Shipped)
    }

    /// As [`from_json`](Problem::from_json), of one of the shipped kinds or of `kinds`.
    ///
    /// # Errors
    /// As [`from_json`](Problem::from_json).
    pub fn among(doc: &Value, kinds: &dyn Kinds) -> Result<Self> {
        let fail = |why: &str| Error::Parameter(format!("a problem {why}"));
        let mut rest = doc.as_object().ok_or_else(|| fail("is a table of parameters"))?.clone();
        let kind = rest.remove("kind").ok_or_else(|| fail("needs the key 'kind'"))?;
        let kind = kind.as_str().ok_or_else(|| fail("has a text as its 'kind'"))?;
        Self::from_parameters(kind, &Value::Object(rest), kinds)
    }

    /// The problem of this kind with nothing given, as [`to_json`](Problem::to_json).
    pub fn plain(&self) -> Value {
        let nothing = Value::Object(serde_json::Map::new());
        let plain = match self {
            Problem::OfFamily(of) => {
                OfFamily::new(Arc::clone(of.family()), &nothing).map(Problem::OfFamily)
            }
            shipped => {
                Problem::from_json(&serde_json::json!({ "kind": shipped.to_json()["kind"] }))
            }
        };
        plain.map(|plain| plain.to_json()).unwrap_or_default()
    }

    /// The first system, and its right-hand side. Collective.
    ///
    /// # Errors
    /// As [`generate_nth`](Problem::generate_nth).
    pub fn generate(&self, comm: Comm) -> Result<(System, Vec<f64>)> {
        self.generate_nth(comm, 0)
    }

    /// System `index` of the problem, and its right-hand side on the rows that this rank owns.
    /// Rows are spread evenly over the ranks; the numbers do not depend on how many there are.
    /// Collective.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a parameter out of its range; what the communicator reports.
    pub fn generate_nth(&self, comm: Comm, index: u64) -> Result<(System, Vec<f64>)> {
        self.make(&comm, Purpose::Test, index)
    }

    /// As [`generate_nth`](Problem::generate_nth), a system to practise on: none that is made to be solved is ever the
    /// same, unless nothing in the problem is random. `seed` takes the place of the problem's own. Collective.
    ///
    /// # Errors
    /// As [`generate_nth`](Problem::generate_nth).
    pub fn practice(&self, comm: Comm, seed: u64, index: u64) -> Result<(System, Vec<f64>)> {
        self.seeded(seed).make(&comm, Purpose::Training, index)
    }
}

/// Refuses a parameter that is not `good`.
fn check(name: &str, value: f64, good: bool, range: &str) -> Result<()> {
    match good {
        true => Ok(()),
        false => Err(Error::Parameter(format!("'{name}': {value} is not {range}"))),
    }
}

impl Rhs {
    /// The right-hand side on these rows, `load` being that of f = 1.
    fn of_rows(self, rows: Range<u64>, stream: Stream, load: impl Fn(u64) -> f64) -> Vec<f64> {
        match self {
            Rhs::Ones => rows.map(|_| 1.0).collect(),
            Rhs::Load => rows.map(load).collect(),
            Rhs::Random => rows.map(|row| stream.normal(row)).collect(),
        }
    }
}

/// A place whose coordinates are 0 or more.
struct Place<const D: usize>([f64; D]);

impl<const D: usize> Place<D> {
    /// A number for the block of width 1/`blocks` that the place is in.
    fn block(&self, blocks: f64) -> u64 {
        self.0.iter().rev().fold(0, |block, x| (block << 16) + (x * blocks) as u64)
    }
}

/// The matrix out of the rows that this rank owns, each given as its columns, in increasing order, and entries. Collective.
fn of_rows<R: IntoIterator<Item = (u64, f64)>>(
    space: &Arc<Space>,
    row: impl Fn(u64) -> R,
) -> Result<DistCsr> {
    let (mut row_ptr, mut cols, mut values) = (vec![0u32], Vec::new(), Vec::new());
    for number in space.start()..space.start() + space.n_own() as u64 {
        for (col, value) in row(number) {
            cols.push(col);
            values.push(value);
        }
        row_ptr.push(cols.len() as u32);
    }
    DistCsr::from_rows(space, &row_ptr, &cols, &values)
}

/// Inner nodes a side, out of `level` or `nodes`.
///
/// # Errors
/// [`Error::Parameter`] where both are given, or one is out of its range.
fn side(level: Option<u32>, nodes: Option<usize>, default_level: u32) -> Result<usize> {
    let out = |name: &str, why: String| Err(Error::Parameter(format!("'{name}': {why}")));
    match (level, nodes) {
        (Some(_), Some(_)) => out("nodes", "give either 'level' or 'nodes', not both".into()),
        (_, Some(m @ 1..=16383)) => Ok(m),
        (_, Some(m)) => out("nodes", format!("{m} is not within 1..16383")),
        (level, None) => match level.unwrap_or(default_level) {
            l @ 1..=14 => Ok((1 << l) - 1),
            l => out("level", format!("{l} is not within 1..14")),
        },
    }
}

fn no_such_kind(kind: &str, further: &dyn Kinds) -> Error {
    let further = further.names();
    let there: Vec<&str> =
        Problem::KINDS.iter().copied().chain(further.iter().map(String::as_str)).collect();
    let hint = schema::nearest(kind, &there)
        .map_or(String::new(), |near| format!("; did you mean '{near}'?"));
    Error::Parameter(format!("no problem of kind '{kind}'{hint} (there are: {})", there.join(", ")))
}

/// Training systems: one family for each problem. The seeds of the problems play no part; that of
/// the training run does.
#[derive(Clone, Debug, PartialEq)]
pub struct Families(Vec<Problem>);

impl Families {
    /// One family for each problem.
    ///
    /// # Errors
    /// [`Error::Parameter`] where there is none.
    pub fn new(problems: Vec<Problem>) -> Result<Self> {
        match problems.is_empty() {
            true => Err(Error::Parameter("training needs at least one problem".into())),
            false => Ok(Families(problems)),
        }
    }
}

impl Samples for Families {
    fn families(&self) -> usize {
        self.0.len()
    }
    fn sample(&self, family: usize, seed: u64, index: u64) -> Result<System> {
        let problem = self.0.get(family).ok_or_else(|| {
            Error::Parameter(format!("family {family} of {} training problems", self.0.len()))
        })?;
        Ok(problem.seeded(seed).make(&Comm::solo(), Purpose::Training, index)?.0)
    }
    fn describe(&self) -> String {
        Value::Array(self.0.iter().map(Problem::to_json).collect()).to_string()
    }
}
