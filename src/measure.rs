//! One solve, measured.
use crate::backend;
use crate::experiment::Task;
use crate::fallback::Plan;
use crate::interrupt;
use crate::report::format::seconds as shown;
use crate::session::Session;
use crate::traffic::{Counted, Meter};
use precondor_core::comm::Communicator;
use precondor_core::config::{Assume, Backend, Check, MethodConfig, SolverConfig};
use precondor_core::precond::{Identity, Preconditioner};
use precondor_core::solver::{
    self, AssumedDefinite, Fallback, Foreseen, Outcome, Replacement, Step,
};
use precondor_core::{Error, Result};
use serde_json::{Map, Value};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

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
    /// What every rank sent and held; none on a single one, and in solves by PETSc.
    pub counted: Option<Counted>,
    /// Numbers that M is made of, on all ranks together, where they are known.
    pub entries: Option<usize>,
    /// Bytes of M, on all ranks together, where they are known.
    pub bytes: Option<usize>,
    /// What the method has to say about this M.
    pub notes: Vec<String>,
}

/// Sets up the preconditioner (none: M = I). Collective.
pub fn set_up(
    session: &Session,
    task: &Task,
    method: Option<&MethodConfig>,
) -> Result<Box<dyn Preconditioner>> {
    match method {
        None => Ok(Box::new(Identity)),
        Some(config) => {
            let generator = session.comm().agree(session.generator(&config.name))?;
            let make = || generator.generate(&config.params, task.preconditioned());
            let made = interrupt::guarded(make);
            Ok(made.map_err(|e| e.inside(config.name.as_str()))?)
        }
    }
}

/// Sets up the preconditioner and solves, as `plan` says where M fails. `exact` is x*, for the rule
/// that needs it. Collective.
pub fn measure(
    session: &Session,
    task: &Task,
    method: Option<&MethodConfig>,
    (config, plan): (&SolverConfig, &Plan),
    exact: Option<&[f64]>,
    watch: &mut dyn FnMut(&Step),
) -> Result<Measured> {
    if config.backend == Backend::Petsc {
        return backend::measure(session, task, method, config, watch);
    }
    let (meter, start) = (session.meter(), Instant::now());
    let m = set_up(session, task, method)?;
    let made = Made { m: m.as_ref(), taken: start.elapsed(), meter };
    measure_with(session, task, (method, made), (config, plan), exact, watch)
}

/// An M that is there.
pub struct Made<'a> {
    /// M.
    pub m: &'a dyn Preconditioner,
    /// The time that it took to get it.
    pub taken: Duration,
    /// Who has counted since before that.
    pub meter: Meter<'a>,
}

