//! The fast solve against the matrix, and the fit against what it was made of.
use super::fit::fit;
use super::*;
use crate::comm::{Comm, threads};
use crate::host::Alone;
use crate::kernel::slab::Slabs;
use crate::matrix::{Csr, DistCsr, Space};
use crate::problem::{Poisson, Problem, Tetrahedra};

#[derive(Clone, Copy, PartialEq, Debug)]
enum Ends {
    Walls,
    Between,
    Free,
    FreeNodes,
    Ring,
    Mixed,
    Stretched,
}

const ALL: [Ends; 7] = [
    Ends::Walls,
    Ends::Between,
    Ends::Free,
    Ends::FreeNodes,
    Ends::Ring,
    Ends::Mixed,
    Ends::Stretched,
];

fn axis(m: usize, ends: Ends) -> Axis {
    let mut axis = Axis::unit(m);
    axis.stiffness.iter_mut().for_each(|k| *k = 1.5);
    let (k, w) = (&mut axis.stiffness, &mut axis.mass);
    match ends {
        Ends::Walls => {}
        Ends::Between => (k[0], k[m]) = (3.0, 3.0),
        Ends::Free => (k[0], k[m]) = (0.0, 0.0),
        Ends::FreeNodes => {
            (k[0], k[m]) = (0.0, 0.0);
            w[0] *= 0.5;
            w[m - 1] *= 0.5;
        }
        Ends::Ring => axis.periodic = m > 2,
        Ends::Mixed => k[0] = 0.0,
        Ends::Stretched => {
            let spacing = |i: usize| 1.2f64.powi(i as i32);
            (0..=m).for_each(|i| k[i] = 1.0 / spacing(i));
            (0..m).for_each(|i| w[i] = 0.5 * (spacing(i) + spacing(i + 1)));
        }
    }
    axis
}

fn wave(n: u64) -> Vec<f64> {
    (0..n).map(|i| (0.7 * i as f64).sin() + (0.11 * i as f64).cos()).collect()
}

/// Right-hand side of known solution; the constant part is left out where it costs nothing.
fn system(operator: &Separable) -> (Vec<f64>, Vec<f64>) {
    let lattice = operator.lattice();
    let n = lattice.nodes() as u64;
    let a = operator.matrix(&Space::solo(n as usize)).expect("a matrix");
    let mut x = wave(n);
    if operator.is_singular() {
        let mass = |row: u64| -> f64 {
            let place = lattice.place(row);
            operator.axes.iter().zip(place).map(|(axis, i)| axis.mass[i]).product()
        };
        let all: f64 = (0..n).map(mass).sum();
        let mean = (0..n).map(|row| mass(row) * x[row as usize]).sum::<f64>() / all;
        x.iter_mut().for_each(|x| *x -= mean);
    }
    let mut b = vec![0.0; n as usize];
    a.spmv(&x, &mut b).expect("one rank");
    (x, b)
}

fn solved<T: Number>(operator: &Separable, b: &[f64]) -> Vec<f64> {
    let layers = Solver::<T>::layers(operator.lattice());
    let mut solver = Solver::<T>::alone(operator).expect("a solver");
    // A place between layers that must stay as it is.
    let (stride, seven) = (layers.mx + 1, T::rounded(7.0));
    let mut x = vec![seven; stride * layers.my];
    for (to, from) in x.chunks_mut(stride).zip(b.chunks(layers.mx)) {
        to.iter_mut().zip(from).for_each(|(to, from)| *to = T::rounded(*from));
    }
    solver.solve(&Alone, &mut x, stride).expect("no host to fail");
    assert!(x.chunks(stride).all(|layer| layer[layers.mx] == seven));
    x.chunks(stride).flat_map(|layer| layer[..layers.mx].iter().map(|v| v.widened())).collect()
}

