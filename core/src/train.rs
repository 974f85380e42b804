//! Generators that learn: systems in, a model out.
use crate::comm::Comm;
use crate::host::Host;
use crate::persist::Digest;
use crate::precond::{Generator, Parameters};
use crate::system::System;
use crate::{Error, Result};
use serde_json::{Value, json};
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

/// What errors call system `index` of family `family`: the name of its file where it has one.
pub fn name_of(samples: &dyn Samples, family: usize, index: u64) -> String {
    let described: Value = serde_json::from_str(&samples.describe()).unwrap_or_default();
    let listed = &described[family];
    let name = usize::try_from(index).ok().map(|index| &listed["digests"][index]["name"]);
    match name.and_then(Value::as_str).filter(|_| listed["kind"] == MATRICES) {
        Some(name) => name.to_owned(),
        None => format!("training system {index} of problem {family}"),
    }
}

/// What the family of systems that are there is described as.
const MATRICES: &str = "matrices";

/// Systems that are there, in their order: those to learn from, then those that are held back for validation.
///
/// All are of one family. What is told of them are digests of their matrices, by which a matrix is known again.
pub struct Listed {
    systems: Vec<System>,
    described: Value,
}

impl Listed {
    /// Systems and their names; the first `learn` of them are learnt from.
    ///
    /// # Errors
    /// [`crate::Error::Data`] where there is nothing to learn from, or a matrix is among both.
    pub fn new(named: Vec<(String, System)>, learn: usize) -> Result<Self> {
        if learn == 0 || named.is_empty() {
            return Err(Error::Data("there is no matrix to learn from".into()));
        }
        let of = |(_, system): &(String, System)| Digest::of(system.a());
        let digests = named.iter().map(of).collect::<Result<Vec<_>>>()?;
        let (seen, held) = digests.split_at(learn.min(digests.len()));
        let both = held.iter().enumerate().find_map(|(k, digest)| {
            Some((learn + k, seen.iter().position(|other| other.values == digest.values)?))
        });
        if let Some((held, seen)) = both {
            return Err(Error::Data(format!(
                "{} is held back for validation, and the same matrix as {}, which is learnt from",
                named[held].0, named[seen].0
            )));
        }
        let one = |((name, system), digest): (&(String, System), &Digest)| {
            let Digest { pattern, values } = digest;
            let n = system.a().n_global();
            json!({ "name": name, "n": n, "pattern": pattern, "values": values })
        };
        let digests: Vec<Value> = named.iter().zip(&digests).map(one).collect();
        let described = json!([{ "kind": MATRICES, "count": named.len(), "digests": digests }]);
        let systems = named.into_iter().map(|(_, system)| system).collect();
        Ok(Listed { systems, described })
    }
}

impl Samples for Listed {
    fn families(&self) -> usize {
        1
    }
    fn sample(&self, _: usize, _: u64, index: u64) -> Result<System> {
        let there = self.systems.len();
        let asked = usize::try_from(index).ok().and_then(|index| self.systems.get(index));
        asked.cloned().ok_or_else(|| {
            let why = "lower 'pool' or 'validation'";
            Error::Data(format!("training asks for matrix {index}, and there are {there}: {why}"))
        })
    }
    fn describe(&self) -> String {
        self.described.to_string()
    }
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
    /// The loss on the systems kept for validation, after so many steps. Libraries of the ABI before 1.1 do not tell it.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::{Families, Poisson, Problem};

    #[test]
    fn errors_call_a_file_by_its_name_and_a_model_problem_by_its_number() {
        let families = Families::new(vec![Problem::Poisson(Poisson::at_level(2))]).expect("one");
        assert_eq!(name_of(&families, 0, 7), "training system 7 of problem 0");
        let system = |index| families.sample(0, 1, index).expect("made");
        let named = vec![("a.mtx".to_owned(), system(0)), ("b.mtx".to_owned(), system(1))];
        let listed = Listed::new(named, 1).expect("two matrices");
        assert_eq!(name_of(&listed, 0, 1), "b.mtx");
        assert_eq!(name_of(&listed, 0, 2), "training system 2 of problem 0");
    }
}
