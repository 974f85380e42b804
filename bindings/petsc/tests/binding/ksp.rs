//! Solvers.
use crate::support::{petsc, processes, system, told};
use precondor_core::Error as Ours;
use precondor_petsc::{
    Error, Ksp, Mat, Norm, Petsc, Ranks, Side, Tolerances, Vec as Vector, Viewer,
};
use std::cell::RefCell;
use std::rc::Rc;

/// CG on Poisson's equation to 1e-8 in the unpreconditioned norm.
struct Setting {
    ksp: Ksp,
    b: Vector,
    x: Vector,
    mat: Mat,
}

fn setting(petsc: &Petsc) -> Setting {
    let (system, load) = system(petsc);
    let mat = Mat::from_dist(petsc, system.a()).expect("a matrix");
    let b = Vector::from_slice(petsc, Ranks::All, &load).expect("a vector");
    let x = b.like().expect("a vector");
    let mut ksp = Ksp::new(petsc, Ranks::All).expect("a solver");
    ksp.set_operators(&mat, &mat).expect("set").set_type("cg").expect("set");
    ksp.set_norm(Norm::Unpreconditioned).expect("set");
    let tolerances = Tolerances { relative: 1e-8, absolute: 0.0, ..Tolerances::default() };
    ksp.set_tolerances(&tolerances).expect("set");
    Setting { ksp, b, x, mat }
}

/// ‖b − A x‖ / ‖b‖.
fn residual(Setting { b, x, mat, .. }: &Setting) -> f64 {
    let mut r = b.like().expect("a vector");
    mat.mult(x, &mut r).expect("a product");
    r.axpy(-1.0, b).expect("a difference");
    r.norm().expect("a norm") / b.norm().expect("a norm")
}

processes! { a_system_is_solved_and_watched [Found; 2] { solved() } }
processes! { a_system_is_solved_and_watched_with_64_bits [Wide; 1] { solved() } }

fn solved() {
    let petsc = petsc();
    let mut s = setting(&petsc);
    s.ksp.pc().expect("its own").set_type("bjacobi").expect("set");
    let seen = Rc::new(RefCell::new(Vec::new()));
    let into = Rc::clone(&seen);
    s.ksp.keep_history(100).expect("kept");
    s.ksp
        .monitor(move |n, norm| {
            into.borrow_mut().push((n, norm));
            Ok(())
        })
        .expect("watched");
    let reason = s.ksp.solve(&s.b, &mut s.x).expect("solved");
    assert_eq!((reason.code, reason.name.as_str()), (2, "CONVERGED_RTOL"));
    assert!(reason.converged());
    assert!(residual(&s) < 1.1e-8);
    let iterations = s.ksp.iterations().expect("a number");
    let seen = seen.borrow();
    let numbers: Vec<usize> = seen.iter().map(|(n, _)| *n).collect();
    assert_eq!(numbers, (0..=iterations).collect::<Vec<_>>());
    let norms: Vec<f64> = seen.iter().map(|(_, norm)| *norm).collect();
    assert_eq!(s.ksp.history().expect("kept"), norms);
    assert_eq!(norms[iterations], s.ksp.residual().expect("a norm"));
    assert_eq!(norms[0], s.b.norm().expect("a norm"));
    let text = Viewer::string(&petsc, Ranks::All).expect("a viewer");
    s.ksp.view(&text).expect("shown");
    let text = text.text().expect("text");
    assert!(
        petsc.rank() > 0 || text.contains("type: cg") && text.contains("type: bjacobi"),
        "{text}"
    );
    assert_eq!(s.ksp.type_name().expect("named").as_deref(), Some("cg"));
}

processes! { not_converging_is_no_error [Found; 1] {
    let petsc = petsc();
    let mut s = setting(&petsc);
    s.ksp.pc().expect("its own").set_type("none").expect("set");
    let few = Tolerances { relative: 1e-8, iterations: 3, ..Tolerances::default() };
    s.ksp.set_tolerances(&few).expect("set");
    let reason = s.ksp.solve(&s.b, &mut s.x).expect("no error");
    assert_eq!((reason.code, reason.to_string().as_str()), (-3, "DIVERGED_ITS"));
    assert_eq!(s.ksp.iterations().expect("a number"), 3);
    // From where it stopped, with a watcher for this solve alone.
    s.ksp.set_guess_nonzero(true).expect("set");
    let many = Tolerances { iterations: 1000, ..few };
    s.ksp.set_tolerances(&many).expect("set");
    let (before, mut first) = (residual(&s), f64::NAN);
    let b_norm = s.b.norm().expect("a norm");
    let reason = s.ksp.solve_watched(&s.b, &mut s.x, |n, norm| {
        if n == 0 { first = norm / b_norm }
        Ok(())
    }).expect("solved");
    assert!(reason.converged());
    assert!((first - before).abs() < 1e-12 && first != 1.0, "it starts at {first}, not {before}");
} }

