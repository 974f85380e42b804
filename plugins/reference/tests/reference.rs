//! The wrapped reference solve against its dense formula, its claims, and its published counts.
#![allow(clippy::unwrap_used)]
use allocation_counter::measure;
use precondor_plugin_reference::{FastPoisson, FastPoissonParams, Kind, Params, Reference};
use precondor_sdk::core::comm::{Comm, threads};
use precondor_sdk::core::kernel::grid::Grid;
use precondor_sdk::core::kernel::lattice::Lattice;
use precondor_sdk::core::kernel::separable::fit::fit;
use precondor_sdk::core::matrix::{Csr, Space};
use precondor_sdk::core::problem::{Poisson, Problem};
use precondor_sdk::core::registry::Native;
use precondor_sdk::core::solver::{Algorithm, Criterion, Outcome, Report, Stop, solve};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::{Value, json};
use std::ops::ControlFlow;

use precondor_testkit::algebra::*;
use precondor_testkit::methods::Methods;
use precondor_testkit::ranks::{cuts, fails_everywhere, on_parts};

fn plus(a: &Dense, beta: f64, b: &Dense) -> Dense {
    dense(a.len(), |i, j| a[i][j] + beta * b[i][j])
}

fn identity(n: usize) -> Dense {
    dense(n, |i, j| f64::from(u8::from(i == j)))
}

/// The `index`-th perturbed Poisson system of a level, on these ranks.
fn poisson(comm: &Comm, level: u32, index: u64) -> (System, Vec<f64>) {
    Problem::Poisson(Poisson::at_level(level)).generate_nth(comm.clone(), index).unwrap()
}

fn to_dense(a: &DistCsr) -> Dense {
    dense(a.n_own(), |i, j| a.own().view().get(i, j))
}

fn generate(params: &Value, system: &System) -> Result<Box<dyn Instance>> {
    Native::<Reference>::method().generate(params, system)
}

/// M, column by column; on several ranks with the rows of all of them.
fn matrix_of(size: usize, level: u32, params: &Value) -> (Dense, Properties) {
    let parts = threads::run(size, |comm| {
        let (system, _) = poisson(&Comm::new(comm), level, 0);
        let m = generate(params, &system).unwrap();
        let (n, from) = (system.a().n_global() as usize, system.a().space().start() as usize);
        let columns: Dense = (0..n)
            .map(|j| {
                let r: Vec<f64> =
                    (0..system.a().n_own()).map(|i| f64::from(u8::from(from + i == j))).collect();
                let mut z = vec![f64::NAN; r.len()];
                m.apply(&r, &mut z).unwrap();
                z
            })
            .collect();
        (columns, m.properties())
    });
    let n = parts[0].0.len();
    let columns: Dense = (0..n)
        .map(|j| parts.iter().flat_map(|(columns, _)| columns[j].clone()).collect())
        .collect();
    assert!(parts.iter().all(|(_, properties)| *properties == parts[0].1));
    (transpose(&columns), parts[0].1)
}

/// The reference matrix of a dense one.
fn reference_of(a: &Dense) -> Dense {
    let entries = a.iter().enumerate().flat_map(|(i, row)| {
        row.iter().enumerate().filter(|(_, v)| **v != 0.0).map(move |(j, v)| (i, j, *v))
    });
    let a = Csr::from_triplets(a.len(), a.len(), entries.collect::<Vec<_>>()).unwrap();
    let a = DistCsr::solo(a).unwrap();
    let found = fit(&a, Lattice::shown(&a, None).unwrap(), false).unwrap();
    to_dense(&found.operator.matrix(a.space()).unwrap())
}

