//! The inverse of a dense matrix, in place, by Gauss–Jordan elimination in blocks.
//!
//! With K the columns of a block, elimination leaves in them the n × |K| matrix F made of A_KK⁻¹ and,
//! in the other rows, −A_iK A_KK⁻¹. All other columns J then become A_J with its rows K set to zero,
//! plus F A_KJ: one product of matrices a block, which is where the 2 n³ flops are spent.
//!
//! Reference: N. Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., SIAM 2002, §14.4.
use ndarray::{Array2, s};
use precondor_sdk::prelude::*;

/// Columns eliminated at once.
const BLOCK: usize = 48;

/// Which pivots are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pivots {
    /// Those on the diagonal, each of which has to be positive: as they are, for a symmetric matrix,
    /// if and only if it is positive definite.
    Definite,
    /// The largest of each column.
    Largest,
}

/// Replaces the square `a` by its inverse. A pivot of at most `smallest` ends the work; its column is
/// returned. `look` is called before each block with the columns done.
///
/// # Errors
/// Those of `look`.
pub(crate) fn invert(
    a: &mut Array2<f64>,
    pivots: Pivots,
    smallest: f64,
    look: impl Fn(usize) -> Result<()>,
) -> Result<std::result::Result<(), usize>> {
    let n = a.nrows();
    let mut swaps = Vec::new();
    for from in (0..n).step_by(BLOCK) {
        look(from)?;
        let to = (from + BLOCK).min(n);
        for k in from..to {
            let chosen = match pivots {
                Pivots::Definite => k,
                Pivots::Largest => {
                    (k..n).max_by(|&i, &j| a[[i, k]].abs().total_cmp(&a[[j, k]].abs())).unwrap_or(k)
                }
            };
            let size = if pivots == Pivots::Definite { a[[k, k]] } else { a[[chosen, k]].abs() };
            if size.is_nan() || size <= smallest {
                return Ok(Err(k));
            }
            if chosen != k {
                let (mut upper, mut lower) = a.view_mut().split_at(ndarray::Axis(0), chosen);
                ndarray::Zip::from(upper.row_mut(k)).and(lower.row_mut(0)).for_each(std::mem::swap);
                swaps.push((k, chosen));
            }
            eliminate(a, k, from..to);
        }
        let factor = a.slice(s![.., from..to]).to_owned();
        let mut rows = a.slice(s![from..to, ..]).to_owned();
        rows.slice_mut(s![.., from..to]).fill(0.0);
        a.slice_mut(s![from..to, ..]).fill(0.0);
        ndarray::linalg::general_mat_mul(1.0, &factor, &rows, 1.0, a);
        a.slice_mut(s![.., from..to]).assign(&factor);
    }
    // Rows that were swapped on the way are columns of the inverse.
    for (i, j) in swaps.into_iter().rev() {
        for row in 0..n {
            a.swap([row, i], [row, j]);
        }
    }
    Ok(Ok(()))
}

/// One step of the elimination, pivot (k, k), within the columns of a block.
fn eliminate(a: &mut Array2<f64>, k: usize, columns: std::ops::Range<usize>) {
    let at = k - columns.start;
    let pivot = 1.0 / a[[k, k]];
    let mut row = a.slice(s![k, columns.clone()]).to_owned();
    row.mapv_inplace(|x| x * pivot);
    row[at] = pivot;
    for (i, mut other) in a.slice_mut(s![.., columns]).rows_mut().into_iter().enumerate() {
        if i == k {
            other.assign(&row);
        } else {
            let f = std::mem::take(&mut other[at]);
            other.scaled_add(-f, &row);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(n: usize, entry: impl Fn(usize, usize) -> f64) -> Array2<f64> {
        Array2::from_shape_fn((n, n), |(i, j)| entry(i, j))
    }

    /// No symmetry, no dominance, zeros on the diagonal.
    fn rough(i: usize, j: usize) -> f64 {
        let far = (i * 31 + j * 17) % 23;
        if i == j {
            0.0
        } else {
            (far as f64 - 11.0) / 7.0 + f64::from(u8::from(j == i + 1)) * 40.0
        }
    }

    fn inverted(
        a: &mut Array2<f64>,
        pivots: Pivots,
        smallest: f64,
    ) -> std::result::Result<(), usize> {
        invert(a, pivots, smallest, |_| Ok(())).expect("nobody asks it to stop")
    }

    #[test]
    fn an_inverse_that_takes_long_can_be_stopped() {
        let mut a = matrix(3 * BLOCK, rough);
        let stop = |done| if done == BLOCK { Err(Error::Interrupted) } else { Ok(()) };
        assert_eq!(invert(&mut a, Pivots::Largest, 0.0, stop), Err(Error::Interrupted));
    }

    fn off(a: &Array2<f64>, inverse: &Array2<f64>) -> f64 {
        let gap = a.dot(inverse) - Array2::<f64>::eye(a.nrows());
        gap.iter().fold(0.0, |m: f64, x| m.max(x.abs()))
    }

    #[test]
    fn inverses_invert_within_and_across_blocks() {
        for n in [1, 2, 7, BLOCK, BLOCK + 1, 3 * BLOCK - 5] {
            let definite = matrix(n, |i, j| 1.0 / (1.0 + i.abs_diff(j) as f64).powi(2));
            for pivots in [Pivots::Definite, Pivots::Largest] {
                let mut x = definite.clone();
                inverted(&mut x, pivots, 0.0).expect("positive definite");
                assert!(off(&definite, &x) < 1e-12, "{n}: {:e}", off(&definite, &x));
            }
            if n > 1 {
                let a = matrix(n, rough);
                let mut x = a.clone();
                inverted(&mut x, Pivots::Largest, 1e-12).expect("regular");
                assert!(off(&a, &x) < 1e-9, "{n}: {:e}", off(&a, &x));
            }
        }
    }

    #[test]
    fn what_cannot_be_inverted_is_found() {
        let n = BLOCK + 9;
        let mut singular = matrix(n, rough);
        singular.row_mut(BLOCK + 3).fill(0.0);
        assert!(inverted(&mut singular.clone(), Pivots::Largest, 1e-12).is_err());
        let mut indefinite: Array2<f64> = Array2::eye(n);
        indefinite[[BLOCK + 2, BLOCK + 2]] = -1.0;
        assert_eq!(inverted(&mut indefinite.clone(), Pivots::Definite, 0.0), Err(BLOCK + 2));
        assert_eq!(inverted(&mut indefinite, Pivots::Largest, 0.0), Ok(()));
    }
}
