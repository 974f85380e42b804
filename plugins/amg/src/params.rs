//! What can be chosen.
use crate::coarsening::{Keep, Rule, Scheme};
use crate::hierarchy::Plan;
use crate::interpolation::Truncation;
use crate::modes::NearNullSpace;
use crate::order::Ordering;
use crate::smoother::{Kind, Wish};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::Value;

/// How levels are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", rename_all = "kebab-case")]
#[schemars(crate = "precondor_sdk::schemars")]
pub enum Recipe {
    /// Aggregation for symmetric matrices whose diagonal does not jump from row to row, in parallel on several
    /// ranks; classical for others.
    Auto,
    /// Smoothed aggregation: cheap setup, few entries.
    Aggregation,
    /// Classical coarsening with extended+i interpolation: fewer iterations, a dearer setup.
    Classical,
    /// Smoothed aggregation that is the same on any number of ranks, for symmetric matrices.
    Parallel,
}

/// The numbers that levels below the finest are kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", rename_all = "kebab-case")]
#[schemars(crate = "precondor_sdk::schemars")]
pub enum Precision {
    /// 32 bits, where nothing speaks against it.
    Single,
    /// 64 bits.
    Double,
}

/// Units of the unknowns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", rename_all = "kebab-case")]
#[schemars(crate = "precondor_sdk::schemars")]
pub enum Scaling {
    /// Such that constants are nearly in the null space, where most rows of a symmetric A do not add up to
    /// nearly zero.
    Auto,
    /// As they are.
    Given,
}

/// Parameters of [`Amg`](crate::Amg).
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", default, deny_unknown_fields)]
#[schemars(crate = "precondor_sdk::schemars")]
pub struct Params {
    /// How levels are made.
    pub recipe: Recipe,
    /// Couplings below this part of the largest ones are weak; 0.25 where it is left out.
    #[schemars(range(min = 0.0, max = 1.0), extend("x-precondor-tune" = [0.02, 0.6]))]
    pub strength: Option<f64>,
    /// Entries of P that a row keeps, at most; 4 where it is left out.
    #[schemars(range(min = 1, max = 16), extend("x-precondor-tune" = [2, 8]))]
    pub interpolation_entries: Option<u32>,
    /// Entries of P below this part of the row's largest are dropped; 0.05 (aggregation) or 0.3
    /// (classical) where it is left out.
    #[schemars(range(min = 0.0, max = 1.0), extend("x-precondor-tune" = [0.01, 0.5]))]
    pub interpolation_drop: Option<f64>,
    /// What smooths, where `method` is left out: Gauss-Seidel unless it is given, Chebyshev where levels are
    /// spread over ranks.
    pub smoother: Option<Kind>,
    /// A method that smooths in place of `smoother`: a name, or a section with its name and its
    /// parameters. It is set up on every level but the coarsest.
    #[schemars(extend("x-precondor-method" = true))]
    pub method: Option<Value>,
    /// What smooths on the finest level, where that is not to be what smooths on all. Where neither is said,
    /// symmetric matrices with more than 11 entries per row and one unknown per node get incomplete Cholesky there.
    pub finest_smoother: Option<Kind>,
    /// What `method` or SPAI-0 is multiplied by; where it is left out, 1.6 over the largest eigenvalue of
    /// MA if it is symmetric, else 1.
    #[schemars(extend("exclusiveMinimum" = 0.0, "x-precondor-tune" = false))]
    pub damping: Option<f64>,
    /// Smoothing steps before the coarse correction.
    #[schemars(range(min = 1, max = 100), extend("x-precondor-tune" = [1, 3]))]
    pub before: u32,
    /// Smoothing steps after it; as many as before make M symmetric, for conjugate gradients.
    #[schemars(range(min = 1, max = 100), extend("x-precondor-tune" = "before"))]
    pub after: u32,
    /// Levels at most, the coarsest included: 2 for a two-level method. As many as it takes where it is
    /// left out.
    #[schemars(range(min = 1))]
    pub levels: Option<u32>,
    /// Unknowns, at most, that are solved directly.
    #[schemars(range(min = 1, max = 4000), extend("x-precondor-tune" = [50, 1000]))]
    pub coarsest: u32,
    /// Unknowns of a level, at most, that every rank holds whole with the recipe `parallel`; larger levels are
    /// spread.
    #[schemars(range(min = 1, max = 1000000), extend("x-precondor-tune" = false))]
    pub together: u32,
    /// Unknowns a node, numbered node by node; found from the auxiliary data or the pattern where it is
    /// left out.
    #[schemars(range(min = 1, max = 255), extend("x-precondor-tune" = false))]
    pub block_size: Option<u32>,
    /// What aggregates keep: vectors that A takes to nearly zero. Vectors that come with the system are used on
    /// one rank, or on each rank's block.
    pub near_null_space: NearNullSpace,
    /// The numbers that levels below the finest are kept in.
    pub precision: Precision,
    /// Units of the unknowns.
    pub scaling: Scaling,
    /// The order that sweeps go through the unknowns in.
    pub ordering: Ordering,
    /// What a refresh for other values on the same pattern keeps.
    #[schemars(extend("x-precondor-tune" = false))]
    pub keep_setup: Keep,
}

