//! The one way to train a network: steps, validation, the best weights, patience, checkpoints, the way back from one.
//!
//! A method says what is learned ([`Task`]) and how ([`Task::plan`]); [`Run`] does the rest, the same for all:
//!
//! - **Steps.** The budget is counted in steps and everything random comes from small generators whose state a
//!   checkpoint holds, so a run is a function of its parameters and samples, and goes on from a checkpoint to bitwise the
//!   same weights. A gradient that is not finite is not followed.
//! - **Validation.** Where some systems are kept out of the training, the loss on them is looked at before the first
//!   step, every so many steps and at the end; the weights with the least are the model. Without, the last ones are.
//! - **Patience.** A run ends early at a look so many steps after the one with the least loss.
//!
//! On several ranks see [`team`](crate::team).

use precondor_core::prelude::*;
use precondor_core::train::{Progress, Training, Watch};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::model::{self, Card, Kind, Part, Reader};
use crate::net::Net;
use crate::optim::{Adam, Optimiser, Schedule, clip};
use crate::random::Random;
use crate::team::same;

/// What a method learns.
pub trait Task {
    /// The network.
    fn net(&self) -> &Net;
    /// How it is learned.
    fn plan(&self) -> Plan;
    /// The weights that a run starts with.
    fn start(&self, random: &mut Random) -> Vec<f32>;
    /// What the model and the checkpoints of this run say of themselves.
    fn card(&self) -> &Card;
    /// Draws the batch of step number `step`; returns its mean loss over all ranks and adds the derivative to
    /// `gradient`. Collective.
    ///
    /// # Errors
    /// What the host and the communicator report.
    fn differentiate(
        &mut self,
        step: u64,
        parameters: &[f32],
        random: &mut Random,
        gradient: &mut [f32],
    ) -> Result<f64>;
    /// The mean loss over the systems kept for validation, over all ranks; asked for only where
    /// [`Plan::look_every`] says that there are some. Collective.
    ///
    /// # Errors
    /// What the host and the communicator report.
    fn validate(&mut self, parameters: &[f32]) -> Result<f64>;
    /// The model file of these weights; `card` has the metrics of the run, to which the method may add. Collective.
    ///
    /// # Errors
    /// Where the file cannot be written, and as [`validate`](Self::validate).
    fn model(&mut self, parameters: &[f32], card: Card) -> Result<Vec<u8>>;
}

/// How it is learned.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Seed of the starting weights and the batches.
    pub seed: u64,
    /// Steps, at most.
    pub steps: u64,
    /// Steps between looks at the validation loss; nothing where no systems are kept for it.
    pub look_every: Option<u64>,
    /// Steps without a smaller validation loss after which the run ends; 0 for never.
    pub patience: u64,
    /// What moves the weights, before the first step.
    pub optimiser: Optimiser<f32>,
    /// How its rates change.
    pub schedule: Schedule,
    /// Longest gradient that is taken as it is.
    pub longest: f64,
}

/// The best weights so far.
#[derive(Clone, Debug)]
struct Best {
    parameters: Vec<f32>,
    /// Their validation loss; infinite before the first look.
    loss: f64,
    /// After how many steps they were met.
    step: u64,
}

/// A training run: what it learns, and where it stands.
pub struct Run<T> {
    task: T,
    plan: Plan,
    comm: Comm,
    parameters: Vec<f32>,
    gradient: Vec<f32>,
    /// What is drawn next.
    random: Random,
    /// Steps done.
    step: u64,
    /// Sum of the losses of the last steps of the run.
    last: f64,
    /// Steps whose gradient was not finite and was not followed.
    skipped: u64,
    best: Best,
    /// Whether the run came to an early end.
    ended: bool,
}

/// Steps that the loss in a model's metrics is averaged over.
const LAST: u64 = 500;

impl<T: Task> Run<T> {
    /// At the start.
    pub fn new(task: T, comm: &Comm) -> Self {
        let plan = task.plan();
        let mut random = Random::new(plan.seed, 1);
        let parameters = task.start(&mut random);
        Run {
            best: Best { parameters: parameters.clone(), loss: f64::INFINITY, step: 0 },
            gradient: vec![0.0; parameters.len()],
            comm: comm.clone(),
            step: 0,
            last: 0.0,
            skipped: 0,
            ended: false,
            parameters,
            random,
            task,
            plan,
        }
    }

