//! What goes wrong inside a method stays there; what is lent is kept, or copied, as said.

use crate::methods;
use crate::support::{applied, solo};
use precondor_core::comm::Comm;
use precondor_core::comm::Solo;
use precondor_core::host::{Alone, Host};
use precondor_core::matrix::{Csr, CsrStorage, DistCsr, OwnedArrays, Space, Values};
use precondor_core::precond::Preconditioner;
use precondor_core::registry::{Native, NativeTrainable};
use precondor_core::system::System;
use precondor_core::train::{Progress, Samples, Training, Watch};
use precondor_core::{Error, Result};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn a_panic_poisons_its_instance_and_no_other() {
    let method = methods::named("panicky");
    let system = solo(3);
    let error = method.generate(&json!({"generate": true}), &system).err();
    assert_eq!(error, Some(Error::Panicked("on purpose".into())));
    let new = || method.generate(&json!({"apply": true}), &system).expect("generates");
    let (one, other) = (new(), new());
    let (good, bad) = ([1.0; 3], [f64::NAN; 3]);
    let mut z = [0.0; 3];
    assert_eq!(one.apply(&good, &mut z), Ok(()));
    assert_eq!(one.apply(&bad, &mut z), Err(Error::Panicked("on purpose".into())));
    let later = one.apply(&good, &mut z).expect_err("poisoned").to_string();
    assert!(later.contains("an earlier call panicked"), "{later}");
    assert!(one.notes()[0].contains("an earlier call panicked"));
    assert_eq!(other.apply(&good, &mut z), Ok(()));
    // An error is no panic: the instance goes on.
    let third = method.generate(&json!({"error": true}), &system).expect("generates");
    assert_eq!(third.apply(&bad, &mut z), Err(Error::Data("on purpose".into())));
    assert_eq!(third.apply(&good, &mut z), Ok(()));
}

#[test]
fn a_real_library_that_panics_is_contained() {
    let here = std::env::current_exe().expect("this test");
    let folder = here.parent().and_then(|deps| deps.parent()).expect("deps of a profile");
    let file = folder.join("examples/libprecondor_plugin_panics.so");
    assert!(file.exists(), "build it: cargo build -p precondor-host --examples");
    let method = crate::support::load(&file).expect("a plugin").remove(0);
    let system = solo(2);
    let error = method.generate(&json!({"generate": true}), &system).err();
    assert_eq!(error, Some(Error::Panicked("told to panic in generate".into())));
    let new = || method.generate(&json!({}), &system).expect("generates");
    let (one, other) = (new(), new());
    let mut z = [0.0; 2];
    let end = one.apply(&[1.0, -1.0], &mut z);
    assert_eq!(end, Err(Error::Panicked("told to panic in apply".into())));
    assert!(matches!(one.apply(&[1.0, 1.0], &mut z), Err(Error::Panicked(_))), "poisoned");
    assert_eq!(other.apply(&[1.0, 2.0], &mut z), Ok(()));
    assert_eq!(z, [1.0, 2.0]);
}

