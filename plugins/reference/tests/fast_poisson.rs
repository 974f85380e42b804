//! The fast solve alone: exact on separable matrices of any ends, a model of others, refused where it is none.
#![allow(clippy::unwrap_used)]
use precondor_plugin_reference::FastPoisson;
use precondor_sdk::core::comm::Comm;
use precondor_sdk::core::kernel::separable::{Axis, Separable};
use precondor_sdk::core::matrix::{NullSpace, NullSpaces, Space};
use precondor_sdk::core::problem::{Problem, Tetrahedra};
use precondor_sdk::core::registry::{Native, Registry};
use precondor_sdk::core::solver::{Algorithm, Criterion, Outcome, Report, Stop, solve};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::{Value, json};
use std::ops::ControlFlow;

use precondor_testkit::ranks::{cuts, on_parts};

fn generate(params: &Value, system: &System) -> Result<Box<dyn Instance>> {
    Native::<FastPoisson>::method().generate(params, system)
}

/// Conjugate gradients to 1e-8 of the residual.
fn solved(system: &System, m: &dyn Preconditioner, b: &[f64]) -> Report {
    let criterion = Criterion::RelativeResidual;
    let stop = Stop { criterion, tolerance: 1e-8, max_iterations: 100, divergence: 1e6 };
    let (mut x, mut watch) = (vec![0.0; b.len()], |_: &_| ControlFlow::Continue(()));
    let report = solve(&Algorithm::Cg, system.a(), m, b, &mut x, &stop, &mut watch).unwrap();
    assert_eq!(report.outcome, Outcome::Converged);
    report
}

/// An axis whose nodes are `ratio` times as far apart at its end, between walls that are there or not.
fn stretched(nodes: usize, ratio: f64, walls: [bool; 2]) -> Axis {
    let spacing = |i: usize| ratio.powf(i as f64 / nodes as f64);
    let mut stiffness: Vec<f64> = (0..=nodes).map(|i| 1.0 / spacing(i)).collect();
    stiffness[0] *= f64::from(u8::from(walls[0]));
    stiffness[nodes] *= f64::from(u8::from(walls[1]));
    let mass = (0..nodes).map(|i| 0.5 * (spacing(i) + spacing(i + 1))).collect();
    Axis { stiffness, mass, periodic: false }
}

fn ring(nodes: usize) -> Axis {
    Axis { periodic: true, ..Axis::unit(nodes) }
}

fn system(axes: Vec<Axis>, shift: f64) -> System {
    let operator = Separable { axes, shift };
    let n = operator.lattice().nodes();
    let a = operator.matrix(&Space::solo(n)).unwrap();
    let system = System::new(a);
    match operator.is_singular() {
        false => system,
        true => {
            let null = NullSpace::constant(system.a().space()).unwrap();
            system.with_null_spaces(NullSpaces::symmetric(null))
        }
    }
}

#[test]
fn separable_matrices_take_one_iteration_whatever_their_ends_and_spacings() {
    for (axes, shift) in [
        (vec![stretched(20, 100.0, [true, true]), stretched(17, 0.1, [true, false])], 0.0),
        (vec![ring(24), stretched(15, 30.0, [false, true])], 0.0),
        (vec![ring(12), ring(15)], 0.0),
        (vec![stretched(16, 1.0, [false, false]), stretched(11, 1.0, [false, false])], 0.0),
        (vec![stretched(11, 50.0, [false, false]), ring(8), stretched(9, 1.0, [true, true])], 0.25),
        (
            vec![ring(6), stretched(13, 20.0, [false, false]), stretched(10, 5.0, [false, false])],
            0.0,
        ),
    ] {
        let system = system(axes, shift);
        let n = system.a().n_own();
        let mut b: Vec<f64> = (0..n).map(|i| (0.7 * i as f64).sin()).collect();
        let mean = b.iter().sum::<f64>() / n as f64;
        b.iter_mut().for_each(|b| *b -= mean);
        let m = generate(&json!({}), &system).unwrap();
        assert!(m.notes().iter().any(|n| n.starts_with("A is separable")), "{:?}", m.notes());
        let report = solved(&system, &*m, &b);
        assert!(report.iterations <= 2, "{}: {:?}", report.iterations, m.notes());
    }
}

