//! What levels see of vectors: the unknowns in another order, and in other units.
use crate::rows::Order;

/// The order of the finest level, and diag(B) of B A B that it is made from, in that order.
#[derive(Default)]
pub(crate) struct Frame {
    /// None: as given.
    pub order: Option<Order>,
    /// None: A as it is.
    pub scaling: Option<Vec<f64>>,
}

impl Frame {
    /// Tells `put` each place and the number of `r` that belongs there.
    #[inline(always)]
    pub fn enter(&self, r: &[f64], mut put: impl FnMut(usize, f64)) {
        match (&self.order, &self.scaling) {
            (None, None) => r.iter().enumerate().for_each(|(i, &r)| put(i, r)),
            (Some(order), None) => {
                order.old.iter().enumerate().for_each(|(i, &old)| put(i, r[old as usize]));
            }
            (None, Some(b)) => r.iter().zip(b).enumerate().for_each(|(i, (r, b))| put(i, r * b)),
            (Some(order), Some(b)) => {
                let places = order.old.iter().zip(b).enumerate();
                places.for_each(|(i, (&old, b))| put(i, r[old as usize] * b));
            }
        }
    }

    /// Fills `z` with what `get` tells of each place.
    #[inline(always)]
    pub fn leave(&self, get: impl Fn(usize) -> f64, z: &mut [f64]) {
        match (&self.order, &self.scaling) {
            (None, None) => z.iter_mut().enumerate().for_each(|(i, z)| *z = get(i)),
            (Some(order), None) => {
                order.old.iter().enumerate().for_each(|(i, &old)| z[old as usize] = get(i));
            }
            (None, Some(b)) => {
                z.iter_mut().zip(b).enumerate().for_each(|(i, (z, b))| *z = get(i) * b);
            }
            (Some(order), Some(b)) => {
                let places = order.old.iter().zip(b).enumerate();
                places.for_each(|(i, (&old, b))| z[old as usize] = get(i) * b);
            }
        }
    }

    pub fn bytes(&self) -> usize {
        let order = self.order.as_ref().map_or(0, |o| 4 * (o.old.len() + o.new.len()));
        order + self.scaling.as_ref().map_or(0, |b| 8 * b.len())
    }
}
