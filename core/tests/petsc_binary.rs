//! PETSc binary files: byte for byte, every fault, round trips on ranks, arbitrary bytes.
use precondor_core::Error;
use precondor_core::comm::{Comm, threads};
use precondor_core::matrix::io::petsc_binary::{self as petsc, Indices, Object, PetscFile};
use precondor_core::matrix::{Csr, DistCsr, Space};
use precondor_testkit::matrices::dense_of;
use precondor_testkit::program::Folder;
use proptest::prelude::*;
use std::fs;
use std::path::PathBuf;

/// A file with these bytes.
fn given(folder: &Folder, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join("given.petsc");
    fs::write(&path, bytes).expect("written");
    path
}

/// Bytes of integers of both widths and of values, as PETSc writes them.
#[derive(Clone)]
struct Bytes {
    wide: bool,
    bytes: Vec<u8>,
}

impl Bytes {
    fn new(wide: bool) -> Self {
        Bytes { wide, bytes: Vec::new() }
    }
    fn ints(mut self, numbers: &[i64]) -> Self {
        for &number in numbers {
            match self.wide {
                true => self.bytes.extend(number.to_be_bytes()),
                false => self.bytes.extend((number as i32).to_be_bytes()),
            }
        }
        self
    }
    fn reals(mut self, numbers: &[f64]) -> Self {
        numbers.iter().for_each(|v| self.bytes.extend(v.to_be_bytes()));
        self
    }
}

const MAT: i64 = 1_211_216;
const VEC: i64 = 1_211_214;

/// [[2, -1], [0, 3]] and (5, 7), what PETSc's documentation of the format says they look like.
fn small(wide: bool) -> Vec<u8> {
    let a = Bytes::new(wide).ints(&[MAT, 2, 2, 3, 2, 1, 0, 1, 1]).reals(&[2.0, -1.0, 3.0]);
    a.ints(&[VEC, 2]).reals(&[5.0, 7.0]).bytes
}

#[test]
fn both_widths_of_integers_are_told_by_the_first_bytes() {
    let folder = Folder::new("petsc-widths");
    for (wide, indices) in [(false, Indices::Bits32), (true, Indices::Bits64)] {
        let path = given(&folder, &small(wide));
        assert!(petsc::is_petsc_binary(&path).expect("read"));
        let mut file = PetscFile::open(&path).expect("a PETSc file");
        assert_eq!(file.indices(), indices);
        let there: Vec<Object> = file.objects().collect();
        let matrix = Object::Matrix { rows: 2, cols: 2, entries: 3 };
        assert_eq!(there, [matrix, Object::Vector { len: 2 }]);
        assert!(file.has_vector());
        assert_eq!(dense_of(&file.matrix().expect("a matrix")), [[2.0, -1.0], [0.0, 3.0]]);
        assert_eq!(file.vector().expect("a vector"), [5.0, 7.0]);

        let a = DistCsr::solo(petsc::read(&path).expect("a matrix")).expect("square");
        let copy = folder.path().join("copy.petsc");
        petsc::write(&copy, &a, Some(&[5.0, 7.0]), indices).expect("written");
        assert_eq!(fs::read(&copy).expect("there"), small(wide));
    }
    let text = given(&folder, b"%%MatrixMarket matrix coordinate real general\n");
    assert!(!petsc::is_petsc_binary(&text).expect("read"));
    assert!(!petsc::is_petsc_binary(&given(&folder, b"")).expect("read"));
}

#[test]
fn index_sets_are_passed_over_and_unsorted_rows_sorted() {
    let folder = Folder::new("petsc-order");
    let set = Bytes::new(false).ints(&[1_211_218, 3, 0, 1, 2]);
    let a = set.ints(&[MAT, 1, 3, 3, 3, 2, 0, 1]).reals(&[3.0, 1.0, 2.0]);
    let path = given(&folder, &a.bytes);
    assert_eq!(dense_of(&petsc::read(&path).expect("a matrix")), [[1.0, 2.0, 3.0]]);
    let none = PetscFile::open(&path).expect("open").vector().expect_err("there is none");
    assert!(none.to_string().ends_with("there is no vector in this PETSc file"), "{none}");
    let b = given(&folder, &Bytes::new(true).ints(&[VEC, 1]).reals(&[1.0]).bytes);
    let none = petsc::read(&b).expect_err("there is none").to_string();
    assert!(
        none.ends_with("there is no matrix in this PETSc file, only a vector of 1 entries"),
        "{none}"
    );
}

