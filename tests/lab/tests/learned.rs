//! `learned`: the small benchmark from end to end. Counts, files and sentences; never times.
mod support;

use precondor_testkit::program::{Folder, Ran, isolated, run};
use serde_json::Value;
use std::path::Path;
use support::{lab, precondor};

/// `precondor-lab learned ARGS…` with its report in `folder`.
fn learned(folder: &Folder, args: &[&str]) -> Ran {
    run(lab().arg("learned").args(args).arg("--report").arg(folder.path().join("report")))
}

/// The values of a method on a set.
fn values<'a>(document: &'a Value, set: &str, label: &str) -> &'a Value {
    let row = row(document, set, label);
    &row.unwrap_or_else(|| panic!("no {label} on {set}"))["values"]
}

fn row<'a>(document: &'a Value, set: &str, label: &str) -> Option<&'a Value> {
    let sections = document["sections"].as_array().expect("sections");
    let section = sections.iter().find(|section| section["id"] == set);
    let section = section.unwrap_or_else(|| panic!("no set {set}"));
    let rows = section["tables"][0]["rows"].as_array().expect("rows");
    rows.iter().find(|row| row["label"] == label)
}

fn mean(document: &Value, set: &str, label: &str) -> f64 {
    let mean = &values(document, set, label)["iterations"]["mean"];
    mean.as_f64().unwrap_or_else(|| panic!("{label} solved nothing on {set}"))
}

/// A system in a file of its own.
fn own_matrix(folder: &Folder) -> String {
    let path = folder.path().join("own.mtx");
    let made =
        run(isolated(&precondor()).args(["problem", "--set", "problem.level=4", "-o"]).arg(&path));
    assert_eq!(made.code, 0, "{}", made.err);
    folder.path().join("*.mtx").display().to_string()
}

