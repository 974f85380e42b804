//! How an inverse is written as a vector for a network to predict, and read back.
//!
//! The vector is the upper triangle of a symmetric matrix, entries beside the diagonal times `√2`, so
//! that lengths of vectors are Frobenius norms. The matrix is `A⁻¹` itself or, *whitened*,
//! `T = Λ^½ Q A⁻¹ Q Λ^½` with the sine transform `Q` and the eigenvalues `Λ` of the unshifted mesh's
//! matrix `A0 = Q Λ Q`. Then `T` is near the identity, the length of an error in it is that of
//! `A0^½ (M − A⁻¹) A0^½`, which is what decides convergence, and small errors in smooth and in rough
//! modes count alike. What is read back is symmetric whatever the vector.

use precondor_sdk::core::kernel::separable::eigenvalue;

use precondor_neural::net::{Operand, multiply};
use precondor_sdk::core::kernel::grid::Grid;

/// The way from inverses to vectors and back, for one grid.
#[derive(Clone, Debug)]
pub struct Frame {
    n: usize,
    whitening: Option<Whitening>,
}

#[derive(Clone, Debug)]
struct Whitening {
    /// The sine transform `Q`, row after row.
    q: Vec<f32>,
    /// Diagonal of `Λ^½`.
    root: Vec<f32>,
}

impl Frame {
    /// For one grid; with or without whitening.
    pub fn new(grid: Grid, whiten: bool) -> Self {
        Frame { n: grid.nodes(), whitening: whiten.then(|| Whitening::new(grid)) }
    }

    /// Length of a vector.
    pub fn length(&self) -> usize {
        triangle(self.n)
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.whitening.as_ref().map_or(0, |w| 4 * (w.q.len() + w.root.len()))
    }

    /// Appends the vector of an inverse given row after row.
    pub fn encode(&self, inverse: &[f64], out: &mut Vec<f32>) {
        let mut matrix: Vec<f32> = inverse.iter().map(|&v| v as f32).collect();
        if let Some(whitening) = &self.whitening {
            matrix = whitening.transform(&matrix);
            whitening.scale(&mut matrix, |value, root| value * root);
        }
        for (i, row) in matrix.chunks_exact(self.n).enumerate() {
            out.push(row[i]);
            out.extend(row[i + 1..].iter().map(|v| v * std::f32::consts::SQRT_2));
        }
    }

    /// Undoes the factor `√2` of a vector: what is left are the entries of the upper triangle.
    pub fn to_entries(&self, vector: &mut [f32]) {
        let mut rest = vector;
        for i in 0..self.n {
            let (row, later) = rest.split_at_mut(self.n - i);
            row[1..].iter_mut().for_each(|v| *v *= std::f32::consts::FRAC_1_SQRT_2);
            rest = later;
        }
    }

    /// The symmetric matrix of a vector, row after row.
    pub fn decode(&self, vector: &[f32]) -> Vec<f64> {
        let n = self.n;
        let mut triangle = vector.to_vec();
        self.to_entries(&mut triangle);
        let mut matrix = vec![0.0; n * n];
        let mut entries = triangle.into_iter();
        for i in 0..n {
            for (j, value) in (i..n).zip(entries.by_ref()) {
                matrix[i * n + j] = value;
                matrix[j * n + i] = value;
            }
        }
        if let Some(whitening) = &self.whitening {
            whitening.scale(&mut matrix, |value, root| value / root);
            matrix = whitening.transform(&matrix);
        }
        let mean = |i: usize, j: usize| {
            0.5 * (f64::from(matrix[i * n + j]) + f64::from(matrix[j * n + i]))
        };
        (0..n * n).map(|k| mean(k / n, k % n)).collect()
    }
}

impl Whitening {
    fn new(grid: Grid) -> Self {
        let Grid { mx, my } = grid;
        let n = grid.nodes();
        let wave = |m: usize, i: usize, k: usize| {
            let phase = std::f64::consts::PI * ((i + 1) * (k + 1)) as f64 / (m + 1) as f64;
            (2.0 / (m + 1) as f64).sqrt() * phase.sin()
        };
        let table = |m: usize| (0..m * m).map(|e| wave(m, e / m, e % m)).collect::<Vec<_>>();
        let (x, y) = (table(mx), table(my));
        let entry = |i: usize, k: usize| x[i % mx * mx + k % mx] * y[i / mx * my + k / mx];
        let lambda = |k: usize| eigenvalue(mx, k % mx + 1) + eigenvalue(my, k / mx + 1);
        Whitening {
            q: (0..n * n).map(|e| entry(e / n, e % n) as f32).collect(),
            root: (0..n).map(|k| lambda(k).sqrt() as f32).collect(),
        }
    }

