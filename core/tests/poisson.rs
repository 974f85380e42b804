//! Perturbed Poisson problems against analytic solutions, known matrices and published counts.
use precondor_core::comm::{Comm, threads};
use precondor_core::kernel::random::{Purpose, Stream};
use precondor_core::matrix::{CsrView, Space};
use precondor_core::problem::mesh::Mesh;
use precondor_core::problem::{Coefficient, Families, Poisson, Problem, Rhs, p1};
use precondor_core::system::System;
use precondor_core::train::Samples;
use serde_json::json;
use std::collections::BTreeSet;

fn make(spec: &Poisson) -> (System, Vec<f64>) {
    Problem::Poisson(spec.clone()).generate(Comm::solo()).expect("valid parameters")
}

/// Dense Cholesky factor L, row by row; `None` unless the matrix is positive definite.
fn cholesky(a: CsrView) -> Option<Vec<Vec<f64>>> {
    let mut l = vec![vec![0.0; a.n_rows()]; a.n_rows()];
    for i in 0..a.n_rows() {
        for j in 0..=i {
            let s: f64 = l[i][..j].iter().zip(&l[j]).map(|(a, b)| a * b).sum();
            let d = a.get(i, j) - s;
            if i == j && (d.is_nan() || d <= 0.0) {
                return None;
            }
            l[i][j] = if i == j { d.sqrt() } else { d / l[j][j] };
        }
    }
    Some(l)
}

fn solve(l: &[Vec<f64>], b: &[f64]) -> Vec<f64> {
    let n = b.len();
    let mut x = b.to_vec();
    for i in 0..n {
        let s: f64 = (0..i).map(|k| l[i][k] * x[k]).sum();
        x[i] = (x[i] - s) / l[i][i];
    }
    for i in (0..n).rev() {
        let s: f64 = (i + 1..n).map(|k| l[k][i] * x[k]).sum();
        x[i] = (x[i] - s) / l[i][i];
    }
    x
}

fn norm(x: &[f64]) -> f64 {
    x.iter().map(|v| v * v).sum::<f64>().sqrt()
}

/// Largest eigenvalue of a symmetric positive definite map, by the power method.
fn largest(n: usize, map: impl Fn(&[f64]) -> Vec<f64>) -> f64 {
    let mut x: Vec<f64> = (0..n).map(|i| ((i * 7919 + 13) % 101) as f64 - 50.0).collect();
    let mut lambda = 0.0;
    for _ in 0..3000 {
        let scale = 1.0 / norm(&x);
        x.iter_mut().for_each(|v| *v *= scale);
        x = map(&x);
        lambda = norm(&x);
    }
    lambda
}

/// Steps until ‖x − x*‖₂ < 1e-5 from x = 0.
fn steps(x_star: &[f64], mut step: impl FnMut(&mut [f64])) -> usize {
    let mut x = vec![0.0; x_star.len()];
    (1..100_000)
        .find(|_| {
            step(&mut x);
            let e: Vec<f64> = x.iter().zip(x_star).map(|(a, b)| a - b).collect();
            norm(&e) < 1e-5
        })
        .expect("it converges")
}

#[test]
fn condition_and_iteration_counts_are_those_of_the_paper() {
    // Level; κ(A), steps of Jacobi with ω = 0.7, steps of Gauss–Seidel: means over 20 meshes.
    let expected = [(2, 6.6, 60.0, 20.8), (3, 29.0, 286.0, 99.5), (4, 122.6, 1324.5, 463.0)];
    for (level, kappa, jacobi, gauss_seidel) in expected {
        let mut sums = [0.0; 3];
        for seed in 0..20 {
            let (system, b) = make(&Poisson { seed, ..Poisson::at_level(level) });
            let a = system.a().own().view();
            let n = b.len();
            let l = cholesky(a).expect("positive definite");
            let x_star = solve(&l, &b);
            let apply = |x: &[f64]| {
                let mut y = vec![0.0; n];
                a.spmv(x, &mut y, false);
                y
            };
            sums[0] += largest(n, apply) * largest(n, |x| solve(&l, x));
            let mut ax = vec![0.0; n];
            sums[1] += steps(&x_star, |x| {
                a.spmv(x, &mut ax, false);
                for i in 0..n {
                    x[i] += 0.7 / a.get(i, i) * (b[i] - ax[i]);
                }
            }) as f64;
            sums[2] += steps(&x_star, |x| {
                for i in 0..n {
                    let s: f64 = a.row(i).map(|(j, v)| v * x[j]).sum();
                    x[i] += (b[i] - s) / a.get(i, i);
                }
            }) as f64;
        }
        // The figures themselves are means of samples; levels 2 and 3 scatter by some per cent.
        let spread = if level == 4 { 0.02 } else { 0.04 };
        for (sum, want) in sums.into_iter().zip([kappa, jacobi, gauss_seidel]) {
            let mean = sum / 20.0;
            assert!((mean / want - 1.0).abs() < spread, "level {level}: {mean} for {want}");
        }
    }
}

