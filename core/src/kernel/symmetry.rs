//! Is a block symmetric? For methods that work on the block of columns that a rank owns.
use crate::matrix::CsrView;

/// Differences of aᵢⱼ and aⱼᵢ up to this times √|aᵢᵢ aⱼⱼ| (or the larger of the two) are rounding.
pub const ROUNDING: f64 = 1e-12;

/// An entry that differs from the one across the diagonal; entries that are not stored are zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unequal {
    /// Row, counted from the first of the block.
    pub row: usize,
    /// Column, likewise.
    pub col: usize,
    /// Entry (row, col).
    pub value: f64,
    /// Entry (col, row).
    pub across: f64,
}

/// The first entry found of a square block that differs from the one across the diagonal by more
/// than [`ROUNDING`]; `None` where the block is symmetric.
///
/// `diagonal` holds the block's diagonal entries. One pass over the entries, 4 bytes a row.
///
/// # Panics
/// Where the block is not square or `diagonal` has another length.
pub fn first_unequal(a: CsrView<'_>, diagonal: &[f64]) -> Option<Unequal> {
    assert_eq!(a.n_rows(), diagonal.len(), "a square block and its diagonal");
    // Entry of each row that its column's row has not asked for yet; starts above the diagonal.
    let mut next: Vec<u32> = Vec::with_capacity(a.n_rows());
    let unequal = |row: usize, col: usize, value: f64, across: f64| {
        let scale = (diagonal[row] * diagonal[col]).abs().sqrt().max(value.abs()).max(across.abs());
        let equal = (value - across).abs() <= ROUNDING * scale;
        (!equal).then_some(Unequal { row, col, value, across })
    };
    for i in 0..a.n_rows() {
        for k in a.range(i) {
            let (j, value) = (a.cols[k] as usize, a.values[k]);
            if j >= i {
                break;
            }
            // Entries of row j before column i have nothing across: row i is the first to look.
            while (next[j] as usize) < a.range(j).end && (a.cols[next[j] as usize] as usize) < i {
                let (col, lone) = (a.cols[next[j] as usize] as usize, a.values[next[j] as usize]);
                if let Some(found) = unequal(j, col, lone, 0.0) {
                    return Some(found);
                }
                next[j] += 1;
            }
            let at = next[j] as usize;
            let stored = at < a.range(j).end && a.cols[at] as usize == i;
            let across = if stored { a.values[at] } else { 0.0 };
            if let Some(found) = unequal(i, j, value, across) {
                return Some(found);
            }
            next[j] += u32::from(stored);
        }
        let below = a.row_cols(i).partition_point(|&j| j as usize <= i);
        next.push((a.range(i).start + below) as u32);
    }
    next.iter().enumerate().find_map(|(i, &from)| {
        (from as usize..a.range(i).end)
            .find_map(|k| unequal(i, a.cols[k] as usize, a.values[k], 0.0))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::matrix::Csr;

    fn found(entries: &[(usize, usize, f64)]) -> Option<(usize, usize)> {
        let n = 5;
        let diagonal = (0..n).map(|i| (i, i, 4.0));
        let all: Vec<_> = diagonal.chain(entries.iter().copied()).collect();
        let a = Csr::from_triplets(n, n, all).unwrap();
        first_unequal(a.view(), &[4.0; 5]).map(|u| (u.row.min(u.col), u.row.max(u.col)))
    }

    #[test]
    fn every_kind_of_asymmetry_is_found() {
        let pair = [(0, 3, 1.0), (3, 0, 1.0), (2, 4, -1.0), (4, 2, -1.0), (1, 3, 2.0), (3, 1, 2.0)];
        let with = |more: &[(usize, usize, f64)]| found(&[&pair, more].concat());
        assert_eq!(with(&[]), None);
        assert_eq!(with(&[(0, 1, 1.0)]), Some((0, 1)), "lone, before what its row is asked for");
        assert_eq!(with(&[(0, 4, 1.0)]), Some((0, 4)), "lone, after what its row is asked for");
        assert_eq!(with(&[(4, 0, 1.0)]), Some((0, 4)), "lone, below the diagonal");
        assert_eq!(with(&[(3, 4, f64::NAN), (4, 3, 1.0)]), Some((3, 4)));
        assert_eq!(with(&[(0, 3, 1e-9)]), Some((0, 3)), "added to the entry that is there");
        assert_eq!(with(&[(0, 3, 1e-13)]), None, "rounding");
        assert_eq!(with(&[(0, 4, 0.0)]), None, "a stored zero across from nothing");
    }
}
