//! Methods on grids whose nodes are numbered as a DMDA of PETSc has them that is cut in several directions, with Dirichlet nodes among the
//! unknowns or without: the same M, what is sent for it, and what is refused.
#![allow(clippy::unwrap_used)]
use precondor_plugin_reference::{FastPoisson, Reference};
use precondor_sdk::core::comm::Comm;
use precondor_sdk::core::comm::count::Counted;
use precondor_sdk::core::comm::threads;
use precondor_sdk::core::problem::Problem;
use precondor_sdk::core::registry::{DynGenerator, Native};
use precondor_sdk::core::reordered::{Order, Reordered};
use precondor_sdk::core::system::{COORDINATES, GRID_INDEX};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::{Value, json};
use precondor_testkit::ranks::{on_parts, part_of};
use std::sync::Arc;

/// A grid cut into boxes, one a rank, each numbered for itself.
struct Boxes {
    nodes: [usize; 3],
    /// Row of each node in natural order.
    rows: Vec<usize>,
    starts: Vec<u64>,
}

impl Boxes {
    /// Cuts that are as even as can be.
    fn new(nodes: [usize; 3], parts: [usize; 3]) -> Self {
        let along = |d: usize, k: usize| nodes[d] * k / parts[d]..nodes[d] * (k + 1) / parts[d];
        let (mut rows, mut starts, mut row) = (vec![0; nodes.iter().product()], vec![0], 0);
        for part in 0..parts.iter().product() {
            let at = [part % parts[0], part / parts[0] % parts[1], part / (parts[0] * parts[1])];
            for k in along(2, at[2]) {
                for j in along(1, at[1]) {
                    for i in along(0, at[0]) {
                        rows[(k * nodes[1] + j) * nodes[0] + i] = row;
                        row += 1;
                    }
                }
            }
            starts.push(row as u64);
        }
        Boxes { nodes, rows, starts }
    }

    fn ranks(&self) -> usize {
        self.starts.len() - 1
    }

    /// Back to natural order in whole layers; without the nodes of `out`.
    fn order(&self, out: impl Fn(usize) -> bool) -> Order {
        let mut number = vec![None; self.rows.len()];
        let mut count = 0;
        for (_, &row) in self.rows.iter().enumerate().filter(|(node, _)| !out(*node)) {
            number[row] = Some(count);
            count += 1;
        }
        let slowest = if self.nodes[2] > 1 { 2 } else { 1 };
        let inside = self.nodes[slowest] - if count < self.rows.len() as u64 { 2 } else { 0 };
        let (layer, ranks) = (count / inside as u64, self.ranks());
        let starts = (0..=ranks).map(|rank| layer * (inside * rank / ranks) as u64).collect();
        Order { starts, number: Arc::new(move |row| number[row as usize]), note: "cut".into() }
    }

    /// A system, in natural order, as the boxes number it, on one rank.
    fn numbered(&self, system: &System) -> System {
        let (a, n) = (system.a().own().view(), self.rows.len());
        let entries =
            (0..n).flat_map(|i| a.row(i).map(move |(j, v)| (self.rows[i], self.rows[j], v)));
        let a = Csr::from_triplets(n, n, entries.collect::<Vec<_>>()).unwrap();
        let mut numbered = System::new(DistCsr::solo(a).unwrap());
        for (name, aux) in
            system.all_aux().filter(|(name, _)| [COORDINATES, GRID_INDEX].contains(name))
        {
            let mut values = vec![0.0; aux.values.len()];
            for (node, &row) in self.rows.iter().enumerate() {
                values[row * aux.width..][..aux.width]
                    .copy_from_slice(&aux.values[node * aux.width..][..aux.width]);
            }
            numbered = numbered.with_aux(name, aux.width, values).unwrap();
        }
        numbered
    }
}

fn system(doc: Value) -> System {
    let mut doc = doc;
    doc["kind"] = "grid".into();
    Problem::from_json(&doc).unwrap().generate(Comm::solo()).unwrap().0
}

fn vector(n: usize) -> Vec<f64> {
    (0..n).map(|i| (0.7 * i as f64).sin()).collect()
}

fn reference() -> Arc<dyn DynGenerator> {
    Native::<Reference>::method()
}

