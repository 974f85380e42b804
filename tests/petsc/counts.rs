//! The same method, solver, norm and side need as many iterations in PETSc as in our own solvers, on
//! any number of ranks and with both widths of indices.
use crate::support::{Petsc, Ran, finish, folder, mpirun, run};
use precondor_core::comm::{Comm, threads};
use precondor_core::matrix::{Csr, DistCsr, Space};
use precondor_core::problem::Problem;
use precondor_core::solver::{self, Algorithm, Criterion, Outcome, Stop};
use precondor_core::system::System;
use precondor_host::{Plugins, Search};
use serde_json::{Value, json};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

/// The norm and the side that our solvers use.
const ALIKE: &str = "-ksp_norm_type unpreconditioned -ksp_rtol 1e-8 -ksp_converged_reason";

fn plugins() -> &'static Plugins {
    static PLUGINS: OnceLock<Plugins> = OnceLock::new();
    PLUGINS.get_or_init(|| {
        Plugins::load(&Search { extra: vec![], base: ".".into() }).expect("plugins")
    })
}

/// A solver of ours and PETSc's options for the same one.
fn solvers() -> [(Algorithm, &'static str); 3] {
    [
        (Algorithm::Cg, "-ksp_type cg"),
        (Algorithm::Gmres { restart: 30 }, "-ksp_type gmres -ksp_pc_side right"),
        (Algorithm::Richardson { damping: 1.0 }, "-ksp_type richardson"),
    ]
}

/// Iterations of our solver on ranks as threads, for a system that `make` makes on each.
fn ours(
    ranks: usize,
    method: &Algorithm,
    name: &str,
    params: &Value,
    make: &(dyn Fn(Comm) -> (System, Vec<f64>) + Sync),
) -> Option<usize> {
    let plugins = plugins();
    let counts = threads::run(ranks, |comm| {
        let (system, b) = make(Comm::new(comm));
        let system = system.with_host(plugins.host());
        let m = plugins.get(name).expect(name).generate(params, &system).expect(name);
        let mut x = vec![0.0; b.len()];
        let stop = Stop {
            criterion: Criterion::RelativeResidual,
            tolerance: 1e-8,
            max_iterations: 10_000,
            divergence: 1e5,
        };
        let mut watch = |_: &solver::Step| ControlFlow::Continue(());
        let report = solver::solve(method, system.a(), &*m, &b, &mut x, &stop, &mut watch);
        let report = report.expect("a solve");
        (report.outcome == Outcome::Converged).then_some(report.iterations)
    });
    assert!(counts.windows(2).all(|pair| pair[0] == pair[1]), "{counts:?}");
    counts[0]
}

/// PROTOCOL of the project: equal up to 50 iterations, within 2 % beyond, as sums are added up in
/// another order.
#[track_caller]
fn same(what: &str, ours: usize, theirs: usize) {
    let allowed = if ours <= 50 { 0 } else { (ours / 50).max(1) };
    assert!(ours.abs_diff(theirs) <= allowed, "{what}: {ours} iterations, in PETSc {theirs}");
}

/// The system of ex2: the five-point matrix of `n` by `n` nodes, and A times ones.
fn ex2(n: usize, comm: Comm) -> (System, Vec<f64>) {
    let space = Space::even(comm, (n * n) as u64);
    let (mut ptr, mut cols, mut values) = (vec![0u32], Vec::new(), Vec::new());
    for row in space.start() as usize..space.start() as usize + space.n_own() {
        let (i, j) = (row % n, row / n);
        let around = [
            (j > 0, row.wrapping_sub(n), -1.0),
            (i > 0, row.wrapping_sub(1), -1.0),
            (true, row, 4.0),
            (i + 1 < n, row + 1, -1.0),
            (j + 1 < n, row + n, -1.0),
        ];
        for (_, col, value) in around.into_iter().filter(|entry| entry.0) {
            cols.push(col as u64);
            values.push(value);
        }
        ptr.push(cols.len() as u32);
    }
    let a = DistCsr::from_rows(&space, &ptr, &cols, &values).expect("a matrix");
    let mut b = vec![0.0; space.n_own()];
    a.spmv(&vec![1.0; space.n_own()], &mut b).expect("a product");
    (System::new(a), b)
}

/// Methods for a symmetric positive definite matrix, whether M is so too, and whether Richardson's
/// iteration with it converges in reasonable time.
const METHODS: [(&str, &str, bool, bool); 11] = [
    (
        "amg",
        "-pc_precondor_coarsest 40 -pc_precondor_together 60 -pc_precondor_precision double",
        true,
        true,
    ),
    ("jacobi", "", true, false),
    ("gauss-seidel", "-pc_precondor_sweep symmetric", true, false),
    ("spai", "-pc_precondor_power 2", false, true),
    ("fsai", "", true, false),
    ("ilu", "", false, true),
    ("ic", "", true, true),
    ("multigrid", "", true, true),
    ("fast-poisson", "", true, true),
    // M is the inverse here but for rounding, which would decide in single precision.
    ("reference", "-pc_precondor_precision f64", true, true),
    ("mlp-fsai", "", true, false),
];

/// The parameters that options give, as the configuration has them.
fn params(options: &str) -> Value {
    let words: Vec<&str> = options.split_whitespace().collect();
    let mut params = json!({});
    for pair in words.chunks(2) {
        let key = pair[0].trim_start_matches("-pc_precondor_");
        params[key] = pair[1].parse::<u64>().map_or_else(|_| json!(pair[1]), |n| json!(n));
    }
    params
}

#[test]
fn ex2_needs_as_many_iterations_as_our_own_solvers() {
    for petsc in Petsc::ALL {
        let Some(program) = petsc.tutorial("ex2") else { continue };
        for ranks in if petsc == Petsc::Wide { 1..=2 } else { 1..=3 } {
            for (name, options, definite, richardson) in METHODS {
                for (method, ksp) in solvers() {
                    let slow = matches!(method, Algorithm::Richardson { .. }) && !richardson;
                    if slow || (matches!(method, Algorithm::Cg) && !definite) {
                        continue;
                    }
                    let what = format!("{name}, {ksp}, {ranks} ranks, {}", petsc.package());
                    let make = |comm| ex2(15, comm);
                    let Some(ours) = ours(ranks, &method, name, &params(options), &make) else {
                        panic!("{what}: no convergence")
                    };
                    let options = format!(
                        "-m 15 -n 15 {ALIKE} {ksp} -pc_type precondor -pc_precondor_name {name} {options}"
                    );
                    same(&what, ours, run(ranks, &program, &options).iterations());
                }
            }
        }
    }
}

/// A matrix and a right-hand side in PETSc's binary format, indices as wide as the PETSc that reads it.
fn binary(petsc: Petsc, a: &Csr, b: &[f64]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut int = |n: usize| match petsc {
        Petsc::Narrow => out.extend_from_slice(&(n as i32).to_be_bytes()),
        Petsc::Wide => out.extend_from_slice(&(n as i64).to_be_bytes()),
    };
    let view = a.view();
    [1_211_216, a.n_rows(), a.n_cols(), a.nnz()].into_iter().for_each(&mut int);
    (0..a.n_rows()).for_each(|i| int(view.range(i).len()));
    view.cols.iter().for_each(|&j| int(j as usize));
    view.values.iter().for_each(|v| out.extend_from_slice(&v.to_be_bytes()));
    let mut int = |n: usize| match petsc {
        Petsc::Narrow => out.extend_from_slice(&(n as i32).to_be_bytes()),
        Petsc::Wide => out.extend_from_slice(&(n as i64).to_be_bytes()),
    };
    [1_211_214, b.len()].into_iter().for_each(&mut int);
    b.iter().for_each(|v| out.extend_from_slice(&v.to_be_bytes()));
    out
}

/// The perturbed Poisson problem that the networks are made for.
fn shifted(comm: Comm) -> (System, Vec<f64>) {
    let problem = json!({"kind": "poisson", "level": 4, "shift": 0.25, "seed": 7});
    Problem::from_json(&problem).and_then(|problem| problem.generate(comm)).expect("a problem")
}

#[test]
fn ex10_solves_a_shifted_mesh_with_the_networks() {
    let (system, b) = shifted(Comm::solo());
    let folder = folder("ex10");
    for petsc in Petsc::ALL {
        let Some(program) = petsc.tutorial("ex10") else { continue };
        let file = folder.join(petsc.package());
        std::fs::write(&file, binary(petsc, system.a().own(), &b)).expect("written");
        for ranks in 1..=2 {
            for name in ["mlp-reference", "mlp-fsai", "auto", "reference"] {
                let (method, ksp) = solvers()[0];
                let what = format!("{name}, {ranks} ranks, {}", petsc.package());
                let Some(ours) = ours(ranks, &method, name, &json!({}), &shifted) else {
                    panic!("{what}: no convergence")
                };
                let kind = format!("precondor_{}", name.replace('-', "_"));
                let options = format!("-f {} {ALIKE} {ksp} -pc_type {kind}", file.display());
                let ran = run(ranks, &program, &options);
                same(&what, ours, ran.says(&["Number of iterations"]).iterations());
            }
        }
    }
}

/// The five-point Laplacian over the square of the mesh width, and ones.
fn finite_differences(comm: Comm) -> (System, Vec<f64>) {
    let (system, _) = ex2(64, comm);
    let times = |values: &[f64]| values.iter().map(|v| 4225.0 * v).collect();
    let a = system.a();
    let a = a.with_values(times(a.own().view().values), times(a.ghost().view().values));
    let a = a.expect("as many");
    let b = vec![1.0; a.n_own()];
    (System::new(a), b)
}

#[test]
fn units_of_the_matrix_change_no_count_in_petsc_either() {
    let (system, b) = finite_differences(Comm::solo());
    let folder = folder("units");
    let Some(program) = Petsc::Narrow.tutorial("ex10") else { return };
    let file = folder.join("scaled");
    std::fs::write(&file, binary(Petsc::Narrow, system.a().own(), &b)).expect("written");
    for ranks in 1..=2 {
        for (name, most) in [("mlp-reference", 5), ("reference", 3), ("fast-poisson", 3)] {
            let (method, ksp) = solvers()[0];
            let ours = ours(ranks, &method, name, &json!({}), &finite_differences);
            let ours = ours.expect("convergence");
            assert!(ours <= most, "{name} on {ranks} ranks: {ours}");
            let options = format!(
                "-f {} {ALIKE} {ksp} -pc_type precondor_{}",
                file.display(),
                name.replace('-', "_")
            );
            let ran = run(ranks, &program, &options);
            same(name, ours, ran.says(&["Number of iterations"]).iterations());
        }
    }
}

#[test]
fn our_program_says_the_same_number() {
    let Some(ex2_of_petsc) = Petsc::Narrow.tutorial("ex2") else { return };
    let folder = folder("program");
    let (system, b) = ex2(15, Comm::solo());
    use precondor_core::matrix::io::matrix_market;
    let write = |name: &str| folder.join(name);
    matrix_market::write(&write("A.mtx"), system.a().own(), "ex2").expect("written");
    matrix_market::write_vector(&write("b.mtx"), &b, "ex2").expect("written");
    let text = "[problem]\nmatrix = \"A.mtx\"\nrhs = \"b.mtx\"\n[solver]\nmethod = \"cg\"\n\
                tolerance = 1e-8\n[preconditioner]\nname = \"ic\"\n";
    let config = write("solve.toml");
    std::fs::write(&config, text).expect("written");
    let ours = program_iterations(&config);
    let options = format!(
        "-m 15 -n 15 {ALIKE} -ksp_type cg -pc_type precondor -pc_precondor_config {}",
        config.display()
    );
    for ranks in [1, 2] {
        // IC(0) works on each rank's block, so the number is one rank's.
        let ran = run(ranks, &ex2_of_petsc, &options);
        if ranks == 1 {
            assert_eq!(ran.iterations(), ours);
        }
    }
}

fn program_iterations(config: &Path) -> usize {
    let mut command = Command::new(env!("CARGO_BIN_EXE_precondor"));
    command.env_remove("PRECONDOR_PATH").arg("solve").arg(config).arg("--json");
    let output = command.output().expect("it starts");
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    json["iterations"].as_u64().expect("a number") as usize
}

#[test]
fn ex45_needs_fewer_iterations_with_spai_than_without() {
    let Some(ex45) = Petsc::Narrow.tutorial("ex45") else { return };
    let base = format!("{ALIKE} -ksp_type gmres -ksp_pc_side right -da_refine 1");
    for ranks in 1..=3 {
        let count = |kind| run(ranks, &ex45, &format!("{base} -pc_type {kind}")).iterations();
        let (spai, none) = (count("precondor_spai"), count("none"));
        assert!(spai < none, "{spai} with SPAI, {none} without");
    }
}

#[test]
fn ex5_solves_two_systems_with_one_preconditioner() {
    let Some(ex5) = Petsc::Narrow.tutorial("ex5") else { return };
    for ranks in 1..=2 {
        let mut command = mpirun(ranks, &ex5);
        command.arg("-dll_append").arg(crate::support::library());
        command.args(["-pc_type", "precondor_ilu", "-ksp_view", "-ksp_converged_reason"]);
        let ran: Ran = finish(command);
        ran.says(&["type: precondor_ilu", "Linear solve converged"]);
    }
}
