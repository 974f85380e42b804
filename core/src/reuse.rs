//! When a preconditioner that follows a sequence of systems is made anew.
//!
//! An old M costs iterations, a new one a setup. [`Reuse::Adaptive`] weighs both by the rule for replacing what wears: keep
//! M while the next solve is expected to take at most as many iterations as a system took on average since M was made,
//! its setup among them; from then on the average only rises. The next solve is expected to take what the last one took, and
//! as much more as another M of that age did before.
//!
//! A setup counts for so many iterations as [`setup_cost`] says. All of it is counted, nothing is timed: ranks, repeated
//! runs and matrices in other units decide alike.
//!
//! Reference: R. E. Barlow, F. Proschan, *Mathematical Theory of Reliability*, Wiley 1965, §4.2 (replacement policies).
use crate::matrix::Space;
use crate::solver::{Outcome, Report};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When a preconditioner that follows a sequence of systems is made anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Reuse {
    /// That of the first system stays, as long as systems have its pattern and are solved with it.
    Keep,
    /// For every system: refreshed where the method can and only values changed, set up anew else.
    #[default]
    Refresh,
    /// Where keeping it longer would cost more than making it anew, by iterations counted so far.
    Adaptive,
}

impl Reuse {
    /// What there is.
    pub const ALL: [Reuse; 3] = [Reuse::Keep, Reuse::Refresh, Reuse::Adaptive];

    /// Its name in configurations and options.
    pub fn name(self) -> &'static str {
        match self {
            Reuse::Keep => "keep",
            Reuse::Refresh => "refresh",
            Reuse::Adaptive => "adaptive",
        }
    }
}

/// How a solve with M went, the same on all ranks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Solve {
    /// Its iterations.
    pub iterations: usize,
    /// Whether it converged.
    pub converged: bool,
}

impl From<&Report> for Solve {
    fn from(report: &Report) -> Self {
        Solve { iterations: report.iterations, converged: report.outcome == Outcome::Converged }
    }
}

/// The last solution that was good, for the next solve to start from.
#[derive(Clone, Debug, Default)]
pub struct Last(Option<(Vec<u64>, Vec<f64>)>);

impl Last {
    /// Where to start in a system with these rows: none before there is a solution, and after one with other rows.
    pub fn start(&self, space: &Space) -> Option<&[f64]> {
        let (_, x) = self.0.as_ref().filter(|(starts, _)| starts == space.starts())?;
        Some(x)
    }

    /// Remembers a solution on these rows.
    pub fn keep(&mut self, space: &Space, x: &[f64]) {
        self.0 = Some((space.starts().to_vec(), x.to_vec()));
    }
}

/// Iterations that a setup counts for where nothing is known of M.
pub const UNKNOWN: f64 = 10.0;
/// Operations of a setup for each that elimination would need: for what is searched for and moved.
const MOVED: f64 = 4.0;

/// Iterations that the setup of an M with so many `stored` numbers counts for, A having `n` rows and `nnz` entries.
///
/// A row of k numbers is made with 4 k² operations, as if by elimination, after one look at A; an iteration takes nnz(A) + nnz(M).
/// Measured setups take from a third to six times as long: over that range a best period changes by half, what it costs hardly.
pub fn setup_cost(stored: f64, n: f64, nnz: f64) -> f64 {
    (nnz + MOVED * stored * stored / n.max(1.0)) / (nnz + stored).max(1.0)
}

/// What is remembered of a growth from one M to the next.
const FORGET: f64 = 0.9;

/// What an M has cost since it was made.
#[derive(Clone, Debug, Default)]
pub struct Wear {
    /// Iterations that its setup counts for, and those of the systems that it was used for.
    setup: f64,
    iterations: Vec<usize>,
    /// By how much a solve took more iterations than the one before with the same M, by their number since it was made; what
    /// was long ago counts less, so that it is tried again.
    growth: Vec<f64>,
    failed: bool,
}

impl Wear {
    /// M was made, which counts for so many iterations.
    pub fn renewed(&mut self, setup: f64) {
        (self.setup, self.failed) = (setup, false);
        self.iterations.clear();
        self.growth.iter_mut().for_each(|growth| *growth *= FORGET);
    }

    /// M solved a system.
    pub fn solved(&mut self, solve: Solve) {
        if let Some(before) = self.iterations.last() {
            let age = self.iterations.len() - 1;
            let growth = solve.iterations as f64 - *before as f64;
            match self.growth.get_mut(age) {
                Some(there) => *there = growth,
                None => self.growth.push(growth),
            }
        }
        self.iterations.push(solve.iterations);
        self.failed |= !solve.converged;
    }

