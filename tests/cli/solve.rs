//! `solve`, `problem`, `matrix`: what they print and write, and how they exit.
use crate::support::{Folder, matrix, precondor, program, run, solve};
use std::io::Read;
use std::process::Stdio;

use precondor_testkit::systems;

const POISSON: &str = "
[problem]
kind = 'poisson'
level = 4
seed = 3
[solver]
method = 'cg'
tolerance = 1e-8
[preconditioner]
name = 'jacobi'
";

#[test]
fn json_has_its_keys_and_the_exit_status_tells_convergence() {
    let folder = Folder::new("solve-json");
    let ran = solve(&folder, POISSON, &["--json"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let result = ran.json();
    for key in [
        "method",
        "preconditioner",
        "converged",
        "outcome",
        "iterations",
        "relative_residual",
        "true_relative_residual",
        "setup_seconds",
        "solve_seconds",
        "preconditioner_nnz",
        "preconditioner_bytes",
        "n",
        "nnz",
        "ranks",
    ] {
        assert!(!result[key].is_null(), "{key} in {result}");
    }
    assert_eq!(result["n"], 225);
    // A 7-point stencil on a 15 × 15 grid: 7·225 less what the edges miss.
    assert_eq!(result["nnz"], 7 * 225 - 4 * 15 - 2 * (2 * 15 - 1));
    assert_eq!(result["preconditioner_nnz"], 225);
    assert!(result["true_relative_residual"].as_f64().unwrap() <= 1.1e-8);

    let ran = solve(&folder, POISSON, &["--json", "--set", "solver.max_iterations=2"]);
    assert_eq!(ran.code, 2, "{}", ran.err);
    assert_eq!(ran.json()["outcome"], "iteration-limit");
    assert_eq!(ran.json()["converged"], false);
}

#[test]
fn the_history_is_written_and_the_time_is_told_in_parts() {
    let folder = Folder::new("history");
    let file = folder.path().join("h.csv");
    let ran = solve(&folder, POISSON, &["--json", "--history", file.to_str().unwrap()]);
    let json = ran.json();
    let text = std::fs::read_to_string(&file).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("iteration,relative residual"));
    let rows: Vec<(u64, f64)> = lines
        .map(|line| {
            line.split_once(',').map(|(k, m)| (k.parse().unwrap(), m.parse().unwrap())).unwrap()
        })
        .collect();
    assert_eq!(rows.len() as u64, 1 + json["iterations"].as_u64().unwrap());
    assert!(rows.iter().enumerate().all(|(k, row)| row.0 == k as u64));
    let last = json["relative_residual"].as_f64().unwrap();
    assert!((rows.last().unwrap().1 / last - 1.0).abs() < 1e-12 && rows[0].1 == 1.0, "{text}");
    // Parts of the solve are no more than the whole, and none of them is nothing.
    let seconds = |key: &str| json[key].as_f64().unwrap();
    let (products, applications) = (seconds("product_seconds"), seconds("application_seconds"));
    assert!(products > 0.0 && applications > 0.0 && seconds("reading_seconds") > 0.0);
    assert!(products + applications <= seconds("solve_seconds"), "{json}");
    let told = solve(&folder, POISSON, &[]).out;
    let line = told.lines().find(|line| line.starts_with("time ")).unwrap();
    for part in ["the system ", "setup ", "products ", "applications ", "vectors and reductions "] {
        assert!(line.contains(part), "{line}");
    }
    solve(&folder, POISSON, &["--history", "/proc/no/h.csv"]).fails_with(&["--history: "]);
}

#[test]
fn a_problem_written_as_files_is_the_same_problem() {
    let folder = Folder::new("solve-files");
    let config = folder.file("problem.toml", POISSON);
    let (a, b) = (folder.path().join("A.mtx"), folder.path().join("b.mtx"));
    let text = "[problem]\nkind = 'poisson'\nlevel = 4\nseed = 3\nrhs = 'random'\n";
    let only = folder.file("only.toml", text);
    let ran = run(program().arg("problem").arg(&only).arg("-o").arg(&a).arg("--rhs").arg(&b));
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let ran = run(program().arg("matrix").arg(&a).arg("--json"));
    let statistics = ran.json();
    assert_eq!((statistics["rows"].as_u64(), statistics["cols"].as_u64()), (Some(225), Some(225)));
    assert_eq!(statistics["square"]["symmetric"], true);

    let made =
        run(program().arg("solve").arg(&config).args(["--json", "--set", "problem.rhs=random"]));
    let files =
        POISSON.replace("kind = 'poisson'\nlevel = 4\nseed = 3", "matrix = 'A.mtx'\nrhs = 'b.mtx'");
    let x = folder.path().join("x.mtx");
    let read = solve(&folder, &files, &["--json", "--save-solution", x.to_str().unwrap()]);
    for key in ["iterations", "relative_residual", "true_relative_residual", "nnz"] {
        assert_eq!(made.json()[key], read.json()[key], "{key}");
    }
    // Started from the solution there is nothing to do.
    let again = files.replace("rhs = 'b.mtx'", "rhs = 'b.mtx'\nx0 = 'x.mtx'");
    let again = solve(&folder, &again, &["--json"]);
    assert_eq!((again.code, again.json()["iterations"].as_u64()), (0, Some(0)), "{}", again.err);
}

#[test]
fn the_error_rule_measures_against_a_solution_it_makes_itself() {
    let folder = Folder::new("solve-error");
    let rule = POISSON.replace("tolerance = 1e-8", "tolerance = 1e-6\nstop = 'absolute-error'");
    let x = folder.path().join("x.mtx");
    let ran = solve(&folder, &rule, &["--json", "--save-solution", x.to_str().unwrap()]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.json()["absolute_error"].as_f64().unwrap() <= 1e-6);
    assert!(ran.json()["relative_residual"].is_null());
    let tight = POISSON.replace("1e-8", "1e-14");
    let best = folder.path().join("best.mtx");
    solve(&folder, &tight, &["--save-solution", best.to_str().unwrap()]);
    let read = |path| {
        let text = std::fs::read_to_string(path).unwrap();
        let numbers = text.lines().filter(|l| !l.starts_with('%')).skip(1);
        numbers.map(|l| l.trim().parse::<f64>().unwrap()).collect::<Vec<_>>()
    };
    let (x, best) = (read(x), read(best));
    assert_eq!(x.len(), 225);
    let apart: f64 = x.iter().zip(&best).map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt();
    assert!(apart <= 1.01e-6, "{apart}");
}

#[test]
fn nothing_is_preconditioned_without_a_section_for_it() {
    let folder = Folder::new("solve-none");
    let plain = POISSON.split("[preconditioner]").next().unwrap();
    let ran = solve(&folder, plain, &["--json"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(
        (&ran.json()["preconditioner"], &ran.json()["preconditioner_nnz"]),
        (&"none".into(), &0.into())
    );
}

#[test]
fn inner_methods_are_chosen_by_name_on_the_command_line() {
    let folder = Folder::new("solve-inner");
    let flags =
        ["--json", "--set", "preconditioner.name=reference", "--set", "preconditioner.method=ic"];
    let config = POISSON.replace("name = 'jacobi'", "name = 'fast-poisson'");
    let ran = solve(&folder, &config, &flags);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(ran.json()["preconditioner"], "reference");
    // What the parameter was called before is understood, and noted once.
    let old: Vec<String> = flags
        .iter()
        .map(|flag| flag.replace("preconditioner.method", "preconditioner.solver"))
        .collect();
    let old: Vec<&str> = old.iter().map(String::as_str).collect();
    let again = solve(&folder, &config, &old);
    assert_eq!(again.json()["iterations"], ran.json()["iterations"]);
    let note = "parameter 'solver' is called 'method' now; the next release knows that name only";
    assert_eq!(again.err.matches(note).count(), 1, "{}", again.err);
    assert!(!ran.err.contains(note), "{}", ran.err);
    // So is what a method was called before.
    let named = config.replace("fast-poisson", "sine");
    let renamed = solve(&folder, &named, &["--json"]);
    assert_eq!(renamed.code, 0, "{}", renamed.err);
    let note = "method 'sine' is called 'fast-poisson' now; the next release knows that name only";
    assert_eq!(renamed.err.matches(note).count(), 1, "{}", renamed.err);
    let both = [&flags[..], &["--set", "preconditioner.solver=ic"]].concat();
    solve(&folder, &config, &both).fails_with(&["'solver': is what 'method' was called before"]);
}

#[test]
fn methods_of_a_list_are_set_and_checked_as_others_are() {
    let folder = Folder::new("solve-lists");
    let list = "name = 'composite'\nkind = 'symmetric-multiplicative'\n\
                methods = [{ name = 'jacobi', damping = 0.5 }, 'ic']";
    let config = POISSON.replace("name = 'jacobi'", list);
    let run = |config: &str, flags: &[&str]| {
        let set = flags.iter().flat_map(|flag| ["--set", flag]);
        solve(&folder, config, &["--json"].into_iter().chain(set).collect::<Vec<_>>())
    };
    let iterations = |config: &str, flags: &[&str]| {
        let ran = run(config, flags);
        assert_eq!(ran.code, 0, "{}", ran.err);
        ran.json()["iterations"].as_u64().unwrap()
    };
    let given = iterations(&config, &[]);
    let changed = iterations(&config, &["preconditioner.methods.1=jacobi"]);
    assert!(changed > given, "{changed} and {given}");
    // Made by flags alone.
    let by_flags = [
        "preconditioner.name=composite",
        "preconditioner.kind=symmetric-multiplicative",
        "preconditioner.methods.0.name=jacobi",
        "preconditioner.methods.0.damping=0.5",
        "preconditioner.methods.1=ic",
    ];
    assert_eq!(iterations(&POISSON.replace("name = 'jacobi'", ""), &by_flags), given);
    run(&config.replace("damping", "dampin"), &[]).fails_with(&[
        "config.toml:12:31: 'dampin': there is no such key; did you mean 'damping'?",
        "^^^^^^",
    ]);
    run(&config.replace("'ic'", "'ik'"), &[])
        .fails_with(&["config.toml:12:48: 'name': no preconditioner 'ik'; did you mean 'ic'?"]);
    run(&config, &["preconditioner.methods.1.damping=2"])
        .fails_with(&["--set preconditioner.methods.1.damping=2: 'damping': there is no such key"]);
    run(&config, &["preconditioner.methods.2=ic"])
        .fails_with(&["'2' is not one of the 2 items, 0 the first"]);
}

#[test]
fn a_saddle_point_is_split_by_the_zeros_on_its_diagonal() {
    let folder = Folder::new("solve-saddle");
    // The second difference, and constraints on every other two neighbours; not in that order.
    let (n, m) = (60, 20);
    let mut entries = Vec::new();
    for i in 1..=n {
        entries.push((m + i, m + i, 2.0));
        if i > 1 {
            entries.extend([(m + i, m + i - 1, -1.0), (m + i - 1, m + i, -1.0)]);
        }
    }
    for k in 1..=m {
        for (i, v) in [(3 * k - 2, 1.0), (3 * k - 1, -1.0)] {
            entries.extend([(k, m + i, v), (m + i, k, v)]);
        }
    }
    folder.file("A.mtx", &matrix(n + m, n + m, &entries));
    for (solver, more) in [
        ("gmres", ""),
        ("flexible-gmres", "factorisation = 'lower'"),
        ("minres", "factorisation = 'diag'\nmethods = ['ic']"),
    ] {
        let config = format!(
            "[problem]\nmatrix = 'A.mtx'\n[solver]\nmethod = '{solver}'\ntolerance = 1e-8\n\
             [preconditioner]\nname = 'fieldsplit'\n{more}\n"
        );
        let ran = solve(&folder, &config, &["--json"]);
        assert_eq!(ran.code, 0, "{solver}: {}", ran.err);
        let its = ran.json()["iterations"].as_u64().unwrap();
        assert!(its <= 40, "{solver}: {its}");
    }
    // Its file of fields is read beside the configuration.
    let fields: String = (0..n + m).map(|i| format!("{}\n", u8::from(i < m))).collect();
    folder.file("fields.txt", &fields);
    let config = "[problem]\nmatrix = 'A.mtx'\n[preconditioner]\nname = 'fieldsplit'\n\
                  kind = 'schur'\nfile = 'fields.txt'\n";
    assert_eq!(solve(&folder, config, &[]).code, 0);
    folder.file("fields.txt", "0\nx\n");
    solve(&folder, config, &[]).fails_with(&["fields.txt:2: 'x' is no field"]);
}

#[test]
fn the_example_of_a_stokes_system_solves_one() {
    let folder = Folder::new("solve-stokes");
    let (a, _) = systems::stokes(16, systems::Order::Mixed);
    let file = folder.path().join("stokes.mtx");
    precondor_core::matrix::io::matrix_market::write(&file, &a, "Stokes flow").unwrap();
    let example = format!("{}/examples/stokes.toml", env!("CARGO_MANIFEST_DIR"));
    let iterations = |flags: &[&str]| {
        let matrix = format!("problem.matrix={}", file.display());
        let set = flags.iter().copied().chain([matrix.as_str()]).flat_map(|flag| ["--set", flag]);
        let ran = run(program().args(["solve", &example, "--json"]).args(set));
        assert_eq!(ran.code, 0, "{}", ran.err);
        ran.json()["iterations"].as_u64().unwrap()
    };
    assert_eq!(iterations(&[]), 34);
    let minres = [
        "solver.method=minres",
        "preconditioner.factorisation=diag",
        "preconditioner.methods.0=ic",
    ];
    assert_eq!(iterations(&minres), 86);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut child = program()
        .args(["plugins", "describe", "jacobi", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert!(child.wait().unwrap().success(), "{err}");
    assert_eq!(err, "");
}

#[test]
fn a_matrix_is_drawn_and_described() {
    let folder = Folder::new("matrix");
    let a =
        folder.file("a.mtx", &matrix(3, 3, &[(1, 1, 2.0), (2, 2, 2.0), (3, 3, 2.0), (1, 3, 1.0)]));
    let spy = folder.path().join("spy.svg");
    let ran = run(program().arg("matrix").arg(&a).arg("--spy").arg(&spy));
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(ran.out.contains("3"), "{}", ran.out);
    let picture = std::fs::read_to_string(spy).unwrap();
    assert_eq!(picture.matches("<rect x=").count(), 4);
}

#[test]
fn help_is_no_mistake_and_misuse_is_bad_input() {
    assert_eq!(precondor(["--help"]).code, 0);
    assert_eq!(precondor(["--version"]).code, 0);
    for args in [vec!["solve"], vec!["sole"], vec!["solve", "--bogus"], vec![]] {
        assert_eq!(precondor(&args).code, 1, "{args:?}");
    }
}

/// Without `-v` standard error stays empty; what it tells changes nothing of the result.
#[test]
fn more_is_told_where_that_is_asked_for() {
    let folder = Folder::new("solve-verbose");
    let config = "[problem]\nkind = 'poisson'\nlevel = 3\n[preconditioner]\nname = 'ic'\n";
    let told = ["", "-v", "-vv"].map(|flag| {
        let flags: &[&str] = if flag.is_empty() { &[] } else { &[flag] };
        let ran = solve(&folder, config, &[flags, &["--save-solution", "/dev/null"]].concat());
        assert_eq!(ran.code, 0, "{}", ran.err);
        ran.err
    });
    assert_eq!(told[0], "");
    for part in
        [" methods in ", "level 3, system 0: 49 unknowns, 289 entries", "ic: the solve begins"]
    {
        assert!(told[1].contains(part) && told[2].contains(part), "no '{part}' in {}", told[1]);
    }
    assert!(
        told[1].contains("ic: set up in ") && told[1].contains("converged after "),
        "{}",
        told[1]
    );
    assert!(
        !told[1].contains("libprecondor_plugin_ilu.so")
            && told[2].contains("libprecondor_plugin_ilu.so")
    );
}