#[test]
fn tetrahedra_take_counts_that_hardly_depend_on_their_number() {
    // As published for this operator: 13 to 15 at a quarter of a spacing up to 63³ nodes.
    for (nodes, shift, most) in [(7, 0.2, 13), (15, 0.2, 15), (23, 0.2, 16)] {
        let problem =
            Problem::Tetrahedra(Tetrahedra { nodes, shift, seed: 5, ..Tetrahedra::default() });
        let (system, b) = problem.generate(Comm::solo()).unwrap();
        let m = generate(&json!({}), &system).unwrap();
        let notes = m.notes();
        assert!(notes[0].contains(&format!("{nodes} by {nodes} by {nodes} nodes")), "{notes:?}");
        assert!(notes[1].contains("away from A"), "{notes:?}");
        let given = generate(&json!({"grid": [nodes, nodes, nodes]}), &system).unwrap();
        let count = solved(&system, &*m, &b).iterations;
        assert!(count <= most, "{nodes}: {count}");
        assert_eq!(solved(&system, &*given, &b).iterations, count);
    }
}

#[test]
fn planes_on_any_number_of_ranks_give_the_same_bits() {
    let whole = system(
        vec![ring(5), stretched(6, 3.0, [true, false]), stretched(7, 9.0, [true, true])],
        0.0,
    );
    let applied = |starts: &[u64]| {
        let parts = on_parts(&whole, starts, |system| {
            let m = generate(&json!({}), &system).unwrap();
            let first = system.a().space().start() as usize;
            let r: Vec<f64> =
                (0..system.a().n_own()).map(|i| (0.7 * (first + i) as f64).sin()).collect();
            let mut z = vec![f64::NAN; r.len()];
            m.apply(&r, &mut z).unwrap();
            z
        });
        parts.concat()
    };
    let alone = applied(&[0, 210]);
    for starts in cuts(210) {
        assert!(applied(&starts) == alone, "{starts:?}");
    }
}

#[test]
fn other_values_on_the_same_grid_are_refreshed_to_the_bits_of_a_new_setup() {
    let first = system(vec![stretched(9, 4.0, [true, true]), ring(8)], 0.0);
    let second = system(vec![stretched(9, 1.0, [true, true]), ring(8)], 0.5);
    let mut m = generate(&json!({}), &first).unwrap();
    m.refresh(&second).unwrap();
    let new = generate(&json!({}), &second).unwrap();
    let r: Vec<f64> = (0..72).map(f64::from).collect();
    let [mut z, mut expected] = [vec![0.0; 72], vec![0.0; 72]];
    m.apply(&r, &mut z).unwrap();
    new.apply(&r, &mut expected).unwrap();
    assert_eq!((z, m.notes()), (expected, new.notes()));
    let other = system(vec![ring(8), stretched(9, 4.0, [true, true])], 0.0);
    assert_eq!(m.refresh(&other), Err(Error::PatternChanged));
}

#[test]
fn the_name_of_before_is_understood() {
    let mut methods = Registry::new();
    methods.add(Native::<FastPoisson>::method()).unwrap();
    let method = methods.get("sine").unwrap();
    assert_eq!(method.name(), "fast-poisson");
    assert!(methods.get("cosine").is_err());
}

#[test]
fn what_is_no_grid_or_far_from_separable_is_refused_in_words() {
    let a = system(vec![Axis::unit(6), Axis::unit(5)], 0.0);
    let why = |params: Value| generate(&params, &a).err().unwrap().to_string();
    assert!(why(json!({"grid": [5, 6]})).contains("does not fit a grid of 5 by 6 nodes"));
    assert!(
        why(json!({"grid": [6, 6]})).contains("a grid of 6 by 6 nodes does not fit 30 unknowns")
    );
    assert!(
        why(json!({"grid": [30]})).contains("1 items, at least 2"),
        "{}",
        why(json!({"grid": [30]}))
    );
    let problem =
        Problem::Tetrahedra(Tetrahedra { nodes: 9, decades: 4.0, ..Tetrahedra::default() });
    let (far, _) = problem.generate(Comm::solo()).unwrap();
    let why = generate(&json!({}), &far).err().unwrap().to_string();
    assert!(why.contains("no separable operator is near to A") && why.contains("amg"), "{why}");
}
