//! Which row is in which field, as parameters say it.
use crate::params::Params;
use precondor_sdk::prelude::*;
use std::path::Path;

/// Fields, at most.
const MOST: usize = 64;

/// The field of every own row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sorted {
    pub of: Vec<u32>,
    pub count: usize,
    /// Whether the matrix told, by zeros on its diagonal.
    pub by_diagonal: bool,
}

/// Sorts the rows of the system as the parameters say, or by its diagonal. Collective.
pub(crate) fn sort(params: &Params, system: &System) -> Result<Sorted> {
    let space = system.a().space();
    let rows = space.start()..space.start() + space.n_own() as u64;
    if params.fields.is_some() && params.stride.is_none() {
        return wrong("fields", "it goes with 'stride'");
    }
    let given = [params.stride.is_some(), params.ranges.is_some(), params.file.is_some()];
    if given.iter().filter(|given| **given).count() > 1 {
        let why =
            "give one of 'stride', 'ranges' and 'file', each of which says what the fields are";
        return Err(Error::Parameter(why.into()));
    }
    let (of, count) = if let Some(stride) = params.stride {
        let (of_component, count) = components(stride, params.fields.as_deref())?;
        if !space.n_global().is_multiple_of(stride.into()) {
            let why = format!("{stride} does not divide the {} rows", space.n_global());
            return wrong("stride", why);
        }
        let of = rows.map(|i| of_component[(i % u64::from(stride)) as usize]);
        (of.collect(), count)
    } else if let Some(ranges) = &params.ranges {
        check_ranges(ranges, space.n_global())?;
        let within = |i: u64| ranges.iter().position(|range| range[0] <= i && i < range[1]);
        (rows.map(|i| within(i).unwrap_or_default() as u32).collect(), ranges.len())
    } else if let Some(file) = &params.file {
        let bytes = system.host().read(file)?;
        let all = parse(&bytes, Path::new(file), space.n_global())?;
        let count = all.iter().max().map_or(0, |&most| most as usize + 1);
        (all[rows.start as usize..rows.end as usize].to_vec(), count)
    } else {
        return by_diagonal(system.a());
    };
    match count {
        0 => Err(Error::Parameter("there are no fields: the matrix has no rows".into())),
        count => Ok(Sorted { of, count, by_diagonal: false }),
    }
}

/// Rows with a zero diagonal entry, as those of constraints have it, are the second field. Collective.
fn by_diagonal(a: &DistCsr) -> Result<Sorted> {
    let of: Vec<u32> = (0..a.n_own()).map(|i| u32::from(a.diagonal(i) == 0.0)).collect();
    if !a.space().comm().any(of.contains(&1))? {
        let why = "say what the fields are, by 'stride', 'ranges' or 'file': no diagonal entry is zero, \
                   which would tell constraints from the rest";
        return Err(Error::Parameter(why.into()));
    }
    Ok(Sorted { of, count: 2, by_diagonal: true })
}

/// The field of each of `stride` unknowns that follow each other, and how many there are.
fn components(stride: u32, fields: Option<&[Vec<u32>]>) -> Result<(Vec<u32>, usize)> {
    if stride as usize > MOST {
        return wrong("stride", format!("{stride} is more than {MOST}"));
    }
    let Some(fields) = fields else {
        return Ok(((0..stride).collect(), stride as usize));
    };
    let mut of = vec![None; stride as usize];
    for (f, components) in (0..).zip(fields) {
        for &component in components {
            match of.get_mut(component as usize) {
                None => {
                    let why = format!("{component} is not one of 0 to {}, a 'stride'", stride - 1);
                    return wrong("fields", why);
                }
                Some(Some(other)) => {
                    let why = format!("{component} is in field {other} and in field {f}");
                    return wrong("fields", why);
                }
                Some(place) => *place = Some(f),
            }
        }
    }
    if let Some(f) = fields.iter().position(Vec::is_empty) {
        return wrong("fields", format!("field {f} is empty"));
    }
    let field = |(component, of): (usize, Option<u32>)| {
        of.ok_or_else(|| {
            let why = format!("component {component} of 0 to {} is in no field", stride - 1);
            Error::Parameter(format!("parameter 'fields': {why}"))
        })
    };
    let of = of.into_iter().enumerate().map(field).collect::<Result<_>>()?;
    Ok((of, fields.len()))
}

/// Refuses ranges that overlap, are empty, or leave out a row of `n`.
fn check_ranges(ranges: &[[u64; 2]], n: u64) -> Result<()> {
    if ranges.len() > MOST {
        return wrong("ranges", format!("{} of them; at most {MOST} are allowed", ranges.len()));
    }
    if let Some(f) = ranges.iter().position(|[from, to]| from >= to) {
        let [from, to] = ranges[f];
        return wrong("ranges", format!("field {f} is empty: it has the rows from {from} to {to}"));
    }
    let mut order: Vec<usize> = (0..ranges.len()).collect();
    order.sort_by_key(|&f| ranges[f]);
    let (mut next, mut before) = (0, 0);
    for f in order {
        let [from, to] = ranges[f];
        if from < next {
            let why = format!("global row {from} is in field {before} and in field {f}");
            return wrong("ranges", why);
        }
        if from > next {
            return wrong("ranges", format!("global row {next} is in no field"));
        }
        (next, before) = (to, f);
    }
    match next {
        next if next < n => wrong("ranges", format!("global row {next} is in no field")),
        next if next > n => {
            wrong("ranges", format!("field {before} ends at {next}, the matrix has {n} rows"))
        }
        _ => Ok(()),
    }
}

/// The field of every row, one number a line.
fn parse(bytes: &[u8], file: &Path, n: u64) -> Result<Vec<u32>> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| Error::file(file, "it is no text: one number of a field a row is needed"))?;
    let mut all = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', '%']) {
            continue;
        }
        if all.len() as u64 == n {
            let why = format!("a field for another row; the matrix has {n}");
            return Err(Error::at(file, number, why));
        }
        match line.parse::<u32>() {
            Ok(f) if (f as usize) < MOST => all.push(f),
            _ => {
                let why = format!("'{line}' is no field: they have numbers from 0 to {}", MOST - 1);
                return Err(Error::at(file, number, why));
            }
        }
    }
    match all.len() as u64 {
        count if count < n => {
            Err(Error::file(file, format!("it has fields for {count} rows, the matrix has {n}")))
        }
        _ => Ok(all),
    }
}

fn wrong<T>(parameter: &str, why: impl std::fmt::Display) -> Result<T> {
    Err(Error::Parameter(format!("parameter '{parameter}': {why}")))
}
