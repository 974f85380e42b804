//! Several methods for the same matrix, put together; with weights cᵢ and parts Mᵢ:
//!
//! | kind | M | an application |
//! |---|---|---|
//! | `additive` | Σ cᵢ Mᵢ | every part once |
//! | `multiplicative` | I − MA = (I − c_k M_k A) … (I − c₁ M₁ A) | every part once, k − 1 products with A |
//! | `symmetric-multiplicative` | I − MA = (I − c₁M₁A) … (I − c_k M_k A) … (I − c₁M₁A) | the last part once, others twice; 2k − 2 products |
//!
//! A multiplicative part works on the residual that the parts before it leave. That takes fewer
//! iterations than the sum, and is worth it where the parts see different errors: a smoother and a
//! coarse solve, a method for each of two couplings.
//!
//! **Symmetric positive definite.** A sum is where every part is. The symmetric product is symmetric where
//! A and every part are. With W_k = c_k M_k and
//! Wᵢ = 2cᵢMᵢ − cᵢ²MᵢAMᵢ + (I − cᵢMᵢA) Wᵢ₊₁ (I − cᵢAMᵢ) it is W₁. The first two terms are
//! cᵢMᵢ (2(cᵢMᵢ)⁻¹ − A) cᵢMᵢ, positive definite where Mᵢ is and λmax(cᵢMᵢA) < 2, and the last one is where
//! Wᵢ₊₁ is: so M is positive definite where every part is and that holds of all parts but the last, which
//! may have any λmax. Beyond that it need not be. The eigenvalues are estimated by 30 Lanczos steps, the
//! bound on their error included; where the estimate is 2 or more, or A is not positive definite, M is
//! declared symmetric alone, and a note says which part it was. Smaller `weights` cure it.
//!
//! Cost: setup that of all parts (and the Lanczos steps); 2 n-vectors. Communication: that of the parts
//! and products. A transpose is there where all parts have one. A refresh refreshes every part, or sets
//! it up anew where it cannot be.
//!
//! Reference: J. Xu, *Iterative methods by space decomposition and subspace correction*, SIAM Review
//! 34 (1992), §3; B. Smith, P. Bjørstad, W. Gropp, *Domain Decomposition*, Cambridge University Press
//! 1996, §1.3. PETSc's PCCOMPOSITE has the same kinds.
use crate::part::{Part, common};
use precondor_sdk::core::kernel::pattern;
use precondor_sdk::core::kernel::split::Back;
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::Value;
use std::sync::{Mutex, PoisonError};

/// Parameters of [`Composite`].
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", default, deny_unknown_fields)]
#[schemars(crate = "precondor_sdk::schemars", extend("x-precondor-tune" = false))]
pub struct Params {
    /// How the parts are put together.
    pub kind: Kind,
    /// The parts, in order: names of methods, or sections with their names and parameters.
    #[schemars(length(min = 1), extend("items" = {"x-precondor-method": true}))]
    pub methods: Vec<Value>,
    /// A positive factor for every part; 1 for all where it is left out.
    #[schemars(extend("items" = {"type": "number", "exclusiveMinimum": 0.0}))]
    pub weights: Option<Vec<f64>>,
}

impl Default for Params {
    fn default() -> Self {
        Params { kind: Kind::Additive, methods: vec!["jacobi".into()], weights: None }
    }
}

/// How parts are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", rename_all = "kebab-case")]
#[schemars(crate = "precondor_sdk::schemars")]
pub enum Kind {
    /// Their sum.
    Additive,
    /// One after the other, each on the residual of those before it.
    Multiplicative,
    /// The same, and back again to the first: symmetric where A and the parts are.
    SymmetricMultiplicative,
}

/// The method.
pub struct Composite;

/// M.
pub struct Composed {
    a: DistCsr,
    kind: Kind,
    parts: Vec<Part>,
    weights: Vec<f64>,
    properties: Properties,
    notes: Vec<String>,
    digest: u64,
    work: Mutex<Work>,
}

/// What an application works in.
struct Work {
    /// Products with Aᵀ, where there are any.
    back: Option<Back>,
    rest: Vec<f64>,
    step: Vec<f64>,
}

impl Generator for Composite {
    const NAME: &'static str = "composite";
    const SUMMARY: &'static str = "several methods by name, added or one after the other";
    const CAPABILITIES: Capabilities =
        Capabilities { transpose: true, refresh: true, ..Capabilities::NONE };
    type Params = Params;
    type Output = Composed;

    fn invariances(_: &Params) -> Invariances {
        // Sums and products of parts that have them.
        Invariances::ALL
    }

