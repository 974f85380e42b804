//! `precondor install`: the program with everything it needs, in a folder of its own.
//!
//! | where under PREFIX | what |
//! |---|---|
//! | `bin/precondor` | this program |
//! | `lib/precondor/` | the plugins that it loads; `libprecondor_petsc.so`, which PETSc loads, where it is built with that |
//! | `include/precondor.h` | the header for plugins in C |
//! | `lib/precondor/installed` | the names of these, so that a later installation removes what it no longer ships |
//! | `share/precondor/examples/`, `…/docs/config.schema.json` | configurations to start from, and what editors check them with |
//! | `share/man/man1/`, and where bash, zsh and fish look | manual pages, completions |
//! | `share/precondor/sdk/` | sources that `plugins new` builds against: the SDK is in no registry |
//!
//! Trained models are inside their plugins. Files are put in place one by one, each in one step, the
//! program last: whatever interrupts, every file is whole and an older installation still runs.
use crate::Status;
use crate::files::{make_folder, print};
use crate::plugins::sdk;
use crate::session::Session;
use clap::CommandFactory;
use clap_complete::Shell;
use precondor_core::file::replace;
use precondor_core::{Error, Result, input};
use precondor_host::{HEADER, Library};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// What editors check configurations with.
const SCHEMA: &str = include_str!("../../docs/config.schema.json");
/// Configurations to start from.
const EXAMPLES: [(&str, &str); 6] = [
    ("solve.toml", include_str!("../../examples/solve.toml")),
    ("poisson.toml", include_str!("../../examples/poisson.toml")),
    ("networks.toml", include_str!("../../examples/networks.toml")),
    ("nn-vs-spai.toml", include_str!("../../examples/nn-vs-spai.toml")),
    ("paper-network.toml", include_str!("../../examples/paper-network.toml")),
    ("train-mlp-reference.toml", include_str!("../../examples/train-mlp-reference.toml")),
];

/// Install the program, its plugins, the C header, examples and the SDK's sources
#[derive(clap::Args)]
pub struct Args {
    /// The folder to install into: PREFIX/bin/precondor and so on
    #[arg(long, value_name = "PREFIX")]
    prefix: PathBuf,
}

pub fn run(args: &Args, session: &Session) -> Result<Status> {
    let prefix = &args.prefix;
    let place = |below: &str| -> Result<PathBuf> {
        let folder = prefix.join(below);
        make_folder(&folder).map(|()| folder)
    };
    let libraries = session.plugins().libraries();
    if libraries.is_empty() {
        return Err(Error::Plugin("there are no plugins to install beside the program".into()));
    }
    let folder = place("lib/precondor")?;
    for library in libraries {
        let name = library.path.file_name().unwrap_or_default();
        copy(&library.path, &folder.join(name))?;
    }
    remember(&folder, libraries)?;
    let petsc = cfg!(feature = "petsc").then(|| petsc(&folder)).transpose()?;
    put(&place("include")?.join("precondor.h"), HEADER)?;
    let folder = place("share/precondor/examples")?;
    EXAMPLES.iter().try_for_each(|(name, text)| put(&folder.join(name), text))?;
    put(&place("share/precondor/docs")?.join("config.schema.json"), SCHEMA)?;
    completions(&place)?;
    manual(&place("share/man/man1")?)?;
    let sources = sdk::find(None).ok();
    if let Some(sources) = &sources {
        sdk::copy(sources, &prefix.join("share/precondor/sdk"))?;
    }
    let program = std::env::current_exe().map_err(|e| Error::file("/proc/self/exe", e))?;
    let installed = place("bin")?.join("precondor");
    copy(&program, &installed)?;
    let mut told = format!(
        "{} installed with {} plugin libraries in {}\n",
        installed.display(),
        libraries.len(),
        prefix.join("lib/precondor").display()
    );
    if let Some(petsc) = petsc {
        // Writing to a string cannot fail.
        let _ = writeln!(told, "for programs of PETSc: -dll_append {}", petsc.display());
    }
    if sources.is_none() {
        told += "without the SDK's sources, which are not there any more: `plugins new` will need \
                 --sdk\n";
    }
    print(&told)?;
    Ok(Status::Done)
}

