//! The kinds of problems: definite, the same on any number of ranks, consistent
//! with the equations they stand for.
use precondor_core::comm::{Comm, threads};
use precondor_core::problem::{
    Circuit, Convection, Cube, Diffusion, Elasticity, Families, Field, Graph, Grid, Heat,
    Helmholtz, LShape, MeshKind, MinimalSurface, Problem, Rhs, Tetrahedra,
};
use precondor_core::system::System;
use precondor_core::train::Samples;
use serde_json::json;

fn make(problem: &Problem) -> (System, Vec<f64>) {
    problem.generate(Comm::solo()).expect("valid parameters")
}

fn diffusion(mesh: MeshKind, coefficient: Field, m: usize) -> Diffusion {
    Diffusion { nodes: Some(m), mesh, coefficient, shift: 0.3, seed: 4, ..Diffusion::default() }
}

/// Some of the many kinds of grids.
const GRIDS: [&str; 8] = [
    r#"{"nodes": [6, 5], "shift": 0.45}"#,
    r#"{"nodes": [6, 5], "scheme": "q1", "ends": ["periodic", "dirichlet-neumann"], "coefficient": [0.5, 1.5]}"#,
    r#"{"nodes": [4, 12], "map": "annulus", "ends": ["dirichlet", "periodic"], "shift": 0.3, "rhs": "load"}"#,
    r#"{"nodes": [4, 3, 5], "shift": 0.4, "spacing": [1.0, 10.0, 0.1], "rhs": "ones"}"#,
    r#"{"nodes": [4, 3, 5], "scheme": "q1", "map": "sine", "shift": 0.3, "tau": 10}"#,
    r#"{"nodes": [3, 4, 3], "ends": ["neumann"], "tau": 0.5, "shift": 0.2, "coefficient": [0.1, 2]}"#,
    r#"{"nodes": [4, 4, 3], "scheme": "fv", "ends": ["neumann", "periodic", "dirichlet"], "coefficient": [0.5, 1.5]}"#,
    r#"{"nodes": [7, 5], "scheme": "fv", "ends": ["periodic", "neumann"], "spacing": [3, 20], "tau": 1, "coefficient": [1, 2]}"#,
];

/// One of each kind.
fn all() -> Vec<Problem> {
    let mut all = Vec::new();
    for mesh in [MeshKind::Grid, MeshKind::Delaunay] {
        for coefficient in [Field::Constant, Field::LogNormal, Field::White, Field::Blocks] {
            for anisotropy in [1.0, 0.1] {
                let problem = Diffusion { anisotropy, ..diffusion(mesh, coefficient, 9) };
                all.push(Problem::Diffusion(Diffusion { scale: 3.0, deviation: 1.5, ..problem }));
            }
        }
    }
    for (deviation, anisotropy) in [(0.0, 1.0), (1.0, 1.0), (2.0, 0.01)] {
        all.push(Problem::Cube(Cube { nodes: 5, deviation, anisotropy, ..Cube::default() }));
    }
    all.push(Problem::Diffusion(Diffusion {
        stretch: 100.0,
        ..diffusion(MeshKind::Grid, Field::White, 6)
    }));
    all.push(Problem::Diffusion(diffusion(MeshKind::Random, Field::Blocks, 7)));
    all.push(Problem::LShape(LShape { nodes: 5, ..LShape::default() }));
    for (decades, stretch) in [(0.0, 1.0), (2.0, 10.0)] {
        all.push(Problem::Tetrahedra(Tetrahedra {
            nodes: 4,
            decades,
            stretch,
            ..Tetrahedra::default()
        }));
    }
    for (dimension, length, decades) in [(2, 1, 0.0), (2, 4, 1.0), (3, 1, 0.0), (3, 2, 1.0)] {
        let elasticity =
            Elasticity { dimension, nodes: 3, length, decades, ..Elasticity::default() };
        all.push(Problem::Elasticity(elasticity));
    }
    all.push(Problem::Graph(Graph { nodes: 90, ..Graph::default() }));
    for (rails, units) in [(0, 0.0), (3, 4.0)] {
        all.push(Problem::Circuit(Circuit { nodes: 90, rails, units, ..Circuit::default() }));
    }
    for doc in GRIDS {
        let doc: serde_json::Value = serde_json::from_str(doc).expect("JSON");
        all.push(Problem::Grid(serde_json::from_value::<Grid>(doc).expect("a grid")));
    }
    all.push(Problem::Heat(Heat { nodes: 7, ..Heat::default() }));
    all.push(Problem::MinimalSurface(MinimalSurface { nodes: 7, ..MinimalSurface::default() }));
    all
}

