//! The thirteen families of matrices that multigrid methods are measured on, at any size.
use serde_json::{Value, json};

/// What is asked of a family.
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// A `[problem]`, its right-hand side normal.
    pub problem: Value,
    /// Whether its matrices are.
    pub symmetric: bool,
}

/// The families, of about `n` unknowns each; at 200 000 they have 95 000 (elasticity) to 261 000.
pub fn families(n: usize) -> Vec<Family> {
    let root = |n: f64, degree: f64| n.powf(1.0 / degree).round() as u64;
    let n = n as f64;
    let (square, cube) = (root(n, 2.0), root(n, 3.0));
    let level = (n.sqrt() + 1.0).log2().round() as u64;
    let delaunay = |more: Value| {
        let mut doc =
            json!({"kind": "diffusion", "mesh": "delaunay", "nodes": square, "shift": 0.47});
        for (key, value) in more.as_object().into_iter().flatten() {
            doc[key] = value.clone();
        }
        doc
    };
    let jumps =
        json!({"coefficient": "blocks", "decades": 2.0, "scale": (square as f64 / 8.0).round()});
    let all = [
        ("poisson", json!({"kind": "poisson", "level": level})),
        ("random-mesh", json!({"kind": "diffusion", "mesh": "random", "nodes": square})),
        ("l-shape", json!({"kind": "l-shape", "nodes": root(n / 3.0, 2.0)})),
        ("jumps", delaunay(jumps)),
        ("noise", delaunay(json!({"coefficient": "white", "deviation": 2.0}))),
        ("anisotropy", delaunay(json!({"anisotropy": 0.01, "angle": 30.0}))),
        (
            "stretched",
            json!({"kind": "diffusion", "nodes": square, "shift": 0.0, "stretch": 100.0}),
        ),
        ("tetrahedra", json!({"kind": "tetrahedra", "nodes": cube})),
        ("tetrahedra-jumps", json!({"kind": "tetrahedra", "nodes": cube, "decades": 2.0})),
        ("elasticity", json!({"kind": "elasticity", "nodes": root(n / 4.0, 2.0)})),
        (
            "elasticity-3",
            json!({"kind": "elasticity", "dimension": 3, "nodes": root(n / 7.4, 3.0)}),
        ),
        ("graph", json!({"kind": "graph", "nodes": n as u64})),
        ("convection", json!({"kind": "convection", "nodes": root(n * 1.0125, 2.0)})),
    ];
    let family = |(name, mut problem): (&'static str, Value)| {
        problem["rhs"] = json!("random");
        problem["seed"] = json!(41);
        Family { name, problem, symmetric: name != "convection" }
    };
    all.into_iter().map(family).collect()
}
