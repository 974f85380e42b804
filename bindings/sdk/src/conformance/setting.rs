//! What the checks start from: a method with parameters, and systems on ranks.
use super::dense::Dense;
use precondor_abi as abi;
use precondor_abi::{Bytes, INVARIANCE, InvariancePart, PERSIST, PersistPart, Text};
use precondor_bridge::invariance::of_flags;
use precondor_bridge::method::{Loaded, SetupScope, part};
use precondor_bridge::status::call;
use precondor_bridge::{host, raw, system};
use precondor_core::comm::{Comm, threads};
use precondor_core::host::{Host, Level};
use precondor_core::instance::{Instance, together};
use precondor_core::invariance::Invariances;
use precondor_core::matrix::{DistCsr, Space};
use precondor_core::precond::{Generator, Preconditioner};
use precondor_core::problem::{Poisson, Problem};
use precondor_core::registry::{DynGenerator, Native, Registry};
use precondor_core::system::System;
use precondor_core::{Error, Result};
use serde_json::Value;
use std::ffi::c_void;
use std::marker::PhantomData;
use std::ptr::null_mut;
use std::sync::Arc;

/// A method, its parameters, and how to test it.
pub struct Kit<G> {
    pub(super) params: Value,
    pub(super) tolerance: f64,
    /// By how much sums may differ that are formed in another order.
    pub(super) rounding: f64,
    /// What M is stored to.
    stored: f64,
    /// What is not declared may hold all the same.
    pub(super) more: bool,
    system: System,
    peers: Registry,
    _method: PhantomData<G>,
}

impl<G: Generator> Kit<G> {
    /// Tests `G` with the parameters `params`.
    ///
    /// # Panics
    /// Where the test system cannot be made.
    pub fn new(params: Value) -> Self {
        let peers = Registry::new();
        Kit {
            params,
            tolerance: 1e-12,
            rounding: 1e-12,
            stored: 0.0,
            more: false,
            system: poisson(3),
            peers,
            _method: PhantomData,
        }
    }

    /// Lets it set up `H` by name, as an inner method.
    ///
    /// # Panics
    /// Where a method of that name is there already.
    #[must_use]
    pub fn beside<H: Generator>(mut self) -> Self {
        self.peers.add(Native::<H>::method()).expect("a name of its own");
        self
    }

    /// Tests it on a perturbed Poisson matrix of `level` ((2^level − 1)² rows) rather than 3.
    #[must_use]
    pub fn level(self, level: u32) -> Self {
        Kit { system: poisson(level), ..self }
    }

    /// Tests it on another matrix of one rank, of a few dozen rows.
    #[must_use]
    pub fn system(self, system: System) -> Self {
        Kit { system, ..self }
    }

    /// What is computed in single precision, M or its application, agrees to 10⁻⁵ only.
    #[must_use]
    pub fn single_precision(self) -> Self {
        Kit { tolerance: 1e-5, rounding: 1e-5, ..self }
    }

    /// Entries of M are stored to this part of the largest: what other matrices make of M agrees to that.
    #[must_use]
    pub fn stored_to(self, part: f64) -> Self {
        Kit { stored: part, ..self }
    }

    /// M may keep more than is declared, by chance: for methods whose M is that of another on this system.
    #[must_use]
    pub fn may_keep_more(self) -> Self {
        Kit { more: true, ..self }
    }

    /// How far M may be from what other matrices make of it.
    pub(super) fn kept(&self) -> f64 {
        self.tolerance.max(self.stored)
    }

    /// The same with another system.
    pub(super) fn of_system(&self, system: System) -> Self {
        let Kit { params, peers, .. } = self;
        let (params, peers, _method) = (params.clone(), peers.clone(), PhantomData);
        let Kit { tolerance, rounding, stored, more, .. } = *self;
        Kit { params, tolerance, rounding, stored, more, system, peers, _method }
    }

    /// The methods beside it.
    pub(super) fn peers(&self) -> &Registry {
        &self.peers
    }

    pub(super) fn n(&self) -> usize {
        self.system.a().n_own()
    }

