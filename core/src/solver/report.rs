//! How a solve went.
use super::Algorithm;

/// How a solve ended. Not converging is no error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The stopping criterion holds.
    Converged,
    /// It does not hold after the allowed number of iterations.
    IterationLimit,
    /// The stopping measure grew beyond the divergence limit, or is not finite; the text says which.
    Diverged(String),
    /// The method cannot go on; the text says why.
    Breakdown(String),
    /// The stopping criterion holds, and yet single rows are not solved: their residuals, each
    /// relative to the size of its row, stay far above it. The text names them. See
    /// [`Report::scaled_residual`].
    RowsUnsolved(String),
    /// The watcher asked to stop.
    Interrupted,
}

impl Outcome {
    /// Its kind, as reports spell it.
    pub fn name(&self) -> &'static str {
        match self {
            Outcome::Converged => "converged",
            Outcome::IterationLimit => "iteration-limit",
            Outcome::Diverged(_) => "diverged",
            Outcome::Breakdown(_) => "breakdown",
            Outcome::RowsUnsolved(_) => "rows-unsolved",
            Outcome::Interrupted => "interrupted",
        }
    }

    /// What there is to say, beyond the kind of the outcome.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Outcome::Diverged(why) | Outcome::Breakdown(why) | Outcome::RowsUnsolved(why) => {
                Some(why)
            }
            Outcome::Converged | Outcome::IterationLimit | Outcome::Interrupted => None,
        }
    }
}

/// How a solve went.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// Iterations done.
    pub iterations: usize,
    /// The stopping measure before the first and after every iteration.
    pub history: Vec<f64>,
    /// ‖b − Ax‖₂ / ‖b‖₂ of the returned x, recomputed at the end.
    pub true_relative_residual: f64,
    /// The largest residual of a single row, relative to the size of the row: with x returned,
    /// maxᵢ |b − Ax|ᵢ / (Σⱼ |aᵢⱼ| · maxⱼ |xⱼ| + |bᵢ|).
    ///
    /// It is the relative change of row i of A and b that x is an exact solution for, so it lies
    /// between 0 and 1 (up to rounding) and does not change where rows of A and b are multiplied by
    /// factors. A norm of b − Ax sees only the rows with the largest factors. Where the entries of A
    /// are not known ([`Operator::row_sizes`](crate::matrix::Operator::row_sizes)) it is
    /// `true_relative_residual`.
    pub scaled_residual: f64,
    /// Where a watched solve went on by other means; see
    /// [`solve_with_fallback`](super::solve_with_fallback).
    pub switches: Vec<Switch>,
    /// What of b lies outside of the range of A, where A is known to be singular.
    pub outside: Option<Outside>,
}

/// The part of a right-hand side that no x can reach: that in the left null space.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Outside {
    /// Its norm.
    pub norm: f64,
    /// Its norm relative to that of the whole right-hand side.
    pub relative: f64,
}

/// A solve noticed that its preconditioner fails, and went on by other means.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Switch {
    /// Iterations done before.
    pub iteration: usize,
    /// What was noticed.
    pub reason: String,
    /// What the solve went on with.
    pub to: String,
}

/// A measure that falls by less than this between two restarts stagnates.
const STAGNANT: f64 = 0.9;

impl Report {
    /// What both solves were together, `first` of which ended and left its x to this one: the iterations of both, and one
    /// history.
    #[must_use]
    pub fn after(self, first: Report) -> Report {
        let history = first.history.into_iter().chain(self.history.into_iter().skip(1)).collect();
        let (iterations, switches) = (first.iterations, self.switches.into_iter());
        let switches = switches.map(|s| Switch { iteration: iterations + s.iteration, ..s });
        Report {
            iterations: iterations + self.iterations,
            history,
            switches: first.switches.into_iter().chain(switches).collect(),
            ..self
        }
    }

    /// What a user should try where the solve ended at the iteration limit and the history shows
    /// why.
    pub fn hint(&self, method: &Algorithm) -> Option<String> {
        let &(Algorithm::Gmres { restart }
        | Algorithm::LeftGmres { restart }
        | Algorithm::FlexibleGmres { restart }) = method
        else {
            return None;
        };
        let &[.., last] = self.history.as_slice() else { return None };
        let before = *self.history.get(self.history.len().checked_sub(restart.checked_add(1)?)?)?;
        let stagnates = self.outcome == Outcome::IterationLimit && last > STAGNANT * before;
        stagnates.then(|| {
            format!(
                "gmres stagnates: the last {restart} iterations, one restart to the next, took the \
                 measure from {before:.1e} to {last:.1e}; raise 'restart', or take a better \
                 preconditioner"
            )
        })
    }
}
