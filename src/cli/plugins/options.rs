//! `precondor plugins options`: the options of all methods inside PETSc, as a table in Markdown.
use crate::Status;
use crate::files::print;
use crate::session::Session;
use precondor_core::Result;
use precondor_core::words::{self, Parameter};
use std::fmt::Write as _;
use std::path::PathBuf;

/// Print a table of the options that methods take inside PETSc
#[derive(clap::Args)]
pub struct Args {
    /// These methods only
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

pub fn run(args: &Args, plugin_path: &[PathBuf]) -> Result<Status> {
    let session = Session::open(plugin_path, None)?;
    let chosen = args.names.iter().map(|name| session.generator(name));
    let mut methods = chosen.collect::<Result<Vec<_>>>()?;
    if methods.is_empty() {
        methods = session.plugins().registry().iter().collect();
    }
    let mut out = String::from("| `-pc_type` | options, each `-pc_precondor_…` |\n|---|---|\n");
    for method in methods {
        let options: Vec<String> = words::parameters(&method.schema()).iter().map(option).collect();
        let options = if options.is_empty() { "none".into() } else { options.join("<br>") };
        // Writing to a string cannot fail.
        let _ = writeln!(out, "| `precondor_{}` | {options} |", method.name().replace('-', "_"));
    }
    print(&out)?;
    Ok(Status::Done)
}

/// An option with its range and what it is where it is left out.
fn option(parameter: &Parameter) -> String {
    let Parameter { name, kind, default, choices, .. } = parameter;
    let names: Vec<&str> = choices.iter().map(|(name, _)| name.as_str()).collect();
    let kind = match kind.as_str() {
        kind if kind.starts_with("a method") => "a method".to_owned(),
        kind if kind.starts_with("a list of methods") => "a list of methods".to_owned(),
        _ if !names.is_empty() => names.join(" "),
        kind => kind.to_owned(),
    };
    let default = match default {
        None => String::new(),
        Some(value) => format!(" ({})", words::value(value)),
    };
    format!("`{}` {kind}{default}", name.replace('-', "_"))
}
