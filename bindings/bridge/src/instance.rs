//! Preconditioners of this side, as instances that the other side calls.
//!
//! A panic poisons the instance that it happened in, and no other: its later calls answer
//! [`Status::PANICKED`].
use crate::raw::{self, slice, slice_mut};
use crate::status::{answer, quietly};
use crate::system;
use crate::thread::outside_bodies;
use precondor_abi as abi;
use precondor_abi::{ExplicitBlock, Failure, Sink, Status, Table, Text};
use precondor_core::host::Host;
use precondor_core::instance::{self, poisoned};
use precondor_core::matrix::{Explicit, ExplicitKind, ExplicitView, Space, Values};
use precondor_core::precond::{Preconditioner, Properties};
use precondor_core::{Error, Result};
use std::ffi::c_void;
use std::ops::Range;
use std::ptr::null;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A preconditioner as an instance.
pub struct Instance<P> {
    m: P,
    n: usize,
    /// Global number of the first own row.
    first: u64,
    poisoned: AtomicBool,
}

/// Makes an instance for a matrix of `space`.
pub fn lend<P: Preconditioner>(m: P, space: &Space) -> *mut c_void {
    let (n, first, poisoned) = (space.n_own(), space.start(), AtomicBool::new(false));
    Box::into_raw(Box::new(Instance { m, n, first, poisoned })).cast()
}

impl<P: Preconditioner> Instance<P> {
    /// The instance at `ptr`.
    ///
    /// # Safety
    /// `ptr` comes from [`lend`] of the same type, and is not destroyed during `'a`.
    unsafe fn at<'a>(ptr: *mut c_void) -> &'a Self {
        // SAFETY: the caller's promise.
        unsafe { &*ptr.cast::<Self>() }
    }

    /// Runs `f` unless poisoned; a panic poisons.
    fn run(&self, f: impl FnOnce(&P) -> Result<()>) -> Result<()> {
        if self.poisoned.load(Ordering::Acquire) {
            return Err(poisoned());
        }
        let armed = Armed(&self.poisoned);
        let result = f(&self.m);
        std::mem::forget(armed);
        result
    }
}

/// Poisons when dropped, that is by a panic.
struct Armed<'a>(&'a AtomicBool);
impl Drop for Armed<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Gives `f` exclusive access for a refresh; any error or panic poisons.
///
/// # Errors
/// Those of `f`; [`Error::Panicked`] where the instance is poisoned already.
///
/// # Safety
/// `ptr` comes from [`lend`] of the same type, and nobody else uses it during the call.
pub unsafe fn refresh<P: Preconditioner>(
    ptr: *mut c_void,
    f: impl FnOnce(&mut P, usize) -> Result<()>,
) -> Result<()> {
    // SAFETY: the caller's promise.
    let this = unsafe { &mut *ptr.cast::<Instance<P>>() };
    if this.poisoned.load(Ordering::Acquire) {
        return Err(poisoned());
    }
    let armed = Armed(&this.poisoned);
    f(&mut this.m, this.n)?;
    std::mem::forget(armed);
    Ok(())
}

/// What `f` makes of the instance and of the global numbers of its rows on this rank.
///
/// # Errors
/// Those of `f`; [`Error::Panicked`] where the instance is poisoned.
///
/// # Safety
/// `ptr` comes from [`lend`] of the same type, and is not destroyed meanwhile.
pub unsafe fn look<P: Preconditioner>(
    ptr: *mut c_void,
    f: impl FnOnce(&P, Range<u64>) -> Result<()>,
) -> Result<()> {
    // SAFETY: the caller's promise.
    let this = unsafe { Instance::<P>::at(ptr) };
    this.run(|m| f(m, this.first..this.first + this.n as u64))
}

// What the other side calls. In all of these `instance` was made by `lend` of the same type and is
// not destroyed, and arrays are as long as said and do not overlap: the C contract.

/// Both vectors of a call, `n` entries each, apart from each other.
unsafe fn vectors<'a>(
    r: *const f64,
    z: *mut f64,
    n: usize,
    expected: usize,
) -> Result<(&'a [f64], &'a mut [f64])> {
    if n != expected {
        return Err(Error::Data(format!("vectors of {n} entries, {expected} are needed")));
    }
    let bytes = n.saturating_mul(size_of::<f64>());
    if n > 0 && r.addr().abs_diff(z.addr()) < bytes {
        return Err(Error::Data("the vectors overlap".into()));
    }
    // SAFETY: see above.
    unsafe { Ok((slice(r, n, "r")?, slice_mut(z, n, "z")?)) }
}

