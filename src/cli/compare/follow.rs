//! A run that goes on from one system to the next: with the preconditioner, as [`Reuse`] says, and from the last solution.
use super::runs::Run;
use crate::experiment::Task;
use crate::measure::{self, Measured, measure, measure_with};
use crate::session::Session;
use crate::{backend, interrupt, limit};
use precondor::config::backend::is_petsc;
use precondor_core::Result;
use precondor_core::config::Backend;
use precondor_core::instance::{Kept, Setup, poisoned};
use precondor_core::reuse::{Last, Reuse, Solve};
use precondor_core::solver::{Outcome, Step};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a run takes along.
enum Follower {
    /// Nothing but its last solution.
    Alone,
    /// A preconditioner of ours, whoever iterates: PETSc holds it while it solves.
    Kept(Arc<Mutex<Kept>>),
    /// A solver of PETSc's with a preconditioner of PETSc's.
    Petsc(Box<backend::Kept>),
}

/// A run under way.
pub struct Follow {
    who: Follower,
    last: Last,
}

/// Told of every iteration.
type Watch<'w> = dyn FnMut(&Step) + 'w;

impl Follow {
    /// Before its first system. Collective.
    pub fn new(run: &Run, session: &Session) -> Result<Follow> {
        let who = match (&run.method, run.reuse) {
            (Some(config), Some(reuse)) if is_petsc(&config.name) => {
                Follower::Petsc(Box::new(backend::Kept::new(reuse, run.setup_cost)))
            }
            (Some(config), Some(reuse)) => {
                let method = session.comm().agree(session.generator(&config.name))?;
                let kept = Kept::new(method, &config.params).reusing(reuse, run.setup_cost);
                Follower::Kept(Arc::new(Mutex::new(kept)))
            }
            _ => Follower::Alone,
        };
        Ok(Follow { who, last: Last::default() })
    }

    /// The next system, and how its preconditioner was come by. Collective.
    pub fn solve(
        &mut self,
        run: &Run,
        (task, session): (&Task, &Session),
        exact: Option<&[f64]>,
        watch: &mut Watch,
    ) -> Result<(Measured, Setup)> {
        let space = task.system.a().space();
        let from = self.last.start(space).filter(|_| run.warm);
        let warm = from.map(|x| Task { x0: x.to_vec(), ..task.clone() });
        let task = warm.as_ref().unwrap_or(task);
        let how = (&run.solver, &run.plan);
        let (measured, setup) = match &mut self.who {
            Follower::Alone => {
                let measured = measure(session, task, run.method.as_ref(), how, exact, watch);
                measured.map(|measured| (measured, Setup::SetUp))
            }
            Follower::Kept(kept) => kept_on(kept, run, (task, session), exact, watch),
            Follower::Petsc(kept) => {
                backend::follow(kept, session, task, run.method.as_ref(), &run.solver, watch)
            }
        }?;
        if run.warm && measured.report.outcome == Outcome::Converged {
            self.last.keep(space, &measured.x);
        }
        Ok((measured, setup))
    }
}

/// What is to be known of a system that the last M does not fit.
pub const CHANGED: &str = "its rows or its pattern are not those of the system before: set up anew";

/// A solve with the preconditioner of the systems before, as it is or made that of this one; one that was left as it was
/// and fails is made anew, and the solve goes on with it.
fn kept_on(
    kept: &Arc<Mutex<Kept>>,
    run: &Run,
    (task, session): (&Task, &Session),
    exact: Option<&[f64]>,
    watch: &mut Watch,
) -> Result<(Measured, Setup)> {
    let first = once(kept, false, run, (task, session), exact, watch)?;
    let stopped = session.comm().any(interrupt::asked() || limit::cut())?;
    let setup = locked(kept).setup();
    if first.report.outcome == Outcome::Converged || setup != Setup::Kept || stopped {
        return Ok((first, setup));
    }
    let further = first.report.true_relative_residual < 1.0;
    let x0 = if further { first.x.clone() } else { task.x0.clone() };
    let again = Task { x0, ..task.clone() };
    let second = once(kept, true, run, (&again, session), exact, watch)?;
    Ok((together(first, second), locked(kept).setup()))
}

/// What is kept; nobody else is at it.
fn locked(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sets M up, or not, and solves.
fn once(
    kept: &Arc<Mutex<Kept>>,
    anew: bool,
    run: &Run,
    (task, session): (&Task, &Session),
    exact: Option<&[f64]>,
    watch: &mut Watch,
) -> Result<Measured> {
    let meter = session.meter();
    let (system, method) = (task.preconditioned(), run.method.as_ref());
    let m = interrupt::guarded(|| {
        let kept = &mut *locked(kept);
        if anew { kept.renew(system) } else { kept.update(system) }.map(|_| ())
    });
    m.map_err(|e| e.inside(measure::name(method)))?;
    let mut measured = match run.solver.backend {
        Backend::Petsc => backend::measure_kept(session, task, (method, kept), &run.solver, watch)?,
        Backend::Precondor => {
            let kept = locked(kept);
            let made = kept.ready().ok_or_else(poisoned)?;
            let (with, how) = ((method, made, meter), (&run.solver, &run.plan));
            measure_with(session, task, with, how, exact, watch)?
        }
    };
    let mut kept = locked(kept);
    measured.notes.extend(kept.changed().then(|| CHANGED.to_owned()));
    kept.solved(Solve::from(&measured.report));
    Ok(measured)
}

/// A solve that was begun with one M and ended with another.
pub fn together(first: Measured, second: Measured) -> Measured {
    let note = format!(
        "the preconditioner of the systems before failed after {} iterations ({}); it was made anew",
        first.report.iterations,
        first.report.outcome.name()
    );
    let mut notes = second.notes;
    notes.push(note);
    Measured {
        report: second.report.after(first.report),
        setup_seconds: first.setup_seconds + second.setup_seconds,
        solve_seconds: first.solve_seconds + second.solve_seconds,
        spent: add(first.spent, second.spent),
        counts: add(first.counts, second.counts),
        notes,
        ..second
    }
}

fn add<T: Copy + std::ops::Add<Output = T>>(
    a: Option<[T; 2]>,
    b: Option<[T; 2]>,
) -> Option<[T; 2]> {
    let (a, b) = (a?, b?);
    Some([a[0] + b[0], a[1] + b[1]])
}

/// In words, for tables.
pub fn told(run: &Run) -> Option<String> {
    let reuse = run.reuse.map(|reuse| match reuse {
        Reuse::Keep => "kept from system to system",
        Reuse::Refresh => "refreshed from system to system",
        Reuse::Adaptive => "made anew where that pays",
    });
    let warm = run.warm.then_some("started from the last solution");
    let words: Vec<&str> = reuse.into_iter().chain(warm).collect();
    (!words.is_empty()).then(|| words.join(", "))
}
