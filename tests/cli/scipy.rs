//! Files that NumPy and SciPy wrote (`scripts/scipy-files.py`), and those of Harwell and Boeing: what is in them, what is
//! wrong with others, solves with them.
use crate::support::{Folder, precondor, solve};
use precondor::core::Result;
use precondor::core::comm::{Comm, threads};
use precondor::core::matrix::DistCsr;
use precondor::core::matrix::io::{boeing, matrix_market, numpy, scipy};
use precondor_testkit::matrices::dense_of;
use std::path::{Path, PathBuf};

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(name)
}

/// The rows that each of two ranks has, one after the other.
fn on_two(read: impl Fn(&Comm) -> Result<DistCsr> + Sync) -> Vec<Vec<f64>> {
    let parts = threads::run(2, |backend| {
        let a = read(&Comm::new(backend)).expect("read");
        let mut rows = vec![vec![0.0; a.n_global() as usize]; a.n_own()];
        for (i, row) in rows.iter_mut().enumerate() {
            a.global_entries(i).for_each(|(j, v)| row[j as usize] = v);
        }
        rows
    });
    parts.concat()
}

#[test]
fn matrices_of_scipy_are_those_that_it_wrote_as_text() {
    let known = matrix_market::read(&corpus("matrix-market/scipy")).expect("SciPy's own text");
    for name in ["csr", "csc", "bsr", "coo", "dia", "stored"] {
        let path = corpus(&format!("npz/{name}.npz"));
        let mut notes = Vec::new();
        let a = scipy::read_noting(&path, &mut notes).expect(name);
        let (mut expected, found) = (dense_of(&known), dense_of(&a));
        if name == "stored" {
            // A third, rounded to f32 before it was written.
            expected[3][3] = f64::from(1.0f32 / 3.0);
            expected[2][2] = f64::from(1e-3f32);
        }
        assert_eq!(found, expected, "{name}");
        let told = (name == "coo").then(|| {
            "8 entries stand at the place of an earlier one and were added to it".to_owned()
        });
        assert_eq!(notes, Vec::from_iter(told), "{name}");
        assert_eq!(
            on_two(|comm| scipy::read_on_ranks(&path, comm, &mut Vec::new())),
            expected,
            "{name}"
        );
        assert_eq!(scipy::extents(&path), Ok((4, 4)));
    }
    let folder = Folder::new("scipy-written");
    let path = folder.path().join("A.npz");
    scipy::write(&path, &known).expect("written");
    let again = scipy::read_noting(&path, &mut Vec::new()).expect("read");
    assert_eq!((again.view().cols, again.view().values), (known.view().cols, known.view().values));
}

#[test]
fn arrays_of_numpy_are_columns() {
    let columns = vec![vec![1.0, 0.5, 2.0, -1.0], vec![-2.0, 3.0, 0.25, 7.0]];
    for (name, expected) in [
        ("columns", columns.clone()),
        ("fortran", columns.clone()),
        ("big", vec![columns[0].clone()]),
        ("integers", vec![vec![1.0, -2.0, 300.0]]),
        ("booleans", vec![vec![1.0, 0.0, 1.0]]),
    ] {
        assert_eq!(
            numpy::read_columns(&corpus(&format!("npy/{name}.npy"))),
            Ok(expected),
            "{name}"
        );
    }
    let a = numpy::read_matrix(&corpus("npy/fortran.npy"), &mut Vec::new()).expect("a matrix");
    assert_eq!(dense_of(&a), [[1.0, -2.0], [0.5, 3.0], [2.0, 0.25], [-1.0, 7.0]]);
    let folder = Folder::new("numpy-written");
    let path = folder.path().join("x.npy");
    numpy::write_rows(&path, 2, &[1.0, -2.0, 0.5, 3.0, 2.0, 0.25, -1.0, 7.0]).expect("written");
    assert_eq!(numpy::read_columns(&path), Ok(columns));
    // As NumPy wrote it, byte for byte, but for blanks.
    let bytes = |path: &Path| std::fs::read(path).expect("there");
    let of_numpy = bytes(&corpus("npy/columns.npy"));
    let ours = bytes(&path);
    assert_eq!(ours[ours.len() - 64..], of_numpy[of_numpy.len() - 64..]);
    assert_eq!(ours.len(), of_numpy.len());
}

