//! Problems on structured grids: exact for linear functions, equal to tensor products where they are such, consistent with the
//! equation, singular where they should be, sound at any shift, smooth in time.
use precondor_core::comm::{Comm, threads};
use precondor_core::kernel::separable::{Axis, Separable};
use precondor_core::matrix::Space;
use precondor_core::problem::{Grid, Problem};
use precondor_core::system::System;
use serde_json::{Value, json};
use std::f64::consts::PI;

fn problem(mut doc: Value) -> Problem {
    doc["kind"] = "grid".into();
    Problem::from_json(&doc).unwrap_or_else(|e| panic!("{doc}: {e}"))
}

fn nth(doc: &Value, index: u64) -> (System, Vec<f64>) {
    problem(doc.clone()).generate_nth(Comm::solo(), index).expect("a system")
}

fn make(doc: &Value) -> (System, Vec<f64>) {
    nth(doc, 0)
}

/// `doc` with other keys.
fn with(doc: &Value, more: Value) -> Value {
    let mut doc = doc.clone();
    more.as_object().expect("a table").iter().for_each(|(key, value)| doc[key] = value.clone());
    doc
}

fn places(system: &System) -> Vec<Vec<f64>> {
    let aux = system.coordinates().expect("always there");
    aux.values.chunks_exact(aux.width).map(<[f64]>::to_vec).collect()
}

fn product(system: &System, u: &[f64]) -> Vec<f64> {
    let mut y = vec![0.0; u.len()];
    system.a().spmv(u, &mut y).expect("one rank");
    y
}

fn energy(system: &System, u: impl Fn(&[f64]) -> f64) -> f64 {
    let u: Vec<f64> = places(system).iter().map(|place| u(place)).collect();
    u.iter().zip(product(system, &u)).map(|(u, y)| u * y).sum()
}

/// Grids with shifted nodes, of both schemes and dimensions, and what bends them.
fn shifted() -> Vec<Value> {
    let mut all = Vec::new();
    for scheme in ["p1", "q1"] {
        for nodes in [json!([9, 7]), json!([6, 5, 7])] {
            for (map, shift) in [("none", 0.0), ("none", 0.45), ("sine", 0.3), ("annulus", 0.3)] {
                let doc = json!({"scheme": scheme, "nodes": nodes, "map": map, "shift": shift});
                all.push(with(&doc, json!({"spacing": [5.0], "motion": 0.05, "seed": 3})));
            }
        }
    }
    all
}

#[test]
fn linear_functions_of_the_place_are_solutions_wherever_cells_are() {
    for doc in shifted() {
        for ends in ["dirichlet", "neumann"] {
            let (system, _) = make(&with(&doc, json!({"ends": [ends]})));
            let (a, places) = (system.a().own().view(), places(&system));
            let full = (0..a.n_rows()).map(|i| a.row_cols(i).len()).max().expect("rows");
            let mut inside = 0;
            for i in (0..a.n_rows()).filter(|&i| a.row_cols(i).len() == full) {
                inside += 1;
                for (d, here) in places[i].iter().enumerate() {
                    let terms = a.row(i).map(|(j, v)| v * (places[j][d] - here));
                    let (sum, size) = terms.fold((0.0, 0.0), |(s, m), t| (s + t, m + t.abs()));
                    assert!(sum.abs() < 1e-11 * size, "row {i}, axis {d} of {doc}: {sum}");
                }
                let sum: f64 = a.row_values(i).iter().sum();
                assert!(sum.abs() < 1e-11 * a.get(i, i), "row {i} of {doc}: {sum}");
            }
            assert!(inside > 5, "{doc}");
        }
    }
}

#[test]
fn linear_functions_have_their_energy_on_the_whole_of_the_domain() {
    // ∫ |∇(x + 2y)|² = 5 on the unit square or cube, however its nodes are moved; 5 c with c constant.
    for doc in shifted().into_iter().filter(|doc| doc["map"] != "annulus") {
        let free = json!({"ends": ["neumann"], "coefficient": [3, 3]});
        let (system, _) = make(&with(&doc, free));
        let found = energy(&system, |p| p[0] + 2.0 * p[1]);
        assert!((found / 15.0 - 1.0).abs() < 1e-12, "{doc}: {found}");
    }
}