/// Those with an unsymmetric matrix.
fn unsymmetric() -> Vec<Problem> {
    let convection =
        |peclet| Problem::Convection(Convection { nodes: 6, peclet, ..Convection::default() });
    [0.5, 10.0, 1e8].map(convection).to_vec()
}

/// Neither definite nor an M-matrix.
fn others() -> Vec<Problem> {
    let circuit = Circuit { nodes: 90, gyrators: 0.5, units: 2.0, ..Circuit::default() };
    let waves = Helmholtz { nodes: 9, deviation: 0.5, ..Helmholtz::default() };
    vec![Problem::Circuit(circuit), Problem::Helmholtz(waves)]
}

/// Whether elimination meets positive pivots only.
fn is_definite(mut a: Vec<Vec<f64>>) -> bool {
    let n = a.len();
    (0..n).all(|k| {
        let (top, rest) = a.split_at_mut(k + 1);
        let pivot = &top[k];
        for row in rest {
            let factor = row[k] / pivot[k];
            (k..n).for_each(|j| row[j] -= factor * pivot[j]);
        }
        pivot[k] > 0.0
    })
}

#[test]
fn matrices_are_symmetric_bit_for_bit_and_definite_and_rows_away_from_the_boundary_sum_to_zero() {
    for problem in all() {
        let (system, _) = make(&problem);
        let a = system.a().own().view();
        let n = a.n_rows();
        let dense: Vec<Vec<f64>> = (0..n).map(|i| (0..n).map(|j| a.get(i, j)).collect()).collect();
        for (i, row) in dense.iter().enumerate() {
            assert!((0..i).all(|j| row[j] == dense[j][i]), "row {i} of {problem:?}");
            let (sum, size) = (row.iter().sum::<f64>(), row[i]);
            let far = match &problem {
                // Nodes two steps from the boundary touch unknowns only.
                Problem::Diffusion(d) if d.mesh == MeshKind::Grid => {
                    let m = d.nodes.expect("given");
                    [i % m, i / m].iter().all(|&at| (1..m - 1).contains(&at))
                }
                Problem::Cube(_) => {
                    [i % 5, i / 5 % 5, i / 25].iter().all(|&at| (1..4).contains(&at))
                }
                _ => false,
            };
            assert!(!far || sum.abs() < 1e-13 * size, "row {i} of {problem:?}: {sum}");
        }
        assert!(is_definite(dense), "{problem:?}");
    }
}

#[test]
fn systems_are_the_same_bit_for_bit_on_any_number_of_ranks() {
    type Row = (u64, Vec<(u64, u64)>, Vec<u64>);
    let rows = |(system, b): &(System, Vec<f64>)| -> Vec<Row> {
        let a = system.a();
        let row = |i: usize| {
            let entries = a.global_entries(i).map(|(j, v)| (j, v.to_bits())).collect();
            let aux = |(_, x): (&str, &precondor_core::system::Aux)| {
                x.values[i * x.width..(i + 1) * x.width]
                    .iter()
                    .map(|v| v.to_bits())
                    .collect::<Vec<_>>()
            };
            let more = system.all_aux().flat_map(aux).chain([b[i].to_bits()]);
            (a.global_row(i), entries, more.collect())
        };
        (0..a.n_own()).map(row).collect()
    };
    for problem in all().into_iter().chain(unsymmetric()).chain(others()) {
        let whole = rows(&make(&problem));
        for size in [2, 3, 5] {
            let parts = threads::run(size, |comm| {
                rows(&problem.generate(Comm::new(comm)).expect("valid parameters"))
            });
            assert_eq!(parts.concat(), whole, "{size} ranks: {problem:?}");
        }
    }
}