    /// Runs to the end and returns the model, the same on all ranks. Collective.
    ///
    /// # Errors
    /// [`Error::Interrupted`] after the watcher of any rank asked to stop; a checkpoint is handed over
    /// first. [`Error::Data`] for a checkpoint of another run. What the task and the watcher report.
    pub fn train(mut self, resume: Option<&[u8]>, watch: &mut dyn Watch) -> Result<Vec<u8>> {
        same(&self.comm, "the checkpoint to go on from", resume.unwrap_or_default())?;
        match resume {
            Some(checkpoint) => self.resume(checkpoint)?,
            None if self.plan.look_every.is_some() => self.look(watch)?,
            None => {}
        }
        // The first rank's word counts, so that all check their states at the same steps.
        let every = self.comm.all_gather(&[watch.checkpoint_every()])?[0][0];
        while self.step < self.steps() {
            let mut stop = [f64::from(u8::from(watch.cancelled()))];
            self.comm.max(&mut stop)?;
            if stop[0] != 0.0 {
                self.keep(watch)?;
                return Err(Error::Interrupted);
            }
            let progress = self.advance(watch)?;
            watch.progress(&progress);
            if every > 0 && progress.step.is_multiple_of(every) && progress.step < progress.steps {
                self.keep(watch)?;
            }
        }
        let model = self.model()?;
        same(&self.comm, "the model", &model)?;
        Ok(model)
    }

    /// Steps in all, as far as is known.
    fn steps(&self) -> u64 {
        if self.ended { self.step } else { self.plan.steps }
    }

    /// Does one step. Collective.
    fn advance(&mut self, watch: &mut dyn Watch) -> Result<Progress> {
        let factor = self.plan.schedule.factor(self.step, self.plan.steps);
        let Run { task, plan, parameters, gradient, random, .. } = self;
        gradient.fill(0.0);
        let loss = task.differentiate(self.step, parameters, random, gradient)?;
        if clip(gradient, plan.longest).is_finite() {
            plan.optimiser.step(task.net().tensors(), factor, gradient, parameters);
        } else {
            self.skipped += 1;
        }
        self.step += 1;
        if self.step + LAST > self.plan.steps {
            self.last += loss;
        }
        let due = |every| self.step.is_multiple_of(every) || self.step == self.plan.steps;
        if self.plan.look_every.is_some_and(due) {
            self.look(watch)?;
        }
        let learning_rate = self.plan.optimiser.rate() * factor;
        Ok(Progress { step: self.step, steps: self.steps(), loss, learning_rate })
    }

    /// Looks at the validation loss. Collective.
    fn look(&mut self, watch: &mut dyn Watch) -> Result<()> {
        let loss = self.task.validate(&self.parameters)?;
        watch.validated(self.step, loss);
        if loss.is_finite() && loss < self.best.loss {
            self.best.parameters.copy_from_slice(&self.parameters);
            (self.best.loss, self.best.step) = (loss, self.step);
        }
        let patience = self.plan.patience;
        self.ended = patience > 0 && self.step - self.best.step >= patience;
        Ok(())
    }

    /// The model of the best weights. Collective.
    fn model(&mut self) -> Result<Vec<u8>> {
        let (averaged, validated) = (LAST.min(self.plan.steps), self.plan.look_every.is_some());
        let mut card = self.task.card().clone();
        card.kind = Kind::Model;
        card.metrics = json!({
            "steps": self.step,
            "ranks": self.comm.size(),
            "loss": (self.step == self.plan.steps).then_some(self.last / averaged as f64),
            "loss_averaged_over_steps": averaged,
            "skipped_steps": self.skipped,
            "validation_loss": validated.then_some(self.best.loss),
            "best_step": validated.then_some(self.best.step),
            "stopped_early": self.ended,
            "parameters": self.task.net().len(),
        });
        let Run { task, best, parameters, .. } = self;
        task.model(if validated { &best.parameters } else { parameters }, card)
    }

