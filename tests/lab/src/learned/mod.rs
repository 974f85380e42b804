//! `precondor-lab learned`: learned methods beside classical ones, on the systems that published work uses and on others.
//!
//! | file | what |
//! |---|---|
//! | `sets.rs` | the sets of systems |
//! | `random_spd.rs`, `contrast.rs` | how those of published work are made |
//! | `made.rs` | systems as files |
//! | `published.rs` | what others print |
//! | `methods.rs` | who meets |
//! | `trials.rs` | comparisons and trainings: the program beside this one |
//! | `record.rs` | what a comparison printed |
//! | `verdict.rs` | who wins |
//! | `tell.rs` | tables, pictures, files |
//! | `write.rs` | the sets as files, for others |
mod contrast;
mod made;
mod methods;
mod published;
mod random_spd;
mod record;
mod sets;
mod tell;
mod trials;
mod verdict;
mod write;

use crate::claimed;
use precondor::Methods;
use precondor::report::files::{self, print, print_json, write};
use precondor::report::terminal::tell as say;
use precondor::report::{self, Document, Provenance};
use precondor_core::{Error, Result};
use sets::{Set, Size};
use std::path::PathBuf;
use std::time::Instant;
use tell::Found;
use trials::{TRAINING_SEED, Trials};

/// Compare learned methods with classical ones on published sets of systems
///
/// Test systems come from random streams that training never draws from. Every set is a comparison of its own in a
/// folder of the report, with configuration, page and journal.
#[derive(clap::Args)]
pub struct Args {
    /// Sizes as published, or small ones
    #[arg(long, value_enum, default_value = "full")]
    size: Size,
    /// Only these sets: random-spd, contrast-64, contrast-128, contrast-256, meshes, grids, files-0, …
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    sets: Vec<String>,
    /// Systems of a set, or of each kind and level in it, at most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000))]
    systems: Option<u64>,
    /// Matrices of one's own, a set more: a file or a pattern (may be repeated)
    #[arg(long, value_name = "GLOB")]
    matrices: Vec<String>,
    /// Take NeuralIF's own matrices from this folder, as scripts/neuralif.py writes them; as many as --systems says
    #[arg(long, value_name = "DIR")]
    neuralif: Option<String>,
    /// A method more, by its name or as `{ name = "fsai", power = 2 }` (may be repeated)
    #[arg(long, value_name = "METHOD")]
    method: Vec<String>,
    /// Train mlp-fsai on every set for so many steps, too
    #[arg(long, value_name = "STEPS", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    train: Option<u64>,
    /// Seed of the test systems
    #[arg(long, value_name = "S", default_value_t = 2026)]
    seed: u64,
    /// Seconds that setup and solve of a system may take together
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    time_limit: f64,
    /// The folder of all that is made and found
    #[arg(long, value_name = "DIR", default_value = "learned")]
    report: PathBuf,
    /// Go on where a run with this report was interrupted: take what it has found
    #[arg(long)]
    resume: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    /// Write the systems into this folder as files, with a list for each set, and compare nothing
    #[arg(long, value_name = "DIR", conflicts_with_all = ["train", "method", "resume", "json", "program", "time_limit"])]
    write: Option<PathBuf>,
    /// The program `precondor`; the one beside this program unless given
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Check the arguments and the files to be written, and do nothing
    #[arg(long)]
    dry_run: bool,
}

const FILES: [&str; 4] = ["index.html", "learned.json", "learned.csv", "profile.csv"];

pub fn run(args: &Args, methods: &Methods, plugin_path: &[PathBuf]) -> Result<()> {
    let sets = chosen(args)?;
    for text in &args.method {
        methods::given(text, methods)?;
    }
    if !(args.time_limit > 0.0 && args.time_limit.is_finite()) {
        let why = format!("--time-limit: {} is not a number of seconds above 0", args.time_limit);
        return Err(Error::Parameter(why));
    }
    if args.seed == TRAINING_SEED {
        let why =
            format!("--seed {TRAINING_SEED}: models are trained with this seed; choose another");
        return Err(Error::Parameter(why));
    }
    if let Some(folder) = args.write.as_deref().filter(|_| !args.dry_run) {
        let _claim = claimed(folder, &[])?;
        for set in &sets {
            let many = write::write(set, (args.seed, args.systems), methods, folder)?;
            print(&format!(
                "{}: {many} systems\n",
                folder.join(&set.name).with_extension("toml").display()
            ))?;
        }
        return Ok(());
    }
    let program = args.program.clone().map_or_else(trials::beside, Ok)?;
    if args.dry_run {
        return print("nothing wrong was found, and nothing was done\n");
    }
    // Held until the end.
    let _claim = claimed(&args.report, &FILES)?;
    let trials = Trials {
        program,
        plugin_path,
        folder: &args.report,
        seed: args.seed,
        systems: args.systems,
        learn: args.size.learn(),
        time_limit: args.time_limit,
        resume: args.resume,
    };
    let found: Result<Vec<Found>> =
        sets.into_iter().map(|set| one(set, args, methods, &trials)).collect();
    tell(args, methods, &found?)
}

