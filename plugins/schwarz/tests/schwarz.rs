//! M against its definition in dense matrices, what CG may take, errors, refreshes.
#![allow(clippy::unwrap_used)]
use precondor_plugin_gauss_seidel::GaussSeidel;
use precondor_plugin_ilu::{Ic, Ilu};
use precondor_plugin_schwarz::{Params, Schwarz, Variant};
use precondor_plugin_spai::Spai;
use precondor_sdk::core::comm::{Comm, threads};
use precondor_sdk::core::registry::Native;
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::{Value, json};
use std::sync::Arc;

use precondor_testkit::methods;

type Dense = Vec<Vec<f64>>;

fn host() -> Arc<dyn Host> {
    methods::Methods::of([
        Native::<Schwarz>::method(),
        Native::<Ilu>::method(),
        Native::<Ic>::method(),
        Native::<Spai>::method(),
        Native::<GaussSeidel>::method(),
        Native::<Looks>::method(),
    ])
}

/// M = I, of a method that says what is known of its system.
struct Looks(Vec<String>);

/// None.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", deny_unknown_fields)]
#[schemars(crate = "precondor_sdk::schemars")]
struct NoParams {}

impl Generator for Looks {
    const NAME: &'static str = "looks";
    const SUMMARY: &'static str = "says what is known of its system";
    type Params = NoParams;
    type Output = Looks;
    fn generate(_: &NoParams, system: &System) -> Result<Looks> {
        let told = system.all_aux().map(|(name, aux)| format!("{name} {:?}", aux.values));
        Ok(Looks(told.collect()))
    }
}

impl Preconditioner for Looks {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        z.copy_from_slice(r);
        Ok(())
    }
    fn properties(&self) -> precondor_sdk::core::precond::Properties {
        precondor_sdk::core::precond::Properties::SPD
    }
    fn stored_entries(&self) -> usize {
        0
    }
    fn bytes(&self) -> usize {
        0
    }
    fn notes(&self) -> Vec<String> {
        self.0.clone()
    }
}

#[test]
fn what_is_known_of_own_rows_comes_along_to_a_block_without_others() {
    let mut a = vec![vec![0.0; 4]; 4];
    (0..4).for_each(|i| a[i][i] = 2.0);
    let told = threads::run(2, |comm| {
        let system = spread(&a, &[0, 2, 4], Comm::new(comm)).with_block_size(2).unwrap();
        let first = system.a().space().start() as f64;
        let system = system.with_coordinates(1, vec![first, first + 1.0]).unwrap();
        let params = json!({ "method": "looks", "overlap": 0 });
        Native::<Schwarz>::method().generate(&params, &system).unwrap().notes()
    });
    for (rank, notes) in told.iter().enumerate() {
        let places = format!("coordinates [{}.0, {}.0]", 2 * rank, 2 * rank + 1);
        let has = |text: &str| notes.iter().any(|note| note.contains(text));
        assert!(has(&places) && has("block-size [2.0, 2.0]"), "{notes:?}");
    }
}

/// A five-point matrix with flow on 6 × 4 nodes, unsymmetric also in its pattern.
fn flow() -> Dense {
    let (mx, my) = (6, 4);
    let mut a = vec![vec![0.0; mx * my]; mx * my];
    for (y, x) in (0..my).flat_map(|y| (0..mx).map(move |x| (y, x))) {
        let i = y * mx + x;
        a[i][i] = 4.5 + 0.1 * i as f64;
        if x > 0 {
            a[i][i - 1] = -1.5;
        }
        if x + 1 < mx && i % 5 != 2 {
            a[i][i + 1] = -0.5;
        }
        if y > 0 {
            a[i][i - mx] = -1.25;
        }
        if y + 1 < my {
            a[i][i + mx] = -0.75;
        }
    }
    a
}

/// (A + Aᵀ)/2.
fn symmetric(a: &Dense) -> Dense {
    let n = a.len();
    (0..n).map(|i| (0..n).map(|j| (a[i][j] + a[j][i]) / 2.0).collect()).collect()
}

