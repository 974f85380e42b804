//! `scaling`: times on a cluster are reckoned, and said to be.
mod support;

use precondor_testkit::program::{Folder, Ran, isolated, run};
use serde_json::Value;
use std::path::{Path, PathBuf};
use support::{lab, precondor};

const SMALL: &str = "
title = 'Small'
[problem]
kind = 'poisson'
levels = [2, 3]
samples = 3
seed = 5
[solver]
method = 'cg'
[[run]]
label = 'Jacobi <b>'
preconditioner = 'jacobi'
[[run]]
label = 'CG'
[[run]]
preconditioner = { name = 'ilu', drop_tolerance = 0.01 }
solver = { method = 'gmres' }
";

/// What `precondor compare --json` says of a configuration.
fn compared(folder: &Folder, config: &str) -> PathBuf {
    let config = folder.file("compare.toml", config);
    let ran = run(isolated(&precondor()).arg("compare").arg(config).arg("--json"));
    assert_eq!(ran.code, 0, "{}", ran.err);
    folder.file("runs.json", &ran.out)
}

fn scaling(runs: &Path, args: &[&str]) -> Ran {
    run(lab().arg("scaling").arg(runs).args(args))
}

#[test]
fn times_on_a_cluster_are_reckoned_and_said_to_be() {
    let folder = Folder::new("lab-cluster");
    let report = folder.path().join("report");
    // 63² = 3969 unknowns have 27,281 entries: an iteration of CG without M takes
    // 2 · 27,281 + 12 · 3969 = 102,190 flops, which this machine does in a second.
    let cluster = folder.file(
        "cluster.toml",
        "name = 'The <machine>'\nlatency = 0.0\nbandwidth = 1.0\nflop_rate = 102190.0\nlevel = 6\nranks = 100\n",
    );
    let runs = compared(&folder, SMALL);
    let (cluster, to) = (cluster.to_str().unwrap(), report.to_str().unwrap());
    let ran = scaling(&runs, &["--cluster", cluster, "--json", "--report", to]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let document = ran.json();
    assert_eq!(document["scaling"]["n"], 3969);
    let curves = document["scaling"]["curves"].as_array().unwrap();
    let labels: Vec<&str> = curves.iter().map(|c| c["label"].as_str().unwrap()).collect();
    assert_eq!(labels, ["Jacobi <b>", "CG"]);
    let left_out = &document["scaling"]["left_out"][0];
    assert_eq!((&left_out[0], &left_out[1]), (&"ilu".into(), &"no formula".into()));
    let points = curves[1]["points"].as_array().unwrap();
    let ranks: Vec<u64> = points.iter().map(|p| p["ranks"].as_u64().unwrap()).collect();
    assert_eq!(ranks, [1, 2, 4, 8, 16, 32, 64, 100]);
    let seconds = |point: &Value| point["seconds"]["gathered"].as_f64().unwrap();
    let iterations = curves[1]["iterations"].as_f64().unwrap();
    assert_eq!(seconds(&points[0]), iterations.round());
    // Three reductions of 32 bytes from the other rank, and a row and a node of ghosts, a byte a second.
    assert_eq!(points[1]["reductions"].as_f64(), Some(3.0));
    assert_eq!(points[1]["messages"].as_f64(), Some(1.0));
    let ghosts = points[1]["bytes"].as_f64().unwrap();
    assert_eq!(ghosts, 8.0 * 64.0);
    let flops = points[1]["flops"].as_f64().unwrap() / 102_190.0;
    assert!((0.5..0.51).contains(&flops), "{flops}");
    let expected = iterations.round() * (flops + ghosts + 96.0);
    assert!((seconds(&points[1]) / expected - 1.0).abs() < 1e-12);
    // On one rank nothing was sent, and nothing is said to be as predicted.
    assert!(!ran.out.contains("predicted and counted"), "{}", ran.out);
    let page = std::fs::read_to_string(report.join("index.html")).unwrap();
    assert!(page.contains("A model, no measurement: 3969 unknowns on The &lt;machine&gt;"));
    assert!(page.contains("Reckoned, not measured") && !page.contains("<machine>"));
    let csv = std::fs::read_to_string(report.join("scaling.csv")).unwrap();
    assert_eq!(csv.lines().count(), 1 + 2 * 8);
    let ran = scaling(&runs, &["--cluster", cluster]);
    assert!(ran.out.contains("A model, no measurement") && ran.out.contains("Fastest with"));

    for (set, why) in [
        ("bandwidth=0", "0 must be greater than 0"),
        ("latency=-1", "-1 must be at least 0"),
        ("level=40", "40 must be at most 20"),
        ("speed=1", "'speed': there is no such key"),
    ] {
        scaling(&runs, &["--cluster", cluster, "--set", set]).fails_with(&[why]);
    }
    // The machine that the sources come with.
    let machine = concat!(env!("CARGO_MANIFEST_DIR"), "/archer2.toml");
    let ran = scaling(&runs, &["--cluster", machine, "--set", "ranks=10"]);
    assert!(ran.code == 0 && ran.out.contains("67092481 unknowns"), "{}{}", ran.out, ran.err);
}

#[test]
fn what_is_no_comparison_is_refused() {
    let folder = Folder::new("lab-no-comparison");
    let missing = folder.path().join("none.json");
    scaling(&missing, &[]).fails_with(&["none.json"]);
    for text in ["", "{}", "[1]", "{\"title\": 1}"] {
        let file = folder.file("other.json", text);
        scaling(&file, &[])
            .fails_with(&["other.json", "this is not what `precondor compare --json` prints"]);
    }
    // A row that is none.
    let mut document: Value =
        serde_json::from_slice(&std::fs::read(compared(&folder, SMALL)).unwrap()).unwrap();
    document["sections"][0]["tables"][0]["rows"][1]["solver"]["method"] = "cgg".into();
    let file = folder.file("other.json", &document.to_string());
    scaling(&file, &[]).fails_with(&["other.json", "cgg"]);
}