    /// Hands a checkpoint over. Collective.
    fn keep(&self, watch: &mut dyn Watch) -> Result<()> {
        let state = self.checkpoint()?;
        same(&self.comm, &format!("the state after step {}", self.step), &state)?;
        watch.checkpoint(&state)
    }

    /// The state after the steps done.
    fn checkpoint(&self) -> Result<Vec<u8>> {
        let (adam_steps, mean, square) = self.plan.optimiser.adam().state();
        let mut card = self.task.card().clone();
        card.kind = Kind::Checkpoint;
        card.metrics = json!(Standing {
            step: self.step,
            ranks: self.comm.size(),
            adam_steps,
            random: self.random.clone(),
            last: self.last.to_bits(),
            skipped: self.skipped,
            best_loss: self.best.loss.to_bits(),
            best_step: self.best.step,
            ended: self.ended,
        });
        let part = |name: &str, values| Part { name: name.into(), shape: vec![self.len()], values };
        let mut parts = vec![
            part(PARAMETERS, &self.parameters),
            part(MEAN, mean),
            part(SQUARE, square),
            part(BEST, &self.best.parameters),
        ];
        parts.extend(self.plan.optimiser.momentum().map(|values| part(MOMENTUM, values)));
        model::write(&card, &parts)
    }

    fn len(&self) -> usize {
        self.parameters.len()
    }

    /// Goes back to the state of a checkpoint.
    fn resume(&mut self, checkpoint: &[u8]) -> Result<()> {
        let expected = self.task.card();
        let mut reader = Reader::new(checkpoint, &expected.method, Kind::Checkpoint)?;
        for (what, there, here) in [
            ("training parameters", &reader.card.training, &expected.training),
            ("training systems", &reader.card.samples, &expected.samples),
            ("initial weights", &json!(reader.card.initial), &json!(expected.initial)),
        ] {
            if there != here {
                return Err(Error::Data(format!(
                    "the checkpoint belongs to a run with other {what} ({there}, now {here})"
                )));
            }
        }
        let len = [self.len()];
        let parameters = reader.take(PARAMETERS, &len)?;
        let (mean, square) = (reader.take(MEAN, &len)?, reader.take(SQUARE, &len)?);
        let best = reader.take(BEST, &len)?;
        let momentum = self.plan.optimiser.momentum().map(|_| reader.take(MOMENTUM, &len));
        let momentum = momentum.transpose()?;
        let state: Standing = serde_json::from_value(reader.finish()?.metrics)
            .map_err(|e| Error::Data(format!("the checkpoint has no usable state: {e}")))?;
        if state.ranks != self.comm.size() {
            return Err(Error::Data(format!(
                "the checkpoint belongs to a run on {} ranks, now {}; 'batch' is counted per rank",
                state.ranks,
                self.comm.size()
            )));
        }
        let decay = self.plan.optimiser.adam().decay();
        let adam = Adam::restored(decay, state.adam_steps, mean, square);
        self.plan.optimiser.restore(adam, momentum);
        let loss = f64::from_bits(state.best_loss);
        self.best = Best { parameters: best, loss, step: state.best_step };
        (self.parameters, self.random) = (parameters, state.random);
        (self.step, self.last) = (state.step, f64::from_bits(state.last));
        (self.skipped, self.ended) = (state.skipped, state.ended);
        Ok(())
    }
}

/// Where a run stands beside its arrays: a checkpoint's metrics. Numbers that are not whole are kept as bits: text may
/// round.
#[derive(Serialize, Deserialize)]
struct Standing {
    step: u64,
    ranks: usize,
    adam_steps: u64,
    random: Random,
    last: u64,
    skipped: u64,
    best_loss: u64,
    best_step: u64,
    ended: bool,
}

/// Names of the arrays of a checkpoint.
const PARAMETERS: &str = "parameters";
const MEAN: &str = "adam.mean";
const SQUARE: &str = "adam.square";
const MOMENTUM: &str = "muon.momentum";
const BEST: &str = "best";

