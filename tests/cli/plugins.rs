//! `plugins list|describe|check|new`.
use crate::support::{Folder, precondor, program, run};
use std::path::{Path, PathBuf};
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn all_methods_are_listed_with_their_libraries() {
    let list = precondor(["plugins", "list", "--json"]).json();
    let names: Vec<&str> =
        list["methods"].as_array().unwrap().iter().map(|m| m["name"].as_str().unwrap()).collect();
    for name in [
        "fast-poisson",
        "fsai",
        "gauss-seidel",
        "ic",
        "ilu",
        "jacobi",
        "mlp-dense",
        "mlp-reference",
        "reference",
        "ridge",
        "schwarz",
        "spai",
    ] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    let text = precondor(["plugins", "list"]).out;
    assert!(text.contains("jacobi ") && text.contains("libprecondor_plugin_ilu.so"), "{text}");
}

#[test]
fn a_description_states_what_the_check_enforces() {
    let text = precondor(["plugins", "describe", "jacobi"]).out;
    assert!(text.contains("damping: number > 0 < 2, 1.0 unless given"), "{text}");
    assert!(text.contains("Damping factor ω."), "{text}");
    let text = precondor(["plugins", "describe", "gauss-seidel"]).out;
    assert!(text.contains("- \"forward\": Increasing row numbers."), "{text}");
    let text = precondor(["plugins", "describe", "mlp-reference"]).out;
    assert!(text.contains("parameters of [train]") && text.contains("model: a file"), "{text}");
    let text = precondor(["plugins", "describe", "reference"]).out;
    assert!(text.contains("method: a method"), "{text}");
}

