//! The two methods with their shipped models, on systems that no training has seen.

use std::sync::Arc;

use crate::counts::*;
use crate::support::*;
use precondor_neural::random::Random;
use precondor_plugin_dense::mlp::MlpDense;
use precondor_plugin_mlp::reference::pgp::{Patch, Variant};
use precondor_plugin_mlp::reference::stencil::{AROUND, HALF, Stencil};
use precondor_plugin_mlp::reference::train::{Weights, network};
use precondor_plugin_mlp::reference::{MlpReference, ReferenceMap};
use precondor_sdk::core::comm::threads;
use precondor_sdk::core::kernel::bands::Bands;
use precondor_sdk::core::kernel::grid::Grid;
use precondor_sdk::core::problem::{Coefficient, Poisson, Problem, Rhs};
use precondor_sdk::prelude::*;
use precondor_sdk::serde::de::DeserializeOwned;
use precondor_sdk::serde_json::{Value, from_value, json};

fn read<P: DeserializeOwned>(params: Value) -> Result<P> {
    from_value(params).map_err(|e| Error::Parameter(e.to_string()))
}

fn reference(params: Value, system: &System) -> Result<ReferenceMap> {
    MlpReference::generate(&read(params)?, system)
}

fn dense(params: Value, system: &System) -> Result<impl Preconditioner + use<>> {
    MlpDense::generate(&read(params)?, system)
}

fn transpose(a: &[f64], n: usize) -> Vec<f64> {
    (0..n * n).map(|k| a[k % n * n + k / n]).collect()
}

/// Whether a symmetric matrix is positive definite, by Cholesky factorisation.
fn is_positive_definite(a: &[f64], n: usize) -> bool {
    let mut l = a.to_vec();
    for j in 0..n {
        for k in 0..j {
            for i in j..n {
                l[i * n + j] -= l[i * n + k] * l[j * n + k];
            }
        }
        if l[j * n + j].is_nan() || l[j * n + j] <= 0.0 {
            return false;
        }
        let pivot = l[j * n + j].sqrt();
        for i in j..n {
            l[i * n + j] /= pivot;
        }
    }
    true
}

#[test]
fn shipped_reference_models_take_the_announced_iterations_on_fresh_meshes() {
    for variant in ["spd", "stencil", "sweep"] {
        for (level, limit) in [(2, 4.0), (3, 5.0), (4, 6.0), (5, 7.0)] {
            let counts = (0..20).map(|index| {
                let system = system(level, 0.25, index);
                let m = reference(json!({ "variant": variant }), &system).unwrap();
                (absolute_iterations(system.a(), &m), relative_iterations(system.a(), &m))
            });
            let (absolute, relative): (Vec<_>, Vec<_>) = counts.unzip();
            let ((mean, most), (mean_relative, most_relative)) =
                (summary(&absolute), summary(&relative));
            println!(
                "{variant} level {level}: absolute {mean:.2} ({most}), relative {mean_relative:.2} \
                 ({most_relative})"
            );
            assert!(
                mean <= limit && most as f64 <= limit + 1.0,
                "{variant} {level}: {mean} ({most})"
            );
            assert!(most_relative <= 5, "{variant} {level}: {most_relative}");
        }
    }
}

#[test]
fn iterations_do_not_grow_with_the_level() {
    for variant in ["spd", "stencil", "sweep"] {
        let count = |level| {
            let system = system(level, 0.25, 0);
            let m = reference(json!({ "variant": variant }), &system).unwrap();
            relative_iterations(system.a(), &m)
        };
        let (small, large) = (count(4), count(8));
        assert!(large <= small + 1, "{variant}: {small} at level 4, {large} at level 8");
    }
}

