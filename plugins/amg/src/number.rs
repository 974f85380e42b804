//! The two precisions that levels are kept in.
use std::ops::{Add, AddAssign, Div, Mul, Sub, SubAssign};

/// f64 on the finest level, f32 or f64 below it.
pub(crate) trait Number:
    Copy
    + Default
    + Send
    + Sync
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + AddAssign
    + SubAssign
    + 'static
{
    const ZERO: Self;
    fn of(value: f64) -> Self;
    fn of_single(value: f32) -> Self;
    fn double(self) -> f64;
}

impl Number for f64 {
    const ZERO: Self = 0.0;
    #[inline(always)]
    fn of(value: f64) -> Self {
        value
    }
    #[inline(always)]
    fn of_single(value: f32) -> Self {
        f64::from(value)
    }
    #[inline(always)]
    fn double(self) -> f64 {
        self
    }
}

impl Number for f32 {
    const ZERO: Self = 0.0;
    #[inline(always)]
    fn of(value: f64) -> Self {
        value as f32
    }
    #[inline(always)]
    fn of_single(value: f32) -> Self {
        value
    }
    #[inline(always)]
    fn double(self) -> f64 {
        f64::from(self)
    }
}
