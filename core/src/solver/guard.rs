//! Watching a solve for a preconditioner that fails, out of numbers that the solve has anyway: the
//! stopping measure of each iteration and, in conjugate gradients, α and β. No product with A, no
//! application of M and no reduction is spent on it, and a solve that goes well keeps every bit.
//!
//! A solve trips the guard where
//! - the measure exceeds its best value of this stage [`GROWTH`] times ([`OSCILLATION`] times where
//!   it may oscillate: neither in Richardson's iteration nor in GMRES), or, in Richardson's iteration, rises
//!   [`RISES`] times running. GMRES never lets it grow; that of a cycle may turn out to have been less than
//!   the true one, where M rounds in single precision, and the next cycle begins with that;
//! - it has not converged [`NEAR`] iterations after those that the contraction asked for takes from where
//!   the solve began (at least [`WINDOW`]): whatever M promises, a solve does not stay with it longer;
//! - over the last [`WINDOW`] iterations it fell by less, an iteration, than the contraction that is
//!   asked for, and at that rate more than another [`WINDOW`] are needed. In conjugate gradients,
//!   whose residual may pause, the Ritz values must agree: the extreme eigenvalues θ of the Lanczos
//!   matrix T with Tⱼⱼ = 1/αⱼ + βⱼ/αⱼ₋₁, Tⱼ,ⱼ₋₁ = √βⱼ/αⱼ₋₁ lie within the spectrum of MA, so
//!   (√κ − 1)/(√κ + 1) with κ = θmax/θmin is at most what its bound promises;
//! - where no contraction is asked for, it fell so slowly over the last [`STRETCH`] iterations
//!   ([`LONG_STRETCH`] where it may pause) that at that rate the iterations that are allowed are
//!   not enough.
//!
//! All ranks see the same bits, so all trip together.
//!
//! Reference: Y. Saad, *Iterative Methods for Sparse Linear Systems*, 2nd ed., SIAM 2003, §6.7.3.
use crate::kernel::lanczos::tridiagonal;

/// Times its best value that the measure may reach in Richardson's iteration.
const GROWTH: f64 = 4.0;
/// The same where the measure may oscillate.
const OSCILLATION: f64 = 1e3;
/// Rises of the measure, one after the other, that end Richardson's iteration.
const RISES: usize = 3;
/// Iterations that the contraction is averaged over.
const WINDOW: usize = 6;
/// Iterations after which a solve that nothing is asked of is looked at: Richardson's, and GMRES,
/// whose restarts lie within.
const STRETCH: usize = 100;
/// The same for methods whose residual may pause for long and then fall fast.
const LONG_STRETCH: usize = 1000;
/// Iterations beyond those that the contraction takes.
const NEAR: usize = 3;
/// Ritz values are those of the first so many steps after a start.
const STEPS: usize = 200;

/// Why a solve should not go on like this.
pub(super) struct Trip {
    pub why: String,
    /// It is only slow: where nothing better is there it may go on.
    pub slow: bool,
}

/// What is watched in one stage of a solve.
pub(super) struct Guard {
    /// The measure falls by this factor an iteration, or faster; 1 where nothing is asked.
    contraction: f64,
    tolerance: f64,
    /// Richardson's iteration, whose measure must not oscillate.
    stationary: bool,
    /// Times its best value that the measure may reach.
    growth: f64,
    /// The measure at the start of the stage and after the last iterations, up to a window.
    recent: [f64; WINDOW + 1],
    steps: usize,
    best: f64,
    rises: usize,
    /// Iterations after which the pace is looked at, and the measure when it last was.
    stretch: usize,
    mark: f64,
    /// The measure at the start of the solve, and iterations done with this M.
    first: Option<f64>,
    done: usize,
    /// α and β of conjugate gradients since their last start; none for other methods.
    coefficients: Option<Vec<[f64; 2]>>,
}

