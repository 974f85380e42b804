//! The blocks of A that a split multiplies with, and signs of matrices.
use crate::params::{Factorisation, Kind};
use precondor_sdk::core::comm::Communicator;
use precondor_sdk::core::host::Host;
use precondor_sdk::core::kernel::split::{Block, Fields};
use precondor_sdk::prelude::*;
use std::sync::Arc;

/// Those blocks of A that products are taken with.
pub(crate) struct Blocks {
    host: Arc<dyn Host>,
    count: usize,
    /// Row after row of blocks.
    blocks: Vec<Option<Block>>,
}

impl Blocks {
    /// The blocks that a kind of split needs. Collective.
    pub fn new(
        system: &System,
        fields: &Fields,
        kind: Kind,
        factorisation: Factorisation,
    ) -> Result<Self> {
        let needed = |f: usize, g: usize| match (kind, factorisation) {
            (Kind::Additive, _) | (Kind::Schur, Factorisation::Diag) => false,
            (Kind::Multiplicative, _) | (Kind::Schur, Factorisation::Lower) => f > g,
            (Kind::Schur, Factorisation::Upper) => f < g,
            (Kind::Schur, Factorisation::Full) => f != g,
            (Kind::SymmetricMultiplicative, _) => true,
        };
        let count = fields.count();
        let pairs = (0..count).flat_map(|f| (0..count).map(move |g| (f, g)));
        let block = |(f, g)| match needed(f, g) && count > 1 {
            true => fields.block(system.a(), f, g).map(Some),
            false => Ok(None),
        };
        let blocks = pairs.map(block).collect::<Result<_>>()?;
        Ok(Blocks { host: Arc::clone(system.host()), count, blocks })
    }

    /// Takes over the values of a matrix with the same pattern. Not collective.
    pub fn refresh(&mut self, a: &DistCsr, fields: &Fields) -> Result<()> {
        for (k, block) in self.blocks.iter_mut().enumerate() {
            if let Some(block) = block {
                block.set_values(fields.values(a, k / self.count, k % self.count))?;
            }
        }
        Ok(())
    }

    /// `y =` the block of A, or of Aᵀ, in the rows of the first field and the columns of the second, times
    /// `x`. Collective; zero where that block is not one that was asked for.
    pub fn product(
        &mut self,
        transposed: bool,
        [f, g]: [usize; 2],
        x: &[f64],
        y: &mut [f64],
    ) -> Result<()> {
        let (f, g) = if transposed { (g, f) } else { (f, g) };
        match &mut self.blocks[f * self.count + g] {
            Some(block) if transposed => block.multiply_transposed(x, y),
            Some(block) => block.multiply(&*self.host, x, y),
            None => {
                y.fill(0.0);
                Ok(())
            }
        }
    }

    pub fn nnz_own(&self) -> usize {
        self.blocks.iter().flatten().map(Block::nnz_own).sum()
    }
    pub fn bytes(&self) -> usize {
        self.blocks.iter().flatten().map(Block::bytes).sum()
    }
}

/// `s`, or −s where most of its diagonal entries are negative, and the sign. Collective.
pub(crate) fn signed(s: DistCsr) -> Result<(DistCsr, f64)> {
    let count = |of: fn(f64) -> bool| (0..s.n_own()).filter(|&i| of(s.diagonal(i))).count() as f64;
    let mut signs = [count(|d| d > 0.0), count(|d| d < 0.0)];
    s.space().comm().sum(&mut signs)?;
    if signs[0] >= signs[1] {
        return Ok((s, 1.0));
    }
    let negative = |values: &[f64]| values.iter().map(|v| -v).collect();
    let (own, ghost) = (negative(s.own().view().values), negative(s.ghost().view().values));
    Ok((s.with_values(own, ghost)?, -1.0))
}
