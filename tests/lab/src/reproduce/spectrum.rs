//! The spectrum of MA: condition and rate, and for pictures all of it.
//!
//! Symmetric M: ends of the spectrum by Lanczos in the A-inner product (up to
//! [`lanczos::EXACT`] rows with a basis kept orthogonal, so exact to the tolerance).
//! Unsymmetric M: cond₂(MA) out of the dense product, up to as many rows, and ρ(I − ωMA) by the power
//! method.
use nalgebra::{DMatrix, Schur};
use precondor_core::kernel::lanczos::{self, Options};
use precondor_core::matrix::DistCsr;
use precondor_core::precond::Preconditioner;
use precondor_core::{Error, Result};

/// Most rows for which all eigenvalues are found.
pub const PICTURE: usize = 300;

const OPTIONS: Options = Options { max_steps: 2000, tolerance: 1e-4 };
const POWER_STEPS: usize = 500;

/// QR steps a row; two are usual. With a large Jordan block (Gauss–Seidel has one) the iteration may go
/// round in circles for ever until entries are dropped that are somewhat larger than rounding, which
/// hardly moves the simple eigenvalues.
const STEPS: usize = 30;
const DEFLATION: [f64; 4] = [f64::EPSILON, 1e-12, 1e-10, 1e-8];

/// What is known about the spectrum of MA.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spectrum {
    /// λmax/λmin for symmetric M, cond₂(MA) else; NaN where it was not found.
    pub condition: f64,
    /// λmin and λmax, for symmetric M.
    pub ends: Option<[f64; 2]>,
    /// ρ(I − ωMA).
    pub radius: f64,
    /// Steps of Lanczos' method, for symmetric M.
    pub steps: Option<usize>,
    /// Whether the ends are within the tolerance.
    pub converged: bool,
}

impl Spectrum {
    /// Whether M was seen to be symmetric positive definite.
    pub fn is_definite(&self) -> bool {
        self.ends.is_some_and(|[min, _]| min > 0.0)
    }

    /// 2/(λmin + λmax), the best damping.
    pub fn best_damping(&self) -> Option<f64> {
        self.ends.filter(|[min, _]| *min > 0.0).map(|[min, max]| 2.0 / (min + max))
    }
}

/// The spectrum of MA for Richardson's iteration with ω = `damping`; `None` for an unsymmetric M with
/// too many rows.
///
/// # Errors
/// What M reports.
pub fn of(a: &DistCsr, m: &dyn Preconditioner, damping: f64) -> Result<Option<Spectrum>> {
    if m.properties().symmetric {
        let found = lanczos::of_preconditioned(a, m, &OPTIONS)?;
        let off = |end: f64| (1.0 - damping * end).abs();
        return Ok(Some(Spectrum {
            condition: found.condition().unwrap_or(f64::NAN),
            ends: Some([found.min, found.max]),
            radius: off(found.min).max(off(found.max)),
            steps: Some(found.steps),
            converged: found.converged,
        }));
    }
    if a.n_own() as u64 > lanczos::EXACT {
        return Ok(None);
    }
    let product = product(a, m)?;
    let squares = (product.transpose() * &product).symmetric_eigenvalues();
    let condition = (squares.max() / squares.min().max(0.0)).sqrt();
    let radius = radius(&product, damping);
    Ok(Some(Spectrum { condition, ends: None, radius, steps: None, converged: true }))
}

/// ρ(I − ωB): how much a vector grows a step in the end, as a geometric mean (a pair of complex
/// eigenvalues makes single steps differ).
fn radius(b: &DMatrix<f64>, damping: f64) -> f64 {
    let n = b.nrows();
    // No symmetry of the grid is in such a vector.
    let mut v = nalgebra::DVector::from_fn(n, |i, _| ((i * i + 1) as f64).sin());
    let (mut growth, mut counted) = (0.0, 0);
    for step in 0..POWER_STEPS {
        let norm = v.norm();
        if norm == 0.0 {
            return 0.0;
        }
        v /= norm;
        v -= damping * (b * &v);
        if step >= POWER_STEPS / 2 {
            growth += v.norm().ln();
            counted += 1;
        }
    }
    (growth / f64::from(counted)).exp()
}