#[test]
fn the_small_benchmark_has_every_set_and_method_with_their_counts() {
    let folder = Folder::new("lab-learned");
    let pattern = own_matrix(&folder);
    let more = "{ name = \"fsai\", power = 2 }";
    let args =
        ["--size", "small", "--train", "20", "--matrices", &pattern, "--method", more, "--json"];
    let ran = learned(&folder, &args);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let document = ran.json();
    let sets = ["random-spd", "contrast-32", "meshes", "grids", "files-0"];
    let told: Vec<&Value> = document["sets"].as_array().expect("sets").iter().collect();
    assert_eq!(told.iter().map(|set| set["name"].as_str().unwrap()).collect::<Vec<_>>(), sets);
    assert_eq!(
        told.iter().map(|set| set["systems"].as_u64().unwrap()).collect::<Vec<_>>(),
        [2, 2, 10, 4, 1]
    );
    for set in sets {
        for label in ["none", "Jacobi", "SSOR", "IC(0)", "FSAI", "FSAI, adaptive", "mlp-fsai", more]
        {
            assert!(row(&document, set, label).is_some(), "no {label} on {set}");
        }
        for label in ["AMG", "ILUT, BiCGStab", "SPAI-1, symmetrized"] {
            assert!(row(&document, set, label).is_some(), "no {label} on {set}");
        }
        // A larger pattern, and one that grows, need fewer iterations; the network starts from FSAI and is no worse by much.
        let [none, fsai, adaptive, square, network] =
            ["none", "FSAI", "FSAI, adaptive", more, "mlp-fsai"]
                .map(|label| mean(&document, set, label));
        assert!(
            adaptive < fsai && square < fsai && fsai < none,
            "{set}: {adaptive}, {square}, {fsai}, {none}"
        );
        assert!(network <= 1.1 * fsai, "{set}: {network} for {fsai}");
        // Without M an iteration is a product.
        let none = values(&document, set, "none");
        assert_eq!(none["failed"], 0, "{set}");
        let products = none["products"].as_f64().expect("counted");
        let iterations = none["iterations"]["mean"].as_f64().expect("counted");
        assert!((products / iterations - 1.0).abs() < 0.35, "{set}: {products} for {iterations}");
    }
    // What needs a grid is tried on grids alone; what was trained on the set, where there is something to train on.
    let there = |label: &str| sets.map(|set| row(&document, set, label).is_some());
    for label in ["reference", "mlp-reference"] {
        assert_eq!(there(label), [false, false, false, true, false], "{label}");
    }
    assert_eq!(there("mlp-fsai, trained on the set"), [true, true, true, true, false]);
    let trained = values(&document, "grids", "mlp-fsai, trained on the set");
    assert!(trained["training_seconds"].as_f64().expect("seconds") > 0.0);
    assert!(!trained["break_even"].is_null(), "{trained}");
    assert!(mean(&document, "grids", "mlp-reference") < 8.0);
    assert!(mean(&document, "grids", "AMG") < 15.0);
    // The distribution is the published one: IC(0) takes what they print, by their rule.
    let (ours, theirs) = (mean(&document, "contrast-32", "IC(0)"), 50.5);
    assert!((ours / theirs - 1.0).abs() < 0.08, "{ours} for {theirs}");
    let published = row(&document, "contrast-32", "ICt(1)").expect("what they print");
    assert_eq!(
        (&published["group"], &published["values"]["iterations"]),
        (&"published".into(), &30.4.into())
    );
    assert!(
        published["remarks"][0].as_str().unwrap().contains("benchmark_elliptic_datasets.ipynb")
    );
    assert!(document.to_string().contains("not relative, from a normal x"));

    // Who wins stands at the head, and is said again of every set.
    let head = document["notes"][0].as_str().expect("a sentence");
    assert!(
        head.starts_with(
            "In time, training left out, learned methods lose to the best classical one on "
        ),
        "{head}"
    );
    assert!(
        head.contains("In products with A learned methods lose to the best classical one on "),
        "{head}"
    );
    for set in &told {
        let name = set["name"].as_str().unwrap();
        let readings = document["sections"].as_array().unwrap().iter().find(|s| s["id"] == name);
        let readings = readings.unwrap()["tables"][0]["readings"].to_string();
        let wins = set["learned_wins"]["products"].as_bool().expect("known");
        let word = if wins { "products: the network wins" } else { "products: the network loses" };
        assert!(readings.contains(word), "{name}: {readings}");
    }

    let read =
        |name: &str| std::fs::read_to_string(folder.path().join("report").join(name)).expect(name);
    let page = read("index.html");
    // Three profiles of each set and over all.
    assert_eq!(page.matches("<svg ").count(), 3 * 6);
    assert!(page.contains("learned.csv") && page.contains("Performance profile of the products"));
    let csv = read("learned.csv");
    let (head, lines) = csv.split_once('\n').expect("lines");
    assert!(head.starts_with("set,label,group,failed,iterations,products,"), "{head}");
    // Ten methods and that of the command line; trained ones on four sets, two for grids on one; two published figures.
    assert_eq!(lines.lines().count(), 5 * 11 + 4 + 2 + 2);
    assert!(read("profile.csv").starts_with("set,measure,label,tau,share\n"));
    assert_eq!(
        serde_json::from_str::<Value>(&read("learned.json")).expect("JSON")["sets"],
        document["sets"]
    );

    // Gone on with, nothing is solved or trained again; the numbers are the same.
    let place = |name: &str| folder.path().join("report").join(name);
    let written =
        |name: &str| std::fs::metadata(place(name)).and_then(|m| m.modified()).expect("there");
    let files = ["meshes/found.json", "grids/model.safetensors"];
    let before = files.map(written);
    let again = learned(&folder, &[&args[..], &["--resume"]].concat());
    assert_eq!(again.code, 0, "{}", again.err);
    assert_eq!(before, files.map(written));
    assert_eq!(again.json()["sections"][1]["tables"], document["sections"][1]["tables"]);
    // Begun anew in another folder, the counts are.
    let other = Folder::new("lab-learned-again");
    let args = ["--size", "small", "--sets", "random-spd,contrast-32", "--json", "--systems", "1"];
    let [first, second] = [&folder, &other].map(|folder| learned(folder, &args).json());
    for set in ["random-spd", "contrast-32"] {
        for label in ["none", "IC(0)", "AMG", "mlp-fsai"] {
            assert_eq!(mean(&first, set, label), mean(&second, set, label), "{set}, {label}");
        }
    }
    assert!(first["sections"][1]["notes"].to_string().contains("Cut: 1 of 2 systems."));
}

