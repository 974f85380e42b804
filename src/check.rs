//! Does a method keep its word? What `precondor plugins check` asks of it.
//!
//! A method is set up with its defaults (and `jacobi` inside it, where it needs a method and does not say which) for a
//! small perturbed Poisson problem, or else a saddle point problem, and applied: M has to overwrite `z` whatever it held,
//! give finite numbers and the same bits every time, be linear where it says it is constant, symmetric and positive
//! definite where it says so, the same on several ranks where it says so, and its transpose has to be one. Defaults have
//! to be in their own ranges.
mod family;

pub use family::family;

use precondor_core::comm::{Comm, threads};
use precondor_core::host::Host;
use precondor_core::matrix::{DistCsr, Space};
use precondor_core::precond::Preconditioner;
use precondor_core::problem::{Poisson, Problem};
use precondor_core::registry::DynGenerator;
use precondor_core::schema::{self, METHOD};
use precondor_core::system::System;
use precondor_core::{Error, Result};
use precondor_host::child::Step;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::ops::Range;
use std::sync::Arc;

/// What came of the checks of a method, or of a family of problems.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Checked {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What holds.
    pub passed: Vec<String>,
    /// What does not, and how far it is off.
    pub failed: Vec<String>,
    /// Why it could not be tried, if so.
    pub not_tried: Option<String>,
}

/// Systems that are tried until a method takes one.
const TRIED: [Tried; 4] = [Tried::Poisson(4), Tried::Poisson(3), Tried::Poisson(2), Tried::Saddle];
/// How far two numbers that should be equal may be apart, relative to their terms. Wide enough for
/// methods that keep single precision.
const CLOSE: f64 = 1e-4;
/// The method inside one that needs another and does not say which.
const INNER: &str = "jacobi";
/// Numbers of ranks that M is compared on with that of one.
const RANKS: [usize; 2] = [2, 3];
/// Tells the vector that M is applied to on ranks.
const ONE: f64 = 0.7;

/// A system that methods are tried on.
#[derive(Clone, Copy)]
enum Tried {
    /// Perturbed, at this level.
    Poisson(u32),
    /// `[A Bᵀ; B 0]`, A tridiagonal: for methods of systems with constraints.
    Saddle,
}

impl Tried {
    fn system(self, comm: Comm) -> Result<System> {
        match self {
            Tried::Poisson(level) => {
                Ok(Problem::Poisson(Poisson::at_level(level)).generate(comm)?.0)
            }
            Tried::Saddle => saddle(comm),
        }
    }
}

/// Unknowns of the saddle point problem, three for each constraint.
const UNKNOWNS: u64 = 24;

fn saddle(comm: Comm) -> Result<System> {
    let space = Space::even(comm, UNKNOWNS + UNKNOWNS / 3);
    let (mut row_ptr, mut cols, mut values) = (vec![0], Vec::new(), Vec::new());
    for i in space.start()..space.start() + space.n_own() as u64 {
        let of_row: Vec<(u64, f64)> = match i.checked_sub(UNKNOWNS) {
            Some(constraint) => vec![(3 * constraint, 1.0), (3 * constraint + 1, -1.0)],
            None => {
                let near = i.saturating_sub(1)..(i + 2).min(UNKNOWNS);
                let of_a = near.map(|j| (j, if i == j { 2.5 } else { -1.0 }));
                let sign = [1.0, -1.0, 0.0][(i % 3) as usize];
                let of_b = (sign != 0.0).then_some((UNKNOWNS + i / 3, sign));
                of_a.chain(of_b).collect()
            }
        };
        cols.extend(of_row.iter().map(|(j, _)| *j));
        values.extend(of_row.iter().map(|(_, v)| *v));
        row_ptr.push(cols.len() as u32);
    }
    Ok(System::new(DistCsr::from_rows(&space, &row_ptr, &cols, &values)?))
}

/// A method for every parameter that names some.
fn inner_methods(schema: &Value) -> Map<String, Value> {
    let parameters = schema["properties"].as_object().into_iter().flatten();
    let filled =
        parameters.filter_map(|(name, of)| Some((name.clone(), inner_method(schema, of)?)));
    filled.collect()
}

fn inner_method(root: &Value, of: &Value) -> Option<Value> {
    let of = schema::resolve(root, of);
    if of[METHOD] == Value::Bool(true) {
        return Some(INNER.into());
    }
    if schema::lists_methods(root, of) {
        return Some(json!([INNER]));
    }
    let choices = ["anyOf", "oneOf", "allOf"].into_iter().flat_map(|key| of[key].as_array());
    choices.flatten().find_map(|choice| inner_method(root, choice))
}

impl Checked {
    fn new(method: &dyn DynGenerator) -> Self {
        Self::of(method.name(), method.version())
    }

    fn of(name: &str, version: &str) -> Self {
        Checked {
            name: name.to_owned(),
            version: version.to_owned(),
            passed: Vec::new(),
            failed: Vec::new(),
            not_tried: None,
        }
    }

