//! Files that are read for many ranks: Matrix Market, sent on from rank 0, and hypre's IJ, in parts.
use crate::common::*;
use precondor_core::comm::{Comm, threads};
use precondor_core::matrix::io::{hypre_ij, matrix_market};
use precondor_core::matrix::{Csr, DistCsr, Space};
use precondor_core::{Error, Result};
use precondor_testkit::program::Folder;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The parts of `a` as hypre writes them, with indices from `base`.
fn ij(a: &Csr, starts: &[u64], base: u64) -> Vec<String> {
    let part = |ends: &[u64]| {
        let (first, last) = (base + ends[0], (base + ends[1]) as i64 - 1);
        let mut text = format!("{first} {last} {first} {last}\n");
        for i in ends[0]..ends[1] {
            for (j, v) in a.view().row(i as usize) {
                writeln!(text, "{} {} {v:.14e}", base + i, base + j as u64).unwrap();
            }
        }
        text
    };
    starts.windows(2).map(part).collect()
}

/// The parts of a vector.
fn ij_vector(x: &[f64], starts: &[u64], base: u64) -> Vec<String> {
    let part = |ends: &[u64]| {
        let mut text = format!("{} {}\n", base + ends[0], (base + ends[1]) as i64 - 1);
        for i in ends[0]..ends[1] {
            writeln!(text, "{} {:.14e}", base + i, x[i as usize]).unwrap();
        }
        text
    };
    starts.windows(2).map(part).collect()
}

fn write_parts(folder: &Folder, name: &str, parts: &[String]) -> PathBuf {
    for (k, text) in parts.iter().enumerate() {
        folder.file(&format!("{name}.{k:05}"), text);
    }
    folder.path().join(name)
}

/// The rows of `a` are the own rows of `part`, and the rows of all ranks make all of `a`.
fn assert_rows(part: &DistCsr, a: &Csr) {
    assert_eq!(part.n_global(), a.n_rows() as u64);
    for i in 0..part.n_own() {
        let row: Vec<_> = part.global_entries(i).collect();
        let expected = a.view().row(part.global_row(i) as usize);
        assert_eq!(row, expected.map(|(j, v)| (j as u64, v)).collect::<Vec<_>>());
    }
}

#[test]
fn any_number_of_parts_is_read_on_any_number_of_ranks() {
    let folder = Folder::new("ij");
    let a = convection_diffusion(5);
    let x = vector(25).iter().map(|v| format!("{v:.14e}").parse().unwrap()).collect::<Vec<f64>>();
    let splits: [&[u64]; 5] =
        [&[0, 25], &[0, 7, 25], &[0, 0, 9, 25], &[0, 3, 3, 20, 25], &[0, 1, 2, 3, 4, 5, 25]];
    for (k, (starts, base)) in
        splits.iter().flat_map(|s| [(s, 0), (s, 1), (s, 5 << 32)]).enumerate()
    {
        let name = write_parts(&folder, &format!("A.{k}"), &ij(&a, starts, base));
        let of_x = write_parts(&folder, &format!("x.{k}"), &ij_vector(&x, starts, base));
        assert!(hypre_ij::is_hypre_ij(&name));
        for size in [1, 2, 3, 4, 7, 30] {
            threads::run(size, |comm| {
                let read = hypre_ij::read(&name, &Comm::new(comm)).unwrap();
                assert_rows(&read, &a);
                let space = read.space();
                if starts.len() == size + 1 {
                    assert_eq!(space.starts(), *starts, "split as the files are");
                }
                let mine = hypre_ij::read_vector(&of_x, space).unwrap();
                let from = space.start() as usize;
                assert_eq!(mine, x[from..from + space.n_own()]);
                // It is a matrix to work with.
                let mut y = vec![0.0; mine.len()];
                read.spmv(&mine, &mut y).unwrap();
                assert_eq!(y, times(&a, &x)[from..from + space.n_own()]);
            });
        }
    }
}

/// The first error of `read` on 1, 2 and 3 ranks; the others are told of it.
fn error_of(read: impl Fn(&Comm) -> Result<()> + Sync) -> String {
    let mut first = None;
    for size in [1, 2, 3] {
        let errors = threads::run(size, |comm| read(&Comm::new(comm)).unwrap_err());
        let own: Vec<_> = errors.iter().filter(|e| !matches!(e, Error::Elsewhere { .. })).collect();
        assert!(!own.is_empty() && own.iter().all(|e| *e == own[0]), "{errors:?}");
        let text = own[0].to_string();
        for e in errors.iter().filter(|e| matches!(e, Error::Elsewhere { .. })) {
            assert!(e.to_string().ends_with(&text), "{e} and {text}");
        }
        assert_eq!(first.get_or_insert_with(|| text.clone()), &text, "on {size} ranks");
    }
    first.unwrap()
}

