//! Solving.
use crate::callback::{Foreign, Product, Watch};
use crate::error::{cancelled, exception};
use crate::interpreter::without;
use crate::methods::{configuration, methods, section};
use crate::preconditioner::Preconditioner;
use crate::system::System;
use numpy::{PyArray1, PyReadonlyArray1};
use precondor::config::{Solved, Spent, exact, fallback, solve as steps};
use precondor::core::config::{Assume, Backend, Node, SolverConfig, StopRule};
use precondor::core::matrix::Space;
use precondor::core::precond::{Identity, Preconditioner as Applied};
use precondor::core::solver::{self, AssumedDefinite, Outcome, Report};
use precondor::{Error, Methods, Result};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What is solved with.
struct Asked {
    node: Node,
    solver: SolverConfig,
}

impl Asked {
    fn of(json: &str) -> Result<Self> {
        let node = section("solver", json)?;
        let solver = SolverConfig::from_node(&node)?;
        if solver.backend != Backend::Precondor {
            let why = "solver: backend = \"petsc\" is for the program `precondor`; petsc4py takes every method as a PC";
            return Err(Error::Unsupported(why.into()));
        }
        Ok(Asked { node, solver })
    }
}

/// How a solve went.
struct Went {
    report: Report,
    /// What was measured, in words.
    measure: &'static str,
    x: Vec<f64>,
    notes: Vec<String>,
    /// Seconds of looking at M and A before, of the solve, and of it in products and applications.
    before: Duration,
    taken: Duration,
    spent: Option<Spent>,
}

impl Went {
    fn into_dict(self, py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
        let Went { report, measure, x, notes, before, taken, spent } = self;
        let went = PyDict::new(py);
        went.set_item("x", PyArray1::from_vec(py, x))?;
        went.set_item("measure", measure)?;
        went.set_item("outcome", report.outcome.name())?;
        went.set_item("reason", report.outcome.reason())?;
        went.set_item("converged", report.outcome == Outcome::Converged)?;
        went.set_item("iterations", report.iterations)?;
        went.set_item("residuals", PyArray1::from_vec(py, report.history))?;
        went.set_item("true_relative_residual", report.true_relative_residual)?;
        went.set_item("scaled_residual", report.scaled_residual)?;
        let switches = report.switches.iter();
        let switches = switches.map(|s| (s.iteration, s.reason.clone(), s.to.clone()));
        went.set_item("fallback", switches.collect::<Vec<_>>())?;
        went.set_item("outside", report.outside.map(|outside| outside.relative))?;
        went.set_item("notes", notes)?;
        went.set_item("setup_seconds", before.as_secs_f64())?;
        went.set_item("solve_seconds", taken.as_secs_f64())?;
        let counts = spent.map(|spent| spent.counts);
        went.set_item("products", counts.map(|counts| counts[0]))?;
        went.set_item("applications", counts.map(|counts| counts[1]))?;
        let spent =
            spent.map(|spent| [spent.products, spent.applications].map(|t| t.as_secs_f64()));
        went.set_item("product_seconds", spent.map(|spent| spent[0]))?;
        went.set_item("application_seconds", spent.map(|spent| spent[1]))?;
        Ok(went)
    }
}

/// What M is.
enum Chosen<'a> {
    None(Identity),
    Ours(&'a Preconditioner),
    Foreign(Foreign),
}

/// Solves A x = b; A is `system`, or `product` with `system` beside it. Gives how it went and what Python raised
/// meanwhile, where that ended it.
#[pyfunction]
#[pyo3(signature = (system, product, b, x0, preconditioner, other, solver, callback))]
#[expect(clippy::too_many_arguments, reason = "called from one place, by keyword")]
pub fn solve<'py>(
    py: Python<'py>,
    system: Option<Bound<'py, System>>,
    product: Option<Py<PyAny>>,
    b: PyReadonlyArray1<'py, f64>,
    x0: Option<PyReadonlyArray1<'py, f64>>,
    preconditioner: Option<Bound<'py, PyAny>>,
    other: Option<Bound<'py, System>>,
    solver: &str,
    callback: Option<Py<PyAny>>,
) -> PyResult<(Bound<'py, PyDict>, Option<PyErr>)> {
    let b = b.as_slice()?.to_vec();
    let x0 = x0.map(|x0| x0.as_slice().map(<[f64]>::to_vec)).transpose()?;
    let ours = preconditioner.as_ref().and_then(|m| m.cast::<Preconditioner>().ok());
    let m = match (&preconditioner, ours) {
        (None, _) => Chosen::None(Identity),
        (Some(_), Some(ours)) => Chosen::Ours(ours.get()),
        (Some(foreign), None) => Chosen::Foreign(Foreign(foreign.clone().unbind())),
    };
    let asked = Asked::of(solver).map_err(exception)?;
    let (system, other) = (system.as_ref().map(|s| s.get()), other.as_ref().map(|s| s.get()));
    let mut watch = Watch::new(callback);
    let went = without(py, || match (system, product) {
        (Some(system), None) => with_matrix(&asked, system, (b, x0), &m, other, &mut watch),
        (_, Some(f)) => {
            let a = Product { f, space: Space::solo(b.len()) };
            with_product(&asked, &a, (b, x0), &m, &mut watch)
        }
        (None, None) => Err(Error::Data("there is no A".into())),
    });
    let went = went.map_err(|e| watch.raised.take().unwrap_or_else(|| exception(e)))?;
    Ok((went.into_dict(py)?, watch.raised))
}

