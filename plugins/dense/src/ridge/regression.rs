//! Ridge regression in linfa's terms: `Ridge.fit(&dataset)` gives a [`Fitted`], `fitted.predict(&x)` the
//! targets.
//!
//! Every column of the records is centred and scaled to mean square 1 (a constant one to 0), every column
//! of the targets centred; then `W = (SᵀS/N + λ)⁻¹ SᵀY/N` for `N` samples with inputs `S` and targets `Y`.
//!
//! - **Cost**: `N p² + 2 N p k + p³/3 + 2 p² k` flops for `p` inputs and `k` targets.
//! - **Reference**: A. Hoerl, R. Kennard, *Ridge regression: biased estimation for nonorthogonal problems*,
//!   Technometrics 12 (1970).

use linfa::DatasetBase;
use linfa::traits::{Fit, PredictInplace};
use linfa_linalg::LinalgError;
use linfa_linalg::cholesky::SolveCInplace;
use ndarray::{Array1, Array2, ArrayBase, Axis, Data, Ix2, ShapeBuilder, linalg::general_mat_mul};

/// The recipe: how much is added to the variance of every input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ridge {
    /// `λ`, against inputs of mean square 1.
    pub penalty: f64,
}

/// Centre and scale of every input.
#[derive(Clone, Debug, PartialEq)]
pub struct Standard {
    /// Mean of each column.
    pub centre: Array1<f64>,
    /// What the centred column is multiplied by.
    pub scale: Array1<f64>,
}

/// What was learned.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// How inputs are standardised.
    pub standard: Standard,
    /// Means of the targets.
    pub intercept: Array1<f64>,
    /// One row an input, one column a target.
    pub weights: Array2<f64>,
}

/// Why a regression failed.
#[derive(Debug)]
pub enum RidgeError {
    /// linfa refused the data.
    Linfa(linfa::Error),
    /// The normal equations could not be solved.
    Linalg(LinalgError),
}

impl std::fmt::Display for RidgeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            RidgeError::Linfa(e) => write!(f, "{e}"),
            RidgeError::Linalg(e) => {
                write!(f, "the normal equations cannot be solved ({e}); raise the penalty")
            }
        }
    }
}

impl std::error::Error for RidgeError {}

impl From<linfa::Error> for RidgeError {
    fn from(e: linfa::Error) -> Self {
        RidgeError::Linfa(e)
    }
}

impl Standard {
    /// Of the columns of `records`.
    pub fn of<D: Data<Elem = f64>>(records: &ArrayBase<D, Ix2>) -> Self {
        let n = records.nrows().max(1) as f64;
        let centre = records.sum_axis(Axis(0)) / n;
        let mut square = Array1::<f64>::zeros(records.ncols());
        for row in records.rows() {
            square.zip_mut_with(&(&row - &centre), |sum, d| *sum += d * d);
        }
        // Rounding of the mean makes a constant column vary by some units in the last place.
        let varies = |square: f64, centre: f64| (square / n).sqrt() > 1e-12 * centre.abs();
        let scale = square.iter().zip(&centre).map(|(&square, &centre)| {
            if varies(square, centre) { 1.0 / (square / n).sqrt() } else { 0.0 }
        });
        Standard { scale: scale.collect(), centre }
    }

    /// Standardised records.
    pub fn apply<D: Data<Elem = f64>>(&self, records: &ArrayBase<D, Ix2>) -> Array2<f64> {
        (records - &self.centre) * &self.scale
    }
}

impl<D, E> Fit<ArrayBase<D, Ix2>, ArrayBase<E, Ix2>, RidgeError> for Ridge
where
    D: Data<Elem = f64>,
    E: Data<Elem = f64>,
{
    type Object = Fitted;

    fn fit(
        &self,
        dataset: &DatasetBase<ArrayBase<D, Ix2>, ArrayBase<E, Ix2>>,
    ) -> Result<Fitted, RidgeError> {
        let (records, targets) = (dataset.records(), dataset.targets());
        let n = records.nrows();
        if n == 0 {
            return Err(linfa::Error::NotEnoughSamples.into());
        }
        if n != targets.nrows() {
            return Err(linfa::Error::MismatchedShapes(n, targets.nrows()).into());
        }
        let standard = Standard::of(records);
        let s = standard.apply(records);
        let intercept = targets.sum_axis(Axis(0)) / n as f64;
        // The centred inputs see no constant: the targets need not be centred.
        let mut gram = Array2::zeros((s.ncols(), s.ncols()));
        general_mat_mul(1.0 / n as f64, &s.t(), &s, 0.0, &mut gram);
        gram.diag_mut().mapv_inplace(|d| d + self.penalty);
        // Column after column, as they are solved for.
        let mut weights = Array2::zeros((s.ncols(), targets.ncols()).f());
        general_mat_mul(1.0 / n as f64, &s.t(), targets, 0.0, &mut weights);
        gram.solvec_inplace(&mut weights).map_err(RidgeError::Linalg)?;
        Ok(Fitted { standard, intercept, weights })
    }
}