/// M₂ = S + Sᵀ − SᵀAS + (I − SᵀA) M (I − AS) by dense algebra.
fn formula(a: &Dense, smoother: &str, damping: f64, c: f64) -> Dense {
    let n = a.len();
    let a0 = reference_of(a);
    let scaled = |a: &Dense| dense(n, |i, j| a[i][j] / a[i][i]);
    let e = plus(&scaled(&a0), -1.0, &scaled(a));
    let p = plus(&identity(n), c, &e);
    let m = multiply(&multiply(&p, &inverse(&a0)), &transpose(&p));
    let d = dense(n, |i, j| if i == j { a[i][i] } else { 0.0 });
    let lower = inverse(&dense(n, |i, j| if j <= i { a[i][j] } else { 0.0 }));
    let s = match smoother {
        "none" => return m,
        "jacobi" => dense(n, |i, j| if i == j { damping / d[i][i] } else { 0.0 }),
        "gauss-seidel" => lower,
        "chebyshev" => {
            // Two steps on [1/4, 1]: I − S A = T₂((θ − D₁⁻¹A)/δ)/T₂(θ/δ) with θ = 5/8, δ = 3/8.
            let sum = |i: usize| a[i].iter().map(|v| v.abs()).sum::<f64>();
            let x =
                dense(n, |i, j| (f64::from(u8::from(i == j)) * 0.625 - a[i][j] / sum(i)) / 0.375);
            let t2 = plus(&dense(n, |i, j| 2.0 * multiply(&x, &x)[i][j]), -1.0, &identity(n));
            let scale = 2.0 * (0.625f64 / 0.375).powi(2) - 1.0;
            let error = dense(n, |i, j| t2[i][j] / scale);
            multiply(&plus(&identity(n), -1.0, &error), &inverse(a))
        }
        _ => multiply(&multiply(&transpose(&lower), &d), &lower),
    };
    let after = multiply(&transpose(&s), a);
    let rest = plus(&identity(n), -1.0, &after);
    let wrapped = multiply(&multiply(&rest, &m), &transpose(&rest));
    let smoothing = plus(&plus(&s, 1.0, &transpose(&s)), -1.0, &multiply(&after, &s));
    plus(&wrapped, 1.0, &smoothing)
}

#[test]
fn applications_are_the_dense_formula() {
    let (system, _) = poisson(&Comm::solo(), 3, 0);
    let a = to_dense(system.a());
    for c in [0.0, 0.5, 1.0] {
        for (smoother, damping, mut params) in [
            ("none", 0.0, json!({"smoother": "none"})),
            ("jacobi", 0.5, json!({"smoother": "jacobi"})),
            ("jacobi", 0.7, json!({"smoother": "jacobi", "damping": 0.7})),
            ("sgs", 0.0, json!({"smoother": "symmetric-gauss-seidel", "grid": [7, 7]})),
            ("gauss-seidel", 0.0, json!({"smoother": "gauss-seidel"})),
            ("chebyshev", 0.0, json!({"degree": 2, "precision": "f64"})),
        ] {
            params["interpolation"] = c.into();
            params["bad_nodes"] = 0.0.into();
            let (m, properties) = matrix_of(1, 3, &params);
            let expected = formula(&a, smoother, damping, c);
            let gap = distance(&m, &expected);
            assert!(gap < 1e-12, "{params}: {gap:e}");
            assert!(properties.symmetric && properties.constant);
            assert!(distance(&m, &transpose(&m)) < 1e-13, "{params}");
            assert_eq!(properties.positive_definite, positive_definite(&m), "{params}");
        }
    }
}

#[test]
fn what_is_declared_positive_definite_is() {
    for size in [1, 2, 3, 5] {
        for (params, claimed) in [
            (json!({"smoother": "symmetric-gauss-seidel"}), size < 4),
            (json!({"smoother": "gauss-seidel"}), true),
            (json!({"precision": "f64"}), true),
            (json!({"smoother": "jacobi", "damping": 0.7}), true),
            (json!({"smoother": "jacobi", "damping": 1.9}), false),
        ] {
            // 9 unknowns on 5 ranks: less than a row of the grid each, not a chain of slabs.
            let level = if size > 3 { 2 } else { 3 };
            let (m, properties) = matrix_of(size, level, &params);
            assert_eq!(properties.positive_definite, claimed, "{params} on {size} ranks");
            assert!(!claimed || positive_definite(&m), "{params} on {size} ranks");
            assert!(properties.symmetric && distance(&m, &transpose(&m)) < 1e-13);
        }
    }
}

