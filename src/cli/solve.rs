//! `precondor solve`: one system, one solver, one preconditioner.
use crate::experiment::{self, Case, Known, Task};
use crate::fallback::Plan;
use crate::files::{self, print, print_json};
use crate::measure::{self, Measured, measure, measure_with};
use crate::session::Session;
use crate::{Status, columns, fallback, formats, interrupt, saved, terminal};
use indicatif::{ProgressBar, ProgressStyle};
use precondor::report::Input;
use precondor::report::format::{bytes, number, seconds};
use precondor_core::comm::Communicator;
use precondor_core::config::{Backend, MethodConfig, Node, SolverConfig, StopRule};
use precondor_core::matrix::NullSpace;
use precondor_core::persist::Opened;
use precondor_core::solver::{Norm, Outcome, Step, Switch};
use precondor_core::{Error, Result};
use serde::Serialize;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Solve one linear system
///
/// The configuration has the sections `[problem]`, `[solver]` and `[preconditioner]`; without the last
/// one nothing is preconditioned.
#[derive(clap::Args)]
pub struct Args {
    /// The configuration (TOML)
    pub config: PathBuf,
    /// Override a key: `--set solver.tolerance=1e-8`, `--set preconditioner.name=ilu`
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    /// Write the solution, as PETSc's where the name ends in .petsc, as NumPy's where it ends in .npy, else as a
    /// Matrix Market vector (rank 0 writes; but for PETSc's it holds the whole)
    #[arg(long, value_name = "FILE")]
    save_solution: Option<PathBuf>,
    /// Write the preconditioner, for `--load-preconditioner` (methods that offer `persist/1`)
    #[arg(long, value_name = "FILE")]
    save_preconditioner: Option<PathBuf>,
    /// Write the measure after every iteration, as CSV
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// Read the preconditioner instead of setting it up; the setup time is that of reading it.
    /// `[preconditioner]` may be left out
    #[arg(long, value_name = "FILE")]
    load_preconditioner: Option<PathBuf>,
    /// Check the configuration, the files that it names and those to be written, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// What `--json` prints; the keys are stable.
#[derive(Serialize)]
struct Summary<'a> {
    method: &'a str,
    preconditioner: &'a str,
    converged: bool,
    outcome: &'a str,
    reason: Option<&'a str>,
    iterations: usize,
    /// The last value of the stopping measure, under the name of what it measures.
    relative_residual: Option<f64>,
    preconditioned_residual: Option<f64>,
    natural_residual: Option<f64>,
    absolute_error: Option<f64>,
    true_relative_residual: f64,
    /// The largest residual of a row relative to the size of the row.
    scaled_residual: f64,
    setup_seconds: f64,
    /// The file that the preconditioner was read from.
    loaded_from: Option<String>,
    solve_seconds: f64,
    /// To make the system, or to read it.
    reading_seconds: f64,
    /// Of the solve: in products with A, and in applications of M; the rest are vectors and reductions. Not known of
    /// PETSc's solves.
    product_seconds: Option<f64>,
    application_seconds: Option<f64>,
    /// Not known of PETSc's own preconditioners, as the next.
    preconditioner_nnz: Option<usize>,
    preconditioner_bytes: Option<usize>,
    n: u64,
    nnz: u64,
    /// The file of the matrix that the preconditioner is made from, where it is not A's, and its entries.
    preconditioner_matrix: Option<String>,
    preconditioner_matrix_nnz: Option<u64>,
    /// Where A is known to be singular.
    null_space: Option<Singular>,
    ranks: usize,
    /// The most memory that any rank had, where the system tells.
    peak_memory_bytes: Option<u64>,
    /// Where the solve noticed that its preconditioner fails, and went on by other means.
    fallback: &'a [Switch],
    notes: &'a [String],
    /// The files that were read: of the system, and by methods.
    files: Vec<Input>,
}

/// What `--json` prints of a singular A.
#[derive(Serialize)]
struct Singular {
    /// What the null space is, in words, and how it became known.
    name: String,
    known: Option<Known>,
    /// Vectors of the right and of the left null space.
    right: usize,
    left: usize,
    /// The norm of what of the right-hand side is outside of the range, and relative to the whole.
    outside: Option<f64>,
    outside_relative: Option<f64>,
}