/// The rows of `a` on this rank.
fn spread(a: &Dense, starts: &[u64], comm: Comm) -> System {
    let space = Space::from_starts(comm, starts.to_vec()).unwrap();
    let first = space.start() as usize;
    let (mut row_ptr, mut cols, mut values) = (vec![0], vec![], vec![]);
    for row in &a[first..first + space.n_own()] {
        for (j, &v) in row.iter().enumerate().filter(|(_, v)| **v != 0.0) {
            cols.push(j as u64);
            values.push(v);
        }
        row_ptr.push(cols.len() as u32);
    }
    let a = DistCsr::from_rows(&space, &row_ptr, &cols, &values).unwrap();
    System::new(a).with_host(host())
}

fn params(inner: Value, overlap: u32, variant: Option<Variant>) -> Params {
    Params { method: inner, overlap, variant, ..Params::default() }
}

/// M, or its transpose, on all ranks together.
fn dense(a: &Dense, starts: &[u64], params: &Params, transposed: bool) -> Dense {
    let n = a.len();
    let parts = threads::run(starts.len() - 1, |comm| {
        let system = spread(a, starts, Comm::new(comm));
        let m = Schwarz::generate(params, &system).unwrap();
        let (start, own) = (system.a().space().start() as usize, system.a().n_own());
        let column = |j: usize| {
            let r: Vec<f64> = (start..start + own).map(|i| f64::from(u8::from(i == j))).collect();
            let mut z = vec![f64::NAN; own];
            let applied =
                if transposed { m.apply_transpose(&r, &mut z) } else { m.apply(&r, &mut z) };
            applied.unwrap();
            z
        };
        (0..n).map(column).collect::<Vec<_>>()
    });
    let row = |part: &Dense, i: usize| part.iter().map(|column| column[i]).collect();
    parts.iter().flat_map(|part| (0..part[0].len()).map(|i| row(part, i))).collect()
}

/// The inverse by Gauss–Jordan elimination.
fn inverse(a: &Dense) -> Dense {
    let n = a.len();
    let mut rows: Dense = a.clone();
    for (i, row) in rows.iter_mut().enumerate() {
        row.extend((0..n).map(|j| f64::from(u8::from(i == j))));
    }
    for k in 0..n {
        let scale = 1.0 / rows[k][k];
        rows[k].iter_mut().for_each(|v| *v *= scale);
        let pivot = rows[k].clone();
        for (_, row) in rows.iter_mut().enumerate().filter(|(i, _)| *i != k) {
            let factor = row[k];
            row.iter_mut().zip(&pivot).for_each(|(v, p)| *v -= factor * p);
        }
    }
    rows.into_iter().map(|row| row[n..].to_vec()).collect()
}

/// The definition, with exact inverses inside.
fn by_definition(a: &Dense, starts: &[u64], overlap: u32, variant: Variant) -> Dense {
    let n = a.len();
    let block = |rank: usize| {
        let mut inside = vec![false; n];
        (starts[rank] as usize..starts[rank + 1] as usize).for_each(|i| inside[i] = true);
        for _ in 0..overlap {
            let before = inside.clone();
            for i in (0..n).filter(|&i| before[i]) {
                (0..n).filter(|&j| a[i][j] != 0.0).for_each(|j| inside[j] = true);
            }
        }
        (0..n).filter(|&i| inside[i]).collect::<Vec<usize>>()
    };
    let blocks: Vec<Vec<usize>> = (0..starts.len() - 1).map(block).collect();
    let count = |i: usize| blocks.iter().filter(|rows| rows.contains(&i)).count() as f64;
    let mut m = vec![vec![0.0; n]; n];
    for (rank, rows) in blocks.iter().enumerate() {
        let part = rows.iter().map(|&i| rows.iter().map(|&j| a[i][j]).collect()).collect();
        let part = inverse(&part);
        let own = starts[rank] as usize..starts[rank + 1] as usize;
        for (p, &i) in rows.iter().enumerate() {
            for (q, &j) in rows.iter().enumerate() {
                m[i][j] += part[p][q]
                    * match variant {
                        Variant::Restricted => f64::from(u8::from(own.contains(&i))),
                        Variant::Additive => 1.0,
                        Variant::Weighted => 1.0 / (count(i) * count(j)).sqrt(),
                    };
            }
        }
    }
    m
}