/// Copies the library that PETSc loads into `folder`, from where this program is built or installed.
fn petsc(folder: &Path) -> Result<PathBuf> {
    const NAME: &str = "libprecondor_petsc.so";
    let program = std::env::current_exe().and_then(|program| program.canonicalize());
    let program = program.map_err(|e| Error::file("/proc/self/exe", e))?;
    let here = program.parent().unwrap_or(Path::new("/"));
    let around = ["deps", "../lib/precondor", "."].map(|beside| here.join(beside).join(NAME));
    let missing = || Error::file(here.join("deps").join(NAME), "it is not there to be installed");
    let from = around.iter().find(|path| path.exists()).ok_or_else(missing)?;
    let to = folder.join(NAME);
    if from.canonicalize().ok() != to.canonicalize().ok() || !to.exists() {
        copy(from, &to)?;
    }
    Ok(to)
}

/// Removes libraries that an earlier installation put here and this one does not, and writes down what this one did.
fn remember(folder: &Path, libraries: &[Library]) -> Result<()> {
    let list = folder.join("installed");
    let name = |path: &Path| path.file_name().unwrap_or_default().display().to_string();
    let names: Vec<String> = libraries.iter().map(|library| name(&library.path)).collect();
    let before = input::read_to_string(&list).unwrap_or_default();
    for old in before.lines().filter(|old| !names.iter().any(|name| name == old)) {
        // Names only: what else the list may say leads nowhere else.
        let path = folder.join(Path::new(old).file_name().unwrap_or_default());
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(Error::file(path, e)),
            _ => {}
        }
    }
    put(&list, &(names.join("\n") + "\n"))
}

/// Completions where the shells look for them.
fn completions(place: &dyn Fn(&str) -> Result<PathBuf>) -> Result<()> {
    for (shell, folder, file) in [
        (Shell::Bash, "share/bash-completion/completions", "precondor"),
        (Shell::Zsh, "share/zsh/site-functions", "_precondor"),
        (Shell::Fish, "share/fish/vendor_completions.d", "precondor.fish"),
    ] {
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut crate::Cli::command(), "precondor", &mut text);
        replace(&place(folder)?.join(file), |out| out.write_all(&text))?;
    }
    Ok(())
}

/// A manual page for the program, and one for every command.
fn manual(folder: &Path) -> Result<()> {
    let mut command = crate::Cli::command();
    command.build();
    page(folder, &command, "precondor")
}

fn page(folder: &Path, command: &clap::Command, name: &str) -> Result<()> {
    let mut text = Vec::new();
    let path = folder.join(format!("{name}.1"));
    clap_mangen::Man::new(command.clone()).render(&mut text).map_err(|e| Error::file(&path, e))?;
    replace(&path, |out| out.write_all(&text))?;
    let below = command.get_subcommands().filter(|below| below.get_name() != "help");
    below
        .into_iter()
        .try_for_each(|below| page(folder, below, &format!("{name}-{}", below.get_name())))
}

fn put(path: &Path, text: &str) -> Result<()> {
    replace(path, |out| out.write_all(text.as_bytes()))
}

/// A copy with the same permissions but for group and others, who may not write.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let mut source = input::open(from).map_err(|e| Error::file(from, e))?;
    let permissions = source.metadata().map_err(|e| Error::file(from, e))?.permissions();
    replace(to, |out| std::io::copy(&mut source, out).map(|_| ()))?;
    std::fs::set_permissions(to, ours_to_write(permissions)).map_err(|e| Error::file(to, e))
}

#[cfg(unix)]
fn ours_to_write(permissions: std::fs::Permissions) -> std::fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    PermissionsExt::from_mode(permissions.mode() & 0o755)
}

#[cfg(not(unix))]
fn ours_to_write(permissions: std::fs::Permissions) -> std::fs::Permissions {
    permissions
}