#[test]
fn every_fault_names_its_byte() {
    let folder = Folder::new("petsc-faults");
    let ints = |numbers: &[i64]| Bytes::new(false).ints(numbers);
    let one = |header: &[i64], values: &[f64]| ints(header).reals(values).bytes;
    let cases: [(&str, Vec<u8>); 17] = [
        ("byte 0: no PETSc binary file", b"hello, world".to_vec()),
        ("byte 0: no PETSc binary file", Vec::new()),
        ("byte 0: the file ends within a header", ints(&[MAT, 2, 2]).bytes),
        ("byte 0: a 2×2 matrix of 3 entries has no room in the 16", ints(&[MAT, 2, 2, 3]).bytes),
        ("byte 0: a vector of 2147483647 entries has no room", one(&[VEC, 0x7fff_ffff], &[1.0])),
        ("byte 4: a length of -2", ints(&[MAT, -2, 2, 0]).bytes),
        ("byte 12: a length of -7", ints(&[MAT, 2, 2, -7]).bytes),
        ("byte 0: a dense matrix; write it as a sparse one", one(&[MAT, 1, 1, -1], &[1.0])),
        ("byte 16: 77 is no class number", { ints(&[VEC, 1]).reals(&[1.0]).ints(&[77]).bytes }),
        ("byte 16: row 0: -1 entries in 2 columns", one(&[MAT, 2, 2, 1, -1, 2, 0], &[1.0])),
        ("byte 20: row 1: 3 entries in 2 columns", one(&[MAT, 2, 2, 1, 0, 3, 0], &[1.0])),
        ("byte 20: row 1: more entries up to here than the 1", {
            one(&[MAT, 2, 2, 1, 1, 1, 0], &[1.0])
        }),
        ("byte 0: 2 entries are announced, and the rows have 1", {
            one(&[MAT, 2, 2, 2, 1, 0, 0, 1], &[1.0, 2.0])
        }),
        ("byte 28: row 1: column 2 of 2", one(&[MAT, 2, 2, 2, 1, 1, 0, 2], &[1.0, 2.0])),
        ("byte 20: row 0: column 1 is given twice", one(&[MAT, 1, 2, 2, 2, 1, 1], &[1.0, 2.0])),
        ("byte 40: row 1: the value inf is not finite", {
            one(&[MAT, 2, 2, 2, 1, 1, 0, 1], &[1.0, f64::INFINITY])
        }),
        ("byte 24: row 0: the value NaN is not finite", one(&[MAT, 1, 1, 1, 1, 0], &[f64::NAN])),
    ];
    for (wanted, bytes) in cases {
        let path = given(&folder, &bytes);
        let told = match PetscFile::open(&path) {
            Ok(mut file) => file.matrix().expect_err(wanted),
            Err(e) => e,
        };
        let Error::File { message, .. } = &told else { panic!("{told:?}") };
        assert!(message.starts_with(wanted), "{wanted}: {told}");
        let on_ranks = threads::run(2, |comm| {
            let mut file = PetscFile::open(&path)?;
            file.distributed_matrix(&Comm::new(comm)).map(|_| ())
        });
        assert!(on_ranks.iter().all(Result::is_err), "{wanted}: {on_ranks:?}");
    }
    let path = given(&folder, &one(&[VEC, 2], &[1.0, f64::NAN]));
    let told = petsc::read_vector(&path).expect_err("not finite").to_string();
    assert!(told.ends_with("byte 16: entry 1 is NaN, not finite"), "{told}");
    let folder_itself = petsc::read(folder.path()).expect_err("a folder").to_string();
    assert!(
        folder_itself.contains("it is a folder: only regular files are read"),
        "{folder_itself}"
    );
    assert!(petsc::is_petsc_binary(&folder.path().join("missing")).is_err());
}

