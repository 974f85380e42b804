//! Several right-hand sides of one matrix: a solve of each with one preconditioner, and one table.
use crate::experiment::Task;
use crate::fallback::Plan;
use crate::measure::{self, measure, measure_with};
use crate::session::Session;
use crate::{Status, formats, interrupt};
use precondor::config;
use precondor_core::config::{Backend, MethodConfig, SolverConfig, StopRule};
use precondor_core::solver::Outcome;
use precondor_core::{Error, Result};
use serde::Serialize;
use std::path::Path;
use std::time::Duration;

/// A solve.
#[derive(Serialize)]
pub struct Column {
    pub column: usize,
    pub outcome: &'static str,
    pub reason: Option<String>,
    pub iterations: usize,
    pub true_relative_residual: f64,
    pub scaled_residual: f64,
    pub solve_seconds: f64,
}

/// All of them.
#[derive(Serialize)]
pub struct Columns {
    pub n: u64,
    pub nnz: u64,
    pub method: String,
    pub preconditioner: String,
    pub converged: bool,
    /// Once for all.
    pub setup_seconds: f64,
    pub columns: Vec<Column>,
    pub notes: Vec<String>,
    /// The solutions, on the rows of this rank.
    #[serde(skip)]
    pub x: Vec<Vec<f64>>,
    /// A signal came before all were solved.
    #[serde(skip)]
    pub interrupted: bool,
}

/// Sets up once and solves for every right-hand side. Collective.
pub fn solve(
    session: &Session,
    task: &Task,
    method: Option<&MethodConfig>,
    (solver, plan): (&SolverConfig, &Plan),
) -> Result<Columns> {
    let mut all = Columns {
        n: task.system.a().n_global(),
        nnz: task.nnz,
        method: solver.name().to_owned(),
        preconditioner: measure::name(method).to_owned(),
        converged: true,
        setup_seconds: 0.0,
        columns: Vec::new(),
        notes: Vec::new(),
        x: Vec::new(),
        interrupted: false,
    };
    let mut made = match solver.backend {
        // PETSc's solvers set up for themselves.
        Backend::Petsc => None,
        Backend::Precondor => Some(measure::set_up(session, task, method)?),
    };
    for (k, column) in task.columns().iter().enumerate() {
        if interrupt::wished(session)? {
            (all.interrupted, all.converged) = (true, false);
            break;
        }
        let exact = match solver.stop {
            StopRule::RelativeResidual => None,
            StopRule::AbsoluteError => Some(measure::exact(session, column, solver.tolerance)?),
        };
        let (how, exact) = ((solver, plan), exact.as_deref());
        let solved = match &mut made {
            None => measure(session, column, method, how, exact, &mut |_| ())?,
            Some(made) => {
                let with = (method, &*made, session.meter());
                let solved = measure_with(session, column, with, how, exact, &mut |_| ())?;
                // It is there for the others.
                made.taken = Duration::ZERO;
                solved
            }
        };
        all.setup_seconds += solved.setup_seconds;
        for note in solved.notes {
            if !all.notes.contains(&note) {
                all.notes.push(note);
            }
        }
        let report = solved.report;
        all.converged &= report.outcome == Outcome::Converged;
        all.interrupted |= report.outcome == Outcome::Interrupted;
        all.columns.push(Column {
            column: k,
            outcome: report.outcome.name(),
            reason: report.outcome.reason().map(str::to_owned),
            iterations: report.iterations,
            true_relative_residual: report.true_relative_residual,
            scaled_residual: report.scaled_residual,
            solve_seconds: solved.solve_seconds,
        });
        all.x.push(match &column.whole {
            Some(whole) => whole.solution(&solved.x)?,
            None => solved.x,
        });
    }
    Ok(all)
}

impl Columns {
    /// The table as text.
    pub fn text(&self, what: &str) -> String {
        use precondor::report::format::{number, seconds};
        let mut out = format!(
            "{what}: {} unknowns, {} entries, {} right-hand sides\n{} with {}, set up in {}\n\n",
            self.n,
            self.nnz,
            self.columns.len(),
            self.method,
            self.preconditioner,
            seconds(self.setup_seconds)
        );
        out += "| column | outcome | iterations | ‖b−Ax‖/‖b‖, true | solve |\n|-------:|:--------|-----------:|-----------------:|------:|\n";
        for column in &self.columns {
            let Column { column: k, outcome, iterations, .. } = column;
            let (residual, time) =
                (number(column.true_relative_residual), seconds(column.solve_seconds));
            out += &format!("| {k} | {outcome} | {iterations} | {residual} | {time} |\n");
        }
        let iterations: usize = self.columns.iter().map(|column| column.iterations).sum();
        let time: f64 = self.columns.iter().map(|column| column.solve_seconds).sum();
        out += &format!("\n{iterations} iterations in all, {}\n", seconds(time));
        let reasons = self
            .columns
            .iter()
            .filter_map(|c| Some(format!("column {}: {}", c.column, c.reason.as_ref()?)));
        let notes = reasons.chain(self.notes.iter().cloned()).map(|note| format!("note: {note}\n"));
        out + &notes.collect::<String>()
    }

    /// Writes the solutions side by side. Collective.
    pub fn write(&self, path: &Path, task: &Task) -> Result<()> {
        let space =
            task.whole.as_ref().map_or(task.system.a().space(), config::given::Whole::space);
        let x: Vec<&[f64]> = self.x.iter().map(Vec::as_slice).collect();
        formats::write_vectors(path, space, &x, "solutions")
            .map_err(|e| e.inside("--save-solution"))
    }

    /// How the command ends.
    pub fn status(&self) -> Status {
        match (self.interrupted, self.converged) {
            (true, _) => Status::Interrupted,
            (_, true) => Status::Done,
            (_, false) => Status::NotConverged,
        }
    }
}

/// Refuses an option that goes with one right-hand side.
pub fn refuse(option: &str, given: bool) -> Result<()> {
    match given {
        true => Err(Error::Parameter(format!("{option}: goes with a single right-hand side"))),
        false => Ok(()),
    }
}
