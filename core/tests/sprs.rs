//! Conversions to and from sprs (feature `sprs`).
#![cfg(feature = "sprs")]
use precondor_core::comm::Comm;
use precondor_core::matrix::Csr;
use precondor_core::problem::{Poisson, Problem};
use sprs::{CsMat, TriMat};

fn same(a: &Csr, b: &Csr) {
    assert_eq!((a.n_rows(), a.n_cols()), (b.n_rows(), b.n_cols()));
    assert_eq!(a.view().row_ptr, b.view().row_ptr);
    assert_eq!(a.view().cols, b.view().cols);
    assert_eq!(a.view().values, b.view().values);
}

#[test]
fn a_matrix_comes_back_the_same() {
    let (system, _) = Problem::Poisson(Poisson::at_level(3)).generate(Comm::solo()).expect("valid");
    let wide = [(0, 3, 2.0), (2, 0, -1.0), (2, 4, 0.0)];
    let wide = Csr::from_triplets(3, 5, wide).expect("valid");
    let empty = Csr::from_triplets(0, 0, []).expect("valid");
    for a in [system.a().own(), &wide, &empty] {
        let there = CsMat::from(a);
        assert_eq!((there.rows(), there.cols(), there.nnz()), (a.n_rows(), a.n_cols(), a.nnz()));
        same(a, &Csr::try_from(&there).expect("valid"));
    }
}

#[test]
fn products_agree() {
    let (system, _) = Problem::Poisson(Poisson::at_level(3)).generate(Comm::solo()).expect("valid");
    let a = system.a().own();
    let x: Vec<f64> = (0..a.n_cols()).map(|i| (i as f64).sin()).collect();
    let mut y = vec![0.0; a.n_rows()];
    a.view().spmv(&x, &mut y, false);
    let mut z = vec![0.0; a.n_rows()];
    sprs::prod::mul_acc_mat_vec_csr(CsMat::from(a).view(), &x, &mut z);
    assert!(y.iter().zip(&z).all(|(y, z)| (y - z).abs() < 1e-14));
}

#[test]
fn columns_first_storage_is_turned_into_rows() {
    let mut entries = TriMat::new((3, 4));
    for (i, j, v) in [(2, 0, 1.0), (0, 3, 2.0), (2, 3, 3.0), (1, 1, 4.0), (2, 1, 5.0)] {
        entries.add_triplet(i, j, v);
    }
    let by_column: CsMat<f64> = entries.to_csc();
    assert!(by_column.is_csc());
    same(
        &Csr::try_from(&by_column).expect("valid"),
        &Csr::try_from(&entries.to_csr()).expect("valid"),
    );
    let a = Csr::try_from(&by_column).expect("valid");
    assert_eq!(a.view().row(2).collect::<Vec<_>>(), [(0, 1.0), (1, 5.0), (3, 3.0)]);
}

#[test]
fn a_part_of_a_larger_matrix_is_taken_alone() {
    let mut entries = TriMat::new((4, 3));
    for i in 0..4 {
        entries.add_triplet(i, i % 3, i as f64 + 1.0);
    }
    let whole: CsMat<f64> = entries.to_csr();
    let part = whole.slice_outer(2..4).to_owned();
    let a = Csr::try_from(&part).expect("valid");
    assert_eq!((a.n_rows(), a.nnz()), (2, 2));
    assert_eq!((a.view().get(0, 2), a.view().get(1, 0)), (3.0, 4.0));
}

#[test]
fn unsorted_rows_are_sorted_on_the_way() {
    let (row_ptr, cols) = (vec![0usize, 2, 3], vec![1usize, 0, 1]);
    let (_, _, _, error) = CsMat::try_new((2, 2), row_ptr.clone(), cols.clone(), vec![1.0; 3])
        .expect_err("sprs itself takes sorted rows only");
    assert!(error.to_string().to_lowercase().contains("sort"), "{error}");
    let sorted = CsMat::new_from_unsorted((2, 2), row_ptr, cols, vec![5.0, 6.0, 7.0]);
    let a = Csr::try_from(&sorted.expect("valid")).expect("valid");
    assert_eq!(a.view().row(0).collect::<Vec<_>>(), [(0, 6.0), (1, 5.0)]);
}