/// The dense matrix of a stencil, by the meaning of its coefficients.
fn dense_stencil(stencil: &Stencil<f32>, unit: bool, symmetric: bool) -> Vec<f64> {
    let Grid { mx, my } = stencil.grid();
    let n = mx * my;
    let mut out = vec![0.0; n * n];
    for j in 0..my {
        for i in 0..mx {
            let row = j * mx + i;
            let mut centre = 1.0;
            for (c, &(dx, dy)) in stencil.offsets().iter().enumerate() {
                let k = f64::from(stencil.plane(c)[(j + 1) * (mx + 1) + i + 1]);
                centre -= k;
                let (x, y) = (i as isize + dx, j as isize + dy);
                if (0..mx as isize).contains(&x) && (0..my as isize).contains(&y) {
                    let column = y as usize * mx + x as usize;
                    out[row * n + column] += k;
                    if symmetric && c > 0 {
                        out[column * n + row] += k;
                    }
                }
            }
            if unit {
                out[row * n + row] += centre;
            }
        }
    }
    out
}

/// M₂ by its formula, dense, from the stencils of a map on the 49 nodes of level 3.
fn by_formula(m: &ReferenceMap, system: &System) -> Vec<f64> {
    let n = 49;
    let stencils = m.stencils();
    assert_eq!((stencils.p.offsets(), stencils.r.offsets()), (&AROUND[..], &HALF[..]));
    let (p, r) =
        (dense_stencil(&stencils.p, true, false), dense_stencil(&stencils.r, false, false));
    let s = dense_stencil(&stencils.s, false, true);
    let mut a = vec![0.0; n * n];
    let mut a0 = vec![0.0; n * n];
    for i in 0..n {
        for (j, value) in system.a().global_entries(i) {
            a[i * n + j as usize] = value / m.level();
        }
        for j in 0..n {
            let (dx, dy) = ((i % 7).abs_diff(j % 7), (i / 7).abs_diff(j / 7));
            a0[i * n + j] = [4.0, -1.0, 0.0][(dx + dy).min(2)];
        }
    }
    let add = |x: &[f64], y: &[f64], f: f64| -> Vec<f64> {
        x.iter().zip(y).map(|(x, y)| x + f * y).collect()
    };
    let inner = add(
        &product(&product(&p, &inverse(&a0, n), n), &transpose(&p, n), n),
        &product(&r, &transpose(&r, n), n),
        1.0,
    );
    let one: Vec<f64> = (0..n * n).map(|k| f64::from(u8::from(k / n == k % n))).collect();
    let left = add(&one, &product(&s, &a, n), -1.0);
    let right = add(&one, &product(&a, &s, n), -1.0);
    let smoothing = add(&add(&s, &s, 1.0), &product(&product(&s, &a, n), &s, n), -1.0);
    let whole = add(&smoothing, &product(&product(&left, &inner, n), &right, n), 1.0);
    whole.iter().map(|v| v / m.level()).collect()
}

/// The largest difference of two matrices over the largest entry.
fn distance(a: &[f64], b: &[f64]) -> f64 {
    let largest = |v: &mut dyn Iterator<Item = f64>| v.fold(0.0, |max: f64, v| max.max(v.abs()));
    largest(&mut a.iter().zip(b).map(|(a, b)| a - b)) / largest(&mut b.iter().copied())
}

#[test]
fn application_is_the_formula_to_single_precision() {
    for variant in ["spd", "stencil"] {
        let system = system(3, 0.25, 3);
        let m = reference(json!({ "variant": variant }), &system).unwrap();
        let columns = columns(&m, 49);
        let off = distance(&columns, &by_formula(&m, &system));
        assert!(off < 1e-6, "{variant}: {off:e}");
        let skew = distance(&transpose(&columns, 49), &columns);
        assert!(skew < 1e-6, "{variant}: {skew:e}");
    }
}

#[test]
fn scaling_of_the_residual_changes_nothing() {
    let system = system(4, 0.25, 1);
    let m = reference(json!({}), &system).unwrap();
    let r: Vec<f64> = (0..m.stencils().p.grid().nodes()).map(|i| (0.7 * i as f64).sin()).collect();
    let applied = |factor: f64| {
        let (r, mut z): (Vec<f64>, _) =
            (r.iter().map(|r| factor * r).collect(), vec![0.0; r.len()]);
        m.apply(&r, &mut z).unwrap();
        z
    };
    let plain = applied(1.0);
    for exponent in [-300, -40, 3, 200] {
        let factor = 2f64.powi(3 * exponent);
        let scaled: Vec<f64> = applied(factor).iter().map(|z| z / factor).collect();
        assert_eq!(scaled, plain, "2^{}", 3 * exponent);
    }
    let mut z = vec![7.0; r.len()];
    m.apply(&vec![f64::NAN; r.len()], &mut z).unwrap();
    assert!(z.iter().all(|z| z.is_nan()), "what is not finite shows");
}

