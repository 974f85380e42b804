//! Batched solves, least squares, patterns of powers and fetched rows against plain dense ones.
#![allow(clippy::unwrap_used)]
use crate::common::*;
use precondor_core::Error;
use precondor_core::host::Alone;
use precondor_core::kernel::batch::{self, Fits, LANES, Lanes, packed};
use precondor_core::kernel::pattern::{Bound, MAX_ROW, Part, Pattern, digest, strong_entries};
use precondor_core::kernel::{chunks, least_squares, remote};
use precondor_core::matrix::{Csr, DistCsr};
use std::collections::BTreeSet;

const SIZES: [usize; 4] = [1, 2, 3, 5];

/// Numbers without a pattern, between −1 and 1.
fn rough(seed: usize) -> f64 {
    (seed as f64 * 12.9898).sin() * 43758.5453 % 1.0
}

/// Lane `lane` of a definite k × k matrix, and a right-hand side.
fn definite(k: usize, lane: usize) -> (Vec<Vec<f64>>, Vec<f64>) {
    let b = |i: usize, j: usize| rough(1 + lane + 31 * i + 997 * j);
    let entry = |i: usize, j: usize| {
        (0..k).map(|l| b(i, l) * b(j, l)).sum::<f64>() + if i == j { 0.3 } else { 0.0 }
    };
    let rows = (0..k).map(|i| (0..k).map(|j| entry(i, j)).collect()).collect();
    (rows, (0..k).map(|i| rough(5000 + lane + 7 * i)).collect())
}

#[test]
fn batched_solves_equal_dense_ones_and_lanes_never_mix() {
    for k in [1, 2, 7, 19] {
        let mut matrix = vec![Lanes::default(); packed(k, 0)];
        let mut x = vec![Lanes::default(); k];
        for lane in 0..LANES {
            let (rows, rhs) = definite(k, lane);
            for a in 0..k {
                x[a].0[lane] = rhs[a];
                (0..=a).for_each(|b| matrix[packed(a, b)].0[lane] = rows[a][b]);
            }
        }
        // A lane that cannot be solved leaves the others alone.
        let (mut spoiled, mut y) = (matrix.clone(), x.clone());
        spoiled[packed(k - 1, k - 1)].0[3] = -1.0;
        spoiled[packed(k - 1, 0)].0[5] = f64::NAN;
        for (matrix, x) in [(&mut matrix, &mut x), (&mut spoiled, &mut y)] {
            let ratio = batch::cholesky(k, matrix);
            assert!((0..LANES).all(|l| (0.0..=1.0).contains(&ratio.0[l])));
            assert!([0, 1, 2, 4, 6, 7].iter().all(|&l| ratio.0[l] > 0.0));
            batch::solve_lower(k, matrix, x);
            batch::solve_upper(k, matrix, x);
        }
        for lane in 0..LANES {
            let (rows, rhs) = definite(k, lane);
            for (row, rhs) in rows.iter().zip(&rhs) {
                let s: f64 = row.iter().zip(&x).map(|(a, x)| a * x.0[lane]).sum();
                assert!((s - rhs).abs() < 1e-11, "lane {lane} of size {k}");
            }
            if lane != 3 && lane != 5 {
                assert!(x.iter().zip(&y).all(|(x, y)| x.0[lane] == y.0[lane]), "lane {lane}");
            }
        }
    }
}

#[test]
fn a_matrix_that_is_not_definite_has_pivot_ratio_zero() {
    let ratio = |a: f64, b: f64, c: f64| {
        let mut matrix = [Lanes::all(a), Lanes::all(b), Lanes::all(c)];
        batch::cholesky(2, &mut matrix).0[0]
    };
    assert_eq!(ratio(2.0, 0.0, 3.0), 1.0);
    assert_eq!(ratio(4.0, 2.0, 4.0), 0.75);
    let bad = [(1.0, 1.0, 1.0), (1.0, 2.0, 1.0), (-1.0, 0.0, 1.0), (0.0, 0.0, 1.0)];
    let nan = [(f64::NAN, 0.0, 1.0), (1.0, f64::NAN, 1.0), (f64::INFINITY, 1.0, 1.0)];
    for (a, b, c) in bad.into_iter().chain(nan) {
        assert_eq!(ratio(a, b, c), 0.0, "{a} {b} {c}");
    }
}

