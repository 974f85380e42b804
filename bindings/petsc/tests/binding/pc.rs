//! Preconditioners: PETSc's, and ours inside PETSc.
use crate::support::{petsc, processes, system, told};
use precondor_core::precond::{Preconditioner, Properties};
use precondor_core::solver::{self, Algorithm, Criterion, Outcome, Stop};
use precondor_core::system::System;
use precondor_core::{Error as Ours, Result as Done};
use precondor_petsc::{Error, Ksp, Mat, Norm, Pc, Petsc, Ranks, Tolerances, Vec as Vector, Viewer};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// 1/aᵢᵢ, which may fail at one of its applications.
struct Jacobi {
    inverse: Vec<f64>,
    applied: AtomicUsize,
    fails_at: usize,
    panics: bool,
    gone: Gone,
}

/// Counts how often it was dropped.
#[derive(Default)]
struct Gone(Arc<AtomicUsize>);

impl Jacobi {
    fn new(system: &System) -> Self {
        let a = system.a();
        let inverse = (0..a.n_own()).map(|i| 1.0 / a.diagonal(i)).collect();
        let never = usize::MAX;
        let (applied, gone) = Default::default();
        Jacobi { inverse, applied, fails_at: never, panics: false, gone }
    }
}

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Preconditioner for Jacobi {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Done<()> {
        if self.applied.fetch_add(1, Ordering::Relaxed) == self.fails_at {
            assert!(!self.panics, "no more of this");
            return Err(Ours::breakdown(17, "on purpose"));
        }
        z.iter_mut().zip(r).zip(&self.inverse).for_each(|((z, r), d)| *z = r * d);
        Ok(())
    }
    fn properties(&self) -> Properties {
        Properties::SPD
    }
    fn stored_entries(&self) -> usize {
        self.inverse.len()
    }
    fn bytes(&self) -> usize {
        8 * self.inverse.len()
    }
    fn notes(&self) -> Vec<String> {
        vec!["a note of the test's own".into()]
    }
}

fn solver(petsc: &Petsc, mat: &Mat, kind: &str) -> Ksp {
    let mut ksp = Ksp::new(petsc, Ranks::All).expect("a solver");
    ksp.set_operators(mat, mat).expect("set").set_type(kind).expect("set");
    ksp.set_norm(Norm::Unpreconditioned).expect("set");
    let tolerances = Tolerances { relative: 1e-8, absolute: 0.0, ..Tolerances::default() };
    ksp.set_tolerances(&tolerances).expect("set");
    ksp
}

processes! { ours_in_petsc_counts_as_in_our_solver [Found; 1] { counts() } }
processes! { ours_in_petsc_counts_as_in_our_solver_on_two_ranks [Found; 2] { counts() } }
processes! { ours_in_petsc_counts_as_in_our_solver_with_64_bits [Wide; 1] { counts() } }

