//! The cycle against its dense formula, its counts, its claims and its refusals.
#![allow(clippy::unwrap_used)]
use precondor_plugin_multigrid::Multigrid;
use precondor_sdk::core::comm::{Comm, threads};
use precondor_sdk::core::kernel::grid::{Grid, SEVEN_POINT};
use precondor_sdk::core::matrix::Csr;
use precondor_sdk::core::problem::{Poisson, Problem};
use precondor_sdk::core::registry::Native;
use precondor_sdk::core::solver::{Algorithm, Criterion, Outcome, Stop, solve};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::{Value, json};
use std::ops::ControlFlow;

use precondor_testkit::algebra::*;
use precondor_testkit::matrices::{applied, to_dense};
use precondor_testkit::methods;
use precondor_testkit::patience;

/// ω D⁻¹ with the parameter ω; symmetric, or, for a negative one, called unsymmetric.
struct Scaling;

#[derive(Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", deny_unknown_fields)]
#[schemars(crate = "precondor_sdk::schemars")]
struct Weight {
    weight: f64,
}

struct Scaled(Vec<f64>, Properties);

impl Generator for Scaling {
    const NAME: &'static str = "scaling";
    const SUMMARY: &'static str = "for tests";
    type Params = Weight;
    type Output = Scaled;
    fn generate(params: &Weight, system: &System) -> Result<Scaled> {
        let a = system.a();
        let scale = (0..a.n_own()).map(|i| params.weight.abs() / a.diagonal(i)).collect();
        let properties = if params.weight > 0.0 { Properties::SPD } else { Properties::GENERAL };
        Ok(Scaled(scale, properties))
    }
}

impl Preconditioner for Scaled {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        if self.0[0] > 1e6 {
            return Err(Error::Data("too large".into()));
        }
        z.iter_mut().zip(r).zip(&self.0).for_each(|((z, r), s)| *z = r * s);
        Ok(())
    }
    fn properties(&self) -> Properties {
        self.1
    }
    fn stored_entries(&self) -> usize {
        self.0.len()
    }
    fn bytes(&self) -> usize {
        8 * self.0.len()
    }
}

fn generate(params: &Value, system: &System) -> Result<Box<dyn Instance>> {
    let host = methods::Methods::of([Native::<Multigrid>::method(), Native::<Scaling>::method()]);
    host.inner("multigrid", params, &system.clone().with_host(host.clone()))
}

type Entries = Vec<(usize, usize, f64)>;

/// A positive definite matrix with the seven-point pattern and no two rows alike.
fn matrix(grid: Grid) -> Entries {
    let coupling = |a: u64, b: u64| {
        let (low, high) = (a.min(b), a.max(b));
        -1.0 - 0.3 * ((low * 7 + high * 13) as f64).sin()
    };
    let mut entries = Vec::new();
    for row in 0..grid.nodes() as u64 {
        let mut sum = 0.3;
        for (col, (dx, dy)) in grid.around(row).filter(|(col, _)| *col != row) {
            let value = coupling(row, col) * if dx * dy != 0 { -0.2 } else { 1.0 };
            sum += value.abs();
            entries.push((row as usize, col as usize, value));
        }
        entries.push((row as usize, row as usize, sum + 0.1 * (row as f64).cos()));
    }
    entries
}

fn system(grid: Grid) -> System {
    let n = grid.nodes();
    System::new(DistCsr::solo(Csr::from_triplets(n, n, matrix(grid)).unwrap()).unwrap())
}

type Matrix = Vec<Vec<f64>>;

/// Products of matrices of any shape.
fn times(a: &Matrix, b: &Matrix) -> Matrix {
    let entry = |row: &[f64], j: usize| row.iter().zip(b).map(|(x, y)| x * y[j]).sum();
    a.iter().map(|row| (0..b[0].len()).map(|j| entry(row, j)).collect()).collect()
}

fn turned(a: &Matrix) -> Matrix {
    (0..a[0].len()).map(|j| a.iter().map(|row| row[j]).collect()).collect()
}

