//! When solves stop, and what they say: norms, rows, units, divergence, symmetry.
use crate::support::{Folder, Ran, solve};
use std::fmt::Write as _;

fn config(solver: &str, preconditioner: &str) -> String {
    format!(
        "[problem]\nmatrix = 'A.mtx'\nrhs = 'b.mtx'\n\
         [solver]\ntolerance = 1e-8\n{solver}\n[preconditioner]\nname = '{preconditioner}'\n"
    )
}

/// Writes A, given by its entries, and b.
fn write(folder: &Folder, entries: &[(usize, usize, f64)], b: &[f64]) {
    let n = b.len();
    let mut a =
        format!("%%MatrixMarket matrix coordinate real general\n{n} {n} {}\n", entries.len());
    for (i, j, v) in entries {
        let _ = writeln!(a, "{} {} {v:e}", i + 1, j + 1);
    }
    let mut rhs = format!("%%MatrixMarket matrix array real general\n{n} 1\n");
    b.iter().for_each(|b| _ = writeln!(rhs, "{b:e}"));
    folder.file("A.mtx", &a);
    folder.file("b.mtx", &rhs);
}

/// Five-point Laplacian on m × m nodes, each entry times what `of` says.
fn laplace(m: usize, of: impl Fn(usize, usize) -> f64) -> Vec<(usize, usize, f64)> {
    let mut entries = Vec::new();
    for i in 0..m * m {
        let (x, y) = (i % m, i / m);
        let beside = [(x > 0, i.wrapping_sub(1)), (x + 1 < m, i + 1)];
        let above = [(y > 0, i.wrapping_sub(m)), (y + 1 < m, i + m)];
        entries.push((i, i, 4.0 * of(i, i)));
        let there = beside.into_iter().chain(above).filter(|(there, _)| *there);
        entries.extend(there.map(|(_, j)| (i, j, -of(i, j))));
    }
    entries
}

fn number(ran: &Ran, key: &str) -> f64 {
    ran.json()[key].as_f64().unwrap_or_else(|| panic!("{key} in {}", ran.out))
}

#[test]
fn results_carry_the_name_of_the_norm() {
    let folder = Folder::new("stopping-norms");
    write(&folder, &laplace(8, |_, _| 1.0), &[1.0; 64]);
    let all =
        ["relative_residual", "preconditioned_residual", "natural_residual", "absolute_error"];
    for (solver, key, words) in [
        ("method = 'cg'", all[0], "until relative residual ≤ 1e-8"),
        (
            "method = 'minres'\nnorm = 'preconditioned'",
            all[1],
            "until preconditioned relative residual",
        ),
        ("method = 'cg'\nnorm = 'natural'", all[2], "until natural relative residual"),
        ("method = 'gmres'\nside = 'left'\nnorm = 'preconditioned'", all[1], "on the left), until"),
        ("method = 'flexible-cg'\nabsolute_tolerance = 1e-3", all[0], "or its norm itself ≤ 1e-3"),
        ("method = 'cg'\nstop = 'absolute-error'", all[3], "until error"),
    ] {
        let ran = solve(&folder, &config(solver, "ic"), &["--json"]);
        assert_eq!(ran.code, 0, "{solver}: {} {}", ran.out, ran.err);
        let result = ran.json();
        for other in all {
            assert_eq!(result[other].is_number(), other == key, "{other} of {solver}: {result}");
        }
        assert!(number(&ran, "scaled_residual") <= 1e-2, "{result}");
        let ran = solve(&folder, &config(solver, "ic"), &[]);
        assert!(ran.out.contains(words), "{words} in {}", ran.out);
        assert!(ran.out.contains(", scaled by rows "), "{}", ran.out);
    }
    let loose = "method = 'cg'\nabsolute_tolerance = 1e-2";
    let ran = solve(&folder, &config(loose, "jacobi"), &["--json"]);
    let relative = number(&ran, "relative_residual");
    assert!((1e-5..=1e-2 / 8.0).contains(&relative), "{relative}");
}

