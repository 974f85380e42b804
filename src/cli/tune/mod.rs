//! `precondor tune`: which method, with which parameters, takes least on a family of systems.
//!
//! ```toml
//! [problem]                       # as for `compare`: a suite, or model problems
//! matrices = "folder/*.mtx"
//!
//! [solver]                        # what all share; without `method`, iterations are tried, too
//! tolerance = 1e-8
//!
//! [tune]
//! budget = 60                     # seconds
//! methods = ["amg", { name = "ilu", ordering = "rcm" }]   # left out: all
//!
//! [preconditioner]                # optional: what is to be beaten
//! name = "ic"
//!
//! [held_out]                      # optional: other systems for the end, a section like [problem]
//! ```
//!
//! | file | what |
//! |---|---|
//! | `asked.rs` | what a configuration asks for |
//! | `space.rs` | what may be drawn of a method |
//! | `field.rs` | the configurations in the race, and which are better |
//! | `race.rs` | heats, brackets, run-off |
//! | `finals.rs` | the held-out systems, and what may be said |
//! | `judge.rs` | the solves, here or in a process of their own |
//! | `tell.rs` | page, CSV, and the configuration that won |
mod asked;
mod field;
mod finals;
mod judge;
mod race;
mod space;
mod tell;
#[cfg(test)]
mod tests;

pub use asked::Tune;

use crate::Status;
use crate::experiment::Case;
use crate::files::{self, print, print_json};
use crate::interrupt;
use crate::patterns::{self, Found};
use crate::session::Session;
use crate::terminal::{self, clean};
use crate::worker;
use asked::Asked;
use field::Field;
use indicatif::{ProgressBar, ProgressStyle};
use judge::{Apart, Here};
use precondor_core::config;
use precondor_core::{Error, Result};
use race::{Judge, Race};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use tell::Told;

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
    let files: Vec<_> = asked.cases.iter().flat_map(Case::files).collect();
    session.look_at(&files, asked.parameters().iter())?;
    if worker::possible(session) {
        let start =
            serde_json::to_value(Start { found }).map_err(|e| Error::Data(e.to_string()))?;
        let mut judge = Apart::new(session, start, asked.rules().budget);
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
    let mut race = Race::new(asked.rules(), judge);
    let bar =
        if session.is_first() { progress(asked.rules().budget) } else { ProgressBar::hidden() };
    let config = args.config.display().to_string();
    let mut words = vec!["precondor".into(), "tune".into(), config.clone()];
    words.extend(args.overrides.iter().flat_map(|flag| ["--set".into(), flag.clone()]));
    let command = files::command(&words);
    let changed = args.overrides.iter().map(|flag| format!("# --set {flag}\n"));
    let text: String = changed.chain([text.to_owned()]).collect();
    let told = |race: &Field<'_>,
                finals: Option<&finals::Finals>,
                put: &dyn Fn(&Told<'_>) -> Result<()>| {
        let (config, command, text) = (config.clone(), command.clone(), text.clone());
        put(&Told {
            asked,
            race,
            finals,
            config,
            command,
            text,
            provenance: session.provenance(),
            output,
        })
    };
    let mut kept = 0;
    let mut watch = |race: &Field<'_>| {
        show(&bar, race, asked);
        // The best so far is there however this ends.
        if race.rounds.len() > kept {
            kept = race.rounds.len();
            session.on_first(|| told(race, None, &|told| keep(told, output)))?;
        }
        Ok(())
    };
    let finals = interrupt::gracefully(|| {
        fresh(&mut race, asked)?;
        race.run(&mut watch)?;
        finals::run(&mut race, &mut watch)
    });
    bar.finish_and_clear();
    let finals = finals?;
    session.on_first(|| {
        told(&race.field, finals.as_ref(), &|told| {
            let document = told.document();
            let printed = match args.json {
                true => print_json(&precondor::report::json(&document)),
                false => print(&precondor::report::text(&document))
                    .and_then(|()| print(&format!("\n{} written\n", output.display()))),
            };
            let written = keep(told, output).and_then(|()| report(args, told, &document));
            written.and(printed)
        })
    })?;
    if race.field.interrupted && session.is_first() {
        terminal::tell(&format!(
            "interrupted by {}: the best so far is in {}",
            interrupt::which(session)?,
            output.display()
        ));
    }
    Ok(if race.field.interrupted { Status::Interrupted } else { Status::Done })
}

fn report(args: &Args, told: &Told<'_>, document: &precondor::report::Document) -> Result<()> {
    let Some(folder) = &args.report else { return Ok(()) };
    let write = |name: &str, text: &str| files::write(&folder.join(name), text.as_bytes());
    write("race.csv", &told.csv())
        .and(write("finalists.toml", &told.finalists(folder)?))
        .and(write("index.html", &precondor::report::page(document)))
}

/// Writes the configuration that is best by now.
fn keep(told: &Told<'_>, output: &Path) -> Result<()> {
    files::write(output, told.written()?.as_bytes())
}

/// Refuses held-out systems that are all those to practise on, as nothing about the problem is random.
fn fresh(race: &mut Race<'_>, asked: &Asked) -> Result<()> {
    let rules = asked.rules();
    if rules.held_out.iter().any(|system| !asked.place(*system).0.is_model()) {
        return Ok(());
    }
    let mut known = Vec::new();
    for case in asked.first_of_cases() {
        if race.look(case)? {
            known.push(race.field.looked[&case].digest.clone());
        }
    }
    for &system in &rules.held_out {
        if !race.look(system)? || !known.contains(&race.field.looked[&system].digest) {
            return Ok(());
        }
    }
    Err(Error::Data(
        "every system of [problem] has the same matrix, as nothing about it is random: what wins there is no news; give \
         it something random, or a section [held_out] with other systems"
            .into(),
    ))
}

fn show(bar: &ProgressBar, race: &Field<'_>, asked: &Asked) {
    let Some(last) = race.trials.last() else { return };
    bar.set_position((1000.0 * last.at) as u64);
    if let Some(best) = race.champion {
        let name = asked.name(&race.runners[best].candidate);
        let text = format!("{} configurations, best {name}", race.runners.len());
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
