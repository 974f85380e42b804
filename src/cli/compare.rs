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
//! ```
//!
//! Every system meets all methods in turn before the next system is made, so that whatever disturbs
//! the clock disturbs all of them. A method that refuses a matrix, or fails, is a row that says why.
use crate::experiment::{self, Case, Task};
use crate::fallback::Plan;
use crate::files::{self, print, print_json};
use crate::interrupt;
use crate::measure::{self, Made, Measured, measure, measure_with};
use crate::report::csv::Solve;
use crate::report::{self, Comparison, Entry, Method, Raw, Tally};
use crate::session::Session;
use crate::terminal::{self, clean};
use crate::traffic::{self, Sent};
use crate::{Status, fallback, keys};
use indicatif::{ProgressBar, ProgressStyle};
use precondor_core::config::{self, Backend, Content, MethodConfig, Node, SolverConfig, StopRule};
use precondor_core::instance::Kept;
use precondor_core::precond::Preconditioner;
use precondor_core::{Error, Result};
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
    /// Check the configuration and the files to be written, and do nothing
    #[arg(long)]
    dry_run: bool,
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
    let (title, runs, cases) = session.comm().agree(asked(&root, session))?;
    let folder = args.report.as_deref().filter(|_| session.is_first());
    // Held until the end, by the rank that writes.
    let claim = folder.map(report::ready).transpose();
    let _claim = session.comm().agree(claim)?;
    if args.dry_run {
        session.on_first(|| files::sound(&args.config))?;
        return Ok(Status::Done);
    }
    let files: Vec<_> = cases.iter().flat_map(Case::files).collect();
    let methods = runs.iter().flat_map(|run| run.method.iter().chain(&run.plan.replacement));
    session.look_at(&files, methods.map(|method| &method.params))?;
    let raw = session.comm().agree(folder.map(Raw::new).transpose())?;
    interrupt::watch(session);
    let named = runs.iter().map(|run| Method {
        label: run.label.clone(),
        group: run.group.clone(),
        solver: run.solver.clone(),
        preconditioner: measure::name(run.method.as_ref()).to_owned(),
        parameters: parameters(run),
        given: run.method.as_ref().map_or(Value::Null, |method| method.params.clone()),
    });
    let methods: Vec<Method> = named.collect();
    let mut work = Work::new(session, &runs, &methods, &cases, raw);
    let done = interrupt::gracefully(|| cases.iter().try_for_each(|case| work.case(case)));
    work.bar.finish_and_clear();
    let stopped = interrupt::wished(session)?;
    let incomplete = match done {
        Err(e) if !stopped => return Err(e),
        Err(_) => Some(work.incomplete(interrupt::which(session)?)),
        Ok(()) => None,
    };
    let Work { infos, tallies, raw, .. } = work;
    let config = args.config.display().to_string();
    let comparison = Comparison {
        title: title.unwrap_or_else(|| config.clone()),
        config,
        overrides: args.overrides.clone(),
        provenance: session.provenance(),
        methods,
        cases: infos,
        tallies,
        oversubscribed: session.oversubscribed()?,
        incomplete,
    };
    if let (Some(why), true) = (&comparison.incomplete, session.is_first()) {
        terminal::tell(why);
    }
    session.on_first(|| tell(args, &comparison, raw))?;
    Ok(if comparison.incomplete.is_some() {
        Status::Interrupted
    } else if comparison.tallies().any(Tally::any_failed) {
        Status::PartFailed
    } else if args.require_converged && !comparison.tallies().all(Tally::all_converged) {
        Status::NotConverged
    } else {
        Status::Done
    })
}

/// Prints the comparison and writes its report; what is asked for in several forms is told in all that can be.
fn tell(args: &Args, comparison: &Comparison, raw: Option<Raw>) -> Result<()> {
    let document = report::document(comparison);
    let printed = match args.json {
        true => print_json(&precondor::report::json(&document)),
        false => print(&precondor::report::text(&document)),
    };
    let written = match args.report.as_deref().zip(raw) {
        Some((folder, raw)) => report::write(comparison, folder, raw),
        None => Ok(()),
    };
    written.and(printed)
}

/// Title, methods and systems.
type Asked = (Option<String>, Vec<Run>, Vec<Case>);

fn asked(root: &Node, session: &Session) -> Result<Asked> {
    root.only(&["title", "problem", "solver", "run"])?;
    let title = root.get("title").map(|node| node.text().map(str::to_owned)).transpose()?;
    Ok((title, runs(root, session)?, experiment::family(root)?))
}

