//! What goes wrong on one rank ends all of them, soon, with one message.
use crate::support::Folder;
use crate::{example, fails_with, precondor, program};
use precondor_testkit::compile::compile;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[test]
fn a_zero_on_the_diagonal_is_told_by_the_rank_that_owns_it() {
    let folder = Folder::new("mpi-zero");
    let entries: String = (1..=8).map(|i| format!("{i} {i} {}\n", u8::from(i != 8))).collect();
    let head = "%%MatrixMarket matrix coordinate real general";
    folder.file("A.mtx", &format!("{head}\n8 8 8\n{entries}"));
    let text = "[problem]\nmatrix = 'A.mtx'\n[solver]\nmethod = 'gmres'\n";
    let config = folder.file("solve.toml", text).display().to_string();
    for ranks in 2..=4 {
        for method in ["jacobi", "spai", "ilu", "gauss-seidel"] {
            let set = format!("preconditioner={method}");
            let job = precondor(ranks, &["solve", &config, "--set", &set]);
            fails_with(&job, &format!("rank {}: {method}: global row 7", ranks - 1));
        }
    }
}

#[test]
fn what_all_ranks_find_wrong_is_told_without_a_rank() {
    let set = ["--set", "preconditioner.name=jacobbi"];
    let job = precondor(3, &[&["solve", &example("solve.toml")], &set[..]].concat());
    fails_with(&job, "did you mean 'jacobi'?");
    assert!(!job.err.contains("error: rank"), "{job:?}");
}

/// A folder with a copy of the program and some of its plugins, one of them changed.
fn installation(folder: &Folder, name: &str, plugins: &[&str], changed: Option<&str>) -> PathBuf {
    let here = folder.path().join(name);
    std::fs::create_dir_all(&here).expect("a folder");
    let copy = |from: &Path, to: &Path| std::fs::copy(from, to).expect("copied");
    copy(program(), &here.join("precondor"));
    for plugin in plugins {
        let file = format!("libprecondor_plugin_{plugin}.so");
        let built = program().parent().expect("a folder").join("deps").join(&file);
        copy(&built, &here.join(&file));
        if changed == Some(plugin) {
            // Another library, though it does the same.
            let mut bytes = std::fs::read(here.join(&file)).expect("a library");
            bytes.push(0);
            std::fs::write(here.join(&file), bytes).expect("written");
        }
    }
    here.join("precondor")
}

/// A job whose last rank runs another installation than the others.
fn mixed(first: &Path, last: &Path, arguments: &[&str]) -> crate::mpirun::Job {
    let mut command = crate::mpirun::launcher(2);
    crate::support::isolate(&mut command);
    command.arg(first).args(arguments);
    command.args([":", "-n", "1"]).arg(last).args(arguments);
    crate::mpirun::finish(command)
}

#[test]
fn plugins_that_differ_between_ranks_are_refused() {
    let folder = Folder::new("mpi-plugins");
    let all = ["jacobi", "spai"];
    let whole = installation(&folder, "whole", &all, None);
    let lacking = installation(&folder, "lacking", &["spai"], None);
    let other = installation(&folder, "other", &all, Some("spai"));
    let config = example("solve.toml");
    let arguments = ["solve", &config, "--set", "preconditioner.name=jacobi"];
    let job = mixed(&whole, &lacking, &arguments);
    fails_with(&job, "rank 2: ");
    assert!(job.err.contains("no preconditioner 'jacobi'"), "{job:?}");
    fails_with(&mixed(&lacking, &whole, &arguments), "no preconditioner 'jacobi'");
    // One that is not asked for may be missing.
    let gmres = ["--set", "solver.method=gmres"];
    let spai = [&["solve", &config, "--set", "preconditioner.name=spai"], &gmres[..]].concat();
    let job = mixed(&whole, &lacking, &spai);
    assert_eq!(job.status, Some(0), "{job:?}");
    let job = mixed(&whole, &other, &arguments);
    fails_with(
        &job,
        "rank 2: library libprecondor_plugin_spai.so is another one than on rank 0: SHA-256 ",
    );
}

