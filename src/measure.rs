//! One solve, measured: what it took and gave, on all ranks together.
use crate::Methods;
use crate::config::experiment::Task;
use crate::config::fallback::Plan;
use crate::config::solve;
use crate::report::format::seconds as shown;
use crate::report::solves::Entry;
use crate::report::traffic::{Counted, Meter, Sent};
use precondor_core::Result;
use precondor_core::comm::{Comm, Communicator};
use precondor_core::config::{MethodConfig, SolverConfig};
use precondor_core::instance::Setup;
use precondor_core::matrix::ExplicitKind;
use precondor_core::precond::Preconditioner;
use precondor_core::ready::Ready;
use precondor_core::schema;
use precondor_core::solver::{self, Watcher};
use serde_json::{Map, Value};
use std::time::Instant;

/// What a solve took and gave.
pub struct Measured {
    /// How it went.
    pub report: solver::Report,
    /// The solution, on the rows that this rank owns.
    pub x: Vec<f64>,
    /// Seconds to set the preconditioner up, on the slowest rank.
    pub setup_seconds: f64,
    /// Seconds to solve, on the slowest rank.
    pub solve_seconds: f64,
    /// Seconds of it in products with A and in applications of M, on the slowest rank; not known of PETSc's solves.
    pub spent: Option<[f64; 2]>,
    /// Products with A and applications of M; not known of PETSc's solves.
    pub counts: Option<[u64; 2]>,
    /// How often an application of M goes through what M stores: [`passes`].
    pub passes: f64,
    /// What every rank sent and held; none on a single one, and in solves by PETSc.
    pub counted: Option<Counted>,
    /// Numbers that M is made of, on all ranks together, where they are known.
    pub entries: Option<usize>,
    /// Bytes of M, on all ranks together, where they are known.
    pub bytes: Option<usize>,
    /// What the method has to say about this M.
    pub notes: Vec<String>,
}

/// Makes a preconditioner.
pub type SetUp<'s> = dyn Fn(&MethodConfig) -> Result<Ready> + 's;

