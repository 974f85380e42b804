//! Methods that are written in Python: a function that gets A and parameters, and gives M.
//!
//! What the function gives is brought into one of four forms by the Python side (`_register.py`): the entries of M, those
//! of G where M = GᵀG, those of L and U where M = (LU)⁻¹, or an object that applies M itself. The first three are applied
//! without Python.
use crate::arrays::Arrays;
use crate::callback::call;
use crate::error::{exception, standing_for, without_python};
use crate::interpreter::within;
use crate::methods::{enroll, methods};
use crate::triangular::Pair;
use numpy::{PyArray1, PyArray2, PyArrayMethods};
use precondor::check::{self, Checked};
use precondor::core::instance::{Instance, no_refresh};
use precondor::core::kernel::fsai::Factored;
use precondor::core::matrix::{Csr, DistCsr, Explicit};
use precondor::core::persist::{self, Rows, Stored};
use precondor::core::precond::{Capabilities, Preconditioner, Properties};
use precondor::core::registry::DynGenerator;
use precondor::core::schema;
use precondor::core::system::System;
use precondor::core::train::Training;
use precondor::{Error, Result};
use pyo3::prelude::*;
use serde_json::Value;
use std::sync::Arc;

/// A method of Python's.
struct Own {
    name: String,
    summary: String,
    schema: Value,
    /// Takes the arrays of A, what is known of its rows, and parameters as JSON; gives [`Given`].
    generate: Py<PyAny>,
}

/// Row offsets, columns, values.
type Part<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>, Bound<'py, PyAny>);
/// What the Python side gives: the form, its matrices or its functions (of M and of Mᵀ), whether M is symmetric, positive
/// definite and constant, and notes.
type Given<'py> = (String, Vec<Part<'py>>, Vec<Py<PyAny>>, (bool, bool, bool), Vec<String>);

/// M of a method of Python's.
struct Made {
    name: String,
    form: Form,
    properties: Properties,
    rows: std::ops::Range<u64>,
    notes: Vec<String>,
}

enum Form {
    Stored(Box<Stored>),
    Pair(Pair),
    /// Functions of a vector: M, and Mᵀ where there is one.
    Object(Vec<Py<PyAny>>),
}

impl Own {
    /// Calls the function, and takes what it gives.
    fn call(&self, params: &Value, system: &System) -> Result<Made> {
        let (n, what) = (system.a().n_own(), format!("{}: its function", self.name));
        let (form, parts, functions, properties, notes) = within(|py| {
            let failed = |e: PyErr| standing_for(e, &what);
            let given = self.given(py, params, system).map_err(failed)?;
            let (form, parts, functions, properties, notes) = given;
            let arrays = |(a, b, c): &Part<'_>| Arrays::new([a, b, c]);
            let parts = parts.iter().map(arrays).collect::<PyResult<Vec<_>>>().map_err(failed)?;
            Ok::<_, Error>((form, parts, functions, properties, notes))
        })?;
        let (symmetric, positive_definite, constant) = properties;
        let properties =
            Properties { symmetric, positive_definite, constant, ..Properties::GENERAL };
        let matrix = |arrays: Arrays| {
            let arrays = arrays.in_order(n)?;
            // Nobody else is to change what M is.
            arrays.detach();
            Csr::from_storage(n, Arc::new(arrays))
        };
        let mut parts = parts.into_iter().map(matrix);
        let mut next =
            || parts.next().unwrap_or_else(|| Err(Error::Data("a matrix is missing".into())));
        let form = match form.as_str() {
            "inverse" => {
                let m = DistCsr::solo(next()?)?;
                claimed(&m, properties)?;
                Form::Stored(Box::new(Stored::inverse(m, properties, notes.clone())))
            }
            "factor" => {
                let g = Factored::of(DistCsr::solo(next()?)?)?;
                Form::Stored(Box::new(Stored::factor(g, notes.clone())))
            }
            "pair" => Form::Pair(Pair::new(next()?, next()?)?),
            _ => Form::Object(functions),
        };
        let properties = match &form {
            Form::Stored(m) => m.properties(),
            _ => properties,
        };
        Ok(Made { name: self.name.clone(), form, properties, rows: 0..n as u64, notes })
    }

    fn given<'py>(&self, py: Python<'py>, params: &Value, system: &System) -> PyResult<Given<'py>> {
        let (a, n) = (system.a().own().view(), system.a().n_own());
        let signed = |indices: &[u32]| PyArray1::from_iter(py, indices.iter().map(|&i| i as i32));
        let known = system.all_aux().map(|(name, aux)| {
            let rows = PyArray1::from_slice(py, &aux.values);
            Ok::<(String, Bound<'_, PyArray2<f64>>), PyErr>((
                name.to_owned(),
                rows.reshape([n, aux.width])?,
            ))
        });
        let known = known.collect::<PyResult<Vec<_>>>()?;
        let arrays = (signed(a.row_ptr), signed(a.cols), PyArray1::from_slice(py, a.values));
        let given = self.generate.bind(py).call1((arrays, known, params.to_string()))?;
        given.extract()
    }
}

/// Refuses an M whose entries show that it is not what it is said to be.
fn claimed(m: &DistCsr, properties: Properties) -> Result<()> {
    if !properties.symmetric {
        return Ok(());
    }
    match m.first_unsymmetric()? {
        None => Ok(()),
        Some(at) => Err(Error::Data(format!("M is said to be symmetric, and is not: {at}"))),
    }
}

