//! What a race came to, as a document and as CSV.
use super::asked::Asked;
use super::field::{Field, Measure, Origin, Stage, Trial};
use super::finals::{Finalist, Finals};
use crate::report::plot::{self, Points};
use crate::report::solves::Entry;
use crate::report::spread::Verdict;
use crate::report::tally::{Numbers, Tally};
use crate::report::{
    self, Cell, Column, Document, Figure, Iterations, Provenance, Row, Section, Table, csv,
};
use serde_json::{Map, Value, json};
use std::path::PathBuf;

/// Rows of the table of configurations, at most.
const ROWS: usize = 20;
/// Brackets that are told one by one, at most.
const BRACKETS: usize = 30;

/// What there is to tell of a race, under way or at its end.
#[derive(Clone, Copy)]
pub struct Telling<'a> {
    pub(super) asked: &'a Asked,
    pub(super) race: &'a Field<'a>,
    pub(super) finals: Option<&'a Finals>,
}

/// What a document says beside the race.
pub struct Frame {
    /// The configuration's name.
    pub config: String,
    /// What was called.
    pub command: String,
    /// What the configuration says, for pages to copy.
    pub text: Option<String>,
    /// What ran where.
    pub provenance: Provenance,
    /// Where the configuration that won was written.
    pub written: Option<PathBuf>,
}

/// How far a race is.
pub struct SoFar {
    /// Seconds since its start.
    pub seconds: f64,
    /// Brackets that are done.
    pub brackets: usize,
    /// Configurations that were tried.
    pub configurations: usize,
    /// The best of them, in words; none before any has solved a system.
    pub best: Option<String>,
}

