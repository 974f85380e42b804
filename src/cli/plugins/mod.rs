//! `precondor plugins`: what is there, what it takes, whether it is sound; and new ones.
mod check;
pub mod describe;
mod list;
mod new;
mod options;
pub mod sdk;

pub use check::{CHECK, child as check_child};

use crate::Status;
use precondor_core::Result;
use std::path::PathBuf;

/// List, describe and check plugins, or start a new one
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    List(list::Args),
    Describe(describe::Args),
    Options(options::Args),
    Check(check::Args),
    New(new::Args),
}

pub fn run(args: &Args, plugin_path: &[PathBuf]) -> Result<Status> {
    match &args.command {
        Command::List(args) => list::run(args, plugin_path),
        Command::Describe(args) => describe::run(args, plugin_path),
        Command::Options(args) => options::run(args, plugin_path),
        Command::Check(args) => check::run(args, plugin_path),
        Command::New(args) => new::run(args, plugin_path),
    }
}
