//! From a [`Generator`] to its C table. What [`export_plugin!`](crate::export_plugin) expands to
//! leads here; nothing in this module is meant to be called by hand.
use precondor_abi as abi;
use precondor_abi::{Bytes, Failure, Sink, Status, Text};
use precondor_bridge::instance::{self, Parts, part};
use precondor_bridge::status::answer;
use precondor_bridge::train::{ForeignSamples, ForeignWatch};
use precondor_bridge::{comm, host, invariance, raw, system};
use precondor_core::Result;
use precondor_core::precond::Generator;
use precondor_core::registry::parameters;
use precondor_core::schema;
use precondor_core::system::System;
use precondor_core::train::{Trainable, Training};
use std::ffi::c_void;
use std::marker::PhantomData;
use std::ptr::null;

mod problem;
pub use problem::family;

/// The entry table of a library.
pub const fn plugin(
    methods: &'static [&'static abi::Method],
    problems: &'static [&'static abi::Problem],
) -> abi::PluginTable {
    let first = abi::Plugin {
        magic: abi::MAGIC,
        abi_major: abi::ABI_MAJOR,
        abi_minor: abi::ABI_MINOR,
        size: size_of::<abi::PluginTable>(),
        methods: methods.as_ptr().cast(),
        n_methods: methods.len(),
    };
    abi::PluginTable { first, problems: problems.as_ptr().cast(), n_problems: problems.len() }
}

/// The table of one method.
pub const fn method<G: Generator>(version: &'static str) -> abi::Method {
    abi::Method {
        size: size_of::<abi::Method>(),
        id: Text::new(G::NAME),
        summary: Text::new(G::SUMMARY),
        version: Text::new(version),
        schema: write_schema::<G>,
        generate: generate::<G>,
        apply: instance::apply::<G::Output>,
        destroy: instance::destroy::<G::Output>,
        properties: instance::properties::<G::Output>,
        stored_entries: instance::stored_entries::<G::Output>,
        bytes: instance::bytes::<G::Output>,
        notes: instance::notes::<G::Output>,
        extension: extension::<G>,
    }
}

/// The table of one method that learns.
pub const fn trainable<G: Trainable>(version: &'static str) -> abi::Method {
    abi::Method { extension: trainable_extension::<G>, ..method::<G>(version) }
}

// What the host calls; pointers are what it promises by calling: the C contract.

unsafe extern "C" fn write_schema<G: Generator>(out: *const Sink, why: *mut Failure) -> Status {
    // SAFETY: see above.
    unsafe {
        answer(why, || {
            let schema = schema::of::<G::Params>();
            raw::put(out, schema.to_string().as_bytes())
        })
    }
}

/// The system and parameters of a call.
unsafe fn surroundings<G: Generator>(
    params: Text,
    system: *const abi::System,
    host: *const abi::Host,
) -> Result<(G::Params, System)> {
    // SAFETY: the caller's promise.
    unsafe {
        let params = parameters(&host::parse(raw::text(params, "parameters")?)?)?;
        Ok((params, system::take(system)?.with_host(host::take(host)?)))
    }
}

unsafe extern "C" fn generate<G: Generator>(
    params: Text,
    system: *const abi::System,
    host: *const abi::Host,
    out: *mut *mut c_void,
    why: *mut Failure,
) -> Status {
    // SAFETY: see above.
    unsafe {
        answer(why, || {
            let (params, system) = surroundings::<G>(params, system, host)?;
            let m = G::generate(&params, &system)?;
            *out = instance::lend(m, system.a().space());
            Ok(())
        })
    }
}

unsafe extern "C" fn refresh<G: Generator>(
    ptr: *mut c_void,
    params: Text,
    system: *const abi::System,
    host: *const abi::Host,
    why: *mut Failure,
) -> Status {
    // SAFETY: see above.
    unsafe {
        answer(why, || {
            instance::refresh::<G::Output>(ptr, |m, n| {
                let (params, system) = surroundings::<G>(params, system, host)?;
                if system.a().n_own() != n {
                    return Err(precondor_core::Error::PatternChanged);
                }
                G::refresh(m, &params, &system)
            })
        })
    }
}

unsafe extern "C" fn declare<G: Generator>(
    params: Text,
    out: *mut u32,
    why: *mut Failure,
) -> Status {
    // SAFETY: see above.
    unsafe {
        answer(why, || {
            let params = parameters(&host::parse(raw::text(params, "parameters")?)?)?;
            *out = invariance::flags(G::invariances(&params));
            Ok(())
        })
    }
}

