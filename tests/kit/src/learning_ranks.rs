//! Training on several ranks, whatever is trained: one run, the same on all.
use crate::learning::Keeper;
use precondor_core::comm::threads;
use precondor_core::host::{Alone, Host};
use precondor_core::prelude::*;
use precondor_core::problem::{Families, Poisson, Problem};
use precondor_core::registry::NativeTrainable;
use precondor_core::train::{Samples, Trainable, Training};
use serde::Serialize;
use serde_json;
use std::sync::Arc;

/// What a rank is given.
#[derive(Default)]
pub struct Given {
    /// The state to go on from.
    pub resume: Option<Vec<u8>>,
    /// Who watches.
    pub watch: Keeper,
    /// The first sample that this rank cannot make.
    pub spoiled: Option<u64>,
}

/// Poisson systems of some levels, one of which cannot be made.
struct Spoiled(Families, Option<u64>);

impl Samples for Spoiled {
    fn families(&self) -> usize {
        self.0.families()
    }
    fn sample(&self, family: usize, seed: u64, index: u64) -> Result<System> {
        if self.1 == Some(index) {
            return Err(Error::Data("no such luck".into()));
        }
        self.0.sample(family, seed, index)
    }
    fn describe(&self) -> String {
        self.0.describe()
    }
}

/// Trains as a host does on every rank; the models, or why there is none, and what was seen.
pub fn on_ranks<T: Trainable>(
    ranks: usize,
    params: &impl Serialize,
    levels: &[u32],
    given: impl Fn(usize) -> Given + Sync,
) -> Vec<(Result<Vec<u8>>, Keeper)> {
    let params = serde_json::to_value(params).unwrap();
    threads::run(ranks, |backend| {
        let comm = Comm::new(backend);
        let Given { resume, mut watch, spoiled } = given(comm.rank());
        let problem =
            |&level: &u32| Problem::Poisson(Poisson { shift: 0.3, ..Poisson::at_level(level) });
        let samples =
            Spoiled(Families::new(levels.iter().map(problem).collect()).unwrap(), spoiled);
        let host: Arc<dyn Host> = Arc::new(Alone);
        let resume = resume.as_deref();
        let training =
            Training { comm: &comm, host: &host, samples: &samples, resume, watch: &mut watch };
        let trained = NativeTrainable::<T>::method().train(&params, training);
        // Nobody is left behind in a collective operation.
        comm.scope(|| comm.sum(&mut [1.0])).unwrap();
        (trained, watch)
    })
}

/// Models and checkpoints are the same on all ranks and in every run, and a run that goes on from a
/// checkpoint, or from where a watcher of one rank stopped it, ends with the same bytes.
pub fn is_one_run<T: Trainable>(params: &impl Serialize, levels: &[u32]) {
    for ranks in [2, 3] {
        // What other ranks would like plays no part.
        let every = |rank: usize| if rank == 0 { 20 } else { 7 };
        let keeper = |rank| Keeper { every: every(rank), ..Keeper::default() };
        let run = || {
            on_ranks::<T>(ranks, params, levels, |rank| Given {
                watch: keeper(rank),
                ..Given::default()
            })
        };
        let whole = run();
        let again = run();
        let model = whole[0].0.as_ref().unwrap();
        for ((trained, watch), (trained_too, watch_too)) in whole.iter().zip(&again) {
            assert!(trained.as_ref().unwrap() == model && trained_too.as_ref().unwrap() == model);
            assert_eq!(watch.losses, whole[0].1.losses);
            assert_eq!(watch.losses, watch_too.losses);
            assert_eq!(watch.checkpoints.len(), (watch.losses.len() - 1) / 20);
            assert!(watch.checkpoints == whole[0].1.checkpoints);
        }
        let on_from = |checkpoint: &[u8]| {
            on_ranks::<T>(ranks, params, levels, |_| Given {
                resume: Some(checkpoint.to_vec()),
                ..Given::default()
            })
        };
        for (resumed, _) in on_from(whole[0].1.checkpoints.last().unwrap()) {
            assert!(resumed.unwrap() == *model);
        }
        let stopped = on_ranks::<T>(ranks, params, levels, |rank| Given {
            watch: Keeper { stop_after: (rank == 1).then_some(23), ..Keeper::default() },
            ..Given::default()
        });
        for (end, watch) in &stopped {
            assert_eq!(*end, Err(Error::Interrupted));
            assert_eq!(watch.losses.len(), 23);
        }
        for (resumed, _) in on_from(&stopped[0].1.checkpoints[0]) {
            assert!(resumed.unwrap() == *model);
        }
        // With another number of ranks it would be another run.
        let other = on_ranks::<T>(ranks + 1, params, levels, |_| Given {
            resume: Some(whole[0].1.checkpoints[0].clone()),
            ..Given::default()
        });
        let expected = format!("belongs to a run on {ranks} ranks, now {}", ranks + 1);
        for (end, _) in other {
            let text = end.unwrap_err().to_string();
            assert!(text.contains(&expected), "{text}");
        }
    }
}

/// What a rank is given where one rank cannot make a sample.
pub fn no_sample(guilty: bool) -> Given {
    Given { spoiled: guilty.then_some(1), ..Given::default() }
}

/// The same for a checkpoint that cannot be kept.
pub fn no_room(guilty: bool) -> Given {
    Given { watch: Keeper { every: 10, full: guilty, ..Keeper::default() }, ..Given::default() }
}

/// Whatever goes wrong on one rank ends the training of all, with its words.
pub fn fails_everywhere<T: Trainable>(
    params: &impl Serialize,
    levels: &[u32],
    given: &(impl Fn(bool) -> Given + Sync),
    says: &str,
) {
    for guilty in 0..3 {
        let ends = on_ranks::<T>(3, params, levels, |rank| given(rank == guilty));
        for (rank, (end, _)) in ends.into_iter().enumerate() {
            let error = end.unwrap_err();
            let text = error.to_string();
            assert!(text.contains(says), "{text}");
            let elsewhere =
                matches!(error.root(), Error::Elsewhere { rank, .. } if *rank == guilty);
            assert_eq!(elsewhere, rank != guilty, "{text}");
        }
    }
}
