//! Rows spread anew: the same system in another order, with less to fetch.
use precondor_core::comm::{Comm, Communicator, threads};
use precondor_core::kernel::random::mix;
use precondor_core::matrix::{DistCsr, Moved, Partition, Space};
use precondor_core::{Error, Result};

/// The five-point matrix on m × m nodes of `block` unknowns, rows out of order, unsymmetric values.
fn shuffled(comm: Comm, m: u64, block: u64) -> DistCsr {
    let mut old: Vec<u64> = (0..m * m).collect();
    old.sort_by_key(|&i| mix(i + 5));
    let mut new = vec![0; old.len()];
    old.iter().enumerate().for_each(|(k, &i)| new[i as usize] = k as u64);
    let nodes = Space::even(comm.clone(), m * m);
    let starts = nodes.starts().iter().map(|start| start * block).collect();
    let space = Space::from_starts(comm, starts).expect("increasing");
    let (mut row_ptr, mut cols, mut values) = (vec![0], vec![], vec![]);
    for row in space.start()..space.start() + space.n_own() as u64 {
        let node = old[(row / block) as usize];
        let (x, y) = (node % m, node / m);
        let mut near = vec![node];
        near.extend((x > 0).then(|| node - 1));
        near.extend((x + 1 < m).then_some(node + 1));
        near.extend((y > 0).then(|| node - m));
        near.extend((y + 1 < m).then_some(node + m));
        let mut entries: Vec<(u64, f64)> = near
            .iter()
            .flat_map(|&other| (0..block).map(move |c| (other, c)))
            .map(|(other, c)| {
                let col = new[other as usize] * block + c;
                (col, if col == row { 9.0 } else { -1.0 - 0.001 * (row as f64 - col as f64) })
            })
            .collect();
        entries.sort_by_key(|e| e.0);
        cols.extend(entries.iter().map(|e| e.0));
        values.extend(entries.iter().map(|e| e.1));
        row_ptr.push(cols.len() as u32);
    }
    DistCsr::from_rows(&space, &row_ptr, &cols, &values).expect("sound")
}

fn wave(space: &Space) -> Vec<f64> {
    (0..space.n_own() as u64).map(|i| ((space.start() + i) as f64 * 0.37).sin()).collect()
}

fn ghosts(a: &DistCsr) -> Result<u64> {
    let mut all = [a.ghost_ids().len() as f64];
    a.space().comm().sum(&mut all)?;
    Ok(all[0] as u64)
}

#[test]
fn products_are_the_same_and_ranks_fetch_less() {
    let m = 24;
    for (ranks, block) in [(1, 1), (2, 1), (3, 2), (4, 1), (4, 3)] {
        let results = threads::run(ranks, |backend| {
            let comm = Comm::new(backend);
            let a = shuffled(comm.clone(), m, block);
            let x = wave(a.space());
            let mut y = vec![0.0; a.n_own()];
            a.spmv(&x, &mut y)?;
            let mut fetched = vec![ghosts(&a)?];
            assert!(Moved::of(&a, Partition::Rows, block as usize)?.is_none());
            for partition in [Partition::Rcm, Partition::Graph] {
                let moved = Moved::of(&a, partition, block as usize)?.expect("moved");
                let b = moved.matrix(&a)?;
                assert!(b.space().starts().iter().all(|start| start % block == 0));
                assert_eq!(b.nnz_global()?, a.nnz_global()?);
                let there = moved.there(&x)?;
                assert_eq!(moved.back(&there)?, x);
                let mut z = vec![0.0; b.n_own()];
                b.spmv(&there, &mut z)?;
                let back = moved.back(&z)?;
                let off = back.iter().zip(&y).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                assert!(off < 1e-12, "{partition:?} on {ranks} ranks: {off:e}");
                // Even enough.
                let (even, own) = (m * m * block / ranks as u64, b.n_own() as u64);
                assert!(own.abs_diff(even) <= 2 * block + even / 25, "{own} of {even}");
                fetched.push(ghosts(&b)?);
            }
            Ok::<_, Error>(fetched)
        });
        for fetched in results {
            let fetched = fetched.expect("no faults");
            let [given, rcm, graph] = fetched[..] else { panic!("three counts") };
            if ranks == 1 {
                assert_eq!((given, rcm, graph), (0, 0, 0));
                continue;
            }
            // A cut through the grid is 24 nodes long, or thereabouts; a shuffled order fetches nearly everything.
            let line = m * block;
            assert!(given > 8 * line, "{given}");
            assert!(rcm <= 3 * line * (ranks as u64 - 1) && 2 * graph <= given, "{fetched:?}");
            assert!(graph <= 3 * line * (ranks as u64).div_ceil(2), "{fetched:?}");
        }
    }
}

#[test]
fn ranks_without_whole_nodes_are_refused_on_all() {
    let told = threads::run(2, |backend| {
        let a = shuffled(Comm::new(backend), 3, 1);
        Moved::of(&a, Partition::Graph, 2).err().map(|e| e.to_string())
    });
    for told in told {
        assert!(told.expect("refused").contains("9 rows on 2 ranks in nodes of 2"));
    }
}

/// More ranks than rows: some have none, before and after.
#[test]
fn ranks_may_be_left_without_rows() {
    let done = threads::run(4, |backend| {
        let a = shuffled(Comm::new(backend), 1, 1);
        let moved = Moved::of(&a, Partition::Graph, 1)?.expect("moved");
        let b = moved.matrix(&a)?;
        let x = wave(a.space());
        assert_eq!(moved.back(&moved.there(&x)?)?, x);
        Ok::<_, Error>(b.n_own())
    });
    let rows: Vec<usize> = done.into_iter().map(|rows| rows.expect("no faults")).collect();
    assert_eq!(rows.iter().sum::<usize>(), 1);
}
