//! Rows renumbered and spread over the ranks anew, so that products fetch few entries from other ranks.
//!
//! | partition | rows |
//! |---|---|
//! | `rcm` | in reverse Cuthill–McKee order, cut into equal pieces: ranks have neighbours on two sides |
//! | `graph` | each rank's by recursive bisection of the graph (`kernel/partition.rs`), in Cuthill–McKee order within |
//!
//! Rank 0 has the whole pattern while it makes the order, 4 bytes an entry of A + Aᵀ, and no values; rows and vectors then go
//! there, and vectors back, as `route.rs` says.
use super::{CsrView, DistCsr, Route, Space};
use crate::comm::Communicator;
use crate::kernel::ordering::{Graph, reverse_cuthill_mckee};
use crate::kernel::partition;
use crate::kernel::remote::{put, words};
use crate::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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

/// The way of vectors and matrices to where their rows went. Clones share it.
#[derive(Clone)]
pub struct Moved {
    from: Arc<Space>,
    to: Arc<Space>,
    /// New numbers of the rows that this rank had, exact as f64 up to 2⁵³.
    new: Arc<[f64]>,
    route: Arc<Mutex<Route>>,
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
        let mut send = vec![Vec::new(); comm.size()];
        if comm.rank() == 0 {
            let (order, starts) = order(&pattern, partition, comm.size());
            let mut place = vec![0u64; order.len()];
            order.iter().enumerate().for_each(|(k, &i)| place[i as usize] = k as u64);
            for (rank, message) in send.iter_mut().enumerate() {
                starts.iter().for_each(|&start| put(message, start as u64));
                let had = from.starts()[rank] / block..from.starts()[rank + 1] / block;
                let had = &place[had.start as usize..had.end as usize];
                had.iter().for_each(|&node| put(message, node));
            }
        }
        drop(pattern);
        let got = comm.all_to_all(&send)?;
        let mut said = words(&got[0]);
        let starts = said.by_ref().take(comm.size() + 1).map(|start| start * block).collect();
        let new: Vec<u64> = said.flat_map(|node| node * block..(node + 1) * block).collect();
        let to = Space::from_starts(comm.clone(), starts)?;
        let route = Route::new(from, Arc::clone(&to), |i| Some(new[i]))?;
        let new = new.into_iter().map(|new| new as f64).collect();
        Ok(Moved { from: Arc::clone(from), to, new, route: Arc::new(Mutex::new(route)) })
    }

    fn route(&self) -> MutexGuard<'_, Route> {
        self.route.lock().unwrap_or_else(PoisonError::into_inner)
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
        let mut there = vec![0.0; self.to.n_own()];
        self.route().there(x, &mut there)?;
        Ok(there)
    }

    /// A vector of the rows as they are, on the rows as they were. Collective.
    ///
    /// # Errors
    /// What the communicator reports.
    pub fn back(&self, x: &[f64]) -> Result<Vec<f64>> {
        let mut back = vec![0.0; self.from.n_own()];
        self.route().back(x, &mut back)?;
        Ok(back)
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
        self.from.comm().scope(|| {
            let of_ghosts = a.on_ghosts(&self.new)?;
            let number = |j: u64| match a.ghost_ids().binary_search(&j) {
                Ok(ghost) => Some(of_ghosts[ghost] as u64),
                Err(_) => self.new.get((j - self.from.start()) as usize).map(|&new| new as u64),
            };
            self.route().matrix(a, number)
        })
    }
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
