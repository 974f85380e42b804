//! The random matrices that *neural incomplete factorization* is tried on: A = M Mᵀ + α I, M with ten places a row drawn
//! evenly (one that is drawn twice is one entry) and normal values, α = 1e-3; b uniform in [0, 1).
//!
//! Reference: P. Häusner, O. Öktem, J. Sjölund, *Neural incomplete factorization: learning preconditioners for the
//! conjugate gradient method*, TMLR 2024; github.com/paulhausner/neural-incomplete-factorization, `apps/synthetic.py`.
use super::made::Made;
use precondor_core::Result;
use precondor_core::kernel::random::{Purpose, Stream};
use precondor_core::matrix::{Csr, DistCsr};
use std::collections::BTreeSet;

/// Places of M that are drawn for each row.
const PLACES: usize = 10;
/// α.
const SHIFT: f64 = 1e-3;

/// Streams of a system.
const PATTERN: u64 = 0;
const VALUES: u64 = 1;
const RHS: u64 = 2;

/// Matrices with so many unknowns.
#[derive(Clone, Debug)]
pub struct RandomSpd {
    pub n: usize,
}

impl RandomSpd {
    /// System `index`.
    pub fn make(&self, purpose: Purpose, seed: u64, index: u64) -> Result<Made> {
        let n = self.n;
        let stream = |what| Stream::new(purpose, seed, index, &[n as u64, what]);
        // Uniform in [0, 1).
        let uniform = |stream: Stream, place: u64, k: u64| 0.5 * (stream.signed(place, k) + 1.0);
        let pattern = stream(PATTERN);
        let among = |place: u64, k: u64| (uniform(pattern, place, k) * n as f64) as usize;
        let places = (0..(PLACES * n) as u64).map(|place| (among(place, 0), among(place, 1)));
        let places: BTreeSet<(usize, usize)> = places.collect();
        let values = stream(VALUES);
        let (mut rows, mut columns) = (vec![Vec::new(); n], vec![Vec::new(); n]);
        for (k, (i, j)) in places.into_iter().enumerate() {
            let value = values.normal(k as u64);
            rows[i].push((j, value));
            columns[j].push((i, value));
        }
        let rhs = stream(RHS);
        let b = (0..n as u64).map(|i| uniform(rhs, i, 0)).collect();
        Ok(Made { a: DistCsr::solo(product(&rows, &columns)?)?, b, x0: None })
    }
}

/// M Mᵀ + α I out of the rows and columns of M. Both halves are the same bit for bit: products are added in the same order.
fn product(rows: &[Vec<(usize, f64)>], columns: &[Vec<(usize, f64)>]) -> Result<Csr> {
    let n = rows.len();
    let (mut row_ptr, mut cols, mut values) = (vec![0u32], Vec::new(), Vec::new());
    let (mut sums, mut there) = (vec![0.0; n], vec![false; n]);
    for (i, row) in rows.iter().enumerate() {
        let mut found = vec![i as u32];
        (sums[i], there[i]) = (SHIFT, true);
        for &(k, m_ik) in row {
            for &(j, m_jk) in &columns[k] {
                if !there[j] {
                    there[j] = true;
                    found.push(j as u32);
                }
                sums[j] += m_ik * m_jk;
            }
        }
        found.sort_unstable();
        for &j in &found {
            values.push(std::mem::take(&mut sums[j as usize]));
            there[j as usize] = false;
        }
        cols.extend(found);
        row_ptr.push(cols.len() as u32);
    }
    Csr::new(n, row_ptr, cols, values)
}

#[cfg(test)]
mod tests {
    use super::super::made::tests::{definite, differ, symmetric};
    use super::*;

    #[test]
    fn matrices_are_symmetric_positive_definite_with_the_smallest_eigenvalue_above_the_shift() {
        for index in 0..3 {
            let made = RandomSpd { n: 150 }.make(Purpose::Test, 7, index).expect("made");
            assert!(symmetric(&made.a));
            let [least, most] = definite(&made.a);
            assert!(least >= SHIFT * (1.0 - 1e-6), "{least}");
            assert!(most / least > 100.0, "{most} over {least}");
            assert!(made.b.iter().all(|b| (0.0..1.0).contains(b)));
        }
    }

    #[test]
    fn ten_thousand_unknowns_have_the_published_density() {
        let made = RandomSpd { n: 10_000 }.make(Purpose::Test, 2026, 0).expect("made");
        // About one in a hundred: 1 − (1 − 1e-6)^1e6 of all pairs of rows share a column, less what was drawn twice.
        let share = made.a.nnz_own() as f64 / 1e8;
        assert!((0.0095..0.0102).contains(&share), "{share}");
        let diagonal: f64 = (0..10_000).map(|i| made.a.diagonal(i)).sum::<f64>() / 1e4;
        assert!((diagonal - 10.0).abs() < 0.3, "{diagonal}");
        let b = made.b.iter().sum::<f64>() / 1e4;
        assert!((b - 0.5).abs() < 0.02, "{b}");
    }

    #[test]
    fn systems_are_the_same_again_and_differ_in_seed_index_and_purpose() {
        let of = |purpose, seed, index| RandomSpd { n: 60 }.make(purpose, seed, index);
        differ(of);
    }
}
