//! The race: which configuration takes least on the systems to practise on.
//!
//! 1. *Heats.* Every method as it comes solves the first system, within an allowance that grows until somebody has solved
//!    it. From then on it is [`HEAT`] times what the best took: nobody waits for those that take longer.
//! 2. *Brackets*, as long as the budget lasts: the best so far and as many new configurations, drawn out of the schemas of
//!    methods that did well, or next to the best ones. All solve the same systems, first one, then as many again; after
//!    each of these stages the worse half goes (successive halving), and what takes more than [`CAP`] times the best of
//!    its bracket on a system is stopped there.
//! 3. *Run-off*: the best few meet on all systems once more, so that none wins by a lucky time.
//!
//! References: K. Jamieson, A. Talwalkar, *Non-stochastic best arm identification and hyperparameter optimization*,
//! AISTATS 2016 (successive halving); M. López-Ibáñez et al., *The irace package*, Operations Research Perspectives 3
//! (2016) (iterated racing around elites); F. Hutter et al., *ParamILS*, JAIR 36 (2009) (stopping at a multiple of the best).
use super::field::{
    Candidate, ELITES, Field, Looked, Measure, Origin, PENALTY, Round, Rules, Stage, Trial, cost,
    log_ratio, middle,
};
use super::finals::ROUNDS;
use super::space::Dice;
use crate::report::solves::End;
use precondor_core::config::SolverKind;
use precondor_core::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How many times the best of the heats others may take.
const HEAT: f64 = 4.0;
/// How many times the best of a bracket others may take.
const CAP: f64 = 2.0;
/// New configurations of a bracket.
const FIELD: usize = 12;
/// Systems that a bracket goes through, at most.
const LENGTH: usize = 8;
/// Draws in a row that give nothing new, at most.
const VAIN: usize = 40;
/// A solve that takes less time is done again, up to three times, and its shortest time counts.
const SHORT: f64 = 0.01;
/// The share of a budget that many rounds on held-out systems may take.
const SHARE: f64 = 0.15;
/// The most of a budget that is kept for what comes after the race.
const RESERVE: f64 = 0.45;

/// A race under way.
pub struct Race<'r, 'j> {
    pub field: Field<'r>,
    judge: &'j mut dyn Judge,
    dice: Dice,
    /// Seconds that went into making systems, and how many were made.
    making: (f64, f64),
}

/// What a judge is to try.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Order {
    /// The system, by its number.
    pub system: usize,
    /// The configuration.
    pub candidate: Candidate,
    /// Seconds that setup and solve may take.
    pub seconds: Option<f64>,
    /// Iterations that it may take.
    pub iterations: Option<usize>,
}

/// Who makes systems and tries configurations on them. What it says is the same on all ranks.
pub trait Judge {
    /// Makes a system; why, where that cannot be done.
    ///
    /// # Errors
    /// What ends the race.
    fn look(&mut self, system: usize) -> Result<std::result::Result<Looked, String>>;
    /// Tries a configuration on a system that was looked at.
    ///
    /// # Errors
    /// What ends the race.
    fn solve(&mut self, order: &Order) -> Result<End>;
    /// Seconds since the start.
    ///
    /// # Errors
    /// What the communicator reports.
    fn elapsed(&self) -> Result<f64>;
    /// Whether a signal asked for the end.
    ///
    /// # Errors
    /// What the communicator reports.
    fn interrupted(&self) -> Result<bool>;
}

/// What looks on.
pub type Watch<'w> = dyn FnMut(&Field<'_>) -> Result<()> + 'w;

impl<'r, 'j> Race<'r, 'j> {
    pub fn new(rules: &'r Rules, judge: &'j mut dyn Judge) -> Race<'r, 'j> {
        Race { field: Field::new(rules), judge, dice: Dice::new(rules.seed), making: (0.0, 0.0) }
    }

    /// Heats, brackets and run-off. A signal ends it with what is known by then.
    ///
    /// # Errors
    /// [`Error::Data`] where no system can be made, or no configuration solves the first in time: with the reasons.
    pub fn run(&mut self, watch: &mut Watch) -> Result<()> {
        let done = self
            .heats(watch)
            .and_then(|()| self.brackets(watch))
            .and_then(|()| self.run_off(watch));
        self.caught(done)
    }

    /// What was done until a signal came.
    pub fn caught(&mut self, done: Result<()>) -> Result<()> {
        if self.judge.interrupted()? && self.field.champion.is_some() {
            (self.field.interrupted, self.field.ended) = (true, "a signal ended it");
            return Ok(());
        }
        done
    }

