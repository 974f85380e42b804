//! Ranks that were started with, or find, something else than rank 0: one message that names the first of
//! them and says what, soon, and never a mixed system.
use crate::mpirun::{self, Job};
use crate::support::{Folder, isolate};
use crate::{fails_with, program};
use std::path::Path;

/// A job of three ranks, the last of which has arguments and environment of its own.
fn split(first: &[&str], last: &[&str], environment: Option<(&str, &Path)>) -> Job {
    let mut command = mpirun::launcher(2);
    isolate(&mut command);
    command.arg(program()).args(first).args([":", "-n", "1"]);
    if let Some((name, value)) = environment {
        command.arg("env").arg(format!("{name}={}", value.display()));
    }
    command.arg(program()).args(last);
    mpirun::finish(command)
}

/// Two folders for two configurations that have the same name.
struct Two(Folder);

impl Two {
    fn new(name: &str) -> Two {
        let folder = Folder::new(name);
        for side in ["one", "other"] {
            std::fs::create_dir(folder.path().join(side)).expect("a folder");
        }
        Two(folder)
    }

    /// A file with a text for the first ranks, and another for the last one.
    fn files(&self, name: &str, one: impl AsRef<[u8]>, other: impl AsRef<[u8]>) -> [String; 2] {
        let write = |side: &str, content: &[u8]| {
            let path = self.0.path().join(side).join(name);
            std::fs::write(&path, content).expect("written");
            path.display().to_string()
        };
        [write("one", one.as_ref()), write("other", other.as_ref())]
    }

    /// A command whose last rank has the other configuration, with further arguments.
    fn run(&self, command: &str, configs: &[String; 2], more: &[&str]) -> Job {
        let words = |config| [&[command, config], more].concat();
        split(&words(&configs[0]), &words(&configs[1]), None)
    }
}

const SOLVE: &str = "[problem]
kind = 'poisson'
level = 4
seed = 7
[solver]
method = 'richardson'
damping = 0.9
tolerance = 1e-3
max_iterations = 500
[preconditioner]
name = 'jacobi'
damping = 0.5
";

const COMPARE: &str = "[problem]
kind = 'poisson'
levels = [3]
samples = 2
[[run]]
preconditioner = 'jacobi'
";

const TRAIN: &str = "[model]
method = 'mlp-reference'
output = 'model.safetensors'
[train]
steps = 4
hidden = [4]
pool = 8
vectors = 1
[data]
kind = 'poisson'
levels = [3]
";

#[test]
fn configurations_that_differ_are_told_with_the_line() {
    let two = Two::new("mpi-configurations");
    for (command, text, line, here, there) in [
        ("solve", SOLVE, 4, "seed = 7", "seed = 8"),
        ("solve", SOLVE, 6, "method = 'richardson'", "method = 'gmres'"),
        ("solve", SOLVE, 7, "damping = 0.9", "damping = 0.8"),
        ("solve", SOLVE, 8, "tolerance = 1e-3", "tolerance = 1e-6"),
        ("solve", SOLVE, 9, "max_iterations = 500", "max_iterations = 3"),
        ("compare", COMPARE, 4, "samples = 2", "samples = 3"),
        ("train", TRAIN, 6, "hidden = [4]", "hidden = [5]"),
    ] {
        assert!(text.contains(here), "{here}");
        let configs = two.files("config.toml", text, text.replacen(here, there, 1));
        let told = format!(
            "rank 2: the configuration is another one than on rank 0: in line {line} it has \
             '{there}', there '{here}'"
        );
        fails_with(&two.run(command, &configs, &[]), &told);
    }
    // The same text under another name is the same configuration.
    let job = two.run(
        "solve",
        &two.files("config.toml", SOLVE, SOLVE),
        &["--set", "solver.tolerance=0.5"],
    );
    assert_eq!(job.status, Some(0), "{job:?}");
    let [one, _] = two.files("config.toml", SOLVE, SOLVE);
    std::fs::remove_file(two.0.path().join("other/config.toml")).expect("removed");
    let missing = two.0.path().join("other/config.toml").display().to_string();
    let job = two.run("solve", &[one, missing], &[]);
    fails_with(&job, "rank 2: ");
    assert!(job.err.contains("cannot read the configuration"), "{job:?}");
}

