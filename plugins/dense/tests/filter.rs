//! What is kept, how it is stored, and what is refused.
#![allow(clippy::unwrap_used)]
use precondor_plugin_dense::filter::Filter;
use precondor_plugin_dense::inverse::Inverse;
use precondor_sdk::core::comm::{Comm, threads};
use precondor_sdk::core::host::Host;
use precondor_sdk::core::kernel::grid::Grid;
use precondor_sdk::core::matrix::{Explicit, ExplicitKind, Values};
use precondor_sdk::core::persist::Stored;
use precondor_sdk::core::problem::{Poisson, Problem};
use precondor_sdk::core::registry::Native;
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::{Value, json};
use std::sync::Arc;

use precondor_testkit::algebra::*;
use precondor_testkit::matrices::{applied, to_dense};
use precondor_testkit::methods;

/// G with M = GᵀG: the lower triangle of A, whatever that is good for.
struct Triangle;

struct Factor(DistCsr);

impl Generator for Triangle {
    const NAME: &'static str = "triangle";
    const SUMMARY: &'static str = "for tests";
    type Params = precondor_plugin_dense::inverse::Params;
    type Output = Factor;
    fn generate(_: &Self::Params, system: &System) -> Result<Factor> {
        let a = system.a();
        let (mut row_ptr, mut cols, mut values) = (vec![0], vec![], vec![]);
        for i in 0..a.n_own() {
            for (j, v) in a.global_entries(i).filter(|e| e.0 <= a.global_row(i)) {
                cols.push(j);
                values.push(v);
            }
            row_ptr.push(cols.len() as u32);
        }
        DistCsr::from_rows(a.space(), &row_ptr, &cols, &values).map(Factor)
    }
}

impl Preconditioner for Factor {
    fn apply(&self, _: &[f64], _: &mut [f64]) -> Result<()> {
        Err(Error::Unsupported("only its entries are looked at".into()))
    }
    fn properties(&self) -> Properties {
        Properties::SPD
    }
    fn stored_entries(&self) -> usize {
        self.0.nnz_own()
    }
    fn bytes(&self) -> usize {
        self.0.bytes()
    }
    fn explicit(&self) -> Option<Explicit<'_>> {
        Some(Explicit::of(ExplicitKind::Factor, &self.0))
    }
}

/// Stores no matrix.
struct Nothing;

impl Generator for Nothing {
    const NAME: &'static str = "nothing";
    const SUMMARY: &'static str = "for tests";
    type Params = precondor_plugin_dense::inverse::Params;
    type Output = precondor_sdk::core::precond::Identity;
    fn generate(_: &Self::Params, _: &System) -> Result<Self::Output> {
        Ok(precondor_sdk::core::precond::Identity)
    }
}

fn host() -> Arc<dyn Host> {
    methods::Methods::of([
        Native::<Inverse>::method(),
        Native::<Filter>::method(),
        Native::<Triangle>::method(),
        Native::<Nothing>::method(),
    ])
}

fn poisson(comm: Comm, level: u32) -> System {
    let problem = Problem::Poisson(Poisson { seed: 5, ..Poisson::at_level(level) });
    problem.generate(comm).unwrap().0.with_host(host())
}

fn made(params: Value, system: &System) -> Result<Box<dyn Instance>> {
    system.host().inner("filter", &params, system)
}

fn exact(system: &System) -> Stored {
    Inverse::generate(&Default::default(), system).unwrap()
}

#[test]
fn the_exact_inverse_is_exact_symmetric_and_knows_whether_it_is_definite() {
    let system = poisson(Comm::solo(), 4);
    let m = exact(&system);
    let shown = applied(&m, 225);
    let expected = inverse(&to_dense(system.a()));
    assert!(distance(&shown, &expected) < 1e-12);
    assert_eq!(shown, transpose(&shown));
    assert_eq!(m.properties(), Properties::SPD);
    assert_eq!((m.stored_entries(), m.bytes()), (225 * 225, 12 * 225 * 225 + 4 * 226 + 4 * 226));

    let of = |change: &dyn Fn(usize, usize, f64) -> f64| {
        let a = system.a().own();
        let rows = (0..225).flat_map(|i| a.view().row(i).map(move |(j, v)| (i, j, v)));
        let entries: Vec<_> = rows.map(|(i, j, v)| (i, j, change(i, j, v))).collect();
        System::new(DistCsr::solo(Csr::from_triplets(225, 225, entries).unwrap()).unwrap())
    };
    let shifted = of(&|i, j, v| if i == j { v - 2.1 } else { v });
    let unsymmetric = of(&|i, j, v| if i < j { 0.3 * v } else { v });
    for (system, symmetric) in [(shifted, true), (unsymmetric, false)] {
        let m = exact(&system);
        let properties = m.properties();
        assert_eq!((properties.symmetric, properties.positive_definite), (symmetric, false));
        assert!(distance(&applied(&m, 225), &inverse(&to_dense(system.a()))) < 1e-10);
    }
}

