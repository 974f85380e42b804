//! The library beside the program: the same configurations, the same results.
use precondor::core::solver::Outcome;
use precondor::prelude::*;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What the program makes of an example.
fn program(example: &str, set: &[&str]) -> serde_json::Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_precondor"));
    command.arg("solve").arg(Path::new(ROOT).join(example)).arg("--json");
    command.args(set.iter().flat_map(|flag| ["--set", flag]));
    let ran = command.output().expect("it starts");
    serde_json::from_slice(&ran.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&ran.stderr)))
}

#[test]
fn configurations_come_to_what_the_program_makes_of_them() {
    let methods = Methods::find().expect("methods");
    for (example, set) in [
        ("examples/solve.toml", &[][..]),
        ("examples/solve.toml", &["preconditioner.name=fsai", "solver.method=gmres"]),
        ("examples/solve.toml", &["preconditioner.name=auto"]),
        ("examples/solve.toml", &["preconditioner.name=mlp-fsai", "solver.check=lanczos"]),
    ] {
        let mut config = Config::read(Path::new(ROOT).join(example)).expect(example);
        for flag in set {
            config = config.set(flag).expect(flag);
        }
        let solved = config.solve(&methods).unwrap_or_else(|e| panic!("{example} {set:?}: {e}"));
        let theirs = program(example, set);
        let what = format!("{example} {set:?}: {theirs}");
        assert_eq!(solved.report.outcome, Outcome::Converged, "{what}");
        assert_eq!(theirs["iterations"], solved.report.iterations, "{what}");
        let residual = theirs["true_relative_residual"].as_f64().expect("a residual");
        // JSON is read to the last bit but one.
        let ratio = residual / solved.report.true_relative_residual;
        assert!((ratio - 1.0).abs() < 1e-12, "{what}");
        assert_eq!(theirs["preconditioner_nnz"], solved.stored_entries, "{what}");
        assert_eq!(theirs["preconditioner_bytes"], solved.bytes, "{what}");
        let notes = theirs["notes"].as_array().expect("notes");
        assert_eq!(notes.len(), solved.notes.len(), "{what}: {:?}", solved.notes);
        assert_eq!(theirs["n"], solved.x.len(), "{what}");
    }
}

#[test]
fn unknowns_that_are_taken_out_come_back() {
    // x0 = 3 is known; the rest is a chain between it and zero.
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("library");
    std::fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join("A.mtx");
    let text = "%%MatrixMarket matrix coordinate real general\n3 3 6\n1 1 1\n2 1 -1\n2 2 2\n2 3 -1\n\
                3 2 -1\n3 3 2\n";
    std::fs::write(&file, text).expect("written");
    let rhs = folder.join("b.mtx");
    std::fs::write(&rhs, "%%MatrixMarket matrix array real general\n3 1\n3\n0\n0\n")
        .expect("written");
    let text = format!(
        "[problem]\nmatrix = '{}'\nrhs = '{}'\neliminate = 'identity-rows'\n[solver]\nmethod = 'cg'\n\
         tolerance = 1e-12\n",
        file.display(),
        rhs.display()
    );
    let solved = Config::parse(&text).expect("TOML").solve(&Methods::find().expect("methods"));
    let x = solved.expect("solved").x;
    assert!(x.iter().zip([3.0, 2.0, 1.0]).all(|(x, want)| (x - want).abs() < 1e-10), "{x:?}");
}

#[test]
fn what_a_configuration_cannot_hold_is_shown_with_its_place() {
    let methods = Methods::find().expect("methods");
    let why = |text: &str| {
        let solved = Config::parse(text).and_then(|config| config.solve(&methods));
        solved.expect_err(text).to_string()
    };
    let problem = "problem.kind = 'poisson'\n";
    for (text, parts) in [
        ("problem.kind = ", &["1:16"][..]),
        ("solvr.method = 'cg'", &["'solvr'", "did you mean 'solver'?"]),
        ("problem.kind = 'poison'", &["did you mean 'poisson'?"]),
        ("solver.tolerance = -1\nproblem.kind = 'poisson'", &["tolerance", "greater than 0"]),
        ("preconditioner = 'illu'\nproblem.kind = 'poisson'", &["'illu'", "'ilu'"]),
        ("solver.stop = 'absolute-error'\nproblem.kind = 'poisson'", &["for the program"]),
        ("preconditioner = 'petsc:gamg'\nproblem.kind = 'poisson'", &["backend = \"petsc\""]),
    ] {
        let told = why(text);
        assert!(parts.iter().all(|part| told.contains(part)), "{text}: {told}");
    }
    assert!(Config::parse(problem).expect("TOML").set("nothing").is_err());
    assert!(Config::read("/nonexistent.toml").is_err());
}

