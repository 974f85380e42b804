//! Rows renumbered and spread over the ranks anew, so that products fetch few entries from other ranks.
//!
//! | partition | rows |
//! |---|---|
//! | `rcm` | in reverse Cuthill–McKee order, cut into equal pieces: ranks have neighbours on two sides |
//! | `graph` | each rank's by recursive bisection of the graph (`kernel/partition.rs`), in Cuthill–McKee order within |
//!
//! Rank 0 has the whole pattern while it makes the order, 4 bytes an entry of A + Aᵀ, and no values; every rank then
//! fetches its rows from where they are. Vectors go there and back along a plan that is made once.
use super::{CsrView, DistCsr, Space};
use crate::comm::Communicator;
use crate::comm::{Exchange, HaloPlan};
use crate::kernel::ordering::{Graph, reverse_cuthill_mckee};
use crate::kernel::{partition, remote};
use crate::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How the rows of a matrix are spread over the ranks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Partition {
    /// In the order they come in, cut into equal pieces.
    #[default]
    Rows,
    /// In reverse Cuthill–McKee order, cut into equal pieces.
    Rcm,
    /// By recursive bisection of the graph.
    Graph,
}

impl std::fmt::Display for Partition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Partition::Rows => "rows",
            Partition::Rcm => "rcm",
            Partition::Graph => "graph",
        })
    }
}

/// The way of vectors and matrices to where their rows went.
#[derive(Clone)]
pub struct Moved {
    from: Arc<Space>,
    to: Arc<Space>,
    /// Old numbers of the rows that this rank has now.
    old: Arc<[u64]>,
    /// New numbers of the rows that it had.
    new: Arc<[u64]>,
    there: Arc<Pull>,
    back: Arc<Pull>,
}

/// Brings entries of a vector by their numbers.
struct Pull {
    /// Where the entries come from: own ones, then those of others.
    places: Vec<u32>,
    n_own: usize,
    n_ghost: usize,
    link: Box<dyn Exchange>,
}

impl Pull {
    /// The entries `wanted`, in this order, of vectors on `space`. Collective.
    fn new(space: &Space, wanted: &[u64]) -> Result<Self> {
        let own = space.start()..space.start() + space.n_own() as u64;
        let mut ids: Vec<u64> = wanted.iter().copied().filter(|id| !own.contains(id)).collect();
        ids.sort_unstable();
        ids.dedup();
        let n_own = space.n_own();
        let place = |id: &u64| match own.contains(id) {
            true => (id - own.start) as u32,
            false => (n_own + ids.partition_point(|other| other < id)) as u32,
        };
        let places = wanted.iter().map(place).collect();
        let plan: HaloPlan = space.halo(&ids)?;
        let link = space.comm().exchange(plan)?;
        Ok(Pull { places, n_own, n_ghost: ids.len(), link })
    }

    /// Collective.
    fn pull(&self, x: &[f64]) -> Result<Vec<f64>> {
        let mut all = vec![0.0; self.n_own + self.n_ghost];
        all[..self.n_own].copy_from_slice(x);
        let token = self.link.start(x)?;
        self.link.finish(token, &mut all[self.n_own..])?;
        Ok(self.places.iter().map(|&at| all[at as usize]).collect())
    }
}

impl Moved {
    /// Spreads the rows of `a`, nodes of `block` unknowns each, as `partition` says; nothing for
    /// [`Partition::Rows`]. Collective.
    ///
    /// # Errors
    /// [`Error::Data`] where the ranks' rows are no whole nodes; [`Error::Unsupported`] for a pattern with 2³² entries or
    /// more; what the communicator reports.
    pub fn of(a: &DistCsr, partition: Partition, block: usize) -> Result<Option<Self>> {
        if partition == Partition::Rows {
            return Ok(None);
        }
        a.space().comm().scope(|| Self::made(a, partition, block as u64).map(Some))
    }