#[test]
fn files_of_harwell_and_boeing_are_read_in_their_columns() {
    let read =
        |name: &str| dense_of(&boeing::read_noting(&corpus(name), &mut Vec::new()).expect(name));
    let known = matrix_market::read(&corpus("matrix-market/scipy")).expect("SciPy's own text");
    assert_eq!(read("boeing/scipy.rua"), dense_of(&known));
    let symmetric = [[4.0, -1.0, 0.0], [-1.0, 4.0, -1.5], [0.0, -1.5, 4.0]];
    assert_eq!(read("boeing/symmetric.rsa"), symmetric);
    let path = corpus("boeing/symmetric.rsa");
    assert_eq!(on_two(|comm| boeing::read_on_ranks(&path, comm, &mut Vec::new())), symmetric);
    assert_eq!(
        boeing::right_hand_sides(&path),
        Ok(vec![vec![1.0, 2.0, 3.0], vec![0.5, -1.0, 2.5]])
    );
    assert_eq!(boeing::right_hand_sides(&corpus("boeing/scipy.rua")), Ok(vec![]));
    assert_eq!(read("boeing/pattern.rb"), [[0.0, 0.0, 1.0], [1.0, 0.0, 1.0]]);
    assert_eq!(read("boeing/skew.rza"), [[0.0, -2.5, 0.15], [2.5, 0.0, 0.0], [-0.15, 0.0, 0.0]]);
}

/// What a changed file of Harwell and Boeing is refused with.
fn refused(folder: &Folder, text: &str) -> String {
    let path = folder.file("A.rsa", text);
    match boeing::read_noting(&path, &mut Vec::new()) {
        Ok(_) => panic!("taken: {text}"),
        Err(e) => e.to_string(),
    }
}

#[test]
fn what_is_wrong_with_a_file_of_harwell_and_boeing_is_told_with_its_line() {
    let folder = Folder::new("boeing-faults");
    let whole = std::fs::read_to_string(corpus("boeing/symmetric.rsa")).expect("there");
    for (from, to, why) in [
        ("RSA", "CSA", "A.rsa:3: the matrix is complex (CSA); only real ones are read"),
        (
            "RSA",
            "RSE",
            "A.rsa:3: the matrix is given by its elements (RSE); only assembled ones are read",
        ),
        ("RSA", "QSA", "A.rsa:3: the values are in another file (QSA), which is not read"),
        ("RSA", "RXA", "A.rsa:3: 'RXA' is no type of a matrix"),
        (
            "           3             3             5",
            "           3             4             5",
            "3×4 can't be symmetric",
        ),
        (
            "             5             0",
            "       5000000             0",
            "A.rsa:3: 5000003 columns and entries have no room in this file",
        ),
        (
            "             3             3             5",
            "      90000000      90000000             5",
            "have no room in this file",
        ),
        ("(4I2)", "(4A2)", "A.rsa:4: '(4A2)' is no format that numbers are read by"),
        ("(3F8.3)  ", "(3F8.3   ", "A.rsa:4: the format of the right-hand sides is missing"),
        (
            "F             ",
            "M             ",
            "A.rsa:5: right-hand sides of the kind 'M': only full ones (F) are read",
        ),
        (" 1 3 5 6", " 2 3 5 6", "A.rsa:6: the first pointer is 2, not 1"),
        (" 1 3 5 6", " 1 3 2 6", "A.rsa:6: the pointer 2 is not within 3..6"),
        (" 1 3 5 6", " 1 3 5 9", "A.rsa:6: the pointer 9 is not within 5..6"),
        (" 1 3 5 6", " 1 3 5 5", "A.rsa:6: the last pointer is 5, for 5 entries it must be 6"),
        (" 1 3 5 6", " 1 3", "A.rsa:6: number 3 of 4 is missing in this line"),
        (" 1 3 5 6", " 1 3 x 6", "A.rsa:6: 'x' is no number of digits"),
        (" 1 2 2 3 3", " 1 2 2 3 4", "A.rsa:7: row 4 is not within 1..3"),
        (" 1 2 2 3 3", " 0 2 2 3 3", "A.rsa:7: row 0 is not within 1..3"),
        ("-1.5000D+00", "-1.5000D+0x", "A.rsa:9: ' -1.5000D+0x' is not a number"),
        ("-1.5000D+00", "-1.500D+999", "A.rsa:9: ' -1.500D+999' is not finite"),
    ] {
        assert_eq!(whole.matches(from).count().min(1), 1, "{from}");
        let why_not = refused(&folder, &whole.replacen(from, to, 1));
        assert!(why_not.contains(why), "{to}: {why_not}");
    }
    for (lines, why) in [
        (3, "the file ends before its formats"),
        (5, "ends before its row numbers"),
        (6, "ends before its values"),
        (8, "ends within its values"),
    ] {
        let cut: String = whole.lines().take(lines).map(|line| format!("{line}\n")).collect();
        let why_not = refused(&folder, &cut);
        assert!(why_not.contains(why), "{lines} lines: {why_not}");
    }
    let skew = std::fs::read_to_string(corpus("boeing/skew.rza")).expect("there");
    assert!(
        refused(&folder, &skew.replace("\n23\n", "\n13\n"))
            .contains("a skew-symmetric matrix has no diagonal entries")
    );
}