/// Trains what a method learns. Collective.
///
/// # Errors
/// Those of [`Run::train`].
pub fn train(task: impl Task, training: Training<'_>) -> Result<Vec<u8>> {
    Run::new(task, training.comm).train(training.resume, training.watch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use precondor_core::train::Unwatched;

    /// One number that every step raises by the rate, and what looks at it find.
    struct Script {
        net: Net,
        card: Card,
        steps: u64,
        patience: u64,
        looks: Option<Vec<f64>>,
        /// The step whose gradient is no number.
        wrong: Option<u64>,
    }

    impl Task for Script {
        fn net(&self) -> &Net {
            &self.net
        }
        fn plan(&self) -> Plan {
            Plan {
                seed: 1,
                steps: self.steps,
                look_every: self.looks.is_some().then_some(2),
                patience: self.patience,
                optimiser: Optimiser::adam_alone(self.net.len(), [0.9, 0.99], 1.0),
                schedule: Schedule::Constant,
                longest: 1.0,
            }
        }
        fn start(&self, _: &mut Random) -> Vec<f32> {
            vec![0.0; self.net.len()]
        }
        fn card(&self) -> &Card {
            &self.card
        }
        fn differentiate(
            &mut self,
            step: u64,
            _: &[f32],
            _: &mut Random,
            gradient: &mut [f32],
        ) -> Result<f64> {
            gradient.fill(if self.wrong == Some(step) { f32::NAN } else { -1.0 });
            Ok(1.0)
        }
        fn validate(&mut self, _: &[f32]) -> Result<f64> {
            Ok(self.looks.as_mut().expect("looks").remove(0))
        }
        fn model(&mut self, parameters: &[f32], card: Card) -> Result<Vec<u8>> {
            model::write(&card, &Vec::from_iter(model::parts_of(&self.net, parameters)))
        }
    }

    /// The number that is the model, and the metrics.
    fn trained(looks: Option<Vec<f64>>, patience: u64, wrong: Option<u64>) -> (f32, Card) {
        let card = Card {
            method: "script".into(),
            kind: Kind::Model,
            version: "1".into(),
            architecture: json!({}),
            training: json!({}),
            samples: json!([]),
            metrics: json!({}),
            initial: None,
        };
        let net = Net::new(1, &[], 1, false);
        let task = Script { net: net.clone(), card, steps: 8, patience, looks, wrong };
        let model = Run::new(task, &Comm::solo()).train(None, &mut Unwatched).unwrap();
        let mut reader = Reader::new(&model, "script", Kind::Model).unwrap();
        (reader.take_net(&net).unwrap()[0].round(), reader.finish().unwrap())
    }

    #[test]
    fn the_model_has_the_weights_with_the_least_validation_loss() {
        // Looks at steps 0, 2, 4, 6, 8.
        let (number, card) = trained(Some(vec![5.0, 3.0, 4.0, f64::NAN, 3.5]), 0, None);
        assert_eq!((number, &card.metrics["best_step"]), (2.0, &json!(2)));
        assert_eq!(card.metrics["validation_loss"], 3.0);
        // The ones that the run started with are among them.
        let (number, card) = trained(Some(vec![1.0, 3.0, 4.0, 5.0, 3.5]), 0, None);
        assert_eq!((number, &card.metrics["best_step"]), (0.0, &json!(0)));
        // Without such systems it has the last ones.
        let (number, card) = trained(None, 1, None);
        assert_eq!((number, &card.metrics["validation_loss"]), (8.0, &json!(null)));
    }

    #[test]
    fn patience_counts_steps_since_the_least_loss() {
        for (patience, steps) in [(1, 4), (2, 4), (3, 6), (4, 6), (5, 8), (0, 8)] {
            let (number, card) = trained(Some(vec![5.0, 3.0, 4.0, 4.0, 4.0]), patience, None);
            assert_eq!((number, &card.metrics["steps"]), (2.0, &json!(steps)), "{patience}");
            assert_eq!(card.metrics["stopped_early"], patience > 0 && steps < 8 || patience == 5);
        }
    }

    #[test]
    fn a_gradient_that_is_no_number_is_not_followed() {
        let (number, card) = trained(None, 0, Some(3));
        assert_eq!((number, &card.metrics["skipped_steps"]), (7.0, &json!(1)));
    }
}
