//! A matrix of SciPy with what is known of it.
use crate::arrays::Arrays;
use crate::error::without_python;
use crate::interpreter::without;
use crate::methods::methods;
use numpy::{PyReadonlyArray2, PyUntypedArrayMethods};
use precondor::config::experiment::{Known, Task};
use precondor::core::matrix::{Csr, DistCsr, NullSpace, NullSpaces};
use precondor::core::system::System as Core;
use precondor::{Error, Result};
use pyo3::prelude::*;
use std::sync::Arc;

/// A square matrix and what is known of its rows; see `precondor.System`.
#[pyclass(frozen, module = "precondor._native")]
pub struct System {
    pub core: Core,
    null: Option<Known>,
    arrays: Arc<Arrays>,
}

/// A null space as it is given: `"none"`, `"constant"`, or vectors as columns.
#[derive(FromPyObject)]
pub enum Null<'py> {
    Word(String),
    Vectors(PyReadonlyArray2<'py, f64>),
}

/// The same without Python.
enum Wanted {
    None,
    Constant,
    Vectors(Vec<Vec<f64>>),
}

impl Null<'_> {
    fn wanted(self, key: &str) -> PyResult<Wanted> {
        match self {
            Null::Word(word) if word == "none" => Ok(Wanted::None),
            Null::Word(word) if word == "constant" => Ok(Wanted::Constant),
            Null::Word(word) => {
                let why =
                    format!("{key}: '{word}' is not \"none\", \"constant\" or an array of vectors");
                Err(crate::error::exception(Error::Parameter(why)))
            }
            Null::Vectors(vectors) => {
                let vectors = vectors.as_array();
                Ok(Wanted::Vectors(vectors.columns().into_iter().map(|v| v.to_vec()).collect()))
            }
        }
    }
}

impl Wanted {
    fn null_space(self, a: &DistCsr) -> Result<Option<NullSpace>> {
        match self {
            Wanted::None => Ok(None),
            Wanted::Constant => NullSpace::constant(a.space()).map(Some),
            Wanted::Vectors(vectors) => {
                let name = match vectors.len() {
                    1 => "the vector given".to_owned(),
                    n => format!("the {n} vectors given"),
                };
                NullSpace::new(a.space(), vectors, &name).map(Some)
            }
        }
    }
}

/// The null spaces of `a`, those given or what can be seen in it, and how they became known: as a configuration's
/// `null_space` and `left_null_space` have it.
fn null_spaces(
    a: &DistCsr,
    right: Option<Wanted>,
    left: Option<Wanted>,
) -> Result<Option<(NullSpaces, Known)>> {
    let said = [&right, &left].map(Option::is_some);
    let given = |wanted: Option<Wanted>| wanted.map_or(Ok(None), |wanted| wanted.null_space(a));
    let (right, left) = (given(right)?, given(left)?);
    if right.is_none() && left.is_none() {
        let found = if said == [false, false] { NullSpaces::find(a)? } else { None };
        return Ok(found.map(|null| (null, Known::Found)));
    }
    let mut null = NullSpaces::given(a, right, left)?;
    // The other side of an unsymmetric A may still be seen.
    if (null.right.is_none() || null.left.is_none())
        && let Some(found) = NullSpaces::find(a)?
    {
        null.right = null.right.or(found.right.filter(|_| !said[0]));
        null.left = null.left.or(found.left.filter(|_| !said[1]));
    }
    Ok(Some((null, Known::Given)))
}

