//! The options database.
use super::{Error, Petsc, Result};
use crate::api::{Bool, IntCell, text};
use std::ffi::{CStr, CString, c_char};
use std::ptr::{null, null_mut};

/// PETSc's database of options, or the part of it under a prefix. Names are given with or without
/// the leading dash.
#[derive(Clone)]
pub struct Options {
    petsc: Petsc,
    prefix: String,
}

impl Options {
    pub(crate) fn of(petsc: &Petsc) -> Self {
        Options { petsc: petsc.clone(), prefix: String::new() }
    }

    /// The options whose names start with `prefix`, `sub_` for one: they are then given without it.
    #[must_use]
    pub fn prefix(&self, prefix: &str) -> Options {
        Options { petsc: self.petsc.clone(), prefix: format!("{}{prefix}", self.prefix) }
    }

    /// Sets an option; a flag has no value.
    ///
    /// # Errors
    /// [`Error::Misuse`] for a name or value that cannot be one.
    pub fn set(&self, name: &str, value: Option<&str>) -> Result<&Self> {
        let name = self.name(name)?;
        let value = value.map(checked).transpose()?;
        let value = value.as_ref().map_or(null(), |value| value.as_ptr());
        // SAFETY: C strings, which PETSc copies, or null; null is the global database.
        unsafe { self.petsc.api().PetscOptionsSetValue(null_mut(), name.as_ptr(), value)? };
        Ok(self)
    }

    /// Sets options as they stand on a command line: `-ksp_type cg -ksp_monitor`. No prefix is
    /// added to them.
    ///
    /// # Errors
    /// What PETSc reports.
    pub fn insert(&self, line: &str) -> Result<&Self> {
        let line = checked(line)?;
        // SAFETY: a C string, which PETSc copies; null is the global database.
        unsafe { self.petsc.api().PetscOptionsInsertString(null_mut(), line.as_ptr())? };
        Ok(self)
    }

    /// The value of an option; `Some("")` for a flag.
    ///
    /// # Errors
    /// As [`set`](Options::set).
    pub fn get(&self, name: &str) -> Result<Option<String>> {
        let (name, api) = (self.name(name)?, self.petsc.api());
        // PETSc cuts what is longer without a word: room is made until the value leaves some.
        let mut room = 256;
        loop {
            let (mut value, mut there) = (vec![0u8; room], Bool::default());
            // SAFETY: as much room as is said; null is the global database and no prefix.
            unsafe {
                let to = value.as_mut_ptr().cast::<c_char>();
                let (all, no_prefix) = (null_mut(), null());
                api.PetscOptionsGetString(all, no_prefix, name.as_ptr(), to, room, &mut there)?;
            }
            if !there.get() {
                return Ok(None);
            }
            let value = CStr::from_bytes_until_nul(&value).unwrap_or_default();
            if value.count_bytes() + 1 < room {
                return Ok(Some(value.to_string_lossy().into_owned()));
            }
            room *= 4;
        }
    }

    /// Whether an option is set, with or without a value.
    ///
    /// # Errors
    /// As [`set`](Options::set).
    pub fn has(&self, name: &str) -> Result<bool> {
        let (name, mut there) = (self.name(name)?, Bool::default());
        // SAFETY: a C string; null is the global database and no prefix.
        unsafe {
            self.petsc.api().PetscOptionsHasName(null_mut(), null(), name.as_ptr(), &mut there)?;
        }
        Ok(there.get())
    }

    /// Forgets an option.
    ///
    /// # Errors
    /// As [`set`](Options::set).
    pub fn clear(&self, name: &str) -> Result<&Self> {
        let name = self.name(name)?;
        // SAFETY: a C string; null is the global database.
        unsafe { self.petsc.api().PetscOptionsClearValue(null_mut(), name.as_ptr())? };
        Ok(self)
    }

    /// Names, without dash and prefix, of the options under this prefix that no object has asked for
    /// so far: misspelt ones are among them.
    ///
    /// # Errors
    /// What PETSc reports.
    pub fn unused(&self) -> Result<Vec<String>> {
        let api = self.petsc.api();
        let (mut count, mut names, mut values) = (IntCell::default(), null_mut(), null_mut());
        // SAFETY: places of ours, filled by PETSc with as many C strings as it says and given back to
        // it below.
        let unused = unsafe {
            api.PetscOptionsLeftGet(null_mut(), &mut count, &mut names, &mut values)?;
            let all = crate::api::slice(names.cast_const(), api.int(count).max(0) as usize);
            let all = all.iter().map(|&name| CStr::from_ptr(name).to_string_lossy().into_owned());
            let all: Vec<String> = all.collect();
            api.PetscOptionsLeftRestore(null_mut(), &mut count, &mut names, &mut values)?;
            all
        };
        let ours = unused.iter().filter_map(|name| name.strip_prefix(self.prefix.as_str()));
        Ok(ours.map(str::to_owned).collect())
    }

    /// The name in the database.
    fn name(&self, name: &str) -> Result<CString> {
        let bare = name.strip_prefix('-').unwrap_or(name);
        let begins = !self.prefix.is_empty() || bare.starts_with(|c: char| c.is_ascii_alphabetic());
        if bare.is_empty() || !begins || bare.contains(char::is_whitespace) {
            return Err(Error::misuse(format!("'{name}' is no name of an option")));
        }
        checked(&format!("-{}{bare}", self.prefix))
    }
}

/// A text without zero bytes, as PETSc needs it.
pub(super) fn checked(word: &str) -> Result<CString> {
    match word.contains('\0') {
        true => Err(Error::misuse(format!("{word:?} contains a zero byte"))),
        false => Ok(text(word)),
    }
}
