//! Commands that documents show. Each is classified, and one that no class takes fails the test: those of the
//! program run, in a folder of their own, made small or with `--dry-run` where they take minutes; those of
//! Cargo and of scripts are held to what is there; those of PETSc run where this build is for it.
use crate::support::{Folder, Ran, isolate, program, run};
use precondor_testkit::documents::{commands, documents};
use std::path::{Path, PathBuf};
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What documents leave to the reader, and something in its place.
const PLACES: [(&str, &str); 14] = [
    ("target/release/libprecondor_plugin_my_method.so", "jacobi"),
    ("solve … --", "solve config.toml --"),
    ("train NAME", "train mlp-reference"),
    ("problem NAME", "problem cube"),
    (" NAME", " ilu"),
    ("-n 1 | 2 | 4", "-n 2"),
    ("problem … -o", "problem -o"),
    ("=…", "=0.3"),
    ("-VARIANT.", "-spd."),
    ("-o FILE", "-o trained.safetensors"),
    ("$SHARED", "shared"),
    ("~/", "home/"),
    ("$HOME", "home"),
    ("my-method", "my-method --sdk SDK"),
];

/// What takes minutes, and what makes it small; anything else of its kind is a dry run.
const SMALL: [(&str, &[&str]); 2] = [
    (
        "compare examples/poisson.toml",
        &["--set", "problem.levels=[2, 3]", "--set", "problem.samples=2"],
    ),
    (
        "train examples/train-mlp-reference.toml",
        &["--set", "train.steps=20", "--set", "train.pool=32"],
    ),
];

/// How a command is held to its word.
enum Class {
    /// The program, on so many ranks, with these arguments.
    Ours(usize, Vec<String>),
    /// The name of a command of the program.
    Name(Vec<String>),
    /// Cargo with what is there: package and targets.
    Cargo(Vec<String>),
    Script(PathBuf),
    Python(PathBuf),
    /// The laboratory, whose own tests run it.
    Lab,
    /// For programs of PETSc, by a shell.
    Petsc,
    /// Sets a variable for those that follow.
    Export,
    /// Fetches the sources; a build with features that this one has or not.
    Setup,
}

fn classify(command: &str) -> Option<Class> {
    // Where the output goes is the reader's affair.
    let command = command.split(" > ").next()?;
    let placed = PLACES.iter().fold(command.to_owned(), |text, (from, to)| text.replace(from, to));
    let words = shlex::split(&placed)?;
    let text: Vec<&str> = words.iter().map(String::as_str).collect();
    let tail = |from: usize| words[from..].to_vec();
    Some(match text.as_slice() {
        [
            "precondor",
            "solve" | "compare" | "tune" | "train" | "problem" | "matrix" | "install",
        ]
        | ["precondor", "plugins", "new" | "check" | "describe"] => Class::Name(tail(1)),
        ["precondor" | "target/release/precondor", ..] => Class::Ours(1, tail(1)),
        ["precondor-lab" | "target/release/precondor-lab", ..]
        | ["cargo", "run", "--release", "-p", "precondor-lab", "--", ..] => Class::Lab,
        ["srun", "precondor", ..] => Class::Ours(1, tail(2)),
        ["mpirun", "-n", ranks, "precondor" | "target/release/precondor", ..] => {
            Class::Ours(ranks.parse().ok()?, tail(4))
        }
        ["cargo", "run", options @ ..] if options.contains(&"--") && !options.contains(&"-p") => {
            let from = text.iter().position(|word| *word == "--")?;
            Class::Ours(1, tail(from + 1))
        }
        ["cargo", "run"] | ["cargo", "install", "--path", ".", "--features", "linked"] => {
            Class::Setup
        }
        ["cargo", "run", .., "--example", _] => Class::Cargo(words),
        ["cargo", "test" | "bench" | "run", ..] => Class::Cargo(words),
        ["cargo", "build", "--release"]
        | ["cargo", "build", "--release", "--features", "mpi" | "petsc"] => Class::Setup,
        ["git", "clone", "https://github.com/precondor/precondor", "&&", "cd", "precondor"] => {
            Class::Setup
        }
        // `tests/python.rs` does it.
        ["pip", "install", "./bindings/python"] => Class::Setup,
        ["export", ..] => Class::Export,
        ["mpicc", ..] | ["mpirun", "-n", _, "./ex2", ..] => Class::Petsc,
        ["/usr/bin/python3", script] if script.starts_with("examples/") => Class::Petsc,
        // Those of `examples/` are run by the package's tests.
        ["python3", script, ..]
            if ["scripts/", "examples/python/"].iter().any(|at| script.starts_with(at)) =>
        {
            Class::Python(Path::new(ROOT).join(script))
        }
        [script, ..] if script.starts_with("scripts/") => {
            Class::Script(Path::new(ROOT).join(script))
        }
        _ => return None,
    })
}

