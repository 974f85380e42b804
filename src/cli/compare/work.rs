//! The solves of a comparison, one after the other.
use super::follow::Follow;
use super::ledger::{Event, Info, Key};
use super::runs::{Asked, Run};
use crate::experiment::{Case, Task};
use crate::measure::{self, Measured};
use crate::report::{self, Course, End, Entry, Failure};
use crate::session::Session;
use crate::traffic;
use crate::{interrupt, limit};
use precondor_core::config::StopRule;
use precondor_core::solver::Step;
use precondor_core::{Error, Result};
use std::collections::BTreeSet;
use std::time::Instant;

/// Who is told what happens.
pub type Teller<'t> = dyn FnMut(Event) -> Result<()> + 't;

/// A comparison under way.
pub struct UnderWay<'a> {
    pub session: &'a Session,
    pub asked: &'a Asked,
    /// Solves that are done already, in another process.
    pub done: BTreeSet<Key>,
    /// Those of them that had to be ended, or ended it.
    pub ended: BTreeSet<Key>,
    /// Whether a system that cannot be made is a failure of all its runs, and the others go on.
    pub tolerant: bool,
}

impl UnderWay<'_> {
    /// All runs on all systems. Leaves with [`Error::Interrupted`] on all ranks where any was asked to end. Collective.
    pub fn all(&mut self, tell: &mut Teller) -> Result<()> {
        (0..self.asked.cases.len()).try_for_each(|case| self.case(case, tell))
    }

    /// All runs on all systems of a case. Collective.
    fn case(&mut self, number: usize, tell: &mut Teller) -> Result<()> {
        let asked = self.asked;
        let mut follows = Vec::new();
        for run in &asked.runs {
            follows.push(Follow::new(run, self.session)?);
        }
        let case = &asked.cases[number];
        let under_way = asked.under_way(&self.done).contains(&number);
        (0..case.samples).try_for_each(|system| {
            if under_way {
                self.again((number, case), system, &mut follows)?;
            }
            self.system((number, case), system, &mut follows, tell)
        })
    }

    /// What another process has done of a system is done again, and not told, by runs that go on from it: nothing else of
    /// that process is left. Collective.
    fn again(
        &self,
        (number, case): (usize, &Case),
        system: u64,
        follows: &mut [Follow],
    ) -> Result<()> {
        let (session, asked) = (self.session, self.asked);
        let all = asked.todo(number, system, &self.ended).into_iter();
        let keys = all.filter(|key| self.done.contains(key) && asked.runs[key.run].goes_on());
        let keys: Vec<Key> = keys.collect();
        if keys.is_empty() {
            return Ok(());
        }
        interrupt::check(session)?;
        // What failed before fails as it did.
        let Ok(task) = session.task(case, system).and_then(Task::single) else { return Ok(()) };
        let exact = reference(&asked.runs, &task, session)?;
        for key in keys {
            let run = &asked.runs[key.run];
            if learnt(run, &task, session).is_err() {
                continue;
            }
            let one = || one((run, &mut follows[key.run]), &task, session, exact.as_deref());
            let (_, _) = limit::within(run.limit, one)?;
            interrupt::check(session)?;
        }
        Ok(())
    }

    /// All runs on one system. Collective.
    fn system(
        &mut self,
        (number, case): (usize, &Case),
        system: u64,
        follows: &mut [Follow],
        tell: &mut Teller,
    ) -> Result<()> {
        let (session, asked) = (self.session, self.asked);
        interrupt::check(session)?;
        let todo = asked.todo(number, system, &self.done);
        if todo.is_empty() {
            return Ok(());
        }
        tell(Event::Making(number, system))?;
        let made = session.task(case, system).and_then(Task::single).and_then(|task| {
            let exact = reference(&asked.runs, &task, session)?;
            Ok((task, exact))
        });
        let (task, exact) = match made {
            Err(e) if self.tolerant && !interrupt::wished(session)? => {
                let mut failed = BTreeSet::new();
                let once = todo.into_iter().filter(|key| failed.insert(key.run));
                let event = |key| {
                    Event::End(key, Box::new(Err(Failure::new(e.to_string()))), Course::default())
                };
                return once.map(event).try_for_each(tell);
            }
            made => made?,
        };
        let (n, nnz) = (task.system.a().n_global(), task.nnz);
        tell(Event::Made(number, system, Info { n, nnz, side: traffic::side(&task.system) }))?;
        let (mut failed, mut looked) = (BTreeSet::new(), BTreeSet::new());
        for key in todo {
            let run = &asked.runs[key.run];
            if failed.contains(&key.run) {
                continue;
            }
            // All others would have to begin again after each.
            let there = |ended: &&Key| (ended.case, ended.run) == (number, key.run);
            if let Some(there) = self.ended.iter().find(there).filter(|_| case.sequence) {
                let why = format!("not tried: it had to be ended at system {}", there.system);
                tell(Event::End(key, Box::new(Err(Failure::new(why))), Course::default()))?;
                failed.insert(key.run);
                continue;
            }
            tell(Event::Begin(key))?;
            let (end, course) = match looked.insert(key.run).then(|| learnt(run, &task, session)) {
                Some(Err(failure)) => (Err(failure), Course::default()),
                _ => limit::within(run.limit, || {
                    one((run, &mut follows[key.run]), &task, session, exact.as_deref())
                })?,
            };
            // What a signal cut short is not counted.
            let whole = end.as_ref().is_ok_and(Entry::converged);
            if interrupt::wished(session)? && !whole {
                return Err(Error::Interrupted);
            }
            if end.is_err() {
                failed.insert(key.run);
            }
            let first = system == 0 && key.round == 0;
            tell(Event::End(key, Box::new(end), if first { course } else { Course::default() }))?;
        }
        Ok(())
    }
}

