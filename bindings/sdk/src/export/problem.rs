//! From a [`Family`] to its C table.
use precondor_abi as abi;
use precondor_abi::{Failure, Sink, Status, Text};
use precondor_bridge::status::{answer, quietly};
use precondor_bridge::{host, problem, raw};
use precondor_core::problem::{Assembly, Family, Rows};
use precondor_core::registry::parameters;
use precondor_core::{Error, schema};
use std::ffi::c_void;

/// The table of one family.
pub const fn family<F: Family>(version: &'static str) -> abi::Problem {
    abi::Problem {
        size: size_of::<abi::Problem>(),
        id: Text::new(F::NAME),
        summary: Text::new(F::SUMMARY),
        version: Text::new(version),
        schema: write_schema::<F>,
        open: open::<F>,
        assemble: assemble::<F>,
        close: close::<F>,
    }
}

// What the host calls; pointers are what it promises by calling: the C contract.

unsafe extern "C" fn write_schema<F: Family>(out: *const Sink, why: *mut Failure) -> Status {
    // SAFETY: see above.
    unsafe { answer(why, || raw::put(out, schema::of::<F::Params>().to_string().as_bytes())) }
}

unsafe extern "C" fn open<F: Family>(
    params: Text,
    seed: u64,
    index: u64,
    system: *mut *mut c_void,
    shape: *mut abi::Shape,
    why: *mut Failure,
) -> Status {
    // SAFETY: see above.
    unsafe {
        answer(why, || {
            let params = parameters(&host::parse(raw::text(params, "parameters")?)?)?;
            raw::table(shape.cast_const())?;
            let made = F::system(&params, seed, index)?;
            (*shape).unknowns = made.unknowns();
            (*shape).block_size = made.block_size() as u64;
            *system = Box::into_raw(Box::new(made)).cast();
            Ok(())
        })
    }
}

unsafe extern "C" fn assemble<F: Family>(
    system: *mut c_void,
    from: u64,
    to: u64,
    out: *const abi::Assembly,
    why: *mut Failure,
) -> Status {
    // SAFETY: see above; the system is one that `open` made.
    unsafe {
        answer(why, || {
            let nothing = || Error::Data("no system to assemble".into());
            let system = system.cast::<F::System>().as_ref().ok_or_else(nothing)?;
            let mut rows = Rows::default();
            system.assemble(from..to, &mut rows)?;
            problem::give(&rows, out)
        })
    }
}

unsafe extern "C" fn close<F: Family>(system: *mut c_void) {
    quietly(|| {
        if !system.is_null() {
            // SAFETY: see above; nobody uses it any more.
            drop(unsafe { Box::from_raw(system.cast::<F::System>()) });
        }
    });
}
