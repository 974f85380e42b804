//! Training: it learns, it is reproducible, and an interrupted run ends where a whole one does.

use crate::counts::*;
use crate::support::*;
use precondor_plugin_mlp::fsai::{self, MlpFsai};
use precondor_plugin_mlp::reference::pgp::Variant;
use precondor_plugin_mlp::reference::train::{TrainParams, Weights};
use precondor_plugin_mlp::reference::{MlpReference, ReferenceMap};
use precondor_sdk::core::train::Trainable;
use precondor_sdk::prelude::*;

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
    let training = precondor_sdk::core::train::Training {
        comm: &Comm::solo(),
        host: &host,
        samples: &NoGrid,
        resume: None,
        watch: &mut Keeper::default(),
    };
    let why = MlpReference::train(&small(Variant::Spd), training).unwrap_err().to_string();
    assert!(why.contains("training system 2") && why.contains("row 0"), "{why}");
}