/// As [`measure`], with an M that is there. Collective.
pub fn measure_with(
    session: &Session,
    task: &Task,
    (method, Made { m, taken, mut meter }): (Option<&MethodConfig>, Made<'_>),
    (config, plan): (&SolverConfig, &Plan),
    exact: Option<&[f64]>,
    watch: &mut dyn FnMut(&Step),
) -> Result<Measured> {
    let (a, iteration) = (task.system.a(), config.method());
    let assumed = AssumedDefinite(m);
    let m: &dyn Preconditioner = if config.assume == Some(Assume::Spd) { &assumed } else { m };
    let start = Instant::now();
    let mut notes = [task.notes(), m.notes()].concat();
    let foreseen = match plan.check {
        None => None,
        Some(Check::Lanczos) => look(&iteration, task, m, plan, &mut notes)?,
    };
    let mut seconds = [(taken + start.elapsed()).as_secs_f64(), 0.0];
    meter.set_up(m, &task.b);
    let stop = config.stop(exact);
    let mut x = task.x0.clone();
    let mut watch = |step: &Step| {
        meter.measured();
        watch(step);
        if interrupt::asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let start = Instant::now();
    let solved = interrupt::gracefully(|| {
        tracing::info!("{}: the solve begins", name(method));
        if !plan.watched {
            return solver::solve(&iteration, a, m, &task.b, &mut x, &stop, &mut watch);
        }
        let mut chain = plan.chain(m);
        let mut next = |indefinite| {
            let method = chain.next(indefinite)?;
            let made = set_up(session, task, Some(&method));
            let contraction = chain.made(made.as_deref().ok());
            let chosen = made.as_ref().ok().and_then(|m| m.delegate());
            let name = match chosen {
                Some(chosen) => format!("{chosen}, chosen by {}", method.name),
                None => method.name,
            };
            Some(Replacement { name, contraction, made })
        };
        let next = plan.replacement.is_some().then_some(&mut next as &mut solver::Next);
        let mut fallback = Fallback { contraction: plan.contraction, next, foreseen };
        let b = &task.b;
        solver::solve_with_fallback(&iteration, a, m, b, &mut x, &stop, &mut watch, &mut fallback)
    });
    let report = solved.map_err(|e| e.inside(config.method.name()))?;
    seconds[1] = start.elapsed().as_secs_f64();
    meter.solved();
    for switch in &report.switches {
        tracing::warn!("{}: {}", name(method), told(switch));
    }
    notes.extend(report.hint(&iteration));
    notes.extend(report.outside.and_then(outside));
    tracing::info!(
        "{}: set up in {}, {} after {} iterations in {}",
        name(method),
        shown(seconds[0]),
        outcome(&report.outcome),
        report.iterations,
        shown(seconds[1])
    );
    let size = Some((m.stored_entries(), m.bytes()));
    let measured = measured(session, report, x, seconds, size, notes)?;
    Ok(Measured { counted: meter.finish(m.bytes())?, ..measured })
}

/// What all ranks together took and gave: seconds are those of the slowest, sizes add up. Collective.
pub fn measured(
    session: &Session,
    report: solver::Report,
    x: Vec<f64>,
    mut seconds: [f64; 2],
    size: Option<(usize, usize)>,
    notes: Vec<String>,
) -> Result<Measured> {
    let comm = session.comm();
    comm.max(&mut seconds)?;
    let mine = size.unwrap_or_default();
    let sizes = comm.all_gather(&[mine.0 as u64, mine.1 as u64])?;
    let total = |k: usize| sizes.iter().map(|of_rank| of_rank[k] as usize).sum();
    Ok(Measured {
        report,
        x,
        setup_seconds: seconds[0],
        solve_seconds: seconds[1],
        counted: None,
        entries: size.map(|_| total(0)),
        bytes: size.map(|_| total(1)),
        notes: notes_of_all(session, notes)?,
    })
}

/// What the ranks have to say, on the first: what all say, then what only some do, with their
/// numbers. Collective.
fn notes_of_all(session: &Session, notes: Vec<String>) -> Result<Vec<String>> {
    let comm = session.comm();
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

/// Looks at the spectrum of MA; what it says about the solve is acted upon where it is watched.
fn look(
    iteration: &solver::Method,
    task: &Task,
    m: &dyn Preconditioner,
    plan: &Plan,
    notes: &mut Vec<String>,
) -> Result<Option<Foreseen>> {
    match solver::foresee(iteration, task.system.a(), m, plan.contraction) {
        Ok((said, foreseen)) => {
            notes.push(said);
            Ok(foreseen)
        }
        Err(Error::Unsupported(why)) => {
            notes.push(format!("not checked: {why}"));
            Ok(None)
        }
        Err(other) => Err(other.inside("check")),
    }
}

/// A switch in words.
pub fn told(switch: &solver::Switch) -> String {
    let solver::Switch { iteration, reason, to } = switch;
    format!("after {iteration} iterations {reason}; went on with {to}")
}

/// What of the right-hand side no x can reach, in words, where it is more than rounding.
pub fn outside(of: solver::Outside) -> Option<String> {
    const ROUNDING: f64 = 1e-14;
    (of.relative > ROUNDING).then(|| {
        format!(
            "the right-hand side is not in the range of A: a part of norm {:.3e}, {:.3e} of the whole, \
             is outside; x is the least-squares solution of smallest norm",
            of.norm, of.relative
        )
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

/// The outcome as `--json` spells it.
pub fn outcome(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Converged => "converged",
        Outcome::IterationLimit => "iteration-limit",
        Outcome::Diverged(_) => "diverged",
        Outcome::Breakdown(_) => "breakdown",
        Outcome::RowsUnsolved(_) => "rows-unsolved",
        Outcome::Interrupted => "interrupted",
    }
}