/// A folder with what commands of documents find at the root of the sources, and files that stand for the
/// reader's own.
fn surroundings(name: &str) -> Folder {
    let folder = Folder::new(name);
    let copy = |below: &str, ending: &str| {
        let to = folder.path().join(below);
        std::fs::create_dir_all(&to).expect("made");
        for entry in std::fs::read_dir(Path::new(ROOT).join(below)).expect("there").flatten() {
            let file = entry.file_name();
            if entry.path().is_file() && file.to_string_lossy().ends_with(ending) {
                std::fs::copy(entry.path(), to.join(file)).expect("copied");
            }
        }
    };
    copy("examples", "");
    copy("plugins/mlp/models", ".toml");
    copy("plugins/dense/models", ".toml");
    copy("plugins/auto/models", ".toml");
    for (own, like) in [
        ("far.toml", "solve.toml"),
        ("config.toml", "solve.toml"),
        ("nn-vs-spai.toml", "nn-vs-spai.toml"),
    ] {
        let example = folder.path().join("examples").join(like);
        std::fs::copy(example, folder.path().join(own)).expect("copied");
    }
    std::fs::create_dir(folder.path().join("home")).expect("made");
    std::fs::create_dir_all(folder.path().join("target/release")).expect("made");
    let made = in_folder(program().args(["problem", "-o", "A.mtx"]), &folder);
    assert_eq!(made.code, 0, "{}", made.err);
    folder
}

fn in_folder(command: &mut Command, folder: &Folder) -> Ran {
    run(command.current_dir(folder.path()).env("HOME", folder.path().join("home")))
}

/// Runs a command of the program.
fn ours(ranks: usize, words: &[String], folder: &Folder) -> Ran {
    let said = words.join(" ");
    if said.starts_with("plugins new") {
        // Another page has begun it already, or not.
        let _ = std::fs::remove_dir_all(folder.path().join("my-method"));
    }
    let small = SMALL.iter().find(|(start, _)| said.starts_with(start)).map(|(_, more)| *more);
    let long = ["compare", "tune", "train"].contains(&words[0].as_str());
    let more = small.unwrap_or(if long { &["--dry-run"] } else { &[] });
    let words = words.iter().map(|word| if word == "SDK" { ROOT } else { word });
    let mut command = match ranks {
        2.. if cfg!(feature = "mpi") => {
            let mut command = crate::mpirun::launcher(ranks);
            isolate(&mut command);
            command.arg(env!("CARGO_BIN_EXE_precondor"));
            command
        }
        _ => program(),
    };
    in_folder(command.args(words).args(more), folder)
}

/// What is wrong with a command of Cargo: its package, its targets, the tests that it picks.
fn cargo(words: &[String]) -> Option<String> {
    let after = |flag: &str| {
        let place = words.iter().position(|word| word == flag)?;
        words.get(place + 1).map(String::as_str)
    };
    let package = after("-p").unwrap_or("precondor");
    let folder =
        match package.strip_prefix("precondor-plugin-").or(package.strip_prefix("precondor-")) {
            None => String::new(),
            Some("core") => "core".into(),
            Some("lab") => "tests/lab".into(),
            Some(name) if package.starts_with("precondor-plugin-") => format!("plugins/{name}"),
            Some(name) => format!("bindings/{name}"),
        };
    let folder = Path::new(ROOT).join(folder);
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
    if !manifest.contains(&format!("name = \"{package}\"")) {
        return Some(format!("there is no package {package}"));
    }
    for (flag, below) in [("--example", "examples"), ("--bench", "benches"), ("--test", "tests")] {
        let Some(target) = after(flag) else { continue };
        let named = manifest.contains(&format!("name = \"{target}\""));
        let file = folder.join(below).join(format!("{target}.rs"));
        let main = folder.join(below).join(target).join("main.rs");
        if !named && !file.exists() && !main.exists() {
            return Some(format!("{package} has no {below} {target}"));
        }
    }
    // What is no option and no value of one picks tests by their names.
    let values = ["-p", "--test", "--example", "--bench", "--features"];
    let picks = |k: usize| !words[k].starts_with('-') && !values.contains(&words[k - 1].as_str());
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    let filter = (2..end).filter(|_| words[1] == "test").find(|&k| picks(k))?;
    let sources = text_below(&folder.join("tests")) + &text_below(&folder.join("src"));
    let there = [format!("mod {}", words[filter]), words[filter].clone()];
    let named = |line: &str| {
        let line = line.trim_start();
        (line.starts_with("fn ") || line.starts_with("mod ")) && line.contains(&there[1])
    };
    (!sources.lines().any(named)).then(|| format!("{package} has no test {}", words[filter]))
}

