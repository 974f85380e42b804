//! A linear system that a configuration asks for, made.
use super::given::Whole;
use precondor_core::config::SolverConfig;
use precondor_core::matrix::{DistCsr, NullSpaces};
use precondor_core::system::System;
use precondor_core::{Error, Result};
use std::borrow::Cow;

/// A linear system to solve: A x = b from x0.
#[derive(Clone)]
pub struct Task {
    /// A, with the services of the host.
    pub system: System,
    /// Entries of A.
    pub nnz: u64,
    /// Right-hand side.
    pub b: Vec<f64>,
    /// Further right-hand sides, and the whole systems that they are of.
    pub more: Vec<(Vec<f64>, Option<Whole>)>,
    /// Initial guess.
    pub x0: Vec<f64>,
    /// What the preconditioner is made from, where that is another matrix than A.
    pub other: Option<System>,
    /// How the null spaces that A has became known.
    pub null: Option<Known>,
    /// The system that this one was made from by taking unknowns out.
    pub whole: Option<Whole>,
    /// What is to be known of the files that it was read from, the same on all ranks.
    pub files: Vec<String>,
}

/// How a null space became known.
#[derive(Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Known {
    /// The configuration has it.
    Given,
    /// Rows of the matrix add up to zero.
    Found,
}

impl Task {
    /// A system of which nothing else is known, to solve from zero.
    pub fn new(system: System, nnz: u64, b: Vec<f64>) -> Task {
        let x0 = vec![0.0; b.len()];
        Task {
            system,
            nnz,
            b,
            more: Vec::new(),
            x0,
            other: None,
            null: None,
            whole: None,
            files: Vec::new(),
        }
    }

    /// A system for `a` alone, on one rank: nothing is known of it.
    pub fn of(a: DistCsr, b: Vec<f64>) -> Task {
        let nnz = a.nnz_own() as u64;
        Task::new(System::new(a), nnz, b)
    }

    /// The same with what `solver` calls symmetric.
    pub fn under(&self, solver: &SolverConfig) -> Cow<'_, Task> {
        let Some(tolerance) = solver.symmetry_tolerance else { return Cow::Borrowed(self) };
        let with = |system: &System| system.clone().with_symmetry_tolerance(tolerance);
        let (system, other) = (with(&self.system), self.other.as_ref().map(with));
        Cow::Owned(Task { system, other, ..self.clone() })
    }

    /// What the preconditioner is made from.
    pub fn preconditioned(&self) -> &System {
        self.other.as_ref().unwrap_or(&self.system)
    }

    /// The same system with each of its right-hand sides.
    pub fn columns(&self) -> Vec<Task> {
        let one = |(b, whole): &(Vec<f64>, Option<Whole>)| Task {
            b: b.clone(),
            whole: whole.clone(),
            more: Vec::new(),
            ..self.clone()
        };
        let first = Task { more: Vec::new(), ..self.clone() };
        std::iter::once(first).chain(self.more.iter().map(one)).collect()
    }

    /// Refuses several right-hand sides.
    ///
    /// # Errors
    /// [`Error::Data`] that says how many there are.
    pub fn single(self) -> Result<Task> {
        match self.more.len() {
            0 => Ok(self),
            more => Err(Error::Data(format!(
                "there are {} right-hand sides; `precondor solve` takes several, all else one",
                more + 1
            ))),
        }
    }

    /// What to say of the files and the matrices.
    pub fn notes(&self) -> Vec<String> {
        let of = |a: &DistCsr| a.null_spaces().map(NullSpaces::name);
        let singular = of(self.system.a()).map(|name| match self.null {
            Some(Known::Given) => format!("A is singular: its null space is {name}, as given"),
            _ => format!(
                "A is singular: its null space is {name}, as rows that add up to zero show; \
                 null_space = \"none\" in [problem] takes no notice"
            ),
        });
        let other = self.other.as_ref().and_then(|other| of(other.a()));
        let other = other.map(|name| {
            format!("the preconditioner's matrix is singular: its null space is {name}")
        });
        self.files.iter().cloned().chain(singular).chain(other).collect()
    }
}