/// ‖u − uₕ‖ in L2 and ‖∇(u − uₕ)‖, for u = sin πx sin πy · e^x.
fn errors(level: u32, shift: f64) -> [f64; 2] {
    use std::f64::consts::PI;
    let u = |[x, y]: [f64; 2]| (PI * x).sin() * (PI * y).sin() * x.exp();
    let gradient = |[x, y]: [f64; 2]| {
        let (sx, cx, sy, cy) = ((PI * x).sin(), (PI * x).cos(), (PI * y).sin(), (PI * y).cos());
        [(PI * cx + sx) * sy * x.exp(), PI * sx * cy * x.exp()]
    };
    // With c = e^(3x): f = −∇·(c∇u) = −e^(3x) (Δu + 3 ∂u/∂x).
    let f = |[x, y]: [f64; 2]| {
        let (sx, cx, sy) = ((PI * x).sin(), (PI * x).cos(), (PI * y).sin());
        let laplacian = (2.0 * PI * cx + (1.0 - 2.0 * PI * PI) * sx) * sy * x.exp();
        -(3.0 * x).exp() * (laplacian + 3.0 * (PI * cx + sx) * sy * x.exp())
    };
    let m = (1 << level) - 1;
    let n = m * m;
    let space = Space::solo(n);
    let stream = Stream::new(Purpose::Test, 3, 0, &[]);
    let mesh = Mesh::new(space.comm(), m, shift, stream, 0..n as u64).expect("one rank");
    let a = p1::assemble(&mesh, &space, |[x, _]| (3.0 * x).exp()).expect("one rank");
    let x = conjugate_gradients(a.own().view(), &p1::load(&mesh, f));
    let uh = |node| mesh.unknown(node).map_or(0.0, |row| x[row as usize]);

    let mut sums = [0.0; 2];
    for (i, j) in (0..=m).flat_map(|i| (0..=m).map(move |j| (i, j))) {
        for corners in [[[i, j], [i + 1, j], [i + 1, j + 1]], [[i, j], [i + 1, j + 1], [i, j + 1]]]
        {
            let t = mesh.triangle(&corners);
            let at = corners.map(uh);
            let g = t.gradients();
            let slope = [0, 1].map(|d| (0..3).map(|k| at[k] * g[k][d]).sum::<f64>());
            for (k, p) in t.midpoints().into_iter().enumerate() {
                let value = 0.5 * (at[(k + 1) % 3] + at[(k + 2) % 3]);
                let true_slope = gradient(p);
                let w = t.area / 3.0;
                sums[0] += w * (value - u(p)).powi(2);
                sums[1] += w * (0..2).map(|d| (slope[d] - true_slope[d]).powi(2)).sum::<f64>();
            }
        }
    }
    sums.map(f64::sqrt)
}

fn conjugate_gradients(a: CsrView, b: &[f64]) -> Vec<f64> {
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(a, b)| a * b).sum::<f64>();
    let (mut x, mut r) = (vec![0.0; b.len()], b.to_vec());
    let (mut p, mut q) = (r.clone(), vec![0.0; b.len()]);
    let mut rho = dot(&r, &r);
    let end = 1e-22 * rho;
    while rho > end {
        a.spmv(&p, &mut q, false);
        let alpha = rho / dot(&p, &q);
        for i in 0..b.len() {
            x[i] += alpha * p[i];
            r[i] -= alpha * q[i];
        }
        let before = std::mem::replace(&mut rho, dot(&r, &r));
        for i in 0..b.len() {
            p[i] = r[i] + rho / before * p[i];
        }
    }
    x
}

