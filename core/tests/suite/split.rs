//! Fields, the blocks of a matrix between them and Schur complements, against plain loops over a dense
//! matrix.
use crate::common::*;
use precondor_core::Error;
use precondor_core::kernel::schur::{self, Inverse};
use precondor_core::kernel::split::{Back, Fields};
use precondor_core::matrix::{Csr, DistCsr};

/// Fields of `n` rows without a pattern, one of them with a single row.
fn fields_of(n: usize) -> Vec<u32> {
    (0..n).map(|i| if i == n - 2 { 2 } else { (i * i % 7 % 3 == 0).into() }).collect()
}

fn own_fields(a: &DistCsr, all: &[u32]) -> Vec<u32> {
    let from = a.space().start() as usize;
    all[from..from + a.n_own()].to_vec()
}

/// Rows of each field.
fn rows_of(all: &[u32], f: u32) -> Vec<usize> {
    (0..all.len()).filter(|&i| all[i] == f).collect()
}

#[test]
fn blocks_and_their_transposes_multiply_as_the_dense_ones_on_any_ranks() {
    let a = convection_diffusion(5);
    let (n, all) = (a.n_rows(), fields_of(25));
    let x = vector(n);
    for (size, with_empty) in [(1, false), (2, false), (3, true), (5, true), (7, false)] {
        let parts = on_ranks(size, with_empty, &a, |a| {
            let fields = Fields::new(&a, &own_fields(&a, &all), 3).unwrap();
            let mut out = Vec::new();
            for (f, g) in (0..3).flat_map(|f| (0..3).map(move |g| (f, g))) {
                let mut block = fields.block(&a, f, g).unwrap();
                let [mut of_f, mut of_g] = [f, g].map(|f| vec![f64::NAN; fields.rows(f).len()]);
                let (mut xf, mut xg) = (of_f.clone(), of_g.clone());
                fields.take(f, own(&a, &x), &mut xf);
                fields.take(g, own(&a, &x), &mut xg);
                block.multiply(&ThreeThreads, &xg, &mut of_f).unwrap();
                block.multiply_transposed(&xf, &mut of_g).unwrap();
                let mut whole = [vec![0.0; a.n_own()], vec![0.0; a.n_own()]];
                fields.put(f, &of_f, &mut whole[0]);
                fields.put(g, &of_g, &mut whole[1]);
                // Other values on the same pattern, twice as large.
                let double = a.own().view().values.iter().map(|v| 2.0 * v).collect();
                let ghost = a.ghost().view().values.iter().map(|v| 2.0 * v).collect();
                let twice = a.with_values(double, ghost).unwrap();
                block.set_values(fields.values(&twice, f, g)).unwrap();
                let once = of_f.clone();
                block.multiply(&ThreeThreads, &xg, &mut of_f).unwrap();
                assert!(of_f.iter().zip(&once).all(|(two, one)| *two == 2.0 * one));
                out.push(whole);
            }
            // The whole matrix transposed.
            let mut whole = vec![f64::NAN; a.n_own()];
            let mut back = Back::of(&a).unwrap();
            let x = own(&a, &x);
            back.multiply(a.own().view(), a.ghost().view(), x, &mut whole).unwrap();
            (out, whole)
        });
        let entry = |i: usize, j: usize| a.view().get(i, j);
        let all_pairs = (0..3).flat_map(|f| (0..3).map(move |g| (f, g)));
        for (k, (f, g)) in all_pairs.enumerate() {
            let sum = |i: usize, from: &[usize], of: &dyn Fn(usize, usize) -> f64| -> f64 {
                from.iter().map(|&j| of(i, j) * x[j]).sum()
            };
            let (in_f, in_g) = (rows_of(&all, f), rows_of(&all, g));
            let mut expected = [vec![0.0; n], vec![0.0; n]];
            in_f.iter().for_each(|&i| expected[0][i] = sum(i, &in_g, &|i, j| entry(i, j)));
            in_g.iter().for_each(|&i| expected[1][i] = sum(i, &in_f, &|i, j| entry(j, i)));
            for (t, expected) in expected.iter().enumerate() {
                let got: Vec<f64> = parts.iter().flat_map(|(out, _)| out[k][t].clone()).collect();
                assert!(distance(&got, expected) < 1e-13, "block {f}, {g} on {size} ranks");
            }
        }
        let got: Vec<f64> = parts.into_iter().flat_map(|(_, whole)| whole).collect();
        assert!(distance(&got, &times(&a.transpose(), &x)) < 1e-13, "on {size} ranks");
    }
}

#[test]
fn products_with_blocks_have_the_same_bits_on_any_ranks() {
    let (a, all) = (convection_diffusion(6), fields_of(36));
    let x = vector(36);
    let product = |size: usize| -> Vec<u64> {
        let parts = on_ranks(size, false, &a, |a| {
            let fields = Fields::new(&a, &own_fields(&a, &all), 3).unwrap();
            let mut block = fields.block(&a, 0, 1).unwrap();
            let (mut of_g, mut y) =
                (vec![0.0; fields.rows(1).len()], vec![0.0; fields.rows(0).len()]);
            fields.take(1, own(&a, &x), &mut of_g);
            block.multiply(&ThreeThreads, &of_g, &mut y).unwrap();
            y
        });
        parts.into_iter().flatten().map(f64::to_bits).collect()
    };
    let alone = product(1);
    (2..6).for_each(|size| assert_eq!(product(size), alone, "on {size} ranks"));
}

