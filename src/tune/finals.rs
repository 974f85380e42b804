//! The end of a race: the best configuration meets the methods as they come on systems that none was tuned on, and what
//! may be said of it is said of these alone.
use super::field::{Field, Measure, Origin, Stage, log_ratio};
use super::race::{Race, Watch};
use crate::report::format::number;
use crate::report::solves::{self, End};
use crate::report::spread;
use crate::report::tally::Tally;
use precondor_core::Result;
use std::collections::BTreeSet;

/// Rounds on each held-out system, where times are measured.
pub const ROUNDS: usize = 15;
/// How many times the time of the best others may take.
const CAP: f64 = 10.0;
/// A configuration takes the place of one as it comes where it takes so much less.
const GAP: f64 = 0.05;
/// How far the budget may be overrun for a system more.
const OVER: f64 = 1.1;
/// Methods beside that of the best that are shown, where they take at most [`OTHER`] times as much.
const OTHERS: usize = 2;
const OTHER: f64 = 5.0;
/// What takes more than so many times the least is tried once on a system.
const OFTEN: f64 = 3.0;

/// A configuration on the held-out systems.
pub struct Finalist {
    pub runner: usize,
    pub role: String,
    /// `[system][round]`.
    pub ends: Vec<Vec<End>>,
}

/// Two finalists compared.
pub struct Compared {
    /// What the first takes, times what the second takes: the geometric mean.
    pub ratio: f64,
    pub verdict: spread::Verdict,
}

/// What was found on the held-out systems.
pub struct Finals {
    pub finalists: Vec<Finalist>,
    /// Systems that they met on.
    pub systems: Vec<usize>,
    /// Held-out systems that could not be made, or are the same as others.
    pub left_out: Vec<(usize, String)>,
    /// The place of the winner among the finalists, and of what it is compared with.
    pub winner: usize,
    pub base: usize,
    pub compared: Option<Compared>,
    /// Whether a tuned configuration wins.
    pub gap: bool,
}

/// Has the finalists meet. None where a signal came before.
pub fn run(race: &mut Race<'_, '_>, watch: &mut Watch) -> Result<Option<Finals>> {
    if race.field.interrupted {
        return Ok(None);
    }
    let mut finals = Finals::new(&race.field);
    let done = finals.meet(race, watch);
    race.caught(done)?;
    finals.conclude(&race.field);
    Ok(Some(finals))
}

impl Finals {
    /// The champion first, then what it is compared with, then the best of other methods.
    fn new(race: &Field<'_>) -> Finals {
        let mut finalists: Vec<Finalist> = Vec::new();
        let mut add = |runner: usize, role: &str| match finalists
            .iter_mut()
            .find(|f| f.runner == runner)
        {
            Some(there) => there.role += &format!(", {role}"),
            None => finalists.push(Finalist { runner, role: role.to_owned(), ends: Vec::new() }),
        };
        let champion = race.champion.unwrap_or_default();
        let origin = race.runners[champion].origin;
        add(
            champion,
            if matches!(origin, Origin::Drawn | Origin::Near(_)) {
                "tuned"
            } else {
                "best of the race"
            },
        );
        let (bases, default) = (race.bases(), race.best_default());
        for &base in &bases {
            let role = match race.runners[base].origin {
                Origin::Given => "given",
                _ if Some(base) == default => "best as it comes",
                _ => "its method as it comes",
            };
            add(base, role);
        }
        let taken: Vec<usize> = [Some(champion), default].into_iter().flatten().collect();
        let near = |other: &usize| race.duel(*other, champion).is_some_and(|log| log <= OTHER.ln());
        for other in race.of_other_methods(&taken).into_iter().filter(near).take(OTHERS) {
            add(other, "best of another method");
        }
        // Whichever did best is to be beaten.
        let score = |base: &usize| race.duel(*base, champion).unwrap_or(f64::INFINITY);
        let base = bases.into_iter().min_by(|a, b| score(a).total_cmp(&score(b)));
        let base =
            base.and_then(|base| finalists.iter().position(|f| f.runner == base)).unwrap_or(0);
        Finals {
            finalists,
            systems: Vec::new(),
            left_out: Vec::new(),
            winner: 0,
            base,
            compared: None,
            gap: false,
        }
    }

    fn meet(&mut self, race: &mut Race<'_, '_>, watch: &mut Watch) -> Result<()> {
        let practised = race
            .field
            .looked
            .iter()
            .filter(|(system, _)| race.field.rules.practice.contains(system));
        let mut known: BTreeSet<String> =
            practised.map(|(_, looked)| looked.digest.clone()).collect();
        let rounds = if race.field.rules.measure == Measure::Time { ROUNDS } else { 1 };
        let begin = race.elapsed()?;
        let left = (race.field.rules.budget - begin).max(0.0);
        for k in 0..race.field.rules.held_out.len() {
            let system = race.field.rules.held_out[k];
            if race.elapsed()? > OVER * race.field.rules.budget && !self.systems.is_empty() {
                self.left_out.push((system, "the budget was spent".into()));
                continue;
            }
            if !race.look(system)? {
                let why = race.field.missing.get(&system).cloned().unwrap_or_default();
                self.left_out.push((system, why));
                continue;
            }
            if !known.insert(race.field.looked[&system].digest.clone()) {
                self.left_out.push((system, "its matrix is one that was there before".into()));
                continue;
            }
            for finalist in &mut self.finalists {
                finalist.ends.push(Vec::new());
            }
            self.systems.push(system);
            // As many rounds as leave time for the systems that are to come.
            let share = begin + left * (k + 1) as f64 / race.field.rules.held_out.len() as f64;
            for round in 0..rounds {
                if round > 0 && race.elapsed()? > share {
                    break;
                }
                self.round(race, system, round)?;
                watch(&race.field)?;
            }
        }
        Ok(())
    }

