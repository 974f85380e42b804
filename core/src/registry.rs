//! Methods by name.
use crate::host::{Host, Level};
use crate::instance::{Instance, Made};
use crate::invariance::Invariances;
use crate::persist::no_persist;
use crate::precond::{Capabilities, Generator};
use crate::schema;
use crate::system::System;
use crate::train::{Trainable, Training};
use crate::{Error, Result};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

/// A [`Generator`] whose types are forgotten: parameters come as JSON. What a registry holds,
/// whether the method is linked in or loaded from a library.
pub trait DynGenerator: Send + Sync {
    /// What a user types.
    fn name(&self) -> &str;
    /// One line for lists.
    fn summary(&self) -> &str;
    /// Version of the library that the method comes from.
    fn version(&self) -> &str;
    /// Where it comes from: a path, or `linked in`.
    fn origin(&self) -> String;
    /// Optional parts.
    fn capabilities(&self) -> Capabilities;
    /// JSON schema of the parameters.
    fn schema(&self) -> Value;
    /// What M is declared to keep when A changes, with these parameters and as far as methods that they
    /// name do; `None` where the method declares nothing (a library from before there was a way to).
    ///
    /// # Errors
    /// [`Error::Parameter`] for parameters that the schema does not allow.
    fn invariances(&self, params: &Value) -> Result<Option<Invariances>> {
        let _ = params;
        Ok(None)
    }
    /// JSON schema of the parameters of training; `None` for a method that does not learn.
    fn train_schema(&self) -> Option<Value>;
    /// Builds M: all ranks succeed or all fail. Collective over the system's ranks.
    ///
    /// # Errors
    /// [`Error::Parameter`] for parameters that the schema does not allow; what the method reports.
    fn generate(&self, params: &Value, system: &System) -> Result<Box<dyn Instance>>;
    /// M out of this rank's bytes, which [`Instance::save`] gave, as if `params` had made it for
    /// `system`: all ranks succeed or all fail. Collective. [`Opened`](crate::persist::Opened)
    /// checks beforehand that they belong to them.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a method that cannot be loaded; [`Error::Data`] for bytes that
    /// are not understood.
    fn load(&self, params: &Value, bytes: &[u8], system: &System) -> Result<Box<dyn Instance>>;
    /// Trains a model.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a method that does not learn; what the method reports.
    fn train(&self, params: &Value, training: Training<'_>) -> Result<Vec<u8>>;
}

/// What to say where a method is not among those `there`.
pub fn no_method<'a>(name: &str, there: impl Iterator<Item = &'a str>) -> Error {
    let names: Vec<&str> = there.collect();
    let hint = schema::nearest(name, &names)
        .map_or(String::new(), |near| format!("; did you mean '{near}'?"));
    let there = if names.is_empty() { "none".into() } else { names.join(", ") };
    Error::Parameter(format!("no preconditioner '{name}'{hint} (there are: {there})"))
}

/// What to say where `method` has the name of another one that is `there`.
pub fn there_already(method: &dyn DynGenerator, there: &dyn DynGenerator) -> Error {
    let (name, origin, first) = (method.name(), method.origin(), there.origin());
    Error::Plugin(format!("method '{name}' of {origin} is there already, from {first}"))
}

/// Methods that a registry does not hold: they are looked at where one of them is asked for.
pub trait Further: Send + Sync {
    /// The method `name`, where there is one that comes before `known`, the one that the registry holds.
    fn get(&self, name: &str, known: Option<&dyn DynGenerator>) -> Option<&Arc<dyn DynGenerator>>;
    /// All of them.
    fn all(&self) -> Vec<&Arc<dyn DynGenerator>>;
}

/// Methods by name; later registrations of a name are refused.
#[derive(Clone, Default)]
pub struct Registry {
    methods: BTreeMap<String, Arc<dyn DynGenerator>>,
    further: Option<Arc<dyn Further>>,
}

impl Registry {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with methods that are looked at where one of them is asked for.
    #[must_use]
    pub fn with_further(self, further: Arc<dyn Further>) -> Self {
        Registry { further: Some(further), ..self }
    }

    /// Adds a method.
    ///
    /// # Errors
    /// [`Error::Plugin`] where another one of that name is there, naming both origins.
    pub fn add(&mut self, method: Arc<dyn DynGenerator>) -> Result<()> {
        if let Some(there) = self.methods.get(method.name()) {
            return Err(there_already(&*method, &**there));
        }
        self.methods.insert(method.name().to_owned(), method);
        Ok(())
    }

