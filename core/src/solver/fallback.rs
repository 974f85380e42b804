//! Going on where a preconditioner fails: [`solve_with_fallback`].
//!
//! A solve is watched as [`guard.rs`](self) says. Where it trips, diverges or breaks down it goes on
//! from the best iterate so far,
//! 1. by conjugate gradients with the same M, where A is symmetric, M is declared positive definite
//!    and was not seen to be otherwise: in exact arithmetic they converge whatever the spectrum is;
//! 2. else, or where that fails too, with what replaces M (a method's unlearned form, the next choice
//!    of a method that chooses), one after the other: by conjugate gradients where A and it allow
//!    them, by MINRES where only A is not definite or MINRES it was, by GMRES else;
//! 3. with the fastest of them, unwatched, where that was only slow and nothing is left.
//!
//! Iterations with M count from the first, whatever the method: neither stage outstays what the contraction
//! promises.
//!
//! Every switch costs a residual, an n-vector is kept for the best iterate and copied to whenever
//! the measure improves. Iterations of all stages count.
use super::guard::Guard;
use super::run::{Past, Stage};
use super::{Algorithm, Norm, Outcome, Report, Stop, Switch, Watcher, stage};
use crate::Result;
use crate::kernel::lanczos;
use crate::matrix::{Operator, Symmetry};
use crate::precond::Preconditioner;

/// What comes next in the place of M, set up; none where nothing is left. It is told whether A was
/// seen not to be positive definite. Collective.
pub type Next<'f> = dyn FnMut(bool) -> Option<Replacement> + 'f;

/// What takes the place of a preconditioner that fails.
pub struct Replacement {
    /// The method's name.
    pub name: String,
    /// Factor that the measure has to fall by, an iteration, as in [`Fallback::contraction`]; none
    /// where nothing comes after it, so that there is nothing to watch for.
    pub contraction: Option<f64>,
    /// Its M, or why there is none.
    pub made: Result<Box<dyn Preconditioner>>,
}

/// Where a solve goes on when its preconditioner fails.
pub struct Fallback<'f> {
    /// Factor that the measure has to fall by, an iteration, on average; 1 where any speed will do.
    pub contraction: f64,
    /// What takes the place of M; asked where M fails, and again where that does.
    pub next: Option<&'f mut Next<'f>>,
    /// A failure that is known beforehand: the solve goes on by other means at once.
    pub foreseen: Option<Foreseen>,
}

/// A failure that is known before the solve.
#[derive(Clone, Debug, PartialEq)]
pub struct Foreseen {
    /// What was found.
    pub reason: String,
    /// Conjugate gradients would do with this M.
    pub cg_works: bool,
}

/// Lanczos steps of [`foresee`].
const CHECK_STEPS: usize = 12;

/// Looks at the ends of the spectrum of MA, by a dozen Lanczos steps, and says how far they go and
/// whether `method` would contract by less than `contraction` an iteration. Collective.
///
/// Each step costs a product with A and an application of M. What Lanczos finds lies within the
/// spectrum: a bad end may be missed, one that is found is there.
///
/// # Errors
/// [`Error::Unsupported`](crate::Error::Unsupported) unless A and M are symmetric; what M and the
/// communicator report.
pub fn foresee(
    method: &Algorithm,
    a: &dyn Operator,
    m: &dyn Preconditioner,
    contraction: f64,
) -> Result<(String, Option<Foreseen>)> {
    match a.symmetric()? {
        Symmetry::Symmetric => {}
        Symmetry::Unsymmetric(at) => {
            let why = format!("the Lanczos check needs a symmetric matrix; {at}");
            return Err(crate::Error::Unsupported(why));
        }
        Symmetry::Unknown => {
            let why = "the Lanczos check needs a matrix that is known to be symmetric";
            return Err(crate::Error::Unsupported(why.into()));
        }
    }
    if !m.properties().symmetric {
        let why = "the Lanczos check needs a symmetric preconditioner";
        return Err(crate::Error::Unsupported(why.into()));
    }
    let options = lanczos::Options { max_steps: CHECK_STEPS, tolerance: 1e-2 };
    let found = a.space().comm().scope(|| lanczos::of_preconditioned(a, m, &options));
    let ends = match found {
        Ok(ends) => ends,
        // All ranks see the same numbers.
        Err(crate::Error::Breakdown(reason)) => {
            return Ok((reason.clone(), Some(Foreseen { reason, cg_works: false })));
        }
        Err(other) => return Err(other),
    };
    let (min, max) = (ends.min, ends.max);
    let how = match ends.converged {
        true => String::new(),
        false => format!(
            ", an estimate: the nearest eigenvalues are within {:.1e} and {:.1e}",
            ends.min_error, ends.max_error
        ),
    };
    let steps = ends.steps;
    let said = format!("spectrum of MA from {min:.3} to {max:.3} ({steps} Lanczos steps{how})");
    let krylov = match ends.condition().map(f64::sqrt) {
        Some(root) => (root - 1.0) / (root + 1.0),
        None => f64::INFINITY,
    };
    let rate = match *method {
        Algorithm::Richardson { damping } => {
            (1.0 - damping * min).abs().max((1.0 - damping * max).abs())
        }
        _ => krylov,
    };
    let good = rate < 1.0 && rate <= contraction;
    let reason = format!("{said}: a contraction of {rate:.2} an iteration at best");
    let cg_works = krylov < 1.0 && krylov <= contraction;
    Ok((said, (!good).then_some(Foreseen { reason, cg_works })))
}

/// Basis of GMRES where conjugate gradients cannot go on.
const RESTART: usize = 30;