fn off(x: &[f64], y: &[f64]) -> f64 {
    let square = |of: &dyn Fn(usize) -> f64| (0..x.len()).map(|i| of(i).powi(2)).sum::<f64>();
    (square(&|i| x[i] - y[i]) / square(&|i| x[i])).sqrt()
}

#[test]
fn solves_invert_the_matrix_whatever_the_ends_and_sizes() {
    for (a, b) in ALL.into_iter().flat_map(|a| ALL.map(|b| (a, b))) {
        for shift in [0.0, 0.01] {
            for dims in [[1, 1], [5, 3], [12, 33], [40, 11]] {
                let axes = vec![axis(dims[0], a), axis(dims[1], b)];
                let operator = Separable { axes, shift };
                let (x, rhs) = system(&operator);
                let gap = off(&x, &solved::<f64>(&operator, &rhs));
                assert!(
                    gap < 1e-9 || (shift == 0.0 && dims == [1, 1]),
                    "{a:?} {b:?} {dims:?} {gap:e}"
                );
            }
        }
        for (c, dims) in
            [(Ends::Walls, [7, 9, 5]), (Ends::Ring, [20, 6, 4]), (Ends::Free, [5, 18, 7])]
        {
            let axes = vec![axis(dims[0], a), axis(dims[1], b), axis(dims[2], c)];
            let operator = Separable { axes, shift: 0.0 };
            let (x, rhs) = system(&operator);
            let gap = off(&x, &solved::<f64>(&operator, &rhs));
            assert!(gap < 1e-11, "{a:?} {b:?} {c:?} {gap:e}");
            let single = off(&x, &solved::<f32>(&operator, &rhs));
            assert!(single < 3e-3, "{a:?} {b:?} {c:?} {single:e}");
        }
    }
}

#[test]
fn what_is_computed_is_symmetric_and_positive_definite_also_where_constants_are_free() {
    for ends in [Ends::Free, Ends::Ring, Ends::FreeNodes] {
        let operator = Separable { axes: vec![axis(5, ends), axis(4, ends)], shift: 0.0 };
        assert!(operator.is_singular());
        let unit = |i: usize| (0..20).map(|j| f64::from(u8::from(i == j))).collect::<Vec<_>>();
        let m: Vec<Vec<f64>> = (0..20).map(|i| solved::<f64>(&operator, &unit(i))).collect();
        for (i, j) in (0..20).flat_map(|i| (0..20).map(move |j| (i, j))) {
            assert!((m[i][j] - m[j][i]).abs() < 1e-13, "{ends:?}");
        }
        let x = wave(20);
        let energy =
            |x: &[f64]| x.iter().zip(solved::<f64>(&operator, x)).map(|(x, y)| x * y).sum::<f64>();
        assert!(energy(&x) > 0.0 && energy(&[1.0; 20]) > 0.0);
    }
}

#[test]
fn ranks_give_the_bits_of_one() {
    for (dims, ends) in [
        (vec![9, 14], vec![Ends::Walls, Ends::Ring]),
        (vec![33, 5], vec![Ends::Stretched, Ends::Free]),
        (vec![6, 5, 7], vec![Ends::Free, Ends::Ring, Ends::Free]),
        (vec![5, 8, 4], vec![Ends::Walls, Ends::Mixed, Ends::Ring]),
    ] {
        let axes = dims.iter().zip(ends).map(|(&m, ends)| axis(m, ends)).collect();
        let operator = Separable { axes, shift: 0.0 };
        let layers = Solver::<f64>::layers(operator.lattice());
        let n = layers.nodes();
        let b = wave(n as u64);
        let whole = solved::<f64>(&operator, &b);
        let cuts = [vec![0, n], vec![0, n / 3, n], vec![0, 0, 5, n - 1, n, n]];
        for starts in cuts {
            let starts: Vec<u64> = starts.into_iter().map(|s| s as u64).collect();
            threads::run(starts.len() - 1, |comm| {
                let comm = Comm::new(comm);
                let slabs = Slabs::new(layers, &starts).expect("fits");
                let mut solver = Solver::<f64>::new(&operator, &slabs, &comm, 1).expect("plans");
                let nodes = slabs.nodes(slabs.around(comm.rank(), 1));
                let mut x = b[nodes.clone()].to_vec();
                solver.solve(&Alone, &mut x, layers.mx).expect("solves");
                assert_eq!(x, whole[nodes], "{dims:?} {starts:?}");
            });
        }
    }
}

