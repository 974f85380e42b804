//! What the experiments share: systems, methods, solves by both stopping rules.
//!
//! Systems come from the streams of [`Purpose::Test`](precondor_core::kernel::random::Purpose), which
//! no training draws from; a seed that a model was trained on is refused all the same.
use super::spectrum::{self, Spectrum};
use precondor::Methods;
use precondor::config::experiment::Task;
use precondor::config::{exact, solve};
use precondor::models;
use precondor::report::Iterations;
use precondor_core::comm::Comm;
use precondor_core::config::MethodConfig;
use precondor_core::precond::Preconditioner;
use precondor_core::problem::{Poisson, Problem};
use precondor_core::ready::Ready;
use precondor_core::schema::named_method;
use precondor_core::solver::{self, AssumedDefinite, Criterion, Outcome, Report, Stop};
use precondor_core::{Error, Result};
use serde_json::Value;
use std::ops::ControlFlow;
use std::time::Instant;

/// The tolerance of both rules unless an experiment has its own.
pub const TOLERANCE: f64 = 1e-5;
/// Iterations allowed: of Richardson's method, and of the others.
const LIMITS: [usize; 2] = [500_000, 20_000];
/// Restart length of GMRES, which stands in where M is not symmetric positive definite.
const GMRES: solver::Algorithm = solver::Algorithm::Gmres { restart: 100 };

/// The surroundings of an experiment.
pub struct Lab<'a> {
    pub methods: &'a Methods,
    pub seed: u64,
}

/// One test system.
pub struct Sample {
    pub task: Task,
    /// x*.
    pub exact: Vec<f64>,
}

/// A method as a row of a table.
#[derive(Clone)]
pub struct Candidate {
    pub label: String,
    pub group: &'static str,
    /// `None`: M = I.
    pub config: Option<MethodConfig>,
    /// ω of Richardson's iteration.
    pub damping: f64,
}

/// When a solve stops.
#[derive(Clone, Copy, PartialEq)]
pub enum Rule {
    /// ‖x − x*‖₂ ≤ tolerance, the paper's.
    Error(f64),
    /// ‖b − Ax‖₂ ≤ tolerance·‖b‖₂.
    Residual(f64),
}

/// A solve.
pub struct Solve {
    pub report: Report,
    pub seconds: f64,
}

impl Candidate {
    /// `preconditioner` as a configuration has it: a name, or an object with `name`.
    pub fn new(group: &'static str, label: &str, preconditioner: &Value, damping: f64) -> Self {
        let config = named_method(preconditioner);
        let config = config.map(|(name, params)| MethodConfig { name, params });
        Candidate { label: label.to_owned(), group, config, damping }
    }

    /// Whether the method is there, with all methods that it names inside.
    pub fn is_there(&self, methods: &Methods) -> bool {
        self.config.as_ref().is_none_or(|config| {
            methods.get(&config.name).is_ok()
                && precondor_host::fault(methods.plugins().registry(), &config.name, &config.params)
                    .is_ok_and(|fault| fault.is_none())
        })
    }
}

impl Lab<'_> {
    /// System `index` of a level: shifts of a quarter mesh width, b = 1.
    ///
    /// # Errors
    /// What making it reports.
    pub fn task(&self, level: u32, index: u64) -> Result<Task> {
        let problem = Problem::Poisson(Poisson { seed: self.seed, ..Poisson::at_level(level) });
        let (system, b) = problem.generate_nth(Comm::solo(), index)?;
        let nnz = system.a().nnz_own() as u64;
        Ok(Task::new(system.with_host(self.methods.host()), nnz, b))
    }

    /// System `index` of a level with its solution; `tolerance` is the least that the error will be
    /// compared with.
    ///
    /// # Errors
    /// What making it, or solving for x*, reports.
    pub fn sample(&self, level: u32, index: u64, tolerance: f64) -> Result<Sample> {
        let task = self.task(level, index)?;
        let exact = exact::solution(self.methods, &task, tolerance, &|| false)?;
        Ok(Sample { task, exact })
    }

    /// Refuses the seed where a model that one of the methods uses was trained with it.
    ///
    /// # Errors
    /// [`Error::Parameter`] naming the model and the seed.
    pub fn refuse_training_seeds(&self, methods: &[Candidate]) -> Result<()> {
        for config in methods.iter().filter_map(|method| method.config.as_ref()) {
            self.refuse_training_seed(config)?;
        }
        Ok(())
    }

    fn refuse_training_seed(&self, config: &MethodConfig) -> Result<()> {
        // A method inside another one.
        let inner = config.params.as_object().into_iter().flatten().map(|(_, value)| value);
        for (name, params) in inner.filter(|value| value.is_object()).filter_map(named_method) {
            self.refuse_training_seed(&MethodConfig { name, params })?;
        }
        let Ok(generator) = self.methods.get(&config.name) else { return Ok(()) };
        for model in models::used(generator.as_ref(), config)? {
            if model.seeds().contains(&self.seed) {
                return Err(Error::Parameter(format!(
                    "--seed {}: the model '{}' of {} was trained with this seed ({}); choose another",
                    self.seed,
                    model.label,
                    config.name,
                    model.family()
                )));
            }
        }
        Ok(())
    }

    /// Sets a method up.
    ///
    /// # Errors
    /// What it reports.
    pub fn set_up(&self, task: &Task, method: &Candidate) -> Result<Ready> {
        solve::set_up(self.methods, task, method.config.as_ref())
    }
}

