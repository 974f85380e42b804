//! Methods that are declared the same operator on any number of ranks take the same iterations there,
//! loaded from their libraries, on matrices of several kinds. That M itself is the same is a check of the
//! conformance kit.
use precondor_core::comm::{Comm, threads};
use precondor_core::host::Host;
use precondor_core::matrix::{DistCsr, Space};
use precondor_core::problem::Problem;
use precondor_core::solver::{Algorithm, Criterion, Outcome, Stop, solve};
use precondor_core::system::System;
use precondor_host::{Plugins, Search};
use serde_json::{Value, json};
use std::ops::ControlFlow;
use std::sync::Arc;

/// Rows of a matrix with global columns, and a right-hand side.
struct Rows {
    name: &'static str,
    symmetric: bool,
    row_ptr: Vec<u32>,
    cols: Vec<u64>,
    values: Vec<f64>,
}

impl Rows {
    fn n(&self) -> usize {
        self.row_ptr.len() - 1
    }

    fn of(name: &'static str, problem: Value) -> Self {
        let problem = Problem::from_json(&problem).expect("a problem");
        let (system, _) = problem.generate(Comm::solo()).expect("a system");
        let a = system.a().own().view();
        Rows {
            name,
            symmetric: true,
            row_ptr: a.row_ptr.to_vec(),
            cols: a.cols.iter().map(|&j| j.into()).collect(),
            values: a.values.to_vec(),
        }
    }

    /// The same with what flows in one direction: entries above the diagonal are weakened.
    fn with_flow(mut self, name: &'static str) -> Self {
        (self.name, self.symmetric) = (name, false);
        for i in 0..self.n() {
            for k in self.row_ptr[i] as usize..self.row_ptr[i + 1] as usize {
                if self.cols[k] > i as u64 {
                    self.values[k] *= 0.4;
                }
            }
        }
        self
    }

    /// The rows of one rank of several, with blocks that grow from rank to rank.
    fn on(&self, comm: Comm) -> (DistCsr, Vec<f64>) {
        let (n, size) = (self.n() as u64, comm.size() as u64);
        let starts = (0..=size).map(|r| r * (r + 1) * n / (size * (size + 1))).collect();
        let space = Space::from_starts(comm, starts).expect("increasing");
        let (first, last) = (space.start() as usize, space.start() as usize + space.n_own());
        let range = self.row_ptr[first] as usize..self.row_ptr[last] as usize;
        let from = range.start as u32;
        let row_ptr: Vec<u32> = self.row_ptr[first..=last].iter().map(|p| p - from).collect();
        let a =
            DistCsr::from_rows(&space, &row_ptr, &self.cols[range.clone()], &self.values[range]);
        let b = (first..last).map(|i| (0.7 * i as f64).sin()).collect();
        (a.expect("rows of a matrix"), b)
    }
}

fn iterations(
    plugins: &Plugins,
    rows: &Rows,
    method: Algorithm,
    preconditioner: &Value,
    ranks: usize,
) -> usize {
    let mut params = preconditioner.clone();
    let name = params["name"].take();
    params.as_object_mut().expect("a section").remove("name");
    let generator = plugins.registry().get(name.as_str().expect("a name")).expect("loaded");
    let host: Arc<dyn Host> = plugins.host();
    let counts = threads::run(ranks, |backend| {
        let (a, b) = rows.on(Comm::new(backend));
        let system = System::new(a).with_host(Arc::clone(&host));
        let m = generator.generate(&params, &system).expect("generates");
        assert!(m.properties().rank_independent, "{preconditioner}");
        let criterion = Criterion::RelativeResidual;
        let stop = Stop { criterion, tolerance: 1e-8, max_iterations: 3000, divergence: 1e8 };
        let (mut x, mut watch) = (vec![0.0; b.len()], |_: &_| ControlFlow::Continue(()));
        let report = solve(&method, system.a(), &*m, &b, &mut x, &stop, &mut watch);
        let report = report.expect("solved");
        assert_eq!(report.outcome, Outcome::Converged, "{preconditioner} on {}", rows.name);
        report.iterations
    });
    assert!(counts.iter().all(|count| *count == counts[0]), "{counts:?}");
    counts[0]
}

/// How far counts may lie apart: not at all up to 50, then by 2 %, BiCGStab by 10 %.
fn agree(method: Algorithm, alone: usize, several: usize) -> bool {
    let part = if method == Algorithm::Bicgstab { 0.1 } else { 0.02 };
    let apart = alone.abs_diff(several) as f64;
    apart == 0.0 || (alone > 50 && apart <= (part * alone as f64).max(1.0))
}

#[test]
fn iterations_do_not_depend_on_the_number_of_ranks() {
    let plugins = Plugins::load(&Search { extra: vec![], base: ".".into() }).expect("plugins");
    let poisson = || Rows::of("poisson", json!({"kind": "poisson", "level": 4, "shift": 0.25}));
    let matrices = [
        poisson(),
        Rows::of("delaunay", json!({"kind": "diffusion", "nodes": 12, "mesh": "delaunay"})),
        Rows::of("cube", json!({"kind": "cube", "nodes": 6, "deviation": 1.0})),
        poisson().with_flow("flow"),
    ];
    let definite = [
        json!({"name": "jacobi", "damping": 0.7}),
        json!({"name": "spai", "symmetrize": true}),
        json!({"name": "fsai"}),
        json!({"name": "fsai", "power": 2, "threshold": 0.1}),
        json!({"name": "fsai", "power": 0, "steps": 4, "growth": 2, "filter": 0.01}),
        json!({"name": "mlp-fsai", "check": 0}),
    ];
    let any =
        [json!({"name": "jacobi"}), json!({"name": "spai"}), json!({"name": "spai", "power": 2})];
    for rows in &matrices {
        let krylov = [Algorithm::Gmres { restart: 60 }, Algorithm::Bicgstab];
        let mut cases: Vec<(Algorithm, &Value)> = Vec::new();
        if rows.symmetric {
            cases.extend(definite.iter().map(|m| (Algorithm::Cg, m)));
        }
        cases.extend(any.iter().flat_map(|m| krylov.map(|k| (k, m))));
        for (method, preconditioner) in cases {
            let alone = iterations(&plugins, rows, method, preconditioner, 1);
            for ranks in [2, 3, 5, 8] {
                let several = iterations(&plugins, rows, method, preconditioner, ranks);
                assert!(
                    agree(method, alone, several),
                    "{method:?} with {preconditioner} on {}: {alone}, on {ranks} ranks {several}",
                    rows.name
                );
            }
        }
    }
}
