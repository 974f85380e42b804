//! Systems that follow each other, on several ranks.
use crate::support::Folder;
use crate::{json, precondor};
use serde_json::Value;

/// Every run's totals and how it came by M, system by system.
fn course(document: &Value) -> Vec<Value> {
    let tables = document["sections"][0]["tables"].as_array().expect("tables");
    let table = |id: &str| {
        let table = tables.iter().find(|table| table["id"] == id).expect(id);
        table["rows"].as_array().expect("rows").clone()
    };
    let counted = |row: &Value| {
        let keys = ["unsolved", "setups", "refreshes", "kept", "iterations"];
        keys.map(|key| row["values"][key].clone()).to_vec().into()
    };
    let setups = |row: &Value| {
        let systems = row["systems"].as_array().expect("systems").iter();
        systems.map(|s| serde_json::json!([s["setup"], s["iterations"]])).collect()
    };
    let (totals, solves) = (table("totals"), table("solves"));
    totals.iter().map(counted).chain(solves.iter().map(setups)).collect()
}

#[test]
fn counts_and_decisions_are_the_same_on_any_number_of_ranks() {
    let folder = Folder::new("mpi-sequence");
    for (kind, method) in [("heat", "fsai"), ("minimal-surface", "spai")] {
        let run = |reuse: &str| {
            format!(
                "[[run]]\nlabel = '{reuse}'\nreuse = '{reuse}'\npreconditioner = '{method}'\n\
                 solver = {{ method = 'gmres' }}\n"
            )
        };
        let runs = ["keep", "refresh", "adaptive"].map(run).concat();
        let text = format!(
            "warm_start = true\n[problem]\nkind = '{kind}'\nnodes = 15\nsamples = 12\nsequence = true\n{runs}"
        );
        let config = folder.file("sequence.toml", &text).display().to_string();
        let on = |ranks: usize| course(&json(&precondor(ranks, &["compare", &config, "--json"])));
        let one = on(1);
        let kept = one[2][3].as_u64().expect("a count");
        assert!(kept > 0 && kept < 11, "{kind}: decisions of both kinds: {:?}", one[2]);
        for ranks in 2..=3 {
            assert_eq!(on(ranks), one, "{kind} on {ranks} ranks");
        }
    }
}