    /// The test system.
    pub(super) fn whole(&self) -> System {
        self.with_values(|_, _, v| v)
    }

    /// The test system with other values: `f(row, column, value)`.
    pub(super) fn with_values(&self, f: impl Fn(u64, u64, f64) -> f64) -> System {
        self.spread(&Space::solo(self.n()), f)
    }

    /// The test system on any distribution, with other values.
    pub(super) fn spread(&self, space: &Arc<Space>, f: impl Fn(u64, u64, f64) -> f64) -> System {
        self.some(space, |i, j, v| Some(f(i, j, v)))
    }

    /// Those entries of the test system for which `f` gives a value, on any distribution.
    pub(super) fn some(
        &self,
        space: &Arc<Space>,
        f: impl Fn(u64, u64, f64) -> Option<f64>,
    ) -> System {
        let (first, last) = (space.start() as usize, space.start() as usize + space.n_own());
        let (mut row_ptr, mut cols, mut values) = (vec![0], vec![], vec![]);
        for i in first..last {
            for (j, v) in self.system.a().global_entries(i) {
                if let Some(v) = f(i as u64, j, v) {
                    cols.push(j);
                    values.push(v);
                }
            }
            row_ptr.push(cols.len() as u32);
        }
        let a = DistCsr::from_rows(space, &row_ptr, &cols, &values).expect("rows of a matrix");
        let host = Arc::new(Peers(self.peers.clone()));
        self.system.all_aux().fold(System::new(a).with_host(host), |system, (name, aux)| {
            let mine = aux.values[first * aux.width..last * aux.width].to_vec();
            system.with_aux(name, aux.width, mine).expect("data of these rows")
        })
    }

    /// Sets the method up. Collective.
    pub(super) fn make(&self, system: &System) -> Result<Box<dyn Instance>> {
        Native::<G>::method().generate(&self.params, system)
    }

    /// Sets the method up through its C table, as a host does. Collective.
    pub(super) fn make_across(&self, on: &System) -> Result<Box<dyn Instance>> {
        self.across(on, |table, params, s, h, instance| {
            // SAFETY: a checked table; what is lent outlives the call.
            call(|why| unsafe { (table.generate)(params, s, h, instance, why) })
        })
    }

    /// What the method's C table declares with the kit's parameters.
    pub(super) fn declared_across(&self) -> Invariances {
        let table: &'static _ = Box::leak(Box::new(crate::export::method::<G>("0")));
        // SAFETY: a table of this crate, and the part of that id.
        let found = unsafe { part::<InvariancePart>(table, INVARIANCE) };
        let found = found.expect("a sound table").expect("every method has this part");
        let (params, mut flags) = (self.params.to_string(), 0u32);
        // SAFETY: a checked table; what is lent outlives the call.
        let done = call(|why| unsafe { (found.declare)(Text::new(&params), &mut flags, why) });
        done.expect("the schema allows what is tested");
        of_flags(flags)
    }

    /// Loads what was saved through the method's C table. Collective.
    pub(super) fn load_across(&self, bytes: &[u8], on: &System) -> Result<Box<dyn Instance>> {
        self.across(on, |table, _, s, h, instance| {
            // SAFETY: a checked table, and the part of that id.
            let part = unsafe { part::<PersistPart>(table, PERSIST)? };
            let part = part.ok_or_else(|| Error::Plugin("no persist/1".into()))?;
            // SAFETY: a checked table; what is lent outlives the call.
            call(|why| unsafe { (part.load)(Bytes::new(bytes), s, h, instance, why) })
        })
    }

