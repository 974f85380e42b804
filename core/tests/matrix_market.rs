//! Matrix Market files: every header, every fault, round trips, arbitrary bytes.
use precondor_core::Error;
use precondor_core::matrix::Csr;
use precondor_core::matrix::io::matrix_market as mm;
use precondor_testkit::matrices::dense_of;
use precondor_testkit::program::Folder;
use proptest::prelude::*;
use std::fs;
use std::path::Path;

fn parse(text: &str) -> Result<Csr, Error> {
    mm::read_from(text.as_bytes(), Path::new("a.mtx"))
}

#[test]
fn every_header_gives_its_matrix() {
    let entries = "3 3 4\n1 1 4\n2 1 -1\n3 2 7\n3 3 5\n";
    let off_diagonal = "3 3 2\n2 1 -1\n3 2 7\n";
    let general = vec![vec![4., 0., 0.], vec![-1., 0., 0.], vec![0., 7., 5.]];
    let symmetric = vec![vec![4., -1., 0.], vec![-1., 0., 7.], vec![0., 7., 5.]];
    let skew = vec![vec![0., 1., 0.], vec![-1., 0., -7.], vec![0., 7., 0.]];
    for field in ["real", "double", "integer"] {
        let coordinate = |symmetry: &str, entries: &str| {
            let a =
                parse(&format!("%%MatrixMarket matrix coordinate {field} {symmetry}\n{entries}"));
            dense_of(&a.expect("valid"))
        };
        assert_eq!(coordinate("general", entries), general);
        assert_eq!(coordinate("symmetric", entries), symmetric);
        assert_eq!(coordinate("skew-symmetric", off_diagonal), skew);
        let array = |symmetry: &str, numbers: &str| {
            let numbers = numbers.replace(' ', "\n");
            let a =
                parse(&format!("%%MatrixMarket matrix array {field} {symmetry}\n3 3\n{numbers}\n"));
            let a = a.expect("valid");
            assert!(a.view().values.iter().all(|&v| v != 0.0), "zeros are left out");
            dense_of(&a)
        };
        // Column after row; of symmetric ones the lower triangle.
        assert_eq!(array("general", "4 -1 0 0 0 7 0 0 5").len() as u64, 3);
        assert_eq!(array("general", "4 -1 0 0 0 7 0 0 5"), general);
        assert_eq!(array("symmetric", "4 -1 0 0 7 5"), symmetric);
        assert_eq!(array("skew-symmetric", "-1 0 7"), skew);
    }
    for (symmetry, want) in [
        ("general", vec![vec![1., 0.], vec![1., 0.]]),
        ("symmetric", vec![vec![1., 1.], vec![1., 0.]]),
    ] {
        let text =
            format!("%%MatrixMarket matrix coordinate pattern {symmetry}\n2 2 2\n2 1\n1 1\n");
        assert_eq!(dense_of(&parse(&text).expect("valid")), want);
    }
}

#[test]
fn what_files_do_in_the_wild_is_understood() {
    let text = "%%matrixmarket MATRIX Coordinate Real General\r\n% a comment\r\n%\r\n\r\n  \r\n\
                \t2  3 6 \r\n1 3 1.5e+2\r\n\r\n2\t1 -1D-3\r\n% in between\r\n2 2 .5\r\n1 1 +2.\r\n\
                1 2 0\r\n2 3 1d2";
    let a = parse(text).expect("valid");
    assert_eq!((a.n_rows(), a.n_cols(), a.nnz()), (2, 3, 6));
    assert_eq!(a.view().cols, [0, 1, 2, 0, 1, 2]);
    assert_eq!(a.view().values, [2.0, 0.0, 150.0, -0.001, 0.5, 100.0]);
    let empty = parse("%%MatrixMarket matrix coordinate real general\n0 0 0\n").expect("valid");
    assert_eq!((empty.n_rows(), empty.nnz()), (0, 0));
    // A symmetric file may hold the upper triangle.
    let a =
        parse("%%MatrixMarket matrix coordinate real symmetric\n2 2 1\n1 2 3\n").expect("valid");
    assert_eq!(dense_of(&a), [[0.0, 3.0], [3.0, 0.0]]);
}

