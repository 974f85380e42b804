//! Additive Schwarz: every rank applies a method of its own to its block of A, and the blocks may
//! overlap.
//!
//! With Rᵢ the restriction to the rows of block i (the rows that rank i owns and k layers of rows
//! around them in the graph of A), Aᵢ = Rᵢ A Rᵢᵀ, Bᵢ ≈ Aᵢ⁻¹ the inner method, R̃ᵢ the restriction to the
//! rows that rank i owns, and Dᵢ the diagonal matrix of 1/c for rows that are in c blocks:
//!
//! | variant | M | communication of an application |
//! |---|---|---|
//! | `restricted` | Σ R̃ᵢᵀ Bᵢ Rᵢ | one exchange of residuals |
//! | `weighted` | Σ Rᵢᵀ Dᵢ^½ Bᵢ Dᵢ^½ Rᵢ | the same, and one exchange of corrections |
//! | `additive` | Σ Rᵢᵀ Bᵢ Rᵢ | as `weighted` |
//!
//! Restricted converges in the fewest iterations but is unsymmetric, also where all Bᵢ are symmetric:
//! for GMRES, BiCGStab and Richardson. The others are symmetric positive definite where all Bᵢ are, as
//! conjugate gradients need it. In `additive`, the classical form, a row counts as often as it is in
//! blocks, so the largest eigenvalue of M A grows to the number of blocks that overlap there: that costs
//! `ic` more than overlap gains it, and Richardson needs damping; with nearly exact inner methods it is
//! the better one of the two.
//!
//! Without overlap all are block Jacobi, what `ilu`, `ic` and `gauss-seidel` do by themselves on
//! several ranks. On one rank M is the inner method. M depends on the number of ranks, and iterations
//! grow with it, the less the more overlap (docs/ranks.md has numbers): there is no coarse level.
//!
//! Cost: setup one exchange that fetches rows of A, 16 bytes an entry, and the inner setup on the larger
//! block; apply one inner application on the larger block and the exchanges above, 8 bytes a row of
//! overlap each. A refresh on the same pattern fetches the rows in one round, keeps the blocks and the
//! exchanges, and refreshes the inner method (sets it up anew where it cannot be).
//!
//! Reference: X.-C. Cai, M. Sarkis, *A restricted additive Schwarz preconditioner for general sparse
//! linear systems*, SIAM J. Sci. Comput. 21 (1999) 792–797; B. Smith, P. Bjørstad, W. Gropp, *Domain
//! Decomposition*, Cambridge University Press 1996, §1.3 (additive); J. W. Lottes, P. F. Fischer, *Hybrid
//! multigrid/Schwarz algorithms for the spectral element method*, J. Sci. Comput. 24 (2005) 45–78
//! (weights).
#![deny(missing_docs)]
mod block;
pub mod traffic;

use block::{Block, Ways};
use precondor_sdk::core::instance::Instance;
use precondor_sdk::core::kernel::pattern;
use precondor_sdk::core::kernel::remote::Rows;
use precondor_sdk::core::matrix::NullSpaces;
use precondor_sdk::core::schema::named_method;
use precondor_sdk::core::system::{BLOCK_SIZE, NULL_SPACE};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::Value;
use std::sync::{Mutex, PoisonError};

/// Parameters of [`Schwarz`].
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", default, deny_unknown_fields)]
#[schemars(crate = "precondor_sdk::schemars", extend("x-precondor-tune" = "ranks"))]
pub struct Params {
    /// The method on each rank's block: a name, or a section with its name and its parameters.
    #[schemars(extend("x-precondor-method" = true, "x-precondor-old-name" = "inner"))]
    pub method: Value,
    /// Layers of rows around a rank's own that its block has besides.
    #[schemars(range(max = 100), extend("x-precondor-tune" = [0, 8]))]
    pub overlap: u32,
    /// No layer is reached through a row with more entries than this: one dense row would make every
    /// block the whole matrix.
    #[schemars(range(min = 1), extend("x-precondor-tune" = false))]
    pub max_row: u32,
    /// What becomes of corrections on rows of others. Where it is left out: `weighted` if the inner
    /// method is symmetric positive definite on every rank, so that conjugate gradients can be used,
    /// else `restricted`.
    pub variant: Option<Variant>,
}

impl Default for Params {
    fn default() -> Self {
        Params { method: "ilu".into(), overlap: 1, max_row: pattern::MAX_ROW, variant: None }
    }
}

/// What becomes of a block's corrections on rows of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", rename_all = "kebab-case")]
#[schemars(crate = "precondor_sdk::schemars")]
pub enum Variant {
    /// They are dropped: fewer iterations, but M is unsymmetric.
    Restricted,
    /// They are sent to their owners and added, residuals and corrections divided by the root of the
    /// number of blocks that a row is in: M is symmetric where the inner method is.
    Weighted,
    /// They are sent to their owners and added as they are: M is symmetric where the inner method is, but
    /// rows count as often as they are in blocks.
    Additive,
}

/// The method.
pub struct Schwarz;