fn counts() {
    let petsc = petsc();
    let (system, load) = system(&petsc);
    let mat = Mat::from_dist(&petsc, system.a()).expect("a matrix");
    let stop = Stop {
        criterion: Criterion::RelativeResidual,
        tolerance: 1e-8,
        max_iterations: 1000,
        divergence: 1e5,
    };
    let ours = [
        ("cg", Algorithm::Cg),
        ("gmres", Algorithm::Gmres { restart: 30 }),
        ("bcgs", Algorithm::Bicgstab),
        ("richardson", Algorithm::Richardson { damping: 0.9 }),
    ];
    for (kind, method) in ours {
        let m = Jacobi::new(&system);
        let stop = match kind {
            "richardson" => Stop { tolerance: 0.1, ..stop },
            _ => stop,
        };
        let mut x = vec![0.0; load.len()];
        let go = &mut |_: &solver::Step| ControlFlow::Continue(());
        let report =
            solver::solve(&method, system.a(), &m, &load, &mut x, &stop, go).expect("ours");
        assert_eq!(report.outcome, Outcome::Converged);

        let mut ksp = solver(&petsc, &mat, kind);
        ksp.set_damping(0.9).expect("set").set_restart(30).expect("set");
        let tolerances =
            Tolerances { relative: stop.tolerance, absolute: 0.0, ..Tolerances::default() };
        ksp.set_tolerances(&tolerances).expect("set");
        let (gone, mut pc) = (Arc::clone(&m.gone.0), ksp.pc().expect("its own"));
        pc.shell("jacobi of the test", m).expect("a shell");
        let b = Vector::from_slice(&petsc, Ranks::All, &load).expect("a vector");
        let mut theirs = b.like().expect("a vector");
        let mut history = Vec::new();
        let b_norm = b.norm().expect("a norm");
        let reason = ksp
            .solve_watched(&b, &mut theirs, |n, norm| {
                history.resize(n + 1, norm / b_norm);
                Ok(())
            })
            .expect("solved");
        assert!(reason.converged(), "{kind}: {reason}");
        // The recurrences of BiCGStab drift apart by rounding; the others do not.
        let (theirs, ours) = (ksp.iterations().expect("a number"), report.iterations);
        let drift = if kind == "bcgs" { ours / 10 } else { 0 };
        assert!(theirs.abs_diff(ours) <= drift, "{kind}: {theirs} iterations, ours {ours}");
        for (n, (theirs, ours)) in history.iter().zip(&report.history).enumerate().take(20) {
            assert!((theirs - ours).abs() < 1e-6 * ours, "{kind} {n}: {theirs} {ours}");
        }
        // The solver still holds the preconditioner that this handle shows.
        drop(pc);
        assert_eq!(gone.load(Ordering::Relaxed), 0);
        drop(ksp);
        assert_eq!(gone.load(Ordering::Relaxed), 1, "{kind}: freed once, with the solver");
    }
}

processes! { errors_and_panics_of_a_shell_come_back [Found; 1] {
    let petsc = petsc();
    let (system, load) = system(&petsc);
    let mat = Mat::from_dist(&petsc, system.a()).expect("a matrix");
    let b = Vector::from_slice(&petsc, Ranks::All, &load).expect("a vector");
    let mut x = b.like().expect("a vector");
    let mut ksp = solver(&petsc, &mat, "cg");
    let mut pc = ksp.pc().expect("its own");
    for panics in [false, true] {
        let m = Jacobi { fails_at: 3, panics, ..Jacobi::new(&system) };
        pc.shell("failing", m).expect("a shell");
        let e = ksp.solve(&b, &mut x).expect_err("it fails");
        let Error::Callback(e) = e else { panic!("{e:?}") };
        match panics {
            false => assert_eq!(e.to_string(), "failing: global row 17: on purpose"),
            true => assert_eq!(e.to_string(), "failing: panicked: no more of this"),
        }
    }
    pc.shell("sound", Jacobi::new(&system)).expect("a shell");
    x.set(0.0).expect("set");
    assert!(ksp.solve(&b, &mut x).expect("solved").converged());
} }

processes! { an_error_on_one_rank_reaches_all [Found; 2] {
    let petsc = petsc();
    let (system, load) = system(&petsc);
    let mat = Mat::from_dist(&petsc, system.a()).expect("a matrix");
    let b = Vector::from_slice(&petsc, Ranks::All, &load).expect("a vector");
    for kind in ["cg", "gmres", "bcgs", "richardson"] {
        let mut x = b.like().expect("a vector");
        let mut ksp = solver(&petsc, &mat, kind);
        let fails_at = if petsc.rank() == 1 { 2 } else { usize::MAX };
        let m = Jacobi { fails_at, ..Jacobi::new(&system) };
        ksp.pc().expect("its own").shell("failing", m).expect("a shell");
        let e = ksp.solve(&b, &mut x).expect_err("it fails on rank 1");
        match petsc.rank() {
            1 => assert!(matches!(e, Error::Callback(_)), "{kind}: {e:?}"),
            _ => assert_eq!(
                e.to_string(),
                "rank 1 failed: failing: global row 17: on purpose",
                "{kind}"
            ),
        }
    }
} }