/// [`solve`](super::solve), watched, going on with `fallback` where M fails. Collective.
///
/// [`Report::switches`] tells what happened. The outcome is that of the last stage; where it is not
/// [`Outcome::Converged`], `x` is the best iterate of all.
///
/// # Errors
/// As [`solve`](super::solve), plus [`Error::Parameter`](crate::Error::Parameter) for a contraction
/// outside 0 to 1. A replacement that cannot be set up is no error: the next one is asked for, and
/// where none is left the breakdown that is reported says so.
#[allow(clippy::too_many_arguments, reason = "those of `solve`, and one more")]
pub fn solve_with_fallback(
    method: &Algorithm,
    a: &dyn Operator,
    m: &dyn Preconditioner,
    b: &[f64],
    x: &mut [f64],
    stop: &Stop,
    watch: &mut Watcher,
    fallback: &mut Fallback<'_>,
) -> Result<Report> {
    let contraction = fallback.contraction;
    if !(contraction > 0.0 && contraction <= 1.0) {
        let why = format!("contraction {contraction} must be greater than 0 and at most 1");
        return Err(crate::Error::Parameter(why));
    }
    let watching =
        |contraction, method: &Algorithm| Guard::new(contraction, stop.tolerance, method);
    let guard = |method: &Algorithm| Some(watching(contraction, method));
    // What goes on after a breakdown has its own conditions: A symmetric is asked when it matters.
    let can_replace = fallback.next.is_some();
    let conjugate = matches!(method, Algorithm::Cg | Algorithm::FlexibleCg | Algorithm::Minres);
    let same = !conjugate && m.properties().positive_definite;
    let watched = if can_replace || same { guard(method) } else { None };
    let foreseen = fallback.foreseen.take().filter(|_| watched.is_some());
    let past = Past::new(watched).foreseen(foreseen);
    let mut at = stage(method, a, m, b, x, stop, watch, past)?;
    if !failed(&at.report) || !(can_replace || same) {
        return Ok(at.report);
    }
    let symmetric = a.symmetric()? == Symmetry::Symmetric;
    if same && symmetric && at.sound {
        note(&mut at.report, "cg with the same preconditioner");
        let (first, done) = (at.report.history.first().copied(), at.report.iterations);
        let watched = guard(&Algorithm::Cg).filter(|_| can_replace);
        let watched = watched.map(|guard| guard.after(first, done));
        at = stage(&Algorithm::Cg, a, m, b, x, stop, watch, at.past(watched))?;
        if !failed(&at.report) {
            return Ok(at.report);
        }
    }
    let Some(next) = fallback.next.as_mut() else { return Ok(at.report) };
    // The fastest of those that were only slow, to go on with where nothing is left; no M is the
    // first one.
    let mut slow = at.slow.then(|| (pace(&at, 0), *method, None));
    let (asked, norm) = (method, stop.criterion.residual().0);
    while let Some(Replacement { name, contraction, made }) = next(at.indefinite) {
        let m = match made {
            Ok(m) => m,
            Err(e) => {
                let why = reason(&at.report.outcome);
                let why = format!("{why}; its replacement {name} cannot be set up: {e}");
                at.report.outcome = Outcome::Breakdown(why);
                continue;
            }
        };
        let is = m.properties();
        let method = match symmetric && is.positive_definite && is.constant {
            true if at.indefinite || *asked == Algorithm::Minres => Algorithm::Minres,
            true => Algorithm::Cg,
            false if is.constant && norm == Norm::Preconditioned => {
                Algorithm::LeftGmres { restart: RESTART }
            }
            false if is.constant => Algorithm::Gmres { restart: RESTART },
            false => Algorithm::FlexibleGmres { restart: RESTART },
        };
        if let Some(refused) = method.refuses(norm) {
            let why = reason(&at.report.outcome);
            let why = format!("{why}; with its replacement {name}, {refused}");
            at.report.outcome = Outcome::Breakdown(why);
            continue;
        }
        note(&mut at.report, &format!("{} with {name}", method.name()));
        let (indefinite, before) = (at.indefinite, at.report.iterations);
        let watched = contraction.map(|contraction| watching(contraction, &method));
        at = stage(&method, a, m.as_ref(), b, x, stop, watch, at.past(watched))?;
        at.indefinite |= indefinite;
        if !failed(&at.report) {
            return Ok(at.report);
        }
        let pace = pace(&at, before);
        if at.slow && slow.as_ref().is_none_or(|(fastest, ..)| pace < *fastest) {
            slow = Some((pace, method, Some((name, m))));
        }
    }
    let Some((_, method, replaced)) = slow else { return Ok(at.report) };
    let (name, m) = match &replaced {
        Some((name, replacement)) => (name.as_str(), replacement.as_ref()),
        None => ("the first preconditioner", m),
    };
    note(&mut at.report, &format!("{} with {name} again, the fastest so far", method.name()));
    Ok(stage(&method, a, m, b, x, stop, watch, at.past(None))?.report)
}

/// Factor by which the measure fell, an iteration, in the stage that began after `before` of them.
fn pace(at: &Stage, before: usize) -> f64 {
    let history = &at.report.history;
    match (history.get(before), history.last()) {
        (Some(first), Some(last)) if history.len() > before + 1 => {
            (last / first).powf(1.0 / (history.len() - 1 - before) as f64)
        }
        _ => f64::INFINITY,
    }
}

fn failed(report: &Report) -> bool {
    matches!(report.outcome, Outcome::Diverged(_) | Outcome::Breakdown(_))
}

fn reason(outcome: &Outcome) -> String {
    outcome.reason().unwrap_or_default().to_owned()
}

/// The stage that `report` tells of failed, and the solve goes on with `to`.
fn note(report: &mut Report, to: &str) {
    let reason = reason(&report.outcome);
    report.switches.push(Switch { iteration: report.iterations, reason, to: to.to_owned() });
}
