//! What training runs have in common: steps, progress, checkpoints, the way back from one.
//!
//! The budget of a run is counted in steps and everything random comes from small generators whose
//! state a checkpoint holds, so a run is a function of its parameters and samples, and goes on from
//! a checkpoint to bitwise the same weights.

use precondor_sdk::core::train::{Progress, Training};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::{self, Value, json};

use crate::model::{self, Card, Kind, Part, Reader};
use crate::net::Net;
use crate::optim::Adam;
use crate::random::Random;

/// A training run.
pub(crate) trait Run {
    /// Does one step.
    fn advance(&mut self) -> Progress;
    /// The model as it stands.
    fn model(&self) -> Result<Vec<u8>>;
    /// The state after the steps done.
    fn checkpoint(&self) -> Result<Vec<u8>>;
    /// Goes back to the state of a checkpoint; says how many steps it had done, and of how many.
    fn resume(&mut self, checkpoint: &[u8]) -> Result<()>;
    /// Steps done and steps in all.
    fn steps(&self) -> (u64, u64);
}

/// Runs to the end and returns the model.
///
/// # Errors
/// [`Error::Interrupted`] after the watcher asked to stop; a checkpoint is handed over first.
pub(crate) fn drive(run: &mut dyn Run, training: Training<'_>) -> Result<Vec<u8>> {
    if let Some(checkpoint) = training.resume {
        run.resume(checkpoint)?;
    }
    let watch = training.watch;
    let every = watch.checkpoint_every();
    while run.steps().0 < run.steps().1 {
        if watch.cancelled() {
            watch.checkpoint(&run.checkpoint()?)?;
            return Err(Error::Interrupted);
        }
        let progress = run.advance();
        watch.progress(&progress);
        if every > 0 && progress.step.is_multiple_of(every) && progress.step < progress.steps {
            watch.checkpoint(&run.checkpoint()?)?;
        }
    }
    run.model()
}

/// The part of a run's state that every method here has.
#[derive(Clone)]
pub(crate) struct State {
    /// Weights and biases.
    pub parameters: Vec<f32>,
    /// Adam's moments.
    pub adam: Adam<f32>,
    /// What is drawn next.
    pub random: Random,
    /// Steps done.
    pub step: u64,
    /// Sum of the losses of the last steps of the run.
    pub last: f64,
    /// Steps whose gradient was not finite and was not followed.
    pub skipped: u64,
    /// What else a method keeps in its checkpoints.
    pub more: Value,
}

/// Steps that the loss in a model's metrics is averaged over.
const LAST: u64 = 500;

impl State {
    /// At the start of a run.
    pub fn new(parameters: Vec<f32>, decay: [f64; 2], random: Random) -> Self {
        let adam = Adam::new(parameters.len(), decay);
        State { parameters, adam, random, step: 0, last: 0.0, skipped: 0, more: Value::Null }
    }

    /// Counts a step done.
    pub fn count(&mut self, steps: u64, loss: f64) {
        self.step += 1;
        if self.step + LAST > steps {
            self.last += loss;
        }
    }

    /// Writes a model file; its metrics are those of the card and what every run knows.
    pub fn model(&self, mut card: Card, net: &Net, steps: u64) -> Result<Vec<u8>> {
        let averaged = LAST.min(steps);
        card.kind = Kind::Model;
        let mut metrics = json!({
            "steps": self.step,
            "loss": (self.step == steps).then_some(self.last / averaged as f64),
            "loss_averaged_over_steps": averaged,
            "skipped_steps": self.skipped,
            "parameters": net.len(),
        });
        if let (Value::Object(all), Value::Object(own)) = (&mut metrics, card.metrics.take()) {
            all.extend(own);
        }
        card.metrics = metrics;
        let part = |tensor: &crate::net::Tensor| Part {
            name: tensor.name.clone(),
            shape: vec![tensor.rows, tensor.columns],
            values: &self.parameters[tensor.range()],
        };
        let parts: Vec<Part<'_>> = net.tensors().iter().map(part).collect();
        model::write(&card, &parts)
    }

    /// Writes a checkpoint with further arrays of the method.
    pub fn checkpoint(&self, mut card: Card, more: &[(&str, &[f32])]) -> Result<Vec<u8>> {
        let (adam_steps, mean, square) = self.adam.state();
        card.kind = Kind::Checkpoint;
        card.metrics = json!({
            "step": self.step,
            "adam_steps": adam_steps,
            "random": self.random,
            // As bits: text may round.
            "last": self.last.to_bits(),
            "skipped": self.skipped,
            "more": self.more,
        });
        let own: [(&str, &[f32]); 3] =
            [("parameters", &self.parameters), ("adam.mean", mean), ("adam.square", square)];
        let part = |&(name, values): &(&str, &'_ [f32])| (name.to_owned(), vec![values.len()]);
        let mut parts = Vec::new();
        for array in own.iter().chain(more) {
            let (name, shape) = part(array);
            parts.push(Part { name, shape, values: array.1 });
        }
        model::write(&card, &parts)
    }

    /// Reads a checkpoint; returns the arrays named in `more`, each as long as the parameters.
    ///
    /// # Errors
    /// [`Error::Data`] where it is damaged or belongs to a run with other parameters or samples.
    pub fn resume(
        &mut self,
        checkpoint: &[u8],
        expected: &Card,
        more: &[&str],
    ) -> Result<Vec<Vec<f32>>> {
        let mut reader = Reader::new(checkpoint, &expected.method, Kind::Checkpoint)?;
        for (what, there, here) in [
            ("training parameters", &reader.card.training, &expected.training),
            ("training systems", &reader.card.samples, &expected.samples),
        ] {
            if there != here {
                return Err(Error::Data(format!(
                    "the checkpoint belongs to a run with other {what} ({there}, now {here})"
                )));
            }
        }
        let len = [self.parameters.len()];
        let parameters = reader.take("parameters", &len)?;
        let mean = reader.take("adam.mean", &len)?;
        let square = reader.take("adam.square", &len)?;
        let arrays = more.iter().map(|name| reader.take(name, &len)).collect::<Result<_>>()?;
        let state = reader.finish()?.metrics;
        let missing = |key: &str| Error::Data(format!("the checkpoint has no usable '{key}'"));
        let number = |key: &str| state[key].as_u64().ok_or_else(|| missing(key));
        let random = serde_json::from_value(state["random"].clone());
        *self = State {
            parameters,
            adam: Adam::restored(self.adam.decay(), number("adam_steps")?, mean, square),
            random: random.map_err(|_| missing("random"))?,
            step: number("step")?,
            last: f64::from_bits(number("last")?),
            skipped: number("skipped")?,
            more: state["more"].clone(),
        };
        Ok(arrays)
    }
}

/// The card of a run; `kind` and `metrics` are set when it is written.
pub(crate) fn card(
    method: &str,
    architecture: Value,
    params: &impl Serialize,
    samples: &Value,
) -> Result<Card> {
    Ok(Card {
        method: method.into(),
        kind: Kind::Checkpoint,
        version: env!("CARGO_PKG_VERSION").into(),
        architecture,
        training: serde_json::to_value(params)
            .map_err(|e| Error::Data(format!("training parameters: {e}")))?,
        samples: samples.clone(),
        metrics: Value::Null,
    })
}