    /// The instance that a call of the C table makes. Collective.
    fn across(
        &self,
        on: &System,
        make: impl FnOnce(
            &'static abi::Method,
            Text,
            *const abi::System,
            *const abi::Host,
            *mut *mut c_void,
        ) -> Result<()>,
    ) -> Result<Box<dyn Instance>> {
        let table: &'static _ = Box::leak(Box::new(crate::export::method::<G>("0")));
        let params = self.params.to_string();
        let mut instance = null_mut();
        let around: Arc<SetupScope> =
            Arc::new(|on, f| together(on.a().space().comm(), || f(on.host())));
        on.a().space().comm().scope(|| {
            // SAFETY: a table of this crate; what is lent outlives the call.
            unsafe {
                let (lent, services) = (system::lend(on), host::lend(on.host()));
                let (s, h) = (&raw const lent.table, host::table(&services));
                let table = raw::table(table)?;
                make(table, Text::new(&params), s, h, &mut instance)?;
                Ok(Box::new(Loaded::new(table, instance, on.a(), &params, around)?) as _)
            }
        })
    }

    /// M on one rank, dense.
    pub(super) fn dense(&self) -> Dense {
        dense_of(&*self.make(&self.whole()).expect("the method works on the test system"), self.n())
    }

    /// Where the rows of every rank start, and how many there are: even and uneven blocks on up to eight
    /// ranks, ranks without rows, and where the system is small more ranks than rows.
    pub(super) fn distributions(&self) -> Vec<Vec<u64>> {
        let n = self.n() as u64;
        let even = |ranks: u64| (0..=ranks).map(|r| r * n / ranks).collect::<Vec<u64>>();
        let uneven = |ranks: u64| (0..=ranks).map(|r| r * r * n / (ranks * ranks)).collect();
        let mut all = [1, 2, 3, 5, 8].map(even).to_vec();
        all.extend([2, 3, 5].map(uneven));
        all.extend([vec![0, 0, n, n], vec![0, n / 3, n / 3, n / 3, n - 1, n, n, n, n]]);
        if n <= 64 {
            all.push(even(n + 3));
        }
        all
    }

    /// M of each rank's rows, put together; an error where a rank has one.
    pub(super) fn dense_on(&self, starts: &[u64]) -> Result<Dense> {
        self.dense_of(starts, |space| self.make(&self.spread(space, |_, _, v| v)))
    }

    /// The same of what `make` makes of each rank's rows.
    pub(super) fn dense_of(
        &self,
        starts: &[u64],
        make: impl Fn(&Arc<Space>) -> Result<Box<dyn Instance>> + Sync,
    ) -> Result<Dense> {
        let n = self.n();
        let parts: Vec<Result<_>> = threads::run(starts.len() - 1, |backend| {
            let space = Space::from_starts(Comm::new(backend), starts.to_vec())?;
            let m = make(&space)?;
            let mine = space.start() as usize..space.start() as usize + space.n_own();
            let mut z = vec![0.0; space.n_own()];
            let mut columns = Vec::new();
            for j in 0..n {
                let unit: Vec<f64> = mine.clone().map(|i| f64::from(u8::from(i == j))).collect();
                m.apply(&unit, &mut z)?;
                columns.push(z.clone());
            }
            Ok((mine.start, columns))
        });
        let mut all = Dense::zeros(n);
        for part in parts {
            let (start, columns) = part?;
            for (j, column) in columns.iter().enumerate() {
                for (i, value) in column.iter().enumerate() {
                    all.set(start + i, j, *value);
                }
            }
        }
        Ok(all)
    }
}

/// A host that offers methods by name and nothing else.
struct Peers(Registry);

impl Host for Peers {
    fn inner(&self, name: &str, params: &Value, system: &System) -> Result<Box<dyn Instance>> {
        self.0.get(name)?.generate(params, system)
    }
    fn read(&self, path: &str) -> Result<Vec<u8>> {
        Err(Error::file(path, "the test kit has no files"))
    }
    fn log(&self, _: Level, _: &str) {}
}

/// A perturbed Poisson system on one rank.
fn poisson(level: u32) -> System {
    let problem = Problem::Poisson(Poisson::at_level(level));
    problem.generate(Comm::solo()).expect("a model problem").0
}

/// Other values, symmetric where the matrix is, and still definite.
pub(super) fn other_values(i: u64, j: u64, v: f64) -> f64 {
    v * (1.0 + 0.125 * ((i + j) % 3) as f64 / 8.0)
}