/// Linear interpolation from the nodes (2I + 1, 2J + 1): half the value for each of the two coarse
/// nodes on the edge of a coarse triangle that a fine node halves.
fn interpolation(grid: Grid) -> (Matrix, Grid) {
    let coarse = Grid { mx: grid.mx / 2, my: grid.my / 2 };
    let entry = |fine: u64, c: u64| {
        let ((i, j), (x, y)) = (grid.place(fine), coarse.place(c));
        let step = (i as i64 - 2 * x as i64 - 1, j as i64 - 2 * y as i64 - 1);
        match step {
            (0, 0) => 1.0,
            step if SEVEN_POINT.contains(&step) => 0.5,
            _ => 0.0,
        }
    };
    let row = |f: u64| (0..coarse.nodes() as u64).map(|c| entry(f, c)).collect();
    ((0..grid.nodes() as u64).map(row).collect(), coarse)
}

/// M by the recursion I − M A = (I − Sᵀ A)^ν (I − P Mc Pᵀ A) (I − S A)^ν.
fn formula(a: &Dense, grid: Grid, smoother: &str, steps: [usize; 2], levels: usize) -> Dense {
    let n = a.len();
    if levels == 1 {
        return inverse(a);
    }
    let identity = dense(n, |i, j| f64::from(u8::from(i == j)));
    let minus = |a: &Dense, b: &Dense| dense(n, |i, j| a[i][j] - b[i][j]);
    let sum = |i: usize| a[i].iter().map(|v| v.abs()).sum::<f64>();
    let after_one = |lower: bool| match smoother {
        "gauss-seidel" => {
            let part = |i: usize, j: usize| if lower { j <= i } else { j >= i };
            let s = inverse(&dense(n, |i, j| if part(i, j) { a[i][j] } else { 0.0 }));
            minus(&identity, &multiply(&s, a))
        }
        "chebyshev" => {
            let x = dense(n, |i, j| (identity[i][j] * 0.625 - a[i][j] / sum(i)) / 0.375);
            let square = multiply(&x, &x);
            let scale = 2.0 * (0.625f64 / 0.375).powi(2) - 1.0;
            dense(n, |i, j| (2.0 * square[i][j] - identity[i][j]) / scale)
        }
        _ => dense(n, |i, j| identity[i][j] - 0.7 * a[i][j] / a[i][i]),
    };
    let (p, coarse) = interpolation(grid);
    let ac = times(&turned(&p), &times(a, &p));
    let mc = formula(&ac, coarse, smoother, steps, levels - 1);
    let correction = times(&times(&p, &mc), &turned(&p));
    let mut error = minus(&identity, &multiply(&correction, a));
    for _ in 0..steps[0] {
        error = multiply(&error, &after_one(true));
    }
    for _ in 0..steps[1] {
        error = multiply(&after_one(false), &error);
    }
    multiply(&minus(&identity, &error), &inverse(a))
}

#[test]
fn cycles_are_the_dense_formula_on_grids_of_all_shapes() {
    for (mx, my, levels) in [(9, 9, 2), (8, 10, 2), (11, 6, 2), (17, 16, 3), (21, 3, 2)] {
        let grid = Grid { mx, my };
        let system = system(grid);
        let a = to_dense(system.a());
        for (smoother, steps) in [
            ("gauss-seidel", [1, 1]),
            ("gauss-seidel", [2, 2]),
            ("chebyshev", [1, 1]),
            ("chebyshev", [1, 2]),
            ("scaling", [2, 1]),
        ] {
            let mut params =
                json!({"before": steps[0], "after": steps[1], "levels": levels, "grid": [mx, my]});
            if smoother == "scaling" {
                params["method"] = json!({"name": "scaling", "weight": 0.35});
                params["damping"] = json!(2.0);
            } else {
                params["smoother"] = smoother.into();
            }
            let m = generate(&params, &system).unwrap();
            let shown = applied(&*m, grid.nodes());
            let expected = formula(&a, grid, smoother, steps, levels);
            let gap = distance(&shown, &expected);
            assert!(gap < 1e-11, "{mx} by {my}, {params}: {gap:e}");
            let symmetric = steps[0] == steps[1];
            assert_eq!(m.properties().symmetric, symmetric);
            assert_eq!(distance(&shown, &transpose(&shown)) < 1e-12, symmetric, "{params}");
            assert!(!symmetric || m.properties().positive_definite && positive_definite(&shown));
            assert!(m.notes()[0].starts_with(&format!("{levels} grids, from {mx} by {my}")));
        }
    }
}

