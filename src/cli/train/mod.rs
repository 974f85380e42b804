//! `precondor train`: a model from scratch, or on from a checkpoint.
//!
//! ```toml
//! [model]
//! method = "mlp-reference"            # a method that learns
//! output = "my-model.safetensors"     # beside the configuration; or --output
//! checkpoint_every = 500              # steps; 500 unless given, 0 for none
//!
//! [train]                             # the method's own: see `precondor plugins describe`
//! steps = 30_000
//!
//! [data]                              # model problems to train on; each level is a family
//! kind = "poisson"
//! levels = [4, 5]
//! shift = 0.3
//! ```
//!
//! Several sections `[[data]]` are as many problems, each with its own families. Or they name files: `files.rs`.
mod course;
mod files;

use self::course::{About, Course};
use self::files::Files;
use crate::Status;
use crate::experiment;
use crate::files::{Claim, print, write};
use crate::interrupt;
use crate::models;
use crate::patterns;
use crate::session::Session;
use crate::terminal;
use indicatif::{ProgressBar, ProgressStyle};
use precondor::report::format::{bytes, number, seconds};
use precondor_core::config::{self, Node};
use precondor_core::problem::Families;
use precondor_core::registry::DynGenerator;
use precondor_core::system::System;
use precondor_core::train::{Progress, Samples, Training, Watch};
use precondor_core::{Error, Result, input};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Train a model for a method that learns
///
/// Checkpoints go beside the model; after an interruption of any kind `--resume` goes on from the
/// last one and ends with the same model as an uninterrupted run.
#[derive(clap::Args)]
pub struct Args {
    /// The configuration (TOML): `[model]`, `[train]`, `[data]`
    pub config: PathBuf,
    /// Go on from the checkpoint of an interrupted run
    #[arg(long)]
    resume: bool,
    /// Write the model here, not where the configuration says
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the model that is there
    #[arg(long)]
    force: bool,
    /// Write how it goes into this folder: a page with the curves, CSV and JSON
    #[arg(long, value_name = "FOLDER")]
    report: Option<PathBuf>,
    /// Override a key: `--set train.steps=1000`
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Check the configuration and the files to be written, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// The section `[model]`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelSection {
    /// The method that learns.
    method: String,
    /// The model's file.
    output: Option<String>,
    /// Steps between checkpoints.
    #[serde(default = "default_interval")]
    checkpoint_every: u64,
}

fn default_interval() -> u64 {
    500
}

/// What is trained on.
enum Data {
    Problems(Families),
    Files(Files),
}

/// What a configuration asks for.
struct Asked<'s> {
    method: &'s Arc<dyn DynGenerator>,
    params: Value,
    data: Data,
    output: PathBuf,
    checkpoint_every: u64,
}

fn asked<'s>(args: &Args, root: &Node, session: &'s Session) -> Result<Asked<'s>> {
    root.only(&["model", "train", "data"])?;
    let section = |name: &str| {
        let missing = || root.error(format!("section [{name}] is missing"));
        root.get(name).ok_or_else(missing)
    };
    let model_node = section("model")?;
    let model: ModelSection = model_node.read()?;
    let in_method = |e: Error| match (model_node.get("method"), e) {
        (Some(node), Error::Parameter(why)) => node.error(why),
        (_, other) => other,
    };
    let method = session.generator(&model.method).map_err(in_method)?;
    let schema = method.train_schema().ok_or_else(|| {
        in_method(Error::Parameter(format!("{} has nothing to train", method.name())))
    })?;
    let mut params = match root.get("train") {
        Some(node) => {
            let json = node.json();
            node.check(&schema, &json)?;
            json
        }
        None => Value::Object(serde_json::Map::new()),
    };
    let sections = section("data")?;
    let data = match files::asked(session, sections, root.get("train"), &schema, &mut params)? {
        Some(files) => Data::Files(files),
        None => Data::Problems(Families::new(experiment::problems(sections, session)?)?),
    };
    let output = output(args, &model, model_node)?;
    Ok(Asked { method, params, data, output, checkpoint_every: model.checkpoint_every })
}