#[test]
fn words_that_differ_are_told_for_every_command() {
    let two = Two::new("mpi-words");
    let [config, _] = two.files("config.toml", SOLVE, SOLVE);
    let [matrix, other] = two.files("A.mtx", "", "");
    let solve = ["solve", &config];
    for (first, last, told) in [
        (&solve[..], &["solve", &config, "--json"][..], "in word 3 it has '--json', there nothing"),
        (
            &["solve", &config, "--set", "problem.seed=1"],
            &["solve", &config, "--set", "problem.seed=2"],
            "in word 4 it has 'problem.seed=2', there 'problem.seed=1'",
        ),
        (&solve, &["compare", &config], "in word 1 it has 'compare', there 'solve'"),
        (&solve, &["solve", &config, "--no-such-option"], "in word 3 it has '--no-such-option'"),
        (&["--no-such-option"], &solve, "in word 1 it has 'solve', there '--no-such-option'"),
        (&["matrix", &matrix], &["matrix", &other], "in word 2 it has "),
        (&["plugins", "list"], &["plugins", "describe", "jacobi"], "in word 2 it has 'describe'"),
    ] {
        let told = format!("rank 2: the command line is another one than on rank 0: {told}");
        fails_with(&split(first, last, None), &told);
    }
}

#[test]
fn another_program_is_told_by_its_digest() {
    let two = Two::new("mpi-programs");
    let [config, _] = two.files("config.toml", SOLVE, SOLVE);
    let copy = two.0.path().join("precondor");
    let mut bytes = std::fs::read(program()).expect("the program");
    std::fs::copy(program(), &copy).expect("copied");
    bytes.push(0);
    std::fs::write(&copy, bytes).expect("written");
    let mut command = mpirun::launcher(2);
    isolate(&mut command);
    command.arg(program()).args(["solve", &config, ":", "-n", "1"]);
    command.arg(&copy).args(["solve", &config]);
    let told = "rank 2: the SHA-256 of the program is another one than on rank 0";
    fails_with(&mpirun::finish(command), told);
}

/// A tridiagonal matrix whose first diagonal entry is given, in rows `rows` of `n` as lines.
fn lines(rows: std::ops::Range<usize>, n: usize, first: &str, from: usize) -> String {
    let row = |i: usize| {
        let columns = i.saturating_sub(1)..(i + 2).min(n);
        columns.map(move |j| {
            let value = if i != j {
                "-1.0"
            } else if i == 0 {
                first
            } else {
                "4.0"
            };
            format!("{} {} {value}\n", i + from, j + from)
        })
    };
    rows.flat_map(row).collect()
}

fn market(first: &str) -> String {
    format!("%%MatrixMarket matrix coordinate real general\n8 8 22\n{}", lines(0..8, 8, first, 1))
}

fn vector(first: &str) -> String {
    format!("%%MatrixMarket matrix array real general\n8 1\n{first}\n{}", "1\n".repeat(7))
}

/// The same system for PETSc: a matrix, or a vector of its length.
fn petsc(first: f64, matrix: bool) -> Vec<u8> {
    let mut bytes: Vec<u8> = Vec::new();
    let mut integers = |all: &[i32]| bytes.extend(all.iter().flat_map(|k| k.to_be_bytes()));
    let mut values = vec![first];
    if matrix {
        integers(&[1_211_216, 8, 8, 8]);
        integers(&[1; 8]);
        integers(&[0, 1, 2, 3, 4, 5, 6, 7]);
    } else {
        integers(&[1_211_214, 8]);
    }
    values.extend([1.0; 7]);
    bytes.extend(values.iter().flat_map(|v| v.to_be_bytes()));
    bytes
}