impl<'a> Telling<'a> {
    /// Of a race under way.
    pub fn under_way(asked: &'a Asked, race: &'a Field<'a>) -> Telling<'a> {
        Telling { asked, race, finals: None }
    }

    /// How far it is.
    pub fn so_far(&self) -> SoFar {
        SoFar {
            seconds: self.race.trials.last().map_or(0.0, |last| last.at),
            brackets: self.race.rounds.len(),
            configurations: self.race.runners.len(),
            best: self.race.champion.map(|best| self.name(best)),
        }
    }

    /// Whether a tuned configuration takes less on the held-out systems than what was there before; none where nothing is
    /// known of these.
    pub fn gap(&self) -> Option<bool> {
        let finals = self.finals.filter(|finals| !finals.systems.is_empty());
        finals.map(|finals| finals.gap)
    }

    pub(super) fn name(&self, runner: usize) -> String {
        self.asked.name(&self.race.runners[runner].candidate)
    }

    fn solver(&self, runner: usize) -> Cell {
        Cell::Text(self.race.runners[runner].candidate.solver.name().into())
    }

    /// The configuration that is written.
    pub(super) fn winner(&self) -> Option<usize> {
        match self.finals {
            Some(finals) => Some(finals.finalists.get(finals.winner)?.runner),
            None => self.race.champion,
        }
    }

    /// What may be said, in sentences.
    pub fn statement(&self) -> Vec<String> {
        match self.finals {
            Some(finals) => finals.statement(self.race, |runner| self.name(runner)),
            None => {
                let best = self.race.champion.map_or("nothing".into(), |best| self.name(best));
                vec![format!(
                    "INCOMPLETE: {best} was the best so far when a signal ended the race; it was tried on no system that it was \
                     not tuned on, and nothing is said of how it does there."
                )]
            }
        }
    }

    /// As a document.
    pub fn document(&self, frame: Frame) -> Document {
        let finals = self.finals.filter(|finals| !finals.systems.is_empty());
        let mut sections: Vec<Section> =
            finals.map(|finals| self.held_out(finals)).into_iter().collect();
        sections.extend([self.brackets(), self.configurations(), self.systems()]);
        let winner = self.winner();
        let mut files = vec![("race.csv", "every trial".to_owned())];
        if self.finalists_have_files() {
            let what = "the finalists on the held-out systems, for `precondor compare`";
            files.push(("finalists.toml", what.to_owned()));
        }
        Document {
            title: self.asked.title.clone().unwrap_or_else(|| frame.config.clone()),
            command: frame.command,
            provenance: frame.provenance,
            notes: self.rules(),
            readings: self.statement(),
            sections,
            configuration: frame.text,
            files,
            data: fields(json!({
                "config": frame.config,
                "complete": self.finals.is_some(),
                "gap": self.gap(),
                "winner": winner.map(|winner| self.candidate(winner)),
                "written": frame.written.map(|path| path.display().to_string()),
                "configurations": self.race.drawn(),
                "trials": self.race.trials.len(),
            })),
        }
    }

    pub(super) fn candidate(&self, runner: usize) -> Value {
        let candidate = &self.race.runners[runner].candidate;
        json!({ "solver": candidate.solver.name(), "preconditioner": self.asked.preconditioner(candidate) })
    }

    fn rules(&self) -> Vec<String> {
        let rules = self.asked.rules();
        let measure = match rules.measure {
            Measure::Time if rules.solves > 1.0 => {
                format!("the time of a setup and {} solves", rules.solves)
            }
            Measure::Time => "the time of setup and solve".to_owned(),
            Measure::Iterations => "the number of iterations".to_owned(),
            Measure::Products => {
                "the number of products (an application of M counts by the entries that it goes through)"
                    .to_owned()
            }
        };
        let [practice, held] = [&rules.practice, &rules.held_out].map(Vec::len);
        vec![
            format!(
                "What is made small is {measure}. {} configurations of {} methods were drawn with seed {}, and raced on {practice} \
                 systems; {held} were held out.",
                self.race.drawn(),
                rules.spaces.len(),
                rules.seed
            ),
            format!(
                "{} s of {} s; the race ended as {}.",
                report::format::number(self.race.trials.last().map_or(0.0, |trial| trial.at)),
                rules.budget,
                self.race.ended
            ),
            "Ratios are geometric means over the systems that both were tried on; what only one of both solved counts as ten \
             times the cost of the other."
                .to_owned(),
        ]
    }

    /// The finalists on the systems that none was tuned on.
    fn held_out(&self, finals: &Finals) -> Section {
        let base = finals.base;
        let row = |(k, finalist): (usize, &Finalist)| {
            let tally = finals.tally(k);
            let compared = (k != base).then(|| finals.compare(self.race, k, base));
            let verdict = compared.as_ref().map_or(Cell::None, |compared| {
                Cell::Text(
                    match (compared.verdict, finals.compare(self.race, base, k).verdict) {
                        (Verdict::Faster, _) => "less",
                        (_, Verdict::Faster) => "more",
                        (Verdict::TooFew, _) => "too few solves",
                        _ => "not told apart",
                    }
                    .into(),
                )
            });
            let median = |of: fn(&Numbers) -> f64| {
                Cell::of(tally.median(|numbers| Some(of(numbers))), Cell::Seconds)
            };
            let cells = vec![
                Cell::Text(finalist.role.clone()),
                self.solver(finalist.runner),
                Cell::Outcome(tally.outcome(), tally.all_converged()),
                iterations(&tally),
                median(|n| n.setup),
                median(|n| n.solve),
                median(|n| n.setup + n.solve),
                Cell::of(compared.map(|compared| compared.ratio), Cell::Number),
                verdict,
            ];
            Row {
                label: self.name(finalist.runner),
                colour: Some(k),
                cells,
                remarks: if tally.any_failed() { tally.remarks() } else { Vec::new() },
                data: fields(self.candidate(finalist.runner)),
                ..Row::default()
            }
        };
        let mut notes = vec![format!(
            "No configuration was tuned on these: {}.",
            finals
                .systems
                .iter()
                .map(|system| self.asked.systems().name(*system))
                .collect::<Vec<_>>()
                .join("; ")
        )];
        for (system, why) in &finals.left_out {
            notes.push(format!("{} was left out: {why}.", self.asked.systems().name(*system)));
        }
        Section {
            id: "held_out".into(),
            title: "On held-out systems".into(),
            notes,
            tables: vec![Table {
                id: "held_out".into(),
                columns: vec![
                    Column::new("role", "what it is", ""),
                    Column::new("solver", "solver", ""),
                    Column::new("outcome", "outcome", ""),
                    Column::new("iterations", "iterations", ""),
                    Column::new("setup_seconds", "setup", "median"),
                    Column::new("solve_seconds", "solve", "median"),
                    Column::new("seconds", "both", "median"),
                    Column::new(
                        "ratio",
                        "ratio",
                        &format!("to {}", self.name(finals.finalists[base].runner)),
                    ),
                    Column::new("verdict", "", "at 97.5 %"),
                ],
                rows: finals.finalists.iter().enumerate().map(row).collect(),
                ..Table::default()
            }],
            ..Section::default()
        }
    }

    /// How the race went.
    fn brackets(&self) -> Section {
        let rounds = &self.race.rounds;
        let changed =
            |k: usize| k == 0 || rounds[k].best != rounds[k - 1].best || k + 1 == rounds.len();
        let told: Vec<usize> = match rounds.len() > BRACKETS {
            true => (0..rounds.len()).filter(|k| changed(*k)).collect(),
            false => (0..rounds.len()).collect(),
        };
        let many = told.len().saturating_sub(BRACKETS);
        let row = |k: &usize| {
            let round = &rounds[*k];
            Row {
                label: format!("bracket {}", k + 1),
                cells: vec![
                    Cell::Seconds(round.at),
                    Cell::Count(round.drawn as u64),
                    Cell::Count(round.refused as u64),
                    Cell::Count(round.cut as u64),
                    Cell::Count(round.systems as u64),
                    Cell::Text(self.name(round.best)),
                    Cell::Number(round.ratio),
                ],
                ..Row::default()
            }
        };
        let mut notes = Vec::new();
        if told.len() < rounds.len() {
            notes.push("Brackets that changed nothing are left out.".to_owned());
        }
        Section {
            id: "race".into(),
            title: "The race".into(),
            notes,
            tables: vec![Table {
                id: "race".into(),
                columns: vec![
                    Column::new("at", "after", ""),
                    Column::new("drawn", "drawn", ""),
                    Column::new("refused", "refused", "by the method"),
                    Column::new("cut", "stopped", "early"),
                    Column::new("systems", "systems", ""),
                    Column::new("best", "best so far", ""),
                    Column::new("ratio", "ratio", "to the best as it comes"),
                ],
                rows: told.iter().skip(many).map(row).collect(),
                ..Table::default()
            }],
            figures: self.figures(),
            ..Section::default()
        }
    }

    fn figures(&self) -> Vec<Figure> {
        let Some(base) = self.race.best_default() else { return Vec::new() };
        let what = match self.asked.rules().measure {
            Measure::Time => "time",
            Measure::Iterations => "iterations",
            Measure::Products => "products",
        };
        let axis = format!("{what}, times that of {}", self.name(base));
        let ratio = |trial: &Trial| {
            let theirs = self.race.runners[base].costs.get(&trial.system)?;
            let theirs = report::median(theirs.iter().copied().flatten().collect())?;
            Some((trial.at, trial.cost? / theirs))
        };
        let raced = |trial: &&Trial| trial.stage != Stage::HeldOut;
        let mut clouds: Vec<Points<'_>> = Vec::new();
        for (space, of) in self.asked.rules().spaces.iter().enumerate() {
            let mine = |trial: &&Trial| self.race.runners[trial.runner].candidate.space == space;
            let trials = self.race.trials.iter().filter(raced).filter(mine);
            let points: Vec<(f64, f64)> = trials.filter_map(ratio).collect();
            if !points.is_empty() {
                let label = of.method.as_deref().unwrap_or("none");
                clouds.push(Points { label, colour: clouds.len(), points });
            }
        }
        let best: Vec<Points<'_>> = clouds
            .iter()
            .map(|cloud| {
                let mut least = f64::INFINITY;
                let sofar = cloud.points.iter().filter(|(_, ratio)| {
                    let better = *ratio < least;
                    least = least.min(*ratio);
                    better
                });
                let mut points: Vec<(f64, f64)> = sofar.copied().collect();
                points.extend(self.race.trials.last().map(|last| (last.at, least)));
                Points { points, ..*cloud }
            })
            .collect();
        let figure = |svg: Option<String>, caption: &str| {
            svg.map(|svg| Figure { svg, caption: caption.to_owned(), half: true })
        };
        let axes = ["seconds since the start", axis.as_str()];
        let every = figure(
            plot::cloud(&clouds, axes),
            "Every trial that solved its system: both axes are logarithmic. What took too long was stopped, and is not here.",
        );
        let least = figure(
            plot::logarithmic(&best, axes),
            "The least of each method so far, on any system.",
        );
        every.into_iter().chain(least).collect()
    }

    /// The best configurations of the race, those of each method among them.
    fn configurations(&self) -> Section {
        let (race, base) = (self.race, self.race.best_default().or(self.race.champion));
        let Some(base) = base else { return Section::default() };
        let tried = |k: usize| race.runners[k].costs.len();
        let score = |k: usize| race.duel(k, base);
        let mut all: Vec<(f64, usize)> =
            (0..race.runners.len()).filter_map(|k| Some((score(k)?, k))).collect();
        let most = all.iter().map(|(_, k)| tried(*k)).max().unwrap_or(0);
        all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let serious = all.iter().filter(|(_, k)| tried(*k) >= most.min(3));
        let mut shown: Vec<(f64, usize)> = serious.take(ROWS).copied().collect();
        for space in 0..self.asked.rules().spaces.len() {
            let mine = |(_, k): &&(f64, usize)| race.runners[*k].candidate.space == space;
            if !shown.iter().any(|one| mine(&one)) {
                shown.extend(all.iter().find(mine));
            }
        }
        let row = |(score, k): &(f64, usize)| {
            let runner = &race.runners[*k];
            let origin = match runner.origin {
                Origin::Default => "as it comes".to_owned(),
                Origin::Given => "given".to_owned(),
                Origin::Drawn => "drawn".to_owned(),
                Origin::Near(_) => "drawn next to a better one".to_owned(),
            };
            let solved =
                runner.costs.values().filter(|costs| costs.iter().any(Option::is_some)).count();
            Row {
                label: self.name(*k),
                cells: vec![
                    self.solver(*k),
                    Cell::Text(origin),
                    Cell::Count(runner.costs.len() as u64),
                    Cell::Count(solved as u64),
                    if solved > 0 { Cell::Number(score.exp()) } else { Cell::None },
                ],
                remarks: runner.out.iter().cloned().collect(),
                data: fields(self.candidate(*k)),
                ..Row::default()
            }
        };
        Section {
            id: "configurations".into(),
            title: "Configurations".into(),
            notes: vec!["The best of the race, and the best of each method, on the systems that were practised on.".into()],
            tables: vec![Table {
                id: "configurations".into(),
                columns: vec![
                    Column::new("solver", "solver", ""),
                    Column::new("origin", "from", ""),
                    Column::new("tried", "systems", "tried"),
                    Column::new("solved", "systems", "solved"),
                    Column::new("ratio", "ratio", &format!("to {}", self.name(base))),
                ],
                rows: shown.iter().map(row).collect(),
                ..Table::default()
            }],
            ..Section::default()
        }
    }

    /// The systems.
    fn systems(&self) -> Section {
        let rules = self.asked.rules();
        let row = |(system, what): (usize, &str)| {
            let looked = self.race.looked.get(&system);
            let why = self.race.missing.get(&system);
            Row {
                label: self.asked.systems().name(system),
                cells: vec![
                    Cell::Text(what.into()),
                    Cell::of(looked.map(|looked| looked.n), Cell::Count),
                    Cell::of(looked.map(|looked| looked.nnz), Cell::Count),
                ],
                remarks: why.cloned().into_iter().collect(),
                ..Row::default()
            }
        };
        let practice = rules.practice.iter().map(|system| (*system, "practice"));
        let held_out = rules.held_out.iter().map(|system| (*system, "held out"));
        Section {
            id: "systems".into(),
            title: "Systems".into(),
            tables: vec![Table {
                id: "systems".into(),
                columns: vec![
                    Column::new("what", "for", ""),
                    Column::new("n", "n", ""),
                    Column::new("nnz", "entries", ""),
                ],
                rows: practice.chain(held_out).map(row).collect(),
                ..Table::default()
            }],
            on_pages_only: true,
            ..Section::default()
        }
    }

    /// Every trial, a line each.
    pub fn csv(&self) -> String {
        let mut out = csv::line([
            "at",
            "stage",
            "system",
            "label",
            "configuration",
            "method",
            "parameters",
            "solver",
            "outcome",
            "iterations",
            "setup_seconds",
            "solve_seconds",
            "cost",
            "error",
        ]);
        for trial in &self.race.trials {
            let candidate = &self.race.runners[trial.runner].candidate;
            let entry = trial.end.as_ref().ok();
            let of = |number: fn(&Entry) -> String| entry.map(number).unwrap_or_default();
            let stage = match trial.stage {
                Stage::Heat => "heat".to_owned(),
                Stage::Bracket(number) => format!("bracket {}", number + 1),
                Stage::RunOff => "run-off".to_owned(),
                Stage::HeldOut => "held out".to_owned(),
            };
            let (outcome, error) = match &trial.end {
                Ok(entry) => (entry.outcome.to_string(), entry.reason.clone().unwrap_or_default()),
                Err(failure) => (failure.outcome.to_string(), failure.why.clone()),
            };
            out += &csv::line([
                format!("{:.6}", trial.at),
                stage,
                trial.system.to_string(),
                self.asked.systems().name(trial.system),
                trial.runner.to_string(),
                self.race.method(trial.runner).unwrap_or("none").to_owned(),
                Value::Object(candidate.params.clone()).to_string(),
                candidate.solver.name().to_owned(),
                outcome,
                of(|entry| entry.iterations.to_string()),
                of(|entry| format!("{:e}", entry.setup_seconds)),
                of(|entry| format!("{:e}", entry.solve_seconds)),
                trial.cost.map_or(String::new(), |cost| format!("{cost:e}")),
                error,
            ]);
        }
        out
    }
}

/// The fields of an object.
fn fields(object: Value) -> Map<String, Value> {
    match object {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn iterations(tally: &Tally) -> Cell {
    let (solved, systems) = (tally.solved(), tally.total());
    Cell::Iterations(Iterations { solved, systems, ..Iterations::default() })
}
