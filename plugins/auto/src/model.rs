//! What a model file holds: the forest, and all it was made from.
//!
//! JSON. What is computed is kept in single precision, which JSON's decimal numbers give back bit for
//! bit. Reading checks the method, the names
//! of the features, every tree, and that all numbers are finite; the file is bounded before anything
//! is made of it.
use crate::cost::{Candidate, Run};
use crate::features::{Features, NAMES};
use crate::forest::Forest;
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::{self, Value};

/// The method that these models are for.
pub const METHOD: &str = "auto";

/// A model file, or the checkpoint of a training run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(crate = "precondor_sdk::serde", deny_unknown_fields)]
pub struct Model {
    /// What it is and how it was made.
    pub card: Card,
    /// Names of the features, in the order of the trees' numbers.
    pub features: Vec<String>,
    /// What may be chosen, in the order of the trees' classes.
    pub candidates: Vec<Candidate>,
    /// The trees; none in a checkpoint.
    pub forest: Option<Forest>,
    /// What every candidate took on every training system.
    pub runs: Vec<Record>,
}

/// What a file is and how it was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(crate = "precondor_sdk::serde", deny_unknown_fields)]
pub struct Card {
    /// The method the model is for.
    pub method: String,
    /// `model`, or `checkpoint` for the state of a training run.
    pub kind: Kind,
    /// Version of the crate that wrote it.
    pub version: String,
    /// Parameters of the training, seed included.
    pub training: Value,
    /// Description of the training systems.
    pub samples: Value,
    /// What was measured at the end of the training.
    pub metrics: Value,
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(crate = "precondor_sdk::serde", rename_all = "lowercase")]
pub enum Kind {
    /// A forest ready for use.
    Model,
    /// The state of a training run.
    Checkpoint,
}

/// One training system and what the candidates took on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(crate = "precondor_sdk::serde", deny_unknown_fields)]
pub struct Record {
    /// Place of its problem in the training configuration.
    pub family: usize,
    /// Its number within the problem.
    pub index: u64,
    /// Its features.
    pub features: Vec<f32>,
    /// One for each candidate; none where it refused or did not get there.
    pub runs: Vec<Option<Run>>,
}

impl Record {
    /// The features as the forest takes them.
    ///
    /// # Errors
    /// [`Error::Data`] where there are more or fewer than [`NAMES`], or one is not finite.
    pub fn seen(&self) -> Result<Features> {
        let values = self.features.as_slice().try_into().map_err(|_| {
            bad(&format!("{} features of a system, not {}", self.features.len(), NAMES.len()))
        })?;
        Features::checked(values)
    }
}

/// Bytes of the largest file that is read.
const LARGEST: usize = 64 << 20;

fn bad(why: &str) -> Error {
    Error::Data(format!("not a usable model: {why}"))
}

