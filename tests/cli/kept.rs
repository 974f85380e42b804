//! `solve --save-preconditioner` and `--load-preconditioner`: over a process boundary.
use crate::support::{Folder, Ran, precondor, program, run, solve};
use std::path::Path;

/// A configuration; `what` is the section of the preconditioner.
fn config(what: &str, problem: &str) -> String {
    format!(
        "[problem]\nkind = 'poisson'\nlevel = 3\n{problem}\n[solver]\nmethod = 'gmres'\n\
         tolerance = 1e-9\n{what}"
    )
}

fn section(name: &str, more: &str) -> String {
    format!("[preconditioner]\nname = '{name}'\n{more}\n")
}

fn with_file(folder: &Folder, config: &str, flag: &str, file: &Path) -> Ran {
    solve(folder, config, &["--json", flag, file.to_str().expect("UTF-8")])
}

/// Every method that says it offers `persist/1`.
fn methods() -> Vec<String> {
    let list = precondor(["plugins", "list", "--json"]).json();
    let all = list["methods"].as_array().expect("a list").clone();
    let offers = |m: &serde_json::Value| {
        m["extensions"].as_array().expect("a list").contains(&"persist/1".into())
    };
    let named = all.iter().filter(|m| offers(m));
    named.map(|m| m["name"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn every_explicit_method_is_loaded_by_another_process_with_the_same_bits() {
    let methods = methods();
    for expected in ["spai", "fsai", "mlp-fsai", "inverse", "filter", "ridge", "mlp-dense", "auto"]
    {
        assert!(methods.iter().any(|m| m == expected), "{expected} in {methods:?}");
    }
    for method in methods {
        // It has to choose one that stores a matrix.
        let more = match method.as_str() {
            "auto" => {
                "exclude = ['jacobi', 'gauss-seidel', 'ic', 'ilu', 'amg', 'reference', 'mlp-reference', 'multigrid']"
            }
            _ => "",
        };
        let folder = Folder::new(&format!("kept-{method}"));
        let (file, config) =
            (folder.path().join("m.safetensors"), config(&section(&method, more), ""));
        let set_up = with_file(&folder, &config, "--save-preconditioner", &file);
        assert_eq!(set_up.code, 0, "{method}: {}", set_up.err);
        let loaded = with_file(&folder, &config, "--load-preconditioner", &file);
        assert_eq!(loaded.code, 0, "{method}: {}", loaded.err);
        let (was, is) = (set_up.json(), loaded.json());
        let same =
            ["iterations", "relative_residual", "true_relative_residual", "preconditioner_nnz"];
        for key in same {
            assert_eq!(was[key], is[key], "{method}: {key}");
        }
        assert_eq!(is["loaded_from"], file.to_str().expect("UTF-8"), "{method}");
        assert!(was["loaded_from"].is_null());
        // The method of the file, where none is named.
        let bare = self::config("", "");
        let named = with_file(&folder, &bare, "--load-preconditioner", &file).json();
        assert_eq!(
            (&named["preconditioner"], &named["iterations"]),
            (&method.into(), &was["iterations"])
        );
    }
}

#[test]
fn the_output_says_where_the_preconditioner_comes_from() {
    let folder = Folder::new("kept-text");
    let file = folder.path().join("m.safetensors");
    let config = config(&section("spai", "power = 2"), "");
    let name = file.to_str().expect("UTF-8");
    let set_up = solve(&folder, &config, &["--save-preconditioner", name]);
    assert!(
        set_up.out.contains("spai (power 2)") && set_up.out.contains("; set up in "),
        "{}",
        set_up.out
    );
    let loaded = solve(&folder, &config, &["--load-preconditioner", name]);
    assert!(loaded.out.contains(&format!("; read from {name} in ")), "{}", loaded.out);
    // Other values of the same pattern are told.
    let other = self::config(&section("spai", "power = 2"), "seed = 11");
    let loaded = solve(&folder, &other, &["--load-preconditioner", name]);
    assert_eq!(loaded.code, 0, "{}", loaded.err);
    assert!(loaded.out.contains("A has other values than when it was saved"), "{}", loaded.out);
}

#[test]
fn what_does_not_belong_is_refused_and_both_are_named() {
    let folder = Folder::new("kept-refused");
    let file = folder.path().join("m.safetensors");
    let spai = config(&section("spai", ""), "");
    assert_eq!(with_file(&folder, &spai, "--save-preconditioner", &file).code, 0);
    let load = |config: &str| with_file(&folder, config, "--load-preconditioner", &file);
    let name = file.to_str().expect("UTF-8");
    load(&config(&section("fsai", ""), ""))
        .fails_with(&[name, "of the method 'spai', not of 'fsai'"]);
    let other = load(&config(&section("spai", "power = 2"), ""));
    other.fails_with(&[name, "saved with spai power = 1, 2 is asked for"]);
    // A default that is spelt out is no other parameter.
    assert_eq!(load(&config(&section("spai", "power = 1"), "")).code, 0);
    let larger = spai.replace("level = 3", "level = 4");
    load(&larger).fails_with(&[name, "saved for a matrix of 49 rows, this one has 225"]);
    // A solution is no preconditioner, and neither is half of one.
    let bytes = std::fs::read(&file).expect("written");
    let half = folder.path().join("half");
    std::fs::write(&half, &bytes[..bytes.len() / 2]).expect("written");
    with_file(&folder, &spai, "--load-preconditioner", &half)
        .fails_with(&["half: it is damaged, or no safetensors file"]);
    let mut flipped = bytes.clone();
    *flipped.last_mut().expect("bytes") ^= 0x10;
    std::fs::write(&half, &flipped).expect("written");
    with_file(&folder, &spai, "--load-preconditioner", &half).fails_with(&["half", "checksum"]);
    let missing = folder.path().join("missing");
    with_file(&folder, &spai, "--load-preconditioner", &missing).fails_with(&["missing: "]);
    let model =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins/mlp/models/mlp-fsai.safetensors");
    with_file(&folder, &spai, "--load-preconditioner", &model)
        .fails_with(&["mlp-fsai.safetensors: it is no saved preconditioner"]);
}

#[test]
fn what_cannot_be_saved_is_refused_before_it_is_set_up() {
    let folder = Folder::new("kept-unsupported");
    let file = folder.path().join("m.safetensors");
    let save = |config: &str| with_file(&folder, config, "--save-preconditioner", &file);
    save(&config(&section("ilu", ""), "")).fails_with(&["ilu offers no persist/1", "spai"]);
    save(&config("", "")).fails_with(&["no [preconditioner] to save"]);
    // A form of filter that stores no matrix.
    let int8 = section("filter", "method = 'spai'\nprecision = 'int8'");
    save(&config(&int8, "")).fails_with(&["--save-preconditioner: filter", "no explicitly stored"]);
    assert!(!file.exists(), "nothing was written");
    let spai = config(&section("spai", ""), "");
    let nowhere = folder.path().join("no/such/folder/m");
    with_file(&folder, &spai, "--save-preconditioner", &nowhere).fails_with(&["no/such/folder/m"]);
    let help = run(program().args(["solve", "--help"])).out;
    assert!(help.contains("--save-preconditioner") && help.contains("--load-preconditioner"));
}

#[test]
fn solvers_of_petsc_set_their_preconditioners_up_themselves() {
    let folder = Folder::new("kept-petsc");
    let config =
        config(&section("spai", ""), "").replace("[solver]", "[solver]\nbackend = 'petsc'");
    let (file, there) = (folder.path().join("m.safetensors"), "not with backend = 'petsc'");
    with_file(&folder, &config, "--save-preconditioner", &file).fails_with(&[there]);
}
