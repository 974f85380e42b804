//! The test kit finds what it looks for: one method with one fault for each check.
use precondor_core::comm::Communicator;
use precondor_core::matrix::{Explicit, ExplicitKind};
use precondor_sdk::conformance::{Counting, Kit, json};
use precondor_sdk::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

#[global_allocator]
static COUNTING: Counting = Counting;

const SOUND: u8 = 0;
const NOT_LINEAR: u8 = 1;
const ADDS_TO_Z: u8 = 2;
const RANDOM: u8 = 3;
const ALLOCATES: u8 = 4;
const UNSYMMETRIC: u8 = 5;
const INDEFINITE: u8 = 6;
const RANK_DEPENDENT: u8 = 7;
const SILENT_ON_ZERO_ROWS: u8 = 8;
const FAILS_WITHOUT_ROWS: u8 = 9;
const SHOWS_ANOTHER: u8 = 10;
const MANY_DIFFERS: u8 = 11;
const WRONG_TRANSPOSE: u8 = 12;
const STALE_AFTER_REFRESH: u8 = 13;
const SWALLOWS_FAILURES: u8 = 14;
const NAMES_ANOTHER_ROW: u8 = 15;
const REBUILDS: u8 = 16;
const LOADS_ANOTHER: u8 = 17;
const STALE_ON_ANOTHER_PATTERN: u8 = 18;
const KNOWS_ONE_UNIT: u8 = 19;
const KNOWS_THE_SIZE_OF_ROWS: u8 = 20;
const KNOWS_THE_ORDER: u8 = 21;
const DECLARES_TOO_LITTLE: u8 = 22;
const DECLARES_NO_UNITS: u8 = 23;
const STALE_FOR_A_FACTOR: u8 = 24;
const OVERFLOWS: u8 = 25;
const DECLARES_NO_ORDER: u8 = 26;
const MULTIPLIES_ANOTHER: u8 = 27;

/// Scaling by the diagonal, with one fault.
struct Faulty<const FAULT: u8>;

struct Scaled<const FAULT: u8> {
    scale: Vec<f64>,
    a: DistCsr,
    calls: AtomicU64,
}

#[derive(Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", default, deny_unknown_fields)]
#[schemars(crate = "precondor_sdk::schemars")]
struct Params {
    /// A factor.
    factor: f64,
}

impl Default for Params {
    fn default() -> Self {
        Params { factor: 1.0 }
    }
}

impl<const FAULT: u8> Generator for Faulty<FAULT> {
    const NAME: &'static str = "faulty";
    const SUMMARY: &'static str = "has one fault";
    const CAPABILITIES: Capabilities = Capabilities {
        explicit: true,
        transpose: true,
        refresh: true,
        many: true,
        product: true,
        persist: true,
        delegate: false,
    };
    type Params = Params;
    type Output = Scaled<FAULT>;

    fn generate(params: &Params, system: &System) -> Result<Scaled<FAULT>> {
        let a = system.a();
        let (rank, n) = (a.space().comm().rank(), a.n_own());
        if FAULT == FAILS_WITHOUT_ROWS && n == 0 {
            return Err(Error::Data("no rows here".into()));
        }
        let scale = (0..n).map(|i| match a.diagonal(i) {
            0.0 if FAULT == NAMES_ANOTHER_ROW => Err(Error::breakdown(0, "zero diagonal")),
            0.0 if FAULT != SILENT_ON_ZERO_ROWS => {
                Err(Error::breakdown(a.global_row(i), "zero diagonal"))
            }
            0.0 => Ok(1.0),
            _ if FAULT == INDEFINITE && a.global_row(i) == 3 => Ok(-1.0),
            d if FAULT == KNOWS_ONE_UNIT => Ok(params.factor / (d + 1e-3)),
            d if FAULT == KNOWS_THE_SIZE_OF_ROWS => {
                let sum: f64 = a.global_entries(i).map(|(_, v)| v.abs()).sum();
                Ok(params.factor / (d + sum))
            }
            d if FAULT == KNOWS_THE_ORDER => {
                Ok(params.factor / d * (1.0 + 0.1 * (a.global_row(i) % 3) as f64))
            }
            d if FAULT == RANK_DEPENDENT => Ok(params.factor / d / (1.0 + rank as f64)),
            d => Ok(params.factor / d),
        });
        let scale = scale.collect::<Result<Vec<f64>>>()?;
        let summed = a.space().comm().sum(&mut [0.0]);
        if FAULT != SWALLOWS_FAILURES {
            summed?;
        }
        Ok(Scaled { scale, a: a.clone(), calls: AtomicU64::new(0) })
    }

    fn invariances(_: &Params) -> Invariances {
        let all = Invariances::ALL;
        match FAULT {
            DECLARES_TOO_LITTLE => Invariances { both: false, ..all },
            DECLARES_NO_UNITS => Invariances { scaling: false, ..all },
            DECLARES_NO_ORDER => Invariances { permutation: false, ..all },
            _ => all,
        }
    }

