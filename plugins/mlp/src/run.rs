//! What training runs have in common: steps, progress, checkpoints, the way back from one.
//!
//! The budget of a run is counted in steps and everything random comes from small generators whose
//! state a checkpoint holds, so a run is a function of its parameters and samples, and goes on from
//! a checkpoint to bitwise the same weights.
//!
//! On several ranks training is data-parallel ([`Team`]): all ranks draw the same batches, each
//! evaluates its share, gradients are averaged over all matrices of the batch, and all ranks take the
//! same step. `batch` is counted per rank: n ranks with batch b train as one rank with batch n·b, up
//! to the rounding of sums. Every rank makes and holds all training matrices.

use std::hash::{DefaultHasher, Hasher};
use std::ops::Range;

use precondor_sdk::core::train::{Progress, Training, Watch};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::{self, Value, json};

use crate::model::{self, Card, Kind, Part, Reader};
use crate::net::Net;
use crate::optim::Adam;
use crate::random::Random;

/// A training run.
pub(crate) trait Run {
    /// Does one step. Collective.
    fn advance(&mut self) -> Result<Progress>;
    /// The model as it stands.
    fn model(&self) -> Result<Vec<u8>>;
    /// The state after the steps done.
    fn checkpoint(&self) -> Result<Vec<u8>>;
    /// Goes back to the state of a checkpoint; says how many steps it had done, and of how many.
    fn resume(&mut self, checkpoint: &[u8]) -> Result<()>;
    /// Steps done and steps in all.
    fn steps(&self) -> (u64, u64);
}

/// The ranks that train together.
pub(crate) struct Team {
    comm: Comm,
    /// What is added up over the ranks.
    sum: Vec<f64>,
}

impl Team {
    pub fn new(comm: &Comm) -> Self {
        Team { comm: comm.clone(), sum: Vec::new() }
    }

    /// Ranks.
    pub fn size(&self) -> usize {
        self.comm.size()
    }

    /// What this rank does of `count` things that are numbered over all ranks.
    pub fn share(&self, count: usize) -> Range<usize> {
        let (rank, size) = (self.comm.rank(), self.comm.size());
        count * rank / size..count * (rank + 1) / size
    }

    /// The part of `count` things that this rank's share is.
    pub fn weight(&self, count: usize) -> f64 {
        self.share(count).len() as f64 / count as f64
    }

    /// From means over this rank's share of `count` matrices, a gradient and a loss, those over all of
    /// them. Collective.
    pub fn mean(&mut self, count: usize, gradient: &mut [f32], loss: f64) -> Result<f64> {
        if self.size() == 1 {
            return Ok(loss);
        }
        let weight = self.weight(count);
        self.sum.clear();
        self.sum.extend(gradient.iter().map(|&g| weight * f64::from(g)));
        // The mean of nothing is no number.
        self.sum.push(if weight > 0.0 { weight * loss } else { 0.0 });
        self.comm.sum(&mut self.sum)?;
        let loss = self.sum.pop().unwrap_or(f64::NAN);
        gradient.iter_mut().zip(&self.sum).for_each(|(g, sum)| *g = *sum as f32);
        Ok(loss)
    }

    /// `x[i]` ← its sum over the ranks. Collective.
    pub fn sum(&self, x: &mut [f64]) -> Result<()> {
        self.comm.sum(x)
    }

    /// The words of all ranks, one rank after the other. Collective.
    pub fn gather(&self, mine: &[u64]) -> Result<Vec<u64>> {
        Ok(self.comm.all_gather(mine)?.concat())
    }
}

/// Refuses bytes that are not the same on all ranks. Collective.
///
/// # Errors
/// [`Error::Data`] with the first rank that has others than rank 0.
pub(crate) fn same(comm: &Comm, what: &str, bytes: &[u8]) -> Result<()> {
    if comm.size() == 1 {
        return Ok(());
    }
    let mut digest = DefaultHasher::new();
    digest.write(bytes);
    let digest = digest.finish();
    let all = comm.all_gather(&[digest])?;
    match all.iter().position(|theirs| *theirs != all[0]) {
        None => Ok(()),
        Some(rank) => Err(Error::Data(format!(
            "{what} is not the same on ranks 0 and {rank}; ranks that train together need the same \
             program, files and kind of processor"
        ))),
    }
}

