//! What the levels are made of, and how many iterations they take.
use precondor_plugin_amg::{Amg, Cycle, Keep, Ordering, Params, Recipe};
use precondor_sdk::core::comm::Comm;
use precondor_sdk::core::matrix::OwnedArrays;
use precondor_sdk::core::problem::Problem;
use precondor_sdk::core::solver::{Algorithm, Criterion, Outcome, Report, Stop, solve};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::{Value, json};
use std::ops::ControlFlow;
use std::sync::Arc;

fn problem(doc: Value) -> (System, Vec<f64>) {
    let mut doc = doc;
    doc["rhs"] = json!("random");
    let problem = Problem::from_json(&doc).expect("valid");
    problem.generate(Comm::solo()).expect("valid")
}

fn params(doc: Value) -> Params {
    precondor_sdk::serde_json::from_value(doc).expect("valid")
}

fn generate(doc: Value, system: &System) -> Cycle {
    Amg::generate(&params(doc), system).expect("the method works")
}

fn run(system: &System, m: &Cycle, b: &[f64], method: &Algorithm) -> Report {
    let stop = Stop {
        criterion: Criterion::RelativeResidual,
        tolerance: 1e-8,
        max_iterations: 300,
        divergence: 1e8,
    };
    let mut x = vec![0.0; b.len()];
    let mut go_on = |_: &_| ControlFlow::Continue(());
    solve(method, system.a(), m, b, &mut x, &stop, &mut go_on).expect("valid")
}

/// Iterations of conjugate gradients, of BiCGStab for an unsymmetric matrix, to 1e-8.
fn iterations(doc: Value, (system, b): &(System, Vec<f64>)) -> usize {
    let m = generate(doc, system);
    let symmetric = system.a().first_unsymmetric().expect("one rank").is_none();
    assert!(!symmetric || m.properties().positive_definite, "{:?}", m.notes());
    let report = run(system, &m, b, if symmetric { &Algorithm::Cg } else { &Algorithm::Bicgstab });
    assert_eq!(report.outcome, Outcome::Converged, "{:?}", m.notes());
    report.iterations
}

/// Another matrix in the place of a system's.
fn with_matrix(system: &System, change: impl Fn(usize, usize, f64) -> f64) -> System {
    let a = system.a().own().view();
    let arrays = OwnedArrays {
        row_ptr: a.row_ptr.to_vec(),
        cols: a.cols.to_vec(),
        values: (0..a.n_rows())
            .flat_map(|i| a.row(i).map(|(j, v)| change(i, j, v)).collect::<Vec<_>>())
            .collect(),
    };
    let n = a.n_rows();
    System::new(
        DistCsr::solo(Csr::from_storage(n, Arc::new(arrays)).expect("sound")).expect("square"),
    )
}

/// Families of matrices at two sizes, and the most iterations each may take.
fn families() -> Vec<(&'static str, [Value; 2], [usize; 2])> {
    let diffusion = |mesh: &str, nodes: usize, more: Value| {
        let mut doc =
            json!({"kind": "diffusion", "mesh": mesh, "nodes": nodes, "shift": 0.45, "seed": 3});
        for (key, value) in more.as_object().expect("a table") {
            doc[key] = value.clone();
        }
        doc
    };
    let both =
        |mesh: &str, more: Value| [40, 120].map(|nodes| diffusion(mesh, nodes, more.clone()));
    let of = |kind: &str, small: Value, large: Value| {
        [small, large].map(|mut doc| {
            doc["kind"] = json!(kind);
            doc
        })
    };
    vec![
        ("poisson", of("poisson", json!({"level": 5}), json!({"level": 7})), [14, 17]),
        ("random mesh", both("random", json!({})), [17, 22]),
        (
            "jumps",
            both("delaunay", json!({"coefficient": "blocks", "decades": 2.0, "scale": 5.0})),
            [18, 23],
        ),
        ("noise", both("delaunay", json!({"coefficient": "white", "deviation": 2.0})), [30, 45]),
        ("anisotropy", both("delaunay", json!({"anisotropy": 0.01, "angle": 30.0})), [32, 42]),
        ("stretched", both("grid", json!({"stretch": 100.0, "shift": 0.0})), [12, 14]),
        ("l-shape", of("l-shape", json!({"nodes": 20}), json!({"nodes": 70})), [16, 20]),
        ("tetrahedra", of("tetrahedra", json!({"nodes": 10}), json!({"nodes": 24})), [18, 25]),
        (
            "tetrahedra with jumps",
            of(
                "tetrahedra",
                json!({"nodes": 10, "decades": 2}),
                json!({"nodes": 24, "decades": 2}),
            ),
            [20, 27],
        ),
        ("elasticity", of("elasticity", json!({"nodes": 20}), json!({"nodes": 70})), [24, 32]),
        (
            "elasticity in 3-D",
            of(
                "elasticity",
                json!({"dimension": 3, "nodes": 6}),
                json!({"dimension": 3, "nodes": 12}),
            ),
            [26, 32],
        ),
        ("graph", of("graph", json!({"nodes": 2000}), json!({"nodes": 20000})), [20, 28]),
        ("convection", of("convection", json!({"nodes": 40}), json!({"nodes": 120})), [9, 12]),
    ]
}

