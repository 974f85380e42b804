//! FSAI: M = GᵀG with G ≈ L⁻¹ lower triangular on a given pattern, A = L Lᵀ.
//!
//! G minimises ‖I − G L‖_F over matrices with the pattern of tril(Aᵏ) ([`FsaiParams::power`])
//! without that L has to be known: row i of G, with entries in the columns J (the last of them i),
//! is y / √yᵢ with A(J, J) y = eᵢ. Equivalently, with the Cholesky factor A(J, J) = C Cᵀ, it is the
//! solution of Cᵀ g = eᵢ; diag(G A Gᵀ) = 1.
//!
//! With [`FsaiParams::steps`] the pattern of every row grows from there, by the entries that lower
//! Kaporin's number of the row most (`adaptive.rs`); with [`FsaiParams::filter`] small entries are left
//! out. Then the entries are those above on the pattern that came out. A refresh grows
//! it anew, since it depends on the values, from the same power of A.
//!
//! Works for every symmetric positive definite A: no step can break down, and M is symmetric
//! positive definite. For other matrices it is an error that names the row. M alone leaves the
//! number of iterations growing with the size of a grid, like any local method.
//!
//! One dense row in A would give its row of G n entries and, from the second power on, all others
//! too: rows keep the strongest [`FsaiParams::max_row`] ([`Bound`]), which a note tells. M stays
//! symmetric positive definite, on any lower pattern.
//!
//! Cost: setup O(n·k³) for k entries a row, eight rows at a time, and O(nnz(A)), however the entries
//! of A are spread over its rows; communication of the rows of A
//! within `power + steps` steps, in one exchange ([`neighbours`]; with a threshold and a power above 1
//! two), and of the entries of G whose columns others own. Apply one product with G and
//! one with Gᵀ, which is stored too. Bitwise the same G on any number of ranks.
//!
//! Reference: L. Kolotilina, A. Yeremin, *Factorized sparse approximate inverse preconditionings
//! I*, SIAM J. Matrix Anal. Appl. 14 (1993), §2; E. Chow, *Parallel implementation and practical use
//! of sparse approximate inverse preconditioners with a priori sparsity patterns*, Int. J. High
//! Perform. Comput. Appl. 15 (2001).
//!
//! [`neighbours`]: precondor_sdk::core::kernel::remote::neighbours
//! [`Bound`]: precondor_sdk::core::kernel::pattern::Bound
use crate::adaptive;
use crate::plan::{Ask, Plan};
use precondor_sdk::core::kernel::fsai;
use precondor_sdk::core::kernel::pattern::{MAX_ROW, Part};
use precondor_sdk::core::kernel::reach::Reach;
use precondor_sdk::core::matrix::{Explicit, ExplicitKind};
use precondor_sdk::core::persist::Stored;
use precondor_sdk::prelude::*;

/// Parameters of [`Fsai`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", default, deny_unknown_fields)]
#[schemars(crate = "precondor_sdk::schemars")]
pub struct FsaiParams {
    /// G has the lower triangle of the pattern of this power of A.
    #[schemars(range(min = 0, max = 8), extend("x-precondor-tune" = [1, 3]))]
    pub power: u32,
    /// Entries with |aᵢⱼ| ≤ threshold·√(aᵢᵢ aⱼⱼ) are left out of A before its pattern is taken.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0, "x-precondor-tune" = [0.001, 0.3]))]
    pub threshold: f64,
    /// Steps in which the pattern of a row grows; 0 leaves it at that power of A. Rows of A
    /// within power + steps edges are fetched from other ranks.
    #[schemars(range(min = 0, max = 100), extend("x-precondor-tune" = [1, 30]))]
    pub steps: u32,
    /// Entries that a row gains in a step, at most.
    #[schemars(range(min = 1, max = 100), extend("x-precondor-tune" = [1, 10]))]
    pub growth: u32,
    /// A row stops growing when a step lowers its ψ = g̃ᵀA g̃ by less than this part of it.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0, "x-precondor-tune" = [1e-4, 0.3]))]
    pub tolerance: f64,
    /// Entries with |gᵢⱼ| √aⱼⱼ ≤ filter·gᵢᵢ √aᵢᵢ are left out of G in the end, and the others
    /// computed again without them; 0 keeps all.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0, "x-precondor-tune" = [0.001, 0.3]))]
    pub filter: f64,
    /// Entries of a row of G, at most: a row with more in that power of A keeps the strongest, by
    /// |aᵢⱼ|/√(aᵢᵢ aⱼⱼ), and no path of the power leads through a longer row of A.
    #[schemars(range(min = 1), extend("x-precondor-tune" = false))]
    pub max_row: u32,
}

