//! `precondor compare`: many methods on the same systems, side by side.
//!
//! ```toml
//! title = "Sparse inverses on perturbed Poisson"   # optional
//!
//! [problem]                # as for `solve`, and several systems:
//! kind = "poisson"
//! levels = [3, 4, 5]       # one table each; or `level`, or `matrix = ["a.mtx", "b.mtx"]`
//! samples = 20             # systems a level, a row is their mean
//!                          # several [[problem]]: each with its own `label`
//!
//! [solver]                 # what all runs share
//! method = "richardson"
//! stop = "absolute-error"
//!
//! [[run]]
//! label = "Jacobi"         # optional: the method's name else
//! group = "sparse"         # optional: tables keep groups apart, each with a winner of its own
//! solver = { damping = 0.9 }                              # on top of [solver]
//! preconditioner = { name = "jacobi", damping = 0.7 }     # or a name alone; none: M = I
//! reuse = true             # systems after the first of a level refresh the M of the one before
//!
//! [cluster]                # optional: reckon times on a machine, see `scaling/cluster.rs`
//! latency = 2e-6           # seconds a message
//! bandwidth = 2e8          # bytes a second and rank
//! flop_rate = 5e8          # flops a second and rank
//! level = 13               # for this grid
//! ranks = 100_000          # on 1, 2, 4, … up to so many ranks
//! ```
//!
//! Every system meets all methods in turn before the next system is made, so that whatever disturbs
//! the clock disturbs all of them. A method that refuses a matrix, or fails, is a row that says why.
use crate::experiment::{self, Case, Task};
use crate::fallback::Plan;
use crate::files::{make_folder, print, print_json};
use crate::interrupt;
use crate::measure::{self, Made, Measured, measure, measure_with};
use crate::report::{self, CaseInfo, Cell, Comparison, Entry, Provenance, Row};
use crate::scaling::cluster::Cluster;
use crate::scaling::reckon::{Scaling, Subject, reckon};
use crate::session::Session;
use crate::traffic::{self, Sent};
use crate::{Status, exact, fallback};
use indicatif::{ProgressBar, ProgressStyle};
use precondor_core::Result;
use precondor_core::config::{self, Backend, Content, MethodConfig, Node, SolverConfig, StopRule};
use precondor_core::instance::Kept;
use precondor_core::precond::Preconditioner;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

/// Compare methods on the same systems
///
/// The configuration has the sections `[problem]`, `[solver]` (what all runs share) and a list of
/// `[[run]]`, each with its own `preconditioner` and `solver`.
#[derive(clap::Args)]
pub struct Args {
    /// The configuration (TOML)
    pub config: PathBuf,
    /// Override a key: `--set problem.samples=5`, `--set run.0.preconditioner.damping=0.5`
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Write a page (index.html) with tables and convergence curves, and the numbers as CSV
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    /// Exit with status 2 where a run did not converge
    #[arg(long)]
    require_converged: bool,
}

/// A method and the solver it is tried with.
struct Run {
    label: String,
    group: String,
    solver: SolverConfig,
    method: Option<MethodConfig>,
    plan: Plan,
    /// Refresh where the pattern stays the same.
    reuse: bool,
}

pub fn run(args: &Args, session: &Session) -> Result<Status> {
    let root = session.configuration(&args.config, &args.overrides)?;
    let (title, runs, cases, cluster) = session.comm().agree(asked(&root, session))?;
    let files: Vec<_> = cases.iter().flat_map(Case::files).collect();
    let methods = runs.iter().flat_map(|run| run.method.iter().chain(&run.plan.replacement));
    session.look_at(&files, methods.map(|method| &method.params))?;
    session.comm().agree(interrupt::watch(session))?;
    session.on_first(|| args.report.as_deref().map_or(Ok(()), make_folder))?;
    let systems = cases.iter().fold(0u64, |sum, case| sum.saturating_add(case.samples));
    let bar = progress(systems.saturating_mul(runs.len() as u64), session.is_first());
    let measured: Result<Vec<(CaseInfo, Vec<Cell>)>> =
        cases.iter().map(|case| all_runs(case, &runs, session, &bar)).collect();
    bar.finish_and_clear();
    let (cases, cells): (Vec<CaseInfo>, Vec<Vec<Cell>>) = measured?.into_iter().unzip();
    let scaling = cluster.map(|cluster| scaling(cluster, &runs, &cases, &cells));
    let rows = runs.iter().map(|run| Row {
        label: run.label.clone(),
        group: run.group.clone(),
        solver: run.solver.clone(),
        preconditioner: measure::name(run.method.as_ref()).to_owned(),
        parameters: parameters(run),
    });
    let config = args.config.display().to_string();
    let comparison = Comparison {
        title: title.unwrap_or_else(|| config.clone()),
        config,
        overrides: args.overrides.clone(),
        provenance: Provenance::here(session),
        rows: rows.collect(),
        cases,
        cells,
        oversubscribed: session.oversubscribed()?,
        scaling,
    };
    session.on_first(|| {
        if args.json {
            print_json(&report::json::document(&comparison))?;
        } else {
            print(&report::text::page(&comparison))?;
        }
        if let Some(folder) = &args.report {
            report::write(&comparison, folder)?;
            tracing::info!("report written to {}", folder.join("index.html").display());
        }
        Ok(())
    })?;
    let entries = || comparison.cells.iter().flatten().flat_map(|cell| &cell.entries);
    Ok(if entries().any(|entry| entry.is_err()) {
        Status::PartFailed
    } else if args.require_converged && entries().flatten().any(|e| !e.converged()) {
        Status::NotConverged
    } else {
        Status::Done
    })
}

