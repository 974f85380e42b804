//! The coarsest system: the explicit inverse of a small dense matrix.
//!
//! By Gauss and Jordan in double precision: 2 n³ operations once, 2 n² a cycle, which a few hundred
//! unknowns do faster than two triangular solves. Symmetric matrices are eliminated along the diagonal, and
//! a pivot that is not positive tells that the matrix is not positive definite (to its precision); others
//! with partial pivoting.
use crate::number::Number;
use crate::rows::Rows;
use precondor_sdk::core::memory;
use precondor_sdk::prelude::*;

/// The inverse, row after row.
pub(crate) struct Inverse<V> {
    n: usize,
    entries: Vec<V>,
}

/// A pivot below this part of its diagonal entry is rounding.
const ROUNDING: f64 = 1e-13;

impl<V: Number> Inverse<V> {
    /// Of no unknowns.
    pub fn empty() -> Self {
        Inverse { n: 0, entries: vec![] }
    }

    /// The inverse of a symmetric positive definite matrix; none where it is not, which the least
    /// relative size of a pivot tells: `noise` is the rounding that entries come with. `room` is an array
    /// to be used again.
    pub fn definite(a: &Rows<'_, V>, noise: f64, room: Vec<f64>) -> Result<Option<Self>> {
        let n = a.len();
        let mut m = dense(a, room)?;
        for k in 0..n {
            let pivot = m[k * n + k];
            if pivot.is_nan() || pivot <= noise.max(ROUNDING) * a.diagonal[k].double() {
                return Ok(None);
            }
            eliminate(&mut m, n, k);
        }
        for i in 0..n {
            for j in 0..i {
                let mean = 0.5 * (m[i * n + j] + m[j * n + i]);
                (m[i * n + j], m[j * n + i]) = (mean, mean);
            }
        }
        Ok(Some(Inverse { n, entries: m.into_iter().map(V::of).collect() }))
    }

    /// The inverse of any regular matrix; none for a singular one.
    pub fn general(a: &Rows<'_, V>) -> Result<Option<Self>> {
        let n = a.len();
        let mut m = dense(a, vec![])?;
        let mut order: Vec<usize> = (0..n).collect();
        for k in 0..n {
            let size = |i: &usize| m[i * n + k].abs();
            let best = (k..n).max_by(|i, j| size(i).total_cmp(&size(j))).unwrap_or(k);
            let pivot = m[best * n + k];
            if pivot.is_nan() || pivot == 0.0 {
                return Ok(None);
            }
            if best != k {
                let (upper, lower) = m.split_at_mut(best * n);
                upper[k * n..(k + 1) * n].swap_with_slice(&mut lower[..n]);
                order.swap(k, best);
            }
            eliminate(&mut m, n, k);
        }
        // Rows were exchanged: so are the inverse's columns.
        let mut entries = memory::vec_of(V::ZERO, n * n, WHAT)?;
        for i in 0..n {
            for (k, &j) in order.iter().enumerate() {
                entries[i * n + j] = V::of(m[i * n + k]);
            }
        }
        Ok(Some(Inverse { n, entries }))
    }

    pub fn solve(&self, b: &[V], x: &mut [V]) {
        for (row, x) in self.entries.chunks_exact(self.n.max(1)).zip(x) {
            let mut lanes = [V::ZERO; 8];
            let (rows, bs) = (row.chunks_exact(8), b.chunks_exact(8));
            let tail = rows.remainder().iter().zip(bs.remainder());
            let mut sum = tail.fold(V::ZERO, |s, (&a, &b)| s + a * b);
            for (row, b) in rows.zip(bs) {
                for k in 0..8 {
                    lanes[k] += row[k] * b[k];
                }
            }
            lanes.iter().for_each(|&l| sum += l);
            *x = sum;
        }
    }

    /// Its array.
    pub fn into_entries(self) -> Vec<V> {
        self.entries
    }
    pub fn stored_entries(&self) -> usize {
        self.entries.len()
    }
}

/// What does not fit where too much is solved directly.
const WHAT: &str = "amg: the inverse of the coarsest matrix; lower 'coarsest' or raise 'levels'";

fn dense<V: Number>(a: &Rows<'_, V>, room: Vec<f64>) -> Result<Vec<f64>> {
    let n = a.len();
    let entries = memory::count(&[n as u64, n as u64], WHAT)?;
    let mut m = room;
    m.clear();
    memory::reserve(&mut m, entries, WHAT)?;
    m.resize(entries, 0.0);
    for i in 0..n {
        a.row(i).for_each(|(j, v)| m[i * n + j as usize] = v.double());
    }
    Ok(m)
}

/// One step of Gauss and Jordan: unknown `k` exchanged for equation `k`.
fn eliminate(m: &mut [f64], n: usize, k: usize) {
    let inverse = 1.0 / m[k * n + k];
    m[k * n + k] = 1.0;
    m[k * n..(k + 1) * n].iter_mut().for_each(|v| *v *= inverse);
    let (above, rest) = m.split_at_mut(k * n);
    let (row, below) = rest.split_at_mut(n);
    for other in above.chunks_exact_mut(n).chain(below.chunks_exact_mut(n)) {
        let factor = std::mem::replace(&mut other[k], 0.0);
        if factor != 0.0 {
            other.iter_mut().zip(&*row).for_each(|(x, &p)| *x -= factor * p);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A full matrix of numbers that no order helps.
    fn rows(n: usize, entry: impl Fn(usize, usize) -> f64) -> Rows<'static, f64> {
        let cols: Vec<u32> = (0..n * n).map(|k| (k % n) as u32).collect();
        let values = (0..n * n).map(|k| entry(k / n, k % n)).collect::<Vec<f64>>();
        Rows {
            start: (0..=n).map(|i| (i * n) as u32).collect::<Vec<u32>>().into(),
            middle: (0..n).map(|i| (i * n + i) as u32).collect(),
            cols: cols.into(),
            values: values.into(),
            diagonal: (0..n).map(|i| entry(i, i)).collect(),
        }
    }

    #[test]
    fn an_inverse_times_its_matrix_is_the_identity() {
        let n = 25;
        let entry = |i: usize, j: usize| (((i * i + 1) * (j + 2)) as f64).sin();
        let inverse = Inverse::general(&rows(n, entry)).expect("fits").expect("regular");
        for column in 0..n {
            let b: Vec<f64> = (0..n).map(|i| entry(i, column)).collect();
            let mut x = vec![0.0; n];
            inverse.solve(&b, &mut x);
            for (i, x) in x.iter().enumerate() {
                let expected = f64::from(u8::from(i == column));
                assert!((x - expected).abs() < 1e-9, "({i}, {column}): {x}");
            }
        }
    }

    #[test]
    fn a_matrix_that_is_not_definite_has_no_definite_inverse() {
        let entry = |i: usize, j: usize| if i == j { 1.0 } else { 2.0 };
        assert!(Inverse::definite(&rows(3, entry), 0.0, vec![]).expect("fits").is_none());
        assert!(Inverse::general(&rows(3, entry)).expect("fits").is_some());
        assert!(Inverse::general(&rows(3, |_, _| 1.0)).expect("fits").is_none());
    }
}
