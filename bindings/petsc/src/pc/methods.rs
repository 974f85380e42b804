//! The methods that are there, and the types that stand for them.
use super::callback::Done;
use crate::api::{Api, RawPc};
use precondor_core::Result;
use precondor_core::registry::DynGenerator;
use precondor_core::schema::OLD_NAME;
use precondor_host::{Plugins, Search};
use std::collections::BTreeSet;
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

/// The types of the methods so far, and of those that libraries which were not looked at may have.
pub(super) fn types(plugins: &Plugins) -> BTreeSet<String> {
    let (methods, names) = plugins.methods_so_far();
    let of_methods = methods.into_iter().flat_map(|method| types_of(&**method));
    of_methods.chain(names.into_iter().map(type_of)).collect()
}

/// The method that the name of a type stands for.
pub(super) fn method_of(plugins: &Plugins, name: &str) -> Option<String> {
    let (methods, names) = plugins.methods_so_far();
    let known = methods.into_iter().find(|method| types_of(&***method).iter().any(|t| t == name));
    let known = known.map(|method| method.name());
    known.or_else(|| names.into_iter().find(|n| type_of(n) == name)).map(str::to_owned)
}

/// The type of a method, and the one of what it was called before.
fn types_of(method: &dyn DynGenerator) -> Vec<String> {
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