/// A system whose matrix is multiplied by `c`.
fn times(system: &System, c: f64) -> System {
    let a = system.a();
    let values = a.own().view().values.iter().map(|v| c * v).collect();
    system.for_matrix(a.with_values(values, vec![]).unwrap())
}

#[test]
fn units_of_the_matrix_change_no_count() {
    for level in [3, 5, 6] {
        let whole = system(level, 0.25, 0);
        for variant in ["spd", "stencil", "sweep"] {
            let count = |c: f64| {
                let system = times(&whole, c);
                let m = reference(json!({ "variant": variant }), &system).unwrap();
                relative_iterations(system.a(), &m)
            };
            let once = count(1.0);
            assert!(once <= 5, "{variant} {level}: {once}");
            for c in [2.0, 1e3, 2.1e11, 8.9e-12, 4225.0, 1e100, 1e-100] {
                assert_eq!(count(c), once, "{variant} {level}, A times {c}");
            }
        }
    }
}

/// The five-point Laplacian over the square of the mesh width: what finite differences give.
fn finite_differences(m: usize, coefficient: impl Fn(f64, f64) -> f64) -> (System, Vec<f64>) {
    let h = 1.0 / (m + 1) as f64;
    let at = |i: usize| (i + 1) as f64 * h;
    let mut entries = Vec::new();
    for (i, j) in (0..m * m).map(|k| (k % m, k / m)) {
        let row = j * m + i;
        let mut diagonal = 0.0;
        for (dx, dy) in [(1i32, 0i32), (-1, 0), (0, 1), (0, -1)] {
            let middle = (at(i) + 0.5 * h * f64::from(dx), at(j) + 0.5 * h * f64::from(dy));
            let c = coefficient(middle.0, middle.1) / (h * h);
            diagonal += c;
            let (x, y) = (i as i32 + dx, j as i32 + dy);
            if (0..m as i32).contains(&x) && (0..m as i32).contains(&y) {
                entries.push((row, y as usize * m + x as usize, -c));
            }
        }
        entries.push((row, row, diagonal));
    }
    let a = DistCsr::solo(Csr::from_triplets(m * m, m * m, entries).unwrap()).unwrap();
    (System::new(a), vec![1.0; m * m])
}

#[test]
fn finite_differences_take_what_finite_elements_take() {
    for size in [31, 64, 127] {
        let (system, b) = finite_differences(size, |_, _| 1.0);
        for variant in ["spd", "stencil", "sweep"] {
            let m = reference(json!({ "variant": variant }), &system).unwrap();
            let count = richardson(system.a(), &m, &b);
            assert!(count <= 4, "{variant} {size}: {count}");
        }
    }
}

#[test]
fn a_coefficient_that_hardly_varies_is_no_trouble_at_any_size_or_level() {
    for m in [7, 15, 31, 63, 127] {
        for slope in [0.0, 0.1, 0.3, 1.0, 3.0] {
            for level in [1.0, 100.0, 1e-8] {
                let (system, b) = finite_differences(m, |x, _| level * (slope * x).exp());
                let count = |source: &str| {
                    let params = json!({ "coefficient": source });
                    cg(system.a(), &reference(params, &system).unwrap(), &b)
                };
                let (auto, none) = (count("auto"), count("none"));
                assert!(auto <= 5, "{m}, slope {slope}, level {level}: {auto}");
                assert!(auto <= none, "{m}, slope {slope}, level {level}: {auto}, {none} without");
            }
        }
    }
}

