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

/// A matrix in a bad order, with all that may come along with one: spread anew it fetches less, and what comes out is in
/// the order of the files.
#[test]
fn a_matrix_in_a_bad_order_is_spread_anew_and_solved_in_the_users_order() {
    let folder = Folder::new("mpi-partition");
    let m = 20;
    let n = m * m;
    // Row k of the file is node 37 k mod n of the grid.
    let place: Vec<usize> = {
        let mut place = vec![0; n];
        (0..n).for_each(|k| place[37 * k % n] = k);
        place
    };
    let shuffled = |text: String| {
        let mut lines = text.lines();
        let mut out: Vec<String> = lines.by_ref().take(2).map(str::to_owned).collect();
        out.extend(lines.map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            let new = |k: usize| place[words[k].parse::<usize>().expect("a number") - 1] + 1;
            format!("{} {} {}", new(0), new(1), words[2])
        }));
        out.join("\n") + "\n"
    };
    folder.file("A.mtx", &shuffled(neumann::laplacian(m, 0.01)));
    folder.file("P.mtx", &shuffled(neumann::laplacian(m, 0.02)));
    folder.file("b.mtx", &neumann::rhs(n));
    let config = folder.file(
        "solve.toml",
        "[problem]\nmatrix = 'A.mtx'\nrhs = 'b.mtx'\nx0 = 'b.mtx'\ncoordinates = 'b.mtx'\n\
         preconditioner_matrix = 'P.mtx'\n[solver]\nmethod = 'cg'\ntolerance = 1e-10\n\
         [preconditioner]\nname = 'jacobi'\n",
    );
    let config = config.display().to_string();
    let solved = |ranks: usize, more: &[&str]| {
        let file = folder.path().join("x.mtx").display().to_string();
        let words =
            [&["solve", config.as_str(), "--save-solution", &file, "--json"], more].concat();
        let got = json(&precondor(ranks, &words));
        assert_eq!(got["outcome"], "converged", "{got}");
        let text = std::fs::read_to_string(file).expect("a solution");
        let x: Vec<f64> = text.lines().skip(3).map(|l| l.parse().expect("numbers")).collect();
        (x, got)
    };
    let (expected, plain) = solved(1, &[]);
    for ranks in 1..=3 {
        for partition in ["rcm", "graph"] {
            let set = format!("problem.partition='{partition}'");
            let (x, got) = solved(ranks, &["--set", &set]);
            let gap = x.iter().zip(&expected).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
            assert!(x.len() == n && gap < 1e-7, "{partition} on {ranks} ranks: {gap:e}");
            // Jacobi does not depend on the order.
            let [a, b] = [&got, &plain].map(|of| of["iterations"].as_i64().expect("a number"));
            assert!((a - b).abs() <= 1, "{a} {b}");
            let notes = got["notes"].as_array().expect("notes");
            let note = notes.iter().filter_map(|note| note.as_str());
            let mut note =
                note.filter(|note| note.starts_with(&format!("partition \"{partition}\"")));
            let note = note.next().expect("told").to_owned();
            let numbers: Vec<u64> = note.split(' ').filter_map(|word| word.parse().ok()).collect();
            let [after, before] = numbers[..] else { panic!("{note}") };
            assert!(ranks == 1 || 3 * after < before, "{note}");
        }
    }
    // Unknowns that are taken out come back to where they were.
    let mut rows = neumann::laplacian(m, 0.01);
    rows = rows.lines().filter(|line| !line.starts_with("5 ")).map(|l| format!("{l}\n")).collect();
    let count = rows.lines().count() - 2 + 1;
    let head = rows.lines().nth(1).expect("sizes").to_owned();
    rows = rows.replacen(&head, &format!("{n} {n} {count}"), 1) + "5 5 2\n";
    folder.file("D.mtx", &shuffled(rows));
    let out = folder.file(
        "eliminate.toml",
        "[problem]\nmatrix = 'D.mtx'\nrhs = 'b.mtx'\neliminate = 'identity-rows'\n\
         [solver]\nmethod = 'gmres'\ntolerance = 1e-10\n[preconditioner]\nname = 'jacobi'\n",
    );
    let out = out.display().to_string();
    let file = folder.path().join("y.mtx").display().to_string();
    let values = |ranks: usize, more: &[&str]| {
        let words = [&["solve", out.as_str(), "--save-solution", &file], more].concat();
        let job = precondor(ranks, &words);
        assert_eq!(job.status, Some(0), "{job:?}");
        let text = std::fs::read_to_string(&file).expect("a solution");
        text.lines().skip(3).map(|l| l.parse().expect("numbers")).collect::<Vec<f64>>()
    };
    let expected = values(1, &[]);
    let got = values(3, &["--set", "problem.partition='graph'"]);
    let gap = got.iter().zip(&expected).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
    assert!(gap < 1e-7, "{gap:e}");
    let job = precondor(2, &["solve", &config, "--set", "problem.partition='metis'"]);
    fails_with(&job, "partition");
}