/// Whatever a schema and a model's card hold, a reader gets words: whole sentences, no JSON.
#[test]
fn descriptions_are_in_words() {
    let list = precondor(["plugins", "list", "--json"]).json();
    for method in list["methods"].as_array().expect("a list") {
        let name = method["name"].as_str().expect("a name");
        let ran = precondor(["plugins", "describe", name]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        for line in ran.out.lines() {
            let told = line.trim_start();
            let json = ["[[", "{\"", "\":", "array", "boolean", "object"];
            // What a sentence says of a configuration's own lists is none of this.
            let prose = line.starts_with("      ") && !line.contains("{\"");
            let found = json.iter().find(|part| told.contains(**part) && !prose);
            assert!(found.is_none(), "{name}: {found:?} in {line}");
            if let Some((_, meaning)) = told.strip_prefix("- \"").and_then(|t| t.split_once("\": "))
            {
                assert!(meaning.ends_with('.') || meaning.is_empty(), "{name}: cut off: {line}");
            }
        }
    }
    let describe = |name: &str| precondor(["plugins", "describe", name]).out;
    assert!(describe("mlp-dense").contains("hidden: list of 1 to 8 integers ≥ 1 ≤ 65536\n"));
    assert!(describe("mlp-dense").contains("grid: list of 2 integers ≥ 0"));
    assert!(describe("auto").contains(
        "candidates: list of at least 2 tables of `apply`, `apply_rows`, `method`, `setup`, `setup_rows`; method jacobi, "
    ));
    assert!(describe("auto").contains("      best: amg "), "{}", describe("auto"));
}

/// What is learned may be wrong: every such method says what a solve goes on with.
#[test]
fn learned_methods_name_one_that_is_not() {
    let describe = |name: &str| precondor(["plugins", "describe", name, "--json"]).json();
    let list = precondor(["plugins", "list", "--json"]).json();
    let mut named = Vec::new();
    for method in list["methods"].as_array().unwrap() {
        let name = method["name"].as_str().unwrap();
        let schema = &describe(name)["schema"];
        if schema["x-precondor-models"].is_null() {
            continue;
        }
        let fallback = &schema["x-precondor-fallback"];
        let other = fallback.as_str().or(fallback["name"].as_str()).unwrap_or_default();
        // `auto` goes on with itself, without what has failed.
        let schema = &describe(other)["schema"];
        let mut parameters = schema["properties"].as_object().unwrap().values();
        let chooses = parameters.any(|parameter| parameter["x-precondor-exclude"] == true);
        assert!(schema["x-precondor-models"].is_null() || chooses, "{name}: {fallback}");
        named.push((name.to_owned(), other.to_owned()));
    }
    for (name, other) in [
        ("auto", "auto"),
        ("mlp-dense", "ic"),
        ("mlp-fsai", "fsai"),
        ("mlp-reference", "multigrid"),
        ("ridge", "ic"),
    ] {
        assert!(named.contains(&(name.into(), other.into())), "{name}: {named:?}");
    }
}

#[test]
fn every_method_that_is_built_passes_its_check() {
    for library in [
        "amg",
        "auto",
        "composition",
        "dense",
        "gauss_seidel",
        "ilu",
        "jacobi",
        "mlp",
        "multigrid",
        "reference",
        "schwarz",
        "spai",
    ] {
        let path = built(library);
        let ran = run(program().args(["plugins", "check"]).arg(&path).arg("--json"));
        assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
        for method in ran.json()["methods"].as_array().unwrap() {
            assert!(method["not_tried"].is_null(), "{method}");
            assert!(method["passed"].as_array().unwrap().len() >= 4, "{method}");
        }
    }
    assert_eq!(precondor(["plugins", "check", "jacobi"]).code, 0);
}

fn built(library: &str) -> PathBuf {
    let deps = Path::new(env!("CARGO_BIN_EXE_precondor")).with_file_name("deps");
    deps.join(format!("libprecondor_plugin_{library}.so"))
}

#[test]
fn what_cargo_built_last_is_found_beside_what_it_left_over() {
    let folder = Folder::new("left-over");
    let deps = folder.path().join("deps");
    std::fs::create_dir(&deps).unwrap();
    let copy = folder.path().join("precondor");
    std::fs::copy(env!("CARGO_BIN_EXE_precondor"), &copy).unwrap();
    let from = built("jacobi");
    let name = from.file_name().unwrap();
    std::fs::copy(&from, deps.join(name)).unwrap();
    // Another library, though it does the same.
    let mut old = std::fs::read(&from).unwrap();
    old.push(0);
    std::fs::write(folder.path().join(name), old).unwrap();
    let ran = run(crate::support::isolated(&copy).args(["plugins", "list", "--json"]));
    assert_eq!(ran.code, 0, "{}", ran.err);
    let list = ran.json();
    assert_eq!(list["problems"], serde_json::json!([]), "{list}");
    assert!(
        ran.out.contains("left-over") && ran.out.contains("/deps/libprecondor_plugin_jacobi.so")
    );
}

/// A plugin in C with these faults, in a folder of its own.
pub fn faulty(folder: &Folder, faults: &str) -> PathBuf {
    let path = folder.path().join("libprecondor_plugin_faulty.so");
    let status = Command::new("cc")
        .args(["-shared", "-fPIC", "-std=c11"])
        .args(faults.split(' ').map(|fault| format!("-D{fault}")))
        .arg("-I")
        .arg(format!("{ROOT}/bindings/abi/include"))
        .arg(format!("{ROOT}/tests/c/faulty.c"))
        .arg("-o")
        .arg(&path)
        .status()
        .expect("a C compiler");
    assert!(status.success());
    path
}

#[test]
fn libraries_that_are_no_plugins_are_lines_of_the_list() {
    for (fault, why) in [
        ("CRASH", "it crashes while it is loaded (signal 6)"),
        ("NEWER_ABI", "it speaks plugin ABI"),
        ("OTHER_MAGIC", "it is no Precondor plugin"),
    ] {
        let folder = Folder::new(&format!("faulty-{fault}"));
        let library = faulty(&folder, fault);
        let ran = run(program().args(["plugins", "list", "--plugin-path"]).arg(folder.path()));
        assert_eq!(ran.code, 0, "{}", ran.err);
        let line = ran.out.lines().find(|line| line.starts_with("passed over"));
        assert!(line.is_some_and(|line| line.contains(why)), "{fault}: {}", ran.out);
        run(program().args(["plugins", "check"]).arg(&library)).fails_with(&[why]);
    }
    let folder = Folder::new("text-library");
    let library = folder.file("libprecondor_plugin_text.so", "not a library");
    run(program().args(["plugins", "check"]).arg(&library))
        .fails_with(&["libprecondor_plugin_text"]);
    let other = folder.file("other.so", "");
    run(program().args(["plugins", "check"]).arg(&other))
        .fails_with(&["a plugin's file is called"]);
    precondor(["plugins", "check", "./missing.so"]).fails_with(&["missing.so"]);
}

#[test]
fn a_method_that_gives_nan_fails_its_check_and_never_converges() {
    let folder = Folder::new("faulty-nan");
    let library = faulty(&folder, "NO_FAULT_BUT_NAN");
    let ran = run(program().args(["plugins", "check"]).arg(&library));
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains("FAILED: numbers are finite"), "{}", ran.out);
    let config = folder.file(
        "solve.toml",
        "[problem]\nkind = 'poisson'\nlevel = 3\n[solver]\nmethod = 'richardson'\n\
         [preconditioner]\nname = 'faulty'\n",
    );
    let solve = run(program().arg("solve").arg(config).arg("--plugin-path").arg(folder.path()));
    assert!([1, 2].contains(&solve.code), "{}{}", solve.out, solve.err);
    assert!(!solve.out.contains("converged after"), "{}", solve.out);
}