#[test]
fn without_sweeps_no_bit_depends_on_the_number_of_ranks() {
    for smoother in ["jacobi", "chebyshev", "none"] {
        let params = json!({"smoother": smoother, "precision": "f64"});
        let (one, properties) = matrix_of(1, 3, &params);
        assert!(properties.rank_independent);
        for size in [2, 3, 5] {
            assert!(matrix_of(size, 3, &params).0 == one, "{params} on {size} ranks");
        }
    }
    for smoother in ["symmetric-gauss-seidel", "gauss-seidel"] {
        let params = json!({ "smoother": smoother });
        assert!(!matrix_of(1, 2, &params).1.rank_independent);
    }
}

fn run(
    method: Algorithm,
    tolerance: f64,
    system: &System,
    m: &dyn Preconditioner,
    b: &[f64],
) -> Report {
    let criterion = Criterion::RelativeResidual;
    let stop = Stop { criterion, tolerance, max_iterations: 100, divergence: 1e6 };
    let mut x = vec![0.0; b.len()];
    let watch = &mut |_: &_| ControlFlow::Continue(());
    let report = solve(&method, system.a(), m, b, &mut x, &stop, watch).unwrap();
    assert_eq!(report.outcome, Outcome::Converged);
    assert!(report.true_relative_residual <= 1.1 * tolerance);
    report
}

/// Mean iterations over three systems: Richardson to 1e-5, conjugate gradients to 1e-8.
fn counts(level: u32, params: &Value) -> [f64; 2] {
    let systems = if level < 8 { 3 } else { 1 };
    let mut sums = [0; 2];
    for index in 0..systems {
        let (system, b) = poisson(&Comm::solo(), level, index);
        let m = generate(params, &system).unwrap();
        let cg = run(Algorithm::Cg, 1e-8, &system, &*m, &b);
        sums[1] += cg.iterations;
        if params["smoother"] != "none" {
            let method = Algorithm::Richardson { damping: 1.0 };
            sums[0] += run(method, 1e-5, &system, &*m, &b).iterations;
        }
    }
    sums.map(|s| s as f64 / systems as f64)
}

#[test]
fn iterations_are_those_that_were_published() {
    // Levels 4 to 8, systems of other seeds: within one iteration on average.
    let table = [
        (json!({"smoother": "jacobi"}), [7.0, 7.0, 8.0, 8.0, 9.0], [8.0, 9.0, 9.0, 9.7, 10.0]),
        (
            json!({"smoother": "jacobi", "damping": 0.6, "interpolation": 0.5}),
            [5.0, 6.0, 6.0, 6.0, 6.0],
            [7.0, 7.0, 7.0, 8.0, 8.0],
        ),
        (json!({"smoother": "symmetric-gauss-seidel"}), [f64::NAN; 5], [6.0, 6.0, 6.0, 6.3, 7.0]),
        (
            json!({"smoother": "gauss-seidel", "interpolation": 0.5}),
            [4.7, 5.0, 5.0, 5.7, 6.0],
            [6.0, 6.3, 7.0, 7.0, 7.0],
        ),
        (json!({"degree": 2}), [5.0, 5.0, 5.0, 6.0, 6.0], [6.0, 6.0, 7.0, 7.0, 7.0]),
        (
            json!({"degree": 2, "interpolation": 0.5}),
            [4.0, 4.0, 4.7, 5.0, 5.0],
            [5.0, 6.0, 6.0, 6.0, 6.0],
        ),
        (
            json!({"smoother": "symmetric-gauss-seidel", "interpolation": 0.5}),
            [4.0, 4.0, 4.0, 4.0, 5.0],
            [5.0, 5.3, 6.0, 6.0, 6.0],
        ),
        (json!({}), [f64::NAN; 5], [6.0, 6.0, 6.0, 6.0, 6.0]),
        (json!({"smoother": "none"}), [f64::NAN; 5], [14.0, 15.25, 16.5, 17.75, 19.0]),
    ];
    for (params, richardson, cg) in table {
        for (k, level) in (4..=8).enumerate() {
            let [r, c] = counts(level, &params);
            let slack = if params["smoother"] == "none" { 2.0 } else { 1.0 };
            assert!(
                richardson[k].is_nan() || (r - richardson[k]).abs() <= 1.0,
                "{params} {level}: {r}"
            );
            assert!((c - cg[k]).abs() <= slack, "{params} level {level}: {c}");
        }
    }
}