    /// `Q X Q`.
    fn transform(&self, x: &[f32]) -> Vec<f32> {
        let n = self.root.len();
        let q = Operand::new(&self.q, n, n);
        let (mut half, mut whole) = (vec![0.0; n * n], vec![0.0; n * n]);
        multiply(1.0, q, Operand::new(x, n, n), 0.0, &mut half);
        multiply(1.0, Operand::new(&half, n, n), q, 0.0, &mut whole);
        whole
    }

    /// Changes every entry by the roots of its row and its column.
    fn scale(&self, x: &mut [f32], change: impl Fn(f32, f32) -> f32) {
        for (row, &of_row) in x.chunks_exact_mut(self.root.len()).zip(&self.root) {
            for (value, &of_column) in row.iter_mut().zip(&self.root) {
                *value = change(change(*value, of_row), of_column);
            }
        }
    }
}

/// Entries in the upper triangle of an `n × n` matrix.
pub fn triangle(n: usize) -> usize {
    n * (n + 1) / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learned::exact::inverse;
    use precondor_neural::check::random_bands;
    use precondor_neural::random::Random;
    use precondor_sdk::core::kernel::bands::Bands;
    use precondor_sdk::prelude::*;

    #[test]
    fn what_is_written_is_read_back() {
        let grid = Grid { mx: 5, my: 4 };
        let x = inverse(&random_bands(&mut Random::new(1, 0), grid)).unwrap();
        for whiten in [false, true] {
            let frame = Frame::new(grid, whiten);
            let mut vector = Vec::new();
            frame.encode(&x, &mut vector);
            assert_eq!(vector.len(), frame.length());
            for (a, b) in frame.decode(&vector).iter().zip(&x) {
                assert!((a - b).abs() < 2e-6, "{a} {b}");
            }
        }
    }

    #[test]
    fn whitening_makes_the_unshifted_inverse_the_identity_and_keeps_frobenius_norms() {
        let grid = Grid { mx: 4, my: 3 };
        let entry = |row: usize, column: usize| {
            let ((i, j), (k, l)) = ((row % 4, row / 4), (column % 4, column / 4));
            [4.0, -1.0, 0.0][(i.abs_diff(k) + j.abs_diff(l)).min(2)]
        };
        let entries = (0..144).map(|k| (k / 12, k % 12, entry(k / 12, k % 12)));
        let entries = entries.filter(|(.., value)| *value != 0.0);
        let a = DistCsr::solo(Csr::from_triplets(12, 12, entries).unwrap()).unwrap();
        let bands = Bands::of(&a, Some([4, 3])).unwrap();
        let mut vector = Vec::new();
        Frame::new(grid, true).encode(&inverse(&bands).unwrap(), &mut vector);
        let mut place = 0;
        for i in 0..12 {
            for j in i..12 {
                assert!((vector[place] - f32::from(u8::from(i == j))).abs() < 1e-5);
                place += 1;
            }
        }
        let x = inverse(&random_bands(&mut Random::new(2, 0), grid)).unwrap();
        let mut plain = Vec::new();
        Frame::new(grid, false).encode(&x, &mut plain);
        let vector: f64 = plain.iter().map(|v| f64::from(v * v)).sum();
        let matrix: f64 = x.iter().map(|v| v * v).sum();
        assert!((vector / matrix - 1.0).abs() < 1e-6);
    }

    #[test]
    fn any_vector_gives_a_symmetric_matrix() {
        let frame = Frame::new(Grid { mx: 3, my: 3 }, true);
        let mut random = Random::new(4, 0);
        let vector: Vec<f32> = (0..frame.length()).map(|_| random.unit() as f32).collect();
        let matrix = frame.decode(&vector);
        assert!((0..81).all(|k| matrix[k] == matrix[k % 9 * 9 + k / 9]));
    }
}
