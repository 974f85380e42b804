//! The post-only form, and interpolation at the nodes' positions: against dense algebra, in both precisions, on ranks and threads; counts.
#![allow(clippy::unwrap_used)]
use precondor_plugin_reference::{Params, Reference, Source, Variant, traffic};
use precondor_sdk::core::comm::count::Counted;
use precondor_sdk::core::comm::predict::Layout;
use precondor_sdk::core::comm::{Comm, threads};
use precondor_sdk::core::matrix::Csr;
use precondor_sdk::core::problem::{Poisson, Problem, Tetrahedra};
use precondor_sdk::core::registry::Native;
use precondor_sdk::core::solver::{Algorithm, Criterion, Outcome, Stop, solve};
use precondor_sdk::core::system::COORDINATES;
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::{Value, json};
use std::ops::ControlFlow;
use std::sync::Arc;

use precondor_testkit::algebra::*;
use precondor_testkit::ranks::{cuts, on_parts};
use precondor_testkit::threads::ThreeThreads;

const RICHARDSON: Algorithm = Algorithm::Richardson { damping: 1.0 };

fn triangles(level: u32, shift: f64, seed: u64) -> Problem {
    Problem::Poisson(Poisson { shift, seed, ..Poisson::at_level(level) })
}

fn tetrahedra(nodes: usize, shift: f64) -> Problem {
    Problem::Tetrahedra(Tetrahedra { nodes, shift, seed: 61, ..Tetrahedra::default() })
}

fn system(problem: &Problem) -> (System, Vec<f64>) {
    problem.generate(Comm::solo()).unwrap()
}

fn generate(params: &Value, system: &System) -> Result<Box<dyn Instance>> {
    Native::<Reference>::method().generate(params, system)
}

/// The same matrix with other coordinates, or none.
fn placed(system: &System, places: Option<(usize, Vec<f64>)>) -> System {
    let bare = System::new(system.a().clone());
    places.map_or(bare.clone(), |(width, places)| bare.with_coordinates(width, places).unwrap())
}

fn places(system: &System) -> Vec<f64> {
    system.coordinates().unwrap().values.to_vec()
}

fn applied(m: &dyn Preconditioner, n: usize) -> Vec<f64> {
    let r: Vec<f64> = (0..n).map(|i| (0.7 * i as f64).sin()).collect();
    let mut z = vec![f64::NAN; n];
    m.apply(&r, &mut z).unwrap();
    z
}

/// How far two vectors are apart, relative to the largest entry.
fn apart(one: &[f64], other: &[f64]) -> f64 {
    let largest = one.iter().fold(0.0, |most: f64, z| most.max(z.abs()));
    one.iter().zip(other).map(|(a, b)| (a - b).abs() / largest).fold(0.0, f64::max)
}

/// Iterations to 1e-8 of the residual.
fn count(method: Algorithm, params: &Value, (system, b): &(System, Vec<f64>)) -> usize {
    let m = generate(params, system).unwrap();
    let criterion = Criterion::RelativeResidual;
    let stop = Stop { criterion, tolerance: 1e-8, max_iterations: 100, divergence: 1e6 };
    let (mut x, mut watch) = (vec![0.0; b.len()], |_: &_| ControlFlow::Continue(()));
    let report = solve(&method, system.a(), &*m, b, &mut x, &stop, &mut watch).unwrap();
    assert_eq!(report.outcome, Outcome::Converged, "{params}");
    assert!(report.true_relative_residual <= 1.1e-8);
    report.iterations
}

fn matrix_of(params: &Value, system: &System) -> Dense {
    let (m, n) = (generate(params, system).unwrap(), system.a().n_own());
    let column = |j: usize| {
        let r: Vec<f64> = (0..n).map(|i| f64::from(u8::from(i == j))).collect();
        let mut z = vec![f64::NAN; n];
        m.apply(&r, &mut z).unwrap();
        z
    };
    transpose(&(0..n).map(column).collect())
}

fn unit(i: usize, j: usize) -> f64 {
    f64::from(u8::from(i == j))
}

/// I − M A.
fn error_of(m: &Dense, a: &Dense) -> Dense {
    let product = multiply(m, a);
    dense(a.len(), |i, j| unit(i, j) - product[i][j])
}