impl<D: Data<Elem = f64>> PredictInplace<ArrayBase<D, Ix2>, Array2<f64>> for Fitted {
    fn predict_inplace<'a>(&'a self, records: &'a ArrayBase<D, Ix2>, targets: &mut Array2<f64>) {
        targets.assign(&self.intercept);
        let s = self.standard.apply(records);
        general_mat_mul(1.0, &s, &self.weights, 1.0, targets);
    }

    fn default_target(&self, records: &ArrayBase<D, Ix2>) -> Array2<f64> {
        Array2::zeros((records.nrows(), self.weights.ncols()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use linfa::Dataset;
    use linfa::traits::Predict;
    use precondor_neural::random::Random;

    /// Inputs with an offset and a constant column; two targets, linear in them.
    fn linear(n: usize) -> Dataset<f64, f64, Ix2> {
        let mut random = Random::new(1, 0);
        let x = Array2::from_shape_fn(
            (n, 3),
            |(_, j)| {
                if j == 2 { 7.3 } else { 4.0 + 0.3 * random.unit() }
            },
        );
        let y = Array2::from_shape_fn((n, 2), |(i, j)| {
            let (a, b) = (x[[i, 0]], x[[i, 1]]);
            if j == 0 { 2.0 * a - b + 5.0 } else { 3.0 * b }
        });
        Dataset::new(x, y)
    }

    #[test]
    fn a_linear_map_is_found() {
        let data = linear(50);
        let fitted = Ridge { penalty: 1e-12 }.fit(&data).unwrap();
        let x = Array2::from_shape_vec((1, 3), vec![4.5, 3.9, 7.3]).unwrap();
        let y = fitted.predict(&x);
        assert!((y[[0, 0]] - 10.1).abs() < 1e-8 && (y[[0, 1]] - 11.7).abs() < 1e-8, "{y}");
        assert_eq!(fitted.standard.scale[2], 0.0);
    }

    #[test]
    fn the_penalty_pulls_to_the_mean() {
        let data = linear(200);
        let fitted = Ridge { penalty: 1e9 }.fit(&data).unwrap();
        let mean = data.targets().mean_axis(Axis(0)).unwrap();
        let y: Array2<f64> = fitted.predict(data.records());
        assert!(y.rows().into_iter().all(|row| (&row - &mean).iter().all(|d| d.abs() < 1e-6)));
        // One standardised input with target slope w: the ridge solution is w/(1 + λ).
        let x = Array2::from_shape_fn((2, 1), |(i, _)| 2.0 * i as f64 - 1.0);
        let half = Ridge { penalty: 1.0 }.fit(&DatasetBase::new(x.clone(), x)).unwrap();
        assert!((half.weights[[0, 0]] - 0.5).abs() < 1e-15);
    }

    #[test]
    fn data_that_do_not_fit_are_refused() {
        let data = DatasetBase::new(Array2::<f64>::zeros((3, 1)), Array2::<f64>::zeros((2, 1)));
        let why = Ridge { penalty: 1.0 }.fit(&data).unwrap_err().to_string();
        assert!(why.contains("do not match: 3 - 2"), "{why}");
        let none = DatasetBase::new(Array2::<f64>::zeros((0, 1)), Array2::<f64>::zeros((0, 1)));
        let why = Ridge { penalty: 1.0 }.fit(&none).unwrap_err().to_string();
        assert!(why.contains("not enough samples"), "{why}");
        let singular = DatasetBase::new(Array2::<f64>::ones((3, 1)), Array2::<f64>::ones((3, 1)));
        let why = Ridge { penalty: 0.0 }.fit(&singular).unwrap_err().to_string();
        assert!(why.contains("raise the penalty"), "{why}");
    }
}