#[test]
fn what_has_no_inverse_or_too_many_rows_is_refused() {
    let solo = |n: usize, value: &dyn Fn(usize) -> f64| {
        let diagonal = (0..n).map(|i| (i, i, value(i))).collect::<Vec<_>>();
        System::new(DistCsr::solo(Csr::from_triplets(n, n, diagonal).unwrap()).unwrap())
    };
    let why = |system: &System| Inverse::generate(&Default::default(), system).err().unwrap();
    let large = why(&solo(2001, &|_| 1.0));
    assert_eq!(
        large.to_string(),
        "inverse stores all n² entries, so it takes at most 2000 unknowns; this matrix has 2001"
    );
    let singular = why(&solo(9, &|i| if i == 4 { 0.0 } else { 1.0 }));
    assert_eq!(singular.to_string(), "global row 4: all entries are zero: no inverse");
    let ones = (0..9).flat_map(|i| (0..9).map(move |j| (i, j, 1.0))).collect::<Vec<_>>();
    let ones = System::new(DistCsr::solo(Csr::from_triplets(9, 9, ones).unwrap()).unwrap());
    assert_eq!(
        why(&ones).to_string(),
        "the matrix is singular: its column 1 depends on those before"
    );
    assert!(Inverse::generate(&Default::default(), &solo(2000, &|i| 1.0 + i as f64)).is_ok());
}

#[test]
fn the_largest_entries_are_kept_and_no_others() {
    let system = poisson(Comm::solo(), 4);
    let whole = applied(&exact(&system), 225);
    let mut sizes: Vec<f64> = whole.iter().flatten().map(|v| v.abs()).collect();
    sizes.sort_by(f64::total_cmp);
    for keep in [1.0, 7.0, 20.5] {
        let m = made(json!({"keep": keep}), &system).unwrap();
        let smallest = sizes[sizes.len() - (keep * 225.0) as usize];
        let expected = dense(225, |i, j| {
            let value = whole[i][j];
            if value.abs() >= smallest { value } else { 0.0 }
        });
        assert_eq!(applied(&*m, 225), expected);
        // A pair of mirrored entries may be kept for the sake of one.
        let kept = m.stored_entries();
        assert!((0..=1).contains(&(kept - (keep * 225.0) as usize)), "{kept}");
    }
    let both = made(json!({"keep": 100, "threshold": 0.1}), &system).unwrap();
    let large = whole.iter().flatten().filter(|v| v.abs() > 0.1).count();
    assert!(large < 100 * 225 && both.stored_entries() == large);
    let text = format!("{large} of 50625 entries kept ({:.1} %)", large as f64 / 506.25);
    assert!(both.notes().iter().any(|n| n.starts_with(&text)), "{:?}", both.notes());
}