#[test]
fn every_fault_of_a_part_is_told_with_its_place() {
    let folder = Folder::new("ij-faults");
    let good = ["0 1 0 1\n0 0 2\n0 3 1\n1 1 2\n", "2 3 2 3\n2 2 2\n3 3 2\n3 0 1\n"];
    let fails = |name: &str, parts: &[&str], why: &str| {
        let parts: Vec<String> = parts.iter().map(|text| (*text).to_owned()).collect();
        let path = write_parts(&folder, name, &parts);
        let text = error_of(|comm| hypre_ij::read(&path, comm).map(|_| ()));
        assert!(text.contains(&format!("{name}.{why}")), "{text}");
    };
    let second = |name: &str, text: &str, why: &str| fails(name, &[good[0], text], why);
    second("order", "3 4 3 4\n", "00001:1: its rows start at 3, after those of ");
    second("columns", "2 3 3 4\n", "00001:1: its columns start at 3, after those of ");
    second("wide", "2 3 2 4\n", "00001: the matrix is 4×5; it must be square");
    second("empty", "", "00001:1: first and last row, first and last column of this part must");
    second("header", "2 3 2\n", "00001:1: first and last row, first and last column");
    second("word", "2 3 2 x\n", "00001:1: first and last row, first and last column");
    second("reversed", "2 0 2 0\n", "00001:1: 2..0 is no range of indices");
    second("row", "2 3 2 3\n2 2 2\n1 1 2\n", "00001:3: row 1 is not within 2..3");
    second("column", "2 3 2 3\n2 4 2\n", "00001:2: column 4 is not within 0..3");
    second("negative", "2 3 2 3\n2 -1 2\n", "00001:2: column -1 is not within 0..3");
    second("name", "2 3 2 3\nx 2 2\n", "00001:2: 'x' is no row number");
    second("short", "2 3 2 3\n2 2\n", "00001:2: the value is missing");
    second("shorter", "2 3 2 3\n2\n", "00001:2: the column is missing");
    second("long", "2 3 2 3\n2 2 1 7\n", "00001:2: '7' is one number too many");
    second("value", "2 3 2 3\n2 2 abc\n", "00001:2: 'abc' is not a number");
    second("nan", "2 3 2 3\n2 2 nan\n", "00001:2: 'nan' is not finite");
    second("cut", "2 3 2 3\n2 2 1.234", "00001:2: this last line has no end: the file was cut");
    second("twice", "2 3 2 3\n\n2 2 2\n3 3 1\n2 2 1\n", "00001:5: entry (2, 2) is given twice");
    second("huge", "2 9000000000000 2 9000000000000\n", "00001: 9000000000001 rows in files of");
    // Part 1 of three is not there; nor is any.
    let path = write_parts(&folder, "gap", &good.map(str::to_owned));
    fs::rename(folder.path().join("gap.00001"), folder.path().join("gap.00002")).unwrap();
    let text = error_of(|comm| hypre_ij::read(&path, comm).map(|_| ()));
    assert!(text.contains("gap.00001") && text.contains("the last part is "), "{text}");
    // Files beside the parts with numbers that no part has: nothing goes through all numbers up to them.
    for (stray, why) in [
        ("99999999999", "stray.00002: there is no such file; the last part is "),
        ("18446744073709551615", "stray.00002: there is no such file; the last part is "),
        ("99999999999999999999999", "stray.99999999999999999999999: it is numbered like a part of"),
        ("000001", "stray.000001: it is numbered like a part of"),
    ] {
        let path = write_parts(&folder, "stray", &good.map(str::to_owned));
        let beside = folder.path().join(format!("stray.{stray}"));
        fs::write(&beside, "").unwrap();
        let text = error_of(|comm| hypre_ij::read(&path, comm).map(|_| ()));
        assert!(text.contains(why), "{text}");
        fs::remove_file(beside).unwrap();
    }
    let path = write_parts(&folder, "folder", &good.map(str::to_owned));
    fs::remove_file(folder.path().join("folder.00001")).unwrap();
    fs::create_dir(folder.path().join("folder.00001")).unwrap();
    let text = error_of(|comm| hypre_ij::read(&path, comm).map(|_| ()));
    assert!(text.contains("folder.00001: is no file, as a part"), "{text}");
    second("overlap", "1 3 1 3\n", "00001:1: its rows start at 1, after those of ");
    let text = error_of(|comm| hypre_ij::read(&folder.path().join("nothing"), comm).map(|_| ()));
    assert!(text.contains("nothing.00000: there is no such file"), "{text}");
}

