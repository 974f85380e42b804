//! Where this code is.
use std::path::PathBuf;

/// The folder of the object that contains this code: the program, or the library that embeds it.
pub(crate) fn own_folder() -> Option<PathBuf> {
    Some(own_file()?.canonicalize().ok()?.parent()?.to_owned())
}

#[cfg(target_os = "linux")]
fn own_file() -> Option<PathBuf> {
    let here = object(own_folder as *const () as usize)?;
    // SAFETY: reads a number that the kernel handed to the process.
    let program_headers = unsafe { libc::getauxval(libc::AT_PHDR) } as usize;
    let in_program = object(program_headers).is_some_and(|program| program.0 == here.0);
    if in_program { std::env::current_exe().ok() } else { Some(here.1) }
}

/// Base address and path of the object that `address` lies in.
#[cfg(target_os = "linux")]
fn object(address: usize) -> Option<(usize, PathBuf)> {
    use std::ffi::{CStr, OsStr};
    use std::os::unix::ffi::OsStrExt;
    // SAFETY: a plain struct of pointers, for which zero is a value.
    let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: any address may be asked about; `info` is ours.
    let found = unsafe { libc::dladdr(address as *const _, &mut info) };
    if found == 0 || info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: a C string of the loader, which lives as long as the object.
    let name = unsafe { CStr::from_ptr(info.dli_fname) };
    Some((info.dli_fbase as usize, OsStr::from_bytes(name.to_bytes()).into()))
}

#[cfg(not(target_os = "linux"))]
fn own_file() -> Option<PathBuf> {
    std::env::current_exe().ok()
}