/// Title, methods, systems and the machine to reckon for.
type Asked = (Option<String>, Vec<Run>, Vec<Case>, Option<Cluster>);

fn asked(root: &Node, session: &Session) -> Result<Asked> {
    root.only(&["title", "problem", "solver", "run", "cluster"])?;
    let title = root.get("title").map(|node| node.text().map(str::to_owned)).transpose()?;
    let cluster = root.get("cluster").map(Node::read::<Cluster>).transpose()?;
    Ok((title, runs(root, session)?, experiment::family(root)?, cluster))
}

fn runs(root: &Node, session: &Session) -> Result<Vec<Run>> {
    let nothing = config::parse("", std::path::Path::new(""), "")?;
    let shared = root.get("solver").unwrap_or(&nothing);
    let Some(list) = root.get("run").filter(|list| !list.items().is_empty()) else {
        return Err(root.error("no [[run]]: each says which preconditioner to compare"));
    };
    let mut runs: Vec<Run> = Vec::new();
    for node in list.items() {
        node.only(&["label", "group", "solver", "preconditioner", "reuse"])?;
        let reuse = reuse(node)?;
        let text = |key: &str| node.get(key).map(|n| n.text().map(str::to_owned)).transpose();
        let own = node.get("solver").unwrap_or(&nothing);
        let solver = SolverConfig::from_nodes(own, shared)?;
        if let Some(node) = node.get("reuse").filter(|_| reuse && solver.backend == Backend::Petsc)
        {
            return Err(node.error("not with backend = 'petsc', whose solvers set M up themselves"));
        }
        let method = node.get("preconditioner").map(|n| session.method(n));
        let method = method.transpose()?;
        let label = text("label")?.unwrap_or_else(|| measure::name(method.as_ref()).to_owned());
        let group = text("group")?.unwrap_or_else(|| "methods".to_owned());
        if runs.iter().any(|run| run.label == label) {
            let why = format!("there is a run called '{label}' already: give it a 'label'");
            return Err(node.get("label").unwrap_or(node).error(why));
        }
        let section = config::over(own, shared);
        let plan = fallback::plan(session, Some(&section), &solver, method.as_ref())?;
        runs.push(Run { label, group, solver, method, plan, reuse });
    }
    // Groups stay together, in the order they first appear.
    let mut order: BTreeMap<String, usize> = BTreeMap::new();
    for (k, run) in runs.iter().enumerate() {
        order.entry(run.group.clone()).or_insert(k);
    }
    runs.sort_by_key(|run| order[&run.group]);
    Ok(runs)
}

/// Whether a run refreshes its preconditioner from one system to the next.
fn reuse(run: &Node) -> Result<bool> {
    let Some(node) = run.get("reuse") else { return Ok(false) };
    let Content::Scalar(Value::Bool(reuse)) = node.content() else {
        return Err(node.error("reuse is true or false"));
    };
    match *reuse && run.get("preconditioner").is_none() {
        true => Err(node.error("this run has no preconditioner to reuse")),
        false => Ok(*reuse),
    }
}

/// The parameters of a run in words.
fn parameters(run: &Run) -> String {
    let mut words = measure::parameters(run.method.as_ref());
    if run.reuse {
        words += if words.is_empty() { "" } else { ", " };
        words += "refreshed from system to system";
    }
    words
}

/// All runs on all systems of a case.
fn all_runs(
    case: &Case,
    runs: &[Run],
    session: &Session,
    bar: &ProgressBar,
) -> Result<(CaseInfo, Vec<Cell>)> {
    let mut cells: Vec<Cell> = runs.iter().map(|_| Cell::default()).collect();
    let mut info = CaseInfo {
        label: case.label.clone(),
        description: case.describe(),
        systems: case.samples,
        n: 0,
        nnz: 0,
        side: None,
    };
    let mut kept = Vec::new();
    for run in runs {
        kept.push(match &run.method {
            Some(config) if run.reuse => {
                let method = session.comm().agree(session.generator(&config.name))?;
                Some(Kept::new(method, &config.params))
            }
            _ => None,
        });
    }
    for index in 0..case.samples {
        let task = case.task(index, session)?;
        (info.n, info.nnz) = (task.system.a().n_global(), task.nnz);
        info.side = traffic::layout(&task.system, task.nnz).map(|layout| layout.m);
        let exact = reference(runs, &task, session)?;
        for ((run, kept), cell) in runs.iter().zip(&mut kept).zip(&mut cells) {
            bar.set_message(format!("{}: {}", case.label, run.label));
            let (entry, history) = one((run, kept.as_mut()), &task, session, exact.as_deref());
            if entry.is_err() {
                interrupt::check(session)?;
            }
            cell.entries.push(entry);
            if index == 0 {
                cell.history = history;
            }
            bar.inc(1);
        }
    }
    Ok((info, cells))
}

