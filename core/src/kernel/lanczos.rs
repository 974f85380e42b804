//! Extreme eigenvalues of A, or of MA, by the Lanczos method.
//!
//! For symmetric A the method builds an orthonormal basis V of the Krylov space of a random vector,
//! with VᵀAV = T tridiagonal. For symmetric M and positive definite A, MA is symmetric in the inner
//! product ⟨x, y⟩ = xᵀAy, and the same recurrence holds there. The extreme eigenvalues θ of T
//! approach those of the operator from within; next to each lies an eigenvalue of the operator, at
//! a distance of at most βₖ|sₖ| (s the eigenvector of T) and the rounding of the largest eigenvalue, which
//! is the error reported. It bounds the distance to *an* eigenvalue: one still further out may be missing
//! from the start vector, so that what is found is an estimate. Eigenvalues that are smaller than the
//! largest one by more than the digits of a number are never found to any digit.
//!
//! Cost: one product with A (and one application of M) a step. Up to [`EXACT`] rows all basis
//! vectors are kept and reorthogonalised, so that the extremes are found to any tolerance above
//! rounding; beyond, three to five vectors are kept, which leaves the extremes right and only adds
//! copies of them. Results hardly depend on the number of ranks.
//!
//! References: G. H. Golub, C. F. Van Loan, *Matrix Computations*, 4th ed., §10.1–10.3;
//! C. C. Paige, *J. Inst. Maths Applics* 18 (1976); QL: H. Bowdler et al., *Numer. Math.* 11 (1968).
use super::ql;
use super::random::{Purpose, Stream};
use crate::matrix::{DistCsr, Operator, Space};
use crate::precond::Preconditioner;
use crate::{Error, Result};
use serde::Serialize;

/// Rows up to which the basis is kept and reorthogonalised.
pub const EXACT: u64 = 1000;

/// What rounding does to an eigenvalue, relative to the largest one.
const ROUNDING: f64 = 8.0 * f64::EPSILON;

/// How far to go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Steps allowed.
    pub max_steps: usize,
    /// Stop when both errors are at most this part of their eigenvalues.
    pub tolerance: f64,
}

impl Default for Options {
    fn default() -> Self {
        Options { max_steps: 2000, tolerance: 1e-3 }
    }
}

/// The ends of a spectrum.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spectrum {
    /// Smallest eigenvalue found.
    pub min: f64,
    /// Largest eigenvalue found.
    pub max: f64,
    /// Bound on the distance of `min` to an eigenvalue.
    pub min_error: f64,
    /// Bound on the distance of `max` to an eigenvalue.
    pub max_error: f64,
    /// Steps done.
    pub steps: usize,
    /// Whether both errors are within the tolerance.
    pub converged: bool,
}

impl Spectrum {
    /// λmax/λmin; `None` unless both are positive.
    pub fn condition(&self) -> Option<f64> {
        (self.min > 0.0).then(|| self.max / self.min)
    }
}

/// The spectrum of A, which must be symmetric (not checked). Collective.
///
/// # Errors
/// [`Error::Data`] for a matrix without rows; [`Error::Breakdown`], on all ranks, where values are not
/// finite; what the communicator reports.
pub fn of_matrix(a: &DistCsr, options: &Options) -> Result<Spectrum> {
    let identity = |v: &[f64], u: &mut [f64]| {
        u.copy_from_slice(v);
        Ok(())
    };
    lanczos(a.space(), &Aim::both(options), identity, |_| Ok(0.0), |v, z| a.spmv(v, z))
}

/// The spectrum of the symmetric operator `z = apply(v)` on one rank with `n` rows, as far as it takes to
/// find the largest eigenvalue.
///
/// # Errors
/// As [`of_matrix`]; what `apply` reports.
pub fn largest_of_operator(
    n: usize,
    options: &Options,
    apply: impl Fn(&[f64], &mut [f64]) -> Result<()>,
) -> Result<Spectrum> {
    let identity = |v: &[f64], u: &mut [f64]| {
        u.copy_from_slice(v);
        Ok(())
    };
    let aim = Aim { options: *options, largest_only: true };
    lanczos(&Space::solo(n), &aim, identity, |_| Ok(0.0), apply)
}

/// What Lanczos' method is to find.
struct Aim {
    options: Options,
    /// The largest eigenvalue is enough.
    largest_only: bool,
}

impl Aim {
    fn both(options: &Options) -> Aim {
        Aim { options: *options, largest_only: false }
    }
}

