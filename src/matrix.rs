//! `precondor matrix`: what can be said about a matrix before solving with it.
use crate::files::{print, print_json, write};
use crate::report::spy;
use crate::{Status, formats};
use precondor_core::Result;
use precondor_core::kernel::lanczos;
use precondor_core::matrix::Statistics;
use std::path::PathBuf;

/// Describe a matrix in a file (Matrix Market, hypre IJ): sizes, symmetry, diagonal, spectrum
#[derive(clap::Args)]
pub struct Args {
    /// The matrix
    file: PathBuf,
    /// Print the statistics as JSON
    #[arg(long)]
    json: bool,
    /// Draw where the entries are, as SVG
    #[arg(long, value_name = "FILE")]
    spy: Option<PathBuf>,
}

pub fn run(args: &Args) -> Result<Status> {
    let a = formats::read_matrix(&args.file)?;
    let statistics = Statistics::of(&a, &lanczos::Options::default())?;
    if let Some(path) = &args.spy {
        write(path, spy::svg(&a).as_bytes())?;
    }
    match args.json {
        true => print_json(&statistics)?,
        false => print(&format!("{}\n{statistics}\n", args.file.display()))?,
    }
    Ok(Status::Done)
}
