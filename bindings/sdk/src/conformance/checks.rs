//! The checks, one function each; `conformance!` makes a test of every one.
use super::dense::Dense;
use super::memory::allocations;
use super::setting::{Kit, columns, dense_of, seen, vector};
use precondor_core::comm::{Comm, threads};
use precondor_core::matrix::{Explicit, ExplicitKind, ExplicitView, Space};
use precondor_core::precond::{Generator, Preconditioner};
use precondor_core::registry::parameters;
use precondor_core::schema;
use precondor_core::{Error, Result};
use serde_json::{Value, json};

#[allow(missing_docs, reason = "the names of the tests say what they check")]
impl<G: Generator> Kit<G> {
    pub fn describes_itself(&self) {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        assert!(G::NAME.bytes().all(plain), "'{}': lower-case words joined by -", G::NAME);
        assert!(!G::SUMMARY.is_empty() && !G::SUMMARY.contains('\n'), "one line for lists");
        parameters::<G::Params>(&json!({})).expect("all parameters have defaults");
        parameters::<G::Params>(&self.params).expect("the schema allows what is tested");
        let schema = schema::of::<G::Params>();
        assert_eq!(schema::endless(&schema), None, "hosts refuse the schema");
        assert_eq!(schema::misfits(&schema), [], "defaults outside of their own range");
        for (name, parameter) in schema["properties"].as_object().into_iter().flatten() {
            let said = parameter["description"].as_str().unwrap_or_default();
            assert!(!said.is_empty(), "parameter '{name}' has no description");
        }
        let unknown = parameters::<G::Params>(&json!({"no such parameter": 1}));
        assert!(unknown.is_err() || schema["properties"] == Value::Null, "deny_unknown_fields");
    }

    pub fn is_linear(&self) {
        let (n, m) = (self.n(), self.made());
        let (x, y) = (vector(n, 1), vector(n, 2));
        let (alpha, beta) = (0.75, -1.5);
        let both: Vec<f64> = x.iter().zip(&y).map(|(x, y)| alpha * x + beta * y).collect();
        let [mx, my, mboth] = [x, y, both].map(|r| applied(&*m, &r));
        for i in 0..n {
            let (expected, size) =
                (alpha * mx[i] + beta * my[i], mx[i].abs() + my[i].abs() + mboth[i].abs());
            let largest = mboth.iter().fold(size, |s, z| s.max(z.abs()));
            let off = (mboth[i] - expected).abs();
            assert!(off <= self.rounding * largest, "entry {i} of M(αx + βy)");
        }
    }

    pub fn overwrites_its_result(&self) {
        let (n, m) = (self.n(), self.made());
        let r = vector(n, 1);
        let [nan, seven] = [f64::NAN, 7.0].map(|held| {
            let mut z = vec![held; n];
            m.apply(&r, &mut z).expect("good data");
            bits(&z)
        });
        assert_eq!(nan, seven, "what z held plays no part");
        let zero = applied(&*m, &vec![0.0; n]);
        assert!(zero.iter().all(|z| *z == 0.0), "M 0 = 0");
    }

    pub fn gives_the_same_bits_again(&self) {
        let (one, other) = (self.made(), self.made());
        assert_eq!(seen(&*one, self.n()), seen(&*other, self.n()), "set up twice");
        if one.properties().constant {
            assert_eq!(seen(&*one, self.n()), seen(&*one, self.n()), "applied twice");
        }
    }

    pub fn allocates_nothing_in_apply(&self) {
        let (n, m) = (self.n(), self.made());
        let (r, mut z) = (vector(n, 1), vec![0.0; n]);
        let count = allocations(|| m.apply(&r, &mut z).expect("good data"));
        assert_eq!(count, 0, "allocations in apply");
    }

    pub fn is_symmetric_and_definite_as_declared(&self) {
        let properties = self.made().properties();
        let m = self.dense();
        assert!(m.size().is_finite() && m.size() > 0.0, "M = 0 or not finite");
        if properties.symmetric {
            let skew = m.distance(&m.transpose());
            assert!(skew <= self.tolerance.max(1e-12), "declared symmetric, off by {skew:e}");
        }
        if properties.positive_definite {
            assert!(properties.symmetric, "positive definite means symmetric, too");
            assert!(m.positive_definite(), "declared positive definite");
        }
    }

