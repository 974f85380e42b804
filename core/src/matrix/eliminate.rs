//! Unknowns that their own row determines: taken out of a system, and put back into its solution.
//!
//! Finite element codes keep nodes on a Dirichlet boundary as identity rows, aᵢᵢxᵢ = bᵢ with nothing else in
//! the row. Columns of these unknowns may or may not be cleared. With K the other rows and D these,
//!
//! ```text
//! x_D = b_D / diag(A_DD)        A_KK x_K = b_K − A_KD x_D
//! ```
//!
//! A_KK is symmetric where only the columns kept A from being so, and on a structured grid it is the matrix
//! of the inner nodes.
//!
//! Cost: a pass over A, two exchanges of ghost entries, one copy of A_KK. Rows stay on their ranks.
use super::{DistCsr, Space};
use crate::comm::Communicator;
use crate::{Error, Result};
use std::sync::Arc;

/// A matrix without the unknowns that identity rows determine.
#[derive(Clone)]
pub struct Eliminated {
    /// A_KK.
    pub a: DistCsr,
    whole: DistCsr,
    /// Own rows that were kept, increasing.
    kept: Vec<usize>,
}

impl DistCsr {
    /// Own rows that determine their unknown alone: a diagonal entry that is not zero, and no other.
    pub fn identity_rows(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.n_own()).filter(|&k| {
            let i = self.global_row(k);
            let mut alone = false;
            self.global_entries(k).filter(|&(_, v)| v != 0.0).all(|(j, _)| {
                alone = j == i;
                alone
            }) && alone
        })
    }

    /// An error that all ranks have, and how to do without identity rows, where there are some.
    /// Collective.
    pub(crate) fn naming_identity_rows(&self, error: Error) -> Result<Error> {
        match error {
            Error::Unsupported(why) => Ok(Error::Unsupported(why + &self.identity_rows_hint()?)),
            other => Ok(other),
        }
    }

    /// How to do without identity rows, where there are some. Collective.
    pub(crate) fn identity_rows_hint(&self) -> Result<String> {
        let first = self.identity_rows().next().unwrap_or(0);
        let mine = [self.identity_rows().count() as u64, self.space().start() + first as u64];
        let all = self.space().comm().all_gather(&mine)?;
        let count: u64 = all.iter().map(|of_rank| of_rank[0]).sum();
        let first = all.iter().find(|of_rank| of_rank[0] > 0);
        let Some(first) = first else { return Ok(String::new()) };
        Ok(format!(
            "; {count} rows, global row {} the first, have a diagonal entry only, as nodes with a known \
             value do: take them out (eliminate = \"identity-rows\" in [problem])",
            first[1]
        ))
    }

    /// Takes the unknowns of [`identity_rows`](Self::identity_rows) out. Collective.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where no row would be left; what the communicator reports.
    pub fn without_identity_rows(&self) -> Result<Eliminated> {
        let comm = self.space().comm();
        comm.scope(|| {
            let mut is_kept = vec![true; self.n_own()];
            self.identity_rows().for_each(|k| is_kept[k] = false);
            let kept: Vec<usize> = (0..self.n_own()).filter(|&k| is_kept[k]).collect();
            let space = Space::new(comm.clone(), kept.len())?;
            if space.n_global() == 0 {
                let text = "all rows have a diagonal entry only: nothing is left to solve for";
                return Err(Error::Unsupported(text.into()));
            }
            // New numbers, exact as f64 up to 2⁵³, and −1 for what is taken out.
            let mut numbers = vec![-1.0; self.n_own()];
            for (new, &k) in kept.iter().enumerate() {
                numbers[k] = (space.start() + new as u64) as f64;
            }
            let of_ghosts = self.fetch(&numbers)?;
            let (start, n) = (self.space().start(), self.n_own() as u64);
            let number = |j: u64| match j.checked_sub(start).filter(|&k| k < n) {
                Some(k) => numbers[k as usize],
                None => self.ghost_ids().binary_search(&j).map_or(-1.0, |g| of_ghosts[g]),
            };
            let (mut row_ptr, mut cols, mut values) = (vec![0], vec![], vec![]);
            for &k in &kept {
                let entries = self.global_entries(k).map(|(j, v)| (number(j), v));
                for (j, v) in entries.filter(|&(j, _)| j >= 0.0) {
                    cols.push(j as u64);
                    values.push(v);
                }
                row_ptr.push(cols.len() as u32);
            }
            let a = DistCsr::from_rows(&space, &row_ptr, &cols, &values)?;
            Ok(Eliminated { a, whole: self.clone(), kept })
        })
    }

    /// The ghost entries of `x`. Collective.
    fn fetch(&self, x: &[f64]) -> Result<Vec<f64>> {
        let mut ghost = vec![0.0; self.ghost_ids().len()];
        let token = self.exchange_start(x)?;
        self.exchange_finish(token, &mut ghost)?;
        Ok(ghost)
    }
}

impl Eliminated {
    /// Unknowns that were taken out, on all ranks.
    pub fn count(&self) -> u64 {
        self.whole.n_global() - self.a.n_global()
    }

