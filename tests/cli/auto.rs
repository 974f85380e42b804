//! `auto` on matrices that its forest was not trained on: the next choice where one fails, and a word
//! where nothing can work.
use crate::support::{Folder, Ran, program, run};
use serde_json::Value;

/// A Matrix Market file of these entries.
fn matrix(folder: &Folder, n: usize, entries: &[(usize, usize, f64)]) {
    let mut text =
        format!("%%MatrixMarket matrix coordinate real general\n{n} {n} {}\n", entries.len());
    for (i, j, v) in entries {
        text += &format!("{} {} {v:e}\n", i + 1, j + 1);
    }
    folder.file("A.mtx", &text);
}

fn solve(folder: &Folder, more: &[&str]) -> Ran {
    let config = folder.file(
        "config.toml",
        "[problem]\nmatrix = 'A.mtx'\n[solver]\ntolerance = 1e-8\n[preconditioner]\nname = 'auto'\n",
    );
    run(program().arg("solve").arg(config).arg("--json").args(more))
}

/// The result of a solve that converged.
fn converged(ran: &Ran) -> Value {
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    let result = ran.json();
    assert!(result["true_relative_residual"].as_f64().expect("a number") <= 1.1e-8, "{result}");
    result
}

/// The five-point Laplacian of `m` by `m` nodes, less `shift` on the diagonal.
fn shifted_laplacian(m: usize, shift: f64) -> Vec<(usize, usize, f64)> {
    let mut entries = vec![];
    for i in 0..m * m {
        entries.push((i, i, 4.0 - shift));
        if i % m + 1 < m {
            entries.extend([(i, i + 1, -1.0), (i + 1, i, -1.0)]);
        }
        if i + m < m * m {
            entries.extend([(i, i + m, -1.0), (i + m, i, -1.0)]);
        }
    }
    entries
}

#[test]
fn where_a_shows_that_it_is_not_definite_the_next_choice_is_another_method_that_works() {
    let folder = Folder::new("auto-indefinite");
    // A positive diagonal and a third of the spectrum below zero.
    matrix(&folder, 900, &shifted_laplacian(30, 2.7));
    let result = converged(&solve(&folder, &[]));
    let switches = result["fallback"].as_array().expect("a list");
    assert!(!switches.is_empty(), "{result}");
    let chosen: Vec<&str> = switches
        .iter()
        .filter_map(|s| s["to"].as_str()?.split_once(" with ")?.1.strip_suffix(", chosen by auto"))
        .collect();
    let first = result["notes"][0].as_str().expect("a note").strip_prefix("chosen: ");
    let mut all: Vec<&str> = first.into_iter().chain(chosen.iter().copied()).collect();
    let tried = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), tried, "nothing that failed is chosen again: {result}");
    // What the forest thinks of, once, and then what takes any matrix.
    assert!(chosen.iter().position(|name| *name == "ilu").is_some_and(|k| k < 2), "{result}");
}

#[test]
fn a_large_problem_of_convection_stays_with_what_was_chosen() {
    let folder = Folder::new("auto-convection");
    // Larger than in the training; M in single precision promises GMRES more than it keeps, a restart mends it.
    let config = folder.file(
        "config.toml",
        "[problem]\nkind = 'convection'\nnodes = 400\n[solver]\nmethod = 'gmres'\ntolerance = 1e-8\n\
         [preconditioner]\nname = 'auto'\n",
    );
    let result = converged(&run(program().arg("solve").arg(config).arg("--json")));
    assert_eq!(result["notes"][0], "chosen: amg", "{result}");
    assert!(result["fallback"].as_array().is_none_or(Vec::is_empty), "{result}");
    assert!(result["iterations"].as_u64().is_some_and(|n| n < 60), "{result}");
}

#[test]
fn what_the_forest_has_not_seen_goes_to_what_takes_any_matrix() {
    let folder = Folder::new("auto-foreign");
    // A cyclic shift and a little more: nothing on the diagonal.
    let n = 60;
    let cycle = (0..n).map(|i| (i, (i + 1) % n, 2.0));
    let more = (0..n).map(|i| (i, (i + 7) % n, -0.5));
    matrix(&folder, n, &cycle.chain(more).collect::<Vec<_>>());
    let result = converged(&solve(&folder, &[]));
    assert_eq!(result["notes"][0], "chosen: ilu", "{result}");
    // A saddle point with a zero block.
    let (n, m) = (40, 12);
    let mut entries = vec![];
    for i in 0..n {
        entries.push((i, i, 2.0 + i as f64 / n as f64));
    }
    for k in 0..m {
        for i in [3 * k, 3 * k + 1, 3 * k + 4] {
            let v = 1.0 / (1.0 + i as f64);
            entries.extend([(i, n + k, v), (n + k, i, v)]);
        }
    }
    matrix(&folder, n + m, &entries);
    converged(&solve(&folder, &[]));
    // Excluded, the next one does it.
    let exclude = ["--set", "preconditioner.exclude=['ilu']"];
    let result = converged(&solve(&folder, &exclude));
    assert_ne!(result["notes"][0], "chosen: ilu", "{result}");
}

#[test]
fn a_structurally_singular_matrix_is_called_so() {
    let folder = Folder::new("auto-singular");
    // Rows 3 and 4 have their only entries in one column.
    let mut entries = shifted_laplacian(5, 0.0);
    entries.retain(|&(i, ..)| i != 3 && i != 4);
    entries.extend([(3, 9, 1.0), (4, 9, 2.0)]);
    matrix(&folder, 25, &entries);
    let ran = solve(&folder, &["--set", "solver.max_iterations=500"]);
    assert_ne!(ran.code, 0, "{}", ran.out);
    assert!(
        format!("{}{}", ran.out, ran.err).contains("structurally singular"),
        "{}{}",
        ran.out,
        ran.err
    );
}
