//! What is asked of [`Reference`].
use crate::fast_poisson::FastPoisson;
use crate::positions::Source;
use crate::reference::Reference;
use crate::smoother::Kind;
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::{Value, json};

/// Parameters of [`Reference`].
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", default, deny_unknown_fields)]
#[schemars(
    crate = "precondor_sdk::schemars",
    extend(
        "x-precondor-fallback" = json!({"name": Reference::NAME, "variant": "symmetric"}),
        "x-precondor-contraction" = 0.3
    )
)]
pub struct Params {
    /// Where the smoother stands: `symmetric`, before and after the reference solve, as conjugate gradients need it; or `post-only`,
    /// after it, for Richardson's iteration and GMRES.
    pub variant: Variant,
    /// What smooths.
    pub smoother: Kind,
    /// Damping ω of the Jacobi smoother, 0.5 where it is left out.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 2.0))]
    pub damping: Option<f64>,
    /// Steps of the Chebyshev smoother; where it is left out 3; in the post-only form 6, or 4 with
    /// positions.
    #[schemars(range(min = 1, max = 16))]
    pub degree: Option<u32>,
    /// Nodes whose diagonal entry is more than this times what A0 has there, in units of the median, are solved for exactly; 0
    /// for none, 1.4 in two dimensions and 1.5 in three where it is left out.
    #[schemars(range(min = 0.0))]
    pub bad_nodes: Option<f64>,
    /// Weight c in P = I + c E, which interpolates between the reference mesh and the real one; 0 for
    /// none.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub interpolation: f64,
    /// Where the positions of the nodes come from that P interpolates to, to second order, in place of I + c E: on grids of equal
    /// spacings, where they are known to be those of A.
    pub positions: Source,
    /// Of what lies between the residual and the correction.
    pub precision: Precision,
    /// Nodes along x (which runs fastest), y and perhaps z; recognised from the matrix where it is left out.
    #[schemars(length(min = 2, max = 3), inner(range(min = 1)), extend("x-precondor-grid" = true))]
    pub grid: Option<Vec<usize>>,
    /// What solves with the reference matrix A0: `fast-poisson`, or any method, as a section with its name and
    /// its parameters.
    #[schemars(extend("x-precondor-method" = true, "x-precondor-old-name" = "solver"))]
    pub method: Value,
}

impl Default for Params {
    fn default() -> Self {
        Params {
            variant: Variant::Symmetric,
            smoother: Kind::Chebyshev,
            damping: None,
            degree: None,
            bad_nodes: None,
            interpolation: 0.0,
            positions: Source::None,
            precision: Precision::F32,
            grid: None,
            method: FastPoisson::NAME.into(),
        }
    }
}

/// Where the smoother stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", rename_all = "kebab-case")]
#[schemars(crate = "precondor_sdk::schemars")]
pub enum Variant {
    /// Before and after the reference solve: M is symmetric.
    Symmetric,
    /// After it: half the products of a step, so that there may be twice the steps; M is not symmetric.
    PostOnly,
}

impl Variant {
    /// Steps of Chebyshev's iteration where they are not given; P at the nodes' positions leaves less to do.
    pub(crate) fn degree(self, positions: bool) -> u32 {
        match (self, positions) {
            (Variant::Symmetric, _) => 3,
            (Variant::PostOnly, true) => 4,
            (Variant::PostOnly, false) => 6,
        }
    }
}

/// How numbers are held between the residual and the correction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", rename_all = "kebab-case")]
#[schemars(crate = "precondor_sdk::schemars")]
pub enum Precision {
    /// Single where that is there: on one rank, with Chebyshev's smoother, `interpolation = 0` and fast-poisson; else double.
    F32,
    /// Double.
    F64,
}