#[test]
fn fits_of_different_sizes_share_a_batch() {
    // Lane l: a (1 + l) × (3 + l) matrix with about two thirds of the entries, e in column l / 2.
    let entry = |lane: usize, a: usize, column: usize| {
        let x = rough(17 + lane + 13 * a + 101 * column);
        if (a + column + lane).is_multiple_of(3) {
            0.0
        } else {
            x + if a == column { 2.0 } else { 0.0 }
        }
    };
    let mut fits = Fits::default();
    for round in 0..3 {
        if round == 2 {
            fits.start_alike();
        } else {
            fits.start(LANES);
        }
        for lane in 0..LANES {
            fits.widen(3 + lane);
            for (a, column) in (0..=lane).flat_map(|a| (0..3 + lane).map(move |c| (a, c))) {
                if entry(lane, a, column) != 0.0 {
                    let cell = fits.cell(a, column);
                    fits.put(cell, lane, entry(lane, a, column));
                }
            }
            let target = if lane == 6 { None } else { Some(lane as u32 / 2) };
            fits.close(lane, lane + 1, target);
        }
        let ratio = fits.solve();
        for lane in 0..LANES {
            assert!(ratio.0[lane] > 0.0);
            let residual = |column: usize| {
                let s: f64 =
                    (0..=lane).map(|a| fits.solution(a).0[lane] * entry(lane, a, column)).sum();
                s - if lane != 6 && column == lane / 2 { 1.0 } else { 0.0 }
            };
            for a in 0..=lane {
                let gradient: f64 =
                    (0..3 + lane).map(|column| residual(column) * entry(lane, a, column)).sum();
                assert!(gradient.abs() < 1e-10, "unknown {a} of lane {lane}");
            }
            let (transposed, unit) = fits.transposed(lane);
            assert_eq!(transposed.len(), (lane + 1) * unit.len());
            let (x, rank) = least_squares::solve(transposed, unit);
            assert_eq!(rank, lane + 1);
            let close = |(a, x): (usize, &f64)| (x - fits.solution(a).0[lane]).abs() < 1e-9;
            assert!(x.iter().enumerate().all(close), "lane {lane}");
        }
    }
}

#[test]
fn least_squares_minimises_also_where_columns_depend_or_differ_in_size() {
    let (m, n) = (9, 5);
    let b: Vec<f64> = (0..m).map(|i| rough(3 * i + 1)).collect();
    let column = |j: usize| (0..m).map(move |i| rough(100 + i + 41 * j));
    let independent: Vec<f64> = (0..n).flat_map(column).collect();
    let mut dependent = independent.clone();
    for i in 0..m {
        dependent[4 * m + i] = 2.0 * dependent[i] - dependent[2 * m + i];
    }
    let mut scaled = independent.clone();
    scaled.iter_mut().enumerate().for_each(|(k, x)| *x *= 10f64.powi((k / m) as i32 * 70 - 140));
    for (a, expected) in [(&independent, 5), (&dependent, 4), (&scaled, 5)] {
        let (x, rank) = least_squares::solve(a.clone(), b.clone());
        assert_eq!(rank, expected);
        assert_eq!(x.iter().filter(|x| **x != 0.0).count(), rank);
        let residual = |i: usize| b[i] - (0..n).map(|j| a[j * m + i] * x[j]).sum::<f64>();
        for j in 0..n {
            let of_column = |i: usize| a[j * m + i];
            let size = (0..m).map(|i| of_column(i).abs()).fold(0.0, f64::max);
            let gradient: f64 = (0..m).map(|i| of_column(i) / size * residual(i)).sum();
            assert!(gradient.abs() < 1e-13, "column {j}: {gradient}");
        }
    }
    let (x, rank) = least_squares::solve(vec![0.0; 6], vec![1.0, 2.0]);
    assert_eq!((x, rank), (vec![0.0; 3], 0));
    assert!(least_squares::solve(vec![f64::NAN, 1.0], vec![1.0, 2.0]).0[0].is_nan());
}