fn text_below(folder: &Path) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            text += &text_below(&path);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            text += &std::fs::read_to_string(&path).expect("text");
        }
    }
    text
}

/// Runs a command for programs of PETSc, where this build is for it.
fn petsc(command: &str, exports: &str, folder: &Folder) -> Option<String> {
    if !cfg!(feature = "petsc") {
        return None;
    }
    let mut bash = crate::mpirun::launcher(1);
    isolate(&mut bash);
    let mut shell = Command::new("bash");
    shell.envs(bash.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.env_remove("PRECONDOR_PATH");
    let ran = in_folder(shell.args(["-ec", &format!("{exports}\n{command}")]), folder);
    (ran.code != 0).then(|| format!("{}\n{}", ran.out, ran.err))
}

/// What is wrong with a document's commands.
fn faults(document: &str, exports: &mut String, folder: &Folder) -> Vec<String> {
    let text = std::fs::read_to_string(Path::new(ROOT).join(document)).expect("a document");
    let mut faults = Vec::new();
    for command in commands(&text) {
        let wrong = match classify(&command) {
            None => Some("no class takes it".to_owned()),
            Some(Class::Setup | Class::Lab) => None,
            Some(Class::Export) => {
                *exports += &format!("{command}\n");
                None
            }
            Some(Class::Ours(ranks, words)) => {
                let ran = ours(ranks, &words, folder);
                (ran.code != 0).then(|| format!("status {}: {}", ran.code, ran.err))
            }
            Some(Class::Name(words)) => {
                let ran = in_folder(program().args(words).arg("--help"), folder);
                (ran.code != 0).then_some(ran.err)
            }
            Some(Class::Cargo(words)) => cargo(&words),
            // Those in Python run in tests of their own.
            Some(Class::Script(path)) if path.extension().is_some_and(|e| e == "py") => {
                (!path.exists()).then(|| "no such script".into())
            }
            Some(Class::Script(path)) => {
                let sound = Command::new("bash").arg("-n").arg(&path).status();
                (!sound.expect("bash").success()).then(|| "no such script, or no sound one".into())
            }
            Some(Class::Python(path)) => {
                let compiles = "import ast, sys; ast.parse(open(sys.argv[1]).read())";
                let sound =
                    Command::new("/usr/bin/python3").args(["-c", compiles]).arg(&path).status();
                (!sound.expect("Python").success())
                    .then(|| "no such script, or no sound one".into())
            }
            Some(Class::Petsc) => petsc(&command, exports, folder),
        };
        faults.extend(wrong.map(|wrong| format!("{document}: {command}\n    {wrong}")));
    }
    faults
}

#[test]
fn commands_of_documents_do_what_is_said() {
    let folder = surroundings("documents");
    let mut documents = documents(Path::new(ROOT));
    // What one page sets up, the others take for granted.
    documents.sort_by_key(|name| name != "docs/petsc.md");
    let mut exports = String::new();
    let found = |name: &String| {
        commands(&std::fs::read_to_string(Path::new(ROOT).join(name)).expect("a document")).len()
    };
    assert!(documents.iter().map(found).sum::<usize>() > 60, "commands are found");
    let faults: Vec<String> =
        documents.iter().flat_map(|name| faults(name, &mut exports, &folder)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    for made in ["m.safetensors", "home/.local/bin/precondor", "my-method/Cargo.toml"] {
        assert!(folder.path().join(made).exists(), "no {made}");
    }
}

#[test]
fn what_no_class_takes_is_noticed() {
    for command in ["curl x | sh", "precondor-x solve", "./ex3", "cargo publish", "rm -rf build"] {
        assert!(classify(command).is_none(), "{command}");
    }
    for wrong in [
        "cargo test -p precondor-plugin-none",
        "cargo test -p precondor --test none",
        "cargo test -p precondor --test cli no_such_test_at_all_anywhere_",
        "cargo bench -p precondor-plugin-mlp --bench none",
    ] {
        let words = shlex::split(wrong).expect("words");
        // The last name stands in this file, too, but not after `fn`.
        assert!(cargo(&words).is_some(), "{wrong}");
    }
}