    fn refresh(m: &mut Scaled<FAULT>, params: &Params, system: &System) -> Result<()> {
        let a = system.a();
        match FAULT {
            STALE_AFTER_REFRESH => return Ok(()),
            REBUILDS => *m = Self::generate(params, system)?,
            _ if a.nnz_own() != m.a.nnz_own() => {
                m.scale.iter_mut().for_each(|s| *s *= 2.0);
                let passed_over = FAULT == STALE_ON_ANOTHER_PATTERN;
                return if passed_over { Ok(()) } else { Err(Error::PatternChanged) };
            }
            _ => {}
        }
        if FAULT == STALE_FOR_A_FACTOR && a.diagonal(0) > 100.0 * m.a.diagonal(0) {
            return Ok(());
        }
        for (i, scale) in m.scale.iter_mut().enumerate() {
            *scale = params.factor / a.diagonal(i);
        }
        m.a = a.clone();
        Ok(())
    }

    fn save(m: &Scaled<FAULT>, _: std::ops::Range<u64>) -> Result<Vec<u8>> {
        Ok(m.scale.iter().flat_map(|s| s.to_le_bytes()).collect())
    }

    fn load(bytes: &[u8], system: &System) -> Result<Scaled<FAULT>> {
        let factor = if FAULT == LOADS_ANOTHER { 2.0 } else { 1.0 };
        let scale = bytes.as_chunks().0.iter().map(|&b| factor * f64::from_le_bytes(b)).collect();
        Ok(Scaled { scale, a: system.a().clone(), calls: AtomicU64::new(0) })
    }
}

impl<const FAULT: u8> Preconditioner for Scaled<FAULT> {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        let call = self.calls.fetch_add(1, Relaxed) as f64;
        let copy = if FAULT == ALLOCATES { r.to_vec() } else { Vec::new() };
        for i in 0..r.len() {
            let held = z[i];
            z[i] = self.scale[i] * if FAULT == ALLOCATES { copy[i] } else { r[i] };
            match FAULT {
                NOT_LINEAR => z[i] += 1e-3 * r[i] * r[i],
                ADDS_TO_Z => z[i] += held,
                OVERFLOWS => z[i] += 1e-200 * (r[i] * r[i]).sqrt() * (r[i] * r[i]),
                RANDOM => z[i] *= 1.0 + call * 1e-15,
                UNSYMMETRIC | WRONG_TRANSPOSE if i > 0 => z[i] += r[i - 1],
                _ => {}
            }
        }
        Ok(())
    }
    fn apply_many(&self, k: usize, r: &[f64], z: &mut [f64]) -> Result<()> {
        let n = self.scale.len();
        for j in 0..k {
            self.apply(&r[j * n..(j + 1) * n], &mut z[j * n..(j + 1) * n])?;
        }
        if FAULT == MANY_DIFFERS && k > 1 {
            z[n] = 0.0;
        }
        Ok(())
    }
    fn apply_and_multiply(&self, r: &[f64], z: &mut [f64], y: &mut [f64]) -> Result<()> {
        self.apply(r, z)?;
        self.a.spmv(z, y)?;
        if FAULT == MULTIPLIES_ANOTHER {
            y[1] += 1e-9;
        }
        Ok(())
    }
    fn apply_transpose(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        self.apply(r, z)
    }
    fn properties(&self) -> Properties {
        match FAULT {
            WRONG_TRANSPOSE => Properties::GENERAL,
            _ => Properties::SPD,
        }
    }
    fn stored_entries(&self) -> usize {
        self.scale.len()
    }
    fn bytes(&self) -> usize {
        8 * self.scale.len()
    }
    fn explicit(&self) -> Option<Explicit<'_>> {
        (FAULT == SHOWS_ANOTHER).then(|| Explicit::of(ExplicitKind::Inverse, &self.a))
    }
}

fn kit<const FAULT: u8>() -> Kit<Faulty<FAULT>> {
    Kit::new(json!({"factor": 0.5}))
}

