//! Comparisons and trainings, each the program `precondor` with a configuration that stays in the folder of its set: whatever
//! a comparison does (limits of time, processes of their own, a journal) it does here, too, and each can be done again by hand.
use super::made;
use super::methods::{LEARNER, Method};
use super::record::{self, Record};
use super::sets::{HELD, Rule, Set, Source};
use precondor::report::files::{self, write};
use precondor_core::config;
use precondor_core::kernel::random::Purpose;
use precondor_core::{Error, Result, input};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// The seed of what is learned from.
pub const TRAINING_SEED: u64 = 1;
/// Iterations allowed.
const ITERATIONS: u64 = 20_000;

/// How comparisons and trainings are made.
pub struct Trials<'a> {
    pub program: PathBuf,
    pub plugin_path: &'a [PathBuf],
    pub folder: &'a Path,
    pub seed: u64,
    /// Systems of a set, or of each of its members, at most.
    pub systems: Option<u64>,
    /// Matrices to learn from.
    pub learn: u64,
    /// Seconds of a solve and its setup.
    pub time_limit: f64,
    /// Whether what an earlier run has found is taken.
    pub resume: bool,
}

/// A model that was trained on a set.
pub struct Trained {
    pub model: String,
    pub seconds: f64,
}

impl Trials<'_> {
    fn place(&self, set: &Set) -> PathBuf {
        self.folder.join(&set.name)
    }

    /// How many systems of a set, or of each of its members, are solved.
    pub fn count(&self, set: &Set) -> u64 {
        self.systems.map_or(set.systems, |most| most.min(set.systems))
    }

    /// What configurations say of the systems of a set.
    fn problem(&self, set: &Set) -> Result<Value> {
        Ok(match &set.source {
            Source::Recipe { theirs: Some(folder), .. } => theirs(folder, self.count(set))?,
            Source::Recipe { test, .. } => {
                let from = (Purpose::Test, self.seed);
                json!({ "matrices": test.write(&self.place(set).join("test"), from, self.count(set))? })
            }
            Source::Problems { test, .. } => {
                let section = |section: &Value| {
                    let mut section = section.clone();
                    section["samples"] = self.count(set).into();
                    section["seed"] = self.seed.into();
                    section
                };
                test.iter().map(section).collect()
            }
            Source::Files(pattern) => json!({ "matrices": whole(pattern)? }),
        })
    }

    /// All methods on all systems of a set.
    pub fn compare(&self, set: &Set, methods: &[Method]) -> Result<Record> {
        let place = self.place(set);
        files::make_folder(&place)?;
        let asked = json!({
            "title": set.title,
            "time_limit": self.time_limit,
            "problem": self.problem(set)?,
            "solver": solver(set.rule),
            "run": methods.iter().map(Method::run).collect::<Vec<_>>(),
        });
        let (config, found) = (place.join("compare.toml"), place.join("found.json"));
        let text = config::written(&asked)?;
        let goes_on =
            self.resume && input::read(&config).is_ok_and(|before| before == text.as_bytes());
        if let Some(record) = goes_on.then(|| record::read(&found).ok()).flatten() {
            return Ok(record);
        }
        write(&config, text.as_bytes())?;
        let report = place.join("report");
        let mut words = vec!["compare".into(), config.clone().into_os_string()];
        words.extend(["--json".into(), "--report".into(), report.into_os_string()]);
        words.extend(goes_on.then(|| "--resume".into()));
        let (code, printed) = self.run(&words)?;
        if code != Some(0) && printed.is_empty() {
            return Err(Error::Data(format!("comparing on {} failed, as told above", set.name)));
        }
        write(&found, &printed)?;
        record::read(&found)
    }

    /// Trains [`LEARNER`] on the systems of a set that are for that, for so many steps; none where there are no such systems.
    pub fn train(&self, set: &Set, steps: u64) -> Result<Option<Trained>> {
        let place = self.place(set);
        files::make_folder(&place)?;
        let mut train = json!({ "steps": steps, "seed": TRAINING_SEED });
        let data = match &set.source {
            Source::Recipe { learn, .. } => {
                let from = (Purpose::Training, TRAINING_SEED);
                let told = learn.write(&place.join("training"), from, self.learn + HELD)?;
                let names: Vec<&Value> = told.iter().map(|system| &system["matrix"]).collect();
                json!({ "matrices": names, "validation": HELD as f64 / told.len() as f64 })
            }
            Source::Problems { learn, .. } => {
                train["pool"] = self.learn.into();
                train["validation"] = HELD.into();
                let section = |section: &Value| {
                    let mut section = section.clone();
                    if let Some(fields) = section.as_object_mut() {
                        fields.remove("label");
                    }
                    section
                };
                learn.iter().map(section).collect()
            }
            Source::Files(_) => return Ok(None),
        };
        let (config, model) = (place.join("train.toml"), place.join("model.safetensors"));
        let took = place.join("trained.json");
        let asked = json!({
            "model": { "method": LEARNER, "output": "model.safetensors" },
            "train": train,
            "data": data,
        });
        let text = config::written(&asked)?;
        let known = || {
            let before = input::read(&config).ok().filter(|before| before == text.as_bytes());
            let told: Value = serde_json::from_slice(&input::read(&took).ok()?).ok()?;
            told["seconds"].as_f64().filter(|_| before.is_some() && model.is_file())
        };
        if let Some(seconds) = self.resume.then(known).flatten() {
            return Ok(Some(Trained { model: made::name(&model)?, seconds }));
        }
        write(&config, text.as_bytes())?;
        let start = Instant::now();
        let words = ["train".into(), config.into_os_string(), "--force".into()];
        let (code, _) = self.run(&words)?;
        let seconds = start.elapsed().as_secs_f64();
        if code != Some(0) {
            return Err(Error::Data(format!("training for {} failed, as told above", set.name)));
        }
        write(&took, json!({ "seconds": seconds }).to_string().as_bytes())?;
        Ok(Some(Trained { model: made::name(&model)?, seconds }))
    }

    /// Runs the program; what it tells goes to standard error.
    fn run(&self, words: &[std::ffi::OsString]) -> Result<(Option<i32>, Vec<u8>)> {
        let mut command = Command::new(&self.program);
        for folder in self.plugin_path {
            command.arg("--plugin-path").arg(folder);
        }
        command.args(words).stdin(Stdio::null()).stderr(Stdio::inherit());
        let output = command.output().map_err(|e| Error::file(&self.program, e))?;
        Ok((output.status.code(), output.stdout))
    }
}