impl DynGenerator for Own {
    fn name(&self) -> &str {
        &self.name
    }
    fn summary(&self) -> &str {
        &self.summary
    }
    fn version(&self) -> &str {
        env!("CARGO_PKG_VERSION")
    }
    fn origin(&self) -> String {
        "Python".into()
    }
    fn capabilities(&self) -> Capabilities {
        Capabilities { explicit: true, transpose: true, persist: true, ..Capabilities::NONE }
    }
    fn schema(&self) -> Value {
        self.schema.clone()
    }
    fn train_schema(&self) -> Option<Value> {
        None
    }
    fn generate(&self, params: &Value, system: &System) -> Result<Box<dyn Instance>> {
        let comm = system.a().space().comm();
        comm.scope(|| {
            if comm.size() > 1 {
                let why = format!("{} is written in Python, and works on one rank", self.name);
                return Err(Error::Unsupported(why));
            }
            schema::check(&self.schema, params)?;
            Ok(Box::new(self.call(params, system)?) as Box<dyn Instance>)
        })
    }
    fn load(&self, params: &Value, bytes: &[u8], system: &System) -> Result<Box<dyn Instance>> {
        schema::check(&self.schema, params)?;
        let m = Stored::new(Rows::read(bytes, system)?, system)?;
        let (properties, notes, n) = (m.properties(), m.notes(), system.a().n_own() as u64);
        let (name, form) = (self.name.clone(), Form::Stored(Box::new(m)));
        Ok(Box::new(Made { name, form, properties, rows: 0..n, notes }))
    }
    fn train(&self, _: &Value, _: Training<'_>) -> Result<Vec<u8>> {
        let why = "is written in Python: train it there";
        Err(Error::Unsupported(format!("{} {why}", self.name)))
    }
}

impl Preconditioner for Made {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        match &self.form {
            Form::Stored(m) => m.apply(r, z),
            Form::Pair(m) => m.apply(r, z),
            Form::Object(functions) => match functions.first() {
                Some(apply) => call(apply, &format!("{}: apply", self.name), r, z),
                None => Err(Error::Data(format!("{}: there is no apply", self.name))),
            },
        }
    }
    fn apply_transpose(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        if self.properties.symmetric {
            return self.apply(r, z);
        }
        match &self.form {
            Form::Stored(m) => m.apply_transpose(r, z),
            Form::Pair(m) => m.apply_transpose(r, z),
            Form::Object(functions) => match functions.get(1) {
                Some(apply) => call(apply, &format!("{}: apply_transpose", self.name), r, z),
                None => {
                    let why =
                        "this preconditioner has no transpose: give its object 'apply_transpose'";
                    Err(Error::Unsupported(why.into()))
                }
            },
        }
    }
    fn properties(&self) -> Properties {
        self.properties
    }
    fn stored_entries(&self) -> usize {
        match &self.form {
            Form::Stored(m) => m.stored_entries(),
            Form::Pair(m) => m.nnz(),
            Form::Object(_) => 0,
        }
    }
    fn bytes(&self) -> usize {
        match &self.form {
            Form::Stored(m) => m.bytes(),
            Form::Pair(m) => m.bytes(),
            Form::Object(_) => 0,
        }
    }
    fn explicit(&self) -> Option<Explicit<'_>> {
        match &self.form {
            Form::Stored(m) => m.explicit(),
            Form::Pair(_) | Form::Object(_) => None,
        }
    }
    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }
}

impl Instance for Made {
    fn refresh(&mut self, _: &System) -> Result<()> {
        Err(no_refresh(&self.name))
    }
    fn save(&self) -> Result<Vec<u8>> {
        persist::explicit(self, self.rows.clone())
    }
}

/// Makes a function a method, in the place of one of Python's of that name.
#[pyfunction]
pub fn register(
    py: Python<'_>,
    name: String,
    summary: String,
    schema: &str,
    generate: Py<PyAny>,
) -> PyResult<()> {
    let schema: Value = serde_json::from_str(schema)
        .map_err(|e| exception(Error::Parameter(format!("{name}: its parameters: {e}"))))?;
    without_python(py, || enroll(Arc::new(Own { name, summary, schema, generate })))
}

/// Whether a method keeps its word, on small systems or on a given one with parameters as JSON: what passed, what failed,
/// and why it could not be tried.
#[pyfunction]
#[pyo3(signature = (name, system, parameters))]
pub fn check_method(
    py: Python<'_>,
    name: &str,
    system: Option<Bound<'_, crate::system::System>>,
    parameters: &str,
) -> PyResult<(Vec<String>, Vec<String>, Option<String>)> {
    let system = system.as_ref().map(|system| system.get());
    let params: Value = serde_json::from_str(parameters)
        .map_err(|e| exception(Error::Parameter(format!("{name}: {e}"))))?;
    let Checked { passed, failed, not_tried, .. } = without_python(py, || {
        let methods = methods()?;
        let method = methods.get(name)?;
        Ok(match system {
            Some(system) => check::on_system(&**method, &params, &system.core),
            None => check::method(&**method, &methods.host(), &|_| {}),
        })
    })?;
    Ok((passed, failed, not_tried))
}
