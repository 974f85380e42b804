//! Commands that go well.
use crate::support::Folder;
use crate::{example, json, precondor, program};

#[test]
fn a_solve_is_the_same_on_any_number_of_ranks() {
    let folder = Folder::new("mpi-solve");
    let file = |ranks: usize| folder.path().join(format!("x{ranks}.mtx"));
    let solve = |ranks: usize, method: &str, save: bool| {
        let (config, set) = (example("solve.toml"), format!("preconditioner.name={method}"));
        let mut arguments = vec!["solve".into(), config, "--set".into(), set, "--json".into()];
        // The inverse is not symmetric.
        if method == "spai" {
            arguments.extend(["--set".into(), "solver.method=gmres".into()]);
        }
        if save {
            arguments.extend(["--save-solution".into(), file(ranks).display().to_string()]);
        }
        json(&precondor(ranks, &arguments))
    };
    for (method, save) in [("jacobi", true), ("spai", false), ("fsai", false), ("mlp-fsai", false)]
    {
        let one = solve(1, method, save);
        for ranks in 2..=4 {
            let got = solve(ranks, method, save);
            assert_eq!(got["ranks"], ranks);
            for key in ["iterations", "n", "nnz", "preconditioner_nnz", "converged"] {
                assert_eq!(got[key], one[key], "{key} of {method} on {ranks} ranks");
            }
        }
    }
    let text = |ranks| std::fs::read_to_string(file(ranks)).expect("a solution");
    assert!((2..=4).all(|ranks| text(ranks) == text(1)), "x depends on the number of ranks");
}

#[test]
fn algebraic_multigrid_has_the_same_levels_on_any_number_of_ranks() {
    let folder = Folder::new("mpi-amg");
    let config = folder.file(
        "amg.toml",
        "[problem]\nkind = 'elasticity'\nnodes = 14\nrhs = 'random'\n\
         [solver]\nmethod = 'cg'\ntolerance = 1e-8\n\
         [preconditioner]\nname = 'amg'\nrecipe = 'parallel'\ntogether = 50\ncoarsest = 20\n",
    );
    let solve =
        |ranks: usize| json(&precondor(ranks, &["solve", &config.display().to_string(), "--json"]));
    let one = solve(1);
    assert_eq!(one["converged"], true, "{one}");
    for ranks in 2..=4 {
        let got = solve(ranks);
        for key in ["iterations", "n", "converged"] {
            assert_eq!(got[key], one[key], "{key} on {ranks} ranks");
        }
    }
}

#[test]
fn tables_are_printed_once_and_say_how_many_ranks_there_were() {
    let folder = Folder::new("mpi-compare");
    let config = folder.file(
        "compare.toml",
        "[problem]\nkind = 'poisson'\nlevels = [2, 3]\nsamples = 2\n\
         [solver]\nmethod = 'richardson'\nstop = 'absolute-error'\ntolerance = 1e-5\n\
         [[run]]\npreconditioner = { name = 'jacobi', damping = 0.7 }\n\
         [[run]]\nlabel = 'FSAI'\nsolver = { method = 'cg' }\npreconditioner = 'fsai'\n",
    );
    let (config, report) = (config.display().to_string(), folder.path().join("report"));
    let report = report.display().to_string();
    let job = precondor(3, &["compare", &config, "--report", &report, "--require-converged"]);
    assert_eq!(job.status, Some(0), "{job:?}");
    assert_eq!(job.out.matches("level 3: 49 unknowns").count(), 1, "{job:?}");
    assert!(job.out.contains("ranks: 3, with 1 thread each"), "{job:?}");
    for file in ["index.html", "results.csv"] {
        assert!(folder.path().join("report").join(file).exists(), "no {file}");
    }
    let rows = |ranks: usize| {
        let document = json(&precondor(ranks, &["compare", &config, "--json"]));
        assert_eq!(document["provenance"]["ranks"], ranks);
        let of_case = |case: &serde_json::Value| {
            let rows = case["tables"][0]["rows"].as_array().expect("rows").iter();
            rows.map(|row| format!("{} {}", row["label"], row["values"]["iterations"]["mean"]))
                .collect::<Vec<_>>()
        };
        document["sections"].as_array().expect("cases").iter().flat_map(of_case).collect()
    };
    let (one, four): (Vec<String>, Vec<String>) = (rows(1), rows(4));
    assert_eq!(one.len(), 4);
    assert_eq!(one, four);
}