unsafe extern "C" fn save<G: Generator>(
    ptr: *mut c_void,
    out: *const Sink,
    why: *mut Failure,
) -> Status {
    // SAFETY: see above.
    unsafe {
        answer(why, || {
            instance::look::<G::Output>(ptr, |m, rows| raw::put(out, &G::save(m, rows)?))
        })
    }
}

unsafe extern "C" fn load<G: Generator>(
    blob: Bytes,
    system: *const abi::System,
    host: *const abi::Host,
    out: *mut *mut c_void,
    why: *mut Failure,
) -> Status {
    // SAFETY: see above.
    unsafe {
        answer(why, || {
            let system = system::take(system)?.with_host(host::take(host)?);
            let m = G::load(raw::bytes(blob, "a saved preconditioner")?, &system)?;
            *out = instance::lend(m, system.a().space());
            Ok(())
        })
    }
}

/// The parts that [`Generator::CAPABILITIES`] announces, and no others.
unsafe extern "C" fn extension<G: Generator>(id: Text) -> *const c_void {
    let offers = G::CAPABILITIES;
    // SAFETY: see above.
    match unsafe { raw::text(id, "an id") } {
        Ok(abi::EXPLICIT) if offers.explicit => part(const { &Parts::<G::Output>::EXPLICIT }),
        Ok(abi::APPLY_MANY) if offers.many => part(const { &Parts::<G::Output>::APPLY_MANY }),
        Ok(abi::APPLY_AND_MULTIPLY) if offers.product => {
            part(const { &Parts::<G::Output>::APPLY_AND_MULTIPLY })
        }
        Ok(abi::APPLY_TRANSPOSE) if offers.transpose => {
            part(const { &Parts::<G::Output>::APPLY_TRANSPOSE })
        }
        Ok(abi::DELEGATE) if offers.delegate => part(const { &Parts::<G::Output>::DELEGATE }),
        Ok(abi::REFRESH) if offers.refresh => part(const { &Optional::<G>::REFRESH }),
        Ok(abi::PERSIST) if offers.persist => part(const { &Optional::<G>::PERSIST }),
        Ok(abi::INVARIANCE) => part(const { &Optional::<G>::INVARIANCE }),
        _ => null(),
    }
}

unsafe extern "C" fn trainable_extension<G: Trainable>(id: Text) -> *const c_void {
    // SAFETY: see above.
    match unsafe { raw::text(id, "an id") } {
        Ok(abi::TRAIN) => part(const { &Optional::<G>::TRAIN }),
        // SAFETY: see above.
        _ => unsafe { extension::<G>(id) },
    }
}

unsafe extern "C" fn write_train_schema<G: Trainable>(
    out: *const Sink,
    why: *mut Failure,
) -> Status {
    // SAFETY: see above.
    unsafe {
        answer(why, || {
            let schema = schema::of::<G::TrainParams>();
            raw::put(out, schema.to_string().as_bytes())
        })
    }
}

unsafe extern "C" fn train<G: Trainable>(
    params: Text,
    comm: *const abi::Comm,
    host: *const abi::Host,
    samples: *const abi::Samples,
    resume: *const Bytes,
    watch: *const abi::Watch,
    model: *const Sink,
    why: *mut Failure,
) -> Status {
    // SAFETY: see above.
    unsafe {
        answer(why, || {
            let params = parameters(&host::parse(raw::text(params, "parameters")?)?)?;
            let (comm, host) = (comm::take(comm)?, host::take(host)?);
            let samples = ForeignSamples::new(samples, &host)?;
            let resume = resume.as_ref().map(|b| raw::bytes(*b, "a checkpoint")).transpose()?;
            let watch = &mut ForeignWatch::new(watch)?;
            let training = Training { comm: &comm, host: &host, samples: &samples, resume, watch };
            raw::put(model, &G::train(&params, training)?)
        })
    }
}

/// Optional parts that belong to the generator.
struct Optional<G>(PhantomData<G>);

impl<G: Trainable> Optional<G> {
    const TRAIN: abi::TrainPart = abi::TrainPart {
        size: size_of::<abi::TrainPart>(),
        schema: write_train_schema::<G>,
        train: train::<G>,
    };
}

impl<G: Generator> Optional<G> {
    const REFRESH: abi::RefreshPart =
        abi::RefreshPart { size: size_of::<abi::RefreshPart>(), refresh: refresh::<G> };
    const PERSIST: abi::PersistPart =
        abi::PersistPart { size: size_of::<abi::PersistPart>(), save: save::<G>, load: load::<G> };
    const INVARIANCE: abi::InvariancePart =
        abi::InvariancePart { size: size_of::<abi::InvariancePart>(), declare: declare::<G> };
}

