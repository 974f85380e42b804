//! Training, on model problems or on matrices of the user's.
use crate::error::{cancelled, exception, signal};
use crate::interpreter::{within, without};
use crate::methods::{methods, section};
use crate::system::System;
use numpy::PyArray1;
use precondor::core::file;
use precondor::core::problem::Families;
use precondor::core::registry::DynGenerator;
use precondor::core::system::System as Core;
use precondor::core::train::{Listed, Progress, Samples, Training, Watch};
use precondor::{Error, Result};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use serde_json::Value;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Time between two calls of who looks on.
const BETWEEN_CALLS: Duration = Duration::from_millis(100);

/// What is trained on, which may be made until a signal asks for the end. Once steps are done it is these that stop.
struct Making<'a> {
    systems: &'a dyn Samples,
    stepping: AtomicBool,
}

impl Samples for Making<'_> {
    fn families(&self) -> usize {
        self.systems.families()
    }
    fn sample(&self, family: usize, seed: u64, index: u64) -> Result<Core> {
        if !self.stepping.load(Ordering::Relaxed) && cancelled() {
            return Err(Error::Interrupted);
        }
        self.systems.sample(family, seed, index)
    }
    fn describe(&self) -> String {
        self.systems.describe()
    }
}

/// How the training goes.
struct Looking<'a> {
    making: &'a Making<'a>,
    losses: Vec<f64>,
    rates: Vec<f64>,
    validated: Vec<(u64, f64)>,
    callback: Option<Py<PyAny>>,
    called: Instant,
    looked: Instant,
    checkpoint: Option<PathBuf>,
    every: u64,
    state: Option<Vec<u8>>,
    /// What a signal or the callback raised.
    raised: Option<PyErr>,
}

impl Watch for Looking<'_> {
    fn progress(&mut self, progress: &Progress) {
        let Progress { step, steps, loss, learning_rate } = *progress;
        self.making.stepping.store(true, Ordering::Relaxed);
        self.losses.push(loss);
        self.rates.push(learning_rate);
        if self.raised.is_none() {
            self.raised = signal(&mut self.looked);
        }
        let due = step == steps || self.called.elapsed() >= BETWEEN_CALLS;
        if let Some(callback) = self.callback.as_ref().filter(|_| due && self.raised.is_none()) {
            self.called = Instant::now();
            self.raised = within(|py| callback.call1(py, (step, steps, loss)).err());
        }
    }
    fn validated(&mut self, step: u64, loss: f64) {
        self.validated.push((step, loss));
    }
    fn checkpoint(&mut self, state: &[u8]) -> Result<()> {
        if let Some(path) = &self.checkpoint {
            file::replace(path, |to| to.write_all(state))?;
        }
        self.state = Some(state.to_vec());
        Ok(())
    }
    fn checkpoint_every(&self) -> u64 {
        self.every
    }
    fn cancelled(&self) -> bool {
        self.raised.is_some()
    }
}

/// The method, and its parameters out of the section `train`.
fn asked(method: &dyn DynGenerator, parameters: &str) -> Result<Value> {
    let Some(schema) = method.train_schema() else {
        return Err(Error::Parameter(format!("{} has nothing to train", method.name())));
    };
    let node = section("train", parameters)?;
    let json = node.json();
    node.check(&schema, &json)?;
    Ok(json)
}

/// What is trained on.
fn samples(systems: Vec<Core>, learn: usize, problems: &str) -> Result<Box<dyn Samples>> {
    if systems.is_empty() {
        let sections: Vec<Value> = serde_json::from_str(problems)
            .map_err(|e| Error::Parameter(format!("problems: {e}")))?;
        let methods = methods()?;
        let problems = sections.iter().map(|doc| methods.problem(doc)).collect::<Result<_>>();
        return Ok(Box::new(Families::new(problems.map_err(|e| e.inside("problems"))?)?));
    }
    let name = |k: usize| match k < learn {
        true => format!("matrices[{k}]"),
        false => format!("validation[{}]", k - learn),
    };
    let named = systems.into_iter().enumerate().map(|(k, system)| (name(k), system));
    Ok(Box::new(Listed::new(named.collect(), learn)?))
}

/// Trains a model, on systems or on model problems as JSON. Gives how it went, with the model where it came to its end, and
/// what Python raised where that ended it.
#[pyfunction]
#[pyo3(signature = (method, parameters, systems, learn, problems, resume, checkpoint, every, callback))]
#[expect(clippy::too_many_arguments, reason = "called from one place, by keyword")]
pub fn train<'py>(
    py: Python<'py>,
    method: &str,
    parameters: &str,
    systems: Vec<Bound<'py, System>>,
    learn: usize,
    problems: &str,
    resume: Option<Vec<u8>>,
    checkpoint: Option<PathBuf>,
    every: u64,
    callback: Option<Py<PyAny>>,
) -> PyResult<(Bound<'py, PyDict>, Option<PyErr>)> {
    let systems = systems.iter().map(|system| system.get().core.clone()).collect();
    let (trained, looking) = without(py, || {
        let methods = methods()?;
        let method = methods.get(method)?;
        let params = asked(&**method, parameters)?;
        let samples = samples(systems, learn, problems)?;
        let making = Making { systems: &*samples, stepping: AtomicBool::new(false) };
        let now = Instant::now();
        let mut looking = Looking {
            making: &making,
            losses: Vec::new(),
            rates: Vec::new(),
            validated: Vec::new(),
            callback,
            called: now,
            looked: now,
            checkpoint,
            every,
            state: None,
            raised: None,
        };
        let (comm, host) = (methods.comm(), methods.host());
        let (samples, resume) = (&making, resume.as_deref());
        let training = Training { comm, host: &host, samples, resume, watch: &mut looking };
        let trained = method.train(&params, training).map_err(|e| e.inside(method.name()));
        let Looking { losses, rates, validated, state, raised, .. } = looking;
        match trained {
            Err(e) if raised.is_none() => Err(e),
            other => Ok((other.ok(), (losses, rates, validated, state, raised))),
        }
    })
    .map_err(exception)?;
    let (losses, rates, validated, state, raised) = looking;
    let went = PyDict::new(py);
    went.set_item("model", trained.map(|bytes| PyBytes::new(py, &bytes)))?;
    went.set_item("checkpoint", state.map(|bytes| PyBytes::new(py, &bytes)))?;
    went.set_item("losses", PyArray1::from_vec(py, losses))?;
    went.set_item("learning_rates", PyArray1::from_vec(py, rates))?;
    went.set_item("validation", validated)?;
    Ok((went, raised))
}
