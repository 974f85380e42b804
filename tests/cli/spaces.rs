//! Singular systems, and preconditioners made from another matrix than A.
use crate::support::{Folder, matrix, solve};
use serde_json::Value;
use std::collections::BTreeMap;

/// Entries, rows and columns from 1, of the Laplacian of a graph with unit weights and `shift` added to
/// the diagonal.
fn laplacian(
    n: usize,
    edges: impl IntoIterator<Item = (usize, usize)>,
    shift: f64,
) -> Vec<(usize, usize, f64)> {
    let mut sums: BTreeMap<(usize, usize), f64> = (0..n).map(|i| ((i, i), shift)).collect();
    for (i, j) in edges {
        for (i, j, v) in [(i, i, 1.0), (j, j, 1.0), (i, j, -1.0), (j, i, -1.0)] {
            *sums.entry((i, j)).or_default() += v;
        }
    }
    sums.into_iter().map(|((i, j), v)| (i + 1, j + 1, v)).collect()
}

/// Edges of a grid of m × m nodes.
fn grid(m: usize) -> Vec<(usize, usize)> {
    let across = (0..m).flat_map(|j| (1..m).map(move |i| (j * m + i - 1, j * m + i)));
    let up = (1..m).flat_map(|j| (0..m).map(move |i| ((j - 1) * m + i, j * m + i)));
    across.chain(up).collect()
}

/// A graph where any two of the first ten nodes are joined, with a tree hanging on to each.
fn network(n: usize) -> Vec<(usize, usize)> {
    let core = (0..10).flat_map(|i| (0..i).map(move |j| (j, i)));
    core.chain((10..n).map(|i| (i / 3, i))).collect()
}

fn array(columns: &[Vec<f64>]) -> String {
    let n = columns[0].len();
    let values: String = columns.iter().flatten().map(|v| format!("{v:?}\n")).collect();
    format!("%%MatrixMarket matrix array real general\n{n} {}\n{values}", columns.len())
}

/// A right-hand side whose mean is `mean` and whose other part has length about one an entry.
fn rhs(n: usize, mean: f64) -> Vec<f64> {
    let mut b: Vec<f64> = (0..n).map(|i| (0.7 * i as f64).sin() + (i % 5) as f64).collect();
    let own = b.iter().sum::<f64>() / n as f64;
    b.iter_mut().for_each(|b| *b += mean - own);
    b
}

fn config(solver: &str, method: &str, more: &str) -> String {
    format!(
        "[problem]\nmatrix = 'A.mtx'\nrhs = 'b.mtx'\n{more}\n[solver]\nmethod = '{solver}'\n\
         tolerance = 1e-9\nmax_iterations = 3000\n[preconditioner]\n{method}\n"
    )
}

fn notes(result: &Value) -> String {
    result["notes"].to_string()
}

#[test]
fn a_neumann_problem_is_solved_in_its_range_and_the_rest_is_reported() {
    let folder = Folder::new("spaces-neumann");
    let m = 33;
    let n = m * m;
    folder.file("A.mtx", &matrix(n, n, &laplacian(n, grid(m), 0.0)));
    let x_file = folder.path().join("x.mtx").display().to_string();
    let mut solutions: Vec<Vec<f64>> = Vec::new();
    for mean in [0.0, 1e-6, 1.0] {
        let b = rhs(n, mean);
        folder.file("b.mtx", &array(std::slice::from_ref(&b)));
        let ran = solve(
            &folder,
            &config("cg", "name = 'jacobi'", ""),
            &["--json", "--save-solution", &x_file],
        );
        assert_eq!(ran.code, 0, "{} {}", ran.out, ran.err);
        let result = ran.json();
        assert!(result["iterations"].as_u64().unwrap() < 150, "{result}");
        let null = &result["null_space"];
        assert_eq!(
            (&null["name"], &null["known"]),
            (&"the constant vector".into(), &"found".into())
        );
        assert_eq!((&null["right"], &null["left"]), (&1.into(), &1.into()));
        let outside = null["outside"].as_f64().unwrap();
        assert!((outside - mean * (n as f64).sqrt()).abs() < 1e-12 * (1.0 + outside), "{null}");
        assert!(notes(&result).contains("rows that add up to zero"), "{result}");
        assert_eq!(notes(&result).contains("not in the range of A"), mean > 0.0, "{result}");
        let text = std::fs::read_to_string(&x_file).unwrap();
        let x: Vec<f64> = text.lines().skip(3).map(|line| line.parse().unwrap()).collect();
        assert!(x.iter().sum::<f64>().abs() < 1e-9, "of smallest norm");
        // A x is b without its mean.
        let mut r: Vec<f64> = b.iter().map(|b| b - mean).collect();
        laplacian(n, grid(m), 0.0).iter().for_each(|(i, j, v)| r[i - 1] -= v * x[j - 1]);
        let size = |v: &[f64]| v.iter().map(|v| v * v).sum::<f64>().sqrt();
        assert!(size(&r) < 1e-8 * size(&rhs(n, 0.0)), "{:e}", size(&r));
        solutions.push(x);
    }
    for x in &solutions[1..] {
        let gap = x.iter().zip(&solutions[0]).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
        assert!(gap < 1e-6, "what is outside of the range changes nothing: {gap:e}");
    }
    let text = solve(&folder, &config("cg", "name = 'jacobi'", ""), &[]).out;
    assert!(text.contains("A is singular: its null space is the constant vector"), "{text}");
    assert!(text.contains("a part of norm 3.300e1"), "{text}");
    // Not wanted: then it is an inconsistent system like any other.
    let ran = solve(&folder, &config("cg", "name = 'jacobi'", "null_space = 'none'"), &["--json"]);
    assert_eq!(ran.code, 2);
    assert!(ran.json()["null_space"].is_null());
}