#[test]
fn methods_are_found_linked_and_added() {
    let methods = Methods::find().expect("methods");
    let names: Vec<&str> = methods.iter().map(|method| method.name()).collect();
    assert!(names.contains(&"jacobi") && names.contains(&"auto"), "{names:?}");
    // Nothing is linked into this test, so that nothing is there where no library is looked for.
    assert_eq!(Methods::linked().expect("none").iter().count(), precondor::linked().len());
    let twice = methods.with(methods_own()).expect("a name of its own").with(methods_own());
    let Err(told) = twice else { panic!("two methods of one name") };
    assert!(told.to_string().contains("'twin' of linked in is there already"), "{told}");
}

/// M = I, of a method that looks at what is known of the system.
struct Looks;

/// What it saw: block size, dimension, place of the last row, near null space.
type Seen = (usize, usize, Vec<f64>, Vec<f64>);
static SEEN: std::sync::Mutex<Vec<Seen>> = std::sync::Mutex::new(Vec::new());

impl Generator for Looks {
    const NAME: &'static str = "looks";
    const SUMMARY: &'static str = "looks at what is known of the system";
    type Params = NoParams;
    type Output = precondor::core::precond::Identity;
    fn generate(_: &NoParams, system: &System) -> Result<Self::Output> {
        let places = system.coordinates().expect("coordinates");
        let near = system.near_null_space().expect("a near null space");
        let last = places.values[places.values.len() - places.width..].to_vec();
        let near = near.values[..near.width].to_vec();
        SEEN.lock().expect("not poisoned").push((system.block_size()?, places.width, last, near));
        Ok(precondor::core::precond::Identity)
    }
}

#[test]
fn what_is_known_of_a_system_reaches_a_method_by_code_and_by_configuration() {
    let methods = Methods::find().expect("methods").with(Native::<Looks>::method()).expect("new");
    let text = "%%MatrixMarket matrix coordinate real general\n4 4 4\n1 1 1\n2 2 1\n3 3 1\n4 4 1\n";
    let array = "%%MatrixMarket matrix array real general\n";
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("library-known");
    std::fs::create_dir_all(&folder).expect("a folder");
    let file = |name: &str, text: &str| {
        std::fs::write(folder.join(name), text).expect("written");
        folder.join(name)
    };
    let matrix = file("A.mtx", text);
    let places = file("xy.mtx", &format!("{array}2 2\n0\n1\n5\n7\n"));
    let near = file("near.mtx", &format!("{array}4 1\n3\n0\n3\n0\n"));
    let config = format!(
        "[problem]\nmatrix = {matrix:?}\ncoordinates = {places:?}\nnear_null_space = {near:?}\n\
         block_size = 2\n[preconditioner]\nname = 'looks'\n"
    );
    Config::parse(&config).expect("TOML").solve(&methods).expect("solved");

    let a = precondor::core::matrix::io::matrix_market::read(&matrix).expect("read");
    let system = methods.system(a).expect("square").with_block_size(2).expect("two");
    let system = system.with_coordinates(2, vec![0.0, 5.0, 0.0, 5.0, 1.0, 7.0, 1.0, 7.0]).unwrap();
    let system = system.with_near_null_space(1, vec![3.0, 0.0, 3.0, 0.0]).expect("one vector");
    methods.make("looks", json!({}), &system).expect("made");
    let expected = (2, 2, vec![1.0, 7.0], vec![3.0]);
    assert_eq!(*SEEN.lock().unwrap(), [expected.clone(), expected]);
}

#[test]
fn what_cannot_be_known_of_a_system_is_refused() {
    let methods = Methods::linked().expect("methods");
    let a = Csr::new(2, vec![0, 1, 2], vec![0, 1], vec![1.0, 1.0]).expect("a matrix");
    let system = || methods.system(a.clone()).expect("square");
    let why = |made: Result<System>| made.err().expect("refused").to_string();
    for (made, part) in [
        (system().with_coordinates(4, vec![0.0; 8]), "'coordinates': 4 coordinates a row"),
        (system().with_coordinates(0, vec![]), "'coordinates': 0 coordinates a row"),
        (system().with_coordinates(1, vec![0.0; 3]), "3 numbers for 2 rows of 1"),
        (system().with_coordinates(1, vec![0.0, f64::NAN]), "NaN in global row 1"),
        (system().with_near_null_space(0, vec![]), "'near-nullspace': not one vector"),
        (system().with_near_null_space(1, vec![f64::INFINITY, 1.0]), "inf in global row 0"),
        (system().with_block_size(0), "at least one unknown"),
        (system().with_aux("block-size", 1, vec![2.0, 1.0]), "1 in global row 1"),
        (system().with_aux("block-size", 1, vec![1.5, 1.5]), "1.5 in global row 0"),
        (system().with_aux("block-size", 2, vec![1.0; 4]), "2 numbers a row, not one"),
    ] {
        let told = why(made);
        assert!(told.contains(part), "no '{part}' in: {told}");
    }
    assert_eq!(system().block_size().expect("nothing is known"), 1);
    let three = system().with_block_size(3).expect("a number").block_size();
    let told = three.expect_err("2 rows").to_string();
    assert!(told.contains("the block size is 3, but global row 2"), "{told}");
}