    pub fn elapsed(&self) -> Result<f64> {
        self.judge.elapsed()
    }

    /// Refuses to go on where a signal asked for the end.
    fn check(&self) -> Result<()> {
        if self.judge.interrupted()? { Err(Error::Interrupted) } else { Ok(()) }
    }

    /// Makes a system that there is not yet; whether it is there.
    pub fn look(&mut self, system: usize) -> Result<bool> {
        if self.field.missing.contains_key(&system) {
            return Ok(false);
        }
        let before = self.judge.elapsed()?;
        match self.judge.look(system)? {
            Ok(looked) => self.field.looked.insert(system, looked).map_or((), drop),
            Err(why) => {
                self.check()?;
                self.field.missing.insert(system, why);
            }
        }
        self.making.0 += self.judge.elapsed()? - before;
        self.making.1 += 1.0;
        Ok(self.field.looked.contains_key(&system))
    }

    /// Tries a configuration on a system that was looked at, within an allowance in units of the measure.
    fn try_on(
        &mut self,
        runner: usize,
        system: usize,
        stage: Stage,
        allowance: Option<f64>,
    ) -> Result<Option<f64>> {
        self.check()?;
        let (rules, by_time) = (self.field.rules, self.field.rules.measure == Measure::Time);
        let least = |a: Option<f64>, b: Option<f64>| a.into_iter().chain(b).reduce(f64::min);
        // One iteration takes a product at least, and a setup no solve; what is allowed is allowed to both.
        let seconds = least(allowance.filter(|_| by_time), rules.limit);
        let iterations = allowance.filter(|_| !by_time).map(|most| most.ceil() as usize);
        let candidate = self.field.runners[runner].candidate.clone();
        let order = Order { system, candidate, seconds, iterations };
        let before = self.judge.elapsed()?;
        let mut end = self.judge.solve(&order)?;
        let mut spent = cost(rules, &end);
        if by_time {
            for _ in 0..2 {
                let Some(before) = spent.filter(|spent| *spent < SHORT) else { break };
                let again = self.judge.solve(&order)?;
                if let Some(less) = cost(rules, &again).filter(|again| *again < before) {
                    (end, spent) = (again, Some(less));
                }
            }
        }
        self.record((runner, system, stage), before, end, spent)?;
        Ok(spent)
    }

    /// Tries a configuration once, and keeps how it ended.
    pub fn once(
        &mut self,
        runner: usize,
        system: usize,
        stage: Stage,
        seconds: Option<f64>,
    ) -> Result<()> {
        self.check()?;
        let candidate = self.field.runners[runner].candidate.clone();
        let seconds = self.field.rules.limit.into_iter().chain(seconds).reduce(f64::min);
        let before = self.judge.elapsed()?;
        let end = self.judge.solve(&Order { system, candidate, seconds, iterations: None })?;
        let spent = cost(self.field.rules, &end);
        self.record((runner, system, stage), before, end, spent)
    }

    fn record(
        &mut self,
        (runner, system, stage): (usize, usize, Stage),
        before: f64,
        end: End,
        cost: Option<f64>,
    ) -> Result<()> {
        if cost.is_none() {
            // What a signal cut short says nothing.
            self.check()?;
        }
        if let (Stage::Heat | Stage::Bracket(_), Err(failure)) = (stage, &end)
            && failure.outcome == "failed"
        {
            self.field.runners[runner].out = Some(failure.why.clone());
        }
        if stage != Stage::HeldOut {
            self.field.runners[runner].costs.entry(system).or_default().push(cost);
        }
        let at = self.judge.elapsed()?;
        let taken = at - before;
        self.field.trials.push(Trial { at, taken, runner, system, stage, end, cost });
        Ok(())
    }

    /// The first system that can be made.
    fn first(&mut self) -> Result<usize> {
        for k in 0..self.field.rules.practice.len() {
            let system = self.field.rules.practice[k];
            if self.look(system)? {
                return Ok(system);
            }
        }
        let why = self.field.missing.values().next().map_or("there is none", String::as_str);
        Err(Error::Data(format!("no system to practise on: {why}")))
    }

    /// Iterations to try with every method: the first of a symmetric system that a method allows, all of others.
    fn solvers(&self, symmetric: bool) -> (Vec<SolverKind>, bool) {
        match &self.field.rules.solvers {
            Some(given) => (given.clone(), true),
            None if symmetric => {
                (vec![SolverKind::Cg, SolverKind::Minres, SolverKind::Gmres], false)
            }
            None => (vec![SolverKind::Bicgstab, SolverKind::Gmres], true),
        }
    }

