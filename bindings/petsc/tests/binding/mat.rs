//! Matrices.
use crate::support::{file, petsc, processes, system, told};
use precondor_core::matrix::io::petsc_binary::{self, Indices, PetscFile};
use precondor_petsc::{Mat, Petsc, Ranks, Vec as Vector, Viewer};

processes! { products_are_ours_on_two_ranks [Found; 2] { products() } }
processes! { products_are_ours_with_64_bits [Wide; 1] { products() } }

fn products() {
    let petsc = petsc();
    let (system, load) = system(&petsc);
    let a = system.a();
    let mat = Mat::from_dist(&petsc, a).expect("a matrix");
    assert_eq!(mat.ranks(), Ranks::All);
    assert_eq!(mat.size(), [225, 225]);
    assert_eq!(mat.own_size(), [a.n_own(), a.n_own()]);
    let x = Vector::from_slice(&petsc, Ranks::All, &load).expect("a vector");
    let mut y = x.like().expect("a vector");
    let mut ours = vec![0.0; a.n_own()];
    a.spmv(&load, &mut ours).expect("ours");
    for transposed in [false, true] {
        match transposed {
            false => mat.mult(&x, &mut y).expect("theirs"),
            true => mat.mult_transpose(&x, &mut y).expect("theirs"),
        }
        let theirs = y.to_vec().expect("entries");
        let off = theirs.iter().zip(&ours).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(off < 1e-15, "{off}: A is symmetric");
    }
    let info = mat.info().expect("info");
    assert_eq!(info.entries, a.nnz_global().expect("a sum") as f64);
    assert_eq!(info.mallocs, 0.0);
    for i in [0, a.n_own() - 1] {
        let ours: Vec<(u64, f64)> = a.global_entries(i).collect();
        assert_eq!(mat.row(a.global_row(i)).expect("a row"), ours);
    }
    let elsewhere = (a.global_row(0) + a.n_own() as u64) % 225;
    if petsc.size() > 1 {
        assert!(told(mat.row(elsewhere)).contains("is none of this rank's"));
    }
    let frobenius = mat.norm().expect("a norm");
    let values = || (0..a.n_own()).flat_map(|i| a.global_entries(i)).map(|(_, v)| v * v);
    let mut sum = [values().sum::<f64>()];
    precondor_core::comm::Communicator::sum(petsc.comm(Ranks::All), &mut sum).expect("a sum");
    assert!((frobenius - sum[0].sqrt()).abs() < 1e-12 * frobenius);
    let text = Viewer::string(&petsc, Ranks::All).expect("a viewer");
    mat.view(&text).expect("shown");
    assert_eq!(text.text().expect("text").contains("row 224"), petsc.rank() == 0);
}

processes! { files_pass_between_petsc_and_the_core [Found; 2] { files(Indices::Bits32) } }
processes! { files_pass_between_petsc_and_the_core_with_64_bits [Wide; 1] {
    files(Indices::Bits64)
} }

fn files(indices: Indices) {
    let petsc = petsc();
    let (system, load) = system(&petsc);
    let a = system.a();
    let rows = |a: &precondor_core::matrix::DistCsr| -> Vec<Vec<(u64, f64)>> {
        (0..a.n_own()).map(|i| a.global_entries(i).collect()).collect()
    };
    // Ours to PETSc, the right-hand side behind the matrix.
    let path = file(&petsc, "ours.petsc");
    petsc_binary::write(&path, a, Some(&load), indices).expect("written");
    let theirs = Mat::load(&petsc, Ranks::All, &path).expect("PETSc reads ours");
    for i in 0..theirs.own_size()[0] {
        let row = a.global_row(i);
        assert_eq!(theirs.row(row).expect("a row"), rows(a)[i]);
    }
    // PETSc's to ours.
    let back = file(&petsc, "theirs.petsc");
    theirs.save(&back).expect("saved");
    let mut read = PetscFile::open(&back).expect("a PETSc file");
    assert_eq!(read.indices(), indices);
    let again = read.distributed_matrix(petsc.comm(Ranks::All)).expect("ours reads PETSc's");
    assert_eq!(rows(&again), rows(a));
    petsc.comm(Ranks::All).agree(Ok(())).expect("together");
    if petsc.rank() == 0 {
        for path in [path, back] {
            let _ = std::fs::remove_file(format!("{}.info", path.display()));
            std::fs::remove_file(path).expect("removed");
        }
    }
}