#[test]
fn threads_give_the_same_bits() {
    // More nodes than one thread takes at a time, and an odd number of rows.
    let problem = Poisson { seed: 5, level: None, nodes: Some(201), ..Poisson::default() };
    let alone = Problem::Poisson(problem).generate(Comm::solo()).unwrap().0;
    let threads = alone.clone().with_host(Arc::new(ThreeThreads));
    for variant in [Variant::Spd, Variant::Stencil, Variant::Sweep] {
        let weights = Weights::shipped(variant).unwrap();
        let r: Vec<f64> = (0..alone.a().n_own()).map(|i| (0.7 * i as f64).sin()).collect();
        let applied = |system: &System| {
            let m = ReferenceMap::new(&weights, system, None).unwrap();
            let mut z = vec![0.0; r.len()];
            m.apply(&r, &mut z).unwrap();
            z
        };
        assert!(applied(&alone) == applied(&threads), "{variant:?}");
    }
}

/// Whether a map is symmetric to rounding, and positive definite.
fn is_spd(m: &dyn Preconditioner, n: usize) -> bool {
    let columns = columns(m, n);
    let size = columns.iter().fold(0.0, |max: f64, v| max.max(v.abs()));
    let difference = columns.iter().zip(transpose(&columns, n));
    let symmetric = difference.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) < 3e-6 * size;
    // Rounding in single precision is no part of the claim: the symmetric part is looked at.
    let half: Vec<f64> =
        columns.iter().zip(transpose(&columns, n)).map(|(a, b)| 0.5 * (a + b)).collect();
    symmetric && is_positive_definite(&half, n)
}

#[test]
fn spd_and_sweep_are_positive_definite_for_any_weights_on_any_mesh() {
    for variant in [Variant::Spd, Variant::Sweep] {
        for (seed, size) in [(1, 0.1), (2, 1.0), (3, 3.0), (4, 0.5), (5, 1.0), (6, 2.0)] {
            let patch = if seed % 2 == 0 { Patch::Square } else { Patch::Pattern };
            let net = network(variant, patch, &vec![8; (seed % 3) as usize]);
            let mut random = Random::new(seed, 0);
            let parameters =
                (0..net.len()).map(|_| (size * (2.0 * random.unit() - 1.0)) as f32).collect();
            let weights = Weights { variant, net, parameters };
            // Shifts that no network was trained on; then coefficients that jump, with the coarse correction.
            for (shift, contrast) in [(0.3, 1.0), (0.45, 1.0), (0.49, 1.0), (0.45, 100.0)] {
                let coefficient =
                    if contrast > 1.0 { Coefficient::Jump } else { Coefficient::Constant };
                let poisson =
                    Poisson { shift, coefficient, contrast, seed, ..Poisson::at_level(3) };
                let system = Problem::Poisson(poisson).generate(Comm::solo()).unwrap().0;
                let m = ReferenceMap::new(&weights, &system, None).unwrap();
                assert!(m.properties().positive_definite);
                assert!(is_spd(&m, 49), "{variant:?}, seed {seed}, shift {shift}, {contrast}");
            }
        }
    }
}

/// Iterations of conjugate gradients by the relative residual, 1e-5.
fn cg_iterations(problem: &Poisson, index: u64, params: Value) -> usize {
    let problem = Problem::Poisson(problem.clone());
    let (system, b) = problem.generate_nth(Comm::solo(), index).unwrap();
    let m = reference(params, &system).unwrap();
    cg(system.a(), &m, &b)
}

#[test]
fn the_sweep_variant_holds_on_strongly_distorted_meshes() {
    for (level, meshes) in [(5, 6), (6, 3), (7, 2)] {
        for (shift, limit) in [(0.25, 4), (0.35, 5), (0.4, 7), (0.45, 9)] {
            for index in 0..meshes {
                let poisson = Poisson { shift, seed: 901, ..Poisson::at_level(level) };
                let count = cg_iterations(&poisson, index, json!({ "variant": "sweep" }));
                assert!(count <= limit, "level {level}, shift {shift}: {count}");
            }
        }
    }
}

