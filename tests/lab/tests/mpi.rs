//! What ranks of MPI say they sent, against formulas.
mod support;

use precondor_testkit::mpirun;
use precondor_testkit::program::{Folder, isolate, run};
use serde_json::Value;
use support::{lab, precondor};

/// An example of the program.
const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/nn-vs-spai.toml");

/// The example on small grids, compared on some ranks.
fn compared(ranks: usize) -> String {
    let mut command = mpirun::launcher(ranks);
    isolate(&mut command);
    command.arg(precondor()).arg("compare").arg(EXAMPLE);
    let job = mpirun::finish({
        command.args(["--set", "problem.levels=[4, 5]", "--json"]);
        command
    });
    assert_eq!(job.status, Some(0), "{job:?}");
    job.out
}

#[test]
fn what_ranks_send_is_what_was_predicted() {
    let folder = Folder::new("lab-mpi");
    for ranks in [2, 3, 4] {
        let runs = compared(ranks);
        let file = folder.file("runs.json", &runs);
        let ran = run(lab().arg("scaling").arg(file).arg("--json"));
        assert_eq!(ran.code, 0, "{}", ran.err);
        let document = ran.json();
        let sections = document["sections"].as_array().expect("sections");
        assert_eq!(sections.len(), 2);
        for section in sections {
            let rows = section["tables"][0]["rows"].as_array().expect("rows");
            assert_eq!(rows.len(), 18);
            for row in rows {
                let what = format!("{} of {} on {ranks} ranks", row["label"], section["title"]);
                let values = &row["values"];
                assert_eq!(values["application_agrees"], "yes", "{what}");
                assert_eq!(values["iterations_agree"], "yes", "{what}");
                assert_ne!(values["setup_agrees"], "NO", "{what}");
            }
        }
        if ranks == 2 {
            contradictions_are_told(&folder, &runs);
        }
    }
}

/// A byte more than predicted, on one rank.
fn contradictions_are_told(folder: &Folder, runs: &str) {
    let mut document: Value = serde_json::from_str(runs).expect("JSON");
    let row = &mut document["sections"][1]["tables"][0]["rows"][4];
    let label = row["label"].as_str().expect("a label").to_owned();
    let bytes = &mut row["systems"][0]["ranks"]["application"]["max"]["exchange"]["bytes"];
    *bytes = (bytes.as_u64().expect("a count") + 1).into();
    let file = folder.file("wrong.json", &document.to_string());
    let ran = run(lab().arg("scaling").arg(file));
    ran.fails_with(&[&format!("{label} on "), "sent something else than the formula"]);
    assert!(ran.out.contains("NO"), "{}", ran.out);
}