pub fn run(args: &Args, session: &Session) -> Result<Status> {
    let root = session.configuration(&args.config, &args.overrides)?;
    let saved = args.load_preconditioner.as_deref();
    // Before it is read, so that a file that changes meanwhile is noticed.
    let of_saved: Vec<_> = saved.iter().map(|path| vec![path.to_path_buf()]).collect();
    session.look_at(&of_saved, std::iter::empty())?;
    let saved = saved.map(|path| Opened::read(session.comm(), path)).transpose()?;
    let asked = asked(args, &root, session, saved.as_ref());
    let asked = session.comm().agree(asked)?;
    session.on_first(|| {
        files::ready(&[
            ("--save-solution", args.save_solution.as_deref()),
            ("--save-preconditioner", args.save_preconditioner.as_deref()),
            ("--history", args.history.as_deref()),
        ])
    })?;
    if args.dry_run {
        session.on_first(|| files::sound(&args.config))?;
        return Ok(Status::Done);
    }
    let methods = asked.method.iter().chain(&asked.plan.replacement);
    session.look_at(&asked.case.files(), methods.map(|method| &method.params))?;
    interrupt::watch(session);
    let start = Instant::now();
    let task = session.task(&asked.case, 0)?;
    let reading = start.elapsed().as_secs_f64();
    let task = task.under(&asked.solver);
    if !task.more.is_empty() {
        return several(args, session, &asked, &task);
    }
    let (measured, kept) = measured(args, session, &asked, &task, saved.as_ref())?;
    let written = write_solution(args, &task, &measured);
    let history = session.on_first(|| write_history(args, &asked.solver, &measured));
    let told = tell(args, session, &asked, &task, (&measured, reading), saved.as_ref());
    // The result is told whatever becomes of the files.
    kept.and(written).and(history).and(told)?;
    Ok(match measured.report.outcome {
        Outcome::Converged => Status::Done,
        _ if interrupt::wished(session)? => {
            let signal = interrupt::which(session)?;
            if session.is_first() {
                terminal::tell(&format!("interrupted by {signal}"));
            }
            Status::Interrupted
        }
        _ => Status::NotConverged,
    })
}

/// Solves for several right-hand sides. Collective.
fn several(args: &Args, session: &Session, asked: &Asked, task: &Task) -> Result<Status> {
    let Asked { case, solver, method, plan } = asked;
    columns::refuse("--history", args.history.is_some())?;
    columns::refuse("--save-preconditioner", args.save_preconditioner.is_some())?;
    columns::refuse("--load-preconditioner", args.load_preconditioner.is_some())?;
    let solved = columns::solve(session, task, method.as_ref(), (solver, plan))?;
    let path = args.save_solution.as_deref().filter(|_| !solved.x.is_empty());
    let written = path.map_or(Ok(()), |path| solved.write(path, task));
    session.on_first(|| match args.json {
        true => print_json(&solved),
        false => print(&solved.text(&case.describe())),
    })?;
    written?;
    if let (true, true) = (solved.interrupted, session.is_first()) {
        terminal::tell("interrupted before all right-hand sides were solved");
    }
    Ok(solved.status())
}

/// Sets up and solves, and says whether the preconditioner was written where that is asked for. Collective.
fn measured(
    args: &Args,
    session: &Session,
    Asked { solver, method, plan, .. }: &Asked,
    task: &Task,
    saved: Option<&Opened>,
) -> Result<(Measured, Result<()>)> {
    let exact = match solver.stop {
        StopRule::RelativeResidual => None,
        StopRule::AbsoluteError => Some(measure::exact(session, task, solver.tolerance)?),
    };
    let bar = progress(session.is_first());
    let mut watch = |step: &Step| {
        bar.set_position(step.iteration as u64);
        bar.set_message(number(step.measure));
    };
    let (how, exact) = ((solver, plan), exact.as_deref());
    let in_file = saved.is_some() || args.save_preconditioner.is_some();
    let meter = session.meter();
    let mut kept = Ok(());
    let measured = match method.as_ref().filter(|_| in_file) {
        None => measure(session, task, method.as_ref(), how, exact, &mut watch),
        Some(config) => saved::get(session, task, config, saved).and_then(|made| {
            if let Some(path) = &args.save_preconditioner {
                kept = saved::save(session, task, config, made.m(), path);
            }
            let with = (Some(config), &made, meter);
            measure_with(session, task, with, how, exact, &mut watch)
        }),
    };
    bar.finish_and_clear();
    Ok((measured?, kept))
}

/// Writes x where that is asked for, however the solve ended. Collective.
/// The history as CSV, where it is asked for.
fn write_history(args: &Args, solver: &SolverConfig, measured: &Measured) -> Result<()> {
    let Some(path) = &args.history else { return Ok(()) };
    let mut text = format!("iteration,{}\n", solver.measure());
    for (k, measure) in measured.report.history.iter().enumerate() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{k},{measure:e}");
    }
    files::write(path, text.as_bytes()).map_err(|e| e.inside("--history"))
}