/// Rows of a dense matrix.
fn dense(system: &System) -> Vec<Vec<f64>> {
    let a = system.a().own().view();
    (0..a.n_rows()).map(|i| (0..a.n_rows()).map(|j| a.get(i, j)).collect()).collect()
}

/// Spacings that grow to `ratio` times the first, to a sum of 1.
fn spacings(count: usize, ratio: f64) -> Vec<f64> {
    let all: Vec<f64> = (0..count).map(|i| ratio.powf(i as f64 / (count - 1) as f64)).collect();
    let sum: f64 = all.iter().sum();
    all.iter().map(|h| h / sum).collect()
}

#[test]
fn grids_of_boxes_are_tensor_products() {
    let ends = ["dirichlet", "neumann", "periodic", "dirichlet-neumann", "neumann-dirichlet"];
    // Stiffness between and mass of the unknowns of an axis, where values are between nodes (fv) or at them.
    let axis = |m: usize, ratio: f64, ends: &str, volumes: bool| {
        let [first, last] = match ends {
            "dirichlet" => [true, true],
            "dirichlet-neumann" => [true, false],
            "neumann-dirichlet" => [false, true],
            _ => [false, false],
        };
        let walls = [first, last].map(usize::from).iter().sum::<usize>();
        let ring = ends == "periodic";
        let cells = if volumes || ring { m } else { m + walls - 1 };
        let h = spacings(cells, ratio);
        let wall = |is: bool, h: f64| if is { h } else { f64::INFINITY };
        let (distances, mass): (Vec<f64>, Vec<f64>) = if volumes {
            let between = h.windows(2).map(|pair| 0.5 * (pair[0] + pair[1]));
            let around = 0.5 * (h[0] + h[m - 1]);
            let [low, high] = if ring {
                [around; 2]
            } else {
                [wall(first, 0.5 * h[0]), wall(last, 0.5 * h[m - 1])]
            };
            let all = [low].into_iter().chain(between).chain([high]).collect();
            (all, h)
        } else if ring {
            let mass = (0..m).map(|i| 0.5 * (h[(i + m - 1) % m] + h[i])).collect();
            ([h[m - 1]].into_iter().chain(h).collect(), mass)
        } else {
            let mut all = Vec::new();
            if !first {
                all.push(f64::INFINITY);
            }
            all.extend(&h);
            if !last {
                all.push(f64::INFINITY);
            }
            let half = |d: f64| if d.is_finite() { 0.5 * d } else { 0.0 };
            let mass = all.windows(2).map(|pair| half(pair[0]) + half(pair[1])).collect();
            (all, mass)
        };
        Axis { stiffness: distances.iter().map(|d| 1.0 / d).collect(), mass, periodic: ring }
    };
    for (k, (scheme, nodes)) in [("p1", vec![6, 5]), ("fv", vec![5, 4]), ("fv", vec![4, 5, 3])]
        .iter()
        .cycle()
        .take(15)
        .enumerate()
    {
        let ends: Vec<&str> = (0..nodes.len()).map(|d| ends[(k + 2 * d + k / 5) % 5]).collect();
        let ratios: Vec<f64> = (0..nodes.len()).map(|d| [1.0, 30.0, 0.2][(k + d) % 3]).collect();
        let axes = (0..nodes.len()).map(|d| axis(nodes[d], ratios[d], ends[d], *scheme == "fv"));
        let axes: Vec<Axis> = axes.collect();
        let n: usize = nodes.iter().product();
        // Lumped masses of triangles are products on equal spacings only.
        for tau in [None, Some(0.3)].into_iter().filter(|tau| tau.is_none() || *scheme == "fv") {
            let mut doc =
                json!({"scheme": scheme, "nodes": nodes, "ends": ends, "spacing": ratios});
            let (mut factor, mut shift) = (1.0, 0.0);
            if let Some(tau) = tau {
                doc["tau"] = tau.into();
                let cells: f64 = nodes.iter().map(|&m| m as f64).product();
                factor = tau * cells.powf(-2.0 / nodes.len() as f64);
                shift = 1.0 / factor;
            }
            let (system, _) = make(&doc);
            let operator = Separable { axes: axes.clone(), shift };
            let expected = dense(&System::new(operator.matrix(&Space::solo(n)).expect("one rank")));
            for (i, (row, expected)) in dense(&system).iter().zip(&expected).enumerate() {
                for (j, (a, b)) in row.iter().zip(expected).enumerate() {
                    let off = (a - factor * b).abs();
                    assert!(off < 1e-12 * row[i], "({i}, {j}) of {doc}: {a} for {}", factor * b);
                }
            }
        }
    }
}

