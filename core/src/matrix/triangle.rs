//! Symmetric matrices of which one triangle is stored.
//!
//! Some formats write one triangle and say so (Matrix Market), others write one and do not: what PETSc
//! writes of a MATSBAIJ reads as an upper triangular matrix, with diagonal blocks that are whole where the
//! matrix has blocks.
use super::DistCsr;
use crate::comm::Communicator;
use crate::{Error, Result};
use std::fmt;

/// A triangle of a matrix, with the diagonal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Triangle {
    /// Columns to the right of the diagonal.
    Upper,
    /// Columns to the left of the diagonal.
    Lower,
}

impl fmt::Display for Triangle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Triangle::Upper => "upper",
            Triangle::Lower => "lower",
        })
    }
}

/// Sizes of diagonal blocks that are looked for.
const BLOCKS: std::ops::RangeInclusive<u64> = 1..=8;

/// An entry on its way, with what it is.
type Entry = (u64, u64, Kind, f64);

/// Entries that meet at one place come in this order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// Of the given triangle.
    Given,
    /// The mirror image of one.
    Mirror,
    /// Stored in the other triangle.
    Other,
}

impl DistCsr {
    /// The triangle in which all entries lie, where there are any off the diagonal; diagonal blocks of
    /// up to 8 rows may be whole if they are symmetric. One pass over A, and one gather. Collective.
    ///
    /// # Errors
    /// What the communicator reports.
    pub fn one_triangle(&self) -> Result<Option<Triangle>> {
        // Sizes of blocks, a bit each: those that hold all entries below the diagonal, those that hold
        // all above it, and those whose blocks are symmetric.
        let all = BLOCKS.filter(|&b| self.n_global().is_multiple_of(b)).fold(0, |s, b| s | 1 << b);
        let (mut below, mut above, mut symmetric) = (all, all, all);
        'rows: for k in 0..self.n_own() {
            let i = self.global_row(k);
            for (j, v) in self.global_entries(k).filter(|&(j, _)| j != i) {
                let same = BLOCKS.filter(|b| i / b == j / b).fold(0u64, |s, b| s | 1 << b);
                let side = if j < i { &mut below } else { &mut above };
                *side &= same;
                // A mirror image on another rank is trusted.
                let here = j.checked_sub(self.space().start()).filter(|&j| j < self.n_own() as u64);
                let here = here.filter(|_| same & symmetric != 0);
                if here.is_some_and(|j| self.own().view().get(j as usize, k) != v) {
                    symmetric &= !same;
                }
                if (below | above) & symmetric == 0 {
                    break 'rows;
                }
            }
        }
        let ranks = self.space().comm().all_gather(&[below, above, symmetric])?;
        let [below, above, symmetric] =
            [0, 1, 2].map(|k| ranks.iter().fold(all, |all, of_rank| all & of_rank[k]));
        let (upper, lower) = (below & !above & symmetric != 0, above & !below & symmetric != 0);
        Ok(match (upper, lower) {
            (true, false) => Some(Triangle::Upper),
            (false, true) => Some(Triangle::Lower),
            _ => None,
        })
    }

    /// The symmetric matrix of which this is one triangle. Entries of the other one must be zero, or
    /// equal to their mirror image. Every entry is sent to the owner of its column once. Collective.
    ///
    /// # Errors
    /// [`Error::Data`] naming the first global row with an entry that is not.
    pub fn mirrored(&self, given: Triangle) -> Result<DistCsr> {
        let space = self.space();
        space.comm().scope(|| {
            let mut entries: Vec<Entry> = Vec::with_capacity(2 * self.nnz_own());
            let mut send = vec![Vec::new(); space.comm().size()];
            for k in 0..self.n_own() {
                let i = self.global_row(k);
                for (j, v) in self.global_entries(k) {
                    let side = if j < i { Triangle::Lower } else { Triangle::Upper };
                    if i != j && side != given {
                        entries.push((i, j, Kind::Other, v));
                        continue;
                    }
                    entries.push((i, j, Kind::Given, v));
                    if i != j {
                        let to = &mut send[space.owner(j)];
                        [i, j, v.to_bits()].iter().for_each(|word| to.extend(word.to_le_bytes()));
                    }
                }
            }
            for message in space.comm().all_to_all(&send)? {
                for entry in message.as_chunks::<24>().0 {
                    let word =
                        |k: usize| u64::from_le_bytes(std::array::from_fn(|b| entry[8 * k + b]));
                    entries.push((word(1), word(0), Kind::Mirror, f64::from_bits(word(2))));
                }
            }
            entries.sort_unstable_by_key(|&(i, j, kind, _)| (i, j, kind));
            let rows = self.merge(&entries, given);
            let (row_ptr, cols, values) = space.comm().agree_first(rows)?;
            DistCsr::from_rows(space, &row_ptr, &cols, &values)
        })
    }

    /// Own rows out of their sorted entries.
    fn merge(&self, entries: &[Entry], given: Triangle) -> Result<(Vec<u32>, Vec<u64>, Vec<f64>)> {
        let (mut row_ptr, mut cols, mut values) = (vec![0u32; self.n_own() + 1], vec![], vec![]);
        let mut last = None;
        for &(i, j, kind, v) in entries {
            let mirror = last.filter(|&(row, col, _)| (row, col) == (i, j)).map(|(.., v)| v);
            if kind == Kind::Other {
                if v != 0.0 && mirror != Some(v) {
                    let across = match mirror {
                        Some(w) => format!("a({j}, {i}) = {w}"),
                        None => format!("no entry at ({j}, {i})"),
                    };
                    return Err(Error::Data(format!(
                        "global row {i}: a({i}, {j}) = {v} is no mirror image: the {given} triangle, \
                         which is to be mirrored, has {across}"
                    )));
                }
                continue;
            }
            last = Some((i, j, v));
            row_ptr[(i - self.space().start()) as usize + 1] += 1;
            cols.push(j);
            values.push(v);
        }
        if values.len() > u32::MAX as usize {
            return Err(Error::Data("2³² or more entries on a rank; use more ranks".into()));
        }
        for k in 0..self.n_own() {
            row_ptr[k + 1] += row_ptr[k];
        }
        Ok((row_ptr, cols, values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comm::{Comm, threads};
    use crate::matrix::Space;

    type Dense = Vec<Vec<f64>>;

    /// The second difference, or a matrix with dense 2 × 2 blocks.
    fn symmetric(n: usize, blocks: bool) -> Dense {
        let entry = |i: usize, j: usize| match i.abs_diff(j) {
            0 => 4.0 + i as f64,
            1 if !blocks || i / 2 == j / 2 => -1.0,
            2 if blocks => -0.5 - i.min(j) as f64,
            _ => 0.0,
        };
        (0..n).map(|i| (0..n).map(|j| entry(i, j)).collect()).collect()
    }

    fn distributed(comm: Comm, a: &Dense) -> DistCsr {
        let space = Space::even(comm, a.len() as u64);
        let (mut row_ptr, mut cols, mut values) = (vec![0], vec![], vec![]);
        let start = space.start() as usize;
        for row in &a[start..start + space.n_own()] {
            for (j, &v) in row.iter().enumerate().filter(|(_, v)| **v != 0.0) {
                cols.push(j as u64);
                values.push(v);
            }
            row_ptr.push(cols.len() as u32);
        }
        DistCsr::from_rows(&space, &row_ptr, &cols, &values).expect("valid")
    }

    fn triangle(a: &Dense, given: Triangle, block: usize) -> Dense {
        let keep = |i: usize, j: usize| match given {
            _ if i / block == j / block => true,
            Triangle::Upper => j > i,
            Triangle::Lower => j < i,
        };
        let row = |i: usize| (0..a.len()).map(|j| if keep(i, j) { a[i][j] } else { 0.0 }).collect();
        (0..a.len()).map(row).collect()
    }

    fn assert_same(a: &DistCsr, want: &Dense) {
        for k in 0..a.n_own() {
            let row = &want[a.global_row(k) as usize];
            let want = row.iter().enumerate().filter(|(_, v)| **v != 0.0);
            let want: Vec<_> = want.map(|(j, v)| (j as u64, *v)).collect();
            assert_eq!(a.global_entries(k).collect::<Vec<_>>(), want);
        }
    }

    #[test]
    fn a_triangle_is_told_and_mirrored_on_any_ranks() {
        for size in [1, 2, 3, 5] {
            threads::run(size, |comm| {
                let comm = Comm::new(comm);
                for (n, blocks) in [(2, false), (7, false), (8, true), (12, true)] {
                    let whole = symmetric(n, blocks);
                    let a = distributed(comm.clone(), &whole);
                    assert_eq!(a.one_triangle(), Ok(None));
                    for given in [Triangle::Upper, Triangle::Lower] {
                        // Mirroring what is whole changes nothing.
                        assert_same(&a.mirrored(given).expect("symmetric"), &whole);
                        for block in if blocks { 1..=2 } else { 1..=1 } {
                            let half = distributed(comm.clone(), &triangle(&whole, given, block));
                            assert_eq!(half.one_triangle(), Ok(Some(given)), "{n}, {block}");
                            assert_same(&half.mirrored(given).expect("one triangle"), &whole);
                        }
                    }
                }
                let mut diagonal = symmetric(6, false);
                diagonal = triangle(&triangle(&diagonal, Triangle::Upper, 1), Triangle::Lower, 1);
                assert_eq!(distributed(comm.clone(), &diagonal).one_triangle(), Ok(None));
            });
        }
    }

    #[test]
    fn entries_across_that_are_no_mirror_images_are_refused_naming_the_row() {
        for size in [1, 2, 3] {
            threads::run(size, |comm| {
                let mut a = triangle(&symmetric(6, false), Triangle::Upper, 1);
                (a[4][3], a[5][0]) = (2.0, 7.0);
                let a = distributed(Comm::new(comm), &a);
                assert_eq!(a.one_triangle(), Ok(None));
                let told = a.mirrored(Triangle::Upper).expect_err("an entry below").to_string();
                let wanted = "global row 4: a(4, 3) = 2 is no mirror image: the upper triangle, which \
                              is to be mirrored, has a(3, 4) = -1";
                assert!(told.ends_with(wanted), "{told}");
                let told = a.mirrored(Triangle::Lower).expect_err("entries above").to_string();
                assert!(told.contains("global row 0: a(0, 1) = -1 is no mirror image"), "{told}");
                assert!(told.ends_with("has no entry at (1, 0)"), "{told}");
            });
        }
    }
}