impl Sample {
    /// Solves with Richardson's iteration.
    ///
    /// # Errors
    /// What the solver reports.
    pub fn richardson(&self, m: &dyn Preconditioner, damping: f64, rule: Rule) -> Result<Solve> {
        self.solve(m, &solver::Algorithm::Richardson { damping }, rule)
    }

    /// Solves with conjugate gradients where M is symmetric positive definite, declared or seen to
    /// be; with GMRES else, which is named.
    ///
    /// # Errors
    /// What the solver reports.
    pub fn krylov(
        &self,
        m: &dyn Preconditioner,
        spectrum: Option<&Spectrum>,
        rule: Rule,
    ) -> Result<(Solve, Option<&'static str>)> {
        if m.properties().positive_definite {
            return Ok((self.solve(m, &solver::Algorithm::Cg, rule)?, None));
        }
        if spectrum.is_some_and(Spectrum::is_definite) {
            return Ok((self.solve(&AssumedDefinite(m), &solver::Algorithm::Cg, rule)?, None));
        }
        Ok((self.solve(m, &GMRES, rule)?, Some("gmres")))
    }

    /// Solves by `rule`.
    ///
    /// # Errors
    /// What the solver reports.
    pub fn solve(
        &self,
        m: &dyn Preconditioner,
        method: &solver::Algorithm,
        rule: Rule,
    ) -> Result<Solve> {
        let (criterion, tolerance) = match rule {
            Rule::Error(tolerance) => (Criterion::AbsoluteError(&self.exact), tolerance),
            Rule::Residual(tolerance) => (Criterion::RelativeResidual, tolerance),
        };
        let max_iterations = match method {
            solver::Algorithm::Richardson { .. } => LIMITS[0],
            _ => LIMITS[1],
        };
        let stop = Stop { criterion, tolerance, max_iterations, divergence: 1e5 };
        let mut x = vec![0.0; self.task.b.len()];
        let start = Instant::now();
        let a = self.task.system.a();
        let mut watch = |_: &solver::Step| ControlFlow::Continue(());
        let report = solver::solve(method, a, m, &self.task.b, &mut x, &stop, &mut watch)?;
        Ok(Solve { report, seconds: start.elapsed().as_secs_f64() })
    }

    /// The spectrum of MA; `None` where it is not found in reasonable time or M fails.
    pub fn spectrum(&self, m: &dyn Preconditioner, damping: f64) -> Option<Spectrum> {
        spectrum::of(self.task.system.a(), m, damping).ok().flatten()
    }
}

/// Counts of a solver over systems.
#[derive(Default)]
pub struct Counter {
    counts: Vec<usize>,
    systems: usize,
    otherwise: Option<String>,
    solver: Option<&'static str>,
}

impl Counter {
    /// Takes in a solve.
    pub fn add(&mut self, solve: &Result<Solve>) {
        self.systems += 1;
        match solve {
            Ok(Solve { report, .. }) if report.outcome == Outcome::Converged => {
                self.counts.push(report.iterations);
            }
            Ok(Solve { report, .. }) => {
                self.otherwise = Some(report.outcome.name().to_owned());
            }
            Err(_) => self.otherwise = Some("failed".to_owned()),
        }
    }

    /// Names the solver, where it is not the one that the column says.
    pub fn by(&mut self, solver: Option<&'static str>) {
        self.solver = self.solver.or(solver);
    }

    /// What was counted; `None` where nothing was tried.
    pub fn iterations(&self) -> Option<Iterations> {
        (self.systems > 0).then(|| Iterations {
            // The last one that did not converge speaks for all.
            otherwise: self.otherwise.clone(),
            solver: self.solver,
            ..Iterations::of(self.counts.clone(), self.systems)
        })
    }
}

/// The middle of some values.
pub fn median(values: &[f64]) -> Option<f64> {
    precondor::report::median(values.to_vec())
}

/// The mean of some values.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}
