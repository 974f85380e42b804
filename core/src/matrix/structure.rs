//! What the pattern of a matrix alone says: its structural rank.
use super::Csr;

/// Looks at the searches of [`structural_rank`], for each entry of the matrix, until they are given up.
const PATIENCE: usize = 50;

/// The most entries that are not zero and of which no two share a row or a column: less than the number of
/// rows where the pattern alone makes a square matrix singular. `None` where finding out takes too long.
///
/// Augmenting paths (I. S. Duff, *ACM TOMS* 7 (1981) 315), from the diagonal on.
pub fn structural_rank(a: &Csr) -> Option<usize> {
    let view = a.view();
    let there = |k: usize| view.values[k] != 0.0;
    let none = u32::MAX;
    // The row that each column is matched with.
    let mut row_of = vec![none; a.n_cols()];
    let mut unmatched = Vec::new();
    for i in 0..a.n_rows() as u32 {
        match row_of.get_mut(i as usize).filter(|_| view.get(i as usize, i as usize) != 0.0) {
            Some(row) => *row = i,
            None => unmatched.push(i),
        }
    }
    let mut rank = a.n_rows() - unmatched.len();
    let mut patience = PATIENCE.saturating_mul(a.nnz());
    let mut seen = vec![none; a.n_cols()];
    let mut next: Vec<u32> = vec![0; a.n_rows()];
    for &root in &unmatched {
        // Rows of the path, each but the first with the column that it was reached by.
        let mut path = vec![(root, none)];
        next[root as usize] = view.row_ptr[root as usize];
        while let Some(&(i, _)) = path.last() {
            let end = view.row_ptr[i as usize + 1];
            let at = (next[i as usize]..end).find(|&k| {
                let j = view.cols[k as usize] as usize;
                patience = patience.saturating_sub(1);
                there(k as usize) && seen[j] != root
            });
            if patience == 0 {
                return None;
            }
            let Some(at) = at else {
                path.pop();
                continue;
            };
            next[i as usize] = at + 1;
            let j = view.cols[at as usize];
            seen[j as usize] = root;
            let owner = row_of[j as usize];
            if owner != none {
                next[owner as usize] = view.row_ptr[owner as usize];
                path.push((owner, j));
                continue;
            }
            // A free column: every row of the path takes the column that the next one gives up.
            let mut free = j;
            for &(row, by) in path.iter().rev() {
                row_of[free as usize] = row;
                free = by;
            }
            rank += 1;
            break;
        }
    }
    Some(rank)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_structural_rank_is_that_of_the_best_choice_of_entries() {
        let rank = |n: usize, places: &[(usize, usize)]| {
            let a = Csr::from_triplets(n, n, places.iter().map(|&(i, j)| (i, j, 1.0)));
            structural_rank(&a.expect("valid"))
        };
        // A cyclic shift, an arrow without a diagonal, two rows with one column between them.
        assert_eq!(rank(5, &[(0, 1), (1, 2), (2, 3), (3, 4), (4, 0)]), Some(5));
        assert_eq!(rank(4, &[(0, 1), (0, 2), (0, 3), (1, 0), (2, 0), (3, 0)]), Some(2));
        assert_eq!(rank(3, &[(0, 0), (1, 0), (2, 1), (2, 2), (0, 0)]), Some(2));
        // A path that has to be undone all along: row i may take columns i and i + 1, the last one 0 only.
        let n = 200;
        let mut places: Vec<(usize, usize)> =
            (0..n - 1).flat_map(|i| [(i, i), (i, i + 1)]).collect();
        places.push((n - 1, 0));
        assert_eq!(rank(n, &places), Some(n));
        // Zeros that are stored do not count.
        let a = Csr::from_triplets(2, 2, [(0, 0, 1.0), (0, 1, 1.0), (1, 0, 0.0)]).expect("valid");
        assert_eq!(structural_rank(&a), Some(1));
        assert_eq!(structural_rank(&Csr::from_triplets(0, 0, []).expect("valid")), Some(0));
    }
}
