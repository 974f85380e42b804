//! What ranks say they sent, against counts made by hand.
use crate::support::Folder;
use crate::{example, json, precondor};
use serde_json::Value;

fn rows(document: &Value, case: usize) -> &Vec<Value> {
    document["sections"][case]["tables"][0]["rows"].as_array().expect("rows")
}

fn row<'a>(document: &'a Value, case: usize, label: &str) -> &'a Value {
    let row = rows(document, case).iter().find(|row| row["label"] == label);
    row.unwrap_or_else(|| panic!("no row {label}"))
}

#[test]
fn what_ranks_send_is_counted_and_iterations_stay_the_same() {
    let alone = json(&precondor(1, &small()));
    for ranks in [2, 3, 4] {
        let document = json(&precondor(ranks, &small()));
        assert_eq!(document["provenance"]["ranks"], ranks);
        for case in 0..2 {
            for row in rows(&document, case) {
                let peak = row["systems"][0]["ranks"]["peak_bytes"].as_u64();
                assert!(peak.is_none_or(|peak| peak > 1 << 20), "{}: {peak:?}", row["label"]);
            }
            // The same operator on any number of ranks, and so the same count.
            for label in ["SPAI-1, GMRES", "FSAI, CG", "mlp-fsai, CG", "mlp-reference, CG"] {
                let of = |document| &row(document, case, label)["values"]["iterations"]["max"];
                assert_eq!(of(&document), of(&alone), "{label} in case {case} on {ranks} ranks");
            }
        }
        if ranks == 3 {
            // Level 4: 15 rows of 15 nodes, five for each rank. The middle one sends a row to either
            // side, and in every iteration of CG three reductions take four numbers from each.
            let row = row(&document, 0, "SPAI-1 symmetrized, CG");
            let sent = &row["systems"][0]["ranks"];
            let exchange = |extent: &str| &sent["application"][extent]["exchange"];
            assert_eq!(exchange("max")["messages"], 2);
            assert_eq!(exchange("max")["bytes"], 2 * 8 * 15);
            assert_eq!(
                (&exchange("sum")["messages"], &exchange("sum")["bytes"]),
                (&4.into(), &480.into())
            );
            let count = row["values"]["iterations"]["max"].as_u64().expect("a count");
            assert_eq!(sent["iterations"]["max"]["gather"]["calls"].as_u64(), Some(3 * count));
            assert_eq!(sent["iterations"]["max"]["gather"]["bytes"].as_u64(), Some(3 * 32 * count));
        }
    }
    assert!(row(&alone, 0, "FSAI, CG")["systems"][0].get("ranks").is_none());
}

/// The example on small grids.
fn small() -> Vec<String> {
    let config = example("nn-vs-spai.toml");
    ["compare", &config, "--set", "problem.levels=[4, 5]", "--json"].map(str::to_owned).into()
}

#[test]
fn the_report_of_several_ranks_tells_what_they_sent() {
    let folder = Folder::new("mpi-traffic");
    let config = folder.file(
        "compare.toml",
        "[problem]\nkind = 'poisson'\nlevel = 3\n[solver]\nmethod = 'cg'\n\
         [[run]]\nlabel = 'FSAI <b>'\npreconditioner = 'fsai'\n[[run]]\npreconditioner = 'jacobi'\n",
    );
    let report = folder.path().join("report");
    let (config, to) = (config.display().to_string(), report.display().to_string());
    let job = precondor(2, &["compare", &config, "--report", &to]);
    assert_eq!(job.status, Some(0), "{job:?}");
    assert!(
        job.out.contains("What ranks sent and held") && job.out.contains("Run on 2 ranks"),
        "{job:?}"
    );
    let page = std::fs::read_to_string(report.join("index.html")).expect("a page");
    assert!(
        page.contains("What ranks sent and held")
            && page.contains("traffic.csv")
            && !page.contains("FSAI <b>")
    );
    let traffic = std::fs::read_to_string(report.join("traffic.csv")).expect("a table");
    // Two methods, four parts of a solve, four kinds of operation.
    assert_eq!(traffic.lines().count(), 1 + 2 * 4 * 4);
    // 7 rows of 7 nodes on two ranks: 25 and 24 nodes, so eight nodes on either side of the cut; G needs
    // those below, its transpose those above.
    let line = "level 3,0,FSAI <b>,2,application,exchange,2,1,64,4,2,128";
    assert!(traffic.lines().any(|l| l == line), "{traffic}");
    // Matrices without a grid are counted, too.
    let matrix = "%%MatrixMarket matrix coordinate real general\n2 2 2\n1 1 2.0\n2 2 3.0\n";
    let matrix = folder.file("a.mtx", matrix).display().to_string();
    let set = format!("problem={{ matrix = '{matrix}' }}");
    let job = precondor(2, &["compare", &config, "--set", &set]);
    assert!(job.status == Some(0) && job.out.contains("What ranks sent and held"), "{job:?}");
}
