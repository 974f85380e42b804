//! Training of dense inverses on several ranks: one model, the same everywhere, and no rank left alone.

use crate::learning_ranks::*;
use precondor_plugin_dense::mlp::{self, MlpDense};
use precondor_plugin_dense::ridge::{self, RidgeInverse};
use precondor_sdk::serde_json::json;

fn dense() -> mlp::train::TrainParams {
    mlp::train::TrainParams {
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

#[test]
fn a_run_on_several_ranks_is_one_run() {
    is_one_run::<MlpDense>(&dense(), &[2]);
}

#[test]
fn ridge_is_the_same_on_any_number_of_ranks() {
    let params = ridge::TrainParams { pool: 30, components: 10, ..Default::default() };
    let model = |ranks| on_ranks::<RidgeInverse>(ranks, &params, &[2], |_| Given::default());
    let one = model(1).swap_remove(0).0.unwrap();
    assert!(model(3).into_iter().all(|(trained, _)| trained.unwrap() == one));
}

#[test]
fn a_failure_on_one_rank_ends_the_training_of_all() {
    fails_everywhere::<MlpDense>(&dense(), &[2], &no_sample, "no such luck");
    let few = json!({"pool": 9, "components": 3});
    fails_everywhere::<RidgeInverse>(&few, &[2], &no_sample, "no such luck");
    fails_everywhere::<MlpDense>(&dense(), &[2], &no_room, "the disk is full");
}