pub fn run(args: &Args, session: &Session) -> Result<Status> {
    let (comm, host) = (session.comm(), session.host());
    let root = session.configuration(&args.config, &args.overrides)?;
    let found = patterns::found(&root, "data", comm)?;
    let root = patterns::expanded(root, "data", &found);
    let asked = comm.agree(asked(args, &root, session))?;
    let named = match &asked.data {
        Data::Files(files) => files.files(),
        Data::Problems(_) => Vec::new(),
    };
    session.look_at(&named, std::iter::once(&asked.params))?;
    let checkpoint = beside(&asked.output);
    // Held until the end, by the rank that writes.
    let mut claim = None;
    session.on_first(|| place(args, &asked.output, &checkpoint, &mut claim))?;
    let folder = args.report.as_deref().filter(|_| session.is_first());
    let course = comm.agree(folder.map(|folder| Course::new(folder, args.resume)).transpose())?;
    // Rank 0 reads for all; nothing stands for no checkpoint, as none is empty.
    let there = if session.is_first() { state(&checkpoint, args.resume) } else { Ok(None) };
    let resume = comm.broadcast(0, comm.agree(there)?.unwrap_or_default())?;
    if args.dry_run {
        session.on_first(|| crate::files::sound(&args.config))?;
        return Ok(Status::Done);
    }
    let resume = args.resume.then_some(resume);
    let Asked { method, params, data, output, checkpoint_every } = asked;
    let (families, listed);
    let samples: &dyn Samples = match data {
        Data::Problems(problems) => {
            families = problems;
            &families
        }
        Data::Files(files) => {
            listed = comm.agree(files.read(session))?;
            &listed
        }
    };
    let shown = |bar: fn() -> ProgressBar| match session.is_first() {
        true => bar(),
        false => ProgressBar::hidden(),
    };
    let making = Making { samples, bar: shown(spinner), over: false.into() };
    let mut watch = Watcher {
        bar: shown(bar),
        first: session.is_first(),
        checkpoint: &checkpoint,
        every: checkpoint_every,
        saved: resume.is_some(),
        last: None,
        told: 0,
        making: &making,
        course,
    };
    let start = Instant::now();
    let training = Training {
        comm,
        host: &host,
        samples: &making,
        resume: resume.as_deref(),
        watch: &mut watch,
    };
    let trained = interrupt::gracefully(|| method.train(&params, training));
    watch.bar.finish_and_clear();
    match trained.map_err(|e| e.inside(method.name())) {
        Ok(bytes) => {
            let family =
                models::words(&serde_json::from_str(&making.describe()).unwrap_or_default());
            let provenance = session.provenance();
            session.on_first(|| {
                write(&output, &bytes)?;
                if let Some(course) = &watch.course {
                    course.finish(About {
                        method: method.name(),
                        config: &args.config,
                        command: crate::files::command(&words(args)),
                        text: config::text(&args.config)?,
                        provenance,
                        output: &output,
                        bytes: bytes.len(),
                        seconds: start.elapsed().as_secs_f64(),
                        family,
                    })?;
                }
                // The model is there: the checkpoint has done its work. One that stays does no harm.
                let _ = std::fs::remove_file(&checkpoint);
                print(&told(&output, bytes.len(), watch.last, start.elapsed().as_secs_f64()))
            })?;
            Ok(Status::Done)
        }
        Err(e) if interrupt::wished(session)? => {
            let how = match watch.saved {
                true => format!("go on with `{}`", again(args)),
                false => "nothing was trained yet".to_owned(),
            };
            let signal = interrupt::which(session)?;
            tracing::debug!("{e}");
            if session.is_first() {
                terminal::tell(&format!("interrupted by {signal}; {how}"));
            }
            Ok(Status::Interrupted)
        }
        Err(e) => Err(e),
    }
}

/// Sees to it that model and checkpoint can be written, and that no other run writes them.
fn place(args: &Args, output: &Path, checkpoint: &Path, claim: &mut Option<Claim>) -> Result<()> {
    if let Some(folder) = output.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        crate::files::make_folder(folder)?;
    }
    crate::files::ready(&[("the model", Some(output)), ("its checkpoints", Some(checkpoint))])?;
    if output.is_file() && !args.force {
        let why = "there is a model already: --force replaces it, --output writes another file";
        return Err(Error::file(output, why));
    }
    *claim = Some(Claim::file(output)?);
    Ok(())
}

/// The command line.
fn words(args: &Args) -> Vec<String> {
    let mut words = vec!["precondor".into(), "train".into(), args.config.display().to_string()];
    for (flag, path) in [("--output", &args.output), ("--report", &args.report)] {
        let path = path.iter().map(|path| path.display().to_string());
        words.extend(path.flat_map(|path| [flag.to_owned(), path]));
    }
    words.extend(args.overrides.iter().flat_map(|flag| ["--set".into(), flag.clone()]));
    words.extend(args.force.then(|| "--force".into()));
    words
}

/// The command that goes on from the checkpoint, as a shell takes it.
fn again(args: &Args) -> String {
    let mut words = words(args);
    words.push("--resume".into());
    crate::files::command(&words)
}