fn fitted(a: &DistCsr, given: Option<&[usize]>) -> crate::Result<Fit> {
    fit(a, Lattice::shown(a, given)?, false)
}

#[test]
fn the_fit_of_a_matrix_of_a_tensor_grid_is_that_matrix() {
    for (a, b) in ALL.into_iter().flat_map(|a| ALL.map(|b| (a, b))) {
        for shift in [0.0, 0.3] {
            for third in [None, Some(Ends::Stretched), Some(Ends::Free)] {
                let mut axes = vec![axis(7, a), axis(5, b)];
                axes.extend(third.map(|ends| axis(6, ends)));
                let operator = Separable { axes, shift };
                let matrix =
                    operator.matrix(&Space::solo(operator.lattice().nodes())).expect("fits");
                let found =
                    fitted(&matrix, None).unwrap_or_else(|e| panic!("{a:?} {b:?} {third:?}: {e}"));
                assert!(
                    found.distance < 1e-12,
                    "{a:?} {b:?} {third:?} {shift}: {}",
                    found.distance
                );
                assert_eq!(found.operator.lattice(), operator.lattice());
                assert_eq!(
                    found.operator.is_singular(),
                    operator.is_singular(),
                    "{a:?} {b:?} {third:?}"
                );
            }
        }
    }
}

#[test]
fn a_row_of_nodes_is_fitted_as_a_grid_of_one_row() {
    // The five-point Laplacian: 4 on the diagonal, though there is nothing above or below.
    let operator = Separable::laplacian(&[12, 1]);
    let matrix = operator.matrix(&Space::solo(12)).expect("fits");
    assert_eq!(matrix.diagonal(3), 4.0);
    let found = fitted(&matrix, Some(&[12, 1])).expect("separable");
    assert!(found.distance < 1e-14, "{}", found.distance);
    assert!((found.operator.entry([0, 0, 0], [0; 3]) - 4.0).abs() < 1e-14);
}

#[test]
fn shifted_nodes_leave_axes_of_equal_spacings_at_the_level_of_the_matrix() {
    for (problem, dims) in [
        (Problem::Poisson(Poisson::at_level(5)), vec![31, 31]),
        (Problem::Poisson(Poisson { shift: 0.4, ..Poisson::at_level(6) }), vec![63, 63]),
        (Problem::Tetrahedra(Tetrahedra { nodes: 13, ..Tetrahedra::default() }), vec![13; 3]),
    ] {
        let (system, _) = problem.generate(Comm::solo()).expect("a problem");
        let found = fitted(system.a(), None).expect("near");
        assert_eq!(found.operator.dims(), dims);
        let unit = Separable::laplacian(&dims);
        let h = if dims.len() == 3 { 1.0 / 14.0 } else { 1.0 };
        for axis in 0..dims.len() {
            assert_eq!(found.operator.axes[axis].modes(), unit.axes[axis].modes(), "{dims:?}");
        }
        let at = [dims[0] / 2, dims[1] / 2, if dims.len() == 3 { dims[2] / 2 } else { 0 }];
        let diagonal = found.operator.entry(at, [0; 3]) / (2.0 * dims.len() as f64 * h);
        assert!((diagonal - 1.0).abs() < 0.03, "{dims:?}: {diagonal}");
        assert!(found.distance > 0.05 && found.distance < 0.4, "{dims:?}: {}", found.distance);
    }
}

