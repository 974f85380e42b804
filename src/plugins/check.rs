//! `precondor plugins check`: is a plugin sound?
//!
//! Beyond loading, every method is set up with its defaults for a small perturbed Poisson problem and
//! applied: M has to overwrite `z` whatever it held, give finite numbers and the same bits every time,
//! be linear where it says it is constant, symmetric and positive definite where it says so, and its
//! transpose has to be one. All of it happens in a process of its own.
use crate::Status;
use crate::files::{print, print_json};
use precondor_core::comm::Comm;
use precondor_core::precond::Preconditioner;
use precondor_core::problem::{Poisson, Problem};
use precondor_core::registry::DynGenerator;
use precondor_core::system::System;
use precondor_core::{Error, Result, schema};
use precondor_host::{Plugins, Search, load_library, probe};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// First argument of the child process; the library follows.
pub const CHECK: &str = "__check-plugin";

/// Levels of the test problem, until a method takes one.
const LEVELS: [u32; 3] = [4, 3, 2];
/// How far two numbers that should be equal may be apart, relative to their terms. Wide enough for
/// methods that keep single precision.
const CLOSE: f64 = 1e-4;

/// Check a plugin: that it loads, and that its methods keep their word
#[derive(clap::Args)]
pub struct Args {
    /// A library (a path), or the name of a method that is there
    #[arg(value_name = "NAME|PATH")]
    plugin: String,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// What came of a method's checks.
#[derive(Serialize, Deserialize)]
struct Checked {
    name: String,
    version: String,
    passed: Vec<String>,
    failed: Vec<String>,
    /// Why it could not be tried, if so.
    not_tried: Option<String>,
}

pub fn run(args: &Args, plugin_path: &[PathBuf]) -> Result<Status> {
    let path = locate(&args.plugin, plugin_path)?;
    probe(&path)?;
    let checked = in_child(&path)?;
    let sound = checked.iter().all(|method| method.failed.is_empty());
    if args.json {
        print_json(&json!({ "library": path, "sound": sound, "methods": checked }))?;
    } else {
        print(&text(&path, &checked))?;
    }
    Ok(if sound { Status::Done } else { Status::PartFailed })
}

/// The library that is meant; refused where a search would pass it over.
fn locate(plugin: &str, plugin_path: &[PathBuf]) -> Result<PathBuf> {
    let path = Path::new(plugin);
    if !plugin.contains('/') && !path.is_file() {
        let plugins = Plugins::load(&Search { extra: plugin_path.to_vec(), base: ".".into() })?;
        let method = plugins.get(plugin)?;
        return Ok(method.origin().into());
    }
    let real = path.canonicalize().map_err(|e| Error::file(path, e))?;
    let folder = real.parent().map(Path::to_owned).unwrap_or_default();
    let found = Search { extra: vec![folder], base: ".".into() }.find();
    match found.problems.iter().find(|p| p.path.canonicalize().is_ok_and(|p| p == real)) {
        Some(problem) => Err(Error::file(path, &problem.reason)),
        None => Ok(real),
    }
}

fn in_child(path: &Path) -> Result<Vec<Checked>> {
    let refuse = |why: String| Error::Plugin(format!("{}: {why}", path.display()));
    let program = std::env::current_exe().map_err(|e| Error::file("/proc/self/exe", e))?;
    let output = Command::new(program).arg(CHECK).arg(path).output();
    let output = output.map_err(|e| refuse(format!("it could not be checked: {e}")))?;
    serde_json::from_slice(&output.stdout).map_err(|_| {
        let last = String::from_utf8_lossy(&output.stderr);
        let last = last.trim().lines().last().unwrap_or_default().to_owned();
        refuse(format!(
            "it ended the process while its methods were tried ({}) {last}",
            output.status
        ))
    })
}

fn text(path: &Path, checked: &[Checked]) -> String {
    let mut out = format!("{}\n", path.display());
    // Writing to a string cannot fail.
    for Checked { name, version, passed, failed, not_tried } in checked {
        let _ = writeln!(out, "{name} {version}: {} checks passed", passed.len());
        for why in failed {
            let _ = writeln!(out, "  FAILED: {why}");
        }
        if let Some(why) = not_tried {
            let _ = writeln!(out, "  not tried on a matrix: {why}");
        }
    }
    out
}

/// The child's side: loads the library, tries its methods, prints what came of it.
pub fn child(path: &Path) -> ExitCode {
    let found = load_library(path).map(|methods| {
        let all: Vec<Checked> = methods.iter().map(|method| try_out(method.as_ref())).collect();
        all
    });
    match found.and_then(|all| print_json(&all)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn try_out(method: &dyn DynGenerator) -> Checked {
    let mut checked = Checked {
        name: method.name().to_owned(),
        version: method.version().to_owned(),
        passed: Vec::new(),
        failed: Vec::new(),
        not_tried: None,
    };
    let mut check = |what: &str, fault: Option<String>| match fault {
        None => checked.passed.push(what.to_owned()),
        Some(why) => checked.failed.push(format!("{what}: {why}")),
    };
    let defaults = schema::fault(&method.schema(), &json!({}));
    check("defaults fit the schema", defaults.map(|fault| Error::from(fault).to_string()));
    let mut refusal = None;
    for level in LEVELS {
        match system(level).and_then(|s| Ok((method.generate(&json!({}), &s)?, s))) {
            Ok((m, system)) => {
                let n = system.a().n_own();
                if let Err(e) = apply_checks(m.as_ref(), method, n, &mut check) {
                    check("applies", Some(e.to_string()));
                }
                return checked;
            }
            Err(e) => refusal = Some((matches!(e.root(), Error::Panicked(_)), e.to_string())),
        }
    }
    if let Some((panicked, why)) = refusal {
        if panicked {
            checked.failed.push(format!("sets up: {why}"));
        } else {
            checked.not_tried = Some(why);
        }
    }
    checked
}

fn system(level: u32) -> Result<System> {
    Ok(Problem::Poisson(Poisson::at_level(level)).generate(Comm::solo())?.0)
}

fn apply_checks(
    m: &dyn Preconditioner,
    method: &dyn DynGenerator,
    n: usize,
    check: &mut dyn FnMut(&str, Option<String>),
) -> Result<()> {
    let (x, y) = (wave(n, 0.7), wave(n, 1.9));
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
fn wave(n: usize, step: f64) -> Vec<f64> {
    (0..n).map(|i| (step * i as f64).sin() + 0.5 * (0.01 * step * i as f64).cos()).collect()
}

fn largest(v: &[f64]) -> f64 {
    v.iter().fold(0.0, |most, x| most.max(x.abs()))
}

/// A fault where `error` is more than rounding beside `size`, or not a number.
fn apart(error: f64, size: f64) -> Option<String> {
    let holds = error <= CLOSE * size;
    (!holds).then(|| format!("it is off by {error:.3e} beside {size:.3e}"))
}