#[test]
fn errors_fall_at_rate_two_in_l2_and_rate_one_in_the_energy() {
    for shift in [0.0, 0.25] {
        let (coarse, fine) = (errors(5, shift), errors(6, shift));
        let rate = [0, 1].map(|k| (coarse[k] / fine[k]).log2());
        assert!((rate[0] - 2.0).abs() < 0.1, "L2, shift {shift}: {rate:?}");
        assert!((rate[1] - 1.0).abs() < 0.05, "H1, shift {shift}: {rate:?}");
    }
}

#[test]
fn without_shifts_the_matrix_is_the_five_point_laplacian() {
    for m in [1, 7, 10] {
        let (system, b) =
            make(&Poisson { nodes: Some(m), shift: 0.0, rhs: Rhs::Load, ..Poisson::default() });
        let a = system.a().own().view();
        for (i, load) in b.iter().enumerate() {
            for j in 0..m * m {
                let (dx, dy) = ((i % m).abs_diff(j % m), (i / m).abs_diff(j / m));
                let want = match dx + dy {
                    0 => 4.0,
                    1 => -1.0,
                    _ => 0.0,
                };
                assert!((a.get(i, j) - want).abs() < 1e-13, "m = {m}, entry ({i}, {j})");
            }
            assert!((load * ((m + 1) * (m + 1)) as f64 - 1.0).abs() < 1e-13);
        }
    }
}

#[test]
fn the_matrix_is_symmetric_with_zero_row_sums_away_from_the_boundary() {
    for coefficient in
        [Coefficient::Constant, Coefficient::Smooth, Coefficient::Jump, Coefficient::LogNormal]
    {
        for shift in [0.25, 0.45] {
            let m = 15;
            let (system, _) = make(&Poisson { shift, coefficient, ..Poisson::at_level(4) });
            let a = system.a().own();
            let (view, transposed) = (a.view(), a.transpose());
            assert_eq!(view.cols, transposed.view().cols);
            assert_eq!(view.values, transposed.view().values, "bit for bit");
            assert!(cholesky(view).is_some(), "positive definite");
            for i in 0..m * m {
                let sum: f64 = view.row_values(i).iter().sum();
                let inside = (1..m - 1).contains(&(i % m)) && (1..m - 1).contains(&(i / m));
                let scale = view.get(i, i);
                assert!(!inside || sum.abs() < 1e-13 * scale, "row {i}: {sum}");
                assert!(inside || view.row_cols(i).len() < 7);
            }
        }
    }
}

#[test]
fn a_varying_coefficient_comes_with_the_system_and_is_the_same_on_any_number_of_ranks() {
    let of = |coefficient| Poisson { coefficient, shift: 0.0, seed: 3, ..Poisson::at_level(3) };
    assert!(make(&of(Coefficient::Constant)).0.aux("coefficient").is_none());
    for coefficient in [Coefficient::Smooth, Coefficient::Jump, Coefficient::LogNormal] {
        let (system, _) = make(&of(coefficient));
        let aux = system.aux("coefficient").expect("it varies");
        assert_eq!((aux.width, aux.values.len()), (1, 49));
        // On the unshifted mesh the diagonal is a weighted mean of c, too: twice the weight for the
        // triangles that have their right angle at the node.
        for (i, c) in aux.values.iter().enumerate() {
            let ratio = system.a().diagonal(i) / (4.0 * c);
            assert!((0.6..1.5).contains(&ratio), "{coefficient:?} row {i}: {ratio}");
        }
        let problem = Problem::Poisson(of(coefficient));
        let parts = threads::run(3, |comm| {
            let (system, _) = problem.generate(Comm::new(comm)).expect("no rank fails");
            let diagonal: Vec<f64> =
                (0..system.a().n_own()).map(|i| system.a().diagonal(i)).collect();
            (system.aux("coefficient").expect("it varies").values.clone(), diagonal)
        });
        let (means, diagonals): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        assert_eq!(means.concat(), *aux.values);
        let alone: Vec<f64> = (0..49).map(|i| system.a().diagonal(i)).collect();
        assert_eq!(diagonals.concat(), alone);
    }
    // e^(3x) at the columns of the grid, but for terms of h².
    let (system, _) = make(&of(Coefficient::Smooth));
    for (i, c) in system.aux("coefficient").expect("it varies").values.iter().enumerate() {
        let x = ((i % 7) + 1) as f64 / 8.0;
        assert!((c / (3.0 * x).exp() - 1.0).abs() < 9.0 / 64.0 / 4.0, "row {i}: {c}");
    }
    let fields = [0, 1].map(|index| {
        let problem = Problem::Poisson(of(Coefficient::LogNormal));
        let (system, _) = problem.generate_nth(Comm::solo(), index).expect("made");
        system.aux("coefficient").expect("it varies").values.clone()
    });
    assert_ne!(fields[0], fields[1], "another field for every system");
}