    fn heats(&mut self, watch: &mut Watch) -> Result<()> {
        let system = self.first()?;
        let (solvers, all) = self.solvers(self.field.looked[&system].symmetric);
        let mut waiting = Vec::new();
        if let Some(given) = self.field.rules.given.clone() {
            waiting.push(self.field.enter(given, Origin::Given));
        }
        for space in 0..self.field.rules.spaces.len() {
            let params = self.field.rules.spaces[space].given.clone();
            for &solver in if all { &solvers[..] } else { &solvers[..1] } {
                let candidate = Candidate { space, params: params.clone(), solver };
                let runner = self.field.enter(candidate, Origin::Default);
                if !waiting.contains(&runner) {
                    waiting.push(runner);
                }
            }
        }
        let mut allowance = match self.field.rules.measure {
            Measure::Time => (self.field.rules.budget / 200.0).max(0.01),
            Measure::Iterations | Measure::Products => 50.0,
        };
        let mut best: Option<f64> = None;
        while !waiting.is_empty() {
            let mut late = Vec::new();
            let mut next = 0;
            while next < waiting.len() {
                let runner = waiting[next];
                next += 1;
                let allowed = best.map_or(allowance, |best| HEAT * best);
                if let Some(spent) = self.try_on(runner, system, Stage::Heat, Some(allowed))? {
                    if best.is_none_or(|best| spent < best) {
                        (best, self.field.champion) = (Some(spent), Some(runner));
                    }
                } else if was_cut(self.field.trials.last()) {
                    late.push(runner);
                } else if let Some(other) = self.other_solver(runner, &solvers).filter(|_| !all) {
                    waiting.push(other);
                }
                watch(&self.field)?;
                if self.judge.elapsed()? > self.field.rules.budget / 2.0 {
                    break;
                }
            }
            allowance *= 4.0;
            let over = self.judge.elapsed()? > self.field.rules.budget / 2.0;
            // Those that were late before the best was known had less time than others.
            if best.is_some() || over {
                break;
            }
            waiting = late;
        }
        // All that came through go into the first bracket.
        let mut through: Vec<(f64, usize)> = Vec::new();
        for (k, runner) in self.field.runners.iter().enumerate() {
            let least = runner.costs.values().flatten().flatten().copied().reduce(f64::min);
            through.extend(least.map(|least| (least, k)));
        }
        through.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        self.field.elites = through.into_iter().map(|(_, runner)| runner).collect();
        match self.field.champion {
            Some(_) => Ok(()),
            None => Err(Error::Data(self.field.nobody(system))),
        }
    }

    /// The same method with the next iteration.
    fn other_solver(&mut self, runner: usize, solvers: &[SolverKind]) -> Option<usize> {
        let of = &self.field.runners[runner];
        let at = solvers.iter().position(|solver| *solver == of.candidate.solver)?;
        let candidate = Candidate { solver: *solvers.get(at + 1)?, ..of.candidate.clone() };
        if self.field.find(&candidate).is_some() {
            return None;
        }
        Some(self.field.enter(candidate, Origin::Default))
    }

    /// Seconds that are kept for what comes after the brackets.
    fn reserve(&self) -> f64 {
        let [run_off, held_out] = self.ahead();
        (run_off + held_out).min(RESERVE * self.field.rules.budget)
    }

    /// Seconds that run-off and held-out systems will take, as far as it can be told.
    fn ahead(&self) -> [f64; 2] {
        let rules = self.field.rules;
        let each = self.field.champion.map_or(0.0, |best| self.field.mean_seconds(best));
        let making = self.making.0 / self.making.1.max(1.0);
        let [practice, held] = [&rules.practice, &rules.held_out].map(|all| all.len() as f64);
        let by_time = rules.measure == Measure::Time;
        let round = held * 6.0 * 1.5 * each;
        // Many rounds tell small differences, and few are enough where a round takes long.
        let rounds = match by_time {
            true => (ROUNDS as f64 * round).min((3.0 * round).max(SHARE * rules.budget)),
            false => round,
        };
        let twice = if by_time { 2.0 } else { 1.0 };
        let run_off = practice * (making + twice * (ELITES + 1) as f64 * 1.5 * each);
        [run_off, held * making + rounds]
    }

    fn brackets(&mut self, watch: &mut Watch) -> Result<()> {
        for number in 0.. {
            if self.judge.elapsed()? + self.reserve() > self.field.rules.budget {
                break;
            }
            let left = self
                .field
                .rules
                .most
                .map_or(usize::MAX, |most| most.saturating_sub(self.field.drawn()));
            if left == 0 {
                self.field.ended = "as many configurations were drawn as were allowed";
                break;
            }
            if !self.bracket(number, left, watch)? {
                self.field.ended = "nothing new could be drawn";
                break;
            }
        }
        Ok(())
    }

