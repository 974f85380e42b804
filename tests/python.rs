//! The Python package: built, tested by its own tests, and installed as a wheel.
//!
//! Everything happens in environments below `target/`, made by the first Python that has numpy and scipy (that which
//! `PRECONDOR_PYTHON` names, else the system's, else the one in the path). What is built is not optimised much.
use precondor_testkit::mpirun::{Job, finish_within};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// Nothing here takes that long; what does hangs.
const LIMIT: Duration = Duration::from_secs(1800);

/// Where everything is built and kept.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("python")
}

/// A command that has no environment of the user's.
fn isolated(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    precondor_testkit::program::isolate(&mut command);
    command.env_remove("PYTHONPATH").env_remove("PYTHONHOME").env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("PIP_DISABLE_PIP_VERSION_CHECK", "1").env("PIP_NO_INPUT", "1");
    command
}

fn finish(command: Command) -> Job {
    finish_within(command, LIMIT)
}

/// Asserts that a command ends well; what it printed.
#[track_caller]
fn done(command: Command) -> String {
    let shown = format!("{command:?}");
    let Job { status, out, err } = finish(command);
    assert_eq!(status, Some(0), "{shown}\n{out}\n{err}");
    out
}

/// Whether this Python has the modules.
fn has(python: &Path, modules: &str) -> bool {
    let mut command = isolated(python);
    command.args(["-c", &format!("import {modules}")]);
    command.output().is_ok_and(|output| output.status.success())
}

/// An environment whose Python has numpy, scipy and pytest; nothing, and a word about it, where there is none.
fn environment() -> Option<&'static Path> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let named = std::env::var("PRECONDOR_PYTHON").ok();
        let all = named.iter().map(String::as_str).chain(["/usr/bin/python3", "python3"]);
        let all: Vec<&Path> = all.map(Path::new).collect();
        let able = |python: &&&Path| has(python, "numpy, scipy, venv, ensurepip");
        let Some(python) = all.iter().find(able) else {
            let packages = "python3-numpy python3-scipy python3-pytest python3-venv";
            return absent(&format!("a Python with numpy, scipy and venv ({packages})"));
        };
        let own = made(python, &folder().join("environment"));
        get(&own, "pytest", "pytest>=7").then_some(own)
    });
    found.as_deref()
}

/// Whether this Python of an environment has the module, which pip may get it.
fn get(python: &Path, module: &str, package: &str) -> bool {
    if has(python, module) {
        return true;
    }
    let mut pip = isolated(python);
    pip.args(["-m", "pip", "install", "-q", package]);
    if finish(pip).status == Some(0) {
        return true;
    }
    absent::<()>(&format!("{module}, nor can pip get it"));
    false
}

/// The Python of an environment at `at`, which sees what `python` has.
fn made(python: &Path, at: &Path) -> PathBuf {
    let own = at.join("bin/python");
    let mut command = isolated(python);
    command.args(["-m", "venv", "--clear", "--system-site-packages"]).arg(at);
    if !own.exists() {
        done(command);
    }
    own
}

fn absent<T>(what: &str) -> Option<T> {
    eprintln!("not installed: {what}; the tests that need it are left out");
    None
}

/// A command that builds as these tests want it: quickly, in a folder of its own, since what the workspace shares would
/// be built with other features.
fn quickly(mut command: Command) -> Command {
    command.env("CARGO", env!("CARGO")).env("CARGO_TARGET_DIR", folder().join("build"));
    command.env("CARGO_PROFILE_DEV_OPT_LEVEL", "1").env("CARGO_PROFILE_DEV_DEBUG", "0");
    command.env("CARGO_INCREMENTAL", "0");
    command
}

/// The package, as it is without having been installed: a folder for `PYTHONPATH`.
fn package() -> &'static Path {
    static STAGED: OnceLock<PathBuf> = OnceLock::new();
    STAGED.get_or_init(|| {
        let mut cargo = quickly(isolated(env!("CARGO")));
        cargo.args(["build", "--locked", "-p", "precondor-python", "--features", "extension"]);
        cargo.current_dir(ROOT);
        done(cargo);
        let staged = folder().join("package");
        let _ = std::fs::remove_dir_all(&staged);
        let to = staged.join("precondor");
        std::fs::create_dir_all(&to).expect("a folder");
        let sources = Path::new(ROOT).join("bindings/python/python/precondor");
        for file in std::fs::read_dir(sources).expect("the package") {
            let file = file.expect("an entry").path();
            if file.is_file() {
                std::fs::copy(&file, to.join(file.file_name().expect("a name"))).expect("copied");
            }
        }
        let module = folder().join("build/debug/libprecondor_python.so");
        std::fs::copy(module, to.join("_native.abi3.so")).expect("copied");
        staged
    })
}

