//! Systems that are given in files: what readers note, one triangle of a matrix, rows of known values.
use crate::support::{Folder, Ran, matrix, precondor, solve};

/// Solves `[problem]` with these keys by conjugate gradients, unless `method` is another one.
fn solved(folder: &Folder, problem: &str, method: &str, more: &[&str]) -> Ran {
    let config = format!(
        "[problem]\n{problem}\n[solver]\nmethod = '{method}'\ntolerance = 1e-12\n\
         [preconditioner]\nname = 'jacobi'\n"
    );
    solve(folder, &config, more)
}

/// The numbers of a vector that was written.
fn vector(folder: &Folder, name: &str) -> Vec<f64> {
    let text = std::fs::read_to_string(folder.path().join(name)).expect("there");
    text.lines().skip(3).map(|line| line.parse().expect("a number")).collect()
}

fn notes(ran: &Ran) -> String {
    ran.json()["notes"].to_string()
}

#[test]
fn what_a_reader_notes_is_told_by_every_command() {
    let folder = Folder::new("noted");
    folder.file("twice.mtx", &matrix(2, 2, &[(1, 1, 1.0), (2, 2, 2.0), (1, 1, 3.0)]));
    let text = "%%MatrixMarket matrix coordinate pattern general\n2 2 2\n1 1 5\n2 2 7\n";
    folder.file("pattern.mtx", text);
    let text = "%%MatrixMarket matrix coordinate real general\n2 1 3\n1 1 1\n2 1 1\n2 1 1\n";
    folder.file("b.mtx", text);
    for (problem, note) in [
        (
            "matrix = 'twice.mtx'",
            "1 entries stand at the place of an earlier one and were added to it",
        ),
        ("matrix = 'pattern.mtx'", "a pattern with values on 2 lines: ignored, every entry is 1"),
        ("matrix = 'pattern.mtx'\nrhs = 'b.mtx'", "right-hand side: 1 entries stand at the place"),
        ("matrix = 'pattern.mtx'\nx0 = 'b.mtx'", "initial guess: 1 entries stand at the place"),
        (
            "matrix = 'pattern.mtx'\npreconditioner_matrix = 'twice.mtx'",
            "the preconditioner's matrix: 1 entries stand at the place",
        ),
    ] {
        let ran = solved(&folder, problem, "cg", &["--json"]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert!(notes(&ran).contains(note), "{}", ran.out);
        assert!(solved(&folder, problem, "cg", &[]).out.contains(note));
    }
    let file = folder.path().join("twice.mtx");
    let told = precondor(["matrix", file.to_str().unwrap()]).out;
    assert!(told.contains("note               1 entries stand at the place"), "{told}");
    assert!(notes(&precondor(["matrix", file.to_str().unwrap(), "--json"])).contains("1 entries"));
}

#[test]
fn a_gzipped_file_is_told_by_its_first_bytes() {
    let folder = Folder::new("gzip");
    // [[2, 0], [0, 4]], by Python's gzip.
    let packed: &[u8] = &[
        0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0x53, 0x55, 0xf5, 0x4d, 0x2c,
        0x29, 0xca, 0xac, 0xf0, 0x4d, 0x2c, 0xca, 0x4e, 0x2d, 0x51, 0xc8, 0x05, 0x73, 0x14, 0x92,
        0xf3, 0xf3, 0x8b, 0x52, 0x32, 0xf3, 0x12, 0x4b, 0x52, 0x15, 0x8a, 0x52, 0x13, 0x73, 0x14,
        0xd2, 0x53, 0xf3, 0x52, 0x8b, 0x12, 0x73, 0xb8, 0x8c, 0x14, 0x80, 0x90, 0xcb, 0x50, 0xc1,
        0x10, 0x48, 0x82, 0xd8, 0x26, 0x5c, 0x00, 0xb8, 0x84, 0xdc, 0xfc, 0x40, 0x00, 0x00, 0x00,
    ];
    for name in ["A.mtx.gz", "A.mtx"] {
        std::fs::write(folder.path().join(name), packed).expect("written");
        let x = folder.path().join("x.mtx");
        let more = ["--save-solution", x.to_str().unwrap()];
        assert_eq!(solved(&folder, &format!("matrix = '{name}'"), "cg", &more).code, 0);
        assert_eq!(vector(&folder, "x.mtx"), [0.5, 0.25]);
    }
    std::fs::write(folder.path().join("A.mtx"), &packed[..packed.len() - 9]).expect("written");
    let told = solved(&folder, "matrix = 'A.mtx'", "cg", &[]);
    told.fails_with(&["A.mtx: cannot be unpacked with gzip, so it is damaged or cut short"]);
}

#[test]
fn files_of_another_kind_are_called_by_name() {
    let folder = Folder::new("kinds");
    std::fs::write(folder.path().join("A.npz"), b"PK\x03\x04\x14\0\0\0").expect("written");
    let why = "A.npz: the archive is damaged or cut short";
    solved(&folder, "matrix = 'A.npz'", "cg", &[]).fails_with(&[why]);
    folder.file("A.mtx", &matrix(1, 1, &[(1, 1, 1.0)]));
    let told = solved(&folder, "matrix = 'A.mtx'\nrhs = 'A.npz'", "cg", &[]);
    told.fails_with(&["A.npz: this is a file of a matrix, no right-hand side"]);
    folder.file("B.IJ.00000.bin", "\u{1}\0\0\0");
    for name in ["B.IJ", "B.IJ.00000.bin"] {
        let told = solved(&folder, &format!("matrix = '{name}'"), "cg", &[]);
        told.fails_with(&["B.IJ.00000.bin: hypre's binary IJ format is not read; write the text"]);
    }
    let text = "%%MatrixMarket matrix coordinate complex hermitian\n1 1 1\n1 1 1 0\n";
    folder.file("C.mtx", text);
    solved(&folder, "matrix = 'C.mtx'", "cg", &[])
        .fails_with(&["C.mtx:1: complex matrices are not"]);
}

#[test]
fn a_part_of_hypres_format_stands_for_all() {
    let folder = Folder::new("part");
    folder.file("A.IJ.00000", "0 0 0 0\n0 0 2\n");
    folder.file("A.IJ.00001", "1 2 1 2\n1 1 4\n2 2 8\n");
    folder.file("b.IJ.00000", "0 2\n0 1\n1 1\n2 1\n");
    for name in ["A.IJ", "A.IJ.00000", "A.IJ.00001"] {
        let x = folder.path().join("x.mtx");
        let more = ["--save-solution", x.to_str().unwrap()];
        let problem = format!("matrix = '{name}'\nrhs = 'b.IJ.00000'");
        let ran = solved(&folder, &problem, "cg", &more);
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert_eq!(vector(&folder, "x.mtx"), [0.5, 0.25, 0.125]);
    }
}

#[test]
fn one_triangle_is_warned_of_and_mirrored_on_request() {
    let folder = Folder::new("triangle");
    // [[4, −1, 0], [−1, 4, −2], [0, −2, 4]] and its upper triangle.
    let upper = [(1, 1, 4.0), (1, 2, -1.0), (2, 2, 4.0), (2, 3, -2.0), (3, 3, 4.0)];
    let lower = upper.map(|(i, j, v)| (j, i, v));
    folder.file("upper.mtx", &matrix(3, 3, &upper));
    folder.file("lower.mtx", &matrix(3, 3, &lower));
    folder.file("whole.mtx", &matrix(3, 3, &[&upper[..], &lower[1..2], &lower[3..4]].concat()));
    let x = folder.path().join("x.mtx");
    let more = ["--save-solution", x.to_str().unwrap(), "--json"];
    assert_eq!(
        solved(&folder, "matrix = 'whole.mtx'", "cg", &more).json()["notes"],
        serde_json::json!([])
    );
    let whole = vector(&folder, "x.mtx");
    for side in ["upper", "lower"] {
        let ran = solved(&folder, &format!("matrix = '{side}.mtx'"), "gmres", &["--json"]);
        let wanted = format!("as PETSc writes MATSBAIJ, say symmetric = \\\"{side}\\\"");
        assert!(notes(&ran).contains(&wanted), "{}", ran.out);
        let mirrored = format!("matrix = '{side}.mtx'\nsymmetric = '{side}'");
        let ran = solved(&folder, &mirrored, "cg", &more);
        assert_eq!((ran.code, &ran.json()["nnz"]), (0, &7.into()), "{}", ran.err);
        assert_eq!(vector(&folder, "x.mtx"), whole);
        let file = folder.path().join(format!("{side}.mtx"));
        let told = precondor(["matrix", file.to_str().unwrap()]).out;
        assert!(told.contains(&format!("say --symmetric {side}")), "{told}");
        let told = precondor(["matrix", file.to_str().unwrap(), "--symmetric", side]).out;
        assert!(told.contains("symmetric          yes") && !told.contains("note"), "{told}");
    }
    // The other triangle must be empty, or agree.
    let told = solved(&folder, "matrix = 'upper.mtx'\nsymmetric = 'lower'", "cg", &[]);
    told.fails_with(&[
        "upper.mtx: global row 0: a(0, 1) = -1 is no mirror image: the lower triangle",
    ]);
    let told = solved(&folder, "matrix = 'upper.mtx'\nsymmetric = 'yes'", "cg", &[]);
    told.fails_with(&["config.toml:3:13: ", "\"yes\" is not \"upper\" or \"lower\""]);
    let told = solved(&folder, "kind = 'poisson'\nsymmetric = 'upper'", "cg", &[]);
    told.fails_with(&["'symmetric': there is no such key"]);
}

/// The five-point Laplacian of `m` by `m` nodes with identity rows on the border, and a right-hand side for
/// which x = 1 + column + 2 row.
fn with_border(folder: &Folder, m: usize) {
    let value = |i: usize| (1 + i % m + 2 * (i / m)) as f64;
    let border = |i: usize| [i % m, i / m].iter().any(|&k| k == 0 || k == m - 1);
    let mut entries = Vec::new();
    let mut b = String::new();
    for i in 0..m * m {
        if border(i) {
            entries.push((i + 1, i + 1, 1.0));
            b += &format!("{}\n", value(i));
        } else {
            // Linear functions have no Laplacian.
            entries.extend(
                [(i - m, -1.0), (i - 1, -1.0), (i, 4.0), (i + 1, -1.0), (i + m, -1.0)]
                    .map(|(j, v)| (i + 1, j + 1, v)),
            );
            b += "0\n";
        }
    }
    folder.file("A.mtx", &matrix(m * m, m * m, &entries));
    let n = m * m;
    folder.file("b.mtx", &format!("%%MatrixMarket matrix array real general\n{n} 1\n{b}"));
    let x: String = (0..n).map(|i| format!("{}\n", value(i))).collect();
    folder.file("x0.mtx", &format!("%%MatrixMarket matrix array real general\n{n} 1\n{x}"));
}

#[test]
fn rows_of_known_values_are_taken_out_and_put_back() {
    let folder = Folder::new("known");
    let m = 9;
    with_border(&folder, m);
    let files = "matrix = 'A.mtx'\nrhs = 'b.mtx'";
    let on_grid = |problem: &str, more: &[&str]| {
        let config = format!(
            "[problem]\n{problem}\n[solver]\nmethod = 'cg'\ntolerance = 1e-12\n\
             [preconditioner]\nname = 'multigrid'\n"
        );
        solve(&folder, &config, more)
    };
    // The columns make it unsymmetric; a method on a grid says what to do.
    let told = solve(
        &folder,
        &format!(
            "[problem]\n{files}\n[solver]\nmethod = 'gmres'\n[preconditioner]\nname = 'fast-poisson'\n"
        ),
        &[],
    );
    told.fails_with(&[
        "global row 0 does not fit",
        "32 rows, global row 0 the first, have a diagonal",
        "eliminate = ",
    ]);
    let x = folder.path().join("x.mtx");
    let more = ["--save-solution", x.to_str().unwrap(), "--json"];
    let problem = format!("{files}\neliminate = 'identity-rows'");
    let ran = on_grid(&problem, &more);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(ran.json()["n"], 49);
    let note = "32 of 81 unknowns were taken out: their rows have a diagonal entry only";
    assert!(notes(&ran).contains(note), "{}", ran.out);
    let found = vector(&folder, "x.mtx");
    assert_eq!(found.len(), m * m);
    for (i, x) in found.iter().enumerate() {
        let wanted = (1 + i % m + 2 * (i / m)) as f64;
        assert!((x - wanted).abs() < 1e-9, "{i}: {x}, not {wanted}");
    }
    // An initial guess is one of the whole system: the solution leaves nothing to do.
    let again = on_grid(&format!("{problem}\nx0 = 'x0.mtx'"), &["--json"]);
    assert_eq!(again.json()["iterations"], 0, "{}", again.out);
    let told = on_grid(&format!("{files}\neliminate = 'rows'"), &[]);
    told.fails_with(&["\"rows\" is not \"identity-rows\""]);
    folder.file("D.mtx", &matrix(2, 2, &[(1, 1, 1.0), (2, 2, 2.0)]));
    let told = on_grid("matrix = 'D.mtx'\neliminate = 'identity-rows'", &[]);
    told.fails_with(&["all rows have a diagonal entry only: nothing is left to solve for"]);
}

#[test]
fn a_matrix_of_the_wrong_sign_is_told_what_to_do() {
    let folder = Folder::new("sign");
    let entries: Vec<_> = (1..=5)
        .flat_map(|i| [(i, i, -4.0), (i, i + 1, 1.0), (i + 1, i, 1.0)])
        .filter(|&(i, j, _)| i <= 5 && j <= 5)
        .collect();
    folder.file("A.mtx", &matrix(5, 5, &entries));
    for method in ["none", "jacobi", "ic", "fsai"] {
        let preconditioner = match method {
            "none" => String::new(),
            name => format!("[preconditioner]\nname = '{name}'\n"),
        };
        let config =
            format!("[problem]\nmatrix = 'A.mtx'\n[solver]\nmethod = 'cg'\n{preconditioner}");
        let ran = solve(&folder, &config, &[]);
        assert_ne!(ran.code, 0);
        let told = ran.out + &ran.err;
        assert!(told.contains("change the sign of A and of b"), "{method}: {told}");
    }
}
