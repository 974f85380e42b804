//! `precondor problem`: a model problem as files.
use crate::files::print;
use crate::session::{Session, configuration};
use crate::{Status, experiment};
use precondor_core::config::{self, Node};
use precondor_core::matrix::io::matrix_market;
use precondor_core::{Error, Result};
use std::path::{Path, PathBuf};

/// Write a model problem as Matrix Market files
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
    /// Where the right-hand side goes
    #[arg(long, value_name = "FILE")]
    rhs: Option<PathBuf>,
    /// Which system of the family: 0 is the first
    #[arg(long, default_value_t = 0, value_name = "N")]
    index: u64,
}

pub fn run(args: &Args, session: &Session) -> Result<Status> {
    let mut root = match &args.config {
        Some(path) => configuration(path, &[])?,
        None => default_problem()?,
    };
    args.overrides.iter().try_for_each(|flag| config::set(&mut root, flag))?;
    if args.rhs.as_ref() == Some(&args.output) {
        return Err(Error::file(
            &args.output,
            "cannot take both the matrix and the right-hand side",
        ));
    }
    let case = experiment::single(&root)?;
    let task = case.task(args.index, session)?;
    let what = format!("{}, system {}", case.describe(), args.index);
    matrix_market::write(&args.output, task.system.a().own(), &what)?;
    if let Some(path) = &args.rhs {
        matrix_market::write_vector(path, &task.b, &format!("right-hand side of {what}"))?;
    }
    print(&format!("{what}: {} unknowns, {} entries\n", task.b.len(), task.nnz))?;
    Ok(Status::Done)
}

fn default_problem() -> Result<Node> {
    config::parse("the default problem", Path::new(""), "[problem]\nkind = \"poisson\"\n")
}