#[test]
fn norms_and_sides_that_do_not_go_together_are_refused_at_their_place() {
    let folder = Folder::new("stopping-refused");
    write(&folder, &laplace(3, |_, _| 1.0), &[1.0; 9]);
    for (solver, at, why) in [
        (
            "method = 'bicgstab'\nnorm = 'natural'",
            "config.toml:7",
            "bicgstab does not have the natural norm",
        ),
        ("method = 'gmres'\nnorm = 'preconditioned'", "config.toml:7", "with side = 'left'"),
        ("method = 'gmres'\nside = 'left'", "config.toml:7", "norm = 'preconditioned'"),
        ("method = 'richardson'\nnorm = 'natural'", "config.toml:7", "belongs to cg and minres"),
        ("method = 'flexible-gmres'\nside = 'left'", "config.toml:7", "on the right only"),
        ("method = 'cg'\nside = 'left'", "config.toml:7", "cg has no such parameter"),
        (
            "stop = 'absolute-error'\nnorm = 'unpreconditioned'",
            "config.toml:7",
            "measures the error",
        ),
        (
            "stop = 'absolute-error'\nabsolute_tolerance = 1.0",
            "config.toml:7",
            "measures the error",
        ),
        ("method = 'cg'\nsymmetry_tolerance = 2.0", "config.toml:7", "symmetry_tolerance"),
        ("method = 'cg'\nassume = 'symmetric'", "config.toml:7", "spd"),
    ] {
        solve(&folder, &config(solver, "jacobi"), &[]).fails_with(&[at, why]);
    }
}

#[test]
fn what_diverges_names_the_key() {
    let folder = Folder::new("stopping-divergence");
    write(&folder, &laplace(6, |_, _| 1.0), &[1.0; 36]);
    let ran =
        solve(&folder, &config("method = 'richardson'\ndamping = 3.0", "jacobi"), &["--json"]);
    assert_eq!((ran.code, ran.json()["outcome"].as_str()), (2, Some("diverged")));
    let why = ran.json()["reason"].as_str().map(str::to_owned).unwrap_or_default();
    assert!(why.ends_with("more than 'divergence' = 1e30 allows"), "{why}");
    let ran = solve(&folder, &config("method = 'richardson'\ndamping = 3.0", "jacobi"), &[]);
    assert!(ran.out.contains("diverged after") && ran.out.contains("'divergence'"), "{}", ran.out);
    // Entries over eight orders of magnitude: the residual of cg grows by far more than 1e5 on the way.
    let n = 80;
    let d: Vec<f64> = (0..n).map(|i| 10f64.powf(4.0 * (2.399 * i as f64).sin())).collect();
    let beside = (1..n).flat_map(|i| [(i, i - 1, -1.0), (i - 1, i, -1.0)]);
    let entries =
        (0..n).map(|i| (i, i, 2.0)).chain(beside).map(|(i, j, v)| (i, j, d[i] * v * d[j]));
    write(&folder, &entries.collect::<Vec<_>>(), &d);
    let ran = solve(&folder, &config("method = 'cg'", "jacobi"), &["--json"]);
    assert_eq!(ran.json()["outcome"], "converged", "{}", ran.out);
}

#[test]
fn rows_held_by_penalties_are_solved_or_named() {
    let folder = Folder::new("stopping-rows");
    let m = 9;
    let border = |i: usize| [i % m, i / m].iter().any(|&k| k == 0 || k == m - 1);
    let mut entries = laplace(m, |_, _| 1.0);
    entries.iter_mut().filter(|(i, j, _)| i == j && border(*i)).for_each(|e| e.2 += 1e30);
    // Linear values on the border have the linear function as solution.
    let value = |i: usize| 1.0 + (i % m) as f64 + 2.0 * (i / m) as f64;
    let b: Vec<f64> = (0..m * m).map(|i| if border(i) { 1e30 * value(i) } else { 0.0 }).collect();
    write(&folder, &entries, &b);
    let x = folder.path().join("x.mtx");
    for (solver, preconditioner) in [
        ("method = 'cg'", "ic"),
        ("method = 'cg'", "jacobi"),
        ("method = 'minres'", "ic"),
        ("method = 'richardson'", "gauss-seidel"),
        ("method = 'gmres'", "ilu"),
        ("method = 'gmres'", "jacobi"),
        ("method = 'bicgstab'", "ilu"),
    ] {
        let save = ["--json", "--save-solution", x.to_str().unwrap()];
        let ran = solve(&folder, &config(solver, preconditioner), &save);
        let what = format!("{solver}, {preconditioner}: {}", ran.out);
        match ran.json()["outcome"].as_str() {
            Some("converged") => {
                let text = std::fs::read_to_string(&x).unwrap();
                let found: Vec<f64> =
                    text.lines().rev().take(m * m).map(|l| l.trim().parse().unwrap()).collect();
                let worst = found.iter().rev().enumerate().map(|(i, x)| (x - value(i)).abs());
                assert!(worst.fold(0.0, f64::max) < 1e-5, "{what}");
            }
            Some("rows-unsolved") => {
                assert_eq!(ran.code, 2);
                assert!(ran.json()["reason"].as_str().unwrap().contains("global row"), "{what}");
            }
            _ => panic!("{what}"),
        }
        if solver != "method = 'gmres'" && solver != "method = 'bicgstab'" {
            assert_eq!(ran.json()["outcome"], "converged", "{what}");
        }
    }
}