/// `Method::apply`.
///
/// # Safety
/// The C contract.
pub unsafe extern "C" fn apply<P: Preconditioner>(
    instance: *mut c_void,
    r: *const f64,
    z: *mut f64,
    n: usize,
    why: *mut Failure,
) -> Status {
    // SAFETY: see above.
    unsafe {
        answer(why, || {
            let this = Instance::<P>::at(instance);
            let (r, z) = vectors(r, z, n, this.n)?;
            this.run(|m| m.apply(r, z))
        })
    }
}

/// `Method::destroy`.
///
/// # Safety
/// The C contract.
pub unsafe extern "C" fn destroy<P: Preconditioner>(instance: *mut c_void) {
    if !instance.is_null() {
        // SAFETY: see above.
        quietly(|| unsafe { drop(Box::from_raw(instance.cast::<Instance<P>>())) });
    }
}

/// `Method::properties`.
///
/// # Safety
/// The C contract.
pub unsafe extern "C" fn properties<P: Preconditioner>(instance: *mut c_void) -> u32 {
    // SAFETY: see above.
    let flags = quietly(|| unsafe { flags(Instance::<P>::at(instance).m.properties()) });
    flags.unwrap_or(0)
}

fn flags(p: Properties) -> u32 {
    let flag = |set: bool, bit: u32| if set { bit } else { 0 };
    flag(p.symmetric, abi::SYMMETRIC)
        | flag(p.positive_definite, abi::POSITIVE_DEFINITE)
        | flag(p.constant, abi::CONSTANT)
        | flag(p.rank_independent, abi::RANK_INDEPENDENT)
}

/// `Method::stored_entries`.
///
/// # Safety
/// The C contract.
pub unsafe extern "C" fn stored_entries<P: Preconditioner>(instance: *mut c_void) -> u64 {
    // SAFETY: see above.
    quietly(|| unsafe { Instance::<P>::at(instance).m.stored_entries() as u64 }).unwrap_or(0)
}

/// `Method::bytes`.
///
/// # Safety
/// The C contract.
pub unsafe extern "C" fn bytes<P: Preconditioner>(instance: *mut c_void) -> u64 {
    // SAFETY: see above.
    quietly(|| unsafe { Instance::<P>::at(instance).m.bytes() as u64 }).unwrap_or(0)
}

/// `Method::notes`.
///
/// # Safety
/// The C contract.
pub unsafe extern "C" fn notes<P: Preconditioner>(
    instance: *mut c_void,
    out: *const Sink,
    why: *mut Failure,
) -> Status {
    // SAFETY: see above.
    unsafe {
        answer(why, || {
            let note = |note: String| raw::put(out, note.as_bytes());
            Instance::<P>::at(instance).run(|m| m.notes().into_iter().try_for_each(note))
        })
    }
}

/// `ApplyManyPart::apply_many`.
///
/// # Safety
/// The C contract.
pub unsafe extern "C" fn apply_many<P: Preconditioner>(
    instance: *mut c_void,
    k: usize,
    r: *const f64,
    z: *mut f64,
    n: usize,
    why: *mut Failure,
) -> Status {
    // SAFETY: see above.
    unsafe {
        answer(why, || {
            let this = Instance::<P>::at(instance);
            let all = |n: usize| {
                let too_many = || Error::Data(format!("{k} vectors of {n} entries"));
                n.checked_mul(k).ok_or_else(too_many)
            };
            let (r, z) = vectors(r, z, all(n)?, all(this.n)?)?;
            this.run(|m| m.apply_many(k, r, z))
        })
    }
}

/// `ApplyAndMultiplyPart::apply_and_multiply`.
///
/// # Safety
/// The C contract.
pub unsafe extern "C" fn apply_and_multiply<P: Preconditioner>(
    instance: *mut c_void,
    r: *const f64,
    z: *mut f64,
    y: *mut f64,
    n: usize,
    why: *mut Failure,
) -> Status {
    // SAFETY: see above; r, z and y do not overlap.
    unsafe {
        answer(why, || {
            let this = Instance::<P>::at(instance);
            let (_, y) = vectors(r, y, n, this.n)?;
            let (r, z) = vectors(r, z, n, this.n)?;
            this.run(|m| m.apply_and_multiply(r, z, y))
        })
    }
}

