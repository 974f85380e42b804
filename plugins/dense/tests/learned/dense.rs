//! `mlp-dense` and `ridge`: shipped models on fresh systems, refinement, training and its refusals.

use std::sync::Arc;

use crate::support::*;
use precondor_neural::net::Activation;
use precondor_plugin_dense::learned::data::Inputs;
use precondor_plugin_dense::mlp::MlpDense;
use precondor_plugin_dense::mlp::train::{Decay, TrainParams};
use precondor_plugin_dense::ridge::{self, RidgeInverse};
use precondor_sdk::core::kernel::bands::Bands;
use precondor_sdk::core::problem::{Families, Poisson, Problem};
use precondor_sdk::core::train::{Samples, Trainable, Training};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::{Value, from_value, json};

/// `mlp-dense`, or `ridge` where `method` says so, with JSON parameters.
fn generate(method: &str, params: Value, system: &System) -> Result<Box<dyn Preconditioner>> {
    let parameter = |e: precondor_sdk::serde_json::Error| Error::Parameter(e.to_string());
    Ok(match method {
        "ridge" => {
            let params = from_value(params).map_err(parameter)?;
            Box::new(RidgeInverse::generate(&params, system)?)
        }
        _ => Box::new(MlpDense::generate(&from_value(params).map_err(parameter)?, system)?),
    })
}

/// The same with a model of its own.
fn generate_with(method: &str, model: &[u8], system: &System) -> Box<dyn Preconditioner> {
    let host = Arc::new(OneFile(model.to_vec()));
    let system = system.clone().with_host(host);
    generate(method, json!({"model": "model.safetensors"}), &system).unwrap()
}

fn counts(make: impl Fn(&System) -> Box<dyn Preconditioner>, level: u32, of: u64) -> (f64, usize) {
    let count = |index| {
        let system = system(level, 0.25, index);
        absolute_iterations(system.a(), &*make(&system))
    };
    summary(&(0..of).map(count).collect::<Vec<_>>())
}

fn dense_matrix(a: &DistCsr) -> Vec<f64> {
    let n = a.n_own();
    let mut dense = vec![0.0; n * n];
    for i in 0..n {
        a.global_entries(i).for_each(|(j, value)| dense[i * n + j as usize] = value);
    }
    dense
}

#[test]
fn shipped_models_take_the_announced_iterations_on_fresh_meshes() {
    // 8.9 iterations of the plain network with this rule, measured with another implementation and other meshes.
    for (method, params, level, least, most) in [
        ("mlp-dense", json!({"variant": "plain"}), 2, 7.5, 10.5),
        ("mlp-dense", json!({}), 2, 2.0, 3.5),
        ("mlp-dense", json!({}), 3, 3.0, 5.5),
        ("ridge", json!({}), 2, 3.0, 4.5),
        ("ridge", json!({}), 3, 4.5, 6.0),
    ] {
        let (mean, worst) = counts(|s| generate(method, params.clone(), s).unwrap(), level, 20);
        println!("{method} {params} level {level}: {mean:.2} ({worst})");
        assert!(
            (least..=most).contains(&mean),
            "{method} {params} level {level}: {mean} ({worst})"
        );
    }
}

#[test]
fn units_of_the_matrix_change_nothing() {
    for (method, params, level) in [
        ("mlp-dense", json!({"variant": "plain"}), 2),
        ("mlp-dense", json!({}), 3),
        ("mlp-dense", json!({"newton": 1}), 2),
        ("ridge", json!({}), 3),
        ("ridge", json!({"mean_only": true}), 2),
    ] {
        let whole = system(level, 0.25, 1);
        let n = whole.a().n_own();
        let once = columns(&*generate(method, params.clone(), &whole).unwrap(), n);
        let size = once.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        for c in [2.0, 1e3, 2.1e11, 8.9e-12, 4225.0, 1e100, 1e-100] {
            let values = whole.a().own().view().values.iter().map(|v| c * v).collect();
            let system = whole.for_matrix(whole.a().with_values(values, vec![]).unwrap());
            let m = generate(method, params.clone(), &system).unwrap();
            for (scaled, once) in columns(&*m, n).iter().zip(&once) {
                assert!((c * scaled - once).abs() < 1e-5 * size, "{method} {params} times {c}");
            }
        }
    }
}

#[test]
fn explicit_dense_inverse_is_what_is_applied() {
    let system = system(2, 0.25, 1);
    for (variant, symmetric) in [("plain", false), ("whitened", true)] {
        let m = generate("mlp-dense", json!({ "variant": variant }), &system).unwrap();
        let explicit = m.explicit().unwrap();
        assert_eq!((explicit.own.values.len(), m.stored_entries()), (81, 81));
        let stored: Vec<f64> = (0..81).map(|k| explicit.own.values.get(k)).collect();
        assert_eq!(columns(&*m, 9), stored);
        assert_eq!(m.properties().symmetric, symmetric);
        assert_eq!(m.properties().positive_definite, symmetric);
        assert_eq!((0..81).all(|k| stored[k] == stored[k % 9 * 9 + k / 9]), symmetric);
    }
}

