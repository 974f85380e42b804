//! `precondor plugins check`: is a plugin sound?
//!
//! Beyond loading, every method and every family of problems has to keep its word ([`precondor::check`]), and nothing may be printed, since that
//! is where results go. All of it happens in a process of its own, which has so many seconds for a step.
mod trial;

use crate::Status;
use crate::files::{print, print_json};
use precondor::check::Checked;
use precondor_core::registry::no_method;
use precondor_core::{Error, Result};
use precondor_host::child::{answer, ask};
use precondor_host::{LibraryInfo, PATIENCE, Search, probe};
use serde_json::json;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;
use trial::Tried;

/// First argument of the child process; the library follows, and others that its methods may ask for.
pub const CHECK: &str = "__check-plugin";

/// Check a plugin: that it loads, and that its methods and kinds of problems keep their word
#[derive(clap::Args)]
pub struct Args {
    /// A library (a path), or the name of a method or a kind of problem that one has
    #[arg(value_name = "NAME|PATH")]
    plugin: String,
    /// Seconds that each step may take (to load, or 'describe', 'generate' or 'apply' of a method)
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    time_limit: u64,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args, plugin_path: &[PathBuf]) -> Result<Status> {
    let limit = Duration::from_secs(args.time_limit);
    let Target { path, others } = Target::find(&args.plugin, plugin_path, limit)?;
    let mut command = Command::new(this_program()?);
    command.arg(CHECK).arg(&path);
    // Methods may ask for any other; what does not even load would be taken for a fault of this library.
    command.args(others.iter().filter(|other| probe(other, PATIENCE).is_ok()));
    let asked = ask::<Tried>(&mut command, &path, limit)?;
    let Tried { methods, problems } = asked.answer;
    let printed = asked.printed.map(|printed| {
        format!("it prints to standard output {}: '{}'", printed.step, printed.text)
    });
    let keeps_word = |method: &Checked| method.failed.is_empty() && method.not_tried.is_none();
    let sound = printed.is_none() && methods.iter().chain(&problems).all(keeps_word);
    if args.json {
        let printed = json!(printed);
        print_json(
            &json!({ "library": path, "sound": sound, "printed": printed, "methods": methods, "families": problems }),
        )?;
    } else {
        print(&text(&path, (&methods, &problems), printed.as_deref()))?;
    }
    Ok(if sound { Status::Done } else { Status::PartFailed })
}

/// The library that is meant.
struct Target {
    path: PathBuf,
    /// The other libraries of the search path.
    others: Vec<PathBuf>,
}

impl Target {
    fn find(plugin: &str, plugin_path: &[PathBuf], limit: Duration) -> Result<Target> {
        let found = Search { extra: plugin_path.to_vec(), base: ".".into() }.checked()?.find();
        let candidates = || found.candidates.iter().map(|candidate| candidate.path.clone());
        let others = |path: &Path| candidates().filter(|other| other != path).collect();
        let file = Path::new(plugin);
        if plugin.contains('/') || file.is_file() {
            probe(file, limit)?;
            let path = file.canonicalize().map_err(|e| Error::file(file, e))?;
            return Ok(Target { others: others(&path), path });
        }
        let mut names = Vec::new();
        for path in candidates() {
            let Ok(LibraryInfo { methods, problems }) = probe(&path, PATIENCE) else { continue };
            let problems = problems.into_iter().map(|problem| problem.name);
            let has: Vec<String> =
                methods.into_iter().map(|method| method.name).chain(problems).collect();
            if has.iter().any(|name| name == plugin) {
                return Ok(Target { others: others(&path), path });
            }
            names.extend(has);
        }
        names.sort();
        Err(found.not_found(no_method(plugin, names.iter().map(String::as_str))))
    }
}

fn this_program() -> Result<PathBuf> {
    std::env::current_exe().map_err(|e| Error::file("/proc/self/exe", e))
}

fn text(
    path: &Path,
    (methods, problems): (&[Checked], &[Checked]),
    printed: Option<&str>,
) -> String {
    let mut out = format!("{}\n", path.display());
    // Writing to a string cannot fail.
    if let Some(why) = printed {
        let _ = writeln!(out, "FAILED: {why}");
    }
    let methods = methods.iter().map(|method| ("", method));
    let problems = problems.iter().map(|problem| ("problem ", problem));
    for (what, Checked { name, version, passed, failed, not_tried }) in methods.chain(problems) {
        let _ = writeln!(out, "{what}{name} {version}: {} checks passed", passed.len());
        for why in failed {
            let _ = writeln!(out, "  FAILED: {why}");
        }
        if let Some(why) = not_tried {
            let _ = writeln!(out, "  NOT TRIED on a matrix: {why}");
        }
    }
    out
}

/// The child's side.
pub fn child(path: PathBuf, peers: impl Iterator<Item = PathBuf>) -> ExitCode {
    answer(&trial::tried(path, peers).map_err(|e| e.to_string()));
    ExitCode::SUCCESS
}
