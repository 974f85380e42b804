//! Poisson's equation by PETSc, preconditioned by PETSc and by a method of Precondor.
//!
//! ```text
//! cargo run --release -p precondor-petsc --features petsc --example poisson
//! mpirun -n 2 target/release/examples/poisson -ksp_type bcgs -ksp_monitor
//! ```
//!
//! Arguments are PETSc's. Methods are looked for as by the program: beside this one, and in
//! `PRECONDOR_PATH`.
use precondor_core::matrix::DistCsr;
use precondor_core::problem::Problem;
use precondor_host::{Plugins, Search};
use precondor_petsc::{Ksp, Mat, Norm, Petsc, Ranks, Result, Tolerances, Vec as Vector};
use serde_json::json;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let petsc = Petsc::init(&arguments)?;
    run(&petsc)?;
    petsc.finalize()
}

fn run(petsc: &Petsc) -> Result<()> {
    let parameters = json!({ "kind": "poisson", "level": 6, "rhs": "load" });
    let problem = Problem::from_json(&parameters)?;
    let (system, load) = problem.generate_nth(petsc.comm(Ranks::All).clone(), 0)?;
    let plugins = Plugins::load(&Search { extra: vec![], base: ".".into() })?;
    let system = system.with_host(plugins.host());
    let a: &DistCsr = system.a();

    let mat = Mat::from_dist(petsc, a)?;
    let b = Vector::from_slice(petsc, Ranks::All, &load)?;
    let mut ksp = Ksp::new(petsc, Ranks::All)?;
    ksp.set_operators(&mat, &mat)?.set_type("cg")?.set_norm(Norm::Unpreconditioned)?;
    ksp.set_tolerances(&Tolerances { relative: 1e-8, ..Tolerances::default() })?;
    for name in ["bjacobi", "gamg", "precondor: fsai"] {
        let mut pc = ksp.pc()?;
        match name.strip_prefix("precondor: ") {
            None => pc.set_type(name)?,
            Some(method) => pc.method(method, &json!({}), &system)?,
        };
        ksp.set_from_options()?;
        let mut x = b.like()?;
        let reason = ksp.solve(&b, &mut x)?;
        if petsc.rank() == 0 {
            println!("{name}: {reason} after {} iterations", ksp.iterations()?);
        }
    }
    Ok(())
}
