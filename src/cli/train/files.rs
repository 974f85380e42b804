//! Training on files: the matrices of the sections `[data]`, and which of them are held back.
//!
//! ```toml
//! [data]
//! matrices = "folder/*.mtx"     # as in [problem] of `compare`
//! validation = 0.2              # the share of them, from the end, that is held back
//!
//! [[data]]                      # or a section of files to learn from
//! matrices = "folder/*.mtx"
//! [[data]]                      # and one of files that are held back
//! matrices = ["other/a.mtx", "other/b.npz"]
//! validation = true
//! ```
//!
//! Files make one family; how many there are takes the place of the training parameters that say how many systems
//! to make.
use crate::experiment::{self, Case};
use crate::keys;
use precondor::Methods;
use precondor_core::Result;
use precondor_core::comm::Comm;
use precondor_core::config::Node;
use precondor_core::train::Listed;
use serde_json::Value;
use std::path::PathBuf;

/// Where a method watches a validation loss and nothing is said, one file of so many is held back; none of fewer.
const ONE_OF: usize = 8;

/// The files to train on.
pub struct Files {
    cases: Vec<Case>,
    learn: usize,
}

/// How training parameters say how many systems there are.
struct Counts {
    systems: &'static str,
    /// Whether some are held back.
    watches: bool,
}

impl Counts {
    fn of(schema: &Value) -> Self {
        let has = |key: &str| schema["properties"].get(key).is_some();
        let systems = if has("systems") { "systems" } else { "pool" };
        Counts { systems, watches: has("validation") }
    }
}

/// The files of the sections `data`, and their number in `params`; none where the sections are of model problems.
///
/// # Errors
/// [`Error::Parameter`](precondor_core::Error::Parameter) naming the key.
pub fn asked(
    methods: &Methods,
    data: &Node,
    train: Option<&Node>,
    schema: &Value,
    params: &mut Value,
) -> Result<Option<Files>> {
    if data.items().iter().all(|section| section.get("matrices").is_none()) {
        return Ok(None);
    }
    let counts = Counts::of(schema);
    let mut known = [keys::of::<keys::Suite>(), keys::of::<keys::Held>()].concat();
    known.push("label".to_owned());
    let (mut learn, mut held, mut share) = (Vec::new(), Vec::new(), None);
    for section in data.items() {
        let mut section = section.clone();
        if section.get("matrices").is_none() {
            let why = "this section has no 'matrices', and others do: training is on files or on model problems";
            return Err(section.error(why.to_owned()));
        }
        section.only(&known)?;
        let validation = section.take("validation");
        let whole = match validation.as_ref().map(|node| (node, node.json())) {
            None => false,
            Some((node, _)) if !counts.watches => {
                return Err(node.key_error("'validation': this method watches no validation loss"));
            }
            Some((_, Value::Bool(whole))) => whole,
            Some((node, value)) => {
                match value.as_f64() {
                    Some(part) if (0.0..1.0).contains(&part) && data.items().len() == 1 => {
                        share = Some(part);
                        false
                    }
                    Some(part) if (0.0..1.0).contains(&part) => {
                        return Err(node.wrong("is a share, which goes with a single section [data]; give true or false"));
                    }
                    _ => {
                        return Err(node.wrong(
                            "is not true, false or a share of the files, 0 or more and less than 1",
                        ));
                    }
                }
            }
        };
        let cases = experiment::of_suite(&section, methods)?;
        if whole { held.extend(cases) } else { learn.extend(cases) }
    }
    if held.is_empty() {
        let few = learn.len() < ONE_OF || !counts.watches;
        let share = share.unwrap_or(if few { 0.0 } else { 1.0 / ONE_OF as f64 });
        let count = (share * learn.len() as f64).round() as usize;
        held = learn.split_off(learn.len() - count);
    }
    if learn.is_empty() {
        return Err(data.error(
            "[data]: every file is held back for validation; none is left to learn from".to_owned(),
        ));
    }
    let mut count = |key: &str, many: usize| {
        if let Some(node) = train.and_then(|train| train.get(key)) {
            return Err(node.key_error(format!(
                "'{key}': with files it is their number, {many}; leave it out"
            )));
        }
        if let Some(fields) = params.as_object_mut() {
            fields.insert(key.to_owned(), many.into());
        }
        Ok(())
    };
    count(counts.systems, learn.len())?;
    if counts.watches {
        count("validation", held.len())?;
    }
    let count = learn.len();
    learn.extend(held);
    Ok(Some(Files { cases: learn, learn: count }))
}

impl Files {
    /// The files of each, which belong together.
    pub fn files(&self) -> Vec<Vec<PathBuf>> {
        self.cases.iter().flat_map(Case::files).collect()
    }

    /// Reads all of them, every rank for itself.
    ///
    /// # Errors
    /// What reading reports; [`Error::Data`](precondor_core::Error::Data) for a matrix that is learnt from and held back.
    pub fn read(&self, methods: &Methods) -> Result<Listed> {
        let alone = methods.clone().on(Comm::solo());
        let one = |case: &Case| {
            let name = case.files().into_iter().flatten().next().unwrap_or_default();
            let task = case.task(0, &alone).map_err(|e| e.inside(case.label.clone()))?;
            Ok((name.display().to_string(), task.system))
        };
        Listed::new(self.cases.iter().map(one).collect::<Result<_>>()?, self.learn)
    }
}
