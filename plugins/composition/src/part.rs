//! A method inside another one: set up by name, renewed, and what is known of it.
use precondor_sdk::core::comm::Communicator;
use precondor_sdk::core::instance::Instance;
use precondor_sdk::core::kernel::lanczos::{self, Options};
use precondor_sdk::core::schema::named_method;
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::Value;

/// What the largest eigenvalue of a part is estimated with.
const LANCZOS: Options = Options { max_steps: 30, tolerance: 0.01 };

/// One of the methods.
pub(crate) struct Part {
    /// What errors and notes call it.
    label: String,
    section: Value,
    name: String,
    method: Box<dyn Instance>,
}

/// The number in the whole matrix of a row that a method inside knows by another one.
pub(crate) type Renumber<'a> = &'a dyn Fn(u64) -> Option<u64>;

impl Part {
    /// Sets up the method that `section` names for `system`. Collective.
    pub fn new(label: String, section: &Value, system: &System, row: Renumber<'_>) -> Result<Self> {
        let (name, params) = named_method(section).ok_or_else(|| {
            let why = "it takes a method's name, or a section with 'name'";
            Error::Parameter(why.into()).inside(label.clone())
        })?;
        let made = system.host().inner(&name, &params, system);
        let method = told(made, &label, system, row)?;
        Ok(Part { label, section: section.clone(), name, method })
    }

    /// The same for other values on the same pattern: refreshed, or set up anew where it cannot be.
    /// Collective.
    pub fn renew(&mut self, system: &System, row: Renumber<'_>) -> Result<()> {
        match self.method.refresh(system) {
            Ok(()) => Ok(()),
            Err(e) if matches!(e.root(), Error::Unsupported(_) | Error::PatternChanged) => {
                let (_, params) = named_method(&self.section).unwrap_or_default();
                let made = system.host().inner(&self.name, &params, system);
                self.method = told(made, &self.label, system, row)?;
                Ok(())
            }
            Err(e) => told(Err(e), &self.label, system, row),
        }
    }

    /// `z = M r`, or Mᵀ r. Where that fails, z is NaN and `failed` has the first reason: who calls goes on
    /// and reports it at the end.
    pub fn apply(&self, transposed: bool, r: &[f64], z: &mut [f64], failed: &mut Option<Error>) {
        let applied = match transposed {
            true => self.method.apply_transpose(r, z),
            false => self.method.apply(r, z),
        };
        if let Err(error) = applied {
            z.fill(f64::NAN);
            failed.get_or_insert_with(|| match error {
                Error::Unsupported(why) => Error::Unsupported(format!("{}: {why}", self.label)),
                other => other.inside(self.label.clone()),
            });
        }
    }

    /// Whether λmax(c MA) is below 2, as far as the Lanczos process tells, and a note about it; M and
    /// c are symmetric positive definite, and so has A to be. Collective.
    pub fn contracts(&self, a: &DistCsr, c: f64) -> Result<(bool, String)> {
        let of = format!("{}, {}", self.label, self.name);
        match lanczos::of_preconditioned(a, &*self.method, &LANCZOS) {
            Ok(ends) => {
                let largest = c * (ends.max + ends.max_error);
                let steps = ends.steps;
                let note = format!("{of}: largest eigenvalue {largest:.3} ({steps} Lanczos steps)");
                Ok((largest < 2.0, note))
            }
            Err(Error::Breakdown(why)) => Ok((false, format!("{of}: {why}"))),
            Err(error) => Err(error),
        }
    }

    /// What holds of the method.
    pub fn properties(&self) -> Properties {
        self.method.properties()
    }
    pub fn stored_entries(&self) -> usize {
        self.method.stored_entries()
    }
    pub fn bytes(&self) -> usize {
        self.method.bytes()
    }
    /// Its notes, which say whose they are.
    pub fn notes(&self) -> impl Iterator<Item = String> + '_ {
        let told = |note| format!("{}, {}: {note}", self.label, self.name);
        self.method.notes().into_iter().map(told)
    }
}

/// What holds of all of `parts`.
pub(crate) fn common(parts: &[Part]) -> Properties {
    parts.iter().map(Part::properties).fold(Properties::SPD, |all, one| Properties {
        symmetric: all.symmetric && one.symmetric,
        positive_definite: all.positive_definite && one.positive_definite,
        constant: all.constant && one.constant,
        rank_independent: all.rank_independent && one.rank_independent,
    })
}

/// An error of a method inside, in the rows of the whole matrix and with the name of the part. Collective:
/// all ranks failed, or none did.
///
/// A rank that failed itself leaves with its error. The others know of it in the rows of the part; in the
/// next collective, where the first one is missing, they hear of it again as it has been told here.
fn told<T>(made: Result<T>, label: &str, system: &System, row: Renumber<'_>) -> Result<T> {
    let Err(error) = made else { return made };
    if let Error::Elsewhere { .. } = error.root() {
        system.a().space().comm().all_gather(&[])?;
    }
    Err(error.renumbered(row).inside(label))
}