/// Runs the package's tests with these arguments to pytest.
fn passes(arguments: &[&str]) {
    let Some(python) = environment() else { return };
    let mut pytest = isolated(python);
    pytest.args(["-X", "dev", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rs"]);
    pytest.args(arguments).current_dir(Path::new(ROOT).join("bindings/python"));
    pytest.env("PYTHONPATH", package()).env("PRECONDOR_PROGRAM", env!("CARGO_BIN_EXE_precondor"));
    let said = done(pytest);
    println!("{said}");
    assert!(said.contains(" passed"), "{said}");
}

/// Programs and notebooks of the examples: most of the time, on one core.
const EXAMPLES: [&str; 2] = ["tests/test_examples.py", "tests/test_notebooks.py"];

#[test]
fn the_package_passes_its_tests() {
    passes(&EXAMPLES.map(|file| format!("--ignore={file}")).each_ref().map(String::as_str));
}

#[test]
fn the_examples_and_notebooks_run() {
    passes(&EXAMPLES);
}

/// A command that builds a wheel into the folder, which is empty before.
fn wheels(mut command: Command, python: &Path, into: &Path) -> String {
    let _ = std::fs::remove_dir_all(into);
    let folder_of = |program: &Path| program.parent().expect("a folder").to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let first = [folder_of(Path::new(env!("CARGO"))), folder_of(python)];
    let path = first.into_iter().chain(std::env::split_paths(&path));
    command.env("PATH", std::env::join_paths(path).expect("paths"));
    done(quickly(command));
    let entries = std::fs::read_dir(into).expect("wheels").map(|entry| entry.expect("an entry"));
    let names: Vec<_> = entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    let [name] = names.as_slice() else { panic!("one wheel: {names:?}") };
    let start = concat!("precondor-", env!("CARGO_PKG_VERSION"), "-cp39-abi3-");
    assert!(name.starts_with(start), "{name}");
    name.clone()
}

/// What `pip install ./bindings/python` builds and installs, but for the profile and the folder that it is built in.
#[test]
fn one_wheel_installs_into_a_fresh_environment_and_needs_no_source() {
    let Some(python) = environment() else { return };
    if !get(python, "maturin", "maturin>=1.7,<2") {
        return;
    }
    package();
    let source = Path::new(ROOT).join("bindings/python");
    // For others: maturin looks at what the module is linked with, and says which systems have that.
    let into = folder().join("wheels");
    let mut maturin = isolated(python);
    maturin.args(["-m", "maturin", "build", "-q", "--profile", "dev", "-m"]);
    maturin.arg(source.join("Cargo.toml")).arg("-o").arg(&into);
    let name = wheels(maturin, python, &into);
    println!("{name}");
    assert!(cfg!(not(target_os = "linux")) || name.contains("-manylinux_2_"), "{name}");

    let mut pip = isolated(python);
    pip.args(["-m", "pip", "wheel", "-q", "--no-build-isolation", "--no-deps", "--wheel-dir"]);
    pip.arg(&into).arg(&source).env("MATURIN_PEP517_ARGS", "--profile dev");
    let wheel = into.join(wheels(pip, python, &into));
    let fresh = folder().join("fresh");
    let _ = std::fs::remove_dir_all(&fresh);
    let python = made(python, &fresh);
    let mut pip = isolated(&python);
    pip.args(["-m", "pip", "install", "-q", "--no-index", "--no-deps"]).arg(&wheel);
    done(pip);
    let empty = folder().join("empty");
    let _ = std::fs::remove_dir_all(&empty);
    std::fs::create_dir_all(&empty).expect("a folder");
    let mut run = isolated(&python);
    run.current_dir(&empty).env("HOME", &empty).args(["-I", "-X", "dev", "-c"]);
    run.arg(
        "import precondor, scipy.sparse.linalg as sla, pathlib\n\
         p = precondor.problem('poisson', level=5, seed=1)\n\
         x, info = sla.cg(p.A, p.b, M=precondor.preconditioner('amg', p.A))\n\
         r = precondor.solve(p.A, p.b, 'cg', 'mlp-reference', tolerance=1e-8)\n\
         there = {precondor.describe(name)['origin'] for name in precondor.methods()}\n\
         typed = pathlib.Path(precondor.__file__).with_name('py.typed').exists()\n\
         print(precondor.__version__, info, r.converged, sorted(there), typed, precondor.passed_over())",
    );
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(done(run).trim(), format!("{version} 0 True ['linked in'] True []"));
}