#[test]
fn faults_are_told_with_line_and_reason() {
    let real = "%%MatrixMarket matrix coordinate real general\n";
    let with = |rest: &str| format!("{real}{rest}");
    let header = |rest: &str| format!("%%MatrixMarket {rest}\n2 2 1\n1 1 1\n");
    for (text, line, why) in [
        (String::new(), 1, "no Matrix Market file"),
        ("1 2 3\n".into(), 1, "no Matrix Market file"),
        ("%%MatrixMarket matrix coordinate real\n".into(), 1, "the header must be"),
        (header("tensor coordinate real general"), 1, "'tensor' is not 'matrix'"),
        (header("matrix sparse real general"), 1, "'sparse' is not 'coordinate' or 'array'"),
        (header("matrix coordinate reel general"), 1, "'reel' is not 'real', 'double'"),
        (header("matrix coordinate real lower"), 1, "'lower' is not 'general', 'symmetric'"),
        (header("matrix coordinate complex general"), 1, "complex matrices are not supported"),
        (header("matrix coordinate complex hermitian"), 1, "complex matrices are not supported"),
        (header("matrix array pattern hermitian"), 1, "a pattern is 'coordinate'"),
        ("0 1 2.5\n".into(), 1, "before rows of numbers, put '%%MatrixMarket matrix coordinate"),
        (header("matrix array pattern general"), 1, "a pattern is 'coordinate'"),
        (with("% nothing\n"), 2, "the file ends before its sizes"),
        (with("2 2\n"), 2, "rows, columns and entries must stand here"),
        (with("2 2 x\n"), 2, "rows, columns and entries must stand here"),
        (with("2 -2 1\n"), 2, "rows, columns and entries must stand here"),
        (with("2 2 5\n"), 2, "the file ends after 0 of 5 entries"),
        (with("5000000000 2 1\n"), 2, "5000000000×2 is too large"),
        (with("99999999999999999999999999 2 1\n"), 2, "must stand here"),
        (with("2 2 2\n1 1 1\n"), 3, "the file ends after 1 of 2 entries"),
        (with("2 2 1\n1 1 1\n\n2 2 1\n"), 5, "more than the 1 entries announced"),
        (with("2 2 1\n3 1 1\n"), 3, "row 3 is not within 1..2"),
        (with("2 2 1\n0 1 1\n"), 3, "row 0 is not within 1..2"),
        (with("2 2 1\n1 3 1\n"), 3, "column 3 is not within 1..2"),
        (with("2 2 1\n1.0 1 1\n"), 3, "'1.0' is no row number"),
        (with("2 2 1\n1 1\n"), 3, "the value is missing"),
        (with("2 2 1\n1\n"), 3, "the column is missing"),
        (with("2 2 1\n1 1 1 1\n"), 3, "'1' is one number too many"),
        (with("2 2 1\n1 1 one\n"), 3, "'one' is not a number"),
        (with("2 2 1\n1 1 nan\n"), 3, "'nan' is not finite"),
        (with("2 2 1\n% c\n1 1 -Inf\n"), 4, "'-Inf' is not finite"),
        (with("2 2 1\n1 1 1e999\n"), 3, "'1e999' is not finite"),
        (with("2 2 1\n1 1 \u{1b}[31m\n"), 3, r"'\u{1b}[31m' is not a number"),
        (with(&format!("2 2 1\n1 1 {}\n", "9".repeat(70_000))), 3, "more than 65536 bytes"),
        (
            "%%MatrixMarket matrix coordinate integer general\n1 1 1\n1 1 1.5\n".into(),
            3,
            "'1.5' is no integer of 64 bits",
        ),
        (
            "%%MatrixMarket matrix coordinate real symmetric\n2 3 1\n".into(),
            2,
            "2×3 can't be symmetric",
        ),
        (
            "%%MatrixMarket matrix coordinate real skew-symmetric\n2 2 1\n2 2 1\n".into(),
            3,
            "no diagonal entries",
        ),
        (
            "%%MatrixMarket matrix coordinate unsigned-integer general\n1 1 1\n1 1 -1\n".into(),
            3,
            "'-1' is no integer of 64 bits without a sign",
        ),
        ("%%MatrixMarket matrix array real general\n2 1\n1\n".into(), 3, "after 1 of 2 entries"),
        ("%%MatrixMarket matrix array real general\n2 1\n1 2\n".into(), 3, "'2' is one number too"),
    ] {
        let got = parse(&text).expect_err(why).to_string();
        assert!(got.starts_with(&format!("a.mtx:{line}: ")) && got.contains(why), "{why}: {got}");
    }
}