#[test]
fn names_and_folders_for_new_plugins_are_checked() {
    let folder = Folder::new("new-names");
    for bad in ["My-Method", "../x", "2nd", "a_b", ""] {
        precondor(["plugins", "new", bad]).fails_with(&["is no name for a method"]);
    }
    for (taken, why) in [
        ("jacobi", "there is a method 'jacobi' already, in "),
        ("mlp", "there is a library of that name already, "),
        ("core", "'core' is reserved; take another name"),
    ] {
        precondor(["plugins", "new", taken]).fails_with(&[why]);
    }
    folder.file("kept.txt", "mine");
    let path = folder.path().to_str().unwrap();
    precondor(["plugins", "new", "mine", "--path", path]).fails_with(&["is there already"]);
    let empty = folder.path().join("project");
    precondor(["plugins", "new", "mine", "--sdk", path, "--path", empty.to_str().unwrap()])
        .fails_with(&["the SDK's sources are not in", "--sdk"]);
}

/// A plugin made outside the repository builds, passes its own tests and the check, and solves.
#[test]
fn a_new_plugin_builds_passes_and_solves() {
    let folder = Folder::new("new-plugin");
    let project = folder.path().join("my-method");
    let ran = run(program().args(["plugins", "new", "my-method", "--path"]).arg(&project));
    assert_eq!(ran.code, 0, "{}", ran.err);
    // The versions that this repository was tested with; the rest of the lock file is dropped.
    std::fs::copy(format!("{ROOT}/Cargo.lock"), project.join("Cargo.lock")).unwrap();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("new-plugin");
    let cargo = |command: &str| {
        let output = Command::new(env!("CARGO"))
            .args([command, "--offline", "--quiet"])
            .current_dir(&project)
            .env("CARGO_TARGET_DIR", &target)
            .env_remove("RUSTFLAGS")
            .output()
            .expect("cargo");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "cargo {command}: {text}");
    };
    cargo("test");
    cargo("build");
    let library = target.join("debug/libprecondor_plugin_my_method.so");
    let ran = run(program().args(["plugins", "check"]).arg(&library));
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    let solve = run(program()
        .arg("solve")
        .arg(project.join("solve.toml"))
        .args(["--json", "--plugin-path"])
        .arg(target.join("debug")));
    assert_eq!(solve.code, 0, "{}", solve.err);
    assert_eq!(solve.json()["preconditioner"], "my-method");
    assert_eq!(solve.json()["preconditioner_nnz"], 225);
}

/// Shipped models tell where they come from.
#[test]
fn describe_tells_what_models_were_trained_on() {
    let ran = run(program().args(["plugins", "describe", "mlp-reference"]));
    assert_eq!(ran.code, 0, "{}", ran.err);
    for part in
        ["models that come with it:", "models/mlp-reference-spd.safetensors", "seed 1", "loss"]
    {
        assert!(ran.out.contains(part), "no '{part}' in {}", ran.out);
    }
    assert!(ran.out.contains("trained on poisson correlation 0.3, level 4, shift 0.3"));
}

#[test]
fn a_library_that_crashes_keeps_nothing_else_from_its_work() {
    let folder = Folder::new("crashes-beside");
    faulty(&folder, "CRASH");
    let config = "[problem]\nkind = 'poisson'\nlevel = 3\n[preconditioner]\nname = 'ic'\n";
    let path = folder.path().display().to_string();
    let ran = crate::support::solve(&folder, config, &["--plugin-path", &path]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("it crashes while it is loaded (signal 6)"), "{}", ran.err);
    let config = config.replace("'ic'", "'faulty'");
    crate::support::solve(&folder, &config, &["--plugin-path", &path])
        .fails_with(&["no preconditioner 'faulty'"]);
}
