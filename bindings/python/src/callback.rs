//! Python's objects in the places of ours: an operator as A, anything that can be applied as M, who looks on.
use crate::error::{signal, standing_for};
use crate::interpreter::within;
use numpy::{PyArray1, PyArrayMethods, PyUntypedArrayMethods};
use precondor::core::matrix::{Operator, Space};
use precondor::core::precond::{Preconditioner, Properties};
use precondor::core::solver::Step;
use precondor::{Error, Result};
use pyo3::prelude::*;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

/// `out = f(v)`, for a function of Python that takes a vector and gives one.
pub fn call(f: &Py<PyAny>, what: &str, v: &[f64], out: &mut [f64]) -> Result<()> {
    let called = within(|py| {
        let given = f.bind(py).call1((PyArray1::from_slice(py, v),));
        let given = given.map_err(|e| standing_for(e, what))?;
        let array = given.cast_into::<PyArray1<f64>>().map_err(|e| standing_for(e.into(), what))?;
        if array.len() != out.len() {
            let (found, wanted) = (array.len(), out.len());
            return Err(Error::Data(format!("{what}: {found} numbers came back, not {wanted}")));
        }
        let array = array.readonly();
        out.iter_mut().zip(array.as_array()).for_each(|(out, &value)| *out = value);
        Ok(())
    });
    if called.is_err() {
        out.fill(f64::NAN);
    }
    called
}

/// A that has a product alone.
pub struct Product {
    /// Takes a vector, gives one.
    pub f: Py<PyAny>,
    pub space: Arc<Space>,
}

impl Operator for Product {
    fn space(&self) -> &Arc<Space> {
        &self.space
    }
    fn apply(&self, x: &[f64], y: &mut [f64]) -> Result<()> {
        call(&self.f, "the product with A", x, y)
    }
}

/// M that is not of ours, of which nothing is known.
pub struct Foreign(pub Py<PyAny>);

impl Preconditioner for Foreign {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        call(&self.0, "the preconditioner", r, z)
    }
    fn properties(&self) -> Properties {
        Properties::GENERAL
    }
    fn stored_entries(&self) -> usize {
        0
    }
    fn bytes(&self) -> usize {
        0
    }
}

/// Who looks on while a solve goes: a function of Python, where there is one, and the handlers of signals.
pub struct Watch {
    callback: Option<Py<PyAny>>,
    looked: Instant,
    /// What either raised: the solve ends.
    pub raised: Option<PyErr>,
}

impl Watch {
    pub fn new(callback: Option<Py<PyAny>>) -> Self {
        Watch { callback, looked: Instant::now(), raised: None }
    }

    pub fn see(&mut self, step: &Step) -> ControlFlow<()> {
        self.raised = signal(&mut self.looked).or_else(|| self.call(step));
        if self.raised.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn call(&self, step: &Step) -> Option<PyErr> {
        let callback = self.callback.as_ref()?;
        within(|py| callback.call1(py, (step.iteration, step.measure)).err())
    }
}
