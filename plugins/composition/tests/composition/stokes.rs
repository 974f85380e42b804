//! Stokes systems, the zero block last, first or among the others.
use crate::dense::on_ranks;
use crate::support::made_with;
use crate::systems::{Order, stokes};
use precondor_sdk::conformance::json;
use precondor_sdk::core::solver::{Criterion, Method, Outcome, Stop, solve};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::Value;

/// Iterations until the residual is 1e-8 of the right-hand side.
fn iterations(method: Method, m: usize, order: Order, params: &Value, rows: &[usize]) -> usize {
    let (a, fields) = stokes(m, order);
    let pressures = fields.iter().filter(|&&f| f == 1).count();
    // The mass matrix of the pressures, times h² as the equations are.
    let mass = 1.0 / (m * m) as f64;
    let mut file = format!(
        "%%MatrixMarket matrix coordinate real general\n{pressures} {pressures} {pressures}\n"
    );
    (1..=pressures).for_each(|i| file += &format!("{i} {i} {mass:e}\n"));
    let rows = if rows.is_empty() { vec![a.n_rows()] } else { rows.to_vec() };
    let all = on_ranks(&a, &rows, |system| {
        let a = system.a().clone();
        let mut section = params.clone();
        section["name"] = "fieldsplit".into();
        let m = made_with(section, system, &[("mass.mtx", &file)]).unwrap();
        let stop = Stop {
            criterion: Criterion::RelativeResidual,
            tolerance: 1e-8,
            max_iterations: 500,
            divergence: 1e5,
        };
        let b: Vec<f64> = (0..a.n_own()).map(|i| (a.global_row(i) as f64).sin()).collect();
        let (mut x, watch) = (vec![0.0; b.len()], &mut |_: &_| std::ops::ControlFlow::Continue(()));
        let report = solve(&method, &a, &*m, &b, &mut x, &stop, watch).unwrap();
        assert_eq!(report.outcome, Outcome::Converged);
        report.iterations
    });
    assert!(all.iter().all(|its| *its == all[0]));
    all[0]
}

#[test]
fn print_iterations() {
    let gmres = Method::Gmres { restart: 100 };
    for m in [8, 16, 32] {
        for order in [Order::Last, Order::First, Order::Mixed] {
            for (what, more) in [
                ("diag", json!({})),
                ("lumped", json!({"approximation": "lumped"})),
                ("mass", json!({"matrix": "mass.mtx"})),
            ] {
                let with = |methods: Value, factorisation: &str| {
                    let mut params = json!({"methods": methods, "factorisation": factorisation});
                    more.as_object().unwrap().iter().for_each(|(k, v)| params[k] = v.clone());
                    params
                };
                let second = if what == "mass" { "jacobi" } else { "ic" };
                let its = |method, fact: &str, first: &str| {
                    iterations(method, m, order, &with(json!([first, second]), fact), &[])
                };
                println!(
                    "{m} {order:?} {what}: minres diag {}, gmres diag {} full {} lower {} upper {}, ilu1 full {}",
                    its(Method::Minres, "diag", "ic"),
                    its(gmres, "diag", "ic"),
                    its(gmres, "full", "ic"),
                    its(gmres, "lower", "ic"),
                    its(gmres, "upper", "ic"),
                    iterations(
                        gmres,
                        m,
                        order,
                        &with(json!([{"name":"ilu","level":2}, second]), "full"),
                        &[]
                    )
                );
            }
        }
    }
}