/// ∫ K∇u·∇u for u = sin πx sin πy + ½ sin 2πx sin 2πy by the midpoint rule, and u.
fn energy([xx, xy, yy]: [f64; 3]) -> f64 {
    use std::f64::consts::PI;
    let n = 400;
    let at = |i: usize| (i as f64 + 0.5) / n as f64;
    let mut sum = 0.0;
    for (x, y) in (0..n).flat_map(|i| (0..n).map(move |j| (at(i), at(j)))) {
        let along = |x: f64, y: f64| {
            PI * (PI * x).cos() * (PI * y).sin() + PI * (2.0 * PI * x).cos() * (2.0 * PI * y).sin()
        };
        let [ux, uy] = [along(x, y), along(y, x)];
        sum += xx * ux * ux + 2.0 * xy * ux * uy + yy * uy * uy;
    }
    sum / (n * n) as f64
}

#[test]
fn the_energy_of_a_smooth_function_converges_with_the_square_of_the_grid_step() {
    use std::f64::consts::PI;
    let thin = 0.2;
    for (angle, tensor) in [
        (0.0, [1.0, 0.0, thin]),
        (90.0, [thin, 0.0, 1.0]),
        (45.0, [0.6, 0.4, 0.6]),
        (-45.0, [0.6, -0.4, 0.6]),
    ] {
        let exact = energy(tensor);
        for mesh in [MeshKind::Grid, MeshKind::Delaunay] {
            let error = |m: usize| {
                let problem = diffusion(mesh, Field::Constant, m);
                let problem = Diffusion { anisotropy: thin, angle: Some(angle), ..problem };
                let (system, _) = make(&Problem::Diffusion(problem));
                let places = system.aux("coordinates").expect("always there").values.clone();
                let u: Vec<f64> = places
                    .as_chunks()
                    .0
                    .iter()
                    .map(|[x, y]: &[f64; 2]| {
                        let wave = |k: f64| (k * PI * x).sin() * (k * PI * y).sin();
                        wave(1.0) + 0.5 * wave(2.0)
                    })
                    .collect();
                let mut au = vec![0.0; u.len()];
                system.a().spmv(&u, &mut au).expect("one rank");
                let energy: f64 = u.iter().zip(&au).map(|(u, au)| u * au).sum();
                (energy / exact - 1.0).abs()
            };
            let [coarse, fine] = [error(15), error(63)];
            assert!(fine < 0.002 && coarse / fine > 8.0, "{mesh:?} {angle}: {coarse} {fine}");
        }
    }
}

#[test]
fn loads_are_those_of_f_equal_to_one_and_the_cube_has_the_known_solution() {
    // The centre of the solution of −Δu = 1, from its Fourier series.
    let solve = |system: &System, b: &[f64]| {
        let a = system.a();
        let mut x = vec![0.0; b.len()];
        // Gauss–Seidel is enough at this size.
        for _ in 0..600 {
            for i in 0..b.len() {
                let sum: f64 = a.own().view().row(i).map(|(j, v)| v * x[j]).sum();
                x[i] += (b[i] - sum) / a.diagonal(i);
            }
        }
        x
    };
    for mesh in [MeshKind::Grid, MeshKind::Delaunay] {
        let problem =
            Diffusion { rhs: Rhs::Load, shift: 0.0, ..diffusion(mesh, Field::Constant, 15) };
        let (system, b) = make(&Problem::Diffusion(Diffusion { shift: 0.01, ..problem }));
        let x = solve(&system, &b);
        assert!((x[7 * 15 + 7] / 0.073_671_35 - 1.0).abs() < 0.01, "{mesh:?}");
    }
    let centre = |nodes: usize| {
        let cube = Cube { nodes, rhs: Rhs::Load, ..Cube::default() };
        let (system, b) = make(&Problem::Cube(cube));
        solve(&system, &b)[nodes * nodes * nodes / 2]
    };
    let [coarse, fine] = [7, 15].map(|m| (centre(m) / 0.056_212_2 - 1.0).abs());
    assert!(fine < 0.007 && coarse / fine > 3.5, "{coarse} {fine}");
}

