//! A family of problems that a library brings along: wherever a shipped kind can be named, it can.
use crate::support::{Folder, Ran, precondor, program, run};
use precondor_testkit::compile::compile;
use serde_json::Value;

/// A folder with the library of springs in it.
fn folder(name: &str, faults: &[&str]) -> Folder {
    let folder = Folder::new(name);
    let faults: Vec<String> = faults.iter().map(|fault| format!("-D{fault}")).collect();
    let more: Vec<&str> = faults.iter().map(String::as_str).chain(["-lm"]).collect();
    compile(folder.path(), "springs", "tests/c/springs.c", "bindings/abi/include", &more);
    folder
}

fn with(folder: &Folder, words: &[&str]) -> Ran {
    run(program().arg("--plugin-path").arg(folder.path()).args(words))
}

#[test]
fn it_is_listed_described_and_part_of_the_schema() {
    let folder = folder("families-described", &[]);
    let text = with(&folder, &["plugins", "list"]).out;
    let line = "problem of kind 'springs': a chain of masses and springs between two walls (libprecondor_plugin_springs.so 1.0.0)";
    assert!(text.contains(line), "{text}");
    let list = with(&folder, &["plugins", "list", "--json"]).json();
    assert_eq!(list["families"][0]["schema"]["properties"]["masses"]["default"], 100);
    let text = with(&folder, &["describe", "problem"]).out;
    assert!(text.contains("  precondor describe problem springs\n"), "{text}");
    let text = with(&folder, &["describe", "problem", "springs"]).out;
    assert!(text.contains("masses: integer ≥ 1 ≤ 10000000, 100 unless given"), "{text}");
    assert!(text.contains("seed: integer ≥ 0, 0 unless given"), "{text}");
    let schema: Value = serde_json::from_str(&with(&folder, &["schema"]).out).expect("JSON");
    let kinds = schema["$defs"]["problem"]["anyOf"].as_array().expect("a list");
    assert!(kinds.iter().any(|kind| kind["properties"]["kind"]["const"] == "springs"));
    // Without the library it is not there.
    let ran = precondor(["describe", "problem", "springs"]);
    assert!(ran.code != 0 && ran.err.contains("no problem of kind 'springs'"), "{}", ran.err);
}

/// The chain is tridiagonal: incomplete factors are exact, and the file is the system that is solved.
#[test]
fn it_is_solved_and_written() {
    let folder = folder("families-solved", &[]);
    let config = folder.file(
        "solve.toml",
        "[problem]\nkind = 'springs'\nmasses = 50\nseed = 3\n[solver]\nmethod = 'cg'\n[preconditioner]\nname = 'ic'\n",
    );
    let config = config.to_str().expect("text");
    let ran = with(&folder, &["solve", config, "--json"]);
    let report = ran.json();
    assert_eq!((ran.code, &report["iterations"]), (0, &1.into()), "{}{report}", ran.err);
    let text = with(&folder, &["solve", config]).out;
    let of = "springs of libprecondor_plugin_springs.so 1.0.0: masses 50, seed 3";
    assert!(text.contains(of), "{text}");
    let [a, b] = ["A.mtx", "b.mtx"].map(|name| folder.path().join(name).display().to_string());
    let ran = with(&folder, &["problem", config, "-o", &a, "--rhs", &b]);
    assert_eq!((ran.code, ran.out.contains("50 unknowns, 148 entries")), (0, true), "{}", ran.err);
    let from_file = folder.file(
        "file.toml",
        "[problem]\nmatrix = 'A.mtx'\nrhs = 'b.mtx'\n[solver]\nmethod = 'cg'\n[preconditioner]\nname = 'jacobi'\n",
    );
    let jacobi = ["--set", "preconditioner.name=jacobi"];
    let made = with(&folder, &[&["solve", config, "--json"][..], &jacobi].concat()).json();
    let read = precondor(["solve", from_file.to_str().expect("text"), "--json"]).json();
    assert_eq!(made["iterations"], read["iterations"]);
    for (set, why) in [
        ("problem.masses=0", "'masses': 0 must be at least 1"),
        ("problem.mass=1", "did you mean 'masses'?"),
        ("problem.kind=spring", "did you mean 'springs'?"),
    ] {
        let ran = with(&folder, &["solve", config, "--set", set]);
        assert!(ran.code == 1 && ran.err.contains(why), "{set}: {} {}", ran.code, ran.err);
    }
}