processes! { a_preconditioner_stands_alone_and_changes_its_type [Found; 1] {
    let petsc = petsc();
    let (system, load) = system(&petsc);
    let mat = Mat::from_dist(&petsc, system.a()).expect("a matrix");
    let r = Vector::from_slice(&petsc, Ranks::All, &load).expect("a vector");
    let mut z = r.like().expect("a vector");
    let mut pc = Pc::new(&petsc, Ranks::All).expect("a preconditioner");
    assert_eq!(pc.type_name().expect("none"), None);
    assert_eq!(told(pc.apply(&r, &mut z)), "Pc::apply: set_operators comes first");
    pc.set_operators(&mat, &mat).expect("set");
    let m = Jacobi::new(&system);
    let want: Vec<f64> = load.iter().zip(&m.inverse).map(|(r, d)| r * d).collect();
    let gone = Arc::clone(&m.gone.0);
    pc.shell("jacobi of the test", m).expect("a shell").set_up().expect("set up");
    pc.apply(&r, &mut z).expect("applied");
    assert_eq!(z.to_vec().expect("entries"), want);
    let text = Viewer::string(&petsc, Ranks::All).expect("a viewer");
    pc.view(&text).expect("shown");
    let text = text.text().expect("text");
    assert!(text.contains("jacobi of the test: 225 numbers, 1800 bytes"), "{text}");
    assert!(text.contains("a note of the test's own"), "{text}");
    pc.set_type("jacobi").expect("PETSc's own");
    assert_eq!(gone.load(Ordering::Relaxed), 1, "the shell is freed with its type");
    z.set(0.0).expect("set");
    pc.apply(&r, &mut z).expect("applied");
    let off = z.to_vec().expect("entries").into_iter().zip(&want).map(|(a, b)| (a - b).abs());
    assert!(off.fold(0.0, f64::max) < 1e-15);
    let short = Vector::new(&petsc, Ranks::All, 7).expect("a vector");
    let text = told(pc.apply(&short, &mut z));
    assert_eq!(text, "Pc::apply: vectors of 7 and 225 own entries for 225 rows");
    let text = told(pc.set_type("nonsense").map(|_| ()));
    assert!(text.starts_with("PCSetType: Unknown type"), "{text}");
} }

processes! { a_method_is_set_up_by_name [Found; 1] {
    let petsc = petsc();
    let (system, load) = system(&petsc);
    let mat = Mat::from_dist(&petsc, system.a()).expect("a matrix");
    let mut pc = Pc::new(&petsc, Ranks::All).expect("a preconditioner");
    // Without a host there is no method; the host of a program knows its plugins.
    let text = told(pc.method("spai", &serde_json::json!({}), &system).map(|_| ()));
    assert!(text.starts_with("no method 'spai'"), "{text}");
    let found = precondor_host::Plugins::load(&precondor_host::Search {
        extra: vec![],
        base: ".".into(),
    }).expect("plugins");
    let system = system.with_host(found.host());
    pc.set_operators(&mat, &mat).expect("set");
    let wrong = told(pc.method("spai", &serde_json::json!({ "power": -1 }), &system).map(|_| ()));
    assert!(wrong.starts_with("spai: parameter 'power': "), "{wrong}");
    pc.method("spai", &serde_json::json!({}), &system).expect("spai");
    let mut ksp = solver(&petsc, &mat, "gmres");
    ksp.pc().expect("its own").method("spai", &serde_json::json!({}), &system).expect("spai");
    let b = Vector::from_slice(&petsc, Ranks::All, &load).expect("a vector");
    let mut x = b.like().expect("a vector");
    assert!(ksp.solve(&b, &mut x).expect("solved").converged());
} }