fn write_solution(args: &Args, task: &Task, measured: &Measured) -> Result<()> {
    let Some(path) = &args.save_solution else { return Ok(()) };
    let written = match &task.whole {
        None => formats::write_vector(path, task.system.a().space(), &measured.x, "solution"),
        Some(whole) => {
            let x = whole.solution(&measured.x)?;
            formats::write_vector(path, whole.space(), &x, "solution")
        }
    };
    written.map_err(|e| e.inside("--save-solution"))
}

/// Prints the result. Collective.
fn tell(
    args: &Args,
    session: &Session,
    Asked { case, solver, method, .. }: &Asked,
    task: &Task,
    (measured, reading): (&Measured, f64),
    saved: Option<&Opened>,
) -> Result<()> {
    let peak = peak_memory(session)?;
    let other = match &task.other {
        Some(other) => Some(other.a().nnz_global()?),
        None => None,
    };
    let other = case.other().map(|path| path.display().to_string()).zip(other);
    session.on_first(|| match args.json {
        true => {
            let mut summary = summary(task, solver, method.as_ref(), measured, peak);
            summary.files = session.files();
            summary.reading_seconds = reading;
            summary.loaded_from = saved.map(|file| file.path().display().to_string());
            (summary.preconditioner_matrix, summary.preconditioner_matrix_nnz) = other.unzip();
            print_json(&summary)
        }
        false => {
            let ranks = session.provenance().ranks();
            let how =
                saved.map_or("set up".into(), |s| format!("read from {}", s.path().display()));
            let from = other.map_or(String::new(), |(path, nnz)| {
                format!("; the preconditioner from matrix {path}: {nnz} entries")
            });
            let what = (case.describe(), from, how);
            let mut out = text(what, ranks, task, solver, method.as_ref(), (measured, reading));
            for file in session.files() {
                // Writing to a string cannot fail.
                let _ = writeln!(out, "{:<15} {}", "file", file.told());
            }
            print(&out)
        }
    })
}

/// What a configuration asks for.
struct Asked {
    case: Case,
    solver: SolverConfig,
    method: Option<MethodConfig>,
    plan: Plan,
}

fn asked(args: &Args, root: &Node, session: &Session, saved: Option<&Opened>) -> Result<Asked> {
    root.only(&["problem", "solver", "preconditioner"])?;
    let solver = match root.get("solver") {
        Some(section) => SolverConfig::from_node(section)?,
        None => SolverConfig::default(),
    };
    if solver.backend == Backend::Petsc && (saved.is_some() || args.save_preconditioner.is_some()) {
        let why = "--save-preconditioner and --load-preconditioner: not with backend = 'petsc', whose \
                   solvers set their preconditioners up themselves";
        return Err(Error::Parameter(why.into()));
    }
    let method = root.get("preconditioner").map(|node| session.method(node));
    let method = saved::method(session, method.transpose()?, saved)?;
    if args.save_preconditioner.is_some() {
        saved::can_be_saved(session, method.as_ref())?;
    }
    let plan = fallback::plan(session, root.get("solver"), &solver, method.as_ref())?;
    Ok(Asked { case: experiment::single(root, session)?, solver, method, plan })
}

/// The most memory that any rank has had so far, in bytes, where the system tells. Collective.
fn peak_memory(session: &Session) -> Result<Option<u64>> {
    let mut most = [crate::traffic::peak().unwrap_or(0) as f64];
    session.comm().max(&mut most)?;
    Ok((most[0] > 0.0).then_some(most[0] as u64))
}

