//! The ends of the spectrum of a symmetric matrix, whether it is positive definite, and what of that is proved.
//!
//! Lanczos' method finds the ends to a part of the *largest* eigenvalue. Where the Cholesky factorisation
//! in the envelope is affordable, more is known, with H = SAS scaled to a diagonal near one:
//!
//! - H factorises, and its smallest eigenvalue is beyond the error c of the factorisation: A is positive
//!   definite. Lanczos on A⁻¹ = S(LLᵀ)⁻¹S then finds the smallest eigenvalue to a relative error of c/λmin(H),
//!   however badly A is scaled.
//! - A pivot is not positive: the vector x that belongs to it is a witness where xᵀAx < 0 beyond rounding.
//! - A − σI and τI − A factorise as well: no eigenvalue lies outside σ to τ.
//!
//! What is not proved in one of these ways, or by an entry of A, is called an estimate.
//!
//! Reference: J. Demmel, K. Veselić, *SIAM J. Matrix Anal. Appl.* 13 (1992) 1204; S. M. Rump, *BIT* 46 (2006) 433.
use super::{Csr, CsrView, DistCsr, NullSpaces};
use crate::Result;
use crate::kernel::envelope::{self, Envelope, Factor};
use crate::kernel::lanczos::{self, Options};
use serde::Serialize;
use std::cell::RefCell;
use std::fmt;

/// What factorisations may take: entries of A, numbers of the factor, multiplications.
const MOST_ENTRIES: usize = 4_000_000;
const MOST_NUMBERS: usize = 25_000_000;
const MOST_WORK: f64 = 2e9;

/// Lanczos steps, and digits, for the smallest eigenvalue of a scaled matrix.
const SCALED: Options = Options { max_steps: 300, tolerance: 1e-2 };

/// The ends of the spectrum.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Spectrum {
    /// Smallest eigenvalue found.
    pub min: f64,
    /// Largest eigenvalue found.
    pub max: f64,
    /// Bound on the distance of `min` to an eigenvalue, rounding included.
    pub min_error: f64,
    /// Bound on the distance of `max` to an eigenvalue, rounding included.
    pub max_error: f64,
    /// Lanczos steps done.
    pub steps: usize,
    /// Whether both errors are within the tolerance.
    pub converged: bool,
    /// Whether, besides, it is proved that no eigenvalue lies beyond these two by more than the tolerance.
    pub proved: bool,
    /// Whether A is positive definite.
    pub definite: Definite,
    /// What shows that; empty where it is not known.
    pub reason: String,
}

/// Whether a matrix is positive definite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Definite {
    /// It is.
    Yes,
    /// There is a witness against it.
    No,
    /// It is singular, up to rounding.
    Singular,
    /// Nothing affordable shows either.
    Unknown,
}

impl Spectrum {
    /// Looks at `a`, which must be symmetric and have rows.
    ///
    /// # Errors
    /// [`crate::Error::Data`] for values that are not finite.
    pub fn of(a: &Csr, options: &Options) -> Result<Self> {
        let solo = DistCsr::solo(a.clone())?;
        let lanczos::Spectrum { min, max, min_error, max_error, steps, converged } =
            of_any_size(a, options)?;
        let (definite, reason) = (Definite::Unknown, String::new());
        let mut found = Spectrum {
            min,
            max,
            min_error,
            max_error,
            steps,
            converged,
            proved: false,
            definite,
            reason,
        };
        let known = by_entries(a.view()).or_else(|| {
            let why = || format!("there is an eigenvalue within {min_error:.1e} of {min:.4e}");
            // Beyond what rounding does to the basis as well.
            let rounding = 1e-12 * max.abs().max(min.abs());
            (min + min_error + rounding < 0.0).then(|| (Definite::No, why()))
        });
        let known = match known {
            None => NullSpaces::find(&solo)?.map(|null| {
                let name = null.name();
                (
                    Definite::Singular,
                    format!("singular: rows add up to zero, its null space is {name}"),
                )
            }),
            known => known,
        };
        let unknown = known.is_none();
        if let Some((definite, reason)) = known {
            (found.definite, found.reason) = (definite, reason);
        }
        if let Some(symmetric) = affordable(a)? {
            let envelope = Envelope::of(symmetric.view())?;
            if envelope.entries() <= MOST_NUMBERS && envelope.work() <= MOST_WORK {
                let shifts = Shifts { a: symmetric.view(), envelope };
                if unknown {
                    found.decide(&shifts, options)?;
                }
                found.prove(&shifts, options)?;
            }
        }
        if found.definite == Definite::Unknown && dominant(a.view()) {
            found.definite = Definite::Yes;
            found.reason =
                "every diagonal entry is larger than the others of its row together".into();
        }
        Ok(found)
    }