#[test]
fn a_sound_method_passes() {
    let kit = kit::<SOUND>();
    kit.describes_itself();
    kit.is_linear();
    kit.overwrites_its_result();
    kit.gives_the_same_bits_again();
    kit.allocates_nothing_in_apply();
    kit.is_symmetric_and_definite_as_declared();
    kit.is_the_same_on_any_number_of_ranks_as_declared();
    kit.refuses_or_survives_a_zero_row_on_all_ranks();
    kit.refuses_or_survives_a_zero_diagonal_entry_on_all_ranks();
    kit.works_with_ranks_that_have_no_rows();
    kit.tells_all_ranks_of_a_failure_at_any_collective();
    kit.ends_the_job_of_all_ranks_when_one_panics_in_apply();
    kit.gives_the_same_bits_across_the_c_tables();
    kit.applies_what_it_shows();
    kit.applies_many_as_one_by_one();
    kit.applies_and_multiplies();
    kit.applies_its_transpose();
    kit.refreshes_to_what_it_would_generate();
    kit.refreshes_with_less_work_than_it_generates();
    kit.tells_all_ranks_of_another_pattern();
    kit.loads_what_it_saved();
    kit.declares_the_same_across_the_c_tables();
    kit.keeps_a_factor_of_the_matrix_as_declared();
    kit.keeps_scaled_rows_and_columns_as_declared();
    kit.keeps_a_permutation_as_declared();
    kit.refreshes_for_a_factor_to_what_it_would_generate();
    kit.takes_right_hand_sides_of_any_size();
}

macro_rules! found {
    ($($fault:ident: $check:ident, $text:literal;)+) => {
        mod found {
            use super::*;
            $(
                #[test]
                #[allow(non_snake_case)]
                #[should_panic(expected = $text)]
                fn $fault() {
                    kit::<{ super::$fault }>().$check();
                }
            )+
        }
    };
}

found! {
    NOT_LINEAR: is_linear, "of M(αx + βy)";
    ADDS_TO_Z: overwrites_its_result, "what z held plays no part";
    RANDOM: gives_the_same_bits_again, "applied twice";
    ALLOCATES: allocates_nothing_in_apply, "allocations in apply";
    UNSYMMETRIC: is_symmetric_and_definite_as_declared, "declared symmetric";
    INDEFINITE: is_symmetric_and_definite_as_declared, "declared positive definite";
    RANK_DEPENDENT: is_the_same_on_any_number_of_ranks_as_declared, "declared rank independent";
    SILENT_ON_ZERO_ROWS: refuses_or_survives_a_zero_row_on_all_ranks, "told in the notes";
    NAMES_ANOTHER_ROW: refuses_or_survives_a_zero_diagonal_entry_on_all_ranks, "name global row 24";
    SWALLOWS_FAILURES: tells_all_ranks_of_a_failure_at_any_collective, "rank 0 fails at 0";
    FAILS_WITHOUT_ROWS: works_with_ranks_that_have_no_rows, "no rows here";
    SHOWS_ANOTHER: applies_what_it_shows, "the shown inverse is off";
    MANY_DIFFERS: applies_many_as_one_by_one, "of vector 1 of 3";
    MULTIPLIES_ANOTHER: applies_and_multiplies, "entry 1";
    WRONG_TRANSPOSE: applies_its_transpose, "the transpose is off";
    STALE_AFTER_REFRESH: refreshes_to_what_it_would_generate, "refreshed and generated anew";
    REBUILDS: refreshes_with_less_work_than_it_generates, "a refresh reuses what was set up";
    STALE_ON_ANOTHER_PATTERN: tells_all_ranks_of_another_pattern, "refreshed for another pattern";
    LOADS_ANOTHER: loads_what_it_saved, "loaded and saved";
    KNOWS_ONE_UNIT: keeps_a_factor_of_the_matrix_as_declared, "declared to keep M(cA) = M(A)/c, off by";
    DECLARES_NO_UNITS: keeps_a_factor_of_the_matrix_as_declared, "which it does not declare";
    KNOWS_THE_SIZE_OF_ROWS: keeps_scaled_rows_and_columns_as_declared, "declared to keep M(AD)";
    DECLARES_TOO_LITTLE: keeps_scaled_rows_and_columns_as_declared, "it keeps M(DAD)";
    KNOWS_THE_ORDER: keeps_a_permutation_as_declared, "declared to keep M(PAPᵀ)";
    DECLARES_NO_ORDER: keeps_a_permutation_as_declared, "it keeps M(PAPᵀ)";
    STALE_FOR_A_FACTOR: refreshes_for_a_factor_to_what_it_would_generate, "for a factor and generated";
    OVERFLOWS: takes_right_hand_sides_of_any_size, "of M(1e150 r)";
}

/// A method whose parameter nobody describes.
struct Undescribed;

// The missing line is the fault: what is no doc comment is no description.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", default, deny_unknown_fields)]
#[schemars(crate = "precondor_sdk::schemars")]
struct Bare {
    factor: f64,
}

impl Generator for Undescribed {
    const NAME: &'static str = "undescribed";
    const SUMMARY: &'static str = "has an undescribed parameter";
    type Params = Bare;
    type Output = Scaled<SOUND>;
    fn generate(params: &Bare, system: &System) -> Result<Scaled<SOUND>> {
        Faulty::generate(&Params { factor: params.factor }, system)
    }
}

#[test]
#[should_panic(expected = "parameter 'factor' has no description")]
fn an_undescribed_parameter_is_found() {
    Kit::<Undescribed>::new(json!({})).describes_itself();
}
