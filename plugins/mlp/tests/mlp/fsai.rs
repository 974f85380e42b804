//! `mlp-fsai`: FSAI where the network is zero, definite for any weights, the same on any number of
//! ranks and for any scaling, better than FSAI on fresh matrices and never much worse.

use std::ops::ControlFlow;

use precondor_neural::model::{self, Kind, Part as Array, Reader};
use precondor_neural::net::Activation;
use precondor_neural::random::Random;
use precondor_plugin_mlp::fsai::factor::{Plain, Weights, scaled, unscaled};
use precondor_plugin_mlp::fsai::features::FEATURES;
use precondor_plugin_mlp::fsai::train::{TrainParams, network};
use precondor_plugin_mlp::fsai::{MlpFsai, Params};
use precondor_sdk::core::comm::threads;
use precondor_sdk::core::host::Alone;
use precondor_sdk::core::kernel::fsai::{self, Factored};
use precondor_sdk::core::kernel::pattern::{Bound, MAX_ROW, Part, Pattern};
use precondor_sdk::core::matrix::ExplicitKind;
use precondor_sdk::core::problem::Problem;
use precondor_sdk::core::solver::{Algorithm, Criterion, Outcome, Stop, solve};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::{Value, json};

use crate::support::{Keeper, train};
use precondor_plugin_spai::{Fsai, FsaiParams};
use precondor_testkit::{foreign, grids};

/// Matrices unlike those of the training.
fn foreign_matrices() -> Vec<(&'static str, System)> {
    let mut random = Random::new(8, 0);
    foreign::all(&mut || random.unit())
}

/// The families that the shipped model was trained on, with other sizes and seeds.
fn families(nodes: usize, side: usize) -> Vec<Value> {
    let file = format!("{}/models/mlp-fsai.toml", env!("CARGO_MANIFEST_DIR"));
    let root = precondor_sdk::core::config::read(std::path::Path::new(&file)).unwrap();
    let fresh = |section: &precondor_sdk::core::config::Node| {
        let mut problem = section.json();
        problem.as_object_mut().unwrap().remove("level");
        problem["nodes"] = json!(if problem["kind"] == "cube" { side } else { nodes });
        problem["seed"] = json!(77_000);
        problem["rhs"] = json!("random");
        problem
    };
    root.get("data").unwrap().items().iter().map(fresh).collect()
}

fn system_of(problem: &Value, index: u64) -> (System, Vec<f64>) {
    Problem::from_json(problem).unwrap().generate_nth(Comm::solo(), index).unwrap()
}

/// CG iterations from zero until ‖b − A x‖ ≤ 1e-8 ‖b‖.
fn iterations(a: &DistCsr, m: &dyn Preconditioner, b: &[f64]) -> usize {
    let criterion = Criterion::RelativeResidual;
    let stop = Stop { criterion, tolerance: 1e-8, max_iterations: 5000, divergence: f64::INFINITY };
    let mut x = vec![0.0; b.len()];
    let watch = &mut |_: &_| ControlFlow::Continue(());
    let report = solve(&Algorithm::Cg, a, m, b, &mut x, &stop, watch).unwrap();
    assert_eq!(report.outcome, Outcome::Converged);
    report.iterations
}

/// FSAI of the matrix as it is.
fn plain(a: &DistCsr, power: usize) -> Factored {
    let bound = Bound::new(a, MAX_ROW).unwrap();
    let mut pattern = Pattern::power(&Alone, a, power, Part::Lower, &bound).unwrap();
    let entries = {
        let reach = pattern.reach(a).unwrap();
        fsai::entries(&Alone, &reach, &pattern, a.space().start()).unwrap()
    };
    Factored::new(a.space(), &pattern, entries).unwrap()
}

/// Weights from a random generator, `size` times those that a training starts from.
fn weights(power: u32, size: f32, seed: u64) -> Weights {
    let net = network(&[8, 8], Activation::Relu);
    let mut random = Random::new(seed, 0);
    let parameters: Vec<f32> = net.start(&mut random, 1.0);
    Weights {
        power,
        parameters: parameters.iter().map(|p| size * p).collect(),
        net,
        mean: vec![0.1; FEATURES],
        inverse_deviation: vec![2.0; FEATURES],
    }
}

fn corrected(a: &DistCsr, weights: &Weights) -> Factored {
    let (scaled, scale) = scaled(a).unwrap();
    let plain = Plain::new(&Alone, &scaled, weights.power).unwrap();
    let entries = weights.correct(&Alone, &plain).unwrap();
    unscaled(&scaled, &plain.pattern, entries, &scale).unwrap()
}

