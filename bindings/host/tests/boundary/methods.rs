//! Methods that do what a test asks, exported as a plugin's are.
use precondor_core::comm::{Comm, HaloPlan};
use precondor_core::matrix::{Explicit, ExplicitKind};
use precondor_core::persist::Rows;
use precondor_core::registry::DynGenerator;
use precondor_core::train::{Progress, Trainable, Training};
use precondor_host::Contents;
use precondor_sdk::abi;
use precondor_sdk::export::{family, method, plugin, trainable};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::{self, Value};
use precondor_testkit::springs::Springs;
use std::sync::Arc;

static METHODS: &[&abi::Method] = &[
    &method::<Panicky>("0"),
    &method::<Steps>("0"),
    &method::<Keeper>("0"),
    &method::<Wrapper>("0"),
    &trainable::<Learner>("0"),
];
static PROBLEMS: &[&abi::Problem] = &[&family::<Springs>("1.2")];
static PLUGIN: abi::PluginTable = plugin(METHODS, PROBLEMS);

/// The methods of this file, as if they came from a library.
pub fn all() -> Vec<Arc<dyn DynGenerator>> {
    contents().methods
}

/// As [`all`], with its family of problems.
pub fn contents() -> Contents {
    // SAFETY: an entry table of the SDK, which lives for ever.
    unsafe { precondor_host::accept(&raw const PLUGIN.first, "linked in").expect("sound tables") }
}

/// The method `name` of them.
pub fn named(name: &str) -> Arc<dyn DynGenerator> {
    all().into_iter().find(|m| m.name() == name).expect("one of them")
}

/// Why a method of this file fails.
fn on_purpose(panics: bool) -> Result<()> {
    match panics {
        true => panic!("on purpose"),
        false => Err(Error::Data("on purpose".into())),
    }
}

macro_rules! params {
    ($(#[$meta:meta])* $name:ident { $($field:ident: $ty:ty = $default:expr),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Deserialize, JsonSchema)]
        #[serde(crate = "precondor_sdk::serde", default, deny_unknown_fields)]
        #[schemars(crate = "precondor_sdk::schemars")]
        pub struct $name { $($field: $ty),* }
        impl Default for $name {
            fn default() -> Self { $name { $($field: $default),* } }
        }
    };
}

params!(PanickyParams { generate: bool = false, apply: bool = false, error: bool = false });

/// Panics where it is told to; else M = I. An apply panics or fails when r starts with a NaN.
pub struct Panicky;
pub struct Armed(PanickyParams);

impl Generator for Panicky {
    const NAME: &'static str = "panicky";
    const SUMMARY: &'static str = "panics on request";
    type Params = PanickyParams;
    type Output = Armed;
    fn generate(params: &PanickyParams, _: &System) -> Result<Armed> {
        if params.generate {
            on_purpose(true)?;
        }
        Ok(Armed(params.clone()))
    }
}

impl Preconditioner for Armed {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        z.copy_from_slice(r);
        if r.first().is_some_and(|r| r.is_nan()) && (self.0.apply || self.0.error) {
            on_purpose(self.0.apply)?;
        }
        Ok(())
    }
    fn properties(&self) -> Properties {
        Properties::SPD
    }
    fn stored_entries(&self) -> usize {
        0
    }
    fn bytes(&self) -> usize {
        0
    }
}

params!(StepsParams { at: usize = usize::MAX, rank: usize = 0, panics: bool = false });

/// Uses every collective operation there is, and fails before the `at`-th on one rank.
pub struct Steps;

/// How many operations [`Steps`] does; it can fail before each and after the last.
pub const STEPS: usize = 13;