/// I − S A of what smooths after the reference solve.
fn smoothed(smoother: &str, a: &Dense) -> Dense {
    let n = a.len();
    match smoother {
        "none" => dense(n, unit),
        "jacobi" => dense(n, |i, j| unit(i, j) - 0.6 * a[i][j] / a[i][i]),
        "gauss-seidel" => {
            let upper = inverse(&dense(n, |i, j| if j >= i { a[i][j] } else { 0.0 }));
            error_of(&upper, a)
        }
        _ => {
            // Four steps on [1/5, 1]: T₄((θ − D₁⁻¹A)/δ)/T₄(θ/δ) with θ = 3/5, δ = 2/5; T₄ = 8x⁴ − 8x² + 1.
            let sum = |i: usize| a[i].iter().map(|v| v.abs()).sum::<f64>();
            let x = dense(n, |i, j| (0.6 * unit(i, j) - a[i][j] / sum(i)) / 0.4);
            let square = multiply(&x, &x);
            let fourth = multiply(&square, &square);
            let most = 8.0 * 1.5f64.powi(4) - 8.0 * 1.5f64.powi(2) + 1.0;
            dense(n, |i, j| (8.0 * fourth[i][j] - 8.0 * square[i][j] + unit(i, j)) / most)
        }
    }
}

#[test]
fn what_follows_the_reference_solve_multiplies_its_error() {
    let (system, _) = system(&triangles(3, 0.45, 4));
    let a = dense(49, |i, j| system.a().own().view().get(i, j));
    for positions in ["none", "given"] {
        let params = |variant: &str, smoother: &str, bad: f64| {
            json!({"variant": variant, "smoother": smoother, "bad_nodes": bad, "positions": positions,
                "precision": "f64"})
        };
        let error = |params: &Value| error_of(&matrix_of(params, &system), &a);
        let bare = error(&params("symmetric", "none", 0.0));
        assert!(distance(&bare, &error(&params("post-only", "none", 0.0))) < 1e-13);
        // Rows where nothing is left of a residual are those of the bad nodes.
        let solved = {
            let m = matrix_of(&params("post-only", "none", 1.3), &system);
            let product = multiply(&a, &m);
            let is = |i: &usize| (0..49).all(|j| (unit(*i, j) - product[*i][j]).abs() < 1e-11);
            (0..49).filter(is).collect::<Vec<usize>>()
        };
        assert!((2..25).contains(&solved.len()), "{solved:?}");
        let block = inverse(&dense(solved.len(), |p, q| a[solved[p]][solved[q]]));
        let at = |i: usize| solved.iter().position(|&s| s == i);
        let b = dense(49, |i, j| at(i).zip(at(j)).map_or(0.0, |(p, q)| block[p][q]));
        for smoother in ["none", "jacobi", "gauss-seidel", "chebyshev"] {
            for bad in [0.0, 1.3] {
                let mut params = params("post-only", smoother, bad);
                match smoother {
                    "jacobi" => params["damping"] = 0.6.into(),
                    "chebyshev" => params["degree"] = 4.into(),
                    _ => {}
                }
                let solve =
                    if bad > 0.0 { multiply(&error_of(&b, &a), &bare) } else { bare.clone() };
                let expected = multiply(&smoothed(smoother, &a), &solve);
                let off = distance(&error(&params), &expected);
                assert!(off < 1e-11, "{params}: {off:e}");
                let is = generate(&params, &system).unwrap().properties();
                assert!(!is.symmetric && !is.positive_definite && is.constant, "{params}");
            }
        }
    }
}

/// Six steps, a product with A each.
#[test]
fn richardson_takes_the_published_counts_in_the_post_only_form() {
    let params = json!({"variant": "post-only"});
    for level in [6, 7, 8] {
        for (shift, most) in [(0.25, 7), (0.35, 8)] {
            let found = count(RICHARDSON, &params, &system(&triangles(level, shift, 71)));
            assert!(found <= most, "level {level}, shift {shift}: {found}");
        }
    }
    for (nodes, shift, most) in [(15, 0.2, 7), (23, 0.28, 9)] {
        let found = count(RICHARDSON, &params, &system(&tetrahedra(nodes, shift)));
        assert!(found <= most, "{nodes} nodes, shift {shift}: {found}");
    }
    // GMRES takes it as well; conjugate gradients refuse it.
    let problem = system(&triangles(6, 0.25, 71));
    assert!(count(Algorithm::Gmres { restart: 30 }, &params, &problem) <= 8);
    let m = generate(&params, &problem.0).unwrap();
    let stop = Stop {
        criterion: Criterion::RelativeResidual,
        tolerance: 1e-8,
        max_iterations: 9,
        divergence: 1e6,
    };
    let (mut x, mut watch) = (vec![0.0; problem.1.len()], |_: &_| ControlFlow::Continue(()));
    let refused = solve(&Algorithm::Cg, problem.0.a(), &*m, &problem.1, &mut x, &stop, &mut watch);
    assert!(refused.unwrap_err().to_string().contains("this one is not symmetric"));
}