/// Solves with an M that is there and who has counted since before it was, as `plan` says where M fails; `set_up` makes
/// what takes its place. `exact` is x*, for the rule that needs it. Collective.
///
/// # Errors
/// What the solver reports.
pub fn measure_with(
    methods: &Methods,
    task: &Task,
    (method, made, mut meter): (Option<&MethodConfig>, &Ready, Meter<'_>),
    (solver, plan): (&SolverConfig, &Plan),
    exact: Option<&[f64]>,
    set_up: &SetUp<'_>,
    watch: &mut Watcher,
) -> Result<Measured> {
    let start = Instant::now();
    let m = made.m();
    let mut notes = [task.notes(), made.notes()].concat();
    let foreseen = solve::look(solver, task, m, plan, &mut notes)?;
    let mut seconds = [(made.taken + start.elapsed()).as_secs_f64(), 0.0];
    meter.set_up(m, &task.b);
    let mut x = task.x0.clone();
    let mut watch = |step: &solver::Step| {
        meter.measured();
        watch(step)
    };
    let make = &mut |method: &_| set_up(method);
    let start = Instant::now();
    tracing::info!("{}: the solve begins", name(method));
    let how = (solver, plan);
    let (report, spent) = solve::run(how, task, (m, foreseen), &mut x, exact, &mut watch, make)?;
    seconds[1] = start.elapsed().as_secs_f64();
    meter.solved();
    for switch in &report.switches {
        tracing::warn!("{}: {}", name(method), told(switch));
    }
    notes.extend(solve::remarks(&report, solver));
    tracing::info!(
        "{}: set up in {}, {} after {} iterations in {}",
        name(method),
        shown(seconds[0]),
        report.outcome.name(),
        report.iterations,
        shown(seconds[1])
    );
    let comm = methods.comm();
    let size = Some((m.stored_entries(), m.bytes()));
    let measured = measured(comm, report, x, seconds, size, notes)?;
    let counts = Some(spent.counts);
    let mut spent = [spent.products, spent.applications].map(|spent| spent.as_secs_f64());
    comm.max(&mut spent)?;
    let (passes, counted) = (passes(methods, method, m), meter.finish(m.bytes())?);
    Ok(Measured { spent: Some(spent), counts, passes, counted, ..measured })
}

/// How often an application of M goes through what M stores: twice where it is a factor G with M = GᵀG, else what the method's
/// schema says ([`schema::PASSES`]), else once.
pub fn passes(methods: &Methods, method: Option<&MethodConfig>, m: &dyn Preconditioner) -> f64 {
    if m.explicit().is_some_and(|explicit| explicit.kind == ExplicitKind::Factor) {
        return 2.0;
    }
    let schema = method.and_then(|method| Some(methods.get(&method.name).ok()?.schema()));
    let said = schema.and_then(|schema| schema[schema::PASSES].as_f64());
    said.filter(|passes| passes.is_finite() && *passes >= 0.0).unwrap_or(1.0)
}

impl Measured {
    /// What is kept of a solve of `task`, whose preconditioner was come by as `setup` says.
    pub fn entry(&self, task: &Task, setup: Setup) -> Entry {
        let report = &self.report;
        let ratio = self.entries.map(|n| n as f64 / task.nnz.max(1) as f64);
        let work = |[products, applications]: [u64; 2]| {
            Some(products as f64 + applications as f64 * self.passes * ratio?)
        };
        Entry {
            iterations: report.iterations,
            outcome: report.outcome.name().into(),
            reason: report.outcome.reason().map(str::to_owned),
            measure: report.history.last().copied().unwrap_or(f64::NAN),
            true_relative_residual: report.true_relative_residual,
            nnz_ratio: ratio,
            preconditioner_nnz: self.entries,
            preconditioner_bytes: self.bytes,
            products: self.counts.and_then(work),
            setup_seconds: self.setup_seconds,
            solve_seconds: self.solve_seconds,
            times: vec![[self.setup_seconds, self.solve_seconds]],
            setup,
            fallback: report.switches.clone(),
            notes: self.notes.clone(),
            ranks: self.counted.as_ref().map(Sent::new),
        }
    }
}

/// What all ranks together took and gave: seconds are those of the slowest, sizes add up. Collective.
pub fn measured(
    comm: &Comm,
    report: solver::Report,
    x: Vec<f64>,
    mut seconds: [f64; 2],
    size: Option<(usize, usize)>,
    notes: Vec<String>,
) -> Result<Measured> {
    comm.max(&mut seconds)?;
    let mine = size.unwrap_or_default();
    let sizes = comm.all_gather(&[mine.0 as u64, mine.1 as u64])?;
    let total = |k: usize| sizes.iter().map(|of_rank| of_rank[k] as usize).sum();
    Ok(Measured {
        report,
        x,
        setup_seconds: seconds[0],
        solve_seconds: seconds[1],
        spent: None,
        counts: None,
        passes: 1.0,
        counted: None,
        entries: size.map(|_| total(0)),
        bytes: size.map(|_| total(1)),
        notes: notes_of_all(comm, notes)?,
    })
}

/// What the ranks have to say, on the first: what all say, then what only some do, with their
/// numbers. Collective.
fn notes_of_all(comm: &Comm, notes: Vec<String>) -> Result<Vec<String>> {
    if comm.size() == 1 {
        return Ok(notes);
    }
    let mut send = vec![Vec::new(); comm.size()];
    send[0] = notes.join("\0").into_bytes();
    let mut said: Vec<(String, Vec<usize>)> = Vec::new();
    for (rank, bytes) in comm.all_to_all(&send)?.iter().enumerate() {
        let text = String::from_utf8_lossy(bytes);
        for note in text.split('\0').filter(|note| !note.is_empty()) {
            match said.iter_mut().find(|(other, _)| other == note) {
                Some((_, ranks)) => ranks.push(rank),
                None => said.push((note.to_owned(), vec![rank])),
            }
        }
    }
    let (common, single): (Vec<_>, Vec<_>) =
        said.into_iter().partition(|(_, ranks)| ranks.len() == comm.size());
    let more = single.len().saturating_sub(NOTES);
    let of_some = single.into_iter().take(NOTES).map(|(note, ranks)| match ranks.as_slice() {
        [rank] => format!("rank {rank}: {note}"),
        [first, ..] => format!("rank {first} and {} more: {note}", ranks.len() - 1),
        [] => note,
    });
    let mut all: Vec<String> = common.into_iter().map(|(note, _)| note).chain(of_some).collect();
    all.extend((more > 0).then(|| format!("and {more} more notes of single ranks")));
    Ok(all)
}

/// Notes of single ranks, at most, that are told.
const NOTES: usize = 8;

/// A switch in words.
pub fn told(switch: &solver::Switch) -> String {
    let solver::Switch { iteration, reason, to } = switch;
    format!("after {iteration} iterations {reason}; went on with {to}")
}

/// The name of a method for tables and JSON.
pub fn name(method: Option<&MethodConfig>) -> &str {
    method.map_or("none", |config| &config.name)
}

/// Parameters that were given, as `key value` words.
pub fn parameters(method: Option<&MethodConfig>) -> String {
    let none = Map::new();
    let given = method.and_then(|config| config.params.as_object()).unwrap_or(&none);
    words(given)
}

fn words(given: &Map<String, Value>) -> String {
    let words = given.iter().map(|(key, value)| match value {
        Value::String(text) => format!("{key} {text}"),
        Value::Object(inner) => match inner.get("name").and_then(Value::as_str) {
            Some(name) => format!("{key} {name}"),
            None => words(inner),
        },
        value => format!("{key} {value}"),
    });
    words.collect::<Vec<_>>().join(", ")
}