    /// Whether a new M is worth its setup.
    pub fn is_over(&self, reuse: Reuse) -> bool {
        match reuse {
            Reuse::Refresh => true,
            Reuse::Keep => self.failed,
            Reuse::Adaptive => self.failed || self.next() > self.average(),
        }
    }

    /// Iterations that the next solve will take: as the last one, and more by what it was when another M was as old, or, of
    /// one that is older than any, by as much as the last took more than the one before.
    fn next(&self) -> f64 {
        let Some(last) = self.iterations.last() else { return 0.0 };
        let known = self.growth.get(self.iterations.len() - 1).or(self.growth.last());
        *last as f64 + known.map_or(0.0, |growth| growth.max(0.0))
    }

    /// Iterations of a system so far, its part of the setup included.
    fn average(&self) -> f64 {
        let solves: usize = self.iterations.iter().sum();
        match self.iterations.len() {
            0 => f64::INFINITY,
            n => (self.setup + solves as f64) / n as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often M is made in a sequence where an M that is k systems old needs `count(k)` iterations, and a setup counts for
    /// `setup`; and what all of it costs.
    fn run(
        reuse: Reuse,
        setup: f64,
        systems: usize,
        count: impl Fn(usize) -> usize,
    ) -> (usize, f64) {
        let mut wear = Wear::default();
        let (mut setups, mut age, mut cost) = (0, 0, 0.0);
        for k in 0..systems {
            if k == 0 || wear.is_over(reuse) {
                wear.renewed(setup);
                (setups, age) = (setups + 1, 0);
                cost += setup;
            }
            let iterations = count(age);
            wear.solved(Solve { iterations, converged: true });
            cost += iterations as f64;
            age += 1;
        }
        (setups, cost)
    }

    #[test]
    fn an_adaptive_m_is_made_anew_about_as_often_as_is_best() {
        for setup in [1.0, 10.0, 50.0, 400.0] {
            for growth in [0, 1, 5] {
                let count = |age: usize| 10 + growth * age;
                let (_, cost) = run(Reuse::Adaptive, setup, 400, count);
                // All periods there are.
                let of = |period: usize| -> f64 {
                    (0..400usize).map(|k| count(k % period) as f64).sum::<f64>()
                        + setup * 400usize.div_ceil(period) as f64
                };
                let best = (1..=400).map(of).fold(f64::INFINITY, f64::min);
                assert!(cost <= 1.04 * best + setup, "{setup} {growth}: {cost} and {best} at best");
            }
        }
    }

    /// What the estimate of a setup may be wrong by costs little.
    #[test]
    fn a_setup_that_is_reckoned_four_times_too_dear_costs_a_quarter_more_at_most() {
        for setup in [10.0, 50.0] {
            let count = |age: usize| 10 + age;
            let setups = |reckoned: f64| run(Reuse::Adaptive, reckoned, 400, count);
            let cost = |reckoned: f64| {
                let (many, cost) = setups(reckoned);
                cost + many as f64 * (setup - reckoned)
            };
            let right = cost(setup);
            assert!(cost(4.0 * setup) < 1.25 * right && cost(setup / 4.0) < 1.25 * right);
        }
    }

    #[test]
    fn what_does_not_wear_is_kept_and_what_wears_at_once_is_not() {
        assert_eq!(run(Reuse::Adaptive, 5.0, 50, |_| 10).0, 1);
        assert!(run(Reuse::Adaptive, 5.0, 50, |age| 10 + 100 * age).0 > 40);
        assert_eq!(run(Reuse::Keep, 5.0, 50, |age| 10 + 100 * age).0, 1);
        assert_eq!(run(Reuse::Refresh, 5.0, 50, |_| 10).0, 50);
    }

    #[test]
    fn what_failed_is_over() {
        for reuse in [Reuse::Keep, Reuse::Adaptive] {
            let mut wear = Wear::default();
            wear.renewed(1.0);
            wear.solved(Solve { iterations: 3, converged: true });
            assert!(!wear.is_over(reuse));
            wear.solved(Solve { iterations: 3, converged: false });
            assert!(wear.is_over(reuse));
            wear.renewed(1.0);
            assert!(!wear.is_over(reuse));
        }
    }

    #[test]
    fn a_setup_counts_by_what_m_stores() {
        let (n, nnz) = (1000.0, 5000.0);
        // The diagonal, a triangle of five points, a dense inverse.
        let [jacobi, ic, inverse] = [n, 3.0 * n, n * n].map(|stored| setup_cost(stored, n, nnz));
        assert!(jacobi < 2.0 && (4.0..8.0).contains(&ic) && inverse > 1000.0);
        // The units of the count are those of A: copies of a system side by side cost the same.
        assert_eq!(setup_cost(6.0 * n, 2.0 * n, 2.0 * nnz), ic);
    }
}
