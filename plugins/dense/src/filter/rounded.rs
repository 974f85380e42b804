//! A sparse matrix in the precision it is asked for, and its product with a vector.
use crate::filter::Precision;
use precondor_sdk::core::comm::Exchange;
use precondor_sdk::core::matrix::{Explicit, ExplicitKind, ExplicitView, Values};
use precondor_sdk::prelude::*;
use std::sync::{Arc, Mutex, PoisonError};

/// What all entries share: the number that stored ones are multiplied by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scale(f64);

/// Largest entries of a matrix, as powers of two, that single precision and its upper half hold as they are,
/// with 80 binary digits below them.
const AS_THEY_ARE: std::ops::RangeInclusive<i32> = -40..=100;

impl Scale {
    /// For entries of at most `largest`.
    pub fn new(precision: Precision, largest: f64) -> Self {
        let exponent = if largest > 0.0 { largest.log2().floor() as i32 } else { 0 };
        Scale(match precision {
            Precision::F64 => 1.0,
            Precision::F32 | Precision::Bf16 if AS_THEY_ARE.contains(&exponent) => 1.0,
            Precision::F32 | Precision::Bf16 => 2f64.powi(exponent.max(-1000)),
            Precision::Int8 if largest > 0.0 => largest / 127.0,
            Precision::Int8 => 1.0,
        })
    }

    /// The number of this precision nearest to `x`.
    pub fn rounded(self, precision: Precision, x: f64) -> f64 {
        match precision {
            Precision::F64 => x,
            Precision::F32 => f64::from((x / self.0) as f32) * self.0,
            Precision::Bf16 => widen(bf16(x / self.0)) * self.0,
            Precision::Int8 => f64::from(int8(x, self)) * self.0,
        }
    }
}

/// The upper half of the `f32` nearest to `x`, ties to even. Finite numbers only.
fn bf16(x: f64) -> u16 {
    let bits = (x as f32).to_bits();
    ((bits + 0x7fff + ((bits >> 16) & 1)) >> 16) as u16
}

fn widen(upper: u16) -> f64 {
    f32::from_bits(u32::from(upper) << 16).into()
}

fn int8(x: f64, scale: Scale) -> i8 {
    (x / scale.0).round() as i8
}

enum Entries {
    F64(Vec<f64>),
    F32(Vec<f32>),
    Bf16(Vec<u16>),
    Int8(Vec<i8>),
}

impl Entries {
    fn of(values: &[f64], precision: Precision, scale: Scale) -> Self {
        match precision {
            Precision::F64 => Entries::F64(values.to_vec()),
            Precision::F32 => Entries::F32(values.iter().map(|&x| (x / scale.0) as f32).collect()),
            Precision::Bf16 => Entries::Bf16(values.iter().map(|&x| bf16(x / scale.0)).collect()),
            Precision::Int8 => Entries::Int8(values.iter().map(|&x| int8(x, scale)).collect()),
        }
    }

    fn values(&self) -> Option<Values<'_>> {
        match self {
            Entries::F64(v) => Some(Values::F64(v)),
            Entries::F32(v) => Some(Values::F32(v)),
            Entries::Bf16(v) => Some(Values::Bf16(v)),
            Entries::Int8(_) => None,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Entries::F64(v) => size_of_val(v.as_slice()),
            Entries::F32(v) => size_of_val(v.as_slice()),
            Entries::Bf16(v) => size_of_val(v.as_slice()),
            Entries::Int8(v) => size_of_val(v.as_slice()),
        }
    }
}

struct Block {
    row_ptr: Vec<u32>,
    cols: Vec<u32>,
    entries: Entries,
}

impl Block {
    fn new(a: CsrView<'_>, precision: Precision, scale: Scale) -> Self {
        Block {
            row_ptr: a.row_ptr.to_vec(),
            cols: a.cols.to_vec(),
            entries: Entries::of(a.values, precision, scale),
        }
    }

    /// `y += B x`.
    fn add_product(&self, x: &[f64], y: &mut [f64], scale: Scale) {
        match &self.entries {
            Entries::F64(v) => self.products(v, |v| v, x, y),
            Entries::F32(v) => self.products(v, |v| f64::from(v) * scale.0, x, y),
            Entries::Bf16(v) => self.products(v, |v| widen(v) * scale.0, x, y),
            Entries::Int8(v) => self.products(v, |v| f64::from(v) * scale.0, x, y),
        }
    }

