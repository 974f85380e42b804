//! Cholesky factorisation in the envelope of a symmetric matrix: LLᵀ = PAPᵀ, where row i of L reaches from the
//! first column that row i of PAPᵀ has an entry in.
//!
//! P is the given order or that of Cuthill and McKee turned round, whichever makes the envelope smaller.
//!
//! When it works: A positive definite, and an envelope that there is room and time for, which is asked first.
//! Cost: Σ wᵢ² multiplications and Σ wᵢ numbers, with wᵢ the length of row i.
//!
//! The error is small in every entry: LLᵀ = A + E with |E| ≤ (w + 2)ε |L||Lᵀ|, w the longest row. A diagonal
//! scaling by powers of two changes no digit of L.
//!
//! Reference: A. George, J. W. H. Liu, *Computer Solution of Large Sparse Positive Definite Systems*, 1981,
//! ch. 4; N. J. Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., thm 10.3.
use super::band::{self, Profile};
use super::ordering::Ordering;
use crate::Result;
use crate::matrix::{Csr, CsrView};

/// Where the entries of the factor stand.
pub struct Envelope {
    /// Row of the matrix at each place.
    order: Vec<u32>,
    /// First column of each row.
    first: Vec<u32>,
}

/// L, row by row within the envelope.
pub struct Factor<'a> {
    envelope: &'a Envelope,
    /// Where the row of each place starts, and where the last one ends.
    start: Vec<usize>,
    values: Vec<f64>,
}

/// Where the rows of the factor stand: beside the first column of each, where it starts.
struct Rows<'a> {
    first: &'a [u32],
    start: &'a [usize],
}

impl Profile for Rows<'_> {
    fn first(&self, i: usize) -> usize {
        self.first[i] as usize
    }
    fn diagonal(&self, i: usize) -> usize {
        self.start[i + 1] - 1
    }
}

/// Why there is no factor.
pub struct NotPositive {
    /// x with xᵀAx = the pivot that is not positive, up to rounding.
    pub witness: Vec<f64>,
}

impl Envelope {
    /// The smaller envelope of a matrix with a symmetric pattern.
    ///
    /// # Errors
    /// As [`Ordering::rows`].
    pub fn of(a: CsrView<'_>) -> Result<Self> {
        let natural = Self::ordered(a, (0..a.n_rows() as u32).collect());
        let narrow = Ordering::Rcm.rows(a)?.map(|order| Self::ordered(a, order));
        Ok(match narrow.filter(|narrow| narrow.entries() < natural.entries()) {
            Some(narrow) => narrow,
            None => natural,
        })
    }

    fn ordered(a: CsrView<'_>, order: Vec<u32>) -> Self {
        let mut place = vec![0; order.len()];
        for (k, &i) in order.iter().enumerate() {
            place[i as usize] = k as u32;
        }
        let leftmost = |(k, &i): (usize, &u32)| {
            let columns = a.row_cols(i as usize).iter().map(|&j| place[j as usize]);
            columns.min().map_or(k as u32, |first| first.min(k as u32))
        };
        let first = order.iter().enumerate().map(leftmost).collect();
        Envelope { order, first }
    }