#[test]
fn nearly_symmetric_matrices_are_taken_where_the_key_says_so() {
    let folder = Folder::new("stopping-symmetry");
    // Entries off by 1e-9, as files with too few digits have them.
    let noise = |i: usize, j: usize| 1.0 + 1e-9 * ((7 * i + 3 * j) as f64).sin();
    write(&folder, &laplace(8, noise), &[1.0; 64]);
    for (method, preconditioner) in
        [("cg", "jacobi"), ("minres", "jacobi"), ("gmres", "ic"), ("gmres", "fsai"), ("cg", "ic")]
    {
        let solver = format!("method = '{method}'");
        let refused = solve(&folder, &config(&solver, preconditioner), &[]);
        refused.fails_with(&[
            "needs a symmetric matrix",
            "'symmetry_tolerance' is 1e-10",
            "e-10 of the",
        ]);
        let key = format!("{solver}\nsymmetry_tolerance = 1e-8");
        let ran = solve(&folder, &config(&key, preconditioner), &["--json"]);
        assert_eq!(ran.json()["outcome"], "converged", "{method} {preconditioner}: {}", ran.out);
        // A tolerance between the two tells what it would take.
        let key = format!("{solver}\nsymmetry_tolerance = 2e-10");
        let refused = solve(&folder, &config(&key, preconditioner), &[]);
        refused.fails_with(&["'symmetry_tolerance' is 2e-10"]);
    }
}

#[test]
fn cg_runs_with_any_m_that_is_said_to_be_definite() {
    let folder = Folder::new("stopping-assume");
    write(&folder, &laplace(8, |_, _| 1.0), &[1.0; 64]);
    // ILU(0) of a symmetric positive definite matrix is IC(0), and does not know it.
    let refused = solve(&folder, &config("method = 'cg'", "ilu"), &[]);
    refused.fails_with(&["symmetric positive definite preconditioner"]);
    let assumed = "method = 'cg'\nassume = 'spd'";
    let ran = solve(&folder, &config(assumed, "ilu"), &["--json"]);
    let known = solve(&folder, &config("method = 'cg'", "ic"), &["--json"]);
    assert_eq!(ran.json()["outcome"], "converged", "{}", ran.out);
    assert_eq!(ran.json()["iterations"], known.json()["iterations"]);
}

#[test]
fn right_hand_sides_of_any_size_are_right_hand_sides() {
    let folder = Folder::new("stopping-units");
    for size in [1e-160, 1e-280, 1e200, 1e300] {
        write(&folder, &laplace(6, |_, _| 1.0), &[size; 36]);
        for method in ["richardson", "cg", "minres", "gmres", "bicgstab"] {
            let solver = format!("method = '{method}'\nmax_iterations = 2");
            let ran = solve(&folder, &config(&solver, "jacobi"), &["--json"]);
            assert_eq!(ran.json()["outcome"], "iteration-limit", "{method} {size:e}: {}", ran.out);
            let told = number(&ran, "true_relative_residual");
            assert!((1e-6..1.0).contains(&told), "{method} {size:e}: {told}");
            let solver = format!("method = '{method}'");
            let ran = solve(&folder, &config(&solver, "jacobi"), &["--json"]);
            assert_eq!(ran.json()["outcome"], "converged", "{method} {size:e}: {}", ran.out);
        }
    }
    write(&folder, &laplace(6, |_, _| 1.0), &[1e-300; 36]);
    let ran = solve(&folder, &config("method = 'cg'", "jacobi"), &[]);
    ran.fails_with(&["the solution has entries of about 2^-99", "scale A or b"]);
    write(&folder, &laplace(3, |_, _| 1e-200), &[1e200; 9]);
    let ran = solve(&folder, &config("method = 'cg'", "jacobi"), &[]);
    ran.fails_with(&["the solution has entries of about 2^13", "scale A or b"]);
}
