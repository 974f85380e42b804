//! Training on several ranks: one model, the same everywhere, and no rank left alone.

use crate::learning_ranks::*;
use crate::support::*;
use precondor_plugin_mlp::fsai::{self, MlpFsai};
use precondor_plugin_mlp::reference::{self, MlpReference};
use precondor_sdk::serde_json::{self, Value};

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

#[test]
fn a_run_on_several_ranks_is_one_run() {
    is_one_run::<MlpReference>(&reference(), &[3, 4]);
    is_one_run::<MlpFsai>(&fsai(), &[2, 3]);
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
    fails_everywhere::<MlpReference>(&reference(), &[3], &no_sample, "no such luck");
    fails_everywhere::<MlpFsai>(&fsai(), &[2], &no_sample, "no such luck");
    fails_everywhere::<MlpReference>(&reference(), &[3], &no_room, "the disk is full");
    fails_everywhere::<MlpFsai>(&fsai(), &[2], &no_room, "the disk is full");
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
