//! Predictions against the counters of real runs, number by number, on ranks as threads.
use super::schedule::{self, Measured};
use super::work;
use precondor_core::comm::count::{Counted, Counter, Flow};
use precondor_core::comm::predict::{self, Layout, Rank, Stencil};
use precondor_core::comm::{Comm, threads};
use precondor_core::matrix::ExplicitKind;
use precondor_core::precond::{Identity, Preconditioner};
use precondor_core::problem::{Poisson, Problem};
use precondor_core::registry::{DynGenerator, Native, NativeTrainable};
use precondor_core::solver::{Algorithm, Criterion, Norm, Outcome, Step, Stop, solve};
use precondor_core::system::System;
use precondor_testkit::methods::Methods;
use serde_json::{Value, json};
use std::ops::ControlFlow;
use std::sync::Arc;

/// Nodes a side and ranks: whole rows of the grid a rank, cuts inside rows, blocks shorter than a row.
const LAYOUTS: [(usize, usize); 6] = [(8, 4), (7, 2), (15, 3), (15, 7), (9, 12), (31, 4)];

fn methods() -> Vec<(Arc<dyn DynGenerator>, Value)> {
    use precondor_plugin_ilu::{Ic, Ilu};
    use precondor_plugin_jacobi::Jacobi;
    use precondor_plugin_mlp::fsai::MlpFsai;
    use precondor_plugin_spai::{Fsai, Spai};
    vec![
        (Native::<Jacobi>::method(), json!({})),
        (Native::<Spai>::method(), json!({})),
        (Native::<Spai>::method(), json!({ "power": 0 })),
        (Native::<Spai>::method(), json!({ "power": 2 })),
        (Native::<Spai>::method(), json!({ "symmetrize": true })),
        (Native::<Fsai>::method(), json!({})),
        (Native::<Fsai>::method(), json!({ "power": 2 })),
        (NativeTrainable::<MlpFsai>::method(), json!({})),
        (Native::<Ic>::method(), json!({})),
        (Native::<Ilu>::method(), json!({})),
    ]
}

/// Runs `f` on the ranks of a layout, with the system of that grid and what this rank has sent.
fn on_ranks<T: Send>((m, p): (usize, usize), f: impl Fn(&System, &Counter) -> T + Sync) -> Vec<T> {
    threads::run(p, |comm| {
        let counted = Counted::new(comm);
        let counter = counted.counter();
        let problem = Problem::Poisson(Poisson { nodes: Some(m), ..Poisson::default() });
        let (system, _) = problem.generate(Comm::new(Arc::new(counted))).unwrap();
        let inner = Native::<precondor_plugin_ilu::Ic>::method();
        f(&system.with_host(Methods::of([inner])), &counter)
    })
}

fn layout((m, p): (usize, usize)) -> Layout {
    Layout { m: m as u64, p: p as u64 }
}

/// Global columns of the entries of the stored factor, where M is kept as one, else none; and the
/// flops of an application by the numbers that M holds.
fn stored(m: &dyn Preconditioner, system: &System) -> (Vec<u64>, u64) {
    let n = system.a().n_own() as u64;
    let Some(explicit) = m.explicit() else {
        // ILU stores all entries of its factors, IC those below the diagonal and the diagonal; Jacobi has
        // nothing else.
        let entries = m.stored_entries() as u64;
        let flops = if m.properties().symmetric { 4 * (entries - n) + n } else { 2 * entries - n };
        return (vec![], flops);
    };
    let entries = (explicit.own.values.len() + explicit.ghost.values.len()) as u64;
    if explicit.kind == ExplicitKind::Inverse {
        return (vec![], 2 * entries);
    }
    let start = system.a().space().start();
    let own = explicit.own.cols.iter().map(|&j| start + u64::from(j));
    let ghost = explicit.ghost.cols.iter().map(|&g| explicit.ghost_ids[g as usize]);
    (own.chain(ghost).collect(), 2 * entries)
}

