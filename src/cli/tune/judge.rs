//! Who tries configurations: this process, on all ranks, or one of its own that can be ended.
use super::asked::Asked;
use super::field::Looked;
use super::race::{Judge, Order};
use crate::compare::solve_once;
use crate::experiment::Task;
use crate::interrupt;
use crate::report::{End, Failure};
use crate::session::Session;
use crate::worker::{self, Heard, Orders, Worker};
use precondor_core::comm::Communicator;
use precondor_core::persist::Digest;
use precondor_core::{Error, Result};
use precondor_host::child;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Entries of the matrices that are kept from one order to the next, on this rank.
const KEPT: usize = 20_000_000;

/// Tries them here. Collective in all it does.
pub struct Here<'a> {
    session: &'a Session,
    asked: &'a Asked,
    start: Instant,
    /// Systems that were made last.
    tasks: VecDeque<(usize, Task)>,
}

impl<'a> Here<'a> {
    pub fn new(session: &'a Session, asked: &'a Asked) -> Here<'a> {
        Here { session, asked, start: Instant::now(), tasks: VecDeque::new() }
    }

    /// A system, as it was made or made anew.
    fn task(&mut self, system: usize) -> Result<&Task> {
        match self.tasks.iter().position(|(of, _)| *of == system) {
            Some(place) => {
                let task = self.tasks.remove(place);
                self.tasks.extend(task);
            }
            None => {
                let task = self.asked.task(system, self.session)?;
                let entries = |task: &Task| task.system.a().nnz_own();
                let mut kept: usize = self.tasks.iter().map(|(_, task)| entries(task)).sum();
                // All ranks let go of the same: what they own is alike, and the first decides.
                let mut room = [(kept + entries(&task)).saturating_sub(KEPT) as f64];
                self.session.comm().max(&mut room)?;
                while room[0] > 0.0 && !self.tasks.is_empty() {
                    let gone = self.tasks.pop_front().map_or(0, |(_, task)| entries(&task));
                    kept -= gone;
                    room = [(kept + entries(&task)).saturating_sub(KEPT) as f64];
                    self.session.comm().max(&mut room)?;
                }
                self.tasks.push_back((system, task));
            }
        }
        let none = || Error::Data("no system".into());
        self.tasks.back().map(|(_, task)| task).ok_or_else(none)
    }

    fn seen(&mut self, system: usize) -> Result<Looked> {
        let task = self.task(system)?;
        let a = task.system.a();
        let symmetric = a.first_unsymmetric()?.is_none();
        Ok(Looked { n: a.n_global(), nnz: task.nnz, symmetric, digest: Digest::of(a)?.values })
    }
}

impl Judge for Here<'_> {
    fn look(&mut self, system: usize) -> Result<std::result::Result<Looked, String>> {
        Ok(self.seen(system).map_err(|e| e.to_string()))
    }

    fn solve(&mut self, order: &Order) -> Result<End> {
        let run = self.asked.run(order, self.session)?;
        let session = self.session;
        let task = self.task(order.system)?;
        solve_once(&run, task, session)
    }

    fn elapsed(&self) -> Result<f64> {
        let mut seconds = [self.start.elapsed().as_secs_f64()];
        self.session.comm().max(&mut seconds)?;
        Ok(seconds[0])
    }

    fn interrupted(&self) -> Result<bool> {
        interrupt::wished(self.session)
    }
}

/// What a worker is asked.
#[derive(Serialize, Deserialize)]
enum Ask {
    Look(usize),
    Solve(Box<Order>),
}

/// What it says.
#[derive(Serialize, Deserialize)]
enum Said {
    Looked(std::result::Result<Looked, String>),
    /// The system is there, setup and solve begin.
    Begin,
    End(Box<End>),
}