#[test]
fn m_has_the_same_bits_however_the_grid_is_cut() {
    for (nodes, doc) in [
        ([9, 8, 1], json!({"nodes": [9, 8], "shift": 0.3})),
        ([8, 9, 1], json!({"nodes": [8, 9], "ends": ["periodic", "neumann"], "scheme": "fv"})),
        ([5, 6, 7], json!({"nodes": [5, 6, 7], "shift": 0.2})),
        ([6, 5, 8], json!({"nodes": [6, 5, 8], "ends": ["periodic"], "shift": 0.2, "tau": 2})),
    ] {
        let whole = system(doc.clone());
        let n = whole.a().n_own();
        let variants = [json!({}), json!({"positions": "auto"}), json!({"variant": "post-only"})];
        for mut params in variants {
            params["precision"] = "f64".into();
            params["bad_nodes"] = 0.0.into();
            params["grid"] = doc["nodes"].clone();
            let m = reference().generate(&params, &whole).unwrap();
            let mut expected = vec![f64::NAN; n];
            m.apply(&vector(n), &mut expected).unwrap();
            for parts in [[1, 1, 1], [2, 1, 1], [2, 2, 1], [3, 1, 1], [1, 2, 2], [2, 1, 2]] {
                if parts[2] > nodes[2] {
                    continue;
                }
                let boxes = Boxes::new(nodes, parts);
                let mut r = vec![0.0; n];
                boxes.rows.iter().zip(vector(n)).for_each(|(&row, value)| r[row] = value);
                let found = on_parts(&boxes.numbered(&whole), &boxes.starts, |system| {
                    let method = Reordered::new(reference(), boxes.order(|_| false));
                    let mut m = method.generate(&params, &system).unwrap();
                    assert!(m.properties().rank_independent && m.notes().contains(&"cut".into()));
                    let first = system.a().space().start() as usize;
                    let r = &r[first..first + system.a().n_own()];
                    let mut z = vec![f64::NAN; r.len()];
                    m.apply(r, &mut z).unwrap();
                    // Refreshed it is the same.
                    m.refresh(&system).unwrap();
                    let mut again = vec![f64::NAN; r.len()];
                    m.apply(r, &mut again).unwrap();
                    assert_eq!(z, again);
                    if m.properties().symmetric {
                        m.apply_transpose(r, &mut again).unwrap();
                        assert_eq!(z, again);
                    }
                    assert!(m.save().is_err() && m.bytes() > 8 * n / boxes.ranks());
                    z
                });
                let found = found.concat();
                let same =
                    boxes.rows.iter().zip(&expected).all(|(&row, value)| found[row] == *value);
                assert!(same, "{params} {parts:?} {doc}");
            }
        }
    }
}

/// The Laplacian on a grid whose boundary nodes have rows of a diagonal entry only; `coupled`: the others' rows have theirs.
fn kept(nodes: [usize; 3], coupled: bool) -> (System, Vec<bool>) {
    let n: usize = nodes.iter().product();
    let place =
        |row: usize| [row % nodes[0], row / nodes[0] % nodes[1], row / (nodes[0] * nodes[1])];
    let axes = if nodes[2] > 1 { 3 } else { 2 };
    let border =
        |row: usize| (0..axes).any(|d| place(row)[d] == 0 || place(row)[d] == nodes[d] - 1);
    let mut entries = Vec::new();
    for row in 0..n {
        if border(row) {
            entries.push((row, row, 3.0));
            continue;
        }
        entries.push((row, row, 2.0 * axes as f64));
        let strides = [1, nodes[0], nodes[0] * nodes[1]];
        let others = strides[..axes].iter().flat_map(|s| [row - s, row + s]);
        entries.extend(
            others.filter(|&other| coupled || !border(other)).map(|other| (row, other, -1.0)),
        );
    }
    let a = Csr::from_triplets(n, n, entries).unwrap();
    (System::new(DistCsr::solo(a).unwrap()), (0..n).map(border).collect())
}

#[test]
fn unknowns_whose_row_has_a_diagonal_entry_only_are_taken_out_exactly() {
    for nodes in [[7, 6, 1], [5, 6, 7]] {
        for coupled in [true, false] {
            let (whole, out) = kept(nodes, coupled);
            let n = whole.a().n_own();
            let axes = if nodes[2] > 1 { 3 } else { 2 };
            let inside: Vec<usize> = nodes[..axes].iter().map(|m| m - 2).collect();
            for parts in [[1, 1, 1], [2, 1, 1], [2, 2, 1], [1, 3, 1]] {
                let boxes = Boxes::new(nodes, parts);
                let residuals = on_parts(&boxes.numbered(&whole), &boxes.starts, |system| {
                    let order = boxes.order(|node| out[node]);
                    let method = Reordered::new(Native::<FastPoisson>::method(), order);
                    let m = method.generate(&json!({ "grid": inside }), &system).unwrap();
                    // M is the inverse of A: symmetric where A is.
                    assert_eq!(m.properties().symmetric, !coupled);
                    assert_eq!(m.properties().positive_definite, !coupled);
                    let a = system.a();
                    let r: Vec<f64> =
                        (0..a.n_own()).map(|i| (0.3 * a.global_row(i) as f64).cos()).collect();
                    let (mut z, mut y) = (vec![f64::NAN; r.len()], vec![0.0; r.len()]);
                    m.apply(&r, &mut z).unwrap();
                    a.spmv(&z, &mut y).unwrap();
                    assert_eq!(m.apply_transpose(&r, &mut y.clone()).is_err(), coupled);
                    y.iter().zip(&r).map(|(y, r)| (y - r).abs()).fold(0.0, f64::max)
                });
                assert!(
                    residuals.iter().all(|&r| r < 1e-12),
                    "{nodes:?} {parts:?}: {residuals:?} of {n}"
                );
            }
        }
    }
}

