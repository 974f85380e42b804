//! Files that commands write: looked at before the work, whole or not there, one writer at a time.
use crate::support::{Folder, Ran, program, run};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

const SYSTEM: &str = "[problem]\nkind = 'poisson'\nlevel = 3\n";
const MODEL: &str = "[model]\nmethod = 'mlp-reference'\noutput = 'model.safetensors'\n[train]\nsteps = 5\n\
                     hidden = [4]\npool = 20\nbatch = 2\nvectors = 1\n[data]\nkind = 'poisson'\n\
                     levels = [3]\n";

fn solve(folder: &Folder, args: &[&str]) -> Ran {
    let config = folder.file("solve.toml", SYSTEM);
    run(program().arg("solve").arg(config).args(args).current_dir(folder.path()))
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> =
        entries.map(|e| e.expect("readable").file_name().into_string().expect("text")).collect();
    names.sort();
    names
}

/// A configuration whose work would fail, too: what is told is that of the files, so they come first.
#[test]
fn places_of_files_are_looked_at_before_any_work() {
    let folder = Folder::new("files-before");
    folder.file("there", "a file");
    let bad = "[problem]\nmatrix = 'no-such.mtx'\n[preconditioner]\nname = 'spai'\n";
    folder.file("solve.toml", bad);
    let compared = "[problem]\nmatrix = 'no-such.mtx'\n[[run]]\n";
    folder.file("compare.toml", compared);
    folder.file("train.toml", &MODEL.replace("steps = 5", "steps = 100000000"));
    let long = "n".repeat(300);
    let none = "its folder is not there: make it first";
    for (args, why) in [
        (vec!["solve", "solve.toml", "--save-solution", "no/x.mtx"], ["--save-solution: ", none]),
        (vec!["solve", "solve.toml", "--save-solution", "no/x.petsc"], ["--save-solution: ", none]),
        (
            vec!["solve", "solve.toml", "--save-preconditioner", "no/m"],
            ["--save-preconditioner: ", none],
        ),
        (vec!["solve", "solve.toml", "--save-solution", &long], ["--save-solution: ", "too long"]),
        (vec!["solve", "solve.toml", "--save-solution", "."], ["--save-solution: ", "a folder"]),
        (
            vec!["solve", "solve.toml", "--save-solution", "x", "--save-preconditioner", "./x"],
            ["--save-preconditioner: ", "--save-solution names the same file"],
        ),
        (vec!["compare", "compare.toml", "--report", "there"], ["there", "cannot make it"]),
        (vec!["compare", "compare.toml", "--report", "there/in"], ["there/in", "cannot make it"]),
        (vec!["train", "train.toml", "-o", "there/m"], ["there", "cannot make it"]),
        (vec!["train", "train.toml", "-o", &long[..250]], ["its checkpoints: ", "too long"]),
        (vec!["train", "train.toml", "-o", "there"], ["there is a model already", "--force"]),
        (vec!["problem", "-o", "no/a.mtx"], ["--output: ", none]),
        (vec!["problem", "-o", "a.mtx", "--rhs", "no/b.mtx"], ["--rhs: ", none]),
        (vec!["matrix", "no-such.mtx", "--spy", "no/a.svg"], ["--spy: ", none]),
    ] {
        run(program().args(&args).current_dir(folder.path())).fails_with(&why);
    }
    assert_eq!(names(folder.path()), ["compare.toml", "solve.toml", "there", "train.toml"]);
    assert_eq!(fs::read(folder.path().join("there")).expect("there"), b"a file");
}

#[test]
fn a_folder_that_nothing_may_be_written_into_is_known_before() {
    let folder = Folder::new("files-forbidden");
    let report = folder.path().join("report");
    fs::create_dir_all(report.join("index.html")).expect("made");
    folder.file("compare.toml", "[problem]\nmatrix = 'no-such.mtx'\n[[run]]\n");
    let mut compare = program();
    compare.args(["compare", "compare.toml", "--report", "report"]).current_dir(folder.path());
    run(&mut compare).fails_with(&["--report: ", "index.html: this is a folder"]);
    // Root may write everywhere but where there is no file system to write to.
    let ran = solve(&folder, &["--save-solution", "/proc/x.mtx"]);
    ran.fails_with(&["--save-solution: /proc/x.mtx: "]);
}

#[test]
fn x_is_written_also_where_the_solve_did_not_converge() {
    let folder = Folder::new("files-not-converged");
    let limit = ["--set", "solver.max_iterations=2", "--save-solution", "x.mtx"];
    assert_eq!(solve(&folder, &limit).code, 2);
    let x = fs::read_to_string(folder.path().join("x.mtx")).expect("x");
    let values = x.lines().filter(|line| !line.starts_with('%')).skip(1);
    assert_eq!(values.filter(|line| line.parse::<f64>().is_ok_and(|x| x != 0.0)).count(), 49);
}