    fn check(&mut self, what: &str, fault: Option<String>) {
        match fault {
            None => self.passed.push(what.to_owned()),
            Some(why) => self.failed.push(format!("{what}: {why}")),
        }
    }
}

/// Tries a method, which `host` serves, on the first of some small systems that it takes; `told` hears of every step.
pub fn method(
    method: &dyn DynGenerator,
    host: &Arc<dyn Host>,
    told: &(dyn Fn(Step) + Sync),
) -> Checked {
    let mut checked = Checked::new(method);
    let mut check = |what: &str, fault| checked.check(what, fault);
    let filled = Value::Object(inner_methods(&method.schema()));
    defaults(method, &filled, &mut check);
    let setting = Setting { method, host, told };
    match setting.set_up(&filled) {
        Ok((params, on, m)) => {
            let tried = setting.system(on, Comm::solo()).and_then(|system| {
                setting.tell(Step::Apply);
                applies(&*m, method, system.a().n_own(), &mut check)?;
                if m.properties().rank_independent {
                    setting.on_ranks(&params, on, &*m, &mut check)?;
                }
                Ok(())
            });
            if let Err(e) = tried {
                check("applies", Some(e.to_string()));
            }
        }
        Err(e) if matches!(e.root(), Error::Panicked(_)) => check("sets up", Some(e.to_string())),
        Err(e) => checked.not_tried = Some(e.to_string()),
    }
    checked
}

/// Tries a method with these parameters on a system of one rank.
pub fn on_system(method: &dyn DynGenerator, params: &Value, system: &System) -> Checked {
    let mut checked = Checked::new(method);
    let mut check = |what: &str, fault| checked.check(what, fault);
    match method.generate(params, system) {
        Ok(m) => {
            if let Err(e) = applies(&*m, method, system.a().n_own(), &mut check) {
                check("applies", Some(e.to_string()));
            }
        }
        Err(e) if matches!(e.root(), Error::Panicked(_)) => check("sets up", Some(e.to_string())),
        Err(e) => checked.not_tried = Some(e.to_string()),
    }
    checked
}

/// Whether a method takes what it says is meant where nothing is given.
fn defaults(
    method: &dyn DynGenerator,
    filled: &Value,
    check: &mut dyn FnMut(&str, Option<String>),
) {
    let schema = method.schema();
    let told = |fault| Error::from(fault).to_string();
    // Which method is inside may have to be said.
    let fault = schema::fault(&schema, &json!({})).filter(|_| {
        filled.as_object().is_none_or(Map::is_empty) || schema::fault(&schema, filled).is_some()
    });
    check("defaults fit the schema", fault.map(told));
    let of_training = method.train_schema();
    let all = std::iter::once(&schema).chain(&of_training);
    check("every default is within its own range", misfits(all));
}

/// Defaults that are not within their own ranges.
fn misfits<'a>(schemas: impl Iterator<Item = &'a Value>) -> Option<String> {
    let told = |fault| Error::from(fault).to_string();
    let faults: Vec<String> = schemas.flat_map(schema::misfits).map(told).collect();
    (!faults.is_empty()).then(|| faults.join("; "))
}

/// A method, and what it is set up with.
struct Setting<'a> {
    method: &'a dyn DynGenerator,
    host: &'a Arc<dyn Host>,
    told: &'a (dyn Fn(Step) + Sync),
}

/// Parameters, the system, and M.
type SetUp = (Value, Tried, Box<dyn precondor_core::instance::Instance>);