#[test]
fn numbers_within_fields_keep_the_order_of_the_whole() {
    let (a, all) = (laplace(5), fields_of(25));
    for (size, with_empty) in [(1, false), (3, true), (4, true)] {
        on_ranks(size, with_empty, &a, |a| {
            let fields = Fields::new(&a, &own_fields(&a, &all), 3).unwrap();
            for (f, rows) in (0..3).map(|f| (f, rows_of(&all, f as u32))) {
                assert_eq!(fields.space(f).n_global(), rows.len() as u64);
                let near = |row: u64| {
                    let own = row.wrapping_sub(a.space().start()) < a.n_own() as u64;
                    own || a.ghost_ids().contains(&row)
                };
                for (number, &row) in rows.iter().enumerate() {
                    let told = fields.global(&a, f, number as u64);
                    assert_eq!(told, Some(row as u64).filter(|&row| near(row)));
                }
                assert_eq!(fields.global(&a, f, rows.len() as u64), None);
            }
        });
    }
}

/// The dense Schur complement with a diagonal matrix for A₀₀.
fn dense_complement(a: &Csr, all: &[u32], [first, second]: [u32; 2], lumped: bool) -> Vec<f64> {
    let (rows, entry) = (rows_of(all, second), |i, j| a.view().get(i, j));
    let weight = |k: usize| match lumped {
        false => entry(k, k),
        true => rows_of(all, first).iter().map(|&l| entry(k, l).abs()).sum(),
    };
    let through = |i: usize, j: usize| -> f64 {
        rows_of(all, first).iter().map(|&k| entry(i, k) / weight(k) * entry(k, j)).sum()
    };
    let pairs = rows.iter().flat_map(|&i| rows.iter().map(move |&j| (i, j)));
    pairs.map(|(i, j)| entry(i, j) - through(i, j)).collect()
}

#[test]
fn schur_complements_are_the_dense_ones_with_the_same_bits_on_any_ranks() {
    let (a, all) = (convection_diffusion(5), fields_of(25));
    for (pair, inverse) in [([0, 1], Inverse::Diagonal), ([1, 0], Inverse::Lumped)] {
        let expected = dense_complement(&a, &all, pair, inverse == Inverse::Lumped);
        let [first, second] = pair.map(|f| f as usize);
        let n = rows_of(&all, pair[1]).len();
        let mut alone: Option<Vec<f64>> = None;
        for (size, with_empty) in [(1, false), (2, false), (3, true), (5, true)] {
            let parts = on_ranks(size, with_empty, &a, |a| {
                let fields = Fields::new(&a, &own_fields(&a, &all), 3).unwrap();
                let s = schur::complement(&a, &fields, [first, second], inverse).unwrap();
                let mut dense = vec![0.0; s.n_own() * n];
                for i in 0..s.n_own() {
                    s.global_entries(i).for_each(|(j, v)| dense[i * n + j as usize] = v);
                }
                dense
            });
            let got: Vec<f64> = parts.into_iter().flatten().collect();
            assert!(distance(&got, &expected) < 1e-13, "{inverse:?} on {size} ranks");
            assert!(got == *alone.get_or_insert(got.clone()), "other bits on {size} ranks");
        }
    }
}

#[test]
fn a_zero_in_the_eliminated_field_is_named_on_all_ranks() {
    let a = laplace(4);
    let zeroed = a.view().row_ptr.windows(2).enumerate().flat_map(|(i, ends)| {
        let cols = &a.view().cols[ends[0] as usize..ends[1] as usize];
        cols.iter().map(move |&j| if i == 9 && j == 9 { 0.0 } else { 1.0 }).collect::<Vec<_>>()
    });
    let a = a.with_values(zeroed.collect()).unwrap();
    let all: Vec<u32> = (0..16).map(|i| u32::from(i % 3 == 2)).collect();
    for size in 1..4 {
        let ends = on_ranks(size, false, &a, |a| {
            let comm = a.space().comm().clone();
            comm.scope(|| {
                let fields = Fields::new(&a, &own_fields(&a, &all), 2)?;
                schur::complement(&a, &fields, [0, 1], Inverse::Diagonal)
            })
            .err()
        });
        for end in &ends {
            let text = end.as_ref().unwrap().to_string();
            assert!(text.contains("global row 9: the diagonal entry is 0"), "{text}");
        }
        let breakdowns = ends.iter().flatten().filter(|e| matches!(e, Error::Breakdown(_)));
        assert_eq!(breakdowns.count(), 1, "one rank has the row");
    }
}

#[test]
fn a_complement_much_larger_than_the_matrix_is_refused() {
    // Every row of the second field meets every other one through the only row of the first.
    let n = 1100;
    let arrow = (0..n).flat_map(|i| [(i, i, 1.0), (0, i, 1.0), (i, 0, 1.0)]);
    let a = Csr::from_triplets(n, n, arrow.collect::<Vec<_>>()).unwrap();
    let all: Vec<u32> = (0..n).map(|i| u32::from(i > 0)).collect();
    let a = DistCsr::solo(a).unwrap();
    let fields = Fields::new(&a, &all, 2).unwrap();
    assert!(schur::complement(&a, &fields, [0, 1], Inverse::Diagonal).is_ok());
    let n = 4000;
    let arrow = (0..n).flat_map(|i| [(i, i, 1.0), (0, i, 1.0), (i, 0, 1.0)]);
    let a = Csr::from_triplets(n, n, arrow.collect::<Vec<_>>()).unwrap();
    let all: Vec<u32> = (0..n).map(|i| u32::from(i > 0)).collect();
    let a = DistCsr::solo(a).unwrap();
    let fields = Fields::new(&a, &all, 2).unwrap();
    let error = schur::complement(&a, &fields, [0, 1], Inverse::Diagonal).err().unwrap();
    let text = error.to_string();
    assert!(text.starts_with("global row 3001: the Schur complement takes more than"), "{text}");
    assert!(text.contains("approximate it by \"a11\""), "{text}");
}
