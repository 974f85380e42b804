//! Symmetric positive definite matrices unlike those that `mlp-fsai` was trained on.

use precondor_core::prelude::*;
use precondor_core::problem::Problem;
use serde_json::{Value, json};

type Entries = Vec<(usize, usize, f64)>;

/// A name and a matrix each; `random` draws numbers in `[0, 1)`.
pub fn all(random: &mut dyn FnMut() -> f64) -> Vec<(&'static str, System)> {
    let grid = |value: Value| entries_of(&problem(&value));
    let poisson = || grid(json!({"kind": "poisson", "nodes": 31, "shift": 0.25, "seed": 5}));
    let with = |(n, entries): (usize, Entries), change: &dyn Fn(usize, usize, f64) -> f64| {
        of(n, entries.into_iter().map(|(i, j, v)| (i, j, change(i, j, v))).collect())
    };
    let signs: Vec<f64> = (0..961).map(|_| (random() - 0.5).signum()).collect();
    let order = shuffled(961, random);
    let colour = |k: usize| (k % 31 + k / 31) % 2;
    vec![
        ("plane stress, bar of 40 × 4 elements", bar(40, 4)),
        ("plane stress, bar of 24 × 12", bar(24, 12)),
        ("plane stress, bar of 90 × 3", bar(90, 3)),
        ("biharmonic, 13 points, 30 × 30", square_of(five_point(30, 1.0))),
        ("five points, anisotropy 1000 along the grid", of(961, five_point(31, 1e-3).1)),
        ("bilinear elements, 10 times as wide as high", nine_point(31, 10.0)),
        ("mass matrix of bilinear elements", mass(31)),
        ("chain of 500 springs", chain(500)),
        ("random graph, 1000 nodes of about 6 neighbours", graph(1000, 3000, random)),
        ("compactly supported kernel, 600 random points", kernel(600, 0.11, random)),
        ("shifted grid, unknowns with random signs", {
            with(poisson(), &|i, j, v| signs[i] * signs[j] * v)
        }),
        ("shifted grid, unknowns in random order", renumbered(poisson(), |k| order[k])),
        ("shifted grid, red before black", {
            let before: Vec<usize> =
                (0..961).map(|k| (0..k).filter(|&l| colour(l) == colour(k)).count()).collect();
            let red = (0..961).filter(|&k| colour(k) == 0).count();
            renumbered(poisson(), |k| before[k] + red * colour(k))
        }),
        (
            "shifted grid and reaction, A + 8 I",
            with(poisson(), &|i, j, v| v + f64::from(i == j) * 8.0),
        ),
        (
            "shifted grid, nearly singular, A − 0.018 I",
            with(poisson(), &|i, j, v| v - f64::from(i == j) * 0.018),
        ),
        ("chequerboard, 1 and 10⁶", {
            problem(
                &json!({"kind": "poisson", "nodes": 31, "coefficient": "jump", "contrast": 1e6, "seed": 5}),
            )
        }),
    ]
}

fn problem(value: &Value) -> System {
    Problem::from_json(value).unwrap().generate_nth(Comm::solo(), 0).unwrap().0
}

/// Triplets come in any order: aᵢⱼ and aⱼᵢ are summed in the same one.
fn of(n: usize, entries: Entries) -> System {
    System::new(DistCsr::solo(Csr::from_triplets(n, n, entries).unwrap()).unwrap())
}

fn entries_of(system: &System) -> (usize, Entries) {
    let (n, view) = (system.a().n_own(), system.a().own().view());
    (n, (0..n).flat_map(|i| view.row(i).map(move |(j, v)| (i, j, v))).collect())
}

fn renumbered((n, entries): (usize, Entries), place: impl Fn(usize) -> usize) -> System {
    of(n, entries.into_iter().map(|(i, j, v)| (place(i), place(j), v)).collect())
}

/// 0 … n − 1 in random order.
fn shuffled(n: usize, random: &mut dyn FnMut() -> f64) -> Vec<usize> {
    let keys: Vec<f64> = (0..n).map(|_| random()).collect();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| keys[a].total_cmp(&keys[b]));
    order
}

/// −u_xx − ε u_yy on a square grid, x along the rows of `side` nodes.
fn five_point(side: usize, epsilon: f64) -> (usize, Entries) {
    let mut entries = Vec::new();
    for k in 0..side * side {
        entries.push((k, k, 2.0 + 2.0 * epsilon));
        let mut couple = |l: usize, v: f64| entries.extend([(k, l, -v), (l, k, -v)]);
        if k % side + 1 < side {
            couple(k + 1, 1.0);
        }
        if k + side < side * side {
            couple(k + side, epsilon);
        }
    }
    (side * side, entries)
}

/// A² of a symmetric A.
fn square_of((n, entries): (usize, Entries)) -> System {
    let mut rows = vec![Vec::new(); n];
    entries.iter().for_each(|&(i, j, v)| rows[i].push((j, v)));
    rows.iter_mut().for_each(|row| row.sort_by_key(|entry| entry.0));
    let product = |k: usize| {
        let row = &rows[k];
        row.iter().flat_map(move |&(i, v)| row.iter().map(move |&(j, w)| (i, j, v * w)))
    };
    of(n, (0..n).flat_map(product).collect())
}

