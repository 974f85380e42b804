//! `precondor-lab`: what measures, and what the paper measured. The program `precondor` knows nothing of it.
//!
//! | folder | what |
//! |---|---|
//! | `reproduce` | the experiments of the paper, its values and ours side by side |
//! | `scaling` | what ranks send held to formulas, and times reckoned for clusters |
//! | `learned` | learned methods beside classical ones, on published sets of systems |
//!
//! Beside it, in `examples/`, stand the programs that measure networks and choices: on fresh systems, beside their
//! baselines.
mod learned;
mod reproduce;
mod scaling;

use clap::{Parser, Subcommand};
use precondor::Methods;
use precondor::report::{files, terminal};
use precondor_core::{Error, Result};
use precondor_host::Search;
use std::path::PathBuf;
use std::process::ExitCode;

/// The laboratory of Precondor: the paper's tables, clusters reckoned, learned methods beside classical ones.
#[derive(Parser)]
#[command(name = "precondor-lab", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Look for plugins in this folder first (may be repeated)
    #[arg(long, global = true, value_name = "DIR")]
    plugin_path: Vec<PathBuf>,
    /// Tell more of what goes on (twice: everything)
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
}

#[derive(Subcommand)]
enum Command {
    Reproduce(reproduce::Args),
    Scaling(scaling::Args),
    Learned(learned::Args),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            // A reader that has gone away does not matter. Help and version are no mistakes.
            let _ = e.print();
            return ExitCode::from(u8::from(e.use_stderr()));
        }
    };
    terminal::log_to_stderr(cli.verbose, true);
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            terminal::tell(&format!("error: {e}"));
            ExitCode::from(1)
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    if precondor::launched().is_some_and(|(ranks, _)| ranks > 1) {
        let why = "the laboratory works on one rank: start it without mpirun";
        return Err(Error::Unsupported(why.into()));
    }
    match &cli.command {
        Command::Reproduce(args) => reproduce::run(args, &methods(&cli.plugin_path)?),
        Command::Scaling(args) => scaling::run(args),
        Command::Learned(args) => learned::run(args, &methods(&cli.plugin_path)?, &cli.plugin_path),
    }
}

/// The methods that are there.
fn methods(plugin_path: &[PathBuf]) -> Result<Methods> {
    let search = Search { extra: plugin_path.to_vec(), base: ".".into() }.checked()?;
    let methods = Methods::search(&search)?;
    methods.problems().iter().for_each(|problem| tracing::warn!("{problem}"));
    Ok(methods)
}

/// The folder of a report, made and held for this process alone.
///
/// # Errors
/// Where it cannot be made, or what will be written there could not be.
fn claimed(folder: &std::path::Path, names: &[&str]) -> Result<files::Claim> {
    files::make_folder(folder)?;
    let claim = files::Claim::folder(folder)?;
    let paths: Vec<PathBuf> = names.iter().map(|name| folder.join(name)).collect();
    let wanted: Vec<_> = paths.iter().map(|path| ("--report", Some(path.as_path()))).collect();
    files::ready(&wanted)?;
    Ok(claim)
}
