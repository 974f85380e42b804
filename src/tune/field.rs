//! The field of a race: the configurations in it, what they cost so far, and which are better than others.
//!
//! Configurations are compared on systems that both were tried on, by the mean of the logarithm of the ratio of their costs.
//! What one of both did not solve counts as [`PENALTY`] times the cost of the other there.
use super::space::Space;
use crate::report::solves::End;
use precondor_core::config::SolverKind;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// What one did not solve counts as so many times the cost of the other.
pub const PENALTY: f64 = 10.0;
/// The best ones that are kept from bracket to bracket.
pub const ELITES: usize = 5;

/// What is made small.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Seconds of setup and solve.
    #[default]
    Time,
    /// Iterations.
    Iterations,
    /// Products with A, an application of M counted by the entries that it goes through.
    Products,
}

/// A configuration: a method, its parameters and the iteration around it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Its method's space, by its place.
    pub space: usize,
    /// What is given and what was drawn.
    pub params: Map<String, Value>,
    /// The iteration.
    pub solver: SolverKind,
}

/// What is seen of a system.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Looked {
    /// Unknowns.
    pub n: u64,
    /// Entries.
    pub nnz: u64,
    /// Whether it is symmetric.
    pub symmetric: bool,
    /// The same for matrices that are the same.
    pub digest: String,
}

/// What is asked of a race.
pub struct Rules {
    pub measure: Measure,
    /// Solves for each setup, where times are measured.
    pub solves: f64,
    /// Seconds for all.
    pub budget: f64,
    /// Configurations to draw, at most.
    pub most: Option<usize>,
    /// Seconds that a run may take.
    pub limit: Option<f64>,
    pub spaces: Vec<Space>,
    /// Iterations to try; what the first system allows where they are not given.
    pub solvers: Option<Vec<SolverKind>>,
    /// The configuration that is to be beaten.
    pub given: Option<Candidate>,
    /// Systems to practise on, and systems that are held out.
    pub practice: Vec<usize>,
    pub held_out: Vec<usize>,
    pub seed: u64,
}

/// Where a configuration comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It is the method as it comes, with what the configuration gives.
    Default,
    /// It is the configuration's own.
    Given,
    Drawn,
    /// It was drawn next to this one.
    Near(usize),
}

/// A configuration in the race.
pub struct Runner {
    pub candidate: Candidate,
    pub origin: Origin,
    /// Costs on systems it was tried on; none where it did not solve one.
    pub costs: BTreeMap<usize, Vec<Option<f64>>>,
    /// Why it is out.
    pub out: Option<String>,
}

/// The part of a race that a trial belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Heat,
    Bracket(usize),
    RunOff,
    HeldOut,
}

/// One configuration on one system.
pub struct Trial {
    /// When it had ended.
    pub at: f64,
    /// Seconds that it took, with all that belongs to it.
    pub taken: f64,
    pub runner: usize,
    pub system: usize,
    pub stage: Stage,
    pub end: End,
    pub cost: Option<f64>,
}

/// What a bracket came to.
pub struct Round {
    pub at: f64,
    pub drawn: usize,
    pub refused: usize,
    pub cut: usize,
    pub systems: usize,
    /// The best after it, and what it takes, times the best of the methods as they come.
    pub best: usize,
    pub ratio: f64,
}

/// All that is known of a race.
pub struct Field<'r> {
    pub(super) rules: &'r Rules,
    pub(super) runners: Vec<Runner>,
    pub(super) trials: Vec<Trial>,
    pub(super) rounds: Vec<Round>,
    pub(super) champion: Option<usize>,
    /// The best so far, the champion first.
    pub(super) elites: Vec<usize>,
    pub(super) looked: BTreeMap<usize, Looked>,
    /// Systems that could not be made, and why.
    pub(super) missing: BTreeMap<usize, String>,
    pub(super) interrupted: bool,
    /// Why it ended.
    pub(super) ended: &'static str,
}