/// Runs to the end and returns the model, the same on all ranks. Collective.
///
/// # Errors
/// [`Error::Interrupted`] after the watcher of any rank asked to stop; a checkpoint is handed over
/// first.
pub(crate) fn drive(run: &mut dyn Run, training: Training<'_>) -> Result<Vec<u8>> {
    let Training { comm, resume, watch, .. } = training;
    same(comm, "the checkpoint to go on from", resume.unwrap_or_default())?;
    if let Some(checkpoint) = resume {
        run.resume(checkpoint)?;
    }
    // The first rank's word counts, so that all check their states at the same steps.
    let every = comm.all_gather(&[watch.checkpoint_every()])?[0][0];
    let keep = |run: &dyn Run, watch: &mut dyn Watch| {
        let state = run.checkpoint()?;
        same(comm, &format!("the state after step {}", run.steps().0), &state)?;
        watch.checkpoint(&state)
    };
    while run.steps().0 < run.steps().1 {
        let mut stop = [f64::from(u8::from(watch.cancelled()))];
        comm.max(&mut stop)?;
        if stop[0] != 0.0 {
            keep(run, watch)?;
            return Err(Error::Interrupted);
        }
        let progress = run.advance()?;
        watch.progress(&progress);
        if every > 0 && progress.step.is_multiple_of(every) && progress.step < progress.steps {
            keep(run, watch)?;
        }
    }
    let model = run.model()?;
    same(comm, "the model", &model)?;
    Ok(model)
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
    /// Ranks that train together.
    pub ranks: usize,
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
    pub fn new(parameters: Vec<f32>, decay: [f64; 2], random: Random, team: &Team) -> Self {
        let (adam, ranks) = (Adam::new(parameters.len(), decay), team.size());
        State { parameters, adam, random, ranks, step: 0, last: 0.0, skipped: 0, more: Value::Null }
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
            "ranks": self.ranks,
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
            "ranks": self.ranks,
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
        let ranks = number("ranks")?;
        if ranks != self.ranks as u64 {
            return Err(Error::Data(format!(
                "the checkpoint belongs to a run on {ranks} ranks, now {}; 'batch' is counted per rank",
                self.ranks
            )));
        }
        *self = State {
            parameters,
            adam: Adam::restored(self.adam.decay(), number("adam_steps")?, mean, square),
            random: random.map_err(|_| missing("random"))?,
            ranks: self.ranks,
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

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use precondor_sdk::core::comm::threads;
    use precondor_sdk::core::host::{Alone, Host};
    use precondor_sdk::core::problem::{Families, Poisson, Problem};
    use std::sync::Arc;

    /// Loss and gradient of the first steps of a run, one for each level: `of` makes them on each of
    /// `ranks` ranks.
    pub fn on_ranks(
        ranks: usize,
        levels: &[u32],
        of: impl Fn(&Comm, &Families, &Arc<dyn Host>) -> Vec<(f64, Vec<f32>)> + Sync,
    ) -> Vec<(f64, Vec<f32>)> {
        let problem = |&level: &u32| Problem::Poisson(Poisson::at_level(level));
        let samples = Families::new(levels.iter().map(problem).collect()).unwrap();
        let host: Arc<dyn Host> = Arc::new(Alone);
        let mut all = threads::run(ranks, |comm| of(&Comm::new(comm), &samples, &host));
        assert!(all.iter().all(|theirs| *theirs == all[0]), "the same on all ranks");
        all.swap_remove(0)
    }

    /// Asserts that losses and gradients agree to 10⁻⁵.
    pub fn agree(one: &[(f64, Vec<f32>)], other: &[(f64, Vec<f32>)]) {
        assert_eq!(one.len(), other.len());
        for ((loss, gradient), (loss_too, gradient_too)) in one.iter().zip(other) {
            assert!((loss - loss_too).abs() < 1e-5 * loss.abs(), "{loss} {loss_too}");
            let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
            let size = norm(&mut gradient.iter().map(|&g| g.into()));
            let pairs = gradient.iter().zip(gradient_too);
            let off = norm(&mut pairs.map(|(a, b)| f64::from(*a) - f64::from(*b)));
            assert!(size > 0.0 && off < 1e-5 * size, "{off:e} of {size:e}");
        }
    }

    #[test]
    fn shares_cover_all_and_differ_by_one_at_most() {
        for (ranks, count) in [(1, 5), (3, 7), (4, 2), (5, 0)] {
            let shares = threads::run(ranks, |comm| Team::new(&Comm::new(comm)).share(count));
            assert_eq!(
                shares.iter().cloned().flatten().collect::<Vec<_>>(),
                Vec::from_iter(0..count)
            );
            let sizes = shares.iter().map(Range::len);
            assert!(sizes.clone().max() <= sizes.min().map(|least| least + 1));
        }
    }

    #[test]
    fn what_differs_between_ranks_is_told_on_all() {
        for guilty in 1..3 {
            let ends = threads::run(3, |comm| {
                let comm = Comm::new(comm);
                same(&comm, "the model", b"the same for all")?;
                let mut mine = *b"the same for all";
                mine[9] ^= u8::from(comm.rank() == guilty);
                same(&comm, "the model", &mine)
            });
            for end in ends {
                let text = end.unwrap_err().to_string();
                let expected = format!("the model is not the same on ranks 0 and {guilty};");
                assert!(text.starts_with(&expected), "{text}");
            }
        }
    }
}
