//! PETSc's functions, looked up when the program runs.
//!
//! Nothing of PETSc is linked: [`Api::in_process`] looks every function up in the libpetsc that the
//! process has loaded already (a program that is given to us by PETSc, or petsc4py), [`Api::open`]
//! loads one (a Rust program). One binary therefore works with 32- and 64-bit indices and with all
//! versions from [`OLDEST`] on; what it cannot work with is refused with the reason: complex numbers,
//! single precision, older versions.
//!
//! Every function of the table in `functions.rs` is a method of [`Api`] under PETSc's own name. It returns
//! [`Failed`] with PETSc's message where PETSc reports an error, and where this version of PETSc has
//! no function of that name.
mod functions;
mod library;
mod types;

pub use functions::Callback;
pub use types::*;

use library::Library;
use precondor_core::{Error, Result};
use std::ffi::{CStr, CString, c_char, c_int};
use std::path::{Path, PathBuf};
use std::ptr::{null, null_mut};
use std::sync::OnceLock;

/// The oldest version of PETSc that is supported: major, minor.
pub const OLDEST: [i64; 2] = [3, 18];

/// PETSc as it runs in this process.
pub struct Api {
    library: Library,
    table: functions::Table,
    width: Width,
    version: [i64; 3],
}

// SAFETY: holds addresses of code and data that stay loaded for ever; who may call PETSc from which
// thread is the caller's affair, as every function is unsafe.
unsafe impl Send for Api {}
// SAFETY: as above.
unsafe impl Sync for Api {}

/// A function of PETSc reported an error, or is not there.
#[derive(Clone, Debug, PartialEq)]
pub struct Failed {
    /// PETSc's error code.
    pub code: c_int,
    /// Whether PETSc's error handler knows of it already.
    pub reported: bool,
    /// The function.
    pub function: &'static str,
    /// What PETSc says about it.
    pub message: String,
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.function, self.message)
    }
}

impl std::error::Error for Failed {}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        Error::Data(format!("PETSc: {failed}"))
    }
}

/// The one PETSc of this process.
static API: OnceLock<Api> = OnceLock::new();