    /// One bracket; whether something new was in it.
    fn bracket(&mut self, number: usize, left: usize, watch: &mut Watch) -> Result<bool> {
        let mut order = self.field.rules.practice.clone();
        self.dice.shuffle(&mut order);
        order.truncate(LENGTH);
        let mut alive = self.field.elites.clone();
        let (mut drawn, mut refused, mut cut, mut seen) = (0, 0, 0, 0);
        let mut costs: BTreeMap<usize, BTreeMap<usize, Option<f64>>> = BTreeMap::new();
        let mut block = 1;
        let mut systems = order.into_iter();
        loop {
            for system in systems.by_ref().take(block) {
                if !self.look(system)? {
                    continue;
                }
                let mut best: Option<f64> = None;
                let mut runners = alive.clone();
                let mut next = 0;
                // While the first system is gone through, new ones come behind those that are there.
                let mut vain = 0;
                loop {
                    if next == runners.len() {
                        let wanted = left.min(FIELD + refused.min(2 * FIELD));
                        if seen > 0 || drawn >= wanted || vain >= VAIN {
                            break;
                        }
                        match self.fresh(number) {
                            Some(fresh) => {
                                (drawn, vain) = (drawn + 1, 0);
                                runners.push(fresh);
                                alive.push(fresh);
                            }
                            None => vain = VAIN,
                        }
                        continue;
                    }
                    let runner = runners[next];
                    next += 1;
                    let stage = Stage::Bracket(number);
                    let spent = self.try_on(runner, system, stage, best.map(|best| CAP * best))?;
                    best = best.into_iter().chain(spent).reduce(f64::min);
                    costs.entry(runner).or_default().insert(system, spent);
                    if self.field.runners[runner].out.is_some() {
                        refused += 1;
                        alive.retain(|other| *other != runner);
                    } else if spent.is_none() {
                        cut += 1;
                    }
                    watch(&self.field)?;
                    if self.judge.elapsed()? + self.reserve() > self.field.rules.budget {
                        break;
                    }
                }
                seen += 1;
            }
            let over = self.judge.elapsed()? + self.reserve() > self.field.rules.budget;
            alive = halved(&alive, &costs, self.field.champion);
            if alive.len() < 2 || over || systems.len() == 0 {
                break;
            }
            block = seen.max(1);
        }
        self.field.crown(&alive);
        let best = self.field.champion.unwrap_or_default();
        let ratio = self.field.gain(best);
        let at = self.judge.elapsed()?;
        self.field.rounds.push(Round { at, drawn, refused, cut, systems: seen, best, ratio });
        watch(&self.field)?;
        Ok(drawn > 0)
    }

    /// A configuration that was not there before, out of methods that did well, or next to the best.
    fn fresh(&mut self, number: usize) -> Option<usize> {
        for _ in 0..VAIN {
            let (candidate, origin) = if self.dice.unit() < 0.4 {
                (self.elsewhere()?, Origin::Drawn)
            } else {
                // The first of the elites is the champion.
                let weights: Vec<f64> =
                    (0..self.field.elites.len()).map(|k| 0.6f64.powi(k as i32)).collect();
                let parent = self.field.elites[self.dice.weighted(&weights)];
                let of = self.field.runners[parent].candidate.clone();
                let step = (0.3 / (1.0 + 0.15 * number as f64)).max(0.05);
                let space = &self.field.rules.spaces[of.space];
                let (field, dice) = (&self.field, &mut self.dice);
                let weight = |key: &str| field.weight(of.space, key);
                let params = space.near(&of.params, step, &weight, dice);
                (Candidate { params, ..of }, Origin::Near(parent))
            };
            if self.field.find(&candidate).is_none() {
                return Some(self.field.enter(candidate, origin));
            }
        }
        None
    }

