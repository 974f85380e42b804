//! What stands in for the factorisation where it was not built in: nothing can be made of it.
use precondor_sdk::core::kernel::ordering::Ordering;
use precondor_sdk::prelude::*;

/// There is none.
pub enum Factor {}

impl Factor {
    pub fn new(_: &Csr, _: Ordering) -> Result<Self> {
        Err(Error::Unsupported(
            "cholesky was built without its factorisation, the crate faer: build the program with \
             `cargo build --release --features cholesky`"
                .into(),
        ))
    }
    pub fn refresh(&mut self, _: &Csr) -> Result<()> {
        match *self {}
    }
    pub fn solve(&mut self, _: &mut [f64]) {
        match *self {}
    }
    pub fn stored_entries(&self) -> usize {
        match *self {}
    }
    pub fn bytes(&self) -> usize {
        match *self {}
    }
}