#[test]
fn links_are_written_through_and_read_only_files_are_refused() {
    let folder = Folder::new("files-links");
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("elsewhere")).expect("made");
    symlink("elsewhere/x.mtx", at("link")).expect("linked");
    for _ in 0..2 {
        assert_eq!(solve(&folder, &["--save-solution", "link"]).code, 0);
        assert!(fs::symlink_metadata(at("link")).expect("there").is_symlink());
        assert_eq!(names(&at("elsewhere")), ["x.mtx"]);
    }
    fs::set_permissions(at("elsewhere/x.mtx"), Permissions::from_mode(0o444)).expect("set");
    let before = fs::read(at("elsewhere/x.mtx")).expect("there");
    let again = ["--save-solution", "link", "--set", "problem.level=2"];
    solve(&folder, &again).fails_with(&["link: the file there is read-only"]);
    assert_eq!(fs::read(at("elsewhere/x.mtx")).expect("there"), before);
    // As long a name as a file system takes.
    let long = "n".repeat(255);
    assert_eq!(solve(&folder, &["--save-solution", &long]).code, 0);
    assert!(at(&long).exists());
}

#[test]
fn a_model_that_is_there_is_replaced_by_force_only() {
    let folder = Folder::new("files-force");
    let config = folder.file("train.toml", MODEL);
    let train = |args: &[&str]| run(program().arg("train").arg(&config).args(args));
    let ran = train(&[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let model = folder.path().join("model.safetensors");
    fs::write(&model, "another").expect("written");
    train(&[]).fails_with(&["model.safetensors: there is a model already: --force replaces it"]);
    assert_eq!(fs::read(&model).expect("there"), b"another");
    assert_eq!(train(&["--force"]).code, 0);
    assert!(fs::metadata(&model).expect("there").len() > 100);
    assert_eq!(names(folder.path()), ["model.safetensors", "train.toml"]);
}

/// The shell's limit: the file is cut off, and the signal that would end the program comes.
#[test]
fn a_file_that_outgrows_its_limit_is_an_error_and_the_result_is_told() {
    let folder = Folder::new("files-limit");
    folder.file("solve.toml", &SYSTEM.replace("level = 3", "level = 6"));
    let precondor = env!("CARGO_BIN_EXE_precondor");
    let shell = format!("ulimit -f 8; exec '{precondor}' solve solve.toml --save-solution x.mtx");
    let mut command = Command::new("bash");
    crate::support::isolate(&mut command);
    let ran = run(command.args(["-c", &shell]).current_dir(folder.path()));
    ran.fails_with(&["--save-solution: x.mtx: File too large"]);
    assert!(ran.out.contains("converged after"), "{}", ran.out);
    assert_eq!(names(folder.path()), ["solve.toml"], "no half of a file");
}

#[test]
fn what_a_killed_run_left_is_removed_by_the_next() {
    let folder = Folder::new("files-left");
    let mut gone = Command::new("true").spawn().expect("it starts");
    gone.wait().expect("it ends");
    // The name of this machine in such files: that of one that is being written.
    let host = fs::read("/proc/sys/kernel/hostname").expect("a name");
    let host =
        host.iter().fold(0x811c_9dc5u32, |h, &b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
    let left = folder.file(&format!(".precondor-{host:08x}-{}-abcdef.tmp", gone.id()), "half");
    let alive = format!(".precondor-{host:08x}-{}-abcdef.tmp", std::process::id());
    let alive = folder.file(&alive, "half");
    assert_eq!(solve(&folder, &["--save-solution", "x.mtx"]).code, 0);
    assert!(!left.exists() && alive.exists());
}

#[test]
fn threads_without_number_are_refused_before_any_starts() {
    let folder = Folder::new("files-threads");
    let config = folder.file("solve.toml", SYSTEM);
    for (asked, why) in [("99999", "RAYON_NUM_THREADS=99999: "), ("two", "no number of threads")] {
        let mut command = program();
        command.arg("solve").arg(&config).env("RAYON_NUM_THREADS", asked);
        run(&mut command).fails_with(&[why]);
    }
}

/// What a file is called and says reaches the terminal as text.
#[test]
fn escape_characters_of_others_are_shown_not_sent() {
    let folder = Folder::new("files-escapes");
    let name = "a\u{1b}[2J\u{9b}31m.mtx";
    folder.file(name, "%%MatrixMarket matrix coordinate real general\n1 1 1\n1 1 x\n");
    let ran = run(program().arg("matrix").arg(name).current_dir(folder.path()));
    ran.fails_with(&["a\\u{1b}[2J\\u{9b}31m.mtx"]);
    assert!(!ran.err.contains(['\u{1b}', '\u{9b}']), "{:?}", ran.err);
    folder.file(name, "%%MatrixMarket matrix coordinate real general\n1 1 1\n1 1 2\n");
    let toml =
        "[problem]\nmatrix = \"a\\u001b[2J\\u009b31m.mtx\"\n[[run]]\nlabel = \"\\u001b[31mred\"\n";
    let config = folder.file("compare.toml", toml);
    for args in [&[][..], &["--json"]] {
        let ran = run(program().arg("compare").arg(&config).args(args));
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert!(!ran.out.contains(['\u{1b}', '\u{9b}']), "{:?}", ran.out);
        if !args.is_empty() {
            assert_eq!(ran.json()["sections"][0]["label"], name);
        }
    }
}
