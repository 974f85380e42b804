//! `precondor plugins list`.
use crate::Status;
use crate::files::{print, print_json};
use precondor_core::Result;
use precondor_host::{MethodInfo, PATIENCE, Search, probe};
use serde::Serialize;
use std::fmt::Write as _;
use std::path::PathBuf;

/// List the methods that are there
///
/// Every library is loaded in a process of its own: one that crashes is a line of the list.
#[derive(clap::Args)]
pub struct Args {
    /// Print the list as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct List {
    methods: Vec<Listed>,
    problems: Vec<Passed>,
    looked_in: Vec<PathBuf>,
}

#[derive(Serialize)]
struct Listed {
    library: PathBuf,
    #[serde(flatten)]
    method: MethodInfo,
}

/// A file or folder that was passed over.
#[derive(Serialize)]
struct Passed {
    path: PathBuf,
    reason: String,
}

pub fn run(args: &Args, plugin_path: &[PathBuf]) -> Result<Status> {
    let found = Search { extra: plugin_path.to_vec(), base: ".".into() }.find();
    let problems = found.problems.into_iter().map(|p| Passed { path: p.path, reason: p.reason });
    let mut list =
        List { methods: vec![], problems: problems.collect(), looked_in: found.looked_in };
    for candidate in found.candidates {
        match probe(&candidate.path, PATIENCE) {
            Ok(methods) => list.methods.extend(
                methods
                    .into_iter()
                    .map(|method| Listed { library: candidate.path.clone(), method }),
            ),
            Err(e) => {
                let prefix = format!("{}: ", candidate.path.display());
                let reason = e.to_string();
                let reason = reason.strip_prefix(&prefix).unwrap_or(&reason).to_owned();
                list.problems.push(Passed { path: candidate.path, reason });
            }
        }
    }
    list.methods.sort_by(|a, b| a.method.name.cmp(&b.method.name));
    if args.json { print_json(&list) } else { print(&text(&list)) }?;
    Ok(Status::Done)
}

fn text(list: &List) -> String {
    let mut out = String::new();
    let names = list.methods.iter().map(|listed| listed.method.name.chars().count());
    let width = names.max().unwrap_or(0);
    // Writing to a string cannot fail.
    for Listed { library, method } in &list.methods {
        let file = library.file_name().unwrap_or_default().to_string_lossy();
        let _ = writeln!(
            out,
            "{:width$}  {} ({} {})",
            method.name, method.summary, file, method.version
        );
    }
    if list.methods.is_empty() {
        out += "no plugins\n";
    }
    for Passed { path, reason } in &list.problems {
        let _ = writeln!(out, "passed over: {}: {reason}", path.display());
    }
    let folders: Vec<String> = list.looked_in.iter().map(|f| f.display().to_string()).collect();
    let _ = writeln!(out, "looked in {}", folders.join(", "));
    out
}