    pub fn is_the_same_on_any_number_of_ranks_as_declared(&self) {
        let independent = self.made().properties().rank_independent;
        let alone = self.dense();
        for starts in self.distributions() {
            match self.dense_on(&starts) {
                Ok(m) if independent => {
                    let off = m.distance(&alone);
                    let text = "declared rank independent, off by";
                    assert!(off <= self.tolerance, "{text} {off:e} on rows {starts:?}");
                }
                Ok(m) => assert!(m.size().is_finite(), "not finite on rows {starts:?}"),
                Err(Error::Unsupported(why)) => assert!(starts.len() > 2, "on one rank: {why}"),
                Err(Error::Elsewhere { message, .. }) if starts.len() > 2 => {
                    panic!("on rows {starts:?} a rank alone fails: {message}")
                }
                Err(error) => panic!("on rows {starts:?}: {error}"),
            }
        }
    }

    pub fn refuses_or_survives_a_zero_row_on_all_ranks(&self) {
        let told = self.refuses_or_survives(&|row, i, _, v| if i == row { 0.0 } else { v });
        assert!(told, "a fallback for a zero row is told in the notes");
    }

    pub fn refuses_or_survives_a_zero_diagonal_entry_on_all_ranks(&self) {
        self.refuses_or_survives(&|row, i, j, v| if (i, j) == (row, row) { 0.0 } else { v });
    }

    /// Spoils a row on one rank. All ranks fail, and those that do not own the row name who does; or none
    /// fails, M is finite, and the result is whether notes tell of it.
    fn refuses_or_survives(&self, spoilt: &(impl Fn(u64, u64, u64, f64) -> f64 + Sync)) -> bool {
        let row = self.n() as u64 / 2;
        let mut told = true;
        for ranks in 1..=3 {
            let ends = threads::run(ranks, |backend| {
                let space = Space::even(Comm::new(backend), self.n() as u64);
                let system = self.spread(&space, |i, j, v| spoilt(row, i, j, v));
                self.make(&system).map(|m| (m.notes(), applied(&*m, &vector(space.n_own(), 1))))
            });
            if ends.iter().all(|end| end.is_ok()) {
                told &= ends.iter().flatten().any(|(notes, _)| !notes.is_empty());
                let finite = |z: &[f64]| z.iter().all(|z| z.is_finite());
                assert!(ends.iter().flatten().all(|(_, z)| finite(z)), "M is not finite");
                continue;
            }
            let own = |end: &Result<_>| {
                !matches!(end.as_ref().map_err(Error::root), Err(Error::Elsewhere { .. }))
            };
            for (rank, end) in ends.iter().enumerate() {
                let Err(error) = end else { panic!("rank {rank} of {ranks} has no error") };
                let text = error.to_string();
                match error.root() {
                    Error::Panicked(text) => panic!("a panic: {text}"),
                    Error::Elsewhere { rank: of, .. } => {
                        assert!(own(&ends[*of]), "rank {of} is blamed: {text}");
                        assert!(text.contains(&format!("rank {of} failed")), "{text}");
                    }
                    _ => {}
                }
                let names_it = text.contains(&format!("global row {row}"))
                    || matches!(error.root(), Error::Unsupported(_))
                    || text.contains("symmetric")
                    || text.contains("positive definite");
                assert!(names_it, "the error does not name global row {row}: {text}");
            }
        }
        told
    }

    pub fn works_with_ranks_that_have_no_rows(&self) {
        let n = self.n() as u64;
        for starts in [[0, 0, n, n], [0, n, n, n], [0, 0, 0, n]] {
            threads::run(3, |backend| {
                let space = Space::from_starts(Comm::new(backend), starts.to_vec());
                let space = space.expect("increasing");
                match self.make(&self.spread(&space, |_, _, v| v)) {
                    Ok(m) => {
                        let z = applied(&*m, &vector(space.n_own(), 1));
                        assert!(z.iter().all(|z| z.is_finite()));
                    }
                    Err(error) => {
                        let refused =
                            matches!(error.root(), Error::Unsupported(_) | Error::Elsewhere { .. });
                        assert!(refused, "on rows {starts:?}: {error}");
                    }
                }
            });
        }
    }

