//! The world of one rank.
use super::{Communicator, Exchange, HaloPlan};
use crate::{Error, Result};
use std::sync::Arc;

/// One rank: every collective operation is the identity.
#[derive(Clone, Copy, Debug, Default)]
pub struct Solo;

impl Communicator for Solo {
    fn rank(&self) -> usize {
        0
    }
    fn size(&self) -> usize {
        1
    }
    fn gather_f64(&self, mine: &[f64], all: &mut [f64]) -> Result<()> {
        all.copy_from_slice(mine);
        Ok(())
    }
    fn all_gather(&self, mine: &[u64]) -> Result<Vec<Vec<u64>>> {
        Ok(vec![mine.to_vec()])
    }
    fn all_to_all(&self, send: &[Vec<u8>]) -> Result<Vec<Vec<u8>>> {
        Ok(send.to_vec())
    }
    fn exchange(&self, plan: HaloPlan) -> Result<Box<dyn Exchange>> {
        if plan.recv.iter().any(|(_, range)| !range.is_empty()) {
            return Err(Error::Data("a single rank has no ghost entries to exchange".into()));
        }
        Ok(Box::new(Solo))
    }
    fn duplicate(&self) -> Result<Arc<dyn Communicator>> {
        Ok(Arc::new(Solo))
    }
    fn abort(&self, _: &str) {}
}

impl Exchange for Solo {
    fn start(&self, _: &[f64]) -> Result<u64> {
        Ok(0)
    }
    fn finish(&self, _: u64, _: &mut [f64]) -> Result<()> {
        Ok(())
    }
}
