//! A method as the smoother of a multigrid level: z ← z + ω M (r − A z), with Mᵀ after the coarse correction.
//!
//! Without a damping ω of a symmetric M is 1.6/λmax(MA): errors in the upper three quarters of the spectrum then
//! at least lose two fifths a step. That of an unsymmetric one is 1. M keeps a symmetric cycle positive definite
//! where ω λmax < 2, which ten Lanczos steps look at.
//!
//! Cost: setup of the method and ten products with A and with M.
use super::lanczos::{self, Options};
use crate::precond::Preconditioner;
use crate::schema::named_method;
use crate::system::System;
use crate::{Error, Result};
use serde_json::Value;

/// ω λmax of a symmetric method without a damping of its own.
const STRENGTH: f64 = 1.6;
/// What λmax is estimated with.
const LANCZOS: Options = Options { max_steps: 10, tolerance: 0.02 };

/// What is known of a smoother.
pub struct Traits {
    /// The transposed smoother is what smooths afterwards.
    pub symmetric: bool,
    /// It keeps a symmetric cycle positive definite.
    pub definite: bool,
    /// What a reader of a report should know.
    pub note: Option<String>,
}

impl Traits {
    /// Of a smoother that is proved to be both.
    pub const PROVED: Self = Traits { symmetric: true, definite: true, note: None };
}

/// A method by name.
pub struct Named {
    method: Box<dyn Preconditioner>,
    damping: f64,
    transposes: bool,
}

impl Named {
    /// The method that parameter `method` names, for the matrix of level `level`, which is `symmetric` or not.
    /// Collective.
    ///
    /// # Errors
    /// [`Error::Parameter`] for what names no method; what the method reports.
    pub fn new(
        method: &Value,
        damping: Option<f64>,
        level: usize,
        system: &System,
        symmetric: bool,
    ) -> Result<(Self, Traits)> {
        let wrong = "parameter 'method': it takes a method's name, or a section with 'name'";
        let (name, section) = named_method(method).ok_or_else(|| Error::Parameter(wrong.into()))?;
        let place = format!("parameter 'method': {name} on level {level}");
        let method = system.host().inner(&name, &section, system);
        let method = method.map_err(|e| e.inside(place.clone()))?;
        let n = system.a().n_own();
        let transposes = match method.apply_transpose(&vec![0.0; n], &mut vec![0.0; n]) {
            Ok(()) => true,
            Err(Error::Unsupported(_)) => false,
            Err(error) => return Err(error.inside(place)),
        };
        let (damping, mut traits) = damped(&*method, damping, &name, level, system, symmetric)?;
        traits.symmetric = transposes;
        Ok((Named { method, damping, transposes }, traits))
    }

    /// `z = ω M r`, or ω Mᵀ r where there is such a part. Collective.
    ///
    /// # Errors
    /// What the method reports.
    pub fn times(&self, r: &[f64], z: &mut [f64], transposed: bool) -> Result<()> {
        let applied = if transposed && self.transposes {
            self.method.apply_transpose(r, z)
        } else {
            self.method.apply(r, z)
        };
        z.iter_mut().for_each(|z| *z *= self.damping);
        applied
    }

    /// Numbers kept.
    pub fn stored_entries(&self) -> usize {
        self.method.stored_entries()
    }
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.method.bytes()
    }
}

/// What to multiply `m`, called `name`, by on level `level`, and what is known of it then. Collective.
///
/// # Errors
/// What the products and the communicator report.
pub fn damped(
    m: &dyn Preconditioner,
    damping: Option<f64>,
    name: &str,
    level: usize,
    system: &System,
    symmetric: bool,
) -> Result<(f64, Traits)> {
    let of_method = m.properties();
    if !(of_method.symmetric && symmetric) {
        let damping = damping.unwrap_or(1.0);
        let note = format!("smoothing with {name} on level {level}: damping {damping}");
        return Ok((damping, Traits { symmetric: false, definite: false, note: Some(note) }));
    }
    let ends = lanczos::of_preconditioned(system.a(), m, &LANCZOS)?;
    let largest = ends.max + ends.max_error;
    let damping = damping.unwrap_or(STRENGTH / largest);
    let definite = of_method.positive_definite && damping * largest < 2.0;
    let note = format!(
        "smoothing with {name} on level {level}: damping {damping:.3}, largest eigenvalue {largest:.3} \
         ({} Lanczos steps)",
        ends.steps
    );
    Ok((damping, Traits { symmetric: true, definite, note: Some(note) }))
}
