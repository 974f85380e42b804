//! PETSc's matrices lent to methods: in place where that can be, and never longer than they live.
use crate::support::{petsc, processes};
use precondor_core::comm::Comm;
use precondor_core::matrix::Csr;
use precondor_petsc::api::{Api, IntVec, RawMat, Width};
use precondor_petsc::matrix;
use std::ptr::null_mut;

processes! { arrays_stay_where_they_are [Found; 1] { arrays() } }
processes! { indices_of_64_bits_are_converted [Wide; 1] { arrays() } }

/// The matrix of `[2 -1; -1 2 -1; -1 2]` over arrays of ours, its columns in the order given.
///
/// # Safety
/// PETSc is running, and the arrays outlive the matrix.
unsafe fn tridiagonal(api: &Api, rows: &IntVec, cols: &IntVec, values: &[f64; 7]) -> RawMat {
    let mut a = null_mut();
    // SAFETY: the caller's promise; the arrays are as long as such a matrix asks for.
    unsafe {
        let (comm, n) = (api.comm_world().expect("a world"), api.to_int(3).expect("small"));
        let (rows, cols, values) = (rows.as_ptr(), cols.as_ptr(), values.as_ptr());
        api.MatCreateSeqAIJWithArrays(comm, n, n, rows, cols, values, &mut a).expect("a matrix");
    }
    a
}

fn arrays() {
    let petsc = petsc();
    let api = Api::in_process().expect("PETSc");
    let ints = |all: &[i64]| api.to_ints(all.iter().copied()).expect("small");
    let (rows, cols) = (ints(&[0, 2, 5, 7]), ints(&[0, 1, 0, 1, 2, 1, 2]));
    let sorted = [2.0, -1.0, -1.0, 2.0, -1.0, -1.0, 2.0];
    // SAFETY: PETSc is running; the matrix is ours and lives until it is destroyed below.
    let kept: Csr = unsafe {
        let mut a = tridiagonal(api, &rows, &cols, &sorted);
        let kept = matrix::lend(api, a, &Comm::solo(), |lent| {
            let view = lent.own().view();
            assert_eq!(view.values, sorted);
            assert_eq!(view.cols, [0, 1, 0, 1, 2, 1, 2]);
            // Only indices of another width ask for arrays of our own.
            assert_eq!(view.values.as_ptr() == sorted.as_ptr(), api.width() == Width::Narrow);
            let kept = lent.own().clone();
            assert_ne!(kept.view().values.as_ptr(), sorted.as_ptr());
            Ok(kept)
        });
        api.MatDestroy(&mut a).expect("gone");
        kept.expect("a matrix")
    };
    assert_eq!(kept.view().values, sorted);
    // Rows in no order, as a user's own arrays may be.
    // SAFETY: as above.
    unsafe {
        let values = [-1.0, 2.0, -1.0, -1.0, 2.0, 2.0, -1.0];
        let cols = ints(&[1, 0, 2, 0, 1, 2, 1]);
        let mut a = tridiagonal(api, &rows, &cols, &values);
        let view = matrix::lend(api, a, &Comm::solo(), |lent| Ok(lent.own().clone()));
        assert_eq!(view.expect("a matrix").view().values, sorted);
        api.MatDestroy(&mut a).expect("gone");
        let none = matrix::lend(api, null_mut(), &Comm::solo(), |_| Ok(()));
        assert!(none.expect_err("none").to_string().contains("there is no matrix"));
    }
    petsc.finalize().expect("the end");
}