/// The sets that are asked for.
fn chosen(args: &Args) -> Result<Vec<Set>> {
    let all = sets::all(args.size, args.neuralif.as_deref(), &args.matrices);
    let names: Vec<String> = all.iter().map(|set| set.name.clone()).collect();
    if let Some(other) = args.sets.iter().find(|name| !names.contains(name)) {
        let why = format!("--sets: there is no set '{other}', only {}", names.join(", "));
        return Err(Error::Parameter(why));
    }
    let asked = |set: &Set| args.sets.is_empty() || args.sets.contains(&set.name);
    Ok(all.into_iter().filter(asked).collect())
}

/// Everything on one set.
fn one(set: Set, args: &Args, methods: &Methods, trials: &Trials<'_>) -> Result<Found> {
    let start = Instant::now();
    let trained = match args.train {
        Some(steps) => {
            say(&format!("{}: training for {steps} steps", set.name));
            trials.train(&set, steps)?
        }
        None => None,
    };
    let model = trained.as_ref().map(|trained| trained.model.as_str());
    let (there, missing) = methods::all(methods, &args.method, &set, model)?;
    say(&format!("{}: {} methods", set.name, there.len()));
    let record = trials.compare(&set, &there)?;
    let (systems, trained) = (trials.count(&set), trained.map(|trained| trained.seconds));
    let seconds = start.elapsed().as_secs_f64();
    Ok(Found { set, systems, record, trained, missing, seconds })
}

fn tell(args: &Args, methods: &Methods, found: &[Found]) -> Result<()> {
    let mut told: Vec<tell::Told> = found.iter().map(|found| found.told(args.seed)).collect();
    let files = tell::files(found, &told);
    let (title, head) = (tell::title(&told), tell::head(found, &told));
    let data = tell::data(found, &told);
    let over_all = tell::over_all(found, &told);
    let sections = told.iter_mut().map(|told| std::mem::take(&mut told.section));
    let trained = args.train.map(|steps| {
        format!(
            "'{}': {steps} steps on {} systems of seed {TRAINING_SEED} of the same recipe with {} unknowns or so, whose loss takes \
             dense eigenvalues, {} more of each kind held back; seconds by the clock, on this machine.",
            methods::TRAINED,
            args.size.learn(),
            sets::SIDE * sets::SIDE,
            sets::HELD,
        )
    });
    let document = Document {
        title,
        command: command(args),
        provenance: Provenance::of(methods),
        notes: [head]
            .into_iter()
            .chain(trained)
            .chain(["'mlp-fsai' and 'mlp-reference' are the shipped models: trained on other systems, at a cost that is not told here.".to_owned()])
            .collect(),
        readings: Vec::new(),
        sections: [over_all].into_iter().chain(sections).collect(),
        configuration: None,
        files: vec![
            ("learned.csv", "the tables of all sets".into()),
            ("profile.csv", "the performance profiles".into()),
            ("learned.json", "all of this page".into()),
        ],
        data: [("sets".to_owned(), data)].into_iter().collect(),
    };
    let json = report::json(&document);
    let text = serde_json::to_string_pretty(&json).map_err(|e| Error::Data(e.to_string()))?;
    write(&args.report.join("learned.json"), text.as_bytes())?;
    for (name, text) in files {
        write(&args.report.join(name), text.as_bytes())?;
    }
    write(&args.report.join("index.html"), report::page(&document).as_bytes())?;
    match args.json {
        true => print_json(&json),
        false => print(&report::text(&document)),
    }
}

/// The command line that makes the same.
fn command(args: &Args) -> String {
    let mut words = vec!["precondor-lab".to_owned(), "learned".to_owned()];
    let mut add = |name: &str, value: String| words.extend([format!("--{name}"), value]);
    if args.size == Size::Small {
        add("size", "small".into());
    }
    if !args.sets.is_empty() {
        add("sets", args.sets.join(","));
    }
    args.systems.iter().for_each(|systems| add("systems", systems.to_string()));
    args.matrices.iter().for_each(|pattern| add("matrices", pattern.clone()));
    args.neuralif.iter().for_each(|folder| add("neuralif", folder.clone()));
    args.method.iter().for_each(|method| add("method", method.clone()));
    args.train.iter().for_each(|steps| add("train", steps.to_string()));
    add("seed", args.seed.to_string());
    add("time-limit", args.time_limit.to_string());
    files::command(&words)
}
