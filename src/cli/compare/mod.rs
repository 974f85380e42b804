//! `precondor compare`: many methods on the same systems, side by side.
//!
//! ```toml
//! title = "Sparse inverses on perturbed Poisson"   # optional
//!
//! [problem]                # as for `solve`, and several systems:
//! kind = "poisson"
//! levels = [3, 4, 5]       # one table each; or `level`, or `matrices = "folder/*.mtx"`
//! samples = 20             # systems a level, a row is their mean
//!                          # several [[problem]]: each with its own `label`
//!
//! [solver]                 # what all runs share
//! method = "richardson"
//! stop = "absolute-error"
//!
//! [[run]]
//! label = "Jacobi"         # optional: the method's name else
//! group = "sparse"         # optional: tables keep groups apart, each with a winner of its own
//! solver = { damping = 0.9 }                              # on top of [solver]
//! preconditioner = { name = "jacobi", damping = 0.7 }     # or a name alone; none: M = I
//! reuse = "adaptive"       # M goes on from one system to the next: "keep", "refresh" (or true), "adaptive"
//! warm_start = true        # and each solve starts from the solution of the one before
//! ```
//!
//! Beside the sections, `repeats = 5` does every solve so often, and `time_limit = 60` ends a run after so many seconds.
//!
//! | file | what |
//! |---|---|
//! | `runs.rs` | what a configuration asks for |
//! | `work.rs` | the solves |
//! | `follow.rs` | what goes on from one system to the next |
//! | `process.rs` | the same in a process of their own |
//! | `ledger.rs`, `journal.rs` | what has happened, added up and kept |
//!
//! Every system meets all methods in turn before the next system is made, so that whatever disturbs
//! the clock disturbs all of them; where solves are repeated, all are done once before one is done again. A method that refuses a matrix, or fails, is a row that says why.
mod follow;
mod journal;
mod ledger;
mod process;
mod runs;
mod work;

#[cfg(feature = "petsc")]
pub use follow::{CHANGED, together};
pub use runs::Run;
pub use work::solve_once;

use crate::Status;
use crate::experiment::Case;
use crate::files::{self, print, print_json};
use crate::interrupt;
use crate::patterns::{self, Found};
use crate::report::{self, Comparison, Raw, Tally};
use crate::session::Session;
use crate::terminal;
use crate::worker;
use journal::{Journal, Past};
use ledger::{Event, Ledger};
use precondor_core::Result;
use precondor_core::config::{self, Node};
use runs::Asked;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use work::UnderWay;

/// Compare methods on the same systems
///
/// The configuration has the sections `[problem]`, `[solver]` (what all runs share) and a list of
/// `[[run]]`, each with its own `preconditioner` and `solver`.
#[derive(clap::Args)]
pub struct Args {
    /// The configuration (TOML)
    pub config: PathBuf,
    /// Override a key: `--set problem.samples=5`, `--set run.0.preconditioner.damping=0.5`
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Write a page (index.html) with tables and convergence curves, and the numbers as CSV
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Go on where a comparison with this report was interrupted or killed
    #[arg(long, requires = "report")]
    resume: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    /// Exit with status 2 where a run did not converge
    #[arg(long)]
    require_converged: bool,
    /// Check the configuration and the files to be written, and do nothing
    #[arg(long)]
    dry_run: bool,
}

pub fn run(args: &Args, is_worker: bool, session: &Session) -> Result<Status> {
    let root = session.configuration(&args.config, &args.overrides)?;
    let text = session.comm().agree(config::text(&args.config))?;
    if is_worker {
        let told: process::Told = worker::orders().next()?;
        let asked = Asked::new(&patterns::expanded(root, "problem", &told.found), session)?;
        interrupt::watch(session);
        return process::work(session, &asked, told).map(|()| Status::Done);
    }
    let found = patterns::found(&root, "problem", session.comm())?;
    let root = patterns::expanded(root, "problem", &found);
    let asked = session.comm().agree(Asked::new(&root, session))?;
    let folder = args.report.as_deref().filter(|_| session.is_first());
    // Held until the end, by the rank that writes.
    let claim = folder.map(report::ready).transpose();
    let _claim = session.comm().agree(claim)?;
    if args.dry_run {
        session.on_first(|| files::sound(&args.config))?;
        return Ok(Status::Done);
    }
    let files: Vec<_> = asked.cases.iter().flat_map(Case::files).collect();
    let methods = asked.runs.iter().flat_map(|run| run.method.iter().chain(&run.plan.replacement));
    session.look_at(&files, methods.map(|method| &method.params))?;
    let methods = asked.methods();
    let (ranks, shown) = (session.comm().size(), session.is_first());
    let mut ledger = Ledger::new((&methods, &asked.cases), asked.repeats, ranks, shown);
    ledger.raw = session.comm().agree(folder.map(Raw::new).transpose())?;
    remember(args, session, (&asked, &root), &mut ledger)?;
    let done = solved(session, &asked, &found, &mut ledger);
    ledger.finish();
    let stopped = interrupt::wished(session)?;
    let incomplete = match done {
        Err(e) if !stopped => return Err(e),
        Err(_) => Some(ledger.incomplete(interrupt::which(session)?)),
        Ok(()) => None,
    };
    let Ledger { infos, tallies, raw, journal, files, .. } = ledger;
    let config = args.config.display().to_string();
    let mut provenance = session.provenance();
    let more = files.into_iter().filter(|file| !provenance.files.contains(file));
    let more: Vec<_> = more.collect();
    provenance.files.extend(more);
    let comparison = Comparison {
        title: asked.title.clone().unwrap_or_else(|| config.clone()),
        config,
        overrides: args.overrides.clone(),
        text,
        provenance,
        methods,
        cases: infos,
        tallies,
        repeats: asked.repeats,
        oversubscribed: session.oversubscribed()?,
        incomplete,
    };
    if let (Some(why), true) = (&comparison.incomplete, session.is_first()) {
        terminal::tell(why);
        if let Some(folder) = &args.report {
            terminal::tell(&format!("go on with `{}`", again(args, folder)));
        }
    }
    session.on_first(|| {
        tell(args, &comparison, raw)?;
        let finished = journal.filter(|_| comparison.incomplete.is_none());
        finished.map_or(Ok(()), Journal::finish)
    })?;
    Ok(if comparison.incomplete.is_some() {
        Status::Interrupted
    } else if comparison.tallies().any(Tally::any_failed) {
        Status::PartFailed
    } else if args.require_converged && !comparison.tallies().all(Tally::all_converged) {
        Status::NotConverged
    } else {
        Status::Done
    })
}

