//! Where PETSc's functions are: finding the library.
use precondor_core::{Error, Result};
use std::ffi::{CStr, CString, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr::null_mut;

/// A loaded libpetsc, never unloaded.
pub(super) struct Library {
    handle: *mut c_void,
    /// Its file.
    pub(super) path: PathBuf,
}

/// The function that tells a library to be PETSc.
const MARK: &CStr = c"PCRegister";

impl Library {
    /// The address of a symbol of the library or of what it is linked with; null where there is none.
    pub(super) fn symbol(&self, name: &CStr) -> *mut c_void {
        // SAFETY: a live handle and a C string.
        unsafe { libc::dlsym(self.handle, name.as_ptr()) }
    }

    /// The libpetsc that is in the process.
    ///
    /// A program may be linked with it, or have loaded it out of the way of others, as Python does:
    /// then it is found among the names of all loaded objects.
    pub(super) fn in_process() -> Result<Library> {
        // SAFETY: a C string; the handle stands for everything the program is linked with.
        let mark = unsafe { libc::dlsym(libc::RTLD_DEFAULT, MARK.as_ptr()) };
        if !mark.is_null() {
            return Self::holding(mark);
        }
        let mut names: Vec<CString> = Vec::new();
        // SAFETY: the callback gets the list that it is handed, which outlives the call.
        unsafe { libc::dl_iterate_phdr(Some(named_petsc), (&raw mut names).cast()) };
        for name in names {
            // SAFETY: a C string; nothing is loaded that is not there already.
            let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_NOLOAD) };
            let path = PathBuf::from(OsStr::from_bytes(name.as_bytes()));
            let library = Library { handle, path };
            if !handle.is_null() && !library.symbol(MARK).is_null() {
                return Ok(library);
            }
        }
        Err(Error::Plugin(
            "there is no PETSc in this process, or its functions are hidden: a program that PETSc is \
             linked into statically has to export them (-rdynamic)"
                .into(),
        ))
    }

    /// The library that the function at `address` belongs to.
    fn holding(address: *mut c_void) -> Result<Library> {
        // SAFETY: a plain struct of pointers, for which zero is a value.
        let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
        // SAFETY: any address may be asked about; `info` is ours.
        let known = unsafe { libc::dladdr(address, &mut info) } != 0 && !info.dli_fname.is_null();
        let (mut handle, mut path) = (null_mut(), PathBuf::from("the program"));
        if known {
            // SAFETY: a C string of the loader; nothing is loaded that is not there already.
            unsafe {
                let name = CStr::from_ptr(info.dli_fname);
                path = OsStr::from_bytes(name.to_bytes()).into();
                handle = libc::dlopen(info.dli_fname, libc::RTLD_NOW | libc::RTLD_NOLOAD);
            }
        }
        if handle.is_null() {
            // The program itself. SAFETY: no name stands for it and all it is linked with.
            handle = unsafe { libc::dlopen(std::ptr::null(), libc::RTLD_NOW) };
        }
        Ok(Library { handle, path })
    }

    /// Loads a libpetsc.
    pub(super) fn open(path: Option<&Path>) -> Result<Library> {
        let given = path.map(Path::to_owned).or_else(|| variable("PRECONDOR_PETSC"));
        let tried = match given {
            Some(one) => vec![one],
            None => candidates(),
        };
        let mut reasons = Vec::new();
        for path in tried {
            let name = CString::new(path.as_os_str().as_bytes())
                .map_err(|_| Error::file(&path, "its name contains a zero byte"))?;
            // SAFETY: running the initialisers of a library is what loading PETSc means.
            let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
            if handle.is_null() {
                reasons.push(reason());
                continue;
            }
            let library = Library { handle, path };
            let mark = library.symbol(MARK);
            if !mark.is_null() {
                let path = Self::holding(mark)?.path;
                return Ok(Library { path, ..library });
            }
            reasons.push(format!("{}: it is no PETSc", library.path.display()));
        }
        Err(Error::Plugin(format!(
            "no PETSc library could be loaded: {}; install it (Debian: apt-get install petsc-dev), or \
             let PRECONDOR_PETSC name the file",
            reasons.join("; ")
        )))
    }
}

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Where PETSc usually is.
fn candidates() -> Vec<PathBuf> {
    let mut all = Vec::new();
    if let Some(folder) = variable("PETSC_DIR") {
        let arch = variable("PETSC_ARCH").unwrap_or_default();
        all.push(folder.join(arch).join("lib/libpetsc.so"));
    }
    all.extend(["libpetsc.so", "libpetsc_real.so"].map(PathBuf::from));
    let [major, oldest] = super::OLDEST;
    let versions = (oldest..oldest + 20).rev();
    all.extend(versions.flat_map(|minor| {
        ["libpetsc", "libpetsc_real"].map(|name| format!("{name}.so.{major}.{minor}").into())
    }));
    all.retain(|path| path.file_name() == Some(path.as_os_str()) || path.exists());
    all
}

/// What the loader says about the last failure.
fn reason() -> String {
    // SAFETY: null, or a C string that lives until the next call of the loader by this thread.
    unsafe {
        let said: *const c_char = libc::dlerror();
        match said.is_null() {
            true => "unknown".into(),
            false => CStr::from_ptr(said).to_string_lossy().into_owned(),
        }
    }
}

/// Adds the name of a loaded object to a list if it looks like PETSc's.
unsafe extern "C" fn named_petsc(
    info: *mut libc::dl_phdr_info,
    _: usize,
    names: *mut c_void,
) -> c_int {
    // SAFETY: the loader hands in a description of an object; `names` is the list of `in_process`.
    unsafe {
        let name = (*info).dlpi_name;
        if !name.is_null() {
            let name = CStr::from_ptr(name);
            let file = name.to_bytes().rsplit(|&b| b == b'/').next().unwrap_or_default();
            if file.starts_with(b"libpetsc") {
                (*names.cast::<Vec<CString>>()).push(name.to_owned());
            }
        }
    }
    0
}