#[test]
fn small_and_narrow_grids_are_solved_directly() {
    for (mx, my) in [(7, 7), (1, 90), (2, 40), (90, 1), (1, 1)] {
        let grid = Grid { mx, my };
        let system = system(grid);
        let m = generate(&json!({"grid": [mx, my]}), &system).unwrap();
        let gap = distance(&applied(&*m, grid.nodes()), &inverse(&to_dense(system.a())));
        assert!(gap < 1e-12, "{mx} by {my}: {gap:e}");
        assert_eq!(m.properties(), Properties::SPD);
    }
}

fn iterations(params: &Value, level: u32, method: Algorithm, tolerance: f64) -> usize {
    let problem = Problem::Poisson(Poisson { seed: 3, ..Poisson::at_level(level) });
    let (system, b) = problem.generate(Comm::solo()).unwrap();
    let m = generate(params, &system).unwrap();
    let criterion = Criterion::RelativeResidual;
    let stop = Stop { criterion, tolerance, max_iterations: 60, divergence: 1e6 };
    let watch = &mut |_: &_| ControlFlow::Continue(());
    let mut x = vec![0.0; b.len()];
    let report = solve(&method, system.a(), &*m, &b, &mut x, &stop, watch).unwrap();
    assert_eq!(report.outcome, Outcome::Converged, "{params} at level {level}");
    report.iterations
}

#[test]
fn iterations_do_not_grow_with_the_grid() {
    // V(1,1)-CG with Chebyshev smoothing took 8 to 9 iterations from 961 to 261121 unknowns in a
    // prototype, whose interval came from an estimate of λmax instead of a bound.
    for level in [5, 6, 7, 8] {
        for (smoother, range) in [("chebyshev", 8..=10), ("gauss-seidel", 10..=12)] {
            let params = json!({"smoother": smoother});
            let cg = iterations(&params, level, Algorithm::Cg, 1e-8);
            assert!(range.contains(&cg), "{smoother} at level {level}: {cg}");
            let alone = iterations(&params, level, Algorithm::Richardson { damping: 1.0 }, 1e-8);
            assert!(alone <= 30, "{smoother} at level {level}: {alone} without acceleration");
        }
    }
}

#[test]
fn methods_by_name_are_damped_so_that_they_smooth() {
    let system = system(Grid { mx: 15, my: 15 });
    let made = |weight: f64| {
        let params = json!({"method": {"name": "scaling", "weight": weight}});
        generate(&params, &system).unwrap()
    };
    // Whatever the method is scaled by, the damping makes up for it.
    let (one, other) = (made(1.0), made(5.0));
    assert!(distance(&applied(&*one, 225), &applied(&*other, 225)) < 1e-12);
    assert_eq!(one.properties(), Properties::SPD);
    assert!(one.notes()[1].starts_with("smoothing with scaling on level 0: damping 0."));
    // One that is too strong is not called positive definite.
    let params = json!({"method": {"name": "scaling", "weight": 1.0}, "damping": 1.3});
    let strong = generate(&params, &system).unwrap();
    assert!(strong.properties().symmetric && !strong.properties().positive_definite);
    assert!(strong.notes().iter().any(|n| n.starts_with("not found to be positive definite")));
    // An unsymmetric one without a transpose makes an unsymmetric cycle, with damping 1.
    let general = made(-0.7);
    assert!(!general.properties().symmetric);
    assert!(general.notes()[1].ends_with("damping 1"));
    let params = json!({"method": {"name": "scaling", "weight": 1.0}, "damping": 0.7});
    let same = generate(&params, &system).unwrap();
    assert!(distance(&applied(&*general, 225), &applied(&*same, 225)) < 1e-14);
}

#[test]
fn an_error_of_a_method_by_name_leaves_nan_and_comes_out() {
    let grid = Grid { mx: 15, my: 15 };
    let params = json!({"method": {"name": "scaling", "weight": -1e9}});
    let m = generate(&params, &system(grid)).unwrap();
    let mut z = vec![0.0; 225];
    assert_eq!(m.apply(&[1.0; 225], &mut z), Err(Error::Data("too large".into())));
    assert!(z.iter().all(|z| z.is_nan()));
}