#[test]
fn coefficients_that_vary_cost_few_iterations() {
    let of = |coefficient, level| Poisson { coefficient, seed: 902, ..Poisson::at_level(level) };
    for (variant, jump) in [("spd", 8), ("sweep", 6)] {
        for level in [5, 6, 7] {
            for (coefficient, limit) in
                [(Coefficient::Smooth, 6), (Coefficient::LogNormal, 9), (Coefficient::Jump, jump)]
            {
                let params = json!({ "variant": variant });
                let count = cg_iterations(&of(coefficient, level), 0, params);
                assert!(count <= limit, "{variant} {level} {coefficient:?}: {count}");
            }
        }
    }
    // Scaling and the coarse correction are what does it.
    let jump = of(Coefficient::Jump, 6);
    let count = |params| cg_iterations(&jump, 0, params);
    let (all, scaled, none) =
        (count(json!({})), count(json!({"coarse": 0})), count(json!({"coefficient": "none"})));
    assert!(all < scaled && scaled < none, "{all} {scaled} {none}");
    // The diagonal tells nearly as much as the coefficient.
    let smooth = of(Coefficient::Smooth, 6);
    let (given, estimated) = (
        cg_iterations(&smooth, 0, json!({})),
        cg_iterations(&smooth, 0, json!({"coefficient": "estimated"})),
    );
    assert!(estimated <= given + 2, "{given} {estimated}");
}

#[test]
fn other_right_hand_sides_take_at_most_one_iteration_more() {
    for variant in ["spd", "stencil", "sweep"] {
        for level in [4, 6] {
            let count = |rhs, index| {
                let poisson = Poisson { rhs, seed: 903, ..Poisson::at_level(level) };
                let problem = Problem::Poisson(poisson);
                let (system, b) = problem.generate_nth(Comm::solo(), index).unwrap();
                let m = reference(json!({ "variant": variant }), &system).unwrap();
                richardson(system.a(), &m, &b)
            };
            for index in 0..4 {
                let ones = count(Rhs::Ones, index);
                for rhs in [Rhs::Load, Rhs::Random] {
                    let other = count(rhs, index);
                    assert!(other <= ones + 1, "{variant} {level} {rhs:?}: {other} for {ones}");
                }
            }
        }
    }
}

#[test]
fn ranks_give_the_same_map() {
    let problem = Problem::Poisson(Poisson { seed: 5, ..Poisson::at_level(4) });
    let residual = |row: u64| (row as f64 * 0.7).sin();
    let apply = |comm: Comm, make: &dyn Fn(&System) -> Box<dyn Preconditioner>| {
        let system = problem.generate(comm).unwrap().0;
        let m = make(&system);
        let r: Vec<f64> =
            (0..system.a().n_own()).map(|i| residual(system.a().global_row(i))).collect();
        let mut z = vec![f64::NAN; r.len()];
        m.apply(&r, &mut z).unwrap();
        z
    };
    let make = |system: &System| -> Box<dyn Preconditioner> {
        Box::new(reference(json!({}), system).unwrap())
    };
    let alone = apply(Comm::solo(), &make);
    for ranks in [2, 3, 5] {
        let parts = threads::run(ranks, |comm| apply(Comm::new(comm), &make));
        assert_eq!(parts.concat(), alone, "{ranks} ranks");
    }
    let small = Problem::Poisson(Poisson { seed: 5, ..Poisson::at_level(2) });
    let dense_on = |comm: Comm| {
        let system = small.generate(comm).unwrap().0;
        let m = dense(json!({}), &system).unwrap();
        let r: Vec<f64> =
            (0..system.a().n_own()).map(|i| residual(system.a().global_row(i))).collect();
        let mut z = vec![f64::NAN; r.len()];
        m.apply(&r, &mut z).unwrap();
        z
    };
    let alone = dense_on(Comm::solo());
    let parts = threads::run(3, |comm| dense_on(Comm::new(comm))).concat();
    assert!(parts.iter().zip(&alone).all(|(a, b)| (a - b).abs() < 1e-12));
}

fn matrix(n: usize, entries: Vec<(usize, usize, f64)>) -> System {
    System::new(DistCsr::solo(Csr::from_triplets(n, n, entries).unwrap()).unwrap())
}