#[test]
fn entries_take_the_bytes_of_their_precision() {
    let system = poisson(Comm::solo(), 3);
    let whole = applied(&exact(&system), 49);
    let largest = whole.iter().flatten().fold(0.0, |m: f64, v| m.max(v.abs()));
    for (precision, width, error) in
        [("f64", 8, 0.0), ("f32", 4, 6e-8), ("bf16", 2, 4e-3), ("int8", 1, 0.5 / 127.0 + 1e-12)]
    {
        let m = made(json!({"precision": precision}), &system).unwrap();
        let kept = m.stored_entries();
        assert_eq!(m.bytes(), kept * (4 + width) + 2 * 4 * 50, "{precision}");
        assert!(kept == 49 * 49 || precision == "int8", "only 8 bits round an entry to zero");
        let gap = distance(&applied(&*m, 49), &whole);
        assert!(gap <= error && (gap > error / 20.0 || error == 0.0), "{precision}: {gap:e}");
        match (precision, m.explicit().map(|e| e.own.values)) {
            ("f64", Some(Values::F64(v))) => assert_eq!(v.len(), kept),
            ("f32", Some(Values::F32(v))) => assert_eq!(v.len(), kept),
            ("bf16", Some(Values::Bf16(v))) => assert_eq!(v.len(), kept),
            ("int8", None) => {
                // Relative to the largest entry, whose multiple of 1/127 every entry is.
                for v in applied(&*m, 49).iter().flatten() {
                    let steps = v / largest * 127.0;
                    assert!((steps - steps.round()).abs() < 1e-9);
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn factors_are_multiplied_out_and_symmetric_parts_taken_on_any_number_of_ranks() {
    let whole = poisson(Comm::solo(), 3);
    let a = to_dense(whole.a());
    let g = dense(49, |i, j| if j <= i { a[i][j] } else { 0.0 });
    let product = multiply(&transpose(&g), &g);
    let part = dense(49, |i, j| product[i][j] * f64::from(u8::from(product[i][j].abs() > 4.0)));
    for size in [1, 2, 3] {
        let rows = threads::run(size, |comm| {
            let system = poisson(Comm::new(comm), 3);
            let params = json!({"method": "triangle", "threshold": 4.0, "symmetrize": true});
            let m = made(params, &system).unwrap();
            assert!(m.properties().symmetric && m.properties().rank_independent);
            let r = vec![1.0; system.a().n_own()];
            let mut z = r.clone();
            m.apply(&r, &mut z).unwrap();
            z
        });
        for (z, row) in rows.concat().iter().zip(&part) {
            assert!((z - row.iter().sum::<f64>()).abs() < 1e-12 * 49.0);
        }
    }
}

#[test]
fn with_a_coarse_part_only_the_remainder_is_filtered() {
    let system = poisson(Comm::solo(), 4);
    let a = to_dense(system.a());
    let n = 225;
    // Hat functions of 3 × 3 coarse nodes, four fine intervals apart.
    let hat =
        |i: usize, k: usize| (1.0 - (i as f64 + 1.0 - 4.0 * (k as f64 + 1.0)).abs() / 4.0).max(0.0);
    let p: Dense = (0..n)
        .map(|row| (0..9).map(|c| hat(row % 15, c % 3) * hat(row / 15, c / 3)).collect())
        .collect();
    let ac = dense(9, |c, d| {
        (0..n).map(|i| p[i][c] * (0..n).map(|j| a[i][j] * p[j][d]).sum::<f64>()).sum()
    });
    let ac = inverse(&ac);
    let smooth = dense(n, |i, j| {
        (0..9).map(|c| p[i][c] * (0..9).map(|d| ac[c][d] * p[j][d]).sum::<f64>()).sum()
    });
    let whole = inverse(&a);
    let m = made(json!({"coarse": [3, 3], "threshold": 0.02}), &system).unwrap();
    let expected = dense(n, |i, j| {
        let rest = whole[i][j] - smooth[i][j];
        smooth[i][j] + if rest.abs() > 0.02 { rest } else { 0.0 }
    });
    assert!(distance(&applied(&*m, n), &expected) < 1e-12);
    assert!(m.explicit().is_none());
    // Far fewer entries than without the coarse part, for an error of the same size.
    let plain = made(json!({"threshold": 0.02}), &system).unwrap();
    assert!(3 * m.stored_entries() < plain.stored_entries(), "{}", m.stored_entries());
    assert!(m.properties().positive_definite && positive_definite(&expected));
}

#[test]
fn what_cannot_be_filtered_is_refused_with_the_parameter() {
    let system = poisson(Comm::solo(), 3);
    let why = |params: Value| made(params, &system).err().unwrap().to_string();
    assert_eq!(
        why(json!({"method": "nothing"})),
        "parameter 'method': nothing stores no inverse as a matrix; filter needs one"
    );
    assert!(why(json!({"method": "inverze"})).contains("did you mean 'inverse'"));
    assert!(why(json!({"method": 3})).contains("it takes a method's name"));
    let nested = json!({"method": {"name": "filter", "method": "inverse", "precision": "int8"}});
    assert!(why(nested).contains("filter stores no inverse as a matrix"));
    assert!(why(json!({"threshold": -1.0})).contains("parameter 'threshold'"));
    assert!(why(json!({"keep": 0})).contains("parameter 'keep'"));
    for coarse in [[0, 3], [8, 3]] {
        let text = format!("{} by 3 nodes is no coarser grid than 7 by 7", coarse[0]);
        assert!(why(json!({"coarse": coarse})).contains(&text));
    }
    let large = Grid { mx: 50, my: 50 }.five_point(&Space::solo(2500)).unwrap();
    let large = System::new(large).with_host(host());
    let why = made(json!({"coarse": [3, 3]}), &large).err().unwrap().to_string();
    assert!(why.contains("at most 2000 unknowns then; this matrix has 2500"), "{why}");
}