/// The spectrum of MA for symmetric M and positive definite A. Collective.
///
/// # Errors
/// [`Error::Breakdown`], on all ranks, where A turns out not to be positive definite, or values are not
/// finite; [`Error::Data`] as [`of_matrix`]; what M and the communicator report.
pub fn of_preconditioned(
    a: &dyn Operator,
    m: &dyn Preconditioner,
    options: &Options,
) -> Result<Spectrum> {
    // Asked for in doubt only.
    let magnitude = |z: &[f64]| Ok(a.magnitude(z)?.unwrap_or(0.0));
    lanczos(a.space(), &Aim::both(options), |v, u| a.apply(v, u), magnitude, |u, z| m.apply(u, z))
}

/// Lanczos for the operator `z = apply(weigh(v))`, symmetric in ⟨x, weigh(y)⟩; `magnitude(x)` is that
/// product of x with itself before anything cancels.
fn lanczos(
    space: &Space,
    aim: &Aim,
    weigh: impl Fn(&[f64], &mut [f64]) -> Result<()>,
    magnitude: impl Fn(&[f64]) -> Result<f64>,
    apply: impl Fn(&[f64], &mut [f64]) -> Result<()>,
) -> Result<Spectrum> {
    let (n, n_global) = (space.n_own(), space.n_global());
    if n_global == 0 {
        return Err(Error::Data("a matrix without rows has no spectrum".into()));
    }
    let stream = Stream::new(Purpose::Test, 0, 0, &[]);
    let mut z: Vec<f64> = (0..n as u64).map(|i| stream.normal(space.start() + i)).collect();
    let (mut v, mut u, mut v_old) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
    let (mut alphas, mut betas) = (Vec::new(), Vec::new());
    // Basis vectors and their weighed images, one after the other; small systems only.
    let mut basis: Vec<(Vec<f64>, Vec<f64>)> = Vec::new();
    let limit = aim.options.max_steps.clamp(1, usize::try_from(n_global).unwrap_or(usize::MAX));
    let (mut next_check, mut norm) = (limit.min(8), 0.0f64);
    loop {
        // z is the next direction, not yet of length one.
        weigh(&z, &mut u)?;
        let [square] = space.dots([(&z, &u)])?;
        if !square.is_finite() {
            return Err(Error::Breakdown("values that are not finite turned up".into()));
        }
        // Rounding may leave a small negative number of what is zero.
        let done = alphas.len();
        let beta = square.max(0.0).sqrt();
        norm = norm.max(alphas.last().map_or(0.0, |a: &f64| a.abs()) + beta * f64::from(done > 0));
        let exhausted = done > 0 && beta <= f64::EPSILON * norm;
        let suspect = done == 0 && square <= 0.0 || done > 0 && square < -(1e-8 * norm).powi(2);
        // A witness is one beyond rounding only.
        if suspect && square <= -ROUNDING * magnitude(&z)? {
            return Err(Error::Breakdown(
                "the matrix is not positive definite: xᵀAx ≤ 0 for some x".into(),
            ));
        }
        if exhausted || done == limit || done == next_check {
            let (spectrum, settled) =
                ends(&alphas, &betas, if exhausted { 0.0 } else { beta }, aim);
            if exhausted || done == limit || settled {
                return Ok(spectrum);
            }
            next_check = limit.min(done + done / 4 + 1);
        }
        if done > 0 {
            betas.push(beta);
        }
        std::mem::swap(&mut v_old, &mut v);
        let scale = 1.0 / beta;
        for ((v, u), z) in v.iter_mut().zip(&mut u).zip(&z) {
            (*v, *u) = (z * scale, *u * scale);
        }
        apply(&u, &mut z)?;
        let [alpha] = space.dots([(&z, &u)])?;
        alphas.push(alpha);
        let beta_old = betas.last().copied().unwrap_or(0.0);
        for ((z, v), v_old) in z.iter_mut().zip(&v).zip(&v_old) {
            *z -= alpha * v + beta_old * v_old;
        }
        if n_global <= EXACT {
            basis.push((v.clone(), u.clone()));
            for (v, u) in basis.iter().chain(&basis) {
                let [c] = space.dots([(&z, u)])?;
                z.iter_mut().zip(v).for_each(|(z, v)| *z -= c * v);
            }
        }
    }
}

/// The ends of T's spectrum, `beta` the entry that would come next beside its diagonal; and whether
/// further steps would not make them better.
fn ends(alphas: &[f64], betas: &[f64], beta: f64, aim: &Aim) -> (Spectrum, bool) {
    let ritz = tridiagonal(alphas, betas);
    let of = |end: Option<&(f64, f64)>| end.map_or((f64::NAN, f64::NAN), |e| *e);
    let (min, s_min) = of(ritz.first());
    let (max, s_max) = of(ritz.last());
    let rounding = ROUNDING * min.abs().max(max.abs());
    let [left_of_min, left_of_max] = [s_min, s_max].map(|s| beta * s.abs());
    let (min_error, max_error) = (left_of_min + rounding, left_of_max + rounding);
    let within = |error: f64, value: f64| error <= aim.options.tolerance * value.abs();
    let [min_found, max_found] = [within(min_error, min), within(max_error, max)];
    let min_settled = min_found || left_of_min <= rounding || aim.largest_only;
    let settled = min_settled && (max_found || left_of_max <= rounding);
    let (steps, converged) = (alphas.len(), min_found && max_found);
    (Spectrum { min, max, min_error, max_error, steps, converged }, settled)
}