#[pymethods]
impl System {
    /// `shape` of A, its arrays, numbers that belong to its rows by name, what counts as symmetric, and null spaces.
    #[new]
    #[pyo3(signature = (shape, indptr, indices, data, known, *, symmetry_tolerance=None, null_space=None, left_null_space=None))]
    #[expect(clippy::too_many_arguments, reason = "called from one place, by keyword")]
    fn new(
        py: Python<'_>,
        shape: (usize, usize),
        indptr: &Bound<'_, PyAny>,
        indices: &Bound<'_, PyAny>,
        data: &Bound<'_, PyAny>,
        known: Vec<(String, PyReadonlyArray2<'_, f64>)>,
        symmetry_tolerance: Option<f64>,
        null_space: Option<Null<'_>>,
        left_null_space: Option<Null<'_>>,
    ) -> PyResult<Self> {
        let arrays = Arrays::new([indptr, indices, data])?;
        let known = known.into_iter().map(|(name, values)| {
            let width = values.shape()[1];
            (name, width, values.as_array().iter().copied().collect())
        });
        let known: Vec<(String, usize, Vec<f64>)> = known.collect();
        let right = null_space.map(|null| null.wanted("null_space")).transpose()?;
        let left = left_null_space.map(|null| null.wanted("left_null_space")).transpose()?;
        without_python(py, || {
            let (rows, cols) = shape;
            if rows != cols {
                return Err(Error::Data(format!("A is {rows}×{cols}; it must be square")));
            }
            let arrays = Arc::new(arrays.in_order(cols)?);
            let a = DistCsr::solo(Csr::from_storage(cols, arrays.clone())?)?;
            let null = null_spaces(&a, right, left)?;
            let system = Core::new(a).with_host(methods()?.host());
            let mut system =
                known.into_iter().try_fold(system, |system, (name, width, values)| {
                    system.with_aux(&name, width, values)
                })?;
            if let Some(tolerance) = symmetry_tolerance {
                system = system.with_symmetry_tolerance(tolerance);
            }
            let (system, null) = match null {
                Some((null, known)) => (system.with_null_spaces(null), Some(known)),
                None => (system, None),
            };
            Ok(System { core: system, null, arrays })
        })
    }

    /// Unknowns.
    #[getter]
    fn size(&self) -> usize {
        self.core.a().n_own()
    }

    /// Entries of A.
    #[getter]
    fn nnz(&self) -> usize {
        self.core.a().nnz_own()
    }

    /// Whether A is symmetric.
    fn symmetric(&self, py: Python<'_>) -> PyResult<bool> {
        without_python(py, || Ok(self.core.a().first_unsymmetric()?.is_none()))
    }

    /// What is known of A beside its entries.
    #[getter]
    fn known(&self) -> Vec<String> {
        self.core.all_aux().map(|(name, _)| name.to_owned()).collect()
    }

    /// Takes copies in the place of arrays of NumPy, to which others may do something.
    fn keep(&self, py: Python<'_>) {
        without(py, || self.arrays.detach());
    }

    /// The same rows with another matrix: what is known of rows holds for it, too.
    fn beside(&self, other: &Bound<'_, System>) -> PyResult<System> {
        let other = other.get();
        let core =
            self.core.with_matrix(other.core.a().clone()).map_err(crate::error::exception)?;
        let core = match other.core.a().null_spaces() {
            Some(null) => core.with_null_spaces(null.clone()),
            None => core,
        };
        Ok(System { core, null: other.null, arrays: Arc::clone(&other.arrays) })
    }
}

impl System {
    /// After a setup: where a method goes on using A it has its arrays to itself.
    pub fn settle(&self) {
        // This object's own reference, and that of its matrix.
        if Arc::strong_count(&self.arrays) > 2 {
            self.arrays.detach();
        }
    }

    /// The system A x = b, to be solved from `x0`; M is made from `other`, where there is one.
    pub fn task(&self, b: Vec<f64>, x0: Option<Vec<f64>>, other: Option<&System>) -> Task {
        let mut task = Task::new(self.core.clone(), self.core.a().nnz_own() as u64, b);
        if let Some(x0) = x0 {
            task.x0 = x0;
        }
        Task { other: other.map(|other| other.core.clone()), null: self.null, ..task }
    }

    /// What is to be known of A.
    pub fn notes(&self) -> Vec<String> {
        self.task(Vec::new(), None, None).notes()
    }
}
