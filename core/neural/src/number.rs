//! The number types the numerics are written for: `f32` in use, `f64` where a test needs its digits.

use ndarray::LinalgScalar;
use num_traits::Float;

/// `f32` or `f64`.
pub trait Number: Float + LinalgScalar + From<f32> + Send + Sync + std::fmt::Debug {
    /// The nearest number of this type to `x`.
    fn rounded(x: f64) -> Self;
    /// The same number in double precision.
    fn wide(self) -> f64;
}

impl Number for f32 {
    fn rounded(x: f64) -> Self {
        x as f32
    }
    fn wide(self) -> f64 {
        f64::from(self)
    }
}

impl Number for f64 {
    fn rounded(x: f64) -> Self {
        x
    }
    fn wide(self) -> f64 {
        self
    }
}