    /// Each finalist once; those that failed on this system, or take long, are not tried on it again.
    fn round(&mut self, race: &mut Race<'_, '_>, system: usize, round: usize) -> Result<()> {
        let many = self.finalists.len();
        let seconds = |end: &End| {
            let entry = end.as_ref().ok().filter(|entry| entry.converged());
            entry.map(|entry| entry.setup_seconds + entry.solve_seconds)
        };
        let ends = self.finalists.iter().filter_map(|finalist| finalist.ends.last());
        let mut best = ends.flatten().filter_map(seconds).reduce(f64::min);
        for k in 0..many {
            let finalist = &mut self.finalists[(k + round) % many];
            let Some(ends) = finalist.ends.last_mut() else { continue };
            let worth = |end: &End| {
                seconds(end).is_some_and(|seconds| best.is_none_or(|best| seconds < OFTEN * best))
            };
            if ends.last().is_some_and(|end| !worth(end)) {
                continue;
            }
            let most = best.map(|best| CAP * best + 0.1);
            race.once(finalist.runner, system, Stage::HeldOut, most)?;
            let Some(trial) = race.field.trials.last() else { continue };
            best = best.into_iter().chain(seconds(&trial.end)).reduce(f64::min);
            ends.push(trial.end.clone());
        }
        Ok(())
    }

    /// Who wins.
    fn conclude(&mut self, race: &Field<'_>) {
        // A system that a signal came into the midst of is not counted.
        while self.finalists.iter().any(|finalist| finalist.ends.last().is_some_and(Vec::is_empty))
        {
            self.systems.pop();
            self.finalists.iter_mut().for_each(|finalist| drop(finalist.ends.pop()));
        }
        self.winner = self.base;
        if self.base == 0 || self.systems.is_empty() {
            return;
        }
        let compared = self.compare(race, 0, self.base);
        self.gap = compared.verdict == spread::Verdict::Faster && compared.ratio <= 1.0 - GAP;
        if self.gap {
            self.winner = 0;
        }
        self.compared = Some(compared);
    }

    /// Two finalists, by their costs on each system and in each round.
    pub fn compare(&self, race: &Field<'_>, a: usize, b: usize) -> Compared {
        let [first, second] = [a, b].map(|k| &self.finalists[k]);
        let cost = |end: Option<&End>| end.and_then(|end| race.cost(end));
        let (mut logs, mut of_systems) = (Vec::new(), Vec::new());
        for (mine, theirs) in first.ends.iter().zip(&second.ends) {
            let rounds = mine.len().max(theirs.len());
            let pairs =
                (0..rounds).map(|k| (mine.get(k).or(mine.last()), theirs.get(k).or(theirs.last())));
            let of: Vec<f64> = pairs.filter_map(|(a, b)| log_ratio(cost(b), cost(a))).collect();
            of_systems.extend(crate::report::median(of.clone()));
            logs.extend(of);
        }
        let mean = of_systems.iter().sum::<f64>() / of_systems.len().max(1) as f64;
        Compared { ratio: (-mean).exp(), verdict: spread::verdict(&logs) }
    }

    /// The solves of a finalist, system by system.
    pub fn tally(&self, finalist: usize) -> Tally {
        let mut tally = Tally::default();
        let ends = self.finalists[finalist].ends.iter().cloned();
        ends.filter_map(solves::together).for_each(|end| tally.add(end));
        tally
    }

    /// What may be said, in sentences.
    pub fn statement(&self, race: &Field<'_>, name: impl Fn(usize) -> String) -> Vec<String> {
        let systems = match self.systems.len() {
            1 => "1 system".to_owned(),
            many => format!("{many} systems"),
        };
        let of = |place: usize| name(self.finalists[place].runner);
        let less = match race.rules.measure {
            Measure::Time => "time",
            Measure::Iterations => "iterations",
            Measure::Products => "products",
        };
        if self.systems.is_empty() {
            return vec![format!(
                "Nothing can be said of how {} does elsewhere: no system is left that it was not tuned on.",
                of(self.winner)
            )];
        }
        let Some(compared) = &self.compared else {
            return vec![format!(
                "Nothing better was found than {}, the best of what was there before, on {systems} that no configuration was tuned on.",
                of(self.base)
            )];
        };
        let percent = |ratio: f64| number(100.0 * (1.0 - ratio).abs());
        let more = if compared.ratio <= 1.0 { "less" } else { "more" };
        let told = format!("{} % {more} {less} than {}", percent(compared.ratio), of(self.base));
        let sure = match compared.verdict {
            spread::Verdict::Faster => "told apart at 97.5 %",
            spread::Verdict::Undecided => "not told apart at 97.5 %",
            spread::Verdict::TooFew => "too few solves to tell them apart",
        };
        let measured =
            format!("geometric mean over {systems} that no configuration was tuned on; {sure}");
        match self.gap {
            true => vec![format!("{} takes {told} ({measured}).", of(0))],
            false => vec![
                format!(
                    "There is no gap worth a configuration of its own: the best that was found, {}, takes {told} ({measured}).",
                    of(0)
                ),
                format!("{} stays.", of(self.base)),
            ],
        }
    }
}