/// `ApplyTransposePart::apply_transpose`.
///
/// # Safety
/// The C contract.
pub unsafe extern "C" fn apply_transpose<P: Preconditioner>(
    instance: *mut c_void,
    r: *const f64,
    z: *mut f64,
    n: usize,
    why: *mut Failure,
) -> Status {
    // SAFETY: see above.
    unsafe {
        answer(why, || {
            let this = Instance::<P>::at(instance);
            let (r, z) = vectors(r, z, n, this.n)?;
            this.run(|m| m.apply_transpose(r, z))
        })
    }
}

/// `ExplicitPart::view`.
///
/// # Safety
/// The C contract.
pub unsafe extern "C" fn explicit<P: Preconditioner>(
    instance: *mut c_void,
    out: *mut abi::Explicit,
    why: *mut Failure,
) -> Status {
    // SAFETY: see above.
    unsafe {
        answer(why, || {
            let this = Instance::<P>::at(instance);
            let size = raw::table(out.cast_const())?.size;
            this.run(|m| {
                let none = || Error::Unsupported("there is no explicitly stored inverse".into());
                let view = view(&m.explicit().ok_or_else(none)?)?;
                *out = abi::Explicit { size, n_own: this.n, ..view };
                Ok(())
            })
        })
    }
}

/// `DelegatePart::name`.
///
/// # Safety
/// The C contract.
pub unsafe extern "C" fn delegate<P: Preconditioner>(
    instance: *mut c_void,
    out: *const Sink,
    why: *mut Failure,
) -> Status {
    // SAFETY: see above.
    unsafe {
        answer(why, || {
            Instance::<P>::at(instance).run(|m| {
                let none = || Error::Unsupported("M is of no other method".into());
                raw::put(out, m.delegate().ok_or_else(none)?.as_bytes())
            })
        })
    }
}

fn view(m: &Explicit<'_>) -> Result<abi::Explicit> {
    let pointer = |values: &Values<'_>| match values {
        Values::F64(v) => (abi::VALUE_F64, v.as_ptr().cast()),
        Values::F32(v) => (abi::VALUE_F32, v.as_ptr().cast()),
        Values::Bf16(v) => (abi::VALUE_BF16, v.as_ptr().cast()),
    };
    let block = |b: &ExplicitView<'_>| ExplicitBlock {
        row_ptr: b.row_ptr.as_ptr(),
        cols: b.cols.as_ptr(),
        values: pointer(&b.values).1,
        nnz: b.cols.len(),
    };
    let value_type = pointer(&m.own.values).0;
    if pointer(&m.ghost.values).0 != value_type {
        return Err(Error::Data("both blocks of an inverse need values of one type".into()));
    }
    Ok(abi::Explicit {
        size: size_of::<abi::Explicit>(),
        kind: match m.kind {
            ExplicitKind::Inverse => abi::KIND_INVERSE,
            ExplicitKind::Factor => abi::KIND_FACTOR,
        },
        value_type,
        n_own: 0,
        own: block(&m.own),
        ghost: block(&m.ghost),
        ghost_ids: m.ghost_ids.as_ptr(),
        n_ghost: m.ghost_ids.len(),
    })
}

/// The parts of an instance that follow from [`Preconditioner`] alone.
pub struct Parts<P>(std::marker::PhantomData<P>);

impl<P: Preconditioner> Parts<P> {
    /// `explicit/1`.
    pub const EXPLICIT: abi::ExplicitPart =
        abi::ExplicitPart { size: size_of::<abi::ExplicitPart>(), view: explicit::<P> };
    /// `apply-many/1`.
    pub const APPLY_MANY: abi::ApplyManyPart =
        abi::ApplyManyPart { size: size_of::<abi::ApplyManyPart>(), apply_many: apply_many::<P> };
    /// `apply-and-multiply/1`.
    pub const APPLY_AND_MULTIPLY: abi::ApplyAndMultiplyPart = abi::ApplyAndMultiplyPart {
        size: size_of::<abi::ApplyAndMultiplyPart>(),
        apply_and_multiply: apply_and_multiply::<P>,
    };
    /// `apply-transpose/1`.
    pub const APPLY_TRANSPOSE: abi::ApplyTransposePart = abi::ApplyTransposePart {
        size: size_of::<abi::ApplyTransposePart>(),
        apply_transpose: apply_transpose::<P>,
    };
    /// `delegate/1`.
    pub const DELEGATE: abi::DelegatePart =
        abi::DelegatePart { size: size_of::<abi::DelegatePart>(), name: delegate::<P> };
}