/// Where the model goes.
fn output(args: &Args, model: &ModelSection, node: &Node) -> Result<PathBuf> {
    let path = match (&args.output, &model.output, node.get("output")) {
        (Some(path), ..) => path.clone(),
        (None, Some(name), Some(of)) => of.folder().join(name),
        _ => return Err(node.error("'output' is missing: the file to write the model to")),
    };
    Ok(path)
}

/// The checkpoint's file.
fn beside(output: &Path) -> PathBuf {
    let mut name = output.file_name().unwrap_or_default().to_owned();
    name.push(".checkpoint");
    output.with_file_name(name)
}

/// The checkpoint to go on from.
fn state(checkpoint: &Path, resume: bool) -> Result<Option<Vec<u8>>> {
    match (input::read(checkpoint), resume) {
        (Ok(state), true) => Ok(Some(state)),
        (Ok(_), false) => Err(Error::file(
            checkpoint,
            "a checkpoint of an interrupted run: go on from it with --resume, or delete it",
        )),
        (Err(e), _) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::file(checkpoint, e)),
        (Err(_), true) => Err(Error::file(
            checkpoint,
            "there is no checkpoint to go on from; leave --resume out to start anew",
        )),
        (Err(_), false) => Ok(None),
    }
}

fn told(output: &Path, length: usize, last: Option<Progress>, elapsed: f64) -> String {
    let last =
        last.map_or(String::new(), |p| format!("; {} steps, last loss {}", p.step, number(p.loss)));
    let (size, elapsed) = (bytes(length as f64), seconds(elapsed));
    format!("{} ({size}) written after {elapsed}{last}\n", output.display())
}

/// Shows how far training is, keeps checkpoints, listens for an interrupt.
struct Watcher<'a> {
    bar: ProgressBar,
    /// Whether this rank writes.
    first: bool,
    checkpoint: &'a Path,
    every: u64,
    /// Whether there is a checkpoint of this run.
    saved: bool,
    last: Option<Progress>,
    /// Twentieths of the run that the log knows of.
    told: u64,
    making: &'a Making<'a>,
    course: Option<Course>,
}

/// Training systems, which are made until a signal asks for the end. Once steps are done, it is these that
/// stop: a checkpoint holds them, and no half of one.
struct Making<'a> {
    samples: &'a dyn Samples,
    bar: ProgressBar,
    /// Steps are done.
    over: AtomicBool,
}

impl Samples for Making<'_> {
    fn families(&self) -> usize {
        self.samples.families()
    }
    fn sample(&self, family: usize, seed: u64, index: u64) -> Result<System> {
        if !self.over.load(Ordering::Relaxed) {
            if interrupt::asked() {
                return Err(Error::Interrupted);
            }
            if self.bar.position() == 0 {
                tracing::info!("making training systems");
            }
            self.bar.inc(1);
        }
        self.samples.sample(family, seed, index)
    }
    fn describe(&self) -> String {
        self.samples.describe()
    }
}

impl Watch for Watcher<'_> {
    fn progress(&mut self, progress: &Progress) {
        let Progress { step, steps, loss, learning_rate } = *progress;
        self.last = Some(*progress);
        if let Some(course) = &mut self.course {
            course.progress(progress);
        }
        if !self.making.over.swap(true, Ordering::Relaxed) {
            self.making.bar.finish_and_clear();
        }
        self.bar.set_length(steps);
        self.bar.set_position(step);
        self.bar.set_message(format!("loss {}, rate {}", number(loss), number(learning_rate)));
        let part = 20 * step / steps.max(1);
        if part > self.told {
            self.told = part;
            tracing::info!("step {step} of {steps}: loss {loss:.3e}, rate {learning_rate:.2e}");
        }
    }

    fn validated(&mut self, step: u64, loss: f64) {
        if let Some(course) = &mut self.course {
            course.validated(step, loss);
        }
    }

    fn checkpoint(&mut self, state: &[u8]) -> Result<()> {
        if self.first {
            self.course.as_ref().map_or(Ok(()), Course::keep)?;
            write(self.checkpoint, state)?;
        }
        self.saved = true;
        Ok(())
    }

    fn checkpoint_every(&self) -> u64 {
        self.every
    }

    fn cancelled(&self) -> bool {
        interrupt::asked()
    }
}

/// Systems made so far; shown on a terminal only.
fn spinner() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    match ProgressStyle::with_template("{spinner} {pos} training systems made, {elapsed}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Steps done, loss, rate and the time left; shown on a terminal only.
fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    match ProgressStyle::with_template("{bar:30} step {pos}/{len}, {msg}, {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