/// Columns within `power` steps of each row.
fn reached(a: &Csr, power: usize, part: Part) -> Vec<Vec<u64>> {
    let row = |i: usize| {
        let mut near = BTreeSet::from([i]);
        for _ in 0..power {
            let more: Vec<usize> =
                near.iter().flat_map(|&j| a.view().row(j).map(|(c, _)| c)).collect();
            near.extend(more);
        }
        let kept = near.into_iter().filter(|&j| part == Part::Full || j <= i);
        kept.map(|j| j as u64).collect()
    };
    (0..a.n_rows()).map(row).collect()
}

#[test]
fn patterns_of_powers_are_those_of_boolean_products() {
    for a in [laplace(7), cyclic_shift(11), convection_diffusion(6)] {
        for (power, part) in (0..5).flat_map(|p| [(p, Part::Full), (p, Part::Lower)]) {
            let expected = reached(&a, power, part);
            for (size, with_empty) in SIZES.into_iter().flat_map(|s| [(s, false), (s, true)]) {
                let rows = on_ranks(size, with_empty, &a, |a| {
                    let mut pattern =
                        Pattern::power(&Alone, &a, power, part, &Bound::new(&a, MAX_ROW).unwrap())
                            .unwrap();
                    let global = |pattern: &Pattern, i: usize| -> Vec<u64> {
                        pattern.row(i).iter().map(|&j| pattern.numbering().global(j)).collect()
                    };
                    let before: Vec<_> = (0..a.n_own()).map(|i| global(&pattern, i)).collect();
                    let reach = pattern.reach(&a).unwrap();
                    let after: Vec<_> = (0..a.n_own()).map(|i| global(&pattern, i)).collect();
                    assert_eq!(before, after, "a new numbering is no new pattern");
                    for &j in &pattern.cols {
                        let mut row = Vec::new();
                        reach.visit(j, |c, v| row.push((reach.numbering().global(c), v)));
                        assert!(row.windows(2).all(|pair| pair[0].0 < pair[1].0));
                        assert!(!row.is_empty(), "every row of the pattern was fetched");
                    }
                    let m = pattern.matrix(a.space(), vec![1.0; pattern.cols.len()]).unwrap();
                    let of_matrix = |i| m.global_entries(i).map(|(c, _)| c).collect::<Vec<_>>();
                    assert!((0..a.n_own()).all(|i| of_matrix(i) == after[i]));
                    after
                });
                assert_eq!(rows.concat(), expected, "power {power} on {size} ranks");
            }
        }
    }
}

/// Rows of a pattern of power 2 with at most `most` entries, by the definition of strength; how many
/// were longer, and the first of them.
fn bounded(a: &Csr, most: usize, part: Part) -> (Vec<Vec<u64>>, (u64, u64)) {
    let n = a.n_rows();
    let scaled = |i: usize, j: usize| {
        let size = |i: usize| a.view().get(i, i).abs();
        a.view().get(i, j).abs() / (size(i) * size(j)).sqrt()
    };
    let near = |i: usize| a.view().row_cols(i).iter().map(|&j| j as usize);
    let long = |i: usize| near(i).count() > most;
    let row = |i: usize| {
        let mut strength = vec![None; n];
        strength[i] = Some(f64::INFINITY);
        near(i).filter(|&j| j != i).for_each(|j| strength[j] = Some(scaled(i, j)));
        if !long(i) {
            let first = strength.clone();
            for k in near(i).filter(|&k| k != i && !long(k)) {
                for j in near(k).filter(|&j| first[j].is_none()) {
                    let path = scaled(i, k) * scaled(k, j);
                    strength[j] = Some(strength[j].map_or(path, |s: f64| s.max(path)));
                }
            }
        }
        let kept = |&j: &usize| strength[j].is_some() && (part == Part::Full || j <= i);
        let mut order: Vec<usize> = (0..n).filter(kept).collect();
        order.sort_by(|&x, &y| strength[y].partial_cmp(&strength[x]).unwrap().then(x.cmp(&y)));
        let longer = order.len() > most;
        order.truncate(most);
        order.sort_unstable();
        (order.into_iter().map(|j| j as u64).collect(), longer)
    };
    let (rows, longer): (Vec<_>, Vec<bool>) = (0..n).map(row).unzip();
    let first = longer.iter().position(|&longer| longer).unwrap_or(0);
    (rows, (longer.iter().filter(|&&longer| longer).count() as u64, first as u64))
}