fn distance(a: &Dense, b: &Dense) -> f64 {
    let pairs = a.iter().flatten().zip(b.iter().flatten());
    pairs.fold(0.0, |most: f64, (x, y)| most.max((x - y).abs()))
}

const CUTS: [&[u64]; 5] = [
    &[0, 24],
    &[0, 12, 24],
    &[0, 5, 11, 24],
    &[0, 0, 9, 9, 24, 24],
    &[0, 1, 2, 4, 8, 16, 20, 22, 24],
];
const VARIANTS: [Variant; 3] = [Variant::Restricted, Variant::Weighted, Variant::Additive];

#[test]
fn with_exact_solves_inside_it_is_its_definition() {
    let a = flow();
    let exact = json!({"name": "ilu", "level": 1000});
    for (starts, overlap) in CUTS.iter().flat_map(|cut| [0, 1, 2, 5, 99].map(|k| (*cut, k))) {
        for variant in VARIANTS {
            let params = params(exact.clone(), overlap, Some(variant));
            let expected = by_definition(&a, starts, overlap, variant);
            let off = distance(&dense(&a, starts, &params, false), &expected);
            assert!(off < 1e-13, "{variant:?}, overlap {overlap}, rows {starts:?}: {off:e}");
            let transposed = dense(&a, starts, &params, true);
            let n = a.len();
            let back: Dense = (0..n).map(|i| (0..n).map(|j| transposed[j][i]).collect()).collect();
            let off = distance(&back, &expected);
            assert!(off < 1e-13, "transpose of {variant:?}, overlap {overlap}: {off:e}");
        }
    }
}

/// Overlap that reaches everything solves exactly, however the rows are cut.
#[test]
fn blocks_that_hold_all_of_a_give_its_inverse() {
    let a = flow();
    let exact = json!({"name": "ilu", "level": 1000});
    for variant in [Variant::Restricted, Variant::Weighted] {
        let m = dense(&a, CUTS[2], &params(exact.clone(), 99, Some(variant)), false);
        assert!(distance(&m, &inverse(&a)) < 1e-13, "{variant:?}");
    }
}

#[test]
fn without_overlap_it_is_what_the_methods_do_by_themselves() {
    let a = symmetric(&flow());
    for (name, method) in
        [("ilu", Native::<Ilu>::method()), ("gauss-seidel", Native::<GaussSeidel>::method())]
    {
        threads::run(3, |comm| {
            let system = spread(&a, CUTS[2], Comm::new(comm));
            let by_itself = method.generate(&json!({}), &system).unwrap();
            let m = Schwarz::generate(&params(json!(name), 0, None), &system).unwrap();
            let n = system.a().n_own();
            let r: Vec<f64> = (0..n).map(|i| (i as f64).cos()).collect();
            let (mut z, mut other) = (vec![0.0; n], vec![0.0; n]);
            m.apply(&r, &mut z).unwrap();
            by_itself.apply(&r, &mut other).unwrap();
            assert_eq!(z, other, "{name}");
            assert!(
                m.notes()[0].starts_with("block Jacobi: one block per rank"),
                "{:?}",
                m.notes()
            );
        });
    }
}

