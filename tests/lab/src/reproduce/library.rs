//! Networks that the experiments need and that no library brings: trained on demand through the
//! method's own training, and kept.
//!
//! A file is used again only where its card says that it was trained by the very same recipe.
use super::recipes::Budget;
use indicatif::ProgressBar;
use precondor::Methods;
use precondor::models;
use precondor::report::files::{make_folder, write};
use precondor::report::format::{bytes, seconds};
use precondor_core::comm::Comm;
use precondor_core::config::MethodConfig;
use precondor_core::problem::{Families, Poisson, Problem};
use precondor_core::train::{Progress, Samples, Training, Watch};
use precondor_core::{Error, Result};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The seed of everything that is trained here.
pub const SEED: u64 = 1;

/// Trained networks.
pub struct Library<'a> {
    pub methods: &'a Methods,
    /// Where they are kept.
    pub folder: PathBuf,
    /// The seed of the test systems, which nothing may be trained with.
    pub tested: u64,
    /// How much training there is.
    pub budget: Budget,
    pub bar: ProgressBar,
}

/// How a model is made.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// What tables call it.
    pub label: String,
    /// The method that learns.
    pub method: &'static str,
    /// Parameters of its training; `None` for a model that comes with the method.
    pub train: Option<Value>,
    /// Parameters of the method beside the model.
    pub parameters: Value,
    /// ω that it is used with.
    pub damping: f64,
}

/// A model that is there.
pub struct Trained {
    pub file: PathBuf,
    /// How long the training took, where it is known.
    pub seconds: Option<f64>,
}

/// The user's folder for things that can be made again.
///
/// # Errors
/// [`Error::Unsupported`] where neither `XDG_CACHE_HOME` nor `HOME` is set.
pub fn cache() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let folder = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    let missing =
        || Error::Unsupported("no cache folder for trained networks: give --models".into());
    folder.map(|folder| folder.join("precondor")).ok_or_else(missing)
}

/// Adds a text that is not there yet.
pub fn once(list: &mut Vec<String>, text: String) {
    if !list.contains(&text) {
        list.push(text);
    }
}

impl Library<'_> {
    /// The method with the model of a recipe, trained where it is not there yet; `notes` learns what
    /// was done.
    ///
    /// # Errors
    /// What the training reports, or the folder.
    pub fn method(
        &self,
        recipe: &Recipe,
        level: u32,
        notes: &mut Vec<String>,
    ) -> Result<MethodConfig> {
        let mut params = recipe.parameters.clone();
        if recipe.train.is_some() {
            params["model"] = json!(self.trained(recipe, level, notes)?.file);
        }
        Ok(MethodConfig { name: recipe.method.to_owned(), params })
    }

    /// The model of a recipe for a level.
    ///
    /// # Errors
    /// As [`method`](Library::method); [`Error::Parameter`] where the test systems have its seed.
    pub fn trained(&self, recipe: &Recipe, level: u32, notes: &mut Vec<String>) -> Result<Trained> {
        if self.tested == SEED {
            return Err(Error::Parameter(format!(
                "--seed {SEED}: the model '{}' is trained with this seed; choose another",
                recipe.label
            )));
        }
        let nothing = json!({});
        let wanted = recipe.train.as_ref().unwrap_or(&nothing);
        let mut params = wanted.clone();
        params["seed"] = SEED.into();
        let samples = Families::new(vec![Problem::Poisson(Poisson::at_level(level))])?;
        let name = format!("{}-level{level}-{:016x}", recipe.method, hash(&params.to_string()));
        let file = self.folder.join(format!("{name}.safetensors"));
        let took = self.folder.join(format!("{name}.json"));
        let (told, budget) = (format!("{}, level {level}", recipe.label), words(wanted));
        if is_of(&file, &params, &samples) {
            let seconds = std::fs::read(&took).ok();
            let seconds = seconds.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
            let seconds = seconds.and_then(|told| told["seconds"].as_f64());
            let when = seconds.map_or(String::new(), |s| {
                format!(" (trained in {})", precondor::report::format::seconds(s))
            });
            once(notes, format!("{told}: kept from an earlier run{when}; {budget}."));
            return Ok(Trained { file, seconds });
        }
        make_folder(&self.folder)?;
        super::say(&self.bar, &format!("training {told}: {budget}"));
        let method = self.methods.get(recipe.method)?;
        let (comm, host, start) = (Comm::solo(), self.methods.host(), Instant::now());
        let mut watch = Watcher { bar: &self.bar, what: &told, part: 0 };
        let training = Training {
            comm: &comm,
            host: &host,
            samples: &samples,
            resume: None,
            watch: &mut watch,
        };
        let model = method.train(&params, training).map_err(|e| e.inside(told.as_str()))?;
        let elapsed = start.elapsed().as_secs_f64();
        write(&file, &model)?;
        write(&took, json!({ "seconds": elapsed }).to_string().as_bytes())?;
        once(notes, format!("{told}: trained here in {}; {budget}.", seconds(elapsed)));
        Ok(Trained { file, seconds: Some(elapsed) })
    }
}