/// The worker's side: does as it is told until its parent is gone.
pub fn work(session: &Session, asked: &Asked, orders: &Orders) -> Result<()> {
    let mut here = Here::new(session, asked);
    loop {
        match orders.next()? {
            Ask::Look(system) => child::say(&Said::Looked(here.look(system)?)),
            Ask::Solve(order) => {
                // Made outside of the time that a run may take.
                let made = here.task(order.system).map(drop);
                child::say(&Said::Begin);
                let end = match made {
                    Ok(()) => here.solve(&order)?,
                    Err(e) => Err(Failure::new(e.to_string())),
                };
                child::say(&Said::End(Box::new(end)));
            }
        }
    }
}

/// Has them tried in a process of its own, which is ended where one does not stop, and started again.
pub struct Apart<'a> {
    session: &'a Session,
    /// What a worker is told first.
    told: Vec<serde_json::Value>,
    worker: Option<Worker>,
    start: Instant,
    budget: Duration,
}

/// How waiting for a worker ended.
enum Waited {
    Said(Said),
    Crashed(Failure),
    /// It did not stop in time.
    Late(Duration),
}

impl<'a> Apart<'a> {
    pub fn new(session: &'a Session, told: serde_json::Value, budget: f64) -> Apart<'a> {
        let budget = Duration::try_from_secs_f64(budget).unwrap_or(Duration::MAX);
        Apart { session, told: vec![told], worker: None, start: Instant::now(), budget }
    }

    /// Asks the worker, one that is started where there is none.
    fn ask(&mut self, ask: &Ask, limit: Option<Duration>) -> Result<Waited> {
        if self.worker.is_none() {
            let mut worker = Worker::start()?;
            self.told.iter().try_for_each(|told| worker.tell(told))?;
            self.worker = Some(worker);
        }
        let Some(mut worker) = self.worker.take() else { return Err(Error::Interrupted) };
        worker.tell(ask)?;
        let mut since = None;
        loop {
            match worker.hear::<Said>()? {
                Heard::Said(Said::Begin) => since = Some(Instant::now()),
                Heard::Said(said) => {
                    self.session.files_unchanged()?;
                    self.worker = Some(worker);
                    return Ok(Waited::Said(said));
                }
                Heard::Quiet => {}
                Heard::Closed => {
                    let failure = worker.ended()?;
                    if interrupt::asked() {
                        return Err(Error::Interrupted);
                    }
                    return Ok(Waited::Crashed(failure));
                }
            }
            if interrupt::asked() {
                worker.end()?;
                return Err(Error::Interrupted);
            }
            // What has no limit has that of the whole.
            let left = || self.budget.saturating_sub(self.start.elapsed());
            let limit = limit.unwrap_or(self.budget);
            let over = |since: Instant| {
                since.elapsed() > limit + worker::grace(limit).min(worker::grace(left()))
            };
            if since.is_some_and(over) {
                worker.end()?;
                return Ok(Waited::Late(limit));
            }
        }
    }
}

impl Judge for Apart<'_> {
    fn look(&mut self, system: usize) -> Result<std::result::Result<Looked, String>> {
        match self.ask(&Ask::Look(system), None)? {
            Waited::Said(Said::Looked(looked)) => Ok(looked),
            Waited::Crashed(failure) => Ok(Err(failure.why)),
            Waited::Late(limit) => Ok(Err(worker::ended_at(limit).why)),
            Waited::Said(_) => {
                Err(Error::Data("of the process that solves: another answer".into()))
            }
        }
    }

    fn solve(&mut self, order: &Order) -> Result<End> {
        let limit = order.seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        match self.ask(&Ask::Solve(Box::new(order.clone())), limit)? {
            Waited::Said(Said::End(end)) => Ok(*end),
            Waited::Crashed(failure) => Ok(Err(failure)),
            Waited::Late(limit) => Ok(Err(worker::ended_at(limit))),
            Waited::Said(_) => {
                Err(Error::Data("of the process that solves: another answer".into()))
            }
        }
    }

    fn elapsed(&self) -> Result<f64> {
        Ok(self.start.elapsed().as_secs_f64())
    }

    fn interrupted(&self) -> Result<bool> {
        Ok(interrupt::asked())
    }
}