#[test]
fn the_default_variant_keeps_what_conjugate_gradients_need() {
    let a = symmetric(&flow());
    let of = |inner: Value, variant: Option<Variant>| {
        let seen = threads::run(3, |comm| {
            let system = spread(&a, CUTS[2], Comm::new(comm));
            let m = Schwarz::generate(&params(inner.clone(), 1, variant), &system).unwrap();
            (m.properties(), m.notes())
        });
        assert!(seen.iter().all(|(properties, _)| *properties == seen[0].0));
        (seen[0].0.symmetric, seen[0].0.positive_definite, seen[0].1[0].clone())
    };
    let sweeps = json!({"name": "gauss-seidel", "sweep": "symmetric"});
    for inner in [json!("ic"), sweeps] {
        let (symmetric, definite, note) = of(inner.clone(), None);
        assert!(symmetric && definite, "{inner}");
        let told = "weighted additive Schwarz: one block per rank, overlap 1; 3 blocks with ";
        assert!(note.starts_with(told) && note.ends_with(" rows for 24 of A"), "{note}");
        // Restricted is what was asked for, and it is unsymmetric.
        let (symmetric, definite, note) = of(inner, Some(Variant::Restricted));
        assert!(!symmetric && !definite && note.starts_with("restricted additive Schwarz"));
    }
    let (symmetric, definite, note) = of(json!("ilu"), None);
    assert!(!symmetric && !definite && note.starts_with("restricted additive Schwarz"), "{note}");
    let (symmetric, definite, _) = of(json!("ilu"), Some(Variant::Additive));
    assert!(!symmetric && !definite);
}

#[test]
fn a_refresh_gives_what_a_fresh_setup_gives_and_notices_other_patterns() {
    let old = symmetric(&flow());
    let mut new = old.clone();
    new.iter_mut().enumerate().for_each(|(i, row)| row[i] += 0.5 + (i % 3) as f64);
    for inner in ["ic", "ilu", "spai"] {
        threads::run(3, |comm| {
            let comm = Comm::new(comm);
            let params = params(json!(inner), 2, None);
            let on = |a: &Dense| spread(a, CUTS[2], comm.clone());
            let system = on(&new);
            let fresh = Schwarz::generate(&params, &system).unwrap();
            let mut m = Schwarz::generate(&params, &on(&old)).unwrap();
            Schwarz::refresh(&mut m, &params, &system).unwrap();
            let n = system.a().n_own();
            let (r, mut z, mut expected) = (vec![1.0; n], vec![0.0; n], vec![0.0; n]);
            m.apply(&r, &mut z).unwrap();
            fresh.apply(&r, &mut expected).unwrap();
            assert_eq!(z, expected, "{inner}");
            assert!(m.notes().iter().any(|note| note == "refreshed 1 times, the blocks kept"));
            // A pattern that changed on one rank only.
            let mut other = old.clone();
            (other[20][3], other[3][20]) = (-0.125, -0.125);
            let end = comm.scope(|| Schwarz::refresh(&mut m, &params, &on(&other)));
            assert_eq!(end, Err(Error::PatternChanged));
        });
    }
}

#[test]
fn errors_of_the_inner_method_name_rows_of_the_whole_matrix_on_all_ranks() {
    let zero_in = |row: usize| {
        let mut a = flow();
        a[row][row] = 0.0;
        a[row].iter_mut().for_each(|v| *v *= 1e-300);
        a
    };
    for (row, overlap) in [(0, 0), (7, 1), (17, 2), (23, 1)] {
        let ends = threads::run(3, |comm| {
            let comm = Comm::new(comm);
            let system = spread(&zero_in(row), CUTS[2], comm.clone());
            let params = params(json!("gauss-seidel"), overlap, None);
            comm.scope(|| Schwarz::generate(&params, &system).map(|_| ()))
        });
        let named = format!("global row {row}:");
        let mut own = 0;
        for end in &ends {
            let error = end.as_ref().unwrap_err();
            let text = error.to_string();
            assert!(text.contains(&named) && text.contains("parameter 'method'"), "{text}");
            own += usize::from(!matches!(error, Error::Elsewhere { .. }));
        }
        assert!(own >= 1, "{ends:?}");
    }
    // The unsymmetric pair is told in numbers of the whole matrix, too.
    let ends = threads::run(2, |comm| {
        let comm = Comm::new(comm);
        let system = spread(&flow(), CUTS[1], comm.clone());
        comm.scope(|| Schwarz::generate(&params(json!("ic"), 0, None), &system).map(|_| ()))
    });
    let text = ends[1].as_ref().unwrap_err().to_string();
    assert!(text.contains("global row 12: a(12, 18) = -0.75 but a(18, 12) = -1.25"), "{text}");
}