#[test]
fn every_family_takes_few_iterations_at_any_size() {
    for (name, docs, most) in families() {
        let its = docs.map(|doc| iterations(json!({}), &problem(doc)));
        assert!(its[0] <= most[0] && its[1] <= most[1], "{name}: {its:?}, not {most:?}");
    }
}

/// Scattered over four decades, the same on every run.
fn unit_of(i: usize) -> f64 {
    10f64.powf(4.0 * ((i * 7919) % 1009) as f64 / 1009.0 - 2.0)
}

#[test]
fn badly_scaled_unknowns_cost_few_iterations() {
    for (name, docs, most) in families().into_iter().filter(|f| f.0 != "convection") {
        let (system, b) = problem(docs[0].clone());
        let scaled = with_matrix(&system, |i, j, v| unit_of(i) * v * unit_of(j));
        let scaled = (scaled, b.iter().enumerate().map(|(i, b)| unit_of(i) * b).collect());
        let its = iterations(json!({}), &scaled);
        // A few sweeps see little of what varies across strong couplings.
        let factor = if ["anisotropy", "stretched"].contains(&name) { 5 } else { 2 };
        assert!(its <= factor * most[0], "{name}: {its} iterations");
        if name == "poisson" {
            // That this is what does it.
            let given = generate(json!({"scaling": "given"}), &scaled.0);
            let report = run(&scaled.0, &given, &scaled.1, &Algorithm::Cg);
            assert!(report.iterations > 3 * its, "{} and {its}", report.iterations);
        }
    }
}

#[test]
fn matrices_that_add_up_to_nothing_keep_their_units() {
    let (system, _) = problem(json!({"kind": "poisson", "level": 5}));
    let told = |system: &System| generate(json!({}), system).notes().join("; ");
    assert!(!told(&system).contains("scaled"), "{}", told(&system));
    // A short time step: rows add up to the mass, the same for all.
    let step = with_matrix(&system, |i, j, v| if i == j { 2.0 * v } else { v });
    assert!(!told(&step).contains("scaled"), "{}", told(&step));
    let other = with_matrix(&system, |i, j, v| unit_of(i) * v * unit_of(j));
    assert!(told(&other).contains("unknowns scaled"), "{}", told(&other));
}

#[test]
fn long_rows_are_smoothed_by_incomplete_cholesky_where_it_is_safe() {
    let (system, b) = problem(json!({"kind": "tetrahedra", "nodes": 16}));
    let by =
        |kind: &str| iterations(json!({"finest_smoother": kind}), &(system.clone(), b.clone()));
    let (sweeps, factors) = (by("gauss-seidel"), by("incomplete-cholesky"));
    assert_eq!(iterations(json!({}), &(system.clone(), b.clone())), factors);
    assert!(4 * factors <= 3 * sweeps, "{factors} and {sweeps}");
    // Large positive couplings: no factor, and sweeps in its place.
    let wide = json!({"kind": "diffusion", "mesh": "delaunay", "nodes": 40, "anisotropy": 0.001,
        "angle": 30.0, "shift": 0.45, "seed": 3});
    let (system, _) = problem(wide);
    let m = generate(json!({"finest_smoother": "incomplete-cholesky"}), &system);
    assert!(m.notes().iter().any(|n| n.contains("no safe incomplete factor")), "{:?}", m.notes());
    assert!(m.properties().positive_definite);
}

