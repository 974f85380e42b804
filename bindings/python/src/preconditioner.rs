//! A method's M for a matrix.
use crate::error::{exception, without_python};
use crate::methods::{methods, section};
use crate::system::System;
use numpy::{PyArray1, PyArray2, PyArrayMethods, PyUntypedArrayMethods};
use precondor::core::config::MethodConfig;
use precondor::core::instance::{Instance, Kept, Setup, poisoned};
use precondor::core::matrix::{ExplicitKind, ExplicitView};
use precondor::core::persist::{self, Opened};
use precondor::core::ready::Ready;
use precondor::core::reuse::{Reuse, Solve};
use precondor::core::{file, precond};
use precondor::{Error, Result, measure};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::path::PathBuf;
use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError};

/// M, with what it was made from; see `precondor.Preconditioner`.
#[pyclass(frozen, module = "precondor._native")]
pub struct Preconditioner {
    pub config: MethodConfig,
    size: usize,
    state: RwLock<State>,
}

struct State {
    /// Without an M after an update that failed.
    kept: Kept,
    system: Py<System>,
}

/// M and its surroundings, for as long as it is looked at.
pub struct Held<'a>(RwLockReadGuard<'a, State>);

impl Held<'_> {
    fn ready(&self) -> Result<&Ready> {
        self.0.kept.ready().ok_or_else(poisoned)
    }

    /// M.
    ///
    /// # Errors
    /// [`Error::Panicked`] where an update failed.
    pub fn m(&self) -> Result<&dyn Instance> {
        self.ready().map(Ready::m)
    }

    /// What M has to say, and the file that it came from.
    pub fn notes(&self) -> Result<Vec<String>> {
        self.ready().map(Ready::notes)
    }
}

impl Preconditioner {
    /// M, which is not changed meanwhile.
    ///
    /// # Errors
    /// [`Error::Unsupported`] while another thread updates it.
    pub fn held(&self) -> Result<Held<'_>> {
        match self.state.try_read() {
            Ok(state) => Ok(Held(state)),
            Err(TryLockError::Poisoned(e)) => Ok(Held(e.into_inner())),
            Err(TryLockError::WouldBlock) => Err(Error::Unsupported(
                "another thread updates this preconditioner: wait for it".into(),
            )),
        }
    }

    /// M, which is to be changed.
    fn changed(&self) -> Result<RwLockWriteGuard<'_, State>> {
        match self.state.try_write() {
            Ok(state) => Ok(state),
            Err(TryLockError::Poisoned(e)) => Ok(e.into_inner()),
            Err(TryLockError::WouldBlock) => Err(Error::Unsupported(
                "another thread uses this preconditioner: update it afterwards".into(),
            )),
        }
    }

    fn made((kept, config): (Kept, MethodConfig), system: Py<System>) -> Self {
        let size = system.get().core.a().n_own();
        let state = State { kept, system };
        Preconditioner { config, size, state: RwLock::new(state) }
    }
}

/// The numbers of a contiguous array of vectors of length `n`.
///
/// # Safety
/// The slice is used while the array is referred to, and nobody writes into it meanwhile.
unsafe fn numbers<'a, D: numpy::ndarray::Dimension>(
    array: &'a Bound<'_, numpy::PyArray<f64, D>>,
    n: usize,
) -> PyResult<&'a [f64]> {
    if array.shape().last() != Some(&n) {
        let shape = array.shape();
        let why = format!("an array of shape {shape:?} for a preconditioner of {n} rows");
        return Err(pyo3::exceptions::PyValueError::new_err(why));
    }
    // SAFETY: the caller's promise.
    Ok(unsafe { array.as_slice() }?)
}

/// The policy of that name, which a setup may count for so many iterations in.
fn named(name: &str, setup_cost: Option<f64>) -> Result<Reuse> {
    let reuse = Reuse::ALL.into_iter().find(|reuse| reuse.name() == name).ok_or_else(|| {
        let all = Reuse::ALL.map(Reuse::name).join("', '");
        Error::Parameter(format!("reuse: '{name}' is none of '{all}'"))
    })?;
    let why = match setup_cost {
        Some(_) if reuse != Reuse::Adaptive => "goes with reuse = \"adaptive\" only",
        Some(cost) if !(cost > 0.0 && cost.is_finite()) => "is not a number of iterations above 0",
        _ => return Ok(reuse),
    };
    Err(Error::Parameter(format!("setup_cost {why}")))
}

