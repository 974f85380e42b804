//! `precondor`: the command line.
//!
//! One file per subcommand; each has its arguments and a `run`. Results go to standard output, logs
//! and progress to standard error. Exit status: 0 when all went well, 1 for bad input or a failure,
//! 2 for a solve that did not converge, 128 and its number for a signal.
mod backend;
mod columns;
mod compare;
mod describe;
mod inputs;
mod install;
mod interrupt;
mod matrix;
mod measure;
mod patterns;
mod plugins;
mod problem;
mod report;
mod same;
mod saved;
mod session;
mod solve;
mod threads;
mod train;
mod tune;
mod worker;
mod world;

use clap::{Parser, Subcommand};
use precondor::config::{experiment, fallback, formats, given, keys, limit};
use precondor::models;
use precondor::report::{files, terminal, traffic};
use precondor_core::Result;
use session::Session;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use world::World;

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
    Tune(tune::Args),
    Train(train::Args),
    Problem(problem::Args),
    Matrix(matrix::Args),
    Plugins(plugins::Args),
    Describe(describe::Args),
    Schema(describe::SchemaArgs),
    Install(install::Args),
}

impl Cli {
    /// The configuration of a command that every rank reads it for.
    fn config(&self) -> Option<&Path> {
        match &self.command {
            Command::Solve(args) => Some(&args.config),
            Command::Compare(args) => Some(&args.config),
            Command::Tune(args) => Some(&args.config),
            Command::Train(args) => Some(&args.config),
            _ => None,
        }
    }
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
    /// A signal asked for the end; what was done by then is told.
    Interrupted,
}

fn main() -> ExitCode {
    if let Some(code) = child() {
        return code;
    }
    let world = match World::start() {
        Ok(world) => world,
        Err(e) => return world::no_world(&e),
    };
    if world.comm().size() == 1 {
        precondor_host::look_in_children();
    }
    let mut words: Vec<OsString> = std::env::args_os().collect();
    let is_worker = words.get(1).is_some_and(|word| *word == *worker::WORKER);
    if is_worker {
        words.remove(1);
    }
    let parsed = Cli::try_parse_from(words);
    // Before anything is said or done: ranks with other words would do other things.
    if let Err(e) = same::program_and_words(world.comm(), parsed.as_ref().ok().map(Cli::config)) {
        return world.end(Err(e));
    }
    let cli = match parsed {
        Ok(cli) => cli,
        Err(e) => {
            if world.is_first() {
                // A reader that has gone away does not matter. Help and version are no mistakes.
                let _ = e.print();
            }
            return world.end(Ok(if e.use_stderr() { Status::PartFailed } else { Status::Done }));
        }
    };
    terminal::log_to_stderr(cli.verbose, world.is_first());
    let result = world.run(|| {
        world.comm().agree(interrupt::catch())?;
        run(&cli, is_worker, &world)
    });
    world.end(result)
}

/// Carries out a command: on all ranks, or for all of them on the first.
fn run(cli: &Cli, is_worker: bool, world: &World) -> Result<Status> {
    let folder = |config: Option<&Path>| config.and_then(Path::parent).map(Path::to_owned);
    let everywhere = |config: &Path| Session::on(world, &cli.plugin_path, folder(Some(config)));
    let alone = |config: Option<&Path>| Session::open(&cli.plugin_path, folder(config));
    match &cli.command {
        Command::Solve(args) => solve::run(args, &everywhere(&args.config)?),
        Command::Compare(args) => compare::run(args, is_worker, &everywhere(&args.config)?),
        Command::Tune(args) => tune::run(args, is_worker, &everywhere(&args.config)?),
        Command::Train(args) => train::run(args, &everywhere(&args.config)?),
        Command::Problem(args) => {
            world.on_first(|| problem::run(args, &alone(args.config.as_deref())?))
        }
        Command::Matrix(args) => world.on_first(|| matrix::run(args)),
        Command::Plugins(args) => world.on_first(|| plugins::run(args, &cli.plugin_path)),
        Command::Describe(args) => world.on_first(|| describe::run(args, &cli.plugin_path)),
        Command::Schema(args) => world.on_first(|| describe::run_schema(args, &cli.plugin_path)),
        Command::Install(args) => world.on_first(|| install::run(args, &alone(None)?)),
    }
}

/// Child processes that look at one plugin, so that a crash is theirs alone.
fn child() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    let (first, path) = (arguments.next()?, PathBuf::from(arguments.next()?));
    match first.to_str()? {
        precondor_host::PROBE => Some(precondor_host::probe_child(&path)),
        plugins::CHECK => Some(plugins::check_child(path, arguments.map(PathBuf::from))),
        _ => None,
    }
}
