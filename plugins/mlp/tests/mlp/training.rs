//! Training: it learns, it is reproducible, and an interrupted run ends where a whole one does.

use crate::counts::*;
use crate::support::*;
use precondor_neural::model::Card;
use precondor_neural::net::Activation;
use precondor_plugin_mlp::fsai::{self, MlpFsai};
use precondor_plugin_mlp::reference::pgp::Variant;
use precondor_plugin_mlp::reference::train::{TrainParams, Weights};
use precondor_plugin_mlp::reference::{MlpReference, ReferenceMap};
use precondor_sdk::core::problem::{Families, Poisson, Problem};
use precondor_sdk::core::train::{Trainable, Training};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json;

fn small(variant: Variant) -> TrainParams {
    TrainParams {
        variant,
        hidden: vec![8; 2],
        steps: 60,
        batch: 3,
        vectors: 2,
        pool: 6,
        ..TrainParams::default()
    }
}

#[test]
fn reference_resumes_to_the_same_bytes() {
    resumes::<MlpReference>(&small(Variant::Spd), &[3, 4]);
    resumes::<MlpReference>(&small(Variant::Stencil), &[4]);
}

#[test]
fn fsai_resumes_to_the_same_bytes() {
    let params = fsai::TrainParams {
        hidden: vec![4; 2],
        steps: 60,
        batch: 2,
        pool: 4,
        validation: 2,
        ..fsai::TrainParams::default()
    };
    resumes::<MlpFsai>(&params, &[2, 3]);
}

/// A run that starts from the model of `first` starts with its loss, ends with no more, tells what that was trained on, and is
/// refused with `other` parameters.
fn starts<T: Trainable>(first: &T::TrainParams, second: &T::TrainParams, other: &T::TrainParams) {
    let mut watch = Keeper::default();
    let model = train::<T>(first, &[3], 0.3, None, &mut watch).unwrap();
    let least = watch.validated.iter().copied().fold(f64::INFINITY, f64::min);
    assert!(least < watch.validated[0], "{:?}", watch.validated);
    let mut watch = Keeper::default();
    let after = train_from::<T>(&model, second, &[3], 0.3, &mut watch).unwrap();
    assert_eq!(watch.validated[0], least);
    let (before, card) = (Card::of(&model).unwrap(), Card::of(&after).unwrap());
    assert!(card.metrics["validation_loss"].as_f64().unwrap() <= least);
    let initial = card.initial.unwrap();
    assert_eq!((&initial["training"], &initial["samples"]), (&before.training, &before.samples));
    // And so on: what the first was trained on is told by the third.
    let third = train_from::<T>(&after, second, &[3], 0.3, &mut Keeper::default()).unwrap();
    let third = Card::of(&third).unwrap().initial.unwrap();
    assert_eq!(third["initial"], initial);
    let fails = |model: &[u8], params| {
        let failed = train_from::<T>(model, params, &[3], 0.3, &mut Keeper::default());
        failed.unwrap_err().to_string()
    };
    let why = fails(&model, other);
    assert!(why.contains("parameter 'initial': the model 'model.safetensors'"), "{why}");
    assert!(why.contains("architecture"), "{why}");
    let why = fails(&model[..100], second);
    assert!(why.contains("initial: 'model.safetensors': ") && why.contains("damaged"), "{why}");
    // A checkpoint of a run from other weights is one of another run.
    let mut keeper = Keeper { every: 5, ..Keeper::default() };
    train_from::<T>(&model, second, &[3], 0.3, &mut keeper).unwrap();
    let host: std::sync::Arc<dyn Host> = std::sync::Arc::new(OneFile(after));
    let samples =
        Families::new(vec![Problem::Poisson(Poisson { shift: 0.3, ..Poisson::at_level(3) })]);
    let training = Training {
        comm: &Comm::solo(),
        host: &host,
        samples: &samples.unwrap(),
        resume: Some(&keeper.checkpoints[0]),
        watch: &mut Keeper::default(),
    };
    let why = T::train(second, training).unwrap_err().to_string();
    assert!(why.contains("other initial weights"), "{why}");
}

#[test]
fn a_run_that_starts_from_a_model_goes_on_from_its_loss() {
    let initial = Some("model.safetensors".to_owned());
    for variant in [Variant::Spd, Variant::Stencil] {
        let first = TrainParams { validation: 4, ..small(variant) };
        let second = TrainParams { initial: initial.clone(), steps: 12, ..first.clone() };
        let other = TrainParams { hidden: vec![8], ..second.clone() };
        starts::<MlpReference>(&first, &second, &other);
    }
    let first = fsai::TrainParams {
        hidden: vec![4; 2],
        steps: 60,
        batch: 3,
        pool: 4,
        validation: 2,
        rate: 0.01,
        ..fsai::TrainParams::default()
    };
    let second = fsai::TrainParams { initial, steps: 12, ..first.clone() };
    let other = fsai::TrainParams { power: 2, ..second.clone() };
    starts::<MlpFsai>(&first, &second, &other);
}