/// Refuses what is no policy.
#[pyfunction]
#[pyo3(signature = (name, setup_cost))]
pub fn check_policy(name: &str, setup_cost: Option<f64>) -> PyResult<()> {
    named(name, setup_cost).map(|_| ()).map_err(exception)
}

#[pymethods]
impl Preconditioner {
    /// The method and its parameters, as JSON, for a system; in a sequence of them, when M is to be made anew, and how
    /// many iterations a setup counts for.
    #[new]
    #[pyo3(signature = (system, method, reuse = None, setup_cost = None))]
    fn new(
        py: Python<'_>,
        system: Bound<'_, System>,
        method: &str,
        reuse: Option<&str>,
        setup_cost: Option<f64>,
    ) -> PyResult<Self> {
        let node = section("preconditioner", method).map_err(exception)?;
        let reuse = reuse.unwrap_or(Reuse::default().name());
        let reuse = named(reuse, setup_cost).map_err(exception)?;
        let (of, core) = (system.get(), &system.get().core);
        let made = without_python(py, || {
            let methods = methods()?;
            let config = methods.method(&node)?;
            let method = methods.get(&config.name)?;
            let mut kept = Kept::new(method, &config.params).reusing(reuse, setup_cost);
            kept.update(core).map_err(|e| e.inside(config.name.as_str()))?;
            of.settle();
            Ok((kept, config))
        })?;
        Ok(Self::made(made, system.unbind()))
    }

