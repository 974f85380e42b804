//! Numbers that the fast solves are made for.
use std::fmt::Debug;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

use bytemuck::Pod;

/// `f32` or `f64`.
pub trait Number:
    Pod
    + Debug
    + PartialOrd
    + Send
    + Sync
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
{
    /// Lines that are transformed side by side: what one vector of 64 bytes holds.
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