/// M, this rank's part of it.
pub struct Blocks {
    block: Block,
    inner: Inner,
    overlap: u32,
    ranks: usize,
    /// Rows of all blocks together, and of A.
    rows: [u64; 2],
    /// Of the pattern of A.
    digest: u64,
    refreshed: u32,
    /// None where no block has rows of others.
    work: Option<Mutex<Work>>,
}

/// The inner method, and what becomes of it.
struct Inner {
    /// None where this rank's block has no rows.
    method: Option<Box<dyn Instance>>,
    variant: Variant,
    properties: Properties,
}

/// What an application works in: vectors on the rows of the block.
struct Work {
    ways: Ways,
    /// 1/√c for every row of the block, which is in c blocks.
    weights: Vec<f64>,
    r: Vec<f64>,
    z: Vec<f64>,
}

impl Generator for Schwarz {
    const NAME: &'static str = "schwarz";
    const SUMMARY: &'static str =
        "additive Schwarz: any method on each rank's block, blocks overlapping";
    const CAPABILITIES: Capabilities =
        Capabilities { transpose: true, refresh: true, ..Capabilities::NONE };
    type Params = Params;
    type Output = Blocks;

    fn invariances(_: &Params) -> Invariances {
        // What is around M is restrictions and weights; but who has which rows changes with their order.
        Invariances { permutation: false, ..Invariances::ALL }
    }

    fn generate(params: &Params, system: &System) -> Result<Blocks> {
        let (a, space) = (system.a(), system.a().space());
        let (block, theirs) = Block::around(a, params.overlap, params.max_row)?;
        let mut all = [block.len() as f64];
        space.comm().sum(&mut all)?;
        let rows = [all[0] as u64, a.n_global()];
        let overlapping = rows[0] > rows[1];
        let inner = Inner::new(params, system, &block, &theirs, overlapping)?;
        let work = if overlapping {
            let mut ways = Ways::new(space, &block)?;
            let weights = ways.weights(&block)?;
            let (r, z) = (vec![0.0; block.len()], vec![0.0; block.len()]);
            Some(Mutex::new(Work { ways, weights, r, z }))
        } else {
            None
        };
        let (overlap, ranks) = (params.overlap, space.comm().size());
        let digest = pattern::digest(a);
        Ok(Blocks { block, inner, overlap, ranks, rows, digest, refreshed: 0, work })
    }

    fn refresh(m: &mut Blocks, params: &Params, system: &System) -> Result<()> {
        let a = system.a();
        let changed = a.space().comm().any(m.digest != pattern::digest(a))?;
        if changed || m.overlap != params.overlap {
            return Err(Error::PatternChanged);
        }
        let theirs = m.block.again(a)?;
        m.inner.renew(params, system, &m.block, &theirs, m.work.is_some())?;
        m.refreshed += 1;
        Ok(())
    }
}

/// The system of this rank's block. Where A is singular the block may be so, too: in one block its null
/// space is A's, among several what can be seen is known. What is known of the own rows comes along where there
/// are no others in the block. Not collective.
fn local(system: &System, block: &Block, theirs: &Rows) -> Result<System> {
    let a = block.matrix(system.a(), theirs)?;
    let local = match block.is_own() {
        true => {
            let rows: Vec<u32> = (0..block.len() as u32).collect();
            let local = system.with_part(a, &rows)?;
            match system.aux(BLOCK_SIZE) {
                Some(aux) => local.with_aux(BLOCK_SIZE, aux.width, aux.values.to_vec())?,
                None => local,
            }
        }
        false => system.for_matrix(a),
    };
    let Some(null) = system.aux(NULL_SPACE) else { return Ok(local) };
    if system.a().space().comm().size() == 1 {
        return local.with_aux(NULL_SPACE, null.width, null.values.to_vec());
    }
    match NullSpaces::find(local.a())?.and_then(|found| found.right) {
        Some(null) => local.with_aux(NULL_SPACE, null.len(), null.by_rows()),
        None => Ok(local),
    }
}

impl Inner {
    /// Sets the method up on this rank's block; `theirs` are the rows of others in it. Collective.
    fn new(
        params: &Params,
        system: &System,
        block: &Block,
        theirs: &Rows,
        overlapping: bool,
    ) -> Result<Self> {
        let method = if block.len() > 0 {
            let local = local(system, block, theirs)?;
            Some(Self::set_up(params, &local, block)?)
        } else {
            None
        };
        Self::settled(params, system, method, overlapping)
    }

    /// Sets the method up on this rank's block `local`. Not collective.
    fn set_up(params: &Params, local: &System, block: &Block) -> Result<Box<dyn Instance>> {
        let (name, section) = named_method(&params.method).ok_or_else(|| {
            let why = "parameter 'method': it takes a method's name, or a section with 'name'";
            Error::Parameter(why.into())
        })?;
        local.host().inner(&name, &section, local).map_err(|e| Self::told(e, block))
    }

    /// An error of the method in the numbers of the whole matrix.
    fn told(error: Error, block: &Block) -> Error {
        error.renumbered(&|row| block.global(row)).inside("parameter 'method'")
    }