#[test]
fn more_ranks_than_rows_and_ranks_without_rows_work() {
    for method in ["jacobi", "gauss-seidel", "spai", "fsai", "ilu", "ic", "mlp-fsai"] {
        let set = format!("preconditioner.name={method}");
        let arguments = [
            "solve",
            &example("solve.toml"),
            "--set",
            "problem.level=1",
            "--set",
            "solver.method=gmres",
            "--set",
            &set,
            "--json",
        ];
        let got = json(&precondor(4, &arguments));
        assert_eq!((&got["n"], &got["converged"]), (&1.into(), &true.into()), "{method}: {got}");
    }
}

#[test]
fn a_solve_that_does_not_converge_exits_with_2() {
    let job = precondor(2, &["solve", &example("solve.toml"), "--set", "solver.max_iterations=1"]);
    assert_eq!(job.status, Some(2), "{job:?}");
    assert_eq!(job.out.matches("not converged after 1 iterations").count(), 1, "{job:?}");
    assert!(job.out.contains("ranks           2, with 1 thread each"), "{job:?}");
}

#[test]
fn auto_overlaps_the_blocks_of_ranks_where_one_is_singular() {
    // Row i of the first half has its entry in the second, which is coupled to itself as a chain: the block of the first
    // of two ranks is zero.
    let (n, half) = (40, 20);
    let mut entries = String::new();
    for i in 0..half {
        let (i, j) = (i + 1, i + 1 + half);
        entries += &format!("{i} {j} 1\n{j} {i} 2\n{j} {j} 3\n");
        if i < half {
            entries += &format!("{j} {} -1\n", j + 1);
        }
    }
    let folder = Folder::new("mpi-auto-overlap");
    let header = "%%MatrixMarket matrix coordinate real general\n";
    folder.file("A.mtx", &format!("{header}{n} {n} {}\n{entries}", entries.lines().count()));
    let text = "problem.matrix = 'A.mtx'\nsolver.method = 'gmres'\npreconditioner.name = 'auto'\n";
    let config = folder.file("config.toml", text).display().to_string();
    for (ranks, chosen) in [(1, "chosen: ilu"), (2, "chosen: schwarz (method ilu, overlap 2)")] {
        let got = json(&precondor(ranks, &["solve", &config, "--json"]));
        assert_eq!(got["converged"], true, "{got}");
        assert!(got.to_string().contains(chosen), "{got}");
    }
}

#[test]
fn commands_of_one_rank_are_carried_out_once_or_refused() {
    let job = precondor(3, &["plugins", "list"]);
    assert_eq!(job.status, Some(0), "{job:?}");
    assert_eq!(job.out.matches("damped Jacobi").count(), 1, "{job:?}");
    let job = precondor(2, &["--help"]);
    assert_eq!((job.status, job.out.matches("Usage:").count()), (Some(0), 1), "{job:?}");
    let job = precondor(2, &["solve"]);
    assert_eq!((job.status, job.err.matches("Usage:").count()), (Some(1), 1), "{job:?}");
}

#[test]
fn no_rank_holds_the_whole_matrix() {
    // What a run of level 9 needs beyond that of a small system, on the rank that needs most: an
    // equal share on each of four ranks. A quarter more is left for what every rank has of its own.
    let peak = |method: &str, ranks: usize, level: usize| {
        let set = [
            format!("problem.level={level}"),
            format!("preconditioner.name={method}"),
            "solver.method=gmres".into(),
            "solver.max_iterations=5".into(),
        ];
        let mut arguments = vec!["solve".into(), example("solve.toml"), "--json".into()];
        arguments.extend(set.into_iter().flat_map(|set| ["--set".into(), set]));
        let job = precondor(ranks, &arguments);
        let document: serde_json::Value = serde_json::from_str(&job.out).expect("JSON");
        document["peak_memory_bytes"].as_f64().expect("bytes")
    };
    for method in ["jacobi", "spai", "mlp-reference"] {
        let grown = |ranks| peak(method, ranks, 9) - peak(method, ranks, 3);
        let (one, four) = (grown(1), grown(4));
        let matrix = 12.0 * 1.82e6;
        assert!(one > 2.0 * matrix, "{method}: level 9 is large enough to be seen: {one}");
        let share = (0.25 + 0.0625) * one + 4e6;
        assert!(four < share, "{method}: {four} bytes on each of 4 ranks, {one} on one");
    }
}