#[test]
fn multilinear_elements_have_the_masses_of_their_axes() {
    // K ⊗ M + M ⊗ K, and in three dimensions three such terms, K = (−1, 2, −1)/h and M = h (1, 4, 1)/6.
    for nodes in [vec![5usize, 4], vec![4, 3, 5]] {
        let (system, _) = make(&json!({"scheme": "q1", "nodes": nodes}));
        let a = dense(&system);
        let place = |row: usize| {
            let mut left = row;
            nodes.iter().map(|m| (left % m, left /= m).0).collect::<Vec<usize>>()
        };
        let h: Vec<f64> = nodes.iter().map(|&m| 1.0 / (m + 1) as f64).collect();
        let near = |i: usize, j: usize, there: f64, beside: f64| match i.abs_diff(j) {
            0 => there,
            1 => beside,
            _ => 0.0,
        };
        for (i, row) in a.iter().enumerate() {
            for (j, found) in row.iter().enumerate() {
                let (p, q) = (place(i), place(j));
                let term = |axis: usize| {
                    let of = |d: usize| match d == axis {
                        true => near(p[d], q[d], 2.0, -1.0) / h[d],
                        false => near(p[d], q[d], 4.0, 1.0) * h[d] / 6.0,
                    };
                    (0..nodes.len()).map(of).product::<f64>()
                };
                let expected: f64 = (0..nodes.len()).map(term).sum();
                assert!((found - expected).abs() < 1e-13, "({i}, {j}): {found} for {expected}");
            }
        }
    }
}