impl<'r> Field<'r> {
    pub(super) fn new(rules: &'r Rules) -> Field<'r> {
        Field {
            rules,
            runners: Vec::new(),
            trials: Vec::new(),
            rounds: Vec::new(),
            champion: None,
            elites: Vec::new(),
            looked: BTreeMap::new(),
            missing: BTreeMap::new(),
            interrupted: false,
            ended: "the budget was spent",
        }
    }

    /// Enters a configuration; its number. One that was entered before has that of then.
    pub(super) fn enter(&mut self, candidate: Candidate, origin: Origin) -> usize {
        if let Some(there) = self.find(&candidate) {
            return there;
        }
        self.runners.push(Runner { candidate, origin, costs: BTreeMap::new(), out: None });
        self.runners.len() - 1
    }

    pub(super) fn find(&self, candidate: &Candidate) -> Option<usize> {
        self.runners.iter().position(|runner| runner.candidate == *candidate)
    }

    /// The method of a configuration.
    pub(super) fn method(&self, runner: usize) -> Option<&str> {
        self.rules.spaces[self.runners[runner].candidate.space].method.as_deref()
    }

    /// Configurations that were drawn so far.
    pub(super) fn drawn(&self) -> usize {
        let drawn = |runner: &&Runner| matches!(runner.origin, Origin::Drawn | Origin::Near(_));
        self.runners.iter().filter(drawn).count()
    }

    /// Seconds of a trial of a configuration, in the mean.
    pub(super) fn mean_seconds(&self, runner: usize) -> f64 {
        let of = self.trials.iter().filter(|trial| trial.runner == runner);
        let (count, sum) =
            of.fold((0.0, 0.0), |(count, sum), trial| (count + 1.0, sum + trial.taken));
        sum / f64::max(count, 1.0)
    }

    /// How often a parameter is to be drawn: the less, the more configurations with it were refused.
    pub(super) fn weight(&self, space: usize, key: &str) -> f64 {
        let with = |runner: &&Runner| {
            let of = &runner.candidate;
            of.space == space && of.params.contains_key(key)
        };
        let (mut refused, mut all) = (0.0, 0.0);
        for runner in self.runners.iter().filter(with) {
            all += 1.0;
            refused += f64::from(u8::from(runner.out.is_some()));
        }
        ((all - refused + 1.0) / (all + 1.0)).powi(2)
    }

    /// What a solve cost, where it went well.
    pub(super) fn cost(&self, end: &End) -> Option<f64> {
        cost(self.rules, end)
    }

    /// Takes those that came through into the elites, and finds the best of these.
    pub(super) fn crown(&mut self, came_through: &[usize]) {
        let mut all: BTreeSet<usize> = self.elites.iter().copied().collect();
        all.extend(came_through);
        let Some(champion) = self.champion else { return };
        let enough = self.rules.practice.len().min(3);
        let score = |field: &Self, runner: usize| {
            let common = field.common(runner, champion);
            let of =
                field.duel(runner, champion).filter(|_| common >= enough || runner == champion);
            of.unwrap_or(f64::INFINITY)
        };
        let mut scored: Vec<(f64, usize)> = all.into_iter().map(|k| (score(self, k), k)).collect();
        scored.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        scored.truncate(ELITES);
        self.elites = scored.into_iter().map(|(_, runner)| runner).collect();
        self.champion = self.elites.first().copied().or(Some(champion));
    }

    /// Systems that both were tried on.
    fn common(&self, a: usize, b: usize) -> usize {
        let tried = |k: usize| &self.runners[k].costs;
        tried(a).keys().filter(|system| tried(b).contains_key(system)).count()
    }

    /// The mean logarithm of what `a` takes, times what `b` takes, over systems that both were tried on and one solved.
    pub(super) fn duel(&self, a: usize, b: usize) -> Option<f64> {
        let (mine, theirs) = (&self.runners[a].costs, &self.runners[b].costs);
        let mut sum = (0.0, 0.0);
        for (system, costs) in mine {
            let Some(others) = theirs.get(system) else { continue };
            let Some(log) = log_ratio(middle(costs), middle(others)) else { continue };
            sum = (sum.0 + log, sum.1 + 1.0);
        }
        (sum.1 > 0.0).then(|| sum.0 / sum.1)
    }

    /// The best of the methods as they come.
    pub(super) fn best_default(&self) -> Option<usize> {
        let champion = self.champion?;
        let default = |k: &usize| self.runners[*k].origin == Origin::Default;
        let all = (0..self.runners.len()).filter(default);
        let solved = all.filter(|&k| self.runners[k].costs.values().flatten().any(Option::is_some));
        let scored = solved.filter_map(|k| Some((self.duel(k, champion)?, k)));
        scored.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, k)| k)
    }

    /// What the champion is to be compared with: what was given, the best of the methods as they come, and its own method as
    /// it comes.
    pub(super) fn bases(&self) -> Vec<usize> {
        let Some(champion) = self.champion else { return Vec::new() };
        let of = &self.runners[champion].candidate;
        let all = || self.runners.iter().enumerate();
        let given = all().find(|(_, runner)| runner.origin == Origin::Given).map(|(k, _)| k);
        let own = all().find(|(_, runner)| {
            let its = &runner.candidate;
            runner.origin == Origin::Default && (its.space, its.solver) == (of.space, of.solver)
        });
        let mut bases: Vec<usize> = Vec::new();
        for base in [given, self.best_default(), own.map(|(k, _)| k)].into_iter().flatten() {
            if !bases.contains(&base) {
                bases.push(base);
            }
        }
        bases
    }

    /// What `runner` takes, times what the best of the methods as they come takes.
    pub(super) fn gain(&self, runner: usize) -> f64 {
        self.best_default().and_then(|default| self.duel(runner, default)).map_or(1.0, f64::exp)
    }

    /// The best of each other method than those of `taken`, the better first.
    pub(super) fn of_other_methods(&self, taken: &[usize]) -> Vec<usize> {
        let Some(champion) = self.champion else { return Vec::new() };
        let mut best: BTreeMap<usize, (f64, usize)> = BTreeMap::new();
        for (k, runner) in self.runners.iter().enumerate() {
            let space = runner.candidate.space;
            let theirs = taken.iter().any(|other| self.runners[*other].candidate.space == space);
            let solved = runner.costs.values().flatten().any(Option::is_some);
            let Some(score) = self.duel(k, champion).filter(|_| !theirs && solved) else {
                continue;
            };
            let least = best.entry(space).or_insert((score, k));
            if score < least.0 {
                *least = (score, k);
            }
        }
        let mut all: Vec<(f64, usize)> = best.into_values().collect();
        all.sort_by(|a, b| a.0.total_cmp(&b.0));
        all.into_iter().map(|(_, runner)| runner).collect()
    }

    /// Why nobody solved a system.
    pub(super) fn nobody(&self, system: usize) -> String {
        let mut why: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for trial in self.trials.iter().filter(|trial| trial.system == system) {
            let name = self.method(trial.runner).unwrap_or("none").to_owned();
            let told = match &trial.end {
                Ok(entry) => entry.outcome.to_string(),
                Err(failure) if failure.outcome == "failed" => failure.why.clone(),
                Err(failure) => failure.outcome.to_string(),
            };
            let names = why.entry(told).or_default();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let told = why.iter().map(|(why, names)| format!("{}: {why}", names.join(", ")));
        let told: Vec<String> = told.take(8).collect();
        format!(
            "no configuration solves the first system within the budget; give more seconds, or other methods ({})",
            told.join("; ")
        )
    }
}

/// What a solve cost, where it went well.
pub fn cost(rules: &Rules, end: &End) -> Option<f64> {
    let entry = end.as_ref().ok().filter(|entry| entry.converged())?;
    match rules.measure {
        Measure::Time => Some((entry.setup_seconds + rules.solves * entry.solve_seconds).max(1e-9)),
        Measure::Iterations => Some((entry.iterations as f64).max(1.0)),
        Measure::Products => entry.products.map(|products| products.max(1.0)),
    }
}

/// The middle of costs; none where most of them are.
pub fn middle(costs: &[Option<f64>]) -> Option<f64> {
    let solved: Vec<f64> = costs.iter().copied().flatten().collect();
    crate::report::median(solved).filter(|_| 2 * costs.iter().flatten().count() >= costs.len())
}

/// ln(a/b); what one did not solve counts as so many times the other.
pub fn log_ratio(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some((a / b).ln()),
        (Some(_), None) => Some(-PENALTY.ln()),
        (None, Some(_)) => Some(PENALTY.ln()),
        (None, None) => None,
    }
}