#[test]
fn a_newton_step_squares_the_error() {
    let system = system(3, 0.25, 4);
    let n = 49;
    let a = dense_matrix(system.a());
    for (method, params) in [("ridge", json!({})), ("mlp-dense", json!({}))] {
        let error = |newton: usize| {
            let mut params = params.clone();
            params["newton"] = newton.into();
            let m = columns(&*generate(method, params, &system).unwrap(), n);
            let mut error = product(&m, &a, n);
            error.iter_mut().for_each(|e| *e = -*e);
            (0..n).for_each(|i| error[i * n + i] += 1.0);
            error
        };
        let square = product(&error(0), &error(0), n);
        for (found, expected) in error(1).iter().zip(&square) {
            assert!((found - expected).abs() < 1e-13, "{method}: {found} {expected}");
        }
    }
}

/// A run that hardly moves the weights of the model that it starts from ends with the same M, whatever it is trained on.
#[test]
fn a_run_goes_on_from_a_model() {
    let plain = TrainParams {
        hidden: Some(vec![12]),
        pool: 60,
        validation: 8,
        epochs: 10,
        ..TrainParams::default()
    };
    let whitened = TrainParams { whiten: true, ridge: Some(1e-3), components: 7, ..plain.clone() };
    for first in [plain, whitened] {
        let mut watch = Keeper::default();
        let model = train::<MlpDense>(&first, &[2], 0.25, None, &mut watch).unwrap();
        let initial = Some("model.safetensors".to_owned());
        let still = TrainParams { initial, rate: 1e-30, epochs: 1, seed: 5, ..first.clone() };
        let seen = &mut Keeper::default();
        let after = train_from::<MlpDense>(&model, &still, &[2], 0.3, seen).unwrap();
        let system = system(2, 0.25, 3);
        let [before, now] =
            [&model, &after].map(|model| columns(&*generate_with("mlp-dense", model, &system), 9));
        let size = before.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        for (before, now) in before.iter().zip(&now) {
            assert!((before - now).abs() < 1e-5 * size, "{before} {now}");
        }
        // On the systems that it was trained on, with steps, it ends with no more than it starts with.
        let on = TrainParams { rate: first.rate, seed: first.seed, ..still.clone() };
        let seen = &mut Keeper::default();
        train_from::<MlpDense>(&model, &on, &[2], 0.25, seen).unwrap();
        if !first.whiten {
            let least = watch.validated.iter().copied().fold(f64::INFINITY, f64::min);
            assert_eq!(seen.validated[0], least);
        }
        let other = TrainParams { hidden: Some(vec![5]), ..still };
        let why = train_from::<MlpDense>(&model, &other, &[2], 0.25, &mut Keeper::default());
        let why = why.unwrap_err().to_string();
        assert!(why.contains("parameter 'initial'") && why.contains("architecture"), "{why}");
    }
}

/// A bounded network gives another inverse, and its model says that it is bounded.
#[test]
fn activations_are_told_by_the_model() {
    let of = |activation| {
        let params = TrainParams {
            activation,
            hidden: Some(vec![12]),
            pool: 60,
            validation: 8,
            epochs: 20,
            ..TrainParams::default()
        };
        let mut watch = Keeper::default();
        let model = train::<MlpDense>(&params, &[2], 0.25, None, &mut watch).unwrap();
        let (first, last) = (watch.validated[0], watch.validated[watch.validated.len() - 1]);
        assert!(last < first, "{activation:?}: {:?}", watch.validated);
        let card = precondor_neural::model::Card::of(&model).unwrap();
        let m = columns(&*generate_with("mlp-dense", &model, &system(2, 0.25, 3)), 9);
        (card.architecture["activation"].clone(), m)
    };
    let [relu, tanh] = [Activation::Relu, Activation::Tanh].map(of);
    assert!(relu.0.is_null() && tanh.0 == "tanh", "{} {}", relu.0, tanh.0);
    assert_ne!(relu.1, tanh.1);
}

