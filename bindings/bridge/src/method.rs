//! Instances of the other side, as preconditioners.
use crate::raw::{self, slice};
use crate::status::call;
use crate::{host, system};
use precondor_abi as abi;
use precondor_abi::{ExplicitBlock, Method, Table, Text};
use precondor_core::comm::Comm;
use precondor_core::host::Host;
use precondor_core::instance::{self, Instance};
use precondor_core::matrix::{DistCsr, Explicit, ExplicitKind, ExplicitView, Values};
use precondor_core::persist::no_persist;
use precondor_core::precond::{Preconditioner, Properties};
use precondor_core::system::System;
use precondor_core::{Error, Result};
use std::ffi::c_void;
use std::sync::Arc;

/// Runs a call that sets something up for a system, with the services to lend for it: what makes
/// all ranks succeed or fail together, where this side is the host's.
pub type SetupScope =
    dyn Fn(&System, &mut dyn FnMut(&Arc<dyn Host>) -> Result<()>) -> Result<()> + Send + Sync;

/// An instance of the other side.
///
/// A panic in `apply` on several ranks ends the job: the others wait for this one, and no
/// collective could tell them.
pub struct Loaded {
    method: &'static Method,
    instance: *mut c_void,
    params: String,
    around: Arc<SetupScope>,
    n: usize,
    comm: Comm,
    /// First row of each rank.
    starts: Vec<u64>,
    properties: Properties,
    explicit: Option<Shown>,
    many: Option<&'static abi::ApplyManyPart>,
    product: Option<&'static abi::ApplyAndMultiplyPart>,
    transpose: Option<&'static abi::ApplyTransposePart>,
    delegate: Option<&'static abi::DelegatePart>,
    refresh: Option<&'static abi::RefreshPart>,
    persist: Option<&'static abi::PersistPart>,
    poisoned: bool,
}

// SAFETY: the contract lets instances be applied and destroyed from any thread.
unsafe impl Send for Loaded {}
// SAFETY: `apply` of one instance may be called from several threads.
unsafe impl Sync for Loaded {}

impl Loaded {
    /// Takes over an instance that was set up for `a` with `params`; `around` surrounds later calls
    /// that need a system.
    ///
    /// # Errors
    /// [`Error::Data`] where the inverse that it lends is inconsistent; the instance is destroyed
    /// then.
    ///
    /// # Safety
    /// `instance` was made by `method` and belongs to nobody else; both keep the C contract.
    pub unsafe fn new(
        method: &'static Method,
        instance: *mut c_void,
        a: &DistCsr,
        params: &str,
        around: Arc<SetupScope>,
    ) -> Result<Self> {
        let mut this = Loaded {
            method,
            instance,
            params: params.to_owned(),
            around,
            n: a.n_own(),
            comm: a.space().comm().clone(),
            starts: a.space().starts().to_vec(),
            properties: Properties::GENERAL,
            explicit: None,
            many: None,
            product: None,
            transpose: None,
            delegate: None,
            refresh: None,
            persist: None,
            poisoned: false,
        };
        // SAFETY: the caller's promise.
        unsafe {
            this.many = part(method, abi::APPLY_MANY)?;
            this.product = part(method, abi::APPLY_AND_MULTIPLY)?;
            this.transpose = part(method, abi::APPLY_TRANSPOSE)?;
            this.delegate = part(method, abi::DELEGATE)?;
            this.refresh = part(method, abi::REFRESH)?;
            this.persist = part(method, abi::PERSIST)?;
        }
        this.look(a)?;
        Ok(this)
    }

    /// Reads what the instance says about the M that it holds for `a`.
    fn look(&mut self, a: &DistCsr) -> Result<()> {
        // SAFETY: the promise of `new`.
        let flags = unsafe { (self.method.properties)(self.instance) };
        self.properties = Properties {
            symmetric: flags & abi::SYMMETRIC != 0,
            positive_definite: flags & abi::POSITIVE_DEFINITE != 0,
            constant: flags & abi::CONSTANT != 0,
            rank_independent: flags & abi::RANK_INDEPENDENT != 0,
        };
        self.comm = a.space().comm().clone();
        // SAFETY: as above.
        unsafe {
            if let Some(part) = part::<abi::ExplicitPart>(self.method, abi::EXPLICIT)? {
                self.explicit = Shown::new(part, self.instance, a)?;
            }
        }
        Ok(())
    }

