//! Checks of what M keeps when A changes: what is declared holds, natively, across the C tables and on ranks,
//! and what is not declared does not hold either.
use super::checks::applied;
use super::dense::Dense;
use super::setting::{Kit, seen, vector};
use precondor_core::comm::{Comm, threads};
use precondor_core::invariance::Invariances;
use precondor_core::matrix::{Csr, DistCsr, Space};
use precondor_core::precond::Generator;
use precondor_core::registry::Native;
use precondor_core::system::System;
use precondor_core::{Error, Result};

/// What A is multiplied by: units of length, of force, of a mesh width of 1/65 squared, and the range of
/// numbers.
const FACTORS: [f64; 7] = [2.0, 1e3, 2.1e11, 8.9e-12, 4225.0, 1e100, 1e-100];
/// Those that are tried across the C tables and on ranks, too.
const ELSEWHERE: [f64; 2] = [1e3, 8.9e-12];

/// The power of two that row or column `i` is multiplied by.
fn power(i: u64) -> f64 {
    [1.0, 8.0, 0.25, 2.0, 0.125][(i.wrapping_mul(7) % 5) as usize]
}

/// Where row or column `i` of `n` goes.
fn place(i: usize, n: usize) -> usize {
    // A stride without a common divisor with n.
    let stride = (n / 3..).find(|s| gcd(*s, n) == 1 && *s > 1).unwrap_or(1);
    (i * stride + n / 2) % n
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// How a matrix is changed, and what becomes of M.
struct Change {
    what: &'static str,
    declared: bool,
    /// D of rows and columns of A.
    rows: fn(u64) -> f64,
    columns: fn(u64) -> f64,
}

fn one(_: u64) -> f64 {
    1.0
}

#[allow(missing_docs, reason = "the names of the tests say what they check")]
impl<G: Generator> Kit<G> {
    /// What the method declares with these parameters, as far as the methods beside it do.
    fn declared(&self) -> Invariances {
        let declared = self.peers().invariances(&*Native::<G>::method(), &self.params);
        declared.expect("the schema allows what is tested").expect("methods of this kit declare")
    }

    pub fn declares_the_same_across_the_c_tables(&self) {
        let declared =
            G::invariances(&precondor_core::registry::parameters(&self.params).expect("allowed"));
        assert_eq!(self.declared_across(), declared);
    }

    pub fn keeps_a_factor_of_the_matrix_as_declared(&self) {
        let (n, declared) = (self.n() as u64, self.declared().scaling);
        let properties = self.make(&self.whole()).expect("the method works").properties();
        let plain = self.dense();
        let mut differs = false;
        for c in FACTORS {
            let system = self.with_values(|_, _, v| c * v);
            let there = self.make(&system);
            if !declared {
                differs |= there.is_err();
            }
            match there {
                Ok(m) if declared => assert_eq!(m.properties(), properties, "properties for {c} A"),
                Err(error) if declared => {
                    panic!("declared to keep M(cA) = M(A)/c, for c = {c}: {error}")
                }
                _ => {}
            }
            let Ok(m) = self.changed(&[0, n], false, |_, _, v| c * v) else { continue };
            let off = m.times_scalar(c).distance(&plain);
            if declared {
                let text = "declared to keep M(cA) = M(A)/c, off by";
                assert!(off <= self.kept(), "{text} {off:e} for c = {c:e}");
            }
            differs |= off.is_nan() || off > self.kept();
        }
        assert!(
            declared || differs || self.more,
            "it keeps M(cA) = M(A)/c, which it does not declare"
        );
        for c in ELSEWHERE.into_iter().filter(|_| declared) {
            self.elsewhere("M(cA) = M(A)/c", |_, _, v| c * v, |_, _, v| c * v);
        }
    }

    pub fn keeps_scaled_rows_and_columns_as_declared(&self) {
        let has = self.declared();
        let changes = [
            Change { what: "M(DA) = M(A)D⁻¹", declared: has.rows, rows: power, columns: one },
            Change { what: "M(AD) = D⁻¹M(A)", declared: has.columns, rows: one, columns: power },
            Change {
                what: "M(DAD) = D⁻¹M(A)D⁻¹", declared: has.both, rows: power, columns: power
            },
        ];
        let (n, plain) = (self.n() as u64, self.dense());
        for Change { what, declared, rows, columns } in changes {
            let scaled = |i: u64, j: u64, v: f64| rows(i) * v * columns(j);
            let back = |i: usize, j: usize, v: f64| columns(i as u64) * v * rows(j as u64);
            match self.changed(&[0, n], false, scaled) {
                Ok(m) => {
                    let off = m.with(back).distance(&plain);
                    let text = "declared to keep";
                    assert!(!declared || off <= self.kept(), "{text} {what}, off by {off:e}");
                    let differs = off.is_nan() || off > self.kept();
                    assert!(
                        declared || differs || self.more,
                        "it keeps {what}, which it does not declare"
                    );
                }
                Err(error) => assert!(!declared, "declared to keep {what}: {error}"),
            }
            if declared {
                self.elsewhere(what, scaled, back);
            }
        }
    }

    pub fn keeps_a_permutation_as_declared(&self) {
        let (n, declared) = (self.n(), self.declared().permutation);
        let other = self.permuted();
        let (mut differs, text) = (false, "declared to keep M(PAPᵀ) = PM(A)Pᵀ");
        for starts in [vec![0, n], vec![0, n / 2, n], vec![0, n / 3, n - 1, n]] {
            let starts: Vec<u64> = starts.into_iter().map(|s| s as u64).collect();
            let Ok(plain) = self.dense_on(&starts) else { continue };
            match other.dense_on(&starts) {
                Ok(m) => {
                    let off = m.picked(|i| place(i, n)).distance(&plain);
                    assert!(
                        !declared || off <= self.kept(),
                        "{text}, off by {off:e} on {starts:?}"
                    );
                    differs |= off.is_nan() || off > self.kept();
                }
                Err(error) => {
                    assert!(!declared, "{text}: {error}");
                    differs = true;
                }
            }
        }
        assert!(
            declared || differs || self.more,
            "it keeps M(PAPᵀ) = PM(A)Pᵀ, which it does not declare"
        );
        if declared {
            let whole = [0, n as u64];
            let m = other.changed(&whole, true, |_, _, v| v).expect("the method works");
            let plain = self.changed(&whole, true, |_, _, v| v).expect("the method works");
            let off = m.picked(|i| place(i, n)).distance(&plain);
            assert!(off <= self.kept(), "{text} across the C tables, off by {off:e}");
        }
    }

    pub fn refreshes_for_a_factor_to_what_it_would_generate(&self) {
        if !G::CAPABILITIES.refresh {
            return;
        }
        let declared = self.declared().scaling;
        for ranks in 1..=3 {
            threads::run(ranks, |backend| {
                let space = Space::even(Comm::new(backend), self.n() as u64);
                let Ok(m) = self.make(&self.spread(&space, |_, _, v| v)) else { return };
                let across = self.make_across(&self.spread(&space, |_, _, v| v));
                for mut m in [m, across.expect("the method works")] {
                    let r = vector(space.n_own(), 1);
                    let before = applied(&*m, &r);
                    for c in ELSEWHERE {
                        let system = self.spread(&space, |_, _, v| c * v);
                        m.refresh(&system).expect("the same pattern");
                        let fresh = self.make(&system).expect("the method works");
                        let [refreshed, anew] = [&m, &fresh].map(|m| seen(&**m, space.n_own()));
                        let text = "refreshed for a factor and generated anew";
                        assert_eq!(refreshed.without_notes(), anew.without_notes(), "{text}");
                        let after = applied(&*m, &r);
                        let largest = before.iter().fold(0.0, |s: f64, z| s.max(z.abs()));
                        for (a, b) in after.iter().zip(&before).filter(|_| declared) {
                            let off = (c * a - b).abs();
                            assert!(
                                off <= self.kept() * largest,
                                "refreshed for {c} A, off by {off:e}"
                            );
                        }
                    }
                }
            });
        }
    }

    pub fn takes_right_hand_sides_of_any_size(&self) {
        let (n, m) = (self.n(), self.made());
        let across = self.make_across(&self.whole()).expect("the method works");
        let r = vector(n, 1);
        let plain = applied(&*m, &r);
        let largest = plain.iter().fold(0.0, |s: f64, z| s.max(z.abs()));
        for size in [1e150, 1e-150, -1e100] {
            let scaled: Vec<f64> = r.iter().map(|r| size * r).collect();
            for z in [applied(&*m, &scaled), applied(&*across, &scaled)] {
                for (i, (z, plain)) in z.iter().zip(&plain).enumerate() {
                    let off = (z / size - plain).abs();
                    assert!(
                        off <= self.rounding * largest,
                        "entry {i} of M({size:e} r): off by {off:e}"
                    );
                }
            }
        }
    }

    /// Makes sure that M of the changed matrix, changed back, is M: across the C tables, and on ranks.
    fn elsewhere(
        &self,
        what: &str,
        change: impl Fn(u64, u64, f64) -> f64 + Sync,
        back: impl Fn(usize, usize, f64) -> f64,
    ) {
        let n = self.n() as u64;
        for (starts, across) in
            [(vec![0, n], true), (vec![0, n / 2, n], false), (vec![0, 1, n / 2, n], true)]
        {
            let plain = match self.changed(&starts, across, |_, _, v| v) {
                Ok(plain) => plain,
                Err(Error::Unsupported(_)) if starts.len() > 2 => continue,
                Err(error) => panic!("on rows {starts:?}: {error}"),
            };
            let m = self.changed(&starts, across, &change);
            let m =
                m.unwrap_or_else(|e| panic!("declared to keep {what}, on rows {starts:?}: {e}"));
            let off = m.with(&back).distance(&plain);
            assert!(
                off <= self.kept(),
                "declared to keep {what}, off by {off:e} on rows {starts:?}"
            );
        }
    }

    /// M of a changed matrix on ranks, put together.
    fn changed(
        &self,
        starts: &[u64],
        across: bool,
        change: impl Fn(u64, u64, f64) -> f64 + Sync,
    ) -> Result<Dense> {
        self.dense_of(starts, |space| {
            let system = self.spread(space, &change);
            if across { self.make_across(&system) } else { self.make(&system) }
        })
    }

    /// The kit with rows, columns and auxiliary data in another order.
    fn permuted(&self) -> Kit<G> {
        let (n, whole) = (self.n(), self.whole());
        let entries = (0..n).flat_map(|i| {
            let moved = move |(j, v): (u64, f64)| (place(i, n), place(j as usize, n), v);
            whole.a().global_entries(i).map(moved).collect::<Vec<_>>()
        });
        let a = Csr::from_triplets(n, n, entries.collect::<Vec<_>>()).expect("rows of a matrix");
        let system = System::new(DistCsr::solo(a).expect("square"));
        let system = whole.all_aux().fold(system, |system, (name, aux)| {
            let mut values = vec![0.0; aux.values.len()];
            for (i, row) in aux.values.chunks_exact(aux.width.max(1)).enumerate() {
                values[place(i, n) * aux.width..][..aux.width].copy_from_slice(row);
            }
            system.with_aux(name, aux.width, values).expect("data of these rows")
        });
        self.of_system(system)
    }
}