/// Bilinear elements of width `stretch` and height 1.
fn nine_point(side: usize, stretch: f64) -> System {
    let stencil = |dx: i64, dy: i64| {
        // Stiffness in one direction times mass in the other.
        let (k, m) = ([2.0, -1.0], [4.0 / 6.0, 1.0 / 6.0]);
        let (x, y) = (dx.unsigned_abs() as usize, dy.unsigned_abs() as usize);
        k[x] * m[y] / stretch + m[x] * k[y] * stretch
    };
    stencil_matrix(side, stencil)
}

fn mass(side: usize) -> System {
    let m = |d: i64| if d == 0 { 4.0 / 6.0 } else { 1.0 / 6.0 };
    stencil_matrix(side, |dx, dy| m(dx) * m(dy))
}

fn stencil_matrix(side: usize, stencil: impl Fn(i64, i64) -> f64) -> System {
    let mut entries = Vec::new();
    let size = side as i64;
    for (x, y) in (0..size).flat_map(|y| (0..size).map(move |x| (x, y))) {
        for (dx, dy) in (-1..2).flat_map(|dy| (-1..2).map(move |dx| (dx, dy))) {
            if (0..size).contains(&(x + dx)) && (0..size).contains(&(y + dy)) {
                let (i, j) = (y * size + x, (y + dy) * size + x + dx);
                entries.push((i as usize, j as usize, stencil(dx, dy)));
            }
        }
    }
    of(side * side, entries)
}

fn chain(n: usize) -> System {
    let beside = (1..n).flat_map(|i| [(i, i - 1, -1.0), (i - 1, i, -1.0)]);
    of(n, (0..n).map(|i| (i, i, 2.0)).chain(beside).collect())
}

/// The Laplacian of a random graph, and 0.01 on its diagonal.
fn graph(n: usize, edges: usize, random: &mut dyn FnMut() -> f64) -> System {
    let mut entries: Entries = (0..n).map(|i| (i, i, 0.01)).collect();
    let mut node = || (random() * n as f64) as usize % n;
    for _ in 0..edges {
        let (i, j) = (node(), node());
        if i != j {
            entries.extend([(i, i, 1.0), (j, j, 1.0), (i, j, -1.0), (j, i, -1.0)]);
        }
    }
    of(n, entries)
}

/// Wendland's (1 − r)⁴(4r + 1) of distances over `radius` between points of the unit square.
fn kernel(n: usize, radius: f64, random: &mut dyn FnMut() -> f64) -> System {
    let points: Vec<[f64; 2]> = (0..n).map(|_| [random(), random()]).collect();
    let mut entries = Vec::new();
    for (i, j) in (0..n).flat_map(|i| (0..n).map(move |j| (i, j))) {
        let r = (points[i][0] - points[j][0]).hypot(points[i][1] - points[j][1]) / radius;
        if r < 1.0 {
            entries.push((i, j, (1.0 - r).powi(4) * (4.0 * r + 1.0)));
        }
    }
    of(n, entries)
}

/// A bar of `nx` × `ny` square elements in plane stress, clamped at its left end: two unknowns a node.
fn bar(nx: usize, ny: usize) -> System {
    // Stiffness of the unit square with bilinear functions, 2 × 2 Gauss points, ν = 0.3.
    let nu = 0.3;
    let corners = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0f64]];
    let mut element = [[0.0; 8]; 8];
    let points = [0.5 - 0.5 / 3f64.sqrt(), 0.5 + 0.5 / 3f64.sqrt()];
    for (x, y) in points.into_iter().flat_map(|x| points.map(|y| (x, y))) {
        let strain = |u: usize| {
            let [cx, cy] = corners[u / 2];
            let (fx, fy) = (1.0 - (x - cx).abs(), 1.0 - (y - cy).abs());
            let (dx, dy) = ((2.0 * cx - 1.0) * fy, (2.0 * cy - 1.0) * fx);
            if u.is_multiple_of(2) { [dx, 0.0, dy] } else { [0.0, dy, dx] }
        };
        for (u, row) in element.iter_mut().enumerate() {
            for (v, entry) in row.iter_mut().enumerate() {
                let ([a, b, c], [d, e, f]) = (strain(u), strain(v));
                let stress = a * (d + nu * e) + b * (nu * d + e) + 0.5 * (1.0 - nu) * c * f;
                *entry += 0.25 * stress / (1.0 - nu * nu);
            }
        }
    }
    let unknown = |i: usize, j: usize, d: usize| (i > 0).then(|| 2 * ((i - 1) * (ny + 1) + j) + d);
    let mut entries = Vec::new();
    for (i, j) in (0..nx).flat_map(|i| (0..ny).map(move |j| (i, j))) {
        let nodes = [[i, j], [i + 1, j], [i + 1, j + 1], [i, j + 1]];
        let of = |u: usize| unknown(nodes[u / 2][0], nodes[u / 2][1], u % 2);
        for (u, v) in (0..8).flat_map(|u| (0..8).map(move |v| (u, v))) {
            if let (Some(row), Some(column)) = (of(u), of(v)) {
                entries.push((row, column, element[u][v]));
            }
        }
    }
    let n = 2 * nx * (ny + 1);
    of(n, entries)
}
