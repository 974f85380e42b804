//! What solvers need of A: products, and a little knowledge.
use super::{Csr, DistCsr, NullSpaces, Space};
use crate::Result;
use std::sync::Arc;

/// A square linear map of vectors that are spread over ranks: anything with a product.
///
/// Solvers take one (`&DistCsr` is one). What makes a preconditioner takes a matrix with entries:
/// another one, near to the operator, where this has none.
///
/// ```
/// use precondor_core::matrix::{Csr, DistCsr, Operator, Space, Symmetry};
/// use precondor_core::precond::{Identity, Preconditioner, Properties};
/// use precondor_core::solver::{Criterion, Algorithm, Outcome, Stop, solve};
/// use precondor_core::Result;
/// use std::{ops::ControlFlow, sync::Arc};
///
/// /// The second difference, of which nothing is stored.
/// struct SecondDifference(Arc<Space>);
///
/// impl Operator for SecondDifference {
///     fn space(&self) -> &Arc<Space> {
///         &self.0
///     }
///     fn apply(&self, x: &[f64], y: &mut [f64]) -> Result<()> {
///         for i in 0..x.len() {
///             let before = if i > 0 { x[i - 1] } else { 0.0 };
///             y[i] = 2.0 * x[i] - before - x.get(i + 1).unwrap_or(&0.0);
///         }
///         Ok(())
///     }
///     fn symmetric(&self) -> Result<Symmetry> {
///         Ok(Symmetry::Symmetric)
///     }
/// }
///
/// let a = SecondDifference(Space::solo(50));
/// let stop = Stop {
///     criterion: Criterion::RelativeResidual,
///     tolerance: 1e-10,
///     max_iterations: 100,
///     divergence: f64::INFINITY,
/// };
/// let mut x = vec![0.0; 50];
/// let mut watch = |_: &_| ControlFlow::Continue(());
/// let report = solve(&Algorithm::Cg, &a, &Identity, &[1.0; 50], &mut x, &stop, &mut watch)?;
/// // A solution that is even about the middle has 25 unknowns, found in as many iterations.
/// assert_eq!((report.outcome, report.iterations), (Outcome::Converged, 25));
/// assert!((x[0] - 25.0).abs() < 1e-9);
/// # Ok::<(), precondor_core::Error>(())
/// ```
pub trait Operator {
    /// How its rows, and the vectors it takes and gives, are spread.
    fn space(&self) -> &Arc<Space>;

    /// `y = A x` on the rows that this rank owns; `y` is overwritten whatever it held. Collective;
    /// should not allocate.
    ///
    /// # Errors
    /// What the communicator reports.
    fn apply(&self, x: &[f64], y: &mut [f64]) -> Result<()>;

    /// Whether A = Aᵀ, as far as it is known. Collective.
    ///
    /// # Errors
    /// What the communicator reports.
    fn symmetric(&self) -> Result<Symmetry> {
        Ok(Symmetry::Unknown)
    }

    /// The diagonal on the rows that this rank owns, where it is known (on all ranks or on none).
    fn diagonal_entries(&self) -> Option<Vec<f64>> {
        None
    }

    /// The largest magnitude of its entries on this rank, where it is known (on all ranks or on none):
    /// an operator far from 1 is solved with in other units. Not collective.
    fn largest(&self) -> Option<f64> {
        None
    }

    /// Writes Σⱼ |aᵢⱼ| of the own rows from `first` on: what the residual of a row is compared with. False where they are not known, which
    /// are all rows or none. Not collective.
    fn row_sizes(&self, first: usize, sizes: &mut [f64]) -> bool {
        let _ = (first, sizes);
        false
    }

    /// |x|ᵀ|A||x|, of which the rounding of xᵀAx is a small part; where it is known (on all ranks or on
    /// none). Collective.
    ///
    /// # Errors
    /// What the communicator reports.
    fn magnitude(&self, _x: &[f64]) -> Result<Option<f64>> {
        Ok(None)
    }

    /// Null spaces that solvers have to take care of; see [`NullSpaces`].
    fn null_spaces(&self) -> Option<&NullSpaces> {
        None
    }
}

/// What is known of A = Aᵀ; the same on all ranks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Symmetry {
    /// It holds.
    Symmetric,
    /// It does not; the text says where.
    Unsymmetric(String),
    /// Nobody knows: methods that need it trust the caller.
    Unknown,
}

impl Operator for DistCsr {
    fn space(&self) -> &Arc<Space> {
        self.space()
    }
    fn apply(&self, x: &[f64], y: &mut [f64]) -> Result<()> {
        self.spmv(x, y)
    }
    fn symmetric(&self) -> Result<Symmetry> {
        Ok(match self.first_unsymmetric()? {
            None => Symmetry::Symmetric,
            Some(at) => Symmetry::Unsymmetric(at.to_string()),
        })
    }
    fn diagonal_entries(&self) -> Option<Vec<f64>> {
        Some((0..self.n_own()).map(|i| self.diagonal(i)).collect())
    }
    fn largest(&self) -> Option<f64> {
        Some(self.largest())
    }
    fn row_sizes(&self, first: usize, sizes: &mut [f64]) -> bool {
        let (own, ghost) = (self.own().view(), self.ghost().view());
        for (size, row) in sizes.iter_mut().zip(first..) {
            let entries = own.row_values(row).iter().chain(ghost.row_values(row));
            *size = entries.map(|v| v.abs()).sum();
        }
        true
    }
    fn magnitude(&self, x: &[f64]) -> Result<Option<f64>> {
        let positive = |values: &[f64]| values.iter().map(|v| v.abs()).collect();
        let of_block = |block: &Csr| positive(block.view().values);
        let absolute = self.with_values(of_block(self.own()), of_block(self.ghost()))?;
        let (x, mut product): (Vec<f64>, _) = (positive(x), vec![0.0; x.len()]);
        absolute.spmv(&x, &mut product)?;
        self.space().dots([(&x, &product)]).map(|[sum]| Some(sum))
    }
    fn null_spaces(&self) -> Option<&NullSpaces> {
        self.null_spaces()
    }
}