/// The section `[solver]` of a rule.
pub fn solver(rule: Rule) -> Value {
    let mut solver = json!({ "method": "cg", "max_iterations": ITERATIONS });
    match rule {
        Rule::Relative(tolerance) => solver["tolerance"] = tolerance.into(),
        Rule::Absolute(tolerance) => {
            solver["tolerance"] = 1e-30.into();
            solver["absolute_tolerance"] = tolerance.into();
        }
    }
    solver
}

/// Systems in files that others made, the first `count` of them.
fn theirs(folder: &str, count: u64) -> Result<Value> {
    let one = |index: u64| {
        let path = Path::new(folder).join(format!("{index:03}.npz"));
        let rhs = Path::new(folder).join(format!("{index:03}_b.npy"));
        let label = format!("system {index}");
        Ok(json!({ "matrix": made::name(&path)?, "rhs": made::name(&rhs)?, "label": label }))
    };
    Ok(json!({ "matrices": (0..count).map(one).collect::<Result<Vec<_>>>()? }))
}

/// A pattern from the root on, so that it means the same in a configuration in another folder.
fn whole(pattern: &str) -> Result<String> {
    let whole = std::path::absolute(pattern).map_err(|e| Error::file(pattern, e))?;
    Ok(whole.display().to_string())
}

/// The program beside this one.
pub fn beside() -> Result<PathBuf> {
    let here = std::env::current_exe().map_err(|e| Error::file("this program", e))?;
    let program = here.with_file_name(format!("precondor{}", std::env::consts::EXE_SUFFIX));
    match program.is_file() {
        true => Ok(program),
        false => Err(Error::file(program, "is not there: build it, or name it with --program")),
    }
}
