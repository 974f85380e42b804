//! `precondor matrix`: what can be said about a matrix before solving with it.
use crate::Status;
use crate::files::{print, print_json, write};
use crate::report::spy;
use precondor_core::Result;
use precondor_core::kernel::lanczos;
use precondor_core::matrix::Statistics;
use precondor_core::matrix::io::matrix_market;
use std::path::PathBuf;

/// Describe a Matrix Market file: sizes, symmetry, diagonal, spectrum
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
    let a = matrix_market::read(&args.file)?;
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
