//! Families of grids of practice, and the iterations of `reference` on them: what the tests hold it to, and docs/grids.md shows.
use precondor_sdk::core::comm::Comm;
use precondor_sdk::core::problem::Problem;
use precondor_sdk::core::registry::DynGenerator;
use precondor_sdk::core::solver::{Algorithm, Criterion, Outcome, Stop, solve};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::{self, Value, json};
use std::ops::ControlFlow;

/// A family on grids of as many nodes along each axis.
pub struct Family {
    pub dimension: usize,
    /// What it is called.
    pub name: &'static str,
    /// Its keys, without `nodes`.
    pub keys: &'static str,
    /// Iterations at most, of all sizes.
    pub most: usize,
    /// Nodes a side in tests, and of the page.
    pub sizes: [&'static [usize]; 2],
}

const fn family(
    dimension: usize,
    name: &'static str,
    keys: &'static str,
    most: usize,
    sizes: [&'static [usize]; 2],
) -> Family {
    Family { dimension, name, keys, most, sizes }
}

const CUBES: [&[usize]; 2] = [&[15, 31], &[15, 31, 63]];
const LARGE: [&[usize]; 2] = [&[15, 31], &[15, 31, 63, 95]];
const MEDIUM: [&[usize]; 2] = [&[15, 31], &[15, 31, 47]];
const CELLS: [&[usize]; 2] = [&[16, 32], &[16, 32, 64]];
const SQUARES: [&[usize]; 2] = [&[127], &[127, 255, 511]];

/// Iterations, at most.
pub const FEW: usize = 200;

/// Those of docs/grids.md.
pub const FAMILIES: &[Family] = &[
    family(3, "tetrahedra, shift .25", r#"{"shift": 0.25}"#, 6, LARGE),
    family(3, "tetrahedra, shift .35", r#"{"shift": 0.35}"#, 6, LARGE),
    family(3, "tetrahedra, shift .40", r#"{"shift": 0.4}"#, 7, MEDIUM),
    family(3, "tetrahedra, shift .45", r#"{"shift": 0.45}"#, 8, MEDIUM),
    family(3, "trilinear, shift .25", r#"{"scheme": "q1", "shift": 0.25}"#, 6, CUBES),
    family(3, "trilinear, shift .35", r#"{"scheme": "q1", "shift": 0.35}"#, 6, CUBES),
    family(
        3,
        "tetrahedra, free ends, shift .25",
        r#"{"ends": ["neumann"], "shift": 0.25}"#,
        6,
        CELLS,
    ),
    family(3, "tetrahedra, rings, shift .25", r#"{"ends": ["periodic"], "shift": 0.25}"#, 6, CELLS),
    family(
        3,
        "volumes, free ends, c in [.5, 1.5]",
        r#"{"scheme": "fv", "ends": ["neumann"], "coefficient": [0.5, 1.5]}"#,
        6,
        CELLS,
    ),
    family(
        3,
        "volumes, rings, c in [.5, 1.5]",
        r#"{"scheme": "fv", "ends": ["periodic"], "coefficient": [0.5, 1.5]}"#,
        6,
        CELLS,
    ),
    family(
        3,
        "volumes 1:100, c in [.5, 1.5]",
        r#"{"scheme": "fv", "spacing": [100], "coefficient": [0.5, 1.5]}"#,
        10,
        CELLS,
    ),
    family(3, "tetrahedra 1:10, shift .25", r#"{"spacing": [10], "shift": 0.25}"#, 9, CUBES),
    family(3, "tetrahedra 1:100, shift .1", r#"{"spacing": [100], "shift": 0.1}"#, 11, CUBES),
    family(3, "tetrahedra 1:100, shift .25", r#"{"spacing": [100], "shift": 0.25}"#, 23, CUBES),
    family(3, "annulus, shift .25", r#"{"map": "annulus", "shift": 0.25}"#, 8, CUBES),
    family(3, "sine map, shift .25", r#"{"map": "sine", "shift": 0.25}"#, 10, CUBES),
    family(
        3,
        "sine map of two waves, shift .25",
        r#"{"map": "sine", "waves": 2, "shift": 0.25}"#,
        16,
        CUBES,
    ),
    family(3, "M + τK, τ = .001 h², shift .35", r#"{"tau": 0.001, "shift": 0.35}"#, 6, CUBES),
    family(3, "M + τK, τ = .1 h², shift .35", r#"{"tau": 0.1, "shift": 0.35}"#, 6, CUBES),
    family(3, "M + τK, τ = 10 h², shift .35", r#"{"tau": 10, "shift": 0.35}"#, 6, CUBES),
    family(3, "M + τK, τ = 1000 h², shift .35", r#"{"tau": 1000, "shift": 0.35}"#, 6, CUBES),
    family(3, "moving, shift .25", r#"{"motion": 0.05, "shift": 0.25}"#, 7, CUBES),
    family(2, "triangles, shift .25", r#"{"shift": 0.25}"#, 7, SQUARES),
    family(2, "triangles, shift .35", r#"{"shift": 0.35}"#, 8, SQUARES),
    family(2, "bilinear, shift .25", r#"{"scheme": "q1", "shift": 0.25}"#, 7, SQUARES),
    family(2, "bilinear, shift .35", r#"{"scheme": "q1", "shift": 0.35}"#, 8, SQUARES),
    family(
        2,
        "triangles, free ends, shift .25",
        r#"{"ends": ["neumann"], "shift": 0.25}"#,
        7,
        SQUARES,
    ),
    family(
        2,
        "triangles, rings, shift .25",
        r#"{"ends": ["periodic"], "shift": 0.25}"#,
        7,
        SQUARES,
    ),
    family(
        2,
        "volumes, free ends, c in [.5, 1.5]",
        r#"{"scheme": "fv", "ends": ["neumann"], "coefficient": [0.5, 1.5]}"#,
        7,
        SQUARES,
    ),
    family(
        2,
        "volumes, rings, c in [.5, 1.5]",
        r#"{"scheme": "fv", "ends": ["periodic"], "coefficient": [0.5, 1.5]}"#,
        7,
        SQUARES,
    ),
    family(
        2,
        "volumes 1:100, c in [.5, 1.5]",
        r#"{"scheme": "fv", "spacing": [100], "coefficient": [0.5, 1.5]}"#,
        10,
        SQUARES,
    ),
    family(2, "triangles 1:100, shift .25", r#"{"spacing": [100], "shift": 0.25}"#, 60, SQUARES),
    family(2, "annulus, shift .25", r#"{"map": "annulus", "shift": 0.25}"#, 8, SQUARES),
    family(2, "sine map, shift .25", r#"{"map": "sine", "shift": 0.25}"#, 10, SQUARES),
    family(2, "M + τK, τ = .1 h², shift .35", r#"{"tau": 0.1, "shift": 0.35}"#, 6, SQUARES),
    family(2, "M + τK, τ = 10 h², shift .35", r#"{"tau": 10, "shift": 0.35}"#, 7, SQUARES),
    family(2, "M + τK, τ = 1000 h², shift .35", r#"{"tau": 1000, "shift": 0.35}"#, 8, SQUARES),
];

impl Family {
    /// System `index` with so many nodes along each axis.
    pub fn system(&self, nodes: usize, index: u64) -> (System, Vec<f64>) {
        system(self.keys, &vec![nodes; self.dimension], index)
    }
}

/// System `index` of a grid with these keys and nodes, on seeds that nothing was tuned on.
pub fn system(keys: &str, nodes: &[usize], index: u64) -> (System, Vec<f64>) {
    let mut doc: Value = serde_json::from_str(keys).unwrap();
    doc["kind"] = "grid".into();
    doc["nodes"] = json!(nodes);
    doc["seed"] = json!(2026);
    Problem::from_json(&doc).unwrap().generate_nth(Comm::solo(), index).unwrap()
}

/// Iterations of conjugate gradients to 1e-8 of the residual, [`FEW`] and one where those were not enough, and M's notes; none where
/// the method refuses.
pub fn count(
    method: &dyn DynGenerator,
    params: &Value,
    problem: &(System, Vec<f64>),
) -> Option<(usize, Vec<String>)> {
    let m = match method.generate(params, &problem.0) {
        Ok(m) => m,
        Err(error) if matches!(error.root(), Error::Unsupported(_)) => return None,
        Err(error) => panic!("{error}"),
    };
    assert!(m.properties().positive_definite, "{:?}", m.notes());
    Some((iterations(&*m, problem), m.notes()))
}

/// The same with M.
pub fn iterations(m: &dyn Preconditioner, (system, b): &(System, Vec<f64>)) -> usize {
    let criterion = Criterion::RelativeResidual;
    let stop = Stop { criterion, tolerance: 1e-8, max_iterations: FEW, divergence: 1e6 };
    let (mut x, mut watch) = (vec![0.0; b.len()], |_: &_| ControlFlow::Continue(()));
    let report = solve(&Algorithm::Cg, system.a(), m, b, &mut x, &stop, &mut watch).unwrap();
    report.iterations + usize::from(report.outcome != Outcome::Converged)
}
