//! Checks of what outlives one matrix: refreshed for other values, saved and loaded.
use super::checks::applied;
use super::memory::allocations;
use super::setting::{Kit, other_values, seen};
use precondor_core::Error;
use precondor_core::comm::{Comm, threads};
use precondor_core::instance::Instance;
use precondor_core::matrix::Space;
use precondor_core::persist::{self, Opened};
use precondor_core::precond::Generator;
use precondor_core::registry::{Native, parameters};
use precondor_core::system::System;
use std::path::Path;
use std::sync::Arc;

#[allow(missing_docs, reason = "the names of the tests say what they check")]
impl<G: Generator> Kit<G> {
    pub fn refreshes_to_what_it_would_generate(&self) {
        self.on_ranks(|space| {
            let (old, new) = (self.spread(space, |_, _, v| v), self.spread(space, other_values));
            for mut m in self.both(&old) {
                match m.refresh(&new) {
                    Err(Error::Unsupported(_)) if !G::CAPABILITIES.refresh => continue,
                    Err(error) => panic!("{error}"),
                    Ok(()) => {}
                }
                let fresh = self.make(&new).expect("the method works");
                // Notes may tell of the refresh.
                let [refreshed, anew] = [&m, &fresh].map(|m| seen(&**m, space.n_own()));
                let text = "refreshed and generated anew";
                assert_eq!(refreshed.without_notes(), anew.without_notes(), "{text}");
            }
        });
    }

    pub fn refreshes_with_less_work_than_it_generates(&self) {
        if !G::CAPABILITIES.refresh {
            return;
        }
        let params = parameters::<G::Params>(&self.params).expect("allowed");
        let systems = [0.0, 0.5, 1.0]
            .map(|t| self.with_values(|i, j, v| v + t * (other_values(i, j, v) - v)));
        let mut made = None;
        let generated = allocations(|| {
            made = Some(G::generate(&params, &systems[0]).expect("the method works"));
        });
        let mut m = made.expect("made");
        for system in &systems[1..] {
            let refreshed =
                allocations(|| G::refresh(&mut m, &params, system).expect("the same pattern"));
            let text = "a refresh reuses what was set up";
            assert!(refreshed < generated, "{text}: {refreshed} of {generated} allocations");
        }
    }

    pub fn tells_all_ranks_of_another_pattern(&self) {
        if !G::CAPABILITIES.refresh {
            return;
        }
        let last = self.n() as u64 - 1;
        for ranks in 1..=3 {
            let ends = threads::run(ranks, |backend| {
                let space = Space::even(Comm::new(backend), self.n() as u64);
                let Ok(mut m) = self.make(&self.spread(&space, |_, _, v| v)) else { return None };
                // The last row keeps its diagonal entry, and its column, too.
                let lone = |i: u64, j: u64| (i == last) != (j == last);
                let fewer = self.some(&space, |i, j, v| (!lone(i, j)).then_some(v));
                let end = m.refresh(&fewer);
                let fresh = self.make(&fewer);
                if end.is_ok() {
                    let fresh = fresh.as_ref().expect("as it was refreshed");
                    let [refreshed, anew] = [&m, fresh].map(|m| seen(&**m, space.n_own()));
                    let text = "refreshed for another pattern";
                    assert_eq!(refreshed.without_notes(), anew.without_notes(), "{text}");
                }
                Some((end.err(), fresh.is_err()))
            });
            let ends: Vec<_> = ends.into_iter().flatten().collect();
            let told = ends.iter().filter(|(e, _)| *e == Some(Error::PatternChanged)).count();
            let refused = ends.iter().all(|(e, fresh)| e.is_some() && *fresh);
            let fitted = ends.iter().all(|(e, _)| e.is_none());
            assert!(told == ends.len() || refused || fitted, "on {ranks} ranks: {ends:?}");
        }
    }

    pub fn loads_what_it_saved(&self) {
        let (method, name) = (Native::<G>::method(), Path::new("saved"));
        // M of one rank, for what is loaded on others.
        let whole = self.whole();
        let alone = self.make(&whole).expect("the method works on the test system");
        let saved = match persist::gather(&*method, &self.params, &*alone, &whole) {
            Err(Error::Unsupported(_)) if !G::CAPABILITIES.persist => return,
            Err(Error::Unsupported(_)) if alone.explicit().is_none() => return,
            Err(error) => panic!("{error}"),
            Ok(bytes) => bytes.expect("rank 0"),
        };
        assert!(G::CAPABILITIES.persist, "it can be saved, which it does not announce");
        let r = |range: std::ops::Range<u64>| range.map(|i| (i as f64).sin()).collect::<Vec<_>>();
        let expected = applied(&*alone, &r(0..self.n() as u64));
        let largest = expected.iter().fold(0.0, |s: f64, z| s.max(z.abs()));
        self.on_ranks(|space| {
            let system = self.spread(space, |_, _, v| v);
            let open = |bytes: Option<Vec<u8>>| {
                Opened::of(space.comm(), name, || Ok(bytes.unwrap_or_default())).expect("sound")
            };
            for m in self.both(&system) {
                let bytes = persist::gather(&*method, &self.params, &*m, &system).expect("saved");
                let loaded = open(bytes).load(&*method, &self.params, &system);
                let loaded = loaded.expect("it was saved so");
                assert!(loaded.remarks().is_empty(), "{:?}", loaded.remarks());
                let loaded = loaded.into_m();
                let across = self.load_across(&m.save().expect("saved"), &system).expect("loads");
                let [was, is, there] = [&m, &loaded, &across].map(|m| seen(&**m, space.n_own()));
                let was = was.loaded();
                assert_eq!(is.loaded(), was, "loaded and saved");
                assert_eq!(there.loaded(), was, "loaded across the C tables and saved");
            }
            let opened = open((space.comm().rank() == 0).then(|| saved.clone()));
            let loaded = opened.load(&*method, &self.params, &system);
            if opened.header().rows.is_none() && space.comm().size() > 1 {
                let text = loaded.err().expect("bytes of one rank").to_string();
                assert!(text.contains("keeps each rank's part as it is"), "{text}");
                return;
            }
            let loaded = loaded.expect("its rows are spread anew");
            let first = space.start();
            let z = applied(loaded.m(), &r(first..first + space.n_own() as u64));
            for (i, z) in z.iter().enumerate() {
                let off = (z - expected[first as usize + i]).abs();
                assert!(off <= 1e-12 * largest, "row {i} of what one rank saved, off by {off:e}");
            }
        });
    }

    /// Runs `f` on one to three ranks, where the method works there.
    fn on_ranks(&self, f: impl Fn(&Arc<Space>) + Sync) {
        for ranks in 1..=3 {
            threads::run(ranks, |backend| {
                let space = Space::even(Comm::new(backend), self.n() as u64);
                match self.make(&self.spread(&space, |_, _, v| v)) {
                    Ok(_) => f(&space),
                    Err(error) => {
                        let refused =
                            matches!(error.root(), Error::Unsupported(_) | Error::Elsewhere { .. });
                        assert!(refused && ranks > 1, "on {ranks} ranks: {error}");
                    }
                }
            });
        }
    }

    /// Natively, and across the C tables.
    fn both(&self, system: &System) -> [Box<dyn Instance>; 2] {
        [self.make(system), self.make_across(system)].map(|m| m.expect("the method works"))
    }
}