#[test]
fn units_of_the_matrix_change_no_count() {
    let (system, b) = poisson(&Comm::solo(), 5, 0);
    let own = system.a().own().view().values;
    for smoother in ["symmetric-gauss-seidel", "gauss-seidel", "chebyshev", "jacobi"] {
        let params = json!({ "smoother": smoother });
        let count = |c: f64| {
            let values = own.iter().map(|v| c * v).collect();
            let system = system.for_matrix(system.a().with_values(values, vec![]).unwrap());
            let m = generate(&params, &system).unwrap();
            run(Algorithm::Richardson { damping: 1.0 }, 1e-5, &system, &*m, &b).iterations
        };
        let once = count(1.0);
        for c in [2.0, 1e3, 2.1e11, 8.9e-12, 4225.0, 1e100, 1e-100] {
            assert_eq!(count(c), once, "{smoother}, A times {c}");
        }
    }
}

#[test]
fn applications_allocate_nothing() {
    let (system, b) = poisson(&Comm::solo(), 4, 0);
    for smoother in ["symmetric-gauss-seidel", "gauss-seidel", "chebyshev", "jacobi", "none"] {
        let params = json!({"smoother": smoother});
        let m = generate(&params, &system).unwrap();
        let mut z = vec![0.0; b.len()];
        let info = measure(|| m.apply(&b, &mut z).unwrap());
        assert_eq!(info.count_total, 0, "{params}");
    }
}

/// Another solver of A0: the dense inverse, times `factor`; fails for 0.
struct DenseInverse;

#[derive(Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", deny_unknown_fields)]
#[schemars(crate = "precondor_sdk::schemars")]
struct Factor {
    #[schemars(range(min = 0.0))]
    factor: f64,
}

struct Inverse(Dense);

impl Generator for DenseInverse {
    const NAME: &'static str = "dense-inverse";
    const SUMMARY: &'static str = "for tests";
    type Params = Factor;
    type Output = Inverse;
    fn generate(params: &Factor, system: &System) -> Result<Inverse> {
        let inverse = inverse(&to_dense(system.a()));
        Ok(Inverse(dense(inverse.len(), |i, j| params.factor * inverse[i][j])))
    }
}

impl Preconditioner for Inverse {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        if self.0[0][0] == 0.0 {
            return Err(Error::Data("nothing times anything".into()));
        }
        let row = |row: &Vec<f64>| row.iter().zip(r).map(|(m, r)| m * r).sum();
        z.iter_mut().zip(&self.0).for_each(|(z, m)| *z = row(m));
        Ok(())
    }
    fn properties(&self) -> Properties {
        Properties { rank_independent: false, ..Properties::SPD }
    }
    fn stored_entries(&self) -> usize {
        self.0.len() * self.0.len()
    }
    fn bytes(&self) -> usize {
        8 * self.stored_entries()
    }
}

fn hosted(level: u32) -> System {
    let methods = [Native::<DenseInverse>::method(), Native::<FastPoisson>::method() as _];
    poisson(&Comm::solo(), level, 0).0.with_host(Methods::of(methods))
}