impl Model {
    /// Writes the file.
    ///
    /// # Errors
    /// [`Error::Data`] for numbers that JSON cannot hold.
    pub fn write(&self) -> Result<Vec<u8>> {
        let fail = |e: serde_json::Error| Error::Data(format!("model cannot be written: {e}"));
        let mut bytes = serde_json::to_vec(self).map_err(fail)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Reads a file of this kind and checks all of it.
    ///
    /// # Errors
    /// [`Error::Data`] with what does not fit.
    pub fn read(bytes: &[u8], kind: Kind) -> Result<Self> {
        if bytes.len() > LARGEST {
            return Err(bad(&format!("{} bytes, at most {LARGEST} are read", bytes.len())));
        }
        let model: Model = serde_json::from_slice(bytes).map_err(|e| bad(&e.to_string()))?;
        let Card { method, kind: found, .. } = &model.card;
        if method != METHOD {
            return Err(bad(&format!("it is for the method '{method}', not '{METHOD}'")));
        }
        if *found != kind {
            let name = |kind| if kind == Kind::Model { "a model" } else { "a checkpoint" };
            return Err(bad(&format!("it is {}, not {}", name(*found), name(kind))));
        }
        if model.features != NAMES {
            return Err(bad(&format!(
                "its features are {}; this version knows {}: train it again",
                model.features.join(", "),
                NAMES.join(", ")
            )));
        }
        let classes = model.candidates.len();
        for candidate in &model.candidates {
            candidate.named()?;
        }
        for (k, record) in model.runs.iter().enumerate() {
            record.seen().map_err(|e| e.inside(format!("training system {k}")))?;
            let costs = record.runs.iter().flatten().map(|run| run.cost);
            if record.runs.len() != classes || costs.into_iter().any(|cost| cost.is_nan()) {
                return Err(bad(&format!("training system {k} has no run for every candidate")));
            }
        }
        match (&model.forest, kind) {
            (Some(forest), Kind::Model) => forest.check(classes)?,
            (None, Kind::Model) => return Err(bad("it has no forest")),
            (_, Kind::Checkpoint) => {}
        }
        Ok(model)
    }

    /// The classes with the least to lose first: by the mean, over the training systems, of the
    /// logarithm of what they cost beside the best. One that does not get there costs [`LOST`] times
    /// the best.
    pub fn by_mean_cost(&self) -> Vec<usize> {
        let mean =
            |class: usize| -> f64 { self.runs.iter().map(|r| loss(&r.runs, class).ln()).sum() };
        let means: Vec<f64> = (0..self.candidates.len()).map(mean).collect();
        let mut order: Vec<usize> = (0..means.len()).collect();
        order.sort_by(|&a, &b| means[a].total_cmp(&means[b]));
        order
    }

    /// Features of `seen` outside the range of the training systems, with that range.
    pub fn unknown(&self, seen: &Features) -> Vec<(usize, f32, [f32; 2])> {
        self.outside(seen, |_| true, |[low, high]| SLACK * (high - low))
    }

    /// As [`unknown`](Model::unknown), among the training systems that are like it in that they are, or are not,
    /// symmetric with a positive diagonal; none where all that is new is the size.
    pub fn foreign(&self, seen: &Features) -> Vec<(usize, f32, [f32; 2])> {
        let kind = seen.allows_conjugate_gradients();
        let alike = |record: &Record| {
            record.seen().is_ok_and(|other| other.allows_conjugate_gradients() == kind)
        };
        // Features change somewhat with the size.
        let margin = |[low, high]: [f32; 2]| {
            (0.5 * (high - low)).max(0.1 * low.abs().max(high.abs())).max(0.05)
        };
        let mut outside = self.outside(seen, alike, margin);
        outside.retain(|&(k, ..)| NAMES[k] != "log-unknowns");
        outside
    }

    fn outside(
        &self,
        seen: &Features,
        of: impl Fn(&Record) -> bool,
        margin: impl Fn([f32; 2]) -> f32,
    ) -> Vec<(usize, f32, [f32; 2])> {
        let records: Vec<&Record> = self.runs.iter().filter(|record| of(record)).collect();
        let outside = |(k, &value): (usize, &f32)| {
            let trained = records.iter().map(|record| record.features[k]);
            let ends = trained.fold([f32::INFINITY, f32::NEG_INFINITY], |[low, high], v| {
                [low.min(v), high.max(v)]
            });
            let slack = margin(ends);
            let inside = value >= ends[0] - slack && value <= ends[1] + slack;
            (!inside).then_some((k, value, ends))
        };
        seen.values().iter().enumerate().filter_map(outside).collect()
    }
}

/// Part of a feature's range that a matrix may lie outside it.
const SLACK: f32 = 0.1;

/// Times the best cost that a candidate is taken to cost where it does not get there.
pub const LOST: f64 = 100.0;

/// What `class` costs beside the best: 1 for the best itself; 1 for all where nothing got there.
pub fn loss(runs: &[Option<Run>], class: usize) -> f64 {
    let Some(best) = crate::cost::best(runs).and_then(|k| runs[k]) else { return 1.0 };
    runs[class].map_or(LOST, |run| f64::from(run.cost / best.cost).min(LOST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forest::Growth;
    use precondor_sdk::serde_json::json;

    fn record(first: f32, costs: [Option<f32>; 2]) -> Record {
        let mut features = vec![0.1; NAMES.len()];
        features[0] = first;
        let run = |cost: f32| Run { iterations: 3, cost };
        Record { family: 0, index: 7, features, runs: costs.map(|c| c.map(run)).to_vec() }
    }

    fn model() -> Model {
        let records: Vec<Record> = (0..20)
            .map(|k: i32| match k < 10 {
                true => record(k as f32 / 3.0, [Some(1.5), Some(6.0)]),
                false => record(k as f32 / 3.0, [None, Some(6.0)]),
            })
            .collect();
        let systems: Vec<Features> = records.iter().map(|r| r.seen().expect("finite")).collect();
        let classes: Vec<u32> = (0..20).map(|k| u32::from(k >= 10)).collect();
        let how = Growth { trees: 5, depth: 3, leaf: 1, seed: 1 };
        let (forest, _) = Forest::fit(&systems, &classes, how).expect("fitted");
        let candidate = |method: Value| Candidate { setup: 2.0, ..Candidate::of(method) };
        Model {
            card: Card {
                method: METHOD.into(),
                kind: Kind::Model,
                version: "1".into(),
                training: json!({"seed": 1}),
                samples: json!([]),
                metrics: json!({}),
            },
            features: NAMES.map(str::to_owned).to_vec(),
            candidates: vec![candidate(json!("a")), candidate(json!({"name": "b", "power": 2}))],
            forest: Some(forest),
            runs: records,
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let model = model();
        let bytes = model.write().expect("plain");
        assert_eq!(Model::read(&bytes, Kind::Model), Ok(model.clone()));
        assert_eq!(bytes, model.write().expect("plain"));
        // b never fails: a costs a hundred times as much on half of the systems, b four times on
        // the other half.
        assert_eq!(model.by_mean_cost(), [1, 0]);
        assert_eq!(loss(&model.runs[0].runs, 1), 4.0);
        assert_eq!(loss(&model.runs[19].runs, 0), LOST);
        assert_eq!(loss(&[None, None], 0), 1.0);
        let mut values = *model.runs[3].seen().expect("finite").values();
        assert_eq!(model.unknown(&Features::checked(values).expect("finite")), []);
        values[0] = 9.0;
        let seen = Features::checked(values).expect("finite");
        assert_eq!(model.unknown(&seen), [(0, 9.0, [0.0, 19.0 / 3.0])]);
    }

    #[test]
    fn everything_that_does_not_fit_is_refused_with_the_reason() {
        let why = |change: &dyn Fn(&mut Model), kind: Kind| {
            let mut changed = model();
            change(&mut changed);
            let bytes = changed.write().expect("plain");
            Model::read(&bytes, kind).expect_err("refused").to_string()
        };
        let model_of = |change: &dyn Fn(&mut Model)| why(change, Kind::Model);
        assert!(model_of(&|m| m.card.method = "ic".into()).contains("the method 'ic', not 'auto'"));
        assert!(why(&|_| (), Kind::Checkpoint).contains("it is a model, not a checkpoint"));
        assert!(model_of(&|m| m.features[2] = "colour".into()).contains("train it again"));
        assert!(model_of(&|m| m.candidates.truncate(1)).contains("training system 0 has no run"));
        assert!(model_of(&|m| m.candidates[0].method = json!(3)).contains("a name, or a table"));
        assert!(model_of(&|m| m.forest = None).contains("no forest"));
        assert!(model_of(&|m| _ = m.runs[4].features.pop()).contains("training system 4: not a"));
        let good = model().write().expect("plain");
        let read = |bytes: &[u8]| Model::read(bytes, Kind::Model).expect_err("refused").to_string();
        assert!(read(&good[..good.len() / 2]).contains("not a usable model: EOF"));
        assert!(read(b"\xff").starts_with("not a usable model"));
        assert!(read(&vec![b' '; LARGEST + 1]).contains("at most"));
    }
}