/// A counter of iterations; shown on a terminal only.
fn progress(shown: bool) -> ProgressBar {
    if !shown {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {pos} iterations, {msg}, {elapsed}");
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(Duration::from_millis(200));
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn summary<'a>(
    task: &Task,
    solver: &'a SolverConfig,
    method: Option<&'a MethodConfig>,
    measured: &'a Measured,
    peak_memory_bytes: Option<u64>,
) -> Summary<'a> {
    let report = &measured.report;
    let last = report.history.last().copied();
    let measured_in = |norm| {
        let residual = solver.stop == StopRule::RelativeResidual;
        last.filter(|_| residual && solver.norm.unwrap_or_default() == norm)
    };
    Summary {
        method: solver.name(),
        preconditioner: measure::name(method),
        converged: report.outcome == Outcome::Converged,
        outcome: report.outcome.name(),
        reason: report.outcome.reason(),
        iterations: report.iterations,
        relative_residual: measured_in(Norm::Unpreconditioned),
        preconditioned_residual: measured_in(Norm::Preconditioned),
        natural_residual: measured_in(Norm::Natural),
        absolute_error: last.filter(|_| solver.stop == StopRule::AbsoluteError),
        true_relative_residual: report.true_relative_residual,
        scaled_residual: report.scaled_residual,
        setup_seconds: measured.setup_seconds,
        loaded_from: None,
        solve_seconds: measured.solve_seconds,
        reading_seconds: 0.0,
        product_seconds: measured.spent.map(|[products, _]| products),
        application_seconds: measured.spent.map(|[_, applications]| applications),
        preconditioner_nnz: measured.entries,
        preconditioner_bytes: measured.bytes,
        n: task.system.a().n_global(),
        nnz: task.nnz,
        preconditioner_matrix: None,
        preconditioner_matrix_nnz: None,
        null_space: task.system.a().null_spaces().map(|null| Singular {
            name: null.name(),
            known: task.null,
            right: null.right.as_ref().map_or(0, NullSpace::len),
            left: null.left.as_ref().map_or(0, NullSpace::len),
            outside: report.outside.map(|outside| outside.norm),
            outside_relative: report.outside.map(|outside| outside.relative),
        }),
        ranks: task.system.a().space().comm().size(),
        peak_memory_bytes,
        fallback: &report.switches,
        notes: &measured.notes,
        files: Vec::new(),
    }
}

fn text(
    (what, from, how): (String, String, String),
    ranks: Option<String>,
    task: &Task,
    solver: &SolverConfig,
    method: Option<&MethodConfig>,
    (measured, reading): (&Measured, f64),
) -> String {
    let report = &measured.report;
    let mut out = String::new();
    let mut line = |key: &str, value: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{key:<15} {value}");
    };
    let n = task.system.a().n_global();
    line("system", format!("{what}: {n} unknowns, {} entries{from}", task.nnz));
    if let Some(ranks) = ranks {
        line("ranks", ranks);
    }
    let given = measure::parameters(method);
    let given = if given.is_empty() { given } else { format!(" ({given})") };
    let size = match (measured.entries, measured.bytes) {
        (Some(entries), Some(size)) => format!(
            "{entries} numbers, {:.2} for each entry of A, {}",
            entries as f64 / task.nnz.max(1) as f64,
            bytes(size as f64)
        ),
        _ => "of a size that PETSc does not tell".to_owned(),
    };
    let ready = seconds(measured.setup_seconds);
    line("preconditioner", format!("{}{given}: {size}; {how} in {ready}", measure::name(method)));
    let (rule, tolerance) = (solver.measure(), solver.tolerance);
    let absolute = match solver.absolute_tolerance {
        Some(absolute) if absolute > 0.0 => format!(", or its norm itself ≤ {absolute:e}"),
        _ => String::new(),
    };
    line("solver", format!("{}, until {rule} ≤ {tolerance:e}{absolute}", solver.title()));
    for switch in &report.switches {
        line("fallback", measure::told(switch));
    }
    let iterations = report.iterations;
    let ended = match &report.outcome {
        Outcome::Converged => format!("converged after {iterations} iterations"),
        Outcome::IterationLimit => format!("not converged after {iterations} iterations"),
        Outcome::Diverged(why) => format!("diverged after {iterations} iterations: {why}"),
        Outcome::Breakdown(why) => format!("broke down after {iterations} iterations: {why}"),
        Outcome::RowsUnsolved(why) => format!("rows unsolved after {iterations} iterations: {why}"),
        Outcome::Interrupted => format!("interrupted after {iterations} iterations"),
    };
    line("result", format!("{ended}, in {}", seconds(measured.solve_seconds)));
    let last = report.history.last().copied().unwrap_or(f64::NAN);
    line(
        "",
        format!(
            "{rule} {}, true relative residual {}, scaled by rows {}",
            number(last),
            number(report.true_relative_residual),
            number(report.scaled_residual)
        ),
    );
    if let Some([products, applications]) = measured.spent {
        let rest = (measured.solve_seconds - products - applications).max(0.0);
        let took = |what: &str, time: f64| format!("{what} {}", seconds(time));
        let times = [
            took("the system", reading),
            took("setup", measured.setup_seconds),
            took("products", products),
            took("applications", applications),
            took("vectors and reductions", rest),
        ];
        line("time", times.join(", "));
    }
    for note in &measured.notes {
        line("note", note.clone());
    }
    out
}