/// Four iterations where nodes are known, at any level and shift, and at most one more where A tells of them.
#[test]
fn positions_take_half_of_the_iterations() {
    for (variant, method) in [("symmetric", Algorithm::Cg), ("post-only", RICHARDSON)] {
        for level in [6, 7, 8] {
            for shift in [0.1, 0.25, 0.35] {
                let problem = system(&triangles(level, shift, 72));
                for (source, most) in [("given", 4), ("estimated", 5)] {
                    let params = json!({"variant": variant, "positions": source});
                    let found = count(method, &params, &problem);
                    assert!(found <= most, "level {level}, shift {shift}, {params}: {found}");
                }
            }
        }
    }
}

#[test]
fn both_precisions_give_the_same_in_every_form_and_on_threads() {
    let problems =
        [triangles(4, 0.3, 9), triangles(5, 0.45, 9), tetrahedra(7, 0.2), tetrahedra(9, 0.4)];
    let mut systems: Vec<System> = problems.iter().map(|problem| system(problem).0).collect();
    systems.push(torus(21, 20));
    for (which, system) in systems.iter().enumerate() {
        let n = system.a().n_own();
        for variant in ["symmetric", "post-only"] {
            for positions in ["none", "given", "estimated"] {
                let apply = |precision: &str, threads: bool| {
                    let params =
                        json!({"variant": variant, "positions": positions, "precision": precision});
                    let system = system.clone();
                    let on =
                        if threads { system.with_host(Arc::new(ThreeThreads)) } else { system };
                    let m = generate(&params, &on).unwrap();
                    (applied(&*m, n), m.notes())
                };
                let ((double, notes), (single, same)) = (apply("f64", false), apply("f32", false));
                let told = format!("{which} {variant} {positions} {notes:?}");
                assert_eq!(notes, same, "{told}");
                let off = apart(&double, &single);
                assert!(off > 0.0 && off < 6e-6, "{told}: {off:e}");
                assert_eq!(apply("f32", true).0, single, "{told}");
                if which == 0 || which == 4 {
                    let out = notes.iter().any(|n| n.contains("left out"));
                    assert!(!out, "{told}");
                }
            }
        }
    }
}