#[test]
fn any_method_by_name_solves_with_the_reference_matrix() {
    let system = hosted(3);
    let r: Vec<f64> = (0..49).map(|i| (i as f64).cos()).collect();
    let applied = |params: &Value| {
        let m = generate(params, &system).unwrap();
        let mut z = vec![0.0; 49];
        m.apply(&r, &mut z).unwrap();
        (z, m)
    };
    let (by_transform, plain) = applied(&json!({"precision": "f64"}));
    let (by_name, named) = applied(&json!({"method": {"name": "dense-inverse", "factor": 1.0}}));
    assert!(by_transform.iter().zip(&by_name).all(|(a, b)| (a - b).abs() < 1e-13));
    assert!(named.stored_entries() > plain.stored_entries() && named.bytes() > plain.bytes());
    assert!(named.properties().positive_definite && !named.properties().rank_independent);
    // The parameters arrive, and only M is scaled by them.
    let bare = |factor: f64| {
        let solver = json!({"name": "dense-inverse", "factor": factor});
        applied(&json!({"smoother": "none", "interpolation": 0.5, "method": solver})).0
    };
    assert!(bare(1.0).iter().zip(bare(3.0)).all(|(a, b)| (3.0 * a - b).abs() < 1e-12));
    // The transform is a method like any other.
    let (through_host, _) = applied(&json!({"method": {"name": "fast-poisson", "grid": [7, 7]}}));
    assert!(through_host.iter().zip(&by_transform).all(|(a, b)| (a - b).abs() < 1e-13));
}

#[test]
fn an_error_of_the_inner_method_leaves_nan_and_comes_out() {
    let system = hosted(2);
    for (smoother, c) in [
        ("none", 0.5),
        ("jacobi", 0.0),
        ("chebyshev", 0.5),
        ("gauss-seidel", 0.5),
        ("symmetric-gauss-seidel", 0.5),
    ] {
        let solver = json!({"name": "dense-inverse", "factor": 0.0});
        let params = json!({"smoother": smoother, "interpolation": c, "method": solver});
        let mut z = vec![0.0; 9];
        let applied = generate(&params, &system).unwrap().apply(&[1.0; 9], &mut z);
        assert_eq!(applied, Err(Error::Data("nothing times anything".into())));
        assert!(z.iter().all(|z| z.is_nan()), "{params}: {z:?}");
    }
}

#[test]
fn unknown_inner_methods_and_parameters_are_named() {
    let system = hosted(2);
    let why =
        |solver: Value| generate(&json!({"method": solver}), &system).err().unwrap().to_string();
    assert!(
        why(json!("dense")).starts_with("parameter 'method': dense: no preconditioner 'dense'")
    );
    assert!(why(json!("dense")).contains("did you mean 'dense-inverse'"));
    let range = why(json!({"name": "dense-inverse", "factor": -1}));
    assert!(range.contains("parameter 'factor': -1 must be at least 0"), "{range}");
    assert!(why(json!({"factor": 1.0})).contains("it takes a method's name"));
    assert!(why(json!(7)).contains("it takes a method's name"));
    let grid = why(json!({"name": "fast-poisson", "grid": [9, 1]}));
    assert!(grid.contains("global row 0 does not fit a grid of 9 by 1 nodes"), "{grid}");
    let alone = generate(&json!({"method": "ilu"}), &poisson(&Comm::solo(), 2, 0).0).err().unwrap();
    assert!(alone.to_string().contains("there is no registry"), "{alone}");
}