#[test]
fn an_application_sends_and_computes_what_was_predicted() {
    for at in LAYOUTS {
        for (method, params) in methods() {
            let counted = on_ranks(at, |system, counter| {
                let m = method.generate(&params, system).unwrap();
                let (r, mut z) = (vec![1.0; system.a().n_own()], vec![0.0; system.a().n_own()]);
                let before = counter.read();
                m.apply(&r, &mut z).unwrap();
                (counter.read() - before, stored(&*m, system))
            });
            let predicted = work::application(layout(at), method.name(), &params).unwrap();
            for (rank, predicted) in predicted.into_iter().enumerate() {
                let rows = layout(at).rows(rank as u64);
                // A rank's rows of Gᵀ are the columns of G that it owns.
                let columns = counted.iter().flat_map(|(_, (columns, _))| columns);
                let transposed = columns.filter(|column| rows.contains(column)).count() as u64;
                let (traffic, (_, flops)) = &counted[rank];
                let counted = Rank { traffic: *traffic, flops: flops + 2 * transposed };
                let what = format!("{} {params} on {at:?}, rank {rank}", method.name());
                assert_eq!(predicted, counted, "{what}");
            }
        }
    }
}

#[test]
fn overlapping_blocks_send_and_compute_what_was_predicted() {
    let method = Native::<precondor_plugin_schwarz::Schwarz>::method();
    for at in LAYOUTS {
        for params in [
            json!({ "method": "ic", "overlap": 0 }),
            json!({ "method": "ic" }),
            json!({ "method": "ic", "overlap": 2, "variant": "additive" }),
            json!({ "method": "ic", "variant": "restricted" }),
        ] {
            let counted = on_ranks(at, |system, counter| {
                let m = method.generate(&params, system).unwrap();
                let (r, mut z) = (vec![1.0; system.a().n_own()], vec![0.0; system.a().n_own()]);
                let before = counter.read();
                m.apply(&r, &mut z).unwrap();
                let traffic = counter.read() - before;
                // Rows of the block where it has one layer.
                let rows = system.a().n_own() + system.a().ghost_ids().len();
                (traffic, m.stored_entries() as u64, rows as u64)
            });
            let predicted = work::application(layout(at), "schwarz", &params).unwrap();
            for (rank, predicted) in predicted.into_iter().enumerate() {
                let what = format!("{params} on {at:?}, rank {rank}");
                let (traffic, entries, rows) = counted[rank];
                assert_eq!(predicted.traffic, traffic, "{what}");
                if params == json!({ "method": "ic" }) {
                    // L twice, its diagonal, and the weights twice.
                    let flops = 4 * (entries - rows) + rows + 2 * rows;
                    assert_eq!(predicted.flops, flops, "{what}");
                }
            }
        }
    }
}

#[test]
fn reference_solves_send_what_was_predicted() {
    use precondor_plugin_mlp::reference::MlpReference;
    use precondor_plugin_reference::{FastPoisson, Reference};
    let network = NativeTrainable::<MlpReference>::method;
    let methods = [
        (Native::<FastPoisson>::method(), json!({})),
        (Native::<Reference>::method(), json!({ "smoother": "chebyshev", "bad_nodes": 0.0 })),
        (
            Native::<Reference>::method(),
            json!({ "smoother": "chebyshev", "degree": 3, "bad_nodes": 0.0 }),
        ),
        (
            Native::<Reference>::method(),
            json!({ "smoother": "jacobi", "interpolation": 0.0, "bad_nodes": 0.0 }),
        ),
        (Native::<Reference>::method(), json!({ "smoother": "none", "bad_nodes": 0.0 })),
        (network(), json!({})),
        (network(), json!({ "variant": "stencil" })),
        (network(), json!({ "variant": "sweep" })),
    ];
    for at in LAYOUTS {
        for (method, params) in &methods {
            let counted = on_ranks(at, |system, counter| {
                let m = method.generate(params, system).unwrap();
                let (r, mut z) = (vec![1.0; system.a().n_own()], vec![0.0; system.a().n_own()]);
                let before = counter.read();
                m.apply(&r, &mut z).unwrap();
                counter.read() - before
            });
            let predicted = work::application(layout(at), method.name(), params).unwrap();
            for (rank, predicted) in predicted.into_iter().enumerate() {
                let what = format!("{} {params} on {at:?}, rank {rank}", method.name());
                assert_eq!(predicted.traffic, counted[rank], "{what}");
            }
        }
    }
}