#[test]
fn coefficients_multiply_the_matrix() {
    for mesh in [MeshKind::Grid, MeshKind::Delaunay] {
        let plain = make(&Problem::Diffusion(diffusion(mesh, Field::Constant, 7))).0;
        // One square covers everything.
        let blocks = Diffusion { scale: 8.0, ..diffusion(mesh, Field::Blocks, 7) };
        let scaled = make(&Problem::Diffusion(blocks)).0;
        let c = scaled.aux("coefficient").expect("not constant").values.clone();
        assert!(plain.aux("coefficient").is_none() && (c[0] - 1.0).abs() > 1e-3);
        for i in 0..49 {
            assert!((c[i] / c[0] - 1.0).abs() < 1e-13);
            for (j, v) in plain.a().own().view().row(i) {
                let wanted = c[0] * v;
                let got = scaled.a().own().view().get(i, j);
                assert!((got - wanted).abs() <= 1e-12 * c[0], "({i}, {j})");
            }
        }
        // Contrasts of a white field show in the nodal coefficient.
        let white = Diffusion { deviation: 2.0, ..diffusion(mesh, Field::White, 7) };
        let system = make(&Problem::Diffusion(white)).0;
        let nodal = system.aux("coefficient").expect("not constant").values.clone();
        for (i, c) in nodal.iter().enumerate() {
            let ratio = system.a().diagonal(i) / plain.a().diagonal(i);
            assert!(*c > 0.0 && ratio / c > 0.2 && ratio / c < 5.0, "row {i}: {ratio} for {c}");
        }
    }
}

#[test]
fn descriptions_go_there_and_back_and_mistakes_name_the_parameter() {
    for problem in all().into_iter().chain(unsymmetric()) {
        assert_eq!(Problem::from_json(&problem.to_json()), Ok(problem));
    }
    for (doc, why) in [
        (json!({"kind": "diffusion", "anisotropy": 0.0}), "'anisotropy': 0"),
        (json!({"kind": "diffusion", "shift": 0.5}), "'shift': 0.5"),
        (json!({"kind": "diffusion", "scale": -1}), "'scale': -1"),
        (json!({"kind": "diffusion", "deviation": 11}), "'deviation': 11"),
        (json!({"kind": "diffusion", "decades": 9}), "'decades': 9"),
        (json!({"kind": "diffusion", "angle": 360}), "'angle': 360"),
        (json!({"kind": "diffusion", "level": 2, "nodes": 3}), "either 'level' or 'nodes'"),
        (json!({"kind": "diffusion", "nodes": 20000}), "20000"),
        (json!({"kind": "cube", "nodes": 0}), "'nodes': 0"),
        (json!({"kind": "cube", "deviation": -1}), "'deviation': -1"),
        (json!({"kind": "cube", "anisotropy": 2}), "'anisotropy': 2"),
        (json!({"kind": "diffusion", "stretch": 0.5}), "'stretch': 0.5"),
        (json!({"kind": "l-shape", "nodes": 1}), "'nodes': 1"),
        (json!({"kind": "l-shape", "grading": 7}), "'grading': 7"),
        (json!({"kind": "tetrahedra", "nodes": 0}), "'nodes': 0"),
        (json!({"kind": "tetrahedra", "shift": 0.5}), "'shift': 0.5"),
        (json!({"kind": "tetrahedra", "decades": -1}), "'decades': -1"),
        (json!({"kind": "tetrahedra", "stretch": 0}), "'stretch': 0"),
        (json!({"kind": "elasticity", "dimension": 4}), "'dimension': 4"),
        (
            json!({"kind": "elasticity", "dimension": 3, "nodes": 300}),
            "'nodes': 300 is not within 1..200",
        ),
        (json!({"kind": "elasticity", "length": 0}), "'length': 0"),
        (json!({"kind": "elasticity", "poisson_ratio": 0.5}), "'poisson_ratio': 0.5"),
        (json!({"kind": "elasticity", "shift": -0.1}), "'shift': -0.1"),
        (json!({"kind": "elasticity", "decades": 9}), "'decades': 9"),
        (json!({"kind": "graph", "nodes": 1}), "'nodes': 1"),
        (json!({"kind": "graph", "shift": 0}), "'shift': 0"),
        (json!({"kind": "graph", "deviation": 11}), "'deviation': 11"),
        (json!({"kind": "circuit", "nodes": 1}), "'nodes': 1"),
        (json!({"kind": "circuit", "decades": 17}), "'decades': 17"),
        (json!({"kind": "circuit", "units": -1}), "'units': -1"),
        (json!({"kind": "circuit", "gyrators": 1.5}), "'gyrators': 1.5"),
        (json!({"kind": "circuit", "rails": 1001}), "'rails': 1001"),
        (json!({"kind": "helmholtz", "nodes": 0}), "'nodes': 0"),
        (json!({"kind": "helmholtz", "nodes": 9, "waves": 6}), "'waves': 6 is not within 0..5"),
        (json!({"kind": "helmholtz", "deviation": 3}), "'deviation': 3"),
        (json!({"kind": "convection", "nodes": 0}), "'nodes': 0"),
        (json!({"kind": "convection", "peclet": -1}), "'peclet': -1"),
        (json!({"kind": "kube"}), "did you mean 'cube'?"),
    ] {
        let error = Problem::from_json(&doc).expect_err("out of range").to_string();
        assert!(error.contains(why), "{doc}: {error}");
    }
}

