//! Training on several ranks: one model, the same everywhere, and no rank left alone.

use crate::support::*;
use precondor_plugin_mlp::dense::{self, MlpDense};
use precondor_plugin_mlp::fsai::{self, MlpFsai};
use precondor_plugin_mlp::reference::{self, MlpReference};
use precondor_plugin_mlp::ridge::{RidgeInverse, TrainParams as RidgeParams};
use precondor_sdk::core::comm::threads;
use precondor_sdk::core::host::{Alone, Host};
use precondor_sdk::core::problem::{Families, Poisson, Problem};
use precondor_sdk::core::registry::NativeTrainable;
use precondor_sdk::core::train::{Samples, Trainable, Training};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::{self, Value, json};
use std::sync::Arc;

/// What a rank is given.
#[derive(Default)]
struct Given {
    resume: Option<Vec<u8>>,
    watch: Keeper,
    /// The first sample that this rank cannot make.
    spoiled: Option<u64>,
}

/// Poisson systems of some levels, one of which cannot be made.
struct Spoiled(Families, Option<u64>);

impl Samples for Spoiled {
    fn families(&self) -> usize {
        self.0.families()
    }
    fn sample(&self, family: usize, seed: u64, index: u64) -> Result<System> {
        if self.1 == Some(index) {
            return Err(Error::Data("no such luck".into()));
        }
        self.0.sample(family, seed, index)
    }
    fn describe(&self) -> String {
        self.0.describe()
    }
}

/// Trains as a host does on every rank; the models, or why there is none, and what was seen.
fn on_ranks<T: Trainable>(
    ranks: usize,
    params: &impl Serialize,
    levels: &[u32],
    given: impl Fn(usize) -> Given + Sync,
) -> Vec<(Result<Vec<u8>>, Keeper)> {
    let params = serde_json::to_value(params).unwrap();
    threads::run(ranks, |backend| {
        let comm = Comm::new(backend);
        let Given { resume, mut watch, spoiled } = given(comm.rank());
        let problem =
            |&level: &u32| Problem::Poisson(Poisson { shift: 0.3, ..Poisson::at_level(level) });
        let samples =
            Spoiled(Families::new(levels.iter().map(problem).collect()).unwrap(), spoiled);
        let host: Arc<dyn Host> = Arc::new(Alone);
        let resume = resume.as_deref();
        let training =
            Training { comm: &comm, host: &host, samples: &samples, resume, watch: &mut watch };
        let trained = NativeTrainable::<T>::method().train(&params, training);
        // Nobody is left behind in a collective operation.
        comm.scope(|| comm.sum(&mut [1.0])).unwrap();
        (trained, watch)
    })
}

fn reference() -> reference::train::TrainParams {
    reference::train::TrainParams {
        hidden: vec![8; 2],
        steps: 50,
        batch: 2,
        vectors: 2,
        pool: 6,
        validation: 4,
        ..Default::default()
    }
}

fn fsai() -> fsai::TrainParams {
    fsai::TrainParams {
        hidden: vec![4; 2],
        steps: 50,
        batch: 2,
        pool: 4,
        validation: 2,
        ..Default::default()
    }
}

fn dense() -> dense::train::TrainParams {
    dense::train::TrainParams {
        pool: 32,
        validation: 8,
        batch: 3,
        epochs: 12,
        hidden: Some(vec![8]),
        ridge: Some(1e-3),
        whiten: true,
        ..Default::default()
    }
}

