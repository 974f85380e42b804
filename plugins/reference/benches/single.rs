//! Setup, application and solves of the forms of `reference`, in one run: medians of alternating rounds, in milliseconds and in
//! products with A by rows. Ten right-hand sides are a setup and ten times the solve. Arguments: a grid and a form, in part, to look at those alone.
#![allow(clippy::unwrap_used, missing_docs)]
use precondor_plugin_reference::{FastPoisson, Reference};
use precondor_sdk::core::comm::Comm;
use precondor_sdk::core::problem::{Poisson, Problem, Tetrahedra};
use precondor_sdk::core::registry::{DynGenerator, Native};
use precondor_sdk::core::solver::{Algorithm, Criterion, Stop, solve};
use precondor_sdk::serde_json::{Value, json};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let value = work();
    (value, 1e3 * start.elapsed().as_secs_f64())
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() {
    let mut wanted = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let [grid, form] = [(); 2].map(|()| wanted.next().unwrap_or_default());
    let poisson = |level| Problem::Poisson(Poisson { shift: 0.25, ..Poisson::at_level(level) });
    let tetrahedra =
        |nodes| Problem::Tetrahedra(Tetrahedra { nodes, shift: 0.2, ..Tetrahedra::default() });
    let reference = || -> Arc<dyn DynGenerator> { Native::<Reference>::method() };
    let (cg, richardson) = (Algorithm::Cg, Algorithm::Richardson { damping: 1.0 });
    let post = |positions: &str| json!({"variant": "post-only", "positions": positions});
    let sweeps = json!({"smoother": "symmetric-gauss-seidel", "interpolation": 0.5});
    let mut forms: Vec<(&str, Arc<dyn DynGenerator>, Algorithm, Value)> = vec![
        ("fast-poisson", Native::<FastPoisson>::method(), cg, json!({})),
        ("symmetric", reference(), cg, json!({"positions": "none"})),
        (
            "symmetric, in double precision",
            reference(),
            cg,
            json!({"positions": "none", "precision": "f64"}),
        ),
        ("symmetric Gauss-Seidel, interpolation .5", reference(), cg, sweeps),
        ("symmetric, positions given", reference(), cg, json!({"positions": "given"})),
        ("symmetric, estimated", reference(), cg, json!({"positions": "estimated"})),
        ("post-only", reference(), richardson, post("none")),
        ("post-only, positions given", reference(), richardson, post("given")),
        ("post-only, estimated", reference(), richardson, post("estimated")),
    ];
    let exact = forms.iter().any(|(name, ..)| *name == form);
    forms.retain(|(name, ..)| *name == form || !exact && name.contains(&form));
    println!(
        "| grid | form | iterations | setup, ms (products) | M r, ms (products) | setup and solve, ms | ten right-hand sides |"
    );
    println!("|---|---|---|---|---|---|---|");
    let problems =
        [("31²", poisson(5)), ("127²", poisson(7)), ("511²", poisson(9)), ("63³", tetrahedra(63))];
    for (name, problem) in problems.into_iter().filter(|(name, _)| name.contains(&grid)) {
        let (system, b) = problem.generate(Comm::solo()).unwrap();
        let a = system.a();
        a.first_unsymmetric().unwrap();
        let mut z = vec![0.0; b.len()];
        let mut products = Vec::new();
        let mut times = vec![[const { Vec::new() }; 4]; forms.len()];
        let mut counts = vec![0; forms.len()];
        for _ in 0..9 {
            products.push(timed(|| a.spmv(&b, &mut z).unwrap()).1);
            for ((_, method, algorithm, params), (times, count)) in
                forms.iter().zip(times.iter_mut().zip(&mut counts))
            {
                let (m, setup) = timed(|| method.generate(params, &system).unwrap());
                let apply = timed(|| m.apply(&b, &mut z).unwrap()).1;
                let criterion = Criterion::RelativeResidual;
                let stop =
                    Stop { criterion, tolerance: 1e-8, max_iterations: 100, divergence: 1e6 };
                let (mut x, mut watch) = (vec![0.0; b.len()], |_: &_| ControlFlow::Continue(()));
                let (report, solved) =
                    timed(|| solve(algorithm, a, &*m, &b, &mut x, &stop, &mut watch).unwrap());
                *count = report.iterations;
                let all = [setup, apply, setup + solved, setup + 10.0 * solved];
                times.iter_mut().zip(all).for_each(|(times, time)| times.push(time));
            }
        }
        let product = median(products);
        println!("| {name} | product with A: {product:.3} ms | | | | | |");
        for ((form, ..), (times, count)) in forms.iter().zip(times.into_iter().zip(counts)) {
            let [setup, apply, one, ten] = times.map(median);
            println!(
                "| {name} | {form} | {count} | {setup:.2} ({:.1}) | {apply:.3} ({:.1}) | {one:.2} | {ten:.1} |",
                setup / product,
                apply / product
            );
        }
    }
}