#[test]
fn what_other_readers_take_is_read_as_they_read_it() {
    let read = |text: &str| dense_of(&parse(&format!("%{text}")).expect("valid"));
    let both = [[1.0, 0.0], [0.0, 2.0]];
    // One % only.
    assert_eq!(read("MatrixMarket matrix coordinate integer general\n2 2 2\n1 1 1\n2 2 2\n"), both);
    // The largest integer without a sign, which is no i64.
    let text = "%MatrixMarket matrix coordinate unsigned-integer general\n1 1 1\n1 1 18446744073709551615\n";
    assert_eq!(read(text), [[18446744073709551615.0]]);
    // Real numbers are their own conjugates.
    let text = "%MatrixMarket matrix coordinate real hermitian\n2 2 2\n1 1 1.0\n2 1 2.0\n";
    assert_eq!(read(text), [[1.0, 2.0], [2.0, 0.0]]);
    // The diagonal of a skew-symmetric matrix is zero, listed or not, and not stored.
    let text =
        "%%MatrixMarket matrix coordinate real skew-symmetric\n2 2 3\n1 1 0\n2 1 3\n2 2 -0.0\n";
    let a = parse(text).expect("valid");
    assert_eq!((dense_of(&a), a.nnz()), (vec![vec![0.0, -3.0], vec![3.0, 0.0]], 2));
    // Ones below the diagonal, and their mirror images.
    let text = "%MatrixMarket matrix coordinate pattern skew-symmetric\n2 2 1\n2 1\n";
    assert_eq!(read(text), [[0.0, -1.0], [1.0, 0.0]]);
    // Comments of any length, before and between the entries.
    let long = "x".repeat(200_000);
    let text = format!(
        "%%MatrixMarket matrix coordinate real general\n%{long}\n  %{long}\n2 2 2\n1 1 1\n%{long}\n\
         2 2 2\n%{long}"
    );
    assert_eq!(dense_of(&parse(&text).expect("valid")), both);
}

/// The matrix in a file with this text, and what the reader says.
fn noted(folder: &Folder, text: impl AsRef<[u8]>) -> (Csr, Vec<String>) {
    let path = folder.path().join("noted.mtx");
    fs::write(&path, text).expect("written");
    let mut notes = Vec::new();
    (mm::read_noting(&path, &mut notes).expect("valid"), notes)
}