#[test]
fn parts_of_a_method_cross_the_boundary() {
    let system =
        solo(5).with_aux("coefficient", 2, (0..10).map(f64::from).collect()).expect("fits");
    let loaded = methods::named("keeper").generate(&json!({}), &system).expect("generates");
    let native = Native::<methods::Keeper>::method().generate(&json!({}), &system).expect("same");
    assert_eq!(applied(&*loaded, 5), applied(&*native, 5));
    assert_eq!(loaded.notes(), native.notes());
    assert_eq!(loaded.notes().len(), 1);
    let r: Vec<f64> = (0..10).map(|i| f64::from(i).cos()).collect();
    let (mut z, mut y) = (vec![0.0; 10], vec![0.0; 10]);
    loaded.apply_many(2, &r, &mut z).expect("applies");
    for j in 0..2 {
        loaded.apply(&r[5 * j..5 * (j + 1)], &mut y[5 * j..5 * (j + 1)]).expect("applies");
    }
    assert_eq!(z, y);
    let mut product = vec![0.0; 5];
    let (expected, mut twice) = (z[..5].to_vec(), vec![0.0; 5]);
    loaded.apply_and_multiply(&r[..5], &mut z[..5], &mut product).expect("applies");
    loaded.apply(&expected, &mut twice).expect("applies");
    assert_eq!((&z[..5], product), (&expected[..], twice));
    let none = methods::named("panicky").generate(&json!({}), &system).expect("generates");
    let refused = none.apply_and_multiply(&r[..5], &mut z[..5], &mut y[..5]).unwrap_err();
    assert!(matches!(refused, Error::Unsupported(_)), "{refused}");
    y[..5].copy_from_slice(&z[..5]);
    assert!(loaded.apply_transpose(&r[..5], &mut z[..5]).is_ok());
    assert_eq!(z[..5], y[..5]);
    assert!(loaded.apply_many(2, &r[..9], &mut z).is_err());
    let shown = loaded.explicit().expect("explicit");
    assert_eq!(shown.own.row_ptr, system.a().own().view().row_ptr);
    assert_eq!(shown.own.values, Values::F64(system.a().own().view().values));
    // No part where none is offered.
    let other = methods::named("panicky").generate(&json!({}), &system).expect("generates");
    assert!(other.explicit().is_none() && other.notes().is_empty());
}

/// Arrays on loan: whoever keeps them gets a copy.
struct Loan {
    arrays: OwnedArrays,
    copies: Arc<AtomicUsize>,
}

impl CsrStorage for Loan {
    fn row_ptr(&self) -> &[u32] {
        &self.arrays.row_ptr
    }
    fn cols(&self) -> &[u32] {
        &self.arrays.cols
    }
    fn values(&self) -> &[f64] {
        &self.arrays.values
    }
    fn retain(self: Arc<Self>) -> Arc<dyn CsrStorage> {
        self.copies.fetch_add(1, Ordering::Relaxed);
        Arc::new(self.arrays.clone())
    }
}

#[test]
fn a_kept_matrix_is_shared_where_it_is_owned_and_copied_where_it_is_on_loan() {
    let place = |m: &dyn Preconditioner| m.explicit().expect("explicit").own.cols.as_ptr();
    let owned = solo(4);
    let m = methods::named("keeper").generate(&json!({}), &owned).expect("generates");
    assert_eq!(place(&*m), owned.a().own().view().cols.as_ptr(), "shared, not copied");
    drop(owned);
    assert_eq!(applied(&*m, 4).len(), 4);

    let copies = Arc::new(AtomicUsize::new(0));
    let loan = Arc::new(Loan {
        arrays: OwnedArrays { row_ptr: vec![0, 1, 2], cols: vec![0, 1], values: vec![2.0, 4.0] },
        copies: Arc::clone(&copies),
    });
    let lender = Arc::clone(&loan);
    let own = Csr::from_storage(2, loan).expect("sound");
    let ghost = Csr::new(0, vec![0; 3], vec![], vec![]).expect("sound");
    let a = DistCsr::from_parts(own, ghost, vec![], Space::solo(2), Arc::new(Solo)).expect("fits");
    let system = System::new(a);
    // Methods that keep nothing copy nothing.
    let none = methods::named("panicky").generate(&json!({}), &system).expect("generates");
    assert_eq!(copies.load(Ordering::Relaxed), 0);
    drop(none);
    let m = methods::named("keeper").generate(&json!({}), &system).expect("generates");
    assert_ne!(place(&*m), lender.arrays.cols().as_ptr());
    assert!(copies.load(Ordering::Relaxed) > 0);
    drop((system, lender));
    let mut z = [0.0; 2];
    m.apply(&[1.0, 1.0], &mut z).expect("applies");
    assert_eq!(z, [2.0, 4.0]);
}

