//! Training: every candidate is run on every training system, a forest learns which was the cheapest.
//!
//! A step is a system. All decisions rest on counts and on the stated worth of setups and
//! applications, none on seconds, so a training run gives the same file every time, also when it was
//! interrupted. Every rank does the same work.
use crate::cost::{self, Candidate, Limits};
use crate::features::{Features, NAMES};
use crate::forest::{Forest, Growth};
use crate::model::{Card, Kind, METHOD, Model, Record, loss};
use precondor_sdk::core::train::{Progress, Training, name_of};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::{self, Map, Value, json};
use std::sync::Arc;

/// Parameters of training `auto`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", default, deny_unknown_fields)]
#[schemars(crate = "precondor_sdk::schemars")]
pub struct TrainParams {
    /// What may be chosen: the method, and what its setup and an application are worth in products
    /// with A.
    #[schemars(length(min = 2))]
    pub candidates: Vec<Candidate>,
    /// Systems of each problem.
    #[schemars(range(min = 1, max = 100_000))]
    pub systems: u64,
    /// Relative residual that the runs go to.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub tolerance: f64,
    /// Iterations after which a run counts as lost.
    #[schemars(range(min = 1))]
    pub max_iterations: usize,
    /// Trees of the forest.
    #[schemars(range(min = 1, max = 1000))]
    pub trees: u16,
    /// Most decisions on a path.
    #[schemars(range(min = 1, max = 32))]
    pub depth: u16,
    /// Fewest training systems at a leaf.
    #[schemars(range(min = 1))]
    pub leaf: usize,
    /// Seed of the systems, the right-hand sides and the forest.
    pub seed: u64,
}

impl Default for TrainParams {
    fn default() -> Self {
        let candidate = |name: &str| Candidate::of(name.into());
        TrainParams {
            candidates: ["jacobi", "fsai", "ic"].map(candidate).to_vec(),
            systems: 10,
            tolerance: 1e-8,
            max_iterations: 2000,
            trees: 100,
            depth: 12,
            leaf: 1,
            seed: 1,
        }
    }
}

/// Trains a model. See [`precondor_sdk::core::train::Trainable::train`]. On several ranks each runs
/// everything, and all come to the same model.
///
/// # Errors
/// [`Error::Parameter`] for a candidate that is not there; [`Error::Data`] where no candidate solved
/// any system; [`Error::Interrupted`] after a checkpoint was handed over.
pub fn train(params: &TrainParams, training: Training<'_>) -> Result<Vec<u8>> {
    let Training { comm, host, samples, resume, watch } = training;
    let samples_said = serde_json::from_str(&samples.describe()).unwrap_or(Value::Null);
    let training_said = serde_json::to_value(params)
        .map_err(|e| Error::Data(format!("training parameters: {e}")))?;
    let mut model = Model {
        card: Card {
            method: METHOD.into(),
            kind: Kind::Checkpoint,
            version: env!("CARGO_PKG_VERSION").into(),
            training: training_said,
            samples: samples_said,
            metrics: Value::Null,
        },
        features: NAMES.map(str::to_owned).to_vec(),
        candidates: params.candidates.clone(),
        forest: None,
        runs: Vec::new(),
    };
    if let Some(checkpoint) = resume {
        model.runs = records(checkpoint, &model.card)?;
    }
    let limits = Limits { tolerance: params.tolerance, max_iterations: params.max_iterations };
    let steps = samples.families() as u64 * params.systems;
    let every = watch.checkpoint_every();
    while (model.runs.len() as u64) < steps {
        let mut stop = [f64::from(u8::from(watch.cancelled()))];
        comm.max(&mut stop)?;
        if stop[0] != 0.0 {
            watch.checkpoint(&model.write()?)?;
            return Err(Error::Interrupted);
        }
        // Problems in turn, so that an interrupted run has seen something of each.
        let done = model.runs.len() as u64;
        let families = samples.families() as u64;
        let (family, index) = ((done % families) as usize, done / families);
        let system = samples.sample(family, params.seed, index)?.with_host(Arc::clone(host));
        let run =
            |candidate: &Candidate| cost::run(candidate, &system, limits, (params.seed, index));
        let all = || {
            let features = Features::of(system.a())?.values().to_vec();
            let runs = params.candidates.iter().map(|c| Ok(run(c)?.ok()));
            Ok((features, runs.collect::<Result<Vec<_>>>()?))
        };
        let named = |e: Error| e.inside(name_of(samples, family, index));
        let (features, runs) = all().map_err(named)?;
        model.runs.push(Record { family, index, features, runs });
        let step = done + 1;
        // What the best constant choice loses so far.
        let constant = model.by_mean_cost()[0];
        let loss = mean(model.runs.iter().map(|r| loss(&r.runs, constant) - 1.0));
        watch.progress(&Progress { step, steps, loss, learning_rate: 0.0 });
        if every > 0 && step.is_multiple_of(every) && step < steps {
            watch.checkpoint(&model.write()?)?;
        }
    }
    fit(&mut model, params)?;
    model.write()
}

