//! `precondor-lab reproduce`: the experiments of the paper, its values and ours side by side.
//!
//! | file | what |
//! |---|---|
//! | `table1.rs` … `figure3.rs` | one experiment each |
//! | `paper.rs` | the paper's values, as far as they are known |
//! | `lab.rs` | systems, methods, solves by both stopping rules, refusal of training seeds |
//! | `trial.rs` | a method tried on several systems |
//! | `recipes.rs` | which networks are trained, with which budget |
//! | `library.rs` | networks that are trained on demand and kept |
//! | `spectrum.rs` | κ and ρ |
//! | `pictures.rs` | convergence, spectra, where the entries are |
mod figure3;
mod lab;
mod library;
mod paper;
mod pictures;
mod recipes;
mod spectrum;
mod table1;
mod table2;
mod table3;
mod table4;
mod trial;

use crate::claimed;
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use lab::Lab;
use library::Library;
use precondor::Methods;
use precondor::report::files::{print, print_json, write};
use precondor::report::terminal;
use precondor::report::{self, Document, Provenance, Section};
use precondor_core::{Error, Result};
use recipes::Budget;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Reproduce the tables and the figure of the paper that the networks start from
///
/// Test systems come from random streams that training never draws from; a seed that a model was
/// trained with is refused all the same. Values that the paper is not known to give are shown as "–".
#[derive(clap::Args)]
pub struct Args {
    /// The experiment
    #[arg(value_enum)]
    experiment: Wish,
    /// Levels of refinement, as in `2-5,7`
    #[arg(long, value_name = "LEVELS", value_parser = levels)]
    levels: Option<Levels>,
    /// Systems a level (large levels take fewer)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    matrices: Option<u64>,
    /// Seed of the test systems
    #[arg(long, value_name = "S", default_value_t = 2026)]
    seed: u64,
    /// Train with the paper's budget, which takes hours for 225 unknowns
    #[arg(long)]
    full: bool,
    /// Train networks for so many passes over their matrices
    #[arg(long, value_name = "N", conflicts_with = "full", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    epochs: Option<u64>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    /// Write a page (index.html) with tables and pictures
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Keep trained networks here (unless given in the user's cache folder, tens of MB for all experiments;
    /// the end of a run says where, how much, and how to remove them)
    #[arg(long, value_name = "DIR")]
    models: Option<PathBuf>,
    /// Check the arguments and the files to be written, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// What can be asked for.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Wish {
    /// Iterations and condition numbers, level by level
    Table1,
    /// Storage of A and of M
    Table2,
    /// Band against full input, damping, training-set size, epochs
    Table3,
    /// Thresholded inverses beside SPAI and FSAI, splittings and precisions
    Table4,
    /// Setup, iterations and time of all kinds of methods for 225 unknowns
    Figure3,
    /// All of them
    All,
}

/// Levels of a command line.
#[derive(Clone)]
struct Levels(Vec<u32>);

/// `2-5,7` as levels.
fn levels(text: &str) -> std::result::Result<Levels, String> {
    let number = |part: &str| {
        part.trim().parse::<u32>().map_err(|_| format!("'{part}' is no level; write 2-5,7"))
    };
    let mut all = Vec::new();
    for part in text.split(',') {
        match part.split_once('-') {
            None => all.push(number(part)?),
            Some((from, to)) => {
                let (from, to) = (number(from)?, number(to)?);
                if from > to || to > 99 {
                    return Err(format!("'{part}' is no range of levels"));
                }
                all.extend(from..=to);
            }
        }
    }
    all.sort_unstable();
    all.dedup();
    Ok(Levels(all))
}

/// What the command line asks of an experiment.
struct Wanted {
    experiment: &'static str,
    levels: Option<Vec<u32>>,
    /// Systems a level.
    matrices: Option<u64>,
    bar: ProgressBar,
}

impl Wanted {
    /// The levels asked for, or `shown` where none are.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a level that this experiment does not have.
    fn levels(&self, there: &[u32], shown: &[u32]) -> Result<Vec<u32>> {
        let Some(levels) = &self.levels else { return Ok(shown.to_vec()) };
        match levels.iter().find(|level| !there.contains(level)) {
            None => Ok(levels.clone()),
            Some(level) => Err(Error::Parameter(format!(
                "--levels: {} has no level {level}, only {}",
                self.experiment,
                there.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
            ))),
        }
    }

