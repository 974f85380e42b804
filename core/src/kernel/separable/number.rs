//! Numbers that the fast solves are made for.
use std::ops::AddAssign;

use bytemuck::Pod;
use rustfft::FftNum;

/// `f32` or `f64`.
pub trait Number: FftNum + Pod + PartialOrd + AddAssign {
    /// Lines that are moved, or transformed, side by side: what one vector of 64 bytes holds.
    const LANES: usize;
    /// Nought.
    const ZERO: Self;
    /// The nearest number of this type to `x`.
    fn rounded(x: f64) -> Self;
    /// The same number in double precision.
    fn widened(self) -> f64;
}

impl Number for f32 {
    const LANES: usize = 16;
    const ZERO: Self = 0.0;
    fn rounded(x: f64) -> Self {
        x as f32
    }
    fn widened(self) -> f64 {
        f64::from(self)
    }
}

impl Number for f64 {
    const LANES: usize = 8;
    const ZERO: Self = 0.0;
    fn rounded(x: f64) -> Self {
        x
    }
    fn widened(self) -> f64 {
        self
    }
}