impl Setting<'_> {
    fn system(&self, on: Tried, comm: Comm) -> Result<System> {
        Ok(on.system(comm)?.with_host(Arc::clone(self.host)))
    }

    fn tell(&self, step: fn(String) -> Step) {
        (self.told)(step(self.method.name().to_owned()));
    }

    /// M for the first system that the method takes: with its defaults, else with methods inside it.
    fn set_up(&self, filled: &Value) -> Result<SetUp> {
        let mut refusal = Error::Data("there is nothing to try it on".into());
        for params in [&json!({}), filled] {
            for on in TRIED {
                let system = self.system(on, Comm::solo())?;
                self.tell(Step::Generate);
                match self.method.generate(params, &system) {
                    Ok(m) => return Ok((params.clone(), on, m)),
                    Err(e) if matches!(e.root(), Error::Panicked(_)) => return Err(e),
                    Err(e) => refusal = e,
                }
            }
            if filled.as_object().is_none_or(Map::is_empty) {
                break;
            }
        }
        Err(refusal)
    }

    /// Compares M, which is declared not to depend on ranks, with that of several.
    fn on_ranks(
        &self,
        params: &Value,
        on: Tried,
        alone: &dyn Preconditioner,
        check: &mut dyn FnMut(&str, Option<String>),
    ) -> Result<()> {
        let n = self.system(on, Comm::solo())?.a().n_own();
        let mut expected = vec![0.0; n];
        alone.apply(&wave(0..n, ONE), &mut expected)?;
        for ranks in RANKS {
            let what = format!("M is the same on {ranks} ranks as declared");
            let parts = threads::run(ranks, |backend| self.part(params, on, Comm::new(backend)));
            let elsewhere = |e: &Error| matches!(e.root(), Error::Elsewhere { .. });
            let mut errors = parts.iter().filter_map(|part| part.as_ref().err());
            match errors.find(|e| !elsewhere(e)) {
                None => {
                    let z: Vec<f64> = parts.into_iter().flatten().flatten().collect();
                    let off = z.iter().zip(&expected).map(|(a, b)| (a - b).abs());
                    let fits = z.len() == n && z.iter().all(|z| z.is_finite());
                    let off = if fits { off.fold(0.0, f64::max) } else { f64::NAN };
                    check(&what, apart(off, largest(&expected)));
                }
                // A method may refuse to be spread over ranks.
                Some(e) if matches!(e.root(), Error::Unsupported(_)) => {}
                Some(e) => check(&what, Some(e.to_string())),
            }
        }
        Ok(())
    }

    /// The own rows of M applied, on one of several ranks.
    fn part(&self, params: &Value, on: Tried, comm: Comm) -> Result<Vec<f64>> {
        let system = self.system(on, comm)?;
        let space = Arc::clone(system.a().space());
        let first = space.start() == 0;
        if first {
            self.tell(Step::Generate);
        }
        let m = self.method.generate(params, &system)?;
        if first {
            self.tell(Step::Apply);
        }
        let start = space.start() as usize;
        let mut z = vec![f64::NAN; space.n_own()];
        m.apply(&wave(start..start + space.n_own(), ONE), &mut z)?;
        Ok(z)
    }
}

/// Applies `m`, which `method` set up for `n` rows.
fn applies(
    m: &dyn Preconditioner,
    method: &dyn DynGenerator,
    n: usize,
    check: &mut dyn FnMut(&str, Option<String>),
) -> Result<()> {
    let (x, y) = (wave(0..n, ONE), wave(0..n, 1.9));
    let apply = |r: &[f64], before: f64| {
        let mut z = vec![before; n];
        m.apply(r, &mut z).map(|()| z)
    };
    let (mx, my) = (apply(&x, 0.0)?, apply(&y, 0.0)?);
    let finite = mx.iter().chain(&my).all(|v| v.is_finite());
    check("numbers are finite", (!finite).then(|| "some are not".into()));
    let same = |z: &[f64]| z.iter().zip(&mx).all(|(a, b)| a.to_bits() == b.to_bits());
    let again = apply(&x, 0.0)?;
    let differs = || Some("the same r gave other bits".to_owned());
    let properties = m.properties();
    if properties.constant {
        check("the same r gives the same z", if same(&again) { None } else { differs() });
        let over = apply(&x, f64::NAN)?;
        let kept = || Some("z was not overwritten, or read".to_owned());
        check("z is overwritten", if same(&over) { None } else { kept() });
        let sum: Vec<f64> = x.iter().zip(&y).map(|(x, y)| 2.0 * x - 3.0 * y).collect();
        let of_sum = apply(&sum, 0.0)?;
        let error =
            mx.iter().zip(&my).zip(&of_sum).map(|((a, b), c)| (2.0 * a - 3.0 * b - c).abs());
        check("M is linear", apart(error.fold(0.0, f64::max), largest(&mx) + largest(&my)));
    }
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let (xmy, ymx) = (dot(&x, &my), dot(&y, &mx));
    let size = (dot(&x, &mx) * dot(&y, &my)).abs().sqrt();
    if properties.symmetric {
        check("M is symmetric as declared", apart((xmy - ymx).abs(), size));
    }
    if properties.positive_definite {
        let least = dot(&x, &mx).min(dot(&y, &my));
        let negative = (least <= 0.0).then(|| format!("⟨x, M x⟩ = {least:.3e}"));
        check("M is positive definite as declared", negative);
    }
    if method.capabilities().transpose {
        let mut mty = vec![f64::NAN; n];
        match m.apply_transpose(&y, &mut mty) {
            Err(Error::Unsupported(_)) => {}
            Err(e) => check("Mᵀ applies", Some(e.to_string())),
            Ok(()) => check("Mᵀ is the transpose", apart((dot(&mty, &x) - ymx).abs(), size)),
        }
    }
    Ok(())
}

/// A vector with smooth and rough parts, the same on every machine.
fn wave(rows: Range<usize>, step: f64) -> Vec<f64> {
    rows.map(|i| (step * i as f64).sin() + 0.5 * (0.01 * step * i as f64).cos()).collect()
}

fn largest(v: &[f64]) -> f64 {
    v.iter().fold(0.0, |most, x| most.max(x.abs()))
}

/// A fault where `error` is more than rounding beside `size`, or not a number.
fn apart(error: f64, size: f64) -> Option<String> {
    let holds = error <= CLOSE * size;
    (!holds).then(|| format!("it is off by {error:.3e} beside {size:.3e}"))
}