#[test]
fn planes_with_flat_cells_are_fitted_all_the_same() {
    for seed in 0..3 {
        let shift = 0.45;
        let problem =
            Problem::Tetrahedra(Tetrahedra { nodes: 13, shift, seed, ..Tetrahedra::default() });
        let (system, _) = problem.generate(Comm::solo()).expect("a problem");
        let found = fitted(system.a(), None).expect("near");
        let diagonal = found.operator.entry([6; 3], [0; 3]) * 14.0 / 6.0;
        assert!((0.3..3.0).contains(&diagonal), "{seed}: {diagonal}");
    }
}

#[test]
fn every_rank_of_any_number_finds_the_same_operator() {
    let problem = Problem::Poisson(Poisson { shift: 0.3, ..Poisson::at_level(4) });
    let find = |comm: Comm| {
        let (system, _) = problem.generate(comm).expect("a problem");
        fitted(system.a(), None).expect("near").operator
    };
    let alone = find(Comm::solo());
    for size in [2, 3, 5] {
        assert!(threads::run(size, |comm| find(Comm::new(comm))).iter().all(|o| *o == alone));
    }
}

#[test]
fn what_no_separable_operator_is_near_to_is_refused_in_words() {
    let n = 20;
    let contrast =
        |i: usize, j: usize| -> f64 { if (i / 10 + j / 10).is_multiple_of(2) { 1.0 } else { 1e4 } };
    let at = |i: usize, j: usize| j * n + i;
    let mut entries = Vec::new();
    for (i, j) in (0..n).flat_map(|j| (0..n).map(move |i| (i, j))) {
        for (k, l) in [(i + 1, j), (i, j + 1)] {
            if k < n && l < n {
                let c = contrast(i, j).min(contrast(k, l));
                entries.extend([(at(i, j), at(k, l), -c), (at(k, l), at(i, j), -c)]);
                entries.extend([(at(i, j), at(i, j), c), (at(k, l), at(k, l), c)]);
            }
        }
        entries.push((at(i, j), at(i, j), 1e-3));
    }
    let a = DistCsr::solo(Csr::from_triplets(n * n, n * n, entries).expect("a matrix"))
        .expect("square");
    let why = fitted(&a, None).expect_err("far").to_string();
    assert!(
        why.contains("no separable operator is near to A: ") && why.contains("sixteenth"),
        "{why}"
    );
    // No entry of it is where the operator has one.
    let wild = |i: usize, j: usize| if i == j { 8.0 } else { -((i * j % 7) as f64) - 0.01 };
    let entries = (0..100usize).flat_map(|i| {
        let (x, y) = (i % 10, i / 10);
        (0..100usize).filter(move |j| (j % 10).abs_diff(x) < 2 && (j / 10).abs_diff(y) < 2).map(
            move |j| {
                (i, j, if (j % 10 != x) && (j / 10 != y) { 20.0 * wild(i, j) } else { wild(i, j) })
            },
        )
    });
    let a = Csr::from_triplets(100, 100, entries.collect::<Vec<_>>()).expect("a matrix");
    let why = fitted(&DistCsr::solo(a).expect("square"), None).expect_err("far").to_string();
    assert!(why.contains("away from the nearest one"), "{why}");
    let grid = Separable::laplacian(&[3, 3]).matrix(&Space::solo(9)).expect("fits");
    let times = |c: f64| {
        let values = grid.own().view().values.iter().map(|v| c * v).collect();
        grid.with_values(values, vec![]).expect("fits")
    };
    let why = |c: f64| fitted(&times(c), None).expect_err("refused").to_string();
    assert!(why(-1.0).contains("not negative entries"), "{}", why(-1.0));
    assert!(why(f64::NAN).contains("not finite"), "{}", why(f64::NAN));
    assert!(why(0.0).contains("not negative"), "{}", why(0.0));
    let node = Csr::from_triplets(1, 1, vec![(0, 0, 0.0)]).expect("a matrix");
    let why = fitted(&DistCsr::solo(node).expect("square"), None).expect_err("refused").to_string();
    assert!(why.contains("all of its entries are zero"), "{why}");
}
