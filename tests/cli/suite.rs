//! `compare` with `[problem] matrices`: numbers over the suite, what one bad matrix or method does to the others, going
//! on after a kill.
use crate::plugins::faulty;
use crate::support::{Folder, Ran, matrix, precondor, program, run, wait_for_lines};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Poisson systems of levels 2 to 4 in a folder, with the right-hand side of one, and what is no matrix.
fn folder(name: &str) -> Folder {
    let folder = Folder::new(name);
    std::fs::create_dir(folder.path().join("m")).expect("made");
    for level in 2..=4 {
        let path = folder.path().join(format!("m/p{level}.mtx"));
        let set = format!("problem.level={level}");
        let words = ["problem", "--set", &set, "-o", path.to_str().expect("text")];
        assert_eq!(precondor(words).code, 0);
    }
    folder.file(
        "m/p2_b.mtx",
        "%%MatrixMarket matrix array real general\n9 1\n1\n0\n0\n0\n0\n0\n0\n0\n0\n",
    );
    folder
}

const RUNS: &str =
    "[solver]\nmethod = 'cg'\n[[run]]\npreconditioner = 'jacobi'\n[[run]]\npreconditioner = 'ic'\n";

fn compare(folder: &Folder, text: &str, args: &[&str]) -> Ran {
    let path = folder.file("suite.toml", text);
    let mut command = program();
    run(command.arg("compare").arg(path).args(args).arg("--plugin-path").arg(folder.path()))
}

fn section<'d>(document: &'d Value, id: &str) -> &'d Value {
    let sections = document["sections"].as_array().expect("sections");
    sections.iter().find(|section| section["id"] == id).unwrap_or_else(|| panic!("no section {id}"))
}

fn labels(document: &Value) -> Vec<&str> {
    let sections = document["sections"].as_array().expect("sections");
    sections.iter().filter_map(|section| section["label"].as_str()).collect()
}

