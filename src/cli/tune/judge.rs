//! Who tries configurations for the program: this process, on all ranks, or one of its own that can be ended.
use crate::compare::{Run, solve_once};
use crate::experiment::Task;
use crate::interrupt;
use crate::report::{End, Failure};
use crate::session::Session;
use crate::worker::{self, Heard, Orders, Worker};
use precondor::Methods;
use precondor::tune::{self, Asked, Bench, Here, Judge, Looked, Order};
use precondor_core::{Error, Result};
use precondor_host::child;
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// Tries them on the ranks of a command.
impl Bench for Session {
    fn methods(&self) -> &Methods {
        self
    }

    fn made(&self) -> Result<()> {
        self.comm().agree(self.files_unchanged())
    }

    fn solve(&self, run: &tune::Run, task: &Task) -> Result<End> {
        let tune::Run { solver, method, plan, limit } = run;
        let run = Run {
            label: String::new(),
            group: String::new(),
            solver: solver.clone(),
            method: method.clone(),
            plan: plan.clone(),
            reuse: None,
            setup_cost: None,
            warm: false,
            limit: *limit,
        };
        solve_once(&run, task, self)
    }

    fn interrupted(&self) -> Result<bool> {
        interrupt::wished(self)
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