#[test]
fn a_coefficient_that_is_noise_is_coarsened_classically() {
    let noisy = |deviation: f64| {
        let doc = json!({"kind": "diffusion", "mesh": "delaunay", "nodes": 60, "shift": 0.45,
            "coefficient": "white", "deviation": deviation, "seed": 4});
        let (system, b) = problem(doc);
        let recipe = generate(json!({}), &system).notes()[0].clone();
        (recipe, iterations(json!({}), &(system.clone(), b.clone())))
    };
    let (recipe, its) = noisy(2.0);
    assert!(recipe.contains("classical"), "{recipe}");
    assert!(its <= 18, "{its} iterations");
    let (recipe, _) = noisy(0.3);
    assert!(recipe.contains("aggregation"), "{recipe}");
}

#[test]
fn the_classical_recipe_serves_symmetric_matrices_too() {
    for (name, docs, most) in families().into_iter().filter(|f| f.0 != "convection") {
        let its = iterations(json!({"recipe": "classical"}), &problem(docs[0].clone()));
        assert!(its <= most[0], "{name}: {its}");
    }
}

#[test]
fn another_order_of_the_unknowns_changes_hardly_an_iteration() {
    for (name, docs, _) in families() {
        let (system, b) = problem(docs[0].clone());
        // Without auxiliary data, which are not permuted.
        let system = System::new(system.a().clone());
        let a = system.a().own().view();
        let n = a.n_rows();
        // Blocks of unknowns stay together: so do those of a node.
        let d = if name.starts_with("elasticity in") {
            3
        } else {
            1 + usize::from(name == "elasticity")
        };
        let nodes = n / d;
        let stride = (nodes / 3..).find(|s| gcd(*s, nodes) == 1 && *s > 1).expect("one");
        let place = |i: usize| (i / d * stride + 7) % nodes * d + i % d;
        let triplets: Vec<_> =
            (0..n).flat_map(|i| a.row(i).map(move |(j, v)| (place(i), place(j), v))).collect();
        let permuted = Csr::from_triplets(n, n, triplets).expect("sound");
        let permuted = System::new(DistCsr::solo(permuted).expect("square"));
        let mut moved = vec![0.0; n];
        (0..n).for_each(|i| moved[place(i)] = b[i]);
        for ordering in ["given", "auto", "breadth-first"] {
            let doc = json!({"ordering": ordering});
            let its = [
                iterations(json!({}), &(system.clone(), b.clone())),
                iterations(doc, &(permuted.clone(), moved.clone())),
            ];
            // Where sweeps follow a random order, that order counts, too.
            let most = if ordering == "given" { 6 } else { 3 };
            assert!(its[0].abs_diff(its[1]) <= most, "{name}, {ordering}: {its:?}");
        }
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[test]
fn unknowns_of_a_node_are_found_from_the_pattern() {
    for (dimension, nodes) in [(2, 12), (3, 5)] {
        let doc = json!({"kind": "elasticity", "dimension": dimension, "nodes": nodes});
        let (system, b) = problem(doc);
        // Without auxiliary data.
        let bare = System::new(system.a().clone());
        let found = generate(json!({"coarsest": 50}), &bare).notes();
        let constant = json!({"coarsest": 50, "near_null_space": "constant"});
        let told = generate(constant, &system).notes();
        let text = format!("{dimension} unknowns per node, coarsened one by one");
        assert!(found.contains(&text) && told == found, "{found:?}");
        let nodes = json!({"coarsest": 50, "finest_smoother": "gauss-seidel"});
        let mut scalar = nodes.clone();
        scalar["block_size"] = json!(1);
        let its = [nodes, scalar].map(|doc| iterations(doc, &(bare.clone(), b.clone())));
        assert!(2 * its[0] < its[1], "{its:?}");
    }
    for doc in [json!({"kind": "poisson"}), json!({"kind": "tetrahedra", "nodes": 7})] {
        let notes = generate(json!({}), &problem(doc).0).notes();
        assert!(notes.iter().all(|note| !note.contains("per node")), "{notes:?}");
    }
}

#[test]
fn slender_bodies_need_their_rigid_modes() {
    for (dimension, nodes, length) in [(2, 6, 24), (3, 3, 10)] {
        let doc = json!({
            "kind": "elasticity", "dimension": dimension, "nodes": nodes, "length": length
        });
        let system = problem(doc);
        // Rigid body modes come with the system, and can be made from its coordinates.
        let of = |doc: Value| iterations(doc, &system);
        let given = of(json!({"coarsest": 60}));
        let made = of(json!({"coarsest": 60, "near_null_space": "rigid-body"}));
        let constant = of(json!({"coarsest": 60, "near_null_space": "constant"}));
        assert!(given.abs_diff(made) <= 1, "{dimension}-D: {given} {made}");
        assert!(3 * given < 2 * constant && given <= 40, "{dimension}-D: {given} {constant}");
        let modes = if dimension == 2 { 3 } else { 6 };
        let notes = generate(json!({"coarsest": 60}), &system.0).notes();
        let text = format!("aggregates keep {modes} vectors of the near null space");
        assert!(notes.contains(&text), "{notes:?}");
    }
    let refused = |doc: Value, of: Value| {
        Amg::generate(&params(doc), &problem(of).0).err().expect("refused").to_string()
    };
    let rigid = json!({"near_null_space": "rigid-body", "coarsest": 20});
    let error = refused(rigid.clone(), json!({"kind": "poisson", "level": 4}));
    assert!(error.contains("as many unknowns per node as coordinates"), "{error}");
    let bare = System::new(problem(json!({"kind": "elasticity"})).0.a().clone());
    let error = Amg::generate(&params(rigid), &bare).err().expect("refused").to_string();
    assert!(error.contains("coordinates, which do not come with this system"), "{error}");
    let error = refused(
        json!({"near_null_space": "rigid-body", "recipe": "parallel"}),
        json!({"kind": "elasticity"}),
    );
    assert!(error.contains("the recipe 'parallel' keeps no rigid body modes"), "{error}");
}

#[test]
fn rows_that_smoothing_solves_are_left_out_of_coarser_levels() {
    let (system, b) = problem(json!({"kind": "poisson", "level": 6}));
    let plain = iterations(json!({}), &(system.clone(), b.clone()));
    for penalty in [1e3, 1e8, 1e20, 1e200] {
        let fixed = |i: usize| i.is_multiple_of(97);
        let stiff = with_matrix(&system, |i, j, v| if i == j && fixed(i) { penalty } else { v });
        let b: Vec<f64> = (0..b.len()).map(|i| if fixed(i) { penalty } else { b[i] }).collect();
        let m = generate(json!({}), &stiff);
        // Small in norm says nothing of the other rows: M alone is looked at.
        let free: Vec<f64> =
            b.iter().enumerate().map(|(i, b)| if fixed(i) { 0.0 } else { *b }).collect();
        let report = run(&stiff, &m, &free, &Algorithm::Cg);
        assert_eq!(report.outcome, Outcome::Converged, "{penalty:e}: {:?}", m.notes());
        assert!(report.iterations <= plain + 3, "{penalty:e}: {} of {plain}", report.iterations);
    }
    // The mass of a short time step everywhere: nothing is left for coarser levels.
    let mass = with_matrix(&system, |i, j, v| if i == j { 100.0 * v } else { v });
    let m = generate(json!({}), &mass);
    assert!(m.notes().iter().any(|n| n.contains("smoothing alone")), "{:?}", m.notes());
    assert!(iterations(json!({}), &(mass, b)) <= 5);
}

#[test]
fn a_refresh_may_keep_the_coarsening_or_the_interpolation() {
    let (system, b) = problem(json!({
        "kind": "diffusion", "mesh": "delaunay", "nodes": 30, "coefficient": "blocks"
    }));
    let r: Vec<f64> = (0..b.len()).map(|i| (i as f64).sin()).collect();
    let applied = |m: &Cycle| {
        let mut z = vec![0.0; r.len()];
        m.apply(&r, &mut z).expect("finite");
        z
    };
    let size = |i: usize| 1.0 + 0.3 * (i as f64).sin().abs();
    let other = with_matrix(&system, |i, j, v| v * (size(i) * size(j)));
    for recipe in [Recipe::Aggregation, Recipe::Classical] {
        for keep_setup in [Keep::Coarsening, Keep::Interpolation] {
            let params = Params { recipe, keep_setup, coarsest: 40, ..Params::default() };
            let mut m = Amg::generate(&params, &system).expect("it works");
            let before = applied(&m);
            Amg::refresh(&mut m, &params, &system).expect("the same pattern");
            // Sums are added up in another order, in single precision.
            let largest = before.iter().fold(0.0f64, |m, z| m.max(z.abs()));
            let again = applied(&m);
            let off = again.iter().zip(&before).fold(0.0f64, |m, (z, b)| m.max((z - b).abs()));
            assert!(
                off <= 1e-6 * largest,
                "{recipe:?}, {keep_setup:?}, for the same values: {off:e}"
            );
            let fresh = Amg::generate(&params, &other).expect("it works");
            Amg::refresh(&mut m, &params, &other).expect("the same pattern");
            let its = [&m, &fresh].map(|m| {
                let report = run(&other, m, &b, &Algorithm::Cg);
                assert_eq!(report.outcome, Outcome::Converged);
                report.iterations
            });
            assert!(its[0] <= its[1] + 3, "{recipe:?}, {keep_setup:?}: {its:?}");
            let scaled = with_matrix(&system, |_, _, v| 1024.0 * v);
            let mut m = Amg::generate(&params, &system).expect("it works");
            Amg::refresh(&mut m, &params, &scaled).expect("the same pattern");
            let z = applied(&m);
            let off = z.iter().zip(&before).fold(0.0f64, |m, (z, b)| m.max((1024.0 * z - b).abs()));
            assert!(off <= 1e-6 * largest, "{recipe:?}, {keep_setup:?}, for 1024 A: {off:e}");
            let fewer = problem(json!({"kind": "poisson", "nodes": 30})).0;
            let refused = Amg::refresh(&mut m, &params, &fewer);
            assert_eq!(refused.err(), Some(Error::PatternChanged), "{recipe:?}, {keep_setup:?}");
        }
    }
}

#[test]
fn any_method_smooths() {
    use precondor_sdk::core::host::{Host, Level};
    use precondor_sdk::core::registry::Registry;
    struct Peers(Registry);
    impl Host for Peers {
        fn inner(&self, name: &str, params: &Value, system: &System) -> Result<Box<dyn Instance>> {
            self.0.get(name)?.generate(params, system)
        }
        fn read(&self, path: &str) -> Result<Vec<u8>> {
            Err(Error::file(path, "no files here"))
        }
        fn log(&self, _: Level, _: &str) {}
    }
    let mut registry = Registry::new();
    for method in precondor_plugin_spai::methods()
        .into_iter()
        .chain(precondor_plugin_ilu::methods())
        .chain(precondor_plugin_gauss_seidel::methods())
    {
        registry.add(method).expect("a name of its own");
    }
    let (system, b) = problem(json!({"kind": "diffusion", "mesh": "delaunay", "nodes": 40}));
    let system = system.with_host(Arc::new(Peers(registry)));
    let of = |doc: Value| iterations(doc, &(system.clone(), b.clone()));
    let sweeps = of(json!({}));
    for method in ["fsai", "ic"] {
        let its = of(json!({"method": method}));
        assert!(its <= sweeps + 8, "{method}: {its}, Gauss-Seidel {sweeps}");
    }
    for smoother in ["l1-jacobi", "chebyshev", "spai-0"] {
        let its = of(json!({"smoother": smoother}));
        assert!(its <= 2 * sweeps + 8, "{smoother}: {its}, Gauss-Seidel {sweeps}");
    }
    // An unsymmetric S is not proved to keep M definite.
    let m = generate(json!({"method": "spai"}), &system);
    let report = run(&system, &m, &b, &Algorithm::Bicgstab);
    assert!(report.outcome == Outcome::Converged && report.iterations <= sweeps, "{report:?}");
    // Unsymmetric S: S before, Sᵀ after keeps M symmetric.
    let m = generate(json!({"method": "ilu"}), &system);
    assert!(m.properties().symmetric, "{:?}", m.notes());
    let error =
        Amg::generate(&params(json!({"method": "spay"})), &system).err().expect("no such method");
    assert!(error.to_string().contains("spay on level 0"), "{error}");
}

#[test]
fn what_cannot_be_done_is_refused_by_row_or_parameter() {
    let (system, _) = problem(json!({"kind": "poisson", "level": 5}));
    let refused = |system: &System, doc: Value| {
        Amg::generate(&params(doc), system).err().expect("refused").to_string()
    };
    let negative = with_matrix(&system, |i, j, v| if (i, j) == (7, 7) { -v } else { v });
    assert!(refused(&negative, json!({})).contains("global row 7: the diagonal entry is -"));
    let nan = with_matrix(&system, |i, j, v| if (i, j) == (9, 9) { f64::NAN } else { v });
    assert!(refused(&nan, json!({})).contains("global row 9: the diagonal entry is NaN"));
    let without = Csr::from_triplets(2, 2, [(0, 0, 1.0), (1, 0, 1.0), (0, 1, 1.0)]).expect("sound");
    let without = System::new(DistCsr::solo(without).expect("square"));
    assert!(refused(&without, json!({})).contains("global row 1: there is no diagonal entry"));
    assert!(refused(&system, json!({"damping": 0.5})).contains("'damping'"));
    // Whoever listens to it may have it, on the finest level alone as well.
    for own in ["smoother", "finest_smoother"] {
        let z = |damping: f64| {
            let m = generate(json!({own: "spai-0", "damping": damping}), &system);
            let mut z = vec![0.0; system.a().n_own()];
            m.apply(&vec![1.0; system.a().n_own()], &mut z).expect("applies");
            z
        };
        assert_ne!(z(0.5), z(0.7), "{own}");
    }
    assert!(refused(&system, json!({"block_size": 2})).contains("'block_size': 961 unknowns"));
}

#[test]
fn indefinite_matrices_are_told_of() {
    let (system, _) = problem(json!({"kind": "poisson", "level": 5}));
    // Helmholtz: −Δ − k² with many negative eigenvalues and a positive diagonal.
    let helmholtz = with_matrix(&system, |i, j, v| if i == j { v - 2.0 } else { v });
    let m = generate(json!({}), &helmholtz);
    assert!(m.properties().symmetric && !m.properties().positive_definite);
    assert!(m.notes().iter().any(|n| n.contains("not found to be positive definite")));
}

#[test]
fn notes_tell_of_levels_and_complexity() {
    let (system, _) = problem(json!({"kind": "poisson", "level": 6}));
    let notes = generate(json!({}), &system).notes();
    assert!(
        notes[0].contains("levels by smoothed aggregation, strength 0.25: operator complexity 1.")
    );
    assert!(notes[1].starts_with("level 0: 3969 unknowns, 6.9 entries per row"), "{notes:?}");
    let notes = generate(json!({"levels": 2}), &system).notes();
    assert!(notes[0].starts_with("2 levels"), "{notes:?}");
    let params = Params { ordering: Ordering::BreadthFirst, ..Params::default() };
    let notes = Amg::generate(&params, &system).expect("it works").notes();
    assert!(notes.contains(&"unknowns renumbered breadth first".to_owned()), "{notes:?}");
}