#[test]
fn every_method_that_takes_the_matrix_solves_a_singular_system() {
    let folder = Folder::new("spaces-methods");
    let m = 33;
    for (name, n, edges) in [
        ("grid", m * m, grid(m)),
        ("network", 400, network(400)),
        ("path", 60, { (1..60).map(|i| (i - 1, i)).collect() }),
    ] {
        folder.file("A.mtx", &matrix(n, n, &laplacian(n, edges, 0.0)));
        folder.file("b.mtx", &array(&[rhs(n, 0.5)]));
        let methods = [
            ("cg", "name = 'jacobi'"),
            ("cg", "name = 'gauss-seidel'\nsweep = 'symmetric'"),
            ("cg", "name = 'ic'"),
            ("cg", "name = 'fsai'\npower = 2"),
            ("cg", "name = 'fsai'\nsteps = 5"),
            ("cg", "name = 'mlp-fsai'"),
            ("cg", "name = 'inverse'"),
            ("cg", "name = 'schwarz'\nmethod = 'inverse'"),
            ("cg", "name = 'schwarz'\nmethod = 'ic'"),
            ("gmres", "name = 'ilu'"),
            ("gmres", "name = 'ilu'\nlevel = 3"),
            ("gmres", "name = 'ilu'\ndrop_tolerance = 1e-3"),
            ("gmres", "name = 'spai'"),
            ("gmres", "name = 'spai'\npower = 2"),
            ("gmres", "name = 'inverse'"),
            ("gmres", "name = 'auto'"),
            ("bicgstab", "name = 'ilu'"),
        ];
        let on_grids = [
            ("cg", "name = 'fast-poisson'"),
            ("cg", "name = 'reference'"),
            ("cg", "name = 'multigrid'"),
            ("cg", "name = 'multigrid'\nlevels = 1"),
            ("gmres", "name = 'mlp-reference'"),
        ];
        let on_grids = on_grids.into_iter().filter(|_| name == "grid");
        for (solver, method) in methods.into_iter().chain(on_grids) {
            let ran = solve(&folder, &config(solver, method, ""), &["--json"]);
            assert_eq!(ran.code, 0, "{name}, {solver}, {method}: {} {}", ran.out, ran.err);
            let result = ran.json();
            let count = result["iterations"].as_u64().unwrap();
            if method.contains("'inverse'") || method.contains("levels = 1") {
                assert!(count <= 2, "{name}, {solver}, {method}: a direct method took {count}");
            }
            assert!(count < 400, "{name}, {solver}, {method}: {count}");
        }
    }
}