    /// The method `name`; where there is none of that name, the one that was called so before
    /// ([`schema::OLD_NAME`]).
    ///
    /// # Errors
    /// [`Error::Parameter`] with the nearest name and all that are there.
    pub fn get(&self, name: &str) -> Result<&Arc<dyn DynGenerator>> {
        let renamed = || self.methods.values().find(|method| was_called(&***method, name));
        let known = self.methods.get(name).or_else(renamed);
        let Some(further) = &self.further else { return known.ok_or_else(|| self.none(name)) };
        let first = further.get(name, known.map(|known| &**known)).or(known);
        let renamed = || further.all().into_iter().find(|method| was_called(&***method, name));
        first.or_else(renamed).ok_or_else(|| self.none(name))
    }

    fn none(&self, name: &str) -> Error {
        no_method(name, self.iter().map(|method| method.name()))
    }

    /// What M of `method` keeps when A changes: what it declares, as far as the methods that its
    /// parameters name and that are here do; `None` where one of them declares nothing.
    ///
    /// # Errors
    /// [`Error::Parameter`] for parameters that a schema does not allow, and names that are not here.
    pub fn invariances(
        &self,
        method: &dyn DynGenerator,
        params: &Value,
    ) -> Result<Option<Invariances>> {
        let schema = method.schema();
        let params = &*schema::under_todays_names(&schema, params);
        let mut all = method.invariances(params)?;
        for (key, of_field) in schema["properties"].as_object().into_iter().flatten() {
            let value = params.get(key).unwrap_or(&of_field["default"]);
            let of_field = schema::resolve(&schema, of_field);
            let names = |schema: &Value| schema[schema::METHOD] == Value::Bool(true);
            // One method, or a list of them.
            let named: &[Value] = match value.as_array() {
                Some(list) if names(&of_field["items"]) => list,
                None if names(of_field) => std::slice::from_ref(value),
                _ => continue,
            };
            for (name, section) in named.iter().filter_map(schema::named_method) {
                let inner = self.invariances(&**self.get(&name)?, &section)?;
                all = all.zip(inner).map(|(all, inner)| all.and(inner));
            }
        }
        Ok(all)
    }

    /// All methods, in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn DynGenerator>> {
        let mut all: BTreeMap<&str, _> = BTreeMap::new();
        all.extend(self.methods.iter().map(|(name, method)| (name.as_str(), method)));
        for name in self.further.iter().flat_map(|further| further.all()).map(|m| m.name()) {
            all.extend(self.get(name).ok().map(|method| (name, method)));
        }
        all.into_values()
    }

    /// Those that the registry holds, in order of their names.
    pub fn held(&self) -> impl Iterator<Item = &Arc<dyn DynGenerator>> {
        self.methods.values()
    }
}

/// A method that is linked in.
pub struct Native<G> {
    version: &'static str,
    method: PhantomData<fn() -> G>,
}

impl<G: Generator> Native<G> {
    /// The method `G`, as a registry holds it, with the version of this crate.
    pub fn method() -> Arc<dyn DynGenerator> {
        Self::of(env!("CARGO_PKG_VERSION"))
    }

    /// The method `G` of a crate of this version.
    pub fn of(version: &'static str) -> Arc<dyn DynGenerator> {
        Arc::new(Native::<G> { version, method: PhantomData })
    }
}

/// A learning method that is linked in.
pub struct NativeTrainable<G>(Native<G>);

impl<G: Trainable> NativeTrainable<G> {
    /// The method `G`, as a registry holds it, with the version of this crate.
    pub fn method() -> Arc<dyn DynGenerator> {
        Self::of(env!("CARGO_PKG_VERSION"))
    }

    /// The method `G` of a crate of this version.
    pub fn of(version: &'static str) -> Arc<dyn DynGenerator> {
        Arc::new(NativeTrainable(Native::<G> { version, method: PhantomData }))
    }
}

/// Parameters out of JSON, checked against their schema first.
///
/// # Errors
/// [`Error::Parameter`] naming the parameter.
pub fn parameters<P: crate::precond::Parameters>(json: &Value) -> Result<P> {
    let schema = schema::of::<P>();
    schema::check(&schema, json)?;
    let today = schema::under_todays_names(&schema, json).into_owned();
    serde_json::from_value(today).map_err(|e| Error::Parameter(e.to_string()))
}