/// Eigenvalues of the symmetric tridiagonal matrix with `diagonal` and `beside` it (one entry
/// fewer), in increasing order, each with the last entry of its eigenvector of length one.
///
/// QL with implicit shifts, some 30 k² flops. NaN in, NaN out.
pub fn tridiagonal(diagonal: &[f64], beside: &[f64]) -> Vec<(f64, f64)> {
    let n = diagonal.len();
    let mut d = diagonal.to_vec();
    let mut e = beside.to_vec();
    e.resize(n, 0.0);
    let mut last = vec![0.0; n];
    if let Some(entry) = last.last_mut() {
        *entry = 1.0;
    }
    // Each eigenvalue takes two or three sweeps; fifty are never needed.
    ql::iterate(&mut d, &mut e, 50, |i, s, c| {
        (last[i], last[i + 1]) = (c * last[i] - s * last[i + 1], s * last[i] + c * last[i + 1]);
    });
    let mut pairs: Vec<(f64, f64)> = d.into_iter().zip(last).collect();
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comm::{Comm, threads};
    use crate::matrix::Csr;
    use crate::precond::Diagonal;
    use crate::problem::{Poisson, Problem};

    const TIGHT: Options = Options { max_steps: 2000, tolerance: 1e-10 };

    fn diagonal(values: &[f64]) -> DistCsr {
        let n = values.len();
        let entries = values.iter().enumerate().map(|(i, &v)| (i, i, v));
        DistCsr::solo(Csr::from_triplets(n, n, entries).expect("valid")).expect("square")
    }

    #[test]
    fn tridiagonal_eigenvalues_are_those_of_the_second_difference() {
        use std::f64::consts::PI;
        for n in [1, 2, 5, 200] {
            let pairs = tridiagonal(&vec![2.0; n], &vec![-1.0; n - 1]);
            let angle = |k: usize| (k + 1) as f64 * PI / (n + 1) as f64;
            for (k, (value, last)) in pairs.into_iter().enumerate() {
                assert!((value - (2.0 - 2.0 * angle(k).cos())).abs() < 1e-13, "n = {n}, {k}");
                let entry = (2.0 / (n + 1) as f64).sqrt() * (n as f64 * angle(k)).sin();
                assert!((last.abs() - entry.abs()).abs() < 1e-12, "n = {n}, {k}");
            }
        }
        // One that falls apart.
        let pairs = tridiagonal(&[3.0, 1.0, 2.0, 2.0], &[0.0, 0.0, 1.0]);
        let values: Vec<f64> = pairs.iter().map(|p| p.0).collect();
        let off = values.iter().zip([1.0, 1.0, 3.0, 3.0]).map(|(a, b)| (a - b).abs());
        assert!(off.fold(0.0, f64::max) < 1e-15, "{values:?}");
    }

    #[test]
    fn the_ends_of_a_known_spectrum_are_found_at_any_size() {
        use std::f64::consts::PI;
        for m in [1usize, 2, 20, 40] {
            let spec = Poisson { nodes: Some(m), shift: 0.0, ..Poisson::default() };
            let (system, _) = Problem::Poisson(spec).generate(Comm::solo()).expect("valid");
            let found = of_matrix(system.a(), &TIGHT).expect("finite");
            let least = 8.0 * (0.5 * PI / (m + 1) as f64).sin().powi(2);
            assert!((found.min / least - 1.0).abs() < 1e-9, "m = {m}: {found:?}");
            assert!((found.max / (8.0 - least) - 1.0).abs() < 1e-9, "m = {m}: {found:?}");
            assert!(found.converged && found.steps <= m * m);
            let kappa = found.condition().expect("positive");
            assert!((kappa * least / (8.0 - least) - 1.0).abs() < 1e-8);
        }
    }

    #[test]
    fn a_preconditioned_spectrum_is_that_of_the_similar_symmetric_matrix() {
        for level in [3, 6] {
            let spec = Problem::Poisson(Poisson::at_level(level));
            let (system, _) = spec.generate(Comm::solo()).expect("valid");
            let a = system.a();
            let scale: Vec<f64> = (0..a.n_own()).map(|i| 0.7 / a.diagonal(i)).collect();
            let view = a.own().view();
            let entries: Vec<(usize, usize, f64)> = (0..a.n_own())
                .flat_map(|i| view.row(i).map(move |(j, v)| (i, j, v)))
                .map(|(i, j, v)| (i, j, v * (scale[i] * scale[j]).sqrt()))
                .collect();
            let similar = Csr::from_triplets(a.n_own(), a.n_own(), entries).expect("valid");
            let similar = DistCsr::solo(similar).expect("square");
            let want = of_matrix(&similar, &TIGHT).expect("finite");
            let found = of_preconditioned(a, &Diagonal(scale), &TIGHT).expect("definite");
            assert!(found.converged && want.converged);
            assert!((found.min / want.min - 1.0).abs() < 1e-8, "{found:?} {want:?}");
            assert!((found.max / want.max - 1.0).abs() < 1e-8, "{found:?} {want:?}");
        }
    }

    #[test]
    fn the_error_bound_holds_when_steps_run_out() {
        let values: Vec<f64> = (1..=3000).map(f64::from).collect();
        let options = Options { max_steps: 40, tolerance: 1e-6 };
        let found = of_matrix(&diagonal(&values), &options).expect("finite");
        assert!(!found.converged && found.steps == 40);
        let to_nearest = |x: f64| (x - x.round()).abs();
        assert!(found.min_error > 0.0 && to_nearest(found.min) <= found.min_error);
        assert!(found.max_error > 0.0 && to_nearest(found.max) <= found.max_error);
        assert!(found.min >= 1.0 && found.max <= 3000.0);
    }

    #[test]
    fn all_ranks_find_what_one_rank_finds() {
        let spec = Problem::Poisson(Poisson::at_level(4));
        let (system, _) = spec.generate(Comm::solo()).expect("valid");
        let want = of_matrix(system.a(), &TIGHT).expect("finite");
        let all = threads::run(3, |comm| {
            let (system, _) = spec.generate(Comm::new(comm)).expect("valid");
            of_matrix(system.a(), &TIGHT).expect("finite")
        });
        for found in all {
            assert!((found.min / want.min - 1.0).abs() < 1e-9);
            assert!((found.max / want.max - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn indefinite_and_faulty_matrices_are_told_apart() {
        let a = diagonal(&[2.0, -3.0, 1.0]);
        let found = of_matrix(&a, &TIGHT).expect("symmetric");
        assert!((found.min + 3.0).abs() < 1e-12 && (found.max - 2.0).abs() < 1e-12);
        assert_eq!(found.condition(), None);
        let one = Diagonal(vec![1.0; 3]);
        let got = of_preconditioned(&a, &one, &TIGHT).expect_err("indefinite");
        assert!(matches!(got, Error::Breakdown(_)), "{got}");
        let got = of_matrix(&diagonal(&[1.0, f64::NAN]), &TIGHT).expect_err("not finite");
        assert!(matches!(got, Error::Breakdown(_)), "{got}");
        assert!(of_matrix(&diagonal(&[]), &TIGHT).is_err());
        let zero = of_matrix(&diagonal(&[0.0; 5]), &TIGHT).expect("finite");
        assert_eq!((zero.min, zero.max), (0.0, 0.0));
    }

    #[test]
    fn ends_that_drown_in_the_largest_eigenvalue_are_not_called_found() {
        for values in [&[1e20, 1.0, 1.0, 2.0][..], &[1.0, 1e-18], &[1e30, -1.0, 5.0]] {
            let found = of_matrix(&diagonal(values), &TIGHT).expect("finite");
            assert!(!found.converged, "{found:?}");
            let off = |end: f64| values.iter().map(|v| (v - end).abs()).fold(f64::MAX, f64::min);
            assert!(off(found.min) <= found.min_error, "{found:?}");
            assert!(off(found.max) <= found.max_error && found.max_error < 1e-10 * found.max);
        }
        // Positive definite, and yet rounding makes zᵀAz negative: no witness is claimed.
        let n = 40;
        let big = 1e18;
        let pairs = (0..n).flat_map(|i| {
            let (k, l) = (2 * i, 2 * i + 1);
            [(k, k, big), (l, l, big), (k, l, -big * (1.0 - 1e-15)), (l, k, -big * (1.0 - 1e-15))]
        });
        let a = DistCsr::solo(Csr::from_triplets(2 * n, 2 * n, pairs).expect("valid"));
        let found = of_preconditioned(&a.expect("square"), &Diagonal(vec![1e-18; 2 * n]), &TIGHT);
        assert!(found.as_ref().is_ok_and(|found| found.max > 1.9), "{found:?}");
    }
}
