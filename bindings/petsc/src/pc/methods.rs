//! The methods that are there, and the types that stand for them.
use super::callback::Done;
use crate::api::{Api, RawPc};
use precondor_core::Result;
use precondor_core::registry::DynGenerator;
use precondor_core::schema::OLD_NAME;
use precondor_host::{Plugins, Search};
use std::ffi::CStr;
use std::ptr::null;
use std::sync::OnceLock;

/// The type whose method is an option.
pub(super) const TYPE: &str = "precondor";

/// The methods that were found.
static PLUGINS: OnceLock<Plugins> = OnceLock::new();

/// The methods that are there, found when the library was loaded.
pub(super) fn plugins() -> Result<&'static Plugins> {
    if let Some(plugins) = PLUGINS.get() {
        return Ok(plugins);
    }
    let plugins = Plugins::load(&Search { extra: vec![], base: ".".into() })?;
    Ok(PLUGINS.get_or_init(|| plugins))
}

/// The type of a method: PETSc's names have no hyphens.
pub(super) fn type_of(method: &str) -> String {
    format!("{TYPE}_{}", method.replace('-', "_"))
}

/// The type of a method, and the one of what it was called before.
pub(super) fn types_of(method: &dyn DynGenerator) -> Vec<String> {
    let schema = method.schema();
    let names = std::iter::once(method.name()).chain(schema[OLD_NAME].as_str());
    names.map(type_of).collect()
}

/// The name of the type of `pc`, where it has one of ours.
///
/// # Safety
/// `pc` is live.
pub(super) unsafe fn type_name(api: &Api, pc: RawPc) -> Done<Option<String>> {
    let mut name = null();
    // SAFETY: the caller's promise; the name is null or a C string of PETSc's.
    let name = unsafe {
        api.PCGetType(pc, &mut name)?;
        if name.is_null() {
            return Ok(None);
        }
        CStr::from_ptr(name).to_string_lossy().into_owned()
    };
    let ours = name == TYPE || name.starts_with(&format!("{TYPE}_"));
    Ok(ours.then_some(name))
}