    pub fn gives_the_same_bits_across_the_c_tables(&self) {
        for ranks in 1..=3 {
            threads::run(ranks, |backend| {
                let space = Space::even(Comm::new(backend), self.n() as u64);
                let system = self.spread(&space, |_, _, v| v);
                let here = self.make(&system).map(|m| seen(&*m, space.n_own()));
                let across = self.make_across(&system).map(|m| seen(&*m, space.n_own()));
                assert_eq!(here, across, "on {ranks} ranks");
            });
        }
    }

    pub fn applies_what_it_shows(&self) {
        let m = self.made();
        let Some(explicit) = m.explicit() else { return };
        assert!(G::CAPABILITIES.explicit, "it shows an inverse that it does not announce");
        let stored = expand(&explicit, self.n());
        let expected = match explicit.kind {
            ExplicitKind::Inverse => stored,
            ExplicitKind::Factor => stored.transpose().times(&stored),
        };
        let off = expected.distance(&dense_of(&*m, self.n()));
        assert!(off <= 1e-12, "the shown inverse is off by {off:e}");
    }

    pub fn applies_many_as_one_by_one(&self) {
        let (n, m) = (self.n(), self.made());
        for k in [0, 1, 3] {
            let r = vector(k * n, 3);
            let mut z = vec![f64::NAN; k * n];
            m.apply_many(k, &r, &mut z).expect("good data");
            for j in 0..k {
                let one = applied(&*m, &r[j * n..(j + 1) * n]);
                let largest = one.iter().fold(0.0, |s: f64, z| s.max(z.abs()));
                for i in 0..n {
                    let off = (one[i] - z[j * n + i]).abs();
                    assert!(off <= 1e-12 * largest, "entry {i} of vector {j} of {k}");
                }
            }
        }
    }

    /// z as `apply` gives it, and the product of the system's matrix with it.
    pub fn applies_and_multiplies(&self) {
        let (n, m, r) = (self.n(), self.made(), vector(self.n(), 5));
        let (mut z, mut y) = (vec![f64::NAN; n], vec![f64::NAN; n]);
        match m.apply_and_multiply(&r, &mut z, &mut y) {
            Err(Error::Unsupported(_)) => return,
            Err(error) => panic!("{error}"),
            Ok(()) => {
                assert!(G::CAPABILITIES.product, "it gives a product that it does not announce")
            }
        }
        assert_eq!(z, applied(&*m, &r));
        let mut expected = vec![0.0; n];
        self.whole().a().spmv(&z, &mut expected).expect("one rank");
        let largest = expected.iter().fold(0.0, |s: f64, y| s.max(y.abs()));
        for (i, (y, expected)) in y.iter().zip(&expected).enumerate() {
            assert!((y - expected).abs() <= 1e-12 * largest, "entry {i}: {y} and {expected}");
        }
    }

    pub fn applies_its_transpose(&self) {
        let (n, m) = (self.n(), self.made());
        let offered = G::CAPABILITIES.transpose || m.properties().symmetric;
        match m.apply_transpose(&vector(n, 1), &mut vec![0.0; n]) {
            Err(Error::Unsupported(_)) if !m.properties().symmetric => return,
            Err(error) => panic!("{error}"),
            Ok(()) => assert!(offered, "it has a transpose that it does not announce"),
        }
        let transpose = columns(n, |r, z| m.apply_transpose(r, z));
        let off = transpose.distance(&dense_of(&*m, n).transpose());
        assert!(off <= self.tolerance.max(1e-12), "the transpose is off by {off:e}");
    }

    pub(super) fn made(&self) -> Box<dyn Preconditioner> {
        self.make(&self.whole()).expect("the method works on the test system")
    }
}

pub(super) fn applied(m: &dyn Preconditioner, r: &[f64]) -> Vec<f64> {
    let mut z = vec![f64::NAN; r.len()];
    m.apply(r, &mut z).expect("good data");
    z
}

fn bits(z: &[f64]) -> Vec<u64> {
    z.iter().map(|z| z.to_bits()).collect()
}

/// An explicit matrix of one rank, dense.
fn expand(m: &Explicit<'_>, n: usize) -> Dense {
    let ExplicitView { row_ptr, cols, values } = m.own;
    let mut dense = Dense::zeros(n);
    for i in 0..n {
        let row = row_ptr[i] as usize..row_ptr[i + 1] as usize;
        for (k, &j) in row.clone().zip(&cols[row]) {
            dense.set(i, j as usize, values.get(k));
        }
    }
    dense
}
