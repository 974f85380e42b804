//! Errors across the boundary: a status number, and the parts of the message.
use crate::raw;
use precondor_abi::{Failure, Status, Text};
use precondor_core::comm::panic_text;
use precondor_core::{Error, Result};
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `f` for the other side: errors and panics become a status, and a message in `why`.
///
/// # Safety
/// `why` is null or leads to a [`Failure`] that the caller owns.
pub unsafe fn answer(why: *mut Failure, f: impl FnOnce() -> Result<()>) -> Status {
    let error = match catch_unwind(AssertUnwindSafe(f)) {
        Ok(Ok(())) => return Status::OK,
        Ok(Err(error)) => error,
        Err(panic) => Error::Panicked(panic_text(panic)),
    };
    // SAFETY: the caller's promise. A panic while telling (memory ran out) loses the message.
    let tell = || unsafe { tell(&error, why) };
    catch_unwind(AssertUnwindSafe(tell)).unwrap_or(Status::INTERNAL)
}

/// Runs `f` for a call that has no status: nothing but a panic can go wrong, and ends in `None`.
pub fn quietly<R>(f: impl FnOnce() -> R) -> Option<R> {
    catch_unwind(AssertUnwindSafe(f)).map_err(panic_text).ok()
}

/// Writes `error` to `why`.
unsafe fn tell(error: &Error, why: *mut Failure) -> Status {
    let mut at = error;
    let (status, number, path, message) = loop {
        break match at {
            Error::In { part, source } => {
                // SAFETY: the caller's promise.
                unsafe { say(why, |f| (f.part)(f.ctx, Text::new(part))) };
                at = source;
                continue;
            }
            Error::Parameter(text) => (Status::PARAMETER, 0, None, text.clone()),
            Error::Unsupported(text) => (Status::UNSUPPORTED, 0, None, text.clone()),
            Error::Breakdown(text) => (Status::BREAKDOWN, 0, None, text.clone()),
            Error::Data(text) => (Status::DATA, 0, None, text.clone()),
            Error::Elsewhere { rank, message } => {
                (Status::ELSEWHERE, *rank as u64, None, message.clone())
            }
            Error::Comm(text) => (Status::COMM, 0, None, text.clone()),
            Error::Panicked(text) => (Status::PANICKED, 0, None, text.clone()),
            Error::PatternChanged => (Status::PATTERN_CHANGED, 0, None, String::new()),
            Error::File { path, line, message } => {
                let line = line.unwrap_or(0) as u64;
                (Status::FILE, line, Some(path.to_string_lossy()), message.clone())
            }
            Error::Plugin(text) => (Status::PLUGIN, 0, None, text.clone()),
            Error::Memory(text) => (Status::MEMORY, 0, None, text.clone()),
            Error::Interrupted => (Status::INTERRUPTED, 0, None, String::new()),
            other => (Status::INTERNAL, 0, None, other.to_string()),
        };
    };
    // SAFETY: the caller's promise.
    unsafe {
        say(why, |f| {
            f.number = number;
            if let Some(path) = &path {
                (f.path)(f.ctx, Text::new(path));
            }
            (f.message)(f.ctx, Text::new(&message));
        });
    }
    status
}

unsafe fn say(why: *mut Failure, f: impl FnOnce(&mut Failure)) {
    // SAFETY: null is refused by `table`; else the caller's promise.
    if unsafe { raw::table(why.cast_const()) }.is_ok() {
        // SAFETY: just checked, and nobody else uses it during the call.
        f(unsafe { &mut *why });
    }
}

/// What the other side tells about a failure. Allocates nothing while all goes well.
#[derive(Default)]
struct Told {
    message: String,
    path: String,
    parts: Vec<String>,
}

unsafe extern "C" fn message(ctx: *mut c_void, text: Text) {
    // SAFETY: as for `append`.
    unsafe { append(ctx, text, |told, text| told.message.push_str(text)) };
}
unsafe extern "C" fn path(ctx: *mut c_void, text: Text) {
    // SAFETY: as for `append`.
    unsafe { append(ctx, text, |told, text| told.path.push_str(text)) };
}
unsafe extern "C" fn part(ctx: *mut c_void, text: Text) {
    // SAFETY: as for `append`.
    unsafe { append(ctx, text, |told, text| told.parts.push(text.to_owned())) };
}

/// `ctx` is the `Told` of the call under way; `text` what the callee hands over.
unsafe fn append(ctx: *mut c_void, text: Text, f: impl FnOnce(&mut Told, &str)) {
    quietly(|| {
        // SAFETY: the callee's promise for what it hands over.
        if let Ok(bytes) = unsafe { raw::slice(text.ptr, text.len, "a message") } {
            // SAFETY: this thread alone uses it during the call.
            f(unsafe { &mut *ctx.cast() }, &String::from_utf8_lossy(bytes));
        }
    });
}

/// Calls the other side: a status other than OK becomes the error that it tells about.
///
/// # Errors
/// That error.
#[inline]
pub fn call(f: impl FnOnce(*mut Failure) -> Status) -> Result<()> {
    let mut told = Told::default();
    let ctx = (&raw mut told).cast();
    let size = size_of::<Failure>();
    let mut failure = Failure { size, ctx, number: 0, message, path, part };
    match f(&mut failure) {
        Status::OK => Ok(()),
        status => Err(told.into_error(status, failure.number)),
    }
}

impl Told {
    #[cold]
    fn into_error(self, status: Status, number: u64) -> Error {
        let text = match self.message.is_empty() {
            true => "no reason given".to_owned(),
            false => self.message,
        };
        let error = match status {
            Status::PARAMETER => Error::Parameter(text),
            Status::UNSUPPORTED => Error::Unsupported(text),
            Status::BREAKDOWN => Error::Breakdown(text),
            Status::DATA => Error::Data(text),
            Status::ELSEWHERE => Error::Elsewhere { rank: number as usize, message: text },
            Status::COMM => Error::Comm(text),
            Status::PANICKED => Error::Panicked(text),
            Status::PATTERN_CHANGED => Error::PatternChanged,
            Status::FILE => {
                let line = (number > 0).then_some(number as usize);
                Error::File { path: self.path.into(), line, message: text }
            }
            Status::PLUGIN => Error::Plugin(text),
            Status::MEMORY => Error::Memory(text),
            Status::INTERRUPTED => Error::Interrupted,
            Status(other) => Error::Plugin(format!("{text} (status {other})")),
        };
        self.parts.into_iter().rev().fold(error, Error::inside)
    }
}
