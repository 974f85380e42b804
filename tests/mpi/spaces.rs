//! Singular systems and second matrices on ranks.
use crate::support::Folder;
use crate::{fails_with, json, neumann, precondor};
use precondor_testkit::compile::compile;

#[test]
fn a_singular_system_has_the_same_solution_on_any_number_of_ranks() {
    let folder = Folder::new("mpi-singular");
    let m = 13;
    let n = m * m;
    folder.file("A.mtx", &neumann::laplacian(m, 0.0));
    folder.file("P.mtx", &neumann::laplacian(m, 0.01));
    folder.file("b.mtx", &neumann::rhs(n));
    folder.file("ones.mtx", &neumann::ones(n));
    let config = |name: &str, more: &str| {
        let text = format!(
            "[problem]\nmatrix = 'A.mtx'\nrhs = 'b.mtx'\n{more}\n[solver]\nmethod = 'cg'\n\
             tolerance = 1e-10\n[preconditioner]\n{name}\n"
        );
        folder.file("config.toml", &text).display().to_string()
    };
    let mut first: Option<(Vec<f64>, f64)> = None;
    for ranks in 1..=3 {
        for (name, more) in [
            ("name = 'jacobi'", ""),
            ("name = 'jacobi'", "null_space = 'ones.mtx'"),
            ("name = 'ic'", ""),
            ("name = 'schwarz'\nmethod = 'inverse'\noverlap = 20", ""),
            ("name = 'inverse'", "preconditioner_matrix = 'P.mtx'"),
        ] {
            let file = folder.path().join("x.mtx").display().to_string();
            let config = config(name, more);
            let got =
                json(&precondor(ranks, &["solve", &config, "--save-solution", &file, "--json"]));
            assert_eq!(got["outcome"], "converged", "{got}");
            let text = std::fs::read_to_string(file).expect("a solution");
            let x: Vec<f64> = text.lines().skip(3).map(|l| l.parse().expect("numbers")).collect();
            assert_eq!(x.len(), n);
            assert!(x.iter().sum::<f64>().abs() < 1e-9, "of smallest norm");
            let outside = got["null_space"]["outside"].as_f64().expect("singular");
            let (y, expected) = first.get_or_insert((x.clone(), outside));
            let gap = x.iter().zip(&*y).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
            assert!(gap < 1e-6, "{name} on {ranks} ranks: {gap:e}");
            assert!((outside - *expected).abs() < 1e-12, "{name} on {ranks} ranks");
        }
    }
    // Two parts, of which the first has more rows than Matrix Market files give the first rank.
    for (k, rows) in [0..100, 100..n].into_iter().enumerate() {
        folder.file(&format!("P.IJ.{k:05}"), &neumann::part(m, 0.01, rows));
    }
    let job = precondor(2, &["solve", &config("name = 'ic'", "preconditioner_matrix = 'P.IJ'")]);
    fails_with(&job, "spread over the ranks in another way than A");
    folder.file("P.mtx", &neumann::laplacian(3, 0.01));
    let job = precondor(2, &["solve", &config("name = 'ic'", "preconditioner_matrix = 'P.mtx'")]);
    fails_with(&job, "has 9 rows, A has 169");
    let job = precondor(2, &["solve", &config("name = 'ic'", "null_space = 'P.mtx'")]);
    fails_with(&job, "vectors of 9 entries, the matrix 169 rows");
}

/// A family of problems of a library: every rank makes its own rows of the same system.
#[test]
fn a_family_of_a_library_is_the_same_system_on_any_number_of_ranks() {
    let folder = Folder::new("mpi-family");
    let (source, include) = ("tests/c/springs.c", "bindings/abi/include");
    compile(folder.path(), "springs", source, include, &["-lm"]);
    let plugins = folder.path().display().to_string();
    let config = folder.file(
        "solve.toml",
        "[problem]\nkind = 'springs'\nmasses = 80\nseed = 4\n[solver]\nmethod = 'cg'\n\
         [preconditioner]\nname = 'jacobi'\n",
    );
    let config = config.display().to_string();
    let mut first = None;
    for ranks in 1..=3 {
        let words = ["--plugin-path", &plugins, "solve", &config, "--json"];
        let got = json(&precondor(ranks, &words));
        assert_eq!(got["outcome"], "converged", "{got}");
        let first = first.get_or_insert(got["iterations"].clone());
        assert_eq!(*first, got["iterations"], "{ranks} ranks");
    }
    let set = "problem.masses=13.5";
    let job = precondor(2, &["--plugin-path", &plugins, "solve", &config, "--set", set]);
    fails_with(&job, "masses");
}
