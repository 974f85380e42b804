//! Does a family of problems keep its word?
use super::{Checked, misfits};
use precondor_core::comm::Comm;
use precondor_core::kernel::random::Purpose;
use precondor_core::problem::{Assembly, DynFamily, OfFamily, Problem, Rows};
use precondor_core::{Error, Result};
use precondor_host::child::Step;
use serde_json::json;
use std::ops::Range;
use std::sync::Arc;

/// Parts that the rows of a system are asked for in, where it has as many nodes.
const PARTS: u64 = 3;
/// Another seed than the default.
const OTHER: u64 = 20_181;

/// Tries a family of problems with its defaults: systems have to be sound, the same bit for bit whenever they are made
/// and in whatever parts their rows are asked for, and, where anything in them is random, others to learn from than to be
/// solved. `told` hears of every step.
pub fn family(family: &Arc<dyn DynFamily>, told: &(dyn Fn(Step) + Sync)) -> Checked {
    let mut checked = Checked::of(family.name(), family.version());
    let schema = family.schema();
    checked.check("every default is within its own range", misfits(std::iter::once(&schema)));
    let problem = match OfFamily::new(Arc::clone(family), &json!({})) {
        Ok(problem) => problem,
        Err(e) => {
            checked.check("defaults fit the schema", Some(e.to_string()));
            return checked;
        }
    };
    checked.check("defaults fit the schema", None);
    told(Step::Generate(family.name().to_owned()));
    if let Err(e) = tried(&problem, &mut checked) {
        checked.check("makes systems", Some(e.to_string()));
    }
    checked
}

fn tried(problem: &OfFamily, checked: &mut Checked) -> Result<()> {
    let made = Problem::OfFamily(problem.clone()).generate(Comm::solo());
    checked.check("its first system is sound", made.err().map(|e| e.to_string()));
    let system = problem.assembly(Purpose::Test, 0)?;
    let n = system.unknowns();
    let whole = rows(&*system, 0..n)?;
    let again = rows(&*problem.assembly(Purpose::Test, 0)?, 0..n)?;
    let differs = |same: bool, why: &str| (!same).then(|| why.to_owned());
    checked.check("a system is the same again", differs(again == whole, "other numbers came"));
    let nodes = n / system.block_size().max(1) as u64;
    let parts = PARTS.min(nodes);
    let of_part = |k: u64| nodes * k / parts * (n / nodes)..nodes * (k + 1) / parts * (n / nodes);
    let mut joined = Rows::default();
    for part in (0..parts).map(of_part) {
        join(&mut joined, &rows(&*system, part)?)?;
    }
    let what = "rows are the same in whatever parts they are asked for";
    checked.check(what, differs(joined == whole, "other numbers came"));
    let under = |problem: &OfFamily, purpose| -> Result<Rows> {
        let system = problem.assembly(purpose, 0)?;
        rows(&*system, 0..system.unknowns())
    };
    if under(&problem.seeded(OTHER), Purpose::Test)? != whole {
        let learned = under(problem, Purpose::Training)?;
        let why = "that under the same seed is the same: take all random numbers from the seed that is given";
        checked.check("a system to learn from is another one", differs(learned != whole, why));
    }
    Ok(())
}

fn rows(system: &dyn Assembly, of: Range<u64>) -> Result<Rows> {
    let mut rows = Rows::default();
    system.assemble(of.clone(), &mut rows)?;
    match rows.len() as u64 == of.end - of.start {
        true => Ok(rows),
        false => Err(Error::Data(format!("{} rows came for {of:?}", rows.len()))),
    }
}

fn join(all: &mut Rows, part: &Rows) -> Result<()> {
    let (row_ptr, cols, values) = part.entries();
    all.extend(row_ptr, cols, values)?;
    part.right_hand_side().iter().for_each(|b| all.rhs(*b));
    part.known().try_for_each(|(name, width, values)| all.aux_rows(name, width, values))
}