    fn name(&self) -> Result<&'static str> {
        // SAFETY: text of a checked table that lives for ever.
        unsafe { raw::text(self.method.id, "its id") }
    }

    fn sound(&self) -> Result<()> {
        if self.poisoned { Err(instance::poisoned()) } else { Ok(()) }
    }

    fn fits(&self, k: usize, r: &[f64], z: &[f64]) -> Result<()> {
        self.sound()?;
        let n = self.n * k;
        if r.len() != n || z.len() != n {
            return Err(Error::Data(format!(
                "vectors of {} and {} entries, {n} are needed",
                r.len(),
                z.len()
            )));
        }
        Ok(())
    }

    /// Ends the job where a panic leaves other ranks waiting.
    fn alone(&self, result: Result<()>) -> Result<()> {
        if let Err(error @ Error::Panicked(_)) = &result {
            self.panicked(error);
        }
        result
    }

    #[cold]
    fn panicked(&self, error: &Error) {
        if self.comm.size() > 1 {
            self.comm.abort(&error.to_string());
        }
    }
}

/// The optional part `id` of a method, checked.
///
/// # Errors
/// [`Error::Plugin`] for a table that is none.
///
/// # Safety
/// The method keeps the C contract, and `T` is the table of `id`.
pub unsafe fn part<T: Table>(method: &Method, id: &str) -> Result<Option<&'static T>> {
    // SAFETY: the caller's promise.
    unsafe {
        let table = (method.extension)(Text::new(id)).cast::<T>();
        if table.is_null() { Ok(None) } else { raw::table(table).map(Some) }
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        // SAFETY: the instance is this value's own.
        unsafe { (self.method.destroy)(self.instance) }
    }
}

impl Instance for Loaded {
    fn refresh(&mut self, on: &System) -> Result<()> {
        let Some(part) = self.refresh else {
            return Err(instance::no_refresh(self.name()?));
        };
        self.sound()?;
        self.poisoned = true;
        // What it shows is borrowed until now.
        self.explicit = None;
        instance::same_rows(&self.starts, on.a().space())?;
        let around = Arc::clone(&self.around);
        around(on, &mut |services| {
            let (this, params) = (self.instance, Text::new(&self.params));
            // SAFETY: checked tables that live for ever; what is lent outlives the call; nobody
            // else uses the instance.
            unsafe {
                let (system_table, host_table) = (system::lend(on), host::lend(services));
                let (s, h) = (&raw const system_table.table, host::table(&host_table));
                call(|why| (part.refresh)(this, params, s, h, why))?;
            }
            self.look(on.a())
        })?;
        self.poisoned = false;
        Ok(())
    }

    fn save(&self) -> Result<Vec<u8>> {
        let Some(part) = self.persist else { return Err(no_persist(self.name()?)) };
        self.comm.scope(|| {
            self.sound()?;
            let pieces = raw::pieces(|out| {
                // SAFETY: a checked table that lives for ever, an instance that this value owns.
                call(|why| unsafe { (part.save)(self.instance, out, why) })
            })?;
            Ok(pieces.concat())
        })
    }
}