impl Guard {
    pub fn new(contraction: f64, tolerance: f64, method: &super::Algorithm) -> Self {
        use super::Algorithm::{Cg, FlexibleGmres, Gmres, LeftGmres, Richardson};
        let cg = matches!(method, Cg);
        let stretch = match *method {
            Richardson { .. } => STRETCH,
            Gmres { restart } | LeftGmres { restart } | FlexibleGmres { restart } => {
                STRETCH.checked_next_multiple_of(restart).unwrap_or(LONG_STRETCH)
            }
            _ => LONG_STRETCH,
        };
        let growth = match *method {
            Richardson { .. } => GROWTH,
            Gmres { .. } | LeftGmres { .. } | FlexibleGmres { .. } => f64::INFINITY,
            _ => OSCILLATION,
        };
        Guard {
            contraction,
            tolerance,
            stationary: matches!(method, Richardson { .. }),
            growth,
            recent: [f64::NAN; WINDOW + 1],
            steps: 0,
            best: f64::INFINITY,
            rises: 0,
            stretch,
            mark: f64::NAN,
            first: None,
            done: 0,
            coefficients: cg.then(Vec::new),
        }
    }

    /// The same where M has been at it before: from which measure, and for how many iterations.
    pub fn after(self, first: Option<f64>, done: usize) -> Self {
        Guard { first, done, ..self }
    }

    /// The stage starts with this measure.
    pub fn start(&mut self, measure: f64) {
        (self.best, self.steps) = (measure, 0);
        self.first.get_or_insert(measure);
        self.recent[WINDOW] = measure;
        self.mark = measure;
    }

    /// Conjugate gradients took a step α with β = 0 where they started (again).
    pub fn coefficients(&mut self, alpha: f64, beta: f64) {
        let Some(all) = &mut self.coefficients else { return };
        if beta == 0.0 {
            all.clear();
        }
        if all.len() < STEPS {
            all.push([alpha, beta]);
        }
    }

    /// Looks at the measure after an iteration, when `left` are allowed; why the solve should not
    /// go on like this, if so.
    pub fn look(&mut self, now: f64, left: usize) -> Option<Trip> {
        let before = self.recent[WINDOW];
        self.recent.rotate_left(1);
        self.recent[WINDOW] = now;
        (self.steps, self.done) = (self.steps + 1, self.done + 1);
        self.rises = if now > before { self.rises + 1 } else { 0 };
        if now > self.growth * self.best || self.stationary && self.rises == RISES {
            let why = format!("the measure grew from {:.1e} to {now:.1e}", self.best);
            return Some(Trip { why, slow: false });
        }
        self.best = self.best.min(now);
        let slow =
            if self.contraction < 1.0 { self.too_slow(now) } else { self.out_of_reach(now, left) };
        slow.map(|why| Trip { why, slow: true })
    }

    /// Why M does not keep its promise: the iterations that it has are over, or the pace of the last
    /// window is not the contraction that is asked for.
    fn too_slow(&self, now: f64) -> Option<String> {
        let allowed = self.allowed();
        if self.done >= allowed && now > self.tolerance {
            return Some(format!(
                "the measure is {now:.1e} after {} iterations, where {allowed} should have been enough",
                self.done
            ));
        }
        if self.steps < WINDOW {
            return None;
        }
        let rate = (now / self.recent[0]).powf(1.0 / WINDOW as f64);
        let at_this_rate = (self.tolerance / now).ln() / rate.min(1.0).ln();
        if rate <= self.contraction || at_this_rate <= WINDOW as f64 {
            return None;
        }
        let asked = format!("a factor of {:.2} an iteration was expected", self.contraction);
        let Some(condition) = self.condition() else {
            return Some(format!("the measure falls by {rate:.2} an iteration, {asked}"));
        };
        let root = condition.sqrt();
        ((root - 1.0) / (root + 1.0) > self.contraction).then(|| {
            format!(
                "the coefficients of cg show a condition of MA of {condition:.0} or more, {asked}"
            )
        })
    }