#[test]
fn every_fault_of_a_vector_is_told_with_its_place() {
    let folder = Folder::new("ij-vectors");
    let fails = |name: &str, parts: &[&str], why: &str| {
        let parts: Vec<String> = parts.iter().map(|text| (*text).to_owned()).collect();
        let path = write_parts(&folder, name, &parts);
        let text = error_of(|comm| {
            let space = Space::even(comm.clone(), 4);
            hypre_ij::read_vector(&path, &Arc::clone(&space)).map(|_| ())
        });
        assert!(text.contains(&format!("{name}.{why}")), "{text}");
    };
    let first = "0 1\n0 1.0\n1 2.0\n";
    fails(
        "long",
        &[first, "2 4\n2 1\n3 1\n4 1\n"],
        "00001: this vector has 5 entries, the matrix 4",
    );
    fails("gap", &[first, "2 3\n3 1\n"], "00001: row 2 has no value");
    fails("twice", &[first, "2 3\n2 1\n3 1\n2 7\n"], "00001:4: row 2 is given twice");
    fails(
        "head",
        &[first, "2 3 2 3\n"],
        "00001:1: first and last row of this part must stand here",
    );
    fails("inf", &[first, "2 3\n2 inf\n3 1\n"], "00001:2: 'inf' is not finite");
    fails("more", &[first, "2 3\n2 1 1\n"], "00001:2: '1' is one number too many");
}

/// A matrix of all ranks, whatever its reader has to say.
fn read_on_ranks(path: &Path, comm: &Comm) -> Result<DistCsr> {
    matrix_market::read_on_ranks(path, comm, &mut Vec::new())
}

#[test]
fn the_first_rank_is_told_how_many_entries_were_added_up() {
    let folder = Folder::new("mm-notes");
    let text =
        "%%MatrixMarket matrix coordinate real general\n3 3 5\n1 1 1\n3 3 1\n3 1 1\n3 3 1\n3 1 1\n";
    let path = folder.file("twice.mtx", text);
    for size in [1, 2, 3] {
        let notes = threads::run(size, |comm| {
            let mut notes = Vec::new();
            let a = matrix_market::read_on_ranks(&path, &Comm::new(comm), &mut notes).unwrap();
            assert!((0..a.n_own()).filter(|&k| a.global_row(k) == 2).all(|k| a.diagonal(k) == 2.0));
            notes
        });
        assert_eq!(
            notes[0],
            ["2 entries stand at the place of an earlier one and were added to it"]
        );
        assert!(notes[1..].iter().all(Vec::is_empty));
        // A sum that is no number fails on all ranks.
        let text = "%%MatrixMarket matrix coordinate real general\n3 3 2\n3 3 1e308\n3 3 1e308\n";
        let path = folder.file("infinite.mtx", text);
        let told = threads::run(size, |comm| read_on_ranks(&path, &Comm::new(comm)).unwrap_err());
        assert!(told.iter().any(|e| e.to_string().contains("infinite.mtx: ")), "{told:?}");
    }
    // A vector of as many rows as the matrix may have a single entry, however long it is.
    let text = "%%MatrixMarket matrix coordinate real general\n3000000 1 1\n7 1 2.5\n";
    let path = folder.file("load.mtx", text);
    threads::run(2, |comm| {
        let space = Space::even(Comm::new(comm), 3_000_000);
        let x = matrix_market::read_vector_on_ranks(&path, &space, &mut Vec::new()).unwrap();
        assert_eq!(x.iter().sum::<f64>(), if space.start() == 0 { 2.5 } else { 0.0 });
    });
}

#[test]
fn a_part_stands_for_all_and_binary_ones_are_refused() {
    let folder = Folder::new("ij-names");
    let a = convection_diffusion(5);
    let name = write_parts(&folder, "A.IJ", &ij(&a, &[0, 7, 25], 0));
    for k in 0..2 {
        let part = folder.path().join(format!("A.IJ.0000{k}"));
        assert!(hypre_ij::is_part(&part) && !hypre_ij::is_hypre_ij(&part));
        assert_eq!(hypre_ij::name_of_part(&part), Some(name.clone()));
    }
    // Files that are only named so.
    let text = "%%MatrixMarket matrix coordinate real general\n1 1 1\n1 1 1\n";
    folder.file("step.00000", text);
    assert!(!hypre_ij::is_part(&folder.file("step.00001", text)));
    assert!(!hypre_ij::is_part(&folder.path().join("A.IJ.00002")));
    assert_eq!(hypre_ij::name_of_part(&folder.path().join("A.IJ.001")), None);
    assert_eq!(hypre_ij::name_of_part(&folder.path().join(".00001")), None);
    // hypre's binary parts.
    let part = folder.file("B.IJ.00000.bin", "\u{1}\0\0\0");
    let name = hypre_ij::name_of_part(&part).unwrap();
    assert!(hypre_ij::is_part(&part) && hypre_ij::is_hypre_ij(&name));
    let text = error_of(|comm| hypre_ij::read(&name, comm).map(|_| ()));
    assert!(
        text.contains("B.IJ.00000.bin: hypre's binary IJ format is not read; write the"),
        "{text}"
    );
    // Gzipped parts.
    let parts = ij(&a, &[0, 7, 25], 0);
    for (k, text) in parts.iter().enumerate() {
        use std::io::Write;
        let file = fs::File::create(folder.path().join(format!("Z.{k:05}"))).unwrap();
        let mut packed = flate2::write::GzEncoder::new(file, flate2::Compression::default());
        packed.write_all(text.as_bytes()).unwrap();
        packed.finish().unwrap();
    }
    assert!(hypre_ij::is_part(&folder.path().join("Z.00001")));
    assert_rows(&hypre_ij::read(&folder.path().join("Z"), &Comm::solo()).unwrap(), &a);
}