/// All eigenvalues of MA by their moduli, in order; `None` (for M: those of A).
///
/// # Errors
/// [`Error::Unsupported`] beyond [`PICTURE`] rows; what M reports.
pub fn moduli(a: &DistCsr, m: Option<&dyn Preconditioner>) -> Result<Vec<f64>> {
    if a.n_own() > PICTURE {
        return Err(Error::Unsupported(format!("{} rows are too many for a picture", a.n_own())));
    }
    let product = match m {
        Some(m) => product(a, m)?,
        None => dense(a),
    };
    let decomposed = |&eps: &f64| Schur::try_new(product.clone(), eps, STEPS * product.nrows());
    let found = DEFLATION.iter().find_map(decomposed);
    let schur = found.ok_or_else(|| {
        Error::Unsupported("the QR iteration for the eigenvalues of MA does not end".into())
    })?;
    let mut all: Vec<f64> = schur.complex_eigenvalues().iter().map(|z| z.norm()).collect();
    all.sort_by(f64::total_cmp);
    Ok(all)
}

/// A as a dense matrix.
pub fn dense(a: &DistCsr) -> DMatrix<f64> {
    let (n, view) = (a.n_own(), a.own().view());
    let mut all = DMatrix::zeros(n, n);
    for i in 0..n {
        for (j, value) in view.row(i) {
            all[(i, j)] = value;
        }
    }
    all
}

/// MA, column by column.
fn product(a: &DistCsr, m: &dyn Preconditioner) -> Result<DMatrix<f64>> {
    let mut all = dense(a);
    let mut z = vec![0.0; all.nrows()];
    for mut column in all.column_iter_mut() {
        m.apply(column.as_slice(), &mut z)?;
        column.copy_from_slice(&z);
    }
    Ok(all)
}