/// What is written is a configuration of `compare` but for its methods, and its systems are those of the table.
#[test]
fn sets_are_written_as_files_for_others() {
    let folder = Folder::new("lab-learned-write");
    let sets = folder.path().join("sets");
    let small = ["--size", "small", "--systems", "1", "--sets", "contrast-32,meshes"];
    let ran = run(lab().arg("learned").args(small).arg("--write").arg(&sets));
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("meshes.toml: 5 systems"), "{}", ran.out);
    let table = learned(&folder, &[&small[..], &["--json"]].concat()).json();
    for (set, systems) in [("contrast-32", 1), ("meshes", 5)] {
        let path = sets.join(set).with_extension("toml");
        let list = std::fs::read_to_string(&path).expect("a list");
        let run_of = "\n[[run]]\nlabel = 'IC(0)'\npreconditioner = 'ic'\n";
        std::fs::write(&path, list + run_of).expect("written");
        let ran = run(isolated(&precondor()).arg("compare").arg(&path).arg("--json"));
        assert_eq!(ran.code, 0, "{}", ran.err);
        let document = ran.json();
        let sections = document["sections"].as_array().expect("sections").iter();
        let cases = sections.filter(|s| s["id"].as_str().is_some_and(|id| id.starts_with("case_")));
        let count = |case: &Value| {
            case["tables"][0]["rows"][0]["values"]["iterations"]["mean"].as_f64().expect("solved")
        };
        let counts: Vec<f64> = cases.map(count).collect();
        assert_eq!(counts.len(), systems, "{set}");
        let mean_of = counts.iter().sum::<f64>() / systems as f64;
        assert!((mean_of - mean(&table, set, "IC(0)")).abs() < 1e-12, "{set}: {counts:?}");
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let folder = Folder::new("lab-learned-bad");
    let sets = folder.path().join("sets");
    let write = |args: &[&str]| run(lab().arg("learned").args(args).arg("--write").arg(&sets));
    write(&["--sets", "files-0", "--matrices", "*.mtx"])
        .fails_with(&["--write: the set files-0 is files already; choose others with --sets"]);
    write(&["--train", "5"]).fails_with(&["cannot be used with"]);
    for (args, why) in [
        (&["--sets", "heat"][..], "--sets: there is no set 'heat', only random-spd, contrast-64, "),
        (
            &["--size", "small", "--sets", "contrast-64"],
            "only random-spd, contrast-32, meshes, grids",
        ),
        (&["--seed", "1"], "--seed 1: models are trained with this seed"),
        (&["--method", "fsia"], "fsia"),
        (&["--method", "{ power = 2 }"], "has no 'name'"),
        (&["--time-limit", "0"], "--time-limit: 0 is not a number of seconds above 0"),
        (&["--systems", "0"], "0 is not in 1..=1000"),
    ] {
        learned(&folder, args).fails_with(&[why]);
    }
    let small = ["--size", "small", "--sets", "random-spd"];
    learned(&folder, &[&small[..], &["--program", "/nonexistent/precondor"]].concat())
        .fails_with(&["/nonexistent/precondor"]);
    let dry = learned(&Folder::new("lab-learned-dry"), &["--dry-run"]);
    assert!(dry.code == 0 && dry.out.contains("nothing was done"), "{}{}", dry.out, dry.err);
    let nothing = ["--size", "small", "--sets", "files-0", "--matrices", "no-such-*.mtx"];
    learned(&folder, &nothing).fails_with(&["finds no file", "files-0 failed, as told above"]);
    // Another program than ours prints no comparison.
    let ran = learned(&folder, &[&small[..], &["--program", "/bin/true"]].concat());
    if Path::new("/bin/true").exists() {
        ran.fails_with(&["found.json", "this is no whole comparison"]);
    }
}