    fn generate(params: &Params, system: &System) -> Result<Composed> {
        let count = params.methods.len();
        let weights = params.weights.clone().unwrap_or_else(|| vec![1.0; count]);
        if weights.len() != count {
            return Err(Error::Parameter(format!(
                "parameter 'weights': {} for {count} 'methods'",
                weights.len()
            )));
        }
        let part = |(i, section): (usize, &Value)| {
            Part::new(format!("methods.{i}"), section, system, &Some)
        };
        let parts = params.methods.iter().enumerate().map(part).collect::<Result<Vec<_>>>()?;
        let a = system.a();
        let back = match params.kind {
            Kind::Multiplicative | Kind::SymmetricMultiplicative if count > 1 => Some(Back::of(a)?),
            _ => None,
        };
        let n = if count > 1 { a.n_own() } else { 0 };
        let mut m = Composed {
            a: a.clone(),
            kind: params.kind,
            parts,
            weights,
            properties: Properties::GENERAL,
            notes: vec![],
            digest: pattern::digest(a),
            work: Mutex::new(Work { back, rest: vec![0.0; n], step: vec![0.0; n] }),
        };
        m.settle()?;
        Ok(m)
    }

    fn refresh(m: &mut Composed, _: &Params, system: &System) -> Result<()> {
        let a = system.a();
        if a.space().comm().any(m.digest != pattern::digest(a))? {
            return Err(Error::PatternChanged);
        }
        m.a = a.clone();
        m.parts.iter_mut().try_for_each(|part| part.renew(system, &Some))?;
        m.settle()
    }
}

impl Composed {
    /// Finds out what holds of M. Collective.
    fn settle(&mut self) -> Result<()> {
        let mut all = common(&self.parts);
        self.notes.clear();
        if self.parts.len() > 1 {
            match self.kind {
                Kind::Additive => {}
                Kind::Multiplicative => {
                    (all.symmetric, all.positive_definite) = (false, false);
                }
                Kind::SymmetricMultiplicative => {
                    all.symmetric = all.symmetric && self.a.first_unsymmetric()?.is_none();
                    all.positive_definite &= all.symmetric;
                    let others = &self.parts[..self.parts.len() - 1];
                    for (part, &c) in others.iter().zip(&self.weights) {
                        if !all.positive_definite {
                            break;
                        }
                        let (contracts, note) = part.contracts(&self.a, c)?;
                        self.notes.push(note);
                        if !contracts {
                            all.positive_definite = false;
                            let why = "M is not known to be positive definite: that needs a largest \
                                       eigenvalue below 2 of all parts but the last; lower 'weights'";
                            self.notes.push(why.into());
                        }
                    }
                }
            }
        }
        self.properties = all;
        Ok(())
    }

    /// `z = M r`, or Mᵀ r, for which the parts are transposed and change their order.
    fn run(&self, transposed: bool, r: &[f64], z: &mut [f64]) -> Result<()> {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let Work { back, rest, step } = &mut *work;
        let (mut failed, count) = (None, self.parts.len());
        let scale = |c: f64, z: &mut [f64]| {
            if c != 1.0 {
                z.iter_mut().for_each(|z| *z *= c);
            }
        };
        let steps = match self.kind {
            Kind::SymmetricMultiplicative => 2 * count - 1,
            _ => count,
        };
        for k in 0..steps {
            let i = match self.kind {
                Kind::SymmetricMultiplicative => k.min(steps - 1 - k),
                _ if transposed => count - 1 - k,
                _ => k,
            };
            let (part, c) = (&self.parts[i], self.weights[i]);
            if k == 0 {
                part.apply(transposed, r, z, &mut failed);
                scale(c, z);
                continue;
            }
            let from = match self.kind {
                Kind::Additive => r,
                _ => {
                    match back {
                        Some(back) if transposed => {
                            back.multiply(self.a.own().view(), self.a.ghost().view(), z, rest)?;
                        }
                        _ => self.a.spmv(z, rest)?,
                    }
                    rest.iter_mut().zip(r).for_each(|(y, r)| *y = r - *y);
                    &*rest
                }
            };
            part.apply(transposed, from, step, &mut failed);
            scale(c, step);
            z.iter_mut().zip(&*step).for_each(|(z, step)| *z += step);
        }
        failed.map_or(Ok(()), Err)
    }
}

impl Preconditioner for Composed {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        self.run(false, r, z)
    }
    fn apply_transpose(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        self.run(true, r, z)
    }
    fn properties(&self) -> Properties {
        self.properties
    }
    fn stored_entries(&self) -> usize {
        self.parts.iter().map(Part::stored_entries).sum()
    }
    fn bytes(&self) -> usize {
        let work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let back = work.back.as_ref().map_or(0, Back::bytes);
        let vectors = 8 * (work.rest.len() + work.step.len());
        self.parts.iter().map(Part::bytes).sum::<usize>() + back + vectors
    }
    fn notes(&self) -> Vec<String> {
        let parts = self.parts.iter().flat_map(Part::notes);
        self.notes.iter().cloned().chain(parts).collect()
    }
}