    /// The distribution of the whole system.
    pub fn space(&self) -> &Arc<Space> {
        self.whole.space()
    }

    /// The entries of a vector of the whole system that belong to the rows that were kept.
    pub fn restrict(&self, x: &[f64]) -> Vec<f64> {
        self.kept.iter().map(|&k| x[k]).collect()
    }

    /// `b_K − A_KD x_D` out of the right-hand side of the whole system. Collective.
    ///
    /// # Errors
    /// What the communicator reports.
    pub fn right_hand_side(&self, b: &[f64]) -> Result<Vec<f64>> {
        let known = self.extend(&vec![0.0; self.kept.len()], b);
        let mut product = vec![0.0; b.len()];
        self.whole.spmv(&known, &mut product)?;
        Ok(self.kept.iter().map(|&k| b[k] - product[k]).collect())
    }

    /// The solution of the whole system: that of the rows that were kept, and what `b` determines.
    pub fn extend(&self, x: &[f64], b: &[f64]) -> Vec<f64> {
        let mut whole: Vec<f64> =
            b.iter().enumerate().map(|(k, b)| b / self.whole.diagonal(k)).collect();
        self.kept.iter().zip(x).for_each(|(&k, x)| whole[k] = *x);
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comm::{Comm, threads};
    use crate::kernel::grid::Grid;

    /// The five-point Laplacian on `m` by `m` nodes, those on the border being identity rows that are
    /// scaled; columns are cleared or not.
    fn with_border(comm: Comm, m: u64, clear: bool) -> DistCsr {
        let grid = Grid { mx: m as usize, my: m as usize };
        let space = Space::even(comm, m * m);
        let border = |i: u64| {
            let (x, y) = grid.place(i);
            x == 0 || y == 0 || x == m - 1 || y == m - 1
        };
        let (mut row_ptr, mut cols, mut values) = (vec![0], vec![], vec![]);
        for i in space.start()..space.start() + space.n_own() as u64 {
            for (j, step) in grid.around(i) {
                let v = match border(i) {
                    true => {
                        if i == j {
                            3.0
                        } else {
                            0.0
                        }
                    }
                    false => Grid::laplacian(step),
                };
                if v != 0.0 && !(clear && i != j && border(j)) {
                    cols.push(j);
                    values.push(v);
                }
            }
            row_ptr.push(cols.len() as u32);
        }
        DistCsr::from_rows(&space, &row_ptr, &cols, &values).expect("valid")
    }

    #[test]
    fn a_border_of_identity_rows_leaves_the_inner_grid_and_the_same_solution() {
        let m = 6;
        for (size, clear) in [(1, false), (1, true), (2, false), (3, false), (5, true)] {
            threads::run(size, |comm| {
                let a = with_border(Comm::new(comm), m, clear);
                let left = a.without_identity_rows().expect("inner nodes");
                assert_eq!(left.count(), 4 * m - 4);
                let grid = Grid { mx: m as usize - 2, my: m as usize - 2 };
                assert_eq!(Grid::of(&left.a, None), Ok(grid));
                assert_eq!(left.a.first_unsymmetric(), Ok(None));
                if !clear {
                    let told = a.require_symmetric("it").expect_err("columns are kept").to_string();
                    let wanted = "20 rows, global row 0 the first, have a diagonal entry only";
                    assert!(told.contains("it needs a symmetric matrix") && told.contains(wanted));
                }
                // A x for any x, of which the system without the border must be true as well.
                let x: Vec<f64> =
                    (0..a.n_own()).map(|k| (a.global_row(k) as f64 * 0.7).sin()).collect();
                let mut b = vec![0.0; a.n_own()];
                a.spmv(&x, &mut b).expect("multiplied");
                let (inner, rhs) = (left.restrict(&x), left.right_hand_side(&b).expect("sent"));
                let mut product = vec![0.0; rhs.len()];
                left.a.spmv(&inner, &mut product).expect("multiplied");
                let off = |x: &[f64], y: &[f64]| {
                    x.iter().zip(y).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max)
                };
                assert!(off(&product, &rhs) < 1e-14);
                assert!(off(&left.extend(&inner, &b), &x) < 1e-15);
            });
        }
    }

    #[test]
    fn rows_with_stored_zeros_are_identity_rows_and_empty_ones_are_not() {
        let rows = |row_ptr: &[u32], cols: &[u64], values: &[f64]| {
            DistCsr::from_rows(&Space::solo(3), row_ptr, cols, values).expect("valid")
        };
        let a = rows(&[0, 3, 3, 4], &[0, 1, 2, 1], &[2.0, 0.0, 0.0, 1.0]);
        assert_eq!(a.identity_rows().collect::<Vec<_>>(), [0]);
        let a = rows(&[0, 1, 2, 3], &[0, 1, 2], &[2.0, 1.0, 1.0]);
        assert_eq!(a.require_symmetric("it"), Ok(()));
        let told = a.without_identity_rows().err().expect("nothing is left").to_string();
        assert!(told.starts_with("all rows have a diagonal entry only"), "{told}");
    }
}