// SAFETY of the calls below: functions of checked tables that live for ever, an instance that this
// value owns, slices with their lengths.
impl Preconditioner for Loaded {
    #[inline]
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        self.fits(1, r, z)?;
        let (r, z, n) = (r.as_ptr(), z.as_mut_ptr(), self.n);
        // SAFETY: see above.
        self.alone(call(|why| unsafe { (self.method.apply)(self.instance, r, z, n, why) }))
    }

    fn properties(&self) -> Properties {
        self.properties
    }

    fn stored_entries(&self) -> usize {
        // SAFETY: see above.
        unsafe { (self.method.stored_entries)(self.instance) as usize }
    }

    fn bytes(&self) -> usize {
        // SAFETY: see above.
        unsafe { (self.method.bytes)(self.instance) as usize }
    }

    fn apply_many(&self, k: usize, r: &[f64], z: &mut [f64]) -> Result<()> {
        self.fits(k, r, z)?;
        let Some(part) = self.many else {
            let n = self.n;
            return (0..k).try_for_each(|j| {
                let range = j * n..(j + 1) * n;
                self.apply(&r[range.clone()], &mut z[range])
            });
        };
        let (r, z, n) = (r.as_ptr(), z.as_mut_ptr(), self.n);
        // SAFETY: see above.
        self.alone(call(|why| unsafe { (part.apply_many)(self.instance, k, r, z, n, why) }))
    }

    fn apply_and_multiply(&self, r: &[f64], z: &mut [f64], y: &mut [f64]) -> Result<()> {
        self.fits(1, r, z)?;
        self.fits(1, r, y)?;
        let Some(part) = self.product else {
            return Err(Error::Unsupported("this preconditioner gives no product".into()));
        };
        let (r, z, y, n) = (r.as_ptr(), z.as_mut_ptr(), y.as_mut_ptr(), self.n);
        // SAFETY: see above.
        self.alone(call(|why| unsafe { (part.apply_and_multiply)(self.instance, r, z, y, n, why) }))
    }

    fn apply_transpose(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        self.fits(1, r, z)?;
        match self.transpose {
            Some(part) => {
                let (r, z, n) = (r.as_ptr(), z.as_mut_ptr(), self.n);
                self.alone(call(|why| {
                    // SAFETY: see above.
                    unsafe { (part.apply_transpose)(self.instance, r, z, n, why) }
                }))
            }
            None if self.properties.symmetric => self.apply(r, z),
            None => Err(Error::Unsupported("this preconditioner has no transpose".into())),
        }
    }

    fn explicit(&self) -> Option<Explicit<'_>> {
        // SAFETY: checked when taken; the arrays stay until the instance is destroyed.
        self.explicit.as_ref().map(|shown| unsafe { shown.view() })
    }

    fn notes(&self) -> Vec<String> {
        let notes = raw::pieces(|out| {
            // SAFETY: see above.
            call(|why| unsafe { (self.method.notes)(self.instance, out, why) })
        });
        let text = |note: Vec<u8>| String::from_utf8_lossy(&note).into_owned();
        match notes {
            Ok(notes) => notes.into_iter().map(text).collect(),
            Err(error) => vec![format!("its notes could not be read: {error}")],
        }
    }

    fn delegate(&self) -> Option<String> {
        let part = self.delegate?;
        // SAFETY: see above.
        let name =
            raw::collect_text(|out| call(|why| unsafe { (part.name)(self.instance, out, why) }));
        name.ok()
    }
}

/// An explicit inverse that the other side shows, checked once.
struct Shown {
    table: abi::Explicit,
    /// Offsets of a block without entries that has none of its own.
    zeros: Vec<u32>,
}

