//! Unknowns a node, found from the pattern.
//!
//! In a system of d unknowns a node, numbered node by node, the d rows of a node have the same columns, and
//! these come node by node, too. The largest d up to six that holds for every row looked at, among all or,
//! in large matrices, evenly chosen nodes, is taken.
use precondor_sdk::core::comm::Communicator;
use precondor_sdk::prelude::*;

/// Unknowns a node, at most.
const MOST: u64 = 6;
/// Nodes that a rank looks at.
const SAMPLE: usize = 2000;
/// A matrix with fewer rows for each entry of a row is as good as dense: any pattern would do.
const SPARSE: u64 = 4;

/// Unknowns a node; 1 where nothing tells of more. Collective.
///
/// # Errors
/// What the communicator reports.
pub(crate) fn find(a: &DistCsr) -> Result<usize> {
    let (n, space) = (a.n_global(), a.space());
    let mut fits = [0; MOST as usize + 1];
    let mut coupled = fits;
    for d in 2..=MOST {
        let aligned = space.starts().iter().all(|start| start.is_multiple_of(d));
        if aligned {
            let (alike, more) = looked_at(a, d as usize);
            (fits[d as usize], coupled[d as usize]) = (u64::from(alike), u64::from(more));
        }
    }
    let mine: Vec<u64> = fits.iter().chain(&coupled).copied().chain([a.nnz_own() as u64]).collect();
    let all = space.comm().all_gather(&mine)?;
    let nnz: u64 = all.iter().filter_map(|mine| mine.last()).sum();
    if n < 2 * MOST || nnz * SPARSE > n * n {
        return Ok(1);
    }
    let behind = MOST as usize + 1;
    let holds = |d: &usize| {
        all.iter().all(|mine| mine[*d] == 1) && all.iter().any(|mine| mine[behind + d] == 1)
    };
    Ok((2..=MOST as usize).rev().find(holds).unwrap_or(1))
}

/// Whether own nodes of `d` rows look like nodes, and whether one is coupled to another: diagonal blocks alone
/// say nothing.
fn looked_at(a: &DistCsr, d: usize) -> (bool, bool) {
    let nodes = a.n_own() / d;
    let step = nodes.div_ceil(SAMPLE).max(1);
    let cols = |i: usize| a.global_entries(i).map(|(j, _)| j);
    let mut coupled = false;
    let alike = (0..nodes).step_by(step).all(|node| {
        let first: Vec<u64> = cols(node * d).collect();
        coupled |= first.len() > d;
        by_nodes(&first, d as u64) && (1..d).all(|k| cols(node * d + k).eq(first.iter().copied()))
    });
    (alike, coupled)
}

/// Whether columns come in runs of d that start at a multiple of d.
fn by_nodes(cols: &[u64], d: u64) -> bool {
    let run = |run: &[u64]| run[0].is_multiple_of(d) && run.windows(2).all(|w| w[1] == w[0] + 1);
    (cols.len() as u64).is_multiple_of(d) && cols.chunks_exact(d as usize).all(run)
}
