//! Model problems: the systems that experiments run on.
//!
//! A [`Problem`] is what the section `[problem]` of a config says, and makes any number of systems
//! by their index. [`Families`] make training systems out of the same sections. The two never
//! meet: what a system is made for is part of its random stream (see [`crate::kernel::random`]).
pub mod coefficient;
pub mod mesh;
pub mod p1;
pub mod poisson;

pub use coefficient::Coefficient;
pub use poisson::{Poisson, Rhs};

use crate::comm::Comm;
use crate::kernel::random::Purpose;
use crate::registry::parameters;
use crate::system::System;
use crate::train::Samples;
use crate::{Error, Result, schema};
use serde_json::Value;

/// A model problem: `kind` and the parameters of that kind.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Problem {
    /// `poisson`.
    Poisson(Poisson),
}

impl Problem {
    /// What `kind` may be.
    pub const KINDS: &[&str] = &["poisson"];

    /// JSON schema of the parameters of `kind` (without `kind` itself).
    ///
    /// # Errors
    /// [`Error::Parameter`] for a kind that is not there.
    pub fn schema(kind: &str) -> Result<Value> {
        match kind {
            "poisson" => Ok(schema::of::<Poisson>()),
            _ => Err(no_such_kind(kind)),
        }
    }

    /// From an object that holds `kind` and the parameters of that kind.
    ///
    /// # Errors
    /// [`Error::Parameter`] naming the key.
    pub fn from_json(doc: &Value) -> Result<Self> {
        let fail = |why: &str| Error::Parameter(format!("a problem {why}"));
        let mut rest = doc.as_object().ok_or_else(|| fail("is a table of parameters"))?.clone();
        let kind = rest.remove("kind").ok_or_else(|| fail("needs the key 'kind'"))?;
        let kind = kind.as_str().ok_or_else(|| fail("has a text as its 'kind'"))?;
        match kind {
            "poisson" => {
                let poisson: Poisson = parameters(&Value::Object(rest))?;
                poisson.m()?;
                Ok(Problem::Poisson(poisson))
            }
            _ => Err(no_such_kind(kind)),
        }
    }

    /// The object that [`from_json`](Problem::from_json) reads, with all defaults spelt out.
    pub fn to_json(&self) -> Value {
        let (kind, fields) = match self {
            Problem::Poisson(poisson) => ("poisson", serde_json::to_value(poisson)),
        };
        let mut doc = fields.unwrap_or_default();
        doc["kind"] = kind.into();
        doc
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
        match self {
            Problem::Poisson(poisson) => poisson.make(&comm, Purpose::Test, index),
        }
    }
}

fn no_such_kind(kind: &str) -> Error {
    let hint = schema::nearest(kind, Problem::KINDS)
        .map_or(String::new(), |near| format!("; did you mean '{near}'?"));
    Error::Parameter(format!(
        "no problem of kind '{kind}'{hint} (there are: {})",
        Problem::KINDS.join(", ")
    ))
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
        match problem {
            Problem::Poisson(poisson) => {
                let seeded = Poisson { seed, ..poisson.clone() };
                Ok(seeded.make(&Comm::solo(), Purpose::Training, index)?.0)
            }
        }
    }
    fn describe(&self) -> String {
        Value::Array(self.0.iter().map(Problem::to_json).collect()).to_string()
    }
}