fn with_matrix(
    Asked { node, solver }: &Asked,
    system: &System,
    (b, x0): (Vec<f64>, Option<Vec<f64>>),
    m: &Chosen<'_>,
    other: Option<&System>,
    watch: &mut Watch,
) -> Result<Went> {
    let methods = &methods()?;
    let method = match m {
        Chosen::Ours(m) => Some(&m.config),
        _ => None,
    };
    let plan = fallback::plan(methods, Some(node), solver, method)?;
    let task = system.task(b, x0, other);
    let task = task.under(solver);
    let exact = match solver.stop {
        StopRule::AbsoluteError => {
            Some(exact::solution(methods, &task, solver.tolerance, &cancelled)?)
        }
        StopRule::RelativeResidual => None,
    };
    let start = Instant::now();
    let mut notes = task.notes();
    let held;
    let m: &dyn Applied = match m {
        Chosen::None(m) => m,
        Chosen::Foreign(m) => m,
        Chosen::Ours(m) => {
            held = m.held()?;
            notes.extend(held.notes()?);
            held.m()?
        }
    };
    let foreseen = steps::look(solver, &task, m, &plan, &mut notes)?;
    let (before, start, mut x) = (start.elapsed(), Instant::now(), task.x0.clone());
    let make = &mut |method: &_| steps::set_up(methods, &task, Some(method));
    let mut see = |step: &_| watch.see(step);
    let (how, m) = ((solver, &plan), (m, foreseen));
    let (report, spent) = steps::run(how, &task, m, &mut x, exact.as_deref(), &mut see, make)?;
    let taken = start.elapsed();
    notes.extend(steps::remarks(&report, solver));
    let measure = solver.measure();
    Ok(Went { report, measure, x, notes, before, taken, spent: Some(spent) })
}

/// Of A there is a product alone: nothing can be looked at, and nothing set up in the place of M.
fn with_product(
    Asked { node, solver }: &Asked,
    a: &Product,
    (b, x0): (Vec<f64>, Option<Vec<f64>>),
    m: &Chosen<'_>,
    watch: &mut Watch,
) -> Result<Went> {
    let needs_entries = ["fallback", "check", "symmetry_tolerance"].into_iter();
    let exact = (solver.stop == StopRule::AbsoluteError).then_some("stop");
    if let Some(key) = needs_entries.filter(|key| node.get(key).is_some()).chain(exact).next() {
        let why = format!("solver: '{key}' needs the entries of A, and A is an operator");
        return Err(Error::Unsupported(why));
    }
    let (held, mut notes) = (
        match m {
            Chosen::Ours(m) => Some(m.held()?),
            _ => None,
        },
        Vec::new(),
    );
    let m: &dyn Applied = match (m, &held) {
        (Chosen::None(m), _) => m,
        (Chosen::Foreign(m), _) => m,
        (Chosen::Ours(_), Some(held)) => {
            notes.extend(held.notes()?);
            held.m()?
        }
        (Chosen::Ours(_), None) => &Identity,
    };
    let assumed = AssumedDefinite(m);
    let m: &dyn Applied = if solver.assume == Some(Assume::Spd) { &assumed } else { m };
    let mut x = x0.unwrap_or_else(|| vec![0.0; b.len()]);
    let start = Instant::now();
    let mut see = |step: &_| watch.see(step);
    let report = solver::solve(&solver.algorithm(), a, m, &b, &mut x, &solver.stop(None), &mut see);
    let report = report.map_err(|e| e.inside(solver.name()))?;
    notes.extend(steps::remarks(&report, solver));
    let (measure, before, taken) = (solver.measure(), Duration::ZERO, start.elapsed());
    Ok(Went { report, measure, x, notes, before, taken, spent: None })
}

/// Carries a configuration out, of a file or as JSON.
#[pyfunction]
pub fn run<'py>(
    py: Python<'py>,
    path: Option<PathBuf>,
    json: &str,
    callback: Option<Py<PyAny>>,
) -> PyResult<(Bound<'py, PyDict>, Option<PyErr>)> {
    let mut watch = Watch::new(callback);
    let solved = without(py, || {
        let config = configuration(path, json)?;
        let methods: &Methods = &*methods()?;
        let solved = config.solve_watched(methods, &mut |step| watch.see(step))?;
        Ok((solved, config.solver()?.measure()))
    });
    let solved = solved.map_err(|e| watch.raised.take().unwrap_or_else(|| exception(e)));
    let (solved, measure) = solved?;
    let Solved { x, report, setup: before, solve: taken, spent, notes, .. } = solved;
    let went = Went { report, measure, x, notes, before, taken, spent: Some(spent) };
    Ok((went.into_dict(py)?, watch.raised))
}