fn difference(left: &DistCsr, right: &DistCsr) -> f64 {
    let (left, right) = (left.own().view(), right.own().view());
    assert_eq!(left.cols, right.cols);
    let size = left.values.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    let error = left.values.iter().zip(right.values).map(|(l, r)| (l - r).abs());
    error.fold(0.0, f64::max) / size
}

#[test]
fn a_network_that_gives_zero_is_fsai() {
    for problem in families(9, 4) {
        let a = system_of(&problem, 0).0.a().clone();
        for power in [1, 2] {
            let same = corrected(&a, &weights(power, 0.0, 1));
            let error = difference(same.g(), plain(&a, power as usize).g());
            assert!(error < 1e-13, "{error} on power {power}: {problem}");
            let other = corrected(&a, &weights(power, 1.0, 1));
            assert!(difference(other.g(), same.g()) > 1e-3, "{problem}");
        }
    }
}

#[test]
fn any_weights_give_a_definite_m_with_a_unit_diagonal_of_the_preconditioned_matrix() {
    for (k, problem) in families(7, 4).iter().enumerate() {
        let a = system_of(problem, 1).0.a().clone();
        let n = a.n_own();
        for (trial, size) in [0.5, 5.0, 1e3, 1e30].into_iter().enumerate() {
            let g = corrected(&a, &weights(1 + (k as u32 & 1), size, (4 * k + trial) as u64));
            let view = g.g().own().view();
            for i in 0..n {
                let row: Vec<(usize, f64)> = view.row(i).collect();
                let (column, diagonal) = row[row.len() - 1];
                // Lower triangular with a positive diagonal: GᵀG is positive definite.
                assert!(column == i && diagonal > 0.0 && row.iter().all(|e| e.1.is_finite()));
                let energy: f64 = row
                    .iter()
                    .flat_map(|&(p, x)| row.iter().map(move |&(q, y)| (p, q, x * y)))
                    .map(|(p, q, xy)| xy * a.own().view().get(p, q))
                    .sum();
                assert!((energy - 1.0).abs() < 1e-12, "row {i}: {energy}, size {size}: {problem}");
            }
        }
    }
}

#[test]
fn scaling_the_unknowns_scales_m_and_nothing_else() {
    for problem in families(9, 4) {
        let a = system_of(&problem, 0).0.a().clone();
        let mut random = Random::new(5, 0);
        let s: Vec<f64> = (0..a.n_own()).map(|_| (6.0 * random.unit() - 3.0).exp2()).collect();
        let view = a.own().view();
        let values = (0..a.n_own()).flat_map(|i| view.row(i).map(move |(j, v)| (i, j, v)));
        let values = values.map(|(i, j, v)| v * (s[i] * s[j])).collect();
        let b = a.with_values(values, vec![]).unwrap();
        let of = |a: &DistCsr| corrected(a, &weights(1, 1.0, 3)).g().clone();
        let (g, h) = (of(&a), of(&b));
        let back = h.own().view();
        let unscaled = back.cols.iter().zip(back.values).map(|(&j, v)| v * s[j as usize]).collect();
        let error = difference(&g, &g.with_values(unscaled, vec![]).unwrap());
        assert!(error < 1e-5, "{error}: {problem}");
    }
}

#[test]
fn all_ranks_make_the_same_m_and_take_the_same_iterations() {
    let [grid, delaunay, cube] = [3, 8, 11].map(|k| families(20, 7)[k].clone());
    for problem in [grid, delaunay, cube] {
        let solve_on = |comm: Comm| {
            let problem = Problem::from_json(&problem).unwrap();
            let (system, b) = problem.generate_nth(comm, 2).unwrap();
            let m = MlpFsai::generate(&Params::default(), &system).unwrap();
            let g = m.explicit().unwrap();
            assert_eq!(g.kind, ExplicitKind::Factor);
            let mut z = vec![0.0; b.len()];
            m.apply(&b, &mut z).unwrap();
            (z, iterations(system.a(), &m, &b), m.notes())
        };
        let (whole, count, notes) = solve_on(Comm::solo());
        let size = whole.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        for ranks in 2..=8 {
            let parts = threads::run(ranks, |comm| solve_on(Comm::new(comm)));
            let z: Vec<f64> = parts.iter().flat_map(|part| part.0.clone()).collect();
            let error = z.iter().zip(&whole).map(|(l, r)| (l - r).abs()).fold(0.0, f64::max);
            assert!(error < 1e-5 * size, "{error} on {ranks} ranks: {problem}");
            assert!(parts.iter().all(|part| part.1 == count && part.2[0][..20] == notes[0][..20]));
        }
    }
}