#[test]
fn it_is_no_m_matrix() {
    let (system, _) = make(&Poisson::at_level(5));
    let a = system.a().own().view();
    let diagonals: Vec<f64> =
        (0..a.n_rows()).filter_map(|i| a.row(i).find(|(j, _)| *j == i + 32)).map(|e| e.1).collect();
    let positive = diagonals.iter().filter(|&&v| v > 0.0).count() as f64 / diagonals.len() as f64;
    assert!((positive - 0.44).abs() < 0.1, "{positive}");
}

#[test]
fn bands_hold_as_many_entries_as_published() {
    // Published are the lengths of the bands on and above the diagonal, for levels 3 to 7; the
    // places in them that couple no neighbours (the ends of grid lines) are not stored here.
    for (level, published) in [(3, 180), (4, 868), (5, 3780), (6, 15748), (7, 64260)] {
        let m = (1usize << level) - 1;
        let (system, _) = make(&Poisson::at_level(level));
        let a = system.a().own().view();
        let offsets = |i| a.row(i).filter(move |(j, _)| *j >= i).map(move |(j, _)| j - i);
        let bands: BTreeSet<usize> = (0..a.n_rows()).flat_map(offsets).collect();
        assert_eq!(bands, BTreeSet::from([0, 1, m, m + 1]), "level {level}");
        assert_eq!(bands.iter().map(|k| m * m - k).sum::<usize>(), published, "level {level}");
        let couplings = m * (m - 1) * 2 + (m - 1) * (m - 1);
        assert_eq!(a.nnz(), m * m + 2 * couplings);
    }
}

#[test]
fn systems_are_the_same_on_any_number_of_ranks() {
    for (m, shift, rhs) in [(7, 0.25, Rhs::Random), (6, 0.45, Rhs::Load), (1, 0.3, Rhs::Ones)] {
        let spec = Poisson { nodes: Some(m), shift, rhs, seed: 5, ..Poisson::default() };
        let (whole, b) = make(&spec);
        for size in [2, 3, 5] {
            let problem = Problem::Poisson(spec.clone());
            threads::run(size, |comm| {
                let (part, rhs) = problem.generate(Comm::new(comm)).expect("no rank fails");
                let a = part.a();
                assert_eq!(a.n_global(), (m * m) as u64);
                for (i, own) in rhs.iter().enumerate() {
                    let row = a.global_row(i) as usize;
                    let global: Vec<_> = whole.a().global_entries(row).collect();
                    assert_eq!(a.global_entries(i).collect::<Vec<_>>(), global);
                    assert_eq!(own.to_bits(), b[row].to_bits());
                    for name in ["coordinates", "grid-index"] {
                        let of = |s: &System, i: usize| {
                            s.aux(name).map(|aux| aux.values[2 * i..2 * i + 2].to_vec())
                        };
                        assert!(of(&part, i).is_some());
                        assert_eq!(of(&part, i), of(&whole, row));
                    }
                }
            });
        }
    }
}

#[test]
fn auxiliary_data_say_where_the_unknowns_are() {
    let (system, _) = make(&Poisson::at_level(3));
    let (at, index) = (system.aux("coordinates"), system.aux("grid-index"));
    let (at, index) = (at.expect("there"), index.expect("there"));
    for row in 0..49 {
        let (i, j) = (row % 7, row / 7);
        assert_eq!(index.values[2 * row..2 * row + 2], [i as f64, j as f64]);
        let d = [i, j].map(|k| (k + 1) as f64 / 8.0);
        let off = f64::hypot(at.values[2 * row] - d[0], at.values[2 * row + 1] - d[1]);
        assert!(off > 0.0 && off <= 0.25 / 8.0);
    }
}

