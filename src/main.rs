//! `precondor`: the command line.
//!
//! One file per subcommand; each has its arguments and a `run`. Results go to standard output, logs
//! and progress to standard error. Exit status: 0 when all went well, 1 for bad input or a failure,
//! 2 for a solve that did not converge.
mod backend;
mod compare;
mod exact;
mod experiment;
mod fallback;
mod files;
mod formats;
mod install;
mod matrix;
mod measure;
mod models;
mod plugins;
mod problem;
mod report;
mod reproduce;
mod session;
mod solve;
mod train;

use clap::{Parser, Subcommand};
use precondor_core::Result;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Solves sparse linear systems with preconditioners, classical and learned, that are chosen by
/// name and loaded as plugins.
#[derive(Parser)]
#[command(name = "precondor", version)]
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
    Solve(solve::Args),
    Compare(compare::Args),
    Train(train::Args),
    Problem(problem::Args),
    Matrix(matrix::Args),
    Reproduce(reproduce::Args),
    Plugins(plugins::Args),
    Install(install::Args),
}

/// How a command ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    /// All is well.
    Done,
    /// A solve was asked for and did not converge.
    NotConverged,
    /// What could be done was done and told, but a part failed.
    PartFailed,
}

fn main() -> ExitCode {
    if let Some(code) = child() {
        return code;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            // A reader that has gone away does not matter. Help and version are no mistakes.
            let _ = e.print();
            return if e.use_stderr() { ExitCode::from(1) } else { ExitCode::SUCCESS };
        }
    };
    log_to_stderr(cli.verbose);
    match run(&cli) {
        Ok(Status::Done) => ExitCode::SUCCESS,
        Ok(Status::NotConverged) => ExitCode::from(2),
        Ok(Status::PartFailed) => ExitCode::from(1),
        Err(e) => {
            let _ = writeln!(std::io::stderr(), "error: {e}");
            ExitCode::from(1)
        }
    }
}

fn run(cli: &Cli) -> Result<Status> {
    let session = |config: Option<&Path>| {
        session::Session::open(&cli.plugin_path, config.and_then(Path::parent))
    };
    match &cli.command {
        Command::Solve(args) => solve::run(args, &session(Some(&args.config))?),
        Command::Compare(args) => compare::run(args, &session(Some(&args.config))?),
        Command::Train(args) => train::run(args, &session(Some(&args.config))?),
        Command::Problem(args) => problem::run(args, &session(args.config.as_deref())?),
        Command::Matrix(args) => matrix::run(args),
        Command::Reproduce(args) => reproduce::run(args, &session(None)?),
        Command::Plugins(args) => plugins::run(args, &cli.plugin_path),
        Command::Install(args) => install::run(args, &session(None)?),
    }
}

/// Child processes that look at one plugin, so that a crash is theirs alone.
fn child() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    let (first, path) = (arguments.next()?, PathBuf::from(arguments.next()?));
    match first.to_str()? {
        precondor_host::PROBE => Some(precondor_host::probe_child(&path)),
        plugins::CHECK => Some(plugins::check_child(&path)),
        _ => None,
    }
}

fn log_to_stderr(verbose: u8) {
    let level = match verbose {
        0 => tracing::Level::WARN,
        1 => tracing::Level::INFO,
        _ => tracing::Level::DEBUG,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .without_time()
        .init();
}