/// x*, where a run measures its error.
fn reference(runs: &[Run], task: &Task, session: &Session) -> Result<Option<Vec<f64>>> {
    let needing = runs.iter().filter(|run| run.solver.stop == StopRule::AbsoluteError);
    let tightest = needing.map(|run| run.solver.tolerance).reduce(f64::min);
    tightest.map(|tolerance| measure::exact(session, task, tolerance)).transpose()
}

/// One solve of a system with nothing kept of others. Collective.
pub fn solve_once(run: &Run, task: &Task, session: &Session) -> Result<End> {
    if let Err(failure) = learnt(run, task, session) {
        return Ok(Err(failure));
    }
    let mut alone = Follow::new(run, session)?;
    let work = || one((run, &mut alone), task, session, None);
    limit::within(run.limit, work).map(|(end, _)| end)
}

/// Fails where a model of the run was trained on the matrix of `task`. Collective.
fn learnt(run: &Run, task: &Task, session: &Session) -> std::result::Result<(), Failure> {
    let methods = run.method.iter().chain(&run.plan.replacement);
    let a = task.preconditioned().a();
    let mut seen = methods.map(|method| session.not_trained_on(&method.params, a));
    seen.try_for_each(|known| known.map_err(|e| Failure::new(e.to_string())))
}

/// One solve: how it ended, and its course. Collective.
fn one(
    (run, follow): (&Run, &mut Follow),
    task: &Task,
    session: &Session,
    exact: Option<&[f64]>,
) -> Result<(End, Course)> {
    let exact = exact.filter(|_| run.solver.stop == StopRule::AbsoluteError);
    let task = task.under(&run.solver);
    let task: &Task = &task;
    let mut seen: Vec<(Instant, f64)> = Vec::new();
    let mut watch = |step: &Step| seen.push((Instant::now(), step.measure));
    let measured = follow.solve(run, (task, session), exact, &mut watch);
    let cut = session.comm().any(limit::cut())?;
    let over = || {
        let seconds = run.limit.unwrap_or_default().as_secs_f64();
        format!("the time limit of {seconds} s was over")
    };
    Ok(match measured {
        Err(_) if cut => (Err(Failure::late(over() + " before it was set up")), Course::default()),
        Err(e) => (Err(Failure::new(e.to_string())), Course::default()),
        Ok((measured, setup)) => {
            let mut entry = measured.entry(task, setup);
            if cut && entry.outcome == "interrupted" {
                (entry.outcome, entry.reason) = (report::TIME_LIMIT.into(), Some(over()));
            }
            let course = course(&measured, &seen);
            (Ok(entry), course)
        }
    })
}

/// The course of a solve whose measures were seen at these times: the last of them at its end.
fn course(measured: &Measured, seen: &[(Instant, f64)]) -> Course {
    let end = measured.setup_seconds + measured.solve_seconds;
    let last = seen.last().map(|(last, _)| *last);
    let before = |at: Instant| last.map_or(0.0, |last| last.duration_since(at).as_secs_f64());
    Course {
        history: measured.report.history.clone(),
        seconds: seen.iter().map(|(at, _)| (end - before(*at)).max(0.0)).collect(),
        measures: seen.iter().map(|(_, measure)| *measure).collect(),
    }
}
