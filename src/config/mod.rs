//! Configurations: what their sections say, and carrying them out.
//!
//! | file | what |
//! |---|---|
//! | `experiment.rs` | `[problem]`: the systems that are asked for |
//! | `task.rs` | such a system, made |
//! | `beside.rs` | `[problem]`: what may come along with any system |
//! | `suite.rs` | `[problem] matrices`: many systems in files |
//! | `given.rs`, `known.rs`, `formats.rs` | systems in files, and what is told of them |
//! | `fallback.rs` | `[solver]`: how a solve goes on where its preconditioner fails |
//! | `backend.rs` | `[solver]`: whose iterations run |
//! | `keys.rs` | the keys that have no schema elsewhere |
//! | `spent.rs` | where the time of a solve goes |
//! | `exact.rs` | x*, for the stopping rule that measures the error |
//! | `limit.rs` | the time that a solve may take |
//! | `solve.rs` | setting up and solving as a configuration says |
#[doc(hidden)]
pub mod backend;
mod beside;
pub mod exact;
#[doc(hidden)]
pub mod experiment;
#[doc(hidden)]
pub mod fallback;
#[doc(hidden)]
pub mod formats;
#[doc(hidden)]
pub mod given;
#[doc(hidden)]
pub mod keys;
mod known;
#[doc(hidden)]
pub mod limit;
#[doc(hidden)]
pub mod solve;
mod spent;
#[doc(hidden)]
pub mod suite;
mod task;

use crate::Methods;
use precondor_core::config::{self, Node, SolverConfig, StopRule};
use precondor_core::solver::{Report, Watcher};
use precondor_core::{Error, Result};
pub use spent::Spent;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

/// A configuration as the program `precondor solve` reads it: the sections `[problem]`, `[solver]` and
/// `[preconditioner]`.
///
/// ```no_run
/// use precondor::{Config, Methods};
/// # fn main() -> precondor::Result<()> {
/// let config = Config::read("solve.toml")?.set("solver.tolerance=1e-10")?;
/// let solved = config.solve(&Methods::find()?)?;
/// println!("{:?} after {} iterations", solved.report.outcome, solved.report.iterations);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    root: Node,
}

/// What a configuration came to.
#[derive(Clone, Debug)]
pub struct Solved {
    /// x, on the rows that this rank owns; of the whole system where unknowns were taken out of it.
    pub x: Vec<f64>,
    /// How it went.
    pub report: Report,
    /// Time to set the preconditioner up.
    pub setup: Duration,
    /// Time to solve, and what of it went into products and applications.
    pub solve: Duration,
    /// See [`Spent`].
    pub spent: Spent,
    /// Numbers that M is made of, on this rank.
    pub stored_entries: usize,
    /// Bytes of M, on this rank.
    pub bytes: usize,
    /// What files, method and solver have to say.
    pub notes: Vec<String>,
}

impl Config {
    /// Reads a file. Paths in it are relative to its folder.
    ///
    /// # Errors
    /// [`Error::File`] where it cannot be read; [`Error::Parameter`] with the place where it is no TOML.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        config::read(path.as_ref()).map(|root| Config { root })
    }

    /// Parses a text. Paths in it are relative to the present folder.
    ///
    /// # Errors
    /// [`Error::Parameter`] with the place where it is no TOML.
    pub fn parse(text: &str) -> Result<Self> {
        config::parse("configuration", Path::new(""), text).map(|root| Config { root })
    }

    /// The same with a key overridden, `solver.tolerance=1e-8`, as `--set` of the program does.
    ///
    /// # Errors
    /// [`Error::Parameter`] where that is no key and value.
    pub fn set(mut self, key_and_value: &str) -> Result<Self> {
        config::set(&mut self.root, key_and_value)?;
        Ok(self)
    }

    /// The same with `value` as the section `key`, whatever was there.
    ///
    /// # Errors
    /// [`Error::Parameter`] where it cannot be a section.
    pub fn put(mut self, key: &str, value: serde_json::Value) -> Result<Self> {
        config::put(&mut self.root, &[key], value, key)?;
        Ok(self)
    }

    /// What the section `[solver]` says.
    ///
    /// # Errors
    /// [`Error::Parameter`] with the place of what it cannot hold.
    pub fn solver(&self) -> Result<SolverConfig> {
        self.root.get("solver").map_or_else(|| Ok(SolverConfig::default()), SolverConfig::from_node)
    }

    /// Makes the system and the preconditioner, and solves, on the ranks of `methods`. A solve that does not
    /// converge is no error: the report says how it ended. Collective.
    ///
    /// # Errors
    /// [`Error::Parameter`] with file, line and a caret for what a section cannot hold; [`Error::File`] for a file that
    /// cannot be read; [`Error::Unsupported`] for `stop = "absolute-error"` and `backend = "petsc"`, which the
    /// program carries out; what setup and solver report.
    pub fn solve(&self, methods: &Methods) -> Result<Solved> {
        self.solve_watched(methods, &mut |_| ControlFlow::Continue(()))
    }

    /// As [`solve`](Config::solve); `watch` sees every iteration, and may end the solve.
    ///
    /// # Errors
    /// As [`solve`](Config::solve).
    pub fn solve_watched(&self, methods: &Methods, watch: &mut Watcher) -> Result<Solved> {
        let comm = methods.comm();
        let asked = || {
            self.root.only(&["problem", "solver", "preconditioner"])?;
            let section = self.root.get("solver");
            let solver = self.solver()?;
            let method = self.root.get("preconditioner").map(|node| methods.method(node));
            let method = method.transpose()?;
            let plan = fallback::plan(methods, section, &solver, method.as_ref())?;
            if solver.stop == StopRule::AbsoluteError
                || solver.backend != config::Backend::Precondor
            {
                let why = "stop = \"absolute-error\" and backend = \"petsc\" are for the program `precondor`";
                return Err(Error::Unsupported(why.into()));
            }
            Ok((experiment::single(&self.root, methods)?, solver, method, plan))
        };
        let (case, solver, method, plan) = comm.agree(asked())?;
        let task = comm.agree(case.task(0, methods)?.single())?;
        let task = task.under(&solver);
        let start = Instant::now();
        let made = solve::set_up(methods, &task, method.as_ref())?;
        let mut notes = [task.notes(), made.notes()].concat();
        let m = made.m();
        let foreseen = solve::look(&solver, &task, m, &plan, &mut notes)?;
        let setup = start.elapsed();
        let mut x = task.x0.clone();
        let start = Instant::now();
        let make = &mut |method: &_| solve::set_up(methods, &task, Some(method));
        let (report, spent) =
            solve::run((&solver, &plan), &task, (m, foreseen), &mut x, None, watch, make)?;
        let solve = start.elapsed();
        notes.extend(solve::remarks(&report, &solver));
        if let Some(whole) = &task.whole {
            x = whole.solution(&x)?;
        }
        let (stored_entries, bytes) = (m.stored_entries(), m.bytes());
        Ok(Solved { x, report, setup, solve, spent, stored_entries, bytes, notes })
    }
}
