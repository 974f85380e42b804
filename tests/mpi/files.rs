//! Systems that come from files.
use crate::support::Folder;
use crate::{json, precondor};
use std::fmt::Write;
use std::path::Path;

const N: usize = 40;

/// A tridiagonal matrix as Matrix Market, and the same in `parts` parts of hypre's IJ format.
fn system(folder: &Folder, parts: usize) {
    let entries = |i: usize| {
        let columns = (i.saturating_sub(1)..(i + 2).min(N)).map(move |j| (i, j));
        columns.map(|(i, j)| (i, j, if i == j { 2.0 + 0.01 * i as f64 } else { -1.0 }))
    };
    let mut text = String::new();
    (0..N).flat_map(entries).for_each(|(i, j, v)| {
        writeln!(text, "{} {} {v:?}", i + 1, j + 1).expect("a text");
    });
    let count = text.lines().count();
    let head = "%%MatrixMarket matrix coordinate real general";
    folder.file("A.mtx", &format!("{head}\n{N} {N} {count}\n{text}"));
    for k in 0..parts {
        let rows = k * N / parts..(k + 1) * N / parts;
        let ends = format!("{} {}", rows.start, rows.end - 1);
        let (mut a, mut b) = (format!("{ends} {ends}\n"), format!("{ends}\n"));
        for i in rows {
            entries(i).for_each(|(i, j, v)| writeln!(a, "{i} {j} {v:.14e}").expect("a text"));
            writeln!(b, "{i} {:.14e}", 1.0 + i as f64).expect("a text");
        }
        folder.file(&format!("A.IJ.{k:05}"), &a);
        folder.file(&format!("b.IJ.{k:05}"), &b);
    }
    let values: String = (0..N).map(|i| format!("{:?}\n", 1.0 + i as f64)).collect();
    folder.file("b.mtx", &format!("%%MatrixMarket matrix array real general\n{N} 1\n{values}"));
    let ones = "1\n".repeat(N);
    folder.file("x0.mtx", &format!("%%MatrixMarket matrix array real general\n{N} 1\n{ones}"));
}

fn config(folder: &Folder, kind: &str) -> String {
    let text = format!(
        "[problem]\nmatrix = 'A.{kind}'\nrhs = 'b.{kind}'\nx0 = 'x0.mtx'\n\
         [solver]\nmethod = 'cg'\ntolerance = 1e-9\n[preconditioner]\nname = 'jacobi'\n"
    );
    folder.file(&format!("{kind}.toml"), &text).display().to_string()
}

#[test]
fn matrix_market_and_hypre_files_give_the_same_solution_on_any_number_of_ranks() {
    let folder = Folder::new("mpi-files");
    system(&folder, 3);
    let mut solutions = Vec::new();
    for ranks in 1..=4 {
        for kind in ["mtx", "IJ"] {
            let x = folder.path().join(format!("{kind}-{ranks}.mtx")).display().to_string();
            let arguments = ["solve", &config(&folder, kind), "--save-solution", &x, "--json"];
            let got = json(&precondor(ranks, &arguments));
            assert_eq!((&got["n"], &got["ranks"]), (&N.into(), &ranks.into()));
            solutions.push(std::fs::read_to_string(x).expect("a solution"));
        }
    }
    // Written with 15 digits, as hypre does, values differ in their last bit from those of the other.
    let numbers = |text: &String| -> Vec<f64> {
        text.lines().skip(3).map(|line| line.parse().expect("a number")).collect()
    };
    let first = numbers(&solutions[0]);
    assert_eq!(first.len(), N);
    for other in &solutions {
        let close = first.iter().zip(numbers(other)).all(|(x, y)| (x - y).abs() < 1e-10 * x.abs());
        assert!(close, "{other}");
    }
}

#[test]
fn faults_of_files_end_all_ranks_with_the_place() {
    let folder = Folder::new("mpi-bad-files");
    let fails = |kind: &str, file: &str, damage: &dyn Fn(&Path), why: &str| {
        system(&folder, 3);
        damage(&folder.path().join(file));
        for ranks in [2, 3] {
            let job = precondor(ranks, &["solve", &config(&folder, kind)]);
            crate::fails_with(&job, why);
        }
    };
    let replace = |from: &'static str, to: &'static str| {
        move |path: &Path| {
            let text = std::fs::read_to_string(path).expect("a text");
            assert!(text.contains(from), "{text}");
            std::fs::write(path, text.replacen(from, to, 1)).expect("written");
        }
    };
    let remove = |path: &Path| std::fs::remove_file(path).expect("removed");
    fails("mtx", "A.mtx", &replace("\n5 5 ", "\n5 41 "), "A.mtx:15: column 41 is not within 1..40");
    fails(
        "mtx",
        "b.mtx",
        &replace("\n40 1\n", "\n39 1\n"),
        "b.mtx: this right-hand side has 39 entries, the matrix 40",
    );
    fails("IJ", "A.IJ.00001", &remove, "A.IJ.00001: there is no such file");
    fails("IJ", "A.IJ.00002", &replace("\n30 30 ", "\n3 30 "), "A.IJ.00002:");
    fails("IJ", "b.IJ.00000", &remove, "b.IJ");
}

/// Rank 0 looks at the places of files for all, before the matrix is read.
#[test]
fn files_that_cannot_be_written_are_refused_on_all_ranks_before_the_work() {
    let folder = Folder::new("mpi-unwritable");
    let config = folder.file("a.toml", "[problem]\nmatrix = 'no-such.mtx'\n[[run]]\n");
    let config = config.display().to_string();
    let solve = folder.file("b.toml", "[problem]\nmatrix = 'no-such.mtx'\n").display().to_string();
    let none = "its folder is not there: make it first";
    for (words, why) in [
        (["solve", &solve, "--save-solution", "/no/such/x.mtx"], none),
        (["solve", &solve, "--save-solution", "/no/such/x.petsc"], none),
        (["compare", &config, "--report", "/dev/null/report"], "cannot make it"),
    ] {
        crate::fails_with(&precondor(2, &words), why);
    }
}