#[test]
fn a_pattern_makes_a_suite_and_what_is_no_matrix_is_left_out() {
    let folder = folder("suite-pattern");
    let report = folder.path().join("report");
    let config = format!("repeats = 3\n[problem]\nmatrices = 'm/*.mtx'\n{RUNS}");
    let ran = compare(&folder, &config, &["--json", "--report", report.to_str().expect("text")]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let document = ran.json();
    assert_eq!(labels(&document), ["p2", "p3", "p4"]);
    // Counts by hand, out of the tables of the systems.
    let counts = |row: usize| -> Vec<f64> {
        let of = |case: usize| {
            let table = &section(&document, &format!("case_{case}"))["tables"][0];
            table["rows"][row]["values"]["iterations"]["mean"].as_f64().expect("a count")
        };
        (0..3).map(of).collect()
    };
    let over = section(&document, "suite");
    for row in 0..2 {
        let values = &over["tables"][0]["rows"][row]["values"];
        let mean = counts(row).iter().map(|its| (its + 10.0).ln()).sum::<f64>() / 3.0;
        let told = values["iterations"].as_f64().expect("a mean");
        assert!((told - (mean.exp() - 10.0)).abs() < 1e-9, "{told}");
        assert_eq!(values["failed"], 0);
        let best = (0..3).filter(|&k| counts(row)[k] <= counts(1 - row)[k]).count();
        assert_eq!(values["least_iterations"].as_f64(), Some(best as f64 / 3.0));
    }
    for measure in ["time", "iterations", "products"] {
        for label in ["jacobi", "ic"] {
            let points = over["profiles"][measure][label].as_array().expect("a profile");
            let shares: Vec<f64> = points.iter().map(|p| p[1].as_f64().expect("a share")).collect();
            assert!(
                shares.is_sorted() && shares.last() == Some(&1.0),
                "{measure}, {label}: {shares:?}"
            );
        }
    }
    let system = &section(&document, "case_1")["tables"][0]["rows"][0]["systems"][0];
    assert_eq!(system["times"].as_array().map(Vec::len), Some(3));
    // One product an iteration and two for the residuals at both ends, and as many applications of the diagonal.
    let (its, nnz) = (counts(0)[1], section(&document, "case_1")["nnz"].as_f64().expect("entries"));
    let products = system["products"].as_f64().expect("products");
    let least = its * (1.0 + 49.0 / nnz);
    assert!(products >= least && products <= least + 4.0, "{products} for {least}");
    let page = std::fs::read_to_string(report.join("index.html")).expect("a page");
    assert_eq!(page.matches("<figcaption>Performance profile of the ").count(), 3);
    let text = |name: &str| std::fs::read_to_string(report.join(name)).expect("a file");
    assert!(text("suite.csv").starts_with("label,group,solver,failed,time,iterations,products,"));
    assert!(text("profile.csv").contains("\niterations,ic,1e0,1e0\n"), "{}", text("profile.csv"));
    assert!(text("results.csv").lines().nth(1).is_some_and(|line| line.contains("p2,0,9,")));
    assert!(!report.join("solves.jsonl").exists(), "all is done");
}

#[test]
fn a_suite_is_a_list_of_names_patterns_and_tables() {
    let folder = folder("suite-list");
    let config = format!(
        "[problem]\nmatrices = ['m/p[34].mtx', 'm/p3.mtx', {{ matrix = 'm/p2.mtx', rhs = 'm/p2_b.mtx', label = 'with b' }}]\n\
         null_space = 'none'\n{RUNS}"
    );
    let ran = compare(&folder, &config, &["--json"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let document = ran.json();
    // A file that two patterns find is one system.
    assert_eq!(labels(&document), ["p3", "p4", "with b"]);
    let files: Vec<&str> = document["provenance"]["files"]
        .as_array()
        .expect("files")
        .iter()
        .filter_map(|f| f["file"].as_str())
        .collect();
    assert!(files.iter().any(|file| file.ends_with("p2_b.mtx")), "{files:?}");
    // Files of one name are told by their folders.
    std::fs::create_dir(folder.path().join("n")).expect("made");
    std::fs::copy(folder.path().join("m/p2.mtx"), folder.path().join("n/p2.mtx")).expect("copied");
    let config = format!("[problem]\nmatrices = '?/p2.mtx'\n{RUNS}");
    assert_eq!(labels(&compare(&folder, &config, &["--json"]).json()), ["m/p2.mtx", "n/p2.mtx"]);
    let tables = format!(
        "[[problem.matrices]]\nmatrix = 'm/p2.mtx'\n[[problem.matrices]]\nmatrix = 'm/p3.mtx'\n{RUNS}"
    );
    assert_eq!(labels(&compare(&folder, &tables, &["--json"]).json()), ["p2", "p3"]);
}

#[test]
fn a_matrix_that_cannot_be_read_is_a_row_and_the_others_go_on() {
    let folder = folder("suite-unread");
    folder.file("m/a.mtx", "nonsense\n");
    folder.file("m/b.mtx", &matrix(2, 2, &[(1, 1, 2.0), (1, 2, 1.0), (2, 2, 4.0)]));
    let config = format!("[problem]\nmatrices = ['m/*.mtx', 'm/missing.mtx']\n{RUNS}");
    let ran = compare(&folder, &config, &["--json"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    let document = ran.json();
    assert_eq!(labels(&document), ["a", "b", "p2", "p3", "p4", "missing"]);
    let row = |case: usize, row: usize| {
        section(&document, &format!("case_{case}"))["tables"][0]["rows"][row].clone()
    };
    assert!(
        row(0, 0)["systems"][0]["error"]
            .as_str()
            .is_some_and(|why| why.contains("a.mtx:1: no Matrix Market"))
    );
    assert!(
        row(5, 1)["systems"][0]["error"].as_str().is_some_and(|why| why.contains("missing.mtx"))
    );
    // Unsymmetric: both refuse.
    assert_eq!(row(1, 0)["systems"][0]["outcome"], "failed");
    assert_eq!(row(4, 0)["converged"], true);
    let failed = &section(&document, "suite")["tables"][0]["rows"][0]["values"]["failed"];
    assert_eq!(failed, 3);
}

#[test]
fn a_method_that_hangs_or_ends_its_process_costs_its_own_solves() {
    for (fault, outcome, why) in [
        (
            "HANGS_IN_GENERATE",
            "time-limit",
            "it did not stop when it was asked to, and was ended with its process",
        ),
        ("HANGS_IN_APPLY", "time-limit", "it did not stop when it was asked to"),
        ("WAITS", "time-limit", "the time limit of 0.3 s was over before it was set up"),
        ("EXITS_IN_GENERATE", "crashed", "it ended its process (exit status: 3)"),
    ] {
        let folder = folder(&format!("suite-{fault}"));
        faulty(&folder, fault);
        let runs =
            RUNS.replace("'jacobi'\n", "'faulty'\ntime_limit = 0.3\n").replace("'cg'", "'gmres'");
        let config = format!("repeats = 2\n[problem]\nmatrices = 'm/p[23].mtx'\n{runs}");
        let ran = compare(&folder, &config, &["--json"]);
        assert_eq!(ran.code, 1, "{fault}: {}", ran.err);
        let document = ran.json();
        for case in 0..2 {
            let rows = &section(&document, &format!("case_{case}"))["tables"][0]["rows"];
            let system = &rows[0]["systems"][0];
            assert_eq!(system["outcome"], outcome, "{fault}: {system}");
            assert!(system["error"].as_str().is_some_and(|text| text.contains(why)), "{system}");
            assert_eq!(rows[1]["converged"], true, "{fault}");
            assert_eq!(rows[1]["systems"][0]["times"].as_array().map(Vec::len), Some(2));
        }
    }
}

/// Iterations look at the clock, too.
#[test]
fn a_solve_ends_at_its_time_limit() {
    let folder = Folder::new("suite-limit");
    let text = "time_limit = 0.2\n[problem]\nkind = 'poisson'\nlevel = 6\n[solver]\nmethod = 'richardson'\ndamping = 1e-9\n\
                max_iterations = 1_000_000_000\n[[run]]\n";
    let ran = compare(&folder, text, &["--json"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let document = ran.json();
    let system = &section(&document, "case_0")["tables"][0]["rows"][0]["systems"][0];
    assert_eq!(system["outcome"], "time-limit");
    assert!(system["iterations"].as_u64().is_some_and(|many| many > 0), "{system}");
}

#[test]
fn what_a_killed_comparison_has_done_is_not_done_again() {
    let folder = folder("suite-killed");
    faulty(&folder, "WAITS");
    let text = format!(
        "[problem]\nmatrices = 'm/*.mtx'\n{}",
        RUNS.replace("'ic'", "'faulty'").replace("'cg'", "'gmres'")
    );
    let config = folder.file("suite.toml", &text);
    let report = folder.path().join("report");
    let begin = |resume: bool| {
        let mut command = program();
        command.arg("compare").arg(&config).arg("--plugin-path").arg(folder.path());
        command.arg("--report").arg(&report).args(resume.then_some("--resume"));
        command
    };
    let journal = report.join("solves.jsonl");
    let mut child =
        begin(false).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    // What was asked for, the first system, its first run.
    wait_for_lines(&journal, 3);
    let worker =
        Command::new("pgrep").args(["-P", &child.id().to_string()]).output().expect("pgrep");
    let worker = String::from_utf8(worker.stdout).expect("a number").trim().to_owned();
    assert!(!worker.is_empty());
    child.kill().and_then(|()| child.wait()).expect("killed");
    // Its worker waits for ever, and yet goes with it.
    let start = Instant::now();
    while Path::new("/proc").join(&worker).exists() {
        assert!(start.elapsed() < Duration::from_secs(60), "{worker} is still there");
        std::thread::sleep(Duration::from_millis(5));
    }
    let lines = std::fs::read_to_string(&journal).expect("a journal");
    // A line that was not finished does not count.
    std::fs::write(&journal, lines.clone() + "{\"End\":[{\"case\":0,\"sys").expect("written");
    // Another comparison does not go on from it.
    let other = run(begin(true).args(["--set", "solver.tolerance=1e-9"]));
    other.fails_with(&["solves.jsonl:1: is of another comparison: configuration differs"]);
    // The method does not wait any more.
    faulty(&folder, "NO_FAULT_BUT_NAN");
    let ran = run(&mut begin(true));
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(!journal.exists());
    let results = std::fs::read_to_string(report.join("results.csv")).expect("results");
    assert_eq!(results.lines().count(), 1 + 3 * 2, "{results}");
    let kept: Value = serde_json::from_str(lines.lines().nth(2).expect("a line")).expect("JSON");
    let seconds = kept["End"][1]["Ok"]["solve_seconds"].as_f64().expect("a time");
    let told = results.lines().nth(1).expect("jacobi").split(',').nth(16).expect("a field");
    assert_eq!(told.parse::<f64>().expect("a time"), seconds, "the solve that was done before");
    let history = std::fs::read_to_string(report.join("history.csv")).expect("a history");
    assert!(history.contains("p2,jacobi,1,"), "{history}");
    // Nothing is left to go on from: all is done.
    assert_eq!(run(&mut begin(true)).code, 0);
}

#[test]
fn an_interrupted_suite_says_how_to_go_on() {
    let folder = folder("suite-interrupted");
    faulty(&folder, "WAITS");
    let text = format!("[problem]\nmatrices = 'm/*.mtx'\n{}", RUNS.replace("'ic'", "'faulty'"));
    let config = folder.file("suite.toml", &text);
    let report = folder.path().join("report");
    let mut command = program();
    command
        .arg("compare")
        .arg(&config)
        .arg("--plugin-path")
        .arg(folder.path())
        .arg("--report")
        .arg(&report);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    wait_for_lines(&report.join("solves.jsonl"), 3);
    assert!(
        Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status()
            .expect("kill")
            .success()
    );
    let ended = child.wait_with_output().expect("it ends");
    let err = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(130), "{err}");
    assert!(err.contains("interrupted by SIGINT after 1 of 6 solves"), "{err}");
    assert!(err.contains("go on with `precondor compare ") && err.contains(" --resume`"), "{err}");
    assert!(String::from_utf8_lossy(&ended.stdout).contains("## Over the suite"));
    assert!(report.join("solves.jsonl").exists());
}

#[test]
fn mistakes_in_suites_are_shown_where_they_are() {
    let folder = folder("suite-mistakes");
    for (problem, why) in [
        ("matrices = 'm/*.petsc'", "2:12: finds no file"),
        ("matrices = 'm/*_b.mtx'", "2:12: finds no square matrix (1 other files)"),
        ("matrices = 'm/[.mtx'", "no pattern"),
        ("matrices = []", "'matrices': at least one is needed"),
        ("matrices = [1]", "is not of type string"),
        ("matrices = [{ rhs = 'b.mtx' }]", "'matrix' is missing"),
        (
            "matrices = [{ matrix = 'm/p2.mtx', rsh = 'b.mtx' }]",
            "'rsh': there is no such key; did you mean 'rhs'?",
        ),
        (
            "matrices = 'm/*.mtx'\nrhs = 'b.mtx'",
            "3:7: \"b.mtx\" is not \"ones\", \"random\" or a pattern",
        ),
        ("matrices = 'm/*.mtx'\nlevels = [3]", "3:1: 'levels': there is no such key"),
        ("matrices = 'm/*.mtx'\nnull_space = 'n.mtx'", "is not \"constant\" or \"none\""),
        ("matrix = ['m/p2.mtx']", "`compare` takes several as 'matrices'"),
    ] {
        compare(&folder, &format!("[problem]\n{problem}\n{RUNS}"), &[]).fails_with(&[why]);
    }
    for (key, why) in [
        ("repeats = 0", "0 is not a number from 1 to 1000"),
        ("time_limit = 0", "0 is not a number of seconds above 0"),
        ("time_limit = 'long'", "\"long\" is not a number of seconds"),
        ("repeat = 3", "did you mean 'repeats'?"),
    ] {
        compare(&folder, &format!("{key}\n[problem]\nmatrices = 'm/*.mtx'\n{RUNS}"), &[])
            .fails_with(&[why]);
    }
    let solve = folder.file("solve.toml", "[problem]\nmatrices = 'm/*.mtx'\n");
    precondor(["solve".as_ref(), solve.as_os_str()])
        .fails_with(&["'matrices': only `compare` and `tune` take several systems"]);
    let alone =
        compare(&folder, &format!("[problem]\nmatrices = 'm/*.mtx'\n{RUNS}"), &["--resume"]);
    assert_ne!(alone.code, 0);
    assert!(alone.err.contains("--report"), "{}", alone.err);
}

/// An application counts by the entries that it goes through: once what SPAI stores, twice a factor, whether it is told as one
/// (FSAI) or the method's schema says so (IC).
#[test]
fn products_count_what_an_application_goes_through() {
    let folder = Folder::new("suite-products");
    let methods = [("spai", 1.0), ("fsai", 2.0), ("ic", 2.0), ("ilu", 1.0)];
    let run_of = |(method, _): &(&str, f64)| format!("[[run]]\npreconditioner = '{method}'\n");
    let runs: String = methods.iter().map(run_of).collect();
    let text =
        format!("[problem]\nkind = 'poisson'\nlevel = 4\n[solver]\nmethod = 'gmres'\n{runs}");
    let ran = run(program().arg("compare").arg(folder.file("compare.toml", &text)).arg("--json"));
    assert_eq!(ran.code, 0, "{}", ran.err);
    let document = ran.json();
    let rows = section(&document, "case_0")["tables"][0]["rows"].as_array().expect("rows").clone();
    for ((method, passes), row) in methods.iter().zip(&rows) {
        let system = &row["systems"][0];
        let number = |key: &str| system[key].as_f64().unwrap_or_else(|| panic!("{key}: {system}"));
        // Products and applications: one each an iteration, and a few at both ends.
        let least = number("iterations") * (1.0 + passes * number("nnz_ratio"));
        let most = least + 4.0 * (1.0 + passes * number("nnz_ratio"));
        let products = number("products");
        assert!((least..=most).contains(&products), "{method}: {products} for {least} to {most}");
    }
}
