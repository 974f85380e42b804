//! Unknowns a node, found from the pattern.
//!
//! In a system of d unknowns a node, numbered node by node, the d rows of a node have the same columns, and
//! these come node by node, too. The largest d up to six that holds for every row looked at, among all or,
//! in large matrices, evenly chosen nodes, is taken.
use precondor_sdk::core::matrix::CsrView;

/// Unknowns a node, at most.
const MOST: usize = 6;
/// Nodes that are looked at.
const SAMPLE: usize = 2000;
/// A matrix with fewer rows for each entry of a row is as good as dense: any pattern would do.
const SPARSE: usize = 4;

/// Unknowns a node; 1 where nothing tells of more.
pub(crate) fn find(a: CsrView<'_>) -> usize {
    let n = a.n_rows();
    if n < 2 * MOST || a.nnz() * SPARSE > n * n {
        return 1;
    }
    (2..=MOST).rev().find(|&d| n.is_multiple_of(d) && holds(a, d)).unwrap_or(1)
}

fn holds(a: CsrView<'_>, d: usize) -> bool {
    let nodes = a.n_rows() / d;
    let step = nodes.div_ceil(SAMPLE);
    // Diagonal blocks alone say nothing: the nodes may not be coupled at all.
    let mut coupled = false;
    let alike = (0..nodes).step_by(step).all(|node| {
        let first = a.row_cols(node * d);
        coupled |= first.len() > d;
        by_nodes(first, d) && (1..d).all(|k| a.row_cols(node * d + k) == first)
    });
    alike && coupled
}

/// Whether columns come in runs of d that start at a multiple of d.
fn by_nodes(cols: &[u32], d: usize) -> bool {
    let run = |run: &[u32]| {
        (run[0] as usize).is_multiple_of(d) && run.windows(2).all(|w| w[1] == w[0] + 1)
    };
    cols.len().is_multiple_of(d) && cols.chunks_exact(d).all(run)
}