#[test]
fn fresh_matrices_of_every_family_take_fewer_iterations_than_with_fsai() {
    // Nodes a side on the square and in the cube, matrices a family, least part saved over all by the
    // network's factor, and by the factor that the Lanczos steps chose.
    for (nodes, side, count, least) in [(15, 6, 4, [0.015, 0.015]), (47, 13, 1, [0.04, 0.03])] {
        for (check, least) in [0, Params::default().check].into_iter().zip(least) {
            let (mut with, mut without) = (0, 0);
            for problem in families(nodes, side) {
                for index in 0..count {
                    let (system, b) = system_of(&problem, index);
                    let params = Params { check, ..Params::default() };
                    let m = MlpFsai::generate(&params, &system).unwrap();
                    let ours = iterations(system.a(), &m, &b);
                    let theirs = iterations(system.a(), &plain(system.a(), 1), &b);
                    let more = usize::from(check == 0);
                    assert!(ours <= theirs + more, "{ours} for {theirs}: {problem}");
                    (with, without) = (with + ours, without + theirs);
                }
            }
            let saved = 1.0 - with as f64 / without as f64;
            assert!(saved > least, "{saved} at {nodes} nodes, {check} Lanczos steps");
        }
    }
}

#[test]
fn foreign_matrices_never_take_much_more_than_with_fsai() {
    let mut harmed = 0;
    for (name, system) in foreign_matrices() {
        let a = system.a();
        let mut random = Random::new(6, 0);
        let b: Vec<f64> = (0..a.n_own()).map(|_| random.unit() - 0.5).collect();
        let m = MlpFsai::generate(&Params::default(), &system).unwrap();
        let (ours, theirs) = (iterations(a, &m, &b), iterations(a, &plain(a, 1), &b));
        assert!(ours <= theirs + 1, "{name}: {ours} for {theirs}");
        let unseen = Params { trust: true, ..Params::default() };
        let unseen = MlpFsai::generate(&unseen, &system).unwrap();
        if iterations(a, &unseen, &b) > theirs + 1 + theirs / 20 {
            let note = &m.notes()[0];
            assert!(note.starts_with("FSAI's factor is used as it is"), "{name}: {note}");
            assert_eq!(ours, theirs, "{name}");
            harmed += 1;
        }
    }
    // What it is for.
    assert!(harmed >= 4, "{harmed}");
}

/// Right-hand sides of ones meet few eigenvectors of a regular grid, random ones all of them.
#[test]
fn regular_grids_never_take_more_than_with_fsai() {
    let mut larger = grids::all(&[100]);
    larger.truncate(1);
    for (name, system) in grids::all(&[31, 63]).into_iter().chain(larger) {
        let a = system.a();
        let (m, fsai) = (MlpFsai::generate(&Params::default(), &system).unwrap(), plain(a, 1));
        let mut random = Random::new(7, 0);
        let random: Vec<f64> = (0..a.n_own()).map(|_| random.unit() - 0.5).collect();
        for (what, b) in [("ones", vec![1.0; a.n_own()]), ("random numbers", random)] {
            let (ours, theirs) = (iterations(a, &m, &b), iterations(a, &fsai, &b));
            assert!(ours <= theirs, "{name}, {what}: {ours} for {theirs}, {:?}", m.notes());
        }
    }
}

/// The guard on the features needs no network: its answer is there before one is evaluated.
#[test]
fn unusual_entries_are_counted_up_to_the_limit() {
    let system = &foreign_matrices()[3].1;
    let (scaled, _) = scaled(system.a()).unwrap();
    let plain = Plain::new(&Alone, &scaled, 1).unwrap();
    let off = (plain.entries.len() - system.a().n_own()) as u64;
    let weights = weights(1, 1.0, 1);
    let all = weights.unusual(&Alone, &plain, off).unwrap();
    assert!(all > 100 && all <= off, "{all} of {off}");
    for limit in [0, 50, all - 1] {
        assert_eq!(weights.unusual(&Alone, &plain, limit).unwrap(), limit + 1);
    }
    assert_eq!(weights.unusual(&Alone, &plain, all).unwrap(), all);
}

/// A dense row is FSAI's business: no features are taken of it.
#[test]
fn a_matrix_with_a_long_row_gets_the_factor_of_fsai() {
    let n = 3000;
    let near = |i: usize| [(i, i, 4.0), (i, n - 1, 1.0), (n - 1, i, 1.0)];
    let last = (n - 1, n - 1, 2.0 * n as f64);
    let entries: Vec<_> = (0..n - 1).flat_map(near).chain([last]).collect();
    let system = System::new(DistCsr::solo(Csr::from_triplets(n, n, entries).unwrap()).unwrap());
    for trust in [false, true] {
        let params = Params { trust, ..Params::default() };
        let mut m = MlpFsai::generate(&params, &system).unwrap();
        assert!(m.notes()[0].contains("a row of the matrix is longer than 'max_row'"));
        assert!(m.notes()[1].starts_with("1 row(s) of the pattern, global row 2999 the first"));
        let fsai = Fsai::generate(&FsaiParams::default(), &system).unwrap();
        let entries = |m: &dyn Preconditioner| {
            let own = m.explicit().unwrap().own;
            (0..own.cols.len()).map(|k| own.values.get(k)).collect::<Vec<_>>()
        };
        assert_eq!(entries(&m), entries(&fsai));
        MlpFsai::refresh(&mut m, &params, &system).unwrap();
        assert_eq!(entries(&m), entries(&fsai));
    }
}