#[test]
fn without_regression_ridge_is_the_mean_of_the_training_inverses() {
    let params = ridge::TrainParams { mean_only: true, pool: 40, ..Default::default() };
    let model = train::<RidgeInverse>(&params, &[2], 0.25, None, &mut Keeper::default()).unwrap();
    let problem = Problem::Poisson(Poisson { shift: 0.25, ..Poisson::at_level(2) });
    let samples = Families::new(vec![problem]).unwrap();
    let mut mean = vec![0.0; 81];
    for index in 0..40 {
        let training = samples.sample(0, params.seed, index).unwrap();
        let inverse = inverse(&dense_matrix(training.a()), 9);
        mean.iter_mut().zip(inverse).for_each(|(m, v)| *m += v / 40.0);
    }
    let level = Bands::of(system(2, 0.25, 0).a(), None).unwrap().level_of_whole().unwrap();
    assert!((level - 1.0).abs() < 0.1, "{level}");
    mean.iter_mut().for_each(|m| *m /= level);
    let m = columns(&*generate_with("ridge", &model, &system(2, 0.25, 0)), 9);
    assert!(m.iter().zip(&mean).all(|(a, b)| (a - b).abs() < 1e-6));
    // The switch of the method does the same to a model that has a regression.
    let params = ridge::TrainParams { pool: 40, components: 0, ..Default::default() };
    let model = train::<RidgeInverse>(&params, &[2], 0.25, None, &mut Keeper::default()).unwrap();
    let host = Arc::new(OneFile(model));
    let fresh = system(2, 0.25, 0).with_host(host);
    let params = json!({"model": "model.safetensors", "mean_only": true});
    let m = columns(&*generate("ridge", params, &fresh).unwrap(), 9);
    assert!(m.iter().zip(&mean).all(|(a, b)| (a - b).abs() < 1e-6));
}

/// A whitened network with all parts, small.
fn small() -> TrainParams {
    TrainParams {
        whiten: true,
        ridge: Some(1e-3),
        components: 20,
        hidden: Some(vec![8, 6]),
        pool: 54,
        validation: 6,
        epochs: 6,
        batch: 5,
        rate: 2e-3,
        schedule: Decay::Cosine,
        ..Default::default()
    }
}

#[test]
fn training_resumes_to_the_same_bytes() {
    // 66 or 60 steps of 11 or 10 an epoch: the checkpoints at 25 and 50 fall within epochs.
    resumes::<MlpDense>(&TrainParams { pool: 55, epochs: 6, batch: 5, ..Default::default() }, &[2]);
    resumes::<MlpDense>(&small(), &[2]);
}

#[test]
fn any_number_of_threads_gives_the_same_model() {
    let problem = Problem::Poisson(Poisson { shift: 0.25, ..Poisson::at_level(3) });
    let samples = Families::new(vec![problem]).unwrap();
    let on_three = |train: &dyn Fn(Training<'_>) -> Result<Vec<u8>>| {
        let host: Arc<dyn Host> = Arc::new(ThreeThreads);
        let watch = &mut Keeper::default();
        train(Training { comm: &Comm::solo(), host: &host, samples: &samples, resume: None, watch })
    };
    let params = TrainParams { pool: 135, validation: 15, epochs: 1, batch: 50, ..small() };
    let alone = train::<MlpDense>(&params, &[3], 0.25, None, &mut Keeper::default()).unwrap();
    assert!(on_three(&|training| MlpDense::train(&params, training)).unwrap() == alone);
    let params = ridge::TrainParams { pool: 150, components: 30, ..Default::default() };
    let alone = train::<RidgeInverse>(&params, &[3], 0.25, None, &mut Keeper::default()).unwrap();
    assert!(on_three(&|training| RidgeInverse::train(&params, training)).unwrap() == alone);
}

#[test]
fn training_lowers_the_loss_of_plain_and_whitened_networks() {
    let plain = TrainParams { pool: 200, epochs: 40, batch: 20, ..Default::default() };
    let whitened = TrainParams {
        components: 0,
        hidden: Some(vec![32]),
        validation: 0,
        pool: 2000,
        ..TrainParams { epochs: 40, batch: 20, ..small() }
    };
    for (params, least) in [(plain, 0.2), (whitened, 0.5)] {
        let mut watch = Keeper::default();
        train::<MlpDense>(&params, &[2], 0.25, None, &mut watch).unwrap();
        let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
        let (first, last) =
            (mean(&watch.losses[..10]), mean(&watch.losses[watch.losses.len() - 10..]));
        assert!(last < least * first, "loss {first} to {last}");
    }
}

#[test]
fn a_run_that_no_longer_improves_ends_early_with_its_best_weights() {
    let run = |patience: u64| {
        let mut watch = Keeper::default();
        // A rate far too large, so that the loss only rises after the first epochs.
        let params = TrainParams {
            rate: 0.3,
            schedule: Decay::Constant,
            epochs: 30,
            patience,
            pool: 30,
            validation: 30,
            ..small()
        };
        let model = train::<MlpDense>(&params, &[2], 0.25, None, &mut watch).unwrap();
        let card = card(&model);
        (watch.losses.len(), card["metrics"]["validation_loss"].as_f64().unwrap())
    };
    let (whole, best) = run(0);
    let (early, best_early) = run(4 * 6);
    assert_eq!(whole, 180);
    assert!(early < 180, "{early} steps");
    assert!(best_early >= best);
}

