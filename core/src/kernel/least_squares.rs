//! One dense least-squares problem, by Householder's method with column pivoting.
//!
//! For problems that the normal equations would square out of reach. Columns are scaled to unit
//! length first, so that bad scaling is not taken for dependence. Unknowns of columns that depend
//! on the others are zero: of all minimisers, one with few non-zeros.
//!
//! Cost: 2 n² (m − n/3) operations.
//!
//! Reference: G. Golub, C. Van Loan, *Matrix Computations*, 4th ed., §5.4.2 (pivoting), §5.5.6
//! (basic solutions).

/// What is left of a column, relative to its length, counts as nothing below this.
const DEPENDENT: f64 = 1e-13;

/// The x that minimises ‖A x − b‖₂: `a` holds A column after column (each `b.len()` long).
///
/// Returns the number of independent columns along with x. Data that are not finite give NaN.
///
/// # Panics
/// Where `a` is no whole number of columns.
pub fn solve(mut a: Vec<f64>, mut b: Vec<f64>) -> (Vec<f64>, usize) {
    let m = b.len();
    assert!(m > 0 && a.len().is_multiple_of(m), "columns of {m} entries");
    let n = a.len() / m;
    let mut length: Vec<f64> = a.chunks(m).map(norm).collect();
    for (column, length) in a.chunks_mut(m).zip(&mut length) {
        if *length > 0.0 {
            column.iter_mut().for_each(|x| *x /= *length);
        }
    }
    let mut order: Vec<usize> = (0..n).collect();
    let mut rank = 0;
    while rank < n.min(m) {
        let left = |j: &usize| norm(&a[order[*j] * m + rank..(order[*j] + 1) * m]);
        let sizes = (rank..n).map(|j| (left(&j), j));
        let largest = sizes.fold((0.0, rank), |best, x| if x.0 > best.0 { x } else { best });
        if largest.0 <= DEPENDENT {
            break;
        }
        order.swap(rank, largest.1);
        let (at, pivot) = (order[rank], largest.0);
        let mut v = a[at * m + rank..(at + 1) * m].to_vec();
        let diagonal = if v[0] > 0.0 { -pivot } else { pivot };
        v[0] -= diagonal;
        let scale = 2.0 / v.iter().map(|x| x * x).sum::<f64>();
        let reflect = |x: &mut [f64]| {
            let s = scale * v.iter().zip(&*x).map(|(v, x)| v * x).sum::<f64>();
            x.iter_mut().zip(&v).for_each(|(x, v)| *x -= s * v);
        };
        for &j in &order[rank + 1..] {
            reflect(&mut a[j * m + rank..(j + 1) * m]);
        }
        reflect(&mut b[rank..]);
        a[at * m + rank] = diagonal;
        rank += 1;
    }
    let mut x = vec![0.0; n];
    for i in (0..rank).rev() {
        let known = order[i + 1..rank].iter().map(|&j| a[j * m + i] * x[j]);
        x[order[i]] = (b[i] - known.sum::<f64>()) / a[order[i] * m + i];
    }
    let finite = length.iter().all(|l| l.is_finite());
    for (x, length) in x.iter_mut().zip(&length) {
        *x = if !finite {
            f64::NAN
        } else if *length > 0.0 {
            *x / length
        } else {
            0.0
        };
    }
    (x, rank)
}

/// ‖x‖₂ without overflow.
fn norm(x: &[f64]) -> f64 {
    let larger = |m: f64, v: &f64| if m.is_nan() || m >= v.abs() { m } else { v.abs() };
    let largest = x.iter().fold(0.0, larger);
    if largest == 0.0 || !largest.is_finite() {
        return largest;
    }
    largest * x.iter().map(|v| (v / largest) * (v / largest)).sum::<f64>().sqrt()
}
