//! One solve, measured.
use crate::experiment::Task;
use crate::session::Session;
use precondor_core::Result;
use precondor_core::config::{MethodConfig, SolverConfig};
use precondor_core::precond::{Preconditioner, Properties};
use precondor_core::solver::{self, Criterion, Outcome, Step, Stop};
use serde_json::{Map, Value};
use std::ops::ControlFlow;
use std::time::Instant;

/// What a solve took and gave.
pub struct Measured {
    /// How it went.
    pub report: solver::Report,
    /// The solution.
    pub x: Vec<f64>,
    /// Seconds to set the preconditioner up.
    pub setup_seconds: f64,
    /// Seconds to solve.
    pub solve_seconds: f64,
    /// Numbers that M is made of.
    pub entries: usize,
    /// Bytes of M.
    pub bytes: usize,
    /// What the method has to say about this M.
    pub notes: Vec<String>,
}

/// No preconditioner: M = I.
struct Identity;

impl Preconditioner for Identity {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        z.copy_from_slice(r);
        Ok(())
    }
    fn properties(&self) -> Properties {
        Properties::SPD
    }
    fn stored_entries(&self) -> usize {
        0
    }
    fn bytes(&self) -> usize {
        0
    }
}

/// Sets up the preconditioner (none: M = I).
pub fn set_up(
    session: &Session,
    task: &Task,
    method: Option<&MethodConfig>,
) -> Result<Box<dyn Preconditioner>> {
    match method {
        None => Ok(Box::new(Identity)),
        Some(config) => {
            let generator = session.generator(&config.name)?;
            let made = generator.generate(&config.params, &task.system);
            made.map_err(|e| e.inside(config.name.as_str()))
        }
    }
}

/// Sets up the preconditioner and solves. `exact` is x*, for the rule that needs it.
pub fn measure(
    session: &Session,
    task: &Task,
    method: Option<&MethodConfig>,
    config: &SolverConfig,
    exact: Option<&[f64]>,
    watch: &mut dyn FnMut(&Step),
) -> Result<Measured> {
    let start = Instant::now();
    let m = set_up(session, task, method)?;
    let setup_seconds = start.elapsed().as_secs_f64();
    let stop = Stop {
        criterion: exact.map_or(Criterion::RelativeResidual, Criterion::AbsoluteError),
        tolerance: config.tolerance,
        max_iterations: config.max_iterations,
        divergence: config.divergence,
    };
    let mut x = task.x0.clone();
    let start = Instant::now();
    let report = solver::solve(
        &config.method(),
        task.system.a(),
        m.as_ref(),
        &task.b,
        &mut x,
        &stop,
        &mut |step| {
            watch(step);
            ControlFlow::Continue(())
        },
    )
    .map_err(|e| e.inside(config.method.name()))?;
    Ok(Measured {
        report,
        x,
        setup_seconds,
        solve_seconds: start.elapsed().as_secs_f64(),
        entries: m.stored_entries(),
        bytes: m.bytes(),
        notes: m.notes(),
    })
}

/// The name of a method for tables and JSON.
pub fn name(method: Option<&MethodConfig>) -> &str {
    method.map_or("none", |config| &config.name)
}

/// Parameters that were given, as `key value` words.
pub fn parameters(method: Option<&MethodConfig>) -> String {
    let none = Map::new();
    let given = method.and_then(|config| config.params.as_object()).unwrap_or(&none);
    let words = given.iter().map(|(key, value)| match value {
        Value::String(text) => format!("{key} {text}"),
        Value::Object(inner) => format!("{key} {}", inner["name"].as_str().unwrap_or("…")),
        value => format!("{key} {value}"),
    });
    words.collect::<Vec<_>>().join(", ")
}

/// The outcome as `--json` spells it.
pub fn outcome(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Converged => "converged",
        Outcome::IterationLimit => "iteration-limit",
        Outcome::Diverged => "diverged",
        Outcome::Breakdown(_) => "breakdown",
        Outcome::Interrupted => "interrupted",
    }
}