    fn lengths(&self) -> impl Iterator<Item = usize> + '_ {
        self.first.iter().enumerate().map(|(k, &first)| k - first as usize + 1)
    }

    /// Numbers that a factor holds.
    pub fn entries(&self) -> usize {
        self.lengths().sum()
    }

    /// Multiplications that a factorisation takes.
    pub fn work(&self) -> f64 {
        self.lengths().map(|w| w as f64 * w as f64).sum()
    }

    /// Factorises `sign`·(A − `shift`·I) with rows and columns scaled by `scale`, of which the lower half
    /// (in the order of the envelope) is looked at.
    ///
    /// # Errors
    /// [`NotPositive`] where a pivot is not positive.
    pub fn factorise(
        &self,
        a: CsrView<'_>,
        (sign, shift): (f64, f64),
        scale: &[f64],
    ) -> std::result::Result<Factor<'_>, NotPositive> {
        let n = self.order.len();
        let mut start = vec![0];
        for width in self.lengths() {
            start.push(start[start.len() - 1] + width);
        }
        let mut place = vec![0; n];
        for (k, &i) in self.order.iter().enumerate() {
            place[i as usize] = k;
        }
        let mut values = vec![0.0; start[n]];
        for (k, &i) in self.order.iter().enumerate() {
            let (i, first) = (i as usize, self.first[k] as usize);
            let row = &mut values[start[k]..start[k + 1]];
            for (j, v) in a.row(i).filter(|&(j, _)| place[j] <= k) {
                row[place[j] - first] += sign * v * scale[i] * scale[j];
            }
            row[k - first] -= sign * shift * scale[i] * scale[i];
        }
        let rows = Rows { first: &self.first, start: &start };
        band::factorise(&rows, &mut values, 0..n, 0.0).map_err(|pivot| NotPositive {
            witness: self.witness(pivot.row, &values, &rows, scale),
        })?;
        Ok(Factor { envelope: self, start, values })
    }

    /// x = S (−L⁻ᵀ l, 1, 0, …), with l the row of place `k` and L the factor above it.
    fn witness(&self, k: usize, values: &[f64], rows: &Rows<'_>, scale: &[f64]) -> Vec<f64> {
        let mut x = vec![0.0; k];
        for (j, l) in (rows.first(k)..k).zip(&values[rows.row(k)]) {
            x[j] = -l;
        }
        band::backward(rows, values, &mut x);
        let mut witness = vec![0.0; self.order.len()];
        for (x, &i) in x.iter().chain([&1.0]).zip(&self.order) {
            witness[i as usize] = x * scale[i as usize];
        }
        witness
    }
}

impl Factor<'_> {
    /// `x = (LLᵀ)⁻¹ x`, in the order of the matrix; `work` is as long.
    pub fn solve(&self, x: &mut [f64], work: &mut [f64]) {
        let order = &self.envelope.order;
        let rows = Rows { first: &self.envelope.first, start: &self.start };
        for (w, &i) in work.iter_mut().zip(order) {
            *w = x[i as usize];
        }
        band::forward(&rows, &self.values, work);
        band::backward(&rows, &self.values, work);
        for (w, &i) in work.iter().zip(order) {
            x[i as usize] = *w;
        }
    }

    /// A bound on ‖E‖₂ of the factorisation: (w + 2)ε times the largest row sum of |L||Lᵀ|.
    pub fn rounding(&self) -> f64 {
        let n = self.start.len() - 1;
        let mut columns = vec![0.0; n];
        for k in 0..n {
            let first = self.envelope.first[k] as usize;
            for (sum, l) in
                columns[first..].iter_mut().zip(&self.values[self.start[k]..self.start[k + 1]])
            {
                *sum += l.abs();
            }
        }
        let largest = (0..n).map(|k| {
            let row = &self.values[self.start[k]..self.start[k + 1]];
            row.iter()
                .zip(&columns[self.envelope.first[k] as usize..])
                .map(|(l, s)| l.abs() * s)
                .sum()
        });
        let widest = self.envelope.lengths().max().unwrap_or(0);
        largest.fold(0.0, f64::max) * (widest + 2) as f64 * f64::EPSILON
    }
}

