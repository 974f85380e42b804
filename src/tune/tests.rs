//! Races whose costs are known, on a clock that adds them up.
use super::field::{Candidate, Field, Looked, Measure, Origin, Rules, Stage};
use super::finals::{self, Finals};
use super::race::{Judge, Order, Race};
use super::space::Space;
use crate::report::solves::{End, Entry, Failure, TIME_LIMIT};
use crate::report::spread::Verdict;
use precondor_core::Result;
use precondor_core::config::SolverKind;
use precondor_core::instance::Setup;
use serde_json::{Map, Value, json};

/// What a configuration costs on a system; none where it is refused.
type Cost<'c> = &'c dyn Fn(Option<&str>, &Map<String, Value>, usize) -> Option<f64>;

struct Fake<'c> {
    cost: Cost<'c>,
    spaces: Vec<Space>,
    clock: f64,
    /// The clock at which a signal comes.
    signal: f64,
    /// Whether all matrices are the same.
    same: bool,
}

fn entry(seconds: f64, outcome: &'static str) -> Entry {
    Entry {
        iterations: (1000.0 * seconds) as usize,
        outcome: outcome.into(),
        reason: None,
        measure: 0.0,
        true_relative_residual: 0.0,
        nnz_ratio: None,
        preconditioner_nnz: None,
        preconditioner_bytes: None,
        products: None,
        setup_seconds: 0.0,
        solve_seconds: seconds,
        times: vec![[0.0, seconds]],
        setup: Setup::SetUp,
        fallback: Vec::new(),
        notes: Vec::new(),
        ranks: None,
    }
}

impl Judge for Fake<'_> {
    fn look(&mut self, system: usize) -> Result<std::result::Result<Looked, String>> {
        if system == 99 {
            return Ok(Err("it cannot be read".into()));
        }
        let digest = if self.same { 0 } else { system }.to_string();
        Ok(Ok(Looked { n: 1, nnz: 1, symmetric: true, digest }))
    }

    fn solve(&mut self, order: &Order) -> Result<End> {
        let Candidate { space, params, solver } = &order.candidate;
        let method = self.spaces[*space].method.as_deref();
        let refused = Err(Failure::new("refused".into()));
        let Some(cost) = (self.cost)(method, params, order.system) else { return Ok(refused) };
        if *solver != SolverKind::Cg {
            return Ok(refused);
        }
        let most = order.seconds.unwrap_or(f64::INFINITY);
        self.clock += cost.min(most);
        let outcome = if cost > most { TIME_LIMIT } else { "converged" };
        Ok(Ok(entry(cost.min(most), outcome)))
    }

    fn elapsed(&self) -> Result<f64> {
        Ok(self.clock)
    }

    fn interrupted(&self) -> Result<bool> {
        Ok(self.clock >= self.signal)
    }
}

fn spaces() -> Vec<Space> {
    let schema = json!({ "properties": {
        "x": { "type": "number", "minimum": 0.01, "maximum": 1.0, "default": 1.0 },
        "k": { "type": "integer", "minimum": 1, "maximum": 9, "default": 9 },
        "bad": { "type": "boolean", "default": false },
    } });
    let plain = json!({ "properties": {} });
    vec![
        Space::new("good", &schema, &Map::new()),
        Space::new("slow", &plain, &Map::new()),
        Space::new("refuses", &plain, &Map::new()),
    ]
}

fn rules(budget: f64) -> Rules {
    Rules {
        measure: Measure::Time,
        solves: 1.0,
        budget,
        most: None,
        limit: None,
        spaces: spaces(),
        solvers: None,
        given: None,
        practice: (0..6).collect(),
        held_out: (6..10).collect(),
        seed: 1,
    }
}

/// The best is x = 0.1, k = 3, whose cost is a third of the default's; systems are of any size.
fn known(method: Option<&str>, params: &Map<String, Value>, system: usize) -> Option<f64> {
    let size = 0.1 * (1.0 + system as f64);
    match method {
        Some("good") if params.contains_key("bad") => None,
        Some("good") => {
            let x = params.get("x").and_then(Value::as_f64).unwrap_or(1.0);
            let k = params.get("k").and_then(Value::as_f64).unwrap_or(9.0);
            Some(size * (1.0 + (x / 0.1).log10().abs() + (k - 3.0).abs() / 6.0))
        }
        Some("slow") => Some(20.0 * size),
        _ => None,
    }
}

