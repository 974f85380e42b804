//! `precondor problem`: a model problem as files.
use crate::experiment::{self, Case};
use crate::files::{self, print};
use crate::session::Session;
use crate::{Status, formats};
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
    /// So many systems from that one on, each in files whose names end in its number: A0.mtx, A1.mtx for A.mtx
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    systems: Option<u64>,
    /// Bits of the indices in *.petsc files: 64 for a PETSc configured with --with-64-bit-indices
    #[arg(long, value_name = "BITS", value_parser = ["32", "64"])]
    petsc_indices: Option<String>,
}

/// Where the parts of a system go.
struct Places {
    output: PathBuf,
    rhs: Option<PathBuf>,
    coordinates: Option<PathBuf>,
    coefficient: Option<PathBuf>,
}

impl Args {
    /// Where system `index` goes.
    fn places(&self, index: u64) -> Places {
        let place = |path: &PathBuf| match self.systems {
            Some(_) => numbered(path, index),
            None => path.clone(),
        };
        Places {
            output: place(&self.output),
            rhs: self.rhs.as_ref().map(place),
            coordinates: self.coordinates.as_ref().map(place),
            coefficient: self.coefficient.as_ref().map(place),
        }
    }
}

/// The name with a number before its ending, that of what is compressed included.
fn numbered(path: &Path, number: u64) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let inner = name.strip_suffix(".gz").unwrap_or(&name);
    let stem = Path::new(inner).file_stem().map_or(inner.len(), |stem| stem.len());
    path.with_file_name(format!("{}{number}{}", &name[..stem], &name[stem..]))
}

pub fn run(args: &Args, session: &Session) -> Result<Status> {
    let indices = args.index..args.index.saturating_add(args.systems.unwrap_or(1));
    for index in indices.clone() {
        let places = args.places(index);
        files::ready(&[
            ("--output", Some(&places.output)),
            ("--rhs", places.rhs.as_deref().filter(|rhs| *rhs != places.output)),
            ("--coordinates", places.coordinates.as_deref()),
            ("--coefficient", places.coefficient.as_deref()),
        ])?;
    }
    let mut root = match &args.config {
        Some(path) => config::read(path)?,
        None => default_problem()?,
    };
    args.overrides.iter().try_for_each(|flag| config::set(&mut root, flag))?;
    let case = experiment::single(&root, session)?;
    for index in indices {
        write(args, (&case, index), session)?;
    }
    Ok(Status::Done)
}

/// Writes a system.
fn write(args: &Args, (case, index): (&Case, u64), session: &Session) -> Result<()> {
    let task = session.task(case, index)?.single()?;
    let what = format!("{}, system {index}", case.describe());
    let places = args.places(index);
    let indices = args.petsc_indices.as_deref().map(|bits| match bits {
        "64" => Indices::Bits64,
        _ => Indices::Bits32,
    });
    let system = (task.system.a(), task.b.as_slice());
    formats::write_system(&places.output, places.rhs.as_deref(), system, &what, indices)?;
    let beside = [(COORDINATES, &places.coordinates), (COEFFICIENT, &places.coefficient)];
    for (name, path) in beside.into_iter().filter_map(|(name, path)| Some((name, path.as_ref()?))) {
        let Some(aux) = task.system.aux(name) else {
            return Err(Error::Parameter(format!("--{name}: nothing is known of it for {what}")));
        };
        formats::write_rows(path, (aux.width, &aux.values), &format!("{name} of {what}"))?;
    }
    print(&format!("{what}: {} unknowns, {} entries\n", task.b.len(), task.nnz))
}

fn default_problem() -> Result<Node> {
    config::parse("the default problem", Path::new(""), "[problem]\nkind = \"poisson\"\n")
}
