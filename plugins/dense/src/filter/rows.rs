//! Rows of matrices with global columns: what filtering works on.
use precondor_sdk::core::kernel::remote;
use precondor_sdk::core::matrix::{Explicit, ExplicitKind, ExplicitView};
use precondor_sdk::prelude::*;
use std::sync::Arc;

/// The explicit inverse in double precision; where a factor G is stored, GᵀG. Collective.
pub(crate) fn inverse(m: &Explicit<'_>, space: &Arc<Space>) -> Result<DistCsr> {
    let stored = widened(m, space)?;
    match m.kind {
        ExplicitKind::Inverse => Ok(stored),
        ExplicitKind::Factor => gram(&stored),
    }
}

fn widened(m: &Explicit<'_>, space: &Arc<Space>) -> Result<DistCsr> {
    let entries = |view: &ExplicitView<'_>, i: usize| {
        let range = view.row_ptr[i] as usize..view.row_ptr[i + 1] as usize;
        let values = view.values;
        let row = view.cols[range.clone()].iter().zip(range);
        row.map(|(&col, k)| (col, values.get(k))).collect::<Vec<_>>()
    };
    from_rows(space, |i, row| {
        let own = entries(&m.own, i).into_iter().map(|(j, v)| (space.start() + u64::from(j), v));
        row.extend(own);
        if !m.ghost_ids.is_empty() {
            let ghosts = entries(&m.ghost, i).into_iter();
            row.extend(ghosts.map(|(g, v)| (m.ghost_ids[g as usize], v)));
        }
    })
}

/// GᵀG. Collective.
fn gram(g: &DistCsr) -> Result<DistCsr> {
    let transpose = remote::transpose(g)?;
    let others = remote::fetch(g, transpose.ghost_ids())?;
    let first = g.space().start();
    from_rows(g.space(), |i, row| {
        for (k, weight) in transpose.global_entries(i) {
            match others.ids.binary_search(&k) {
                Ok(at) => {
                    let range = others.row_ptr[at]..others.row_ptr[at + 1];
                    row.extend(range.map(|e| (others.cols[e], weight * others.values[e])));
                }
                Err(_) => {
                    let own = g.global_entries((k - first) as usize);
                    row.extend(own.map(|(col, value)| (col, weight * value)));
                }
            }
        }
    })
}

/// The matrix whose own row `i` is the sum of the entries, in any order, that `fill(i, row)` appends.
/// Collective.
pub(crate) fn from_rows(
    space: &Arc<Space>,
    mut fill: impl FnMut(usize, &mut Vec<(u64, f64)>),
) -> Result<DistCsr> {
    let (mut row_ptr, mut cols, mut values) = (vec![0u32], Vec::new(), Vec::new());
    let mut row = Vec::new();
    for i in 0..space.n_own() {
        row.clear();
        fill(i, &mut row);
        row.sort_by_key(|e| e.0);
        let first = cols.len();
        for &(col, value) in &row {
            if cols.len() > first && cols.last() == Some(&col) {
                if let Some(last) = values.last_mut() {
                    *last += value;
                }
            } else {
                cols.push(col);
                values.push(value);
            }
        }
        let end = u32::try_from(cols.len());
        row_ptr.push(end.map_err(|_| {
            Error::Unsupported("2³² or more entries on one rank: use more ranks".into())
        })?);
    }
    DistCsr::from_rows(space, &row_ptr, &cols, &values)
}