impl Library<'_> {
    /// Says where networks are kept, how much that is, and how to remove them.
    pub fn tell(&self) {
        let files = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let ours = files.filter(|file| {
            let name = file.file_name();
            let name = name.to_string_lossy();
            name.contains("-level") && (name.ends_with(".safetensors") || name.ends_with(".json"))
        });
        let sizes = ours.filter_map(|file| Some(file.metadata().ok()?.len()));
        let (count, size) = sizes.fold((0, 0), |(count, sum), size| (count + 1, sum + size));
        if count > 0 {
            let remove = precondor::report::files::command(&[
                "rm".into(),
                "-r".into(),
                self.folder.display().to_string(),
            ]);
            precondor::report::terminal::tell(&format!(
                "trained networks are kept in {} for the next run: {count} files, {}; to remove them: {remove}",
                self.folder.display(),
                bytes(size as f64)
            ));
        }
    }
}

/// Whether a file holds the model that these parameters and systems make.
fn is_of(file: &Path, params: &Value, samples: &Families) -> bool {
    let Ok(model) = models::of_file(file) else { return false };
    let none = serde_json::Map::new();
    let mut asked = params.as_object().unwrap_or(&none).iter();
    let equal = |a: &Value, b: &Value| match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    };
    asked.all(|(key, value)| equal(&model.card["training"][key], value))
        && serde_json::from_str::<Value>(&samples.describe()).ok().as_ref()
            == Some(&model.card["samples"])
}

/// Parameters as words.
fn words(params: &Value) -> String {
    let none = serde_json::Map::new();
    let fields = params.as_object().unwrap_or(&none).iter();
    let words = fields.map(|(key, value)| match value {
        Value::String(text) => format!("{key} {text}"),
        value => format!("{key} {value}"),
    });
    words.collect::<Vec<_>>().join(", ")
}

/// A short name for a text (FNV-1a); the card decides whether a file of that name is the right one.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Tells how far a training is.
struct Watcher<'a> {
    bar: &'a ProgressBar,
    what: &'a str,
    /// Tenths that were told.
    part: u64,
}

impl Watch for Watcher<'_> {
    fn progress(&mut self, progress: &Progress) {
        let Progress { step, steps, loss, .. } = *progress;
        let text = || format!("training {}: step {step} of {steps}, loss {loss:.2e}", self.what);
        if 10 * step / steps.max(1) > self.part {
            self.part = 10 * step / steps.max(1);
            super::say(self.bar, &text());
        } else {
            self.bar.set_message(text());
        }
    }
    fn checkpoint(&mut self, _: &[u8]) -> Result<()> {
        Ok(())
    }
    fn checkpoint_every(&self) -> u64 {
        0
    }
    fn cancelled(&self) -> bool {
        false
    }
}