/// The metadata of a model file.
fn card(model: &[u8]) -> Value {
    let length = u64::from_le_bytes(model[..8].try_into().unwrap()) as usize;
    let header: Value = precondor_sdk::serde_json::from_slice(&model[8..8 + length]).unwrap();
    let text = header["__metadata__"]["precondor"].as_str().unwrap();
    precondor_sdk::serde_json::from_str(text).unwrap()
}

#[test]
fn full_inputs_and_components_and_halves_give_nearly_the_same_regression() {
    let fresh = system(2, 0.25, 3);
    let n = 9;
    let of = |params: &TrainParams| {
        let model = train::<MlpDense>(params, &[2], 0.25, None, &mut Keeper::default()).unwrap();
        (columns(&*generate_with("mlp-dense", &model, &fresh), n), model.len())
    };
    // One step at a rate of nothing: what is compared is the regression.
    let params = TrainParams {
        rate: 1e-12,
        epochs: 1,
        pool: 400,
        validation: 0,
        batch: 400,
        components: 0,
        ..small()
    };
    let exact = inverse(&dense_matrix(fresh.a()), n);
    let distance =
        |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt();
    let (whole, bytes) = of(&params);
    let error = distance(&whole, &exact);
    let (full, _) = of(&TrainParams { inputs: Inputs::Full, ..params.clone() });
    // Every entry beside the diagonal stands in A twice, so that the same penalty weighs half as much.
    assert!(distance(&full, &whole) < 0.5 * error, "{} {error}", distance(&full, &whole));
    let (parts, _) = of(&TrainParams { components: 40, ..params.clone() });
    assert!(distance(&parts, &whole) < 0.5 * error, "{} {error}", distance(&parts, &whole));
    let bf16 = from_value(json!("bf16")).unwrap();
    let (halves, shorter) = of(&TrainParams { precision: bf16, ..params });
    assert!(distance(&halves, &whole) < 0.1 * error, "{}", distance(&halves, &whole));
    assert!(shorter < bytes * 3 / 4, "{shorter} of {bytes}");
}

#[test]
fn training_that_cannot_work_is_refused_with_the_reason() {
    let why = |params: &TrainParams, level: u32| {
        let refused = train::<MlpDense>(params, &[level], 0.25, None, &mut Keeper::default());
        refused.unwrap_err().to_string()
    };
    let whitened = TrainParams { pool: 10_000, components: 600, ..small() };
    let text = why(&whitened, 5);
    assert!(text.contains("31 by 31 grid") && text.contains("GiB of memory (at most 4)"), "{text}");
    assert!(why(&small(), 6).contains("3969 unknowns are too many for a dense inverse"));
    let text = why(&TrainParams { hidden: Some(vec![]), ..small() }, 2);
    assert!(text.contains("'hidden': give at least one layer"), "{text}");
    let refused = train::<RidgeInverse>(
        &ridge::TrainParams::default(),
        &[2],
        0.25,
        Some(&[]),
        &mut Keeper::default(),
    );
    assert!(refused.unwrap_err().to_string().contains("trained in one step"));
    let text = why(&TrainParams { components: 40, pool: 27, validation: 3, ..small() }, 3);
    assert!(text.contains("40 cannot be found from 27 matrices"), "{text}");
    // Two levels are two sizes.
    let refused = train::<MlpDense>(&small(), &[2, 3], 0.25, None, &mut Keeper::default());
    let text = refused.unwrap_err().to_string();
    assert!(
        text.contains("training system 0 of problem 1") && text.contains("49 unknowns"),
        "{text}"
    );
}

#[test]
fn a_variant_beside_a_model_is_refused() {
    let params = json!({"variant": "plain", "model": "model.safetensors"});
    let why = generate("mlp-dense", params, &system(2, 0.25, 0)).err().unwrap().to_string();
    assert!(why.contains("'variant'") && why.contains("beside 'model'"), "{why}");
    let why = generate("ridge", json!({}), &system(4, 0.25, 0)).err().unwrap().to_string();
    assert!(
        why.contains("no shipped model for a 15 by 15 grid, only for 3 by 3 and 7 by 7"),
        "{why}"
    );
}

#[test]
fn a_setup_ends_between_its_parts_where_that_is_asked_for() {
    for method in ["mlp-dense", "ridge"] {
        for newton in [0, 3] {
            let system = system(3, 0.25, 0);
            let params = json!({ "newton": newton });
            let make = |system: &System| generate(method, params.clone(), system);
            let (looks, m) = crate::patience::looks(&system, make);
            assert_eq!(looks, 2 + newton, "{method}");
            assert!(columns(&*m, 49) == columns(&*make(&system).unwrap(), 49), "{method}");
        }
    }
}