    /// One of a method that was drawn by how well it did.
    fn elsewhere(&mut self) -> Option<Candidate> {
        let champion = self.field.champion?;
        let mut weights: BTreeMap<(usize, &'static str), (f64, SolverKind)> = BTreeMap::new();
        for (k, runner) in self.field.runners.iter().enumerate() {
            let of = &runner.candidate;
            if self.field.rules.spaces[of.space].len() == 0 {
                continue;
            }
            let ratio = self.field.duel(k, champion).map_or(PENALTY, f64::exp);
            let weight = ratio.max(0.5).powi(-2);
            let best = weights.entry((of.space, of.solver.name())).or_insert((0.0, of.solver));
            best.0 = best.0.max(weight);
        }
        let all: Vec<_> = weights
            .into_iter()
            .map(|((space, _), (weight, solver))| (space, weight, solver))
            .collect();
        if all.is_empty() {
            return None;
        }
        let shares: Vec<f64> = all.iter().map(|(_, weight, _)| *weight).collect();
        let (space, _, solver) = all[self.dice.weighted(&shares)];
        let (field, dice) = (&self.field, &mut self.dice);
        let params = field.rules.spaces[space].draw(&|key| field.weight(space, key), dice);
        Some(Candidate { space, params, solver })
    }

    /// The best few on all systems once more, and what is to be compared with them.
    fn run_off(&mut self, watch: &mut Watch) -> Result<()> {
        let mut field = self.field.elites.clone();
        for other in self.field.bases() {
            if !field.contains(&other) {
                field.push(other);
            }
        }
        if field.len() < 2 {
            return Ok(());
        }
        let mut met: BTreeMap<usize, BTreeMap<usize, Vec<Option<f64>>>> = BTreeMap::new();
        let end = self.field.rules.budget - self.ahead()[1].min(RESERVE * self.field.rules.budget);
        for k in 0..self.field.rules.practice.len() {
            let system = self.field.rules.practice[k];
            if self.judge.elapsed()? > end || !self.look(system)? {
                continue;
            }
            let mut best: Option<f64> = None;
            for round in 0..2 {
                for &runner in &field {
                    let spent =
                        self.try_on(runner, system, Stage::RunOff, best.map(|best| HEAT * best))?;
                    best = best.into_iter().chain(spent).reduce(f64::min);
                    met.entry(runner).or_default().entry(system).or_default().push(spent);
                    watch(&self.field)?;
                }
                if self.field.rules.measure != Measure::Time || self.judge.elapsed()? > end {
                    break;
                }
                field.rotate_left(1 + round);
            }
        }
        // Of this meeting alone: what was lucky before is not so again.
        let of = |a: usize, b: usize| {
            let pairs = met[&a].iter().filter_map(|(system, costs)| {
                log_ratio(middle(costs), middle(met[&b].get(system)?))
            });
            let logs: Vec<f64> = pairs.collect();
            logs.iter().sum::<f64>() / logs.len().max(1) as f64
        };
        if let Some(first) = field.iter().copied().find(|runner| met.contains_key(runner)) {
            let there = field.iter().copied().filter(|runner| met.contains_key(runner));
            self.field.champion = there.min_by(|&a, &b| of(a, first).total_cmp(&of(b, first)));
        }
        Ok(())
    }
}

/// Whether it ended for want of time or iterations.
fn was_cut(trial: Option<&Trial>) -> bool {
    trial.is_some_and(|trial| match &trial.end {
        Ok(entry) => matches!(entry.outcome.as_ref(), "time-limit" | "max-iterations"),
        Err(failure) => failure.outcome == "time-limit",
    })
}

/// The better half by the mean logarithm of costs on the systems of a bracket; the champion stays.
fn halved(
    alive: &[usize],
    costs: &BTreeMap<usize, BTreeMap<usize, Option<f64>>>,
    champion: Option<usize>,
) -> Vec<usize> {
    let of = |runner: usize| costs.get(&runner).into_iter().flatten();
    let mut dearest: BTreeMap<usize, f64> = BTreeMap::new();
    for (system, cost) in alive.iter().flat_map(|runner| of(*runner)) {
        let most = dearest.entry(*system).or_insert(0.0);
        *most = most.max(cost.unwrap_or(0.0));
    }
    let mean = |runner: usize| {
        let logs = of(runner).filter_map(|(system, cost)| {
            let most = dearest.get(system).copied().filter(|most| *most > 0.0)?;
            Some(cost.unwrap_or(PENALTY * most).ln())
        });
        let logs: Vec<f64> = logs.collect();
        logs.iter().sum::<f64>() / logs.len().max(1) as f64
    };
    // Who was not tried on the last systems, as the time was over, is not compared on fewer.
    let most = alive.iter().map(|runner| of(*runner).count()).max().unwrap_or(0);
    let mut order: Vec<usize> = alive.iter().copied().filter(|k| of(*k).count() == most).collect();
    order.sort_by(|&a, &b| mean(a).total_cmp(&mean(b)).then(a.cmp(&b)));
    let half = order.len().div_ceil(2);
    let kept =
        order.iter().enumerate().filter(|(k, runner)| *k < half || Some(**runner) == champion);
    kept.map(|(_, runner)| *runner).collect()
}