#[test]
fn a_program_that_another_launcher_started_says_so() {
    let mut command = crate::support::isolated(program());
    command.args(["plugins", "list"]).env("PMI_SIZE", "3").env("PMI_RANK", "0");
    let ran = crate::support::run(&mut command);
    ran.fails_with(&["precondor was started on 3 ranks, but it is built for ", "another MPI"]);
}

/// A matrix that nobody can read and a run that takes too long end alike on all ranks, and cost nobody else anything.
#[test]
fn a_suite_goes_on_past_what_fails_and_can_be_gone_on_with() {
    let folder = Folder::new("mpi-suite");
    for level in [2, 3] {
        let path = folder.path().join(format!("p{level}.mtx")).display().to_string();
        let made =
            precondor(1, &["problem", "--set", &format!("problem.level={level}"), "-o", &path]);
        assert_eq!(made.status, Some(0), "{made:?}");
    }
    folder.file("bad.mtx", "nonsense\n");
    let text = "[problem]\nmatrices = '*.mtx'\n[[run]]\npreconditioner = 'jacobi'\nsolver = { method = 'cg' }\n\
                [[run]]\nlabel = 'slow'\ntime_limit = 0.2\n\
                solver = { method = 'richardson', damping = 1e-9, max_iterations = 1000000000 }\n";
    let config = folder.file("suite.toml", text).display().to_string();
    let report = folder.path().join("report").display().to_string();
    let job = precondor(2, &["compare", &config, "--json", "--report", &report, "--resume"]);
    assert_eq!(job.status, Some(1), "{job:?}");
    let document: serde_json::Value = serde_json::from_str(&job.out).expect("JSON");
    let cases = document["sections"].as_array().expect("sections").iter();
    let cases: Vec<_> = cases.filter(|section| section["label"].is_string()).collect();
    let outcome = |case: usize, row: usize| {
        cases[case]["tables"][0]["rows"][row]["values"]["outcome"].clone()
    };
    assert_eq!([outcome(0, 0), outcome(0, 1)], ["failed", "failed"]);
    for case in 1..3 {
        assert_eq!([outcome(case, 0), outcome(case, 1)], ["converged", "time-limit"]);
    }
    let results = folder.path().join("report/results.csv");
    assert_eq!(std::fs::read_to_string(results).expect("results").lines().count(), 7);
}

/// What is tried, and decided, is the same on all ranks, whoever measures.
#[test]
fn a_race_on_ranks_ends_with_the_same_winner() {
    let folder = Folder::new("mpi-tune");
    let config = folder.file(
        "tune.toml",
        "[problem]\nkind = 'poisson'\nlevel = 4\nsamples = 6\n[solver]\nmethod = 'cg'\n\
         [tune]\nmethods = ['jacobi', 'fsai']\nmeasure = 'iterations'\nconfigurations = 12\nbudget = 600\n",
    );
    let config = config.display().to_string();
    let output = folder.path().join("tuned.toml").display().to_string();
    let tune = |ranks: usize| {
        let words = ["tune", &config, "--json", "--force", "--output", &output];
        let told = json(&precondor(ranks, &words));
        let statement = told["readings"].clone();
        (told["winner"].clone(), statement, told["trials"].clone())
    };
    let one = tune(1);
    assert_eq!(one.0["preconditioner"]["name"], "fsai", "{one:?}");
    assert_eq!(tune(2), one);
    assert_eq!(tune(3), one);
}