#[test]
fn training_systems_follow_the_seed_of_the_training_and_are_no_test_systems() {
    let families = Families::new(all()).expect("some");
    let bits = |system: &System| -> Vec<u64> {
        system.a().own().view().values.iter().map(|v| v.to_bits()).collect()
    };
    for (family, problem) in all().iter().enumerate() {
        let sample = |seed, index| families.sample(family, seed, index).expect("offered");
        assert_eq!(bits(&sample(4, 0)), bits(&sample(4, 0)));
        // All but the plain cube are random.
        let random = !matches!(problem, Problem::Cube(cube) if cube.deviation == 0.0);
        assert_eq!(bits(&sample(4, 0)) != bits(&sample(5, 0)), random, "{problem:?}");
        assert_eq!(bits(&sample(4, 0)) != bits(&sample(4, 1)), random, "{problem:?}");
        assert_eq!(bits(&sample(4, 0)) != bits(&make(problem).0), random, "{problem:?}");
    }
}

#[test]
fn rigid_bodies_store_no_energy() {
    for (dimension, length, modes) in [(2, 3, 3), (3, 1, 6)] {
        let problem = Elasticity { dimension, length, nodes: 4, ..Elasticity::default() };
        let (system, _) = make(&Problem::Elasticity(problem));
        let (a, near) = (system.a(), system.aux("near-nullspace").expect("always there"));
        let places = system.aux("coordinates").expect("always there");
        assert_eq!((near.width, places.width), (modes, dimension as usize));
        let d = dimension as usize;
        assert!(system.aux("block-size").is_some_and(|b| b.values.iter().all(|&v| v == d as f64)));
        for k in 0..modes {
            let mode: Vec<f64> = near.values.chunks(modes).map(|row| row[k]).collect();
            let mut force = vec![0.0; mode.len()];
            a.spmv(&mode, &mut force).expect("one rank");
            // Nodes beside the clamped end feel it; the others feel nothing.
            let near_the_end = places.values.chunks(d).map(|p| p[0] < 0.45);
            let largest = mode.iter().fold(0.0f64, |m, v| m.max(v.abs()));
            for (i, (f, near)) in force.iter().zip(near_the_end).enumerate() {
                assert!(
                    near || f.abs() < 1e-12 * largest,
                    "mode {k}, row {i} of {dimension}-D: {f}"
                );
            }
            assert!(
                force.iter().any(|f| f.abs() > 1e-3),
                "mode {k} is not held by the clamped end"
            );
        }
    }
}

/// The solution of a small symmetric positive definite system, by elimination.
fn solved(system: &System, b: Vec<f64>) -> Vec<f64> {
    let (a, n) = (system.a().own().view(), b.len());
    let mut m = vec![vec![0.0; n]; n];
    (0..n).for_each(|i| a.row(i).for_each(|(j, v)| m[i][j] = v));
    let mut x = b;
    for k in 0..n {
        let (top, rest) = m.split_at_mut(k + 1);
        let pivot = &top[k];
        for (row, i) in rest.iter_mut().zip(k + 1..) {
            if row[k] != 0.0 {
                let factor = row[k] / pivot[k];
                row[k..].iter_mut().zip(&pivot[k..]).for_each(|(r, p)| *r -= factor * p);
                x[i] -= factor * x[k];
            }
        }
    }
    for k in (0..n).rev() {
        let sum: f64 = (k + 1..n).map(|j| m[k][j] * x[j]).sum();
        x[k] = (x[k] - sum) / m[k][k];
    }
    x
}