#[test]
fn what_is_wrong_with_an_archive_is_told_with_its_array() {
    let folder = Folder::new("npz-faults");
    let whole = std::fs::read(corpus("npz/stored.npz")).expect("there");
    let refused = |bytes: &[u8]| {
        let path = folder.path().join("A.npz");
        std::fs::write(&path, bytes).expect("written");
        scipy::read_noting(&path, &mut Vec::new()).expect_err("refused").to_string()
    };
    let cut = refused(&whole[..whole.len() - 30]);
    assert!(cut.contains("A.npz: the archive is damaged or cut short"), "{cut}");
    // A value changed behind the back of its checksum.
    let at = whole.windows(8).position(|window| window == 4.0f64.to_le_bytes()).expect("a four");
    let mut damaged = whole.clone();
    damaged[at] ^= 1;
    let told = refused(&damaged);
    assert!(
        told.contains("'data': number 7: the checksum is another one: the file is damaged"),
        "{told}"
    );
    let renamed = |from: &str, to: &str| {
        let mut bytes = whole.clone();
        let places: Vec<usize> = (0..bytes.len() - from.len())
            .filter(|&k| bytes[k..].starts_with(from.as_bytes()))
            .collect();
        places.iter().for_each(|&k| bytes[k..k + to.len()].copy_from_slice(to.as_bytes()));
        refused(&bytes)
    };
    let told = renamed("indptr.npy", "indptx.npy");
    assert!(
        told.contains("no 'indptr' among its arrays (data, format, indices, indptx, shape)"),
        "{told}"
    );
    let told = renamed("'descr': '<f8'", "'descr': '|O8'");
    assert!(
        told.contains("'data': an array of Python objects, which are programs and are not run"),
        "{told}"
    );
    let told = renamed("(8,)", "(9,)");
    assert!(told.contains("an array of the shape [9]") && told.contains("takes"), "{told}");
    let told = renamed("csr", "xyz");
    assert!(
        told.contains("'format': \"xyz\" is not read; csr, csc, bsr, coo and dia are"),
        "{told}"
    );
}

#[test]
fn what_is_wrong_with_an_array_is_told_with_its_number() {
    let folder = Folder::new("npy-faults");
    let whole = std::fs::read(corpus("npy/columns.npy")).expect("there");
    let refused = |bytes: &[u8]| {
        let path = folder.path().join("x.npy");
        std::fs::write(&path, bytes).expect("written");
        numpy::read_columns(&path).expect_err("refused").to_string()
    };
    let short = refused(&whole[..whole.len() - 8]);
    assert!(short.contains("x.npy: an array of the shape [4, 2] and 8 bytes a number takes 192 bytes with its header; there are 184"), "{short}");
    let mut infinite = whole.clone();
    let at = whole.len() - 8;
    infinite[at..].copy_from_slice(&f64::INFINITY.to_le_bytes());
    assert!(refused(&infinite).contains("number 7: inf is not finite"));
    assert!(refused(&whole[..50]).contains("the file ends within its header"));
    let mut version = whole.clone();
    version[6] = 9;
    assert!(refused(&version).contains("version 9 of NumPy's format is not known"));
}

const CG: &str = "[solver]\nmethod = 'cg'\ntolerance = 1e-10\n[preconditioner]\nname = 'jacobi'\n";

