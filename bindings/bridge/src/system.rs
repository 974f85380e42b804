//! Systems: a matrix and what comes along with its rows.
use crate::matrix::{self, Borrowed, MatrixParts};
use crate::raw::{self, slice};
use crate::shared::{Counted, Held, Lent};
use crate::status::quietly;
use precondor_abi as abi;
use precondor_abi::Text;
use precondor_core::matrix::DistCsr;
use precondor_core::system::{Aux, System};
use precondor_core::{Error, Result};
use std::ffi::c_void;
use std::ptr::null;
use std::sync::Arc;

/// A system with what its table points to. `A` as in [`MatrixParts`].
pub struct SystemParts<A> {
    /// The system itself, where it is lent for a call.
    system: *const System,
    a: Arc<Lent<abi::Matrix, MatrixParts<A>>>,
    aux: AuxTables,
}

/// Auxiliary data as tables.
struct AuxTables {
    pointers: Vec<*const abi::Aux>,
    #[expect(clippy::vec_box, reason = "the other side holds pointers to the tables")]
    _tables: Vec<Box<abi::Aux>>,
    _data: Vec<(String, Aux)>,
}

// SAFETY: `system` stands for a `&System`; the other pointers lead to immutable data kept here.
unsafe impl<A: Send> Send for SystemParts<A> {}
// SAFETY: as above.
unsafe impl<A: Sync> Sync for SystemParts<A> {}

type LentSystem<A> = Lent<abi::System, SystemParts<A>>;

/// Lends a system for as long as `system` lives.
///
/// # Safety
/// What is returned is dropped, and not used any more, before `system` goes.
pub unsafe fn lend(system: &System) -> Arc<Lent<abi::System, SystemParts<Borrowed>>> {
    // SAFETY: the caller's promise.
    let a = unsafe { matrix::lend(system.a()) };
    lend_as(system, system, a, LentSystem::<Borrowed>::release, retain_borrowed)
}

/// Lends a system for as long as it is held.
pub fn lend_kept(system: &System) -> Arc<Lent<abi::System, SystemParts<DistCsr>>> {
    let (release, retain) = (LentSystem::<DistCsr>::release, LentSystem::<DistCsr>::retain);
    lend_as(system, null(), matrix::lend_kept(system.a()), release, retain)
}

fn lend_as<A>(
    system: &System,
    borrowed: *const System,
    a: Arc<Lent<abi::Matrix, MatrixParts<A>>>,
    release: unsafe extern "C" fn(*mut c_void),
    retain: unsafe extern "C" fn(*mut c_void) -> *const abi::System,
) -> Arc<LentSystem<A>> {
    let data: Vec<_> = system.all_aux().map(|(name, aux)| (name.to_owned(), aux.clone())).collect();
    let table = |(name, aux): &(String, Aux)| {
        Box::new(abi::Aux {
            size: size_of::<abi::Aux>(),
            name: Text::new(name),
            width: aux.width,
            values: aux.values.as_ptr(),
            n_values: aux.values.len(),
        })
    };
    let tables: Vec<_> = data.iter().map(table).collect();
    let pointers = tables.iter().map(|table| &raw const **table).collect();
    let aux = AuxTables { pointers, _tables: tables, _data: data };
    Lent::new(SystemParts { system: borrowed, a, aux }, |ctx, parts| abi::System {
        size: size_of::<abi::System>(),
        ctx,
        a: &raw const parts.a.table,
        aux: parts.aux.pointers.as_ptr(),
        n_aux: parts.aux.pointers.len(),
        retain,
        release,
    })
}

unsafe extern "C" fn retain_borrowed(ctx: *mut c_void) -> *const abi::System {
    // SAFETY: `ctx` is this side's own, and the system lives during the call.
    let system = unsafe { &*LentSystem::<Borrowed>::value(ctx).system };
    quietly(|| lend_kept(system).hand_out()).unwrap_or(null())
}

/// Takes a system for the time of a call, without host services.
///
/// # Errors
/// [`Error::Plugin`] or [`Error::Data`] naming what is inconsistent.
///
/// # Safety
/// As [`raw::table`]; the table keeps the C contract, and outlives the result (not its clones).
pub unsafe fn take(ptr: *const abi::System) -> Result<System> {
    // SAFETY: the caller's promise.
    unsafe {
        let table = raw::table(ptr)?;
        with_aux(System::new(matrix::take(table.a)?), table)
    }
}

/// Takes a system that was retained for this side, without host services.
///
/// # Errors
/// As [`take`].
///
/// # Safety
/// As [`raw::table`]; the table keeps the C contract.
pub unsafe fn adopt(ptr: *const abi::System) -> Result<System> {
    // SAFETY: the caller's promise; the matrix is retained by itself before the system goes.
    unsafe {
        let held = Held::adopt(ptr)?;
        let a = matrix::adopt(raw::table(held.a)?.retain())?;
        with_aux(System::new(a), &held)
    }
}

unsafe fn with_aux(mut system: System, table: &abi::System) -> Result<System> {
    // SAFETY: the caller's promise.
    unsafe {
        for &aux in slice(table.aux, table.n_aux, "aux")? {
            let aux = raw::table(aux)?;
            let name = raw::text(aux.name, "the name of auxiliary data")?;
            let values = slice(aux.values, aux.n_values, name)?;
            if system.aux(name).is_some() {
                return Err(Error::Data(format!("auxiliary data '{name}' comes twice")));
            }
            system = system.with_aux(name, aux.width, values.to_vec())?;
        }
    }
    Ok(system)
}