#[test]
fn setups_fetch_what_was_predicted() {
    let mut checked = 0;
    for at in LAYOUTS {
        for (method, params) in methods() {
            let Some(predicted) = work::setup(layout(at), method.name(), &params) else { continue };
            let counted: Vec<Flow> = on_ranks(at, |system, counter| {
                system.a().first_unsymmetric().unwrap();
                let before = counter.read();
                let _m = method.generate(&params, system).unwrap();
                (counter.read() - before).all_to_all
            });
            assert_eq!(predicted, counted, "{} {params} on {at:?}", method.name());
            checked += 1;
        }
    }
    assert!(checked >= 3 * LAYOUTS.len(), "{checked}");
    for at in LAYOUTS {
        let looking: Vec<Flow> = on_ranks(at, |system, counter| {
            let before = counter.read();
            assert_eq!(system.a().first_unsymmetric().unwrap(), None);
            (counter.read() - before).all_to_all
        });
        assert_eq!(predict::symmetry(layout(at)), looking, "{at:?}");
    }
}

/// What the ranks sent from the first measure to the last in `count` iterations.
fn iterating(
    at: (usize, usize),
    method: Algorithm,
    params: Option<(&Arc<dyn DynGenerator>, &Value)>,
    measured: Measured,
    count: usize,
) -> Vec<precondor_core::comm::count::Traffic> {
    on_ranks(at, |system, counter| {
        let a = system.a();
        let m: Box<dyn Preconditioner> = match params {
            None => Box::new(Identity),
            Some((method, params)) => method.generate(params, system).unwrap(),
        };
        let far = vec![9.0; a.n_own()];
        let criterion = match measured {
            Measured::Error => Criterion::AbsoluteError(&far),
            Measured::Residual(norm) => Criterion::Residual { norm, absolute: 0.0 },
        };
        let stop =
            Stop { criterion, tolerance: 0.0, max_iterations: count, divergence: f64::INFINITY };
        let (b, mut x) = (vec![1.0; a.n_own()], vec![0.0; a.n_own()]);
        let mut readings = Vec::new();
        let mut watch = |_: &Step| {
            readings.push(counter.read());
            ControlFlow::Continue(())
        };
        let report = solve(&method, a, &*m, &b, &mut x, &stop, &mut watch).unwrap();
        assert_eq!((report.outcome, report.iterations), (Outcome::IterationLimit, count));
        readings[count] - readings[0]
    })
}

#[test]
fn iterations_send_what_was_predicted() {
    let solvers = [
        Algorithm::Richardson { damping: 0.1 },
        Algorithm::Cg,
        Algorithm::FlexibleCg,
        Algorithm::Minres,
        Algorithm::LeftGmres { restart: 3 },
        Algorithm::Bicgstab,
        Algorithm::Gmres { restart: 3 },
        Algorithm::FlexibleGmres { restart: 2 },
    ];
    let fsai = Native::<precondor_plugin_spai::Fsai>::method();
    for at in LAYOUTS {
        let (grid, params) = (layout(at), json!({}));
        let products = predict::product(grid, &Stencil::seven());
        let norms = [Norm::Unpreconditioned, Norm::Preconditioned, Norm::Natural];
        let all = solvers.into_iter().flat_map(|solver: Algorithm| {
            let norms = norms.into_iter().filter(move |&norm| solver.has(norm));
            let residuals = norms.map(Measured::Residual);
            residuals.chain([Measured::Error]).map(move |measured| (solver, measured))
        });
        for (solver, measured) in all {
            for with in [None, Some((&fsai, &params))] {
                let name = with.map_or("none", |(method, _)| method.name());
                let applications = work::application(grid, name, &params).unwrap();
                for count in [1, 4, 7] {
                    let counted = iterating(at, solver, with, measured, count);
                    let size = (grid.n(), count);
                    let demand = schedule::iterations(&solver, measured, size, count as u64);
                    for (rank, counted) in counted.into_iter().enumerate() {
                        let rows = grid.rows(rank as u64);
                        let (product, application) = (products[rank], applications[rank]);
                        let predicted =
                            demand.on(grid.p, rows.end - rows.start, product, application);
                        assert_eq!(
                            predicted.traffic, counted,
                            "{count} of {solver:?} by {measured:?} with {name} on {at:?}, rank {rank}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn products_touch_the_entries_that_are_there() {
    for at in LAYOUTS {
        let entries = on_ranks(at, |system, _| 2 * system.a().nnz_own() as u64);
        let predicted = predict::product(layout(at), &Stencil::seven());
        assert_eq!(predicted.iter().map(|rank| rank.flops).collect::<Vec<_>>(), entries);
    }
}
