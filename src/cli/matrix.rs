//! `precondor matrix`: what can be said about a matrix before solving with it.
use crate::files::{self, print, print_json, write};
use crate::{Status, formats, given};
use precondor::report::spy;
use precondor_core::kernel::lanczos;
use precondor_core::matrix::{Csr, DistCsr, Statistics, Triangle};
use precondor_core::{Error, Result};
use std::path::PathBuf;

/// Describe a matrix in a file (Matrix Market, PETSc, hypre IJ): sizes, symmetry, diagonal, spectrum
///
/// What is said of the spectrum is proved, or called an estimate.
#[derive(clap::Args)]
pub struct Args {
    /// The matrix
    file: PathBuf,
    /// Print the statistics as JSON
    #[arg(long)]
    json: bool,
    /// The triangle that the file has of a symmetric matrix
    #[arg(long, value_name = "TRIANGLE", value_parser = ["upper", "lower"])]
    symmetric: Option<String>,
    /// Draw where the entries are, as SVG
    #[arg(long, value_name = "FILE")]
    spy: Option<PathBuf>,
}

pub fn run(args: &Args) -> Result<Status> {
    files::ready(&[("--spy", args.spy.as_deref())])?;
    let mut notes = Vec::new();
    let a = formats::read_matrix(&args.file, &mut notes)?;
    let a = whole(a, args, &mut notes)?;
    let statistics = Statistics::of(&a, &lanczos::Options::default())?;
    if let Some(path) = &args.spy {
        write(path, spy::svg(&a).as_bytes())?;
    }
    match args.json {
        true => print_json(&described(&statistics, &notes)?)?,
        false => {
            let notes = notes.iter().map(|note| format!("{:<18} {note}\n", "note"));
            let notes: String = notes.collect();
            print(&format!("{}\n{statistics}{notes}\n", args.file.display()))?;
        }
    }
    Ok(Status::Done)
}

/// What `--json` prints: the statistics, and notes beside them.
fn described(statistics: &Statistics, notes: &[String]) -> Result<serde_json::Value> {
    let json = serde_json::to_value(statistics);
    let mut json = json.map_err(|e| Error::Data(format!("cannot write JSON: {e}")))?;
    json["notes"] = notes.into();
    Ok(json)
}

/// The matrix that is meant, where the file has one triangle of it.
fn whole(a: Csr, args: &Args, notes: &mut Vec<String>) -> Result<Csr> {
    let triangle = match args.symmetric.as_deref() {
        Some("upper") => Some(Triangle::Upper),
        Some(_) => Some(Triangle::Lower),
        None if a.n_rows() != a.n_cols() => return Ok(a),
        None => None,
    };
    let solo = DistCsr::solo(a.clone()).map_err(|e| Error::file(&args.file, e))?;
    match triangle {
        Some(triangle) => Ok(given::mirrored(&solo, triangle, &args.file)?.own().clone()),
        None => {
            notes.extend(
                solo.one_triangle()?.map(|t| given::one_triangle(t, &format!("--symmetric {t}"))),
            );
            Ok(a)
        }
    }
}