#[test]
fn a_system_in_files_of_scipy_is_solved_and_its_solution_is_an_array() {
    let folder = Folder::new("scipy-solve");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let made = precondor([
        "problem",
        "--set",
        "problem.level=3",
        "-o",
        &path("A.npz"),
        "--rhs",
        &path("b.npy"),
    ]);
    assert_eq!(made.code, 0, "{}", made.err);
    let config = format!("[problem]\nmatrix = 'A.npz'\nrhs = 'b.npy'\n{CG}");
    let ran = solve(&folder, &config, &["--json", "--save-solution", &path("x.npy")]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let a = scipy::read_noting(Path::new(&path("A.npz")), &mut Vec::new()).expect("A");
    let x = numpy::read_columns(Path::new(&path("x.npy"))).expect("x").remove(0);
    let b = numpy::read_columns(Path::new(&path("b.npy"))).expect("b").remove(0);
    let residual =
        (0..a.n_rows()).map(|i| (a.view().row(i).map(|(j, v)| v * x[j]).sum::<f64>() - b[i]).abs());
    assert!(residual.fold(0.0, f64::max) < 1e-9);
    // The name says the format, and some take no vectors.
    let wrong = solve(&folder, &config, &["--save-solution", &path("x.npz")]);
    wrong.fails_with(&["vectors are not written as *.npz"]);
    let swapped = config.replace("b.npy", "A.npz");
    solve(&folder, &swapped, &[])
        .fails_with(&["A.npz: this is a file of a matrix, no right-hand side"]);
    // A random right-hand side is the same on every run, and another one than ones.
    let random = config.replace("'b.npy'", "'random'");
    let its =
        |config: &str| solve(&folder, config, &["--json"]).json()["true_relative_residual"].clone();
    assert_eq!(its(&random), its(&random));
    assert_ne!(its(&random), its(&config.replace("'b.npy'", "'ones'")));
}

#[test]
fn several_right_hand_sides_are_solved_with_one_preconditioner() {
    let folder = Folder::new("columns");
    let path = |name: &str| folder.path().join(name).display().to_string();
    folder.file("A.rsa", &std::fs::read_to_string(corpus("boeing/symmetric.rsa")).expect("there"));
    // Those behind the matrix.
    let config = format!("[problem]\nmatrix = 'A.rsa'\n{CG}");
    let ran = solve(&folder, &config, &["--json", "--save-solution", &path("x.npy")]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let told = ran.json();
    assert_eq!(told["columns"].as_array().map(Vec::len), Some(2));
    assert_eq!(told["converged"], true);
    let x = numpy::read_columns(Path::new(&path("x.npy"))).expect("x");
    for (x, b) in x.iter().zip([[1.0, 2.0, 3.0], [0.5, -1.0, 2.5]]) {
        let a = [[4.0, -1.0, 0.0], [-1.0, 4.0, -1.5], [0.0, -1.5, 4.0]];
        for (row, b) in a.iter().zip(b) {
            let sum: f64 = row.iter().zip(x).map(|(a, x)| a * x).sum();
            assert!((sum - b).abs() < 1e-8, "{x:?}");
        }
    }
    let text = solve(&folder, &config, &[]);
    assert!(
        text.out.contains("2 right-hand sides") && text.out.contains("| 1 | converged |"),
        "{}",
        text.out
    );
    // Columns of a file of text; each counts as it would alone.
    folder.file("B.mtx", "%%MatrixMarket matrix array real general\n3 2\n1\n2\n3\n0.5\n-1\n2.5\n");
    let of_text = config.replace("'A.rsa'", "'A.rsa'\nrhs = 'B.mtx'");
    let two = solve(&folder, &of_text, &["--json", "--save-solution", &path("x.mtx")]).json();
    assert_eq!(two["columns"][1]["iterations"], told["columns"][1]["iterations"]);
    let header = std::fs::read_to_string(path("x.mtx")).expect("x");
    assert!(header.contains("\n3 2\n"), "{header}");
    folder.file("b.mtx", "%%MatrixMarket matrix array real general\n3 1\n0.5\n-1\n2.5\n");
    let alone = solve(&folder, &of_text.replace("B.mtx", "b.mtx"), &["--json"]).json();
    assert_eq!(alone["iterations"], two["columns"][1]["iterations"]);
    solve(&folder, &of_text, &["--history", &path("h.csv")])
        .fails_with(&["--history: goes with a single right-hand side"]);
    solve(&folder, &of_text, &["--save-solution", &path("x.petsc")])
        .fails_with(&["a *.petsc file takes one vector"]);
    let compare = folder.file("c.toml", "[problem]\nmatrix = 'A.rsa'\n[[run]]\npreconditioner = 'jacobi'\nsolver = { method = 'cg' }\n");
    precondor(["compare".as_ref(), compare.as_os_str()])
        .fails_with(&["there are 2 right-hand sides; `precondor solve` takes several"]);
}