#[test]
fn entries_that_are_given_twice_are_added_up_and_counted() {
    let folder = Folder::new("twice");
    let real = "%%MatrixMarket matrix coordinate real";
    let text = format!("{real} general\n2 2 5\n1 1 1.0\n2 2 2\n1 1 3.0\n2 1 -4\n1 1 0.5\n");
    let (a, notes) = noted(&folder, &text);
    assert_eq!((dense_of(&a), a.nnz()), (vec![vec![4.5, 0.0], vec![-4.0, 2.0]], 3));
    assert_eq!(notes, ["2 entries stand at the place of an earlier one and were added to it"]);
    assert_eq!(dense_of(&parse(&text).expect("valid")), dense_of(&a));
    // More entries than there are places.
    let many = format!("{real} general\n1 1 4\n{}", "1 1 0.25\n".repeat(4));
    assert_eq!(dense_of(&noted(&folder, many).0), [[1.0]]);
    // Of a triangle they are counted once.
    let text = format!("{real} symmetric\n2 2 3\n2 1 1\n2 2 5\n2 1 2\n");
    let (a, notes) = noted(&folder, text);
    assert_eq!(dense_of(&a), [[0.0, 3.0], [3.0, 5.0]]);
    assert_eq!(notes, ["1 entries stand at the place of an earlier one and were added to it"]);
    // Both triangles of a symmetric matrix: as others read it, but not without a word.
    let text = format!("{real} symmetric\n2 2 3\n2 1 1\n2 2 5\n1 2 1\n");
    let (a, notes) = noted(&folder, text);
    assert_eq!(dense_of(&a), [[0.0, 2.0], [2.0, 5.0]]);
    assert!(notes[0].ends_with("has entries on both sides of the diagonal"), "{notes:?}");
    // A sum does not depend on the order of the file, and must be a number.
    let sum = |values: [&str; 3]| {
        let lines: String = values.map(|v| format!("1 1 {v}\n")).concat();
        parse(&format!("{real} general\n1 1 3\n{lines}"))
    };
    let bits = |values| sum(values).expect("finite").view().values[0].to_bits();
    assert_eq!(bits(["1e17", "-1e17", "0.7"]), bits(["0.7", "1e17", "-1e17"]));
    let told = sum(["1e308", "1e308", "0"]).expect_err("infinite").to_string();
    assert_eq!(told, "a.mtx: the entries at (1, 1) add up to more than f64 can hold");
    let vector = |lines: &str| {
        let text = format!("{real} general\n3 1 2\n{lines}");
        mm::read_vector_from(text.as_bytes(), Path::new("b.mtx")).map_err(|e| e.to_string())
    };
    assert_eq!(vector("2 1 1\n2 1 4\n"), Ok(vec![0.0, 5.0, 0.0]));
    let told = vector("2 1 1e308\n2 1 1e308\n").expect_err("infinite");
    assert_eq!(told, "b.mtx: the entries at (2, 1) add up to more than f64 can hold");
    let missing = mm::read(&folder.path().join("none.mtx")).expect_err("not there").to_string();
    assert!(missing.contains("none.mtx: "), "{missing}");
}

#[test]
fn values_of_a_pattern_are_ignored_and_counted() {
    let folder = Folder::new("pattern");
    let text = "%%MatrixMarket matrix coordinate pattern general\n2 2 3\n1 1 5\n2 2 7 8\n2 1\n";
    let (a, notes) = noted(&folder, text);
    assert_eq!(dense_of(&a), [[1.0, 0.0], [1.0, 1.0]]);
    assert_eq!(notes, ["a pattern with values on 2 lines: ignored, every entry is 1"]);
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(bytes).expect("packed");
    packed.finish().expect("packed")
}

#[test]
fn gzipped_files_are_read_and_damaged_ones_refused() {
    let folder = Folder::new("gzip");
    let n = 3000;
    let lines: String = (1..=n).map(|i| format!("{i} {i} {i}.5\n")).collect();
    let text = format!("%%MatrixMarket matrix coordinate real general\n{n} {n} {n}\n{lines}");
    let packed = gzipped(text.as_bytes());
    let (a, notes) = noted(&folder, &packed);
    assert_eq!((a.nnz(), a.view().get(2999, 2999), notes.len()), (n, 3000.5, 0));
    // Several members, as `cat a.gz b.gz` makes them.
    let (first, second) = text.as_bytes().split_at(text.len() / 2);
    assert_eq!(noted(&folder, [gzipped(first), gzipped(second)].concat()).0.nnz(), n);
    let path = folder.path().join("bad.mtx");
    let told = |bytes: &[u8]| {
        fs::write(&path, bytes).expect("written");
        mm::read(&path).expect_err("damaged").to_string()
    };
    for cut in [12, packed.len() / 2, packed.len() - 1] {
        let text = told(&packed[..cut]);
        assert!(text.contains("cannot be unpacked with gzip, so it is damaged or cut"), "{text}");
    }
    // Damage shows in the text that comes out, or in its checksum in the end.
    for at in [packed.len() / 2, packed.len() - 6] {
        let mut damaged = packed.clone();
        damaged[at] ^= 0xff;
        assert!(told(&damaged).contains("bad.mtx"));
    }
    // Vectors, too; and what a small file claims is not believed.
    fs::write(&path, gzipped(b"%%MatrixMarket matrix array real general\n2 1\n1\n2\n"))
        .expect("written");
    assert_eq!(mm::read_vector(&path), Ok(vec![1.0, 2.0]));
    let text =
        told(&gzipped(b"%%MatrixMarket matrix coordinate real general\n9 9 4000000\n1 1 1\n"));
    assert!(text.contains(":2: 4000000 entries have no room in this file"), "{text}");
}