#[test]
fn no_bit_depends_on_the_number_of_ranks() {
    let grid = Grid { mx: 14, my: 11 };
    let results: Vec<Vec<f64>> = [1, 2, 3, 5]
        .map(|size| {
            let parts = threads::run(size, |comm| {
                let space = Space::even(Comm::new(comm), grid.nodes() as u64);
                let (from, n) = (space.start() as usize, space.n_own());
                let mut rows = matrix(grid);
                rows.retain(|e| (from..from + n).contains(&e.0));
                rows.sort_by_key(|e| (e.0, e.1));
                let ptr = (0..=n).map(|i| rows.partition_point(|e| e.0 < from + i) as u32);
                let cols: Vec<u64> = rows.iter().map(|e| e.1 as u64).collect();
                let values: Vec<f64> = rows.iter().map(|e| e.2).collect();
                let ptr: Vec<u32> = ptr.collect();
                let a = DistCsr::from_rows(&space, &ptr, &cols, &values).unwrap();
                let params = json!({"method": {"name": "scaling", "weight": 0.8}});
                let m = generate(&params, &System::new(a)).unwrap();
                let r: Vec<f64> = (from..from + n).map(|i| (i as f64).sin()).collect();
                let mut z = vec![f64::NAN; n];
                m.apply(&r, &mut z).unwrap();
                z
            });
            parts.concat()
        })
        .to_vec();
    assert!(results.iter().all(|z| *z == results[0]));
}

#[test]
fn what_does_not_fit_is_refused() {
    let grid = Grid { mx: 9, my: 9 };
    let why = |params: Value, change: &dyn Fn(&mut Entries)| {
        let mut entries = matrix(grid);
        change(&mut entries);
        let a = DistCsr::solo(Csr::from_triplets(81, 81, entries).unwrap()).unwrap();
        generate(&params, &System::new(a)).err().unwrap().to_string()
    };
    let nothing: &dyn Fn(&mut Entries) = &|_| ();
    assert_eq!(
        why(json!({"damping": 0.5}), nothing),
        "parameter 'damping': only a smoother given by 'method' has one"
    );
    assert!(why(json!({}), &|e| e.push((3, 4, 0.5))).starts_with("multigrid needs a symmetric"));
    let far = why(json!({}), &|e| e.extend([(2, 60, 0.1), (60, 2, 0.1)]));
    assert!(far.starts_with("global row 2 does not fit a grid of 9 by 9"), "{far}");
    let negative = why(json!({}), &|e| e.push((5, 5, -40.0)));
    assert!(negative.starts_with("global row 5: the diagonal entry is -"), "{negative}");
    // Indefinite, with a positive diagonal: found on the coarsest grid.
    let indefinite = why(json!({}), &|e| {
        e.iter_mut().filter(|e| e.0 == e.1).for_each(|e| e.2 *= 0.3);
    });
    assert!(indefinite.contains("the matrix is not positive definite: on the coarsest grid"));
    let named = why(json!({"method": {"name": "scalign"}}), nothing);
    assert!(named.contains("parameter 'method': scalign on level 0"), "{named}");
    assert!(why(json!({"method": 3}), nothing).contains("it takes a method's name"));
    let large = Grid { mx: 600, my: 600 }.five_point(&Space::solo(360_000)).unwrap();
    let why = generate(&json!({"levels": 1}), &System::new(large)).err().unwrap().to_string();
    assert!(why.contains("a direct solve on 600 by 600 nodes would store 216720000"), "{why}");
}

#[test]
fn a_setup_ends_at_every_level_where_that_is_asked_for() {
    let problem = Problem::Poisson(Poisson { shift: 0.25, ..Poisson::at_level(6) });
    let system = problem.generate_nth(Comm::solo(), 0).unwrap().0;
    let generate = |params: Value, system: &System| {
        Multigrid::generate(&precondor_sdk::serde_json::from_value(params).unwrap(), system)
    };
    // Two looks a level but the coarsest, at least one in the direct solve: 63, 31, 15 and 7 nodes a side.
    for (levels, least) in [(4, 7), (2, 3), (1, 1)] {
        let params = json!({ "levels": levels });
        let (looks, m) = patience::looks(&system, |system| generate(params.clone(), system));
        assert!(looks >= least, "{levels} levels: {looks}");
        let patient = generate(params, &system).unwrap();
        let r: Vec<f64> = (0..63 * 63).map(|i| f64::from(i % 7)).collect();
        let [mut z, mut zz] = [vec![0.0; r.len()], vec![0.0; r.len()]];
        m.apply(&r, &mut z).unwrap();
        patient.apply(&r, &mut zz).unwrap();
        assert!(z == zz, "{levels} levels: looking changes nothing");
    }
}