#[test]
fn null_spaces_come_from_files() {
    let folder = Folder::new("spaces-files");
    // D L D with the null vector 1/d; two unconnected paths make two vectors.
    let n = 50;
    let edges = (1..n).filter(|i| *i != 20).map(|i| (i - 1, i));
    let d: Vec<f64> = (0..n).map(|i| 1.0 + 0.1 * (i % 7) as f64).collect();
    let scaled: Vec<_> = laplacian(n, edges, 0.0)
        .into_iter()
        .map(|(i, j, v)| (i, j, v * d[i - 1] * d[j - 1]))
        .collect();
    folder.file("A.mtx", &matrix(n, n, &scaled));
    folder.file("b.mtx", &array(&[rhs(n, 0.3)]));
    let part = |first: bool| -> Vec<f64> {
        (0..n).map(|i| if (i < 20) == first { 1.0 / d[i] } else { 0.0 }).collect()
    };
    // Any basis will do.
    let sum: Vec<f64> = part(true).iter().zip(part(false)).map(|(x, y)| 3.0 * x + y).collect();
    folder.file("N.mtx", &array(&[part(true), sum]));
    let ic = config("cg", "name = 'ic'", "null_space = 'N.mtx'");
    let ran = solve(&folder, &ic, &["--json"]);
    assert_eq!(ran.code, 0, "{} {}", ran.out, ran.err);
    let null = &ran.json()["null_space"];
    assert_eq!((&null["right"], &null["known"]), (&2.into(), &"given".into()));
    assert!(null["name"].as_str().unwrap().contains("the 2 vectors of"), "{null}");
    // IC(0) of a path is exact.
    assert!(ran.json()["iterations"].as_u64().unwrap() <= 2, "{}", ran.out);

    let fails = |text: &str, wanted: &[&str]| {
        folder.file("bad.mtx", text);
        let config = config("cg", "name = 'ic'", "null_space = 'bad.mtx'");
        solve(&folder, &config, &[]).fails_with(wanted);
    };
    fails(&array(&[vec![1.0; 7]]), &["bad.mtx", "vectors of 7 entries", "50 rows"]);
    fails(&array(&[part(true), part(true)]), &["bad.mtx", "vector 2", "depends on those before"]);
    fails(&array(&[vec![0.0; n]]), &["bad.mtx", "vector 1", "is zero"]);
    fails(&array(&[vec![1.0; n]]), &["is not in the null space of A"]);
    let constant = config("cg", "name = 'ic'", "null_space = 'constant'");
    solve(&folder, &constant, &[]).fails_with(&["the constant vector is not in the null space"]);
    let other = config("cg", "name = 'ic'", "null_space = 3");
    solve(&folder, &other, &[]).fails_with(&["config.toml:4", "null_space"]);
}

#[test]
fn the_preconditioner_may_be_made_from_another_matrix() {
    let folder = Folder::new("spaces-two");
    let m = 20;
    let n = m * m;
    // A: the grid, with further couplings; P: the grid alone.
    let far = (0..n - 2 * m).map(|i| (i, i + 2 * m));
    folder.file("A.mtx", &matrix(n, n, &laplacian(n, grid(m).into_iter().chain(far), 0.1)));
    folder.file("P.mtx", &matrix(n, n, &laplacian(n, grid(m), 0.1)));
    folder.file("b.mtx", &array(&[rhs(n, 0.5)]));
    let own = config("cg", "name = 'inverse'", "");
    let other = config("cg", "name = 'inverse'", "preconditioner_matrix = 'P.mtx'");
    let count = |config: &str| {
        let ran = solve(&folder, config, &["--json"]);
        assert_eq!(ran.code, 0, "{} {}", ran.out, ran.err);
        (ran.json()["iterations"].as_u64().unwrap(), ran.json())
    };
    let (of_own, _) = count(&own);
    let (of_other, result) = count(&other);
    assert!(of_own <= 2 && of_other > 5, "M is P's inverse, not A's: {of_own}, {of_other}");
    assert!(result["preconditioner_matrix"].as_str().unwrap().ends_with("P.mtx"));
    assert_eq!(result["preconditioner_matrix_nnz"], 5 * n - 4 * m);
    assert_eq!(result["nnz"], 5 * n - 4 * m + 2 * (n - 2 * m));
    let text = solve(&folder, &other, &[]).out;
    assert!(text.contains("the preconditioner from matrix"), "{text}");
    // A singular A with a regular P, as many do by hand.
    folder.file("A.mtx", &matrix(n, n, &laplacian(n, grid(m), 0.0)));
    let (shifted, result) = count(&other);
    assert!(shifted <= 40 && !result["null_space"].is_null(), "{result}");

    let ran = crate::support::run(
        crate::support::program()
            .arg("compare")
            .arg(folder.file(
                "compare.toml",
                "[problem]\nmatrix = 'A.mtx'\nrhs = 'b.mtx'\npreconditioner_matrix = 'P.mtx'\n\
             [solver]\nmethod = 'cg'\ntolerance = 1e-9\n[[run]]\npreconditioner = 'inverse'\n",
            ))
            .arg("--json"),
    );
    assert_eq!(ran.code, 0, "{} {}", ran.out, ran.err);
    assert!(ran.out.contains("A is singular"), "{}", ran.out);

    folder.file("P.mtx", &matrix(9, 9, &laplacian(9, grid(3), 0.1)));
    solve(&folder, &other, &[]).fails_with(&["P.mtx", "has 9 rows, A has 400"]);
    let list = "[problem]\nmatrices = ['A.mtx', 'P.mtx']\npreconditioner_matrix = 'P.mtx'\n\
                [[run]]\npreconditioner = 'jacobi'\n";
    let list = folder.file("list.toml", list);
    crate::support::run(crate::support::program().arg("compare").arg(list))
        .fails_with(&["preconditioner_matrix", "goes with a single matrix only"]);
}