    /// Rebuilds the method for other values on the same pattern, reusing its symbolic work where it can.
    /// Collective.
    fn renew(
        &mut self,
        params: &Params,
        system: &System,
        block: &Block,
        theirs: &Rows,
        overlapping: bool,
    ) -> Result<()> {
        let mut method = self.method.take();
        if let Some(method) = &mut method {
            let local = local(system, block, theirs)?;
            match method.refresh(&local) {
                Ok(()) => {}
                Err(e) if matches!(e.root(), Error::Unsupported(_) | Error::PatternChanged) => {
                    *method = Self::set_up(params, &local, block)?;
                }
                Err(e) => return Err(Self::told(e, block)),
            }
        }
        *self = Self::settled(params, system, method, overlapping)?;
        Ok(())
    }

    /// With what holds of the method on every rank. Collective.
    fn settled(
        params: &Params,
        system: &System,
        method: Option<Box<dyn Instance>>,
        overlapping: bool,
    ) -> Result<Self> {
        let here = method.as_ref().map_or(Properties::SPD, |method| method.properties());
        let lacks = [here.symmetric, here.positive_definite, here.constant];
        let mut lacks = lacks.map(|has| f64::from(u8::from(!has)));
        system.a().space().comm().max(&mut lacks)?;
        let [symmetric, definite, constant] = lacks.map(|lack| lack == 0.0);
        let variant = params.variant.unwrap_or(match definite {
            true => Variant::Weighted,
            false => Variant::Restricted,
        });
        let both_sides = variant != Variant::Restricted || !overlapping;
        let properties = Properties {
            symmetric: symmetric && both_sides,
            positive_definite: definite && both_sides,
            constant,
            rank_independent: false,
        };
        Ok(Inner { method, variant, properties })
    }

    /// `z = B r` or Bᵀ r on the rows of the block.
    fn apply(&self, transposed: bool, r: &[f64], z: &mut [f64]) -> Result<()> {
        match &self.method {
            None => Ok(()),
            Some(method) if transposed => method.apply_transpose(r, z),
            Some(method) => method.apply(r, z),
        }
    }
}

impl Blocks {
    /// `z = M r` or Mᵀ r. A failure of the inner method does not keep this rank from communicating.
    fn run(&self, transposed: bool, r: &[f64], z: &mut [f64]) -> Result<()> {
        let (block, inner) = (&self.block, &self.inner);
        let Some(work) = &self.work else {
            return inner.apply(transposed, r, z);
        };
        let mut work = work.lock().unwrap_or_else(PoisonError::into_inner);
        let Work { ways, weights, r: whole_r, z: whole_z } = &mut *work;
        let weigh = |x: &mut [f64]| x.iter_mut().zip(&*weights).for_each(|(x, w)| *x *= w);
        let weighted = inner.variant == Variant::Weighted;
        // Mᵀ of the restricted form is Σ Rᵢᵀ Bᵢᵀ R̃ᵢ.
        let restricted = inner.variant == Variant::Restricted;
        if restricted && transposed {
            whole_r.fill(0.0);
            whole_r[block.own()].copy_from_slice(r);
        } else {
            ways.bring(block, r, whole_r)?;
        }
        if weighted {
            weigh(whole_r);
        }
        let applied = inner.apply(transposed, whole_r, whole_z);
        if weighted {
            weigh(whole_z);
        }
        if applied.is_err() {
            whole_z.fill(f64::NAN);
        }
        if restricted && !transposed {
            z.copy_from_slice(&whole_z[block.own()]);
        } else {
            ways.add_back(block, whole_z, z)?;
        }
        applied
    }
}

impl Preconditioner for Blocks {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        self.run(false, r, z)
    }
    fn apply_transpose(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        self.run(true, r, z)
    }
    fn properties(&self) -> Properties {
        self.inner.properties
    }
    fn stored_entries(&self) -> usize {
        self.inner.method.as_ref().map_or(0, |method| method.stored_entries())
    }
    fn bytes(&self) -> usize {
        let work = self.work.as_ref().map_or(0, |work| {
            let work = work.lock().unwrap_or_else(PoisonError::into_inner);
            work.ways.bytes() + 8 * (work.weights.len() + work.r.len() + work.z.len())
        });
        let inner = self.inner.method.as_ref().map_or(0, |method| method.bytes());
        inner + self.block.bytes() + work
    }
    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let [of_blocks, of_a] = self.rows;
        if self.ranks > 1 {
            let form = match (&self.work, self.inner.variant) {
                (None, _) => "block Jacobi",
                (_, Variant::Restricted) => "restricted additive Schwarz",
                (_, Variant::Additive) => "additive Schwarz",
                (_, Variant::Weighted) => "weighted additive Schwarz",
            };
            notes.push(format!(
                "{form}: one block per rank, overlap {}; {} blocks with {of_blocks} rows for {of_a} \
                 of A",
                self.overlap, self.ranks
            ));
        }
        if self.refreshed > 0 {
            notes.push(format!("refreshed {} times, the blocks kept", self.refreshed));
        }
        notes.extend(self.inner.method.iter().flat_map(|method| method.notes()));
        notes
    }
}

export_plugin!(Schwarz);
