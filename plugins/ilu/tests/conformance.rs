//! What the interface asks of every method.
use precondor_plugin_ilu::{Ic, Ilu};
use precondor_sdk::core::matrix::{Csr, DistCsr};
use precondor_sdk::core::system::System;

/// A matrix whose diagonal is small in two rows of three: one goes with the column of the other, and all
/// three are coupled to others.
fn small_diagonals() -> System {
    let n = 36usize;
    let entries = (0..n).flat_map(|i| {
        let partner = [i, i + 1, i.wrapping_sub(1)][i % 3];
        let strong = [(i, i, 0.1), (i, partner, 3.0 + (i as f64).sin())];
        let strong = strong.into_iter().skip(usize::from(i == partner));
        let weak = [i.wrapping_sub(4), i.wrapping_sub(3), i + 3, i + 5];
        let weak = weak.into_iter().filter(move |j| *j < n && *j != partner);
        strong.chain(weak.map(move |j| (i, j, 0.4 * (1.0 + (i * 7 + j) as f64).cos())))
    });
    let a = Csr::from_triplets(n, n, entries.collect::<Vec<_>>()).expect("a matrix");
    System::new(DistCsr::solo(a).expect("on one rank"))
}

precondor_sdk::conformance! {
    ilu: Kit::<Ilu>::new(json!({}));
    ilu_rcm: Kit::<Ilu>::new(json!({"ordering": "rcm"}));
    ilu_of_level_one_by_amd: Kit::<Ilu>::new(json!({"level": 1, "ordering": "amd"}));
    ilut: Kit::<Ilu>::new(json!({"drop_tolerance": 0.01, "max_fill": 4})).may_keep_more();
    ilutp: Kit::<Ilu>::new(json!({"pivoting": 1.0, "drop_tolerance": 0.01, "ordering": "rcm"})).may_keep_more();
    ilu_matched: Kit::<Ilu>::new(json!({"matching": "product", "ordering": "rcm"})).may_keep_more();
    ilutp_matched: Kit::<Ilu>::new(json!({"matching": "product", "pivoting": 0.1})).may_keep_more();
    ilu_where_columns_move: Kit::<Ilu>::new(json!({"matching": "product"})).system(small_diagonals()).may_keep_more();
    ilutp_where_columns_move: Kit::<Ilu>::new(json!({"pivoting": 1.0})).system(small_diagonals()).may_keep_more();
    ilut_by_rows: Kit::<Ilu>::new(json!({"drop_tolerance": 0.05, "matching": "none"}));
    ic: Kit::<Ic>::new(json!({}));
    ic_rcm: Kit::<Ic>::new(json!({"ordering": "rcm"}));
    ic_amd: Kit::<Ic>::new(json!({"ordering": "amd"}));
}