#[test]
fn a_thin_beam_bends_as_the_theory_of_beams_says() {
    // Eight times as long as high, ν = 0: the end sags by q L⁴/(8 E I) + q L²/(2 κ G A), with q = 1 a unit of
    // length, I = 1/12, G = 1/2, κ = 5/6. Linear triangles are too stiff, less so the finer they are.
    let length = 8.0f64;
    let exact = length.powi(4) * 12.0 / 8.0 + length * length / (2.0 * 5.0 / 6.0 * 0.5);
    let sag = |nodes: usize| {
        let problem = Elasticity {
            nodes,
            length: 8,
            shift: 0.0,
            poisson_ratio: 0.0,
            rhs: Rhs::Load,
            ..Elasticity::default()
        };
        let (system, b) = make(&Problem::Elasticity(problem));
        let x = solved(&system, b);
        let places = &system.aux("coordinates").expect("always there").values;
        let end =
            |row: usize| places[2 * row] == length && (places[2 * row + 1] - 0.5).abs() < 1e-9;
        (0..x.len())
            .filter(|row| row % 2 == 1 && end(*row))
            .map(|row| x[row])
            .next()
            .expect("a node")
    };
    let [coarse, fine] = [3, 7].map(|nodes| 1.0 - sag(nodes) / exact);
    assert!(fine > 0.0 && fine < 0.25 && coarse / fine > 2.0, "{coarse} {fine}");
}

#[test]
fn the_wind_is_upwinded() {
    for problem in unsymmetric() {
        let (system, _) = make(&problem);
        let a = system.a();
        assert!(a.first_unsymmetric().expect("one rank").is_some(), "{problem:?}");
        for i in 0..a.n_own() {
            let (mut off, d) = (0.0, a.diagonal(i));
            for (_, v) in a.own().view().row(i).filter(|&(j, _)| j != i) {
                assert!(v <= 0.0, "row {i} of {problem:?}");
                off -= v;
            }
            assert!(off <= d * (1.0 + 1e-14), "row {i} of {problem:?} is dominated");
        }
    }
    // Without wind it is Laplace's five-point stencil.
    let still = Problem::Convection(Convection { nodes: 6, peclet: 0.0, ..Convection::default() });
    let a = make(&still).0.a().own().clone();
    assert_eq!((a.view().get(8, 8), a.view().get(8, 9), a.view().get(8, 14)), (4.0, -1.0, -1.0));
}

/// Rows that can be reached from the first one.
fn reached(system: &System) -> usize {
    let a = system.a().own().view();
    let (mut met, mut next) = (vec![false; a.n_rows()], vec![0]);
    met[0] = true;
    while let Some(i) = next.pop() {
        for &j in a.row_cols(i) {
            if !std::mem::replace(&mut met[j as usize], true) {
                next.push(j as usize);
            }
        }
    }
    met.iter().filter(|&&m| m).count()
}