/// M, column by column.
///
/// # Errors
/// What M reports.
pub fn dense_of(m: &dyn Preconditioner, n: usize) -> Result<DMatrix<f64>> {
    let mut all = DMatrix::identity(n, n);
    let mut z = vec![0.0; n];
    for mut column in all.column_iter_mut() {
        m.apply(column.as_slice(), &mut z)?;
        column.copy_from_slice(&z);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use precondor_core::matrix::Csr;
    use precondor_core::precond::{Identity, Properties};

    fn tridiagonal(n: usize) -> DistCsr {
        let entries = (0..n).flat_map(|i| {
            let next = (i + 1 < n).then_some([(i, i + 1, -1.0), (i + 1, i, -1.0)]);
            std::iter::once((i, i, 2.0)).chain(next.into_iter().flatten())
        });
        DistCsr::solo(Csr::from_triplets(n, n, entries).unwrap()).unwrap()
    }

    /// The lower triangle of the tridiagonal matrix, inverted by substitution: Gauss–Seidel.
    struct Sweep;

    impl Preconditioner for Sweep {
        fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
            for i in 0..r.len() {
                z[i] = (r[i] + if i > 0 { z[i - 1] } else { 0.0 }) / 2.0;
            }
            Ok(())
        }
        fn properties(&self) -> Properties {
            Properties::GENERAL
        }
        fn stored_entries(&self) -> usize {
            0
        }
        fn bytes(&self) -> usize {
            0
        }
    }

    #[test]
    fn known_spectra_are_found() {
        use std::f64::consts::PI;
        let n = 20;
        let a = tridiagonal(n);
        let value = |k: usize| 2.0 - 2.0 * (k as f64 * PI / (n + 1) as f64).cos();
        let found = of(&a, &Identity, 0.5).unwrap().unwrap();
        assert!((found.condition / (value(n) / value(1)) - 1.0).abs() < 1e-6, "{found:?}");
        assert!((found.radius - (1.0 - 0.5 * value(1))).abs() < 1e-6, "{found:?}");
        assert!((found.best_damping().unwrap() - 0.5).abs() < 1e-6);
        let all = moduli(&a, None).unwrap();
        for (k, found) in all.iter().enumerate() {
            assert!((found - value(k + 1)).abs() < 1e-12, "{k}: {found}");
        }
        // Of a consistently ordered matrix Gauss–Seidel's radius is the square of Jacobi's.
        let sweep = of(&a, &Sweep, 1.0).unwrap().unwrap();
        let jacobi = (PI / (n + 1) as f64).cos();
        assert!((sweep.radius - jacobi * jacobi).abs() < 1e-4, "{sweep:?}");
        assert!(sweep.condition > 1.0 && sweep.ends.is_none());
    }

    /// The same for the five-point matrix with 2 on the diagonal and −½ beside it, on so many nodes a side.
    struct GridSweep(usize);

    impl Preconditioner for GridSweep {
        fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
            for k in 0..r.len() {
                let left = if k % self.0 > 0 { z[k - 1] } else { 0.0 };
                let below = if k >= self.0 { z[k - self.0] } else { 0.0 };
                z[k] = (r[k] + 0.5 * (left + below)) / 2.0;
            }
            Ok(())
        }
        fn properties(&self) -> Properties {
            Properties::GENERAL
        }
        fn stored_entries(&self) -> usize {
            0
        }
        fn bytes(&self) -> usize {
            0
        }
    }

    /// A matrix on two rows.
    struct Pair([[f64; 2]; 2]);

    impl Preconditioner for Pair {
        fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
            for (z, row) in z.iter_mut().zip(&self.0) {
                *z = row[0] * r[0] + row[1] * r[1];
            }
            Ok(())
        }
        fn properties(&self) -> Properties {
            Properties::GENERAL
        }
        fn stored_entries(&self) -> usize {
            4
        }
        fn bytes(&self) -> usize {
            0
        }
    }

    #[test]
    fn moduli_of_unsymmetric_products_are_found() {
        // Gauss–Seidel on three rows: 1 − cos²(kπ/4), k = 1, 2, 3, where 1 has a Jordan block of two, so
        // that double precision gives it to √ε = 1.5e-8 only.
        let found = moduli(&tridiagonal(3), Some(&Sweep)).unwrap();
        for (found, exact) in found.iter().zip([0.5, 1.0, 1.0]) {
            assert!((found - exact).abs() < 1e-7, "{found} for {exact}");
        }
        // On a grid, 1 − μ² with Jacobi's eigenvalues μ, and a Jordan block of half the rows: the QR iteration
        // has to end, and the small values are simple.
        let side = 15;
        let entries = (0..side * side).flat_map(|k| {
            let right = (k % side + 1 < side).then_some(k + 1);
            let up = (k + side < side * side).then_some(k + side);
            let beside = right.into_iter().chain(up);
            std::iter::once((k, k, 2.0))
                .chain(beside.flat_map(move |l| [(k, l, -0.5), (l, k, -0.5)]))
        });
        let a = Csr::from_triplets(side * side, side * side, entries).unwrap();
        let a = DistCsr::solo(a).unwrap();
        let found = moduli(&a, Some(&GridSweep(side))).unwrap();
        let mu = |i: usize, j: usize| {
            use std::f64::consts::PI;
            let angle = |k: usize| (k as f64 * PI / (side + 1) as f64).cos();
            (angle(i) + angle(j)) / 2.0
        };
        for (found, mu) in found.iter().zip([mu(1, 1), mu(1, 2), mu(2, 1), mu(2, 2)]) {
            assert!((found - (1.0 - mu * mu)).abs() < 1e-6, "{found} for {}", 1.0 - mu * mu);
        }
        // MA = [1 −3; 3 1], with the eigenvalues 1 ± 3i, on A = [2 −1; −1 2].
        let inverse = [[2.0 / 3.0, 1.0 / 3.0], [1.0 / 3.0, 2.0 / 3.0]];
        let row = |p: f64, q: f64| [0, 1].map(|j| p * inverse[0][j] + q * inverse[1][j]);
        let m = Pair([row(1.0, -3.0), row(3.0, 1.0)]);
        for found in moduli(&tridiagonal(2), Some(&m)).unwrap() {
            assert!((found - 10f64.sqrt()).abs() < 1e-12, "{found}");
        }
    }
}