    /// Tells how far things are.
    fn say(&self, what: &str) {
        say(&self.bar, what);
    }
}

type Experiment = fn(&Lab<'_>, &Library<'_>, &Wanted) -> Result<Section>;

/// Name, what it is for, the levels it has, and how it is run.
const EXPERIMENTS: [(Wish, &str, &[u32], Experiment); 5] = [
    (Wish::Table1, "table1", &table1::LEVELS, table1::run),
    (Wish::Table2, "table2", &table2::LEVELS, |lab, _, wanted| table2::run(lab, wanted)),
    (Wish::Table3, "table3", &table3::LEVELS, table3::run),
    (Wish::Table4, "table4", &table4::LEVELS, table4::run),
    (Wish::Figure3, "figure3", &figure3::LEVELS, figure3::run),
];

pub fn run(args: &Args, methods: &Methods) -> Result<()> {
    // Held until the end.
    let _claim =
        args.report.as_deref().map(|folder| claimed(folder, &["index.html"])).transpose()?;
    let bar = spinner();
    let lab = Lab { methods, seed: args.seed };
    let budget = Budget { full: args.full, epochs: args.epochs };
    let folder = args.models.clone().map_or_else(library::cache, Ok)?;
    let library = Library { methods, folder, tested: args.seed, budget, bar: bar.clone() };
    let (mut sections, mut found) = (Vec::new(), false);
    for (wish, name, there, experiment) in EXPERIMENTS {
        if args.experiment != wish && args.experiment != Wish::All {
            continue;
        }
        let mut levels = args.levels.as_ref().map(|levels| levels.0.clone());
        if let Some(levels) = levels.as_mut().filter(|_| args.experiment == Wish::All) {
            // Each experiment takes those of the levels that it has.
            levels.retain(|level| there.contains(level));
            if levels.is_empty() {
                tracing::warn!("{name} has none of these levels and is left out");
                continue;
            }
        }
        let wanted = Wanted { experiment: name, levels, matrices: args.matrices, bar: bar.clone() };
        if args.dry_run {
            wanted.levels(there, there)?;
            found = true;
            continue;
        }
        let start = Instant::now();
        let mut section = experiment(&lab, &library, &wanted)?;
        section.seconds = Some(start.elapsed().as_secs_f64());
        sections.push(section);
    }
    bar.finish_and_clear();
    if found {
        print("nothing wrong was found, and nothing was done\n")?;
        return Ok(());
    }
    if sections.is_empty() {
        return Err(Error::Parameter("--levels: no experiment has any of these levels".into()));
    }
    let document = Document {
        title: "The paper's experiments".into(),
        command: command(args),
        provenance: Provenance::of(methods),
        notes: Vec::new(),
        readings: Vec::new(),
        sections,
        configuration: None,
        files: Vec::new(),
        data: serde_json::Map::new(),
    };
    match args.json {
        true => print_json(&report::json(&document))?,
        false => print(&report::text(&document))?,
    }
    library.tell();
    if let Some(folder) = &args.report {
        write(&folder.join("index.html"), report::page(&document).as_bytes())?;
        tracing::info!("report written to {}", folder.join("index.html").display());
    }
    Ok(())
}

/// The command line that makes the same tables.
fn command(args: &Args) -> String {
    let (_, name, ..) = EXPERIMENTS
        .into_iter()
        .find(|(wish, ..)| *wish == args.experiment)
        .unwrap_or((Wish::All, "all", &[], table1::run));
    let mut command = format!("precondor-lab reproduce {name}");
    if let Some(Levels(levels)) = &args.levels {
        let levels: Vec<String> = levels.iter().map(u32::to_string).collect();
        command += &format!(" --levels {}", levels.join(","));
    }
    if let Some(matrices) = args.matrices {
        command += &format!(" --matrices {matrices}");
    }
    command += &format!(" --seed {}", args.seed);
    if args.full {
        command += " --full";
    }
    if let Some(epochs) = args.epochs {
        command += &format!(" --epochs {epochs}");
    }
    command
}

/// Tells what is done now: beside the spinner, or in lines where standard error is no terminal.
fn say(bar: &ProgressBar, what: &str) {
    bar.set_message(terminal::clean(what).into_owned());
    if bar.is_hidden() {
        terminal::tell(what);
    }
}

/// What is being done and for how long; shown on a terminal only.
fn spinner() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(Duration::from_millis(200));
    match ProgressStyle::with_template("{spinner} {msg}, {elapsed}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

#[cfg(test)]
mod tests {
    use super::levels;

    #[test]
    fn levels_are_read_as_lists_and_ranges() {
        let read = |text: &str| levels(text).map(|levels| levels.0);
        assert_eq!(read("2-4,7"), Ok(vec![2, 3, 4, 7]));
        assert_eq!(read("5,3,5"), Ok(vec![3, 5]));
        for bad in ["", "x", "4-2", "3-", "2-400"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
