//! `precondor tune`: which method, with which parameters, takes least on a family of systems. The race is the library's
//! (`src/tune/`).
//!
//! | file | what |
//! |---|---|
//! | `judge.rs` | the solves, on the ranks of a command or in a process of their own |
mod judge;

use crate::Status;
use crate::files::{self, print, print_json};
use crate::interrupt;
use crate::patterns::{self, Found};
use crate::session::Session;
use crate::terminal::{self, clean};
use crate::worker;
use indicatif::{ProgressBar, ProgressStyle};
use judge::Apart;
use precondor::report;
use precondor::tune::{Asked, Field, Frame, Here, Judge, SoFar, Telling, Tuned};
use precondor_core::config;
use precondor_core::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Find the method and the parameters that take least on a family of systems
///
/// Configurations drawn out of the methods' schemas race on systems to practise on; what is said of the best is said of
/// systems that were held out. A signal ends the race, and the best so far is written.
#[derive(clap::Args)]
pub struct Args {
    /// The configuration (TOML): `[problem]`, `[solver]`, `[tune]`
    pub config: PathBuf,
    /// Override a key: `--set tune.budget=120`
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Write the configuration that wins here, not where the configuration says
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the configuration that is there
    #[arg(long)]
    force: bool,
    /// Write a page (index.html) that shows the race, every trial as CSV, and the finalists as a configuration
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    /// Check the configuration and the files to be written, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// The sections that name systems.
const SYSTEMS: [&str; 2] = ["problem", "held_out"];

/// What a worker is told first.
#[derive(Serialize, Deserialize)]
struct Start {
    found: Vec<Found>,
}

/// What is written into the folder of a report.
const FILES: [&str; 3] = ["finalists.toml", "index.html", "race.csv"];

pub fn run(args: &Args, is_worker: bool, session: &Session) -> Result<Status> {
    let mut root = session.configuration(&args.config, &args.overrides)?;
    let text = session.comm().agree(config::text(&args.config))?;
    let orders = is_worker.then(worker::orders);
    let found = match &orders {
        Some(orders) => orders.next::<Start>()?.found,
        None => {
            let of = |key: &&str| patterns::found(&root, key, session.comm());
            SYSTEMS.iter().map(of).collect::<Result<_>>()?
        }
    };
    for (key, found) in SYSTEMS.iter().zip(&found) {
        root = patterns::expanded(root, key, found);
    }
    let asked = session.comm().agree(Asked::new(&root, session))?;
    interrupt::watch(session);
    if let Some(orders) = &orders {
        return interrupt::gracefully(|| judge::work(session, &asked, orders))
            .map(|()| Status::Done);
    }
    let output = args.output.clone().unwrap_or_else(|| asked.output.clone());
    let claim = session.is_first().then(|| place(args, &output)).transpose();
    let _claims = session.comm().agree(claim)?;
    if args.dry_run {
        session.on_first(|| files::sound(&args.config))?;
        return Ok(Status::Done);
    }
    session.look_at(&asked.files(), asked.parameters().iter())?;
    if worker::possible(session) {
        let start =
            serde_json::to_value(Start { found }).map_err(|e| Error::Data(e.to_string()))?;
        let mut judge = Apart::new(session, start, asked.budget());
        return raced(args, session, &asked, &text, &output, &mut judge);
    }
    let mut judge = Here::new(session, &asked);
    raced(args, session, &asked, &text, &output, &mut judge)
}

/// Looks at what will be written, and claims it.
fn place(args: &Args, output: &Path) -> Result<Vec<files::Claim>> {
    if output.exists() && !args.force {
        let why = "there is such a file; --force replaces it, --output FILE names another";
        return Err(Error::file(output, why));
    }
    files::ready(&[("--output", Some(output))])?;
    let mut claims = vec![files::Claim::file(output)?];
    if let Some(folder) = &args.report {
        files::make_folder(folder)?;
        claims.push(files::Claim::folder(folder)?);
        let paths = FILES.map(|name| folder.join(name));
        let wanted: Vec<_> = paths.iter().map(|path| ("--report", Some(path.as_path()))).collect();
        files::ready(&wanted)?;
    }
    Ok(claims)
}

/// Races, and tells. Collective.
fn raced(
    args: &Args,
    session: &Session,
    asked: &Asked,
    text: &str,
    output: &Path,
    judge: &mut dyn Judge,
) -> Result<Status> {
    let bar = if session.is_first() { progress(asked.budget()) } else { ProgressBar::hidden() };
    let config = args.config.display().to_string();
    let mut words = vec!["precondor".into(), "tune".into(), config.clone()];
    words.extend(args.overrides.iter().flat_map(|flag| ["--set".into(), flag.clone()]));
    let command = files::command(&words);
    // The configuration that is best by now.
    let keep = |telling: &Telling<'_>| {
        files::write(output, telling.written(&command, output.parent())?.as_bytes())
    };
    let mut kept = 0;
    let mut watch = |race: &Field<'_>| {
        let telling = Telling::under_way(asked, race);
        let so_far = telling.so_far();
        show(&bar, &so_far);
        // The best so far is there however this ends.
        if so_far.brackets > kept {
            kept = so_far.brackets;
            session.on_first(|| keep(&telling))?;
        }
        Ok(())
    };
    let tuned = interrupt::gracefully(|| Tuned::race(asked, judge, &mut watch));
    bar.finish_and_clear();
    let tuned = tuned?;
    session.on_first(|| {
        let telling = tuned.telling();
        let changed = args.overrides.iter().map(|flag| format!("# --set {flag}\n"));
        let document = telling.document(Frame {
            config: config.clone(),
            command: command.clone(),
            text: Some(changed.chain([text.to_owned()]).collect()),
            provenance: session.provenance(),
            written: Some(output.to_owned()),
        });
        let printed = match args.json {
            true => print_json(&report::json(&document)),
            false => print(&report::text(&document))
                .and_then(|()| print(&format!("\n{} written\n", output.display()))),
        };
        let written = keep(&telling).and_then(|()| write(args, &telling, &document));
        written.and(printed)
    })?;
    if tuned.interrupted() && session.is_first() {
        terminal::tell(&format!(
            "interrupted by {}: the best so far is in {}",
            interrupt::which(session)?,
            output.display()
        ));
    }
    Ok(if tuned.interrupted() { Status::Interrupted } else { Status::Done })
}

/// Writes the report.
fn write(args: &Args, telling: &Telling<'_>, document: &report::Document) -> Result<()> {
    let Some(folder) = &args.report else { return Ok(()) };
    let write = |name: &str, text: &str| files::write(&folder.join(name), text.as_bytes());
    let finalists = telling.finalists(folder)?.unwrap_or_default();
    write("race.csv", &telling.csv())
        .and(write("finalists.toml", &finalists))
        .and(write("index.html", &report::page(document)))
}

fn show(bar: &ProgressBar, so_far: &SoFar) {
    bar.set_position((1000.0 * so_far.seconds) as u64);
    if let Some(best) = &so_far.best {
        let text = format!("{} configurations, best {best}", so_far.configurations);
        bar.set_message(clean(&text).into_owned());
    }
}

/// The time that was spent, and the best so far; shown on a terminal only.
fn progress(budget: f64) -> ProgressBar {
    let bar = ProgressBar::new((1000.0 * budget) as u64);
    match ProgressStyle::with_template("{bar:30} {elapsed}, {msg}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
