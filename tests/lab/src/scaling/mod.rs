//! `precondor-lab scaling`: what ranks send held to formulas, and times reckoned for clusters.
//!
//! Nothing here runs a solver or touches a matrix: what `precondor compare --json` printed is read ([`record`]). What
//! one application of a method sends stands beside the method ([`work`] asks for it), what an iteration asks for in
//! [`schedule`]. [`agreement`] compares both with what was counted, so that they may be trusted where no run can be
//! made: [`reckon`] turns them into seconds on a machine that the user describes ([`cluster`]), up to hundreds of
//! thousands of ranks.
mod agreement;
mod cluster;
mod reckon;
mod record;
mod report;
mod schedule;
#[cfg(test)]
mod tests;
mod work;

use crate::claimed;
use precondor::report::files::{self, print, print_json};
use precondor::report::{self as form, Document, Provenance};
use precondor_core::{Error, Result, config};
use serde_json::json;
use std::path::PathBuf;

/// Hold what ranks sent to formulas, and reckon times on a cluster
///
/// Reads what `precondor compare --json` printed. Status 1 where a method sent something else than its formula says.
#[derive(clap::Args)]
pub struct Args {
    /// What `precondor compare --json` printed
    comparison: PathBuf,
    /// The machine to reckon for (TOML, as `tests/lab/archer2.toml`); without it nothing is reckoned
    #[arg(long, value_name = "FILE")]
    cluster: Option<PathBuf>,
    /// Override a key of the machine: `--set ranks=4096`
    #[arg(long = "set", value_name = "KEY=VALUE", requires = "cluster")]
    overrides: Vec<String>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    /// Write a page (index.html) with tables and pictures, and the numbers as CSV
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
}

pub fn run(args: &Args) -> Result<()> {
    let record = record::read(&args.comparison)?;
    let cluster = args.cluster.as_deref().map(|path| {
        let mut root = config::read(path)?;
        args.overrides.iter().try_for_each(|flag| config::set(&mut root, flag))?;
        root.read::<cluster::Cluster>()
    });
    let cluster = cluster.transpose()?;
    let folder = args.report.as_deref();
    // Held until the end.
    let _claim =
        folder.map(|folder| claimed(folder, &["index.html", "scaling.csv"])).transpose()?;
    let found: Vec<_> = record.cases.iter().map(|case| agreement::of(case, record.ranks)).collect();
    let scaling = cluster.map(|cluster| reckon::reckon(cluster, &record.subjects()));
    let agreement = found.iter().zip(&record.cases);
    let agreement = agreement.filter_map(|(found, case)| agreement::section(case, found));
    let mut data = json!({ "comparison": record.command, "ranks": record.ranks });
    if let Some(scaling) = &scaling {
        data["scaling"] = json!(scaling);
    }
    let document = Document {
        title: format!("{}: what ranks send", record.title),
        command: command(args),
        provenance: Provenance { ranks: record.ranks as usize, ..Provenance::here() },
        notes: vec![format!("Counted by `{}`.", record.command)],
        readings: Vec::new(),
        sections: agreement.chain(scaling.as_ref().map(report::section)).collect(),
        configuration: None,
        files: scaling.iter().map(|_| ("scaling.csv", "all numbers of ranks".into())).collect(),
        data: data.as_object().cloned().unwrap_or_default(),
    };
    match args.json {
        true => print_json(&form::json(&document))?,
        false => print(&form::text(&document))?,
    }
    if let Some(folder) = folder {
        if let Some(scaling) = &scaling {
            files::write(&folder.join("scaling.csv"), report::csv(scaling).as_bytes())?;
        }
        files::write(&folder.join("index.html"), form::page(&document).as_bytes())?;
    }
    let mut all = found.iter().zip(&record.cases);
    match all.find_map(|(found, case)| Some((agreement::contradicted(found)?, case))) {
        Some((label, case)) => Err(Error::Data(format!(
            "{label} on {}: the ranks sent something else than the formula of its method says",
            case.label
        ))),
        None => Ok(()),
    }
}

/// The command line that makes the same.
fn command(args: &Args) -> String {
    let path = |path: &PathBuf| path.display().to_string();
    let mut words = vec!["precondor-lab".into(), "scaling".into(), path(&args.comparison)];
    if let Some(cluster) = &args.cluster {
        words.extend(["--cluster".into(), path(cluster)]);
    }
    words.extend(args.overrides.iter().flat_map(|flag| ["--set".into(), flag.clone()]));
    files::command(&words)
}