#[test]
fn files_of_other_formats_are_called_by_name() {
    let folder = Folder::new("others");
    let boeing = |kind: &str| {
        let title = format!("{:<72}{:<8}\n", "1SYMMETRIC STIFFNESS MATRIX", "BCSSTK01");
        format!(
            "{title}{:14}{:14}{:14}{:14}{:14}\n{kind}{:25}{:14}{:14}{:14}\n",
            74, 4, 14, 56, 0, 48, 48, 224, 0
        )
    };
    let mut tar = vec![0; 600];
    tar[..5].copy_from_slice(b"A.mtx");
    tar[257..262].copy_from_slice(b"ustar");
    let matlab4: Vec<u8> = [0u32, 3, 3, 0, 2]
        .iter()
        .flat_map(|k| k.to_le_bytes())
        .chain(*b"A\0")
        .chain([0; 72])
        .collect();
    let cases: [(Vec<u8>, &str); 17] = [
        (b"PK\x03\x04\x14\0".to_vec(), "a zip archive, as NumPy's npz files are"),
        (b"\x93NUMPY\x01\0".to_vec(), "a NumPy array (npy)"),
        (b"MATLAB 5.0 MAT-file, Platform: GLNX86".to_vec(), "a MATLAB file (mat, version 5)"),
        (
            b"MATLAB 7.3 MAT-file, Platform".to_vec(),
            "a MATLAB file (mat, version 7.3, which is HDF5)",
        ),
        (matlab4, "a MATLAB file (mat, version 4)"),
        (b"\x89HDF\r\n\x1a\n\0".to_vec(), "an HDF5 file"),
        (b"BZh91AY&SY".to_vec(), "a bzip2 file; unpack it first"),
        (b"\xfd7zXZ\0\0".to_vec(), "an xz file; unpack it first"),
        (b"\x28\xb5\x2f\xfd\0".to_vec(), "a zstd file; unpack it first"),
        (b"\n <!DOCTYPE HTML>\n<html>".to_vec(), "an HTML page; get the file itself"),
        (tar.clone(), "a tar archive; unpack it first"),
        (gzipped(&tar), "gzipped, and inside this is a tar archive; unpack it first"),
        (boeing("RSA").into_bytes(), "a Harwell-Boeing or Rutherford-Boeing file (RSA)"),
        (boeing("pua").into_bytes(), "a Harwell-Boeing or Rutherford-Boeing file (PUA)"),
        (boeing("CUA").into_bytes(), "its matrix is complex (CUA); only real ones are read"),
        (
            b"Mat Object: 1 MPI process\n  type: seqaij\n".to_vec(),
            "PETSc's printed view of a matrix",
        ),
        (gzipped(&1211216u32.to_be_bytes()), "a matrix in PETSc's binary format; unpack it first"),
    ];
    for (bytes, what) in cases {
        let path = folder.path().join("other.mtx");
        fs::write(&path, &bytes).expect("written");
        for told in [mm::read(&path).map(|_| ()), mm::read_vector(&path).map(|_| ())] {
            let told = told.expect_err(what).to_string();
            assert!(told.contains("other.mtx: ") && told.contains(what), "{what}: {told}");
        }
    }
}

