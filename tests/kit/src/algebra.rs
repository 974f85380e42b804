//! Algebra of small dense matrices, to compare with.

/// Rows of a dense matrix.
pub type Dense = Vec<Vec<f64>>;

/// The matrix with entries `f(i, j)`.
pub fn dense(n: usize, f: impl Fn(usize, usize) -> f64) -> Dense {
    (0..n).map(|i| (0..n).map(|j| f(i, j)).collect()).collect()
}

/// A B.
pub fn multiply(a: &Dense, b: &Dense) -> Dense {
    let n = a.len();
    dense(n, |i, j| (0..n).map(|k| a[i][k] * b[k][j]).sum())
}

/// Aᵀ.
pub fn transpose(a: &Dense) -> Dense {
    dense(a.len(), |i, j| a[j][i])
}

/// The inverse, by Gauss–Jordan elimination with partial pivoting.
pub fn inverse(a: &Dense) -> Dense {
    let n = a.len();
    let mut work: Dense = (0..n)
        .map(|i| a[i].iter().copied().chain((0..n).map(|j| f64::from(u8::from(i == j)))).collect())
        .collect();
    for k in 0..n {
        let pivot = (k..n).max_by(|&p, &q| work[p][k].abs().total_cmp(&work[q][k].abs())).unwrap();
        work.swap(k, pivot);
        let head = work[k].iter().map(|v| v / work[k][k]).collect::<Vec<_>>();
        for (i, row) in work.iter_mut().enumerate() {
            let factor = if i == k { 0.0 } else { row[k] };
            row.iter_mut().zip(&head).for_each(|(v, h)| *v -= factor * h);
        }
        work[k] = head;
    }
    work.into_iter().map(|row| row[n..].to_vec()).collect()
}

/// Largest difference of two matrices, over the largest entry of the second.
pub fn distance(a: &Dense, b: &Dense) -> f64 {
    let scale = b.iter().flatten().fold(f64::MIN_POSITIVE, |m, v| v.abs().max(m));
    let differences = a.iter().flatten().zip(b.iter().flatten()).map(|(x, y)| (x - y).abs());
    let worst =
        differences.fold(0.0, |m: f64, d| if d.is_nan() { f64::INFINITY } else { m.max(d) });
    if a.len() == b.len() { worst / scale } else { f64::INFINITY }
}

/// Whether Cholesky's factorisation of the (symmetric) matrix exists.
pub fn positive_definite(a: &Dense) -> bool {
    let mut l = dense(a.len(), |_, _| 0.0);
    for i in 0..a.len() {
        for j in 0..=i {
            let s = a[i][j] - (0..j).map(|k| l[i][k] * l[j][k]).sum::<f64>();
            if i == j && s <= 0.0 {
                return false;
            }
            l[i][j] = if i == j { s.sqrt() } else { s / l[j][j] };
        }
    }
    true
}