/// Models and checkpoints are the same on all ranks and in every run, and a run that goes on from a
/// checkpoint, or from where a watcher of one rank stopped it, ends with the same bytes.
fn is_one_run<T: Trainable>(params: &impl Serialize, levels: &[u32]) {
    for ranks in [2, 3] {
        // What other ranks would like plays no part.
        let every = |rank: usize| if rank == 0 { 20 } else { 7 };
        let keeper = |rank| Keeper { every: every(rank), ..Keeper::default() };
        let run = || {
            on_ranks::<T>(ranks, params, levels, |rank| Given {
                watch: keeper(rank),
                ..Given::default()
            })
        };
        let whole = run();
        let again = run();
        let model = whole[0].0.as_ref().unwrap();
        for ((trained, watch), (trained_too, watch_too)) in whole.iter().zip(&again) {
            assert!(trained.as_ref().unwrap() == model && trained_too.as_ref().unwrap() == model);
            assert_eq!(watch.losses, whole[0].1.losses);
            assert_eq!(watch.losses, watch_too.losses);
            assert_eq!(watch.checkpoints.len(), (watch.losses.len() - 1) / 20);
            assert!(watch.checkpoints == whole[0].1.checkpoints);
        }
        let on_from = |checkpoint: &[u8]| {
            on_ranks::<T>(ranks, params, levels, |_| Given {
                resume: Some(checkpoint.to_vec()),
                ..Given::default()
            })
        };
        for (resumed, _) in on_from(whole[0].1.checkpoints.last().unwrap()) {
            assert!(resumed.unwrap() == *model);
        }
        let stopped = on_ranks::<T>(ranks, params, levels, |rank| Given {
            watch: Keeper { stop_after: (rank == 1).then_some(23), ..Keeper::default() },
            ..Given::default()
        });
        for (end, watch) in &stopped {
            assert_eq!(*end, Err(Error::Interrupted));
            assert_eq!(watch.losses.len(), 23);
        }
        for (resumed, _) in on_from(&stopped[0].1.checkpoints[0]) {
            assert!(resumed.unwrap() == *model);
        }
        // With another number of ranks it would be another run.
        let other = on_ranks::<T>(ranks + 1, params, levels, |_| Given {
            resume: Some(whole[0].1.checkpoints[0].clone()),
            ..Given::default()
        });
        let expected = format!("belongs to a run on {ranks} ranks, now {}", ranks + 1);
        for (end, _) in other {
            let text = end.unwrap_err().to_string();
            assert!(text.contains(&expected), "{text}");
        }
    }
}

#[test]
fn a_run_on_several_ranks_is_one_run() {
    is_one_run::<MlpReference>(&reference(), &[3, 4]);
    is_one_run::<MlpFsai>(&fsai(), &[2, 3]);
    is_one_run::<MlpDense>(&dense(), &[2]);
}

#[test]
fn ridge_is_the_same_on_any_number_of_ranks() {
    let params = RidgeParams { pool: 30, components: 10, ..RidgeParams::default() };
    let model = |ranks| on_ranks::<RidgeInverse>(ranks, &params, &[2], |_| Given::default());
    let one = model(1).swap_remove(0).0.unwrap();
    assert!(model(3).into_iter().all(|(trained, _)| trained.unwrap() == one));
}

/// More ranks with smaller batches walk along with one rank that has the whole batch, until rounding
/// tells them apart.
#[test]
fn several_ranks_learn_as_one_does() {
    let losses = |ranks: usize, batch: usize| {
        let params = reference::train::TrainParams { batch, ..reference() };
        let mut all = on_ranks::<MlpReference>(ranks, &params, &[3, 4], |_| Given::default());
        all.swap_remove(0).1.losses
    };
    let one = losses(1, 6);
    for (ranks, batch) in [(2, 3), (3, 2), (6, 1)] {
        let several = losses(ranks, batch);
        assert_eq!(several.len(), one.len());
        for (step, (a, b)) in one.iter().zip(&several).enumerate() {
            let limit = if step < 5 { 1e-5 } else { 0.05 };
            assert!((a - b).abs() < limit * a, "{ranks} ranks, step {step}: {a} {b}");
        }
    }
}