fn runs(root: &Node, session: &Session) -> Result<Vec<Run>> {
    let nothing = config::parse("", std::path::Path::new(""), "")?;
    let shared = root.get("solver").unwrap_or(&nothing);
    let Some(list) = root.get("run").filter(|list| !list.items().is_empty()) else {
        return Err(root.error("no [[run]]: each says which preconditioner to compare"));
    };
    let mut runs: Vec<Run> = Vec::new();
    for node in list.items() {
        node.only(&keys::of::<keys::Run>())?;
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

/// A comparison under way.
struct Work<'a> {
    session: &'a Session,
    runs: &'a [Run],
    methods: &'a [Method],
    bar: ProgressBar,
    /// Solves to do.
    solves: u64,
    infos: Vec<report::Case>,
    /// `tallies[case][method]`.
    tallies: Vec<Vec<Tally>>,
    raw: Option<Raw>,
}

impl<'a> Work<'a> {
    fn new(
        session: &'a Session,
        runs: &'a [Run],
        methods: &'a [Method],
        cases: &[Case],
        raw: Option<Raw>,
    ) -> Self {
        let systems = cases.iter().fold(0u64, |sum, case| sum.saturating_add(case.samples));
        let solves = systems.saturating_mul(runs.len() as u64);
        let bar = progress(solves, session.is_first());
        let (infos, tallies) = (Vec::new(), Vec::new());
        Work { session, runs, methods, bar, solves, infos, tallies, raw }
    }

    /// All runs on all systems of a case. Leaves with [`Error::Interrupted`] on all ranks where any was asked
    /// to end; what was done by then is kept. Collective.
    fn case(&mut self, case: &Case) -> Result<()> {
        self.infos.push(report::Case {
            label: case.label.clone(),
            description: case.describe(),
            systems: case.samples,
            systems_done: 0,
            n: 0,
            nnz: 0,
            side: None,
        });
        self.tallies.push(self.runs.iter().map(|_| Tally::default()).collect());
        let mut kept = Vec::new();
        for run in self.runs {
            kept.push(match &run.method {
                Some(config) if run.reuse => {
                    let method = self.session.comm().agree(self.session.generator(&config.name))?;
                    Some(Kept::new(method, &config.params))
                }
                _ => None,
            });
        }
        for index in 0..case.samples {
            self.system(case, index, &mut kept)?;
        }
        Ok(())
    }

    /// All runs on one system of the case under way. Collective.
    fn system(&mut self, case: &Case, index: u64, kept: &mut [Option<Kept>]) -> Result<()> {
        let session = self.session;
        interrupt::check(session)?;
        let task = session.task(case, index)?;
        let (Some(info), Some(tallies)) = (self.infos.last_mut(), self.tallies.last_mut()) else {
            return Ok(());
        };
        (info.n, info.nnz) = (task.system.a().n_global(), task.nnz);
        info.side = traffic::side(&task.system);
        let exact = reference(self.runs, &task, session)?;
        let parts = self.runs.iter().zip(self.methods).zip(kept).zip(tallies);
        for (((run, method), kept), tally) in parts {
            self.bar.set_message(clean(&format!("{}: {}", case.label, run.label)).into_owned());
            let (end, history) = one((run, kept.as_mut()), &task, session, exact.as_deref());
            // What a signal cut short is not counted.
            let whole = end.as_ref().is_ok_and(Entry::converged);
            if interrupt::wished(session)? && !whole {
                return Err(Error::Interrupted);
            }
            if let Some(raw) = &mut self.raw {
                let (label, ranks) = (case.label.as_str(), session.comm().size());
                let (n, nnz) = (info.n, info.nnz);
                raw.add(&Solve { case: label, system: index, n, nnz, method, ranks }, &end);
            }
            tally.add(end);
            if index == 0 {
                tally.history = history;
            }
            self.bar.inc(1);
        }
        info.systems_done = index + 1;
        Ok(())
    }

    /// Why solves are missing.
    fn incomplete(&self, signal: &str) -> String {
        let done: u64 = self.tallies.iter().flatten().map(Tally::total).sum();
        format!(
            "INCOMPLETE: interrupted by {signal} after {done} of {} solves; what was done by then is told.",
            self.solves
        )
    }
}

/// x*, where a run measures its error.
fn reference(runs: &[Run], task: &Task, session: &Session) -> Result<Option<Vec<f64>>> {
    let needing = runs.iter().filter(|run| run.solver.stop == StopRule::AbsoluteError);
    let tightest = needing.map(|run| run.solver.tolerance).reduce(f64::min);
    tightest.map(|tolerance| measure::exact(session, task, tolerance)).transpose()
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
            let ranks = measured.counted.as_ref().map(Sent::new);
            let entry = Entry {
                iterations: report.iterations,
                outcome: report.outcome.name(),
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