/// Does all solves that are not done, in a process of their own where one may have to be ended. Collective.
fn solved(session: &Session, asked: &Asked, found: &Found, ledger: &mut Ledger) -> Result<()> {
    interrupt::watch(session);
    let limited = asked.runs.iter().any(|run| run.limit.is_some());
    if worker::possible(session) && (limited || asked.of_many_files()) {
        return interrupt::gracefully(|| process::all(session, asked, found, ledger));
    }
    let (done, ended) = (ledger.done.clone(), ledger.ended.clone());
    let mut work = UnderWay { session, asked, done, ended, tolerant: asked.of_many_files() };
    interrupt::gracefully(|| work.all(&mut |event| ledger.take(event)))
}

/// Takes in what an earlier comparison has done, where that is asked for, and begins to keep a journal. Collective.
fn remember(
    args: &Args,
    session: &Session,
    (asked, root): (&Asked, &Node),
    ledger: &mut Ledger,
) -> Result<()> {
    let (comm, Some(folder)) = (session.comm(), &args.report) else { return Ok(()) };
    let comparison = comparison_of(session, root);
    let past = match args.resume && session.is_first() {
        true => Past::read(folder, &comparison),
        false => Ok(None),
    };
    let past = comm.agree(past)?;
    // Nothing stands for no journal, as one that goes on begins with a byte.
    let told = past.as_ref().map_or(Vec::new(), |past| [b"+", past.lines.as_bytes()].concat());
    let told = if comm.size() == 1 { told } else { comm.broadcast(0, told)? };
    let events = told.strip_prefix(b"+").map(|lines| Past::of(lines).events(folder));
    let mut events = comm.agree(events.unwrap_or(Ok(Vec::new())))?;
    let again = asked.under_way(&events.iter().filter_map(Event::ended).collect());
    events.retain(|event| event.case().is_none_or(|case| !again.contains(&case)));
    let journal = session.is_first().then(|| match &past {
        Some(past) if again.is_empty() => Journal::after(folder, past),
        _ => Journal::new(folder, &comparison),
    });
    let journal = comm.agree(journal.transpose())?;
    // One that is begun anew has them written once more.
    let (before, after) = if again.is_empty() { (None, journal) } else { (journal, None) };
    ledger.journal = before;
    events.into_iter().try_for_each(|event| ledger.take(event))?;
    ledger.journal = ledger.journal.take().or(after);
    tracing::info!("{} solves were done before", ledger.done.len());
    Ok(())
}

/// What a comparison has to have in common with one that it goes on from.
fn comparison_of(session: &Session, root: &Node) -> Value {
    let provenance = session.provenance();
    json!({
        "program": provenance.program(),
        "ranks": provenance.ranks,
        "configuration": root.json(),
        "files": provenance.files,
    })
}

/// The command that goes on.
fn again(args: &Args, folder: &Path) -> String {
    let text = |path: &Path| path.display().to_string();
    let mut words = vec!["precondor".to_owned(), "compare".to_owned(), text(&args.config)];
    words.extend(args.overrides.iter().flat_map(|flag| ["--set".to_owned(), flag.clone()]));
    words.extend(["--report".to_owned(), text(folder), "--resume".to_owned()]);
    files::command(&words)
}

/// Prints the comparison and writes its report; what is asked for in several forms is told in all that can be.
fn tell(args: &Args, comparison: &Comparison, raw: Option<Raw>) -> Result<()> {
    let document = report::document(comparison);
    let printed = match args.json {
        true => print_json(&precondor::report::json(&document)),
        false => print(&precondor::report::text(&document)),
    };
    let written = match args.report.as_deref().zip(raw) {
        Some((folder, raw)) => report::write(comparison, folder, raw),
        None => Ok(()),
    };
    written.and(printed)
}