/// Times on a cluster.
fn scaling(cluster: Cluster, runs: &[Run], cases: &[CaseInfo], cells: &[Vec<Cell>]) -> Scaling {
    let subjects = runs.iter().enumerate().map(|(k, run)| {
        let (name, parameters) = traffic::named(run.method.as_ref());
        let counts = cases.iter().zip(cells).filter_map(|(case, cells)| {
            let counted = cells[k].iterations().filter(|_| cells[k].all_converged());
            Some((case.side?, counted.map(|(mean, _)| mean)))
        });
        let counts = counts.collect();
        let (label, group, solver) = (&*run.label, &*run.group, &run.solver);
        Subject { label, group, solver, name, parameters, counts }
    });
    reckon(cluster, &subjects.collect::<Vec<_>>())
}

/// x*, where a run measures its error.
fn reference(runs: &[Run], task: &Task, session: &Session) -> Result<Option<Vec<f64>>> {
    let needing = runs.iter().filter(|run| run.solver.stop == StopRule::AbsoluteError);
    let tightest = needing.map(|run| run.solver.tolerance).reduce(f64::min);
    tightest.map(|tolerance| exact::solution(session, task, tolerance)).transpose()
}

fn one(
    (run, kept): (&Run, Option<&mut Kept>),
    task: &Task,
    session: &Session,
    exact: Option<&[f64]>,
) -> (std::result::Result<Entry, String>, Vec<f64>) {
    let exact = exact.filter(|_| run.solver.stop == StopRule::AbsoluteError);
    let task = task.under(&run.solver);
    let task: &Task = &task;
    let how = (&run.solver, &run.plan);
    let measured = match kept {
        None => measure(session, task, run.method.as_ref(), how, exact, &mut |_| ())
            .map(|measured| (measured, false)),
        Some(kept) => renewed(kept, run, task, session, exact),
    };
    match measured {
        Err(e) => (Err(e.to_string()), Vec::new()),
        Ok((measured, refreshed)) => {
            let report = measured.report;
            let how = (&run.solver, run.method.as_ref());
            let system = (&task.system, task.nnz);
            let sent = |counted| Sent::new(counted, system, how, report.iterations);
            let ranks = measured.counted.as_ref().map(sent);
            let entry = Entry {
                iterations: report.iterations,
                outcome: measure::outcome(&report.outcome),
                reason: report.outcome.reason().map(str::to_owned),
                measure: report.history.last().copied().unwrap_or(f64::NAN),
                true_relative_residual: report.true_relative_residual,
                nnz_ratio: measured.entries.map(|n| n as f64 / task.nnz.max(1) as f64),
                preconditioner_nnz: measured.entries,
                preconditioner_bytes: measured.bytes,
                setup_seconds: measured.setup_seconds,
                solve_seconds: measured.solve_seconds,
                refreshed,
                fallback: report.switches,
                notes: measured.notes,
                ranks,
            };
            (Ok(entry), report.history)
        }
    }
}

/// A solve with the preconditioner of the system before, made that of this one; and whether it was
/// refreshed rather than set up.
fn renewed(
    kept: &mut Kept,
    run: &Run,
    task: &Task,
    session: &Session,
    exact: Option<&[f64]>,
) -> Result<(Measured, bool)> {
    let meter = session.meter();
    let (start, before) = (Instant::now(), kept.counts());
    let m = interrupt::guarded(|| kept.update(task.preconditioned()));
    let m = m.map_err(|e| e.inside(measure::name(run.method.as_ref())))?;
    let m: &dyn Preconditioner = m;
    let made = Made { m, taken: start.elapsed(), meter };
    let (method, how) = (run.method.as_ref(), (&run.solver, &run.plan));
    let measured = measure_with(session, task, (method, made), how, exact, &mut |_| ())?;
    Ok((measured, kept.counts().refreshes > before.refreshes))
}

/// How many solves are done; shown on a terminal only.
fn progress(solves: u64, shown: bool) -> ProgressBar {
    if !shown {
        return ProgressBar::hidden();
    }
    let template = "{bar:30} {pos}/{len} solves, {eta} left, {msg}";
    let bar = ProgressBar::new(solves);
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