#[test]
fn other_precisions_are_told_by_the_length() {
    let folder = Folder::new("petsc-scalars");
    let header = || Bytes::new(false).ints(&[MAT, 2, 2, 2, 1, 1, 0, 1]);
    let complex = header().reals(&[1.0, 0.0, 2.0, 0.0]).ints(&[VEC, 1]).reals(&[5.0, 1.0]);
    let told = petsc::read(&given(&folder, &complex.bytes)).expect_err("complex").to_string();
    assert!(told.contains("values are complex, or have 128 bits; only f64"), "{told}");
    let mut single = header().bytes;
    [1f32, 2.0].iter().for_each(|v| single.extend(v.to_be_bytes()));
    let told = petsc::read(&given(&folder, &single)).expect_err("f32").to_string();
    assert!(told.contains("values are f32; only f64 is read"), "{told}");
}

#[test]
fn what_does_not_fit_is_not_written() {
    let folder = Folder::new("petsc-unwritten");
    let path = folder.path().join("a.petsc");
    let one = |v| DistCsr::solo(Csr::new(1, vec![0, 1], vec![0], vec![v]).expect("a matrix"));
    let a = one(1.0).expect("square");
    let told = |e: Error| e.to_string();
    let e = petsc::write(&path, &one(f64::NAN).expect("square"), None, Indices::Bits32);
    assert_eq!(e.map_err(told), Err("the matrix has a value NaN: not to be written".into()));
    let e = petsc::write(&path, &a, Some(&[1.0, 2.0]), Indices::Bits32);
    assert_eq!(e.map_err(told), Err("a vector of 2 entries for 1 rows".into()));
    let e = petsc::write_vector(&path, a.space(), &[f64::INFINITY], Indices::Bits32);
    assert_eq!(e.map_err(told), Err("the vector has a value inf: not to be written".into()));
    assert!(!path.exists());
    // 2³¹ rows without an entry: no memory to speak of, and too many for 32 bits.
    let e = threads::run(2, |comm| {
        let starts = vec![0, 1, 1 << 31];
        let comm = Comm::new(comm);
        if comm.rank() == 0 {
            let space = Space::from_starts(comm.clone(), starts)?;
            let own = Csr::new(1, vec![0, 0], vec![], vec![])?;
            let ghost = Csr::new(0, vec![0, 0], vec![], vec![])?;
            let link = std::sync::Arc::new(precondor_core::comm::Solo);
            let a = DistCsr::from_parts(own, ghost, vec![], space, link)?;
            return petsc::write(&folder.path().join("big.petsc"), &a, None, Indices::Bits32);
        }
        // The other rank stands for one that has those rows: it joins the collectives only.
        comm.scope(|| {
            use precondor_core::comm::Communicator;
            comm.all_gather(&[0]).map(|_| ())
        })
    });
    let text = e[0].as_ref().expect_err("too many").to_string();
    assert!(text.contains("2147483648 rows and 0 entries need indices of 64 bits"), "{text}");
    // A folder that is not there fails on all ranks.
    let nowhere = folder.path().join("no/such/folder/a.petsc");
    let e = threads::run(3, |comm| {
        let space = Space::even(Comm::new(comm), 3);
        let a = DistCsr::from_rows(&space, &[0, 1], &[space.start()], &[1.0])?;
        petsc::write(&nowhere, &a, None, Indices::Bits32)
    });
    assert!(e.iter().all(Result::is_err), "{e:?}");
    assert!(matches!(e[1], Err(Error::Elsewhere { rank: 0, .. })), "{e:?}");
}