#[test]
fn systems_that_do_not_fit_are_refused_with_the_row() {
    let solo = |entries: Vec<(usize, usize, f64)>| {
        System::new(DistCsr::solo(Csr::from_triplets(9, 9, entries).unwrap()).unwrap())
    };
    let grid = Grid { mx: 3, my: 3 };
    let laplace: Vec<(usize, usize, f64)> = (0..9u64)
        .flat_map(|i| {
            let entry = move |(j, step): (u64, _)| (i as usize, j as usize, Grid::laplacian(step));
            grid.around(i).map(entry)
        })
        .collect();
    let why = |params: Value, extra: &[(usize, usize, f64)]| {
        let mut entries = laplace.clone();
        entries.extend_from_slice(extra);
        generate(&params, &solo(entries)).err().unwrap().to_string()
    };
    let far = [(2, 6, 0.1), (6, 2, 0.1)];
    assert_eq!(
        why(json!({}), &far),
        "global row 2 does not fit a grid of 3 by 3 nodes: column 6 is none of its neighbours"
    );
    assert!(why(json!({}), &[(4, 5, 0.1)]).starts_with("reference needs a symmetric matrix"));
    assert!(why(json!({"grid": [9, 1]}), &[]).contains("a grid of 9 by 1 nodes"));
    let negative = why(json!({}), &[(5, 5, -4.0)]);
    assert!(negative.contains("global row 5: the diagonal entry is 0"), "{negative}");
    let useless = why(json!({"damping": 0.5}), &[]);
    assert_eq!(useless, "parameter 'damping': only the smoother \"jacobi\" has one");
    let range = why(json!({"interpolation": 1.5}), &[]);
    assert!(range.contains("parameter 'interpolation': 1.5 must be at most 1"), "{range}");
    assert!(why(json!({"smoother": "jacoby"}), &[]).contains("did you mean \"jacobi\""));

    let scaled = laplace.iter().map(|&(i, j, v)| (i, j, 100.0 * v)).collect();
    let notes = generate(&json!({}), &solo(scaled)).unwrap().notes();
    assert!(notes.iter().any(|n| n.contains("A is separable")), "{notes:?}");
    let useless = why(json!({"degree": 3, "smoother": "jacobi"}), &[]);
    assert_eq!(useless, "parameter 'degree': only the smoother \"chebyshev\" has one");
}

#[test]
fn misfits_on_any_rank_are_told_on_all() {
    for guilty in 0..3 {
        let errors = threads::run(3, |comm| {
            let space = Space::even(Comm::new(comm), 9);
            let a = Grid { mx: 3, my: 3 }.five_point(&space).unwrap();
            let mut own = a.own().view().values.to_vec();
            if space.comm().rank() == guilty {
                own.fill(-1.0);
            }
            let a = a.with_values(own, a.ghost().view().values.to_vec()).unwrap();
            generate(&json!({}), &System::new(a)).err().unwrap().to_string()
        });
        let text = format!("global row {}: the diagonal entry is -1", 3 * guilty);
        assert!(errors.iter().all(|e| e.contains(&text)), "{errors:?}");
        let told = format!("rank {guilty} failed: ");
        assert_eq!(errors.iter().filter(|e| e.starts_with(&told)).count(), 2);
    }
}

#[test]
fn fast_poisson_is_the_inverse_of_the_reference_matrix() {
    for size in [1, 2, 3, 5] {
        threads::run(size, |comm| {
            let space = Space::even(Comm::new(comm), 15);
            let a = Grid { mx: 5, my: 3 }.five_point(&space).unwrap();
            let m = Native::<FastPoisson>::method()
                .generate(&json!({}), &System::new(a.clone()))
                .unwrap();
            let from = space.start() as usize;
            let x: Vec<f64> = (0..space.n_own()).map(|i| ((from + i) as f64).sin()).collect();
            let (mut r, mut z) = (vec![0.0; x.len()], vec![f64::NAN; x.len()]);
            a.spmv(&x, &mut r).unwrap();
            m.apply(&r, &mut z).unwrap();
            assert!(x.iter().zip(&z).all(|(x, z)| (x - z).abs() < 1e-13));
            assert_eq!(m.properties(), Properties::SPD);
            let notes = m.notes();
            assert!(notes[0].contains("5 by 3") && notes.len() == 2 + usize::from(size > 3));
            assert_eq!(notes.iter().any(|n| n.contains("5 ranks share 3 rows")), size > 3);
            assert!(notes.iter().any(|n| n == "A is separable: M is its inverse"), "{notes:?}");
        });
    }
}

/// A with shifted nodes has no part in what is tested with this, so a rectangle of the five-point matrix will do.
fn rectangle(grid: Grid) -> System {
    System::new(grid.five_point(&Space::solo(grid.nodes())).unwrap())
}

