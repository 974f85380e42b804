//! The dense inverse of a symmetric positive definite band matrix: what the networks are trained on.
//!
//! With `A = L Lᵀ`, `X = L⁻¹` row after row from the top and `A⁻¹ = L⁻ᵀ X` row after row from the
//! bottom. Row `i` of either needs rows at most the half bandwidth `b = mx + 1` away and only its first
//! `i + 1` columns, because the result is symmetric: `n b²` flops for `L`, `2 n² b` for the rest, all of
//! them sums of rows.

use precondor_sdk::prelude::*;

use precondor_sdk::core::kernel::band::Band;
use precondor_sdk::core::kernel::bands::{BANDS, Bands};

/// The inverse of a matrix given by its bands, row after row.
///
/// # Errors
/// [`Error::Breakdown`] naming the first global row where the matrix shows not to be positive definite.
pub fn inverse(bands: &Bands) -> Result<Vec<f64>> {
    let grid = bands.grid;
    let n = grid.nodes();
    let b = (grid.mx + 1).min(n - 1);
    let l = factor(bands, b)?;
    let entry = |i: usize, j: usize| l.entry(i, j);
    let mut x = vec![0.0; n * n];
    for i in 0..n {
        let (above, row) = x.split_at_mut(i * n);
        row[i] = 1.0;
        for j in i.saturating_sub(b)..i {
            subtract(entry(i, j), &above[j * n..=j * n + j], &mut row[..=j]);
        }
        scale(1.0 / entry(i, i), &mut row[..=i]);
    }
    for i in (0..n).rev() {
        let (above, below) = x.split_at_mut((i + 1) * n);
        let row = &mut above[i * n..=i * n + i];
        for j in i + 1..n.min(i + b + 1) {
            subtract(entry(j, i), &below[(j - i - 1) * n..][..=i], row);
        }
        scale(1.0 / entry(i, i), row);
    }
    for i in 0..n {
        for j in 0..i {
            x[j * n + i] = x[i * n + j];
        }
    }
    Ok(x)
}

/// The Cholesky factor.
fn factor(bands: &Bands, b: usize) -> Result<Band> {
    let grid = bands.grid;
    let mut l = Band::zero(grid.nodes(), b);
    let mut nodes = vec![0.0; grid.nodes()];
    for (band, (dx, dy)) in BANDS.into_iter().enumerate() {
        grid.to_nodes(bands.plane(band), &mut nodes);
        let step = dx as usize + dy as usize * grid.mx;
        for (k, &value) in nodes[..grid.nodes().saturating_sub(step)].iter().enumerate() {
            l.add(k + step, k, value);
        }
    }
    l.factorise().map_err(|pivot| {
        let what = format!("pivot {:e}: the matrix is not positive definite", pivot.value);
        Error::breakdown(pivot.row as u64, what)
    })?;
    Ok(l)
}

/// `to −= factor · from`.
fn subtract(factor: f64, from: &[f64], to: &mut [f64]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to -= factor * from;
    }
}

fn scale(factor: f64, row: &mut [f64]) {
    for value in row {
        *value *= factor;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use precondor_neural::check::random_bands;
    use precondor_neural::random::Random;
    use precondor_sdk::core::kernel::grid::Grid;

    #[test]
    fn inverse_is_the_inverse() {
        for grid in [Grid { mx: 4, my: 3 }, Grid { mx: 1, my: 1 }, Grid { mx: 1, my: 5 }] {
            let n = grid.nodes();
            let bands = random_bands(&mut Random::new(3, 0), grid);
            let inverse = inverse(&bands).unwrap();
            let a = bands.to_rows().unwrap();
            for column in 0..n {
                let nodes: Vec<f64> = (0..n).map(|row| inverse[row * n + column]).collect();
                let mut product = vec![0.0; n];
                a.spmv(&nodes, &mut product).unwrap();
                for (row, value) in product.iter().enumerate() {
                    assert!((value - f64::from(u8::from(row == column))).abs() < 1e-12);
                }
            }
        }
    }

    #[test]
    fn an_indefinite_matrix_is_refused_with_the_row() {
        let grid = Grid { mx: 2, my: 2 };
        let entries = (0..4).map(|i| (i, i, 1.0)).chain([(0, 1, 2.0), (1, 0, 2.0)]);
        let a = DistCsr::solo(Csr::from_triplets(4, 4, entries).unwrap()).unwrap();
        let bands = Bands::of(&a, Some([grid.mx, grid.my])).unwrap();
        let why = inverse(&bands).unwrap_err().to_string();
        assert!(why.contains("global row 1: pivot -3"), "{why}");
    }
}
