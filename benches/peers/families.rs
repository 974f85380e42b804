//! Precondor's side of `scripts/peers.sh --families` and `--ic`: writes the systems, and solves one of them.
//!
//!     families list                    the names, with cg or bicgstab
//!     families write DIR SIZE NAME     DIR/NAME.bin, PETSc's form, and DIR/NAME.xyz where there are coordinates
//!     families solve FILE SETTING      SETTING: METHOD, or METHOD:native for one that is linked in
//!
//! A solve is one line: threads, iterations (negative where it did not converge), seconds of setup and solve by the
//! clock, then by the processor over all threads, true relative residual, MB at the peak less those before setup.
use precondor_core::comm::Comm;
use precondor_core::matrix::DistCsr;
use precondor_core::matrix::io::petsc_binary::{self, Indices, PetscFile};
use precondor_core::problem::Problem;
use precondor_core::registry::{DynGenerator, Native};
use precondor_core::solver::{self, Algorithm, Criterion, Outcome, Stop};
use precondor_core::system::System;
use precondor_core::{Error, Result};
use precondor_host::{Plugins, Search};
use precondor_plugin_amg::Amg;
use precondor_plugin_ilu::Ic;
use precondor_testkit::{families, memory, processor};
use serde_json::json;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

fn write(dir: &Path, size: usize, name: &str) -> Result<()> {
    let all = families::families(size);
    let family = all.iter().find(|family| family.name == name);
    let family = family.ok_or_else(|| Error::Parameter(format!("no family is called '{name}'")))?;
    let (system, b) = Problem::from_json(&family.problem)?.generate(Comm::solo())?;
    let a = system.a();
    petsc_binary::write(&dir.join(format!("{name}.bin")), a, Some(&b), Indices::Bits32)?;
    // Opponents are told of coordinates where there are several unknowns at each.
    let block = system.block_size()?;
    if let Some(places) = system.coordinates().filter(|_| block > 1) {
        let nodes = places.values.chunks_exact(places.width).step_by(block);
        let values: Vec<f64> = nodes.flatten().copied().collect();
        let own = precondor_core::matrix::Space::new(Comm::solo(), values.len())?;
        petsc_binary::write_vector(
            &dir.join(format!("{name}.xyz")),
            &own,
            &values,
            Indices::Bits32,
        )?;
    }
    Ok(())
}

fn plugins(native: bool) -> Result<Plugins> {
    if native {
        let linked: [Arc<dyn DynGenerator>; 2] = [Native::<Amg>::method(), Native::<Ic>::method()];
        return Plugins::linked(&linked, Path::new("."));
    }
    Plugins::load(&Search { extra: vec![], base: ".".into() })
}

fn solve(path: &Path, setting: &str) -> Result<()> {
    let (name, native) = match setting.split_once(':') {
        None => (setting, false),
        Some((name, "native")) => (name, true),
        Some((_, other)) => return Err(Error::Parameter(format!("'{other}' is not 'native'"))),
    };
    let plugins = plugins(native)?;
    let generator = plugins.get(name)?;
    let mut file = PetscFile::open(path)?;
    let (a, b) = (DistCsr::solo(file.matrix()?)?, file.vector()?);
    let method = match path.file_stem().is_some_and(|stem| stem == "convection") {
        true => Algorithm::Bicgstab,
        false => Algorithm::Cg,
    };
    let system = System::new(a).with_host(plugins.host());
    let mut x = vec![0.0; b.len()];
    let stop = Stop {
        criterion: Criterion::RelativeResidual,
        tolerance: 1e-8,
        max_iterations: 2000,
        divergence: 1e8,
    };
    let before = memory::begin();
    let (begin, work) = (Instant::now(), processor::seconds());
    let m = generator.generate(&json!({}), &system)?;
    let (ready, set_up) = (Instant::now(), processor::seconds());
    let mut watch = |_: &solver::Step| ControlFlow::Continue(());
    let report = solver::solve(&method, system.a(), &*m, &b, &mut x, &stop, &mut watch)?;
    let (done, solved) = (Instant::now(), processor::seconds());
    let sign = if report.outcome == Outcome::Converged { 1 } else { -1 };
    println!(
        "{}\t{}\t{:.5}\t{:.5}\t{:.5}\t{:.5}\t{:.1e}\t{:.1}",
        plugins.host().threads(),
        sign * report.iterations as i64,
        (ready - begin).as_secs_f64(),
        (done - ready).as_secs_f64(),
        set_up - work,
        solved - set_up,
        report.true_relative_residual,
        memory::since(before),
    );
    Ok(())
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[1..] {
        ["list"] => {
            for family in families::families(1000) {
                println!("{}\t{}", family.name, if family.symmetric { "cg" } else { "bicgstab" });
            }
            Ok(())
        }
        ["write", dir, size, name] => {
            let size =
                size.parse().map_err(|_| Error::Parameter(format!("'{size}' is no number")))?;
            write(Path::new(dir), size, name)
        }
        ["solve", file, setting] => solve(Path::new(file), setting),
        _ => {
            Err(Error::Parameter("families list | write DIR SIZE NAME | solve FILE SETTING".into()))
        }
    }
}