/// Whether a crate is called `precondor_plugin_…`.
pub const fn well_named(name: &str) -> bool {
    let (name, prefix) = (name.as_bytes(), abi::SYMBOL_PREFIX.as_bytes());
    let mut i = 0;
    while i < prefix.len() {
        if i >= name.len() || name[i] != prefix[i] {
            return false;
        }
        i += 1;
    }
    name.len() > prefix.len()
}

/// Whether no two names are the same.
pub const fn distinct(names: &[&str]) -> bool {
    let mut i = 0;
    while i < names.len() {
        let mut j = i + 1;
        while j < names.len() {
            if same(names[i].as_bytes(), names[j].as_bytes()) {
                return false;
            }
            j += 1;
        }
        i += 1;
    }
    true
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    let mut i = 0;
    while i < a.len() && i < b.len() && a[i] == b[i] {
        i += 1;
    }
    i == a.len() && i == b.len()
}

/// Exports methods from this library: `export_plugin!(A, B; trainable: C, D; problems: E);`.
///
/// Methods that learn stand after `trainable:` and nowhere else; where all of them do, the macro
/// starts with it: `export_plugin!(; trainable: C, D);`. Families of problems
/// ([`Family`](crate::core::problem::Family)) stand after `problems:`, and may be all there is:
/// `export_plugin!(; problems: E);`.
///
/// The crate must be called `precondor-plugin-NAME` and be a `cdylib`; hosts find its file
/// `libprecondor_plugin_NAME.so` and in it the symbol `precondor_plugin_NAME`. With
/// `crate-type = ["cdylib", "rlib"]` several plugins can also be linked into one program: the macro
/// defines `methods()`, which a registry takes, and `families()` where it stands (the root of the crate).
///
/// Refused where panics abort: a panic could not be contained then.
#[macro_export]
macro_rules! export_plugin {
    ($($method:ty),* $(; trainable: $($learning:ty),+)? $(; problems: $($family:ty),+)? $(,)?) => {
        #[cfg(panic = "abort")]
        compile_error!(
            "a plugin must be built with panic = \"unwind\": a panic in one method would otherwise \
             end the program that loaded it"
        );
        const _: () = {
            assert!(
                $crate::export::well_named(env!("CARGO_CRATE_NAME")),
                "the crate of a plugin must be called precondor-plugin-NAME"
            );
            assert!(
                $crate::export::distinct(&[
                    $(<$method as $crate::core::precond::Generator>::NAME,)*
                    $($(<$learning as $crate::core::precond::Generator>::NAME,)+)?
                ]),
                "two methods of this plugin have the same name"
            );
            assert!(
                $crate::export::distinct(&[
                    $($(<$family as $crate::core::problem::Family>::NAME,)+)?
                ]),
                "two families of this plugin have the same name"
            );
            static METHODS: &[&$crate::abi::Method] = &[
                $(&$crate::export::method::<$method>(env!("CARGO_PKG_VERSION")),)*
                $($(&$crate::export::trainable::<$learning>(env!("CARGO_PKG_VERSION")),)+)?
            ];
            static PROBLEMS: &[&$crate::abi::Problem] = &[
                $($(&$crate::export::family::<$family>(env!("CARGO_PKG_VERSION")),)+)?
            ];
            #[unsafe(export_name = env!("CARGO_CRATE_NAME"))]
            static PLUGIN: $crate::abi::PluginTable = $crate::export::plugin(METHODS, PROBLEMS);
        };

        /// The methods of this crate for a program that it is linked into, as a registry holds them.
        pub fn methods() -> ::std::vec::Vec<::std::sync::Arc<dyn $crate::core::registry::DynGenerator>> {
            const VERSION: &str = env!("CARGO_PKG_VERSION");
            ::std::vec![
                $($crate::core::registry::Native::<$method>::of(VERSION),)*
                $($($crate::core::registry::NativeTrainable::<$learning>::of(VERSION),)+)?
            ]
        }

        /// The families of problems of this crate for a program that it is linked into.
        pub fn families() -> ::std::vec::Vec<::std::sync::Arc<dyn $crate::core::problem::DynFamily>> {
            ::std::vec![
                $($($crate::core::problem::NativeFamily::<$family>::of(env!("CARGO_PKG_VERSION")),)+)?
            ]
        }
    };
}
