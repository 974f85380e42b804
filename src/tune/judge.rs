//! Who tries configurations in this process, on all ranks.
use super::asked::Asked;
use super::field::Looked;
use super::race::{Judge, Order};
use crate::config::experiment::Task;
use crate::config::fallback::Plan;
use crate::config::{limit, solve};
use crate::report::solves::{End, Failure, TIME_LIMIT};
use crate::report::traffic::Meter;
use crate::{Methods, measure, models};
use precondor_core::comm::Communicator;
use precondor_core::config::{MethodConfig, SolverConfig};
use precondor_core::instance::Setup;
use precondor_core::persist::Digest;
use precondor_core::{Error, Result};
use std::cell::Cell;
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

/// Entries of the matrices that are kept from one order to the next, on this rank.
const KEPT: usize = 20_000_000;

/// What a configuration is tried as.
pub struct Run {
    /// The iteration.
    pub solver: SolverConfig,
    /// The preconditioner; none: M = I.
    pub method: Option<MethodConfig>,
    /// How it goes on where the preconditioner fails.
    pub plan: Plan,
    /// How long setup and solve may take together.
    pub limit: Option<Duration>,
}

/// Where configurations are tried. Collective in all it does.
pub trait Bench {
    /// The methods, on their ranks.
    fn methods(&self) -> &Methods;
    /// Looks whether what a system was made of is what it was.
    ///
    /// # Errors
    /// [`Error::Data`] where files were changed meanwhile.
    fn made(&self) -> Result<()>;
    /// Sets up and solves.
    ///
    /// # Errors
    /// [`Error::Interrupted`] where a signal asked for the end; what fails otherwise is an end.
    fn solve(&self, run: &Run, task: &Task) -> Result<End>;
    /// Whether a signal asked for the end.
    ///
    /// # Errors
    /// What the communicator reports.
    fn interrupted(&self) -> Result<bool>;
}

/// Tries them here, and keeps the systems that were made last. Collective in all it does.
pub struct Here<'a> {
    bench: &'a dyn Bench,
    asked: &'a Asked,
    start: Instant,
    tasks: VecDeque<(usize, Task)>,
}

impl<'a> Here<'a> {
    /// The clock begins.
    pub fn new(bench: &'a dyn Bench, asked: &'a Asked) -> Here<'a> {
        Here { bench, asked, start: Instant::now(), tasks: VecDeque::new() }
    }

    /// A system, as it was made or made anew.
    ///
    /// # Errors
    /// What making it reports.
    pub fn task(&mut self, system: usize) -> Result<&Task> {
        let comm = self.bench.methods().comm();
        match self.tasks.iter().position(|(of, _)| *of == system) {
            Some(place) => {
                let task = self.tasks.remove(place);
                self.tasks.extend(task);
            }
            None => {
                let task = self.asked.task(system, self.bench.methods())?;
                self.bench.made()?;
                let entries = |task: &Task| task.system.a().nnz_own();
                let mut kept: usize = self.tasks.iter().map(|(_, task)| entries(task)).sum();
                // All ranks let go of the same: what they own is alike, and the first decides.
                let mut room = [(kept + entries(&task)).saturating_sub(KEPT) as f64];
                comm.max(&mut room)?;
                while room[0] > 0.0 && !self.tasks.is_empty() {
                    let gone = self.tasks.pop_front().map_or(0, |(_, task)| entries(&task));
                    kept -= gone;
                    room = [(kept + entries(&task)).saturating_sub(KEPT) as f64];
                    comm.max(&mut room)?;
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
        let bench = self.bench;
        let run = self.asked.run(order, bench.methods())?;
        bench.solve(&run, self.task(order.system)?)
    }

    fn elapsed(&self) -> Result<f64> {
        let mut seconds = [self.start.elapsed().as_secs_f64()];
        self.bench.methods().comm().max(&mut seconds)?;
        Ok(seconds[0])
    }

    fn interrupted(&self) -> Result<bool> {
        self.bench.interrupted()
    }
}

/// Solves in this process with these methods, without looking at files again.
pub struct Plain<'a> {
    methods: &'a Methods,
    /// Whether this rank was asked to end; once is enough.
    stop: &'a dyn Fn() -> bool,
    stopped: Cell<bool>,
}

impl<'a> Plain<'a> {
    /// With these methods, until `stop` says so on any rank. Setups hear of limits of time where who looks on for the
    /// methods ([`Plugins::look_on`](precondor_host::Plugins::look_on)) asks for them.
    pub fn new(methods: &'a Methods, stop: &'a dyn Fn() -> bool) -> Plain<'a> {
        Plain { methods, stop, stopped: Cell::new(false) }
    }

    fn over(&self) -> bool {
        if !self.stopped.get() && (self.stop)() {
            self.stopped.set(true);
        }
        self.stopped.get()
    }

    fn measured(&self, run: &Run, task: &Task) -> Result<measure::Measured> {
        let method = run.method.as_ref();
        let set_up = |method: &MethodConfig| solve::set_up(self.methods, task, Some(method));
        let made = solve::set_up(self.methods, task, method)?;
        let mut watch = |_: &_| match self.over() || limit::passed() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        let with = (method, &made, Meter::new(None, self.methods.comm()));
        let how = (&run.solver, &run.plan);
        measure::measure_with(self.methods, task, with, how, None, &set_up, &mut watch)
    }
}

impl Bench for Plain<'_> {
    fn methods(&self) -> &Methods {
        self.methods
    }

    fn made(&self) -> Result<()> {
        Ok(())
    }

    fn solve(&self, run: &Run, task: &Task) -> Result<End> {
        let a = task.preconditioned().a();
        for method in run.method.iter().chain(&run.plan.replacement) {
            if let Err(e) = models::not_trained_on(&method.params, Path::new(""), a) {
                return Ok(Err(Failure::new(e.to_string())));
            }
        }
        let task: &Task = &task.under(&run.solver);
        let measured = limit::within(run.limit, || self.measured(run, task));
        let cut = self.methods.comm().any(limit::cut())?;
        let over = || {
            let seconds = run.limit.unwrap_or_default().as_secs_f64();
            format!("the time limit of {seconds} s was over")
        };
        Ok(match measured {
            Err(_) if cut => Err(Failure::late(over() + " before it was set up")),
            Err(e) if matches!(e.root(), Error::Interrupted) => {
                // Somebody who looks on for the methods was told.
                self.stopped.set(true);
                return Err(e);
            }
            Err(e) => Err(Failure::new(e.to_string())),
            Ok(measured) => {
                let mut entry = measured.entry(task, Setup::SetUp);
                if cut && entry.outcome == "interrupted" {
                    (entry.outcome, entry.reason) = (TIME_LIMIT.into(), Some(over()));
                }
                Ok(entry)
            }
        })
    }

    fn interrupted(&self) -> Result<bool> {
        self.methods.comm().any(self.over())
    }
}
