//! Viewers: where objects are shown.
use super::options::checked;
use super::{Error, Petsc, Ranks, Result};
use crate::api;
use std::ffi::{CString, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::null_mut;

/// Where objects are shown as text: standard output, a file, or a string.
pub struct Viewer {
    pub(super) raw: api::Viewer,
    petsc: Petsc,
    pub(super) ranks: Ranks,
    /// PETSc owns standard output.
    borrowed: bool,
    text: Option<Box<Text>>,
}

/// A stream of C that grows in memory.
struct Text {
    stream: *mut libc::FILE,
    start: *mut c_char,
    length: usize,
}

/// Modes of opening a file.
pub(super) const READ: c_int = 0;
pub(super) const WRITE: c_int = 1;

impl Viewer {
    /// Standard output, of the first rank. Collective.
    ///
    /// # Errors
    /// What PETSc reports.
    pub fn stdout(petsc: &Petsc, ranks: Ranks) -> Result<Viewer> {
        let mut viewer = Viewer::empty(petsc, ranks);
        viewer.borrowed = true;
        let comm = petsc.raw_comm(ranks);
        // SAFETY: PETSc is initialised, a place of ours.
        unsafe { petsc.api().PetscViewerASCIIGetStdout(comm, &mut viewer.raw)? };
        Ok(viewer)
    }

    /// A file that is written as text by the first rank. Collective.
    ///
    /// # Errors
    /// What PETSc reports.
    pub fn file(petsc: &Petsc, ranks: Ranks, path: &Path) -> Result<Viewer> {
        let mut viewer = Viewer::empty(petsc, ranks);
        let (name, comm) = (c_path(path)?, petsc.raw_comm(ranks));
        // SAFETY: PETSc is initialised, a C string, a place of ours.
        unsafe { petsc.api().PetscViewerASCIIOpen(comm, name.as_ptr(), &mut viewer.raw)? };
        Ok(viewer)
    }

    /// A string: [`text`](Viewer::text) has what was shown, on the first rank. Collective.
    ///
    /// # Errors
    /// What PETSc reports.
    pub fn string(petsc: &Petsc, ranks: Ranks) -> Result<Viewer> {
        let mut viewer = Viewer::empty(petsc, ranks);
        let mut text = Box::new(Text { stream: null_mut(), start: null_mut(), length: 0 });
        // SAFETY: the two places live as long as the stream, in the box.
        text.stream = unsafe { libc::open_memstream(&mut text.start, &mut text.length) };
        if text.stream.is_null() {
            return Err(Error::misuse("no memory for a stream of text"));
        }
        let stream = text.stream.cast::<c_void>();
        viewer.text = Some(text);
        let (api, comm) = (petsc.api(), petsc.raw_comm(ranks));
        // SAFETY: the stream is closed after the viewer that writes to it is destroyed.
        unsafe { api.PetscViewerASCIIOpenWithFILE(comm, stream, &mut viewer.raw)? };
        Ok(viewer)
    }

    /// What was shown so far in a viewer of a [`string`](Viewer::string); empty on other ranks than
    /// the first. Collective.
    ///
    /// # Errors
    /// [`Error::Misuse`] for another viewer; what PETSc reports.
    pub fn text(&self) -> Result<String> {
        let Some(text) = &self.text else {
            return Err(Error::misuse("this viewer does not keep its text: take Viewer::string"));
        };
        // SAFETY: a live viewer, and a live stream, whose two places are valid after a flush.
        let bytes = unsafe {
            self.petsc.api().PetscViewerFlush(self.raw)?;
            libc::fflush(text.stream);
            let start = (&raw const text.start).read_volatile();
            let length = (&raw const text.length).read_volatile();
            api::slice(start.cast::<u8>().cast_const(), length)
        };
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    fn empty(petsc: &Petsc, ranks: Ranks) -> Viewer {
        Viewer { raw: null_mut(), petsc: petsc.clone(), ranks, borrowed: false, text: None }
    }
}

/// A file in PETSc's binary format. Collective.
pub(super) fn binary(petsc: &Petsc, ranks: Ranks, path: &Path, mode: c_int) -> Result<Viewer> {
    let mut viewer = Viewer::empty(petsc, ranks);
    let name = c_path(path)?;
    if mode == READ {
        // PETSc opens the file on the first rank alone, and its answer to a missing one differs from
        // version to version; a pipe would let it wait.
        let there = precondor_core::input::open(path).map(drop);
        let there = there.map_err(|e| Error::Other(precondor_core::Error::file(path, e)));
        petsc.agree(ranks, there)?;
    }
    let comm = petsc.raw_comm(ranks);
    // SAFETY: PETSc is initialised, a C string, a place of ours.
    unsafe { petsc.api().PetscViewerBinaryOpen(comm, name.as_ptr(), mode, &mut viewer.raw)? };
    Ok(viewer)
}

fn c_path(path: &Path) -> Result<CString> {
    match path.to_str() {
        Some(name) => checked(name),
        None => CString::new(path.as_os_str().as_bytes())
            .map_err(|_| Error::misuse(format!("{path:?} contains a zero byte"))),
    }
}

impl std::fmt::Debug for Viewer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Viewer({:?})", self.ranks)
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        let live = !self.raw.is_null() && !self.borrowed;
        if live {
            if !self.petsc.may_destroy() {
                // The viewer stays, and with it the stream that it writes to.
                std::mem::forget(self.text.take());
                return;
            }
            // SAFETY: a live viewer that nobody uses any more. Nobody can be told of a failure.
            let _ = unsafe { self.petsc.api().PetscViewerDestroy(&mut self.raw) };
        }
        if let Some(text) = self.text.take() {
            // SAFETY: a live stream that nobody writes to any more; its text was allocated by C.
            unsafe {
                libc::fclose(text.stream);
                libc::free(text.start.cast());
            }
        }
    }
}