/// Whether a method was called `name` before.
pub fn was_called(method: &dyn DynGenerator, name: &str) -> bool {
    method.schema()[schema::OLD_NAME] == *name
}

/// Says, once in a process, that a method that was asked for as `name` is called something else now.
pub fn note_old_method(name: &str, method: &dyn DynGenerator, host: &dyn Host) {
    if name != method.name() {
        let today = method.name();
        let why = "the next release knows that name only";
        warn_once(format!("method '{name}' is called '{today}' now; {why}"), host);
    }
}

/// Warns where that was not said before in this process.
fn warn_once(note: String, host: &dyn Host) {
    static TOLD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if TOLD.lock().unwrap_or_else(PoisonError::into_inner).insert(note.clone()) {
        host.log(Level::Warn, &note);
    }
}

/// Says, once in a process, which parameters of the method `name` have names of before.
pub fn note_old_names(name: &str, schema: &Value, params: &Value, host: &dyn Host) {
    for note in schema::old_names(schema, params) {
        warn_once(format!("{name}: {note}"), host);
    }
}

/// The error of a setup for `system`: a breakdown with what to try where A has the wrong sign. Not
/// collective.
pub fn hinted(error: Error, system: &System) -> Error {
    match error {
        Error::In { part, source } => Error::In { part, source: Box::new(hinted(*source, system)) },
        Error::Breakdown(text) => {
            let hint = crate::matrix::sign_hint(system.a());
            // A method inside has said it.
            let more = if text.ends_with(hint) { "" } else { hint };
            Error::Breakdown(text + more)
        }
        other => other,
    }
}

impl<G: Generator> DynGenerator for Native<G> {
    fn name(&self) -> &str {
        G::NAME
    }
    fn summary(&self) -> &str {
        G::SUMMARY
    }
    fn version(&self) -> &str {
        self.version
    }
    fn origin(&self) -> String {
        "linked in".into()
    }
    fn capabilities(&self) -> Capabilities {
        G::CAPABILITIES
    }
    fn schema(&self) -> Value {
        schema::of::<G::Params>().as_ref().clone()
    }
    fn invariances(&self, params: &Value) -> Result<Option<Invariances>> {
        Ok(Some(G::invariances(&parameters(params)?)))
    }
    fn train_schema(&self) -> Option<Value> {
        None
    }
    fn generate(&self, params: &Value, system: &System) -> Result<Box<dyn Instance>> {
        system.a().space().comm().scope(|| {
            let schema = schema::of::<G::Params>();
            note_old_names(G::NAME, &schema, params, &**system.host());
            let params = parameters(params)?;
            let m = G::generate(&params, system).map_err(|e| hinted(e, system))?;
            Ok(Box::new(Made::<G>::new(m, params, system)) as Box<dyn Instance>)
        })
    }
    fn load(&self, params: &Value, bytes: &[u8], system: &System) -> Result<Box<dyn Instance>> {
        if !G::CAPABILITIES.persist {
            return Err(no_persist(G::NAME));
        }
        system.a().space().comm().scope(|| {
            let m = G::load(bytes, system)?;
            Ok(Box::new(Made::<G>::new(m, parameters(params)?, system)) as Box<dyn Instance>)
        })
    }
    fn train(&self, _: &Value, _: Training<'_>) -> Result<Vec<u8>> {
        Err(Error::Unsupported(format!("{} has nothing to train", G::NAME)))
    }
}

impl<G: Trainable> DynGenerator for NativeTrainable<G> {
    fn name(&self) -> &str {
        self.0.name()
    }
    fn summary(&self) -> &str {
        self.0.summary()
    }
    fn version(&self) -> &str {
        self.0.version()
    }
    fn origin(&self) -> String {
        self.0.origin()
    }
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }
    fn schema(&self) -> Value {
        self.0.schema()
    }
    fn invariances(&self, params: &Value) -> Result<Option<Invariances>> {
        self.0.invariances(params)
    }
    fn train_schema(&self) -> Option<Value> {
        Some(schema::of::<G::TrainParams>().as_ref().clone())
    }
    fn generate(&self, params: &Value, system: &System) -> Result<Box<dyn Instance>> {
        self.0.generate(params, system)
    }
    fn load(&self, params: &Value, bytes: &[u8], system: &System) -> Result<Box<dyn Instance>> {
        self.0.load(params, bytes, system)
    }
    fn train(&self, params: &Value, training: Training<'_>) -> Result<Vec<u8>> {
        training.comm.scope(|| G::train(&parameters(params)?, training))
    }
}