const BAD: [(&str, &str); 5] = [
    ("coordinate real general\n3 3 2\n1 1 1\n", ":3: the file ends after 1 of 2 entries"),
    ("coordinate real general\n3 3 1\n1 9 1\n", ":3: column 9 is not within 1..3"),
    ("coordinate real general\n2 3 1\n1 1 1\n", ": the matrix is 2×3; it must be square"),
    ("coordinate real general\n9 9 2000\n1 1 1\n", ":2: 2000 entries have no room in this file"),
    ("coordinate complex general\n3 3 1\n1 1 1 1\n", ":1: complex matrices are not supported"),
];

#[test]
fn matrix_market_files_give_the_same_rows_on_any_number_of_ranks() {
    let folder = Folder::new("mm-ranks");
    let a = convection_diffusion(5);
    let general = folder.path().join("general.mtx");
    matrix_market::write(&general, &a, "").unwrap();
    let symmetric = folder.path().join("symmetric.mtx");
    matrix_market::write(&symmetric, &laplace(5), "").unwrap();
    let head = "%%MatrixMarket matrix ";
    let others = [
        ("skew.mtx", "coordinate real skew-symmetric\n4 4 2\n2 1 -1\n4 2 7\n"),
        ("pattern.mtx", "coordinate pattern symmetric\n4 4 3\n1 1\n4 2\n3 3\n"),
        ("array.mtx", "array real symmetric\n3 3\n1\n0\n2\n3\n0\n4\n"),
        ("twice.mtx", "coordinate real symmetric\n3 3 5\n1 1 1\n3 1 2\n1 1 5\n1 3 4\n1 1 -6.5\n"),
        ("zeros.mtx", "coordinate real general\n3 3 2\n1 1 0\n3 2 0\n"),
    ];
    let others = others.map(|(name, text)| folder.file(name, &format!("{head}{text}")));
    for path in [general, symmetric].iter().chain(&others) {
        let whole = matrix_market::read(path).unwrap();
        for size in [1, 2, 3, 5, 30] {
            threads::run(size, |comm| {
                assert_rows(&read_on_ranks(path, &Comm::new(comm)).unwrap(), &whole);
            });
        }
    }
}

#[test]
fn faults_of_matrix_market_files_are_told_on_all_ranks() {
    let folder = Folder::new("mm-faults");
    for (text, why) in BAD {
        let path = folder.file("bad.mtx", &format!("%%MatrixMarket matrix {text}"));
        let told = error_of(|comm| read_on_ranks(&path, comm).map(|_| ()));
        assert!(told.contains(&format!("bad.mtx{why}")), "{told}");
    }
    let path = folder.path().join("nothing.mtx");
    let told = error_of(|comm| read_on_ranks(&path, comm).map(|_| ()));
    assert!(told.contains("nothing.mtx"), "{told}");
    let path = folder.path().join("long.mtx");
    matrix_market::write_vector(&path, &[1.0; 5], "").unwrap();
    let told = error_of(|comm| {
        let space = Space::even(comm.clone(), 4);
        matrix_market::read_vector_on_ranks(&path, &space, &mut Vec::new()).map(|_| ())
    });
    assert!(told.contains("long.mtx: this vector has 5 entries, the matrix 4 rows"), "{told}");
}

#[test]
fn a_vector_is_gathered_and_scattered() {
    for (size, with_empty) in [(1, false), (2, true), (3, false), (4, true), (30, false)] {
        let x = vector(25);
        threads::run(size, |comm| {
            let is_first = comm.rank() == 0;
            let starts = starts(size, 25, with_empty);
            let space = Space::from_starts(Comm::new(comm), starts).unwrap();
            let mine = space.scatter(is_first.then_some(x.as_slice())).unwrap();
            assert_eq!(mine.len(), space.n_own());
            let whole = space.gather(&mine).unwrap();
            assert_eq!(whole, is_first.then(|| x.clone()));
            let wrong = space.scatter(Some(&x[1..])).unwrap_err().to_string();
            assert!(wrong.contains("a vector of 24 entries for 25 rows"), "{wrong}");
        });
    }
}