#[test]
fn sizes_that_nothing_backs_set_no_memory_aside() {
    for text in [
        "%%MatrixMarket matrix coordinate real general\n4000000000 1 1\n1 1 1\n",
        "%%MatrixMarket matrix coordinate real general\n4000000000 4000000000 4000000000\n1 1 1\n",
        "%%MatrixMarket matrix array real general\n4000000000 1\n1\n",
    ] {
        assert!(parse(text).is_err());
        assert!(mm::read_vector_from(text.as_bytes(), Path::new("b")).is_err());
    }
    // What is announced is compared with the length of the file first.
    let folder = Folder::new("announced");
    let path = folder.path().join("b.mtx");
    for sizes in ["4000000000 1 4000000", "4000000 4000000 4000000000", "20 1 20"] {
        let text = format!("%%MatrixMarket matrix coordinate real general\n{sizes}\n1 1 1\n");
        fs::write(&path, text).expect("written");
        let count = sizes.split(' ').next_back().expect("a word");
        let wanted = format!("b.mtx:2: {count} entries have no room in this file");
        for told in [mm::read(&path).map(|_| ()), mm::read_vector(&path).map(|_| ())] {
            let told = told.expect_err(sizes).to_string();
            assert!(told.contains(&wanted), "{told}");
        }
    }
}

#[test]
fn vectors_come_from_arrays_and_from_coordinates() {
    let read = |text: &str| mm::read_vector_from(text.as_bytes(), Path::new("b.mtx"));
    let array = "%%MatrixMarket matrix array real general\n3 1\n1\n0\n-2e-3\n";
    assert_eq!(read(array), Ok(vec![1.0, 0.0, -0.002]));
    let coordinate = "%%MatrixMarket matrix coordinate integer general\n3 1 1\n2 1 5\n";
    assert_eq!(read(coordinate), Ok(vec![0.0, 5.0, 0.0]));
    let wide = "%%MatrixMarket matrix array real general\n2 2\n1\n2\n3\n4\n";
    let got = read(wide).expect_err("two columns").to_string();
    assert_eq!(got, "b.mtx:2: a vector has one column, this has 2");
}

#[test]
fn a_symmetric_matrix_is_written_as_its_lower_triangle() {
    let folder = Folder::new("symmetric");
    let path = folder.path().join("a.mtx");
    let a = Csr::from_triplets(2, 2, [(0, 0, 2.0), (0, 1, 0.1), (1, 0, 0.1)]).expect("valid");
    mm::write(&path, &a, "first\nsecond").expect("written");
    let text = fs::read_to_string(&path).expect("there");
    let want = "%%MatrixMarket matrix coordinate real symmetric\n% first\n% second\n2 2 2\n\
                1 1 2.0\n2 1 0.1\n";
    assert_eq!(text, want);
    let bad = Csr::from_triplets(1, 1, [(0, 0, f64::NAN)]).expect("valid");
    let got = mm::write(&path, &bad, "").expect_err("not finite").to_string();
    assert_eq!(got, "value 0 is NaN: not to be written");
    assert_eq!(fs::read_to_string(&path).expect("there"), want, "the old file is still there");
    assert!(mm::write_vector(&path, &[f64::INFINITY], "").is_err());
}

/// Any finite number, small integers more often.
fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>().prop_filter("finite", |v| v.is_finite()),
        (-9i8..9).prop_map(f64::from),
        Just(-0.0),
    ]
}