#[test]
fn the_energy_of_a_smooth_function_converges_with_the_square_of_the_spacing() {
    // Between free ends cos πx cos πy (cos πz) on the unit square or cube, x² − y² on a quarter of an annulus; between walls the
    // product of sines.
    let cosines = |p: &[f64]| p.iter().map(|x| (PI * x).cos()).product::<f64>();
    let sines = |p: &[f64]| p.iter().map(|x| (PI * x).sin()).product::<f64>();
    let of_box = |dimension: i32| f64::from(dimension) * PI * PI * 0.5f64.powi(dimension);
    type Function<'a> = &'a dyn Fn(&[f64]) -> f64;
    let saddle = |p: &[f64]| p[0] * p[0] - p[1] * p[1];
    let mut cases: Vec<(Value, f64, Function<'_>)> = Vec::new();
    for scheme in ["p1", "q1"] {
        for (map, shift, spacing) in [("none", 0.0, 1.0), ("none", 0.3, 4.0), ("sine", 0.2, 1.0)] {
            for dimension in [2, 3] {
                let doc =
                    json!({"scheme": scheme, "map": map, "shift": shift, "spacing": [spacing]});
                cases.push((
                    with(&doc, json!({"ends": ["neumann"], "dimension": dimension})),
                    of_box(dimension),
                    &cosines,
                ));
                cases.push((
                    with(&doc, json!({"ends": ["dirichlet"], "dimension": dimension})),
                    of_box(dimension),
                    &sines,
                ));
            }
        }
        let annulus = json!({"scheme": scheme, "map": "annulus", "shift": 0.2, "dimension": 2});
        cases.push((with(&annulus, json!({"ends": ["neumann"]})), 7.5 * PI, &saddle));
        cases.push((with(&annulus, json!({"ends": ["neumann", "periodic"]})), 30.0 * PI, &saddle));
        let thick = with(&annulus, json!({"ends": ["neumann"], "dimension": 3}));
        cases.push((thick, 7.5 * PI, &saddle));
    }
    for dimension in [2, 3] {
        for spacing in [1.0, 4.0] {
            let doc = json!({"scheme": "fv", "spacing": [spacing], "dimension": dimension});
            cases.push((with(&doc, json!({"ends": ["neumann"]})), of_box(dimension), &cosines));
            cases.push((with(&doc, json!({"ends": ["dirichlet"]})), of_box(dimension), &sines));
        }
    }
    for (doc, exact, u) in cases {
        let mut doc = doc;
        let dimension = doc.as_object_mut().and_then(|doc| doc.remove("dimension"));
        let dimension = dimension.and_then(|d| d.as_u64()).expect("given") as usize;
        let error = |m: usize| {
            let nodes: Vec<usize> = vec![m; dimension];
            let (system, _) = make(&with(&doc, json!({ "nodes": nodes })));
            (energy(&system, u) / exact - 1.0).abs()
        };
        let [coarse, fine] =
            if dimension == 2 { [error(12), error(48)] } else { [error(6), error(24)] };
        let most = if dimension == 2 { 0.01 } else { 0.035 };
        // Errors of either sign cancel on some coarse grids.
        let settles = coarse / fine > 8.0 || fine < 0.001;
        assert!(fine < most && settles, "{doc}: {coarse} {fine}");
    }
}

#[test]
fn loads_and_masses_are_those_of_the_domain() {
    for doc in shifted() {
        let area = if doc["map"] == "annulus" { 0.75 * PI } else { 1.0 };
        let free = json!({"ends": ["neumann"], "tau": 7.5, "rhs": "load", "coefficient": [1, 5]});
        let (system, load) = make(&with(&doc, free));
        let sum: f64 = load.iter().sum();
        let off = (sum / area - 1.0).abs();
        assert!(off < if area == 1.0 { 1e-12 } else { 0.1 }, "{doc}: {sum}");
        let ones = product(&system, &vec![1.0; load.len()]);
        let off = ones.iter().zip(&load).all(|(one, load)| (one - load).abs() < 1e-11);
        assert!(off, "{doc}");
        let c = system.coefficient().expect("not constant");
        assert!(c.values.iter().all(|c| (1.0..=5.0).contains(c)));
    }
}

#[test]
fn without_walls_constants_are_taken_to_zero_and_known() {
    for (nodes, ends) in [
        (json!([6, 5]), json!(["neumann"])),
        (json!([5, 4, 3]), json!(["periodic"])),
        (json!([5, 4, 3]), json!(["neumann", "periodic", "neumann"])),
    ] {
        for (scheme, shift) in [("fv", 0.0), ("p1", 0.2), ("q1", 0.2)] {
            let doc = json!({"nodes": nodes, "scheme": scheme, "shift": shift, "ends": ends});
            let doc = with(&doc, json!({"coefficient": [0.5, 1.5], "spacing": [3.0]}));
            let whole = make(&doc);
            assert!(whole.0.a().null_spaces().is_some(), "{doc}");
            let ones = product(&whole.0, &vec![1.0; whole.1.len()]);
            let a = whole.0.a();
            assert!((0..ones.len()).all(|i| ones[i].abs() < 1e-14 * a.diagonal(i)), "{doc}");
            let sum: f64 = whole.1.iter().sum();
            assert!(sum.abs() < 1e-12, "{doc}: {sum}");
            // The same on ranks.
            for ranks in [2, 5] {
                let parts = threads::run(ranks, |comm| {
                    let (system, b) =
                        problem(doc.clone()).generate(Comm::new(comm)).expect("a system");
                    let a = system.a();
                    let rows: Vec<Vec<(u64, f64)>> =
                        (0..a.n_own()).map(|i| a.global_entries(i).collect()).collect();
                    (rows, b)
                });
                let rows: Vec<_> = parts.iter().flat_map(|part| part.0.clone()).collect();
                let whole_rows: Vec<Vec<(u64, f64)>> =
                    (0..a.n_own()).map(|i| a.global_entries(i).collect()).collect();
                assert!(rows == whole_rows, "{doc}");
                assert!(parts.iter().flat_map(|part| part.1.clone()).eq(whole.1.iter().copied()));
            }
            // A time step has a solution for any right-hand side.
            let (step, _) = make(&with(&doc, json!({"tau": 1.0, "rhs": "ones"})));
            assert!(step.a().null_spaces().is_none());
        }
    }
}

#[test]
fn no_cell_is_flat_at_any_shift() {
    let m = 12usize;
    for (nodes, shift) in [(vec![m, m], 0.49), (vec![m, m, m], 0.35), (vec![m, m, m], 0.49)] {
        let doc = json!({"nodes": nodes, "ends": ["neumann"], "shift": shift, "seed": 5});
        let (system, _) = make(&doc);
        let places = places(&system);
        let dimension = nodes.len();
        let whole = (1.0 / (m - 1) as f64).powi(dimension as i32);
        let mut least = f64::INFINITY;
        for cell in 0..(m - 1).pow(dimension as u32) {
            let first: Vec<usize> =
                (0..dimension).map(|d| cell / (m - 1).pow(d as u32) % (m - 1)).collect();
            let at = |corner: usize| {
                let along = |d: usize| (first[d] + (corner >> d & 1)) * m.pow(d as u32);
                &places[(0..dimension).map(along).sum::<usize>()]
            };
            let ways: &[(&[usize], f64)] = match dimension {
                2 => &[(&[0, 1, 3], 1.0), (&[0, 2, 3], -1.0)],
                _ => &[
                    (&[0, 1, 3, 7], 1.0),
                    (&[0, 1, 5, 7], -1.0),
                    (&[0, 2, 3, 7], -1.0),
                    (&[0, 2, 6, 7], 1.0),
                    (&[0, 4, 5, 7], 1.0),
                    (&[0, 4, 6, 7], -1.0),
                ],
            };
            for (corners, sign) in ways {
                let e: Vec<Vec<f64>> = (1..=dimension)
                    .map(|k| {
                        (0..dimension).map(|d| at(corners[k])[d] - at(corners[0])[d]).collect()
                    })
                    .collect();
                let minor = |a: usize, b: usize| e[1][a] * e[2][b] - e[1][b] * e[2][a];
                let volume = match dimension {
                    2 => e[0][0] * e[1][1] - e[0][1] * e[1][0],
                    _ => e[0][0] * minor(1, 2) - e[0][1] * minor(0, 2) + e[0][2] * minor(0, 1),
                };
                least = least.min(sign * volume / whole);
            }
        }
        // Nodes were drawn again where it was needed, and only there.
        assert!((0.0099..0.2).contains(&least), "{doc}: {least}");
    }
}

#[test]
fn nodes_go_round_smoothly_and_all_else_stays() {
    for nodes in [json!([8, 7]), json!([5, 6, 4])] {
        let doc = json!({"nodes": nodes, "shift": 0.2, "motion": 0.1, "period": 16, "coefficient": [1, 2]});
        let systems: Vec<(System, Vec<f64>)> = (0..17).map(|k| nth(&doc, k)).collect();
        let a = |k: usize| systems[k].0.a().own().view();
        assert!(a(0).values == a(16).values && a(0).values != a(1).values);
        for k in 1..16 {
            assert_eq!(a(k).cols, a(0).cols);
            assert_eq!(systems[k].1, systems[0].1);
            let (before, here) = (places(&systems[k - 1].0), places(&systems[k].0));
            let far = |(p, q): (&Vec<f64>, &Vec<f64>)| {
                p.iter().zip(q).map(|(p, q)| (p - q).powi(2)).sum::<f64>().sqrt()
            };
            let farthest = before.iter().zip(&here).map(far).fold(0.0, f64::max);
            let step = 2.0 * PI * 0.1 / 16.0;
            assert!(farthest < step && farthest > 0.5 * step, "{k}: {farthest}");
        }
        // Another sequence is another mesh; without motion each system is.
        assert!(nth(&with(&doc, json!({"seed": 1})), 0).0.a().own().view().values != a(0).values);
        let still = with(&doc, json!({"motion": 0.0}));
        assert!(nth(&still, 0).1 != nth(&still, 1).1);
    }
}

#[test]
fn mistakes_name_the_key() {
    // Of a section, whose schema is looked at first, and of the parameters alone.
    for (doc, key, why) in [
        (json!({"nodes": [5]}), "nodes", "1 numbers; two or three"),
        (json!({"nodes": [5, 0]}), "nodes", "0 is not within 1..100000, as the ends of axis 2"),
        (json!({"nodes": [5, 2], "ends": ["periodic"]}), "nodes", "2 is not within 3.."),
        (json!({"nodes": [1, 2], "ends": ["neumann"]}), "nodes", "1 is not within 2.."),
        (
            json!({"nodes": [1, 1], "ends": ["neumann"], "scheme": "fv"}),
            "nodes",
            "a single unknown",
        ),
        (json!({"nodes": [10000, 10000, 10]}), "nodes", "1000000000 unknowns"),
        (json!({"ends": ["neumann", "neumann", "neumann"]}), "ends", "3 of them"),
        (json!({"ends": []}), "ends", "0 of them"),
        (json!({"spacing": [1.0, 2.0, 3.0]}), "spacing", "3 of them"),
        (json!({"spacing": [0.0]}), "spacing", "0"),
        (json!({"shift": 0.5}), "shift", "0.5"),
        (json!({"motion": 0.3}), "motion", "0.3"),
        (json!({"period": 0}), "period", "0"),
        (json!({"map": "sine", "amplitude": 0.2, "waves": 2}), "amplitude", "0.2"),
        (json!({"map": "sine", "waves": 17}), "waves", "17"),
        (json!({"coefficient": [2.0, 1.0]}), "coefficient", "[2, 1]"),
        (json!({"coefficient": [0.0, 1.0]}), "coefficient", "0"),
        (json!({"tau": -1.0}), "tau", "-1"),
        (json!({"scheme": "fv", "shift": 0.1}), "scheme", "finite volumes"),
        (json!({"ends": ["neumann"], "rhs": "ones"}), "rhs", "no end is a wall"),
    ] {
        let plain: Grid = serde_json::from_value(doc.clone()).expect("a grid");
        let said = plain.m().expect_err("out of range").to_string();
        assert!(said.contains(&format!("'{key}': ")) && said.contains(why), "{doc}: {said}");
        let mut section = doc;
        section["kind"] = "grid".into();
        let said = Problem::from_json(&section).expect_err("out of range").to_string();
        assert!(said.contains(&format!("'{key}")), "{section}: {said}");
    }
    let unknown = json!({"kind": "grid", "shape": "annulus"});
    assert!(Problem::from_json(&unknown).expect_err("no such key").to_string().contains("shape"));
    // Cells that are turned over before any node is shifted are told on all ranks.
    let doc = json!({"nodes": [2, 2], "map": "sine", "amplitude": 0.25, "scheme": "q1"});
    let errors = threads::run(3, |comm| {
        problem(doc.clone()).generate(Comm::new(comm)).err().map(|e| e.to_string())
    });
    for error in errors {
        assert!(error.is_some_and(|e| e.contains("'map': on so few nodes")), "{doc}");
    }
}