fn small(petsc: &Petsc) -> Mat {
    Mat::from_rows(petsc, Ranks::One, 3, &[0, 2, 3], &[0, 2, 1], &[1.0, 2.0, 3.0]).expect("2 × 3")
}

processes! { a_matrix_need_not_be_square [Found; 1] {
    let petsc = petsc();
    let a = small(&petsc);
    assert_eq!(format!("{a:?}"), "Mat(2×3)");
    let [mut x, mut y] = a.vecs().expect("vectors");
    x.write(|x| x.copy_from_slice(&[1.0, 10.0, 100.0])).expect("written");
    a.mult(&x, &mut y).expect("a product");
    assert_eq!(y.to_vec().expect("entries"), [201.0, 30.0]);
    a.mult_transpose(&y, &mut x).expect("a product");
    assert_eq!(x.to_vec().expect("entries"), [201.0, 90.0, 402.0]);
    let text = told(a.mult(&y.like().expect("a vector"), &mut x));
    assert_eq!(text, "Mat::mult: vectors of 2 and 3 own entries, where 3 and 2 are needed");
} }

processes! { arrays_that_make_no_matrix_are_refused [Found; 1] {
    let petsc = petsc();
    let from = |row_ptr: &[usize], cols: &[u64], values: &[f64]| {
        told(Mat::from_rows(&petsc, Ranks::One, 2, row_ptr, cols, values))
    };
    assert_eq!(from(&[], &[], &[]), "0 offsets, 0 columns and 0 values make no rows");
    assert_eq!(from(&[0, 2], &[0], &[1.0]), "2 offsets, 1 columns and 1 values make no rows");
    assert_eq!(from(&[0, 1], &[0], &[]), "2 offsets, 1 columns and 0 values make no rows");
    let text = from(&[0, 3, 1], &[0], &[1.0]);
    assert_eq!(text, "own row 0: its offsets 0..3 are no range of entries");
    let text = from(&[0, 2, 2], &[1, 0], &[1.0, 1.0]);
    assert_eq!(text, "own row 0: column 0 follows column 1; sort columns");
    let text = from(&[0, 0, 1], &[2], &[1.0]);
    assert_eq!(text, "own row 1: column 2 of a matrix with 2 columns");
} }

processes! { a_matrix_of_some_other_ranks_is_refused [Found; 2] {
    let petsc = petsc();
    let alone = petsc.comm(Ranks::One).clone();
    let (system, _) = crate::support::poisson(alone);
    let mat = Mat::from_dist(&petsc, system.a()).expect("one rank alone");
    assert_eq!(mat.ranks(), Ranks::One);
    let threads = precondor_core::comm::threads::run(3, |comm| {
        let comm = precondor_core::comm::Comm::new(comm);
        crate::support::poisson(comm).0.a().clone()
    });
    let text = told(Mat::from_dist(&petsc, &threads[0]));
    assert_eq!(text, "a matrix of 3 of the job's 2 ranks");
} }

processes! { indices_beyond_32_bits_are_refused_with_the_reason [Found; 1] {
    let petsc = petsc();
    let text = told(Vector::new(&petsc, Ranks::One, 1 << 31));
    assert!(text.contains("2147483648 is too large for PETSc 3."), "{text}");
    assert!(text.contains("whose integers have 32 bits"), "{text}");
} }