processes! { options_have_the_last_word [Found; 1] {
    let petsc = petsc();
    let mut s = setting(&petsc);
    petsc.options().prefix("mine_").set("ksp_type", Some("gmres")).expect("set")
        .set("pc_type", Some("jacobi")).expect("set")
        .set("ksp_typo", Some("1")).expect("set");
    s.ksp.set_prefix("mine_").expect("set").set_side(Side::Right).expect("set");
    s.ksp.set_restart(50).expect("set").set_from_options().expect("read");
    assert_eq!(s.ksp.type_name().expect("named").as_deref(), Some("gmres"));
    assert_eq!(format!("{:?}", s.ksp.pc().expect("its own")), "Pc(jacobi)");
    assert!(s.ksp.solve(&s.b, &mut s.x).expect("solved").converged());
    assert_eq!(petsc.options().prefix("mine_").unused().expect("read"), ["ksp_typo"]);
} }

processes! { misuse_is_an_error [Found; 1] {
    let petsc = petsc();
    let mut s = setting(&petsc);
    let e = s.ksp.set_type("nonsense").expect_err("no such type");
    assert!(e.to_string().starts_with("KSPSetType: Unknown type"), "{e}");
    assert!(e.to_string().contains("nonsense"), "{e}");
    assert!(e.traceback().starts_with("KSPSetType() at "), "{}", e.traceback());
    assert!(told(s.ksp.set_type("c\0g").map(|_| ())).contains("contains a zero byte"));
    let wrong = Tolerances { relative: 2.0, ..Tolerances::default() };
    let text = told(s.ksp.set_tolerances(&wrong).map(|_| ()));
    assert!(text.starts_with("KSPSetTolerances: "), "{text}");
    let short = Vector::new(&petsc, Ranks::All, 7).expect("a vector");
    let text = told(s.ksp.solve(&short, &mut s.x));
    assert_eq!(text, "Ksp::solve: b and x have 7 and 225 own entries for 225 rows, 225 columns");
    let mut empty = Ksp::new(&petsc, Ranks::All).expect("a solver");
    assert_eq!(told(empty.solve(&s.b, &mut s.x)), "Ksp::solve: set_operators comes first");
    assert_eq!(told(empty.set_up().map(|_| ())), "Ksp::set_up: set_operators comes first");
    let other = Mat::from_rows(&petsc, Ranks::All, 1, &[0, 1], &[0], &[1.0]).expect("a matrix");
    let text = told(s.ksp.set_operators(&s.mat, &other).map(|_| ()));
    assert!(text.contains("differ in size"), "{text}");
    // After all of that it still solves.
    assert!(s.ksp.solve(&s.b, &mut s.x).expect("solved").converged());
} }

processes! { what_a_monitor_reports_comes_back_on_all_ranks [Found; 2] { reports() } }
processes! { what_a_monitor_reports_comes_back_on_one_rank [Found; 1] { reports() } }

fn reports() {
    let petsc = petsc();
    let last = petsc.size() - 1;
    let rank = petsc.rank();
    let mut s = setting(&petsc);
    let own = |e: &Error| match e {
        Error::Callback(e) => e.clone(),
        other => panic!("{other:?}"),
    };
    let e = s
        .ksp
        .solve_watched(&s.b, &mut s.x, |n, _| match n {
            2 if rank == last => Err(Ours::Interrupted),
            _ => Ok(()),
        })
        .expect_err("it asked to stop");
    match rank == last {
        true => assert_eq!(own(&e), Ours::Interrupted),
        false => assert!(matches!(own(&e), Ours::Elsewhere { rank: 1, .. }), "{e:?}"),
    }
    s.ksp
        .monitor(move |n, _| {
            assert!(n < 3 || rank != last, "enough of it");
            Ok(())
        })
        .expect("watched");
    let e = s.ksp.solve(&s.b, &mut s.x).expect_err("it panicked");
    let panicked = Ours::Panicked("enough of it".into());
    match rank == last {
        true => assert_eq!(own(&e), panicked),
        false => assert_eq!(own(&e), Ours::Elsewhere { rank: 1, message: panicked.to_string() }),
    }
    // The next solve begins anew.
    s.ksp.monitor(|_, _| Ok(())).expect("watched");
    s.x.set(0.0).expect("set");
    assert!(s.ksp.solve(&s.b, &mut s.x).expect("solved").converged());
}

processes! { a_monitor_outlives_what_the_options_say [Found; 1] {
    let petsc = petsc();
    let mut s = setting(&petsc);
    let count = Rc::new(RefCell::new(0));
    for round in 1..=2 {
        let into = Rc::clone(&count);
        s.ksp.monitor(move |n, _| {
            *into.borrow_mut() += usize::from(n == 0);
            Ok(())
        }).expect("watched");
        s.x.set(0.0).expect("set");
        assert!(s.ksp.solve(&s.b, &mut s.x).expect("solved").converged());
        assert_eq!(*count.borrow(), round);
        // PETSc forgets its monitors here, and is told of ours once more.
        petsc.options().set("ksp_monitor_cancel", None).expect("set");
        s.ksp.set_from_options().expect("read");
    }
} }
