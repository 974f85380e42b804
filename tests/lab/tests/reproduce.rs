//! `reproduce`: the paper's tables, with its values beside ours.
use precondor_testkit::program::{Folder, Ran, isolated, run};
use serde_json::Value;
use std::path::Path;

/// `precondor-lab reproduce ARGS…` with trained networks kept in `folder`.
fn reproduce(folder: &Folder, args: &[&str]) -> Ran {
    let models = folder.path().join("models");
    let lab = Path::new(env!("CARGO_BIN_EXE_precondor-lab"));
    run(isolated(lab).arg("reproduce").args(args).arg("--models").arg(models))
}

fn table<'a>(document: &'a Value, experiment: &str, id: &str) -> &'a Value {
    let experiments = document["sections"].as_array().expect("sections");
    let found = experiments.iter().find(|e| e["id"] == experiment).expect("the experiment");
    let tables = found["tables"].as_array().expect("tables");
    tables.iter().find(|t| t["id"] == id).unwrap_or_else(|| panic!("no table {id}"))
}

fn values<'a>(table: &'a Value, label: &str) -> &'a Value {
    let rows = table["rows"].as_array().expect("rows");
    let row = rows.iter().find(|row| row["label"] == label);
    &row.unwrap_or_else(|| panic!("no row {label} in {}", table["id"]))["values"]
}