/// The runs of a checkpoint of the same training.
fn records(checkpoint: &[u8], card: &Card) -> Result<Vec<Record>> {
    let there = Model::read(checkpoint, Kind::Checkpoint)?;
    for (what, there, here) in [
        ("training parameters", &there.card.training, &card.training),
        ("training systems", &there.card.samples, &card.samples),
    ] {
        if there != here {
            return Err(Error::Data(format!(
                "the checkpoint belongs to a run with other {what} ({there}, now {here})"
            )));
        }
    }
    Ok(there.runs)
}

/// Grows the forest on the systems that some candidate solved, and measures what it loses.
fn fit(model: &mut Model, params: &TrainParams) -> Result<()> {
    let solved: Vec<(&Record, usize)> =
        model.runs.iter().filter_map(|r| Some((r, cost::best(&r.runs)?))).collect();
    if solved.is_empty() {
        return Err(Error::Data("no candidate solved any training system".into()));
    }
    let systems = solved.iter().map(|(r, _)| r.seen()).collect::<Result<Vec<_>>>()?;
    let classes: Vec<u32> = solved.iter().map(|&(_, best)| best as u32).collect();
    let TrainParams { trees, depth, leaf, seed, .. } = *params;
    let (forest, unseen) = Forest::fit(&systems, &classes, Growth { trees, depth, leaf, seed })?;
    let regret = |choice: &dyn Fn(usize) -> usize| {
        let losses = || solved.iter().enumerate().map(|(k, (r, _))| loss(&r.runs, choice(k)) - 1.0);
        let worst = losses().fold(0.0, f64::max);
        json!({ "mean": mean(losses()), "max": worst })
    };
    let mut constant = Map::new();
    let mut best = Map::new();
    for (k, candidate) in params.candidates.iter().enumerate() {
        let count = classes.iter().filter(|&&class| class as usize == k).count();
        let name = label(&params.candidates, candidate)?;
        constant.insert(name.clone(), regret(&|_| k));
        best.insert(name, count.into());
    }
    model.card.metrics = json!({
        "systems": model.runs.len(),
        "solved": solved.len(),
        "best": best,
        "regret_on_unseen_by_tree": regret(&|k| unseen[k]),
        "regret_of_constant_choice": constant,
    });
    model.card.kind = Kind::Model;
    model.forest = Some(forest);
    Ok(())
}

/// What tables call a candidate: its name, with its parameters where the name is there twice.
///
/// # Errors
/// As [`Candidate::named`].
pub fn label(candidates: &[Candidate], candidate: &Candidate) -> Result<String> {
    let (name, params) = candidate.named()?;
    let mut same = 0;
    for other in candidates {
        same += usize::from(other.named()?.0 == name);
    }
    let fields = params.as_object().into_iter().flatten();
    let words = fields.map(|(key, value)| match value {
        Value::String(text) => format!("{key} {text}"),
        value => format!("{key} {value}"),
    });
    let words: Vec<String> = words.collect();
    Ok(match same > 1 && !words.is_empty() {
        true => format!("{name} ({})", words.join(", ")),
        false => name,
    })
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0usize), |(s, n), v| (s + v, n + 1));
    if count == 0 { 0.0 } else { sum / count as f64 }
}