/// A pointer to a table that lives for ever, as `Method::extension` hands it out.
pub const fn part<T: Table>(table: &'static T) -> *const c_void {
    (&raw const *table).cast()
}

/// Makes an instance of a method that `host` set up, to be used through [`erased`].
pub fn lend_erased(
    m: Box<dyn instance::Instance>,
    space: &Space,
    host: &Arc<dyn Host>,
) -> *mut c_void {
    lend(Erased { m, host: Arc::clone(host) }, space)
}

/// The method table of instances made by [`lend_erased`]: all but `generate`.
pub fn erased() -> *const abi::Method {
    static TABLE: abi::Method = abi::Method {
        size: size_of::<abi::Method>(),
        id: Text::new("inner"),
        summary: Text::new("a method that the host set up"),
        version: Text::new(env!("CARGO_PKG_VERSION")),
        schema: no_schema,
        generate: no_generate,
        apply: apply::<Erased>,
        destroy: destroy::<Erased>,
        properties: properties::<Erased>,
        stored_entries: stored_entries::<Erased>,
        bytes: bytes::<Erased>,
        notes: notes::<Erased>,
        extension: erased_extension,
    };
    &TABLE
}

unsafe extern "C" fn no_schema(_: *const Sink, why: *mut Failure) -> Status {
    // SAFETY: the C contract.
    unsafe { answer(why, || Err(Error::Unsupported("an instance has no parameters".into()))) }
}

unsafe extern "C" fn no_generate(
    _: Text,
    _: *const abi::System,
    _: *const abi::Host,
    _: *mut *mut c_void,
    why: *mut Failure,
) -> Status {
    let refuse = || Err(Error::Unsupported("set up inner methods through the host".into()));
    // SAFETY: the C contract.
    unsafe { answer(why, refuse) }
}

unsafe extern "C" fn erased_extension(id: Text) -> *const c_void {
    // SAFETY: the C contract.
    match unsafe { raw::text(id, "an id") } {
        Ok(abi::EXPLICIT) => part(&Parts::<Erased>::EXPLICIT),
        Ok(abi::APPLY_MANY) => part(&Parts::<Erased>::APPLY_MANY),
        Ok(abi::APPLY_AND_MULTIPLY) => part(&Parts::<Erased>::APPLY_AND_MULTIPLY),
        Ok(abi::APPLY_TRANSPOSE) => part(&Parts::<Erased>::APPLY_TRANSPOSE),
        Ok(abi::DELEGATE) => part(&Parts::<Erased>::DELEGATE),
        Ok(abi::REFRESH) => {
            static TABLE: abi::RefreshPart =
                abi::RefreshPart { size: size_of::<abi::RefreshPart>(), refresh: erased_refresh };
            part(&TABLE)
        }
        _ => null(),
    }
}

/// What the host set up is refreshed with the parameters and the services that it remembers.
unsafe extern "C" fn erased_refresh(
    ptr: *mut c_void,
    _: Text,
    on: *const abi::System,
    _: *const abi::Host,
    why: *mut Failure,
) -> Status {
    // SAFETY: the C contract.
    unsafe {
        answer(why, || {
            outside_bodies("refreshing a method")?;
            refresh::<Erased>(ptr, |this, _| {
                let on = system::take(on)?.with_host(Arc::clone(&this.host));
                this.m.refresh(&on)
            })
        })
    }
}

/// Any instance, with the services that it was set up with.
struct Erased {
    m: Box<dyn instance::Instance>,
    host: Arc<dyn Host>,
}

impl Preconditioner for Erased {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        self.m.apply(r, z)
    }
    fn properties(&self) -> Properties {
        self.m.properties()
    }
    fn stored_entries(&self) -> usize {
        self.m.stored_entries()
    }
    fn bytes(&self) -> usize {
        self.m.bytes()
    }
    fn apply_many(&self, k: usize, r: &[f64], z: &mut [f64]) -> Result<()> {
        self.m.apply_many(k, r, z)
    }
    fn apply_and_multiply(&self, r: &[f64], z: &mut [f64], y: &mut [f64]) -> Result<()> {
        self.m.apply_and_multiply(r, z, y)
    }
    fn apply_transpose(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        self.m.apply_transpose(r, z)
    }
    fn explicit(&self) -> Option<Explicit<'_>> {
        self.m.explicit()
    }
    fn notes(&self) -> Vec<String> {
        self.m.notes()
    }
    fn delegate(&self) -> Option<String> {
        self.m.delegate()
    }
}