fn race<T>(
    rules: &Rules,
    cost: Cost<'_>,
    change: impl FnOnce(&mut Fake<'_>),
    then: impl FnOnce(&Field<'_>, Option<&Finals>) -> T,
) -> T {
    let (clock, signal) = (0.0, f64::INFINITY);
    let mut judge = Fake { cost, spaces: spaces(), clock, signal, same: false };
    change(&mut judge);
    let mut race = Race::new(rules, &mut judge);
    race.run(&mut |_| Ok(())).expect("a race");
    let finals = finals::run(&mut race, &mut |_| Ok(())).expect("finals");
    then(&race.field, finals.as_ref())
}

#[test]
fn the_best_is_found_and_told_on_systems_that_were_held_out() {
    let rules = rules(600.0);
    race(
        &rules,
        &known,
        |_| {},
        |field, finals| {
            let finals = finals.expect("finals");
            let winner = &field.runners[finals.finalists[finals.winner].runner].candidate;
            let cost = known(Some("good"), &winner.params, 0).expect("solved");
            assert!(cost < 0.115, "{cost} of 0.1 at best: {:?}", winner.params);
            assert!(finals.gap);
            let compared = finals.compared.as_ref().expect("compared");
            assert_eq!(compared.verdict, Verdict::Faster);
            let ratio = cost / 0.3;
            assert!((compared.ratio - ratio).abs() < 1e-9, "{} {ratio}", compared.ratio);
            // None was raced on a system that is told of.
            assert_eq!(finals.systems, [6, 7, 8, 9]);
            for trial in &field.trials {
                assert_eq!(trial.system >= 6, trial.stage == Stage::HeldOut);
            }
            let told = finals.statement(field, |runner| format!("#{runner}"));
            assert!(
                told[0].contains("% less time than #0 (geometric mean over 4 systems"),
                "{told:?}"
            );
            // Losers end early: the slow one was stopped, and drawn no more.
            let slow =
                field.trials.iter().filter(|trial| field.method(trial.runner) == Some("slow"));
            assert!(slow.clone().count() < 8, "{}", slow.count());
            // The budget is spent, and not much more.
            let last = field.trials.last().expect("trials").at;
            assert!((400.0..=690.0).contains(&last), "{last}");
        },
    );
}

#[test]
fn where_there_is_no_gap_the_default_stays() {
    let rules = rules(200.0);
    // Nothing is better than the default by more than 3 %.
    let flat = |method: Option<&str>, params: &Map<String, Value>, system: usize| match method {
        Some("good") => {
            Some(0.1 * (1.0 + system as f64) * if params.is_empty() { 1.0 } else { 0.97 })
        }
        _ => None,
    };
    race(
        &rules,
        &flat,
        |_| {},
        |field, finals| {
            let finals = finals.expect("finals");
            assert!(!finals.gap);
            assert_eq!(
                field.runners[finals.finalists[finals.winner].runner].origin,
                Origin::Default
            );
            let told = finals.statement(field, |runner| format!("#{runner}"));
            assert!(
                told[0].starts_with("There is no gap worth a configuration of its own"),
                "{told:?}"
            );
            assert_eq!(told[1], "#0 stays.");
        },
    );
    let best = |method: Option<&str>, params: &Map<String, Value>, system: usize| match method {
        Some("good") => {
            Some(0.1 * (1.0 + system as f64) * if params.is_empty() { 1.0 } else { 2.0 })
        }
        _ => None,
    };
    race(
        &rules,
        &best,
        |_| {},
        |field, finals| {
            let told = finals.expect("finals").statement(field, |runner| format!("#{runner}"));
            assert!(told[0].starts_with("Nothing better was found than #0"), "{told:?}");
        },
    );
}

#[test]
fn a_signal_leaves_the_best_so_far_and_no_statement() {
    let rules = rules(600.0);
    race(
        &rules,
        &known,
        |judge| judge.signal = 60.0,
        |field, finals| {
            assert!(field.interrupted && finals.is_none());
            let champion = &field.runners[field.champion.expect("one")].candidate;
            assert!(known(Some("good"), &champion.params, 0).expect("solved") <= 0.3);
        },
    );
}

#[test]
fn held_out_systems_that_were_there_before_say_nothing() {
    let rules = rules(60.0);
    race(
        &rules,
        &known,
        |judge| judge.same = true,
        |field, finals| {
            let finals = finals.expect("finals");
            assert!(finals.systems.is_empty() && !finals.gap);
            assert_eq!(finals.left_out.len(), 4);
            let told = finals.statement(field, |runner| format!("#{runner}"));
            assert!(told[0].starts_with("Nothing can be said of how"), "{told:?}");
        },
    );
}

#[test]
fn systems_that_cannot_be_made_are_left_out_and_nobody_who_solves_is_an_error() {
    let mut of = rules(60.0);
    of.practice.insert(0, 99);
    of.held_out.push(99);
    race(
        &of,
        &known,
        |_| {},
        |field, finals| {
            assert_eq!(field.missing.keys().collect::<Vec<_>>(), [&99]);
            assert_eq!(finals.expect("finals").systems, [6, 7, 8, 9]);
        },
    );
    let rules = rules(10.0);
    let mut judge = Fake {
        cost: &|_, _, _| None,
        spaces: spaces(),
        clock: 0.0,
        signal: f64::INFINITY,
        same: false,
    };
    let refused = Race::new(&rules, &mut judge).run(&mut |_| Ok(())).expect_err("nobody");
    let told = refused.to_string();
    assert!(
        told.contains("no configuration solves the first system")
            && told.contains("good, slow, refuses: refused"),
        "{told}"
    );
}

#[test]
fn a_race_follows_from_its_seed() {
    let of = |seed: u64| {
        let rules = Rules { seed, most: Some(60), ..rules(1e9) };
        race(
            &rules,
            &known,
            |_| {},
            |field, _| {
                assert!(field.drawn() <= 60);
                let drawn = field.runners.iter().map(|runner| json!(runner.candidate).to_string());
                drawn.collect::<Vec<_>>()
            },
        )
    };
    assert_eq!(of(1), of(1));
    assert_ne!(of(1), of(2));
}

#[test]
fn what_is_given_is_what_is_to_be_beaten() {
    let params = json!({ "k": 3 }).as_object().cloned().expect("a table");
    let given = Candidate { space: 0, params, solver: SolverKind::Cg };
    let rules = Rules { given: Some(given), ..rules(200.0) };
    race(
        &rules,
        &known,
        |_| {},
        |field, finals| {
            let finals = finals.expect("finals");
            let base = &finals.finalists[finals.base];
            assert_eq!(field.runners[base.runner].origin, Origin::Given);
            assert_eq!(base.role, "given");
        },
    );
}