#[test]
fn matrices_that_do_not_fit_are_refused_with_the_row() {
    let line: Vec<_> = (0..9usize)
        .flat_map(|i| [(i, i, 2.0), (i, (i + 4) % 9, -0.5), ((i + 4) % 9, i, -0.5)])
        .collect();
    let odd = matrix(9, line);
    let fresh = system(3, 0.25, 0);
    let why = |params: Value, system: &System| {
        [reference(params.clone(), system).err(), dense(params, system).err()]
            .map(|e| e.map_or(String::new(), |e| e.to_string()))
    };
    for text in why(json!({}), &odd) {
        assert!(text.contains("row 0") && text.contains("grid = [mx, my]"), "{text}");
    }
    for text in why(json!({"grid": [3, 3]}), &odd) {
        assert!(text.contains("global row 0 does not fit the seven-point pattern"), "{text}");
    }
    for text in why(json!({"grid": [7, 6]}), &fresh) {
        assert!(text.contains("a grid of 7 by 6 nodes does not fit 49 unknowns"), "{text}");
    }
    let text = dense(json!({}), &system(4, 0.25, 0)).err().unwrap().to_string();
    assert!(text.contains("no shipped model for a 15 by 15 grid"), "{text}");
}

#[test]
fn rows_that_do_not_fit_are_global_rows_on_every_rank() {
    let outcome = threads::run(2, |comm| {
        let comm = Comm::new(comm);
        let problem = Problem::Poisson(Poisson::at_level(2));
        let system = problem.generate(comm).unwrap().0;
        let grid = json!({"grid": [9, 1]});
        reference(grid, &system).err().unwrap().to_string()
    });
    for text in outcome {
        assert!(text.contains("global row 0 does not fit"), "{text}");
    }
}

#[test]
fn unusable_models_are_refused_with_the_reason() {
    let spd = include_bytes!("../../models/mlp-reference-spd.safetensors");
    let plain = include_bytes!("../../../dense/models/mlp-dense-plain-level2.safetensors");
    let at = |level: u32, bytes: &[u8], mut params: Value| {
        let system = system(level, 0.25, 0).with_host(Arc::new(OneFile(bytes.to_vec())));
        params["model"] = "model.safetensors".into();
        let text = |e: Option<Error>| e.map_or("accepted".to_owned(), |e| e.to_string());
        (text(reference(params.clone(), &system).err()), text(dense(params, &system).err()))
    };
    let with = |bytes: &[u8]| at(2, bytes, json!({}));
    assert_eq!(with(spd).0, "accepted");
    assert_eq!(with(plain).1, "accepted");
    let other = with(plain).0;
    assert!(
        other.contains("model 'model.safetensors'") && other.contains("for the method 'mlp-dense'"),
        "{other}"
    );
    assert!(with(spd).1.contains("for the method 'mlp-reference'"));
    assert!(with(&spd[..spd.len() - 9]).0.contains("damaged"));
    assert!(with(b"").0.contains("damaged"));
    let mut nan = spd.to_vec();
    let end = nan.len();
    nan[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    assert!(with(&nan).0.contains("has NaN at place"));
    // Same length, another width: the arrays no longer have the shapes of the architecture.
    let width = br#"\"hidden\":[32,"#;
    let place = spd.windows(width.len()).position(|bytes| bytes == width).unwrap();
    let mut narrow = spd.to_vec();
    narrow[place + width.len() - 2] = b'1';
    assert!(with(&narrow).0.contains("has shape"), "{}", with(&narrow).0);
    let size = at(3, plain, json!({})).1;
    assert!(size.contains("for a 3 by 3 grid, the matrix has 7 by 7 nodes"), "{size}");
    assert!(at(2, spd, json!({"variant": "stencil"})).0.contains("'variant'"));
    let missing = system(3, 0.25, 0).with_host(Arc::new(OneFile(vec![])));
    let missing = reference(json!({"model": "no.safetensors"}), &missing).err().unwrap();
    assert!(missing.to_string().contains("no.safetensors: no such file"));
}

#[test]
fn bands_of_a_generated_system_are_the_matrix() {
    let system = system(3, 0.25, 2);
    let bands = Bands::of(system.a(), None).unwrap();
    assert_eq!(bands.grid, Grid { mx: 7, my: 7 });
    let at = (3 + 1) * 8 + 2 + 1;
    let row = 3 * 7 + 2;
    let entry = |column: usize| system.a().own().view().get(row, column);
    for (band, column) in [(0, row), (1, row + 1), (2, row + 7), (3, row + 8)] {
        assert_eq!(bands.plane(band)[at], entry(column));
    }
}