/// Linear elements on triangles around a torus whose nodes are shifted, with their places.
fn torus(mx: usize, my: usize) -> System {
    let noise = |i: usize, j: usize, k: usize| {
        let mixed = (131 * i + 17 * j + 7 * k + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        0.5 * ((mixed >> 40) as f64 / (1u64 << 24) as f64 - 0.5)
    };
    let place = |i: usize, j: usize| {
        let (a, b) = (i % mx, j % my);
        [i as f64 + noise(a, b, 0), j as f64 + noise(a, b, 1)]
    };
    let mut entries = Vec::new();
    for (i, j) in (0..my).flat_map(|j| (0..mx).map(move |i| (i, j))) {
        for corners in [[(i, j), (i + 1, j), (i + 1, j + 1)], [(i, j), (i + 1, j + 1), (i, j + 1)]]
        {
            let at = corners.map(|(i, j)| place(i, j));
            let across = |k: usize| {
                let [p, q] = [at[(k + 1) % 3], at[(k + 2) % 3]];
                [q[0] - p[0], q[1] - p[1]]
            };
            let [u, v] = [across(1), across(2)];
            let area = 0.5 * (u[0] * v[1] - u[1] * v[0]).abs();
            for (p, q) in (0..3).flat_map(|p| (0..3).map(move |q| (p, q))) {
                let [e, f] = [across(p), across(q)];
                let row = |k: usize| corners[k].1 % my * mx + corners[k].0 % mx;
                entries.push((row(p), row(q), (e[0] * f[0] + e[1] * f[1]) / (4.0 * area)));
            }
        }
    }
    let a = DistCsr::solo(Csr::from_triplets(mx * my, mx * my, entries).unwrap()).unwrap();
    let places = (0..my).flat_map(|j| (0..mx).flat_map(move |i| place(i, j))).collect();
    System::new(a).with_coordinates(2, places).unwrap()
}

#[test]
fn no_bit_depends_on_the_number_of_ranks() {
    for (whole, dims) in
        [(system(&triangles(3, 0.3, 5)).0, 49), (system(&tetrahedra(4, 0.2)).0, 64)]
    {
        for variant in ["symmetric", "post-only"] {
            for positions in ["none", "given", "estimated"] {
                let params = json!({
                    "variant": variant, "positions": positions, "bad_nodes": 0.0, "precision": "f64"
                });
                let on = |starts: &[u64]| {
                    let parts = on_parts(&whole, starts, |system| {
                        let m = generate(&params, &system).unwrap();
                        assert!(m.properties().rank_independent);
                        let first = system.a().space().start() as usize;
                        let n = system.a().n_own();
                        let r: Vec<f64> =
                            (0..n).map(|i| (0.7 * (first + i) as f64).sin()).collect();
                        let mut z = vec![f64::NAN; n];
                        m.apply(&r, &mut z).unwrap();
                        (z, m.stored_entries())
                    });
                    let entries: usize = parts.iter().map(|part| part.1).sum();
                    (parts.into_iter().flat_map(|part| part.0).collect::<Vec<f64>>(), entries)
                };
                let alone = on(&[0, dims]);
                for starts in cuts(dims) {
                    assert!(on(&starts) == alone, "{params} {starts:?}");
                }
            }
        }
    }
}

#[test]
fn what_an_application_sends_is_predicted() {
    for (variant, degree) in
        [(Variant::Symmetric, None), (Variant::PostOnly, None), (Variant::PostOnly, Some(2))]
    {
        let params = Params { variant, degree, bad_nodes: Some(0.0), ..Params::default() };
        let predicted = traffic::reference(Layout { m: 15, p: 3 }, &params).unwrap();
        let sent = threads::run(3, |world| {
            let counted = Counted::new(world);
            let counter = counted.counter();
            let problem = triangles(4, 0.25, 3);
            let (system, b) = problem.generate(Comm::new(Arc::new(counted))).unwrap();
            let comm = system.a().space().comm();
            let m = comm.scope(|| Reference::generate(&params, &system)).unwrap();
            let (before, mut z) = (counter.read(), vec![0.0; b.len()]);
            m.apply(&b, &mut z).unwrap();
            counter.read() - before
        });
        for (sent, predicted) in sent.iter().zip(&predicted) {
            assert_eq!(*sent, predicted.traffic, "{variant:?} {degree:?}");
        }
    }
    // Whether there are any positions, only the system tells.
    let params = Params { positions: Source::Auto, bad_nodes: Some(0.0), ..Params::default() };
    assert!(traffic::reference(Layout { m: 15, p: 3 }, &params).is_none());
}

#[test]
fn coordinates_may_have_any_units_and_directions() {
    let (system, _) = system(&triangles(5, 0.3, 6));
    let n = system.a().n_own();
    let params = json!({"positions": "given", "precision": "f64"});
    let m = |system: &System| {
        let m = generate(&params, system).unwrap();
        assert!(!m.notes().iter().any(|note| note.contains("left out")), "{:?}", m.notes());
        applied(&*m, n)
    };
    let (here, given) = (m(&system), places(&system));
    let maps: [fn(f64, f64) -> [f64; 2]; 4] = [
        |x, y| [y, x],
        |x, y| [3.0 - 1e-9 * x, 2.0 + 1e-9 * y],
        |x, y| [1e150 * (0.6 * x - 0.8 * y), 1e150 * (0.8 * x + 0.6 * y)],
        |x, y| [1e-120 * x, 1e-120 * (y + 0.3 * x)],
    ];
    for (which, map) in maps.into_iter().enumerate() {
        let moved = given.chunks_exact(2).flat_map(|p| map(p[0], p[1])).collect();
        let off = apart(&here, &m(&placed(&system, Some((2, moved)))));
        assert!(off < if which == 1 { 1e-6 } else { 1e-7 }, "map {which}: {off:e}");
    }
}

#[test]
fn what_is_no_place_of_a_node_of_this_grid_is_left_out_and_told() {
    let (whole, _) = system(&triangles(4, 0.25, 7));
    let n = whole.a().n_own();
    let none = applied(&*generate(&json!({}), &whole).unwrap(), n);
    let given = places(&whole);
    let other = places(&system(&triangles(4, 0.25, 8)).0);
    let rough = (0..2 * n).map(|i| given[i] + 0.1 * (1e3 * i as f64).sin()).collect();
    let turned: Vec<f64> = given.chunks_exact(2).rev().flatten().copied().collect();
    let bent = given.chunks_exact(2).flat_map(|p| [p[0] + 0.4 * (p[1] * 6.0).sin(), p[1]]);
    let mut far = given.clone();
    far[20] += 1.5 / 16.0;
    let plain: Vec<f64> = given.chunks_exact(2).flat_map(|p| [p[0], p[0]]).collect();
    for (places, why) in [
        (other, "they are not those of A"),
        (rough, "spacings away from its place"),
        (turned, "they are not those of A"),
        (bent.collect(), "spacings away from its place"),
        (far, "spacings away from its place"),
        (plain, "do not span the grid"),
        (vec![0.5; 2 * n], "do not span the grid"),
    ] {
        let system = placed(&whole, Some((2, places)));
        for positions in ["given", "auto"] {
            let m = generate(&json!({ "positions": positions }), &system).unwrap();
            let note = m.notes().pop().unwrap();
            assert!(note.starts_with("the nodes' positions are left out: "), "{note}");
            assert!(note.contains(why), "{note}");
            assert_eq!(applied(&*m, n), none, "{why}");
        }
    }
    // Nodes where the grid has them: nothing to tell, and nothing to do.
    let (still, _) = system(&triangles(4, 0.0, 7));
    let m = |positions: &str| generate(&json!({ "positions": positions }), &still).unwrap();
    assert_eq!(m("given").notes(), m("none").notes());
    assert_eq!(m("estimated").stored_entries(), m("none").stored_entries());
    // Spacings that differ, a multiple of the mass, fewer than three nodes, free ends.
    for (system, positions, why) in [
        (
            line(&[1.0, 1.0, 3.0, 9.0, 27.0], [1.0; 2], 0.0),
            "auto",
            "spacings along y are not equal",
        ),
        (line(&[1.0; 3], [1.0; 2], 0.0), "auto", "there are 2 nodes along y"),
        (line(&[1.0; 6], [1.0; 2], 0.3), "estimated", "A is not zero for constants"),
        (line(&[1.0; 6], [0.0, 1.0], 0.0), "estimated", "the ends of an axis are not walls"),
    ] {
        let note = generate(&json!({ "positions": positions }), &system).unwrap().notes().pop();
        assert!(note.as_ref().is_some_and(|note| note.contains(why)), "{note:?}");
    }
    // Where none come along they are refused if they are asked for.
    for places in [None, Some((1, vec![0.0; n])), Some((3, vec![0.0; 3 * n]))] {
        let system = placed(&whole, places);
        let why = generate(&json!({"positions": "given"}), &system).err().unwrap().to_string();
        let told = "parameter 'positions': the system does not come with 2 coordinates a node";
        assert_eq!(why, told);
        let notes = generate(&json!({"positions": "auto"}), &system).unwrap().notes();
        assert!(notes.iter().any(|n| n.contains("does not come with 2 coordinates")), "{notes:?}");
    }
    let both = json!({"positions": "auto", "interpolation": 0.5});
    let why = generate(&both, &whole).err().unwrap().to_string();
    assert!(why.starts_with("parameter 'positions': with 'interpolation'"), "{why}");
}

/// Five equal spacings along x; along y couplings between these walls, the first and the last times `ends`; and a multiple of the mass.
fn line(k: &[f64], ends: [f64; 2], mass: f64) -> System {
    let (mx, my) = (5, k.len() - 1);
    let mut k = k.to_vec();
    k[0] *= ends[0];
    k[my] *= ends[1];
    let mut entries = Vec::new();
    for (i, j) in (0..my).flat_map(|j| (0..mx).map(move |i| (i, j))) {
        let row = j * mx + i;
        entries.push((row, row, 2.0 + k[j] + k[j + 1] + mass));
        if i > 0 {
            entries.extend([(row, row - 1, -1.0), (row - 1, row, -1.0)]);
        }
        if j > 0 {
            entries.extend([(row, row - mx, -k[j]), (row - mx, row, -k[j])]);
        }
    }
    let a = DistCsr::solo(Csr::from_triplets(mx * my, mx * my, entries).unwrap()).unwrap();
    let places = (0..my).flat_map(|j| (0..mx).flat_map(move |i| [i as f64, j as f64])).collect();
    System::new(a).with_aux(COORDINATES, 2, places).unwrap()
}
