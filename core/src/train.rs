//! Generators that learn: systems in, a model out.
use crate::Result;
use crate::comm::Comm;
use crate::host::Host;
use crate::precond::{Generator, Parameters};
use crate::system::System;
use std::sync::Arc;

/// A generator with weights to train.
pub trait Trainable: Generator {
    /// Parameters of training: architecture, optimiser, budget, seed.
    type TrainParams: Parameters;

    /// Trains a model and returns it as the bytes of a model file. Collective over `comm`.
    ///
    /// The same parameters, samples and number of threads give bitwise the same model, also when
    /// interrupted after any checkpoint and resumed from it.
    ///
    /// # Errors
    /// [`crate::Error::Interrupted`] after `watch` asked to stop (a checkpoint is handed over first);
    /// [`crate::Error::Data`] for a checkpoint that does not belong to these parameters.
    fn train(params: &Self::TrainParams, training: Training<'_>) -> Result<Vec<u8>>;
}

/// The surroundings of a training run.
pub struct Training<'a> {
    /// The ranks that train together.
    pub comm: &'a Comm,
    /// Services of the host.
    pub host: &'a Arc<dyn Host>,
    /// The training systems.
    pub samples: &'a dyn Samples,
    /// A checkpoint of the same run to go on from.
    pub resume: Option<&'a [u8]>,
    /// Who looks on.
    pub watch: &'a mut dyn Watch,
}

/// Training systems, made on demand: any rank or thread can make any of them.
pub trait Samples: Sync {
    /// Kinds of systems offered (one for each problem of the training configuration, in its
    /// order), at least one.
    fn families(&self) -> usize;
    /// System `index` of family `family` under `seed`: a function of its arguments only, on one
    /// rank.
    ///
    /// # Errors
    /// [`crate::Error::Parameter`] for a family that is not offered.
    fn sample(&self, family: usize, seed: u64, index: u64) -> Result<System>;
    /// The configuration of the samples as JSON, for the model's metadata.
    fn describe(&self) -> String;
}

/// How far a training run is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Steps done.
    pub step: u64,
    /// Steps in all.
    pub steps: u64,
    /// Training loss, averaged over the steps since the last report.
    pub loss: f64,
    /// Learning rate of the step.
    pub learning_rate: f64,
}

/// Who looks on while a model is trained. Called on the training thread.
pub trait Watch {
    /// A step was done.
    fn progress(&mut self, progress: &Progress);
    /// The loss on the systems kept for validation, after so many steps. Not told of methods in libraries.
    fn validated(&mut self, _step: u64, _loss: f64) {}
    /// The state to resume from. Called every [`checkpoint_every`](Watch::checkpoint_every) steps.
    ///
    /// # Errors
    /// [`crate::Error::File`] where it cannot be kept; training stops with it.
    fn checkpoint(&mut self, state: &[u8]) -> Result<()>;
    /// Steps between checkpoints; 0 for none.
    fn checkpoint_every(&self) -> u64;
    /// Whether to stop.
    fn cancelled(&self) -> bool;
}

/// Nobody looks on.
pub struct Unwatched;

impl Watch for Unwatched {
    fn progress(&mut self, _: &Progress) {}
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