#[test]
fn it_is_compared_tuned_and_trained_on() {
    let folder = folder("families-compared", &[]);
    let problem =
        "[problem]\nkind = 'springs'\nmasses = 60\nsamples = 3\n[solver]\nmethod = 'cg'\n";
    let compare = folder.file(
        "compare.toml",
        &format!("{problem}[[run]]\npreconditioner = 'jacobi'\n[[run]]\npreconditioner = 'ic'\n"),
    );
    let ran = with(&folder, &["compare", compare.to_str().expect("text")]);
    assert!(ran.code == 0 && ran.out.contains("springs of libprecondor"), "{}{}", ran.out, ran.err);
    // In processes of their own as well.
    let limited =
        with(&folder, &["compare", compare.to_str().expect("text"), "--set", "time_limit=100"]);
    assert_eq!(limited.code, 0, "{}", limited.err);

    let train = folder.file(
        "train.toml",
        "[model]\nmethod = 'mlp-fsai'\noutput = 'm.safetensors'\n[train]\nsteps = 20\nbatch = 4\nhidden = [4]\n\
         [[data]]\nkind = 'springs'\nmasses = 40\n",
    );
    let ran = with(&folder, &["train", train.to_str().expect("text")]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let model = folder.path().join("m.safetensors").display().to_string();
    let set = format!("preconditioner={{ name = 'mlp-fsai', model = '{model}' }}");
    let solve = folder
        .file("solve.toml", "[problem]\nkind = 'springs'\nmasses = 60\n[solver]\nmethod = 'cg'\n");
    let ran = with(&folder, &["solve", solve.to_str().expect("text"), "--set", &set]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let bytes = std::fs::read(&model).expect("a model");
    assert!(String::from_utf8_lossy(&bytes).contains("springs"), "the model says what it learnt");

    let tune = folder.file(
        "tune.toml",
        &format!(
            "{problem}[tune]\nbudget = 10\nmethods = ['jacobi', 'ic']\nmeasure = 'products'\n"
        ),
    );
    let best = folder.path().join("best.toml").display().to_string();
    let ran = with(&folder, &["tune", tune.to_str().expect("text"), "-o", &best]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let found = std::fs::read_to_string(&best).expect("a configuration");
    assert!(found.contains("kind = \"springs\"") && found.contains("\"ic\""), "{found}");
}

#[test]
fn one_that_does_not_keep_its_word_is_told_so() {
    let check = |faults: &[&str]| {
        let folder = folder(&format!("families-check-{}", faults.concat()), faults);
        with(&folder, &["plugins", "check", "springs"])
    };
    for faults in [&[][..], &["UNSEEDED"]] {
        let ran = check(faults);
        assert_eq!(ran.code, 0, "{faults:?}: {}{}", ran.out, ran.err);
        assert!(ran.out.contains("problem springs 1.0.0: "), "{}", ran.out);
    }
    for (fault, why) in [
        ("PART_DEPENDENT", "FAILED: rows are the same in whatever parts they are asked for"),
        (
            "SAME_FOR_TRAINING",
            "FAILED: a system to learn from is another one: that under the same seed is the same",
        ),
        ("NAN_ENTRY", "FAILED: its first system is sound: springs: row 5: an entry is NaN"),
        ("REFUSES", "told to fail in assemble"),
    ] {
        let ran = check(&[fault]);
        assert!(ran.code == 1 && ran.out.contains(why), "{fault}: {}{}", ran.out, ran.err);
    }
}