#[test]
fn a_model_that_does_harm_is_noticed_and_left_out() {
    struct Files(Vec<u8>);
    impl Host for Files {
        fn inner(&self, name: &str, p: &Value, s: &System) -> Result<Box<dyn Instance>> {
            Alone.inner(name, p, s)
        }
        fn read(&self, _: &str) -> Result<Vec<u8>> {
            Ok(self.0.clone())
        }
        fn log(&self, _: precondor_sdk::core::host::Level, _: &str) {}
    }
    let params = TrainParams { steps: 1, pool: 4, validation: 1, ..TrainParams::default() };
    let model = train::<MlpFsai>(&params, &[3], 0.2, None, &mut Keeper::default()).unwrap();
    let mut card = Reader::new(&model, MlpFsai::NAME, Kind::Model).unwrap().card;
    card.architecture = json!({"power": 1, "hidden": [8, 8]});
    // Every entry off the diagonal is halved: the output's bias is the last parameter.
    let mut wild = weights(1, 0.0, 4);
    let count = wild.parameters.len();
    wild.parameters = (0..count).map(|k| if k + 1 == count { -100.0 } else { 0.0 }).collect();
    let part = |name: &str, shape, values| Array { name: name.into(), shape, values };
    let mut parts = vec![
        part("input.mean", vec![FEATURES], &wild.mean),
        part("input.inverse_deviation", vec![FEATURES], &wild.inverse_deviation),
    ];
    for tensor in wild.net.tensors() {
        let values = &wild.parameters[tensor.range()];
        parts.push(part(&tensor.name, vec![tensor.rows, tensor.columns], values));
    }
    let file = model::write(&card, &parts).unwrap();
    let (system, b) = system_of(&families(31, 8)[1], 0);
    let system = system.with_host(std::sync::Arc::new(Files(file)));
    let file = Some("wild.safetensors".to_owned());
    let with = |trust| {
        let params = Params { model: file.clone(), trust, ..Params::default() };
        MlpFsai::generate(&params, &system).unwrap()
    };
    let theirs = iterations(system.a(), &plain(system.a(), 1), &b);
    let unseen = iterations(system.a(), &with(true), &b);
    assert!(unseen > theirs + theirs / 10, "{unseen} for {theirs}");
    // No feature is far off, but K tells.
    let checked = with(false);
    let note = &checked.notes()[0];
    assert!(note.starts_with("FSAI's factor is used as it is: with the network's 0.0 %"), "{note}");
    assert_eq!(iterations(system.a(), &checked, &b), theirs);
}

#[test]
fn matrices_that_are_not_positive_definite_are_refused_by_row() {
    let refused = |entries: &[(usize, usize, f64)]| {
        let a = Csr::from_triplets(3, 3, entries.iter().copied()).unwrap();
        let system = System::new(DistCsr::solo(a).unwrap());
        MlpFsai::generate(&Params::default(), &system).err().unwrap().to_string()
    };
    let diagonal = [(0, 0, 1.0), (1, 1, 1.0), (2, 2, 1.0)];
    let negative = refused(&[diagonal[0], (1, 1, -1.0), diagonal[2]]);
    assert!(negative.contains("row 1: the diagonal entry is -1"), "{negative}");
    let indefinite = refused(&[&diagonal[..], &[(2, 0, 2.0), (0, 2, 2.0)]].concat());
    assert!(indefinite.contains("row 2") && indefinite.contains("not positive definite"));
    let unsymmetric = refused(&[&diagonal[..], &[(2, 0, 0.5)]].concat());
    assert!(unsymmetric.contains("symmetric"), "{unsymmetric}");
}

#[test]
fn a_training_run_that_gets_no_better_ends_early() {
    let params = TrainParams {
        pool: 4,
        validation: 2,
        batch: 1,
        patience: 200,
        rate: 0.0,
        steps: 1000,
        ..TrainParams::default()
    };
    let mut watch = Keeper::default();
    train::<MlpFsai>(&params, &[3], 0.2, None, &mut watch).unwrap();
    // Rounding may pass for one improvement.
    assert!([200, 300].contains(&watch.losses.len()), "{}", watch.losses.len());
}