#[test]
fn any_number_of_ranks_gives_the_same_bits() {
    for (mx, my) in [(15, 15), (9, 23), (23, 6), (1, 7), (7, 1), (2, 2)] {
        let (whole, given) = (rectangle(Grid { mx, my }), json!([mx, my]));
        for (bare, params) in [
            (true, json!({ "grid": given })),
            (false, json!({ "grid": given, "precision": "f64" })),
            (false, json!({ "grid": given, "smoother": "jacobi", "interpolation": 0.0 })),
        ] {
            let applied = |starts: &[u64]| {
                let parts = on_parts(&whole, starts, |system| {
                    let m = match bare {
                        true => Native::<FastPoisson>::method().generate(&params, &system).unwrap(),
                        false => generate(&params, &system).unwrap(),
                    };
                    assert!(m.properties().rank_independent);
                    let first = system.a().space().start() as usize;
                    let r: Vec<f64> =
                        (0..system.a().n_own()).map(|i| (0.7 * (first + i) as f64).sin()).collect();
                    let mut z = vec![f64::NAN; r.len()];
                    m.apply(&r, &mut z).unwrap();
                    (z, m.stored_entries())
                });
                let entries = parts.iter().map(|part| part.1).sum::<usize>();
                (parts.into_iter().flat_map(|part| part.0).collect::<Vec<_>>(), entries)
            };
            let n = (mx * my) as u64;
            let alone = applied(&[0, n]);
            for starts in cuts(n) {
                assert!(applied(&starts) == alone, "{params} {starts:?}");
            }
        }
    }
}

#[test]
fn no_rank_holds_the_whole_grid() {
    let m = 383u64;
    let whole = rectangle(Grid { mx: m as usize, my: m as usize });
    let most = |ranks: u64, bare: bool| {
        let starts: Vec<u64> = (0..=ranks).map(|r| r * m * m / ranks).collect();
        let bytes = on_parts(&whole, &starts, |system| {
            let m = match bare {
                true => Native::<FastPoisson>::method().generate(&json!({}), &system).unwrap(),
                false => generate(&json!({"precision": "f64"}), &system).unwrap(),
            };
            m.bytes()
        });
        bytes.into_iter().max().unwrap()
    };
    // One rank transforms in place; several need room for what they send, too.
    let [four, eight, sixteen] = [4, 8, 16].map(|ranks| most(ranks, true));
    assert!(5 * eight < 3 * four && 5 * sixteen < 3 * eight, "{four} {eight} {sixteen}");
    assert!(2 * most(4, false) < most(1, false));
}

#[test]
fn applications_on_several_ranks_allocate_nothing() {
    let whole = rectangle(Grid { mx: 12, my: 9 });
    let starts = [0, 30, 31, 108];
    for bare in [true, false] {
        on_parts(&whole, &starts, |system| {
            let m = match bare {
                true => Native::<FastPoisson>::method().generate(&json!({}), &system).unwrap(),
                false => generate(&json!({"smoother": "chebyshev"}), &system).unwrap(),
            };
            let (r, mut z) = (vec![1.0; system.a().n_own()], vec![0.0; system.a().n_own()]);
            // The first application fills the mailboxes of the ranks' world.
            m.apply(&r, &mut z).unwrap();
            let info = measure(|| m.apply(&r, &mut z).unwrap());
            assert_eq!(info.count_total, 0);
        });
    }
}

#[test]
fn a_rank_that_fails_at_any_collective_ends_all() {
    let whole = rectangle(Grid { mx: 5, my: 4 });
    let params = FastPoissonParams::default();
    let bare = fails_everywhere::<FastPoisson>(&params, &whole, &[0, 7, 12, 20]);
    assert!(bare > 5, "{bare}");
    let params = Params { smoother: Kind::Chebyshev, ..Params::default() };
    let reference = fails_everywhere::<Reference>(&params, &whole, &[0, 7, 12, 20]);
    assert!(reference > 5, "{reference}");
}
