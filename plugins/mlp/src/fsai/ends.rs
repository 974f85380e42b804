//! Both ends of the spectrum of a small symmetric operator, with their eigenvectors.
//!
//! Lanczos with full reorthogonalisation; the eigenvectors of the tridiagonal matrix T come from its
//! twisted factorisation at the Ritz value, which costs 4k operations and is accurate for values at
//! the ends, which stand apart.
//!
//! Cost: k products and 2nk² flops for k steps; nk numbers.
//!
//! References: G. H. Golub, C. F. Van Loan, *Matrix Computations*, 4th ed., §10.1; I. Dhillon,
//! B. Parlett, *Multiple representations to compute orthogonal eigenvectors of symmetric tridiagonal
//! matrices*, Linear Algebra Appl. 387 (2004), §2.

use precondor_sdk::core::kernel::lanczos::tridiagonal;

use precondor_neural::random::Random;

/// An eigenvalue and its eigenvector of length one.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// The eigenvalue.
    pub value: f64,
    /// The eigenvector.
    pub vector: Vec<f64>,
}

/// Steps between looks at the spectrum of T.
const LOOK: usize = 8;

/// The smallest and the largest eigenvalue of the symmetric map `apply` of vectors of length `n`, each
/// with a residual of at most `tolerance` times itself (or of rounding size).
///
/// # Panics
/// For n = 0.
pub fn ends(
    n: usize,
    tolerance: f64,
    random: &mut Random,
    mut apply: impl FnMut(&[f64], &mut [f64]),
) -> [Pair; 2] {
    let mut z: Vec<f64> = (0..n).map(|_| 2.0 * random.unit() - 1.0).collect();
    let mut basis: Vec<Vec<f64>> = Vec::new();
    let (mut diagonal, mut beside) = (Vec::new(), Vec::new());
    let mut beta = norm(&z);
    loop {
        basis.push(z.iter().map(|z| z / beta).collect());
        let v = &basis[basis.len() - 1];
        apply(v, &mut z);
        diagonal.push(dot(&z, v));
        // Twice: what is left after once may still be far from orthogonal.
        for v in basis.iter().chain(&basis) {
            let c = dot(&z, v);
            z.iter_mut().zip(v).for_each(|(z, v)| *z -= c * v);
        }
        beta = norm(&z);
        let (done, size) =
            (basis.len(), diagonal.iter().fold(0.0, |m: f64, d: &f64| m.max(d.abs())));
        let exhausted = done == n || beta <= 1e-14 * size || beta.is_nan();
        if exhausted || done.is_multiple_of(LOOK) {
            let ritz = tridiagonal(&diagonal, &beside);
            let outer = [ritz[0], ritz[done - 1]];
            if exhausted || outer.iter().all(|(x, last)| beta * last.abs() <= tolerance * x.abs()) {
                return outer.map(|(value, _)| {
                    let mut vector = vec![0.0; n];
                    for (s, v) in twisted(&diagonal, &beside, value).iter().zip(&basis) {
                        vector.iter_mut().zip(v).for_each(|(x, v)| *x += s * v);
                    }
                    let length = norm(&vector);
                    vector.iter_mut().for_each(|x| *x /= length);
                    Pair { value, vector }
                });
            }
        }
        beside.push(beta);
    }
}

/// The eigenvector of a tridiagonal matrix for the eigenvalue `value`, of any length.
fn twisted(diagonal: &[f64], beside: &[f64], value: f64) -> Vec<f64> {
    let k = diagonal.len();
    let safe = |x: f64| if x.abs() < f64::MIN_POSITIVE { f64::MIN_POSITIVE } else { x };
    let (mut down, mut up) = (vec![0.0; k], vec![0.0; k]);
    for i in 0..k {
        let before = if i == 0 { 0.0 } else { beside[i - 1].powi(2) / safe(down[i - 1]) };
        down[i] = diagonal[i] - value - before;
    }
    for i in (0..k).rev() {
        let after = if i + 1 == k { 0.0 } else { beside[i].powi(2) / safe(up[i + 1]) };
        up[i] = diagonal[i] - value - after;
    }
    let twist = |i: usize| (down[i] + up[i] - (diagonal[i] - value)).abs();
    let at = (0..k).fold(0, |best, i| if twist(i) < twist(best) { i } else { best });
    let mut x = vec![0.0; k];
    x[at] = 1.0;
    for i in (0..at).rev() {
        x[i] = -beside[i] * x[i + 1] / safe(down[i]);
    }
    for i in at + 1..k {
        x[i] = -beside[i - 1] * x[i - 1] / safe(up[i]);
    }
    x
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

fn norm(x: &[f64]) -> f64 {
    dot(x, x).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_of_the_second_difference() {
        use std::f64::consts::PI;
        for n in [1, 2, 9, 120] {
            let apply = |x: &[f64], y: &mut [f64]| {
                for i in 0..n {
                    let left = if i == 0 { 0.0 } else { x[i - 1] };
                    let right = if i + 1 == n { 0.0 } else { x[i + 1] };
                    y[i] = 2.0 * x[i] - left - right;
                }
            };
            let pairs = ends(n, 1e-9, &mut Random::new(1, 0), apply);
            for (pair, k) in pairs.iter().zip([1, n]) {
                let angle = k as f64 * PI / (n + 1) as f64;
                assert!((pair.value - (2.0 - 2.0 * angle.cos())).abs() < 1e-9, "n = {n}");
                let exact: Vec<f64> = (1..=n).map(|i| (i as f64 * angle).sin()).collect();
                let along = dot(&pair.vector, &exact) / norm(&exact);
                assert!((along.abs() - 1.0).abs() < 1e-8, "n = {n}, {k}: {along}");
                assert!((norm(&pair.vector) - 1.0).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn a_start_vector_in_a_small_space_is_enough() {
        // Three distinct eigenvalues: three steps.
        let apply = |x: &[f64], y: &mut [f64]| {
            y.iter_mut().zip(x).enumerate().for_each(|(i, (y, x))| *y = (1 + i % 3) as f64 * x);
        };
        let [low, high] = ends(30, 1e-10, &mut Random::new(2, 0), apply);
        assert!((low.value - 1.0).abs() < 1e-12 && (high.value - 3.0).abs() < 1e-12);
    }
}