#[test]
fn rows_of_patterns_keep_the_strongest_entries() {
    // Values that make no two paths equally strong, and a row that is full.
    let n = 40;
    let value = |i: usize, j: usize| 1.0 + ((i * 37 + j * 61) % 101) as f64 / 97.0;
    let near = |i: usize, j: usize| i == 11 || j == 11 || [0, 1, 5, 6].contains(&i.abs_diff(j));
    let all = (0..n).flat_map(|i| (0..n).map(move |j| (i, j)));
    let entries = all.filter(|&(i, j)| near(i, j)).map(|(i, j)| (i, j, value(i, j)));
    let a = Csr::from_triplets(n, n, entries.collect::<Vec<_>>()).unwrap();
    for (most, part) in
        [6u32, 9, 10, 14, 39].into_iter().flat_map(|m| [(m, Part::Full), (m, Part::Lower)])
    {
        let (expected, longer) = bounded(&a, most as usize, part);
        for size in SIZES {
            let rows = on_ranks(size, false, &a, |a| {
                let bound = Bound::new(&a, most).unwrap();
                assert!(bound.exceeded);
                let pattern = Pattern::power(&Alone, &a, 2, part, &bound).unwrap();
                let global = |&j: &u32| pattern.numbering().global(j);
                let rows = (0..a.n_own()).map(|i| pattern.row(i).iter().map(global).collect());
                let cut = pattern.cut().of_all(a.space().comm()).unwrap();
                (rows.collect::<Vec<Vec<u64>>>(), cut)
            });
            assert!(rows.iter().all(|(_, cut)| (cut.rows, cut.first) == (longer.0, longer.1)));
            let rows: Vec<Vec<u64>> = rows.into_iter().flat_map(|(rows, _)| rows).collect();
            assert_eq!(rows, expected, "at most {most} on {size} ranks");
        }
    }
}

#[test]
fn strong_entries_are_those_above_the_threshold() {
    // Entries −1.9 and −1 beside a diagonal of 5.8.
    let a = convection_diffusion(6);
    let kept = |i: usize| a.view().row(i).filter(move |&(j, v)| j == i || v.abs() > 0.2 * 5.8);
    let expected: Vec<Vec<(u64, f64)>> =
        (0..36).map(|i| kept(i).map(|(j, v)| (j as u64, v)).collect()).collect();
    for size in SIZES {
        let rows = on_ranks(size, false, &a, |a| {
            let strong = strong_entries(&a, 0.2).unwrap();
            (0..a.n_own()).map(|i| strong.global_entries(i).collect()).collect::<Vec<Vec<_>>>()
        });
        assert_eq!(rows.concat(), expected, "{size} ranks");
    }
}

#[test]
fn fetched_rows_and_transposes_are_those_of_the_whole_matrix() {
    for (a, size) in [laplace(6), cyclic_shift(13), convection_diffusion(6)]
        .iter()
        .flat_map(|a| SIZES.map(|size| (a, size)))
    {
        for with_empty in [false, true] {
            let whole = |t: &Csr, i: u64| -> Vec<(u64, f64)> {
                t.view().row(i as usize).map(|(j, v)| (j as u64, v)).collect()
            };
            let transposed = a.transpose();
            on_ranks(size, with_empty, a, |mine| {
                let start = mine.space().start();
                let own = start..start + mine.n_own() as u64;
                let ids: Vec<u64> = (0..a.n_rows() as u64)
                    .filter(|i| !own.contains(i) && i % 3 != mine.space().comm().rank() as u64 % 3)
                    .collect();
                let rows = remote::fetch(&mine, &ids).unwrap();
                assert_eq!(rows.ids, ids);
                for (k, &id) in ids.iter().enumerate() {
                    let range = rows.row_ptr[k]..rows.row_ptr[k + 1];
                    let cols = rows.cols[range.clone()].iter().copied();
                    let got: Vec<_> = cols.zip(rows.values[range].iter().copied()).collect();
                    assert_eq!(got, whole(a, id), "row {id}");
                }
                let t = remote::transpose(&mine).unwrap();
                for i in 0..mine.n_own() {
                    let row: Vec<_> = t.global_entries(i).collect();
                    assert_eq!(row, whole(&transposed, start + i as u64), "row {i}");
                }
            });
        }
    }
}