fn matrices() -> impl Strategy<Value = Csr> {
    (1usize..12, 1usize..12, any::<bool>()).prop_flat_map(|(n, m, symmetric)| {
        let m = if symmetric { n } else { m };
        let entries = prop::collection::btree_map((0..n, 0..m), number(), 0..40);
        entries.prop_map(move |entries| {
            let mirrored = entries.iter().filter(|((i, j), _)| symmetric && i > j);
            let mirrored: Vec<_> = mirrored.map(|((i, j), v)| (*j, *i, *v)).collect();
            let kept = entries.iter().filter(|((i, j), _)| !symmetric || i >= j);
            let kept = kept.map(|((i, j), v)| (*i, *j, *v));
            Csr::from_triplets(n, m, kept.chain(mirrored.iter().copied())).expect("valid")
        })
    })
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|v| v.to_bits()).collect()
}

proptest! {
    #[test]
    fn matrices_come_back_bit_for_bit(a in matrices()) {
        let folder = Folder::new("round");
        let path = folder.path().join("a.mtx");
        mm::write(&path, &a, "").expect("written");
        let b = mm::read(&path).expect("read");
        prop_assert_eq!((a.n_rows(), a.n_cols()), (b.n_rows(), b.n_cols()));
        prop_assert_eq!(a.view().row_ptr, b.view().row_ptr);
        prop_assert_eq!(a.view().cols, b.view().cols);
        prop_assert_eq!(bits(a.view().values), bits(b.view().values));
    }

    #[test]
    fn vectors_come_back_bit_for_bit(x in prop::collection::vec(number(), 0..30)) {
        let folder = Folder::new("vector");
        let path = folder.path().join("b.mtx");
        mm::write_vector(&path, &x, "a vector").expect("written");
        prop_assert_eq!(bits(&mm::read_vector(&path).expect("read")), bits(&x));
    }

    #[test]
    fn entries_in_any_order_give_the_same_matrix(
        a in matrices(), order in prop::collection::vec(any::<u32>(), 80),
    ) {
        let mut lines: Vec<(u32, String)> = Vec::new();
        for i in 0..a.n_rows() {
            for (j, v) in a.view().row(i) {
                lines.push((order[lines.len()], format!("{} {} {v:e}\n", i + 1, j + 1)));
            }
        }
        lines.sort();
        let text: String = lines.into_iter().map(|(_, line)| line).collect();
        let header = "%%MatrixMarket matrix coordinate real general";
        let text = format!("{header}\n{} {} {}\n{text}", a.n_rows(), a.n_cols(), a.nnz());
        let b = parse(&text).expect("valid");
        prop_assert_eq!(a.view().row_ptr, b.view().row_ptr);
        prop_assert_eq!(a.view().cols, b.view().cols);
        prop_assert_eq!(bits(a.view().values), bits(b.view().values));
    }

    #[test]
    fn arbitrary_bytes_are_an_error_or_a_matrix(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = mm::read_from(bytes.as_slice(), Path::new("x"));
        let _ = mm::read_vector_from(bytes.as_slice(), Path::new("x"));
    }

    #[test]
    fn almost_valid_files_are_an_error_or_a_matrix(
        format in 0usize..2, field in 0usize..5, symmetry in 0usize..4,
        words in prop::collection::vec(prop_oneof![
            (0u32..5).prop_map(|k| k.to_string()),
            (0u32..5).prop_map(|k| k.to_string()),
            any::<u32>().prop_map(|k| k.to_string()),
            "[-+.eEdD0-9%naif]{1,6}",
        ], 0..30),
        ends in prop::collection::vec(prop_oneof![Just(" "), Just("\n"), Just("\n")], 30),
    ) {
        let mut text = format!(
            "%%MatrixMarket matrix {} {} {}\n",
            ["coordinate", "array"][format],
            ["real", "integer", "pattern", "double", "unsigned-integer"][field],
            ["general", "symmetric", "skew-symmetric", "hermitian"][symmetry],
        );
        for (word, end) in words.iter().zip(ends) {
            text.push_str(word);
            text.push_str(end);
        }
        if let Ok(a) = parse(&text) {
            prop_assert!(a.view().values.iter().all(|v| v.is_finite()));
        }
        let _ = mm::read_vector_from(text.as_bytes(), Path::new("x"));
    }
}