/// What hidden layers do is a choice that the model carries; one of before, which carries none, means what it meant.
#[test]
fn activations_are_learned_with_and_told_by_the_model() {
    let of = |activation| fsai::TrainParams {
        activation,
        hidden: vec![6; 2],
        steps: 80,
        batch: 3,
        pool: 6,
        validation: 2,
        rate: 0.01,
        ..fsai::TrainParams::default()
    };
    let mut models = Vec::new();
    for activation in [Activation::Relu, Activation::LeakyRelu, Activation::Elu, Activation::Tanh] {
        let mut watch = Keeper::default();
        let model = train::<MlpFsai>(&of(activation), &[3], 0.3, None, &mut watch).unwrap();
        let least = watch.validated.iter().copied().fold(f64::INFINITY, f64::min);
        assert!(least < watch.validated[0], "{activation:?}: {:?}", watch.validated);
        let its = &Card::of(&model).unwrap().architecture["activation"];
        match activation {
            Activation::Relu => assert!(its.is_null(), "{its}"),
            other => assert_eq!(*its, serde_json::to_value(other).unwrap()),
        }
        // M is what was learned: the loss of a run that starts there is the one that was reached.
        let initial = Some("model.safetensors".to_owned());
        let on = fsai::TrainParams { initial, steps: 1, ..of(activation) };
        let mut seen = Keeper::default();
        train_from::<MlpFsai>(&model, &on, &[3], 0.3, &mut seen).unwrap();
        assert_eq!(seen.validated[0], least, "{activation:?}");
        models.push(model);
    }
    let initial = Some("model.safetensors".to_owned());
    let other = fsai::TrainParams { initial, ..of(Activation::Tanh) };
    let why = train_from::<MlpFsai>(&models[0], &other, &[3], 0.3, &mut Keeper::default());
    let why = why.unwrap_err().to_string();
    assert!(why.contains("architecture") && why.contains("\"activation\":\"tanh\""), "{why}");
}

#[test]
fn checkpoints_of_another_run_are_refused() {
    let mut watch = Keeper { every: 30, ..Keeper::default() };
    train::<MlpReference>(&small(Variant::Spd), &[3], 0.3, None, &mut watch).unwrap();
    let checkpoint = watch.checkpoints[0].as_slice();
    let why = |params: &TrainParams, shift: f64, checkpoint: &[u8]| {
        let resumed =
            train::<MlpReference>(params, &[3], shift, Some(checkpoint), &mut Keeper::default());
        resumed.unwrap_err().to_string()
    };
    let other = TrainParams { seed: 2, ..small(Variant::Spd) };
    assert!(why(&other, 0.3, checkpoint).contains("other training parameters"));
    assert!(why(&small(Variant::Spd), 0.2, checkpoint).contains("other training systems"));
    let half = &checkpoint[..checkpoint.len() / 2];
    assert!(why(&small(Variant::Spd), 0.3, half).contains("damaged"));
    let model =
        train::<MlpReference>(&small(Variant::Spd), &[3], 0.3, None, &mut Keeper::default());
    assert!(why(&small(Variant::Spd), 0.3, &model.unwrap()).contains("not a checkpoint"));
}

#[test]
fn a_few_hundred_steps_already_make_a_preconditioner() {
    let params = TrainParams { steps: 400, batch: 4, pool: 40, ..TrainParams::default() };
    let mut watch = Keeper::default();
    let model = train::<MlpReference>(&params, &[3, 4], 0.3, None, &mut watch).unwrap();
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    let (first, last) = (mean(&watch.losses[..10]), mean(&watch.losses[350..]));
    assert!(last < 0.01 * first, "loss {first} to {last}");
    // Never seen: another level, another mesh.
    let weights = Weights::read(&model).unwrap();
    let fresh = system(5, 0.25, 0);
    let m = ReferenceMap::new(&weights, &fresh, None).unwrap();
    let (absolute, relative) =
        (absolute_iterations(fresh.a(), &m), relative_iterations(fresh.a(), &m));
    assert!(absolute <= 7 && relative <= 6, "{absolute} and {relative} iterations");
}

#[test]
fn training_systems_that_are_no_grid_are_named() {
    struct NoGrid;
    impl precondor_sdk::core::train::Samples for NoGrid {
        fn families(&self) -> usize {
            1
        }
        fn sample(&self, _: usize, _: u64, index: u64) -> Result<System> {
            if index < 2 {
                return Ok(system(2, 0.25, index));
            }
            let entries = (0..9).map(|i| (i, i, 2.0)).chain([(0, 8, -1.0), (8, 0, -1.0)]);
            Ok(System::new(DistCsr::solo(Csr::from_triplets(9, 9, entries)?)?))
        }
        fn describe(&self) -> String {
            "null".into()
        }
    }
    let host: std::sync::Arc<dyn Host> = std::sync::Arc::new(precondor_sdk::core::host::Alone);
    let training = Training {
        comm: &Comm::solo(),
        host: &host,
        samples: &NoGrid,
        resume: None,
        watch: &mut Keeper::default(),
    };
    let why = MlpReference::train(&small(Variant::Spd), training).unwrap_err().to_string();
    assert!(why.contains("training system 2") && why.contains("row 0"), "{why}");
}