impl Generator for Steps {
    const NAME: &'static str = "steps";
    const SUMMARY: &'static str = "all collective operations, one of which may fail";
    type Params = StepsParams;
    type Output = Armed;
    fn generate(params: &StepsParams, system: &System) -> Result<Armed> {
        let (a, comm) = (system.a(), system.a().space().comm());
        let (rank, size) = (comm.rank(), comm.size());
        let mut done = 0;
        let mut step = || {
            let now = done == params.at && rank == params.rank;
            done += 1;
            if now { on_purpose(params.panics) } else { Ok(()) }
        };
        step()?;
        let mut one = [1.0];
        comm.sum(&mut one)?;
        step()?;
        comm.max(&mut one)?;
        step()?;
        comm.gather_f64(&one, &mut vec![0.0; size])?;
        step()?;
        comm.all_gather(&[rank as u64])?;
        step()?;
        comm.all_to_all(&vec![vec![1]; size])?;
        step()?;
        let space = Space::new(Comm::duplicate(comm)?, a.n_own())?;
        step()?;
        // In a scope of its own, on this side.
        let rows: Vec<u32> = (0..=space.n_own() as u32).collect();
        let mine = space.start()..space.start() + space.n_own() as u64;
        let next: Vec<u64> = mine.map(|i| (i + 1) % space.n_global()).collect();
        let shift = DistCsr::from_rows(&space, &rows, &next, &vec![1.0; next.len()])?;
        step()?;
        let mut plan = HaloPlan::default();
        if size > 1 {
            plan.send.push(((rank + 1) % size, vec![0]));
            plan.recv.push(((rank + size - 1) % size, 0..1));
        }
        let link = comm.exchange(plan)?;
        step()?;
        let token = link.start(&[rank as f64])?;
        step()?;
        link.finish(token, &mut vec![0.0; usize::from(size > 1)])?;
        step()?;
        let x = vec![1.0; a.n_own()];
        a.spmv(&x, &mut vec![0.0; a.n_own()])?;
        step()?;
        shift.spmv(&x, &mut vec![0.0; a.n_own()])?;
        step()?;
        system.host().read("message.txt")?;
        step()?;
        assert_eq!(done, STEPS + 1);
        Ok(Armed(PanickyParams::default()))
    }
}

params!(NoParams {});

/// A diagonal entry that [`Keeper`] cannot be refreshed with.
pub const FAILS: f64 = 13.0;
/// One that it panics at.
pub const PANICS: f64 = 14.0;

/// Keeps the matrix: M = A. Shows it, has a transpose where A is symmetric, takes notes.
pub struct Keeper;
pub struct Kept(DistCsr, Vec<String>);

impl Generator for Keeper {
    const NAME: &'static str = "keeper";
    const SUMMARY: &'static str = "keeps the matrix";
    const CAPABILITIES: Capabilities = Capabilities {
        explicit: true,
        transpose: true,
        refresh: true,
        many: true,
        product: true,
        persist: true,
        delegate: true,
    };
    type Params = NoParams;
    type Output = Kept;
    fn generate(_: &NoParams, system: &System) -> Result<Kept> {
        let note = |(name, aux): (&str, &precondor_core::system::Aux)| {
            format!("{name}: {}×{:?}", aux.width, aux.values)
        };
        Ok(Kept(system.a().clone(), system.all_aux().map(note).collect()))
    }
    /// Fails on the ranks that have a diagonal entry of [`FAILS`] or [`PANICS`].
    fn refresh(m: &mut Kept, _: &NoParams, system: &System) -> Result<()> {
        let a = system.a();
        if a.nnz_own() != m.0.nnz_own() {
            return Err(Error::PatternChanged);
        }
        m.0 = a.clone();
        for d in (0..a.n_own()).map(|i| a.diagonal(i)).filter(|d| [FAILS, PANICS].contains(d)) {
            on_purpose(d == PANICS)?;
        }
        a.space().comm().sum(&mut [1.0])
    }
    fn load(bytes: &[u8], system: &System) -> Result<Kept> {
        let rows = Rows::read(bytes, system)?.of_kind(ExplicitKind::Inverse)?;
        Ok(Kept(rows.matrix(system)?, rows.about.notes))
    }
}

impl Preconditioner for Kept {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        self.0.spmv(r, z)
    }
    fn apply_transpose(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        self.0.spmv(r, z)
    }
    fn apply_many(&self, k: usize, r: &[f64], z: &mut [f64]) -> Result<()> {
        let n = self.0.n_own();
        (0..k).try_for_each(|j| self.apply(&r[j * n..(j + 1) * n], &mut z[j * n..(j + 1) * n]))
    }
    fn apply_and_multiply(&self, r: &[f64], z: &mut [f64], y: &mut [f64]) -> Result<()> {
        self.apply(r, z).and_then(|()| self.0.spmv(z, y))
    }
    fn properties(&self) -> Properties {
        Properties::GENERAL
    }
    fn stored_entries(&self) -> usize {
        self.0.nnz_own()
    }
    fn bytes(&self) -> usize {
        self.0.bytes()
    }
    fn explicit(&self) -> Option<Explicit<'_>> {
        Some(Explicit::of(ExplicitKind::Inverse, &self.0))
    }
    fn notes(&self) -> Vec<String> {
        self.1.clone()
    }
    /// The one row that it may have, in words.
    fn delegate(&self) -> Option<String> {
        (self.0.n_global() > 1).then(|| format!("keeper-of-{}", self.0.n_global()))
    }
}

/// Parameters of [`Wrapper`].
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", default, deny_unknown_fields)]
#[schemars(crate = "precondor_sdk::schemars")]
pub struct WrapperParams {
    /// The method inside; none: M = I.
    #[schemars(extend("x-precondor-method" = true))]
    inner: Option<Value>,
    /// Set itself up again and again.
    endless: bool,
}

