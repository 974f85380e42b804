//! Rows that belong together on one rank: the unknowns of a node.
use super::{DistCsr, Space};
use crate::kernel::remote;
use crate::{Error, Result};

impl DistCsr {
    /// The same matrix, without null spaces and services of a host, where no rank's rows end within a block of
    /// `size` rows: each rank that starts within one takes its first rows over from the rank before. Costs
    /// nothing where they do already, else a copy of the matrix and an exchange of those rows. Collective.
    ///
    /// # Errors
    /// [`Error::Data`] where the rows are not a whole number of blocks; what the communicator reports.
    pub fn in_blocks(&self, size: u64) -> Result<DistCsr> {
        self.space().comm().scope(|| self.moved(size))
    }

    fn moved(&self, size: u64) -> Result<DistCsr> {
        let (space, n) = (self.space(), self.n_global());
        if size == 0 || n % size != 0 {
            return Err(Error::Data(format!("{n} rows are no whole number of blocks of {size}")));
        }
        let starts: Vec<u64> = space.starts().iter().map(|start| start / size * size).collect();
        if starts == space.starts() {
            return Ok(self.clone());
        }
        let space = Space::from_starts(space.comm().clone(), starts)?;
        let mine = space.start()..space.start() + space.n_own() as u64;
        let here = self.space().start()..self.space().start() + self.n_own() as u64;
        let ids: Vec<u64> = mine.clone().filter(|id| !here.contains(id)).collect();
        let theirs = remote::fetch(self, &ids)?;
        let (mut row_ptr, mut cols, mut values) = (vec![0], Vec::new(), Vec::new());
        let mut next = 0;
        for id in mine {
            if here.contains(&id) {
                for (j, v) in self.global_entries((id - here.start) as usize) {
                    cols.push(j);
                    values.push(v);
                }
            } else {
                let range = theirs.row_ptr[next]..theirs.row_ptr[next + 1];
                cols.extend_from_slice(&theirs.cols[range.clone()]);
                values.extend_from_slice(&theirs.values[range]);
                next += 1;
            }
            let many =
                |_| Error::Unsupported("2³² or more entries on a rank: use more ranks".into());
            row_ptr.push(u32::try_from(cols.len()).map_err(many)?);
        }
        DistCsr::from_rows(&space, &row_ptr, &cols, &values)
    }
}

#[cfg(test)]
mod tests {
    use crate::comm::{Comm, threads};
    use crate::matrix::{DistCsr, Space};

    #[test]
    fn no_rank_ends_within_a_block() {
        // Rows of different lengths, so that one taken for another would show.
        let n = 12u64;
        let entries = |i: u64| (0..=i % 4).map(move |k| ((i + k) % n, (10 * i + k) as f64));
        for size in 1..=5 {
            threads::run(size, |comm| {
                let space = Space::even(Comm::new(comm), n);
                let (mut row_ptr, mut cols, mut values) = (vec![0], vec![], vec![]);
                for i in space.start()..space.start() + space.n_own() as u64 {
                    let mut row: Vec<_> = entries(i).collect();
                    row.sort_by_key(|entry| entry.0);
                    cols.extend(row.iter().map(|entry| entry.0));
                    values.extend(row.iter().map(|entry| entry.1));
                    row_ptr.push(cols.len() as u32);
                }
                let a = DistCsr::from_rows(&space, &row_ptr, &cols, &values).expect("rows");
                for block in [1, 2, 3, 4, 6, 12] {
                    let b = a.in_blocks(block).expect("whole blocks");
                    assert!(b.space().starts().iter().all(|start| start % block == 0));
                    for i in 0..b.n_own() {
                        let mut expected: Vec<_> = entries(b.global_row(i)).collect();
                        expected.sort_by_key(|entry| entry.0);
                        assert_eq!(b.global_entries(i).collect::<Vec<_>>(), expected);
                    }
                    let total = b.nnz_global().expect("a sum");
                    assert_eq!(total, a.nnz_global().expect("a sum"));
                }
                let why = a.in_blocks(5).expect_err("12 is no multiple of 5").to_string();
                assert!(why.contains("12 rows") && why.contains("blocks of 5"), "{why}");
                assert!(a.in_blocks(0).is_err());
            });
        }
    }
}