    /// λmax/λmin of a positive definite matrix, and whether it is more than an estimate.
    pub fn condition(&self) -> Option<(f64, bool)> {
        let positive =
            !matches!(self.definite, Definite::No | Definite::Singular) && self.min > 0.0;
        positive.then(|| (self.max / self.min, self.proved && self.definite == Definite::Yes))
    }

    /// By the factorisation of A; where there is one, the smallest eigenvalue to a relative error.
    fn decide(&mut self, shifts: &Shifts<'_>, options: &Options) -> Result<()> {
        match shifts.positive(1.0, 0.0)? {
            Sign::Positive(scaled) => {
                self.definite = Definite::Yes;
                self.reason = "its Cholesky factorisation exists beyond rounding".into();
                // Times the smallest diagonal entry, so that numbers are of a size near one.
                let least = (0..shifts.a.n_rows()).map(|i| shifts.a.get(i, i));
                let size = power_of_two(least.fold(f64::INFINITY, f64::min));
                let inverse = lanczos::largest_of_operator(scaled.scale.len(), options, |v, z| {
                    scaled.solve(v, z, size);
                    Ok(())
                })?;
                let off = inverse.max_error / inverse.max + scaled.rounding;
                self.min = size / inverse.max;
                self.min_error = self.min * off / (1.0 - off).max(f64::MIN_POSITIVE);
                self.steps += inverse.steps;
                let within = |error: f64, value: f64| error <= options.tolerance * value.abs();
                self.converged =
                    within(self.min_error, self.min) && within(self.max_error, self.max);
            }
            Sign::Negative(product) => {
                self.definite = Definite::No;
                self.reason = format!("xᵀAx = {product:.4e} for a vector x of length 1");
            }
            Sign::Doubtful => {
                self.definite = Definite::Singular;
                self.reason =
                    "singular up to rounding: a pivot of its scaled factorisation vanishes".into();
            }
        }
        Ok(())
    }

    /// Whether no eigenvalue lies beyond the ends.
    fn prove(&mut self, shifts: &Shifts<'_>, options: &Options) -> Result<()> {
        if !self.converged {
            return Ok(());
        }
        let below = self.min - options.tolerance * self.min.abs() - self.min_error;
        let above = self.max + options.tolerance * self.max.abs() + self.max_error;
        let proves = |sign: Sign<'_>| matches!(sign, Sign::Positive(_));
        self.proved = proves(shifts.positive(1.0, below)?) && proves(shifts.positive(-1.0, above)?);
        Ok(())
    }
}

impl fmt::Display for Spectrum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Spectrum { min, max, min_error, max_error, steps, .. } = self;
        write!(f, "{min:.4e} to {max:.4e} (")?;
        if self.proved {
            return write!(f, "{steps} Lanczos steps; factorisations show that none lies beyond)");
        }
        let how = if self.converged { "estimate" } else { "estimate, not converged" };
        write!(
            f,
            "{how}: {steps} Lanczos steps; the nearest eigenvalues are within {min_error:.1e} and \
             {max_error:.1e})"
        )
    }
}

/// What Lanczos finds, by numbers of a size near one: products of larger or smaller ones might leave the
/// range of f64.
fn of_any_size(a: &Csr, options: &Options) -> Result<lanczos::Spectrum> {
    let largest = a.view().values.iter().fold(0.0, |m: f64, v| v.abs().max(m));
    let size = if largest > 0.0 { power_of_two(largest) } else { 1.0 };
    let values = a.view().values.iter().map(|v| v / size).collect();
    let found = lanczos::of_matrix(&DistCsr::solo(a.with_values(values)?)?, options)?;
    Ok(lanczos::Spectrum {
        min: found.min * size,
        max: found.max * size,
        min_error: found.min_error * size,
        max_error: found.max_error * size,
        ..found
    })
}

/// The largest power of two that is not larger than a positive number.
fn power_of_two(x: f64) -> f64 {
    x.log2().floor().clamp(-1022.0, 1023.0).exp2()
}

