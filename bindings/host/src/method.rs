//! A loaded method, as registries hold it.
use crate::child::Step;
use crate::services::{OnRanks, Peers};
use crate::{chain, nested};
use precondor_abi as abi;
use precondor_abi::{Bytes, Failure, Status, Text};
use precondor_bridge::method::{Loaded, SetupScope, part};
use precondor_bridge::status::call;
use precondor_bridge::train::{with_samples, with_watch};
use precondor_bridge::{comm, host, invariance, raw, system};
use precondor_core::host::Host;
use precondor_core::instance::{self, Instance};
use precondor_core::invariance::Invariances;
use precondor_core::persist::no_persist;
use precondor_core::precond::Capabilities;
use precondor_core::registry::{DynGenerator, hinted, note_old_names};
use precondor_core::schema;
use precondor_core::system::System;
use precondor_core::train::Training;
use precondor_core::{Error, Result};
use serde_json::Value;
use std::ffi::c_void;
use std::ptr::{null, null_mut};
use std::sync::Arc;

/// A method of a loaded library.
pub(crate) struct LoadedMethod {
    table: &'static abi::Method,
    name: String,
    summary: String,
    version: String,
    origin: String,
    capabilities: Capabilities,
    schema: Value,
    train: Option<(&'static abi::TrainPart, Value)>,
    persist: Option<&'static abi::PersistPart>,
    invariance: Option<&'static abi::InvariancePart>,
    peers: Arc<Peers>,
    around: Arc<SetupScope>,
}

impl LoadedMethod {
    /// Checks a method's table and reads what describes it.
    ///
    /// # Safety
    /// The table is null or a method table that lives for ever and keeps the C contract.
    pub(crate) unsafe fn new(
        table: *const abi::Method,
        origin: &str,
        peers: &Arc<Peers>,
        told: &dyn Fn(Step),
    ) -> Result<Self> {
        // SAFETY: the caller's promise.
        unsafe {
            let table = raw::table(table)?;
            let name = named(table.id)?;
            told(Step::Describe(name.clone()));
            let persist = part::<abi::PersistPart>(table, abi::PERSIST)?;
            let capabilities = Capabilities {
                explicit: part::<abi::ExplicitPart>(table, abi::EXPLICIT)?.is_some(),
                transpose: part::<abi::ApplyTransposePart>(table, abi::APPLY_TRANSPOSE)?.is_some(),
                refresh: part::<abi::RefreshPart>(table, abi::REFRESH)?.is_some(),
                many: part::<abi::ApplyManyPart>(table, abi::APPLY_MANY)?.is_some(),
                product: part::<abi::ApplyAndMultiplyPart>(table, abi::APPLY_AND_MULTIPLY)?
                    .is_some(),
                persist: persist.is_some(),
                delegate: part::<abi::DelegatePart>(table, abi::DELEGATE)?.is_some(),
            };
            let schema = raw::collect_text(|out| call(|why| (table.schema)(out, why)))?;
            let train = part::<abi::TrainPart>(table, abi::TRAIN)?;
            let with_schema = |part: &'static abi::TrainPart| -> Result<_> {
                let schema = raw::collect_text(|out| call(|why| (part.schema)(out, why)))?;
                Ok((part, parse_schema(&schema)?))
            };
            Ok(LoadedMethod {
                table,
                summary: raw::text(table.summary, "its summary")?.to_owned(),
                version: raw::text(table.version, "its version")?.to_owned(),
                origin: origin.to_owned(),
                capabilities,
                schema: parse_schema(&schema)?,
                train: train.map(with_schema).transpose()?,
                persist,
                invariance: part(table, abi::INVARIANCE)?,
                peers: Arc::clone(peers),
                around: around(name.clone()),
                name,
            })
        }
    }
}

/// What surrounds a call of the method `name` that sets something up.
fn around(name: String) -> Arc<SetupScope> {
    Arc::new(move |system, f| {
        let comm = system.a().space().comm();
        instance::together(comm, || {
            let _link = chain::outermost(&name)?;
            let services: Arc<dyn Host> = Arc::new(OnRanks::new(system.host(), comm));
            f(&services)
        })
    })
}

/// A call of a library that makes an instance: with parameters, or from bytes that it brings along.
type Make<'a> = dyn Fn(Text, *const abi::System, *const abi::Host, *mut *mut c_void, *mut Failure) -> Status
    + 'a;

