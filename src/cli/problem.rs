//! `precondor problem`: a model problem as files.
use crate::files::{self, print};
use crate::session::Session;
use crate::{Status, experiment, formats};
use precondor_core::config::{self, Node};
use precondor_core::matrix::io::petsc_binary::Indices;
use precondor_core::system::{COEFFICIENT, COORDINATES};
use precondor_core::{Error, Result};
use std::path::{Path, PathBuf};

/// Write a model problem as files: Matrix Market, or PETSc's binary format where named *.petsc
#[derive(clap::Args)]
pub struct Args {
    /// A configuration with a section `[problem]`; without one, Poisson at its defaults
    pub config: Option<PathBuf>,
    /// Override a key: `--set problem.level=7`
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Where the matrix goes
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Where the right-hand side goes; a *.petsc file can take it behind the matrix
    #[arg(long, value_name = "FILE")]
    rhs: Option<PathBuf>,
    /// Where the places of the unknowns go, for the key `coordinates` of [problem]
    #[arg(long, value_name = "FILE")]
    coordinates: Option<PathBuf>,
    /// Where the coefficient at the unknowns goes, where it varies, for the key `coefficient` of [problem]
    #[arg(long, value_name = "FILE")]
    coefficient: Option<PathBuf>,
    /// Which system of the family: 0 is the first
    #[arg(long, default_value_t = 0, value_name = "N")]
    index: u64,
    /// Bits of the indices in *.petsc files: 64 for a PETSc configured with --with-64-bit-indices
    #[arg(long, value_name = "BITS", value_parser = ["32", "64"])]
    petsc_indices: Option<String>,
}

pub fn run(args: &Args, session: &Session) -> Result<Status> {
    let rhs = args.rhs.as_deref().filter(|rhs| *rhs != args.output);
    files::ready(&[
        ("--output", Some(&args.output)),
        ("--rhs", rhs),
        ("--coordinates", args.coordinates.as_deref()),
        ("--coefficient", args.coefficient.as_deref()),
    ])?;
    let mut root = match &args.config {
        Some(path) => config::read(path)?,
        None => default_problem()?,
    };
    args.overrides.iter().try_for_each(|flag| config::set(&mut root, flag))?;
    let case = experiment::single(&root)?;
    let task = session.task(&case, args.index)?.single()?;
    let what = format!("{}, system {}", case.describe(), args.index);
    let indices = args.petsc_indices.as_deref().map(|bits| match bits {
        "64" => Indices::Bits64,
        _ => Indices::Bits32,
    });
    let system = (task.system.a(), task.b.as_slice());
    formats::write_system(&args.output, args.rhs.as_deref(), system, &what, indices)?;
    let beside = [(COORDINATES, &args.coordinates), (COEFFICIENT, &args.coefficient)];
    for (name, path) in beside.into_iter().filter_map(|(name, path)| Some((name, path.as_ref()?))) {
        let Some(aux) = task.system.aux(name) else {
            return Err(Error::Parameter(format!("--{name}: nothing is known of it for {what}")));
        };
        formats::write_rows(path, (aux.width, &aux.values), &format!("{name} of {what}"))?;
    }
    print(&format!("{what}: {} unknowns, {} entries\n", task.b.len(), task.nnz))?;
    Ok(Status::Done)
}

fn default_problem() -> Result<Node> {
    config::parse("the default problem", Path::new(""), "[problem]\nkind = \"poisson\"\n")
}