/// M = the inner method, set up through the host, for a matrix of this side.
pub struct Wrapper;
pub struct Wrapped(Option<Box<dyn Instance>>);

impl Generator for Wrapper {
    const NAME: &'static str = "wrapper";
    const SUMMARY: &'static str = "another method";
    const CAPABILITIES: Capabilities = Capabilities { refresh: true, ..Capabilities::NONE };
    type Params = WrapperParams;
    type Output = Wrapped;
    fn generate(params: &WrapperParams, system: &System) -> Result<Wrapped> {
        let mut section = match (params.endless, &params.inner) {
            (true, _) => serde_json::json!({"name": "wrapper", "endless": true}),
            (_, None) => return Ok(Wrapped(None)),
            (_, Some(Value::String(name))) => serde_json::json!({"name": name}),
            (_, Some(table)) => table.clone(),
        };
        let name = section.as_object_mut().and_then(|s| s.remove("name"));
        let name = name.and_then(|n| n.as_str().map(str::to_owned)).unwrap_or_default();
        let inner = system.host().inner(&name, &section, &copied(system)?)?;
        Ok(Wrapped(Some(inner)))
    }
    fn refresh(m: &mut Wrapped, _: &WrapperParams, system: &System) -> Result<()> {
        m.0.as_mut().map_or(Ok(()), |inner| inner.refresh(&copied(system)?))
    }
}

/// The rows again, as a matrix that this side owns.
fn copied(system: &System) -> Result<System> {
    let a = system.a();
    let (mut row_ptr, mut cols, mut values) = (vec![0], vec![], vec![]);
    for i in 0..a.n_own() {
        for (j, v) in a.global_entries(i) {
            cols.push(j);
            values.push(v);
        }
        row_ptr.push(cols.len() as u32);
    }
    Ok(system.for_matrix(DistCsr::from_rows(a.space(), &row_ptr, &cols, &values)?))
}

impl Preconditioner for Wrapped {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        match &self.0 {
            Some(inner) => inner.apply(r, z),
            None => {
                z.copy_from_slice(r);
                Ok(())
            }
        }
    }
    fn properties(&self) -> Properties {
        self.0.as_ref().map_or(Properties::SPD, |inner| inner.properties())
    }
    fn stored_entries(&self) -> usize {
        self.0.as_ref().map_or(0, |inner| inner.stored_entries())
    }
    fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |inner| inner.bytes())
    }
}

params!(LearnParams { steps: u64 = 6, seed: u64 = 1 });

/// Learns the sum of the diagonals of its samples, each weighted by its step.
pub struct Learner;

impl Generator for Learner {
    const NAME: &'static str = "learner";
    const SUMMARY: &'static str = "learns a number";
    type Params = NoParams;
    type Output = Wrapped;
    fn generate(_: &NoParams, _: &System) -> Result<Wrapped> {
        Ok(Wrapped(None))
    }
}

impl Trainable for Learner {
    type TrainParams = LearnParams;
    fn train(params: &LearnParams, training: Training<'_>) -> Result<Vec<u8>> {
        let (mut step, mut sum) = (0, 0.0);
        if let Some(checkpoint) = training.resume {
            let words: [[u8; 8]; 2] = checkpoint
                .as_chunks()
                .0
                .try_into()
                .map_err(|_| Error::Data("a checkpoint of another size".into()))?;
            (step, sum) = (u64::from_le_bytes(words[0]), f64::from_le_bytes(words[1]));
        }
        let state = |step: u64, sum: f64| [step.to_le_bytes(), sum.to_le_bytes()].concat();
        let every = training.watch.checkpoint_every();
        while step < params.steps {
            if training.watch.cancelled() {
                training.watch.checkpoint(&state(step, sum))?;
                return Err(Error::Interrupted);
            }
            let family = step as usize % training.samples.families();
            let system = training.samples.sample(family, params.seed, step)?;
            let a = system.a();
            let trace: f64 = (0..a.n_own()).map(|i| a.diagonal(i)).sum();
            sum += trace * (step + 1) as f64 / training.samples.describe().len() as f64;
            step += 1;
            let rate = 1.0 / step as f64;
            let progress = Progress { step, steps: params.steps, loss: sum, learning_rate: rate };
            training.watch.progress(&progress);
            training.watch.validated(step, 2.0 * sum);
            if every > 0 && step.is_multiple_of(every) {
                training.watch.checkpoint(&state(step, sum))?;
            }
        }
        training.comm.sum(&mut [sum])?;
        Ok(state(step, sum))
    }
}