fn metric(model: &[u8], name: &str) -> f64 {
    let length = u64::from_le_bytes(model[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&model[8..8 + length]).unwrap();
    let card = header["__metadata__"].as_object().unwrap();
    let mut metrics = card.values().filter_map(|text| {
        let value: Value = serde_json::from_str(text.as_str()?).ok()?;
        value[name].as_f64().or_else(|| value["metrics"][name].as_f64())
    });
    metrics.next_back().unwrap_or_else(|| panic!("no metric '{name}' in {card:?}"))
}

#[test]
fn what_is_learned_hardly_depends_on_the_number_of_ranks() {
    let learned = |ranks: usize, batch: usize, seed: u64| {
        let budget = reference::train::TrainParams { steps: 200, pool: 60, ..reference() };
        let params = reference::train::TrainParams { batch, seed, validation: 16, ..budget };
        let trained = on_ranks::<MlpReference>(ranks, &params, &[3], |_| Given::default());
        metric(trained[0].0.as_ref().unwrap(), "validation_loss")
    };
    let alone: Vec<f64> = (1..=4).map(|seed| learned(1, 4, seed)).collect();
    let least = alone.iter().copied().fold(f64::INFINITY, f64::min);
    let spread = alone.iter().copied().fold(0.0, f64::max) - least;
    for (ranks, batch, seed) in [(2, 2, 1), (2, 2, 2), (4, 1, 1), (4, 1, 3)] {
        let several = learned(ranks, batch, seed);
        // Not only within the spread: it is the same run up to rounding.
        let apart = (several - alone[seed as usize - 1]).abs();
        assert!(
            spread > 0.0 && apart < 0.1 * spread,
            "{several} on {ranks} ranks, alone {alone:?}"
        );
    }
}

/// Whatever goes wrong on one rank ends the training of all, with its words.
#[test]
fn a_failure_on_one_rank_ends_the_training_of_all() {
    fn ends<T: Trainable>(
        params: &impl Serialize,
        levels: &[u32],
        given: &(impl Fn(bool) -> Given + Sync),
        says: &str,
    ) {
        for guilty in 0..3 {
            let ends = on_ranks::<T>(3, params, levels, |rank| given(rank == guilty));
            for (rank, (end, _)) in ends.into_iter().enumerate() {
                let error = end.unwrap_err();
                let text = error.to_string();
                assert!(text.contains(says), "{text}");
                let elsewhere =
                    matches!(error.root(), Error::Elsewhere { rank, .. } if *rank == guilty);
                assert_eq!(elsewhere, rank != guilty, "{text}");
            }
        }
    }
    let no_sample = |guilty: bool| Given { spoiled: guilty.then_some(1), ..Given::default() };
    ends::<MlpReference>(&reference(), &[3], &no_sample, "no such luck");
    ends::<MlpFsai>(&fsai(), &[2], &no_sample, "no such luck");
    ends::<MlpDense>(&dense(), &[2], &no_sample, "no such luck");
    ends::<RidgeInverse>(&json!({"pool": 9, "components": 3}), &[2], &no_sample, "no such luck");
    let full = |guilty: bool| Given {
        watch: Keeper { every: 10, full: guilty, ..Keeper::default() },
        ..Given::default()
    };
    ends::<MlpReference>(&reference(), &[3], &full, "the disk is full");
    ends::<MlpFsai>(&fsai(), &[2], &full, "the disk is full");
    ends::<MlpDense>(&dense(), &[2], &full, "the disk is full");
}

#[test]
fn checkpoints_that_differ_between_ranks_are_refused() {
    let mut kept = on_ranks::<MlpReference>(2, &reference(), &[3], |_| Given {
        watch: Keeper { every: 20, ..Keeper::default() },
        ..Given::default()
    });
    let checkpoints = kept.swap_remove(0).1.checkpoints;
    for other in [Some(&checkpoints[1]), None] {
        let ends = on_ranks::<MlpReference>(2, &reference(), &[3], |rank| Given {
            resume: if rank == 0 { Some(checkpoints[0].clone()) } else { other.cloned() },
            ..Given::default()
        });
        for (end, _) in ends {
            let text = end.unwrap_err().to_string();
            assert!(
                text.contains("the checkpoint to go on from is not the same on ranks 0 and 1"),
                "{text}"
            );
        }
    }
}