#[test]
fn a_library_that_crashes_ends_no_job_that_asks_for_another() {
    let folder = Folder::new("mpi-crash");
    let symbol = "-DNAME=precondor_plugin_crash";
    let include = "bindings/abi/include";
    compile(folder.path(), "crash", "tests/c/faulty.c", include, &["-DCRASH", symbol]);
    let config = example("solve.toml");
    let job = |method: &str| {
        let mut command = crate::mpirun::launcher(2);
        crate::support::isolate(&mut command);
        command.env("PRECONDOR_PATH", folder.path()).arg(program());
        command.args(["solve", &config, "--set", &format!("preconditioner.name={method}")]);
        crate::mpirun::finish(command)
    };
    let solved = job("jacobi");
    assert_eq!(solved.status, Some(0), "{solved:?}");
    // Nothing else has it: the library is opened.
    assert_ne!(job("crash").status, Some(0));
}

#[test]
fn a_panic_on_one_rank_ends_the_job_with_its_message() {
    let folder = Folder::new("mpi-panics");
    // A library of `cargo test`, beside the program.
    let built =
        program().parent().expect("a folder").join("examples/libprecondor_plugin_panics.so");
    let plugin = folder.path().join("libprecondor_plugin_panics.so");
    std::fs::copy(&built, plugin).expect("cargo test --workspace builds the examples");
    let head = "%%MatrixMarket matrix";
    let entries: String = (1..=8).map(|i| format!("{i} {i} 2\n")).collect();
    folder.file("A.mtx", &format!("{head} coordinate real general\n8 8 8\n{entries}"));
    // The method panics where what it is applied to has a negative entry: on the last rank.
    folder.file("b.mtx", &format!("{head} array real general\n8 1\n{}-1\n", "1\n".repeat(7)));
    let text = "[problem]\nmatrix = 'A.mtx'\nrhs = 'b.mtx'\n[solver]\nmethod = 'gmres'\n\
                [preconditioner]\nname = 'panics'\n";
    let config = folder.file("solve.toml", text).display().to_string();
    let path = folder.path().display().to_string();
    for ranks in 1..=4 {
        let job = precondor(ranks, &["solve", &config, "--plugin-path", &path]);
        fails_with(&job, "told to panic in apply");
        assert!(ranks == 1 || job.err.contains(&format!("rank {}: ", ranks - 1)), "{job:?}");
    }
}

#[test]
fn a_rank_that_is_killed_ends_the_job() {
    // A solve that would take for ever, of which one rank is killed once it runs.
    let mut command = crate::mpirun::launcher(3);
    crate::support::isolate(&mut command);
    command.arg(program()).args(["solve", &example("solve.toml")]);
    for set in ["level=6", "kind=poisson"] {
        command.args(["--set", &format!("problem.{set}")]);
    }
    for set in ["solver.method=richardson", "solver.damping=1e-9", "solver.tolerance=1e-12"] {
        command.args(["--set", set]);
    }
    command.args(["--set", "solver.max_iterations=2000000000"]);
    command.args(["--set", "preconditioner.name=jacobi"]);
    let folder = Folder::new("mpi-killed");
    let mark = folder.path().join("mark").display().to_string();
    command.env("PRECONDOR_TEST_MARK", &mark);
    let killer = std::thread::spawn(move || {
        for _ in 0..600 {
            std::thread::sleep(Duration::from_millis(100));
            let ranks = marked(&mark);
            if ranks.len() == 3 {
                std::thread::sleep(Duration::from_secs(2));
                let last = ranks[2].to_string();
                return std::process::Command::new("kill").args(["-KILL", &last]).status().is_ok();
            }
        }
        false
    });
    let job = crate::mpirun::finish(command);
    assert!(killer.join().expect("no panic"), "the job never ran: {job:?}");
    assert!(job.status != Some(0) && job.status != Some(2), "{job:?}");
    assert!(!job.out.contains("iterations"), "{job:?}");
}

/// Processes of the program that have the mark in their environment.
fn marked(mark: &str) -> Vec<u32> {
    let wanted = format!("PRECONDOR_TEST_MARK={mark}");
    let of = |entry: std::fs::DirEntry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let environment = std::fs::read(entry.path().join("environ")).ok()?;
        let executable = std::fs::read_link(entry.path().join("exe")).ok()?;
        let bears = environment.split(|&b| b == 0).any(|line| line == wanted.as_bytes());
        (bears && executable == program()).then_some(pid)
    };
    std::fs::read_dir("/proc").expect("/proc").filter_map(|entry| of(entry.ok()?)).collect()
}