/// Rows of a square matrix, sorted columns, finite values of any bits.
fn rows() -> impl Strategy<Value = Vec<Vec<(u64, f64)>>> {
    (1usize..12).prop_flat_map(|n| {
        let value = any::<f64>().prop_filter("finite", |v| v.is_finite());
        let row = prop::collection::btree_map(0..n as u64, value, 0..=n);
        prop::collection::vec(row.prop_map(|row| row.into_iter().collect()), n)
    })
}

/// The rows of this rank, as a distributed matrix.
fn distributed(comm: Comm, rows: &[Vec<(u64, f64)>]) -> Result<DistCsr, Error> {
    let space = Space::even(comm, rows.len() as u64);
    let start = space.start() as usize;
    let mine = &rows[start..start + space.n_own()];
    let mut row_ptr = vec![0];
    for row in mine {
        row_ptr.push(row_ptr[row_ptr.len() - 1] + row.len() as u32);
    }
    let (cols, values): (Vec<u64>, Vec<f64>) = mine.iter().flatten().copied().unzip();
    DistCsr::from_rows(&space, &row_ptr, &cols, &values)
}

fn bits(rows: &[Vec<(u64, f64)>]) -> Vec<Vec<(u64, u64)>> {
    rows.iter().map(|row| row.iter().map(|&(j, v)| (j, v.to_bits())).collect()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_round_trip_keeps_every_bit_on_any_ranks(
        rows in rows(), wrote in 1usize..4, reads in 1usize..5, wide: bool
    ) {
        let folder = Folder::new(&format!("petsc-trip-{wrote}{reads}{wide}"));
        let path = folder.path().join("ab.petsc");
        let indices = if wide { Indices::Bits64 } else { Indices::Bits32 };
        let b: Vec<f64> = (0..rows.len()).map(|i| 1.0 / (i + 1) as f64).collect();
        for result in threads::run(wrote, |comm| {
            let a = distributed(Comm::new(comm), &rows)?;
            let start = a.space().start() as usize;
            petsc::write(&path, &a, Some(&b[start..start + a.n_own()]), indices)
        }) {
            result.expect("written");
        }
        let a = petsc::read(&path).expect("read");
        let there: Vec<Vec<(u64, f64)>> = (0..a.n_rows())
            .map(|i| a.view().row(i).map(|(j, v)| (j as u64, v)).collect())
            .collect();
        prop_assert_eq!(bits(&there), bits(&rows));
        prop_assert_eq!(petsc::read_vector(&path).expect("read"), b.clone());
        let parts = threads::run(reads, |comm| -> Result<_, Error> {
            let mut file = PetscFile::open(&path)?;
            let a = file.distributed_matrix(&Comm::new(comm))?;
            let b = file.distributed_vector(a.space())?;
            let rows: Vec<Vec<(u64, f64)>> =
                (0..a.n_own()).map(|i| a.global_entries(i).collect()).collect();
            Ok((rows, b))
        });
        let (mut all, mut whole) = (Vec::new(), Vec::new());
        for part in parts {
            let (rows, part) = part.expect("read");
            all.extend(rows);
            whole.extend(part);
        }
        prop_assert_eq!(bits(&all), bits(&rows));
        prop_assert_eq!(whole, b);
    }

    #[test]
    fn no_bytes_make_it_panic(
        change in prop::collection::vec((0usize..80, any::<u8>()), 0..6), cut in 0usize..=96, wide: bool
    ) {
        let folder = Folder::new(&format!("petsc-bytes-{cut}{wide}"));
        let mut bytes = small(wide);
        let len = bytes.len();
        change.into_iter().for_each(|(k, byte)| bytes[k % len] = byte);
        bytes.truncate(len - cut.min(len));
        let path = given(&folder, &bytes);
        if let Ok(mut file) = PetscFile::open(&path) {
            let _ = (file.matrix(), file.vector());
            for result in threads::run(2, |comm| {
                PetscFile::open(&path)?.distributed_matrix(&Comm::new(comm)).map(|_| ())
            }) {
                let _ = result;
            }
        }
    }
}