    fn products<T: Copy>(&self, values: &[T], widen: impl Fn(T) -> f64, x: &[f64], y: &mut [f64]) {
        for (y, range) in y.iter_mut().zip(self.row_ptr.windows(2)) {
            let range = range[0] as usize..range[1] as usize;
            let row = self.cols[range.clone()].iter().zip(&values[range]);
            *y = row.fold(*y, |s, (&j, &v)| s + widen(v) * x[j as usize]);
        }
    }

    fn view(&self) -> Option<ExplicitView<'_>> {
        let values = self.entries.values()?;
        Some(ExplicitView { row_ptr: &self.row_ptr, cols: &self.cols, values })
    }

    fn bytes(&self) -> usize {
        4 * (self.row_ptr.len() + self.cols.len()) + self.entries.bytes()
    }
}

/// This rank's rows.
pub(crate) struct Rounded {
    own: Block,
    ghost: Block,
    ghost_ids: Vec<u64>,
    scale: Scale,
    link: Option<Arc<dyn Exchange>>,
    arrived: Mutex<Vec<f64>>,
}

impl Rounded {
    /// The matrix `m`, whose values have been [`rounded`](Scale::rounded).
    pub fn new(m: &DistCsr, precision: Precision, scale: Scale) -> Self {
        Rounded {
            own: Block::new(m.own().view(), precision, scale),
            ghost: Block::new(m.ghost().view(), precision, scale),
            ghost_ids: m.ghost_ids().to_vec(),
            scale,
            link: (m.space().comm().size() > 1).then(|| Arc::clone(m.link())),
            arrived: Mutex::new(vec![0.0; m.ghost_ids().len()]),
        }
    }

    /// `y = M x`. Collective; does not allocate.
    pub fn product(&self, x: &[f64], y: &mut [f64]) -> Result<()> {
        y.fill(0.0);
        let Some(link) = &self.link else {
            self.own.add_product(x, y, self.scale);
            return Ok(());
        };
        let mut arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        let token = link.start(x)?;
        self.own.add_product(x, y, self.scale);
        link.finish(token, &mut arrived)?;
        self.ghost.add_product(&arrived, y, self.scale);
        Ok(())
    }

    pub fn nnz(&self) -> usize {
        self.own.cols.len() + self.ghost.cols.len()
    }

    pub fn bytes(&self) -> usize {
        self.own.bytes() + self.ghost.bytes() + 16 * self.ghost_ids.len()
    }

    /// What the interface can lend: nothing where stored numbers are not the entries.
    pub fn explicit(&self) -> Option<Explicit<'_>> {
        if self.scale.0 != 1.0 {
            return None;
        }
        let (own, ghost) = (self.own.view()?, self.ghost.view()?);
        Some(Explicit { kind: ExplicitKind::Inverse, own, ghost, ghost_ids: &self.ghost_ids })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_to_the_nearest_of_their_kind() {
        for (precision, x, expected) in [
            (Precision::F64, 0.1, 0.1),
            (Precision::F32, 0.1, f64::from(0.1f32)),
            (Precision::Bf16, 1.0 + 1.0 / 256.0, 1.0), // a tie: to even
            (Precision::Bf16, 1.0 + 3.0 / 256.0, 1.0 + 4.0 / 256.0),
            (Precision::Bf16, -1.0 - 1.5 / 256.0, -1.0 - 2.0 / 256.0),
            (Precision::Int8, 2.54, 127.0 * 0.02),
            (Precision::Int8, -0.029, -0.02),
            (Precision::Int8, 0.009, 0.0),
        ] {
            let rounded = Scale::new(precision, 2.54).rounded(precision, x);
            assert!((rounded - expected).abs() < 1e-15, "{precision:?} {x}: {rounded}");
        }
        assert_eq!(Scale::new(Precision::Int8, 0.0), Scale(1.0));
        // Far from one, what is stored is beside the largest.
        for precision in [Precision::F32, Precision::Bf16] {
            for size in [1e-200, 1e-30, 1e40, 1e200] {
                let scale = Scale::new(precision, 3.0 * size);
                let rounded = scale.rounded(precision, 1.0 / 3.0 * size);
                assert!(
                    (rounded / size - 1.0 / 3.0).abs() < 2e-3,
                    "{precision:?} {size}: {rounded}"
                );
            }
            assert_eq!(Scale::new(precision, 1e6), Scale(1.0));
        }
    }
}