/// A saddle point whose zero block one rank owns: `ilu` alone has nothing to factorise there, and its
/// error writes the section that helps.
#[test]
fn overlap_helps_where_a_rank_has_no_entries_of_its_own() {
    use precondor_sdk::core::solver::{Algorithm, Criterion, Outcome, Stop, solve};
    let n = 40;
    let mut a = vec![vec![0.0; 2 * n]; 2 * n];
    for i in 0..n {
        a[i][i] = 3.0;
        if i > 0 {
            (a[i][i - 1], a[i - 1][i]) = (-1.0, -1.2);
        }
        (a[i][n + i], a[n + i][i]) = (1.0, 1.0);
        let next = (i + 1) % n;
        (a[i][n + next], a[n + next][i]) = (-0.5, -0.5);
    }
    let counts = threads::run(2, |comm| {
        let system = spread(&a, &[0, 40, 80], Comm::new(comm));
        let system = System::new(system.a().clone()).with_host(host());
        let comm = system.a().space().comm();
        let told = comm.scope(|| Native::<Ilu>::method().generate(&json!({}), &system).map(|_| ()));
        let told = told.unwrap_err().to_string();
        assert!(
            told.contains("global row 40: it has no entry but zeros in this rank's block"),
            "{told}"
        );
        assert!(told.contains(" (rank 1); "), "{told}");
        let section = "name = \"schwarz\", method = \"ilu\", overlap = 1 in [preconditioner]";
        assert!(told.ends_with(section), "{told}");

        let m = Schwarz::generate(&params(json!("ilu"), 1, None), &system).unwrap();
        let b = vec![1.0; system.a().n_own()];
        let mut x = vec![0.0; b.len()];
        let criterion = Criterion::RelativeResidual;
        let stop = Stop { criterion, tolerance: 1e-8, max_iterations: 100, divergence: 1e5 };
        let watch = &mut |_: &_| std::ops::ControlFlow::Continue(());
        let method = Algorithm::Gmres { restart: 30 };
        let report = solve(&method, system.a(), &m, &b, &mut x, &stop, watch).unwrap();
        assert_eq!(report.outcome, Outcome::Converged);
        report.iterations
    });
    assert!(counts[0] == counts[1] && counts[0] < 40, "{counts:?}");
}

#[test]
fn parameters_that_make_no_sense_are_refused() {
    let system = spread(&flow(), CUTS[0], Comm::solo());
    let why = |inner: Value| {
        Schwarz::generate(&params(inner, 1, None), &system).err().unwrap().to_string()
    };
    assert!(why(json!(3)).contains("a method's name, or a section with 'name'"));
    assert!(why(json!("ulu")).contains("did you mean 'ilu'?"));
    let why =
        Native::<Schwarz>::method().generate(&json!({"overlap": 101}), &system).err().unwrap();
    assert!(why.to_string().contains("overlap"), "{why}");
}

/// Through a dense row every row is next to every other: no layer is reached through it.
#[test]
fn a_dense_row_does_not_make_every_block_the_whole_matrix() {
    let n = 40;
    let entry = |i: usize, j: usize| match i.abs_diff(j) {
        0 => 50.0,
        1 => -1.0,
        _ if i == 5 || j == 5 => -0.5,
        _ => 0.0,
    };
    let a: Dense = (0..n).map(|i| (0..n).map(|j| entry(i, j)).collect()).collect();
    let blocks = |max_row| {
        let notes = threads::run(4, |comm| {
            let system = spread(&a, &[0, 10, 20, 30, 40], Comm::new(comm));
            let params = Params { max_row, ..params(json!("gauss-seidel"), 2, None) };
            Schwarz::generate(&params, &system).unwrap().notes().swap_remove(0)
        });
        notes[0].clone()
    };
    // Two rows on each side, and the dense one itself, which every row has an entry for.
    let few = blocks(6);
    assert!(few.ends_with("4 blocks with 55 rows for 40 of A"), "{few}");
    let all = blocks(40);
    assert!(all.ends_with("4 blocks with 160 rows for 40 of A"), "{all}");
}