/// M as a dense matrix, column by column.
pub(super) fn dense_of(m: &dyn Preconditioner, n: usize) -> Dense {
    columns(n, |unit, z| m.apply(unit, z))
}

/// The matrix of a linear map.
pub(super) fn columns(n: usize, f: impl Fn(&[f64], &mut [f64]) -> Result<()>) -> Dense {
    let mut all = Dense::zeros(n);
    let (mut unit, mut z) = (vec![0.0; n], vec![0.0; n]);
    for j in 0..n {
        unit[j] = 1.0;
        f(&unit, &mut z).expect("a unit vector is good data");
        unit[j] = 0.0;
        for (i, value) in z.iter().enumerate() {
            all.set(i, j, *value);
        }
    }
    all
}

/// A vector without special values, the same for the same `seed`.
pub(super) fn vector(n: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    std::iter::repeat_with(next).take(n).collect()
}

/// Asserts that two methods cannot be told apart on one to three ranks: the same schema,
/// properties, numbers and notes, applications with the same bits, also when refreshed, and the same
/// bytes when saved.
///
/// # Panics
/// Where they can.
pub fn same(one: &dyn DynGenerator, other: &dyn DynGenerator, params: &Value, system: &System) {
    assert_eq!(one.name(), other.name());
    assert_eq!(one.summary(), other.summary());
    assert_eq!(one.schema(), other.schema());
    assert_eq!(one.train_schema(), other.train_schema());
    assert_eq!(one.capabilities(), other.capabilities());
    assert_eq!(one.invariances(params), other.invariances(params));
    let kit = Kit::<Nothing> {
        params: params.clone(),
        tolerance: 0.0,
        rounding: 1e-12,
        stored: 0.0,
        more: false,
        system: system.clone(),
        peers: Registry::new(),
        _method: PhantomData,
    };
    for ranks in 1..=3 {
        threads::run(ranks, |backend| {
            let space = Space::even(Comm::new(backend), system.a().n_global());
            let hosted = |system_of: System| system_of.with_host(Arc::clone(system.host()));
            let (on, new) =
                (hosted(kit.spread(&space, |_, _, v| v)), hosted(kit.spread(&space, other_values)));
            let all = |method: &dyn DynGenerator| {
                method.generate(params, &on).map(|mut m| {
                    let (fresh, saved) = (seen(&*m, space.n_own()), m.save());
                    (fresh, saved, m.refresh(&new).map(|()| seen(&*m, space.n_own())))
                })
            };
            assert_eq!(all(one), all(other), "{} on {ranks} ranks", one.name());
        });
    }
}

/// All that can be seen of a preconditioner.
#[derive(Debug, PartialEq)]
pub(super) struct Seen {
    applied: Vec<u64>,
    properties: precondor_core::precond::Properties,
    stored_entries: usize,
    bytes: usize,
    notes: Vec<String>,
    explicit: Option<String>,
    delegate: Option<String>,
}

impl Seen {
    pub(super) fn without_notes(self) -> Self {
        Seen { notes: Vec::new(), ..self }
    }

    /// What has to be the same of an M that was loaded: it may keep less.
    pub(super) fn loaded(self) -> Self {
        Seen { bytes: 0, ..self.without_notes() }
    }
}

pub(super) fn seen(m: &dyn Preconditioner, n: usize) -> Seen {
    let mut z = vec![f64::NAN; n];
    m.apply(&vector(n, 1), &mut z).expect("good data");
    Seen {
        applied: z.iter().map(|z| z.to_bits()).collect(),
        properties: m.properties(),
        stored_entries: m.stored_entries(),
        bytes: m.bytes(),
        notes: m.notes(),
        explicit: m.explicit().map(|explicit| format!("{explicit:?}")),
        delegate: m.delegate(),
    }
}

/// No method; stands where only a system is spread.
struct Nothing;

impl Generator for Nothing {
    const NAME: &'static str = "nothing";
    const SUMMARY: &'static str = "no method";
    type Params = ();
    type Output = precondor_core::precond::Identity;
    fn generate((): &(), _: &System) -> Result<Self::Output> {
        Ok(precondor_core::precond::Identity)
    }
}
