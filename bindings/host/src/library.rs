//! Opening one library: the handshake.
use crate::child::Step;
use crate::family::LoadedFamily;
use crate::method::LoadedMethod;
use crate::services::Peers;
use crate::trust;
use precondor_abi as abi;
use precondor_bridge::raw;
use precondor_core::problem::DynFamily;
use precondor_core::registry::DynGenerator;
use precondor_core::{Error, Result, input};
use std::path::Path;
use std::sync::Arc;

/// File names of plugins begin so.
pub(crate) const FILE_PREFIX: &str = "libprecondor_plugin_";
/// … and end so.
pub(crate) const FILE_SUFFIX: &str = ".so";
/// Methods, and families, that one library may have.
const MOST: usize = 4096;

/// What a library brings.
#[derive(Clone, Default)]
pub struct Contents {
    /// Methods.
    pub methods: Vec<Arc<dyn DynGenerator>>,
    /// Families of problems.
    pub families: Vec<Arc<dyn DynFamily>>,
}

/// The NAME of a file `libprecondor_plugin_NAME.so`.
pub(crate) fn name_of(path: &Path) -> Option<&str> {
    let file = path.file_name()?.to_str()?;
    let name = file.strip_prefix(FILE_PREFIX)?.strip_suffix(FILE_SUFFIX)?;
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    (!name.is_empty() && name.bytes().all(plain)).then_some(name)
}

/// Loads what the library at `path` has, which stays loaded for ever, where nobody but root and the
/// user can have written it: that is looked at before any of its code runs. Methods of a library that is
/// loaded alone can set up no inner methods.
///
/// [`Plugins`](crate::Plugins) is the way to load what a user has installed. This is for a file that the
/// caller vouches for:
///
/// ```no_run
/// # fn main() -> precondor_core::Result<()> {
/// let file = std::path::Path::new("libprecondor_plugin_mine.so");
/// // SAFETY: built by the line above, from sources that keep the contract of `precondor.h`.
/// let methods = unsafe { precondor_host::load_library(file)? }.methods;
/// # Ok(()) }
/// ```
///
/// ```compile_fail,E0133
/// # fn main() -> precondor_core::Result<()> {
/// let file = std::path::Path::new("libprecondor_plugin_mine.so");
/// let methods = precondor_host::load_library(file)?;
/// # Ok(()) }
/// ```
///
/// # Safety
/// Initialisers of the library, and of those that it is linked with, do nothing that safe code may not do,
/// and its tables keep the C contract.
///
/// # Errors
/// [`Error::Plugin`] naming the file: others could have written it, not a library, not a plugin, another
/// ABI, broken tables.
pub unsafe fn load_library(path: &Path) -> Result<Contents> {
    // SAFETY: the caller's promise.
    unsafe { open(path, &Arc::default(), &|_| {}) }
}

/// As [`load_library`], of methods that find others among `peers`; `told` hears of every step.
///
/// # Safety
/// As [`load_library`].
pub(crate) unsafe fn open(
    path: &Path,
    peers: &Arc<Peers>,
    told: &dyn Fn(Step),
) -> Result<Contents> {
    let named = |e: Error| {
        let (file, text) = (path.display().to_string(), e.to_string());
        Error::Plugin(if text.starts_with(&file) { text } else { format!("{file}: {text}") })
    };
    let misnamed = || {
        let rule = "NAME of lower-case letters, digits and _";
        let text = format!("a plugin's file is called {FILE_PREFIX}NAME{FILE_SUFFIX}, {rule}");
        named(Error::Plugin(text))
    };
    if cfg!(not(target_os = "linux")) {
        return Err(named(elsewhere()));
    }
    name_of(path).ok_or_else(misnamed)?;
    let real = trust::check(path).map_err(named)?;
    whole(&real).map_err(named)?;
    let name = name_of(&real).ok_or_else(misnamed)?;
    told(Step::Load);
    // SAFETY: the caller's promise; the symbol of that name is an entry table, and lives for ever.
    unsafe {
        let entry = symbol(&real, &format!("{}{name}", abi::SYMBOL_PREFIX)).map_err(named)?;
        take(entry, &real.display().to_string(), peers, told).map_err(named)
    }
}

/// Refuses a file that is shorter than its own headers say: the system's loader would map what is not there, and the
/// first look at it would end the process.
fn whole(path: &Path) -> Result<()> {
    use object::read::elf::{FileHeader, ProgramHeader};
    let file = input::open(path).map_err(|e| Error::file(path, e))?;
    let length = file.metadata().map_err(|e| Error::file(path, e))?.len();
    let cache = object::ReadCache::new(file);
    let refused =
        |e: object::Error| Error::Plugin(format!("it is no shared library, or a damaged one: {e}"));
    let header = object::elf::FileHeader64::<object::Endianness>::parse(&cache).map_err(refused)?;
    let endian = header.endian().map_err(refused)?;
    for segment in header.program_headers(endian, &cache).map_err(refused)? {
        let end = segment.p_offset(endian).checked_add(segment.p_filesz(endian));
        if end.is_none_or(|end| end > length) {
            return Err(Error::Plugin(format!(
                "it is cut off: the file has {length} bytes, its headers tell of {}",
                end.map_or("more than any file has".into(), |end| end.to_string())
            )));
        }
    }
    Ok(())
}