    /// `M r` for a contiguous vector.
    fn apply<'py>(&self, r: &Bound<'py, PyArray1<f64>>) -> PyResult<Bound<'py, PyArray1<f64>>> {
        let z = PyArray1::zeros(r.py(), self.size, false);
        // SAFETY: `r` and `z` live until the end of this function; only we know `z`.
        let (r, out) = unsafe { (numbers(r, self.size)?, z.as_slice_mut()?) };
        without_python(z.py(), || self.held()?.m()?.apply(r, out))?;
        Ok(z)
    }

    /// `Mᵀ r` for a contiguous vector.
    fn apply_transpose<'py>(
        &self,
        r: &Bound<'py, PyArray1<f64>>,
    ) -> PyResult<Bound<'py, PyArray1<f64>>> {
        let z = PyArray1::zeros(r.py(), self.size, false);
        // SAFETY: as in `apply`.
        let (r, out) = unsafe { (numbers(r, self.size)?, z.as_slice_mut()?) };
        without_python(z.py(), || self.held()?.m()?.apply_transpose(r, out))?;
        Ok(z)
    }

    /// `M R` for vectors that are the rows of a contiguous array.
    fn apply_many<'py>(
        &self,
        r: &Bound<'py, PyArray2<f64>>,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let k = r.shape()[0];
        let z = PyArray2::zeros(r.py(), [k, self.size], false);
        // SAFETY: as in `apply`.
        let (r, out) = unsafe { (numbers(r, self.size)?, z.as_slice_mut()?) };
        without_python(z.py(), || self.held()?.m()?.apply_many(k, r, out))?;
        Ok(z)
    }

    /// Makes M that of another system, refreshed where only values changed and the method can; where M is not to be made
    /// `anew` whatever its policy says, as that says. Gives how M was come by.
    fn update(
        &self,
        py: Python<'_>,
        system: Bound<'_, System>,
        anew: bool,
    ) -> PyResult<&'static str> {
        let (of, core) = (system.get(), &system.get().core);
        if core.a().n_own() != self.size {
            let (here, there) = (self.size, core.a().n_own());
            let why = format!(
                "a matrix of {there} rows for a preconditioner of {here}: make another one"
            );
            return Err(exception(Error::Data(why)));
        }
        let made_from = system.clone().unbind();
        without_python(py, || {
            let mut state = self.changed()?;
            let made = if anew { state.kept.renew(core) } else { state.kept.update(core) };
            made.map_err(|e| e.inside(self.config.name.as_str()))?;
            let how = state.kept.setup();
            if how != Setup::Kept {
                state.system = made_from;
                of.settle();
            }
            Ok(how.name())
        })
    }

    /// Tells how a solve with M went, which decides how long it is kept.
    fn solved(&self, iterations: usize, converged: bool) -> PyResult<()> {
        let mut state = self.changed().map_err(exception)?;
        state.kept.solved(Solve { iterations, converged });
        Ok(())
    }

    /// Writes M, whole or not at all.
    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        without_python(py, || {
            let held = self.held()?;
            let system = &held.0.system.get().core;
            let method = held.0.kept.method();
            let bytes = persist::gather(method, &self.config.params, held.m()?, system);
            let bytes = bytes.map_err(|e| e.inside(self.config.name.as_str()))?;
            file::replace(&path, |to| to.write_all(&bytes.unwrap_or_default()))
        })
    }

    /// What M is stored as: "inverse" or "factor", row offsets, columns and values; nothing where it is not stored so.
    fn explicit<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let held = self.held().map_err(exception)?;
        let Some(explicit) = held.m().map_err(exception)?.explicit() else { return Ok(None) };
        let kind = match explicit.kind {
            ExplicitKind::Inverse => "inverse",
            ExplicitKind::Factor => "factor",
        };
        let ExplicitView { row_ptr, cols, values } = explicit.own;
        let signed = |&index: &u32| i64::from(index);
        let values = (0..values.len()).map(|k| values.get(k));
        let arrays = (
            kind,
            PyArray1::from_iter(py, row_ptr.iter().map(signed)),
            PyArray1::from_iter(py, cols.iter().map(signed)),
            PyArray1::from_iter(py, values),
        );
        Ok(Some(arrays.into_pyobject(py)?.into_any()))
    }

    /// Parameters, as JSON.
    #[getter]
    fn parameters(&self) -> String {
        self.config.params.to_string()
    }

    /// The method's name.
    #[getter]
    fn name(&self) -> &str {
        &self.config.name
    }

    /// Rows.
    #[getter]
    fn size(&self) -> usize {
        self.size
    }

    /// What there is to know: what a solver may assume, sizes, times.
    #[getter]
    fn facts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let methods = without_python(py, methods)?;
        let held = self.held().map_err(exception)?;
        let m = held.m().map_err(exception)?;
        let precond::Properties { symmetric, positive_definite, constant, .. } = m.properties();
        let facts = PyDict::new(py);
        facts.set_item("symmetric", symmetric)?;
        facts.set_item("positive_definite", positive_definite)?;
        facts.set_item("constant", constant)?;
        facts.set_item("stored_entries", m.stored_entries())?;
        facts.set_item("nbytes", m.bytes())?;
        facts.set_item("passes", measure::passes(&methods, Some(&self.config), m))?;
        facts.set_item("notes", held.notes().map_err(exception)?)?;
        facts.set_item("delegate", m.delegate())?;
        let taken = held.ready().map_err(exception)?.taken;
        facts.set_item("setup_seconds", taken.as_secs_f64())?;
        let kept = &held.0.kept;
        facts.set_item("refreshed", kept.setup() == Setup::Refreshed)?;
        Ok(facts)
    }
}

/// M out of a file, for a system.
#[pyfunction]
pub fn load(py: Python<'_>, path: PathBuf, system: Bound<'_, System>) -> PyResult<Preconditioner> {
    let of = system.get();
    let made = without_python(py, || {
        let methods = methods()?;
        let opened = Opened::read(methods.comm(), &path)?;
        let header = opened.header();
        let method = methods.get(&header.method).map_err(|e| Error::file(&path, e))?;
        let (name, params) = (header.method.clone(), header.parameters.clone());
        let ready = opened.load(&**method, &params, &of.core)?;
        of.settle();
        Ok((Kept::new(method, &params).with(ready), MethodConfig { name, params }))
    })?;
    Ok(Preconditioner::made(made, system.unbind()))
}