/// A symmetric matrix with a symmetric pattern, where it is small enough to think of factorising it.
fn affordable(a: &Csr) -> Result<Option<Csr>> {
    (a.nnz() <= MOST_ENTRIES).then(|| envelope::symmetrized(a)).transpose()
}

/// Witnesses with one or two entries.
fn by_entries(a: CsrView<'_>) -> Option<(Definite, String)> {
    let diagonal: Vec<f64> = (0..a.n_rows()).map(|i| a.get(i, i)).collect();
    if let Some(i) = diagonal.iter().position(|&d| d <= 0.0) {
        let more = if diagonal.iter().all(|&d| d < 0.0) {
            ", and every diagonal entry is negative: −A may be positive definite"
        } else {
            ""
        };
        return Some((Definite::No, format!("a({i}, {i}) = {:e}{more}", diagonal[i])));
    }
    // a² > d e with roots, which cannot overflow.
    let large = |i: usize, j: usize, v: f64| {
        v.abs() > diagonal[i].sqrt() * diagonal[j].sqrt() * (1.0 + 8.0 * f64::EPSILON)
    };
    let found = (0..a.n_rows())
        .find_map(|i| a.row(i).find(|&(j, v)| j != i && large(i, j, v)).map(|(j, v)| (i, j, v)));
    found.map(|(i, j, v)| {
        let [d, e] = [diagonal[i], diagonal[j]];
        (
            Definite::No,
            format!("a({i}, {j})² = ({v:e})² is more than a({i}, {i}) a({j}, {j}) = {d:e} × {e:e}"),
        )
    })
}

/// Whether the diagonal is positive and dominates every row strictly, beyond rounding.
fn dominant(a: CsrView<'_>) -> bool {
    (0..a.n_rows()).all(|i| {
        let entries = a.row(i);
        let off: f64 = entries.filter(|&(j, _)| j != i).map(|(_, v)| v.abs()).sum();
        let rounding = 1.0 + a.row_cols(i).len() as f64 * f64::EPSILON;
        a.get(i, i) > off * rounding
    })
}

/// Factorisations of a matrix and its shifts.
struct Shifts<'a> {
    a: CsrView<'a>,
    envelope: Envelope,
}

/// What a factorisation shows.
enum Sign<'a> {
    /// The matrix is positive definite.
    Positive(Scaled<'a>),
    /// xᵀAx of a vector of length one, less than zero beyond rounding.
    Negative(f64),
    /// Neither, up to rounding.
    Doubtful,
}

/// The factor of a matrix whose rows and columns were scaled.
struct Scaled<'a> {
    factor: Factor<'a>,
    scale: Vec<f64>,
    /// What the factor's errors do to any eigenvalue, relatively.
    rounding: f64,
    work: RefCell<Vec<f64>>,
}

impl Scaled<'_> {
    /// z = A⁻¹ v times `size`, a power of two.
    fn solve(&self, v: &[f64], z: &mut [f64], size: f64) {
        // Half of the size on either side, or numbers might leave their range in between.
        let near = power_of_two(size.sqrt());
        let (left, right) = (near, size / near);
        z.iter_mut().zip(v).zip(&self.scale).for_each(|((z, v), s)| *z = v * (s * right));
        self.factor.solve(z, &mut self.work.borrow_mut());
        z.iter_mut().zip(&self.scale).for_each(|(z, s)| *z *= s * left);
    }
}