/// The address of a symbol of the library at `path`, which is loaded for ever.
///
/// # Safety
/// Initialisers of the library, and of those that it is linked with, do nothing that safe code may not do.
#[cfg(target_os = "linux")]
unsafe fn symbol(path: &Path, symbol: &str) -> Result<*const abi::Plugin> {
    use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
    // SAFETY: the caller's promise.
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) };
    let library = library.map_err(|e| Error::Plugin(reasons(&e)))?;
    // SAFETY: only the symbol's address is taken here.
    let entry = unsafe { library.get::<*const abi::Plugin>(symbol.as_bytes()) };
    let entry = entry.map(|symbol| *symbol).map_err(|_| {
        Error::Plugin(format!(
            "it is no Precondor plugin: it exports no '{symbol}' (the name follows the file's)"
        ))
    })?;
    // Never unloaded, so that tables and code live for ever.
    std::mem::forget(library);
    Ok(entry)
}

/// # Safety
/// None is needed: nothing is loaded.
#[cfg(not(target_os = "linux"))]
unsafe fn symbol(_: &Path, _: &str) -> Result<*const abi::Plugin> {
    Err(elsewhere())
}

/// What to say on other systems than Linux.
pub(crate) fn elsewhere() -> Error {
    Error::Plugin(format!("plugins are loaded on Linux only, this is {}", std::env::consts::OS))
}

/// What an entry table leads to that is in memory already: of a plugin that a program is linked
/// with. Every part of it is checked. `origin` is told where its methods come from.
///
/// # Errors
/// As [`load_library`].
///
/// # Safety
/// `entry` is null or leads to a magic number and, if that is right, to an entry table that lives
/// for ever and keeps the C contract.
pub unsafe fn accept(entry: *const abi::Plugin, origin: &str) -> Result<Contents> {
    // SAFETY: the caller's promise.
    unsafe { take(entry, origin, &Arc::default(), &|_| {}) }
}

/// Takes what an entry table leads to after checking every part of it.
///
/// # Safety
/// As [`accept`].
unsafe fn take(
    entry: *const abi::Plugin,
    origin: &str,
    peers: &Arc<Peers>,
    told: &dyn Fn(Step),
) -> Result<Contents> {
    let refuse = |why: String| Err(Error::Plugin(why));
    if entry.is_null() || !entry.is_aligned() {
        return refuse("its entry table is misplaced".into());
    }
    // SAFETY: the caller's promise; field by field, each only after the one before it was right.
    unsafe {
        if (&raw const (*entry).magic).read() != abi::MAGIC {
            return refuse("it is no Precondor plugin: its table has another magic number".into());
        }
        let major = (&raw const (*entry).abi_major).read();
        let minor = (&raw const (*entry).abi_minor).read();
        if major != abi::ABI_MAJOR {
            let advice = match major > abi::ABI_MAJOR {
                true => {
                    "use a newer Precondor, or rebuild the plugin with this one's SDK or header"
                }
                false => "rebuild the plugin with this Precondor's SDK or header",
            };
            return refuse(format!(
                "it speaks plugin ABI {major}.{minor}, this program {}.{}: {advice}",
                abi::ABI_MAJOR,
                abi::ABI_MINOR
            ));
        }
        let size = (&raw const (*entry).size).read();
        if size < size_of::<abi::Plugin>() {
            return refuse(format!(
                "its entry table is {size} bytes long, {} are needed",
                size_of::<abi::Plugin>()
            ));
        }
        let problems = match size >= size_of::<abi::PluginTable>() {
            true => {
                let entry = &*entry.cast::<abi::PluginTable>();
                few(entry.n_problems, "families of problems")?;
                raw::slice(entry.problems, entry.n_problems, "its families of problems")?
            }
            false => &[],
        };
        let entry = &*entry;
        few(entry.n_methods, "methods")?;
        let methods = raw::slice(entry.methods, entry.n_methods, "its methods")?;
        let mut all = Contents::default();
        for (i, &method) in methods.iter().enumerate() {
            let numbered = |e: Error| e.inside(format!("method {i}"));
            let method = LoadedMethod::new(method, origin, peers, told).map_err(numbered)?;
            if all.methods.iter().any(|other| other.name() == method.name()) {
                return refuse(format!("it has two methods '{}'", method.name()));
            }
            all.methods.push(Arc::new(method));
        }
        for (i, &family) in problems.iter().enumerate() {
            let numbered = |e: Error| e.inside(format!("family {i}"));
            let family = LoadedFamily::new(family, origin, told).map_err(numbered)?;
            if all.families.iter().any(|other| other.name() == family.name()) {
                return refuse(format!("it has two families '{}'", family.name()));
            }
            all.families.push(Arc::new(family));
        }
        Ok(all)
    }
}

fn few(count: usize, what: &str) -> Result<()> {
    match count > MOST {
        true => Err(Error::Plugin(format!("{count} {what} are more than {MOST}"))),
        false => Ok(()),
    }
}

/// What `libloading` says, with the reasons that its first line hides.
#[cfg(target_os = "linux")]
fn reasons(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut at = error.source();
    while let Some(source) = at {
        text = format!("{text}: {source}");
        at = source.source();
    }
    text
}