#[test]
fn table_2_is_matched_exactly() {
    let folder = Folder::new("reproduce-table2");
    let ran = reproduce(&folder, &["table2", "--levels", "3-7", "--json"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let document = ran.json();
    let storage = table(&document, "table2", "storage");
    let known =
        [(3, 289, 180), (4, 1457, 868), (5, 6481, 3780), (6, 27281, 15748), (7, 111889, 64260)];
    for (level, sparse, bands) in known {
        let row = values(storage, &format!("level {level}"));
        let n = ((1u64 << level) - 1).pow(2);
        for (key, count) in [("dense", n * n), ("sparse", sparse), ("bands", bands)] {
            assert_eq!(row[key], count, "level {level}, {key}");
            assert_eq!(row[format!("paper_{key}")], count, "level {level}, {key}");
        }
        assert_eq!(row["exact"], "yes");
    }
    // A diagonal M has n numbers, SPAI-1 as many as A, and bytes follow.
    let level = table(&document, "table2", "level_4");
    assert_eq!(values(level, "Jacobi")["numbers"], 225);
    let spai = values(level, "SPAI-1");
    assert_eq!(
        (&spai["numbers"], &spai["f64"], &spai["bf16"]),
        (&1457.into(), &11656.0.into(), &2914.0.into())
    );
}

/// Levels 2 and 3 by the paper's rule, with few systems: counts known for twenty, and how far a few
/// may be off.
#[test]
fn table_1_has_known_counts_conditions_and_pictures() {
    let folder = Folder::new("reproduce-table1");
    let report = folder.path().join("report");
    let args =
        ["table1", "--levels", "2,3", "--matrices", "4", "--epochs", "1", "--json", "--report"];
    let ran = reproduce(&folder, &[&args[..], &[report.to_str().unwrap()]].concat());
    assert_eq!(ran.code, 0, "{}", ran.err);
    let document = ran.json();
    for key in ["title", "command", "provenance", "sections"] {
        assert!(!document[key].is_null(), "{key}");
    }
    let conditions = table(&document, "table1", "conditions");
    for (level, paper, known) in [(2, 5.9, 6.6), (3, 29.8, 29.0)] {
        let row = values(conditions, &format!("level {level}"));
        assert_eq!(row["paper"], paper);
        let found = row["condition"].as_f64().unwrap();
        assert!((found / known - 1.0).abs() < 0.2, "level {level}: {found}");
    }
    let overview = table(&document, "table1", "iterations");
    for (label, counts) in [("Jacobi 0.7", [60.0, 286.0]), ("Gauss–Seidel", [20.8, 99.5])] {
        for (level, known) in [2, 3].into_iter().zip(counts) {
            let found = values(overview, label)[format!("error_{level}")]["mean"].as_f64().unwrap();
            assert!((found / known - 1.0).abs() < 0.15, "{label}, level {level}: {found}");
        }
    }
    assert_eq!(values(overview, "Jacobi 0.7")["paper_3"], 273.0);
    assert_eq!(values(overview, "mlp-dense (plain), ω = 1")["paper_3"], 21.0);
    for level in [2, 3] {
        let details = table(&document, "table1", &format!("level_{level}"));
        for label in ["mlp-reference (spd)", "reference: sym. GS, P = I + ½E"] {
            let row = values(details, label);
            assert!(row["residual"]["mean"].as_f64().unwrap() <= 5.0, "{label}: {row}");
            assert!(row["krylov"]["mean"].as_f64().unwrap() <= 5.0, "{label}: {row}");
            let condition = row["condition"].as_f64().unwrap();
            assert!((1.0..1.3).contains(&condition), "{label}: {condition}");
            // The radius of I − MA is that of the spectrum's ends.
            let [min, max] = ["lambda_min", "lambda_max"].map(|key| row[key].as_f64().unwrap());
            let radius = (1.0 - min).abs().max((max - 1.0).abs());
            assert!((row["radius"].as_f64().unwrap() - radius).abs() < 1e-6, "{label}: {row}");
        }
        for label in ["mean inverse", "ridge", "mlp-dense (whitened)", "A0⁻¹, ω = 0.8"] {
            assert_eq!(values(details, label)["error"]["outcome"], "converged", "{label}");
        }
        // Gauss–Seidel is not symmetric: no conjugate gradients.
        assert_eq!(values(details, "Gauss–Seidel")["krylov"]["solver"], "gmres");
    }
    let page = std::fs::read_to_string(report.join("index.html")).unwrap();
    // Two rules on two levels.
    assert_eq!(page.matches("<svg ").count(), 4);
    assert!(page.contains("relative residual") && !page.contains("<script"));
    assert_eq!(page.matches("://").count(), page.matches("http://www.w3.org/2000/svg").count());
    // A second run finds the networks that the first one trained.
    let again = reproduce(&folder, &args[..args.len() - 1]);
    assert!(again.out.contains("kept from an earlier run"), "{}", again.out);
}

/// The thresholded exact inverse is the paper's, and the page shows where the entries are.
#[test]
fn table_4_drops_what_the_paper_drops() {
    let folder = Folder::new("reproduce-table4");
    let report = folder.path().join("report");
    let args =
        ["table4", "--levels", "2", "--matrices", "2", "--epochs", "1", "--json", "--report"];
    let ran = reproduce(&folder, &[&args[..], &[report.to_str().unwrap()]].concat());
    assert_eq!(ran.code, 0, "{}", ran.err);
    let document = ran.json();
    let thresholds = table(&document, "table4", "thresholds_level_2");
    let whole = values(thresholds, "inverse, ε = 0");
    assert_eq!((&whole["share"], &whole["error"]["max"]), (&1.0.into(), &1.into()));
    let share = |label: &str| values(thresholds, label)["share"].as_f64().unwrap();
    assert!(share("inverse, ε = 0.05") < share("inverse, ε = 0.02"));
    let precision = table(&document, "table4", "precision_level_2");
    let bytes = |label: &str| values(precision, label)["bytes"].as_f64().unwrap();
    assert!(bytes("exact inverse, int8") < bytes("exact inverse, bf16"));
    assert!(bytes("exact inverse, bf16") < bytes("exact inverse, f64"));
    let page = std::fs::read_to_string(report.join("index.html")).unwrap();
    for part in
        ["A⁻¹: 81 entries (100.0 %)", "M of inverse, ε = 0.02", "Eigenvalues of A and of MA"]
    {
        assert!(page.contains(part), "no '{part}'");
    }
}

#[test]
fn seeds_that_a_model_was_trained_with_are_refused() {
    let folder = Folder::new("reproduce-seeds");
    let args = ["table1", "--levels", "6", "--matrices", "1", "--seed", "1"];
    reproduce(&folder, &args).fails_with(&[
        "--seed 1",
        "the model 'spd' of mlp-reference was trained with this seed",
        "poisson correlation 0.3, level 4, shift 0.3",
    ]);
    // Networks that the command trains itself are no exception.
    let args = ["figure3", "--levels", "2", "--matrices", "1", "--seed", "1"];
    reproduce(&folder, &args).fails_with(&["--seed 1", "is trained with this seed"]);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let folder = Folder::new("reproduce-bad");
    for (args, why) in [
        (&["table5"][..], "invalid value 'table5'"),
        (
            &["table1", "--levels", "12"],
            "--levels: table1 has no level 12, only 2, 3, 4, 5, 6, 7, 8, 9",
        ),
        (&["table3", "--levels", "5"], "--levels: table3 has no level 5, only 2, 3, 4"),
        (&["table1", "--levels", "4-2"], "'4-2' is no range of levels"),
        (&["table1", "--levels", "two"], "'two' is no level; write 2-5,7"),
        (&["all", "--levels", "1"], "no experiment has any of these levels"),
        (&["table1", "--matrices", "0"], "0 is not in 1..=10000"),
        (&["table1", "--seed", "x"], "invalid value 'x' for '--seed <S>'"),
        (&["table2", "--report", "/dev/null"], "cannot make it"),
        (&["table2", "--plugin-path", "/nonexistent"], "/nonexistent: there is no such folder"),
    ] {
        reproduce(&folder, args).fails_with(&[why]);
    }
    let mut lab = isolated(Path::new(env!("CARGO_BIN_EXE_precondor-lab")));
    lab.args(["reproduce", "table2"]).env("PMI_SIZE", "2").env("PMI_RANK", "0");
    run(&mut lab).fails_with(&["the laboratory works on one rank: start it without mpirun"]);
}

/// With standard error in a file, as in a batch job.
#[test]
fn a_long_run_tells_how_far_it_is_and_what_it_leaves_where() {
    let folder = Folder::new("reproduce-told");
    let args = ["table1", "--levels", "3", "--epochs", "1", "--matrices", "1"];
    let ran = reproduce(&folder, &args);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.lines().any(|line| line.starts_with("training ")), "{}", ran.err);
    assert!(ran.err.lines().any(|line| line.contains(": step ")), "{}", ran.err);
    assert!(ran.err.lines().any(|line| line.starts_with("table1: ")), "{}", ran.err);
    let last = ran.err.lines().last().expect("a line");
    let models = folder.path().join("models");
    let count = std::fs::read_dir(&models).expect("models").count();
    let (there, many) = (format!("kept in {}", models.display()), format!("{count} files, "));
    assert!(last.contains(&there) && last.contains(&many), "{last}");
    let (_, remove) = last.split_once("to remove them: ").expect("a command");
    let status = std::process::Command::new("sh").args(["-c", remove]).status();
    assert!(status.expect("sh").success() && !models.exists(), "{remove}");
    assert_eq!(reproduce(&folder, &["table3", "--levels", "2", "--dry-run"]).code, 0);
    assert!(!models.exists());
    reproduce(&folder, &["table3", "--levels", "9", "--dry-run"]).fails_with(&["no level 9"]);
}