#[test]
fn files_of_the_same_length_that_differ_are_told() {
    let two = Two::new("mpi-systems");
    two.files("A.mtx", market("4.0"), market("5.0"));
    two.files("B.mtx", market("4.0"), market("4.0"));
    two.files("b.mtx", vector("1"), vector("2"));
    two.files("A.petsc", petsc(1.0, true), petsc(2.0, true));
    two.files("b.petsc", petsc(1.0, false), petsc(2.0, false));
    two.files(
        "A.IJ.00000",
        format!("0 3 0 7\n{}", lines(0..4, 8, "4.0", 0)),
        format!("0 3 0 7\n{}", lines(0..4, 8, "5.0", 0)),
    );
    let second = format!("4 7 0 7\n{}", lines(4..8, 8, "4.0", 0));
    two.files("A.IJ.00001", &second, &second);
    for (keys, of) in [
        ("matrix = 'A.mtx'", "A.mtx"),
        ("matrix = 'A.petsc'", "A.petsc"),
        ("matrix = 'A.IJ'", "A.IJ.00000"),
        ("matrix = 'B.mtx'\nrhs = 'b.mtx'", "b.mtx"),
        ("matrix = 'B.mtx'\nrhs = 'b.petsc'", "b.petsc"),
        ("matrix = 'B.mtx'\nx0 = 'b.mtx'", "b.mtx"),
        ("matrix = 'B.mtx'\npreconditioner_matrix = 'A.mtx'", "A.mtx"),
        ("matrix = 'B.mtx'\nnull_space = 'b.mtx'", "b.mtx"),
    ] {
        let text = format!("[problem]\n{keys}\n[solver]\nmethod = 'gmres'\n");
        let configs = two.files("config.toml", &text, &text);
        let job = two.run("solve", &configs, &[]);
        fails_with(&job, "rank 2: ");
        assert!(job.err.contains(&format!("{of}: is another one than on rank 0: ")), "{job:?}");
        assert!(job.err.contains(" has another content from byte 0 on"), "{job:?}");
    }
    // A rank that has no file of its own gets from rank 0 what rank 0 reads for all.
    std::fs::remove_file(two.0.path().join("other/B.mtx")).expect("removed");
    let text = "[problem]\nmatrix = 'B.mtx'\n[solver]\nmethod = 'gmres'\n";
    let job = two.run("solve", &two.files("config.toml", text, text), &[]);
    assert_eq!(job.status, Some(0), "{job:?}");
}

#[test]
fn another_model_is_told() {
    let two = Two::new("mpi-models");
    let models = ["1", "2"].map(|seed| {
        let text = TRAIN.replace("steps = 4", &format!("steps = 4\nseed = {seed}"));
        let [config, _] = two.files("train.toml", &text, &text);
        let mut train = crate::support::isolated(crate::program());
        assert_eq!(crate::support::run(train.args(["train", &config])).code, 0);
        let model = two.0.path().join("one/model.safetensors");
        let bytes = std::fs::read(&model).expect("a model");
        std::fs::remove_file(&model).expect("removed");
        bytes
    });
    assert_ne!(models[0], models[1]);
    two.files("m.safetensors", &models[0], &models[1]);
    let method = "{ name = 'mlp-reference', model = 'm.safetensors' }";
    let problem = "[problem]\nkind = 'poisson'\nlevel = 3\n[solver]\nmethod = 'gmres'\n";
    let solve =
        format!("{problem}[preconditioner]\nname = 'mlp-reference'\nmodel = 'm.safetensors'\n");
    let nested = format!("{problem}[preconditioner]\nname = 'schwarz'\nmethod = {method}\n");
    let compare = format!("{problem}[[run]]\npreconditioner = {method}\n");
    for (command, text) in [("solve", solve), ("solve", nested), ("compare", compare)] {
        let job = two.run(command, &two.files("config.toml", &text, &text), &[]);
        fails_with(&job, "rank 2: ");
        assert!(job.err.contains("m.safetensors: is another one than on rank 0: "), "{job:?}");
    }
}

#[test]
fn another_library_that_the_environment_chooses_is_told() {
    let two = Two::new("mpi-libraries");
    let [config, _] = two.files("config.toml", SOLVE, SOLVE);
    let file = "libprecondor_plugin_jacobi.so";
    let built = program().parent().expect("a folder").join("deps").join(file);
    let mut bytes = std::fs::read(built).expect("a library");
    bytes.push(0);
    let other = two.0.path().join("other");
    std::fs::write(other.join(file), bytes).expect("written");
    let solve = ["solve", &config[..]];
    let job = split(&solve, &solve, Some(("PRECONDOR_PATH", &other)));
    fails_with(
        &job,
        "rank 2: library libprecondor_plugin_jacobi.so is another one than on rank 0: SHA-256 ",
    );
}