#[test]
fn circuits_have_short_rows_rails_and_gyrators_and_units_change_nothing_else() {
    let circuit = Circuit { nodes: 2000, decades: 4.0, rails: 2, ..Circuit::default() };
    let (system, _) = make(&Problem::Circuit(circuit.clone()));
    let a = system.a().own().view();
    assert_eq!(reached(&system), 2000);
    let rows = |i: usize| a.row_cols(i).len();
    let mut lengths: Vec<usize> = (0..2000).map(rows).collect();
    lengths.sort_unstable();
    // Half of the branches, loops and ends on rails, twice, and the diagonal: 1 + 2 · (1 + ⅓ + ⅒).
    assert!((3.4..4.0).contains(&(a.nnz() as f64 / 2000.0)), "{} entries", a.nnz());
    assert!(lengths[1997] < 20 && lengths[1998] > 60, "{:?}", &lengths[1990..]);
    let sizes = a.values.iter().map(|v| v.abs()).filter(|&v| v > 0.0);
    let (least, most) = sizes.fold((1e300f64, 0f64), |(l, m), v| (l.min(v), m.max(v)));
    assert!(most / least > 1e3, "{least} to {most}");
    let earthed = |i: usize| a.row_values(i).iter().sum::<f64>() > 1e-9 * a.get(i, i);
    let earthed = (0..2000).filter(|&i| earthed(i)).count();
    assert!((60..140).contains(&earthed), "{earthed} nodes are earthed");
    // Units are a scaling of rows and columns by the same numbers.
    let scaled = make(&Problem::Circuit(Circuit { units: 3.0, ..circuit.clone() })).0;
    let s = scaled.a().own().view();
    for i in 0..2000 {
        for (j, v) in a.row(i) {
            let [whole, parts] = [(a, v), (s, s.get(i, j))]
                .map(|(of, v)| v / (of.get(i, i).sqrt() * of.get(j, j).sqrt()));
            assert!((whole - parts).abs() < 1e-12, "({i}, {j})");
        }
    }
    let driven = make(&Problem::Circuit(Circuit { gyrators: 0.2, ..circuit })).0;
    assert!(driven.a().first_unsymmetric().expect("one rank").is_some());
    // Gyrators store and lose nothing: the symmetric part is as without them.
    let d = driven.a().own().view();
    for i in 0..2000 {
        for (j, v) in d.row(i) {
            let mean = 0.5 * (v + d.get(j, i));
            assert!((mean - a.get(i, j)).abs() < 1e-12 * a.get(i, i), "({i}, {j})");
        }
    }
}

#[test]
fn waves_have_the_eigenvalues_that_theory_says() {
    use std::f64::consts::PI;
    let (m, waves) = (12, 1.5);
    let waves_of = |deviation| Helmholtz { nodes: m, waves, deviation, ..Helmholtz::default() };
    let (system, _) = make(&Problem::Helmholtz(waves_of(0.0)));
    let h = 1.0 / (m + 1) as f64;
    for (p, q) in [(1, 1), (2, 3), (12, 12)] {
        let mode = |i: usize, p: usize| ((i + 1) as f64 * p as f64 * PI * h).sin();
        let u: Vec<f64> = (0..m * m).map(|i| mode(i % m, p) * mode(i / m, q)).collect();
        let mut y = vec![0.0; m * m];
        system.a().spmv(&u, &mut y).expect("one rank");
        let half = |p: usize| 4.0 * (0.5 * p as f64 * PI * h).sin().powi(2);
        let value = half(p) + half(q) - (2.0 * PI * waves * h).powi(2);
        assert!(u.iter().zip(&y).all(|(u, y)| (y - value * u).abs() < 1e-13), "({p}, {q})");
        assert_eq!(value < 0.0, p == 1, "({p}, {q})");
    }
    // Random media: each point has its own wave number, and the couplings are as they were.
    let (random, _) = make(&Problem::Helmholtz(waves_of(0.5)));
    let diagonals: Vec<f64> = (0..m * m).map(|i| random.a().diagonal(i)).collect();
    assert!(diagonals.iter().all(|&d| d < 4.0) && diagonals.iter().any(|&d| d != diagonals[0]));
}

#[test]
fn graphs_are_connected_and_tetrahedra_have_fifteen_neighbours() {
    let (system, _) = make(&Problem::Graph(Graph { nodes: 500, shift: 0.01, ..Graph::default() }));
    let a = system.a().own().view();
    let n = a.n_rows();
    assert!(n > 400 && a.nnz() > 6 * n, "{n} rows, {} entries", a.nnz());
    assert_eq!(reached(&system), n);
    let (system, _) = make(&Problem::Tetrahedra(Tetrahedra { nodes: 5, ..Tetrahedra::default() }));
    let a = system.a().own().view();
    assert_eq!(a.row_cols(2 * 25 + 2 * 5 + 2).len(), 15);
    // Nodes two steps from the boundary touch unknowns only.
    let sum: f64 = a.row_values(2 * 25 + 2 * 5 + 2).iter().sum();
    assert!(sum.abs() < 1e-12, "{sum}");
}