/// (A + Aᵀ)/2, with the same bits where A is symmetric. A must be square.
///
/// # Errors
/// As [`Csr::from_triplets`].
pub fn symmetrized(a: &Csr) -> Result<Csr> {
    let (n, view) = (a.n_rows(), a.view());
    let entries = (0..n).flat_map(|i| view.row(i).map(move |(j, v)| (i, j, 0.5 * v)));
    let entries: Vec<(usize, usize, f64)> = entries.collect();
    let mirrored = entries.iter().map(|&(i, j, v)| (j, i, v));
    Csr::from_triplets(n, n, entries.iter().copied().chain(mirrored))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comm::Comm;
    use crate::problem::{Poisson, Problem};

    fn poisson(m: usize) -> Csr {
        let spec = Poisson { nodes: Some(m), shift: 0.0, ..Poisson::default() };
        let (system, _) = Problem::Poisson(spec).generate(Comm::solo()).expect("valid");
        system.a().own().clone()
    }

    /// PAPᵀ with rows in an order that looks random.
    fn shuffled(a: &Csr) -> Csr {
        let n = a.n_rows();
        let to = |i: usize| (i * 7919) % n;
        let view = a.view();
        let entries = (0..n).flat_map(|i| view.row(i).map(move |(j, v)| (to(i), to(j), v)));
        Csr::from_triplets(n, n, entries.collect::<Vec<_>>()).expect("valid")
    }

    #[test]
    fn solutions_are_right_in_any_order_and_the_envelope_stays_narrow() {
        let a = poisson(13);
        let n = a.n_rows();
        let ones = vec![1.0; n];
        for a in [shuffled(&a), a] {
            let envelope = Envelope::of(a.view()).expect("small");
            assert!(envelope.entries() <= n * 14, "{}", envelope.entries());
            assert!(envelope.work() <= (n * 14 * 14) as f64);
            let factor = envelope.factorise(a.view(), (1.0, 0.0), &ones).ok().expect("definite");
            let x: Vec<f64> = (0..n).map(|i| (i as f64).sin()).collect();
            let (mut b, mut work) = (vec![0.0; n], vec![0.0; n]);
            a.view().spmv(&x, &mut b, false);
            factor.solve(&mut b, &mut work);
            assert!(x.iter().zip(&b).all(|(x, b)| (x - b).abs() < 1e-12));
            assert!(factor.rounding() > 0.0 && factor.rounding() < 1e-12);
        }
    }

    #[test]
    fn what_is_not_definite_comes_with_a_witness() {
        let a = shuffled(&poisson(9));
        let n = a.n_rows();
        let view = a.view();
        let envelope = Envelope::of(view).expect("small");
        let scale: Vec<f64> = (0..n).map(|i| [0.5, 1.0, 4.0][i % 3]).collect();
        // Shifted beyond the smallest eigenvalue, and turned round short of the largest one.
        for (sign, shift) in [(1.0, 0.5), (1.0, 6.0), (-1.0, 7.0)] {
            let x =
                envelope.factorise(view, (sign, shift), &scale).err().expect("indefinite").witness;
            let mut ax = vec![0.0; n];
            view.spmv(&x, &mut ax, false);
            let product: f64 = x.iter().zip(&ax).map(|(x, ax)| sign * x * (ax - shift * x)).sum();
            let square: f64 = x.iter().map(|x| x * x).sum();
            assert!(product < -1e-9 * square, "{sign} {shift}: {product}");
        }
        assert!(envelope.factorise(view, (-1.0, 8.1), &scale).is_ok());
    }

    #[test]
    fn components_and_single_rows_have_their_places() {
        let a = Csr::from_triplets(5, 5, [(0, 0, 1.0), (1, 3, 1.0), (3, 1, 1.0), (2, 2, 1.0)]);
        let a = a.expect("valid");
        let mut order = Envelope::of(a.view()).expect("small").order;
        order.sort_unstable();
        assert_eq!(order, [0, 1, 2, 3, 4]);
        let none = Csr::new(0, vec![0], vec![], vec![]).expect("valid");
        assert_eq!(Envelope::of(none.view()).expect("small").entries(), 0);
        let a = Csr::from_triplets(2, 2, [(0, 1, 3.0), (0, 0, 1.0), (1, 0, 1.0)]).expect("valid");
        let a = symmetrized(&a).expect("square");
        assert_eq!((a.view().get(0, 1), a.view().get(1, 0), a.view().get(0, 0)), (2.0, 2.0, 1.0));
    }
}
