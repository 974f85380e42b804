//! Stokes systems, the zero block last, first or among the others.
use crate::dense::on_ranks;
use crate::support::made_with;
use crate::systems::{Order, stokes};
use precondor_sdk::conformance::json;
use precondor_sdk::core::solver::{Algorithm, Criterion, Outcome, Stop, solve};
use precondor_sdk::serde_json::Value;

/// Iterations until the residual is 1e-8 of the right-hand side.
fn iterations(method: Algorithm, m: usize, order: Order, params: &Value, rows: &[usize]) -> usize {
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

const GMRES: Algorithm = Algorithm::Gmres { restart: 100 };
const ORDERS: [Order; 3] = [Order::Last, Order::First, Order::Mixed];

#[test]
fn iterations_do_not_grow_where_both_approximations_are_good() {
    // So much fill that the factors of the velocities are nearly exact; the mass matrix is spectrally
    // equivalent to the Schur complement.
    let velocities = json!({"name": "ilu", "level": 40});
    for (factorisation, most) in [("full", 18), ("upper", 19), ("lower", 21), ("diag", 41)] {
        let params = json!({
            "methods": [velocities, "jacobi"], "matrix": "mass.mtx", "factorisation": factorisation
        });
        let its = [8, 16, 24].map(|m| iterations(GMRES, m, Order::Last, &params, &[]));
        assert!(its.iter().all(|&its| its <= most), "{factorisation}: {its:?}");
        assert!(its[2] <= its[1] + 4, "{factorisation}: {its:?}");
    }
}

#[test]
fn the_zero_block_may_stand_anywhere() {
    for (method, factorisation, approximation, most) in [
        (GMRES, "full", "diag", 45),
        (GMRES, "full", "lumped", 53),
        (GMRES, "lower", "diag", 57),
        (GMRES, "upper", "diag", 53),
        (Algorithm::FlexibleGmres { restart: 100 }, "full", "diag", 45),
        (Algorithm::Minres, "diag", "diag", 110),
    ] {
        let params = json!({
            "methods": ["ic"], "factorisation": factorisation, "approximation": approximation
        });
        let its = ORDERS.map(|order| iterations(method, 16, order, &params, &[]));
        assert!(its.iter().all(|&its| its <= most), "{factorisation}, {approximation}: {its:?}");
    }
}

#[test]
fn minres_takes_the_block_diagonal_and_no_other() {
    let params =
        json!({"methods": ["ic", "jacobi"], "matrix": "mass.mtx", "factorisation": "diag"});
    for order in ORDERS {
        assert!(iterations(Algorithm::Minres, 8, order, &params, &[]) <= 60);
    }
    let (a, _) = stokes(4, Order::Last);
    let is = |factorisation: &str| {
        let section = json!({
            "name": "fieldsplit", "methods": ["ic"], "factorisation": factorisation
        });
        let m = made_with(section, crate::dense::system(&a), &[]).unwrap();
        (m.properties().symmetric, m.properties().positive_definite, m.notes().join("\n"))
    };
    assert!(matches!(is("diag"), (true, true, _)));
    assert!(matches!(is("lower"), (false, false, _)));
    let (symmetric, definite, notes) = is("full");
    assert!(symmetric && !definite);
    assert!(notes.contains("M is indefinite, as A is"), "{notes}");
    assert!(notes.contains("the negative of the Schur complement"), "{notes}");
    assert!(notes.contains("fields of 24 and 15 rows, the last with a zero diagonal"), "{notes}");
}

#[test]
fn ranks_without_a_row_of_a_field_take_the_same_iterations() {
    let n = 2 * 8 * 7 + 63;
    for (factorisation, method) in [("full", GMRES), ("diag", Algorithm::Minres)] {
        let params = json!({"methods": ["fsai"], "factorisation": factorisation});
        for order in [Order::Last, Order::First] {
            let its = |rows: &[usize]| iterations(method, 8, order, &params, rows);
            let alone = its(&[]);
            // The second of these has velocities or pressures alone, the third nothing.
            for rows in [vec![n / 2, n - n / 2], vec![n - 40, 40], vec![30, 30, 0, n - 60]] {
                assert!(its(&rows).abs_diff(alone) <= 1, "{order:?} on {rows:?}");
            }
        }
    }
}

#[test]
fn a_method_that_varies_makes_a_split_that_varies() {
    let (a, _) = stokes(4, Order::Last);
    for (methods, constant) in [(["wavering", "jacobi"], false), (["jacobi", "jacobi"], true)] {
        let split = json!({"name": "fieldsplit", "methods": methods});
        let sum = json!({"name": "composite", "methods": [split, split]});
        for section in [split, sum] {
            let m = made_with(section, crate::dense::system(&a), &[]).unwrap();
            assert_eq!(m.properties().constant, constant);
        }
    }
}