    fn made(a: &DistCsr, partition: Partition, block: u64) -> Result<Self> {
        let (from, comm) = (a.space(), a.space().comm());
        if block == 0 || from.starts().iter().any(|start| !start.is_multiple_of(block)) {
            let n = from.n_global();
            return Err(Error::Data(format!(
                "{n} rows on {} ranks in nodes of {block}",
                comm.size()
            )));
        }
        let pattern = gathered(a, block)?;
        let (mut orders, mut numbers) =
            (vec![Vec::new(); comm.size()], vec![Vec::new(); comm.size()]);
        if comm.rank() == 0 {
            let (order, starts) = order(&pattern, partition, comm.size());
            let mut place = vec![0u64; order.len()];
            order.iter().enumerate().for_each(|(k, &i)| place[i as usize] = k as u64);
            for rank in 0..comm.size() {
                let mine = order[starts[rank]..starts[rank + 1]].iter();
                orders[rank] = bytes(mine.map(|&i| u64::from(i)));
                let had = from.starts()[rank] / block..from.starts()[rank + 1] / block;
                let had = &place[had.start as usize..had.end as usize];
                numbers[rank] = bytes(had.iter().copied());
            }
        }
        drop(pattern);
        let of_nodes = |sent: &[Vec<u8>]| -> Result<Vec<u64>> {
            let got = comm.all_to_all(sent)?;
            let nodes = got[0].as_chunks().0.iter().map(|word| u64::from_le_bytes(*word));
            Ok(nodes.flat_map(|node| node * block..(node + 1) * block).collect())
        };
        let (old, new) = (of_nodes(&orders)?, of_nodes(&numbers)?);
        let to = Space::new(comm.clone(), old.len())?;
        let there = Arc::new(Pull::new(from, &old)?);
        let back = Arc::new(Pull::new(&to, &new)?);
        Ok(Moved { from: Arc::clone(from), to, old: old.into(), new: new.into(), there, back })
    }

    /// How the rows were spread.
    pub fn from(&self) -> &Arc<Space> {
        &self.from
    }

    /// How they are spread now.
    pub fn to(&self) -> &Arc<Space> {
        &self.to
    }

    /// A vector, of the rows as they were, on the rows as they are. Collective.
    ///
    /// # Errors
    /// What the communicator reports.
    pub fn there(&self, x: &[f64]) -> Result<Vec<f64>> {
        self.there.pull(x)
    }

    /// A vector of the rows as they are, on the rows as they were. Collective.
    ///
    /// # Errors
    /// What the communicator reports.
    pub fn back(&self, x: &[f64]) -> Result<Vec<f64>> {
        self.back.pull(x)
    }

    /// A matrix on the rows as they were, renumbered and spread as they are, without null spaces and services of a
    /// host. Collective.
    ///
    /// # Errors
    /// What the communicator reports.
    ///
    /// # Panics
    /// For a matrix that is spread in another way.
    pub fn matrix(&self, a: &DistCsr) -> Result<DistCsr> {
        assert_eq!(a.space().starts(), self.from.starts(), "a matrix on the same rows");
        self.from.comm().scope(|| self.matrix_in_scope(a))
    }