impl LoadedMethod {
    /// The instance that `make` makes for a system.
    fn made(&self, params: &Value, system: &System, make: &Make<'_>) -> Result<Box<dyn Instance>> {
        let mut made = None;
        (self.around)(system, &mut |services| {
            nested::check(&self.name, &self.schema, &self.peers, params)?;
            note_old_names(&self.name, &self.schema, params, &**system.host());
            let (params, a) = (params.to_string(), system.a());
            let mut instance = null_mut();
            // SAFETY: what is lent outlives the call; the instance is nobody else's.
            unsafe {
                let (system_table, host_table) = (system::lend(system), host::lend(services));
                let (s, h) = (&raw const system_table.table, host::table(&host_table));
                call(|why| make(Text::new(&params), s, h, &mut instance, why))
                    .map_err(|e| hinted(e, system))?;
                let around = Arc::clone(&self.around);
                made = Some(Loaded::new(self.table, instance, a, &params, around)?);
            }
            Ok(())
        })?;
        let nothing = || Error::Plugin(format!("{} was not set up", self.name));
        Ok(Box::new(made.ok_or_else(nothing)?))
    }
}

/// What a method or a family is called.
///
/// # Safety
/// The text is one of a checked table.
pub(crate) unsafe fn named(id: Text) -> Result<String> {
    // SAFETY: the caller's promise.
    let name = unsafe { raw::text(id, "its id")? };
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if name.is_empty() || !name.bytes().all(plain) {
        return Err(Error::Plugin(format!(
            "its id '{}' is not made of lower-case letters, digits and -",
            name.escape_debug()
        )));
    }
    Ok(name.to_owned())
}

pub(crate) fn parse_schema(text: &str) -> Result<Value> {
    let refuse = |why: String| Err(Error::Plugin(format!("its schema {why}")));
    match serde_json::from_str(text) {
        Ok(schema @ Value::Object(_)) => match schema::endless(&schema) {
            Some(why) => refuse(why),
            None => Ok(schema),
        },
        Ok(other) => refuse(format!("is no object: {other}")),
        Err(e) => refuse(format!("is not JSON: {e}")),
    }
}

impl DynGenerator for LoadedMethod {
    fn name(&self) -> &str {
        &self.name
    }
    fn summary(&self) -> &str {
        &self.summary
    }
    fn version(&self) -> &str {
        &self.version
    }
    fn origin(&self) -> String {
        self.origin.clone()
    }
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }
    fn schema(&self) -> Value {
        self.schema.clone()
    }
    fn invariances(&self, params: &Value) -> Result<Option<Invariances>> {
        let Some(part) = self.invariance else { return Ok(None) };
        nested::check(&self.name, &self.schema, &self.peers, params)?;
        let (params, mut flags) = (params.to_string(), 0u32);
        // SAFETY: a checked table that lives for ever; what is lent outlives the call.
        call(|why| unsafe { (part.declare)(Text::new(&params), &mut flags, why) })?;
        Ok(Some(invariance::of_flags(flags)))
    }
    fn train_schema(&self) -> Option<Value> {
        self.train.as_ref().map(|(_, schema)| schema.clone())
    }

    fn generate(&self, params: &Value, system: &System) -> Result<Box<dyn Instance>> {
        // SAFETY: a checked table that lives for ever.
        self.made(params, system, &|params, s, h, instance, why| unsafe {
            (self.table.generate)(params, s, h, instance, why)
        })
    }

    fn load(&self, params: &Value, bytes: &[u8], system: &System) -> Result<Box<dyn Instance>> {
        let Some(part) = self.persist else { return Err(no_persist(&self.name)) };
        // SAFETY: a checked table that lives for ever.
        self.made(params, system, &|_, s, h, instance, why| unsafe {
            (part.load)(Bytes::new(bytes), s, h, instance, why)
        })
    }

    fn train(&self, params: &Value, training: Training<'_>) -> Result<Vec<u8>> {
        let Some((part, schema)) = &self.train else {
            return Err(Error::Unsupported(format!("{} has nothing to train", self.name)));
        };
        let comm = training.comm;
        comm.scope(|| {
            schema::check(schema, params)?;
            let services: Arc<dyn Host> = Arc::new(OnRanks::new(training.host, comm));
            let (comm_table, host_table) = (comm::lend(comm), host::lend(&services));
            let (c, h) = (&raw const comm_table.table, host::table(&host_table));
            let resume = training.resume.map(Bytes::new);
            let resume = resume.as_ref().map_or(null(), |resume| &raw const *resume);
            let params = params.to_string();
            let params = Text::new(&params);
            let model = with_samples(training.samples, |samples| {
                with_watch(training.watch, |watch| {
                    raw::pieces(|model| {
                        // SAFETY: a checked table that lives for ever; what is lent outlives the
                        // call.
                        call(|why| unsafe {
                            (part.train)(params, c, h, samples, resume, watch, model, why)
                        })
                    })
                })
            })?;
            Ok(model.concat())
        })
    }
}