#[test]
fn rows_within_steps_are_those_that_paths_reach() {
    // Paths that come back from other ranks, that go one way only, that end.
    for a in [laplace(7), cyclic_shift(11), convection_diffusion(6)] {
        for steps in [0, 1, 2, 3, 20] {
            let reached = reached(&a, steps, Part::Full);
            for (size, with_empty) in SIZES.into_iter().flat_map(|s| [(s, false), (s, true)]) {
                on_ranks(size, with_empty, &a, |mine| {
                    let from = mine.space().start() as usize;
                    let own = from..from + mine.n_own();
                    let met: BTreeSet<u64> =
                        reached[own.clone()].iter().flatten().copied().collect();
                    let others = met.into_iter().filter(|&id| !own.contains(&(id as usize)));
                    let expected: Vec<u64> = others.collect();
                    let rows = remote::neighbours(&mine, steps, usize::MAX).unwrap();
                    assert_eq!(rows.ids, expected, "{steps} steps on {size} ranks");
                    for (k, &id) in rows.ids.iter().enumerate() {
                        let range = rows.row_ptr[k]..rows.row_ptr[k + 1];
                        let got = rows.cols[range.clone()].iter().zip(&rows.values[range]);
                        let whole = a.view().row(id as usize).map(|(j, v)| (j as u64, v));
                        assert!(got.map(|(&c, &v)| (c, v)).eq(whole), "row {id}");
                    }
                });
            }
        }
    }
}

#[test]
fn rows_that_cannot_be_fetched_are_refused_on_all_ranks() {
    for bad in [vec![0, 36], vec![5, 3], vec![7, 7]] {
        let said = on_ranks(2, false, &laplace(6), |a| {
            let ids = if a.space().comm().rank() == 1 { bad.clone() } else { vec![] };
            a.space().comm().scope(|| remote::fetch(&a, &ids)).unwrap_err()
        });
        assert!(matches!(&said[0], Error::Elsewhere { rank: 1, .. }), "{said:?}");
        assert!(matches!(&said[1], Error::Data(_)), "{said:?}");
    }
}

#[test]
fn digests_tell_patterns_apart() {
    let of = |a: Csr| digest(&DistCsr::solo(a).unwrap());
    assert_eq!(of(laplace(6)), of(convection_diffusion(6)), "values do not count");
    let moved = |i: usize| {
        let entries: Vec<_> = (0..5).map(|k| (k, if k == i { 4 - k } else { k }, 1.0)).collect();
        of(Csr::from_triplets(5, 5, entries).unwrap())
    };
    let all: BTreeSet<u64> = [moved(0), moved(1), moved(2), moved(3), of(laplace(2))].into();
    assert_eq!(all.len(), 5);
    // The same arrays of columns in other rows.
    let rows = |row: usize| of(Csr::from_triplets(3, 3, [(row, 0, 1.0), (2, 1, 1.0)]).unwrap());
    assert_ne!(rows(0), rows(1));
}

#[test]
fn chunks_come_back_in_order_and_report_their_first_error() {
    let made = chunks::collect(&Alone, 10, 3, |range| Ok(range.len())).unwrap();
    assert_eq!(made, [3, 3, 3, 1]);
    let mut out = vec![0.0; 6];
    let row_ptr = [0, 1, 1, 4, 6];
    chunks::fill(&Alone, &row_ptr, 2, &mut out, |range, part| {
        part.fill(range.start as f64 + 1.0);
        Ok(())
    })
    .unwrap();
    assert_eq!(out, [1.0, 3.0, 3.0, 3.0, 3.0, 3.0]);
    let fail = chunks::fill(&Alone, &row_ptr, 1, &mut out, |range, _| match range.start {
        0 | 3 => Ok(()),
        i => Err(Error::breakdown(i as u64, "no")),
    });
    assert_eq!(fail, Err(Error::breakdown(1, "no")));
    let pool = chunks::Pool::default();
    let count = || {
        pool.with(
            || 0,
            |n: &mut i32| {
                Ok({
                    *n += 1;
                    *n
                })
            },
        )
        .unwrap()
    };
    assert_eq!([count(), count(), count()], [1, 2, 3]);
}