    fn matrix_in_scope(&self, a: &DistCsr) -> Result<DistCsr> {
        let here = self.from.start()..self.from.start() + self.from.n_own() as u64;
        let mut ids: Vec<u64> = self.old.iter().copied().filter(|id| !here.contains(id)).collect();
        ids.sort_unstable();
        let theirs = remote::fetch(a, &ids)?;
        let (mut row_ptr, mut cols, mut values) = (vec![0u32], Vec::new(), Vec::new());
        for id in self.old.iter() {
            match ids.binary_search(id) {
                Ok(k) => {
                    let row = theirs.row_ptr[k]..theirs.row_ptr[k + 1];
                    cols.extend_from_slice(&theirs.cols[row.clone()]);
                    values.extend_from_slice(&theirs.values[row]);
                }
                Err(_) => {
                    for (j, v) in a.global_entries((id - here.start) as usize) {
                        cols.push(j);
                        values.push(v);
                    }
                }
            }
            let end = u32::try_from(cols.len());
            row_ptr.push(end.map_err(|_| {
                Error::Unsupported("2³² or more entries on one rank: use more ranks".into())
            })?);
        }
        drop(theirs);
        // New numbers of the columns, exact as f64 up to 2⁵³.
        let mut met = cols.clone();
        met.sort_unstable();
        met.dedup();
        let new: Vec<f64> = self.new.iter().map(|&new| new as f64).collect();
        let new = Pull::new(&self.from, &met)?.pull(&new)?;
        cols.iter_mut().for_each(|j| *j = new[met.partition_point(|other| other < j)] as u64);
        let mut row = Vec::new();
        for ends in row_ptr.windows(2) {
            let range = ends[0] as usize..ends[1] as usize;
            row.clear();
            row.extend(
                cols[range.clone()].iter().copied().zip(values[range.clone()].iter().copied()),
            );
            row.sort_unstable_by_key(|&(j, _): &(u64, f64)| j);
            for (k, &(j, v)) in range.zip(&row) {
                (cols[k], values[k]) = (j, v);
            }
        }
        DistCsr::from_rows(&self.to, &row_ptr, &cols, &values)
    }
}

fn bytes(words: impl Iterator<Item = u64>) -> Vec<u8> {
    words.flat_map(u64::to_le_bytes).collect()
}

/// The pattern of the nodes, on rank 0: offsets and columns. Collective.
fn gathered(a: &DistCsr, block: u64) -> Result<(Vec<u32>, Vec<u32>)> {
    let (comm, n) = (a.space().comm(), a.space().n_global() / block);
    let too_many = |what: &str| Error::Unsupported(format!("a partition of 2³² or more {what}"));
    if n >= u64::from(u32::MAX) {
        return Err(too_many("nodes"));
    }
    // Of each own node: how many neighbours, and which.
    let (mut words, mut near): (Vec<u32>, Vec<u32>) = (Vec::new(), Vec::new());
    for node in 0..a.n_own() / block as usize {
        near.clear();
        let rows = node * block as usize..(node + 1) * block as usize;
        near.extend(rows.flat_map(|i| a.global_entries(i)).map(|(j, _)| (j / block) as u32));
        near.sort_unstable();
        near.dedup();
        words.push(near.len() as u32);
        words.extend(&near);
    }
    let mut send = vec![Vec::new(); comm.size()];
    send[0] = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    drop(words);
    let (mut row_ptr, mut cols) = (vec![0u32], Vec::new());
    let mut fits = Ok(());
    for part in comm.all_to_all(&send)? {
        let mut words = part.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word));
        while let Some(count) = words.next() {
            cols.extend(words.by_ref().take(count as usize));
            match u32::try_from(cols.len()) {
                Ok(end) => row_ptr.push(end),
                Err(_) => fits = Err(too_many("entries")),
            }
        }
    }
    comm.agree(fits)?;
    Ok((row_ptr, cols))
}

/// The old number of each new row of the pattern, and where ranks start.
fn order(
    (row_ptr, cols): &(Vec<u32>, Vec<u32>),
    partition: Partition,
    ranks: usize,
) -> (Vec<u32>, Vec<usize>) {
    let n = row_ptr.len() - 1;
    // Values are not looked at.
    let graph = Graph::of(CsrView { row_ptr, cols, values: &[] });
    let mut order = reverse_cuthill_mckee(&graph);
    let starts = match partition {
        Partition::Rows | Partition::Rcm => (0..=ranks).map(|k| n * k / ranks).collect(),
        Partition::Graph => {
            let of = partition::parts(&graph, ranks);
            // Stable: within a part rows stay in the order of the band.
            order.sort_by_key(|&i| of[i as usize]);
            let first = |rank: usize| order.partition_point(|&i| (of[i as usize] as usize) < rank);
            (0..=ranks).map(first).collect()
        }
    };
    (order, starts)
}