#[test]
fn what_moving_sends_is_what_boxes_and_layers_have_in_common() {
    let (nodes, parts) = ([10, 12, 1], [2, 2, 1]);
    let whole = system(json!({"nodes": [10, 12]}));
    let boxes = Boxes::new(nodes, parts);
    let numbered = boxes.numbered(&whole);
    let params = json!({"grid": [10, 12]});
    let sent = |cut: bool| {
        threads::run(4, |world| {
            let counted = Counted::new(world);
            let counter = counted.counter();
            let comm = Comm::new(Arc::new(counted));
            let (m, n) = if cut {
                let system = part_of(&numbered, comm, &boxes.starts);
                let method =
                    Reordered::new(Native::<FastPoisson>::method(), boxes.order(|_| false));
                (method.generate(&params, &system).unwrap(), system.a().n_own())
            } else {
                let system = part_of(&whole, comm, &[0, 30, 60, 90, 120]);
                (Native::<FastPoisson>::method().generate(&params, &system).unwrap(), 30)
            };
            let before = counter.read();
            m.apply(&vec![1.0; n], &mut vec![0.0; n]).unwrap();
            (counter.read() - before).exchange
        })
    };
    let (moved, plain) = (sent(true), sent(false));
    // Boxes of 5 by 6 nodes, layers of 3 rows: each box has 15 nodes in each of two layers, and each layer of two boxes.
    for rank in 0..4usize {
        let layers = [0, 1].map(|k| 2 * (rank / 2) + k);
        let boxes = [0, 1].map(|k| 2 * (rank / 2) + k);
        let [forth, back] =
            [layers, boxes].map(|to| to.iter().filter(|&&to| to != rank).count() as u64);
        let (moved, plain) = (&moved[rank], &plain[rank]);
        assert_eq!(moved.messages - plain.messages, forth + back, "rank {rank}");
        assert_eq!(moved.bytes - plain.bytes, 8 * 15 * (forth + back), "rank {rank}");
    }
}

#[test]
fn orders_that_are_none_and_rows_that_do_not_fit_are_refused_on_all_ranks() {
    let (whole, out) = kept([6, 7, 1], true);
    let boxes = Boxes::new([6, 7, 1], [2, 2, 1]);
    let numbered = boxes.numbered(&whole);
    let refused = |system: &System, order: Order, grid: Value| {
        on_parts(system, &boxes.starts, |system| {
            let method = Reordered::new(Native::<FastPoisson>::method(), order.clone());
            let comm = system.a().space().comm().clone();
            let made =
                comm.scope(|| method.generate(&json!({ "grid": grid }), &system).map(|_| ()));
            made.unwrap_err().to_string()
        })
    };
    let number =
        |f: fn(u64) -> Option<u64>| Order { number: Arc::new(f), ..boxes.order(|_| false) };
    for (order, grid, why) in [
        (number(|row| Some(row.min(40))), json!([6, 7]), "both number 40"),
        (
            number(|row| Some(row + 1)),
            json!([6, 7]),
            "row 41 is number 42 in another order of 42 rows",
        ),
        // Inner rows left out, too.
        (number(|row| (row < 3).then_some(row)), json!([6, 7]), "no row is number"),
        (
            Order { starts: vec![0, 10, 20, 30, 41], ..boxes.order(|node| node == 8) },
            json!([6, 7]),
            "it may have a diagonal entry only here",
        ),
    ] {
        let said = refused(&numbered, order, grid);
        assert!(said.iter().all(|said| said.contains(why)), "{why}: {said:?}");
    }
    // A method's own error names the row here: with a node of the wrong place coupled.
    let n = whole.a().n_own();
    let a = whole.a().own().view();
    let mut entries: Vec<_> = (0..n).flat_map(|i| a.row(i).map(move |(j, v)| (i, j, v))).collect();
    entries.push((2 * 6 + 1, 4 * 6 + 4, -0.5));
    let wrong = System::new(DistCsr::solo(Csr::from_triplets(n, n, entries).unwrap()).unwrap());
    let said = refused(&boxes.numbered(&wrong), boxes.order(|node| out[node]), json!([4, 5]));
    let row = format!("global row {} ", boxes.rows[2 * 6 + 1]);
    assert!(said.iter().all(|said| said.contains(&row)), "{row}: {said:?}");
    // A zero on the diagonal of a row left out.
    let mut zero: Vec<_> = (0..n).flat_map(|i| a.row(i).map(move |(j, v)| (i, j, v))).collect();
    zero[0].2 = 0.0;
    let zero = System::new(DistCsr::solo(Csr::from_triplets(n, n, zero).unwrap()).unwrap());
    let said = refused(&boxes.numbered(&zero), boxes.order(|node| out[node]), json!([4, 5]));
    assert!(
        said.iter().all(|said| said.contains("global row 0: the diagonal entry is zero")),
        "{said:?}"
    );
}
