//! Checked reading of what the other side points to, and sinks.
use precondor_abi::{Bytes, Sink, Table, Text};
use precondor_core::{Error, Result};
use std::ffi::c_void;

/// The table at `ptr`, after checking its size and that none of its functions is null.
///
/// # Errors
/// [`Error::Plugin`] naming the table and the function.
///
/// # Safety
/// `ptr` is null or leads to a size and to as many bytes as that says, which stay for `'a`.
pub unsafe fn table<'a, T: Table>(ptr: *const T) -> Result<&'a T> {
    let layout = T::LAYOUT;
    let refuse = |why: String| Err(Error::Plugin(format!("table {}: {why}", layout.name)));
    if ptr.is_null() || !ptr.is_aligned() {
        return refuse(format!("{ptr:p} is no pointer to one"));
    }
    // SAFETY: not null, aligned, and a size stands there.
    let size = unsafe { ptr.cast::<usize>().read() };
    if size < layout.size {
        return refuse(format!(
            "it is {size} bytes long, {} are needed; was its size set?",
            layout.size
        ));
    }
    for &offset in layout.functions {
        // SAFETY: within the size; function pointers are as wide and aligned as words.
        if unsafe { ptr.byte_add(offset).cast::<usize>().read() } == 0 {
            let name = layout.fields.iter().find(|f| f.1 == offset).map_or("?", |f| f.0);
            return refuse(format!("its function '{name}' is null"));
        }
    }
    // SAFETY: long enough, and every function pointer is one.
    Ok(unsafe { &*ptr })
}

/// `len` values at `ptr`, which may be null where `len` is 0.
///
/// # Errors
/// [`Error::Data`] for a null or misaligned pointer or a length beyond the address space.
///
/// # Safety
/// Unless null, `ptr` leads to `len` initialised values that nobody writes during `'a`.
pub unsafe fn slice<'a, T>(ptr: *const T, len: usize, what: &str) -> Result<&'a [T]> {
    check(ptr, len, what)?;
    if len == 0 {
        return Ok(&[]);
    }
    // SAFETY: checked above; the rest is the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts(ptr, len) })
}

/// As [`slice()`], to write to.
///
/// # Errors
/// As [`slice()`].
///
/// # Safety
/// As [`slice()`], and nobody else reads or writes there during `'a`.
pub unsafe fn slice_mut<'a, T>(ptr: *mut T, len: usize, what: &str) -> Result<&'a mut [T]> {
    check(ptr, len, what)?;
    if len == 0 {
        return Ok(&mut []);
    }
    // SAFETY: checked above; the rest is the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts_mut(ptr, len) })
}

fn check<T>(ptr: *const T, len: usize, what: &str) -> Result<()> {
    let fits = len.checked_mul(size_of::<T>()).is_some_and(|bytes| bytes <= isize::MAX as usize);
    if len > 0 && (ptr.is_null() || !ptr.is_aligned() || !fits) {
        return Err(Error::Data(format!("{what}: {ptr:p} cannot hold {len} values")));
    }
    Ok(())
}

/// The text that `text` views.
///
/// # Errors
/// [`Error::Data`] where it is not UTF-8; as [`slice()`].
///
/// # Safety
/// As [`slice()`].
pub unsafe fn text<'a>(text: Text, what: &str) -> Result<&'a str> {
    // SAFETY: the caller's promise.
    let bytes = unsafe { slice(text.ptr, text.len, what)? };
    std::str::from_utf8(bytes).map_err(|e| Error::Data(format!("{what} is not UTF-8: {e}")))
}

/// The bytes that `bytes` views.
///
/// # Errors
/// As [`slice()`].
///
/// # Safety
/// As [`slice()`].
pub unsafe fn bytes<'a>(bytes: Bytes, what: &str) -> Result<&'a [u8]> {
    // SAFETY: the caller's promise.
    unsafe { slice(bytes.ptr, bytes.len, what) }
}

/// Calls `f` with a sink and returns the pieces that were put into it.
pub fn pieces(f: impl FnOnce(*const Sink) -> Result<()>) -> Result<Vec<Vec<u8>>> {
    unsafe extern "C" fn put(ctx: *mut c_void, piece: Bytes) {
        // SAFETY: `ctx` is the vector below, which this thread alone uses during the call.
        let all = unsafe { &mut *ctx.cast::<Vec<Vec<u8>>>() };
        // SAFETY: the callee's promise for what it hands over.
        if let Ok(piece) = unsafe { bytes(piece, "a piece of text") } {
            all.push(piece.to_vec());
        }
    }
    let mut all: Vec<Vec<u8>> = Vec::new();
    let sink = Sink { size: size_of::<Sink>(), ctx: (&raw mut all).cast(), put };
    f(&sink)?;
    Ok(all)
}

/// Calls `f` with a sink and returns the text that was put into it.
///
/// # Errors
/// Those of `f`.
pub fn collect_text(f: impl FnOnce(*const Sink) -> Result<()>) -> Result<String> {
    Ok(String::from_utf8_lossy(&pieces(f)?.concat()).into_owned())
}

/// Puts `piece` into the sink at `sink`; a null sink swallows it.
///
/// # Errors
/// [`Error::Plugin`] for a sink that is none.
///
/// # Safety
/// As [`table`].
pub unsafe fn put(sink: *const Sink, piece: &[u8]) -> Result<()> {
    if sink.is_null() {
        return Ok(());
    }
    // SAFETY: the caller's promise.
    let sink = unsafe { table(sink)? };
    // SAFETY: a checked function of a table that is valid for the call.
    unsafe { (sink.put)(sink.ctx, Bytes::new(piece)) };
    Ok(())
}