#[test]
fn no_two_systems_are_alike_but_the_same_one_is_itself() {
    let first_value = |system: &System| system.a().own().view().values[0];
    let problem = |seed| Problem::Poisson(Poisson { seed, ..Poisson::at_level(3) });
    let families = Families::new(vec![problem(99), problem(7)]).expect("two");
    let mut seen = Vec::new();
    for seed in [0, 7] {
        for index in 0..5 {
            let (test, _) = problem(seed).generate_nth(Comm::solo(), index).expect("valid");
            let training = families.sample(0, seed, index).expect("valid");
            assert_eq!(
                first_value(&training),
                first_value(&families.sample(1, seed, index).expect("valid")),
                "the seeds of the sections play no part"
            );
            seen.extend([first_value(&test), first_value(&training)]);
        }
    }
    let n = seen.len();
    seen.sort_by(f64::total_cmp);
    seen.dedup();
    assert_eq!(seen.len(), n);
    assert!(families.describe().contains(r#""kind":"poisson""#));
    let why = families.sample(2, 0, 0).err().expect("there are two").to_string();
    assert_eq!(why, "family 2 of 2 training problems");
    assert!(Families::new(vec![]).is_err());
}

#[test]
fn a_section_is_read_with_its_faults_named() {
    let doc = json!({"kind": "poisson", "level": 3, "shift": 0.1, "rhs": "load"});
    let problem = Problem::from_json(&doc).expect("valid");
    let spec = Poisson { shift: 0.1, rhs: Rhs::Load, ..Poisson::at_level(3) };
    assert_eq!(problem, Problem::Poisson(spec));
    assert_eq!(Problem::from_json(&problem.to_json()), Ok(problem));
    for (doc, text) in [
        (json!({"level": 3}), "a problem needs the key 'kind'"),
        (json!([]), "a problem is a table of parameters"),
        (json!({"kind": 3}), "a problem has a text as its 'kind'"),
        (json!({"kind": "poison"}), "no problem of kind 'poison'; did you mean 'poisson'?"),
        (json!({"kind": "poisson", "lvel": 3}), "did you mean 'level'?"),
        (json!({"kind": "poisson", "level": 0}), "parameter 'level': 0 must be at least 1"),
        (json!({"kind": "poisson", "level": 16}), "parameter 'level': 16 must be at most 14"),
        (json!({"kind": "poisson", "shift": 0.5}), "parameter 'shift': 0.5 must be less than 0.5"),
        (json!({"kind": "poisson", "rhs": "one"}), "did you mean \"ones\"?"),
        (json!({"kind": "poisson", "level": 3, "nodes": 4}), "either 'level' or 'nodes'"),
        (json!({"kind": "poisson", "contrast": 0}), "parameter 'contrast'"),
        (json!({"kind": "poisson", "correlation": 0}), "parameter 'correlation'"),
    ] {
        let got = Problem::from_json(&doc).expect_err("faulty").to_string();
        assert!(got.contains(text), "{doc}: {got}");
    }
    assert!(Problem::schema("vapour").is_err());
    let schema = Problem::schema("poisson").expect("there");
    assert_eq!(schema["properties"]["shift"]["exclusiveMaximum"], json!(0.5));
}

#[test]
fn parameters_out_of_range_are_refused_on_all_ranks() {
    let fine = Poisson::at_level(2);
    for bad in [
        Poisson { shift: 0.5, ..fine.clone() },
        Poisson { shift: f64::NAN, ..fine.clone() },
        Poisson { shift: -0.1, ..fine.clone() },
        Poisson { contrast: f64::INFINITY, ..fine.clone() },
        Poisson { correlation: f64::NAN, ..fine.clone() },
        Poisson { level: Some(40), ..fine.clone() },
        Poisson { level: None, nodes: Some(0), ..fine.clone() },
        Poisson { nodes: Some(3), ..fine },
    ] {
        let failed = threads::run(2, |comm| {
            Problem::Poisson(bad.clone()).generate(Comm::new(comm)).is_err()
        });
        assert_eq!(failed, [true, true], "{bad:?}");
    }
}