struct Families;
impl Samples for Families {
    fn families(&self) -> usize {
        2
    }
    fn sample(&self, family: usize, seed: u64, index: u64) -> Result<System> {
        if family >= 2 {
            return Err(Error::Parameter(format!("no family {family}")));
        }
        Ok(solo(2 + family as u64 + seed + index))
    }
    fn describe(&self) -> String {
        "{\"kind\":\"tridiagonal\"}".into()
    }
}

#[derive(Default)]
struct Log {
    progress: Vec<Progress>,
    validated: Vec<(u64, f64)>,
    checkpoints: Vec<Vec<u8>>,
    stop_after: Option<usize>,
}
impl Watch for Log {
    fn progress(&mut self, progress: &Progress) {
        self.progress.push(*progress);
    }
    fn validated(&mut self, step: u64, loss: f64) {
        self.validated.push((step, loss));
    }
    fn checkpoint(&mut self, state: &[u8]) -> Result<()> {
        self.checkpoints.push(state.to_vec());
        match self.checkpoints.len() {
            100 => Err(Error::file("model", "the disk is full")),
            _ => Ok(()),
        }
    }
    fn checkpoint_every(&self) -> u64 {
        2
    }
    fn cancelled(&self) -> bool {
        self.stop_after.is_some_and(|n| self.progress.len() >= n)
    }
}

#[test]
fn training_crosses_the_boundary_with_checkpoints_and_back() {
    let host: Arc<dyn Host> = Arc::new(Alone);
    let comm = Comm::solo();
    let (loaded, native) =
        (methods::named("learner"), NativeTrainable::<methods::Learner>::method());
    assert_eq!(loaded.train_schema(), native.train_schema());
    let run = |method: &dyn precondor_core::registry::DynGenerator,
               params: serde_json::Value,
               resume: Option<&[u8]>,
               log: &mut Log| {
        let training =
            Training { comm: &comm, host: &host, samples: &Families, resume, watch: log };
        method.train(&params, training)
    };
    let (mut here, mut there) = (Log::default(), Log::default());
    let model = run(&*loaded, json!({"seed": 3}), None, &mut there).expect("trains");
    assert_eq!(run(&*native, json!({"seed": 3}), None, &mut here).as_ref(), Ok(&model));
    assert_eq!((&there.progress, &there.checkpoints), (&here.progress, &here.checkpoints));
    assert_eq!(there.progress.len(), 6);
    let seen: Vec<(u64, f64)> = there.progress.iter().map(|p| (p.step, 2.0 * p.loss)).collect();
    assert_eq!((&there.validated, &here.validated), (&seen, &seen));
    assert_eq!(there.checkpoints.len(), 3);
    // Stopped, and resumed from where it was.
    let mut stopped = Log { stop_after: Some(3), ..Log::default() };
    let end = run(&*loaded, json!({"seed": 3}), None, &mut stopped);
    assert_eq!(end, Err(Error::Interrupted));
    let last = stopped.checkpoints.last().expect("a checkpoint");
    let resumed = run(&*loaded, json!({"seed": 3}), Some(last), &mut Log::default());
    assert_eq!(resumed, Ok(model));
    // Errors of both sides come through, whole.
    let error = run(&*loaded, json!({"steps": 500}), None, &mut Log::default());
    assert_eq!(error, Err(Error::file("model", "the disk is full")));
    let error = run(&*loaded, json!({}), Some(b"short"), &mut Log::default());
    assert_eq!(error, Err(Error::Data("a checkpoint of another size".into())));
    let error = run(&*loaded, json!({"step": 1}), None, &mut Log::default());
    assert!(error.expect_err("no such key").to_string().contains("did you mean 'steps'?"));
    let error = run(&*methods::named("panicky"), json!({}), None, &mut Log::default());
    assert!(matches!(error, Err(Error::Unsupported(_))));
}
