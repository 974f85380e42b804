//! Rectangular distributed matrices: transposes and products against plain loops, the same bits on any ranks.
use crate::common::*;
use precondor_core::Error;
use precondor_core::comm::{Comm, threads};
use precondor_core::kernel::rectangle::Rectangle;
use precondor_core::matrix::Space;
use std::sync::Arc;

/// A number without a pattern for entry (i, j), where there is one.
fn entry(seed: u64, i: u64, j: u64) -> Option<f64> {
    let word = (i * 31 + j * 17 + seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    word.is_multiple_of(4).then(|| (word as f64).sin())
}

fn made(rows: &Arc<Space>, columns: &Arc<Space>, seed: u64) -> Rectangle {
    let (mut row_ptr, mut cols, mut values) = (vec![0], vec![], vec![]);
    for i in rows.start()..rows.start() + rows.n_own() as u64 {
        for j in 0..columns.n_global() {
            if let Some(v) = entry(seed, i, j) {
                cols.push(j);
                values.push(v);
            }
        }
        row_ptr.push(cols.len());
    }
    Rectangle::new(rows, columns, row_ptr, cols, values).expect("sound")
}

/// Own rows as `(row, column, bits)`.
fn listed(m: &Rectangle) -> Vec<(u64, u64, u64)> {
    let row = |i: usize| m.row(i).map(move |(j, v)| (i, j, v));
    let start = m.rows().start();
    (0..m.rows().n_own())
        .flat_map(|i| row(i).collect::<Vec<_>>())
        .map(|(i, j, v)| (start + i as u64, j, v.to_bits()))
        .collect()
}

/// Uneven blocks of `n` rows; with three ranks or more the second has none.
fn spread(comm: &Comm, n: u64) -> Arc<Space> {
    let size = comm.size() as u64;
    let start = |r: u64| if r == 2 && size > 2 { n / size } else { r * r * n / (size * size) };
    let mut starts: Vec<u64> = (0..=size).map(start).collect();
    if size > 2 {
        starts[1] = starts[2];
    }
    starts.sort_unstable();
    Space::from_starts(comm.clone(), starts).expect("increasing")
}

#[test]
fn transposes_and_products_are_those_of_plain_loops_bit_for_bit_on_any_ranks() {
    let (n, m, k) = (23, 11, 17);
    for size in 1..=5 {
        let parts = threads::run(size, |backend| {
            let comm = Comm::new(backend);
            let [rows, inner, columns] = [n, m, k].map(|n| spread(&comm, n));
            let (a, b) = (made(&rows, &inner, 1), made(&inner, &columns, 2));
            let transposed = a.transpose().expect("it works");
            let twice = transposed.transpose().expect("it works");
            assert_eq!(listed(&twice), listed(&a), "transposed twice");
            [listed(&transposed), listed(&a.times(&b).expect("spread alike"))]
        });
        let joined = |which: usize| -> Vec<(u64, u64, u64)> {
            parts.iter().flat_map(|parts| parts[which].clone()).collect()
        };
        let mut expected = Vec::new();
        for j in 0..m {
            for i in 0..n {
                expected.extend(entry(1, i, j).map(|v| (j, i, v.to_bits())));
            }
        }
        assert_eq!(joined(0), expected, "the transpose on {size} ranks");
        let mut expected = Vec::new();
        for i in 0..n {
            for c in 0..k {
                let terms: Vec<f64> =
                    (0..m).filter_map(|j| Some(entry(1, i, j)? * entry(2, j, c)?)).collect();
                if !terms.is_empty() {
                    let sum = terms.iter().fold(0.0, |sum, term| sum + term);
                    expected.push((i, c, sum.to_bits()));
                }
            }
        }
        assert_eq!(joined(1), expected, "the product on {size} ranks");
    }
}

#[test]
fn an_operator_multiplies_as_its_rows_do() {
    let (n, m) = (23, 11);
    for size in 1..=5 {
        threads::run(size, |backend| {
            let comm = Comm::new(backend);
            let [rows, columns] = [n, m].map(|n| spread(&comm, n));
            let a = made(&rows, &columns, 3);
            let x = |i: u64| (i as f64).cos();
            let of = |space: &Space| -> Vec<f64> {
                (space.start()..space.start() + space.n_own() as u64).map(x).collect()
            };
            let mut block = a.operator().expect("it works");
            let (mut y, mut z) = (vec![f64::NAN; rows.n_own()], vec![f64::NAN; columns.n_own()]);
            block.multiply(&ThreeThreads, &of(&columns), &mut y).expect("it works");
            block.multiply_transposed(&of(&rows), &mut z).expect("it works");
            for (i, y) in y.iter().enumerate() {
                let sum: f64 = a.row(i).fold(0.0, |sum, (j, v)| sum + v * x(j));
                assert_eq!(y.to_bits(), sum.to_bits(), "row {i} on {size} ranks");
            }
            let transposed = a.transpose().expect("it works");
            for (j, z) in z.iter().enumerate() {
                let sum: f64 = transposed.row(j).map(|(i, v)| v * x(i)).sum();
                assert!((z - sum).abs() < 1e-13, "column {j} on {size} ranks");
            }
        });
    }
}

#[test]
fn arrays_that_do_not_fit_are_refused_by_row() {
    let space = Space::solo(2);
    let made = |row_ptr: Vec<usize>, cols: Vec<u64>| {
        let values = vec![1.0; cols.len()];
        Rectangle::new(&space, &Space::solo(3), row_ptr, cols, values).err()
    };
    assert_eq!(made(vec![0, 1, 2], vec![2, 0]), None);
    for (row_ptr, cols) in
        [(vec![0, 1], vec![0]), (vec![0, 2, 1], vec![0]), (vec![0, 1, 1], vec![0, 1])]
    {
        let why = made(row_ptr, cols).expect("refused");
        assert_eq!(why, Error::Data("the arrays are not those of 2 rows".into()));
    }
    for cols in [vec![0, 2, 1], vec![0, 1, 1], vec![0, 1, 3]] {
        let why = made(vec![0, 1, 3], cols).expect("refused").to_string();
        assert!(why.contains("global row 1: its columns"), "{why}");
    }
    let a = made_alone(2, 3);
    let error = a.times(&made_alone(2, 2)).expect_err("3 columns, 2 rows").to_string();
    assert!(error.contains("not spread alike"), "{error}");
}

fn made_alone(n: usize, m: usize) -> Rectangle {
    made(&Space::solo(n), &Space::solo(m), 4)
}