impl Shown {
    /// # Safety
    /// As [`Loaded::new`].
    unsafe fn new(
        part: &abi::ExplicitPart,
        instance: *mut c_void,
        a: &DistCsr,
    ) -> Result<Option<Self>> {
        let none = ExplicitBlock {
            row_ptr: std::ptr::null(),
            cols: std::ptr::null(),
            values: std::ptr::null(),
            nnz: 0,
        };
        let mut table = abi::Explicit {
            size: size_of::<abi::Explicit>(),
            kind: 0,
            value_type: 0,
            n_own: 0,
            own: none,
            ghost: none,
            ghost_ids: std::ptr::null(),
            n_ghost: 0,
        };
        // SAFETY: the caller's promise.
        match call(|why| unsafe { (part.view)(instance, &mut table, why) }) {
            Err(Error::Unsupported(_)) => return Ok(None),
            other => other?,
        }
        if table.kind > abi::KIND_FACTOR || table.value_type > abi::VALUE_BF16 {
            return Err(Error::Data(format!(
                "the stored inverse is of unknown kind {} or value type {}",
                table.kind, table.value_type
            )));
        }
        if table.n_own != a.n_own() {
            return Err(Error::Data(format!("the stored inverse has {} rows", table.n_own)));
        }
        let this = Shown { zeros: vec![0; a.n_own() + 1], table };
        // SAFETY: as above.
        unsafe {
            this.check(&table.own, a.n_own())?;
            this.check(&table.ghost, table.n_ghost)?;
            let ids = slice(table.ghost_ids, table.n_ghost, "ghost_ids of the inverse")?;
            let mine = a.space().start()..a.space().start() + a.n_own() as u64;
            let sorted = ids.windows(2).all(|w| w[0] < w[1]);
            if !sorted || ids.iter().any(|id| *id >= a.n_global() || mine.contains(id)) {
                return Err(Error::Data("ghost columns of the stored inverse are wrong".into()));
            }
        }
        Ok(Some(this))
    }

    unsafe fn check(&self, block: &ExplicitBlock, n_cols: usize) -> Result<()> {
        let n = self.table.n_own;
        // SAFETY: the caller's promise.
        let (row_ptr, cols) = unsafe {
            match self.table.value_type {
                abi::VALUE_F64 => drop(slice::<f64>(block.values.cast(), block.nnz, "values")?),
                abi::VALUE_F32 => drop(slice::<f32>(block.values.cast(), block.nnz, "values")?),
                _ => drop(slice::<u16>(block.values.cast(), block.nnz, "values")?),
            }
            if block.row_ptr.is_null() && block.nnz == 0 {
                return Ok(());
            }
            (slice(block.row_ptr, n + 1, "row_ptr")?, slice(block.cols, block.nnz, "cols")?)
        };
        let ends = row_ptr[0] == 0 && row_ptr[n] as usize == block.nnz;
        if !ends || row_ptr.windows(2).any(|w| w[0] > w[1]) {
            return Err(Error::Data("row offsets of the stored inverse do not increase".into()));
        }
        for i in 0..n {
            let row = &cols[row_ptr[i] as usize..row_ptr[i + 1] as usize];
            let sorted = row.windows(2).all(|w| w[0] < w[1]);
            if !sorted || row.last().is_some_and(|&j| j as usize >= n_cols) {
                return Err(Error::Data(format!("row {i} of the stored inverse is wrong")));
            }
        }
        Ok(())
    }

    /// # Safety
    /// The instance lives during the borrow.
    unsafe fn view(&self) -> Explicit<'_> {
        // SAFETY: the caller's promise, and lengths were checked.
        unsafe {
            Explicit {
                kind: match self.table.kind {
                    abi::KIND_FACTOR => ExplicitKind::Factor,
                    _ => ExplicitKind::Inverse,
                },
                own: self.block(&self.table.own),
                ghost: self.block(&self.table.ghost),
                ghost_ids: array(self.table.ghost_ids, self.table.n_ghost),
            }
        }
    }

    unsafe fn block(&self, block: &ExplicitBlock) -> ExplicitView<'_> {
        let nnz = block.nnz;
        // SAFETY: the caller's promise.
        unsafe {
            ExplicitView {
                row_ptr: match block.row_ptr.is_null() {
                    true => &self.zeros,
                    false => array(block.row_ptr, self.table.n_own + 1),
                },
                cols: array(block.cols, nnz),
                values: match self.table.value_type {
                    abi::VALUE_F32 => Values::F32(array(block.values.cast(), nnz)),
                    abi::VALUE_BF16 => Values::Bf16(array(block.values.cast(), nnz)),
                    _ => Values::F64(array(block.values.cast(), nnz)),
                },
            }
        }
    }
}

/// # Safety
/// `ptr` leads to `len` values, which stay for `'a`.
unsafe fn array<'a, T>(ptr: *const T, len: usize) -> &'a [T] {
    if len == 0 {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(ptr, len) }
}