    /// Why the iterations that are left will not do, at the pace of the last stretch.
    fn out_of_reach(&mut self, now: f64, left: usize) -> Option<String> {
        if !self.steps.is_multiple_of(self.stretch) {
            return None;
        }
        let before = std::mem::replace(&mut self.mark, now);
        let pace = (now / before).powf(1.0 / self.stretch as f64).min(1.0);
        let needed =
            if pace < 1.0 { (self.tolerance / now).ln() / pace.ln() } else { f64::INFINITY };
        (needed > left as f64).then(|| {
            let stretch = self.stretch;
            format!(
                "the last {stretch} iterations took the measure from {before:.1e} to {now:.1e}: at \
                 that rate the {left} that are left are not enough"
            )
        })
    }

    /// Iterations that M has.
    fn allowed(&self) -> usize {
        let first = self.first.unwrap_or(1.0);
        let needed = (self.tolerance / first).ln() / self.contraction.ln();
        if self.contraction < 1.0 && needed.is_finite() {
            // Logarithms of powers are rounded.
            ((needed - 1e-9).max(0.0).ceil() as usize).max(WINDOW - NEAR) + NEAR
        } else {
            usize::MAX
        }
    }

    /// A lower bound of the condition of MA, from conjugate gradients.
    fn condition(&self) -> Option<f64> {
        let all = self.coefficients.as_ref()?;
        let previous = || all.iter().zip(all.iter().skip(1));
        let mut diagonal: Vec<f64> = all.iter().map(|[alpha, _]| 1.0 / alpha).collect();
        for (d, ([alpha, _], [_, beta])) in diagonal.iter_mut().skip(1).zip(previous()) {
            *d += beta / alpha;
        }
        let beside: Vec<f64> =
            previous().map(|([alpha, _], [_, beta])| beta.sqrt() / alpha).collect();
        let ritz = tridiagonal(&diagonal, &beside);
        Some(ritz.last()?.0 / ritz.first()?.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solver::Algorithm;

    const RICHARDSON: Algorithm = Algorithm::Richardson { damping: 1.0 };

    fn first_trip(method: &Algorithm, history: &[f64]) -> Option<(usize, String)> {
        let mut guard = Guard::new(0.7, 1e-5, method);
        guard.start(history[0]);
        (1..history.len()).find_map(|k| Some((k, guard.look(history[k], usize::MAX)?.why)))
    }

    fn falling(rate: f64, steps: i32) -> Vec<f64> {
        (0..=steps).map(|k| rate.powi(k)).collect()
    }

    #[test]
    fn growth_is_seen_at_once_and_slowness_after_a_window() {
        let trip = |history: &[f64]| first_trip(&RICHARDSON, history);
        assert_eq!(trip(&falling(0.5, 17)), None);
        let (step, why) = trip(&falling(0.9, 100)).expect("too slow");
        assert_eq!(step, WINDOW);
        assert_eq!(
            why,
            "the measure falls by 0.90 an iteration, a factor of 0.70 an iteration was expected"
        );
        let (step, why) = trip(&[1.0, 0.1, 0.5]).expect("grown");
        assert_eq!((step, why.as_str()), (2, "the measure grew from 1.0e-1 to 5.0e-1"));
        assert_eq!(trip(&[1.0, 0.1, 0.11, 0.12, 0.13]).map(|t| t.0), Some(4));
        assert_eq!(trip(&[1.0, 0.1, 0.11, 0.12, 0.01, 0.011]), None);
        // Slow, but nearly there.
        let near: Vec<f64> = falling(0.8, 12).iter().map(|m| 3e-5 * m).collect();
        assert_eq!(trip(&near), None);
        // Krylov methods may oscillate.
        assert_eq!(first_trip(&Algorithm::Bicgstab, &[1.0, 0.1, 50.0, 0.1]), None);
        assert_eq!(first_trip(&Algorithm::Bicgstab, &[1.0, 0.1, 101.0]).map(|t| t.0), Some(2));
        // What a cycle of GMRES promised too much of is no growth.
        let gmres = Algorithm::Gmres { restart: 30 };
        assert_eq!(first_trip(&gmres, &[1.0, 1e-5, 0.1, 1e-4]), None);
    }

    #[test]
    fn a_solve_that_nothing_is_asked_of_has_to_get_there_in_time() {
        let trips = |method: &Algorithm, rate: f64, allowed: usize| {
            let mut guard = Guard::new(1.0, 1e-5, method);
            guard.start(1.0);
            (1..allowed).find(|&k| guard.look(rate.powi(k as i32), allowed - k).is_some())
        };
        let gmres = Algorithm::Gmres { restart: 30 };
        // 0.999 an iteration needs 11 508 of them.
        assert_eq!(trips(&RICHARDSON, 0.999, 12_000), None);
        assert_eq!(trips(&RICHARDSON, 0.999, 10_000), Some(STRETCH));
        assert_eq!(trips(&gmres, 0.999, 10_000), Some(120));
        assert_eq!(trips(&Algorithm::Cg, 0.999, 10_000), Some(LONG_STRETCH));
        assert_eq!(trips(&gmres, 1.0, usize::MAX), Some(120));
    }

    #[test]
    fn nobody_stays_longer_than_was_promised() {
        // 0.1 an iteration to 1e-8: eight, and three more.
        let trip = |rate: f64, first: f64, before: usize| {
            let mut guard = Guard::new(0.1, 1e-8, &Algorithm::Cg);
            if before > 0 {
                guard = guard.after(Some(1.0), before);
            }
            guard.start(first);
            let look = |k: i32| {
                // Of a good preconditioner, as far as cg sees.
                guard.coefficients(1.0, if k == 1 { 0.0 } else { 1e-4 });
                Some((k, guard.look(first * rate.powi(k), usize::MAX)?.why))
            };
            (1..40).find_map(look)
        };
        let (step, why) = trip(0.4, 1.0, 0).expect("slow");
        assert_eq!(step, 11);
        assert!(why.contains("after 11 iterations, where 11 should have been enough"), "{why}");
        assert_eq!(trip(0.18, 1.0, 0), None);
        // What M did before counts; a solve that starts near needs little.
        assert_eq!(trip(0.4, 1e-3, 7).map(|t| t.0), Some(4));
        assert_eq!(trip(0.6, 1e-7, 0).map(|t| t.0), None);
        assert_eq!(trip(0.9, 1e-7, 0).map(|t| t.0), Some(6));
    }

    #[test]
    fn the_coefficients_of_cg_give_the_condition() {
        // By hand on diag(1, 9) with b = (1, 1), M = I: two steps find both eigenvalues.
        let mut guard = Guard::new(0.7, 1e-8, &Algorithm::Cg);
        let (r0, a0) = (2.0, 2.0 / 10.0);
        let r1 = [1.0 - a0, 1.0 - 9.0 * a0];
        let rr = r1[0] * r1[0] + r1[1] * r1[1];
        let beta = rr / r0;
        let p = [r1[0] + beta, r1[1] + beta];
        let a1 = rr / (p[0] * p[0] + 9.0 * p[1] * p[1]);
        guard.coefficients(a0, 0.0);
        guard.coefficients(a1, beta);
        let condition = guard.condition().expect("of cg");
        assert!((condition - 9.0).abs() < 1e-12, "{condition}");
        // A new start forgets.
        guard.coefficients(0.3, 0.0);
        assert_eq!(guard.condition(), Some(1.0));
    }

    #[test]
    fn a_pause_of_cg_on_a_good_preconditioner_is_no_failure() {
        let mut guard = Guard::new(0.7, 1e-8, &Algorithm::Cg);
        guard.start(1.0);
        for k in 1..20 {
            guard.coefficients(1.0, if k == 1 { 0.0 } else { 1e-4 });
            assert!(guard.look(1.0, usize::MAX).is_none(), "{k}");
        }
    }
}