impl Api {
    /// The PETSc that the process has loaded already.
    ///
    /// # Errors
    /// [`Error::Plugin`] where there is none, or none that is supported.
    pub fn in_process() -> Result<&'static Api> {
        Self::get(Library::in_process)
    }

    /// The PETSc that the process has loaded already, else the library at `path`, else the one that
    /// the variable `PRECONDOR_PETSC` names, that lies in `$PETSC_DIR/$PETSC_ARCH/lib`, or that the
    /// system's loader finds under one of PETSc's usual names.
    ///
    /// # Errors
    /// [`Error::Plugin`] where there is none, or none that is supported.
    pub fn open(path: Option<&Path>) -> Result<&'static Api> {
        Self::get(|| Library::in_process().or_else(|_| Library::open(path)))
    }

    fn get(find: impl FnOnce() -> Result<Library>) -> Result<&'static Api> {
        if let Some(api) = API.get() {
            return Ok(api);
        }
        let api = Self::of(find()?)?;
        Ok(API.get_or_init(|| api))
    }

    /// Looks everything up and refuses what is not supported.
    fn of(library: Library) -> Result<Api> {
        let table = functions::Table::look_up(|name| library.symbol(name));
        let mut api = Api { library, table, width: Width::Narrow, version: [0; 3] };
        let refuse = |why: String| Error::Plugin(why);
        let failed = |api: &Api, e: Failed| refuse(format!("{}: {e}", api.path().display()));
        let mut size = 0usize;
        // SAFETY: the functions are PETSc's (looked up by name) and may be called before PETSc is
        // initialised; what they write goes to places of ours.
        unsafe {
            api.PetscDataTypeGetSize(datatype::INT, &mut size).map_err(|e| failed(&api, e))?;
            api.width = match size {
                4 => Width::Narrow,
                8 => Width::Wide,
                n => {
                    return Err(refuse(format!("{}: integers of {n} bytes", api.path().display())));
                }
            };
            let mut cells = [IntCell::default(); 4];
            let [major, minor, subminor, release] = &mut cells;
            api.PetscGetVersionNumber(major, minor, subminor, release)
                .map_err(|e| failed(&api, e))?;
            api.version = [0, 1, 2].map(|k| api.int(cells[k]));
            let (mut scalar, mut found) = (0, Bool::default());
            api.PetscDataTypeFromString(c"scalar".as_ptr(), &mut scalar, &mut found)
                .map_err(|e| failed(&api, e))?;
            let named = api.named();
            match scalar {
                datatype::DOUBLE => {}
                datatype::COMPLEX => {
                    return Err(refuse(format!(
                        "{named} was built with complex numbers; use a build with real ones \
                         (--with-scalar-type=real)"
                    )));
                }
                _ => {
                    return Err(refuse(format!(
                        "{named} was not built with double precision; use a build with \
                         --with-precision=double"
                    )));
                }
            }
            if api.version[..2] < OLDEST[..] {
                let [major, minor] = OLDEST;
                return Err(refuse(format!("{named} is too old; {major}.{minor} is needed")));
            }
        }
        Ok(api)
    }

    /// Major, minor and subminor version.
    pub fn version(&self) -> [i64; 3] {
        self.version
    }

    /// The file that it was loaded from.
    pub fn path(&self) -> PathBuf {
        self.library.path.clone()
    }

    /// Its name, version and file.
    pub fn named(&self) -> String {
        let [major, minor, subminor] = self.version;
        format!("PETSc {major}.{minor}.{subminor} ({})", self.path().display())
    }

    /// How wide its integers are.
    pub fn width(&self) -> Width {
        self.width
    }

    /// What the MPI library that PETSc runs with calls itself.
    pub fn mpi(&self) -> Option<String> {
        type Version = unsafe extern "C" fn(*mut c_char, *mut c_int) -> c_int;
        let at = self.library.symbol(c"MPI_Get_library_version");
        if at.is_null() {
            return None;
        }
        // No library writes more than MPI_MAX_LIBRARY_VERSION_STRING, 8192 at most.
        let mut text = vec![0u8; 1 << 14];
        let mut length = 0;
        // SAFETY: the symbol of that name has that type by the MPI standard and may be called before
        // MPI_Init; the text is longer than any library writes.
        let code = unsafe {
            let version = std::mem::transmute::<*mut std::ffi::c_void, Version>(at);
            version(text.as_mut_ptr().cast(), &mut length)
        };
        let text = CStr::from_bytes_until_nul(&text).ok()?.to_string_lossy();
        (code == 0).then(|| text.lines().next().unwrap_or_default().trim().to_owned())
    }

    /// Rank and size of a communicator.
    ///
    /// # Safety
    /// MPI runs, and `comm` is a live communicator.
    ///
    /// # Errors
    /// [`Failed`] where MPI reports an error.
    pub unsafe fn place_in(&self, comm: MPI_Comm) -> std::result::Result<(usize, usize), Failed> {
        type Ask = unsafe extern "C" fn(MPI_Comm, *mut c_int) -> c_int;
        let ask = |symbol: &CStr, function: &'static str| {
            let at = self.library.symbol(symbol);
            if at.is_null() {
                return Err(self.missing(function));
            }
            let mut answer = 0;
            // SAFETY: the symbol of that name has that type by the MPI standard.
            let code = unsafe {
                let ask = std::mem::transmute::<*mut std::ffi::c_void, Ask>(at);
                ask(comm, &mut answer)
            };
            let message = format!("MPI reports error {code}");
            match code {
                0 => Ok(answer as usize),
                _ => Err(Failed { code: code::LIBRARY, reported: false, function, message }),
            }
        };
        Ok((ask(c"MPI_Comm_rank", "MPI_Comm_rank")?, ask(c"MPI_Comm_size", "MPI_Comm_size")?))
    }

    /// The communicator of all processes that PETSc runs on.
    ///
    /// # Errors
    /// [`Failed`] where this library has none.
    pub fn comm_world(&self) -> std::result::Result<MPI_Comm, Failed> {
        let at = self.library.symbol(c"PETSC_COMM_WORLD").cast::<MPI_Comm>();
        if at.is_null() {
            return Err(self.missing("PETSC_COMM_WORLD"));
        }
        // SAFETY: the variable of that name has that type.
        Ok(unsafe { at.read() })
    }

    /// The value of an integer that PETSc wrote.
    pub fn int(&self, cell: IntCell) -> i64 {
        cell.get(self.width)
    }

    /// Integers that PETSc lends, `n` of them.
    ///
    /// # Safety
    /// `at` leads to as many integers of this PETSc, valid and unchanged for `'a`; null where `n` is 0.
    pub unsafe fn ints<'a>(&self, at: *const Ints, n: usize) -> IntSlice<'a> {
        // SAFETY: the caller's promise.
        unsafe { IntSlice::new(self.width, at, n) }
    }

    /// Integers as this PETSc takes them.
    ///
    /// # Errors
    /// [`Failed`] naming the first that is too large.
    pub fn to_ints(
        &self,
        numbers: impl IntoIterator<Item = i64>,
    ) -> std::result::Result<IntVec, Failed> {
        IntVec::new(self.width, numbers).map_err(|n| self.too_large(n))
    }

    /// An integer as this PETSc takes it.
    ///
    /// # Errors
    /// [`Failed`] where it is too large for 32 bits.
    pub fn to_int(&self, n: impl TryInto<i64>) -> std::result::Result<Int, Failed> {
        let n = n.try_into().unwrap_or(i64::MAX);
        match self.width == Width::Wide || i32::try_from(n).is_ok() {
            true => Ok(Int(n)),
            false => Err(self.too_large(n)),
        }
    }

    fn too_large(&self, n: i64) -> Failed {
        let message = format!("{n} is too large for {}, whose integers have 32 bits", self.named());
        Failed { code: code::OUT_OF_RANGE, reported: false, function: "PetscInt", message }
    }

    /// Writes a line to a viewer of text.
    ///
    /// # Safety
    /// `viewer` is a live viewer of text.
    ///
    /// # Errors
    /// [`Failed`] as PETSc reports.
    pub unsafe fn print(&self, viewer: Viewer, line: &str) -> std::result::Result<(), Failed> {
        let at = self.library.symbol(c"PetscViewerASCIIPrintf");
        type Print = unsafe extern "C" fn(Viewer, *const c_char, ...) -> c_int;
        if at.is_null() {
            return Err(self.missing("PetscViewerASCIIPrintf"));
        }
        let line = text(&format!("{line}\n"));
        // SAFETY: the symbol of that name has that type; the format asks for the one text given.
        let code = unsafe {
            let print = std::mem::transmute::<*mut std::ffi::c_void, Print>(at);
            print(viewer, c"%s".as_ptr(), line.as_ptr())
        };
        self.check("PetscViewerASCIIPrintf", code)
    }

    /// Writes a line where PETSc prints its help, from the first process of `comm`.
    ///
    /// # Safety
    /// PETSc is initialised and `comm` a live communicator.
    ///
    /// # Errors
    /// [`Failed`] as PETSc reports.
    pub unsafe fn print_help(&self, comm: MPI_Comm, line: &str) -> std::result::Result<(), Failed> {
        type Print = unsafe extern "C" fn(MPI_Comm, *const c_char, ...) -> c_int;
        let at = self.library.symbol(c"PetscHelpPrintf").cast::<Option<Print>>();
        // SAFETY: the variable of that name holds the function that prints help.
        let print = if at.is_null() { None } else { unsafe { at.read() } };
        let Some(print) = print else { return Err(self.missing("PetscHelpPrintf")) };
        let line = text(&format!("{line}\n"));
        // SAFETY: the format asks for the one text given.
        let code = unsafe { print(comm, c"%s".as_ptr(), line.as_ptr()) };
        self.check("PetscHelpPrintf", code)
    }

    /// Tells PETSc's error handler of an error, and returns the code to hand to the caller. `again`:
    /// passes on what a function called here reported.
    ///
    /// # Safety
    /// PETSc is initialised and `comm` a live communicator.
    pub unsafe fn raise(
        &self,
        comm: MPI_Comm,
        function: &CStr,
        code: c_int,
        again: bool,
        message: &str,
    ) -> c_int {
        type Raise = unsafe extern "C" fn(
            MPI_Comm,
            c_int,
            *const c_char,
            *const c_char,
            c_int,
            c_int,
            *const c_char,
            ...
        ) -> c_int;
        let at = self.library.symbol(c"PetscError");
        if at.is_null() {
            return code;
        }
        let (kind, message) = (if again { 1 } else { 0 }, text(message));
        // SAFETY: the symbol of that name has that type; the format asks for the one text given.
        unsafe {
            let raise = std::mem::transmute::<*mut std::ffi::c_void, Raise>(at);
            let (file, form) = (c"precondor".as_ptr(), c"%s".as_ptr());
            raise(comm, 0, function.as_ptr(), file, code, kind, form, message.as_ptr())
        }
    }

    /// Writes a line to PETSc's log (`-info`).
    ///
    /// # Safety
    /// `object` is null or a live object.
    pub unsafe fn info(&self, function: &CStr, object: Object, line: &str) {
        type Info = unsafe extern "C" fn(*const c_char, Object, *const c_char, ...) -> c_int;
        let at = self.library.symbol(c"PetscInfo_Private");
        if at.is_null() {
            return;
        }
        let line = text(&format!("{line}\n"));
        // SAFETY: the symbol of that name has that type; the format asks for the one text given. That
        // a line of the log was not written has no consequence.
        unsafe {
            let info = std::mem::transmute::<*mut std::ffi::c_void, Info>(at);
            info(function.as_ptr(), object, c"%s".as_ptr(), line.as_ptr());
        }
    }

    /// A code of PETSc as a result, with its message.
    fn check(&self, function: &'static str, code: c_int) -> std::result::Result<(), Failed> {
        match code {
            0 => Ok(()),
            code => Err(Failed { code, reported: true, function, message: self.message(code) }),
        }
    }

    /// What PETSc says about a code: the kind of error and the message of the last one.
    #[cold]
    fn message(&self, code: c_int) -> String {
        type Message = unsafe extern "C" fn(c_int, *mut *const c_char, *mut *mut c_char) -> c_int;
        let at = self.library.symbol(c"PetscErrorMessage");
        if at.is_null() {
            return format!("error {code}");
        }
        let (mut kind, mut specific) = (null(), null_mut());
        // SAFETY: the symbol of that name has that type; the texts are PETSc's own.
        unsafe {
            let message = std::mem::transmute::<*mut std::ffi::c_void, Message>(at);
            message(code, &mut kind, &mut specific);
            let parts = [kind, specific.cast_const()].map(|part| match part.is_null() {
                true => String::new(),
                false => CStr::from_ptr(part).to_string_lossy().trim().to_owned(),
            });
            match parts.each_ref().map(String::as_str) {
                ["", ""] => format!("error {code}"),
                [kind, ""] => kind.to_owned(),
                ["", specific] => specific.to_owned(),
                [kind, specific] => format!("{kind}: {specific}"),
            }
        }
    }

    #[cold]
    fn missing(&self, function: &'static str) -> Failed {
        let message = format!("{} has no function of that name", self.named());
        Failed { code: code::UNSUPPORTED, reported: false, function, message }
    }
}

/// A text for PETSc, up to its first zero byte.
pub fn text(text: &str) -> CString {
    let until = text.find('\0').unwrap_or(text.len());
    CString::new(&text[..until]).unwrap_or_default()
}