impl Shifts<'_> {
    /// Whether `sign`·(A − `shift`·I) is positive definite.
    fn positive(&self, sign: f64, shift: f64) -> Result<Sign<'_>> {
        let (a, n) = (self.a, self.a.n_rows());
        // Scaled diagonals, with the rounding of the difference.
        let (mut scale, mut rounding) = (Vec::with_capacity(n), 0.0f64);
        for i in 0..n {
            let (d, size) = (sign * (a.get(i, i) - shift), a.get(i, i).abs() + shift.abs());
            let lost = f64::EPSILON * size;
            if d < -lost {
                return Ok(Sign::Negative(d));
            }
            if d.is_nan() || d <= lost {
                return Ok(Sign::Doubtful);
            }
            // A power of two, so that scaling rounds nothing.
            let s = (-0.5 * d.log2()).round().exp2();
            rounding = rounding.max(if shift == 0.0 { 0.0 } else { lost * s * s });
            scale.push(s);
        }
        let factor = match self.envelope.factorise(a, (sign, shift), &scale) {
            Ok(factor) => factor,
            Err(not) => return Ok(self.judge(&not.witness, sign, shift)),
        };
        let error = factor.rounding() + rounding;
        let work = RefCell::new(vec![0.0; n]);
        let largest = lanczos::largest_of_operator(n, &SCALED, |v, z| {
            z.copy_from_slice(v);
            factor.solve(z, &mut work.borrow_mut());
            Ok(())
        })?;
        let smallest = 1.0 / (largest.max + largest.max_error);
        if smallest.is_nan() || smallest <= 2.0 * error {
            return Ok(Sign::Doubtful);
        }
        Ok(Sign::Positive(Scaled { factor, scale, rounding: error / smallest, work }))
    }

    /// Whether x is a witness.
    fn judge(&self, x: &[f64], sign: f64, shift: f64) -> Sign<'static> {
        let (mut product, mut size, mut square, mut longest) = (0.0, 0.0, 0.0, 0);
        for (i, &xi) in x.iter().enumerate() {
            let row = self.a.row(i).map(|(j, v)| v * x[j]);
            let (sum, absolute) = row.fold((0.0, 0.0), |(s, t), p: f64| (s + p, t + p.abs()));
            product += xi * (sum - shift * xi);
            size += xi.abs() * (absolute + (shift * xi).abs());
            square += xi * xi;
            longest = longest.max(self.a.row_cols(i).len());
        }
        // Sums of n terms on both levels, and rounding of the difference with the shift.
        let rounding = (longest + x.len() + 4) as f64 * f64::EPSILON * size;
        match sign * product < -rounding && square.is_finite() {
            true => Sign::Negative(sign * product / square),
            false => Sign::Doubtful,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comm::Comm;
    use crate::problem::{Poisson, Problem};

    fn of(a: &Csr) -> Spectrum {
        Spectrum::of(a, &Options::default()).expect("finite")
    }

    fn diagonal(values: &[f64]) -> Csr {
        let entries: Vec<_> = values.iter().enumerate().map(|(i, &v)| (i, i, v)).collect();
        Csr::from_triplets(values.len(), values.len(), entries).expect("valid")
    }

    /// The five-point Laplacian of `m` by `m` nodes, those on the border penalised.
    fn penalised(m: usize, penalty: f64) -> Csr {
        let spec = Poisson { nodes: Some(m), shift: 0.0, ..Poisson::default() };
        let (system, _) = Problem::Poisson(spec).generate(Comm::solo()).expect("valid");
        let a = system.a().own().clone();
        let border = |i: usize| [i % m, i / m].iter().any(|&k| k == 0 || k == m - 1);
        let view = a.view();
        let entries = (0..m * m).flat_map(|i| {
            view.row(i).map(move |(j, v)| (i, j, if i == j && border(i) { penalty } else { v }))
        });
        Csr::from_triplets(m * m, m * m, entries.collect::<Vec<_>>()).expect("valid")
    }

    #[test]
    fn the_smallest_eigenvalue_is_right_however_badly_a_matrix_is_scaled() {
        for (values, min, max) in [
            (&[1e20, 1.0, 1.0, 2.0][..], 1.0, 1e20),
            (&[1.0, 1e-18][..], 1e-18, 1.0),
            (&[1e99, 1e-99][..], 1e-99, 1e99),
            (&[1e200, 1e-150][..], 1e-150, 1e200),
            (&[3e-220, 2e-220][..], 2e-220, 3e-220),
            (&[3.0; 5][..], 3.0, 3.0),
        ] {
            let found = of(&diagonal(values));
            assert!((found.min / min - 1.0).abs() < 1e-10, "{found:?}");
            assert!((found.max / max - 1.0).abs() < 1e-10, "{found:?}");
            assert!(
                found.converged && found.proved && found.definite == Definite::Yes,
                "{found:?}"
            );
            let (condition, known) = found.condition().expect("positive");
            let wanted = max / min;
            assert!(known && (condition == wanted || (condition / wanted - 1.0).abs() < 1e-9));
        }
        // Large penalties leave the matrix of the inner nodes: 8 sin²(π/2(m − 1)).
        let m = 20;
        let inner = 8.0 * (0.5 * std::f64::consts::PI / (m - 1) as f64).sin().powi(2);
        for penalty in [1e4, 1e8, 1e12, 1e16, 1e20, 1e30] {
            let found = of(&penalised(m, penalty));
            let off = (found.min / inner - 1.0).abs();
            assert!(off < 10.0 / penalty + 1e-9, "{penalty:e}: {found:?}");
            assert!(found.proved && found.definite == Definite::Yes, "{penalty:e}: {found:?}");
            assert!((found.max / penalty - 1.0).abs() < 1e-3, "{penalty:e}: {found:?}");
        }
    }

    #[test]
    fn a_matrix_is_called_indefinite_with_a_witness_only() {
        let not = |a: &Csr, why: &str| {
            let found = of(a);
            assert_eq!((found.definite, found.condition()), (Definite::No, None), "{found:?}");
            assert!(found.reason.contains(why), "{found:?}");
        };
        not(&diagonal(&[1e20, 1.0, -1e-3]), "a(2, 2) = -1e-3");
        not(&diagonal(&[1.0, 0.0]), "a(1, 1) = 0e0");
        not(
            &diagonal(&[-1.0, -2.0]),
            "a(0, 0) = -1e0, and every diagonal entry is negative: −A may",
        );
        let pair =
            |d: f64| Csr::from_triplets(2, 2, [(0, 0, 1.0), (1, 1, d), (0, 1, 1.0), (1, 0, 1.0)]);
        not(&pair(0.9).expect("valid"), "a(0, 1)² = (1e0)² is more than a(0, 0) a(1, 1)");
        // No entry tells, and the largest eigenvalue hides it from Lanczos: a vector does.
        let block = [(0, 1, -0.9), (0, 2, -0.9), (1, 2, -0.9)];
        let both = block.iter().flat_map(|&(i, j, v)| [(i, j, v), (j, i, v)]);
        let entries = both.chain((0..3).map(|i| (i, i, 1.0))).chain([(3, 3, 1e25)]);
        let a = Csr::from_triplets(4, 4, entries.collect::<Vec<_>>()).expect("valid");
        not(&a, "xᵀAx = -");
        // Indefinite, and both ends proved.
        let a = penalised(8, 4.0);
        let view = a.view();
        let entries = (0..64)
            .flat_map(|i| view.row(i).map(move |(j, v)| (i, j, if i == j { v - 3.0 } else { v })));
        let found = of(&Csr::from_triplets(64, 64, entries.collect::<Vec<_>>()).expect("valid"));
        let least = 8.0 * (std::f64::consts::PI / 18.0).sin().powi(2);
        assert!((found.min - (least - 3.0)).abs() < 1e-3 && found.proved, "{found:?}");
        assert_eq!(found.definite, Definite::No);
    }

    #[test]
    fn singular_matrices_are_called_singular() {
        for n in [2, 100, 1500] {
            let degree = |i: usize| if i == 0 || i == n - 1 { 1.0 } else { 2.0 };
            let beside = (1..n).flat_map(|i| [(i, i - 1, -1.0), (i - 1, i, -1.0)]);
            let entries = (0..n).map(|i| (i, i, degree(i))).chain(beside);
            let a = Csr::from_triplets(n, n, entries.collect::<Vec<_>>()).expect("valid");
            let found = of(&a);
            assert_eq!(
                (found.definite, found.condition()),
                (Definite::Singular, None),
                "{found:?}"
            );
            assert!(found.reason.contains("rows add up to zero"), "{found:?}");
            // The same null space with other weights.
            let weight = |i: usize| 1.0 + (i % 7) as f64;
            let view = a.view();
            let scaled = (0..n)
                .flat_map(|i| view.row(i).map(move |(j, v)| (i, j, v * weight(i) * weight(j))));
            let found = of(&Csr::from_triplets(n, n, scaled.collect::<Vec<_>>()).expect("valid"));
            assert_eq!(found.definite, Definite::Singular, "{found:?}");
            assert!(found.reason.contains("up to rounding"), "{found:?}");
        }
    }

    #[test]
    fn what_is_not_proved_is_called_an_estimate() {
        let a = penalised(40, 4.0);
        let found = Spectrum::of(&a, &Options { max_steps: 5, tolerance: 1e-3 }).expect("finite");
        assert!(!found.converged && !found.proved && found.definite == Definite::Yes, "{found:?}");
        assert!(found.to_string().contains("(estimate, not converged: "), "{found}");
        assert!(found.condition().is_some_and(|(_, known)| !known));
        assert!(of(&a).to_string().ends_with("factorisations show that none lies beyond)"));
        let (dominates, not) = (diagonal(&[1.0, 2.0]), penalised(5, 4.0));
        assert!(dominant(dominates.view()) && !dominant(not.view()));
    }
}
