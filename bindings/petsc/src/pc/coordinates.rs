//! `PCSetCoordinates`: places of the nodes that a PC is told of.
use super::callback::{Done, guard};
use super::context;
use super::known::Places;
use crate::api::{Api, RawPc, VoidFunction, slice};
use std::ffi::{CStr, c_int};

/// The function of a PC that `PCSetCoordinates` asks for.
const SET_COORDINATES: &CStr = c"PCSetCoordinates_C";

/// Has `PCSetCoordinates` tell us, or no longer.
///
/// # Safety
/// `pc` is live.
pub(super) unsafe fn listen(api: &Api, pc: RawPc, listen: bool) -> Done {
    type Narrow = unsafe extern "C" fn(RawPc, i32, i32, *const f64) -> c_int;
    type Wide = unsafe extern "C" fn(RawPc, i64, i64, *const f64) -> c_int;
    // SAFETY: the caller's promise. PETSc calls the function with the arguments that it has, for the width of
    // integers that it is told for.
    unsafe {
        let narrow = std::mem::transmute::<Narrow, unsafe extern "C" fn()>(narrow);
        let wide = std::mem::transmute::<Wide, unsafe extern "C" fn()>(wide);
        let function = listen.then_some(VoidFunction { narrow, wide });
        Ok(api.PetscObjectComposeFunction_Private(pc.cast(), SET_COORDINATES.as_ptr(), function)?)
    }
}

unsafe extern "C" fn narrow(pc: RawPc, dimension: i32, nodes: i32, places: *const f64) -> c_int {
    // SAFETY: PETSc hands on what its caller promised.
    unsafe { hear(pc, dimension.into(), nodes.into(), places) }
}

unsafe extern "C" fn wide(pc: RawPc, dimension: i64, nodes: i64, places: *const f64) -> c_int {
    // SAFETY: as above.
    unsafe { hear(pc, dimension, nodes, places) }
}

/// # Safety
/// `pc` is a live PC of ours; `places` leads to `dimension` numbers for each of `nodes`.
unsafe fn hear(pc: RawPc, dimension: i64, nodes: i64, places: *const f64) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        guard(pc, c"PCSetCoordinates_Precondor", |_| {
            let [dimension, nodes] = [dimension, nodes].map(|n| usize::try_from(n).unwrap_or(0));
            let count = match places.is_null() {
                true => 0,
                false => dimension.saturating_mul(nodes),
            };
            let places = Places { dimension, values: slice(places, count).to_vec() };
            context::with(pc, |context| {
                context.places = Some(places);
                Ok(())
            })
        })
    }
}