impl Default for Params {
    fn default() -> Self {
        Params {
            recipe: Recipe::Auto,
            strength: None,
            interpolation_entries: None,
            interpolation_drop: None,
            smoother: None,
            method: None,
            finest_smoother: None,
            damping: None,
            before: 1,
            after: 1,
            levels: None,
            coarsest: 200,
            together: 2000,
            block_size: None,
            near_null_space: NearNullSpace::Auto,
            precision: Precision::Single,
            scaling: Scaling::Auto,
            ordering: Ordering::Auto,
            keep_setup: Keep::None,
        }
    }
}

impl Params {
    /// How to coarsen a matrix that is symmetric or not; none where its entries decide.
    pub(crate) fn scheme(&self, symmetric: bool) -> Option<Scheme> {
        match self.recipe {
            Recipe::Aggregation | Recipe::Parallel => Some(Scheme::Aggregation),
            Recipe::Classical => Some(Scheme::Classical),
            Recipe::Auto => (!symmetric).then_some(Scheme::Classical),
        }
    }

    /// The recipe in numbers.
    pub(crate) fn plan(&self, scheme: Scheme, symmetric: bool) -> Plan {
        let drop = match scheme {
            Scheme::Aggregation => 0.05,
            Scheme::Classical => 0.3,
        };
        let truncation = Truncation {
            entries: self.interpolation_entries.unwrap_or(4) as usize,
            drop: self.interpolation_drop.unwrap_or(drop) as f32,
        };
        let (theta, keep) = (self.strength.unwrap_or(0.25), self.keep_setup);
        Plan {
            rule: Rule { scheme, theta, truncation, symmetric, keep },
            steps: [self.before, self.after],
            coarsest: self.coarsest as usize,
            levels: self.levels.map_or(usize::MAX, |l| l as usize),
        }
    }

    /// Whether levels are spread over `ranks` and do not depend on them.
    pub(crate) fn spread(&self, symmetric: bool, ranks: usize) -> bool {
        match self.recipe {
            Recipe::Parallel => true,
            Recipe::Auto => {
                let kept = self.near_null_space == NearNullSpace::RigidBody;
                symmetric && ranks > 1 && self.levels != Some(1) && !kept
            }
            Recipe::Aggregation | Recipe::Classical => false,
        }
    }

    pub(crate) fn wish(&self, symmetric: bool) -> Wish<'_> {
        let (kind, method, damping) = (self.smoother, self.method.as_ref(), self.damping);
        Wish { kind, method, damping, symmetric }
    }

    /// Refuses what no other parameter listens to.
    pub(crate) fn check(&self) -> Result<()> {
        let spai_0 = [self.smoother, self.finest_smoother].contains(&Some(Kind::Spai0));
        if self.damping.is_some() && self.method.is_none() && !spai_0 {
            let why = "parameter 'damping': only 'method' and the smoother spai-0 have one";
            return Err(Error::Parameter(why.into()));
        }
        if self.recipe == Recipe::Parallel && self.near_null_space == NearNullSpace::RigidBody {
            let why = "parameter 'near_null_space': the recipe 'parallel' keeps no rigid body modes; take \
                       the recipe 'aggregation'";
            return Err(Error::Parameter(why.into()));
        }
        Ok(())
    }
}