impl FsaiParams {
    /// Whether the pattern depends on values of A.
    fn grows(&self) -> bool {
        self.steps > 0 || self.filter > 0.0
    }
}

impl Default for FsaiParams {
    fn default() -> Self {
        FsaiParams {
            power: 1,
            threshold: 0.0,
            steps: 0,
            growth: 1,
            tolerance: 1e-3,
            filter: 0.0,
            max_row: MAX_ROW,
        }
    }
}

/// The method.
pub struct Fsai;

/// G and Gᵀ.
pub struct Factored {
    m: Stored,
    /// The pattern of G, with what it was made for; none where G was loaded.
    plan: Option<(FsaiParams, Plan)>,
}

impl Generator for Fsai {
    const NAME: &'static str = "fsai";
    const SUMMARY: &'static str = "factorised sparse approximate inverse on the lower pattern of a power of A, or an adaptive one";
    const CAPABILITIES: Capabilities = Capabilities {
        explicit: true,
        transpose: true,
        refresh: true,
        persist: true,
        ..Capabilities::NONE
    };
    type Params = FsaiParams;
    type Output = Factored;

    fn invariances(_: &FsaiParams) -> Invariances {
        Invariances::BOTH
    }

    fn generate(params: &FsaiParams, system: &System) -> Result<Factored> {
        let system = &*system.regular()?;
        system.a().require_symmetric(Self::NAME)?;
        let FsaiParams { power, threshold, max_row, .. } = *params;
        let steps = params.grows().then_some(params.steps);
        let ask = Ask { power, threshold, part: Part::Lower, steps, max_row };
        let (plan, near) = Plan::new(system, ask)?;
        factor(params, plan, &near, system)
    }

    fn refresh(m: &mut Factored, params: &FsaiParams, system: &System) -> Result<()> {
        let Some((_, mut plan)) = m.plan.take().filter(|(of, _)| of == params) else {
            return Err(Error::PatternChanged);
        };
        let system = &*system.regular()?;
        plan.renew(system)?;
        system.a().require_symmetric(Self::NAME)?;
        let near = plan.rows(system.a())?;
        *m = factor(params, plan, &near, system)?;
        Ok(())
    }

    fn load(bytes: &[u8], system: &System) -> Result<Factored> {
        Ok(Factored { m: Stored::load(bytes, ExplicitKind::Factor, system)?, plan: None })
    }
}

impl Preconditioner for Factored {
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
        self.m.bytes() + self.plan.as_ref().map_or(0, |(_, plan)| plan.bytes())
    }

    fn explicit(&self) -> Option<Explicit<'_>> {
        self.m.explicit()
    }

    fn notes(&self) -> Vec<String> {
        self.m.notes()
    }
}

/// G and its transpose on the pattern of a plan, grown where that is asked for, from the rows that the
/// plan needs. Collective.
fn factor(
    params: &FsaiParams,
    mut plan: Plan,
    near: &Reach<'_>,
    system: &System,
) -> Result<Factored> {
    if params.grows() {
        plan.grow(|pattern| adaptive::grow(params, pattern, near, system))?;
    }
    let space = system.a().space();
    let values = fsai::entries(system.host().as_ref(), near, &plan.pattern, space.start())?;
    plan.computed += 1;
    let m = fsai::Factored::new(space, &plan.pattern, values)?;
    let m = Stored::factor(m, plan.notes());
    Ok(Factored { m, plan: Some((params.clone(), plan)) })
}