/// A method of this program.
fn methods_own() -> std::sync::Arc<dyn precondor::core::registry::DynGenerator> {
    struct Twin;
    impl Generator for Twin {
        const NAME: &'static str = "twin";
        const SUMMARY: &'static str = "the identity";
        type Params = NoParams;
        type Output = precondor::core::precond::Identity;
        fn generate(_: &NoParams, _: &System) -> Result<Self::Output> {
            Ok(precondor::core::precond::Identity)
        }
    }
    Native::<Twin>::method()
}

#[derive(
    Clone,
    Debug,
    Default,
    precondor::serde::Serialize,
    precondor::serde::Deserialize,
    precondor::schemars::JsonSchema,
)]
#[serde(crate = "precondor::serde", deny_unknown_fields)]
#[schemars(crate = "precondor::schemars")]
struct NoParams {}

/// A key of training means one thing for every method that has it.
#[test]
fn what_networks_are_trained_with_means_the_same_for_all() {
    let methods = Methods::find().expect("methods");
    let schemas: Vec<_> = methods.iter().filter_map(|method| method.train_schema()).collect();
    for (key, many) in [("hidden", 3), ("pool", 4), ("validation", 3), ("patience", 3)] {
        let properties = schemas.iter().map(|schema| &schema["properties"][key]);
        // What follows a semicolon is said of the default, or of the ends of the range.
        let told =
            properties.filter_map(|property| property["description"].as_str()?.split(';').next());
        let told: Vec<_> = told.map(|meaning| meaning.trim_end_matches('.')).collect();
        let words: std::collections::BTreeSet<_> = told.iter().collect();
        assert_eq!((told.len(), words.len()), (many, 1), "{key}: {told:?}");
    }
}

#[test]
fn sections_are_put_in_from_json_and_a_solve_is_watched() {
    let methods = Methods::find().expect("methods");
    let config = Config::parse("[problem]\nkind = 'poisson'\nlevel = 2").expect("TOML");
    let section = json!({ "method": "cg", "tolerance": 1e-12 });
    let config = config.put("problem", json!({ "kind": "poisson", "level": 5 }));
    let config = config.and_then(|config| config.put("solver", section)).expect("sections");
    let mut seen = Vec::new();
    let ended = config.solve_watched(&methods, &mut |step| {
        seen.push(step.iteration);
        if step.iteration < 3 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    let ended = ended.expect("a solve");
    assert_eq!((ended.report.outcome, ended.x.len()), (Outcome::Interrupted, 961));
    assert_eq!(seen, [0, 1, 2, 3]);
    let wrong = config.put("solver", json!({ "methd": "cg" })).expect("a section");
    let wrong = wrong.solve(&methods).expect_err("a key that is not there").to_string();
    assert!(wrong.starts_with("solver: 'methd': there is no such key"), "{wrong}");
}

#[test]
fn libraries_are_added_by_their_paths_and_their_methods_find_each_other() {
    let here = std::env::current_exe().expect("a program");
    let library = |name: &str| here.with_file_name(format!("libprecondor_plugin_{name}.so"));
    let mut methods = Methods::linked().expect("none");
    let before = methods.clone();
    let added = methods.add_library(&library("composition")).expect("a library");
    assert_eq!(added, ["composite", "fieldsplit"]);
    methods.add_library(&library("jacobi")).expect("another");
    assert!(before.get("jacobi").is_err(), "what was cloned before stays as it was");
    let again = methods.add_library(&library("jacobi")).expect_err("twice").to_string();
    assert!(again.contains("method 'jacobi'") && again.contains("is there already"), "{again}");
    let none = methods.add_library(&library("none")).expect_err("not there").to_string();
    assert!(none.contains("libprecondor_plugin_none.so"), "{none}");
    let a = Csr::from_triplets(3, 3, (0..3).map(|i| (i, i, 2.0))).expect("a matrix");
    let system = methods.system(a).expect("a system");
    let m = methods.make("composite", json!({ "methods": ["jacobi", "jacobi"] }), &system);
    let mut z = [0.0; 3];
    m.expect("methods inside").apply(&[1.0; 3], &mut z).expect("applied");
    assert_eq!(z, [1.0; 3]);
}
